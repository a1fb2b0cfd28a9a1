"""GGUF, the format of llama.cpp: one file with fields (config, tokenizer) and tensors, written and read here.

    GGUF, version, number of tensors, number of fields
    fields    name, type, value
    tensors   name, shape (the fastest axis first), type, where its numbers begin
    padding, then the numbers of all tensors, each at a multiple of 32 bytes

Texts are a length and UTF-8; numbers are little-endian. A tensor's numbers are read when they are asked for; those of
quantised types are spread out by the package `gguf`, which is imported only then.
Nothing in a file is believed before it is checked: lengths and places may lie.

Source: github.com/ggml-org/ggml, docs/gguf.md.
"""

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minillm.plumbing.files import InputError, replace_file

MAGIC, ALIGNMENT = b"GGUF", 32
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
UNSIGNED, SIGNED, TEXT, LIST = 4, 5, 8, 9
PLAIN = {0: torch.float32, 1: torch.float16, 30: torch.bfloat16}
QUANTISED = {2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
             12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210)}  # fmt: skip
"""Type -> name, numbers in a block, bytes of a block."""
SLOWDOWN = "rope_freqs.weight"  # factors of the rotary pairs: no parameters
ROWS = 128  # of a quantised matrix, spread out at a time: few enough for the processor's cache
MOST = 10**9  # of anything: a file that says more is damaged


@dataclass(frozen=True)
class Entry:
    """Where a tensor is in the file."""

    shape: tuple[int, ...]  # as PyTorch has it: the slowest axis first
    kind: int
    begin: int
    size: int  # bytes


class GGUF:
    """A GGUF file: `fields` by name, `tensor(name)`. Raises InputError that names the file for one that is not whole."""

    def __init__(self, path: Path):
        self.path, self.at = path, 4
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise InputError(f"{path}: not a GGUF file: it does not begin with GGUF")
            self.raw = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self.read_header()
        except (struct.error, UnicodeDecodeError, RecursionError, OverflowError):
            raise InputError(f"{path}: not a whole GGUF file (byte {self.at}): fetch it again") from None

    def read_header(self) -> None:
        version, n_tensors, n_fields = self.numbers("IQQ")
        if version not in (2, 3):
            raise self.fault(f"version {version} of GGUF is not known")
        self.check_count(n_tensors)
        self.check_count(n_fields)
        self.fields: dict[str, Any] = {}
        for _ in range(n_fields):
            name = self.text()
            self.fields[name] = self.value(*self.numbers("I"))
        entries = [self.entry() for _ in range(n_tensors)]
        alignment = self.fields.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= 2**20:
            raise self.fault("general.alignment is wrong")
        start = -(-self.at // alignment) * alignment
        self.entries: dict[str, Entry] = {}
        for name, shape, kind, offset in entries:
            size = self.size_of(name, shape, kind)
            if name in self.entries:
                raise self.fault(f"{name} is there twice")
            if offset % alignment or start + offset + size > len(self.raw):
                raise self.fault(f"{name} is said to end at byte {start + offset + size} of {len(self.raw)}")
            self.entries[name] = Entry(shape, kind, start + offset, size)

    def fault(self, what: str) -> InputError:
        return InputError(f"{self.path}: {what}: fetch the file again")

    def check_count(self, n: int) -> None:
        if n > min(MOST, len(self.raw)):
            raise self.fault(f"says to hold {n} of something in {len(self.raw)} bytes")

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self.raw, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def text(self) -> str:
        (length,) = self.numbers("Q")
        self.check_count(length)
        raw = self.raw[self.at : self.at + length]
        if len(raw) < length:
            raise struct.error
        self.at += length
        return raw.decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind in NUMBERS:
            return self.numbers(NUMBERS[kind])[0]
        if kind == TEXT:
            return self.text()
        if kind != LIST:
            raise self.fault(f"a field has the unknown type {kind}")
        inner, n = self.numbers("IQ")
        self.check_count(n)
        if inner in NUMBERS:
            return list(self.numbers(f"{n}{NUMBERS[inner]}"))
        return [self.value(inner) for _ in range(n)]

    def entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self.text()
        (axes,) = self.numbers("I")
        if axes > 4:
            raise self.fault(f"{name} has {axes} axes")
        shape = self.numbers(f"{axes}Q")
        kind, offset = self.numbers("IQ")
        return name, tuple(reversed(shape)), kind, offset

    def size_of(self, name: str, shape: tuple[int, ...], kind: int) -> int:
        """Bytes that a tensor takes."""
        if prod(shape) > 100 * MOST:
            raise self.fault(f"{name} is said to have {prod(shape)} numbers")
        if kind in PLAIN:
            return prod(shape) * PLAIN[kind].itemsize
        if kind not in QUANTISED:
            known = ", ".join(["F32, F16, BF16", *(name for name, _, _ in QUANTISED.values())])
            raise InputError(
                f"{self.path}: {name} is of type {kind}: known are {known}: take another file of the model"
            )
        label, numbers, size = QUANTISED[kind]
        if not shape or shape[-1] % numbers:
            raise self.fault(f"{name} is {label}, but its rows are no multiple of {numbers}")
        return prod(shape) // numbers * size

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.entries if name != SLOWDOWN)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.entries[name].shape

    def tensor(self, name: str) -> Tensor:
        """A tensor; float32 if it was quantised."""
        entry = self.entries[name]
        raw = np.fromfile(self.path, np.uint8, entry.size, offset=entry.begin)
        if entry.kind in PLAIN:
            return torch.from_numpy(raw).view(PLAIN[entry.kind]).reshape(entry.shape)
        quants = gguf_package(self.path, QUANTISED[entry.kind][0])
        rows = raw.reshape(-1, raw.size // prod(entry.shape[:-1]))
        numbers = np.empty((len(rows), entry.shape[-1]), np.float32)
        for at in range(0, len(rows), ROWS):  # spreading out takes several copies
            numbers[at : at + ROWS] = quants.dequantize(rows[at : at + ROWS], entry.kind)
        return torch.from_numpy(numbers).reshape(entry.shape)


def gguf_package(path: Path, kind: str) -> Any:
    """The part of the package `gguf` that spreads out quantised numbers. Raises InputError if it is missing."""
    try:
        from gguf import quants
    except ImportError:
        raise InputError(f"{path}: holds {kind} numbers, which the package gguf reads: pip install gguf") from None
    return quants


# ------------------------------------------------------------------------------------------------- writing


def packed_text(text: str) -> bytes:
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def packed(value: Any) -> bytes:
    """A field's type and value: bool, int, float, str, or a list of one of these."""
    if isinstance(value, list):
        (kind,) = struct.unpack("<I", packed(value[0])[:4]) if value else (TEXT,)
        kind = SIGNED if kind == UNSIGNED else kind  # llama.cpp takes whole numbers in lists as signed
        return struct.pack("<IIQ", LIST, kind, len(value)) + b"".join(packed(one)[4:] for one in value)
    if isinstance(value, str):
        return struct.pack("<I", TEXT) + packed_text(value)
    kind = 7 if isinstance(value, bool) else 6 if isinstance(value, float) else 4 if value >= 0 else 5
    return struct.pack(f"<I{NUMBERS[kind]}", kind, value)


def write_gguf(path: Path, fields: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a GGUF file, whole or not at all. Tensors are float32, float16 or bfloat16."""
    kinds = {dtype: kind for kind, dtype in PLAIN.items()}
    head = MAGIC + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(packed_text(name) + packed(value) for name, value in fields.items())
    offset = 0
    for name, tensor in tensors.items():
        shape = tuple(reversed(tensor.shape))
        head += packed_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kinds[tensor.dtype], offset)
        offset += padded(tensor.numel() * tensor.element_size())

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            file.write(head + bytes(padded(len(head)) - len(head)))
            for tensor in tensors.values():
                raw = tensor.detach().cpu().contiguous().view(torch.uint8).numpy()
                file.write(raw.data)
                file.write(bytes(padded(raw.size) - raw.size))

    replace_file(path, write)


def padded(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT
