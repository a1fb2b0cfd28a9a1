"""Grade a class: every submission of a pile, into tables and feedback that are complete after each student."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from minillm.homework import messages, reports, roster, tables
from minillm.homework.gradebook import BETWEEN, Chosen, Grades, grade_submission
from minillm.homework.lessons import all_lessons
from minillm.homework.pile import read_pile
from minillm.homework.sandbox import Sandbox
from minillm.homework.submissions import Submission
from minillm.plumbing.files import InputError, write_json


@dataclass(frozen=True)
class Desk:
    """What a teacher wants to have written, and how."""

    csv: Path
    language: str
    form: str = "table"
    json: Path | None = None
    feedback: Path | None = None
    roster: Path | None = None
    due: str | None = None


def parse_due(due: str | None) -> float | None:
    """Seconds since 1970 of a date, and if you like a time, in this machine's time zone. Raises InputError."""
    if due is None:
        return None
    try:
        moment = datetime.fromisoformat(due)
    except ValueError:
        raise InputError(f"due is {due!r}: write it as 2026-10-31 or 2026-10-31T18:00") from None
    if len(due) <= 10:
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment.timestamp()


def lateness(submission: Submission, grades: Grades, due: float | None) -> str:
    """How late the files that were graded are, by their time stamps; `yes` if the name says so."""
    times = [found.file.modified for found in grades.found.values() if found.file]
    if due is not None and times and max(times) > due:
        return f"{(max(times) - due) / 3600:.1f} h"
    return "yes" if submission.late else ""


def everybody(submissions: Sequence[Submission], people: Sequence[roster.Person], language: str) -> Iterator[tuple]:
    """(submission, person of the roster or None, what the roster has to say of it)."""
    if not people:
        yield from ((submission, None, "") for submission in submissions)
        return
    for person, submission in roster.match(submissions, people):
        if submission is None:
            assert person is not None
            yield Submission(person.name), person, roster.NO_SUBMISSION[language]
        else:
            yield submission, person, "" if person else roster.NOT_LISTED[language]


def grade_pile(sandbox: Sandbox, pile: Path, chosen: Chosen, seeds: Sequence[int], desk: Desk) -> list[Grades]:
    """Grade every submission of a folder or zip. Tables and feedback are written anew after each of them."""
    people = roster.read_roster(desk.roster) if desk.roster else []
    due, done = parse_due(desk.due), []
    with tempfile.TemporaryDirectory() as work:
        submissions = read_pile(pile, all_lessons(), Path(work))
        for submission, person, note in everybody(submissions, people, desk.language):
            grades = grade_submission(sandbox, submission, chosen, seeds, safely=True)
            late = lateness(submission, grades, due)
            done.append(replace(grades, person=person, note=note, late=late))
            print(line_of(done[-1], desk.language), flush=True)
            write_all(done, desk)
    return done


def line_of(grades: Grades, language: str) -> str:
    """A student in one line of the terminal."""
    total = messages.overview(grades.results, language, details=False).splitlines()[-1]
    said = BETWEEN[language].join(reports.notes(grades, language)[:3])
    brackets = {"en": " ({})", "zh": "（{}）"}[language]
    return f"{tables.name_of(grades)}{messages.WORDS[language]['colon']}{total}" + (
        brackets.format(said) if said else ""
    )


def write_all(done: Sequence[Grades], desk: Desk) -> None:
    """The tables of all students so far, and the newest one's feedback."""
    tables.write_grades(done, desk.csv, desk.language, desk.form)
    if desk.json is not None:
        write_json(desk.json, {key: reports.records(g, desk.language) for key, g in keyed(done).items()})
    if desk.feedback is not None:
        language = done[-1].person.language if done[-1].person and done[-1].person.language else desk.language
        reports.write_feedback(done[-1], desk.feedback, reports.file_names(done)[-1], language)


def keyed(done: Sequence[Grades]) -> dict[str, Grades]:
    """Each student under a name of their own: where two have the same, the id or a number follows it."""
    found: dict[str, Grades] = {}
    for g in done:
        name = tables.name_of(g)
        names = [
            name,
            f"{name} ({g.person.id if g.person else g.student})",
            *(f"{name} ({i})" for i in range(2, 10000)),
        ]
        found[next(n for n in names if n not in found)] = g
    return found
