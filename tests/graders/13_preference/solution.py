import torch
import torch.nn.functional as F


def sequence_log_probs(logits, targets, weights):
    log_probs = F.log_softmax(logits, dim=-1)
    of_targets = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return (of_targets * weights).sum(dim=-1)


def bradley_terry_loss(chosen_rewards, rejected_rewards):
    difference = chosen_rewards - rejected_rewards
    return -F.logsigmoid(difference)


def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta):
    better = chosen - reference_chosen
    worse = rejected - reference_rejected
    return torch.nn.functional.softplus(-beta * (better - worse))
