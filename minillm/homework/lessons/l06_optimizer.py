"""Exercises of lesson 6, second part: schedule, clipping, AdamW."""

import math

import numpy as np
import torch
from torch import Tensor

from minillm import optim
from minillm.homework.exercise import Check, Exercise, Misconception

SCHEDULE = {"en": "The learning-rate schedule", "zh": "学习率日程"}
STEP = {"en": "One training step by hand", "zh": "手算一步训练"}


# ------------------------------------------------------------------------------------- learning-rate schedule


def scale(step, steps, warmup, final, left=None):
    """The schedule with another fall."""
    if step < warmup:
        return (step + 1) / warmup
    if left is None:
        left = (steps - 1 - step) / (steps - 1 - warmup)
    return final + (1 - final) * left


def some_steps(rng: np.random.Generator, final: bool):
    """Steps of the falling part: the first of it, some in the middle, the last."""
    yield 2, 5, 2, 0.25 if final else 0.0
    yield 3, 5, 2, 0.25 if final else 0.0
    for _ in range(2):
        warmup = int(rng.integers(2, 12))
        steps = warmup + int(rng.integers(6, 60))
        end = float(rng.uniform(0.05, 0.6)) if final else 0.0
        middle = int(rng.integers(warmup + 1, steps - 1))
        yield from ((s, steps, warmup, end) for s in (warmup, middle, steps - 2, steps - 1))


RATE = Exercise(
    "learning_rate_scale", SCHEDULE, optim.learning_rate_scale,
    (
        Check("warm-up", 1, {"en": "In the warm-up: 1 / warmup, 2 / warmup, … and 1 at step warmup - 1.",
                             "zh": "预热阶段：1 / warmup，2 / warmup……到第 warmup - 1 步为 1。"},
              lambda rng: [(0, 6, 2, 0.0), (1, 6, 2, 0.0), (0, 20, 1, 0.1),
                           *((s, 40, 7, 0.0) for s in (0, int(rng.integers(1, 6)), 6))]),
        Check("fall", 2, {"en": "From 1 at step warmup the factor falls in a line to 0 at step steps - 1.",
                          "zh": "从第 warmup 步的 1 沿直线下降，到第 steps - 1 步为 0。"},
              lambda rng: some_steps(rng, False)),
        Check("final-share", 1, {"en": "With `final` the line ends there instead of at 0, and still begins at 1.",
                                 "zh": "有 `final` 时，直线的终点是它而不是 0，起点仍然是 1。"},
              lambda rng: some_steps(rng, True)),
    ),
    (
        Misconception("fall-counted-from-step-0",
                      {"en": "Your fall is counted from step 0, so the rate jumps down where the warm-up ends. It should begin at 1 "
                             "at step warmup: divide by steps - 1 - warmup.",
                       "zh": "你的下降从第 0 步算起，所以预热一结束学习率就突然掉下去。它应该在第 warmup 步从 1 开始：除以 "
                             "steps - 1 - warmup。"},
                      lambda s, n, w, f: scale(s, n, w, f, (n - 1 - s) / (n - 1))),
        Misconception("first-step-is-zero",
                      {"en": "Your warm-up begins at 0, so the first step changes nothing. Steps count from 0: use "
                             "(step + 1) / warmup.",
                       "zh": "你的预热从 0 开始，第一步什么也不改变。步数从 0 数起：用 (step + 1) / warmup。"},
                      lambda s, n, w, f: s / w if s < w else scale(s, n, w, f)),
        Misconception("no-warm-up",
                      {"en": "There is no warm-up: the rate is full at once, when AdamW's averages still rest on a handful of "
                             "gradients. It should rise in the first `warmup` steps.",
                       "zh": "没有预热：一开始学习率就是满的，而这时 AdamW 的平均值只来自寥寥几个梯度。前 `warmup` 步应该逐渐升高。"},
                      lambda s, n, w, f: 1.0 if s < w else scale(s, n, w, f)),
        Misconception("warm-up-to-final",
                      {"en": "You multiply the warm-up by the fall, so it never reaches 1. The two are parts, one after the other.",
                       "zh": "你把预热和下降乘在了一起，所以永远到不了 1。它们是先后两段。"},
                      lambda s, n, w, f: min(1.0, (s + 1) / w) * (f + (1 - f) * (n - 1 - s) / (n - 1))),
        Misconception("end-one-step-late",
                      {"en": "The last step is steps - 1, not steps: your line has not arrived when training ends. Divide "
                             "what is left, steps - 1 - step, by steps - 1 - warmup.",
                       "zh": "最后一步是 steps - 1，不是 steps：训练结束时你的直线还没到终点。用剩下的 steps - 1 - step 除以 "
                             "steps - 1 - warmup。"},
                      lambda s, n, w, f: scale(s, n, w, f, (n - s) / (n - w))),
        Misconception("cosine-instead-of-line",
                      {"en": "You let the rate fall along a cosine, as GPT-3 did; here it falls in a straight line.",
                       "zh": "你让学习率沿余弦下降（GPT-3 的做法）；这里是直线下降。"},
                      lambda s, n, w, f: scale(s, n, w, f, 0.5 + 0.5 * math.cos(math.pi * (s - w) / (n - 1 - w)))),
        Misconception("final-added",
                      {"en": "You add `final` to a line from 1 to 0, so the fall begins above 1. Only the share 1 - final falls: "
                             "final + (1 - final) · left.",
                       "zh": "你在从 1 到 0 的直线上加了 `final`，下降的起点就超过了 1。下降的只有 1 - final 这一部分："
                             "final + (1 - final) · left。"},
                      lambda s, n, w, f: (s + 1) / w if s < w else f + scale(s, n, w, 0.0)),
        Misconception("final-as-a-floor",
                      {"en": "You cut the line off at `final` (max). The line itself should end there, at the last step.",
                       "zh": "你用 max 把直线截在 `final`。应该是直线本身在最后一步到达它。"},
                      lambda s, n, w, f: max(f, scale(s, n, w, 0.0))),
        Misconception("final-ignored",
                      {"en": "`final` has no effect: the rate falls to 0.", "zh": "`final` 没有起作用：学习率降到了 0。"},
                      lambda s, n, w, f: scale(s, n, w, 0.0)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ clipping


def clip_gradients(gradients: list[Tensor], most: float) -> tuple[list[Tensor], float]:
    length = math.sqrt(sum(g.square().sum().item() for g in gradients))
    factor = most / length if length > most else 1.0
    return [g * factor for g in gradients], length


def clip_by(measure, always=False):
    """Clipping with another idea of the gradient's length."""

    def wrong(gradients, most):
        length = measure(gradients)
        factor = most / length if always or length > most else 1.0
        return [g * factor for g in gradients], length

    return wrong


def norm(gradients) -> float:
    return math.sqrt(sum(g.square().sum().item() for g in gradients))


def count(gradients) -> int:
    return sum(g.numel() for g in gradients)


def each_alone(gradients, most):
    return [clip_gradients([g], most)[0][0] for g in gradients], norm(gradients)


def gradients_of(rng: np.random.Generator, length: float, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Random gradients whose common length is `length`, each of them a good part of it."""
    parts = [rng.standard_normal(shape) for shape in shapes]
    parts = [p / np.sqrt((p**2).sum()) * rng.uniform(0.8, 1.2) for p in parts]
    whole = np.sqrt(sum((p**2).sum() for p in parts))
    return [torch.from_numpy(np.asarray(p * length / whole, dtype=np.float32)) for p in parts]


CLIP = Exercise(
    "clip_gradients", STEP, clip_gradients,
    (
        Check("long", 1, {"en": "A gradient longer than `most` keeps its direction and gets the length `most`.",
                          "zh": "比 `most` 长的梯度保持方向，长度变成 `most`。"},
              lambda rng: [([torch.tensor([3.0, 4.0])], 1.0), (gradients_of(rng, 20.0, (4, 3)), 2.0)]),
        Check("short", 1, {"en": "A gradient no longer than `most` stays as it is.", "zh": "不超过 `most` 的梯度保持原样。"},
              lambda rng: [([torch.tensor([0.3, 0.4])], 1.0), (gradients_of(rng, 0.7, (3, 2)), 2.0)]),
        Check("zero", 1, {"en": "A gradient of zeros has length 0 and stays: nothing may be divided by its length.",
                          "zh": "全零的梯度长度为 0，保持原样：不能除以它的长度。"},
              lambda rng: [([torch.zeros(2)], 1.0), ([torch.zeros(2, 3), torch.zeros(1)], 0.5)], edge=True),
        Check("several", 2, {"en": "All tensors together are one vector: one length, one factor.",
                             "zh": "所有张量合起来是一个向量：一个长度，一个系数。"},
              lambda rng: [([torch.tensor([3.0]), torch.tensor([[4.0]])], 1.0),
                           (gradients_of(rng, 6.0, (2, 3), (4,)), 5.0), (gradients_of(rng, 10.0, (3,), (2, 2), (1, 5)), 2.0),
                           (gradients_of(rng, 9.0, (), (3, 3), (2, 1, 2)), 4.0), (gradients_of(rng, 1.9, (3, 2), (4,)), 2.0)]),
    ),
    (
        Misconception("zero-divided",
                      {"en": "`most / length` divides by zero when no gradient flows. Compute the factor only where the length is "
                             "above `most`.",
                       "zh": "梯度全为零时 `most / length` 除以了零。只在长度超过 `most` 时才计算系数。"},
                      lambda g, most: (lambda factor: ([x * factor for x in g], norm(g)))(min(1.0, most / norm(g)))),
        Misconception("always-rescaled",
                      {"en": "Every gradient gets the length `most`, short ones too: near a minimum, where gradients are small, "
                             "the steps would never become small. Rescale only what is longer.",
                       "zh": "每个梯度都被缩放到 `most`，短的也是：接近最小值时梯度很小，你的步子却永远小不下来。只缩短更长的梯度。"},
                      clip_by(norm, always=True)),
        Misconception("each-tensor-alone",
                      {"en": "You clip each tensor by its own length, which changes the direction of the whole gradient. One "
                             "length and one factor belong to all.",
                       "zh": "你按每个张量自己的长度分别裁剪，整个梯度的方向就变了。所有张量共用一个长度、一个系数。"},
                      each_alone),
        Misconception("each-number-alone",
                      {"en": "You clamp each number to ±most, which turns the gradient into another direction. Multiply all by "
                             "one factor.",
                       "zh": "你把每个数分别截到 ±most，梯度的方向就变了。应该全部乘同一个系数。"},
                      lambda g, most: ([x.clamp(-most, most) for x in g], norm(g))),
        Misconception("root-forgotten",
                      {"en": "The length is the root of the sum of squares; you left out the root.",
                       "zh": "长度是平方和的平方根；你漏了开方。"},
                      clip_by(lambda g: sum(x.square().sum().item() for x in g))),
        Misconception("mean-instead-of-sum",
                      {"en": "You take the root of the mean of squares: a large model would be clipped far too late. The length "
                             "is the root of the sum.",
                       "zh": "你取的是平方的平均再开方：参数多的模型会裁剪得太晚。长度是平方和的平方根。"},
                      clip_by(lambda g: norm(g) / math.sqrt(count(g)))),
        Misconception("lengths-added",
                      {"en": "You add up the lengths of the tensors. Squares add up, lengths do not: 3 and 4 at right angles "
                             "make 5.",
                       "zh": "你把各个张量的长度直接相加。可以相加的是平方，不是长度：互相垂直的 3 和 4 合成 5。"},
                      clip_by(lambda g: sum(x.norm().item() for x in g))),
        Misconception("length-afterwards",
                      {"en": "You return the length after clipping. The one before is wanted: it is what tells you of a bad batch.",
                       "zh": "你返回的是裁剪之后的长度。要的是裁剪之前的：它才能告诉你这一批数据有问题。"},
                      lambda g, most: (clip_gradients(g, most)[0], min(norm(g), most))),
    ),
    may_change=("gradients",),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------- AdamW


def adamw_step(parameter, gradient, mean, square, step, lr, betas, eps, weight_decay):
    return adamw(parameter, gradient, mean, square, step, lr, betas, eps, weight_decay)


def adamw(p, g, m, v, t, lr, betas, eps, decay, *, power=None, correct=True, swap=False, flip=False, l2=False,
          decay_rate=None, inside=False, root=True, keep_corrected=False, sign=1.0):  # fmt: skip
    """AdamW with one thing done another way."""
    one, two = reversed(betas) if swap else betas
    if l2:
        g = g + decay * p
    m, v = (one * m + (1 - one) * g, two * v + (1 - two) * g * g) if not flip else (
        (1 - one) * m + one * g, (1 - two) * v + two * g * g)  # fmt: skip
    t = t if power is None else power(t)
    corrected = (m / (1 - one**t), v / (1 - two**t)) if correct else (m, v)
    below = (corrected[1] + eps).sqrt() if inside else (corrected[1].sqrt() if root else corrected[1]) + eps
    kept = 1.0 if l2 else 1 - (lr * decay if decay_rate is None else decay_rate(decay))
    return (kept * p - sign * lr * corrected[0] / below, *(corrected if keep_corrected else (m, v)))


def bounded(rng: np.random.Generator, *shape: int) -> Tensor:
    """Numbers that are neither small nor large, of either sign."""
    values = rng.uniform(0.4, 2.0, shape) * rng.choice([-1.0, 1.0], shape)
    return torch.from_numpy(values.astype(np.float32))


def adamw_input(rng, shape, step, eps=1e-8, decay=0.0):
    """Parameter, gradient, averages (zero at the first step) and settings."""
    first = step == 1
    mean = torch.zeros(shape) if first else 0.5 * bounded(rng, *shape)
    square = torch.zeros(shape) if first else bounded(rng, *shape).abs()
    lr, betas = float(rng.uniform(0.05, 0.3)), (float(rng.uniform(0.7, 0.9)), float(rng.uniform(0.94, 0.99)))
    return bounded(rng, *shape), bounded(rng, *shape), mean, square, step, lr, betas, eps, decay


ADAMW = Exercise(
    "adamw_step", STEP, adamw_step,
    (
        Check("first-step", 2, {"en": "At the first update m̂ = g and v̂ = g²: each parameter moves by lr against its gradient.",
                                "zh": "第一次更新时 m̂ = g，v̂ = g²：每个参数逆着梯度移动 lr。"},
              lambda rng: [(torch.tensor([1.0]), torch.tensor([2.0]), torch.zeros(1), torch.zeros(1), 1, 0.1, (0.9, 0.95),
                            1e-8, 0.0), adamw_input(rng, (2, 3), 1)]),
        Check("later-step", 1, {"en": "At update t the averages are divided by 1 - β₁ᵗ and 1 - β₂ᵗ.",
                                "zh": "第 t 次更新时，平均值要除以 1 - β₁ᵗ 和 1 - β₂ᵗ。"},
              lambda rng: [adamw_input(rng, (1,), 2), adamw_input(rng, (3, 2), int(rng.integers(3, 9))),
                           adamw_input(rng, (2, 2, 3), 400)]),
        Check("weight-decay", 2, {"en": "Besides the step, the parameter loses lr · weight_decay of itself; the averages do not "
                                        "know of it.",
                                  "zh": "除了这一步之外，参数还要减去它自己的 lr · weight_decay 倍；平均值与此无关。"},
              lambda rng: [adamw_input(rng, (1,), 1, decay=0.2),
                           adamw_input(rng, (2, 2), int(rng.integers(2, 6)), decay=float(rng.uniform(0.1, 0.5)))]),
        Check("eps", 1, {"en": "eps is added to the root of v̂, after the correction.",
                         "zh": "eps 加在 √v̂ 上，在修正之后。"},
              lambda rng: [adamw_input(rng, (1,), 1, eps=0.5), adamw_input(rng, (2, 3), int(rng.integers(2, 6)), eps=0.3)]),
    ),
    (
        Misconception("no-bias-correction",
                      {"en": "m and v are not corrected for having begun at 0: at first both are far too small, and not equally. "
                             "Divide by 1 - β₁ᵗ and 1 - β₂ᵗ.",
                       "zh": "m 和 v 没有修正“从 0 开始”的偏差：开始时两者都太小，而且小的程度不同。要除以 1 - β₁ᵗ 和 1 - β₂ᵗ。"},
                      lambda *a: adamw(*a, correct=False)),
        Misconception("correction-without-power",
                      {"en": "You divide by 1 - β at every step; it should be 1 - βᵗ, which goes to 1 as the averages fill up.",
                       "zh": "每一步你都除以 1 - β；应该是 1 - βᵗ，随着平均值积累，它趋近于 1。"},
                      lambda *a: adamw(*a, power=lambda t: 1)),
        Misconception("step-counted-from-zero",
                      {"en": "You count the steps from 0, so the first correction divides by 1 - β⁰ = 0. `step` is 1 at the first "
                             "update: use it as it is.",
                       "zh": "你从 0 数步数，第一次修正就除以了 1 - β⁰ = 0。第一次更新时 `step` 就是 1：直接用它。"},
                      lambda *a: adamw(*a, power=lambda t: t - 1)),
        Misconception("step-counted-twice",
                      {"en": "You use step + 1, but `step` is 1 already at the first update: your correction is one step ahead.",
                       "zh": "你用了 step + 1，而第一次更新时 `step` 已经是 1：你的修正提前了一步。"},
                      lambda *a: adamw(*a, power=lambda t: t + 1)),
        Misconception("betas-swapped",
                      {"en": "β₁ belongs to the mean of the gradient, β₂ (the longer memory) to the mean of its square; yours are "
                             "swapped.",
                       "zh": "β₁ 属于梯度的平均，β₂（记得更久）属于梯度平方的平均；你把两个用反了。"},
                      lambda *a: adamw(*a, swap=True)),
        Misconception("weights-of-the-average-swapped",
                      {"en": "The old average should keep the share β and the new gradient get 1 - β; yours is the other way "
                             "round and hardly remembers anything.",
                       "zh": "旧的平均值应占 β，新的梯度占 1 - β；你的正好相反，几乎什么都记不住。"},
                      lambda *a: adamw(*a, flip=True)),
        Misconception("root-forgotten",
                      {"en": "You divide by v̂ instead of √v̂: a gradient twice as large would move its parameter half as far.",
                       "zh": "你除以了 v̂，应该除以 √v̂：否则梯度大一倍，参数反而只移动一半。"},
                      lambda *a: adamw(*a, root=False)),
        Misconception("corrected-averages-kept",
                      {"en": "You return m̂ and v̂. The averages go on uncorrected; corrected again at the next step, they would be "
                             "too large.",
                       "zh": "你返回的是 m̂ 和 v̂。平均值要不加修正地留到下一步；否则下一步又修正一次，就太大了。"},
                      lambda *a: adamw(*a, keep_corrected=True)),
        Misconception("uphill",
                      {"en": "The parameter moves with the gradient, uphill: the loss grows. Subtract the step.",
                       "zh": "参数顺着梯度走，是上坡：损失会变大。这一步要减去。"},
                      lambda *a: adamw(*a, sign=-1.0)),
        Misconception("l2-in-the-gradient",
                      {"en": "You add weight_decay · parameter to the gradient (L2, as in old Adam). Then it is divided by √v̂ like "
                             "the rest, and large gradients decay less. AdamW takes it off the parameter directly: decoupled.",
                       "zh": "你把 weight_decay · 参数 加进了梯度（L2，老 Adam 的做法）。这样它也会除以 √v̂，梯度大的参数反而衰减得少。"
                             "AdamW 直接从参数上减：解耦（decoupled）。"},
                      lambda *a: adamw(*a, l2=True)),
        Misconception("decay-not-scaled-by-lr",
                      {"en": "The decay takes off weight_decay of the parameter at each step; it should be lr · weight_decay, and so "
                             "follow the schedule.",
                       "zh": "每一步衰减去掉了参数的 weight_decay 倍；应该是 lr · weight_decay 倍，这样才会随日程变化。"},
                      lambda *a: adamw(*a, decay_rate=lambda d: d)),
        Misconception("eps-inside-the-root",
                      {"en": "eps is inside the root: √(v̂ + eps). It should be added to the root: √v̂ + eps.",
                       "zh": "eps 放在了根号里：√(v̂ + eps)。应该加在根号外：√v̂ + eps。"},
                      lambda *a: adamw(*a, inside=True)),
    ),
    may_change=("parameter", "mean", "square"),
)  # fmt: skip
