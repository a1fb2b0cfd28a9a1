"""Loops and numpy, in double precision."""

import math

import numpy as np


def answer_weights(ids, prompt_lengths, end):
    result = np.zeros(tuple(ids.shape))
    for row, begin in enumerate(prompt_lengths.tolist()):
        for column in range(begin, ids.shape[1]):
            result[row, column] = 1.0
            if ids[row, column] == end:
                break
    return result


def group_advantages(rewards, divide_by_std):
    result = []
    for group in rewards.tolist():
        mean = sum(group) / len(group)
        row = [r - mean for r in group]
        if divide_by_std:
            spread = math.sqrt(sum(r * r for r in row) / max(1, len(row) - 1))
            row = [r / (spread + 1e-4) for r in row]
        result.append([float(r) for r in row])
    return result


def gae(rewards, values, lengths, gamma, lam):
    result = np.zeros(tuple(rewards.shape))
    for row, length in enumerate(lengths.tolist()):
        r, v = rewards[row, :length].tolist(), [*values[row, :length].tolist(), 0.0]
        deltas = [r[i] + gamma * v[i + 1] - v[i] for i in range(length)]
        for i in range(length):
            result[row, i] = sum((gamma * lam) ** (j - i) * deltas[j] for j in range(i, length))
    return result


def clipped_loss(log_probs, sampled, advantages, weights, epsilon):
    losses = []
    for row in range(len(advantages)):
        a = float(advantages[row])
        for column in range(weights.shape[1]):
            if weights[row, column]:
                ratio = math.exp(float(log_probs[row, column]) - float(sampled[row, column]))
                losses.append(max(-ratio * a, -min(max(ratio, 1 - epsilon), 1 + epsilon) * a))
    return sum(losses) / len(losses) if losses else 0.0


def kl_k3(log_probs, reference, weights):
    result = []
    for x, r, w in zip(log_probs.tolist(), reference.tolist(), weights.tolist(), strict=True):
        us = [b - a for a, b, own in zip(x, r, w, strict=True) if own]
        result.append(sum((math.exp(u) - 1 - u for u in us), 0.0))
    return result


def best_of_n(rewards, n):
    found = []
    for begin in range(0, len(rewards), n):
        best = begin
        for row in range(begin + 1, begin + n):
            if rewards[row] > rewards[best]:
                best = row
        found.append(best)
    return np.array(found)
