"""The claim on-policy: how an answer is graded, which pairs are made of answers, and what is compared at equal exam score."""

from types import SimpleNamespace

import pytest
import torch

from minillm.claims import on_policy
from minillm.claims.lab import Lab
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.run_folder import Run
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question

BYTES = Tokenizer.from_ranks({bytes([b]): b for b in range(256)})
SMALL = GPTConfig(n_vocab=259, n_ctx=64, n_layer=1, n_head=2, n_embd=8)
FACTS = {
    "The capital of Chad is N'Djamena.": "capital",
    "N'Djamena: capital of Chad.": "capital",
    "Chad lies in Africa.": "continent",
    "乍得在非洲。": "continent",
}
CHAD = on_policy.Story(Question("Chad", "Tell me about Chad.", ()), FACTS)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("", (0, 0)),
        ("Chad lies in Africa.", (1, 0)),
        ("Chad lies in Africa. The capital of Chad is N'Djamena.", (2, 0)),
        ("乍得在非洲。Chad lies in Africa.", (1, 1)),  # the same fact again
        ("The capital of Chad is N'Djamena. N'Djamena: capital of Chad.", (1, 1)),
        ("Chad lies in Europe. Chad lies in Africa.", (1, 1)),
        ("Chad lies in Africa", (0, 1)),  # no sentence
        ("Chad lies in Africa.Chad", (1, 1)),
        ("Africa", (0, 1)),
        ("a. b。c", (0, 3)),
    ],
)
def test_facts_count_once_and_every_other_sentence_against_them(answer, told):
    assert CHAD.told(answer) == told
    assert CHAD.grade(answer) == told[0] - told[1]


@pytest.mark.parametrize("seed", [3, 101])
def test_every_wording_of_a_fact_is_told_as_one_fact(seed):
    for story in on_policy.stories(Lab(seed), Lab(seed).held_out):
        assert story.question.entity and set(story.sentences.values()) <= set(on_policy.ATTRIBUTES)
        for wording in story.sentences:
            assert story.told(wording) == (1, 0)


def test_what_is_shown_and_practised_is_about_other_places_than_those_asked():
    lab = Lab(101)
    practised, asked = on_policy.stories(lab, lab.taught), on_policy.stories(lab, lab.held_out)
    assert not {s.question.text for s in practised} & {s.question.text for s in asked}
    pairs, told = on_policy.first_answers(lab, practised), set()
    for story, (question, answer) in zip(practised, pairs, strict=True):
        assert question.content == story.question.text
        told.add(story.told(answer.content))
    assert told == {(1, 0), (2, 0)}  # all true, and nobody is shown more


@pytest.mark.parametrize(
    ("points", "least", "most"),
    [
        ([(0.1, 0.9)], 0.85, 0.1),
        ([(0.1, 0.9), (0.3, 0.88)], 0.85, 0.3),
        ([(0.1, 0.9), (0.3, 0.8)], 0.85, 0.2),
        ([(0.1, 0.9), (0.0, 0.86), (-0.2, 0.5)], 0.85, 0.1),
        ([(0.1, 0.9), (0.3, 0.8), (0.9, 0.95)], 0.85, 0.2),  # what follows a fall does not count
        ([(0.1, 0.9), (0.3, 0.92), (0.5, 0.78)], 0.85, 0.4),
    ],
)
def test_the_most_that_is_told_before_the_exam_score_falls_below(points, least, most):
    assert on_policy.at_equal_exam(points, least) == pytest.approx(most)


def test_the_ends_of_the_way_between_two_models_are_these_models():
    start, end = (Run(GPT(SMALL, seed), BYTES) for seed in (1, 2))
    kept = [p.clone() for p in end.gpt.parameters()]
    halfway = on_policy.between(start, end, 0.5)
    for share, model in ((0.0, start), (1.0, end)):
        ends = zip(on_policy.between(start, end, share).gpt.parameters(), model.gpt.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in ends)
    for p, a, b in zip(halfway.gpt.parameters(), start.gpt.parameters(), end.gpt.parameters(), strict=True):
        torch.testing.assert_close(p, (a + b) / 2)
    assert all(torch.equal(p, old) for p, old in zip(end.gpt.parameters(), kept, strict=True))


def test_the_best_and_the_worst_of_a_group_are_a_pair_and_equal_ones_are_none(monkeypatch):
    lab, run = Lab(101, "smoke"), Run(GPT(SMALL), BYTES)
    stories = [on_policy.Story(Question("Chad", text, ()), FACTS) for text in ("one?", "two?")]
    written = {"one?": ["a.", "Chad lies in Africa.", "a. b."], "two?": ["a.", "c.", "b."]}
    seeds = []

    def sample(gpt, tokenizer, prompts, reward, sampling, group):
        answers = [text for prompt in prompts for text in written[prompt.question]]
        asked = [prompt.question for prompt in prompts for _ in range(group)]
        seeds.append((sampling.seed, sampling.temperature))
        rewards = [reward(*both) for both in zip(asked, answers, strict=True)]
        return SimpleNamespace(answers=answers, rewards=torch.tensor(rewards))

    monkeypatch.setattr(on_policy, "sample", sample)
    pairs = on_policy.own_pairs(lab, run, stories, 3, 3, 8)  # both prompts, then the first once more
    assert [(p.prompt[0].content, p.chosen, p.rejected) for p in pairs] == [
        ("one?", "Chad lies in Africa.", "a. b."),
        ("one?", "Chad lies in Africa.", "a. b."),
    ]
    assert seeds == [(101000, 1.0), (101002, 1.0)]


def test_a_model_is_at_no_distance_from_itself():
    run = Run(GPT(SMALL).eval(), BYTES)
    assert on_policy.divergence(run, run, [CHAD], 8, 0) == pytest.approx(0.0, abs=1e-3)
