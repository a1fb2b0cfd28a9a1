"""What a reader finds in users' files, told once: records that cannot be used, fields without a use."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from minillm.material.sources import Source, shown
from minillm.plumbing.files import InputError
from minillm.plumbing.terminal import Progress, first_process, note

SHOWN = 5  # faults shown before they are only counted
END_MARKS = ("<|endoftext|>", "</s>", "<eos>", "<EOS>", "[EOS]", "<|end_of_text|>", "<|eot_id|>", "<|im_end|>",
             "<|im_start|>", "<|end|>", "<end_of_turn>", "<|endofprompt|>", "<bos>", "<|begin_of_text|>",
             "[END]", "[DOC]", "[PAD]")  # fmt: skip


def reading_bar(sources: Sequence[Source]) -> Progress:
    """A bar over the bytes of files; it appears after three seconds."""
    size = sum(source.size for source in sources)
    return Progress(total=size, unit="B", unit_scale=True, desc="reading", delay=3, leave=False,
                    disable=not first_process())  # fmt: skip


class Findings:
    """Counts what is left out and what is worth a word while files are read; `close` tells it.

    strict: what is left out is an error, and all of it is listed. announce: called with each line.
    """

    def __init__(self, strict: bool = False, announce: Callable[[str], object] = note):
        self.strict, self.announce = strict, announce
        self.used = self.left_out = 0
        self.faults: list[str] = []
        self.words: Counter[str] = Counter()
        self.skipped: str | None = None

    def leave_out(self, fault: str) -> None:
        """A record that cannot be used: `file:line: what: how to fix it`."""
        self.left_out += 1
        if self.strict or len(self.faults) < SHOWN:
            self.faults.append(fault)

    def skip(self, name: str, line: int | str, why: str) -> None:
        """A record that is not wrong, but not meant for this use."""
        self.skipped = self.skipped or f"{name}:{line}: {why}"
        self.count(f"{name}: {why}: left out")

    def count(self, what: str, n: int = 1) -> None:
        """Something worth a word, and how often."""
        self.words[what] += n

    def say(self, what: str) -> None:
        """Something worth a word, once."""
        self.words[what] = 0

    def close(self, paths: Sequence[str | Path], what: str = "record") -> None:
        """Tell all. Raises InputError if nothing can be used, or if something cannot and `strict`."""
        if self.strict and self.faults:
            raise InputError("\n".join(self.faults))
        if not self.used:
            n = self.left_out + (self.skipped is not None)
            fault = (self.faults or [self.skipped or f"{', '.join(map(shown, paths))}: no {what}s: put some in"])[0]
            raise InputError(fault + (f" (none of {self.left_out} {what}s can be used)" if n > 1 else ""))
        if not first_process():
            return
        for fault in self.faults:
            self.announce(fault)
        if self.left_out:
            total = self.left_out + self.used
            self.announce(f"{self.left_out} of {total} {what}s left out ({self.used} used); --strict refuses them")
        for words, n in self.words.items():
            self.announce(f"{words} ({n:,} time{'s' * (n > 1)})" if n else words)
