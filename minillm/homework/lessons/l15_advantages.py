"""Exercises of lesson 15, first part: which tokens are the model's own, and how good they were."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from minillm.homework.exercise import Check, Exercise, Misconception

ROLLOUTS = {"en": "Rollouts", "zh": "采样回答（rollout）"}
GRPO_PART = {"en": "Better than the others: GRPO", "zh": "比同组的好：GRPO"}
PPO_PART = {"en": "Several updates with one sample: PPO", "zh": "一次采样，多次更新：PPO"}


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


# ------------------------------------------------------------------------------------- answer_weights


def own_tokens(
    ids: Tensor, prompt_lengths: Tensor, end: int, *, shift: int = 0, ends_of_all: bool = False, with_end: bool = True
) -> Tensor:
    """1 from the prompt's end (moved by `shift`) to the first [END] behind it; of all [END], if told so."""
    behind = torch.arange(ids.shape[1]) >= prompt_lengths[:, None] + shift  # (T), (B, 1) -> (B, T)
    ends = (ids == end) if ends_of_all else (ids == end) & behind
    before = ends.cumsum(-1) - (ends.long() if with_end else 0)  # how many [END] came before
    return (behind & (before == 0)).float()


def answer_weights(ids: Tensor, prompt_lengths: Tensor, end: int) -> Tensor:
    return own_tokens(ids, prompt_lengths, end)


def all_behind(ids: Tensor, prompt_lengths: Tensor) -> Tensor:
    return torch.arange(ids.shape[1]) >= prompt_lengths[:, None]


def up_to_the_last_end(ids: Tensor, prompt_lengths: Tensor, end: int) -> Tensor:
    behind = all_behind(ids, prompt_lengths)
    ends = (ids == end) & behind
    return (behind & ((ends.flip(-1).cumsum(-1).flip(-1) > 0) | ~ends.any(-1, keepdim=True))).float()


def only_ended(ids: Tensor, prompt_lengths: Tensor, end: int) -> Tensor:
    ended = ((ids == end) & all_behind(ids, prompt_lengths)).any(-1, keepdim=True)
    return own_tokens(ids, prompt_lengths, end) * ended


def with_the_prompt(ids: Tensor, prompt_lengths: Tensor, end: int) -> Tensor:
    return torch.maximum(own_tokens(ids, prompt_lengths, end), (~all_behind(ids, prompt_lengths)).float())


def written(rng, prompts: list[int], answers: list[int], t: int, *, cut=False, turns=False, filling="pad"):
    """Rows of a prompt, an answer of some length, [END] unless cut, and filling; the id of [END] varies."""
    end = int(rng.choice([0, 2, 7]))
    others = np.array([i for i in range(1, 12) if i != end])
    ids = rng.choice(others[others > 2], (len(prompts), t))
    for row, prompt, answer in zip(ids, prompts, answers, strict=True):
        if turns:
            row[int(rng.integers(0, prompt))] = end
        if not cut and prompt + answer < t:
            row[prompt + answer] = end
            row[prompt + answer + 1 :] = others[0] if filling == "pad" else row[prompt + answer + 1 :]
            if filling == "ends":
                row[-1] = end
    return torch.from_numpy(ids), torch.tensor(prompts), end


WEIGHTS = Exercise(
    "answer_weights", ROLLOUTS, answer_weights,
    (
        Check("one-answer", 2, {"en": "1 for the tokens of the answer and its [END], 0 for the prompt and for what fills the row.",
                                "zh": "回答的词元和它的 [END] 是 1，提示和后面的填充是 0。"},
              lambda rng: [written(rng, [2], [1], 5), written(rng, [3], [int(rng.integers(2, 4))], 9)]),
        Check("cut", 1, {"en": "Without an [END] everything after the prompt is the answer; a prompt that fills its row leaves none.",
                         "zh": "没有 [END] 时，提示后面全是回答；提示占满一行时，没有回答。"},
              lambda rng: [written(rng, [1], [2], 3, cut=True), written(rng, [5], [0], 5, cut=True), written(rng, [2], [3], 5, cut=True)]),
        Check("several-rows", 2, {"en": "Each row has its own prompt length and its own [END]; the filling may hold anything, also [END].",
                                  "zh": "每一行有自己的提示长度和自己的 [END]；填充里可以有任何编号，也可以有 [END]。"},
              lambda rng: [written(rng, [1, 3], [2, 0], 6, filling="ends"),
                           written(rng, [4, 1, 2], [int(rng.integers(1, 3)), 5, 0], 9, filling="ends")]),
        Check("several-turns", 2, {"en": "An [END] inside the prompt ended an earlier turn. The answer's own is the first one after the prompt.",
                                   "zh": "提示里的 [END] 结束的是前面的轮次。回答自己的 [END] 是提示之后的第一个。"},
              lambda rng: [written(rng, [3], [2], 7, turns=True), written(rng, [4, 2], [1, 3], 8, turns=True, filling="any")]),
    ),
    (
        Misconception("prompt-counted",
                      {"en": "The prompt is counted as well. The user wrote it: learning from its tokens would reward the model for a "
                             "question that it did not choose.",
                       "zh": "提示也被算进去了。那是用户写的：从它的词元学习，等于为一个并非模型选择的问题奖励模型。"},
                      with_the_prompt),
        Misconception("filling-counted",
                      {"en": "Everything after the prompt is counted. After the first [END] the row is only filled up: the answer is over.",
                       "zh": "提示后面的全被算进去了。第一个 [END] 之后只是填充：回答已经结束。"},
                      lambda i, p, e: all_behind(i, p).float()),
        Misconception("end-left-out",
                      {"en": "The answer's [END] is left out. The model chose to stop there; without its weight it never learns when to.",
                       "zh": "回答的 [END] 没有算。在那里停下是模型自己的选择；不给它权重，模型就学不会什么时候停。"},
                      lambda i, p, e: own_tokens(i, p, e, with_end=False)),
        Misconception("one-too-early",
                      {"en": "The answer begins one token too early. With p ids of prompt the first of the answer is in column p, "
                             "counted from 0.",
                       "zh": "回答早开始了一个词元。提示有 p 个编号时，回答的第一个在第 p 列（从 0 数起）。"},
                      lambda i, p, e: own_tokens(i, p, e, shift=-1)),
        Misconception("one-too-late",
                      {"en": "The answer's first token is missing. It is in column p, right after the p ids of the prompt.",
                       "zh": "回答的第一个词元漏掉了。它在第 p 列，紧接在提示的 p 个编号后面。"},
                      lambda i, p, e: own_tokens(i, p, e, shift=1)),
        Misconception("ends-left-out-only",
                      {"en": "You leave out every [END] and keep the filling. What counts is where the first [END] after the prompt is: "
                             "it is kept, all after it is not.",
                       "zh": "你去掉了所有的 [END]，却留下了填充。要紧的是提示之后第一个 [END] 在哪里：它要留，它后面的都不要。"},
                      lambda i, p, e: (all_behind(i, p) & (i != e)).float()),
        Misconception("inside-out",
                      {"en": "0 and 1 are the wrong way round: 1.0 marks what the model wrote.",
                       "zh": "0 和 1 反了：1.0 标记的是模型写的。"},
                      lambda i, p, e: 1 - own_tokens(i, p, e)),
        Misconception("cut-answers-dropped",
                      {"en": "An answer without [END] gets no weight. It was cut, but the model wrote it all the same; whether it deserves "
                             "a reward is the reward's business.",
                       "zh": "没有 [END] 的回答没有得到权重。它被截断了，可仍然是模型写的；该不该得奖励，由奖励来决定。"},
                      only_ended),
        Misconception("first-prompt-for-all",
                      {"en": "The first row's prompt length is used for all rows. Compare with prompt_lengths[:, None], one for each row.",
                       "zh": "所有的行都用了第一行的提示长度。要和 prompt_lengths[:, None] 比较，每行各有一个。"},
                      lambda i, p, e: own_tokens(i, p[:1].expand(len(p)), e)),
        Misconception("up-to-the-last-end",
                      {"en": "You go up to the last [END] of the row. The answer ends with the first one after the prompt; later ones are "
                             "filling.",
                       "zh": "你一直算到这一行最后一个 [END]。回答到提示之后的第一个 [END] 为止；再往后的都是填充。"},
                      up_to_the_last_end),
        Misconception("end-of-the-prompt",
                      {"en": "You search [END] in the whole row and find one of the prompt, which ended an earlier turn. Search after the "
                             "prompt only.",
                       "zh": "你在整行里找 [END]，找到的是提示里的，那是前面一轮的结束。只在提示之后找。"},
                      lambda i, p, e: own_tokens(i, p, e, ends_of_all=True)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------- group_advantages

EPSILON = 1e-4


def group_advantages(rewards: Tensor, divide_by_std: bool) -> Tensor:
    return advantages(rewards.double(), divide_by_std).float()


def advantages(
    rewards: Tensor,
    divide: bool,
    spread: Callable[[Tensor], Tensor] = lambda r: r.std(-1, keepdim=True) if r.shape[-1] > 1 else torch.zeros(1),
    middle: Callable[[Tensor], Tensor] = lambda r: r.mean(-1, keepdim=True),
    epsilon: float = EPSILON,
) -> Tensor:
    """(r - middle) / (spread + ε), (N, G) -> (N, G)."""
    centred = rewards - middle(rewards)
    return centred / (spread(rewards) + epsilon) if divide else centred


def with_middle(middle: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda r, d: advantages(r.double(), d, middle=middle)


def with_spread(spread: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda r, d: advantages(r.double(), d, spread=spread)


def without_the_own(rewards: Tensor) -> Tensor:
    g = rewards.shape[-1]
    return (rewards.sum(-1, keepdim=True) - rewards) / max(1, g - 1)


def one_spread(rewards: Tensor) -> Tensor:
    """Of a group, NaN for a group of one; unlike torch's, without a warning that the student would see."""
    squares = (rewards - rewards.mean(-1, keepdim=True)) ** 2
    return (
        (squares.sum(-1, keepdim=True) / (rewards.shape[-1] - 1)).sqrt()
        if rewards.shape[-1] > 1
        else rewards * math.nan
    )


def groups(rng, n: int, g: int, size: float = 6.0):
    """Rewards far apart, and groups that differ in their means."""
    return (size * (normal(rng, n, g).sort(-1).values + torch.arange(g)) + 10 * normal(rng, n, 1) + 3)[
        :, torch.from_numpy(rng.permutation(g))
    ]


def few_equal(rng, value: float, g: int):
    rewards = groups(rng, 2, g)
    rewards[1] = value
    return rewards


GROUP = Exercise(
    "group_advantages", GRPO_PART, group_advantages,
    (
        Check("one-group", 1, {"en": "Without division: the reward minus the mean of its group.", "zh": "不除的时候：奖励减去同组的平均。"},
              lambda rng: [(groups(rng, 1, 2), False), (groups(rng, 1, 5), False)]),
        Check("several-groups", 2, {"en": "Each row is a group of its own: an answer is compared with answers to the same question.",
                                    "zh": "每一行自成一组：一个回答只和同一个问题的回答比。"},
              lambda rng: [(groups(rng, 2, 2), False), (groups(rng, 3, 4), False)]),
        Check("divided", 2, {"en": "With divide_by_std each group is divided by its own standard deviation, G - 1 in the denominator.",
                             "zh": "divide_by_std 为真时，每组除以自己的标准差，分母用 G - 1。"},
              lambda rng: [(groups(rng, 1, 2), True), (groups(rng, 3, 5) * torch.tensor([[1.0], [4.0], [9.0]]), True)]),
        Check("equal-rewards", 1, {"en": "A group whose rewards are equal has nothing to learn: advantages 0, not NaN. The 1e-4 in the "
                                         "denominator also keeps nearly equal rewards from being blown up.",
                                   "zh": "奖励全相等的组没有什么可学：优势是 0，不是 NaN。分母里的 1e-4 也防止把几乎相等的奖励放大。"},
              lambda rng: [(torch.full((1, 4), 0.5), True), (few_equal(rng, 1.0, 4), True), (few_equal(rng, 0.0, 3), True),
                           (1e-3 * groups(rng, 2, 4, 0.1), True)]),
        Check("whole-numbers", 1, {"en": "Rewards may be whole numbers, such as 0 for wrong and 1 for right; advantages are floats.",
                                   "zh": "奖励可以是整数，比如错 0 对 1；优势是浮点数。"},
              lambda rng: [(torch.tensor([[0, 1]]), False), (torch.tensor([[5, 0, 0, 1], [0, 9, 9, 9]]), True)]),
        Check("group-of-one", 1, {"en": "A single answer has nobody to be compared with: its advantage is 0.",
                                  "zh": "只有一个回答时没有可比的：优势是 0。"},
              lambda rng: [(groups(rng, 1, 1), False), (groups(rng, 3, 1), True)], edge=True),
    ),
    (
        Misconception("baseline-forgotten",
                      {"en": "The mean is not subtracted. Then every answer with a positive reward is pushed up, the worst one of its group "
                             "too.",
                       "zh": "没有减去平均。这样凡是奖励为正的回答都会被推高，连组里最差的也不例外。"},
                      with_middle(lambda r: torch.zeros(1))),
        Misconception("wrong-way-round",
                      {"en": "The sign is turned: answers above the mean of their group need a positive advantage.",
                       "zh": "符号反了：高于组平均的回答，优势应该是正的。"},
                      lambda r, d: -advantages(r.double(), d)),
        Misconception("leave-one-out",
                      {"en": "Your baseline is the mean of the other answers (that is RLOO). Here the answer itself belongs to its group's mean.",
                       "zh": "你的基线是其余回答的平均（那是 RLOO）。这里组平均要包括这个回答自己。"},
                      with_middle(without_the_own)),
        Misconception("always-divided",
                      {"en": "You divide although divide_by_std is False (Dr. GRPO leaves the division out).",
                       "zh": "divide_by_std 为 False 时你也除了（Dr. GRPO 就是不除的）。"},
                      lambda r, d: advantages(r.double(), True)),
        Misconception("mean-of-all",
                      {"en": "You subtract the mean of all rewards. Then answers to an easy question look good and those to a hard one bad; "
                             "compare inside the group: mean(-1, keepdim=True).",
                       "zh": "你减去的是所有奖励的平均。这样简单问题的回答都显得好，难题的都显得差；要在组内比较：mean(-1, keepdim=True)。"},
                      with_middle(lambda r: r.mean())),
        Misconception("mean-over-questions",
                      {"en": "The mean is taken over the questions, axis 0. The answers to one question are in a row: take it over the last "
                             "axis.",
                       "zh": "平均是沿问题的轴（轴 0）取的。同一个问题的回答在一行里：要沿最后一个轴取。"},
                      with_middle(lambda r: r.mean(0, keepdim=True))),
        Misconception("never-divided",
                      {"en": "divide_by_std is not used: with True each group is divided by its standard deviation + 1e-4.",
                       "zh": "没有用 divide_by_std：它为 True 时，每组要除以标准差 + 1e-4。"},
                      lambda r, d: advantages(r.double(), False)),
        Misconception("deviation-of-all",
                      {"en": "You divide by the standard deviation of all rewards. Each group has its own.",
                       "zh": "你除以的是所有奖励的标准差。每组用自己的。"},
                      with_spread(lambda r: r.std())),
        Misconception("denominator-g",
                      {"en": "Your standard deviation has G in the denominator (numpy's default, or correction=0). Here it is G - 1.",
                       "zh": "你的标准差分母是 G（numpy 的默认，或 correction=0）。这里用 G - 1。"},
                      with_spread(lambda r: r.std(-1, keepdim=True, correction=0))),
        Misconception("epsilon-missing",
                      {"en": "The 1e-4 in the denominator is missing, or another number stands there: equal rewards give 0 / 0 = NaN, and "
                             "nearly equal ones huge advantages.",
                       "zh": "分母里少了 1e-4，或者用了别的数：奖励相等时会得到 0 / 0 = NaN，几乎相等时优势会变得很大。"},
                      lambda r, d: advantages(r.double(), d, epsilon=0.0),
                      (*(lambda r, d, e=e: advantages(r.double(), d, epsilon=e) for e in (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)),
                       lambda r, d: advantages(r.double(), d, one_spread, epsilon=0.0),
                       *(lambda r, d, e=e: advantages(r.double(), d, one_spread, epsilon=e) for e in (1e-5, 1e-6, 1e-8)))),
        Misconception("whole-numbers-kept",
                      {"en": "torch takes no mean of whole numbers: convert the rewards first, rewards.float().",
                       "zh": "torch 不能对整数取平均：先转换奖励，rewards.float()。"},
                      advantages,
                      (lambda r, d: advantages(r, d, one_spread),)),
        Misconception("deviation-of-one",
                      {"en": "The standard deviation of a single number with G - 1 in the denominator is 0 / 0 = NaN. A group of one gets 0.",
                       "zh": "只有一个数时，分母为 G - 1 的标准差是 0 / 0 = NaN。一个回答的组应得 0。"},
                      with_spread(one_spread)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- GAE


def estimates(
    rewards: Tensor,
    values: Tensor,
    lengths: Tensor,
    gamma: float,
    lam: float,
    *,
    own: float = 1.0,
    following: float = 1.0,
    trace: float | None = None,
    beyond: bool = False,
    restart: bool = True,
) -> Tensor:
    """δ = r + `following` γ V' - `own` V, A = δ + `trace` A'; `beyond` takes V' after the end from the filling."""
    trace = gamma * lam if trace is None else trace
    found, later = torch.zeros(rewards.shape, dtype=torch.float64), 0.0
    for row in range(len(rewards)):
        size = int(lengths[row])
        later = 0.0 if restart else later
        next_value = float(values[row, size]) if beyond and size < rewards.shape[1] else 0.0
        for t in reversed(range(size)):
            delta = float(rewards[row, t]) + following * gamma * next_value - own * float(values[row, t])
            later = delta + trace * later
            found[row, t], next_value = later, float(values[row, t])
    return found.float()


def gae(rewards: Tensor, values: Tensor, lengths: Tensor, gamma: float, lam: float) -> Tensor:
    return estimates(rewards, values, lengths, gamma, lam)


def whole_rows(rewards: Tensor, values: Tensor, lengths: Tensor, gamma: float, lam: float) -> Tensor:
    return estimates(rewards, values, torch.full_like(lengths, rewards.shape[1]), gamma, lam)


def forwards(rewards: Tensor, values: Tensor, lengths: Tensor, gamma: float, lam: float) -> Tensor:
    deltas = estimates(rewards, values, lengths, gamma, lam, trace=0.0)
    found, sofar = torch.zeros_like(deltas), torch.zeros(len(deltas))
    for t in range(deltas.shape[1]):
        sofar = deltas[:, t] + gamma * lam * sofar
        found[:, t] = sofar
    return found * inside(rewards, lengths)


def inside(table: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(table.shape[1]) < lengths[:, None]  # (T), (B, 1) -> (B, T)


def multiplied(rewards: Tensor, values: Tensor, lengths: Tensor, gamma: float, lam: float) -> Tensor:
    within = inside(rewards, lengths).float()
    return whole_rows(rewards * within, values * within, lengths, gamma, lam)


def unzeroed(rewards: Tensor, values: Tensor, lengths: Tensor, gamma: float, lam: float) -> Tensor:
    return torch.where(inside(rewards, lengths), estimates(rewards, values, lengths, gamma, lam), rewards)


def episode(rng, lengths: list[int], t: int, gamma: float, lam: float):
    return normal(rng, len(lengths), t) + 2, 2 * normal(rng, len(lengths), t) - 3, torch.tensor(lengths), gamma, lam


def filled_with_nothing(rewards, values, lengths, gamma, lam):
    """Behind the answers are no numbers: 0 times NaN is NaN."""
    outside = ~inside(rewards, lengths)
    return rewards.masked_fill(outside, math.nan), values.masked_fill(outside, math.nan), lengths, gamma, lam


GAE = Exercise(
    "gae", PPO_PART, gae,
    (
        Check("one-token", 1, {"en": "An answer of one token: A = r - V, what came less what was expected.",
                               "zh": "只有一个词元的回答：A = r - V，得到的减去预期的。"},
              lambda rng: [episode(rng, [1], 1, 0.9, 0.5), episode(rng, [1, 1], 1, 1.0, 1.0)]),
        Check("one-step", 2, {"en": "With lam = 0 only the next value counts: A_t = r_t + gamma · V_{t+1} - V_t.",
                              "zh": "lam = 0 时只看下一个价值：A_t = r_t + gamma · V_{t+1} - V_t。"},
              lambda rng: [episode(rng, [2], 2, 0.5, 0.0), episode(rng, [4], 4, 0.8, 0.0)]),
        Check("whole-answer", 2, {"en": "A_t adds gamma · lam times the advantage of the next token, from the last one backwards.",
                                  "zh": "A_t 再加上下一个词元的优势的 gamma · lam 倍，从最后一个往回算。"},
              lambda rng: [episode(rng, [2], 2, 0.5, 0.5), episode(rng, [5], 5, 0.9, 0.7), episode(rng, [4], 4, 0.6, 1.0)]),
        Check("lengths", 2, {"en": "Each row ends after its own length: nothing behind it counts, and the result there is 0.",
                             "zh": "每一行到自己的长度为止：后面的都不算，那里的结果是 0。"},
              lambda rng: [episode(rng, [1], 3, 0.9, 0.8), episode(rng, [2, 0, 4, 3], 4, 0.9, 0.8), episode(rng, [3, 1], 5, 0.7, 0.6),
                           filled_with_nothing(*episode(rng, [2, 3], 4, 0.9, 0.5))]),
    ),
    (
        Misconception("value-not-subtracted",
                      {"en": "V_t is not subtracted: what you add up are returns. An advantage says how much better it came than expected.",
                       "zh": "没有减去 V_t：你加起来的是回报。优势说的是比预期好多少。"},
                      lambda *a: estimates(*a, own=0.0)),
        Misconception("wrong-way-round",
                      {"en": "The sign is turned: a reward above the estimate is good news, a positive advantage.",
                       "zh": "符号反了：奖励高于估计是好消息，优势为正。"},
                      lambda *a: -estimates(*a)),
        Misconception("next-value-missing",
                      {"en": "gamma · V_{t+1} is missing in delta: what comes later is worth something too.",
                       "zh": "delta 里少了 gamma · V_{t+1}：后面的也有价值。"},
                      lambda *a: estimates(*a, following=0.0)),
        Misconception("gamma-not-used",
                      {"en": "gamma is not used: what comes one token later counts gamma times as much.",
                       "zh": "没有用 gamma：晚一个词元到来的，只算 gamma 倍。"},
                      lambda r, v, n, g, lam: estimates(r, v, n, 1.0, lam)),
        Misconception("lam-not-used",
                      {"en": "lam is not used: you add gamma · A_{t+1}. With lam = 0 nothing of it remains, with lam = 1 all.",
                       "zh": "没有用 lam：你加的是 gamma · A_{t+1}。lam = 0 时一点不加，lam = 1 时全加。"},
                      lambda r, v, n, g, lam: estimates(r, v, n, g, 1.0)),
        Misconception("only-one-step",
                      {"en": "You return delta alone. The advantage also adds gamma · lam · A_{t+1}.",
                       "zh": "你只返回了 delta。优势还要加上 gamma · lam · A_{t+1}。"},
                      lambda *a: estimates(*a, trace=0.0)),
        Misconception("gamma-missing-in-the-sum",
                      {"en": "You add lam · A_{t+1}. A later advantage is discounted as well: gamma · lam.",
                       "zh": "你加的是 lam · A_{t+1}。后面的优势也要打折：gamma · lam。"},
                      lambda r, v, n, g, lam: estimates(r, v, n, g, lam, trace=lam)),
        Misconception("forwards",
                      {"en": "You add up from the first token on. Then a token is praised for what came before it; go backwards from the last.",
                       "zh": "你从第一个词元往后累加。这样词元会因为它之前的事受到表扬；要从最后一个往回算。"},
                      forwards),
        Misconception("lengths-ignored",
                      {"en": "The columns behind the answer are computed as well, and flow back into it. Begin at its last token.",
                       "zh": "回答后面的列也被算了，还流回到回答里。要从回答的最后一个词元开始。"},
                      whole_rows,
                      (lambda r, v, n, g, lam: whole_rows(r, v, n, g, lam) * inside(r, n),)),
        Misconception("value-of-the-filling",
                      {"en": "After the last token you take V from the filling. The answer is over there: V is 0.",
                       "zh": "最后一个词元之后，你用了填充里的 V。回答已经结束，V 是 0。"},
                      lambda *a: estimates(*a, beyond=True)),
        Misconception("filling-not-zero",
                      {"en": "Outside the answer something is left: there the result is 0, whatever the arguments hold.",
                       "zh": "回答之外留下了东西：不管参数里是什么，那里的结果都是 0。"},
                      unzeroed),
        Misconception("carried-into-the-next-row",
                      {"en": "The advantage of one row is carried on into the next: set it to 0 at the end of each answer.",
                       "zh": "上一行的优势带进了下一行：每个回答从末尾开始时都要归零。"},
                      lambda *a: estimates(*a, restart=False)),
    ),
    slips=(
        Misconception("filling-times-zero",
                      {"en": "You multiply the filling by 0. It may hold anything, and 0 times NaN is NaN: select with `torch.where`, or do not "
                             "read it.",
                       "zh": "你把填充乘以 0。填充可以是任何数，而 0 乘 NaN 还是 NaN：用 `torch.where` 选取，或者干脆不读它。"},
                      multiplied,
                      (lambda r, v, n, g, lam: torch.where(inside(r, n), multiplied(r, v, n, g, lam), 0.0),)),
    ),
)  # fmt: skip
