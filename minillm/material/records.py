"""Records of users: dialogues and preferences, recognised by their fields.

    dialogues     Alpaca  {"instruction", "input", "output"}
                  pairs   {"prompt", "completion"}
                  OpenAI  {"messages": [{"role", "content"}, …]}
                  ShareGPT {"conversations": [{"from", "value"}, …]}
    preferences   {"prompt", "chosen", "rejected"}, or Alpaca's fields with "chosen", "rejected"

Records stand in a JSON list or in JSON lines. A bad record raises InputError `file:line: what: mend`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from minillm.chat import Message, Preference, check_order
from minillm.material.text_files import find_files, read_chunks
from minillm.plumbing.files import InputError, write_text

SHAREGPT_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
KNOWN = "instruction/output, prompt/completion, messages or conversations"


# -------------------------------------------------------------------------------------------- records


class JSONReader:
    """Reads JSON values one after the other from text that comes in chunks, and keeps count of lines."""

    def __init__(self, name: str | Path, chunks: Iterator[str]):
        self.name, self.chunks = name, chunks
        self.text, self.at, self.line = "", 0, 1
        self.decoder = json.JSONDecoder()

    @property
    def where(self) -> str:
        return f"{self.name}:{self.line}"

    def read_on(self) -> bool:
        """Get the next chunk; False at the end of the text."""
        chunk = next(self.chunks, "")
        # a record larger than a chunk: fetch as much again as there is, or reading it would take n² time
        while chunk and len(chunk) < len(self.text) - self.at:
            if not (more := next(self.chunks, "")):
                break
            chunk += more
        self.text, self.at = self.text[self.at :] + chunk, 0
        return bool(chunk)

    def skip(self, characters: str) -> str:
        """Pass over any of `characters`; return the character that follows, or "" at the end."""
        while self.at < len(self.text) or self.read_on():
            if self.text[self.at] not in characters:
                return self.text[self.at]
            self.line += self.text[self.at] == "\n"
            self.at += 1
        return ""

    def value(self) -> object:
        """The value that begins here. Raises InputError; `line` stays that of its beginning."""
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
                if end < len(self.text) or not isinstance(value, int | float) or not self.read_on():
                    break  # a number may go on in the next chunk
            except json.JSONDecodeError as error:
                cut_off = error.msg.startswith("Unterminated") or error.pos > len(self.text) - 16
                if not (cut_off and self.read_on()):
                    raise InputError(f"{self.where}: not JSON ({error.msg}): mend the record") from None
            except ValueError:  # a number of thousands of digits
                raise InputError(f"{self.where}: not JSON (a number is too long): mend the record") from None
            except RecursionError:
                raise InputError(f"{self.where}: nested too deeply: mend the record") from None
        self.line += self.text.count("\n", self.at, end)
        self.at = end
        return value


def read_records(path: Path) -> Iterator[tuple[str, dict]]:
    """(place in the file, record) of each JSON object in a list or in lines. Raises InputError."""
    reader = JSONReader("standard input" if str(path) == "-" else path, read_chunks(path))
    first = reader.skip(" \t\r\n")
    if not first:
        raise InputError(f"{reader.name}: the file is empty: put JSON records into it")
    if in_list := first == "[":
        reader.at += 1
    while True:
        character = reader.skip(" \t\r\n,")
        if not character:
            if in_list:
                raise InputError(f"{reader.where}: the JSON list has no end: the file was cut off")
            return
        if in_list and character == "]":
            reader.at += 1
            if reader.skip(" \t\r\n"):
                raise InputError(f"{reader.where}: something follows the end of the JSON list: remove it")
            return
        where = reader.where
        record = reader.value()
        if not isinstance(record, dict):
            raise InputError(f"{where}: {json.dumps(record)[:40]} is no record: write {{…}} with fields {KNOWN}")
        yield where, record


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
