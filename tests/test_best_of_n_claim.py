"""The claim best-of-n: pairs of the model's own answers, the vote, and the KL that is measured."""

import math

import pytest

from minillm.claims.best_of_n import SIZES, N, measured_divergence, own_pairs, voted
from minillm.stage3_preference.best_of_n import divergence
from minillm.world.exam import Question

JAPAN = Question("Japan", "What is the capital of Japan?", ("Tokyo", "The capital of Japan is Tokyo."))
CHAD = Question("Chad", "What is the capital of Chad?", ("N'Djamena", "The capital of Chad is N'Djamena."))
TRUE, FALSE = "The capital of Japan is Tokyo.", "The capital of Japan is Oslo."


def test_own_pairs_set_each_true_sentence_above_what_is_none():
    answers = [("Tokyo", True), (TRUE, True), (FALSE, True), (TRUE, True), ("Tokyo", True), ("Oslo", False)]
    pairs = own_pairs([JAPAN, CHAD], [answers, answers])  # to Chad none is true
    assert [(p.chosen, p.rejected) for p in pairs] == [(TRUE, "Tokyo"), (TRUE, FALSE)]
    assert all(p.prompt[0].content == JAPAN.text for p in pairs)
    assert len(own_pairs([JAPAN], [answers], most=1)) == 1
    assert own_pairs([JAPAN], [[(TRUE, False), ("Tokyo", True)]]) == []  # it was cut


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [0, 1, 1, 0, 1, 0, 0, 0]),  # each answer alone
        (2, [0, 1, 1, 0]),  # of equals the first; the first of those without a valid one
        (4, [0, 1]),  # a and b are both said twice
        (8, [1]),  # b is said three times, a twice
        (3, [1, 0]),  # the last two are no group
    ],
)
def test_a_vote_elects_what_most_valid_answers_are(n, expected):
    texts = ["a", "b", "b", "a", "b", "x", "x", "x"]
    valid = [text != "x" for text in texts]
    value = [float(text == "b") for text in texts]
    assert voted(texts, valid, value, n) == pytest.approx(sum(expected) / len(expected))


def test_the_measured_kl_is_that_of_the_shares():
    assert measured_divergence(["a"] * 5, [1.0] * 5, 8) == 0  # one text: nothing to choose
    two = [("bad", 0.0)] * 3 + [("good", 1.0)]
    texts, rewards = map(list, zip(*two, strict=True))
    good = 1 - 0.75**2
    assert measured_divergence(texts, rewards, 2) == pytest.approx(
        good * math.log(good / 0.25) + (1 - good) * math.log((1 - good) / 0.75)
    )
    assert measured_divergence(texts, rewards, 1) == pytest.approx(0)


@pytest.mark.parametrize("n", SIZES)
def test_the_measured_kl_of_answers_that_all_differ_approaches_the_formula(n):
    few, many = (
        measured_divergence([str(k) for k in range(size)], [float(k) for k in range(size)], n) for size in (N, 6400)
    )
    assert few <= many + 1e-9 and many <= divergence(n) + 1e-9 and many == pytest.approx(divergence(n), abs=0.01)
