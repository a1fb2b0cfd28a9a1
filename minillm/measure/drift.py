"""How far tuning moved the parameters of a model."""

import torch
from torch import Tensor

from minillm import lora
from minillm.gpt import GPT


@torch.no_grad()
def parameter_drift(before: GPT, after: GPT) -> float:
    """How far tuning moved the parameters: ‖θ_after - θ_before‖ / ‖θ_before‖, adapters counted as ΔW."""
    old, new = effective_weights(before), effective_weights(after)
    moved = sum((new[name].cpu() - tensor.cpu()).square().sum() for name, tensor in old.items())
    return (moved / sum(tensor.square().sum().cpu() for tensor in old.values())).sqrt().item()


def effective_weights(model: GPT) -> dict[str, Tensor]:
    """All parameters by name as the model uses them: with ΔW added where an adapter stands."""
    layers = lora.adapters(model)
    weights = {}
    for name, tensor in model.named_parameters():
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
