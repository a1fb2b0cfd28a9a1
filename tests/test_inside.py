"""What a model computes on the way: each figure equals the same one computed another way, and the model is left alone."""

import pytest
import torch

from minillm import lora
from minillm.generate import generate
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config
from minillm.kv_cache import KVCache
from minillm.measure import inside
from minillm.sampling import Sampling

CONFIGS = {
    "rotary": GPTConfig(n_vocab=23, n_ctx=24, n_layer=2, n_head=2, n_embd=16),
    "gpt2": gpt2_config(23, n_ctx=24, n_layer=1, n_head=2, n_embd=16),
    "llama": llama_config(23, n_ctx=24, n_layer=3, n_head=4, n_kv_head=2, n_embd=16, n_hidden=24),
}
IDS = [3, 1, 4, 1, 5, 9, 2]
each_family = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def adapted(gpt):
    lora.inject(gpt, lora.LoRAConfig(rank=2, alpha=6), seed=1)
    generator = torch.Generator().manual_seed(2)
    for adapter in lora.adapters(gpt).values():
        adapter.B.data.normal_(0, 0.5, generator=generator)
    return gpt


@each_family
@torch.no_grad()
def test_losses_are_those_of_the_logits(make_gpt, config):
    gpt = make_gpt(config)
    losses, expected = inside.losses(gpt, IDS)
    logprobs = gpt(torch.tensor([IDS]))[0].log_softmax(-1)
    assert losses == pytest.approx([-logprobs[i, IDS[i + 1]].item() for i in range(len(IDS) - 1)], rel=1e-4)
    assert expected == logprobs[:-1].argmax(-1).tolist()
    assert inside.losses(gpt, [3]) == ([], [])


@each_family
def test_attention_adds_up_to_one_and_never_looks_ahead(make_gpt, config):
    weights = inside.attention_weights(make_gpt(config), IDS)
    assert weights.shape == (config.n_layer, config.n_head, len(IDS), len(IDS))
    assert torch.allclose(weights.sum(-1), torch.ones(weights.shape[:-1]), atol=1e-5)
    assert (weights.triu(1) == 0).all() and (weights > 0).sum() > weights[..., 0].numel()


@each_family
@torch.no_grad()
def test_the_lens_ends_with_the_models_own_answer(make_gpt, config):
    gpt = make_gpt(config)
    p, ids = inside.logit_lens(gpt, IDS, k=3)
    assert p.shape == ids.shape == (config.n_layer + 1, len(IDS), 3)
    own = gpt(torch.tensor([IDS]))[0].softmax(-1).topk(3)
    assert torch.allclose(p[-1], own.values, atol=1e-5) and torch.equal(ids[-1], own.indices)
    x = gpt.tok_emb(torch.tensor(IDS))
    if gpt.pos_emb is not None:
        x = x + gpt.pos_emb.weight[: len(IDS)]
    first = gpt.lm_head(gpt.norm(x)).softmax(-1).topk(3)
    assert torch.allclose(p[0], first.values, atol=1e-5) and torch.equal(ids[0], first.indices)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in gpt.modules())


@each_family
@torch.no_grad()
def test_a_filled_cache_holds_what_reading_all_at_once_gives(make_gpt, config):
    gpt = make_gpt(config)
    filled = inside.cache_filling(gpt, IDS, 6, stop=None)
    assert filled.ids == IDS + generate(gpt, [IDS], Sampling(max_new_tokens=6), None, 0)[0]
    assert filled.prompt == len(IDS)
    cache = KVCache(config, 1)
    gpt(torch.tensor([filled.ids[:-1]]), cache=cache)
    for shown, kept in ((filled.keys, cache.keys), (filled.values, cache.values)):
        norms = kept[:, 0, :, : len(IDS) + 5].square().sum((1, 3)).sqrt()  # (L, Hkv, S, D) -> (L, S)
        assert torch.allclose(shown, norms, atol=1e-4)
    assert filled.token_bytes == 4 * 2 * config.n_layer * config.kv_heads * config.head_dim


def test_a_cache_ends_at_the_stop_or_with_the_context(make_gpt):
    gpt = make_gpt(CONFIGS["rotary"], seed=5)
    new = inside.cache_filling(gpt, IDS, 6, None).ids[len(IDS) :]
    stopped = inside.cache_filling(gpt, IDS, 6, stop=new[2]).ids[len(IDS) :]
    assert stopped == new[: new.index(new[2]) + 1]
    full = inside.cache_filling(gpt, [1] * 22, 9, None)
    assert len(full.ids) == 25 and full.keys.shape == (2, 24)  # the last one is not read
    assert len(inside.cache_filling(gpt, [1] * 24, 9, None).ids) == 25


@each_family
@torch.no_grad()
def test_a_model_without_its_adapters_is_the_base_in_the_same_memory(make_gpt, config):
    base, tuned, ids = make_gpt(config), adapted(make_gpt(config)), torch.tensor([IDS])
    before = tuned(ids)
    bare = inside.without_adapters(tuned)
    assert torch.equal(bare(ids), base(ids)) and torch.equal(tuned(ids), before)
    assert not torch.allclose(before, base(ids), atol=1e-2)
    assert not lora.adapters(bare) and lora.adapters(tuned)
    mine = {p.data_ptr() for p in tuned.parameters()}
    assert {p.data_ptr() for p in bare.parameters()} < mine
    assert (bare.lm_head.weight is bare.tok_emb.weight) == config.tied


def test_how_long_an_adapter_is(make_gpt):
    gpt = adapted(make_gpt(CONFIGS["rotary"]))
    shares = inside.adapter_shares(gpt)
    assert shares.keys() == lora.adapters(gpt).keys() and len(shares) == 2 * 6
    layer = gpt.blocks[1].mlp.up
    expected = (3 * layer.B @ layer.A).norm() / layer.base.weight.norm()
    assert shares["blocks.1.mlp.up"] == pytest.approx(expected.item())
    assert inside.adapter_shares(make_gpt(CONFIGS["rotary"])) == {}
