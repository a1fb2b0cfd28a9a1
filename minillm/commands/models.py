"""The commands that use a model: `chat`, `complete`, `evaluate`."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from minillm import chat, run_folder
from minillm.assistant import Assistant, load
from minillm.commands.common import no_effect, only
from minillm.material import records
from minillm.material.corpus import token_stream
from minillm.material.text_files import TextFiles
from minillm.measure import evaluate
from minillm.measure.loss import answer_loss, text_loss
from minillm.plumbing.checks import a_seed
from minillm.plumbing.devices import pick_device
from minillm.plumbing.files import InputError, read_json
from minillm.plumbing.terminal import note
from minillm.sampling import Sampling, window_start
from minillm.stage2_sft import prepare
from minillm.world import exam, tables


@dataclass(frozen=True, kw_only=True)
class Chat(Sampling):
    """Talk to an assistant; an empty line or Ctrl-D ends it."""

    run_folder: Annotated[Path, tyro.conf.arg(name="run")]
    """Run folder of the assistant."""
    system: str | None = None
    """A system message to begin with."""
    device: str = "auto"
    """cpu, cuda or mps."""

    def run(self) -> None:
        sampling = read_sampling(self)
        model = load(self.run_folder, self.device)
        start = [chat.Message("system", self.system)] if self.system else []
        messages = list(start)
        interactive = sys.stdin.isatty()
        if interactive:
            print("Ask in English or Chinese. /new begins a new conversation; an empty line ends it.")
        while question := ask("USER: " if interactive else ""):
            if question == "/new":
                messages = list(start)
                continue
            messages.append(chat.Message("user", question))
            announce_cut_dialogue(model, messages, sampling)
            print("AI: ", end="", flush=True)
            answer = show_stream(model.reply(messages, sampling))
            messages.append(chat.Message("assistant", answer))


@dataclass(frozen=True, kw_only=True)
class Complete(Sampling):
    """Let a model continue a text."""

    run_folder: Annotated[Path, tyro.conf.arg(name="run")]
    """Run folder of the model."""
    prompt: str
    """The text to continue, as it is: no roles are added."""
    device: str = "auto"
    """cpu, cuda or mps."""

    def run(self) -> None:
        sampling = read_sampling(self)
        model = load(self.run_folder, self.device)
        tokens = len(model.tokenizer.encode(self.prompt))
        announce_cut(tokens, tokens + 1 - window_start(tokens + 1, model.gpt.config.n_ctx))  # with [DOC]
        print(self.prompt, end="", flush=True)
        show_stream(model.stream(self.prompt, sampling))


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a model: on the world's exam, on a text, or on dialogues."""

    run_folder: Annotated[Path, tyro.conf.arg(name="run")]
    """Run folder of the model."""
    text: tuple[Path, ...] = ()
    """Text files: the loss on them."""
    pairs: tuple[Path, ...] = ()
    """Dialogues: the loss on their answers."""
    world: Path | None = None
    """Folder of the tables the exam is made from; the built-in world if unset."""
    seed: int = 0
    """Seed of the exam: that of the demo, so that its held-out places stay held out."""
    device: str = "auto"
    """cpu, cuda or mps."""

    def run(self) -> None:
        a_seed(self, "seed")
        if self.text or self.pairs:
            no_effect(self, "with --text or --pairs there is no exam", "world", "seed")
        run = run_folder.load_run(self.run_folder, pick_device(self.device))
        if self.text:
            stream = token_stream(TextFiles(self.text), run.tokenizer)
            loss = text_loss(run.gpt, stream, run.tokenizer, "fp32")
            print(f"loss: {loss['nats_per_token']:.4f} nats per token, {loss['bits_per_byte']:.4f} bits per byte")
        if self.pairs:
            dialogues, counts = prepare(records.read_dialogues(self.pairs), run.tokenizer, run.gpt.config.n_ctx)
            nats = answer_loss(run.gpt, dialogues, run.tokenizer.pad, "fp32")
            print(
                f"loss on answers: {nats:.4f} nats per token ({counts['dialogues']} dialogues, "
                f"{counts['cut']} cut, {counts['dropped']} dropped)"
            )
        if not self.text and not self.pairs:
            announce_seed(self.run_folder, self.seed)
            questions = exam.make_exam(tables.load_world(self.world), self.seed)
            paper = evaluate.sit(run, questions)
            score, figures = evaluate.exact_match(paper), evaluate.preference_figures(paper)
            for phrasing, part in (("wordings SFT used", score), ("wordings it never used", score["unseen"])):
                print(
                    f"held-out places, {phrasing}: all {part['all']:.1%}, English {part['en']:.1%}, "
                    f"Chinese {part['zh']:.1%} (n = {part['n']})"
                )
            for name, (share, n) in figures.items():
                print(f"{name}: {share:.1%} (n = {n})")


def announce_seed(folder: Path, seed: int) -> None:
    """Say when a run was made with another seed than the exam: its world may have held out other places."""
    report = folder / "report.json"
    own = read_json(report, dict).get("seed", seed) if report.is_file() else seed
    if own != seed:
        note(f"the exam is of seed {seed}, the run of seed {own}: if the world that it learned was of that seed, too, give "
             f"--seed {own}, or places that count as held out were taught")  # fmt: skip


def ask(prompt: str) -> str:
    """A line of standard input; empty at its end. Raises InputError if it is not UTF-8."""
    try:
        return input(prompt).strip()
    except EOFError:
        return ""
    except UnicodeDecodeError:
        raise InputError("standard input: not UTF-8 text: send it as UTF-8") from None


def read_sampling(command: Sampling) -> Sampling:
    """How a command wants tokens chosen; what has no effect is announced."""
    if command.temperature == 0:
        no_effect(command, "temperature is 0", "top_k", "top_p", "seed")
    return only(Sampling, command)


def announce_cut(tokens: int, read: int) -> None:
    """Say when a prompt is longer than what the model reads of it."""
    if read < tokens:
        note(f"the prompt has {tokens} tokens; the model reads the last {read}, the first {tokens - read} are left out")


def announce_cut_dialogue(model: Assistant, messages: Sequence[chat.Message], sampling: Sampling) -> None:
    """Say when a conversation has outgrown the context: old turns go first, then the beginning of the question."""
    n_ctx = model.gpt.config.n_ctx
    tokens = len(chat.encode_dialogue(messages, model.tokenizer).ids)
    fitted = len(model.prompt(messages, sampling.max_new_tokens))
    if fitted < tokens:
        note(f"the conversation has {tokens} tokens; its oldest turns, {tokens - fitted} tokens, are left out")
    announce_cut(fitted, fitted - window_start(fitted, n_ctx))


def show_stream(pieces: Iterable[str]) -> str:
    """Print text as it comes; return it whole."""
    whole = []
    for piece in pieces:
        print(piece, end="", flush=True)
        whole.append(piece)
    print()
    return "".join(whole)
