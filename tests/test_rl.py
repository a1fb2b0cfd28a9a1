"""Reinforcement learning: rewards, rollouts, GRPO; each equation against its value computed another way."""

import dataclasses
import itertools
import json
import math
import sys

import pytest
import torch

from minillm import lora
from minillm.__main__ import main
from minillm.chat import Message, turn
from minillm.commands.reinforce import conversations, own_faults_named
from minillm.generate import generate
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.plumbing.files import InputError
from minillm.run_folder import Run, load_run, save_run
from minillm.sampling import Sampling
from minillm.stage3_preference.best_of_n import best_of_n, best_shares, divergence, expected_best, kept
from minillm.stage3_preference.grpo import (
    GRPOConfig,
    clipped,
    group_advantages,
    grpo,
    kl_estimate,
    micro_batches,
    policy_loss,
)
from minillm.stage3_preference.grpo import token_weights as weights_of
from minillm.stage3_preference.rewards import named_rewards, taught_questions, users_own, verified, world_items
from minillm.stage3_preference.rollouts import Rollouts, answer_log_probs, encode_prompts, sample
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question, RequestItem
from minillm.world.pairs import REFUSAL
from minillm.world.tables import load_world, split_places, split_requests

BYTES = Tokenizer.from_ranks({bytes([b]): b for b in range(256)})
ASKED = [[Message("user", text)] for text in ("台湾?", "1+1?", "a", "long question here")]


def settings(**options) -> GRPOConfig:
    tiny = dict(steps=3, batch_size=3, lr=0.01, warmup=1, group=4, max_new_tokens=6, precision="fp32", device="cpu",
                reward=("length",), cut_reward=0.3, clip=1e9)  # fmt: skip
    return GRPOConfig(**tiny | options)


def make_base(seed: int = 0) -> Run:
    gpt = GPT(GPTConfig(n_vocab=259, n_ctx=48, n_layer=1, n_head=2, n_embd=8), seed)
    with torch.no_grad():
        gpt.tok_emb.weight.mul_(15)
        gpt.tok_emb.weight[BYTES.end] *= 6  # some answers end
    return Run(gpt.eval(), BYTES)


def letters(question: str, answer: str) -> float:
    """A reward that differs between answers of any kind."""
    return (sum(map(ord, answer)) + len(question)) % 7 / 7


def rollouts_of(base: Run, seed: int = 0, temperature: float = 1.0, group: int = 4) -> Rollouts:
    prompts = encode_prompts(ASKED, BYTES, 40)
    return sample(base.gpt, BYTES, prompts, letters, Sampling(6, temperature, seed=seed), group, 0.5, "fp32")


def parameters(run: Run) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in run.gpt.named_parameters()}


def same(a: Run, b: Run) -> bool:
    one, two = parameters(a), parameters(b)
    return one.keys() == two.keys() and all(torch.equal(one[n], two[n]) for n in one)


# ------------------------------------------------------------------------------------------ advantages


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -7.3, 1e6])
@pytest.mark.parametrize("divide", [True, False])
def test_equal_rewards_have_no_advantage_to_the_last_bit(value, divide):
    assert not group_advantages(torch.full((3, 7), value), divide).any()


def test_advantages_have_the_values_of_their_equation():
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0], [5.0, 7.0, 9.0, 7.0]])
    assert group_advantages(rewards, False)[0].tolist() == [0.75, -0.25, -0.25, -0.25]
    a = group_advantages(rewards)
    assert a[0].tolist() == pytest.approx([0.75 / 0.5001, *[-0.25 / 0.5001] * 3])
    deviation = math.sqrt(8 / 3)
    assert a[1].tolist() == pytest.approx([v / (deviation + 1e-4) for v in (-2, 0, 2, 0)])
    torch.testing.assert_close(group_advantages(rewards + 100), a)


# ----------------------------------------------------------------------------------------- KL estimates


@pytest.mark.parametrize("kind", ["k1", "k3"])
@pytest.mark.parametrize("scale", [0.0, 0.3, 3.0])
def test_the_mean_of_an_estimate_over_the_vocabulary_is_the_divergence(kind, scale):
    logits, other = torch.randn(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).unbind()
    log_p, log_q = logits.log_softmax(-1), (logits + scale * other).log_softmax(-1)
    exact = (log_p.exp() * (log_p - log_q)).sum()
    estimate = kl_estimate(log_p, log_q, kind)
    torch.testing.assert_close((log_p.exp() * estimate).sum(), exact)
    assert kind == "k1" or (estimate >= 0).all()
    assert not kl_estimate(log_p, log_q, "none").any()


# ------------------------------------------------------------------------------------------------- loss


def random_losses(seed: int, rows: int = 5, columns: int = 4) -> tuple[torch.Tensor, ...]:
    """log π, log π_sampled, log π_ref (R, T), advantages (R, 1), in float64."""
    g = torch.Generator().manual_seed(seed)
    new, old, ref = (-torch.rand(rows, columns, dtype=torch.float64, generator=g) * 2 for _ in range(3))
    return new, old, ref, torch.randn(rows, 1, dtype=torch.float64, generator=g)


@pytest.mark.parametrize("seed", range(4))
def test_where_the_policy_is_the_one_that_sampled_the_gradient_is_that_of_reinforce(seed):
    new, _, _, advantages = random_losses(seed)
    log_probs = new.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(clipped(log_probs, new, advantages).sum(), log_probs)
    (plain,) = torch.autograd.grad((-advantages * log_probs).sum(), log_probs)
    torch.testing.assert_close(gradient, plain)


@pytest.mark.parametrize(
    ("ratio", "advantage", "low", "high", "loss", "slope"),
    [
        (1.5, 2.0, 0.2, 0.2, -2.4, 0.0),  # good and already likelier by more than 20 %: no further
        (1.5, 2.0, 0.2, 0.8, -3.0, -3.0),  # clip-higher lets it grow
        (0.5, 2.0, 0.2, 0.2, -1.0, -1.0),  # good, but it became less likely: back
        (0.5, -2.0, 0.2, 0.2, 1.6, 0.0),  # bad and already less likely by more than 20 %: no further
        (1.5, -2.0, 0.2, 0.2, 3.0, 3.0),  # bad, and it became likelier: back, unclipped
        (1.1, 2.0, 0.2, 0.2, -2.2, -2.2),
    ],
)
def test_the_clipped_loss_has_the_values_of_its_equation(ratio, advantage, low, high, loss, slope):
    log_probs = torch.tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    value = clipped(log_probs, torch.zeros(1).double(), torch.tensor([advantage]).double(), low, high)
    assert value.item() == pytest.approx(loss)
    assert torch.autograd.grad(value.sum(), log_probs)[0].item() == pytest.approx(slope)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_of_a_model_with_two_tokens_are_finite_differences(seed):
    _, old, ref, advantages = random_losses(seed)
    chosen = torch.randint(2, old.shape, generator=torch.Generator().manual_seed(seed))  # (R, T)
    theta = torch.randn(*old.shape, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    def loss(logits: torch.Tensor) -> torch.Tensor:
        log_probs = logits.log_softmax(-1).gather(-1, chosen[..., None])[..., 0]  # (R, T, 2) -> (R, T)
        return policy_loss(log_probs, old, ref, advantages, beta=0.3).sum()

    assert torch.autograd.gradcheck(loss, theta.requires_grad_())


@pytest.mark.parametrize("group", [2, 3])
def test_averaged_over_all_groups_the_gradient_climbs_the_expected_reward(group):
    """Two tokens, one drawn per answer: every group with its probability. The mean of a group holds the answer
    itself, which shortens the gradient of the expected reward to its (G - 1) / G."""
    theta = torch.tensor([0.3, -0.4], dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor([2.0, -1.0], dtype=torch.float64)
    log_p = theta.log_softmax(-1)
    total = torch.zeros(2, dtype=torch.float64)
    for drawn in itertools.product((0, 1), repeat=group):
        a = group_advantages(rewards[list(drawn)][None], divide_by_std=False)[0]
        here = log_p[list(drawn)]
        loss = clipped(here, here.detach(), a).mean()
        total += here.detach().sum().exp() * torch.autograd.grad(loss, theta, retain_graph=True)[0]
    (exact,) = torch.autograd.grad((log_p.exp() * rewards).sum(), theta)
    torch.testing.assert_close(total, -exact * (group - 1) / group)


def test_the_weights_of_tokens_say_which_mean_is_taken():
    weights = torch.tensor([[0, 1, 1, 0], [0, 1, 1, 1], [1, 0, 0, 0]], dtype=torch.float32)
    assert weights_of(weights, "token", 9)[weights > 0].tolist() == pytest.approx([1 / 6] * 6)
    assert weights_of(weights, "answer", 9).sum(-1).tolist() == pytest.approx([1 / 3] * 3)
    assert weights_of(weights, "constant", 9)[weights > 0].tolist() == pytest.approx([1 / 27] * 6)
    assert all(not weights_of(weights, mean, 9)[weights == 0].any() for mean in ("token", "answer", "constant"))


# --------------------------------------------------------------------------------------------- rollouts


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_log_probabilities_are_those_of_the_policy_as_it_sampled(temperature):
    base = make_base()
    r = rollouts_of(base, 3, temperature)
    with torch.no_grad():
        again = answer_log_probs(base.gpt, r.batch, temperature)
        log_p = (base.gpt(r.batch.ids, r.batch.mask, r.batch.positions) / temperature).log_softmax(-1)
    torch.testing.assert_close(r.log_probs, again, rtol=1e-4, atol=1e-4)
    entropy = -(log_p.exp() * log_p).sum(-1) * r.batch.weights
    torch.testing.assert_close(r.entropy, entropy, rtol=1e-4, atol=1e-4)
    assert not r.log_probs[r.batch.weights == 0].any()


def test_rollouts_are_what_the_sampler_writes_with_the_rewards_of_the_texts():
    base = make_base()
    r = rollouts_of(base, 5)
    prompts = [p for p in encode_prompts(ASKED, BYTES, 40) for _ in range(4)]
    written = generate(base.gpt, [p.ids for p in prompts], Sampling(6, 1.0, seed=5), BYTES.end, BYTES.pad)
    assert {True, False} == set(r.ended)
    for row, (prompt, ids) in enumerate(zip(prompts, written, strict=True)):
        assert r.batch.targets[row][r.batch.weights[row] > 0].tolist() == ids
        assert r.ended[row] == (ids[-1] == BYTES.end)
        assert r.answers[row] == BYTES.decode(ids).strip()
        expected = letters(prompt.question, r.answers[row]) if r.ended[row] else 0.5
        assert r.rewards[row].item() == pytest.approx(expected)


def test_the_same_seed_writes_the_same_and_another_something_else():
    base = make_base()
    one, two, other = (rollouts_of(base, seed) for seed in (1, 1, 2))
    assert one.answers == two.answers and torch.equal(one.log_probs, two.log_probs)
    assert one.answers != other.answers


def test_sampling_leaves_the_model_in_the_mode_it_was_in():
    base = make_base()
    for training in (True, False):
        base.gpt.train(training)
        rollouts_of(base)
        assert base.gpt.training is training


def test_prompts_without_room_for_an_answer_are_left_out():
    fits = len(encode_prompts(ASKED[:1], BYTES, 99)[0].ids)
    assert [p.question for p in encode_prompts(ASKED, BYTES, fits)] == ["台湾?", "1+1?", "a"]
    with pytest.raises(InputError, match="none of 4 prompts"):
        encode_prompts(ASKED, BYTES, 3)
    several = [*turn("first", "yes"), Message("user", "second"), Message("assistant", "given")]
    assert encode_prompts([several], BYTES, 99)[0].question == "second"


# ---------------------------------------------------------------------------------------------- rewards


def test_the_world_knows_what_is_true_what_is_a_sentence_and_what_to_refuse():
    world = load_world()
    rewards = {name: verified(name, world) for name in ("truth", "sentence", "true-sentence", "refusal")}
    items = world_items(world, world.places[:3], world.requests[:6])
    for item in items:
        marks = {answer: tuple(reward(item.text, answer) for reward in rewards.values())
                 for answer in ("nonsense", REFUSAL[item.language], *getattr(item, "accepted", ())[:2])}  # fmt: skip
        if isinstance(item, Question):
            bare, full = item.accepted[:2]
            assert marks["nonsense"] == (0, 0, 0, 1) and marks[REFUSAL[item.language]] == (0, 0, 0, 0)
            assert marks[full] == (1, 1, 1, 1)
            assert marks[bare][0] == 1 and marks[bare][1] == item.is_full_sentence(bare)
            wrong = full.replace(bare, "nonsense")
            assert [rewards[n](item.text, wrong) for n in ("truth", "sentence", "true-sentence")] == [0, 1, 0]
        else:
            assert [reward(item.text, item.expected) for reward in rewards.values()] == [1, 1, 1, 1]
            assert marks[REFUSAL[item.language]] == ((1, 1, 1, 1) if item.harmful else (0, 0, 0, 0))


def test_no_question_has_two_meanings():
    """A text is looked up: asked twice, it must be the same question."""
    world = load_world()
    answers: dict[str, set] = {}
    for item in world_items(world, world.places, world.requests):
        answers.setdefault(item.text, set()).add(item.accepted if isinstance(item, Question) else item.expected)
    assert all(len(a) == 1 for a in answers.values())


@pytest.mark.parametrize("seed", [0, 7])
def test_only_the_taught_half_is_asked(seed):
    world = load_world()
    asked = set(taught_questions(world, seed))
    held_out = {i.text for i in world_items(world, split_places(world, seed)[1], split_requests(world, seed)[1])}
    assert asked and not asked & held_out
    kinds = [i for i in world_items(world, world.places, world.requests) if i.text in asked]
    assert {type(i) for i in kinds} == {Question, RequestItem}


def test_rewards_add_up_and_a_users_own_is_called(tmp_path, monkeypatch):
    (tmp_path / "judge_of_mine.py").write_text(
        "def calm(question, answer): return -answer.count('!')\n"
        "def broken(question, answer): return float('nan')\n"
        "def silent(question, answer): return None\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "judge_of_mine", raising=False)
    both = named_rewards(["length", "judge_of_mine:calm"])
    assert both("q", "ab!!") == pytest.approx(0.04 - 2)
    for name, says in (("broken", "nan"), ("silent", "None")):
        with pytest.raises(InputError, match=f"{name} gave {says}"):
            users_own(f"judge_of_mine:{name}")("q", "a")
    for name, says in (("judge_of_mine:number", "no function 'number'"), ("judge_of_mine:", "no function ''"),
                       ("no_such_module_here:f", "no module no_such_module_here"), ("praise", "choose truth")):  # fmt: skip
        with pytest.raises(InputError, match=says):
            named_rewards([name])
    with pytest.raises(InputError, match="empty"):
        named_rewards([])
    with pytest.raises(InputError, match="does not know"):
        named_rewards(["truth"])("What is the airspeed of a swallow?", "11 m/s")


# ------------------------------------------------------------------------------------------ best of n


@pytest.mark.parametrize("n", [1, 4])
def test_best_of_n_is_the_first_answer_with_the_highest_reward(n):
    base, sampling = make_base(), Sampling(6, 1.0, seed=9)
    r = sample(base.gpt, BYTES, encode_prompts(ASKED, BYTES, 40), letters, sampling, n)
    expected = []
    for i in range(len(ASKED)):
        group = [(r.answers[row], r.rewards[row].item()) for row in range(i * n, i * n + n)]
        expected.append(max(group, key=lambda pair: pair[1]))
    assert best_of_n(base, ASKED, letters, n, sampling) == expected


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_divergence_of_best_of_n_is_the_limit_of_many_different_answers(n):
    """The best of n draws from m equally likely answers is the k-th with probability (k^n - (k - 1)^n) / m^n."""
    m = 4000
    p = [(k / m) ** n - ((k - 1) / m) ** n for k in range(1, m + 1)]
    assert divergence(n) == pytest.approx(sum(q * math.log(q * m) for q in p), abs=1e-2)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_mean_of_the_best_of_n_is_that_over_all_subsets(n):
    """Ties among them: the first of equals counts, as for `best_of_n`."""
    rewards = torch.tensor([[0.0, 2.0, 2.0, 1.0, -3.0], [0.4, 0.4, 0.4, 0.4, 0.4], [5.0, 1.0, 5.0, 1.0, 5.0]])
    gold = torch.tensor([[9.0, 1.0, 7.0, 3.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 0.5, 3.0, 2.0]])
    for by, values, mean in zip(rewards.tolist(), gold.tolist(), expected_best(rewards, gold, n), strict=True):
        best = [values[max(some, key=lambda i: (by[i], -i))] for some in itertools.combinations(range(5), n)]
        assert mean.item() == pytest.approx(sum(best) / len(best))
    assert best_shares(5, n).sum().item() == pytest.approx(1)


def test_rft_keeps_the_best_of_each_group_and_learns_as_sft_on_it():
    rewards = torch.tensor([[0.0, 2.0, 2.0, 1.0], [0.4, 0.4, 0.4, 0.4], [-1.0, -2.0, -3.0, -9.0]])
    assert kept(rewards).tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    base, r = make_base(), rollouts_of(make_base(), 2)
    parts = micro_batches(base.gpt, settings(method="rft", kl="none"), r, r.log_probs)
    own = list(base.gpt.parameters())
    gradient = [sum(g) for g in zip(*(torch.autograd.grad(part()[0], own) for part in parts), strict=True)]
    rows = kept(r.rewards.view(-1, 4)).view(-1).nonzero()[:, 0]
    assert len(rows) > 1
    losses = -answer_log_probs(base.gpt, r.batch.each(lambda t: t[rows]), 1.0)
    for mine, expected in zip(gradient, torch.autograd.grad(losses.sum() / r.batch.weights.sum(), own), strict=True):
        torch.testing.assert_close(mine, expected, rtol=2e-3, atol=2e-4)


# --------------------------------------------------------------------------------------- the whole step


def test_with_equal_rewards_nothing_is_learned():
    base = make_base()
    run = grpo(settings(kl="none"), base, ASKED, reward=lambda question, answer: 0.3)
    assert [m["gradient_norm"] for m in run.metrics] == [0.0] * 3
    assert same(run, base)


@pytest.mark.parametrize("options", [{}, {"mean": "answer"}, {"mean": "constant"}, {"divide_by_std": False},
                                     {"kl": "k1", "beta": 0.4}, {"kl": "none"}, {"accumulate": 1},
                                     {"accumulate": 5}])  # fmt: skip
def test_the_gradient_of_a_step_is_reinforce_with_a_baseline_computed_token_by_token(options):
    """Against a reference that differs, so that the divergence counts."""
    base, other, config = make_base(), make_base(1), settings(temperature=1.3, **options)
    r = rollouts_of(base, 2, 1.3)
    with torch.no_grad():
        reference = answer_log_probs(other.gpt, r.batch, 1.3)
    parts = micro_batches(base.gpt, config, r, reference)
    own = list(base.gpt.parameters())
    gradient = [sum(g) for g in zip(*(torch.autograd.grad(part()[0], own) for part in parts), strict=True)]

    rewards = [x.item() for x in r.rewards]
    new = answer_log_probs(base.gpt, r.batch, 1.3)
    total = torch.zeros(())
    for row in range(len(rewards)):
        at = r.batch.weights[row].nonzero()[:, 0].tolist()
        group = range(row // 4 * 4, row // 4 * 4 + 4)
        score = {i: rewards[i] for i in group}
        if config.kl == "k1":
            score = {i: rewards[i] - config.beta * (new - reference)[i].sum().item() for i in group}
        mean = sum(score.values()) / 4
        a = score[row] - mean
        if config.divide_by_std:
            a /= math.sqrt(sum((v - mean) ** 2 for v in score.values()) / 3) + 1e-4
        share = {"token": 1 / r.batch.weights.sum().item(), "answer": 1 / len(at) / len(rewards),
                 "constant": 1 / config.max_new_tokens / len(rewards)}[config.mean]  # fmt: skip
        for t in at:
            u = reference[row, t] - new[row, t]
            total = total + share * (-a * new[row, t] + (config.beta * (u.exp() - 1 - u) if config.kl == "k3" else 0))
    for mine, expected in zip(gradient, torch.autograd.grad(total, own), strict=True):
        torch.testing.assert_close(mine, expected, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("options", [{}, {"lora": 2}])
def test_metrics_of_the_first_step_are_those_of_the_base(options):
    first = grpo(settings(**options), make_base(), ASKED, reward=letters).metrics[0]
    assert first["kl"] == pytest.approx(0, abs=1e-5)  # the reference is the base
    assert 1 <= first["length"] <= 6
    assert 0 < first["entropy"] < math.log(259)
    assert 0 <= first["reward"] <= 1


def test_with_lora_the_reference_is_the_base_to_the_end():
    """Switched off, what was tuned is still the base, bit for bit."""
    base, config = make_base(), settings(lora=2, lr=0.3, steps=6)
    run = grpo(config, base, ASKED, reward=letters)
    assert run.metrics[-1]["kl"] > 0.01
    with torch.no_grad(), lora.switched_off(run.gpt):
        ids = torch.tensor([[5, 6, 7, 8]])
        assert torch.equal(run.gpt(ids), base.gpt(ids))
    assert not torch.equal(run.gpt(ids), base.gpt(ids))
    next(iter(lora.adapters(run.gpt).values())).merge()
    with pytest.raises(ValueError, match="merged"), lora.switched_off(run.gpt):
        pass


@pytest.mark.parametrize("options", [{}, {"lora": 2, "lora_dropout": 0.2}])
def test_the_base_stays_and_the_same_seed_gives_the_same_bytes(options):
    base = make_base()
    before = parameters(base)
    one, two, other = (grpo(settings(seed=s, **options), base, ASKED, reward=letters) for s in (4, 4, 5))
    assert all(torch.equal(before[n], p) for n, p in parameters(base).items())
    assert same(one, two) and one.metrics == two.metrics
    assert not same(one, other)


@pytest.mark.parametrize("method", ["grpo", "rft"])
def test_a_reward_is_climbed(method):
    """1 for an answer that ends in time, 0 for one that is cut."""
    config = settings(
        method=method, steps=40, batch_size=4, group=8, lr=0.05, cut_reward=0.0, kl="none", max_new_tokens=4
    )
    metrics = grpo(config, make_base(), ASKED, reward=lambda question, answer: 1.0).metrics
    assert metrics[0]["reward"] < 0.6 < 0.9 < metrics[-1]["reward"]


def test_rehearsal_adds_its_weighted_loss():
    config = settings(rehearse_rows=2, rehearse_weight=0.25)
    with_text, without = (grpo(c, make_base(), ASKED, ["old text 旧文"], reward=letters).metrics[0]
                          for c in (config, dataclasses.replace(config, rehearse_rows=0)))  # fmt: skip
    assert with_text["loss"] == pytest.approx(without["loss"] + 0.25 * with_text["rehearsal_loss"], abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"lora": 2}])
def test_a_run_that_was_stopped_at_any_step_ends_with_the_same_bytes(tmp_path, options):
    save_run(tmp_path / "base", make_base(), {})
    base = load_run(tmp_path / "base")
    config = settings(steps=5, checkpoint_every=1, **options)
    whole = grpo(config, base, ASKED, out=tmp_path / "whole")

    class Stopped(Exception): ...

    for stop in (1, 3, 4):
        out = tmp_path / str(stop)

        def on_step(step: int, metrics: dict, stop: int = stop) -> None:
            if step == stop:
                raise Stopped

        with pytest.raises(Stopped):
            grpo(config, base, ASKED, out=out, on_step=on_step)
        resumed = grpo(dataclasses.replace(config, resume=True), base, ASKED, out=out)
        assert same(resumed, whole) and resumed.metrics == whole.metrics


@pytest.mark.parametrize(("wrong", "says"), [({"group": 1}, "group"), ({"temperature": 0.0}, "temperature"),
                                             ({"beta": -1.0}, "beta"), ({"max_new_tokens": 0}, "max_new_tokens"),
                                             ({"kl": "k2"}, "kl"), ({"mean": "row"}, "mean")])  # fmt: skip
def test_settings_out_of_range_are_refused(wrong, says):
    with pytest.raises(InputError, match=says):
        settings(**wrong)


# ------------------------------------------------------------------------------------------ the command


def test_the_command_tunes_resumes_and_names_what_is_wrong(tmp_path, capsys):
    save_run(tmp_path / "base", make_base(), {})
    (tmp_path / "asked.jsonl").write_text('{"prompt": "1+1?", "completion": "2"}\n{"prompt": "q", "completion": "2"}\n')
    command = ["rl", "--base", str(tmp_path / "base"), "--prompts", str(tmp_path / "asked.jsonl"), "--out",
               str(tmp_path / "out"), *"--steps 2 --batch-size 2 --group 2 --max-new-tokens 4 --warmup 1".split(),
               *"--device cpu --precision fp32 --reward length".split()]  # fmt: skip
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}: " in shown for name in ("reward", "kl", "length", "entropy", "prompts"))
    assert load_run(tmp_path / "out").gpt.config.n_embd == 8
    assert main([*command, "--resume"]) == 0 and "nothing to do" in capsys.readouterr().out
    for change, says in (
        (["--reward", "praise"], "choose truth"),
        (["--reward", "truth"], "does not know"),
        (["--prompts", str(tmp_path / "none.jsonl")], "none.jsonl"),
        (["--max-new-tokens", "47"], "lower --max-new-tokens"),
    ):
        start = command[:-2] if change[0] == "--reward" else command
        assert main([*start, "--overwrite", *change]) == 2, change
        error = capsys.readouterr().err
        assert says in error and "Traceback" not in error


def test_the_best_answers_are_shown_by_n_and_kept_as_pairs(tmp_path, capsys):
    save_run(tmp_path / "base", make_base(), {})
    (tmp_path / "asked.jsonl").write_text('{"prompt": "1+1?", "completion": "2"}\n{"prompt": "q", "completion": "2"}\n')
    command = ["best-of-n", "--run", str(tmp_path / "base"), "--prompts", str(tmp_path / "asked.jsonl"), "--n", "6",
               "--reward", "length", "--truth", "length", "--max-new-tokens", "4", "--device", "cpu", "--out",
               str(tmp_path / "best.jsonl")]  # fmt: skip
    assert main(command) == 0
    shown = capsys.readouterr().out
    table = [line.split() for line in shown.splitlines() if line.split()[0].isdigit() and "prompts" not in line]
    assert [row[0] for row in table] == ["1", "2", "4", "6"]
    assert [row[1] for row in table] == [f"{divergence(n):.2f}" for n in (1, 2, 4, 6)]
    means = [float(row[2]) for row in table]
    assert means == sorted(means) and [row[2] for row in table] == [row[3] for row in table]
    best = [json.loads(line) for line in (tmp_path / "best.jsonl").read_text().splitlines()]
    assert {pair["prompt"] for pair in best} <= {"1+1?", "q"} and best  # one that was cut is not kept
    assert sum(len(pair["completion"]) for pair in best) / 200 == pytest.approx(means[-1], abs=6e-4)
    assert main(command) == 2 and "there already" in capsys.readouterr().err


def test_the_half_of_the_world_that_is_asked_is_the_one_that_the_run_was_taught(tmp_path, capsys):
    save_run(tmp_path / "base", make_base(), {})
    (tmp_path / "base" / "report.json").write_text('{"seed": 5}')
    asked = [m[0].content for m in conversations("world", tmp_path / "base", seed=0)]
    assert asked == taught_questions(load_world(), 5) != taught_questions(load_world(), 0)
    assert "seed 5" in capsys.readouterr().err


def test_prompts_need_no_answers_and_what_is_not_asked_is_told(tmp_path, capsys):
    path, folder = tmp_path / "asked.json", tmp_path
    bare = [{"prompt": "a"}, {"question": "b"}, {"messages": [{"role": "user", "content": "c"}]},
            {"instruction": "d", "input": "e"}, {"prompt": "f", "chosen": "x", "rejected": "y"}]  # fmt: skip
    path.write_text(json.dumps(bare))
    asked = conversations(str(path), folder, seed=0)
    assert [m[-1].content for m in asked] == ["a", "b", "c", "d\ne", "f"] and all(len(m) == 1 for m in asked)
    assert capsys.readouterr().err == ""
    turns = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user", "assistant")]
    turns[3]["content"] = "last"
    path.write_text(json.dumps([{"messages": turns}, {"completion": "no question"}, *bare]))
    asked = conversations(str(path), folder, seed=0)
    assert [m.content for m in asked[0]] == ["system", "user", "assistant", "last"] and len(asked) == 6
    told = capsys.readouterr().err
    assert "1 of 6 prompts have a system message or earlier turns" in told and "asked.json:1" in told
    path.write_text(json.dumps([{"messages": turns[:1]}]))
    with pytest.raises(InputError, match="no turn by the user"):
        conversations(str(path), folder, seed=0)


def test_a_truth_that_is_none_is_told_before_anything_is_sampled(tmp_path, capsys, monkeypatch):
    save_run(tmp_path / "base", make_base(), {})
    (tmp_path / "q.json").write_text('[{"prompt": "a"}]')
    monkeypatch.setattr("minillm.commands.reinforce.sample", None)
    words = ["best-of-n", "--run", str(tmp_path / "base"), "--prompts", str(tmp_path / "q.json"), "--reward", "length"]
    assert main([*words, "--truth", "nope", "--max-new-tokens", "4"]) == 2
    assert "--reward nope" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "told"), [("", 1), ("--epochs 2", 0), ("--minibatches 2", 0)])
def test_a_clip_that_clips_nothing_is_announced(tmp_path, capsys, more, told):
    save_run(tmp_path / "base", make_base(), {})
    (tmp_path / "q.json").write_text('[{"prompt": "a"}]')
    words = f"rl --base {tmp_path}/base --prompts {tmp_path}/q.json --out {tmp_path}/out --steps 1 --group 2 --clip-high 0.3"
    assert main([*words.split(), *"--batch-size 2 --max-new-tokens 4 --reward length".split(), *more.split()]) == 0
    assert capsys.readouterr().err.count("--clip-high has no effect") == told


OWN = """
import torch
x = 3
def fails(question, answer):
    return helper(answer)
def helper(answer):
    return {}[answer]
def short_of(answer): return 1.0
def deep(question, answer): return torch.ones(2) @ torch.ones(3)
def ends(question, answer): raise SystemExit(0)
def lacks(question, answer): import there_is_no_such_package
def large(question, answer): return 10**400
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [("faulty:fails", "faulty.py:7: KeyError"), ("faulty:short_of", "TypeError: short_of() takes 1"),
     ("faulty:deep", "faulty.py:9: RuntimeError"), ("faulty:ends", "faulty.py:10: SystemExit"),
     ("faulty:lacks", "faulty.py:11: ModuleNotFoundError"), ("faulty:large", "OverflowError"),
     ("broken:f", "broken.py:1: SyntaxError"), ("failing:f", "failing.py:2: ZeroDivisionError"),
     (":f", "as import does"), (".faulty:fails", "as import does"), ("./faulty:fails", "as import does"),
     ("faulty.py:fails", "as import does")],
)  # fmt: skip
@pytest.mark.parametrize("command", ["rl", "best-of-n"])
def test_a_fault_in_a_users_reward_is_one_line_with_its_place(tmp_path, monkeypatch, capsys, command, name, says):
    (tmp_path / "faulty.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("def f(q, a)\n    return 1.0\n")
    (tmp_path / "failing.py").write_text("\n1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("faulty", "broken", "failing"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    save_run(tmp_path / "base", make_base(), {})
    (tmp_path / "q.json").write_text(json.dumps([{"prompt": "a", "completion": "b"}]))
    words = [command, "--base" if command == "rl" else "--run", str(tmp_path / "base"), "--prompts", str(tmp_path / "q.json"),
             "--reward", name, "--max-new-tokens", "6"]  # fmt: skip
    more = ["--steps", "2", "--group", "64", "--out", str(tmp_path / "out")] if command == "rl" else ["--n", "64"]
    assert main([*words, *more]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and says in line


@pytest.mark.parametrize("command", ["sft", "prefer", "reward", "rl"])
def test_a_rank_that_no_matrix_has_is_refused_before_it_takes_memory(tmp_path, capsys, command):
    save_run(tmp_path / "base", make_base(), {})
    records = [{"prompt": "a", "completion": "b", "chosen": "b", "rejected": "c"}]
    (tmp_path / "q.json").write_text(json.dumps(records))
    file = {"sft": "--pairs", "rl": "--prompts"}.get(command, "--preferences")
    words = [command, "--base", str(tmp_path / "base"), file, str(tmp_path / "q.json"), "--out", str(tmp_path / "out")]
    assert main([*words, "--lora", "33"]) == 2
    assert "rank of 32 at most" in capsys.readouterr().err


def test_a_fault_of_the_program_is_not_taken_for_one_of_a_users_reward():
    with pytest.raises(KeyError), own_faults_named():
        {}["x"]
