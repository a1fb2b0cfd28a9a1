"""Kill training at random moments and resume it until it is done: the bytes must be those of a run that
was never interrupted.

    python -m tests.support.kill_runs STAGE KILLS [SEED] [SIGNAL]
                                                  STAGE: one of STAGES; SIGNAL: KILL, TERM, HUP, INT

The real command gets a real signal. One that it can answer (all but KILL) ends it with exit code 128 + its
number, and what was learned by then is saved. Prints the number of kills survived; exit code 1 at the first
difference.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.commands import STAGES, no_pictures, prepare, run, start

COMPARED = ("model.safetensors", "adapter.safetensors", "metrics.jsonl")


def kill_and_resume(stage: str, kills: int, seed: int = 0, number: int = signal.SIGKILL) -> int:
    """The number of kills survived: `kills`, or AssertionError."""
    rng = random.Random(seed)
    home = Path(tempfile.mkdtemp())
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.enter_context(no_pictures())
        prepare(home)
        command = STAGES[stage].format(home=home)
        begin = time.perf_counter()
        result = run(f"{command} --out {home}/whole")
        assert result.code == 0, result.err
        whole = time.perf_counter() - begin
        survived = n_run = 0
        while survived < kills:
            out, n_run, killed = home / f"parts{n_run}", n_run + 1, 0
            while True:
                with open(os.devnull, "r+b") as nothing, (home / "err").open("wb") as err:
                    child = start(f"{command} --out {out} --resume".split(), nothing, nothing, err)
                if survived < kills and killed < 8:  # then let this run come to its end
                    time.sleep(rng.uniform(0, 1.1 * whole))
                    os.kill(child, number)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                if code == 0:
                    break
                said = (home / "err").read_text(encoding="utf-8")
                assert code in (-number, 128 + number), f"after {survived} kills: exit code {code}: {said}"
                assert "Traceback" not in said, f"after {survived} kills: {said}"
                survived, killed = survived + 1, killed + 1
            compare(home / "whole", out, survived)
            shutil.rmtree(out)
        return survived


def compare(whole: Path, out: Path, survived: int) -> None:
    """Raise AssertionError unless both hold the same files with the same bytes."""
    for name in COMPARED:
        one, other = whole / name, out / name
        assert one.exists() == other.exists(), f"{name} after {survived} kills"
        if one.exists():
            assert one.read_bytes() == other.read_bytes(), f"{name} differs after {survived} kills"
    names = [{p.name for p in folder.iterdir()} for folder in (out, whole)]
    assert names[0] == names[1], f"{names[0] ^ names[1]} after {survived} kills"


if __name__ == "__main__":
    stage, kills = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    number = getattr(signal, f"SIG{sys.argv[4]}") if len(sys.argv) > 4 else signal.SIGKILL
    print(f"{stage}: {kill_and_resume(stage, kills, seed, number)} of {kills} kills survived")
