"""Homework of lesson 4: the parts of a GPT block. Write the five functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 4`. Lesson: notebooks/en/04_gpt.ipynb.

第 4 课作业：GPT 的 block 由什么组成。用 numpy 或 torch 写出下面五个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 4`。课文：notebooks/zh/04_gpt.ipynb。
"""

from collections.abc import Callable

import torch
from torch import Tensor


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """LayerNorm over the last axis: (x - mean) / √(variance + eps) * weight + bias.

    x: (..., C); weight, bias: (C,). Mean and variance are those of the C channels of one position; the
    variance is the mean of the squared deviations (divided by C, not by C - 1). Returns the shape of x.
    A position whose channels are all equal gives exactly `bias`.

    在最后一个轴上做 LayerNorm：(x - 平均值) / √(方差 + eps) * weight + bias。

    x：(..., C)；weight、bias：(C,)。平均值和方差取自一个位置的 C 个通道；方差是偏差平方的平均值（除以 C，不是 C -
    1）。返回的形状与 x 相同。一个位置的所有通道都相等时，结果正好是 `bias`。
    """
    raise NotImplementedError


def rms_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """RMSNorm over the last axis, without a gain: x / √(mean of x² + eps). Shape unchanged.

    x: (..., C), perhaps in half precision (float16): square and average in float32, where numbers of
    several hundred do not overflow. The result may be of either type.

    在最后一个轴上做 RMSNorm，不带增益：x / √(x² 的平均值 + eps)。形状不变。

    x：(..., C)，可能是半精度（float16）：平方和平均要在 float32 里做，几百大小的数在那里不会溢出。结果是这两种类型中
    的哪一种都可以。
    """
    raise NotImplementedError


def rotary_angles(n_ctx: int, head_dim: int, base: float) -> Tensor:
    """The angle by which rotary positions turn each pair of channels, in radians: (n_ctx, D/2), D = head_dim.

    Row p, column i: p · base^(-2i/D), for positions p = 0 … n_ctx - 1 and pairs i = 0 … D/2 - 1. D is even.

    旋转位置编码把每一对通道转过的角度，单位是弧度：(n_ctx, D/2)，D = head_dim。

    第 p 行第 i 列：p · base^(-2i/D)，位置 p = 0 … n_ctx - 1，通道对 i = 0 … D/2 - 1。D 是偶数。
    """
    raise NotImplementedError


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of channels of x by its angle.

    x: (B, H, T, D), queries or keys; cos, sin: (B, 1, T, D/2), cosine and sine of the angles, for the
    position at which each token of each row is. Pair i is made of the channels i and i + D/2: the pair
    (a, b) becomes (a cos - b sin, a sin + b cos), at the same two channels. Shape unchanged.

    把 x 的每一对通道转过各自的角度。

    x：(B, H, T, D)，查询或键；cos、sin：(B, 1, T, D/2)，角度的余弦和正弦，取每一行里每个词元所在位置的角度。第 i 对由
    通道 i 和 i + D/2 组成：(a, b) 变成 (a cos - b sin, a sin + b cos)，仍放在这两个通道上。形状不变。
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

    一个前置归一化（pre-norm）的 block：先注意力，后 MLP，各自读一份归一化后的残差流。

    x：(B, T, C)，残差流。norm1、attn、norm2、mlp：函数 (B, T, C) -> (B, T, C)；attn 和 mlp 返回的结果加到残差流
    上。norm1 在 attn 之前，norm2 在 mlp 之前。返回 (B, T, C)。x 可以被改写。
    """
    raise NotImplementedError
