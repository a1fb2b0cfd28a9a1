r"""From a record of any known shape to a dialogue or a preference: what the fields mean.

    dialogues    Alpaca   {"instruction", "input", "output"}, also with "system" and "history"
                 pairs    {"prompt", "completion"}; also question/answer, prompt/response, Dolly, Firefly, KTO
                 lists    {"messages": [{"role", "content"}, …]}, {"conversations": [{"from", "value"}, …]},
                          a bare list of messages; tools speak as text
    preferences  {"prompt", "chosen", "rejected"} as texts, as lists of messages, or as whole conversations
                 that begin alike; Anthropic's "\n\nHuman: … \n\nAssistant: …"; any prompt above

A field that means something is used, or named by `say`, or the record is refused; null is absent.
"""

from typing import Any

from minillm.chat import Message, Preference, check_order
from minillm.material.fields import (
    ANSWER_TO,
    ANSWERS,
    BETTER,
    CONTEXTS,
    KNOWN,
    MESSAGE_FIELDS,
    QUESTIONS,
    TEXTS,
    WORSE,
    Fields,
    NotMeant,
    Say,
    Unusable,
    is_no,
    kind_of,
    whole,
)
from minillm.material.turns import in_transcript, is_turn, to_messages, with_earlier


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


def fields_of(record: Any, wanted: str) -> Fields:
    """The fields of a record; a bare list is one of messages. Raises Unusable."""
    if isinstance(record, list) and record:
        record = {"messages": record}
    if not isinstance(record, dict):
        raise Unusable(f"{kind_of(record)} is no record: write {{…}} with {wanted}")
    return Fields(record)


def to_dialogue(record: Any, say: Say) -> list[Message]:
    """The dialogue in a record of any known shape. Raises Unusable."""
    fields = fields_of(record, f"fields {KNOWN}")
    record = fields.record
    check_labels(fields)
    answer = fields.first(ANSWERS) or next((name for name in ANSWERS if name in record), None)
    listed = fields.first(MESSAGE_FIELDS)
    if not listed and not any(name in record for name in QUESTIONS) and not (answer and fields.first(("input",))):
        if fields.first(BETTER):
            raise Unusable("a pair of chosen and rejected is no dialogue: give it to prefer --preferences")
        raise unknown(record)
    messages = asked(fields, say)
    assert messages is not None
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


def to_question(record: Any, say: Say) -> list[Message]:
    """The conversation in a record up to its last question; answers need not be there. Raises Unusable."""
    fields = fields_of(record, "a field prompt, or messages")
    messages = asked(fields, say)
    if messages is None:
        if fields.first(BETTER):
            return list(to_preference(record, say).prompt)
        raise unknown(record)
    messages = with_earlier(fields, messages, say)
    last = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
    return in_order(messages[: last + 1])


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
        found = asked(fields, say)
        prompt = [Message("user", fields.text("prompt"))] if found is None else found
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
