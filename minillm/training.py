"""The training loop that all three stages share.

A stage gives an objective: for step n, the losses of its micro-batches, whose sum is the loss of the step.
The loop adds up their gradients, limits the length of the sum, lets the optimizers step, and writes down
what happened.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from minillm.batching import Batch
from minillm.checkpoint import Metrics
from minillm.gpt import GPT, token_losses
from minillm.optim import learning_rate_scale, make_optimizers, set_learning_rate
from minillm.plumbing import distributed
from minillm.plumbing.devices import autocast, uses_bf16
from minillm.plumbing.distributed import is_spread, own_share, whole
from minillm.plumbing.threads import Map, all_cores
from minillm.session import Session
from minillm.settings import TrainConfig

MicroBatch = Callable[[], tuple[Tensor, Metrics]]
"""Computes its share of a step's loss, with figures to show."""
Objective = Callable[[int], Iterable[MicroBatch]]


def mean_loss(model: GPT, batch: Batch, config: TrainConfig, name: str = "", weight: float = 1.0) -> list[MicroBatch]:
    """The mean loss over a batch's tokens times `weight`, as `config.accumulate` micro-batches that add up to
    it; each also gives the number of its tokens and, under `name`, its unweighted loss.

    Every micro-batch is divided by the tokens of the whole batch: a mean of their means would count the
    tokens of a short one more than those of a long one.
    """
    total = batch.weights.sum()

    def loss_of(part: Batch, counts: int) -> tuple[Tensor, Metrics]:
        part = part.to(model.device)
        with autocast(model.device, config.precision):
            logits = model(part.ids, part.mask, part.positions)  # (B, T) -> (B, T, V)
        loss = counts * (token_losses(logits, part.targets) * part.weights).sum() / total
        return weight * loss, {"tokens": counts * part.ids.numel()} | ({name: loss.item()} if name else {})

    parts = list(batch.split(config.accumulate * distributed.world_size()))
    return [partial(loss_of, part, counts) for part, counts in own_share(parts)]


def add_gradients(micro_batches: Iterable[MicroBatch], parameters: Sequence[Tensor], compute: Map) -> Metrics:
    """Add the gradients of all micro-batches to those of the parameters; return the sums of their figures.

    They are added in the order of the micro-batches, whoever computes them: the result depends on nothing else.
    """
    sums: Metrics = {"loss": 0.0}
    for gradients, facts in compute(partial(gradients_of, parameters), micro_batches):
        for p, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                p.grad = gradient.contiguous() if p.grad is None else p.grad.add_(gradient)
        for name, value in facts.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def gradients_of(parameters: Sequence[Tensor], micro_batch: MicroBatch) -> tuple[Sequence[Tensor | None], Metrics]:
    """The gradients of one micro-batch and its figures; None for parameters it does not depend on, and for all
    under FSDP, which adds them up itself."""
    loss, facts = micro_batch()
    facts = {"loss": loss.item()} | facts
    if is_spread(parameters[0]):  # FSDP adds up what `backward` leaves at the parameters
        loss.backward()
        return [None] * len(parameters), facts
    return torch.autograd.grad(loss, parameters, allow_unused=True), facts


def train(
    model: GPT,
    objective: Objective,
    config: TrainConfig,
    out: Path | None = None,
    label: str = "train",
    bar: bool = False,
    on_step: Callable[[int, Metrics], None] | None = None,
    data: Mapping[str, str] | None = None,
) -> list[Metrics]:
    """Run `config.steps` updates on the model's trainable parameters; return the metrics of each step.

    With `out`, checkpoints are written there (`session.Session` says when, and what `data` is). `bar` shows
    progress with loss and time left; `on_step(step, metrics)` is called after each step. On a CPU several
    cores compute micro-batches at the same time. Raises TrainingError, naming the step, when the loss is not
    finite.
    """
    distributed.check_joined()
    parameters = [p for p in model.parameters() if p.requires_grad]
    low_precision = uses_bf16(model.device, config.precision)
    optimizers = make_optimizers(model, config.lr, config.muon_lr, config.weight_decay, low_precision)
    with all_cores(can_share(model)) as compute, Session(model, optimizers, config, out, label, bar, data) as session:
        for step in session.steps():
            model.train()
            sums = add_gradients(objective(step), parameters, compute)
            scale = learning_rate_scale(step, config.steps, config.warmup, config.final_lr)
            metrics: Metrics = {"step": step + 1, "lr": scale * config.lr} | distributed.sum_metrics(sums)
            metrics["gradient_norm"] = whole(clip_grad_norm_(parameters, config.clip)).item()
            set_learning_rate(optimizers, scale)
            with session.update(metrics):
                list(compute(update, optimizers))
            if on_step is not None:
                on_step(step + 1, metrics)
    model.eval()
    return session.history


def update(optimizer: Optimizer) -> None:
    """One step of an optimizer, whose gradients are then gone."""
    optimizer.step()
    optimizer.zero_grad()


def can_share(model: GPT) -> bool:
    """Whether micro-batches may be computed at the same time: on a CPU, by one process, with nothing drawn at
    random, since the order of the draws would decide what is drawn."""
    draws = any(getattr(module, "dropout", 0.0) for module in model.modules())
    return model.device.type == "cpu" and distributed.world_size() == 1 and not draws
