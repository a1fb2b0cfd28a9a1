"""Raw text of any size as one stream of token ids, in memory or in a file that is mapped into it.

Documents are strings, or `TextFiles`, which gives them in pieces, so that neither a text nor its
tokens ever have to fit into memory.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from minillm.bpe import Merge, bpe_steps
from minillm.material.findings import first_process
from minillm.material.text_files import TextFiles
from minillm.plumbing import distributed
from minillm.plumbing.files import HASH, InputError, file_hash, read_json, replace_file, write_json
from minillm.plumbing.terminal import Progress
from minillm.tokenizer import Tokenizer

SAMPLE = 16 << 20  # characters a tokenizer is trained on: enough to know the frequent pairs
RUN = 1 << 20  # characters encoded at a time

Documents = Sequence[str] | TextFiles


def pieces(documents: Documents) -> Iterator[tuple[str, bool]]:
    """(text, whether its document ends here), in order."""
    if isinstance(documents, TextFiles):
        return documents.pieces()
    return ((text, True) for text in documents)


@dataclass(frozen=True)
class Survey:
    """What one pass over a text tells."""

    documents: int
    characters: int
    sha256: str
    """Of the text and of where its documents end: equal for equal data, however it is stored."""


def survey(documents: Documents) -> Survey:
    """Count and hash a text."""
    count = characters = 0
    digest = hashlib.sha256()
    for text, ends in pieces(documents):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0" * ends)
        count, characters = count + ends, characters + len(text)
    return Survey(count, characters, HASH + digest.hexdigest())


def train_tokenizer(documents: Documents, vocab_size: int, characters: int) -> Tokenizer:
    """Learn a tokenizer from a text of this many characters; from a sample spread over it where it is long."""
    every = -(-characters // SAMPLE)
    if every > 1:
        print(f"the tokenizer is trained on one part in {every} of the text")
    options: dict[str, Any] = dict(delay=3, leave=False, disable=not first_process())
    with (
        Progress(
            desc="words of the tokenizer", total=characters // every, unit="B", unit_scale=True, **options
        ) as words,
        Progress(desc="merges of the tokenizer", total=vocab_size - 256, unit="merge", **options) as merges,
    ):

        def texts() -> Iterator[str]:
            for text, _ in islice(pieces(documents), 0, None, every):
                yield text
                words.update(len(text))

        def steps() -> Iterator[Merge]:
            for merge in bpe_steps(texts(), vocab_size):
                yield merge
                merges.update()

        tokenizer = Tokenizer.from_merges(steps())
    if tokenizer.doc < vocab_size:
        print(f"the text has no more pairs to merge: {tokenizer.doc} tokens instead of {vocab_size}")
    return tokenizer


# ------------------------------------------------------------------------------------------- token streams


def id_type(n_vocab: int) -> type[np.unsignedinteger]:
    """The smaller of uint16 and uint32 that holds all ids."""
    return np.uint16 if n_vocab <= 1 << 16 else np.uint32


def encode(documents: Documents, tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """The ids of all documents in runs, each document as [DOC] … [END]: the model must also learn where a
    text ends."""
    doc, end = np.array([tokenizer.doc]), np.array([tokenizer.end])  # (1,)
    begins = True
    for run in batches(pieces(documents)):
        bodies = tokenizer.encode_batch(text for text, _ in run)
        parts: list[np.ndarray] = []
        for body, (_, ends) in zip(bodies, run, strict=True):
            parts += [doc] * begins + [body] + [end] * ends
            begins = ends
        yield np.concatenate(parts, dtype=id_type(tokenizer.n_vocab), casting="unsafe")  # no id is above the type's


def batches(parts: Iterable[tuple[str, bool]]) -> Iterator[list[tuple[str, bool]]]:
    """Pieces in lists of about RUN characters."""
    run, size = [], 0
    for part in parts:
        run.append(part)
        size += len(part[0])
        if size >= RUN:
            yield run
            run, size = [], 0
    if run:
        yield run


@dataclass(frozen=True)
class TokenFile:
    """Token ids in a file: `file[a:b]` is a part of it that is read only when it is made an array.

    The file is mapped anew for each part: pages of one long-lived map would add up to the whole file.
    """

    path: Path
    dtype: type[np.unsignedinteger]
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, part: slice) -> "TokenFile":
        start, stop, _ = part.indices(len(self))
        return TokenFile(self.path, self.dtype, self.start + start, self.start + max(start, stop))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if len(self) == 0:
            return np.empty(0, dtype or self.dtype)
        whole = np.memmap(self.path, self.dtype, mode="r")
        return np.array(whole[self.start : self.stop], dtype=dtype)


Tokens = np.ndarray | TokenFile


def token_stream(documents: Documents, tokenizer: Tokenizer) -> np.ndarray:
    """All documents one after the other, (N,) uint16 or uint32."""
    return np.concatenate([np.empty(0, id_type(tokenizer.n_vocab)), *encode(documents, tokenizer)])


def token_file(documents: Documents, tokenizer: Tokenizer, text_sha256: str, folder: Path) -> TokenFile:
    """The same stream in `folder`/tokens.bin; used again if it is there, whole, for this text and tokenizer."""
    path, dtype = folder / "tokens.bin", id_type(tokenizer.n_vocab)
    about = {"text": text_sha256, "tokenizer": tokenizer.sha256(), "dtype": np.dtype(dtype).name}
    if not is_kept(path, about):

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                for ids in encode(documents, tokenizer):
                    file.write(ids.data)

        replace_file(path, write)
        write_json(folder / "tokens.json", about | {"sha256": file_hash(path)})
    return TokenFile(path, dtype, 0, path.stat().st_size // np.dtype(dtype).itemsize)


def is_kept(path: Path, about: Mapping[str, str]) -> bool:
    """Whether a token file is bit for bit what was written, and what `about` says."""
    try:
        return read_json(path.with_name("tokens.json"), dict) == {**about, "sha256": file_hash(path)}
    except (InputError, OSError):  # missing or damaged: it is written anew
        return False


def all_tokens(documents: Documents, tokenizer: Tokenizer, text_sha256: str, folder: Path | None) -> Tokens:
    """The stream of all documents; with a folder in a file there, which one process writes for all."""
    if folder is None:
        return token_stream(documents, tokenizer)
    distributed.main_does(lambda: token_file(documents, tokenizer, text_sha256, folder))
    return token_file(documents, tokenizer, text_sha256, folder)


def split_validation(stream: Tokens, share: float, end: int | None = None) -> tuple[Tokens, Tokens]:
    """A stream to train on and one to validate on, at most `share` of the whole: its end.

    With the id that ends a document, the border is put behind the next one; without, it falls anywhere.
    """
    at = len(stream) - int(len(stream) * share)
    while end is not None and at < len(stream) and int(np.asarray(stream[at - 1 : at])[0]) != end:
        window = np.asarray(stream[at : at + 4096])
        ends = np.flatnonzero(window == end)
        at += int(ends[0]) + 1 if len(ends) else len(window)
    return stream[:at], stream[at:]


def data_hash(value: object) -> str:
    """Hash of what a run trains on, given as lists of numbers, strings and dataclasses of them."""
    return HASH + hashlib.sha256(json.dumps(value, default=vars).encode()).hexdigest()
