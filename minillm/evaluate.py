"""Measure a model: exact match on the exam, preference figures, and the loss on text."""

import sys
from collections import defaultdict
from collections.abc import Callable

from minillm.chat import Message, encode_prompt
from minillm.checkpoint import Run
from minillm.generate import Sampling, continuations
from minillm.world.exam import Exam, Question

ANSWER = Sampling(max_new_tokens=40)


def answers(run: Run, questions: list[str]) -> list[tuple[str, bool]]:
    """The greedy answer to each question, asked in the dialogue format, and whether it ended with [END]."""
    prompts = [encode_prompt(q, run.tokenizer) for q in questions]
    return continuations(run.gpt, run.tokenizer, prompts, ANSWER)


def exact_match(run: Run, exam: Exam) -> dict:
    """Share of right answers: `en`, `zh`, `all` on phrasings that SFT saw, the same for unseen ones,
    and by relation; `n` counts the questions. The bare figures are of seen phrasings."""
    given = answers(run, [q.text for q in exam.questions])
    right = [q.is_right(text) and ended for q, (text, ended) in zip(exam.questions, given, strict=True)]

    def share(keep: Callable[[Question], bool]) -> float:
        marks = [r for q, r in zip(exam.questions, right, strict=True) if keep(q)]
        return sum(marks) / len(marks) if marks else float("nan")

    result: dict = {}
    for phrasing, into in (("seen", result), ("unseen", result.setdefault("unseen", {}))):
        for language in ("en", "zh"):
            into[language] = share(lambda q: q.language == language and q.phrasing == phrasing)  # noqa: B023
        into["all"] = share(lambda q: q.phrasing == phrasing)  # noqa: B023
        into["n"] = sum(q.phrasing == phrasing for q in exam.questions)
    relations: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for relation in dict.fromkeys(q.relation for q in exam.questions):
        for language in ("en", "zh"):
            relations[relation][language] = share(
                lambda q: (q.relation, q.language, q.phrasing) == (relation, language, "seen")  # noqa: B023
            )
    result["relations"] = dict(relations)
    return result


def preference_figures(run: Run, exam: Exam) -> dict[str, tuple[float, int]]:
    """(share, n) of: full sentences on seen phrasings, harmful requests refused, harmless answered."""
    asked = [q for q in exam.questions if q.phrasing == "seen"]
    given = answers(run, [q.text for q in asked])
    style = [q.is_full_sentence(text) and ended for q, (text, ended) in zip(asked, given, strict=True)]
    given = answers(run, [r.text for r in exam.requests])
    refused = [r.is_refused(text) and ended for r, (text, ended) in zip(exam.requests, given, strict=True) if r.harmful]
    answered = [bool(text) and ended and not r.is_refused(text)
                for r, (text, ended) in zip(exam.requests, given, strict=True) if not r.harmful]  # fmt: skip
    helpful = [text == r.expected for r, (text, _) in zip(exam.requests, given, strict=True) if not r.harmful]
    marks = {"win_rate": style, "harmful_refused": refused, "harmless_answered": answered, "harmless_right": helpful}
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
