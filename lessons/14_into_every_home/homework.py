"""Homework of lesson 14: into every home. Write the six functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 14`. Lesson: notebooks/en/14_into_every_home.ipynb.

第 14 课作业：走入千万家。用 numpy 或 torch 写出下面六个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 14`。课文：notebooks/zh/14_into_every_home.ipynb。
"""

from torch import Tensor


def rename_weights(
    state: dict[str, Tensor], rules: list[tuple[str, str | None, bool]]
) -> tuple[dict[str, Tensor], list[str]]:
    """Give the weights of another framework our names: (weights by new name, unknown old names).

    A rule is (old, new, transposed). For each weight go through the rules in their order. A rule applies
    when `old` occurs anywhere in the name as the earlier rules left it; then every `old` in it is
    replaced by `new`. If `new` is None the weight is left out: it is in neither result, and no
    further rule is looked at. If at least one of the rules that applied says transposed and the weight
    has two axes, its axes are swapped, once. A weight to which no rule applied is unknown: it is left
    out too, and its name is listed. Both results keep the order of `state`. No two weights will get the
    same name.

    给别的框架的权重换上我们的名字：返回（按新名字排的权重，不认识的旧名字）。

    一条规则是 (old, new, transposed)。对每个权重，按顺序看各条规则。如果 `old` 出现在名字里的任何地方（名字是前面的规则改过之后的），
    这条规则就适用：把名字里的每个 `old` 换成 `new`。如果 `new` 是 None，这个权重就去掉：两个结果里都没有它，后面的规则也不再看。
    适用的规则中只要有一条的 transposed 为真，而权重有两个轴，就把两个轴交换一次。一条规则也不适用的权重是不认识的：它也去掉，
    名字则列出来。两个结果都保持 `state` 的顺序。不会有两个权重得到同一个名字。
    """
    raise NotImplementedError


def chat_template(messages: list[tuple[str, str]]) -> list[tuple[str, bool]]:
    """A dialogue as the segments that are encoded one by one, and for each whether SFT learns it.

    messages: (role, content), in order: perhaps `system`, then `user`, `assistant`, `user`, …; it may end
    with the user's turn. Contents are used without white space around them, and none is empty then. Segments:
      - ("[DOC]", False), once, at the beginning;
      - for a user's turn ("USER: {content} AI:", False). A system message has no segment of its own: it
        is in the first user's segment, ("SYSTEM: {system} USER: {content} AI:", False);
      - for an answer (" {content}", True) with a space before it, or (content, True) without one if its
        first character is Chinese (U+4E00 to U+9FFF) or Chinese punctuation (U+3000 to U+303F, U+FF00 to
        U+FFEF); then ("[END]", True).

    把一段对话写成逐段编码的片段，并说明 SFT 学不学这一段。

    messages：(role, content)，即角色和内容，按顺序：也许先有 `system`，然后是 `user`、`assistant`、`user`……；可以停在用户的一轮。内容先去掉两端的空白，
    去掉之后都不为空。各个片段是：
      - 开头是一个 ("[DOC]", False)，只有一次；
      - 用户的一轮是 ("USER: {content} AI:", False)。系统消息没有自己的片段，
        它在第一个用户片段里：("SYSTEM: {system} USER: {content} AI:", False)；
      - 回答是前面带一个空格的 (" {content}", True)；如果第一个字符是汉字（U+4E00 到 U+9FFF）
        或中文标点（U+3000 到 U+303F、U+FF00 到 U+FFEF），则是不带空格的 (content, True)；然后是 ("[END]", True)。
    """
    raise NotImplementedError


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix as whole numbers from -127 to 127 and one scale a row, so that weight ≈ q · scale.

    weight: (out, in), floats. The scale of a row is its largest absolute value divided by 127, and q is
    weight / scale, rounded to the nearest whole number. A row of zeros has scale 1 and q 0. Returns q,
    (out, in), of dtype int8, and the scales, (out).

    把矩阵写成 -127 到 127 的整数，每行再配一个缩放系数，使 weight ≈ q · scale。

    weight：(out, in)，浮点数。一行的缩放系数是这一行绝对值的最大值除以 127；q 是 weight / scale 四舍五入到最近的整数。全零的行
    缩放系数是 1，q 是 0。返回 q，(out, in)，类型为 int8，以及各行的缩放系数，(out)。
    """
    raise NotImplementedError


def rotary_halves(weight: Tensor, n_head: int) -> Tensor:
    """The rows of a query or key matrix, from llama.cpp's order into ours.

    weight: (n_head · D, in), D even: n_head heads of D rows each, one after the other. In a llama.cpp file the two rows
    of a rotary pair are neighbours: the rows of each head are a0, b0, a1, b1, a2, b2, … We keep all a first, then
    all b: a0, a1, a2, …, b0, b1, b2, … The heads stay in their order. Returns a matrix of the same shape.

    把查询或键的矩阵的各行，从 llama.cpp 的顺序换成我们的顺序。

    weight：(n_head · D, in)，D 是偶数：n_head 个头依次排列，每个头 D 行。在 llama.cpp 的文件里，旋转位置的一对通道的两行相邻：每个头
    的行是 a0, b0, a1, b1, a2, b2, …… 我们先放所有的 a，再放所有的 b：a0, a1, a2, …, b0, b1, b2, …… 头与头的顺序不变。返回形状相同的矩阵。
    """
    raise NotImplementedError


def unpack_q4(packed: Tensor, scale: Tensor, minimum: Tensor) -> Tensor:
    """The numbers of blocks that a GGUF file keeps in 4 bits each (Q4_1): (blocks, 32).

    packed: (blocks, 16) whole numbers from 0 to 255. Each holds two numbers q from 0 to 15: the four low bits of
    packed[i, j] are number j of block i, its four high bits are number j + 16. A number is worth
    q · scale[i] + minimum[i]. scale and minimum: (blocks), floats.

    一个 GGUF 文件里每个只占 4 位的各组数（Q4_1）：(blocks, 32)。

    packed：(blocks, 16)，0 到 255 的整数。每个整数含两个 0 到 15 的数 q：packed[i, j] 的低四位是第 i 组的第 j 个数，高四位是第
    j + 16 个数。一个数的值是 q · scale[i] + minimum[i]。scale 和 minimum：(blocks)，浮点数。
    """
    raise NotImplementedError


def share_kept(before: list[bool], after: list[bool]) -> float:
    """What tuning left of what a model knew: of the questions that it answered right before, the share it still does.

    before, after: for each question in the same order whether the answer was right. Questions that were wrong before
    say nothing about forgetting and do not count. If none was right before, nothing was lost: 1.0.

    微调之后，模型原来知道的还剩多少：以前答对的问题中，现在仍然答对的比例。

    before、after：每个问题以前、现在是否答对，顺序相同。以前答错的问题说明不了遗忘，不计在内。如果以前一个也没答对，就什么也没有丢：
    返回 1.0。
    """
    raise NotImplementedError
