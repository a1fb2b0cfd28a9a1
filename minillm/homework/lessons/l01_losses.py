"""Exercises of lesson 1, second part: cross-entropy, perplexity, bits per byte."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from minillm.homework.exercise import Check, Exercise, Misconception

LOSS = {"en": "The loss", "zh": "损失"}
UNITS = {"en": "Loss, perplexity, bits per byte", "zh": "损失、困惑度、每字节比特数"}


# ---------------------------------------------------------------------------------------------- cross-entropy


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log softmax(logits)[target], nats."""
    return losses(logits, targets).mean()


def pick(values: Tensor, targets: Tensor) -> Tensor:
    """(…, V), (…) -> (…): the target's value at each position."""
    return values.gather(-1, targets[..., None])[..., 0]


def losses(logits: Tensor, targets: Tensor, axis: int = -1) -> Tensor:
    return -pick(logits.log_softmax(axis), targets)


def floored(eps: float, add: bool = True) -> Callable:
    """The logarithm kept from minus infinity by a small number that is added, or below which no share may fall."""

    def wrong(logits, targets):
        shares = pick(logits.softmax(-1), targets)
        return -(shares + eps if add else shares.clamp(min=eps)).log().mean()

    return wrong


EPSILONS = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)


def highest_of_all(logits: Tensor, targets: Tensor) -> Tensor:
    """One maximum for all rows: a row far below it underflows."""
    shifted = logits - logits.max()
    return -(pick(shifted, targets) - shifted.exp().sum(-1).log()).mean()


def without_keepdim(logits: Tensor, targets: Tensor) -> Tensor:
    return -pick(logits - logits.logsumexp(-1), targets).mean()


def heights(rng: np.random.Generator, *shape: int) -> tuple[Tensor, Tensor]:
    """Rows whose logits are several hundred apart from those of other rows."""
    logits, targets = scored(rng, *shape)
    rows = math.prod(shape[:-1])
    steps = torch.from_numpy(rng.permutation(np.linspace(-900, 900, rows)).astype(np.float32))
    return logits + steps.view(*shape[:-1], 1), targets


def overflowing(logits: Tensor, targets: Tensor) -> Tensor:
    shares = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return -pick(shares, targets).log().mean()


def scored(rng: np.random.Generator, *shape: int, size: float = 1.0, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    """Logits of the shape, well apart, and targets that are never the likeliest or the first token."""
    v = shape[-1]
    ranks = np.stack([rng.permutation(v - 1) for _ in range(math.prod(shape[:-1]))])  # of tokens 1 … V - 1
    ranks = np.concatenate([np.full((len(ranks), 1), v - 0.5), ranks], axis=1)  # token 0 is the likeliest
    values = size * (ranks - 0.4 * v + 0.2 * rng.random(ranks.shape)) + shift
    targets = 1 + rng.integers(v - 1, size=shape[:-1])
    targets.flat[0] = 1 + int(np.argmin(ranks[0, 1:]))  # and one of them the least likely
    return torch.from_numpy(values.astype(np.float32)).view(shape), torch.from_numpy(targets)


def every_target(rng: np.random.Generator, v: int) -> tuple[Tensor, Tensor]:
    """Each token of the vocabulary, 0 too, is a target once."""
    return scored(rng, v, v)[0], torch.from_numpy(rng.permutation(v))


CROSS_ENTROPY = Exercise(
    "cross_entropy", LOSS, cross_entropy,
    (
        Check("one-position", 1, {"en": "One position: -log of the softmax's share of the target, natural logarithm.",
                                  "zh": "只有一个位置：目标词元的 softmax 概率取 -log，用自然对数。"},
              lambda rng: [scored(rng, 1, 3), scored(rng, 1, 5)]),
        Check("several-positions", 1, {"en": "Several positions: the mean of their losses.",
                                       "zh": "多个位置：取各个损失的平均。"},
              lambda rng: [scored(rng, 2, 3), scored(rng, 7, 5), every_target(rng, 5)]),
        Check("batch", 1, {"en": "Logits (B, T, V) and targets (B, T): one mean over all B · T positions.",
                           "zh": "logits 是 (B, T, V)，目标是 (B, T)：对全部 B · T 个位置取一个平均。"},
              lambda rng: [scored(rng, 2, 3, 4), scored(rng, 3, 2, 6)]),
        Check("large-logits", 1, {"en": "Logits of several hundred: neither exp may overflow nor log see a rounded 0. "
                                        "log p = logit - log Σ exp(logits), with the maximum of the row subtracted first.",
                                  "zh": "几百大小的 logits：exp 不能溢出，log 也不能碰到被舍入成 0 的数。"
                                        "log p = logit - log Σ exp(logits)，先减去这一行的最大值。"},
              lambda rng: [scored(rng, 1, 3, size=300.0, shift=900.0), scored(rng, 4, 5, size=300.0, shift=900.0),
                           heights(rng, 4, 5), heights(rng, 2, 3, 4)]),
    ),
    (
        Misconception("sign-missing",
                      {"en": "The sign is missing: the logarithm of a probability is negative, the loss is its negative.",
                       "zh": "少了负号：概率的对数是负的，损失是它的相反数。"},
                      lambda logits, targets: -cross_entropy(logits, targets)),
        Misconception("exp-overflows",
                      {"en": "exp of a logit of several hundred is infinite, and infinite / infinite is no number. Let "
                             "log_softmax do it, or subtract the largest logit first.",
                       "zh": "几百大小的 logit 取 exp 是无穷大，无穷大除以无穷大没有意义。用 log_softmax，或者先减去最大的 logit。"},
                      overflowing),
        Misconception("log-of-a-rounded-zero",
                      {"en": "softmax rounds a very small share to 0, and its logarithm is minus infinity. Use log_softmax, "
                             "which never forms the share.",
                       "zh": "softmax 把很小的概率舍入成 0，它的对数是负无穷。用 log_softmax，它不会先算出这个概率。"},
                      lambda logits, targets: -pick(logits.softmax(-1), targets).log().mean(),
                      tuple(floored(eps, add) for eps in EPSILONS for add in (True, False))),
        Misconception("logits-as-log-probabilities",
                      {"en": "You take the logits for log-probabilities. They are scores of any size: only after softmax "
                             "do they add up to 1.",
                       "zh": "你把 logits 当成了对数概率。它们只是任意大小的分数：经过 softmax 之后才加起来等于 1。"},
                      lambda logits, targets: -pick(logits, targets).mean()),
        Misconception("in-bits",
                      {"en": "You use the logarithm to base 2: this is the loss in bits. Nats use the natural logarithm.",
                       "zh": "你用了以 2 为底的对数：那是以比特为单位的损失。奈特（nat）用自然对数。"},
                      lambda logits, targets: cross_entropy(logits, targets) / math.log(2)),
        Misconception("no-logarithm",
                      {"en": "You average 1 - p. The loss is -log p: it grows without end as p goes to 0.",
                       "zh": "你平均的是 1 - p。损失是 -log p：p 趋于 0 时它会无限增大。"},
                      lambda logits, targets: 1 - pick(logits.softmax(-1), targets).mean()),
        Misconception("likeliest-instead-of-target",
                      {"en": "You take the probability of the token the model likes best. The loss asks for the token "
                             "that really came.",
                       "zh": "你取的是模型最看好的词元的概率。损失问的是真正出现的那个词元。"},
                      lambda logits, targets: -logits.log_softmax(-1).amax(-1).mean()),
        Misconception("softmax-over-positions",
                      {"en": "The softmax runs over the first axis, the positions. At each position it is the tokens of "
                             "the vocabulary that share out the probability: the last axis.",
                       "zh": "softmax 沿着第一个轴（位置）做了。在每个位置上是词表里的词元来分概率：最后一个轴。"},
                      lambda logits, targets: losses(logits, targets, 0).mean()),
        Misconception("sum-instead-of-mean",
                      {"en": "You add the losses up. The mean does not depend on how long the text is.",
                       "zh": "你把损失加了起来。取平均才不会受文本长短的影响。"},
                      lambda logits, targets: losses(logits, targets).sum(),
                      (lambda logits, targets: losses(logits, targets).sum(-1).mean() if targets.dim() == 2
                       else losses(logits, targets).mean(),)),
        Misconception("log-of-the-mean",
                      {"en": "You average the probabilities and then take the logarithm. Take the logarithm at each "
                             "position, then the mean: the probabilities of a text are multiplied, not added.",
                       "zh": "你先平均概率再取对数。应该在每个位置先取对数再平均：一段文本的概率是相乘的，不是相加的。"},
                      lambda logits, targets: -pick(logits.softmax(-1), targets).mean().log()),
        Misconception("softmax-over-axis-1",
                      {"en": "The softmax runs over axis 1. With (B, T, V) this is the positions: use the last axis, -1.",
                       "zh": "softmax 沿着轴 1 做了。形状是 (B, T, V) 时那是位置：请用最后一个轴 -1。"},
                      lambda logits, targets: losses(logits, targets, 1).mean()),
        Misconception("softmax-over-axis-1",
                      {"en": "F.cross_entropy takes axis 1 for the vocabulary, and with (B, T, V) that is the positions. Make "
                             "the axes (N, V) and (N) first: logits.flatten(0, -2), targets.flatten().",
                       "zh": "F.cross_entropy 把轴 1 当成词表，而形状是 (B, T, V) 时轴 1 是位置。先变成 (N, V) 和 (N)："
                             "logits.flatten(0, -2)，targets.flatten()。"},
                      F.cross_entropy),
    ),
    slips=(
        Misconception("keepdim-missing",
                      {"en": "The sum over the vocabulary has lost its axis, so it is combined with the wrong numbers: "
                             "keepdim=True keeps it, (…, 1).",
                       "zh": "对词表求和之后这个轴没有了，于是和别的数对到了一起：keepdim=True 可以留住它，形状是 (…, 1)。"},
                      without_keepdim),
        Misconception("highest-of-all-rows",
                      {"en": "You subtract the largest logit of the whole tensor. A row far below it underflows to 0: subtract "
                             "each row's own maximum.",
                       "zh": "你减去的是整个张量的最大 logit。比它低很多的行会下溢成 0：每一行要减去自己的最大值。"},
                      highest_of_all),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- perplexity


def perplexity(probabilities: np.ndarray) -> float:
    """exp of the mean of -log p."""
    return quiet(lambda: np.exp(-np.log(probabilities).mean()))


def quiet(result: Callable[[], float]) -> float:
    """The result, infinity without a warning."""
    with np.errstate(all="ignore"):
        return float(result())


def log_with_error(p: float) -> float:
    return math.log(p)  # ValueError at 0


def probabilities(rng: np.random.Generator, length: int, low: float = 0.1, high: float = 0.9) -> np.ndarray:
    """Numbers spread over the range, in random order."""
    return rng.permutation(np.linspace(low, high, length) + 0.02 * rng.random(length))


PERPLEXITY = Exercise(
    "perplexity", UNITS, perplexity,
    (
        Check("one-token", 1, {"en": "One token of probability p: 1 / p.", "zh": "只有一个概率为 p 的词元：1 / p。"},
              lambda rng: [(np.array([0.5]),), (probabilities(rng, 1, 0.1, 0.2),), (np.array([1.0]),)]),
        Check("several-tokens", 1, {"en": "exp of the mean of -log p over the tokens.", "zh": "对各词元的 -log p 取平均，再取 exp。"},
              lambda rng: [(np.array([0.5, 0.125]),), (probabilities(rng, 5),), (np.array([1.0, 0.25, 1.0]),)]),
        Check("long-text", 1, {"en": "Thousands of tokens: their product is smaller than any number a computer can hold. "
                                     "Add logarithms instead.",
                               "zh": "几千个词元：它们的乘积比计算机能表示的任何数都小。改为把对数相加。"},
              lambda rng: [(probabilities(rng, 3000, 0.01, 0.5),), (10.0 ** -rng.uniform(8, 30, 7),), (np.array([1e-60, 0.5]),)]),
        Check("probability-zero", 1, {"en": "A token the model held to be impossible: the perplexity is math.inf.",
                                      "zh": "模型认为不可能的词元：困惑度是 math.inf。"},
              lambda rng: [(np.array([0.0]),), (np.append(probabilities(rng, 3), 0.0),)], edge=True),
    ),
    (
        Misconception("loss-not-perplexity",
                      {"en": "You return the loss in nats. The perplexity is its exponential.",
                       "zh": "你返回的是以奈特为单位的损失。困惑度是它的指数 exp。"},
                      lambda p: math.log(perplexity(p))),
        Misconception("two-to-the-nats",
                      {"en": "You mix the bases: the logarithm is the natural one, but then 2 is raised to it. Use exp with "
                             "log, or 2 ** with log2.",
                       "zh": "底数混了：取的是自然对数，却用 2 的幂还原。log 要配 exp，log2 要配 2 **。"},
                      lambda p: 2 ** math.log(perplexity(p))),
        Misconception("sign-missing",
                      {"en": "The sign is missing: you get the mean probability, below 1. Perplexity is its reciprocal.",
                       "zh": "少了负号：你得到的是小于 1 的平均概率。困惑度是它的倒数。"},
                      lambda p: 1 / perplexity(p)),
        Misconception("one-over-the-mean",
                      {"en": "You take 1 / the mean of p. The probabilities of a text are multiplied: average their "
                             "logarithms, so that one badly guessed token counts.",
                       "zh": "你算的是 1 / p 的平均值。一段文本的概率是相乘的：要平均对数，这样一个猜得很差的词元才有分量。"},
                      lambda p: quiet(lambda: 1 / p.mean())),
        Misconception("mean-of-the-reciprocals",
                      {"en": "You average 1 / p. One rare token would outweigh all others: average -log p, then take exp.",
                       "zh": "你平均的是 1 / p。一个罕见的词元就会压倒其余所有的：应该先平均 -log p，再取 exp。"},
                      lambda p: quiet(lambda: (1 / p).mean())),
        Misconception("no-root",
                      {"en": "You take 1 / the probability of the whole text, which grows with its length. The mean over "
                             "the tokens (the N-th root of the product) is missing.",
                       "zh": "你算的是 1 / 整段文本的概率，它随长度增大。少了对词元取平均（乘积的 N 次方根）。"},
                      lambda p: quiet(lambda: np.exp(-np.log(p).sum()))),
        Misconception("product-underflows",
                      {"en": "You multiply the probabilities first; of thousands of them the product is rounded to 0. Add "
                             "their logarithms.",
                       "zh": "你先把概率乘起来；几千个概率的乘积会被舍入成 0。改为把对数相加。"},
                      lambda p: float(math.prod(map(float, p))) ** (-1 / len(p)),
                      (lambda p: quiet(lambda: np.prod(p) ** (-1 / len(p))),)),
        Misconception("log-of-zero",
                      {"en": "math.log(0) raises an error. A text that the model holds to be impossible has an infinite "
                             "perplexity: return math.inf.",
                       "zh": "math.log(0) 会报错。模型认为不可能的文本，困惑度是无穷大：返回 math.inf。"},
                      lambda p: math.exp(-sum(map(log_with_error, p)) / len(p))),
        Misconception("impossible-tokens-left-out",
                      {"en": "You leave out the tokens of probability 0, just those the model was most wrong about. The "
                             "answer is math.inf.",
                       "zh": "你把概率为 0 的词元跳过了，而模型正是在它们身上错得最厉害。答案是 math.inf。"},
                      lambda p: perplexity(p[p > 0]) if (p > 0).any() else 1.0),
    ),
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- bits per byte


def bits_per_byte(nats: list[float], text: str) -> float:
    """Sum of the losses in bits / bytes of the text."""
    return sum(nats) / math.log(2) / len(text.encode("utf-8"))


def rescaled(nats, size: float) -> float:
    return sum(nats) / math.log(2) / size


def losses_of(rng: np.random.Generator, count: int) -> list[float]:
    return [float(x) for x in 1 + 3 * rng.random(count)]


def in_english(rng):
    yield [1.5, 2.0], "Mount"
    yield losses_of(rng, 7), "The capital of France is Paris."


def in_chinese(rng):
    yield [2.0], "玉山"
    yield losses_of(rng, 9), "台湾最高的山是哪座？玉山"
    yield losses_of(rng, 6), "Good morning: 早安"


def in_other_scripts(rng):
    yield [2.5, 1.0], "é👍"
    yield losses_of(rng, 4), " Don't Да\t𠮷\u3000\n"
    yield losses_of(rng, 5), "Köln 👍👍 玉山"
    yield losses_of(rng, 3), "e\u0301te\u0301\r\nＡ\r\n"  # accents as characters of their own; nothing is folded


BITS = Exercise(
    "bits_per_byte", UNITS, bits_per_byte,
    (
        Check("english", 1, {"en": "In English letters a byte is a character: sum of the losses / log 2 / characters.",
                             "zh": "英文字母一个字符就是一个字节：损失之和 / log 2 / 字符数。"}, in_english),
        Check("chinese", 1, {"en": "A Chinese character is three bytes in UTF-8: len(text.encode(\"utf-8\")).",
                             "zh": "一个汉字在 UTF-8 里是三个字节：len(text.encode(\"utf-8\"))。"}, in_chinese),
        Check("accents-and-emoji", 1, {"en": "é has two bytes and 👍 four: let encode count.",
                                       "zh": "é 有两个字节，👍 有四个：让 encode 来数。"}, in_other_scripts),
    ),
    (
        Misconception("nats-per-byte",
                      {"en": "These are nats per byte. A nat is 1 / log 2 = 1.44 bits: divide by log 2.",
                       "zh": "这是每字节的奈特数。1 奈特等于 1 / log 2 = 1.44 比特：还要除以 log 2。"},
                      lambda nats, text: sum(nats) / len(text.encode())),
        Misconception("times-log-2",
                      {"en": "You multiply by log 2 = 0.69; there are more bits than nats: divide by it.",
                       "zh": "你乘了 log 2 = 0.69；比特数应该比奈特数多：要除以它。"},
                      lambda nats, text: sum(nats) * math.log(2) / len(text.encode())),
        Misconception("bits-per-token",
                      {"en": "You divide by the number of tokens. That number depends on the tokenizer, which is what "
                             "bits per byte should leave out: divide by the bytes of the text.",
                       "zh": "你除以了词元数。词元数取决于分词器，而每字节比特数正是要排除这个影响：应该除以文本的字节数。"},
                      lambda nats, text: rescaled(nats, len(nats))),
        Misconception("mean-over-bytes",
                      {"en": "You divide twice, by the tokens and by the bytes. Add up the losses of the whole text and "
                             "divide by its bytes.",
                       "zh": "你除了两次，既除以词元数又除以字节数。把整段文本的损失加起来，只除以字节数。"},
                      lambda nats, text: rescaled(nats, len(nats) * len(text.encode()))),
        Misconception("bits-per-character",
                      {"en": "You divide by characters: len(text). A Chinese character has three bytes, so divide by "
                             "len(text.encode(\"utf-8\")).",
                       "zh": "你除以了字符数 len(text)。一个汉字有三个字节，请除以 len(text.encode(\"utf-8\"))。"},
                      lambda nats, text: rescaled(nats, len(text))),
        Misconception("two-bytes-a-chinese-character",
                      {"en": "You count two bytes for a Chinese character, as in GBK. In UTF-8 it has three.",
                       "zh": "你按 GBK 把一个汉字算成了两个字节。在 UTF-8 里它是三个字节。"},
                      lambda nats, text: rescaled(nats, len(text.encode("gbk", errors="replace")))),
        Misconception("three-bytes-for-all-the-rest",
                      {"en": "You count three bytes for every character that is not ASCII. é has two and 👍 four: let "
                             "encode count.",
                       "zh": "你把所有非 ASCII 字符都算成三个字节。é 有两个，👍 有四个：让 encode 来数。"},
                      lambda nats, text: rescaled(nats, sum(1 if c.isascii() else 3 for c in text))),
    ),
)  # fmt: skip
