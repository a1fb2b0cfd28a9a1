"""Your homework, graded by pytest: to do = skipped, wrong = failed. `python -m minillm homework` says the same."""

from pathlib import Path

import pytest

from minillm.homework import gradebook, messages
from minillm.homework.grade import grade
from minillm.homework.sandbox import Sandbox
from minillm.plumbing import languages

LESSONS = Path(__file__).parents[2] / "lessons"
CHOSEN = gradebook.choose(None, None)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("lesson", "exercise"), CHOSEN, ids=[f"{lesson.code}-{exercise.name}" for lesson, exercise in CHOSEN]
)
def test_homework(sandbox, lesson, exercise):
    file = gradebook.find_file(LESSONS, lesson)
    if file is None:
        pytest.skip("to do: the file is not there")
    result = grade(sandbox, file, lesson, exercise, gradebook.default_seeds())
    if result.status == "todo":
        pytest.skip("to do")
    assert result.status == "right", "\n" + "\n".join(messages.feedback(result, languages.default_language()))
