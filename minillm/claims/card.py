"""A result as a card for a notebook: the picture, and the figures behind the verdict."""

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape

from minillm.claims.experiment import VERDICTS, Claim
from minillm.claims.figures import VERDICT_COLOURS, WORDS, choices, comparison, draw, rehearsals, with_interval
from minillm.claims.pages import UNMEASURED, as_measured, note
from minillm.plumbing import plots

HERE = {
    "interval": {"en": "95 % interval", "zh": "95 % 区间"},
    "thresholds": {"en": "thresholds, fixed beforehand", "zh": "事先写定的阈值"},
    "measured": {"en": "measured", "zh": "测得"},
    "all": {"en": "all figures, and what was tried", "zh": "全部数字，以及试过什么"},
    "again": {"en": "measure it again", "zh": "重新测量"},
}
GUIDE = {
    "en": ("how to read this card", (
        "Difference and interval: two conditions named beforehand are compared, in percentage points. A dot in the "
        "picture is a seed: the whole experiment once more, with other weights at the start, another order of the data "
        "and another split of the places. The interval says where the mean over all such repetitions lies; intervals "
        "made in this way are right in 95 of 100 experiments. It is the mean ± t · s / √n: s is how far the seeds' "
        "differences scatter, t is 2.8 for five seeds and 2.4 for eight.",
        "Thresholds: fixed before these seeds were run; settings were chosen on other seeds, exceptions are in the notes. Each has an interval of its "
        "own and holds only if all of it does: “at most 3 points behind” has to be shown. Where the two conditions could "
        "hardly come out otherwise, the thresholds carry the claim. What was tried before, and what failed, is at the end "
        "of “all figures”.",
        "Verdict: it follows from these, nobody chooses it. Reproduced: the whole interval of the difference is above 0, "
        "and all thresholds hold. Partly: a threshold is missed. Not reproduced at this size does not refute a paper: "
        "this is a small model in a world of 64 places, and here the effect was not seen clearly. Measured with earlier "
        "code: the experiment has changed since and was not run again.",
        "Chance (the dashed line, where there is one): what a model would get that gives always the same answer, the best "
        "one. Only what is above it is knowledge.",
    )),
    "zh": ("怎样读这张卡片", (
        "差和区间：比较的是事先指定的两种条件，单位是百分点。图上每个点是一个种子：把整个实验重做一遍，初始参数、数据的顺序、地方的"
        "划分都不同。区间说的是：这样的重复做上无数次，平均值会在哪里；这样算出的区间，100 个实验里有 95 个说对。它等于"
        "平均值 ± t · s / √n：s 是各种子的差有多分散，t 在五个种子时是 2.8，八个种子时是 2.4。",
        "阈值：在跑这几个种子之前写定，设置是用别的种子选的，例外写在说明里。每个阈值有自己的区间，整个区间都达到才算成立：“最多落后 3 个百分点”"
        "是要拿出证据的。两种条件之差几乎不可能是别的样子时，论断由阈值支撑。之前试过什么、什么没有成功，写在“全部数字”的末尾。",
        "结论：由这些算出来，没有人挑选。重现：差的整个区间在 0 以上，阈值全部成立。部分重现：有阈值未达到。在这个规模上没有重现："
        "并不推翻论文，这是一个小模型，世界只有 64 个地方，只是在这里没有清楚地看到这个效应。由较早的代码测得：实验后来改过，"
        "还没有重跑。",
        "最好的固定答案（有的图里有这条虚线）：如果永远给出同一个答案，选最好的那个能得多少分。高出它的部分才是知识。",
    )),
}  # fmt: skip
# own background and colour: readable in a light and in a dark notebook
STYLE = "background:#fff;color:#111;max-width:760px;padding:8px 14px;border:1px solid #bbb;border-left:6px solid"
CELL = "text-align:left;padding:2px 10px 2px 0;color:#111;background:#fff"


def card(claim: Claim, result: Mapping | None, language: str = "en", explained: bool = False) -> str:
    """Hypothesis, verdict, and whether earlier code found it; picture, difference with its interval, each threshold,
    the command; as HTML. Of a claim without a result, what it says and how to measure it. `explained` adds how to
    read a card, folded: once in a notebook is enough."""
    if result is None:
        command = code(f"python -m minillm claims {claim.slug}")
        return "".join((
            f"<div style='{STYLE} #555555'><b>{escape(claim.hypothesis[language])}</b><br>",
            f"{code(claim.slug)} ({escape(claim.source)})<br>{UNMEASURED[language]}{stops(language)[0]}{command}",
            guide(language) if explained else "", "</div>",
        ))  # fmt: skip
    earlier, claim = note(claim, result, language), as_measured(claim, result)
    word = {key: escape(text[language]) for key, text in (WORDS | HERE).items()}
    colon, stop = stops(language)
    compared, difference, interval, each = map(escape, comparison(claim, result, language))
    checks = [
        (
            check.text[language],
            with_interval(check, found),
            found["threshold"],
            WORDS["holds" if found["holds"] else "missed"][language],
        )
        for check, found in zip(claim.checks, result["checks"], strict=True)
    ]
    conditions = [
        (
            claim.conditions[name][language],
            f"{100 * c['mean']:.1f} %",
            ", ".join(f"{100 * v:.1f}" for v in c["values"]),
            f"n = {c['n']}",
        )
        for name, c in result["conditions"].items()
    ]
    if result["chance"]:
        conditions.append((WORDS["chance"][language], f"{100 * result['chance']:.1f} %", "", ""))
    said = [(word["rehearsed"], rehearsals(claim, language))]
    said += [(word["chosen"], text) for text in choices(result, language)]
    seeds, metric = ", ".join(map(str, result["seeds"])), escape(claim.metric[language])
    return "".join((
        f"<div style='{STYLE} {VERDICT_COLOURS[result['verdict']]}'><b>{escape(claim.hypothesis[language])}</b><br>",
        f"{code(claim.slug)} ({escape(claim.source)})<br>",
        f"<i>{escape(earlier)}</i><br>" if earlier else "",
        f"<img style='max-width:100%' alt='{metric}' src='{picture(claim, result, language)}'><br>",
        f"<b>{escape(VERDICTS[result['verdict']][language])}</b>{stop}{word['difference']}{colon}{compared} = ",
        f"<b>{difference}</b> {word['points']}{stop}{word['interval']} {interval}{stop}",
        f"{word['each']} {each}",
        table((word["thresholds"], word["measured"], "", ""), checks),
        f"<details><summary>{word['all']}</summary>",
        table((metric, "", f"{word['seeds']} {seeds}", ""), conditions),
        "".join(f"<p>{label}{colon}{escape(text)}</p>" for label, text in said),
        f"<p>{escape(claim.budget[language])} {result['seconds']:.0f} {word['seconds']}</p>",
        f"<p>{escape(claim.notes[language])}</p></details>",
        guide(language) if explained else "",
        f"{word['again']}{colon}{code(result['command'])}</div>",
    ))  # fmt: skip


def guide(language: str) -> str:
    """How to read a card, folded."""
    summary, paragraphs = GUIDE[language]
    told = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    return f"<details><summary><b>{summary}</b></summary>{told}</details>"


def stops(language: str) -> tuple[str, str]:
    """Colon and semicolon."""
    return ("：", "；") if language == "zh" else (": ", "; ")


def code(text: str) -> str:
    return f"<code style='color:#111;background:#fff'>{escape(text)}</code>"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table whose head is HTML already."""
    lines = ["".join(f"<th style='{CELL}'>{cell}</th>" for cell in head)]
    lines += ["".join(f"<td style='{CELL}'>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table style='margin:6px 0;font-size:inherit'>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def picture(claim: Claim, result: Mapping, language: str) -> str:
    """The picture as the source of an <img>, without the heading, which the card has."""
    figure, axes = plots.new_figure(1, size=(6.8, 3.8))
    draw(claim, result, axes[0, 0], language)
    axes[0, 0].set_title("", loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
