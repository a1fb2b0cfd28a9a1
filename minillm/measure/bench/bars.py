"""What minillm is to reach, as ratios in one run, and for each bar what stands in the way where it is missed."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from minillm.measure.bench.learning import IN_THAT_TIME, RECIPE
from minillm.measure.bench.models import TRANSFORMERS
from minillm.measure.bench.rows import OURS, Row
from minillm.measure.bench.steps import PLAIN
from minillm.measure.bench.texts import TIKTOKEN, TOKENIZERS
from minillm.plumbing.languages import Text


@dataclass(frozen=True)
class Bar:
    """One figure to reach; of several rows that it is about, the worst counts."""

    what: Text
    part: str
    case: str
    """Pattern that the row's case matches."""
    who: str
    bound: float
    why: Text
    """What stands in the way on any machine."""
    most: bool = False
    """Whether the bound is the most that is allowed, not the least."""
    unit: str = "x"
    """x: the row's ratio; nats: the loss in its note; exponent: its median slope."""

    def reached(self, rows: Sequence[Row]) -> float | None:
        """The worst value among the rows that this bar is about; None if none was measured."""
        own = [row for row in rows if row.part == self.part and row.who == self.who and re.search(self.case, row.case)]
        values = [value for row in own if (value := self.value(row)) is not None]
        return (max if self.most else min)(values, default=None)

    def value(self, row: Row) -> float | None:
        """The figure of one row."""
        if self.unit == "nats":
            found = re.match(r"([\d.]+) nats", row.note)
            return float(found[1]) if found else None
        return median(row.values) if self.unit == "exponent" and row.values else row.ratio

    def met(self, value: float) -> bool:
        """Whether this value keeps the bar."""
        return value <= self.bound if self.most else value >= self.bound


OPERATIONS: Text = dict(
    en="Matrix products are only about half of so small a step, and only they get shorter in bf16. Much of the rest is the fixed "
    "cost of some 6,000 small operations of PyTorch, three times as many as in the plain baseline: there are two "
    "micro-batches, each does all of them, bf16 adds casts, and attention is several operations instead of one.",
    zh="这么小的一步里，矩阵乘法只占大约一半时间，而 bf16 只能缩短这一半。其余大多是约 6,000 个 PyTorch 小运算的固定开销，是普通"
    "基线的三倍：微批次有两个，每个都要把这些运算做一遍，bf16 又要多做类型转换，注意力也不是一个运算，而是好几个。",
)
BARS = (
    Bar(dict(en="a training step, 4 layers, width 128, context 64: speed against plain PyTorch",
             zh="训练一步，4 层，宽 128，上下文 64：速度与普通 PyTorch 之比"),
        "train", r"^4 x 128, 12 x 64 ", PLAIN, 1.8, OPERATIONS),
    Bar(dict(en="the same, width 256 and 384, context 256",
             zh="同上，宽 256 和 384，上下文 256"),
        "train", r"^\d x (256|384), 8 x 256 ", PLAIN, 1.5,
        dict(en="Where the processor has no fast products in bf16, only the products in fp32 and the attention are "
                "left to win, and plain PyTorch has the same ones.",
             zh="处理器没有快速的 bf16 乘法时，能省的只剩 fp32 乘法和注意力，而普通 PyTorch 用的是同样的运算。")),
    Bar(dict(en="a training step next to one busy process: time against quiet",
             zh="旁边有一个忙碌的进程时训练一步：时间与空闲时之比"),
        "load", r"next to 1 busy$", OURS, 2.2,
        dict(en="The busy process takes a share of one core, and a step ends with the slower of its two micro-batches.",
             zh="忙碌的进程占去一个核的一部分，而一步要等两个微批次中较慢的那个。"), most=True),
    Bar(dict(en="time to 1.90 nats per character: speed against nanoGPT's recipe for a CPU",
             zh="达到 1.90 nats/字符：速度与 nanoGPT 的 CPU 配方之比"),
        "loss", "", RECIPE, 8.0,
        dict(en="The steps of this run are as small as those of the first bar, so the same holds: it learns in an "
                "eighth of the steps, but one of its steps takes about as long as one of the recipe's.",
             zh="这次训练的每一步和第一项一样小，原因也相同：步数只要八分之一，但一步的时间与该配方的一步差不多。")),
    Bar(dict(en="loss at the end of that run", zh="这次训练结束时的损失"), "loss", "", OURS, 1.90,
        dict(en="A few steps more reach it, which costs time in the line above.",
             zh="再多几步就能达到，代价是上一行的时间。"), most=True, unit="nats"),
    Bar(dict(en="loss in the time that the recipe takes", zh="在该配方所用的时间里达到的损失"),
        "loss", "", IN_THAT_TIME, 1.60,
        dict(en="The loss falls with the number of steps that fit into the time, and so with the speed of a step.",
             zh="损失取决于这段时间里能做多少步，也就是一步的速度。"), most=True, unit="nats"),
    Bar(dict(en="256 tokens for 1 prompt, the demo's shape: speed against `transformers`",
             zh="为 1 个提示生成 256 个词元，演示的形状：速度与 `transformers` 之比"),
        "generate", r"^the demo's shape.* 1 prompt$", TRANSFORMERS, 3.5,
        dict(en="Both sides do the same small products for each token; ours has fewer and cheaper operations around "
                "them (NumPy, no PyTorch), but each still costs about a microsecond however small it is.",
             zh="双方为每个词元做同样的小乘法；我们在乘法之外的运算更少、更便宜（用 NumPy，不经过 PyTorch），但每个运算再小"
                "也要大约一微秒。")),
    Bar(dict(en="the same for 16 prompts",
             zh="同上，16 个提示"),
        "generate", r"^the demo's shape.* 16 prompts$", TRANSFORMERS, 1.7,
        dict(en="With 16 prompts the products and the attention over the cache weigh more than the fixed cost of an "
                "operation, and in fp32 both sides call the same products.",
             zh="16 个提示时，乘法和对缓存的注意力比运算的固定开销更重，而在 fp32 下双方调用的是同样的乘法。")),
    Bar(dict(en="64 tokens for 1 prompt, SmolLM2's shape: speed against `transformers`",
             zh="为 1 个提示生成 64 个词元，SmolLM2 的形状：速度与 `transformers` 之比"),
        "generate", r"^SmolLM2's shape", TRANSFORMERS, 1.5,
        dict(en="Every token reads half a gigabyte of weights from memory on both sides; ours reads them in order and has "
                "fewer operations around them, but cannot be faster than the memory.",
             zh="双方生成每个词元都要从内存读半个 GB 的权重；我们按顺序读，乘法之外的运算也更少，但不可能比内存更快。")),
    Bar(dict(en="generating: exponent of the time against the number of new tokens",
             zh="生成：时间随新词元数增长的指数"),
        "growth", "^generating", OURS, 2.0,
        dict(en="Each token reads the keys and values of all tokens before it, which makes an exponent of 2 at most; "
                "beyond that something is copied or allocated anew for each token.",
             zh="每个词元都要读它前面所有词元的键和值，指数因此至多为 2；超过 2，说明每个词元都在重新复制或分配什么。"),
        most=True, unit="exponent"),
    Bar(dict(en="training a tokenizer: speed against `tokenizers` (Rust) on one thread",
             zh="训练分词器：速度与 `tokenizers`（Rust，单线程）之比"),
        "tokenizer", "^training on", TOKENIZERS, 1.0,
        dict(en="On a text of a megabyte about half of the time is cutting it into words with the same kind of regular "
                "expression; the rest is one NumPy call or a few Python operations for each place of a merge.",
             zh="文本只有一兆字节时，大约一半时间用来以同一类正则表达式把它切成单词；其余是每次合并时的 NumPy 调用，或者每个"
                "位置上的几个 Python 操作。")),
    Bar(dict(en="encoding into the token file: speed against tiktoken called directly",
             zh="编码成词元文件：速度与直接调用 tiktoken 之比"),
        "tokenizer", "^encoding", TIKTOKEN, 0.9,
        dict(en="Ours also checks the text, writes the file and keeps the memory constant.",
             zh="我们还要检查文本、写文件，并让内存保持不变。")),
    Bar(dict(en="peak memory of training: plain PyTorch's against ours",
             zh="训练的内存峰值：普通 PyTorch 与我们之比"),
        "memory", "", PLAIN, 1.0,
        dict(en="The two micro-batches hold their activations at the same time, and attention by plain products keeps "
                "its weights for the backward pass, which fused attention does not.",
             zh="两个微批次的激活值同时在内存里；用普通乘法实现的注意力要为反向传播保留权重，融合的注意力则不用。")),
)  # fmt: skip


def judged(rows: Sequence[Row]) -> Iterator[tuple[Bar, float]]:
    """The bars about which something was measured, each with what was reached."""
    for bar in BARS:
        if (value := bar.reached(rows)) is not None:
            yield bar, value
