"""Loops and numpy, in double precision."""

import math

import numpy as np


def sequence_log_probs(logits, targets, weights):
    logits, targets, weights = np.asarray(logits, np.float64), np.asarray(targets), np.asarray(weights)
    result = []
    for row, wanted, learned in zip(logits, targets, weights, strict=True):
        total = 0.0
        for scores, target, weight in zip(row, wanted, learned, strict=True):
            if weight:
                most = scores.max()
                total += scores[target] - most - math.log(np.exp(scores - most).sum())
        result.append(total)
    return result


def minus_log_sigmoid(x):
    return max(-x, 0.0) + math.log1p(math.exp(-abs(x)))


def bradley_terry_loss(chosen_rewards, rejected_rewards):
    return [minus_log_sigmoid(float(a) - float(b)) for a, b in zip(chosen_rewards, rejected_rewards, strict=True)]


def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta):
    policy = np.asarray(chosen, np.float64) - np.asarray(rejected, np.float64)
    reference = np.asarray(reference_chosen, np.float64) - np.asarray(reference_rejected, np.float64)
    return np.logaddexp(0.0, -beta * (policy - reference))
