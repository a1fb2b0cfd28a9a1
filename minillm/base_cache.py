"""Base models that several lessons and experiments share: trained once, then read from a folder.

A base is kept under the hash of its settings and of the text it read, so a changed recipe or world
trains a new one and never meets an old one.
"""

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from minillm.checkpoint import MAY_CHANGE
from minillm.demo import DemoConfig, fast_config
from minillm.material.corpus import survey
from minillm.plumbing.devices import pick_device
from minillm.plumbing.files import make_folder
from minillm.run_folder import Run, is_finished, load_run
from minillm.stage1_pretrain import PretrainConfig, pretrain
from minillm.tokenizer import Tokenizer
from minillm.world.tables import load_world
from minillm.world.text import Writer

CACHE = Path(__file__).resolve().parents[1] / "runs" / "bases"


@dataclass(frozen=True)
class Base:
    """A base model and the documents it read, for those who rehearse them or look things up in them."""

    run: Run
    documents: list[str] = field(repr=False)


def cached_base(
    config: PretrainConfig,
    documents: list[str],
    tokenizer: Tokenizer | None = None,
    folder: Path = CACHE,
    bar: bool = True,
) -> Base:
    """The base model that `pretrain(config, documents)` gives, from `folder` if it was trained before.

    Without a tokenizer one is trained on the first 6,000 documents, as the demo does. Says so when it
    has to train, and shows a progress bar if `bar`.
    """
    settings = {name: value for name, value in asdict(config).items() if name not in MAY_CHANGE}
    about = {"settings": settings, "text": survey(documents).sha256, "tokenizer": tokenizer and tokenizer.sha256()}
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    if is_finished(folder / name):
        return Base(load_run(folder / name, pick_device(config.device)), documents)
    if bar:
        print(
            f"Training a base model once ({config.steps} steps, seed {config.seed}); later it is read from {folder / name}."
        )
    tokenizer = tokenizer or Tokenizer.train(documents[:6000], config.vocab_size)
    make_folder(folder)
    partial = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name}."))  # two notebooks may train it at the same time
    try:
        run = pretrain(config, documents, tokenizer, partial, bar)
        if not is_finished(folder / name):
            shutil.rmtree(folder / name, ignore_errors=True)  # what is left of one that was broken off
            partial.rename(folder / name)
        run.folder = folder / name
        return Base(run, documents)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def world_base(seed: int = 0, fast: bool = True, folder: Path = CACHE, bar: bool = True) -> Base:
    """The base model of `demo --fast --seed SEED` (or of the whole demo), with the built-in world."""
    size = fast_config(seed) if fast else DemoConfig(seed)
    documents = list(Writer(load_world(), seed).documents(size.documents))
    config = PretrainConfig(steps=size.pretrain_steps, vocab_size=size.vocab_size, seed=seed)
    return cached_base(config, documents, folder=folder, bar=bar)
