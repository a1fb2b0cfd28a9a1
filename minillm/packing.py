"""Dialogues as rows for training: several in a row, packed so that none sees another, or one per row."""

from collections.abc import Sequence

import torch

from minillm.batching import Batch
from minillm.chat import Dialogue
from minillm.gpt import causal_mask
from minillm.plumbing.files import InputError


def pack(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Put items into rows of at most `width`, longest first, each into the first row with room.

    Returns for each row the indices of its items. Raises InputError for an item longer than a row.
    """
    rows: list[list[int]] = []
    n_leaves = 1 << max(0, len(lengths) - 1).bit_length()
    room = [width] * (2 * n_leaves)  # a tree: leaf n_leaves + r is row r, each node has the most room below it
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if lengths[i] > width:
            raise InputError(f"a dialogue of {lengths[i]} tokens does not fit into {width}")
        node = 1
        while node < n_leaves:  # down to the first row with room
            node = 2 * node if room[2 * node] >= lengths[i] else 2 * node + 1
        if node - n_leaves == len(rows):
            rows.append([])
        rows[node - n_leaves].append(i)
        room[node] -= lengths[i]
        while node > 1:
            node //= 2
            room[node] = max(room[2 * node], room[2 * node + 1])
    return rows


def row_width(dialogues: Sequence[Dialogue], n_ctx: int) -> int:
    """How wide rows should be: the context, but of a long one no more than 256 tokens or the longest dialogue, since
    what attention costs grows with the square of it."""
    return min(n_ctx, max(256, *(len(d.ids) - 1 for d in dialogues)))


def packed_batch(dialogues: Sequence[Dialogue], n_ctx: int, pad: int) -> Batch:
    """Several dialogues per row, none of which sees another; positions begin at 0 in each."""
    lengths = [len(d.ids) - 1 for d in dialogues]
    return _rows_of_dialogues(dialogues, pack(lengths, n_ctx), pad)


def padded_batch(dialogues: Sequence[Dialogue], pad: int) -> Batch:
    """One dialogue per row, in the given order."""
    return _rows_of_dialogues(dialogues, [[i] for i in range(len(dialogues))], pad)


def _rows_of_dialogues(dialogues: Sequence[Dialogue], rows: list[list[int]], pad: int) -> Batch:
    width = max(sum(len(dialogues[i].ids) - 1 for i in row) for row in rows)
    ids = torch.full((len(rows), width), pad)
    targets = torch.full((len(rows), width), pad)
    weights = torch.zeros(len(rows), width)
    segments = torch.zeros(len(rows), width, dtype=torch.long)  # 0 = padding, then 1, 2, … in each row
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
