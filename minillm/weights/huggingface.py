"""Hugging Face's folder of a model: config.json, safetensors (one file or shards with an index), the tokenizer's files."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from minillm.plumbing.files import InputError, read_json
from minillm.plumbing.tensors import opened
from minillm.weights.names import COMPUTED

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class Folder:
    """The tensors of a folder: their names and shapes at once, each one's numbers when it is asked for."""

    def __init__(self, folder: Path):
        self.exits = ExitStack()
        self.where: dict[str, safe_open] = {}
        try:
            for path in weight_files(folder):
                file = self.exits.enter_context(opened(path))
                for name in file.keys():
                    if name in self.where:
                        raise InputError(f"{path}: {name} is in another file too: fetch the folder again")
                    self.where[name] = file
            self.check_index(folder)
        except BaseException:
            self.exits.close()
            raise

    def check_index(self, folder: Path) -> None:
        """Raise InputError if the index names a tensor that is in no file."""
        if (folder / INDEX).is_file() and not (folder / WEIGHTS).is_file():
            for name in read_json(folder / INDEX, dict)["weight_map"]:
                if name not in self.where:
                    raise InputError(f"{folder / INDEX}: {name} is in no file: fetch the folder again")

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        self.exits.close()

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.where if not name.endswith(COMPUTED))

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.where[name].get_slice(name).get_shape())

    def tensor(self, name: str) -> Tensor:
        return self.where[name].get_tensor(name)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder. Raises InputError if there are none or one is missing."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if not index.is_file():
        pickles = sorted(path for pattern in PICKLES for path in folder.glob(pattern))
        if pickles:
            raise InputError(
                f"{pickles[0]}: a pickle may run code and is never opened: take the model's safetensors file"
            )
        raise InputError(f"{folder / WEIGHTS}: no such file: name a folder with {WEIGHTS} or {INDEX}")
    shards = read_json(index, dict).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise InputError(f"{index}: weight_map does not give each tensor a file: fetch it again")
    names = sorted(set(shards.values()))
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise InputError(f"{index}: {name!r} is not a safetensors file of this folder: fetch the index again")
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: a shard is missing: fetch it")
    return [folder / name for name in names]
