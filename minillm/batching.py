"""Rows for training: which tokens go in, which token each position should predict, and what counts.

A batch is a pure function of (data, seed, step), so a resumed run sees what an uninterrupted one saw.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from minillm.chat import Dialogue
from minillm.gpt import causal_mask
from minillm.material.corpus import Documents, Tokens, pieces, token_stream
from minillm.plumbing.files import InputError
from minillm.tokenizer import Tokenizer


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
        return Batch(*(None if t is None else t.to(device) for t in self._tensors()))

    def split(self, pieces: int) -> Iterator["Batch"]:
        """The same rows in at most `pieces` smaller batches."""
        size = -(-len(self.ids) // pieces)
        for i in range(0, len(self.ids), size):
            yield Batch(*(None if t is None else t[i : i + size] for t in self._tensors()))

    def _tensors(self) -> tuple[Tensor | None, ...]:
        return self.ids, self.targets, self.weights, self.mask, self.positions


@lru_cache(maxsize=4)
def epoch_order(n: int, epoch: int, seed: int) -> np.ndarray:
    """The numbers 0 … n-1 in the order of an epoch; kept, since a long text has millions of rows."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def shuffled(n: int, size: int, step: int, seed: int) -> list[int]:
    """The `step`-th `size` numbers of an endless shuffled walk over 0 … n-1, each epoch in a new order."""
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
        spare = len(self.tokens) - 1 - self.n_rows * self.width + 1
        for k, row in enumerate(shuffled(self.n_rows, batch_size, step, self.seed)):
            epoch = (step * batch_size + k) // self.n_rows
            shift = int(np.random.default_rng([self.seed, epoch, 1]).integers(spare))
            starts.append(row * self.width + shift)
        return self._rows(starts)

    def in_order(self, batch_size: int, most: int | None = None) -> Iterator[Batch]:
        """All rows once, or the first `most`, in the order of the text, to measure a loss."""
        n = self.n_rows if most is None else min(most, self.n_rows)
        for i in range(0, n, batch_size):
            yield self._rows([r * self.width for r in range(i, min(i + batch_size, n))])

    def _rows(self, starts: list[int]) -> Batch:
        rows = np.stack([np.asarray(self.tokens[s : s + self.width + 1], np.int64) for s in starts])  # (B, T + 1)
        rows = torch.from_numpy(rows)
        return Batch(rows[:, :-1], rows[:, 1:], torch.ones(len(starts), self.width))


def rehearsal_rows(n: int, documents: Documents, tokenizer: Tokenizer, n_ctx: int, seed: int) -> TextRows | None:
    """Text of stage 1 to learn beside each batch of a later stage; None for 0 rows. Raises InputError if
    there is no text."""
    if not n:
        return None
    if not any(text for text, _ in pieces(documents)):
        raise InputError("rehearse_rows is set but there is no text to rehearse: give --rehearse TEXT")
    return TextRows(token_stream(documents, tokenizer), n_ctx, seed)


def pack(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Put items into rows of at most `width`, longest first, each into the first row with room.

    Returns for each row the indices of its items. Raises ValueError for an item longer than a row.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if lengths[i] > width:
            raise ValueError(f"a dialogue of {lengths[i]} tokens does not fit into {width}")
        row = next((r for r, free in enumerate(room) if free >= lengths[i]), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(width)
        rows[row].append(i)
        room[row] -= lengths[i]
    return rows


def packed_batch(dialogues: Sequence[Dialogue], n_ctx: int, pad: int) -> Batch:
    """Several dialogues a row, none of which sees another; positions begin at 0 in each."""
    lengths = [len(d.ids) - 1 for d in dialogues]
    return _rows_of_dialogues(dialogues, pack(lengths, n_ctx), pad)


def padded_batch(dialogues: Sequence[Dialogue], pad: int) -> Batch:
    """One dialogue a row, in the given order."""
    return _rows_of_dialogues(dialogues, [[i] for i in range(len(dialogues))], pad)


def _rows_of_dialogues(dialogues: Sequence[Dialogue], rows: list[list[int]], pad: int) -> Batch:
    width = max(sum(len(dialogues[i].ids) - 1 for i in row) for row in rows)
    ids = torch.full((len(rows), width), pad)
    targets = torch.full((len(rows), width), pad)
    weights = torch.zeros(len(rows), width)
    segments = torch.zeros(len(rows), width, dtype=torch.long)  # 0 = padding, then 1, 2, … a row
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    for r, row in enumerate(rows):
        begin = 0
        for segment, i in enumerate(row, 1):
            n = len(dialogues[i].ids) - 1
            here = slice(begin, begin + n)
            ids[r, here] = torch.tensor(dialogues[i].ids[:-1])
            targets[r, here] = torch.tensor(dialogues[i].ids[1:])
            weights[r, here] = torch.tensor(dialogues[i].mask[1:], dtype=torch.float32)
            segments[r, here] = segment
            positions[r, here] = torch.arange(n)
            begin += n
    same = segments[:, None, :, None] == segments[:, None, None, :]  # (B, T) -> (B, 1, T, T)
    return Batch(ids, targets, weights, same & causal_mask(width, width), positions)
