"""Sampling: ask the GPT for the next token, choose one, append it, repeat until [END].

`generate_plain` is the whole idea; the filters above it shape the distribution that a token is drawn from.
`generate.py` does the same for a batch of rows and with a cache.

Sources: Fan et al. 2018 (1805.04833, top-k), Holtzman et al. 2019 (1904.09751, top-p),
Keskar et al. 2019 (1909.05858, repetition penalty).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from minillm.gpt import GPT
from minillm.plumbing.checks import a_seed, above_0, at_least_0, at_least_1, must_be


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Raises InputError for numbers out of range."""

    max_new_tokens: int = 64
    """Stop after this many tokens if the model does not stop by itself."""
    temperature: float = 0.0
    """0 takes the most probable token (greedy); 1 samples from the model's own probabilities."""
    top_k: int | None = None
    """Sample among the k most probable tokens only (and those as probable as the k-th)."""
    top_p: float | None = None
    """Sample among the fewest most probable tokens that together have this probability."""
    repetition_penalty: float = 1.0
    """Above 1: tokens that already occurred become less likely."""
    seed: int = 0
    """Seed of the random choice; the same seed gives the same text."""

    def __post_init__(self) -> None:
        at_least_0(self, "max_new_tokens", "temperature")
        at_least_1(self, "top_k")
        above_0(self, "repetition_penalty")
        a_seed(self, "seed")
        must_be("above 0 and at most 1", lambda p: 0 < p <= 1, self, "top_p")


@torch.no_grad()
def generate_plain(gpt: GPT, prompt: list[int], sampling: Sampling, stop: int | None) -> list[int]:
    """The new ids that follow one prompt, `stop` included: forward, choose, append; no batch, no cache."""
    gpt.eval()
    ids, generator = list(prompt), torch.Generator(gpt.device).manual_seed(sampling.seed)
    while len(ids) < len(prompt) + sampling.max_new_tokens:
        shown = ids[window_start(len(ids), gpt.config.n_ctx) :]
        logits = gpt(torch.tensor([shown], device=gpt.device))[:, -1]  # (1, T) -> (1, T, V) -> (1, V)
        p = probabilities(logits, sampling, occurred([ids], gpt))  # (1, V)
        ids.append(int(choose(p, sampling, generator)))
        if ids[-1] == stop:
            break
    return ids[len(prompt) :]


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the k largest logits of each row to -inf; ties with the k-th stay. (B, V) -> (B, V)."""
    smallest_kept = logits.topk(min(k, logits.shape[-1])).values[:, -1:]  # (B, V) -> (B, 1)
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the most probable tokens until their probabilities add up to p, at least one. (B, V) -> (B, V)."""
    ordered, order = logits.sort(descending=True, stable=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)  # probability of all that rank above
    ordered[:, 1:] = ordered[:, 1:].masked_fill(before[:, 1:] >= p, -torch.inf)
    return torch.empty_like(logits).scatter_(-1, order, ordered)  # back into the order of ids


def penalise_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Divide the positive logits of tokens that were seen, multiply the negative ones. 2 x (B, V) -> (B, V)."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def probabilities(logits: Tensor, sampling: Sampling, seen: Tensor | None = None) -> Tensor:
    """The distribution the next token is drawn from, (B, V) -> (B, V); one-hot if temperature is 0."""
    logits = logits.float()
    if seen is not None and sampling.repetition_penalty != 1:
        logits = penalise_repetition(logits, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return torch.zeros_like(logits).scatter_(-1, logits.max(-1, keepdim=True).indices, 1.0)
    logits = (logits - logits.amax(-1, keepdim=True)) / sampling.temperature  # the largest is 0: no overflow
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None:
        logits = keep_top_p(logits, sampling.top_p)
    return logits.softmax(-1)


def choose(p: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """Draw one id per row from its distribution: (B, V) -> (B,)."""
    return p.max(-1).indices if sampling.temperature == 0 else p.multinomial(1, generator=generator)[:, 0]


def occurred(rows: list[list[int]], gpt: GPT) -> Tensor:
    """(B, V), True for ids that are in the row."""
    seen = torch.zeros(len(rows), gpt.config.n_vocab, dtype=torch.bool, device=gpt.device)
    for row, ids in zip(seen, rows, strict=True):
        row[ids] = True
    return seen


def window_start(length: int, n_ctx: int) -> int:
    """First token of a row that is still seen when the row has `length` tokens.

    The policy past the context: when the context is full its older half is forgotten, and so on every
    n_ctx / 2 tokens. (Forgetting one token per step would make the cache useless.)
    """
    if length <= n_ctx:
        return 0
    half = max(1, n_ctx // 2)
    return -(-(length - n_ctx) // half) * half
