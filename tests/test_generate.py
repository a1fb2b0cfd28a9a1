"""The sampling loop: exact filters, a cache that changes nothing, rows that do not disturb one another."""

import math
import random
import tracemalloc
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minillm.generate import continuations, generate, lay_out, read, sample_steps, stream
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config
from minillm.kv_cache import KVCache
from minillm.lora import LoRAConfig, inject
from minillm.plumbing.one_position import MOST_ROWS, OnePosition
from minillm.sampling import (
    Sampling,
    generate_plain,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
    probabilities,
    window_start,
)

INF = math.inf
PAD = 0
MODELS = {
    "rotary": dict(n_ctx=8),
    "learned": dict(n_ctx=8, position="learned"),
    "odd context": dict(n_ctx=7, n_layer=1),
    "gpt2": dict(config=gpt2_config(23, n_ctx=8, n_layer=1, n_head=2, n_embd=16)),
    "llama": dict(config=llama_config(23, n_ctx=8, n_layer=2, n_head=4, n_kv_head=2, n_embd=16, n_hidden=24)),
}
each_model = pytest.mark.parametrize("name", MODELS)
cached_or_not = pytest.mark.parametrize("cached", [True, False], ids=["cached", "uncached"])


@pytest.fixture
def gpt(make_gpt, name):
    return make_gpt(**MODELS[name], seed=1)


class Scripted(nn.Module):
    """Stands in for a GPT: the logits of each position are a given function of the token there."""

    def __init__(self, logits_after, n_vocab: int = 10, n_ctx: int = 100):
        super().__init__()
        self.logits_after = logits_after
        self.config = SimpleNamespace(n_vocab=n_vocab, n_ctx=n_ctx, n_layer=1, kv_heads=1, head_dim=1)
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def forward(self, ids, mask=None, positions=None, cache=None, last_only=False):
        if cache is not None:
            cache.length += ids.shape[1]
        return torch.stack([torch.stack([self.logits_after(int(i)) for i in row]) for row in ids])


def counting(i: int) -> torch.Tensor:
    """Logits that name the next number."""
    return torch.eye(10)[(i + 1) % 10] * 9


def constant(*p: float) -> Scripted:
    """A model that gives the same probabilities after every token."""
    return Scripted(lambda i: torch.tensor(p).log(), n_vocab=len(p))


def greedy(n: int, **options) -> Sampling:
    return Sampling(max_new_tokens=n, **options)


def continued_by_hand(gpt, prompt: list[int], n: int) -> list[int]:
    """Greedy, one row, no cache, no padding: the most probable token after what the window shows."""
    ids = list(prompt)
    for _ in range(n):
        shown = ids[window_start(len(ids), gpt.config.n_ctx) :]
        ids.append(int(gpt(torch.tensor([shown]))[0, -1].argmax()))
    return ids[len(prompt) :]


# ------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("logits", "k", "kept"),
    [
        ([3.0, 1.0, 2.0], 1, [3.0, -INF, -INF]),
        ([3.0, 1.0, 2.0], 2, [3.0, -INF, 2.0]),
        ([1.0, 2.0, 2.0, 0.0], 1, [-INF, 2.0, 2.0, -INF]),  # a tie with the k-th stays
        ([1.0, 2.0, 2.0, 1.0], 3, [1.0, 2.0, 2.0, 1.0]),
        ([0.0, 0.0, 0.0], 2, [0.0, 0.0, 0.0]),
        ([-5.0, -1.0], 7, [-5.0, -1.0]),  # k above the vocabulary
    ],
)
def test_top_k_keeps_the_k_largest_and_ties(logits, k, kept):
    assert keep_top_k(torch.tensor([logits]), k).tolist() == [kept]


@pytest.mark.parametrize(
    ("p", "top_p", "kept"),
    [
        ([0.1, 0.6, 0.3], 0.5, [0, 1, 0]),
        ([0.1, 0.6, 0.3], 0.7, [0, 1, 1]),
        ([0.1, 0.6, 0.3], 0.95, [1, 1, 1]),
        ([0.1, 0.6, 0.3], 1e-9, [0, 1, 0]),  # at least one
        ([0.25, 0.25, 0.25, 0.25], 0.5, [1, 1, 0, 0]),  # exactly p is enough; among equals the first
        ([0.25, 0.25, 0.25, 0.25], 0.51, [1, 1, 1, 0]),
        ([0.5, 0.0, 0.5], 1.0, [1, 0, 1]),
    ],
)
def test_top_p_keeps_the_fewest_tokens_that_reach_p(p, top_p, kept):
    logits = torch.tensor([p]).log()
    expected = torch.where(torch.tensor([kept], dtype=torch.bool), logits, -INF)
    assert torch.equal(keep_top_p(logits, top_p), expected)


@pytest.mark.parametrize("seed", range(5))
def test_filters_treat_each_row_alone_and_change_nothing_they_keep(seed):
    torch.manual_seed(seed)
    logits = torch.randn(6, 17) * 3
    before = logits.clone()
    for filtered in (keep_top_k(logits, 5), keep_top_p(logits, 0.8)):
        kept = filtered > -INF
        assert torch.equal(filtered[kept], logits[kept])
        assert (logits.masked_fill(kept, -INF).amax(1) <= filtered.masked_fill(~kept, INF).amin(1)).all()
    for row, filtered in zip(logits.softmax(-1), keep_top_p(logits, 0.8), strict=True):
        kept = filtered > -INF
        assert row[kept].sum() >= 0.8 - 1e-6
        assert row[kept].sum() - row[kept].min() < 0.8  # without the least of them it would be too little
    assert torch.equal(logits, before)


def test_the_repetition_penalty_makes_seen_tokens_less_likely_whatever_their_sign():
    logits = torch.tensor([[2.0, -2.0, 0.0, 2.0, -2.0]] * 2)
    seen = torch.tensor([[True, True, True, False, False], [False] * 5])
    assert penalise_repetition(logits, seen, 4.0).tolist() == [[0.5, -8.0, 0.0, 2.0, -2.0], logits[1].tolist()]
    assert torch.equal(penalise_repetition(logits, seen, 1.0), logits)


def test_without_options_the_distribution_is_the_models_own():
    logits = torch.randn(3, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(probabilities(logits, Sampling(temperature=1.0)), logits.softmax(-1))
    assert torch.allclose(probabilities(logits, Sampling(temperature=0.5)), (logits * 2).softmax(-1))


def test_temperature_0_puts_everything_on_the_most_probable_token():
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    p = probabilities(logits, Sampling(temperature=0.0, top_k=3, top_p=0.9))
    assert torch.equal(p.argmax(-1), logits.argmax(-1))
    assert p.sum(-1).tolist() == [1.0] * 4
    assert p.amax(-1).tolist() == [1.0] * 4


@pytest.mark.parametrize("temperature", [1e-3, 1e-30])
def test_a_tiny_temperature_is_as_good_as_greedy(temperature):
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(probabilities(logits, Sampling(temperature=temperature)), probabilities(logits, Sampling()))


def test_temperature_comes_before_top_p():
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
    kept = probabilities(logits, Sampling(temperature=2.0, top_p=0.75)) > 0  # flattened to 0.42, 0.32, 0.26
    assert kept.tolist() == [[True, True, True]]
    assert (probabilities(logits, Sampling(temperature=1.0, top_p=0.75)) > 0).tolist() == [[True, True, False]]


def test_top_k_comes_before_top_p():
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    assert probabilities(logits, Sampling(temperature=1.0, top_k=2, top_p=0.55)).tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_the_repetition_penalty_comes_before_all_filters_and_greedy_choice():
    logits, seen = torch.tensor([[3.0, 2.0, -1.0]]), torch.tensor([[True, False, False]])
    for sampling in (Sampling(repetition_penalty=2.0), Sampling(temperature=1.0, top_k=1, repetition_penalty=2.0)):
        assert probabilities(logits, sampling, seen).tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options",
    [dict(), dict(top_k=1), dict(top_k=4), dict(top_p=0.01), dict(top_p=0.6), dict(top_k=3, top_p=0.5),
     dict(repetition_penalty=1.5, top_p=1.0)],
    ids=str,
)  # fmt: skip
def test_probabilities_are_probabilities_in_the_models_own_order(options, seed):
    torch.manual_seed(seed)
    logits, seen = torch.randn(5, 30) * 4, torch.rand(5, 30) < 0.3
    p = probabilities(logits, Sampling(temperature=0.7, **options), seen)
    assert torch.allclose(p.sum(-1), torch.ones(5))
    assert (p >= 0).all()
    if "repetition_penalty" not in options:
        assert torch.equal(p.argmax(-1), logits.argmax(-1))


@pytest.mark.parametrize(
    "wrong",
    [dict(max_new_tokens=-1), dict(temperature=-0.1), dict(temperature=INF), dict(temperature=math.nan), dict(top_k=0),
     dict(top_k=-3), dict(top_p=0.0), dict(top_p=-0.5), dict(top_p=1.01), dict(top_p=math.nan),
     dict(repetition_penalty=0.0), dict(repetition_penalty=-1.0), dict(repetition_penalty=INF),
     dict(repetition_penalty=math.nan)],
    ids=str,
)  # fmt: skip
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)


# -------------------------------------------------------------------------------------- random choice


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(temperature=1.0), [0.4, 0.3, 0.2, 0.1]),
        (dict(temperature=0.5), [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        (dict(temperature=1.0, top_k=2), [4 / 7, 3 / 7, 0, 0]),
        (dict(temperature=1.0, top_p=0.65), [4 / 7, 3 / 7, 0, 0]),
        (dict(temperature=1.0, top_p=0.75), [4 / 9, 3 / 9, 2 / 9, 0]),
    ],
    ids=str,
)
def test_tokens_are_drawn_as_often_as_their_probabilities_say(options, expected):
    n = 5000
    rows = generate(constant(0.4, 0.3, 0.2, 0.1), [[0]] * n, Sampling(max_new_tokens=1, seed=3, **options), None, PAD)
    drawn = torch.tensor(rows).flatten().bincount(minlength=4)
    chi2 = sum((drawn[i] - n * p) ** 2 / (n * p) for i, p in enumerate(expected) if p)
    assert chi2 < 20  # with 3 degrees of freedom this happens by chance once in 6,000 times
    assert all(drawn[i] == 0 for i, p in enumerate(expected) if not p)


@each_model
def test_the_same_seed_gives_the_same_ids_and_another_seed_others(gpt):
    def drawn(seed):
        return generate(gpt, [[1, 2], [3]], Sampling(max_new_tokens=20, temperature=1.5, seed=seed), None, PAD)

    torch.manual_seed(0)
    first = drawn(7)
    torch.manual_seed(1)  # the state outside does not matter
    assert drawn(7) == first
    assert drawn(8) != first


def test_rows_with_the_same_prompt_are_drawn_apart():
    rows = generate(constant(0.5, 0.5), [[0], [0]], Sampling(max_new_tokens=30, temperature=1.0), None, PAD)
    assert rows[0] != rows[1]


# -------------------------------------------------------------------------------- the loop and its cache


@each_model
@cached_or_not
@pytest.mark.parametrize("length", [1, 5, 8, 11, 30])
@torch.no_grad()
def test_greedy_takes_the_most_probable_token_of_what_the_window_shows(gpt, length, cached):
    """Also past the context: n_ctx is 7 or 8, and up to 50 tokens are there in the end."""
    prompt = torch.randint(23, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    assert generate(gpt, [prompt], greedy(20), None, PAD, cached) == [continued_by_hand(gpt, prompt, 20)]


@each_model
@pytest.mark.parametrize("options", [dict(), dict(top_k=5), dict(top_p=0.9, repetition_penalty=1.3)], ids=str)
def test_the_cache_changes_nothing_when_sampling(gpt, options):
    sampling = Sampling(max_new_tokens=25, temperature=1.0, seed=5, **options)
    prompts = [[3], [1, 2, 3, 4, 5], [9, 9, 9]]
    with_cache = list(sample_steps(gpt, prompts, sampling, None, PAD, cached=True))
    without = list(sample_steps(gpt, prompts, sampling, None, PAD, cached=False))
    for a, b in zip(with_cache, without, strict=True):
        assert torch.equal(a.tokens, b.tokens)
        assert torch.allclose(a.logits, b.logits, atol=1e-4)
        assert torch.allclose(a.probabilities, b.probabilities, atol=1e-4)


@each_model
@cached_or_not
def test_prompts_of_different_lengths_are_continued_as_each_alone(gpt, cached):
    prompts = [[5], [1, 2, 3, 4], [9, 8], [PAD, PAD, 7]]  # the padding id may also be meant
    together = generate(gpt, prompts, greedy(4), None, PAD, cached)
    assert together == [generate(gpt, [prompt], greedy(4), None, PAD)[0] for prompt in prompts]


@each_model
def test_past_the_context_too_a_row_is_continued_as_it_is_alone(gpt):
    for seed in range(10):
        ids = torch.randint(23, (13,), generator=torch.Generator().manual_seed(seed)).tolist()
        prompts = [ids[:7], ids[7:12], ids[12:]]
        together = generate(gpt, prompts, greedy(10), None, PAD)
        assert together == [generate(gpt, [prompt], greedy(10), None, PAD)[0] for prompt in prompts]


def random_config(rng: random.Random) -> GPTConfig:
    """Any mixture of the options, few of which a known family has."""
    position, kv = rng.choice(["rotary", "learned"]), rng.choice([None, 1, 2, 4])
    qk_norm = rng.random() < 0.7
    return GPTConfig(
        n_vocab=rng.randint(11, 40), n_ctx=rng.randint(1, 12), n_layer=rng.randint(1, 2), n_head=4, n_embd=16, n_kv_head=kv,
        n_head_dim=rng.choice([None, 2, 6]), n_hidden=rng.choice([None, 5]), position=position,
        norm=rng.choice(["rms", "layer"]), activation=rng.choice(["relu2", "gelu", "swiglu"]),
        bias=rng.random() < 0.5, qkv_bias=rng.random() < 0.5, tied=rng.random() < 0.5, qk_norm=qk_norm,
        qk_gain=qk_norm and rng.random() < 0.5, rope_base=rng.choice([30.0, 1e4]), rope_factor=rng.choice([1.0, 3.0]),
        rope_original_ctx=rng.choice([8, 200]), norm_eps=rng.choice([1e-6, 1e-2]),
    )  # fmt: skip


def ragged_prompts(rng: random.Random, config: GPTConfig, b: int) -> list[list[int]]:
    """Prompts from one token to well past the context."""
    return [[rng.randrange(config.n_vocab) for _ in range(rng.randint(1, 2 * config.n_ctx + 3))] for _ in range(b)]


@pytest.mark.parametrize("seed", range(60))
@cached_or_not
def test_the_batched_loop_gives_each_row_what_the_plain_loop_gives(make_gpt, seed, cached):
    rng = random.Random(seed)
    gpt = make_gpt(random_config(rng), seed=seed)
    prompts = ragged_prompts(rng, gpt.config, rng.randint(1, 5))
    stop = rng.choice([None, 3])
    sampling = greedy(rng.randint(0, 30), repetition_penalty=rng.choice([1.0, 1.4]))
    plain = [generate_plain(gpt, prompt, sampling, stop) for prompt in prompts]
    assert generate(gpt, prompts, sampling, stop, PAD, cached) == plain


@pytest.mark.parametrize("seed", range(40))
@cached_or_not
def test_one_row_alone_is_drawn_as_in_the_plain_loop(make_gpt, seed, cached):
    rng = random.Random(100 + seed)
    gpt = make_gpt(random_config(rng), seed=seed)
    prompts = ragged_prompts(rng, gpt.config, 1)
    sampling = Sampling(25, rng.choice([0.3, 1.0, 2.0]), rng.choice([None, 3]), rng.choice([None, 0.8]),
                        rng.choice([1.0, 1.3]), seed)  # fmt: skip
    assert generate(gpt, prompts, sampling, 3, PAD, cached) == [generate_plain(gpt, prompts[0], sampling, 3)]


def test_the_plain_loop_leaves_prompt_and_model_as_they_were(make_gpt):
    prompt = [1, 2, 3]
    gpt = make_gpt()
    first = generate_plain(gpt, prompt, greedy(5), None)
    assert prompt == [1, 2, 3] and generate_plain(gpt, prompt, greedy(5), None) == first
    assert generate_plain(gpt, prompt, greedy(0), None) == []


# ---------------------------------------------------------------------------------- what it costs in memory


@pytest.fixture
def caches(monkeypatch) -> list[KVCache]:
    """The caches that are made while sampling."""
    made = []

    def make(*arguments):
        made.append(KVCache(*arguments))
        return made[-1]

    monkeypatch.setattr("minillm.generate.KVCache", make)
    return made


@pytest.mark.parametrize(
    ("lengths", "n", "n_ctx", "rooms"),
    [
        ([3], 4, 50, [7]),
        ([3, 9, 1], 4, 50, [13]),
        ([50], 1, 50, [50]),
        ([30], 100, 50, [50, 50, 50, 50, 30]),  # the window moves at 51, 76, 101 and 126 tokens: 26 shown, 4 to come
        ([60], 3, 50, [38]),  # 35 of its tokens are shown
    ],
)
def test_the_cache_has_room_for_prompt_and_new_tokens_and_no_more(make_gpt, caches, lengths, n, n_ctx, rooms):
    gpt = make_gpt(n_ctx=n_ctx, n_head=4, n_kv_head=2)
    generate(gpt, [[1] * length for length in lengths], greedy(n), None, PAD)
    assert [cache.room for cache in caches] == rooms  # one for each window: nothing is made anew per token
    for cache in caches:
        assert cache.keys.shape == cache.values.shape == (2, len(lengths), 2, cache.room, 4)
        assert cache.length <= cache.room


def test_without_a_cache_every_step_reads_the_whole_text(make_gpt):
    gpt, lengths = make_gpt(n_ctx=50), []
    gpt.tok_emb.register_forward_pre_hook(lambda module, args: lengths.append(args[0].shape[1]))
    generate(gpt, [[1] * 3, [2]], greedy(4), None, PAD, cached=False)
    generate(gpt, [[1] * 3, [2]], greedy(4), None, PAD)
    assert lengths == [3, 4, 5, 6, 3, 1, 1, 1]


@pytest.mark.parametrize("n_ctx", [4, 100])
def test_a_cache_never_runs_out_of_room(make_gpt, caches, n_ctx):
    for n in range(1, 12):
        generate(make_gpt(n_ctx=n_ctx), [[1] * 3, [2]], greedy(n), None, PAD)
    assert all(0 < cache.length <= cache.room <= n_ctx for cache in caches)


def test_the_cache_holds_the_format_that_the_model_computes_in(make_gpt, caches):
    def run(gpt):
        assert len(generate(gpt, [[1, 2, 3], [4]], greedy(20), None, PAD)[1]) == 20
        dtypes = {tensor.dtype for cache in caches for tensor in (cache.keys, cache.values)}
        caches.clear()
        return dtypes

    assert run(make_gpt()) == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        assert run(make_gpt()) == {torch.bfloat16}
    assert run(make_gpt().to(torch.bfloat16)) == {torch.bfloat16}
    assert run(make_gpt().to(torch.float64)) == {torch.float64}


@each_model
@cached_or_not
def test_only_the_last_position_of_each_row_is_scored(gpt, cached):
    shapes = []
    gpt.lm_head.register_forward_pre_hook(lambda module, args: shapes.append(tuple(args[0].shape)))
    generate(gpt, [[1] * 20, [2, 3]], greedy(9), None, PAD, cached)
    assert shapes == [(2, 1, 16)] * 9


def test_the_repetition_penalty_counts_prompt_and_answer_but_not_padding():
    gpt = Scripted(lambda i: torch.tensor([3.0, 2.5, 2.0, -1.0]), n_vocab=4)
    sampling = greedy(5, repetition_penalty=2.0)  # seen once or often: 1.5, 1.25, 1, -2
    assert generate(gpt, [[3], [0], [3, 3, 3]], sampling, None, pad=0) == [
        [0, 1, 2, 0, 0], [1, 2, 0, 0, 0], [0, 1, 2, 0, 0],
    ]  # fmt: skip


@cached_or_not
def test_a_row_ends_with_its_stop_while_the_others_go_on(cached):
    rows = generate(Scripted(counting), [[3], [6], [8], [0, 1]], greedy(6), 8, PAD, cached)
    assert rows == [[4, 5, 6, 7, 8], [7, 8], [9, 0, 1, 2, 3, 4], [2, 3, 4, 5, 6, 7]]


def test_the_loop_ends_when_every_row_has_stopped():
    steps = list(sample_steps(Scripted(counting), [[3], [6]], greedy(50), 8, PAD))
    assert [step.tokens.tolist() for step in steps] == [[4, 7], [5, 8], [6, PAD], [7, PAD], [8, PAD]]


def test_a_stop_in_the_prompt_stops_nothing_and_without_a_stop_the_loop_runs_to_its_limit():
    assert generate(Scripted(counting), [[8, 1], [8]], greedy(3), 8, PAD) == [[2, 3, 4], [9, 0, 1]]
    assert generate(Scripted(counting), [[7]], greedy(3), None, PAD) == [[8, 9, 0]]


def test_stop_may_be_the_same_id_as_padding():
    assert generate(Scripted(counting), [[6], [4]], greedy(6), stop=8, pad=8) == [[7, 8], [5, 6, 7, 8]]


@each_model
def test_stopped_rows_do_not_disturb_the_others(gpt):
    free = generate(gpt, [[1, 2], [4, 5]], greedy(6), None, PAD)
    stop = next(i for i in free[0] if i not in free[1])
    cut = free[0][: free[0].index(stop) + 1]
    assert generate(gpt, [[1, 2], [4, 5]], greedy(6), stop, PAD) == [cut, free[1]]


@cached_or_not
def test_nothing_is_generated_for_no_prompts_or_no_new_tokens(cached):
    gpt = Scripted(counting)
    assert generate(gpt, [], greedy(5), 8, PAD, cached) == []
    assert generate(gpt, [[1], [2, 3]], greedy(0), 8, PAD, cached) == [[], []]


@pytest.mark.parametrize("prompts", [[[]], [[1], []], [[], [1, 2]]])
def test_an_empty_prompt_is_refused(prompts):
    with pytest.raises(ValueError, match="empty"):
        generate(Scripted(counting), prompts, greedy(2), 8, PAD)


def test_prompts_are_not_changed():
    prompts = [[1], [2, 3]]
    generate(Scripted(counting), prompts, greedy(4), 8, PAD)
    assert prompts == [[1], [2, 3]]


# -------------------------------------------------------------------------------------------- window


@pytest.mark.parametrize(
    ("n_ctx", "starts"),
    [
        (8, {1: 0, 8: 0, 9: 4, 12: 4, 13: 8, 16: 8, 17: 12}),
        (7, {7: 0, 8: 3, 10: 3, 11: 6, 13: 6, 14: 9}),
        (2, {2: 0, 3: 1, 4: 2, 5: 3}),
        (1, {1: 0, 2: 1, 3: 2, 50: 49}),
    ],
)
def test_when_the_context_is_full_its_older_half_is_forgotten(n_ctx, starts):
    assert {length: window_start(length, n_ctx) for length in starts} == starts


@pytest.mark.parametrize("n_ctx", [1, 2, 3, 7, 8, 128])
def test_the_window_always_fits_and_never_shrinks_below_half(n_ctx):
    for length in range(1, 5 * n_ctx + 3):
        shown = length - window_start(length, n_ctx)
        assert min(length, n_ctx - n_ctx // 2) <= shown <= n_ctx
        assert window_start(length + 1, n_ctx) - window_start(length, n_ctx) in (0, max(1, n_ctx // 2))


# ------------------------------------------------------------------------------------------ as text


@pytest.fixture
def speaker(make_gpt, tokenizer):
    """A model that speaks at random, in the ids of the shared tokenizer."""
    return make_gpt(n_vocab=tokenizer.n_vocab, n_ctx=16)


@pytest.mark.parametrize("seed", range(8))
def test_streamed_text_is_the_text_of_what_is_generated(speaker, tokenizer, seed):
    sampling = Sampling(max_new_tokens=40, temperature=2.0, seed=seed)
    prompt = [tokenizer.doc, *tokenizer.encode("台湾 is")]
    (ids,) = generate(speaker, [prompt], sampling, tokenizer.end, tokenizer.pad)
    parts = list(stream(speaker, tokenizer, prompt, sampling))
    assert "".join(parts) == tokenizer.decode(ids)
    assert "" not in parts


def test_streaming_shows_whole_characters_and_ends_at_end(tokenizer):
    script = [*"玉🙂".encode(), tokenizer.end, ord("x")]

    def next_byte(i: int) -> torch.Tensor:
        logits = torch.zeros(tokenizer.n_vocab)
        logits[script[script.index(i) + 1] if i in script else script[0]] = 1
        return logits

    gpt = Scripted(next_byte, tokenizer.n_vocab)
    assert len(set(script)) == len(script)
    assert list(stream(gpt, tokenizer, [tokenizer.doc], greedy(50))) == ["玉", "🙂"]
    assert list(stream(gpt, tokenizer, [tokenizer.doc], greedy(5))) == ["玉", "\ufffd"]


@pytest.mark.parametrize("options", [dict(temperature=0.0), dict(temperature=1.0), dict(temperature=0.8, top_k=2)])
def test_candidates_show_the_models_own_probabilities_and_those_after_the_filters(speaker, tokenizer, options):
    prompts = [[tokenizer.doc], tokenizer.encode("早安")]
    n = tokenizer.n_vocab
    for step in sample_steps(speaker, prompts, Sampling(max_new_tokens=3, **options), None, tokenizer.pad):
        for row in range(2):
            texts, own, filtered = zip(*step.candidates(tokenizer, n, row), strict=True)
            assert sorted(texts) == sorted(tokenizer.tokens(range(n)))
            assert list(own) == sorted(own, reverse=True)
            assert sum(own) == pytest.approx(1, abs=1e-4)
            assert sum(filtered) == pytest.approx(1, abs=1e-4)
            best = [(tokenizer.tokens([i])[0], p) for p, i in zip(*step.logits[row].softmax(-1).topk(3), strict=True)]
            assert [(text, pytest.approx(p)) for text, p, _ in step.candidates(tokenizer, 3, row)] == best
            chosen = tokenizer.tokens([step.tokens[row]])[0]
            assert filtered[texts.index(chosen)] > 0
            if options == dict(temperature=0.0):
                assert (chosen, filtered[0]) == (texts[0], 1.0)
            if options == dict(temperature=1.0):
                assert filtered == pytest.approx(own, abs=1e-6)
            if "top_k" in options:
                assert sum(p > 0 for p in filtered) == 2


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_continuations_come_in_the_order_of_the_prompts(tokenizer, batch_size):
    end, letters = tokenizer.end, "abcdefg"

    def next_letter(i: int) -> torch.Tensor:
        following = ord(letters[letters.index(chr(i)) + 1]) if i < ord("g") else end
        return torch.eye(tokenizer.n_vocab)[following]

    prompts = [[ord(letter)] * n for letter, n in [("e", 3), ("a", 1), ("g", 2), ("f", 7), ("d", 1)]]
    assert continuations(Scripted(next_letter, tokenizer.n_vocab), tokenizer, prompts, greedy(3), batch_size) == [
        ("fg", True), ("bcd", False), ("", True), ("g", True), ("efg", False),
    ]  # fmt: skip


def test_continuations_of_a_real_model_are_those_of_each_prompt_alone(speaker, tokenizer):
    prompts = [tokenizer.encode(text) for text in ["早安", "The capital of", "naïve", "山"]]
    together = continuations(speaker, tokenizer, prompts, greedy(6), batch_size=3)
    alone = [generate(speaker, [p], greedy(6), tokenizer.end, tokenizer.pad)[0] for p in prompts]
    assert together == [(tokenizer.decode(ids).strip(), ids[-1] == tokenizer.end) for ids in alone]


@each_model
@pytest.mark.parametrize("lengths", [[3, 3], [1, 3, 2], [8, 5]])
def test_a_single_position_looks_at_the_cache_as_the_written_out_attention_does(gpt, lengths):
    rng = random.Random(len(lengths))
    prompts = [[rng.randrange(1, gpt.config.n_vocab) for _ in range(n)] for n in lengths]
    for prompt, row in zip(prompts, generate(gpt, prompts, greedy(6), None, PAD), strict=True):
        assert row == continued_by_hand(gpt, prompt, 6)


@pytest.mark.parametrize("seed", range(80))
def test_one_position_in_numpy_scores_as_the_model_does(make_gpt, seed, monkeypatch):
    rng = random.Random(seed)
    gpt, b = make_gpt(random_config(rng), seed=seed), rng.choice([1, 2, 5])
    if b == 1 and seed % 2:
        monkeypatch.setattr("minillm.plumbing.one_position.SMALL", 0)  # the products of a large model
    n_ctx = gpt.config.n_ctx
    ids = torch.randint(gpt.config.n_vocab, (b, n_ctx), generator=torch.Generator().manual_seed(seed))
    caches = [KVCache(gpt.config, b) for _ in range(2)]
    with torch.inference_mode():
        one = OnePosition(gpt, b)
        begin = rng.randint(1, n_ctx)
        for cache in caches:
            read(gpt, ids[:, :begin], None, cache)
        for t in range(begin, n_ctx):
            expected, found = read(gpt, ids[:, t : t + 1], None, caches[0]), one(ids[:, t], caches[1])
            assert found.shape == expected.shape and found.dtype == expected.dtype
            assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
            assert caches[1].length == caches[0].length
        for name in ("keys", "values"):
            pair = [getattr(cache, name) for cache in caches]
            torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_one_position_of_rows_of_which_each_ends_elsewhere(make_gpt, seed):
    rng = random.Random(seed)
    gpt, b = make_gpt(random_config(rng), seed=seed), rng.choice([1, 2, 5])
    ids = torch.randint(gpt.config.n_vocab, (b, gpt.config.n_ctx), generator=torch.Generator().manual_seed(seed))
    shared, one = KVCache(gpt.config, b + 1), OnePosition(gpt, b)  # one row more than are asked for
    for kept in (shared.keys, shared.values):
        kept.copy_(1e3 * torch.randn(kept.shape))  # what others left there
    lengths, alone = [], [KVCache(gpt.config, 1) for _ in range(b)]
    with torch.inference_mode():
        for i, own in enumerate(alone):
            lengths.append(rng.randrange(gpt.config.n_ctx) if i == 0 or seed % 4 else lengths[0])
            if lengths[i]:
                read(gpt, ids[i : i + 1, : lengths[i]], None, own)
            for kept, read_before in ((shared.keys, own.keys), (shared.values, own.values)):
                kept[:, i, :, : lengths[i]] = read_before[:, 0, :, : lengths[i]]
        while max(lengths) < gpt.config.n_ctx:
            new = torch.stack([row[n] for row, n in zip(ids, lengths, strict=True)])  # (B,)
            found = one(new, shared, lengths)  # (B, V)
            for i, own in enumerate(alone):
                expected = read(gpt, new[i : i + 1, None], None, own)[0]  # (1, V) -> (V)
                assert (found[i] - expected).abs().max() <= 1e-5 * expected.abs().max()
                lengths[i] += 1


def test_a_large_negative_number_overflows_in_no_activation():
    from minillm.plumbing import one_position

    x = torch.tensor([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0])
    functions = torch.nn.functional
    for ours, theirs in ((one_position.silu, functions.silu), (one_position.relu2, lambda x: functions.relu(x).square()),
                         (one_position.gelu, lambda x: functions.gelu(x, approximate="tanh"))):  # fmt: skip
        torch.testing.assert_close(torch.from_numpy(ours(x.numpy())), theirs(x), rtol=1e-5, atol=1e-6)


def test_what_is_not_a_plain_model_in_float32_is_left_to_the_model(make_gpt):
    def takes(gpt, rows: int = 2) -> bool:
        return OnePosition.is_for(gpt, rows)

    assert takes(make_gpt()) and takes(make_gpt(), rows=MOST_ROWS) and not takes(make_gpt(), rows=MOST_ROWS + 1)
    assert not takes(make_gpt().to(torch.bfloat16)) and not takes(make_gpt(), rows=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert not takes(make_gpt())
    adapted, hooked, patched = make_gpt(), make_gpt(), make_gpt()
    inject(adapted, LoRAConfig(rank=2))
    hooked.blocks[1].mlp.register_forward_hook(lambda *_: None)
    patched.blocks[0].attn.forward = patched.blocks[0].attn.forward
    assert not any(map(takes, (adapted, hooked, patched)))
    large = type(adapted)(GPTConfig(50_000, n_embd=256), seed=None)
    assert takes(large, rows=1) and not takes(large) and not OnePosition.is_small(large)


def test_the_weights_of_a_large_model_are_not_copied(make_gpt):
    gpt = make_gpt(GPTConfig(20_000, n_ctx=8, n_layer=2, n_head=4, n_kv_head=2, n_embd=256))
    assert not OnePosition.is_small(gpt)
    ids, cache = torch.tensor([7]), KVCache(gpt.config, 1)
    with torch.inference_mode():
        tracemalloc.start()
        try:
            OnePosition(gpt, 1)(ids, cache)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 0.02 * 4 * gpt.config.weights  # bytes; scores, (1, V), are a third of it


def test_the_repetition_penalty_counts_what_was_generated():
    text = generate(constant(0.5, 0.3, 0.2), [[0]], greedy(3, repetition_penalty=9.0), None, PAD)
    assert text == [[1, 2, 0]]


def test_rows_of_equal_length_need_no_padding():
    assert lay_out([[1, 2], [3, 4]], [0, 0], PAD, torch.device("cpu"))[1] is None
    ids, padding = lay_out([[1, 2, 3], [4, 5]], [1, 1], PAD, torch.device("cpu"))
    assert ids.tolist() == [[2, 3], [PAD, 5]] and padding.tolist() == [0, 1]
