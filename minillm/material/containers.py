"""What records come in: JSON lists, JSON lines, CSV and TSV tables, Parquet; also packed, also below a name.

`read_records` gives (place, record) of each, whatever the container. A line that is no JSON is left out
like any other bad record; a list that was cut off, or a table without known columns, is refused.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from minillm.material.findings import Findings
from minillm.material.shapes import FIELDS, KNOWN, MESSAGE_FIELDS, is_turn
from minillm.material.sources import Source
from minillm.plumbing.files import InputError

RECORD_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
LARGEST = 4_000_000  # characters of a record: far more than any context holds
WRAPPERS = ("train", "data", "rows", "records", "examples", "items", "instances", "samples", "dataset")
SPACE = re.compile(r"[ \t\r\n,]*")
LISTS_ON_LINES = re.compile(r"\s*\[[^\n]*\][ \t,]*\n\s*\[")
DELIMITERS = ",\t;|"

Place = tuple[int | str, Any]
"""(line, value): the line may be followed by the number of a record below it."""


def read_records(
    source: Source,
    findings: Findings,
    encoding: str | None = None,
    read: Callable[[int], object] | None = None,
    largest: int | None = LARGEST,
    fields: Sequence[str] = FIELDS,
) -> Iterator[Place]:
    """(line, record) of each record in a file; what cannot be one goes to `findings`.

    Records are dicts, lists of messages, or (in a list) strings. `fields` are the names known in the
    first line of a table. Raises InputError if the file as a whole cannot be read.
    """
    if source.is_parquet():
        values = parquet_rows(source)
    else:
        lines = source.lines(encoding, read)
        blank, first = first_line(lines)
        if not first:
            raise InputError(f"{source.name}: the file is empty: put records into it")
        if first.lstrip().startswith("<"):
            raise InputError(f"{source.name}:{blank + 1}: HTML or XML, perhaps an error page: download the data again")
        lines = chain([""] * blank, [first], lines)
        delimiter = table_delimiter(source, first, fields)
        if delimiter:
            values = table_rows(source.name, lines, delimiter, findings, fields)
        else:
            values = JSONText(source.name, findings, largest).values(lines, first)
    for line, value in values:
        yield from records_in(value, line, source.name, findings)


def first_line(lines: Iterator[str]) -> tuple[int, str]:
    """How many blank lines come first, and the line that follows them."""
    for number, line in enumerate(lines):
        if line.strip():
            return number, line
    return 0, ""


# ------------------------------------------------------------------------------------------------ JSON


class JSONText:
    """Values in a text of JSON: one list, values on lines, or values that take several lines each."""

    def __init__(self, name: str, findings: Findings, largest: int | None):
        self.name, self.findings, self.largest = name, findings, largest
        self.decoder = json.JSONDecoder()

    def values(self, lines: Iterable[str], first: str) -> Iterator[Place]:
        """(line, value) of each. Lines are read as they come; only a list is read as a whole."""
        if first.lstrip().startswith("["):
            text = "\n".join(lines)
            return self.on_lines(text.split("\n")) if LISTS_ON_LINES.match(text) else self.in_list(text)
        if self.too_long(first) or self.is_whole(first):
            return self.on_lines(lines)
        return self.in_sequence("\n".join(lines))

    def too_long(self, text: str) -> bool:
        return self.largest is not None and len(text) > self.largest and text.lstrip().startswith("{")

    def is_whole(self, line: str) -> bool:
        """Whether a line is JSON by itself."""
        try:
            self.decoder.decode(line.strip().rstrip(","))
        except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
            return not isinstance(error, json.JSONDecodeError)
        except RecursionError:
            return True
        return True

    def decode(self, text: str, at: int, line: int) -> tuple[Any, int]:
        """The value that begins at `at`, and where it ends. Raises InputError."""
        try:
            return self.decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            fault = f"not JSON ({error.msg})"
        except ValueError:
            fault = "not JSON (a number is too long)"
        except RecursionError:
            fault = "nested too deeply"
        raise InputError(f"{self.name}:{line}: {fault}: fix the record") from None

    def in_list(self, text: str) -> Iterator[Place]:
        """The values of a list. Raises InputError if it is not whole."""
        at = SPACE.match(text).end()
        line = 1 + text.count("\n", 0, at)
        at += 1  # the bracket
        turns: list[dict] | None = None  # a list of messages is one record
        while True:
            end = SPACE.match(text, at).end()
            line += text.count("\n", at, end)
            if end == len(text):
                raise InputError(f"{self.name}:{line}: the JSON list has no end: the file was cut off")
            if text[end] == "]":
                break
            value, at = self.decode(text, end, line)
            if is_turn(value) and turns is None:
                turns, begin = [], line
            if turns is not None:
                turns.append(value)
            elif self.fits(at - end, line):
                yield line, value
            line += text.count("\n", end, at)
        if turns:
            yield begin, turns
        if text[end + 1 :].strip():
            line += text.count("\n", end, end + 1 + len(text[end + 1 :]) - len(text[end + 1 :].lstrip()))
            raise InputError(f"{self.name}:{line}: something follows the end of the JSON list: remove it")

    def in_sequence(self, text: str) -> Iterator[Place]:
        """Values one after the other; from the first fault on, those on lines."""
        at, line = 0, 1
        while True:
            end = SPACE.match(text, at).end()
            line += text.count("\n", at, end)
            if end == len(text):
                return
            try:
                value, at = self.decode(text, end, line)
            except InputError:
                yield from self.on_lines(text[end:].split("\n"), line)
                return
            if self.fits(at - end, line):
                yield line, value
            line += text.count("\n", end, at)

    def on_lines(self, lines: Iterable[str], begin: int = 1) -> Iterator[Place]:
        """Values on lines of their own. A value may go on in lines that do not begin with a bracket."""
        block: list[str] = []
        for number, line in enumerate(lines, begin):
            if block and line[:1] in ("{", "["):
                yield from self.in_block("\n".join(block), begin)
                block = []
            if not block:
                begin = number
            if block or line.strip():
                block.append(line)
        yield from self.in_block("\n".join(block), begin)

    def in_block(self, text: str, line: int) -> Iterator[Place]:
        """Values in a few lines; the first that is no JSON is left out, and the lines after it read alone."""
        at, alone = 0, False
        if self.too_long(text) and not self.fits(len(text), line):
            return
        while (end := SPACE.match(text, at).end()) < len(text):
            line += text.count("\n", at, end)
            try:
                value, at = self.decode(text, end, line)
            except InputError as fault:
                if not alone or text[end] in "{[":
                    self.findings.leave_out(str(fault))
                at, alone = text.find("\n", end), True
                if at < 0:
                    return
                continue
            yield line, value
            line += text.count("\n", end, at)

    def fits(self, characters: int, line: int) -> bool:
        """Whether a record is not too long; else it is left out."""
        if self.largest is None or characters <= self.largest:
            return True
        self.findings.leave_out(
            f"{self.name}:{line}: the record has {characters:,} characters, at most {self.largest:,} are read: split it"
        )
        return False


# ---------------------------------------------------------------------------------------------- tables


def table_delimiter(source: Source, first: str, fields: Sequence[str]) -> str | None:
    """What separates the columns, if the file is a table: by its suffix, or by the names in its first line."""
    if first.lstrip()[:1] in ("{", "["):
        return None
    delimiter = max(DELIMITERS, key=first.count)
    names = [name.strip().strip('"').lower() for name in first.split(delimiter)]
    if source.path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
        return delimiter if delimiter in first else ","
    return delimiter if len(names) > 1 and sum(name in fields for name in names) > 1 else None


def table_rows(
    name: str, lines: Iterable[str], delimiter: str, findings: Findings, fields: Sequence[str]
) -> Iterator[Place]:
    """(line, record) of each row below the names of the columns. Raises InputError if none is known."""
    csv.field_size_limit(LARGEST)
    rows = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            open_quote = "a quote opened here is never closed, all lines after it are lost"
            fault = open_quote if "end of data" in str(error) else f"not a row of a table ({error})"
            findings.leave_out(f"{name}:{line}: {fault}: fix the quotes")
            continue
        if not any(cell.strip() for cell in row):
            continue
        if not header:
            header = [cell.strip().lower() for cell in row]
            if not set(header) & set(fields):
                names = ", ".join(map(repr, header[:4]))
                raise InputError(f"{name}:{line}: columns {names} are unknown: name them in the first line, {KNOWN}")
        elif len(row) != len(header):
            findings.leave_out(f"{name}:{line}: {len(row)} columns, but {len(header)} names: quote the texts")
        else:
            yield line, {column: cell_value(column, cell) for column, cell in zip(header, row, strict=True)}


def cell_value(column: str, cell: str) -> Any:
    """A cell's text, or the messages that it holds as JSON."""
    if column in MESSAGE_FIELDS and cell.lstrip().startswith("[{"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell


def parquet_rows(source: Source) -> Iterator[Place]:
    """(row, record) of a Parquet file. Raises InputError without the package pyarrow, or if it is damaged."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InputError(
            f"{source.name}: a Parquet file, which the package pyarrow reads: pip install pyarrow, or convert it to JSON lines"
        ) from None
    with source.reading() as file:
        try:
            batches = ParquetFile(file).iter_batches(batch_size=1000)
            yield from enumerate((record for batch in batches for record in batch.to_pylist()), 1)
        except (ValueError, OSError, NotImplementedError) as error:  # pyarrow's own are among these
            fault = str(error).split("\n")[0]
            raise InputError(f"{source.name}: not a whole Parquet file ({fault}): get it again") from None


# --------------------------------------------------------------------------------------- what holds records


def records_in(value: Any, line: int | str, name: str, findings: Findings) -> Iterator[Place]:
    """The record that a value is, or those that it holds: a list, a table of columns, or a name above them."""
    below = None
    if isinstance(value, dict):
        below = columns(value) if is_record(value) else below_names(value, name, findings)
    elif isinstance(value, list) and value and not is_turn(value[0]):
        below = value
    if below is None:
        yield line, value
        return
    for i, record in enumerate(below, 1):
        yield (f"{line}: record {i}" if len(below) > 1 else line), record


def is_record(value: Any) -> bool:
    """Whether a value has a field that a record has, or is a list of messages."""
    if isinstance(value, list):
        return bool(value) and is_turn(value[0])
    return isinstance(value, dict) and any(k in FIELDS and not is_column(v) for k, v in value.items())


def is_column(value: Any) -> bool:
    """Whether a value is a column as pandas writes it: {"0": …, "1": …}."""
    return isinstance(value, dict) and bool(value) and all(key.isdigit() for key in value)


def below_names(value: dict, name: str, findings: Findings) -> list | None:
    """The records below a name or two, as in {"data": […]}; None if there are none."""
    for _ in range(3):
        if isinstance(value.get("row"), dict):
            return [value["row"]]
        if value and all(map(is_column, value.values())):
            rows = next(iter(value.values()))
            return [{k: column.get(row) for k, column in value.items()} for row in rows]
        if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):  # pandas, orient="split"
            return [dict(zip(map(str, value["columns"]), row)) for row in value["data"] if isinstance(row, list)]
        lists = {k: v for k, v in value.items() if isinstance(v, list) and v and isinstance(v[0], dict | list)}
        found = next((k for k in WRAPPERS if isinstance(value.get(k), list | dict)), None)
        found = found or next((k for k, v in lists.items() if is_record(v[0])), None)
        if found is None:
            inner = list(value.values())
            return inner if inner and all(map(is_record, inner)) else None  # {"id 1": {…}, "id 2": {…}}
        for other in lists.keys() - {found}:
            findings.say(f"{name}: records are read from {found!r} only, not the {len(lists[other])} in {other!r}")
        value = value[found]
        if isinstance(value, list):
            return [r["row"] if isinstance(r, dict) and isinstance(r.get("row"), dict) else r for r in value]
    return None


def columns(value: dict) -> list[dict] | None:
    """The rows of {"prompt": […], "completion": […]}; None if a value is a record itself."""
    lengths = {len(v) if isinstance(v, list) else 0 for v in value.values()}
    if len(lengths) > 1 or not max(lengths):
        return None
    if any(not isinstance(text, str) for k, v in value.items() if k in FIELDS for text in v):
        return None
    return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
