"""Results as pictures and as text, in English or Chinese."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from minillm.claims.experiment import VERDICTS, Check, Claim
from minillm.plumbing import plots
from minillm.plumbing.languages import Text
from minillm.plumbing.terminal import width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#b279a2", "#9d755d", "#72b7b2")
VERDICT_COLOURS = {"reproduced": "#2ca02c", "partly": "#ff7f0e", "not_reproduced": "#d62728", "one_seed": "#555555"}
Line = tuple[Text, Mapping[float, str] | Mapping[int, str]]
"""Its label, and the condition at each x."""
WORDS = {
    "chance": {"en": "best constant answer", "zh": "最好的固定答案"},
    "difference": {"en": "difference", "zh": "差"},
    "points": {"en": "points", "zh": "个百分点"},
    "holds": {"en": "holds", "zh": "成立"},
    "missed": {"en": "missed", "zh": "未达到"},
    "seeds": {"en": "seeds", "zh": "种子"},
    "seconds": {"en": "s, shared base models not counted", "zh": "秒（不含共用的基础模型）"},
    "source": {"en": "source", "zh": "来源"},
    "notes": {"en": "notes", "zh": "说明"},
    "each": {"en": "seed by seed", "zh": "各种子依次"},
    "rehearsed": {"en": "rehearsed", "zh": "复习"},
    "others": {"en": "all others", "zh": "其余"},
    "chosen": {"en": "chosen on other seeds", "zh": "在别的种子上选定"},
    "quick": {"en": "a quick run", "zh": "快速版"},
}


def wrap(text: str, columns: int) -> str:
    """The text in lines of at most `columns` columns; Chinese may break after any character, of two columns."""
    lines = [""]
    for piece in re.findall(r"(?:[!-~]+|.)[，。；：、？！）」]*\s*", text):
        if lines[-1] and width(lines[-1] + piece.rstrip()) > columns:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def title(axes: "Axes", claim: Claim, result: Mapping, language: str) -> None:
    """The hypothesis above the picture, and the verdict in its colour."""
    axes.set_title(wrap(claim.hypothesis[language], 84), fontsize=9.5, loc="left", pad=20)
    name = result["verdict"]
    axes.text(0, 1.02, VERDICTS[name][language], transform=axes.transAxes, color=VERDICT_COLOURS[name],
              fontsize=9, weight="bold")  # fmt: skip


def chance_line(axes: "Axes", result: Mapping, language: str) -> None:
    """A dashed line at what the best constant answer gets, where the claim has one."""
    if result["chance"]:
        axes.axhline(100 * result["chance"], color="#666666", linestyle="--", linewidth=1)
        axes.text(1.01, 100 * result["chance"], wrap(WORDS["chance"][language], 9), fontsize=8, color="#444444",
                  va="center", transform=axes.get_yaxis_transform())  # fmt: skip


def mark_bar(axes: "Axes", x: float, condition: Mapping, form: str) -> None:
    """A dot for every seed, and above bar and dots the mean as a number."""
    values = [100 * v for v in condition["values"]]
    if len(values) > 1:
        axes.plot([x] * len(values), values, "o", color="black", markersize=3, alpha=0.6)
    axes.annotate(format(100 * condition["mean"], form), (x, max(values)), (0, 5), textcoords="offset points",
                  ha="center", fontsize=8, bbox=dict(facecolor="white", alpha=0.75, edgecolor="none", pad=0.5))  # fmt: skip


def bars(axes: "Axes", claim: Claim, result: Mapping, language: str, names: Sequence[str] = ()) -> None:
    """A bar for each condition (or those named): the mean, and a dot for every seed."""
    names = list(names or result["conditions"])
    shown = [result["conditions"][name] for name in names]
    colours = [COLOURS[0] if name != claim.worse else "#9aa5b1" for name in names]
    axes.bar(range(len(names)), [100 * c["mean"] for c in shown], 0.6, color=colours)
    for i, condition in enumerate(shown):
        mark_bar(axes, i, condition, ".1f")
    labels = [wrap(claim.conditions[name][language], 84 // len(names) - 1) for name in names]
    axes.set_xticks(range(len(names)), labels, fontsize=8)
    top = max(result["chance"], *(max(c["values"]) for c in shown))
    axes.set(ylabel=f"{claim.metric[language]}, %", ylim=(0, 112 if top > 0.5 else max(5.0, 130 * top)))
    chance_line(axes, result, language)


def groups(
    axes: "Axes", claim: Claim, result: Mapping, language: str, kinds: Mapping[str, Text], series: Mapping[str, Text]
) -> None:
    """A group of bars for each kind of mark, a colour for each of the series; conditions are `kind-series`."""
    size = 0.8 / len(series)
    for k, (one, text) in enumerate(series.items()):
        shown = [result["conditions"][f"{kind}-{one}"] for kind in kinds]
        places = [i + (k - (len(series) - 1) / 2) * size for i in range(len(shown))]
        axes.bar(places, [100 * c["mean"] for c in shown], 0.92 * size, color=COLOURS[k], label=text[language])
        for x, condition in zip(places, shown, strict=True):
            mark_bar(axes, x, condition, ".0f")
    labels = [wrap(text[language], 84 // len(kinds) - 1) for text in kinds.values()]
    axes.set_xticks(range(len(kinds)), labels, fontsize=8)
    rows = 1 if len(series) <= 4 else 2
    axes.set(ylabel=f"{claim.metric[language]}, %", ylim=(0, 114 + 14 * rows), yticks=range(0, 101, 20))
    axes.legend(fontsize=8, loc="upper center", ncols=-(-len(series) // rows))
    chance_line(axes, result, language)


def curves(
    axes: "Axes",
    claim: Claim,
    result: Mapping,
    language: str,
    lines: Mapping[str, Line],
    x_label: str,
    log: bool = True,
) -> None:
    """Lines over a number, such as of pairs: name -> (label, {x: condition}). All seeds as faint dots."""
    for colour, (label, names) in zip(COLOURS, lines.values(), strict=False):
        points = {x: result["conditions"][c] for x, c in names.items() if c in result["conditions"]}
        axes.plot(list(points), [100 * c["mean"] for c in points.values()], "-o", color=colour, markersize=4,
                  label=label[language])  # fmt: skip
        for x, condition in points.items():
            values = [100 * v for v in condition["values"]]
            axes.plot([x] * len(values), values, "o", color=colour, markersize=2.5, alpha=0.5)
    if log:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    chance_line(axes, result, language)
    axes.set(xlabel=x_label, ylabel=f"{claim.metric[language]}, %", ylim=(-3, 105))


def draw(claim: Claim, result: Mapping, target: "Axes | Path | str", language: str = "en") -> None:
    """Draw a result on axes, or into a PNG file at a path."""
    if isinstance(target, str | Path):
        figure, grid = plots.new_figure(1, 1, (6.8, 4.4))
        draw(claim, result, grid[0, 0], language)
        plots.save_figure(figure, Path(target))
        return
    axes = target
    claim.picture(axes, claim, result, language)
    title(axes, claim, result, language)
    axes.grid(alpha=0.3, axis="y")
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0] and not axes.get_legend():
        axes.legend(fontsize=8, loc="best")


def points(value: float | None) -> str:
    """A share as percentage points with its sign, a true minus; a dash where there is none."""
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def rehearsals(claim: Claim, language: str) -> str:
    """What each condition rehearsed, those alike together: `SFT from random weights: nothing; all others: …`."""
    stop, comma, colon = {"en": ("; ", ", ", ": "), "zh": ("；", "、", "：")}[language]
    if list(claim.rehearsed) == [""]:
        return claim.rehearsed[""][language]
    alike: dict[str, list[str]] = {}
    for name, text in claim.rehearsed.items():
        label = claim.conditions[name] if name else WORDS["others"]
        alike.setdefault(text[language], []).append(label[language])
    return stop.join(comma.join(labels) + colon + text for text, labels in alike.items())


def choices(result: Mapping, language: str) -> list[str]:
    """Each setting that was chosen, with the seeds it was chosen on and all candidates' mean scores."""
    said = {"en": "{}: {} (seeds {}; {})", "zh": "{}：{}（种子 {}；{}）"}[language]
    lines = []
    for setting, name in result.get("chosen", {}).items():
        means = {c: fmean(seed[setting][c] for seed in result["scores"]) for c in result["scores"][0][setting]}
        tried = ", ".join(f"{c} {100 * score:.1f}" for c, score in means.items())
        lines.append(said.format(setting, name, ", ".join(map(str, result["chosen_on"])), tried))
    return lines


def comparison(claim: Claim, result: Mapping, language: str) -> tuple[str, str, str, str]:
    """The difference a claim is about, in words and points: what is compared, the difference, its interval,
    and the difference of each seed."""
    compared = " − ".join(claim.conditions[name][language] for name in (claim.better, claim.worse))
    values = (result["conditions"][name]["values"] for name in (claim.better, claim.worse))
    each = ", ".join(points(better - worse) for better, worse in zip(*values, strict=True))
    low, high = map(points, result["interval"])
    return compared, points(result["difference"]), f"[{low}, {high}]", each


def number(check: Check, value: float | None, unit: str = " %", digits: int = 1) -> str:
    """A check's value as its threshold is written; a dash where there is none."""
    if value is None:
        return "–"
    if check.percent:
        return f"{100 * value:.{digits}f}{unit}".replace("-", "−")
    return (f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}").replace("-", "−")


def with_interval(check: Check, found: Mapping) -> str:
    """A check's value and its interval: `97.9 % [96.0, 99.8]`; one digit more where rounding would hide a miss."""
    ends = [math.nan if end is None else round(end, 3) for end in found["interval"]]
    digits = 2 if check.percent and not found["holds"] and check.holds((ends[0], ends[1])) else 1
    low, high = (number(check, end, "", digits) for end in found["interval"])
    return number(check, found["value"], digits=digits) + (f" [{low}, {high}]" if len(found["values"]) > 1 else "")


def describe(claim: Claim, result: Mapping, language: str = "en") -> str:
    """The verdict and the figures behind it, as text."""
    word = {key: text[language] for key, text in WORDS.items()}
    colon = {"en": ": ", "zh": "："}[language]
    seeds = ", ".join(map(str, result["seeds"])) + (f"; {word['quick']}" if result["size"] != "full" else "")
    lines = [
        f"{claim.slug}: {VERDICTS[result['verdict']][language]}  "
        f"({word['seeds']} {seeds}; {result['seconds']:.0f} {word['seconds']})",
        f"  {claim.hypothesis[language]}",
        f"  {word['source']}{colon}{claim.source}",
        f"  {claim.metric[language]}{colon}".rstrip(),
    ]
    for name, condition in result["conditions"].items():
        values = " ".join(f"{100 * v:.1f}" for v in condition["values"])
        lines.append(
            f"    {100 * condition['mean']:6.1f} %  {claim.conditions[name][language]}  "
            f"({values}; n = {condition['n']})"
        )
    if result["chance"]:
        lines.append(f"    {100 * result['chance']:6.1f} %  {word['chance']}")
    compared, difference, interval, _ = comparison(claim, result, language)
    lines.append(f"  {word['rehearsed']}{colon}{rehearsals(claim, language)}")
    lines += [f"  {word['chosen']}{colon}{text}" for text in choices(result, language)]
    lines.append(f"  {word['difference']}{colon}{compared} = {difference} {interval} {word['points']}")
    for check, found in zip(claim.checks, result["checks"], strict=True):
        state = word["holds" if found["holds"] else "missed"]
        lines.append(f"  [{state}] {check.text[language]}{colon}{with_interval(check, found)} ({found['threshold']})")
    return "\n".join(lines)
