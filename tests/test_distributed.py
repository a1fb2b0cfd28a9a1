"""Two processes started by torchrun learn what one process learns, bit for bit."""

import subprocess
import sys

import pytest

OPTIONS = ["--steps", "6", "--batch-size", "4", "--n-ctx", "16", "--n-layer", "1", "--n-head", "2", "--n-embd", "8",
           "--vocab-size", "256", "--warmup", "1", "--precision", "fp32", "--device", "cpu"]  # fmt: skip


def pretrain(folder, out: str, processes: int, *options: str) -> subprocess.CompletedProcess:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *(torchrun if processes > 1 else []), "-m", "minillm", "pretrain",
               "--text", str(folder / "text.txt"), "--out", str(folder / out), *OPTIONS, *options]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_two_processes_on_half_batches_equal_one_on_the_whole_batch(tmp_path):
    (tmp_path / "text.txt").write_text("The capital of France is Paris. 玉山 is high.\n" * 40, encoding="utf-8")
    two = pretrain(tmp_path, "two", 2)
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("written to") == 1  # one process writes and speaks
    # the same halves, computed one after the other: the sums of two numbers are the same
    one = pretrain(tmp_path, "one", 1, "--accumulate", "2")
    assert one.returncode == 0, one.stderr
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())
