"""What several commands need."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from minillm.open_tokenizer import load_tokenizer
from minillm.plumbing.terminal import note
from minillm.tokenizer import Tokenizer


def only(kind: type, values: object) -> Any:
    """The part of a command's values that makes up a config."""
    return kind(**{f.name: getattr(values, f.name) for f in fields(kind)})


def no_effect(values: object, because: str, *names: str) -> None:
    """Announce those of the named options that were given, although because of another they do nothing."""
    for name in names:
        if getattr(values, name) != getattr(type(values), name):  # a dataclass keeps a default as class attribute
            note(f"{because}: --{name.replace('_', '-')} has no effect")


def read_tokenizer(name: str | None) -> Tokenizer | None:
    """A tokenizer by folder or by the name gpt2."""
    if name is None:
        return None
    return Tokenizer.gpt2() if name == "gpt2" else load_tokenizer(Path(os.path.expanduser(name)))
