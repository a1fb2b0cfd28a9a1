"""Homework of lesson 1: n-grams, loss, perplexity. Write the six functions with Python, numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 1`. Lesson: notebooks/en/01_ngrams.ipynb.
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
    """
    raise NotImplementedError


def next_token_probabilities(tables: list[dict], context: list) -> dict:
    """What comes next, by the longest end of the context that was seen ("back-off").

    tables: tables[k] is count_ngrams(tokens, k + 1), so its contexts are k tokens long. context: the text
    so far, of any length, perhaps empty. Take the largest k, not above len(context), for which the last k
    tokens of the context are in tables[k]; return the counts found there, divided by their sum, as
    {token: probability}. The context of no token, (), is seen in every text. No smoothing.
    """
    raise NotImplementedError


def smooth(counts: dict, shorter: dict) -> dict:
    """Mix the counts after a context with what a shorter context says (Witten-Bell smoothing).

    counts: {token: how often it followed this context}, {} if the context was never seen, no zeros.
    shorter: {token: probability} by the context without its first token, for every token of the
    vocabulary. With N = the sum of the counts and K = how many different tokens followed, returns
    {token: (count + K * shorter[token]) / (N + K)} for every token of `shorter`, where the count is 0 if
    the token did not follow. If the context was never seen, this is `shorter` itself.
    """
    raise NotImplementedError


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over all positions of -log p(target), in nats, where p = softmax(logits).

    logits: (…, V) floats, of any size; targets: (…) integers from 0 to V - 1, where … is (N,) or (B, T).
    Returns one number (a tensor of no dimension, or a float). log is the natural logarithm.
    """
    raise NotImplementedError


def perplexity(probabilities: np.ndarray) -> float:
    """The perplexity of a text, from the probability that the model gave to each of its tokens.

    probabilities: (N,) floats from 0 to 1, N at least 1, perhaps thousands. Returns exp of the mean of
    -log p: the number of equally likely tokens that would be as hard to guess. Infinity (math.inf) if a
    probability is 0.
    """
    raise NotImplementedError


def bits_per_byte(nats: list[float], text: str) -> float:
    """The loss of a text per byte, to compare models with different tokens.

    nats: the loss -log p of each token of the text, natural logarithm; text: the whole text, not empty.
    Returns the sum of the losses in bits (1 bit = log 2 nats), divided by the text's bytes in UTF-8.
    """
    raise NotImplementedError
