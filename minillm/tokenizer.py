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
from collections.abc import Iterable, Iterator
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

Pair = tuple[int, int]


@dataclass(frozen=True)
class Merge:
    """One step of BPE training: `pair`, which stood `count` times in the text, became token `id`."""

    pair: Pair
    id: int
    bytes: bytes
    count: int


def train_bpe(texts: Iterable[str], vocab_size: int, pattern: str = PATTERN) -> list[Merge]:
    """Learn merges until there are `vocab_size` tokens (256 bytes included) or no pair is left.

    Among equally frequent pairs the one that occurs first in the text wins. The result is that of
    the textbook algorithm, which counts all pairs anew after every merge; this one counts each
    distinct word once and, after a merge, only looks at the words that contained the pair.

    Raises InputError if vocab_size is below 256.
    """
    return list(bpe_steps(texts, vocab_size, pattern))


def bpe_steps(texts: Iterable[str], vocab_size: int, pattern: str = PATTERN) -> Iterator[Merge]:
    """`train_bpe` one merge at a time, to step through."""
    if vocab_size < 256:
        raise InputError(f"vocab_size {vocab_size} is below 256, the number of bytes: take more")
    split = regex.compile(pattern)
    counts = Counter(piece for text in texts for piece in split.findall(text))
    words = [list(word.encode("utf-8")) for word in counts]  # in order of first occurrence
    weights = list(counts.values())

    pair_count: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)  # words that contain the pair
    for w, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pair_count[pair] += weights[w]
            where[pair].add(w)

    def priority(pair: Pair) -> tuple[int, int, int, Pair]:
        """Smallest first: the highest count, then the first word, then the place in that word."""
        w = min(where[pair])
        word = words[w]
        offset = 0  # in bytes, since merges move positions but not bytes
        for left, right in zip(word, word[1:]):
            if (left, right) == pair:
                break
            offset += len(token_bytes[left])
        return -pair_count[pair], w, offset, pair

    token_bytes = [bytes([b]) for b in range(256)]
    heap = [priority(pair) for pair in pair_count]
    heapq.heapify(heap)
    while len(token_bytes) < vocab_size and heap:
        known, _, _, pair = heapq.heappop(heap)
        # A count can only fall after the pair first appears: new pairs always hold a new token. So an
        # entry that is out of date stands too far to the front, and is put back where it belongs.
        if -known != pair_count[pair]:
            if pair_count[pair] > 0:
                heapq.heappush(heap, priority(pair))
            continue
        new = len(token_bytes)
        token_bytes.append(token_bytes[pair[0]] + token_bytes[pair[1]])
        born: set[Pair] = set()
        for w in list(where[pair]):
            before = words[w]
            after = words[w] = merge(before, pair, new)
            old_pairs, new_pairs = Counter(zip(before, before[1:])), Counter(zip(after, after[1:]))
            for p in old_pairs.keys() | new_pairs.keys():
                change = new_pairs[p] - old_pairs[p]
                if change:
                    pair_count[p] += change * weights[w]
                    if not old_pairs[p]:
                        where[p].add(w)
                        born.add(p)
                    elif not new_pairs[p]:
                        where[p].discard(w)
        for p in born:
            heapq.heappush(heap, priority(p))
        yield Merge(pair, new, token_bytes[new], -known)


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

    def __init__(self, encoding: tiktoken.Encoding, pattern: str, ranks: dict[bytes, int]):
        self.encoding, self.pattern, self.ranks = encoding, pattern, ranks
        self.n_vocab = encoding.n_vocab
        special = encoding._special_tokens  # tiktoken has no public way to ask for their ids
        self.doc, self.end, self.pad = (special[name] for name in SPECIAL_TOKENS)

    @classmethod
    def from_ranks(cls, ranks: dict[bytes, int], pattern: str = PATTERN) -> "Tokenizer":
        """A tokenizer whose ids are `ranks` (bytes of a token -> id), then the special tokens."""
        special = {name: len(ranks) + i for i, name in enumerate(SPECIAL_TOKENS)}
        encoding = tiktoken.Encoding("minillm", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        return cls(encoding, pattern, ranks)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Learn a tokenizer from texts; it has fewer tokens if the texts run out of pairs."""
        ranks = {bytes([b]): b for b in range(256)}
        for step in train_bpe(texts, vocab_size):
            ranks[step.bytes] = step.id
        return cls.from_ranks(ranks)

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
        """Ids of ordinary text: `[END]` typed by a user becomes the letters, not the token."""
        return self.encoding.encode_ordinary(text)

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """Text of the ids; special tokens are left out, or shown as `[END]` if asked for."""
        first = min(self.doc, self.end, self.pad)
        return self.encoding.decode([i for i in map(int, ids) if special or i < first])

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Each id's own text, for tables; half a character is shown as its bytes, `<e7>`."""
        shown = []
        for i in map(int, ids):
            raw = self.encoding.decode_single_token_bytes(i)
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
        if token in (self.tokenizer.doc, self.tokenizer.end, self.tokenizer.pad):
            return ""
        return self.pending.decode(self.tokenizer.encoding.decode_single_token_bytes(token))

    def finish(self) -> str:
        """What is left at the end: a replacement mark for each character that never became whole."""
        return self.pending.decode(b"", final=True)
