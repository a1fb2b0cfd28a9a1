"""Homework of lesson 8: LoRA. Write the three functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 8`. Lesson: notebooks/en/08_lora.ipynb.
"""

from torch import Tensor


def lora_forward(x: Tensor, weight: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """A linear layer with an adapter: y = W x + (alpha / rank) B A x, for every vector x.

    x: (…, in), any number of leading axes, also none; weight: (out, in), frozen; A: (rank, in);
    B: (out, rank). The rank is read from the shape of A. There is no bias and no dropout.
    Returns (…, out), the leading axes as in x.
    """
    raise NotImplementedError


def lora_merge(weight: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """The one matrix that does the work of layer and adapter: W + ΔW, ΔW = (alpha / rank) B A.

    weight: (out, in); A: (rank, in); B: (out, rank). Returns (out, in).
    """
    raise NotImplementedError


def count_lora_parameters(shapes: dict[str, tuple[int, ...]], rank: int) -> tuple[int, float]:
    """How many parameters LoRA trains, and what share of the full model that is.

    shapes: name -> shape of each parameter of the model. There is an adapter of this rank (matrices A
    and B) for each matrix (out, in) whose name begins with `blocks.`. Embeddings and the output layer
    (other names) and vectors (shapes with one axis: norms, biases) get none, but belong to the full model.
    Returns (parameters of all adapters, their number divided by the number of parameters in `shapes`);
    (0, 0.0) when `shapes` is empty.
    """
    raise NotImplementedError
