"""Stage 3: DPO by hand, whole answers against a reference that stays, and what the metrics say."""

import dataclasses
import json
import math

import pytest
import torch

from minillm import lora
from minillm.chat import Message, Preference, encode_prompt, turn
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.measure.evaluate import answers
from minillm.packing import padded_batch
from minillm.plumbing.files import InputError
from minillm.run_folder import Run, load_run, save_run
from minillm.stage2_sft import SFTConfig, sft
from minillm.stage3_preference import (
    PreferenceConfig,
    dpo_loss,
    encode_preferences,
    prefer,
    sequence_log_probs,
)
from minillm.tokenizer import Tokenizer

BYTES = Tokenizer.from_ranks({bytes([b]): b for b in range(256)})


def pair(question: str, chosen: str, rejected: str) -> Preference:
    return Preference((Message("user", question),), chosen, rejected)


PAIRS = [pair("台湾?", "台湾的山是玉山", "玉山"), pair("1+1?", "It is 2.", "2"), pair("👋", "👩‍👩‍👧", "no"),
         pair("a", "b", "a long one")]  # fmt: skip
LATER = Preference((*turn("hi", "yes"), Message("user", "so?")), "玉", "no")


def settings(**options) -> PreferenceConfig:
    tiny = dict(steps=3, batch_size=4, lr=0.01, warmup=1, beta=0.1, likelihood=1.0, precision="fp32")
    return PreferenceConfig(**tiny | options)


def make_base(n_embd: int = 8, seed: int = 0, **shape) -> Run:
    """A base with rough weights, so that answers differ in probability from the start."""
    gpt = GPT(GPTConfig(**dict(n_vocab=259, n_ctx=64, n_layer=1, n_head=2, n_embd=n_embd) | shape), seed)
    with torch.no_grad():
        gpt.tok_emb.weight.mul_(10)
    return Run(gpt.eval(), BYTES)


def weights(gpt: GPT) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in gpt.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def answer_ids(text: str) -> list[int]:
    """An answer as it is after `AI:`, with its [END]."""
    return [*(text if text[0] in "台玉" else f" {text}").encode(), BYTES.end]


@torch.no_grad()
def log_prob(gpt: GPT, question: str, answer: str) -> float:
    """log p(answer | question), one token at a time."""
    ids, total = encode_prompt(question, BYTES), 0.0
    for token in answer_ids(answer):
        total += gpt(torch.tensor([ids]))[0, -1].softmax(-1)[token].log().item()
        ids.append(token)
    return total


# --------------------------------------------------------------------------------- the loss, by hand


@pytest.mark.parametrize(
    ("chosen", "rejected", "ref_chosen", "ref_rejected", "beta", "expected"),
    [
        (-7.0, -3.0, -7.0, -3.0, 0.1, 0.693147),  # no difference to the reference: ln 2, whatever the answers
        (-1.0, -2.0, -1.5, -1.5, 0.1, 0.644397),  # margin 1: ln(1 + e^-0.1)
        (-1.0, -2.0, -1.5, -1.5, 1.0, 0.313262),  # ln(1 + e^-1)
        (-4.0, -2.0, -2.0, -3.0, 0.5, 1.701413),  # margin -3: ln(1 + e^1.5)
        (-2.0, -9.0, -2.0, -3.0, 0.5, 0.048587),  # the rejected answer fell by 6: ln(1 + e^-3)
        (0.0, -9e3, -9e3, 0.0, 1.0, 0.0),  # nothing overflows
        (-9e3, 0.0, 0.0, -9e3, 0.1, 1800.0),
    ],
)
def test_dpo_loss_has_the_values_of_its_equation(chosen, rejected, ref_chosen, ref_rejected, beta, expected):
    arguments = [torch.tensor([x, x]) for x in (chosen, rejected, ref_chosen, ref_rejected)]
    assert dpo_loss(*arguments, beta).tolist() == pytest.approx([expected, expected], abs=1e-6)


@pytest.mark.parametrize(("margin", "beta"), [(0.0, 0.1), (2.0, 0.1), (-5.0, 0.5)])
def test_its_gradient_raises_the_chosen_and_lowers_the_rejected_answer(margin, beta):
    chosen, rejected = torch.tensor([margin], requires_grad=True), torch.zeros(1, requires_grad=True)
    dpo_loss(chosen, rejected, torch.zeros(1), torch.zeros(1), beta).sum().backward()
    slope = beta / (1 + math.exp(beta * margin))  # the surer the model, the smaller
    assert chosen.grad.item() == pytest.approx(-slope)
    assert rejected.grad.item() == pytest.approx(slope)


# ------------------------------------------------------------------------- log-probabilities of answers


def encoded(pairs) -> list:
    return [d for both in encode_preferences(pairs, BYTES, 64) for d in both]


def test_log_probabilities_equal_a_loop_over_tokens_that_ignores_prompt_and_padding():
    batch = padded_batch(encoded([*PAIRS, LATER]), BYTES.pad)
    logits = torch.randn(*batch.ids.shape, 259, generator=torch.Generator().manual_seed(0)) * 3
    expected = []
    for row, dialogue in enumerate(encoded([*PAIRS, LATER])):
        total = 0.0
        for i in range(1, len(dialogue.ids)):
            if dialogue.mask[i]:
                p = logits[row, i - 1].double().exp()
                total += math.log(p[dialogue.ids[i]] / p.sum())
        expected.append(total)
    assert sequence_log_probs(logits, batch).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_width_of_the_padding_does_not_change_an_answers_log_probability():
    gpt, (short, *_) = make_base().gpt, encoded(PAIRS)
    long = encoded([pair("q", "x" * 40, "y")])[0]
    values = []
    for rows in ([short], [short, long], [long, short]):
        batch = padded_batch(rows, BYTES.pad)
        values.append(sequence_log_probs(gpt(batch.ids, batch.mask, batch.positions), batch)[rows.index(short)].item())
    assert values[1:] == pytest.approx([values[0]] * 2, rel=1e-6)


def test_it_is_a_sum_not_a_mean_so_a_longer_answer_is_less_likely():
    batch = padded_batch(encoded([pair("q", "x" * 19, "x")]), BYTES.pad)
    uniform = torch.zeros(*batch.ids.shape, 259)
    assert sequence_log_probs(uniform, batch).tolist() == pytest.approx([-21 * math.log(259), -3 * math.log(259)])


def test_what_counts_is_the_answer_and_its_end():
    for one, (chosen, rejected) in zip(PAIRS, encode_preferences(PAIRS, BYTES, 64), strict=True):
        for dialogue, text in ((chosen, one.chosen), (rejected, one.rejected)):
            assert [i for i, m in zip(dialogue.ids, dialogue.mask, strict=True) if m] == answer_ids(text)


def test_of_a_conversation_only_the_last_answer_counts():
    ((chosen, rejected),) = encode_preferences([LATER], BYTES, 64)
    for dialogue, text in ((chosen, "玉"), (rejected, "no")):
        assert [i for i, m in zip(dialogue.ids, dialogue.mask, strict=True) if m] == answer_ids(text)
        assert BYTES.decode(dialogue.ids).startswith("USER: hi AI: yesUSER: so? AI:")  # but the rest is read


# ------------------------------------------------------------------------------------- real training


def with_adapters(base: Run) -> Run:
    lora.inject(base.gpt, lora.LoRAConfig(2))
    for adapter in lora.adapters(base.gpt).values():
        torch.nn.init.normal_(adapter.B, generator=torch.Generator().manual_seed(0))
    return base


@pytest.mark.parametrize("prepare", [lambda base: base, with_adapters])
@pytest.mark.parametrize("options", [{}, {"accumulate": 3}, {"lora": 2}, {"beta": 5.0, "likelihood": 0.0}])
def test_at_the_start_the_loss_is_ln_2_and_no_answer_is_preferred(options, prepare):
    first = prefer(settings(**options), prepare(make_base()), PAIRS).metrics[0]
    assert first["dpo_loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert first["margin"] == pytest.approx(0, abs=1e-6)


def test_the_metrics_of_the_first_step_are_those_of_the_base():
    base = make_base()
    first = prefer(settings(), base, PAIRS).metrics[0]
    for name, side in (("chosen_log_prob", "chosen"), ("rejected_log_prob", "rejected")):
        expected = sum(log_prob(base.gpt, p.prompt[0].content, getattr(p, side)) for p in PAIRS) / len(PAIRS)
        assert first[name] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"accumulate": 3}, {"lora": 2, "merge": True}, {"likelihood": 0.0, "beta": 2}])
def test_the_reference_is_the_base_to_the_end(options):
    """The last step's rate is 0, so its metrics are those of the finished model against the base."""
    base = make_base()
    config = settings(**dict(steps=12, lr=0.03) | options)
    run = prefer(config, base, PAIRS)
    margins, losses = [], []
    for p in PAIRS:
        question = p.prompt[0].content
        chosen, rejected = (
            log_prob(run.gpt, question, a) - log_prob(base.gpt, question, a) for a in (p.chosen, p.rejected)
        )
        margins.append(chosen - rejected)
        losses.append(math.log1p(math.exp(-config.beta * margins[-1])))
    last = run.metrics[-1]
    assert abs(sum(margins)) > 0.5
    assert last["margin"] == pytest.approx(sum(margins) / len(PAIRS), rel=1e-3)
    assert last["dpo_loss"] == pytest.approx(sum(losses) / len(PAIRS), rel=1e-3, abs=1e-5)
    assert last["accuracy"] == pytest.approx(sum(m > 0 for m in margins) / len(PAIRS))
    assert (run.report["margin"], run.report["accuracy"]) == (last["margin"], last["accuracy"])


@pytest.mark.parametrize("options", [{}, {"lora": 2}, {"rehearse_rows": 1}])
@pytest.mark.parametrize("prepare", [lambda base: base, with_adapters])
def test_the_base_gets_no_gradient_and_stays_bit_for_bit(options, prepare):
    base = prepare(make_base())
    before, trainable = weights(base.gpt), [p.requires_grad for p in base.gpt.parameters()]
    run = prefer(settings(**options), base, PAIRS, ["text"])
    assert same(weights(base.gpt), before)
    assert all(p.grad is None for p in base.gpt.parameters())
    assert [p.requires_grad for p in base.gpt.parameters()] == trainable
    assert run.report["parameter_drift"] > 0


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_the_likelihood_term_is_the_mean_loss_a_token_of_the_chosen_answers(weight):
    base = make_base()
    first = prefer(settings(likelihood=weight), base, PAIRS).metrics[0]
    means = [-log_prob(base.gpt, p.prompt[0].content, p.chosen) / len(answer_ids(p.chosen)) for p in PAIRS]
    assert first["loss"] == pytest.approx(math.log(2) + weight * sum(means) / len(means), rel=1e-5)


def test_rehearsal_adds_the_weighted_loss_on_old_text():
    config = settings(likelihood=0.0, rehearse_rows=2, rehearse_weight=0.25)
    for m in prefer(config, make_base(), PAIRS, ["old text 旧文"]).metrics:
        assert m["loss"] == pytest.approx(m["dpo_loss"] + 0.25 * m["rehearsal_loss"], rel=1e-5)


@pytest.mark.parametrize("accumulate", [2, 3, 9])
def test_micro_batches_give_the_same_model_and_the_same_metrics(accumulate):
    pairs = [*PAIRS, LATER]
    config = settings(batch_size=5, clip=0.1)  # 5 pairs in 2 micro-batches: 3 and 2
    whole = prefer(config, make_base(), pairs)
    in_parts = prefer(dataclasses.replace(config, accumulate=accumulate), make_base(), pairs)
    for name, w in weights(whole.gpt).items():
        torch.testing.assert_close(weights(in_parts.gpt)[name], w, rtol=0, atol=5e-4)
    for name in ("loss", "dpo_loss", "accuracy", "margin", "chosen_log_prob", "gradient_norm"):
        assert in_parts.metrics[0][name] == pytest.approx(whole.metrics[0][name], rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("options", [{"likelihood": 0.0}, {"likelihood": 1.0}, {"likelihood": 0.0, "lora": 4}])
def test_the_margin_grows_and_the_loss_falls(options):
    metrics = prefer(settings(steps=40, lr=0.02, **options), make_base(), [*PAIRS, LATER]).metrics
    assert metrics[-1]["margin"] > 5
    assert metrics[-1]["dpo_loss"] < 0.5
    assert metrics[-1]["accuracy"] == 1.0


def test_the_likelihood_term_keeps_the_chosen_answers_likely():
    configs = (settings(steps=40, lr=0.02, likelihood=weight) for weight in (1.0, 0.0))
    with_it, without = (prefer(config, make_base(), PAIRS).metrics for config in configs)
    assert with_it[-1]["chosen_log_prob"] > with_it[0]["chosen_log_prob"] + 5
    assert with_it[-1]["chosen_log_prob"] > without[-1]["chosen_log_prob"] + 5


def test_an_assistant_that_gave_the_rejected_answers_gives_the_chosen_ones():
    taught = [turn(p.prompt[0].content, a) for p in PAIRS for a in (p.rejected, p.rejected, p.chosen)]
    assistant = sft(SFTConfig(steps=100, batch_size=12, lr=0.01, muon_lr=0.03, validation=0.0, precision="fp32"),
                    make_base(n_embd=32), taught)  # fmt: skip
    questions = [p.prompt[0].content for p in PAIRS]
    assert answers(assistant, questions) == [(p.rejected, True) for p in PAIRS]
    tuned = prefer(settings(steps=40, lr=0.003), assistant, PAIRS)
    assert answers(tuned, questions) == [(p.chosen, True) for p in PAIRS]


@pytest.mark.parametrize("options", [{}, {"lora": 2}, {"rehearse_rows": 1, "muon_lr": 0.01}])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(options):
    configs = (settings(seed=s, batch_size=2, **options) for s in (4, 4, 5))
    one, two, other = (prefer(config, make_base(), PAIRS, ["text"]) for config in configs)
    assert same(weights(one.gpt), weights(two.gpt)) and one.metrics == two.metrics
    assert not same(weights(one.gpt), weights(other.gpt))


def test_with_lora_only_the_adapters_are_trained_and_merging_keeps_the_logits():
    base = make_base()
    unmerged, merged = (prefer(settings(lora=2, lr=0.03, merge=m), base, PAIRS) for m in (False, True))
    left = {n.replace(".base", ""): w for n, w in weights(unmerged.gpt).items() if not n.endswith((".A", ".B"))}
    assert same(left, weights(base.gpt))
    assert not lora.adapters(merged.gpt)
    ids = torch.tensor([encode_prompt("1+1?", BYTES)])
    torch.testing.assert_close(merged.gpt(ids), unmerged.gpt(ids), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(merged.gpt(ids), base.gpt(ids), atol=1e-2)


# ------------------------------------------------------------------------------ what does not fit, files


TOO_LONG = [pair("q", "x" * 60, "y"), pair("q", "y", "x" * 60), pair("q" * 60, "x", "y")]


def test_pairs_of_which_one_side_is_too_long_are_dropped_and_counted():
    run = prefer(settings(), make_base(), [*TOO_LONG, *PAIRS])
    assert (run.report["pairs"], run.report["dropped"]) == (7, 3)
    assert run.metrics == prefer(settings(), make_base(), PAIRS).metrics


@pytest.mark.parametrize(("length", "kept"), [(64, 1), (65, 0)])
def test_a_pair_may_be_as_long_as_the_context(length, kept):
    longest = pair("q", "x" * (length - len("USER: q AI: ") - 2), "y")
    assert len(encode_preferences([longest, PAIRS[0]], BYTES, 64)) == 1 + kept


@pytest.mark.parametrize("pairs", [TOO_LONG, []])
def test_it_is_an_error_when_no_pair_is_left(pairs):
    with pytest.raises(InputError, match="none of"):
        prefer(settings(), make_base(), pairs)


@pytest.mark.parametrize("beta", [0.0, -0.1, math.nan])
def test_beta_must_be_above_zero(beta):
    with pytest.raises(ValueError, match="beta"):
        settings(beta=beta)


@pytest.mark.parametrize("rehearsal", [(), [""]])
def test_rehearsal_without_text_is_an_input_error(rehearsal):
    with pytest.raises(InputError, match="--rehearse"):
        prefer(settings(rehearse_rows=1), make_base(), PAIRS, rehearsal)


def test_an_adapter_that_could_not_be_saved_is_refused_before_training_not_after(tmp_path):
    steps = []
    with pytest.raises(InputError, match="--merge"):
        prefer(settings(lora=2), make_base(), PAIRS, out=tmp_path, on_step=lambda step, _: steps.append(step))
    assert steps == []


def test_the_run_is_written_and_read_back(tmp_path):
    base = make_base()
    save_run(tmp_path / "base", base, {})
    config = settings(lora=2)
    run = prefer(config, base, PAIRS, out=tmp_path / "tuned")
    ids = torch.tensor([encode_prompt("1+1?", BYTES)])
    assert torch.equal(load_run(tmp_path / "tuned").gpt(ids), run.gpt(ids))
    assert json.loads((tmp_path / "tuned" / "config.json").read_text())["training"] == config.recipe()
    assert json.loads((tmp_path / "tuned" / "report.json").read_text())["stage"] == "preference"
