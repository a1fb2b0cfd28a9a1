"""A student's desk: check, hint, progress and reset in a notebook, and homework that is graded when it is saved."""

import shutil
import sys
import types
from pathlib import Path

import pytest

from minillm.classroom import desk
from minillm.classroom.notices import Notice, Row
from minillm.homework import gradebook, progress, stubs, watch
from minillm.homework.grade import grade
from minillm.homework.here import Here
from minillm.homework.lessons import all_lessons
from minillm.homework.sandbox import Sandbox
from minillm.plumbing.files import InputError
from tests.graders.table import mistakes, plant

ROOT = Path(__file__).parents[1]
STUBS = {lesson.folder: ROOT / "lessons" / lesson.folder / "homework.py" for lesson in all_lessons()}
SOLUTION = (ROOT / "tests/graders/03_attention/solution.py").read_text(encoding="utf-8")
LESSON, MASK = gradebook.choose(3, "causal_mask")[0]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder of the course to work in, in English; nothing was hinted at yet."""
    for name, stub in STUBS.items():
        (tmp_path / "lessons" / name).mkdir(parents=True)
        (tmp_path / "lessons" / name / "homework.py").write_bytes(stub.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINILLM_LANG", "en")
    monkeypatch.setattr(desk, "STEPS", desk.Steps())
    return tmp_path


@pytest.fixture
def cell(monkeypatch):
    """Run a cell of a notebook: what it defines lies in the module __main__."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    return lambda source: exec(compile(source, "/tmp/ipykernel_1/2.py", "exec"), main.__dict__)


def test_a_function_of_a_cell_is_graded_as_on_the_command_line(home, cell):
    source = plant("03_attention", next(m for m in mistakes("03_attention") if m["misconception"] == "scaled-by-d"))
    cell(source)
    notice = desk.check("attention")
    assert notice.kind == "wrong" and "You divide by D" in repr(notice)
    (home / "lessons/03_attention/homework.py").write_text(source, encoding="utf-8")
    with Sandbox() as sandbox:
        lesson, exercise = gradebook.choose(3, "attention")[0]
        marks = grade(sandbox, home / "lessons/03_attention/homework.py", lesson, exercise, [0])
    assert f"{marks.points}/{exercise.points}" in notice.heading and marks.failure.message["en"] in repr(notice)


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.folder)
def test_in_this_process_right_is_right_and_a_planted_mistake_has_its_name(tmp_path, lesson):
    solution = ROOT / "tests/graders" / lesson.folder / "solution.py"
    for exercise in lesson.exercises:
        assert grade(Here(), solution, lesson, exercise, [0]).status == "right"
        mistake = next(m for m in mistakes(lesson.folder) if m["exercise"] == exercise.name and m["misconception"])
        (tmp_path / "homework.py").write_text(plant(lesson.folder, mistake), encoding="utf-8")
        failure = grade(Here(), tmp_path / "homework.py", lesson, exercise, [0]).failure
        assert (failure.check, failure.misconception) == (mistake["check"], mistake["misconception"])


def test_what_a_cell_has_imported_is_not_the_students_own(home, cell):
    cell("from minillm.gpt import causal_mask")
    assert desk.check("causal_mask").kind == "todo"
    (home / "lessons/03_attention/homework.py").write_text(SOLUTION, encoding="utf-8")
    right = desk.check("causal_mask")  # now the file's
    assert right.kind == "right" and "lessons/03_attention/homework.py" in right.heading
    assert "Next: lesson 3, `attention`" in repr(right)


def test_a_notebook_alone_checks_what_its_cells_define(home, cell):
    shutil.rmtree(home / "lessons")
    assert desk.check("causal_mask").kind == "todo" and "hint 1" in desk.hint("causal_mask").heading
    cell(SOLUTION)
    assert desk.check("causal_mask").kind == "right"


def test_a_stub_in_a_cell_gives_way_to_the_file(home, cell):
    cell("def causal_mask(t, s):\n    raise NotImplementedError")
    (home / "lessons/03_attention/homework.py").write_text(SOLUTION, encoding="utf-8")
    assert desk.check("causal_mask").kind == "right"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def causal_mask(t, s):\n    while True:\n        pass", "endless loop"),
        ("def causal_mask(t, s):\n    pass", "`return` missing"),
        ("def causal_mask(t, s):\n    return torch.ones(t, s)", "`torch` is not defined"),
        ("def causal_mask(t, s):\n\n    return 1 / 0", "(line 3)"),
        ("def causal_mask(t, s):\n    raise SystemExit", "SystemExit"),
        ("def causal_mask(t):\n    return t", "another number of arguments"),
        ("def causal_mask(t, s):\n    print('<b>seen</b>', t)\n    return object()", "&lt;b&gt;seen"),
    ],
)
def test_slips_have_their_sentence_in_a_notebook_too(home, cell, monkeypatch, source, says):
    monkeypatch.setattr("minillm.homework.here.SECONDS", 0.2)
    cell(source)
    notice = desk.check("causal_mask")
    assert notice.kind == "wrong" and (says in repr(notice) or says in notice._repr_html_())
    assert "<b>seen" not in notice._repr_html_()


def test_arguments_and_what_is_printed_stay_inside(home, cell, capsys):
    cell("def join_heads(x):\n    print('hello')\n    x += 1\n    b, h, t, d = x.shape\n"
         "    return (x - 1).transpose(1, 2).reshape(b, t, h * d)")  # fmt: skip
    assert "changes its argument `x`" in repr(desk.check("join_heads")) and capsys.readouterr().out == ""


@pytest.mark.parametrize(("language", "words"), [("en", "hint 2 of 3"), ("zh", "提示 2 / 3")])
def test_three_hints_go_from_the_place_to_the_answer(home, cell, monkeypatch, language, words):
    monkeypatch.setenv("MINILLM_LANG", language)
    given = [desk.hint("causal_mask") for _ in range(4)]
    assert words in given[1].heading and given[2] == given[3] == desk.hint("causal_mask", step=3)
    assert f"notebooks/{language}/03_attention.ipynb" in repr(given[0])
    assert MASK.checks[0].hint[language] in repr(given[1])
    assert Row({"en": "expected", "zh": "期望结果"}[language], "(1, 1) [[ True]]") in given[2].lines
    cell("import torch\ndef causal_mask(t, s):\n    return torch.ones(t, s, dtype=torch.bool).tril()")
    assert MASK.checks[1].hint[language] in repr(desk.hint("causal_mask", step=2))  # of the check that fails


def test_no_hint_for_what_is_right_and_names_that_are_not_there(home, cell):
    cell(SOLUTION)
    assert desk.hint("causal_mask").kind == "right"
    with pytest.raises(InputError, match="split_heads, join_heads"):
        desk.check("xyz", lesson=3)
    with pytest.raises(InputError, match=r"choose one of causal_mask$"):
        desk.check("causl_mask")
    several = [n for n in {e.name for _, e in gradebook.choose(None, None)}
               if sum(e.name == n for _, e in gradebook.choose(None, None)) > 1]  # fmt: skip
    for name in several:
        with pytest.raises(InputError, match="say which, lesson="):
            desk.check(name)


def test_progress_counts_the_last_try_and_survives_a_broken_record(home, cell):
    (home / "progress.json").write_text("[1", encoding="utf-8")
    assert "0 of" in desk.progress().heading
    cell(SOLUTION)
    assert desk.check(sys.modules["__main__"].causal_mask).kind == "right"
    assert desk.progress().heading.startswith(f"{MASK.points} of ")
    cell("def causal_mask(t, s):\n    return t")
    desk.check("causal_mask")
    assert desk.progress().heading.startswith("0 of ") and len(desk.progress().lines) == len(all_lessons()) + 1


def test_reset_takes_out_one_function_and_keeps_what_was_written(home, cell):
    file = home / "lessons/03_attention/homework.py"
    stub = file.read_text(encoding="utf-8")
    mine = stub.replace("    raise NotImplementedError\n", "    if x := 1:\n        return x\n\n    return 2\n")
    file.write_text(mine, encoding="utf-8")
    cell("def causal_mask(t, s):\n    return t")
    desk.reset("causal_mask")
    assert desk.in_notebook("causal_mask") is None
    texts = [stubs.text_of(s, stubs.functions(s)["causal_mask"]) for s in (stub, file.read_text(encoding="utf-8"))]
    assert texts[0] == texts[1] and file.read_text(encoding="utf-8").count("return 2") == 3
    assert (file.parent / "homework.before-reset-1.py").read_text(encoding="utf-8") == mine
    file.write_text("def (", encoding="utf-8")
    with pytest.raises(InputError, match=r"homework\.py:1"):
        desk.reset("causal_mask")


@pytest.mark.parametrize("folder", STUBS, ids=str)
def test_a_stub_is_its_own_stub(folder):
    source = STUBS[folder].read_text(encoding="utf-8")
    for function in stubs.functions(source).values():
        assert stubs.stub_of(source, function) == stubs.text_of(source, function)


def test_saved_files_are_graded_again_and_others_are_not(home):
    file = home / "lessons/03_attention/homework.py"
    saves = iter([SOLUTION, SOLUTION.replace("tril(", "triu(")])

    def save(seconds: float) -> None:
        file.write_text(next(saves), encoding="utf-8")

    chosen = [*gradebook.choose(2, "merge"), *gradebook.choose(3, "causal_mask")]
    seen = watch.rounds(Here(), home / "lessons", chosen, [0], pause=save)
    assert [[r.status for r in next(seen)] for _ in range(3)] == [["todo", "todo"], ["right"], ["wrong"]]
    assert progress.read(home) == {}
    lesson, exercise = chosen[1]
    result = grade(Here(), ROOT / "tests/graders/03_attention/solution.py", lesson, exercise, [0])
    assert watch.coming([result], chosen, "en") == "next: lesson 2, merge"
    assert progress.read(home) == {"3 causal_mask": exercise.points}


def test_a_notice_is_text_and_html():
    notice = Notice("wrong", "a < b", ["use `x < y`", Row("got", "<i>")])
    assert repr(notice) == "✗ a < b\n  use `x < y`\n  got: <i>"
    page = notice._repr_html_()
    assert "<code>x &lt; y</code>" in page and "&lt;i&gt;" in page and "<i>" not in page
