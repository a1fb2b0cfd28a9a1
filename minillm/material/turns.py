"""Lists of turns as users write them -> messages: who speaks, what is text, what tools say."""

import json
import re
from typing import Any

from minillm.chat import Message
from minillm.material.fields import SYSTEMS, WEIGHTS, Fields, Say, Unusable, is_no, kind_of, whole

ROLES = {"user": "user", "human": "user", "prompter": "user", "assistant": "assistant", "gpt": "assistant",
         "model": "assistant", "bot": "assistant", "chatgpt": "assistant", "system": "system",
         "developer": "system"}  # fmt: skip
TOOLS = {"tool": "user", "function": "user", "observation": "user", "ipython": "user", "environment": "user",
         "function_response": "user", "tool_response": "user", "function_call": "assistant",
         "tool_call": "assistant"}  # fmt: skip
EVERY_ROLE = ROLES | TOOLS
SPEAKERS = re.compile(r"\n\n(Human|Assistant):")


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
    if who not in EVERY_ROLE:
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
    return Message(EVERY_ROLE[who], "\n".join(texts), not any(map(is_no, weights))), tool


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
    r"""The messages of "\n\nHuman: … \n\nAssistant: …"; None if a text is no such transcript."""
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
