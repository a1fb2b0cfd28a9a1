"""Pictures: training curves and the demo's overview, labelled in English.

Chinese is drawn with an installed font, else with the one in `chinese.otf`, which has the frequent characters;
matplotlib would draw empty boxes for others, so ask `can_draw` first.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from minillm.plumbing.files import replace_file
from minillm.plumbing.terminal import note

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHINESE_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC",
                 "Hiragino Sans GB", "Heiti SC", "Microsoft YaHei", "SimHei", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
                 "Arial Unicode MS", "Droid Sans Fallback")  # fmt: skip
COLOURS = {
    "base": "#8c8c8c",
    "sft": "#1f77b4",
    "sft_plain": "#17becf",
    "tuned": "#2ca02c",
    "scratch": "#d62728",
    "lora": "#9467bd",
}


SHIPPED = Path(__file__).with_name("chinese.otf")


@lru_cache(maxsize=1)
def chinese_font() -> str:
    """Name of a font that has Chinese characters: an installed one, else the one that is shipped."""
    from matplotlib import font_manager

    def known() -> str | None:
        names = {font.name for font in font_manager.fontManager.ttflist}
        return next((name for name in CHINESE_FONTS if name in names), None)

    if known() is None:  # matplotlib keeps a list of fonts and does not notice one installed since
        wanted = {name.replace(" ", "").lower() for name in CHINESE_FONTS} | {"notosanscjk"}
        for path in font_manager.findSystemFonts():
            if Path(path).stem.partition("-")[0].lower() in wanted:
                font_manager.fontManager.addfont(path)
    if (name := known()) is not None:
        return name
    font_manager.fontManager.addfont(SHIPPED)
    return font_manager.fontManager.ttflist[-1].name


@lru_cache(maxsize=1)
def drawable() -> frozenset[int]:
    """Code points of all characters that the fonts of our pictures have."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    files = [font_manager.findfont(name) for name in (chinese_font(), "DejaVu Sans")]
    return frozenset(point for file in files for point in FT2Font(file).get_charmap())


def can_draw(text: str) -> bool:
    """Whether a picture can show every character of the text."""
    return all(ord(character) in drawable() for character in text)


@contextmanager
def dispensable(path: Path) -> Iterator[None]:
    """Around the drawing of a picture: one that cannot be drawn is announced and stops nothing. matplotlib writes
    files of its own, and there may be no folder that it can write to."""
    try:
        yield
    except OSError as error:
        note(f"{path}: not drawn ({error})")


def new_figure(columns: int, rows: int = 1, size: tuple[float, float] = (4.6, 3.4)) -> tuple["Figure", "np.ndarray"]:
    """A figure with a grid of axes, drawn without a screen and with a font for Chinese."""
    import matplotlib
    from matplotlib.figure import Figure  # the class, not pyplot: nothing global, no window

    matplotlib.rcParams["font.family"] = [chinese_font(), "DejaVu Sans"]  # the second where the first has no glyph
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained", dpi=110)
    return figure, figure.subplots(rows, columns, squeeze=False)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG under a temporary name, then rename."""
    replace_file(path, lambda partial: figure.savefig(partial, format="png", metadata={"Software": None}))


def smooth(values: Sequence[float], width: int) -> list[float]:
    """Mean of each value and up to width - 1 before it."""
    result, total = [], 0.0
    for i, value in enumerate(values):
        total += value - (values[i - width] if i >= width else 0.0)
        result.append(total / min(i + 1, width))
    return result


def draw_curve(
    axes: "Axes", metrics: Sequence[Mapping[str, float]], name: str, colour: str, label: str | None = None
) -> None:
    """One metric over the steps: each value faintly, their running mean clearly."""
    points = [(m["step"], m[name]) for m in metrics if name in m]
    if not points:
        return
    steps, values = zip(*points, strict=True)
    axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(steps, smooth(values, max(1, len(values) // 40)), color=colour, linewidth=1.8, label=label or name)


def training_curves(metrics: Sequence[Mapping[str, float]], path: Path) -> None:
    """The loss of one run over its steps; for preference tuning also what the answers' margins did."""
    if not metrics:
        return
    preference = "chosen_log_prob" in metrics[0]
    figure, axes = new_figure(2 if preference else 1)
    parts = [n for n in ("answer_loss", "rehearsal_loss", "dpo_loss") if n in metrics[0]]
    for name, colour in zip(parts or ["loss"], ("#1f77b4", "#ff7f0e", "#2ca02c"), strict=False):
        draw_curve(axes[0, 0], metrics, name, colour, name.replace("_", " "))
    axes[0, 0].set(title="Loss", xlabel="step", ylabel="nats" if preference else "nats per token")
    axes[0, 0].set_ylim(bottom=0)
    if preference:
        draw_curve(axes[0, 1], metrics, "chosen_log_prob", "#2ca02c", "chosen answer")
        draw_curve(axes[0, 1], metrics, "rejected_log_prob", "#d62728", "rejected answer")
        axes[0, 1].set(title="log p(answer | prompt)", xlabel="step", ylabel="nats, whole answer")
    for one in axes.flat:
        one.grid(alpha=0.3)
        one.legend(fontsize=8)
    save_figure(figure, path)
