"""Checks of settings: each raises InputError for the first of the named fields that does not hold.

A setting may come from a file or from a command line, so its type is checked too, against the annotation of
its field: a bool is no number, 2.0 is no whole number, NaN and infinity are no numbers.
"""

from collections.abc import Callable
from dataclasses import fields
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from minillm.plumbing.files import InputError

LEAST, MOST = 1e-30, 1e30  # float32 ends at 1e-38 and 3e38: what a setting is multiplied by must have room
WHOLE = 2**63  # sizes and steps are 64-bit integers
NAMES = {int: "a whole number below 2^63", float: f"a number up to {MOST:g}", bool: "true or false", str: "a text"}


def is_of(kind: Any, value: object) -> bool:
    """Whether a value is of the type that an annotation says; annotations not known here take anything."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return is_of(inner[0], value)
    if origin in (Union, UnionType):
        return any(is_of(one, value) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin is tuple:
        return isinstance(value, tuple | list) and all(is_of(inner[0], one) for one in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and -MOST <= value <= MOST
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and -WHOLE < value < WHOLE
    return not isinstance(kind, type) or isinstance(value, kind)


def in_words(kind: Any) -> str:
    """An annotation for people: `a whole number`, `one of rms, layer`."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return in_words(inner[0])
    if origin in (Union, UnionType):
        return " or ".join("unset" if one is type(None) else in_words(one) for one in inner)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return f"a list, each {in_words(inner[0])}"
    return NAMES.get(kind, kind.__name__ if isinstance(kind, type) else str(kind))


def shown(value: object) -> str:
    """A wrong value in one short line."""
    if isinstance(value, int) and abs(value) >= 10**40:  # Python refuses to print more than 4,300 digits
        return "a number of more than 40 digits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def check_types(settings: object, *names: str) -> None:
    """Raise InputError for the first of the named fields, or of all, that is not of its annotated type."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if (not names or field.name in names) and not is_of(field.type, value):
            raise InputError(f"{field.name} is {shown(value)}: it must be {in_words(field.type)}")


def must_be(what: str, holds: Callable[[Any], bool], settings: object, *names: str) -> None:
    """Raise InputError for the first of the named fields that does not hold or is of another type.

    None passes where the annotation allows it: the setting is unset.
    """
    check_types(settings, *names)
    for name in names:
        value = getattr(settings, name)
        if value is not None and not holds(value):
            raise InputError(f"{name} is {shown(value)}: it must be {what}")


def at_least_0(settings: object, *names: str) -> None:
    must_be(f"0 or more ({LEAST:g} or more if not whole)", lambda v: v == 0 or v >= LEAST, settings, *names)


def at_least_1(settings: object, *names: str) -> None:
    must_be("at least 1", lambda v: v >= 1, settings, *names)


def above_0(settings: object, *names: str) -> None:
    must_be(f"a number above 0, {LEAST:g} or more", lambda v: v >= LEAST, settings, *names)


def share(settings: object, *names: str) -> None:
    must_be("from 0 up to below 1", lambda v: 0 <= v < 1, settings, *names)


def a_seed(settings: object, *names: str) -> None:
    must_be("from 0 up to below 2^63", lambda v: v >= 0, settings, *names)
