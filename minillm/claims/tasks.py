"""Tasks from the world, with pairs to teach them and questions about what was not taught: answering,
translating, proofreading, and second turns of a dialogue."""

from collections.abc import Sequence
from dataclasses import dataclass

from minillm.chat import Message, turn
from minillm.claims.lab import Lab
from minillm.world.exam import Question
from minillm.world.pairs import NO_MISTAKE, PROOFREAD, TRANSLATE
from minillm.world.tables import ATTRIBUTES, LANGUAGES, Place

OTHER_PLACE = {
    "en": ("And of {}?", "What about {}?", "And {}?", "And the same for {}?", "How about {}?"),
    "zh": ("那{}呢？", "{}呢？", "如果是{}呢？", "换成{}呢？", "那么{}又怎么样？"),
}
"""Second turns that leave out what is asked …"""
OTHER_FACT = {
    "en": ("And its {}?", "What about its {}?", "Its {}?", "And what is its {}?", "How about the {}?"),
    "zh": ("它的{}呢？", "那它的{}呢？", "那里的{}呢？", "它的{}是什么？", "再说说它的{}。"),
}
"""… or of which place."""
TAUGHT_FORMS = 3  # of these wordings; the others are only asked
FACT_NAMES = {
    "en": dict(capital="capital", mountain="highest mountain", height="highest mountain's height", river="longest river",
               currency="currency", continent="continent"),
    "zh": dict(capital="首都", mountain="最高的山", height="最高的山的高度", river="最长的河", currency="货币", continent="所属大洲"),
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One task of a specialist."""

    pairs: list[list[Message]]
    """To tune on, in random order."""
    items: list[Question]
    """To ask about."""


def answering(lab: Lab) -> Task:
    """Questions about places."""
    return Task(lab.pairs, lab.items())


def translation_items(lab: Lab, places: list[Place], templates: int) -> list[Question]:
    """The places' names and the values of their facts into both languages, in `templates` wordings each."""
    rng, items, seen = lab.random(), [], set()
    for place in places:
        names = [
            place.names,
            *({one: place.value(a, one) or "" for one in LANGUAGES} for a in ATTRIBUTES if a != "height"),
        ]
        for pair in names:
            if not all(pair.values()) or tuple(pair.values()) in seen:
                continue
            seen.add(tuple(pair.values()))
            for target in LANGUAGES:
                choices = [t for t, into in TRANSLATE if into == target]
                for template in rng.sample(choices, templates):
                    items.append(Question(pair["en"], template.format(**pair), (pair[target],), target))
    return items


def translating(lab: Lab) -> Task:
    """Names of places, cities, mountains, rivers, currencies, from the other half of the places than asked."""
    taught = translation_items(lab, lab.taught, templates=3)
    known = {item.entity for item in taught}
    asked = [item for item in translation_items(lab, lab.held_out, templates=1) if item.entity not in known]
    return Task(lab.mixed([turn(i.text, i.accepted[0]) for i in taught]), lab.some(asked))


def mistake(row: dict[str, str]) -> str:
    """The word that a mistake is about, which is held out with the sentence: the verb or noun that is wrong; the word
    after a wrong `a`, the one before a wrong `is`."""
    words = row["wrong"].split()
    at = next(i for i, (a, b) in enumerate(zip(words, row["right"].split(), strict=False)) if a != b)
    return words[at + {"a": 1, "is": -1}.get(words[at], 0)]


def sentence_halves(lab: Lab) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """(taught, held out) of the sentences to be proofread: two thirds and one third of each kind of mistake. No
    sentence, and no word that a mistake is about, is in both."""
    taught: list[dict[str, str]] = []
    held_out: list[dict[str, str]] = []
    rows = lab.mixed(lab.world.proofreading)
    for hint in dict.fromkeys(row["hint_en"] for row in lab.world.proofreading):
        kind = [row for row in rows if row["hint_en"] == hint]
        met = {mistake(row): row in held_out for row in [*taught, *held_out]}  # a verb may be wrong in two ways
        for row in kind:
            few = sum(r["hint_en"] == hint for r in held_out) < len(kind) // 3
            (held_out if met.setdefault(mistake(row), few) else taught).append(row)
    return taught, held_out


def proofreading(lab: Lab) -> Task:
    """Wrong sentences with their hint and right ones; what is asked about is held out whole (`sentence_halves`)."""

    def items(rows: list[dict[str, str]]) -> list[Question]:
        return [
            Question(row["wrong"], template.format(s=row[form]), (answer,), language)
            for row in rows
            for language in LANGUAGES
            for form, answer in (("wrong", row[f"hint_{language}"]), ("right", NO_MISTAKE[language]))
            for template in PROOFREAD[language]
        ]

    taught, asked = map(items, sentence_halves(lab))
    return Task(lab.mixed([turn(i.text, i.accepted[0]) for i in taught]), lab.some(asked))


def second_turns(
    lab: Lab, places: list[Place], relations: Sequence[str] = ATTRIBUTES, new_forms: bool = False
) -> list[tuple[list[Message], Question, str]]:
    """(first turn, second turn that only makes sense after it, the same question in full), about these
    `relations`; in the wordings that are taught, or in the others (`new_forms`)."""
    rng, world, found = lab.random(), lab.world, []
    forms = slice(TAUGHT_FORMS, None) if new_forms else slice(TAUGHT_FORMS)
    for place in places:
        for language in LANGUAGES:
            known = [a for a in ATTRIBUTES if world.fact(place, a, language)]
            for attribute in (a for a in known if a in relations):
                other = rng.choice([p for p in places if p is not place and world.fact(p, attribute, language)])
                before = rng.choice([a for a in known if a != attribute])
                for first, asked, texts, left in (
                    (place, before, OTHER_FACT, FACT_NAMES[language][attribute]),
                    (other, attribute, OTHER_PLACE, place.names[language]),
                ):
                    text = rng.choice(texts[language][forms]).format(left)
                    opening = rng.choice(world.write("question", first, asked, language))
                    answer = world.fact(first, asked, language)
                    assert answer is not None
                    history = turn(opening, answer)
                    in_full = rng.choice(world.write("question", place, attribute, language))
                    accepted = tuple(world.accepted(place, attribute, language))
                    item = Question(place.names["en"], text, accepted, language, attribute, tuple(history))
                    found.append((history, item, in_full))
    return found


TASKS = {"answering": answering, "translating": translating, "proofreading": proofreading}
NAMES = {
    "answering": dict(en="answerer", zh="问答"),
    "translating": dict(en="translator", zh="翻译"),
    "proofreading": dict(en="proofreader", zh="编修"),
}
