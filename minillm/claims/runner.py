"""Runs experiments: parts measured one after another or in parallel, and results, pictures and texts made of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from minillm.base_cache import CACHE
from minillm.claims import pages
from minillm.claims.experiment import FIRST_SEED, Claim, conclude
from minillm.claims.figures import describe, draw
from minillm.claims.lab import Lab, Size
from minillm.claims.pages import read_results
from minillm.claims.parallel import Find, Report, work, work_together
from minillm.claims.parts import Part, Workshop
from minillm.claims.recipe import recipe
from minillm.plumbing import plots
from minillm.plumbing.files import make_folder, write_json
from minillm.plumbing.lock import locked

UNKNOWN = 240.0  # seconds of processor time that a claim is thought to take per seed before it was ever measured


class PartsFailed(RuntimeError):
    """Some parts could not be measured; the others are kept."""


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
    with the same recipe is read instead of made. `labs` lets several claims share base models."""
    return result_of(claim, seeds, Workshop(size, out, folder, bar, {} if labs is None else labs))


def result_of(claim: Claim, seeds: Sequence[int], shop: Workshop) -> dict:
    """The result of one claim from its parts, which are made where they are not kept."""
    choice = shop.choice(claim)
    found = conclude(claim, {seed: shop.observation(claim, seed) for seed in seeds})
    options = f" --seeds {len(seeds)}" + (" --quick" if shop.size == "quick" else "")
    options += f" --first-seed {seeds[0]}" if seeds[0] != FIRST_SEED else ""
    command = f"python -m minillm claims {claim.slug}{options}"
    return found | choice | {"command": command, "size": shop.size, "recipe": recipe(claim)}


def run_claims(
    claims: Sequence[Claim],
    seeds: Sequence[int] | Mapping[str, Sequence[int]],
    out: Path,
    size: Size = "full",
    language: str = "en",
    bar: bool = False,
    folder: Path = CACHE,
    say: Callable[[str], None] = print,
    jobs: int = 1,
    find: Find | None = None,
    on_result: Callable[[Claim, dict], None] = lambda claim, result: None,
) -> dict[str, dict]:
    """Run claims; as soon as one has all its seeds, `out` holds its result in claims.json and its picture.

    Observations already there with the same recipe are kept, so a run that was stopped goes on.

    Args:
        seeds: those of all claims, or slug -> those of one.
        jobs: processes, one thread each; with 1, claims are measured one after another in this one.
        find: slug -> claim, for other processes, which get a claim's name only; needed for more than one job.
        on_result: called with each result.

    Raises PartsFailed when some parts of several could not be measured; the other results are there by then.
    """
    read_results(out / "claims.json")  # a damaged one is refused before anything is measured
    shop = Workshop(size, out, folder, bar)
    by_slug = seeds if isinstance(seeds, Mapping) else {claim.slug: seeds for claim in claims}
    results: dict[str, dict] = {}

    def finish(claim: Claim) -> None:
        result = results[claim.slug] = result_of(claim, by_slug[claim.slug], shop)
        keep_result(out, claim, result, language)
        say(describe(claim, result, language))
        say(f"  {out / f'{claim.slug}.png'}\n")
        on_result(claim, result)

    missing = {claim.slug: shop.missing(claim, by_slug[claim.slug]) for claim in claims}
    parts = [part for slug in missing for part in missing[slug]]
    progress = Progress(parts, min(jobs, len(parts)), expected_seconds(out), say)
    by_name = {claim.slug: claim for claim in claims}
    for claim in claims:
        if not missing[claim.slug]:
            finish(claim)

    def report(part: Part, error: str) -> None:
        progress.report(part, error, kept=[one for one in progress.left if shop.is_kept(by_name[one.slug], one)])
        claim = by_name[part.slug]
        if part.slug not in results and all(shop.is_kept(claim, one) for one in missing[part.slug]):
            finish(claim)

    make(parts, by_name, shop, jobs, find, report)
    failed = {part.slug for part in progress.faults}
    for claim in claims:
        if claim.slug not in results and claim.slug not in failed:
            finish(claim)  # what a run elsewhere still makes, or a process that was killed has left
    progress.check()
    return results


def make(
    parts: Sequence[Part], claims: Mapping[str, Claim], shop: Workshop, jobs: int, find: Find | None, report: Report
) -> None:
    """Make the parts: one alone so that what goes wrong with it is raised as it is; several in this process or others."""
    for part in parts:
        shop.fault(claims[part.slug], part).unlink(missing_ok=True)
    if len(parts) == 1:
        shop.part(claims[parts[0].slug], parts[0])
        report(parts[0], "")
    elif jobs == 1 or find is None:
        work(parts, claims.__getitem__, shop, report)
    else:
        work_together(parts, find, shop, min(jobs, len(parts)), report)


def expected_seconds(out: Path) -> dict[str, float]:
    """The processor time that a seed of each claim took when it was measured last, here or for the published results;
    of results that do not know it, twice their seconds, as on two cores."""
    known = read_results(pages.LESSONS / "claims.json") | read_results(out / "claims.json")
    return {slug: r.get("cpu_seconds", 2 * r["seconds"]) / len(r["seeds"]) for slug, r in known.items()}


class Progress:
    """What of a parallel run is done, what failed, and how long the rest will take."""

    def __init__(self, parts: Sequence[Part], jobs: int, seconds: Mapping[str, float], say: Callable[[str], None]):
        self.left = {part: seconds.get(part.slug, UNKNOWN) for part in parts}
        self.total, self.jobs, self.say = len(parts), jobs, say
        self.expected, self.begun = sum(self.left.values()), time.monotonic()
        self.faults: dict[Part, str] = {}
        if self.total > 1:
            say(f"{self.total} parts (a claim on a seed), {jobs} at a time: {duration(self.expected / jobs)} by what "
                f"they took before, and one or two minutes for each base model that is not there yet")  # fmt: skip

    def report(self, part: Part, error: str, kept: Sequence[Part]) -> None:
        """A part is done, or has failed; those `kept` by now may have been made on the way, or by a run elsewhere."""
        for one in (part, *kept):
            self.left.pop(one, None)
        if error:
            self.faults[part] = error
        if self.total == 1:
            return
        rest = sum(self.left.values())
        pace = (time.monotonic() - self.begun) / max(1.0, self.expected - rest)  # of this machine, so far
        state = f"failed: {error.strip().splitlines()[-1]}" if error else "done"
        self.say(f"{self.total - len(self.left)} of {self.total}: {part.slug}, seed {part.seed}: {state}; "
                 f"{duration(rest * pace)} left")  # fmt: skip

    def check(self) -> None:
        """Raise PartsFailed if parts failed."""
        if self.faults:
            faults = (f"{part.slug}, seed {part.seed}: {error}" for part, error in self.faults.items())
            head = f"{len(self.faults)} of {self.total} parts failed; what the others gave is kept:"
            raise PartsFailed("\n".join((head, *faults)))


def duration(seconds: float) -> str:
    """About how long: `about 2 h 10 min`."""
    minutes = round(seconds / 60)
    return f"about {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"about {minutes} min"


def keep_result(out: Path, claim: Claim, result: Mapping, language: str) -> None:
    """Put one result into claims.json, and its picture next to it; what other runs have put there meanwhile stays."""
    path = out / "claims.json"
    make_folder(out)
    with locked(out, "claims.lock", wait=True):
        write_json(path, read_results(path) | {claim.slug: result})
        with plots.dispensable(picture := out / f"{claim.slug}.png"):
            draw(claim, result, picture, language)
