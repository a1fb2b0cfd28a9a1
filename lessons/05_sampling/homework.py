"""Homework of lesson 5: sampling. Write the five functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 5`. Lesson: notebooks/en/05_sampling.ipynb.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the k largest logits of each row to minus infinity.

    logits: (B, V); k is at least 1, and may be larger than V: then all stay. Logits equal to the k-th largest
    all stay, so that a tie can leave more than k. The others keep their values and places. Returns (B, V).
    """
    raise NotImplementedError


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest most probable tokens of each row whose probabilities add up to p; the others get minus infinity.

    logits: (B, V), probabilities by softmax; 0 <= p <= 1. Rank the tokens of a row from the most probable
    down. A token stays if the probabilities of all that rank above it add up to less than p: the one
    that crosses p stays. The most probable token always stays, also when p is 0. Those that stay keep their
    values and places. Returns (B, V). (No input has a tie at the border, or sums closer to p than 0.005, except that
    with p = 1 the sum of all tokens is 1, rounding aside: then all stay.)
    """
    raise NotImplementedError


def probabilities(logits: Tensor, temperature: float, top_p: float | None) -> Tensor:
    """The distribution the next token is drawn from, (B, V) -> (B, V); every row adds up to 1.

    At temperature 0: 1 at the largest logit of each row and 0 elsewhere; of equal ones the first (lowest id)
    is taken. Otherwise softmax(logits / temperature), and if top_p is not None (0 < top_p <= 1) only the tokens
    that `keep_top_p` leaves of logits / temperature. Logits may be several hundred large.
    """
    raise NotImplementedError


def generate(model: Callable[[Tensor], Tensor], prompt: list[int], max_new_tokens: int, stop: int | None) -> list[int]:
    """Greedy decoding: the new token ids, without the prompt.

    model: ids (1, T) -> logits (1, T, V), int64 ids in; the logits at a position are about the token that follows.
    prompt: at least one id. At each step the token with the largest logit is appended and read by the
    model in the next step. Ends when `stop` has been produced, which is then the last id returned, or after
    max_new_tokens (perhaps 0) ids. stop = None: only the number counts. A `stop` inside the prompt ends nothing.
    """
    raise NotImplementedError


def extend_cache(keys: Tensor, values: Tensor, length: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Put the keys and values of new tokens into the cache of one layer; return all that attention may read.

    keys, values: (B, H, N, D), room for N positions, of which the first `length` (perhaps 0) are filled; what
    lies beyond is rubbish. k, v: (B, H, T, D) of the T tokens at positions length … length + T - 1;
    there is room for them. Returns keys and values of the positions 0 … length + T - 1, each (B, H, length + T, D).
    keys and values may be overwritten.
    """
    raise NotImplementedError
