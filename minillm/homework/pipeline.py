"""A student's own functions in the real pipeline: `demo --with-homework lessons`.

A function that passes its grading takes the place of the framework's while the demo runs. Only then is
the student's file loaded into this process: it is their own work on their own machine.
"""

import importlib
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minillm.generate import Sampling, probabilities
from minillm.homework import gradebook
from minillm.homework.grade import grade
from minillm.homework.sandbox import Sandbox
from minillm.lora import LoRALinear

Patch = tuple[str, str, Any]
"""Module, the name in it (`Class.method` too), and what stands there while the demo runs."""


@dataclass(frozen=True)
class Part:
    """A place of the framework that a homework function can take."""

    lesson: int
    exercise: str
    patches: Callable[[Callable], list[Patch]]
    """From the student's function to what is put where."""
    trial: Callable[[Callable], Any] = lambda function: None
    """Calls the function as training will; what it returns must carry a gradient (None: nothing to try)."""


def mask_patches(student: Callable) -> list[Patch]:
    def causal_mask(t: int, s: int, device: torch.device | str = "cpu") -> Tensor:
        return torch.as_tensor(student(t, s), dtype=torch.bool, device=device)

    return [(f"minillm.{module}", "causal_mask", causal_mask) for module in ("gpt", "generate", "batching")]


def attention_patches(student: Callable) -> list[Patch]:
    def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if mask is not None:  # a query that may look at nothing is padding; the exercise promises there is none
            mask = mask | ~mask.any(-1, keepdim=True)
        mixture, weights = student(q, k, v, mask)
        return mixture.to(v.dtype), weights

    return [("minillm.gpt", "attention", attention)]


def probabilities_patches(student: Callable) -> list[Patch]:
    def own(logits: Tensor, sampling: Sampling, seen: Tensor | None = None) -> Tensor:
        if sampling.top_k is not None or sampling.repetition_penalty != 1:  # not part of the exercise
            return probabilities(logits, sampling, seen)
        return student(logits.float(), sampling.temperature, sampling.top_p)

    return [("minillm.generate", "probabilities", own)]


def lora_patches(student: Callable) -> list[Patch]:
    original = LoRALinear.forward

    def forward(self: LoRALinear, x: Tensor) -> Tensor:
        if self.merged or self.config.dropout or self.base.bias is not None:
            return original(self, x)
        return student(x, self.base.weight, self.A, self.B, self.config.alpha)

    return [("minillm.lora", "LoRALinear.forward", forward)]


def sequence_patches(student: Callable) -> list[Patch]:
    def sequence_log_probs(logits: Tensor, batch: Any) -> Tensor:
        return student(logits.float(), batch.targets, batch.weights)

    return [("minillm.stage3_preference", "sequence_log_probs", sequence_log_probs)]


def inputs(*shapes: tuple[int, ...]) -> list[Tensor]:
    return [torch.ones(shape, requires_grad=True) for shape in shapes]


PARTS = (
    Part(2, "merge", lambda f: [("minillm.tokenizer", "merge", f)]),
    Part(3, "causal_mask", mask_patches),
    Part(3, "attention", attention_patches, lambda f: f(*inputs((1, 1, 2, 4), (1, 1, 2, 4), (1, 1, 2, 4)), None)[0]),
    Part(4, "rotate", lambda f: [("minillm.gpt", "rotate", f)],
         lambda f: f(*inputs((1, 1, 2, 4)), torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))),
    Part(5, "probabilities", probabilities_patches),
    Part(6, "learning_rate_scale", lambda f: [("minillm.training", "learning_rate_scale", f)]),
    Part(7, "encode_dialogue", lambda f: [("minillm.chat", "join_turns", f)]),
    Part(8, "lora_forward", lora_patches, lambda f: f(*inputs((2, 3), (4, 3), (1, 3), (4, 1)), 2.0)),
    Part(13, "sequence_log_probs", sequence_patches,
         lambda f: f(*inputs((1, 2, 3)), torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2))),
    Part(13, "dpo_loss", lambda f: [("minillm.stage3_preference", "dpo_loss", f)],
         lambda f: f(*inputs((2,), (2,)), torch.zeros(2), torch.zeros(2), 0.5)),
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
    except Exception:  # whatever a student's function raises: it can not be used
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
                left[part.exercise] = "right, but gradients can not flow through it: use torch, in float32"
    return Choice(used, left)


@contextmanager
def installed(used: Mapping[str, Callable], parts: Sequence[Part] = PARTS) -> Iterator[None]:
    """Let the chosen functions stand in the framework's place, and put its own back at the end."""
    before: list[tuple[Any, str, Any]] = []
    try:
        for part in parts:
            for module, name, replacement in part.patches(used[part.exercise]) if part.exercise in used else ():
                owner: Any = importlib.import_module(module)
                *path, last = name.split(".")
                for step in path:
                    owner = getattr(owner, step)
                before.append((owner, last, getattr(owner, last)))
                setattr(owner, last, replacement)
        yield
    finally:
        for owner, name, original in reversed(before):
            setattr(owner, name, original)
