"""Homework of lesson 12: data from a stronger model. Write the three functions with plain Python or numpy.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 12`. Lesson: notebooks/en/12_stronger_model.ipynb.

第 12 课作业：来自更强模型的数据。用 Python 或 numpy 写出下面三个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 12`。课文：notebooks/zh/12_stronger_model.ipynb。
"""

import numpy as np


def similarity(a: str, b: str) -> float:
    """How alike two instructions are: the F1 measure of ROUGE-L.

    Each text is cut into units: every Chinese character, U+4E00 to U+9FFF, is one, and so is every
    unbroken run of the letters A to Z and a to z and the digits 0 to 9, in lower case. Everything else
    only separates. With m and n units and a longest common subsequence of l units (in the same order,
    gaps allowed), precision is l / m, recall l / n, and their harmonic mean 2 l / (m + n).

    0.0 if a text has no units.

    两条指令有多像：ROUGE-L 的 F1 值。

    每段文本切成单位：每个汉字（U+4E00 到 U+9FFF）是一个，每一串连续的字母 A 到 Z、a 到 z 和数字 0 到 9 也是一个，字母
    变成小写。其他一切只起分隔作用。两边有 m 个和 n 个单位，最长公共子序列（顺序相同，中间可以有间隔）有 l 个单位，那
    么精确率是 l / m，召回率是 l / n，它们的调和平均是 2 l / (m + n)。

    有一段文本没有单位时返回 0.0。
    """
    raise NotImplementedError


def keep_new(to_pool: np.ndarray, among: np.ndarray, threshold: float) -> list[int]:
    """Self-Instruct's filter: go through the candidates in order and keep those that are new.

    to_pool: (C, P), the similarity of each of C candidates to each of P instructions in the pool; P may
    be 0. among: (C, C), the similarity of the candidates to each other, symmetric.

    A candidate is kept if its similarity to all of the pool and to every candidate kept before it is
    below the threshold. Returns the positions of the kept candidates, in order.

    按 Self-Instruct 的办法筛选：依次看每个候选，留下新的。

    to_pool：(C, P)，C 个候选各自与池子里 P 条指令的相似度；P 可以是 0。among：(C, C)，候选两两之间的相似度，对称。

    一个候选与池子里的每一条指令、与它之前留下的每一个候选的相似度都低于阈值，才留下。按顺序返回留下的候选的位置。
    """
    raise NotImplementedError


def record_fault(record: dict) -> str:
    """What is wrong with a generated record, "" for nothing. The first of these that applies:

    - "missing": "instruction" or "output" is not there or is not a str, or "input" is there and is not a
      str (it need not be there).
    - "empty": the instruction or the output is empty or only white space.
    - "long": the output has more than 200 characters, white space at both ends not counted.
    - "copied": the output is the instruction or the input once more: equal in lower case, white space at
      both ends aside.
    - "impossible": the instruction asks for what a text model cannot do: it has one of the words image,
      picture, graph (whole words, in upper or lower case), or 图片 anywhere. A whole word has no letter
      A to Z or a to z next to it.

    生成的记录有什么毛病，没有毛病是 ""。取下面第一个符合的：

    - "missing"：没有 "instruction" 或 "output"，或者它不是 str；或者有 "input" 而它不是 str（"input" 可以没有）。
    - "empty"：指令或输出为空，或者只有空白。
    - "long"：输出超过 200 个字符，两端的空白不算。
    - "copied"：输出把指令或输入又说了一遍：变成小写、去掉两端的空白之后相等。
    - "impossible"：指令要求的是文本模型做不到的事：含有 image、picture、graph 中的一个词（整个单词，大小写不限），或
      者任何地方有“图片”。整个单词，指的是前后紧挨着的都不是字母 A 到 Z 或 a 到 z。
    """
    raise NotImplementedError
