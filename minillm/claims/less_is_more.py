"""A few good pairs suffice: less is more for alignment (Zhou et al. 2023, LIMA, 2305.11206)."""

from minillm.claims.experiment import Check, Claim, Observation
from minillm.claims.figures import curves
from minillm.claims.lab import Answers, Item, Lab, right, show, tally

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
QUICK = (8, 32, 128, 512, 1024)
VARIETY = 128
NARROW = ("capital", "height")  # two of nine types of question


def well_formed(lab: Lab, items: list[Item], answers: Answers) -> list[float]:
    """1 for an answer of the right kind that ends, whatever its fact: any place's value, bare or in a sentence."""
    places = lab.world.places
    kinds = {(i.relation, i.language) for i in items}
    forms = {
        key: {form.rstrip(".。") for place in places for form in lab.world.accepted(place, *key)} for key in kinds
    }
    return [
        float(ended and text.rstrip(".。") in forms[item.relation, item.language])
        for item, (text, ended) in zip(items, answers, strict=True)
    ]


def measure(lab: Lab) -> Observation:
    items = lab.items()
    marks, figures, examples = {}, {}, []
    for size in lab.pick(SIZES, QUICK):
        answers = lab.ask(lab.tune(lab.pairs[:size]), items)
        marks[f"right-{size}"] = tally(items, right(items, answers))
        marks[f"format-{size}"] = tally(items, well_formed(lab, items, answers))
        examples += show(f"right-{size}", items, answers, 2)
    narrow = lab.ask(lab.tune(lab.facts(relations=NARROW)[:VARIETY]), items)
    marks["narrow"] = tally(items, right(items, narrow))
    return Observation(marks, lab.constant_answer, figures, examples + show("narrow", items, narrow, 2))


def plateau(f: dict[str, float], kind: str, away: float) -> float:
    """The fewest pairs from which on all scores are at most `away` below that of the most pairs."""
    sizes = [size for size in SIZES if f"{kind}-{size}" in f]
    best = f[f"{kind}-{sizes[-1]}"]
    enough = sizes[-1]
    for size in reversed(sizes):
        if f[f"{kind}-{size}"] < best - away:
            break
        enough = size
    return enough


def first(f: dict[str, float], kind: str, score: float) -> float:
    """The fewest pairs that reach a score; NaN if none does."""
    return next((size for size in SIZES if f.get(f"{kind}-{size}", 0) >= score), float("nan"))


def picture(axes, claim: Claim, result: dict, language: str) -> None:
    lines = {
        "format": (dict(en="form of the answer", zh="回答的格式"), {n: f"format-{n}" for n in SIZES}),
        "right": (dict(en="right answers", zh="正确的回答"), {n: f"right-{n}" for n in SIZES}),
        "narrow": (dict(en="right, two types of question only", zh="正确，只教两类问题"), {VARIETY: "narrow"}),
    }
    curves(axes, claim, result, language, lines, {"en": "pairs for SFT", "zh": "SFT 的问答对"}[language])


CLAIM = Claim(
    slug="less-is-more",
    hypothesis=dict(
        en="Less is more: the format is learned from a few pairs, and beyond a plateau more pairs bring little.",
        zh="少即是多：几个问答对就学会格式，过了平台之后再多也没有多大用处。",
    ),
    source="LIMA (2305.11206)",
    conditions={f"right-{n}": dict(en=f"right, {n} pairs", zh=f"正确，{n} 对") for n in SIZES}
    | {f"format-{n}": dict(en=f"format, {n} pairs", zh=f"格式，{n} 对") for n in SIZES}
    | {"narrow": dict(en=f"right, {VARIETY} pairs of two types of question", zh=f"正确，{VARIETY} 对，只有两类问题")},
    metric=dict(en="answers about held-out places", zh="关于未教过的地方的回答"),
    better=f"right-{VARIETY}",
    worse="narrow",
    checks=(
        Check(
            dict(en="pairs until right answers come within 3 points of those with 1,024", zh="正确率距 1,024 对时不到 3 点所需的对数"),
            lambda f: plateau(f, "right", 0.03),
            at_most=512,
            percent=False,
        ),
        Check(
            dict(en="pairs until 95 % of answers have the right form", zh="95 % 的回答格式正确所需的对数"),
            lambda f: first(f, "format", 0.95),
            at_most=512,
            percent=False,
        ),
        Check(
            dict(en="the plateau of right answers needs so many times the pairs of the format", zh="正确率到达平台所需对数是格式所需的几倍"),
            lambda f: plateau(f, "right", 0.03) / first(f, "format", 0.95),
            at_least=4,
            percent=False,
        ),
    ),
    budget=dict(en="Nine tunings a seed, equal steps.", zh="每个种子微调九次，步数相同。"),
    notes=dict(en="", zh=""),
    measure=measure,
    picture=picture,
)
