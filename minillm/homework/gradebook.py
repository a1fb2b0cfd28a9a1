"""Grade a student's folder: all lessons, one lesson or one exercise."""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from minillm.homework.exercise import Exercise, Lesson
from minillm.homework.grade import Result, grade
from minillm.homework.lessons import all_lessons
from minillm.homework.sandbox import Sandbox
from minillm.plumbing.files import InputError


def choose(number: int | None, name: str | None) -> list[tuple[Lesson, Exercise]]:
    """The exercises asked for. Raises InputError if there is no such lesson or exercise."""
    lessons = all_lessons()
    if number is not None:
        known = ", ".join(str(lesson.number) for lesson in lessons)
        lessons = [lesson for lesson in lessons if lesson.number == number]
        if not lessons:
            raise InputError(f"lesson {number} has no homework: choose one of {known}")
    chosen = [(lesson, exercise) for lesson in lessons for exercise in lesson.exercises]
    if name is not None:
        known = ", ".join(exercise.name for _, exercise in chosen)
        chosen = [(lesson, exercise) for lesson, exercise in chosen if exercise.name == name]
        if not chosen:
            raise InputError(f"lesson {number} has no exercise {name!r}: choose one of {known}")
    return chosen


def find_file(folder: Path, lesson: Lesson) -> Path | None:
    """The student's file of a lesson: NN_name/homework.py as handed out, or NN_name.py; None if missing.

    A link that leads out of the folder does not count: it could lead to a solution.
    """
    places = (folder / lesson.folder / "homework.py", folder / "lessons" / lesson.folder / "homework.py",
              folder / f"{lesson.folder}.py")  # fmt: skip
    inside = folder.resolve()
    return next((path for path in places if path.is_file() and path.resolve().is_relative_to(inside)), None)


def default_seeds() -> list[int]:
    """Seed 0 and one that nobody knows before: answers to visible inputs can be learned by heart."""
    return [0, 1 + secrets.randbelow(1_000_000)]


def grade_folder(
    sandbox: Sandbox, folder: Path, chosen: Sequence[tuple[Lesson, Exercise]], seeds: Sequence[int]
) -> Iterator[Result]:
    """The result of each exercise, in order; a file that is missing is to do."""
    for lesson, exercise in chosen:
        file = find_file(folder, lesson)
        yield Result(lesson, exercise, "todo", 0) if file is None else grade(sandbox, file, lesson, exercise, seeds)
