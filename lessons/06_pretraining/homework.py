"""Homework of lesson 6: pretraining. Write the six functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 6`. Lesson: notebooks/en/06_pretraining.ipynb.
"""

import numpy as np
import torch
from torch import Tensor


def similarity(a: str, b: str, n: int) -> float:
    """How alike two texts are: the Jaccard similarity of their sets of character n-grams, from 0 to 1.

    First lower the letters of each text and fold its white space: every run of spaces, tabs and line ends
    becomes one space, and none stays at either end. An n-gram is n neighbouring characters; they overlap
    ("abcd" has the 2-grams ab, bc, cd). A text shorter than n has one n-gram: the whole text (even if it
    is empty). The similarity is the number of n-grams in both sets over the number in either.
    """
    raise NotImplementedError


def near_duplicates(documents: list[str], threshold: float) -> list[int]:
    """Which documents stay: their indices, ascending.

    Go through the documents in order. One stays unless its similarity (n = 5) to a document that has
    stayed before it is `threshold` or more. No documents: an empty list. Comparing each with all that
    stayed is fast enough here (minillm.material.cleaning.deduplicate finds the few that are worth comparing).
    """
    raise NotImplementedError


def text_batch(tokens: np.ndarray, starts: list[int], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of text to learn from, and what each position should predict.

    tokens: (N,) the ids of one long text. starts: B places in it (they may overlap); start + width is at
    most N - 1. Returns inputs (B, width), row b beginning at starts[b], and targets (B, width): for each
    input the token that follows it in the text.
    """
    raise NotImplementedError


def learning_rate_scale(step: int, steps: int, warmup: int, final: float) -> float:
    """Factor on the learning rate at step 0, 1, …, steps - 1.

    In the first `warmup` steps it rises in a line: 1 / warmup at step 0, 1 at step warmup - 1. It is still 1
    at step `warmup` and falls from there in a line to `final` at step steps - 1.
    warmup is at least 1, steps at least warmup + 2, final from 0 to 1.
    """
    raise NotImplementedError


def clip_gradients(gradients: list[Tensor], most: float) -> tuple[list[Tensor], float]:
    """Shorten the gradient to the length `most` if it is longer; leave it as it is otherwise.

    gradients: one tensor a parameter, of any shapes. All of them together are one long vector; its length is the
    root of the sum of all squares. Returns the gradients, all multiplied by the same factor, and the length
    before. A gradient of zeros stays as it is, with length 0. The given tensors may be overwritten.
    """
    raise NotImplementedError


def adamw_step(
    parameter: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """One update of AdamW (Loshchilov and Hutter 2017, algorithm 2). All tensors have the same shape.

    mean, square: the running averages m of the gradient and v of its square, before this update; both began
    at 0. step: 1 at the first update, 2 at the second, … Returns the new parameter, m and v (as they go on:
    without the correction). With m̂ and v̂ corrected for having begun at 0, the parameter moves by
    - lr · m̂ / (√v̂ + eps), and besides it loses lr · weight_decay times its old value. parameter, mean and
    square may be overwritten.
    """
    raise NotImplementedError
