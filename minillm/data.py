"""Files of users: raw text, dialogues and preferences, recognised by their fields.

    text          .txt and .md files, folders of them, or - for standard input
    dialogues     Alpaca  {"instruction", "input", "output"}
                  pairs   {"prompt", "completion"}
                  OpenAI  {"messages": [{"role", "content"}, …]}
                  ShareGPT {"conversations": [{"from", "value"}, …]}
    preferences   {"prompt", "chosen", "rejected"}, or Alpaca's fields with "chosen", "rejected"

Records stand in a JSON list or in JSON lines. A bad record raises InputError `file:line: what: mend`.
"""

import glob
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from minillm.chat import Message, Preference, check_order
from minillm.files import InputError, read_text, write_text

TEXT_SUFFIXES = (".txt", ".md")
SHAREGPT_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
KNOWN = "instruction/output, prompt/completion, messages or conversations"


def find_files(paths: Sequence[str | Path], suffixes: Sequence[str]) -> list[Path]:
    """Files named by paths, folders (searched through) and patterns. Raises InputError if there is none."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
            if not inside:
                raise InputError(f"{path}: holds no {' or '.join(suffixes)} file: name a folder that does")
            found += inside
        elif path.exists() or not glob.has_magic(str(path)):
            found.append(path)
        else:
            matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
            if not matches:
                raise InputError(f"{path}: matches no file: check the pattern")
            found += matches
    return found


def read_input(path: Path) -> str:
    """The text of a file, or of standard input for `-`. Raises InputError."""
    if str(path) == "-":
        try:
            return sys.stdin.buffer.read().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise InputError("standard input: not UTF-8 text: convert it first") from None
    text = read_text(path)
    if (at := text.find("\0")) >= 0:
        raise InputError(f"{path}:{text.count(chr(10), 0, at) + 1}: holds binary data: name a text file")
    return text


def read_documents(paths: Sequence[str | Path], documents: Literal["file", "blank-line", "line"] = "file") -> list[str]:
    """Raw documents: each file is one, or each paragraph, or each line. Raises InputError."""
    result = []
    for path in find_files(paths, TEXT_SUFFIXES):
        text = read_input(path)
        if not text.strip():
            raise InputError(f"{path}: the file is empty: put some text into it")
        parts = {"file": [text], "line": text.split("\n"), "blank-line": re.split(r"\n\s*\n", text)}[documents]
        result += [part for part in parts if part.strip()]
    return result


# -------------------------------------------------------------------------------------------- records


def read_records(path: Path) -> Iterator[tuple[str, dict]]:
    """(place in the file, record) of each JSON object in a list or in lines. Raises InputError."""
    text = read_input(path)
    decoder, at, line, in_list = json.JSONDecoder(), 0, 1, False

    def skip(characters: str) -> None:
        nonlocal at, line
        while at < len(text) and text[at] in characters:
            line += text[at] == "\n"
            at += 1

    skip(" \t\r\n")
    if at == len(text):
        raise InputError(f"{path}: the file is empty: put JSON records into it")
    if text[at] == "[":
        in_list = True
        at += 1
    while True:
        skip(" \t\r\n,")
        if at == len(text):
            if in_list:
                raise InputError(f"{path}:{line}: the JSON list has no end: the file was cut off")
            return
        if in_list and text[at] == "]":
            at += 1
            skip(" \t\r\n")
            if at < len(text):
                raise InputError(f"{path}:{line}: something follows the end of the JSON list: remove it")
            return
        try:
            record, end = decoder.raw_decode(text, at)
        except ValueError as error:  # a number of thousands of digits is one too
            what = error.msg if isinstance(error, json.JSONDecodeError) else "a number is too long"
            raise InputError(f"{path}:{line}: not JSON ({what}): mend the record") from None
        except RecursionError:
            raise InputError(f"{path}:{line}: nested too deeply: mend the record") from None
        if not isinstance(record, dict):
            raise InputError(f"{path}:{line}: {json.dumps(record)[:40]} is no record: write {{…}} with fields {KNOWN}")
        yield f"{path}:{line}", record
        line += text.count("\n", at, end)
        at = end


def text_field(record: dict, name: str, where: str, empty: bool = False) -> str:
    """A field that must be text, and not blank unless `empty`. Raises InputError."""
    value = record.get(name, "" if empty else None)
    if not isinstance(value, str):
        kind = "missing" if name not in record else f"{json.dumps(value, ensure_ascii=False)[:40]}, not text"
        raise InputError(f"{where}: field {name!r} is {kind}: give it as a string")
    if not empty and not value.strip():
        raise InputError(f"{where}: field {name!r} is empty: write it or remove the record")
    return value


def alpaca_question(record: dict, where: str) -> str:
    """The instruction, followed by its input on a new line if there is one."""
    instruction, extra = text_field(record, "instruction", where), text_field(record, "input", where, empty=True)
    return f"{instruction}\n{extra}" if extra.strip() else instruction


def to_messages(record: dict, where: str) -> list[Message]:
    """The dialogue in a record of any known form. Raises InputError."""
    if "messages" in record or "conversations" in record:
        name, role, content = (
            ("messages", "role", "content") if "messages" in record else ("conversations", "from", "value")
        )
        turns = record[name]
        if not isinstance(turns, list) or not turns or not all(isinstance(t, dict) for t in turns):
            raise InputError(f"{where}: field {name!r} must be a list of {{{role!r}, {content!r}}}: mend the record")
        messages = []
        for turn in turns:
            who = text_field(turn, role, where)
            if who not in SHAREGPT_ROLES:
                raise InputError(f"{where}: role {who!r} is unknown: use {', '.join(SHAREGPT_ROLES)}")
            messages.append(Message(SHAREGPT_ROLES[who], text_field(turn, content, where)))
        try:
            check_order(messages)
        except ValueError as error:
            raise InputError(f"{where}: {error}: put the turns in order") from None
        return messages
    if "instruction" in record:
        question, answer = alpaca_question(record, where), text_field(record, "output", where)
    elif "prompt" in record:
        question, answer = text_field(record, "prompt", where), text_field(record, "completion", where)
    else:
        raise InputError(f"{where}: fields {', '.join(map(repr, list(record)[:4])) or 'none'} are unknown: use {KNOWN}")
    return [Message("user", question), Message("assistant", answer)]


def read_dialogues(paths: Sequence[str | Path]) -> list[list[Message]]:
    """Dialogues of all files. Raises InputError for a bad record or a dialogue without an answer."""
    dialogues = []
    for path in find_files(paths, (".json", ".jsonl")):
        for where, record in read_records(path):
            messages = to_messages(record, where)
            if all(m.role != "assistant" for m in messages):
                raise InputError(f"{where}: the dialogue has no answer by the assistant: add one")
            dialogues.append(messages)
    if not dialogues:
        raise InputError(f"{', '.join(map(str, paths))}: no records: put some in")
    return dialogues


def read_preferences(paths: Sequence[str | Path]) -> list[Preference]:
    """Preference pairs of all files. Raises InputError for a bad record or equal answers."""
    pairs = []
    for path in find_files(paths, (".json", ".jsonl")):
        for where, record in read_records(path):
            chosen, rejected = text_field(record, "chosen", where), text_field(record, "rejected", where)
            question = (
                alpaca_question(record, where) if "instruction" in record else text_field(record, "prompt", where)
            )
            if chosen.strip() == rejected.strip():
                raise InputError(
                    f"{where}: chosen and rejected are equal: there is nothing to prefer; remove the record"
                )
            pairs.append(Preference((Message("user", question),), chosen, rejected))
    if not pairs:
        raise InputError(f"{', '.join(map(str, paths))}: no records: put some in")
    return pairs


# ------------------------------------------------------------------------------ writing what we can read


def write_records(path: Path, records: Sequence[dict]) -> None:
    """Write JSON lines."""
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def dialogue_record(messages: Sequence[Message]) -> dict:
    """A dialogue in OpenAI's form."""
    return {"messages": [{"role": m.role, "content": m.content} for m in messages]}


def preference_record(pair: Preference) -> dict:
    """A preference pair of one turn."""
    return {"prompt": pair.prompt[-1].content, "chosen": pair.chosen, "rejected": pair.rejected}
