"""Loops and numpy, in double precision; the forward pass by way of the merged matrix."""

import math

import numpy as np


def lora_forward(x, weight, A, B, alpha):
    x = np.asarray(x, dtype=np.float64)
    merged = np.asarray(lora_merge(weight, A, B, alpha))
    rows = x.reshape(-1, x.shape[-1])
    out = np.array([[sum(w * v for w, v in zip(line, row)) for line in merged] for row in rows])
    return out.reshape(*x.shape[:-1], len(merged))


def lora_merge(weight, A, B, alpha):
    merged = np.array(weight, dtype=np.float64)
    A, B = np.asarray(A, dtype=np.float64), np.asarray(B, dtype=np.float64)
    for k in range(len(A)):  # one outer product for each unit of rank
        merged += alpha * np.outer(B[:, k], A[k]) / len(A)
    return merged


def count_lora_parameters(shapes, rank):
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    matrices = [s for name, s in shapes.items() if name.split(".")[0] == "blocks" and len(s) > 1]
    count = sum(int(np.zeros((rank, i)).size + np.zeros((o, rank)).size) for o, i in matrices)
    return np.int64(count), count / max(1, sum(sizes.values()))
