import torch


def line_loss(a, b, x, y):
    error = a * x + b - y
    return (error**2).mean()


def neuron_gradient(x, w, b, target):
    y = torch.tanh((w * x).sum() + b)
    dz = 2 * (y - target) * (1 - y**2)
    return dz * x, dz


def fit_line(x, y, lr, steps):
    a = b = 0.0
    for _ in range(steps):
        error = a * x + b - y
        da = (2 * error * x).mean().item()
        db = (2 * error).mean().item()
        a, b = a - lr * da, b - lr * db
    return a, b
