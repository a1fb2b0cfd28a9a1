"""Files: written whole or not at all, read with one clear line when something is wrong."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

HASH = "sha256:"  # begins a hash: a value to compare, not to show
JSON = TypeVar("JSON", dict, list)


class InputError(ValueError):
    """A fault that its user can fix, and the only one. The message is one line: `file:line: what: how to fix it`."""


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file under a temporary name, then rename it: the file is never half-written.

    It is forced to the disk before the renaming: after a power cut a renamed file could be empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        with partial.open("rb+") as file:  # Windows forces only what is open for writing
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:  # a full disk does not say which file it was
        error.filename = error.filename or str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text under a temporary name, then rename.

    Bytes of a file's name that are not UTF-8 (Python keeps them as lone surrogates) are written as `\\udc80`,
    which JSON reads back as the same name.
    """
    raw = text.encode("utf-8", "backslashreplace")
    replace_file(path, lambda partial: partial.write_bytes(raw))


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON.

    A file name that is not UTF-8 comes back as it was: Python keeps its bytes as surrogates (PEP 383), which have
    no UTF-8 and are written as escapes.
    """
    text = json.dumps(value, ensure_ascii=False, indent=1)
    write_text(path, re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def check_no_pointer(path: Path, begins: bytes) -> None:
    """Raise InputError for what Git leaves where a large file was not fetched."""
    if begins.startswith(b"version https://git-lfs"):
        raise InputError(f"{path}: a pointer of Git LFS, not the file itself: run git lfs pull in its folder")


def read_text(path: Path) -> str:
    """Read UTF-8 text, without a byte-order mark and with plain line ends. Raises InputError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: check the path") from None
    check_no_pointer(path, raw)
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8 text: save the file as UTF-8") from None


def read_json(path: Path, kind: type[JSON]) -> JSON:
    """Read a JSON file whose top level is a `kind` (dict or list). Raises InputError."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg}): fix the file") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply: fix the file") from None
    except InputError:
        raise
    except ValueError:  # Python reads numbers of at most 4,300 digits
        raise InputError(f"{path}: holds a number of thousands of digits: fix the file") from None
    if not isinstance(value, kind):
        raise InputError(f"{path}: expected a JSON {kind.__name__}, got {type(value).__name__}: fix the file")
    return value


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path) -> None:
    """Make a folder to write into, with those above it. Raises InputError if something is in the way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made a folder ({error.strerror}): choose another --out") from None


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """A folder to write into; if it was not there and is still empty at the end, nothing came of it and it goes."""
    new = not path.exists()
    make_folder(path)
    try:
        yield
    finally:
        if new:
            with suppress(OSError):  # it is not empty
                path.rmdir()
