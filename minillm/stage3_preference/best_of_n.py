"""Best of n: write n answers and keep the one with the highest reward; nothing is trained.

Learning from what is kept is rejection-sampling fine-tuning (`rl --method rft`).

Sources: Stiennon et al. 2020 (2009.01325), Touvron et al. 2023 (2307.09288, LLaMA-2, section 3.2.3).
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


def divergence(n: int) -> float:
    """ln n - (n - 1) / n: KL(best of n ‖ model) of many answers, each improbable and no two as good; less else."""
    return math.log(n) - (n - 1) / n


def kept(rewards: Tensor) -> Tensor:
    """1 for the best answer of each group, 0 for the others, (N, G) -> (N, G); none where all are equal.

    As advantages these make the policy gradient that of SFT on the answers that were kept.
    """
    best = torch.zeros_like(rewards).scatter_(-1, rewards.argmax(-1, keepdim=True), 1.0)
    return best * (rewards.amax(-1, keepdim=True) > rewards.amin(-1, keepdim=True))  # (N, G) * (N, 1)
