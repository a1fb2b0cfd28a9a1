"""Grading: compare what a student's function returned with the reference, and find the misconception."""

import copy
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minillm.homework.compare import near_miss
from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.homework.sandbox import Outcome
from minillm.homework.slips import either, of_error, of_nearly_right, overwritten, returned_nothing
from minillm.plumbing.languages import Text


class Caller(Protocol):
    """What calls a student's function: a `Sandbox`, or `Here` in a notebook."""

    def call(self, file: Any, name: str, arguments: Sequence[tuple]) -> tuple[list[Outcome], str]:
        """An outcome for each tuple of arguments, and what the student's code printed."""


@dataclass(frozen=True)
class Failure:
    """Why points were lost: the first check that failed, on its smallest input."""

    check: str
    misconception: str | None
    message: Text
    arguments: tuple
    expected: Any
    outcome: Outcome
    slip: str | None = None
    """An everyday slip, named where no misconception explains the failure."""


@dataclass(frozen=True)
class Result:
    """The grade of one exercise."""

    lesson: Lesson
    exercise: Exercise
    status: str
    """todo, right or wrong."""
    points: int
    failed: tuple[str, ...] = ()
    failure: Failure | None = None
    printed: str = ""


@dataclass(frozen=True)
class Trial:
    """One input of a check, with the right answer and what the student's function made of it."""

    check: Check
    arguments: tuple
    expected: Any
    outcome: Outcome
    equal: bool
    """Whether the answer is right."""
    changed: tuple[str, ...] = ()
    """Arguments that were overwritten and should not be."""

    @property
    def right(self) -> bool:
        return self.equal and not self.changed


def make_inputs(exercise: Exercise, seeds: Sequence[int]) -> list[tuple[Check, tuple]]:
    """(check, arguments) of all checks, for all seeds."""
    found = []
    for check in exercise.checks:
        for seed in seeds:
            found += [(check, tuple(a)) for a in check.inputs(np.random.default_rng(seed))]
    return found


def judge(exercise: Exercise, check: Check, arguments: tuple, expected: Any, outcome: Outcome) -> Trial:
    """Compare the answer with the expected one, and the arguments with what they were."""
    equal = outcome.status == "done" and exercise.equal(outcome.value, expected)
    names = list(inspect.signature(exercise.reference).parameters)
    changed = [names[i] for i in outcome.changed if 0 <= i < len(names)]
    return Trial(check, arguments, expected, outcome, equal, tuple(n for n in changed if n not in exercise.may_change))


def grade(caller: Caller, file: Path | Callable, lesson: Lesson, exercise: Exercise, seeds: Sequence[int]) -> Result:
    """Grade one exercise of a student's file, or a function of a notebook, on inputs made from each of the seeds."""
    inputs = make_inputs(exercise, seeds)
    expected = [exercise.reference(*copy.deepcopy(arguments)) for _, arguments in inputs]
    outcomes, printed = caller.call(file, exercise.name, [arguments for _, arguments in inputs])
    trials = [judge(exercise, check, arguments, right, outcome)
              for (check, arguments), right, outcome in zip(inputs, expected, outcomes, strict=True)]  # fmt: skip
    if all(t.outcome.status == "todo" for t in trials):
        return Result(lesson, exercise, "todo", 0, printed=printed)
    failed = [check for check in exercise.checks if not all(t.right for t in trials if t.check is check)]
    if not failed:
        return Result(lesson, exercise, "right", exercise.points, printed=printed)
    return Result(lesson, exercise, "wrong", earned(exercise, failed), tuple(c.name for c in failed),
                  diagnose(exercise, failed[0], trials), printed)  # fmt: skip


def earned(exercise: Exercise, failed: Sequence[Check]) -> int:
    """Points of the checks that passed; none if they are only such as a function that does nothing may pass."""
    passed = [check for check in exercise.checks if check not in failed]
    return 0 if all(check.edge for check in passed) else sum(check.points for check in passed)


# ------------------------------------------------------------------------------------------- why points were lost


def diagnose(exercise: Exercise, check: Check, trials: list[Trial]) -> Failure:
    """The first failing input of a check, and what explains the results of this check and of those before it."""
    so_far = exercise.checks[: exercise.checks.index(check) + 1]
    pool = [trial for trial in trials if trial.check in so_far]
    wrong = [trial for trial in pool if not trial.right]
    misconception, slip, message = explain(exercise, trials, pool, wrong)
    first = wrong[0]
    return Failure(
        check.name, misconception, message or check.hint, first.arguments, first.expected, first.outcome, slip
    )


def explain(
    exercise: Exercise, trials: list[Trial], pool: list[Trial], wrong: list[Trial]
) -> tuple[str | None, str | None, Text | None]:
    """(misconception, slip, message): at most one of the first two; no message where the check's hint is all we have."""
    if changed := next((trial.changed for trial in wrong if trial.changed), None):
        return None, *overwritten(list(changed))  # first of all: the results may be wrong only because of it
    for known in (exercise.misconceptions, exercise.slips):
        if found := that_explain(known, exercise, pool, trials):
            message = found[0].message if len(found) == 1 else either(found[0].message, found[1].message)
            names = (found[0].name, None) if known is exercise.misconceptions else (None, found[0].name)
            return *names, message
    return None, *everyday_slip(trials, wrong)


def that_explain(
    known: Sequence[Misconception], exercise: Exercise, pool: list[Trial], trials: list[Trial]
) -> list[Misconception]:
    """Those that reproduce every result of the pool, the right ones too. Where some of them reproduce the results
    of the later checks as well, these alone."""
    found = [one for one in known if is_explained(one, exercise, *pool)]
    whole = [one for one in found if is_explained(one, exercise, *trials)]
    return list({one.name: one for one in reversed(whole or found)}.values())[::-1]  # one of each name, the first


def is_explained(misconception: Misconception, exercise: Exercise, *trials: Trial) -> bool:
    """Whether a function with this misconception does all that the student's did: the same outputs and errors."""
    functions = (misconception.wrong, *misconception.also)
    return any(all(does_the_same(function, exercise, trial) for trial in trials) for function in functions)


def does_the_same(wrong: Callable, exercise: Exercise, trial: Trial) -> bool:
    try:
        output = wrong(*copy.deepcopy(trial.arguments))
    except Exception as error:
        return trial.outcome.status == "error" and is_same_error(error, trial.outcome.error)
    return trial.outcome.status == "done" and exercise.equal(trial.outcome.value, output)


def is_same_error(error: Exception, said: str) -> bool:
    """Whether an error is of the type that was reported. Torch raises RuntimeError for nearly everything: there the
    words count too, whatever the numbers in them."""
    kind, _, text = said.partition(": ")
    words = [re.sub(r"\d+", "#", (t.splitlines() or [""])[0])[:60] for t in (str(error), text)]
    return kind == type(error).__name__ and (kind != "RuntimeError" or words[0] == words[1])


def everyday_slip(trials: list[Trial], wrong: list[Trial]) -> tuple[str | None, Text | None]:
    """(name, sentence) of a slip that any exercise can have; (None, None) for none."""
    first = wrong[0]
    if first.outcome.status != "done":
        return of_error(first.outcome)
    if all(is_nothing(trial.outcome) for trial in wrong):
        always = all(is_nothing(trial.outcome) for trial in trials)
        if always or not any(
            trial.expected is None for trial in trials
        ):  # None may be an answer, given in the wrong place
            return returned_nothing(always)
    how = near_miss(first.outcome.value, first.expected)
    if how and all(near_miss(t.outcome.value, t.expected) == how for t in wrong):
        return of_nearly_right(how, first.outcome.value, first.expected)
    return None, None


def is_nothing(outcome: Outcome) -> bool:
    return outcome.status == "done" and outcome.value is None
