"""Tasks with their text given: reading comprehension, summaries and their translation, mails.

What a passage says is made up: places keep their names and take values of others, so that only reading
helps, not what stage 1 knows. The base of the demo never met such text: tuned on passages it copies in
16 to 28 % of the questions and else answers by heart or with any value of the kind. `reader` has met it.
"""

import random
from collections.abc import Sequence

from minillm.base_cache import Base
from minillm.chat import turn
from minillm.claims.lab import Lab
from minillm.claims.tasks import Task
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question
from minillm.world.tables import ATTRIBUTES, LANGUAGES, Place, World
from minillm.world.text import JOIN, NAMES, OTHER, Writer

READ = {
    "en": ("{text} {question}", "Read the text. {text} {question}", "Text: {text} Question: {question}"),
    "zh": ("{text}{question}", "请读这段文字。{text}{question}", "文字：{text}问题：{question}"),
}
SUMMARISE = {
    "en": ("Summarise in English: {text}", "请用英文写摘要：{text}", "{text} Give a summary in English."),
    "zh": ("Summarise in Chinese: {text}", "请用中文写摘要：{text}", "{text}请给出中文摘要。"),
}
"""By the language of the summary; what it names is always that language, whoever's words ask."""
RENDER = {
    "en": ("Translate into English: {text}", "请翻译为英文：{text}", "{text} Give a translation in English."),
    "zh": ("Translate into Chinese: {text}", "请翻译为中文：{text}", "{text}请给出中文翻译。"),
}
SUMMARY = {"en": ("{}: {}", ", "), "zh": ("{}：{}", "，")}
MAIL = {
    "en": (
        ("Write a mail to {n}: {s}", "Write to {n}: {s}", "Please send {n} a short mail: {s}"),
        "Dear {n}, {s} Best wishes",
    ),
    "zh": (("给{n}写一封邮件：{s}", "写信告诉{n}：{s}", "请给{n}发一封短邮件：{s}"), "{n}，你好：{s}祝好！"),
}
DOCUMENTS, STEPS, QUICK_STEPS = 42_000, 2000, 1200
ROUNDS = 12  # worlds made up of the taught places; of the held-out ones there is one


def imagined(places: Sequence[Place], rng: random.Random) -> list[Place]:
    """The same names with the values of each attribute dealt out anew, in both languages alike."""
    values: list[dict[tuple[str, str], str]] = [{} for _ in places]
    for attribute in ATTRIBUTES:
        having = [i for i, p in enumerate(places) if all(p.value(attribute, one) for one in LANGUAGES)]
        for i, k in zip(having, rng.sample(having, len(having)), strict=True):
            values[i] |= {(attribute, one): places[k].values[attribute, one] for one in LANGUAGES}
    return [Place(p.names, v) for p, v in zip(places, values, strict=True)]


class PassageWriter(Writer):
    """Half of the documents as ever, half about made-up places, which say everything twice: what is said
    the second time can only be known from the first. In one language alone, no document of two."""

    def __init__(self, world: World, seed: int, languages: Sequence[str] = LANGUAGES):
        super().__init__(world, seed)
        self.languages = languages
        made_up = [(48, self.said_twice), (28, self.names_twice)]
        if len(languages) > 1:
            made_up += [(42, self.said_in_both)]
        else:
            one = (self.about_a_place, self.three_facts, self.questions, self.story, self.advice)
            self.kinds = [(weight, kind) for weight, kind in self.kinds if kind in one]
        total, new = sum(w for w, _ in self.kinds), sum(w for w, _ in made_up)
        self.kinds += [(weight * total / new, kind) for weight, kind in made_up]

    def document(self) -> str:
        weights, kinds = zip(*self.kinds, strict=True)
        return self.random.choices(kinds, weights)[0](self.random.choice(self.languages))

    def imagine(self) -> Place:
        """A place with every value from some other."""
        values: dict[tuple[str, str], str] = {}
        for attribute in ATTRIBUTES:
            source = self.random.choice([p for p in self.world.places if p.value(attribute, "en")])
            values |= {(attribute, one): source.values[attribute, one] for one in LANGUAGES}
        return Place(self.random.choice(self.world.places).names, values)

    def said_twice(self, language: str) -> str:
        """Two facts, then the same again, mostly in other words."""
        place, attributes, parts = self.imagine(), self.random.sample(ATTRIBUTES, 2), []
        wordings = {a: self.random.sample(self.world.write("statement", place, a, language), 2) for a in attributes}
        for again in (False, True):
            self.random.shuffle(attributes)
            parts += [wordings[a][again and self.random.random() < 0.7] for a in attributes]
        return JOIN[language].join(parts)

    def said_in_both(self, language: str) -> str:
        """Two facts in one language, then in the other."""
        place, attributes, parts = self.imagine(), self.random.sample(ATTRIBUTES, 2), []
        for one in (language, OTHER[language]):
            self.random.shuffle(attributes)
            told = (self.random.choice(self.world.write("statement", place, a, one)) for a in attributes)
            parts.append(JOIN[one].join(told))
        return " ".join(parts)

    def names_twice(self, language: str) -> str:
        """A list of names, and again: the plainest thing to copy."""
        place = self.imagine()
        names = [p.names[language] for p in self.random.sample(self.world.places, 3)]
        names += [
            place.values[a, language] for a in self.random.sample(("capital", "mountain", "river", "currency"), 3)
        ]
        self.random.shuffle(names)
        comma, stop = {"en": (", ", "."), "zh": ("、", "。")}[language]
        return JOIN[language].join([comma.join(names) + stop] * 2)


def reader(lab: Lab, languages: Sequence[str] = LANGUAGES, **shape: int) -> Base:
    """A base that has learned to read: as long in training as the whole demo's, of the usual shape but for
    four heads. With two, three facts a text and no lists it did not copy after 720 steps; which of the
    three held it back was not taken apart."""
    documents = list(PassageWriter(lab.world, lab.seed, languages).documents(DOCUMENTS if lab.size != "smoke" else 300))
    return read_base(
        lab, documents, lab.base.run.tokenizer, **shape
    )  # of both languages, also for a base that reads one


def read_base(lab: Lab, documents: list[str], tokenizer: Tokenizer | None = None, **shape: int) -> Base:
    """The base that `reader` is, of other documents; with a tokenizer of their own if none is given."""
    steps = lab.pick(STEPS, QUICK_STEPS)
    return lab.pretrain(documents, tokenizer, **{"steps": steps, "n_head": 4} | shape)


def worlds(lab: Lab) -> tuple[list[Place], list[Place]]:
    """Made-up places: (taught, held out)."""
    rng = lab.random()
    taught = [p for _ in range(ROUNDS) for p in imagined(lab.taught, rng)]
    return taught, imagined(lab.held_out, rng)


def passage(lab: Lab, place: Place, attributes: Sequence[str], language: str, rng: random.Random) -> str:
    """One statement about each attribute, in any wording."""
    return JOIN[language].join(rng.choice(lab.world.write("statement", place, a, language)) for a in attributes)


def known(place: Place, rng: random.Random, count: int) -> list[str]:
    """`count` of the attributes that the place has, in random order."""
    return rng.sample([a for a in ATTRIBUTES if place.value(a, "en")], count)


def as_task(lab: Lab, taught: list[Question], asked: list[Question]) -> Task:
    return Task(lab.mixed([turn(i.text, i.accepted[0]) for i in taught]), lab.some(asked))


def reading(lab: Lab, languages: Sequence[str] = LANGUAGES) -> Task:
    """Three statements about a place and a question about one of them."""

    def items(places: list[Place]) -> list[Question]:
        rng, found = lab.random(), []
        for place in places:
            for language in languages:
                attributes = known(place, rng, 3)
                text = passage(lab, place, attributes, language, rng)
                for asked in attributes:
                    question = rng.choice(lab.world.write("question", place, asked, language))
                    prompt = rng.choice(READ[language]).format(text=text, question=question)
                    accepted = tuple(lab.world.accepted(place, asked, language))
                    found.append(Question(place.names["en"], prompt, accepted, language, asked))
        return found

    return as_task(lab, *map(items, worlds(lab)))


def summary(place: Place, attributes: Sequence[str], language: str) -> str:
    """The place and the values a passage names, in its order."""
    form, comma = SUMMARY[language]
    return form.format(place.names[language], comma.join(place.values[a, language] for a in attributes))


def summaries(lab: Lab, places: Sequence[Place], crossed: bool = False, count: int = 2) -> list[Question]:
    """Passages to be summarised: in their own language or, crossed, in the other."""
    rng, items = lab.random(), []
    for place in places:
        for language in LANGUAGES:
            attributes = known(place, rng, count)
            text = passage(lab, place, attributes, language, rng)
            target = OTHER[language] if crossed else language
            prompt = rng.choice(SUMMARISE[target]).format(text=text)
            items.append(Question(place.names["en"], prompt, (summary(place, attributes, target),), target))
    return items


def renderings(lab: Lab, places: Sequence[Place], count: int = 2) -> list[Question]:
    """Summaries to be translated."""
    rng, items = lab.random(), []
    for place in places:
        for language in LANGUAGES:
            attributes = known(place, rng, count)
            text, target = summary(place, attributes, language), OTHER[language]
            prompt = rng.choice(RENDER[target]).format(text=text)
            items.append(Question(place.names["en"], prompt, (summary(place, attributes, target),), target))
    return items


def summarising(lab: Lab) -> Task:
    """Passages with their summary."""
    return as_task(lab, *(summaries(lab, places) for places in worlds(lab)))


def rendering(lab: Lab) -> Task:
    """Summaries with their translation."""
    return as_task(lab, *(renderings(lab, places) for places in worlds(lab)))


def mailing(lab: Lab) -> Task:
    """Short mails: whom to write and what to say is given, the form is learned."""

    def items(places: Sequence[Place]) -> list[Question]:
        rng, found = lab.random(), []
        for place in places:
            for language in LANGUAGES:
                prompts, form = MAIL[language]
                words = {
                    "n": rng.choice(NAMES[language]),
                    "s": passage(lab, place, known(place, rng, 1), language, rng),
                }
                found.append(
                    Question(place.names["en"], rng.choice(prompts).format(**words), (form.format(**words),), language)
                )
        return found

    return as_task(lab, *map(items, worlds(lab)))
