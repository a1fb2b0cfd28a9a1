"""Text files of users, read in chunks: UTF-8 only, and never a whole file in memory.

`find_files` finds them, `read_chunks` reads one, `cut_documents` cuts what was read into documents, and
`TextFiles` is all documents of some files, to go through as often as needed.
"""

import codecs
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal

from minillm.plumbing.files import InputError

TEXT_SUFFIXES = (".txt", ".md")
CHUNK = 1 << 20  # bytes read at a time
BORDER = re.compile(r"(?s).*[^\s](?=[ \n])")  # up to the last place where white space begins


def find_files(paths: Sequence[str | Path], suffixes: Sequence[str]) -> list[Path]:
    """Files named by paths, folders (searched through) and patterns. Raises InputError if there is none."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
            if not inside:
                raise InputError(f"{path}: holds no {' or '.join(suffixes)} file: name a folder that does")
            found += inside
        elif path.exists() or not glob.has_magic(str(path)):
            found.append(path)
        else:
            matches = sorted(p for p in map(Path, glob.glob(str(path), recursive=True)) if not p.is_dir())
            if not matches:
                raise InputError(f"{path}: matches no file: check the pattern")
            found += matches
    return found


def read_chunks(path: Path, file: BinaryIO | None = None) -> Iterator[str]:
    """The text of a file, or of standard input for `-`, in chunks of about a million bytes: UTF-8 without
    byte-order mark, with plain line ends. Raises InputError. `file` is read in place of the path if given.
    """
    name = "standard input" if str(path) == "-" else path
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    line, half = 1, ""
    try:
        file = file or (sys.stdin.buffer if str(path) == "-" else path.open("rb"))
        while True:
            raw = file.read(CHUNK)
            try:
                text = half + decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                raise InputError(f"{name}:{line}: not UTF-8 text: save the file as UTF-8") from None
            half = "\r" if raw and text.endswith("\r") else ""  # perhaps half of a Windows line end
            text = text.removesuffix(half).replace("\r\n", "\n")
            if (at := text.find("\0")) >= 0:
                line += text.count("\n", 0, at)
                raise InputError(f"{name}:{line}: holds binary data: name a text file")
            line += text.count("\n")
            if text:
                yield text
            if not raw:
                return
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}: check the path") from None
    finally:
        if file is not None and str(path) != "-":
            file.close()


def cut_documents(chunks: Iterable[str], separator: re.Pattern | None, most: int = CHUNK) -> Iterator[tuple[str, bool]]:
    """Cut text that comes in chunks into documents: (text, whether its document ends here).

    Documents longer than `most` characters come in several pieces, cut before a space or line end, where
    no token spans the border (or anywhere, if there is none). Blank documents are left out.
    """
    rest, begun = "", False  # begun: a piece of the document went out already
    for chunk in chain(chunks, [None]):
        rest += chunk or ""
        # white space at the end may be half of a separator, until it is known what follows
        settled = len(rest) if chunk is None else len(rest.rstrip())
        start = 0
        for match in separator.finditer(rest, 0, settled) if separator else ():
            if begun or (not rest[start : match.start()].isspace() and start < match.start()):
                yield rest[start : match.start()], True
            begun, start = False, match.end()
        rest = rest[start:]
        if len(rest) > most and chunk is not None:
            border = BORDER.match(rest)
            at = border.end() if border else len(rest)
            if begun or rest[:at].strip():
                yield rest[:at], False
                begun = True
            rest = rest[at:]
    if begun or rest.strip():
        yield rest, True


class TextFiles:
    """The raw documents of text files: each file is one, or each paragraph, or each line.

    They are read anew each time they are gone through and never held in memory together, so they may be
    larger than it. What can be read only once (standard input, a pipe) is first copied to a temporary
    file. Raises InputError for files that cannot be found; what is wrong inside is raised on reading.
    """

    def __init__(self, paths: Sequence[str | Path], documents: Literal["file", "blank-line", "line"] = "file"):
        self.separator = {"file": None, "line": re.compile("\n"), "blank-line": re.compile(r"\n\s*\n")}[documents]
        self.paths = find_files(paths, TEXT_SUFFIXES)
        self.copies: dict[Path, BinaryIO] = {}
        for path in self.paths:
            if str(path) == "-" or (path.exists() and not path.is_file()):
                copy = self.copies[path] = tempfile.TemporaryFile()
                with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as source:
                    shutil.copyfileobj(source, copy)

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """(text, whether its document ends here), in order."""
        for path in self.paths:
            copy = None
            if path in self.copies:
                self.copies[path].seek(0)
                copy = os.fdopen(os.dup(self.copies[path].fileno()), "rb")
            empty = True
            for piece in cut_documents(read_chunks(path, copy), self.separator):
                empty = False
                yield piece
            if empty:
                name = "standard input" if str(path) == "-" else path
                raise InputError(f"{name}: the file is empty: put some text into it")

    def __iter__(self) -> Iterator[str]:
        """Whole documents, one at a time."""
        parts = []
        for text, ends in self.pieces():
            parts.append(text)
            if ends:
                yield "".join(parts)
                parts = []
