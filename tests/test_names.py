"""Tensor names of other frameworks: each known one has its place, an unknown one is named, nothing is lost."""

import pytest
import torch

from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config
from minillm.plumbing.files import InputError
from minillm.weights.names import FAMILIES, to_ours, to_theirs

SHAPE = dict(n_vocab=23, n_ctx=12, n_layer=12, n_head=4, n_embd=16)  # twelve blocks: numbers of one and two digits
MODELS = {
    "gpt2": ("gpt2", gpt2_config(**SHAPE)),
    "llama": ("llama", llama_config(**SHAPE, n_kv_head=2, n_hidden=20)),
    "qwen2": ("llama", llama_config(**SHAPE, n_hidden=20, qkv_bias=True)),
    "qwen3": ("llama", GPTConfig(**SHAPE, n_head_dim=6, qk_gain=True, activation="swiglu", tied=False)),
}
each_model = pytest.mark.parametrize(("family", "config"), MODELS.values(), ids=MODELS)


@each_model
def test_there_and_back_every_tensor_is_what_it_was(make_gpt, family, config):
    state = make_gpt(config).state_dict()
    theirs = to_theirs(state, family)
    back = to_ours(theirs, family)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert {name.split(".")[-1] for name in theirs} <= {"weight", "bias"}
    assert not theirs.keys() & state.keys() - {"lm_head.weight"}


@each_model
def test_the_blocks_keep_their_numbers(make_gpt, family, config):
    prefix = {"gpt2": "transformer.h", "llama": "model.layers"}[family]
    numbers = {
        name.split(".")[2] for name in to_theirs(make_gpt(config).state_dict(), family) if name.startswith(prefix)
    }
    assert numbers == {str(i) for i in range(12)}


def test_gpt2_keeps_its_matrices_turned_and_three_of_them_in_one():
    c = torch.arange(2 * 6.0).view(2, 6)  # (in, out): query is the first two columns
    state = {"h.0.attn.c_attn.weight": c, "h.0.attn.c_attn.bias": c[1], "h.0.attn.c_proj.weight": c[:, :2],
             "wte.weight": c, "h.0.ln_1.bias": c[0]}  # fmt: skip
    assert {name: tensor.tolist() for name, tensor in to_ours(state, "gpt2").items()} == {
        "blocks.0.attn.query.weight": [[0, 6], [1, 7]], "blocks.0.attn.query.bias": [6, 7],
        "blocks.0.attn.key.weight": [[2, 8], [3, 9]], "blocks.0.attn.key.bias": [8, 9],
        "blocks.0.attn.value.weight": [[4, 10], [5, 11]], "blocks.0.attn.value.bias": [10, 11],
        "blocks.0.attn.out.weight": [[0, 6], [1, 7]], "tok_emb.weight": c.tolist(), "blocks.0.norm1.bias": c[0].tolist(),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("family", "name"),
    [("gpt2", "h.0.attn.bias"), ("gpt2", "transformer.h.11.attn.masked_bias"),
     ("llama", "model.layers.3.self_attn.rotary_emb.inv_freq")],
)  # fmt: skip
def test_what_can_be_computed_is_left_out(family, name):
    assert to_ours({name: torch.ones(3)}, family) == {}


@pytest.mark.parametrize(
    ("family", "name"),
    [("llama", "model.layers.0.self_attn.qkv_proj.weight"), ("llama", "transformer.wte.weight"), ("gpt2", "score.weight"),
     ("llama", "model.layers.x.mlp.up_proj.weight"), ("llama", "model.norm.gain"), ("llama", "weight"), ("llama", ""),
     ("llama", "model.layers.0.mlp.experts.1.up_proj.weight"), ("gpt2", "transformer.h.0.attn.c_proj.scale")],
)  # fmt: skip
def test_a_tensor_that_the_family_does_not_have_is_named(family, name):
    with pytest.raises(InputError) as error:
        to_ours({name: torch.ones(3)}, family)
    assert str(error.value).startswith(f"transformer.{name}:" if name == "score.weight" else f"{name}:")


def test_no_two_of_a_family_get_the_same_name():
    for table in FAMILIES.values():
        assert len(set(table.values())) == len(table)
