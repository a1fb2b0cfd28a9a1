"""Homework of lesson 13: preference. Write the three functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 13`. Lesson: notebooks/en/13_preference.ipynb.

第 13 课作业：偏好。用 numpy 或 torch 写出下面三个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 13`。课文：notebooks/zh/13_preference.ipynb。
"""

from torch import Tensor


def sequence_log_probs(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """log p(answer | prompt) of each row: the sum of the log-probabilities of the answer's tokens, in nats.

    logits: (B, T, V), the model's scores at every position; targets: (B, T), the token that follows at
    each position (already shifted); weights: (B, T), 1.0 where the target is a token of the answer or its
    [END], 0.0 in the prompt and in the padding. Returns (B); 0 for a row without an answer. Logits of
    several hundred must give finite numbers.

    每一行的 log p(回答 | 提示)：回答里各个词元的对数概率之和，单位是奈特。

    logits：(B, T, V)，模型在每个位置上的分数；targets：(B, T)，每个位置后面的词元（已经错开一位）；weights：(B, T)，
    目标是回答的词元或它的 [END] 时是 1.0，在提示和填充里是 0.0。返回 (B)；没有回答的行是 0。logits 大到几百时，结果也
    必须是有限的数。
    """
    raise NotImplementedError


def bradley_terry_loss(chosen_rewards: Tensor, rejected_rewards: Tensor) -> Tensor:
    """The loss of a reward model on pairs: -log σ(r_chosen - r_rejected) of each pair.

    Both arguments: (N), any real numbers. Returns (N), one loss a pair (not their mean). Differences of
    1,000 in either direction must give finite numbers: nearly 0, or nearly the difference.

    奖励模型在成对数据上的损失：每一对的 -log σ(r_chosen - r_rejected)。

    两个参数：(N)，任意实数。返回 (N)，每对一个损失（不是它们的平均值）。差值往哪个方向大到 1,000，结果都必须是有限的
    数：接近 0，或者接近差值的大小。
    """
    raise NotImplementedError


def dpo_loss(
    chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, beta: float
) -> Tensor:
    """The DPO loss of each pair: -log σ(beta · margin).

    margin = (chosen - reference_chosen) - (rejected - reference_rejected). The four tensors, (N), are
    log-probabilities of whole answers, under the model that is tuned and under the frozen reference.
    Returns (N), one loss a pair; ln 2 where the model is the reference. Margins of 1,000 in either
    direction must give finite numbers.

    每一对的 DPO 损失：-log σ(beta · margin)。

    margin = (chosen - reference_chosen) - (rejected - reference_rejected)。四个张量都是 (N)，是整个回答的对数概率，前
    两个来自正在微调的模型，reference 的两个来自冻结的参考模型。返回 (N)，每对一个损失；模型就是参考模型时是 ln
    2。margin 往哪个方向大到 1,000，结果都必须是有限的数。
    """
    raise NotImplementedError
