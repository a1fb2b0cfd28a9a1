"""Runs that are killed end with the bytes of runs that were not, and two runs in one folder leave one whole.

Samples of the campaigns in tests/support, which go through all moments."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kill_events import KINDS, kill_all
from tests.support.pairs_in_one_folder import try_pairs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL"),
]


@pytest.mark.parametrize(
    ("stage", "kills", "signal"),
    [*((stage, 20, "KILL") for stage in ("pretrain", "sft", "lora", "prefer")),
     ("pretrain", 6, "TERM"), ("sft", 6, "HUP"), ("lora", 6, "INT")],
)  # fmt: skip
def test_kills_change_nothing(stage, kills, signal):
    command = [sys.executable, "-m", "tests.support.kill_runs", stage, str(kills), "0", signal]
    root = Path(__file__).parents[1]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0 and f"{kills} of {kills}" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("kind", [name for name in KINDS if not name.startswith("demo")])
def test_kills_at_file_events_are_resumed_or_refused(kind):
    count, failures = kill_all(kind, every=19, first=3, most=4)
    assert not failures
    assert count.total() >= 2


def test_a_killed_demo_goes_on():
    count, failures = kill_all("demo --overwrite", every=1, first=151, most=1)
    assert not failures and count["resumed"] == 1


def test_of_two_trainings_in_one_folder_one_is_refused_and_the_other_is_whole():
    assert try_pairs(4) == 4
