"""Run folders: safetensors for numbers, JSON for the rest, never a pickle.

A run folder is what a stage leaves behind:

    model.safetensors  config.json  tokenizer/  metrics.jsonl  curves.png  report.json

A LoRA run holds adapter.safetensors and adapter.json instead of the model: the adapter and where its
base is, with the base's hash.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from minillm import lora
from minillm.checkpoint import check_same, newest, read_metrics, remove_helpers, step_of, write_metrics
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.open_tokenizer import load_tokenizer
from minillm.plumbing import distributed, plots
from minillm.plumbing.devices import pick_device
from minillm.plumbing.files import HASH, InputError, file_hash, new_folder, read_json, write_json
from minillm.plumbing.layers import WithoutNumbers
from minillm.plumbing.lock import locked
from minillm.plumbing.tensors import all_finite, check_like, copy_into, opened, write_tensors
from minillm.settings import TrainConfig
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


def save_run(
    folder: Path,
    run: Run,
    settings: Mapping[str, object],
    base: Path | None = None,
    data: Mapping[str, str] | None = None,
) -> None:
    """Write a run folder. A model with LoRA adapters is saved as adapter next to its `base` run.

    `settings` and `data` say what the run was made with. Raises InputError if an adapter has no base folder.
    """
    hashes = {"tokenizer": run.tokenizer.sha256()}
    written: tuple[str, ...]
    if adapters := lora.adapters(run.gpt):
        check_base(base, folder, adapter=True)
        assert base is not None
        write_tensors(folder / "adapter.safetensors", lora.adapter_state(run.gpt))
        config = asdict(next(iter(adapters.values())).config)
        about = {"base": path_to(base, folder), "base_sha256": file_hash(base / "model.safetensors"), "lora": config}
        write_json(folder / "adapter.json", about)
        written = ("adapter.safetensors", "adapter.json")
    else:
        write_tensors(folder / "model.safetensors", model_state(run.gpt))
        written = ("model.safetensors",)
    for name in {"adapter.safetensors", "adapter.json", "model.safetensors"} - set(written):
        (folder / name).unlink(missing_ok=True)  # of an earlier run in this folder
    hashes |= {name: file_hash(folder / name) for name in written}
    config = {"model": asdict(run.gpt.config), "training": dict(settings), "data": dict(data or {})}
    write_json(folder / "config.json", config | {"sha256": hashes | {"config": config_hash(config)}})
    run.tokenizer.save(folder / "tokenizer")
    write_metrics(folder, run.metrics)
    with plots.dispensable(folder / "curves.png"):
        plots.training_curves(run.metrics, folder / "curves.png")
    write_json(folder / "report.json", run.report)
    remove_helpers(folder)
    run.folder = folder


def path_to(base: Path, folder: Path) -> str:
    """The way from a run folder to its base, links resolved; the whole path if they are on different drives."""
    try:
        return os.path.relpath(base.resolve(), folder.resolve())
    except ValueError:
        return str(base.resolve())


def config_hash(config: Mapping[str, object]) -> str:
    """Hash of what config.json says of a run, whatever its layout."""
    return HASH + hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


# ------------------------------------------------------------------------------------ before a run is written


def is_finished(folder: Path) -> bool:
    """Whether the folder holds a run that came to its end (the report is written last)."""
    return (folder / "report.json").is_file() and (folder / "config.json").is_file()


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run of ours, finished or begun; models of other programs have a config.json, too."""
    path = folder / "config.json"
    return newest(folder) is not None or (path.is_file() and "sha256" in read_json(path, dict))


def check_base(base: Path | None, out: Path, adapter: bool) -> None:
    """Raise InputError if `out` is the base run itself, or if an `adapter` has no full model to be next to."""
    if base is not None and base.resolve() == out.resolve():
        raise InputError(f"{out}: is the base run itself and would be lost: choose another --out")
    if adapter and (base is None or not (base / "model.safetensors").is_file()):
        raise InputError(f"{base}: holds no full model to save an adapter next to: add --merge")


@contextmanager
def reserved(out: Path | None, config: TrainConfig) -> Iterator[None]:
    """An output folder that belongs to this process until the block ends; nothing for None.

    What would fail when the run is saved fails here. Raises InputError if the folder cannot be written to,
    if another process writes into it, or if a run is there and it was not said what should become of it.
    """
    if out is None:
        yield
        return
    with ExitStack() as stack:
        distributed.main_does(lambda: stack.enter_context(claimed(out, config)))
        yield


@contextmanager
def claimed(out: Path, config: TrainConfig) -> Iterator[None]:
    """The folder made, locked and looked at."""
    check_temporary_folder()
    with new_folder(out), locked(out):
        saved = newest(out)
        if not config.overwrite and is_finished(out):
            if not config.resume:
                raise InputError(f"{out}: holds a finished run: choose another --out, or --overwrite it")
            check_finished(out, config.recipe())
        elif not config.overwrite and saved is not None:
            if not config.resume:
                raise InputError(f"{out}: holds step {step_of(saved)} of a run: give --resume to go on with it, "
                                 "--overwrite to start over, or another --out")  # fmt: skip
            check_same(saved / "run.json", read_json(saved / "run.json", dict), config.recipe())
        elif not config.overwrite and (out / "config.json").is_file():
            raise InputError(f"{out}: holds a model without its report: choose another --out, or --overwrite it")
        yield


def check_temporary_folder() -> None:
    """Raise InputError if nothing can be written for a while: PyTorch asks for it when the optimizers are made."""
    try:
        tempfile.gettempdir()
    except OSError:
        raise InputError("no folder for temporary files can be written to: set TMPDIR to one that can") from None


def check_finished(out: Path, now: Mapping[str, object]) -> None:
    """Raise InputError unless a finished run was made with the settings and data of `now`."""
    path = out / "config.json"
    about = read_json(path, dict)
    before = {**about.get("training", {}), **about.get("data", {})}
    if now.get("steps", 0) > before.get("steps", 0) and before | {"steps": now["steps"]} == before | dict(now):
        raise InputError(f"{out}: is finished after {before['steps']} steps: to train it for longer, give it as --base "
                         "and choose another --out")  # fmt: skip
    check_same(path, before, now)


def finished_run(out: Path | None, config: TrainConfig, data: Mapping[str, str]) -> Run | None:
    """With `resume`, the run in `out` if it has come to its end, once more as it was returned; else None.

    Raises InputError if it was made with other settings or data.
    """
    if out is None or not config.resume or not is_finished(out):
        return None
    check_finished(out, config.recipe() | dict(data))
    if distributed.rank() == 0:
        remove_helpers(out)  # a kill may have come between the report and this
        print(f"{out}: this run is finished; nothing to do")
    run = load_run(out, pick_device(config.device))
    run.metrics, run.report = read_metrics(out), read_json(out / "report.json", dict)
    return run


# ------------------------------------------------------------------------------------------------- reading


def load_run(folder: str | Path, device: torch.device | str = "cpu") -> Run:
    """Read a run folder; an adapter is put next to its base. Raises InputError that names the fault."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: name the folder a run wrote (its --out)")
    about, hashes = read_config(folder)
    tokenizer = load_tokenizer(folder / "tokenizer")
    if tokenizer.sha256() != hashes["tokenizer"]:
        raise InputError(f"{folder / 'tokenizer'}: {CHANGED}")
    gpt = _load_adapter(folder) if "adapter.json" in hashes else _load_model(folder, about)
    if tokenizer.n_vocab != gpt.config.n_vocab:
        raise InputError(f"{folder}: the tokenizer has {tokenizer.n_vocab} tokens, the model {gpt.config.n_vocab}"
                         ": restore the tokenizer that the model was trained with")  # fmt: skip
    return Run(gpt.to(device).eval(), tokenizer, folder)


CHANGED = "not what config.json was written with: put it back, or run the stage again"


def read_config(folder: Path) -> tuple[dict, dict[str, str]]:
    """What config.json says, and the hashes of all that defines the run; the files are checked against them.

    They may fit in shape and still be another run's, or a run in this folder was broken off while it was
    saved. Raises InputError that names the file.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file, so it is no finished run: {what_is_there(folder)}")
    about = read_json(path, dict)
    if "model_type" in about and "sha256" not in about:
        raise InputError(
            f"{folder}: a model of another program: take it in first, with import --from {folder} --out RUN"
        )
    hashes = about.pop("sha256", None)
    holds = ({"model.safetensors"}, {"adapter.safetensors", "adapter.json"})
    if not isinstance(hashes, dict) or hashes.keys() not in [{"config", "tokenizer"} | names for names in holds]:
        raise InputError(f"{path}: lacks the hashes of the run: restore the file, or run the stage again")
    if config_hash(about) != hashes["config"]:
        raise InputError(f"{path}: was changed since the run was written: put it back, or run the stage again")
    for name in sorted(hashes.keys() - {"config", "tokenizer"}):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file: put it back, or run the stage again")
        if file_hash(folder / name) != hashes[name]:
            raise InputError(f"{folder / name}: {CHANGED}")
    return about, hashes


def what_is_there(folder: Path) -> str:
    """What to do about a folder without a finished run."""
    if saved := newest(folder):
        return f"its training is at step {step_of(saved)}; wait until it has ended, or go on with it by --resume"
    if runs := sorted(path.parent.name for path in folder.glob("*/config.json") if is_run(path.parent)):
        return f"name one of those in it: {', '.join(runs[:8])}"
    return "name the folder that a stage, or import, wrote (its --out)"


def empty_state(config: GPTConfig) -> dict[str, Tensor]:
    """Names and shapes of a model's tensors, without numbers."""
    with WithoutNumbers():
        return model_state(GPT(config, seed=None))


def _load_model(folder: Path, about: Mapping) -> GPT:
    path = folder / "config.json"
    try:
        config = GPTConfig(**about["model"])
    except (KeyError, TypeError, InputError) as error:
        raise InputError(f"{path}: not the config of a model ({error}): restore the file") from None
    check_like(empty_state(config), folder / "model.safetensors")
    model = GPT(config, seed=None)
    with opened(folder / "model.safetensors") as file:
        for name, p in model.named_parameters():
            p.data = file.get_tensor(name).to(p.dtype)  # mapped into memory, not copied
    if not all(all_finite(p) for p in model.parameters()):
        raise InputError(f"{folder / 'model.safetensors'}: holds numbers that are not finite: train with a lower rate")
    return model


def _load_adapter(folder: Path) -> GPT:
    path = folder / "adapter.json"
    about = read_json(path, dict)
    try:
        base, wanted, settings = folder.resolve() / about["base"], about["base_sha256"], dict(about["lora"])
        config = lora.LoRAConfig(**settings | {"targets": tuple(settings["targets"])})
    except (KeyError, TypeError, InputError) as error:
        raise InputError(f"{path}: not the description of an adapter ({error}): restore the file") from None
    weights = base / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"{path}: its base {base} is not there: put the base run back")
    if file_hash(weights) != wanted:
        raise InputError(f"{path}: its base {base} has changed since: train the adapter again")
    gpt = _load_model(base, read_config(base)[0])
    with WithoutNumbers():
        empty = GPT(gpt.config, seed=None)
        lora.inject(empty, config)
        check_like(lora.adapter_state(empty), folder / "adapter.safetensors")
    lora.inject(gpt, config)
    copy_into(lora.adapter_state(gpt), folder / "adapter.safetensors")
    return gpt
