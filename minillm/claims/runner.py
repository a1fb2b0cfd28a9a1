"""Runs experiments, keeps what is measured, and writes it down: claims.json, pictures, CLAIMS.md."""

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from minillm.base_cache import CACHE
from minillm.claims import adapter_kinds, lab, marks, passages, tasks
from minillm.claims.experiment import VERDICTS, Claim, Observation, conclude
from minillm.claims.figures import WORDS, comparison, describe, draw, number, points
from minillm.claims.lab import Lab, Size
from minillm.demo import fast_config
from minillm.plumbing import course, plots
from minillm.plumbing.devices import Timer
from minillm.plumbing.files import make_folder, read_json, write_json, write_text
from minillm.plumbing.lock import locked
from minillm.stage2_sft import SFTConfig

LESSONS = course.shipped() / "lessons"
FIRST_SEED = 201  # seeds of the report; settings were tuned on others (101, 102, …)


def experiment(claim: Claim) -> str:
    """The code that measures a claim: what experiments share, and of the claim's module all but its picture
    and its texts and thresholds, which only say how an observation is shown and judged."""
    tree = ast.parse(inspect.getsource(sys.modules[claim.measure.__module__]))
    shown = ("CLAIM", "picture")
    kept = [node for node in tree.body if getattr(node, "name", None) not in shown]
    kept = [n for n in kept if not (isinstance(n, ast.Assign) and getattr(n.targets[0], "id", None) in shown)]
    return "\n".join([*map(inspect.getsource, (lab, marks, tasks, passages, adapter_kinds)), *map(ast.unparse, kept)])


def settings(claim: Claim, seeds: Sequence[int], size: str) -> dict:
    """What an observation depends on: made with the same, it need not be made again."""
    recipe = [experiment(claim), asdict(fast_config()), asdict(SFTConfig())]
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    return {"seeds": list(seeds), "size": size, "recipe": digest}


def run_claim(
    claim: Claim,
    seeds: Sequence[int],
    size: Size = "full",
    out: Path | None = None,
    bar: bool = False,
    folder: Path = CACHE,
    labs: dict[int, Lab] | None = None,
) -> dict:
    """The result of one claim. With `out`, each seed's observation is kept there, and one that was made
    with the same settings is read instead of made. `labs` lets several claims share base models."""
    labs = {} if labs is None else labs
    observations = {}
    for seed in seeds:
        name = f"{claim.slug}-{seed}-{size}-{settings(claim, [seed], size)['recipe']}"
        shared = labs.setdefault(seed, Lab(seed, size, bar, folder))
        kept = out / "observations" / f"{name}.json" if out is not None else None
        observations[seed] = observe(claim, shared) if kept is None else kept_observation(claim, shared, kept)
    options = f" --seeds {len(seeds)}" + (" --quick" if size == "quick" else "")
    first = f" --first-seed {seeds[0]}" if seeds[0] != FIRST_SEED else ""
    command = f"python -m minillm claims {claim.slug}{options}{first}"
    return conclude(claim, observations) | {"command": command} | settings(claim, seeds, size)


def kept_observation(claim: Claim, shared: Lab, path: Path) -> Observation:
    """The observation in a file, made and put there first if need be; two runs at once make it once."""
    make_folder(path.parent)
    with locked(path.parent, f".{path.stem}.lock", wait=True):
        if not path.is_file():
            write_json(path, asdict(observe(claim, shared)))
    return Observation(**read_json(path, dict))


def observe(claim: Claim, shared: Lab) -> Observation:
    """Measure a claim on one seed, with the time it took; the base model, which all claims share, is not counted."""
    _ = shared.base
    timer = Timer()
    observation = claim.measure(shared)
    return replace(observation, seconds=timer.seconds)


def run_claims(
    claims: Sequence[Claim],
    seeds: Sequence[int],
    out: Path,
    size: Size = "full",
    language: str = "en",
    bar: bool = False,
    folder: Path = CACHE,
    say: Callable[[str], None] = print,
) -> dict[str, dict]:
    """Run claims one after another; after each, `out` holds its result in claims.json and its picture.

    Observations already there with the same settings are kept, so a run that was stopped goes on.
    """
    read_results(out / "claims.json")  # a damaged one is refused before anything is measured
    results: dict[str, dict] = {}
    labs: dict[int, Lab] = {}
    for claim in claims:
        result = results[claim.slug] = run_claim(claim, seeds, size, out, bar, folder, labs)
        keep_result(out, claim, result, language)
        say(describe(claim, result, language))
        say(f"  {out / f'{claim.slug}.png'}\n")
    return results


def keep_result(out: Path, claim: Claim, result: Mapping, language: str) -> None:
    """Put one result into claims.json, and its picture next to it; what other runs have put there meanwhile stays."""
    path = out / "claims.json"
    make_folder(out)
    with locked(out, "claims.lock", wait=True):
        write_json(path, read_results(path) | {claim.slug: result})
        with plots.dispensable(picture := out / f"{claim.slug}.png"):
            draw(claim, result, picture, language)


def read_results(path: Path) -> dict[str, dict]:
    """Slug -> result, empty if there is no such file. Raises InputError if it is damaged."""
    return read_json(path, dict) if path.is_file() else {}


def listing(claims: Sequence[Claim], results: Mapping[str, dict], language: str = "en") -> str:
    """All claims with what they say, where from, and the verdict if measured."""
    lines = []
    for claim in claims:
        found = results.get(claim.slug)
        state = VERDICTS[found["verdict"]][language] if found else {"en": "not measured", "zh": "未测量"}[language]
        lines += [f"{claim.slug}  [{state}]", f"    {claim.hypothesis[language]}", f"    ({claim.source})"]
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------ publishing

HEAD = {
    "en": """# The lecture's claims, measured

Written by `python -m minillm claims all --seeds 3 --publish` from [claims.json](claims.json); not edited by hand.
Each claim has thresholds in its module under `minillm/claims/`, written down before this run, which uses
seeds that no setting was tuned on. *Reproduced* means: every threshold holds, and the difference between the two
conditions the claim is about has the same sign in all seeds and a 95 % interval (paired bootstrap over entities)
above 0. *Partly*: the difference is clear, a threshold is missed. Marks are shares of right answers unless said
otherwise.""",
    "zh": """# 课程里的论断，一一测量

由 `python -m minillm claims all --seeds 3 --publish` 根据 [claims.json](claims.json) 写成，不经手工修改。
每个论断的阈值写在 `minillm/claims/` 里它自己的模块中，先于这次运行；这次运行用的随机种子没有用来调过任何设置。
「重现」的意思是：所有阈值都达到，并且论断所比较的两种条件之差在所有种子上同号，95 % 区间（按实体配对的自助法）在 0 以上。
「部分重现」：差别清楚，但有阈值未达到。如无说明，分数是正确回答所占的比例。""",
}
COLUMNS = {
    "en": ("claim", "source", "verdict", "difference (points)", "95 % interval"),
    "zh": ("论断", "来源", "结论", "差（百分点）", "95 % 区间"),
}


def publish(claims: Mapping[str, Claim], results: Mapping[str, dict], folder: Path = LESSONS) -> None:
    """Write claims.json and, from it, CLAIMS.md and CLAIMS.zh.md."""
    write_json(folder / "claims.json", results)
    for language, name in (("en", "CLAIMS.md"), ("zh", "CLAIMS.zh.md")):
        write_text(folder / name, page(claims, results, language))


def page(claims: Mapping[str, Claim], results: Mapping[str, dict], language: str) -> str:
    """The page of all results in one language."""
    lines = [HEAD[language], "", row(COLUMNS[language]), row("---" for _ in COLUMNS[language])]
    for slug, result in results.items():
        claim = claims[slug]
        low, high = result["interval"]
        verdict, difference = VERDICTS[result["verdict"]][language], points(result["difference"])
        what = f"[{slug}](#{slug}): {claim.hypothesis[language]}"
        lines.append(row((what, claim.source, verdict, difference, f"{points(low)} … {points(high)}")))
    for slug, result in results.items():
        lines += ["", *section(claims[slug], result, language)]
    return "\n".join(lines) + "\n"


def section(claim: Claim, result: Mapping, language: str) -> list[str]:
    """One claim with all its figures."""
    word = {key: text[language] for key, text in WORDS.items()}
    stop, colon = {"en": (". ", ": "), "zh": ("。", "：")}[language]
    state = VERDICTS[result["verdict"]][language]
    lines = [f"## {claim.slug}", "", f"**{state}**{colon}{claim.hypothesis[language]}", "",
             row((claim.metric[language], "%", f"{word['seeds']} {', '.join(map(str, result['seeds']))}", "n")),
             row(("---", "---", "---", "---"))]  # fmt: skip
    for name, condition in result["conditions"].items():
        values = ", ".join(f"{100 * v:.1f}" for v in condition["values"])
        lines.append(row((claim.conditions[name][language], f"{100 * condition['mean']:.1f}", values, condition["n"])))
    if result["chance"]:
        lines.append(row((word["chance"], f"{100 * result['chance']:.1f}", "", "")))
    compared, difference, interval, each = comparison(claim, result, language)
    gap = f"{difference} {word['points']}, {interval}; {word['each']}{colon}{each}"
    lines += ["", f"- {word['difference']}{colon}{compared} = {gap}"]
    for check, found in zip(claim.checks, result["checks"], strict=True):
        state = word["holds" if found["holds"] else "missed"]
        lines.append(f"- {state}{colon}{check.text[language]}: {number(check, found['value'])} ({found['threshold']})")
    cost = f"{claim.budget[language]} {result['seconds']:.0f} {word['seconds']}{stop}"
    return [*lines, "", f"{cost}`{result['command']}`", "", f"{word['notes']}{colon}{claim.notes[language]}"]


def row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
