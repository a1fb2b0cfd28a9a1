"""Make minillm/plumbing/chinese.otf anew: `python tests/support/make_font.py NotoSansCJK-Regular.ttc`.

It holds the characters of the project and those of GB 2312, level 1, the 3,755 most frequent ones, so that pictures
show Chinese where no font with Chinese is installed. fontTools comes with matplotlib.
"""

import re
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTCollection, TTFont

ROOT = Path(__file__).parents[2]
CHINESE = r"[\u3000-\u303f\u4e00-\u9fa5\uff00-\uffef]"  # as in GB 2312 and GBK, and its punctuation
NAME = "minillm Chinese"


def used() -> set[str]:
    """ASCII, and the Chinese characters and punctuation in code, tables and lessons."""
    files = [*ROOT.glob("minillm/**/*.py"), *ROOT.glob("minillm/world/tables/*.csv"), *ROOT.glob("lessons/*/*.py")]
    return {*map(chr, range(0x20, 0x7F))} | set(
        re.findall(CHINESE, "".join(path.read_text(encoding="utf-8") for path in files))
    )


def frequent() -> set[str]:
    """GB 2312, level 1."""
    rows = (bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    return set("".join(raw.decode("gb2312", "ignore") for raw in rows))


def make(source: Path, target: Path) -> None:
    fonts: list[TTFont] = TTCollection(source).fonts
    font = next(font for font in fonts if font["name"].getDebugName(1) == "Noto Sans CJK SC")
    options = subset.Options(hinting=False, layout_features=[], name_IDs=[0, 1, 2, 4, 6, 13, 14], notdef_outline=True)
    options.drop_tables += ["vhea", "vmtx", "VORG", "GSUB", "GPOS", "BASE"]
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=map(ord, used() | frequent()))
    cutter.subset(font)
    for number, name in ((1, NAME), (4, NAME), (6, NAME.replace(" ", ""))):
        font["name"].setName(name, number, 3, 1, 0x409)
    font["CFF "].cff.fontNames = [NAME.replace(" ", "")]
    font.save(target)


if __name__ == "__main__":
    make(Path(sys.argv[1]), ROOT / "minillm" / "plumbing" / "chinese.otf")
