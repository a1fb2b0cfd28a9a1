"""Homework of lesson 2: tokens. Write the five functions with Python or numpy.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 2`. Lesson: notebooks/en/02_tokens.ipynb.

第 2 课作业：词元。用 Python 或 numpy 写出下面五个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 2`。课文：notebooks/zh/02_tokens.ipynb。
"""

import numpy as np
import torch


def merge(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """Replace each occurrence of `pair`, from the left and without overlap, by the one id `new`.

    ids: a list of any length, perhaps empty. Returns a list. Example: merge([1, 1, 1, 2], (1, 1), 9) ==
    [9, 1, 2].

    从左到右、互不重叠地把每一处 `pair` 换成一个 id：`new`。

    ids：任意长度的列表，可以为空。返回列表。例：merge([1, 1, 1, 2], (1, 1), 9) == [9, 1, 2]。
    """
    raise NotImplementedError


def most_frequent_pair(words: list[list[int]]) -> tuple[int, int] | None:
    """The pair of neighbouring ids that occurs most often.

    words: the pieces of a text, each a list of ids. A pair lies inside one word: the end of a word and the
    beginning of the next are no pair. Every position counts, so [1, 1, 1] holds the pair (1, 1) twice; a
    word that is in the list twice counts twice. Among equally frequent pairs the one that occurs
    first wins (in the earliest word; there at the earliest position). None if there is no pair.

    出现次数最多的一对相邻 id。

    words：一段文本切成的片段，每个是 id 的列表。一对 id 必须在同一个片段里：一个片段的末尾和下一个片段的开头不算一
    对。每个位置都算，所以 [1, 1, 1] 里 (1, 1) 出现两次；在列表里出现两次的片段算两次。次数相同时，最先出现的一对优
    先（先看在哪个片段，片段相同再看位置）。一对也没有时返回 None。
    """
    raise NotImplementedError


def train_bpe(words: list[str], vocab_size: int) -> list[tuple[int, int]]:
    """Learn the merges of byte-pair encoding (BPE).

    words: the pieces of a text, in order. Each becomes the list of its UTF-8 bytes, ids 0 to 255. Then,
    again and again: find the most frequent pair as in most_frequent_pair, replace it everywhere by a new
    id as in merge; the first new id is 256, the next 257, … Stop when there are vocab_size tokens (the 256
    bytes included; vocab_size is at least 256) or no pair is left. A pair that occurs only once is merged
    too. Returns the merged pairs in this order: entry i made the id 256 + i.

    学出字节对编码（BPE）的合并。

    words：一段文本切成的片段，按顺序。每个片段先变成它的 UTF-8 字节的列表，id 为 0 到 255。然后反复地：按
    most_frequent_pair 找出最常见的一对，再按 merge 在所有地方把它换成一个新 id；第一个新 id 是 256，下一个是 257，依
    此类推。词元达到 vocab_size 个（含那 256 个字节；vocab_size 至少为 256），或者一对也没有了，就停止。只出现一次的对
    也要合并。按合并的先后返回这些对：第 i 项（从 0 数起）产生 id 256 + i。
    """
    raise NotImplementedError


def encode(piece: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Cut a piece of text into tokens, with the ranks that training gave.

    ranks: {the bytes of a token: its id}, with all 256 single bytes; the id of a single byte need not be
    its value. Begin with the single bytes. While there are neighbours whose joined bytes are a token:
    join those whose token has the lowest id (the learned earliest), and of several places with this
    token the leftmost. Returns the ids; [] for b"".

    用训练得到的 ranks 把一个片段切成词元。

    ranks：{词元的字节: 它的 id}，含全部 256 个单字节；单字节的 id 不一定等于它的值。从单个字节开始。只要有相邻的两
    段，连起来的字节是一个词元，就合并其中词元 id 最小（最早学到）的；这个词元有几处可选时，取最左边的一处。返回这些
    id；b"" 返回 []。
    """
    raise NotImplementedError


def whole_characters(data: bytes) -> tuple[str, bytes]:
    """What of a stream may be shown already: the whole characters, and the bytes to hold back.

    data: the first bytes of some text in UTF-8, cut off anywhere, perhaps in the middle of its last
    character (1 to 3 of its bytes are there). Returns (all whole characters as text, the bytes of the
    unfinished one); the second is b"" if the cut falls between characters.

    字节流里现在就可以显示的部分：完整的字符，以及要先留着的字节。

    data：某段 UTF-8 文本开头的若干字节，在任何地方都可能断开，也许正好断在最后一个字符中间（它的 1 到 3 个字节已经到
    了）。返回（所有完整的字符组成的文本，那个不完整的字符的字节）；如果正好断在两个字符之间，第二个是 b""。
    """
    raise NotImplementedError
