"""Text in another encoding than UTF-8: read where a byte-order mark says so, else named, never guessed."""

import codecs

from minillm.plumbing.files import InputError

MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
         codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
HAN = frozenset(
    "的一是不了在人有我他这这個个们們中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于於着著下自之年过過"
    "发發后後作里裡用道行所然家种種事成方多经經么麼去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些主样樣理心"
    "她本前开開但因只从從想实實，。、：；？！「」"
)
KANA = frozenset(map(chr, range(0x3041, 0x30FF)))
HANGUL = frozenset("이다는의에하고을를지가한은기도로사리어자나시대스인아서수그것일")
CYRILLIC = frozenset("оеаинтсрвл")
LATIN = frozenset("éèêëàâäöüßñçíóúáåøæœÉÖÜÄ’‘“”–—…«»°£€ïôûîãõ")
# an encoding, the characters frequent in its texts, and the share of the letters outside ASCII that they have at least
CANDIDATES = {
    "gb18030": (HAN, 0.12), "big5": (HAN, 0.12), "euc_jp": (KANA, 0.2), "shift_jis": (KANA, 0.2),
    "euc_kr": (HANGUL, 0.15), "utf-16-le": (HAN, 0.12), "utf-16-be": (HAN, 0.12), "cp1251": (CYRILLIC, 0.45),
    "koi8_r": (CYRILLIC, 0.45), "cp1252": (LATIN, 0.5),
}  # fmt: skip
NAMES = {"gb18030": "GB18030 (GBK)", "big5": "Big5", "cp1252": "Latin-1 (Windows-1252)", "cp1251": "Windows-1251"}
SAMPLE = 1 << 16  # bytes looked at


def by_mark(raw: bytes) -> str | None:
    """The encoding that a byte-order mark says."""
    return next((kind for mark, kind in MARKS.items() if raw.startswith(mark)), None)


def check_encoding(name: str | None) -> None:
    """Raise InputError unless it is a text encoding that Python knows."""
    try:
        known = isinstance(codecs.getincrementaldecoder(name or "utf-8")().decode(b""), str)
    except (LookupError, ValueError, TypeError):  # a codec of bytes, or of text only
        known = False
    if not known:
        raise InputError(f"encoding {name!r} is unknown: give one such as utf-8, gb18030, big5, cp1252")


def likeness(raw: bytes, kind: str) -> float:
    """How well bytes fit an encoding: the share of frequent letters over the least that texts have; 1 is enough."""
    frequent, least = CANDIDATES[kind]
    if kind.startswith("utf-16"):  # also English: every other byte is 0
        zeros = raw[1 if kind.endswith("le") else 0 :: 2].count(0) / max(1, len(raw) // 2)
        if len(raw) >= 8 and zeros > 0.5:
            return zeros / least
    try:
        text = codecs.getincrementaldecoder(kind)().decode(raw)  # a character may be cut off at the end
    except UnicodeDecodeError:
        return 0.0
    foreign = [c for c in text if c > "\x7f"]
    letters = sum(c.isascii() and c.isalpha() for c in text)
    if not foreign or (kind == "cp1252" and letters < len(foreign)):  # Latin-1 has accents on a few letters only
        return 0.0
    return sum(c in frequent for c in foreign) / len(foreign) / least


def likely_encoding(raw: bytes, among: tuple[str, ...] = tuple(CANDIDATES)) -> str | None:
    """The encoding that bytes fit best; None if they fit none."""
    fits = {kind: likeness(raw[:SAMPLE], kind) for kind in among}
    best = max(fits, key=fits.__getitem__)
    return best if fits[best] >= 1 else None


def describe_bytes(error: UnicodeDecodeError, kind: str) -> str:
    """What is wrong with bytes that are no text in an encoding, and what to do."""
    raw, start = error.object, error.start
    sample = raw if start < SAMPLE else raw[raw.rfind(b"\n", 0, start) + 1 :]
    name = {"utf-8-sig": "UTF-8"}.get(kind, kind.upper())
    damaged = sum(byte > 127 for byte in raw[max(0, start - 1000) : start]) > 5  # it was UTF-8 up to here
    likely = likely_encoding(sample) if name == "UTF-8" and not damaged else None
    if likely:
        shown = NAMES.get(likely, likely.upper().replace("_", "-"))
        return f"not UTF-8 text, it looks like {shown}: give --encoding {likely}, or save the file as UTF-8"
    if "end of data" in error.reason or "truncated" in error.reason:
        return f"not {name} text (it ends within a character): the file was cut off, or is in another encoding"
    return f"not {name} text (byte 0x{raw[start]:02x}): save the file as UTF-8, or give its --encoding"
