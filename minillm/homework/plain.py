"""Students' text made safe to show: in a terminal, in a table that a spreadsheet opens, in XML and JSON."""

import unicodedata

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def plain(text: str, keep: str = "") -> str:
    r"""The text with every character that is no letter, mark, number, sign or space written out: `\x1b`, `\u202e`.

    Left as they are: the characters in `keep`, and the joiners that emoji and Indic scripts need. What is
    written out: control characters (a terminal obeys them), line ends, marks that turn the direction of
    writing, lone surrogates (no encoding has them), and U+FFFE and the like (XML forbids them).
    """
    return "".join(c if c.isprintable() or c in keep or is_harmless(c) else escaped(c) for c in text)


def is_harmless(character: str) -> bool:
    return unicodedata.category(character) == "Zs" or character in "\u200c\u200d"


def escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def cell(value: object) -> object:
    """A value for a table: text that a spreadsheet would run as a formula gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    value = plain(value)
    return f"'{value}" if value.startswith(FORMULA) else value
