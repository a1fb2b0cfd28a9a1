"""Exercises of lesson 13: preference, reward model, DPO."""

from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from minillm import stage3_preference
from minillm.batching import Batch
from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.homework.lessons.l01_losses import EPSILONS, heights

WHOLE = {"en": "The probability of a whole answer", "zh": "整个回答的概率"}
REWARD = {"en": "A reward model", "zh": "奖励模型"}
DPO_PART = {"en": "DPO: without a reward model", "zh": "DPO：不要奖励模型"}


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


# ------------------------------------------------------------------------------------- sequence_log_probs


def sequence_log_probs(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return stage3_preference.sequence_log_probs(logits, Batch(targets, targets, weights))


def of_targets(table: Tensor, targets: Tensor) -> Tensor:
    return table.gather(-1, targets.unsqueeze(-1)).squeeze(-1)  # (B, T, V) -> (B, T)


def log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    return of_targets(logits.log_softmax(-1), targets)


def of_the_product(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    return torch.where(w > 0, of_targets(x.softmax(-1), y), 1.0).prod(-1).log()


def floored(x: Tensor, y: Tensor, w: Tensor, eps: float) -> Tensor:
    return ((of_targets(x.softmax(-1), y) + eps).log() * w).sum(-1)


def clamped(x: Tensor, y: Tensor, w: Tensor, eps: float) -> Tensor:
    return (of_targets(x.softmax(-1), y).clamp(min=eps).log() * w).sum(-1)


def highest_of_all(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    z = x - x.max()
    return ((of_targets(z, y) - z.exp().sum(-1).log()) * w).sum(-1)


def up_to_the_end(weights: Tensor) -> Tensor:
    """The prompt before the answer counted as well."""
    return (weights.flip(-1).cumsum(-1).flip(-1) > 0).float()


def from_the_beginning(weights: Tensor) -> Tensor:
    """The padding behind the answer counted as well."""
    return (weights.cumsum(-1) > 0).float()


def answers(rng, b: int, t: int, v: int):
    """Every row: a prompt, an answer in the middle, padding; logits of moderate size."""
    weights = torch.zeros(b, t)
    for row in weights:
        start, length = int(rng.integers(1, t - 1)), int(rng.integers(1, t))
        row[start : min(start + length, t - 1)] = 1.0
    return 2 * normal(rng, b, t, v), torch.from_numpy(rng.integers(0, v, (b, t))), weights


def plain(rng, b: int, t: int, v: int):
    return 2 * normal(rng, b, t, v), torch.from_numpy(rng.integers(0, v, (b, t))), torch.ones(b, t)


def unlikely(rng, b: int, t: int, v: int):
    """Large logits whose targets are the least likely tokens."""
    logits = 100 * normal(rng, b, t, v)
    targets = logits.argmin(-1)
    return logits.scatter_add(-1, targets.unsqueeze(-1), torch.full((b, t, 1), -1200.0)), targets, torch.ones(b, t)


def no_answer(rng):
    logits, targets, weights = answers(rng, 2, 6, 5)
    weights[0] = 0.0
    return logits, targets, weights


SEQUENCE = Exercise(
    "sequence_log_probs", WHOLE, sequence_log_probs,
    (
        Check("one-token", 1, {"en": "For an answer of one token it is log softmax(logits) at the target: a number below 0.",
                               "zh": "答案只有一个词元时，就是 log softmax(logits) 在目标处的值：小于 0 的数。"},
              lambda rng: [plain(rng, 1, 1, 3), plain(rng, 3, 1, 4)]),
        Check("whole-answer", 2, {"en": "The log-probabilities of all tokens of an answer are added up, row by row.",
                                  "zh": "把一个答案所有词元的对数概率加起来，每行各算各的。"},
              lambda rng: [plain(rng, 1, 2, 3), plain(rng, 3, 4, 5)]),
        Check("prompt-and-padding", 2, {"en": "Only positions of weight 1 count; a row without any gives 0.",
                                        "zh": "只有权重为 1 的位置才算；一个都没有的行得 0。"},
              lambda rng: [answers(rng, 1, 4, 3), answers(rng, 3, 7, 5), no_answer(rng)]),
        Check("large-logits", 1, {"en": "An unlikely token of large logits has a log-probability of minus several hundred, not -inf.",
                                  "zh": "logits 很大时，不太可能的词元对数概率是负几百，而不是 -inf。"},
              lambda rng: [unlikely(rng, 1, 2, 3), unlikely(rng, 2, 3, 5), (*heights(rng, 2, 3, 4), torch.ones(2, 3))]),
    ),
    (
        Misconception("positive",
                      {"en": "The sign is turned: you return the loss, -log p. A log-probability is at most 0.",
                       "zh": "符号反了：你返回的是损失 -log p。对数概率最大是 0。"},
                      lambda x, y, w: -(log_probs(x, y) * w).sum(-1)),
        Misconception("logits-for-log-probabilities",
                      {"en": "You add up the logits of the targets. Logits are scores before the softmax; a log-probability is "
                             "log_softmax(logits) at the target.",
                       "zh": "你把目标的 logits 加了起来。logits 是 softmax 之前的分数；对数概率是 log_softmax(logits) 在目标处的值。"},
                      lambda x, y, w: (of_targets(x, y) * w).sum(-1)),
        Misconception("probabilities-added",
                      {"en": "You add up probabilities. The probability of an answer is the product over its tokens; as "
                             "logarithms, the sum: take log_softmax, not softmax.",
                       "zh": "你把概率加了起来。一个答案的概率是各词元概率的乘积，取对数后才是求和：用 log_softmax，不是 softmax。"},
                      lambda x, y, w: (of_targets(x.softmax(-1), y) * w).sum(-1)),
        Misconception("mean-for-sum",
                      {"en": "You take the mean over the tokens instead of their sum. DPO compares probabilities of whole answers, and these "
                             "are sums of logarithms; a mean would make long answers look as likely as short ones.",
                       "zh": "你对词元取了平均，没有求和。DPO 比较的是整个回答的概率，取对数后是求和；取平均会让长回答看起来和短回答一样可能。"},
                      lambda x, y, w: (log_probs(x, y) * w).sum(-1) / w.sum(-1).clamp(min=1)),
        Misconception("one-number-for-the-batch",
                      {"en": "You add up over the whole batch. Each row is an answer of its own: sum over the last axis, so that "
                             "(B) remains.",
                       "zh": "你把整个批次加到了一起。每一行是一个单独的答案：沿最后一个轴求和，留下 (B)。"},
                      lambda x, y, w: (log_probs(x, y) * w).sum()),
        Misconception("weights-ignored",
                      {"en": "Prompt and padding are counted as well: multiply by the weights before adding up.",
                       "zh": "提示和填充也被算进去了：求和之前先乘以权重。"},
                      lambda x, y, w: log_probs(x, y).sum(-1)),
        Misconception("prompt-counted",
                      {"en": "The tokens of the prompt are counted as well. The prompt is given: p(answer | prompt) holds the "
                             "answer's tokens only.",
                       "zh": "提示里的词元也被算进去了。提示是给定的：p(答案 | 提示) 只包含答案的词元。"},
                      lambda x, y, w: (log_probs(x, y) * up_to_the_end(w)).sum(-1)),
        Misconception("padding-counted",
                      {"en": "The padding behind the answer is counted as well: a short answer in a wide batch would seem less "
                             "likely than alone.",
                       "zh": "答案后面的填充也被算进去了：短答案放进宽的批次里就会显得更不可能。"},
                      lambda x, y, w: (log_probs(x, y) * from_the_beginning(w)).sum(-1)),
        Misconception("log-of-softmax",
                      {"en": "You take log(softmax(…)) in two steps. The softmax of an unlikely token underflows to 0, and its "
                             "logarithm is -inf: use log_softmax, which never forms the probability.",
                       "zh": "你分两步算 log(softmax(…))。不太可能的词元 softmax 会下溢成 0，取对数就是 -inf：用 log_softmax，它不会先算出概率。"},
                      lambda x, y, w: (of_targets(x.softmax(-1).log(), y) * w).sum(-1),
                      (of_the_product, *(partial(how, eps=eps) for how in (floored, clamped) for eps in EPSILONS))),
        Misconception("log-of-softmax",
                      {"en": "You subtract the largest logit of the whole batch. A position far below it underflows to 0, and its "
                             "logarithm is -inf: subtract each position's own maximum, or use log_softmax.",
                       "zh": "你减去的是整个批次的最大 logit。比它低很多的位置会下溢成 0，取对数就是 -inf：每个位置要减去自己的最大值，"
                             "或者用 log_softmax。"},
                      highest_of_all),
    ),
    slips=(
        Misconception("cross-entropy-on-b-t-v",
                      {"en": "F.cross_entropy takes axis 1 for the vocabulary, and with (B, T, V) that is the positions. Move the axis "
                             "first: logits.transpose(1, 2).",
                       "zh": "F.cross_entropy 把轴 1 当成词表，而形状是 (B, T, V) 时轴 1 是位置。先把轴移过去：logits.transpose(1, 2)。"},
                      lambda x, y, w: -(F.cross_entropy(x, y, reduction="none") * w).sum(-1)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------- Bradley and Terry


def bradley_terry_loss(chosen_rewards: Tensor, rejected_rewards: Tensor) -> Tensor:
    return -F.logsigmoid(chosen_rewards - rejected_rewards)


def sigmoid_floored(chosen: Tensor, rejected: Tensor, eps: float) -> Tensor:
    return -(torch.sigmoid(chosen - rejected) + eps).log()


def sigmoid_clamped(chosen: Tensor, rejected: Tensor, eps: float) -> Tensor:
    return -torch.sigmoid(chosen - rejected).clamp(min=eps).log()


def rewards(rng, n: int, distance: float = 0.0):
    """Rewards above 0; the chosen one ahead and behind by turns."""
    worse = torch.from_numpy(rng.uniform(1.0, 2.0, n).astype(np.float32))
    ahead = torch.from_numpy(rng.uniform(0.2, 0.9, n).astype(np.float32)) + distance
    return worse + ahead * torch.tensor([(-1.0) ** i for i in range(n)]), worse


def equal_rewards(rng, n: int):
    worse = normal(rng, n)
    return worse.clone(), worse


BRADLEY_TERRY = Exercise(
    "bradley_terry_loss", REWARD, bradley_terry_loss,
    (
        Check("equal-rewards", 1, {"en": "Between equal rewards it is a coin toss: the loss of each pair is ln 2 = 0.693.",
                                   "zh": "奖励相等时就是抛硬币：每一对的损失都是 ln 2 = 0.693。"},
              lambda rng: [equal_rewards(rng, 1), equal_rewards(rng, 3)], edge=True),
        Check("ahead-and-behind", 2, {"en": "The further the chosen answer is ahead, the smaller the loss; behind, the larger.",
                                      "zh": "被选中的答案领先越多，损失越小；落后越多，损失越大。"},
              lambda rng: [rewards(rng, 2), rewards(rng, 5)]),
        Check("large-differences", 1, {"en": "A difference of ±1,000 must give nearly 0 or nearly 1,000, not inf and not 18.",
                                       "zh": "差值为 ±1000 时应得到接近 0 或接近 1000 的数，不是 inf，也不是 18。"},
              lambda rng: [rewards(rng, 2, 1000.0), rewards(rng, 4, 300.0)]),
    ),
    (
        Misconception("probability-for-loss",
                      {"en": "You return σ, the probability that the chosen answer wins. The loss is its negative logarithm.",
                       "zh": "你返回的是 σ，即被选中的答案获胜的概率。损失是它的负对数。"},
                      lambda c, r: torch.sigmoid(c - r)),
        Misconception("minus-forgotten",
                      {"en": "The minus is missing: log σ is below 0, and making it smaller would make the model worse.",
                       "zh": "少了负号：log σ 小于 0，把它变小反而让模型更差。"},
                      lambda c, r: F.logsigmoid(c - r)),
        Misconception("mean-returned",
                      {"en": "You return one number, the mean. Here every pair keeps its own loss, (N); who trains takes the mean.",
                       "zh": "你返回了一个数（平均）。这里每一对各有自己的损失，形状 (N)；训练的人再取平均。"},
                      lambda c, r: -F.logsigmoid(c - r).mean()),
        Misconception("each-reward-by-itself",
                      {"en": "You score each reward against 0: -log σ(r_chosen) - log σ(-r_rejected). Only the difference counts: "
                             "people said which is better, not how good either is.",
                       "zh": "你让每个奖励各自和 0 比：-log σ(r_chosen) - log σ(-r_rejected)。只有差值有意义：人只说了哪个更好，没说各有多好。"},
                      lambda c, r: -F.logsigmoid(c) - F.logsigmoid(-r)),
        Misconception("wrong-way-round",
                      {"en": "The difference is the wrong way round: your loss rewards the rejected answer. "
                             "It is r_chosen - r_rejected.",
                       "zh": "差值反了：你的损失在奖励被拒绝的答案。应该是 r_chosen - r_rejected。"},
                      lambda c, r: -F.logsigmoid(r - c)),
        Misconception("absolute-difference",
                      {"en": "You take the size of the difference: then it does not matter which answer was chosen.",
                       "zh": "你取了差的绝对值：这样哪个答案被选中就无所谓了。"},
                      lambda c, r: -F.logsigmoid((c - r).abs())),
        Misconception("unstable",
                      {"en": "You form the probability σ, or exp of the difference, first and take the logarithm then: for large "
                             "differences one underflows to 0 or overflows, and the loss is inf. Use logsigmoid or softplus.",
                       "zh": "你先算出概率 σ（或差的 exp），再取对数：差值很大时会下溢成 0 或溢出，损失就成了 inf。用 logsigmoid 或 softplus。"},
                      lambda c, r: torch.where(c - r < -80, torch.inf, -F.logsigmoid(c - r))),
        Misconception("epsilon-inside-the-logarithm",
                      {"en": "A small number inside the logarithm hides the underflow: the loss stops at about -log of it, and there "
                             "its gradient is 0, just where the model is most wrong. Use logsigmoid or softplus.",
                       "zh": "在对数里加一个小数只是掩盖了下溢：损失停在约 -log(它)，那里梯度为 0，而那正是模型错得最厉害的地方。"
                             "用 logsigmoid 或 softplus。"},
                      lambda c, r: -torch.log(torch.sigmoid(c - r) + 1e-8),
                      tuple(partial(how, eps=eps) for how in (sigmoid_floored, sigmoid_clamped) for eps in EPSILONS)),
        Misconception("epsilon-inside-the-logarithm",
                      {"en": "You clamp the difference: beyond the bound the loss no longer grows and its gradient is 0, just where "
                             "the model is most wrong. logsigmoid and softplus need no bound.",
                       "zh": "你截断了差值：超过界限后损失不再增大，梯度为 0，而那正是模型错得最厉害的地方。logsigmoid 和 softplus 不需要截断。"},
                      lambda c, r: -F.logsigmoid((c - r).clamp(-50, 50)),
                      tuple(lambda c, r, most=most: -F.logsigmoid((c - r).clamp(-most, most)) for most in (10, 20, 30, 80, 88, 100))),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- DPO


def pair_log_probs(rng, n: int, spread: float = 1.0):
    """Log-probabilities of n pairs under the model and the reference; better and worse moved by turns."""
    reference = -torch.from_numpy(rng.uniform(4.0, 9.0, (2, n)).astype(np.float32)) * max(1.0, spread)
    moved = torch.from_numpy(rng.uniform(0.3, 1.2, (2, n)).astype(np.float32)) * spread
    turns = torch.tensor([(-1.0) ** i for i in range(n)])
    return reference[0] + turns * moved[0], reference[1] - turns * moved[1], reference[0], reference[1]


def unmoved(rng, n: int):
    chosen = -torch.from_numpy(rng.uniform(1.0, 4.0, n).astype(np.float32))
    rejected = -torch.from_numpy(rng.uniform(5.0, 9.0, n).astype(np.float32))
    return chosen, rejected, chosen.clone(), rejected.clone()


def sigmoid_loss(x: Tensor) -> Tensor:
    return -F.logsigmoid(x)


DPO = Exercise(
    "dpo_loss", DPO_PART, stage3_preference.dpo_loss,
    (
        Check("at-the-start", 1, {"en": "Before the first step the model is the reference: the loss of each pair is ln 2 = 0.693, "
                                        "whatever the answers' probabilities.",
                                  "zh": "第一步之前模型就是参考模型：无论答案的概率是多少，每一对的损失都是 ln 2 = 0.693。"},
              lambda rng: [(*unmoved(rng, 1), 1.0), (*unmoved(rng, 3), 1.0)], edge=True),
        Check("margin", 2, {"en": "What counts is how much further the chosen answer rose than the rejected one, against the reference.",
                            "zh": "重要的是：相对参考模型，被选中的答案比被拒绝的多上升了多少。"},
              lambda rng: [(*pair_log_probs(rng, 2), 1.0), (*pair_log_probs(rng, 5), 1.0)]),
        Check("beta", 2, {"en": "beta multiplies the whole margin, inside the sigmoid.", "zh": "beta 乘的是整个 margin，在 sigmoid 里面。"},
              lambda rng: [(*pair_log_probs(rng, 2), 0.1), (*pair_log_probs(rng, 4), 0.5), (*pair_log_probs(rng, 2), 2.5)]),
        Check("large-margins", 1, {"en": "A margin of ±1,000 must give nearly 0 or nearly 1,000 · beta, never inf or NaN.",
                                   "zh": "margin 为 ±1000 时应得到接近 0 或接近 1000 · beta 的数，不能是 inf 或 NaN。"},
              lambda rng: [(*pair_log_probs(rng, 2, 1000.0), 1.0), (*pair_log_probs(rng, 4, 1000.0), 0.3)]),
    ),
    (
        Misconception("reference-missing",
                      {"en": "The reference is missing. Without it a short answer wins because it is short, and nothing holds the "
                             "model to what it was: subtract the reference's log-probabilities.",
                       "zh": "没有用参考模型。没有它，短答案只因为短就会赢，也没有什么把模型拉住：要减去参考模型的对数概率。"},
                      lambda c, r, rc, rr, b: sigmoid_loss(b * (c - r))),
        Misconception("reference-added",
                      {"en": "The reference is added, or those of the two answers are swapped, which comes to the same. From each answer "
                             "its own reference is subtracted: log π/π_ref = log π - log π_ref.",
                       "zh": "你把参考模型加上去了，或者把两个答案的参考值用反了（结果是一样的）。每个答案都要减去它自己的参考值："
                             "log π/π_ref = log π - log π_ref。"},
                      lambda c, r, rc, rr, b: sigmoid_loss(b * ((c + rc) - (r + rr)))),
        Misconception("mean-returned",
                      {"en": "You return one number, the mean. Every pair keeps its own loss, (N); who trains takes the mean.",
                       "zh": "你返回了一个数（平均）。每一对各有自己的损失，形状 (N)；训练的人再取平均。"},
                      lambda c, r, rc, rr, b: stage3_preference.dpo_loss(c, r, rc, rr, b).mean()),
        Misconception("minus-forgotten",
                      {"en": "The minus before log σ is missing: at the start the loss is ln 2, not -ln 2.",
                       "zh": "log σ 前面少了负号：开始时损失是 ln 2，不是 -ln 2。"},
                      lambda c, r, rc, rr, b: F.logsigmoid(b * ((c - rc) - (r - rr)))),
        Misconception("wrong-way-round",
                      {"en": "The margin is the wrong way round: your loss falls when the rejected answer becomes more likely.",
                       "zh": "margin 反了：被拒绝的答案变得更可能时，你的损失反而下降。"},
                      lambda c, r, rc, rr, b: sigmoid_loss(b * ((r - rr) - (c - rc)))),
        Misconception("only-the-chosen",
                      {"en": "Only the chosen answer is used. DPO compares: the rejected answer's rise against the reference is "
                             "subtracted.",
                       "zh": "你只用了被选中的答案。DPO 是比较：还要减去被拒绝的答案相对参考模型的上升量。"},
                      lambda c, r, rc, rr, b: sigmoid_loss(b * (c - rc))),
        Misconception("beta-forgotten",
                      {"en": "beta is not used. It says how strongly the model is held to the reference.",
                       "zh": "没有用 beta。它决定把模型拉向参考模型的力度。"},
                      lambda c, r, rc, rr, b: sigmoid_loss((c - rc) - (r - rr)),
                      (lambda c, r, rc, rr, b: sigmoid_loss(0.1 * ((c - rc) - (r - rr))),)),
        Misconception("beta-outside",
                      {"en": "beta is in front of the logarithm, where it only scales the learning rate. It belongs inside: "
                             "-log σ(beta · margin).",
                       "zh": "beta 放在了对数外面，那只相当于缩放学习率。它应该在里面：-log σ(beta · margin)。"},
                      lambda c, r, rc, rr, b: b * sigmoid_loss((c - rc) - (r - rr))),
        Misconception("beta-without-the-reference",
                      {"en": "beta multiplies the model's part only. It multiplies the whole margin, the reference's part as well.",
                       "zh": "beta 只乘了模型那一部分。它要乘整个 margin，参考模型那部分也在内。"},
                      lambda c, r, rc, rr, b: sigmoid_loss(b * (c - r) - (rc - rr))),
        Misconception("unstable",
                      {"en": "You form σ, or exp of the margin, first and take the logarithm then: for large margins one underflows to "
                             "0 or overflows, and the loss is inf. Use logsigmoid or softplus.",
                       "zh": "你先算出 σ（或 margin 的 exp），再取对数：margin 很大时会下溢成 0 或溢出，损失就成了 inf。用 logsigmoid 或 softplus。"},
                      lambda c, r, rc, rr, b: torch.where(b * ((c - rc) - (r - rr)) < -80, torch.inf,
                                                          stage3_preference.dpo_loss(c, r, rc, rr, b))),
    ),
)  # fmt: skip

LESSON = Lesson(
    13,
    "13_preference",
    {"en": "Stage 3, preference: reward model, DPO", "zh": "第三阶段，偏好：奖励模型与 DPO"},
    (SEQUENCE, BRADLEY_TERRY, DPO),
)
