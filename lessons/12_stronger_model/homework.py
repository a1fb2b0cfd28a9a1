"""Homework of lesson 12: data from a stronger model. Write the three functions with plain Python or numpy.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 12`. Lesson: notebooks/en/12_stronger_model.ipynb.
"""

import numpy as np


def similarity(a: str, b: str) -> float:
    """How alike two instructions are: the F1 measure of ROUGE-L.

    Each text is cut into units: every Chinese character, U+4E00 to U+9FFF, is one, and so is every
    unbroken run of the letters A to Z and a to z and the digits 0 to 9, in lower case. Everything else
    only separates. With m and n units and a longest common subsequence of l units (in the same order,
    gaps allowed), precision is l / m, recall l / n, and their harmonic mean 2 l / (m + n).

    0.0 if a text has no units.
    """
    raise NotImplementedError


def keep_new(to_pool: np.ndarray, among: np.ndarray, threshold: float) -> list[int]:
    """Self-Instruct's filter: go through the candidates in order and keep those that are new.

    to_pool: (C, P), the similarity of each of C candidates to each of P instructions in the pool; P may
    be 0. among: (C, C), the similarity of the candidates to each other, symmetric.

    A candidate is kept if its similarity to all of the pool and to every candidate kept before it is
    below the threshold. Returns the positions of the kept candidates, in order.
    """
    raise NotImplementedError


def record_fault(record: dict) -> str:
    """What is wrong with a generated record, "" for nothing. The first of these that applies:

    "missing": "instruction" or "output" is not there or is not a str, or "input" is there and is not a
    str (it need not be there).
    "empty": the instruction or the output is empty or only white space.
    "long": the output has more than 200 characters, white space at both ends not counted.
    "copied": the output is the instruction or the input once more: equal in lower case, white space at
    both ends aside.
    "impossible": the instruction asks for what a text model cannot do: it has one of the words image,
    picture, graph (whole words, in upper or lower case), or 图片 anywhere. A whole word has no letter
    A to Z or a to z next to it.
    """
    raise NotImplementedError
