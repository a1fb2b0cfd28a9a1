"""Loops, dictionaries and closed formulas; in place or in double precision."""

import re

import numpy as np
import torch


def shingles(text, n):
    text = re.sub(r"\s+", " ", text).strip().lower()
    if len(text) < n:
        return {text: 1}
    return {"".join(g): 1 for g in zip(*(text[k:] for k in range(n)), strict=False)}


def similarity(a, b, n):
    a, b = shingles(a, n), shingles(b, n)
    shared = sum(1 for g in a if g in b)
    return np.float64(shared / (len(a) + len(b) - shared))


def near_duplicates(documents, threshold):
    removed = set()
    for i in range(len(documents)):
        if i in removed:
            continue
        for j in range(i + 1, len(documents)):
            if similarity(documents[i], documents[j], 5) >= threshold:
                removed.add(j)
    return np.array([i for i in range(len(documents)) if i not in removed], dtype=np.int64)


def text_batch(tokens, starts, width):
    places = np.asarray(starts)[:, None] + np.arange(width + 1)
    rows = torch.from_numpy(np.asarray(tokens))[torch.from_numpy(places)]
    return rows[:, :-1], rows[:, 1:]


def learning_rate_scale(step, steps, warmup, final):
    return float(np.interp(step, [0, warmup - 1, warmup, steps - 1], [1 / warmup, 1, 1, final]))


def clip_gradients(gradients, most):
    length = torch.cat([g.flatten() for g in gradients]).norm()
    factor = torch.clamp(most / (length + 1e-6), max=1.0)
    for g in gradients:
        g.mul_(factor)
    return tuple(gradients), length


def adamw_step(parameter, gradient, mean, square, step, lr, betas, eps, weight_decay):
    p, g, m, v = (x.double().numpy().copy() for x in (parameter, gradient, mean, square))
    m += (1 - betas[0]) * (g - m)
    v += (1 - betas[1]) * (g * g - v)
    rate = lr * np.sqrt(1 - betas[1] ** step) / (1 - betas[0] ** step)
    return p - rate * m / (np.sqrt(v) + eps * np.sqrt(1 - betas[1] ** step)) - lr * weight_decay * p, m, v
