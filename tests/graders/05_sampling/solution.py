import torch


def keep_top_k(logits, k):
    k = min(k, logits.shape[-1])
    best = torch.topk(logits, k, dim=-1).values
    threshold = best[:, -1:]
    return torch.where(logits >= threshold, logits, float("-inf"))


def keep_top_p(logits, p):
    ordered, order = torch.sort(logits, dim=-1, descending=True)
    share = torch.softmax(ordered, dim=-1)
    before = torch.cumsum(share, dim=-1) - share
    drop = before >= p
    drop[:, 0] = False
    ordered = ordered.masked_fill(drop, float("-inf"))
    result = torch.empty_like(logits)
    result.scatter_(-1, order, ordered)
    return result


def probabilities(logits, temperature, top_p):
    if temperature == 0:
        result = torch.zeros_like(logits)
        result[torch.arange(len(logits)), logits.argmax(dim=-1)] = 1.0
        return result
    logits = logits / temperature
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return torch.softmax(logits, dim=-1)


def generate(model, prompt, max_new_tokens, stop):
    ids = list(prompt)
    new = []
    while len(new) < max_new_tokens:
        logits = model(torch.tensor([ids]))
        token = logits[0, -1].argmax().item()
        ids.append(token)
        new.append(token)
        if token == stop:
            break
    return new


def extend_cache(keys, values, length, k, v):
    all_keys = torch.cat([keys[:, :, :length], k], dim=2)
    all_values = torch.cat([values[:, :, :length], v], dim=2)
    return all_keys, all_values
