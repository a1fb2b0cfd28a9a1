"""The command `claims`: the lecture's claims, measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from minillm import claims
from minillm.claims import runner
from minillm.plumbing.checks import a_seed, at_least_1
from minillm.plumbing.files import InputError, make_folder


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Measure claims of the lecture on the built-in world; without a name, list them."""

    slugs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Claims to measure, or `all`."""
    out: Path = Path("runs/claims")
    """Folder for claims.json and the pictures; what is there already is kept, so a run can be resumed."""
    seeds: int = 1
    """Number of seeds; the first time, each trains a base model."""
    first_seed: int = runner.FIRST_SEED
    """The first seed; those of the published run were never used to choose a setting."""
    quick: bool = False
    """Ask fewer questions, try fewer settings, tune in fewer steps."""
    lang: Literal["en", "zh"] = "en"
    """Language of text and pictures."""
    publish: bool = False
    """Rewrite lessons/CLAIMS.md, CLAIMS.zh.md and claims.json; only for `all --seeds 3`."""

    def run(self) -> None:
        if self.publish and (
            self.slugs != ("all",) or self.seeds < 3 or self.quick or self.first_seed != runner.FIRST_SEED
        ):
            raise InputError("--publish writes the final figures: use it as `claims all --seeds 3 --publish`")
        at_least_1(self, "seeds")
        a_seed(self, "first_seed")
        if not self.slugs:
            results = runner.read_results(self.out / "claims.json") or runner.read_results(
                runner.LESSONS / "claims.json"
            )
            print(runner.listing(list(claims.CLAIMS.values()), results, self.lang))
            return
        chosen = list(claims.CLAIMS.values()) if self.slugs == ("all",) else [claims.find(slug) for slug in self.slugs]
        make_folder(self.out)
        seeds, size = range(self.first_seed, self.first_seed + self.seeds), "quick" if self.quick else "full"
        results = runner.run_claims(chosen, seeds, self.out, size, self.lang, bar=True)
        if self.publish:
            runner.publish(claims.CLAIMS, results)
