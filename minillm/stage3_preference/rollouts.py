"""Rollouts: answers that the current model writes to some prompts, with all that learning from them needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from minillm.batching import Batch
from minillm.chat import Message, clean_answer, encode_prompt
from minillm.generate import sample_steps
from minillm.gpt import GPT, token_losses
from minillm.packing import padded_batch
from minillm.plumbing.devices import autocast
from minillm.plumbing.files import InputError
from minillm.rehearsal import learned
from minillm.sampling import Sampling
from minillm.stage3_preference.rewards import Reward
from minillm.tokenizer import Tokenizer


@dataclass(frozen=True)
class Prompt:
    """A question with its ids."""

    question: str
    ids: list[int]


@dataclass(frozen=True)
class Rollouts:
    """R = N · G answers, G to each of N prompts, those to one prompt next to each other."""

    batch: Batch
    """Prompt and answer in each row; `weights` (R, T) is 1 where a target is a token of the answer."""
    log_probs: Tensor
    """(R, T) log-probability of each token of the answer as it was drawn, temperature included; 0 elsewhere."""
    entropy: Tensor
    """(R, T) of the distribution that each was drawn from, in nats; 0 elsewhere."""
    answers: list[str]
    """R texts."""
    ended: list[bool]
    """Whether each ended with [END]; one that did not was cut."""
    rewards: Tensor
    """(R)"""


def encode_prompts(conversations: Sequence[Sequence[Message]], tokenizer: Tokenizer, room: int) -> list[Prompt]:
    """The last question of each conversation, if it takes at most `room` tokens.

    Raises InputError if none does.
    """
    questions = [[m.content for m in messages if m.role == "user"][-1] for messages in conversations]
    prompts = [Prompt(question, encode_prompt(question, tokenizer)) for question in questions]
    kept = [prompt for prompt in prompts if len(prompt.ids) <= room]
    if not kept:
        raise InputError(f"none of {len(prompts)} prompts leaves room for an answer: they may have {room} tokens; "
                         "lower --max-new-tokens")  # fmt: skip
    return kept


def sample(
    model: GPT,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    reward: Reward,
    sampling: Sampling,
    group: int = 1,
    cut_reward: float = 0.0,
    precision: str = "auto",
) -> Rollouts:
    """`group` answers to each prompt; the same for the same model and `sampling.seed`.

    An answer that was cut gets `cut_reward`: what it would have become is not known.
    """
    rows = [prompt for prompt in prompts for _ in range(group)]
    training = model.training
    with autocast(model.device, precision):
        steps = sample_steps(model, [p.ids for p in rows], sampling, tokenizer.end, tokenizer.pad)
        ids, log_probs, entropy = zip(*(figures(step.tokens, step.probabilities) for step in steps), strict=True)
    model.train(training)  # sampling switches dropout off
    drawn: list[list[int]] = torch.stack(ids, 1).tolist()  # L x (R) -> (R, L)
    written = [row[: row.index(tokenizer.end) + 1] if tokenizer.end in row else row for row in drawn]
    batch = padded_batch([learned(p.ids, answer) for p, answer in zip(rows, written, strict=True)], tokenizer.pad)
    batch = batch.to(model.device)
    answers = [clean_answer(tokenizer.decode(answer)) for answer in written]
    ended = [answer[-1] == tokenizer.end for answer in written]
    rewards = [
        reward(prompt.question, answer) if whole else cut_reward
        for prompt, answer, whole in zip(rows, answers, ended, strict=True)
    ]

    def laid_out(values: Sequence[Tensor]) -> Tensor:
        """Under the targets that they belong to: L x (R) -> (R, T)."""
        table = torch.zeros_like(batch.weights)
        for row, value in enumerate(torch.stack(list(values), 1)):  # (R, L)
            table[row, batch.weights[row] > 0] = value[: len(written[row])]
        return table

    score = torch.tensor(rewards, dtype=torch.float32, device=model.device)
    return Rollouts(batch, laid_out(log_probs), laid_out(entropy), answers, ended, score)


def figures(tokens: Tensor, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (R), their log-probabilities (R) and the entropy (R) of the distribution (R, V) they were drawn from."""
    log_p = p.gather(-1, tokens[:, None])[:, 0].log()  # (R, V) -> (R, 1) -> (R)
    return tokens.clone(), log_p.clone(), torch.special.entr(p).sum(-1).clone()  # (R, V) -> (R)


def answer_log_probs(model: Callable[..., Tensor], batch: Batch, temperature: float) -> Tensor:
    """log π(token | all before) at the given temperature for each token of the answers, 0 elsewhere: (R, T)."""
    logits = model(batch.ids, batch.mask, batch.positions)  # (R, T) -> (R, T, V)
    return -token_losses(logits / temperature, batch.targets) * batch.weights  # (R, T)
