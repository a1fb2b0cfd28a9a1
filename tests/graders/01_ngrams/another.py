"""Other containers, recursion, numpy instead of torch and torch instead of numpy."""

from collections import Counter, defaultdict

import numpy as np
import torch
from torch.nn import functional as F


def count_ngrams(tokens, n):
    counts = defaultdict(Counter)
    for run in zip(*(tokens[k:] for k in range(n))):
        counts[run[:-1]][run[-1]] += 1
    return counts


def next_token_probabilities(tables, context):
    context = tuple(context)
    if len(context) >= len(tables):
        return next_token_probabilities(tables, context[1:])
    counts = tables[len(context)].get(context)
    if counts is None:
        return next_token_probabilities(tables, context[1:])
    values = np.array(list(counts.values()))
    return dict(zip(counts, values / values.sum()))


def smooth(counts, shorter):
    total, kinds = sum(counts.values()), len(counts)
    weight = kinds / (total + kinds) if counts else 1.0
    seen = {t: c / total for t, c in counts.items()}
    return {t: (1 - weight) * seen.get(t, 0.0) + weight * p for t, p in shorter.items()}


def cross_entropy(logits, targets):
    logits = logits.double().reshape(-1, logits.shape[-1]).numpy()
    targets = targets.reshape(-1).numpy()
    highest = logits.max(1)
    log_sum = highest + np.log(np.exp(logits - highest[:, None]).sum(1))
    return np.mean(log_sum - logits[np.arange(len(targets)), targets])


def perplexity(probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log2().mean().neg().exp2()


def bits_per_byte(nats, text):
    size = sum(1 if ord(c) < 0x80 else 2 if ord(c) < 0x800 else 3 if ord(c) < 0x10000 else 4 for c in text)
    return float(np.log2(np.exp(np.asarray(nats))).sum()) / size
