"""The commands that train: `demo`, `pretrain`, `sft`, `prefer`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from minillm import demo as demonstration
from minillm import run_folder
from minillm.checkpoint import GO_ON
from minillm.commands.common import check_rank, fitted, no_effect, only, read_tokenizer
from minillm.finetune import TuneConfig
from minillm.homework import pipeline
from minillm.lora import LoRAConfig, Target
from minillm.material import records
from minillm.material.text_files import TextFiles
from minillm.own_pairs import is_open, recipe_for, tune_open
from minillm.plumbing import distributed
from minillm.plumbing.checks import a_seed
from minillm.plumbing.devices import pick_device
from minillm.plumbing.files import InputError, write_json
from minillm.stage1_pretrain import PretrainConfig, pretrain
from minillm.stage2_sft import SFTConfig, sft
from minillm.stage3_preference import PreferenceConfig, prefer

Documents = Literal["file", "blank-line", "line"]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Watch a GPT be born, taught and tuned in minutes, then read what it learned."""

    out: Path = Path("runs/demo")
    """Folder for the runs, report.json and curves.png."""
    fast: bool = False
    """Read a third of the text and tune for less long, for a first look."""
    world: Path | None = None
    """Folder with your own tables instead of the built-in world."""
    with_homework: Path | None = None
    """Folder with your homework (lessons): what passes takes the place of the framework's own."""
    seed: int = 0
    """Seed of everything random; it also decides which places are held out."""
    resume: bool = False
    """Go on with a demo that was broken off: what is finished is read, the rest is trained."""
    overwrite: bool = False
    """Replace a demo that is in the output folder already."""
    device: str = "auto"
    """cpu, cuda or mps; auto takes the best there is."""

    def run(self) -> None:
        a_seed(self, "seed")
        make = demonstration.fast_config if self.fast else demonstration.DemoConfig
        pick_device(self.device)
        config = replace(make(seed=self.seed, device=self.device), resume=self.resume, overwrite=self.overwrite)
        if self.with_homework is None:
            demonstration.demo(config, self.out, self.world)
            return
        if not self.with_homework.is_dir():
            raise InputError(f"{self.with_homework}: no such folder: name the folder with your homework files")
        choice = pipeline.choose(self.with_homework)
        for name in choice.used:
            print(f"your own {name} is used")
        for name, reason in choice.left.items():
            print(f"the framework's {name} is used; yours: {reason}")
        with pipeline.installed(choice.used):
            report = demonstration.demo(config, self.out, self.world)
        report["homework"] = {"used": list(choice.used), "left": choice.left}
        write_json(self.out / "report.json", report)
        print(f"\nThis model was made with your own: {', '.join(choice.used) or 'nothing yet'}")

    def how_to_go_on(self) -> str:
        """What a demo that was interrupted says: its checkpoints are in the folders of its stages."""
        return f"; what is finished is saved: {GO_ON}" if demonstration.is_begun(self.out) else ""


@dataclass(frozen=True, kw_only=True)
class Pretrain(PretrainConfig):
    """Stage 1: train a base model on raw text."""

    text: tuple[Path, ...]
    """Text files, folders of .txt and .md files, JSON lines with a field text, or - for standard input."""
    out: Path
    """Run folder to write."""
    tokenizer: str | None = None
    """A tokenizer folder, or gpt2; without it one is trained on the text."""
    documents: Documents = "file"
    """What is one document: a file (a record of JSON lines), a paragraph or a line."""
    separator: str | None = None
    """A text that separates documents, such as "<|endoftext|>"; \\n is a line end."""
    encoding: str | None = None
    """Encoding of text files that are not UTF-8, such as gb18030."""
    strict: bool = False
    """Refuse files with records that cannot be used, instead of leaving these out."""
    base: Path | None = None
    """Run folder of a model to train further, with its tokenizer and its shape; from random weights without."""

    def run(self) -> None:
        if self.base is not None and self.tokenizer is not None:
            raise InputError("a base brings its own tokenizer: leave --tokenizer out")
        base = run_folder.load_run(self.base) if self.base is not None else None
        if base is not None:
            run_folder.check_base(self.base, self.out, adapter=False)
        documents = TextFiles(self.text, self.documents, self.separator, self.encoding, self.clean, self.strict)
        with distributed.processes(pick_device(self.device)) as device:
            config = replace(only(PretrainConfig, self), device=str(device))
            tokenizer = read_tokenizer(self.tokenizer)
            show_report(pretrain(config, documents, tokenizer, self.out, bar=True, base=base), self.out)


@dataclass(frozen=True, kw_only=True)
class Sft(SFTConfig):
    """Stage 2: teach a base model to answer, with dialogues."""

    steps: int | None = None  # type: ignore[assignment]
    """Number of updates; by the size of the base if unset, as batch_size and lr."""
    batch_size: int | None = None  # type: ignore[assignment]
    """Dialogues per step."""
    lr: float | None = None  # type: ignore[assignment]
    """Learning rate of AdamW."""
    warmup: int | None = None  # type: ignore[assignment]
    """Steps in which the learning rate rises to its full value."""
    lora_targets: tuple[Target, ...] | None = None  # type: ignore[assignment]
    """Names of the linear layers that get an adapter; of an open model those of the MLP if unset, else all."""
    rehearse_weight: float | None = None  # type: ignore[assignment]
    """Weight of the loss on what is rehearsed."""
    base: Path
    """Run folder of the base model."""
    pairs: tuple[Path, ...]
    """Files of dialogues (Alpaca, prompt/completion, messages, ShareGPT, …) in JSON, JSON lines or CSV."""
    out: Path
    """Run folder to write."""
    rehearse: tuple[Path, ...] = ()
    """Raw text to learn with the dialogues (with --rehearse-rows)."""
    encoding: str | None = None
    """Encoding of files that are not UTF-8, such as gb18030."""
    strict: bool = False
    """Refuse files with records that cannot be used, instead of leaving these out."""

    @property
    def adapters(self) -> LoRAConfig:
        """What LoRA is told; its targets are checked once the base is known."""
        return LoRAConfig() if self.lora_targets is None else super().adapters

    def run(self) -> None:
        announce_idle(self)
        base = run_folder.load_run(self.base)
        check_rank(self.lora, base)
        dialogues = records.read_dialogues(self.pairs, self.strict, self.encoding)
        rehearsal = TextFiles(self.rehearse, encoding=self.encoding, strict=self.strict) if self.rehearse else ()
        with distributed.processes(pick_device(self.device)) as device:
            config = replace(fitted(SFTConfig, self, recipe_for(base, self.lora, len(dialogues))), device=str(device))
            stage = tune_open if is_open(base) else sft
            show_report(stage(config, base, dialogues, rehearsal, self.out, bar=True), self.out)


@dataclass(frozen=True, kw_only=True)
class Prefer(PreferenceConfig):
    """Stage 3: tune an assistant on pairs of a better and a worse answer."""

    base: Path
    """Run folder of the assistant to start from."""
    preferences: tuple[Path, ...]
    """Files of prompt, chosen, rejected, as texts or as messages, in JSON, JSON lines or CSV."""
    out: Path
    """Run folder to write."""
    rehearse: tuple[Path, ...] = ()
    """Raw text to learn with the pairs (with --rehearse-rows)."""
    encoding: str | None = None
    """Encoding of files that are not UTF-8, such as gb18030."""
    strict: bool = False
    """Refuse files with records that cannot be used, instead of leaving these out."""

    def run(self) -> None:
        announce_idle(self)
        base = run_folder.load_run(self.base)
        check_rank(self.lora, base)
        found = records.read_preferences(self.preferences, self.strict, self.encoding)
        rehearsal = TextFiles(self.rehearse, encoding=self.encoding, strict=self.strict) if self.rehearse else ()
        with distributed.processes(pick_device(self.device)) as device:
            config = replace(only(PreferenceConfig, self), device=str(device))
            show_report(prefer(config, base, found, rehearsal, self.out, bar=True), self.out)


def announce_idle(command: TuneConfig) -> None:
    """Say which options of tuning have no effect for want of another."""
    if not command.lora:
        no_effect(command, "without --lora", "lora_alpha", "lora_dropout", "lora_targets", "merge")
    if not command.rehearse_rows:
        no_effect(
            command, "without --rehearse-rows", "rehearse", *(() if command.rehearse_own else ("rehearse_weight",))
        )


def show_report(run: run_folder.Run, out: Path) -> None:
    """The report of a stage, a line per figure; of several processes one speaks."""
    if distributed.rank() > 0:
        return
    for name, value in run.report.items():
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    print(f"written to {out}")
