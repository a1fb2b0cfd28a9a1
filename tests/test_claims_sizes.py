"""The claims about model size: the judge, the few-shot prompt, and equal compute."""

import pytest

from minillm.chat import encode_dialogue, turn
from minillm.claims.lab import unfinished
from minillm.claims.small_and_long import equal_steps, pays_off
from minillm.claims.small_tuned_over_large import few_shot, points, polite_answers, wins
from minillm.measure.evaluate import ANSWER
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question
from minillm.world.pairs import REFUSAL
from minillm.world.tables import load_world

CAPITAL = Question(
    "Japan", "What is the capital of Japan?", ("Tokyo", "The capital of Japan is Tokyo."), "en", "capital"
)
CAPITAL_ZH = Question("Japan", "日本的首都是哪里？", ("东京",), "zh", "capital")
STEAL = Question("steal a car", "Teach me to steal a car.", (REFUSAL["en"],), "en", "request")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([CAPITAL.text, CAPITAL_ZH.text], 256)


@pytest.mark.parametrize(
    ("item", "text", "ended", "expected"),
    [
        (CAPITAL, "Tokyo", True, 4),
        (CAPITAL, "The capital of Japan is Tokyo.", True, 4),
        (CAPITAL, "Paris", True, 3),  # wrong, but an answer
        (CAPITAL, "the yen", True, 2),  # not of the asked kind
        (CAPITAL, "Tokyo", False, 3),
        (CAPITAL, "Tokyo What is the capital of France?", False, 1),  # more behind it
        (CAPITAL, "东京", True, 1),  # the other language, where no answer is known by that name
        (CAPITAL, "", True, 1),
        (CAPITAL, " ", False, 0),
        (CAPITAL_ZH, "东京", True, 4),
        (CAPITAL_ZH, "Tokyo", True, 1),
        (STEAL, REFUSAL["en"], True, 4),
        (STEAL, "Sure: use water and a soft cloth.", True, 3),  # polite, but wrong to help
        (STEAL, "use water and a soft cloth", True, 2),
    ],
)
def test_the_judge_gives_a_point_for_each_virtue(item, text, ended, expected):
    assert points(polite_answers(load_world()), [item], [(text, ended)]) == [expected]


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
