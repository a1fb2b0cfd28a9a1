"""What a tuning of one's own pairs will meet, and what it did: figures with what each means and what to change.

The general questions are simple facts in English (general.csv); those that a base answers right are what it can forget.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

from minillm.assistant import Assistant
from minillm.chat import Message, encode_dialogue
from minillm.measure.drift import parameter_drift
from minillm.measure.loss import answer_loss
from minillm.plumbing.devices import autocast
from minillm.plumbing.files import InputError, read_json
from minillm.run_folder import Run
from minillm.sampling import Sampling

GENERAL = Path(__file__).parent / "general.csv"
MOST = 100  # questions asked of each kind
FIRST = 32  # dialogues that a loss is measured on: the scores of a large vocabulary take gigabytes
Answers = list[tuple[str, bool]]


@dataclass(frozen=True)
class Lengths:
    """Tokens of dialogues."""

    shortest: int
    median: int
    longest: int
    too_long: int
    """Dialogues that do not fit into the context."""


def lengths(run: Run, dialogues: Sequence[Sequence[Message]]) -> Lengths:
    sizes = sorted(len(encode_dialogue(d, run.tokenizer).ids) for d in dialogues)
    return Lengths(sizes[0], round(median(sizes)), sizes[-1], sum(n > run.gpt.config.n_ctx for n in sizes))


def loss_of(run: Run, dialogues: Sequence[Sequence[Message]]) -> float:
    """Mean loss on the answers' tokens, in nats, of the first dialogues that fit. Raises InputError if none does."""
    encoded = (encode_dialogue(d, run.tokenizer) for d in dialogues)
    n_ctx = run.gpt.config.n_ctx
    fitting = list(islice((d for d in encoded if len(d.ids) <= n_ctx), FIRST))
    if not fitting:
        raise InputError(f"none of {len(dialogues)} dialogues fits whole into the context of {n_ctx} tokens: shorten "
                         "them, or take a base with a longer one")  # fmt: skip
    return answer_loss(run.gpt, fitting, run.tokenizer.pad)


def first_turns(dialogues: Sequence[Sequence[Message]]) -> list[tuple[list[Message], str]]:
    """Of each dialogue the messages up to the first question, and its answer."""
    found = []
    for messages in dialogues[:MOST]:
        at = next(i for i, m in enumerate(messages) if m.role == "assistant")
        found.append((list(messages[:at]), messages[at].content))
    return found


def with_other_answers(dialogues: Iterable[Sequence[Message]]) -> list[str]:
    """Questions that are asked again, after the same messages, and get another answer there."""
    found: dict[tuple[Message, ...], set[str]] = {}
    for messages in dialogues:
        for at, message in enumerate(messages):
            if message.role == "assistant" and message.learn:
                found.setdefault(tuple(messages[:at]), set()).add(plain(message.content))
    return [before[-1].content for before, given in found.items() if len(given) > 1]


def not_from(base: Run, tuned: Run) -> str | None:
    """Why a run cannot have been tuned from a base, or does not look like it; None if it does."""
    where = f"{tuned.folder} and {base.folder}"
    if tuned.gpt.config != base.gpt.config:
        return f"{where} are models of different shapes"
    if tuned.tokenizer.sha256() != base.tokenizer.sha256():
        return f"{where} have different tokenizers"
    drift = parameter_drift(base.gpt, tuned.gpt)
    if not drift:
        return f"{where} are the same model"
    return f"{where} differ by {drift:.0%} of the weights, far more than tuning moves them" if drift > 0.5 else None


def answers(run: Run, prompts: Sequence[list[Message]], most: int = 64) -> Answers:
    """Greedy answers, and whether each ended; products in bf16 where that is faster."""
    with autocast(run.gpt.device, "auto"):
        return Assistant(run).answers(prompts, Sampling(max_new_tokens=most))


def plain(text: str) -> str:
    """A text without case, white space and punctuation at its ends."""
    return re.sub(r"\s+", " ", text).strip(" .!?。！？\"'").casefold()


def repeats(text: str) -> bool:
    """Whether a text ends in the same words, at least three times in a row."""
    return bool(re.search(r"(.{4,80}?)\1{2,}\W*$", f" {text}", re.DOTALL))


def general_questions() -> list[tuple[str, list[str]]]:
    """Questions and what an answer must contain one of."""
    with GENERAL.open(encoding="utf-8", newline="") as file:
        return [(row["question"], row["accepted"].split("|")) for row in csv.DictReader(file)]


def known(run: Run, questions: Sequence[tuple[str, list[str]]]) -> list[bool]:
    """Whether a model answers each general question right."""
    given = answers(run, [[Message("user", q)] for q, _ in questions], most=24)
    return [contains(text, accepted) for (text, _), (_, accepted) in zip(given, questions, strict=True)]


def contains(text: str, accepted: Iterable[str]) -> bool:
    """Whether a text has one of these, as whole words and numbers: 17:50 is not 7:50. Chinese has no such borders."""
    return any(re.search(rf"(?<![a-z0-9]){re.escape(a)}(?![a-z0-9])", text, re.IGNORECASE) for a in accepted)


@dataclass(frozen=True)
class Examination:
    """A base and what was tuned from it, on the same questions."""

    exact: tuple[int, int]
    """Answers as taught, before and after."""
    loss: tuple[float, float]
    asked: int
    knew: int
    """General questions that the base answers right."""
    knows: int
    """Of these, those that the tuned model still does."""
    ended: int
    """Answers of the tuned model that end."""
    repeated: int
    echoed: int
    """Answers that begin with the question."""
    reviewed: bool = False
    """Whether tuning reviewed the base's own answers already."""


def examine(base: Run, tuned: Run, dialogues: Sequence[Sequence[Message]]) -> Examination:
    """Ask both models the questions of the dialogues and the general ones."""
    turns = first_turns(dialogues)
    before, after = (answers(run, [prompt for prompt, _ in turns]) for run in (base, tuned))
    exact = [
        sum(plain(text) == plain(a) for (text, _), (_, a) in zip(given, turns, strict=True))
        for given in (before, after)
    ]
    reviewed = tuned.folder is not None and read_json(tuned.folder / "report.json", dict).get("reviewed", 0) > 0
    general = general_questions()
    kept = [q for q, right in zip(general, known(base, general), strict=True) if right]
    asked = [plain(prompt[-1].content) for prompt, _ in turns]
    return Examination(
        (exact[0], exact[1]), (loss_of(base, dialogues), loss_of(tuned, dialogues)), len(turns), len(kept),
        sum(known(tuned, kept)) if kept else 0, sum(ended for _, ended in after), sum(repeats(text) for text, _ in after),
        sum(plain(text).startswith(q) for (text, _), q in zip(after, asked, strict=True)), reviewed,
    )  # fmt: skip


def advice(found: Examination) -> list[str]:
    """What the figures mean and what to change, a line each."""
    lines = []
    if found.exact[1] < 0.5 * found.asked and found.loss[1] > 0.3 * found.loss[0]:
        lines.append("few answers are as taught: it has not learned the pairs yet: more --steps, or a higher --lr")
    elif found.exact[1] < 0.5 * found.asked:
        lines.append(
            "the loss fell but few answers are as taught word for word: read some; if they say the same, all is well"
        )
    if found.knew and found.knows < 0.9 * found.knew:
        fix = "" if found.reviewed else "--rehearse-own 48, "
        lines.append(f"it has forgotten what the base knew: {fix}fewer --steps, or a lower --lr")
    if found.ended < 0.9 * found.asked:
        lines.append(
            "answers do not end: the pairs' answers may be cut, longer than the context, or hold end marks as text"
        )
    if found.repeated > 0.1 * found.asked:
        lines.append("answers repeat themselves: too many --steps on too few pairs: halve them, or write more pairs")
    if found.echoed > 0.1 * found.asked:
        lines.append(
            "answers echo the question: look whether the pairs' answers begin with it, or the fields are swapped"
        )
    return lines or ["nothing to change"]
