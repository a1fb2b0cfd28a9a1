"""The KV cache: keys and values of the tokens read so far, so that each new token costs one position."""

import torch
from torch import Tensor

from minillm.gpt_config import GPTConfig


class KVCache:
    """Filled by `GPT.forward(ids, cache=cache)`; has room for up to n_ctx positions of B rows.

    `dtype` is best the number format that the model computes in (`GPT.dtype`).
    """

    def __init__(
        self,
        config: GPTConfig,
        batch: int,
        room: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        self.room = min(room or config.n_ctx, config.n_ctx)
        shape = (config.n_layer, batch, config.kv_heads, self.room, config.head_dim)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append (B, Hkv, T, D) keys and values; return all S of this layer, (B, Hkv, S, D).

        `length` stays: the model moves it on when all layers have appended theirs.
        """
        # views all along: nothing is allocated from token to token
        keys, values = self.keys[layer], self.values[layer]  # (L, B, Hkv, room, D) -> 2 x (B, Hkv, room, D)
        keys.narrow(2, self.length, k.shape[2]).copy_(k)
        values.narrow(2, self.length, k.shape[2]).copy_(v)
        end = self.length + k.shape[2]
        return keys.narrow(2, 0, end), values.narrow(2, 0, end)
