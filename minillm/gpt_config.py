"""The shape and the options of a GPT."""

from dataclasses import dataclass
from typing import Literal

from minillm.plumbing.checks import above_0, at_least_1, check_types, must_be
from minillm.plumbing.files import InputError

MOST_WEIGHTS = 20 * 10**9  # 40 GB even in 16 bits: more than a laptop holds


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT. Raises InputError for values of a wrong type, out of range or that do not fit together."""

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
    n_head_dim: int | None = None
    """Channels of each head; n_embd / n_head if unset."""
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
    qkv_bias: bool = False
    """Whether query, key and value have biases, even if the other layers have none (Qwen2)."""
    tied: bool = True
    """Whether the output layer reuses the token embedding."""
    qk_norm: bool = True
    """Whether queries and keys are normalised before they are compared."""
    qk_gain: bool = False
    """Whether that norm has a learned gain (Qwen3)."""
    rope_base: float = 10_000.0
    """Base of the rotary frequencies."""
    rope_factor: float = 1.0
    """How many times slower the slow rotary pairs turn, for a longer context (LLaMA 3); 1 for no change."""
    rope_original_ctx: int = 8192
    """The context before that; slow and fast are measured in turns within it."""
    rope_low_freq: float = 1.0
    """Pairs with fewer turns than this are slow."""
    rope_high_freq: float = 4.0
    """Pairs with more turns than this are fast: they stay as they are. Between the two, in proportion."""
    rope_skip: int | None = None
    """Every this many blocks, one does without rotary positions (4 in SmolLM3); none does if unset."""
    norm_eps: float = 1e-5
    """Added below the root in a norm, against division by zero."""

    def __post_init__(self) -> None:
        check_types(self)
        at_least_1(self, "n_vocab", "n_ctx", "n_layer", "n_head", "n_embd", "n_kv_head", "n_head_dim", "n_hidden")
        at_least_1(self, "rope_base", "rope_factor", "rope_original_ctx", "rope_skip")
        above_0(self, "norm_eps", "rope_low_freq", "rope_high_freq")
        must_be("at most 1,000", lambda v: v <= 1000, self, "n_layer")  # each is a Python object, however small
        must_be("at most 2^20", lambda v: v <= 2**20, self, "n_ctx")
        if self.n_head_dim is None and self.n_embd % self.n_head:
            raise InputError(f"n_embd {self.n_embd} is not a multiple of n_head {self.n_head}: change one")
        if self.n_head % self.kv_heads:
            raise InputError(f"n_head {self.n_head} is not a multiple of n_kv_head {self.kv_heads}: change one")
        if self.position == "rotary" and self.head_dim % 2:
            raise InputError(f"a head has {self.head_dim} channels: rotary positions need an even number")
        if self.qk_gain and not self.qk_norm:
            raise InputError("qk_gain is the gain of QK-norm: set qk_norm, too")
        if self.rope_high_freq <= self.rope_low_freq:
            raise InputError(f"rope_high_freq is {self.rope_high_freq}: it must be above rope_low_freq")
        if self.weights > MOST_WEIGHTS:
            raise InputError(f"{self.weights:,} weights: choose smaller sizes, for at most {MOST_WEIGHTS:,} weights")

    @property
    def weights(self) -> int:
        """Numbers in the matrices and in the positions' tables (learned ones, or cosines and sines): all but biases and gains."""
        attention = 2 * self.n_embd * (self.n_head + self.kv_heads) * self.head_dim
        mlp = (3 if self.activation == "swiglu" else 2) * self.n_embd * self.hidden
        positions = self.n_ctx * (self.n_embd if self.position == "learned" else self.head_dim)
        return self.n_vocab * self.n_embd * (1 if self.tied else 2) + self.n_layer * (attention + mlp) + positions

    def turns(self, layer: int) -> bool:
        """Whether the block of this number, counted from 0, has rotary positions."""
        return self.position == "rotary" and (self.rope_skip is None or (layer + 1) % self.rope_skip > 0)

    @property
    def head_dim(self) -> int:
        return self.n_head_dim or self.n_embd // self.n_head

    @property
    def kv_heads(self) -> int:
        return self.n_kv_head or self.n_head

    @property
    def hidden(self) -> int:
        return self.n_hidden or 4 * self.n_embd
