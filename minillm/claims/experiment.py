"""What an experiment is: a claim with thresholds written down beforehand, and a verdict nobody chooses.

A claim's `measure` is run once per seed and returns marks by condition and entity (a place, a question).
Each seed's means give one difference of the two conditions that the claim is about, and one value for each
threshold. Of these numbers, one per seed, this module takes the mean and the interval (intervals.py), and from
the intervals follows the verdict.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from minillm.claims.intervals import Interval, p_value, t_interval
from minillm.claims.lab import Lab
from minillm.claims.marks import Marks, pack
from minillm.plumbing.languages import Text

VERDICTS = {
    "reproduced": {"en": "reproduced", "zh": "重现"},
    "partly": {"en": "partly", "zh": "部分重现"},
    "not_reproduced": {"en": "not reproduced at this size", "zh": "在这个规模上没有重现"},
    "one_seed": {"en": "one seed, so no verdict", "zh": "只有一个种子，不下结论"},
}
FIRST_SEED = 301
"""The first of the seeds that are reported: no setting is ever tuned on these."""
SELECTION_SEEDS = (101, 102)
"""The seeds that settings are chosen on."""


@dataclass(frozen=True)
class Check:
    """One threshold, fixed before the final run."""

    text: Text
    """What has to hold, in words."""
    value: Callable[[Mapping[str, float]], float]
    """The number that is compared, computed for each seed from that seed's means of all conditions and from its
    figures. A ratio whose denominator may be small is better asked as a difference: `a - 1.5 * b`, at least 0."""
    at_least: float | None = None
    at_most: float | None = None
    percent: bool = True
    """Whether the number is a share, shown as a percentage."""

    def holds(self, interval: Interval) -> bool:
        """Whether the whole interval keeps the threshold; NaN does not. So "at most 3 points worse" is shown, and
        is not merely what a wide interval fails to exclude."""
        low, high = interval
        return (self.at_least is None or low >= self.at_least - ROUNDING) and (
            self.at_most is None or high <= self.at_most + ROUNDING
        )

    def threshold(self) -> str:
        """The threshold as text: `≥ 95 %`."""
        sign, bound = ("≥", self.at_least or 0.0) if self.at_most is None else ("≤", self.at_most)
        return f"{sign} {100 * bound:g} %" if self.percent else f"{sign} {bound:g}"

    def judge(self, numbers: Sequence[Mapping[str, float]]) -> dict[str, Any]:
        """What a result says of this check, from the numbers of each seed. Of a single seed the value decides."""
        values = [float(self.value(seed)) for seed in numbers]
        mean = fmean(values)
        interval = t_interval(values)
        holds = self.holds((mean, mean) if len(values) == 1 else interval)
        return {
            "text": self.text["en"], "value": known(mean), "values": [known(v) for v in values],
            "interval": [known(end) for end in interval], "threshold": self.threshold(), "holds": holds,
        }  # fmt: skip


ROUNDING = 1e-12  # a mean of equal numbers may differ from them by as much


def known(value: float) -> float | None:
    """The number, or None, which JSON has and NaN it has not."""
    return value if math.isfinite(value) else None


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
    cpu_seconds: float = 0.0
    """The same as processor time, of all threads: what it costs on any number of cores, however busy they are."""


STAGE_1 = {
    "en": "text that its base read, 4 rows per step; more than half of it names a held-out place",
    "zh": "它的基础模型读过的文本，每步 4 行；其中一半以上提到未教过的地方",
}
"""What `Lab.tune` rehearses unless told otherwise."""
NOTHING = {"en": "nothing", "zh": "不复习"}
UNTUNED = {"en": "not tuned", "zh": "未微调"}
Choices = Mapping[str, Mapping[str, float]]
"""Setting -> candidate -> its score."""


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
    """… than this one: the interval of their difference has to be above 0."""
    checks: tuple[Check, ...]
    """The thresholds."""
    budget: Text
    """What the experiment costs: models trained, pairs, steps."""
    notes: Text
    """What was tried while developing, on other seeds than those reported."""
    rehearsed: Mapping[str, Text]
    """What the tunings rehearse, by condition, "" standing for all others: rehearsal is more of stage 1 within
    stage 2, and much of a score may hang on it."""
    measure: Callable[..., Observation]
    """The experiment, for one seed: measure(lab), and measure(lab, chosen) for a claim that chooses."""
    picture: Callable[..., None]
    """Draws a result: picture(axes, claim, result, language)."""
    seeds: int = 5
    """How many seeds are published: 8 where they scatter by more than 5 points."""
    choose: Callable[[Lab], Choices] | None = None
    """For settings that are picked by their score: the scores on one seed. The best in the mean of SELECTION_SEEDS
    is measured on the seeds reported, which take no part in choosing it."""


def chosen(scores: Sequence[Choices]) -> dict[str, str]:
    """For each setting the candidate with the best mean over the seeds that it was tried on."""
    return {
        setting: max(candidates, key=lambda name: fmean(seed[setting][name] for seed in scores))
        for setting, candidates in scores[0].items()
    }


def mean(marks: Marks) -> float:
    """Mean over all marks of all entities; NaN for none."""
    total, count = (math.fsum(part) for part in zip(*marks.values(), strict=True)) if marks else (0.0, 0.0)
    return total / count if count else float("nan")


def verdict(holds: Sequence[bool], differences: Sequence[float], interval: Interval) -> str:
    """`reproduced`: the difference is clear (its interval is above 0) and every threshold holds. `partly`: it is
    clear, but a threshold is missed. Otherwise `not_reproduced`; of a single seed `one_seed`.

    One sign in all seeds is not asked for: with more seeds that is kept by fewer true effects.
    """
    if len(differences) == 1:
        return "one_seed"
    if not differences or not interval[0] > 0:  # NaN is not, either
        return "not_reproduced"
    return "reproduced" if all(holds) else "partly"


def numbers(observation: Observation) -> dict[str, float]:
    """What checks look at: the mean of each condition, the figures, and `chance`."""
    return {n: mean(m) for n, m in observation.marks.items()} | {"chance": observation.chance, **observation.figures}


def conclude(claim: Claim, observations: Mapping[int, Observation]) -> dict:
    """The result of a claim from the observations of its seeds: what claims.json holds of it."""
    seen = list(observations.values())
    found = [numbers(o) for o in seen]
    conditions = {}
    for name in seen[0].marks:
        values = [seed[name] for seed in found]
        n = sum(int(count) for o in seen for _, count in o.marks[name].values())
        conditions[name] = {"mean": fmean(values), "values": values, "n": n}
    differences = [seed[claim.better] - seed[claim.worse] for seed in found]
    checks = [check.judge(found) for check in claim.checks]
    interval = t_interval(differences)
    return {
        "slug": claim.slug, "source": claim.source, "conditions": conditions,
        "difference": fmean(differences), "interval": [known(end) for end in interval],
        "p": known(p_value(differences)), "chance": fmean(o.chance for o in seen),
        "chances": [o.chance for o in seen],
        "verdict": verdict([c["holds"] for c in checks], differences, interval), "checks": checks,
        "figures": {name: [o.figures[name] for o in seen] for name in seen[0].figures},
        "examples": [dict(e) for e in seen[0].examples], "seeds": list(observations),
        "seconds": sum(o.seconds for o in seen), "cpu_seconds": sum(o.cpu_seconds for o in seen),
        "marks": [group for seed, o in observations.items() for group in pack(o.marks, seed)],
    }  # fmt: skip
