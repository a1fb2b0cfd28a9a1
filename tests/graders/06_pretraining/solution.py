import math

import numpy as np


def grams(text, n):
    text = " ".join(text.lower().split())
    count = max(1, len(text) - n + 1)
    return {text[i : i + n] for i in range(count)}


def similarity(a, b, n):
    a, b = grams(a, n), grams(b, n)
    both = len(a & b)
    return both / len(a | b)


def near_duplicates(documents, threshold):
    kept = []
    for i, document in enumerate(documents):
        earlier = kept
        if not any(similarity(document, documents[k], 5) >= threshold for k in earlier):
            kept.append(i)
    return kept


def text_batch(tokens, starts, width):
    inputs = np.stack([tokens[s : s + width] for s in starts])
    targets = np.stack([tokens[s + 1 : s + 1 + width] for s in starts])
    return inputs, targets


def learning_rate_scale(step, steps, warmup, final):
    if step < warmup:
        return (step + 1) / warmup
    left = (steps - 1 - step) / (steps - 1 - warmup)
    return final + (1 - final) * left


def clip_gradients(gradients, most):
    length = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    factor = most / length if length > most else 1.0
    return [factor * g for g in gradients], length


def adamw_step(parameter, gradient, mean, square, step, lr, betas, eps, weight_decay):
    beta1, beta2 = betas
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    m = mean / (1 - beta1**step)
    v = square / (1 - beta2**step)
    decayed = parameter * (1 - lr * weight_decay)
    return decayed - lr * m / (v.sqrt() + eps), mean, square
