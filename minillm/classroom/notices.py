"""A short message that a notebook shows as a box and a terminal as text."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["todo", "right", "wrong"]
COLOURS: dict[Kind, str] = {"todo": "#78909c", "right": "#2e7d32", "wrong": "#c62828"}
MARKS: dict[Kind, str] = {"todo": "·", "right": "✓", "wrong": "✗"}


@dataclass(frozen=True)
class Row:
    """A name and a value, in a column each."""

    name: str
    value: str


@dataclass(frozen=True)
class Notice:
    """A heading and lines below it; `code` in a line is between backticks."""

    kind: Kind
    heading: str
    lines: Sequence[str | Row] = ()

    def __repr__(self) -> str:
        below = [
            line if isinstance(line, str) else f"{line.name}: {line.value}".removeprefix(": ") for line in self.lines
        ]
        return "\n".join([f"{MARKS[self.kind]} {self.heading}", *(f"  {line}" for line in below)])

    def _repr_html_(self) -> str:
        parts = [f"<div style='border-left:4px solid {COLOURS[self.kind]};padding:4px 12px;margin:4px 0'>",
                 f"<b><span style='color:{COLOURS[self.kind]}'>{MARKS[self.kind]}</span> {marked(self.heading)}</b>"]  # fmt: skip
        for line in self.lines:
            if isinstance(line, str):
                parts.append(f"<div style='margin:4px 0'>{marked(line)}</div>")
            else:
                name = f"<span style='opacity:.65'>{html.escape(line.name)}&emsp;</span>" if line.name else ""
                parts.append(f"<div>{name}<code style='white-space:pre-wrap'>{html.escape(line.value)}</code></div>")
        return "".join(parts) + "</div>"


def marked(line: str) -> str:
    """Text as HTML, with what is between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(line, quote=False))
