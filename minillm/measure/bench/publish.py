"""The benchmark as a page, lessons/SPEED.md and SPEED.zh.md, written from the file of its figures."""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from minillm.measure.bench.rows import HEAD, Row
from minillm.plumbing.files import read_json, write_text
from minillm.plumbing.languages import Text

PICTURE = "speed.png"
PAGES = {"en": "SPEED.md", "zh": "SPEED.zh.md"}
INTRO: Text = dict(
    en="""# Speed, measured

Written by `{command}`; not edited by hand. In each round all contenders of a table take their turn on the
same machine, so ratios say more than seconds: *ratio* is the median over the rounds of a contender's value divided by
minillm's (or by the quiet one's), above 1 meaning that it needs more. *Of limit* is the share of what the machine's
own matrix products and copies reach, measured first. Outputs and gradients were checked to be equal before anything
was timed; where a contender computes something else, its note says so.

{machine}""",
    zh="""# 速度，实测

由 `{command}` 写成，不手工修改。每一轮里，同一张表的各方在同一台机器上轮流测量，所以比值比秒数更可靠：*比值*是各轮中
该方的数值除以 minillm（或空闲时）数值的中位数，大于 1 表示需要更多。*占上限*是与这台机器自己的矩阵乘法和复制速度
（最先测得）相比的份额。计时之前先核对输出和梯度相等；哪一方算的不是同样的东西，备注里会说明。

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
COLUMNS = {
    "en": ["", "median", "least to most", "ratio", "of limit", "note"],
    "zh": ["", "中位数", "最小到最大", "比值", "占上限", "备注"],
}
PHRASES = (
    (r"product of (\d+) x \d+ matrices", r"\1 × \1 矩阵的乘法"),
    (r"copy that touches", "复制，涉及"),
    (r"one core", "一个核"),
    (r"all cores", "所有核"),
    (r"next to (\d+) busy", r"旁边有 \1 个忙碌的进程"),
    (r"\bquiet\b", "空闲"),
    (r"(\d+) tokens for (\d+) prompts?", r"\2 个提示各 \1 个词元"),
    (r"tokens learned", "个词元学成"),
    (r"\btokens\b", "词元"),
    (r"vocabulary", "词表"),
    (r"its own recipe", "自己的配方"),
    (r"other options than GPT-2's: not the same outputs", "选项与 GPT-2 不同：输出不同"),
    (r"beyond what a tiny step takes", "超出极小的一步所用的部分"),
    (r"not installed", "未安装"),
    (r"nanoGPT's recipe, plain PyTorch", "nanoGPT 的配方，普通 PyTorch"),
    (r"plain PyTorch", "普通 PyTorch"),
    (r"in that time", "在同样的时间里"),
    (r"characters, loss on its last tenth", "按字符，损失取自最后十分之一"),
    (r"nats per character", "nats/字符"),
    (r"one thread", "单线程"),
    (r"called directly", "直接调用"),
    (r"training on", "训练，文本："),
    (r"encoding", "编码"),
    (r"file written", "写入文件"),
    (r"the world's text", "世界的文本"),
    (r"\bto\b", "到"),
    (r"^in (bf16|fp32)$", r"用 \1"),
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
    for part, own in groupby(rows, lambda row: row.part):
        lines += [f"## {PARTS[part][language]}", ""]
        for case, of_case in groupby(own, lambda row: row.case):
            lines += [f"**{say(case, language)}**", "", *table(of_case, language), ""]
        if part == "growth" and grown:
            lines += [f"![{PARTS[part][language]}]({PICTURE})", ""]
    return "\n".join(lines)


def about(machine: Mapping, repeat: int, language: str) -> str:
    """The machine in a sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    formats = ", ".join(flag for flag in machine["flags"] if flag in ("avx512_bf16", "amx_bf16")) or "–"
    load = machine["load_before"]
    busy = f"{load:.1f}" if load is not None else "–"
    if language == "zh":
        return (f"机器：{machine['processor']}，{machine['cores']} 个核，bf16 指令：{formats}；{machine['system']}；"
                f"Python {machine['python']}，{versions}。测量前其他进程占用 {busy} 个核；{repeat} 轮。")  # fmt: skip
    return (f"Machine: {machine['processor']}, {machine['cores']} cores, instructions for bf16: {formats}; "
            f"{machine['system']}; Python {machine['python']}, {versions}. Other processes kept {busy} cores busy "
            f"before; {repeat} rounds.")  # fmt: skip


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
