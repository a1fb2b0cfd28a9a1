"""The choices of known families, as settings of our GPT (GPT-2, LLaMA), and what only LLaMA 3 computes.

Source of the longer context: Llama Team 2024 (2407.21783).
"""

import math
from typing import Any

import torch
from torch import Tensor

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


def rotary_slowdown(config: GPTConfig) -> Tensor:
    """What the angles of each channel pair are multiplied by to stretch the context (LLaMA 3), shape (D/2,).

    Pairs that turn fast tell near tokens apart: they keep their speed. Slow ones turn rope_factor times slower.
    """
    frequency = config.rope_base ** (-torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim)
    turns = frequency * config.rope_original_ctx / math.tau  # (D/2,)
    fast = ((turns - config.rope_low_freq) / (config.rope_high_freq - config.rope_low_freq)).clamp(0, 1)
    return fast + (1 - fast) / config.rope_factor
