"""Values that travel between the grader and the child process: JSON, arrays as base64 with type and shape.

No pickle: loading one runs code. What comes from the child is a student's text: `decode` takes nothing but
what `encode` writes, and no more of it than an exercise can need.
"""

import array as arrays
import base64
import collections.abc
import decimal
import math
import numbers
import re

import numpy as np
import torch

from minillm.homework.frames import MOST_BYTES

MOST_ITEMS = 400_000  # JSON values in one message
MOST_KEYS = 20_000  # of a set or a dictionary: keys can be chosen to be slow to compare
MOST_DEPTH = 100
ARRAY_TYPE = re.compile(r"[<|=>]?(b1|[iu][1248]|f[248])")


# ------------------------------------------------------------------------- callables an exercise may be given


class Linear:
    """A layer to pass to an exercise: x -> x W + b, for numpy arrays and tensors alike."""

    def __init__(self, weight, bias=0.0):
        self.weight, self.bias = weight, bias

    def __call__(self, x):
        return x @ self.weight + self.bias


class ToyModel:
    """A language model to pass to an exercise: ids (B, T) -> logits (B, T, V).

    The logits at a position depend on all tokens up to it, on their order, and on no later one:
    a running state is halved, and the token's row of `table` (V, V) is added to it.
    """

    def __init__(self, table):
        self.table = table

    def __call__(self, ids):
        if isinstance(ids, torch.Tensor) and ids.dtype != torch.int64:
            raise TypeError(f"the model reads int64 ids, not {ids.dtype}")
        rows = self.table[ids]  # (B, T) -> (B, T, V)
        state, states = 0.0, []
        for t in range(rows.shape[1]):
            state = 0.5 * state + rows[:, t]
            states.append(state)
        stack = torch.stack if isinstance(rows, torch.Tensor) else np.stack
        return stack(states, 1)


CALLABLES = {"Linear": (Linear, ("weight", "bias")), "ToyModel": (ToyModel, ("table",))}
# What a list may be written as instead.
LISTED = (range, collections.deque, arrays.array, collections.abc.MappingView, collections.abc.Iterator)


# --------------------------------------------------------------------------------------------------- writing


def encode(value):
    """A value as what JSON can write. Raises TypeError for what an exercise does not return."""
    for name, (kind, attributes) in CALLABLES.items():
        if type(value) is kind:
            return {"call": name, "with": [encode(getattr(value, a)) for a in attributes]}
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, torch.Tensor):
        return {"tensor": encode_array(as_array(value))}
    if isinstance(value, np.ndarray):
        return {"array": encode_array(np.asarray(value))}
    found = encode_number(value)
    return encode_container(value) if found is None else found


def as_array(value):
    """A tensor's numbers. Raises TypeError if a subclass says something else than it holds."""
    tensor = torch.Tensor.resolve_conj(torch.Tensor.cpu(torch.Tensor.detach(value)))
    array = torch.Tensor.numpy(torch.Tensor.float(tensor) if tensor.dtype == torch.bfloat16 else tensor)
    if torch.Tensor.numel(value) > 1 and np.ndim(array) != value.dim():
        raise TypeError("a tensor that does not say what it holds")
    return array


def encode_number(value):
    """A number or truth value of any library; None for anything else."""
    if isinstance(value, np.longdouble):
        return {"float": float.hex(float(value))}
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, int):
        return {"int": str(int(value))}
    if isinstance(value, float | numbers.Rational | decimal.Decimal):
        return {"float": float.hex(float(value))}
    return None


def encode_container(value):
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {"dict": [[encode(k), encode(v)] for k, v in dict.items(value)]}
    if isinstance(value, tuple):
        return {"tuple": [encode(v) for v in tuple.__iter__(value)]}
    if isinstance(value, list):
        return {"list": [encode(v) for v in list.__iter__(value)]}
    if isinstance(value, set | frozenset):
        return {"set": [encode(v) for v in value]}
    if isinstance(value, LISTED):
        return encode(list(value))  # type: ignore[arg-type]  # every view of a dict can be iterated
    raise TypeError(f"{type(value).__name__} is nothing that can be compared: return arrays, numbers, text or lists")


def encode_array(array):
    if array.dtype.kind not in "biuf":
        raise TypeError(f"an array of {array.dtype}: return numbers or truth values")
    if array.nbytes > MOST_BYTES // 4:
        raise ValueError(f"{array.size} numbers are no answer to this exercise")
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


# --------------------------------------------------------------------------------------------------- reading


def check_answer(value):
    """Raises ValueError if a JSON value is no answer: too many parts, nested too deeply, or with a callable."""
    left, items = [(value, 0)], 0
    while left:
        inner, depth = left.pop()
        items += 1
        if depth > MOST_DEPTH or items > MOST_ITEMS:
            raise ValueError("too much or too deep for an answer")
        if isinstance(inner, dict):
            if "call" in inner:
                raise ValueError("callables are given to exercises and never come back")
            left += [(v, depth + 1) for v in inner.values()]
        elif isinstance(inner, list):
            left += [(v, depth + 1) for v in inner]


def decode(value):
    """What `encode` wrote. Raises ValueError, TypeError, KeyError or OverflowError for anything else."""
    if value is None or isinstance(value, bool | str):
        return value
    if not isinstance(value, dict):
        raise TypeError("a value without its kind")
    (kind, inner), *more = value.items()
    if kind == "call":
        return CALLABLES[inner][0](*(decode(v) for v in value["with"]))
    if more:
        raise ValueError("more than one kind")
    if kind in ("tensor", "array"):
        array = decode_array(inner)
        return torch.from_numpy(array) if kind == "tensor" else array
    if isinstance(inner, str):
        written: dict[str, collections.abc.Callable] = {"int": int, "float": float.fromhex, "bytes": base64.b64decode}
        return written[kind](inner)
    return decode_container(kind, inner)


def decode_container(kind, inner):
    if not isinstance(inner, list):
        raise TypeError("a container without a list of its items")
    if kind in ("dict", "set") and len(inner) > MOST_KEYS:
        raise ValueError("too many keys for an answer")
    if kind == "dict":
        return {hashable(decode(k)): decode(v) for k, v in inner}
    made: dict[str, collections.abc.Callable] = {
        "tuple": tuple,
        "list": list,
        "set": lambda items: {hashable(v) for v in items},
    }
    return made[kind](map(decode, inner))


def decode_array(inner):
    kind, shape, data = inner["dtype"], inner["shape"], base64.b64decode(inner["data"])
    if not isinstance(kind, str) or not ARRAY_TYPE.fullmatch(kind):
        raise TypeError("an array of no number type")
    if not isinstance(shape, list) or len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
        raise TypeError("an array without a shape")
    dtype = np.dtype(kind)
    if math.prod(shape) * dtype.itemsize != len(data) or math.prod(n or 1 for n in shape) > MOST_BYTES:
        raise ValueError("an array whose shape does not fit its numbers")
    return np.frombuffer(data, dtype).reshape(shape).copy()


def hashable(value):
    """Lists as tuples, so that a value can be a key."""
    return tuple(map(hashable, value)) if isinstance(value, list | tuple) else value
