"""From a model's answers to marks: a number for each question, added up by what the question is about."""

from collections.abc import Iterable, Mapping, Sequence

from minillm.world.exam import Question

Answers = list[tuple[str, bool]]
"""For each question the text, and whether the model stopped by itself."""
Marks = Mapping[str, Sequence[float]]
"""Entity -> (sum of its marks, number of its marks)."""


def right(items: Sequence[Question], answers: Answers) -> list[float]:
    """1 for every answer that is right and ends with [END], else 0."""
    return [float(item.is_right(text) and ended) for item, (text, ended) in zip(items, answers, strict=True)]


def tally(items: Sequence[Question], marks: Iterable[float]) -> dict[str, list[float]]:
    """Marks by entity: (sum, number)."""
    table: dict[str, list[float]] = {}
    for item, mark in zip(items, marks, strict=True):
        entry = table.setdefault(item.entity, [0.0, 0])
        entry[0] += mark
        entry[1] += 1
    return table


def show(condition: str, items: Sequence[Question], answers: Answers, most: int = 4) -> list[dict[str, str]]:
    """A few questions with a model's answers, to be read."""
    every = max(1, len(items) // most)
    some = list(zip(items, answers, strict=True))[::every][:most]
    return [{"condition": condition, "prompt": i.text, "answer": text + "[END]" * ended} for i, (text, ended) in some]


def pack(marks: Mapping[str, Marks], seed: int) -> list[dict]:
    """The marks of one seed for claims.json: conditions with the same entities and numbers together.

    Each group is {"seed", "entities": "Chad; Japan", "n": "8 7", "sums": {condition: "5 6.5"}}; the n-th number
    belongs to the n-th entity.
    """
    groups: dict[tuple, dict] = {}
    for condition, table in marks.items():
        names, counts = list(table), [int(count) for _, count in table.values()]
        about = {"seed": seed, "entities": "; ".join(names), "n": " ".join(map(str, counts)), "sums": {}}
        group = groups.setdefault((*names, *counts), about)
        sums = (float(total) for total, _ in table.values())
        group["sums"][condition] = " ".join(str(int(s)) if s.is_integer() else repr(s) for s in sums)
    return list(groups.values())


def unpack(groups: Iterable[Mapping]) -> dict[int, dict[str, dict[str, list[float]]]]:
    """Seed -> condition -> entity -> [sum, number], from what `pack` gave."""
    seeds: dict[int, dict[str, dict[str, list[float]]]] = {}
    for group in groups:
        counts = [int(n) for n in group["n"].split()]
        names = group["entities"].split("; ") if counts else []
        for condition, sums in group["sums"].items():
            table = {name: [float(s), n] for name, s, n in zip(names, sums.split(), counts, strict=True)}
            seeds.setdefault(group["seed"], {})[condition] = table
    return seeds
