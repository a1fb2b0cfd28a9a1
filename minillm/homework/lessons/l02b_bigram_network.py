"""Exercises of lesson 2b: a bigram network, its gradient, and a step of training."""

import numpy as np
import torch
from torch import Tensor

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

TABLE = {"en": "A table of logits", "zh": "一张 logits 表"}
GRADIENT = {"en": "The gradient of the loss", "zh": "损失的梯度"}
TRAINING = {"en": "Training", "zh": "训练"}


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def ids(rng: np.random.Generator, v: int, *shape: int) -> Tensor:
    return torch.from_numpy(rng.integers(0, v, shape))


# ------------------------------------------------------------------------------------------------ logits

LOGITS = Exercise(
    "bigram_logits", TABLE, lambda ids, weight: weight[ids],
    (
        Check("one-row", 1, {"en": "At each position come the logits of the token there: its row of the table.",
                             "zh": "每个位置取该处词元的 logits：表里它的那一行。"},
              lambda rng: [(ids(rng, 2, 1, 2), normal(rng, 2, 2)), (ids(rng, 5, 1, 4), normal(rng, 5, 5))]),
        Check("several-rows", 1, {"en": "Each of the B rows of ids has logits of its own.", "zh": "ids 的 B 行各有自己的 logits。"},
              lambda rng: [(torch.tensor([[0, 1], [1, 1]]), normal(rng, 2, 2)), (ids(rng, 6, 3, 4), normal(rng, 6, 6)), (ids(rng, 3, 2, 3), normal(rng, 7, 7))]),
    ),
    (
        Misconception("columns-for-rows",
                      {"en": "You read the token's column: how likely it is after each of the others. Its row says what follows it.",
                       "zh": "你读的是词元的那一列：它跟在别的词元后面的分数。它的那一行才说明它后面是什么。"},
                      lambda ids, weight: weight.T[ids], (lambda ids, weight: weight[:, ids],)),
        Misconception("probabilities-for-logits",
                      {"en": "You have applied softmax already. Logits are the scores before it.",
                       "zh": "你已经做了 softmax。logits 是 softmax 之前的分数。"},
                      lambda ids, weight: weight[ids].softmax(-1)),
        Misconception("last-position-alone",
                      {"en": "Only the last position gets logits. While training every position predicts its next token.",
                       "zh": "只有最后一个位置有 logits。训练时每个位置都要预测自己的下一个词元。"},
                      lambda ids, weight: weight[ids[:, -1]]),
        Misconception("first-row-for-all",
                      {"en": "All rows of the batch get the logits of its first row.", "zh": "批次里所有行得到的都是第一行的 logits。"},
                      lambda ids, weight: weight[ids[:1]].expand(len(ids), -1, -1)),
    ),
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- gradient


def gradient_of(logits, targets, axis=-1, hit=1.0):
    """The derivatives of the summed cross-entropy, (N, V)."""
    one_hot = torch.nn.functional.one_hot(targets, logits.shape[1])
    return logits.softmax(axis) - hit * one_hot


def overflowing(logits, targets):
    powers = logits.exp()
    return (powers / powers.sum(-1, keepdim=True) - torch.nn.functional.one_hot(targets, logits.shape[1])) / len(
        targets
    )


def everywhere(logits, targets):
    gradient = logits.softmax(-1)
    gradient[:, targets] -= 1
    return gradient / len(targets)


def set_to_minus_one(logits, targets):
    gradient = logits.softmax(-1)
    gradient[torch.arange(len(targets)), targets] = -1
    return gradient / len(targets)


def scored(rng, n, v, size=1.0):
    return size * normal(rng, n, v), ids(rng, v, n)


SLOPES = Exercise(
    "logits_gradient", GRADIENT, lambda logits, targets: gradient_of(logits, targets) / len(targets),
    (
        Check("one-position", 2, {"en": "One position: softmax(logits), minus 1 at the target.",
                                  "zh": "一个位置：softmax(logits)，在目标处减 1。"},
              lambda rng: [scored(rng, 1, 2), scored(rng, 1, 4)]),
        Check("several-positions", 2, {"en": "The loss is a mean over N positions: each derivative is divided by N.",
                                       "zh": "损失是 N 个位置的平均：每个导数都要除以 N。"},
              lambda rng: [(normal(rng, 2, 3), torch.tensor([0, 2])), scored(rng, 3, 5), scored(rng, 6, 4)]),
        Check("large-logits", 1, {"en": "Logits of several hundred must give finite numbers.", "zh": "几百大的 logits 也要得到有限的数。"},
              lambda rng: [scored(rng, 2, 3, 400.0), (torch.tensor([[900.0, 0.0, 899.0]]), torch.tensor([1])),
                           (normal(rng, 3, 4) + torch.tensor([[0.0], [900.0], [-900.0]]), ids(rng, 4, 3))]),
    ),
    (
        Misconception("wrong-sign",
                      {"en": "The sign is the wrong way round: a larger logit of the target makes the loss smaller, so its derivative "
                             "is negative.",
                       "zh": "符号反了：目标的 logit 越大损失越小，所以它的导数是负的。"},
                      lambda logits, targets: -gradient_of(logits, targets) / len(targets)),
        Misconception("target-forgotten",
                      {"en": "Nothing is subtracted at the target: this gradient pushes every token down, the right one too.",
                       "zh": "目标处没有减 1：这样的梯度会把所有词元都往下压，包括正确的那个。"},
                      lambda logits, targets: gradient_of(logits, targets, hit=0.0) / len(targets)),
        Misconception("minus-one-at-the-target",
                      {"en": "You set the target's derivative to -1. It is p - 1: subtract 1 from the probability that is there.",
                       "zh": "你把目标处的导数设成了 -1。它是 p - 1：要从那里的概率中减去 1。"}, set_to_minus_one),
        Misconception("softmax-over-positions",
                      {"en": "Softmax runs over the positions. It belongs over the V tokens of one position, the last axis.",
                       "zh": "softmax 沿位置做了。应该在一个位置的 V 个词元上做，也就是最后一个轴。"},
                      lambda logits, targets: gradient_of(logits, targets, axis=0) / len(targets)),
        Misconception("sum-for-mean",
                      {"en": "This is the gradient of the sum. The loss is a mean: divide by N.",
                       "zh": "这是总和的梯度。损失是平均值：要除以 N。"}, gradient_of),
        Misconception("divided-by-v",
                      {"en": "You divide by the number of tokens V; the mean is over the N positions.",
                       "zh": "你除以了词元数 V；平均是对 N 个位置取的。"},
                      lambda logits, targets: gradient_of(logits, targets) / logits.shape[1]),
        Misconception("all-targets-everywhere",
                      {"en": "You subtract 1 in the columns of all targets at every position. Each position has one target: index "
                             "rows and columns in pairs.",
                       "zh": "你在每个位置上都对所有目标的列减了 1。每个位置只有一个目标：行和列要成对索引。"}, everywhere),
        Misconception("overflow",
                      {"en": "exp of a large logit is infinite. Subtract each position's largest logit first; softmax stays the same.",
                       "zh": "很大的 logit 的 exp 是无穷大。先减去每个位置最大的 logit，softmax 不变。"}, overflowing),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- a step


def moved(weight, ids, targets, lr, mean=True, turned=False, hit=1.0, last=False):
    gradient = gradient_of(weight[ids], targets, hit=hit) / (len(ids) if mean else 1)  # (N, V)
    table = torch.zeros_like(weight)
    for token, row in zip(ids.tolist(), gradient, strict=True):
        table[token] = row if last else table[token] + row
    return weight - lr * (table.T if turned else table)


def pairs(rng, v, tokens, size=1.0):
    return size * normal(rng, v, v), torch.tensor(tokens), ids(rng, v, len(tokens)), float(rng.uniform(0.5, 2.0))


STEP = Exercise(
    "train_step", TRAINING, lambda weight, ids, targets, lr: moved(weight, ids, targets, lr),
    (
        Check("each-token-once", 2, {"en": "The row of each token moves by -lr times the gradient at its place.",
                                     "zh": "每个词元的那一行移动 -lr 乘它那个位置的梯度。"},
              lambda rng: [pairs(rng, 2, [1, 0]), pairs(rng, 4, [2, 0, 3]), pairs(rng, 5, [1, 4])]),
        Check("repeated-tokens", 2, {"en": "A token that occurs several times gets all its gradients, added up.",
                                     "zh": "出现几次的词元，要把各处的梯度加起来。"},
              lambda rng: [pairs(rng, 2, [0, 0]), pairs(rng, 3, [1, 2, 1, 1]), pairs(rng, 4, [3, 3, 0, 3, 0]), pairs(rng, 3, [2, 0, 2, 1], 2000.0)]),
    ),
    (
        Misconception("uphill",
                      {"en": "You step along the gradient, which points to where the loss grows. Subtract it.",
                       "zh": "你顺着梯度走；梯度指向损失变大的方向。应该减去它。"},
                      lambda weight, ids, targets, lr: moved(weight, ids, targets, -lr)),
        Misconception("sum-for-mean",
                      {"en": "The gradients are added and not averaged: divide by N, or twice the text means twice the step.",
                       "zh": "梯度只加没有平均：要除以 N，否则文本多一倍，步子就大一倍。"},
                      lambda weight, ids, targets, lr: moved(weight, ids, targets, lr, mean=False)),
        Misconception("columns-for-rows",
                      {"en": "You move the columns. Row i holds what follows token i.",
                       "zh": "你移动的是列。第 i 行才是词元 i 后面的分数。"},
                      lambda weight, ids, targets, lr: moved(weight, ids, targets, lr, turned=True)),
        Misconception("target-forgotten",
                      {"en": "Nothing is subtracted at the target: every token is pushed down, the right one too.",
                       "zh": "目标处没有减 1：所有词元都被往下压，包括正确的那个。"},
                      lambda weight, ids, targets, lr: moved(weight, ids, targets, lr, hit=0.0)),
        Misconception("last-place-counts",
                      {"en": "A token that occurs twice is moved once: `table[ids] = …` keeps only the last of its places. Add up, for "
                             "example with `index_add_`.",
                       "zh": "出现两次的词元只移动了一次：`table[ids] = …` 只留下最后一处。要累加，例如用 `index_add_`。"},
                      lambda weight, ids, targets, lr: moved(weight, ids, targets, lr, last=True)),
    ),
)  # fmt: skip

LESSON = Lesson("2b", "02b_bigram_network", {"en": "A bigram network", "zh": "二元网络"}, (LOGITS, SLOPES, STEP))
