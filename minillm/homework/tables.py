"""Tables of grades: for a spreadsheet (.csv or .xlsx), or in the columns that Canvas or nbgrader read."""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from minillm.homework.exercise import Number
from minillm.homework.gradebook import BETWEEN, Grades, unique
from minillm.homework.plain import cell, plain
from minillm.plumbing.files import replace_file

Row = list[object]
FORMS = ("table", "canvas", "nbgrader")


def table(grades: Sequence[Grades], language: str) -> list[Row]:
    """A row a student: points of each exercise and lesson, then what was graded and what to know of it."""
    first = grades[0]
    chosen = [(r.lesson, r.exercise) for r in first.results]
    lessons = [lesson for lesson, _ in unique(chosen)]
    with_ids = any(g.person for g in grades)
    rows: list[Row] = [["student", *(["id"] if with_ids else []),
                        *(f"{lesson.code}_{exercise.name}" for lesson, exercise in chosen),
                        *(f"lesson_{lesson.code}" for lesson in lessons),
                        "total", "maximum", "status", "file", "warning", "late"]]  # fmt: skip
    for g in grades:
        rows.append([name_of(g), *([g.person.id if g.person else ""] if with_ids else []),
                     *(r.points for r in g.results), *(lesson_points(g, lesson.number) for lesson in lessons),
                     g.points, g.maximum, g.status, files_of(g), warnings_of(g, language), g.late])  # fmt: skip
    return rows


def name_of(grades: Grades) -> str:
    return grades.person.name if grades.person else grades.student


def lesson_points(grades: Grades, number: Number) -> int:
    return sum(r.points for r in grades.results if r.lesson.number == number)


def per_lesson(texts: dict[Number, str]) -> str:
    """The text of each lesson that has one, its number before it if there are several lessons."""
    return "; ".join(text if len(texts) == 1 else f"{number}: {text}" for number, text in texts.items() if text)


def files_of(grades: Grades) -> str:
    return per_lesson({number: found.file.name if found.file else "" for number, found in grades.found.items()})


def warnings_of(grades: Grades, language: str) -> str:
    texts = {number: found.warning[language] if found.warning else "" for number, found in grades.found.items()}
    return BETWEEN[language].join(text for text in (grades.note, per_lesson(texts)) if text)


def canvas(grades: Sequence[Grades]) -> list[Row]:
    """The columns of Canvas' gradebook import: an assignment a lesson, the points possible in the first row."""
    lessons = [r.lesson for r in grades[0].results]
    lessons = list({lesson.number: lesson for lesson in lessons}.values())
    head: Row = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    most = [sum(r.exercise.points for r in grades[0].results if r.lesson is lesson) for lesson in lessons]
    rows = [[*head, *(f"Homework {lesson.number}" for lesson in lessons)],
            ["    Points Possible", "", "", "", "", *most]]  # fmt: skip
    for g in grades:
        own = re.search(r"^[^\d_]+_(\d{3,})$", g.student)  # the number of the user, in files that Canvas names
        rows.append([name_of(g), own[1] if own else "", g.person.id if g.person else "", "", "",
                     *(lesson_points(g, lesson.number) for lesson in lessons)])  # fmt: skip
    return rows


def nbgrader(grades: Sequence[Grades]) -> list[Row]:
    """The columns of `nbgrader export`: a row for each student and lesson."""
    rows: list[Row] = [["assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
                        "raw_score", "late_submission_penalty", "score", "max_score"]]  # fmt: skip
    for g in grades:
        for lesson in {r.lesson.number: r.lesson for r in g.results}.values():
            points = lesson_points(g, lesson.number)
            most = sum(r.exercise.points for r in g.results if r.lesson is lesson)
            rows.append([lesson.folder, "", "", g.person.id if g.person else g.student, name_of(g), "", "",
                         points, 0, points, most])  # fmt: skip
    return rows


def write_grades(grades: Sequence[Grades], path: Path, language: str, form: str = "table") -> None:
    """Write a table of all students, in one of the `FORMS`; as a workbook if the path ends with .xlsx, else CSV."""
    rows = {"canvas": canvas, "nbgrader": nbgrader}[form](grades) if form != "table" else table(grades, language)
    content = workbook(rows) if path.suffix.lower() == ".xlsx" else comma_separated(rows)
    replace_file(path, lambda partial: partial.write_bytes(content))


def comma_separated(rows: Sequence[Row]) -> bytes:
    """CSV, with the mark by which Excel knows UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


# ------------------------------------------------------------------------------------------------- .xlsx

TYPES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">\
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>\
<Default Extension="xml" ContentType="application/xml"/>\
<Override PartName="/xl/workbook.xml" \
ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>\
<Override PartName="/xl/worksheets/sheet1.xml" \
ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"""
RELATIONS = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">\
<Relationship Id="rId1" \
Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/></Relationships>"""
BOOK = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" \
xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">\
<sheets><sheet name="grades" sheetId="1" r:id="rId1"/></sheets></workbook>"""
SHEET = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">\
<sheetData>{rows}</sheetData></worksheet>"""


def workbook(rows: Sequence[Row]) -> bytes:
    """An Excel workbook of one sheet: numbers as numbers, text as text (never as a formula)."""
    lines = [f"<row>{''.join(map(sheet_cell, row))}</row>" for row in rows]
    parts = {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": RELATIONS.format(kind="officeDocument", target="xl/workbook.xml"),
        "xl/workbook.xml": BOOK,
        "xl/_rels/workbook.xml.rels": RELATIONS.format(kind="worksheet", target="worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": SHEET.format(rows="".join(lines)),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return packed.getvalue()


def sheet_cell(value: object) -> str:
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(plain(str(value)))}</t></is></c>'
