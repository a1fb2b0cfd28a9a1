"""What other frameworks call the tensors of a GPT: one table per family, read in both directions.

Names are those of Hugging Face's `transformers`. N is the number of a block; what follows a name in the table
(`.weight`, `.bias`) stays as it is. Meta's own LLaMA files differ in more than names: they pair the rotary channels
(2i, 2i + 1), Hugging Face's and ours (i, i + D/2), so the rows of query and key have another order.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from minillm.plumbing.files import InputError

State = Mapping[str, Tensor]

LLAMA = {  # also Qwen2 (biases on query, key and value), Qwen3 (gains in QK-norm), SmolLM2, Mistral
    "model.embed_tokens": "tok_emb",
    "model.layers.N.input_layernorm": "blocks.N.norm1",
    "model.layers.N.self_attn.q_proj": "blocks.N.attn.query",
    "model.layers.N.self_attn.k_proj": "blocks.N.attn.key",
    "model.layers.N.self_attn.v_proj": "blocks.N.attn.value",
    "model.layers.N.self_attn.q_norm": "blocks.N.attn.q_norm",
    "model.layers.N.self_attn.k_norm": "blocks.N.attn.k_norm",
    "model.layers.N.self_attn.o_proj": "blocks.N.attn.out",
    "model.layers.N.post_attention_layernorm": "blocks.N.norm2",
    "model.layers.N.mlp.gate_proj": "blocks.N.mlp.gate",
    "model.layers.N.mlp.up_proj": "blocks.N.mlp.up",
    "model.layers.N.mlp.down_proj": "blocks.N.mlp.down",
    "model.norm": "norm",
    "lm_head": "lm_head",
}

GPT2 = {  # some files leave out "transformer."; query, key and value are one tensor, c_attn: see `split_gpt2`
    "transformer.wte": "tok_emb",
    "transformer.wpe": "pos_emb",
    "transformer.h.N.ln_1": "blocks.N.norm1",
    "transformer.h.N.attn.query": "blocks.N.attn.query",
    "transformer.h.N.attn.key": "blocks.N.attn.key",
    "transformer.h.N.attn.value": "blocks.N.attn.value",
    "transformer.h.N.attn.c_proj": "blocks.N.attn.out",
    "transformer.h.N.ln_2": "blocks.N.norm2",
    "transformer.h.N.mlp.c_fc": "blocks.N.mlp.up",
    "transformer.h.N.mlp.c_proj": "blocks.N.mlp.down",
    "transformer.ln_f": "norm",
    "lm_head": "lm_head",
}

FAMILIES = {"llama": LLAMA, "gpt2": GPT2}
COMPUTED = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")  # masks and angles in older files: no weights
QKV = ("query", "key", "value")


def rename(state: State, table: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors under the names on the table's right. Raises InputError for one that is not in it."""
    renamed = {}
    for name, tensor in state.items():
        place, _, kind = name.rpartition(".")  # transformer.h.3.ln_1, weight
        block = re.search(r"\.(\d+)\.", place)
        entry = table.get(place.replace(block[0], ".N.") if block else place)
        if entry is None or kind not in ("weight", "bias"):
            raise InputError(f"{name}: a tensor of another kind of model: known are {', '.join(table)}")
        renamed[f"{entry.replace('.N.', block[0]) if block else entry}.{kind}"] = tensor
    return renamed


def split_gpt2(state: State) -> dict[str, Tensor]:
    """GPT-2's tensors in our form: matrices turned, since its Conv1D keeps them (in, out), and c_attn in three."""
    split = {}
    for name, tensor in state.items():
        name = name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}"
        if ".h." in name:
            tensor = tensor.T if tensor.dim() == 2 else tensor  # (in, out) -> (out, in)
        if ".c_attn." in name:  # (3 C, C) -> 3 x (C, C), biases (3 C) -> 3 x (C)
            split |= {name.replace("c_attn", part): rows for part, rows in zip(QKV, tensor.chunk(3), strict=True)}
        else:
            split[name] = tensor
    return split


def join_gpt2(state: State) -> dict[str, Tensor]:
    """The reverse of `split_gpt2`."""
    joined = {}
    for name, tensor in state.items():
        if ".attn.query." in name:  # 3 x (C, C) -> (3 C, C), biases 3 x (C) -> (3 C)
            name, tensor = name.replace("query", "c_attn"), torch.cat([state[name.replace("query", x)] for x in QKV])
        if not name.rpartition(".")[0].endswith(QKV):
            joined[name] = tensor.T if ".h." in name and tensor.dim() == 2 else tensor  # (out, in) -> (in, out)
    return joined


def to_ours(state: State, family: str) -> dict[str, Tensor]:
    """Their tensors under our names, in our shapes. Raises InputError for one that this family does not have."""
    state = {name: tensor for name, tensor in state.items() if not name.endswith(COMPUTED)}
    return rename(split_gpt2(state) if family == "gpt2" else state, FAMILIES[family])


def to_theirs(state: State, family: str) -> dict[str, Tensor]:
    """Our tensors under their names, in their shapes: the reverse of `to_ours`."""
    renamed = rename(state, {ours: theirs for theirs, ours in FAMILIES[family].items()})
    return join_gpt2(renamed) if family == "gpt2" else renamed
