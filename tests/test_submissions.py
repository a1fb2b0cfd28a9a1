"""A pile of submissions as schools send it: every file is found, or it is said what was there instead."""

import csv
import io
import json
import os
import re
import sys
import xml.etree.ElementTree as xml
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from minillm.__main__ import main
from minillm.homework import gradebook, pile, reports, roster, tables
from minillm.homework.cells import module_of
from minillm.homework.handed_in import collect
from minillm.homework.lesson_names import chinese_number, lesson_of
from minillm.homework.lessons import all_lessons
from minillm.homework.plain import cell, plain
from minillm.homework.sandbox import Sandbox
from minillm.homework.submissions import Submission, read_folder
from minillm.plumbing.files import InputError

ROOT = Path(__file__).parents[1]
LESSONS = all_lessons()
LESSON = next(lesson for lesson in LESSONS if lesson.number == 3)
TEMPLATE = (ROOT / "lessons/03_attention/homework.py").read_text(encoding="utf-8")
OTHER = (ROOT / "tests/graders/04_gpt/solution.py").read_text(encoding="utf-8")
SOLUTION = (ROOT / "tests/graders/03_attention/solution.py").read_text(encoding="utf-8")
HEAD, *FUNCTIONS = SOLUTION.split("\ndef ")
CELLS = [
    HEAD,
    "%matplotlib inline\n!pip install seaborn\nimport matplotlib.pyplot as plt\nplt.plot([1])",
    *("def " + function for function in FUNCTIONS),
    "%%time\nanything at all",
    "x = attention(1)  # a try that fails",
    "for i in range(10):\n    split_heads = None",
    "this does not parse",
    "raise RuntimeError",
]


def notebook(cells) -> bytes:
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"nbformat": 4, "cells": [{"cell_type": "markdown", "source": "def f(): pass"}, *code]}).encode()


class OldNames(zipfile.ZipInfo):
    """A file in a zip whose name is in GBK, without the mark for UTF-8: as Chinese Windows makes them."""

    def _encodeFilenameFlags(self):
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def zipped(files: dict, kind=zipfile.ZipInfo) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(kind(name, (2026, 3, 1, 12, 0, 0)), content)
    return packed.getvalue()


GOOD = {  # what was handed in -> the student, and the file that is graded
    "right/03_attention/homework.py": ("right", "03_attention/homework.py"),
    "kit/lessons/03_attention/homework.py": ("kit", "lessons/03_attention/homework.py"),
    "short/03_attention.py": ("short", "03_attention.py"),
    "flat/homework.py": ("flat", "homework.py"),
    "copy/03_attention/homework (1).py": ("copy", "03_attention/homework (1).py"),
    "case/03_Attention/Homework.py": ("case", "03_Attention/Homework.py"),
    "deep/mine/final/v2/03_attention/homework.py": ("deep", "mine/final/v2/03_attention/homework.py"),
    "name/my solution.py": ("name", "my solution.py"),
    "misnamed/homework4.py": ("misnamed", "homework4.py"),
    "2023001_张三_homework3.py": ("2023001_张三", "2023001_张三_homework3.py"),
    "2023002_李四_03.py": ("2023002_李四", "2023002_李四_03.py"),
    "王五作业3.py": ("王五", "王五作业3.py"),
    "赵六第三次作业.py": ("赵六", "赵六第三次作业.py"),
    "homework (1).py": ("homework (1)", "homework (1).py"),
    "homework (2).py": ("homework (2)", "homework (2).py"),
    "doejohn_12345_678901_homework3-1.py": ("doejohn_12345", "doejohn_12345_678901_homework3-1.py"),
    "roe_LATE_12346_678902_hw03.py": ("roe_12346", "roe_LATE_12346_678902_hw03.py"),
    "张三丰_1234_assignsubmission_file_/homework.py": ("张三丰", "homework.py"),
}
PACKED = {
    "one.zip": ("one", "one.zip/03_attention/homework.py",
                zipped({"__MACOSX/03_attention/homework.py": "\0", "03_attention/homework.py": SOLUTION})),
    "孙七.zip": ("孙七", "孙七.zip/孙七/第3课/作业.py", zipped({"孙七/第3课/作业.py": SOLUTION}, OldNames)),
    "钱八/作业.zip": ("钱八", "作业.zip/03_attention/homework.py", zipped({"03_attention/homework.py": SOLUTION})),
    "周九/all.zip": ("周九", "all.zip/a.zip/hw3.py", zipped({"a.zip": zipped({"hw3.py": SOLUTION})})),
    "2023009_吴一_03.zip": ("2023009_吴一", "2023009_吴一_03.zip/a.py", zipped({"a.py": SOLUTION})),
}  # fmt: skip
CODED = {
    "gbk": ("# 作业\n" + SOLUTION).encode("gbk"), "declared": ("# coding: gbk\n# 作业\n" + SOLUTION).encode("gbk"),
    "bom": b"\xef\xbb\xbf" + SOLUTION.encode(), "crlf": SOLUTION.replace("\n", "\r\n").encode(),
    "utf16": SOLUTION.encode("utf-16"),
}  # fmt: skip


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The whole pile, graded by the command: (rows of the table by student, exit code, folder)."""
    folder = tmp_path_factory.mktemp("class")
    for name in GOOD:
        put(folder / "in" / name, SOLUTION.encode())
    for name, (_, _, content) in PACKED.items():
        put(folder / "in" / name, content)
    for name, content in CODED.items():
        put(folder / "in" / name / "03_attention/homework.py", content)
    put(folder / "in/cells/work.ipynb", notebook(CELLS))
    put(folder / "in/both/03_attention/homework.py", TEMPLATE.encode())  # as it was handed out
    put(folder / "in/both/03_attention/homework (1).py", SOLUTION.encode())
    put(folder / "in/extra/homework.py", SOLUTION.encode())
    for other in ("notes.txt", "minillm/gpt.py", "tests/graders/03_attention/solution.py", "a/picture.png"):
        put(folder / "in/extra" / other, b"raise SystemExit")
    put(folder / "in/two/03_attention/homework.py", SOLUTION.encode())
    put(folder / "in/two/03_attention/homework (1).py", SOLUTION.encode())
    put(folder / "in/broken/03_attention/homework.py", b"def (\n" + SOLUTION.encode())
    put(folder / "in/broken_cell/work.ipynb", notebook([SOLUTION + "\ndef ("]))
    put(folder / "in/untouched/03_attention/homework.py", TEMPLATE.encode())
    put(folder / "in/renamed/03_attention/homework.py", SOLUTION.replace("def causal_mask", "def mask").encode())
    put(folder / "in/empty/notes.docx", b"")
    put(folder / "in/wrong/04_gpt/homework.py", OTHER.encode())
    put(folder / "in/陈12.rar", b"Rar!")
    put(folder / "in/README.txt", b"not a student")
    put(os.fsencode(folder / "in") + b"/" + "黄十".encode("gbk") + b"/03_attention/homework.py", SOLUTION.encode())
    put(folder / "in/linked/notes.txt", b"")
    if sys.platform != "win32":
        (folder / "in/linked/03_attention").symlink_to("../right/03_attention")
    code = main(["homework", "3", "--grade-folder", str(folder / "in"), "--csv", str(folder / "g.csv"), "--lang", "en",
                 "--json", str(folder / "g.json"), "--seed", "3"])  # fmt: skip
    with (folder / "g.csv").open(encoding="utf-8-sig") as file:
        return {row["student"]: row for row in csv.DictReader(file)}, code, folder


def put(path, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


@pytest.mark.parametrize("name", [*GOOD, *PACKED])
def test_what_was_handed_in_is_found_and_graded(graded, name):
    student, file, *_ = (GOOD | PACKED)[name]
    row = graded[0][student]
    assert (row["total"], row["status"], row["file"]) == ("15", "graded", file), row


@pytest.mark.parametrize("student", [*CODED, "cells", "both", "extra", "黄十"])
def test_encodings_notebooks_copies_and_company(graded, student):
    assert graded[0][student]["total"] == "15", graded[0][student]
    if student in ("gbk", "utf16"):
        assert graded[0][student]["warning"] == "your file is not UTF-8: save it as UTF-8"


@pytest.mark.parametrize(
    ("student", "total", "warning"),
    [
        ("two", "15", "not used: 03_attention/homework (1).py"),
        ("broken", "0", "cannot be loaded: SyntaxError"),
        ("broken_cell", "0", "cannot be loaded: SyntaxError: cell 1"),
        ("untouched", "0", "nothing is written in it yet"),
        ("renamed", "12", "has no function causal_mask"),
    ],
)
def test_what_grading_shows_of_a_file_is_in_the_table(graded, student, total, warning):
    row = graded[0][student]
    assert (row["total"], row["status"]) == (total, "graded") and row["warning"].startswith(warning), row


@pytest.mark.parametrize(
    ("student", "status", "warning"),
    [
        ("empty", "missing", "no file for lesson 3; found notes.docx: expected 03_attention/homework.py"),
        ("wrong", "missing", "no file for lesson 3; found 04_gpt/homework.py: expected 03_attention/homework.py"),
        ("陈12", "missing", "no file for lesson 3; found 陈12.rar: expected 03_attention/homework.py"),
        ("linked", "refused", "03_attention: is a link"),
    ],
)
def test_what_is_not_there_is_named(graded, student, status, warning):
    row = graded[0][student]
    assert (row["total"], row["status"], row["warning"], row["file"]) == ("0", status, warning, "")
    assert graded[1] == 1


def test_nobody_is_made_up_and_all_are_in_the_json(graded):
    expected = {s for s, *_ in (GOOD | PACKED).values()} | {*CODED, "cells", "both", "extra", "黄十", "empty", "wrong"}
    remarked = {"two", "broken", "broken_cell", "untouched", "renamed"}
    assert set(graded[0]) == expected | remarked | {"陈12", "linked"}
    assert set(json.loads((graded[2] / "g.json").read_text(encoding="utf-8"))) == set(graded[0])


def test_a_zip_of_the_whole_class_is_the_same_class(graded, tmp_path):
    files = [path for path in (graded[2] / "in").rglob("*") if path.is_file() and path.as_posix().isprintable()]
    packed = zipped({path.relative_to(graded[2]).as_posix(): path.read_bytes() for path in files})
    (tmp_path / "class.zip").write_bytes(packed)
    found = {s.student for s in pile.read_pile(tmp_path / "class.zip", LESSONS, tmp_path)}
    expected = {s for s, *_ in (GOOD | PACKED).values()} | {
        *CODED,
        "cells",
        "both",
        "extra",
        "empty",
        "wrong",
        "two",
        "broken",
        "broken_cell",
        "untouched",
        "renamed",
        "陈12",
    }
    assert expected <= found and "README" not in found


@pytest.mark.parametrize(
    ("name", "number"),
    [("homework3.py", 3), ("hw_03.py", 3), ("HW-3 (2).py", 3), ("Lesson 12.ipynb", 12), ("第3课.py", 3), ("作业十一.py", 11),
     ("第 4 讲/答案.py", 4), ("03_attention/x.py", 3), ("attention.py", 3), ("my-attention.py", 3), ("a/04/x.py", 4),
     ("３.py", 3), ("homework3 - 副本.py", 3), ("homework99.py", None), ("2023001.py", None), ("x33.py", None),
     ("show3.py", None), ("04_gpt/homework3.py", 3), ("solution.py", None)],
)  # fmt: skip
def test_names_that_speak_of_a_lesson(name, number):
    assert lesson_of(name, LESSONS) == number


def test_chinese_numbers():
    assert [chinese_number(n) for n in ("一", "九", "十", "十四", "二十", "二十三")] == [1, 9, 10, 14, 20, 23]


def test_numbers_at_the_end_are_students_where_the_functions_say_so(tmp_path):
    for number in (1, 3, 14):
        put(tmp_path / "in" / f"student_{number:02}.py", SOLUTION.encode())
    found = {s.student: s for s in pile.read_pile(tmp_path / "in", LESSONS, tmp_path)}
    assert set(found) == {"student_01", "student_03", "student_14"}
    assert {s.find(LESSON, LESSONS).status for s in found.values()} == {"graded"}


def test_two_names_that_read_alike_stay_two_students(tmp_path):
    put(tmp_path / "张三/homework.py", b"")
    put(os.fsencode(tmp_path) + b"/" + "张三".encode("gbk") + b"/homework.py", b"")
    assert [s.student for s in pile.read_pile(tmp_path, LESSONS, tmp_path)] == ["张三", "张三 (2)"]


# ---------------------------------------------------------------------------------------------- hostile files


def test_zips_are_read_within_bounds(tmp_path):
    link = zipfile.ZipInfo("03_attention/homework.py")
    link.external_attr = 0o120777 << 16
    deep = zipped({"homework3.py": SOLUTION})
    for _ in range(5):
        deep = zipped({"x.zip": deep})
    bad = {"bomb": zipped({"homework3.py": b"#" * (200 << 20)}), "broken": zipped({"homework3.py": "x"})[:-30],
           "deep": deep, "noise": os.urandom(1000), "link": zipped({})}  # fmt: skip
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    for name, content in bad.items():
        if name != "link":
            (tmp_path / f"{name}.zip").write_bytes(content)
    (tmp_path / "work").mkdir()
    for name in bad:
        handed = collect(tmp_path / f"{name}.zip", tmp_path / "work")
        assert not handed.files and len(handed.refused) == 1, name
        assert Submission(name, handed).find(LESSON, LESSONS).status == "refused"
    assert not list((tmp_path / "work").iterdir())


def test_names_in_a_zip_never_become_paths(tmp_path):
    put(tmp_path / "a/x.zip", zipped({"../../evil.py": "x", "/abs.py": "y", "C:\\win.py": "z", "a\nb\x1b[2J.py": "w"}))
    (tmp_path / "work").mkdir()
    handed = collect(tmp_path / "a", tmp_path / "work")
    assert {f.path.parent for f in handed.files} == {tmp_path / "work"} and len(handed.files) == 3  # none for a way out
    assert all(f.name.isprintable() for f in handed.files)
    assert not list(tmp_path.glob("*.py"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")
def test_links_pipes_folders_and_large_files_are_refused(tmp_path):
    (tmp_path / "03_attention/homework.py").mkdir(parents=True)
    assert read_folder(tmp_path).find(LESSON, LESSONS).status == "refused"
    (tmp_path / "03_attention/homework.py").rmdir()
    os.mkfifo(tmp_path / "03_attention/homework.py")
    assert read_folder(tmp_path).find(LESSON, LESSONS).status == "refused"
    (tmp_path / "03_attention/homework.py").unlink()
    (tmp_path / "03_attention/homework.py").touch()
    os.truncate(tmp_path / "03_attention/homework.py", 3 << 30)
    found = read_folder(tmp_path).find(LESSON, LESSONS)
    assert (found.status, found.warning["en"]) == ("refused", "03_attention/homework.py: is larger than 1 MB")
    (tmp_path / "03_attention/homework.py").unlink()
    (tmp_path / "03_attention/homework.py").symlink_to(ROOT / "tests/graders/03_attention/solution.py")
    assert gradebook.find_file(tmp_path, LESSON) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"cells": 5}', b'{"cells": [{"cell_type": "code"}]}', b"[" * 10**5])
def test_a_broken_notebook_is_refused(tmp_path, content):
    put(tmp_path / "homework3.ipynb", content)
    with Sandbox() as sandbox:
        results = list(gradebook.grade_folder(sandbox, tmp_path, gradebook.choose(3, "attention"), [0]))
    assert (results[0].status, results[0].points) in {("wrong", 0), ("todo", 0)}


def test_of_a_notebook_only_what_a_function_needs_is_run():
    cells = ["import math\nimport os", "N = 3\nM = N + 1\nprint(M)", "def f(x):\n    return g(x) + M",
             "def g(x):\n    return 0", "def g(x):\n    y = x\n    return math.sqrt(y)", "y = f(1) / 0", "(", "!ls"]  # fmt: skip
    module, faults = module_of(cells, "f")
    space = {}
    exec(compile(module, "cells", "exec"), space)
    assert space["f"](4) == 6 and "y" not in space and "os" not in space
    assert len(faults) == 1 and faults[0].startswith("cell 7: SyntaxError")


# --------------------------------------------------------------------------------------------------- roster


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
@pytest.mark.parametrize("head", ["", "id,name,lang\n"])
def test_a_roster_is_read(tmp_path, encoding, head):
    (tmp_path / "r.csv").write_bytes((head + "2023001,张三,zh\n\n2023002,Anna Li\n").encode(encoding))
    assert roster.read_roster(tmp_path / "r.csv") == [
        roster.Person("2023001", "张三", "zh"), roster.Person("2023002", "Anna Li")]  # fmt: skip


def test_a_roster_with_other_columns_and_a_line_that_is_wrong(tmp_path):
    (tmp_path / "r.csv").write_text("姓名;班级;学号\n张三;一;7\n", encoding="utf-8")
    assert roster.read_roster(tmp_path / "r.csv") == [roster.Person("7", "张三")]
    (tmp_path / "r.csv").write_text("1,a\n2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"r\.csv:2: no id and name: write the line as id,name"):
        roster.read_roster(tmp_path / "r.csv")


def test_submissions_are_matched_by_id_then_by_name():
    people = [roster.Person("2023001", "张三"), roster.Person("2023002", "张三丰"), roster.Person("9", "Anna Li"),
              roster.Person("11", "Bob Ray"), roster.Person("20231", "李四"), roster.Person("5", "王五")]  # fmt: skip
    names = ["2023002_wrong_张三", "张三", "lianna_12345", "郑11", "李四_20231", "Ray, Bob", "Anna Lima"]
    pairs = roster.match([Submission(name) for name in names], people)
    assert [(who and who.name, handed and handed.student) for who, handed in pairs] == [
        ("张三", "张三"), ("张三丰", "2023002_wrong_张三"), ("Anna Li", "lianna_12345"), ("Bob Ray", "Ray, Bob"),
        ("李四", "李四_20231"), ("王五", None), (None, "郑11"), (None, "Anna Lima")]  # fmt: skip


def test_a_roster_orders_the_table_and_says_who_is_missing_and_late(tmp_path, capsys):
    for name in ("2_zoe_homework3.py", "1_anna_homework3.py", "eve_homework3.py"):
        put(tmp_path / "in" / name, SOLUTION.encode())
        os.utime(tmp_path / "in" / name, (1e9, 1_775_000_000 + 5400))
    (tmp_path / "r.csv").write_text("id,name,lang\n1,anna,zh\n3,carl,\n2,zoe,en\n", encoding="utf-8")
    due = __import__("datetime").datetime.fromtimestamp(1_775_000_000).isoformat()
    code = main(["homework", "3", "attention", "--grade-folder", str(tmp_path / "in"), "--csv", str(tmp_path / "g.csv"),
                 "--roster", str(tmp_path / "r.csv"), "--feedback", str(tmp_path / "f"), "--due", due,
                 "--lang", "en"])  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "g.csv").open(encoding="utf-8-sig")))
    assert code == 1 and [row["student"] for row in rows] == ["anna", "carl", "zoe", "eve"]
    assert [row["id"] for row in rows] == ["1", "3", "2", ""]
    assert [row["status"] for row in rows] == ["graded", "missing", "graded", "graded"]
    assert rows[1]["warning"].startswith("no submission") and rows[3]["warning"] == "not in the roster"
    assert [row["late"] for row in rows] == ["1.5 h", "", "1.5 h", "1.5 h"]
    assert "第 3 课" in (tmp_path / "f/1_anna.txt").read_text(encoding="utf-8")
    assert "Lesson 3" in (tmp_path / "f/2_zoe.txt").read_text(encoding="utf-8")


# ----------------------------------------------------------------------------------------- tables and text


def some_grades(names) -> list[gradebook.Grades]:
    with Sandbox() as sandbox:
        one = gradebook.grade_submission(sandbox, Submission("x"), gradebook.choose(3, None), [0])
    return [replace(one, student=name) for name in names]


def test_text_is_written_out_where_it_could_act():
    assert plain("a\x1b[2J\n\u202e\ud800\ufffe\x85b") == r"a\x1b[2J\n\u202e\ud800\ufffe\x85b"
    assert plain("玉山 🙂 é\u3000x") == "玉山 🙂 é\u3000x" and plain("a\nb", keep="\n") == "a\nb"
    for text in ("=1+1", "+1", "-1", "@a", "＝1"):
        assert cell(text) == "'" + text
    assert cell(-3) == -3 and cell("a=b") == "a=b" and cell("\t=1") == "\\t=1"


def test_no_cell_of_a_table_is_a_formula_or_breaks_a_line(tmp_path):
    names = ["=cmd|' C calc'!A0", "@SUM(1)", "eve\nmallory", "bob\x1b[2J", "张三", "<&>\ud800\ufffe"]
    tables.write_grades(some_grades(names), tmp_path / "g.csv", "en")
    rows = list(csv.reader((tmp_path / "g.csv").open(encoding="utf-8-sig", newline="")))
    assert len(rows) == 7 and len((tmp_path / "g.csv").read_text(encoding="utf-8").splitlines()) == 7
    assert not any(row[0][0] in "=+-@" for row in rows) and rows[5][0] == "张三"


def test_a_workbook_holds_the_same_as_the_table(tmp_path):
    names = ["=1+1", "张三", "<&>\ud800\ufffe\x00", "  two  "]
    grades = some_grades(names)
    tables.write_grades(grades, tmp_path / "g.xlsx", "en")
    with zipfile.ZipFile(tmp_path / "g.xlsx") as book:
        for name in book.namelist():
            xml.fromstring(book.read(name))
        sheet = xml.fromstring(book.read("xl/worksheets/sheet1.xml"))
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    rows = [["".join(c.itertext()) for c in row] for row in sheet.iter(f"{space}row")]
    assert rows == [[plain(str(value)) for value in row] for row in tables.table(grades, "en")]
    assert sheet.find(f".//{space}f") is None  # no formula


def test_the_columns_of_canvas_and_nbgrader(tmp_path):
    grades = some_grades(["doejohn_12345", "anna", "2023002_李四_03"])
    grades[1] = replace(grades[1], person=roster.Person("7", "Anna Li"))
    rows = tables.canvas(grades)
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Homework 3"]
    assert rows[1][5] == 15 and rows[2][1] == "12345" and rows[3][:3] == ["Anna Li", "", "7"] and rows[4][1] == ""
    rows = tables.nbgrader(grades)
    assert dict(zip(rows[0], rows[2], strict=True)) | {"assignment": "03_attention", "student_id": "7", "score": 0,
           "max_score": 15} == dict(zip(rows[0], rows[2], strict=True))  # fmt: skip


def test_feedback_files_have_names_of_their_own_on_every_system():
    names = ["Anna", "anna", "a/../b", "a?..?b", "..", "", "x" * 300, "café", "cafe\u0301", "con:1", "张三 " * 80]
    found = reports.file_names(some_grades(names))
    assert len({name.casefold() for name in found}) == len(names)
    assert all(re.fullmatch(r'[^\\/:*?"<>|]+', name) and len(name.encode()) < 140 for name in found)


def test_two_students_of_one_name_are_both_in_the_json(tmp_path):
    for name in ("1_张伟", "2_张伟"):
        put(tmp_path / "in" / name / "homework.py", b"")
    (tmp_path / "r.csv").write_text("1,张伟\n2,张伟\n", encoding="utf-8")
    main(["homework", "3", "attention", "--grade-folder", str(tmp_path / "in"), "--csv", str(tmp_path / "g.csv"),
          "--json", str(tmp_path / "g.json"), "--roster", str(tmp_path / "r.csv"), "--lang", "en"])  # fmt: skip
    assert set(json.loads((tmp_path / "g.json").read_text(encoding="utf-8"))) == {"张伟", "张伟 (2)"}


def test_the_table_is_whole_after_each_student(tmp_path, monkeypatch, capsys):
    for name in "abc":
        put(tmp_path / "in" / name / "homework.py", SOLUTION.encode())
    graded = gradebook.grade

    def broken(sandbox, file, *rest):
        if file.parent.name == "b":
            raise OverflowError  # a fault of ours, brought about by one submission
        if file.parent.name == "c":
            raise KeyboardInterrupt
        return graded(sandbox, file, *rest)

    monkeypatch.setattr(gradebook, "grade", broken)
    code = main(["homework", "3", "attention", "--grade-folder", str(tmp_path / "in"), "--csv", str(tmp_path / "g.csv"),
                 "--lang", "en"])  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "g.csv").open(encoding="utf-8-sig")))
    assert code == 130 and [(row["student"], row["total"]) for row in rows] == [("a", "6"), ("b", "0")]
