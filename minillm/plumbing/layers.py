"""PyTorch's layers, made without drawing numbers: `GPT.init_weights` draws them, or a loader fills them in.

PyTorch would draw first and be overwritten, which takes seconds for a hundred million weights.
"""

from torch import nn


class Linear(nn.Linear):
    """y = x Wᵀ + b, with weights that wait: (…, in) -> (…, out)."""

    def reset_parameters(self) -> None: ...


class Embedding(nn.Embedding):
    """A vector for each id, with weights that wait: (…) -> (…, C)."""

    def reset_parameters(self) -> None: ...
