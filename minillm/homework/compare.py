"""Whether what a student's function returned is what it should be, and if not, how it differs."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

TOLERANCE = 1e-4


def plain(value: Any) -> Any:
    """Tensors, arrays and numpy numbers as arrays."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    return value


def same(got: Any, expected: Any, tolerance: float = TOLERANCE) -> bool:
    """Equal up to rounding: of the same shape, whichever of list, tuple, array and tensor holds it.

    Numbers may differ by `tolerance`, absolutely or relatively; whole numbers, truth values and text
    must be equal. A float is right for a whole number if it equals it; NaN equals NaN.
    """
    got, expected = plain(got), plain(expected)
    if expected is None or isinstance(expected, str | bytes):
        return type(got) is type(expected) and got == expected
    if isinstance(expected, dict):
        return (isinstance(got, dict) and got.keys() == expected.keys()
                and all(same(got[k], expected[k], tolerance) for k in expected))  # fmt: skip
    if isinstance(expected, set):
        return isinstance(got, set | frozenset) and got == expected
    if isinstance(expected, list | tuple):
        if isinstance(got, np.ndarray) and got.ndim:
            got = list(got)
        return (isinstance(got, list | tuple) and len(got) == len(expected)
                and all(same(a, b, tolerance) for a, b in zip(got, expected, strict=True)))  # fmt: skip
    if isinstance(got, list | tuple) and isinstance(expected, np.ndarray):
        try:
            got = np.asarray(got)
        except ValueError:
            return False
    return isinstance(got, np.ndarray | bool | int | float) and same_numbers(got, expected, tolerance)


def same_numbers(got: Any, expected: Any, tolerance: float) -> bool:
    """`same` for numbers and arrays of numbers."""
    try:
        one, other = np.asarray(got), np.asarray(expected)
    except OverflowError:
        return got == expected
    if one.shape != other.shape or one.dtype.kind not in "biuf" or other.dtype.kind not in "biuf":
        return False
    if (one.dtype.kind == "b") != (other.dtype.kind == "b"):  # 0 and 1 are no mask
        return False
    if one.dtype.kind in "f" or other.dtype.kind == "f":
        return bool(np.allclose(one.astype(np.float64), other.astype(np.float64), tolerance, tolerance, equal_nan=True))
    return bool((one == other).all())


# ------------------------------------------------------------------------------------------- types and shapes

KINDS = {"b": "bool", "i": "int", "u": "int", "f": "float"}


def kind(value: Any) -> str | None:
    """bool, int or float: what the numbers of a value are; None if they are no numbers or of several kinds."""
    try:
        return KINDS.get(np.asarray(plain(value)).dtype.kind)
    except ValueError:
        return None


def same_and_typed(*kinds: str | None) -> Callable[[Any, Any], bool]:
    """Like `same` for a tuple of parts whose docstring promises types: bool, int, float or a dtype; None for any."""

    def equal(got: Any, expected: Any) -> bool:
        return same(got, expected) and all(is_of(part, wanted) for part, wanted in zip(got, kinds, strict=True))

    return equal


def is_of(value: Any, wanted: str | None) -> bool:
    return wanted is None or kind(value) == wanted or str(getattr(plain(value), "dtype", "")) == wanted


def numbers(value: Any) -> np.ndarray | None:
    """The numbers of a value as an array of floats; None if it is something else."""
    try:
        array = np.asarray(plain(value))
    except ValueError:
        return None
    return array.astype(np.float64) if array.dtype.kind in "biuf" else None


def near_miss(got: Any, expected: Any) -> str | None:
    """How an answer that was judged wrong is nearly right: `type`, `shape`, `axes`, `order`, `part`; None if it is not.

    The numbers are right but of another type; or in another shape; or with their axes swapped; or the parts of
    a tuple are right but in another order; or it is one of these parts alone.
    """
    if same(got, expected):
        return "type"
    if isinstance(expected, tuple) and isinstance(got, tuple | list) and len(got) == len(expected):
        if kind(got) != "bool" and any(same(list(other), expected) for other in itertools.permutations(got)):
            return "order"
        found = {near_miss(g, e) for g, e in zip(got, expected, strict=True) if not same(g, e)}
        return found.pop() if len(found) == 1 else None
    if isinstance(expected, tuple) and len(expected) > 1 and any(same(got, part) for part in expected):
        return "part"
    one, other = numbers(got), numbers(expected)
    if one is None or other is None or one.size != other.size or not one.size:
        return None
    if same(one, other):
        return "type"
    if any(same(turned, other) for turned in with_axes_swapped(one)):
        return "axes"
    return "shape" if same(one.ravel(), other.ravel()) else None


def with_axes_swapped(array: np.ndarray) -> list[np.ndarray]:
    return [array.transpose(axes) for axes in itertools.permutations(range(array.ndim))] if array.ndim < 5 else []
