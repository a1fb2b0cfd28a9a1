"""Homework of lesson 4: the parts of a GPT block. Write the five functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 4`. Lesson: notebooks/en/04_gpt.ipynb.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """LayerNorm over the last axis: (x - mean) / √(variance + eps) * weight + bias.

    x: (..., C); weight, bias: (C,). Mean and variance are those of the C channels of one position; the
    variance is the mean of the squared deviations (divided by C, not by C - 1). Returns the shape of x.
    A position whose channels are all equal gives exactly `bias`.
    """
    raise NotImplementedError


def rms_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """RMSNorm over the last axis, without a gain: x / √(mean of x² + eps). Shape unchanged.

    x: (..., C), perhaps in half precision (float16): square and average in float32, where numbers of
    several hundred do not overflow. The result may be of either type.
    """
    raise NotImplementedError


def rotary_angles(n_ctx: int, head_dim: int, base: float) -> Tensor:
    """The angle by which rotary positions turn each pair of channels, in radians: (n_ctx, D/2), D = head_dim.

    Row p, column i: p · base^(-2i/D), for positions p = 0 … n_ctx - 1 and pairs i = 0 … D/2 - 1. D is even.
    """
    raise NotImplementedError


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of channels of x by its angle.

    x: (B, H, T, D), queries or keys; cos, sin: (B, 1, T, D/2), cosine and sine of the angles, for the
    position at which each token of each row is. Pair i is made of the channels i and i + D/2: the pair
    (a, b) becomes (a cos - b sin, a sin + b cos), at the same two channels. Shape unchanged.
    """
    raise NotImplementedError


def block(
    x: Tensor,
    norm1: Callable[[Tensor], Tensor],
    attn: Callable[[Tensor], Tensor],
    norm2: Callable[[Tensor], Tensor],
    mlp: Callable[[Tensor], Tensor],
) -> Tensor:
    """One pre-norm block: attention first, then the MLP, each reading a normalised copy of the residual stream.

    x: (B, T, C), the residual stream. norm1, attn, norm2, mlp: functions (B, T, C) -> (B, T, C); what attn
    and mlp return is added to the stream. norm1 comes before attn, norm2 before mlp. Returns (B, T, C).
    x may be overwritten.
    """
    raise NotImplementedError
