"""The fields of users' records: their names, and reading them as text.

A field that is null is absent. What is wrong with a record is raised as Unusable: `what: how to fix it`.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

MESSAGE_FIELDS = ("messages", "conversations", "conversation", "dialogue", "dialog")
ANSWER_TO = {"instruction": "output", "prompt": "completion", "question": "answer", "query": "response"}
QUESTIONS, CONTEXTS = tuple(ANSWER_TO), ("input", "context")
ANSWERS = ("completion", "output", "response", "answer", "target")
BETTER, WORSE = ("chosen", "preferred_output"), ("rejected", "non_preferred_output")
TEXTS = ("text", "content", "raw_content", "document", "article", "body", "story")
FIELDS = (*MESSAGE_FIELDS, *QUESTIONS, *CONTEXTS, *ANSWERS, *BETTER, *WORSE, *TEXTS)
SYSTEMS = ("system", "system_prompt", "system_message")
WEIGHTS = ("weight", "train", "trainable", "loss")  # of a message: 0 or false means that it is not learned
KNOWN = "instruction/output, prompt/completion, messages or conversations"
# fields that say where a record is from and not what it says
ABOUT = frozenset(
    "id idx index uid uuid prompt_id question_id conversation_id chat_id row_idx source dataset data_source origin "
    "subset split lang language category kind type task task_type task_name topic domain tags model models generator "
    "url link license author user username date time timestamp created created_at updated meta metadata info hash "
    "tokens num_tokens n_tokens length num_turns version __index_level_0__ name tool_call_id eos".split()
)

Say = Callable[[str], object]
"""Called with a word on a record that is used, such as a field without a use."""


class Unusable(Exception):
    """Why a record cannot be used, and what to do: `what: how to fix it`."""


class NotMeant(Unusable):
    """The record is well formed, but not meant to be learned here."""


def kind_of(value: Any) -> str:
    """A value in a message: itself if it is short, else what it is."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'}" if value else json.dumps(value)
    return whole(json.dumps(value, ensure_ascii=False)[:40])


def whole(text: str) -> str:
    """Text without halves of characters (lone surrogates, which JSON can write and UTF-8 cannot)."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Fields:
    """A record's fields, and which of them were used."""

    def __init__(self, record: dict):
        self.record = record
        self.used: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether a field is there and says something."""
        value = self.record.get(name)
        return value is not None and value != [] and not (isinstance(value, str) and not value.strip())

    def first(self, names: Sequence[str]) -> str | None:
        """The first of the names that is there and not null."""
        return next((name for name in names if self.record.get(name) is not None), None)

    def take(self, name: str) -> Any:
        self.used.add(name)
        return self.record.get(name)

    def text(self, name: str, value: Any = None) -> str:
        """A field that must be text and not blank. Raises Unusable."""
        value = self.take(name) if value is None else value
        if not isinstance(value, str):
            kind = "missing" if name not in self.record else f"{kind_of(value)}, not text"
            raise Unusable(f"field {name!r} is {kind}: give it as a string")
        if not value.strip():
            raise Unusable(f"field {name!r} is empty: write it or remove the record")
        return whole(value)

    def tell_unused(self, say: Say) -> None:
        """Name the fields that say something and were not used."""
        for name in self.record:
            if name not in self.used and str(name).lower() not in ABOUT and self.has(name):
                say(f"field {name!r} is not used")


def is_no(value: Any) -> bool:
    """Whether a label or a weight says no."""
    return value in (False, 0) or (isinstance(value, str) and value.strip().lower() in ("false", "0", "0.0", "no"))
