"""The loop that all stages share: what a step does to the weights, and that nothing else leaks out of it."""

import copy
import math
import signal
import threading

import pytest
import torch
from torch.nn import functional as F

from minillm import checkpoint, lora
from minillm.batching import Batch
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config
from minillm.measure.drift import parameter_drift
from minillm.plumbing.devices import pick_device, uses_bf16
from minillm.plumbing.tensors import read_tensors
from minillm.session import TrainingError
from minillm.settings import TrainConfig
from minillm.training import mean_loss, train

CPU = torch.device("cpu")


def tiny(seed: int = 0, **options) -> GPT:
    return GPT(GPTConfig(**dict(n_vocab=13, n_ctx=8, n_layer=2, n_head=2, n_embd=8) | options), seed)


def settings(**options) -> TrainConfig:
    return TrainConfig(**dict(steps=5, batch_size=3, lr=0.01, warmup=2, precision="fp32", accumulate=1) | options)


def random_batch(rows: int, seed: int = 0, lengths: list[int] | None = None) -> Batch:
    """Rows in which only the first targets count, as many as `lengths` says."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(13, (rows, 9), generator=generator)
    lengths = lengths or [8] * rows
    weights = (torch.arange(8) < torch.tensor(lengths)[:, None]).float()
    return Batch(ids[:, :-1], ids[:, 1:], weights)


def objective(model: GPT, config: TrainConfig, **options):
    return lambda step: mean_loss(model, random_batch(config.batch_size, step), config, **options)


def gradients(model: GPT, losses) -> dict[str, torch.Tensor]:
    model.zero_grad()
    for loss in losses:
        loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters()}


def computed(micro_batches) -> list[tuple[torch.Tensor, dict[str, float]]]:
    return [micro_batch() for micro_batch in micro_batches]


def weights(model: GPT) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in model.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


# ---------------------------------------------------------------------------- loss and accumulation


def test_the_loss_is_the_mean_over_all_tokens_that_count():
    model, batch = tiny(), random_batch(3, lengths=[8, 1, 4])
    with torch.no_grad():
        log_p = model(batch.ids).log_softmax(-1)
        each = [-log_p[r, t, batch.targets[r, t]] for r, n in enumerate([8, 1, 4]) for t in range(n)]
        ((loss, facts),) = computed(mean_loss(model, batch, settings(), "answer_loss"))
    assert loss.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-6)
    assert facts == {"tokens": 24, "answer_loss": loss.item()}


def test_the_weight_scales_the_loss_but_not_the_figure_that_is_shown():
    model, batch = tiny(), random_batch(2)
    ((plain, _),) = computed(mean_loss(model, batch, settings()))
    ((scaled, facts),) = computed(mean_loss(model, batch, settings(), "rehearsal_loss", weight=0.25))
    assert scaled.item() == pytest.approx(plain.item() / 4)
    assert facts["rehearsal_loss"] == pytest.approx(plain.item())


@pytest.mark.parametrize("micro_batches", [2, 3, 4, 5, 9])
def test_micro_batches_of_uneven_token_counts_give_the_gradient_of_the_whole_batch(micro_batches):
    model, lengths = tiny().double(), [8, 7, 1, 1, 2]
    batch = random_batch(5, lengths=lengths)
    whole = gradients(model, [loss for loss, _ in computed(mean_loss(model, batch, settings()))])
    parts = computed(mean_loss(model, batch, settings(accumulate=micro_batches), "x"))
    added = gradients(model, [loss for loss, _ in parts])
    for name in whole:
        torch.testing.assert_close(added[name], whole[name], rtol=1e-5, atol=1e-8)
    assert sum(facts["tokens"] for _, facts in parts) == 5 * 8

    # the mistake this guards against: these data tell a mean of means from the mean
    rows = [F.cross_entropy(model(p.ids)[p.weights > 0], p.targets[p.weights > 0]) for p in batch.split(micro_batches)]
    naive = gradients(model, [loss / len(rows) for loss in rows])
    assert max((naive[n] - whole[n]).abs().max() for n in whole) > 1e-3


def test_accumulation_trains_the_same_model():
    a, b = tiny(), tiny()
    for model, config in ((a, settings()), (b, settings(accumulate=3))):
        train(model, objective(model, config), config)
    for name, w in weights(a).items():
        torch.testing.assert_close(weights(b)[name], w, rtol=0, atol=1e-5)


# ----------------------------------------------------------------------------------------- clipping


@pytest.mark.parametrize(("length", "expected"), [(0.5, 0.5), (1.0, 1.0), (1.5, 1.0), (400.0, 1.0)])
def test_clipping_shortens_only_a_longer_gradient_and_keeps_its_direction(length, expected, monkeypatch):
    model = tiny()
    direction = {n: torch.randn_like(p) for n, p in model.named_parameters()}
    norm = math.sqrt(sum(d.square().sum() for d in direction.values()))
    seen = {}

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            seen.update({n: p.grad.clone() for n, p in model.named_parameters()})

    monkeypatch.setattr("minillm.training.make_optimizers", lambda *_: [Spy(model.parameters(), lr=1.0)])

    def linear(step):
        yield lambda: (sum((p * direction[n]).sum() for n, p in model.named_parameters()) * (length / norm), {})

    (metrics,) = train(model, linear, settings(steps=1, clip=1.0))
    assert metrics["gradient_norm"] == pytest.approx(length, rel=1e-5)
    for name, d in direction.items():
        torch.testing.assert_close(seen[name], d * (expected / norm), rtol=1e-4, atol=1e-7)


# ------------------------------------------------------------------------------------ the loop itself


def test_metrics_have_one_line_a_step_and_on_step_sees_each():
    model, config, seen = tiny(), settings(steps=7, final_lr=0.1), []
    history = train(model, objective(model, config), config, on_step=lambda step, m: seen.append((step, dict(m))))
    assert [m["step"] for m in history] == list(range(1, 8))
    assert seen == [(m["step"], m) for m in history]
    assert all({"loss", "lr", "gradient_norm", "tokens"} <= m.keys() for m in history)
    assert [history[i]["lr"] for i in (0, 1, 6)] == pytest.approx([0.005, 0.01, 0.001])
    assert history[0]["tokens"] == 24
    assert history[0]["loss"] == pytest.approx(math.log(13), abs=0.1)


def test_the_loss_of_a_step_is_the_sum_of_its_micro_batches():
    model = tiny()

    def three_micro_batches(step):
        for value in (1.0, 2.0, 4.0):
            yield lambda value=value: (model.tok_emb.weight.sum() * 0 + value, {"pairs": 1})

    (metrics,) = train(model, three_micro_batches, settings(steps=1))
    assert metrics["loss"] == 7.0
    assert metrics["pairs"] == 3


def test_gradients_of_one_step_do_not_leak_into_the_next():
    model, norms = tiny(), []

    def constant_slope(step):
        yield lambda: (model.norm.weight.sum(), {})

    config = settings(steps=3, lr=1e-9, clip=1e9)
    train(model, constant_slope, config, on_step=lambda _, m: norms.append(m["gradient_norm"]))
    assert norms == pytest.approx([math.sqrt(8)] * 3)


def test_the_model_trains_in_training_mode_and_is_left_ready_to_use():
    model, modes = tiny().eval(), []
    config = settings(steps=2)

    def watched(step):
        modes.append(model.training)
        model.train(step > 0)  # in the first step like a validation that leaves the model in the other mode
        yield from mean_loss(model, random_batch(3), config)

    train(model, watched, config)
    assert modes == [True, True]
    assert not model.training


def test_training_lowers_the_loss_on_a_batch_seen_again_and_again():
    for options in ({}, {"muon_lr": 0.02}):
        model, config = tiny(), settings(steps=40, lr=0.02, **options)
        history = train(model, lambda step, m=model, c=config: mean_loss(m, random_batch(3), c), config)
        assert history[-1]["loss"] < 0.6 * history[0]["loss"]


@pytest.mark.parametrize("options", [{}, {"muon_lr": 0.02, "weight_decay": 0.1}, {"accumulate": 2}])
def test_the_same_seed_gives_the_same_bytes(options):
    results = []
    for _ in range(2):
        model, config = tiny(), settings(**options)
        history = train(model, objective(model, config), config)
        results.append((weights(model), history))
    assert same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def trained_with_dropout(seed: int) -> dict[str, torch.Tensor]:
    model, config = tiny(), settings(seed=seed)
    lora.inject(model, lora.LoRAConfig(rank=2, dropout=0.5), seed=0)
    train(model, objective(model, config), config)
    return weights(model)


def test_the_seed_decides_what_dropout_drops():
    torch.manual_seed(11)
    first = trained_with_dropout(seed=1)
    torch.manual_seed(22)  # what the caller did with the random generator does not matter
    assert same(first, trained_with_dropout(seed=1))
    assert not same(first, trained_with_dropout(seed=2))


def test_training_leaves_the_global_random_state_as_it_was():
    model, config = tiny(), settings()
    lora.inject(model, lora.LoRAConfig(rank=2, dropout=0.5))
    torch.manual_seed(33)
    before = torch.get_rng_state()
    train(model, objective(model, config), config)
    assert torch.equal(torch.get_rng_state(), before)


def test_frozen_parameters_stay_and_collect_no_gradient():
    model, config = tiny(tied=False), settings()
    model.tok_emb.requires_grad_(False)
    before = weights(model)
    train(model, objective(model, config), config)
    after = weights(model)
    assert torch.equal(before["tok_emb.weight"], after["tok_emb.weight"])
    assert model.tok_emb.weight.grad is None
    assert not torch.equal(before["lm_head.weight"], after["lm_head.weight"])


# ------------------------------------------------------------------------------- when something breaks


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_breaks_off_and_names_the_step(bad):
    model, seen = tiny(), []

    def breaks_at_three(step):
        yield lambda: (model.norm.weight.sum() * (bad if step == 2 else 1.0), {})

    with pytest.raises(TrainingError, match=r"step 3\b"):
        train(model, breaks_at_three, settings(), on_step=lambda step, _: seen.append(step))
    assert seen == [1, 2]
    assert all(p.isfinite().all() for p in model.parameters())  # the broken step was not applied


def test_a_gradient_that_is_no_number_breaks_off_too():
    model = tiny()

    def root_of_zero(step):
        yield lambda: ((model.norm.weight * 0).sqrt().sum(), {})  # 0, but its slope is infinite

    with pytest.raises(TrainingError, match="step 1"):
        train(model, root_of_zero, settings())
    assert all(p.isfinite().all() for p in model.parameters())


def interrupted_at(step_to_stop: int, inner, late: bool = False):
    """An objective during which Ctrl-C is pressed: at the beginning of a step or when it is computed."""

    def broken(step):
        if step == step_to_stop and not late:
            raise KeyboardInterrupt
        yield from inner(step)
        if step == step_to_stop:
            raise KeyboardInterrupt

    return broken


def test_ctrl_c_saves_what_was_learned(tmp_path):
    model, config = tiny(), settings()
    with pytest.raises(KeyboardInterrupt):
        train(model, interrupted_at(3, objective(model, config)), config, tmp_path)
    newest = checkpoint.newest(tmp_path)
    assert newest.name == "step-000003"
    saved = read_tensors(newest / "model.safetensors")
    assert all(torch.equal(saved[n], w) for n, w in weights(model).items() if n in saved)


def test_ctrl_c_before_the_first_step_saves_nothing_and_without_a_folder_nowhere(tmp_path):
    model, config = tiny(), settings()
    for stop, out in ((0, tmp_path), (2, None)):
        with pytest.raises(KeyboardInterrupt):
            train(model, interrupted_at(stop, objective(model, config)), config, out)
    assert checkpoint.newest(tmp_path) is None


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("muon_lr", [None, 0.02])
def test_a_run_ended_by_ctrl_c_and_resumed_equals_an_uninterrupted_one(tmp_path, muon_lr, late):
    def fresh():
        model = tiny()
        lora.inject(model, lora.LoRAConfig(rank=2, dropout=0.5), seed=0)
        return model

    config = settings(steps=6, muon_lr=muon_lr)
    whole = fresh()
    history = train(whole, objective(whole, config), config)
    part = fresh()
    with pytest.raises(KeyboardInterrupt):
        train(part, interrupted_at(3, objective(part, config), late), config, tmp_path)
    resumed = fresh()
    again = settings(steps=6, muon_lr=muon_lr, resume=True)
    assert train(resumed, objective(resumed, again), again, tmp_path) == history
    assert same(weights(resumed), weights(whole))


@pytest.fixture
def ctrl_c():
    """Ctrl-C counts, also where the tests run in the background and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("moment", ["update", "writing", "just written"])
def test_ctrl_c_while_something_is_changed_or_written_waits_until_it_is_whole(tmp_path, monkeypatch, moment):
    model, config = tiny(), settings(steps=6, checkpoint_every=2)
    history = train(model, objective(model, config), config)
    owner, name = {"update": (torch.optim.AdamW, "step"), "writing": (checkpoint, "write_metrics"),
                   "just written": (checkpoint, "save")}[moment]  # fmt: skip
    original = getattr(owner, name)

    def press(first, *rest):
        result = original(first, *rest)
        if moment != "update" or next(iter(first.state.values()))["step"] == 4:
            signal.raise_signal(signal.SIGINT)
        return result

    part = tiny()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, name, press)
        train(part, objective(part, config), config, tmp_path)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == [f"step-00000{4 if moment == 'update' else 2}"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = tiny()
    again = settings(steps=6, checkpoint_every=2, resume=True)
    assert train(resumed, objective(resumed, again), again, tmp_path) == history
    assert same(weights(resumed), weights(model))


def test_ctrl_c_that_is_ignored_stays_ignored(ctrl_c):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    model, config = tiny(), settings()
    history = train(model, objective(model, config), config, on_step=lambda *_: signal.raise_signal(signal.SIGINT))
    assert len(history) == config.steps


def test_training_in_a_thread_leaves_ctrl_c_alone():
    model, config, results = tiny(), settings(), []
    thread = threading.Thread(target=lambda: results.append(train(model, objective(model, config), config)))
    thread.start()
    thread.join()
    assert len(results[0]) == config.steps


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(tmp_path):
    model, config = tiny(), settings(checkpoint_every=2)

    def breaks_at_four(step):
        for loss, facts in computed(mean_loss(model, random_batch(3, step), config)):
            yield lambda loss=loss, facts=facts: (loss * (math.nan if step == 3 else 1.0), facts)

    with pytest.raises(TrainingError, match=r"step 4\b"):
        train(model, breaks_at_four, config, tmp_path)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000002"]
    resumed, again = tiny(), settings(checkpoint_every=2, resume=True)
    history = train(resumed, objective(resumed, again), again, tmp_path)
    assert [m["step"] for m in history] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (2, 0), (1, 10), (11, 10)])
def test_even_the_shortest_run_learns(steps, warmup):
    model, config = tiny(), settings(steps=steps, warmup=warmup)
    before = weights(model)
    train(model, objective(model, config), config)
    assert not same(before, weights(model))


def test_processes_that_know_nothing_of_each_other_do_not_write_the_same_files(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    model, config = tiny(), settings()
    with pytest.raises(ValueError, match="torchrun"):
        train(model, objective(model, config), config)


@pytest.mark.parametrize("muon_lr", [None, 0.02])
def test_resuming_with_another_optimizer_is_refused_with_a_sentence(tmp_path, muon_lr):
    model, config = tiny(), settings(checkpoint_every=2, steps=4, muon_lr=muon_lr)
    with pytest.raises(KeyboardInterrupt):
        train(model, interrupted_at(3, objective(model, config)), config, tmp_path)
    other = settings(steps=4, muon_lr=0.02 if muon_lr is None else None, resume=True)
    with pytest.raises(ValueError, match="muon_lr was"):
        train(tiny(), objective(model, other), other, tmp_path)


# ------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("steps", -3), ("batch_size", 0), ("accumulate", 0), ("warmup", -1), ("checkpoint_every", -1),
     ("seed", -1), ("weight_decay", -0.1), ("weight_decay", math.nan), ("final_lr", -0.1), ("lr", 0.0),
     ("lr", math.nan), ("lr", math.inf), ("clip", 0.0), ("clip", -1.0), ("muon_lr", -0.1), ("muon_lr", math.nan)],
)  # fmt: skip
def test_numbers_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        settings(**{name: value})


@pytest.mark.parametrize("name", ["quantum", "", "cuda:4096", "gpu"])
def test_an_unknown_device_is_a_value_error_that_names_it(name):
    with pytest.raises(ValueError, match=repr(name)):
        pick_device(name)


def test_the_cpu_is_always_there_and_auto_finds_some_device():
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type in ("cpu", "cuda", "mps")


def test_precision_is_what_was_asked_for_and_auto_takes_the_faster_one(monkeypatch):
    assert uses_bf16(CPU, "bf16")
    assert not uses_bf16(CPU, "fp32")
    for faster in (False, True):
        monkeypatch.setattr("minillm.plumbing.devices.bf16_is_faster", lambda faster=faster: faster)
        assert uses_bf16(CPU, "auto") is faster
    assert not uses_bf16(torch.device("mps"), "auto")


def test_bf16_trains_too_and_keeps_weights_and_loss_in_float32():
    model, config = tiny(), settings(precision="bf16", steps=40, lr=0.02, muon_lr=0.02)
    ((loss, _),) = computed(mean_loss(model, random_batch(3), config))
    assert loss.dtype == torch.float32
    history = train(model, lambda step: mean_loss(model, random_batch(3), config), config)
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]


# ---------------------------------------------------------------------------------------------- drift


@torch.no_grad()
def test_parameter_drift_is_the_length_of_the_change_over_the_length_before():
    before = tiny()
    for p in before.parameters():
        p.zero_()
    before.norm.weight[0] = 3.0
    before.tok_emb.weight[2, 1] = 4.0  # tied to the output layer: counts once; the length is 5
    after = copy.deepcopy(before)
    assert parameter_drift(before, after) == 0.0
    after.norm.weight[0] += 1.5
    after.blocks[0].attn.query.weight[0, 0] = 2.0  # the change has length 2.5
    assert parameter_drift(before, after) == pytest.approx(0.5)


@torch.no_grad()
@pytest.mark.parametrize("make", [tiny, lambda: GPT(gpt2_config(13, n_ctx=8, n_layer=2, n_head=2, n_embd=8))])
def test_parameter_drift_counts_adapters_as_the_change_they_make(make):
    before, after = make(), make()
    lora.inject(after, lora.LoRAConfig(rank=2, alpha=6.0))
    assert parameter_drift(before, after) == 0.0
    for i, adapter in enumerate(lora.adapters(after).values()):
        adapter.B.normal_(generator=torch.Generator().manual_seed(i))
    moved = sum(a.delta().square().sum() for a in lora.adapters(after).values())
    whole = sum(p.square().sum() for p in before.parameters())
    unmerged = parameter_drift(before, after)
    assert unmerged == pytest.approx((moved / whole).sqrt().item(), rel=1e-5)
    lora.merge(after)
    assert parameter_drift(before, after) == pytest.approx(unmerged, rel=1e-5)


# --------------------------------------------------------------------------------------------- cores


@pytest.fixture(params=[1, 2, 4])
def cores(request):
    """PyTorch may use this many."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param  # training leaves it as it was
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def on_one_core():
    """What each of some settings gives with one core."""
    return {}


@pytest.mark.parametrize("options", [{}, {"accumulate": 3}, {"accumulate": 4, "muon_lr": 0.02, "precision": "bf16"}])
def test_the_number_of_cores_does_not_change_a_byte(cores, on_one_core, options):
    """Layers wide enough that PyTorch itself would cut their products into parts for its threads."""
    model, config = tiny(n_embd=64, n_head=4), settings(steps=3, batch_size=9, **options)
    wide = lambda step: mean_loss(model, random_batch(9, step), config)  # noqa: E731
    history = train(model, wide, config)
    expected = on_one_core.setdefault(str(options), (weights(model), history))
    assert same(weights(model), expected[0]) and history == expected[1]


def test_what_is_drawn_at_random_does_not_depend_on_the_number_of_cores(cores, on_one_core):
    assert same(trained_with_dropout(seed=1), on_one_core.setdefault("dropout", trained_with_dropout(seed=1)))


def test_a_fault_in_a_micro_batch_is_raised_and_training_can_go_on(cores):
    def broken(step):
        yield lambda: 1 / 0
        yield lambda: 1 / 0

    model, config = tiny(), settings()
    with pytest.raises(ZeroDivisionError):
        train(model, broken, config)
    assert len(train(model, objective(model, config), config)) == config.steps
