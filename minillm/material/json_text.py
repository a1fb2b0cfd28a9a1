"""Values in a text of JSON, with their lines: one list, values on lines, or values of several lines each."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from minillm.material.findings import Findings
from minillm.material.turns import is_turn
from minillm.plumbing.files import InputError

SPACE = re.compile(r"[ \t\r\n,]*")
LISTS_ON_LINES = re.compile(r"\s*\[[^\n]*\][ \t,]*\n\s*\[")

Place = tuple[int | str, Any]
"""(line, value): the line may be followed by the number of a record below it."""


def after_space(text: str, at: int = 0) -> int:
    """Where what separates values ends."""
    found = SPACE.match(text, at)
    assert found is not None  # it may be empty
    return found.end()


class JSONText:
    """Values in a text of JSON: one list, values on lines, or values that take several lines each."""

    def __init__(self, name: str, findings: Findings):
        self.name, self.findings = name, findings
        self.decoder = json.JSONDecoder()

    def values(self, lines: Iterable[str], first: str) -> Iterator[Place]:
        """(line, value) of each. Lines are read as they come; only a list is read as a whole."""
        if first.lstrip().startswith("["):
            text = "\n".join(lines)
            return self.on_lines(text.split("\n")) if LISTS_ON_LINES.match(text) else self.in_list(text)
        if self.is_whole(first):
            return self.on_lines(lines)
        return self.in_sequence("\n".join(lines))

    def is_whole(self, line: str) -> bool:
        """Whether a line is JSON by itself."""
        try:
            self.decoder.decode(line.strip().rstrip(","))
        except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
            return not isinstance(error, json.JSONDecodeError)
        except RecursionError:
            return True
        return True

    def decode(self, text: str, at: int, line: int) -> tuple[Any, int]:
        """The value that begins at `at`, and where it ends. Raises InputError."""
        try:
            return self.decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            fault = f"not JSON ({error.msg})"
        except ValueError:
            fault = "not JSON (a number is too long)"
        except RecursionError:
            fault = "nested too deeply"
        raise InputError(f"{self.name}:{line}: {fault}: fix the record") from None

    def in_list(self, text: str) -> Iterator[Place]:
        """The values of a list. Raises InputError if it is not whole."""
        at = after_space(text)
        line = 1 + text.count("\n", 0, at)
        at += 1  # the bracket
        turns: list[dict] | None = None  # a list of messages is one record
        while True:
            end = after_space(text, at)
            line += text.count("\n", at, end)
            if end == len(text):
                raise InputError(f"{self.name}:{line}: the JSON list has no end: the file was cut off")
            if text[end] == "]":
                break
            value, at = self.decode(text, end, line)
            if is_turn(value) and turns is None:
                turns, begin = [], line
            if turns is not None:
                turns.append(value)
            else:
                yield line, value
            line += text.count("\n", end, at)
        if turns:
            yield begin, turns
        if text[end + 1 :].strip():
            line += text.count("\n", end, end + 1 + len(text[end + 1 :]) - len(text[end + 1 :].lstrip()))
            raise InputError(f"{self.name}:{line}: something follows the end of the JSON list: remove it")

    def in_sequence(self, text: str) -> Iterator[Place]:
        """Values one after the other; from the first fault on, those on lines."""
        at, line = 0, 1
        while True:
            end = after_space(text, at)
            line += text.count("\n", at, end)
            if end == len(text):
                return
            try:
                value, at = self.decode(text, end, line)
            except InputError:
                yield from self.on_lines(text[end:].split("\n"), line)
                return
            yield line, value
            line += text.count("\n", end, at)

    def on_lines(self, lines: Iterable[str], begin: int = 1) -> Iterator[Place]:
        """Values on lines of their own. A value may go on in lines that do not begin with a bracket."""
        block: list[str] = []
        for number, line in enumerate(lines, begin):
            line = line.removeprefix("\ufeff")  # where files were put together
            if block and line[:1] in ("{", "["):
                yield from self.in_block("\n".join(block), begin)
                block = []
            if not block:
                begin = number
            if block or line.strip():
                block.append(line)
        yield from self.in_block("\n".join(block), begin)

    def in_block(self, text: str, line: int) -> Iterator[Place]:
        """Values in a few lines; the first that is no JSON is left out, and the lines after it read alone."""
        at = 0
        while (end := after_space(text, at)) < len(text):
            line += text.count("\n", at, end)
            try:
                value, at = self.decode(text, end, line)
            except InputError as fault:
                self.findings.leave_out(str(fault))
                yield from self.alone(text[end:].split("\n")[1:], line + 1)
                return
            yield line, value
            line += text.count("\n", end, at)

    def alone(self, lines: Sequence[str], begin: int) -> Iterator[Place]:
        """Values on lines after a fault. A line without a bracket belongs to what was left out."""
        for number, line in enumerate(lines, begin):
            line = line.strip(" \t\r,")
            if line.startswith(("{", "[")):
                try:
                    yield number, self.decode(line, 0, number)[0]
                except InputError as fault:
                    self.findings.leave_out(str(fault))
