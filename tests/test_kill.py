"""Runs that are killed at random moments end with the bytes of runs that were not."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain", "sft", "lora", "prefer"])
def test_twenty_kills_change_nothing(stage):
    command = [sys.executable, "-m", "tests.support.kill_runs", stage, "20"]
    root = Path(__file__).parents[1]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0 and "20 of 20" in result.stdout, result.stdout + result.stderr
