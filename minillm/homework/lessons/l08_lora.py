"""Exercises of lesson 8: adapters and LoRA."""

import math

import numpy as np
import torch
from torch import Tensor

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

ADDED = {"en": "A difference added to W", "zh": "加在 W 上的差值"}
MERGE = {"en": "Merge and unmerge", "zh": "合并与拆开"}
COUNT = {"en": "How many parameters?", "zh": "有多少参数？"}


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


# --------------------------------------------------------------------------------------------- forward


def lora_forward(x: Tensor, weight: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return x @ weight.T + alpha / A.shape[0] * (x @ A.T @ B.T)  # (…, in) -> (…, out)


def forward(x, weight, A, B, scale):
    """The layer with another scale."""
    return x @ weight.T + scale * (x @ A.T @ B.T)


def layer(rng, out, inner, rank):
    return normal(rng, out, inner), normal(rng, rank, inner), normal(rng, out, rank)


def fresh(rng, out, inner, rank):
    return normal(rng, out, inner), normal(rng, rank, inner), torch.zeros(out, rank)


def twins(rng):
    """An adapter all of whose rows are equal: its matrix A has rank 1, its shape says 3."""
    a, b = normal(rng, 1, 4), normal(rng, 3, 1)
    return normal(rng, 2, 4), normal(rng, 3, 4), a.repeat(3, 1), b.repeat(1, 3), 6.0


FORWARD = Exercise(
    "lora_forward", ADDED, lora_forward,
    (
        Check("fresh-adapter", 1, {"en": "With B = 0 the layer gives just what it gave without an adapter: x Wᵀ.",
                                   "zh": "B = 0 时，这一层的输出和没有适配器时完全一样：x Wᵀ。"},
              lambda rng: [(normal(rng, 1, 2), *fresh(rng, 2, 2, 2), 1.0), (normal(rng, 3, 4), *fresh(rng, 4, 4, 4), 8.0)],
              edge=True),
        Check("difference", 2, {"en": "With W square and A, B square as well every product fits; only (alpha / rank) B A x is "
                                      "the right one.",
                                "zh": "W、A、B 都是方阵时，什么乘法形状都对得上；只有 (alpha / rank) B A x 是对的。"},
              lambda rng: [(normal(rng, 1, 2), *layer(rng, 2, 2, 2), 2.0), (normal(rng, 3, 3), *layer(rng, 3, 3, 3), 3.0)]),
        Check("scale", 2, {"en": "The adapter's output is scaled by alpha / rank; the rank is the short side of A.",
                           "zh": "适配器的输出要乘以 alpha / rank；rank 是 A 的短边。"},
              lambda rng: [(normal(rng, 1, 3), *layer(rng, 4, 3, 2), 5.0), (normal(rng, 3, 2), *layer(rng, 3, 2, 5), 4.0), twins(rng), (normal(rng, 3, 5), *layer(rng, 4, 5, 3), 16.0),
                           (normal(rng, 2, 6), *layer(rng, 7, 6, 4), 2.0)]),
        Check("any-leading-axes", 1, {"en": "x may be one vector (in) or a batch of sequences (B, T, in): only the last axis changes.",
                                      "zh": "x 可以是一个向量 (in)，也可以是一批序列 (B, T, in)：只有最后一个轴会变。"},
              lambda rng: [(normal(rng, 3), *layer(rng, 4, 3, 2), 4.0), (normal(rng, 2, 3, 4), *layer(rng, 5, 4, 2), 4.0),
                           (normal(rng, 2, 1, 3, 2), *layer(rng, 3, 2, 1), 0.5)]),
    ),
    (
        Misconception("adapter-instead-of-added",
                      {"en": "Only the adapter's output is returned. The adapter works next to W, it does not replace it: add "
                             "both outputs.",
                       "zh": "你只返回了适配器的输出。适配器与 W 并联，不是取代 W：两个输出要相加。"},
                      lambda x, w, A, B, alpha: alpha / A.shape[0] * (x @ A.T @ B.T)),
        Misconception("weight-not-transposed",
                      {"en": "W is (out, in), so a row of x is multiplied by Wᵀ: x @ weight.T. `x @ weight` mixes up inputs and "
                             "outputs, which a square W does not tell you.",
                       "zh": "W 的形状是 (out, in)，所以 x 的一行要乘 Wᵀ：x @ weight.T。`x @ weight` 把输入和输出弄反了，而方阵不会报错。"},
                      lambda x, w, A, B, alpha: x @ w + alpha / A.shape[0] * (x @ A.T @ B.T)),
        Misconception("delta-transposed",
                      {"en": "You compute x B A, which is the transposed ΔW. For a row x it is first A, then B: x @ A.T @ B.T.",
                       "zh": "你算的是 x B A，相当于用了转置的 ΔW。对一行 x 来说，先经过 A，再经过 B：x @ A.T @ B.T。"},
                      lambda x, w, A, B, alpha: x @ w.T + alpha / A.shape[0] * (x @ B @ A)),
        Misconception("first-b-then-a",
                      {"en": "x goes through B first and then through A. A takes x down to `rank` numbers, B takes these up to "
                             "`out`: ΔW = B A, not A B.",
                       "zh": "你让 x 先经过 B 再经过 A。A 把 x 压到 rank 个数，B 再把它们还原到 out 个：ΔW = B A，不是 A B。"},
                      lambda x, w, A, B, alpha: x @ w.T + alpha / A.shape[0] * (x @ B.T @ A.T)),
        Misconception("adapter-in-series",
                      {"en": "The adapter reads the output of W. In LoRA it reads the same input x, in parallel; only so can "
                             "B A be added to W later.",
                       "zh": "你的适配器读的是 W 的输出。LoRA 的适配器和 W 并联，读同一个输入 x；只有这样以后才能把 B A 加进 W。"},
                      lambda x, w, A, B, alpha: x @ w.T + alpha / A.shape[0] * (x @ w.T @ A.T @ B.T)),
        Misconception("alpha-over-rank-forgotten",
                      {"en": "The factor alpha / rank is missing: ΔW = (alpha / rank) B A.",
                       "zh": "漏了系数 alpha / rank：ΔW = (alpha / rank) B A。"},
                      lambda x, w, A, B, alpha: forward(x, w, A, B, 1.0)),
        Misconception("alpha-times-rank",
                      {"en": "You multiply by alpha · rank. The factor is alpha / rank: a sum over more ranks is made smaller, so "
                             "that the rank can change without a new learning rate.",
                       "zh": "你乘了 alpha · rank。系数是 alpha / rank：秩越大求和项越多，所以要除以它，这样换一个秩不必重调学习率。"},
                      lambda x, w, A, B, alpha: forward(x, w, A, B, alpha * A.shape[0])),
        Misconception("not-divided-by-the-rank",
                      {"en": "You multiply by alpha but do not divide by the rank: the factor is alpha / rank.",
                       "zh": "你乘了 alpha，但没有除以秩：系数是 alpha / rank。"},
                      lambda x, w, A, B, alpha: forward(x, w, A, B, alpha)),
        Misconception("rank-from-the-wrong-axis",
                      {"en": "You take the width of x for the rank. A is (rank, in): the rank is A.shape[0].",
                       "zh": "你把 x 的宽度当成了秩。A 的形状是 (rank, in)：秩是 A.shape[0]。"},
                      lambda x, w, A, B, alpha: forward(x, w, A, B, alpha / A.shape[1])),
        Misconception("flattened",
                      {"en": "The leading axes of x are lost: a batch (B, T, in) must come out as (B, T, out), a vector (in) "
                             "as (out). `@` works on the last axis and keeps the others.",
                       "zh": "x 前面的轴丢了：(B, T, in) 出来应该是 (B, T, out)，向量 (in) 出来应该是 (out)。`@` 只动最后一个轴，其余保持不变。"},
                      lambda x, w, A, B, alpha: lora_forward(x.reshape(-1, x.shape[-1]), w, A, B, alpha)),
    ),
)  # fmt: skip


# ----------------------------------------------------------------------------------------------- merge


def lora_merge(weight: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return weight + alpha / A.shape[0] * (B @ A)


MERGED = Exercise(
    "lora_merge", MERGE, lora_merge,
    (
        Check("fresh-adapter", 1, {"en": "Merging an adapter with B = 0 changes nothing.", "zh": "合并 B = 0 的适配器，什么都不变。"},
              lambda rng: [(*fresh(rng, 2, 2, 2), 1.0), (*fresh(rng, 3, 3, 3), 8.0)], edge=True),
        Check("square", 1, {"en": "With W, A and B square every product fits; only B A is the right one, added once.",
                            "zh": "W、A、B 都是方阵时什么乘法都对得上；只有 B A 是对的，而且只加一次。"},
              lambda rng: [(*layer(rng, 2, 2, 2), 2.0), (*layer(rng, 3, 3, 3), 3.0)]),
        Check("scale", 2, {"en": "ΔW is scaled by alpha / rank when it is merged, just as in the forward pass.",
                           "zh": "合并时 ΔW 也要乘 alpha / rank，和前向计算时一样。"},
              lambda rng: [(*layer(rng, 3, 4, 2), 5.0), (*layer(rng, 3, 2, 5), 4.0), twins(rng)[1:], (*layer(rng, 5, 4, 3), 16.0), (*layer(rng, 6, 7, 4), 2.0),
                           (*layer(rng, 2, 3, 1), 0.5)]),
    ),
    (
        Misconception("only-the-difference",
                      {"en": "You return ΔW alone. After merging the adapter is gone, so its W must hold both: W + ΔW.",
                       "zh": "你只返回了 ΔW。合并以后适配器就不在了，这个矩阵要包含两者：W + ΔW。"},
                      lambda w, A, B, alpha: alpha / A.shape[0] * (B @ A)),
        Misconception("a-times-b",
                      {"en": "The product is A B; it must be B A. x first meets A, and the matrix that acts first is on the "
                             "right.",
                       "zh": "你乘的是 A B；应该是 B A。x 先遇到 A，先起作用的矩阵写在右边。"},
                      lambda w, A, B, alpha: w + alpha / A.shape[0] * (A @ B)),
        Misconception("delta-transposed",
                      {"en": "ΔW is transposed: (B A)ᵀ has the axes (in, out), W has (out, in).",
                       "zh": "ΔW 转置了：(B A)ᵀ 的轴是 (in, out)，而 W 是 (out, in)。"},
                      lambda w, A, B, alpha: w + alpha / A.shape[0] * (B @ A).T),
        Misconception("merged-twice",
                      {"en": "ΔW is added twice. This happens when a merged layer is merged again: add it once.",
                       "zh": "ΔW 加了两次。已经合并过的层又合并一次就会这样：只加一次。"},
                      lambda w, A, B, alpha: w + 2 * alpha / A.shape[0] * (B @ A)),
        Misconception("subtracted",
                      {"en": "ΔW is taken away, which undoes a merge. Merging adds it.",
                       "zh": "你减去了 ΔW，那是撤销合并。合并是加上它。"},
                      lambda w, A, B, alpha: w - alpha / A.shape[0] * (B @ A)),
        Misconception("merged-unscaled",
                      {"en": "B A is merged without alpha / rank. The merged layer must give what layer and adapter gave together, "
                             "and there the adapter was scaled.",
                       "zh": "合并时 B A 没有乘 alpha / rank。合并后的层必须和“层加适配器”的输出一样，而那里的适配器是乘过系数的。"},
                      lambda w, A, B, alpha: w + B @ A),
        Misconception("rank-from-the-wrong-axis",
                      {"en": "You divide by the width `in`. A is (rank, in): the rank is A.shape[0].",
                       "zh": "你除以了宽度 in。A 的形状是 (rank, in)：秩是 A.shape[0]。"},
                      lambda w, A, B, alpha: w + alpha / A.shape[1] * (B @ A)),
        Misconception("whole-number-division",
                      {"en": "`//` throws the rest away: alpha = 2 with rank 4 becomes 0. alpha / rank is a fraction: use `/`.",
                       "zh": "`//` 会舍去余数：alpha = 2、rank = 4 就成了 0。alpha / rank 是小数：要用 `/`。"},
                      lambda w, A, B, alpha: w + alpha // A.shape[0] * (B @ A)),
    ),
)  # fmt: skip


# -------------------------------------------------------------------------------------------- counting

Shapes = dict[str, tuple[int, ...]]


def count_lora_parameters(shapes: Shapes, rank: int) -> tuple[int, float]:
    count = sum(rank * sum(s) for n, s in shapes.items() if n.startswith("blocks.") and len(s) == 2)
    full = sum(math.prod(s) for s in shapes.values())
    return count, count / full if full else 0.0


def counted(
    shapes: Shapes, rank: int, one=lambda s, r: r * sum(s), where="blocks.", vectors=False, full=None, percent=1
):
    """Counting with one thing done another way."""
    count = sum(one(s, rank) for n, s in shapes.items() if n.startswith(where) and (vectors or len(s) == 2))
    full = sum(math.prod(s) for s in shapes.values()) if full is None else full(shapes, count)
    return count, percent * count / full if full else 0.0


def block(rng, number: int) -> Shapes:
    """A small block: three matrices of unequal sides, a norm and a bias."""
    c, hidden = int(rng.integers(4, 8)), int(rng.integers(9, 14))
    at = f"blocks.{number}"
    return {f"{at}.norm1.weight": (c,), f"{at}.attn.key.weight": (c - 2, c), f"{at}.mlp.up.weight": (hidden, c),
            f"{at}.mlp.up.bias": (hidden,), f"{at}.mlp.down.weight": (c, hidden)}  # fmt: skip


def embeddings(rng) -> Shapes:
    n, c = int(rng.integers(20, 30)), int(rng.integers(4, 8))
    return {"tok_emb.weight": (n, c), "lm_head.weight": (n, c)}


COUNTING = Exercise(
    "count_lora_parameters", COUNT, count_lora_parameters,
    (
        Check("matrices", 1, {"en": "The adapter of a matrix (out, in) has A, (rank, in), and B, (out, rank).",
                              "zh": "矩阵 (out, in) 的适配器有 A (rank, in) 和 B (out, rank)。"},
              lambda rng: [({"blocks.0.attn.query.weight": (4, 6)}, 2), ({"blocks.0.mlp.up.weight": (3, 2)}, 5), ({"blocks.0.W_q": (3, 5)}, 2),
                           ({"blocks.0.mlp.up.weight": (int(rng.integers(9, 14)), 5), "blocks.1.attn.out.weight": (7, 5)}, 3)]),
        Check("vectors", 1, {"en": "Norms and biases get no adapter, but they belong to the full model.",
                             "zh": "归一化和偏置没有适配器，但它们属于整个模型。"},
              lambda rng: [({"blocks.0.mlp.up.weight": (5, 4), "blocks.0.mlp.up.bias": (5,)}, 2), (block(rng, 0), 2)]),
        Check("embeddings", 1, {"en": "Embedding and output layer get no adapter, but they belong to the full model.",
                                "zh": "词嵌入和输出层没有适配器，但它们属于整个模型。"},
              lambda rng: [({"tok_emb.weight": (9, 4), "blocks.0.attn.out.weight": (4, 4)}, 1),
                           ({"old.blocks.0.attn.out.weight": (3, 5), "blocks_norm.weight": (6, 2),
                             "blocks.1.attn.out.weight": (3, 4)}, 2),
                           (embeddings(rng) | block(rng, 0) | block(rng, 1) | {"norm.weight": (4,)}, 3)]),
        Check("nothing", 1, {"en": "A model without parameters has no share to speak of: (0, 0.0).",
                             "zh": "没有参数的模型谈不上占比：返回 (0, 0.0)。"},
              lambda rng: [({}, 4)], edge=True),
    ),
    (
        Misconception("only-a-counted",
                      {"en": "You count A only. B, (out, rank), is trained as well: rank · (in + out) for each matrix.",
                       "zh": "你只数了 A。B 的形状是 (out, rank)，同样要训练：每个矩阵是 rank · (in + out)。"},
                      lambda s, r: counted(s, r, lambda s, r: r * s[-1])),
        Misconception("whole-difference-counted",
                      {"en": "You count ΔW itself, out · in numbers. Only A and B are trained: rank · (in + out).",
                       "zh": "你数的是 ΔW 本身，有 out · in 个数。真正训练的只有 A 和 B：rank · (in + out)。"},
                      lambda s, r: counted(s, r, lambda s, r: math.prod(s))),
        Misconception("sides-multiplied",
                      {"en": "You count rank · in · out. A has rank · in numbers and B out · rank: the sides are added, not "
                             "multiplied.",
                       "zh": "你数成了 rank · in · out。A 有 rank · in 个数，B 有 out · rank 个：两边相加，不是相乘。"},
                      lambda s, r: counted(s, r, lambda s, r: r * math.prod(s))),
        Misconception("share-with-the-adapters",
                      {"en": "You divide by model plus adapters. The share is asked of the full model alone, the parameters that "
                             "full tuning would train.",
                       "zh": "你除以了“模型加适配器”。这里问的是占整个模型（也就是全量微调要训练的参数）的比例。"},
                      lambda s, r: counted(s, r, full=lambda s, n: sum(math.prod(x) for x in s.values()) + n)),
        Misconception("percent",
                      {"en": "The share is given in percent; a share of one half is 0.5.", "zh": "你给的是百分数；一半的占比应写成 0.5。"},
                      lambda s, r: counted(s, r, percent=100)),
        Misconception("vectors-get-adapters",
                      {"en": "Norms and biases are counted too. A vector has no low-rank form: only shapes with two axes get A and B.",
                       "zh": "你把归一化和偏置也数进去了。向量没有低秩的写法：只有两个轴的形状才有 A 和 B。"},
                      lambda s, r: counted(s, r, vectors=True)),
        Misconception("embeddings-get-adapters",
                      {"en": "Embedding and output layer are counted too. Only the matrices of the blocks have adapters: "
                             "names that begin with `blocks.`.",
                       "zh": "你把词嵌入和输出层也数进去了。适配器只放在各个 block 的矩阵旁：名字以 `blocks.` 开头。"},
                      lambda s, r: counted(s, r, where="")),
        Misconception("share-of-the-adapted-matrices",
                      {"en": "You divide by the matrices that have an adapter. The full model also has embeddings, norms and "
                             "biases.",
                       "zh": "你只除以了有适配器的那些矩阵。整个模型还包括词嵌入、归一化和偏置。"},
                      lambda s, r: counted(s, r, full=lambda s, n: sum(
                          math.prod(x) for name, x in s.items() if name.startswith("blocks.") and len(x) == 2))),
        Misconception("division-by-zero",
                      {"en": "With no parameters at all you divide by zero; the answer is then (0, 0.0).",
                       "zh": "一个参数都没有时你除以了零；这时应返回 (0, 0.0)。"},
                      lambda s, r: (counted(s, r)[0], counted(s, r)[0] / sum(math.prod(x) for x in s.values()))),
    ),
)  # fmt: skip

LESSON = Lesson(8, "08_lora", {"en": "Adapters and LoRA", "zh": "适配器与 LoRA"}, (FORWARD, MERGED, COUNTING))
