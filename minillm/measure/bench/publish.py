"""The benchmark as a page, lessons/SPEED.md and SPEED.zh.md, written from the file of its figures."""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from minillm.measure.bench.bars import Bar, judged
from minillm.measure.bench.rows import HEAD, Row
from minillm.plumbing.files import read_json, write_text
from minillm.plumbing.languages import Text

PICTURE = "speed.png"
PAGES = {"en": "SPEED.md", "zh": "SPEED.zh.md"}
INTRO: Text = dict(
    en="""# Speed, measured

Written by `{command}`; not edited by hand.

In each round all contenders of a table take their turn on the same machine, so ratios say more than seconds: *ratio* is
the median over the rounds of a contender's value divided by minillm's (or by the quiet one's); above 1 it needs more.
*Of limit* is the share of what the machine's own matrix products and copies reach, which is measured first. Outputs
and gradients were checked to be equal before anything was timed; where a contender computes something else, its note
says so. A shape such as `4 x 128, 12 x 64 tokens` is 4 layers of width 128, trained on 12 rows of 64 tokens per step.

{machine}""",
    zh="""# 速度，实测

本页由 `{command}` 生成，没有手工修改。

每一轮里，同一张表中的各方在同一台机器上轮流测量，所以比值比秒数更可靠：*比值*是该方的数值除以 minillm 的（或空闲时的）
数值，取各轮的中位数，大于 1 表示它需要更多。*占上限*是达到了这台机器矩阵乘法和复制速度（最先测得）的百分之几。
计时之前先核对了双方的输出和梯度相等；哪一方算的不是同样的东西，备注里会说明。`4 x 128, 12 x 64 词元` 这样的形状指
4 层、宽 128 的模型，每一步用 12 行、每行 64 个词元训练。

{machine}""",
)
PARTS: Mapping[str, Text] = {
    "machine": dict(en="The machine's own limits", zh="机器自身的上限"),
    "train": dict(en="A training step", zh="训练一步"),
    "load": dict(en="A training step next to busy processes", zh="旁边有忙碌的进程时，训练一步"),
    "loss": dict(en="Learning to predict a text", zh="学会预测一段文字"),
    "generate": dict(en="Generating text", zh="生成文字"),
    "tokenizer": dict(en="Tokenizers", zh="分词器"),
    "memory": dict(en="Memory of a training step", zh="训练一步所用的内存"),
    "growth": dict(en="How time grows with size", zh="时间怎样随规模增长"),
}
EXPLAINED: Mapping[str, Text] = {
    "load": dict(
        en="The busy processes only count, at low priority (nice 10), as a browser in the background might.",
        zh="忙碌的进程以低优先级（nice 10）空转，好比后台开着浏览器。"),
    "loss": dict(
        en="`minillm` is a short run that ends near the recipe's loss; `in that time` is a larger model that trains for as "
        "long as the recipe takes.",
        zh="`minillm` 是一次很短的训练，结束时的损失接近该配方；`在同样的时间里`是更大的模型，训练时间与该配方相同。"),
    "memory": dict(
        en="The most that two steps add to the memory of a process of their own; *ratio* above 1: more than minillm.",
        zh="在单独的进程里做两步训练，内存最多增加多少；*比值*大于 1 表示比 minillm 多。"),
    "growth": dict(
        en="The figures are exponents p of time ∝ size^p, the slopes in the pictures: at 1, twice the size takes twice "
        "the time; at 2, four times; near 0, fixed costs prevail.",
        zh="表中的数字是“时间 ∝ 规模的 p 次方”中的指数 p，也就是图中的斜率：p 为 1 时，规模加倍，时间也加倍；p 为 2 时，"
        "时间变为四倍；p 接近 0 时，固定开销占主导。"),
}  # fmt: skip
COLUMNS = {
    "en": ["", "median", "least to most", "ratio", "of limit", "note"],
    "zh": ["", "中位数", "最小到最大", "比值", "占上限", "备注"],
}
REACHED: Mapping[str, Mapping[str, str]] = {
    "en": dict(title="What is to be reached", head="| what | reached | bar | |", least="at least", most="at most",
               met="met", missed="**missed**", why="What stands in the way", nats="nats per character"),
    "zh": dict(title="目标", head="| 项目 | 达到 | 目标 | |", least="至少", most="至多",
               met="达到", missed="**未达到**", why="是什么挡住了", nats="nats/字符"),
}  # fmt: skip
PHRASES = (
    (r"product of (\d+) x \d+ matrices", r"\1 × \1 矩阵的乘法"),
    (r"copy that touches (.*)", r"复制，共读写 \1"),
    (r"one core", "一个核"),
    (r"all cores", "所有核"),
    (r"next to (\d+) busy", r"旁边有 \1 个忙碌的进程"),
    (r"\bquiet\b", "空闲"),
    (r"the demo's shape, LLaMA's for the peer", "演示的形状，对方是 LLaMA 的形状"),
    (r"(GPT-2|SmolLM2)'s shape", r"\1 的形状"),
    (r"(\d+) tokens for (\d+) prompts?", r"\2 个提示各 \1 个词元"),
    (r"([\d,]+) tokens learned", r"学到 \1 个词元"),
    (r"step against context", "一步的时间与上下文长度"),
    (r"step against batch", "一步的时间与批次大小"),
    (r"step against width", "一步的时间与宽度"),
    (r"step against vocabulary", "一步的时间与词表大小"),
    (r"generating against new tokens", "生成的时间与新词元数"),
    (r"tokenizer against bytes", "训练分词器的时间与字节数"),
    (r"encoding against bytes", "编码的时间与字节数"),
    (r"too little to see a growth", "太少，看不出增长"),
    (r"\btokens\b", "词元"),
    (r"vocabulary", "词表"),
    (r"its own recipe", "自己的配方"),
    (r"other options than GPT-2's: not the same outputs", "选项与 GPT-2 不同，输出也就不同"),
    (r"beyond what a tiny step takes", "极小的一步所用的不计"),
    (r"not installed", "未安装"),
    (r"needs a text: .*", "需要一段文字：--text 文件"),
    (r"this system does not tell .*", "这个系统不提供进程的内存峰值"),
    (r"nanoGPT's recipe, plain PyTorch", "nanoGPT 的配方，普通 PyTorch"),
    (r"plain PyTorch", "普通 PyTorch"),
    (r"in that time", "在同样的时间里"),
    (r"characters, loss on its last tenth", "按字符，损失取自最后十分之一"),
    (r"nats per character", "nats/字符"),
    (r"one thread", "单线程"),
    (r"called directly", "直接调用"),
    (r"training on (.*)", r"训练，文本为 \1"),
    (r"encoding (.*)", r"编码 \1"),
    (r"file written", "含写入文件"),
    (r"the world's text", "世界的文本"),
    (r"\bto\b", "到"),
    (r"^in (bf16|fp32)$", r"用 \1"),
    (r", ", "，"),
)


def publish(figures: Path, folder: Path, command: str) -> list[Path]:
    """Write both pages, and the picture of growth that lies next to the figures, into a folder; return their paths.

    Raises InputError if the file of figures cannot be read.
    """
    found = read_json(figures, dict)
    rows = [row_of(one) for one in found["rows"]]
    picture = figures.with_suffix(".png")
    grown = any(row.points for row in rows) and picture.is_file()
    if grown:
        shutil.copyfile(picture, folder / PICTURE)
    for language, name in PAGES.items():
        write_text(folder / name, page(rows, found["machine"], found["repeat"], command, language, grown))
    return [folder / name for name in PAGES.values()]


def row_of(found: Mapping[str, Any]) -> Row:
    """A row as it was before it became JSON."""
    kept = {f.name: found[f.name] for f in fields(Row)}
    points = tuple((x, y) for x, y in kept["points"])
    return Row(**kept | {"values": tuple(kept["values"]), "points": points})


def page(rows: Sequence[Row], machine: Mapping, repeat: int, command: str, language: str, grown: bool) -> str:
    """The page in one language."""
    lines = [INTRO[language].format(command=command, machine=about(machine, repeat, language)), ""]
    lines += verdicts(list(judged(rows)), language)
    for part, own in groupby(rows, lambda row: row.part):
        lines += [f"## {PARTS[part][language]}", ""]
        lines += [EXPLAINED[part][language], ""] if part in EXPLAINED else []
        for case, of_case in groupby(own, lambda row: row.case):
            lines += [f"**{say(case, language)}**", "", *table(of_case, language), ""]
        if part == "growth" and grown:
            lines += [f"![{PARTS[part][language]}]({PICTURE})", ""]
    return "\n".join(lines)


def verdicts(found: Sequence[tuple[Bar, float]], language: str) -> list[str]:
    """The bars with what was reached, and a paragraph for each that is missed."""
    if not found:
        return []
    words = REACHED[language]

    def shown(bar: Bar, value: float) -> str:
        return f"{value:.2f} {words['nats'] if bar.unit == 'nats' else '×' if bar.unit == 'x' else ''}".strip()

    lines = [f"## {words['title']}", "", words["head"], "| --- | --- | --- | --- |"]
    for bar, value in found:
        bound, verdict = words["most" if bar.most else "least"], words["met" if bar.met(value) else "missed"]
        lines.append(f"| {bar.what[language]} | {shown(bar, value)} | {bound} {shown(bar, bar.bound)} | {verdict} |")
    missed = [bar for bar, value in found if not bar.met(value)]
    lines += ["", f"### {words['why']}", ""] if missed else [""]
    for bar in missed:
        lines += [f"- **{bar.what[language]}**{': ' if language == 'en' else '：'}{bar.why[language]}"]
    return [*lines, ""] if missed else lines


def about(machine: Mapping, repeat: int, language: str) -> str:
    """The machine in a sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    formats = ", ".join(flag for flag in machine["flags"] if flag in ("avx512_bf16", "amx_bf16")) or "–"
    load = machine["load_before"]
    busy = f"{load:.1f}" if load is not None else "–"
    if language == "zh":
        return (f"机器：{machine['processor']}，{machine['cores']} 个核，bf16 指令：{formats}；{machine['system']}；"
                f"Python {machine['python']}，{versions.replace(', ', '，')}。测量前其他进程占用 {busy} 个核；{repeat} 轮。")  # fmt: skip
    return (f"Machine: {machine['processor']}, {machine['cores']} cores, instructions for bf16: {formats}; "
            f"{machine['system']}; Python {machine['python']}, {versions}. Other processes kept {busy} cores busy "
            f"before; {repeat} round{'s' * (repeat != 1)}.")  # fmt: skip


def table(rows: Iterable[Row], language: str) -> list[str]:
    """The rows of one case; columns that would be empty are left out."""
    cells = [[say(cell.strip(), language) for cell in row.cells()] for row in rows]
    used = [i for i in range(len(HEAD)) if any(row[i] for row in cells)]
    head = [COLUMNS[language][i] for i in used]
    lines = [head, ["---"] * len(used), *([row[i] for i in used] for row in cells)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def say(text: str, language: str) -> str:
    """A cell in the page's language."""
    for pattern, chinese in PHRASES if language == "zh" else ():
        text = re.sub(pattern, chinese, text)
    return text
