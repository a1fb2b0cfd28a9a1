"""What a measurement is: values of several contenders, taken in turns, and the table made of them.

All values are kept in plain units (s, B, FLOP/s, B/s) and shown with a fitting prefix.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import median
from typing import TypeVar

from minillm.plumbing.terminal import fit

OURS = "minillm"
Name = TypeVar("Name", bound=Hashable)
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))
HEAD = ["", "median", "least to most", "ratio", "of limit", ""]
WIDTHS = [28, 13, 28, 15, 8, 60]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    part: str
    case: str
    who: str
    unit: str = ""
    """s, B, FLOP/s, B/s or exponent."""
    values: tuple[float, ...] = ()
    """One for each round; none where nothing could be measured, and `note` says why."""
    ratio: float | None = None
    """Median over the rounds of this value divided by that of `ratio_to`: above 1, more is needed than there."""
    ratio_to: str = ""
    share: float | None = None
    """How much of what the machine can do was reached; `machine.Ceilings` says how it is counted."""
    note: str = ""
    points: tuple[tuple[float, float], ...] = ()
    """(size, median value) of a growth."""

    def to_json(self) -> dict:
        """The row as JSON, its median included."""
        return asdict(self) | {"median": median(self.values) if self.values else None}

    def cells(self) -> list[str]:
        """The row as text, one cell for each of HEAD."""
        middle = spread = ""
        if self.values:
            middle = show(median(self.values), self.unit)
            spread = f"{show(min(self.values), self.unit)} to {show(max(self.values), self.unit)}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f} x {self.ratio_to}"
        share = "" if self.share is None else f"{100 * self.share:.1f} %"
        return [f"  {self.who}", middle, spread, ratio, share, self.note]


def show(value: float, unit: str) -> str:
    """Three digits and a prefix: 0.0746 s is `74.6 ms`, 3.4e6 B is `3.40 MB`."""
    if unit == "exponent":
        return f"{value:.2f}"
    value = float(f"{value:.3g}")  # first rounded: 999.9 ms is 1.00 s
    factor, prefix = next(((f, p) for f, p in PREFIXES if abs(value) >= f), PREFIXES[-1])
    scaled = value / factor
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f} {prefix}{unit}"


def show_table(rows: Sequence[Row]) -> str:
    """All rows for a terminal, those of one case below its name."""

    def line(cells: Sequence[str]) -> str:
        return "  ".join(fit(cell, w) for cell, w in zip(cells, WIDTHS, strict=True)).rstrip()

    lines = [line(HEAD)]
    for (part, case), own in groupby(rows, lambda row: (row.part, row.case)):
        lines.append(f"{part}: {case}")
        lines += [line(row.cells()) for row in own]
    return "\n".join(lines)


def take_turns(
    contenders: Mapping[Name, Callable[[], float]], repeat: int, warm_up: bool = True
) -> dict[Name, list[float]]:
    """The values that each contender gives in `repeat` rounds, after one to warm up that does not count.

    In every second round they come in reverse order, so that none always follows the same one.
    """
    for measure in contenders.values() if warm_up else ():
        measure()
    values: dict[Name, list[float]] = {name: [] for name in contenders}
    for turn in range(repeat):
        for name in list(contenders)[:: 1 if turn % 2 == 0 else -1]:
            values[name].append(contenders[name]())
    return values


def paired_ratio(values: Sequence[float], base: Sequence[float]) -> float:
    """Median of the ratios within each round: what disturbs a whole round disturbs both."""
    return median(a / b for a, b in zip(values, base, strict=True))


def compare(part: str, case: str, unit: str, values: Mapping[str, Sequence[float]],
            shares: Mapping[str, float] | None = None, notes: Mapping[str, str] | None = None) -> list[Row]:  # fmt: skip
    """A row for each contender, those of others with their ratio to ours."""
    return [
        Row(part, case, who, unit, tuple(own),
            ratio=None if who == OURS else paired_ratio(own, values[OURS]),
            ratio_to="" if who == OURS else OURS,
            share=(shares or {}).get(who), note=(notes or {}).get(who, ""))
        for who, own in values.items()
    ]  # fmt: skip


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The p of value ∝ size^p that fits best: the slope of a line through the logarithms, by least squares."""
    x, y = [math.log(s) for s in sizes], [math.log(v) for v in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - mean_x) ** 2 for a in x)
