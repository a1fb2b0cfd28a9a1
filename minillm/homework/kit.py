"""What is handed out: the course laid out to work in, the kit for students, the autograder for Gradescope."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from minillm.homework.lessons import all_lessons
from minillm.homework.tutor import rules
from minillm.plumbing import course
from minillm.plumbing.files import InputError, replace_file

COURSE = ("lessons", "notebooks", "tests/homework", "LICENSE")  # for those who have the package
DESK = ("lessons", "notebooks", "requirements.txt", "LICENSE")  # without what computes right answers
KIT = ("minillm", *COURSE, "site", "requirements.txt", "pyproject.toml", "setup.py", "Makefile", "lab.bat", "README.md",
       "README.zh.md")  # fmt: skip

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
LAID_OUT = {
    "en": """{folder}: {written} files written; {kept} were there and stay as they are
cd {folder}, then
  python -m minillm homework 3                          grade lesson 3: you write lessons/03_attention/homework.py
  python -m pip install -r lessons/requirements.txt     once, for the notebooks
  jupyter lab                                           read and run: notebooks/en
  python -m minillm demo                                all stages of training in minutes""",
    "zh": """{folder}：写了 {written} 个文件；已有的 {kept} 个保持不动
先 cd {folder}，然后
  python -m minillm homework 3                          批改第 3 课：你来写 lessons/03_attention/homework.py
  python -m pip install -r lessons/requirements.txt     运行 notebook 之前装一次
  jupyter lab                                           阅读、运行：notebooks/zh
  python -m minillm demo                                几分钟看完训练的所有阶段""",
}
NO_SOLUTIONS = """# Homework

Write the functions in lessons/NN_name/homework.py. What each must do is in its docstring; the idea is in the
notebook of the same name. Hand in your files: your teacher grades them.

在 lessons/NN_name/homework.py 里写函数。每个函数要做什么，写在它的说明里；思路在同名的 notebook 里。
写好后交上文件，由老师批改。

This kit holds no framework and no graders, so no right answers: the notebooks are for reading.
这份材料不含框架和批改程序，也就没有答案：notebook 供阅读。
"""


def shipped_files(names: Sequence[str]) -> dict[str, Path]:
    """Files below the given names of the project, without what running it leaves behind: name -> where it is.

    Raises InputError if one is not there.
    """
    found: dict[str, Path] = {}
    for name in names:
        root = course.PACKAGE.parent if name == "minillm" else course.shipped()
        path = root / name
        if not path.exists():
            raise InputError(f"{path}: not there: run this in a checkout of the project, or install it again")
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found |= {p.relative_to(root).as_posix(): p for p in inside if p.is_file()}
    return {name: path for name, path in found.items() if not is_left_behind(name)}


def is_left_behind(name: str) -> bool:
    """Whether it is no file of the project's: hidden, compiled, or the course inside an installed package."""
    return name.startswith("minillm/course/") or any(p.startswith((".", "__pycache__")) for p in name.split("/"))


def put(folder: Path, files: Mapping[str, Path | str]) -> None:
    """Write files into a folder, by name: copies of others, or texts."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, folder / name)
        else:
            (folder / name).write_text(content, encoding="utf-8", newline="\n")


def tutor_rules() -> dict[str, str]:
    """What tells an AI assistant how to help: `AGENTS.md`."""
    return {"AGENTS.md": rules(all_lessons())}


def lay_out(folder: Path) -> tuple[int, int]:
    """Copy lessons, notebooks and homework into `folder`, to work on them with an installed package.

    A file that is there is never touched. Returns how many were written, and how many were there.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is not a folder: name another one")
    files: dict[str, Path | str] = {**shipped_files(COURSE), **tutor_rules()}
    new = {name: content for name, content in files.items() if not os.path.lexists(folder / name)}
    put(folder, new)
    return len(new), len(files) - len(new)


def release(folder: Path, solutions: bool = True) -> int:
    """Copy the kit for students into `folder`; return the number of its files.

    It is ready to be a template repository of a classroom on GitHub. The tests of the graders stay behind;
    without `solutions` so do framework and graders, and grading is the teacher's alone.
    Raises InputError if the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not an empty folder: name a new one for the kit")
    copied = shipped_files(KIT if solutions else DESK)
    if not solutions:
        copied = {n: f for n, f in copied.items() if n.split("/")[0] != "lessons" or f.name == "homework.py"}
    files: dict[str, Path | str] = {**copied, **tutor_rules()}
    files |= {".github/workflows/homework.yml": WORKFLOW} if solutions else {"README.md": NO_SOLUTIONS}
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        put(partial, files)
        if folder.exists():
            folder.rmdir()
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(files)


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


def write_gradescope(folder: Path, language: str, lesson: str | None = None, exercise: str | None = None) -> Path:
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
            for name, file in files.items():
                archive.write(file, name)

    replace_file(path, write)
    return path
