"""The safety net around the training loop: going on from a checkpoint, saving, Ctrl-C, a loss that is no number.

The mathematics is in `training`; this can be passed over on a first reading.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from minillm import checkpoint
from minillm.checkpoint import Metrics, check_same, newest, optimizer_state, restore, restore_random_state
from minillm.gpt import GPT
from minillm.plumbing import distributed
from minillm.plumbing.distributed import whole
from minillm.plumbing.files import read_json
from minillm.plumbing.interrupts import Interrupted, Interrupts
from minillm.plumbing.terminal import Progress
from minillm.settings import TrainConfig

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
        self.begun_with = config.recipe() | dict(data or {})
        self.history: list[Metrics] = []
        self.first = 0
        self.interrupts = Interrupts()
        self.bar: dict[str, Any] = {
            "total": config.steps,
            "desc": label,
            "unit": "step",
            "disable": not (bar and self.main),
        }
        self.exits = ExitStack()

    def __enter__(self) -> "Session":
        with self.exits:  # closes what was opened if the rest fails
            found = self.begin()
            self.progress = self.exits.enter_context(Progress(initial=self.first, **self.bar))
            device = self.model.device
            self.exits.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
            torch.manual_seed(self.config.seed)
            if found is not None:
                restore_random_state(found)
            self.random_state = get_random_state(device)
            self.exits.enter_context(self.interrupts)
            if distributed.process_count() > 1:  # one that stops within a step would leave the others waiting
                self.exits.enter_context(self.interrupts.held())
            self.exits = self.exits.pop_all()  # all went well: closed by __exit__ instead
        return self

    def begin(self) -> Path | None:
        """Make the output folder ready and bring the model to where the run goes on: its newest checkpoint."""
        distributed.check_equal(self.begun_with)
        if self.out is not None:
            out = self.out
            distributed.main_does(lambda: checkpoint.begin(out, self.config.resume))
        found = newest(self.out) if self.out is not None and self.config.resume else None
        if found is not None:
            check_same(found / "run.json", read_json(found / "run.json", dict), self.begun_with)
            self.first, self.history = restore(found, self.model, self.optimizers)
        if self.config.resume and self.main:
            print(f"resumed at step {self.first}" if self.first else "no checkpoint to resume: starting over")
        distributed.wait_for_all()  # nobody removes the checkpoint that another still reads
        return found

    def steps(self) -> Iterator[int]:
        """The numbers of the steps still to do; what is due after a step is saved when the next is asked for."""
        every, last = self.config.checkpoint_every, self.config.steps
        for step in range(self.first, last):
            yield step  # the rest runs when the loop asks for the next step
            # the last step is saved too: measuring and writing the result may be interrupted as well
            if step + 1 == last or (every and (step + 1) % every == 0):
                if not all(whole(p.isfinite().all()) for p in self.model.parameters() if p.requires_grad):
                    raise TrainingError(f"step {step + 1}: {NOT_FINITE}")
                if every:
                    self.save()
            self.stop_together()

    def stop_together(self) -> None:
        """Several processes end after the same step, as soon as a signal has reached one of them."""
        if distributed.process_count() > 1:
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
                checkpoint.save(
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
