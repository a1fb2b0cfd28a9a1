"""Optimizers and the learning-rate schedule.

Muon updates the matrices inside the blocks; AdamW updates the rest (embeddings, head, norms, biases), or
everything where a run asks for it. AdamW is PyTorch's own, in its fused form; lesson 6 writes it by hand.

Sources: Loshchilov and Hutter 2017 (1711.05101, AdamW); Jordan 2024 (kellerjordan.github.io/posts/muon).
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from minillm.plumbing.distributed import spread_like


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix with all singular values near 1, by Newton-Schulz steps; (…, m, n) -> same.

    Five steps of a quintic tuned for speed: the values end between 0.7 and 1.2, which is enough.
    """
    x = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT  # (…, m, n) -> (…, n, m): the products below are the smaller ones
    for _ in range(steps):
        gram = x @ x.mT  # (…, n, m) @ (…, m, n) -> (…, n, n)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


class Muon(Optimizer):
    """Momentum whose update is orthogonalised: every direction of a matrix moves equally far.

    Differs from `torch.optim.Muon`: matrices of one shape are orthogonalised together, which takes fewer and
    larger products, and in float32 unless `low_precision`, since bf16 is slow where the processor lacks it.
    Raises ValueError for a parameter that is no matrix.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, low_precision: bool = False):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})
        self.dtype = torch.bfloat16 if low_precision else None
        for p in self.param_groups[0]["params"]:
            if p.dim() != 2:
                raise ValueError(f"Muon takes matrices, not a parameter of shape {tuple(p.shape)}")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # PyTorch's takes a closure, ours none
        """One update; parameters without a gradient stay."""
        for group in self.param_groups:
            by_shape: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape].append(p)
            for (rows, columns), matrices in by_shape.items():
                stacked = torch.stack(
                    [self.direction(p, group["momentum"]) for p in matrices]
                )  # N x (m, n) -> (N, m, n)
                stacked = orthogonalise(stacked.to(self.dtype or stacked.dtype))
                size = max(1.0, rows / columns) ** 0.5  # W is (out, in): a tall one has more outputs to move
                for p, update in zip(matrices, stacked, strict=True):
                    p.add_(spread_like(update.to(p.dtype), p), alpha=-group["lr"] * size)

    def direction(self, p: Tensor, momentum: float) -> Tensor:
        """The gradient averaged with those before it, looked at one step ahead (Nesterov); (m, n)."""
        assert p.grad is not None
        velocity = self.state[p].setdefault("velocity", torch.zeros_like(p))
        velocity.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(velocity, momentum)


def make_optimizers(
    model: nn.Module,
    lr: float,
    muon_lr: float | None,
    weight_decay: float = 0.0,
    low_precision: bool = False,
) -> list[Optimizer]:
    """AdamW for all trainable parameters; with `muon_lr`, Muon for the matrices inside the blocks.

    AdamW's matrices decay, its vectors (norms, biases) do not.
    """
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    of_blocks = {n: p for n, p in trainable.items() if n.startswith("blocks.") and p.dim() == 2}
    taken = of_blocks if muon_lr is not None else {}
    rest = [p for n, p in trainable.items() if n not in taken]
    groups = [{"params": [p for p in rest if p.dim() >= 2], "weight_decay": weight_decay},
              {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0}]  # fmt: skip
    adamw = AdamW(groups, lr, betas=(0.9, 0.95), fused=True)
    return [adamw, Muon(taken.values(), muon_lr, low_precision=low_precision)] if muon_lr and taken else [adamw]


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
