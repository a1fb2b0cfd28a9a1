"""Families of open models: what their config.json calls the fields of our GPTConfig, and what our GPT cannot express.

One table a family, read in both directions. A field that would change what the model computes and that our GPT has
no option for is refused by its name: a wrong model that talks is worse than none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minillm.gpt_config import GPTConfig
from minillm.plumbing.files import InputError


@dataclass(frozen=True)
class Family:
    """How a family names what it is."""

    architecture: str
    """Its class in Hugging Face's `transformers`."""
    gguf: str
    """Its name in GGUF files; "" where llama.cpp has none that is the same."""
    tensors: str
    """Its table of tensors in `names`."""
    fields: Mapping[str, str]
    """Field of config.json -> field of GPTConfig."""
    choices: Mapping[str, Any]
    """What our GPT takes for all of this family."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of the fields that a config.json may leave out."""


ROTARY = {
    "vocab_size": "n_vocab",
    "max_position_embeddings": "n_ctx",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "num_key_value_heads": "n_kv_head",
    "head_dim": "n_head_dim",
    "hidden_size": "n_embd",
    "intermediate_size": "n_hidden",
    "rms_norm_eps": "norm_eps",
    "rope_theta": "rope_base",
    "tie_word_embeddings": "tied",
}
LEARNED = {
    "vocab_size": "n_vocab",
    "n_positions": "n_ctx",
    "n_layer": "n_layer",
    "n_head": "n_head",
    "n_embd": "n_embd",
    "n_inner": "n_hidden",
    "layer_norm_epsilon": "norm_eps",
    "tie_word_embeddings": "tied",
}
LLAMA = {"position": "rotary", "norm": "rms", "activation": "swiglu", "bias": False, "qkv_bias": False,
         "qk_norm": False, "qk_gain": False, "rope_skip": None}  # fmt: skip
GPT2 = LLAMA | {"position": "learned", "norm": "layer", "activation": "gelu", "bias": True}
USUAL = {"max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 10_000.0, "tie_word_embeddings": False}

FAMILIES = {  # by the model_type of config.json; written out as the first whose choices are the model's
    "gpt2": Family("GPT2LMHeadModel", "gpt2", "gpt2", LEARNED, GPT2,
                   {"n_positions": 1024, "n_inner": None, "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True}),
    "llama": Family("LlamaForCausalLM", "llama", "llama", ROTARY, LLAMA, USUAL),
    "mistral": Family("MistralForCausalLM", "llama", "llama", ROTARY, LLAMA,
                      USUAL | {"max_position_embeddings": 131_072, "num_key_value_heads": 8}),
    "qwen2": Family("Qwen2ForCausalLM", "qwen2", "llama", ROTARY, LLAMA | {"qkv_bias": True},
                    USUAL | {"max_position_embeddings": 32_768}),
    "qwen3": Family("Qwen3ForCausalLM", "qwen3", "llama", ROTARY, LLAMA | {"qk_norm": True, "qk_gain": True},
                    USUAL | {"max_position_embeddings": 32_768, "head_dim": 128}),
    "smollm3": Family("SmolLM3ForCausalLM", "smollm3", "llama", ROTARY, LLAMA | {"rope_skip": 4},
                      USUAL | {"max_position_embeddings": 32_768, "rope_theta": 2_000_000.0, "tie_word_embeddings": True}),
}  # fmt: skip

ONLY: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "use_sliding_window": (False,),
    "partial_rotary_factor": (1.0,),
    "quantization_config": (),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "num_local_experts": (),
    "attn_logit_softcapping": (),
    "final_logit_softcapping": (),
}
"""Fields that must be absent, null or one of these values."""
FULL = "full_attention"
STRETCH = {"factor": "rope_factor", "original_max_position_embeddings": "rope_original_ctx",
           "low_freq_factor": "rope_low_freq", "high_freq_factor": "rope_high_freq"}  # fmt: skip


def family_of(about: Mapping[str, Any], place: Path | str) -> Family:
    """The family that a config.json names. Raises InputError."""
    kind = about.get("model_type")
    if "sha256" in about and kind is None:
        raise InputError(f"{place}: a run of this program, no model of another: give its folder as --run or --base")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise InputError(f"{place}: model_type {kind!r} is not known: take a model of {', '.join(FAMILIES)}")
    return FAMILIES[kind]


def read_config(about: Mapping[str, Any], place: Path | str, n_ctx: int | None = None) -> GPTConfig:
    """The GPTConfig of a config.json, with a shorter context if asked for. Raises InputError by the field's name."""
    family = family_of(about, place)
    given = {**about, **(about.get("rope_parameters") or {})}
    for name, known in ONLY.items():
        if (value := given.get(name)) is not None and value not in known:
            raise InputError(f"{place}: {name} is {short(value)}: our GPT has no option for that: take another model")
    values = dict(family.choices)
    for theirs, ours in family.fields.items():
        value = given.get(theirs, family.defaults.get(theirs))
        if value is not None:
            values[ours] = value
        elif theirs not in ("head_dim", "n_inner", "num_key_value_heads"):
            raise InputError(f"{place}: {theirs} is missing: restore the file")
    values |= stretch(given, place)
    if n_ctx is not None and isinstance(values["n_ctx"], int):
        if n_ctx > values["n_ctx"]:
            raise InputError(
                f"{place}: n_ctx {n_ctx} is more than the model's own {values['n_ctx']}: leave --n-ctx out"
            )
        values["n_ctx"] = n_ctx
    if family.choices["rope_skip"]:
        values["rope_skip"] = skipped(given, values["n_layer"], place)
    check_window(given, values["n_ctx"], place)
    try:
        config = GPTConfig(**values)
        return replace(config, n_hidden=config.hidden, n_kv_head=config.kv_heads, n_head_dim=config.head_dim)
    except InputError as error:
        back = {ours: theirs for theirs, ours in family.fields.items()}
        name = str(error).split()[0]
        raise InputError(f"{place}: {back.get(name, name)}: {error}") from None


def short(value: object) -> str:
    """A value of a config in a few characters."""
    return repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:39]}…"


def stretch(given: Mapping[str, Any], place: Path | str) -> dict[str, Any]:
    """What config.json says of a context stretched by slower rotary pairs, as fields of GPTConfig."""
    scaling = given.get("rope_scaling") or (given if "rope_type" in given else {})
    if not isinstance(scaling, Mapping):
        raise InputError(f"{place}: rope_scaling is {short(scaling)}: restore the file")
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return {}
    if kind != "llama3":
        raise InputError(f"{place}: rope_type is {short(kind)}: our GPT stretches as llama3 only: take another model")
    if lacking := STRETCH.keys() - scaling.keys():
        raise InputError(f"{place}: rope_scaling lacks {sorted(lacking)[0]}: restore the file")
    return {ours: scaling[theirs] for theirs, ours in STRETCH.items()}


def skipped(given: Mapping[str, Any], n_layer: object, place: Path | str) -> int | None:
    """Every how many blocks one goes without rotary positions."""
    every = given.get("no_rope_layer_interval", 4)
    turning = given.get("no_rope_layers")
    if turning is None or not isinstance(n_layer, int):
        return every
    if len(turning) == n_layer and all(turning):
        return None
    regular = isinstance(every, int) and every > 0 and [int((i + 1) % every > 0) for i in range(n_layer)] == turning
    if not regular:
        raise InputError(f"{place}: no_rope_layers are not every {short(every)}th: our GPT has no option for that")
    return every


def check_window(given: Mapping[str, Any], n_ctx: object, place: Path | str) -> None:
    """Raise InputError if some block sees less than the whole context."""
    if any(kind != FULL for kind in given.get("layer_types") or ()) and given.get("model_type") != "mistral":
        raise InputError(f"{place}: layer_types are not all {FULL}: our GPT has no option for that: take another model")
    window = given.get("sliding_window", 4096 if given.get("model_type") == "mistral" else None)
    if given.get("use_sliding_window") is False or window is None:
        return
    if isinstance(window, int) and isinstance(n_ctx, int) and n_ctx > window:
        raise InputError(
            f"{place}: sliding_window is {window} and the context {n_ctx}: give --n-ctx {window}, within which they agree"
        )


def written_family(config: GPTConfig) -> tuple[str, Family]:
    """model_type and family that a model of ours is written out as. Raises InputError that says which option has none."""
    best = min(FAMILIES.items(), key=lambda item: len(differing(config, item[1])))
    if left := differing(config, best[1]):
        name = left[0]
        raise InputError(
            f"{name} is {getattr(config, name)!r}: no class of {', '.join(FAMILIES)} has that: pretrain with --arch llama"
        )
    return best


def differing(config: GPTConfig, family: Family) -> list[str]:
    """Options of a model that a family has otherwise."""
    names = [name for name, value in family.choices.items() if getattr(config, name) != value]
    skip = family.choices["rope_skip"] and config.rope_skip
    if (
        family.choices["position"] == "learned"
        and config.n_head_dim
        and config.n_head_dim * config.n_head != config.n_embd
    ):
        names.append("n_head_dim")
    if family.choices["position"] == "learned" and config.kv_heads != config.n_head:
        names.append("n_kv_head")
    return [name for name in names if not (name == "rope_skip" and skip)]


def write_config(config: GPTConfig) -> dict[str, Any]:
    """The config.json of a model. Raises InputError if no family has its options."""
    kind, family = written_family(config)
    values = {theirs: getattr(config, ours) for theirs, ours in family.fields.items()}
    values |= {"model_type": kind, "architectures": [family.architecture], "dtype": "float32"}
    if family.fields is LEARNED:
        return values | {"n_inner": config.hidden, "activation_function": "gelu_new"}
    values |= {"num_key_value_heads": config.kv_heads, "head_dim": config.head_dim, "hidden_act": "silu",
               "intermediate_size": config.hidden}  # fmt: skip
    if config.rope_skip:
        layers = [int(config.turns(i)) for i in range(config.n_layer)]
        values |= {"no_rope_layer_interval": config.rope_skip, "no_rope_layers": layers}
    if config.rope_factor != 1:
        values["rope_scaling"] = {"rope_type": "llama3"} | {t: getattr(config, o) for t, o in STRETCH.items()}
    return values
