"""The claims about model size: the judge, the few-shot prompt, and equal compute."""

import pytest

from minillm.chat import encode_dialogue, turn
from minillm.claims.lab import unfinished
from minillm.claims.small_and_long import equal_steps, pays_off
from minillm.claims.small_tuned_over_large import few_shot, first_sentence, judge, points, wins
from minillm.measure.evaluate import ANSWER
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question, answer_forms
from minillm.world.tables import load_world

CAPITAL = Question(
    "Japan", "What is the capital of Japan?", ("Tokyo", "The capital of Japan is Tokyo."), "en", "capital"
)
CAPITAL_ZH = Question("Japan", "日本的首都是哪里？", ("东京",), "zh", "capital")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([CAPITAL.text, CAPITAL_ZH.text], 256)


@pytest.mark.parametrize(
    ("item", "text", "ended", "expected"),  # right, in the asked language, stops, nothing but an answer
    [
        (CAPITAL, "Tokyo", True, (1, 1, 1, 1)),
        (CAPITAL, "The capital of Japan is Tokyo.", True, (1, 1, 1, 1)),
        (CAPITAL, "Paris", True, (0, 1, 1, 1)),  # wrong, but an answer
        (CAPITAL, "the yen", True, (0, 1, 1, 0)),  # not of the asked kind
        (CAPITAL, "Tokyo", False, (1, 1, 0, 1)),
        (CAPITAL, "Tokyo What is the capital of France?", False, (0, 1, 0, 0)),  # more behind it
        (CAPITAL, "东京", True, (0, 0, 1, 0)),  # the other language, where no answer is known by that name
        (CAPITAL, "", True, (0, 0, 1, 0)),
        (CAPITAL, " ", False, (0, 0, 0, 0)),
        (CAPITAL_ZH, "东京", True, (1, 1, 1, 1)),
        (CAPITAL_ZH, "Tokyo", True, (0, 0, 1, 0)),
    ],
)
def test_the_judge_marks_each_virtue_apart(item, text, ended, expected):
    judged = judge(answer_forms(load_world()), [item], [(text, ended)])
    assert tuple(marks[0] for marks in judged.values()) == expected and points(judged) == [sum(expected)]


@pytest.mark.parametrize(
    ("text", "ended", "expected"),
    [
        (" Tokyo. Tokyo is a city.", False, (" Tokyo", True)),
        ("东京。日本的", False, ("东京", True)),
        (" 3.5 metres. It", False, (" 3.5 metres", True)),  # the point within a number ends nothing
        (" Tokyo\nParis", False, (" Tokyo", True)),
        (" Tokyo and", False, (" Tokyo and", False)),
        (" Tokyo", True, (" Tokyo", True)),
    ],
)
def test_what_comes_after_the_sentence_is_cut_off(text, ended, expected):
    assert first_sentence([(text, ended)]) == [expected]


def test_a_tie_is_half_a_win():
    assert wins([4, 3, 1], [3, 3, 2]) == [1, 0.5, 0]


def test_a_few_shot_prompt_leaves_room_for_the_answer(tokenizer):
    shots = [turn(f"What is the capital of place {i}?", f"City {i}") for i in range(8)]
    asked = few_shot(CAPITAL, shots, tokenizer, 160)
    prompt = encode_dialogue(asked.messages, tokenizer).ids
    assert 0 < len(asked.history) < 16 and len(asked.history) % 2 == 0
    assert len(prompt) + ANSWER.max_new_tokens <= 160
    assert few_shot(CAPITAL, shots, tokenizer, 1000).history == tuple(m for shot in shots for m in shot)
    assert few_shot(CAPITAL, shots, tokenizer, 20).history == ()  # a question that does not fit stays alone


def test_a_sentence_is_cut_before_its_value(tokenizer):
    items, prompts = unfinished(tokenizer, [CAPITAL, CAPITAL_ZH])
    assert items == [CAPITAL] and tokenizer.decode(prompts[0]) == "The capital of Japan is"


def test_equal_compute_means_more_steps_for_fewer_parameters():
    assert equal_steps(100, large=900, small=300) == 300
    assert equal_steps(60, large=853_248, small=279_168) == 183
    # 6·N·D for training, 2·N for a token written: what the longer training costs more, over what a token saves
    assert pays_off(6e9, 3e9, large=1000, small=500) == 3e9 / (2 * 500)
