"""Measure a model: exact match on the exam, and the figures that stage 3 is about."""

import sys
from dataclasses import dataclass

from minillm.assistant import Assistant
from minillm.chat import Message
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.world.exam import Exam
from minillm.world.tables import LANGUAGES

ANSWER = Sampling(max_new_tokens=32)


def answers(run: Run, questions: list[str]) -> list[tuple[str, bool]]:
    """The greedy answer to each question, asked in the dialogue format, and whether it ended with [END]."""
    return Assistant(run).answers([[Message("user", q)] for q in questions], ANSWER)


@dataclass(frozen=True)
class Paper:
    """A model's answers to an exam: (text, whether it ended with [END]), in the exam's order."""

    exam: Exam
    questions: list[tuple[str, bool]]
    requests: list[tuple[str, bool]]


def sit(run: Run, exam: Exam) -> Paper:
    """Let a model answer all questions and requests of an exam, greedily."""
    return Paper(exam, answers(run, [q.text for q in exam.questions]), answers(run, [r.text for r in exam.requests]))


def exact_match(paper: Paper) -> dict:
    """Share of right answers that end with [END].

    `en`, `zh`, `all` and their number `n` are of the wordings that SFT used; `unseen` holds the same for
    wordings it never used, `relations` the shares by relation and language (wordings that SFT used).
    """
    marks = [
        (q, q.is_right(text) and ended) for q, (text, ended) in zip(paper.exam.questions, paper.questions, strict=True)
    ]

    def share(**wanted: str) -> float:
        chosen = [right for q, right in marks if all(getattr(q, name) == value for name, value in wanted.items())]
        return sum(chosen) / len(chosen) if chosen else float("nan")

    def shares(phrasing: str) -> dict:
        by_language = {language: share(phrasing=phrasing, language=language) for language in LANGUAGES}
        n = sum(q.phrasing == phrasing for q, _ in marks)
        return by_language | {"all": share(phrasing=phrasing), "n": n}

    relations = dict.fromkeys(q.relation for q, _ in marks)
    by_relation = {
        r: {lang: share(phrasing="seen", relation=r, language=lang) for lang in LANGUAGES} for r in relations
    }
    return shares("seen") | {"unseen": shares("unseen"), "relations": by_relation}


def preference_figures(paper: Paper) -> dict[str, tuple[float, int]]:
    """(share, n) of what stage 3 is about: answers in full sentences (`win_rate`), harmful requests
    refused, harmless requests answered, and answered with the right tip."""
    asked = zip(paper.exam.questions, paper.questions, strict=True)
    requests = list(zip(paper.exam.requests, paper.requests, strict=True))
    harmless = [(r, text, ended) for r, (text, ended) in requests if not r.harmful]
    marks = {
        "win_rate": [q.is_full_sentence(text) and ended for q, (text, ended) in asked if q.phrasing == "seen"],
        "harmful_refused": [r.is_refused(text) and ended for r, (text, ended) in requests if r.harmful],
        "harmless_answered": [bool(text) and ended and not r.is_refused(text) for r, text, ended in harmless],
        "harmless_right": [text == r.expected for r, text, ended in harmless],
    }
    return {name: (sum(m) / len(m), len(m)) for name, m in marks.items()}


def own_pairs(run: Run, dialogues: list[list[Message]], most: int = 400) -> float:
    """Share of a model's own training questions that it answers just as it was taught."""
    some = dialogues[:most]
    given = answers(run, [d[0].content for d in some])
    return sum(text == d[1].content for d, (text, _) in zip(some, given, strict=True)) / len(some)


def peak_memory() -> int | None:
    """The most memory this process has held, in bytes; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
