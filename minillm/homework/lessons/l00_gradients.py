"""Exercises of lesson 0: the loss of a line, the gradient of a neuron, gradient descent."""

import numpy as np
import torch
from torch import Tensor

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

NEURON = {"en": "One neuron", "zh": "一个神经元"}
LOSS = {"en": "A line and its loss", "zh": "一条直线和它的损失"}
DESCENT = {"en": "Gradient descent", "zh": "梯度下降"}


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def number(rng: np.random.Generator) -> float:
    """A number that is not near 0, 1 or 2: there many mistakes look right."""
    return float(rng.choice([-1, 1]) * rng.uniform(0.3, 0.8))


# --------------------------------------------------------------------------------------------- line loss


def errors(a, b, x, y):
    return a * x + b - y  # (N,)


def points(rng, n):
    return number(rng), number(rng), normal(rng, n), normal(rng, n)


LINE = Exercise(
    "line_loss", LOSS, lambda a, b, x, y: (errors(a, b, x, y) ** 2).mean().item(),
    (
        Check("one-point", 1, {"en": "With one point the loss is the square of its error a·x + b - y.",
                               "zh": "只有一个点时，损失就是误差 a·x + b - y 的平方。"},
              lambda rng: [points(rng, 1), points(rng, 1), points(rng, 1)]),
        Check("several-points", 2, {"en": "With several points the loss is the mean of the squares.",
                                    "zh": "有几个点时，损失是各个平方的平均值。"},
              lambda rng: [points(rng, 2), points(rng, 3), points(rng, 7)]),
    ),
    (
        Misconception("sum-for-mean",
                      {"en": "You add the squares up; the loss is their mean. A sum would grow with the number of points.",
                       "zh": "你把平方加了起来；损失是平均值。总和会随点数变大。"},
                      lambda a, b, x, y: (errors(a, b, x, y) ** 2).sum()),
        Misconception("errors-cancel",
                      {"en": "The errors are not squared: one above and one below the line cancel out.",
                       "zh": "误差没有平方：一个在线上方、一个在线下方，会互相抵消。"},
                      lambda a, b, x, y: errors(a, b, x, y).mean()),
        Misconception("absolute-for-squared",
                      {"en": "You take the size of each error; the loss takes its square.",
                       "zh": "你取的是误差的绝对值；损失取的是平方。"},
                      lambda a, b, x, y: errors(a, b, x, y).abs().mean()),
        Misconception("half-of-the-mean",
                      {"en": "You take half of the mean, as some books do so that the 2 of the derivative cancels out. Here the loss is the "
                             "mean itself.",
                       "zh": "你多乘了 1/2（有的书这样写，好和求导的 2 抵消）。这里的损失就是平均值本身。"},
                      lambda a, b, x, y: (errors(a, b, x, y) ** 2).mean() / 2),
        Misconception("root-of-the-mean",
                      {"en": "You take the root of the mean at the end; the loss is the mean itself.",
                       "zh": "最后你多开了一次方；损失就是平均值本身。"},
                      lambda a, b, x, y: (errors(a, b, x, y) ** 2).mean() ** 0.5),
        Misconception("square-of-the-mean",
                      {"en": "You square the mean error: errors above and below the line have cancelled out by then. Square each "
                             "error first.",
                       "zh": "你先平均再平方：那时上方和下方的误差已经抵消了。要先把每个误差平方。"},
                      lambda a, b, x, y: errors(a, b, x, y).mean() ** 2),
    ),
)  # fmt: skip


# ----------------------------------------------------------------------------------------------- a neuron


def slope_of_loss(x, w, b, target, factor=2.0, inside=True):
    """dloss/dz, with z = w · x + b."""
    y = torch.tanh((w * x).sum() + b)
    return factor * (y - target) * ((1 - y**2) if inside else 1.0)


def neuron_gradient(x, w, b, target):
    slope = slope_of_loss(x, w, b, target)
    return slope * x, slope.item()


def without_bias(x, w, b, target):
    slope = slope_of_loss(x, w, 0.0, target)
    return slope * x, slope


def with_z_in_the_slope(x, w, b, target):
    z = (w * x).sum() + b
    slope = 2 * (torch.tanh(z) - target) * (1 - z**2)
    return slope * x, slope


def changed(**other):
    def wrong(x, w, b, target):
        slope = slope_of_loss(x, w, b, target, **other)
        return slope * x, slope

    return wrong


def neuron(rng, n):
    return normal(rng, n), normal(rng, n) / n**0.5, number(rng), number(rng)


def silent_inputs(rng, n):
    """A neuron some of whose inputs are 0, the first of them too."""
    x, w, b, target = neuron(rng, n)
    x[0] = x[n // 2] = 0.0
    return x, w, b, target


def saturated(rng, sign):
    """A neuron so far from 0 that exp(2 z) overflows in float32."""
    return torch.tensor([10.0, sign]), torch.tensor([sign * 9.0, 1.0]), number(rng), number(rng)


GRADIENT = Exercise(
    "neuron_gradient", NEURON, neuron_gradient,
    (
        Check("one-input", 2, {"en": "One input: the derivative of the loss with respect to w is 2 (y - target) · (1 - y²) · x, by the chain rule.",
                               "zh": "一个输入：按链式法则，损失对 w 的导数是 2 (y - target) · (1 - y²) · x。"},
              lambda rng: [neuron(rng, 1), neuron(rng, 1), neuron(rng, 1)]),
        Check("several-inputs", 2, {"en": "Each weight has a derivative of its own: the same dloss/dz, times its own input.",
                                    "zh": "每个权重有自己的导数：同一个对 z 的导数，乘上它自己的输入。"},
              lambda rng: [neuron(rng, 2), neuron(rng, 3), neuron(rng, 8), silent_inputs(rng, 5), saturated(rng, 1.0), saturated(rng, -1.0)]),
    ),
    (
        Misconception("tanh-forgotten",
                      {"en": "The chain has a link more: between the loss and z lies tanh, whose derivative is 1 - y².",
                       "zh": "链条少了一环：损失和 z 之间还有 tanh，它的导数是 1 - y²。"}, changed(inside=False)),
        Misconception("two-forgotten",
                      {"en": "The derivative of a square u² is 2u: the factor 2 is missing.",
                       "zh": "平方 u² 的导数是 2u：少了系数 2。"}, changed(factor=1.0)),
        Misconception("wrong-sign",
                      {"en": "The sign is the wrong way round: when the output is above the target, a larger output makes the loss "
                             "larger.",
                       "zh": "符号反了：输出高于目标时，输出再大，损失就更大。"}, changed(factor=-2.0)),
        Misconception("z-for-y",
                      {"en": "The derivative of tanh(z) is 1 - tanh(z)², that is 1 - y²; you have 1 - z².",
                       "zh": "tanh(z) 的导数是 1 - tanh(z)²，也就是 1 - y²；你写成了 1 - z²。"}, with_z_in_the_slope),
        Misconception("bias-forgotten",
                      {"en": "z has b in it: you compute z without adding the bias.",
                       "zh": "z 里有 b：你算 z 时没有加上偏置。"}, without_bias),
        Misconception("weight-for-input",
                      {"en": "You multiply by the weight. How much z changes with w[i] is told by the input x[i].",
                       "zh": "你乘的是权重。w[i] 变化时 z 变多少，要看输入 x[i]。"},
                      lambda x, w, b, t: (slope_of_loss(x, w, b, t) * w, slope_of_loss(x, w, b, t))),
        Misconception("b-times-b",
                      {"en": "z changes by exactly as much as b does: dloss/db is dloss/dz, not times b.",
                       "zh": "b 变多少，z 就变多少：对 b 的导数就是对 z 的导数，不用再乘 b。"},
                      lambda x, w, b, t: (slope_of_loss(x, w, b, t) * x, slope_of_loss(x, w, b, t) * b)),
        Misconception("inputs-added",
                      {"en": "All weights get the same derivative. Each has its own input as factor.",
                       "zh": "所有权重得到了同一个导数。每个权重要乘自己的输入。"},
                      lambda x, w, b, t: (slope_of_loss(x, w, b, t) * x.sum() * torch.ones_like(x), slope_of_loss(x, w, b, t))),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------ gradient descent


def fit_line(x, y, lr, steps, factor=2.0, move_b=True, in_turn=False, from_start=False, apart=False, no_x=False):
    a = b = 0.0
    for _ in range(steps):
        error = -y if from_start else errors(a, b, x, y)  # (N,)
        da, db = factor * (error * x).mean().item(), factor * error.mean().item()
        da = factor * (error.mean() * x.mean()).item() if apart else db if no_x else da
        a = a - lr * da
        if in_turn:
            db = factor * errors(a, b, x, y).mean().item()
        b = b - lr * db if move_b else b
    return a, b


def b_first(x, y, lr, steps):
    """One after the other, b before a."""
    a = b = 0.0
    for _ in range(steps):
        b = b - lr * 2 * errors(a, b, x, y).mean().item()
        a = a - lr * 2 * (errors(a, b, x, y) * x).mean().item()
    return a, b


def descent(rng, steps, n=None):
    n = n or int(rng.integers(2, 8))
    return normal(rng, n).clamp(-1.5, 1.5) + 0.4, normal(rng, n) + 0.7, float(rng.uniform(0.05, 0.15)), steps


def diverging(rng, steps):
    """Too long steps: the loss rises, and the derivatives are far above 10."""
    return 3 + 3 * normal(rng, 4).abs(), 5 * normal(rng, 4), float(rng.uniform(0.3, 0.5)), steps


def nearly_flat(rng, steps):
    """Derivatives below a thousandth from the start."""
    return 0.1 * normal(rng, 5), torch.full((5,), 0.0004), 0.5, steps


FIT = Exercise(
    "fit_line", DESCENT, lambda x, y, lr, steps: fit_line(x, y, lr, steps),
    (
        Check("no-step", 1, {"en": "Without a step a and b are still 0.", "zh": "一步都不走时，a 和 b 仍然是 0。"},
              lambda rng: [descent(rng, 0, n=2)], edge=True),
        Check("one-step", 2, {"en": "One step: a and b move by -lr times their derivatives, mean of 2 (a·x + b - y) x and mean of "
                                    "2 (a·x + b - y).",
                              "zh": "一步：a 和 b 各移动 -lr 乘自己的导数，即 2 (a·x + b - y) x 的平均和 2 (a·x + b - y) 的平均。"},
              lambda rng: [descent(rng, 1, n=2), descent(rng, 1), descent(rng, 1)]),
        Check("several-steps", 2, {"en": "Each step computes the derivatives anew, where a and b are now.",
                                   "zh": "每一步都要在当前的 a 和 b 处重新求导数。"},
              lambda rng: [descent(rng, 2), descent(rng, 3), descent(rng, 20), diverging(rng, 4), nearly_flat(rng, 3)]),
    ),
    (
        Misconception("uphill",
                      {"en": "You step along the gradient, which points to where the loss grows. Subtract it.",
                       "zh": "你顺着梯度走；梯度指向损失变大的方向。应该减去它。"},
                      lambda x, y, lr, steps: fit_line(x, y, -lr, steps)),
        Misconception("b-stays",
                      {"en": "b is never moved: the line can only turn around the origin.",
                       "zh": "b 从来没有动：直线只能绕原点转。"},
                      lambda x, y, lr, steps: fit_line(x, y, lr, steps, move_b=False)),
        Misconception("two-forgotten",
                      {"en": "The derivative of a square u² is 2u: the factor 2 is missing, your steps are half as long.",
                       "zh": "平方 u² 的导数是 2u：少了系数 2，你的步子只有一半长。"},
                      lambda x, y, lr, steps: fit_line(x, y, lr, steps, factor=1.0)),
        Misconception("sum-for-mean",
                      {"en": "You take sums. The loss is a mean, so its derivatives are means: divide by the number of points.",
                       "zh": "你用的是总和。损失是平均值，导数也是平均值：要除以点数。"},
                      lambda x, y, lr, steps: fit_line(x, y, lr, steps, factor=2.0 * len(x))),
        Misconception("mean-of-each-factor",
                      {"en": "You multiply the mean of the errors by the mean of x. Multiply each error by its own x first, then take "
                             "the mean.",
                       "zh": "你把误差的平均值和 x 的平均值相乘。应该先把每个误差乘上它自己的 x，再取平均。"},
                      lambda x, y, lr, steps: fit_line(x, y, lr, steps, apart=True)),
        Misconception("x-forgotten",
                      {"en": "a is multiplied by x, so the derivative with respect to a has the factor x; b has none.",
                       "zh": "a 是和 x 相乘的，所以对 a 的导数里有系数 x；对 b 的没有。"},
                      lambda x, y, lr, steps: fit_line(x, y, lr, steps, no_x=True)),
        Misconception("one-step-too-few",
                      {"en": "You take one step too few: range(1, steps) has steps - 1 numbers.",
                       "zh": "你少走了一步：range(1, steps) 只有 steps - 1 个数。"},
                      lambda x, y, lr, steps: fit_line(x, y, lr, max(0, steps - 1))),
        Misconception("one-after-the-other",
                      {"en": "You move one of a and b first and take the other's derivative at the new place. The gradient is one arrow: "
                             "both derivatives belong to the same place.",
                       "zh": "你先移动 a、b 中的一个，再在新的位置求另一个的导数。梯度是一个整体：两个导数要在同一处求。"},
                      lambda x, y, lr, steps: fit_line(x, y, lr, steps, in_turn=True), (b_first,)),
        Misconception("one-step-too-many",
                      {"en": "You take one step too many.", "zh": "你多走了一步。"},
                      lambda x, y, lr, steps: fit_line(x, y, lr, steps + 1)),
        Misconception("gradient-of-the-start",
                      {"en": "Each step uses the derivatives at a = 0, b = 0. They change as the line moves: compute them anew.",
                       "zh": "每一步用的都是 a = 0、b = 0 处的导数。直线一动导数就变：每步都要重新求。"},
                      lambda x, y, lr, steps: fit_line(x, y, lr, steps, from_start=True)),
    ),
)  # fmt: skip

LESSON = Lesson(0, "00_gradients", {"en": "From Python to a gradient", "zh": "从 Python 到梯度"}, (LINE, GRADIENT, FIT))
