"""Tasks from the world, with pairs to teach them and questions about what was not taught: answering,
translating, proofreading, and second turns of a dialogue."""

from dataclasses import dataclass

from minillm.chat import Message, turn
from minillm.claims.lab import Lab
from minillm.world.exam import Question
from minillm.world.pairs import NO_MISTAKE, PROOFREAD, TRANSLATE
from minillm.world.tables import ATTRIBUTES, LANGUAGES, Place

OTHER_PLACE = {"en": "And of {}?", "zh": "那{}呢？"}
OTHER_FACT = {"en": "And its {}?", "zh": "它的{}呢？"}
FACT_NAMES = {
    "en": dict(capital="capital", mountain="highest mountain", height="highest mountain's height", river="longest river",
               currency="currency", continent="continent"),
    "zh": dict(capital="首都", mountain="最高的山", height="最高的山的高度", river="最长的河", currency="货币", continent="洲"),
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
        names = [place.names, *({one: place.value(a, one) for one in LANGUAGES} for a in ATTRIBUTES if a != "height")]
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


def counted(before: list[str]) -> bool:
    """Whether the words end with a number word, or one like it."""
    return bool(before) and before[-1] in ("two", "three", "four", "five", "many", "these")


def recombined(rows: list[dict[str, str]], each: int) -> list[dict[str, str]]:
    """More sentences of the same kinds: the words before a row's mistake joined to the rest of `each` rows
    with the same hint. "she | like tea" and "he | work here" give "she | work here". A number word is
    followed by nouns, which do not fit elsewhere: these rows stay as they are."""
    parts = []
    for row in rows:
        wrong, right = row["wrong"].split(), row["right"].split()
        k = next(i for i, (a, b) in enumerate(zip(wrong, right, strict=False)) if a != b)
        parts.append((wrong[:k], wrong[k:], right[k:], row))
    sentences = {}
    for i, (before, _, _, row) in enumerate(parts):
        alike = [p for p in parts[i:] + parts[:i] if p[3]["hint_en"] == row["hint_en"] and not counted(p[0])]
        if counted(before):
            alike = [parts[i]]
        for _, wrong, right, _ in alike[:each]:
            text = " ".join(before + wrong)
            sentences[text] = row | {"wrong": text, "right": " ".join(before + right)}
    return list(sentences.values())


def proofreading(lab: Lab) -> Task:
    """Wrong sentences with their hint and right ones; the sentences asked about are new, their parts are not."""
    rows = lab.mixed(recombined(lab.mixed(lab.world.proofreading), each=4))
    parts: list[list[Question]] = []
    for part in (rows[len(rows) // 4 :], rows[: len(rows) // 4]):
        items = []
        for row in part:
            for language in LANGUAGES:
                template = lab.random().choice(PROOFREAD[language])
                for form, answer in (("wrong", row[f"hint_{language}"]), ("right", NO_MISTAKE[language])):
                    items.append(Question(row["wrong"], template.format(s=row[form]), (answer,), language))
        parts.append(items)
    return Task(lab.mixed([turn(i.text, i.accepted[0]) for i in parts[0]]), lab.some(parts[1]))


def second_turns(lab: Lab, places: list[Place]) -> list[tuple[list[Message], Question, str]]:
    """(first turn, second turn that only makes sense after it, the same question in full)."""
    rng, world, found = lab.random(), lab.world, []
    for place in places:
        for language in LANGUAGES:
            known = [a for a in ATTRIBUTES if world.fact(place, a, language)]
            for attribute in known:
                other = rng.choice([p for p in places if p is not place and world.fact(p, attribute, language)])
                before = rng.choice([a for a in known if a != attribute])
                for first, asked, text in (
                    (place, before, OTHER_FACT[language].format(FACT_NAMES[language][attribute])),
                    (other, attribute, OTHER_PLACE[language].format(place.names[language])),
                ):
                    opening = rng.choice(world.write("question", first, asked, language))
                    history = turn(opening, world.fact(first, asked, language))
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
