"""The lecture's claims as experiments: thresholds written down first, then measured, with a verdict.

    from minillm import claims

    claims.CLAIMS                                            # slug -> Claim: hypothesis, source, thresholds, notes
    result = claims.run("less-is-more", seeds=(301, 302), quick=True)
    result["verdict"], result["conditions"], result["interval"]
    print(claims.describe(result, "zh"))                     # verdict and figures as text
    claims.draw(result, "less-is-more.png", "zh")            # or axes of a matplotlib figure
    claims.published("less-is-more")                         # the result in lessons/claims.json

A result is a plain dict, the same that `python -m minillm claims SLUG` writes to claims.json:

    slug, source    which claim, and where it is from
    conditions      name -> mean over seeds, values of each seed, n marks in all
    difference      of the two conditions the claim is about (CLAIMS[slug].better minus .worse)
    interval, p     95 % interval of the difference, and its p value: Student's t over the seeds
    chance          what the best answer without knowledge gets; 0 where that means nothing; chances: of each seed
    verdict         reproduced, partly, not_reproduced; one_seed where there is only one
    checks          each threshold: text, value, values of each seed, interval, threshold, holds
    figures         other numbers by name, a value per seed
    examples        a few prompts and answers: condition, prompt, answer
    marks           the marks of each seed, condition and entity (marks.py reads them)
    chosen, scores  for a claim that chooses settings: what was chosen, and the scores of all candidates
    seeds, seconds, cpu_seconds, command, size
    recipe          the hash of the code that measured it; texts, where published: what the claim said then
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minillm.base_cache import CACHE
from minillm.claims import (
    across_languages,
    adapters,
    best_of_n,
    composition,
    false_promise,
    figures,
    generalist,
    knowledge_then_format,
    knows_what_it_knows,
    less_is_more,
    many_turns,
    many_wordings,
    on_policy,
    over_optimisation,
    pages,
    preference_over_sft,
    quality_over_quantity,
    review,
    reward_model,
    roles,
    runner,
    small_and_long,
    small_steps,
    small_tuned_over_large,
    specialists,
    spurious_rules,
    stronger_teacher,
    varied_over_rigid,
    verifiable_reward,
)
from minillm.claims.experiment import FIRST_SEED, Claim
from minillm.plumbing.files import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIMS: dict[str, Claim] = {
    module.CLAIM.slug: module.CLAIM
    for module in (
        knowledge_then_format,
        many_wordings,
        roles,
        spurious_rules,
        small_steps,
        adapters,
        less_is_more,
        quality_over_quantity,
        small_tuned_over_large,
        varied_over_rigid,
        across_languages,
        specialists,
        generalist,
        composition,
        review,
        stronger_teacher,
        false_promise,
        small_and_long,
        many_turns,
        preference_over_sft,
        reward_model,
        best_of_n,
        over_optimisation,
        on_policy,
        verifiable_reward,
        knows_what_it_knows,
    )
}


def find(slug: str) -> Claim:
    """The claim of that name. Raises InputError that lists all."""
    if slug not in CLAIMS:
        raise InputError(f"no claim is called {slug!r}: choose from {', '.join(CLAIMS)}")
    return CLAIMS[slug]


def run(
    slug: str, seeds: Sequence[int] = (FIRST_SEED,), quick: bool = False, bar: bool = False, folder: Path = CACHE
) -> dict:
    """Measure one claim. The first time for a seed its base model is trained (one to two minutes) and
    kept in `folder`; `quick` asks fewer questions, tries fewer settings and tunes in fewer steps."""
    return runner.run_claim(find(slug), seeds, "quick" if quick else "full", None, bar, folder)


def published(slug: str) -> dict:
    """The result the lessons show, from lessons/claims.json. Raises InputError if it is not there."""
    if (result := pages.published(find(slug))) is None:
        path = pages.LESSONS / "claims.json"
        raise InputError(f"{path}: no result of {slug}: run `python -m minillm claims {slug} --publish`")
    return result


def draw(result: dict, target: "Axes | Path | str", language: str = "en") -> None:
    """Draw a result into a PNG file (a path) or on matplotlib axes."""
    figures.draw(pages.as_measured(find(result["slug"]), result), result, target, language)


def describe(result: dict, language: str = "en") -> str:
    """A result as text: verdict, conditions, difference with its interval, thresholds."""
    claim = find(result["slug"])
    text = figures.describe(pages.as_measured(claim, result), result, language)
    return "\n  ".join(filter(None, (text, pages.note(claim, result, language))))
