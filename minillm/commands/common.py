"""What several commands need."""

from dataclasses import fields
from pathlib import Path

from minillm.tokenizer import Tokenizer


def only(kind: type, values: object):
    """The part of a command's values that makes up a config."""
    return kind(**{f.name: getattr(values, f.name) for f in fields(kind)})


def read_tokenizer(name: str | None) -> Tokenizer | None:
    """A tokenizer by folder or by the name gpt2."""
    if name is None:
        return None
    return Tokenizer.gpt2() if name == "gpt2" else Tokenizer.load(Path(name))
