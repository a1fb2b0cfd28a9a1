"""LoRA: a small difference next to frozen weights. B is random throughout: with B = 0 nothing would be shown."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from minillm import lora
from minillm.gpt import GPT, count_parameters, token_losses
from minillm.gpt_families import gpt2_config, llama_config
from minillm.lora import LoRAConfig, LoRALinear
from minillm.plumbing.files import InputError
from minillm.plumbing.tensors import copy_into, write_tensors

V = 23
MODELS = {
    "default": dict(),
    "gpt2": dict(config=gpt2_config(V, n_ctx=12, n_layer=2, n_head=2, n_embd=16)),
    "llama": dict(config=llama_config(V, n_ctx=12, n_layer=1, n_head=4, n_kv_head=2, n_embd=16, n_hidden=20)),
}
each_model = pytest.mark.parametrize("name", MODELS)
IDS = torch.randint(V, (3, 9), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def base(make_gpt, name) -> GPT:
    return make_gpt(**MODELS[name])


@torch.no_grad()
def randomise_b(model: nn.Module, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for adapter in lora.adapters(model).values():
        adapter.B.normal_(0, 0.3, generator=generator)


def adapted(base: GPT, config: LoRAConfig | None = None, seed: int = 0) -> GPT:
    """A copy of the base with adapters that do something."""
    model = copy.deepcopy(base)
    lora.inject(model, config or LoRAConfig(rank=3, alpha=5.0), seed)
    randomise_b(model)
    return model.eval()


def adapted_linear(bias: bool = True, **options) -> LoRALinear:
    """One layer, 7 inputs and 5 outputs."""
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(7, 5, bias=bias), LoRAConfig(**options))
    nn.init.normal_(layer.B)
    return layer


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() <= 1e-5 * max(1, b.abs().max().item()))


def plain_name(name: str) -> str:
    """The name a parameter of the base had before an adapter was put around it."""
    return name.replace(".base.", ".")


# --------------------------------------------------------------------------------------- one layer


@pytest.mark.parametrize(("rank", "alpha"), [(1, 1.0), (1, 16.0), (3, 2.0), (4, 4.0), (8, 5.0)])
def test_delta_is_alpha_over_rank_times_b_a_and_of_low_rank(rank, alpha):
    layer = adapted_linear(rank=rank, alpha=alpha)
    by_hand = torch.zeros(5, 7)
    for r in range(rank):
        by_hand += alpha / rank * torch.outer(layer.B[:, r], layer.A[r])
    assert close(layer.delta(), by_hand)
    assert torch.linalg.matrix_rank(layer.delta()) == min(rank, 5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (4, 7), (2, 3, 7), (0, 7)])
def test_the_layer_computes_w_plus_delta(shape, bias):
    layer, x = adapted_linear(bias, rank=2, alpha=3.0), torch.randn(shape)
    expected = x @ (layer.base.weight + 1.5 * layer.B @ layer.A).T + (layer.base.bias if bias else 0)
    assert layer(x).shape == (*shape[:-1], 5)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_doubling_alpha_doubles_the_change():
    once, twice, x = adapted_linear(alpha=3.0), adapted_linear(alpha=6.0), torch.randn(4, 7)
    twice.load_state_dict(once.state_dict())
    assert close(twice(x) - twice.base(x), 2 * (once(x) - once.base(x)))
    assert not close(once(x), once.base(x))


def test_merging_and_unmerging_a_layer_change_its_cost_but_not_its_output():
    layer, x = adapted_linear(rank=2), torch.randn(4, 7)
    before, weight = layer(x), layer.base.weight.clone()
    layer.merge()
    merged = layer.base.weight.clone()
    assert close(merged, weight + layer.delta())
    layer.merge()  # twice is once
    assert torch.equal(layer.base.weight, merged)
    assert close(layer(x), before)
    assert torch.equal(layer(x), layer.base(x))
    layer.unmerge()
    assert close(layer.base.weight, weight)
    assert close(layer(x), before)
    restored = layer.base.weight.clone()
    layer.unmerge()  # twice is once
    assert torch.equal(layer.base.weight, restored)


def test_dropout_hides_inputs_from_the_adapter_only_and_only_in_training():
    layer = adapted_linear(rank=2, dropout=0.75)
    x = torch.zeros(200, 7)
    x[:, 3] = 2.0  # a single input, which is dropped or else scaled by 1 / (1 - 0.75)
    own, change = layer.base(x[0]), layer.delta()[:, 3] * 2.0
    assert close(layer.eval()(x), (own + change).expand(200, 5))
    trained = layer.train()(x)
    dropped = torch.tensor([close(y, own) for y in trained])
    scaled = torch.tensor([close(y, own + 4 * change) for y in trained])
    assert (dropped ^ scaled).all()
    assert 0.6 < dropped.float().mean() < 0.9


def test_a_merged_layer_drops_nothing():
    layer, x = adapted_linear(dropout=0.9).train(), torch.randn(4, 7)
    layer.merge()
    assert torch.equal(layer(x), layer.base(x))


@pytest.mark.parametrize("wrong", [dict(rank=0), dict(rank=-1), dict(dropout=1.0), dict(dropout=-0.1)], ids=str)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LoRAConfig(**wrong)


# ------------------------------------------------------------------------------------ a whole model


@each_model
def test_fresh_adapters_change_no_logit_at_all(base):
    before = base(IDS)
    lora.inject(base, LoRAConfig())
    assert torch.equal(base(IDS), before)
    for adapter in lora.adapters(base).values():
        assert (adapter.B == 0).all()
        assert (adapter.A != 0).any(1).all()  # else nothing could ever be learned


@each_model
def test_every_adapter_takes_part(base):
    model = adapted(base)
    logits = model(IDS)
    assert not close(logits, base(IDS))
    for adapter in lora.adapters(model).values():
        saved = adapter.B.detach().clone()
        adapter.B.data.zero_()
        assert not torch.equal(model(IDS), logits)
        adapter.B.data.copy_(saved)


@each_model
def test_an_adapted_model_is_the_model_with_w_plus_delta(base):
    model, by_hand = adapted(base), copy.deepcopy(base)
    with torch.no_grad():
        for name, adapter in lora.adapters(model).items():
            by_hand.get_submodule(name).weight += 5.0 / 3 * adapter.B @ adapter.A
    assert close(model(IDS), by_hand(IDS))


@each_model
def test_merged_and_unmerged_logits_agree(base):
    model = adapted(base)
    before = model(IDS)
    for adapter in lora.adapters(model).values():
        adapter.merge()
    assert close(model(IDS), before)
    for adapter in lora.adapters(model).values():
        adapter.unmerge()
    assert close(model(IDS), before)
    for name, p in base.named_parameters():
        restored = {plain_name(n): q for n, q in model.named_parameters()}[name]
        assert close(restored, p)


@each_model
@pytest.mark.parametrize("merged_before", [False, True])
def test_merging_a_model_leaves_a_plain_gpt_with_the_same_logits(base, merged_before):
    model = adapted(base)
    before = model(IDS)
    if merged_before:
        next(iter(lora.adapters(model).values())).merge()
    lora.merge(model)
    assert close(model(IDS), before)
    assert lora.adapters(model) == {}
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in base.named_parameters()]
    assert all(p.requires_grad for p in model.parameters())
    plain = GPT(base.config)
    plain.load_state_dict(model.state_dict())
    assert torch.equal(plain.eval()(IDS), model(IDS))


@each_model
def test_only_a_and_b_learn_and_the_base_stays_bit_for_bit(base):
    model = copy.deepcopy(base)
    lora.inject(model, LoRAConfig(rank=2))
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    first = loss = token_losses(model(IDS[:, :-1]), IDS[:, 1:]).mean()
    for _ in range(5):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss = token_losses(model(IDS[:, :-1]), IDS[:, 1:]).mean()
    assert loss < first
    for name, p in model.named_parameters():
        is_adapter = name.endswith((".A", ".B"))
        assert p.requires_grad == (p.grad is not None) == is_adapter
        assert torch.equal(p, start[name]) != is_adapter
    lora_free = {plain_name(n): p for n, p in model.named_parameters() if not n.endswith((".A", ".B"))}
    assert all(torch.equal(lora_free[n], p) for n, p in base.named_parameters())


@pytest.mark.parametrize(
    ("name", "targets", "wrapped"),
    [
        ("default", ("query",), ["attn.query"]),
        ("default", ("value", "query"), ["attn.query", "attn.value"]),
        ("default", ("up", "gate", "down"), ["mlp.up", "mlp.down"]),
        ("default", LoRAConfig().targets, ["attn.query", "attn.key", "attn.value", "attn.out", "mlp.up", "mlp.down"]),
        ("gpt2", ("out",), ["attn.out"]),
        ("llama", ("gate",), ["mlp.gate"]),
    ],
)
def test_only_the_layers_named_get_an_adapter(make_gpt, name, targets, wrapped):
    model = make_gpt(**MODELS[name])
    lora.inject(model, LoRAConfig(targets=targets))
    blocks = range(model.config.n_layer)
    assert set(lora.adapters(model)) == {f"blocks.{i}.{layer}" for i in blocks for layer in wrapped}
    assert {n.rpartition(".")[0] for n, p in model.named_parameters() if p.requires_grad} == set(lora.adapters(model))


def test_the_number_of_parameters_to_train_is_rank_times_both_sides(make_gpt):
    model = make_gpt()
    lora.inject(model, LoRAConfig(rank=3))
    by_hand = 2 * (4 * 3 * (16 + 16) + 2 * 3 * (16 + 64))  # 2 blocks: four 16 x 16, two 16 x 64
    assert count_parameters(model, trainable_only=True) == by_hand == 1728
    model = make_gpt(**MODELS["llama"])
    lora.inject(model, LoRAConfig(rank=2))
    by_hand = 2 * (16 + 16) * 2 + 2 * (16 + 8) * 2 + 3 * 2 * (16 + 20)  # query, out; key, value; up, gate, down
    assert count_parameters(model, trainable_only=True) == by_hand


def test_the_tied_embedding_is_left_alone(make_gpt):
    base = make_gpt()
    model = adapted(base)
    lora.merge(model)
    assert model.lm_head.weight is model.tok_emb.weight
    assert torch.equal(model.tok_emb.weight, base.tok_emb.weight)


def test_injecting_twice_is_refused_until_the_first_is_merged(make_gpt):
    model = make_gpt()
    lora.inject(model, LoRAConfig(targets=("query",)))
    with pytest.raises(ValueError, match="already"):
        lora.inject(model, LoRAConfig(targets=("value",)))
    assert len(lora.adapters(model)) == 2
    lora.merge(model)
    lora.inject(model, LoRAConfig(targets=("value",)))
    assert set(lora.adapters(model)) == {"blocks.0.attn.value", "blocks.1.attn.value"}


@pytest.mark.parametrize("targets", [("gate",), (), ("querry",)])
def test_targets_that_name_no_layer_are_refused_and_nothing_is_frozen(make_gpt, targets):
    model = make_gpt()
    with pytest.raises(ValueError, match=r"no linear layer|gets no adapter"):
        lora.inject(model, LoRAConfig(targets=targets))
    assert all(p.requires_grad for p in model.parameters())


def test_a_model_that_answers_goes_on_without_dropout_when_it_gets_adapters(make_gpt):
    model = make_gpt().eval()
    lora.inject(model, LoRAConfig(dropout=0.9))
    randomise_b(model)
    assert torch.equal(model(IDS), model(IDS))


def test_the_seed_decides_a(make_gpt):
    states = []
    for seed, outside in [(3, 0), (3, 1), (4, 0)]:
        torch.manual_seed(outside)
        model = make_gpt()
        lora.inject(model, LoRAConfig(), seed)
        states.append(lora.adapter_state(model))
    assert all(torch.equal(states[0][n], states[1][n]) for n in states[0])
    assert not torch.equal(states[0]["blocks.0.attn.query.A"], states[2]["blocks.0.attn.query.A"])
    assert not torch.equal(states[0]["blocks.0.attn.query.A"], states[0]["blocks.0.attn.key.A"])


# ------------------------------------------------------------------------------------ saved adapters


def give(state: dict, model: GPT, path: Path) -> None:
    """Save an adapter and read it into a model, as run folders do."""
    write_tensors(path, state)
    copy_into(lora.adapter_state(model), path)


@each_model
def test_a_saved_adapter_works_on_another_copy_of_the_base(base, tmp_path):
    model, other = adapted(base), adapted(base, seed=9)
    state = {n: t.clone() for n, t in lora.adapter_state(model).items()}
    assert set(state) == {f"{n}.{ab}" for n in lora.adapters(model) for ab in "AB"}
    randomise_b(other, seed=5)
    assert not close(other(IDS), model(IDS))
    give(state, other, tmp_path / "adapter.safetensors")
    assert torch.equal(other(IDS), model(IDS))
    assert all(torch.equal(t, state[n]) for n, t in lora.adapter_state(other).items())


def test_an_adapter_of_another_rank_is_refused(make_gpt, tmp_path):
    base = make_gpt()
    with pytest.raises(InputError, match=r"is \(2, 16\), the config says \(3, 16\)"):
        give(lora.adapter_state(adapted(base, LoRAConfig(rank=2))), adapted(base), tmp_path / "adapter.safetensors")


@pytest.mark.parametrize("targets", [("query",), ("query", "key", "value")])
def test_an_adapter_of_other_layers_is_refused(make_gpt, tmp_path, targets):
    base = make_gpt()
    model = adapted(base, LoRAConfig(targets=("query", "key")))
    with pytest.raises(InputError, match=r"blocks\..* is (missing|too much)"):
        give(lora.adapter_state(adapted(base, LoRAConfig(targets=targets))), model, tmp_path / "adapter.safetensors")
    with pytest.raises(InputError, match=r"blocks\..* is too much"):
        give(lora.adapter_state(model), base, tmp_path / "adapter.safetensors")
