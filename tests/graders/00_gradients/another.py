"""Loops, in Python's own numbers."""

import math


def line_loss(a, b, x, y):
    total = 0.0
    for one, other in zip(x.tolist(), y.tolist()):
        total += (a * one + b - other) ** 2
    return total / len(x)


def neuron_gradient(x, w, b, target):
    z = sum(float(i) * float(j) for i, j in zip(x, w)) + b
    y = math.tanh(z)
    slope = 2 * (y - target) / math.cosh(min(abs(z), 300)) ** 2
    return [slope * float(i) for i in x], slope


def fit_line(x, y, lr, steps):
    line = [0.0, 0.0]
    points = list(zip(x.tolist(), y.tolist()))
    while steps:
        slopes = [0.0, 0.0]
        for one, other in points:
            error = line[0] * one + line[1] - other
            slopes[0] += 2 * error * one / len(points)
            slopes[1] += 2 * error / len(points)
        line = [value - lr * slope for value, slope in zip(line, slopes)]
        steps -= 1
    return tuple(line)
