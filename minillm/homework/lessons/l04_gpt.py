"""Exercises of lesson 4: the parts of a GPT block."""

from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from minillm import gpt
from minillm.homework.child import Linear
from minillm.homework.compare import same
from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

STREAM = {"en": "The residual stream", "zh": "残差流"}
NORMS = {"en": "Two norms", "zh": "两种归一化"}
POSITIONS = {"en": "Rotary positions", "zh": "旋转位置"}


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def spread(rng: np.random.Generator, *shape: int) -> Tensor:
    """Numbers whose mean and deviation over the last axis are far from 0 at every position."""
    steps = rng.permuted(np.broadcast_to(np.arange(shape[-1]) - 0.25 * shape[-1], shape), axis=-1)
    return torch.from_numpy((steps + 0.3 * rng.standard_normal(shape)).astype(np.float32))


# --------------------------------------------------------------------------------------------- layer norm


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def layer_norm_but(x, weight, bias, eps, axes=(-1,), centre=True, root=True, unbiased=False, eps_at="inside"):
    """LayerNorm with one thing done another way."""
    variance = x.var(axes, unbiased=unbiased, keepdim=True)
    denominator = variance + eps if eps_at == "inside" else variance
    denominator = denominator.sqrt() if root else denominator
    if eps_at == "outside":
        denominator = denominator + eps
    return (x - x.mean(axes, keepdim=True) if centre else x) / denominator * weight + bias


def without_keepdim(x, weight, bias, eps):
    return (x - x.mean(-1)) / (x.var(-1, unbiased=False) + eps).sqrt() * weight + bias


def plain_gain(rng, *shape, eps=1e-6):
    return spread(rng, *shape), torch.ones(shape[-1]), torch.zeros(shape[-1]), eps


def own_gain(rng, *shape, eps=1e-6):
    """Gains and biases that no one could mistake for 1 and 0."""
    return spread(rng, *shape), 2 + normal(rng, shape[-1]).abs(), 1 + normal(rng, shape[-1]).abs(), eps


def narrow(rng, *shape):
    """Deviations of about 0.05 with an eps of 0.01, and a position whose channels are all equal."""
    x, weight, bias, _ = own_gain(rng, *shape)
    x = 0.05 * x
    x[..., -1, :] = 2.0
    return x, weight, bias, 0.01


LAYER_NORM = Exercise(
    "layer_norm", NORMS, layer_norm,
    (
        Check("one-position", 2, {"en": "With weight 1 and bias 0: subtract the mean of the C channels, divide by the root of "
                                        "their variance (divided by C).",
                                  "zh": "weight 为 1、bias 为 0 时：减去 C 个通道的均值，再除以方差（除以 C 的那种）的平方根。"},
              lambda rng: [plain_gain(rng, 1, 3), plain_gain(rng, 1, 6)]),
        Check("gain-and-bias", 1, {"en": "After normalising: times weight, then plus bias, channel by channel.",
                                   "zh": "归一化之后：逐通道先乘 weight，再加 bias。"},
              lambda rng: [own_gain(rng, 1, 3), own_gain(rng, 1, 8)]),
        Check("each-position-by-itself", 2, {"en": "Each position of each row has its own mean and variance.",
                                             "zh": "每一行的每个位置都有自己的均值和方差。"},
              lambda rng: [plain_gain(rng, 2, 3), own_gain(rng, 2, 3, 4), own_gain(rng, 3, 3, 3)]),
        Check("eps", 1, {"en": "eps is under the root, added to the variance; a position of equal channels gives the bias.",
                         "zh": "eps 在根号里面，和方差相加；各通道相等的位置结果就是 bias。"},
              lambda rng: [narrow(rng, 2, 3), narrow(rng, 2, 3, 5)]),
    ),
    (
        Misconception("variance-for-deviation",
                      {"en": "You divide by the variance. Divide by its square root, the standard deviation: only then has "
                             "the result a deviation of 1.",
                       "zh": "你除以了方差。应该除以它的平方根，也就是标准差：这样结果的标准差才是 1。"},
                      partial(layer_norm_but, root=False)),
        Misconception("unbiased-variance",
                      {"en": "Your variance is divided by C - 1, PyTorch's default. The C channels are not a sample of "
                             "something larger: divide by C (`unbiased=False`, `correction=0`).",
                       "zh": "你的方差除以了 C - 1，这是 PyTorch 的默认做法。这 C 个通道不是从更大的总体里抽的样本：应除以 C"
                             "（`unbiased=False`，`correction=0`）。"},
                      partial(layer_norm_but, unbiased=True)),
        Misconception("not-centred",
                      {"en": "The mean is not subtracted in the numerator. LayerNorm centres first; what only divides is "
                             "nearer to RMSNorm.",
                       "zh": "分子里没有减去均值。LayerNorm 先居中；只做除法更接近 RMSNorm。"},
                      partial(layer_norm_but, centre=False)),
        Misconception("over-the-positions",
                      {"en": "Mean and variance run over the positions (axis -2). Then a token's result would depend on its "
                             "neighbours, also on later ones: use the channels, axis -1.",
                       "zh": "你沿着位置的轴（-2）求了均值和方差。这样一个词元的结果会依赖邻居，甚至依赖后面的词元：应该用通道的轴 -1。"},
                      partial(layer_norm_but, axes=(-2,))),
        Misconception("over-everything",
                      {"en": "One mean and one variance serve the whole tensor. Every position of every row needs its own: "
                             "`mean(-1, keepdim=True)`.",
                       "zh": "整个张量共用了一个均值和一个方差。每一行的每个位置都要有自己的：`mean(-1, keepdim=True)`。"},
                      lambda x, w, b, e: layer_norm_but(x, w, b, e, axes=tuple(range(x.dim())))),
        Misconception("eps-outside-the-root",
                      {"en": "eps is added to the deviation, after the root. It belongs under the root, added to the variance.",
                       "zh": "eps 加在了开方之后的标准差上。它应该在根号里面，和方差相加。"},
                      partial(layer_norm_but, eps_at="outside")),
        Misconception("eps-forgotten",
                      {"en": "eps is not used: a position whose channels are all equal has variance 0, and 0 / 0 is NaN.",
                       "zh": "没有用 eps：各通道相等的位置方差为 0，0 / 0 得到 NaN。"},
                      partial(layer_norm_but, eps_at="nowhere")),
        Misconception("bias-before-gain",
                      {"en": "The bias is added before the gain and so is multiplied by it: first times weight, then plus "
                             "bias.",
                       "zh": "bias 在乘 weight 之前就加上了，于是也被放大了：先乘 weight，再加 bias。"},
                      lambda x, w, b, e: (layer_norm_but(x, torch.ones_like(w), torch.zeros_like(b), e) + b) * w),
        Misconception("gain-forgotten",
                      {"en": "The learned gain is missing: multiply each channel by its weight before you add the bias.",
                       "zh": "少了学到的增益：加 bias 之前，每个通道要乘以它的 weight。"},
                      lambda x, w, b, e: layer_norm_but(x, torch.ones_like(w), b, e)),
    ),
    slips=(
        Misconception("keepdim-missing",
                      {"en": "Mean and variance have lost the axis of the channels, so they are combined with the wrong numbers: "
                             "`mean(-1, keepdim=True)` keeps it, (…, 1).",
                       "zh": "求均值和方差之后通道轴没有了，于是和别的数对到了一起：`mean(-1, keepdim=True)` 可以留住它，形状是 (…, 1)。"},
                      without_keepdim),
    ),
)  # fmt: skip


# ----------------------------------------------------------------------------------------------- RMSNorm


def rms_norm_but(x, eps=1e-5, axes=(-1,), centre=False, root=True, total=False, eps_at="inside", half=False):
    """RMSNorm with one thing done another way."""
    if not half:
        x = x.float()
    if centre:
        x = x - x.mean(axes, keepdim=True)
    power = x.square().sum(axes, keepdim=True) if total else x.square().mean(axes, keepdim=True)
    denominator = power + eps if eps_at == "inside" else power
    denominator = denominator.sqrt() if root else denominator
    return x / (denominator + eps if eps_at == "outside" else denominator)


def nearly(got, expected) -> bool:
    """Equal up to the rounding of the result's own type: float16 has three digits."""
    is_half = isinstance(expected, torch.Tensor) and expected.dtype == torch.float16
    return same(got, expected, 2e-3) if is_half else same(got, expected)


def half(rng, *shape):
    """float16 numbers between 300 and 900: their squares do not fit into float16."""
    return torch.from_numpy((rng.uniform(300, 900, shape) * rng.choice([-1, 1], shape)).astype(np.float16))


def faint(rng, *shape):
    """Numbers of about 0.1 with an eps of 0.01, and a position of zeros."""
    x = 0.1 * spread(rng, *shape)
    x[..., -1, :] = 0.0
    return x, 0.01


RMS_NORM = Exercise(
    "rms_norm", NORMS, gpt.rms_norm,
    (
        Check("one-position", 1, {"en": "Divide by the root of the mean of the squares: the result's mean square is 1.",
                                  "zh": "除以平方的均值的平方根：结果的均方为 1。"},
              lambda rng: [(spread(rng, 1, 3), 1e-6), (spread(rng, 1, 6), 1e-6)]),
        Check("each-position-by-itself", 1, {"en": "Each position of each row has its own root mean square.",
                                             "zh": "每一行的每个位置都有自己的均方根。"},
              lambda rng: [(spread(rng, 2, 3), 1e-6), (spread(rng, 2, 3, 4), 1e-6), (spread(rng, 3, 3, 3), 1e-6)]),
        Check("eps", 1, {"en": "eps is under the root, added to the mean square; zeros stay zeros.",
                         "zh": "eps 在根号里面，和均方相加；全零的位置仍然是零。"},
              lambda rng: [faint(rng, 2, 3), faint(rng, 2, 3, 5), (0.003 * spread(rng, 2, 4),)]),
        Check("half-precision", 1, {"en": "The squares of float16 numbers above 256 overflow: convert to float32 first.",
                                    "zh": "float16 的数大于 256 时，平方会溢出：先转成 float32。"},
              lambda rng: [(half(rng, 1, 4), 1e-5), (half(rng, 2, 3, 6), 1e-5)]),
    ),
    (
        Misconception("no-root",
                      {"en": "You divide by the mean square. Take its square root first: otherwise large vectors come out "
                             "small and small ones large.",
                       "zh": "你除以了均方。要先开平方：否则大的向量变小，小的向量变大。"},
                      partial(rms_norm_but, root=False)),
        Misconception("centred",
                      {"en": "The mean is subtracted first. That is LayerNorm; RMSNorm leaves the mean where it is and only "
                             "divides.",
                       "zh": "你先减去了均值。那是 LayerNorm；RMSNorm 不动均值，只做除法。"},
                      partial(rms_norm_but, centre=True)),
        Misconception("sum-for-mean",
                      {"en": "You divide by the length of the vector, the root of the sum of squares. Use the mean of the "
                             "squares, so that a channel's size does not depend on how many channels there are.",
                       "zh": "你除以了向量的长度，也就是平方和的平方根。应该用平方的均值，这样每个通道的大小与通道数无关。"},
                      partial(rms_norm_but, total=True)),
        Misconception("over-the-positions",
                      {"en": "The mean of the squares runs over the positions (axis -2). Use the channels, axis -1: a token "
                             "must not depend on its neighbours here.",
                       "zh": "平方的均值沿着位置的轴（-2）求了。应该用通道的轴 -1：这里一个词元不能依赖邻居。"},
                      partial(rms_norm_but, axes=(-2,))),
        Misconception("over-everything",
                      {"en": "One root mean square serves the whole tensor. Every position of every row needs its own: "
                             "`mean(-1, keepdim=True)`.",
                       "zh": "整个张量共用了一个均方根。每一行的每个位置都要有自己的：`mean(-1, keepdim=True)`。"},
                      lambda x, eps=1e-5: rms_norm_but(x, eps, axes=tuple(range(x.dim())))),
        Misconception("eps-outside-the-root",
                      {"en": "eps is added after the root. It belongs under the root, added to the mean square.",
                       "zh": "eps 加在了开方之后。它应该在根号里面，和均方相加。"},
                      partial(rms_norm_but, eps_at="outside")),
        Misconception("eps-forgotten",
                      {"en": "eps is not used: at a position of zeros you divide 0 by 0, which is NaN.",
                       "zh": "没有用 eps：全零的位置变成 0 除以 0，得到 NaN。"},
                      partial(rms_norm_but, eps_at="nowhere")),
        Misconception("squared-in-half-precision",
                      {"en": "You square in the type of x. In float16 everything above 65,504 is infinity, so 300² already "
                             "is, and the result is 0: start with `x.float()`.",
                       "zh": "你在 x 自己的类型里求平方。float16 超过 65504 就是无穷大，300² 已经溢出，结果成了 0：先做 `x.float()`。"},
                      partial(rms_norm_but, half=True)),
    ),
    equal=nearly,
    slips=(
        Misconception("keepdim-missing",
                      {"en": "The mean of the squares has lost the axis of the channels, so it is combined with the wrong numbers: "
                             "`mean(-1, keepdim=True)` keeps it, (…, 1).",
                       "zh": "对平方求均值之后通道轴没有了，于是和别的数对到了一起：`mean(-1, keepdim=True)` 可以留住它，形状是 (…, 1)。"},
                      lambda x, eps=1e-5: x.float() / (x.float().square().mean(-1) + eps).sqrt()),
    ),
)  # fmt: skip


# -------------------------------------------------------------------------------------- rotary positions


def angles_but(n_ctx, head_dim, base, exponent=2.0, first=0, n_pairs=None):
    """Angles p · base^(-exponent · i / D) with one thing done another way."""
    pairs = torch.arange(n_pairs or head_dim // 2, dtype=torch.float32)
    positions = torch.arange(first, first + n_ctx, dtype=torch.float32)
    return torch.outer(positions, base ** (-exponent * pairs / head_dim))


def evenly_to_one(n_ctx, head_dim, base):
    return torch.outer(torch.arange(n_ctx, dtype=torch.float32), base ** -torch.linspace(0, 1, head_dim // 2))


ANGLES = Exercise(
    "rotary_angles", POSITIONS, gpt.rotary_angles,
    (
        Check("one-pair", 1, {"en": "With D = 2 there is one pair, of frequency 1: the angle is the position, counted from 0. "
                                    "Shape (n_ctx, 1).",
                              "zh": "D = 2 时只有一对通道，频率为 1：角度就是位置，从 0 数起。形状 (n_ctx, 1)。"},
              lambda rng: [(2, 2, 10000.0), (int(rng.integers(3, 9)), 2, 10000.0)]),
        Check("frequencies", 2, {"en": "Pair i turns by base^(-2i/D) a position: 1 for i = 0, then ever more slowly.",
                                 "zh": "第 i 对每走一个位置转 base^(-2i/D)：i = 0 时是 1，之后越来越慢。"},
              lambda rng: [(3, 4, 10000.0), (5, 6, 10000.0), (int(rng.integers(6, 12)), 16, 10000.0), (300, 4, 10000.0)]),
        Check("other-bases", 1, {"en": "The base is an argument: 500,000 in LLaMA 3, 10,000 in the paper.",
                                 "zh": "base 是参数：LLaMA 3 用 500000，论文里是 10000。"},
              lambda rng: [(3, 4, 100.0), (int(rng.integers(4, 9)), 8, 500000.0)]),
    ),
    (
        Misconception("exponent-without-the-2",
                      {"en": "The exponent is i/D; it should be 2i/D. Pair i is the i-th of D/2, so the exponent has to run "
                             "from 0 up to nearly 1.",
                       "zh": "你的指数是 i/D；应该是 2i/D。一共只有 D/2 对，指数要从 0 走到接近 1。"},
                      partial(angles_but, exponent=1.0)),
        Misconception("exponent-with-the-2-twice",
                      {"en": "The exponent is 4i/D; it should be 2i/D. `arange(0, D, 2)` holds the 2 already.",
                       "zh": "你的指数是 4i/D；应该是 2i/D。`arange(0, D, 2)` 里已经有那个 2 了。"},
                      partial(angles_but, exponent=4.0)),
        Misconception("sign-of-the-exponent",
                      {"en": "The minus in the exponent is missing: later pairs should turn more slowly, not faster.",
                       "zh": "指数少了负号：越靠后的通道对应该转得越慢，而不是越快。"},
                      partial(angles_but, exponent=-2.0)),
        Misconception("exponent-reaches-1",
                      {"en": "Your exponents go from 0 to 1 inclusive, divided among D/2 - 1 steps. They are 2i/D: the last "
                             "one is 1 - 2/D.",
                       "zh": "你的指数从 0 一直到 1（含 1），分成 D/2 - 1 步。应该是 2i/D：最后一个是 1 - 2/D。"},
                      evenly_to_one),
        Misconception("positions-from-1",
                      {"en": "You count positions from 1. The first token is at 0 and is not turned at all.",
                       "zh": "你从 1 开始数位置。第一个词元在位置 0，完全不转。"},
                      partial(angles_but, first=1)),
        Misconception("an-angle-for-each-channel",
                      {"en": "You return D angles a position. Two channels share one angle: there are D/2.",
                       "zh": "你给每个位置返回了 D 个角度。两个通道共用一个角度：一共 D/2 个。"},
                      lambda n, d, base: angles_but(n, d, base).repeat(1, 2)),
        Misconception("transposed",
                      {"en": "Rows and columns are swapped: positions are the rows, (n_ctx, D/2).",
                       "zh": "行和列反了：位置是行，形状是 (n_ctx, D/2)。"},
                      lambda n, d, base: angles_but(n, d, base).T),
        Misconception("base-fixed",
                      {"en": "You always use 10,000 and ignore the argument `base`.",
                       "zh": "你总是用 10000，没有用参数 `base`。"},
                      lambda n, d, base: angles_but(n, d, 10000.0)),
    ),
)  # fmt: skip


def pairs_but(x, cos, sin, sign=1.0, join=None):
    """The rotation with one thing done another way."""
    a, b = x.chunk(2, dim=-1)
    a, b = a * cos - sign * b * sin, sign * a * sin + b * cos
    return torch.cat((a, b), -1) if join is None else join(a, b)


def interleaved(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def overwritten(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    a = a * cos - b * sin
    return torch.cat((a, a * sin + b * cos), -1)


def counted_from_zero(x, cos, sin):
    angles = gpt.rotary_angles(x.shape[2], x.shape[3], 10000.0)
    return gpt.rotate(x, angles.cos(), angles.sin())


def at(rng, b, h, t, d, starts=None):
    """(x, cos, sin) for rows that begin at `starts`; positions 0 … t - 1 if unset."""
    angles = gpt.rotary_angles(64, d, 10000.0)
    positions = torch.tensor(starts or [0] * b)[:, None] + torch.arange(t)  # (B, T)
    return 1 + normal(rng, b, h, t, d).abs(), angles.cos()[positions][:, None], angles.sin()[positions][:, None]


def below_zero(rng, b, h, t, d):
    x, cos, sin = at(rng, b, h, t, d)
    return -x, cos, sin


ROTATE = Exercise(
    "rotate", POSITIONS, gpt.rotate,
    (
        Check("one-pair", 2, {"en": "With D = 2: (a, b) becomes (a cos - b sin, a sin + b cos). At position 0 nothing turns.",
                              "zh": "D = 2 时：(a, b) 变成 (a cos - b sin, a sin + b cos)。位置 0 不转。"},
              lambda rng: [at(rng, 1, 1, 2, 2), at(rng, 1, 2, 4, 2)]),
        Check("several-pairs", 2, {"en": "Channel i is paired with channel i + D/2, and the results go back to these two.",
                                   "zh": "第 i 个通道和第 i + D/2 个通道配成一对，结果放回这两个通道。"},
              lambda rng: [at(rng, 1, 1, 2, 4), at(rng, 2, 3, 5, 6), below_zero(rng, 2, 2, 3, 4)]),
        Check("other-positions", 2, {"en": "The positions come in through cos and sin: they need not begin at 0, and every row "
                                           "of the batch has its own.",
                                     "zh": "位置由 cos 和 sin 给出：不一定从 0 开始，批次的每一行也各不相同。"},
              lambda rng: [at(rng, 1, 1, 1, 4, [int(rng.integers(2, 6))]),
                           at(rng, 2, 3, 4, 6, [int(rng.integers(2, 9)), int(rng.integers(11, 30))])]),
    ),
    (
        Misconception("turned-backwards",
                      {"en": "The pair is turned by minus the angle: the sign of both sines is swapped. "
                             "It is (a cos - b sin, a sin + b cos).",
                       "zh": "转的方向反了，两个正弦的符号都颠倒了。应该是 (a cos - b sin, a sin + b cos)。"},
                      partial(pairs_but, sign=-1.0)),
        Misconception("both-with-minus",
                      {"en": "Both halves have a minus: (a cos - b sin, a sin - b cos) mirrors the pair and does not turn it. "
                             "The second half has a plus.",
                       "zh": "两半都用了减号：(a cos - b sin, a sin - b cos) 是镜像，不是旋转。第二半用加号。"},
                      lambda x, cos, sin: torch.cat((x.chunk(2, -1)[0] * cos - x.chunk(2, -1)[1] * sin,
                                                     x.chunk(2, -1)[0] * sin - x.chunk(2, -1)[1] * cos), -1)),
        Misconception("first-half-overwritten",
                      {"en": "You write the new a and then use it to make the new b. Both need the old a: "
                             "compute both before you store either.",
                       "zh": "你先改了 a，又用改过的 a 去算 b。两个都要用旧的 a：先把两个都算好，再存。"},
                      overwritten),
        Misconception("neighbours-paired",
                      {"en": "You pair the channels 2i and 2i + 1, as the paper draws it. Here, as in LLaMA's published "
                             "weights, channel i goes with i + D/2.",
                       "zh": "你把第 2i 和第 2i + 1 个通道配成一对，论文里是这样画的。这里和 LLaMA 公开的权重一样，第 i 个配第 i + D/2 个。"},
                      interleaved),
        Misconception("results-interleaved",
                      {"en": "The halves are paired rightly, but the results are written to the channels 2i and 2i + 1: put "
                             "all first results before all second ones (cat, not stack).",
                       "zh": "配对是对的，但结果写到了第 2i 和 2i + 1 个通道：先放全部第一个结果，再放全部第二个（用 cat，不是 stack）。"},
                      partial(pairs_but, join=lambda a, b: torch.stack((a, b), -1).flatten(-2))),
        Misconception("positions-counted-from-zero",
                      {"en": "You make the angles anew for positions 0 … T - 1. With a cache or padding the tokens are "
                             "elsewhere: use the cos and sin you are given.",
                       "zh": "你自己按位置 0 … T - 1 重新算了角度。有缓存或填充时词元不在这些位置上：要用传进来的 cos 和 sin。"},
                      counted_from_zero),
        Misconception("positions-of-the-first-row",
                      {"en": "All rows are turned by the angles of the first. Rows of different length are padded on the "
                             "left and are at different positions.",
                       "zh": "所有行都用了第一行的角度。长度不同的行左边填充得不同，位置也就不同。"},
                      lambda x, cos, sin: gpt.rotate(x, cos[:1], sin[:1])),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- block


def block(x, norm1, attn, norm2, mlp):
    x = x + attn(norm1(x))
    return x + mlp(norm2(x))


def linear(rng, c, offset=0.5):
    return Linear(normal(rng, c, c) / c**0.5, offset + 0.3 * normal(rng, c))


def zero(c):
    return Linear(torch.zeros(c, c), torch.zeros(c))


def layers(rng, b, t, c, attn=True, mlp=True):
    """Arguments of a block; without attn or mlp that branch adds nothing."""
    x, norm1, norm2 = normal(rng, b, t, c), linear(rng, c), linear(rng, c, -0.5)
    return x, norm1, linear(rng, c) if attn else zero(c), norm2, linear(rng, c, -0.5) if mlp else zero(c)


def post_norm(x, norm1, attn, norm2, mlp):
    x = norm1(x + attn(x))
    return norm2(x + mlp(x))


def normed_stream(x, norm1, attn, norm2, mlp):
    x = norm1(x)
    x = norm2(x + attn(x))
    return x + mlp(x)


BLOCK = Exercise(
    "block", STREAM, block,
    (
        Check("mlp-alone", 2, {"en": "When attention adds nothing, the block is x + mlp(norm2(x)).",
                               "zh": "注意力什么都不加的时候，这一块就是 x + mlp(norm2(x))。"},
              lambda rng: [layers(rng, 1, 1, 2, attn=False), layers(rng, 2, 3, 4, attn=False)]),
        Check("attention-alone", 2, {"en": "When the MLP adds nothing, the block is x + attn(norm1(x)).",
                                     "zh": "MLP 什么都不加的时候，这一块就是 x + attn(norm1(x))。"},
              lambda rng: [layers(rng, 1, 1, 2, mlp=False), layers(rng, 2, 3, 4, mlp=False)]),
        Check("one-after-the-other", 2, {"en": "The MLP reads the stream after attention has added to it, and adds to that.",
                                         "zh": "MLP 读的是注意力加过之后的残差流，也加到它上面。"},
              lambda rng: [layers(rng, 1, 1, 2), layers(rng, 2, 3, 4)]),
    ),
    (
        Misconception("post-norm",
                      {"en": "You normalise after adding, as the first Transformer (2017) did. In a pre-norm block each norm "
                             "is in front of its layer, x + attn(norm1(x)), and nothing normalises the stream itself.",
                       "zh": "你在相加之后才归一化，那是 2017 年最初的 Transformer 的做法。pre-norm 的块里归一化在层之前，"
                             "x + attn(norm1(x))，残差流本身不做归一化。"},
                      post_norm),
        Misconception("residual-forgotten",
                      {"en": "The residual is missing: what attention returns takes the place of x instead of being added to it. "
                             "Without x + … what earlier blocks wrote is lost.",
                       "zh": "缺了残差：注意力的输出顶替了 x，而不是加到 x 上。没有 x + …，前面各块写下的内容就丢了。"},
                      lambda x, n1, a, n2, m: m(n2(a(n1(x))))),
        Misconception("residual-forgotten-at-the-mlp",
                      {"en": "The MLP's result replaces the stream. It is added to it, just as attention's is.",
                       "zh": "MLP 的结果顶替了残差流。它也应该加上去，和注意力一样。"},
                      lambda x, n1, a, n2, m: m(n2(x + a(n1(x))))),
        Misconception("norm-on-the-stream",
                      {"en": "You overwrite x by its normalised copy and add to that. Only the layer reads the normalised "
                             "copy; the sum begins with x itself.",
                       "zh": "你用归一化后的副本覆盖了 x，再往上加。归一化的副本只给层读；相加时用的是 x 本身。"},
                      normed_stream),
        Misconception("norms-forgotten",
                      {"en": "The layers read x itself. Each reads a normalised copy: attn(norm1(x)), mlp(norm2(x)).",
                       "zh": "层直接读了 x。它们读的应该是归一化后的副本：attn(norm1(x))，mlp(norm2(x))。"},
                      lambda x, n1, a, n2, m: x + a(x) + m(x + a(x))),
        Misconception("one-norm-used-twice",
                      {"en": "norm1 is in front of the MLP (of both layers, or the two norms are swapped). The MLP has a norm of its own "
                             "with its own gain: norm2; norm1 belongs to attention.",
                       "zh": "MLP 前面用了 norm1（两层都用了它，或者两个归一化用反了）。MLP 有自己的归一化，增益也是自己的：norm2；norm1 属于注意力。"},
                      lambda x, n1, a, n2, m: block(x, n1, a, n1, m), (lambda x, n1, a, n2, m: block(x, n2, a, n1, m),)),
        Misconception("side-by-side",
                      {"en": "Attention and MLP both read the old x. That is a parallel block; here the MLP reads the stream "
                             "after attention has added to it.",
                       "zh": "注意力和 MLP 读的都是旧的 x。那是并行的块；这里 MLP 读的是注意力加过之后的残差流。"},
                      lambda x, n1, a, n2, m: x + a(n1(x)) + m(n2(x))),
        Misconception("attention-lost-from-the-sum",
                      {"en": "The MLP's result is added to the x from before attention, so what attention wrote is lost from "
                             "the stream. Add it to the updated x.",
                       "zh": "MLP 的结果加到了注意力之前的 x 上，注意力写下的内容就从残差流里丢了。要加到更新后的 x 上。"},
                      lambda x, n1, a, n2, m: x + m(n2(x + a(n1(x))))),
        Misconception("mlp-first",
                      {"en": "The MLP comes before attention. In a GPT block attention is first: positions exchange what "
                             "they know, then the MLP works on it.",
                       "zh": "MLP 放在了注意力前面。GPT 的块里注意力在前：各位置先交换信息，MLP 再加工。"},
                      lambda x, n1, a, n2, m: block(x, n2, m, n1, a)),
    ),
    may_change=("x",),
)  # fmt: skip

LESSON = Lesson(4, "04_gpt", {"en": "The GPT", "zh": "GPT 的结构"}, (LAYER_NORM, RMS_NORM, ANGLES, ROTATE, BLOCK))
