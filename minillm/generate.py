"""The sampling loop: ask the GPT for the next token, choose one, append it, repeat until [END].

`generate_plain` is the whole idea. `sample_steps` does the same for a batch of rows and with a cache:
`generate` collects its tokens, `stream` shows text as it comes, and a lesson steps through it to see the
candidates of each step.

Sources: Fan et al. 2018 (1805.04833, top-k), Holtzman et al. 2019 (1904.09751, top-p),
Keskar et al. 2019 (1909.05858, repetition penalty).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from minillm.gpt import GPT, causal_mask
from minillm.kv_cache import KVCache
from minillm.plumbing.checks import a_seed, above_0, at_least_0, at_least_1, must_be
from minillm.plumbing.threads import all_cores
from minillm.tokenizer import Tokenizer


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
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
    logits = (logits - logits.amax(-1, keepdim=True)) / sampling.temperature  # the largest is 0: no overflow
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None:
        logits = keep_top_p(logits, sampling.top_p)
    return logits.softmax(-1)


def choose(p: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """Draw one id per row from its distribution: (B, V) -> (B,)."""
    return p.argmax(-1) if sampling.temperature == 0 else p.multinomial(1, generator=generator)[:, 0]


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


def lay_out(rows: list[list[int]], starts: list[int], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of different lengths as ids (B, T): each from its start, after as many padded columns as (B,) says."""
    shown = [row[start:] for row, start in zip(rows, starts, strict=True)]
    width = max(map(len, shown))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in shown], device=device)
    return ids, torch.tensor([width - len(row) for row in shown], device=device)


def read(gpt: GPT, ids: Tensor, padding: Tensor, cache: KVCache) -> Tensor:
    """Scores of what follows ids that are new to the cache: (B, T) -> (B, V); padding is never looked at."""
    t, s = ids.shape[1], cache.length + ids.shape[1]
    positions = torch.arange(s, device=ids.device) - padding[:, None]  # (B, S), below 0 where padding is
    mask = causal_mask(t, s, ids.device) & (positions >= 0)[:, None, None]  # (T, S) & (B, 1, 1, S) -> (B, 1, T, S)
    return gpt(ids, mask, positions[:, -t:].clamp(min=0), cache, last_only=True)[:, -1]  # (B, 1, V) -> (B, V)


@torch.no_grad()
def sample_steps(
    gpt: GPT, prompts: list[list[int]], sampling: Sampling, stop: int | None, pad: int, cached: bool = True
) -> Iterator[Step]:
    """Yield one Step per token until every row has produced `stop` or max_new_tokens is reached.

    With `cached` each step computes the new token only; without, the whole text again (the same result,
    slower). Raises ValueError for an empty prompt.
    """
    if not all(prompts):
        raise ValueError("a prompt is empty: begin it with at least one token, such as [DOC]")
    gpt.eval()
    n_ctx, generator = gpt.config.n_ctx, torch.Generator(gpt.device).manual_seed(sampling.seed)
    rows, seen, starts = [list(prompt) for prompt in prompts], occurred(prompts, gpt), None
    running = torch.ones(len(rows), dtype=torch.bool, device=gpt.device)  # (B,)
    for left in range(sampling.max_new_tokens, 0, -1):
        if not running.any():
            return
        windows = [window_start(len(row), n_ctx) for row in rows]
        if windows != starts or not cached:  # at first, and when a row forgets: read all rows anew
            starts = windows
            ids, padding = lay_out(rows, starts, pad, gpt.device)  # (B, T), (B,)
            cache = KVCache(gpt.config, len(rows), min(ids.shape[1] + left, n_ctx), gpt.device, gpt.dtype)
        logits = read(gpt, ids, padding, cache)  # (B, T) -> (B, V)
        p = probabilities(logits, sampling, seen)
        tokens = torch.where(running, choose(p, sampling, generator), pad)  # (B,)
        yield Step(tokens, logits, p)
        ids = tokens[:, None]  # (B,) -> (B, 1), all that is new to the cache
        seen.scatter_(1, ids, True)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            row.append(token)
        if stop is not None:
            running &= tokens != stop


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
    """The text that follows each prompt, and whether the model stopped by itself; in the given order."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # of like length: little padding
    batches = [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]
    results: list[tuple[str, bool]] = [("", False)] * len(prompts)

    def rows_of(batch: list[int]) -> list[list[int]]:
        return generate(gpt, [prompts[i] for i in batch], sampling, tokenizer.end, tokenizer.pad)

    with all_cores(gpt.device.type == "cpu" and len(batches) > 1) as compute:
        for batch, rows in zip(batches, compute(rows_of, batches), strict=True):
            for i, row in zip(batch, rows, strict=True):
                results[i] = (tokenizer.decode(row).strip(), tokenizer.end in row)
    return results
