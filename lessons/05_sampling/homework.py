"""Homework of lesson 5: sampling. Write the five functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 5`. Lesson: notebooks/en/05_sampling.ipynb.

第 5 课作业：采样。用 numpy 或 torch 写出下面五个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 5`。课文：notebooks/zh/05_sampling.ipynb。
"""

from collections.abc import Callable

import torch
from torch import Tensor


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the k largest logits of each row to minus infinity.

    logits: (B, V); k is at least 1, and may be larger than V: then all stay. Logits equal to the k-th largest
    all stay, so that a tie can leave more than k. The others keep their values and places. Returns (B, V).

    每一行只留最大的 k 个 logit，其余设为负无穷。

    logits：(B, V)；k 至少为 1，可以大于 V：那时全部保留。与第 k 大的 logit 相等的都保留，所以并列时可能留下不止 k
    个。留下的值和位置都不变。返回 (B, V)。
    """
    raise NotImplementedError


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest most probable tokens of each row whose probabilities add up to p; the others get minus infinity.

    logits: (B, V), probabilities by softmax; 0 <= p <= 1. Rank the tokens of a row from the most probable
    down. A token stays if the probabilities of all that rank above it add up to less than p: the one
    that crosses p stays. The most probable token always stays, also when p is 0. Those that stay keep their
    values and places. Returns (B, V). (No input has a tie at the border, or sums closer to p than 0.005, except that
    with p = 1 the sum of all tokens is 1, rounding aside: then all stay.)

    每一行留下最可能的词元，刚好够让概率之和达到 p，个数最少；其余设为负无穷。

    logits：(B, V)，概率由 softmax 得出；0 <= p <= 1。把一行的词元按概率从大到小排名。如果排在一个词元之前的所有词元概
    率之和小于 p，它就保留：跨过 p 的那一个也保留。最可能的词元总是保留，p 为 0 时也一样。留下的值和位置都不变。返回
    (B, V)。（输入不会在分界处并列，概率之和与 p 也不会相差不到 0.005；例外是 p = 1：所有词元之和就是 1，只差舍入误
    差，那时全部保留。）
    """
    raise NotImplementedError


def probabilities(logits: Tensor, temperature: float, top_p: float | None) -> Tensor:
    """The distribution the next token is drawn from, (B, V) -> (B, V); every row adds up to 1.

    At temperature 0: 1 at the largest logit of each row and 0 elsewhere; of equal ones the first (lowest id)
    is taken. Otherwise softmax(logits / temperature), and if top_p is not None (0 < top_p <= 1) only the tokens
    that `keep_top_p` leaves of logits / temperature. Logits may be several hundred large.

    抽取下一个词元所用的分布，(B, V) -> (B, V)；每一行加起来等于 1。

    temperature 为 0 时：每一行最大的 logit 处是 1，其余是 0；几个相等时取第一个（id 最小的）。否则是 softmax(logits /
    temperature)；如果 top_p 不是 None（0 < top_p <= 1），只用 `keep_top_p` 在 logits / temperature 里留下的词
    元。logits 可能大到几百。
    """
    raise NotImplementedError


def generate(model: Callable[[Tensor], Tensor], prompt: list[int], max_new_tokens: int, stop: int | None) -> list[int]:
    """Greedy decoding: the new token ids, without the prompt.

    model: ids (1, T) -> logits (1, T, V), int64 ids in; the logits at a position are about the token that follows.
    prompt: at least one id. At each step the token with the largest logit is appended and read by the
    model in the next step. Ends when `stop` has been produced, which is then the last id returned, or after
    max_new_tokens (perhaps 0) ids. stop = None: only the number counts. A `stop` inside the prompt ends nothing.

    贪心解码：返回新词元的 id，不含提示。

    model：id (1, T) -> logits (1, T, V)，输入的 id 是 int64；一个位置上的 logits 说的是它后面的词元。prompt：至少一个
    id。每一步把 logit 最大的词元接上，下一步由模型读到。产生 `stop` 时结束，它就是返回的最后一个 id；否则产生
    max_new_tokens 个 id（可能是 0）之后结束。stop = None：只看个数。提示里的 `stop` 不会让生成结束。
    """
    raise NotImplementedError


def extend_cache(keys: Tensor, values: Tensor, length: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Put the keys and values of new tokens into the cache of one layer; return all that attention may read.

    keys, values: (B, H, N, D), room for N positions, of which the first `length` (perhaps 0) are filled; what
    lies beyond is rubbish. k, v: (B, H, T, D) of the T tokens at positions length … length + T - 1;
    there is room for them. Returns keys and values of the positions 0 … length + T - 1, each (B, H, length + T, D).
    keys and values may be overwritten.

    把新词元的键和值放进一层的缓存，返回注意力可以读的全部键和值。

    keys、values：(B, H, N, D)，能放 N 个位置，其中前 `length` 个（可能是 0）已经填好；后面的内容是没有意义的
    数。k、v：(B, H, T, D)，属于位置 length … length + T - 1 上的 T 个词元；空位足够放下它们。返回位置
    0 … length + T - 1 的键和值，各为 (B, H, length + T, D)。keys 和 values 可以被改写。
    """
    raise NotImplementedError
