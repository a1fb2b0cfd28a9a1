"""Stage 2: only answers are learned, the base model stays, and a few pairs teach to answer and stop."""

import copy
import dataclasses
import json
import math

import pytest
import torch

from minillm import lora, stage2_sft
from minillm.assistant import Assistant
from minillm.chat import Message, encode_prompt, turn
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.measure import loss
from minillm.measure.evaluate import answers
from minillm.measure.loss import answer_loss
from minillm.packing import packed_batch
from minillm.plumbing.files import InputError
from minillm.run_folder import Run, load_run, save_run
from minillm.stage2_sft import SFTConfig, prepare, sft
from minillm.tokenizer import Tokenizer
from minillm.training import mean_loss

BYTES = Tokenizer.from_ranks({bytes([b]): b for b in range(256)})
PAIRS = [turn(*pair) for pair in [("台湾最高的山是哪座？", "玉山"), ("Who are you?", "a model"), ("1+1?", "2"),
                                  ("👋", "👩‍👩‍👧!")]]  # fmt: skip
LONGER = [
    turn("hi", "yes") + turn("and?", "玉") + turn("so", "no"),
    [Message("system", "Be brief."), *turn("a", "b"), *turn("c", "d")],
]


def settings(**options) -> SFTConfig:
    return SFTConfig(**dict(steps=3, batch_size=3, lr=0.01, warmup=1, validation=0.0, precision="fp32") | options)


def make_base(n_embd: int = 8, seed: int = 0, **shape) -> Run:
    return Run(GPT(GPTConfig(**dict(n_vocab=259, n_ctx=64, n_layer=1, n_head=2, n_embd=n_embd) | shape), seed), BYTES)


def weights(gpt: GPT) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in gpt.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def learned_ids(batch) -> list[int]:
    return batch.targets[batch.weights > 0].tolist()


def as_ids(answers: list[str]) -> list[int]:
    """What should be learned of these answers: their bytes as they are after `AI:`, and [END]."""
    return [i for a in answers for i in (*a.encode(), BYTES.end)]


@pytest.fixture
def batches(monkeypatch) -> list:
    """The batches of dialogues that `sft` trains on and measures."""
    seen: list = []

    def spy(*arguments):
        seen.append(packed_batch(*arguments))
        return seen[-1]

    for module in (stage2_sft, loss):
        monkeypatch.setattr(module, "packed_batch", spy)
    return seen


# ------------------------------------------------------------------------------- what is learned


def test_what_is_learned_of_a_dialogue_is_its_answer_and_its_end(batches):
    config = settings(steps=1, batch_size=1)
    for question, answer, learned in (("山是哪座？", "玉山", "玉山"), ("Who? AI: not me [END]", "me", " me")):
        sft(config, make_base(), [turn(question, answer)])
        assert learned_ids(batches.pop()) == as_ids([learned])


def test_of_a_longer_dialogue_all_answers_are_learned(batches):
    for dialogue, expected in zip(LONGER, ([" yes", "玉", " no"], [" b", " d"]), strict=True):
        batches.clear()
        sft(settings(steps=1, batch_size=1), make_base(), [dialogue])
        assert learned_ids(batches[0]) == as_ids(expected)


def test_the_end_of_an_answer_is_learned_and_padding_is_not(batches):
    sft(settings(steps=4, batch_size=4), make_base(n_ctx=70), PAIRS + LONGER)
    for batch in batches:
        assert (batch.ids == BYTES.pad).any()  # the rows are of uneven length
        assert not batch.weights[batch.targets == BYTES.pad].any()
        assert not batch.weights[batch.ids == BYTES.pad].any()
        assert batch.weights[batch.targets == BYTES.end].all()


def test_every_dialogue_is_learned_once_an_epoch(batches):
    sft(settings(steps=2, batch_size=2), make_base(), PAIRS)
    learned = [b for batch in batches for b in bytes(i for i in learned_ids(batch) if i < 256).decode()]
    assert sorted(learned) == sorted("玉山 a model 2 👩‍👩‍👧!")


def test_the_gradient_reaches_the_logits_of_answers_only():
    base = make_base()
    batch = packed_batch(prepare(PAIRS + LONGER, BYTES, 64)[0], 64, BYTES.pad)
    seen = []

    def keep_gradient(module, inputs, logits):
        logits.retain_grad()
        seen.append(logits)

    base.gpt.lm_head.register_forward_hook(keep_gradient)
    ((loss, _),) = (part() for part in mean_loss(base.gpt, batch, settings(accumulate=1)))
    loss.backward()
    assert torch.equal(seen[0].grad.abs().sum(-1) > 0, batch.weights > 0)


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"lora": 2}])
def test_targets_in_the_question_or_the_padding_do_not_change_a_single_bit(monkeypatch, options):
    plain = sft(settings(**options), make_base(), PAIRS + LONGER)

    def garbled(*arguments):
        batch = packed_batch(*arguments)
        noise = torch.randint(259, batch.targets.shape, generator=torch.Generator().manual_seed(1))
        return dataclasses.replace(batch, targets=torch.where(batch.weights > 0, batch.targets, noise))

    monkeypatch.setattr(stage2_sft, "packed_batch", garbled)
    assert same(weights(plain.gpt), weights(sft(settings(**options), make_base(), PAIRS + LONGER).gpt))


def test_the_loss_on_answers_equals_a_loop_over_their_tokens():
    gpt = make_base(seed=3).gpt
    with torch.no_grad():
        gpt.tok_emb.weight.mul_(30)  # far from uniform
    dialogues = [turn("?" * (i % 7 + 1), "x" * (1 if i < 64 else 9)) for i in range(70)] + LONGER  # uneven batches
    encoded, _ = prepare(dialogues, BYTES, 64)
    losses = []
    for d in encoded:
        log_p = gpt(torch.tensor([d.ids]))[0].log_softmax(-1)
        losses += [-log_p[i - 1, d.ids[i]].item() for i in range(len(d.ids)) if d.mask[i]]
    expected = sum(losses) / len(losses)
    assert answer_loss(gpt, encoded, BYTES.pad, "fp32") == pytest.approx(expected, rel=1e-5)


def test_dialogues_kept_back_are_measured_and_never_trained_on(batches):
    dialogues = [turn("q", letter) for letter in "abcdefgh"]
    run = sft(settings(steps=9, validation=0.25), make_base(), dialogues)
    figures = run.report["validation"]
    assert run.report["held_back"] == 2 and 0 < figures["after"] < figures["before"]
    measured, trained = set(learned_ids(batches[0])), set().union(*map(learned_ids, batches[1:-1]))
    assert measured == set(learned_ids(batches[-1]))
    assert measured & trained == {ord(" "), BYTES.end}
    assert measured | trained == {*b" abcdefgh", BYTES.end}


def test_without_dialogues_kept_back_there_is_no_validation():
    assert "validation" not in sft(settings(), make_base(), PAIRS).report


# -------------------------------------------------------------------------------- what does not fit


LONG = turn("hi", "yes") + turn("tell me", "much " * 30)  # the first turn fits into 64 tokens, the second does not


def test_a_dialogue_that_is_too_long_is_cut_at_a_turn_and_counted():
    encoded, counts = prepare([LONG, PAIRS[2]], BYTES, 64)
    assert BYTES.decode(encoded[0].ids) == "USER: hi AI: yes"
    assert encoded[0].ids[-1] == BYTES.end  # no answer is cut, no [END] is made up or lost
    assert counts == {"dialogues": 2, "cut": 1, "dropped": 0}


def test_or_it_is_dropped_and_counted():
    encoded, counts = prepare([LONG, PAIRS[2]], BYTES, 64, long="drop")
    assert BYTES.decode(encoded[0].ids) == "USER: 1+1? AI: 2"
    assert (len(encoded), counts) == (1, {"dialogues": 2, "cut": 0, "dropped": 1})


def test_a_dialogue_whose_first_turn_does_not_fit_is_dropped_even_when_cutting():
    _, counts = prepare([turn("hi", "long " * 30), turn("long " * 30, "hi"), PAIRS[2]], BYTES, 64)
    assert counts == {"dialogues": 3, "cut": 0, "dropped": 2}


@pytest.mark.parametrize(("length", "fits"), [(64, True), (65, False)])
def test_a_dialogue_may_be_as_long_as_the_context(length, fits):
    dialogue = turn("q", "x" * (length - len("USER: q AI: ") - 2))  # [DOC] and [END]
    encoded, counts = prepare([dialogue, PAIRS[2]], BYTES, 64)
    assert [len(d.ids) for d in encoded] == [length] * fits + [18]
    assert counts["dropped"] == (not fits)


@pytest.mark.parametrize("long", ["cut", "drop"])
@pytest.mark.parametrize("dialogues", [[turn("q", "x" * 99)] * 3, [], [[Message("user", "no answer")]]])
def test_it_is_an_error_only_when_nothing_is_left(dialogues, long):
    with pytest.raises(InputError, match="none of"):
        prepare(dialogues, BYTES, 64, long)
    prepare([*dialogues, PAIRS[2]], BYTES, 64, long)


def test_the_counts_stand_in_the_report():
    report = sft(settings(), make_base(), [LONG, turn("q", "x" * 99), *PAIRS]).report
    assert (report["dialogues"], report["cut"], report["dropped"]) == (6, 1, 1)


# --------------------------------------------------------------------------------- base and copies


@pytest.mark.parametrize("options", [{}, {"lora": 2}, {"lora": 2, "merge": True}, {"rehearse_rows": 1}])
def test_the_base_stays_as_it_is_bit_for_bit(options):
    base = make_base()
    before = weights(base.gpt)
    run = sft(settings(**options), base, PAIRS, ["some text"])
    assert same(weights(base.gpt), before)
    assert all(p.requires_grad and p.grad is None for p in base.gpt.parameters())
    assert run.report["parameter_drift"] > 0


@pytest.mark.parametrize("options", [{}, {"lora": 2, "lora_dropout": 0.4}, {"muon_lr": 0.01, "rehearse_rows": 2}])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(options):
    one, two, other = (sft(settings(seed=s, **options), make_base(), PAIRS, ["text"]) for s in (4, 4, 5))
    assert same(weights(one.gpt), weights(two.gpt)) and one.metrics == two.metrics
    assert not same(weights(one.gpt), weights(other.gpt))


def test_full_tuning_moves_every_parameter_that_it_may():
    base = make_base()
    after = weights(sft(settings(), base, PAIRS).gpt)
    assert [n for n, w in weights(base.gpt).items() if torch.equal(w, after[n])] == []


def test_with_lora_only_the_adapters_are_trained():
    base = make_base()
    run = sft(settings(lora=2, lora_alpha=6.0, lora_dropout=0.1, lr=0.05), base, PAIRS)
    adapters = lora.adapters(run.gpt)
    assert adapters.keys() == {f"blocks.0.{n}" for n in ("attn.query", "attn.key", "attn.value", "attn.out", "mlp.up",
                                                         "mlp.down")}  # fmt: skip
    assert all(a.B.abs().sum() > 0 and a.config == lora.LoRAConfig(2, 6.0, 0.1) for a in adapters.values())
    left = {n.replace(".base", ""): w for n, w in weights(run.gpt).items() if not n.endswith((".A", ".B"))}
    assert same(left, weights(base.gpt))
    assert run.report["trained_parameters"] == sum(a.A.numel() + a.B.numel() for a in adapters.values())


def test_merging_gives_a_plain_model_with_the_same_logits():
    options = dict(lora=2, lora_alpha=6.0, lr=0.05)
    unmerged, merged = (sft(settings(merge=m, **options), make_base(), PAIRS) for m in (False, True))
    assert not lora.adapters(merged.gpt)
    ids = torch.tensor([encode_prompt("1+1?", BYTES)])
    torch.testing.assert_close(merged.gpt(ids), unmerged.gpt(ids), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(merged.gpt(ids), make_base().gpt(ids), atol=1e-3)
    assert merged.report["parameter_drift"] == pytest.approx(unmerged.report["parameter_drift"], rel=1e-4)


def test_a_base_with_adapters_is_merged_in_the_copy_and_left_alone_itself():
    base = make_base()
    lora.inject(base.gpt, lora.LoRAConfig(2))
    for adapter in lora.adapters(base.gpt).values():
        torch.nn.init.normal_(adapter.B, generator=torch.Generator().manual_seed(0))
    before = weights(base.gpt)
    run = sft(settings(lr=1e-9), base, PAIRS)
    assert not lora.adapters(run.gpt)
    assert same(weights(base.gpt), before)
    ids = torch.tensor([encode_prompt("1+1?", BYTES)])
    torch.testing.assert_close(run.gpt(ids), base.gpt(ids), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["no folder", "an adapter run"])
def test_an_adapter_that_could_not_be_saved_is_refused_before_training_not_after(tmp_path, kind):
    base, steps = make_base(), []
    if kind == "an adapter run":
        save_run(tmp_path / "base", base, {})
        base = sft(settings(lora=2), base, PAIRS, out=tmp_path / "adapter")
        assert base.folder == tmp_path / "adapter"
    with pytest.raises(InputError, match="--merge"):
        sft(settings(lora=2), base, PAIRS, out=tmp_path / "out", on_step=lambda step, _: steps.append(step))
    assert steps == []


def test_the_run_is_written_and_read_back(tmp_path):
    base = make_base()
    save_run(tmp_path / "base", base, {})
    config = settings(lora=2, lr=0.05)
    run = sft(config, base, PAIRS, out=tmp_path / "sft")
    ids = torch.tensor([encode_prompt("1+1?", BYTES)])
    assert torch.equal(load_run(tmp_path / "sft").gpt(ids), run.gpt(ids))
    assert json.loads((tmp_path / "sft" / "config.json").read_text())["training"] == config.recipe()
    assert json.loads((tmp_path / "sft" / "report.json").read_text())["stage"] == "sft"


# ---------------------------------------------------------------------------------------- rehearsal


def test_rehearsal_adds_the_weighted_loss_on_old_text():
    config = settings(rehearse_rows=2, rehearse_weight=0.25)
    for m in sft(config, make_base(), PAIRS, ["old text 旧文"]).metrics:
        assert m["loss"] == pytest.approx(m["answer_loss"] + 0.25 * m["rehearsal_loss"], rel=1e-6)
        assert m["rehearsal_loss"] > 1


def test_rehearsal_keeps_old_text_known_where_tuning_alone_forgets_it():
    text = ["the old text, word for word"]
    base = make_base(n_embd=16)
    last = [sft(settings(steps=60, lr=0.02, rehearse_rows=rows, rehearse_weight=w), base, PAIRS, text).metrics[-1]
            for rows, w in ((1, 1.0), (1, 0.0))]  # fmt: skip
    assert last[0]["rehearsal_loss"] < last[1]["rehearsal_loss"] - 1


@pytest.mark.parametrize("rehearsal", [(), [], [""]])
def test_rehearsal_without_text_is_an_input_error(rehearsal):
    with pytest.raises(InputError, match="--rehearse"):
        sft(settings(rehearse_rows=1), make_base(), PAIRS, rehearsal)


@pytest.mark.parametrize(
    ("named", "options"),
    [("validation", {"validation": 1.0}), ("validation", {"validation": 1.5}), ("validation", {"validation": -1.0}),
     ("validation", {"validation": math.nan}), ("rehearse_rows", {"rehearse_rows": -1}), ("rank|lora", {"lora": -1}),
     ("dropout", {"lora": 2, "lora_dropout": 1.0})],
)  # fmt: skip
def test_settings_out_of_range_are_refused_with_a_sentence(named, options):
    with pytest.raises(ValueError, match=named):
        sft(settings(**options), make_base(), PAIRS, ["text"])


# ------------------------------------------------------------------------------------ it works at all


def assert_answers_and_stops(run: Run) -> None:
    questions, expected = [d[0].content for d in PAIRS], [d[1].content for d in PAIRS]
    assert answers(run, questions) == [(text, True) for text in expected]  # True: it ended with [END]
    assert [Assistant(run).ask(q) for q in questions] == expected


def test_a_tiny_model_learns_four_pairs_by_heart_answers_them_and_stops():
    run = sft(settings(steps=120, batch_size=4, muon_lr=0.03), make_base(n_embd=32), PAIRS)
    assert run.metrics[-1]["answer_loss"] < 0.05
    assert_answers_and_stops(run)


def test_with_lora_a_model_that_can_say_the_answers_learns_when():
    can_say = [turn("Say something!", d[1].content) for d in PAIRS]
    base = sft(settings(steps=100, batch_size=4, muon_lr=0.02), make_base(n_embd=32), can_say)
    run = sft(settings(steps=120, batch_size=4, lora=8), base, PAIRS)
    assert run.metrics[-1]["answer_loss"] < 0.1
    assert_answers_and_stops(run)


def test_accumulation_does_not_change_what_is_learned():
    dialogues = [*PAIRS, *LONGER, turn("long?", "a long answer of many words")]
    whole, in_parts = (sft(settings(accumulate=k, batch_size=7), make_base(), copy.deepcopy(dialogues)) for k in (1, 3))
    for name, w in weights(whole.gpt).items():
        torch.testing.assert_close(weights(in_parts.gpt)[name], w, rtol=0, atol=1e-4)
    assert in_parts.metrics[0]["answer_loss"] == pytest.approx(whole.metrics[0]["answer_loss"], rel=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_frozen_embeddings_stay_and_the_rest_is_tuned(tied):
    base = make_base(tied=tied)
    run, free = sft(settings(freeze_embeddings=True), base, PAIRS), sft(settings(), base, PAIRS)
    before, after = weights(base.gpt), weights(run.gpt)
    assert {n for n in before if torch.equal(before[n], after[n])} == {"tok_emb.weight"}
    frozen = base.gpt.tok_emb.weight.numel()
    assert free.report["trained_parameters"] - run.report["trained_parameters"] == frozen
    further = sft(settings(), run, PAIRS)  # the next tuning is free again
    assert not torch.equal(weights(further.gpt)["tok_emb.weight"], before["tok_emb.weight"])
