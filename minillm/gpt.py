"""The GPT: token ids in, one row of next-token scores (logits) out at every position.

Norms, rotary positions, attention, the feed-forward network (MLP), the block that joins them, the model, its loss.
The options (`gpt_config.py`) are independent of one another: GPT-2 and LLaMA are two settings of these same lines.

Shapes: B rows of a batch, T positions asked now, S positions that may be looked at (T plus those in the cache),
C = n_embd channels, H = n_head heads of D = head_dim channels, Hkv heads of keys and values, V = n_vocab.

Sources: Vaswani et al. 2017 (1706.03762, attention), Radford et al. 2019 (GPT-2), Su et al. 2021 (2104.09864,
rotary positions), Touvron et al. 2023 (2302.13971, LLaMA), Ainslie et al. 2023 (2305.13245, grouped key/value
heads), Henry et al. 2020 (2010.04245, QK-norm), So et al. 2021 (2109.08668, squared ReLU).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minillm.gpt_config import GPTConfig
from minillm.gpt_families import rotary_slowdown
from minillm.kv_cache import KVCache
from minillm.plumbing.cross_entropy import CrossEntropy
from minillm.plumbing.layers import Embedding, Linear


def product_dtype(x: Tensor) -> torch.dtype:
    """The number format in which matrix products with x are computed: autocast's where that is on, else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def rms_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Divide by the root mean square of the last axis, computed in float32; shape unchanged."""
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


class Norm(nn.Module):
    """RMSNorm (Zhang and Sennrich 2019, 1910.07467) or LayerNorm, each with a learned gain; C channels if unset."""

    def __init__(self, config: GPTConfig, kind: str | None = None, channels: int | None = None):
        super().__init__()
        self.kind, self.eps = kind or config.norm, config.norm_eps
        self.weight = nn.Parameter(torch.ones(channels or config.n_embd))
        self.bias = nn.Parameter(torch.zeros_like(self.weight)) if self.kind == "layer" and config.bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "layer":
            y = F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
        else:
            y = rms_norm(x.float(), self.eps) * self.weight
        return y.to(product_dtype(x))  # once for all layers that read it


def rotary_angles(n_ctx: int, head_dim: int, base: float) -> Tensor:
    """Angle of each position and channel pair: position / base^(2i/D), shape (n_ctx, D/2)."""
    frequency = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    return torch.outer(torch.arange(n_ctx, dtype=torch.float32), frequency)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of channels (i, i + D/2) by its angle, so that q·k depends on distance only.

    x: (B, H, T, D); cos, sin: broadcastable to (B, 1, T, D/2). Shape unchanged.
    """
    a, b = x.chunk(2, dim=-1)  # (B, H, T, D) -> 2 x (B, H, T, D/2)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def at(positions: Tensor | slice, table: Tensor) -> Tensor:
    """A table's rows: (B, T), (n_ctx, D) -> (B, T, D); a view of (T, D) for positions that all rows share."""
    return table[positions] if isinstance(positions, slice) else F.embedding(positions, table)


def causal_mask(t: int, s: int, device: torch.device | str = "cpu") -> Tensor:
    """(T, S), True where a query may look: the last T of S positions, each at itself and before."""
    return torch.ones(t, s, dtype=torch.bool, device=device).tril(s - t)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """softmax(q kᵀ / √D) v, written out (1706.03762, equation 1).

    q: (B, H, T, D); k, v: (B, H, S, D); mask: broadcastable to (B, H, T, S), True = may look,
    None = everything. Returns the mixture (B, H, T, D) and the weights (B, H, T, S).
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, H, T, D) @ (B, H, D, S) -> (B, H, T, S)
    if mask is not None:
        # the lowest number, not -inf: a row that sees nothing (padding) has no NaN; added, not filled in: a sum needs
        # no work in the backward pass
        hidden = torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, torch.finfo(scores.dtype).min)
        scores = scores + hidden
    weights = scores.softmax(dim=-1)
    return weights.to(v.dtype) @ v, weights  # (B, H, T, S) @ (B, H, S, D) -> (B, H, T, D)


class Attention(nn.Module):
    """Causal self-attention with several heads."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        c, d, bias = config.n_embd, config.head_dim, config.bias or config.qkv_bias
        self.query = Linear(c, config.n_head * d, bias)
        self.key = Linear(c, config.kv_heads * d, bias)
        self.value = Linear(c, config.kv_heads * d, bias)
        self.out = Linear(config.n_head * d, c, config.bias)
        if config.qk_gain:
            self.q_norm, self.k_norm = Norm(config, "rms", d), Norm(config, "rms", d)

    def forward(self, x: Tensor, context: "Context") -> Tensor:
        b, t, _ = x.shape
        h, d = self.config.n_head, self.config.head_dim
        q = self.query(x).view(b, t, h, d).transpose(1, 2)  # (B, T, C) -> (B, H, T, D)
        k = self.key(x).view(b, t, -1, d).transpose(1, 2)  # (B, T, C) -> (B, Hkv, T, D)
        v = self.value(x).view(b, t, -1, d).transpose(1, 2)  # (B, T, C) -> (B, Hkv, T, D)
        if self.config.qk_gain:
            q, k = self.q_norm(q), self.k_norm(k)
        elif self.config.qk_norm:
            q, k = rms_norm(q, self.config.norm_eps), rms_norm(k, self.config.norm_eps)
        if context.turn is not None and self.config.turns(context.layer):
            q, k = rotate(q, *context.turn), rotate(k, *context.turn)
        if context.cache is not None:
            k, v = context.cache.extend(context.layer, k, v)  # (B, Hkv, T, D) -> (B, Hkv, S, D)
        if k.shape[1] < h:  # each key/value head serves a group of query heads
            k = k.repeat_interleave(h // k.shape[1], dim=1)  # (B, Hkv, S, D) -> (B, H, S, D)
            v = v.repeat_interleave(h // v.shape[1], dim=1)  # (B, Hkv, S, D) -> (B, H, S, D)
        if context.fused:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=context.mask)  # (B, H, T, D)
        else:
            y, weights = attention(q, k, v, context.mask)  # (B, H, T, D)
            if context.trace is not None:
                context.trace.append(weights)
        return self.out(y.transpose(1, 2).flatten(2))  # (B, H, T, D) -> (B, T, H D) -> (B, T, C)


@dataclass
class Context:
    """What the attention of every block is told besides the hidden states."""

    mask: Tensor | None
    turn: tuple[Tensor, Tensor] | None  # cos and sin of the rotary angles
    cache: KVCache | None
    trace: list[Tensor] | None
    fused: bool
    layer: int = 0


class MLP(nn.Module):
    """The feed-forward network of a block: widen, bend, narrow."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.kind = config.activation
        self.up = Linear(config.n_embd, config.hidden, bias=config.bias)
        if config.activation == "swiglu":
            self.gate = Linear(config.n_embd, config.hidden, bias=config.bias)
        self.down = Linear(config.hidden, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)  # (B, T, C) -> (B, T, hidden)
        if self.kind == "relu2":
            y = F.relu(y).square()
        elif self.kind == "gelu":
            y = F.gelu(y, approximate="tanh")
        else:
            y = F.silu(self.gate(x)) * y
        return self.down(y)  # (B, T, hidden) -> (B, T, C)


class Block(nn.Module):
    """Attention lets positions talk, the MLP lets each think; both add to the residual stream."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.norm1, self.attn = Norm(config), Attention(config)
        self.norm2, self.mlp = Norm(config), MLP(config)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        x = x + self.attn(self.norm1(x), context)
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """The model: `gpt(ids) -> logits`, (B, T) -> (B, T, V). With no seed (None) its weights wait for a loader."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig, seed: int | None = 0):
        super().__init__()
        self.config = config
        self.tok_emb = Embedding(config.n_vocab, config.n_embd)
        self.pos_emb = Embedding(config.n_ctx, config.n_embd) if config.position == "learned" else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = Norm(config)
        self.lm_head = Linear(config.n_embd, config.n_vocab, bias=False)
        if config.tied:
            self.lm_head.weight = self.tok_emb.weight
        angles = rotary_angles(config.n_ctx, config.head_dim, config.rope_base)  # (n_ctx, D/2)
        if config.rope_factor != 1:
            angles = angles * rotary_slowdown(config)  # (n_ctx, D/2) * (D/2) -> (n_ctx, D/2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        if seed is not None:
            self.init_weights(seed)

    @torch.no_grad()
    def init_weights(self, seed: int) -> None:
        """Normal with deviation 0.02, so that the first logits are near 0 and the first loss near ln(n_vocab).

        The layers that write to the residual stream get 1/√(2 n_layer) of it: 2 n_layer terms are added up, and
        their sum should not grow with depth (GPT-2, section 2.3).
        """
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                parameter.zero_()
            elif parameter.dim() >= 2:  # the gains of norms are 1 already
                terms = 2 * self.config.n_layer if name.endswith(("attn.out.weight", "mlp.down.weight")) else 1
                parameter.normal_(0.0, 0.02 / math.sqrt(terms), generator=generator)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        trace: list[Tensor] | None = None,
        fused: bool | None = None,
        last_only: bool = False,
    ) -> Tensor:
        """Logits of the next token at every position. Raises ValueError if context or cache have no room for ids.

        Args:
            ids: (B, T) token ids.
            mask: (B, 1, T, S) or (T, S), True where a query may look; causal if unset.
            positions: (B, T) position of each token; counted on from the cache if unset.
            cache: keys and values of earlier tokens; extended by these.
            trace: a list that receives each layer's attention weights (B, H, T, S); not with `fused`.
            fused: PyTorch's attention, or `attention` written out (faster on a CPU in bf16, a single position aside);
                the faster one if unset.
            last_only: logits of the last position alone, (B, 1, V); all take 1.2 GiB at 2,048 x 152,000.
        """
        t = ids.shape[1]
        past, room = (cache.length, cache.room) if cache is not None else (0, self.config.n_ctx)
        if past + t > room:
            raise ValueError(f"{past + t} tokens do not fit into a context of {room}")
        if fused is None:
            fused = trace is None and (ids.is_cuda or t == 1)
        if mask is None and t > 1:
            mask = causal_mask(t, past + t, ids.device)

        where = slice(past, past + t) if positions is None else positions
        x, turn = self.tok_emb(ids), None  # (B, T) -> (B, T, C)
        if self.pos_emb is not None:
            x = x + at(where, self.pos_emb.weight)  # (B, T, C) + (B, T, C) or (T, C) -> (B, T, C)
        else:  # (B, T, D/2) or (T, D/2) -> (B, 1, T, D/2) or (1, T, D/2)
            cos, sin = (at(where, table).unsqueeze(-3).to(self.dtype) for table in (self.cos, self.sin))
            turn = cos, sin
        context = Context(mask, turn, cache, trace, fused)
        for context.layer, block in enumerate(self.blocks):
            x = block(x, context)
        if cache is not None:
            cache.length += t
        if last_only:
            x = x[:, -1:]  # (B, T, C) -> (B, 1, C)
        return self.lm_head(self.norm(x))  # (B, T, C) -> (B, T, V)

    @property
    def device(self) -> torch.device:
        return self.tok_emb.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of its products."""
        return product_dtype(self.tok_emb.weight)


def count_parameters(model: nn.Module, trainable_only: bool = False) -> int:
    """Number of parameters; a tied tensor counts once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """-log p(target) at every position, in nats: (B, T, V), (B, T) -> (B, T), float32."""
    return CrossEntropy.apply(logits, targets)
