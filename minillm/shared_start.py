"""Rows for training in which dialogues that begin alike share their beginning: it is computed once.

An open model's template puts the same thirty tokens (its system message) before every question, more than a short pair
has itself. In a row they come once; each dialogue sees them and itself, and no other dialogue:

    [system] [question 1, answer 1] [question 2, answer 2] …     positions go on from the end of the system message

The numbers are those of one dialogue per row; only the work is less.
"""

from collections.abc import Sequence

import torch

from minillm.batching import Batch
from minillm.chat import Dialogue
from minillm.gpt import causal_mask
from minillm.packing import packed_batch, row_width

WIDEST = 1024  # tokens in a row: what attention costs grows with the square of it


def common_start(dialogues: Sequence[Dialogue]) -> int:
    """How many first tokens all dialogues share, short of what is learned first."""
    most = min(d.mask.index(True) for d in dialogues) - 1
    first = dialogues[0].ids
    return next((i for i in range(most) if any(d.ids[i] != first[i] for d in dialogues)), most)


def shared_row(dialogues: Sequence[Dialogue], pad: int) -> Batch:
    """All dialogues in one row after their common beginning, (1, T). Each has something that is learned."""
    start = common_start(dialogues)
    ids, targets, weights = dialogues[0].ids[:start], [pad] * start, [0.0] * start
    segments, positions = [0] * start, list(range(start))
    for segment, dialogue in enumerate(dialogues, 1):
        own = range(start, len(dialogue.ids) - 1)
        ids = ids + dialogue.ids[start:-1]
        targets += dialogue.ids[start + 1 :]
        weights += [float(learned) for learned in dialogue.mask[start + 1 :]]
        segments += [segment] * len(own)
        positions += own
    of = torch.tensor(segments)
    seen = (of[:, None] == of) | (of == 0)  # (T, T): of the same dialogue, or of the beginning
    mask = (seen & causal_mask(len(ids), len(ids)))[None, None]  # (T, T) -> (1, 1, T, T)
    return Batch(torch.tensor([ids]), torch.tensor([targets]), torch.tensor([weights]), mask, torch.tensor([positions]))


def rows_of(dialogues: Sequence[Dialogue], n_ctx: int, pad: int) -> Batch:
    """The dialogues in one row with a shared beginning where they fit into one, else packed into several."""
    start = common_start(dialogues)
    if start + sum(len(d.ids) - 1 - start for d in dialogues) <= min(n_ctx, WIDEST):
        return shared_row(dialogues, pad)
    return packed_batch(dialogues, row_width(dialogues, n_ctx), pad)
