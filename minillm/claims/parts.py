"""The parts of experiments: what is measured at a time, and kept in a file of its own.

A part is a claim on one seed, or, of a claim that chooses settings, their scores on one of SELECTION_SEEDS. A part
that was measured with the same recipe and size is read; so a run that was stopped goes on, and several processes
may work in one folder, on one machine or on several that share it.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from minillm.base_cache import CACHE
from minillm.claims import pages
from minillm.claims.experiment import SELECTION_SEEDS, Claim, Observation, chosen
from minillm.claims.lab import Lab, Size
from minillm.claims.recipe import recipe
from minillm.plumbing.devices import Timer
from minillm.plumbing.files import InputError, make_folder, read_json, write_json
from minillm.plumbing.lock import locked


@dataclass(frozen=True)
class Part:
    """A claim on one seed; `choosing` means the scores of its settings."""

    slug: str
    seed: int
    choosing: bool = False


@dataclass(frozen=True)
class Workshop:
    """Where parts are made and kept, and the laboratories that they share, one for each seed."""

    size: Size = "full"
    out: Path | None = None
    """The folder to keep observations in; without one, nothing is kept."""
    folder: Path = CACHE
    """That of the base models."""
    bar: bool = False
    labs: dict[int, Lab] = field(default_factory=dict)
    choices: dict[str, dict] = field(default_factory=dict)
    """Slug -> what was chosen, and how."""

    def lab(self, seed: int) -> Lab:
        return self.labs.setdefault(seed, Lab(seed, self.size, self.bar, self.folder))

    def path(self, claim: Claim, part: Part) -> Path | None:
        """The file of a part."""
        if self.out is None:
            return None
        what = "choice-" if part.choosing else ""
        return self.out / "observations" / f"{claim.slug}-{what}{part.seed}-{self.size}-{recipe(claim)}.json"

    def is_kept(self, claim: Claim, part: Part) -> bool:
        path = self.path(claim, part)
        return path is not None and path.is_file()

    def fault(self, claim: Claim, part: Part) -> Path:
        """The file that says what went wrong with a part."""
        path = self.path(claim, part)
        assert path is not None
        return path.with_suffix(".error")

    def part(self, claim: Claim, part: Part, wait: bool = True) -> dict | None:
        """A part as it is kept, made first if need be. Two processes at once make it once: the other waits or,
        without `wait`, gets None."""
        path = self.path(claim, part)
        if path is None:
            return self.make(claim, part)
        make_folder(path.parent)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(path.parent, f".{path.stem}.lock", wait))
            except InputError:
                if wait:
                    raise
                return None
            if not path.is_file():
                write_json(path, self.make(claim, part))
        return read_json(path, dict)

    def make(self, claim: Claim, part: Part) -> dict:
        """Measure a part, with the time it took; the base model, which all claims share, is not counted."""
        lab = self.lab(part.seed)
        if part.choosing:
            assert claim.choose is not None
            return {setting: dict(candidates) for setting, candidates in claim.choose(lab).items()}
        picked = [choice["chosen"]] if (choice := self.choice(claim)) else []
        _ = lab.base
        timer, begun = Timer(), time.process_time()
        observation = claim.measure(lab, *picked)
        return asdict(replace(observation, seconds=timer.seconds, cpu_seconds=time.process_time() - begun))

    def missing(self, claim: Claim, seeds: Sequence[int]) -> list[Part]:
        """The parts of a claim that are not kept yet."""
        choosing = SELECTION_SEEDS if claim.choose and not self.published_choice(claim) else ()
        parts = [Part(claim.slug, seed, choosing=True) for seed in choosing]
        parts += [Part(claim.slug, seed) for seed in seeds]
        return [part for part in parts if not self.is_kept(claim, part)]

    def choice(self, claim: Claim) -> dict:
        """What a result says of the settings that a claim chooses: the best in the mean of SELECTION_SEEDS, and all
        scores. A quick run takes the published choice, if today's code made it. Empty where nothing is chosen."""
        if claim.choose and claim.slug not in self.choices:
            self.choices[claim.slug] = self.published_choice(claim) or self.best(claim)
        return self.choices.get(claim.slug, {})

    def best(self, claim: Claim) -> dict:
        """The choice, from the parts that it is made of."""
        found = [self.part(claim, Part(claim.slug, seed, choosing=True)) or {} for seed in SELECTION_SEEDS]
        return {"chosen": chosen(found), "scores": found, "chosen_on": list(SELECTION_SEEDS)}

    def published_choice(self, claim: Claim) -> dict:
        """The choice in lessons/claims.json for a quick run; empty if there is none, or if other code made it."""
        result = pages.published(claim) if self.size == "quick" else None
        if result is None or "chosen" not in result or not pages.is_current(claim, result):
            return {}
        return {name: result[name] for name in ("chosen", "scores", "chosen_on")}

    def observation(self, claim: Claim, seed: int) -> Observation:
        """What a claim gives on one seed."""
        found: Mapping = self.part(claim, Part(claim.slug, seed)) or {}
        return Observation(**found)
