"""Exercises of lesson 15: reinforcement learning. Its second part: the losses, and the choice of the best."""

import numpy as np
import torch
from torch import Tensor

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.homework.lessons.l15_advantages import GAE, GROUP, PPO_PART, WEIGHTS, normal

KL_PART = {"en": "How far from the reference: k1 and k3", "zh": "离参考模型有多远：k1 和 k3"}
BEST_PART = {"en": "Best of n, without any training", "zh": "n 选一，完全不训练"}


def counted(table: Tensor, weights: Tensor) -> Tensor:
    """The table with 0 where the weight is 0, whatever stood there."""
    return torch.where(weights > 0, table, torch.zeros(()))


def weights_of(lengths: list[int], t: int, before: int = 0) -> Tensor:
    """(B, T): `before` columns of prompt, then the tokens of each answer."""
    columns = torch.arange(t)
    return torch.stack([((columns >= before) & (columns < before + n)).float() for n in lengths])


def hidden(table: Tensor, weights: Tensor) -> Tensor:
    """-inf where the weight is 0."""
    return torch.where(weights > 0, table, torch.tensor(-torch.inf))


# ------------------------------------------------------------------------------------- clipped_loss


def token_losses(log_probs: Tensor, sampled: Tensor, advantages: Tensor, epsilon: float) -> Tensor:
    ratio, a = (log_probs - sampled).exp(), advantages[:, None]  # (B, T), (B) -> (B, 1)
    return -torch.minimum(ratio * a, ratio.clamp(1 - epsilon, 1 + epsilon) * a)


def mean_over_tokens(losses: Tensor, weights: Tensor) -> Tensor:
    return counted(losses, weights).sum() / weights.sum().clamp(min=1)


def clipped_loss(log_probs: Tensor, sampled: Tensor, advantages: Tensor, weights: Tensor, epsilon: float) -> Tensor:
    return mean_over_tokens(token_losses(log_probs, sampled, advantages, epsilon), weights)


def only_clipped(x: Tensor, s: Tensor, a: Tensor, w: Tensor, e: float) -> Tensor:
    return mean_over_tokens(-(x - s).exp().clamp(1 - e, 1 + e) * a[:, None], w)


def maximum_taken(x: Tensor, s: Tensor, a: Tensor, w: Tensor, e: float) -> Tensor:
    ratio, each = (x - s).exp(), a[:, None]
    return mean_over_tokens(-torch.maximum(ratio * each, ratio.clamp(1 - e, 1 + e) * each), w)


def ratio_not_formed(x: Tensor, s: Tensor, a: Tensor, w: Tensor, e: float) -> Tensor:
    ratio, each = x - s, a[:, None]
    return mean_over_tokens(-torch.minimum(ratio * each, ratio.clamp(1 - e, 1 + e) * each), w)


def clipped_to_epsilon(x: Tensor, s: Tensor, a: Tensor, w: Tensor, e: float) -> Tensor:
    ratio, each = (x - s).exp(), a[:, None]
    return mean_over_tokens(-torch.minimum(ratio * each, ratio.clamp(-e, e) * each), w)


def rows_then_mean(x: Tensor, s: Tensor, a: Tensor, w: Tensor, e: float) -> Tensor:
    rows = counted(token_losses(x, s, a, e), w).sum(-1) / w.sum(-1).clamp(min=1)
    return rows.mean()


def multiplied(x: Tensor, s: Tensor, a: Tensor, w: Tensor, e: float) -> Tensor:
    """The weights as factors: NaN · 0 = NaN."""
    return (token_losses(x, s, a, e) * w).sum() / w.sum().clamp(min=1)


def updates(rng, lengths: list[int], t: int, moved: list[float], before: int = 0, infinite: bool = False):
    """Log-ratios from `moved` by turns, over tokens and over rows; advantages of both signs."""
    weights = weights_of(lengths, t, before)
    sampled = -normal(rng, len(lengths), t).abs() - 0.5
    steps = torch.tensor([[moved[(row + i) % len(moved)] for i in range(t)] for row in range(len(lengths))])
    log_probs = sampled + steps * torch.from_numpy(rng.uniform(0.8, 1.2, steps.shape).astype(np.float32))
    signs = torch.tensor([(-1.0) ** row for row in range(len(lengths))])
    advantages = signs * torch.from_numpy(rng.uniform(0.5, 2.5, len(lengths)).astype(np.float32))
    if infinite:
        log_probs, sampled = hidden(log_probs, weights), hidden(sampled, weights)
    return log_probs, sampled, advantages, weights, float(rng.choice([0.1, 0.2]))


CLIPPED = Exercise(
    "clipped_loss", PPO_PART, clipped_loss,
    (
        Check("ratio-1", 1, {"en": "Before the first update every ratio is 1: the loss is minus the mean of the advantages over the tokens.",
                             "zh": "第一次更新之前，每个比值都是 1：损失是优势对词元取平均的负数。"},
              lambda rng: [updates(rng, [2], 2, [0.0]), updates(rng, [3, 3, 3], 3, [0.0])]),
        Check("inside", 1, {"en": "Ratios between 1 - epsilon and 1 + epsilon: -ratio · A.", "zh": "比值在 1 - epsilon 和 1 + epsilon 之间：-ratio · A。"},
              lambda rng: [updates(rng, [1], 1, [0.06]), updates(rng, [4, 4, 4], 4, [0.07, -0.06, 0.03])]),
        Check("clipped", 2, {"en": "Outside, the smaller of the two products counts: clipped where the move went too far in the wanted "
                                   "direction, not clipped where it went the wrong way.",
                             "zh": "在外面时取两个乘积中较小的：朝想要的方向走得太远就截断，走反了不截断。"},
              lambda rng: [updates(rng, [1], 1, [0.9]), updates(rng, [1], 1, [-0.9]), updates(rng, [4, 4, 4, 4], 4, [0.9, -0.8, 0.05]),
                           updates(rng, [2, 2], 2, [2.5, -2.0])]),
        Check("weights", 2, {"en": "Only tokens of weight 1 count, and each of them the same: one mean over the whole batch.",
                             "zh": "只有权重为 1 的词元才算，而且一样重：整个批次一起取平均。"},
              lambda rng: [updates(rng, [1, 3], 4, [0.5, -0.4]), updates(rng, [2, 5, 0], 7, [0.7, -0.6, 0.05], before=1)]),
        Check("infinite", 1, {"en": "Log-probabilities of -inf outside the answer must not reach the result: -inf - -inf is NaN, and NaN · 0 too.",
                              "zh": "回答之外的 -inf 不能影响结果：-inf - -inf 是 NaN，NaN · 0 也是 NaN。"},
              lambda rng: [updates(rng, [1], 2, [0.3], infinite=True), updates(rng, [2, 4, 0], 6, [0.6, -0.5], before=1, infinite=True)]),
        Check("no-token", 1, {"en": "A batch without a token of the model gives 0, not NaN.", "zh": "没有一个模型写的词元时得 0，不是 NaN。"},
              lambda rng: [updates(rng, [0], 2, [0.3]), updates(rng, [0, 0], 3, [0.3], infinite=True)], edge=True),
    ),
    (
        Misconception("sign-turned",
                      {"en": "The minus is missing: training makes the loss small, and it should make the good answers likely.",
                       "zh": "少了负号：训练让损失变小，而应该让好的回答更可能。"},
                      lambda *a: -clipped_loss(*a)),
        Misconception("ratio-not-formed",
                      {"en": "You use the difference of the log-probabilities as the ratio. The ratio is its exp: 1 where nothing has moved, "
                             "not 0.",
                       "zh": "你把对数概率之差当成了比值。比值是它的 exp：什么都没动时是 1，不是 0。"},
                      ratio_not_formed),
        Misconception("clipped-to-epsilon",
                      {"en": "The ratio is clipped to ±epsilon. It is to stay near 1: between 1 - epsilon and 1 + epsilon.",
                       "zh": "比值被截断到 ±epsilon 了。它应该在 1 附近：1 - epsilon 到 1 + epsilon。"},
                      clipped_to_epsilon),
        Misconception("sum-for-mean",
                      {"en": "You add up the tokens. Divide by their number, or longer batches take larger steps.",
                       "zh": "你只加了起来。要除以词元的个数，否则批次越长步子越大。"},
                      lambda x, s, a, w, e: counted(token_losses(x, s, a, e), w).sum()),
        Misconception("upside-down",
                      {"en": "The ratio is upside down: the model that learns stands above, the one that sampled below, "
                             "exp(log_probs - sampled).",
                       "zh": "比值上下颠倒了：正在学习的模型在上，采样的在下，exp(log_probs - sampled)。"},
                      lambda x, s, a, w, e: clipped_loss(s, x, a, w, e)),
        Misconception("not-clipped",
                      {"en": "Nothing is clipped: after a few updates with one sample the ratio runs away, and the estimate with it.",
                       "zh": "没有截断：同一批样本更新几次后，比值会跑飞，估计也跟着失真。"},
                      lambda x, s, a, w, e: mean_over_tokens(-(x - s).exp() * a[:, None], w)),
        Misconception("only-clipped",
                      {"en": "Only the clipped product is used. Where the ratio moved the wrong way, the unclipped one is smaller, and its "
                             "gradient brings it back: take the minimum of both.",
                       "zh": "你只用了截断后的乘积。比值走反了的地方，没截断的那个更小，它的梯度会把比值拉回来：两个取最小。"},
                      only_clipped),
        Misconception("maximum-taken",
                      {"en": "You take the larger product (or the smaller loss). PPO is cautious: of the two it believes the smaller product.",
                       "zh": "你取了较大的乘积（也就是较小的损失）。PPO 很谨慎：两个里只信较小的乘积。"},
                      maximum_taken),
        Misconception("mean-of-rows",
                      {"en": "You take the mean of each answer, then of these. A token of a short answer then counts more than one of a long "
                             "answer (GRPO as published does so); here every token counts alike.",
                       "zh": "你先对每个回答取平均，再对它们取平均。这样短回答的词元比长回答的更重（GRPO 原文就是这样）；这里每个词元一样重。"},
                      rows_then_mean),
        Misconception("weights-ignored",
                      {"en": "Prompt and filling are counted as well, or the sum is divided by all B · T positions: only tokens of weight 1 "
                             "count, above and below.",
                       "zh": "提示和填充也被算进去了，或者除以了全部 B · T 个位置：分子分母都只算权重为 1 的词元。"},
                      lambda x, s, a, w, e: token_losses(x, s, a, e).mean(),
                      (lambda x, s, a, w, e: counted(token_losses(x, s, a, e), w).mean(),)),
        Misconception("not-a-number",
                      {"en": "You multiply by the weights, but -inf - -inf is NaN and NaN · 0 stays NaN. Choose instead of multiplying: "
                             "torch.where(weights > 0, …, 0).",
                       "zh": "你是乘以权重，可 -inf - -inf 是 NaN，NaN · 0 还是 NaN。不要乘，要选：torch.where(weights > 0, …, 0)。"},
                      multiplied),
        Misconception("divided-by-nothing",
                      {"en": "Without any token of weight 1 you divide 0 by 0.", "zh": "没有一个权重为 1 的词元时，你用 0 除了 0。"},
                      lambda x, s, a, w, e: counted(token_losses(x, s, a, e), w).sum() / w.sum()),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------- kl_k3


def kl_k3(log_probs: Tensor, reference: Tensor, weights: Tensor) -> Tensor:
    u = counted(reference - log_probs, weights)
    return (torch.expm1(u) - u).sum(-1)


def of_each(x: Tensor, r: Tensor, w: Tensor) -> Tensor:
    """The estimates as a table, nothing left out."""
    return torch.expm1(r - x) - (r - x)


def of_the_whole(x: Tensor, r: Tensor, w: Tensor) -> Tensor:
    u = counted(r - x, w).sum(-1)
    return torch.expm1(u) - u


def moved(rng, lengths: list[int], t: int, size: float = 1.0, before: int = 0, infinite: bool = False):
    """Log-ratios of both signs, far from 0."""
    weights = weights_of(lengths, t, before)
    log_probs = -normal(rng, len(lengths), t).abs() - 0.3
    u = torch.from_numpy(
        (rng.uniform(0.5, 1.3, log_probs.shape) * rng.choice([-1, 1], log_probs.shape)).astype(np.float32)
    )
    reference = log_probs + size * u
    if infinite:
        log_probs, reference = hidden(log_probs, weights), hidden(reference, weights)
    return log_probs, reference, weights


K3 = Exercise(
    "kl_k3", KL_PART, kl_k3,
    (
        Check("nothing-moved", 1, {"en": "Where the model is the reference, the estimate is 0 for each answer.", "zh": "模型就是参考模型时，每个回答的估计都是 0。"},
              lambda rng: [moved(rng, [1], 1, 0.0), moved(rng, [2, 2, 2], 2, 0.0)], edge=True),
        Check("one-token", 2, {"en": "exp(u) - 1 - u with u = reference - log_probs: never below 0.", "zh": "exp(u) - 1 - u，其中 u = reference - log_probs：不会小于 0。"},
              lambda rng: [moved(rng, [1], 1), moved(rng, [1, 1, 1], 1, 2.0)]),
        Check("whole-answers", 2, {"en": "The estimates of the tokens are added up, each row by itself.", "zh": "把各词元的估计加起来，每行各算各的。"},
              lambda rng: [moved(rng, [2], 2), moved(rng, [4, 4, 4], 4)]),
        Check("weights", 1, {"en": "Only tokens of weight 1 count; an answer without any gives 0.", "zh": "只有权重为 1 的词元才算；一个都没有的回答得 0。"},
              lambda rng: [moved(rng, [1], 3), moved(rng, [2, 3, 0], 5, before=1)]),
        Check("infinite", 1, {"en": "-inf outside the answer must not reach the result.", "zh": "回答之外的 -inf 不能影响结果。"},
              lambda rng: [moved(rng, [1], 2, infinite=True), moved(rng, [3, 0], 5, before=1, infinite=True)]),
    ),
    (
        Misconception("one-missing",
                      {"en": "The 1 is not subtracted: where nothing has moved, exp(0) - 0 leaves 1 for each token.",
                       "zh": "没有减 1：什么都没动时，exp(0) - 0 会给每个词元留下 1。"},
                      lambda x, r, w: counted((r - x).exp() - (r - x), w).sum(-1)),
        Misconception("k1",
                      {"en": "That is k1, the log-ratio itself. Its mean is right, but it is below 0 for many tokens; k3 never is.",
                       "zh": "那是 k1，即对数比值本身。它的平均是对的，但许多词元上小于 0；k3 不会。"},
                      lambda x, r, w: counted(x - r, w).sum(-1)),
        Misconception("k2",
                      {"en": "That is k2, half the square of u: close for small moves, biased for large ones.",
                       "zh": "那是 k2，即 u 平方的一半：移动小时接近，移动大时有偏差。"},
                      lambda x, r, w: counted((r - x) ** 2 / 2, w).sum(-1)),
        Misconception("wrong-way-round",
                      {"en": "u is the wrong way round: exp(u) has the reference above and the model that drew below, "
                             "u = reference - log_probs. Only so its mean is the divergence.",
                       "zh": "u 反了：exp(u) 里参考模型在上，采样的模型在下，u = reference - log_probs。只有这样，它的平均才是散度。"},
                      lambda x, r, w: kl_k3(r, x, w)),
        Misconception("sign-turned",
                      {"en": "The sign is turned: an estimate of a distance is not below 0.", "zh": "符号反了：距离的估计不会小于 0。"},
                      lambda x, r, w: -kl_k3(x, r, w)),
        Misconception("weighted-by-the-probability",
                      {"en": "You multiply by the probability of each token, as in the exact sum over the vocabulary. Here the tokens were "
                             "drawn: likely ones come more often by themselves.",
                       "zh": "你乘了每个词元的概率，那是对整个词表精确求和时的做法。这里的词元是采样得到的：可能的词元自己就会多出现。"},
                      lambda x, r, w: counted(x.exp() * (x - r), w).sum(-1), (lambda x, r, w: counted(x.exp() * of_each(x, r, w), w).sum(-1),)),
        Misconception("absolute-value",
                      {"en": "You take the size of the log-ratio. That is not negative either, but its mean is not the divergence.",
                       "zh": "你取了对数比值的绝对值。它也不为负，但它的平均不是散度。"},
                      lambda x, r, w: counted((r - x).abs(), w).sum(-1)),
        Misconception("mean-for-sum",
                      {"en": "You take the mean over the tokens. The divergence of a whole answer is the sum over its tokens.",
                       "zh": "你对词元取了平均。整个回答的散度是各词元之和。"},
                      lambda x, r, w: kl_k3(x, r, w) / w.sum(-1).clamp(min=1)),
        Misconception("of-the-whole-answer",
                      {"en": "You add up u first and take exp of the sum. That is the estimate of an answer as one event: right in the mean, "
                             "and wildly noisy. Here each token is estimated, then added up.",
                       "zh": "你先把 u 加起来，再取 exp。那是把整个回答当作一个事件的估计：平均是对的，噪声却大得多。这里先估计每个词元，再相加。"},
                      of_the_whole),
        Misconception("one-number",
                      {"en": "You add up the whole batch. Each row is an answer of its own: sum over the last axis, so that (B) remains.",
                       "zh": "你把整个批次加到了一起。每行是一个回答：沿最后一个轴求和，留下 (B)。"},
                      lambda x, r, w: kl_k3(x, r, w).sum(), (lambda x, r, w: kl_k3(x, r, w).mean(),)),
        Misconception("weights-ignored",
                      {"en": "Prompt and filling are counted as well: the model did not draw them.", "zh": "提示和填充也被算进去了：它们不是模型采样的。"},
                      lambda x, r, w: of_each(x, r, w).sum(-1)),
        Misconception("not-a-number",
                      {"en": "You multiply by the weights, but -inf - -inf is NaN and NaN · 0 stays NaN. Choose instead of multiplying: "
                             "torch.where(weights > 0, …, 0).",
                       "zh": "你是乘以权重，可 -inf - -inf 是 NaN，NaN · 0 还是 NaN。不要乘，要选：torch.where(weights > 0, …, 0)。"},
                      lambda x, r, w: (of_each(x, r, w) * w).sum(-1)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------- best_of_n


def best_of_n(rewards: Tensor, n: int) -> list[int]:
    best = rewards.view(-1, n).argmax(-1)  # (N · n) -> (N, n) -> (N)
    return [i * n + k for i, k in enumerate(best.tolist())]


def last_of_equals(rewards: Tensor, n: int) -> list[int]:
    best = n - 1 - rewards.view(-1, n).flip(-1).argmax(-1)
    return [i * n + k for i, k in enumerate(best.tolist())]


def from_zero(rewards: Tensor, n: int) -> list[int]:
    """The search begins with the reward 0 and the first row: nothing below 0 ever wins."""
    found = []
    for i, group in enumerate(rewards.view(-1, n).tolist()):
        best, row = 0.0, 0
        for k, reward in enumerate(group):
            if reward > best:
                best, row = reward, k
        found.append(i * n + row)
    return found


def all_of_equals(rewards: Tensor, n: int) -> list[int]:
    table = rewards.view(-1, n)
    return torch.nonzero((table == table.amax(-1, keepdim=True)).flatten()).flatten().tolist()


def answered(rng, questions: int, n: int, shift: float = 0.0, cut: bool = False):
    """Different rewards; never the first answer the best, where there are several."""
    table = torch.from_numpy(
        np.stack([rng.permutation(n) + rng.uniform(0.1, 0.6, n) for _ in range(questions)])
    ).float()
    if n > 1:
        best, other = table.argmax(-1), torch.from_numpy(rng.integers(1, n, questions))
        rows = torch.arange(questions)
        table[rows, best], table[rows, other] = table[rows, other].clone(), table[rows, best].clone()
    table = table + 1.5 * n * torch.arange(questions).flip(0)[:, None] + shift  # earlier questions are easier
    if cut:
        table[:, 0] = -torch.inf
    return table.flatten(), n


def equals(rng, questions: int, n: int, value: float):
    table = torch.full((questions, n), value) - 1 - torch.from_numpy(rng.uniform(0, 1, (questions, n))).float()
    for row in table:
        row[torch.from_numpy(rng.permutation(np.arange(1, n))[:2])] = value
    return table.flatten(), n


BEST = Exercise(
    "best_of_n", BEST_PART, best_of_n,
    (
        Check("one-question", 1, {"en": "With one question it is the row of the highest reward.", "zh": "只有一个问题时，就是奖励最高的那一行。"},
              lambda rng: [answered(rng, 1, 2, 1.0), answered(rng, 1, 5, 1.0)]),
        Check("several-questions", 2, {"en": "Rows k·n … k·n + n - 1 answer question k; each question keeps one, and row numbers count from the very first row.",
                                       "zh": "第 k·n … k·n + n - 1 行回答第 k 个问题；每个问题留一个，行号从所有行的第一行数起。"},
              lambda rng: [answered(rng, 2, 3, 1.0), answered(rng, 4, 5, 1.0), answered(rng, 3, 1, 1.0)]),
        Check("below-zero", 1, {"en": "Rewards may all be below 0, or -inf for an answer that was cut: the highest still wins.",
                                "zh": "奖励可以全都小于 0，被截断的回答可以是 -inf：仍然是最高的赢。"},
              lambda rng: [answered(rng, 1, 3, -9.0), answered(rng, 3, 4, -40.0, cut=True)]),
        Check("equal", 1, {"en": "Among equal rewards the first row is kept, and only that.", "zh": "奖励相等时留第一行，而且只留这一行。"},
              lambda rng: [equals(rng, 1, 3, 1.0), equals(rng, 3, 5, 2.0), (torch.full((6,), -torch.inf), 3)]),
    ),
    (
        Misconception("the-worst",
                      {"en": "You keep the answers with the lowest reward.", "zh": "你留下的是奖励最低的回答。"},
                      lambda r, n: best_of_n(-r, n)),
        Misconception("rewards-for-rows",
                      {"en": "You return the rewards. Asked for are the numbers of the rows, to look the answers up with.",
                       "zh": "你返回的是奖励。要的是行号，用来找出回答。"},
                      lambda r, n: r.view(-1, n).amax(-1).tolist()),
        Misconception("counted-from-one",
                      {"en": "Your rows are counted from 1. Row numbers begin with 0.", "zh": "你的行号从 1 数起。行号从 0 开始。"},
                      lambda r, n: [k + 1 for k in best_of_n(r, n)]),
        Misconception("inside-the-group",
                      {"en": "These are the places inside each group. Rows are counted over all: question k begins at row k · n.",
                       "zh": "这是组内的位置。行号要从头数：第 k 个问题从第 k · n 行开始。"},
                      lambda r, n: [k % n for k in best_of_n(r, n)]),
        Misconception("question-added",
                      {"en": "You add k to the place inside the group. Question k begins at row k · n.",
                       "zh": "你在组内位置上加的是 k。第 k 个问题从第 k · n 行开始。"},
                      lambda r, n: [i + k % n for i, k in enumerate(best_of_n(r, n))]),
        Misconception("interleaved",
                      {"en": "You take every N-th row for one question, view(n, N). The answers to one question stand next to each other: "
                             "view(N, n).",
                       "zh": "你把每隔 N 行的当成一个问题的，即 view(n, N)。同一个问题的回答是挨着的：view(N, n)。"},
                      lambda r, n: [int(k) * (len(r) // n) + i for i, k in enumerate(r.view(n, -1).argmax(0))]),
        Misconception("best-of-all",
                      {"en": "You keep the N best of all answers. Then an easy question keeps several and a hard one none; each question keeps "
                             "its own best.",
                       "zh": "你留的是全部回答里最好的 N 个。这样简单的问题留下好几个，难的一个也没有；应该每个问题留自己最好的。"},
                      lambda r, n: r.sort(descending=True, stable=True).indices[: len(r) // n].tolist(),
                      (lambda r, n: sorted(r.sort(descending=True, stable=True).indices[: len(r) // n].tolist()),)),
        Misconception("only-one",
                      {"en": "You keep one answer in all. Each question keeps one.", "zh": "你总共只留了一个回答。应该每个问题留一个。"},
                      lambda r, n: [int(r.argmax())]),
        Misconception("begun-with-zero",
                      {"en": "Your search begins with a reward of 0, which no reward below 0 can beat. Begin with the first answer's.",
                       "zh": "你的搜索从奖励 0 开始，小于 0 的奖励永远赢不了。要从第一个回答的奖励开始。"},
                      from_zero),
        Misconception("last-of-equals",
                      {"en": "Among equal rewards you keep the last one. Replace the best only by a higher reward, not by an equal one.",
                       "zh": "奖励相等时你留的是最后一个。只有更高的奖励才取代当前最好的，相等的不取代。"},
                      last_of_equals),
        Misconception("all-of-equals",
                      {"en": "Where several answers are equally good you keep all of them: then there is more than one for a question.",
                       "zh": "几个回答一样好时你全留下了：一个问题就不止一个了。"},
                      all_of_equals),
    ),
)  # fmt: skip

LESSON = Lesson(
    15,
    "15_reinforcement",
    {"en": "Practice: reinforcement learning", "zh": "实战：强化学习"},
    (WEIGHTS, GROUP, GAE, CLIPPED, K3, BEST),
)
