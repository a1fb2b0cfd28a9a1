"""Rows for training: which tokens go in, which token each position should predict, and what counts.

A batch is a pure function of (data, seed, step), so a resumed run sees what an uninterrupted one saw.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minillm.material.corpus import Tokens
from minillm.plumbing.files import InputError


@dataclass(frozen=True)
class Batch:
    """Inputs and targets of one forward pass."""

    ids: Tensor
    """(B, T) tokens that go in."""
    targets: Tensor
    """(B, T) the token that should follow each."""
    weights: Tensor
    """(B, T) how much each target counts: 1 learned, 0 not."""
    mask: Tensor | None = None
    """(B, 1, T, T) where a position may look; plainly causal if None."""
    positions: Tensor | None = None
    """(B, T) position of each token; 0, 1, 2, … if None."""

    def to(self, device: torch.device | str) -> "Batch":
        return self.each(lambda t: t.to(device))

    def split(self, n: int) -> Iterator["Batch"]:
        """The same rows in at most `n` micro-batches."""
        size = -(-len(self.ids) // n)
        for i in range(0, len(self.ids), size):
            yield self.each(itemgetter(slice(i, i + size)))

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The same change made to all tensors."""
        changed: dict[str, Any] = {name: t if t is None else change(t) for name, t in vars(self).items()}
        return Batch(**changed)


@lru_cache(maxsize=4)
def epoch_order(n: int, epoch: int, seed: int) -> np.ndarray:
    """The numbers 0 … n-1 in the order of an epoch; kept, since a long text has millions of rows."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def shuffled(n: int, size: int, step: int, seed: int) -> list[int]:
    """The numbers of step `step`, `size` at a time, of an endless walk over 0 … n-1, each epoch in a new order."""
    chosen: list[int] = []
    first, last = step * size, (step + 1) * size
    for epoch in range(first // n, (last - 1) // n + 1):
        order = epoch_order(n, epoch, seed)
        chosen += order[max(first - epoch * n, 0) : last - epoch * n].tolist()
    return chosen


class TextRows:
    """Raw text as rows of `n_ctx` tokens, cut from one long stream of documents.

    tokens: one-dimensional array or file of ids. Raises InputError if it has fewer than two tokens:
    nothing could be predicted.
    """

    def __init__(self, tokens: Tokens, n_ctx: int, seed: int = 0):
        if len(tokens) < 2:
            raise InputError("the text has fewer than two tokens: there is nothing to predict")
        self.tokens, self.seed = tokens, seed
        self.width = min(n_ctx, len(tokens) - 1)
        self.n_rows = (len(tokens) - 1) // self.width

    def batch(self, step: int, batch_size: int) -> Batch:
        """The rows of a training step; each epoch cuts the stream at other places."""
        starts = []
        n_shifts = len(self.tokens) - self.n_rows * self.width  # the rows leave this many places to begin at
        for k, row in enumerate(shuffled(self.n_rows, batch_size, step, self.seed)):
            epoch = (step * batch_size + k) // self.n_rows
            # [seed, epoch] orders the rows; the 1 makes this another stream of random numbers
            shift = int(np.random.default_rng([self.seed, epoch, 1]).integers(n_shifts))
            starts.append(row * self.width + shift)
        return self._rows(starts)

    def in_order(self, batch_size: int, most: int | None = None) -> Iterator[Batch]:
        """All rows once, or the first `most`, in the order of the text, to measure a loss."""
        n = self.n_rows if most is None else min(most, self.n_rows)
        for i in range(0, n, batch_size):
            yield self._rows([r * self.width for r in range(i, min(i + batch_size, n))])

    def _rows(self, starts: list[int]) -> Batch:
        cut = [np.asarray(self.tokens[s : s + self.width + 1], np.int64) for s in starts]
        rows = torch.from_numpy(np.stack(cut))  # (B, T + 1)
        return Batch(rows[:, :-1], rows[:, 1:], torch.ones(len(starts), self.width))
