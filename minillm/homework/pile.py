"""A pile of submissions as schools send it, taken apart: whose is what.

A student is a folder, a zip, or one or more files whose names begin alike (`2023001_张三_03.py`). Folders as
Moodle names them, files as Canvas names them, and zips of a whole class are known.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from minillm.homework.exercise import Lesson, Number
from minillm.homework.handed_in import SUFFIXES, Collection, collect, is_skipped, readable_name
from minillm.homework.lesson_names import ARCHIVES, SEPARATORS, WORDS, bare_number, spoken_number, stem_of
from minillm.homework.sources import defined_functions
from minillm.homework.submissions import Submission, functions_of
from minillm.plumbing.files import InputError

MOODLE = re.compile(r"_\d+_assignsubmission_(?:file|onlinetext)_?$")
CANVAS = re.compile(r"^([^_]+?)(?:_(late))?_(\d{2,})_(\d{3,})_(.+)$", re.I)


@dataclass(frozen=True)
class Entry:
    """One thing at the top of a pile: a folder, a zip or a file."""

    name: str
    handed: Collection
    is_folder: bool = False


def owner(entry: Entry, lessons: Sequence[Lesson], bare: bool) -> tuple[str, Number | None, bool]:
    """(student, lesson or None, late) as the name of an entry says; `bare` numbers may be lessons."""
    if entry.is_folder:
        return MOODLE.sub("", entry.name).strip() or entry.name, None, False
    stem, late = stem_of(entry.name), False
    if canvas := CANVAS.match(stem):
        found = spoken_number(canvas[5], lessons) or bare_number(canvas[5], lessons)
        return f"{canvas[1]}_{canvas[3]}", found and found[0], bool(canvas[2])
    found = spoken_number(stem, lessons) or (bare_number(stem, lessons) if bare else None)
    number, (begin, end) = found or (None, (0, 0))
    student = f"{stem[:begin]}_{stem[end:]}" if found else stem
    student = student.strip(SEPARATORS)
    if re.fullmatch(f"{WORDS}?", student, re.I):  # `homework (1).py`: nobody's name, but one student's file
        student = PurePosixPath(entry.name).stem
    return student, number, late


def bare_numbers_are_lessons(entries: Iterable[Entry], lessons: Sequence[Lesson]) -> bool:
    """Whether no file contradicts it: `student_07.py` that defines functions of lesson 3 is of student 7."""
    for entry in entries:
        if entry.is_folder:
            continue
        stem = stem_of(entry.name)
        found = None if spoken_number(stem, lessons) else bare_number(stem, lessons)
        if found is None:
            continue
        for file in entry.handed.files:
            defined = defined_functions(file.path)
            own = defined & functions_of(found[0], lessons)
            if not own and any(defined & functions_of(lesson.number, lessons) for lesson in lessons):
                return False
    return True


def read_pile(pile: Path, lessons: Sequence[Lesson], work: Path) -> list[Submission]:
    """All students of a folder or zip, by name. Zips are unpacked into the empty folder `work`.

    Raises InputError if there is none, or if the folder is one student's.
    """
    entries = zip_entries(pile, lessons, work) if pile.is_file() else folder_entries(pile, lessons, work)
    check_pile(pile, entries, lessons)
    bare = bare_numbers_are_lessons(entries, lessons)
    students: dict[str, Submission] = {}
    for entry in entries:
        name, number, late = owner(entry, lessons, bare)
        submission = students.setdefault(name, Submission(name))
        submission.handed.add(entry.handed)
        submission.late |= late
        submission.hints |= {file.path: number for file in entry.handed.files if number is not None}
    return sorted(students.values(), key=lambda submission: submission.student)


def folder_entries(pile: Path, lessons: Sequence[Lesson], work: Path) -> list[Entry]:
    if not pile.is_dir():
        raise InputError(f"{pile}: no such folder: name the folder that holds the submissions")
    entries = []
    for path in sorted(pile.iterdir()):
        if is_skipped(path.name):
            continue
        handed = collect(path, work)
        is_folder = path.is_dir() or path.is_symlink()
        if is_folder or handed.files or handed.refused or is_told(path.name, lessons):
            entries.append(Entry(readable_name(path.name), handed, is_folder))
    return unlike(entries)


def is_told(name: str, lessons: Sequence[Lesson]) -> bool:
    """Whether a file that is no homework was surely handed in as such: an archive, or named for a lesson."""
    path = PurePosixPath(name)
    return path.suffix.lower() in (*SUFFIXES, *ARCHIVES) or spoken_number(stem_of(path.name), lessons) is not None


def unlike(entries: Sequence[Entry]) -> list[Entry]:
    """The entries under different names: two names of different bytes can read alike."""
    seen: dict[str, int] = {}
    found = []
    for entry in entries:
        seen[entry.name] = seen.get(entry.name, 0) + 1
        found.append(entry if seen[entry.name] == 1 else replace(entry, name=f"{entry.name} ({seen[entry.name]})"))
    return found


def common_depth(parts: Sequence[tuple[str, ...]], lessons: Sequence[Lesson]) -> int:
    """How many folders hold the whole class; a folder that holds lessons is a student."""
    shared = [len(set(names)) == 1 for names in zip(*(p[:-1] for p in parts), strict=False)]
    depth = [*shared, False].index(False)
    names = {p[depth].casefold() for p in parts}
    return depth if len(names) > 1 and not names & {lesson.folder for lesson in lessons} else max(0, depth - 1)


def zip_entries(pile: Path, lessons: Sequence[Lesson], work: Path) -> list[Entry]:
    """The entries of a zip of a whole class, below the folders that hold all of it."""
    handed = collect(pile, work)
    prefix = readable_name(pile.name) + "/"
    parts = [PurePosixPath(f.name.removeprefix(prefix)).parts for f in handed.files]
    depth = common_depth(parts, lessons)
    groups: dict[str, Collection] = {}
    folders = {names[depth] for names in parts if len(names) > depth + 1}

    def group(name: str) -> tuple[Collection, str]:
        """Where something belongs, and its name there."""
        names = PurePosixPath(name.removeprefix(prefix)).parts
        top = names[min(depth, len(names) - 1)]
        folders.update({top} if len(names) > depth + 1 else ())
        return groups.setdefault(top, Collection()), "/".join(names[depth + 1 :]) or name

    for file in handed.files:
        of, inside = group(file.name)
        of.files.append(replace(file, name=inside))
    for name, why in handed.refused:
        of, inside = group(name)
        of.refused.append((inside, why))
    for name in handed.others:
        if len(PurePosixPath(name.removeprefix(prefix)).parts) > depth + 1 or is_told(name, lessons):
            of, inside = group(name)
            of.others.append(inside)
    return [Entry(n, c, n in folders and not n.lower().endswith(".zip")) for n, c in sorted(groups.items())]


def check_pile(pile: Path, entries: Sequence[Entry], lessons: Sequence[Lesson]) -> None:
    folders = {lesson.folder for lesson in lessons} | {"lessons"}
    own = [e.name for e in entries if e.name.casefold() in folders or e.name.casefold() == "homework.py"]
    if own and len(own) == len(entries):
        raise InputError(f"{pile}: holds {own[0]}, so it is one student's folder: "
                         "name the folder above it, or use --folder")  # fmt: skip
    if not entries:
        raise InputError(f"{pile}: holds no folders, zips or .py files: put the students' submissions into it")
