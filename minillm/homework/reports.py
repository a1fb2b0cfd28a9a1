"""Grades as files: JSON, Gradescope's results, and a feedback file for each student."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from minillm.homework.grade import Result
from minillm.homework.gradebook import Grades
from minillm.homework.messages import STATUS, WORDS, feedback, overview
from minillm.homework.submissions import Found
from minillm.plumbing.files import write_json, write_text

FILE = {"en": "file", "zh": "文件"}
LATE = {"en": "late", "zh": "迟交"}


def record(result: Result, language: str, found: Found | None = None) -> dict:
    """One exercise as plain values: exercise, points, maximum, status, message."""
    warning = [found.warning[language]] if found and found.warning else []
    return {"lesson": result.lesson.number, "exercise": result.exercise.name, "points": result.points,
            "maximum": result.exercise.points, "status": STATUS["en"][result.status],
            "message": "\n".join([*warning, *feedback(result, language)])}  # fmt: skip


def records(grades: Grades, language: str) -> list[dict]:
    """A `record` of each exercise of a student."""
    return [record(r, language, grades.found.get(r.lesson.number)) for r in grades.results]


def write_results(results: Sequence[Result], path: Path, language: str) -> None:
    """A JSON list of `record`s."""
    write_json(path, [record(r, language) for r in results])


def gradescope_results(grades: Grades, language: str) -> dict:
    """Gradescope's results.json: one test an exercise."""
    tests = [{"name": f"{r['lesson']}. {r['exercise']}", "score": r["points"], "max_score": r["maximum"],
              "status": "passed" if r["points"] == r["maximum"] else "failed", "visibility": "visible",
              "output": r["message"] or STATUS[language][result.status]}
             for r, result in zip(records(grades, language), grades.results, strict=True)]  # fmt: skip
    return {"score": grades.points, "output_format": "text", "tests": tests}


def notes(grades: Grades, language: str) -> list[str]:
    """What to know of the files: a line a lesson whose file is missing, refused, or was found with a remark."""
    lines = [] if not grades.note else [grades.note]
    for found in grades.found.values():
        if found.warning:
            name = f"{found.file.name}{WORDS[language]['colon']}" if found.file else ""
            lines.append(f"{name}{found.warning[language]}")
    return lines


def write_feedback(grades: Grades, folder: Path, name: str, language: str) -> Path:
    """A text file for one student: what was graded, every exercise, and the reasons for points that were lost."""
    lines = [grades.person.name if grades.person else grades.student]
    lines += [
        f"{FILE[language]}{WORDS[language]['colon']}{found.file.name}" for found in grades.found.values() if found.file
    ]
    lines += [f"{LATE[language]}{WORDS[language]['colon']}{grades.late}"] if grades.late else []
    lines += [*notes(grades, language), "", overview(grades.results, language, details=True), ""]
    path = folder / f"{name}.txt"
    write_text(path, "\n".join(lines))
    return path


def file_names(grades: Sequence[Grades]) -> list[str]:
    """A name for each student that every system takes, no two alike but for capitals."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for name in map(file_name, grades):
        key = unicodedata.normalize("NFC", name).casefold()
        seen[key] = seen.get(key, 0) + 1
        names.append(name if seen[key] == 1 else f"{name} ({seen[key]})")
    return names


def file_name(grades: Grades) -> str:
    name = f"{grades.person.id} {grades.person.name}" if grades.person else grades.student
    name = re.sub(r'[\\/:*?"<>|\s]+', "_", name).strip("._ ") or "student"
    while len(name.encode()) > 120:
        name = name[:-1]
    return name
