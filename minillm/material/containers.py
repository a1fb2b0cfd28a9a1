"""What records come in: JSON lists, JSON lines, CSV and TSV tables, Parquet; also packed, also below a name.

`read_records` gives (place, record) of each, whatever the container. A line that is no JSON is left out
like any other bad record; a list that was cut off, or a table without known columns, is refused.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from minillm.material.fields import FIELDS, KNOWN, MESSAGE_FIELDS
from minillm.material.findings import Findings
from minillm.material.json_text import JSONText, Place
from minillm.material.sources import Source, has_suffix
from minillm.material.turns import is_turn
from minillm.plumbing.files import InputError

RECORD_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
CELL = 1 << 30  # characters: a cell may be a whole book
WRAPPERS = ("train", "data", "rows", "records", "examples", "items", "instances", "samples", "dataset")
DELIMITERS = ",\t;|"


def read_records(
    source: Source,
    findings: Findings,
    encoding: str | None = None,
    read: Callable[[int], object] | None = None,
) -> Iterator[Place]:
    """(line, record) of each record in a file; what cannot be one goes to `findings`.

    Records are dicts, lists of messages, or strings; a value of another type is given as it is. Raises
    InputError if the file as a whole cannot be read.
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
        delimiter = table_delimiter(source, first)
        if delimiter:
            values = table_rows(source.name, lines, delimiter, findings)
        else:
            values = JSONText(source.name, findings).values(lines, first)
    for line, value in values:
        yield from records_in(value, line, source.name, findings)


def first_line(lines: Iterator[str]) -> tuple[int, str]:
    """How many blank lines come first, and the line that follows them."""
    for number, line in enumerate(lines):
        if line.strip():
            return number, line
    return 0, ""


# ---------------------------------------------------------------------------------------------- tables


def table_delimiter(source: Source, first: str) -> str | None:
    """What separates the columns, if the file is a table: by its suffix, or by the names in its first line."""
    if first.lstrip()[:1] in ("{", "["):
        return None
    delimiter = max(DELIMITERS, key=first.count)
    names = [name.strip().strip('"').lower() for name in first.split(delimiter)]
    if has_suffix(source.path, (".csv", ".tsv")):
        return delimiter if delimiter in first else ","
    return delimiter if len(names) > 1 and sum(name in FIELDS for name in names) > 1 else None


def table_rows(name: str, lines: Iterable[str], delimiter: str, findings: Findings) -> Iterator[Place]:
    """(line, record) of each row below the names of the columns. Raises InputError if none is known."""
    csv.field_size_limit(CELL)
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
        if delimiter == "|":  # a Markdown table: spaces around each cell, and a line of dashes below the names
            row = [cell.strip() for cell in row]
        if not any(cell.strip(" :-" if delimiter == "|" else None) for cell in row):
            continue
        if not header:
            header = [cell.strip().lower() for cell in row]
            if not set(header) & set(FIELDS):
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
