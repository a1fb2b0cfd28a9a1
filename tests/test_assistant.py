"""Asking a model: one path from a conversation to an answer, for a chat, the exam and the experiments."""

import random

import pytest

from minillm.assistant import Assistant
from minillm.chat import Message, answer_text, clean_answer, clean_stream, encode_dialogue, turn
from minillm.claims.lab import Lab
from minillm.measure import evaluate
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.world.exam import Question

TEXTS = ["hi", "台湾最高的山是哪座？", "Good morning 早安", "naïve café 🙂"]


@pytest.fixture
def run(make_gpt, tokenizer) -> Run:
    """A model with rough weights: it writes anything, white space and halves of characters included."""
    return Run(make_gpt(n_vocab=tokenizer.n_vocab, n_ctx=64, seed=5), tokenizer)


def conversation(rng: random.Random, turns: int) -> list[Message]:
    messages = [Message("system", "Be brief.")] if rng.random() < 0.5 else []
    for _ in range(turns):
        messages += turn(rng.choice(TEXTS), rng.choice(TEXTS))
    return [*messages, Message("user", rng.choice(TEXTS))]


# --------------------------------------------------------------------------------- white space around it


@pytest.mark.parametrize("answer", ["Paris", "玉山", " a  b\n", "\n\t", "", "「玉山」 ", "\u3000好\u3000", "a\n\n b"])
def test_a_cleaned_answer_is_the_one_that_was_encoded(answer):
    assert clean_answer(answer_text(answer)) == answer.strip()


@pytest.mark.parametrize("seed", range(30))
def test_a_cleaned_stream_joins_to_the_cleaned_answer(seed):
    rng = random.Random(seed)
    pieces = [
        "".join(rng.choices(" \n\u3000a玉", (4, 1, 1, 3, 3), k=rng.randint(0, 4))) for _ in range(rng.randint(0, 9))
    ]
    cleaned = list(clean_stream(pieces))
    assert "".join(cleaned) == clean_answer("".join(pieces))
    assert all(cleaned)  # nothing empty is yielded


def test_a_stream_is_cleaned_as_it_comes():
    pieces = iter([" ", " Pa", "ris", " is ", "far", " ", "\n"])
    cleaned = clean_stream(pieces)
    assert next(cleaned) == "Pa" and next(pieces) == "ris"  # read no further than needed
    assert list(cleaned) == [" is", " far"]


# ----------------------------------------------------------------------------------------- one path for all


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_an_answer_is_the_same_whole_and_piece_by_piece(run, seed, temperature):
    sampling = Sampling(max_new_tokens=12, temperature=temperature, seed=seed)
    messages = conversation(random.Random(seed), seed % 4)
    model = Assistant(run)
    text, _ = model.answers([messages], sampling)[0]
    assert "".join(model.reply(messages, sampling)) == text == clean_answer(text)
    assert model.ask(TEXTS[seed % 4], sampling) == model.answers([turn(TEXTS[seed % 4], "")[:1]], sampling)[0][0]


def test_answers_come_in_the_order_of_the_conversations_each_as_if_alone(run):
    conversations = [conversation(random.Random(i), i % 3) for i in range(9)]
    model, sampling = Assistant(run), Sampling(max_new_tokens=8)
    assert model.answers(conversations, sampling) == [model.answers([c], sampling)[0] for c in conversations]
    assert model.answers([], sampling) == []


@pytest.mark.parametrize("max_new_tokens", [0, 5, 20, 1000])
def test_a_long_conversation_loses_its_oldest_turns_whoever_asks(run, tokenizer, max_new_tokens):
    model, messages = Assistant(run), conversation(random.Random(1), 12)
    prompt = model.prompt(messages, max_new_tokens)
    assert len(prompt) + min(max_new_tokens, 32) <= 64 < len(encode_dialogue(messages, tokenizer).ids)
    head = messages[: len(messages) % 2 == 0]  # the system message stays
    turns = messages[len(head) :]
    shorter = [encode_dialogue(head + turns[i:], tokenizer).ids for i in range(2, len(turns), 2)]
    assert prompt in shorter  # whole turns, and the last question


def test_the_exam_and_the_experiments_ask_as_a_chat_does(run):
    earlier = [m for d in range(9) for m in turn(f"hi {d}", "Good morning")]
    questions = [
        Question("", text, (), history=tuple(earlier[:n])) for text, n in zip(TEXTS, (0, 2, 8, 18), strict=True)
    ]
    by_chat = ["".join(Assistant(run).reply(q.messages, evaluate.ANSWER)) for q in questions]
    assert [text for text, _ in Lab(1).ask(run, questions)] == by_chat
    alone = evaluate.answers(run, TEXTS)
    assert alone == Assistant(run).answers([[Message("user", text)] for text in TEXTS], evaluate.ANSWER)
    assert alone[0][0] == by_chat[0]
