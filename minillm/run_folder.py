"""Run folders: safetensors for numbers, JSON for the rest, never a pickle.

A run folder is what a stage leaves behind:

    model.safetensors  config.json  tokenizer/  metrics.jsonl  curves.png  report.json

A LoRA run holds adapter.safetensors and adapter.json instead of the model: the adapter and where its
base stands, with the base's hash.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from minillm import lora
from minillm.checkpoint import remove_helpers, write_metrics
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.plumbing import plots
from minillm.plumbing.files import HASH, InputError, file_hash, read_json, write_json
from minillm.plumbing.tensors import copy_into, write_tensors
from minillm.tokenizer import Tokenizer


@dataclass
class Run:
    """A model with its tokenizer, as a stage returns it or as it is read from a run folder."""

    gpt: GPT
    tokenizer: Tokenizer
    folder: Path | None = None
    metrics: list[dict[str, float]] = field(default_factory=list)
    report: dict = field(default_factory=dict)


def model_state(model: GPT) -> dict[str, Tensor]:
    """All parameters by name; the output layer is left out where it is the embedding itself."""
    return {name: p.detach() for name, p in model.named_parameters()}  # a tied tensor is listed once


def state_hash(model: GPT) -> str:
    """Hash of all parameters of a model."""
    digest = hashlib.sha256()
    for name, tensor in model_state(model).items():
        digest.update(name.encode() + tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return HASH + digest.hexdigest()


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


def check_base(base: Path | None, out: Path, adapter: bool) -> None:
    """Raise InputError if `out` is the base run itself, or if an `adapter` has no full model to stand beside."""
    if base is not None and base.resolve() == out.resolve():
        raise InputError(f"{out}: is the base run itself and would be lost: choose another --out")
    if adapter and (base is None or not (base / "model.safetensors").is_file()):
        raise InputError(f"{base}: holds no full model to save an adapter beside: add --merge")


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
    copy_into(model_state(model), folder / "model.safetensors")
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
    copy_into(lora.adapter_state(run.gpt), folder / "adapter.safetensors")
    return run
