"""The training loop that all three stages share.

A stage gives an objective: for step n, the loss in pieces whose sum is the loss of the step. The loop
adds up the gradients of the pieces, limits their length, lets the optimizers step, and writes down
what happened.
"""

import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from minillm import checkpoint
from minillm.batching import Batch
from minillm.gpt import GPT, token_losses
from minillm.optim import learning_rate_scale, make_optimizers
from minillm.plumbing import distributed
from minillm.plumbing.devices import autocast, uses_bf16
from minillm.settings import TrainConfig

Metrics = dict[str, float]
MAY_CHANGE = ("resume", "checkpoint_every", "device")  # settings that a resumed run need not share
NOT_FINITE = "the loss is no longer a finite number: lower the learning rate (the last checkpoint, if any, stays)"

Objective = Callable[[int], Iterable[tuple[Tensor, Metrics]]]


class TrainingError(RuntimeError):
    """Training broke off: the loss is no longer a number."""


def mean_loss(
    model: GPT, batch: Batch, config: TrainConfig, name: str = "", weight: float = 1.0
) -> Iterator[tuple[Tensor, Metrics]]:
    """The mean loss over a batch's tokens times `weight`, in `config.accumulate` pieces that add up to
    it; with each piece the tokens computed and, under `name`, its unweighted loss.

    Every piece is divided by the tokens of the whole batch: a mean of the pieces' means would count
    the tokens of a short piece more than those of a long one.
    """
    device = model.device
    total = batch.weights.sum()
    for piece in own_share(list(batch.split(config.accumulate * distributed.world_size()))):
        piece = piece.to(device)
        with autocast(device, config.precision):
            logits = model(piece.ids, piece.mask, piece.positions)  # (B, T) -> (B, T, V)
        loss = (token_losses(logits, piece.targets) * piece.weights).sum() / total
        yield weight * loss, {"tokens": piece.ids.numel()} | ({name: loss.item()} if name else {})


def own_share(pieces: list) -> list:
    """The pieces of a batch that this process computes; all of them where there is only one."""
    return pieces[distributed.rank() :: distributed.world_size()]


@contextmanager
def no_ctrl_c() -> Iterator[None]:
    """Ctrl-C waits until the block is done, so that what belongs together is done together."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield  # Ctrl-C is ignored, or comes in the main thread
        return
    pressed = []
    signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        before(signal.SIGINT, None)  # raises KeyboardInterrupt


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

    With `out`, checkpoints are written there, together with the settings and `data`, the hashes of what
    is trained on: a run is only resumed with the same. `bar` shows progress with loss and time left;
    `on_step(step, metrics)` is called after each step. Raises TrainingError, naming the step, when the
    loss is not finite. Ctrl-C saves a checkpoint before it ends the run.
    """
    distributed.check_joined()
    parameters = [p for p in model.parameters() if p.requires_grad]
    low_precision = uses_bf16(model.device, config.precision)
    optimizers = make_optimizers(model, config.lr, config.muon_lr, config.weight_decay, low_precision)
    history: list[Metrics] = []
    first = 0
    main = distributed.rank() == 0
    begun_with = {name: value for name, value in asdict(config).items() if name not in MAY_CHANGE} | dict(data or {})
    if out is not None and main:
        checkpoint.begin(out, config.resume)
    distributed.wait_for_all()
    if out is not None and config.resume and (newest := checkpoint.newest(out)) is not None:
        checkpoint.check_same(newest, begun_with)
        first, history = checkpoint.restore(newest, model, optimizers)
    if config.resume and main:
        print(f"resumed at step {first}" if first else "no checkpoint to resume: starting over")
    distributed.wait_for_all()  # nobody removes the checkpoint that another still reads

    def save() -> None:
        if out is not None and main:
            with no_ctrl_c():
                checkpoint.save(out, len(history), model, optimizers, history, random_state, begun_with)

    progress = tqdm(total=config.steps, initial=first, desc=label, unit="step", disable=not (bar and main), leave=True)
    gpus = [model.device] if model.device.type == "cuda" else []
    step = first
    try:
        with torch.random.fork_rng(gpus):
            torch.manual_seed(config.seed)
            if first:
                checkpoint.restore_random_state(newest)
            random_state = get_random_state(model.device)
            for step in range(first, config.steps):
                model.train()
                scale = learning_rate_scale(step, config.steps, config.warmup, config.final_lr)
                sums: Metrics = {"loss": 0.0}
                for loss, facts in objective(step):
                    loss.backward()
                    for name, value in ({"loss": loss.item()} | facts).items():
                        sums[name] = sums.get(name, 0.0) + value
                distributed.sum_gradients(parameters)
                metrics: Metrics = {"step": step + 1, "lr": scale * config.lr} | distributed.sum_metrics(sums)
                metrics["gradient_norm"] = torch.nn.utils.clip_grad_norm_(parameters, config.clip).item()
                if not math.isfinite(metrics["loss"] + metrics["gradient_norm"]):
                    raise TrainingError(f"step {step + 1}: {NOT_FINITE}")
                with no_ctrl_c():  # model, optimizers, history and random state belong to the same step
                    for optimizer in optimizers:
                        optimizer.step(scale)
                    for p in parameters:
                        p.grad = None
                    history.append(metrics)
                    random_state = get_random_state(model.device)
                progress.update()
                progress.set_postfix(loss=f"{metrics['loss']:.3f}", refresh=False)
                if on_step is not None:
                    on_step(step + 1, metrics)
                last = step + 1 == config.steps  # measuring and saving the result may be interrupted too
                if last or (config.checkpoint_every and (step + 1) % config.checkpoint_every == 0):
                    if not all(p.isfinite().all() for p in parameters):
                        raise TrainingError(f"step {step + 1}: {NOT_FINITE}")
                    if config.checkpoint_every:
                        save()
    except KeyboardInterrupt:
        if len(history) > first:
            save()
        raise
    finally:
        progress.close()
    model.eval()
    return history


def get_random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of the random generators that training on this device uses."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state
