"""Rounds: answers are sampled once, and several updates learn from them.

From the second update on, the policy that learns is no longer the one that sampled. A run that is interrupted there and
goes on needs the older policy again: it is kept as parameters of the model on which no loss depends, so that each
checkpoint holds it, and the same answers are sampled anew.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from minillm import lora
from minillm.batching import shuffled
from minillm.gpt import GPT, count_parameters

T = TypeVar("T")
NUMBERS = 2**24  # integers that float32 holds exactly


class Kept(nn.Module):
    """The policy that sampled a round, and where in the round the run is."""

    def __init__(self, model: GPT, prompts: int):
        super().__init__()
        learned = [p for p in model.parameters() if p.requires_grad]
        self.policy = nn.ParameterList(p.detach().clone() for p in learned)
        self.learner = (learned,)  # in a tuple, and so not once more parameters of this module
        self.clock = nn.Parameter(torch.full((3 + prompts,), -1.0, device=model.device))
        """Number drawn for the last update, seed of the round, update within it, and the prompts' numbers."""

    @torch.no_grad()
    def keep(self) -> None:
        """Remember the policy as it is now."""
        for kept, p in zip(self.policy, self.learner[0], strict=True):
            kept.copy_(p)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model is the policy that sampled, until the block ends."""
        now = [p.data for p in self.learner[0]]
        try:
            for p, kept in zip(self.learner[0], self.policy, strict=True):
                p.data = kept.data
            yield
        finally:
            for p, data in zip(self.learner[0], now, strict=True):
                p.data = data


class Rounds(Generic[T]):
    """The rounds of one run, for `finetune`: `attach` is its `adapt`, `measure` its `measure`."""

    def __init__(
        self,
        config: Any,
        begin: Callable[[GPT, Sequence[int], int], T],
        figure: Callable[[GPT], float],
        facts: dict[str, float],
        parts: Mapping[str, nn.Module] | None = None,
    ):
        """`begin(model, prompts, seed)` samples; `figure(model)` is measured before and after; `parts` are trained with
        the model and not saved with it."""
        self.config, self.begin, self.figure, self.facts, self.parts = config, begin, figure, facts, dict(parts or {})
        self.current: T | None = None
        self.measured = False

    def attach(self, model: GPT) -> None:
        """Give the model its adapters, if it is to have some, and what is only there while it learns."""
        if self.config.lora:
            lora.inject(model, self.config.adapters, self.config.seed)
        for name, part in self.parts.items():
            model.add_module(name, part.to(model.device))
        self.facts["trained_parameters"] = count_parameters(model, trainable_only=True)
        self.kept = self.parts["kept"] = Kept(model, self.config.batch_size)
        model.add_module("kept", self.kept)

    def measure(self, model: GPT) -> float:
        """The figure; when it is asked for again, at the end, what is not to be saved is taken off first."""
        if self.measured:
            for name in self.parts:
                delattr(model, name)
        self.measured = True
        return self.figure(model)

    def update(self, model: GPT, drawn: Sequence[int]) -> tuple[T, Tensor]:
        """What was sampled in this round, and the rows that this update learns from.

        The loop's random state is part of its checkpoints: an update that was interrupted draws the same number again,
        and is not counted twice.
        """
        config, number = self.config, int(torch.randint(NUMBERS, ()))
        last, seed, update, *prompts = (int(value) for value in self.kept.clock.tolist())
        if number != last:
            update = (update + 1) % (config.epochs * config.minibatches)
            if update == 0:
                self.kept.keep()
                self.current, seed, prompts = None, number, list(drawn)
            self.kept.clock.data = torch.tensor([number, seed, update, *prompts], dtype=torch.float32).to(model.device)
        if self.current is None:
            with self.kept.in_place():
                self.current = self.begin(model, prompts, seed)
        answers = len(prompts) * config.group
        rows = shuffled(answers, -(-answers // config.minibatches), update, seed)
        return self.current, torch.tensor(rows, device=model.device)
