"""Raw text of users as documents: text files, and JSON lines or tables with a text per record.

`cut_documents` cuts what is read into documents, and `TextFiles` is all documents of some files, to go
through as often as needed. No text file is ever in memory as a whole.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from minillm.material.containers import RECORD_SUFFIXES, read_records
from minillm.material.fields import FIELDS, TEXTS, Fields, Unusable, kind_of
from minillm.material.findings import END_MARKS, Findings, reading_bar
from minillm.material.sources import CHUNK, Source, find_files, has_suffix
from minillm.plumbing.files import InputError
from minillm.plumbing.terminal import note

TEXT_SUFFIXES = (".txt", ".md")
LINE_SUFFIXES = (".jsonl", ".ndjson", ".parquet")  # read in folders that hold no text file
BORDER = re.compile(r"(?s).*[^\s](?=[ \n])")  # up to the last place where white space begins
CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
JSON_BEGINS = re.compile(r'\[\s*\{\s*"[^"\n]*"\s*:')

Piece = tuple[str, bool]
"""A part of a document, and whether the document ends with it."""


def cut_documents(
    chunks: Iterable[str], separator: re.Pattern | None, most: int = CHUNK, held: int = 0
) -> Iterator[Piece]:
    """Cut text that comes in chunks into documents: (text, whether its document ends here).

    Documents longer than `most` characters come in several pieces, cut before a space or line end, where
    no token spans the border (or anywhere, if there is none). Blank documents are left out. `held`: the
    characters at the end of a chunk that may be the beginning of a separator.
    """
    rest, begun = "", False  # begun: a piece of the document went out already
    for chunk in chain(chunks, [None]):
        rest += chunk or ""
        # white space at the end may be half of a separator, until it is known what follows
        settled = len(rest) if chunk is None else max(0, min(len(rest.rstrip()), len(rest) - held))
        start = 0
        for match in separator.finditer(rest, 0, settled) if separator else ():
            if begun or (not rest[start : match.start()].isspace() and start < match.start()):
                yield rest[start : match.start()], True
            begun, start = False, match.end()
        rest = rest[start:]
        if len(rest) > most + 2 * held and chunk is not None:
            at = border(rest, len(rest) - 2 * held)
            if begun or rest[:at].strip():
                yield rest[:at], False
                begun = True
            rest = rest[at:]
    if begun or rest.strip():
        yield rest, True


def border(text: str, end: int) -> int:
    """The last place up to `end` where white space begins at a space or line end; `end` if there is none."""
    if text.isspace() or not (" " in text or "\n" in text):  # the search takes its time where it finds nothing
        return end
    found = BORDER.match(text, 0, end)
    return found.end() if found else end


def split_at(documents: Literal["file", "blank-line", "line"], separator: str | None) -> re.Pattern | None:
    """What separates documents. In `separator`, \\n and \\t stand for a line end and a tab. Raises InputError."""
    kinds = {"file": None, "line": "\n", "blank-line": r"\n\s*\n"}
    if separator == "":
        raise InputError("separator is empty: give the text between two documents")
    text = re.escape(separator.replace("\\n", "\n").replace("\\t", "\t")) if separator is not None else None
    patterns = [p for p in (text, kinds[documents]) if p]
    return re.compile("|".join(patterns)) if patterns else None


class TextFiles:
    """The raw documents of files: each file is one, or each paragraph, or each line, or what a separator cuts.

    A file of JSON lines (a JSON list, a table, Parquet) holds a document in the field `text` of each
    record. Files are read anew each time they are gone through, so they may be larger than the memory.

    separator: text between two documents, such as <|endoftext|>. encoding: of files that are not UTF-8.
    nul: accept NUL characters, for those who clean the text. strict: what cannot be used is an error,
    else it is left out. announce: called with a line on each of these, in the first full pass.

    Raises InputError for files that cannot be found; what is wrong inside is raised on reading.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        documents: Literal["file", "blank-line", "line"] = "file",
        separator: str | None = None,
        encoding: str | None = None,
        nul: bool = False,
        strict: bool = False,
        announce: Callable[[str], object] = note,
    ):
        self.separator, self.mark = split_at(documents, separator), separator or ""
        self.encoding, self.nul, self.strict, self.announce = encoding, nul, strict, announce
        self.told = False
        self.about_files: list[str] = []
        self.paths = [p for path in paths for p in self._find(Path(path))]
        self.sources = [Source(path) for path in self.paths]

    def _find(self, path: Path) -> list[Path]:
        """Text files; in a folder without any, files of records."""
        try:
            return find_files([path], TEXT_SUFFIXES, self.about_files.append)
        except InputError:
            if not path.is_dir():
                raise
        try:
            return find_files([path], LINE_SUFFIXES, self.about_files.append)
        except InputError:
            return find_files([path], TEXT_SUFFIXES)  # for its message

    def pieces(self) -> Iterator[Piece]:
        """(text, whether its document ends here), in order."""
        findings = Findings(self.strict, (lambda line: None) if self.told else self.announce)
        for line in self.about_files:
            findings.say(line)
        with reading_bar(self.sources) as bar:
            for source in self.sources:
                before = findings.used + findings.left_out
                texts = self._records(source, findings, bar.update) if self._holds_records(source) else [
                    source.chunks(self.encoding, self.nul, bar.update)]  # fmt: skip
                for chunks in texts:
                    for text, ends in cut_documents(chunks, self.separator, held=max(0, len(self.mark) - 1)):
                        findings.used += ends
                        if not self.told:
                            self._look(source.name, text, findings)
                        yield text, ends
                if findings.used + findings.left_out == before:
                    findings.leave_out(f"{source.name}: the file is empty: put some text into it")
        findings.close(self.paths, "document")
        self.told = True

    def __iter__(self) -> Iterator[str]:
        """Whole documents, one at a time."""
        parts = []
        for text, ends in self.pieces():
            parts.append(text)
            if ends:
                yield "".join(parts)
                parts = []

    def _holds_records(self, source: Source) -> bool:
        """Whether a file holds records and not plain text: by its suffix, or because it begins as JSON does."""
        if has_suffix(source.path, RECORD_SUFFIXES) or source.is_parquet():
            return True
        head = next(source.chunks(self.encoding, nul=True), "").lstrip()
        if JSON_BEGINS.match(head):
            return True
        if not head.startswith("{"):
            return False
        first, *others = [line for line in head.split("\n", 100) if line.strip()][:2]
        if len(first) >= CHUNK // 4:  # a record longer than what was read
            return bool(re.match(r'\{\s*"[^"\n]*"\s*:', first))
        return is_object(first) and all(line.lstrip().startswith("{") for line in others)

    def _records(self, source: Source, findings: Findings, read: Callable[[int], object]) -> Iterator[list[str]]:
        """The text of each record, in chunks."""
        for line, record in read_records(source, findings, self.encoding, read):
            try:
                fields = Fields(record if isinstance(record, dict) else {"text": record})
                text = raw_text(fields, record)
            except Unusable as why:
                findings.leave_out(f"{source.name}:{line}: {why}")
            else:
                fields.tell_unused(lambda what: findings.count(f"{source.name}: {what}"))
                yield [text[i : i + CHUNK] for i in range(0, len(text), CHUNK)]

    def _look(self, name: str, text: str, findings: Findings) -> None:
        """Count what is learned as letters and was meant otherwise."""
        for mark in END_MARKS:
            if mark not in self.mark and (n := text.count(mark)):
                findings.count(f"{name}: {mark} is learned as letters; --separator {mark!r} splits documents there", n)
        if not self.nul and (n := len(CONTROL.findall(text))):
            findings.count(f"{name}: control characters are learned as they are; --clean drops them", n)
        if n := text.count("\ufffd"):
            findings.count(f"{name}: the replacement mark \ufffd shows that the text was once decoded wrongly", n)


def is_object(line: str) -> bool:
    """Whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line.strip().rstrip(",")), dict)
    except (ValueError, RecursionError):
        return False


def raw_text(fields: Fields, record: Any) -> str:
    """The raw text in a record: its field `text`, or one like it. Raises Unusable."""
    if not isinstance(record, dict | str):
        raise Unusable(f'{kind_of(record)} is no record: write {{"text": …}}')
    if name := fields.first(TEXTS):
        return fields.text(name)
    names = ", ".join(map(repr, list(record)[:4])) or "none"
    if any(name in FIELDS for name in record):
        raise Unusable(f"fields {names} are no raw text but a dialogue: give the file to sft --pairs or prefer, or "
                       'write {"text": …}')  # fmt: skip
    raise Unusable(f'fields {names} are unknown: write {{"text": …}}, or name the file .txt to learn it as it is')
