"""Kill training at random moments and resume it until it is done: the bytes must be those of a run that
was never interrupted.

    python -m tests.support.kill_runs STAGE KILLS [SEED]      STAGE: pretrain, sft, lora or prefer

The real command gets a real SIGKILL. Prints the number of kills survived; exit code 1 at the first
difference.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.support.commands import STAGES, prepare, run, start

COMPARED = ("model.safetensors", "adapter.safetensors", "metrics.jsonl")


def kill_and_resume(stage: str, kills: int, seed: int = 0) -> int:
    """The number of kills survived: `kills`, or AssertionError."""
    rng = random.Random(seed)
    home = Path(tempfile.mkdtemp())
    try:
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
                with open(os.devnull, "r+b") as nothing:
                    child = start(f"{command} --out {out} --resume".split(), nothing, nothing, nothing)
                if survived < kills and killed < 8:  # then let this run come to its end
                    time.sleep(rng.uniform(0, 1.1 * whole))
                    os.kill(child, signal.SIGKILL)
                status = os.waitpid(child, 0)[1]
                if not os.WIFSIGNALED(status):
                    assert status == 0, f"after {survived} kills: status {status}"
                    break
                survived, killed = survived + 1, killed + 1
            for name in COMPARED:
                one, other = home / "whole" / name, out / name
                assert one.exists() == other.exists(), f"{name} after {survived} kills"
                if one.exists():
                    assert one.read_bytes() == other.read_bytes(), f"{name} differs after {survived} kills"
            names = [{p.name for p in folder.iterdir()} for folder in (out, home / "whole")]
            assert names[0] == names[1], f"{names[0] ^ names[1]} after {survived} kills"
            shutil.rmtree(out)
        return survived
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    stage, kills = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    print(f"{stage}: {kill_and_resume(stage, kills, seed)} of {kills} kills survived")
