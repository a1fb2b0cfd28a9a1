"""Homework of lesson 15: reinforcement learning. Write the six functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 15`. Lesson: notebooks/en/15_reinforcement.ipynb.

第 15 课作业：强化学习。用 numpy 或 torch 写出下面六个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 15`。课文：notebooks/zh/15_reinforcement.ipynb。
"""

from torch import Tensor


def answer_weights(ids: Tensor, prompt_lengths: Tensor, end: int) -> Tensor:
    """Which tokens the model wrote itself: 1.0 for these, 0.0 for all others.

    ids: (B, T), each row a prompt, then what was sampled; prompt_lengths: (B), how many ids of each row are
    the prompt, at most T; end: the id of [END]. The answer begins right after the prompt and ends with its
    first [END], which the model wrote as well; what follows is filling and may hold any id. Without an [END]
    all of the rest is the answer: it was cut. A prompt of several turns holds [END] itself. Returns (B, T),
    floats; a row without room for an answer is all 0.

    哪些词元是模型自己写的：它们是 1.0，其余是 0.0。

    ids：(B, T)，每一行先是提示，后面是采样得到的词元；prompt_lengths：(B)，每一行有几个编号属于提示，最多 T 个；end：
    [END] 的编号。回答紧接在提示后面，到它自己的第一个 [END] 为止，这个 [END] 也是模型写的；再往后是填充，可以是任何编号。
    没有 [END] 时，剩下的全部是回答：它被截断了。多轮对话的提示里本来就有 [END]。返回 (B, T)，浮点数；没有位置留给回答的
    行全是 0。
    """
    raise NotImplementedError


def group_advantages(rewards: Tensor, divide_by_std: bool) -> Tensor:
    """How much better each answer is than the others to the same question (GRPO).

    rewards: (N, G), G answers to each of N questions, floats or whole numbers. The advantage is the reward
    minus the mean of its group; with `divide_by_std` it is then divided by (s + 1e-4), where s is the
    standard deviation of the group with G - 1 in the denominator. Returns (N, G), floats; all 0 in a group
    whose rewards are equal, and in a group of one answer.

    每个回答比同一个问题的其他回答好多少（GRPO）。

    rewards：(N, G)，N 个问题各有 G 个回答，浮点数或整数。优势是奖励减去同组的平均；如果 `divide_by_std` 为真，再除以
    (s + 1e-4)，其中 s 是组内的标准差，分母用 G - 1。返回 (N, G)，浮点数；奖励全部相等的组全是 0，只有一个回答的组也是 0。
    """
    raise NotImplementedError


def gae(rewards: Tensor, values: Tensor, lengths: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalised advantage estimates of the tokens of some answers (PPO).

    rewards and values: (B, T), the reward after each token, and the critic's estimate before it; lengths:
    (B), whole numbers from 0 to T: only the first `lengths[b]` columns of row b belong to its answer, the
    others may hold anything. Inside the answer, from its last token backwards:
    delta_t = r_t + gamma · V_{t+1} - V_t and A_t = delta_t + gamma · lam · A_{t+1}; V and A are 0 after the
    last token. Returns (B, T); 0 outside the answers.

    一些回答里每个词元的广义优势估计（generalised advantage estimation，PPO）。

    rewards 和 values：(B, T)，每个词元之后的奖励，和它之前价值网络的估计；lengths：(B)，0 到 T 的整数：第 b 行只有前
    `lengths[b]` 列属于它的回答，其余各列可以是任何数。在回答之内，从最后一个词元往回算：
    delta_t = r_t + gamma · V_{t+1} - V_t，A_t = delta_t + gamma · lam · A_{t+1}；最后一个词元之后，V 和 A 都是 0。返回
    (B, T)；回答之外是 0。
    """
    raise NotImplementedError


def clipped_loss(log_probs: Tensor, sampled: Tensor, advantages: Tensor, weights: Tensor, epsilon: float) -> Tensor:
    """PPO's clipped loss of a batch of answers, one number.

    log_probs and sampled: (B, T), log-probability of each token under the model that learns, and under the
    one that drew it; advantages: (B), one for each answer; weights: (B, T), 1.0 where the token belongs to
    the answer, else 0.0. With ratio = exp(log_probs - sampled) the loss of a token is
    -min(ratio · A, clip(ratio, 1 - epsilon, 1 + epsilon) · A). Returns the mean over the tokens of weight 1
    in the whole batch; 0 if there is none. Where the weight is 0, log-probabilities may be -inf.

    一批回答的 PPO 截断损失，一个数。

    log_probs 和 sampled：(B, T)，每个词元在正在学习的模型下、在采样它的模型下的对数概率；advantages：(B)，每个回答一个；
    weights：(B, T)，词元属于回答时是 1.0，否则是 0.0。令 ratio = exp(log_probs - sampled)，一个词元的损失是
    -min(ratio · A, clip(ratio, 1 - epsilon, 1 + epsilon) · A)。返回整个批次里权重为 1 的词元的平均；一个都没有时是 0。
    权重为 0 的地方，对数概率可能是 -inf。
    """
    raise NotImplementedError


def kl_k3(log_probs: Tensor, reference: Tensor, weights: Tensor) -> Tensor:
    """Schulman's estimate k3 of how far each answer has moved from the reference.

    log_probs and reference: (B, T), log-probability of each token under the model that drew it, and under
    the frozen reference; weights: (B, T), 1.0 where the token belongs to the answer, else 0.0. With
    u = reference - log_probs a token's estimate is exp(u) - 1 - u. Returns (B), the sum over the tokens of
    each answer; 0 for an answer without tokens. Where the weight is 0, log-probabilities may be -inf.

    估计每个回答离参考模型有多远，用 Schulman 的 k3。

    参数 log_probs 和 reference：(B, T)，每个词元在采样它的模型下、在冻结的参考模型下的对数概率；weights：(B, T)，词元属于回答时
    是 1.0，否则是 0.0。令 u = reference - log_probs，一个词元的估计是 exp(u) - 1 - u。返回 (B)，每个回答的各词元之和；
    没有词元的回答是 0。权重为 0 的地方，对数概率可能是 -inf。
    """
    raise NotImplementedError


def best_of_n(rewards: Tensor, n: int) -> list[int]:
    """Which answers best of n keeps: for each question the row of its best answer.

    rewards: (N · n), the n answers to the first question, then the n answers to the second, and so on;
    n is at least 1. An answer that was cut may have the reward -inf. Returns N row numbers, counted from
    the first row of all; among equal rewards the first.

    从 n 个回答里选一个时留下哪些：每个问题最好的回答在第几行。

    参数 rewards：(N · n)，先是第一个问题的 n 个回答，然后是第二个问题的 n 个，依此类推；n 至少是 1。被截断的回答，奖励可能是
    -inf。返回 N 个行号，从所有行的第一行数起；奖励相等时取第一个。
    """
    raise NotImplementedError
