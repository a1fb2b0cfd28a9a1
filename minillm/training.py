"""The training loop that all three stages share.

A stage gives an objective: for step n, the losses of its micro-batches, whose sum is the loss of the step.
The loop adds up their gradients, limits the length of the sum, lets the optimizers step, and writes down
what happened.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from minillm.batching import Batch
from minillm.checkpoint import Metrics
from minillm.gpt import GPT, token_losses
from minillm.optim import learning_rate_scale, make_optimizers, set_learning_rate
from minillm.plumbing import distributed
from minillm.plumbing.devices import autocast, uses_bf16
from minillm.plumbing.distributed import own_share, whole
from minillm.session import Session
from minillm.settings import TrainConfig

Objective = Callable[[int], Iterable[tuple[Tensor, Metrics]]]


def mean_loss(
    model: GPT, batch: Batch, config: TrainConfig, name: str = "", weight: float = 1.0
) -> Iterator[tuple[Tensor, Metrics]]:
    """The mean loss over a batch's tokens times `weight`, in `config.accumulate` micro-batches that add up
    to it; with each the number of tokens computed and, under `name`, its unweighted loss.

    Every micro-batch is divided by the tokens of the whole batch: a mean of their means would count the
    tokens of a short one more than those of a long one.
    """
    total = batch.weights.sum()
    for part, counts in own_share(list(batch.split(config.accumulate * distributed.world_size()))):
        part = part.to(model.device)
        with autocast(model.device, config.precision):
            logits = model(part.ids, part.mask, part.positions)  # (B, T) -> (B, T, V)
        loss = counts * (token_losses(logits, part.targets) * part.weights).sum() / total
        yield weight * loss, {"tokens": counts * part.ids.numel()} | ({name: loss.item()} if name else {})


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

    With `out`, checkpoints are written there (`session.Session` says when, and what `data` is). `bar`
    shows progress with loss and time left; `on_step(step, metrics)` is called after each step. Raises
    TrainingError, naming the step, when the loss is not finite.
    """
    distributed.check_joined()
    parameters = [p for p in model.parameters() if p.requires_grad]
    low_precision = uses_bf16(model.device, config.precision)
    optimizers = make_optimizers(model, config.lr, config.muon_lr, config.weight_decay, low_precision)
    with Session(model, optimizers, config, out, label, bar, data) as session:
        for step in session.steps():
            model.train()
            sums: Metrics = {"loss": 0.0}
            for loss, facts in objective(step):
                loss.backward()
                for name, value in ({"loss": loss.item()} | facts).items():
                    sums[name] = sums.get(name, 0.0) + value
            scale = learning_rate_scale(step, config.steps, config.warmup, config.final_lr)
            metrics: Metrics = {"step": step + 1, "lr": scale * config.lr} | distributed.sum_metrics(sums)
            metrics["gradient_norm"] = whole(clip_grad_norm_(parameters, config.clip)).item()
            set_learning_rate(optimizers, scale)
            with session.update(metrics):
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad()
            if on_step is not None:
                on_step(step + 1, metrics)
    model.eval()
    return session.history
