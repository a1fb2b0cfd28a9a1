"""The GPT: no position sees the future, the fast ways give what the plain way gives, and it learns."""

import json
import math
import reprlib
from dataclasses import asdict

import pytest
import torch
from torch.nn import functional as F

from minillm.gpt import (
    GPT,
    KVCache,
    attention,
    causal_mask,
    count_parameters,
    rotary_angles,
    rotate,
    token_losses,
)
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config, rotary_slowdown
from minillm.plumbing.files import InputError

V, N_CTX = 23, 12
SHAPE = dict(n_ctx=N_CTX, n_layer=2, n_head=2, n_embd=16)
CONFIGS = {
    "default": GPTConfig(V, **SHAPE),
    "learned positions": GPTConfig(V, **SHAPE, position="learned"),
    "layer norm, gelu, bias": GPTConfig(V, **SHAPE, norm="layer", activation="gelu", bias=True),
    "layer norm without bias": GPTConfig(V, **SHAPE, norm="layer", tied=False),
    "no qk norm": GPTConfig(V, **SHAPE, qk_norm=False),
    "swiglu with bias": GPTConfig(V, **SHAPE, activation="swiglu", bias=True, n_hidden=7),
    "grouped keys": GPTConfig(V, **SHAPE | {"n_head": 4}, n_kv_head=2),
    "one key head, learned": GPTConfig(V, **SHAPE | {"n_head": 4}, n_kv_head=1, position="learned", qk_norm=False),
    "odd sizes": GPTConfig(V, n_ctx=N_CTX, n_layer=1, n_head=3, n_embd=15, position="learned", n_hidden=5),
    "gpt2": gpt2_config(V, **SHAPE),
    "llama": llama_config(V, **SHAPE | {"n_head": 4}, n_kv_head=2, n_hidden=20),
    "wide heads": GPTConfig(V, **SHAPE, n_head_dim=10),
    "narrow heads, grouped": GPTConfig(V, **SHAPE | {"n_head": 3}, n_head_dim=2, n_kv_head=1, position="learned"),
    "bias on query, key and value": llama_config(V, **SHAPE, qkv_bias=True, n_hidden=20),
    "gain in qk norm": GPTConfig(V, **SHAPE, qk_gain=True, norm_eps=1e-3),
    "gain in qk norm, layer norm": GPTConfig(V, **SHAPE, qk_gain=True, norm="layer", bias=True),
    "stretched": GPTConfig(V, **SHAPE, rope_base=50.0, rope_factor=4.0, rope_original_ctx=20),
}
ROTARY = [name for name, config in CONFIGS.items() if config.position == "rotary"]
each_config = pytest.mark.parametrize("name", CONFIGS)
each_rotary_config = pytest.mark.parametrize("name", ROTARY)
either_attention = pytest.mark.parametrize("fused", [False, True], ids=["handwritten", "fused"])


@pytest.fixture
def gpt(make_gpt, name) -> GPT:
    return make_gpt(CONFIGS[name])


def random_ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def packed_mask(*lengths: int) -> torch.Tensor:
    """Segments of these lengths side by side, none of which sees another."""
    segments = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return causal_mask(len(segments), len(segments)) & (segments[:, None] == segments)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """Equal up to float32 rounding, measured against the size of the numbers."""
    return bool((a - b).abs().max() <= tolerance * max(1, b.abs().max().item()))


# ---------------------------------------------------------------------------------------- no future


@each_config
def test_a_row_of_logits_comes_out_at_every_position(gpt):
    for b, t in [(1, 1), (3, 7), (2, N_CTX)]:
        assert gpt(random_ids(b, t)).shape == (b, t, V)


@each_config
@either_attention
def test_changing_a_token_changes_its_own_logits_and_none_before(gpt, fused):
    ids = random_ids(3, 9)
    before = gpt(ids, fused=fused)
    for t in range(9):
        changed = ids.clone()
        changed[:, t] = (ids[:, t] + 1) % V
        after = gpt(changed, fused=fused)
        assert torch.equal(after[:, :t], before[:, :t])
        assert not close(after[:, t], before[:, t])


@each_config
def test_no_gradient_flows_from_a_position_to_later_inputs(gpt):
    inputs = []
    gpt.tok_emb.register_forward_hook(lambda module, args, output: inputs.append(output))
    logits = gpt(random_ids(2, 7))
    for t in range(7):
        (gradient,) = torch.autograd.grad(logits[:, t].square().sum(), inputs, retain_graph=True)
        assert (gradient[:, t + 1 :] == 0).all()
        assert (gradient[:, : t + 1].abs().sum(-1) > 0).all()  # and from all earlier ones it does


@each_config
def test_rows_of_a_batch_do_not_mix(gpt):
    ids = random_ids(4, 8)
    assert close(gpt(ids), torch.cat([gpt(row[None]) for row in ids]))


@each_config
def test_attention_weights_are_shares_of_what_is_allowed_to_be_seen(gpt, name):
    trace = []
    traced = gpt(random_ids(2, 6), trace=trace)
    assert torch.equal(traced, gpt(random_ids(2, 6)))
    assert len(trace) == gpt.config.n_layer
    for weights in trace:
        assert weights.shape == (2, gpt.config.n_head, 6, 6)
        assert close(weights.sum(-1), torch.ones(2, gpt.config.n_head, 6))
        assert (weights.triu(1) == 0).all()
        assert (weights.tril() >= 0).all()
    assert not close(trace[0][:, 0], trace[0][:, 1], 1e-2)  # the heads look at different things


# ------------------------------------------------------------------- the fast way equals the plain way


@each_config
@either_attention
@pytest.mark.parametrize("chunk", [1, 3, N_CTX])
@torch.no_grad()
def test_reading_in_chunks_with_a_cache_gives_the_same_logits(gpt, chunk, fused):
    ids = random_ids(3, N_CTX)
    cache = KVCache(gpt.config, 3)
    parts = [gpt(part, cache=cache, fused=fused) for part in ids.split(chunk, dim=1)]
    assert close(torch.cat(parts, dim=1), gpt(ids))
    assert cache.length == N_CTX


@each_config
@pytest.mark.parametrize("mask", [None, packed_mask(3, 1, 5), packed_mask(9)], ids=["causal", "packed", "one segment"])
def test_fused_and_handwritten_attention_agree(gpt, mask):
    ids = random_ids(2, 9)
    assert close(gpt(ids, mask, fused=True), gpt(ids, mask, fused=False))


@each_config
@either_attention
def test_a_mask_of_each_row_is_its_own(gpt, fused):
    ids, masks = random_ids(2, 9), torch.stack([packed_mask(4, 5), packed_mask(2, 7)])[:, None]  # (B, 1, T, T)
    alone = [gpt(ids[i : i + 1], masks[i, 0], fused=fused) for i in range(2)]
    assert close(gpt(ids, masks, fused=fused), torch.cat(alone))


@each_config
@either_attention
def test_packed_segments_with_positions_from_0_give_what_each_gives_alone(gpt, fused):
    ids = random_ids(2, 9)
    positions = torch.tensor([[0, 1, 2, 0, 0, 1, 2, 3, 4]])
    packed = gpt(ids, packed_mask(3, 1, 5), positions, fused=fused)
    alone = [gpt(part, fused=fused) for part in ids.split([3, 1, 5], dim=1)]
    assert close(packed, torch.cat(alone, dim=1))


@each_config
@either_attention
def test_a_row_that_may_look_at_nothing_gives_finite_numbers(gpt, fused):
    mask = packed_mask(2, 5).clone()
    mask[[0, 3]] = False
    logits = gpt(random_ids(2, 7), mask, fused=fused)
    logits.logsumexp(-1).sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in gpt.parameters())


def test_attention_is_softmax_of_scaled_products():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 1, 5, 6).unbind()
    y, weights = attention(q, k, v, causal_mask(5, 5))
    for t in range(5):
        scores = torch.tensor([math.exp(q[0, 0, t] @ k[0, 0, s] / math.sqrt(6)) for s in range(t + 1)])
        shares = scores / scores.sum()
        assert close(weights[0, 0, t, : t + 1], shares)
        assert close(y[0, 0, t], shares @ v[0, 0, : t + 1])


def test_the_causal_mask_ends_in_the_corner():
    assert causal_mask(2, 4).tolist() == [[True, True, True, False], [True, True, True, True]]


@each_config
@torch.no_grad()
def test_the_last_position_alone_has_the_logits_it_has_among_all(gpt):
    ids, widths = random_ids(3, 9), []
    gpt.lm_head.register_forward_pre_hook(lambda module, args: widths.append(args[0].shape[1]))
    assert close(gpt(ids, last_only=True), gpt(ids)[:, -1:])
    assert widths == [1, 9]  # the scores of the others are not even computed


@each_config
@torch.no_grad()
def test_a_cache_takes_the_room_it_is_given(gpt):
    ids, cache = random_ids(3, 7), KVCache(gpt.config, 3, room=7)
    assert cache.keys.shape == cache.values.shape == (
        gpt.config.n_layer, 3, gpt.config.kv_heads, 7, gpt.config.head_dim,
    )  # fmt: skip
    assert close(torch.cat([gpt(ids[:, :4], cache=cache), gpt(ids[:, 4:], cache=cache)], dim=1), gpt(ids))
    with pytest.raises(ValueError, match="8 tokens"):
        gpt(ids[:, :1], cache=cache)
    assert KVCache(gpt.config, 1).room == KVCache(gpt.config, 1, room=99).room == N_CTX


@each_config
@torch.no_grad()
def test_the_format_it_computes_in_is_that_of_its_keys(gpt):
    ids, seen = random_ids(1, 3), []
    gpt.blocks[0].attn.value.register_forward_hook(lambda module, args, y: seen.append((y.dtype, gpt.dtype)))
    gpt(ids)
    with torch.autocast("cpu", torch.bfloat16):
        gpt(ids)
    gpt.to(torch.bfloat16)(ids)
    assert seen == [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16), (torch.bfloat16, torch.bfloat16)]


# ----------------------------------------------------------------------------------------- positions


@each_config
def test_positions_are_counted_from_0_by_default(gpt):
    ids = random_ids(3, 8)
    for positions in (torch.arange(8)[None], torch.arange(8).expand(3, 8)):
        assert torch.equal(gpt(ids, positions=positions), gpt(ids))


@each_config
def test_the_order_of_tokens_matters(gpt):
    ids = random_ids(2, 8)
    assert not close(gpt(ids, positions=torch.arange(8).flip(0)[None]), gpt(ids), 1e-2)


@each_rotary_config
def test_rotary_positions_tell_distances_only(gpt):
    ids = random_ids(2, 7)
    for shift in (1, 5):
        assert close(gpt(ids, positions=torch.arange(7)[None] + shift), gpt(ids), 1e-4)


def test_rotation_turns_pairs_of_channels_as_complex_numbers():
    torch.manual_seed(0)
    angles = rotary_angles(9, 6, 100.0)
    x = torch.randn(2, 3, 9, 6)
    turned = torch.complex(x[..., :3], x[..., 3:]) * torch.polar(torch.ones(9, 3), angles)
    assert close(rotate(x, angles.cos(), angles.sin()), torch.cat((turned.real, turned.imag), dim=-1))
    assert close(angles[5], torch.tensor([5.0, 5.0 / 100 ** (1 / 3), 5.0 / 100 ** (2 / 3)]))


def test_a_stretched_context_slows_the_slow_pairs_only():
    config = GPTConfig(V, n_head=1, n_embd=10, rope_base=10_000.0, rope_factor=8.0, rope_original_ctx=1000,
                       rope_low_freq=2.0, rope_high_freq=6.0)  # fmt: skip
    turns = [1000 / (2 * math.pi) / 10_000 ** (i / 5) for i in range(5)]  # 159, 25.2, 4.0, 0.63, 0.1
    between = (turns[2] - 2) / 4
    expected = [1, 1, between + (1 - between) / 8, 1 / 8, 1 / 8]
    assert rotary_slowdown(config).tolist() == pytest.approx(expected)
    gpt = GPT(config)
    angles = rotary_angles(128, 10, 10_000.0) * torch.tensor(expected)
    assert close(gpt.cos, angles.cos(), 1e-4) and close(gpt.sin, angles.sin(), 1e-4)


def test_without_a_factor_the_other_numbers_of_stretching_change_no_bit():
    plain = GPT(GPTConfig(V))
    for options in (dict(rope_original_ctx=16), dict(rope_low_freq=0.1, rope_high_freq=0.2)):
        other = GPT(GPTConfig(V, **options))
        assert torch.equal(other.cos, plain.cos) and torch.equal(other.sin, plain.sin)


def test_the_rotary_base_sets_how_fast_the_angles_turn(make_gpt):
    ids = random_ids(1, 9)
    assert not close(make_gpt(n_vocab=V, rope_base=10.0)(ids), make_gpt(n_vocab=V)(ids), 1e-2)


# ------------------------------------------------------------------------------ the parts, one by one


def test_the_gpt2_of_the_paper(make_gpt):
    """GPT-2 written once more with PyTorch's own functions."""
    gpt = make_gpt(CONFIGS["gpt2"])
    w, ids = gpt.state_dict(), random_ids(2, 9)

    def norm(x, name):
        return F.layer_norm(x, (16,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    def linear(x, name):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    x = w["tok_emb.weight"][ids] + w["pos_emb.weight"][:9]
    for b in ("blocks.0", "blocks.1"):
        y = norm(x, f"{b}.norm1")
        q, k, v = (linear(y, f"{b}.attn.{n}").unflatten(-1, (2, 8)).transpose(1, 2) for n in ("query", "key", "value"))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + linear(y, f"{b}.attn.out")
        x = x + linear(F.gelu(linear(norm(x, f"{b}.norm2"), f"{b}.mlp.up"), approximate="tanh"), f"{b}.mlp.down")
    assert close(gpt(ids), norm(x, "norm") @ w["tok_emb.weight"].T)


def test_the_llama_of_the_paper(make_gpt):
    """LLaMA with two query heads to a key head, written once more."""
    gpt = make_gpt(CONFIGS["llama"])
    w, ids = gpt.state_dict(), random_ids(2, 9)
    turn = torch.polar(torch.ones(9, 2), torch.arange(9.0)[:, None] * 10_000.0 ** -torch.tensor([0.0, 0.5]))

    def heads(x, name):
        return F.linear(x, w[f"{name}.weight"]).unflatten(-1, (-1, 4)).transpose(1, 2)

    def rotary(x):
        z = torch.complex(x[..., :2], x[..., 2:]) * turn
        return torch.cat((z.real, z.imag), dim=-1)

    x = w["tok_emb.weight"][ids]
    for b in ("blocks.0", "blocks.1"):
        y = F.rms_norm(x, (16,), w[f"{b}.norm1.weight"], 1e-6)
        q, k, v = rotary(heads(y, f"{b}.attn.query")), rotary(heads(y, f"{b}.attn.key")), heads(y, f"{b}.attn.value")
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2).flatten(2)
        x = x + y @ w[f"{b}.attn.out.weight"].T
        y = F.rms_norm(x, (16,), w[f"{b}.norm2.weight"], 1e-6)
        gated = F.silu(y @ w[f"{b}.mlp.gate.weight"].T) * (y @ w[f"{b}.mlp.up.weight"].T)
        x = x + gated @ w[f"{b}.mlp.down.weight"].T
    assert close(gpt(ids), F.rms_norm(x, (16,), w["norm.weight"], 1e-6) @ w["lm_head.weight"].T)


def test_relu2_is_the_square_of_relu(make_gpt):
    mlp = make_gpt(CONFIGS["default"]).blocks[0].mlp
    x = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0))
    assert close(mlp(x), (x @ mlp.up.weight.T).clamp(min=0) ** 2 @ mlp.down.weight.T)


def test_qk_norm_makes_the_length_of_queries_and_keys_irrelevant(make_gpt):
    for normed, qk_norm in ((True, True), (False, False)):
        gpt, ids = make_gpt(n_vocab=V, qk_norm=qk_norm, seed=1), random_ids(2, 8)
        before = gpt(ids)
        with torch.no_grad():
            gpt.blocks[0].attn.query.weight *= 7
            gpt.blocks[1].attn.key.weight *= 7
        assert close(gpt(ids), before, 1e-3) == normed


@pytest.mark.parametrize("gain", [True, False])
def test_qk_norm_divides_by_the_root_mean_square_and_multiplies_by_the_gain(make_gpt, gain):
    """Queries and keys written out: x / √(mean x² + eps) · gain, with the eps of the config."""
    gpt = make_gpt(GPTConfig(V, **SHAPE, qk_gain=gain, norm_eps=0.5))
    attn, seen = gpt.blocks[0].attn, {}
    for name in ("query", "key"):
        attn.get_submodule(name).register_forward_hook(lambda module, args, y, name=name: seen.update({name: y}))
    trace = []
    gpt(random_ids(1, 6), positions=torch.zeros(1, 6, dtype=torch.long), trace=trace)  # position 0 turns nothing
    q, k = (seen[name].unflatten(-1, (2, 8)).transpose(1, 2) for name in ("query", "key"))  # (B, H, T, D)
    q, k = (x / (x.square().mean(-1, keepdim=True) + 0.5).sqrt() for x in (q, k))
    if gain:
        q, k = q * attn.q_norm.weight, k * attn.k_norm.weight
    scores = q @ k.mT / 8**0.5
    assert close(trace[0], scores.masked_fill(~causal_mask(6, 6), -torch.inf).softmax(-1))


def test_query_key_and_value_alone_have_biases():
    names = {
        n.split(".")[-2] for n, _ in GPT(CONFIGS["bias on query, key and value"]).named_parameters() if "bias" in n
    }
    assert names == {"query", "key", "value"}


@pytest.mark.parametrize("n_kv_head", [1, 2])
def test_neighbouring_query_heads_share_a_key_head(make_gpt, n_kv_head):
    shape = SHAPE | {"n_head": 4, "n_embd": 16}
    grouped, full = make_gpt(GPTConfig(V, **shape, n_kv_head=n_kv_head)), make_gpt(GPTConfig(V, **shape))
    weights = grouped.state_dict()
    for name in [n for n in weights if ".key." in n or ".value." in n]:  # (Hkv * D, C): each head written out again
        by_head = weights[name].unflatten(0, (n_kv_head, 4))
        weights[name] = torch.cat([by_head[h * n_kv_head // 4] for h in range(4)])
    full.load_state_dict(weights)
    assert close(grouped(random_ids(2, 9)), full(random_ids(2, 9)))


# ---------------------------------------------------------------------------------------- parameters


def test_a_tied_head_is_the_embedding_itself():
    tied, untied = GPT(GPTConfig(V, **SHAPE)), GPT(GPTConfig(V, **SHAPE, tied=False))
    assert tied.lm_head.weight is tied.tok_emb.weight
    assert untied.lm_head.weight is not untied.tok_emb.weight
    assert count_parameters(untied) - count_parameters(tied) == V * 16


@each_config
def test_the_weights_of_a_config_are_counted_without_building_it(name):
    config, gpt = CONFIGS[name], GPT(CONFIGS[name])
    table = 0 if config.position == "learned" else gpt.cos.numel() + gpt.sin.numel()
    assert config.weights == sum(p.numel() for p in gpt.parameters() if p.dim() == 2) + table


def test_the_names_of_a_default_model_are_these():
    """Run folders hold them."""
    block = ["norm1.weight", "attn.query.weight", "attn.key.weight", "attn.value.weight", "attn.out.weight",
             "norm2.weight", "mlp.up.weight", "mlp.down.weight"]  # fmt: skip
    blocks = [f"blocks.{i}.{name}" for i in range(2) for name in block]
    assert list(GPT(GPTConfig(V, n_layer=2)).state_dict()) == [
        "tok_emb.weight",
        *blocks,
        "norm.weight",
        "lm_head.weight",
    ]


def test_the_number_of_parameters_of_gpt2():
    with torch.device("meta"):  # shapes without numbers
        n = count_parameters(GPT(gpt2_config()))
    c, v = 768, 50_257
    block = 2 * 2 * c + 4 * (c * c + c) + (4 * c * c + 4 * c) + (4 * c * c + c)
    assert n == v * c + 1024 * c + 12 * block + 2 * c == 124_439_808


def test_the_number_of_parameters_of_llama_7b():
    with torch.device("meta"):
        n = count_parameters(GPT(llama_config()))
    c, hidden, v = 4096, 11_008, 32_000
    assert n == 2 * v * c + 32 * (4 * c * c + 3 * c * hidden + 2 * c) + c == 6_738_415_616


def test_only_trainable_parameters_are_counted_if_asked():
    gpt = GPT(GPTConfig(V, **SHAPE))
    gpt.tok_emb.requires_grad_(False)
    assert count_parameters(gpt) - count_parameters(gpt, trainable_only=True) == V * 16


@each_config
def test_the_seed_alone_decides_the_weights(name):
    states = []
    for seed, outside in [(5, 0), (5, 1), (6, 0)]:
        torch.manual_seed(outside)
        states.append(GPT(CONFIGS[name], seed).state_dict())
    assert all(torch.equal(states[0][n], states[1][n]) for n in states[0])
    assert not torch.equal(states[0]["tok_emb.weight"], states[2]["tok_emb.weight"])


@each_config
def test_without_a_seed_no_number_is_drawn_and_a_state_dict_fills_everything(make_gpt, name):
    before = torch.get_rng_state()
    empty, drawn = GPT(CONFIGS[name], seed=None), make_gpt(CONFIGS[name])
    assert torch.equal(torch.get_rng_state(), before)
    empty.load_state_dict(drawn.state_dict())
    assert torch.equal(empty(random_ids(2, 5)), drawn(random_ids(2, 5)))


def test_layers_that_write_to_the_residual_stream_start_smaller():
    for n_layer in (1, 8):
        gpt = GPT(GPTConfig(V, n_layer=n_layer, n_head=2, n_embd=64, bias=True, activation="swiglu", qk_gain=True))
        for name, p in gpt.named_parameters():
            if p.dim() == 1:
                assert (p == (0 if name.endswith("bias") else 1)).all()
            else:
                expected = 0.02 / math.sqrt(2 * n_layer) if name.endswith(("out.weight", "down.weight")) else 0.02
                assert p.std().item() == pytest.approx(expected, rel=0.1)


def test_weights_and_positions_survive_a_state_dict(make_gpt):
    old, new = make_gpt(CONFIGS["default"]), GPT(CONFIGS["default"], seed=9)
    assert {"cos", "sin"}.isdisjoint(old.state_dict())  # computed from the config, not saved
    new.load_state_dict(old.state_dict())
    assert torch.equal(new(random_ids(2, 5)), old(random_ids(2, 5)))


# ------------------------------------------------------------------------------------------ learning


@each_config
def test_before_training_all_tokens_are_about_equally_likely(name):
    config = GPTConfig(**vars(CONFIGS[name]) | {"n_vocab": 500})
    ids = torch.randint(500, (4, N_CTX + 1), generator=torch.Generator().manual_seed(0))
    loss = token_losses(GPT(config)(ids[:, :-1]), ids[:, 1:]).mean()
    assert loss.item() == pytest.approx(math.log(500), abs=0.1)


@each_config
def test_it_can_learn_one_batch_by_heart(name):
    gpt = GPT(CONFIGS[name])
    optimizer = torch.optim.AdamW(gpt.parameters(), lr=1e-2, weight_decay=0.0)
    ids = random_ids(3, 10)
    ids[:, 0] = torch.arange(3)  # what follows is decided by what came before
    for _ in range(199):
        loss = token_losses(gpt(ids[:, :-1]), ids[:, 1:]).mean()
        if loss < 0.05:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


@pytest.mark.parametrize(("b", "t", "v"), [(1, 1, 2), (3, 5, 7), (2, 1, 500)])
def test_token_losses_are_pytorchs_cross_entropy_and_so_are_their_gradients(b, t, v):
    torch.manual_seed(0)
    targets, weights = torch.randint(v, (b, t)), torch.rand(b, t)
    ours = (torch.randn(b, t, v) * 30).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    losses = token_losses(ours, targets)
    expected = F.cross_entropy(theirs.transpose(1, 2), targets, reduction="none")
    (losses * weights).sum().backward()
    (expected * weights).sum().backward()
    assert losses.shape == (b, t)
    assert close(losses, expected)
    assert close(ours.grad, theirs.grad, 1e-6)


def test_token_losses_are_float32_for_bfloat16_logits():
    logits = torch.tensor([[[100.0, 0.0], [0.0, 0.0]]], dtype=torch.bfloat16)
    losses = token_losses(logits, torch.tensor([[1, 0]]))
    assert losses.dtype == torch.float32
    assert losses.tolist() == [[100.0, pytest.approx(math.log(2))]]


def test_the_gradient_in_bfloat16_is_the_one_in_float32_rounded():
    torch.manual_seed(1)
    logits, targets, weights = torch.randn(3, 4, 50).bfloat16(), torch.randint(50, (3, 4)), torch.rand(3, 4)
    grads = []
    for x in (logits, logits.float()):
        x.requires_grad_()
        (token_losses(x, targets) * weights).sum().backward()
        grads.append(x.grad.float())
    assert close(grads[0], grads[1], 2**-7)


def test_losses_nobody_learns_from_keep_nothing():
    with torch.no_grad():
        losses = token_losses(torch.zeros(1, 2, 4), torch.zeros(1, 2, dtype=torch.long))
    assert not losses.requires_grad and losses.tolist() == [[pytest.approx(math.log(4))] * 2]


@each_config
def test_it_runs_in_bfloat16_autocast(gpt):
    ids = random_ids(2, 8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = gpt(ids)
    assert logits.dtype == torch.bfloat16
    assert close(logits.float().softmax(-1), gpt(ids).softmax(-1), 0.3)


# ------------------------------------------------------------------------------------------ refusals


@each_config
def test_more_tokens_than_the_context_are_refused(gpt):
    with pytest.raises(ValueError, match=r"13 tokens .* context of 12"):
        gpt(random_ids(1, N_CTX + 1))
    cache = KVCache(gpt.config, 1)
    gpt(random_ids(1, 10), cache=cache)
    with pytest.raises(ValueError, match="13 tokens"):
        gpt(random_ids(1, 3), cache=cache)
    assert gpt(random_ids(1, 2), cache=cache).isfinite().all()  # and the refusal changed nothing


@pytest.mark.parametrize(
    "wrong",
    [
        dict(n_vocab=0), dict(n_ctx=0), dict(n_layer=0), dict(n_head=0), dict(n_embd=0), dict(n_layer=-1),
        dict(n_head=3, n_embd=16), dict(n_head=4, n_kv_head=3), dict(n_head=2, n_kv_head=4), dict(n_kv_head=-1),
        dict(n_hidden=-1), dict(n_head=2, n_embd=6), dict(position="alibi"), dict(norm="batch"),
        dict(activation="tanh"),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_and_names_that_make_no_model_are_refused(wrong):
    with pytest.raises(ValueError):
        GPTConfig(**dict(n_vocab=V) | wrong)


SIZES = ("n_vocab", "n_ctx", "n_layer", "n_head", "n_embd", "n_kv_head", "n_head_dim", "n_hidden", "rope_original_ctx")
NUMBERS = ("rope_base", "norm_eps", "rope_factor", "rope_low_freq", "rope_high_freq")
FLAGS = ("bias", "qkv_bias", "tied", "qk_norm", "qk_gain")
CHOICES = ("position", "norm", "activation")
ODD = [
    "3",
    "",
    [],
    {},
    [4],
    math.nan,
    math.inf,
    -math.inf,
    -1,
    0,
    -(10**31),
    10**31,
    10**5000,
    "x" * 10**5,
    "a\nb",
    b"1",
]
WRONG = (
    [(name, value) for name in SIZES for value in [*ODD, True, 2.0, 1e39]]
    + [(name, value) for name in NUMBERS for value in [*ODD, True, None, 1e-46, 1e39]]
    + [(name, value) for name in FLAGS for value in [*ODD, None, 1, 0.0]]
    + [(name, value) for name in CHOICES for value in [*ODD, None, True, "RMS"]]
    + [(name, None) for name in SIZES if name not in ("n_kv_head", "n_head_dim", "n_hidden")]
    + [("n_layer", 10**9), ("n_layer", 1001), ("n_ctx", 2**20 + 1), ("n_vocab", 10**9), ("n_embd", 4 * 10**6),
       ("n_hidden", 10**9), ("n_head_dim", 10**8), ("rope_high_freq", 1.0), ("rope_low_freq", 4.0)]
)  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda x: reprlib.repr(x) if x != 10**5000 else "10^5000")
def test_a_value_that_no_model_can_have_is_refused_in_one_line_before_anything_is_built(name, value):
    with pytest.raises(InputError) as error:
        GPTConfig(**dict(n_vocab=V) | {name: value})
    message = str(error.value)
    assert "\n" not in message and len(message) < 300
    assert name in message or "weights" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(n_layer=1000, n_embd=4096, n_head=32), "201,326,702,592 weights: .*at most 20,000,000,000"),
        (dict(n_head=3, n_embd=16), "n_embd 16 is not a multiple of n_head 3"),
        (dict(n_head_dim=7), "a head has 7 channels: .*even"),
        (dict(qk_gain=True, qk_norm=False), "qk_gain .*: set qk_norm"),
        (dict(rope_low_freq=8.0), "rope_high_freq is 4.0: it must be above rope_low_freq"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused_with_what_to_do(options, message):
    with pytest.raises(InputError, match=message):
        GPTConfig(**dict(n_vocab=V) | options)


def test_with_a_head_size_of_its_own_the_width_need_be_no_multiple_of_the_heads():
    config = GPTConfig(V, n_head=3, n_embd=16, n_head_dim=4)
    assert GPT(config)(random_ids(1, 2)).shape == (1, 2, V)
    assert (config.head_dim, GPTConfig(V, n_head=4, n_embd=32).head_dim) == (4, 8)


def test_configs_written_before_an_option_existed_still_load():
    older = dict(n_vocab=V, n_ctx=12, n_layer=2, n_head=2, n_embd=16, n_kv_head=None, n_hidden=None, position="rotary",
                 norm="rms", activation="relu2", bias=False, tied=True, qk_norm=True, rope_base=10000.0, norm_eps=1e-05)  # fmt: skip
    assert GPTConfig(**older) == CONFIGS["default"]


@each_config
def test_a_config_survives_json(name):
    assert GPTConfig(**json.loads(json.dumps(asdict(CONFIGS[name])))) == CONFIGS[name]


def test_learned_positions_allow_odd_heads():
    assert GPT(GPTConfig(V, n_head=2, n_embd=6, position="learned"))(random_ids(1, 2)).shape == (1, 2, V)


def test_sizes_left_out_follow_from_the_others():
    config = GPTConfig(V, n_head=4, n_embd=32)
    assert (config.head_dim, config.kv_heads, config.hidden) == (8, 4, 128)
