import torch


def answer_weights(ids, prompt_lengths, end):
    columns = torch.arange(ids.shape[1])
    behind = columns >= prompt_lengths[:, None]
    ends = (ids == end) & behind
    before = ends.cumsum(dim=-1) - ends.int()
    return (behind & (before == 0)).float()


def group_advantages(rewards, divide_by_std):
    rewards = rewards.double()
    if rewards.shape[-1] == 1:
        return torch.zeros(rewards.shape)
    centred = rewards - rewards.mean(dim=-1, keepdim=True)
    if not divide_by_std:
        return centred
    return centred / (rewards.std(dim=-1, keepdim=True) + 1e-4)


def gae(rewards, values, lengths, gamma, lam):
    b, t = rewards.shape
    inside = torch.arange(t) < lengths[:, None]
    values = torch.where(inside, values, 0.0)
    result = torch.zeros(b, t)
    later = torch.zeros(b)
    next_values = torch.zeros(b)
    for i in range(t - 1, -1, -1):
        delta = rewards[:, i] + gamma * next_values - values[:, i]
        later = torch.where(inside[:, i], delta + gamma * lam * later, 0.0)
        next_values = values[:, i]
        result[:, i] = later
    return result


def clipped_loss(log_probs, sampled, advantages, weights, epsilon):
    own = weights > 0
    ratio = torch.where(own, log_probs - sampled, 0.0).exp()
    each = advantages.unsqueeze(-1)
    clipped = ratio.clamp(1 - epsilon, 1 + epsilon)
    losses = -torch.minimum(ratio * each, clipped * each)
    total = torch.where(own, losses, 0.0).sum()
    return total / weights.sum().clamp(min=1)


def kl_k3(log_probs, reference, weights):
    u = torch.where(weights > 0, reference - log_probs, 0.0)
    each = u.exp() - 1 - u
    return each.sum(dim=-1)


def best_of_n(rewards, n):
    groups = rewards.reshape(-1, n)
    rows = groups.argmax(dim=-1)
    return [i * n + int(k) for i, k in enumerate(rows)]
