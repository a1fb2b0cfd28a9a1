"""The commands of the classroom: `init`, `homework`, `notebooks`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from minillm.plumbing import course, languages
from minillm.plumbing.checks import a_seed
from minillm.plumbing.files import InputError, write_json

if TYPE_CHECKING:
    from minillm.homework.gradebook import Grades
    from minillm.homework.sandbox import Sandbox


@dataclass(frozen=True, kw_only=True)
class Init:
    """Lay out lessons, notebooks and homework in a folder to work in."""

    folder: Annotated[Path, tyro.conf.Positional]
    """The folder; files that are there already are never touched."""
    lang: Literal["en", "zh"] | None = None
    """Language of what is printed; that of the system if left out."""

    def run(self) -> None:
        from minillm.homework import kit

        written, kept = kit.lay_out(self.folder)
        language = self.lang or languages.default_language()
        print(kit.LAID_OUT[language].format(folder=self.folder, written=written, kept=kept))


@dataclass(frozen=True, kw_only=True)
class Homework:
    """Grade homework: all of it, one lesson (homework 3) or one exercise (homework 3 attention)."""

    lesson: Annotated[str | None, tyro.conf.Positional] = None
    """Number of the lesson; all lessons if left out."""
    exercise: Annotated[str | None, tyro.conf.Positional] = None
    """Name of one exercise of the lesson."""
    folder: Path = course.desk() / "lessons"
    """Folder with the student's files, NN_name/homework.py or as they call them."""
    lang: Literal["en", "zh"] | None = None
    """Language of the messages; that of the system if left out."""
    seed: int | None = None
    """Make the inputs from this seed; from seed 0 and one never seen before if left out."""
    watch: bool = False
    """Grade again whenever a file is saved, until Ctrl-C."""
    json: Path | None = None
    """Also write the results to this JSON file."""
    gradescope_results: Path | None = None
    """Also write Gradescope's results.json."""
    gradescope: Path | None = None
    """Write autograder.zip for Gradescope into this folder, for the lesson and exercise named, and grade nothing."""
    grade_folder: Path | None = None
    """Grade many students: a folder or a zip of folders, zips, notebooks and files, as they were handed in."""
    csv: Path = Path("grades.csv")
    """Table to write with --grade-folder; a name that ends with .xlsx gives an Excel workbook."""
    form: Literal["table", "canvas", "nbgrader"] = "table"
    """Columns of the table: ours, or those that Canvas or nbgrader read."""
    roster: Path | None = None
    """CSV of the class (id, name, if you like lang): orders the table and says who is missing."""
    feedback: Path | None = None
    """Also write a feedback file for each student into this folder."""
    due: str | None = None
    """When the homework was due (2026-10-31 or 2026-10-31T18:00): later files are marked."""
    release: Path | None = None
    """Copy the kit to hand out to students into this new folder, and grade nothing."""
    no_solutions: bool = False
    """With --release: leave out framework and graders, so that only you can grade."""

    def run(self) -> int:
        a_seed(self, "seed")
        if not (self.folder.is_dir() or self.release or self.gradescope or self.grade_folder):
            raise InputError(
                f"{self.folder}: no such folder: name the folder with your homework files"
                " (`python -m minillm init DIR` lays out new ones)"
            )
        if self.release or self.gradescope:
            self.hand_out()
            return 0
        from minillm.homework.sandbox import Sandbox

        with Sandbox() as sandbox:  # its process loads PyTorch at the same time as this one
            from minillm.homework import gradebook
            from minillm.homework.submissions import read_folder

            language = self.lang or languages.default_language()
            chosen = gradebook.choose(self.lesson, self.exercise)
            seeds = gradebook.default_seeds() if self.seed is None else [self.seed]
            if (self.grade_folder or self.gradescope_results) and sandbox.warning(language):
                print(f"warning: {sandbox.warning(language)}", file=sys.stderr)
            if self.grade_folder is not None:
                return self.grade_many(sandbox, chosen, seeds, language)
            if self.watch:
                return self.keep_grading(sandbox, chosen, seeds, language)
            with TemporaryDirectory() as work:
                submission = read_folder(self.folder, work=Path(work))
                grades = gradebook.grade_submission(sandbox, submission, chosen, seeds)
        self.report(grades, seeds, language)  # now that no process of the student's is left
        if self.folder.resolve() == (course.desk() / "lessons").resolve():
            from minillm.homework.progress import record

            record(course.desk(), grades.results)
        return 0

    def hand_out(self) -> None:
        """Write the kit for students or the autograder."""
        from minillm.homework import gradebook, kit

        if self.release is not None:
            print(f"{self.release}: {kit.release(self.release, not self.no_solutions)} files to hand out")
        elif self.gradescope is not None:
            gradebook.choose(self.lesson, self.exercise)
            language = self.lang or languages.default_language()
            print(f"written to {kit.write_gradescope(self.gradescope, language, self.lesson, self.exercise)}")

    def keep_grading(self, sandbox: "Sandbox", chosen: list, seeds: list[int], language: str) -> int:
        """Grade what is saved, until Ctrl-C."""
        from minillm.homework import messages, watch

        print(watch.WATCHING[language].format(folder=self.folder))
        for results in watch.rounds(sandbox, self.folder, chosen, seeds):
            print("\n" + messages.overview(results, language, details=True))
            print(watch.coming(results, chosen, language), flush=True)
        return 0

    def report(self, grades: "Grades", seeds: list[int], language: str) -> None:
        """Show and write what one student reached."""
        from minillm.homework import messages, reports

        print(messages.overview(grades.results, language, details=True))
        for line in reports.notes(grades, language):
            print(line)
        if any(r.status == "wrong" for r in grades.results):
            again = f"--seed {seeds[-1]}"
            print({"en": f"To try the newest inputs again: {again}", "zh": f"要再试最新的输入：{again}"}[language])
        if self.json is not None:
            write_json(self.json, reports.records(grades, language))
        if self.gradescope_results is not None:
            write_json(self.gradescope_results, reports.gradescope_results(grades, language))

    def grade_many(self, sandbox: "Sandbox", chosen: list, seeds: list[int], language: str) -> int:
        """Grade every student of a pile into one table. Returns 1 if a file of somebody is missing."""
        from minillm.homework import classroom

        assert self.grade_folder is not None
        desk = classroom.Desk(self.csv, language, self.form, self.json, self.feedback, self.roster, self.due)
        done = classroom.grade_pile(sandbox, self.grade_folder, chosen, seeds, desk)
        print(f"written to {self.csv}")
        return int(any(grades.is_missing for grades in done))


@dataclass(frozen=True, kw_only=True)
class Notebooks:
    """Write the notebooks of both languages from the lessons."""

    lessons: Path = course.desk() / "lessons"
    """Folder with NN_name/lesson.py."""
    out: Path = course.desk() / "notebooks"
    """Folder to write en/ and zh/ into."""

    def run(self) -> None:
        from minillm.classroom.notebooks import write_notebooks

        written = write_notebooks(self.lessons, self.out)
        print(f"{self.out}: {len(written)} notebooks")
