"""Mutants of the right solutions: those that are wrong are caught. A sample here, all by tests.graders.survivors."""

import ast

import pytest

from tests.graders.legal import INPUTS
from tests.graders.mutants import mutants
from tests.graders.survivors import HERE, Judge, load, prepare, tally
from tests.graders.test_graders import EXERCISES, NAMES
from tests.support.sample import sample

SOURCE = '''
def helper(x):
    return x.strip()

def unused(x):
    return x - 1

def f(a, b):
    """Words."""
    total = a + 1
    for i in range(len(b)):
        if b[i] >= total and i != 0:
            total -= b[1:i].sum(dim=-1, keepdim=True)
    return helper(total), a
'''


def test_mutants_are_single_changes_of_the_function_and_its_helpers():
    found = {(m.before, m.after) for m in mutants(SOURCE, "f")}
    for before, after in (
        ("total = a + 1", "total = a - 1"), ("total = a + 1", "total = a + 2"), ("total = a + 1", "total = __import__('operator').iadd(a, 1)"),
        ("if b[i] >= total and i != 0:", "if b[i] > total and i != 0:"), ("if b[i] >= total and i != 0:", "if b[i] >= total or i != 0:"),
        ("if b[i] >= total and i != 0:", "if True:"), ("for i in range(len(b)):", "for i in range(len(b) - 1):"),
        ("total -= b[1:i].sum(dim=-1, keepdim=True)", "total -= b[1:i].sum(dim=-1)"),
        ("total -= b[1:i].sum(dim=-1, keepdim=True)", "total -= b[1:i].mean(dim=-1, keepdim=True)"),
        ("total -= b[1:i].sum(dim=-1, keepdim=True)", "total -= b[1:i].sum(dim=0, keepdim=True)"),
        ("total -= b[1:i].sum(dim=-1, keepdim=True)", "total = b[1:i].sum(dim=-1, keepdim=True)"),
        ("return (helper(total), a)", "return (a, helper(total))"), ("return (helper(total), a)", "return"), ("return x.strip()", "return x"),
    ):  # fmt: skip
        assert (before, after) in found, (before, after)
    assert not any("x - 1" in before for before, _ in found)  # what the function does not call stays as it is
    assert len({ast.dump(ast.parse(m.source)) for m in mutants(SOURCE, "f")}) == len(mutants(SOURCE, "f"))


def test_every_exercise_has_legal_inputs():
    assert set(INPUTS) == {(lesson.number, exercise.name) for lesson, exercise in EXERCISES}


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=NAMES)
def test_a_sample_of_the_mutants_is_caught_and_right_solutions_are_right_on_all_legal_inputs(lesson, exercise):
    prepare()
    judging = Judge(lesson, exercise, sample(12, 30))
    for solution in ("solution.py", "another.py"):
        function = load((HERE / lesson.folder / solution).read_text(encoding="utf-8"), exercise.name)
        assert judging.differs(function, judging.legal) is None
    assert tally(lesson, exercise, sample(123, 41), judging).survivors == ()
