"""Loops and numpy in double precision, sorting by Python, writing into the cache in place."""

import math

import numpy as np
import torch


def keep_top_k(logits, k):
    logits = np.array(logits, dtype=np.float64)
    for row in logits:
        limit = sorted(row, reverse=True)[:k][-1]
        row[row < limit] = -np.inf
    return logits


def keep_top_p(logits, p):
    rows = []
    for row in np.asarray(logits, dtype=np.float64):
        share = np.exp(row - row.max())
        share /= share.sum()
        kept, total = [], 0.0
        for i in sorted(range(len(row)), key=lambda i: -share[i]):
            if kept and total >= p:
                break
            kept.append(i)
            total += share[i]
        rows.append([x if i in kept else -math.inf for i, x in enumerate(row.tolist())])
    return rows


def probabilities(logits, temperature, top_p):
    rows = []
    for row in np.asarray(logits, dtype=np.float64):
        if temperature == 0:
            rows.append(np.eye(len(row))[row.tolist().index(max(row))])
            continue
        row = (row - row.max()) / temperature
        if top_p is not None:
            row = np.array(keep_top_p(row[None], top_p)[0])
        rows.append(np.exp(row) / np.exp(row).sum())
    return np.stack(rows)


def generate(model, prompt, max_new_tokens, stop):
    def follow(ids, left):
        if left == 0:
            return []
        scores = model(torch.as_tensor(ids).view(1, -1))[0, len(ids) - 1].tolist()
        token = scores.index(max(scores))
        return [token] if token == stop else [token, *follow([*ids, token], left - 1)]

    return follow(prompt, max_new_tokens)


def extend_cache(keys, values, length, k, v):
    end = length + k.shape[2]
    keys[:, :, length:end] = k
    values[:, :, length:end] = v
    return keys[:, :, :end], values[:, :, :end]
