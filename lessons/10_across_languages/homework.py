"""Homework of lesson 10: across languages. Write the three functions with plain Python, numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 10`. Lesson: notebooks/en/10_across_languages.ipynb.
"""

import numpy as np


def answer_language(text: str) -> str:
    """The language of an answer: "zh", "en", "mixed" or "none".

    c is the number of Chinese characters, U+4E00 to U+9FFF. w is the number of English words, unbroken
    runs of the letters A to Z and a to z. Digits, punctuation, emoji and everything else count as
    neither, and end a word.

    "none" if both are 0; else "zh" if c is at least 4 times w; else "en" if w is at least 4 times c;
    else "mixed".
    """
    raise NotImplementedError


def score_answer(answer: str, language: str, accepted: dict[str, list[str]], asked: str) -> tuple[bool, bool, bool]:
    """Score language and knowledge apart: (right language, right fact, right answer).

    language: what answer_language says of the answer. accepted: language -> forms that are right in it;
    a language may be missing, then no form is right in it. asked: the language of the question.

    Right language: `language` is `asked`. Right fact: the answer equals a form of any language. Right
    answer: it equals a form of the asked language, whatever `language` says. Compared is after removing
    white space at both ends, then every `.`, `。`, `!`, `！`, `?`, `？` and space at the end, of both.
    """
    raise NotImplementedError


def transfer_ratio(base: np.ndarray, cross: np.ndarray, direct: np.ndarray) -> float | None:
    """Which share of what training in a language brings comes from training in another language.

    Each argument holds the marks (1 right, 0 wrong) of one model on questions in language B, at least
    one, not always equally many: `base` before fine-tuning, `cross` after fine-tuning in language A,
    `direct` after fine-tuning in language B. With the mean of each:

        (cross - base) / (direct - base)

    Below 0 or above 1 it stays as it is. None if `direct` is not above `base`.
    """
    raise NotImplementedError
