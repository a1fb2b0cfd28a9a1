"""Training byte-pair encoding (BPE): from text to merges.

Start from the 256 bytes, count neighbouring pairs, merge the most frequent pair into a new token, repeat.

Sources: Sennrich et al. 2016 (1508.07909, BPE for subwords), Radford et al. 2019 (GPT-2: on bytes).
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import regex

from minillm.plumbing.files import InputError

# A merge never crosses a border between pieces. From left to right: a word with the space before it;
# one Chinese character; one digit (so that numbers are spelled out); punctuation; white space.
PATTERN = r" ?[^\s\p{Han}\p{N}\p{P}\p{S}]+|\p{Han}|\p{N}| ?[\p{P}\p{S}]+|\s+(?!\S)|\s+"

Pair = tuple[int, int]
BORDER, GONE = -1, -2  # between two words; in place of a token that was merged into the one before it


@dataclass(frozen=True)
class Merge:
    """One step of BPE training: `pair`, which was `count` times in the text, became token `id`."""

    pair: Pair
    id: int
    bytes: bytes
    count: int


def train_bpe(texts: Iterable[str], vocab_size: int, pattern: str = PATTERN) -> list[Merge]:
    """Learn merges until there are `vocab_size` tokens (256 bytes included) or no pair is left.

    Among equally frequent pairs the one that occurs first in the text wins. The result is that of
    the textbook algorithm, which counts all pairs anew after every merge; this one counts each
    distinct word once and, after a merge, only looks at the places where the pair was, so the time
    grows with the length of the text (times a logarithm), however long its words are.

    Raises InputError if vocab_size is below 256.
    """
    return list(bpe_steps(texts, vocab_size, pattern))


def bpe_steps(texts: Iterable[str], vocab_size: int, pattern: str = PATTERN) -> Iterator[Merge]:
    """`train_bpe` one merge at a time, to step through."""
    if vocab_size < 256:
        raise InputError(f"vocab_size {vocab_size} is below 256, the number of bytes: take more")
    split, words = regex.compile(pattern), Counter[str]()
    for text in texts:
        words.update(split.findall(text))
    pairs = Pairs(words)
    token_bytes = [bytes([b]) for b in range(256)]
    heap = [pairs.priority(pair) for pair in pairs.count]
    heapq.heapify(heap)
    while len(token_bytes) < vocab_size and heap:
        known, _, pair = heapq.heappop(heap)
        # A count can only fall after the pair first appears: new pairs always hold a new token. So an
        # entry that is out of date is too far to the front, and is put back where it belongs.
        if -known != pairs.count[pair]:
            if pairs.count[pair] > 0:
                heapq.heappush(heap, pairs.priority(pair))
            continue
        new = len(token_bytes)
        token_bytes.append(token_bytes[pair[0]] + token_bytes[pair[1]])
        for born in pairs.merge(pair, new):
            heapq.heappush(heap, pairs.priority(born))
        yield Merge(pair, new, token_bytes[new], -known)


class Pairs:
    """The pairs of neighbouring tokens in a text: how often each occurs, and where.

    The distinct words are laid one after the other, in the order of their first occurrence, with a position
    per byte and a BORDER before and after each. A token is at the position of its first byte; the others are
    GONE. Neighbours are linked, so that a merge touches only its own places, and a position never changes.
    """

    def __init__(self, words: Mapping[str, int]):
        self.token: list[int] = [BORDER]
        self.weight: list[int] = [0]  # how often the word at this position occurs in the text
        for word, count in words.items():
            raw = word.encode("utf-8")
            self.token += raw
            self.token.append(BORDER)
            self.weight += [count] * (len(raw) + 1)
        self.left = list(range(-1, len(self.token) - 1))  # position of the neighbour
        self.right = list(range(1, len(self.token) + 1))
        self.count: defaultdict[Pair, int] = defaultdict(int)
        self.where: defaultdict[Pair, list[int]] = defaultdict(list)  # rising; some no longer hold the pair
        self.passed: defaultdict[Pair, int] = defaultdict(int)  # how many of these, from the first, do not
        for at, pair in enumerate(zip(self.token, self.token[1:])):
            self.where[pair].append(at)
        for pair in [pair for pair in self.where if BORDER in pair]:
            del self.where[pair]
        for pair, places in self.where.items():
            self.count[pair] = self.weight_of(places)

    def weight_of(self, places: list[int]) -> int:
        """How often the words at these positions occur, all in all."""
        return sum(map(self.weight.__getitem__, places))

    def priority(self, pair: Pair) -> tuple[int, int, Pair]:
        """Smallest first: the highest count, then the first place. What was lost at a place never comes back."""
        places, n = self.where[pair], self.passed[pair]
        while self.token[places[n]] != pair[0] or self.token[self.right[places[n]]] != pair[1]:
            n += 1
        self.passed[pair] = n
        return -self.count[pair], places[n], pair

    def merge(self, pair: Pair, new: int) -> list[Pair]:
        """Put the token `new` in all places of a pair, from the left; return the pairs that it is now part of.

        Where x stood before the pair (a, b), a pair (x, a) is lost and (x, new) is born; where y stood after it,
        (b, y) is lost and (new, y) is born. The new pairs are collected by x and by y and counted at the end: x is
        `new` itself where two places touch, and then what is lost there was born a moment before.
        """
        (a, b), token, left, right = pair, self.token, self.left, self.right
        before: defaultdict[int, list[int]] = defaultdict(list)  # places of (x, new), by x
        after: defaultdict[int, list[int]] = defaultdict(list)  # places of (new, y), by y
        for at in self.where.pop(pair):
            second = right[at]
            if token[at] != a or token[second] != b:
                continue
            first, third = left[at], right[second]
            token[at], token[second] = new, GONE
            right[at], left[third] = third, at
            before[token[first]].append(first)
            after[token[third]].append(at)
        born = [((x, new), (x, a), places) for x, places in before.items() if x != BORDER]
        born += [((new, y), (b, y), places) for y, places in after.items() if y != BORDER]
        for pair_born, pair_lost, places in born:
            weight = self.weight_of(places)
            self.where[pair_born] = places
            self.count[pair_born] += weight
            self.count[pair_lost] -= weight
        self.count[pair] = 0
        return [pair_born for pair_born, _, _ in born if self.count[pair_born] > 0]


def merge(ids: list[int], pair: Pair, new: int) -> list[int]:
    """Replace each occurrence of `pair`, from the left and without overlap, by `new`."""
    result, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] == pair[0] and ids[i + 1] == pair[1]:
            result.append(new)
            i += 2
        else:
            result.append(ids[i])
            i += 1
    return result
