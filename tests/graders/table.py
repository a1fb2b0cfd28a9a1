"""Write lessons/GRADERS.md: every planted mistake, and what the grader made of it.

python -m tests.graders.table
python -m tests.graders.survivors  (its part on mutants)
"""

import re
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from minillm.homework.exercise import Exercise, Lesson
from minillm.homework.grade import Result, grade, make_inputs
from minillm.homework.lessons import all_lessons
from minillm.homework.sandbox import Outcome, Sandbox
from minillm.plumbing.files import write_text

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "lessons" / "GRADERS.md"
SEEDS = 5
HEAD = """# The graders, graded

Written by `python -m tests.graders.table`. Each mistake is planted into a right solution and graded on {seeds} seeds;
it counts as caught where it loses points, the named check is the first to fail, and the named misconception is
what the student reads (a dash: the hint of the check, or the error).

{total} mistakes in {exercises} exercises, {caught} caught on every seed.

| lesson | exercise | points | mistake | check | misconception | caught |
|---|---|---|---|---|---|---|
"""


def mistakes(folder: str) -> list[dict]:
    """The planted mistakes of a lesson."""
    with (HERE / folder / "mistakes.toml").open("rb") as file:
        return tomllib.load(file)["mistake"]


def plant(folder: str, mistake: dict) -> str:
    """The solution with a mistake in it. Raises ValueError unless the edit has exactly one place."""
    source = (HERE / folder / "solution.py").read_text(encoding="utf-8")
    if source.count(mistake["old"]) != 1:
        raise ValueError(f"{folder}: {mistake['name']}: the edit must have one place to apply to")
    return source.replace(mistake["old"], mistake["new"])


class Known:
    """Calls a student's function by handing out, in turn, what it has answered already."""

    def __init__(self, outcomes: list[Outcome], printed: str):
        self.outcomes, self.printed = iter(outcomes), printed

    def call(self, file: object, name: str, arguments: Sequence[tuple]) -> tuple[list[Outcome], str]:
        return [next(self.outcomes) for _ in arguments], self.printed


def grade_each(
    sandbox: Sandbox, file: Path, lesson: Lesson, exercise: Exercise, seeds: Sequence[int]
) -> Iterator[Result]:
    """The grade on each seed alone, all from one child process: to start one costs more than all its answers."""
    arguments = [one for seed in seeds for _, one in make_inputs(exercise, [seed])]
    known = Known(*sandbox.call(file, exercise.name, arguments))
    for seed in seeds:
        yield grade(known, file, lesson, exercise, [seed])


def is_caught(result, mistake: dict) -> bool:
    """Whether the grade is what was said beforehand."""
    failure = result.failure
    return (result.status == "wrong" and result.points < result.exercise.points and failure.check == mistake["check"]
            and (failure.misconception or "") == mistake["misconception"])  # fmt: skip


def write_part(first_line: str, text: str) -> None:
    """Put a part of GRADERS.md, which begins with this line, in the place of the one that is there."""
    parts = re.split(r"(?m)^(?=#{1,2} )", TARGET.read_text(encoding="utf-8"))
    others = [part.strip() for part in parts if part.strip() and not part.startswith(first_line)]
    parts = sorted([*others, text.strip()], key=lambda part: part.startswith("## "))
    write_text(TARGET, "\n\n".join(parts) + "\n")


def main() -> None:
    rows, total, caught, exercises = [], 0, 0, 0
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as home:
        file = Path(home) / "homework.py"
        for lesson in all_lessons():
            for exercise in lesson.exercises:
                exercises += 1
                for mistake in mistakes(lesson.folder):
                    if mistake["exercise"] != exercise.name:
                        continue
                    file.write_text(plant(lesson.folder, mistake), encoding="utf-8")
                    seeds = sum(
                        is_caught(r, mistake) for r in grade_each(sandbox, file, lesson, exercise, range(SEEDS))
                    )
                    total, caught = total + 1, caught + (seeds == SEEDS)
                    rows.append(f"| {lesson.code} | `{exercise.name}` | {exercise.points} | {mistake['name']} | "
                                f"{mistake['check']} | {mistake['misconception'] or '–'} | {seeds} of {SEEDS} |")  # fmt: skip
    head = HEAD.format(seeds=SEEDS, total=total, exercises=exercises, caught=caught)
    write_part("# ", head + "\n".join(rows))
    print(f"{TARGET}: {caught} of {total} caught")


if __name__ == "__main__":
    main()
