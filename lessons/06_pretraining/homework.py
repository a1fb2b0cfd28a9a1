"""Homework of lesson 6: pretraining. Write the six functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 6`. Lesson: notebooks/en/06_pretraining.ipynb.

第 6 课作业：预训练。用 numpy 或 torch 写出下面六个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 6`。课文：notebooks/zh/06_pretraining.ipynb。
"""

import numpy as np
import torch
from torch import Tensor


def similarity(a: str, b: str, n: int) -> float:
    """How alike two texts are: the Jaccard similarity of their sets of character n-grams, from 0 to 1.

    First lower the letters of each text and fold its white space: every run of spaces, tabs and line ends
    becomes one space, and none stays at either end. An n-gram is n neighbouring characters; they overlap
    ("abcd" has the 2-grams ab, bc, cd). A text shorter than n has one n-gram: the whole text (even if it
    is empty). The similarity is the number of n-grams in both sets over the number in either.

    两段文本有多像：字符 n 元组集合的 Jaccard 相似度，0 到 1。

    先把两段文本的字母变成小写，再归并空白：每一串空格、制表符和换行变成一个空格，两端不留空白。n 元组是 n 个相邻的字
    符，可以互相重叠（“abcd”的 2 元组是 ab、bc、cd）。不足 n 个字符的文本只有一个 n 元组：整段文本（哪怕是空的）。相似
    度是两个集合都有的 n 元组个数，除以至少属于一个集合的 n 元组个数。
    """
    raise NotImplementedError


def near_duplicates(documents: list[str], threshold: float) -> list[int]:
    """Which documents stay: their indices, ascending.

    Go through the documents in order. One stays unless its similarity (n = 5) to a document that has
    stayed before it is `threshold` or more. No documents: an empty list. Comparing each with all that
    stayed is fast enough here (minillm.material.cleaning.deduplicate finds the few that are worth comparing).

    哪些文档留下：它们的下标，从小到大。

    按顺序逐个看文档。文档一律留下，除非它与前面已经留下的某个文档的相似度（n = 5）达到或超过 `threshold`。没有文档时
    返回空列表。这里与所有留下的文档逐一比较就够快了（minillm.material.cleaning.deduplicate 会先找出少数值得比较的）。
    """
    raise NotImplementedError


def text_batch(tokens: np.ndarray, starts: list[int], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of text to learn from, and what each position should predict.

    tokens: (N,) the ids of one long text. starts: B places in it (they may overlap); start + width is at
    most N - 1. Returns inputs (B, width), row b beginning at starts[b], and targets (B, width): for each
    input the token that follows it in the text.

    供学习的几行文本，以及每个位置应该预测什么。

    tokens：(N,)，一段长文本的 id。starts：其中的 B 个位置（各行可以重叠）；start + width 不超过 N - 1。返回 inputs
    (B, width)，第 b 行从 starts[b] 开始；以及 targets (B, width)：每个输入在文本里的下一个词元。
    """
    raise NotImplementedError


def learning_rate_scale(step: int, steps: int, warmup: int, final: float) -> float:
    """Factor on the learning rate at step 0, 1, …, steps - 1.

    In the first `warmup` steps it rises in a line: 1 / warmup at step 0, 1 at step warmup - 1. It is still 1
    at step `warmup` and falls from there in a line to `final` at step steps - 1.
    warmup is at least 1, steps at least warmup + 2, final from 0 to 1.

    第 0、1、…、steps - 1 步时学习率要乘的系数。

    前 `warmup` 步里它沿直线上升：第 0 步是 1 / warmup，第 warmup - 1 步是 1。第 `warmup` 步仍是 1，从那里沿直线下降，
    到第 steps - 1 步是 `final`。warmup 至少为 1，steps 至少为 warmup + 2，final 在 0 到 1 之间。
    """
    raise NotImplementedError


def clip_gradients(gradients: list[Tensor], most: float) -> tuple[list[Tensor], float]:
    """Shorten the gradient to the length `most` if it is longer; leave it as it is otherwise.

    gradients: one tensor a parameter, of any shapes. All of them together are one long vector; its length is the
    root of the sum of all squares. Returns the gradients, all multiplied by the same factor, and the length
    before. A gradient of zeros stays as it is, with length 0. The given tensors may be overwritten.

    如果梯度比 `most` 长，就缩短到这个长度；否则保持原样。

    gradients：每个参数一个张量，形状任意。所有张量合起来是一个长向量；它的长度是所有数的平方和的平方根。返回这些梯
    度（全部乘以同一个系数）和缩短之前的长度。全是零的梯度保持原样，长度是 0。给定的张量可以被改写。
    """
    raise NotImplementedError


def adamw_step(
    parameter: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """One update of AdamW (Loshchilov and Hutter 2017, algorithm 2). All tensors have the same shape.

    mean, square: the running averages m of the gradient and v of its square, before this update; both began
    at 0. step: 1 at the first update, 2 at the second, … Returns the new parameter, m and v (as they go on:
    without the correction). With m̂ and v̂ corrected for having begun at 0, the parameter moves
    by - lr · m̂ / (√v̂ + eps), and besides it loses lr · weight_decay times its old value. parameter, mean and
    square may be overwritten.

    一次 AdamW 更新（Loshchilov 和 Hutter 2017，算法 2）。所有张量形状相同。

    mean、square：这次更新之前，梯度的滑动平均 m 和梯度平方的滑动平均 v；两者都从 0 开始。step：第一次更新时是 1，第二
    次是 2，依此类推。返回新的参数、m 和 v（m 和 v 要接着用下去，所以是未经修正的）。m̂ 和 v̂ 是修正了“从 0 开始”之后
    的 m 和 v；参数的移动是 - lr · m̂ / (√v̂ + eps)，此外再减去 lr · weight_decay 乘以它的旧值。parameter、mean 和
    square 可以被改写。
    """
    raise NotImplementedError
