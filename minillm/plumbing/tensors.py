"""Named tensors in safetensors files: written whole or not at all, never a pickle."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from minillm.plumbing.distributed import spread_like
from minillm.plumbing.files import InputError, replace_file


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors, whole or not at all."""
    whole = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    replace_file(path, lambda partial: partial.write_bytes(to_bytes(whole)))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors. Raises InputError if the file is missing or not whole."""
    if not path.is_file():
        raise InputError(f"{path}: no such file: name a folder that a finished run wrote")
    try:
        return load_file(path) if is_utf8(path) else from_bytes(path.read_bytes())
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}): run the stage again") from None


def is_utf8(path: Path) -> bool:
    """Whether a name is UTF-8: safetensors maps only such files, others are read as bytes."""
    return not any("\ud800" <= c < "\ue000" for c in str(path))


def read_like(own: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of a file. Raises InputError unless they have the names and shapes of `own`."""
    saved = read_tensors(path)
    for name in sorted(own.keys() ^ saved.keys()):
        raise InputError(f"{path}: {name} is {'missing' if name in own else 'too much'}: config and weights differ")
    for name, tensor in saved.items():
        if own[name].shape != tensor.shape:
            raise InputError(f"{path}: {name} is {tuple(tensor.shape)}, the config says {tuple(own[name].shape)}")
    return saved


@torch.no_grad()
def copy_into(own: Mapping[str, Tensor], path: Path) -> None:
    """Copy the tensors of a file into those of `own`. Raises InputError as `read_like`."""
    for name, tensor in read_like(own, path).items():
        own[name].copy_(spread_like(tensor, own[name]))
