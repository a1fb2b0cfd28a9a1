"""Homework of lesson 2b: a bigram network. Write the three functions with numpy or torch, without autograd.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 2b`. Lesson: notebooks/en/02b_bigram_network.ipynb.

第 2b 课作业：二元网络。用 numpy 或 torch 写出下面三个函数，不用自动求导。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 2b`。课文：notebooks/zh/02b_bigram_network.ipynb。
"""

import numpy as np
import torch
from torch import Tensor


def bigram_logits(ids: Tensor, weight: Tensor) -> Tensor:
    """The scores of the next token at every position, read from the table of the network.

    ids: (B, T) whole numbers from 0 to V - 1; weight: (V, V), row i holds the logits of what follows token i.
    Returns (B, T, V).

    从网络的表里读出每个位置上下一个词元的分数。

    ids：(B, T)，0 到 V - 1 的整数；weight：(V, V)，第 i 行是词元 i 之后各个词元的 logits。返回 (B, T, V)。
    """
    raise NotImplementedError


def logits_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """The derivative of the mean cross-entropy with respect to each logit.

    logits: (N, V) floats of any size; targets: (N,), the tokens that came. The loss is the mean over the N positions of
    -log softmax(logits)[target]. At one position its derivative is softmax(logits), minus 1 at the target; the mean
    divides by N. Returns (N, V).

    平均交叉熵对每个 logit 的导数。

    logits：(N, V) 任意大小的浮点数；targets：(N,)，真正出现的词元。损失是 N 个位置上 -log softmax(logits)[target] 的平均值。
    一个位置上的导数是 softmax(logits)，并在目标处减 1；取平均还要除以 N。返回 (N, V)。
    """
    raise NotImplementedError


def train_step(weight: Tensor, ids: Tensor, targets: Tensor, lr: float) -> Tensor:
    """One step of gradient descent on the table of the bigram network.

    weight: (V, V), as in bigram_logits; ids, targets: (N,), a token and the one that followed it. The loss is the mean
    cross-entropy over the N pairs. A token may occur several times in ids: its row gets the gradients of all
    its places, added up. Returns the new table (V, V): weight - lr · gradient.

    对二元网络的表做一步梯度下降。

    weight：(V, V)，同 bigram_logits；ids、targets：(N,)，一个词元和它后面的词元。损失是 N 对的平均交叉熵。一个词元可能在
    ids 里出现几次：它那一行要把所有位置的梯度加起来。返回新的表 (V, V)：weight - lr · 梯度。
    """
    raise NotImplementedError
