"""From a record of any known shape to a dialogue or a preference: what the fields mean.

    dialogues    Alpaca   {"instruction", "input", "output"}, also with "system" and "history"
                 pairs    {"prompt", "completion"}; also question/answer, prompt/response, Dolly, Firefly, KTO
                 lists    {"messages": [{"role", "content"}, …]}, {"conversations": [{"from", "value"}, …]},
                          a bare list of messages; tools speak as text
    preferences  {"prompt", "chosen", "rejected"} as texts, as lists of messages, or as whole conversations
                 that begin alike; Anthropic's "\n\nHuman: … \n\nAssistant: …"; any prompt above

A field that means something is used, or named by `say`, or the record is refused; null is absent.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from minillm.chat import Message, Preference, check_order

ROLES = {"user": "user", "human": "user", "prompter": "user", "assistant": "assistant", "gpt": "assistant",
         "model": "assistant", "bot": "assistant", "chatgpt": "assistant", "system": "system",
         "developer": "system"}  # fmt: skip
TOOLS = {"tool": "user", "function": "user", "observation": "user", "ipython": "user", "environment": "user",
         "function_response": "user", "tool_response": "user", "function_call": "assistant",
         "tool_call": "assistant"}  # fmt: skip
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
SPEAKERS = re.compile(r"\n\n(Human|Assistant):")

Say = Callable[[str], object]


class Unusable(Exception):
    """Why a record cannot be used, and what to do: `what: how to fix it`."""


class NotMeant(Unusable):
    """The record is well formed, but not meant to be learned here."""


def kind_of(value: Any) -> str:
    """A value in a message: itself if it is short, else what it is."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'}" if value else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)[:40]


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
        self.record, self.used = record, set()

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


# ------------------------------------------------------------------------------------------- messages


def is_turn(value: Any) -> bool:
    """Whether a value is a message of a list: {"role", "content"} or {"from", "value"}."""
    return isinstance(value, dict) and ("role" in value or "from" in value or {"human", "assistant"} <= value.keys())


def content_text(content: Any, name: str, fields: Fields) -> str:
    """The text of a message: a string, or a list of text parts. Raises Unusable."""
    if isinstance(content, list) and content:
        parts = [{"type": "text", "text": p} if isinstance(p, str) else p for p in content]
        for part in parts:
            kind = part.get("type", "text") if isinstance(part, dict) else kind_of(part)
            if kind != "text" or not isinstance(part.get("text"), str):
                raise Unusable(f"a part of {name!r} is {str(kind)[:40]!r}: only text is read; remove the record")
        content = "\n".join(part["text"] for part in parts)
    return fields.text(name, content)


def to_message(turn: dict, say: Say) -> tuple[Message, bool]:
    """A message, and whether a tool takes part in it. Raises Unusable."""
    fields = Fields(turn)
    role, content = ("role", "content") if fields.first(("role", "from")) != "from" else ("from", "value")
    content = fields.first((content, "content", "value", "text")) or content
    who = fields.text(role)
    if who not in ROLES | TOOLS:
        raise Unusable(f"role {who[:40]!r} is unknown: use {', '.join(ROLES)}")
    texts = []
    for calls in ("tool_calls", "function_call"):
        if fields.has(calls):
            texts.append(json.dumps(fields.take(calls), ensure_ascii=False))
    if not texts or fields.has(content):
        texts.insert(0, content_text(fields.take(content), content, fields))
    weights = [fields.take(name) for name in WEIGHTS if turn.get(name) is not None]
    tool = who in TOOLS or len(texts) > 1 or not fields.has(content)
    fields.tell_unused(lambda what: say(f"{what} (of a message)"))
    role = (ROLES | TOOLS)[who]
    return Message(role, "\n".join(texts), not any(map(is_no, weights))), tool


def to_messages(turns: Any, name: str, say: Say) -> list[Message]:
    """A list of messages; those of tools join their neighbour if it has the same role. Raises Unusable."""
    if not isinstance(turns, list) or not turns or not all(isinstance(t, dict) for t in turns):
        raise Unusable(f"field {name!r} must be a list of {{'role', 'content'}}: fix the record")
    messages: list[Message] = []
    tool_before = any_tool = False
    for turn in turns:
        if {"human", "assistant"} <= turn.keys():
            fields = Fields(turn)
            messages += [Message("user", fields.text("human")), Message("assistant", fields.text("assistant"))]
            continue
        message, tool = to_message(turn, say)
        if messages and messages[-1].role == message.role and (tool or tool_before):
            old = messages.pop()
            message = Message(old.role, f"{old.content}\n{message.content}", old.learn and message.learn)
        messages.append(message)
        tool_before, any_tool = tool, any_tool or tool
    if any_tool:
        say("turns of tools are read as text")
    return messages


def in_transcript(text: Any) -> list[Message] | None:
    """The messages of "\n\nHuman: … \n\nAssistant: …"; None if a text is no such transcript."""
    if not isinstance(text, str) or not text.lstrip().startswith("Human:") or "\n\nAssistant:" not in text:
        return None
    _, *parts = SPEAKERS.split("\n\n" + text.lstrip())
    roles = {"Human": "user", "Assistant": "assistant"}
    messages = [Message(roles[who], whole(said.strip())) for who, said in zip(parts[::2], parts[1::2], strict=True)]
    return messages[:-1] if not messages[-1].content else messages  # a prompt ends with "Assistant:"


def with_earlier(fields: Fields, messages: list[Message], say: Say) -> list[Message]:
    """The messages after the record's system message and earlier turns. Raises Unusable."""
    if fields.has("history"):
        turns = fields.take("history")
        if not isinstance(turns, list):
            raise Unusable(f"field 'history' is {kind_of(turns)}, not a list of [question, answer]: fix the record")
        earlier: list[Message] = []
        for turn in turns:
            if isinstance(turn, list):
                if len(turn) != 2 or not all(isinstance(text, str) and text.strip() for text in turn):
                    raise Unusable("field 'history' must be a list of [question, answer]: fix the record")
                earlier += [Message("user", whole(turn[0])), Message("assistant", whole(turn[1]))]
            else:
                earlier += to_messages([turn], "history", say)
        head = messages[:1] if messages and messages[0].role == "system" else []
        messages = head + earlier + messages[len(head) :]
    for name in SYSTEMS:
        if fields.has(name):
            text = fields.text(name)
            if messages and messages[0].role == "system":
                text = f"{text}\n{messages[0].content}" if text != messages[0].content else text
                messages = messages[1:]
            messages = [Message("system", text), *messages]
    return messages


def asked(fields: Fields, say: Say) -> list[Message] | None:
    """The conversation up to the question, from fields of any shape; None if there is no such field. Raises Unusable."""
    if name := fields.first(MESSAGE_FIELDS):
        return to_messages(fields.take(name), name, say)
    name = next((n for n in QUESTIONS if n in fields.record and fields.record[n] is not None), None)
    if name is None:
        name = next((n for n in QUESTIONS if n in fields.record), None) or fields.first(("input",))
    if name is None:
        return None
    value = fields.record[name]
    if isinstance(value, dict) and isinstance(value.get("messages"), list):  # OpenAI's preferences
        return to_messages(fields.take(name)["messages"], name, say)
    if isinstance(value, list) and value and is_turn(value[0]):
        return to_messages(fields.take(name), name, say)
    if transcript := in_transcript(value):
        fields.take(name)
        return transcript
    question = fields.text(name)
    for context in CONTEXTS:
        if context != name and isinstance(fields.record.get(context), str):
            extra = fields.take(context)
            question = f"{question}\n{whole(extra)}" if extra.strip() else question
        elif context != name and fields.record.get(context) is not None:
            fields.text(context)
    return [Message("user", question)]


# -------------------------------------------------------------------------------- dialogues, preferences


def is_no(value: Any) -> bool:
    """Whether a label or a weight says no."""
    return value in (False, 0) or (isinstance(value, str) and value.strip().lower() in ("false", "0", "0.0", "no"))


def check_labels(fields: Fields) -> None:
    """Raise NotMeant for a record that is marked as one not to learn."""
    for name in ("label", "weight"):
        value = fields.record.get(name)
        if isinstance(value, list | dict) or value is None:
            continue
        if is_no(value):
            raise NotMeant(
                f"{name!r} is {kind_of(value)}: the answer is marked as one not to learn, so it is no example for sft"
            )
        if value in (True, 1, "True", "true", "1", "1.0"):
            fields.take(name)


def unknown(record: dict) -> Unusable:
    names = ", ".join(map(repr, list(record)[:4])) or "none"
    if any(name in record for name in TEXTS):
        return Unusable(f"fields {names} are unknown: raw text is for pretrain --text; dialogues have {KNOWN}")
    return Unusable(f"fields {names} are unknown: use {KNOWN}")


def in_order(messages: list[Message]) -> list[Message]:
    """The messages. Raises Unusable if their roles are out of order."""
    try:
        check_order(messages)
    except ValueError as error:
        raise Unusable(f"{error}: put the turns in order") from None
    return messages


def to_dialogue(record: Any, say: Say) -> list[Message]:
    """The dialogue in a record of any known shape. Raises Unusable."""
    if isinstance(record, list) and record:
        record = {"messages": record}
    if not isinstance(record, dict):
        raise Unusable(f"{kind_of(record)} is no record: write {{…}} with fields {KNOWN}")
    fields = Fields(record)
    check_labels(fields)
    answer = fields.first(ANSWERS) or next((name for name in ANSWERS if name in record), None)
    listed = fields.first(MESSAGE_FIELDS)
    if not listed and not any(name in record for name in QUESTIONS) and not (answer and fields.first(("input",))):
        if fields.first(BETTER):
            raise Unusable("a pair of chosen and rejected: give it to prefer --preferences; field 'prompt' is missing")
        raise unknown(record)
    messages = asked(fields, say)
    if not listed:
        messages = messages + answered(fields, answer, say)
    messages = in_order(with_earlier(fields, messages, say))
    if all(m.role != "assistant" for m in messages):
        raise Unusable("the dialogue has no answer by the assistant: add one")
    if all(not m.learn for m in messages if m.role == "assistant"):
        raise NotMeant("all answers have weight 0: no answer is meant to be learned")
    fields.used |= {n for n in QUESTIONS if listed and record.get(n) in [m.content for m in messages]}
    fields.tell_unused(say)
    return messages


def answered(fields: Fields, name: str | None, say: Say) -> list[Message]:
    """The answer in a field, a text or messages. Raises Unusable."""
    if name is None:
        name = next(ANSWER_TO[question] for question in QUESTIONS if question in fields.record)
        if fields.first(BETTER):
            raise Unusable(f"field {name!r} is missing: a pair of chosen and rejected is for prefer --preferences")
    value = fields.record.get(name)
    if isinstance(value, list) and value and is_turn(value[0]):
        return to_messages(fields.take(name), name, say)
    return [Message("assistant", fields.text(name))]


def to_preference(record: Any, say: Say) -> Preference:
    """The preference in a record of any known shape. Raises Unusable."""
    if not isinstance(record, dict):
        raise Unusable(f"{kind_of(record)} is no record: write {{…}} with fields prompt, chosen, rejected")
    fields = Fields(record)
    sides = []
    for names in (BETTER, WORSE):
        name = fields.first(names) or names[0]
        if name not in record and "label" in record:
            raise Unusable(f"field {name!r} is missing: answers with a label (KTO) are for sft --pairs")
        sides.append(one_side(fields, name, say))
    prompt = shared = common_prefix(*sides)
    if not shared:
        prompt = asked(fields, say)
        if prompt is None:
            fields.text("prompt")
    chosen, rejected = (side[len(shared) :] for side in sides)
    if any([m.role for m in side] != ["assistant"] for side in (chosen, rejected)):
        raise Unusable("chosen and rejected must be one answer each to the same conversation: fix the record")
    if chosen[0].content.strip() == rejected[0].content.strip():
        raise Unusable("chosen and rejected are equal: there is nothing to prefer; remove the record")
    prompt = with_earlier(fields, list(prompt), say)
    in_order([*prompt, chosen[0]])
    fields.used |= {n for n in QUESTIONS if shared and record.get(n) in [m.content for m in prompt]}
    fields.used |= {n for n in MESSAGE_FIELDS if shared and fields.record.get(n) == fields.record.get("chosen")}
    fields.tell_unused(say)
    return Preference(tuple(prompt), chosen[0].content, rejected[0].content)


def one_side(fields: Fields, name: str, say: Say) -> list[Message]:
    """An answer, or a whole conversation that ends with it. Raises Unusable."""
    value = fields.record.get(name)
    if isinstance(value, dict | list) and value:
        fields.take(name)
        return to_messages([value] if isinstance(value, dict) else value, name, say)
    if transcript := in_transcript(value):
        fields.take(name)
        return transcript
    return [Message("assistant", fields.text(name))]


def common_prefix(a: list[Message], b: list[Message]) -> list[Message]:
    """The messages with which two conversations begin alike."""
    n = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return a[: min(n, len(a) - 1, len(b) - 1)]
