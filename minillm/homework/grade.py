"""Grading: compare what a student's function returned with the reference, and find the misconception."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.homework.sandbox import Outcome, Sandbox
from minillm.plumbing.languages import Text

FAULTS: dict[str, Text] = {
    "error": {"en": "Your function stopped with an error.", "zh": "你的函数出错中断了。"},
    "memory": {"en": "Your function asked for more memory than an exercise may use.", "zh": "你的函数用的内存超过了练习的上限。"},
    "time": {"en": "Your function did not come to an end in time: is there an endless loop?",
             "zh": "你的函数没有在规定时间内结束：是不是有死循环？"},
    "crash": {"en": "The process that ran your file ended without an answer (os._exit, a crash, too much output?).",
              "zh": "运行你的文件的进程没有给出答案就结束了（os._exit、崩溃，或者输出太多？）。"},
}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """Why points were lost: the first check that failed, on its smallest input."""

    check: str
    misconception: str | None
    message: Text
    arguments: tuple
    expected: Any
    outcome: Outcome


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
    right: bool


def make_inputs(exercise: Exercise, seeds: Sequence[int]) -> list[tuple[Check, tuple]]:
    """(check, arguments) of all checks, for all seeds."""
    found = []
    for check in exercise.checks:
        for seed in seeds:
            found += [(check, tuple(a)) for a in check.inputs(np.random.default_rng(seed))]
    return found


def is_explained(misconception: Misconception, exercise: Exercise, trial: Trial) -> bool:
    """Whether a function with this misconception does what the student's did: the same output or error."""
    try:
        output = misconception.wrong(*copy.deepcopy(trial.arguments))
    except Exception as error:
        return trial.outcome.status == "error" and trial.outcome.error.startswith(type(error).__name__)
    return trial.outcome.status == "done" and exercise.equal(trial.outcome.value, output)


def grade(sandbox: Sandbox, file: Path, lesson: Lesson, exercise: Exercise, seeds: Sequence[int]) -> Result:
    """Grade one exercise of a student's file on inputs made from each of the seeds."""
    inputs = make_inputs(exercise, seeds)
    expected = [exercise.reference(*copy.deepcopy(arguments)) for _, arguments in inputs]
    outcomes, printed = sandbox.call(file, exercise.name, [arguments for _, arguments in inputs])
    trials = [
        Trial(check, arguments, right, outcome, outcome.status == "done" and exercise.equal(outcome.value, right))
        for (check, arguments), right, outcome in zip(inputs, expected, outcomes, strict=True)
    ]
    if all(t.outcome.status == "todo" for t in trials):
        return Result(lesson, exercise, "todo", 0, printed=printed)
    failed = [check for check in exercise.checks if not all(t.right for t in trials if t.check is check)]
    points = exercise.points - sum(check.points for check in failed)
    if not failed:
        return Result(lesson, exercise, "right", points, printed=printed)
    failure = diagnose(exercise, failed[0], [t for t in trials if t.check is failed[0] and not t.right])
    return Result(lesson, exercise, "wrong", points, tuple(c.name for c in failed), failure, printed)


def diagnose(exercise: Exercise, check: Check, wrong: list[Trial]) -> Failure:
    """The first failing input of a check, and the misconception that explains all its failures, if any."""
    first = wrong[0]
    if first.outcome.status != "done":
        message = FAULTS.get(first.outcome.status, FAULTS["error"])
    else:
        message = check.hint
    for misconception in exercise.misconceptions:
        if all(is_explained(misconception, exercise, trial) for trial in wrong):
            message = misconception.message
            return Failure(check.name, misconception.name, message, first.arguments, first.expected, first.outcome)
    return Failure(check.name, None, message, first.arguments, first.expected, first.outcome)
