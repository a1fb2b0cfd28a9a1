"""Homework of lesson 8: LoRA. Write the three functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 8`. Lesson: notebooks/en/08_lora.ipynb.

第 8 课作业：LoRA。用 numpy 或 torch 写出下面三个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 8`。课文：notebooks/zh/08_lora.ipynb。
"""

from torch import Tensor


def lora_forward(x: Tensor, weight: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """A linear layer with an adapter: y = W x + (alpha / rank) B A x, for every vector x.

    x: (…, in), any number of leading axes, also none; weight: (out, in), frozen; A: (rank, in);
    B: (out, rank). The rank is read from the shape of A. There is no bias and no dropout.
    Returns (…, out), the leading axes as in x.

    带适配器的线性层：对每个向量 x，y = W x + (alpha / rank) B A x。

    x：(…, in)，前面可以有任意多个轴，也可以没有；weight：(out, in)，冻结；A：(rank, in)；B：(out, rank)。秩从 A 的形
    状读出。没有偏置，也没有 dropout。返回 (…, out)，前面的轴与 x 相同。
    """
    raise NotImplementedError


def lora_merge(weight: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """The one matrix that does the work of layer and adapter: W + ΔW, ΔW = (alpha / rank) B A.

    weight: (out, in); A: (rank, in); B: (out, rank). Returns (out, in).

    一个矩阵，做的事与原来的层加适配器相同：W + ΔW，ΔW = (alpha / rank) B A。

    weight：(out, in)；A：(rank, in)；B：(out, rank)。返回 (out, in)。
    """
    raise NotImplementedError


def count_lora_parameters(shapes: dict[str, tuple[int, ...]], rank: int) -> tuple[int, float]:
    """How many parameters LoRA trains, and what share of the full model that is.

    shapes: name -> shape of each parameter of the model. There is an adapter of this rank (matrices A
    and B) for each matrix (out, in) whose name begins with `blocks.`. Embeddings and the output layer
    (other names) and vectors (shapes with one axis: norms, biases) get none, but belong to the full model.
    Returns (parameters of all adapters, their number divided by the number of parameters in `shapes`);
    (0, 0.0) when `shapes` is empty.

    用 LoRA 训练多少个参数，占整个模型的多大比例。

    shapes：名字 -> 形状，列出模型的每个参数。名字以 `blocks.` 开头的每个矩阵 (out, in) 配一个秩为 rank 的适配器（矩阵
    A 和 B）。嵌入和输出层（别的名字）以及向量（形状只有一个轴：归一化、偏置）不配适配器，但算在整个模型里。返回（所有
    适配器的参数个数，它除以 `shapes` 里的参数总数）；`shapes` 为空时返回 (0, 0.0)。
    """
    raise NotImplementedError
