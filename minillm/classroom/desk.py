"""A student's desk in a notebook: `check`, `hint`, `progress`, `reset`.

They look at the function that a cell has defined; where there is none, or it is as it was handed out, at the file
`lessons/NN_name/homework.py`. The function runs in the notebook's own process, which answers at once. Marks are given
by `python -m minillm homework`, which runs the file in a process of its own.
"""

import difflib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minillm.classroom.lesson_tools import language
from minillm.classroom.notices import Notice, Row
from minillm.homework import gradebook, messages, stubs
from minillm.homework import progress as record
from minillm.homework.exercise import Exercise, Lesson
from minillm.homework.grade import Result, grade
from minillm.homework.here import Here
from minillm.homework.lessons import all_lessons
from minillm.plumbing import course
from minillm.plumbing.files import InputError
from minillm.plumbing.languages import Text

WORDS: Mapping[str, Text] = {
    "next": {"en": "Next: lesson {number}, `{name}`.", "zh": "下一题：第 {number} 课，`{name}`。"},
    "all": {"en": "Every exercise of the course is right.", "zh": "整门课的练习全部正确。"},
    "cell": {"en": "the function of this notebook", "zh": "这个 notebook 里的函数"},
    "todo": {"en": "Still as it was handed out: write it in a cell or in the file, run the cell, and check again.",
             "zh": "还没有写：在单元格或文件里写好，运行单元格，再检查一次。"},
    "more": {"en": "Stuck? `hint(\"{name}\")` helps in three steps.", "zh": "卡住了？`hint(\"{name}\")` 分三步提示。"},
    "hand-in": {"en": "To hand it in, write it into `{file}`.", "zh": "要交作业，请把它写进 `{file}`。"},
    "head": {"en": "{name}: {points}/{most} points, {status} ({what})", "zh": "{name}：{points}/{most} 分，{status}（{what}）"},
    "hint": {"en": "hint {step} of 3", "zh": "提示 {step} / 3"},
    "read": {"en": "Read {place} again. Then take the smallest input and work out by hand what should come out.",
             "zh": "先重读 {place}。再拿下面这个最小的输入，手算应该得到什么。"},
    "answer": {"en": "What should come out of this input. Which line of yours makes the difference?",
               "zh": "这个输入应该得到的结果。你的哪一行造成了差别？"},
    "no-hint": {"en": "Right already: no hint needed.", "zh": "已经正确，不需要提示。"},
    "reset": {"en": "In `{file}` it is as it was handed out. What you had written is kept in `{kept}`.",
              "zh": "`{file}` 里的这个函数已恢复原样。你写过的保存在 `{kept}`。"},
    "as-it-was": {"en": "In `{file}` it is still as it was handed out. The function of the notebook is forgotten.",
                  "zh": "`{file}` 里的这个函数还是发下来的样子。notebook 里的函数已经忘掉。"},
    "not-there": {"en": "`{file}` has no function of this name: nothing was changed.",
                  "zh": "`{file}` 里没有这个函数：什么也没有改。"},
    "progress": {"en": "{reached} of {most} points", "zh": "{reached} / {most} 分"},
}  # fmt: skip


@dataclass
class Steps:
    """How many hints were given for each exercise since the notebook began."""

    given: dict[str, int] = field(default_factory=dict)

    def next_of(self, key: str) -> int:
        """1, 2, 3, 3, …"""
        self.given[key] = min(3, self.given.get(key, 0) + 1)
        return self.given[key]


STEPS = Steps()


def say(word: str, **values: object) -> str:
    return WORDS[word][language()].format(**values)


def find(name: str | Callable, lesson: int | str | None) -> tuple[Lesson, Exercise]:
    """The exercise of this name. Raises InputError where no lesson has it, or several have."""
    wanted = name if isinstance(name, str) else name.__name__
    found = [(le, e) for le, e in gradebook.choose(lesson, None) if e.name == wanted]
    if not found:
        known = list(dict.fromkeys(e.name for _, e in gradebook.choose(lesson, None)))
        near = difflib.get_close_matches(wanted, known, 3) or known
        raise InputError(f"no exercise is called {wanted!r}: choose one of {', '.join(near)}")
    if len(found) > 1:
        numbers = " or ".join(f"lesson={le.number!r}" for le, _ in found)
        raise InputError(f"several lessons have {wanted!r}: say which, {numbers}")
    return found[0]


def homework_file(lesson: Lesson) -> Path:
    return course.desk() / "lessons" / lesson.folder / "homework.py"


def shown(file: Path) -> str:
    """A file as seen from the folder of the course."""
    return file.relative_to(course.desk()).as_posix()


def in_notebook(name: str | Callable) -> Callable | None:
    """The function that a cell has defined. What a cell has imported is not the student's own."""
    if not isinstance(name, str):
        return name
    function = vars(sys.modules["__main__"]).get(name)
    return function if inspect.isfunction(function) and function.__module__ == "__main__" else None


def graded(name: str | Callable, lesson: Lesson, exercise: Exercise) -> tuple[Result, str]:
    """(result, what was graded): the function of the notebook, or the file's where that is not written yet."""
    tries: list[tuple[Callable | Path, str]] = []
    if function := in_notebook(name):
        tries.append((function, say("cell")))
    if homework_file(lesson).is_file():
        tries.append((homework_file(lesson), shown(homework_file(lesson))))
    if not tries:
        return Result(lesson, exercise, "todo", 0), ""
    while True:
        file, what = tries.pop(0)
        result = grade(Here(), file, lesson, exercise, gradebook.default_seeds())
        if result.status != "todo" or not tries:
            return result, what


def check(name: str | Callable, lesson: int | str | None = None) -> Notice:
    """Grade one exercise now: the function of this name in the notebook, or the one in the lesson's homework.py.

    `lesson` is needed only where two lessons have an exercise of the same name. Raises InputError for a name that no
    lesson has.
    """
    where, exercise = find(name, lesson)
    result, what = graded(name, where, exercise)
    reached = record.record(course.desk(), [result])
    status = messages.STATUS[language()][result.status]
    head = say("head", name=exercise.name, points=result.points, most=exercise.points, status=status, what=what)
    if result.status == "todo":
        return Notice(
            "todo",
            f"{exercise.name}{messages.WORDS[language()]['colon']}{status}",
            [say("todo"), say("more", name=exercise.name)],
        )
    if result.status == "wrong":
        reason, *rows = messages.feedback(result, language())
        return Notice("wrong", head, [reason, *map(row, rows), say("more", name=exercise.name)])
    said = [say("hand-in", file=shown(homework_file(where)))] if what == say("cell") else []
    return Notice("right", head, [*said, next_exercise(reached, (where, exercise))])


def row(line: str) -> str | Row:
    """A line of the message as the row of a table, where it has a name before a colon."""
    name, colon, text = line.partition(messages.WORDS[language()]["colon"])
    names = {messages.WORDS[language()][word] for word in ("input", "expected", "got", "check", "see", "printed")}
    return Row(name, text) if colon and name in names else Row("", line)


def next_exercise(reached: record.Reached, after: tuple[Lesson, Exercise] | None = None) -> str:
    coming = record.following(all_lessons(), reached, after)
    return say("all") if coming is None else say("next", number=coming[0].number, name=coming[1].name)


def hint(name: str | Callable, step: int | None = None, lesson: int | str | None = None) -> Notice:
    """One more hint at each call: where to read and what to try by hand; the idea; what should come out. Or `step` 1 to 3.

    The hints are about the first check that fails. Raises InputError as `check` does.
    """
    where, exercise = find(name, lesson)
    result, _ = graded(name, where, exercise)
    if result.status == "right":
        return Notice("right", exercise.name, [say("no-hint")])
    number = min(3, max(1, step)) if step else STEPS.next_of(record.key(where, exercise))
    failing, given, expected = messages.smallest(result, language())
    words = messages.WORDS[language()]
    lines: dict[int, list[str | Row]] = {
        1: [say("read", place=messages.notebook(result, language())), Row(words["input"], given)],
        2: [failing.hint[language()]],
        3: [say("answer"), Row(words["input"], given), Row(words["expected"], expected)],
    }
    return Notice("todo", f"{exercise.name}{words['colon']}{say('hint', step=number)}", lines[number])


def progress() -> Notice:
    """What was reached so far, lesson by lesson, and which exercise comes next. Counts what `check` and
    `python -m minillm homework` have seen."""
    reached, lessons = record.read(course.desk()), all_lessons()
    rows, total = [], [0, 0]
    for lesson in lessons:
        points = [min(e.points, reached.get(record.key(lesson, e), 0)) for e in lesson.exercises]
        most = sum(e.points for e in lesson.exercises)
        marks = " ".join(
            "✓" if p == e.points else "·" if not p else "◐" for p, e in zip(points, lesson.exercises, strict=True)
        )
        rows.append(Row(f"{lesson.number} {lesson.title[language()]}", f"{marks}   {sum(points)}/{most}"))
        total = [total[0] + sum(points), total[1] + most]
    return Notice("todo", say("progress", reached=total[0], most=total[1]), [*rows, next_exercise(reached)])


def reset(name: str | Callable, lesson: int | str | None = None) -> Notice:
    """Put one function of homework.py back as it was handed out, and forget the one of the notebook. What was written
    is kept in a file next to it. Raises InputError as `check` does, and where the file is not valid Python."""
    where, exercise = find(name, lesson)
    main: dict[str, Any] = vars(sys.modules["__main__"])
    if in_notebook(exercise.name):
        del main[exercise.name]
    file = homework_file(where)
    kept = stubs.reset(file, exercise.name)
    if kept == file:
        return Notice("todo", exercise.name, [say("as-it-was", file=shown(file))])
    if kept is None:
        return Notice("todo", exercise.name, [say("not-there", file=shown(file))])
    return Notice("todo", exercise.name, [say("reset", file=shown(file), kept=shown(kept))])
