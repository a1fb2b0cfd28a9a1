"""Named tensors in safetensors files: written whole or not at all, never a pickle."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minillm.plumbing.distributed import spread_like
from minillm.plumbing.files import InputError, check_no_pointer, replace_file

KINDS = {torch.float64: "F64", torch.int64: "I64", torch.float32: "F32", torch.int32: "I32", torch.bfloat16: "BF16",
         torch.float16: "F16", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}  # fmt: skip


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors, whole or not at all, one after the other: a large model needs no second copy in memory.

    The file: the length of its header in 8 bytes, the header (JSON), the numbers. The widest come first, so that each
    tensor begins at a multiple of its numbers' size.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, object] = {}
    end = 0
    for name, tensor in ordered:
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for _, tensor in ordered:
                file.write(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)

    replace_file(path, write)


@contextmanager
def opened(path: Path) -> Iterator[safe_open]:
    """A safetensors file, of which only the header is read. Raises InputError if it is missing or not whole."""
    if not path.is_file():
        raise InputError(f"{path}: no such file: name a folder that a finished run wrote")
    try:
        with path.open("rb") as raw:
            check_no_pointer(path, raw.read(64))
            # a name that is not UTF-8, from a zip made on Chinese Windows, is none for safetensors
            name = path if is_utf8(path) else f"/dev/fd/{raw.fileno()}"
            with safe_open(name, framework="pt") as file:
                yield file
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}): run the stage again") from None


def is_utf8(path: Path) -> bool:
    """Whether the bytes of a file's name are text; Python keeps others as surrogates (PEP 383)."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors. Raises InputError if the file is missing or not whole."""
    with opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def check_like(own: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError unless the tensors of a file have the names and shapes of `own`, which may be empty ones on
    PyTorch's device "meta": a config of billions of weights is refused before they are built."""
    with opened(path) as file:
        saved = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    for name in sorted(own.keys() ^ saved.keys()):
        raise InputError(f"{path}: {name} is {'missing' if name in own else 'too much'}: config and weights differ")
    for name, shape in saved.items():
        if own[name].shape != shape:
            raise InputError(f"{path}: {name} is {shape}, the config says {tuple(own[name].shape)}")


@torch.no_grad()
def copy_into(own: Mapping[str, Tensor], path: Path) -> None:
    """Copy the tensors of a file into those of `own`. Raises InputError as `check_like`."""
    check_like(own, path)
    with opened(path) as file:
        for name in file.keys():
            own[name].copy_(spread_like(file.get_tensor(name), own[name]))


def all_finite(tensor: Tensor) -> bool:
    """Whether no number is infinite or NaN; a sum tells at once, unless it is too large itself."""
    return bool(tensor.sum().isfinite() or tensor.isfinite().all())
