"""The optimizers against independent versions of the same mathematics, and the schedule by hand."""

import copy
import re

import pytest
import torch
from torch import nn

from minillm import lora
from minillm.checkpoint import load_optimizer_state, optimizer_state
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config
from minillm.muon import Muon, orthogonalise
from minillm.optim import learning_rate_scale, make_optimizers, set_learning_rate
from minillm.plumbing.files import InputError
from minillm.plumbing.tensors import write_tensors

SHAPES = {"matrix": (5, 3), "vector": (7,), "one": (1, 1), "wide": (2, 9)}
SHAPE = dict(n_ctx=8, n_layer=2, n_head=2, n_embd=8)


def random_parameters(shapes: dict, dtype=torch.float64, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for n, s in shapes.items()}


def random_gradients(parameters: dict[str, torch.Tensor], step: int) -> None:
    """Gradients of very different sizes, with zeros among them."""
    generator = torch.Generator().manual_seed(100 + step)
    for i, p in enumerate(parameters.values()):
        g = torch.randn(p.shape, generator=generator, dtype=torch.float64) * 10.0 ** (i - 2)
        p.grad = g.masked_fill(torch.rand(p.shape, generator=generator) < 0.1, 0.0).to(p.dtype)


def set_decay(model: nn.Module, **options) -> torch.optim.Optimizer:
    (adamw,) = make_optimizers(model, 0.1, None, **options)
    return adamw


class Holder(nn.Module):
    """A model of a few parameters by name."""

    def __init__(self, tensors: dict[str, torch.Tensor]):
        super().__init__()
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor.clone()))


# ---------------------------------------------------------------------------------------------- AdamW


def textbook_adamw(p, gradients, rates, decay, betas=(0.9, 0.95), eps=1e-8):
    """Loshchilov and Hutter's algorithm 2, a number at a time, in float64."""
    m, v = torch.zeros_like(p), torch.zeros_like(p)
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), 1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        hats = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        p = p - lr * decay * p - lr * hats[0] / (hats[1].sqrt() + eps)
    return p


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adamw_equals_a_textbook_version_for_twenty_steps_of_a_schedule(weight_decay):
    model = Holder(random_parameters(SHAPES, torch.float32))
    start = {n: p.detach().double() for n, p in model.named_parameters()}
    adamw = set_decay(model, weight_decay=weight_decay)
    gradients: dict[str, list] = {n: [] for n in SHAPES}
    scales = [1.0 if step < 10 else 0.3 for step in range(20)]  # the factor multiplies rate and decay alike
    for step, scale in enumerate(scales):
        random_gradients(dict(model.named_parameters()), step)
        for name, p in model.named_parameters():
            gradients[name].append(p.grad.double())
        set_learning_rate([adamw], scale)
        adamw.step()
    for name, p in model.named_parameters():
        decay = weight_decay if p.dim() >= 2 else 0.0
        expected = textbook_adamw(start[name], gradients[name], [0.1 * s for s in scales], decay)
        torch.testing.assert_close(p.detach().double(), expected, rtol=1e-4, atol=1e-5)


def test_adamws_first_step_moves_every_entry_by_the_learning_rate_whatever_the_size_of_its_gradient():
    model = Holder({"p": torch.zeros(4)})
    model.p.grad = torch.tensor([1e-3, -5.0, 1e4, 0.0])
    set_decay(model).step()
    torch.testing.assert_close(model.p.detach(), torch.tensor([-0.1, 0.1, -0.1, 0.0]), rtol=1e-4, atol=0)


def test_weight_decay_shrinks_matrices_and_leaves_vectors_alone():
    model = Holder({"matrix": torch.ones(2, 2), "vector": torch.ones(2)})
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    set_decay(model, weight_decay=0.2).step()
    torch.testing.assert_close(model.matrix.detach(), torch.full((2, 2), 0.98))
    assert model.vector.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("muon", [False, True])
def test_a_parameter_without_a_gradient_stays(muon):
    model = Holder({"still": torch.ones(3, 3), "moving": torch.ones(3, 3)})
    model.moving.grad = torch.eye(3)
    (Muon(model.parameters(), lr=0.1) if muon else set_decay(model, weight_decay=0.1)).step()
    assert model.still.eq(1).all()
    assert not model.moving.eq(1).all()


# ----------------------------------------------------------------------------------------------- Muon


def textbook_muon(p, gradients, lr, momentum=0.95):
    """Muon from its description, one matrix at a time, in float64."""
    velocity = torch.zeros_like(p)
    for g in gradients:
        velocity = momentum * velocity + (1 - momentum) * g
        x = (1 - momentum) * g + momentum * velocity
        x = x / (x.square().sum().sqrt() + 1e-7)
        for _ in range(5):
            x = 3.4445 * x - 4.7750 * (x @ x.T @ x) + 2.0315 * (x @ x.T @ x @ x.T @ x)
        p = p - lr * max(1.0, p.shape[0] / p.shape[1]) ** 0.5 * x
    return p


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (1, 5), (5, 1), (16, 2)])
def test_muon_equals_a_textbook_version(shape, dtype):
    shapes = {"a": shape, "b": shape, "other": (3, 2)}  # like shapes go through together
    parameters = random_parameters(shapes, dtype)
    start = {n: p.double().clone() for n, p in parameters.items()}
    gradients: dict[str, list] = {n: [] for n in shapes}
    muon = Muon(parameters.values(), lr=0.03)
    for step in range(6):
        random_gradients(parameters, step)
        for name, p in parameters.items():
            gradients[name].append(p.grad.double())
        muon.step()
    for name in shapes:
        expected = textbook_muon(start[name], gradients[name], lr=0.03)
        torch.testing.assert_close(parameters[name].double(), expected, rtol=0, atol=1e-5)


def test_the_schedules_factor_scales_muons_step():
    whole, half = random_parameters({"w": (4, 6)}), random_parameters({"w": (4, 6)})
    before = whole["w"].clone()
    for parameters, scale in ((whole, 1.0), (half, 0.5)):
        random_gradients(parameters, 0)
        muon = Muon(parameters.values(), lr=0.1)
        set_learning_rate([muon], scale)
        muon.step()
    torch.testing.assert_close(half["w"] - before, (whole["w"] - before) / 2, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4), ()])
def test_muon_refuses_what_is_no_matrix(shape):
    with pytest.raises(ValueError, match=re.escape(str(tuple(shape)))):
        Muon([torch.zeros(shape)], lr=0.1)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("shape", [(8, 8), (32, 8), (8, 32), (1, 6), (6, 1), (3, 16, 5), (2, 3, 4, 4)])
def test_orthogonalise_brings_all_singular_values_near_one(shape, size):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * size
    values = torch.linalg.svdvals(orthogonalise(matrix).double())
    # the quintic lifts a value of 0.01 of the whole to 1, but not one of 0.001: leave those out
    inside = torch.linalg.svdvals(matrix.double()) / matrix.double().norm(dim=(-2, -1))[..., None] > 0.02
    assert inside.float().mean() > 0.8
    assert values[inside].min() > 0.6
    assert values.max() < 1.3


def test_orthogonalise_keeps_the_singular_directions():
    u, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(2)))
    v, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(3)))
    inner = u.T @ orthogonalise(u @ torch.diag(torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])) @ v) @ v.T
    torch.testing.assert_close(inner, torch.diag(inner.diagonal()), rtol=0, atol=1e-4)
    assert (inner.diagonal() > 0.6).all()


def test_orthogonalise_leaves_a_matrix_of_zeros_at_zero():
    assert orthogonalise(torch.zeros(2, 3, 4)).eq(0).all()


# ----------------------------------------------------------------------------------- state, all together


@pytest.mark.parametrize("muon_lr", [None, 0.02])
def test_optimizers_with_loaded_state_go_on_identically(tmp_path, muon_lr):
    """One parameter never has a gradient, so that there is nothing kept of it."""

    def steps(model, optimizers, numbers):
        trained = {n: p for n, p in model.named_parameters() if n != "norm.weight"}
        for number in numbers:
            random_gradients(trained, number)
            set_learning_rate(optimizers, 0.7**number)
            for optimizer in optimizers:
                optimizer.step()

    model = GPT(GPTConfig(11, **SHAPE), 1)
    optimizers = make_optimizers(model, 0.1, muon_lr, weight_decay=0.1)
    steps(model, optimizers, range(3))
    copied = copy.deepcopy(model)
    second = make_optimizers(copied, 0.1, muon_lr, weight_decay=0.1)
    for i, (one, other) in enumerate(zip(optimizers, second, strict=True)):
        write_tensors(tmp_path / str(i), optimizer_state(one, model))
        load_optimizer_state(other, copied, tmp_path / str(i))
    steps(model, optimizers, range(3, 6))
    steps(copied, second, range(3, 6))
    for (name, one), other in zip(model.named_parameters(), copied.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_state_of_another_model_is_refused_by_name(tmp_path):
    model = GPT(GPTConfig(11, **SHAPE))
    for wrong in ({"nobody.exp_avg": torch.zeros(2)}, {"norm.weight.exp_avg": torch.zeros(3)}):
        write_tensors(tmp_path / "o", wrong)
        with pytest.raises(InputError, match=next(iter(wrong))):
            load_optimizer_state(set_decay(model), model, tmp_path / "o")


def models() -> dict[str, nn.Module]:
    adapted = GPT(GPTConfig(11, **SHAPE))
    lora.inject(adapted, lora.LoRAConfig(rank=2))
    frozen = GPT(llama_config(11, **SHAPE | {"n_hidden": 12}))
    frozen.tok_emb.requires_grad_(False)
    return {"tied": GPT(GPTConfig(11, **SHAPE)), "untied": GPT(GPTConfig(11, tied=False, **SHAPE)),
            "gpt2": GPT(gpt2_config(11, **SHAPE)), "lora": adapted, "frozen": frozen}  # fmt: skip


@pytest.mark.parametrize("muon_lr", [None, 0.02])
@pytest.mark.parametrize("name", ["tied", "untied", "gpt2", "lora", "frozen"])
def test_make_optimizers_takes_each_trainable_parameter_exactly_once(name, muon_lr):
    model = models()[name]
    optimizers = make_optimizers(model, 0.1, muon_lr)
    taken = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert sorted(taken) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_muon_updates_the_matrices_inside_the_blocks_and_nothing_else():
    model = GPT(gpt2_config(11, **SHAPE))
    names = {p: n for n, p in model.named_parameters()}
    adamw, *muons = make_optimizers(model, 0.1, 0.02, weight_decay=0.3)
    assert (adamw.defaults["lr"], adamw.param_groups[0]["weight_decay"]) == (0.1, 0.3)
    assert [muon.defaults["lr"] for muon in muons] == [0.02] * 3
    of_each = [muon.param_groups[0]["params"] for muon in muons]
    assert sorted({tuple(p.shape) for p in own} for own in of_each) == [{(8, 8)}, {(8, 32)}, {(32, 8)}]
    of_muon = [p for own in of_each for p in own]
    assert all(names[p].startswith("blocks.") and p.dim() == 2 for p in of_muon)
    of_adamw = {names[p] for group in adamw.param_groups for p in group["params"]}
    assert {"tok_emb.weight", "pos_emb.weight", "norm.weight", "blocks.0.attn.query.bias"} <= of_adamw
    assert len(of_muon) == 2 * 6


def test_without_a_rate_for_muon_adamw_does_everything():
    (only,) = make_optimizers(GPT(GPTConfig(11, **SHAPE)), 0.1, None)
    assert isinstance(only, torch.optim.AdamW)


# ----------------------------------------------------------------------------------------- the schedule


@pytest.mark.parametrize(
    ("step", "steps", "warmup", "final", "expected"),
    [
        (0, 100, 10, 0.0, 0.1),  # the warm-up's first step is not 0: it would be wasted
        (4, 100, 10, 0.0, 0.5),
        (9, 100, 10, 0.0, 1.0),  # its last step is the peak
        (10, 100, 10, 0.0, 1.0),
        (99, 100, 10, 0.0, 0.0),
        (99, 100, 10, 0.2, 0.2),
        (55, 101, 10, 0.0, 0.5),  # half-way between warm-up and end
        (55, 101, 10, 0.5, 0.75),
        (0, 5, 0, 0.0, 1.0),  # no warm-up begins at the peak
        (2, 5, 0, 0.0, 0.5),
        (4, 5, 0, 0.0, 0.0),
        (2, 3, 10, 0.0, 0.3),  # a warm-up longer than the run is broken off
        (0, 1, 1, 0.0, 1.0),
        (0, 1, 0, 0.0, 1.0),  # the only step learns something
        (10, 11, 10, 0.0, 1.0),  # and so does the only one after the warm-up
    ],
)
def test_the_learning_rate_rises_in_a_line_and_falls_in_a_line(step, steps, warmup, final, expected):
    assert learning_rate_scale(step, steps, warmup, final) == pytest.approx(expected)


@pytest.mark.parametrize("warmup", [0, 1, 7, 30, 50])
@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_the_factor_never_leaves_zero_to_one_and_never_falls_before_the_peak(warmup, final):
    scales = [learning_rate_scale(s, 30, warmup, final) for s in range(30)]
    assert all(0 <= s <= 1 for s in scales)
    peak = scales.index(max(scales))
    assert scales[: peak + 1] == sorted(scales[: peak + 1])
    assert scales[peak:] == sorted(scales[peak:], reverse=True)
