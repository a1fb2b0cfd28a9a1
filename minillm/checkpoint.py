"""Checkpoints while training, and going on from them.

checkpoints/step-NNNNNN/ of a run folder holds all that a resumed run needs to end with the same bytes as
one that was never interrupted: parameters, optimizers, random state, metrics, and what it was begun with.
The position in the data is the step itself. It is written whole under a temporary name, then renamed.
"""

import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from minillm.gpt import GPT
from minillm.plumbing import distributed
from minillm.plumbing.distributed import spread_like, whole
from minillm.plumbing.files import HASH, InputError, make_folder, read_json, read_text, write_json, write_text
from minillm.plumbing.interrupts import Interrupted, Interrupts
from minillm.plumbing.tensors import copy_into, read_tensors, write_tensors
from minillm.settings import TrainConfig

Metrics = dict[str, float]
MAY_CHANGE = ("resume", "checkpoint_every", "device", "shard")  # settings that a resumed run need not share
NOT_FINITE = "the loss is no longer a finite number: lower the learning rate (the last checkpoint, if any, stays)"


class TrainingError(RuntimeError):
    """Training broke off: the loss is no longer a number."""


class Session:
    """One run of the training loop: where it begins, what is saved when, and how it ends.

        with Session(…) as session:
            for step in session.steps():
                …
                with session.update(metrics):
                    …                           # the optimizers step

    Without an output folder nothing is saved. Ctrl-C, SIGTERM and SIGHUP save a checkpoint before they
    end the run. `data` holds the hashes of what is trained on: a run is only resumed with the same.
    """

    def __init__(
        self,
        model: GPT,
        optimizers: Sequence[Optimizer],
        config: TrainConfig,
        out: Path | None = None,
        label: str = "train",
        bar: bool = False,
        data: Mapping[str, str] | None = None,
    ):
        self.model, self.optimizers, self.config, self.out = model, optimizers, config, out
        self.main = distributed.rank() == 0
        settings = {name: value for name, value in asdict(config).items() if name not in MAY_CHANGE}
        self.begun_with = json.loads(json.dumps(settings | dict(data or {})))  # as it reads back from a file
        self.history: list[Metrics] = []
        self.first = 0
        self.interrupts = Interrupts()
        self.bar = {"total": config.steps, "desc": label, "unit": "step", "disable": not (bar and self.main)}
        self.exits = ExitStack()

    def __enter__(self) -> "Session":
        with self.exits:  # closes what was opened if the rest fails
            newest = self.begin()
            self.progress = self.exits.enter_context(tqdm(initial=self.first, **self.bar))
            device = self.model.device
            self.exits.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
            torch.manual_seed(self.config.seed)
            if newest is not None:
                restore_random_state(newest)
            self.random_state = get_random_state(device)
            self.exits.enter_context(self.interrupts)
            if distributed.world_size() > 1:  # one that stops within a step would leave the others waiting
                self.exits.enter_context(self.interrupts.held())
            self.exits = self.exits.pop_all()
        return self

    def begin(self) -> Path | None:
        """Make the output folder ready and bring the model to where the run goes on: its newest checkpoint."""
        if self.out is not None and self.main:
            begin(self.out, self.config.resume)
        distributed.check_equal(self.begun_with)
        found = newest(self.out) if self.out is not None and self.config.resume else None
        if found is not None:
            check_same(found, self.begun_with)
            self.first, self.history = restore(found, self.model, self.optimizers)
        if self.config.resume and self.main:
            print(f"resumed at step {self.first}" if self.first else "no checkpoint to resume: starting over")
        distributed.wait_for_all()  # nobody removes the checkpoint that another still reads
        return found

    def steps(self) -> Iterator[int]:
        """The numbers of the steps still to do; what is due after a step is saved when the next is asked for."""
        every, last = self.config.checkpoint_every, self.config.steps
        for step in range(self.first, last):
            yield step
            # the last step is saved too: measuring and writing the result may be interrupted as well
            if step + 1 == last or (every and (step + 1) % every == 0):
                if not all(whole(p.isfinite().all()) for p in self.model.parameters() if p.requires_grad):
                    raise TrainingError(f"step {step + 1}: {NOT_FINITE}")
                if every:
                    self.save()
            self.stop_together()

    def stop_together(self) -> None:
        """Several processes end after the same step, as soon as a signal has reached one of them."""
        if distributed.world_size() > 1:
            arrived = [number for number in distributed.from_all(self.interrupts.pending) if number is not None]
            if arrived:
                raise Interrupted(arrived[0])

    @contextmanager
    def update(self, metrics: Metrics) -> Iterator[None]:
        """Around the optimizers' update: weights, optimizers, history and random state belong to the same step.

        Raises TrainingError, before anything is updated, if the loss or the gradient is not finite.
        """
        if not math.isfinite(metrics["loss"] + metrics["gradient_norm"]):
            raise TrainingError(f"step {metrics['step']}: {NOT_FINITE}")
        with self.interrupts.held():
            yield
            self.history.append(metrics)
            self.random_state = get_random_state(self.model.device)
        self.progress.update()
        self.progress.set_postfix(loss=f"{metrics['loss']:.3f}", refresh=False)

    def save(self) -> None:
        """Write a checkpoint of the last step that was done."""
        if self.out is None:
            return
        with self.interrupts.held():
            tensors = {"model": {n: whole(p.detach()) for n, p in self.model.named_parameters() if p.requires_grad}}
            for i, optimizer in enumerate(self.optimizers):
                tensors[f"optimizer-{i}"] = optimizer_state(optimizer, self.model)
            if self.main:
                save(
                    self.out, len(self.history), tensors | {"random": self.random_state}, self.history, self.begun_with
                )

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self.exits:
            if kind is not None and issubclass(kind, KeyboardInterrupt) and len(self.history) > self.first:
                self.save()


def get_random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of the random generators that training on this device uses."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


# ------------------------------------------------------------------------------------------- on disk


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


def restore(folder: Path, model: GPT, optimizers: Sequence[Optimizer]) -> tuple[int, list[dict]]:
    """Bring model and optimizers back to a checkpoint; return the steps done and their metrics."""
    own = {n: p.data for n, p in model.named_parameters() if p.requires_grad}
    copy_into(own, folder / "model.safetensors")
    for i, optimizer in enumerate(optimizers):
        load_optimizer_state(optimizer, model, folder / f"optimizer-{i}.safetensors")
    path = folder / "metrics.jsonl"
    try:
        history = [json.loads(line) for line in read_text(path).splitlines()]
    except json.JSONDecodeError:
        raise InputError(f"{path}: was cut off: remove this checkpoint, or start over without --resume") from None
    return step_of(folder), history


def optimizer_state(optimizer: Optimizer, model: GPT) -> dict[str, Tensor]:
    """What an optimizer keeps for each parameter, as `parameter.kind`: `norm.weight.exp_avg`."""
    names = {p: name for name, p in model.named_parameters()}
    return {f"{names[p]}.{kind}": whole(t) for p, kept in optimizer.state.items() for kind, t in kept.items()}


def load_optimizer_state(optimizer: Optimizer, model: GPT, path: Path) -> None:
    """Give back what `optimizer_state` took. Raises InputError for a tensor that does not belong there."""
    parameters = dict(model.named_parameters())
    own = {p for group in optimizer.param_groups for p in group["params"]}
    for name, tensor in read_tensors(path).items():
        parameter, _, kind = name.rpartition(".")
        p = parameters.get(parameter)
        if p not in own or tensor.shape not in (p.shape, ()):
            raise InputError(f"{path}: {name} does not belong to this model: remove this checkpoint")
        optimizer.state[p][kind] = spread_like(tensor, p) if tensor.shape == p.shape else tensor.to(p.device)


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
