"""Training byte-pair encoding (BPE): from text to merges.

Start from the 256 bytes, count neighbouring pairs, merge the most frequent pair into a new token, repeat.

Sources: Sennrich et al. 2016 (1508.07909, BPE for subwords), Radford et al. 2019 (GPT-2: on bytes).
"""

import heapq
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import regex

from minillm.plumbing.files import InputError

# A merge never crosses a border between pieces. From left to right: a word with the space before it;
# one Chinese character; one digit (so that numbers are spelled out); punctuation; white space.
PATTERN = r" ?[^\s\p{Han}\p{N}\p{P}\p{S}]+|\p{Han}|\p{N}| ?[\p{P}\p{S}]+|\s+(?!\S)|\s+"

MANY = 32  # places from which NumPy is faster
Pair = tuple[int, int]
Places = list[int] | np.ndarray
Entry = tuple[int, int, Pair, Places]
"""-count, first place, pair, places: smallest first."""
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
    heap: list[Entry] = []
    while len(token_bytes) < vocab_size and (heap or (heap := pairs.frequent())):
        known, _, pair, places = heapq.heappop(heap)
        # A count can only fall after the pair first appears: new pairs always hold a new token. So an
        # entry that is out of date is too far to the front, and is put back where it belongs.
        places = pairs.still(pair, places)
        if (count := pairs.count(places)) < -known:
            if count >= pairs.floor:
                heapq.heappush(heap, entry(pair, count, places))
            continue
        new = len(token_bytes)
        token_bytes.append(token_bytes[pair[0]] + token_bytes[pair[1]])
        for born in pairs.merge(pair, places, new):
            heapq.heappush(heap, born)
        yield Merge(pair, new, token_bytes[new], count)


class Pairs:
    """The pairs of neighbouring tokens in a text: how often each occurs, and where.

    The distinct words are laid one after the other, in the order of their first occurrence, with a position
    per byte and a BORDER before and after each. A token is at the position of its first byte; the others are
    GONE. Neighbours are linked, so that a merge touches only its own places, and a position never changes.

    Some pairs have thousands of places, most have a few, for which plain Python is faster than NumPy: hence two
    ways for each thing, and two names for the same memory, `token` for Python and `tokens` for NumPy.
    """

    def __init__(self, words: Mapping[str, int]):
        raw = np.frombuffer(b"\xff".join([b"", *(word.encode("utf-8") for word in words), b""]), np.uint8)
        border = raw == 0xFF  # a byte that UTF-8 does not have
        counts = np.fromiter(words.values(), np.int64, len(words))
        weight = np.append(np.repeat(counts, np.diff(np.flatnonzero(border))), 0)  # how often the word here occurs
        left, right = np.arange(-1, len(raw) - 1), np.arange(1, len(raw) + 1)  # positions of the neighbours
        arrays = [np.where(border, BORDER, raw.astype(np.int64)), left, right, weight]
        self.token, self.left, self.right, self.weight = own = [array("q", values.tobytes()) for values in arrays]
        self.tokens, self.lefts, self.rights, self.weights = (np.frombuffer(values, np.int64) for values in own)
        self.floor = 1  # rarer pairs are left out until no other remains: most will never be merged

    def frequent(self) -> list[Entry]:
        """Count all pairs anew; return those at least a quarter as frequent as the first, as a heap."""
        at = np.flatnonzero(self.tokens >= 0)
        at = at[self.tokens[self.rights[at]] >= 0]
        keys = self.tokens[at] << 32 | self.tokens[self.rights[at]]
        found = self.grouped(keys, at, anew=True)
        heap = [entry((key >> 32, key & 0xFFFFFFFF), count, own) for key, count, own in found]
        heapq.heapify(heap)
        return heap

    def count(self, places: Places) -> int:
        """How often the words at these positions occur, all in all."""
        if isinstance(places, list):
            return sum(map(self.weight.__getitem__, places))
        return int(self.weights[places].sum())

    def still(self, pair: Pair, places: Places) -> Places:
        """Those of the places that hold the pair. What was lost at a place never comes back."""
        (a, b), token, right = pair, self.token, self.right
        if isinstance(places, list):
            return [at for at in places if token[at] == a and token[right[at]] == b]
        return shorter(places[(self.tokens[places] == a) & (self.tokens[self.rights[places]] == b)])

    def merge(self, pair: Pair, places: Places, new: int) -> Iterator[Entry]:
        """Put the token `new` in all places of a pair, from the left; yield the pairs that it is now part of.

        Where x stood before the pair, (x, new) is born; where y stood after it, (new, y). They are collected by x
        and by y; x is `new` itself where two places touch.
        """
        if not isinstance(places, list):
            yield from self.merge_many(pair, places, new)
            return
        (a, b), token, left, right = pair, self.token, self.left, self.right
        born: defaultdict[Pair, list[int]] = defaultdict(list)
        for at in places:
            second = right[at]
            if token[at] != a or token[second] != b:  # in a run of one token
                continue
            first, third = left[at], right[second]
            token[at], token[second] = new, GONE
            right[at], left[third] = third, at
            if (x := token[first]) != BORDER:
                born[x, new].append(first)
            if (y := token[third]) != BORDER:
                born[new, y].append(at)
        for pair_born, own in born.items():
            if (count := self.count(own)) >= self.floor:
                yield entry(pair_born, count, own)

    def merge_many(self, pair: Pair, at: np.ndarray, new: int) -> Iterator[Entry]:
        """`merge` for many places at once."""
        if pair[0] == pair[1]:  # in a run of one token every second place remains
            follows, index = np.append(False, at[1:] == self.rights[at[:-1]]), np.arange(len(at))
            at = at[(index - np.maximum.accumulate(np.where(follows, 0, index))) % 2 == 0]
        second = self.rights[at]
        third = self.rights[second]
        self.tokens[at], self.tokens[second] = new, GONE
        self.rights[at], self.lefts[third] = third, at
        first = self.lefts[at]
        x, y = self.tokens[first], self.tokens[third]
        before, after = x != BORDER, (y != BORDER) & (y != new)  # (new, new) is counted once, at its first token
        yield from (entry((token, new), count, own) for token, count, own in self.grouped(x[before], first[before]))
        yield from (entry((new, token), count, own) for token, count, own in self.grouped(y[after], at[after]))

    def grouped(self, keys: np.ndarray, places: np.ndarray, anew: bool = False) -> Iterator[tuple[int, int, Places]]:
        """Each key that is frequent enough, its count and its places; `anew` first says what is enough."""
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
        bounds = np.append(np.flatnonzero(np.diff(keys, prepend=BORDER)), len(keys))
        counts = np.add.reduceat(self.weights[places], bounds[:-1])
        if anew:
            self.floor = max(1, int(counts.max(initial=0)) // 4)
        for i in np.flatnonzero(counts >= self.floor).tolist():
            start, end = bounds[i : i + 2]
            yield int(keys[start]), int(counts[i]), shorter(places[start:end])


def entry(pair: Pair, count: int, places: Places) -> Entry:
    """A pair for the heap."""
    return -count, int(places[0]), pair, places


def shorter(places: np.ndarray) -> Places:
    """A list where that is faster."""
    return places if len(places) >= MANY else places.tolist()


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
