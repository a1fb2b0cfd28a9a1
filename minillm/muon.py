"""Muon: an optimizer for matrices, which learn in fewer steps by it than by AdamW.

Source: Jordan 2024 (kellerjordan.github.io/posts/muon).
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from minillm.plumbing.distributed import spread_like


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix with all singular values near 1, by Newton-Schulz steps; (…, m, n) -> same.

    Five steps of a quintic tuned for speed: the values end between 0.7 and 1.2, which is enough.
    """
    x = matrix.reshape(-1, *matrix.shape[-2:])  # (…, m, n) -> (N, m, n)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT.contiguous()  # (N, m, n) -> (N, n, m): the products below are the smaller ones
    for _ in range(steps):
        gram = x @ x.mT  # (N, n, m) @ (N, m, n) -> (N, n, n)
        quintic = torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)  # -4.775 gram + 2.0315 gram @ gram
        x = torch.baddbmm(x, quintic, x, beta=3.4445)  # 3.4445 x + quintic @ x, in one pass over the memory
    return (x.mT if tall else x).reshape(matrix.shape)  # (N, n, m) -> (…, m, n)


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
