"""The same numbers as the libraries people trust, with random weights."""

import random

import pytest
import torch

from minillm import lora
from minillm.generate import Sampling, generate
from minillm.gpt import GPT
from minillm.gpt_config import gpt2_config, llama_config
from minillm.tokenizer import PATTERN, Tokenizer

SHAPE = dict(n_vocab=97, n_ctx=96, n_layer=3, n_head=4, n_embd=32)


def randomise(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.15, generator=generator)


def llama_pair():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = llama_config(**SHAPE, n_kv_head=2, n_hidden=80)
    theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=97, hidden_size=32, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=96, rms_norm_eps=config.norm_eps, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    ))  # fmt: skip
    randomise(theirs)
    names = {"self_attn.q_proj": "attn.query", "self_attn.k_proj": "attn.key", "self_attn.v_proj": "attn.value",
             "self_attn.o_proj": "attn.out", "mlp.gate_proj": "mlp.gate", "mlp.up_proj": "mlp.up",
             "mlp.down_proj": "mlp.down", "input_layernorm": "norm1", "post_attention_layernorm": "norm2",
             "model.embed_tokens": "tok_emb", "model.layers": "blocks", "model.norm": "norm"}  # fmt: skip
    state = {}
    for name, tensor in theirs.state_dict().items():
        for old, new in names.items():
            name = name.replace(old, new)
        state[name] = tensor
    ours = GPT(config)
    ours.load_state_dict(state)
    return ours.eval(), theirs.eval()


def gpt2_pair():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=97, n_positions=96, n_embd=32, n_layer=3, n_head=4, bos_token_id=None, eos_token_id=None,
    ))  # fmt: skip
    randomise(theirs)
    names = {"transformer.wte": "tok_emb", "transformer.wpe": "pos_emb", "transformer.h": "blocks", "ln_1": "norm1",
             "ln_2": "norm2", "transformer.ln_f": "norm", "attn.c_proj": "attn.out", "mlp.c_fc": "mlp.up",
             "mlp.c_proj": "mlp.down"}  # fmt: skip
    state = {}
    for name, tensor in theirs.state_dict().items():
        for old, new in names.items():
            name = name.replace(old, new)
        if tensor.dim() == 2 and "emb" not in name and "lm_head" not in name:
            tensor = tensor.T  # GPT-2's Conv1D keeps its matrices the other way round
        if "c_attn" in name:  # queries, keys and values in one matrix
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                state[name.replace("c_attn", part)] = piece
        elif not name.endswith((".attn.bias", ".attn.masked_bias")):
            state[name] = tensor
    ours = GPT(gpt2_config(**SHAPE))
    ours.load_state_dict(state)
    return ours.eval(), theirs.eval()


@pytest.mark.parametrize("pair", [gpt2_pair, llama_pair])
@torch.no_grad()
def test_logits_equal_those_of_transformers(pair):
    ours, theirs = pair()
    ids = torch.randint(97, (3, 41), generator=torch.Generator().manual_seed(1))
    expected = theirs(ids).logits
    assert expected.std() > 0.1  # something to compare
    assert (ours(ids) - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("pair", [gpt2_pair, llama_pair])
@torch.no_grad()
def test_greedy_text_equals_that_of_transformers_over_64_tokens(pair):
    ours, theirs = pair()
    prompt = [5, 17, 3, 96, 40]
    expected = theirs.generate(torch.tensor([prompt]), max_new_tokens=64, do_sample=False, pad_token_id=0)[0, 5:]
    assert generate(ours, [prompt], Sampling(max_new_tokens=64), stop=None, pad=0)[0] == expected.tolist()


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
