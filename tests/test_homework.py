"""Grading as students and teachers meet it: values that travel, comparison, messages, reports, the command."""

import csv
import json
import math
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from minillm.__main__ import main
from minillm.homework import gradebook, messages, reports
from minillm.homework.child import Linear, ToyModel, decode, encode
from minillm.homework.compare import same
from minillm.homework.grade import grade
from minillm.homework.lessons import all_lessons
from minillm.homework.sandbox import Sandbox
from minillm.plumbing import course, languages

ROOT = Path(__file__).parents[1]
SOLUTION = (ROOT / "tests/graders/03_attention/solution.py").read_text(encoding="utf-8")
LESSON, ATTENTION = gradebook.choose(3, "attention")[0]
WRONG = SOLUTION.replace("/ math.sqrt(q.shape[-1])", "/ q.shape[-1]")

# ------------------------------------------------------------------------------------ values that travel

VALUES = [
    None, True, 0, -(10**30), 1.5, math.inf, -math.inf, "", "台湾 🙂\ud800", b"\x00\xff", [], (), {}, set(), [1, (2, [3])],
    {1: "a", (1, 2): [3.0], "k": None, b"x": {}}, {1, "a", (2, 3)}, np.zeros((0, 3)), np.arange(6).reshape(2, 3)[:, ::2],
    np.array(3.0), np.array([True, False]), torch.arange(5), torch.zeros(2, 0), torch.tensor(1.5), torch.ones(2, 3).T,
    torch.ones(3, dtype=torch.bool), np.float32(0.1), np.int64(7),
]  # fmt: skip


# no repr in the names: that of a set is another one in each process, and the workers must find the same tests
@pytest.mark.parametrize("value", VALUES, ids=[f"{n}-{type(v).__name__}" for n, v in enumerate(VALUES)])
def test_values_come_back_as_they_went(value):
    back = decode(json.loads(json.dumps(encode(value))))
    expected = value.item() if isinstance(value, np.generic) else value
    assert type(back) is type(expected)
    assert same(back, expected, 0.0) or back == expected


def test_nan_a_bfloat_a_gradient_and_a_callable_travel():
    assert math.isnan(decode(encode(math.nan)))
    assert torch.equal(decode(encode(torch.ones(2, requires_grad=True))), torch.ones(2))
    x = torch.tensor([[0, 1, 0]])
    model = decode(json.loads(json.dumps(encode(ToyModel(torch.eye(2))))))
    assert torch.equal(model(x), ToyModel(torch.eye(2))(x))
    assert np.allclose(decode(encode(Linear(np.eye(2), 1.0)))(np.ones(2)), 2)


@pytest.mark.parametrize("value", [object(), lambda: 0, np.array(["a"]), np.array([None]), 1j])
def test_what_is_no_answer_is_refused(value):
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize(
    ("got", "expected", "equal"),
    [
        (1, 1.0, True), (1.00001, 1.0, True), (1.01, 1.0, False), (True, 1, False), (1, True, False), ("1", 1, False),
        ([1, 2], (1, 2), True), ([1, 2], (1, 2, 3), False), (np.array([1, 2]), [1, 2], True),
        ([[1.0], [2.0]], torch.tensor([[1.0], [2.0]]), True), ([1.0, 2.0], torch.tensor([[1.0, 2.0]]), False),
        (np.float64(2), torch.tensor(2.0), True), (torch.zeros(2, 1), torch.zeros(2), False),
        (torch.zeros(2).double(), np.zeros(2, np.float32), True), (math.nan, math.nan, True), (math.nan, 0.0, False),
        (math.inf, math.inf, True), (math.inf, 1e30, False), (None, 0, False), (None, None, True), ("玉山", "玉山", True),
        ({1: [2]}, {1: (2,)}, True), ({1: 2}, {1: 2, 3: 4}, False), ({1, 2}, {2, 1}, True), ([1, 2], {1, 2}, False),
        ([[1], [2, 3]], np.zeros((2, 2)), False), (torch.tensor([1, 0]), torch.tensor([True, False]), False),
        ([True, False], torch.tensor([True, False]), True), ("", [], False), (10**400, 1, False), (b"a", "a", False),
    ],
)  # fmt: skip
def test_comparison(got, expected, equal):
    assert same(got, expected) is equal


# ------------------------------------------------------------------------------------------------ messages


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


def submit(folder: Path, source: str) -> Path:
    path = folder / LESSON.folder / "homework.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return path


@pytest.mark.parametrize(("language", "idea"), [("en", "You divide by D"), ("zh", "你除以了 D")])
def test_a_wrong_answer_names_the_misconception_and_shows_the_smallest_input(sandbox, tmp_path, language, idea):
    lines = messages.feedback(grade(sandbox, submit(tmp_path, WRONG), LESSON, ATTENTION, [0]), language)
    assert idea in lines[0]
    assert "q = (1, 1, 1, 4)" in lines[1] and "mask = None" in lines[1]
    assert "(1, 1, 1, 2)" in lines[2] and "(1, 1, 1, 2)" in lines[3]  # expected and got: the weights
    assert f"notebooks/{language}/03_attention.ipynb" in "\n".join(lines)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ((-0.034827869127462385, 2.0), "(-0.0348279, 2)"), ([1 / 3], "[0.333333]"), ((0.5,), "(0.5,)"), ([1, True], "[1, True]"),
        ({"富": 1 / 3, ("a",): {"b": 1}}, "{'富': 0.333333, ('a',): {'b': 1}}"),
        ({bytes([i]): i for i in range(97, 117)}, "{b'a': 97, b'b': 98, …, b'k': 107, b'l': 108, b'm': 109, b'n': 110, b'o': 111, "
         "b'p': 112, b'q': 113, b'r': 114, b's': 115, b't': 116}"),
    ],
)  # fmt: skip
def test_numbers_are_shown_rounded_and_a_long_table_by_its_ends(value, shown):
    assert messages.show(value) == shown


def test_partial_credit(sandbox, tmp_path):
    source = SOLUTION.replace("if mask is not None:", "if False:")
    result = grade(sandbox, submit(tmp_path, source), LESSON, ATTENTION, [0])
    assert result.status == "wrong" and 0 < result.points < ATTENTION.points
    assert "no-mask" not in result.failed and "causal-mask" in result.failed


def test_an_error_shows_its_line_and_what_was_printed(sandbox, tmp_path):
    source = "def attention(q, k, v, mask):\n    print('shape', q.shape)\n    return q @ k\n"
    text = "\n".join(messages.feedback(grade(sandbox, submit(tmp_path, source), LESSON, ATTENTION, [0]), "en"))
    assert "RuntimeError" in text and "(line 3)" in text and "shape torch.Size" in text


@pytest.mark.parametrize(
    ("variables", "language"),
    [({"LANG": "zh_CN.UTF-8"}, "zh"), ({"LANG": "en_GB.UTF-8"}, "en"), ({"LANG": "zh_TW", "LC_ALL": "C.UTF-8"}, "en")],
)
def test_the_language_follows_the_locale(monkeypatch, variables, language):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert languages.default_language() == language


def test_every_exercise_has_both_languages_and_a_place_in_its_lesson():
    for lesson in all_lessons():
        source = (ROOT / "lessons" / lesson.folder / "lesson.py").read_text(encoding="utf-8")
        headings = {line.lstrip("# ") for line in source.splitlines() if line.startswith("# ## ")}
        for exercise in lesson.exercises:
            for text in (lesson.title, exercise.section):  # may be names, such as Top-k
                assert text.keys() == {"en", "zh"} and all(t.strip() for t in text.values())
            for text in (*(c.hint for c in exercise.checks), *(m.message for m in exercise.misconceptions)):
                assert text.keys() == {"en", "zh"} and all(t.strip() for t in text.values())
                assert any("\u4e00" <= c <= "\u9fff" for c in text["zh"]), text
            assert set(exercise.section.values()) <= headings, f"{lesson.folder}: {exercise.section}"


# ------------------------------------------------------------------------------------------------- reports


def test_reports_for_teachers(tmp_path, capsys):
    submit(tmp_path / "work", SOLUTION.replace(".tril(diagonal=s - t)", ".tril()"))
    command = ["homework", "3", "--folder", str(tmp_path / "work"), "--lang", "en", "--seed", "5",
               "--json", str(tmp_path / "r.json"),
               "--gradescope-results", str(tmp_path / "g.json")]  # fmt: skip
    assert main(command) == 0
    assert "--seed 5" in capsys.readouterr().out
    records = {r["exercise"]: r for r in json.loads((tmp_path / "r.json").read_text())}
    assert records["attention"]["status"] == "right" and records["causal_mask"]["status"] == "wrong"
    assert 0 < records["causal_mask"]["points"] < records["causal_mask"]["maximum"]
    assert "S - T + i" in records["causal_mask"]["message"]
    scores = json.loads((tmp_path / "g.json").read_text())
    assert scores["score"] == sum(t["score"] for t in scores["tests"]) == sum(r["points"] for r in records.values())


def test_many_students_into_one_table(tmp_path, capsys):
    submit(tmp_path / "all/anna", SOLUTION)
    submit(tmp_path / "all/小明", WRONG)
    submit(tmp_path / "all/mallory", "import os\nos._exit(0)\n")
    command = ["homework", "3", "--grade-folder", str(tmp_path / "all"), "--csv", str(tmp_path / "g.csv"),
               "--feedback", str(tmp_path / "feedback"), "--lang", "en"]  # fmt: skip
    assert main(command) == 0
    assert (tmp_path / "g.csv").read_bytes().startswith(b"\xef\xbb\xbf")  # by which Excel knows UTF-8
    rows = {row["student"]: row for row in csv.DictReader((tmp_path / "g.csv").open(encoding="utf-8-sig"))}
    totals = {name: int(row["total"]) for name, row in rows.items()}
    assert totals["anna"] == int(rows["anna"]["maximum"]) > totals["小明"] > totals["mallory"] == 0
    assert all(row["total"] == row["lesson_03"] and row["status"] == "graded" for row in rows.values())
    assert "You divide by D" in (tmp_path / "feedback/小明.txt").read_text(encoding="utf-8")
    (tmp_path / "all/zoe").mkdir()
    assert main(command) == 1  # a file is missing
    rows = {row["student"]: row for row in csv.DictReader((tmp_path / "g.csv").open(encoding="utf-8-sig"))}
    assert (rows["zoe"]["total"], rows["zoe"]["status"]) == ("0", "missing")
    assert rows["zoe"]["warning"] == "no file for lesson 3; found nothing: expected 03_attention/homework.py"


def test_the_gradescope_zip_grades(tmp_path):
    assert main(["homework", "3", "--gradescope", str(tmp_path), "--lang", "en"]) == 0
    with zipfile.ZipFile(tmp_path / "autograder.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "source")
    assert {"setup.sh", "run_autograder", "requirements.txt", "minillm/homework/child.py"} <= set(names)
    assert not any(n.startswith(("tests", "lessons", "runs")) or "__pycache__" in n for n in names)
    setup, run = ((tmp_path / "source" / name).read_text() for name in ("setup.sh", "run_autograder"))
    assert "sys.version_info < (3, 11)" in setup and "whl/cpu" in setup
    assert "minillm homework 3 --folder /autograder/submission --lang en" in run
    for script in ("setup.sh", "run_autograder"):
        subprocess.run(["bash", "-n", tmp_path / "source" / script], check=True)
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission/homework.py").write_text(SOLUTION, encoding="utf-8")  # flat, as students upload it
    command = [
        "homework",
        "3",
        "--folder",
        str(tmp_path / "submission"),
        "--gradescope-results",
        str(tmp_path / "results.json"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "minillm", *command], cwd=tmp_path / "source", check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "results.json").read_text())["score"] == 15


def test_the_kit_holds_all_but_the_graders_own_tests(tmp_path, capsys):
    assert main(["homework", "--release", str(tmp_path / "kit")]) == 0
    files = {p.relative_to(tmp_path / "kit").as_posix() for p in (tmp_path / "kit").rglob("*") if p.is_file()}
    assert {"README.md", "Makefile", "requirements.txt", "lessons/03_attention/homework.py", "minillm/gpt.py",
            "tests/homework/test_my_homework.py"} <= files  # fmt: skip
    assert not any("graders" in f.split("/") or "solution" in f or "__pycache__" in f for f in files)
    workflow = (tmp_path / "kit/.github/workflows/homework.yml").read_text()
    assert "python -m minillm homework" in workflow and "whl/cpu" in workflow
    assert main(["homework", "--release", str(tmp_path / "kit")]) == 2  # never into a folder that holds something
    assert "not an empty folder" in capsys.readouterr().err


def test_the_kit_without_solutions_holds_nothing_that_computes_right_answers(tmp_path):
    assert main(["homework", "--release", str(tmp_path / "kit"), "--no-solutions"]) == 0
    files = [p.relative_to(tmp_path / "kit") for p in (tmp_path / "kit").rglob("*") if p.is_file()]
    code = {p.as_posix() for p in files if p.suffix == ".py"}
    assert code == {f"lessons/{lesson.folder}/homework.py" for lesson in all_lessons()}
    assert {p.parts[0] for p in files} == {
        "lessons",
        "notebooks",
        "requirements.txt",
        "LICENSE",
        "README.md",
        "AGENTS.md",
    }


@pytest.mark.parametrize("options", [["--release", "kit"], ["--gradescope", "gs"]])
def test_a_package_without_the_course_says_that_it_is_elsewhere(tmp_path, monkeypatch, capsys, options):
    monkeypatch.setattr(course, "PACKAGE", tmp_path / "minillm")  # copied by hand, neither checkout nor installed
    (tmp_path / "minillm").mkdir()
    assert main(["homework", options[0], str(tmp_path / options[1])]) == 2
    assert "run this in a checkout" in capsys.readouterr().err and not (tmp_path / options[1]).exists()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["99"], "lesson 99"),
        (["3", "nothing"], "nothing"),
        (["--folder", "{none}"], "no such folder"),
        (["--grade-folder", "{none}"], "no such folder"),
        (["--grade-folder", "{empty}"], "no folders"),
        (["--grade-folder", "{lessons}"], "one student's folder"),
        (["--grade-folder", "{class}", "--roster", "{none}"], "check the path"),
        (["--grade-folder", "{class}", "--roster", "{blank}"], "holds nobody"),
        (["--grade-folder", "{class}", "--due", "tomorrow"], "due"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, command, says):
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank").touch()
    submit(tmp_path / "class/anna", "")
    places = {name: tmp_path / name for name in ("none", "empty", "blank", "class")} | {"lessons": ROOT / "lessons"}
    assert main(["homework", *(word.format(**places) for word in command)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and says in error


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(sandbox, tmp_path):
    path = submit(tmp_path, "")
    path.write_bytes(b"\xef\xbb\xbf" + SOLUTION.replace("\n", "\r\n").encode())
    assert grade(sandbox, path, LESSON, ATTENTION, [0]).status == "right"


def test_a_file_that_is_not_text_costs_only_points(sandbox, tmp_path):
    path = submit(tmp_path, "")
    path.write_bytes(b"\xff\xfe\x00" * 40)
    result = grade(sandbox, path, LESSON, ATTENTION, [0])
    assert (result.status, result.points) == ("wrong", 0)


def test_a_folder_of_flat_files_is_understood(sandbox, tmp_path):
    shutil.copy(ROOT / "tests/graders/03_attention/solution.py", tmp_path / "03_attention.py")
    results = list(gradebook.grade_folder(sandbox, tmp_path, gradebook.choose(3, None), [0]))
    assert all(r.status == "right" for r in results)


def test_reports_survive_what_students_print(sandbox, tmp_path):
    source = "def attention(q, k, v, mask):\n    print('\\x00\\x1b[31m<&>玉山')\n    return None\n"
    result = grade(sandbox, submit(tmp_path, source), LESSON, ATTENTION, [0])
    reports.write_results([result], tmp_path / "r.json", "zh")
    (record,) = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert record["status"] == "wrong" and "<&>玉山" in record["message"]
