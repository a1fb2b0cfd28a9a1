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
# own background and colour: readable in a light and in a dark notebook
STYLE = "background:#fff;color:#111;max-width:760px;padding:8px 14px;border:1px solid #bbb;border-left:6px solid"
CELL = "text-align:left;padding:2px 10px 2px 0;color:#111;background:#fff"


def card(claim: Claim, result: Mapping | None, language: str = "en") -> str:
    """Hypothesis, verdict, and whether earlier code found it; picture, difference with its interval, each threshold,
    the command; as HTML. Of a claim without a result, what it says and how to measure it."""
    if result is None:
        command = code(f"python -m minillm claims {claim.slug}")
        return "".join((
            f"<div style='{STYLE} #555555'><b>{escape(claim.hypothesis[language])}</b><br>",
            f"{code(claim.slug)} ({escape(claim.source)})<br>{UNMEASURED[language]}{stops(language)[0]}{command}</div>",
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
        f"{word['again']}{colon}{code(result['command'])}</div>",
    ))  # fmt: skip


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
