"""Homework of lesson 9: less is more. Write the three functions with plain Python, numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 9`. Lesson: notebooks/en/09_less_is_more.ipynb.
"""

import numpy as np


def choose_pairs(records: list[dict], budget: int) -> list[int]:
    """Choose at most `budget` records for a small, clean and varied data set; return their positions.

    Each record has "question" (str), "answer" (str), "type" (str) and "good" (bool: a person checked it).

    1. Leave out every record that is not good, or whose question or answer is empty or only white space.
    2. Of the records that are left and ask the same question, keep the first. Two questions are the same
       if they are equal in lower case with white space at both ends removed and each run of white space
       inside replaced by one space.
    3. Take turns over the types, in the order in which they first occur among the records that are left:
       from each type its first record not taken yet, then from the next type, and round again. A type
       with no record left is passed over. Stop at `budget` records or when none is left.

    Returns the positions in `records` (from 0), in the order in which they were taken.
    """
    raise NotImplementedError


def exact_match(answers: list[tuple[str, bool]], accepted: list[list[str]]) -> list[bool]:
    """Mark the answers of an exam: for each whether it is right.

    answers: for each question the text and whether the model ended it with [END]. accepted: for each
    question the forms that count as right (at least one), in the same order. An answer is right if it
    ended with [END] and equals one of its accepted forms after both have been trimmed: white space at
    both ends goes, then every `.`, `。`, `!`, `！`, `?`, `？` and space at the end. Case counts.
    """
    raise NotImplementedError


def bootstrap_interval(correct: np.ndarray, draws: np.ndarray) -> tuple[float, float, float]:
    """The share of right answers, with its 95 % bootstrap interval (percentile method).

    correct: (N,) bool, the mark of each question. draws: (R, N) int, each row a resample: N positions
    from 0 to N - 1, drawn with replacement. The share of right answers of every resample is taken; the
    interval reaches from the 2.5 % to the 97.5 % quantile of these R shares (`numpy.quantile` with its
    usual linear interpolation).

    Returns (share of the exam itself, lower end, upper end), each between 0 and 1.
    """
    raise NotImplementedError
