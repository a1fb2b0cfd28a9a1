"""The claim over-optimisation: which pairs the second reward model learns, and what is done with cut answers."""

import pytest
import torch

from minillm.claims import over_optimisation
from minillm.claims.lab import Lab
from minillm.claims.over_optimisation import TIMES, learned_rewards, more_pairs
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.run_folder import Run
from minillm.stage3_preference.reward_model import kept_back
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question
from minillm.world.pairs import preferences

BYTES = Tokenizer.from_ranks({bytes([b]): b for b in range(256)})


@pytest.mark.parametrize("seed", [7, 102])
def test_the_further_pairs_are_new_and_of_no_place_held_out_and_of_no_pair_that_judges(seed):
    lab = Lab(seed)
    held, learned = kept_back(preferences(lab.world, seed), 0.1, seed)
    pairs = more_pairs(lab, learned, held)
    assert len(pairs) == len(set(pairs)) == TIMES * len(learned) and set(learned) < set(pairs)
    assert not {p.prompt for p in held} & {p.prompt for p in pairs}
    asked = {pair.prompt[-1].content for pair in pairs}
    for place, language, relation, _ in lab.world.facts(lab.held_out):
        assert not asked & set(lab.world.write("question", place, relation, language))


def test_an_answer_that_was_cut_is_the_worst_of_its_question(monkeypatch):
    run = Run(GPT(GPTConfig(n_vocab=259, n_ctx=48, n_layer=1, n_head=2, n_embd=8)).eval(), BYTES)
    lengths = {"": 0, "a": 5, "bbb": -2, "cc": 9}  # what the reward model is made to say
    scored = []

    def scores(model, dialogues, pad):
        scored.append(len(dialogues))
        answers = [bytes(i for i in d.ids[d.mask.index(True) :] if i < 256).decode().strip() for d in dialogues]
        return torch.tensor([float(lengths[text]) for text in answers])

    monkeypatch.setattr(over_optimisation, "scores", scores)
    items = [Question("x", "?", ("a",)), Question("y", "??", ("a",))]
    drawn = [
        [("a", True), ("cc", False), ("bbb", True), ("a", True)],
        [("cc", True), ("cc", True), ("", False), ("a", True)],
    ]
    rewards = learned_rewards(run, items, drawn)
    assert rewards.tolist() == [[5, -2, -2, 5], [9, 9, 0, 5]]
    assert scored == [6]  # each text once for each question
