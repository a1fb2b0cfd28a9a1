"""SFT moves the parameters only a little from where stage 1 left them (the lecture, II)."""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from minillm.claims.experiment import STAGE_1, UNTUNED, Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import Marks
from minillm.gpt import GPT
from minillm.measure.drift import effective_weights, parameter_drift
from minillm.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
QUICK = (0.0, 0.5, 1.0)


def between(base: GPT, tuned: GPT, share: float) -> GPT:
    """The model at base + share · (tuned - base)."""
    model = copy.deepcopy(base)
    with torch.no_grad():
        for parameter, end in zip(model.parameters(), tuned.parameters(), strict=True):
            parameter.lerp_(end, share)
    return model


def moved(before: GPT, after: GPT, scale: GPT) -> dict[str, list[float]]:
    """For each matrix ‖after - before‖ / ‖scale‖, as marks."""
    old, new, size = (effective_weights(m) for m in (before, after, scale))
    return {name: [((new[name] - w).norm() / size[name].norm()).item(), 1] for name, w in old.items() if w.dim() == 2}


def rank_share(difference: Tensor) -> float:
    """Share of a matrix's singular values that hold 90 % of its squared length."""
    energy = torch.linalg.svdvals(difference.float()).square().cumsum(0)
    return (energy < 0.9 * energy[-1]).sum().add(1).item() / len(energy)


def measure(lab: Lab) -> Observation:
    base, tuned = lab.base.run.gpt, lab.assistant.gpt
    start = GPT(base.config, lab.seed)  # the random weights that stage 1 began with
    old, new = effective_weights(base), effective_weights(tuned)
    ranks = [rank_share(new[name] - w) for name, w in old.items() if name.startswith("blocks.") and w.dim() == 2]
    figures = {
        "distance": parameter_drift(base, tuned),
        "distance of stage 1": parameter_drift(start, base),
        "rank of ΔW": sum(ranks) / len(ranks),
    }
    items = lab.items()
    marks: dict[str, Marks] = {"stage-1": moved(start, base, base), "sft": moved(base, tuned, base)}
    for share in lab.pick(LINE, QUICK):
        run = Run(between(base, tuned, share), lab.base.run.tokenizer)
        marks[f"line-{share:g}"] = lab.score(run, items)
    return Observation(marks, 0.0, figures)


def picture(axes: "Axes", claim: Claim, result: dict, language: str) -> None:
    bars(axes, claim, result, language, ("stage-1", "sft"))
    axes.set_ylim(top=max(20, axes.get_ylim()[1]))
    axes.axhline(15, color="#d62728", linestyle=":")
    axes.text(1.01, 15, dict(en="threshold", zh="阈值")[language], fontsize=7.5, color="#d62728", va="center",
              transform=axes.get_yaxis_transform())  # fmt: skip


CLAIM = Claim(
    slug="small-steps",
    hypothesis=dict(
        en="SFT changes the parameters of stage 1 only a little.",
        zh="SFT 只稍微改变第 1 阶段得到的参数。",
    ),
    source="the lecture, II",
    conditions={
        "stage-1": dict(en="stage 1, from random weights", zh="第 1 阶段，从随机参数出发"),
        "sft": dict(en="stage 2, from the base", zh="第 2 阶段，从基础模型出发"),
    }
    | {
        f"line-{share:g}": dict(
            en=f"right answers at base + {share:g} × (SFT − base)", zh=f"基础 + {share:g} ×（SFT − 基础）处的正确回答"
        )
        for share in LINE
    },
    metric=dict(en="distance moved ‖Δθ‖ / ‖θ‖, mean over matrices", zh="移动的距离 ‖Δθ‖ / ‖θ‖，各矩阵平均"),
    better="stage-1",
    worse="sft",
    checks=(
        Check(
            dict(en="distance that SFT moved all parameters, ‖Δθ‖ / ‖θ‖", zh="SFT 使全部参数移动的距离 ‖Δθ‖ / ‖θ‖"),
            lambda f: f["distance"],
            at_most=0.15,
        ),
    ),
    budget=dict(
        en="One tuning per seed; the score at points of the line from base to SFT.",
        zh="每个种子微调一次；在基础模型到 SFT 的连线上取点测分。",
    ),
    notes=dict(
        en="Nothing was tuned. The score along the line between the two models rises early: at half of the way it is two thirds of the end's.",
        zh="没有调过任何设置。沿两个模型之间的连线，得分很早就上升：走到一半时已有终点的三分之二。",
    ),
    rehearsed={"stage-1": UNTUNED, "": STAGE_1},
    measure=measure,
    picture=picture,
)
