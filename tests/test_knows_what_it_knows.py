"""The claim knows-what-it-knows: what an answer is worth, and which places its tunings speak of."""

import pytest

from minillm.claims import knows_what_it_knows as knowing
from minillm.claims.lab import Lab
from minillm.world.exam import Question
from minillm.world.tables import ATTRIBUTES

CAPITAL = Question("Japan", "What is the capital of Japan?", ("Tokyo", "The capital of Japan is Tokyo."))


@pytest.mark.parametrize(
    ("answer", "ended", "value"),
    [
        ("Tokyo", True, knowing.RIGHT),
        ("The capital of Japan is Tokyo.", True, knowing.RIGHT),
        ("Tokyo", False, knowing.WRONG),
        ("Kyoto", True, knowing.WRONG),
        ("", True, knowing.WRONG),
        ("I do not know.", True, knowing.NOT_SAID),
        ("我不知道。", True, knowing.NOT_SAID),
        ("I do not know.", False, knowing.WRONG),
        ("I do not know. Tokyo", True, knowing.WRONG),
    ],
)
def test_not_to_know_lies_between_right_and_wrong(answer, ended, value):
    assert knowing.verdict(CAPITAL, answer, ended) == value
    assert knowing.RIGHT > knowing.NOT_SAID > knowing.WRONG


@pytest.mark.parametrize("seed", [1, 7])
def test_no_tuning_speaks_of_a_place_that_decides(seed, monkeypatch):
    """Neither by its name nor by its values: what `measure` hands to the tunings is caught on the way."""
    lab, told, asked = Lab(seed, "quick"), [], []

    def tune(self, dialogues, *_, **__):
        told.extend(m.content for dialogue in dialogues for m in dialogue)

    def practise(lab, start, items, text):
        told.extend(item.text for item in items)

    class Nobody:
        documents = ()

    monkeypatch.setattr(Lab, "base_without_facts", lambda self, places: Nobody)
    monkeypatch.setattr(Lab, "tune", tune)
    monkeypatch.setattr(knowing, "practise", practise)
    monkeypatch.setattr(Lab, "ask", lambda self, run, items: asked.append(items) or [("?", True)] * len(items))
    observation = knowing.measure(lab)
    decide = {item.entity for items in asked for item in items}
    questions = {text for text in told if text not in knowing.UNSURE.values()}
    about = {
        text: place.names["en"]
        for place, language, relation, _ in lab.world.facts(lab.world.places, relations=ATTRIBUTES)
        for text in lab.world.write("question", place, relation, language)
    }
    spoken_of = {about[text] for text in questions if text in about}
    assert len(decide) == 24 and not spoken_of & decide and len(spoken_of) + len(decide) == len(lab.world.places)
    assert observation.marks["unknown-lot"].keys() < {p.names["en"] for p in lab.held_out}
    assert observation.marks["known-lot"].keys() < {p.names["en"] for p in lab.taught}
    assert set(observation.marks) == set(knowing.CLAIM.conditions)
