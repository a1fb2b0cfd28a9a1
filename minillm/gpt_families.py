"""The choices of two known families, as settings of our GPT: GPT-2 and LLaMA."""

from typing import Any

from minillm.gpt_config import GPTConfig


def gpt2_config(n_vocab: int = 50_257, **shape: Any) -> GPTConfig:
    """The choices of GPT-2; `shape` gives n_layer, n_head, n_embd and the like."""
    choices: dict[str, Any] = dict(
        position="learned", norm="layer", activation="gelu", bias=True, tied=True, qk_norm=False
    )
    size = dict(n_ctx=1024, n_layer=12, n_head=12, n_embd=768)
    return GPTConfig(n_vocab, **choices | size | shape)


def llama_config(n_vocab: int = 32_000, **shape: Any) -> GPTConfig:
    """The choices of LLaMA; `shape` gives n_layer, n_head, n_kv_head, n_hidden and the like."""
    choices: dict[str, Any] = dict(
        position="rotary", norm="rms", activation="swiglu", bias=False, tied=False, qk_norm=False
    )
    size = dict(n_ctx=2048, n_layer=32, n_head=32, n_embd=4096, n_hidden=11_008, norm_eps=1e-6)
    return GPTConfig(n_vocab, **choices | size | shape)
