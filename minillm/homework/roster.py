"""The teacher's list of a class: whose submission is whose, and who handed in nothing."""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minillm.homework.plain import plain
from minillm.homework.submissions import Submission
from minillm.plumbing.files import InputError
from minillm.plumbing.languages import Text

ID_NAMES = {"id", "student id", "student_id", "学号", "number", "sis user id"}
NAME_NAMES = {"name", "student", "姓名", "full name"}
LANGUAGE_NAMES = {"lang", "language", "语言"}
NO_SUBMISSION: Text = {"en": "no submission", "zh": "没有交"}
NOT_LISTED: Text = {"en": "not in the roster", "zh": "不在名单里"}


@dataclass(frozen=True)
class Person:
    """A line of the roster."""

    id: str
    name: str
    language: str = ""
    """en or zh, or empty: that of the command."""


def read_roster(path: Path) -> list[Person]:
    """The people of a CSV table (id, name, and if you like lang), UTF-8 or GBK, with or without a first line of
    names. Raises InputError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: check the path") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", errors="replace")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    table = [[plain(c.strip()) for c in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter)]
    rows = [(number, row) for number, row in enumerate(table, 1) if any(row)]
    columns, begin = columns_of(rows[0][1]) if rows else ((0, 1, None), 0)
    people = [person(path, number, row, columns) for number, row in rows[begin:]]
    if not people:
        raise InputError(f"{path}: holds nobody: put one person on each line, as id,name")
    return people


def columns_of(first: Sequence[str]) -> tuple[tuple[int, int, int | None], int]:
    """((id, name, language) columns, lines before the first person)."""
    names = [name.casefold() for name in first]

    def column(known: set[str]) -> int | None:
        return next((i for i, name in enumerate(names) if name in known), None)

    id_column, name_column = column(ID_NAMES), column(NAME_NAMES)
    if id_column is None or name_column is None:
        return (0, 1, 2), 0
    return (id_column, name_column, column(LANGUAGE_NAMES)), 1


def person(path: Path, line: int, row: Sequence[str], columns: tuple[int, int, int | None]) -> Person:
    id_column, name_column, language_column = columns
    if len(row) <= max(id_column, name_column):
        raise InputError(f"{path}:{line}: no id and name: write the line as id,name")
    language = row[language_column] if language_column is not None and language_column < len(row) else ""
    return Person(row[id_column], row[name_column], language if language in ("en", "zh") else "")


# ------------------------------------------------------------------------------------------------- matching


def parts_of(text: str) -> list[str]:
    """Words and numbers, folded: `Li, Anna_2023` -> li, anna, 2023."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.findall(r"[^\W\d_]+|\d+|\w+", re.sub(r"_", " ", folded))


def likeness(submission: str, who: Person) -> int:
    """How surely a submission's name is a person's: 0 not at all, an id above every name, a long name above a short."""
    folded = unicodedata.normalize("NFKC", submission).casefold()
    if who.id and re.search(rf"(?<![^\W_]){re.escape(who.id.casefold())}(?![^\W_])", folded):
        return 1000
    if len(who.id) >= 4 and who.id.isdigit() and re.search(rf"(?<!\d){who.id}(?!\d)", folded):
        return 900
    name, words = parts_of(who.name), parts_of(submission)
    if not name:
        return 0
    joined = "".join(name)
    if any("\u3400" <= c <= "\u9fff" for c in joined):
        return len(joined) if joined in "".join(words) else 0
    letters = [w for w in words if not w.isdigit()]
    whole = set(name) <= set(letters) or {joined, "".join(reversed(name))} & {*letters, "".join(letters)}
    return len(joined) if whole else 0


def match(submissions: Sequence[Submission], people: Sequence[Person]) -> list[tuple[Person | None, Submission | None]]:
    """Everybody of the roster, in its order, with what they handed in or None; then submissions of nobody."""
    of: dict[int, Submission] = {}
    nobody = []
    for submission in submissions:
        scores = [likeness(submission.student, who) for who in people]
        best = max(scores)
        if best == 0 or scores.count(best) > 1:
            nobody.append((None, submission))
            continue
        place = scores.index(best)
        if place in of:
            merge(of[place], submission)
        else:
            of[place] = submission
    return [*((who, of.get(i)) for i, who in enumerate(people)), *nobody]


def merge(into: Submission, more: Submission) -> None:
    into.handed.add(more.handed)
    into.hints |= more.hints
    into.late |= more.late
