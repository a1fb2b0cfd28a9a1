"""Homework of lesson 3: attention. Write the four functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 3`. Lesson: notebooks/en/03_attention.ipynb.

第 3 课作业：注意力。用 numpy 或 torch 写出下面四个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 3`。课文：notebooks/zh/03_attention.ipynb。
"""

import torch
from torch import Tensor


def split_heads(x: Tensor, n_head: int) -> Tensor:
    """Cut the channels of each position into heads.

    x: (B, T, C), C a multiple of n_head. Returns (B, H, T, D) with D = C / H: head h of a position holds
    its channels h * D … (h + 1) * D - 1.

    把每个位置的通道切成几个头。

    x：(B, T, C)，C 是 n_head 的倍数。返回 (B, H, T, D)，D = C / H：一个位置的第 h 个头拿它的第 h * D … (h + 1) * D - 1 个通道。
    """
    raise NotImplementedError


def join_heads(x: Tensor) -> Tensor:
    """The opposite of split_heads: (B, H, T, D) -> (B, T, H * D).

    与 split_heads 相反：(B, H, T, D) -> (B, T, H * D)。
    """
    raise NotImplementedError


def causal_mask(t: int, s: int) -> Tensor:
    """Where a query may look: (T, S), True at allowed places.

    The T queries are at the last T of the S positions; each may look at its own position and at all
    before it. When T = S this is the lower triangle.

    一个查询可以看哪里：(T, S)，可以看的地方是 True。

    T 个查询在 S 个位置中的最后 T 个；每个查询可以看自己的位置和它之前的所有位置。T = S 时就是下三角。
    """
    raise NotImplementedError


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention: softmax(q kᵀ / √D) v.

    q: (B, H, T, D); k, v: (B, H, S, D); mask: (T, S) or (B, 1, T, S), True = may look; None = everywhere.
    Every query may look at one position at least. Returns the mixture of values, (B, H, T, D), and the
    attention weights, (B, H, T, S), which add up to 1 over S.

    缩放点积注意力：softmax(q kᵀ / √D) v。

    q：(B, H, T, D)；k、v：(B, H, S, D)；mask：(T, S) 或 (B, 1, T, S)，True 表示可以看；None 表示处处可以看。每个查询至少可以看一个
    位置。返回值的混合 (B, H, T, D)，以及注意力权重 (B, H, T, S)，它沿 S 加起来等于 1。
    """
    raise NotImplementedError
