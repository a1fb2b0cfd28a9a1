"""Recursion, regular expressions and numpy."""

import re

import numpy as np


def rename_weights(state, rules):
    renamed, unknown = {}, []
    for name in state:
        found = walk(name, rules)
        if found == (name, False, False):
            unknown += [name]
        elif found is not None:
            array = np.asarray(state[name], dtype=np.float64)
            renamed[found[0]] = np.moveaxis(array, 0, 1) if found[1] and array.ndim == 2 else array
    return renamed, unknown


def walk(name, rules, swap=False, known=False):
    """(new name, whether to swap, whether any rule applied), or None if the weight is left out."""
    if not rules:
        return name, swap, known
    (old, new, swaps), *rest = rules
    if name.find(old) < 0:
        return walk(name, rest, swap, known)
    return None if new is None else walk(new.join(name.split(old)), rest, swap | swaps, True)


def chat_template(messages):
    messages = [(role, text.strip()) for role, text in messages]
    head = ""
    if messages[0][0] == "system":
        head, messages = "SYSTEM: " + messages[0][1] + " ", messages[1:]
    result = [["[DOC]", False]]
    for i, (_, text) in enumerate(messages):
        if i % 2 == 0:
            result.append([(head if i == 0 else "") + "USER: " + text + " AI:", False])
        else:
            result += [[re.sub(r"^(?![\u4e00-\u9fff\u3000-\u303f\uff00-\uffef])", " ", text), True], ["[END]", True]]
    return result


def quantise_rows(weight):
    weight = np.asarray(weight, dtype=np.float64)
    q, scales = np.zeros(weight.shape, np.int8), np.ones(len(weight))
    for i, row in enumerate(weight):
        if row.any():
            scales[i] = max(row.max(), -row.min()) / 127
            q[i] = [int(np.floor(value / scales[i] + 0.5)) for value in row]
    return q, scales


def rotary_halves(weight, n_head):
    weight = np.asarray(weight, dtype=np.float64)
    size = len(weight) // n_head
    order = [h * size + i for h in range(n_head) for i in sorted(range(size), key=lambda i: i % 2)]
    return weight[order]


def unpack_q4(packed, scale, minimum):
    packed, scale, minimum = np.asarray(packed), np.asarray(scale), np.asarray(minimum)
    result = np.zeros((len(packed), 32), np.float64)
    for i, block in enumerate(packed.tolist()):
        for j, byte in enumerate(block):
            result[i, j] = (byte & 15) * scale[i] + minimum[i]
            result[i, j + 16] = (byte >> 4) * scale[i] + minimum[i]
    return result


def share_kept(before, after):
    return float(np.mean(np.asarray(after, bool)[np.asarray(before, bool)])) if any(before) else 1.0
