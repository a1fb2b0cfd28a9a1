"""Files as users have them: found in folders, opened whatever packs them, named for what they are.

`find_files` finds them; a `Source` is one of them, and gives its bytes unpacked and its text decoded.
What cannot be read is refused in a line that says what the file is and what to do.
"""

import bz2
import codecs
import glob
import gzip
import lzma
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from minillm.material.encodings import by_mark, check_encoding, describe_bytes, likely_encoding
from minillm.plumbing.files import InputError

CHUNK = 1 << 20  # bytes read at a time
PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
PACKING = (".gz", ".bz2", ".xz")
PARQUET = b"PAR1"
# (place in the file, bytes there, what the file is, what to do)
REFUSED = (
    (0, b"%PDF", "a PDF", "save its text as .txt"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office document (.doc, .xls)", "save it as text or as CSV"),
    (0, b"{\\rtf", "an RTF document", "save it as plain text"),
    (0, b"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (0, b"GGUF", "a GGUF model", "name a file of text or records"),
    (0, b"\x93NUMPY", "a NumPy array", "name a file of text or records"),
    (0, b"\x89HDF", "an HDF5 file", "convert it to JSON lines"),
    (0, b"ARROW1", "an Arrow file", "convert it to JSON lines (datasets: to_json)"),
    (0, b"FEA1", "a Feather file", "convert it to JSON lines"),
    (0, b"ORC", "an ORC file", "convert it to JSON lines"),
    (0, b"Obj\x01", "an Avro file", "convert it to JSON lines"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (0, b"Rar!", "a RAR archive", "unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file", "unpack it first (zstd -d)"),
    (257, b"ustar", "a tar archive", "unpack it first"),
    (0, b"\x89PNG", "a picture", "name a file of text or records"),
    (0, b"\xff\xd8\xff", "a picture", "name a file of text or records"),
    (0, b"GIF8", "a picture", "name a file of text or records"),
    (0, b"\x7fELF", "a program", "name a file of text or records"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "run: git lfs pull"),
    *((0, bytes([128, version]), "a Python pickle", "convert it to JSON lines") for version in (2, 3, 4, 5)),
)
ZIPPED = {
    "word/": ("a Word document (.docx)", "save it as plain text"),
    "xl/": ("an Excel workbook (.xlsx)", "save the sheet as CSV"),
    "ppt/": ("a PowerPoint file (.pptx)", "save its text as .txt"),
    "content.opf": ("an e-book (.epub)", "save its text as .txt"),
    "data.pkl": ("a PyTorch file", "name a file of text or records"),
    ".npy": ("a NumPy archive (.npz)", "name a file of text or records"),
}


def shown(path: str | Path) -> str:
    """A path to print: the bytes of a name that is not UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    """Whether a name ends with one of the suffixes, perhaps packed (.gz)."""
    name = path.name.lower()
    return name.endswith(tuple(suffix + packing for suffix in suffixes for packing in ("", *PACKING)))


def is_hidden(path: Path) -> bool:
    """Whether an editor, a notebook or an archive program left it: hidden, or a Mac's or Office's shadow of a file."""
    return any(part.startswith((".", "~$")) or part == "__MACOSX" for part in path.parts)


def find_files(
    paths: Sequence[str | Path], suffixes: Sequence[str], tell: Callable[[str], None] | None = None
) -> list[Path]:
    """Files named by paths, folders (searched through) and patterns. Raises InputError if there is none.

    In a folder, hidden files and those with other suffixes are left out; `tell` is called with how many.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            everything = sorted(p for p in path.rglob("*") if p.is_file())
            visible = [p for p in everything if not is_hidden(p.relative_to(path))]
            inside = [p for p in visible if has_suffix(p, suffixes)]
            if not inside:
                raise InputError(
                    f"{shown(path)}: holds no {' or '.join(suffixes)} file: name a folder that does, or the files"
                )
            for kind, n in (("hidden", len(everything) - len(visible)), ("other", len(visible) - len(inside))):
                if tell and n:
                    tell(f"{shown(path)}: {n} {kind} file{'s' * (n > 1)} in the folder not read")
            found += inside
        elif path.exists() or not glob.has_magic(str(path)):
            found.append(path)
        else:
            matches = sorted(p for p in map(Path, glob.glob(str(path), recursive=True)) if not p.is_dir())
            if not matches:
                raise InputError(f"{shown(path)}: matches no file: check the pattern")
            found += matches
    return found


class Source:
    """One file, or standard input for `-`, to read as often as needed.

    What can be read only once (standard input, a pipe) is first copied to a temporary file.
    """

    def __init__(self, path: Path):
        self.path, self.copy = path, None
        self.name = "standard input" if str(path) == "-" else shown(path)
        try:
            if str(path) == "-" or (path.exists() and not path.is_file()):
                self.copy = tempfile.TemporaryFile()
                with nullcontext(standard_input()) if str(path) == "-" else path.open("rb") as source:
                    shutil.copyfileobj(source, self.copy)
            self.size = os.fstat(self.copy.fileno()).st_size if self.copy else path.stat().st_size
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror or error}: check the path") from None

    def open(self) -> BinaryIO:
        """The bytes from the beginning, unpacked. Raises InputError for what holds neither text nor records."""
        file = self._open()
        head = file.read(512)
        file.seek(0)
        for magic, unpack in PACKED.items():
            if head.startswith(magic):
                file = unpack(file)
                head = file.read(512)
                file.seek(0)
                break
        if fault := what_it_is(head, file):
            file.close()
            raise InputError(f"{self.name}: {fault}")
        return file

    def _open(self) -> BinaryIO:
        if self.copy is None:
            return self.path.open("rb")
        self.copy.seek(0)
        return os.fdopen(os.dup(self.copy.fileno()), "rb")

    def is_parquet(self) -> bool:
        """Whether it is a Parquet file, by its first bytes. Raises InputError."""
        with self.reading() as file:
            return file.read(len(PARQUET)) == PARQUET

    def reading(self) -> BinaryIO:
        """`open`, with what the system says as InputError."""
        try:
            return self.open()
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise self.fault(error) from None

    def fault(self, error: Exception) -> InputError:
        """What is wrong with the file, as one line."""
        if isinstance(error, OSError) and error.strerror:
            return InputError(f"{self.name}: {error.strerror}: check the path")
        return InputError(f"{self.name}: the packed file is damaged or cut off ({error}): get it again")

    def chunks(
        self, encoding: str | None = None, nul: bool = False, read: Callable[[int], object] | None = None
    ) -> Iterator[str]:
        """The text in chunks of about a million bytes, without byte-order mark and with plain line ends.

        It is UTF-8, or what a byte-order mark says, or else `encoding`. Raises InputError for another
        encoding, and for NUL characters unless `nul`. `read` is told the bytes of each chunk.
        """
        check_encoding(encoding)
        line, half, decoder = 1, "", None
        file = self.reading()
        try:
            while True:
                raw = file.read(CHUNK)
                if decoder is None:
                    kind = by_mark(raw) or encoding or "utf-8"
                    decoder = codecs.getincrementaldecoder(kind)()
                try:
                    text = half + decoder.decode(raw, final=not raw)
                except UnicodeDecodeError as error:
                    line += error.object.count(b"\n", 0, error.start)
                    raise InputError(f"{self.name}:{line}: {describe_bytes(error, kind)}") from None
                except UnicodeError as error:  # UTF-16 without a mark
                    raise InputError(f"{self.name}:{line}: {error}: give --encoding {kind}-le or {kind}-be") from None
                half = "\r" if raw and text.endswith("\r") else ""  # perhaps half of a Windows line end
                text = text.removesuffix(half).replace("\r\n", "\n")
                if not nul and (at := text.find("\0")) >= 0:
                    line += text.count("\n", 0, at)
                    wide = likely_encoding(raw, ("utf-16-le", "utf-16-be"))
                    hint = f"it looks like {wide.upper()}: give --encoding {wide}" if wide else "name a text file"
                    raise InputError(f"{self.name}:{line}: holds binary data (a NUL character): {hint}")
                line += text.count("\n")
                if read:
                    read(len(raw))
                if text:
                    yield text
                if not raw:
                    return
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise self.fault(error) from None
        finally:
            file.close()

    def lines(self, encoding: str | None = None, read: Callable[[int], object] | None = None) -> Iterator[str]:
        """The lines of the text, without line ends. Raises InputError as `chunks`."""
        rest: list[str] = []
        for chunk in self.chunks(encoding, read=read):
            first, *others = chunk.split("\n")
            rest.append(first)
            if others:
                yield "".join(rest)
                yield from others[:-1]
                rest = [others[-1]]
        yield "".join(rest)


def standard_input() -> BinaryIO:
    """The bytes of standard input. Raises InputError if it is closed."""
    if sys.stdin is None or sys.stdin.closed:
        raise InputError("standard input: it is closed: pipe a text in, or name a file")
    return sys.stdin.buffer


def what_it_is(head: bytes, file: BinaryIO) -> str | None:
    """What a file is that holds neither text nor records, and what to do; None for all others."""
    if head.startswith(b"PK\x03\x04"):
        kind, fix = what_is_zipped(file)
        return f"{kind}: {fix}"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 100 << 20:
        return "a safetensors file, the weights of a model: name a file of text or records"
    for place, magic, kind, fix in REFUSED:
        if head[place:].startswith(magic):
            return f"{kind}: {fix}"
    return None


def what_is_zipped(file: BinaryIO) -> tuple[str, str]:
    """What a ZIP file is, and what to do."""
    try:
        names = zipfile.ZipFile(file).namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        names = []
    for part, answer in ZIPPED.items():
        if any(name.startswith(part) or name.endswith(part) for name in names):
            return answer
    return "a ZIP archive", "unpack it first"
