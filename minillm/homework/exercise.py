"""What an exercise is: a function to write, inputs to try it on, and the mistakes people make.

The student's function is only ever called in a child process; what it returned is compared here with
what the `reference` returns for the same inputs. When they differ, the output is compared with that of
each known misconception, written out as a function that is wrong in just this way: the student reads
which idea went wrong, not only that something did.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minillm.homework.compare import same
from minillm.plumbing.languages import Text

Number = int | str
"""The number of a lesson; of one put between two others the earlier one's with a letter: "2b"."""


@dataclass(frozen=True)
class Check:
    """One property of the function: inputs on which a solution that lacks it fails.

    All checks of an exercise are run; each that passes gives its points.
    """

    name: str
    """Short, in English, with hyphens: `causal-mask`."""
    points: int
    hint: Text
    """Shown when it fails and no misconception explains the output: what this check is about."""
    inputs: Callable[[np.random.Generator], Iterable[tuple]]
    """Argument tuples from a random generator, the smallest first."""
    edge: bool = False
    """A limiting case, in which a function that does nothing may be right by chance: it gives its points only
    together with a check that is none."""


@dataclass(frozen=True)
class Misconception:
    """A mistake with a name, and what a function with this mistake returns. Several may share a name: one idea
    that shows in several ways."""

    name: str
    """Short, in English, with hyphens: `scaled-by-d`."""
    message: Text
    """What the student believes, why it is wrong, and how to fix it, in one or two sentences."""
    wrong: Callable[..., Any]
    """Same arguments as the exercise; its output, where it differs from the reference, is the symptom."""
    also: tuple[Callable[..., Any], ...] = ()
    """Other functions with the same mistake, which show it in another way."""


@dataclass(frozen=True)
class Exercise:
    """A function that a student writes in `lessons/NN_name/homework.py`."""

    name: str
    """Name of the function."""
    section: Text
    """Heading of the lesson's part that explains it."""
    reference: Callable[..., Any]
    """The framework's own function where there is one."""
    checks: tuple[Check, ...]
    misconceptions: tuple[Misconception, ...]
    equal: Callable[[Any, Any], bool] = same
    """(what was got, what the reference gives) -> whether the answer is right."""
    slips: tuple[Misconception, ...] = ()
    """Slips of the pen rather than of the mind, each with its sentence; looked at after the misconceptions."""
    may_change: tuple[str, ...] = ()
    """Names of the arguments that the function may overwrite: its docstring says so."""

    @property
    def points(self) -> int:
        return sum(check.points for check in self.checks)


@dataclass(frozen=True)
class Lesson:
    """The exercises of one lesson."""

    number: Number
    folder: str
    """Name of its folder in `lessons/`."""
    title: Text
    exercises: tuple[Exercise, ...]

    @property
    def code(self) -> str:
        """The number as names of files and columns have it: "03", "02b"."""
        return self.folder.partition("_")[0]
