"""PPO, and several updates from the same answers: each equation against its value computed another way."""

import dataclasses
import itertools
import math

import pytest
import torch

from minillm.__main__ import main
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.plumbing.files import InputError
from minillm.run_folder import load_run, save_run
from minillm.stage3_preference.grpo import clip_share, clipped, grpo
from minillm.stage3_preference.ppo import (
    PPOConfig,
    ValueHead,
    gae,
    judged,
    losses,
    ppo,
    token_rewards,
    value_loss,
    valued,
    whitened,
)
from minillm.stage3_preference.rollouts import answer_log_probs
from minillm.stage3_preference.rounds import Kept, Rounds
from tests.test_rl import ASKED, letters, make_base, parameters, rollouts_of, same
from tests.test_rl import settings as grpo_settings


def settings(**options) -> PPOConfig:
    tiny = dict(method="ppo", steps=6, batch_size=3, lr=0.01, warmup=1, group=2, max_new_tokens=6, precision="fp32",
                device="cpu", reward=("length",), cut_reward=0.3, clip=1e9)  # fmt: skip
    return PPOConfig(**tiny | options)


# --------------------------------------------------------------------------------------- the equations


def test_gae_has_the_values_computed_by_hand():
    """Three tokens with values 1, 2, 4 and rewards 0, 1, 10, γ = 0.5, λ = 0.5; a row that begins later, one of one."""
    rewards = torch.tensor([[0.0, 1.0, 10.0], [9.0, 1.0, 10.0], [0.0, 3.0, 9.0]])
    values = torch.tensor([[1.0, 2.0, 4.0], [7.0, 2.0, 4.0], [7.0, 5.0, 7.0]])
    weights = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    a = gae(rewards, values, weights, 0.5, 0.5)
    # δ = (0 + 1 - 1, 1 + 2 - 2, 10 - 4) = (0, 1, 6); A = (0 + 2.5 / 4, 1 + 6 / 4, 6)
    assert a.tolist() == [[0.625, 2.5, 6.0], [0.0, 2.5, 6.0], [0.0, -2.0, 0.0]]


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_gae_is_what_came_less_the_value_at_lambda_1_and_the_error_of_one_step_at_0(gamma):
    g = torch.Generator().manual_seed(3)
    rewards, values = torch.randn(2, 4, 9, dtype=torch.float64, generator=g).unbind()
    weights = torch.tensor(
        [[float(begin <= t < end) for t in range(9)] for begin, end in ((0, 9), (2, 8), (8, 9), (4, 6))]
    )
    whole, one = gae(rewards, values, weights.double(), gamma, 1.0), gae(rewards, values, weights.double(), gamma, 0.0)
    for row in range(4):
        at = weights[row].nonzero()[:, 0].tolist()
        for i, t in enumerate(at):
            came = sum(gamma**k * rewards[row, s].item() for k, s in enumerate(at[i:]))
            assert whole[row, t].item() == pytest.approx(came - values[row, t].item())
            after = values[row, t + 1].item() if t + 1 in at else 0.0
            assert one[row, t].item() == pytest.approx((rewards[row, t] - values[row, t]).item() + gamma * after)
    assert not (whole * (1 - weights)).any() and not (one * (1 - weights)).any()


def test_the_reward_is_at_the_last_token_and_the_divergence_at_each():
    weights = torch.tensor([[0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    sampled, reference = torch.full((2, 4), -1.0), torch.full((2, 4), -1.5)
    rewards = token_rewards(torch.tensor([2.0, -3.0]), sampled, reference, weights, 0.1)
    torch.testing.assert_close(rewards, torch.tensor([[0, -0.05, 1.95, 0], [-0.05, -0.05, -0.05, -3.05]]))
    torch.testing.assert_close(rewards.sum(-1), torch.tensor([2 - 0.1 * 1.0, -3 - 0.1 * 2.0]))


def test_the_losses_are_the_published_equations_in_float64():
    """TRL's PPO (masked_whiten without Bessel's correction, clipped ratio and value, mean over tokens), written again."""
    g = torch.Generator().manual_seed(8)
    new, old, adv, v, v_old, ret = (torch.randn(5, 7, dtype=torch.float64, generator=g) * 0.4 for _ in range(6))
    mask = torch.rand(5, 7, dtype=torch.float64, generator=g).round()
    mean = (adv * mask).sum() / mask.sum()
    var = (((adv - mean) ** 2) * mask).sum() / mask.sum()
    white = whitened(adv, mask)
    torch.testing.assert_close(white, (adv - mean) * torch.rsqrt(var + 1e-12) * mask, rtol=1e-5, atol=1e-7)
    ratio = torch.exp(new - old)
    first, second = -white * ratio, -white * torch.clamp(ratio, 1 - 0.2, 1 + 0.3)
    assert torch.equal(clipped(new, old, white, 0.2, 0.3), torch.max(first, second))
    assert torch.equal(clip_share(new, old, white, 0.2, 0.3) * mask, (second > first).double() * mask)
    near = torch.clamp(v, v_old - 0.2, v_old + 0.2)
    expected = 0.5 * torch.max(torch.square(v - ret), torch.square(near - ret))
    assert torch.equal(value_loss(v, v_old, ret, 0.2), expected)


# ---------------------------------------------------------------------------------------- the whole update


def with_head(base, seed: int = 0) -> ValueHead:
    head = ValueHead(base.gpt.config.n_embd, 2.0)
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(seed))
        head.bias.fill_(0.3)
    head.listen(base.gpt)
    return head


def gradient_of(base, head, config, r, reference) -> list[torch.Tensor]:
    parts = losses(base.gpt, head, config, valued(base.gpt, head, config, r, reference))
    own = [*base.gpt.parameters(), *head.parameters()]
    return [sum(g) for g in zip(*(torch.autograd.grad(part()[0], own) for part in parts), strict=True)]


@pytest.mark.parametrize("options", [{}, {"accumulate": 1}, {"accumulate": 5}, {"kl": "none"}, {"value_clip": 0.0}])
def test_where_the_policy_is_the_one_that_sampled_the_gradient_is_reinforce_with_a_baseline(options):
    """λ = 1: what came from each token on, less what the head expected there; nothing flows from the head."""
    base, other = make_base(), make_base(1)
    config = settings(gae_lambda=1.0, whiten=False, beta=0.4, temperature=1.3, value_weight=0.7, **options)
    head, r = with_head(base), rollouts_of(make_base(), 2, 1.3)
    with torch.no_grad():
        reference = answer_log_probs(other.gpt, r.batch, 1.3)
    mine = gradient_of(base, head, config, r, reference)

    new, values, _ = judged(base.gpt, head, r.batch, 1.3)
    policy, value, tokens = torch.zeros(()), torch.zeros(()), r.batch.weights.sum().item()
    for row, score in enumerate(r.rewards.tolist()):
        at = r.batch.weights[row].nonzero()[:, 0].tolist()
        paid = [-(0.4 if config.kl != "none" else 0.0) * (r.log_probs - reference)[row, t].item() for t in at]
        paid[-1] += score
        for i, t in enumerate(at):
            came = sum(paid[i:])
            policy = policy - (came - values[row, t].item()) * new[row, t] / tokens
            value = value + 0.7 * 0.5 * (values[row, t] - came) ** 2 / tokens
    own = [*base.gpt.parameters(), *head.parameters()]
    expected = torch.autograd.grad(policy + value, own)
    for a, b in zip(mine, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=3e-4)
    only_policy = torch.autograd.grad(judged(base.gpt, head, r.batch, 1.3)[1].sum(), own, allow_unused=True)
    assert all(g is None for g in only_policy[:-2]) and all(g is not None for g in only_policy[-2:])


def test_gradients_are_those_of_finite_differences_on_a_model_of_two_tokens():
    """Away from ratio 1, where some tokens are clipped; entropy counts too."""
    torch.manual_seed(0)
    gpt = GPT(GPTConfig(n_vocab=2, n_ctx=8, n_layer=1, n_head=1, n_embd=4), 3).double()
    gpt.cos, gpt.sin = gpt.cos.double(), gpt.sin.double()
    with torch.no_grad():
        for p in gpt.parameters():
            p.add_(torch.randn(p.shape, dtype=p.dtype) * 0.5)
    logits = gpt(torch.tensor([[0, 1, 1, 0]]))  # (1, 4) -> (1, 4, 2)
    targets, advantages = torch.tensor([[1, 1, 0, 0]]), torch.tensor([[1.5, -0.7, 0.4, -1.1]], dtype=torch.float64)
    old = logits.detach().log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    old = old + torch.tensor([[-0.5, 0.1, 0.05, 0.6]], dtype=torch.float64)

    def loss() -> torch.Tensor:
        log_p = gpt(torch.tensor([[0, 1, 1, 0]])).log_softmax(-1)
        entropy = -(log_p.exp() * log_p).sum(-1)
        return (clipped(log_p.gather(-1, targets[..., None])[..., 0], old, advantages) - 0.1 * entropy).sum()

    own = list(gpt.parameters())
    for p, gradient in zip(own, torch.autograd.grad(loss(), own), strict=True):
        for i in range(0, p.numel(), 3):
            flat, eps = p.data.view(-1), 1e-3
            at = flat[i].item()
            around = []
            for x in (at - 2 * eps, at - eps, at + eps, at + 2 * eps):
                flat[i] = x
                around.append(loss().item())
            flat[i] = at
            slope = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * eps)
            assert gradient.view(-1)[i].item() == pytest.approx(slope, rel=2e-3, abs=2e-4)


# ----------------------------------------------------------------------------------- rounds of updates


def test_the_ratio_leaves_1_in_the_updates_after_the_first():
    metrics = ppo(settings(epochs=3, lr=0.1, steps=6), make_base(), ASKED, reward=letters).metrics
    assert [m["clip_share"] > 0 for m in metrics[::3]] == [False, False]
    assert any(m["clip_share"] > 0 for m in metrics[1:3])
    rewards = [m["reward"] for m in metrics]
    assert rewards[1:3] == pytest.approx([rewards[0]] * 2) and abs(rewards[3] - rewards[0]) > 1e-3


def test_the_minibatches_of_an_epoch_are_all_answers_once():
    config, model, begun = settings(minibatches=3, epochs=2), make_base().gpt, []
    rounds = Rounds(config, lambda model, prompts, seed: begun.append(prompts) or seed, lambda model: 0.0, {})
    rounds.attach(model)
    updates = [rounds.update(model, [9, 8, step]) for step in range(13)]
    assert begun == [[9, 8, 0], [9, 8, 6], [9, 8, 12]]
    for first in (0, 3, 6, 9):
        rows = [row for _, part in updates[first : first + 3] for row in part.tolist()]
        assert sorted(rows) == list(range(6)) and len({seed for seed, _ in updates[first : first + 3]}) == 1
    assert updates[0][1].tolist() != updates[3][1].tolist()


@pytest.mark.parametrize("method", ["grpo", "ppo"])
@pytest.mark.parametrize("options", [{}, {"lora": 2, "lora_dropout": 0.2}])
def test_a_run_that_was_stopped_within_a_round_ends_with_the_same_bytes(tmp_path, method, options):
    save_run(tmp_path / "base", make_base(), {})
    base = load_run(tmp_path / "base")
    make, learn = (settings, ppo) if method == "ppo" else (grpo_settings, grpo)
    config = make(steps=7, epochs=2, minibatches=2, checkpoint_every=1, **options)
    whole = learn(config, base, ASKED, out=tmp_path / "whole")

    class Stopped(Exception): ...

    for stop in (1, 2, 4, 6):

        def on_step(step: int, metrics: dict, stop: int = stop) -> None:
            if step == stop:
                raise Stopped

        out = tmp_path / str(stop)
        with pytest.raises(Stopped):
            learn(config, base, ASKED, out=out, on_step=on_step)
        resumed = learn(dataclasses.replace(config, resume=True), base, ASKED, out=out)
        assert same(resumed, whole) and resumed.metrics == whole.metrics
        assert same(load_run(out), whole)


@pytest.mark.parametrize("at", [0, 1, 3, 4])
def test_an_update_that_was_interrupted_is_not_counted_twice(tmp_path, monkeypatch, at):
    """Ctrl-C after an update has begun: what is saved knows of it already."""
    save_run(tmp_path / "base", make_base(), {})
    base, config = load_run(tmp_path / "base"), settings(steps=6, epochs=3, checkpoint_every=100)
    whole, out = ppo(config, base, ASKED, reward=letters), tmp_path / "out"
    update, calls = Rounds.update, itertools.count()

    def interrupted(self, model, drawn):
        found = update(self, model, drawn)
        if next(calls) == at:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Rounds, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ppo(config, base, ASKED, out=out, reward=letters)
    assert same(ppo(dataclasses.replace(config, resume=True), base, ASKED, out=out, reward=letters), whole)


def test_what_only_learning_needs_is_not_saved(tmp_path):
    base = make_base()
    run = ppo(settings(epochs=2), base, ASKED, out=tmp_path / "out", reward=letters)
    assert parameters(run).keys() == parameters(base).keys() and not same(run, base)
    assert not run.gpt.lm_head._forward_pre_hooks
    assert run.report["trained_parameters"] == sum(p.numel() for p in base.gpt.parameters()) + 8 + 1
    assert {"before", "after"} == run.report["validation"].keys()
    assert same(load_run(tmp_path / "out"), run)


def test_the_policy_that_sampled_is_in_place_only_for_a_while():
    base = make_base()
    kept = Kept(base.gpt, 3)
    old = parameters(base)
    with torch.no_grad():
        for p in base.gpt.parameters():
            p.add_(1)
    new = parameters(base)
    with pytest.raises(RuntimeError), kept.in_place():
        assert all(torch.equal(p, old[n]) for n, p in parameters(base).items())
        raise RuntimeError
    assert all(torch.equal(p, new[n]) for n, p in parameters(base).items())


@pytest.mark.parametrize("group", [1, 8])
def test_a_reward_is_climbed_and_expected(group):
    """1 for an answer that ends in time, 0 for one that is cut; the value head comes to know it."""
    config = settings(steps=80, batch_size=32 // group, group=group, lr=0.03, cut_reward=0.0, kl="none", epochs=2,
                      max_new_tokens=4)  # fmt: skip
    run = ppo(config, make_base(), ASKED, reward=lambda question, answer: 1.0)
    assert run.metrics[0]["reward"] < 0.6 < 0.9 < run.metrics[-1]["reward"]
    assert run.metrics[-1]["value_loss"] < 0.5 * run.metrics[0]["value_loss"]
    assert run.report["validation"]["after"] >= run.report["validation"]["before"]


@pytest.mark.parametrize(("wrong", "says"), [({"gamma": 1.1}, "gamma"), ({"gae_lambda": -0.1}, "gae_lambda"),
                                             ({"epochs": 0}, "epochs"), ({"minibatches": 7}, "minibatches"),
                                             ({"clip_low": 1.2}, "clip_low"), ({"clip_high": -1.0}, "clip_high"),
                                             ({"entropy_weight": -1.0}, "entropy_weight"),
                                             ({"method": "grpo", "group": 1}, "group")])  # fmt: skip
def test_settings_out_of_range_are_refused(wrong, says):
    with pytest.raises(InputError, match=says):
        settings(**wrong)


def test_the_command_learns_by_ppo(tmp_path, capsys):
    save_run(tmp_path / "base", make_base(), {})
    (tmp_path / "asked.jsonl").write_text('{"prompt": "1+1?", "completion": "2"}\n{"prompt": "q", "completion": "2"}\n')
    command = ["rl", "--method", "ppo", "--base", str(tmp_path / "base"), "--prompts", str(tmp_path / "asked.jsonl"),
               "--out", str(tmp_path / "out"), *"--steps 4 --batch-size 2 --group 1 --max-new-tokens 4".split(),
               *"--epochs 2 --device cpu --precision fp32 --reward length --mean answer".split()]  # fmt: skip
    assert main(command) == 0
    shown = capsys.readouterr()
    assert all(f"{name}: " in shown.out for name in ("reward", "kl", "value_loss", "clip_share", "prompts"))
    assert "--mean has no effect" in shown.err + shown.out
    assert load_run(tmp_path / "out").gpt.config.n_embd == 8
    assert math.isfinite(load_run(tmp_path / "out").gpt.tok_emb.weight.sum().item())
