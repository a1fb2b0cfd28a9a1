"""Grades for teachers: JSON, Gradescope, and a table of many students."""

import csv
import io
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from minillm.homework.grade import Result
from minillm.homework.messages import STATUS, feedback
from minillm.plumbing.files import InputError, replace_file, write_json, write_text

ROOT = Path(__file__).parents[2]


def record(result: Result, language: str) -> dict:
    """One exercise as plain values: exercise, points, maximum, status, message."""
    return {"lesson": result.lesson.number, "exercise": result.exercise.name, "points": result.points,
            "maximum": result.exercise.points, "status": STATUS["en"][result.status],
            "message": "\n".join(feedback(result, language))}  # fmt: skip


def write_results(results: Sequence[Result], path: Path, language: str) -> None:
    """A JSON list of `record`s."""
    write_json(path, [record(r, language) for r in results])


def gradescope_results(results: Sequence[Result], language: str) -> dict:
    """Gradescope's results.json: one test an exercise."""
    tests = [{"name": f"{r.lesson.number}. {r.exercise.name}", "score": r.points, "max_score": r.exercise.points,
              "status": "passed" if r.status == "right" else "failed", "output": "\n".join(feedback(r, language))
              or STATUS[language][r.status], "visibility": "visible"} for r in results]  # fmt: skip
    return {"score": sum(r.points for r in results), "output_format": "text", "tests": tests}


SETUP = """#!/usr/bin/env bash
# Gradescope runs this once when it builds the image of the autograder.
set -euo pipefail
apt-get update && apt-get install -y python3 python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install -r /autograder/source/requirements.txt
"""
RUN = """#!/usr/bin/env bash
# Gradescope runs this for every submission.
set -euo pipefail
cd /autograder/source
/autograder/venv/bin/python -m minillm homework --folder /autograder/submission --lang {language} \\
    --gradescope-results /autograder/results/results.json
"""


def write_gradescope(folder: Path, language: str) -> Path:
    """A zip after Gradescope's autograder layout: setup.sh, run_autograder, and what they need."""
    path = folder / "autograder.zip"

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in (("setup.sh", SETUP), ("run_autograder", RUN.format(language=language))):
                info = zipfile.ZipInfo(name)
                info.external_attr = 0o755 << 16  # executable
                archive.writestr(info, content)
            for file in shipped_files(("minillm", "requirements.txt")):
                archive.write(file, file.relative_to(ROOT))

    replace_file(path, write)
    return path


def shipped_files(names: Sequence[str]) -> list[Path]:
    """Files of the project below the given names, without what running it leaves behind."""
    found = []
    for name in names:
        path = ROOT / name
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [p for p in inside if p.is_file() and not any(part.startswith((".", "__pycache__")) for part in
                                                               p.relative_to(ROOT).parts)]  # fmt: skip
    return found


KIT = ("minillm", "lessons", "notebooks", "tests/homework", "requirements.txt", "pyproject.toml", "Makefile", "LICENSE",
       "README.md", "README.zh.md")  # fmt: skip


def release(folder: Path) -> int:
    """Copy the kit for students into `folder`: everything but the tests of the graders; return the files copied.

    Raises InputError if the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not an empty folder: name a new one for the kit")
    files = shipped_files(KIT)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for file in files:
            target = partial / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        if folder.exists():
            folder.rmdir()
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(files)


def find_students(folder: Path) -> list[tuple[str, Path]]:
    """(name, folder) of each student in a folder of submissions. Raises InputError if there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: name the folder that holds the submissions")
    students = [(p.name, p) for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    if not students:
        raise InputError(f"{folder}: holds no folders: put one folder a student there, with homework files inside")
    return students


def write_grades(grades: dict[str, Sequence[Result]], path: Path) -> None:
    """A CSV table: a row a student, a column an exercise, the total at the end."""
    table = io.StringIO()
    first = next(iter(grades.values()))
    writer = csv.writer(table)
    writer.writerow(["student", *(f"{r.lesson.number:02}_{r.exercise.name}" for r in first), "total", "maximum"])
    for student, results in grades.items():
        total, most = sum(r.points for r in results), sum(r.exercise.points for r in results)
        writer.writerow([student, *(r.points for r in results), total, most])
    write_text(path, table.getvalue().replace("\r\n", "\n"))
