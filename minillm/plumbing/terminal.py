"""Tables in a terminal, where a Chinese character takes two columns."""

import unicodedata


def width(text: str) -> int:
    """Columns a text takes in a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, columns: int) -> str:
    """The text cut or filled to so many columns."""
    text = text.replace("\n", " ")
    if width(text) > columns:
        while width(text) > columns - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (columns - width(text))


def table(rows: list[list[str]], widths: list[int]) -> str:
    """Rows in columns of given widths; the first row is the head."""
    lines = ["  ".join(fit(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"
