"""Processes started by torchrun learn what one process learns."""

import json
import os
import re
import signal
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


def words(folder: Path, stage: str, out: str, *options: str) -> list:
    """The command of a stage on a tiny text, tiny dialogues or tiny preferences."""
    text, pairs, preferences = folder / "text.txt", folder / "pairs.jsonl", folder / "preferences.jsonl"
    text.write_text("The capital of France is Paris. 玉山 is high.\n" * 40, encoding="utf-8")
    letters = "abcdefghijk"
    pairs.write_text(
        "".join(f'{{"prompt": "{a * (i % 3 + 1)}", "completion": "{a}"}}\n' for i, a in enumerate(letters))
    )
    preferences.write_text("".join(f'{{"prompt": "{a}", "chosen": "{a}{a}", "rejected": "x"}}\n' for a in letters))
    tuning = ["--base", folder / "base", "--steps", "5", "--warmup", "1", "--precision", "fp32", "--device", "cpu",
              "--rehearse", text, "--rehearse-rows", "3"]  # fmt: skip
    own = {"pretrain": ["pretrain", "--text", text, *OPTIONS], "sft": ["sft", "--pairs", pairs, *tuning],
           "prefer": ["prefer", "--preferences", preferences, *tuning]}  # fmt: skip
    own["lora"] = [*own["sft"], "--lora", "2", "--lr", "0.05"]
    return [*own[stage], "--out", folder / out, *options]


def pretrain(folder: Path, out: str, processes: int, *options: str, **crash) -> subprocess.CompletedProcess:
    return minillm(processes, *words(folder, "pretrain", out, *options), folder=folder, **crash)


def agree(one: Path, other: Path) -> None:
    """Two runs have the same figures in every step and the same weights, up to the order of sums."""
    metrics = [(run / "metrics.jsonl").read_text().splitlines() for run in (one, other)]
    for a, b in zip(*metrics, strict=True):
        assert json.loads(a) == pytest.approx(json.loads(b), rel=1e-4, abs=1e-7)
    name = "adapter.safetensors" if (one / "adapter.json").is_file() else "model.safetensors"
    a, b = (read_tensors(run / name) for run in (one, other))
    assert a.keys() == b.keys()
    assert all((a[name] - b[name]).abs().max() < 1e-4 for name in a)


@pytest.mark.slow
def test_two_processes_on_half_batches_equal_one_on_the_whole_batch(tmp_path):
    two = pretrain(tmp_path, "two", 2, "--accumulate", "1")
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("written to") == 1  # one process writes and speaks
    # the same halves, computed one after the other: the sums of two numbers are the same
    one = pretrain(tmp_path, "one", 1, "--accumulate", "2")
    assert one.returncode == 0, one.stderr
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sft", "lora", "prefer"])
def test_every_tuning_in_several_processes_equals_one_process_on_the_whole_batch(tmp_path, stage):
    """Batches of 11 examples and 3 rows do not divide by 2 or 3: a process without a share still takes part."""
    assert pretrain(tmp_path, "base", 1).returncode == 0
    for out, processes, options in (("one", 1, ()), ("two", 2, ()), ("sharded", 3, ("--shard",))):
        done = minillm(processes, *words(tmp_path, stage, out, *options), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        agree(tmp_path / "one", tmp_path / out)


@pytest.mark.slow
def test_a_checkpoint_goes_between_copies_and_parts_of_the_parameters(tmp_path):
    whole = pretrain(tmp_path, "whole", 1)
    assert whole.returncode == 0, whole.stderr
    options = ("--checkpoint-every", "2", "--resume")
    for n, step, shard in ((1, 2, ()), (3, 4, ("--shard",)), (2, None, ())):
        part = pretrain(tmp_path, "parts", n, *options, *shard, crash_at=step)
        assert (part.returncode == 0) == (step is None), part.stderr
        if step:
            assert newest(tmp_path / "parts").name == f"step-00000{step}"
    assert "resumed at step 4" in part.stdout
    agree(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_processes_that_read_different_texts_are_refused(tmp_path):
    """Each process finds its own part of a pipe; here each finds its own file."""
    program = tmp_path / "own_text.py"
    program.write_text(
        "import os, sys\nfrom minillm.__main__ import main\n"
        "sys.exit(main([w.replace('RANK', os.environ['RANK']) for w in sys.argv[1:]]))\n"
    )
    for rank in range(2):
        (tmp_path / f"text{rank}.txt").write_text(f"text number {rank} " * 50)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", program]
    command = [*torchrun, "pretrain", "--text", tmp_path / "textRANK.txt", "--out", tmp_path / "out", *OPTIONS]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode != 0 and "the text differs between the processes" in done.stderr
    assert "Traceback" not in done.stderr.partition("torch/distributed")[0] and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_signal_to_one_of_several_processes_saves_the_same_step_of_all(tmp_path):
    """SIGTERM reaches torchrun's processes at different moments; they stop after the same step, and go on."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "minillm"]
    command = [*torchrun, *words(tmp_path, "pretrain", "out", "--steps", "100000", "--checkpoint-every", "100000")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=environment)
    for line in process.stderr:  # until training has begun
        if re.search(r"\b[1-9]\d*/100000", line):
            break
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    saved = newest(tmp_path / "out")
    assert process.returncode != 0 and saved is not None
    assert f"interrupted; step {int(saved.name[5:])} is saved" in said
