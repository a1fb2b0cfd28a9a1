"""What a teacher hands out: the kit for students, and the autograder for Gradescope."""

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from minillm.plumbing.files import InputError, replace_file

ROOT = Path(__file__).parents[2]
KIT = ("minillm", "lessons", "notebooks", "tests/homework", "requirements.txt", "pyproject.toml", "Makefile", "LICENSE",
       "README.md", "README.zh.md")  # fmt: skip
DESK = ("lessons", "notebooks", "requirements.txt", "LICENSE")  # without what computes right answers

WORKFLOW = """# GitHub runs this for every push of a student: the homework is graded, the report is on the run's page.
# A student can change the graders in their own copy. For marks, fetch all copies (for example with
# `gh classroom clone student-repos`) and grade them with your own: python -m minillm homework --grade-folder DIR
name: homework
on: [push, workflow_dispatch]
permissions:
  contents: read
jobs:
  grade:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
      - name: Install, PyTorch without CUDA
        run: |
          pip install --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' requirements.txt)"
          pip install -r requirements.txt
      - name: Grade
        shell: bash
        run: |
          set -o pipefail
          python -m minillm homework --json homework.json | tee homework.txt
          { echo '```'; cat homework.txt; echo '```'; } >> "$GITHUB_STEP_SUMMARY"
      - uses: actions/upload-artifact@v4
        with:
          name: homework
          path: homework.json
"""
NO_SOLUTIONS = """# Homework

Write the functions in lessons/NN_name/homework.py. What each must do is in its docstring; the idea is in the
notebook of the same name. Hand in your files: your teacher grades them.

在 lessons/NN_name/homework.py 里写函数。每个函数要做什么，写在它的说明里；思路在同名的 notebook 里。
写好后交上文件，由老师批改。

This kit holds no framework and no graders, so no right answers: the notebooks are for reading.
这份材料不含框架和批改程序，也就没有答案：notebook 供阅读。
"""


def shipped_files(names: Sequence[str]) -> list[Path]:
    """Files of the project below the given names, without what running it leaves behind.

    Raises InputError if one is not there, as in an installed package.
    """
    found = []
    for name in names:
        path = ROOT / name
        if not path.exists():
            raise InputError(f"{path}: not there: run this in a checkout of the project")
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [p for p in inside if p.is_file() and not any(part.startswith((".", "__pycache__")) for part in
                                                               p.relative_to(ROOT).parts)]  # fmt: skip
    return found


def release(folder: Path, solutions: bool = True) -> int:
    """Copy the kit for students into `folder`; return the number of its files.

    It is ready to be a template repository of a classroom on GitHub. The tests of the graders stay behind;
    without `solutions` so do framework and graders, and grading is the teacher's alone.
    Raises InputError if the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not an empty folder: name a new one for the kit")
    files = shipped_files(KIT if solutions else DESK)
    if not solutions:
        files = [f for f in files if f.parts[len(ROOT.parts)] != "lessons" or f.name == "homework.py"]
    written = {".github/workflows/homework.yml": WORKFLOW} if solutions else {"README.md": NO_SOLUTIONS}
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for file in files:
            target = partial / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        for name, text in written.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_text(text, encoding="utf-8", newline="\n")
        if folder.exists():
            folder.rmdir()
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(files) + len(written)


# -------------------------------------------------------------------------------------------- Gradescope

SETUP = """#!/usr/bin/env bash
# Gradescope runs this once when it builds the image of the autograder.
set -euo pipefail
apt-get update && apt-get install -y python3 python3-venv
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "minillm needs Python 3.11 or newer: choose a base image with Ubuntu 24.04 or newer" >&2
    exit 1
}
python3 -m venv /autograder/venv
cd /autograder/source
pip=/autograder/venv/bin/pip
$pip install --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' requirements.txt)"  # without CUDA
$pip install -r requirements.txt
"""
RUN = """#!/usr/bin/env bash
# Gradescope runs this for every submission. The grader writes the results when no process of the student's is left.
set -euo pipefail
cd /autograder/source
mkdir -p /autograder/results
chmod -R go-rwx /autograder/source /autograder/results  # where the kernel has no Landlock, students' code is nobody
/autograder/venv/bin/python -m minillm homework {what}--folder /autograder/submission --lang {language} \\
    --gradescope-results /autograder/results/results.json
"""


def write_gradescope(folder: Path, language: str, lesson: int | None = None, exercise: str | None = None) -> Path:
    """A zip after Gradescope's autograder layout: setup.sh, run_autograder, and what they need."""
    path = folder / "autograder.zip"
    what = "".join(f"{word} " for word in (lesson, exercise) if word is not None)
    files = shipped_files(("minillm", "requirements.txt"))

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in (("setup.sh", SETUP), ("run_autograder", RUN.format(language=language, what=what))):
                info = zipfile.ZipInfo(name)
                info.external_attr = 0o755 << 16  # executable
                archive.writestr(info, content)
            for file in files:
                archive.write(file, file.relative_to(ROOT))

    replace_file(path, write)
    return path
