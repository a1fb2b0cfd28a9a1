"""Processes that train together learn what one process learns.

torchrun itself starts those of two tests; the others are forked with what torchrun tells its processes, so that
PyTorch is imported once."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from minillm import checkpoint
from minillm.__main__ import main
from minillm.checkpoint import newest
from minillm.plumbing.tensors import read_tensors
from tests.support import commands

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

OPTIONS = ["--steps", "6", "--batch-size", "4", "--n-ctx", "16", "--n-layer", "1", "--n-head", "2", "--n-embd", "8",
           "--vocab-size", "256", "--warmup", "1", "--precision", "fp32", "--device", "cpu"]  # fmt: skip
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "minillm"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


def as_torchrun_would(rank: int, processes: int, port: int, crash_at: int | None) -> None:
    """In a forked process: what it is among the others; it dies after it wrote the checkpoint of step `crash_at`."""
    os.environ |= {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": f"{processes}",
                   "LOCAL_WORLD_SIZE": f"{processes}", "MASTER_ADDR": "localhost", "MASTER_PORT": f"{port}"}  # fmt: skip
    save = checkpoint.save

    def save_then_die(out: Path, step: int, *rest: object) -> None:
        save(out, step, *rest)
        if step == crash_at:
            os._exit(9)

    checkpoint.save = save_then_die


def together(each: list[list], folder: Path, crash_at: int | None = None) -> list[commands.Result]:
    """One process for each command, as parts of one training: how each ended and what it said."""
    import torch.distributed.fsdp  # noqa: F401  # once, and not in every process

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    children = []
    for rank, words in enumerate(each):
        with ExitStack() as stack:
            out, err = (stack.enter_context((folder / f"{name}{rank}").open("wb")) for name in ("out", "err"))
            nothing = stack.enter_context(open(os.devnull, "rb"))
            before = partial(as_torchrun_would, rank, len(each), port, crash_at)
            children.append(commands.start([str(word) for word in words], nothing, out, err, before=before))
    codes = []
    for child in children:
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        if codes[-1] == 9:  # the others would wait for it for half an hour: torchrun ends them
            for other in children[len(codes) :]:
                os.kill(other, signal.SIGKILL)
    said = [[(folder / f"{name}{rank}").read_text() for name in ("out", "err")] for rank in range(len(each))]
    return [commands.Result(code, *both) for code, both in zip(codes, said, strict=True)]


def minillm(processes: int, *arguments, crash_at: int | None = None, folder: Path) -> commands.Result:
    """The same command in several processes: what the first has to say."""
    return together([[*arguments]] * processes, folder, crash_at)[0]


def words(folder: Path, stage: str, out: str, *options: str) -> list:
    """The command of a stage on a tiny text, tiny dialogues or tiny preferences; the base is in `base`."""
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


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A folder with a base; made in this process, so that forked ones find imported what it took to make it."""
    folder = tmp_path_factory.mktemp("home")
    with commands.no_pictures():
        assert main([str(word) for word in words(folder, "pretrain", "base")]) == 0
        yield folder


def pretrain(folder: Path, out: str, processes: int, *options: str, **crash) -> commands.Result:
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


def test_two_processes_on_half_batches_equal_one_on_the_whole_batch(tmp_path):
    command = [*TORCHRUN, *words(tmp_path, "pretrain", "two", "--accumulate", "1")]
    two = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, check=False, env=ENVIRONMENT
    )
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("written to") == 1  # one process writes and speaks
    # the same halves, computed one after the other: the sums of two numbers are the same
    one = pretrain(tmp_path, "one", 1, "--accumulate", "2")
    assert one.code == 0, one.err
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())


@pytest.mark.parametrize("stage", ["sft", "lora", "prefer"])
def test_every_tuning_in_several_processes_equals_one_process_on_the_whole_batch(home, stage):
    """Batches of 11 examples and 3 rows do not divide by 2 or 3: a process without a share still takes part."""
    for name, processes, options in (("one", 1, ()), ("two", 2, ()), ("sharded", 3, ("--shard",))):
        done = minillm(processes, *words(home, stage, f"{stage}-{name}", *options), folder=home)
        assert done.code == 0, done.err
        agree(home / f"{stage}-one", home / f"{stage}-{name}")


def test_a_checkpoint_goes_between_copies_and_parts_of_the_parameters(tmp_path):
    whole = pretrain(tmp_path, "whole", 1)
    assert whole.code == 0, whole.err
    options = ("--checkpoint-every", "2", "--resume")
    for n, step, shard in ((1, 2, ()), (3, 4, ("--shard",)), (2, None, ())):
        part = pretrain(tmp_path, "parts", n, *options, *shard, crash_at=step)
        assert part.code == (0 if step is None else 9), part.err
        if step:
            assert newest(tmp_path / "parts").name == f"step-00000{step}"
    assert "resumed at step 4" in part.out
    agree(tmp_path / "whole", tmp_path / "parts")


def test_processes_that_read_different_texts_are_refused(tmp_path):
    """Each process finds its own part of a pipe; here each finds its own file."""
    for rank in range(2):
        (tmp_path / f"text{rank}.txt").write_text(f"text number {rank} " * 50)
    both = [["pretrain", "--text", tmp_path / f"text{rank}.txt", "--out", tmp_path / "run", *OPTIONS]
            for rank in range(2)]  # fmt: skip
    for done in together(both, tmp_path):
        assert done.code == 2 and "the text differs between the processes" in done.err and "Traceback" not in done.err
    assert not (tmp_path / "run").exists()


def test_a_signal_to_one_of_several_processes_saves_the_same_step_of_all(tmp_path):
    """SIGTERM reaches torchrun's processes at different moments; they stop after the same step, and go on."""
    command = [*TORCHRUN, *words(tmp_path, "pretrain", "out", "--steps", "100000", "--checkpoint-every", "100000")]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    for line in process.stderr:  # until training has begun
        if re.search(r"\b[1-9]\d*/100000", line):
            break
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    saved = newest(tmp_path / "out")
    assert process.returncode != 0 and saved is not None
    assert f"interrupted; step {int(saved.name[5:])} is saved" in said
