"""Best of n: write n answers and keep the one with the highest reward; nothing is trained.

Learning from what is kept is rejection-sampling fine-tuning (`rl --method rft`).

Sources: Stiennon et al. 2020 (2009.01325), Touvron et al. 2023 (2307.09288, LLaMA-2, section 3.2.3), Gao et al. 2022
(2210.10760: what happens to the true reward when n grows).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from minillm.chat import Message
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.stage3_preference.rewards import Reward
from minillm.stage3_preference.rollouts import encode_prompts, sample


def best_of_n(
    run: Run,
    conversations: Sequence[Sequence[Message]],
    reward: Reward,
    n: int,
    sampling: Sampling = Sampling(32, temperature=1.0),
    cut_reward: float = 0.0,
) -> list[tuple[str, float]]:
    """The best of n answers to the last question of each conversation, with its reward; the first of equals.

    Raises InputError if no question fits into the context; those that do not are left out.
    """
    prompts = encode_prompts(conversations, run.tokenizer, run.gpt.config.n_ctx - sampling.max_new_tokens)
    rollouts = sample(run.gpt, run.tokenizer, prompts, reward, sampling, n, cut_reward)
    best = rollouts.rewards.view(-1, n).argmax(-1).tolist()  # (R) -> (N, n) -> (N)
    rows = [i * n + k for i, k in enumerate(best)]
    return [(rollouts.answers[row], rollouts.rewards[row].item()) for row in rows]


def best_shares(answers: int, n: int) -> Tensor:
    """How often each of some answers is the best of n drawn from them without replacement, (answers): those with the
    lowest reward first. So answers drawn once give the means for every smaller n, without bias.

    The k-th lowest is the best of n where the other n - 1 are among the k - 1 below it: C(k - 1, n - 1) / C(answers, n).
    """
    return torch.tensor([math.comb(k, n - 1) / math.comb(answers, n) for k in range(answers)])


def expected_best(chosen_by: Tensor, value: Tensor, n: int) -> Tensor:
    """The mean `value` of the best of n by the reward `chosen_by`, for each prompt: 2 x (N, G) -> (N).

    Where several are as good, the first counts as the better one, as in `best_of_n`.
    """
    order = chosen_by.flip(-1).argsort(dim=-1, stable=True)  # (N, G); flipped, so that of equals the first comes last
    ranked = value.flip(-1).gather(-1, order)  # (N, G)
    return ranked.double() @ best_shares(value.shape[-1], n).double()  # (N, G) @ (G) -> (N)


def divergence(n: int) -> float:
    """ln n - (n - 1) / n: KL(best of n ‖ model) of many answers, each improbable and no two as good; less else."""
    return math.log(n) - (n - 1) / n


def kept(rewards: Tensor) -> Tensor:
    """1 for the best answer of each group, 0 for the others, (N, G) -> (N, G); none where all are equal.

    As advantages these make the policy gradient that of SFT on the answers that were kept.
    """
    best = torch.zeros_like(rewards).scatter_(-1, rewards.argmax(-1, keepdim=True), 1.0)
    return best * (rewards.amax(-1, keepdim=True) > rewards.amin(-1, keepdim=True))  # (N, G) * (N, 1)
