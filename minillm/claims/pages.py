"""The published results: lessons/claims.json, and the pages that are written from it.

A result in claims.json holds all it takes to read it and to check it: the marks of each seed and entity, the
values, intervals and verdict that follow from these, the texts of the claim as it was measured, and the recipe
(recipe.py). So a claim whose code has changed since keeps its page, which then says so, until it is measured anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from minillm.claims.experiment import FIRST_SEED, VERDICTS, Check, Claim
from minillm.claims.figures import WORDS, bars, choices, comparison, points, rehearsals, with_interval
from minillm.claims.intervals import holm
from minillm.claims.recipe import recipe
from minillm.plumbing import course
from minillm.plumbing.files import InputError, read_json, write_json, write_text

LESSONS = course.shipped() / "lessons"
EARLIER = {
    "en": "Measured with earlier code, on seeds {seeds}; not yet measured with today's.",
    "zh": "由较早的代码测得，种子 {seeds}；还没有用现在的代码重新测量。",
}
UNMEASURED = {"en": "not measured", "zh": "未测量"}
DAGGER = {"en": "measured with earlier code", "zh": "由较早的代码测得"}


# ------------------------------------------------------------------------------------------ claims.json


def read_results(path: Path) -> dict[str, dict]:
    """Slug -> result, empty if there is no such file. Raises InputError if it is damaged."""
    return read_json(path, dict) if path.is_file() else {}


def published(claim: Claim) -> dict | None:
    """The claim's result in lessons/claims.json, if there is one."""
    return read_results(LESSONS / "claims.json").get(claim.slug)


def texts(claim: Claim) -> dict:
    """What a claim says, to be kept with its result."""
    shown = ("hypothesis", "metric", "conditions", "better", "worse", "budget", "notes", "rehearsed")
    return {name: getattr(claim, name) for name in shown} | {
        "checks": [{"text": check.text, "percent": check.percent} for check in claim.checks]
    }


def is_current(claim: Claim, result: Mapping) -> bool:
    """Whether a result was measured with today's code and judged by today's thresholds."""
    judged = [(c["text"], c["threshold"]) for c in result["checks"]]
    return result["recipe"] == recipe(claim) and judged == [(c.text["en"], c.threshold()) for c in claim.checks]


def as_measured(claim: Claim, result: Mapping) -> Claim:
    """The claim with the texts that a result was measured with: today's, unless its code is an earlier one. Then its
    picture is a plain one, of the conditions compared, and its checks can be shown but not computed."""
    if is_current(claim, result):
        return claim
    kept = dict(result["texts"])
    checks = tuple(Check(c["text"], unknown, percent=c["percent"]) for c in kept.pop("checks"))
    return replace(claim, **kept, checks=checks, picture=partial(bars, names=(kept["worse"], kept["better"])))


def unknown(numbers: Mapping[str, float]) -> float:
    """The value of a check whose code is gone."""
    return float("nan")


def note(claim: Claim, result: Mapping, language: str) -> str:
    """That a result was measured with earlier code; empty for today's."""
    return "" if is_current(claim, result) else EARLIER[language].format(seeds=", ".join(map(str, result["seeds"])))


def publish(claims: Mapping[str, Claim], new: Mapping[str, dict], folder: Path = LESSONS) -> None:
    """Put new results into claims.json, with the claims' texts, and write the pages from it. The results of other
    claims stay. Raises InputError if a new one is not of the full size on the seeds to be published."""
    for slug, result in new.items():
        seeds = list(range(FIRST_SEED, FIRST_SEED + claims[slug].seeds))
        if result["size"] != "full" or result["seeds"] != seeds:
            raise InputError(f"{slug}: only a full run on seeds {seeds[0]} to {seeds[-1]} is published: "
                             f"`python -m minillm claims {slug} --publish`")  # fmt: skip
    path = folder / "claims.json"
    results = read_results(path) | {slug: {**result, "texts": texts(claims[slug])} for slug, result in new.items()}
    write_json(path, {slug: results[slug] for slug in claims if slug in results})
    write_pages(claims, folder)


def write_pages(claims: Mapping[str, Claim], folder: Path = LESSONS) -> None:
    """Write CLAIMS.md and CLAIMS.zh.md from claims.json."""
    results = read_results(folder / "claims.json")
    for language, name in (("en", "CLAIMS.md"), ("zh", "CLAIMS.zh.md")):
        write_text(folder / name, page(claims, results, language))


def listing(claims: Sequence[Claim], results: Mapping[str, dict], language: str = "en") -> str:
    """All claims with what they say, where from, and the verdict if measured; next to the verdict of earlier code is
    what the claim said then, where the result keeps that."""
    lines = []
    for claim in claims:
        found = results.get(claim.slug)
        state = VERDICTS[found["verdict"]][language] if found else UNMEASURED[language]
        if found and not is_current(claim, found):
            state += {"en": ", ", "zh": "，"}[language] + DAGGER[language]
        said = as_measured(claim, found) if found and "texts" in found else claim
        lines += [f"{claim.slug}  [{state}]", f"    {said.hypothesis[language]}", f"    ({said.source})"]
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------ pages

HEAD = {
    "en": """# The lecture's claims, measured

Written by `python -m minillm claims all --publish` from [claims.json](claims.json); not edited by hand.
Each claim has thresholds in its module under `minillm/claims/`, written down before this run, which uses
seeds that no setting was tuned on; the notes of over-optimisation (seed 302) and of adapters (run again on its seeds) say
what exceptions there are. A seed repeats the whole experiment: other weights at the start, another order
of the data, another split of the places. Intervals are 95 % intervals of the mean over seeds (Student's t over the
seeds' numbers, so that what a seed and what the places drawn change are both in it). *Reproduced* means: the
interval of the difference between the two conditions the claim is about is above 0, and every threshold is kept by
the whole of its interval. *Partly*: the difference is clear, a threshold is missed.
*p* is that of the same t; *p (Holm)* is corrected for the number of claims measured; verdicts use the interval,
uncorrected. Marks are shares of right answers unless said otherwise. claims.json has the marks of every seed and place.

To be read with care: many experiments were changed, and some claims worded, after what earlier ones showed on other
seeds; the notes of each say what was tried and what failed. Where the two conditions could hardly come out otherwise,
the thresholds carry the claim: so in roles, less-is-more, small-tuned-over-large, false-promise, preference-over-sft,
small-steps and specialists. Claims on one seed share its base, and some a tuned model: they are not independent. A
condition may be computed from others (a mean, or a score plus a margin); the interval knows no bounds and may pass
100 %. No model here has much more than a million parameters, and all facts are about
64 places.""",
    "zh": """# 课程里的论断，一一测量

由 `python -m minillm claims all --publish` 根据 [claims.json](claims.json) 写成，不经手工修改。
每个论断的阈值写在 `minillm/claims/` 里它自己的模块中，先于这次运行；这次运行用的随机种子没有用来调过任何设置；
例外写在 over-optimisation（种子 302）和 adapters（在同样的种子上重跑）的说明里。
每个种子都把整个实验重做一遍：初始参数不同，数据的顺序不同，地方的划分也不同。区间是各种子平均值的 95 % 区间
（对各种子的数值用学生 t 分布，所以种子带来的变动和抽到哪些地方带来的变动都包含在内）。
“重现”的意思是：论断所比较的两种条件之差，其区间在 0 以上；并且每个阈值的整个区间都达到要求。
“部分重现”：差别清楚，但有阈值未达到。*p* 出自同一个 t；*p（Holm）* 按测过的论断个数做了校正；结论用的是没有校正的区间。
如无说明，分数是正确回答所占的比例。claims.json 里有每个种子、每个地方的得分。

阅读时请留意：许多实验改过，有些论断是看到较早的实验在别的种子上的结果之后才这样表述的；每个论断的说明写着试过什么、
什么没有成功。两种条件之差几乎不可能是别的样子时，论断由阈值支撑：roles、less-is-more、
small-tuned-over-large、false-promise、preference-over-sft、small-steps、specialists 就是这样。同一种子的论断共用基础模型，有的还共用
微调过的模型，所以彼此并不独立。有的条件由别的条件算出（平均，或分数加上余量）；
区间的计算不知道界限，可能超过 100 %。这里的模型都只有一百万左右或更少的参数，事实只涉及 64 个地方。""",
}
COLUMNS = {
    "en": ("claim", "source", "verdict", "what is compared", "difference (points)", "95 % interval", "p", "p (Holm)"),
    "zh": ("论断", "来源", "结论", "比较什么", "差（百分点）", "95 % 区间", "p", "p（Holm）"),
}


def page(claims: Mapping[str, Claim], results: Mapping[str, dict], language: str) -> str:
    """The page of all results in one language; claims without a result are named."""
    shown = {slug: as_measured(claim, results[slug]) for slug, claim in claims.items() if slug in results}
    corrected = holm({slug: 1.0 if (p := results[slug]["p"]) is None else p for slug in shown})
    lines = [HEAD[language], "", row(COLUMNS[language]), row("---" for _ in COLUMNS[language])]
    for slug, claim in shown.items():
        result = results[slug]
        verdict = VERDICTS[result["verdict"]][language] + ("" if is_current(claims[slug], result) else " †")
        interval = " … ".join(map(points, result["interval"]))
        what = f"[{slug}](#{slug}): {claim.hypothesis[language]}"
        p_values = (probability(result["p"]), probability(corrected[slug]))
        compared = comparison(claim, result, language)[0]
        lines.append(row((what, claim.source, verdict, compared, points(result["difference"]), interval, *p_values)))
    for slug in (slug for slug in claims if slug not in shown):
        lines.append(
            row((f"{slug}: {claims[slug].hypothesis[language]}", claims[slug].source, UNMEASURED[language], *"–––––"))
        )
    if not all(is_current(claims[slug], results[slug]) for slug in shown):
        lines += ["", f"† {DAGGER[language]}"]
    for slug, claim in shown.items():
        lines += ["", *section(claim, results[slug], language, note(claims[slug], results[slug], language))]
    return "\n".join(lines) + "\n"


def section(claim: Claim, result: Mapping, language: str, earlier: str = "") -> list[str]:
    """One claim with all its figures."""
    word = {key: text[language] for key, text in WORDS.items()}
    stop, colon, comma, then, asked = {
        "en": (". ", ": ", ", ", "; ", " ({})"), "zh": ("。", "：", "，", "；", "（{}）")
    }[language]  # fmt: skip
    state = VERDICTS[result["verdict"]][language]
    lines = [f"## {claim.slug}", "", f"**{state}**{colon}{claim.hypothesis[language]}", "",
             *([earlier, ""] if earlier else []),
             row((claim.metric[language], "%", f"{word['seeds']} {', '.join(map(str, result['seeds']))}", "n")),
             row(("---", "---", "---", "---"))]  # fmt: skip
    for name, condition in result["conditions"].items():
        values = ", ".join(f"{100 * v:.1f}" for v in condition["values"])
        lines.append(row((claim.conditions[name][language], f"{100 * condition['mean']:.1f}", values, condition["n"])))
    if result["chance"]:
        lines.append(row((word["chance"], f"{100 * result['chance']:.1f}", "", "")))
    compared, difference, interval, each = comparison(claim, result, language)
    gap = f"{difference} {word['points']}{comma}{interval}{then}{word['each']}{colon}{each}"
    lines += ["", f"- {word['rehearsed']}{colon}{rehearsals(claim, language)}"]
    lines += [f"- {word['chosen']}{colon}{text}" for text in choices(result, language)]
    lines += [f"- {word['difference']}{colon}{compared} = {gap}"]
    for check, found in zip(claim.checks, result["checks"], strict=True):
        state = word["holds" if found["holds"] else "missed"]
        threshold = asked.format(found["threshold"])
        lines.append(f"- {state}{colon}{check.text[language]}{colon}{with_interval(check, found)}{threshold}")
    cost = f"{claim.budget[language]} {result['seconds']:.0f} {word['seconds']}{stop}"
    return [*lines, "", f"{cost}`{result['command']}`", "", f"{word['notes']}{colon}{claim.notes[language]}"]


def probability(p: float | None) -> str:
    """A p value in two digits; `< 0.0001` below that."""
    return "–" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
