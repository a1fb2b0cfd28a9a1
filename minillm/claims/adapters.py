"""A few parameters suffice: adapters on a frozen base against tuning everything.

Sources: the lecture, II; LoRA (2106.09685); AdapterHub's bottleneck (1902.00751), prefix
(2101.00190) and IA³ (2205.05638).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from minillm.chat import encode_dialogue
from minillm.claims.adapter_kinds import add_bottlenecks, add_prefixes, add_rescaling
from minillm.claims.experiment import STAGE_1, UNTUNED, Check, Claim, Observation
from minillm.claims.figures import wrap
from minillm.claims.lab import Lab
from minillm.gpt import count_parameters
from minillm.run_folder import Run, state_hash

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RANKS = (1, 4, 8, 16)
PREFIX = 64  # learned positions in each layer
LR = {"lora": 1e-2, "bottleneck": 2e-2, "prefix": 0.3, "ia3": 0.3}  # the fewer numbers, the further each has to move


def measure(lab: Lab) -> Observation:
    base, items = lab.base.run, lab.items()
    before = state_hash(base.gpt)
    encoded = [encode_dialogue(d, base.tokenizer) for d in lab.pairs]
    steps = lab.config.lora_steps

    def lora(rank: int) -> Run:
        return lab.tune(lab.pairs, steps=steps, lora=rank, lr=LR["lora"])

    ways: dict[str, Callable[[], Run]] = {"full": lambda: lab.assistant}
    ways |= {f"lora-{rank}": partial(lora, rank) for rank in lab.pick(RANKS, (1, 8))}
    bottleneck = partial(add_bottlenecks, width=36, seed=lab.seed)
    ways["bottleneck"] = partial(lab.tune_encoded, encoded, prepare=bottleneck, steps=steps, lr=LR["bottleneck"])
    prefixes = partial(add_prefixes, length=PREFIX, seed=lab.seed)
    ways["prefix"] = partial(lab.tune_encoded, encoded, prepare=prefixes, steps=steps, lr=LR["prefix"])
    ways["ia3"] = partial(lab.tune_encoded, encoded, prepare=add_rescaling, steps=steps, lr=LR["ia3"])
    marks, figures = {"base": lab.score(base, items)}, {}
    for name, tuned in ways.items():
        run = tuned()
        marks[name] = lab.score(run, items)
        figures[f"share of {name}"] = count_parameters(run.gpt, trainable_only=True) / count_parameters(base.gpt)
    figures["base unchanged"] = float(state_hash(base.gpt) == before)
    return Observation(marks, lab.constant_answer, figures)


def best(f: Mapping[str, float]) -> str:
    """The best adapter with at most 7 % of the parameters."""
    return max((n for n in NAMES if n in f and f[f"share of {n}"] <= 0.07), key=lambda n: f[n])


def picture(axes: "Axes", claim: Claim, result: dict, language: str) -> None:
    names = ["full", *(n for n in NAMES if n in result["conditions"])]
    for i, name in enumerate(names):
        condition = result["conditions"][name]
        share = 100 * sum(result["figures"][f"share of {name}"]) / len(result["seeds"])
        axes.plot(share, 100 * condition["mean"], "o", markersize=8, color="#9aa5b1" if name == "full" else f"C{i - 1}")
        axes.plot([share] * len(condition["values"]), [100 * v for v in condition["values"]], "k.", markersize=3)
        above = name.startswith(("full", "lora"))  # these lie at the top, the others under them
        axes.annotate(
            wrap(claim.conditions[name][language], 30),
            (share, 100 * (max(condition["values"]) if above else condition["mean"])),
            (0, 6) if above else (-9, -3),
            textcoords="offset points",
            ha="center" if above else "right",
            fontsize=8,
        )
    axes.axvline(7, color="#666666", linestyle=":", linewidth=1)
    axes.set(
        xscale="log",
        xlim=(0.05, 200),
        ylim=(0, 108),
        ylabel=f"{claim.metric[language]}, %",
        xlabel=dict(en="trained parameters, % of the model", zh="训练的参数占模型的 %")[language],
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


NAMES = (*(f"lora-{rank}" for rank in RANKS), "bottleneck", "prefix", "ia3")

CLAIM = Claim(
    slug="adapters",
    hypothesis=dict(
        en="A few parameters suffice: an adapter on a frozen base answers like full tuning.",
        zh="少量参数就够了：在冻结的基础模型上加适配器，回答得和全部微调一样好。",
    ),
    source="the lecture, II; LoRA (2106.09685); AdapterHub (1902.00751, 2101.00190, 2205.05638)",
    conditions={
        "base": dict(en="base", zh="基础模型"),
        "full": dict(en="all parameters", zh="全部参数"),
        **{f"lora-{rank}": dict(en=f"LoRA {rank}", zh=f"LoRA {rank}") for rank in RANKS},
        "bottleneck": dict(en="bottleneck", zh="瓶颈层"),
        "prefix": dict(en="prefix", zh="前缀"),
        "ia3": dict(en="IA³", zh="IA³"),
    },
    metric=dict(en="right answers about held-out places", zh="关于未教过的地方的正确回答"),
    better="lora-8",
    worse="base",
    checks=(
        Check(
            dict(
                en="full tuning above the best adapter of at most 7 % of the parameters",
                zh="全部微调高出参数不超过 7 % 的最好的适配器",
            ),
            lambda f: f["full"] - f[best(f)],
            at_most=0.03,
        ),
        Check(
            dict(en="share of parameters of that adapter", zh="这个适配器的参数比例"),
            lambda f: f[f"share of {best(f)}"],
            at_most=0.07,
        ),
        Check(
            dict(en="the base's hash is unchanged (1 = yes)", zh="基础模型的哈希值不变（1 = 是）"),
            lambda f: f["base unchanged"],
            at_least=1.0,
            percent=False,
        ),
    ),
    budget=dict(en="Eight tunings per seed.", zh="每个种子微调八次。"),
    notes=dict(
        en="All adapters take the demo's steps for LoRA; the bottleneck's width was chosen for a share like that of rank 8. Rates were chosen on seed 101 (quick): bottleneck 87 % at 0.01 and 89 % at 0.02; prefixes 18 % at 0.01, 68 % at 0.1, 77 % at 0.3; IA³ 28 % at 0.01, 49 % at 0.1, 52 % at 0.3. 32 prefix positions gave as much as 64 at the lowest rate.",
        zh="所有适配器都用演示里 LoRA 的步数；瓶颈的宽度按与秩 8 相近的参数比例来选。学习率在种子 101 上选定（快速版）：瓶颈层 0.01 时 87 %，0.02 时 89 %；前缀 0.01 时 18 %，0.1 时 68 %，0.3 时 77 %；IA³ 0.01 时 28 %，0.1 时 49 %，0.3 时 52 %。在最低的学习率下，32 个前缀位置与 64 个一样。",
    ),
    rehearsed={"base": UNTUNED, "": STAGE_1},
    measure=measure,
    picture=picture,
)
