"""Kill training at random moments and resume it until it is done: the bytes must be those of a run that
was never interrupted.

    python -m tests.kill_runs STAGE KILLS [SEED]      STAGE: pretrain, sft, lora or prefer

The real command runs in a forked child (so that importing PyTorch is paid once) and gets a real SIGKILL.
Prints the number of kills survived; exit code 1 at the first difference.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from minillm.__main__ import main
from minillm.data import write_records

SHAPE = "--n-ctx 32 --n-layer 1 --n-head 2 --n-embd 16 --vocab-size 256 --batch-size 2"
TRAIN = "--steps 60 --checkpoint-every 5 --warmup 5 --device cpu"
STAGES = {
    "pretrain": f"pretrain --text {{home}}/text.txt {SHAPE} {TRAIN}",
    "sft": f"sft --base {{home}}/base --pairs {{home}}/pairs.jsonl --batch-size 3 {TRAIN}",
    "lora": f"sft --base {{home}}/base --pairs {{home}}/pairs.jsonl --batch-size 3 --lora 2 --lora-dropout 0.3 {TRAIN}",
    "prefer": f"prefer --base {{home}}/base --preferences {{home}}/preferences.jsonl --batch-size 3 {TRAIN}",
}
COMPARED = ("model.safetensors", "adapter.safetensors", "metrics.jsonl")


def start(command: str) -> int:
    """Run a command in a child process; return its id."""
    if child := os.fork():
        return child
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        torch.set_num_threads(1)
        os._exit(main(command.split()))
    except BaseException:
        os._exit(99)


def run(command: str) -> None:
    """Run a command to its end."""
    status = os.waitpid(start(command), 0)[1]
    assert status == 0, f"{command}: status {status}"


def kill_and_resume(stage: str, kills: int, seed: int = 0) -> int:
    """The number of kills survived: `kills`, or AssertionError."""
    rng = random.Random(seed)
    home = Path(tempfile.mkdtemp())
    try:
        (home / "text.txt").write_text("The capital of France is Paris. 台湾最高的山是玉山。\n" * 30, encoding="utf-8")
        pairs = [("1+1?", "two", "2"), ("山?", "玉山", "no"), ("a", "b c", "d")] * 5
        write_records(home / "pairs.jsonl", [{"prompt": q, "completion": a} for q, a, _ in pairs])
        write_records(home / "preferences.jsonl", [{"prompt": q, "chosen": a, "rejected": b} for q, a, b in pairs])
        run(f"pretrain --text {home}/text.txt --out {home}/base {SHAPE} --steps 3 --device cpu")
        command = STAGES[stage].format(home=home)
        begin = time.perf_counter()
        run(f"{command} --out {home}/whole")
        whole = time.perf_counter() - begin
        survived = n_run = 0
        while survived < kills:
            out, n_run, killed = home / f"parts{n_run}", n_run + 1, 0
            while True:
                child = start(f"{command} --out {out} --resume")
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
            assert {p.name for p in out.iterdir()} == {p.name for p in (home / "whole").iterdir()}
            shutil.rmtree(out)
        return survived
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    stage, kills = sys.argv[1], int(sys.argv[2])
    print(
        f"{stage}: {kill_and_resume(stage, kills, int(sys.argv[3]) if len(sys.argv) > 3 else 0)} of {kills} kills survived"
    )
