"""What other frameworks call the tensors of a GPT: one table per family, read in both directions.

Names are those of Hugging Face's `transformers`. N is the number of a block; what follows a name in the table
(`.weight`, `.bias`) stays as it is. Meta's own LLaMA files differ in more than names: they pair the rotary channels
(2i, 2i + 1), Hugging Face's and ours (i, i + D/2), so the rows of query and key have another order.
"""

import re
from collections.abc import Callable, Mapping

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

GGUF_LLAMA = {  # llama.cpp's names; there the rows of query and key may be in another order: see `interleaved`
    "token_embd": "tok_emb",
    "blk.N.attn_norm": "blocks.N.norm1",
    "blk.N.attn_q": "blocks.N.attn.query",
    "blk.N.attn_k": "blocks.N.attn.key",
    "blk.N.attn_v": "blocks.N.attn.value",
    "blk.N.attn_q_norm": "blocks.N.attn.q_norm",
    "blk.N.attn_k_norm": "blocks.N.attn.k_norm",
    "blk.N.attn_output": "blocks.N.attn.out",
    "blk.N.ffn_norm": "blocks.N.norm2",
    "blk.N.ffn_gate": "blocks.N.mlp.gate",
    "blk.N.ffn_up": "blocks.N.mlp.up",
    "blk.N.ffn_down": "blocks.N.mlp.down",
    "output_norm": "norm",
    "output": "lm_head",
}

GGUF_GPT2 = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "blk.N.attn_norm": "transformer.h.N.ln_1",
    "blk.N.attn_qkv": "transformer.h.N.attn.c_attn",
    "blk.N.attn_output": "transformer.h.N.attn.c_proj",
    "blk.N.ffn_norm": "transformer.h.N.ln_2",
    "blk.N.ffn_up": "transformer.h.N.mlp.c_fc",
    "blk.N.ffn_down": "transformer.h.N.mlp.c_proj",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
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
    split: dict[str, Tensor] = {}
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


# --------------------------------------------------------------------------------------------------- GGUF


def interleaved(matrix: Tensor, heads: int) -> Tensor:
    """Rows of query or key in llama.cpp's order: the two channels of a rotary pair next to each other.

    In each head, rows 0 … D/2-1, D/2 … D-1 become 0, D/2, 1, D/2+1, …; shape unchanged.
    """
    pairs = matrix.unflatten(0, (heads, 2, -1))  # (H D, …) -> (H, 2, D/2, …)
    return pairs.transpose(1, 2).flatten(0, 2)  # (H, 2, D/2, …) -> (H, D/2, 2, …) -> (H D, …)


def apart(matrix: Tensor, heads: int) -> Tensor:
    """The reverse of `interleaved`."""
    pairs = matrix.unflatten(0, (heads, -1, 2))  # (H D, …) -> (H, D/2, 2, …)
    return pairs.transpose(1, 2).flatten(0, 2)  # (H, D/2, 2, …) -> (H, 2, D/2, …) -> (H D, …)


def gguf_to_ours(state: State, family: str, heads: Mapping[str, int]) -> dict[str, Tensor]:
    """GGUF's tensors under our names; `heads` says of query and key how many heads, where rows are interleaved."""
    if family == "gpt2":  # llama.cpp keeps its matrices (out, in), GPT-2's own file (in, out)
        named = rename(state, GGUF_GPT2)
        return to_ours({name: t.T if ".h." in name and t.dim() == 2 else t for name, t in named.items()}, family)
    return {name: reordered(name, t, heads, apart) for name, t in rename(state, GGUF_LLAMA).items()}


def ours_to_gguf(state: State, family: str, heads: Mapping[str, int]) -> dict[str, Tensor]:
    """The reverse of `gguf_to_ours`."""
    if family == "gpt2":
        theirs = to_theirs(state, family).items()
        turned = {name: t.T if ".h." in name and t.dim() == 2 else t for name, t in theirs}
        return rename(turned, {theirs: ours for ours, theirs in GGUF_GPT2.items()})
    state = {name: reordered(name, t, heads, interleaved) for name, t in state.items()}
    return rename(state, {ours: theirs for theirs, ours in GGUF_LLAMA.items()})


def reordered(name: str, tensor: Tensor, heads: Mapping[str, int], order: Callable[[Tensor, int], Tensor]) -> Tensor:
    part = name.split(".")[-2]  # query, of blocks.3.attn.query.weight
    return order(tensor, heads[part]) if part in heads else tensor
