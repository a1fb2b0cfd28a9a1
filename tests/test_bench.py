"""The benchmark: its arithmetic, that only equal things are compared, that a missing peer is a line. Nothing is timed."""

import json
import math
import random
import re
import subprocess
import sys
from dataclasses import replace
from itertools import count
from statistics import median
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from minillm import training
from minillm.__main__ import main
from minillm.commands.bench import Bench
from minillm.gpt import GPT, token_losses
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config
from minillm.measure.bench import (
    bars,
    children,
    growth,
    learning,
    machine,
    models,
    plain_gpt,
    rows,
    runner,
    steps,
    texts,
)
from minillm.measure.bench.machine import Ceilings, Work
from minillm.measure.bench.plan import Plan, Shape, quick
from minillm.measure.bench.publish import publish
from minillm.measure.bench.rows import OURS, Row, compare, exponent, paired_ratio, show, show_table, take_turns
from minillm.measure.bench.runner import PARTS, run_bench
from minillm.measure.bench.steps import Unequal, check_equal, check_plain, contenders, random_batch, rough_gpt
from minillm.tokenizer import Tokenizer
from tests.test_house import import_graph, modules

TINY = Shape(n_layer=2, n_head=2, n_embd=12, n_ctx=9, rows=3, n_vocab=31)
CEILINGS = Ceilings({"fp32": 1e9, "bf16": 4e9}, {1000: 8e6, 100_000: 1e6})


@pytest.fixture
def no_child(monkeypatch):
    """What would run in a child process runs here: a new Python takes seconds to load PyTorch."""

    def here(function, *arguments, environment=None):
        module, _, name = function.partition(":")
        return json.loads(json.dumps(getattr(sys.modules[module], name)(*json.loads(json.dumps(arguments)))))

    monkeypatch.setattr(models, "in_child", here)
    monkeypatch.setattr(texts, "in_child", here)


# ---------------------------------------------------------------------------------------------- arithmetic


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(0.0746, "s", "74.6 ms"), (0.9996, "s", "1.00 s"), (0.09996, "s", "100 ms"), (12.34, "s", "12.3 s"), (0, "B", "0.00 µB"),
     (3.4e6, "B", "3.40 MB"), (-5e4, "B", "-50.0 kB"), (165.2e9, "FLOP/s", "165 GFLOP/s"), (1.07e12, "FLOP/s", "1.07 TFLOP/s"),
     (2e-9, "s", "0.00 µs"), (1.5, "exponent", "1.50"), (-0.004, "exponent", "-0.00")],
)  # fmt: skip
def test_values_are_shown_with_three_digits_and_a_prefix(value, unit, shown):
    assert show(value, unit) == shown


def test_contenders_take_turns_in_both_orders_after_a_warm_up():
    calls = []

    def contender(name):
        def measure():
            calls.append(name)
            return len(calls)

        return measure

    values = take_turns({name: contender(name) for name in "abc"}, repeat=3)
    assert "".join(calls) == "abc" + "abc" + "cba" + "abc"
    assert values == {"a": [4, 9, 10], "b": [5, 8, 11], "c": [6, 7, 12]}
    assert take_turns({"a": contender("a")}, repeat=1, warm_up=False) == {"a": [13]}


def test_a_ratio_is_the_median_of_the_ratios_within_each_round():
    assert paired_ratio([2, 30, 8], [1, 10, 2]) == 3  # of 2, 3, 4; the ratio of the medians would be 4
    rng = random.Random(0)
    base = [rng.uniform(0.1, 100) for _ in range(9)]
    assert paired_ratio([1.75 * b for b in base], base) == pytest.approx(1.75)  # whatever disturbs a whole round


def test_rows_are_compared_with_ours_and_ours_with_nobody():
    values = {"them": [4.0, 6.0], OURS: [2.0, 4.0], "others": [1.0, 1.0]}
    table = compare("p", "c", "s", values, {"them": 0.5}, {OURS: "n"})
    assert [(r.who, r.values, r.ratio, r.ratio_to, r.share, r.note) for r in table] == [
        ("them", (4.0, 6.0), 1.75, OURS, 0.5, ""),
        (OURS, (2.0, 4.0), None, "", None, "n"),
        ("others", (1.0, 1.0), 0.375, OURS, None, ""),
    ]


def test_the_exponent_of_a_power_law_is_found():
    rng = random.Random(1)
    for _ in range(20):
        p, factor = rng.uniform(-1, 3), rng.uniform(1e-6, 10)
        sizes = sorted(rng.uniform(1, 1e6) for _ in range(rng.randint(2, 6)))
        assert exponent(sizes, [factor * s**p for s in sizes]) == pytest.approx(p)
    assert exponent([1, 10, 100], [1, 10, 1]) == pytest.approx(0)
    assert exponent([1, 10, 100], [1, 10, 1000]) == pytest.approx(1.5)  # of 0, 1, 3: by least squares


def test_the_table_has_the_figures_of_each_row_below_its_case():
    table = [
        Row("train", "small", OURS, "s", (0.3, 0.1, 0.2), share=0.256, note="in bf16"),
        Row("train", "small", "plain", "s", (0.4,), 2.0, OURS, 0.1),
        Row("train", "other", "peer", note="not installed"),
    ]
    lines = show_table(table).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["train:", "small"],
        [OURS, "200", "ms", "100", "ms", "to", "300", "ms", "25.6", "%", "in", "bf16"],
        ["plain", "400", "ms", "400", "ms", "to", "400", "ms", "2.00", "x", OURS, "10.0", "%"],
        ["train:", "other"],
        ["peer", "not", "installed"],
    ]
    assert table[0].to_json()["median"] == 0.2 and table[2].to_json()["median"] is None


def test_the_limit_is_that_of_the_products_or_of_reading_the_weights():
    assert CEILINGS.seconds(Work(2e9)) == 2
    assert CEILINGS.seconds(Work(2e9, "bf16")) == 0.5
    assert CEILINGS.share(Work(2e9, "bf16"), 2.0) == 0.25
    assert CEILINGS.seconds(Work(0, "fp32", weights=200_000, reads=10)) == 2  # as fast as the longest copy
    assert CEILINGS.seconds(Work(0, "fp32", weights=4000, reads=10)) == 0.005  # no slower than what may be cached
    assert CEILINGS.seconds(Work(0, "fp32", weights=80, reads=10)) == 0.0001
    assert CEILINGS.seconds(Work(1e9, "fp32", weights=200_000, reads=1)) == 1


def test_ceilings_are_the_best_that_was_seen(monkeypatch):
    seen = iter([1, 3, 2, 9, 5, 2, 1, 8, 7])  # a warm-up and two rounds for one core, the same for all, and so on
    monkeypatch.setattr(machine, "FORMATS", {"fp32": torch.float32})
    monkeypatch.setattr(machine, "speed", lambda *_: next(seen, 4))
    ceilings, table = machine.measure_ceilings(2, 8, (64,))
    assert ceilings == Ceilings({"fp32": 5}, {64: 8})
    assert [row.values for row in table] == [(3, 2), (5, 2), (8, 7), (4, 4)]


@pytest.mark.parametrize("cores", [1, 2])
def test_work_per_second_counts_what_all_threads_did(cores, monkeypatch):
    calls, clock = [], iter(range(10))
    monkeypatch.setattr(machine, "Timer", lambda: SimpleNamespace(seconds=next(clock)))

    def part(i, n):
        calls.append((i, n))
        return 10.0

    assert machine.speed(part, cores, 2) == 10.0 * cores * 4 / 2  # 1, 2, then 4 times: after 0, 1 and 2 seconds
    assert sorted(calls) == [(i, cores) for i in range(cores) for _ in range(7)]
    assert torch.get_num_threads() == 1


CONFIGS = {
    "gpt2": gpt2_config(n_vocab=29, n_ctx=10, n_layer=3, n_head=2, n_embd=8),
    "own": GPTConfig(29, n_ctx=10, n_layer=2, n_head=2, n_embd=12),
    "llama": llama_config(29, n_ctx=10, n_layer=2, n_head=4, n_kv_head=2, n_embd=16, n_hidden=20),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_work_of_a_step_is_what_pytorch_counts(name):
    model, ids = GPT(CONFIGS[name]), torch.randint(29, (4, 7))
    with FlopCounterMode(display=False) as counter:
        token_losses(model(ids), ids).sum().backward()
    assert steps.training_work(model.config, 4 * 7, 7, "bf16") == Work(counter.get_total_flops(), "bf16")


def test_the_work_of_generating_is_what_pytorch_counts_without_the_attention():
    model = GPT(gpt2_config(n_vocab=29, n_ctx=10, n_layer=3, n_head=2, n_embd=8))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.tensor([[1], [2], [3]]), fused=False)  # PyTorch does not count the products of its own attention
    scores_and_mixture = 3 * 3 * 2 * 2 * 8
    work = models.generating_work(model.config, batch=3, new_tokens=5)
    assert work.flop == 5 * (counter.get_total_flops() - scores_and_mixture)
    assert (work.weights, work.reads) == (4 * (29 * 8 + 3 * 12 * 8 * 8), 5)


# ------------------------------------------------------------------------------- only equals are compared


@pytest.mark.parametrize("shape", [TINY, Shape(1, 1, 4, 1, 1, 2), Shape(3, 3, 24, 17, 2, 300)], ids=str)
def test_the_plain_gpt_computes_what_ours_does(shape):
    ours = rough_gpt(gpt2_config(**shape.sizes))
    before = {name: p.clone() for name, p in ours.named_parameters()}
    plain = steps.plain_like(ours)
    check_plain(ours, plain, random_batch(shape))
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in ours.named_parameters())
    assert all(p.grad is None for p in plain.parameters())
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in ours.parameters())


class ExactGELU(plain_gpt.PlainBlock):
    """GELU itself instead of GPT-2's approximation of it."""

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["down"](nn.functional.gelu(self.mlp["up"](self.norm2(x))))


class Scaled(plain_gpt.PlainAttention):
    def forward(self, x):
        return super().forward(x) * 1.001


class WithoutGradient(plain_gpt.PlainBlock):
    """The right outputs with a wrong gradient."""

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        y = self.mlp["down"](nn.functional.gelu(self.mlp["up"](self.norm2(x).detach()), approximate="tanh"))
        return x + y


@pytest.mark.parametrize(
    ("part", "wrong", "says"),
    [("PlainBlock", ExactGELU, "logits"), ("PlainAttention", Scaled, "logits"),
     ("PlainBlock", WithoutGradient, "gradients: .*")],
)  # fmt: skip
def test_a_wrong_baseline_gets_no_time(part, wrong, says, monkeypatch):
    monkeypatch.setattr(plain_gpt, part, wrong)
    with pytest.raises(Unequal, match=says):
        contenders(TINY, 0.001)


def test_tensors_that_differ_are_named():
    a = {"x": torch.tensor([1.0, -200.0]), "y": torch.zeros(2)}
    check_equal("w", a, {"x": a["x"] + 0.01, "y": a["y"]})  # 1e-4 of the largest number is 0.02
    for wrong, says in (
        ({"x": a["x"] + 0.03, "y": a["y"]}, "w: x: differs by 1.5e-04"),
        ({"x": a["x"] * math.nan, "y": a["y"]}, "w: x: differs by nan"),
        ({"x": a["x"], "y": a["y"] + 1e-9}, "w: y: differs"),
        ({"x": a["x"]}, "w: y: only one"),
        (a | {"z": a["x"]}, "w: z: only one"),
        (a | {"y": torch.zeros(1, 2)}, re.escape("w: y: (1, 2) instead of (2,)")),
    ):
        with pytest.raises(Unequal, match=says):
            check_equal("w", a, wrong)


class Peer(nn.Module):
    """As `transformers` would answer, with our model behind it."""

    def __init__(self, gpt, spoil_text=0, spoil_logits=0.0, cut=0):
        super().__init__()
        self.gpt, self.spoil_text, self.spoil_logits, self.cut = gpt, spoil_text, spoil_logits, cut

    def generate(self, prompts, max_new_tokens, **_):
        text = models.our_text(self.gpt, prompts, max_new_tokens - self.cut)
        text[-1, -1] = (text[-1, -1] + self.spoil_text) % self.gpt.config.n_vocab
        return torch.cat((prompts, text), 1)

    def forward(self, ids):
        return SimpleNamespace(logits=self.gpt(ids) * (1 + self.spoil_logits))


def test_a_peer_that_says_something_else_gets_no_time():
    ours = rough_gpt(gpt2_config(**TINY.sizes | {"n_ctx": 20}))
    prompts = random_batch(replace(TINY, n_ctx=5)).ids
    models.check_same_text(ours, Peer(ours), prompts, 7)
    for spoiled, says in (
        (Peer(ours, spoil_text=1), "text 2: token 6 is"),
        (Peer(ours, spoil_logits=1e-3), "logits"),
        (Peer(ours, cut=1), "tokens instead of"),
    ):
        with pytest.raises(Unequal, match=says):
            models.check_same_text(ours, spoiled, prompts, 7)
    with torch.no_grad():
        for p in ours.parameters():
            p.zero_()
    models.check_same_text(ours, Peer(ours, spoil_text=1), prompts, 7)  # all tokens tie: either is greedy


def test_tokenizers_must_cut_alike():
    texts.check_same_cuts(300, 1000, 303, 1010)
    for their_size, their_tokens in ((296, 1000), (304, 1000), (300, 1011), (300, 989)):
        with pytest.raises(Unequal, match="tokenizers: "):
            texts.check_same_cuts(300, 1000, their_size, their_tokens)


def test_ids_that_differ_from_those_of_tiktoken_are_refused(monkeypatch):
    tokenizer = Tokenizer.train(["a bc. bc a!"], 260)
    monkeypatch.setattr(texts, "token_file", lambda *_: [tokenizer.doc, 1, 2, tokenizer.end])
    with pytest.raises(Unequal, match="tiktoken"):
        list(texts.encoding_rows("c", ["a bc"], tokenizer, quick()))


# ------------------------------------------------------------------------------------------- what is timed


def test_as_many_steps_are_taken_as_last_long_enough():
    asked = []

    def seconds_of(n):
        asked.append(n)
        return 0.25

    measure = steps.long_enough(seconds_of, 0.9)
    assert [measure(), measure()] == [0.25, 0.25]
    assert asked == [1, 4, 4]
    assert steps.long_enough(seconds_of, 1e9)() == 0.25 and asked[-1] == 100
    assert steps.long_enough(seconds_of, 1e-9)() == 0.25 and asked[-1] == 1


def test_timed_steps_are_real_ones():
    batch, ours = random_batch(TINY), rough_gpt(gpt2_config(**TINY.sizes))
    plain, losses = steps.plain_like(ours), []
    optimizer = plain_gpt.plain_optimizer(plain)
    for take in (lambda: steps.seconds_of_ours(ours, batch, steps.step_config("fp32"), 7),
                 lambda: steps.seconds_of_plain(plain, batch, optimizer, 7)):  # fmt: skip
        assert take() > 0
    for model in (ours, plain):
        with torch.no_grad():
            losses.append(plain_gpt.plain_loss(model, batch.ids, batch.targets).item())
    start = plain_gpt.plain_loss(rough_gpt(gpt2_config(**TINY.sizes)), batch.ids, batch.targets).item()
    assert max(losses) < start - 0.01
    # the rate falls in our loop and stays in the plain one; AdamW is the same
    assert abs(losses[0] - losses[1]) < start - max(losses)


def test_the_plain_gpt_has_the_threads_of_pytorch_and_ours_one_in_each(monkeypatch):
    threads = {"plain": set(), "ours": set()}
    for module, name, who in ((steps, "plain_step", "plain"), (training, "token_losses", "ours")):

        def watched(*arguments, real=getattr(module, name), who=who):
            threads[who].add(torch.get_num_threads())
            return real(*arguments)

        monkeypatch.setattr(module, name, watched)
    torch.set_num_threads(2)
    try:
        measures = contenders(TINY, 1e-9)
        threads["ours"].clear()  # of the check of equality
        take_turns(measures, repeat=2)
    finally:
        torch.set_num_threads(1)
    assert threads == {"plain": {2}, "ours": {1}}


def test_busy_processes_live_as_long_as_the_block(monkeypatch):
    started = []

    class Watched(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    with pytest.raises(ZeroDivisionError), children.busy_processes(2):
        assert [process.poll() for process in started] == [None, None]
        raise ZeroDivisionError
    assert len(started) == 2 and all(process.poll() is not None for process in started)


def test_a_child_gives_its_result_or_what_went_wrong():
    assert children.in_child("math:gcd", 12, 18) == 6
    assert children.in_child("os:getenv", "BENCH_TEST", environment={"BENCH_TEST": "山"}) == "山"
    with pytest.raises(RuntimeError, match=r"math:factorial failed in a child process:\n(.*\n)*ValueError"):
        children.in_child("math:factorial", -1)


def test_a_peak_stays_when_the_memory_is_free_again():
    before = children.peak_bytes()
    if before is None:
        pytest.skip("this system does not tell")
    bytearray(1 << 27).find(b"x")
    assert children.peak_bytes() >= before and isinstance(children.peak_bytes(), int)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 1])
def test_the_beginning_of_the_texts_has_the_share_that_is_asked_for(share):
    parts = ["abc", "山", "", "defghij" * 9]
    part = growth.first_part(parts, share)
    assert "".join(part) == "".join(parts)[: round(share * 67)]
    assert "" not in part and len(part) <= 3


def test_a_text_is_cut_at_line_ends_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "PIECE", 5)
    path = tmp_path / "x.txt"
    path.write_text("a\nbc\n\n山山山山山山\nd\ne\nf", encoding="utf-8")
    assert texts.texts_of(Plan(text=path)) == ("x.txt", ["a\nbc\n", "\n山山山山山山\n", "d\ne\nf"])


# ------------------------------------------------------------------------------------------------ learning


def test_characters_are_numbered_and_the_last_tenth_is_held_back():
    text = learning.characters_of("abba山" * 4)
    assert text.n_vocab == 3
    assert [*text.training, *text.held_back] == [0, 1, 1, 0, 2] * 4
    assert len(text.held_back) == 2


def test_the_recipes_rate_rises_and_falls_to_a_tenth():
    rates = [learning.recipe_rate(step, 2000) for step in range(2000)]
    assert rates[0] == 1 / 101 and rates[100] == 1 and max(rates) == 1
    assert rates[1050] == pytest.approx(0.55) and rates[-1] == pytest.approx(0.1, abs=1e-4)


def test_the_loss_of_the_text_held_back_is_its_mean_over_all_rows():
    text, model = learning.characters_of("to be or not to be " * 50), GPT(GPTConfig(7, n_ctx=5, n_embd=16, n_head=2))
    assert text.n_vocab == 7
    rows = torch.from_numpy(text.held_back[: len(text.held_back) // 5 * 5 + 1].copy())
    n = (len(rows) - 1) // 5
    expected = [
        token_losses(model(rows[None, 5 * i : 5 * i + 5]), rows[None, 5 * i + 1 : 5 * i + 6]).mean().item()
        for i in range(n)
    ]
    assert learning.loss_of(model, text, 5, "fp32") == pytest.approx(sum(expected) / n, rel=1e-5)


def test_without_a_text_a_line_says_so():
    (row,) = learning.loss_part(quick(), CEILINGS)
    assert "--text" in row.note and not row.values


# ------------------------------------------------------------------------------------------------- the whole


def test_all_parts_in_seconds(no_child, tmp_path, monkeypatch):
    peaks = count(10, 7)
    monkeypatch.setattr(models, "peak_bytes", lambda: next(peaks))
    path = tmp_path / "new" / "bench.json"
    (tmp_path / "text.txt").write_text("To be, or not to be: 山. " * 99, encoding="utf-8")
    table = run_bench(list(PARTS), quick(repeat=2, text=tmp_path / "text.txt"), path)
    report = json.loads(path.read_text())
    assert [row.part for row in table if row.part != "machine"] == [
        part for part in PARTS for row in table if row.part == part
    ]
    assert report["rows"] == json.loads(json.dumps([row.to_json() for row in table]))
    assert report["machine"]["versions"]["torch"] == torch.__version__
    assert {"processor", "cores", "threads", "flags", "load_before"} <= report["machine"].keys()
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    for row in table:
        rounds = 1 if row.part == "loss" else 2  # that part takes minutes
        assert row.note == "not installed" or (len(row.values) == rounds and all(map(math.isfinite, row.values))), row
        assert row.part in ("growth", "machine") or not row.values or min(row.values) > 0, row
        assert row.share is None or row.share > 0
    pages = publish(path, tmp_path, "bench all")
    for page, parts in zip(pages, (("A training step", "median"), ("训练一步", "中位数")), strict=True):
        text = page.read_text(encoding="utf-8")
        assert all(part in text for part in parts) and "](speed.png)" in text
        assert all(cells in text for row in table for cells in row.cells()[1:2])  # every median
    quiet = [row for row in table if row.part == "load" and "quiet" in row.case]
    loaded = [row for row in table if row.part == "load" and "busy" in row.case]
    assert {row.who for row in quiet} == {OURS, steps.OURS_OWN, steps.PLAIN}
    assert {row.ratio_to for row in loaded} == {"quiet"} and {row.ratio for row in quiet} == {None}
    for row in loaded:
        (alone,) = [q for q in quiet if q.who == row.who]
        assert row.ratio == median(a / b for a, b in zip(row.values, alone.values, strict=True))


def plan_rows(ratio=2.0, nats=1.5):
    """A row for each bar, as the parts name them."""
    small, wide, wider, own = map(str, Plan().trained)
    peer = dict(values=(1.0,), ratio=ratio, ratio_to=OURS)
    return [
        *(Row("train", case, steps.PLAIN, "s", **peer) for case in (small, wide, wider, own)),
        Row("load", "3 x 128, 16 x 128 tokens, next to 1 busy", OURS, "s", **peer),
        Row("loss", "x.txt", OURS, "s", (1.0,), note=f"{nats:.3f} nats per character"),
        Row("loss", "x.txt", learning.RECIPE, "s", **peer, note="1.9 nats per character"),
        Row("loss", "x.txt", learning.IN_THAT_TIME, "s", **peer, note=f"{nats:.3f} nats per character"),
        *(Row("generate", f"the demo's shape, LLaMA's for the peer, 256 tokens for {n}", models.TRANSFORMERS, "s", **peer)
          for n in ("1 prompt", "16 prompts")),
        Row("generate", "SmolLM2's shape, 64 tokens for 1 prompt", models.TRANSFORMERS, "s", **peer),
        Row("growth", "generating against new tokens, 64 to 1,024", OURS, "exponent", (0.5, ratio, 9.0)),
        Row("tokenizer", "training on x.txt, 1.12 MB", texts.TOKENIZERS, "s", **peer),
        Row("tokenizer", "encoding x.txt, 1.12 MB", texts.TIKTOKEN, "s", **peer),
        Row("memory", small, steps.PLAIN, "B", **peer),
    ]  # fmt: skip


def test_every_bar_finds_its_rows_and_says_whether_it_is_met():
    assert list(bars.judged([])) == []
    found = list(bars.judged(plan_rows()))
    assert [bar for bar, _ in found] == list(bars.BARS)
    assert [bar.bound for bar, value in found if not bar.met(value)] == [8, 3.5]
    assert [value for bar, value in found if bar.unit == "nats"] == [1.5, 1.5]


def test_the_worst_row_of_a_bar_counts():
    rows = plan_rows()
    rows[2] = replace(rows[2], ratio=1.4)  # width 384
    (bar,) = [bar for bar in bars.BARS if bar.reached(rows) == 1.4]
    assert "width 256 and 384" in bar.what["en"] and not bar.met(1.4)
    rows[1] = replace(rows[1], ratio=None, note="not installed")
    assert bar.reached(rows) == 1.4 and bar.reached([rows[1]]) is None


def test_the_page_says_which_bars_are_missed_and_why(tmp_path):
    report = {"machine": machine.describe(), "repeat": 1, "rows": [row.to_json() for row in plan_rows(ratio=1.0)]}
    (tmp_path / "a.json").write_text(json.dumps(report), encoding="utf-8")
    for page, (language, missed) in zip(
        publish(tmp_path / "a.json", tmp_path, "bench all"), {"en": "missed", "zh": "未达到"}.items(), strict=True
    ):
        text = page.read_text(encoding="utf-8")
        for bar in bars.BARS:
            reached = 1.5 if bar.unit == "nats" else 1.0
            (line,) = [line for line in text.splitlines() if line.startswith(f"| {bar.what[language]} |")]
            assert f" {reached:.2f} " in line and (missed in line) == (not bar.met(reached))
            assert (bar.why[language] in text) == (not bar.met(reached))


def test_what_was_measured_outlives_what_comes_after(tmp_path, monkeypatch):
    def fail(plan, ceilings):
        raise KeyboardInterrupt

    monkeypatch.setitem(PARTS, "load", fail)
    with pytest.raises(KeyboardInterrupt):
        run_bench(["train", "load"], quick(), tmp_path / "a.json")
    assert {row["part"] for row in json.loads((tmp_path / "a.json").read_text())["rows"]} == {"machine", "train"}


def test_a_peer_that_is_not_installed_is_a_line(no_child, monkeypatch):
    for name in ("transformers", "tokenizers"):
        monkeypatch.setitem(sys.modules, name, None)
    table = [*models.generate_part(quick(), CEILINGS), *texts.tokenizer_part(quick(), CEILINGS)]
    missing = [row for row in table if row.note == "not installed"]
    assert [(row.part, row.who, row.values) for row in missing] == [
        *[("generate", models.TRANSFORMERS, ())] * 5,
        ("tokenizer", texts.TOKENIZERS, ()),
    ]
    assert all(len(row.values) == 1 for row in table if row not in missing)


@pytest.mark.parametrize("name", ["transformers", "tokenizers"])
def test_a_peer_that_is_installed_is_measured(name, no_child):
    pytest.importorskip(name, reason=f"{name} is not installed")
    part = {"transformers": models.generate_part, "tokenizers": texts.tokenizer_part}[name]
    found = [row for row in part(quick(), CEILINGS) if row.who.startswith(name)]
    assert found and all(row.ratio > 0 and not row.note for row in found)


def test_a_system_that_does_not_tell_the_memory_is_a_line(monkeypatch):
    monkeypatch.setattr(models, "peak_bytes", lambda: None)
    (row,) = models.memory_part(quick(), CEILINGS)
    assert row.values == () and "does not tell" in row.note


def test_the_command_prints_the_table(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("The mountains, the rivers.\n台湾最高的山是玉山。\n" * 30, encoding="utf-8")
    command = [
        "bench",
        "train",
        "train",
        "--quick",
        "--repeat",
        "1",
        "--text",
        str(text),
        "--json",
        str(tmp_path / "a.json"),
    ]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert shown.count("train: ") == 2 and steps.PLAIN in shown and "machine: product" in shown
    assert "growth" not in shown and not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [("train --repeat 0", "repeat is 0"), ("tokenizer --text {home}/none.txt", "none.txt"), ("train --json {home}", "--json"),
     ("tokenizer --text {home}/empty.txt", "empty.txt: the file is empty"),
     ("growth --text {home}/empty.txt", "empty.txt: the file is empty")],
)  # fmt: skip
def test_a_fault_of_the_user_is_one_line(words, says, tmp_path, capsys):
    (tmp_path / "empty.txt").touch()
    assert main(["bench", "--quick", *words.format(home=tmp_path).split()]) == 2
    assert re.search(f"^error: .*{says}.*$", capsys.readouterr().err, re.MULTILINE)


def test_a_text_of_one_letter_shows_no_growth(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (row,) = growth.growth_rows("c", growth.trainings(quick(text=tmp_path / "a.txt")), quick())
    assert row.values == () and "too little" in row.note


def test_only_the_command_uses_the_benchmark_and_only_it_the_peers():
    graph = import_graph(modules())
    users = {name for name, imports in graph.items() if any(i.startswith("minillm.measure.bench") for i in imports)}
    assert {name for name in users if not name.startswith("minillm.measure.bench")} == {"minillm.commands.bench"}
    peers = {name for name, imports in graph.items() if imports & {"transformers", "tokenizers"}}
    assert all(name.startswith("minillm.measure.bench") for name in peers)


def test_the_command_offers_every_part():
    choices = get_args(get_args(get_type_hints(Bench)["parts"])[0])
    assert set(choices) == {*PARTS, "all"}


@pytest.mark.parametrize(("load", "said"), [(0.5, False), (None, False), (1.26, True)])
def test_a_busy_machine_is_announced(load, said, monkeypatch, capsys):
    monkeypatch.setattr(runner, "describe", lambda: {"load_before": load})
    run_bench([], quick())
    assert ("keep 1.3 cores busy" in capsys.readouterr().err) == said


def test_every_cell_has_its_head():
    assert len(rows.HEAD) == len(rows.WIDTHS) == len(Row("a", "b", "c").cells())
