"""What the fields of a GGUF file say of a model and its tokenizer, and the other way round."""

from typing import Any

import torch
from torch import Tensor

from minillm.gpt import rotary_slowdown
from minillm.gpt_config import GPTConfig
from minillm.open_tokenizer import OpenTokenizer
from minillm.plumbing.files import InputError
from minillm.tokenizer import Tokenizer
from minillm.weights.families import FAMILIES, read_config, written_family
from minillm.weights.gguf_file import GGUF, SLOWDOWN
from minillm.weights.vocabulary import ALONE, PATTERNS, Parts, spelled_vocabulary, split_merges

CONFIG = {  # field of a GGUF file, after the architecture's name -> field of config.json
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
}
CONFIG_GPT2 = {
    "context_length": "n_positions",
    "block_count": "n_layer",
    "attention.head_count": "n_head",
    "embedding_length": "n_embd",
    "feed_forward_length": "n_inner",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
}
ARCHITECTURES = {family.gguf: kind for kind, family in reversed(FAMILIES.items())}  # llama, not mistral, for "llama"
INTERLEAVED = ("llama", "smollm3")  # architectures whose query and key llama.cpp keeps in rotary pairs
NORMAL, CONTROL, VISIBLE, UNUSED = 1, 3, 4, 5
OUTPUT = "output.weight"


def heads_of(config: GPTConfig, architecture: str) -> dict[str, int]:
    """How many heads query and key have, where their rows are interleaved."""
    return {"query": config.n_head, "key": config.kv_heads} if architecture in INTERLEAVED else {}


def architecture_of(file: GGUF) -> str:
    """Raises InputError for one that is not known."""
    name = file.fields.get("general.architecture")
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise InputError(f"{file.path}: general.architecture {name!r} is not known: take a model of {known}")
    return name


def config_of(file: GGUF, n_ctx: int | None = None) -> GPTConfig:
    """The GPTConfig. Raises InputError by the field's name."""
    name = architecture_of(file)
    table = CONFIG_GPT2 if name == "gpt2" else CONFIG
    if isinstance(parts := file.fields.get("split.count"), int) and parts > 1:
        raise InputError(f"{file.path}: one of {parts} parts: join them first (llama-gguf-split --merge)")
    about = {ours: file.fields[f"{name}.{field}"] for field, ours in table.items() if f"{name}.{field}" in file.fields}
    for needed in ("context_length", "block_count", "embedding_length", "feed_forward_length"):
        if table[needed] not in about:
            raise InputError(f"{file.path}: {name}.{needed} is missing: fetch the file again")
    kind = file.fields.get(f"{name}.rope.scaling.type", "none")
    if kind != "none":
        raise InputError(f"{file.path}: {name}.rope.scaling.type is {kind!r}: our GPT has no option for that")
    if "token_embd.weight" not in file.entries:
        raise InputError(f"{file.path}: token_embd.weight is missing: fetch the file again")
    about["model_type"] = ARCHITECTURES[name]
    about["vocab_size"] = file.shape("token_embd.weight")[0]
    about["tie_word_embeddings"] = OUTPUT not in file.entries
    about |= {"sliding_window": None} | read_slowdown(file, about)
    config = read_config({k: round_(v) for k, v in about.items()}, file.path, n_ctx)
    turned = file.fields.get(f"{name}.rope.dimension_count", config.head_dim)
    if config.position == "rotary" and turned != config.head_dim:
        raise InputError(f"{file.path}: {name}.rope.dimension_count is {turned!r}, not the {config.head_dim} channels of a "
                         "head: our GPT has no option for that")  # fmt: skip
    return config


def round_(value: Any) -> Any:
    """GGUF keeps fractions in 32 bits: 9.999999747378752e-06 is 1e-05."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def read_slowdown(file: GGUF, about: dict[str, Any]) -> dict[str, Any]:
    """LLaMA 3's stretched context: llama.cpp keeps a factor for each rotary pair; which settings these come from."""
    if SLOWDOWN not in file.entries:
        return {}
    factors = file.tensor(SLOWDOWN).float()
    dims = 2 * factors.numel()
    for factor in (8.0, 32.0, 16.0, 4.0, 2.0, 64.0):
        for ctx in (8192, 4096, 2048, 16384, 32):
            config = GPTConfig(1, n_head=1, n_embd=dims, rope_base=about.get("rope_theta", 10_000.0), rope_factor=factor,
                               rope_original_ctx=ctx)  # fmt: skip
            if torch.allclose(1 / rotary_slowdown(config), factors, rtol=1e-4):
                scaling = {"rope_type": "llama3", "factor": factor, "original_max_position_embeddings": ctx,
                           "low_freq_factor": 1.0, "high_freq_factor": 4.0}  # fmt: skip
                return {"rope_scaling": scaling}
    raise InputError(f"{file.path}: {SLOWDOWN} stretches the context in a way that is not known: take another model")


def parts_of(file: GGUF) -> Parts:
    """The tokenizer. Raises InputError."""
    fields = {name.removeprefix("tokenizer.ggml."): value for name, value in file.fields.items()}
    if fields.get("model") != "gpt2":
        raise InputError(f"{file.path}: tokenizer.ggml.model is {fields.get('model')!r}: only byte-level BPE (gpt2) is "
                         "read: take another model")  # fmt: skip
    pre = fields.get("pre", "gpt-2" if file.fields.get("general.architecture") == "gpt2" else None)
    if pre not in PATTERNS:
        raise InputError(
            f"{file.path}: tokenizer.ggml.pre is {pre!r}: known are {', '.join(PATTERNS)}: take another model"
        )
    tokens, kinds = fields.get("tokens"), fields.get("token_type")
    merges = fields.get("merges")
    if not isinstance(tokens, list) or not isinstance(merges, list):
        raise InputError(f"{file.path}: tokenizer.ggml.tokens or merges are missing: fetch the file again")
    kinds = kinds if isinstance(kinds, list) and len(kinds) == len(tokens) else [NORMAL] * len(tokens)
    pairs = [merge.split(" ") for merge in merges]
    if any(len(pair) != 2 for pair in pairs):
        raise InputError(f"{file.path}: a merge is not two tokens: fetch the file again")
    added = {token: i for i, (token, kind) in enumerate(zip(tokens, kinds)) if kind in (CONTROL, VISIBLE)}
    visible = tuple(token for token, kind in zip(tokens, kinds) if kind == VISIBLE)
    vocabulary = {token: i for i, (token, kind) in enumerate(zip(tokens, kinds)) if kind != UNUSED}

    def name_of(role: str) -> str | None:
        i = fields.get(f"{role}_token_id")
        return tokens[i] if isinstance(i, int) and 0 <= i < len(tokens) else None

    bos, eos = name_of("bos"), name_of("eos")
    if "eos_token_id" in fields and eos not in added:
        raise InputError(f"{file.path}: tokenizer.ggml.eos_token_id is no control token: fetch the file again")
    return Parts(
        str(file.path), vocabulary, [(left, right) for left, right in pairs], PATTERNS[pre], added, visible,
        form="NFC" if pre == "qwen2" else "", whole=pre == "llama-bpe", bos=bos, eos=eos,
        pad=name_of("padding"), opens=fields.get("add_bos_token", pre == "llama-bpe") is True and bos in added,
        chat=file.fields.get("tokenizer.chat_template"),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- writing


def fields_of(config: GPTConfig, tokenizer: Tokenizer, chat: str, name: str) -> dict[str, Any]:
    """All fields of the file of a model. Raises InputError for what llama.cpp has no name for."""
    kind, family = written_family(config)
    table = CONFIG_GPT2 if kind == "gpt2" else CONFIG
    back = {theirs: ours for theirs, ours in family.fields.items()}
    values = {field: getattr(config, back[theirs]) for field, theirs in table.items()}
    values |= {"feed_forward_length": config.hidden}
    if kind != "gpt2":
        values |= {"attention.head_count_kv": config.kv_heads, "attention.key_length": config.head_dim,
                   "attention.value_length": config.head_dim, "rope.dimension_count": config.head_dim,
                   "rope.freq_base": float(config.rope_base)}  # fmt: skip
    fields: dict[str, Any] = {"general.architecture": family.gguf, "general.name": name, "general.file_type": 0}
    fields |= {f"{family.gguf}.{field}": value for field, value in values.items()}
    fields[f"{family.gguf}.vocab_size"] = config.n_vocab
    return fields | tokenizer_fields(tokenizer, chat)


def tokenizer_fields(tokenizer: Tokenizer, chat: str) -> dict[str, Any]:
    """The fields of a tokenizer. Raises InputError for a split pattern that llama.cpp does not have."""
    names = {pattern: pre for pre, pattern in PATTERNS.items()} | {ALONE[True]: "smollm"}
    if tokenizer.pattern not in names:
        raise InputError("the tokenizer's split pattern has no name in llama.cpp: train it with --tokenizer gpt2, or "
                         "export as hf")  # fmt: skip
    tokens, kinds = [f"[unused{i}]" for i in range(tokenizer.n_vocab)], [UNUSED] * tokenizer.n_vocab
    for token, i in spelled_vocabulary(tokenizer).items():
        tokens[i], kinds[i] = token, NORMAL
    for token, i in tokenizer.special_tokens().items():
        tokens[i], kinds[i] = token, CONTROL if i in tokenizer.hidden else VISIBLE
    about = {
        "model": "gpt2", "pre": names[tokenizer.pattern], "tokens": tokens, "token_type": kinds,
        "merges": [" ".join(pair) for pair in split_merges(tokenizer)], "bos_token_id": tokenizer.doc,
        "eos_token_id": tokenizer.end, "padding_token_id": tokenizer.pad, "add_bos_token": bool(tokenizer.opening),
    }  # fmt: skip
    form = tokenizer.scheme.form if isinstance(tokenizer, OpenTokenizer) else ""
    if form and not (form == "NFC" and about["pre"] == "qwen2"):
        raise InputError(f"the tokenizer brings texts into {form}: llama.cpp does not: export as hf")
    return {f"tokenizer.ggml.{name}": value for name, value in about.items()} | {"tokenizer.chat_template": chat}


def slowdown_of(config: GPTConfig) -> dict[str, Tensor]:
    """llama.cpp's tensor for a stretched context; none for one that is not."""
    return {SLOWDOWN: 1 / rotary_slowdown(config)} if config.rope_factor != 1 else {}
