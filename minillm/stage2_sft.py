"""Stage 2, supervised fine-tuning (SFT): dialogues -> an assistant that answers and stops.

"A human teacher shows dialogues with roles." It is still next-token prediction, but only the answers
and their [END] are learned; the questions are given. Training starts from the base model: the
knowledge is there already, a few pairs teach the format.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from minillm import lora
from minillm.batching import packed_batch, rehearsal_rows, shuffled
from minillm.chat import Dialogue, Message, cut_dialogue, encode_dialogue
from minillm.gpt import count_parameters
from minillm.material.corpus import Documents, data_hash, survey
from minillm.measure.drift import parameter_drift
from minillm.measure.loss import answer_loss
from minillm.plumbing import distributed
from minillm.plumbing.checks import share
from minillm.plumbing.devices import Timer, pick_device
from minillm.plumbing.files import InputError
from minillm.run_folder import Run, check_base, save_run, state_hash
from minillm.settings import TuneConfig
from minillm.tokenizer import Tokenizer
from minillm.training import Metrics, mean_loss, train


@dataclass(frozen=True, kw_only=True)
class SFTConfig(TuneConfig):
    """Settings of stage 2."""

    steps: int = 120
    batch_size: int = 32
    lr: float = 1e-3
    validation: float = 0.05
    """Share of the dialogues kept back to measure the loss on answers never trained on."""
    long: Literal["cut", "drop"] = "cut"
    """Dialogues longer than the context: keep the first turns that fit, or leave them out."""
    rehearse_weight: float = 0.5
    """Weight of the loss on those rows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share(self, "validation")


def prepare(
    dialogues: Sequence[Sequence[Message]], tokenizer: Tokenizer, n_ctx: int, long: Literal["cut", "drop"] = "cut"
) -> tuple[list[Dialogue], dict[str, int]]:
    """Encode dialogues that fit into the context; count what was cut at a turn or dropped.

    Raises InputError if nothing is left to train on.
    """
    encoded, counts = [], {"dialogues": len(dialogues), "cut": 0, "dropped": 0}
    for messages in dialogues:
        dialogue = encode_dialogue(messages, tokenizer)
        if len(dialogue.ids) > n_ctx:
            kept = cut_dialogue(messages, tokenizer, n_ctx) if long == "cut" else []
            counts["cut" if kept else "dropped"] += 1
            if not kept:
                continue
            dialogue = encode_dialogue(kept, tokenizer)
        if any(dialogue.mask):
            encoded.append(dialogue)
    if not encoded:
        raise InputError(f"none of {len(dialogues)} dialogues has an answer that fits into the context of {n_ctx} "
                         "tokens: shorten them, or pretrain with a larger --n-ctx")  # fmt: skip
    return encoded, counts


def sft(
    config: SFTConfig,
    base: Run,
    dialogues: Sequence[Sequence[Message]],
    rehearsal: Documents = (),
    out: Path | None = None,
    bar: bool = False,
    on_step: Callable[[int, Metrics], None] | None = None,
) -> Run:
    """Tune a copy of the base model on dialogues; the base stays as it is.

    `rehearsal` is raw text of stage 1 for `config.rehearse_rows`. Raises InputError if no dialogue fits.
    """
    if out is not None:
        check_base(base.folder, out, adapter=config.lora and not config.merge)
    timer, tokenizer = Timer(), base.tokenizer
    model = copy.deepcopy(base.gpt).to(pick_device(config.device))
    lora.merge(model)
    examples, counts = prepare(dialogues, tokenizer, model.config.n_ctx, config.long)
    data = {"base": state_hash(base.gpt), "dialogues": data_hash([(d.ids, d.mask) for d in examples]),
            "rehearsal": survey(rehearsal).sha256, "tokenizer": tokenizer.sha256()}  # fmt: skip
    n_held_back = int(len(examples) * config.validation)
    order = shuffled(len(examples), len(examples), 0, config.seed)
    held_back = [examples[i] for i in order[:n_held_back]]
    examples = [examples[i] for i in order[n_held_back:]]
    if config.lora:
        settings = lora.LoRAConfig(config.lora, config.lora_alpha, config.lora_dropout)
        lora.inject(model, settings, config.seed)
    text = rehearsal_rows(config.rehearse_rows, rehearsal, tokenizer, model.config.n_ctx, config.seed)

    def objective(step: int):
        chosen = shuffled(len(examples), config.batch_size, step, config.seed)
        batch = packed_batch([examples[i] for i in chosen], model.config.n_ctx, tokenizer.pad)
        yield from mean_loss(model, batch, config, "answer_loss")
        if text is not None:
            old = text.batch(step, config.rehearse_rows)
            yield from mean_loss(model, old, config, "rehearsal_loss", config.rehearse_weight)

    before = answer_loss(model, held_back, config, tokenizer.pad) if held_back else None
    history = train(model, objective, config, out, "sft", bar, on_step, data)
    report = {"stage": "sft", "seed": config.seed, "trained_parameters": count_parameters(model, trainable_only=True),
              **counts, "tokens": sum(m["tokens"] for m in history), "answer_loss": history[-1]["answer_loss"]}  # fmt: skip
    if held_back:
        after = answer_loss(model, held_back, config, tokenizer.pad)
        report["validation"] = {"dialogues": n_held_back, "before": before, "after": after}
    if config.merge:
        lora.merge(model)
    run = Run(model, tokenizer, metrics=history, report=report)
    report |= {"parameters": count_parameters(model), "parameter_drift": parameter_drift(base.gpt, model)}
    report["seconds"] = timer.seconds
    if out is not None and distributed.rank() == 0:
        save_run(out, run, asdict(config), base.folder)
    return run
