"""The optimizers against independent versions of the same mathematics, and the schedule by hand."""

import pytest
import torch
from torch import nn

from minillm import lora
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig, gpt2_config, llama_config
from minillm.optim import AdamW, Muon, learning_rate_scale, make_optimizers, orthogonalise

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


# ---------------------------------------------------------------------------------------------- AdamW


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("betas", "eps"), [((0.9, 0.95), 1e-8), ((0.5, 0.999), 1e-3), ((0.0, 0.5), 1e-8)])
def test_adamw_equals_pytorchs_for_twenty_steps(betas, eps, weight_decay):
    ours, theirs = random_parameters(SHAPES), random_parameters(SHAPES)
    groups = [
        {"params": [p for p in theirs.values() if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in theirs.values() if p.dim() < 2], "weight_decay": 0.0},
    ]
    oracle = torch.optim.AdamW(groups, lr=0.01, betas=betas, eps=eps)
    adamw = AdamW(ours, lr=0.01, betas=betas, eps=eps, weight_decay=weight_decay)
    for step in range(20):
        random_gradients(ours, step)
        random_gradients(theirs, step)
        scale = 1.0 if step < 10 else 0.3  # the schedule's factor multiplies rate and decay alike
        for group in oracle.param_groups:
            group["lr"] = 0.01 * scale
        adamw.step(scale)
        oracle.step()
        for name in SHAPES:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-12, atol=1e-14)


def test_adamws_first_step_moves_every_entry_by_the_learning_rate_whatever_the_size_of_its_gradient():
    p = torch.zeros(4, dtype=torch.float64)
    p.grad = torch.tensor([1e-3, -5.0, 1e4, 0.0], dtype=torch.float64)
    AdamW({"p": p}, lr=0.1).step()
    torch.testing.assert_close(p, torch.tensor([-0.1, 0.1, -0.1, 0.0], dtype=torch.float64), rtol=1e-4, atol=0)


def test_weight_decay_shrinks_matrices_and_leaves_vectors_alone():
    parameters = {"matrix": torch.ones(2, 2), "vector": torch.ones(2)}
    for p in parameters.values():
        p.grad = torch.zeros_like(p)
    AdamW(parameters, lr=0.5, weight_decay=0.2).step()
    torch.testing.assert_close(parameters["matrix"], torch.full((2, 2), 0.9))
    assert parameters["vector"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("make", [lambda p: AdamW(p, lr=0.1, weight_decay=0.1), lambda p: Muon(p, lr=0.1)])
def test_a_parameter_without_a_gradient_stays(make):
    parameters = {"still": torch.ones(3, 3), "moving": torch.ones(3, 3)}
    parameters["moving"].grad = torch.eye(3)
    make(parameters).step()
    assert parameters["still"].eq(1).all()
    assert not parameters["moving"].eq(1).all()


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
    muon = Muon(parameters, lr=0.03)
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
        Muon(parameters, lr=0.1).step(scale)
    torch.testing.assert_close(half["w"] - before, (whole["w"] - before) / 2, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4), ()])
def test_muon_refuses_what_is_no_matrix(shape):
    with pytest.raises(ValueError, match="gain"):
        Muon({"gain": torch.zeros(shape)}, lr=0.1)


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


@pytest.mark.parametrize("make", [lambda p: AdamW(p, lr=0.1, weight_decay=0.1), lambda p: Muon(p, lr=0.1)])
def test_an_optimizer_with_loaded_state_goes_on_identically(make):
    shapes = {"a": (4, 3), "b": (3, 5)}
    parameters = random_parameters(shapes, torch.float32)
    optimizer = make(parameters)
    for step in range(3):
        random_gradients(parameters, step)
        optimizer.step()
    copies = {n: p.clone() for n, p in parameters.items()}
    state = {n: t.clone() for n, t in optimizer.state().items()}
    second = make(copies)
    second.load_state(state)
    for step in range(3, 6):
        for one, its_optimizer in ((parameters, optimizer), (copies, second)):
            random_gradients(one, step)
            its_optimizer.step(0.7)
    for name in shapes:
        assert torch.equal(parameters[name], copies[name])


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
    taken = [id(p) for optimizer in optimizers for p in optimizer.parameters.values()]
    assert sorted(taken) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_muon_turns_the_matrices_inside_the_blocks_and_nothing_else():
    adamw, muon = make_optimizers(GPT(gpt2_config(11, **SHAPE)), 0.1, 0.02, weight_decay=0.3)
    assert (adamw.lr, adamw.weight_decay, muon.lr) == (0.1, 0.3, 0.02)
    assert all(n.startswith("blocks.") and p.dim() == 2 for n, p in muon.parameters.items())
    assert {"tok_emb.weight", "pos_emb.weight", "norm.weight", "blocks.0.attn.query.bias"} <= adamw.parameters.keys()
    assert len(muon.parameters) == 2 * 6


def test_without_a_rate_for_muon_adamw_does_everything():
    (only,) = make_optimizers(GPT(GPTConfig(11, **SHAPE)), 0.1, None)
    assert isinstance(only, AdamW)


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
