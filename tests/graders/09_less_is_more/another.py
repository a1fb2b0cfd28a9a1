"""Ranks instead of turns, regular expressions, quantiles by hand."""

import re

import torch


def choose_pairs(records, budget):
    first, order, turn = {}, {}, []
    for i in range(len(records)):
        question, answer = records[i]["question"], records[i]["answer"]
        usable = records[i]["good"] and re.search(r"\S", question) and re.search(r"\S", answer)
        key = re.sub(r"\s+", " ", question.lower()).strip()
        if not usable or key in first:
            continue
        first[key] = i
        kind = records[i]["type"]
        order.setdefault(kind, [len(order), 0])
        turn.append((order[kind][1], order[kind][0], i))  # its round, its type, its position
        order[kind][1] += 1
    return [i for _, _, i in sorted(turn)][:budget]


def exact_match(answers, accepted):
    def core(text):
        return re.sub(r"[.。!！?？ ]+$", "", re.sub(r"^\s+|\s+$", "", text))

    marks = [False] * len(answers)
    for i, (text, ended) in enumerate(answers):
        for form in accepted[i]:
            if ended and core(form) == core(text):
                marks[i] = True
    return marks


def bootstrap_interval(correct, draws):
    marks = torch.as_tensor(correct).double()
    shares = sorted(sum(marks[j].item() for j in row) / len(row) for row in draws)

    def quantile(p):
        place = p * (len(shares) - 1)
        below = int(place)
        above = min(below + 1, len(shares) - 1)
        return shares[below] + (place - below) * (shares[above] - shares[below])

    return marks.mean().item(), quantile(0.025), quantile(0.975)
