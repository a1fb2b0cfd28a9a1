"""The graders are graded: right solutions pass, planted mistakes are caught by the check that is named."""

import inspect
import re
from pathlib import Path

import pytest

from minillm.homework.grade import grade
from minillm.homework.lessons import all_lessons
from minillm.homework.sandbox import Sandbox
from tests.graders.table import TARGET, grade_each, mistakes, plant

HERE = Path(__file__).parent
LESSONS = all_lessons()
EXERCISES = [(lesson, exercise) for lesson in LESSONS for exercise in lesson.exercises]
NAMES = [f"{lesson.code}-{exercise.name}" for lesson, exercise in EXERCISES]
MISTAKES = [(lesson, exercise, mistake) for lesson, exercise in EXERCISES for mistake in mistakes(lesson.folder)
            if mistake["exercise"] == exercise.name]  # fmt: skip


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


def stub(lesson) -> Path:
    return HERE.parents[1] / "lessons" / lesson.folder / "homework.py"


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=NAMES)
@pytest.mark.parametrize("solution", ["solution.py", "another.py"])
def test_right_solutions_pass(sandbox, lesson, exercise, solution):
    result = grade(sandbox, HERE / lesson.folder / solution, lesson, exercise, range(20))
    assert result.status == "right" and result.points == exercise.points, result.failure


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=NAMES)
def test_a_stub_is_to_do_and_scores_nothing(sandbox, lesson, exercise):
    result = grade(sandbox, stub(lesson), lesson, exercise, [0])
    assert (result.status, result.points) == ("todo", 0)


@pytest.mark.parametrize(
    ("lesson", "exercise", "mistake"), MISTAKES, ids=[f"{m[0].code}-{m[1].name}-{m[2]['name']}" for m in MISTAKES]
)
def test_a_planted_mistake_is_caught_by_its_check(sandbox, tmp_path, lesson, exercise, mistake):
    (tmp_path / "homework.py").write_text(plant(lesson.folder, mistake), encoding="utf-8")
    for result in grade_each(sandbox, tmp_path / "homework.py", lesson, exercise, range(5)):
        assert result.status == "wrong" and result.points < exercise.points
        assert result.failure.check == mistake["check"], result.failure
        assert (result.failure.misconception or "") == mistake["misconception"], result.failure
        assert all(result.failure.message[language].strip() for language in ("en", "zh"))


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES, ids=NAMES)
def test_every_exercise_is_well_made(lesson, exercise):
    own = [m for m in mistakes(lesson.folder) if m["exercise"] == exercise.name]
    assert 4 <= len(own) <= 12
    assert {m["misconception"] for m in own} >= {m.name for m in exercise.misconceptions}, "each is tried by a mistake"
    assert {m["check"] for m in own} == {c.name for c in exercise.checks}, "each check catches a mistake"
    namespace: dict = {}
    exec(stub(lesson).read_text(encoding="utf-8"), namespace)
    function = namespace[exercise.name]
    assert function.__doc__ and "->" in str(inspect.signature(function))
    framework = inspect.getmodule(exercise.reference).__name__
    if not framework.startswith("minillm.homework"):  # the framework's own function: the student writes the same
        theirs = list(inspect.signature(exercise.reference).parameters)
        ours = list(inspect.signature(function).parameters)
        assert theirs[: len(ours)] == ours


def test_every_mistake_belongs_to_an_exercise():
    for lesson in LESSONS:
        names = {exercise.name for exercise in lesson.exercises}
        assert {m["exercise"] for m in mistakes(lesson.folder)} == names


def test_the_numbers_asked_for():
    assert len(EXERCISES) >= 34 and len(MISTAKES) >= 150


def test_the_published_table_is_that_of_these_mistakes():
    text = TARGET.read_text(encoding="utf-8")
    rows = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in text.splitlines()
            if re.match(r"\| \d\db? \|", line)]  # fmt: skip
    expected = [(f"{lesson.code}", f"`{exercise.name}`", str(exercise.points), m["name"], m["check"],
                 m["misconception"] or "–", "5 of 5") for lesson, exercise, m in MISTAKES]  # fmt: skip
    assert rows == expected, "run: python -m tests.graders.table"
