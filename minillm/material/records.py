"""Records of users: dialogues for stage 2 and preferences for stage 3, in any known shape and container.

A record that cannot be used is left out, counted and named: `file:line: what: how to fix it`. What the
shapes are is said in `shapes`, what they come in in `containers`.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from minillm.chat import Message, Preference
from minillm.material.containers import RECORD_SUFFIXES, read_records
from minillm.material.fields import NotMeant, Say, Unusable
from minillm.material.findings import END_MARKS, Findings, reading_bar
from minillm.material.shapes import to_dialogue, to_preference, to_question
from minillm.material.sources import Source, find_files
from minillm.plumbing.files import write_text
from minillm.plumbing.terminal import note

LARGEST = 4_000_000  # characters of an example: far more than any context holds, and quick to encode

T = TypeVar("T", list[Message], Preference)


def read_dialogues(
    paths: Sequence[str | Path],
    strict: bool = False,
    encoding: str | None = None,
    announce: Callable[[str], object] = note,
) -> list[list[Message]]:
    """Dialogues of all files, in order. What is left out or not used is told by `announce`, a line each.

    Raises InputError if nothing can be used, if a file as a whole cannot be read, or, with `strict`, if
    any record cannot: then it lists all of them.
    """
    return read_all(paths, to_dialogue, strict, encoding, announce)


def read_questions(
    paths: Sequence[str | Path],
    strict: bool = False,
    encoding: str | None = None,
    announce: Callable[[str], object] = note,
) -> list[list[Message]]:
    """Conversations up to the last question, for a model to answer; arguments and errors as `read_dialogues`."""
    return read_all(paths, to_question, strict, encoding, announce)


def read_preferences(
    paths: Sequence[str | Path],
    strict: bool = False,
    encoding: str | None = None,
    announce: Callable[[str], object] = note,
) -> list[Preference]:
    """Preference pairs of all files; arguments and errors as `read_dialogues`."""
    return read_all(paths, to_preference, strict, encoding, announce)


def read_all(
    paths: Sequence[str | Path],
    convert: Callable[[Any, Say], T],
    strict: bool,
    encoding: str | None,
    announce: Callable[[str], object],
) -> list[T]:
    """What `convert` makes of all records in files that can be used."""
    findings, found = Findings(strict, announce), []
    sources = [Source(path) for path in find_files(paths, RECORD_SUFFIXES, findings.say)]
    with reading_bar(sources) as bar:
        for source in sources:
            for line, record in read_records(source, findings, encoding, bar.update):
                words: list[str] = []
                try:
                    example = convert(record, words.append)
                    check_length(example)
                except NotMeant as why:
                    findings.skip(source.name, line, str(why))
                except Unusable as why:
                    findings.leave_out(f"{source.name}:{line}: {why}")
                except RecursionError:
                    findings.leave_out(f"{source.name}:{line}: nested too deeply: fix the record")
                else:
                    found.append(example)
                    findings.used += 1
                    words += marks_in(example)
                    for word in dict.fromkeys(words):
                        findings.count(f"{source.name}: {word}")
    findings.close(paths)
    return found


def texts_of(example: list[Message] | Preference) -> list[str]:
    """All texts of an example."""
    if isinstance(example, Preference):
        return [*(m.content for m in example.prompt), example.chosen, example.rejected]
    return [m.content for m in example]


def check_length(example: list[Message] | Preference) -> None:
    """Raise Unusable for an example that no context could hold."""
    characters = sum(map(len, texts_of(example)))
    if characters > LARGEST:
        raise Unusable(f"the record has {characters:,} characters, at most {LARGEST:,} are read: split it")


def marks_in(example: list[Message] | Preference) -> list[str]:
    """A word on each end mark, of other programs or of this one, in the texts of an example, and on roles typed there."""
    texts = texts_of(example)
    words = [f"{mark!r} is learned as letters: remove it, answers end by themselves"
             for mark in END_MARKS if any(mark in text for text in texts)]  # fmt: skip
    if any(text.strip().startswith("USER:") and "AI:" in text for text in texts):
        words.append("'USER: … AI:' is learned as letters: write the question alone, roles are added")
    return words


# ------------------------------------------------------------------------------ writing what we can read


def write_records(path: Path, records: Sequence[dict]) -> None:
    """Write JSON lines."""
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def dialogue_record(messages: Sequence[Message]) -> dict:
    """A dialogue in OpenAI's form."""
    return {"messages": [message_record(m) for m in messages]}


def message_record(message: Message) -> dict:
    """A message in OpenAI's form; a weight of 0 says that it is not learned."""
    return {"role": message.role, "content": message.content} | ({} if message.learn else {"weight": 0})


def preference_record(pair: Preference) -> dict:
    """A preference pair; a conversation of several turns as a list of messages."""
    prompt = pair.prompt[0].content if len(pair.prompt) == 1 else [message_record(m) for m in pair.prompt]
    return {"prompt": prompt, "chosen": pair.chosen, "rejected": pair.rejected}
