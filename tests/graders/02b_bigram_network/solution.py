import torch


def bigram_logits(ids, weight):
    return weight[ids]


def logits_gradient(logits, targets):
    gradient = logits.softmax(dim=-1)
    gradient[torch.arange(len(targets)), targets] -= 1
    return gradient / len(targets)


def train_step(weight, ids, targets, lr):
    gradient = weight[ids].softmax(dim=-1)
    gradient[torch.arange(len(ids)), targets] -= 1
    table = torch.zeros_like(weight)
    table.index_add_(0, ids, gradient / len(ids))
    return weight - lr * table
