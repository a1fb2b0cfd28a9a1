"""The tokenizer of an open model: the same byte-pair encoding, with ids, control tokens and a split of its own.

Ours numbers tokens in the order of their merges, and every byte is one. Elsewhere the order of ids may be another,
some bytes have no token (they are left out of a text, as Hugging Face's `tokenizers` does), and control tokens
have the lowest ids. So here each rank of tiktoken's is looked up in a list of ids.
"""

import base64
import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import regex
import tiktoken

from minillm.plumbing.checks import check_types
from minillm.plumbing.files import HASH, InputError, read_json, read_text, write_text
from minillm.tokenizer import Tokenizer

NO_ID = -1
VOCABULARY = "vocabulary.txt"


@dataclass(frozen=True)
class Scheme:
    """All that a tokenizer is besides its tokens. Raises InputError for what does not fit together."""

    pattern: str
    """What a text is cut into before merging; no merge crosses a border."""
    special: dict[str, int]
    """Control tokens and tokens that were added by hand; no text is ever encoded into one."""
    n_vocab: int
    """Rows of the model's embedding: ids, also those without a token."""
    doc: str
    """Begins a text: a name among the special tokens."""
    end: str
    """Ends an answer."""
    pad: str
    """Fills batches."""
    visible: tuple[str, ...] = ()
    """Special tokens that are shown as text, such as <think>."""
    opens: bool = False
    """Whether `doc` comes before every text, as LLaMA's <s> does."""
    form: Literal["", "NFC", "NFD", "NFKC", "NFKD"] = ""
    """Unicode normal form that a text is brought into first."""
    template: str = "minillm"
    """How dialogues are written."""
    system: str | None = None
    """What a dialogue without a system message has as one."""

    def __post_init__(self) -> None:
        check_types(self)
        for role in ("doc", "end", "pad"):
            if getattr(self, role) not in self.special:
                raise InputError(f"{role} {getattr(self, role)!r} is none of the special tokens")
        if not all(type(i) is int and 0 <= i < self.n_vocab for i in self.special.values()):
            raise InputError(f"a special token has an id that is none of {self.n_vocab}")
        try:
            regex.compile(self.pattern)
        except regex.error as error:
            raise InputError(f"bad split pattern ({error})") from None


class OpenTokenizer(Tokenizer):
    """As `Tokenizer`; made of another model's tokens.

    tokens: bytes and id of each, in the order in which merges are tried: single bytes first. unmerged: tokens that no
    text becomes, but that a model may write. Raises InputError for two tokens of one id or of the same bytes.
    """

    def __init__(self, tokens: Sequence[tuple[bytes, int]], scheme: Scheme, unmerged: Sequence[tuple[bytes, int]] = ()):
        self.merged, self.unmerged, self.scheme = list(tokens), list(unmerged), scheme
        lacking = {bytes([b]) for b in range(256)} - {token for token, _ in tokens}
        ranked = [*tokens, *((byte, NO_ID) for byte in sorted(lacking))]  # tiktoken panics where a byte has no rank
        ranks = {token: rank for rank, (token, _) in enumerate(ranked)}
        if len(ranks) < len(ranked):
            raise InputError("two tokens have the same bytes")
        self.ids, self.lacking = [i for _, i in ranked], {byte[0] for byte in lacking}
        self.encoding = tiktoken.Encoding(
            "open", pat_str=scheme.pattern, mergeable_ranks=ranks, special_tokens={}, explicit_n_vocab=len(ranked)
        )
        self.pattern, self.ranks, self.n_vocab = scheme.pattern, ranks, scheme.n_vocab
        named = [(name.encode(), i) for name, i in scheme.special.items()]
        self.text_of = {i: token for token, i in (*tokens, *unmerged, *named)}
        if len(self.text_of) < len(tokens) + len(unmerged) + len(named):
            raise InputError("two tokens have the same id")
        if not all(0 <= i < scheme.n_vocab for i in self.text_of):
            raise InputError(f"an id is none of {scheme.n_vocab}")
        self.doc, self.end, self.pad = (scheme.special[name] for name in (scheme.doc, scheme.end, scheme.pad))
        self.hidden = frozenset(i for name, i in scheme.special.items() if name not in scheme.visible)
        self.template, self.system = scheme.template, scheme.system

    @property
    def opening(self) -> list[int]:
        """What comes before a text: a control token, or nothing."""
        return [self.doc] if self.scheme.opens else []

    def special_tokens(self) -> dict[str, int]:
        return dict(self.scheme.special)

    def encode(self, text: str) -> list[int]:
        """Ids of ordinary text; bytes that have no token are left out."""
        if self.scheme.form:
            text = unicodedata.normalize(self.scheme.form, text)
        ids = [self.ids[rank] for rank in super().encode(text)]
        return self.without_lacking(text) if NO_ID in ids else ids

    def without_lacking(self, text: str) -> list[int]:
        """The same where some bytes have no token: what was around them in a piece becomes neighbours."""
        pieces = (
            bytes(b for b in piece.encode() if b not in self.lacking) for piece in regex.findall(self.pattern, text)
        )
        return [self.ids[rank] for piece in pieces if piece for rank in self.encoding._encode_single_piece(piece)]

    def bytes_of(self, ids: Iterable[int]) -> bytes:
        """The bytes of the ids, joined; an id without a token has none."""
        return b"".join(self.text_of.get(i, b"") for i in ids)

    def sha256(self) -> str:
        digest = hashlib.sha256(self.vocabulary().encode())
        digest.update(json.dumps(asdict(self.scheme), sort_keys=True).encode())
        return HASH + digest.hexdigest()

    def vocabulary(self) -> str:
        """A line per token: its bytes in base64 and its id, in the order of merges; a minus where no text becomes it."""
        merged = [f"{base64.b64encode(token).decode()} {i}\n" for token, i in self.merged]
        return "".join(merged + [f"{base64.b64encode(token).decode()} {i} -\n" for token, i in self.unmerged])

    def save(self, folder: Path) -> None:
        """Write `vocabulary.txt` and `tokenizer.json` into the folder."""
        write_text(folder / VOCABULARY, self.vocabulary())
        about = {"open": asdict(self.scheme)}
        write_text(folder / "tokenizer.json", json.dumps(about, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "OpenTokenizer":
        """Read what `save` wrote. Raises InputError that names the faulty file and line."""
        path, about = folder / VOCABULARY, folder / "tokenizer.json"
        merged: list[tuple[bytes, int]] = []
        unmerged: list[tuple[bytes, int]] = []
        for number, line in enumerate(read_text(path).splitlines(), 1):
            try:
                token, i, *mark = line.split()
                (unmerged if mark else merged).append((base64.b64decode(token, validate=True), int(i)))
            except ValueError:
                raise InputError(f"{path}:{number}: not a base64 token and its id: restore the file") from None
        try:
            fields = read_json(about, dict)["open"]
            return cls(merged, Scheme(**fields | {"visible": tuple(fields["visible"])}), unmerged)
        except (KeyError, TypeError) as error:
            raise InputError(f"{about}: not the description of a tokenizer ({error}): restore the file") from None
        except InputError as error:
            raise InputError(f"{about}: {error}: restore the files") from None


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a folder, of either kind. Raises InputError."""
    return (OpenTokenizer if (folder / VOCABULARY).is_file() else Tokenizer).load(folder)
