"""Damage files of run folders and checkpoints: each is refused in one line, or has no effect at all.

    python -m tests.support.damage_files COUNT [SEED]

One file at a time, chosen in turn from a model, an adapter, its base, and the checkpoint and tokens of a
pretraining and of a LoRA run that were broken off: a bit is flipped, the end is cut off, the file of another
run is put in its place, or it is lost. A run folder then gives the same logits and the same tokens or is
refused; a resumed run ends with the same bytes or is refused. Prints how many were refused and how many had
no effect; exit code 1 if one of them was neither.
"""

import io
import itertools
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import torch

from minillm import checkpoint
from minillm.__main__ import main
from minillm.plumbing.files import InputError
from minillm.run_folder import load_run
from tests.support.commands import no_pictures, prepare, run, short

TEXT = "The capital of France is Paris. 台湾最高的山是玉山。"
RESULT = ("model.safetensors", "adapter.safetensors", "metrics.jsonl")


def flip(path: Path, other: Path, rng: random.Random) -> None:
    """One bit becomes the other."""
    raw = bytearray(path.read_bytes())
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    path.write_bytes(raw)


def cut(path: Path, other: Path, rng: random.Random) -> None:
    """Only a beginning is left."""
    raw = path.read_bytes()
    path.write_bytes(raw[: rng.randrange(len(raw))])


def swap(path: Path, other: Path, rng: random.Random) -> None:
    """The file of another run."""
    shutil.copy(other, path)


def lose(path: Path, other: Path, rng: random.Random) -> None:
    path.unlink()


DAMAGES = (flip, flip, flip, cut, cut, swap, lose)


class Place:
    """A folder whose files are damaged, another run of the same kind, and what must come of it."""

    def __init__(self, folder: Path, other: Path, outcome: Callable[[], object], spoils: bool):
        self.folder, self.other, self.outcome, self.spoils = folder, other, outcome, spoils
        self.backup = folder.with_name(folder.name + "-backup")
        shutil.copytree(folder, self.backup)
        self.files = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
        self.good = outcome()
        self.restore()

    def restore(self) -> None:
        """Everything as it was; `spoils`: the outcome changes more than the file that was damaged."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.backup, self.folder)

    def damage(self, how: Callable, name: Path, rng: random.Random) -> str:
        """Damage one file: "refused" or "no effect". Raises AssertionError if it is neither."""
        how(self.folder / name, self.other / name, rng)
        try:
            assert self.outcome() == self.good, "another result"
            return "no effect"
        except InputError as error:
            assert "\n" not in str(error), f"more than one line: {error}"
            return "refused"
        finally:
            if self.spoils:
                self.restore()
            else:
                shutil.copy(self.backup / name, self.folder / name)


def answers(folder: Path) -> tuple[bytes, list[int]]:
    """What a run gives: logits and tokens."""
    one = load_run(folder)
    ids = one.tokenizer.encode(TEXT)
    with torch.no_grad():
        logits = one.gpt(torch.tensor([ids[: one.gpt.config.n_ctx]]))  # (1, T) -> (1, T, V)
    return logits.numpy().tobytes(), ids


def resumed(command: str, out: Path) -> dict[str, bytes]:
    """What a run that goes on ends with. Raises InputError where the command says `error:`."""
    said = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        code = main([*command.split(), "--out", str(out), "--resume"])
    if code == 2:
        raise InputError(said.getvalue().split("error: ", 1)[1].removesuffix("\n"))
    assert code == 0, f"exit code {code}: {said.getvalue()}"
    return {name: (out / name).read_bytes() for name in RESULT if (out / name).exists()}


def broken_off(command: str, out: Path, at: int = 4) -> None:
    """A run that was killed when it had saved a step."""

    def save_then_stop(folder: Path, step: int, *rest: object) -> None:
        save(folder, step, *rest)
        if step == at:
            raise KeyboardInterrupt

    save = checkpoint.save
    with mock.patch.object(checkpoint, "save", save_then_stop), redirect_stderr(io.StringIO()):
        assert main([*command.split(), "--out", str(out)]) == 130


def places(home: Path) -> Iterator[tuple[str, Place]]:
    """All that is damaged."""
    prepare(home)
    for name, more in (("", ""), ("other-", " --seed 7")):
        for stage, out in (("pretrain", "model"), ("lora", "adapter")):
            result = run(f"{short(stage, home)}{more} --out {home}/{name}{out}")
            assert result.code == 0, result.err
        for stage in ("pretrain", "lora"):
            broken_off(short(stage, home) + more, home / f"{name}{stage}")
    for name in ("model", "adapter"):
        yield name, Place(home / name, home / f"other-{name}", lambda name=name: answers(home / name), False)
    yield "base of the adapter", Place(home / "base", home / "other-model", lambda: answers(home / "adapter"), False)
    for stage in ("pretrain", "lora"):
        outcome = lambda stage=stage: resumed(short(stage, home), home / stage)  # noqa: E731
        yield f"checkpoint of {stage}", Place(home / stage, home / f"other-{stage}", outcome, True)


def damage_all(number: int, seed: int = 0) -> tuple[dict[str, Counter], list[str]]:
    """This many damages: for each place how many were refused and how many had no effect, and what failed."""
    home = Path(tempfile.mkdtemp())
    rng, counts, failures = random.Random(seed), {}, []
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.enter_context(no_pictures())
        found = dict(places(home))
        every = [(name, file, how) for name, one in found.items() for file in one.files for how in DAMAGES]
        rng.shuffle(every)
        for name, file, how in itertools.islice(itertools.cycle(every), number):
            try:
                counts.setdefault(name, Counter())[found[name].damage(how, file, rng)] += 1
            except Exception as error:  # a traceback is a failure, too
                failures.append(f"{name}, {file}, {how.__name__}: {type(error).__name__}: {error}")
    return counts, failures


if __name__ == "__main__":
    counts, failures = damage_all(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for name, count in counts.items():
        print(f"{name}: {count['refused']} refused, {count['no effect']} without effect")
    print(f"{sum(c.total() for c in counts.values())} of {sys.argv[1]}", *failures, sep="\n")
    sys.exit(bool(failures))
