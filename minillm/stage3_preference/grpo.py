"""Stage 3 by reinforcement: the model writes several answers to each question, and learns from those that were
better than the others.

Group-relative policy optimisation (GRPO) needs no second network that estimates how good a state is: the other
answers to the same question are what each is compared with. Each step samples anew and updates once, so that the
policy that learns is the one that sampled.

Sources: Shao et al. 2024 (2402.03300, GRPO), Liu et al. 2025 (2503.20783, Dr. GRPO), Yu et al. 2025 (2503.14476,
DAPO: the mean over tokens, clip-higher), Schulman 2020 (Approximating KL divergence: k1, k3).
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from minillm import lora
from minillm.chat import Message
from minillm.checkpoint import Metrics
from minillm.finetune import TuneConfig, copy_of, finetune
from minillm.gpt import GPT
from minillm.material.corpus import Documents, data_hash
from minillm.plumbing.checks import above_0, at_least_0, at_least_1, must_be
from minillm.plumbing.devices import autocast, pick_device
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.stage3_preference.best_of_n import kept
from minillm.stage3_preference.rewards import Reward, named_rewards
from minillm.stage3_preference.rollouts import Prompt, Rollouts, answer_log_probs, encode_prompts, sample
from minillm.training import MicroBatch

KL = Literal["none", "k1", "k3"]
Mean = Literal["token", "answer", "constant"]


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(TuneConfig):
    """Settings of reinforcement learning; `batch_size` counts the prompts per step."""

    steps: int = 100
    batch_size: int = 24
    lr: float = 3e-4
    method: Literal["grpo", "rft"] = "grpo"
    """How it learns: grpo compares the answers to each prompt with one another, rft imitates the best of them
    (rejection-sampling fine-tuning)."""
    reward: tuple[str, ...] = ("true-sentence",)
    """What is rewarded: truth, sentence, true-sentence, refusal, length, run:FOLDER of a reward model, or your own
    module:function; several add up."""
    group: int = 8
    """Answers to each prompt that are compared with one another."""
    temperature: float = 1.0
    """Of the sampling; the policy that learns has it too."""
    max_new_tokens: int = 32
    """An answer that is longer is cut."""
    cut_reward: float = 0.0
    """Reward of an answer that was cut."""
    kl: KL = "k3"
    """How the distance to the reference counts: k3 adds its estimate to the loss of each token, k1 takes the
    log-ratio of the whole answer from its reward; none leaves the policy free (DAPO)."""
    beta: float = 0.03
    """Weight of that distance."""
    divide_by_std: bool = True
    """Divide the advantages of a group by their deviation; without (Dr. GRPO), groups that agree do not count more."""
    mean: Mean = "token"
    """token: all tokens of the step count alike; answer: all answers do (GRPO as published), so that a token of a long
    one counts less; constant: the sum over max_new_tokens (Dr. GRPO), with no bias by length."""

    def __post_init__(self) -> None:
        super().__post_init__()
        above_0(self, "temperature")
        at_least_0(self, "beta")
        at_least_1(self, "max_new_tokens")
        must_be("at least 2: answers are compared with one another", lambda v: v >= 2, self, "group")


def group_advantages(rewards: Tensor, divide_by_std: bool = True) -> Tensor:
    """A = (r - mean r) / (std r + 1e-4) within each group, (N, G) -> (N, G); all 0 where the rewards are equal."""
    rewards = rewards - rewards[:, :1]  # changes nothing below, and makes equal rewards 0 to the last bit
    advantages = rewards - rewards.mean(-1, keepdim=True)
    return advantages / (rewards.std(-1, keepdim=True) + 1e-4) if divide_by_std else advantages


def kl_estimate(log_probs: Tensor, reference: Tensor, kind: KL = "k3") -> Tensor:
    """An estimate of KL(π ‖ π_ref) from each token that π drew; shapes stay.

    With u = log π_ref - log π, k1 is -u and k3 is e^u - 1 - u. The mean of both over tokens drawn from π is the
    divergence; k1 may be negative, k3 is never.
    """
    u = reference - log_probs
    if kind == "none":
        return torch.zeros_like(u)
    return -u if kind == "k1" else torch.expm1(u) - u


def clipped(log_probs: Tensor, sampled: Tensor, advantages: Tensor, low: float = 0.2, high: float = 0.2) -> Tensor:
    """-min(ρ A, clip(ρ, 1 - low, 1 + high) A) with ρ = π / π_sampled, for each token; shapes stay.

    Where π is still the one that sampled, the gradient is that of REINFORCE, -A ∇ log π. A larger `high` is DAPO's
    clip-higher: unlikely tokens that were good may grow by more.
    """
    ratio = (log_probs - sampled).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)


def token_weights(weights: Tensor, mean: Mean, longest: int) -> Tensor:
    """What the loss of each token is multiplied by before all are added up, (R, T) -> (R, T)."""
    if mean == "token":
        return weights / weights.sum()
    lengths = weights.sum(-1, keepdim=True) if mean == "answer" else longest  # (R, T) -> (R, 1)
    return weights / lengths / len(weights)


def policy_loss(log_probs: Tensor, sampled: Tensor, reference: Tensor, advantages: Tensor, beta: float) -> Tensor:
    """The clipped objective plus β k3 at each token, (R, T) -> (R, T) (2402.03300, equation 3; `advantages` (R, 1))."""
    return clipped(log_probs, sampled, advantages) + beta * kl_estimate(log_probs, reference, "k3")


def grpo(
    config: GRPOConfig,
    base: Run,
    conversations: Sequence[Sequence[Message]],
    rehearsal: Documents = (),
    out: Path | None = None,
    bar: bool = False,
    on_step: Callable[[int, Metrics], None] | None = None,
    reward: Reward | None = None,
) -> Run:
    """Tune a copy of the base model on its own answers; the base stays as it is and is the reference.

    With LoRA the reference is the model with its adapters switched off. The last question of each conversation is
    asked. `reward` takes the place of those that `config.reward` names. Raises InputError if no prompt fits.
    """
    score = reward or named_rewards(config.reward)
    prompts = encode_prompts(conversations, base.tokenizer, base.gpt.config.n_ctx - config.max_new_tokens)
    frozen = None if config.lora else copy_of(base.gpt).to(pick_device(config.device)).eval().requires_grad_(False)

    def loss(model: GPT, drawn: list[Prompt]) -> list[MicroBatch]:
        # the loop's own random state is part of its checkpoints: a resumed run draws the same seed
        sampling = Sampling(config.max_new_tokens, config.temperature, seed=int(torch.randint(2**62, ())))
        rollouts = sample(model, base.tokenizer, drawn, score, sampling, config.group, config.cut_reward,
                          config.precision)  # fmt: skip
        with torch.no_grad(), lora.switched_off(model) if frozen is None else nullcontext():
            with autocast(model.device, config.precision):
                reference = answer_log_probs(frozen or model, rollouts.batch, config.temperature)  # (R, T)
        return micro_batches(model, config, rollouts, reference)

    facts, data = {"prompts": len(prompts)}, {"prompts": data_hash(prompts)}
    if reward is not None:
        data["reward"] = f"{reward.__module__}.{reward.__qualname__}"
    return finetune(config.method, config, base, prompts, loss, rehearsal, out, bar, on_step, facts=facts, data=data)


def micro_batches(model: GPT, config: GRPOConfig, rollouts: Rollouts, reference: Tensor) -> list[MicroBatch]:
    """The loss of one step on what was sampled for it, in parts that add up; `reference` (R, T)."""
    batch, sampled, rewards = rollouts.batch, rollouts.log_probs, rollouts.rewards
    if config.kl == "k1":  # r - β log(π / π_ref) of the whole answer (2203.02155, equation 2)
        rewards = rewards - config.beta * (sampled - reference).sum(-1)  # (R, T) -> (R)
    groups = rewards.view(-1, config.group)  # (R) -> (N, G)
    compared = kept(groups) if config.method == "rft" else group_advantages(groups, config.divide_by_std)
    advantages = compared.view(-1, 1)  # (N, G) -> (R, 1)
    counts = token_weights(batch.weights, config.mean, config.max_new_tokens)  # (R, T)
    size, total = -(-len(rewards) // config.accumulate), batch.weights.sum()
    figures = {
        "reward": rollouts.rewards / len(rewards),  # (R)
        "length": batch.weights.sum(-1) / len(rewards),  # (R, T) -> (R)
        "kl": kl_estimate(sampled, reference) / total,  # (R, T)
        "entropy": rollouts.entropy / total,  # (R, T)
    }

    def loss_of(rows: slice) -> tuple[Tensor, Metrics]:
        part = batch.each(lambda tensor: tensor[rows])
        with autocast(model.device, config.precision):
            log_probs = answer_log_probs(model, part, config.temperature)  # (r, T)
        beta = config.beta if config.kl == "k3" else 0.0
        losses = policy_loss(log_probs, sampled[rows], reference[rows], advantages[rows], beta)  # (r, T)
        shown = {name: value[rows].sum().item() for name, value in figures.items()}
        return (losses * counts[rows]).sum(), shown | {"tokens": part.ids.numel()}

    return [partial(loss_of, slice(begin, begin + size)) for begin in range(0, len(rewards), size)]
