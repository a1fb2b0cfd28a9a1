"""What every tuning shares: its settings, a copy of the base, adapters, rehearsal, the loop, the report, saving.

A stage gives what is its own: the examples, and the loss on those drawn for one step.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from minillm import lora
from minillm.batching import TextRows, shuffled
from minillm.checkpoint import Metrics
from minillm.gpt import GPT, count_parameters
from minillm.lora import TARGETS, LoRAConfig, Target
from minillm.material.corpus import Documents, pieces, survey, token_stream
from minillm.measure.drift import parameter_drift
from minillm.packing import packed_batch, row_width
from minillm.plumbing import distributed
from minillm.plumbing.checks import at_least_0, must_be
from minillm.plumbing.devices import Timer, pick_device, uses_bf16
from minillm.plumbing.files import InputError
from minillm.rehearsal import own_dialogues
from minillm.run_folder import Run, check_base, finished_run, reserved, save_run, state_hash
from minillm.settings import MOST_ROWS, TrainConfig
from minillm.tokenizer import Tokenizer
from minillm.training import MicroBatch, mean_loss, train


@dataclass(frozen=True, kw_only=True)
class TuneConfig(TrainConfig):
    """What stages 2 and 3 share: rehearsal against forgetting, and LoRA."""

    rehearse_rows: int = 0
    """Rows of pretraining text learned with each batch, against forgetting."""
    rehearse_own: int = 0
    """Dialogues that the model writes itself before the start and learns again with each batch, against forgetting."""
    rehearse_weight: float = 1.0
    """Weight of the loss on what is rehearsed."""
    lora: int = 0
    """Rank of LoRA adapters; 0 tunes all parameters."""
    lora_alpha: float = 16.0
    """Scale of the adapters: ΔW is multiplied by alpha / rank."""
    lora_dropout: float = 0.0
    """Share of the adapters' inputs set to zero while training."""
    lora_targets: tuple[Target, ...] = TARGETS
    """Names of the linear layers that get an adapter."""
    freeze_embeddings: bool = False
    """Leave the tokens' vectors as the base has them, and with them an output layer that shares them: tuning raises
    the answers that it is shown over all others, and would do so there for names it never sees."""
    merge: bool = False
    """Add the adapters to the weights at the end and save a full model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_0(self, "rehearse_rows", "rehearse_own", "rehearse_weight", "lora")
        must_be(f"at most {MOST_ROWS:,}", lambda v: v <= MOST_ROWS, self, "rehearse_rows", "rehearse_own")
        _ = self.adapters  # checks the rest

    @property
    def adapters(self) -> LoRAConfig:
        """What LoRA is told; of rank 1 where no adapters are asked for."""
        try:
            return LoRAConfig(self.lora or 1, self.lora_alpha, self.lora_dropout, self.lora_targets)
        except InputError as error:  # by the names that these settings have here
            raise InputError(f"lora_{error}") from None


LARGE = 20_000_000  # parameters


def recipe_for(base: GPT, lora: int) -> dict[str, float]:
    """Steps, dialogues per step and rate for a base that is larger than those of this project; {} for theirs.

    With a dozen pairs on SmolLM2-135M: 8 of 12 right in wordings that were not shown (2 of 12 with 24 steps at 5e-4),
    and 70 of 97 general questions that it knew before (83 there).
    """
    if count_parameters(base) < LARGE:
        return {}
    return {"steps": 30, "batch_size": 6, "lr": 1e-3 if lora else 2e-5}


Loss = Callable[[GPT, list[Any]], list[MicroBatch]]
"""(model, the examples drawn in this step) -> its micro-batches, whose losses add up."""


def finetune(
    stage: str,
    config: TuneConfig,
    base: Run,
    examples: Sequence[Any],
    loss: Loss,
    rehearsal: Documents = (),
    out: Path | None = None,
    bar: bool = False,
    on_step: Callable[[int, Metrics], None] | None = None,
    measure: Callable[[GPT], float] | None = None,
    adapt: Callable[[GPT], None] | None = None,
    facts: Mapping[str, float] | None = None,
    data: Mapping[str, str] | None = None,
) -> Run:
    """Tune a copy of the base model; the base stays as it is.

    Args:
        stage: its name, for the bar and the report.
        examples: what the loss is given, some in each step.
        loss: the loss on some of the examples, in micro-batches that add up.
        rehearsal: raw text of stage 1 for `config.rehearse_rows`, more of stage 1 against forgetting.
        measure: a figure to report from before and after, such as a loss on examples kept back.
        adapt: freezes the model or adds parameters of another kind; LoRA as `config` says if unset.
        facts: what else the report should say.
        data: hashes of what the examples were made from: a run is only resumed with the same.

    Returns the run; its report holds the last step's figures. Raises InputError if the run cannot be saved
    in `out`, or if rows are to be rehearsed and there is no text.
    """
    if out is not None:
        check_base(base.folder, out, adapter=bool(config.lora and not config.merge))
    timer, tokenizer = Timer(), base.tokenizer
    with reserved(out, config):
        data = dict(data or {}) | {
            "base": state_hash(base.gpt),
            "rehearsal": survey(rehearsal).sha256,
            "tokenizer": tokenizer.sha256(),
        }
        if (done := finished_run(out, config, data)) is not None:
            return done
        model = copy_to_tune(base.gpt, config, adapt)
        text = rehearsal_rows(config.rehearse_rows, rehearsal, tokenizer, model.config.n_ctx, config.seed)
        own = own_dialogues(base, config.rehearse_own, config.seed) if config.rehearse_own else []
        before = measure(model) if measure else None
        with distributed.spread(model, config.shard) as worker:

            def objective(step: int) -> list[MicroBatch]:
                drawn = shuffled(len(examples), config.batch_size, step, config.seed)
                parts = loss(worker, [examples[i] for i in drawn])
                if text is not None:
                    old = text.batch(step, config.rehearse_rows)
                    parts += mean_loss(worker, old, config, "rehearsal_loss", config.rehearse_weight)
                if own:
                    again = [own[i] for i in shuffled(len(own), config.batch_size, step, config.seed)]
                    rows = packed_batch(again, row_width(again, model.config.n_ctx), tokenizer.pad)
                    parts += mean_loss(worker, rows, config, "own_loss", config.rehearse_weight)
                return parts

            low = uses_bf16(model.device, config.precision) and distributed.world_size() == 1
            with lora.frozen_in_bf16(model, low):
                history = train(worker, objective, config, out, stage, bar, on_step, data)
        model.eval()
        trained = count_parameters(model, trainable_only=True)
        last = {name: value for name, value in history[-1].items() if name not in ("step", "lr", "gradient_norm")}
        report = {"stage": stage, "seed": config.seed, "trained_parameters": trained, **(facts or {}), **last}
        report["tokens"] = sum(m["tokens"] for m in history)
        if measure is not None:
            report["validation"] = {"before": before, "after": measure(model)}
        if config.merge:
            lora.merge(model)
        report["parameters"] = count_parameters(model)
        if adapt is None:
            report["parameter_drift"] = parameter_drift(base.gpt, model)
        run = Run(model, tokenizer, metrics=history, report=report | {"seconds": timer.seconds})
        if out is not None and distributed.rank() == 0:
            save_run(out, run, config.recipe(), base.folder, data)
    return run


def copy_of(base: GPT) -> GPT:
    """A copy of the base with its adapters merged."""
    model = copy.deepcopy(base)
    lora.merge(model)
    return model


def copy_to_tune(base: GPT, config: TuneConfig, adapt: Callable[[GPT], None] | None) -> GPT:
    """A copy of the base with its adapters merged, and adapted as the stage says, or by LoRA if `config` does.

    With LoRA alone the base's weights stay as they are: the copy shares them, and a large base is in memory once.
    """
    shares = config.lora and not config.merge and adapt is None and not lora.adapters(base)
    shared = {id(p): nn.Parameter(p.data) for p in base.parameters()} if shares else {}
    model = (copy.deepcopy(base, shared) if shares else copy_of(base)).to(pick_device(config.device))
    model.tok_emb.requires_grad_(not config.freeze_embeddings)
    if adapt is not None:
        adapt(model)
    elif config.lora:
        lora.inject(model, config.adapters, config.seed)
    return model


def rehearsal_rows(n: int, documents: Documents, tokenizer: Tokenizer, n_ctx: int, seed: int) -> TextRows | None:
    """Text of stage 1 to learn with each batch of a later stage; None for 0 rows. Raises InputError if
    there is no text."""
    if not n:
        return None
    if not any(text for text, _ in pieces(documents)):
        raise InputError("rehearse_rows is set but there is no text to rehearse: give --rehearse TEXT")
    return TextRows(token_stream(documents, tokenizer), n_ctx, seed)
