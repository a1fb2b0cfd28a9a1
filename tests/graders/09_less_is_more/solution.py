import numpy as np


def choose_pairs(records, budget):
    kept = []
    seen = set()
    for i, record in enumerate(records):
        question, answer = record["question"].strip(), record["answer"].strip()
        if not record["good"]:
            continue
        if not question:
            continue
        if not answer:
            continue
        key = " ".join(question.lower().split())
        if key in seen:
            continue
        seen.add(key)
        kept.append(i)
    by_type = {}
    for i in kept:
        by_type.setdefault(records[i]["type"], []).append(i)
    chosen = []
    while by_type:
        for kind in list(by_type):
            if len(chosen) >= budget:
                return chosen
            chosen.append(by_type[kind].pop(0))
            if not by_type[kind]:
                del by_type[kind]
    return chosen


def trim(text):
    return text.strip().rstrip(".。!！?？ ")


def exact_match(answers, accepted):
    marks = []
    for (text, ended), forms in zip(answers, accepted, strict=True):
        right = trim(text) in [trim(form) for form in forms]
        marks.append(ended and right)
    return marks


def bootstrap_interval(correct, draws):
    shares = correct[draws].mean(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return correct.mean(), low, high
