"""Grade a student's folder or a pile of them: all lessons, one lesson or one exercise."""

import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from minillm.homework.exercise import Exercise, Lesson, Number
from minillm.homework.grade import Failure, Result, grade
from minillm.homework.lessons import all_lessons
from minillm.homework.plain import plain
from minillm.homework.roster import Person
from minillm.homework.sandbox import Outcome, Sandbox
from minillm.homework.slips import FAULTS
from minillm.homework.submissions import Found, Submission, read_folder
from minillm.plumbing.files import InputError
from minillm.plumbing.languages import Text

Chosen = Sequence[tuple[Lesson, Exercise]]
BETWEEN: Text = {"en": "; ", "zh": "；"}


@dataclass(frozen=True)
class Grades:
    """What one student reached."""

    student: str
    results: tuple[Result, ...]
    found: dict[Number, Found]
    """For each lesson asked for, by number, what was handed in."""
    person: Person | None = None
    """Their line in the roster."""
    note: str = ""
    """What the roster has to say of it."""
    late: str = ""
    """How late it was handed in, if it was."""

    @property
    def points(self) -> int:
        return sum(r.points for r in self.results)

    @property
    def maximum(self) -> int:
        return sum(r.exercise.points for r in self.results)

    @property
    def status(self) -> str:
        """graded, refused or missing; partly if only some lessons are there."""
        known = {found.status for found in self.found.values()}
        return known.pop() if len(known) == 1 else "partly"

    @property
    def is_missing(self) -> bool:
        return any(found.status == "missing" for found in self.found.values())


def choose(number: Number | None, name: str | None) -> list[tuple[Lesson, Exercise]]:
    """The exercises asked for. Raises InputError if there is no such lesson or exercise."""
    lessons = all_lessons()
    if number is not None:
        known = ", ".join(str(lesson.number) for lesson in lessons)
        lessons = [lesson for lesson in lessons if lesson.code == str(number).lower().zfill(len(lesson.code))]
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
    """The student's file of a lesson in their folder, zips aside; None if it is missing or may not be read."""
    found = read_folder(folder).find(lesson, all_lessons())
    return found.file.path if found.file else None


def default_seeds() -> list[int]:
    """Seed 0 and one that nobody knows before: answers to visible inputs can be learned by heart."""
    return [0, 1 + secrets.randbelow(1_000_000)]


def grade_safely(sandbox: Sandbox, file: Path, lesson: Lesson, exercise: Exercise, seeds: Sequence[int]) -> Result:
    """`grade`, but a fault of ours that a submission brings about is reported and costs this submission only."""
    try:
        return grade(sandbox, file, lesson, exercise, seeds)
    except Exception as error:  # whatever a student's value made of the comparison
        print(f"warning: {file.name}, {exercise.name}: {plain(repr(error))}: please report it", file=sys.stderr)
        checks = tuple(check.name for check in exercise.checks)
        outcome = Outcome("crash", None, type(error).__name__)
        failure = Failure(checks[0], None, FAULTS["crash"], (), None, outcome)
        return Result(lesson, exercise, "wrong", 0, checks, failure)


def grade_submission(
    sandbox: Sandbox, submission: Submission, chosen: Chosen, seeds: Sequence[int], safely: bool = False
) -> Grades:
    """The grades of one student; an exercise whose file is missing is to do.

    `safely`, as one of many: what goes wrong with this submission is no fault of the others.
    """
    lessons, grade_one = all_lessons(), grade_safely if safely else grade
    found = {lesson.number: submission.find(lesson, lessons) for lesson, _ in unique(chosen)}
    results = []
    for lesson, exercise in chosen:
        file = found[lesson.number].file
        if file is None:
            results.append(Result(lesson, exercise, "todo", 0))
        else:
            results.append(grade_one(sandbox, file.path, lesson, exercise, seeds))
    return Grades(submission.student, tuple(results), {n: remarked(f, n, results) for n, f in found.items()})


def remarked(found: Found, number: Number, results: Sequence[Result]) -> Found:
    """The file of a lesson, with what grading has shown of the whole of it: what a teacher asks when many points are
    missing."""
    own = [r for r in results if r.lesson.number == number]
    broken = next((r.failure.outcome.error for r in own if r.failure and not r.failure.outcome.loaded), None)
    endless = ", ".join(r.exercise.name for r in own if r.failure and r.failure.outcome.status == "time")
    absent = ", ".join(r.exercise.name for r in own if r.failure and r.failure.slip == "no-such-function")
    said: Text | None = None
    if found.file is None:
        return found
    if broken is not None:
        said = {"en": f"cannot be loaded: {broken}", "zh": f"不能载入：{broken}"}
    elif all(r.status == "todo" for r in own):
        said = {"en": "nothing is written in it yet", "zh": "什么都还没有写"}
    elif absent:
        said = {"en": f"has no function {absent}", "zh": f"没有函数 {absent}"}
    elif endless:
        said = {"en": f"out of time: {endless}", "zh": f"超时：{endless}"}
    if said is None:
        return found
    before = found.warning
    return replace(found, warning=said if before is None else {k: f"{before[k]}{BETWEEN[k]}{said[k]}" for k in said})


def unique(chosen: Chosen) -> Chosen:
    """The first exercise of each lesson."""
    return list({lesson.number: (lesson, exercise) for lesson, exercise in reversed(chosen)}.values())[::-1]


def grade_folder(sandbox: Sandbox, folder: Path, chosen: Chosen, seeds: Sequence[int]) -> Iterator[Result]:
    """The result of each exercise of one student's folder, in order; a file that is missing is to do."""
    with tempfile.TemporaryDirectory() as work:
        yield from grade_submission(sandbox, read_folder(folder, work=Path(work)), chosen, seeds).results
