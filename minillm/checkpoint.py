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

from minillm.gpt import GPT
from minillm.optim import AdamW, Muon
from minillm.plumbing.files import HASH, InputError, make_folder, read_json, read_text, write_json, write_text
from minillm.plumbing.tensors import copy_into, read_like, read_tensors, write_tensors


def write_metrics(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write metrics.jsonl, a line a step."""
    write_text(folder / "metrics.jsonl", "".join(json.dumps(m) + "\n" for m in history))


def begin(out: Path, resume: bool) -> None:
    """Make the output folder; a run that starts over drops report and checkpoints of an earlier one.

    Raises InputError if the folder cannot be made.
    """
    make_folder(out)
    if not resume:
        (out / "report.json").unlink(missing_ok=True)
        for folder in checkpoints(out):
            remove(folder)


def step_of(folder: Path) -> int:
    """The number of steps done at a checkpoint."""
    return int(folder.name.removeprefix("step-"))


def checkpoints(out: Path) -> list[Path]:
    """The complete checkpoints of a run, the newest last."""
    folders = (out / "checkpoints").glob("step-*")
    return sorted((p for p in folders if re.fullmatch(r"step-[0-9]+", p.name)), key=step_of)


def newest(out: Path) -> Path | None:
    """The newest complete checkpoint of a run, if any."""
    return (checkpoints(out) or [None])[-1]


def partial_name(folder: Path) -> Path:
    """Where a checkpoint stands while it is written or removed: what is killed then does not count."""
    return folder.with_name(f".{folder.name}.partial")


def remove(folder: Path) -> None:
    """Remove a checkpoint, as a whole or not at all."""
    partial = partial_name(folder)
    shutil.rmtree(partial, ignore_errors=True)
    os.replace(folder, partial)
    shutil.rmtree(partial, ignore_errors=True)


def remove_helpers(out: Path) -> None:
    """Remove what only training needs: checkpoints and tokens, and nothing else that may stand there."""
    for folder in checkpoints(out):
        remove(folder)
    for partial in (out / "checkpoints").glob(".step-*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
    with suppress(OSError):  # Windows keeps a file that is still mapped
        for path in (out / "tokens").glob("*tokens.*"):
            path.unlink()
    for name in ("checkpoints", "tokens"):
        with suppress(OSError):
            (out / name).rmdir()


def how_to_go_on(out: Path) -> str:
    """What a run that was interrupted says about its newest checkpoint, if it has one."""
    folder = newest(out)
    return f"; step {step_of(folder)} is saved: give the same command with --resume to go on" if folder else ""


def save(
    out: Path,
    step: int,
    model: GPT,
    optimizers: Sequence[AdamW | Muon],
    history: Sequence[dict],
    random_state: Mapping[str, Tensor],
    begun_with: Mapping[str, object],
) -> None:
    """Write checkpoints/step-NNNNNN whole, then remove the older ones."""
    folder = out / "checkpoints" / f"step-{step:06d}"
    if folder.is_dir():  # Ctrl-C directly after it was written
        return
    partial = partial_name(folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_tensors(partial / "model.safetensors", {n: p for n, p in model.named_parameters() if p.requires_grad})
        for i, optimizer in enumerate(optimizers):
            write_tensors(partial / f"optimizer-{i}.safetensors", optimizer.state())
        write_tensors(partial / "random.safetensors", random_state)
        write_json(partial / "run.json", begun_with)
        write_metrics(partial, history)
        os.replace(partial, folder)
    except OSError:  # the disk is full: give back what was taken
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for older in checkpoints(out)[:-1]:
        remove(older)
    for partial in folder.parent.glob(".step-*.partial"):  # of a run that was killed
        shutil.rmtree(partial, ignore_errors=True)


def check_same(folder: Path, begun_with: Mapping[str, object]) -> None:
    """Raise InputError, naming the difference, unless a checkpoint was begun with the same settings and data."""
    path = folder / "run.json"
    before = read_json(path, dict)
    differences = [name for name in before.keys() | begun_with.keys() if before.get(name) != begun_with.get(name)]
    # settings come first: another setting may be why the data differ
    for name in sorted(differences, key=lambda name: (str(before.get(name)).startswith(HASH), name)):
        old, new = before.get(name), begun_with.get(name)
        what = f"{name} differs" if str(old).startswith(HASH) else f"{name} was {old!r} and is now {new!r}"
        raise InputError(f"{path}: {what}: give what the run was begun with, or start over without --resume")


def restore(folder: Path, model: GPT, optimizers: Sequence[AdamW | Muon]) -> tuple[int, list[dict]]:
    """Bring model and optimizers back to a checkpoint; return the steps done and their metrics."""
    own = {n: p.data for n, p in model.named_parameters() if p.requires_grad}
    copy_into(own, folder / "model.safetensors")
    for i, optimizer in enumerate(optimizers):
        optimizer.load_state(read_like(optimizer.state(), folder / f"optimizer-{i}.safetensors"))
    path = folder / "metrics.jsonl"
    try:
        history = [json.loads(line) for line in read_text(path).splitlines()]
    except json.JSONDecodeError:
        raise InputError(f"{path}: was cut off: remove this checkpoint, or start over without --resume") from None
    return step_of(folder), history


def restore_random_state(folder: Path) -> None:
    """Bring the random generators back to where the checkpoint left them."""
    path = folder / "random.safetensors"
    state = read_tensors(path)
    try:
        torch.set_rng_state(state["cpu"])
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"])
    except (KeyError, TypeError, RuntimeError):
        raise InputError(
            f"{path}: not a random state: remove this checkpoint, or start over without --resume"
        ) from None
