"""Other ways: text replacement, counters with sorting, numpy arrays, bytes patterns, an incremental decoder."""

import codecs
from collections import Counter

import numpy as np


def merge(ids, pair, new):
    ids = list(ids)
    i = 0
    while i < len(ids) - 1:
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            ids[i : i + 2] = [new]
        i += 1
    return np.array(ids)


def most_frequent_pair(words):
    places = [(word[i], word[i + 1]) for word in words for i in range(len(word) - 1)]
    if not places:
        return None
    counts = Counter(places)
    return min(counts, key=lambda pair: (-counts[pair], places.index(pair)))


def train_bpe(words, vocab_size):
    """Each distinct word once, with how often it occurs; stops without a pair left by recursion."""
    weights = Counter(words)
    pieces = {word: list(word.encode()) for word in weights}

    def learn(merges):
        if len(merges) >= vocab_size - 256:
            return merges
        counts = Counter()
        for word, ids in pieces.items():
            for pair in zip(ids, ids[1:]):
                counts[pair] += weights[word]
        if not counts:
            return merges
        pair = counts.most_common(1)[0][0]
        for word, ids in pieces.items():
            pieces[word] = list(merge(ids, pair, 256 + len(merges)))
        return learn([*merges, (int(pair[0]), int(pair[1]))])

    return learn([])


def encode(piece, ranks):
    """Borders between the parts, removed one at a time."""
    borders = list(range(len(piece) + 1))
    while True:
        candidates = []
        for k in range(len(borders) - 2):
            joined = piece[borders[k] : borders[k + 2]]
            if joined in ranks:
                candidates.append((ranks[joined], k + 1))
        if not candidates:
            return [ranks[piece[a:b]] for a, b in zip(borders, borders[1:])]
        del borders[min(candidates)[1]]


def whole_characters(data):
    decoder = codecs.getincrementaldecoder("utf-8")()
    text = decoder.decode(data)
    return text, data[len(text.encode("utf-8")) :]
