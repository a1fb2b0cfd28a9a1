"""Processes started by torchrun learn what one process learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minillm.checkpoint import newest
from minillm.plumbing.tensors import read_tensors

OPTIONS = ["--steps", "6", "--batch-size", "4", "--n-ctx", "16", "--n-layer", "1", "--n-head", "2", "--n-embd", "8",
           "--vocab-size", "256", "--warmup", "1", "--precision", "fp32", "--device", "cpu"]  # fmt: skip
# `python crashing.py STEP ARGUMENTS`: the command, which dies after it wrote the checkpoint of that step
CRASHING = """
import os, sys
from minillm import checkpoint
from minillm.__main__ import main
save = checkpoint.save
def save_then_die(out, step, *rest):
    save(out, step, *rest)
    if step == int(sys.argv[1]):
        os._exit(9)
checkpoint.save = save_then_die
sys.exit(main(sys.argv[2:]))
"""


def minillm(processes: int, *arguments, crash_at: int | None = None, folder: Path) -> subprocess.CompletedProcess:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    program = ["-m", "minillm"]
    if crash_at is not None:
        (folder / "crashing.py").write_text(CRASHING)
        program = [str(folder / "crashing.py"), str(crash_at)]
    command = [sys.executable, *(torchrun if processes > 1 else []), *program, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)


def pretrain(folder: Path, out: str, processes: int, *options: str, **crash) -> subprocess.CompletedProcess:
    text = folder / "text.txt"
    text.write_text("The capital of France is Paris. 玉山 is high.\n" * 40, encoding="utf-8")
    words = ["pretrain", "--text", text, "--out", folder / out, *OPTIONS, *options]
    return minillm(processes, *words, folder=folder, **crash)


@pytest.mark.slow
def test_two_processes_on_half_batches_equal_one_on_the_whole_batch(tmp_path):
    two = pretrain(tmp_path, "two", 2)
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("written to") == 1  # one process writes and speaks
    # the same halves, computed one after the other: the sums of two numbers are the same
    one = pretrain(tmp_path, "one", 1, "--accumulate", "2")
    assert one.returncode == 0, one.stderr
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("processes", [(1, 2, 1), (2, 1, 2)])
def test_a_checkpoint_goes_from_one_to_several_processes_and_back(tmp_path, processes):
    whole = pretrain(tmp_path, "whole", 1)
    assert whole.returncode == 0, whole.stderr
    options = ("--checkpoint-every", "2", "--resume")
    for n, step in zip(processes, (2, 4, None), strict=True):
        part = pretrain(tmp_path, "parts", n, *options, crash_at=step)
        assert (part.returncode == 0) == (step is None), part.stderr
        if step:
            assert newest(tmp_path / "parts").name == f"step-00000{step}"
    assert "resumed at step 4" in part.stdout
    metrics = [(tmp_path / out / "metrics.jsonl").read_text().splitlines() for out in ("whole", "parts")]
    for one, other in zip(*metrics, strict=True):  # sums in another order: equal up to the last digits
        assert json.loads(one) == pytest.approx(json.loads(other), rel=1e-4)
    one, other = (read_tensors(tmp_path / out / "model.safetensors") for out in ("whole", "parts"))
    assert one.keys() == other.keys()
    assert all((one[name] - other[name]).abs().max() < 1e-4 for name in one)


@pytest.mark.slow
def test_a_stage_that_trains_in_one_process_says_so(tmp_path):
    base = pretrain(tmp_path, "base", 1)
    assert base.returncode == 0, base.stderr
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 4)
    words = ["sft", "--base", tmp_path / "base", "--pairs", tmp_path / "pairs.jsonl", "--out", tmp_path / "sft"]
    result = minillm(2, *words, folder=tmp_path)
    assert result.returncode != 0 and "without torchrun" in result.stderr
    assert not (tmp_path / "sft").exists()
