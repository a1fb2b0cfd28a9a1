"""The command `claims`: the lecture's claims, measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from minillm import claims
from minillm.claims import pages, runner
from minillm.claims.experiment import FIRST_SEED, Claim
from minillm.plumbing.checks import a_seed, at_least_0, at_least_1
from minillm.plumbing.files import InputError, make_folder


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Measure claims of the lecture on the built-in world; without a name, list them."""

    slugs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Claims to measure, or `all`."""
    out: Path = Path("runs/claims")
    """Folder for claims.json and the pictures; what is there already is kept, so a run can be resumed."""
    seeds: int | None = None
    """Number of seeds, one if unset; the first time, each trains a base model."""
    first_seed: int = FIRST_SEED
    """The first seed; those of the published run were never used to choose a setting."""
    quick: bool = False
    """Ask fewer questions, try fewer settings, tune in fewer steps."""
    jobs: int = 0
    """Processes, each with one thread, that measure at the same time; 0 for as many as there are cores."""
    lang: Literal["en", "zh"] = "en"
    """Language of text and pictures."""
    publish: bool = False
    """Measure each claim on all seeds that are published (5, or 8 where they scatter), and put the results into
    lessons/claims.json, CLAIMS.md and CLAIMS.zh.md; those of other claims stay. Without a claim, only write the pages."""

    def run(self) -> None:
        if self.publish and (self.seeds is not None or self.quick or self.first_seed != FIRST_SEED):
            raise InputError("--publish has seeds and size of its own: leave out --seeds, --first-seed and --quick")
        if self.seeds is not None:
            at_least_1(self, "seeds")
        a_seed(self, "first_seed")
        at_least_0(self, "jobs")
        if not self.slugs and self.publish:
            pages.write_pages(claims.CLAIMS)
            return
        if not self.slugs:
            results = pages.read_results(self.out / "claims.json") or pages.read_results(pages.LESSONS / "claims.json")
            print(pages.listing(list(claims.CLAIMS.values()), results, self.lang))
            return
        chosen = list(claims.CLAIMS.values()) if self.slugs == ("all",) else [claims.find(slug) for slug in self.slugs]
        make_folder(self.out)
        counts = {claim.slug: claim.seeds if self.publish else self.seeds or 1 for claim in chosen}
        seeds = {slug: range(self.first_seed, self.first_seed + count) for slug, count in counts.items()}

        def on_result(claim: Claim, result: dict) -> None:
            if self.publish:
                pages.publish(claims.CLAIMS, {claim.slug: result})

        runner.run_claims(
            chosen, seeds, self.out, "quick" if self.quick else "full", self.lang, bar=True,
            jobs=self.jobs or torch.get_num_threads(), find=claims.find, on_result=on_result,
        )  # fmt: skip
