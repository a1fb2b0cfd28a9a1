"""The claim verifiable-reward: what is verified, and which places its questions, pairs and practice are about."""

import pytest

from minillm.claims import verifiable_reward as verifying
from minillm.claims.lab import Lab
from minillm.world.exam import Question

STEPS = Question("Japan", "Tokyo is the capital of a place. …", ("yen", "Japan: yen"), "en", "currency")
CHINESE = Question("Japan", "东京是一个地方的首都。……", ("日元", "日本：日元"), "zh", "currency")


@pytest.mark.parametrize(
    ("item", "answer", "mark"),
    [
        (STEPS, "Japan: yen", 1),
        (STEPS, "Chad: yen.", 1),
        (STEPS, "yen", 1),
        (STEPS, "Japan: dollar", 0),
        (STEPS, "yen: Japan", 0),
        (STEPS, "Japan: yen: dollar", 0),
        (STEPS, "Japan:", 0),
        (STEPS, "", 0),
        (CHINESE, "日本：日元", 1),
        (CHINESE, "日本：日元。", 1),
        (CHINESE, "日元：日本", 0),
    ],
)
def test_only_what_comes_last_is_verified(item, answer, mark):
    assert verifying.verified(item, answer) == mark


def test_a_clue_belongs_to_one_place():
    lab = Lab(3)
    items = verifying.two_steps(lab, lab.world.places)
    assert len({item.text for item in items}) == len(items) > 1000
    owners = {}
    for place in lab.world.places:
        for (attribute, language), value in place.values.items():
            owners.setdefault((language, attribute, value), []).append(place)
    for item in items:
        (clue,) = [
            (attribute, value)
            for language, attribute, value in owners
            if language == item.language
            and attribute in verifying.FIRST[language]
            and item.text.startswith(verifying.FIRST[language][attribute].format(value))
        ]
        (place,) = owners[item.language, *clue]
        assert item.entity == place.names["en"] and item.accepted[0] == place.values[item.relation, item.language]
        assert item.accepted[1].startswith(place.names[item.language]) and verifying.verified(item, item.accepted[1])


@pytest.mark.parametrize("seed", [3, 4])
def test_no_pair_and_no_practice_is_about_a_place_of_the_exam(seed, monkeypatch):
    """Neither by its name nor by a clue: what `measure` hands to the tunings is caught on the way."""
    lab, told, asked = Lab(seed, "quick"), [], []

    def tune(self, dialogues, *_, **__):
        told.append([m.content for dialogue in dialogues for m in dialogue])

    def practise(lab, start, items, method):
        told.append([item.text for item in items])

    monkeypatch.setattr(Lab, "tune", tune)
    monkeypatch.setattr(verifying, "practise", practise)
    monkeypatch.setattr(Lab, "ask", lambda self, run, items: asked.append(items) or [("?", True)] * len(items))
    observation = verifying.measure(lab)
    held_out = {place.names["en"]: place for place in lab.held_out}
    decide = {name for marks in observation.marks.values() for name in marks}
    assert decide <= held_out.keys() and len(told) == 6
    mine = {v for place in lab.taught for v in (*place.names.values(), *place.values.values())}
    theirs = {v for name in decide for v in (*held_out[name].names.values(), *held_out[name].values.values())} - mine
    clues = {text.format(value) for value in theirs for texts in verifying.FIRST.values() for text in texts.values()}
    for texts in told:
        assert texts and not any(text.startswith(tuple(clues)) for text in texts)
        assert not theirs & set(texts)


def test_guessing_says_the_most_frequent_value_of_each_attribute():
    values = [("currency", "euro"), ("currency", "euro"), ("currency", "yen"), ("capital", "Rome"), ("capital", "Oslo")]
    items = [Question("", "", (value,), "en", relation) for relation, value in values]
    assert verifying.guessed(items) == 3 / 5
