"""The part of the benchmark about tokenizers: training one next to `tokenizers`, and encoding next to tiktoken."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from minillm.bpe import PATTERN
from minillm.material.corpus import survey, token_file
from minillm.measure.bench.children import in_child
from minillm.measure.bench.machine import Ceilings, package
from minillm.measure.bench.plan import Plan
from minillm.measure.bench.rows import OURS, Row, compare, take_turns
from minillm.measure.bench.steps import Unequal
from minillm.plumbing.devices import Timer
from minillm.plumbing.files import InputError, read_text
from minillm.tokenizer import Tokenizer
from minillm.world.tables import load_world
from minillm.world.text import Writer

TOKENIZERS = "tokenizers, one thread"
TIKTOKEN = "tiktoken, called directly"
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
PIECE = 1 << 16  # characters: neither one huge text nor a call for each line
MOST_APART = 0.01


def texts_of(plan: Plan) -> tuple[str, list[str]]:
    """What the tokenizers read, with its name: a file cut at line ends, or documents of the world.

    Raises InputError if the file cannot be read or is empty.
    """
    if plan.text is None:
        return "the world's text", list(Writer(load_world(None), seed=0).documents(plan.documents))
    pieces, text = [""], read_text(plan.text)
    for line in text.splitlines(keepends=True):
        if len(pieces[-1]) >= PIECE:
            pieces.append("")
        pieces[-1] += line
    if not text:
        raise InputError(f"{plan.text}: the file is empty: put some text into it")
    return plan.text.name, pieces


def tokenizer_part(plan: Plan, ceilings: Ceilings) -> Iterator[Row]:
    """Learning merges from a text, then encoding it into a file of ids."""
    name, texts = texts_of(plan)
    size = sum(len(text.encode()) for text in texts)
    tokenizer = Tokenizer.train(texts, plan.vocab_size)
    yield from training_rows(f"training on {name}, {size / 1e6:.2f} MB", texts, tokenizer, plan)
    yield from encoding_rows(f"encoding {name}, {size / 1e6:.2f} MB", texts, tokenizer, plan)


# ------------------------------------------------------------------------------------------------ training


def training_rows(case: str, texts: Sequence[str], tokenizer: Tokenizer, plan: Plan) -> Iterator[Row]:
    """Seconds from texts to merges."""
    turns: dict[str, Callable[[], float]] = {OURS: partial(seconds_to_train, texts, plan.vocab_size)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(list(texts)), encoding="utf-8")
        theirs = partial(in_child, f"{__name__}:train_theirs", str(path), plan.vocab_size, environment=ONE_THREAD)
        installed = package("tokenizers") is not None
        if installed:
            check_same_cuts(len(tokenizer.ranks), sum(map(len, map(tokenizer.encode, texts))), *theirs()[1:])
            turns[TOKENIZERS] = lambda: theirs()[0]
        notes = {OURS: f"{len(tokenizer.ranks):,} tokens learned"}
        yield from compare("tokenizer", case, "s", take_turns(turns, plan.repeat), notes=notes)
    if not installed:
        yield Row("tokenizer", case, TOKENIZERS, note="not installed")


def seconds_to_train(texts: Sequence[str], vocab_size: int) -> float:
    timer = Timer()
    Tokenizer.train(texts, vocab_size)
    return timer.seconds


def train_theirs(path: str, vocab_size: int) -> tuple[float, int, int]:
    """Train with `tokenizers` on the texts of a file: seconds, tokens learned, tokens that the texts become."""
    import tokenizers
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    texts = json.loads(Path(path).read_text(encoding="utf-8"))
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    cut = Split(tokenizers.Regex(PATTERN), "isolated")
    theirs.pre_tokenizer = Sequence([cut, ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    timer = Timer()
    theirs.train_from_iterator(texts, trainer)
    seconds = timer.seconds
    return seconds, theirs.get_vocab_size(), sum(len(encoding.ids) for encoding in theirs.encode_batch(texts))


def check_same_cuts(own_size: int, own_tokens: int, their_size: int, their_tokens: int) -> None:
    """Raise Unequal unless both learned as many tokens and cut the text into as many, up to a hundredth.

    The merges themselves differ: of pairs that are equally frequent, ours takes the one that comes first in the
    text, theirs the one with the lowest ids. So a text may run out of pairs a few tokens sooner for one of them.
    """
    if abs(their_size - own_size) > MOST_APART * own_size:
        raise Unequal(f"tokenizers: {their_size} tokens learned instead of {own_size}")
    if abs(their_tokens - own_tokens) > MOST_APART * own_tokens:
        raise Unequal(f"tokenizers: the text is {their_tokens} tokens instead of {own_tokens}")


# ------------------------------------------------------------------------------------------------ encoding


def encoding_rows(case: str, texts: Sequence[str], tokenizer: Tokenizer, plan: Plan) -> Iterator[Row]:
    """Seconds from texts to a file of ids; for tiktoken to lists of ids in memory, which is less."""
    sha256 = survey(texts).sha256
    special = (tokenizer.doc, tokenizer.end)
    with tempfile.TemporaryDirectory() as folder:
        own = np.asarray(token_file(texts, tokenizer, sha256, Path(folder)))
    direct = [i for ids in tokenizer.encoding.encode_ordinary_batch(list(texts), num_threads=2) for i in ids]
    if own[~np.isin(own, special)].tolist() != direct:
        raise Unequal("encoding: the ids in the file are not those of tiktoken")
    turns = {
        OURS: partial(seconds_to_file, texts, tokenizer, sha256),
        TIKTOKEN: partial(seconds_direct, texts, tokenizer),
    }
    values = take_turns(turns, plan.repeat)
    speed = f"{len(direct) / median(values[OURS]) / 1e6:.2f} M tokens/s"
    yield from compare("tokenizer", case, "s", values, notes={OURS: f"{speed}, file written"})


def seconds_to_file(texts: Sequence[str], tokenizer: Tokenizer, sha256: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        timer = Timer()
        token_file(texts, tokenizer, sha256, Path(folder))
        return timer.seconds


def seconds_direct(texts: Sequence[str], tokenizer: Tokenizer) -> float:
    timer = Timer()
    tokenizer.encoding.encode_ordinary_batch(list(texts), num_threads=2)
    return timer.seconds
