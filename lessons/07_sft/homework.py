"""Homework of lesson 7: supervised fine-tuning. Write the four functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 7`. Lesson: notebooks/en/07_sft.ipynb.
"""

from torch import Tensor


def encode_dialogue(
    turns: list[tuple[list[int], list[int] | None]], doc: int, end: int
) -> tuple[list[int], list[bool]]:
    """Ids and mask of a dialogue whose parts have been encoded already.

    turns: for each turn the ids of `USER: … AI:` and the ids of the answer; the answer of the last turn may be
    None: the dialogue waits for it. doc, end: the ids of [DOC] and [END].

    Returns the ids, [DOC] and then for each turn the question's ids, the answer's ids and [END]
    (for an answer of None neither), and the mask: for each id True if the model learns to produce it, that
    is, for the ids of every answer and its [END]. An answer may be empty; its [END] is there all the same.
    """
    raise NotImplementedError


def padded_batch(dialogues: list[tuple[list[int], list[bool]]], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Several dialogues as one batch, one a row, in the given order.

    dialogues: ids and mask as encode_dialogue gives them, each of two ids or more. The width T is that of
    the longest: its number of ids less one. Returns ids (B, T), whole numbers: what goes in, each dialogue without
    its last id; targets (B, T), whole numbers: the id that follows each; weights (B, T), floats: 1.0 where the target
    is learned, by the mask of the target, 0.0 elsewhere. Shorter rows are filled at the right: with pad in ids and
    targets, with 0.0 in weights. (pad may be equal to any other id, even to that of [END].)
    """
    raise NotImplementedError


def masked_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean loss over the learned tokens of the whole batch.

    logits: (B, T, V); targets: (B, T), whole numbers; weights: (B, T), 1.0 where the target is learned, else 0.0.
    The loss of a token is - log softmax(logits)[target]. Returns one number: the sum over all learned tokens of the
    batch over their number; 0.0 if none is learned.
    """
    raise NotImplementedError


def piece_losses(logits: Tensor, targets: Tensor, weights: Tensor, pieces: int) -> list[Tensor]:
    """The loss of a batch in pieces whose sum is masked_loss of the whole: gradient accumulation.

    Arguments as in masked_loss; B and pieces are at least 1. Cut the B rows in their order into pieces of
    ceil(B / pieces) rows; the last may have fewer (and there may be fewer pieces than asked for). Returns one number
    for each piece, in order. At least one token of the batch is learned, but not necessarily one of each piece:
    such a piece gives 0.0.
    """
    raise NotImplementedError
