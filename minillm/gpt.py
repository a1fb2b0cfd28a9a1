"""The GPT: token ids in, one row of next-token scores (logits) out at every position.

Read from top to bottom: the two norms, rotary positions, attention, the feed-forward network (MLP),
the block that joins them, the model, and the loss beside it. The options stand in `gpt_config.py`;
they are independent of one another, so GPT-2 and LLaMA are two settings of these same lines.

Shapes: B rows of a batch, T positions asked now, S positions that may be looked at (T plus what
the cache holds), C = n_embd channels, H = n_head heads, D = C / H channels a head, V = n_vocab.

Sources: Vaswani et al. 2017 (1706.03762, attention), Radford et al. 2019 (GPT-2), Su et al. 2021
(2104.09864, rotary positions), Touvron et al. 2023 (2302.13971, LLaMA), Ainslie et al. 2023
(2305.13245, grouped key/value heads), Henry et al. 2020 (2010.04245, QK-norm), So et al. 2021
(2109.08668, squared ReLU).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minillm.gpt_config import GPTConfig

# ---------------------------------------------------------------------------------------------- norms


def rms_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Divide by the root mean square of the last axis, computed in float32; shape unchanged."""
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


class Norm(nn.Module):
    """RMSNorm (Zhang and Sennrich 2019, 1910.07467) or LayerNorm, each with a learned gain."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.kind, self.eps = config.norm, config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.n_embd))
        self.bias = nn.Parameter(torch.zeros(config.n_embd)) if config.norm == "layer" and config.bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "layer":
            centred = x.float() - x.float().mean(-1, keepdim=True)
            x = rms_norm(centred, self.eps).to(x.dtype)  # LayerNorm is RMSNorm of the centred vector
        else:
            x = rms_norm(x, self.eps)
        return x * self.weight if self.bias is None else x * self.weight + self.bias


# ------------------------------------------------------------------------------------------ positions


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


# ------------------------------------------------------------------------------------------ attention


class KVCache:
    """Keys and values of the tokens read so far, so that each new token costs one step.

    Filled by `GPT.forward(ids, cache=cache)`; holds at most n_ctx positions of B rows.
    """

    def __init__(self, config: GPTConfig, batch: int, device: torch.device | str = "cpu", dtype=torch.float32):
        shape = (config.n_layer, batch, config.kv_heads, config.n_ctx, config.head_dim)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append (B, Hkv, T, D) keys and values; return all S of this layer, (B, Hkv, S, D)."""
        end = self.length + k.shape[2]
        self.keys[layer, :, :, self.length : end] = k
        self.values[layer, :, :, self.length : end] = v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


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
        # the lowest finite number, not -inf: a row that may look at nothing (padding) stays free of NaN; added,
        # not filled in: filling B x H x T x S scores, forth and back, took a twentieth of a training step
        hidden = torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, torch.finfo(scores.dtype).min)
        scores = scores + hidden
    weights = scores.softmax(dim=-1)
    return weights.to(v.dtype) @ v, weights  # (B, H, T, S) @ (B, H, S, D) -> (B, H, T, D)


class Attention(nn.Module):
    """Causal self-attention with several heads."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        kv_dim = config.kv_heads * config.head_dim
        self.query = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.key = nn.Linear(config.n_embd, kv_dim, bias=config.bias)
        self.value = nn.Linear(config.n_embd, kv_dim, bias=config.bias)
        self.out = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor, context: "Context") -> Tensor:
        b, t, c = x.shape
        h, d = self.config.n_head, self.config.head_dim
        q = self.query(x).view(b, t, h, d).transpose(1, 2)  # (B, T, C) -> (B, H, T, D)
        k = self.key(x).view(b, t, -1, d).transpose(1, 2)  # (B, T, C) -> (B, Hkv, T, D)
        v = self.value(x).view(b, t, -1, d).transpose(1, 2)  # (B, T, C) -> (B, Hkv, T, D)
        if self.config.qk_norm:
            q, k = rms_norm(q), rms_norm(k)
        if context.cos is not None:
            q, k = rotate(q, context.cos, context.sin), rotate(k, context.cos, context.sin)
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
        return self.out(y.transpose(1, 2).reshape(b, t, c))  # (B, H, T, D) -> (B, T, C)


@dataclass
class Context:
    """What the attention of every block is told besides the hidden states."""

    mask: Tensor | None
    cos: Tensor | None
    sin: Tensor | None
    cache: KVCache | None
    trace: list[Tensor] | None
    fused: bool
    layer: int = 0


# --------------------------------------------------------------------------------- MLP, block, model


class MLP(nn.Module):
    """The feed-forward network of a block: widen, bend, narrow."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.kind = config.activation
        self.up = nn.Linear(config.n_embd, config.hidden, bias=config.bias)
        if config.activation == "swiglu":
            self.gate = nn.Linear(config.n_embd, config.hidden, bias=config.bias)
        self.down = nn.Linear(config.hidden, config.n_embd, bias=config.bias)

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
    """The language model: `gpt(ids) -> logits`, (B, T) -> (B, T, n_vocab)."""

    def __init__(self, config: GPTConfig, seed: int = 0):
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.n_vocab, config.n_embd)
        self.pos_emb = nn.Embedding(config.n_ctx, config.n_embd) if config.position == "learned" else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = Norm(config)
        self.lm_head = nn.Linear(config.n_embd, config.n_vocab, bias=False)
        if config.tied:
            self.lm_head.weight = self.tok_emb.weight
        angles = rotary_angles(config.n_ctx, config.head_dim, config.rope_base)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.init_weights(seed)

    @torch.no_grad()
    def init_weights(self, seed: int) -> None:
        """Normal with deviation 0.02, so that the first logits are near 0 and the first loss near
        ln(n_vocab). The two layers of a block that write to the residual stream get 1/√(2 n_layer) of
        it: 2 n_layer terms are added up, and their sum should not grow with depth (GPT-2, section 2.3).
        """
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue  # norms start as the identity, biases at zero (below)
            writes_residual = name.endswith(("attn.out.weight", "mlp.down.weight"))
            std = 0.02 / math.sqrt(2 * self.config.n_layer) if writes_residual else 0.02
            parameter.normal_(0.0, std, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.zero_()

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        trace: list[Tensor] | None = None,
        fused: bool | None = None,
    ) -> Tensor:
        """Logits of the next token at every position.

        Args:
            ids: (B, T) token ids.
            mask: (B, 1, T, S) or (T, S), True where a query may look; causal if unset.
            positions: (B, T) position of each token; counted on from the cache if unset.
            cache: keys and values of earlier tokens; extended by these.
            trace: a list that receives each layer's attention weights (B, H, T, S).
            fused: PyTorch's fused attention (fast on a GPU) or the lines above (faster on a CPU, whose
                fused bf16 kernel is slow); chosen by device if unset. `trace` needs the lines above.

        Returns: (B, T, n_vocab). Raises ValueError if ids do not fit into the context.
        """
        t = ids.shape[1]
        past = cache.length if cache is not None else 0
        if past + t > self.config.n_ctx:
            raise ValueError(f"{past + t} tokens do not fit into a context of {self.config.n_ctx}")
        if fused is None:
            fused = ids.device.type == "cuda" and trace is None
        if mask is None and t > 1:
            mask = causal_mask(t, past + t, ids.device)
        if positions is None:
            positions = torch.arange(past, past + t, device=ids.device)[None]  # (1, T)

        x = self.tok_emb(ids)  # (B, T) -> (B, T, C)
        cos = sin = None
        if self.pos_emb is not None:
            x = x + self.pos_emb(positions)  # (B, T, C)
        else:
            dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
            cos = self.cos[positions].unsqueeze(1).to(dtype)  # (B, T, D/2) -> (B, 1, T, D/2)
            sin = self.sin[positions].unsqueeze(1).to(dtype)
        context = Context(mask, cos, sin, cache, trace, fused)
        for context.layer, block in enumerate(self.blocks):
            x = block(x, context)
        if cache is not None:
            cache.length += t
        return self.lm_head(self.norm(x))  # (B, T, C) -> (B, T, V)

    @property
    def device(self) -> torch.device:
        return self.tok_emb.weight.device


def count_parameters(model: nn.Module, trainable_only: bool = False) -> int:
    """Number of parameters; a tied tensor counts once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """-log p(target) at every position, in nats: (B, T, V), (B, T) -> (B, T), float32.

    Row by row, so that the float32 copy of the logits stays in the processor's cache: the whole
    training step takes about a quarter less time than with one call for the batch.
    """
    rows = zip(logits.unbind(), targets.unbind(), strict=True)  # B x ((T, V), (T))
    losses = [-x.float().log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1) for x, y in rows]  # (T, V) -> (T)
    return torch.stack(losses)  # B x (T) -> (B, T)
