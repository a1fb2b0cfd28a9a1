"""The same numbers as the libraries people trust, with random weights."""

import random
from dataclasses import replace

import pytest
import torch

from minillm import lora
from minillm.bpe import PATTERN
from minillm.generate import generate
from minillm.gpt import GPT
from minillm.gpt_families import gpt2_config, llama_config
from minillm.sampling import Sampling
from minillm.tokenizer import Tokenizer
from minillm.weights import names

SHAPE = dict(n_vocab=97, n_ctx=96, n_layer=3, n_head=4, n_embd=32)
THEIR_SHAPE = dict(
    vocab_size=97, hidden_size=32, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=96, tie_word_embeddings=False, rms_norm_eps=1e-6,
    bos_token_id=None, eos_token_id=None, pad_token_id=None,
)  # fmt: skip


def randomise(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.3, generator=generator)


def llama_like(kind: str, theirs: dict, **ours):
    """A model of ours and one of `transformers` with the same random weights."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    their_config = getattr(transformers, f"{kind}Config")(**THEIR_SHAPE | theirs)
    their_model = getattr(transformers, f"{kind}ForCausalLM")(their_config)
    randomise(their_model)
    our_model = GPT(llama_config(**SHAPE | dict(n_kv_head=2, n_hidden=80) | ours), seed=None)
    our_model.load_state_dict(names.to_ours(their_model.state_dict(), "llama"))
    return our_model.eval(), their_model.eval()


def llama_pair():
    return llama_like("Llama", {})


def llama3_pair():
    """Of the pairs of channels some are fast, some slow and some between, as in the 8 B model."""
    scaling = dict(rope_type="llama3", rope_theta=100.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=32)  # fmt: skip
    return llama_like("Llama", dict(rope_parameters=scaling), rope_base=100.0, rope_factor=8.0, rope_original_ctx=32)


def qwen2_pair():
    return llama_like("Qwen2", {}, qkv_bias=True)


def qwen3_pair():
    """Heads of 10 channels: 4 of them are more than the 32 of the stream. The gain is not 1, as in any trained model."""
    return llama_like("Qwen3", dict(head_dim=10), n_head_dim=10, qk_norm=True, qk_gain=True, norm_eps=1e-6)


def smollm_pair():
    return llama_like("Llama", dict(tie_word_embeddings=True, rms_norm_eps=1e-5), tied=True, norm_eps=1e-5)


def gpt2_pair():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=97, n_positions=96, n_embd=32, n_layer=3, n_head=4, bos_token_id=None, eos_token_id=None,
    ))  # fmt: skip
    randomise(theirs)
    ours = GPT(gpt2_config(**SHAPE), seed=None)
    ours.load_state_dict(names.to_ours(theirs.state_dict(), "gpt2"))
    return ours.eval(), theirs.eval()


each_pair = pytest.mark.parametrize(
    "pair", [gpt2_pair, llama_pair, llama3_pair, qwen2_pair, qwen3_pair, smollm_pair], ids=lambda pair: pair.__name__
)


@each_pair
@torch.no_grad()
def test_logits_equal_those_of_transformers(pair):
    ours, theirs = pair()
    ids = torch.randint(97, (3, 96), generator=torch.Generator().manual_seed(1))
    expected = theirs(ids).logits
    assert expected.std() > 0.1  # something to compare
    assert (ours(ids) - expected).abs().max() <= 1e-5 * expected.abs().max()


@each_pair
@torch.no_grad()
def test_greedy_text_equals_that_of_transformers_over_64_tokens(pair):
    ours, theirs = pair()
    prompt = [5, 17, 3, 96, 40]
    expected = theirs.generate(torch.tensor([prompt]), max_new_tokens=64, do_sample=False, pad_token_id=0)[0, 5:]
    assert generate(ours, [prompt], Sampling(max_new_tokens=64), stop=None, pad=0)[0] == expected.tolist()


@pytest.mark.parametrize("option", ["rope_factor", "qkv_bias", "qk_gain", "qk_norm"])
def test_each_option_is_needed_for_that(option):
    """A pair that would also agree without its option would show nothing."""
    pair = {"rope_factor": llama3_pair, "qkv_bias": qwen2_pair}.get(option, qwen3_pair)
    ours, theirs = pair()
    without = {"rope_factor": {"rope_factor": 1.0}, "qkv_bias": {"qkv_bias": False},
               "qk_gain": {"qk_gain": False}, "qk_norm": {"qk_gain": False, "qk_norm": False}}[option]  # fmt: skip
    other = GPT(replace(ours.config, **without), seed=None)
    other.load_state_dict(ours.state_dict(), strict=False)
    ids = torch.randint(97, (2, 90), generator=torch.Generator().manual_seed(1))
    assert (other(ids) - theirs(ids).logits).abs().max() > 1e-2


@each_pair
def test_weights_go_back_under_their_names_and_in_their_shapes(pair):
    ours, theirs = pair()
    family = "gpt2" if pair is gpt2_pair else "llama"
    back, expected = names.to_theirs(ours.state_dict(), family), theirs.state_dict()
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[name], expected[name]) for name in expected)


def test_lora_equals_peft_unmerged_and_merged():
    peft = pytest.importorskip("peft", reason="peft is not installed")
    ours, theirs = llama_pair()
    config = peft.LoraConfig(r=3, lora_alpha=7, target_modules=["q_proj", "down_proj"], lora_dropout=0.0)
    tuned = peft.get_peft_model(theirs, config)
    lora.inject(ours, lora.LoRAConfig(3, 7.0, targets=("query", "down")))
    generator = torch.Generator().manual_seed(2)
    layers = lora.adapters(ours)
    with torch.no_grad():
        for i in range(3):
            for name, place in (
                (f"blocks.{i}.attn.query", "self_attn.q_proj"),
                (f"blocks.{i}.mlp.down", "mlp.down_proj"),
            ):
                layer = tuned.base_model.model.model.layers[i].get_submodule(place)
                for own, other in (
                    (layers[name].A, layer.lora_A.default.weight),
                    (layers[name].B, layer.lora_B.default.weight),
                ):
                    other.normal_(0.0, 0.3, generator=generator)
                    own.copy_(other)
        ids = torch.randint(97, (2, 30), generator=generator)
        plain = tuned(ids).logits
        assert (ours(ids) - plain).abs().max() <= 1e-4
        with tuned.disable_adapter():
            assert (tuned(ids).logits - plain).abs().max() > 1e-2  # the adapters do something
        lora.merge(ours)
        assert (ours(ids) - tuned.merge_and_unload()(ids).logits).abs().max() <= 1e-4


def test_ids_equal_those_of_tokenizers_for_the_same_ranks():
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    own = Tokenizer.train(
        ["The theme, then: 玉山 3952 m! the 台湾台湾 é\n\n  naïve 👩‍👩‍👧"] * 2 + ["there 其他 12"], 330
    )
    # their byte-level alphabet: printable bytes stand for themselves, the others for letters from 256 up
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in printable}
    letters |= {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in letters)}
    spell = {token: "".join(letters[b] for b in token) for token in own.ranks}
    merges = []
    for token, rank in sorted(own.ranks.items(), key=lambda x: x[1]):
        if len(token) > 1:  # the two parts a token was merged from: its spelling by earlier ranks only
            parts = [bytes([b]) for b in token]
            while len(parts) > 2:
                pairs = [own.ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
                i = pairs.index(min(pairs))
                parts[i : i + 2] = [parts[i] + parts[i + 1]]
            merges.append((spell[parts[0]], spell[parts[1]]))
    vocab = {spell[token]: rank for token, rank in own.ranks.items()}
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=merges))
    theirs.pre_tokenizer = Sequence([
        Split(tokenizers.Regex(PATTERN), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    rng = random.Random(0)
    hard = [
        "the",
        " ",
        "  ",
        "\n",
        "玉",
        "山",
        "台湾",
        "é",
        "e\u0301",
        "👩‍👩‍👧",
        "3952",
        "!?",
        "naïve",
        "\u3000",
        "[END]",
        "\t",
        "ß",
    ]
    for _ in range(300):
        text = "".join(rng.choices(hard, k=rng.randint(0, 30)))
        assert own.encode(text) == theirs.encode(text).ids, repr(text)
