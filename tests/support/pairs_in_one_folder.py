"""Two trainings started together in one output folder: one is refused in one line, the other is whole.

    python -m tests.support.pairs_in_one_folder PAIRS [SEED]

Both are the real command, with different seeds, started up to a third of a second apart. The refused one must
say that another process writes there, or that a run is there already; the other must end with the bytes that
it has alone. Exit code 1 at the first pair that ends otherwise.
"""

import os
import random
import re
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.commands import no_pictures, prepare, run, short, start

REFUSED = r"error: [^\n]*(is being written by another process \(\d+\)|holds a finished run|holds step \d+)[^\n]*"
STAGES = ("pretrain", "sft", "lora", "prefer")
COMPARED = ("model.safetensors", "adapter.safetensors", "metrics.jsonl", "config.json")


def result_of(out: Path) -> dict[str, bytes]:
    """Name -> bytes of what a run leaves; the names alone of what tells its time."""
    found = [p for p in out.rglob("*") if p.is_file()]
    return {str(p.relative_to(out)): p.read_bytes() if p.name in COMPARED else b"" for p in found}


def together(commands: list[str], home: Path, pause: float) -> list[tuple[int, str]]:
    """Exit code and standard error of each command; the second is started after a pause."""
    children = []
    for i, command in enumerate(commands):
        with open(os.devnull, "r+b") as nothing, (home / f"err{i}").open("wb") as err:
            children.append(start(command.split(), nothing, nothing, err))
        time.sleep(pause if i == 0 else 0)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return [(code, (home / f"err{i}").read_text(encoding="utf-8")) for i, code in enumerate(codes)]


def try_pairs(number: int, seed: int = 0) -> int:
    """The number of pairs that ended as they should: all, or AssertionError."""
    rng, home = random.Random(seed), Path(tempfile.mkdtemp())
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.enter_context(no_pictures())
        prepare(home)
        alone = {}
        for stage in STAGES:
            for i in (0, 1):
                result = run(f"{short(stage, home)} --seed {i} --out {home}/{stage}{i}")
                assert result.code == 0, result.err
                alone[stage, i] = result_of(home / f"{stage}{i}")
        for n in range(number):
            stage, out = STAGES[n % len(STAGES)], home / "shared"
            commands = [f"{short(stage, home)} --seed {i} --out {out}" for i in (0, 1)]
            ended = together(commands, home, rng.choice((0.0, rng.uniform(0, 0.3))))
            codes = [code for code, _ in ended]
            assert sorted(codes) == [0, 2], f"pair {n}, {stage}: exit codes {codes}: {ended}"
            error = ended[codes.index(2)][1].strip().splitlines()[-1]
            assert re.fullmatch(REFUSED, error), f"pair {n}, {stage}: {error}"
            assert result_of(out) == alone[stage, codes.index(0)], f"pair {n}, {stage}: another result"
            shutil.rmtree(out)
        return number


if __name__ == "__main__":
    pairs = int(sys.argv[1])
    print(f"{try_pairs(pairs, int(sys.argv[2]) if len(sys.argv) > 2 else 0)} of {pairs} pairs: one refused, one whole")
