"""The cross-entropy with its gradient written out: p, and p - 1 at the target.

The same as PyTorch's `cross_entropy`, in less memory and time on a CPU: no scores in float32 are kept for the way
back, and no zeros are written to hold one number per row.
"""

from typing import Any

import torch
from torch import Tensor


class CrossEntropy(torch.autograd.Function):
    """(B, T, V), (B, T) -> (B, T), float32, in nats."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        learns = ctx.needs_input_grad[0]
        losses = torch.empty(targets.shape, device=logits.device)  # (B, T)
        gradient = torch.empty_like(logits) if learns else logits.new_empty(0)  # (B, T, V)
        for b in range(len(logits)):  # row by row, so that what is in float32 stays in the processor's cache
            target = targets[b].unsqueeze(-1)  # (T) -> (T, 1)
            log_p = logits[b].float().log_softmax(-1)  # (T, V)
            losses[b] = -log_p.gather(-1, target).squeeze(-1)  # (T, V) -> (T, 1) -> (T)
            if learns:
                gradient[b] = log_p.exp_().scatter_add_(-1, target, torch.full_like(target, -1.0, dtype=log_p.dtype))
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].unsqueeze(-1).to(gradient.dtype), None  # (B, T, V) * (B, T, 1)
