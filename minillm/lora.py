"""LoRA: leave a weight matrix W as it is and learn a small difference ΔW = (alpha / rank) B A beside it.

W is (out, in); A is (rank, in), B is (out, rank). With rank far below both, ΔW has few parameters.
B starts at zero, so the model with fresh adapters is exactly the base model.

Source: Hu et al. 2021 (2106.09685).
"""

import math
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
        self.scale = config.alpha / config.rank
        self.merged = False
        bound = 1 / math.sqrt(base.in_features)
        a = torch.empty(config.rank, base.in_features).uniform_(-bound, bound, generator=generator)
        self.A = nn.Parameter(a.to(base.weight))  # (rank, in)
        self.B = nn.Parameter(torch.zeros(base.out_features, config.rank).to(base.weight))  # (out, rank)

    def delta(self) -> Tensor:
        """ΔW = (alpha / rank) B A, shape (out, in)."""
        return self.scale * (self.B @ self.A)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)  # (…, in) -> (…, out)
        if self.merged:
            return y
        x = F.dropout(x, self.config.dropout, self.training)
        return y + self.scale * F.linear(F.linear(x, self.A), self.B)  # (…, in) -> (…, rank) -> (…, out)

    @torch.no_grad()
    def merge(self) -> None:
        """Add ΔW to W, so that the layer costs what it did without an adapter."""
        if not self.merged:
            self.base.weight += self.delta()
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take ΔW away from W again."""
        if self.merged:
            self.base.weight -= self.delta()
            self.merged = False


def adapters(model: nn.Module) -> dict[str, LoRALinear]:
    """All adapters of a model by the name of the layer they are at."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def inject(model: GPT, config: LoRAConfig, seed: int = 0) -> None:
    """Freeze the model and put an adapter next to every linear layer named in `config.targets`.

    Raises InputError if there is none, ValueError if the model has adapters already.
    """
    if adapters(model):
        raise ValueError("the model has LoRA adapters already: merge them first")
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and n.split(".")[-1] in config.targets]
    if not names:
        raise InputError(f"no linear layer is called {' or '.join(config.targets)}")
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name in names:
        parent, _, child = name.rpartition(".")
        layer = LoRALinear(model.get_submodule(name), config, generator).train(model.training)
        setattr(model.get_submodule(parent), child, layer)


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


@torch.no_grad()
def load_adapter_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy saved A and B into a model with adapters. Raises ValueError if names or shapes differ."""
    own = adapter_state(model)
    if own.keys() != state.keys():
        raise ValueError(f"the adapter is for other layers: {', '.join(sorted(own.keys() ^ state.keys())[:3])} …")
    for name, tensor in state.items():
        if own[name].shape != tensor.shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, the model needs {tuple(own[name].shape)}")
        own[name].copy_(tensor)
