"""Homework of lesson 3: attention. Write the four functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 3`. Lesson: notebooks/en/03_attention.ipynb.
"""

import torch
from torch import Tensor


def split_heads(x: Tensor, n_head: int) -> Tensor:
    """Cut the channels of each position into heads.

    x: (B, T, C), C a multiple of n_head. Returns (B, H, T, D) with D = C / H: head h of a position holds
    its channels h * D … (h + 1) * D - 1.
    """
    raise NotImplementedError


def join_heads(x: Tensor) -> Tensor:
    """The opposite of split_heads: (B, H, T, D) -> (B, T, H * D)."""
    raise NotImplementedError


def causal_mask(t: int, s: int) -> Tensor:
    """Where a query may look: (T, S), True at allowed places.

    The T queries are at the last T of the S positions; each may look at its own position and at all
    before it. When T = S this is the lower triangle.
    """
    raise NotImplementedError


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention: softmax(q kᵀ / √D) v.

    q: (B, H, T, D); k, v: (B, H, S, D); mask: (T, S) or (B, 1, T, S), True = may look; None = everywhere.
    Every query may look at one position at least. Returns the mixture of values, (B, H, T, D), and the
    attention weights, (B, H, T, S), which add up to 1 over S.
    """
    raise NotImplementedError
