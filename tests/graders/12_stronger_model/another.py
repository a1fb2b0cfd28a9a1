"""A recursion with a memory, masks instead of a list, characters instead of patterns."""

from functools import cache, lru_cache

import numpy as np


def units(text):
    found, word = [], ""
    for character in text + " ":
        if character.isascii() and character.isalnum():
            word += character.lower()
            continue
        found += [word] * bool(word)
        word = ""
        if "\u4e00" <= character <= "\u9fff":
            found.append(character)
    return found


def similarity(a, b):
    x, y = units(a), units(b)

    @cache
    def length(i, j):
        if i == len(x) or j == len(y):
            return 0
        if x[i] == y[j]:
            return 1 + length(i + 1, j + 1)
        return max(length(i + 1, j), length(i, j + 1))

    both = length(0, 0)
    if both == 0:
        return 0
    precision, recall = both / len(x), both / len(y)
    return 2 * precision * recall / (precision + recall)


def keep_new(to_pool, among, threshold):
    blocked = (np.asarray(to_pool) >= threshold).any(axis=1)
    kept = np.zeros(len(among), dtype=bool)
    for c in range(len(among)):
        kept[c] = not blocked[c]
        if kept[c]:
            blocked |= np.asarray(among)[c] >= threshold
    return np.flatnonzero(kept)


def record_fault(record):
    texts = {"input": ""} | record
    if any(type(texts.get(name)) is not str for name in ("instruction", "output", "input")):
        return "missing"
    instruction, output, given = (texts[name].strip() for name in ("instruction", "output", "input"))
    if "" in (instruction, output):
        return "empty"
    if output[200:]:
        return "long"
    if output.lower() in (instruction.lower(), given.lower()):
        return "copied"
    letters = "".join(c if "a" <= c <= "z" else " " for c in instruction.lower())
    if {"image", "picture", "graph"} & set(letters.split()) or instruction.count("图片"):
        return "impossible"
    return ""
