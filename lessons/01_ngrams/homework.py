"""Homework of lesson 1: n-grams, loss, perplexity. Write the six functions with Python, numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 1`. Lesson: notebooks/en/01_ngrams.ipynb.

第 1 课作业：n 元组、损失、困惑度。用 Python、numpy 或 torch 写出下面六个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 1`。课文：notebooks/zh/01_ngrams.ipynb。
"""

import math

import numpy as np
import torch
from torch import Tensor


def count_ngrams(tokens: list, n: int) -> dict[tuple, dict]:
    """Count what follows each context of n - 1 tokens.

    tokens: a list of characters, words or ids; n: at least 1. Look at every run of n neighbouring tokens:
    its first n - 1 are the context, as a tuple (the empty tuple when n = 1), its last is the next token.
    Returns {context: {next token: how often}} with only what occurs; {} if there are fewer than n tokens.
    Example: count_ngrams(["a", "b", "a", "c"], 2) == {("a",): {"b": 1, "c": 1}, ("b",): {"a": 1}}.

    数一数每个上文后面出现过什么。

    tokens：字符、词或 id 的列表；n 至少为 1。看每一段连续的 n 个词元：前 n - 1 个是上文，写成元组（n = 1 时是空元组），最后一个是下一个
    词元。返回 {上文: {下一个词元: 次数}}，只含出现过的；不足 n 个词元时返回 {}。
    """
    raise NotImplementedError


def next_token_probabilities(tables: list[dict], context: list) -> dict:
    """What comes next, by the longest end of the context that was seen ("back-off").

    tables: tables[k] is count_ngrams(tokens, k + 1), so its contexts are k tokens long. context: the text
    so far, of any length, perhaps empty. Take the largest k, not above len(context), for which the last k
    tokens of the context are in tables[k]; return the counts found there, divided by their sum, as
    {token: probability}. The context of no token, (), is seen in every text. No smoothing.

    回退：取见过的最长上文，给出下一个词元的概率。

    tables：tables[k] 是 count_ngrams(tokens, k + 1)，其中的上文有 k 个词元。context：到目前为止的文本，长度任意，可以为空。取不超过
    len(context) 的最大的 k，使 context 的最后 k 个词元在 tables[k] 里；返回那里的次数除以它们的和，即 {词元: 概率}。空上文 () 在任何
    文本里都见过。不做平滑。
    """
    raise NotImplementedError


def smooth(counts: dict, shorter: dict) -> dict:
    """Mix the counts after a context with what a shorter context says (Witten-Bell smoothing).

    counts: {token: how often it followed this context}, {} if the context was never seen, no zeros.
    shorter: {token: probability} by the context without its first token, for every token of the
    vocabulary. With N = the sum of the counts and K = how many different tokens followed, returns
    {token: (count + K * shorter[token]) / (N + K)} for every token of `shorter`, where the count is 0 if
    the token did not follow. If the context was never seen, this is `shorter` itself.

    把一个上文之后的计数和较短上文的意见混合起来（Witten-Bell 平滑）。

    counts：{词元: 它跟在这个上文后面的次数}，上文没见过时是 {}，没有 0。shorter：{词元: 概率}，由去掉第一个词元的上文给出，包含词表里的每个
    词元。N 是次数之和，K 是跟过多少种不同的词元；对 `shorter` 的每个词元返回 {词元: (次数 + K * shorter[词元]) / (N + K)}，没跟过的次数
    是 0。K = 0 时（上文没见过）就是 `shorter`。
    """
    raise NotImplementedError


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over all positions of -log p(target), in nats, where p = softmax(logits).

    logits: (…, V) floats, of any size; targets: (…) integers from 0 to V - 1, where … is (N,) or (B, T).
    Returns one number (a tensor of no dimension, or a float). log is the natural logarithm.

    平均损失：-log softmax(logits)[目标] 对所有位置取平均。

    logits：(…, V) 任意大小的浮点数；targets：(…)，0 到 V - 1 的整数，其中 … 是 (N,) 或 (B, T)。返回一个数（零维张量或浮点数）。log 是
    自然对数。
    """
    raise NotImplementedError


def perplexity(probabilities: np.ndarray) -> float:
    """The perplexity of a text, from the probability that the model gave to each of its tokens.

    probabilities: (N,) floats from 0 to 1, N at least 1, perhaps thousands. Returns exp of the mean of
    -log p: the number of equally likely tokens that would be as hard to guess. Infinity (math.inf) if a
    probability is 0.

    由模型给每个词元的概率算出一段文本的困惑度。

    probabilities：(N,)，0 到 1 的浮点数，N 至少为 1，可以有几千个。返回 -log p 的平均值的 exp：相当于在这么多个同样可能的词元里猜。
    只要有一个概率是 0，就返回无穷大（math.inf）。
    """
    raise NotImplementedError


def bits_per_byte(nats: list[float], text: str) -> float:
    """The loss of a text per byte, to compare models with different tokens.

    nats: the loss -log p of each token of the text, natural logarithm; text: the whole text, not empty.
    Returns the sum of the losses in bits (1 bit = log 2 nats), divided by the text's bytes in UTF-8.

    每字节比特数：不同分词器之间也能比较的损失。

    nats：文本中每个词元的损失 -log p，自然对数；text：整段文本，不为空。返回损失之和换成比特（1 比特 = log 2 奈特），再除以文本的 UTF-8
    字节数。
    """
    raise NotImplementedError
