"""The commands of the classroom: `homework`, `notebooks`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from minillm.plumbing.checks import a_seed
from minillm.plumbing.files import InputError, write_json

if TYPE_CHECKING:
    from minillm.homework.sandbox import Sandbox

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Homework:
    """Grade homework: all of it, one lesson (homework 3) or one exercise (homework 3 attention)."""

    lesson: Annotated[int | None, tyro.conf.Positional] = None
    """Number of the lesson; all lessons if left out."""
    exercise: Annotated[str | None, tyro.conf.Positional] = None
    """Name of one exercise of the lesson."""
    folder: Path = ROOT / "lessons"
    """Folder with the student's files, NN_name/homework.py or NN_name.py."""
    lang: Literal["en", "zh"] | None = None
    """Language of the messages; that of the system if left out."""
    seed: int | None = None
    """Make the inputs from this seed; from seed 0 and one never seen before if left out."""
    json: Path | None = None
    """Also write the results to this JSON file."""
    gradescope_results: Path | None = None
    """Also write Gradescope's results.json."""
    gradescope: Path | None = None
    """Write autograder.zip for Gradescope into this folder, and grade nothing."""
    grade_folder: Path | None = None
    """Grade many students: a folder that holds one folder per student."""
    csv: Path = Path("grades.csv")
    """Table to write with --grade-folder."""
    release: Path | None = None
    """Copy the kit to hand out to students into this new folder, and grade nothing."""

    def run(self) -> None:
        a_seed(self, "seed")
        if not (self.folder.is_dir() or self.release or self.gradescope or self.grade_folder):
            raise InputError(f"{self.folder}: no such folder: name the folder with your homework files")
        # only now: the graders compare with the framework and load PyTorch, which takes seconds
        from minillm.homework import gradebook, messages, reports
        from minillm.homework.sandbox import Sandbox

        language = self.lang or messages.default_language()
        if self.release is not None:
            print(f"{self.release}: {reports.release(self.release)} files to hand out")
            return
        if self.gradescope is not None:
            print(f"written to {reports.write_gradescope(self.gradescope, language)}")
            return
        chosen = gradebook.choose(self.lesson, self.exercise)
        seeds = gradebook.default_seeds() if self.seed is None else [self.seed]
        with Sandbox() as sandbox:
            if self.grade_folder is not None:
                self.grade_many(sandbox, chosen, seeds, language)
                return
            results = list(gradebook.grade_folder(sandbox, self.folder, chosen, seeds))
        print(messages.overview(results, language, details=True))
        if any(r.status == "wrong" for r in results):
            again = f"--seed {seeds[-1]}"
            print({"en": f"To try the newest inputs again: {again}", "zh": f"要再试最新的输入：{again}"}[language])
        if self.json is not None:
            reports.write_results(results, self.json, language)
        if self.gradescope_results is not None:
            write_json(self.gradescope_results, reports.gradescope_results(results, language))

    def grade_many(self, sandbox: "Sandbox", chosen: list, seeds: list[int], language: str) -> None:
        """Grade every student of a folder into one table."""
        from minillm.homework import gradebook, messages, reports

        grades = {}
        for student, folder in reports.find_students(self.grade_folder):
            grades[student] = list(gradebook.grade_folder(sandbox, folder, chosen, seeds))
            print(f"{student}: {messages.overview(grades[student], language, details=False).splitlines()[-1]}")
        reports.write_grades(grades, self.csv)
        if self.json is not None:
            write_json(self.json, {s: [reports.record(r, language) for r in g] for s, g in grades.items()})
        print(f"written to {self.csv}")


@dataclass(frozen=True, kw_only=True)
class Notebooks:
    """Write the notebooks of both languages from the lessons."""

    lessons: Path = ROOT / "lessons"
    """Folder with NN_name/lesson.py."""
    out: Path = ROOT / "notebooks"
    """Folder to write en/ and zh/ into."""

    def run(self) -> None:
        from minillm.classroom.notebooks import write_notebooks

        written = write_notebooks(self.lessons, self.out)
        print(f"{self.out}: {len(written)} notebooks")
