"""Stage 1: raw text becomes rows of tokens, and a model that continues them."""

import json
import math
import random

import numpy as np
import pytest
import torch

from minillm import stage1_pretrain
from minillm.generate import generate
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.material.corpus import split_validation, token_stream
from minillm.measure.loss import text_loss
from minillm.plumbing.files import InputError
from minillm.sampling import Sampling
from minillm.stage1_pretrain import PretrainConfig, pretrain
from minillm.tokenizer import Tokenizer

BYTES = Tokenizer.from_ranks({bytes([b]): b for b in range(256)})
DOCUMENTS = ["Paris is the capital of France.", "玉山是台湾最高的山。", "👩‍👩‍👧 family", "The Seine flows.", "x"]


def settings(**options) -> PretrainConfig:
    shape = dict(n_ctx=16, n_layer=1, n_head=2, n_embd=8, vocab_size=256)
    pace = dict(steps=3, batch_size=2, lr=0.01, muon_lr=0.01, warmup=1, precision="fp32")
    return PretrainConfig(**pace | shape | options)


@pytest.fixture
def streams(monkeypatch) -> dict[str, list[int]]:
    """The tokens that `pretrain` trains on and validates on."""
    seen: dict[str, list[int]] = {}
    rows, loss = stage1_pretrain.TextRows, stage1_pretrain.text_loss

    def spy_rows(tokens, *rest):
        seen.setdefault("trained", tokens.tolist())
        return rows(tokens, *rest)

    def spy_loss(model, tokens, *rest):
        seen["validated"] = tokens.tolist()
        return loss(model, tokens, *rest)

    monkeypatch.setattr(stage1_pretrain, "TextRows", spy_rows)
    monkeypatch.setattr(stage1_pretrain, "text_loss", spy_loss)
    return seen


# ------------------------------------------------------------------------------ what is trained on


def test_each_document_stands_between_doc_and_end(streams):
    pretrain(settings(validation=0), DOCUMENTS)
    expected = [i for text in DOCUMENTS for i in (BYTES.doc, *text.encode(), BYTES.end)]
    assert streams["trained"] == expected


def test_a_marker_typed_in_the_text_is_only_letters(streams):
    pretrain(settings(validation=0), ["[END] [DOC] [PAD]"])
    assert streams["trained"] == [BYTES.doc, *b"[END] [DOC] [PAD]", BYTES.end]


def test_validation_text_is_never_trained_on(streams):
    documents = [f"{name} " * 5 for name in ("one", "two", "three", "four", "five")]
    run = pretrain(settings(validation=0.3), documents)
    kept_back = BYTES.decode(streams["validated"])
    assert BYTES.decode(streams["trained"]) + kept_back == "".join(documents)
    assert kept_back and kept_back in ("".join(documents[i:]) for i in range(1, 5))
    assert run.report["text_tokens"] == len(streams["trained"])
    assert run.report["validation"].keys() == {"nats_per_token", "bits_per_byte"}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("seed", range(5))
def test_the_split_falls_between_documents_and_keeps_back_at_most_the_share(share, seed):
    rng = random.Random(seed)
    documents = [[seed * 100 + i] * rng.choice([1, 2, 3, 50, 9000]) + [7] for i in range(rng.randint(2, 9))]
    training, held_back = split_validation(np.array([i for d in documents for i in d]), share, end=7)
    assert [*training, *held_back] == [i for d in documents for i in d]  # nothing lost, order kept
    assert not set(training.tolist()) & set(held_back.tolist()) - {7}  # each document has its own number
    assert len(training) > 0
    assert len(held_back) <= share * (len(training) + len(held_back))


@pytest.mark.parametrize(("share", "kept_back"), [(0.0, 0), (0.1, 10), (0.25, 25), (0.99, 99)])
def test_a_single_document_is_split_near_its_end(share, kept_back):
    training, held_back = split_validation(np.arange(100), share)
    assert training.tolist() == list(range(100 - kept_back))
    assert held_back.tolist() == list(range(100 - kept_back, 100))


def test_nothing_is_validated_where_nothing_is_kept_back(streams):
    run = pretrain(settings(validation=0), DOCUMENTS)
    assert "validated" not in streams and "validation" not in run.report


def test_a_text_shorter_than_the_context_is_enough():
    run = pretrain(settings(validation=0, n_ctx=64), ["a"])
    assert run.report["text_tokens"] == 3
    assert run.metrics[0]["tokens"] == 2 * 2  # two rows of [DOC] a -> a [END]


@pytest.mark.parametrize(("documents", "options"), [
    ([], {}), ([""], {}), (["", ""], {}), ([" \n\u200b\r\n\t "], {"clean": True}), ([], {"deduplicate": True}),
])  # fmt: skip
def test_an_empty_text_is_an_input_error(documents, options):
    with pytest.raises(InputError, match="empty"):
        pretrain(settings(**options), documents)


# ---------------------------------------------------------------------------------- loss and bits


def uniform_model(n_vocab: int, n_ctx: int) -> GPT:
    """A model that finds every token equally likely."""
    model = GPT(GPTConfig(n_vocab, n_ctx, n_layer=1, n_head=2, n_embd=4))
    with torch.no_grad():
        model.tok_emb.weight.zero_()
    return model


def test_a_uniform_model_costs_ln_v_a_token_and_its_bits_are_spread_over_the_bytes():
    tokens = np.array([BYTES.doc, *"山 é!".encode(), BYTES.end])  # 3 + 1 + 2 + 1 bytes and [END] are predicted
    loss = text_loss(uniform_model(259, 32), tokens, BYTES, "fp32")
    assert loss["nats_per_token"] == pytest.approx(math.log(259))
    assert loss["bits_per_byte"] == pytest.approx(8 * math.log2(259) / 7)


def test_bits_a_byte_count_the_bytes_of_merged_tokens():
    tokenizer = Tokenizer.train(["玉山玉山玉山 mountain mountain mountain"], 300)
    tokens = token_stream(["玉山 mountain"], tokenizer)
    assert len(tokens) - 1 < 15  # fewer predictions than bytes: 玉, 山 and the word have merged
    loss = text_loss(uniform_model(tokenizer.n_vocab, 64), tokens, tokenizer, "fp32")
    assert loss["bits_per_byte"] == pytest.approx((len(tokens) - 1) * math.log2(tokenizer.n_vocab) / 15)


@pytest.mark.parametrize("n_ctx", [5, 7, 100])
def test_the_loss_on_a_text_equals_a_loop_over_its_rows(n_ctx):
    model = GPT(GPTConfig(259, n_ctx, n_layer=1, n_head=2, n_embd=8), seed=4)
    with torch.no_grad():
        model.tok_emb.weight.normal_(generator=torch.Generator().manual_seed(0))
    tokens = token_stream(["台湾 is", "玉山!"], BYTES).astype(np.int64)
    width = min(n_ctx, len(tokens) - 1)
    losses = []
    for begin in range(0, (len(tokens) - 1) // width * width, width):
        log_p = model(torch.tensor(tokens[None, begin : begin + width]))[0].log_softmax(-1)
        losses += [-log_p[i, tokens[begin + i + 1]].item() for i in range(width)]
    result = text_loss(model, tokens, BYTES, "fp32")
    assert result["nats_per_token"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_the_loss_begins_near_ln_v_and_falls_on_a_text_that_repeats_itself():
    config = settings(steps=60, batch_size=8, n_embd=32, lr=0.03, muon_lr=0.03, validation=0.2)
    run = pretrain(config, ["abcab abcab abcab"] * 20)
    assert run.metrics[0]["loss"] == pytest.approx(math.log(259), abs=0.1)
    assert run.metrics[-1]["loss"] < 0.3
    assert run.report["train_loss"] == run.metrics[-1]["loss"]
    assert run.report["validation"]["nats_per_token"] < 0.5


def test_the_model_learns_to_continue_a_text_and_where_it_ends():
    config = settings(steps=100, batch_size=8, n_embd=32, n_ctx=32, lr=0.03, muon_lr=0.03, validation=0)
    run = pretrain(config, ["玉山 is high."] * 8)
    (row,) = generate(run.gpt, [[BYTES.doc, *"玉山".encode()]], Sampling(max_new_tokens=30), BYTES.end, BYTES.pad)
    assert row == [*b" is high.", BYTES.end]


# ---------------------------------------------------------------------------------------- options


def test_a_vocabulary_of_256_means_bytes_without_merges():
    run = pretrain(settings(), DOCUMENTS)
    assert run.tokenizer.encode("aaaa 山") == list("aaaa 山".encode())
    assert run.gpt.config.n_vocab == run.tokenizer.n_vocab == 259


def test_a_larger_vocabulary_is_learned_from_the_text_and_stops_when_no_pair_is_left(capsys):
    run = pretrain(settings(vocab_size=260, validation=0), ["banana " * 9])
    assert run.gpt.config.n_vocab == 263
    assert capsys.readouterr().out == ""
    run = pretrain(settings(vocab_size=9999, validation=0), ["banana " * 9])
    assert run.gpt.config.n_vocab == run.tokenizer.n_vocab < 300
    assert "no more pairs" in capsys.readouterr().out


@pytest.mark.parametrize("size", [0, 255, -1])
def test_fewer_tokens_than_bytes_are_refused(size):
    with pytest.raises(ValueError, match="256"):
        pretrain(settings(vocab_size=size), DOCUMENTS)


def test_a_given_tokenizer_is_used_as_it_is():
    tokenizer = Tokenizer.train(["capital capital"], 258)
    run = pretrain(settings(vocab_size=2000), DOCUMENTS, tokenizer)
    assert run.tokenizer is tokenizer
    assert run.gpt.config.n_vocab == 261


def test_cleaning_reaches_the_text_that_is_trained_on(streams):
    dirty = ["a\r\n\r\n\r\n\r\nb\x00  c\u00a0d", "\u200b \n"]
    run = pretrain(settings(clean=True, validation=0), dirty)
    assert BYTES.decode(streams["trained"]) == "a\n\nb c d"
    assert run.report["documents"] == 1
    streams.clear()
    pretrain(settings(validation=0), dirty)
    assert BYTES.decode(streams["trained"]) == "".join(dirty)


def test_deduplication_reaches_the_text_that_is_trained_on(streams):
    run = pretrain(settings(deduplicate=True, validation=0), ["one and two", "玉山很高", "one and  two", "玉山很高"])
    assert BYTES.decode(streams["trained"]) == "one and two玉山很高"
    assert run.report["duplicates_removed"] == 2
    assert run.report["documents"] == 2
    assert "duplicates_removed" not in pretrain(settings(), DOCUMENTS).report


@pytest.mark.parametrize("arch", ["minillm", "gpt2", "llama"])
def test_each_architecture_can_be_trained(arch):
    run = pretrain(settings(arch=arch, steps=30, lr=0.01, validation=0), ["abcab " * 30])
    assert run.metrics[-1]["loss"] < run.metrics[0]["loss"] - 0.3
    assert {"minillm": run.gpt.config.activation == "relu2", "gpt2": run.gpt.config.position == "learned",
            "llama": not run.gpt.config.tied}[arch]  # fmt: skip
    assert run.gpt.config.hidden == 32


@pytest.mark.parametrize(
    "bad", [{"validation": 1.0}, {"validation": -0.1}, {"validation": math.nan}, {"n_head": 3}, {"n_embd": 6},
            {"n_layer": 0}, {"n_ctx": 0}, {"steps": 0}]
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_at_once(bad):
    with pytest.raises(ValueError):
        settings(**bad)


# ----------------------------------------------------------------------------------------- results


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    one, two, other = (pretrain(settings(seed=seed), DOCUMENTS) for seed in (5, 5, 6))
    weights = [torch.cat([p.flatten() for p in run.gpt.parameters()]) for run in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert one.metrics == two.metrics != other.metrics


def test_the_seed_decides_the_rows_not_only_the_first_weights(monkeypatch):
    batches, loss = [], stage1_pretrain.mean_loss

    def spy(model, batch, config):
        batches.append(batch.ids)
        return loss(model, batch, config)

    monkeypatch.setattr(stage1_pretrain, "mean_loss", spy)
    for seed in (1, 1, 2):
        pretrain(settings(seed=seed, steps=1), ["".join(map(chr, range(33, 120)))])
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_without_a_folder_nothing_is_written_and_with_one_the_run_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = []
    pretrain(settings(), DOCUMENTS, on_step=lambda step, _: steps.append(step))
    assert list(tmp_path.iterdir()) == []
    assert steps == [1, 2, 3]
    config = settings(checkpoint_every=1)
    run = pretrain(config, DOCUMENTS, out=tmp_path / "a" / "run")
    assert run.folder == tmp_path / "a" / "run"
    written = json.loads((run.folder / "config.json").read_text())
    assert written["training"] == config.recipe()
    assert json.loads((run.folder / "report.json").read_text())["stage"] == "pretrain"
