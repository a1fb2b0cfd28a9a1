"""Which optimizer updates which parameters, and the learning-rate schedule.

Muon (`muon.py`) updates the matrices inside the blocks; AdamW updates the rest (embeddings, head, norms, biases),
or everything where a run asks for it. AdamW is PyTorch's own, in its fused form; lesson 6 writes it by hand.

Source: Loshchilov and Hutter 2017 (1711.05101, AdamW).
"""

from collections.abc import Iterable
from itertools import groupby

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from minillm.muon import Muon


def make_optimizers(
    model: nn.Module,
    lr: float,
    muon_lr: float | None,
    weight_decay: float = 0.0,
    low_precision: bool = False,
) -> list[Optimizer]:
    """AdamW for all trainable parameters; with `muon_lr`, Muon for the matrices inside the blocks.

    AdamW's matrices decay, its vectors (norms, biases) do not. There is one Muon for each shape of matrices, so
    that they can be updated at the same time.
    """
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    of_blocks = {n: p for n, p in trainable.items() if n.startswith("blocks.") and p.dim() == 2}
    taken = of_blocks if muon_lr is not None else {}
    rest = [p for n, p in trainable.items() if n not in taken]
    groups = [{"params": [p for p in rest if p.dim() >= 2], "weight_decay": weight_decay},
              {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0}]  # fmt: skip
    adamw = AdamW(groups, lr, betas=(0.9, 0.95), fused=True)
    by_shape = groupby(sorted(taken.values(), key=shape_of), shape_of)
    return [adamw, *(Muon(matrices, muon_lr or 0.0, low_precision=low_precision) for _, matrices in by_shape)]


def shape_of(p: Tensor) -> tuple[int, ...]:
    return tuple(p.shape)


def set_learning_rate(optimizers: Iterable[Optimizer], scale: float) -> None:
    """Set every learning rate to `scale` times what the optimizer was made with."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = scale * optimizer.defaults["lr"]


def learning_rate_scale(step: int, steps: int, warmup: int, final: float) -> float:
    """Factor on the learning rate of step 0, 1, …, steps - 1.

    1) rises in a line to 1 over the warm-up and is 1 in the step after it, so that a run of a single step
    learns something too, 2) falls in a line to `final` at the last step.
    """
    if step <= warmup:
        return min(1.0, (step + 1) / max(1, warmup))
    left = (steps - 1 - step) / max(1, steps - 1 - warmup)
    return final + (1 - final) * left
