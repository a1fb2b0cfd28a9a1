"""Homework of lesson 13: preference. Write the three functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 13`. Lesson: notebooks/en/13_preference.ipynb.
"""

from torch import Tensor


def sequence_log_probs(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """log p(answer | prompt) of each row: the sum of the log-probabilities of the answer's tokens, in nats.

    logits: (B, T, V), the model's scores at every position; targets: (B, T), the token that follows at
    each position (already shifted); weights: (B, T), 1.0 where the target is a token of the answer or its
    [END], 0.0 in the prompt and in the padding. Returns (B); 0 for a row without an answer. Logits of
    several hundred must give finite numbers.
    """
    raise NotImplementedError


def bradley_terry_loss(chosen_rewards: Tensor, rejected_rewards: Tensor) -> Tensor:
    """The loss of a reward model on pairs: -log σ(r_chosen - r_rejected) of each pair.

    Both arguments: (N), any real numbers. Returns (N), one loss a pair (not their mean). Differences of
    1,000 in either direction must give finite numbers: nearly 0, or nearly the difference.
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
    """
    raise NotImplementedError
