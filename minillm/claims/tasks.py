"""Three tasks from the world, each with pairs to teach it and questions about what was not taught:
answering, translating, proofreading."""

from dataclasses import dataclass

from minillm.chat import Message, turn
from minillm.claims.lab import Item, Lab
from minillm.world.pairs import NO_MISTAKE, PROOFREAD, TRANSLATE
from minillm.world.tables import ATTRIBUTES, LANGUAGES, Place


@dataclass(frozen=True)
class Task:
    """One task of a specialist."""

    pairs: list[list[Message]]
    """To tune on, in random order."""
    items: list[Item]
    """To ask about."""


def answering(lab: Lab) -> Task:
    """Questions about places."""
    return Task(lab.pairs, lab.items())


def translation_items(lab: Lab, places: list[Place], templates: int) -> list[Item]:
    """The places' names and the values of their facts into both languages, in so many wordings each."""
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
                    items.append(Item(pair["en"], template.format(**pair), (pair[target],), target))
    return items


def translating(lab: Lab) -> Task:
    """Names of places, cities, mountains, rivers, currencies, from the other half of the places than asked."""
    taught = translation_items(lab, lab.taught, templates=3)
    known = {item.entity for item in taught}
    asked = [item for item in translation_items(lab, lab.held_out, templates=1) if item.entity not in known]
    return Task(lab.mixed([turn(i.text, i.accepted[0]) for i in taught]), lab.some(asked))


def proofreading(lab: Lab) -> Task:
    """Wrong sentences with their hint and right ones, of which a third is asked about."""
    rows = lab.mixed(lab.world.proofreading)
    third = len(rows) // 3
    parts: list[list[Item]] = []
    for part, templates in ((rows[third:], 2), (rows[:third], 1)):
        items = []
        for row in part:
            for language in LANGUAGES:
                for template in PROOFREAD[language][:templates]:
                    items.append(
                        Item(row["wrong"], template.format(s=row["wrong"]), (row[f"hint_{language}"],), language)
                    )
                    items.append(Item(row["wrong"], template.format(s=row["right"]), (NO_MISTAKE[language],), language))
        parts.append(items)
    return Task(lab.mixed([turn(i.text, i.accepted[0]) for i in parts[0]]), lab.some(parts[1]))


TASKS = {"answering": answering, "translating": translating, "proofreading": proofreading}
NAMES = {
    "answering": dict(en="answerer", zh="问答"),
    "translating": dict(en="translator", zh="翻译"),
    "proofreading": dict(en="proofreader", zh="编修"),
}
