"""What an experiment is: a claim with thresholds written down beforehand, and a verdict nobody chooses.

A claim's `measure` is run once per seed and returns marks by condition and entity (a place, a question).
From the marks of all seeds this module computes means, the difference of the two conditions that the
claim is about, its interval, and from these and the thresholds the verdict.

Source of the interval: Efron and Tibshirani 1993, An Introduction to the Bootstrap (percentile method).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from minillm.claims.lab import Lab
from minillm.claims.marks import Marks
from minillm.plumbing.languages import Text

VERDICTS = {
    "reproduced": {"en": "reproduced", "zh": "重现"},
    "partly": {"en": "partly", "zh": "部分重现"},
    "not_reproduced": {"en": "not reproduced at this size", "zh": "在这个规模上没有重现"},
}


@dataclass(frozen=True)
class Check:
    """One threshold, fixed before the final run."""

    text: Text
    """What has to hold, in words."""
    value: Callable[[Mapping[str, float]], float]
    """The number that is compared, from the means over seeds of all conditions and figures."""
    at_least: float | None = None
    at_most: float | None = None
    percent: bool = True
    """Whether the number is a share, shown as a percentage."""

    def holds(self, value: float) -> bool:
        """Whether the value keeps the threshold; NaN does not."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def threshold(self) -> str:
        """The threshold as text: `≥ 95 %`."""
        sign, bound = ("≥", self.at_least) if self.at_most is None else ("≤", self.at_most)
        return f"{sign} {100 * bound:g} %" if self.percent else f"{sign} {bound:g}"


@dataclass(frozen=True)
class Observation:
    """What one seed gave."""

    marks: Mapping[str, Marks]
    """Condition -> entity -> (sum, number) of marks."""
    chance: float = 0.0
    """What the best answer without knowledge would get."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Other numbers, by name."""
    examples: Sequence[Mapping[str, str]] = ()
    """A few prompts and answers, to be read: condition, prompt, answer."""
    seconds: float = 0.0
    """Time it took, the shared base models aside."""


@dataclass(frozen=True)
class Claim:
    """A sentence of the lecture or of a paper, and the experiment that asks whether it holds here."""

    slug: str
    """Its name on the command line."""
    hypothesis: Text
    source: str
    conditions: Mapping[str, Text]
    """Name -> what is compared, in words."""
    metric: Text
    """What a mark is."""
    better: str
    """The condition that should score higher …"""
    worse: str
    """… than this one. Their difference needs one sign in all seeds and an interval above 0."""
    checks: tuple[Check, ...]
    """The thresholds."""
    budget: Text
    """What the experiment costs: models trained, pairs, steps."""
    notes: Text
    """What was tried while developing, on other seeds than those reported."""
    measure: Callable[[Lab], Observation]
    """The experiment, for one seed."""
    picture: Callable[..., None]
    """Draws a result: picture(axes, claim, result, language)."""


def mean(marks: Marks) -> float:
    """Mean over all marks of all entities; NaN for none."""
    total = np.array(list(marks.values()), float).reshape(-1, 2).sum(0)
    return float(total[0] / total[1]) if total[1] else float("nan")


def paired_bootstrap(
    pairs: Sequence[tuple[Marks, Marks]], draws: int = 4000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean difference between two conditions, by resampling entities.

    `pairs` holds the marks of both conditions for each seed. In every draw each seed's entities are
    drawn anew with replacement, the same ones for both conditions, with all marks they have: questions
    about one place are not independent, places are. An entity that only one condition has is left out.
    """
    rng = np.random.default_rng(seed)
    differences = np.zeros(draws)
    for better, worse in pairs:
        common = sorted(better.keys() & worse.keys())
        if not common:
            return float("nan"), float("nan")
        drawn = rng.integers(len(common), size=(draws, len(common)))  # (draws, E)
        means = []
        for marks in (better, worse):
            table = np.array([marks[entity] for entity in common], float)  # (E, 2)
            total = table[drawn].sum(1)  # (draws, E, 2) -> (draws, 2)
            means.append(total[:, 0] / total[:, 1])
        differences += (means[0] - means[1]) / len(pairs)
    tail = (1 - level) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return float(low), float(high)


def verdict(holds: Sequence[bool], differences: Sequence[float], interval: tuple[float, float]) -> str:
    """`reproduced`: the difference is clear (above 0 in every seed, and so is its interval) and every
    threshold holds. `partly`: it is clear, but a threshold is missed. Otherwise `not_reproduced`."""
    clear = bool(differences) and all(d > 0 for d in differences) and interval[0] > 0
    if not clear:
        return "not_reproduced"
    return "reproduced" if all(holds) else "partly"


def conclude(claim: Claim, observations: Mapping[int, Observation]) -> dict:
    """The result of a claim from the observations of its seeds: what claims.json holds of it."""
    seeds, seen = list(observations), list(observations.values())
    conditions = {}
    for name in seen[0].marks:
        values = [mean(o.marks[name]) for o in seen]
        n = sum(int(count) for o in seen for _, count in o.marks[name].values())
        conditions[name] = {"mean": float(np.mean(values)), "values": values, "n": n}
    figures = {name: [o.figures[name] for o in seen] for name in seen[0].figures}
    chance = float(np.mean([o.chance for o in seen]))
    numbers = {name: c["mean"] for name, c in conditions.items()} | {"chance": chance}
    numbers |= {name: float(np.mean(values)) for name, values in figures.items()}
    checks = []
    for check in claim.checks:
        value = float(check.value(numbers))
        known = value if math.isfinite(value) else None  # JSON has no NaN
        checks.append({"text": check.text["en"], "value": known, "threshold": check.threshold(),
                       "holds": check.holds(value)})  # fmt: skip
    better, worse = (conditions[name]["values"] for name in (claim.better, claim.worse))
    differences = [b - w for b, w in zip(better, worse, strict=True)]
    interval = paired_bootstrap([(o.marks[claim.better], o.marks[claim.worse]) for o in seen])
    return {
        "slug": claim.slug, "source": claim.source, "conditions": conditions,
        "difference": float(np.mean(differences)), "interval": list(interval), "chance": chance,
        "verdict": verdict([c["holds"] for c in checks], differences, interval), "checks": checks,
        "figures": figures, "examples": [dict(e) for e in seen[0].examples], "seeds": seeds,
        "seconds": sum(o.seconds for o in seen),
    }  # fmt: skip
