"""Whether what a student's function returned is what it should be."""

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
