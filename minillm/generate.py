"""The sampling loop: ask the GPT for the next token, choose one, append it, repeat until [END].

All rows of a batch go through one loop (`sample_steps`). `generate` collects its tokens, `stream`
shows text as it comes, and a lesson steps through it to see the candidates of each step.

Sources: Fan et al. 2018 (1805.04833, top-k), Holtzman et al. 2019 (1904.09751, top-p),
Keskar et al. 2019 (1909.05858, repetition penalty).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from minillm.gpt import GPT, KVCache, causal_mask
from minillm.plumbing.checks import a_seed, above_0, at_least_0, at_least_1, must_be
from minillm.tokenizer import Tokenizer


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Raises InputError for numbers out of range."""

    max_new_tokens: int = 64
    """Stop after so many tokens if the model does not stop by itself."""
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
    """Make tokens that occurred less likely: divide a positive logit, multiply a negative one.

    logits: (B, V); seen: (B, V), True for tokens that occurred. Returns (B, V).
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def probabilities(logits: Tensor, sampling: Sampling, seen: Tensor | None = None) -> Tensor:
    """The distribution the next token is drawn from, (B, V) -> (B, V); one-hot if temperature is 0."""
    logits = logits.float()
    if seen is not None and sampling.repetition_penalty != 1:
        logits = penalise_repetition(logits, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
    logits = (logits - logits.amax(-1, keepdim=True)) / sampling.temperature  # the largest is 0: no overflow
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None:
        logits = keep_top_p(logits, sampling.top_p)
    return logits.softmax(-1)


def window_start(length: int, n_ctx: int) -> int:
    """First token of a row that is still seen when the row has `length` tokens.

    The policy past the context: when the context is full its older half is forgotten, and so on every
    n_ctx / 2 tokens. (Forgetting one token a step would make the cache useless.)
    """
    if length <= n_ctx:
        return 0
    half = max(1, n_ctx // 2)
    return -(-(length - n_ctx) // half) * half


@dataclass(frozen=True)
class Step:
    """One round of the loop, for all rows."""

    tokens: Tensor
    """(B,) the chosen ids; the padding id in rows that had already stopped."""
    logits: Tensor
    """(B, V) the model's scores."""
    probabilities: Tensor
    """(B, V) the distribution the ids were drawn from."""

    def candidates(self, tokenizer: Tokenizer, n: int = 5, row: int = 0) -> list[tuple[str, float, float]]:
        """The n most probable tokens: text, the model's probability, probability after the filters."""
        own = self.logits[row].float().softmax(-1)
        best = own.topk(n).indices.tolist()
        return [(tokenizer.tokens([i])[0], own[i].item(), self.probabilities[row, i].item()) for i in best]


@torch.no_grad()
def sample_steps(
    gpt: GPT, prompts: list[list[int]], sampling: Sampling, stop: int | None, pad: int, cached: bool = True
) -> Iterator[Step]:
    """Yield one Step a token until every row has produced `stop` or max_new_tokens is reached.

    Prompts may differ in length: shorter ones are padded on the left, and padding is never looked at.
    With `cached` each step computes the new token only; without, the whole text again (the same
    result, slower). Raises ValueError for an empty prompt.
    """
    if not prompts:
        return
    if not all(prompts):
        raise ValueError("a prompt is empty: begin it with at least one token, such as [DOC]")
    device, n_ctx = gpt.device, gpt.config.n_ctx
    rows = [list(prompt) for prompt in prompts]
    seen = torch.zeros(len(rows), gpt.config.n_vocab, dtype=torch.bool, device=device)
    for row, prompt in enumerate(prompts):
        seen[row, prompt] = True
    running = torch.ones(len(rows), dtype=torch.bool, device=device)
    generator = torch.Generator(device).manual_seed(sampling.seed)
    starts: list[int] = []
    gpt.eval()

    for _ in range(sampling.max_new_tokens):
        windows = [window_start(len(row), n_ctx) for row in rows]
        if windows != starts:  # at first, and when a row forgets: lay out all rows anew
            starts = windows
            width = max(len(row) - start for row, start in zip(rows, starts, strict=True))
            padding = torch.tensor([width - len(row) + start for row, start in zip(rows, starts, strict=True)])
            padding = padding.to(device)  # (B,) columns of each row that hold nothing
            ids = torch.tensor([[pad] * p + row[start:] for p, row, start in zip(padding, rows, starts, strict=True)])
            ids = ids.to(device)  # (B, width)
            cache = KVCache(gpt.config, len(rows), device)
        elif not cached:
            cache = KVCache(gpt.config, len(rows), device)
        known, total = cache.length, ids.shape[1]
        columns = torch.arange(total, device=device)  # (S,)
        positions = (columns[known:] - padding[:, None]).clamp(min=0)  # (B, T)
        visible = columns >= padding[:, None]  # (B, S)
        mask = causal_mask(total - known, total, device) & visible[:, None, None]  # (B, 1, T, S)
        logits = gpt(ids[:, known:], mask, positions, cache)[:, -1]  # (B, T) -> (B, T, V) -> (B, V)
        p = probabilities(logits, sampling, seen)
        tokens = p.argmax(-1) if sampling.temperature == 0 else p.multinomial(1, generator=generator)[:, 0]  # (B,)
        tokens = torch.where(running, tokens, pad)
        yield Step(tokens, logits, p)
        seen[torch.arange(len(rows), device=device), tokens] = True
        ids = torch.cat((ids, tokens[:, None]), dim=1)  # (B, S) -> (B, S + 1)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            row.append(token)
        if stop is not None:
            running &= tokens != stop
            if not running.any():
                return


def generate(
    gpt: GPT, prompts: list[list[int]], sampling: Sampling, stop: int | None, pad: int, cached: bool = True
) -> list[list[int]]:
    """The new ids of each row, without the prompt; `stop` is their last id where the row stopped."""
    steps = [step.tokens for step in sample_steps(gpt, prompts, sampling, stop, pad, cached)]
    if not steps:
        return [[] for _ in prompts]
    rows = torch.stack(steps, dim=1).tolist()  # N x (B,) -> (B, N)
    return [row[: row.index(stop) + 1] if stop in row else row for row in rows]


def stream(gpt: GPT, tokenizer: Tokenizer, prompt: list[int], sampling: Sampling) -> Iterator[str]:
    """Yield the continuation of one prompt as text, piece by piece, without half characters."""
    decoder = tokenizer.stream()
    for step in sample_steps(gpt, [prompt], sampling, tokenizer.end, tokenizer.pad):
        if text := decoder.push(int(step.tokens[0])):
            yield text
    if rest := decoder.finish():
        yield rest


def continuations(
    gpt: GPT, tokenizer: Tokenizer, prompts: list[list[int]], sampling: Sampling, batch_size: int = 256
) -> list[tuple[str, bool]]:
    """The text that follows each prompt, and whether the model stopped by itself; in the given order.

    Prompts of like length share a batch, so that little padding is computed.
    """
    results: list[tuple[str, bool]] = [("", False)] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for begin in range(0, len(order), batch_size):
        chosen = order[begin : begin + batch_size]
        rows = generate(gpt, [prompts[i] for i in chosen], sampling, tokenizer.end, tokenizer.pad)
        for i, row in zip(chosen, rows, strict=True):
            results[i] = (tokenizer.decode(row).strip(), tokenizer.end in row)
    return results
