"""How far tuning moved the parameters of a model."""

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor

from minillm import lora
from minillm.gpt import GPT


@torch.no_grad()
def parameter_drift(before: GPT, after: GPT) -> float:
    """How far tuning moved the parameters: ‖θ_after - θ_before‖ / ‖θ_before‖, adapters counted as ΔW."""
    old, new = effective_weights(before), effective_weights(after)
    moved = squared_length(new[name].cpu() - tensor.cpu() for name, tensor in old.items())
    return (moved / squared_length(old.values())).sqrt().item()


def squared_length(tensors: Iterable[Tensor]) -> Tensor:
    """The squares of all numbers of all tensors, added up."""
    return reduce(torch.add, (tensor.square().sum().cpu() for tensor in tensors))


def effective_weights(model: GPT) -> dict[str, Tensor]:
    """All parameters by name as the model uses them: with ΔW added where there is an adapter."""
    layers = lora.adapters(model)
    weights: dict[str, Tensor] = {}
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    for name, tensor in parameters.items():
        layer, _, kind = name.rpartition(".")
        owner = layer.removesuffix(".base")
        if owner in layers:
            if kind in ("A", "B"):
                continue
            name = f"{owner}.{kind}"
            if kind == "weight" and not layers[owner].merged:
                tensor = tensor + layers[owner].delta()
        weights[name] = tensor
    return weights
