"""Continuous batching: rows of several clients share one loop over the KV cache, join when they come and leave when
they are done.

Each row draws with its own generator and settings, and padding is never looked at: it gets the tokens that it would
get alone from `generate`. Source: Yu et al. 2022 (Orca, OSDI 2022, iteration-level scheduling).
"""

import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from minillm.generate import read
from minillm.gpt import GPT
from minillm.kv_cache import KVCache
from minillm.plumbing.one_position import MOST_ROWS, OnePosition
from minillm.plumbing.threads import one_thread
from minillm.sampling import Sampling, occurred, probabilities


class Full(Exception):
    """The queue has no room for these rows."""


@dataclass(frozen=True)
class Candidate:
    """A token that could follow."""

    id: int
    logprob: float
    """Logarithm of the model's own probability, in nats."""
    drawn: float
    """Its probability after temperature, top-k and top-p."""


@dataclass(frozen=True)
class Drawn:
    """One new token of a row."""

    token: int
    finish: str | None
    """None: more follows; stop: the model ended its text; length: max_new_tokens; error: the loop broke."""
    chosen: Candidate | None = None
    top: tuple[Candidate, ...] = ()


@dataclass(eq=False)
class Row:
    """One text that is being written."""

    prompt: list[int]
    """At least one id."""
    sampling: Sampling
    emit: Callable[[Drawn], object]
    """Called by the loop's thread with each new token; must not block."""
    top: int | None = None
    """How many candidates to tell of each token; None: not even the chosen one."""
    cancelled: bool = False
    """Set by whoever no longer wants the row: it leaves before the next step."""
    new: list[int] = field(default_factory=list)
    done: bool = False
    generator: torch.Generator | None = None


class Batch:
    """The rows that are being written, and their cache: each ends at its last column, with padding before it."""

    def __init__(self, gpt: GPT, end: int):
        self.gpt, self.end = gpt.eval(), end
        self.rows: list[Row] = []
        self.cache = KVCache(gpt.config, 0, 1, gpt.device, gpt.dtype)
        self.padding: Tensor | None = None
        # up to so many rows are faster in NumPy
        self.most = next((n for n in (MOST_ROWS, 1) if OnePosition.is_for(gpt, n)), 0)
        self.laid_out: dict[bool, OnePosition] = {}  # for several rows, or for one
        self.one: OnePosition | None = None

    @torch.inference_mode()
    def advance(self, fresh: Sequence[Row]) -> None:
        """Let done rows leave, `fresh` ones join with their first token, and give every row one token."""
        with one_thread(self.most > 1):
            kept = [i for i, row in enumerate(self.rows) if not (row.done or row.cancelled)]
            joined = [(row, self.first_token(row)) for row in fresh]
            joined = [(row, cache) for row, cache in joined if not row.done]
            if joined or len(kept) < len(self.rows):
                self.repack(kept, joined)
            if self.rows:
                self.next_tokens()

    def next_tokens(self) -> None:
        """Give every row one token; those that draw in the same way share the work."""
        ids = torch.tensor([row.new[-1] for row in self.rows], device=self.gpt.device)  # (B,)
        # (B,) -> (B, V)
        logits = self.one(ids) if self.one else read(self.gpt, ids[:, None], self.padding, self.cache)
        alike: dict[object, list[int]] = {}
        for i, row in enumerate(self.rows):
            how = row.sampling
            alike.setdefault((how.temperature, how.top_k, how.top_p, how.repetition_penalty), []).append(i)
        for group in alike.values():
            self.draw([self.rows[i] for i in group], logits[group])  # (B, V) -> (G, V)

    def first_token(self, row: Row) -> KVCache:
        """Read a row's prompt by itself and draw what follows."""
        n = len(row.prompt)
        cache = KVCache(self.gpt.config, 1, n, self.gpt.device, self.gpt.dtype)
        row.generator = torch.Generator(self.gpt.device).manual_seed(row.sampling.seed)
        ids = torch.tensor([row.prompt], device=self.gpt.device)  # (1, T)
        self.draw([row], read(self.gpt, ids, None, cache))
        return cache

    def repack(self, kept: Sequence[int], joined: Sequence[tuple[Row, KVCache]]) -> None:
        """A cache of the rows that stay and of those that come, no longer than the longest needs."""
        self.rows = [self.rows[i] for i in kept] + [row for row, _ in joined]
        if not self.rows:
            self.cache, self.padding = KVCache(self.gpt.config, 0, 1, self.gpt.device, self.gpt.dtype), None
            return
        lengths = [len(row.prompt) + len(row.new) - 1 for row in self.rows]  # the newest token is not read yet
        longest, begin = max(lengths), 0
        room = longest + max(row.sampling.max_new_tokens - len(row.new) for row in self.rows)
        cache = KVCache(self.gpt.config, len(self.rows), room, self.gpt.device, self.gpt.dtype)
        for old, chosen in [(self.cache, list(kept)), *((own, [0]) for _, own in joined)]:
            end, width = begin + len(chosen), min(old.length, longest)
            rows = torch.tensor(chosen, dtype=torch.long, device=self.gpt.device)  # (G,)
            for new, source in ((cache.keys, old.keys), (cache.values, old.values)):
                new[:, begin:end, :, : longest - width] = 0  # hidden by the mask, but 0 times NaN would still be NaN
                # (L, B, Hkv, width, D) -> (L, G, Hkv, width, D): all rows end at the last column, before and after
                moved = source[:, :, :, old.length - width : old.length].index_select(1, rows)
                new[:, begin:end, :, longest - width : longest] = moved
            begin = end
        cache.length = longest
        padding = [longest - n for n in lengths]
        self.cache = cache
        self.padding = torch.tensor(padding, device=self.gpt.device) if any(padding) else None  # (B,)
        self.one, b = None, len(self.rows)
        if b <= self.most:
            if (b > 1) not in self.laid_out:
                self.laid_out[b > 1] = OnePosition(self.gpt, cache, b)
            self.one = self.laid_out[b > 1]
            self.one.take(cache, b, self.padding)

    def draw(self, rows: Sequence[Row], logits: Tensor) -> None:
        """Choose the next token of rows that draw in the same way from their scores (G, V), and hand them out."""
        penalised = rows[0].sampling.repetition_penalty != 1
        seen = occurred([row.prompt + row.new for row in rows], self.gpt) if penalised else None  # (G, V)
        filtered = probabilities(logits, rows[0].sampling, seen)  # (G, V)
        for row, token, scores, p in zip(rows, chosen_by(rows, filtered), logits, filtered, strict=True):
            row.new.append(token)
            finish = "stop" if token == self.end else "length" if len(row.new) >= row.sampling.max_new_tokens else None
            row.done = finish is not None
            chosen, top = (None, ()) if row.top is None else told(token, scores, p, row.top)
            row.emit(Drawn(token, finish, chosen, top))


def chosen_by(rows: Sequence[Row], p: Tensor) -> list[int]:
    """One id per row from (G, V), drawn with the row's own generator.

    `multinomial` divides by exponential noise and takes the largest. Here each row has its own noise, of the same
    numbers as in `choose`; what follows is done for all rows at once.
    """
    if rows[0].sampling.temperature > 0:
        noise = torch.empty_like(p)
        for row, own in zip(rows, noise, strict=True):  # (V)
            own.exponential_(generator=row.generator)
        p = p / noise
    return p.argmax(-1).tolist()  # (G, V) -> (G)


def told(token: int, scores: Tensor, p: Tensor, top: int) -> tuple[Candidate, tuple[Candidate, ...]]:
    """The chosen token and the most probable ones, from scores and filtered probabilities of one row, (V,) each."""
    own = scores.float().log_softmax(-1)  # (V,)
    best = own.topk(min(top, len(own))).indices.tolist()
    chosen, *others = (Candidate(i, own[i].item(), p[i].item()) for i in [token, *best])
    return chosen, tuple(others)


class Loop:
    """A thread that advances a batch as long as there are rows; others hand theirs in with `submit`."""

    def __init__(self, gpt: GPT, end: int, rows: int = 16, waiting: int = 64):
        self.batch, self.capacity, self.room = Batch(gpt, end), rows, waiting
        self.waiting: deque[Row] = deque()
        self.changed, self.closed = threading.Condition(), False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def submit(self, rows: Sequence[Row]) -> None:
        """Queue rows, all of them or none. Raises Full if there is no room."""
        with self.changed:
            while self.waiting and self.waiting[0].cancelled:
                self.waiting.popleft()
            if len(self.waiting) + len(rows) > self.room:
                raise Full
            self.waiting.extend(rows)
            self.changed.notify()

    def close(self) -> None:
        """End the thread after the step it is in."""
        with self.changed:
            self.closed = True
            self.changed.notify()
        self.thread.join()

    def run(self) -> None:
        while (fresh := self.take()) is not None:
            try:
                self.batch.advance(fresh)
            except Exception:  # an answer is owed to every row, and the next clients are served all the same
                traceback.print_exc()
                for row in {*self.batch.rows, *fresh}:
                    row.emit(Drawn(self.batch.end, "error"))
                self.batch = Batch(self.batch.gpt, self.batch.end)

    def take(self) -> list[Row] | None:
        """The rows that may join now; waits while there is nothing to do; None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.batch.rows or self.closed)
            free = self.capacity - sum(not (row.done or row.cancelled) for row in self.batch.rows)
            fresh: list[Row] = []
            while self.waiting and len(fresh) < free:
                if not (row := self.waiting.popleft()).cancelled:
                    fresh.append(row)
            return None if self.closed else fresh
