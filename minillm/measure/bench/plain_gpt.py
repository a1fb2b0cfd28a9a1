"""A plain GPT-2 in PyTorch: what our training steps are compared with.

Written as one writes it for speed: query, key and value in one product, PyTorch's fused attention, LayerNorm and
GELU, its cross-entropy, its fused AdamW, float32, and PyTorch's own threads.

Source: Radford et al. 2019 (GPT-2).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from minillm.gpt_config import GPTConfig

QKV = ("query", "key", "value")


class PlainAttention(nn.Module):
    def __init__(self, config: GPTConfig):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.out = nn.Linear(config.n_embd, config.n_embd)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        heads = self.qkv(x).view(b, t, 3, self.n_head, c // self.n_head)  # (B, T, C) -> (B, T, 3, H, D)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # (B, T, 3, H, D) -> 3 x (B, H, T, D)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, H, T, D)
        return self.out(y.transpose(1, 2).reshape(b, t, c))  # (B, H, T, D) -> (B, T, C)


class PlainBlock(nn.Module):
    def __init__(self, config: GPTConfig):
        super().__init__()
        c = config.n_embd
        self.norm1, self.attn = nn.LayerNorm(c, config.norm_eps), PlainAttention(config)
        self.norm2 = nn.LayerNorm(c, config.norm_eps)
        self.mlp = nn.ModuleDict({"up": nn.Linear(c, 4 * c), "down": nn.Linear(4 * c, c)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        y = F.gelu(self.mlp["up"](self.norm2(x)), approximate="tanh")  # (B, T, C) -> (B, T, 4 C)
        return x + self.mlp["down"](y)  # (B, T, 4 C) -> (B, T, C)


class PlainGPT(nn.Module):
    """`plain(ids) -> logits`, (B, T) -> (B, T, V); of `config` only the sizes are read."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.tok_emb = nn.Embedding(config.n_vocab, config.n_embd)
        self.pos_emb = nn.Embedding(config.n_ctx, config.n_embd)
        self.blocks = nn.Sequential(*(PlainBlock(config) for _ in range(config.n_layer)))
        self.norm = nn.LayerNorm(config.n_embd, config.norm_eps)
        self.lm_head = nn.Linear(config.n_embd, config.n_vocab, bias=False)
        self.lm_head.weight = self.tok_emb.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tok_emb(ids) + self.pos_emb.weight[: ids.shape[1]]  # (B, T) -> (B, T, C)
        return self.lm_head(self.norm(self.blocks(x)))  # (B, T, C) -> (B, T, V)


def plain_loss(model: nn.Module, ids: Tensor, targets: Tensor) -> Tensor:
    """The mean loss over all tokens: 2 x (B, T) -> scalar, in nats."""
    return F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())  # (B, T, V) -> (B T, V)


def plain_step(model: nn.Module, optimizer: torch.optim.Optimizer, ids: Tensor, targets: Tensor) -> None:
    """One update of the weights on a batch."""
    optimizer.zero_grad()
    plain_loss(model, ids, targets).backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def plain_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW in its fused form, the fastest that PyTorch has on a CPU."""
    return torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.95), fused=True)


def to_plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights or gradients of our GPT (with `gpt2_config`) under the names, and in the shapes, of `PlainGPT`."""
    plain = {}
    for name, tensor in tensors.items():
        if ".attn.query." in name:  # weights 3 x (C, C) -> (3 C, C), biases 3 x (C) -> (3 C)
            plain[name.replace("query", "qkv")] = torch.cat([tensors[name.replace("query", part)] for part in QKV])
        elif not name.rpartition(".")[0].endswith(QKV):
            plain[name] = tensor
    return plain
