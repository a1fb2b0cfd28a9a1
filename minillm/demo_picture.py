"""The demo in one picture: the same questions to the model after each stage, as SVG.

A browser draws the text with its own fonts, Chinese too, in the colours of its theme.
"""

import html
import re
from collections.abc import Mapping, Sequence

from minillm.plumbing.languages import Text
from minillm.plumbing.terminal import width

COLUMN, GAP, MARGIN, LINE = 280, 14, 16, 20
"""Pixels: a column, the space between two, the border, a line of text."""
LETTERS = 32
"""Columns of a terminal that fit into a line of an answer: a Chinese character takes two."""
LINES = 3
"""An answer is cut after this many lines."""

STAGES: Mapping[str, tuple[Text, Text]] = {
    "base": ({"en": "stage 1: pretraining", "zh": "第 1 阶段：预训练"},
             {"en": "has read raw text: goes on writing", "zh": "读过原始文本：只会接着写"}),
    "sft": ({"en": "stage 2: fine-tuning", "zh": "第 2 阶段：监督微调"},
            {"en": "has seen dialogues: answers", "zh": "看过对话示范：会回答"}),
    "tuned": ({"en": "stage 3: preference tuning", "zh": "第 3 阶段：偏好微调"},
              {"en": "has compared answers: full sentences", "zh": "比较过好坏回答：用完整句子回答"}),
}  # fmt: skip
ASKED: Text = {"en": "The same question to the model after each stage", "zh": "同一个问题，问每个阶段之后的模型"}
STYLE = """
text { font: 15px system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
       fill: #1b1f24 }
.head { font-weight: 600 } .small { font-size: 12.5px; fill: #59636e }
.page { fill: #ffffff } .user { fill: #dbe9f6 } .base { fill: #eceff1 } .sft { fill: #d8ebfa } .tuned { fill: #d3f0d6 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9aa4af }
  .page { fill: #0d1117 } .user { fill: #1f3a56 } .base { fill: #2d333b } .sft { fill: #173a57 } .tuned { fill: #1c4428 }
}"""


def wrap(text: str, columns: int = LETTERS, most: int = LINES) -> list[str]:
    """The text in lines of at most this many terminal columns, broken at spaces and between Chinese characters;
    what does not fit into the lines is cut, which `…` shows. A word that is longer than a line is broken."""
    lines, line = [], ""
    for piece in pieces(" ".join(text.split())):
        if width((line + piece).rstrip()) > columns:
            lines.append(line.rstrip())
            line = ""
        line += piece.lstrip() if not line else piece
        while width(line) > columns:
            cut = next(i for i in range(len(line), 0, -1) if width(line[:i]) <= columns)
            lines, line = [*lines, line[:cut]], line[cut:]
    lines = [one for one in [*lines, line.rstrip()] if one]
    if len(lines) > most:
        last = lines[most - 1]
        while width(last) > columns - 1:
            last = last[:-1]
        lines = [*lines[: most - 1], last + "…"]
    return lines


def pieces(text: str) -> list[str]:
    """What no line break divides: a word with the space after it, a Chinese character with the punctuation after it."""
    return re.findall(r"[\u4e00-\u9fff][，。、？！：；）」》”]*|[^\s\u4e00-\u9fff]+\s?|\s", text)


def box(x: int, y: int, wide: int, lines: Sequence[str], kind: str) -> str:
    """Lines of text in a rounded box."""
    high = LINE * len(lines) + 16
    parts = [f'<rect class="{kind}" x="{x}" y="{y}" width="{wide}" height="{high}" rx="9"/>']
    parts += [text(x + 12, y + 23 + LINE * i, line) for i, line in enumerate(lines)]
    return "\n".join(parts)


def text(x: int, y: int, words: str, kind: str = "plain") -> str:
    allowed = re.sub(r"[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", words)  # characters that XML knows
    return f'<text class="{kind}" x="{x}" y="{y}">{html.escape(allowed)}</text>'


def chosen(report: Mapping, language: str) -> list[Mapping]:
    """Two of the demo's cases: a fact that the teacher never spoke of, and a harmful request."""
    own = [case for case in report["cases"] if case["language"] == language and case["roles"]]
    return [*own[-1:], *[case for case in own if "Wifi" in case["prompt"]]]


def picture(report: Mapping, language: str) -> str:
    """The demo's report as SVG in one language."""
    wide = 3 * COLUMN + 2 * GAP + 2 * MARGIN
    columns = [MARGIN + i * (COLUMN + GAP) for i in range(3)]
    parts, y = [], MARGIN
    for x, (title, what) in zip(columns, STAGES.values(), strict=True):
        parts += [text(x + 2, y + 14, title[language], "head"), text(x + 2, y + 33, what[language], "small")]
    y += 50
    for case in chosen(report, language):
        parts.append(box(MARGIN, y, wide - 2 * MARGIN, [case["prompt"]], "user"))
        y += LINE + 16 + 8
        answers = {name: wrap(case["answers"][name]) or ["—"] for name in STAGES}
        parts += [box(x, y, COLUMN, answers[name], name) for x, name in zip(columns, STAGES, strict=True)]
        y += LINE * max(map(len, answers.values())) + 16 + 18
    high = y - 18 + MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img">'
    page = f'<rect class="page" width="{wide}" height="{high}" rx="9"/>'
    return "\n".join([head, f"<title>{ASKED[language]}</title>", f"<style>{STYLE}</style>", page, *parts, "</svg>\n"])
