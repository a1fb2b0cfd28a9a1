"""The shape and the options of a GPT, and the choices of two known families: GPT-2 and LLaMA."""

from dataclasses import dataclass
from typing import Literal

from minillm.plumbing.files import InputError


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT. Raises InputError when the numbers do not fit together."""

    n_vocab: int
    """Number of token ids, special tokens included."""
    n_ctx: int = 128
    """Context length: the most tokens the model can see at once."""
    n_layer: int = 3
    """Number of blocks."""
    n_head: int = 4
    """Attention heads in each block."""
    n_embd: int = 128
    """Channels of the residual stream (the width)."""
    n_kv_head: int | None = None
    """Heads of keys and values, shared by groups of query heads; as many as n_head if unset."""
    n_hidden: int | None = None
    """Channels inside the MLP; 4 x n_embd if unset."""
    position: Literal["rotary", "learned"] = "rotary"
    """How the model knows the order of tokens."""
    norm: Literal["rms", "layer"] = "rms"
    """RMSNorm or LayerNorm."""
    activation: Literal["relu2", "gelu", "swiglu"] = "relu2"
    """Non-linearity of the MLP: squared ReLU (the cheapest on a CPU), GELU or SwiGLU."""
    bias: bool = False
    """Whether linear layers have biases."""
    tied: bool = True
    """Whether the output layer reuses the token embedding."""
    qk_norm: bool = True
    """Whether queries and keys are normalised before they are compared."""
    rope_base: float = 10_000.0
    """Base of the rotary frequencies."""
    norm_eps: float = 1e-5
    """Added below the root in a norm, against division by zero."""

    def __post_init__(self) -> None:
        for name in ("n_vocab", "n_ctx", "n_layer", "n_head", "n_embd"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("n_kv_head", "n_hidden"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise InputError(f"{name} is {number}: it must be at least 1, or unset")
        choices = {
            "position": ("rotary", "learned"),
            "norm": ("rms", "layer"),
            "activation": ("relu2", "gelu", "swiglu"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is {getattr(self, name)!r}: it must be one of {', '.join(allowed)}")
        if self.n_embd % self.n_head:
            raise InputError(f"n_embd {self.n_embd} is not a multiple of n_head {self.n_head}")
        if self.n_head % self.kv_heads:
            raise InputError(f"n_head {self.n_head} is not a multiple of n_kv_head {self.kv_heads}")
        if self.position == "rotary" and self.head_dim % 2:
            raise InputError(f"rotary positions need an even n_embd / n_head, not {self.head_dim}")

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    @property
    def kv_heads(self) -> int:
        return self.n_kv_head or self.n_head

    @property
    def hidden(self) -> int:
        return self.n_hidden or 4 * self.n_embd


def gpt2_config(n_vocab: int = 50_257, **shape) -> GPTConfig:
    """The choices of GPT-2; `shape` gives n_layer, n_head, n_embd and the like."""
    shape = dict(n_ctx=1024, n_layer=12, n_head=12, n_embd=768) | shape
    return GPTConfig(
        n_vocab, position="learned", norm="layer", activation="gelu", bias=True, tied=True, qk_norm=False, **shape
    )


def llama_config(n_vocab: int = 32_000, **shape) -> GPTConfig:
    """The choices of LLaMA; `shape` gives n_layer, n_head, n_kv_head, n_hidden and the like."""
    shape = dict(n_ctx=2048, n_layer=32, n_head=32, n_embd=4096, n_hidden=11_008) | shape
    return GPTConfig(
        n_vocab, position="rotary", norm="rms", activation="swiglu", bias=False, tied=False, qk_norm=False,
        norm_eps=shape.pop("norm_eps", 1e-6), **shape,
    )  # fmt: skip
