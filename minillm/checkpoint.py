"""Checkpoints while training, and going on from them.

checkpoints/step-NNNNNN/ of a run folder holds all that a resumed run needs to end with the same bytes as
one that was never interrupted: parameters, optimizers, random state, metrics, and what it was begun with.
The position in the data is the step itself. It is written whole under a temporary name, then renamed.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from minillm.gpt import GPT
from minillm.plumbing.distributed import spread_like, whole
from minillm.plumbing.files import (
    HASH,
    InputError,
    file_hash,
    make_folder,
    read_json,
    read_text,
    write_json,
    write_text,
)
from minillm.plumbing.tensors import copy_into, read_tensors, write_tensors

Metrics = dict[str, float]
HASHES = "hashes.json"
GO_ON = "give the same command with --resume to go on"


RUN_FILES = ("config.json", "report.json", "model.safetensors", "adapter.json", "adapter.safetensors", "metrics.jsonl",
             "curves.png", "tokenizer/ranks.tiktoken", "tokenizer/tokenizer.json")  # fmt: skip
"""What a run folder holds, in the order in which it is removed."""


def write_metrics(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write metrics.jsonl, a line per step."""
    write_text(folder / "metrics.jsonl", "".join(json.dumps(m) + "\n" for m in history))


def begin(out: Path, resume: bool) -> None:
    """Make the output folder; a run that starts over drops what is there of an earlier one.

    Raises InputError if the folder cannot be made.
    """
    make_folder(out)
    if not resume:
        # the config first: without it nothing loads, so that a kill in between leaves no run of two halves
        for name in RUN_FILES:
            (out / name).unlink(missing_ok=True)
        with suppress(OSError):
            (out / "tokenizer").rmdir()
        for folder in checkpoints(out):
            remove(folder)


def step_of(folder: Path) -> int:
    """The number of steps done at a checkpoint."""
    return int(folder.name.removeprefix("step-"))


def checkpoints(out: Path) -> list[Path]:
    """The complete checkpoints of a run, the newest last; what another program keeps under such a name is none."""
    folders = (out / "checkpoints").glob("step-*/run.json")
    return sorted((p.parent for p in folders if re.fullmatch(r"step-[0-9]+", p.parent.name)), key=step_of)


def newest(out: Path) -> Path | None:
    """The newest complete checkpoint of a run, if any."""
    found = checkpoints(out)
    return found[-1] if found else None


def partial_name(folder: Path) -> Path:
    """Where a checkpoint is while it is written or removed: what is killed then does not count."""
    return folder.with_name(f".{folder.name}.partial")


def remove(folder: Path) -> None:
    """Remove a checkpoint, as a whole or not at all."""
    partial = partial_name(folder)
    shutil.rmtree(partial, ignore_errors=True)
    os.replace(folder, partial)
    shutil.rmtree(partial, ignore_errors=True)


def remove_helpers(out: Path) -> None:
    """Remove what only training needs: checkpoints and tokens, and nothing else that may be there."""
    for folder in checkpoints(out):
        remove(folder)
    for partial in (out / "checkpoints").glob(".step-*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
    with suppress(OSError):  # Windows keeps a file that is still mapped
        for name in ("tokens.bin", "tokens.json", ".tokens.bin.partial", ".tokens.json.partial"):
            (out / "tokens" / name).unlink(missing_ok=True)
    for name in ("checkpoints", "tokens"):
        with suppress(OSError):
            (out / name).rmdir()


def how_to_go_on(out: Path) -> str:
    """What a run that was interrupted says about its newest checkpoint, if it has one."""
    folder = newest(out)
    return f"; step {step_of(folder)} is saved: {GO_ON}" if folder else ""


def save(
    out: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    history: Sequence[Metrics],
    begun_with: Mapping[str, object],
) -> None:
    """Write checkpoints/step-NNNNNN whole, then remove the older ones."""
    folder = out / "checkpoints" / f"step-{step:06d}"
    if folder.is_dir():  # Ctrl-C directly after it was written
        return
    partial = partial_name(folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, state in tensors.items():
            write_tensors(partial / f"{name}.safetensors", state)
        write_json(partial / "run.json", begun_with)
        write_metrics(partial, history)
        write_json(partial / HASHES, {path.name: file_hash(path) for path in partial.iterdir()})
        os.replace(partial, folder)
    except OSError:  # the disk is full: give back what was taken
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for older in checkpoints(out)[:-1]:
        remove(older)
    for partial in folder.parent.glob(".step-*.partial"):  # of a run that was killed
        shutil.rmtree(partial, ignore_errors=True)


def check_same(path: Path, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Raise InputError, naming the difference, unless a run was begun with the settings and data of `now`.

    `before` is what the file at `path` says of it.
    """
    differences = [name for name in now if before.get(name) != now[name]]
    # settings come first: another setting may be why the data differ
    for name in sorted(differences, key=lambda name: (str(before.get(name)).startswith(HASH), name)):
        old, new = before.get(name), now[name]
        what = f"{name} differs" if str(old).startswith(HASH) else f"{name} was {old!r} and is now {new!r}"
        raise InputError(
            f"{path}: {what}: give what the run was begun with, another --out, or --overwrite to start over"
        )


def check_checkpoint(folder: Path) -> None:
    """Raise InputError, naming the file, unless a checkpoint is bit for bit what was written."""
    wanted = read_json(folder / HASHES, dict)
    for name in sorted(wanted.keys() | {path.name for path in folder.iterdir()} - {HASHES}):
        path = folder / name
        if not path.is_file() or file_hash(path) != wanted.get(name):
            raise InputError(f"{path}: not what this checkpoint was written with: start over with --overwrite")


def restore(folder: Path, model: GPT, optimizers: Sequence[Optimizer]) -> tuple[int, list[dict]]:
    """Bring model and optimizers back to a checkpoint; return the steps done and their metrics."""
    check_checkpoint(folder)
    history = read_metrics(folder)
    if len(history) != step_of(folder):
        raise InputError(f"{folder}: is a checkpoint of step {len(history)}: give it back its name")
    own = {n: p.data for n, p in model.named_parameters() if p.requires_grad}
    copy_into(own, folder / "model.safetensors")
    for i, optimizer in enumerate(optimizers):
        load_optimizer_state(optimizer, model, folder / f"optimizer-{i}.safetensors")
    return step_of(folder), history


def read_metrics(folder: Path) -> list[Metrics]:
    """The metrics of each step. Raises InputError if the file is damaged."""
    path = folder / "metrics.jsonl"
    try:
        return [json.loads(line) for line in read_text(path).splitlines()]
    except ValueError:
        raise InputError(f"{path}: not a JSON value in each line: restore the file, or run the stage again") from None


def optimizer_state(optimizer: Optimizer, model: GPT) -> dict[str, Tensor]:
    """What an optimizer keeps for each parameter, as `parameter.kind`: `norm.weight.exp_avg`."""
    names: dict[Tensor, str] = {p: name for name, p in model.named_parameters()}
    return {f"{names[p]}.{kind}": whole(t) for p, kept in optimizer.state.items() for kind, t in kept.items()}


def load_optimizer_state(optimizer: Optimizer, model: GPT, path: Path) -> None:
    """Give back what `optimizer_state` took. Raises InputError for a tensor that does not belong there."""
    parameters = dict(model.named_parameters())
    own = {p for group in optimizer.param_groups for p in group["params"]}
    for name, tensor in read_tensors(path).items():
        parameter, _, kind = name.rpartition(".")
        p = parameters.get(parameter)
        if p is None or p not in own or tensor.shape not in (p.shape, ()):
            raise InputError(f"{path}: {name} does not belong to this model: remove this checkpoint")
        optimizer.state[p][kind] = spread_like(tensor, p) if tensor.shape == p.shape else tensor.to(p.device)


def restore_random_state(folder: Path) -> None:
    """Bring the random generators back to where the checkpoint left them."""
    state = read_tensors(folder / "random.safetensors")
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
