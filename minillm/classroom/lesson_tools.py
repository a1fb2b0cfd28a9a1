"""What the lessons show things with: coloured tables of tokens, pictures, measured claims, both languages.

A lesson's code is the same in both languages. What it prints asks for the language by the folder the
notebook lies in (`notebooks/en`, `notebooks/zh`), or by the variable MINILLM_LANG.
"""

import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minillm.chat import Dialogue
from minillm.plumbing import plots
from minillm.plumbing.terminal import width
from minillm.tokenizer import Tokenizer

if TYPE_CHECKING:
    from IPython.display import HTML, Image
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

LEARNED, PLAIN = "#c9e7cb", "#eceff1"


def language() -> str:
    """`zh` in a Chinese notebook, else `en`."""
    chosen = os.environ.get("MINILLM_LANG") or Path.cwd().name
    return "zh" if chosen == "zh" else "en"


def say(en: str, zh: str) -> str:
    """The sentence in the notebook's language."""
    return zh if language() == "zh" else en


def label(en: str, zh: str) -> str:
    """The same in a picture."""
    return say(en, zh)


# ---------------------------------------------------------------------------------------- as HTML


def show_html(source: str) -> "HTML":
    """Something the notebook shows as HTML; the browser has fonts for every token."""
    from IPython.display import HTML

    return HTML(source)


def visible(token: str) -> str:
    """A token with line ends and the spaces at its ends made visible, safe inside HTML."""
    inner = token.strip(" ")
    before = len(token) - len(token.lstrip(" "))
    after = len(token) - len(inner) - before
    return html.escape("␣" * before + inner.replace("\n", "⏎") + "␣" * after)


def show_table(head: Sequence[str], rows: Sequence[Sequence[object]], colours: Sequence[str | None] = ()) -> "HTML":
    """A table; `colours` gives the background of each row, None for none. Floats are shown with 3 digits, in lists too."""

    def cell(value: object) -> str:
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(cell, value))}]"
        return f"{value:z.3f}" if isinstance(value, float) else visible(str(value))

    style = "text-align:left;padding:2px 10px;font-family:monospace;color:#111"
    parts = ["<table><tr>", *(f"<th style='{style};color:inherit'>{html.escape(h)}</th>" for h in head), "</tr>"]
    for i, row in enumerate(rows):
        colour = colours[i] if i < len(colours) and colours[i] else "#ffffff"
        parts.append(f"<tr style='background:{colour}'>")
        parts += (f"<td style='{style}'>{cell(value)}</td>" for value in row)
        parts.append("</tr>")
    return show_html("".join(parts) + "</table>")


def show_tokens(
    tokens: Sequence[str], colours: Sequence[str] | None = None, below: Sequence[object] | None = None
) -> "HTML":
    """Tokens side by side in boxes; `below` writes a number or word under each."""
    boxes = []
    for i, token in enumerate(tokens):
        colour = colours[i] if colours else ("#dbe9f6", "#fdebd0", "#e3f1e1", "#f6dfe8")[i % 4]
        under = "" if below is None else f"<br><small style='color:#555'>{html.escape(str(below[i]))}</small>"
        boxes.append(
            f"<span style='display:inline-block;margin:1px;padding:2px 5px;border-radius:4px;background:{colour};"
            f"color:#111;font-family:monospace;text-align:center'>{visible(token)}{under}</span>"
        )
    return show_html("<div style='line-height:2'>" + "".join(boxes) + "</div>")


def show_dialogue(dialogue: Dialogue, tokenizer: Tokenizer) -> "HTML":
    """The token / label / mask table of a dialogue; what is learned is green."""
    rows = dialogue.table(tokenizer)
    head = (say("token", "词元"), say("label: the next token", "标签：下一个词元"), say("learned", "学习"))
    shown = [(token, target, say("yes", "是") if learned else "") for token, target, learned in rows]
    return show_table(head, shown, [LEARNED if learned else PLAIN for _, _, learned in rows])


def show_claim(slug: str, explained: bool = False) -> "HTML":
    """The published result of a claim: hypothesis, verdict, picture, difference, thresholds. Nothing is trained.
    A notebook's first card has how to read it, folded (`explained`)."""
    from minillm import claims  # here: only the later lessons show claims
    from minillm.claims.card import card
    from minillm.claims.pages import published

    claim = claims.find(slug)
    return show_html(card(claim, published(claim), language(), explained))


# ------------------------------------------------------------------------------------- as pictures


def show_figure(figure: "Figure") -> "Image":
    """Show a figure made by `plots.new_figure` in the notebook."""
    from IPython.display import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image(buffer.getvalue())


def draw_matrix(
    axes: "Axes",
    matrix: "ArrayLike",
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    title: str = "",
    symmetric: bool = False,
    bar: str = "",
) -> None:
    """A matrix as coloured squares, (rows, columns), with names; `symmetric` puts white at zero. `bar` says what the
    colours mean, next to a bar of them.

    Names with characters that no font at hand has are replaced by their positions.
    """
    import numpy as np

    values = np.asarray(matrix, dtype=float)
    most = np.abs(values).max() or 1.0
    scale: dict[str, Any] = (
        {"cmap": "RdBu_r", "vmin": -most, "vmax": most} if symmetric else {"cmap": "Blues", "vmin": 0.0}
    )
    image = axes.imshow(values, aspect="auto" if symmetric else "equal", **scale)
    turned: dict[str, Any] = {"rotation": 90} if any(width(name) > 2 for name in columns) else {}
    for names, set_ticks, turn in ((rows, axes.set_yticks, {}), (columns, axes.set_xticks, turned)):
        if names:
            shown = [n if plots.can_draw(n) else str(i) for i, n in enumerate(names)]
            set_ticks(range(len(names)), [name.replace(" ", "␣") for name in shown], fontsize=8, **turn)
    axes.set_title(title)
    if bar and axes.figure:
        axes.figure.colorbar(image, ax=axes, label=bar, shrink=0.8)
