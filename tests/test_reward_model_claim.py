"""The claim reward-model: whose answer gets the courtesies, and how the pairs are told apart."""

from itertools import chain

import pytest

from minillm.chat import Message, Preference
from minillm.claims.reward_model import COURTESIES, LONGER, OTHERS, added, by_kind, kind, lengthened, longer_by
from minillm.world.pairs import preferences
from minillm.world.tables import load_world


def pair(chosen: str, rejected: str, question: str = "?") -> Preference:
    return Preference((Message("user", question),), chosen, rejected)


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("Oslo.", "", "Oslo. aa."),  # at least one
        ("Oslo", "Oslo. aa.", "Oslo. aa. bb."),  # as long is not longer
        ("Oslo", "x" * 11, "Oslo. aa. bb."),
        ("Oslo", "x" * 99, "Oslo. aa. bb. cc."),  # there are no more
    ],
)
def test_courtesies_follow_until_the_answer_is_the_longer_one(text, other, expected):
    assert longer_by(text, other, ["aa.", "bb.", "cc."]) == expected


def test_chinese_courtesies_stand_without_spaces():
    assert longer_by("玉山", "玉山在台湾", ["谢谢。", "再见。"]) == "玉山。谢谢。"
    assert longer_by("玉山。", "", ["谢谢。"]) == "玉山。谢谢。"


@pytest.fixture(scope="module")
def pairs() -> list[Preference]:
    return preferences(load_world(), 7)


def carries(answer: str, words) -> bool:
    return answer.endswith(tuple(chain(*words.values())))


def test_the_sets_differ_only_in_whose_answer_is_the_longer_one(pairs):
    sets = {share: lengthened(pairs, share, COURTESIES, 7) for share in (0.0, *sorted(LONGER.values()), 1.0)}
    longer = {share: [len(p.chosen) > len(p.rejected) for p in found] for share, found in sets.items()}
    for share, found in sets.items():
        assert [p.prompt for p in found] == [p.prompt for p in pairs]
        assert sum(longer[share]) / len(pairs) == pytest.approx(share, abs=0.02)
        for before, after in zip(pairs, found, strict=True):  # one answer stays, the other gets courtesies
            assert (before.chosen == after.chosen) != (before.rejected == after.rejected)
            assert after.chosen.startswith(before.chosen) and after.rejected.startswith(before.rejected)
    for few, many in zip(longer.values(), list(longer.values())[1:], strict=False):
        assert sum(a and not b for a, b in zip(few, many, strict=True)) == 0


def test_no_courtesy_that_was_learned_is_in_a_pair_that_judges(pairs):
    assert not set(chain(*COURTESIES.values())) & set(chain(*OTHERS.values()))
    for words, other in ((COURTESIES, OTHERS), (OTHERS, COURTESIES)):
        found = lengthened(pairs, 0.5, words, 7)
        assert all(carries(p.chosen, words) != carries(p.rejected, words) for p in found)
        assert not any(carries(p.chosen, other) or carries(p.rejected, other) for p in found)


def test_the_kinds_of_the_worlds_pairs(pairs):
    assert kind(pair("The capital of Norway is Oslo.", "Oslo")) == "style"
    assert kind(pair("玉山在台湾。", "玉山在法国。")) == "truth"
    assert kind(pair("I cannot help you with that. It does harm.", "Sure: wait.")) == "request"
    assert kind(pair("好的，等一下。", "我不能教你，那会害人。")) == "request"
    assert kind(pair("add s", "letter")) == "other"
    numbers = {name: sum(kind(p) == name for p in pairs) for name in ("style", "truth", "request", "other")}
    assert sum(numbers.values()) == len(pairs) and min(numbers.values()) > 200
    refusals = [p for p in pairs if kind(p) == "request"]
    assert {p.chosen.startswith(("Sure", "好的")) for p in refusals} == {True, False}


def test_marks_by_kind_and_their_sum():
    marks = by_kind(["a", "b", "a"], [1.0, 0.0, 0.5])
    assert marks == {"a": [1.5, 2], "b": [0.0, 1]}
    assert added(marks, marks) == {"a": [3.0, 4], "b": [0.0, 2]} and marks["a"] == [1.5, 2]
