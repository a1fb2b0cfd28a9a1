"""The part of the benchmark about learning: how long until a loss is reached, and what loss in a given time.

The text is cut into characters, as nanoGPT does for Tiny Shakespeare; its last tenth is never trained on, and the
loss on all of it counts. The other side is nanoGPT's recipe for a CPU, on the plain GPT: 4 layers of width 128, 12
rows of 64 characters, 2,000 steps of AdamW, no dropout (github.com/karpathy/nanoGPT, README).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import nn

from minillm.batching import TextRows
from minillm.gpt import GPT, token_losses
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config
from minillm.measure.bench.machine import Ceilings
from minillm.measure.bench.plain_gpt import PlainGPT, plain_step
from minillm.measure.bench.plan import Plan, Shape
from minillm.measure.bench.rows import OURS, Row, compare
from minillm.optim import set_learning_rate
from minillm.plumbing.devices import Timer, autocast
from minillm.plumbing.files import read_text
from minillm.settings import TrainConfig
from minillm.training import mean_loss, train

RECIPE = "nanoGPT's recipe, plain PyTorch"
IN_THAT_TIME = f"{OURS}, in that time"


@dataclass(frozen=True)
class Characters:
    """A text as numbers of its characters."""

    training: np.ndarray
    held_back: np.ndarray
    n_vocab: int


def characters_of(text: str) -> Characters:
    """Every character that occurs is a token; the last tenth of the text is held back."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    known, ids = np.unique(points, return_inverse=True)
    first = int(0.9 * len(ids))
    return Characters(ids[:first], ids[first:], len(known))


def loss_part(plan: Plan, ceilings: Ceilings) -> Iterator[Row]:
    """Seconds until a short run of ours and nanoGPT's recipe end near one loss; ours in the recipe's time."""
    if plan.text is None:
        yield Row("loss", "", OURS, note="needs a text: --text FILE, such as Tiny Shakespeare")
        return
    text = characters_of(read_text(plan.text))
    case = f"{plan.text.name}, characters, loss on its last tenth"
    seconds: dict[str, list[float]] = {OURS: [], RECIPE: [], IN_THAT_TIME: []}
    losses: dict[str, list[float]] = {OURS: [], RECIPE: [], IN_THAT_TIME: []}

    def note_down(who: str, result: tuple[float, float]) -> float:
        seconds[who].append(result[0])
        losses[who].append(result[1])
        return result[0]

    note_down(OURS, learn(text, plan.short, 20, 0))  # to warm up
    seconds[OURS].clear()
    losses[OURS].clear()
    for turn in range(plan.long_repeat):
        note_down(OURS, learn(text, plan.short, plan.short_steps, turn))
        whole = note_down(RECIPE, learn_plainly(text, plan.recipe, plan.recipe_steps, turn))
        per_step = learn(text, plan.long, plan.long_trial, turn)[0] / plan.long_trial
        note_down(IN_THAT_TIME, learn(text, plan.long, max(1, int(whole / per_step)), turn))
    notes = {who: f"{median(own):.3f} nats per character" for who, own in losses.items()}
    yield from compare("loss", case, "s", seconds, notes=notes)


def learn(text: Characters, shape: Shape, steps: int, seed: int) -> tuple[float, float]:
    """Seconds of training with our own options and optimizers, and the loss afterwards."""
    model = GPT(GPTConfig(**shape.sizes | {"n_vocab": text.n_vocab}), seed)
    rows = TextRows(text.training, shape.n_ctx, seed)
    config = TrainConfig(steps=steps, batch_size=shape.rows, lr=0.02, muon_lr=0.02, warmup=10, device="cpu")
    timer = Timer()
    train(model, lambda step: mean_loss(model, rows.batch(step, shape.rows), config), config)
    return timer.seconds, loss_of(model, text, shape.n_ctx, "auto")


def learn_plainly(text: Characters, shape: Shape, steps: int, seed: int) -> tuple[float, float]:
    """The same by nanoGPT's recipe."""
    torch.manual_seed(seed)
    model = PlainGPT(gpt2_config(**shape.sizes | {"n_vocab": text.n_vocab}))
    rows = TextRows(text.training, shape.n_ctx, seed)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    timer = Timer()
    for step in range(steps):
        set_learning_rate([optimizer], recipe_rate(step, steps))
        batch = rows.batch(step, shape.rows)
        plain_step(model, optimizer, batch.ids, batch.targets)
    return timer.seconds, loss_of(model, text, shape.n_ctx, "fp32")


def recipe_rate(step: int, steps: int, warmup: int = 100, final: float = 0.1) -> float:
    """Factor on the learning rate: up over the warm-up, then half a cosine down to a tenth."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    share = (step - warmup) / max(1, steps - warmup)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share))


@torch.no_grad()
def loss_of(model: nn.Module, text: Characters, n_ctx: int, precision: str) -> float:
    """Mean loss on the text held back, in rows of n_ctx characters; nats per character."""
    model.eval()
    total = count = 0.0
    for batch in TextRows(text.held_back, n_ctx).in_order(64):
        with autocast(torch.device("cpu"), precision):
            logits = model(batch.ids)  # (B, T) -> (B, T, V)
        total += token_losses(logits, batch.targets).sum().item()
        count += batch.targets.numel()
    return total / count
