"""Stage 3 by reinforcement: the model writes several answers to each question, and learns from those that were
better than the others.

Group-relative policy optimisation (GRPO) needs no second network that estimates how good a state is: the other
answers to the same question are what each is compared with. As a default each step samples anew and updates once, so
that the policy that learns is the one that sampled; with `epochs` and `minibatches`, several updates share the answers.

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
from minillm.batching import Batch
from minillm.chat import Message
from minillm.checkpoint import Metrics
from minillm.finetune import TuneConfig, copy_of, finetune
from minillm.gpt import GPT
from minillm.material.corpus import Documents, data_hash
from minillm.plumbing.checks import above_0, at_least_0, at_least_1, must_be, share
from minillm.plumbing.devices import autocast, pick_device
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.stage3_preference.best_of_n import kept
from minillm.stage3_preference.rewards import Reward, named_rewards
from minillm.stage3_preference.rollouts import Prompt, Rollouts, answer_log_probs, encode_prompts, sample
from minillm.stage3_preference.rounds import Rounds
from minillm.training import MicroBatch

KL = Literal["none", "k1", "k3"]
Mean = Literal["token", "answer", "constant"]


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(TuneConfig):
    """Settings of reinforcement learning; `batch_size` counts the prompts per step."""

    steps: int = 100
    batch_size: int = 24
    lr: float = 3e-4
    method: Literal["grpo", "ppo", "rft"] = "grpo"
    """How it learns: grpo compares the answers to each prompt with one another, ppo each token with what a value head
    expected (and takes the log-ratio of each from its reward), rft imitates the best answers (rejection-sampling
    fine-tuning)."""
    reward: tuple[str, ...] = ("true-sentence",)
    """What is rewarded: truth, sentence, true-sentence, refusal, length, run:FOLDER of a reward model, or your own
    module:function; several add up."""
    group: int = 8
    """Answers to each prompt; grpo and rft compare them with one another."""
    epochs: int = 1
    """How often the answers are learned from before new ones are sampled."""
    minibatches: int = 1
    """Parts that the answers are cut into for that, one for each update; `steps` counts the updates."""
    clip_low: float = 0.2
    """A token gains nothing from becoming less likely than (1 - this) times what it was when it was sampled."""
    clip_high: float = 0.2
    """Nor from becoming more likely than (1 + this) times; more than clip_low is DAPO's clip-higher."""
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
        at_least_0(self, "beta", "clip_high")
        share(self, "clip_low")
        at_least_1(self, "max_new_tokens", "group", "epochs", "minibatches")
        if self.method != "ppo":
            must_be("at least 2: answers are compared with one another", lambda v: v >= 2, self, "group")
        answers = self.batch_size * self.group
        must_be(f"at most {answers}, the answers of a step", lambda v: v <= answers, self, "minibatches")


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


def clip_share(log_probs: Tensor, sampled: Tensor, advantages: Tensor, low: float = 0.2, high: float = 0.2) -> Tensor:
    """1 for each token whose gradient the clipping takes away, else 0; shapes stay."""
    ratio = (log_probs - sampled).exp()
    return torch.where(advantages > 0, ratio > 1 + high, (ratio < 1 - low) & (advantages < 0)).float()


def token_weights(weights: Tensor, mean: Mean, longest: int) -> Tensor:
    """What the loss of each token is multiplied by before all are added up, (R, T) -> (R, T)."""
    if mean == "token":
        return weights / weights.sum()
    lengths = weights.sum(-1, keepdim=True) if mean == "answer" else longest  # (R, T) -> (R, 1)
    return weights / lengths / len(weights)


def policy_loss(
    log_probs: Tensor,
    sampled: Tensor,
    reference: Tensor,
    advantages: Tensor,
    beta: float,
    low: float = 0.2,
    high: float = 0.2,
) -> Tensor:
    """The clipped objective plus β k3 at each token, (R, T) -> (R, T) (2402.03300, equation 3; `advantages` (R, 1))."""
    return clipped(log_probs, sampled, advantages, low, high) + beta * kl_estimate(log_probs, reference, "k3")


@dataclass(frozen=True)
class Experience:
    """Answers with what learning from them needs."""

    batch: Batch
    sampled: Tensor
    """(R, T) log-probabilities of the policy that sampled."""
    reference: Tensor
    """(R, T) those of the reference."""
    entropy: Tensor
    """(R, T)"""
    rewards: Tensor
    """(R)"""
    advantages: Tensor
    """(R, 1)"""

    def rows(self, rows: slice | Tensor) -> "Experience":
        """Some of the answers."""
        tensors = (self.sampled, self.reference, self.entropy, self.rewards, self.advantages)
        return Experience(self.batch.each(lambda t: t[rows]), *(tensor[rows] for tensor in tensors))

    def figures(self) -> Metrics:
        """What is shown of them: means over answers and over tokens."""
        tokens = self.batch.weights.sum()
        means = {
            "reward": self.rewards.mean(),
            "length": tokens / len(self.rewards),
            "kl": kl_estimate(self.sampled, self.reference).sum() / tokens,
            "entropy": self.entropy.sum() / tokens,
        }
        return {name: mean.item() for name, mean in means.items()}


class Sampler:
    """Lets the policy answer prompts, and asks the reference how likely it finds the answers.

    With LoRA the reference is the model with its adapters switched off: no second copy.
    """

    def __init__(
        self, config: GRPOConfig, base: Run, conversations: Sequence[Sequence[Message]], reward: Reward | None
    ):
        self.config, self.tokenizer = config, base.tokenizer
        self.score = reward or named_rewards(config.reward)
        self.prompts = encode_prompts(conversations, base.tokenizer, base.gpt.config.n_ctx - config.max_new_tokens)
        self.frozen = None
        if not config.lora:
            self.frozen = copy_of(base.gpt).to(pick_device(config.device)).eval().requires_grad_(False)
        self.facts: dict[str, float] = {"prompts": len(self.prompts)}
        self.data = {"prompts": data_hash(self.prompts)}
        if reward is not None:
            self.data["reward_function"] = f"{reward.__module__}.{reward.__qualname__}"

    def answers(self, model: GPT, prompts: Sequence[Prompt], seed: int) -> tuple[Rollouts, Tensor]:
        """Rollouts, and the log-probabilities of their tokens under the reference (R, T)."""
        config = self.config
        sampling = Sampling(config.max_new_tokens, config.temperature, seed=seed)
        rollouts = sample(model, self.tokenizer, prompts, self.score, sampling, config.group, config.cut_reward,
                          config.precision)  # fmt: skip
        with torch.no_grad(), lora.switched_off(model) if self.frozen is None else nullcontext():
            with autocast(model.device, config.precision):
                reference = answer_log_probs(self.frozen or model, rollouts.batch, config.temperature)  # (R, T)
        return rollouts, reference

    def greedy_reward(self, model: GPT) -> float:
        """The mean reward of what the model answers to the first prompts at temperature 0."""
        sampling = Sampling(self.config.max_new_tokens)
        some = self.prompts[:64]
        return sample(model, self.tokenizer, some, self.score, sampling, 1, self.config.cut_reward,
                      self.config.precision).rewards.mean().item()  # fmt: skip


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

    The last question of each conversation is asked. `reward` takes the place of those that `config.reward` names.
    Raises InputError if no prompt fits.
    """
    sampler = Sampler(config, base, conversations, reward)
    facts, data = sampler.facts, sampler.data
    if config.epochs * config.minibatches == 1:

        def loss(model: GPT, drawn: list[Prompt]) -> list[MicroBatch]:
            # the loop's own random state is part of its checkpoints: a resumed run draws the same seed
            return micro_batches(model, config, *sampler.answers(model, drawn, int(torch.randint(2**62, ()))))

        return finetune(config.method, config, base, sampler.prompts, loss, rehearsal, out, bar, on_step,
                        facts=facts, data=data)  # fmt: skip

    def begin(model: GPT, prompts: Sequence[int], seed: int) -> Experience:
        return experience(config, *sampler.answers(model, [sampler.prompts[i] for i in prompts], seed))

    rounds = Rounds(config, begin, sampler.greedy_reward, facts)

    def loss_of_update(model: GPT, drawn: list[int]) -> list[MicroBatch]:
        known, rows = rounds.update(model, drawn)
        return losses(model, config, known.rows(rows))

    return finetune(config.method, config, base, range(len(sampler.prompts)), loss_of_update, rehearsal, out, bar, on_step,
                    rounds.measure, rounds.attach, facts=facts, data=data)  # fmt: skip


def experience(config: GRPOConfig, rollouts: Rollouts, reference: Tensor) -> Experience:
    """The answers, compared within their groups; `reference` (R, T)."""
    sampled, rewards = rollouts.log_probs, rollouts.rewards
    if config.kl == "k1":  # r - β log(π / π_ref) of the whole answer (2203.02155, equation 2)
        rewards = rewards - config.beta * (sampled - reference).sum(-1)  # (R, T) -> (R)
    groups = rewards.view(-1, config.group)  # (R) -> (N, G)
    compared = kept(groups) if config.method == "rft" else group_advantages(groups, config.divide_by_std)
    advantages = compared.view(-1, 1)  # (N, G) -> (R, 1)
    return Experience(rollouts.batch, sampled, reference, rollouts.entropy, rollouts.rewards, advantages)


def micro_batches(model: GPT, config: GRPOConfig, rollouts: Rollouts, reference: Tensor) -> list[MicroBatch]:
    """The loss of one step on what was sampled for it, in parts that add up; `reference` (R, T)."""
    return losses(model, config, experience(config, rollouts, reference))


def losses(model: GPT, config: GRPOConfig, known: Experience) -> list[MicroBatch]:
    """The loss of one update, in parts that add up."""
    counts = token_weights(known.batch.weights, config.mean, config.max_new_tokens)  # (R, T)
    total, shown = known.batch.weights.sum(), known.figures()

    def loss_of(rows: slice) -> tuple[Tensor, Metrics]:
        part = known.rows(rows)
        with autocast(model.device, config.precision):
            log_probs = answer_log_probs(model, part.batch, config.temperature)  # (r, T)
        beta, clip = (config.beta if config.kl == "k3" else 0.0), (config.clip_low, config.clip_high)
        tokens = policy_loss(log_probs, part.sampled, part.reference, part.advantages, beta, *clip)  # (r, T)
        cut = clip_share(log_probs, part.sampled, part.advantages, *clip) * part.batch.weights  # (r, T)
        figures = {"clip_share": (cut.sum() / total).item(), "tokens": part.batch.ids.numel()}
        return (tokens * counts[rows]).sum(), figures | (shown if rows.start == 0 else {})

    return [partial(loss_of, rows) for rows in parts_of(len(known.rewards), config.accumulate)]


def parts_of(rows: int, parts: int) -> list[slice]:
    """The rows cut into slices of about equal length, `parts` of them at most."""
    size = -(-rows // parts)
    return [slice(begin, begin + size) for begin in range(0, rows, size)]
