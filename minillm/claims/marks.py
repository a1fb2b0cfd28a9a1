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
