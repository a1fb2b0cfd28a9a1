"""A student's file as it lies there: read within bounds, links and devices refused; its cells if it is a notebook."""

import codecs
import io
import json
import os
import re
import stat
import tokenize
from functools import lru_cache
from pathlib import Path

from minillm.plumbing.languages import Text

MOST_SOURCE = 1 << 20  # bytes of a Python file
MOST_NOTEBOOK = 16 << 20  # a notebook holds pictures
DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)", re.M)
NOT_UTF8: Text = {"en": "your file is not UTF-8: save it as UTF-8", "zh": "文件不是 UTF-8 编码：请另存为 UTF-8"}


class SourceError(Exception):
    """A file that cannot be graded: why, in both languages."""

    def __init__(self, why: Text):
        super().__init__(f"the file {why['en']}")
        self.why = why


def read_student_file(file: Path) -> bytes:
    """The bytes of a regular file. Raises SourceError for anything else, and for what is too large or unreadable."""
    most = MOST_NOTEBOOK if file.suffix.lower() == ".ipynb" else MOST_SOURCE
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if not stat.S_ISREG(os.lstat(file).st_mode):
            raise SourceError({"en": "is no regular file", "zh": "不是普通文件"})
        with os.fdopen(os.open(file, os.O_RDONLY | flags), "rb") as opened:
            data = opened.read(most + 1)
    except OSError as error:
        reason = error.strerror or "?"
        raise SourceError({"en": f"cannot be read ({reason})", "zh": f"读不了（{reason}）"}) from None
    if len(data) > most:
        raise SourceError({"en": f"is larger than {most >> 20} MB", "zh": f"大于 {most >> 20} MB"})
    return data


def read_cells(data: bytes) -> list[str]:
    """The code cells of a notebook. Raises SourceError."""
    try:
        cells = json.loads(data)["cells"]
        sources = [c["source"] for c in cells if c["cell_type"] == "code"]
        return ["".join(s) if isinstance(s, list) else str(s) for s in sources]
    except (LookupError, TypeError, ValueError, RecursionError):
        raise SourceError({"en": "is no notebook that can be read", "zh": "不是能读取的 notebook"}) from None


def defined_functions(file: Path) -> frozenset[str]:
    """Names of the functions that a file defines, as far as its text shows: nothing is parsed or run here."""
    try:
        state = os.stat(file)
    except OSError:
        return frozenset()
    return functions_in(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def functions_in(file: Path, modified: int, size: int) -> frozenset[str]:
    """The same of a file as it was then: a pile is asked once for each lesson."""
    try:
        data = read_student_file(file)
        if file.suffix.lower() == ".ipynb":
            return frozenset(DEFINITION.findall("\n".join(read_cells(data))))
    except SourceError:
        return frozenset()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return frozenset(DEFINITION.findall(data.decode("utf-16" if wide else "utf-8", errors="replace")))


def encoding_warning(file: Path) -> Text | None:
    """What to tell the author of a file that Python would not read, though it can be guessed what it says."""
    if file.suffix.lower() == ".ipynb":
        return None
    try:
        data = read_student_file(file)
        data.decode(tokenize.detect_encoding(io.BytesIO(data).readline)[0])
    except SourceError:
        return None
    except (SyntaxError, LookupError, UnicodeDecodeError):
        return NOT_UTF8
    return None
