"""The reward model: its equation, what it scores, that it learns to tell, and its way to `rl`."""

import dataclasses
import json
import math

import pytest
import torch

from minillm import lora
from minillm.__main__ import main
from minillm.chat import Message, Preference, encode_dialogue, turn
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.material.records import preference_record, write_records
from minillm.plumbing.files import InputError
from minillm.run_folder import Run, load_run, save_run
from minillm.stage3_preference.pairs import encode_preferences
from minillm.stage3_preference.reward_model import (
    RewardConfig,
    bradley_terry_loss,
    calibration_error,
    kept_back,
    learned_reward,
    pair_accuracy,
    reward_model,
    rewards_of,
    scored_batch,
    scores,
)
from minillm.stage3_preference.rewards import named_rewards
from minillm.tokenizer import Tokenizer

BYTES = Tokenizer.from_ranks({bytes([b]): b for b in range(256)})
WORDS = ["cat", "山", "river", "1+1", "玉山 high", "moon", "late", "q", "tea", "north"]
PAIRS = [Preference((Message("user", f"{w}?"),), f"It is {v}.", v) for w in WORDS for v in ("so", "玉山")]


def settings(**options) -> RewardConfig:
    tiny = dict(steps=3, batch_size=4, lr=0.01, warmup=1, precision="fp32", device="cpu")
    return RewardConfig(**tiny | options)


def make_base(seed: int = 0) -> Run:
    gpt = GPT(GPTConfig(n_vocab=259, n_ctx=48, n_layer=1, n_head=2, n_embd=8), seed)
    with torch.no_grad():
        gpt.tok_emb.weight.mul_(10)
    return Run(gpt.eval(), BYTES)


def score(run: Run, question: str, answer: str) -> float:
    """The score of [PAD] after [END], of one row without padding."""
    ids = torch.tensor([encode_dialogue(turn(question, answer), BYTES).ids])
    assert ids[0, -1] == BYTES.end
    with torch.no_grad():
        return run.gpt(ids)[0, -1, BYTES.pad].item()


@pytest.mark.parametrize(
    ("better", "worse", "loss"),
    [(0.0, 0.0, math.log(2)), (7.5, 7.5, math.log(2)), (2.0, 1.0, math.log(1 + math.exp(-1))),
     (-1.0, 2.0, math.log(1 + math.exp(3))), (1e4, 0.0, 0.0), (0.0, 1e4, 1e4)],
)  # fmt: skip
def test_the_loss_has_the_values_of_its_equation(better, worse, loss):
    a, b = (torch.tensor([x, x], requires_grad=True) for x in (better, worse))
    losses = bradley_terry_loss(a, b)
    assert losses.tolist() == pytest.approx([loss] * 2, rel=1e-6)
    losses.sum().backward()
    assert a.grad is not None and b.grad is not None
    p = 1 / (1 + math.exp(min(700, better - worse)))  # the probability that is given to the worse one
    assert a.grad[0].item() == pytest.approx(-p) and b.grad[0].item() == pytest.approx(p)


def odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


@pytest.mark.parametrize(
    ("margins", "error"),
    [([odds(0.75)] * 3 + [-odds(0.75)], 0.0), ([odds(0.75)] * 4, 0.25), ([-odds(0.75)] * 4, 0.75), ([0.0, 0.0], 0.0),
     ([1e4], 0.0), ([-1e4, 1e4], 0.5), ([odds(0.92)] * 2 + [-odds(0.62), odds(0.62)], (2 * 0.08 + 2 * 0.12) / 4)],
)  # fmt: skip
def test_calibration_compares_how_sure_with_how_often_right(margins, error):
    assert calibration_error(torch.tensor(margins)) == pytest.approx(error, abs=1e-6)


def test_gaps_of_opposite_sign_cancel_within_a_bin_only():
    margins = torch.tensor([odds(0.92), odds(0.92), -odds(0.62), odds(0.62)])  # 0.08 too low, 0.12 too high
    assert calibration_error(margins, bins=1) == pytest.approx((0.92 + 0.62) / 2 - 0.75, abs=1e-6)
    assert calibration_error(margins) > calibration_error(margins, bins=1)


def test_rewards_are_those_of_rows_alone_whatever_the_padding():
    base = make_base()
    both = [d for pair in encode_preferences(PAIRS, BYTES, 48) for d in pair]
    with torch.no_grad():
        rewards = rewards_of(base.gpt, scored_batch(both, BYTES.pad), BYTES.pad, "fp32")
    expected = [score(base, p.prompt[0].content, a) for p in PAIRS for a in (p.chosen, p.rejected)]
    assert rewards.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    right = sum(expected[i] > expected[i + 1] for i in range(0, len(expected), 2))
    for size in (1, 3, 64):
        assert pair_accuracy(base.gpt, encode_preferences(PAIRS, BYTES, 48), BYTES.pad, "fp32", size) == right / 20
        again = scores(base.gpt, both, BYTES.pad, "fp32", size)  # in the given order, though sorted by length meanwhile
        assert again.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("part", "number"), [(0.0, 0), (0.05, 0), (0.1, 1), (0.35, 3), (0.9, 9)])
def test_conversations_are_kept_back_with_all_of_their_pairs(part, number):
    held, learned = kept_back(PAIRS, part, 3)
    assert len({p.prompt for p in held}) == number and len(held) == 2 * number
    assert not {p.prompt for p in held} & {p.prompt for p in learned}
    assert sorted(map(repr, held + learned)) == sorted(map(repr, PAIRS))
    assert kept_back(PAIRS, part, 3) == (held, learned)


@pytest.mark.parametrize("options", [{}, {"lora": 4}])
def test_it_learns_to_tell_the_better_answer_to_questions_it_never_saw(options):
    base = make_base()
    before = {n: p.detach().clone() for n, p in base.gpt.named_parameters()}
    run = reward_model(settings(steps=40, lr=0.03, validation=0.3, batch_size=8, **options), base, PAIRS)
    assert run.report["validation"]["after"] == 1.0
    assert (run.report["pairs"], run.report["held_back"], run.report["dropped"]) == (14, 6, 0)
    assert run.metrics[-1]["loss"] < 0.2 < run.metrics[0]["loss"]
    assert run.metrics[-1]["accuracy"] == 1.0 and run.metrics[-1]["margin"] > 1
    assert all(torch.equal(before[n], p) for n, p in base.gpt.named_parameters())
    assert bool(lora.adapters(run.gpt)) == bool(options)


@pytest.mark.parametrize("accumulate", [1, 2, 3, 9])
def test_the_first_step_has_the_figures_of_the_base(accumulate):
    base = make_base()
    first = reward_model(settings(batch_size=20, validation=0.0, accumulate=accumulate), base, PAIRS).metrics[0]
    margins = [score(base, p.prompt[0].content, p.chosen) - score(base, p.prompt[0].content, p.rejected) for p in PAIRS]
    assert first["margin"] == pytest.approx(sum(margins) / 20, rel=1e-3, abs=1e-5)
    assert first["loss"] == pytest.approx(sum(math.log1p(math.exp(-m)) for m in margins) / 20, rel=1e-4)
    assert first["accuracy"] == pytest.approx(sum(m > 0 for m in margins) / 20)


def test_it_is_saved_resumed_and_asked_as_a_reward(tmp_path):
    base, config = make_base(), settings(steps=5, checkpoint_every=1)
    save_run(tmp_path / "base", base, {})
    whole = reward_model(config, base, PAIRS, out=tmp_path / "whole")

    class Stopped(Exception): ...

    def on_step(step: int, metrics: dict) -> None:
        if step == 3:
            raise Stopped

    with pytest.raises(Stopped):
        reward_model(config, base, PAIRS, out=tmp_path / "stopped", on_step=on_step)
    resumed = reward_model(dataclasses.replace(config, resume=True), base, PAIRS, out=tmp_path / "stopped")
    assert resumed.metrics == whole.metrics
    assert all(torch.equal(a, b) for a, b in zip(resumed.gpt.parameters(), whole.gpt.parameters(), strict=True))
    reward = named_rewards([f"run:{tmp_path / 'whole'}"])
    for question, answer in (("cat?", "It is so."), ("山?", "玉山")):
        assert reward(question, answer) == pytest.approx(score(whole, question, answer), abs=1e-5)
    assert math.isfinite(reward("q", "x" * 100))
    with pytest.raises(InputError, match=r"no such folder|report.json"):
        learned_reward(tmp_path / "none")


def test_the_command_and_what_it_refuses(tmp_path, capsys):
    save_run(tmp_path / "base", make_base(), {})
    write_records(tmp_path / "pairs.jsonl", [preference_record(p) for p in PAIRS])
    small = "--steps 2 --batch-size 2 --warmup 1 --device cpu --precision fp32".split()
    made = ["reward", "--base", str(tmp_path / "base"), "--preferences", str(tmp_path / "pairs.jsonl"), *small]
    assert main([*made, "--out", str(tmp_path / "reward")]) == 0
    assert "validation: {'before': " in capsys.readouterr().out
    assert json.loads((tmp_path / "reward" / "report.json").read_text())["held_back"] == 2
    assert load_run(tmp_path / "reward").gpt.config.n_embd == 8
    judge = ["--judge", str(tmp_path / "pairs.jsonl"), "--overwrite", "--out", str(tmp_path / "reward")]
    assert main([*made, *judge]) == 0
    model = load_run(tmp_path / "reward")
    right = pair_accuracy(model.gpt, encode_preferences(PAIRS, BYTES, 48), BYTES.pad, "fp32")
    assert f"pairs.jsonl: {right:.1%} of {len(PAIRS)} pairs judged rightly" in capsys.readouterr().out
    assert main([*made, *judge[:1], str(tmp_path / "none.jsonl"), *judge[2:]]) == 2
    assert "none.jsonl" in capsys.readouterr().err and load_run(tmp_path / "reward").gpt.config.n_embd == 8
    (tmp_path / "asked.jsonl").write_text('{"prompt": "cat?", "completion": "2"}\n')
    rl = ["rl", "--base", str(tmp_path / "base"), "--prompts", str(tmp_path / "asked.jsonl"), *small, "--group", "2",
          "--max-new-tokens", "4", "--out", str(tmp_path / "out")]  # fmt: skip
    assert main([*rl, "--reward", f"run:{tmp_path / 'reward'}"]) == 0
    assert main([*rl, "--overwrite", "--reward", f"run:{tmp_path / 'out'}"]) == 2
    assert "is no reward model" in capsys.readouterr().err
    with pytest.raises(InputError, match="validation"):
        settings(validation=1.0)
