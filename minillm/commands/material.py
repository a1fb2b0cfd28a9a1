"""The commands that make what models learn from: `world`, `tokenizer`."""

from dataclasses import asdict, dataclass
from pathlib import Path

from minillm.bpe import bpe_steps
from minillm.commands.common import read_tokenizer
from minillm.material import records
from minillm.material.corpus import train_tokenizer
from minillm.material.text_files import TextFiles
from minillm.plumbing.checks import a_seed, at_least_1
from minillm.plumbing.files import InputError, write_json, write_text
from minillm.world import exam, pairs, tables, text
from minillm.world.truths import truths


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
    truths: int = 40
    """At most this many pairs of a true and a false sentence per fact, for a reward model; of held-out places one."""

    def run(self) -> None:
        a_seed(self, "seed")
        at_least_1(self, "truths")
        world = tables.load_world(self.world)
        documents = list(text.Writer(world, self.seed).documents(self.documents))
        dialogues, preferences = pairs.sft_dialogues(world, self.seed), pairs.preferences(world, self.seed)
        questions = exam.make_exam(world, self.seed)
        write_text(self.out / "text.txt", "\n\n".join(documents) + "\n")
        records.write_records(self.out / "pairs.jsonl", [records.dialogue_record(d) for d in dialogues])
        records.write_records(self.out / "preferences.jsonl", [records.preference_record(p) for p in preferences])
        asked = [{k: v for k, v in asdict(q).items() if k != "style"} for q in questions.questions]
        write_json(
            self.out / "exam.json",
            {
                "questions": asked,
                "requests": [asdict(r) for r in questions.requests],
                "baselines": exam.baselines(world, self.seed),
            },
        )
        taught, held_out = tables.split_places(world, self.seed)
        told = {
            "truths.jsonl": truths(world, taught, self.seed, self.truths),
            "truths_held_out.jsonl": truths(world, held_out, self.seed, 1),
        }
        for name, found in told.items():
            records.write_records(self.out / name, [records.preference_record(p) for p in found])
        names = [[p.names["en"] for p in half] for half in (taught, held_out)]
        write_json(self.out / "split.json", {"taught": names[0], "held_out": names[1]})
        print(
            f"{self.out}: {len(documents)} documents in text.txt, {len(dialogues)} dialogues in pairs.jsonl, "
            f"{len(preferences)} preferences in preferences.jsonl, {len(asked)} questions in exam.json; about truth alone, "
            + ", ".join(f"{len(found)} pairs in {name}" for name, found in told.items())
        )


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
    """Show this many of the first merges, one at a time."""
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
            tokenizer = train_tokenizer(documents, self.vocab_size, sum(map(len, documents)))
            print(f"{tokenizer.n_vocab} tokens, {len(tokenizer.encode(documents[0]))} for the first document")
        if self.out is not None:
            tokenizer.save(self.out)
        if self.encode is not None:
            ids = tokenizer.encode(self.encode)
            print(" ".join(f"{token!r}={i}" for token, i in zip(tokenizer.tokens(ids), ids, strict=True)))
