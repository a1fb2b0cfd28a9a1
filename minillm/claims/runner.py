"""Runs experiments and keeps what they measure: observations, claims.json, pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from minillm.base_cache import CACHE
from minillm.claims.experiment import FIRST_SEED, SELECTION_SEEDS, Claim, Observation, chosen, conclude
from minillm.claims.figures import describe, draw
from minillm.claims.lab import Lab, Size
from minillm.claims.pages import read_results
from minillm.claims.recipe import recipe
from minillm.plumbing import plots
from minillm.plumbing.devices import Timer
from minillm.plumbing.files import make_folder, read_json, write_json
from minillm.plumbing.lock import locked


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
    code = recipe(claim)

    def kept(seed: int, make: Callable[[Lab], dict], what: str = "") -> dict:
        lab = labs.setdefault(seed, Lab(seed, size, bar, folder))
        if out is None:
            return make(lab)
        return kept_part(out / "observations" / f"{claim.slug}-{what}{seed}-{size}-{code}.json", make, lab)

    choose = claim.choose
    scores = [kept(seed, lambda lab: dict(choose(lab)), "choice-") for seed in SELECTION_SEEDS] if choose else []
    picked = chosen(scores) if scores else None
    observations = {seed: Observation(**kept(seed, lambda lab: observe(claim, lab, picked))) for seed in seeds}
    options = f" --seeds {len(seeds)}" + (" --quick" if size == "quick" else "")
    first = f" --first-seed {seeds[0]}" if seeds[0] != FIRST_SEED else ""
    command = f"python -m minillm claims {claim.slug}{options}{first}"
    choice = {} if picked is None else {"chosen": picked, "scores": scores, "chosen_on": list(SELECTION_SEEDS)}
    return conclude(claim, observations) | choice | {"command": command, "size": size, "recipe": code}


def kept_part(path: Path, make: Callable[[Lab], dict], lab: Lab) -> dict:
    """What is in a file, made and put there first if need be; two runs at once make it once."""
    make_folder(path.parent)
    with locked(path.parent, f".{path.stem}.lock", wait=True):
        if not path.is_file():
            write_json(path, make(lab))
    return read_json(path, dict)


def observe(claim: Claim, lab: Lab, picked: Mapping[str, str] | None = None) -> dict:
    """Measure a claim on one seed, with the time it took; the base model, which all claims share, is not counted."""
    _ = lab.base
    timer = Timer()
    observation = claim.measure(lab) if picked is None else claim.measure(lab, picked)
    return asdict(replace(observation, seconds=timer.seconds))


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
