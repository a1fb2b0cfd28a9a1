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
import torch

from minillm import checkpoint
from minillm.__main__ import main
from minillm.checkpoint import newest
from minillm.plumbing import distributed
from minillm.plumbing.files import InputError
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


def together(each: list[commands.Work], folder: Path, crash_at: int | None = None) -> list[commands.Result]:
    """One process for each command or function, as parts of one training: how each ended and what it said."""
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
            work = words if callable(words) else [str(word) for word in words]
            children.append(commands.start(work, nothing, out, err, before=before))
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


def words(folder: Path, stage: str, out: str, *options: str, reward: str = "length") -> list:
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
    asked = ["--prompts", pairs, "--reward", reward, "--cut-reward", "0.3", "--max-new-tokens", "6"]
    rl = ["rl", *tuning, *asked, "--batch-size", "3", "--group", "3", "--lr", "0.02"]
    rounds = ["--epochs", "2", "--minibatches", "2", "--checkpoint-every", "1"]
    own |= {"grpo": [*rl, "--group", "16"], "grpo-lora": [*rl, *rounds, "--lora", "2"],
            "rft": [*rl, "--method", "rft"], "ppo": [*rl, *rounds, "--method", "ppo", "--accumulate", "3"]}  # fmt: skip
    return [*own[stage], "--out", folder / out, *options]


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A folder with a base; made in this process, so that forked ones find imported what it took to make it."""
    folder = tmp_path_factory.mktemp("home")
    with commands.no_pictures():
        assert main([str(word) for word in words(folder, "pretrain", "base", "--n-ctx", "32")]) == 0
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


# ------------------------------------------------------------------------- reinforcement: processes that work alike


@pytest.mark.parametrize("stage", ["grpo", "grpo-lora", "rft", "ppo"])
def test_reinforcement_in_several_processes_equals_one_process(home, stage):
    """Three prompts with three answers each do not divide by 2, nor two micro-batches by 3."""
    for processes in (1, 2, 3):
        each = together([words(home, stage, f"{stage}-{processes}")] * processes, home)
        assert [done.code for done in each] == [0] * processes, [done.err for done in each]
        assert all(not done.out and not done.err for done in each[1:])  # one process speaks
        agree(home / f"{stage}-1", home / f"{stage}-{processes}")


@pytest.mark.parametrize("stage", ["grpo", "grpo-lora", "ppo"])
def test_reinforcement_that_was_killed_in_all_processes_ends_with_the_same_bytes(home, stage):
    whole = minillm(2, *words(home, stage, f"{stage}-whole"), folder=home)
    assert whole.code == 0, whole.err
    command = words(home, stage, f"{stage}-parts", "--checkpoint-every", "1", "--resume")
    for step in (2, 3, None):  # with two epochs of two parts, both are within a round
        part = minillm(2, *command, folder=home, crash_at=step)
        assert part.code == (0 if step is None else 9), part.err
    assert "resumed at step 3" in part.out
    for path in (home / f"{stage}-whole").iterdir():
        if path.name in ("model.safetensors", "adapter.safetensors", "metrics.jsonl"):
            assert path.read_bytes() == (home / f"{stage}-parts" / path.name).read_bytes(), path.name


OWN = """
import os

def length(question, answer):
    if os.environ["RANK"] == "1":
        raise ValueError("only here")
    return len(answer) / 10
"""


@pytest.mark.parametrize(("name", "place"), [("in_call", 6), ("in_import", 2)])
def test_a_reward_that_fails_in_one_process_ends_all_with_its_line(home, tmp_path, monkeypatch, name, place):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "in_call.py").write_text(OWN)
    (tmp_path / "in_import.py").write_text('import os\nassert os.environ["RANK"] != "1"\nlength = len\n')
    many = words(home, "grpo", name, "--group", "64", reward=f"{name}:length")  # among 64 answers some come to an end
    for done in together([many] * 2, tmp_path):
        assert done.code == 2 and "Traceback" not in done.err
        assert f"{name}.py:{place}: " in done.err.splitlines()[-1]
    assert not (home / name / "config.json").exists()


def test_a_reward_that_differs_between_processes_is_noticed_where_it_would_part_them(home, tmp_path, monkeypatch):
    """With dropout nothing but the sampling is shared, since the order of the draws decides what is drawn."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "by_rank.py").write_text('import os\ndef good(q, a): return len(a) * int(os.environ["RANK"])\n')
    dropout = ["--lora-dropout", "0.5"]
    for processes in (1, 2):
        done = minillm(processes, *words(home, "grpo-lora", f"dropout-{processes}", *dropout), folder=home)
        assert done.code == 0, done.err
    agree(home / "dropout-1", home / "dropout-2")
    own = words(home, "grpo-lora", "by_rank", *dropout, "--group", "64", reward="by_rank:good")
    for done in together([own] * 2, tmp_path):
        assert done.code == 2 and "what was learned in step 1 differs" in done.err and "Traceback" not in done.err


def test_the_best_of_n_are_the_same_in_several_processes(home, tmp_path):
    """No tuning: what is shared is the sampling, of more rows than a small model generates by itself."""
    said = {}
    for processes in (1, 2):
        best = tmp_path / f"{processes}.jsonl"
        command = ["best-of-n", "--run", home / "base", "--prompts", home / "pairs.jsonl", "--reward", "length", "--n", "33",
                   "--max-new-tokens", "6", "--device", "cpu", "--out", best]  # fmt: skip
        first, *others = together([command] * processes, tmp_path)
        assert first.code == 0 and best.read_text(), first.err
        assert all(other.code == 0 and not other.out for other in others)
        said[processes] = first.out.replace(best.name, ""), best.read_text()
    assert said[1] == said[2]


def test_processes_that_work_alike_compute_each_item_once_and_all_have_the_results(tmp_path):
    def work() -> None:
        done = []

        def in_place(item: int) -> None:
            done.append(item)

        with distributed.processes(torch.device("cpu")) as device, distributed.alike(device):
            assert distributed.world_size() == 1 and distributed.process_count() == 3
            by = list(distributed.shared(lambda item: (item, distributed.rank()), range(7)))
            few = list(distributed.shared(lambda item: item + 1, [5]))
            nothing = list(distributed.shared(in_place, [1, 2]))
        print(json.dumps([by, few, nothing, sorted(done)]))

    for each in together([work] * 3, tmp_path):
        assert each.code == 0, each.err
        assert json.loads(each.out) == [[[i, i % 3] for i in range(7)], [6], [None, None], [1, 2]]


def test_what_cannot_be_given_to_another_process_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "process_count", lambda: 2)
    with pytest.raises(InputError, match="on CPUs only"), distributed.alike(torch.device("cuda")):
        pass
