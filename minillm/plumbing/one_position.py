"""One more position of each row through a GPT whose cache holds the rest: what generating repeats, in NumPy.

On a single position of a small model `GPT.forward` works for a fifth of its time; the rest goes into some 60 calls of
PyTorch a block. NumPy's calls cost a third of that, and fewer are needed: queries, keys and values are one product,
queries and keys are normed and turned as one. A single row of a large model waits for its weights to come from memory:
they are not copied, and read one row after the other (`dots`). The sums are those of `gpt.py`, line by line. Where they
would not be (an adapter, bf16, a GPU), or where a batch is so large that calls cost nothing, `is_for` says no.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SMALL = 5_000_000  # weights
MOST_ROWS = 32  # of a small model; of a large one a single row
KNOWN = {*((f"minillm.{module}", name) for module, names in (
    ("gpt", ("GPT", "Block", "Attention", "MLP", "Norm")), ("plumbing.layers", ("Linear", "Embedding")),
) for name in names), ("torch.nn.modules.container", "ModuleList")}  # fmt: skip
"""The classes of a GPT as it is: an adapter puts others in their place."""

Map = Callable[[np.ndarray], np.ndarray]


def linear(*layers: nn.Linear, rows: int, small: bool) -> Map:
    """One or more linear layers that read the same: x -> x Wᵀ + b, (B, in) -> (B, out)."""
    weights, biases = ([array(p) for p in (getattr(layer, name) for layer in layers) if p is not None]
                       for name in ("weight", "bias"))  # fmt: skip
    multiply = product(joined(weights), rows) if small else dots(weights)
    bias = joined(biases) if biases else None
    return multiply if bias is None else lambda x: multiply(x) + bias


def joined(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def product(weight: np.ndarray, rows: int) -> Map:
    """x -> x Wᵀ."""
    turned = weight.T if rows == 1 else np.ascontiguousarray(weight.T)  # twice as fast for several rows
    return lambda x: x @ turned


def dots(weights: list[np.ndarray]) -> Map:
    """The same for one x, (1, in) -> (1, out): its dot product with each row of W.

    Of weights that are not in the processor's cache BLAS's matrix times vector takes 1.3 times as long: it reads
    several rows at a time, and so from several places in memory.
    """
    return lambda x: joined([np.vecdot(weight, x) for weight in weights])[None]


def array(parameter: Tensor) -> np.ndarray:
    return parameter.detach().numpy()


def rms_norm(weight: np.ndarray | float, channels: int, eps: float) -> Map:
    """RMSNorm over the last axis; shape unchanged. With √C taken out of the root: x √C w / √(Σ x² + C ε)."""
    gain, eps = weight * np.float32(sqrt(channels)), channels * eps
    return lambda x: x / np.sqrt(np.add.reduce(x * x, -1, keepdims=True) + np.float32(eps)) * gain


def layer_norm(weight: np.ndarray, bias: np.ndarray | None, eps: float) -> Map:
    def norm(x: np.ndarray) -> np.ndarray:
        x = x - x.mean(-1, keepdims=True)
        y = x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps)) * weight
        return y if bias is None else y + bias

    return norm


def norm_of(module: Any, channels: int) -> Map:
    weight, bias = array(module.weight), None if module.bias is None else array(module.bias)
    if module.kind == "layer":
        return layer_norm(weight, bias, module.eps)
    return rms_norm(weight, channels, module.eps)


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(sqrt(2 / np.pi) * (x + 0.044715 * x * x * x)))


def silu(x: np.ndarray) -> np.ndarray:
    return x * (0.5 + 0.5 * np.tanh(0.5 * x))  # x / (1 + exp(-x)), without an overflow


def relu2(x: np.ndarray) -> np.ndarray:
    x = np.maximum(x, 0)
    return x * x


class OnePosition:
    """A GPT for rows of one position each: `one(ids, cache)`, (B,) -> (B, V), extends the cache as `GPT.forward` does.

    Its weights are laid out for up to `rows` rows.
    """

    @staticmethod
    def is_for(gpt: Any, rows: int) -> bool:
        """Whether it is the same as `GPT.forward`, and faster."""
        known = all((type(m).__module__, type(m).__name__) in KNOWN and not (m._forward_hooks or m._forward_pre_hooks)
                    and "forward" not in vars(m) for m in gpt.modules())  # fmt: skip
        if not known or gpt.dtype != torch.float32 or not 0 < rows <= (MOST_ROWS if OnePosition.is_small(gpt) else 1):
            return False
        return all(p.dtype == torch.float32 and p.device.type == "cpu" for p in gpt.parameters())

    @staticmethod
    def is_small(gpt: Any) -> bool:
        """Whether a model's products are so small that several threads would only wait for one another."""
        return bool(gpt.config.weights <= SMALL)

    def __init__(self, gpt: Any, rows: int):
        c = self.config = gpt.config
        self.linear = partial(linear, rows=rows, small=self.is_small(gpt))
        self.tokens = array(gpt.tok_emb.weight)  # (V, C)
        if c.position == "learned":
            self.positions = array(gpt.pos_emb.weight)  # (n_ctx, C)
        else:
            self.cos, self.sin = array(gpt.cos), array(gpt.sin)  # 2 x (n_ctx, D/2)
        self.blocks = [(self.attention(i, block), self.mlp(block)) for i, block in enumerate(gpt.blocks)]
        self.norm, self.head = norm_of(gpt.norm, c.n_embd), self.linear(gpt.lm_head)

    def __call__(self, ids: Tensor, cache: Any, lengths: Sequence[int] | None = None) -> Tensor:
        """Scores of what follows. With `lengths` (B,), row i of the cache ends there and not at the cache's length."""
        b = len(ids)
        self.keys, self.values = cache.keys.numpy()[:, :b], cache.values.numpy()[:, :b]  # 2 x (L, B, Hkv, room, D)
        at: Any = cache.length if lengths is None else lengths[0]  # where the new positions go
        self.where: tuple[Any, ...] = slice(None), slice(None), at
        self.end, self.hidden = at + 1, None
        if lengths is None:
            cache.length += 1
        elif any(n != at for n in lengths):
            at = np.array(lengths)  # (B,)
            self.where, self.end = (np.arange(b), slice(None), at), max(lengths) + 1
            beyond = np.arange(self.end) > at[:, None]  # (S) and (B, 1) -> (B, S)
            self.hidden = np.where(beyond, np.float32(-np.inf), np.float32(0))[:, None, None]  # (B, 1, 1, S)
        x = self.tokens[ids.numpy()]  # (B,) -> (B, C)
        if self.config.position == "learned":
            x = x + self.positions[at]  # (B, C) + (C) or (B, C)
        else:
            cos, sin = self.cos[at][..., None, :], self.sin[at][..., None, :]  # 2 x (1, D/2) or (B, 1, D/2)
            self.turn = np.concatenate((cos, cos), -1), np.concatenate((-sin, sin), -1)  # 2 x (1, D) or (B, 1, D)
        for attention, mlp in self.blocks:
            x = x + attention(x)
            x = x + mlp(x)
        return torch.from_numpy(self.head(self.norm(x)))  # (B, C) -> (B, V)

    def attention(self, i: int, block: Any) -> Map:
        """The norm and the attention of block i, (B, C) -> (B, C)."""
        c, attn = self.config, block.attn
        h, groups, d = c.n_head, c.kv_heads, c.head_dim
        norm, out = norm_of(block.norm1, c.n_embd), self.linear(attn.out)
        qkv = self.linear(attn.query, attn.key, attn.value)
        gain: np.ndarray | float = 1.0
        if c.qk_gain:  # 2 x (D) -> (H + Hkv, D)
            gain = np.repeat([array(attn.q_norm.weight), array(attn.k_norm.weight)], (h, groups), axis=0)
        qk_norm = rms_norm(gain, d, c.norm_eps)
        scale = np.float32(d**-0.5)
        turns = c.position == "rotary" and c.turns(i)

        def attend(x: np.ndarray) -> np.ndarray:
            rows, keys, values = len(x), self.keys[i], self.values[i]  # 2 x (B, Hkv, room, D)
            y = qkv(norm(x)).reshape(rows, h + 2 * groups, d)  # (B, C) -> (B, (H + 2 Hkv) D) -> (B, H + 2 Hkv, D)
            qk = y[:, : h + groups]  # (B, H + Hkv, D)
            if c.qk_norm:
                qk = qk_norm(qk)
            if turns:  # each pair (a, b) -> (a cos - b sin, b cos + a sin)
                halves = qk.reshape(rows, h + groups, 2, d // 2)  # (B, H + Hkv, D) -> (B, H + Hkv, 2, D/2)
                cos, sin = self.turn
                qk = qk * cos + halves[:, :, ::-1].reshape(qk.shape) * sin
            keys[self.where], values[self.where] = qk[:, h:], y[:, h + groups :]  # 2 x (B, Hkv, D)
            keys, values = keys[:, :, : self.end], values[:, :, : self.end]  # 2 x (B, Hkv, S, D)
            q = qk[:, :h].reshape(rows, groups, h // groups, d)  # (B, H, D) -> (B, Hkv, H / Hkv, D)
            scores = q @ keys.swapaxes(-1, -2) * scale  # ... @ (B, Hkv, D, S) -> (B, Hkv, H / Hkv, S)
            if self.hidden is not None:
                scores += self.hidden  # (B, 1, 1, S)
            weights = np.exp(scores - np.maximum.reduce(scores, -1, keepdims=True))
            weights /= np.add.reduce(weights, -1, keepdims=True)
            return out((weights @ values).reshape(rows, h * d))  # (B, Hkv, H / Hkv, D) -> (B, C)

        return attend

    def mlp(self, block: Any) -> Map:
        """The norm and the MLP of a block, (B, C) -> (B, C)."""
        norm, mlp = norm_of(block.norm2, self.config.n_embd), block.mlp
        up, down = (self.linear(layer) for layer in (mlp.up, mlp.down))
        if self.config.activation == "swiglu":
            gate = self.linear(mlp.gate)

            def gated(x: np.ndarray) -> np.ndarray:
                y = norm(x)
                return down(silu(gate(y)) * up(y))

            return gated
        bend = relu2 if self.config.activation == "relu2" else gelu
        return lambda x: down(bend(up(norm(x))))  # (B, C) -> (B, hidden) -> (B, C)
