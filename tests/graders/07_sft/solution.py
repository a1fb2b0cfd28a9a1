import torch
import torch.nn.functional as F


def encode_dialogue(turns, doc, end):
    ids, mask = [doc], [False]
    for question, answer in turns:
        ids += question
        mask += [False] * len(question)
        if answer is not None:
            ids += [*answer, end]
            mask += [True] * len(answer) + [True]
    return ids, mask


def padded_batch(dialogues, pad):
    width = max(len(row) for row, _ in dialogues) - 1
    inputs = torch.full((len(dialogues), width), pad)
    targets = torch.full((len(dialogues), width), pad)
    weights = torch.zeros(len(dialogues), width)
    for b, (row, mask) in enumerate(dialogues):
        n = len(row) - 1
        inputs[b, :n] = torch.tensor(row[:-1])
        targets[b, :n] = torch.tensor(row[1:])
        weights[b, :n] = torch.tensor(mask[1:]).float()
    return inputs, targets, weights


def token_losses(logits, targets):
    return -F.log_softmax(logits, dim=-1).gather(-1, targets[..., None])[..., 0]


def masked_loss(logits, targets, weights):
    losses = token_losses(logits, targets) * weights
    learned = weights.sum()
    if learned == 0:
        return torch.tensor(0.0)
    return losses.sum() / learned


def piece_losses(logits, targets, weights, pieces):
    total = weights.sum()
    size = -(-len(logits) // pieces)
    sums = []
    for i in range(0, len(logits), size):
        part = slice(i, i + size)
        sums.append((token_losses(logits[part], targets[part]) * weights[part]).sum())
    return [s / total for s in sums]
