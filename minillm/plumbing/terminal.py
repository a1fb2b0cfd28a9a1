"""The terminal: tables in which a Chinese character takes two columns, and output that never stops the work."""

import codecs
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from tqdm import tqdm


def width(text: str) -> int:
    """Columns a text takes in a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, columns: int) -> str:
    """The text cut or filled to this many columns."""
    text = text.replace("\n", " ")
    if width(text) > columns:
        while width(text) > columns - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (columns - width(text))


def table(rows: list[list[str]], widths: list[int]) -> str:
    """Rows in columns of given widths; the first row is the head."""
    lines = ["  ".join(fit(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# ---------------------------------------------------------------------------------- lines and progress bars


class Lasting:
    """A text stream that goes silent, instead of raising, when its reader has gone, it was closed or its disk is
    full: what is shown is never worth what is being learned."""

    def __init__(self, stream: TextIO | None):
        self._wrapped: TextIO | None = stream._wrapped if isinstance(stream, Lasting) else stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def __eq__(self, other: object) -> bool:  # tqdm asks whether a bar and a line are on the same stream
        return self._wrapped is getattr(other, "_wrapped", other)

    def __hash__(self) -> int:
        return id(self._wrapped)

    def write(self, text: str) -> int:
        self._attempt("write", text)
        return len(text)

    def flush(self) -> None:
        self._attempt("flush")

    def _attempt(self, method: str, *arguments: str) -> None:
        stream = self._wrapped
        if stream is None or stream.closed:
            return
        try:
            getattr(stream, method)(*arguments)
        except OSError:
            mute(stream)


class Progress(tqdm):
    """A progress bar on standard error that never stops the work; arguments as tqdm's."""

    def __init__(self, *arguments: Any, file: TextIO | None = None, **options: Any):
        super().__init__(*arguments, file=Lasting(file or sys.stderr), **options)


def first_process() -> bool:
    """Whether this process may speak: under torchrun only the first does."""
    return os.environ.get("RANK", "0") == "0"


def note(text: str, file: TextIO | None = None) -> None:
    """Show a line, above the progress bar if there is one, on standard error or on `file`; never stops the work. Under
    torchrun only the first process does."""
    if first_process():
        Progress.write(text, file=Lasting(file or sys.stderr))


# ------------------------------------------------------------------------------- the streams of a program


def mute(stream: TextIO | Lasting) -> None:
    """Let vanish what else is written to a broken stream, also by C code and when the interpreter ends."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())


def undecoded(error: UnicodeError) -> tuple[bytes, int]:
    """What is shown for bytes of a file's name that Python could not decode in this locale (it keeps them as
    surrogates, PEP 383): the characters that they are in UTF-8, else replacement marks."""
    assert isinstance(error, UnicodeEncodeError)
    part = error.object[error.start : error.end]
    raw = bytes(ord(c) - 0xDC00 if 0xDC80 <= ord(c) <= 0xDCFF else 0xFF for c in part)  # 0xFF is never UTF-8
    return raw.decode("utf-8", "replace").encode("utf-8"), error.end


def open_closed() -> None:
    """Open the descriptors 0, 1, 2 that are closed: the next file would get the number and be written into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one


@contextmanager
def standard_streams(lasting: bool) -> Iterator[None]:
    """Standard input, output and error fit for a program, however it was started.

    They are UTF-8 in every locale; those that are closed are empty; a broken standard error never stops the
    work, nor does a broken standard output where it is only a report (`lasting`).
    """
    before = sys.stdin, sys.stdout, sys.stderr
    open_closed()
    codecs.register_error("undecoded", undecoded)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    for stream, errors in ((sys.stdin, "strict"), (sys.stdout, "undecoded"), (sys.stderr, "undecoded")):
        if hasattr(stream, "reconfigure"):
            with suppress(io.UnsupportedOperation):  # something was read already
                stream.reconfigure(encoding="utf-8", errors=errors)
    sys.stderr = Lasting(sys.stderr)
    if lasting:
        sys.stdout = Lasting(sys.stdout)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                mute(stream)
        sys.stdin, sys.stdout, sys.stderr = before
