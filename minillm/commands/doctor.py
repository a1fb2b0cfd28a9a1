"""The command `doctor`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from minillm.chat import Message, encode_dialogue
from minillm.commands.common import no_effect
from minillm.material import records
from minillm.material.convert import SHAPES
from minillm.measure import doctor
from minillm.own_pairs import recipe_for
from minillm.plumbing.checks import at_least_0
from minillm.plumbing.devices import pick_device
from minillm.plumbing.files import InputError
from minillm.plumbing.terminal import note
from minillm.run_folder import Run, load_run
from minillm.stage2_sft import SFTConfig

GREEN, PLAIN = "\033[32m", "\033[0m"
SHOWN = 400  # characters of a text


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Look at pairs before tuning a base on them, and at what tuning did (--run); convert them (--to)."""

    base: Path
    """Run folder of the base model."""
    pairs: tuple[Path, ...]
    """Files of dialogues, as for sft; with --run best some that were not trained on."""
    tuned: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """Run folder of the tuned model: what changed from the base."""
    to: Literal["alpaca", "sharegpt", "messages", "prompt-completion"] | None = None
    """Write the pairs in another shape, and nothing else."""
    out: Path | None = None
    """The file of --to (JSON lines)."""
    show: int = 2
    """Dialogues to show with what is learned in green."""
    encoding: str | None = None
    """Encoding of files that are not UTF-8, such as gb18030."""
    device: str = "auto"
    """cpu, cuda or mps."""

    def run(self) -> None:
        if (self.to is None) != (self.out is None):
            raise InputError("--to says the shape and --out the file: give both or neither")
        if self.out is not None and self.out.exists():
            raise InputError(f"{self.out}: is there already; choose another --out")
        at_least_0(self, "show")
        dialogues = records.read_dialogues(self.pairs, encoding=self.encoding, announce=print)
        if self.to is not None and self.out is not None:
            no_effect(self, "with --to", "show", "device")
            if self.tuned is not None:
                note("with --to: --run has no effect")
            write_shape(dialogues, self.to, self.out)
            return
        base = load_run(self.base, pick_device(self.device))
        tuned = load_run(self.tuned, pick_device(self.device)) if self.tuned is not None else None
        about_pairs(dialogues)
        before_tuning(base, dialogues, self.show)
        if tuned is not None:
            after_tuning(base, tuned, dialogues)


def about_pairs(dialogues: Sequence[list[Message]]) -> None:
    """How many there are, how many are there twice, and how many ask the same and answer otherwise."""
    again = len(dialogues) - len(set(map(tuple, dialogues)))
    print(f"dialogues that can be used: {len(dialogues)}" + (f", {again} of them as one before" if again else ""))
    if torn := doctor.with_other_answers(dialogues):
        print(
            f"asked more than once, with other answers: {len(torn)}, such as {short(torn[0])!r}: keep one answer each"
        )


def write_shape(dialogues: Sequence[list[Message]], shape: str, out: Path) -> None:
    """The dialogues in another shape; what it cannot say is counted."""
    found = [SHAPES[shape](messages) for messages in dialogues]
    written = [record for record in found if record is not None]
    if not written:
        raise InputError(f"none of {len(found)} dialogues is one question with one answer: take --to messages")
    records.write_records(out, written)
    if len(written) < len(found):
        note(f"{len(found) - len(written)} of {len(found)} dialogues have several turns or a system message: left out")
    print(f"written: {out} ({len(written)} records)")


def before_tuning(base: Run, dialogues: Sequence[list[Message]], show: int) -> None:
    """Lengths, some dialogues as they are learned, what the base answers, the recipe, the loss to expect."""
    found, n_ctx = doctor.lengths(base, dialogues), base.gpt.config.n_ctx
    print(f"tokens: {found.shortest} to {found.longest}, median {found.median}; the context has {n_ctx}")
    if found.too_long:
        print(f"longer than the context: {found.too_long}; sft cuts them at a turn or leaves them out: shorten them")
    loss = doctor.loss_of(base, dialogues)
    for messages in dialogues[:show]:
        print(f"\n{shown(base, messages)}")
    some = doctor.first_turns(dialogues)[:3]
    for (prompt, taught), (text, _) in zip(some, doctor.answers(base, [p for p, _ in some]), strict=True):
        print(f"\nasked:  {short(prompt[-1].content)}\nbase:   {text}\ntaught: {short(taught)}")
    recipe = recipe_for(base, 8, len(dialogues))
    config = {name: recipe.get(name, getattr(SFTConfig, name)) for name in ("steps", "batch_size", "lr")}
    config = ({"lora": 8} if "lora_targets" in recipe else {}) | config
    print("\nsft would take: " + " ".join(f"--{name.replace('_', '-')} {value}" for name, value in config.items()))
    print(f"loss at step 1: about {loss:.2f} nats per token (far more: wrong template or fields)")


def short(text: str) -> str:
    """A text of any length, to be shown."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} … {text[-SHOWN // 2 :]}"


def shown(run: Run, messages: list[Message]) -> str:
    """A dialogue as the model sees it; what is learned in green, or in «» where there is no colour."""
    begin, end = (GREEN, PLAIN) if sys.stdout.isatty() else ("«", "»")
    dialogue = encode_dialogue(messages, run.tokenizer)
    text, start = "", 0
    for i in range(1, len(dialogue.ids) + 1):
        if i == len(dialogue.ids) or dialogue.mask[i] != dialogue.mask[start]:
            part = short(run.tokenizer.decode(dialogue.ids[start:i], special=True))
            text += f"{begin}{part}{end}" if dialogue.mask[start] else part
            start = i
    return text


def after_tuning(base: Run, tuned: Run, dialogues: Sequence[list[Message]]) -> None:
    """What tuning did, with what it means."""
    if strange := doctor.not_from(base, tuned):
        print(f"\n{strange}: what follows compares two models, not one before and after tuning")
    found = doctor.examine(base, tuned, dialogues)
    n = found.asked
    print(f"\nanswers as taught: {found.exact[0]} -> {found.exact[1]} of {n}")
    print(f"loss on the answers: {found.loss[0]:.2f} -> {found.loss[1]:.2f} nats per token")
    print(f"general questions that the base knew: {found.knows} of {found.knew} still right")
    print(
        f"answers that end: {found.ended} of {n}; that repeat themselves: {found.repeated}; that echo: {found.echoed}"
    )
    for line in doctor.advice(found):
        print(f"- {line}")
