"""The dialogue format: messages with roles -> token ids and the mask of what is learned.

    [DOC] USER: What is the capital of France? AI: Paris [END]
          `------------ given -----------------'`-- learned -'

The text between the special tokens is encoded piece by piece and the ids are joined; the mask is made
with the ids, never found by searching. Training, chat and evaluation all use these functions, so the
format a model was taught is the one it is asked in. That above is ours; an open model brings the template that it
was taught (`templates.py`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import regex

from minillm.templates import TEMPLATES
from minillm.tokenizer import Tokenizer

NO_SPACE_BEFORE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\u3000-\u303f\uff00-\uffef]")


@dataclass(frozen=True)
class Message:
    """One turn of a dialogue."""

    role: str
    """system, user or assistant."""
    content: str
    learn: bool = True
    """Whether an answer is learned; one that is not is only what the next turns follow."""


@dataclass(frozen=True)
class Preference:
    """Two answers to one conversation, of which people like the first better."""

    prompt: tuple[Message, ...]
    """The conversation up to the user's last turn."""
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Dialogue:
    """A dialogue as the model sees it."""

    ids: list[int]
    """Token ids, from [DOC] to the last [END]."""
    mask: list[bool]
    """For each id whether the model learns to produce it: the answers and their [END]."""

    def table(self, tokenizer: Tokenizer) -> list[tuple[str, str, bool]]:
        """For each position: the token, the label (the token that follows), whether it is learned."""
        texts = [
            tokenizer.decode([i], special=True) if i in tokenizer.hidden else t
            for i, t in zip(self.ids, tokenizer.tokens(self.ids), strict=True)
        ]
        return list(zip(texts, texts[1:], self.mask[1:], strict=False))


def turn(question: str, answer: str) -> list[Message]:
    """The messages of one question with its answer."""
    return [Message("user", question), Message("assistant", answer)]


def answer_text(answer: str) -> str:
    """The answer as it follows `AI:`: with a space, unless it begins with a Chinese character."""
    answer = answer.strip()
    return space_before(answer) + answer


def space_before(answer: str) -> str:
    """A space, or nothing before a Chinese character."""
    return "" if NO_SPACE_BEFORE.match(answer) else " "


def clean_answer(written: str) -> str:
    """The answer in what a model wrote after `AI:`, without white space around it: undoes `answer_text`."""
    return written.strip()


def clean_stream(pieces: Iterable[str]) -> Iterator[str]:
    """The same piece by piece: joined, what is yielded is the `clean_answer` of the joined pieces.

    White space is held back until something follows it.
    """
    held: list[str] = []
    begun = False
    for piece in pieces:
        piece = piece if begun else piece.lstrip()
        ready = piece.rstrip()
        if ready:
            yield "".join([*held, ready])
            held, begun = [], True
        held.append(piece[len(ready) :])


def check_order(messages: Sequence[Message]) -> None:
    """Raise ValueError unless the order is: perhaps system, then user, assistant, user, …"""
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    for i, message in enumerate(turns):
        expected = ("user", "assistant")[i % 2]
        if message.role != expected:
            raise ValueError(f"turn {i + 1} is by {message.role!r}: expected {expected!r}")
    if not turns:
        raise ValueError("the dialogue has no turn by the user")


Part = str | int
"""Ordinary text, or the id of a control token."""
Turn = tuple[list[int], list[int] | None]
"""Ids of `USER: … AI:`, and of the answer; None where the answer is still to come."""


def fill(form: str, values: Mapping[str, Sequence[Part]], tokenizer: Tokenizer) -> list[Part]:
    """The parts of a template's text: names of control tokens become ids, {name} the value of that name as it is."""
    special = tokenizer.special_tokens()
    names = "|".join([*map(re.escape, sorted(special, key=len, reverse=True)), r"\{\w+\}"])
    parts: list[Part] = []
    for piece in re.split(f"({names})", form):
        parts += values[piece[1:-1]] if piece[1:-1] in values and piece[0] == "{" else [special.get(piece, piece)]
    return parts


def encode_parts(parts: Iterable[Part], tokenizer: Tokenizer) -> list[int]:
    """Ids of parts in a row; text that meets text is encoded in one."""
    ids: list[int] = []
    text = ""
    for part in [*parts, ""]:
        if isinstance(part, str):
            text += part
        else:
            ids += [*tokenizer.encode(text), part]
            text = ""
    return ids + tokenizer.encode(text)


def encode_turns(messages: Sequence[Message], tokenizer: Tokenizer, first: bool = True) -> list[Turn]:
    """The turns of a dialogue, each part encoded by itself; not the `first` of a dialogue, they begin without the
    opening. Raises ValueError if the roles are not in order."""
    check_order(messages)
    template, turns = TEMPLATES[tokenizer.template], list[Turn]()
    system = (tokenizer.system or template.default) if first else None
    before = template.opening if first else template.between
    for message in messages:
        text = message.content.strip() if template.strip else message.content
        values: dict[str, Sequence[Part]] = {"text": [text], "doc": tokenizer.opening, "system": []}
        if message.role == "system":
            system = text
        elif message.role == "user":
            if system:
                values["system"] = fill(template.system, {"text": [system]}, tokenizer)
            turns.append((encode_parts(fill(before + template.user, values, tokenizer), tokenizer), None))
            before, system = template.between, None
        else:
            values["space"] = [space_before(text)]
            turns[-1] = (turns[-1][0], encode_parts(fill(template.answer, values, tokenizer), tokenizer))
    return turns


def join_turns(turns: Sequence[Turn], doc: int, end: int) -> tuple[list[int], list[bool]]:
    """[DOC], then question, answer, [END] of each turn; and what is learned: the answers and their [END]."""
    ids, mask = [doc], [False]
    for question, answer in turns:
        ids += question
        mask += [False] * len(question)
        if answer is not None:
            ids += [*answer, end]
            mask += [True] * (len(answer) + 1)
    return ids, mask


def encode_dialogue(messages: Sequence[Message], tokenizer: Tokenizer) -> Dialogue:
    """Ids and mask of a dialogue; if it ends with the user's turn, the ids are a prompt to answer.

    Raises ValueError if the roles are not in order.
    """
    (question, answer), *later = encode_turns(messages, tokenizer)
    turns = [(question[1:], answer), *later]
    ids, mask = join_turns(turns, question[0], tokenizer.end)  # the first id, [DOC] in ours, opens the dialogue
    if not all(m.learn for m in messages):
        answers, at = [m for m in messages if m.role == "assistant"], 1
        for (question, answer), message in zip(turns, answers):
            at += len(question)
            size = len(answer or ()) + 1  # its [END]
            if not message.learn:
                mask[at : at + size] = [False] * size
            at += size
    return Dialogue(ids, mask)


def encode_prompt(question: str, tokenizer: Tokenizer) -> list[int]:
    """Ids of one question that waits for its answer: `[DOC] USER: {question} AI:`."""
    return encode_dialogue([Message("user", question)], tokenizer).ids


def cut_dialogue(messages: Sequence[Message], tokenizer: Tokenizer, n_ctx: int) -> list[Message]:
    """As many whole turns from the beginning as fit into the context; empty if the first does not.

    Cutting inside an answer would teach to stop in the middle; cutting its [END], never to stop.
    Each turn is encoded once.
    """
    head = 1 if messages and messages[0].role == "system" else 0
    whole = messages[: len(messages) - (len(messages) - head) % 2]  # without a question that has no answer
    if len(whole) <= head:
        return []
    size = kept = 0
    for question, answer in encode_turns(whole, tokenizer):
        size += len(question) + len(answer or ()) + 1  # [END]
        if size > n_ctx:
            break
        kept += 2
    return list(whole[: head + kept]) if kept else []


def fit_prompt(messages: Sequence[Message], tokenizer: Tokenizer, n_ctx: int, reserve: int) -> list[int]:
    """Ids of a conversation that waits for an answer: the oldest turns are left out until it fits.

    `reserve` tokens are kept free for the answer; the system message and the last question stay. Only
    the turns that may stay are encoded, from the last one back.
    """
    check_order(messages)
    head = list(messages[:1]) if messages[0].role == "system" else []
    turns = list(messages[len(head) :])
    start = len(turns) - 2 + len(turns) % 2  # of the last question
    # what comes before it; a token may be saved where two texts meet
    last = turns[start:]
    size = len(encode_dialogue(head + last, tokenizer).ids) - 1
    while start >= 2 and size + reserve < n_ctx:
        start -= 2
        size += sum(
            len(question) + len(answer or ())
            for question, answer in encode_turns(turns[start : start + 2], tokenizer, first=False)
        )
    ids = encode_dialogue(head + turns[start:], tokenizer).ids
    while len(ids) + reserve > n_ctx and start + 2 < len(turns):
        start += 2
        ids = encode_dialogue(head + turns[start:], tokenizer).ids
    return ids
