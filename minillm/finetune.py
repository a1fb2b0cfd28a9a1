"""What every tuning shares: a copy of the base, adapters, rehearsal, the loop, the report, saving.

A stage gives what is its own: the examples, and the loss of those that are drawn in a step.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minillm import lora
from minillm.batching import rehearsal_rows, shuffled
from minillm.checkpoint import Metrics
from minillm.gpt import GPT, count_parameters
from minillm.material.corpus import Documents, survey
from minillm.measure.drift import parameter_drift
from minillm.plumbing import distributed
from minillm.plumbing.devices import Timer, pick_device
from minillm.run_folder import Run, check_base, finished_run, reserved, save_run, state_hash
from minillm.settings import TuneConfig
from minillm.training import MicroBatch, mean_loss, train

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
        before = measure(model) if measure else None
        with distributed.spread(model, config.shard) as worker:

            def objective(step: int) -> list[MicroBatch]:
                drawn = shuffled(len(examples), config.batch_size, step, config.seed)
                new = loss(worker, [examples[i] for i in drawn])
                if text is None:
                    return new
                old = text.batch(step, config.rehearse_rows)
                return new + mean_loss(worker, old, config, "rehearsal_loss", config.rehearse_weight)

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


def copy_to_tune(base: GPT, config: TuneConfig, adapt: Callable[[GPT], None] | None) -> GPT:
    """A copy of the base with its adapters merged, and adapted as the stage says, or by LoRA if `config` does."""
    model = copy.deepcopy(base).to(pick_device(config.device))
    lora.merge(model)
    if adapt is not None:
        adapt(model)
    elif config.lora:
        lora.inject(model, config.adapters, config.seed)
    return model
