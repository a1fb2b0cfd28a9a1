"""What a student has reached so far: `progress.json` in the folder they work in, and the exercise that comes next."""

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from minillm.homework.exercise import Exercise, Lesson
from minillm.homework.grade import Result
from minillm.plumbing.files import write_json

Reached = dict[str, int]
"""Points of the last try by exercise: {"3 attention": 8}."""


def key(lesson: Lesson, exercise: Exercise) -> str:
    return f"{lesson.number} {exercise.name}"


def read(folder: Path) -> Reached:
    """The points on record; none where nothing was recorded, or what is there is no record."""
    try:
        found = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if type(v) is int} if isinstance(found, dict) else {}


def record(folder: Path, results: Iterable[Result]) -> Reached:
    """Add results to the record and return it. A folder that cannot be written to keeps no record."""
    reached = read(folder) | {key(r.lesson, r.exercise): r.points for r in results if r.status != "todo"}
    if reached:
        with contextlib.suppress(OSError):
            write_json(folder / "progress.json", reached)
    return reached


def following(
    lessons: Sequence[Lesson], reached: Reached, after: tuple[Lesson, Exercise] | None = None
) -> tuple[Lesson, Exercise] | None:
    """The first exercise that is not right yet: after the one given, then from the beginning; None if all are."""
    all_of_them = [(lesson, exercise) for lesson in lessons for exercise in lesson.exercises]
    begin = 0 if after is None else all_of_them.index(after) + 1
    ordered = all_of_them[begin:] + all_of_them[:begin]
    return next(((le, e) for le, e in ordered if reached.get(key(le, e), 0) < e.points and (le, e) != after), None)
