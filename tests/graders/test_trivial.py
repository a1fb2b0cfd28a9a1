"""A function that does nothing earns nothing."""

import math

import pytest
import torch

from minillm.homework.grade import earned, judge
from minillm.homework.lessons import all_lessons
from tests.graders.survivors import call, prepare, trials_of
from tests.graders.test_graders import EXERCISES, NAMES

CONSTANTS = (None, 0, 1, 0.0, 0.5, 1.0, math.inf, -math.inf, math.nan, True, False, "", "none", "en", "zh", "mixed", "missing", "empty", [],
             [0], [1], {}, (), (False,) * 3, (True,) * 3, (0, 0.0), (0.0, 0.0, 0.0), ([], []), ({}, []), ("", b""))  # fmt: skip
FUNCTIONS = {
    **{f"argument {i}": lambda *a, i=i: a[i] for i in range(5)},
    **{f"arguments {i} and {j}": lambda *a, i=i, j=j: (a[i], a[j]) for i in range(5) for j in range(5) if i != j},
    "first and 0": lambda *a: (a[0], 0.0), "first and its list": lambda *a: ({}, list(a[0])), "a list of it": lambda *a: list(a[0]),
    "False each": lambda *a: [False] * len(a[0]), "True each": lambda *a: [True] * len(a[0]), "0 each": lambda *a: [0] * len(a[0]),
    "range": lambda *a: list(range(len(a[0]))), "zeros": lambda *a: torch.zeros_like(a[0]), "ones": lambda *a: torch.ones_like(a[0]),
    "ln 2": lambda *a: torch.full_like(a[0], math.log(2)), "x W": lambda *a: a[0] @ a[1].T, "text": lambda *a: (a[0].decode(), b""),
    "a sum": lambda *a: a[0].sum(), "a mean": lambda *a: a[0].mean(), "softmax": lambda *a: a[0].softmax(-1),
    "zeros and its list": lambda *a: (torch.zeros_like(a[0]), torch.zeros(a[0].shape[0])),
}  # fmt: skip


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=NAMES)
def test_a_function_that_does_nothing_earns_nothing(lesson, exercise):
    prepare()
    known = trials_of(exercise, (0, 5))
    functions = FUNCTIONS | {f"constant {value!r}": lambda *a, value=value: value for value in CONSTANTS}
    for name, function in functions.items():
        passed = [check.name for check in exercise.checks if passes(exercise, check, known, function)]
        assert earned(exercise, [c for c in exercise.checks if c.name not in passed]) == 0, (name, passed)


def passes(exercise, check, known, function) -> bool:
    mine = ((a, e) for c, a, e in known if c is check)
    return all(judge(exercise, check, a, e, call(function, a)).right for a, e in mine)


def test_every_exercise_asks_for_more_than_edges():
    for lesson in all_lessons():
        for exercise in lesson.exercises:
            assert sum(c.points for c in exercise.checks if not c.edge) >= 2, exercise.name
