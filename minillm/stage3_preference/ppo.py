"""Stage 3 by PPO: each token is compared with what a value head expected at that point of the answer.

The value head reads the model's last hidden state and guesses the reward that is still to come. A token after which more
came than the head expected becomes likelier. GRPO does without it, by comparing whole answers to one prompt.

Sources: Schulman et al. 2017 (1707.06347, PPO), Schulman et al. 2015 (1506.02438, GAE), Ouyang et al. 2022 (2203.02155,
InstructGPT: the distance to the reference is part of the reward), Huang et al. 2024 (2403.17031, the details).
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from minillm.batching import Batch
from minillm.chat import Message
from minillm.checkpoint import Metrics
from minillm.finetune import finetune
from minillm.gpt import GPT, token_losses
from minillm.material.corpus import Documents
from minillm.plumbing.checks import at_least_0, must_be
from minillm.plumbing.devices import autocast
from minillm.run_folder import Run
from minillm.stage3_preference.grpo import Experience, GRPOConfig, Sampler, clip_share, clipped, parts_of
from minillm.stage3_preference.rewards import Reward
from minillm.stage3_preference.rollouts import Rollouts
from minillm.stage3_preference.rounds import Rounds
from minillm.training import MicroBatch


@dataclass(frozen=True, kw_only=True)
class PPOConfig(GRPOConfig):
    """Settings of reinforcement learning, those of PPO included."""

    gamma: float = 1.0
    """ppo: what a reward one token later is worth; at 1, an answer is worth its reward however long it is."""
    gae_lambda: float = 0.95
    """ppo: 1 trusts the rewards that came, 0 the value of the next token."""
    whiten: bool = True
    """ppo: bring the advantages of a round to mean 0 and deviation 1."""
    value_rate: float = 30.0
    """ppo: how much faster than the model the value head learns."""
    value_weight: float = 0.01
    """ppo: weight of the value head's loss. AdamW learns the same whatever it is; but it should not fill the length to
    which the gradient is shortened."""
    value_clip: float = 0.2
    """ppo: a value gains nothing from moving further than this from what it was when the answers were sampled."""
    entropy_weight: float = 0.0
    """ppo: reward for staying undecided, per nat."""

    def __post_init__(self) -> None:
        super().__post_init__()
        must_be("from 0 to 1", lambda v: 0 <= v <= 1, self, "gamma", "gae_lambda")
        at_least_0(self, "value_rate", "value_weight", "value_clip", "entropy_weight")


OWN = tuple(f.name for f in fields(PPOConfig) if f.name not in {f.name for f in fields(GRPOConfig)})
"""The settings of PPO alone."""


class ValueHead(nn.Module):
    """What is still to come, from the last hidden state: (R, T, C) -> (R, T). It is 0 at first.

    It reads the state that goes into the output layer and leaves it as it is: no gradient goes from it into the model.
    """

    def __init__(self, channels: int, rate: float):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(1))
        self.rate = rate
        self.seen = threading.local()  # micro-batches are computed at the same time

    def listen(self, model: GPT) -> RemovableHandle:
        """See what the output layer is given, each time that the model is called, until the handle is removed."""

        def remember(layer: nn.Module, inputs: tuple[Tensor]) -> None:
            self.seen.hidden = inputs[0].detach()

        return model.lm_head.register_forward_pre_hook(remember)

    def forward(self) -> Tensor:
        """The values of what the model was last called with in this thread, (R, T)."""
        hidden = self.seen.hidden.float()
        return self.rate * (hidden @ self.weight / hidden.shape[-1] ** 0.5 + self.bias)  # (R, T, C) @ (C) -> (R, T)


def gae(rewards: Tensor, values: Tensor, weights: Tensor, gamma: float = 1.0, lam: float = 0.95) -> Tensor:
    """δ_t = r_t + γ V_{t+1} - V_t and A_t = δ_t + γ λ A_{t+1} for the tokens of each answer (1506.02438, equations 10
    to 16), 0 elsewhere: 3 x (R, T) -> (R, T). `weights` is 1 at them; they follow one another, and after the last comes
    nothing.
    """
    advantages = torch.zeros_like(values)
    value_after = advantage_after = torch.zeros_like(values[:, 0])  # (R)
    for t in range(values.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * value_after - values[:, t]  # (R)
        advantage_after = (delta + gamma * lam * advantage_after) * weights[:, t]  # (R)
        value_after = values[:, t] * weights[:, t]  # (R)
        advantages[:, t] = advantage_after
    return advantages


def token_rewards(scores: Tensor, sampled: Tensor, reference: Tensor, weights: Tensor, beta: float) -> Tensor:
    """-β log(π / π_ref) at each token, and the answer's reward at its last one: (R), 3 x (R, T) -> (R, T)."""
    last = weights * (weights.cumsum(-1) == weights.sum(-1, keepdim=True))  # (R, T)
    return -beta * (sampled - reference) * weights + scores[:, None] * last


def whitened(values: Tensor, weights: Tensor) -> Tensor:
    """(x - mean x) / (std x + 1e-8) over the tokens that count, 0 elsewhere; shapes stay."""
    mean = (values * weights).sum() / weights.sum()
    variance = ((values - mean).square() * weights).sum() / weights.sum()
    return (values - mean) / (variance.sqrt() + 1e-8) * weights


def value_loss(values: Tensor, sampled: Tensor, returns: Tensor, clip: float) -> Tensor:
    """½ max((V - R)², (V_clipped - R)²), where V_clipped is at most `clip` from the value when the answers were sampled;
    shapes stay."""
    near = torch.clamp(values, sampled - clip, sampled + clip)
    return 0.5 * torch.maximum((values - returns).square(), (near - returns).square())


@dataclass(frozen=True)
class Valued:
    """Answers, and what was expected at each of their tokens."""

    known: Experience
    """Its advantages are (R, T)."""
    values: Tensor
    """(R, T) when they were sampled."""
    returns: Tensor
    """(R, T) what the values should have been."""

    def rows(self, rows: slice | Tensor) -> "Valued":
        """Some of the answers."""
        return Valued(self.known.rows(rows), self.values[rows], self.returns[rows])


def judged(model: GPT, head: ValueHead, batch: Batch, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """log π of each token of the answers, the values before them, the entropy there: 3 x (R, T), 0 elsewhere."""
    logits = model(batch.ids, batch.mask, batch.positions) / temperature  # (R, T) -> (R, T, V)
    values, log_p = head(), logits.float().log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)  # (R, T, V) -> (R, T)
    return -token_losses(logits, batch.targets) * batch.weights, values * batch.weights, entropy * batch.weights


@torch.no_grad()
def valued(model: GPT, head: ValueHead, config: PPOConfig, rollouts: Rollouts, reference: Tensor) -> Valued:
    """What the head expected of each answer, and how each token compares with that; `reference` (R, T)."""
    batch, sampled, training = rollouts.batch, rollouts.log_probs, model.training
    model.eval()
    with autocast(model.device, config.precision):
        model(batch.ids, batch.mask, batch.positions)
        values = head() * batch.weights  # (R, T)
    model.train(training)
    beta = 0.0 if config.kl == "none" else config.beta
    rewards = token_rewards(rollouts.rewards, sampled, reference, batch.weights, beta)  # (R, T)
    advantages = gae(rewards, values, batch.weights, config.gamma, config.gae_lambda)  # (R, T)
    returns = advantages + values
    if config.whiten:
        advantages = whitened(advantages, batch.weights)
    known = Experience(batch, sampled, reference, rollouts.entropy, rollouts.rewards, advantages)
    return Valued(known, values, returns)


def losses(model: GPT, head: ValueHead, config: PPOConfig, data: Valued) -> list[MicroBatch]:
    """The loss of one update, in parts that add up: clipped ratio, value, entropy; the mean over all tokens."""
    total, shown = data.known.batch.weights.sum(), data.known.figures()
    clip = config.clip_low, config.clip_high

    def loss_of(rows: slice) -> tuple[Tensor, Metrics]:
        part, known = data.rows(rows), data.known.rows(rows)
        weights = known.batch.weights / total  # (r, T)
        with autocast(model.device, config.precision):
            log_probs, values, entropy = judged(model, head, known.batch, config.temperature)  # 3 x (r, T)
        policy = clipped(log_probs, known.sampled, known.advantages, *clip)  # (r, T)
        value = value_loss(values, part.values, part.returns, config.value_clip)  # (r, T)
        cut = clip_share(log_probs, known.sampled, known.advantages, *clip)  # (r, T)
        loss = policy + config.value_weight * value - config.entropy_weight * entropy  # (r, T)
        figures = {"value_loss": value, "clip_share": cut}
        own = {name: (figure * weights).sum().item() for name, figure in figures.items()}
        own["tokens"] = known.batch.ids.numel()
        return (loss * weights).sum(), own | (shown if rows.start == 0 else {})

    return [partial(loss_of, rows) for rows in parts_of(len(data.values), config.accumulate)]


def ppo(
    config: PPOConfig,
    base: Run,
    conversations: Sequence[Sequence[Message]],
    rehearsal: Documents = (),
    out: Path | None = None,
    bar: bool = False,
    on_step: Callable[[int, Metrics], None] | None = None,
    reward: Reward | None = None,
) -> Run:
    """Tune a copy of the base model on its own answers; the base stays as it is and is the reference.

    The last question of each conversation is asked. `reward` takes the place of those that `config.reward` names. The
    value head is not saved. Raises InputError if no prompt fits.
    """
    config = replace(config, method="ppo")
    sampler = Sampler(config, base, conversations, reward)
    head = ValueHead(base.gpt.config.n_embd, config.value_rate)

    def begin(model: GPT, prompts: Sequence[int], seed: int) -> Valued:
        return valued(model, head, config, *sampler.answers(model, [sampler.prompts[i] for i in prompts], seed))

    rounds = Rounds(config, begin, sampler.greedy_reward, sampler.facts, {"value_head": head})

    handles: list[RemovableHandle] = []

    def attach(model: GPT) -> None:
        rounds.attach(model)
        handles.append(head.listen(model))

    def loss(model: GPT, drawn: list[int]) -> list[MicroBatch]:
        data, rows = rounds.update(model, drawn)
        return losses(model, head, config, data.rows(rows))

    run = finetune("ppo", config, base, range(len(sampler.prompts)), loss, rehearsal, out, bar, on_step,
                   rounds.measure, attach, facts=sampler.facts, data=sampler.data)  # fmt: skip
    for handle in handles:
        handle.remove()
    return run
