"""Stage 3, preference tuning: pairs of a better and a worse answer -> an assistant people like more.

SFT imitates one answer token by token; here whole answers are compared. Direct preference
optimisation (DPO) needs no reward model and no sampling: it raises the probability of the chosen
answer over the rejected one, relative to a frozen reference, the model it started from.

Source: Rafailov et al. 2023 (2305.18290, equation 7); the likelihood term is that of Pang et al. 2024
(2404.19733).
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from minillm import lora
from minillm.batching import Batch, padded_batch, rehearsal_rows, shuffled
from minillm.chat import Preference
from minillm.gpt import GPT, count_parameters
from minillm.material.corpus import Documents, data_hash, survey
from minillm.measure.drift import parameter_drift
from minillm.plumbing import distributed
from minillm.plumbing.checks import above_0, at_least_0
from minillm.plumbing.devices import Timer, autocast, pick_device
from minillm.run_folder import Run, check_base, save_run, state_hash
from minillm.settings import TuneConfig
from minillm.stage3_preference.pairs import encode_preferences, sequence_log_probs
from minillm.training import Metrics, mean_loss, own_share, train


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

    Raises InputError if no pair fits into the context.
    """
    if out is not None:
        check_base(base.folder, out, adapter=config.lora and not config.merge)
    timer, tokenizer, n_ctx = Timer(), base.tokenizer, base.gpt.config.n_ctx
    device = pick_device(config.device)
    model = copy.deepcopy(base.gpt).to(device)
    lora.merge(model)
    reference = copy.deepcopy(model).eval().requires_grad_(False)
    if config.lora:
        lora.inject(model, lora.LoRAConfig(config.lora, config.lora_alpha, config.lora_dropout), config.seed)
    examples = encode_preferences(pairs, tokenizer, n_ctx)
    text = rehearsal_rows(config.rehearse_rows, rehearsal, tokenizer, n_ctx, config.seed)

    def log_probs(gpt: GPT, batch: Batch) -> Tensor:
        with autocast(device, config.precision):
            return sequence_log_probs(gpt(batch.ids, batch.mask, batch.positions), batch)  # (2N, T) -> (2N)

    def objective(step: int):
        chosen = [examples[i] for i in shuffled(len(examples), config.batch_size, step, config.seed)]
        size = -(-len(chosen) // (config.accumulate * distributed.world_size()))
        for piece in own_share([chosen[i : i + size] for i in range(0, len(chosen), size)]):
            batch = padded_batch([d for pair in piece for d in pair], tokenizer.pad).to(device)
            share = len(piece) / len(chosen)
            better, worse = log_probs(model, batch).view(-1, 2).unbind(1)  # (2N) -> (N, 2) -> 2 x (N)
            with torch.no_grad():
                ref_better, ref_worse = log_probs(reference, batch).view(-1, 2).unbind(1)
            preference = dpo_loss(better, worse, ref_better, ref_worse, config.beta)  # (N)
            length = batch.weights.sum(-1)[::2]  # (2N) -> (N) tokens of the chosen answers
            loss = share * (preference + config.likelihood * -better / length).mean()
            margin = (better - ref_better) - (worse - ref_worse)
            facts = {"dpo_loss": preference, "accuracy": (margin > 0).float(), "margin": margin,
                     "chosen_log_prob": better, "rejected_log_prob": worse}  # fmt: skip
            tokens = {"tokens": batch.ids.numel()}
            yield loss, {name: share * value.mean().item() for name, value in facts.items()} | tokens
        if text is not None:
            old = text.batch(step, config.rehearse_rows)
            yield from mean_loss(model, old, config, "rehearsal_loss", config.rehearse_weight)

    data = {"base": state_hash(base.gpt), "pairs": data_hash([[(d.ids, d.mask) for d in pair] for pair in examples]),
            "rehearsal": survey(rehearsal).sha256, "tokenizer": tokenizer.sha256()}  # fmt: skip
    history = train(model, objective, config, out, "preference", bar, on_step, data)
    if config.merge:
        lora.merge(model)
    report = {"stage": "preference", "seed": config.seed, "pairs": len(pairs), "dropped": len(pairs) - len(examples),
              "tokens": sum(m["tokens"] for m in history), "accuracy": history[-1]["accuracy"],
              "margin": history[-1]["margin"], "parameters": count_parameters(model),
              "parameter_drift": parameter_drift(base.gpt, model), "seconds": timer.seconds}  # fmt: skip
    run = Run(model, tokenizer, metrics=history, report=report)
    if out is not None and distributed.rank() == 0:
        save_run(out, run, asdict(config), base.folder)
    return run
