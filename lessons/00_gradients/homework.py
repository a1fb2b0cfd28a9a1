"""Homework of lesson 0: gradients. Write the three functions with Python, numpy or torch, without autograd.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 0`. Lesson: notebooks/en/00_gradients.ipynb.

第 0 课作业：梯度。用 Python、numpy 或 torch 写出下面三个函数，不用自动求导。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 0`。课文：notebooks/zh/00_gradients.ipynb。
"""

import math

import numpy as np
import torch
from torch import Tensor


def line_loss(a: float, b: float, x: Tensor, y: Tensor) -> float:
    """How badly the line a·x + b fits the points: the mean of the squared errors (a·x + b - y)².

    x, y: (N,) floats, N at least 1. Returns one number.

    直线 a·x + b 拟合这些点有多差：误差平方 (a·x + b - y)² 的平均值。

    x、y：(N,) 浮点数，N 至少为 1。返回一个数。
    """
    raise NotImplementedError


def neuron_gradient(x: Tensor, w: Tensor, b: float, target: float) -> tuple[Tensor, float]:
    """The gradient of one neuron's loss, by the chain rule.

    x, w: (N,) floats. The neuron computes z = w · x + b (the sum of all w[i] x[i], plus b) and y = tanh(z); its
    loss is (y - target)². Returns the derivatives of the loss with respect to each weight, (N,), and to b, one number.
    The derivative of tanh(z) is 1 - tanh(z)².

    用链式法则求一个神经元的损失的梯度。

    x、w：(N,) 浮点数。神经元计算 z = w · x + b（所有 w[i] x[i] 之和，再加 b）和 y = tanh(z)；损失是 (y - target)²。
    返回损失对每个权重的导数 (N,)，以及对 b 的导数（一个数）。tanh(z) 的导数是 1 - tanh(z)²。
    """
    raise NotImplementedError


def fit_line(x: Tensor, y: Tensor, lr: float, steps: int) -> tuple[float, float]:
    """Gradient descent on line_loss, from a = 0 and b = 0.

    x, y: (N,) floats. In each of the `steps` steps (perhaps 0) lr times the derivative of line_loss with respect to a is
    subtracted from a, and likewise for b. Both derivatives are those before the step. Returns (a, b).

    在 line_loss 上做梯度下降，从 a = 0、b = 0 开始。

    x、y：(N,) 浮点数。一共 `steps` 步（可能是 0）；每一步里，a 减去 lr 乘 line_loss 对 a 的导数，b 也一样。
    两个导数都取这一步之前的值。返回 (a, b)。
    """
    raise NotImplementedError
