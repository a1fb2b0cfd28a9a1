import math

import numpy as np
import torch


def count_ngrams(tokens, n):
    counts = {}
    for i in range(len(tokens) - n + 1):
        context = tuple(tokens[i : i + n - 1])
        following = tokens[i + n - 1]
        row = counts.setdefault(context, {})
        row[following] = row.get(following, 0) + 1
    return counts


def next_token_probabilities(tables, context):
    longest = min(len(tables) - 1, len(context))
    for k in range(longest, -1, -1):
        end = tuple(context[len(context) - k :])
        if end in tables[k]:
            counts = tables[k][end]
            total = sum(counts.values())
            return {token: count / total for token, count in counts.items()}
    return {}


def smooth(counts, shorter):
    if not counts:
        return shorter
    total, kinds = sum(counts.values()), len(counts)
    mixed = {}
    for token, p in shorter.items():
        mixed[token] = (counts.get(token, 0) + kinds * p) / (total + kinds)
    return mixed


def cross_entropy(logits, targets):
    log_p = torch.log_softmax(logits, dim=-1)
    losses = -log_p.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return losses.mean()


def perplexity(probabilities):
    losses = []
    for p in probabilities:
        if p == 0:
            return math.inf
        losses.append(-math.log(p))
    return math.exp(sum(losses) / len(losses))


def bits_per_byte(nats, text):
    bits = sum(nats) / math.log(2)
    return bits / len(text.encode("utf-8"))
