"""What a student handed in, and which file of it is the homework of a lesson.

It is the file where it was handed out (`03_attention/homework.py`), else the one that is named for the lesson,
else the one that defines the lesson's functions. What was used is always said.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minillm.homework.exercise import Lesson, Number
from minillm.homework.handed_in import Collection, Handed, collect, readable_name
from minillm.homework.lesson_names import lesson_of
from minillm.homework.sources import SourceError, defined_functions, encoding_warning, read_student_file
from minillm.plumbing import course
from minillm.plumbing.languages import Text


@dataclass(frozen=True)
class Found:
    """What a submission holds for a lesson."""

    file: Handed | None
    status: str
    """graded, missing, or refused: there is a file, but it is not read."""
    warning: Text | None = None


@dataclass
class Submission:
    """What one student handed in."""

    student: str
    handed: Collection = field(default_factory=Collection)
    late: bool = False
    """Whether its name says so."""
    hints: dict[Path, Number] = field(default_factory=dict)
    """Lessons that are named not by the file, but by what it came in."""

    def find(self, lesson: Lesson, lessons: Sequence[Lesson]) -> Found:
        """The file to grade for a lesson."""
        ranked = [(rank, file) for file in self.handed.files if (rank := self.rank(file, lesson, lessons))]
        if ranked:
            (_, place, *_), file = min(ranked, key=lambda pair: pair[0])
            others = [f.name for (untouched, *_), f in ranked
                      if f is not file and not untouched and f.path.suffix == file.path.suffix]  # fmt: skip
            try:
                read_student_file(file.path)
            except SourceError as error:
                return Found(None, "refused", {k: f"{file.name}: {why}" for k, why in error.why.items()})
            return Found(file, "graded", warn_about(file, place, others))
        names = [*(f.name for f in self.handed.files), *self.handed.others]
        if self.handed.refused:
            name, why = self.handed.refused[0]
            return Found(None, "refused", {k: f"{name}: {w}" for k, w in why.items()})
        return Found(None, "missing", nothing_for(lesson, names))

    def rank(self, file: Handed, lesson: Lesson, lessons: Sequence[Lesson]) -> tuple | None:
        """How likely a file is the lesson's homework, the smaller the likelier; None if it is not."""
        place, defined = exact_place(file.name, lesson), defined_functions(file.path)
        own = len(defined & {e.name for e in lesson.exercises})
        named = lesson_of(file.name, lessons)
        named = self.hints.get(file.path) if named is None else named
        if place is None:
            if named == lesson.number:
                place = 4 if own else 6
            elif named is None and own:
                place = 5
            elif own and not defined & functions_of(named, lessons):
                place = 7
            else:
                return None
        return (is_untouched(file, lesson), place, -own, file.path.suffix != ".py", -file.modified, file.name)


def exact_place(name: str, lesson: Lesson) -> int | None:
    """0 to 3 for a file where it was handed out, or in the same place below other folders; None elsewhere."""
    places = (f"{lesson.folder}/homework.py", f"lessons/{lesson.folder}/homework.py", f"{lesson.folder}.py")
    if name in places:
        return places.index(name)
    return 3 if f"/{name}".casefold().endswith(tuple(f"/{place}" for place in places)) else None


def functions_of(number: Number | None, lessons: Iterable[Lesson]) -> set[str]:
    return {e.name for lesson in lessons if lesson.number == number for e in lesson.exercises}


def is_untouched(file: Handed, lesson: Lesson) -> bool:
    """Whether it is the file as it was handed out."""
    original = course.shipped() / "lessons" / lesson.folder / "homework.py"
    try:
        return original.read_bytes().split() == read_student_file(file.path).split() and file.path != original
    except (OSError, SourceError):
        return False


def warn_about(file: Handed, place: int, others: Sequence[str]) -> Text | None:
    """What a teacher should know of the choice of a file."""
    said: list[Text] = []
    if encoding := encoding_warning(file.path):
        said.append(encoding)
    if place == 7:
        said.append({"en": "named for another lesson", "zh": "文件名是另一课的"})
    if place == 6:
        said.append({"en": "defines none of the lesson's functions", "zh": "没有定义这一课的任何函数"})
    if others:
        names = ", ".join(others[:3])
        said.append({"en": f"not used: {names}", "zh": f"没有采用：{names}"})
    return {"en": "; ".join(s["en"] for s in said), "zh": "；".join(s["zh"] for s in said)} if said else None


def nothing_for(lesson: Lesson, names: Sequence[str]) -> Text:
    listed = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    place = f"{lesson.folder}/homework.py"
    return {"en": f"no file for lesson {lesson.number}; found {listed or 'nothing'}: expected {place}",
            "zh": f"没有第 {lesson.number} 课的文件；找到的是 {listed or '（空）'}：应有 {place}"}  # fmt: skip


def read_folder(folder: Path, student: str = "", work: Path | None = None) -> Submission:
    """One student's folder. Zips in it are read if there is a folder `work` to unpack them into."""
    return Submission(student or readable_name(folder.name), collect(folder, work))
