"""What several commands need."""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from minillm.open_tokenizer import load_tokenizer
from minillm.plumbing.files import InputError
from minillm.plumbing.terminal import note
from minillm.run_folder import Run
from minillm.tokenizer import Tokenizer


def only(kind: type, values: object) -> Any:
    """The part of a command's values that makes up a config."""
    return kind(**{f.name: getattr(values, f.name) for f in fields(kind)})


def fitted(kind: type, values: object, recipe: Mapping[str, Any]) -> Any:
    """The same, where what was left open (None, but not a default) is as the recipe says, else the config's default."""
    defaults = {f.name: f.default for f in fields(kind)}
    given = {name: getattr(values, name) for name in defaults}
    left = {name for name, value in given.items() if value is None and defaults[name] is not None}
    chosen = {name: recipe.get(name, defaults[name]) for name in left}
    if told := {name: value for name, value in chosen.items() if name in recipe}:
        note(f"for a base of this size: {', '.join(f'{name} {value}' for name, value in sorted(told.items()))}")
    return kind(**given | chosen)


def no_effect(values: object, because: str, *names: str) -> None:
    """Announce those of the named options that were given, although because of another they do nothing."""
    for name in names:
        if getattr(values, name) != getattr(type(values), name):  # a dataclass keeps a default as class attribute
            note(f"{because}: --{name.replace('_', '-')} has no effect")


def check_rank(rank: int, base: Run) -> None:
    """Raise InputError for adapters of a rank that no matrix of the base has: they would take memory for nothing."""
    config = base.gpt.config
    if rank > (most := max(config.n_embd, config.hidden)):
        raise InputError(f"--lora {rank}: the matrices of this base have a rank of {most} at most; 8 is a usual one")


def read_tokenizer(name: str | None) -> Tokenizer | None:
    """A tokenizer by folder or by the name gpt2."""
    if name is None:
        return None
    return Tokenizer.gpt2() if name == "gpt2" else load_tokenizer(Path(os.path.expanduser(name)))
