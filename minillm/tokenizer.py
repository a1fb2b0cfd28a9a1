"""The tokenizer: text <-> token ids, by byte-level byte-pair encoding (BPE).

`bpe.py` learns the merges. Encoding with the learned ranks is done by tiktoken, which applies the same merges in the
same order, only faster.
"""

import base64
import codecs
import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import regex
import tiktoken

from minillm.bpe import PATTERN, Merge, bpe_steps
from minillm.plumbing.files import HASH, InputError, read_json, write_text

DOC, END, PAD = "[DOC]", "[END]", "[PAD]"
SPECIAL_TOKENS = (DOC, END, PAD)

SPACES = 10_000  # white-space characters in a row from which on a run is encoded by itself
LONGEST = 1_000_000  # of such a run encoded at once: the time of one piece grows faster than its length
LONG_SPACE = regex.compile(rf"(?<!\s)\s{{{SPACES},}}")


def may_have_long_space(text: str) -> bool:
    """False where no SPACES white-space characters follow each other: such a run holds a whole block of half of it."""
    block = max(1, SPACES // 2)
    return any(text[i : i + block].isspace() for i in range(0, len(text), block))


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
        for run in LONG_SPACE.finditer(text) if may_have_long_space(text) else ():
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

    def encode_array(self, text: str) -> np.ndarray:
        """`encode` as an array, (N,) uint32: less work and memory than a list."""
        if not may_have_long_space(text):
            try:
                return self.encoding.encode_to_numpy(
                    text, disallowed_special=()
                )  # (N,); no text becomes a special token
            except UnicodeEncodeError:  # half of a character in UTF-16: the list has a replacement for it
                pass
        return np.array(self.encode(text), dtype=np.uint32)

    def encode_batch(self, texts: Iterable[str], threads: int = 2) -> list[np.ndarray]:
        """Ids of several texts, (N,) uint32 each; tiktoken computes without holding Python's lock."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.encode_array, texts))

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
