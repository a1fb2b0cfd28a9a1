"""The command line: `python -m minillm COMMAND --help`. It only parses and calls."""

import errno
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from minillm import chat, checkpoint, data, distributed, evaluate, resuming
from minillm import demo as demonstration
from minillm.assistant import load
from minillm.corpus import token_stream
from minillm.files import InputError, write_json, write_text
from minillm.generate import Sampling
from minillm.stage1_pretrain import PretrainConfig, pretrain, text_loss
from minillm.stage2_sft import SFTConfig, answer_loss, prepare, sft
from minillm.stage3_preference import PreferenceConfig, prefer
from minillm.text_files import TextFiles
from minillm.tokenizer import Tokenizer, bpe_steps
from minillm.training import TrainConfig, TrainingError, pick_device
from minillm.world import exam, pairs, tables, text

Documents = Literal["file", "blank-line", "line"]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Watch a GPT be born, taught and tuned in minutes, then read what it learned."""

    out: Path = Path("runs/demo")
    """Folder for the runs, report.json and curves.png."""
    fast: bool = False
    """Train half as long, for a first look."""
    world: Path | None = None
    """Folder with your own tables instead of the built-in world."""
    seed: int = 0
    """Seed of everything random; it also decides which places are held out."""
    device: str = "auto"
    """cpu, cuda or mps; auto takes the best there is."""

    def run(self) -> None:
        make = demonstration.fast_config if self.fast else demonstration.DemoConfig
        pick_device(self.device)
        demonstration.demo(make(seed=self.seed, device=self.device), self.out, self.world)


@dataclass(frozen=True, kw_only=True)
class Pretrain(PretrainConfig):
    """Stage 1: train a base model on raw text."""

    text: tuple[Path, ...]
    """Text files, folders of .txt and .md files, or - for standard input."""
    out: Path
    """Run folder to write."""
    tokenizer: str | None = None
    """A tokenizer folder, or gpt2; without it one is trained on the text."""
    documents: Documents = "file"
    """What is one document: a file, a paragraph or a line."""

    def run(self) -> None:
        if skip_finished(self.out, self.resume):
            return
        documents = TextFiles(self.text, self.documents)
        with distributed.processes(pick_device(self.device)) as device:
            config = replace(only(PretrainConfig, self), device=str(device))
            result = pretrain(config, documents, read_tokenizer(self.tokenizer), self.out, bar=True)
            if distributed.rank() == 0:
                show_report(result, self.out)


@dataclass(frozen=True, kw_only=True)
class Sft(SFTConfig):
    """Stage 2: teach a base model to answer, with dialogues."""

    base: Path
    """Run folder of the base model."""
    pairs: tuple[Path, ...]
    """JSON or JSON-lines files of dialogues (Alpaca, prompt/completion, messages, ShareGPT)."""
    out: Path
    """Run folder to write."""
    rehearse: tuple[Path, ...] = ()
    """Raw text to learn beside the dialogues (with --rehearse-rows)."""

    def run(self) -> None:
        if skip_finished(self.out, self.resume):
            return
        base, dialogues = checkpoint.load_run(self.base), data.read_dialogues(self.pairs)
        rehearsal = TextFiles(self.rehearse) if self.rehearse else ()
        show_report(sft(only(SFTConfig, self), base, dialogues, rehearsal, self.out, bar=True), self.out)


@dataclass(frozen=True, kw_only=True)
class Prefer(PreferenceConfig):
    """Stage 3: tune an assistant on pairs of a better and a worse answer."""

    base: Path
    """Run folder of the assistant to start from."""
    preferences: tuple[Path, ...]
    """JSON or JSON-lines files with prompt, chosen, rejected."""
    out: Path
    """Run folder to write."""
    rehearse: tuple[Path, ...] = ()
    """Raw text to learn beside the pairs (with --rehearse-rows)."""

    def run(self) -> None:
        if skip_finished(self.out, self.resume):
            return
        base, found = checkpoint.load_run(self.base), data.read_preferences(self.preferences)
        rehearsal = TextFiles(self.rehearse) if self.rehearse else ()
        show_report(prefer(only(PreferenceConfig, self), base, found, rehearsal, self.out, bar=True), self.out)


@dataclass(frozen=True, kw_only=True)
class Complete(Sampling):
    """Let a model continue a text."""

    run_folder: Annotated[Path, tyro.conf.arg(name="run")]
    """Run folder of the model."""
    prompt: str
    """The text to continue, as it stands: no roles are added."""
    device: str = "auto"
    """cpu, cuda or mps."""

    def run(self) -> None:
        model = load(self.run_folder, self.device)
        print(self.prompt, end="", flush=True)
        show_stream(model.stream(self.prompt, only(Sampling, self)))


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
        model = load(self.run_folder, self.device)
        start = [chat.Message("system", self.system)] if self.system else []
        messages = list(start)
        interactive = sys.stdin.isatty()
        if interactive:
            print("Ask in English or Chinese. /new begins a new conversation; an empty line ends it.")
        while True:
            try:
                question = input("USER: " if interactive else "").strip()
            except EOFError:
                break
            if not question:
                break
            if question == "/new":
                messages = list(start)
                continue
            messages.append(chat.Message("user", question))
            print("AI: ", end="", flush=True)
            answer = show_stream(model.reply(messages, only(Sampling, self)))
            messages.append(chat.Message("assistant", answer))


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
        run = checkpoint.load_run(self.run_folder, pick_device(self.device))
        config = TrainConfig(steps=1, batch_size=1, lr=1.0, precision="fp32")
        if self.text:
            stream = token_stream(TextFiles(self.text), run.tokenizer)
            loss = text_loss(run.gpt, stream, config, run.tokenizer)
            print(f"loss: {loss['nats_per_token']:.4f} nats a token, {loss['bits_per_byte']:.4f} bits a byte")
        if self.pairs:
            dialogues, counts = prepare(data.read_dialogues(self.pairs), run.tokenizer, run.gpt.config.n_ctx)
            loss = answer_loss(run.gpt, dialogues, config, run.tokenizer.pad)
            print(f"loss on answers: {loss:.4f} nats a token ({counts['dialogues']} dialogues, "
                  f"{counts['cut']} cut, {counts['dropped']} dropped)")  # fmt: skip
        if not self.text and not self.pairs:
            questions = exam.make_exam(tables.load_world(self.world), self.seed)
            paper = evaluate.sit(run, questions)
            score, figures = evaluate.exact_match(paper), evaluate.preference_figures(paper)
            for phrasing, part in (("wordings SFT used", score), ("wordings it never used", score["unseen"])):
                print(f"held-out places, {phrasing}: all {part['all']:.1%}, English {part['en']:.1%}, "
                      f"Chinese {part['zh']:.1%} (n = {part['n']})")  # fmt: skip
            for name, (share, n) in figures.items():
                print(f"{name}: {share:.1%} (n = {n})")


@dataclass(frozen=True, kw_only=True)
class World:
    """Write what the world generates: raw text, dialogues, preferences, exam."""

    out: Path
    """Folder to write into."""
    world: Path | None = None
    """Folder with your own tables instead of the built-in world."""
    documents: int = 2000
    """Number of raw documents."""
    seed: int = 0
    """Seed of everything random; it also decides which places are held out."""

    def run(self) -> None:
        world = tables.load_world(self.world)
        documents = list(text.Writer(world, self.seed).documents(self.documents))
        dialogues, preferences = pairs.sft_dialogues(world, self.seed), pairs.preferences(world, self.seed)
        questions = exam.make_exam(world, self.seed)
        write_text(self.out / "text.txt", "\n\n".join(documents) + "\n")
        data.write_records(self.out / "pairs.jsonl", [data.dialogue_record(d) for d in dialogues])
        data.write_records(self.out / "preferences.jsonl", [data.preference_record(p) for p in preferences])
        asked = [{k: v for k, v in asdict(q).items() if k != "style"} for q in questions.questions]
        write_json(self.out / "exam.json", {"questions": asked, "requests": [asdict(r) for r in questions.requests],
                                            "baselines": exam.baselines(world, self.seed)})  # fmt: skip
        taught, held_out = tables.split_places(world, self.seed)
        names = [[p.names["en"] for p in half] for half in (taught, held_out)]
        write_json(self.out / "split.json", {"taught": names[0], "held_out": names[1]})
        print(f"{self.out}: {len(documents)} documents in text.txt, {len(dialogues)} dialogues in pairs.jsonl, "
              f"{len(preferences)} preferences in preferences.jsonl, {len(asked)} questions in exam.json")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TokenizerCommand:
    """Train a tokenizer, or see how one cuts a text."""

    text: tuple[Path, ...] = ()
    """Text files to train on."""
    out: Path | None = None
    """Folder to write the tokenizer to."""
    vocab_size: int = 2048
    """Tokens to learn, special tokens aside."""
    show_merges: int = 0
    """Show so many of the first merges, one at a time."""
    tokenizer: str | None = None
    """A tokenizer to look at: a run's folder tokenizer/, or gpt2."""
    encode: str | None = None
    """A text to cut into tokens."""

    def run(self) -> None:
        tokenizer = read_tokenizer(self.tokenizer)
        if tokenizer is None:
            if not self.text:
                raise InputError("no text to train on: give --text FILE, or --tokenizer FOLDER to look at one")
            documents = list(TextFiles(self.text))
            for step, merge in zip(range(self.show_merges), bpe_steps(documents, self.vocab_size), strict=False):
                print(f"{step + 1:>5}  {merge.bytes.decode('utf-8', 'backslashreplace')!r:<16} {merge.count:>8} times")
            tokenizer = Tokenizer.train(documents, self.vocab_size)
            print(f"{tokenizer.n_vocab} tokens, {len(tokenizer.encode(documents[0]))} for the first document")
        if self.out is not None:
            tokenizer.save(self.out)
        if self.encode is not None:
            ids = tokenizer.encode(self.encode)
            print(" ".join(f"{token!r}={i}" for token, i in zip(tokenizer.tokens(ids), ids, strict=True)))


COMMANDS = {
    "demo": Demo, "pretrain": Pretrain, "sft": Sft, "prefer": Prefer, "chat": Chat, "complete": Complete,
    "evaluate": Evaluate, "world": World, "tokenizer": TokenizerCommand,
}  # fmt: skip


def only(kind: type, values: object):
    """The part of a command's values that makes up a config."""
    return kind(**{f.name: getattr(values, f.name) for f in fields(kind)})


def read_tokenizer(name: str | None) -> Tokenizer | None:
    """A tokenizer by folder or by the name gpt2."""
    if name is None:
        return None
    return Tokenizer.gpt2() if name == "gpt2" else Tokenizer.load(Path(name))


def skip_finished(out: Path, resume: bool) -> bool:
    """Whether there is nothing to do: --resume on a run that has come to its end."""
    if resume and checkpoint.is_finished(out):
        resuming.remove_helpers(out)  # a kill may have come between the report and this
        print(f"{out}: this run is finished; nothing to do")
        return True
    return False


def show_report(run: checkpoint.Run, out: Path) -> None:
    """The report of a stage in one line a figure."""
    for name, value in run.report.items():
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    print(f"written to {out}")


def show_stream(pieces) -> str:
    """Print text as it comes; return it whole."""
    whole = []
    for piece in pieces:
        print(piece, end="", flush=True)
        whole.append(piece)
    print()
    return "".join(whole)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 training broke off, 2 bad input, 130 Ctrl-C."""
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):
            output.reconfigure(encoding="utf-8", errors="replace")
    command = None
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, args=arguments, prog="python -m minillm", config=(tyro.conf.FlagCreatePairsOff,),
            description="minillm: read, build and measure a large language model from scratch.",
        )  # fmt: skip
        command.run()
        return 0
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("out of memory|can't allocate memory", str(error)):
            raise
        print("error: out of memory: take a smaller model or batch, or --accumulate 2 or more", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        hint = resuming.how_to_go_on(command.out) if isinstance(command, TrainConfig) else ""
        print(f"\ninterrupted{hint}", file=sys.stderr)
        return 130
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        mend = "free some space (the last checkpoint, if any, stays)" if full else "check the path and its permissions"
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}: {mend}", file=sys.stderr)
        return 1 if full else 2


if __name__ == "__main__":
    sys.exit(main())
