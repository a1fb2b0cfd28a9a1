"""The tokenizer: text <-> token ids, by byte-level byte-pair encoding (BPE).

Training is written out here: start from the 256 bytes, count neighbouring pairs, merge the most
frequent pair into a new token, repeat. Encoding with the learned ranks is done by tiktoken, which
applies the same merges in the same order, only faster.

Sources: Sennrich et al. 2016 (1508.07909, BPE for subwords), Radford et al. 2019 (GPT-2: on bytes).
"""

import base64
import codecs
import hashlib
import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import regex
import tiktoken

from minillm.plumbing.files import HASH, InputError, read_json, write_text

DOC, END, PAD = "[DOC]", "[END]", "[PAD]"
SPECIAL_TOKENS = (DOC, END, PAD)

# A merge never crosses a border between pieces. From left to right: a word with the space before it;
# one Chinese character; one digit (so that numbers are spelled out); punctuation; white space.
PATTERN = r" ?[^\s\p{Han}\p{N}\p{P}\p{S}]+|\p{Han}|\p{N}| ?[\p{P}\p{S}]+|\s+(?!\S)|\s+"

SPACES = 10_000  # white-space characters in a row from which on a run is encoded by itself
LONGEST = 1_000_000  # of such a run encoded at once: the time of one piece grows faster than its length
LONG_SPACE = regex.compile(rf"(?<!\s)\s{{{SPACES},}}")

Pair = tuple[int, int]
GONE = NOWHERE = -1  # no token; no neighbour


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
    split = regex.compile(pattern)
    pairs = Pairs(Counter(piece for text in texts for piece in split.findall(text)))
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

    The distinct words are laid one after the other, in the order of their first occurrence, with a
    position per byte. A token is at the position of its first byte; the others are GONE. Neighbours are
    linked, so that a merge touches only its own places, and a position never changes.
    """

    def __init__(self, words: Mapping[str, int]):
        self.token: list[int] = []
        self.weight: list[int] = []  # how often the word at this position occurs in the text
        self.left: list[int] = []  # position of the neighbour, or NOWHERE
        self.right: list[int] = []
        for word, count in words.items():
            raw, start = word.encode("utf-8"), len(self.token)
            self.token += raw
            self.weight += [count] * len(raw)
            self.left += [NOWHERE, *range(start, start + len(raw) - 1)]
            self.right += [*range(start + 1, start + len(raw)), NOWHERE]
        self.count: defaultdict[Pair, int] = defaultdict(int)
        self.where: defaultdict[Pair, list[int]] = defaultdict(list)  # rising; some no longer hold the pair
        self.passed: defaultdict[Pair, int] = defaultdict(int)  # how many of these, from the first, do not
        for at, after in enumerate(self.right):
            if after != NOWHERE:
                self.add(at)

    def add(self, at: int) -> Pair:
        """Count the pair that begins at a position."""
        pair = self.token[at], self.token[self.right[at]]
        self.count[pair] += self.weight[at]
        self.where[pair].append(at)
        return pair

    def holds(self, at: int, pair: Pair) -> bool:
        """Whether the pair begins at a position; what was lost there never comes back."""
        after = self.right[at]
        return after != NOWHERE and self.token[at] == pair[0] and self.token[after] == pair[1]

    def priority(self, pair: Pair) -> tuple[int, int, Pair]:
        """Smallest first: the highest count, then the first place."""
        while not self.holds(self.where[pair][self.passed[pair]], pair):
            self.passed[pair] += 1
        return -self.count[pair], self.where[pair][self.passed[pair]], pair

    def merge(self, pair: Pair, new: int) -> list[Pair]:
        """Put the token `new` in all places of a pair, from the left; return the pairs that it is now part of."""
        born: dict[Pair, None] = {}
        for at in self.where.pop(pair):
            if not self.holds(at, pair):
                continue
            before, second = self.left[at], self.right[at]
            after = self.right[second]
            if before != NOWHERE:
                self.count[self.token[before], pair[0]] -= self.weight[at]
            if after != NOWHERE:
                self.count[pair[1], self.token[after]] -= self.weight[at]
                self.left[after] = at
            self.token[at], self.token[second], self.right[at] = new, GONE, after
            for place in (before, at) if after != NOWHERE else (before,):
                if place != NOWHERE:
                    born[self.add(place)] = None
        self.count[pair] = 0
        return [p for p in born if self.count[p] > 0]


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


class Tokenizer:
    """Text to ids and back. Special tokens exist as ids only: no text is ever encoded into one."""

    template = "minillm"
    """How dialogues are written with it: a name in `templates.TEMPLATES`."""
    system: str | None = None
    """What a dialogue without a system message has as one."""

    def __init__(self, encoding: tiktoken.Encoding, pattern: str, ranks: dict[bytes, int]):
        self.encoding, self.pattern, self.ranks = encoding, pattern, ranks
        self.n_vocab = encoding.n_vocab
        special = encoding._special_tokens  # tiktoken has no public way to ask for their ids
        self.doc, self.end, self.pad = (special[name] for name in SPECIAL_TOKENS)
        self.hidden = frozenset(special.values())
        """Ids that have no text of their own."""

    @property
    def opening(self) -> list[int]:
        """What comes before a text: [DOC]."""
        return [self.doc]

    @classmethod
    def from_ranks(cls, ranks: dict[bytes, int], pattern: str = PATTERN) -> "Tokenizer":
        """A tokenizer whose ids are `ranks` (bytes of a token -> id), then the special tokens."""
        special = {name: len(ranks) + i for i, name in enumerate(SPECIAL_TOKENS)}
        encoding = tiktoken.Encoding("minillm", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        return cls(encoding, pattern, ranks)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Learn a tokenizer from texts; it has fewer tokens if the texts run out of pairs."""
        return cls.from_merges(bpe_steps(texts, vocab_size))

    @classmethod
    def from_merges(cls, merges: Iterable[Merge]) -> "Tokenizer":
        """A tokenizer of the 256 bytes and of the tokens that the merges made."""
        return cls.from_ranks({bytes([b]): b for b in range(256)} | {merge.bytes: merge.id for merge in merges})

    @classmethod
    def gpt2(cls) -> "Tokenizer":
        """GPT-2's 50,256 ranks and our special tokens. tiktoken fetches them once; offline it needs its cache."""
        try:
            known = tiktoken.get_encoding("gpt2")
        except Exception as error:  # requests, urllib3 and OS errors alike: the file is not to be had
            raise InputError("gpt2: its ranks are neither cached nor reachable: train a tokenizer instead") from error
        return cls.from_ranks(dict(known._mergeable_ranks), known._pat_str)

    def special_tokens(self) -> dict[str, int]:
        """Name and id of each special token."""
        return dict(zip(SPECIAL_TOKENS, (self.doc, self.end, self.pad), strict=True))

    def encode(self, text: str) -> list[int]:
        """Ids of ordinary text: `[END]` typed by a user becomes the letters, not the token.

        tiktoken's splitter keeps a state per character of white space and panics at a million of them, so
        a long run of white space is cut out by the same pattern here and each of its pieces encoded alone.
        """
        ids: list[int] = []
        begin = 0
        for run in LONG_SPACE.finditer(text) if len(text) >= SPACES else ():
            following = text[run.end() : run.end() + 1]
            pieces = regex.findall(self.pattern, run.group() + following)
            # the last piece is the beginning of the text that follows, perhaps with the space before it
            begins_in_run = len(pieces.pop()) - 1 if following else 0
            ids += self.encoding.encode_ordinary(text[begin : run.start()])
            for piece in pieces:
                for i in range(0, len(piece), LONGEST):
                    ids += self.encoding._encode_single_piece(piece[i : i + LONGEST])
            begin = run.end() - begins_in_run
        return ids + self.encoding.encode_ordinary(text[begin:])

    def encode_batch(self, texts: Iterable[str], threads: int = 2) -> list[list[int]]:
        """Ids of several texts; tiktoken computes without holding Python's lock."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.encode, texts))

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """Text of the ids; special tokens are left out, or shown as `[END]` if asked for."""
        return self.bytes_of(i for i in map(int, ids) if special or i not in self.hidden).decode("utf-8", "replace")

    def bytes_of(self, ids: Iterable[int]) -> bytes:
        """The bytes of the ids, joined."""
        return self.encoding.decode_bytes(list(ids))

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Each id's own text, for tables; half a character is shown as its bytes, `<e7>`."""
        shown = []
        for i in map(int, ids):
            raw = self.bytes_of([i])
            try:
                shown.append(raw.decode("utf-8"))
            except UnicodeDecodeError:
                shown.append("".join(f"<{byte:02x}>" for byte in raw))
        return shown

    def stream(self) -> "StreamDecoder":
        """A decoder for ids that arrive one at a time."""
        return StreamDecoder(self)

    def sha256(self) -> str:
        """Equal for tokenizers that cut every text alike."""
        about = (self.pattern, *(token.hex() for token, _ in sorted(self.ranks.items(), key=lambda x: x[1])))
        return HASH + hashlib.sha256("\n".join(about).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write `ranks.tiktoken` (tiktoken's text format) and `tokenizer.json` into the folder."""
        lines = (f"{base64.b64encode(t).decode()} {r}\n" for t, r in sorted(self.ranks.items(), key=lambda x: x[1]))
        write_text(folder / "ranks.tiktoken", "".join(lines))
        about = {"pattern": self.pattern, "special_tokens": self.special_tokens()}
        write_text(folder / "tokenizer.json", json.dumps(about, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read what `save` wrote. Raises InputError that names the faulty file and line."""
        path = folder / "ranks.tiktoken"
        if not path.is_file():
            raise InputError(f"{path}: no such file: name the folder `tokenizer` of a run")
        ranks: dict[bytes, int] = {}
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
            except ValueError:
                raise InputError(f"{path}:{number}: not a base64 token and its rank: restore the file") from None
        if sorted(ranks.values()) != list(range(len(ranks))) or any(bytes([b]) not in ranks for b in range(256)):
            raise InputError(f"{path}: ranks are not 0, 1, 2, … with all 256 bytes among them: restore the file")
        about = read_json(folder / "tokenizer.json", dict)
        try:
            regex.compile(about.get("pattern"))
            tokenizer = cls.from_ranks(ranks, about["pattern"])
        except (TypeError, ValueError, regex.error) as error:
            raise InputError(f"{folder / 'tokenizer.json'}: bad split pattern ({error}): restore the file") from None
        if about.get("special_tokens") != tokenizer.special_tokens():
            raise InputError(f"{path}: {len(ranks)} ranks do not go with tokenizer.json: restore both files")
        return tokenizer


class StreamDecoder:
    """Turns ids into text as they come and never shows half a character.

    A character may be spread over several tokens; its bytes are held back until it is whole.
    """

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.pending = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The text that this id completes; empty for special tokens and unfinished characters."""
        if token in self.tokenizer.hidden:
            return ""
        return self.pending.decode(self.tokenizer.bytes_of([token]))

    def finish(self) -> str:
        """What is left at the end: a replacement mark for each character that never became whole."""
        return self.pending.decode(b"", final=True)
