"""Loops and numpy in double precision, complex numbers, in place."""

import cmath
import math

import numpy as np


def layer_norm(x, weight, bias, eps):
    x, weight, bias = (np.asarray(a, dtype=np.float64) for a in (x, weight, bias))
    rows = [[(c - row.mean()) / math.sqrt(row.var() + eps) for c in row] for row in x.reshape(-1, x.shape[-1])]
    return np.array(rows).reshape(x.shape) * weight + bias


def rms_norm(x, eps=1e-5):
    x = np.array(x, dtype=np.float64)
    for place in np.ndindex(x.shape[:-1]):
        row = x[place]
        row /= math.sqrt(row @ row / len(row) + eps)
    return x


def rotary_angles(n_ctx, head_dim, base):
    return [[p * math.exp(-2 * i / head_dim * math.log(base)) for i in range(head_dim // 2)] for p in range(n_ctx)]


def rotate(x, cos, sin):
    x, cos, sin = (np.asarray(a, dtype=np.float64) for a in (x, cos, sin))
    B, H, T, D = x.shape
    out = np.zeros_like(x)
    for b, h, t, i in np.ndindex(B, H, T, D // 2):
        turned = complex(x[b, h, t, i], x[b, h, t, i + D // 2]) * cmath.rect(
            1, math.atan2(sin[b, 0, t, i], cos[b, 0, t, i])
        )
        out[b, h, t, i], out[b, h, t, i + D // 2] = turned.real, turned.imag
    return out


def block(x, norm1, attn, norm2, mlp):
    for norm, layer in ((norm1, attn), (norm2, mlp)):
        x += layer(norm(x))
    return x
