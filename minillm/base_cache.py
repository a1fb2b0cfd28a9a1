"""Base models that several lessons and experiments share: trained once, then read from a folder.

A base is kept under the hash of its settings and of the text it read, so a changed recipe or world
trains a new one and never meets an old one.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from minillm import checkpoint
from minillm.checkpoint import newest
from minillm.demo import DemoConfig, fast_config
from minillm.material.corpus import survey
from minillm.plumbing import course, lock
from minillm.plumbing.devices import pick_device
from minillm.plumbing.files import InputError, make_folder
from minillm.plumbing.lock import locked
from minillm.run_folder import Run, is_finished, load_run
from minillm.stage1_pretrain import PretrainConfig, pretrain
from minillm.tokenizer import Tokenizer
from minillm.world.tables import load_world
from minillm.world.text import Writer

CACHE = course.desk() / "runs" / "bases"


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
    text = survey(documents).sha256
    about = {"settings": config.recipe(), "text": text, "tokenizer": tokenizer and tokenizer.sha256()}
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    make_folder(folder)
    with locked(folder, f".{name}.lock", wait=True):  # two notebooks may want it at the same time
        run = kept_run(folder / name, config)
        if run is None:
            if bar:
                print(f"Training a base model once ({config.steps} steps, seed {config.seed}); "
                      f"later it is read from {folder / name}.")  # fmt: skip
            tokenizer = tokenizer or Tokenizer.train(documents[:6000], config.vocab_size)
            begun = newest(folder / name) is not None
            try:
                run = pretrain(
                    replace(config, resume=begun, overwrite=not begun), documents, tokenizer, folder / name, bar
                )
            except InputError as error:
                if not begun:
                    raise
                print(f"{error}\nTraining the base model from the beginning.")
                run = pretrain(replace(config, overwrite=True), documents, tokenizer, folder / name, bar)
    return Base(run, documents)


def kept_run(folder: Path, config: PretrainConfig) -> Run | None:
    """The run in a folder of the cache; None if there is none yet, or if it is damaged, which is said."""
    if not is_finished(folder):
        return None
    if (folder / lock.NAME).exists():  # it was killed when all was written: what only training needs is left
        with locked(folder):
            checkpoint.remove_helpers(folder)
    try:
        return load_run(folder, pick_device(config.device))
    except InputError as error:
        print(f"{error}\nTraining the base model again.")
        checkpoint.begin(folder, resume=False)
        return None


def world_base(seed: int = 0, fast: bool = True, folder: Path = CACHE, bar: bool = True) -> Base:
    """The base model of `demo --fast --seed SEED` (or of the whole demo), with the built-in world."""
    size = fast_config(seed) if fast else DemoConfig(seed)
    documents = list(Writer(load_world(), seed).documents(size.documents))
    config = PretrainConfig(steps=size.pretrain_steps, vocab_size=size.vocab_size, seed=seed)
    return cached_base(config, documents, folder=folder, bar=bar)
