"""The prose of a lesson as the notebook of one language shows it."""

import re

CHINESE = r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"  # characters and punctuation
BREAK = re.compile(f"(?<={CHINESE})\n *(?={CHINESE})")
QUESTIONS = ("**Before you run it", "**运行之前先猜")
GO_ON = "<!-- go on -->"
SUMMARY = {"en": "Made a guess? Open to compare.", "zh": "猜好了吗？点开对照。"}
HOMEWORK = re.compile(r"^## (?:Homework|作业)$", re.M)


def joined_lines(text: str) -> str:
    """Chinese text without the line ends between two characters, which would show as spaces."""
    parts = re.split(r"(```.*?```)", text, flags=re.S)  # every second one is code
    return "".join(part if i % 2 else BREAK.sub("", part) for i, part in enumerate(parts))


def asks(text: str) -> bool:
    """Whether the cell ends with something to guess."""
    return any(question in text for question in QUESTIONS)


def folded(text: str, language: str) -> str:
    """The cell after a question: its answer, up to the next heading, question or GO_ON, is shown when it is opened."""
    paragraphs = text.split("\n\n")
    ends = (i for i, p in enumerate(paragraphs) if p == GO_ON or p.startswith("#") or asks(p))
    end = next(ends, len(paragraphs))
    answer, rest = paragraphs[:end], [p for p in paragraphs[end:] if p != GO_ON]
    if answer:
        answer = [f"<details><summary>{SUMMARY[language]}</summary>", *answer, "</details>"]
    return "\n\n".join([*answer, *rest])


def around_homework(text: str) -> tuple[str, str] | None:
    """(the cell up to the end of the part on homework, what follows it); None where there is no such part."""
    found = HOMEWORK.search(text)
    if found is None:
        return None
    following = re.compile(r"^## ", re.M).search(text, found.end())
    return (text, "") if following is None else (text[: following.start()].rstrip(), text[following.start() :])
