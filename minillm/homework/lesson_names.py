"""Which lesson the name of a file or folder speaks of: `homework3.py`, `学号_姓名_03.py`, `作业三`, `03_attention`."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from minillm.homework.exercise import Lesson
from minillm.homework.handed_in import SUFFIXES

WORDS = r"(?:homework|hw|lesson|exercise|assignment|task|lab|作业|练习|习题|课程|课)"
NUMBERED = re.compile(
    rf"(?<![a-z]){WORDS}[\s_\-#.]*0*(\d{{1,2}})(?!\d)|第\s*0*(\d{{1,2}})\s*[课次讲章](?:作业|练习)?", re.I
)
CHINESE = re.compile(r"(?:第|作业|练习|习题)\s*([一二三四五六七八九十]{1,3})(?:[课次讲章](?:作业|练习)?)?")
NUMERALS = {"一": 1, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
BARE = re.compile(r"^0*(\d{1,2})(?=[\s_\-.])|(?:^|[\s_\-.])0*(\d{1,2})$")
COPY = re.compile(r"(?:[\s_\-]*(?:\(\d+\)|（\d+）|copy|副本|复件)(?:\s*\d+)?)+$", re.I)
ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
DOCUMENTS = (".txt", ".md", ".pdf", ".doc", ".docx", ".png", ".jpg")
SEPARATORS = " _-.,　"


def known_number(number: int, lessons: Iterable[Lesson]) -> int | None:
    return number if any(lesson.number == number for lesson in lessons) else None


def spoken_number(part: str, lessons: Sequence[Lesson]) -> tuple[int, tuple[int, int]] | None:
    """(lesson, where the name says so) for `homework3`, `作业三`, `第3课`, `03_attention`, `attention`."""
    for lesson in lessons:
        slug = lesson.folder.partition("_")[2]
        pattern = rf"(?:^|[\s_\-])(?:{re.escape(lesson.folder)}|{re.escape(slug)})(?:$|[\s_\-])"
        if found := re.search(pattern, part, re.I):
            return lesson.number, found.span()
    if (found := NUMBERED.search(part)) and known_number(int(found[1] or found[2]), lessons) is not None:
        return int(found[1] or found[2]), found.span()
    if found := CHINESE.search(part):
        number = chinese_number(found[1])
        if known_number(number, lessons) is not None:
            return number, found.span()
    return None


def chinese_number(digits: str) -> int:
    """一 to 九十九."""
    tens, ten, ones = digits.rpartition("十")
    return (10 * NUMERALS.get(tens, 1) if ten else 0) + NUMERALS.get(ones, 0)


def bare_number(part: str, lessons: Sequence[Lesson]) -> tuple[int, tuple[int, int]] | None:
    """A number of two digits at the beginning or end of a name: `03`, `2023001_张三_03`."""
    found = BARE.search(part)
    if found is None or known_number(int(found[1] or found[2]), lessons) is None:
        return None
    return int(found[1] or found[2]), found.span()


def stem_of(part: str) -> str:
    """A name without its suffix and without the marks of a copy: `homework (1).py` -> `homework`."""
    path = PurePosixPath(part)
    stem = path.stem if path.suffix.lower() in (*SUFFIXES, *ARCHIVES, *DOCUMENTS) else part
    return COPY.sub("", unicodedata.normalize("NFKC", stem)).strip(SEPARATORS)


def lesson_of(name: str, lessons: Sequence[Lesson]) -> int | None:
    """The lesson that a path speaks of, its last part first."""
    for part in reversed(PurePosixPath(name).parts):
        stem = stem_of(part)
        if found := spoken_number(stem, lessons) or bare_number(stem, lessons):
            return found[0]
    return None
