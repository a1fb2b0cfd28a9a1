"""Adapters beside LoRA, each on a frozen GPT: bottleneck layers and IA³.

Sources: Houlsby et al. 2019 (1902.00751, bottleneck); Liu et al. 2022 (2205.05638, IA³).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minillm.gpt import GPT


class Bottleneck(nn.Module):
    """A layer with a narrow network behind it: y = f(x) + up(relu(down(f(x)))); `up` starts at zero."""

    def __init__(self, layer: nn.Module, channels: int, width: int):
        super().__init__()
        self.layer = layer
        self.narrow = nn.Linear(channels, width, bias=False)
        self.widen = nn.Linear(width, channels, bias=False)
        nn.init.zeros_(self.widen.weight)

    def forward(self, x: Tensor, *context) -> Tensor:
        y = self.layer(x, *context)
        return y + self.widen(F.relu(self.narrow(y)))  # (…, C) -> (…, width) -> (…, C)


class Rescale(nn.Module):
    """A linear layer whose inputs or outputs are multiplied by learned numbers, at first 1."""

    def __init__(self, layer: nn.Linear, inputs: bool):
        super().__init__()
        self.layer, self.inputs = layer, inputs
        self.scale = nn.Parameter(torch.ones(layer.in_features if inputs else layer.out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x * self.scale) if self.inputs else self.layer(x) * self.scale


def add_bottlenecks(model: GPT, width: int, seed: int) -> None:
    """Freeze the model and put a bottleneck behind every attention and every MLP."""
    torch.manual_seed(seed)
    model.requires_grad_(False)
    for block in model.blocks:
        block.attn = Bottleneck(block.attn, model.config.n_embd, width)
        block.mlp = Bottleneck(block.mlp, model.config.n_embd, width)


def add_rescaling(model: GPT) -> None:
    """Freeze the model and rescale keys, values and the MLP's hidden channels (IA³)."""
    model.requires_grad_(False)
    for block in model.blocks:
        block.attn.key = Rescale(block.attn.key, inputs=False)
        block.attn.value = Rescale(block.attn.value, inputs=False)
        block.mlp.down = Rescale(block.mlp.down, inputs=True)
