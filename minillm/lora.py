"""LoRA: leave a weight matrix W as it is and learn a small difference ΔW = (alpha / rank) B A next to it.

W is (out, in); A is (rank, in), B is (out, rank). With rank far below both, ΔW has few parameters.
B starts at zero, so the model with fresh adapters is exactly the base model.

Source: Hu et al. 2021 (2106.09685).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minillm.gpt import GPT
from minillm.plumbing.checks import above_0, at_least_1, share
from minillm.plumbing.files import InputError

Target = Literal["query", "key", "value", "out", "up", "gate", "down"]
TARGETS: tuple[Target, ...] = get_args(Target)


@dataclass(frozen=True)
class LoRAConfig:
    """Which layers get an adapter and of what size. Raises InputError for numbers out of range."""

    rank: int = 8
    """Rank of ΔW."""
    alpha: float = 16.0
    """ΔW is scaled by alpha / rank, so that the rank can change without a new learning rate."""
    dropout: float = 0.0
    """Share of the adapter's inputs set to zero while training."""
    targets: tuple[Target, ...] = TARGETS
    """Names of the linear layers that get one."""

    def __post_init__(self) -> None:
        at_least_1(self, "rank")
        above_0(self, "alpha")
        share(self, "dropout")
        if unknown := set(self.targets) - set(TARGETS):
            raise InputError(f"{unknown.pop()!r} gets no adapter: targets are {', '.join(TARGETS)}")


class LoRALinear(nn.Module):
    """A frozen linear layer with a trainable low-rank difference: y = W x + (alpha / rank) B A x."""

    def __init__(self, base: nn.Linear, config: LoRAConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.base, self.config = base, config
        self.scale, self.dropout = config.alpha / config.rank, config.dropout
        self.merged = self.off = False
        bound = 1 / math.sqrt(base.in_features)
        a = torch.empty(config.rank, base.in_features).uniform_(-bound, bound, generator=generator)
        self.A = nn.Parameter(a.to(base.weight))  # (rank, in)
        self.B = nn.Parameter(torch.zeros(base.out_features, config.rank).to(base.weight))  # (out, rank)

    def delta(self) -> Tensor:
        """ΔW = (alpha / rank) B A, shape (out, in)."""
        return self.scale * (self.B @ self.A)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)  # (…, in) -> (…, out)
        if self.merged or self.off:
            return y
        x = F.dropout(x, self.dropout, self.training)
        return y + self.scale * F.linear(F.linear(x, self.A), self.B)  # (…, in) -> (…, rank) -> (…, out)

    @torch.no_grad()
    def merge(self) -> None:
        """Add ΔW to W, so that the layer costs what it did without an adapter."""
        if not self.merged:
            self.base.weight.data = self.base.weight + self.delta()  # not in place: another model may share it
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take ΔW away from W again."""
        if self.merged:
            self.base.weight.data = self.base.weight - self.delta()
            self.merged = False


def adapters(model: nn.Module) -> dict[str, LoRALinear]:
    """All adapters of a model by the name of the layer they are at."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


@contextmanager
def switched_off(model: nn.Module) -> Iterator[None]:
    """The model as it was before it got adapters, until the block ends: a reference that needs no second copy.

    Raises ValueError if an adapter is merged: its layer is no longer what it was.
    """
    layers = list(adapters(model).values())
    if any(layer.merged for layer in layers):
        raise ValueError("a merged adapter cannot be switched off: unmerge it first")
    for layer in layers:
        layer.off = True
    try:
        yield
    finally:
        for layer in layers:
            layer.off = False


@contextmanager
def frozen_in_bf16(model: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Hold the matrices next to adapters in bf16: products in bf16 need not convert them in every step."""
    layers = [adapter.base for adapter in adapters(model).values()] if enabled else []
    whole = [layer.weight.data for layer in layers]
    for layer in layers:
        layer.weight.data = layer.weight.data.bfloat16()
    try:
        yield
    finally:
        for layer, weight in zip(layers, whole, strict=True):
            layer.weight.data = weight


def inject(model: GPT, config: LoRAConfig, seed: int = 0) -> None:
    """Freeze the model and put an adapter next to every linear layer named in `config.targets`.

    Raises InputError if there is none, ValueError if the model has adapters already.
    """
    if adapters(model):
        raise ValueError("the model has LoRA adapters already: merge them first")
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    chosen = {name: layer for name, layer in linear.items() if name.split(".")[-1] in config.targets}
    if not chosen:
        raise InputError(f"no linear layer is called {' or '.join(config.targets)}")
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, layer in chosen.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, LoRALinear(layer, config, generator).train(model.training))


def merge(model: GPT, trainable: bool = True) -> None:
    """Add every ΔW to its W and take the adapters out: a plain GPT remains, whose weights train or not."""
    for name, adapter in adapters(model).items():
        adapter.merge()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, adapter.base)
    model.requires_grad_(trainable)


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The tensors A and B of all adapters, by name; nothing of the base model."""
    return {f"{n}.{ab}": getattr(m, ab).detach() for n, m in adapters(model).items() for ab in ("A", "B")}
