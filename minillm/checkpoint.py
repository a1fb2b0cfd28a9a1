"""Run folders and checkpoints: safetensors for numbers, JSON for the rest, never a pickle.

A run folder is what a stage leaves behind:

    model.safetensors  config.json  tokenizer/  metrics.jsonl  curves.png  report.json

A LoRA run holds adapter.safetensors and adapter.json instead of the model: the adapter and where its
base stands, with the base's hash. While training, checkpoints/step-NNNNNN/ holds all that a resumed
run needs to end with the same bytes as one that was never interrupted.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from minillm import lora, plots
from minillm.files import (
    HASH,
    InputError,
    file_hash,
    make_folder,
    read_json,
    read_text,
    replace_file,
    write_json,
    write_text,
)
from minillm.gpt import GPT, GPTConfig
from minillm.optim import AdamW, Muon
from minillm.tokenizer import Tokenizer


@dataclass
class Run:
    """A model with its tokenizer, as a stage returns it or as it is read from a run folder."""

    gpt: GPT
    tokenizer: Tokenizer
    folder: Path | None = None
    metrics: list[dict[str, float]] = field(default_factory=list)
    report: dict = field(default_factory=dict)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors, whole or not at all."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    replace_file(path, lambda partial: partial.write_bytes(to_bytes(tensors)))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors. Raises InputError if the file is missing or not whole."""
    if not path.is_file():
        raise InputError(f"{path}: no such file: name a folder that a finished run wrote")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}): run the stage again") from None


def model_state(model: GPT) -> dict[str, Tensor]:
    """All parameters by name; the output layer is left out where it is the embedding itself."""
    return {name: p.detach() for name, p in model.named_parameters()}  # a tied tensor is listed once


def state_hash(model: GPT) -> str:
    """Hash of all parameters of a model."""
    digest = hashlib.sha256()
    for name, tensor in model_state(model).items():
        digest.update(name.encode() + tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return HASH + digest.hexdigest()


def write_metrics(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write metrics.jsonl, a line a step."""
    write_text(folder / "metrics.jsonl", "".join(json.dumps(m) + "\n" for m in history))


def save_run(folder: Path, run: Run, settings: Mapping[str, object], base: Path | None = None) -> None:
    """Write a run folder. A model with LoRA adapters is saved as adapter beside its `base` run.

    Raises InputError if an adapter has no base folder to stand beside.
    """
    if adapters := lora.adapters(run.gpt):
        check_base(base, folder, adapter=True)
        config = asdict(next(iter(adapters.values())).config)
        base_hash = file_hash(base / "model.safetensors")
        weights = folder / "adapter.safetensors"
        write_tensors(weights, lora.adapter_state(run.gpt))
        about = {"base": os.path.relpath(base, folder), "base_sha256": base_hash, "lora": config}
        write_json(folder / "adapter.json", about)
        (folder / "model.safetensors").unlink(missing_ok=True)  # of an earlier run in this folder
    else:
        weights = folder / "model.safetensors"
        write_tensors(weights, model_state(run.gpt))
        for stale in ("adapter.json", "adapter.safetensors"):
            (folder / stale).unlink(missing_ok=True)
    hashes = {weights.name: file_hash(weights), "tokenizer": run.tokenizer.sha256()}
    config = {"model": asdict(run.gpt.config), "training": dict(settings), "sha256": hashes}
    write_json(folder / "config.json", config)
    run.tokenizer.save(folder / "tokenizer")
    write_metrics(folder, run.metrics)
    plots.training_curves(run.metrics, folder / "curves.png")
    write_json(folder / "report.json", run.report)
    remove_helpers(folder)
    run.folder = folder


def is_finished(folder: Path) -> bool:
    """Whether the folder holds a run that came to its end (the report is written last)."""
    return (folder / "report.json").is_file()


def load_run(folder: str | Path, device: torch.device | str = "cpu") -> Run:
    """Read a run folder; an adapter is put beside its base. Raises InputError that names the fault."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: name the folder a run wrote (its --out)")
    if (folder / "adapter.json").is_file():
        run = _load_adapter(folder)
    else:
        run = Run(_load_model(folder), Tokenizer.load(folder / "tokenizer"), folder)
    if run.tokenizer.n_vocab != run.gpt.config.n_vocab:
        raise InputError(f"{folder}: the tokenizer has {run.tokenizer.n_vocab} tokens, the model {run.gpt.config.n_vocab}"
                         ": restore the tokenizer that the model was trained with")  # fmt: skip
    _check_hashes(folder, run.tokenizer)
    run.gpt.to(device).eval()
    return run


def _check_hashes(folder: Path, tokenizer: Tokenizer) -> None:
    """Raise InputError if weights or tokenizer are not those that config.json was written with: they may fit
    in shape and still be another run's, or a run in this folder was broken off while it was saved."""
    wanted = read_json(folder / "config.json", dict).get("sha256")
    for name, expected in wanted.items() if isinstance(wanted, dict) else ():
        path = folder / name
        if expected != (tokenizer.sha256() if name == "tokenizer" else path.is_file() and file_hash(path)):
            raise InputError(f"{path}: not what config.json was written with: put it back, or run the stage again")


def _load_model(folder: Path) -> GPT:
    path = folder / "config.json"
    about = read_json(path, dict)
    try:
        model = GPT(GPTConfig(**about["model"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not the config of a model ({error}): restore the file") from None
    _copy_into(model_state(model), folder / "model.safetensors")
    return model


def _load_adapter(folder: Path) -> Run:
    path = folder / "adapter.json"
    about = read_json(path, dict)
    try:
        base, wanted, settings = folder / about["base"], about["base_sha256"], dict(about["lora"])
        config = lora.LoRAConfig(**settings | {"targets": tuple(settings["targets"])})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not the description of an adapter ({error}): restore the file") from None
    weights = base / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"{path}: its base {base} is not there: put the base run back")
    if file_hash(weights) != wanted:
        raise InputError(f"{path}: its base {base} has changed since: train the adapter again")
    run = Run(_load_model(base), Tokenizer.load(folder / "tokenizer"), folder)
    lora.inject(run.gpt, config)
    _copy_into(lora.adapter_state(run.gpt), folder / "adapter.safetensors")
    return run


def _read_like(own: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of a file. Raises InputError unless they have the names and shapes of `own`."""
    saved = read_tensors(path)
    for name in sorted(own.keys() ^ saved.keys()):
        raise InputError(f"{path}: {name} is {'missing' if name in own else 'too much'}: config and weights differ")
    for name, tensor in saved.items():
        if own[name].shape != tensor.shape:
            raise InputError(f"{path}: {name} is {tuple(tensor.shape)}, the config says {tuple(own[name].shape)}")
    return saved


@torch.no_grad()
def _copy_into(own: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in _read_like(own, path).items():
        own[name].copy_(tensor)


# ----------------------------------------------------------------------------- checkpoints while training


def begin(out: Path, resume: bool) -> None:
    """Make the output folder; a run that starts over drops report and checkpoints of an earlier one.

    Raises InputError if the folder cannot be made.
    """
    make_folder(out)
    if not resume:
        (out / "report.json").unlink(missing_ok=True)
        for folder in checkpoints(out):
            remove(folder)


def check_base(base: Path | None, out: Path, adapter: bool) -> None:
    """Raise InputError if `out` is the base run itself, or if an `adapter` has no full model to stand beside."""
    if base is not None and base.resolve() == out.resolve():
        raise InputError(f"{out}: is the base run itself and would be lost: choose another --out")
    if adapter and (base is None or not (base / "model.safetensors").is_file()):
        raise InputError(f"{base}: holds no full model to save an adapter beside: add --merge")


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
    """What a run that was interrupted says at the end."""
    if is_finished(out):
        return "the run is finished and saved"
    if (folder := newest(out)) is None:
        return "no step was saved yet"
    return f"step {step_of(folder)} is saved: give the same command with --resume to go on"


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
    _copy_into(own, folder / "model.safetensors")
    for i, optimizer in enumerate(optimizers):
        optimizer.load_state(_read_like(optimizer.state(), folder / f"optimizer-{i}.safetensors"))
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
