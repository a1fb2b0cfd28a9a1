"""Tuning a large base: its weights shared and untouched, held in bf16 meanwhile, reviewed by its own answers."""

from pathlib import Path

import pytest
import torch

from minillm import lora
from minillm.chat import Message, encode_dialogue, turn
from minillm.finetune import copy_to_tune
from minillm.gpt_config import GPTConfig
from minillm.packing import row_width
from minillm.rehearsal import begun_question, own_dialogues, question_of
from minillm.run_folder import Run
from minillm.stage2_sft import SFTConfig, sft

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
    from minillm import finetune
    from minillm.commands.common import fitted
    from minillm.commands.stages import Sft

    words = Sft(base=Path("b"), pairs=(Path("p"),), out=Path("o"), lora=8, steps=7)
    assert finetune.recipe_for(base.gpt, 8) == {}
    small = fitted(SFTConfig, words, {})
    assert (small.steps, small.batch_size, small.lr) == (7, SFTConfig.batch_size, SFTConfig.lr)
    monkeypatch.setattr(finetune, "LARGE", 10)
    large = fitted(SFTConfig, words, finetune.recipe_for(base.gpt, 8))
    assert (large.steps, large.batch_size, large.lr) == (7, 6, 1e-3)
    assert "lr 0.001" in capsys.readouterr().err and finetune.recipe_for(base.gpt, 0)["lr"] < 1e-4
