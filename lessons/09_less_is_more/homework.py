"""Homework of lesson 9: less is more. Write the three functions with plain Python, numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 9`. Lesson: notebooks/en/09_less_is_more.ipynb.

第 9 课作业：少即是多。用 Python、numpy 或 torch 写出下面三个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 9`。课文：notebooks/zh/09_less_is_more.ipynb。
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

    最多选 `budget` 条记录，组成一个小而干净、种类多样的数据集；返回它们的位置。

    每条记录有 "question"（str）、"answer"（str）、"type"（str）和 "good"（bool：有人检查过）。

    1. 去掉所有 good 不成立的记录，以及问题或回答为空或只有空白的记录。
    2. 剩下的记录里，问同一个问题的只留第一条。两个问题相同，指的是变成小写、去掉两端的空白、中间每一串空白换成一个空
       格之后相等。
    3. 各个类型轮流来，顺序是类型在剩下的记录里第一次出现的顺序：从每个类型取第一条还没取过的记录，再到下一个类型，循
       环往复。没有记录可取的类型跳过。取满 `budget` 条，或者一条也不剩，就停止。

    返回它们在 `records` 里的位置（从 0 数起），按取出的顺序。
    """
    raise NotImplementedError


def exact_match(answers: list[tuple[str, bool]], accepted: list[list[str]]) -> list[bool]:
    """Mark the answers of an exam: for each whether it is right.

    answers: for each question the text and whether the model ended it with [END]. accepted: for each
    question the forms that count as right (at least one), in the same order. An answer is right if it
    ended with [END] and equals one of its accepted forms after both have been trimmed: white space at
    both ends goes, then every `.`, `。`, `!`, `！`, `?`, `？` and space at the end. Case counts.

    给一场考试的回答打分：每个回答是否正确。

    answers：每个问题的回答文本，以及模型有没有用 [END] 结束它。accepted：每个问题算正确的写法（至少一种），顺序相同。
    回答要正确，必须以 [END] 结束，并且与某一种写法在两者都修整之后相等：先去掉两端的空白，再去掉末尾所有的
    `.`、`。`、`!`、`！`、`?`、`？` 和空格。区分大小写。
    """
    raise NotImplementedError


def bootstrap_interval(correct: np.ndarray, draws: np.ndarray) -> tuple[float, float, float]:
    """The share of right answers, with its 95 % bootstrap interval (percentile method).

    correct: (N,) bool, the mark of each question. draws: (R, N) int, each row a resample: N positions
    from 0 to N - 1, drawn with replacement. The share of right answers of every resample is taken; the
    interval reaches from the 2.5 % to the 97.5 % quantile of these R shares (`numpy.quantile` with its
    usual linear interpolation).

    Returns (share of the exam itself, lower end, upper end), each between 0 and 1.

    答对的比例，以及它的 95 % 自助法（bootstrap）区间（百分位数法）。

    correct：(N,) bool，每个问题的对错。draws：(R, N) int，每行是一次重抽样：有放回地抽出的 N 个位置，0 到 N - 1。对每
    次重抽样求答对的比例；区间从这 R 个比例的 2.5 % 分位数到 97.5 % 分位数（`numpy.quantile`，用它通常的线性插值）。

    返回（这场考试本身的比例，区间下端，区间上端），都在 0 到 1 之间。
    """
    raise NotImplementedError
