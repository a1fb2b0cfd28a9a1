"""Dialogues as records of another shape: Alpaca, ShareGPT, messages, prompt and completion."""

from collections.abc import Sequence

from minillm.chat import Message
from minillm.material.records import dialogue_record

SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}


def to_alpaca(messages: Sequence[Message]) -> dict:
    """instruction, input, output; earlier turns as history, a system message as system."""
    system = messages[0].content if messages[0].role == "system" else None
    turns = [m.content for m in messages if m.role != "system"]
    pairs = [[q, a] for q, a in zip(turns[::2], turns[1::2])]
    record: dict = {"instruction": pairs[-1][0], "input": "", "output": pairs[-1][1]}
    if len(pairs) > 1:
        record["history"] = pairs[:-1]
    return record | ({"system": system} if system else {})


def to_sharegpt(messages: Sequence[Message]) -> dict:
    return {"conversations": [{"from": SPEAKERS[m.role], "value": m.content} for m in messages]}


def to_prompt_completion(messages: Sequence[Message]) -> dict | None:
    """None for a dialogue of several turns or with a system message, which this shape cannot say."""
    if [m.role for m in messages] != ["user", "assistant"]:
        return None
    return {"prompt": messages[0].content, "completion": messages[1].content}


SHAPES = {
    "alpaca": to_alpaca,
    "sharegpt": to_sharegpt,
    "messages": dialogue_record,
    "prompt-completion": to_prompt_completion,
}
