"""Which mutants of the right solutions do the graders let pass?

python -m tests.graders.survivors [lesson [exercise]]

Every mutant is judged on the inputs of the checks, as `grade` does. One that passes is tried on hundreds of legal
inputs which the checks do not know: one that differs on any of them from the reference is a survivor.
"""

import contextlib
import copy
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minillm.homework import child
from minillm.homework.exercise import Check, Exercise, Lesson
from minillm.homework.grade import judge, make_inputs
from minillm.homework.lessons import all_lessons
from minillm.homework.sandbox import Outcome
from tests.graders.legal import INPUTS
from tests.graders.mutants import Mutant, mutants
from tests.graders.table import write_part

HERE = Path(__file__).parent
SEEDS = (0, 1)
N_LEGAL = 400
SECONDS = 1.0  # of the processor, a call; a mutant that goes on in C after that has MOST_SECONDS of the processor
MOST_SECONDS = 8
MOST_BYTES = 4 << 30


class TooLong(BaseException):
    pass


@dataclass(frozen=True)
class Tally:
    """What became of the mutants of an exercise."""

    caught: int
    same: int
    survivors: tuple[Mutant, ...]


def interrupt(*_: object) -> None:
    raise TooLong


def load(source: str, name: str) -> Callable | None:
    space: dict = {"__name__": "homework"}
    try:
        exec(compile(source, "homework.py", "exec"), space)
    except Exception:
        return None
    return space.get(name)


def call(function: Callable, arguments: tuple) -> Outcome:
    """What the child process reports of one call, without the process."""
    given = copy.deepcopy(arguments)
    sent = [child.encode(a) for a in arguments]
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        with np.errstate(all="ignore"):
            value = child.decode(child.encode(function(*given)))
        return Outcome("done", value, changed=tuple(child.changed(given, sent)))
    except TooLong:
        return Outcome("time")
    except Exception as error:
        return Outcome("error", error=child.fault(error, "homework.py")["error"])
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def expect(exercise: Exercise, arguments: tuple):
    return exercise.reference(*copy.deepcopy(arguments))


def trials_of(exercise: Exercise, seeds: Sequence[int]) -> list[tuple[Check, tuple, Any]]:
    """(check, arguments, right answer) of all checks."""
    return [(check, arguments, expect(exercise, arguments)) for check, arguments in make_inputs(exercise, seeds)]


class Judge:
    """The verdict on functions for one exercise."""

    def __init__(self, lesson: Lesson, exercise: Exercise, n_legal: int = N_LEGAL):
        self.exercise = exercise
        self.known = trials_of(exercise, SEEDS)
        rng = np.random.default_rng(7)
        draw = INPUTS[lesson.number, exercise.name]
        self.legal = [(exercise.checks[0], a, expect(exercise, a)) for a in (tuple(draw(rng)) for _ in range(n_legal))]

    def differs(self, function: Callable | None, trials: list) -> tuple | None:
        """The first arguments on which the function is not right; None if it is right on all."""
        for check, arguments, expected in trials:
            if (
                function is None
                or not judge(self.exercise, check, arguments, expected, call(function, arguments)).right
            ):
                return arguments
        return None

    def verdict(self, source: str) -> int:
        """0 for caught by the checks, 1 for right on all legal inputs, 2 for a survivor.

        In a process of its own: a mutant may ask for all memory, or never come back.
        """
        pid = os.fork()
        if pid == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
            resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
            result = 0
            try:
                with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                    function = load(source, self.exercise.name)
                    if self.differs(function, self.known) is None:
                        result = 1 if self.differs(function, self.legal) is None else 2
            finally:
                os._exit(result)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def tally(lesson: Lesson, exercise: Exercise, every: int = 1, judging: Judge | None = None) -> Tally:
    """Judge the mutants of both right solutions, or one in `every`."""
    judging, verdicts = judging or Judge(lesson, exercise), []
    for solution in ("solution.py", "another.py"):
        source = (HERE / lesson.folder / solution).read_text(encoding="utf-8")
        verdicts += [
            (judging.verdict(m.source), m)
            for m in mutants(source, exercise.name)[int(lesson.code[:2]) % every :: every]
        ]
    found = [verdict for verdict, _ in verdicts]
    return Tally(len(found) - found.count(1) - found.count(2), found.count(1), tuple(m for v, m in verdicts if v == 2))


def prepare() -> None:
    """Time limits, one thread, no warnings from functions that are wrong on purpose."""
    signal.signal(signal.SIGVTALRM, interrupt)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


PART = """## Mutants

Written by `python -m tests.graders.survivors`. Every right solution is changed by one small slip at a time (operators,
comparisons, constants, axes, ranges and slices by one, order, dropped statements, calls and keywords, arguments
overwritten in place). A mutant that the checks let pass is tried on {n_legal} legal inputs which they do not know: it
survives if it differs from the reference on any of them, and is no mistake if it does not.

{total} mutants: {same} are no mistakes, {caught} of the other {wrong} are caught ({share:.2f} %).

| exercise | caught | no mistake | survivors |
|---|---|---|---|
{rows}

{survivors}
"""


def part(found: dict[tuple[int, str], Tally]) -> str:
    """What GRADERS.md says of the mutants."""
    caught, same = (sum(getattr(t, name) for t in found.values()) for name in ("caught", "same"))
    wrong = caught + sum(len(t.survivors) for t in found.values())
    rows = [
        f"| `{name}` ({number}) | {t.caught} | {t.same} | {len(t.survivors)} |" for (number, name), t in found.items()
    ]
    lines = [
        f"- `{name}` ({number}): `{m.before}` → `{m.after}`" for (number, name), t in found.items() for m in t.survivors
    ]
    return PART.format(n_legal=N_LEGAL, total=wrong + same, same=same, caught=caught, wrong=wrong, share=100 * caught / max(1, wrong),
                       rows="\n".join(rows), survivors="\n".join(lines) or "No mutant survives.")  # fmt: skip


def main(number: int | str | None = None, name: str | None = None) -> None:
    prepare()
    found = {}
    for lesson in all_lessons():
        for exercise in lesson.exercises:
            if number in (None, lesson.number) and name in (None, exercise.name):
                one = found[lesson.number, exercise.name] = tally(lesson, exercise)
                print(f"{lesson.code} {exercise.name}: {one.caught} caught, {one.same} no mistakes", flush=True)
                for mutant in one.survivors:
                    print(f"    {mutant.before}\n    -> {mutant.after}", flush=True)
    text = part(found)
    print(text)
    if number is None:
        write_part("## Mutants", text)


if __name__ == "__main__":
    main(*(int(a) if a.isdigit() else a for a in sys.argv[1:]))
