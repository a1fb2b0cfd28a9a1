"""PyTorch's layers, made without drawing numbers: `GPT.init_weights` draws them, or a loader fills them in.

PyTorch would draw first and be overwritten, which takes seconds for a hundred million weights.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class Linear(nn.Linear):
    """y = x Wᵀ + b, with weights that wait: (…, in) -> (…, out)."""

    def reset_parameters(self) -> None: ...


class Embedding(nn.Embedding):
    """A vector for each id, with weights that wait: (…) -> (…, C)."""

    def reset_parameters(self) -> None: ...


class WithoutNumbers(TorchFunctionMode):
    """Inside this block layers are made without memory for their weights, which have a shape only (device "meta").

    `with torch.device("meta")` would do, but it counts positions there, too, and for that PyTorch imports its compiler:
    two seconds whenever a run is read.
    """

    def __torch_function__(
        self,
        function: Callable,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        place = {"device": "meta"} if function in (torch.empty, torch.zeros, torch.ones) else {}
        return function(*args, **{**(kwargs or {}), **place})
