"""Stage 3, preference tuning: pairs of a better and a worse answer -> an assistant people like more.

SFT imitates one answer token by token; here whole answers are compared. Direct preference
optimisation (DPO) needs no reward model and no sampling: it raises the probability of the chosen
answer over the rejected one, relative to a frozen reference, the model it started from.

Source: Rafailov et al. 2023 (2305.18290, equation 7); the likelihood term is that of Pang et al. 2024
(2404.19733).
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from minillm import lora
from minillm.batching import Batch
from minillm.chat import Dialogue, Preference
from minillm.checkpoint import Metrics
from minillm.finetune import TuneConfig, finetune
from minillm.gpt import GPT
from minillm.material.corpus import Documents, data_hash
from minillm.packing import padded_batch
from minillm.plumbing import distributed
from minillm.plumbing.checks import above_0, at_least_0
from minillm.plumbing.devices import autocast, pick_device
from minillm.plumbing.distributed import own_share
from minillm.run_folder import Run
from minillm.stage3_preference.pairs import encode_preferences, sequence_log_probs
from minillm.training import MicroBatch


@dataclass(frozen=True, kw_only=True)
class PreferenceConfig(TuneConfig):
    """Settings of stage 3."""

    steps: int = 160
    batch_size: int = 16
    lr: float = 5e-4
    beta: float = 1.0
    """How strongly the model is held to the reference: the smaller, the further it may go."""
    likelihood: float = 4.0
    """Weight of the ordinary SFT loss on the chosen answer; without it both answers may become unlikely."""
    rehearse_weight: float = 2.0
    """Weight of the loss on those rows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        above_0(self, "beta")
        at_least_0(self, "likelihood")


def dpo_loss(
    chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, beta: float
) -> Tensor:
    """-log σ(β (log π/π_ref of the chosen - log π/π_ref of the rejected)) for each pair, (N) -> (N).

    Arguments are log-probabilities of whole answers, (N). Without a difference the loss is ln 2.
    """
    margin = (chosen - reference_chosen) - (rejected - reference_rejected)
    return -F.logsigmoid(beta * margin)


def prefer(
    config: PreferenceConfig,
    base: Run,
    pairs: Sequence[Preference],
    rehearsal: Documents = (),
    out: Path | None = None,
    bar: bool = False,
    on_step: Callable[[int, Metrics], None] | None = None,
) -> Run:
    """Tune a copy of the base model on preferences; the base stays as it is and is the reference.

    `rehearsal` is raw text of stage 1 for `config.rehearse_rows`. Raises InputError if no pair fits into
    the context.
    """
    tokenizer = base.tokenizer
    examples = encode_preferences(pairs, tokenizer, base.gpt.config.n_ctx)
    reference = copy.deepcopy(base.gpt).to(pick_device(config.device)).eval().requires_grad_(False)
    lora.merge(reference, trainable=False)

    def log_probs(model: GPT, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of the preferred and of the rejected answers, 2 x (N)."""
        with autocast(model.device, config.precision):
            logits = model(batch.ids, batch.mask, batch.positions)  # (2N, T) -> (2N, T, V)
        better, worse = sequence_log_probs(logits, batch).view(-1, 2).unbind(1)  # (2N) -> (N, 2) -> 2 x (N)
        return better, worse

    def loss_of(model: GPT, part: list[tuple[Dialogue, Dialogue]], share: float) -> tuple[Tensor, Metrics]:
        """The share of some pairs in the mean over all that were drawn."""
        batch = padded_batch([d for pair in part for d in pair], tokenizer.pad).to(model.device)
        better, worse = log_probs(model, batch)
        with torch.no_grad():
            ref_better, ref_worse = log_probs(reference, batch)
        preference = dpo_loss(better, worse, ref_better, ref_worse, config.beta)  # (N)
        length = batch.weights.sum(-1)[::2]  # (2N) -> (N) tokens of the preferred answers
        margin = (better - ref_better) - (worse - ref_worse)
        figures = {
            "dpo_loss": preference,
            "accuracy": (margin > 0).float(),
            "margin": margin,
            "chosen_log_prob": better,
            "rejected_log_prob": worse,
        }
        shown = {name: share * value.mean().item() for name, value in figures.items()}
        tokens = batch.ids.numel() if share else 0
        return share * (preference + config.likelihood * -better / length).mean(), shown | {"tokens": tokens}

    def loss(model: GPT, drawn: list[tuple[Dialogue, Dialogue]]) -> list[MicroBatch]:
        size = -(-len(drawn) // (config.accumulate * distributed.world_size()))
        parts = own_share([drawn[i : i + size] for i in range(0, len(drawn), size)])
        return [partial(loss_of, model, part, counts * len(part) / len(drawn)) for part, counts in parts]

    facts = {"pairs": len(pairs), "dropped": len(pairs) - len(examples)}
    data = {"pairs": data_hash(examples)}
    return finetune("preference", config, base, examples, loss, rehearsal, out, bar, on_step, facts=facts, data=data)
