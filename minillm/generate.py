"""Generating for a batch of rows, with a KV cache: the loop of `sampling.generate_plain`, made fast.

`sample_steps` yields one step of all rows at a time: `generate` collects its tokens, `stream` shows text as it
comes, and a lesson steps through it to see the candidates of each step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from minillm.gpt import GPT, causal_mask
from minillm.kv_cache import KVCache
from minillm.plumbing.distributed import shared, sharers
from minillm.plumbing.one_position import OnePosition
from minillm.plumbing.threads import all_cores, one_thread
from minillm.sampling import Sampling, choose, occurred, probabilities, window_start
from minillm.tokenizer import Tokenizer


@dataclass(frozen=True)
class Step:
    """One round of the loop, for all rows. Its tensors are made in inference mode: clone them to learn from them."""

    tokens: Tensor
    """(B,) the chosen ids; the padding id in rows that had already stopped."""
    logits: Tensor
    """(B, V) the model's scores."""
    drawn_from: Tensor | None = None
    """(B, V) the distribution the ids were drawn from; None if it is the most probable token for certain."""

    @cached_property
    def probabilities(self) -> Tensor:
        """(B, V) the distribution the ids were drawn from."""
        return probabilities(self.logits, Sampling()) if self.drawn_from is None else self.drawn_from

    def candidates(self, tokenizer: Tokenizer, n: int = 5, row: int = 0) -> list[tuple[str, float, float]]:
        """The n most probable tokens: text, the model's probability, probability after the filters."""
        own = self.logits[row].float().softmax(-1)
        best = own.topk(n).indices.tolist()
        return [(tokenizer.tokens([i])[0], own[i].item(), self.probabilities[row, i].item()) for i in best]


def lay_out(rows: list[list[int]], starts: list[int], pad: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Rows of different lengths as ids (B, T): each from its start, after as many padded columns as (B,) says.

    Rows of the same length need no padding: None.
    """
    shown = [row[start:] for row, start in zip(rows, starts, strict=True)]
    padding = [max(map(len, shown)) - len(row) for row in shown]
    ids = torch.tensor([[pad] * n + row for n, row in zip(padding, shown, strict=True)], device=device)
    return ids, torch.tensor(padding, device=device) if any(padding) else None


def read(gpt: GPT, ids: Tensor, padding: Tensor | None, cache: KVCache) -> Tensor:
    """Scores of what follows ids that are new to the cache: (B, T) -> (B, V); padding is never looked at."""
    mask = positions = None
    if padding is not None:
        t, s = ids.shape[1], cache.length + ids.shape[1]
        positions = torch.arange(s, device=ids.device) - padding[:, None]  # (B, S), below 0 where padding is
        mask = causal_mask(t, s, ids.device) & (positions >= 0)[:, None, None]  # (T, S) & (B, 1, 1, S) -> (B, 1, T, S)
        positions = positions[:, -t:].clamp(min=0)  # (B, S) -> (B, T)
    return gpt(ids, mask, positions, cache, last_only=True)[:, -1]  # (B, 1, V) -> (B, V)


def read_parts(gpt: GPT, ids: Tensor, padding: Tensor | None, caches: list[KVCache]) -> Tensor:
    """The same, of rows that lie in several caches: of processes that work alike, each fills and reads its own."""
    if len(caches) == 1:
        return read(gpt, ids, padding, caches[0])
    rows = caches[0].keys.shape[1]  # in each of them, but perhaps fewer in the last
    paddings = [None] * len(caches) if padding is None else padding.split(rows)  # (B,) -> N x (b,)
    parts = list(zip(ids.split(rows), paddings, caches, strict=True))  # (B, T) -> N x (b, T)
    return torch.cat(list(shared(lambda part: read(gpt, *part), parts)))  # N x (b, V) -> (B, V)


@torch.inference_mode()
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
    rows, starts = [list(prompt) for prompt in prompts], None
    seen = occurred(prompts, gpt) if sampling.repetition_penalty != 1 else None  # (B, V)
    running = torch.ones(len(rows), dtype=torch.bool, device=gpt.device)  # (B,)
    tokens = torch.empty(0)
    greedy, fast = sampling.temperature == 0 and seen is None, OnePosition.is_for(gpt, len(rows))
    together = max(1, len(rows) if fast else -(-len(rows) // sharers()))  # rows in one cache
    for left in range(sampling.max_new_tokens, 0, -1):
        if not rows or (stop is not None and not running.any()):
            return
        windows = [window_start(len(row), n_ctx) for row in rows]
        with one_thread(fast and OnePosition.is_small(gpt)):
            if windows != starts or not cached:  # at first, and when a row forgets: read all rows anew
                starts = windows
                ids, padding = lay_out(rows, starts, pad, gpt.device)  # (B, T), (B,)
                room = min(ids.shape[1] + left, n_ctx)
                caches = [KVCache(gpt.config, len(part), room, gpt.device, gpt.dtype) for part in ids.split(together)]
                one = OnePosition(gpt, len(rows)) if fast and padding is None else None
                logits = read_parts(gpt, ids, padding, caches)  # (B, T) -> (B, V)
            elif one is not None:  # the last tokens are all that is new to the cache: (B,) -> (B, V)
                logits = one(tokens, caches[0])
            else:
                logits = read_parts(gpt, tokens[:, None], padding, caches)
            p = None if greedy else probabilities(logits, sampling, seen)
            tokens = logits.max(-1).indices if p is None else choose(p, sampling, generator)  # (B, V) -> (B,)
        if stop is not None:
            tokens = torch.where(running, tokens, pad)
            running &= tokens != stop
        yield Step(tokens, logits, p)
        if seen is not None:
            seen.scatter_(1, tokens[:, None], True)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            row.append(token)


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
