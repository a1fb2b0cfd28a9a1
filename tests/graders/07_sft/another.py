"""Loops over single tokens, numpy in double precision."""

import math

import numpy as np


def encode_dialogue(turns, doc, end):
    pairs = [(doc, False)]
    for question, answer in turns:
        pairs.extend((i, False) for i in question)
        pairs.extend((i, True) for i in ([] if answer is None else [*answer, end]))
    return np.array([i for i, _ in pairs]), np.array([learned for _, learned in pairs], dtype=bool)


def padded_batch(dialogues, pad):
    width = max(len(ids) for ids, _ in dialogues) - 1
    inputs, targets, weights = [], [], []
    for ids, mask in dialogues:
        rest = width + 1 - len(ids)
        inputs.append([*ids[:-1], *[pad] * rest])
        targets.append([*ids[1:], *[pad] * rest])
        weights.append([float(m) for m in mask[1:]] + [0.0] * rest)
    return inputs, np.array(targets), np.array(weights)


def sum_and_count(logits, targets, weights):
    logits, targets, weights = np.asarray(logits, dtype=np.float64), np.asarray(targets), np.asarray(weights)
    total, count = 0.0, 0
    for b in range(len(targets)):
        for t in range(len(targets[b])):
            if weights[b, t] > 0:
                row = logits[b, t]
                most = row.max()
                total += most + math.log(np.exp(row - most).sum()) - row[targets[b, t]]
                count += 1
    return total, count


def masked_loss(logits, targets, weights):
    total, count = sum_and_count(logits, targets, weights)
    return total / max(1, count)


def piece_losses(logits, targets, weights, pieces):
    rows = len(targets)
    size = math.ceil(rows / pieces)
    count = sum_and_count(logits, targets, weights)[1]
    parts = [slice(i, min(rows, i + size)) for i in range(0, rows, size)]
    return np.array([sum_and_count(logits[p], targets[p], weights[p])[0] / count for p in parts])
