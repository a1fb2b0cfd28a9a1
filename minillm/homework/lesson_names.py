"""Which lesson the name of a file or folder speaks of: `homework3.py`, `学号_姓名_03.py`, `作业三`, `03_attention`."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from minillm.homework.exercise import Lesson, Number
from minillm.homework.handed_in import SUFFIXES

DIGITS = r"\d{1,2}(?:b(?![a-z]))?"  # 2b is the lesson between 2 and 3
WORDS = r"(?:homework|hw|lesson|exercise|assignment|task|lab|作业|练习|习题|课程|课)"
NUMBERED = re.compile(
    rf"(?<![a-z]){WORDS}[\s_\-#.]*0*({DIGITS})(?!\d)|第\s*0*({DIGITS})\s*[课次讲章](?:作业|练习)?", re.I
)
CHINESE = re.compile(r"(?:第|作业|练习|习题)\s*([一二三四五六七八九十]{1,3})(?:[课次讲章](?:作业|练习)?)?")
NUMERALS = {"一": 1, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
BARE = re.compile(rf"^0*({DIGITS})(?=[\s_\-.])|(?:^|[\s_\-.])0*({DIGITS})$", re.I)
COPY = re.compile(r"(?:[\s_\-]*(?:\(\d+\)|（\d+）|copy|副本|复件)(?:\s*\d+)?)+$", re.I)
ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
DOCUMENTS = (".txt", ".md", ".pdf", ".doc", ".docx", ".png", ".jpg")
SEPARATORS = " _-.,　"


def known_number(digits: str | None, lessons: Iterable[Lesson]) -> Number | None:
    """The number of the lesson that digits name: "3", "2b"; without its letter where no lesson has that."""
    numbers = {str(lesson.number): lesson.number for lesson in lessons}
    written = (digits or "").lower()
    return numbers.get(written, numbers.get(written.rstrip("b")))


def spoken_number(part: str, lessons: Sequence[Lesson]) -> tuple[Number, tuple[int, int]] | None:
    """(lesson, where the name says so) for `homework3`, `作业三`, `第3课`, `03_attention`, `attention`."""
    for lesson in lessons:
        slug = lesson.folder.partition("_")[2]
        pattern = rf"(?:^|[\s_\-])(?:{re.escape(lesson.folder)}|{re.escape(slug)})(?:$|[\s_\-])"
        if found := re.search(pattern, part, re.I):
            return lesson.number, found.span()
    if found := NUMBERED.search(part):
        number = known_number(found[1] or found[2], lessons)
        if number is not None:
            return number, found.span()
    if found := CHINESE.search(part):
        number = known_number(str(chinese_number(found[1])), lessons)
        if number is not None:
            return number, found.span()
    return None


def chinese_number(digits: str) -> int:
    """一 to 九十九."""
    tens, ten, ones = digits.rpartition("十")
    return (10 * NUMERALS.get(tens, 1) if ten else 0) + NUMERALS.get(ones, 0)


def bare_number(part: str, lessons: Sequence[Lesson]) -> tuple[Number, tuple[int, int]] | None:
    """A number of two digits at the beginning or end of a name: `03`, `2023001_张三_03`."""
    found = BARE.search(part)
    number = known_number(found[1] or found[2], lessons) if found else None
    return None if found is None or number is None else (number, found.span())


def stem_of(part: str) -> str:
    """A name without its suffix and without the marks of a copy: `homework (1).py` -> `homework`."""
    path = PurePosixPath(part)
    stem = path.stem if path.suffix.lower() in (*SUFFIXES, *ARCHIVES, *DOCUMENTS) else part
    return COPY.sub("", unicodedata.normalize("NFKC", stem)).strip(SEPARATORS)


def lesson_of(name: str, lessons: Sequence[Lesson]) -> Number | None:
    """The lesson that a path speaks of, its last part first."""
    for part in reversed(PurePosixPath(name).parts):
        stem = stem_of(part)
        if found := spoken_number(stem, lessons) or bare_number(stem, lessons):
            return found[0]
    return None
