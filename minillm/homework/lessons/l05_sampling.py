"""Exercises of lesson 5: top-k, top-p, probabilities; the loop is in `l05_loop.py`."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from minillm import sampling as framework
from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.homework.lessons.l05_loop import EXTEND_CACHE, GENERATE

TEMPERATURE = {"en": "Temperature", "zh": "温度"}
TOP_K = {"en": "Top-k", "zh": "Top-k"}
TOP_P = {"en": "Top-p", "zh": "Top-p"}
INF = torch.inf


def apart(rng: np.random.Generator, b: int, v: int, least: float = 0.3) -> Tensor:
    """Logits, (B, V), all different by `least`, of which no row is in order."""
    rows: list[np.ndarray] = []
    while len(rows) < b:
        rank = rng.permutation(v)
        if (np.diff(rank) > 0).all() or (np.diff(rank) < 0).all():
            continue
        rows.append((rank - v / 3) * least + rng.uniform(0, 0.3 * least, v))
    return torch.tensor(np.array(rows), dtype=torch.float32)


# ------------------------------------------------------------------------------------------------- top-k


def cut_k(logits, k):
    return logits.topk(min(k, logits.shape[-1])).values[:, -1:]


def exactly_k(logits, k):
    best = logits.topk(min(k, logits.shape[-1])).indices
    return torch.full_like(logits, -INF).scatter(-1, best, logits.gather(-1, best))


def large_negative(left_out):
    """(a function that writes a large negative number for -inf, the same with other numbers)."""
    numbers = (-1e9, -1e10, -1e8, -1e6, -1e5, -1e4, -1e3, -100.0, torch.finfo(torch.float32).min)
    first, *more = ((lambda x, limit, n=n: x.masked_fill(left_out(x, limit), n)) for n in numbers)
    return first, tuple(more)


def tied(rng, b, v):
    """(logits, k): in every row the k-th and the next are equal."""
    logits = apart(rng, b, v)
    ordered, order = logits.sort(descending=True)
    k = v // 2
    ordered[:, k] = ordered[:, k - 1]
    return torch.empty_like(logits).scatter(-1, order, ordered), k


def tied_above(rng, b, v):
    """In every row the two largest are equal: each counts."""
    logits = apart(rng, b, v)
    ordered, order = logits.sort(descending=True)
    ordered[:, 0] = ordered[:, 1]
    return torch.empty_like(logits).scatter(-1, order, ordered)


def uneven(rng, b, v):
    """Rows of logits at very different heights."""
    return apart(rng, b, v) + 10.0 * torch.arange(b)[:, None]


TOP_K_EXERCISE = Exercise(
    "keep_top_k", TOP_K, framework.keep_top_k,
    (
        Check("one-row", 1, {"en": "The k largest logits stay as they are, all others become -inf.",
                             "zh": "最大的 k 个 logit 原样留下，其余都变成 -inf。"},
              lambda rng: [(apart(rng, 1, 4), 2), (apart(rng, 1, 9), 3), (torch.tensor([[0.0, 1.5, -2.0, -0.5]]), 2)]),
        Check("each-row-by-itself", 1, {"en": "Every row of the batch has its own k largest.",
                                        "zh": "批次的每一行都有自己的 k 个最大值。"},
              lambda rng: [(uneven(rng, 2, 4), 2), (uneven(rng, 3, 8), 3), (uneven(rng, 3, 8).flip(0), 3)]),
        Check("ties", 1, {"en": "Tokens as probable as the k-th all stay.", "zh": "和第 k 名概率相同的词元都留下。"},
              lambda rng: [(tied(rng, 1, 4)), (tied(rng, 2, 7)), (tied_above(rng, 2, 6), 3), (0.0001 * apart(rng, 2, 6), 3)]),
        Check("k-above-the-vocabulary", 1, {"en": "With k larger than V all tokens stay.", "zh": "k 大于 V 时全部留下。"},
              lambda rng: [(apart(rng, 1, 3), 5), (apart(rng, 2, 4), 50)], edge=True),
    ),
    (
        Misconception("k-th-dropped",
                      {"en": "You keep only logits larger than the k-th, so k - 1 of them. The k-th itself stays: compare "
                             "with >=.",
                       "zh": "你只留下了比第 k 名大的，只有 k - 1 个。第 k 名自己也留下：用 >= 比较。"},
                      lambda x, k: x.masked_fill(x <= cut_k(x, k), -INF)),
        Misconception("one-too-many",
                      {"en": "k + 1 tokens stay: the k-th largest is at index k - 1 of the sorted logits.",
                       "zh": "你留下了 k + 1 个：排好序以后，第 k 名的下标是 k - 1。"},
                      lambda x, k: x.masked_fill(x < cut_k(x, k + 1), -INF)),
        Misconception("smallest-kept",
                      {"en": "You keep the k smallest: the sort is ascending.", "zh": "你留下的是最小的 k 个：排序是升序的。"},
                      lambda x, k: x.masked_fill(x > -cut_k(-x, k), -INF)),
        Misconception("zero-for-minus-infinity",
                      {"en": "The others are set to 0. A logit of 0 is a score like any other, exp(0) = 1: only -inf becomes "
                             "the probability 0.",
                       "zh": "其余的设成了 0。logit 为 0 也是一个分数，exp(0) = 1：只有 -inf 才会变成概率 0。"},
                      lambda x, k: x.masked_fill(x < cut_k(x, k), 0.0)),
        Misconception("zero-for-minus-infinity",
                      {"en": "The others get a large negative number. It is a score like any other, and a temperature may make it "
                             "small: only -inf (float(\"-inf\")) becomes the probability 0 for certain.",
                       "zh": "其余的设成了很大的负数。它仍然是一个分数，温度高时就不算低了：只有 -inf（float(\"-inf\")）才保证概率为 0。"},
                      *large_negative(lambda x, k: x < cut_k(x, k))),
        Misconception("probabilities-returned",
                      {"en": "You return probabilities. The function goes from logits to logits, so that another filter and "
                             "the softmax can follow.",
                       "zh": "你返回的是概率。这个函数输入和输出都是 logits，后面还要接别的过滤和 softmax。"},
                      lambda x, k: framework.keep_top_k(x, k).softmax(-1)),
        Misconception("threshold-of-the-first-row",
                      {"en": "The k-th largest of the first row is the threshold for all rows. Every row has its own: keep "
                             "the axis, (B, 1).",
                       "zh": "所有行都用了第一行的第 k 名作为门槛。每一行都有自己的：保留这个轴，(B, 1)。"},
                      lambda x, k: x.masked_fill(x < cut_k(x, k)[:1], -INF)),
        Misconception("k-largest-of-the-batch",
                      {"en": "You look for the k largest of the whole batch. Each row is a text of its own: rank along "
                             "the last axis.",
                       "zh": "你在整个批次里找最大的 k 个。每一行是一段独立的文字：沿最后一个轴排名。"},
                      lambda x, k: x.masked_fill(x < x.flatten().topk(min(k, x.numel())).values[-1], -INF)),
        Misconception("ties-dropped",
                      {"en": "You keep exactly k and so choose among equals by chance of the sort. Compare with the k-th "
                             "value: all as large stay.",
                       "zh": "你恰好留下 k 个，相等的几个里谁留下全看排序。应该和第 k 名的值比较：一样大的都留下。"},
                      exactly_k),
        Misconception("k-above-the-vocabulary",
                      {"en": "Your function stops with an error when k is larger than the vocabulary: use min(k, V).",
                       "zh": "k 大于词表时你的函数出错：用 min(k, V)。"},
                      lambda x, k: x.masked_fill(x < x.topk(k).values[:, -1:], -INF)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- top-p


def ranked(logits, descending=True):
    ordered, order = logits.sort(descending=descending, stable=True)
    share = ordered.softmax(-1)
    return ordered, order, share, share.cumsum(-1)


def back(ordered, order):
    return torch.empty_like(ordered).scatter(-1, order, ordered)


def top_p_but(logits, p, keep=None, guard=True, restore=back, descending=True, hidden=-INF):
    """Top-p with one thing done another way; `keep` says which ranks stay, from (share, sum, p)."""
    ordered, order, share, total = ranked(logits, descending)
    stays = total - share < p if keep is None else keep(share, total, p)
    if guard:
        stays[:, 0] = True
    return restore(ordered.masked_fill(~stays, hidden), order)


def unsorted(logits, p):
    share = logits.softmax(-1)
    return logits.masked_fill(~(share.cumsum(-1) - share < p), -INF)


def at_heights(logits, p):
    """The same distributions, from logits many hundred apart."""
    return logits + 1000.0 * (torch.arange(len(logits)) - 1.0)[:, None], p


def is_clear(logits, p, margin=0.005):
    """Whether no sum of the most probable tokens is so near to p that rounding could decide."""
    return bool(((ranked(logits)[3] - p).abs() > margin).all())


def in_order(rng, v):
    """(logits, p), one row, the most probable first; p is crossed in the middle."""
    share = torch.tensor([0.45, 0.3, 0.15, 0.1]) if v == 4 else 0.6 ** torch.arange(v, dtype=torch.float32)
    return share.log()[None] - float(rng.uniform(0, 1)), 0.5


def gathered(ordered, order):
    return ordered.gather(-1, order)


def mixed(rng, b, v):
    """(logits, p): every row keeps another number of tokens, two at least and not all, and these not the
    first ids; undoing the sort by the sort's own order would put them elsewhere."""
    ways = (unsorted, partial(top_p_but, restore=gathered), partial(top_p_but, restore=lambda ordered, order: ordered))
    while True:
        logits = apart(rng, b, v) * torch.tensor(rng.uniform(1.0, 6.0, (b, 1)), dtype=torch.float32)
        p = float(rng.uniform(0.5, 0.95))
        stays = framework.keep_top_p(logits, p).isfinite()
        kept = stays.sum(-1)
        shows = all((way(logits, p).isfinite() != stays).any(-1).all() for way in ways)
        if is_clear(logits, p) and shows and len(kept.unique()) == b and kept.min() >= 2 and kept.max() < v:
            return logits, p


TOP_P_EXERCISE = Exercise(
    "keep_top_p", TOP_P, framework.keep_top_p,
    (
        Check("one-row", 1, {"en": "Probabilities 0.45, 0.3, 0.15, 0.1 and p = 0.5: the first two stay, because 0.45 alone "
                                   "does not reach p.",
                             "zh": "概率 0.45、0.3、0.15、0.1，p = 0.5：前两个留下，因为单独的 0.45 还没到 p。"},
              lambda rng: [in_order(rng, 4), in_order(rng, 7), (torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log(), 0.85)]),
        Check("places-of-the-tokens", 2, {"en": "The tokens are not in the order of their probabilities, and each keeps its "
                                                "place in the row.",
                                          "zh": "词元不是按概率排列的，每个都要留在原来的位置上。"},
              lambda rng: [mixed(rng, 1, 5), mixed(rng, 1, 8), (torch.tensor([[-2.0, 0.0, -0.5, 1.5]]), 0.8)]),
        Check("each-row-by-itself", 1, {"en": "Each row keeps as many tokens as its own distribution needs.",
                                        "zh": "每一行按自己的分布决定留下几个。"},
              lambda rng: [mixed(rng, 2, 6), mixed(rng, 3, 12), at_heights(*mixed(rng, 3, 6))]),
        Check("all-of-it", 1, {"en": "With p = 1 all tokens stay, also where rounding leaves their sum a little below 1.",
                               "zh": "p = 1 时全部留下，哪怕舍入误差让总和略小于 1。"},
              lambda rng: [(in_order(rng, 4)[0], 1.0), (apart(rng, 12, 9), 1.0)], edge=True),
        Check("at-least-one", 1, {"en": "The most probable token stays, even if p is 0.", "zh": "哪怕 p 是 0，概率最大的词元也要留下。"},
              lambda rng: [(apart(rng, 1, 3), 0.0), (apart(rng, 2, 6), 0.0)]),
    ),
    (
        Misconception("the-one-that-crosses-dropped",
                      {"en": "You drop the token that crosses p, so what stays adds up to less than p. It stays: look at the "
                             "sum before a token, not with it.",
                       "zh": "你把越过 p 的那个词元丢了，留下的加起来不到 p。它应该留下：要看它前面的和，而不是包括它的和。"},
                      partial(top_p_but, keep=lambda share, total, p: total <= p)),
        Misconception("none-kept",
                      {"en": "With a p this small your filter keeps no token at all, and a softmax of only -inf is NaN. The "
                             "most probable token always stays.",
                       "zh": "p 这么小的时候，你的过滤一个词元都没留下，全是 -inf 的 softmax 得到 NaN。概率最大的词元总要留下。"},
                      partial(top_p_but, guard=False)),
        Misconception("probability-above-p",
                      {"en": "You keep tokens whose own probability reaches p. p is a sum: go down the ranks and add up "
                             "until it is reached.",
                       "zh": "你留下的是自身概率达到 p 的词元。p 说的是和：从高到低累加，直到达到 p。"},
                      partial(top_p_but, keep=lambda share, total, p: share >= p, guard=False)),
        Misconception("logits-added-up",
                      {"en": "You add up logits. Only probabilities add up to 1: softmax first.",
                       "zh": "你累加的是 logits。只有概率加起来才是 1：先做 softmax。"},
                      lambda x, p: top_p_but(x, p, keep=lambda share, total, q: ranked(x)[0].cumsum(-1) - ranked(x)[0] < q)),
        Misconception("not-sorted",
                      {"en": "You add up the probabilities in the order of the ids. Rank the tokens first: only the most "
                             "probable ones are to stay.",
                       "zh": "你按编号的顺序累加了概率。要先按概率排序：留下的是概率最大的那些。"},
                      unsorted),
        Misconception("least-probable-kept",
                      {"en": "You add up from the least probable token: sort descending.", "zh": "你从概率最小的词元开始累加：应该降序排序。"},
                      partial(top_p_but, descending=False)),
        Misconception("left-in-sorted-order",
                      {"en": "Your logits come back sorted: the first is no longer the score of id 0. Put them back in the "
                             "places they came from (scatter by the order).",
                       "zh": "你返回的 logits 还是排好序的：第一个不再是编号 0 的分数。要放回原来的位置（按排序的下标 scatter）。"},
                      partial(top_p_but, restore=lambda ordered, order: ordered)),
        Misconception("gather-for-scatter",
                      {"en": "You undo the sort by indexing with its order again, which sorts twice. Entry i of the sorted "
                             "logits goes to place order[i]: scatter, or index with argsort(order).",
                       "zh": "你用排序下标再取一次来还原，等于又排了一遍。排序后的第 i 个要放到 order[i]：用 scatter，"
                             "或者用 argsort(order) 取。"},
                      partial(top_p_but, restore=gathered)),
        Misconception("as-many-as-the-first-row",
                      {"en": "All rows keep as many tokens as the first. Where the model is sure few are needed, where it is "
                             "not, many: count for each row.",
                       "zh": "所有行都留下和第一行一样多的词元。模型有把握时几个就够，没把握时要很多个：每一行单独数。"},
                      partial(top_p_but, keep=lambda share, total, p: (total - share < p)[:1].repeat(len(share), 1))),
    ),
)  # fmt: skip


# ---------------------------------------------------------------------------------------- probabilities


def probabilities(logits: Tensor, temperature: float, top_p: float | None) -> Tensor:
    return framework.probabilities(logits, framework.Sampling(temperature=temperature, top_p=top_p))


def probabilities_but(logits, temperature, top_p, scaled=None, greedy=None, axis=-1, filtered=None):
    """The distribution with one thing done another way."""
    if temperature == 0:
        return probabilities(logits, 0.0, None) if greedy is None else greedy(logits)
    logits = logits / temperature if scaled is None else scaled(logits, temperature)
    if top_p is not None:
        if filtered is not None:
            return filtered(logits)
        logits = framework.keep_top_p(logits, top_p)
    return logits.softmax(axis)


def late_temperature(logits, temperature, top_p):
    if temperature == 0 or top_p is None:
        return probabilities(logits, temperature, top_p)
    return (framework.keep_top_p(logits, top_p) / temperature).softmax(-1)


def not_renormalised(logits, temperature, top_p):
    share = probabilities(logits, temperature, None)
    if temperature == 0 or top_p is None:
        return share
    return share * framework.keep_top_p(logits / temperature, top_p).isfinite()


def overflowing(logits, temperature, top_p):
    if temperature == 0:
        return probabilities(logits, 0.0, None)
    logits = logits / temperature
    powers = (logits if top_p is None else framework.keep_top_p(logits, top_p)).exp()
    return powers / powers.sum(-1, keepdim=True)


def without_keepdim(logits, temperature, top_p):
    if temperature == 0:
        return probabilities(logits, 0.0, None)
    logits = logits / temperature
    logits = logits if top_p is None else framework.keep_top_p(logits, top_p)
    powers = (logits - logits.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1)


def highest_of_all(logits, temperature, top_p):
    if temperature == 0:
        return probabilities(logits, 0.0, None)
    logits = logits / temperature
    logits = logits if top_p is None else framework.keep_top_p(logits, top_p)
    powers = (logits - logits.max()).exp()
    return powers / powers.sum(-1, keepdim=True)


def last_largest(logits):
    v = logits.shape[-1]
    best = v - 1 - logits.flip(-1).argmax(-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, best, 1.0)


def equal_best(rng, b, v):
    """Logits whose largest value is at two places of each row, neither of them first or last."""
    logits = apart(rng, b, v)
    for row in logits:
        first, second = sorted(rng.choice(np.arange(v), 2, replace=False))
        row[[first, second]] = logits.max() + 1
    return logits


def between(rng, b, v):
    """(logits, temperature, top_p) for which the filter keeps other tokens before and after the temperature."""
    while True:
        logits, temperature = 2 * apart(rng, b, v), float(rng.choice([0.5, 2.0]))
        p = float(rng.uniform(0.4, 0.9))
        early, late = (
            framework.keep_top_p(logits, p).isfinite(),
            framework.keep_top_p(logits / temperature, p).isfinite(),
        )
        clear = is_clear(logits, p) and is_clear(logits / temperature, p)
        if clear and (early != late).any(-1).all() and not late.all(-1).any():
            return logits, temperature, p


PROBABILITIES = Exercise(
    "probabilities", TEMPERATURE, probabilities,
    (
        Check("temperature", 2, {"en": "softmax(logits / temperature) of each row: below 1 sharper, above 1 flatter.",
                                 "zh": "对每一行做 softmax(logits / temperature)：小于 1 更尖锐，大于 1 更平坦。"},
              lambda rng: [(apart(rng, 1, 3), 0.5, None), (apart(rng, 2, 5), 2.0, None), (0.05 * apart(rng, 2, 5), 0.05, None),
                           (20 * apart(rng, 2, 5), 20.0, None)]),
        Check("greedy", 1, {"en": "Temperature 0: the most probable token has probability 1.",
                            "zh": "温度为 0：概率最大的词元概率是 1。"},
              lambda rng: [(apart(rng, 1, 3), 0.0, None), (apart(rng, 3, 6), 0.0, None), (apart(rng, 2, 5), 0.0, 0.9)]),
        Check("ties", 1, {"en": "Temperature 0 with equal logits: the first of them alone.",
                          "zh": "温度为 0 而 logit 相等时：只取其中第一个。"},
              lambda rng: [(equal_best(rng, 1, 3), 0.0, None), (equal_best(rng, 3, 6), 0.0, None)]),
        Check("top-p", 2, {"en": "First the temperature, then the filter, then probabilities that add up to 1.",
                           "zh": "先除以温度，再过滤，最后得到加起来是 1 的概率。"},
              lambda rng: [between(rng, 1, 4), between(rng, 2, 8), (apart(rng, 2, 5), 0.7, 1.0), (4 * apart(rng, 2, 5), 1.0, 0.3)]),
        Check("large-logits", 1, {"en": "exp(800) overflows: let softmax subtract the largest logit first.",
                                  "zh": "exp(800) 会溢出：让 softmax 先减去最大的 logit。"},
              lambda rng: [(400 + apart(rng, 1, 3), 0.5, None), (400 + apart(rng, 2, 6), 0.5, None), (400 * apart(rng, 2, 5), 0.5, None),
                           (at_heights(apart(rng, 3, 5), None)[0], 0.5, None), (at_heights(apart(rng, 3, 5), None)[0], 0.5, 1.0)]),
    ),
    (
        Misconception("temperature-multiplied",
                      {"en": "You multiply by the temperature. Divide: a high temperature makes the logits smaller and the "
                             "choice freer.",
                       "zh": "你乘以了温度。应该除以：温度高时 logits 变小，选择更自由。"},
                      partial(probabilities_but, scaled=lambda x, t: x * t)),
        Misconception("temperature-ignored",
                      {"en": "The temperature has no effect: divide the logits by it before the softmax.",
                       "zh": "温度没有起作用：softmax 之前要把 logits 除以它。"},
                      partial(probabilities_but, scaled=lambda x, t: x)),
        Misconception("probabilities-divided",
                      {"en": "You divide the probabilities by the temperature, after the softmax: they no longer add up to "
                             "1. Divide the logits, before it.",
                       "zh": "你在 softmax 之后用概率除以温度：加起来不再是 1。应该在之前除 logits。"},
                      lambda x, t, p: (probabilities(x, 0.0, None) if t == 0 else probabilities(x, 1.0, p) / t)),
        Misconception("softmax-over-the-batch",
                      {"en": "The softmax runs over the rows of the batch. Each row is a distribution over the vocabulary: "
                             "the last axis.",
                       "zh": "softmax 沿着批次的轴做了。每一行是词表上的一个分布：用最后一个轴。"},
                      partial(probabilities_but, axis=0)),
        Misconception("divided-by-zero",
                      {"en": "At temperature 0 you divide by 0, and the result is NaN. Treat 0 by itself: 1 at the largest "
                             "logit.",
                       "zh": "温度为 0 时你除以了 0，结果是 NaN。0 要单独处理：最大的 logit 处放 1。"},
                      partial(probabilities_but, greedy=lambda x: (x / 0.0).softmax(-1))),
        Misconception("ties-shared",
                      {"en": "Equal largest logits share the probability, so the choice is left to chance. Greedy takes the "
                             "first: use argmax.",
                       "zh": "并列最大的几个平分了概率，选谁就靠运气了。贪心取第一个：用 argmax。"},
                      partial(probabilities_but, greedy=lambda x: (x == x.amax(-1, keepdim=True))
                              / (x == x.amax(-1, keepdim=True)).sum(-1, keepdim=True))),
        Misconception("ties-to-the-last",
                      {"en": "Of equal logits you take the last; it is to be the first (lowest id), as argmax does.",
                       "zh": "并列时你取了最后一个；应该取第一个（编号最小），argmax 就是这样。"},
                      partial(probabilities_but, greedy=last_largest)),
        Misconception("temperature-after-the-filter",
                      {"en": "You filter first and then apply the temperature. The p is meant for the distribution that is "
                             "drawn from: temperature first.",
                       "zh": "你先过滤，再用温度。p 说的是真正用来抽样的分布：先除以温度。"},
                      late_temperature),
        Misconception("not-renormalised",
                      {"en": "The filtered tokens get 0, but the rest still adds up to less than 1. Softmax after the "
                             "filter makes it 1 again.",
                       "zh": "滤掉的词元是 0 了，但剩下的加起来不到 1。过滤之后再 softmax，就又是 1。"},
                      not_renormalised),
        Misconception("overflow",
                      {"en": "exp of a logit above 88 overflows in float32, and inf / inf is NaN. Subtract the largest "
                             "logit of the row first; softmax does.",
                       "zh": "logit 超过 88，float32 的 exp 就溢出，inf / inf 是 NaN。先减去这一行最大的 logit；softmax 就是这么做的。"},
                      overflowing),
    ),
    slips=(
        Misconception("keepdim-missing",
                      {"en": "The sum over the vocabulary has lost its axis, so each row is divided by the sums of others: "
                             "`sum(-1, keepdim=True)` keeps it, (B, 1).",
                       "zh": "对词表求和之后这个轴没有了，每一行除以的是别的行的和：`sum(-1, keepdim=True)` 可以留住它，形状是 (B, 1)。"},
                      without_keepdim),
        Misconception("highest-of-all-rows",
                      {"en": "You subtract the largest logit of the whole batch. A row far below it underflows to 0, and 0 / 0 is "
                             "NaN: subtract each row's own maximum.",
                       "zh": "你减去的是整个批次的最大 logit。比它低很多的行会下溢成 0，0 / 0 是 NaN：每一行要减去自己的最大值。"},
                      highest_of_all),
    ),
)  # fmt: skip


LESSON = Lesson(5, "05_sampling", {"en": "Sampling", "zh": "采样"},
                (TOP_K_EXERCISE, TOP_P_EXERCISE, PROBABILITIES, GENERATE, EXTEND_CACHE))  # fmt: skip
