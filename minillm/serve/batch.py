"""Continuous batching: rows of several clients share one loop over the KV cache, join when they come and leave when
they are done.

Each row has a seat in the cache, with a length of its own, and draws with its own generator and settings: it gets the
tokens that it would get alone from `generate`. When it leaves, the last row takes its seat, and nobody else moves.
Source: Yu et al. 2022 (Orca, OSDI 2022, iteration-level scheduling).
"""

import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from minillm.generate import lay_out, read
from minillm.gpt import GPT
from minillm.kv_cache import KVCache
from minillm.plumbing.noise import exponential
from minillm.plumbing.one_position import MOST_ROWS, OnePosition
from minillm.plumbing.threads import one_thread
from minillm.sampling import Sampling, occurred, probabilities

SHORT = 8
"""Longer prompts are read before their rows join, shorter ones token by token, along with the tokens of other rows."""
TOGETHER = 1024  # tokens of long prompts that are read at once, padding included


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
    read: int = 0
    """How many of its tokens are in the cache."""
    done: bool = False
    generator: torch.Generator | None = None

    @property
    def next(self) -> int:
        """The token that is read next."""
        return self.prompt[self.read] if self.read < len(self.prompt) else self.new[-1]


class Seats(KVCache):
    """A KV cache whose rows have lengths of their own: each row begins at the first column of its seat."""

    def __init__(self, gpt: GPT):
        super().__init__(gpt.config, 0, 1, gpt.device, gpt.dtype)
        self.n_ctx = gpt.config.n_ctx
        self.lengths: Tensor | None = None  # (B,) where `extend` writes; at `length` in all rows if unset

    def reserve(self, rows: int, columns: int) -> None:
        """Have at least so many seats and columns; what is in them stays."""
        if columns > self.room:
            columns = min(max(columns, 2 * self.room, 64), self.n_ctx)  # twice as many: a text grows token by token
        more = max(0, rows - self.keys.shape[1]), max(0, columns - self.room)
        if any(more):
            # with 0, not empty: what the mask hides counts 0 times, and 0 times NaN would be NaN
            wider = (0, 0, 0, more[1], 0, 0, 0, more[0])  # (L, B, Hkv, room, D), from the last
            self.keys, self.values = F.pad(self.keys, wider), F.pad(self.values, wider)
            self.room += more[1]

    def fill(self, seat: int, source: KVCache, row: int, columns: slice) -> None:
        """Begin a seat with these columns of a row of another cache."""
        for own, other in ((self.keys, source.keys), (self.values, source.values)):
            found = other[:, row, :, columns]  # (L, B, Hkv, room, D) -> (L, Hkv, T, D)
            own[:, seat, :, : found.shape[2]] = found

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write (B, Hkv, 1, D) keys and values where each row ends; return (B, Hkv, S, D) up to the longest row's."""
        b, end = len(k), self.length + 1
        keys, values = self.keys[layer, :b], self.values[layer, :b]  # (L, seats, Hkv, room, D) -> 2 x (B, Hkv, room, D)
        if self.lengths is None:
            keys[:, :, self.length], values[:, :, self.length] = k[:, :, 0], v[:, :, 0]
        else:
            every = torch.arange(b, device=k.device)
            keys[every, :, self.lengths], values[every, :, self.lengths] = k[:, :, 0], v[:, :, 0]
        return keys[:, :, :end], values[:, :, :end]


class Batch:
    """The rows that are being written; row i has seat i of the cache."""

    def __init__(self, gpt: GPT, end: int):
        self.gpt, self.end = gpt.eval(), end
        self.rows: list[Row] = []
        self.cache = Seats(gpt)
        # up to so many rows are faster in NumPy
        self.most = next((n for n in (MOST_ROWS, 1) if OnePosition.is_for(gpt, n)), 0)
        self.one = OnePosition(gpt, self.most) if self.most else None

    @torch.inference_mode()
    def advance(self, fresh: Sequence[Row]) -> None:
        """Let done rows leave and `fresh` ones join; then read one token of every row and draw what follows."""
        with one_thread(self.most > 1):
            self.leave()
            if fresh:
                self.join(fresh)
                self.leave()  # some are done with their first token
            if self.rows:
                self.step()

    def leave(self) -> None:
        """Free the seats of rows that are done; the last row takes the place of one that leaves."""
        for i in reversed(range(len(self.rows))):
            if self.rows[i].done or self.rows[i].cancelled:
                last, seat = self.rows.pop(), len(self.rows)
                if i < seat:
                    self.rows[i] = last
                    self.cache.fill(i, self.cache, seat, slice(last.read))
        if not self.rows:
            self.cache = Seats(self.gpt)

    def join(self, fresh: Sequence[Row]) -> None:
        """Give each a seat; read long prompts, several of like length at once, and draw what follows them."""
        # the more rows there are, the less a token costs that is read along with theirs; a large model gains nothing
        short = SHORT + len(self.rows) if self.most > 1 else 0
        long = sorted((row for row in fresh if len(row.prompt) > short), key=lambda row: len(row.prompt))
        self.rows += fresh
        for row in fresh:
            row.generator = torch.Generator(self.gpt.device).manual_seed(row.sampling.seed)
        self.cache.reserve(len(self.rows), max(len(row.prompt) for row in fresh))
        while long:
            count = max(1, TOGETHER // len(long[-1].prompt))
            long, group = long[:-count], long[-count:]
            ids, padding = lay_out([row.prompt for row in group], [0] * len(group), 0, self.gpt.device)  # (G, T)
            cache = KVCache(self.gpt.config, len(ids), ids.shape[1], self.gpt.device, self.gpt.dtype)
            logits = read(self.gpt, ids, padding, cache)  # (G, T) -> (G, V)
            for i, row in enumerate(group):
                row.read = len(row.prompt)
                self.cache.fill(self.rows.index(row), cache, i, slice(-row.read, None))
            self.draw(group, logits)

    def step(self) -> None:
        """Read one token of every row; those whose prompt is read get a new one."""
        logits = self.scores()  # (B, V)
        for row in self.rows:
            row.read += 1
        ready = [i for i, row in enumerate(self.rows) if row.read >= len(row.prompt)]
        self.draw([self.rows[i] for i in ready], logits[ready])  # (B, V) -> (R, V)

    def scores(self) -> Tensor:
        """Scores of what follows the next token of each row: (B, V)."""
        ids = torch.tensor([row.next for row in self.rows], device=self.gpt.device)  # (B,)
        lengths = [row.read for row in self.rows]
        longest = max(lengths)
        self.cache.reserve(len(self.rows), longest + 1)
        if self.one and len(ids) <= self.most:
            return self.one(ids, self.cache, lengths)
        self.cache.length, self.cache.lengths = longest, None
        seen = at = None
        if min(lengths) < longest:
            self.cache.lengths = torch.tensor(lengths, device=self.gpt.device)  # (B,)
            at = self.cache.lengths[:, None]  # (B,) -> (B, 1)
            columns = torch.arange(longest + 1, device=self.gpt.device)  # (S)
            seen = (columns <= at)[:, None, None]  # (S) and (B, 1) -> (B, 1, 1, S)
        return self.gpt(ids[:, None], seen, at, self.cache)[:, -1]  # (B, 1, V) -> (B, V)

    def draw(self, rows: Sequence[Row], logits: Tensor) -> None:
        """Choose the next token of each row from its scores (R, V); rows that draw in the same way share the work."""
        alike: dict[object, list[int]] = {}
        for i, row in enumerate(rows):
            how = row.sampling
            alike.setdefault((how.temperature, how.top_k, how.top_p, how.repetition_penalty), []).append(i)
        for group in alike.values():
            self.draw_alike([rows[i] for i in group], logits if len(alike) == 1 else logits[group])  # (R, V) -> (G, V)

    def draw_alike(self, rows: Sequence[Row], logits: Tensor) -> None:
        """The same for rows that draw in the same way (G, V); hand the tokens out."""
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
        p = p / exponential([row.generator for row in rows if row.generator], p.shape[1])  # (G, V)
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
