"""Kill training at each of its file-system events, then go on: the bytes must be those of a run that was
never interrupted, or the command is refused in one line.

    python -m tests.support.kill_events KIND EVERY [FIRST]      KIND: one of KINDS, or all

The process kills itself (SIGKILL) directly before its event FIRST, FIRST + EVERY, … in the output folder: a
file opened for writing, forced to the disk (then half of it is cut off, as by a power cut), renamed or
removed, a folder made or removed. Prints how many kills were resumed and how many refused; exit code 1 if
one of them was neither.
"""

import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from minillm.plumbing.files import InputError
from minillm.run_folder import load_run, state_hash
from tests.support.commands import Result, Work, no_pictures, prepare, run, short
from tests.support.notebook_work import a_base, a_demo

PATHS = {"open": (0,), "os.rename": (0, 1), "os.remove": (0,), "os.mkdir": (0,), "os.rmdir": (0,)}
"""Audit events of Python that change files, and which of their arguments are paths."""
COMPARED = ("model.safetensors", "adapter.safetensors", "metrics.jsonl", "config.json", "adapter.json")


class Killer:
    """Counts the file-system events in a folder and ends the process with SIGKILL at one of them."""

    def __init__(self, folder: Path, at: int):
        self.folder, self.at, self.count = str(folder), at, 0

    def __call__(self) -> None:
        """Begin to count; what was begun cannot be ended, so only in a process of its own."""
        fsync = os.fsync

        def cut_in_half(file: int) -> None:
            if self.is_due():
                os.ftruncate(file, os.fstat(file).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            fsync(file)

        os.fsync = cut_in_half
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple) -> None:
        if event in PATHS and self.concerns(event, arguments) and self.is_due():
            os.kill(os.getpid(), signal.SIGKILL)

    def concerns(self, event: str, arguments: tuple) -> bool:
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return False
        if event in ("os.remove", "os.rmdir") and arguments[1] not in (None, -1):
            return True  # a name within an open folder, as shutil.rmtree removes it
        return any(os.fsdecode(arguments[i]).startswith(self.folder) for i in PATHS[event] if named(arguments[i]))

    def is_due(self) -> bool:
        self.count += 1
        return self.count == self.at


def named(path: object) -> bool:
    """Whether an argument is a path and no file descriptor."""
    return isinstance(path, str | bytes | os.PathLike)


@dataclass(frozen=True)
class Kind:
    """What is killed, what goes on with it, and what is there before."""

    first: Callable[[Path, Path], Work]
    """(home, out) -> the work that is killed."""
    again: Callable[[Path, Path], Work]
    """(home, out) -> how its user goes on."""
    over: Callable[[Path, Path], Work] | None = None
    """(home, out) -> the work whose result is in the folder already."""


def command(stage: str, *more: str) -> Callable[[Path, Path], Work]:
    """A command of the command line with further options."""
    return lambda home, out: f"{short(stage, home)} --out {out} {' '.join(more)}"


def function(work: Callable[..., object], **options) -> Callable[[Path, Path], Work]:
    """A function of the output folder, as a notebook would call it."""
    return lambda home, out: lambda: work(out, **options)


KINDS = {
    **{stage: Kind(command(stage), command(stage, "--resume")) for stage in ("pretrain", "sft", "lora", "prefer")},
    **{
        f"{stage} --overwrite": Kind(
            command(stage, "--overwrite"), command(stage, "--resume"), command(stage, "--seed", "7")
        )
        for stage in ("pretrain", "lora")
    },
    "pretrain --base": Kind(
        lambda home, out: f"{command('pretrain')(home, out)} --base {home}/base",
        lambda home, out: f"{command('pretrain', '--resume')(home, out)} --base {home}/base",
    ),
    "base cache": Kind(function(a_base), function(a_base)),
    "demo": Kind(function(a_demo), function(a_demo, resume=True)),
    "demo --overwrite": Kind(function(a_demo, overwrite=True), function(a_demo, resume=True), function(a_demo, seed=7)),
}


def models(out: Path) -> dict[str, str]:
    """Subfolder -> hash of the model in it, of all runs that can be loaded."""
    found = {}
    for path in sorted(out.rglob("config.json")):
        try:
            found[str(path.parent.relative_to(out))] = state_hash(load_run(path.parent).gpt)
        except InputError:
            pass
    return found


def files(out: Path) -> dict[str, bytes | None]:
    """All files by name, with the bytes of those that must not depend on when it was killed."""
    found = [p for p in out.rglob("*") if p.is_file()]
    return {str(p.relative_to(out)): p.read_bytes() if p.name in COMPARED else None for p in found}


class Campaign:
    """All kills of one kind, in a folder of its own."""

    def __init__(self, name: str, home: Path):
        self.kind, self.home, self.count = KINDS[name], home, Counter()
        whole = home / "whole"
        self.do(self.kind.first(home, whole))
        self.whole, self.allowed = files(whole), [models(whole)]
        if self.kind.over is not None:
            self.do(self.kind.over(home, home / "old"))
            self.old = files(home / "old")
            self.allowed.append(models(home / "old"))

    def do(self, work: Work, before: Callable[[], None] | None = None) -> Result:
        """Run it to its end, which may be a kill."""
        result = run(work, before=before)
        fine = (0,) if before is None else (0, -signal.SIGKILL)
        assert result.code in fine, f"exit code {result.code}: {result.err[-800:]}"
        return result

    def kill(self, at: int) -> bool:
        """Kill at one event, go on, compare; whether there was such an event. Raises AssertionError."""
        out = self.home / "killed"
        shutil.rmtree(out, ignore_errors=True)
        if self.kind.over is not None:
            shutil.copytree(self.home / "old", out)
        if self.do(self.kind.first(self.home, out), Killer(out, at)).code == 0:
            assert files(out) == self.whole
            return False
        for name, model in models(out).items():
            assert model in [allowed[name] for allowed in self.allowed], f"{name}: loads, and is half of a model"
        result = run(self.kind.again(self.home, out))
        if result.code != 0:
            assert result.code == 2 and re.fullmatch(r"error: [^\n]+\n", result.err), result.err[-800:]
            assert self.kind.over is not None, f"refused, with nothing else there: {result.err}"
            self.do(self.kind.first(self.home, out))
        assert files(out) == self.whole, differences(files(out), self.whole)
        self.count["resumed" if result.code == 0 else "refused"] += 1
        return True


def differences(one: dict, other: dict) -> str:
    return ", ".join(sorted(name for name in one.keys() | other.keys() if one.get(name, 0) != other.get(name, 0)))


def kill_all(name: str, every: int, first: int = 1, most: int = 10**6) -> tuple[Counter, list[str]]:
    """Kill at every `every`-th event, at most `most` of them: how many were resumed or refused, and what failed."""
    home = Path(tempfile.mkdtemp())
    failures = []
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.enter_context(no_pictures())
        prepare(home)
        campaign = Campaign(name, home)
        for at in range(first, first + every * most, every):
            try:
                if not campaign.kill(at):
                    break
            except AssertionError as error:
                failures.append(f"{name}, event {at}: {error}")
        return campaign.count, failures


if __name__ == "__main__":
    chosen = list(KINDS) if sys.argv[1] == "all" else [sys.argv[1]]
    every, first = int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1
    total, failed = Counter(), False
    for name in chosen:
        count, failures = kill_all(name, every, first)
        print(f"{name}: {count['resumed']} resumed, {count['refused']} refused, {len(failures)} failed", flush=True)
        print("".join(f"  {line}\n" for line in failures), end="", flush=True)
        total, failed = total + count, failed or bool(failures)
    print(f"{total.total()} kills: {total['resumed']} resumed, {total['refused']} refused")
    sys.exit(failed)
