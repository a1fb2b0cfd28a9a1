"""What is measured: the shapes, how often, and how long at least."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minillm.gpt_config import GPTConfig
from minillm.gpt_families import llama_config


@dataclass(frozen=True)
class Shape:
    """Sizes of a model and of a batch."""

    n_layer: int
    n_head: int
    n_embd: int
    n_ctx: int
    rows: int
    n_vocab: int = 2051

    def __str__(self) -> str:
        return f"{self.n_layer} x {self.n_embd}, {self.rows} x {self.n_ctx} tokens, vocabulary {self.n_vocab:,}"

    @property
    def sizes(self) -> dict[str, Any]:
        """Those of the model, as `GPTConfig` calls them."""
        return {name: getattr(self, name) for name in ("n_vocab", "n_ctx", "n_layer", "n_head", "n_embd")}


STAGE_1 = Shape(n_layer=3, n_head=2, n_embd=128, n_ctx=128, rows=16)
WIDE = Shape(n_layer=4, n_head=4, n_embd=256, n_ctx=256, rows=8)
TRAINED = (
    Shape(n_layer=4, n_head=4, n_embd=128, n_ctx=64, rows=12),
    WIDE,
    replace(WIDE, n_layer=6, n_head=6, n_embd=384),
    STAGE_1,
)
GENERATING = replace(STAGE_1, n_ctx=512)
SMOLLM2 = llama_config(
    49_152, n_ctx=128, n_layer=30, n_head=9, n_kv_head=3, n_embd=576, n_hidden=1536, tied=True, rope_base=1e5
)
AXES = {
    "context": [replace(STAGE_1, rows=4, n_ctx=n) for n in (64, 128, 256, 512, 1024)],
    "batch": [replace(STAGE_1, rows=n) for n in (2, 4, 8, 16, 32, 64)],
    "width": [replace(STAGE_1, n_embd=n) for n in (64, 128, 256, 512)],
    "vocabulary": [replace(STAGE_1, n_vocab=n) for n in (512, 2048, 8192, 32768)],
}


@dataclass(frozen=True)
class Plan:
    """All sizes of a run of the benchmark; `quick()` has small ones, to see that it works."""

    repeat: int = 5
    """Rounds, one value per contender in each."""
    text: Path | None = None
    """Text for the tokenizer; the world's own text if unset."""
    least_seconds: float = 0.5
    """A value is measured over at least this time."""
    product: int = 1024
    """Rows and columns of the matrices of the machine's ceilings."""
    touched: tuple[int, ...] = (1 << 21, 1 << 24, 1 << 29)
    """Bytes that the copies of the machine's ceilings touch."""
    trained: tuple[Shape, ...] = TRAINED
    """Shapes of a training step; the last one also under load and with our own recipe."""
    remembered: tuple[Shape, ...] = (WIDE, STAGE_1)
    """Shapes of the steps whose memory is measured."""
    generating: Shape = GENERATING
    """Shape of the model that generates."""
    batches: tuple[int, ...] = (1, 16)
    """Numbers of texts generated at the same time."""
    new_tokens: int = 256
    """Tokens generated for each."""
    large: GPTConfig = SMOLLM2
    """Shape of a model whose weights do not fit into a processor's cache; it generates for one prompt."""
    large_tokens: int = 64
    """Tokens that it generates."""
    vocab_size: int = 4096
    """Tokens that the tokenizers learn."""
    documents: int = 6000
    """Documents of the world's text."""
    recipe: Shape = TRAINED[0]
    """Shape of nanoGPT's recipe for a CPU."""
    recipe_steps: int = 2000
    """Its steps."""
    short: Shape = Shape(n_layer=2, n_head=2, n_embd=128, n_ctx=64, rows=16)
    """Shape of our run that ends near the loss of that recipe."""
    short_steps: int = 260
    """Its steps."""
    long: Shape = STAGE_1
    """Shape of our run in the time of that recipe."""
    long_trial: int = 20
    """Steps that say how many fit into that time."""
    long_repeat: int = 1
    """Rounds of these three, which take minutes."""
    axes: Mapping[str, list[Shape]] = field(default_factory=lambda: AXES)
    """Shapes along which a training step grows, by what grows in them."""
    generated: tuple[int, ...] = (64, 128, 256, 512, 1024)
    """Lengths along which generating grows."""
    shares: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
    """Shares of the text along which training a tokenizer grows."""


def quick(repeat: int = 1, text: Path | None = None) -> Plan:
    """Everything once through in seconds; its figures say nothing."""
    tiny = Shape(n_layer=1, n_head=2, n_embd=16, n_ctx=16, rows=4, n_vocab=64)
    return Plan(
        repeat, text, least_seconds=0.001, product=64, touched=(1 << 16,), trained=(replace(tiny, n_layer=2), tiny),
        remembered=(replace(tiny, rows=64, n_vocab=512),), generating=replace(tiny, n_ctx=32), batches=(1, 2), new_tokens=6, large=replace(SMOLLM2, n_vocab=64, n_layer=1, n_embd=36, n_hidden=48), large_tokens=6, vocab_size=280, documents=40,
        recipe=tiny, recipe_steps=3, short=tiny, short_steps=2, long=tiny, long_trial=1,
        axes={"context": [tiny, replace(tiny, n_ctx=32)], "batch": [tiny, replace(tiny, rows=8)]}, generated=(4, 8),
        shares=(0.5, 1),
    )  # fmt: skip
