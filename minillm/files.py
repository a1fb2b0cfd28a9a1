"""Files: written whole or not at all, read with one clear line when something is wrong."""

import json
import os
from collections.abc import Callable
from pathlib import Path


class InputError(ValueError):
    """Something a user can mend. The message is one line: `file:line: what: mend`."""


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file under a temporary name, then rename it: the file is never half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text under a temporary name, then rename."""
    replace_file(path, lambda partial: partial.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_text(path: Path) -> str:
    """Read UTF-8 text, without a byte-order mark and with plain line ends. Raises InputError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: check the path") from None
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8 text: save the file as UTF-8") from None


def read_json(path: Path, kind: type) -> object:
    """Read a JSON file whose top level is a `kind` (dict or list). Raises InputError."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg}): mend the file") from None
    if not isinstance(value, kind):
        raise InputError(f"{path}: expected a JSON {kind.__name__}, got {type(value).__name__}: mend the file")
    return value
