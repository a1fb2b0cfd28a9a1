"""Exercises of lesson 3: attention."""

import numpy as np
import torch
from torch import Tensor

from minillm import gpt
from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

HEADS = {"en": "Several heads", "zh": "多头"}
MASK = {"en": "The causal mask", "zh": "因果掩码"}
SCALED = {"en": "Scaled dot products", "zh": "缩放点积"}


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


# ------------------------------------------------------------------------------------- split and join heads


def split_heads(x: Tensor, n_head: int) -> Tensor:
    b, t, c = x.shape
    return x.view(b, t, n_head, c // n_head).transpose(1, 2)  # (B, T, C) -> (B, T, H, D) -> (B, H, T, D)


def join_heads(x: Tensor) -> Tensor:
    b, h, t, d = x.shape
    return x.transpose(1, 2).reshape(b, t, h * d)  # (B, H, T, D) -> (B, T, H, D) -> (B, T, C)


SPLIT = Exercise(
    "split_heads", HEADS, split_heads,
    (
        Check("one-head", 1, {"en": "With one head only an axis is added: (B, T, C) -> (B, 1, T, C).",
                              "zh": "只有一个头时只是多了一个轴：(B, T, C) -> (B, 1, T, C)。"},
              lambda rng: [(normal(rng, 1, 1, 2), 1), (normal(rng, 2, 3, 4), 1)]),
        Check("several-heads", 2, {"en": "Head h holds the channels h·D … (h+1)·D - 1 of every position.",
                                   "zh": "第 h 个头拿每个位置的第 h·D … (h+1)·D - 1 个通道。"},
              lambda rng: [(normal(rng, 1, 2, 4), 2), (normal(rng, 1, 3, 6), 3), (normal(rng, 2, 5, 12), 4),
                           (normal(rng, 3, 1, 6), 2), (normal(rng, 2, 3, 3), 3)]),
    ),
    (
        Misconception("view-without-transpose",
                      {"en": "`view(B, H, T, D)` only relabels the numbers in memory order and mixes positions with "
                             "heads. First cut the channels, (B, T, H, D), then swap the axes T and H.",
                       "zh": "`view(B, H, T, D)` 只是按内存顺序重新编号，把位置和头混在了一起。先切通道，得到 (B, T, H, D)，"
                             "再交换 T 和 H 两个轴。"},
                      lambda x, n: x.view(x.shape[0], n, x.shape[1], -1)),
        Misconception("axes-not-swapped",
                      {"en": "The heads are still behind the positions: (B, T, H, D). Attention works inside each head, "
                             "so the head axis has to come before the positions.",
                       "zh": "头的轴还在位置后面：(B, T, H, D)。注意力在每个头内部计算，所以头的轴要放在位置前面。"},
                      lambda x, n: x.view(x.shape[0], x.shape[1], n, -1)),
        Misconception("interleaved-channels",
                      {"en": "Each head takes every H-th channel; it should take a block of D neighbouring ones: "
                             "cut the channels as (H, D), not as (D, H).",
                       "zh": "你的每个头隔 H 个取一个通道；应该取相邻的一段 D 个通道：把通道切成 (H, D)，而不是 (D, H)。"},
                      lambda x, n: x.view(x.shape[0], x.shape[1], -1, n).permute(0, 3, 1, 2),
                      (lambda x, n: x.view(x.shape[0], x.shape[1], -1, n).transpose(1, 2),)),
    ),
)  # fmt: skip

JOIN = Exercise(
    "join_heads", HEADS, join_heads,
    (
        Check("one-head", 1, {"en": "With one head only the head axis goes away.", "zh": "只有一个头时只是去掉头的轴。"},
              lambda rng: [(normal(rng, 1, 1, 1, 2),), (normal(rng, 2, 1, 3, 4),)]),
        Check("several-heads", 2, {"en": "join_heads(split_heads(x, H)) must give x back.",
                                   "zh": "join_heads(split_heads(x, H)) 必须还原 x。"},
              lambda rng: [(normal(rng, 1, 2, 2, 1),), (normal(rng, 1, 3, 2, 2),), (normal(rng, 2, 3, 5, 4),),
                           (normal(rng, 3, 2, 1, 3),)]),
    ),
    (
        Misconception("reshape-without-transpose",
                      {"en": "`reshape(B, T, H * D)` straight from (B, H, T, D) keeps the memory order and mixes "
                             "positions of one head. Swap H and T first.",
                       "zh": "从 (B, H, T, D) 直接 `reshape(B, T, H * D)` 保持了内存顺序，把同一个头的不同位置混在了一起。"
                             "先交换 H 和 T。"},
                      lambda x: x.reshape(x.shape[0], x.shape[2], -1)),
        Misconception("mean-over-heads",
                      {"en": "The heads are averaged or added up; they should stay side by side. Each head found something else, "
                             "and nothing of it may be lost.",
                       "zh": "你把各个头平均（或相加）了；它们应该并排放着。每个头找到的东西不同，一点都不能丢。"},
                      lambda x: x.mean(1), (lambda x: x.sum(1),)),
        Misconception("interleaved-channels",
                      {"en": "Channel d of all heads comes together; all D channels of one head should: (B, T, H, D), "
                             "not (B, T, D, H), before the last reshape.",
                       "zh": "你把各个头的第 d 个通道放在了一起；应该是同一个头的 D 个通道在一起：最后一次 reshape 之前是 "
                             "(B, T, H, D)，不是 (B, T, D, H)。"},
                      lambda x: x.permute(0, 2, 3, 1).reshape(x.shape[0], x.shape[2], -1)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------- causal mask

CAUSAL = Exercise(
    "causal_mask", MASK, gpt.causal_mask,
    (
        Check("square", 1, {"en": "With T = S the mask is the lower triangle, the diagonal included.",
                            "zh": "T = S 时掩码是下三角，包括对角线。"},
              lambda rng: [(1, 1), (2, 2), (int(rng.integers(3, 9)),) * 2]),
        Check("cached", 2, {"en": "With S > T the queries are the last T positions: query i is at S - T + i.",
                            "zh": "S > T 时，查询是最后 T 个位置：第 i 个查询在 S - T + i。"},
              lambda rng: [(1, 2), (2, 3), (3, 7), (1, 6), (5, 6), (int(rng.integers(2, 5)), int(rng.integers(6, 12)))]),
    ),
    (
        Misconception("future-instead-of-past",
                      {"en": "The triangle is the wrong way round: your queries see the future and not the past.",
                       "zh": "三角形反了：你的查询看到的是未来，不是过去。"},
                      lambda t, s: torch.ones(t, s, dtype=torch.bool).triu(s - t)),
        Misconception("forbidden-is-true",
                      {"en": "True should mean “may look”; yours marks the forbidden places.",
                       "zh": "True 应该表示“可以看”；你标的是不能看的位置。"},
                      lambda t, s: ~gpt.causal_mask(t, s)),
        Misconception("not-itself",
                      {"en": "A position may also look at itself: the diagonal is allowed. Without it the first "
                             "query could look at nothing.",
                       "zh": "一个位置也可以看自己：对角线是允许的。否则第一个查询什么都看不到。"},
                      lambda t, s: torch.ones(t, s, dtype=torch.bool).tril(s - t - 1)),
        Misconception("one-step-into-the-future",
                      {"en": "Your mask also allows the next position: the model would read the token it has to predict.",
                       "zh": "你的掩码还允许看下一个位置：模型会读到它要预测的那个词元。"},
                      lambda t, s: torch.ones(t, s, dtype=torch.bool).tril(s - t + 1)),
        Misconception("queries-counted-from-zero",
                      {"en": "You put query i at position i. With a cache the T queries are the last T of S "
                             "positions: query i is at S - T + i and sees all that the cache holds.",
                       "zh": "你让第 i 个查询在位置 i。有缓存时，T 个查询是 S 个位置中的最后 T 个：第 i 个查询在 S - T + i，"
                             "能看到缓存里的一切。"},
                      lambda t, s: torch.ones(t, s, dtype=torch.bool).tril()),
    ),
)  # fmt: skip


# --------------------------------------------------------------------------------------------- attention


def attend(q, k, v, mask, scale=None, axis=-1, late_mask=False, renormalise=False, hide=None):
    """Attention with one thing done another way."""
    scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None and not late_mask:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min if hide is None else hide)
    weights = scores.softmax(axis)
    if mask is not None and late_mask:
        weights = weights * mask
        if renormalise:
            weights = weights / weights.sum(-1, keepdim=True)
    return weights @ v, weights


def multiplied(q, k, v, mask):
    scores = q @ k.mT * q.shape[-1] ** -0.5 * mask
    return scores.softmax(-1) @ v, scores.softmax(-1)


def all_axes_turned(q, k, v, mask):
    """What `k.T` is for four axes."""
    return q @ k.permute(3, 2, 1, 0)


def without_keepdim(q, k, v, mask):
    scores = q @ k.mT * q.shape[-1] ** -0.5
    powers = (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).exp()
    weights = powers / powers.sum(-1)
    return weights @ v, weights


def qkv(rng, b, h, t, s, d):
    return normal(rng, b, h, t, d), normal(rng, b, h, s, d), normal(rng, b, h, s, d)


def far_below(rng) -> tuple:
    """Scores of which the allowed ones are far below 0, in rows at very different heights: what is hidden must be
    lower still, and every row has its own maximum."""
    q = torch.tensor([200.0, -90.0, 0.5])[:, None] * torch.ones(2, 2, 3, 1)
    k = -200.0 - torch.from_numpy(rng.integers(0, 4, (2, 2, 5, 1)).astype(np.float32))  # whole: exact in float32
    return q, k, normal(rng, 2, 2, 5, 2)[..., :1], gpt.causal_mask(3, 5)


def row_masks(rng, b, t, s):
    """(B, 1, T, S): another mask for each row; every query sees its first position at least."""
    mask = torch.from_numpy(rng.random((b, 1, t, s)) < 0.5)
    mask[..., 0] = True
    return mask


ATTENTION = Exercise(
    "attention", SCALED, gpt.attention,
    (
        Check("no-mask", 2, {"en": "Without a mask: softmax(q kᵀ / √D) v, and the weights themselves.",
                             "zh": "没有掩码时：softmax(q kᵀ / √D) v，以及权重本身。"},
              lambda rng: [(*qkv(rng, 1, 1, 1, 2, 4), None), (*qkv(rng, 1, 1, 3, 3, 4), None),
                           (*qkv(rng, 2, 3, 4, 5, 6), None)]),
        Check("causal-mask", 2, {"en": "Where the mask is False the weight must be 0, and the others still add up to 1.",
                                 "zh": "掩码为 False 的地方权重必须是 0，其余的加起来仍然是 1。"},
              lambda rng: [(*qkv(rng, 1, 1, 2, 2, 4), gpt.causal_mask(2, 2)),
                           (*qkv(rng, 2, 2, 4, 6, 6), gpt.causal_mask(4, 6))]),
        Check("mask-of-each-row", 1, {"en": "A mask of shape (B, 1, T, S) differs from row to row of the batch.",
                                      "zh": "形状为 (B, 1, T, S) 的掩码在批次的每一行都不同。"},
              lambda rng: [(*qkv(rng, 2, 2, 3, 5, 4), row_masks(rng, 2, 3, 5))]),
        Check("large-scores", 1, {"en": "Scores of several hundred must not overflow: let softmax subtract the maximum.",
                                  "zh": "几百大小的分数也不能溢出：让 softmax 先减去最大值。"},
              lambda rng: [(100 * normal(rng, 1, 1, 3, 4), 100 * normal(rng, 1, 1, 3, 4), normal(rng, 1, 1, 3, 4),
                            gpt.causal_mask(3, 3)), far_below(rng)]),
    ),
    (
        Misconception("not-scaled",
                      {"en": "The scores are not divided by √D. With D channels their spread grows like √D and softmax "
                             "becomes a hard choice.",
                       "zh": "分数没有除以 √D。通道数为 D 时分数的幅度按 √D 增长，softmax 会变成非此即彼。"},
                      lambda q, k, v, m: attend(q, k, v, m, scale=1.0)),
        Misconception("scaled-by-d",
                      {"en": "You divide by D; it should be √D: the deviation of a sum of D products grows like √D.",
                       "zh": "你除以了 D；应该除以 √D：D 个乘积之和的标准差按 √D 增长。"},
                      lambda q, k, v, m: attend(q, k, v, m, scale=1 / q.shape[-1])),
        Misconception("scaled-by-length",
                      {"en": "You divide by the root of the number of positions; it should be √D, the channels of a head.",
                       "zh": "你除以了位置个数的平方根；应该是 √D，D 是每个头的通道数。"},
                      lambda q, k, v, m: attend(q, k, v, m, scale=k.shape[-2] ** -0.5),
                      (lambda q, k, v, m: attend(q, k, v, m, scale=q.shape[-2] ** -0.5),)),
        Misconception("multiplied-by-root-d",
                      {"en": "You multiply by √D instead of dividing by it.", "zh": "你乘了 √D，应该除以它。"},
                      lambda q, k, v, m: attend(q, k, v, m, scale=q.shape[-1] ** 0.5)),
        Misconception("softmax-over-queries",
                      {"en": "The softmax runs over the queries. Each query shares out its attention over the "
                             "positions: the last axis, S.",
                       "zh": "softmax 沿着查询的轴做了。应该是每个查询把注意力分给各个位置：最后一个轴 S。"},
                      lambda q, k, v, m: attend(q, k, v, m, axis=-2)),
        Misconception("mask-ignored",
                      {"en": "The mask has no effect: positions that may not be seen still get attention.",
                       "zh": "掩码没有起作用：不该看到的位置仍然得到了注意力。"},
                      lambda q, k, v, m: attend(q, k, v, None)),
        Misconception("mask-inverted",
                      {"en": "True means “may look”; you hide just these places.",
                       "zh": "True 表示“可以看”；你遮住的恰好是这些地方。"},
                      lambda q, k, v, m: attend(q, k, v, None if m is None else ~m, hide=-torch.inf)),
        Misconception("mask-after-softmax",
                      {"en": "The mask is applied after the softmax: hidden positions have already taken their share, "
                             "and the rest no longer adds up to 1. Hide the scores before the softmax.",
                       "zh": "掩码用在了 softmax 之后：被遮住的位置已经分走了一份，剩下的加起来不再是 1。要在 softmax 之前遮分数。"},
                      lambda q, k, v, m: attend(q, k, v, m, late_mask=True)),
        Misconception("mask-of-the-first-row",
                      {"en": "Every row of the batch is given the mask of the first row. Dialogues of different "
                             "length have different masks.",
                       "zh": "批次里每一行都用了第一行的掩码。长度不同的对话有不同的掩码。"},
                      lambda q, k, v, m: attend(q, k, v, m if m is None or m.dim() == 2 else m[:1])),
        Misconception("masked-scores-are-zero",
                      {"en": "Hidden scores are set to 0, and exp(0) = 1 is a share like any other. They must be minus "
                             "infinity (or the lowest number).",
                       "zh": "被遮住的分数设成了 0，而 exp(0) = 1 照样占一份。应该设成负无穷（或最小的数）。"},
                      lambda q, k, v, m: attend(q, k, v, m, hide=0.0),
                      (lambda q, k, v, m: attend(q, k, v, m, hide=0.0) if m is None else multiplied(q, k, v, m),)),
        Misconception("weights-without-values",
                      {"en": "The mixture must be made of the values v; yours is made of the keys k.",
                       "zh": "应该混合的是值 v；你混合的是键 k。"},
                      lambda q, k, v, m: (attend(q, k, v, m)[1] @ k, attend(q, k, v, m)[1])),
    ),
    slips=(
        Misconception("all-axes-turned",
                      {"en": "`k.T` turns all four axes round, batch and heads too. Only the last two should be swapped: "
                             "`k.transpose(-2, -1)` or `k.mT`.",
                       "zh": "`k.T` 把四个轴全部倒过来了，批次和头也在内。只应交换最后两个轴：`k.transpose(-2, -1)` 或 `k.mT`。"},
                      all_axes_turned),
        Misconception("keys-not-transposed",
                      {"en": "`q @ k` multiplies the positions of q with the channels of k. Swap the last two axes of k first: "
                             "`q @ k.transpose(-2, -1)`.",
                       "zh": "`q @ k` 形状对不上：要先交换 k 的最后两个轴，`q @ k.transpose(-2, -1)`。"},
                      lambda q, k, v, m: (q @ k, q @ k)),
        Misconception("keepdim-missing",
                      {"en": "The sum over the positions has lost its axis, so each weight is divided by the sum of another query: "
                             "keepdim=True keeps it, (B, H, T, 1).",
                       "zh": "对位置求和之后这个轴没有了，每个权重除以的是别的查询的和：keepdim=True 可以留住它，形状是 (B, H, T, 1)。"},
                      without_keepdim),
    ),
)  # fmt: skip

LESSON = Lesson(3, "03_attention", {"en": "Attention", "zh": "注意力"}, (SPLIT, JOIN, CAUSAL, ATTENTION))
