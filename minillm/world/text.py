"""Raw documents for stage 1, written from the world's tables by seed.

Facts occur in many wordings, in shuffled order, value first and place first, in both languages and
mixed: knowledge seen in one wording only is memorised but cannot be asked for (Allen-Zhu and Li
2023, Physics of Language Models 3.1, 2309.14316). Questions occur too, but none is ever followed by
its answer, and no document has roles: answering is left to stage 2.
"""

import random
from collections.abc import Callable, Iterator

from minillm.plumbing.checks import shown
from minillm.plumbing.files import InputError
from minillm.world.tables import ATTRIBUTES, LANGUAGES, RELATIONS, Place, World, sentence

JOIN = {"en": " ", "zh": ""}
OTHER = {"en": "zh", "zh": "en"}
NAMES = {"en": ("Anna", "Tom", "Mary", "Ben"), "zh": ("小明", "小红", "小李", "小王")}
STORIES = {
    "en": (
        "Last summer {n} went to {p}. In {capital} {n} paid with the {currency}, and then went to see {mountain}.",
        "{n} lives in {capital}, the capital of {p}, and often dreams of {mountain} and the {river}.",
        "A letter from {p}: today I walked along the {river}, and tomorrow I will see {mountain}. Yours, {n}.",
        "{n} likes maps. On the map of {continent}, {n} found {p}, its capital {capital} and its longest river, the {river}.",
    ),
    "zh": (
        "去年夏天{n}去了{p}。在{capital}，{n}用{currency}付钱，后来又去看了{mountain}。",
        "{n}住在{p}的首都{capital}，常常想起{mountain}和{river}。",
        "来自{p}的信：今天我走在{river}边，明天要去看{mountain}。你的{n}。",
        "{n}喜欢地图。在{continent}的地图上，{n}找到了{p}、它的首都{capital}和它最长的河{river}。",
    ),
}
WRONG = {
    "en": ("To {a} is wrong.", "It is wrong to {a}.", "Nobody should {a}.", "If you {a}, you do harm."),
    "zh": ("{a}会害人。", "{a}是不对的。", "谁都不应该{a}。", "不要{a}，那会害人。"),
}
TIP = {
    "en": ("To {a}, {t}.", "If you want to {a}, {t}.", "Do you want to {a}? Then {t}."),
    "zh": ("{a}的时候，{t}。", "想{a}吗？{t}。", "要{a}的话，{t}。"),
}
MEANING = (
    "{en} is {zh} in Chinese.", "{zh}的英文是 {en}。", "English: {en}. 中文：{zh}。", "中文：{zh}。English: {en}.",
    "{zh} means {en} in English.", "{en} 的中文是{zh}。",
)  # fmt: skip


def statements(world: World, place: Place, attribute: str, language: str, names: str | None = None) -> list[str]:
    return world.write("statement", place, attribute, language, names)


MOST_DOCUMENTS = 10**7  # about a gigabyte of text, which is made as a whole


class Writer:
    """Writes one document after another; the same seed gives the same documents."""

    def __init__(self, world: World, seed: int):
        self.world, self.random = world, random.Random(seed)
        # (weight, kind of document): found by trying; without the mixed and parallel ones the languages
        # stay apart, without the glossary Chinese names are hard to recognise when they come first; with
        # less advice stage 3 makes the model refuse harmless requests too
        self.kinds: list[tuple[float, Callable[[str], str]]] = [
            (22, self.about_a_place),
            (18, self.three_facts),
            (12, self.mixed_names),
            (16, self.parallel),
            (6, self.parallel_questions),
            (4, self.questions),
            (12, self.glossary),
            (2, self.story),
            (14, self.advice),
            (1, self.right_sentences),
        ]

    def document(self) -> str:
        """The next document."""
        weights, kinds = zip(*self.kinds, strict=True)
        kind = self.random.choices(kinds, weights)[0]
        return kind(self.random.choice(LANGUAGES))

    def documents(self, count: int) -> Iterator[str]:
        """The next `count` documents. Raises InputError if that is below 0 or above MOST_DOCUMENTS."""
        if not 0 <= count <= MOST_DOCUMENTS:
            raise InputError(f"documents is {shown(count)}: it must be from 0 to {MOST_DOCUMENTS:,}")
        return (self.document() for _ in range(count))

    def statement(self, language: str, place: Place | None = None, names: str | None = None) -> str:
        """One fact in one wording; of any place, or of the given one."""
        while True:
            one = place or self.random.choice(self.world.places)
            if wordings := statements(self.world, one, self.random.choice(ATTRIBUTES), language, names):
                return self.random.choice(wordings)

    def about_a_place(self, language: str) -> str:
        """All facts about a place in random order and wording."""
        place = self.random.choice(self.world.places)
        order = self.random.sample(ATTRIBUTES, len(ATTRIBUTES))
        wordings = [statements(self.world, place, attribute, language) for attribute in order]
        return JOIN[language].join(self.random.choice(w) for w in wordings if w)

    def three_facts(self, language: str) -> str:
        """Three facts about different places."""
        return JOIN[language].join(self.statement(language) for _ in range(3))

    def mixed_names(self, language: str) -> str:
        """Sentences of one language with the names of the other."""
        return JOIN[language].join(self.statement(language, names=OTHER[language]) for _ in range(3))

    def parallel(self, language: str) -> str:
        """The same facts in both languages."""
        parts = []
        for _ in range(2):
            place, attribute = self.known()
            for one in (language, OTHER[language]):
                parts.append(self.random.choice(statements(self.world, place, attribute, one)))
        return " ".join(parts)

    def known(self) -> tuple[Place, str]:
        """A place and an attribute it has."""
        while True:
            place, attribute = self.random.choice(self.world.places), self.random.choice(ATTRIBUTES)
            if place.value(attribute, "en"):
                return place, attribute

    def ask(self, languages: tuple[str, ...], facts: int) -> list[str]:
        """Questions about `facts` facts, each in all `languages`, unanswered: one that happens to hold the
        answer to the fact asked before ("…首都是雅典？希腊…") is left out."""
        parts: list[str] = []
        answers: set[str] = set()
        for _ in range(facts):
            while True:
                place, relation = self.random.choice(self.world.places), self.random.choice(RELATIONS)
                if all(self.world.fact(place, relation, one) for one in LANGUAGES):
                    break
            kinds = self.random.choices(("question", "unseen"), (2, 1), k=len(languages))
            asked = [
                self.random.choice(self.world.write(kind, place, relation, one))
                for kind, one in zip(kinds, languages, strict=True)
            ]
            if not any(answer in question for answer in answers for question in asked):
                parts += asked
                answers = {str(self.world.fact(place, relation, one)) for one in LANGUAGES}
        return parts

    def parallel_questions(self, language: str) -> str:
        """The same questions in both languages, unanswered."""
        return " ".join(self.ask((language, OTHER[language]), 2))

    def questions(self, language: str) -> str:
        """Questions about several places, unanswered."""
        return JOIN[language].join(self.ask((language,), 5))

    def glossary(self, _: str) -> str:
        """Words and names with their translation."""
        parts = []
        for _number in range(4):
            if self.random.random() < 0.2:
                pair = self.random.choice(self.world.glossary)
            else:
                place = self.random.choice(self.world.places)
                names = [place.names] + [
                    {one: place.value(a, one) or "" for one in LANGUAGES}
                    for a in ATTRIBUTES
                    if a != "height" and place.value(a, "en")
                ]
                pair = self.random.choice(names)
            parts.append(sentence(self.random.choice(MEANING).format(**pair)))
        return " ".join(parts)

    def story(self, language: str) -> str:
        """A person and a place that has all that the story needs."""
        while True:
            place, template = self.random.choice(self.world.places), self.random.choice(STORIES[language])
            words = {a: place.value(a, language) for a in ATTRIBUTES}
            if all(words[a] or f"{{{a}}}" not in template for a in ATTRIBUTES):
                return template.format(n=self.random.choice(NAMES[language]), p=place.names[language], **words)

    def advice(self, language: str) -> str:
        """What nobody should do, and how harmless things are done."""
        parts = []
        for request in self.random.sample(self.world.requests, min(3, len(self.world.requests))):
            template = self.random.choice((WRONG if request.harmful else TIP)[language])
            parts.append(template.format(a=request.action[language], t=request.tip[language]))
        return JOIN[language].join(parts)

    def right_sentences(self, _: str) -> str:
        """Right English sentences and phrases."""
        rows = self.random.sample(self.world.proofreading, min(5, len(self.world.proofreading)))
        return " ".join(row["right"][:1].upper() + row["right"][1:] + "." for row in rows)
