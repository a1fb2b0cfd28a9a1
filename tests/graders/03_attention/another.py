"""Loops and numpy, in double precision."""

import numpy as np


def split_heads(x, n_head):
    x = np.asarray(x)
    return np.stack(np.split(x, n_head, axis=-1), axis=1)


def join_heads(x):
    x = np.asarray(x)
    return np.concatenate([x[:, h] for h in range(x.shape[1])], axis=-1)


def causal_mask(t, s):
    return [[j <= s - t + i for j in range(s)] for i in range(t)]


def attention(q, k, v, mask):
    q, k, v = (np.asarray(a, dtype=np.float64) for a in (q, k, v))
    B, H, T, D = q.shape
    S = k.shape[2]
    allowed = np.ones((B, H, T, S), bool) if mask is None else np.broadcast_to(np.asarray(mask), (B, H, T, S))
    out, weights = np.zeros((B, H, T, D)), np.zeros((B, H, T, S))
    for b in range(B):
        for h in range(H):
            for i in range(T):
                seen = [j for j in range(S) if allowed[b, h, i, j]]
                scores = np.array([q[b, h, i] @ k[b, h, j] / D**0.5 for j in seen])
                shares = np.exp(scores - scores.max())
                shares /= shares.sum()
                weights[b, h, i, seen] = shares
                out[b, h, i] = shares @ v[b, h, seen]
    return out, weights
