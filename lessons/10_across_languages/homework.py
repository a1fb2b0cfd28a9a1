"""Homework of lesson 10: across languages. Write the three functions with plain Python, numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 10`. Lesson: notebooks/en/10_across_languages.ipynb.

第 10 课作业：跨语言。用 Python、numpy 或 torch 写出下面三个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 10`。课文：notebooks/zh/10_across_languages.ipynb。
"""

import numpy as np


def answer_language(text: str) -> str:
    """The language of an answer: "zh", "en", "mixed" or "none".

    c is the number of Chinese characters, U+4E00 to U+9FFF. w is the number of English words, unbroken
    runs of the letters A to Z and a to z. Digits, punctuation, emoji and everything else count as
    neither, and end a word.

    "none" if both are 0; else "zh" if c is at least 4 times w; else "en" if w is at least 4 times c;
    else "mixed".

    回答用的是什么语言："zh"、"en"、"mixed" 或 "none"。

    c 是汉字的个数，U+4E00 到 U+9FFF。w 是英文单词的个数，即连续不断的字母 A 到 Z 和 a 到 z。数字、标点、表情符号和其
    他一切两边都不算，并且把单词隔断。

    两者都是 0 时是 "none"；否则 c 至少是 w 的 4 倍时是 "zh"；否则 w 至少是 c 的 4 倍时是 "en"；否则是 "mixed"。
    """
    raise NotImplementedError


def score_answer(answer: str, language: str, accepted: dict[str, list[str]], asked: str) -> tuple[bool, bool, bool]:
    """Score language and knowledge apart: (right language, right fact, right answer).

    language: what answer_language says of the answer. accepted: language -> forms that are right in it;
    a language may be missing, then no form is right in it. asked: the language of the question.

    Right language: `language` is `asked`. Right fact: the answer equals a form of any language. Right
    answer: it equals a form of the asked language, whatever `language` says. Compared is after removing
    white space at both ends, then every `.`, `。`, `!`, `！`, `?`, `？` and space at the end, of both.

    把语言和知识分开打分：（语言正确，事实正确，回答正确）。

    language：answer_language 对这个回答的判断。accepted：语言 -> 用这种语言写、算正确的形式；可能缺少某种语言，那么用
    它写的形式没有一个算正确。asked：提问用的语言。

    语言正确：`language` 就是 `asked`。事实正确：回答等于任何一种语言的某个形式。回答正确：等于提问语言的某个形式，不
    管 `language` 是什么。比较之前，两边都去掉两端的空白，再去掉末尾所有的 `.`、`。`、`!`、`！`、`?`、`？` 和空格。
    """
    raise NotImplementedError


def transfer_ratio(base: np.ndarray, cross: np.ndarray, direct: np.ndarray) -> float | None:
    """Which share of what training in a language brings comes from training in another language.

    Each argument holds the marks (1 right, 0 wrong) of one model on questions in language B, at least
    one, not always equally many: `base` before fine-tuning, `cross` after fine-tuning in language A,
    `direct` after fine-tuning in language B. With the mean of each:

        (cross - base) / (direct - base)

    Below 0 or above 1 it stays as it is. None if `direct` is not above `base`.

    用一种语言训练带来的提高，有多大一部分用另一种语言训练也能得到。

    每个参数是一个模型在语言 B 的问题上的得分（1 对，0 错），至少一个，个数不一定相同：`base` 是微调之前，`cross` 是用
    语言 A 微调之后，`direct` 是用语言 B 微调之后。各取平均值：

        (cross - base) / (direct - base)

    小于 0 或大于 1 也照样返回。`direct` 不高于 `base` 时返回 None。
    """
    raise NotImplementedError
