"""A reward model: pairs of a better and a worse answer -> a number that says how good any answer is.

It is a GPT of which one output counts: the score of [PAD] after the answer's [END]. No text ever has that token
there, so that the row of the head that belongs to it is free to mean "good"; and the model is trained, saved and read
like any other.

Sources: Bradley and Terry 1952 (the probability that one of two is preferred), Ouyang et al. 2022 (InstructGPT,
2203.02155, equation 1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from minillm.batching import Batch, shuffled
from minillm.chat import Dialogue, Preference, encode_dialogue, turn
from minillm.checkpoint import Metrics
from minillm.finetune import TuneConfig, finetune
from minillm.gpt import GPT
from minillm.material.corpus import Documents, data_hash
from minillm.packing import padded_batch
from minillm.plumbing import distributed
from minillm.plumbing.checks import share
from minillm.plumbing.devices import autocast
from minillm.plumbing.distributed import own_share
from minillm.plumbing.files import InputError, read_json
from minillm.run_folder import Run, load_run
from minillm.stage3_preference.pairs import encode_preferences
from minillm.training import MicroBatch

Encoded = tuple[Dialogue, Dialogue]
"""A better and a worse answer to one conversation."""


@dataclass(frozen=True, kw_only=True)
class RewardConfig(TuneConfig):
    """Settings of a reward model."""

    steps: int = 150
    batch_size: int = 16
    lr: float = 5e-4
    validation: float = 0.1
    """Share of the conversations that are kept back to measure on, with all of their pairs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share(self, "validation")


def scored_batch(dialogues: Sequence[Dialogue], pad: int) -> Batch:
    """Rows in which the one target that counts is [PAD] after the last [END]."""
    ended = [Dialogue([*d.ids, pad], [False] * len(d.ids) + [True]) for d in dialogues]
    return padded_batch(ended, pad)


def rewards_of(model: GPT, batch: Batch, pad: int, precision: str = "auto") -> Tensor:
    """r(x, y) of each row of a `scored_batch`, (B), float32."""
    with autocast(model.device, precision):
        logits = model(batch.ids, batch.mask, batch.positions)  # (B, T) -> (B, T, V)
    return logits[..., pad][batch.weights > 0].float()  # (B, T, V) -> (B, T) -> (B)


def bradley_terry_loss(better: Tensor, worse: Tensor) -> Tensor:
    """-log σ(r_better - r_worse) for each pair, (N) -> (N); ln 2 where both are as good."""
    return -F.logsigmoid(better - worse)


def kept_back(pairs: Sequence[Preference], part: float, seed: int) -> tuple[list[Preference], list[Preference]]:
    """(held back, to learn): that share of the conversations, drawn at random, each with all of its pairs."""
    conversations = list(dict.fromkeys(pair.prompt for pair in pairs))
    number = int(len(conversations) * part)
    held = {conversations[i] for i in shuffled(len(conversations), number, 0, seed)} if number else set()
    return [p for p in pairs if p.prompt in held], [p for p in pairs if p.prompt not in held]


@torch.no_grad()
def scores(model: GPT, dialogues: Sequence[Dialogue], pad: int, precision: str = "auto", size: int = 128) -> Tensor:
    """r(x, y) of each dialogue, (N), float32, on the CPU; `size` of them at a time."""
    order = sorted(range(len(dialogues)), key=lambda i: len(dialogues[i].ids))  # of like length: little padding
    found = torch.empty(len(dialogues))
    for begin in range(0, len(order), size):
        rows = order[begin : begin + size]
        batch = scored_batch([dialogues[i] for i in rows], pad).to(model.device)
        found[rows] = rewards_of(model, batch, pad, precision).cpu()
    return found


def pair_margins(model: GPT, examples: Sequence[Encoded], pad: int, precision: str = "auto", size: int = 128) -> Tensor:
    """r_better - r_worse of each pair, (N)."""
    better, worse = scores(model, [*chain(*examples)], pad, precision, size).view(-1, 2).unbind(1)  # (2N) -> 2 x (N)
    return better - worse


def pair_accuracy(model: GPT, examples: Sequence[Encoded], pad: int, precision: str = "auto", size: int = 128) -> float:
    """Share of the pairs whose better answer gets the higher reward."""
    return (pair_margins(model, examples, pad, precision, size) > 0).double().mean().item()


def calibration_error(margins: Tensor, bins: int = 10) -> float:
    """The expected calibration error of r_better - r_worse of each pair, (N) -> number: 0 where, of the pairs that
    the model is c sure of, a share of c is right. A margin of 0 is half right, since nothing was chosen.

    Guo et al. 2017 (1706.04599, equation 3), in `bins` equal parts of 0.5 to 1: of two, none is less sure.
    """
    sure = torch.sigmoid(margins.double().abs())  # (N)
    right = (margins > 0).double() + 0.5 * (margins == 0)  # (N)
    part = ((sure - 0.5) * 2 * bins).long().clamp(max=bins - 1)  # (N)
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, part, right - sure)  # (N) -> (bins)
    return gaps.abs().sum().item() / len(margins)


def reward_model(
    config: RewardConfig,
    base: Run,
    pairs: Sequence[Preference],
    rehearsal: Documents = (),
    out: Path | None = None,
    bar: bool = False,
    on_step: Callable[[int, Metrics], None] | None = None,
) -> Run:
    """Teach a copy of the base model to tell the better answer; the base stays as it is.

    The report holds the accuracy on pairs that were kept back, before and after. Raises InputError if no pair fits.
    """
    n_ctx, pad = base.gpt.config.n_ctx, base.tokenizer.pad
    held, learned = kept_back(pairs, config.validation, config.seed)
    examples = encode_preferences(learned, base.tokenizer, n_ctx)
    judged = encode_preferences(held, base.tokenizer, n_ctx) if held else []

    def loss_of(model: GPT, part: list[Encoded], counts: float) -> tuple[Tensor, Metrics]:
        batch = scored_batch(list(chain(*part)), pad).to(model.device)
        better, worse = rewards_of(model, batch, pad, config.precision).view(-1, 2).unbind(1)  # (2N) -> 2 x (N)
        figures = {"accuracy": (better > worse).float(), "margin": better - worse}
        shown = {name: counts * value.mean().item() for name, value in figures.items()}
        tokens = batch.ids.numel() if counts else 0
        return counts * bradley_terry_loss(better, worse).mean(), shown | {"tokens": tokens}

    def loss(model: GPT, drawn: list[Encoded]) -> list[MicroBatch]:
        size = -(-len(drawn) // (config.accumulate * distributed.world_size()))
        parts = own_share([drawn[i : i + size] for i in range(0, len(drawn), size)])
        return [partial(loss_of, model, part, counts * len(part) / len(drawn)) for part, counts in parts]

    def measure(model: GPT) -> float:
        return pair_accuracy(model, judged, pad, config.precision)

    facts = {"pairs": len(examples), "held_back": len(judged), "dropped": len(pairs) - len(examples) - len(judged)}
    data = {"pairs": data_hash([*examples, *judged])}
    return finetune("reward", config, base, examples, loss, rehearsal, out, bar, on_step,
                    measure if judged else None, facts=facts, data=data)  # fmt: skip


def learned_reward(folder: str | Path) -> Callable[[str, str], float]:
    """(question, answer) -> what a reward model in a run folder says. Raises InputError if the run is none."""
    run, path = load_run(folder), Path(folder) / "report.json"
    if read_json(path, dict).get("stage") != "reward":
        raise InputError(f"{folder}: is no reward model: make one with python -m minillm reward")

    @torch.inference_mode()
    def reward(question: str, answer: str) -> float:
        dialogue = encode_dialogue([*turn(question, answer)], run.tokenizer)
        ids = dialogue.ids[-run.gpt.config.n_ctx :]  # of what is too long, the end
        batch = scored_batch([Dialogue(ids, [False] * len(ids))], run.tokenizer.pad)
        return rewards_of(run.gpt, batch, run.tokenizer.pad, "fp32").item()

    return reward
