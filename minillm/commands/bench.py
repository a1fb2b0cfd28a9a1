"""The command `bench`: speed and memory, next to others."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from minillm.measure.bench.plan import Plan, quick
from minillm.measure.bench.publish import publish
from minillm.measure.bench.rows import show_table
from minillm.measure.bench.runner import PARTS, run_bench
from minillm.plumbing.checks import at_least_1
from minillm.plumbing.files import InputError


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure speed and memory next to plain PyTorch and, where installed, transformers and tokenizers."""

    parts: Annotated[
        tuple[Literal["train", "load", "loss", "generate", "tokenizer", "memory", "growth", "all"], ...],
        tyro.conf.Positional,
    ] = ("all",)
    """What to measure."""
    repeat: int = 5
    """Rounds; in each, all contenders of a row take their turn."""
    json: Path | None = None
    """File for all figures and the description of the machine."""
    text: Path | None = None
    """A text to learn and for the tokenizers, in UTF-8; the world's own if unset, and then no part `loss`."""
    publish: Path | None = None
    """A folder for the pages SPEED.md and SPEED.zh.md, such as lessons; needs --json."""
    quick: bool = False
    """Tiny sizes, to see that everything works: the figures say nothing."""

    def run(self) -> None:
        at_least_1(self, "repeat")
        if self.publish is not None and (self.json is None or not self.publish.is_dir()):
            raise InputError(f"--publish {self.publish}: name a folder that is there, and a file with --json")
        plan = quick(self.repeat, self.text) if self.quick else Plan(self.repeat, self.text)
        chosen = PARTS if "all" in self.parts or not self.parts else dict.fromkeys(self.parts)
        print(show_table(run_bench(list(chosen), plan, self.json)))
        if self.publish is not None and self.json is not None:
            publish(self.json, self.publish, f"python -m minillm bench {self.words()}")

    def words(self) -> str:
        """What was typed, as far as it changes the figures: the text by its name, without its folder."""
        text = "" if self.text is None else f" --text {self.text.name}"
        return f"{' '.join(self.parts)} --repeat {self.repeat}{text}{' --quick' if self.quick else ''}"
