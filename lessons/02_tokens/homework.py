"""Homework of lesson 2: tokens. Write the five functions with Python or numpy.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 2`. Lesson: notebooks/en/02_tokens.ipynb.
"""

import numpy as np
import torch


def merge(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """Replace each occurrence of `pair`, from the left and without overlap, by the one id `new`.

    ids: a list of any length, perhaps empty. Returns a list. Example: merge([1, 1, 1, 2], (1, 1), 9) ==
    [9, 1, 2].
    """
    raise NotImplementedError


def most_frequent_pair(words: list[list[int]]) -> tuple[int, int] | None:
    """The pair of neighbouring ids that occurs most often.

    words: the pieces of a text, each a list of ids. A pair lies inside one word: the end of a word and the
    beginning of the next are no pair. Every position counts, so [1, 1, 1] holds the pair (1, 1) twice; a
    word that is in the list twice counts twice. Among equally frequent pairs the one that occurs
    first wins (in the earliest word; there at the earliest position). None if there is no pair.
    """
    raise NotImplementedError


def train_bpe(words: list[str], vocab_size: int) -> list[tuple[int, int]]:
    """Learn the merges of byte-pair encoding (BPE).

    words: the pieces of a text, in order. Each becomes the list of its UTF-8 bytes, ids 0 to 255. Then,
    again and again: find the most frequent pair as in most_frequent_pair, replace it everywhere by a new
    id as in merge; the first new id is 256, the next 257, … Stop when there are vocab_size tokens (the 256
    bytes included; vocab_size is at least 256) or no pair is left. A pair that occurs only once is merged
    too. Returns the merged pairs in this order: entry i made the id 256 + i.
    """
    raise NotImplementedError


def encode(piece: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Cut a piece of text into tokens, with the ranks that training gave.

    ranks: {the bytes of a token: its id}, with all 256 single bytes; the id of a single byte need not be
    its value. Begin with the single bytes. While there are neighbours whose joined bytes are a token:
    join those whose token has the lowest id (the learned earliest), and of several places with this
    token the leftmost. Returns the ids; [] for b"".
    """
    raise NotImplementedError


def whole_characters(data: bytes) -> tuple[str, bytes]:
    """What of a stream may be shown already: the whole characters, and the bytes to hold back.

    data: the first bytes of some text in UTF-8, cut off anywhere, perhaps in the middle of its last
    character (1 to 3 of its bytes are there). Returns (all whole characters as text, the bytes of the
    unfinished one); the second is b"" if the cut falls between characters.
    """
    raise NotImplementedError
