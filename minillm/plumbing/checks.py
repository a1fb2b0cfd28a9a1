"""Checks of settings: each raises for the first of the named fields that is out of range."""

import math
from collections.abc import Callable


def must_be(what: str, holds: Callable[[float], bool], settings: object, *names: str) -> None:
    """Raise ValueError for the first of the named settings that does not hold; None is unset and may be."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not holds(value):
            raise ValueError(f"{name} is {value}: it must be {what}")


def at_least_0(settings: object, *names: str) -> None:
    must_be("a number from 0 up", lambda v: 0 <= v < math.inf, settings, *names)


def at_least_1(settings: object, *names: str) -> None:
    must_be("at least 1", lambda v: v >= 1, settings, *names)


def above_0(settings: object, *names: str) -> None:
    must_be("a number above 0", lambda v: 0 < v < math.inf, settings, *names)


def share(settings: object, *names: str) -> None:
    must_be("from 0 up to below 1", lambda v: 0 <= v < 1, settings, *names)


def a_seed(settings: object, *names: str) -> None:
    must_be("from 0 up to below 2^63", lambda v: 0 <= v < 2**63, settings, *names)
