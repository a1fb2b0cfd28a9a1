"""The doctor: its figures on answers that are known, and shapes there and back."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from minillm.__main__ import main
from minillm.chat import Message, turn
from minillm.material.convert import SHAPES
from minillm.material.records import read_dialogues, write_records
from minillm.measure import doctor
from minillm.run_folder import Run, save_run

DIALOGUES = {
    "single": turn("台湾最高的山是哪座？", "玉山"),
    "system": [Message("system", "Be brief."), *turn("Hi", "Hello")],
    "several": [*turn("a b", "c"), *turn("d", "e\nf"), *turn("g", "h")],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", DIALOGUES)
def test_a_shape_is_read_back_as_the_same_dialogue(tmp_path, shape, kind):
    record = SHAPES[shape](DIALOGUES[kind])
    if record is None:
        assert shape == "prompt-completion" and kind != "single"
        return
    write_records(tmp_path / "x.jsonl", [record])
    assert read_dialogues([tmp_path / "x.jsonl"]) == [DIALOGUES[kind]]


@pytest.mark.parametrize(
    ("text", "does"),
    [("I am. I am. I am. I am.", True), ("the end the end the end", True), ("one two three", False), ("", False),
     ("12345 12345", False), ("no no no no no no no no", True)],
)  # fmt: skip
def test_repeating(text, does):
    assert doctor.repeats(text) == does


def test_general_questions_have_answers_and_no_two_are_the_same():
    questions = doctor.general_questions()
    assert len({q for q, _ in questions}) == len(questions) >= 120
    assert all(q.endswith("?") and accepted and all(accepted) for q, accepted in questions)


def test_a_right_answer_is_a_whole_word(monkeypatch):
    said = iter([[("It is a mouse", True), ("Au.", True), ("Paris!", True), ("30", True)]])
    monkeypatch.setattr(doctor, "answers", lambda *_, **__: next(said))
    asked = [("a", ["us"]), ("b", ["au", "gold"]), ("c", ["paris"]), ("d", ["3"])]
    assert doctor.known(None, asked) == [False, True, True, False]


GOOD = doctor.Examination((0, 10), (3.0, 0.1), 10, 100, 95, 10, 0, 0)


@pytest.mark.parametrize(
    ("change", "word"),
    [({}, "nothing"), ({"exact": (0, 2), "loss": (3.0, 2.0)}, "more --steps"), ({"exact": (0, 2)}, "word for word"),
     ({"knows": 80}, "forgotten what the base knew: --rehearse-own"),
     ({"knows": 80, "reviewed": True}, "forgotten what the base knew: fewer --steps"), ({"ended": 3}, "do not end"), ({"repeated": 4}, "repeat"), ({"echoed": 5}, "echo")],
)  # fmt: skip
def test_each_fault_has_its_advice(change, word):
    (line,) = doctor.advice(replace(GOOD, **change))
    assert word in line


def test_the_command_tells_before_and_after(tmp_path, tokenizer, make_gpt, capsys):
    run = Run(make_gpt(n_vocab=tokenizer.n_vocab, n_ctx=96), tokenizer)
    save_run(tmp_path / "base", run, {})
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps([{"prompt": "Who are you?", "completion": "Lin"}, {"prompt": "x"}]), encoding="utf-8")
    words = ["doctor", "--base", str(tmp_path / "base"), "--pairs", str(pairs), "--run", str(tmp_path / "base")]
    assert main(words) == 0
    told = capsys.readouterr().out
    for part in ("can be used: 1\n", "pairs.json:1:", "« Lin[END]»", "loss at step 1", "0 -> 0 of 1"):
        assert part in told, part
    assert main([*words[:5], "--to", "alpaca", "--out", str(tmp_path / "a.jsonl")]) == 0
    assert json.loads((tmp_path / "a.jsonl").read_text())["output"] == "Lin"
    assert main([*words[:5], "--to", "alpaca"]) == 2


def test_what_does_not_fit_or_is_there_twice_is_told(tmp_path, tokenizer, make_gpt, capsys):
    save_run(tmp_path / "base", Run(make_gpt(n_vocab=tokenizer.n_vocab, n_ctx=64), tokenizer), {})
    pairs, short = tmp_path / "pairs.json", {"prompt": "Who are you?", "completion": "Lin"}
    words = ["doctor", "--base", str(tmp_path / "base"), "--pairs", str(pairs)]
    long = [{"prompt": f"x {i} " * 300, "completion": "y"} for i in range(doctor.MOST + 1)]
    pairs.write_text(json.dumps([*long, short, short]), encoding="utf-8")
    assert main(words) == 0
    told = capsys.readouterr().out
    assert f"longer than the context: {len(long)};" in told and "103, 1 of them as one before" in told
    assert max(map(len, told.splitlines())) < 1000
    pairs.write_text(json.dumps(long), encoding="utf-8")
    assert main(words) == 2
    assert "none of 101 dialogues fits whole into the context of 64" in capsys.readouterr().err


def test_pairs_are_never_written_over(tmp_path, tokenizer, make_gpt, capsys):
    save_run(tmp_path / "base", Run(make_gpt(n_vocab=tokenizer.n_vocab, n_ctx=64), tokenizer), {})
    pairs = tmp_path / "pairs.json"
    pairs.write_text(text := json.dumps([{"prompt": "a", "completion": "b"}]), encoding="utf-8")
    words = ["doctor", "--base", str(tmp_path / "base"), "--pairs", str(pairs)]
    assert main([*words, "--to", "alpaca", "--out", str(pairs)]) == 2 and pairs.read_text() == text
    assert main([*words, "--show", "-1"]) == 2
    assert main([*words, "--to", "alpaca", "--out", str(tmp_path / "x"), "--run", "x", "--show", "1"]) == 0
    told = capsys.readouterr().err
    assert "--run has no effect" in told and "--show has no effect" in told


def test_questions_with_two_answers_are_told():
    twice = [
        turn("Who?", "Lin"),
        turn("Who?", "Lin."),
        turn("When?", "Now"),
        [*turn("When?", "Now"), *turn("Who?", "Wu")],
    ]
    assert doctor.with_other_answers(twice) == []
    unlearned = [Message("user", "Who?"), Message("assistant", "Wu", learn=False)]
    assert doctor.with_other_answers([*twice, unlearned]) == []
    assert doctor.with_other_answers([*twice, turn("Who?", "Wu")]) == ["Who?"]
    assert doctor.with_other_answers([*twice, [*turn("When?", "Now"), *turn("Who?", "Lin")]]) == ["Who?"]


def test_a_run_that_was_not_tuned_from_the_base_is_told(tokenizer, make_gpt):
    gpt = make_gpt(n_vocab=tokenizer.n_vocab, n_ctx=64)
    base, near, other = (Run(copy.deepcopy(gpt), tokenizer) for _ in range(3))
    with torch.no_grad():
        for p, q in zip(near.gpt.parameters(), other.gpt.parameters(), strict=True):
            p.mul_(1.1)
            q.mul_(-1)
    assert doctor.not_from(base, near) is None
    assert "same model" in doctor.not_from(base, base) and "200%" in doctor.not_from(base, other)
    wider = Run(make_gpt(n_vocab=tokenizer.n_vocab, n_ctx=65), tokenizer)
    assert "shapes" in doctor.not_from(base, wider)
