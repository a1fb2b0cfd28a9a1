"""Runs that are killed end with the bytes of runs that were not, and two runs in one folder leave one whole.

Samples of the campaigns in tests/support, which go through all moments; larger ones with MINILLM_WHOLE=1."""

import os
import signal

import pytest

from tests.support.kill_events import KINDS, kill_all
from tests.support.kill_runs import kill_and_resume
from tests.support.pairs_in_one_folder import try_pairs
from tests.support.sample import sample

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL"),
]


@pytest.mark.parametrize(
    ("stage", "name"),
    [*((stage, "KILL") for stage in ("pretrain", "sft", "lora", "prefer", "reward", "grpo", "ppo")),
     ("pretrain", "TERM"), ("sft", "HUP"), ("lora", "INT")],
)  # fmt: skip
def test_kills_change_nothing(stage, name):
    kills = sample(5, 20) if name == "KILL" else sample(3, 6)
    assert kill_and_resume(stage, kills, seed=0, number=getattr(signal, f"SIG{name}")) == kills


@pytest.mark.parametrize("kind", [name for name in KINDS if not name.startswith("demo")])
def test_kills_at_file_events_are_resumed_or_refused(kind):
    count, failures = kill_all(kind, every=19, first=3, most=sample(3, 4))
    assert not failures
    assert count.total() >= 2


def test_a_killed_demo_goes_on():
    count, failures = kill_all("demo --overwrite", every=1, first=151, most=1)
    assert not failures and count["resumed"] == 1


def test_of_two_trainings_in_one_folder_one_is_refused_and_the_other_is_whole():
    assert try_pairs(4) == 4
