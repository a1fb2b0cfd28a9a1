"""What a client gets, in OpenAI's form: text without half characters, up to a stop; log-probabilities; usage.

A candidate also tells its id and, as `drawn`, its probability after temperature, top-k and top-p.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minillm.serve.batch import Candidate, Drawn
from minillm.serve.requests import Job
from minillm.tokenizer import Tokenizer


class Writer:
    """One choice as it is written: tokens go in, text comes out that can no longer turn out to be part of a stop."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str], chat: bool):
        self.tokenizer, self.stops, self.chat = tokenizer, stops, chat
        self.decoder = tokenizer.stream()
        self.held, self.begun, self.stopped, self.tokens = "", False, False, 0

    def push(self, drawn: Drawn) -> str:
        """The text that is settled by this token. An answer in a chat has no white space around it."""
        self.tokens += 1
        self.held += self.decoder.push(drawn.token) + (self.decoder.finish() if drawn.finish else "")
        if self.chat and not self.begun:
            self.held = self.held.lstrip()
        found = [at for stop in self.stops if (at := self.held.find(stop)) >= 0]
        if found:
            self.stopped, ready = True, self.held[: min(found)]
            return ready.rstrip() if self.chat else ready
        end = len(self.held)
        if not drawn.finish:
            end -= max((overlap(self.held, stop) for stop in self.stops), default=0)
        if self.chat:
            end = len(self.held[:end].rstrip())
        ready, self.held = self.held[:end], self.held[end:]
        self.begun = self.begun or bool(ready)
        return ready


def overlap(text: str, stop: str) -> int:
    """Length of the longest end of a text that a stop could begin with."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


@dataclass
class Piece:
    """What is new in one choice."""

    index: int
    text: str
    drawn: Drawn | None
    """The token whose log-probabilities are told with it; None at the model's end, which has no text."""
    finish: str | None


@dataclass
class Form:
    """The form of one answer: its id, and how pieces, choices and usage are written."""

    job: Job
    tokenizer: Tokenizer
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, chunk: bool) -> dict[str, Any]:
        """What every answer begins with."""
        chat = self.job.chat
        kind = f"chat.completion{'.chunk' * chunk}" if chat else "text_completion"
        prefix = "chatcmpl-" if chat else "cmpl-"
        return {"id": prefix + self.id, "object": kind, "created": self.created, "model": self.job.model}

    def opening(self, index: int) -> dict[str, Any]:
        """The first chunk of a choice in a chat: who speaks."""
        choice = {"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        return self.head(True) | {"choices": [choice]}

    def chunk(self, piece: Piece) -> dict[str, Any]:
        """A piece as a part of a stream."""
        text = {"delta": {"content": piece.text} if piece.text else {}} if self.job.chat else {"text": piece.text}
        told = self.logprobs([piece])
        choice = {"index": piece.index, **text, "logprobs": told, "finish_reason": piece.finish}
        return self.head(True) | {"choices": [choice]}

    def whole(self, pieces: Sequence[Piece], usage: Mapping[str, int]) -> dict[str, Any]:
        """All pieces as one answer."""
        choices = []
        for index in range(len(self.job.prompts) * len(self.job.samplings)):
            own = [piece for piece in pieces if piece.index == index]
            content = "".join(piece.text for piece in own)
            text = {"message": {"role": "assistant", "content": content}} if self.job.chat else {"text": content}
            choices.append({"index": index, **text, "logprobs": self.logprobs(own), "finish_reason": own[-1].finish})
        return self.head(False) | {"choices": choices, "usage": usage}

    def logprobs(self, pieces: Sequence[Piece]) -> dict[str, Any] | None:
        """The log-probabilities of pieces, None where they are not asked for."""
        drawn = [piece.drawn for piece in pieces if piece.drawn is not None]
        if self.job.top is None:
            return None
        if self.job.chat:
            content = [
                self.candidate(d.chosen) | {"top_logprobs": [self.candidate(c) for c in d.top]}
                for d in drawn
                if d.chosen is not None
            ]
            return {"content": content}
        return {
            "tokens": [token_text(d.token, self.tokenizer) for d in drawn],
            "token_logprobs": [d.chosen.logprob for d in drawn if d.chosen is not None],
            "top_logprobs": [{token_text(c.id, self.tokenizer): c.logprob for c in d.top} for d in drawn],
        }

    def candidate(self, c: Candidate) -> dict[str, Any]:
        """A candidate in a chat's form; a control token has no bytes."""
        raw = None if c.id in self.tokenizer.hidden else list(self.tokenizer.bytes_of([c.id]))
        return {
            "token": token_text(c.id, self.tokenizer),
            "logprob": c.logprob,
            "bytes": raw,
            "id": c.id,
            "drawn": c.drawn,
        }


def token_text(i: int, tokenizer: Tokenizer) -> str:
    """A token's text, for a control token its name."""
    return tokenizer.decode([i], special=True) if i in tokenizer.hidden else tokenizer.tokens([i])[0]


def usage(job: Job, written: Sequence[Writer]) -> dict[str, int]:
    """Tokens read and written; those of a prompt count once."""
    read, new = sum(map(len, job.prompts)), sum(writer.tokens for writer in written)
    return {"prompt_tokens": read, "completion_tokens": new, "total_tokens": read + new}
