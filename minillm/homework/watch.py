"""Homework graded again whenever its file is saved: `python -m minillm homework 3 --watch`."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from minillm.homework.grade import Caller, Result, grade
from minillm.homework.gradebook import Chosen, unique
from minillm.homework.progress import following, record
from minillm.plumbing import course
from minillm.plumbing.languages import Text

WATCHING: Text = {"en": "watching {folder}: save a file to grade it again; Ctrl-C ends",
                  "zh": "正在监视 {folder}：保存文件就会重新批改；按 Ctrl-C 结束"}  # fmt: skip
NEXT: Text = {"en": "next: lesson {number}, {name}", "zh": "下一题：第 {number} 课，{name}"}
ALL_RIGHT: Text = {"en": "all of it is right", "zh": "全部正确"}
PAUSE = 0.3  # seconds between two looks at the files


def rounds(
    caller: Caller, folder: Path, chosen: Chosen, seeds: Sequence[int], pause: Callable[[float], object] = time.sleep
) -> Iterator[list[Result]]:
    """The results of the exercises whose file is new or has changed since the last round, again and again, without
    end. `folder` holds NN_name/homework.py; a file that is not there is waited for."""
    known: dict[Path, tuple[int, int]] = {}
    while True:
        changed = []
        for path in dict.fromkeys(file_of(folder, lesson.folder) for lesson, _ in chosen):
            if (state := state_of(path)) and known.get(path) != state:
                known[path] = state
                changed.append(path)
        if changed:
            yield [grade(caller, file_of(folder, lesson.folder), lesson, exercise, seeds)
                   for lesson, exercise in chosen if file_of(folder, lesson.folder) in changed]  # fmt: skip
        pause(PAUSE)


def file_of(folder: Path, name: str) -> Path:
    return folder / name / "homework.py"


def state_of(path: Path) -> tuple[int, int] | None:
    """What differs when a file was saved; None if it is not there (an editor may be about to replace it)."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def coming(results: Sequence[Result], chosen: Chosen, language: str) -> str:
    """Record the results and name the first of the chosen exercises that is not right."""
    reached = record(course.desk(), results)
    lessons = [lesson for lesson, _ in unique(chosen)]
    found = following(lessons, reached)
    if found is None:
        return ALL_RIGHT[language]
    return NEXT[language].format(number=found[0].number, name=found[1].name)
