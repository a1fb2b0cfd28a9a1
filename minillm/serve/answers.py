"""What a client gets, in OpenAI's form: text without half characters, up to a stop; log-probabilities; usage.

A candidate also tells its id and, as `drawn`, its probability after temperature, top-k and top-p.
"""

import codecs
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minillm.serve.batch import Candidate, Drawn
from minillm.serve.requests import Job
from minillm.tokenizer import Tokenizer

Told = list[tuple[Candidate, tuple[Candidate, ...]]]
"""Tokens with what else could have been there."""


class Writer:
    """One choice as it is written: tokens go in, text comes out that can no longer turn out to be part of a stop."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str], chat: bool):
        self.tokenizer, self.stops, self.chat = tokenizer, stops, chat
        self.pending = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.text, self.held, self.tokens, self.stopped = "", "", 0, False
        self.told: Told = []
        self.finish: str | None = None

    def push(self, *drawn: Drawn) -> str:
        """The text that is settled by these tokens. An answer in a chat has no white space around it."""
        self.tokens, finish = self.tokens + len(drawn), drawn[-1].finish
        raw = self.tokenizer.bytes_of(d.token for d in drawn if d.token not in self.tokenizer.hidden)
        self.held += self.pending.decode(raw, final=finish is not None)
        if self.chat and not self.text:
            self.held = self.held.lstrip()
        found = [at for stop in self.stops if (at := self.held.find(stop)) >= 0]
        self.stopped, end = bool(found), min(found, default=len(self.held))
        if not found and not finish:
            end -= max((overlap(self.held, stop) for stop in self.stops), default=0)
        if self.chat:
            end = len(self.held[:end].rstrip())
        self.told += [(d.chosen, d.top) for d in drawn if d.chosen and d.finish != "stop"]  # its end has no text
        self.finish = "stop" if found else finish
        ready, self.held = self.held[:end], self.held[end:]
        self.text += ready
        return ready


def overlap(text: str, stop: str) -> int:
    """Length of the longest end of a text that a stop could begin with."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


@dataclass
class Form:
    """The form of one answer: its id, and how chunks, choices and usage are written."""

    job: Job
    tokenizer: Tokenizer
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def answer(self, choices: list[dict[str, Any]], chunk: bool = True) -> dict[str, Any]:
        """Choices as a part of a stream, or as all there is."""
        kind, prefix = ("chat.completion", "chatcmpl-") if self.job.chat else ("text_completion", "cmpl-")
        kind += ".chunk" * (chunk and self.job.chat)
        about = {"id": prefix + self.id, "object": kind, "created": self.created, "model": self.job.model}
        return about | {"choices": choices}

    def opening(self, index: int) -> dict[str, Any]:
        """The first chunk of a choice in a chat: who speaks."""
        delta = {"role": "assistant", "content": ""}
        return self.answer([{"index": index, "delta": delta, "finish_reason": None}])

    def chunk(self, index: int, text: str, told: Told, finish: str | None) -> dict[str, Any]:
        """What is new in a choice."""
        content = {"delta": {"content": text} if text else {}} if self.job.chat else {"text": text}
        logprobs = self.logprobs(told)
        return self.answer([{"index": index, **content, "logprobs": logprobs, "finish_reason": finish}])

    def whole(self, writers: Sequence[Writer]) -> dict[str, Any]:
        """All choices as they were written."""
        choices = []
        for index, writer in enumerate(writers):
            text = writer.text
            content = {"message": {"role": "assistant", "content": text}} if self.job.chat else {"text": text}
            logprobs = self.logprobs(writer.told)
            choices.append({"index": index, **content, "logprobs": logprobs, "finish_reason": writer.finish})
        return self.answer(choices, chunk=False) | {"usage": self.usage(writers)}

    def usage(self, writers: Sequence[Writer]) -> dict[str, int]:
        """Tokens read and written; those of a prompt count once."""
        read, new = sum(map(len, self.job.prompts)), sum(writer.tokens for writer in writers)
        return {"prompt_tokens": read, "completion_tokens": new, "total_tokens": read + new}

    def logprobs(self, told: Told) -> dict[str, Any] | None:
        """The log-probabilities of tokens, None where they are not asked for."""
        if self.job.top is None:
            return None
        if self.job.chat:
            of = self.candidate
            return {"content": [of(chosen) | {"top_logprobs": [*map(of, top)]} for chosen, top in told]}
        return {
            "tokens": [token_text(chosen.id, self.tokenizer) for chosen, _ in told],
            "token_logprobs": [chosen.logprob for chosen, _ in told],
            "top_logprobs": [{token_text(c.id, self.tokenizer): c.logprob for c in top} for _, top in told],
        }

    def candidate(self, c: Candidate) -> dict[str, Any]:
        """A candidate in a chat's form; a control token has no bytes."""
        raw = None if c.id in self.tokenizer.hidden else list(self.tokenizer.bytes_of([c.id]))
        text = token_text(c.id, self.tokenizer)
        return {"token": text, "logprob": c.logprob, "bytes": raw, "id": c.id, "drawn": c.drawn}


def token_text(i: int, tokenizer: Tokenizer) -> str:
    """A token's text, for a control token its name."""
    return tokenizer.decode([i], special=True) if i in tokenizer.hidden else tokenizer.tokens([i])[0]
