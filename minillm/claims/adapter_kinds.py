"""Adapters other than LoRA, each on a frozen GPT: bottleneck layers, IA³ and prefixes.

Sources: Houlsby et al. 2019 (1902.00751, bottleneck); Liu et al. 2022 (2205.05638, IA³); Li and Liang 2021
(2101.00190, prefix tuning).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minillm.gpt import GPT, Attention, Context, KVCache


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


@dataclass
class PrefixedCache:
    """Takes the place of the cache from which attention fetches keys and values, and puts the prefix before them."""

    keys: Tensor
    values: Tensor
    cache: KVCache | None

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """(B, Hkv, T, D) keys and values of new tokens -> those of prefix, past and new ones, (B, Hkv, P + S, D)."""
        if self.cache is not None:
            k, v = self.cache.extend(layer, k, v)  # (B, Hkv, T, D) -> (B, Hkv, S, D)
        prefix = (p.to(k.dtype).expand(len(k), -1, -1, -1) for p in (self.keys, self.values))  # 2 x (B, Hkv, P, D)
        return tuple(torch.cat(pair, dim=2) for pair in zip(prefix, (k, v), strict=True))


class Prefix(nn.Module):
    """An attention that also looks at P learned positions, which hold no token: a key and a value each."""

    def __init__(self, attn: Attention, length: int):
        super().__init__()
        self.attn = attn
        shape = (attn.config.kv_heads, length, attn.config.head_dim)
        self.keys = nn.Parameter(torch.randn(shape))  # as long as normalised keys are
        self.values = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        mask = context.mask
        if mask is not None:  # every query may look at the prefix: (…, T, S) -> (…, T, P + S)
            mask = torch.cat((mask.new_ones(*mask.shape[:-1], self.keys.shape[1]), mask), dim=-1)
        cache = PrefixedCache(self.keys, self.values, context.cache)
        return self.attn(x, replace(context, mask=mask, cache=cache))


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


def add_prefixes(model: GPT, length: int, seed: int) -> None:
    """Freeze the model and put learned keys and values before those of every attention."""
    torch.manual_seed(seed)
    model.requires_grad_(False)
    for block in model.blocks:
        block.attn = Prefix(block.attn, length)
