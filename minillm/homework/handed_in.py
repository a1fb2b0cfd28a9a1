"""The files of a submission: everything below a folder or in a zip that could be homework, and what could not.

Links are never followed (they could lead to a solution), what is neither file nor folder is never opened, and
a zip is read within bounds: its names may be GBK, it may hold zips, and it may lie about its sizes.
"""

import io
import os
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from minillm.homework.plain import plain
from minillm.homework.sources import MOST_NOTEBOOK, MOST_SOURCE
from minillm.plumbing.languages import Text

SUFFIXES = (".py", ".ipynb")
SKIPPED_FOLDERS = {"__macosx", "__pycache__", "venv", "env", "node_modules", "minillm", "tests", "site-packages"}
SKIPPED_FILES = {"lesson.py", "conftest.py", "__init__.py", "setup.py"}
MOST_ENTRIES, MOST_FOLDERS_DEEP, MOST_ZIPS_DEEP = 5000, 12, 3
MOST_UNPACKED = 256 << 20  # bytes of one submission

LINK: Text = {"en": "is a link", "zh": "是一个链接"}
NO_FILE: Text = {"en": "is no regular file", "zh": "不是普通文件"}
NO_ZIP: Text = {"en": "is no zip that can be read", "zh": "不是能读取的 zip 文件"}
LOCKED: Text = {"en": "is locked with a password", "zh": "有密码，打不开"}
TOO_LARGE: Text = {"en": "is too large", "zh": "太大"}
TOO_MANY: Text = {"en": "holds too many files", "zh": "文件太多"}


@dataclass(frozen=True)
class Handed:
    """A file that could be homework."""

    name: str
    """Where it is in the submission, to show: `work.zip/03_attention/homework.py`."""
    path: Path
    """Where its content can be read: what was in a zip has been unpacked."""
    modified: float
    """Seconds since 1970."""


@dataclass
class Collection:
    """What a student handed in."""

    files: list[Handed] = field(default_factory=list)
    refused: list[tuple[str, Text]] = field(default_factory=list)
    """(name, why) of what is not read."""
    others: list[str] = field(default_factory=list)
    """Names of files that are no homework, such as pictures."""

    def add(self, more: "Collection") -> None:
        self.files += more.files
        self.refused += more.refused
        self.others += more.others


def readable_name(name: str) -> str:
    """A file's name as text to show: names whose bytes are no UTF-8 are taken for GBK, as old zips have them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("gb18030", errors="backslashreplace")
    return plain(name)


def is_skipped(name: str) -> bool:
    return name.startswith((".", "~$")) or name.casefold() in SKIPPED_FOLDERS


def collect(entry: Path, work: Path | None = None) -> Collection:
    """Everything below a folder, in a zip, or a single file. Zips are unpacked into `work`, or left if it is None."""
    found = Collection()
    for name, path in walk(entry, "", found, 0):
        sort_in(name, path, work, found)
    return found


def walk(path: Path, name: str, found: Collection, depth: int) -> Iterator[tuple[str, Path]]:
    """(name, path) of every regular file; what is refused goes to `found`."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            found.refused.append((name or readable_name(path.name), LINK))
        elif stat.S_ISDIR(mode):
            if path.suffix.lower() in SUFFIXES or depth > MOST_FOLDERS_DEEP:
                found.refused.append((name, NO_FILE))
                return
            with os.scandir(path) as entries:
                inside = sorted(entry.name for _, entry in zip(range(MOST_ENTRIES), entries, strict=False))
            for child in inside:
                if not is_skipped(child):
                    yield from walk(path / child, f"{name}/{readable_name(child)}".lstrip("/"), found, depth + 1)
        elif stat.S_ISREG(mode):
            yield name or readable_name(path.name), path
        else:
            found.refused.append((name or readable_name(path.name), NO_FILE))
    except OSError as error:
        reason = error.strerror or "?"
        found.refused.append((name, {"en": f"cannot be read ({reason})", "zh": f"读不了（{reason}）"}))


def sort_in(name: str, path: Path, work: Path | None, found: Collection) -> None:
    """A regular file: homework, a zip to unpack, or neither."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES and path.name not in SKIPPED_FILES:
        found.files.append(Handed(name, path, path.stat().st_mtime))
    elif suffix == ".zip" and work is not None:
        try:
            with path.open("rb") as file:
                Unpacking(work, found).unpack(file, name, 1)
        except OSError:
            found.refused.append((name, NO_ZIP))
    else:
        found.others.append(name)


class Unpacking:
    """Unpacks the homework of zips into files with new names: no name in a zip becomes a path."""

    def __init__(self, work: Path, found: Collection):
        self.work, self.found, self.left, self.entries = work, found, MOST_UNPACKED, MOST_ENTRIES

    def unpack(self, file: io.IOBase, name: str, depth: int) -> None:
        try:
            with zipfile.ZipFile(file) as archive:
                for info in archive.infolist():
                    self.member(archive, info, name, depth)
        except Exception:  # a zip can be broken in more ways than its library names
            self.found.refused.append((name, NO_ZIP))

    def member(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, depth: int) -> None:
        inside = PurePosixPath(member_name(info))
        self.entries -= 1
        if info.is_dir() or any(is_skipped(part) for part in inside.parts) or inside.name in SKIPPED_FILES:
            return
        place, suffix = plain(f"{name}/{inside}"), inside.suffix.lower()
        if suffix not in (*SUFFIXES, ".zip"):
            self.found.others.append(place)
            return
        if why := self.reason_to_refuse(info, suffix, depth):
            self.found.refused.append((place, why))
            return
        most = min(self.left, {".py": MOST_SOURCE, ".ipynb": MOST_NOTEBOOK}.get(suffix, self.left))
        data = archive.open(info).read(most + 1)  # not more, whatever the zip says of its size
        self.left -= len(data)
        if len(data) > most:
            self.found.refused.append((place, TOO_LARGE))
        elif suffix == ".zip":
            self.unpack(io.BytesIO(data), place, depth + 1)
        else:
            descriptor, path = tempfile.mkstemp(suffix, dir=self.work)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            self.found.files.append(Handed(place, Path(path), member_time(info)))

    def reason_to_refuse(self, info: zipfile.ZipInfo, suffix: str, depth: int) -> Text | None:
        if stat.S_ISLNK(info.external_attr >> 16):
            return LINK
        if info.flag_bits & 1:
            return LOCKED
        if self.entries < 0 or self.left <= 0:
            return TOO_MANY
        return NO_ZIP if suffix == ".zip" and depth >= MOST_ZIPS_DEEP else None


def member_name(info: zipfile.ZipInfo) -> str:
    """The name of a file in a zip. Without the mark for UTF-8 it is in the system's encoding of the one who zipped."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        raw = info.filename.encode("cp437")  # as which zipfile reads it
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding).replace("\\", "/")
        except UnicodeDecodeError:
            continue
    return info.filename


def member_time(info: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0
