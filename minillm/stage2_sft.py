"""Stage 2, supervised fine-tuning (SFT): dialogues -> an assistant that answers and stops.

"A human teacher shows dialogues with roles." It is still next-token prediction, but only the answers
and their [END] are learned; the questions are given. Training starts from the base model: the
knowledge is there already, a few pairs teach the format.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from minillm.batching import shuffled
from minillm.chat import Dialogue, Message, cut_dialogue, encode_dialogue
from minillm.checkpoint import Metrics
from minillm.finetune import TuneConfig, finetune
from minillm.gpt import GPT
from minillm.material.corpus import Documents, data_hash
from minillm.measure.loss import answer_loss
from minillm.packing import packed_batch, row_width
from minillm.plumbing.checks import share
from minillm.plumbing.files import InputError
from minillm.run_folder import Run
from minillm.tokenizer import Tokenizer
from minillm.training import MicroBatch, mean_loss


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
        raise InputError(
            f"none of {len(dialogues)} dialogues has an answer that fits into the context of {n_ctx} "
            "tokens: shorten them, or pretrain with a larger --n-ctx"
        )
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
    n_ctx, pad = base.gpt.config.n_ctx, base.tokenizer.pad
    encoded, counts = prepare(dialogues, base.tokenizer, n_ctx, config.long)
    order = shuffled(len(encoded), len(encoded), 0, config.seed)
    n_held_back = int(len(encoded) * config.validation)
    held_back, examples = ([encoded[i] for i in part] for part in (order[:n_held_back], order[n_held_back:]))

    def loss(model: GPT, drawn: list[Dialogue]) -> list[MicroBatch]:
        return mean_loss(model, packed_batch(drawn, row_width(drawn, n_ctx), pad), config, "answer_loss")

    def measure(model: GPT) -> float:
        return answer_loss(model, held_back, pad, config.precision)

    facts, data = counts | {"held_back": n_held_back}, {"dialogues": data_hash(encoded)}
    return finetune(
        "sft", config, base, examples, loss, rehearsal, out, bar, on_step, measure if held_back else None,
        facts=facts, data=data,
    )  # fmt: skip
