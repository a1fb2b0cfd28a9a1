"""Optimizers and the learning-rate schedule.

Muon turns the matrices inside the blocks; AdamW turns the rest (embeddings, head, norms, biases),
or everything where a run asks for it. Both keep their state as named tensors, so that a checkpoint
is a flat file of tensors.

Sources: Loshchilov and Hutter 2017 (1711.05101, AdamW); Jordan 2024 (kellerjordan.github.io/posts/muon).
"""

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class AdamW:
    """Adam with decoupled weight decay (1711.05101, algorithm 2); matrices decay, vectors do not."""

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        self.parameters, self.lr, self.betas, self.eps = dict(parameters), lr, betas, eps
        self.weight_decay = weight_decay
        self.mean = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.square = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.steps = 0

    @torch.no_grad()
    def step(self, scale: float = 1.0) -> None:
        """One update with learning rate `scale * lr`; parameters without a gradient stay."""
        self.steps += 1
        beta1, beta2 = self.betas
        # both averages start at zero; dividing by 1 - beta^t makes up for it
        correction1, correction2 = 1 - beta1**self.steps, 1 - beta2**self.steps
        for name, p in self.parameters.items():
            if p.grad is None:
                continue
            mean, square = self.mean[name], self.square[name]
            mean.lerp_(p.grad, 1 - beta1)  # m <- β₁ m + (1 - β₁) g
            square.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)  # v <- β₂ v + (1 - β₂) g²
            if p.dim() >= 2:
                p.mul_(1 - scale * self.lr * self.weight_decay)
            denominator = (square / correction2).sqrt_().add_(self.eps)
            p.addcdiv_(mean, denominator, value=-scale * self.lr / correction1)

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs, by name; the tensors are the live ones."""
        moments = {f"mean.{n}": t for n, t in self.mean.items()} | {f"square.{n}": t for n, t in self.square.items()}
        return moments | {"steps": torch.tensor(self.steps)}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copy back what `state` gave."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        self.steps = int(state["steps"])


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


class Muon:
    """Momentum whose update is orthogonalised: every direction of a matrix moves equally far."""

    def __init__(
        self, parameters: Mapping[str, Tensor], lr: float, momentum: float = 0.95, low_precision: bool = False
    ):
        self.parameters, self.lr, self.momentum = dict(parameters), lr, momentum
        self.dtype = torch.bfloat16 if low_precision else None
        self.velocity = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.by_shape: defaultdict[torch.Size, list[str]] = defaultdict(list)  # like shapes go through together
        for name, p in self.parameters.items():
            if p.dim() != 2:
                raise ValueError(f"Muon takes matrices; {name} has shape {tuple(p.shape)}")
            self.by_shape[p.shape].append(name)

    @torch.no_grad()
    def step(self, scale: float = 1.0) -> None:
        """One update with learning rate `scale * lr`; parameters without a gradient stay."""
        for shape, group in self.by_shape.items():
            names = [name for name in group if self.parameters[name].grad is not None]
            if not names:
                continue
            updates = []
            for name in names:
                gradient, velocity = self.parameters[name].grad, self.velocity[name]
                velocity.lerp_(gradient, 1 - self.momentum)
                updates.append(gradient.lerp(velocity, self.momentum))  # Nesterov: look one step ahead
            stacked = torch.stack(updates)  # N x (m, n) -> (N, m, n)
            stacked = orthogonalise(stacked.to(self.dtype or stacked.dtype))
            size = max(1.0, shape[0] / shape[1]) ** 0.5  # a tall matrix has more outputs to move
            for name, update in zip(names, stacked, strict=True):
                self.parameters[name].add_(update.to(torch.float32), alpha=-scale * self.lr * size)

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs, by name; the tensors are the live ones."""
        return {f"velocity.{n}": t for n, t in self.velocity.items()}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copy back what `state` gave."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


def make_optimizers(
    model: nn.Module,
    lr: float,
    muon_lr: float | None,
    weight_decay: float = 0.0,
    low_precision: bool = False,
) -> list[AdamW | Muon]:
    """AdamW for all trainable parameters; with `muon_lr`, Muon for the matrices inside the blocks."""
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if muon_lr is None:
        return [AdamW(trainable, lr, weight_decay=weight_decay)]
    matrices = {n: p for n, p in trainable.items() if n.startswith("blocks.") and p.dim() == 2}
    rest = {n: p for n, p in trainable.items() if n not in matrices}
    return [AdamW(rest, lr, weight_decay=weight_decay), Muon(matrices, muon_lr, low_precision=low_precision)]


def learning_rate_scale(step: int, steps: int, warmup: int, final: float) -> float:
    """Factor on the learning rate of step 0, 1, …, steps - 1.

    1) rises in a line to 1 over the warm-up and is 1 in the step after it, so that a run of a single step
    learns something too, 2) falls in a line to `final` at the last step.
    """
    if step <= warmup:
        return min(1.0, (step + 1) / max(1, warmup))
    left = (steps - 1 - step) / max(1, steps - 1 - warmup)
    return final + (1 - final) * left
