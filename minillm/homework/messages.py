"""What a student reads: the status of each exercise, and of a wrong one the reason, in their language."""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from minillm.homework.child import Linear, ToyModel
from minillm.homework.exercise import Check, Exercise
from minillm.homework.grade import Failure, Result, make_inputs

STATUS = {
    "en": {"todo": "to do", "right": "right", "wrong": "wrong"},
    "zh": {"todo": "未做", "right": "正确", "wrong": "错误"},
}
MARK = {"todo": "·", "right": "✓", "wrong": "✗"}
WORDS = {
    "en": {"check": "failed check", "input": "smallest input", "expected": "expected", "got": "got", "line": " (line {})",
           "see": "see", "lesson": "Lesson {}", "total": "total", "printed": "your code printed", "points": "points",
           "part": " (also failed: {})", "colon": ": ", "notebook": "{}, “{}”",
           "above": "not graded: see the error in this file above"},
    "zh": {"check": "没通过的检查", "input": "最小的输入", "expected": "期望结果", "got": "你的结果", "line": "（第 {} 行）",
           "see": "参看", "lesson": "第 {} 课", "total": "合计", "printed": "你的代码打印了", "points": "分",
           "part": "（还没通过：{}）", "colon": "：", "notebook": "{}，“{}”",
           "above": "未评分：见上面这个文件的错误"},
}  # fmt: skip


def show(value: Any, most: int = 300) -> str:
    """A value in few characters: arrays with their shape and four digits."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        numbers = np.array2string(
            value, precision=4, suppress_small=True, threshold=24, separator=", ", max_line_width=10_000
        )
        text = f"{tuple(value.shape)} {' '.join(numbers.split())}" if value.ndim else numbers
    elif isinstance(value, tuple | list) and any(isinstance(v, torch.Tensor | np.ndarray) for v in value):
        text = ", ".join(show(v, most) for v in value)
    elif isinstance(value, Linear | ToyModel):
        text = type(value).__name__
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif type(value) is dict:
        text = f"{{{', '.join(ends([f'{show(k)}: {show(v)}' for k, v in value.items()]))}}}"
    elif type(value) in (tuple, list) and any(isinstance(v, float) for v in value):
        inner = ", ".join(show(v) for v in value)
        text = f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    else:
        text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def ends(items: list[str], most: int = 12) -> list[str]:
    """The items; of many the first two and the last ones, where a table of ranks has what was learned."""
    return items if len(items) <= most else [*items[:2], "…", *items[2 - most :]]


def feedback(result: Result, language: str) -> list[str]:
    """Why points were lost, one line per reason; nothing for an exercise that is right or to do."""
    failure, words = result.failure, WORDS[language]
    if failure is None:
        return []
    lines = [failure.message[language]]
    if failure.outcome.error:
        place = words["line"].format(failure.outcome.line) if failure.outcome.line else ""
        lines.append(failure.outcome.error + place)
    more = compared(result, failure, language) if failure.outcome.loaded and failure.slip != "no-such-function" else []
    if result.printed:
        more.append(("printed", show(result.printed.strip())))
    return lines + [f"{words[word]}{words['colon']}{text}" for word, text in more]


def compared(result: Result, failure: Failure, language: str) -> list[tuple[str, str]]:
    """The smallest input, what was expected and what came, the checks that failed and where to read about them."""
    found = [("input", as_given(result.exercise, failure.arguments)), ("expected", show(failure.expected))]
    if failure.outcome.status == "done":
        found.append(("got", show(failure.outcome.value)))
    others = [name for name in result.failed if name != failure.check]
    also = WORDS[language]["part"].format(", ".join(others)) if others else ""
    return [*found, ("check", failure.check + also), ("see", notebook(result, language))]


def smallest(result: Result, language: str) -> tuple[Check, str, str]:
    """(the first check that fails, its smallest input, what is expected of it); of an exercise to do, the first check."""
    exercise = result.exercise
    if result.failure is None:
        check = exercise.checks[0]
        arguments = make_inputs(exercise, [0])[0][1]
        expected = exercise.reference(*copy.deepcopy(arguments))
    else:
        check = next(c for c in exercise.checks if c.name == result.failure.check)
        arguments, expected = result.failure.arguments, result.failure.expected
    return check, as_given(exercise, arguments), show(expected)


def as_given(exercise: Exercise, arguments: tuple) -> str:
    """Arguments by name: `t = 2, s = 5`."""
    names = list(inspect.signature(exercise.reference).parameters)
    return ", ".join(f"{name} = {show(value)}" for name, value in zip(names, arguments, strict=False))


def notebook(result: Result, language: str) -> str:
    """The place in the lesson that explains the exercise."""
    place = f"notebooks/{language}/{result.lesson.folder}.ipynb"
    return WORDS[language]["notebook"].format(place, result.exercise.section[language])


def overview(results: Sequence[Result], language: str, details: bool) -> str:
    """A line for each exercise, grouped by lesson; with `details` the reasons below each wrong one.

    A file that does not load fails all its exercises with one error: it is told once.
    """
    words, lines, lesson, broken = WORDS[language], [], None, None
    for result in results:
        if result.lesson is not lesson:
            lesson = result.lesson
            lines.append(f"{words['lesson'].format(lesson.number)}{words['colon']}{lesson.title[language]}")
        status = STATUS[language][result.status]
        lines.append(f"  {MARK[result.status]} {result.exercise.name:<26} {result.points:>2}/{result.exercise.points:<2} "
                     f"{words['points']}  {status}")  # fmt: skip
        if details:
            reasons = [words["above"]] if broken is lesson else feedback(result, language)
            lines += [f"      {line}" for line in reasons]
            broken = lesson if result.failure and not result.failure.outcome.loaded else broken
    reached, most = (sum(r.points for r in results), sum(r.exercise.points for r in results))
    lines.append(f"{words['total']}{words['colon']}{reached}/{most} {words['points']}")
    return "\n".join(lines)
