"""Training steps: ours through the training loop itself, and those of the plain GPT, on the same weights and rows."""

import copy
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from minillm.batching import Batch
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config
from minillm.measure.bench.machine import Ceilings, Work
from minillm.measure.bench.plain_gpt import PlainGPT, plain_loss, plain_optimizer, plain_step, to_plain
from minillm.measure.bench.plan import Shape
from minillm.measure.bench.rows import OURS
from minillm.plumbing.devices import Timer, uses_bf16
from minillm.settings import TrainConfig
from minillm.training import add_gradients, mean_loss, train

PLAIN = "plain PyTorch, fp32"
OURS_FP32 = f"{OURS}, fp32"
OURS_OWN = f"{OURS}, its own recipe"
TOLERANCE = 1e-4


class Unequal(Exception):
    """A contender does not compute what ours does: its time says nothing."""


def multiplied_weights(config: GPTConfig) -> int:
    """Weights that every token is multiplied by: not the tables that are only looked up."""
    positions = config.n_ctx * (config.n_embd if config.position == "learned" else config.head_dim)
    return config.weights - positions - (0 if config.tied else config.n_vocab * config.n_embd)


def training_work(config: GPTConfig, tokens: int, context: int, number_format: str) -> Work:
    """Products of one step: 2 FLOP per weight and token forward, 4 backward, and those of the attention.

    The whole square of the attention counts, also what the mask hides. Norms, the loss and the optimizer do not.
    """
    attention = 2 * config.n_layer * config.n_head * config.head_dim * context  # q kᵀ, and weights times v
    return Work(6.0 * tokens * (multiplied_weights(config) + attention), number_format)


def rough_gpt(config: GPTConfig, seed: int = 0) -> GPT:
    """A GPT whose gains are not 1, whose biases are not 0 and whose activations are of the order of 1, so that each
    part shows in its outputs: with the small weights that training begins with, GELU is nearly a line."""
    gpt, generator = GPT(config, seed), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in gpt.parameters():
            deviation = p.shape[1] ** -0.5 if p.dim() == 2 else 0.2
            p.add_(torch.empty_like(p).normal_(0, deviation, generator=generator))
    return gpt


def random_batch(shape: Shape, seed: int = 0) -> Batch:
    """Rows of random ids: a step takes as long on them as on text."""
    ids = torch.randint(shape.n_vocab, (shape.rows, shape.n_ctx + 1), generator=torch.Generator().manual_seed(seed))
    return Batch(ids[:, :-1], ids[:, 1:], torch.ones(shape.rows, shape.n_ctx))  # (B, T + 1) -> 3 x (B, T)


def step_config(
    precision: Literal["auto", "fp32", "bf16"], steps: int = 1, muon_lr: float | None = None
) -> TrainConfig:
    return TrainConfig(steps=steps, batch_size=1, lr=1e-3, muon_lr=muon_lr, warmup=0, precision=precision, device="cpu")


# ------------------------------------------------------------------------------------------------ equality


def check_equal(what: str, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """Raise Unequal unless both have the same tensors, up to 1e-4 of the largest number in each."""
    if ours.keys() != theirs.keys():
        raise Unequal(f"{what}: {', '.join(sorted(ours.keys() ^ theirs.keys()))}: only one of the two has it")
    for name, expected in ours.items():
        if expected.shape != theirs[name].shape:
            raise Unequal(f"{what}: {name}: {tuple(theirs[name].shape)} instead of {tuple(expected.shape)}")
        difference = (theirs[name] - expected).abs().max().item() / max(expected.abs().max().item(), 1e-30)
        if not difference <= TOLERANCE:  # NaN is not, either
            raise Unequal(f"{what}: {name}: differs by {difference:.1e} of its largest number")


def check_plain(ours: GPT, plain: nn.Module, batch: Batch) -> None:
    """Raise Unequal unless logits and gradients of both agree in fp32; both keep their weights."""
    ours, plain = copy.deepcopy(ours), copy.deepcopy(plain)
    with torch.no_grad():
        check_equal("logits", {"logits": ours(batch.ids)}, {"logits": plain(batch.ids)})
    add_gradients(mean_loss(ours, batch, step_config("fp32")), list(ours.parameters()), map)  # type: ignore[arg-type]  # called as a Map is
    plain_loss(plain, batch.ids, batch.targets).backward()
    check_equal("gradients", to_plain(gradients_of(ours)), gradients_of(plain))


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    """The gradients that parameters have, by name."""
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def plain_like(ours: GPT) -> PlainGPT:
    """A plain GPT with the same weights."""
    plain = PlainGPT(ours.config)
    plain.load_state_dict(to_plain(ours.state_dict()))
    return plain


# -------------------------------------------------------------------------------------------- seconds a step


def seconds_of_ours(model: GPT, batch: Batch, config: TrainConfig, steps: int) -> float:
    """Seconds per step in the training loop, from the end of its first step on."""
    ends: list[float] = []
    timer = Timer()
    train(model, lambda _: mean_loss(model, batch, config), step_config(config.precision, steps + 1, config.muon_lr),
          on_step=lambda *_: ends.append(timer.seconds))  # fmt: skip
    return (ends[-1] - ends[0]) / steps


def seconds_of_plain(model: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """Seconds per step of the plain GPT, after a first one."""
    plain_step(model, optimizer, batch.ids, batch.targets)
    timer = Timer()
    for _ in range(steps):
        plain_step(model, optimizer, batch.ids, batch.targets)
    return timer.seconds / steps


def long_enough(seconds_of: Callable[[int], float], least_seconds: float) -> Callable[[], float]:
    """The same for as many steps as take this long, found out the first time: one step is too short to compare."""
    steps = 0

    def measure() -> float:
        nonlocal steps
        if not steps:
            steps = min(100, math.ceil(least_seconds / seconds_of(1)) or 1)
        return seconds_of(steps)

    return measure


Contenders = dict[str, Callable[[], float]]


def contenders(shape: Shape, least_seconds: float, own_recipe: bool = False) -> Contenders:
    """Who takes a step of this shape: ours with GPT-2's options and AdamW, in the number format that a run takes
    and in fp32, and the plain GPT, checked to be equal; with `own_recipe` also our options and optimizers."""
    batch, ours = random_batch(shape), rough_gpt(gpt2_config(**shape.sizes))
    plain = plain_like(ours)
    check_plain(ours, plain, batch)
    models = {OURS: (ours, step_config("auto")), OURS_FP32: (copy.deepcopy(ours), step_config("fp32"))}
    if own_recipe:
        models[OURS_OWN] = GPT(GPTConfig(**shape.sizes)), step_config("auto", muon_lr=0.012)
    measures = {who: partial(seconds_of_ours, model, batch, config) for who, (model, config) in models.items()}
    measures[PLAIN] = partial(seconds_of_plain, plain, batch, plain_optimizer(plain))
    return {who: long_enough(measure, least_seconds) for who, measure in measures.items()}


def auto_format() -> str:
    """The number format that `--precision auto` takes here."""
    return "bf16" if uses_bf16(torch.device("cpu"), "auto") else "fp32"


def shares(shape: Shape, seconds: Mapping[str, float], ceilings: Ceilings) -> dict[str, float]:
    """The share of the machine's limit that each contender's step reaches, from its seconds."""
    result = {}
    for who, value in seconds.items():
        config = GPTConfig(**shape.sizes) if who == OURS_OWN else gpt2_config(**shape.sizes)
        number_format = auto_format() if who in (OURS, OURS_OWN) else "fp32"
        work = training_work(config, shape.rows * shape.n_ctx, shape.n_ctx, number_format)
        result[who] = ceilings.share(work, value)
    return result
