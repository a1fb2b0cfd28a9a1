"""Which number format is faster here: timed once, kept in a file, never a reason to stop."""

import json

import pytest

from minillm.plumbing import precision


@pytest.fixture
def answer(monkeypatch, tmp_path):
    """bf16_is_faster() with given seconds, in a cache folder of its own; also counts how often it was timed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    calls = []

    def ask(fp32: float = 1.0, bf16: float = 1.0) -> bool:
        monkeypatch.setattr(precision, "timed", lambda: calls.append(1) or {"fp32": [fp32, 9.0], "bf16": [9.0, bf16]})
        return precision.bf16_is_faster.__wrapped__()

    ask.calls = calls
    return ask


@pytest.mark.parametrize(
    ("fp32", "bf16", "expected"), [(1, 0.5, True), (1, 0.94, True), (1, 0.96, False), (0.5, 1, False), (1, 1, False)]
)
def test_bf16_is_taken_where_it_is_clearly_faster_and_remembered(answer, fp32, bf16, expected):
    assert answer(fp32, bf16) is expected
    assert answer(bf16, fp32) is expected  # what is kept counts, not what would be timed now
    assert len(answer.calls) == 1


@pytest.mark.parametrize("found", ["", "{", "[]", "{}", '{"machine": [], "bf16": true}', '{"bf16": "yes"}'])
def test_a_file_that_does_not_say_it_of_this_machine_is_written_anew(answer, found):
    path = precision.cache_file()
    path.parent.mkdir(parents=True)
    path.write_text(found)
    assert answer(1, 0.5) is True
    assert json.loads(path.read_text())["bf16"] is True
    assert len(answer.calls) == 1


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(answer, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert answer(1, 0.5) is True
    assert answer(0.5, 1) is False


def test_both_formats_are_timed_alike():
    seconds = precision.timed()
    assert set(seconds) == {"fp32", "bf16"}
    assert all(len(own) == precision.ROUNDS and min(own) > 0 for own in seconds.values())
