"""A student's own functions in the real pipeline: `demo --with-homework lessons`.

A function that passes its grading takes the place of the framework's while the demo runs. Only then is
the student's file loaded into this process: it is their own work on their own machine.
"""

import importlib
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minillm.homework import gradebook
from minillm.homework.grade import grade
from minillm.homework.sandbox import Sandbox
from minillm.lora import LoRALinear
from minillm.sampling import Sampling, probabilities


@dataclass(frozen=True)
class Part:
    """A place of the framework that a homework function can take."""

    lesson: int
    exercise: str
    place: str
    """The framework's own function: module and name (`Class.method` too)."""
    adapt: Callable[[Callable], Callable] = lambda student: student
    """From the student's function to one with the arguments of the framework's."""
    trial: Callable[[Callable], Any] = lambda function: None
    """Calls the function as training will; what it returns must carry a gradient (None: nothing to try)."""


def own_mask(student: Callable) -> Callable:
    def causal_mask(t: int, s: int, device: torch.device | str = "cpu") -> Tensor:
        return torch.as_tensor(student(t, s), dtype=torch.bool, device=device)

    return causal_mask


def own_attention(student: Callable) -> Callable:
    def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if mask is not None:  # a query that may look at nothing is padding; the exercise promises there is none
            mask = mask | ~mask.any(-1, keepdim=True)
        mixture, weights = student(q, k, v, mask)
        return mixture.to(v.dtype), weights

    return attention


def own_probabilities(student: Callable) -> Callable:
    def own(logits: Tensor, sampling: Sampling, seen: Tensor | None = None) -> Tensor:
        if sampling.top_k is not None or sampling.repetition_penalty != 1:  # not part of the exercise
            return probabilities(logits, sampling, seen)
        return student(logits.float(), sampling.temperature, sampling.top_p)

    return own


def own_lora(student: Callable) -> Callable:
    original = LoRALinear.forward

    def forward(self: LoRALinear, x: Tensor) -> Tensor:
        if self.merged or self.config.dropout or self.base.bias is not None:
            return original(self, x)
        return student(x, self.base.weight, self.A, self.B, self.config.alpha)

    return forward


def own_log_probs(student: Callable) -> Callable:
    def sequence_log_probs(logits: Tensor, batch: Any) -> Tensor:
        return student(logits.float(), batch.targets, batch.weights)

    return sequence_log_probs


def inputs(*shapes: tuple[int, ...]) -> list[Tensor]:
    return [torch.ones(shape, requires_grad=True) for shape in shapes]


PARTS = (
    Part(3, "causal_mask", "minillm.gpt.causal_mask", own_mask),
    Part(3, "attention", "minillm.gpt.attention", own_attention,
         lambda f: f(*inputs((1, 1, 2, 4), (1, 1, 2, 4), (1, 1, 2, 4)), None)[0]),
    Part(4, "rotate", "minillm.gpt.rotate",
         trial=lambda f: f(*inputs((1, 1, 2, 4)), torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))),
    Part(5, "probabilities", "minillm.generate.probabilities", own_probabilities),
    Part(6, "learning_rate_scale", "minillm.optim.learning_rate_scale"),
    Part(7, "encode_dialogue", "minillm.chat.join_turns"),
    Part(8, "lora_forward", "minillm.lora.LoRALinear.forward", own_lora,
         lambda f: f(*inputs((2, 3), (4, 3), (1, 3), (4, 1)), 2.0)),
    Part(13, "sequence_log_probs", "minillm.stage3_preference.pairs.sequence_log_probs", own_log_probs,
         lambda f: f(*inputs((1, 2, 3)), torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2))),
    Part(13, "dpo_loss", "minillm.stage3_preference.dpo.dpo_loss",
         trial=lambda f: f(*inputs((2,), (2,)), torch.zeros(2), torch.zeros(2), 0.5)),
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """What became of each part."""

    used: dict[str, Callable]
    """Exercise -> the student's function."""
    left: dict[str, str]
    """Exercise -> why the framework's own is used."""


def can_train(part: Part, function: Callable) -> bool:
    """Whether gradients flow through what the function returns, where the pipeline needs them."""
    try:
        result = part.trial(function)
    except Exception:  # whatever a student's function raises: it cannot be used
        return False
    return result is None or (isinstance(result, Tensor) and result.requires_grad and result.dtype == torch.float32)


def choose(folder: Path, parts: Sequence[Part] = PARTS) -> Choice:
    """Grade every part and load those that pass. Raises InputError for a lesson that has no such exercise."""
    used: dict[str, Callable] = {}
    left: dict[str, str] = {}
    with Sandbox() as sandbox:
        for part in parts:
            lesson, exercise = gradebook.choose(part.lesson, part.exercise)[0]
            file = gradebook.find_file(folder, lesson)
            status = "todo"
            if file is not None:
                status = grade(sandbox, file, lesson, exercise, gradebook.default_seeds()).status
            if status != "right":
                left[part.exercise] = {"todo": "to do", "wrong": "wrong"}[status]
                continue
            function = runpy.run_path(str(file))[part.exercise]
            if can_train(part, function):
                used[part.exercise] = function
            else:
                left[part.exercise] = "right, but gradients cannot flow through it: use torch, in float32"
    return Choice(used, left)


def owners(place: str) -> list[tuple[Any, str]]:
    """Everything in the framework that holds the function at a place: (module or class, name in it).

    `from minillm.gpt import attention` binds the function in the importing module too, so each loaded module
    is looked through; the graders' own references are left out: they decide what is right.
    """
    module, _, name = place.rpartition(".")
    if module not in sys.modules and module[module.rfind(".") + 1].isupper():  # Class.method
        owner = getattr(importlib.import_module(module.rpartition(".")[0]), module.rpartition(".")[2])
        return [(owner, name)]
    original = getattr(importlib.import_module(module), name)
    loaded = [m for n, m in list(sys.modules.items())
              if n.partition(".")[0] == "minillm" and not n.startswith("minillm.homework") and m is not None]  # fmt: skip
    return [(m, key) for m in loaded for key, value in list(vars(m).items()) if value is original]


@contextmanager
def installed(used: Mapping[str, Callable], parts: Sequence[Part] = PARTS) -> Iterator[None]:
    """Let the chosen functions take the framework's place, and put its own back at the end."""
    before: list[tuple[Any, str, Any]] = []
    try:
        for part in parts:
            if part.exercise in used:
                replacement = part.adapt(used[part.exercise])
                for owner, name in owners(part.place):
                    before.append((owner, name, getattr(owner, name)))
                    setattr(owner, name, replacement)
        yield
    finally:
        for owner, name, original in reversed(before):
            setattr(owner, name, original)
