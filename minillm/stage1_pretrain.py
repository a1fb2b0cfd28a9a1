"""Stage 1, pretraining: raw text -> a base model that continues text.

"Self-study on raw text builds knowledge": nobody labels anything; the target of every token is the
token that follows it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from minillm.batching import TextRows
from minillm.checkpoint import Metrics
from minillm.finetune import copy_of
from minillm.gpt import GPT, count_parameters
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config
from minillm.material.cleaning import tidy
from minillm.material.corpus import Documents, all_tokens, split_validation, survey, train_tokenizer
from minillm.measure.loss import text_loss
from minillm.plumbing import distributed
from minillm.plumbing.checks import must_be, share
from minillm.plumbing.devices import Timer, pick_device
from minillm.plumbing.files import InputError
from minillm.run_folder import Run, finished_run, reserved, save_run, state_hash
from minillm.settings import TrainConfig
from minillm.tokenizer import Tokenizer
from minillm.training import MicroBatch, mean_loss, train


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainConfig):
    """Settings of stage 1."""

    steps: int = 1000
    batch_size: int = 16  # what the optimizers cost does not grow with rows
    lr: float = 0.012
    muon_lr: float | None = 0.012
    warmup: int = 50
    vocab_size: int = 2048
    """Tokens to learn for a new tokenizer, special tokens aside; 256 means bytes, no merges."""
    arch: Literal["minillm", "gpt2", "llama"] = "minillm"
    """Which options the GPT takes: the fast ones of this project, GPT-2's or LLaMA's."""
    n_ctx: int = 128
    """Context length in tokens."""
    n_layer: int = 3
    """Number of blocks."""
    n_head: int = 2  # on the demo's world no worse than 4, and faster
    """Attention heads in each block."""
    n_embd: int = 128
    """Width of the model."""
    validation: float = 0.02
    """Share of the text kept back to measure the loss on text never trained on."""
    clean: bool = False
    """Tidy white space and drop control characters first."""
    deduplicate: bool = False
    """Remove exact and near duplicates among the documents first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share(self, "validation")
        must_be("at least 256, the number of bytes", lambda v: v >= 256, self, "vocab_size")
        self.model_config(n_vocab=259)  # bytes and special tokens: fails early if the shape does not fit together

    def model_config(self, n_vocab: int) -> GPTConfig:
        """The GPT that these settings describe."""
        makers: dict[str, Callable[..., GPTConfig]]
        makers = {"minillm": GPTConfig, "gpt2": gpt2_config, "llama": llama_config}
        extra = {"n_hidden": None} if self.arch == "llama" else {}
        shape = dict(n_ctx=self.n_ctx, n_layer=self.n_layer, n_head=self.n_head, n_embd=self.n_embd)
        return makers[self.arch](n_vocab=n_vocab, **shape, **extra)

    def check_shape(self, base: GPTConfig) -> None:
        """Raise InputError if the base has another shape than these settings ask for."""
        for name in ("n_ctx", "n_layer", "n_head", "n_embd"):
            asked, has = getattr(self, name), getattr(base, name)
            if asked not in (has, getattr(PretrainConfig, name)):
                raise InputError(f"{name} is {asked}, but the base has {has}: leave it out, a base keeps its shape")


def pretrain(
    config: PretrainConfig,
    documents: Documents,
    tokenizer: Tokenizer | None = None,
    out: Path | None = None,
    bar: bool = False,
    on_step: Callable[[int, Metrics], None] | None = None,
    base: Run | None = None,
) -> Run:
    """Train a GPT on raw documents: from random weights, or a copy of `base` further, with its tokenizer.

    Without a base or a tokenizer, a tokenizer is trained on the documents too. The text is read several
    times but never held as a whole if `documents` are files; with `out`, its tokens are kept in a file there
    while training. Raises InputError if there is no text, or if `out` cannot be written or holds a run.
    """
    timer = Timer()
    if base is not None:
        config.check_shape(base.gpt.config)
    with reserved(out, config):
        documents, facts = tidy(documents, config.clean, config.deduplicate)
        text = survey(documents)
        distributed.check_equal({"the text": text.sha256})
        if not text.characters:
            raise InputError("the text is empty: give a file with some text in it")
        if base is not None:
            tokenizer = base.tokenizer
        elif tokenizer is None:
            own = Timer()
            tokenizer = train_tokenizer(documents, config.vocab_size, text.characters)
            facts["tokenizer_seconds"] = own.seconds
        data = {"text": text.sha256, "tokenizer": tokenizer.sha256()}
        if base is not None:
            data["base"] = state_hash(base.gpt)
        if (done := finished_run(out, config, data)) is not None:
            return done

        model = GPT(config.model_config(tokenizer.n_vocab), config.seed) if base is None else copy_of(base.gpt)
        model.to(pick_device(config.device))
        stream = all_tokens(documents, tokenizer, text.sha256, out and out / "tokens")
        end_of_document = tokenizer.end if text.documents > 1 else None
        training, held_back = split_validation(stream, config.validation, end_of_document)
        rows = TextRows(training, model.config.n_ctx, config.seed)
        with distributed.spread(model, config.shard) as worker:

            def objective(step: int) -> list[MicroBatch]:
                return mean_loss(worker, rows.batch(step, config.batch_size), config)

            history = train(worker, objective, config, out, "pretrain", bar, on_step, data)
        model.eval()
        report: dict[str, Any] = {
            "stage": "pretrain", "seed": config.seed, "seconds": timer.seconds, "documents": text.documents,
            "text_tokens": len(training), "parameters": count_parameters(model),
            "tokens": sum(m["tokens"] for m in history), "train_loss": history[-1]["loss"], **facts,
        }  # fmt: skip
        if len(held_back) > 1:
            report["validation"] = text_loss(model, held_back, tokenizer, config.precision)
        run = Run(model, tokenizer, metrics=history, report=report)
        if out is not None and distributed.rank() == 0:
            save_run(out, run, config.recipe(), data=data)
    return run
