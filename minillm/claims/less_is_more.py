"""The format is learned from a few pairs, the facts need many (after Zhou et al. 2023, LIMA, 2305.11206)."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from minillm.chat import Message
from minillm.claims.experiment import STAGE_1, Check, Claim, Observation
from minillm.claims.figures import curves
from minillm.claims.lab import Lab
from minillm.claims.marks import Answers, right, show, tally
from minillm.world.exam import Question, answer_forms, strip
from minillm.world.tables import LANGUAGES, RELATIONS, Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = (8, 32, 128, 512, 2048)
QUICK = (32, 512, 2048)
FEW = 32
VARIETY = 108
"""Pairs in the test of variety: six of each type of question in each language."""
FEW_PLACES = 3


def formed(lab: Lab, items: list[Question], answers: Answers, kind: bool) -> list[float]:
    """1 for an answer that ends and looks like one, whatever its fact: a value of any place, bare or in a
    sentence, in the asked language; with `kind` of the asked kind too, such as a city for a capital."""
    forms = answer_forms(lab.world)
    if not kind:
        anything = {one: set().union(*(forms[one, relation] for relation in RELATIONS)) for one in LANGUAGES}
        forms = {(one, relation): anything[one] for one, relation in forms}
    return [
        float(ended and strip(text) in forms[item.language, item.relation])
        for item, (text, ended) in zip(items, answers, strict=True)
    ]


def evenly(lab: Lab, places: Iterable[Place], wordings: int) -> list[list[Message]]:
    """VARIETY pairs about these places, equally many of each type of question and language: round by round one of
    each, as long as there are any; a round takes other places and wordings than the one before where it can."""
    groups = defaultdict[tuple[str, str], list[list[Message]]](list)
    for language in LANGUAGES:
        for relation in RELATIONS:
            groups[language, relation] = lab.facts(list(places), (language,), (relation,), wordings)
    each = VARIETY // len(groups)
    return lab.mixed(pair for group in groups.values() for pair in repeated(group, each))


def repeated(group: list[list[Message]], count: int) -> list[list[Message]]:
    """The first `count` of a group, from the beginning again where it has fewer."""
    return [group[i % len(group)] for i in range(count)] if group else []


def measure(lab: Lab) -> Observation:
    items = lab.items()
    marks, examples = {}, []
    for size in lab.pick(SIZES, QUICK):
        answers = lab.ask(lab.tune(lab.pairs[:size]), items)
        marks[f"format-{size}"] = tally(items, formed(lab, items, answers, kind=False))
        marks[f"kind-{size}"] = tally(items, formed(lab, items, answers, kind=True))
        marks[f"right-{size}"] = tally(items, right(items, answers))
        examples += show(f"right-{size}", items, answers, 2)
    figures = {}
    full = [p for p in lab.mixed(lab.taught) if all(lab.world.fact(p, r, "en") for r in RELATIONS)]
    for name, places in (("few places", full[:FEW_PLACES]), ("many places", lab.taught)):
        pairs = evenly(lab, places, wordings=4)
        answers = lab.ask(lab.tune(pairs), items)
        marks[name] = tally(items, right(items, answers))
        figures[f"pairs, {name}"] = len(pairs)
    return Observation(marks, lab.constant_answer, figures, examples)


def picture(axes: "Axes", claim: Claim, result: dict, language: str) -> None:
    lines = {
        "format": (dict(en="form of the answer", zh="回答的格式"), {n: f"format-{n}" for n in SIZES}),
        "kind": (dict(en="of the asked kind", zh="种类也对"), {n: f"kind-{n}" for n in SIZES}),
        "right": (dict(en="right answers", zh="正确的回答"), {n: f"right-{n}" for n in SIZES}),
        "few": (dict(en=f"right, all types, {FEW_PLACES} places", zh=f"正确，各类齐全，{FEW_PLACES} 个地方"), {VARIETY: "few places"}),
        "many": (dict(en="right, all types, many places", zh="正确，各类齐全，很多地方"), {VARIETY: "many places"}),
    }  # fmt: skip
    curves(axes, claim, result, language, lines, {"en": "pairs for SFT", "zh": "SFT 的问答对"}[language])


CLAIM = Claim(
    slug="less-is-more",
    hypothesis=dict(
        en="A few pairs teach the format; right answers need many, and of equally many pairs those about more places teach more.",
        zh="几个问答对就教会格式；答对事实需要很多，而对数相同时，涉及的地方越多教会的越多。",
    ),
    source="LIMA (2305.11206)",
    conditions={f"right-{n}": dict(en=f"right, {n} pairs", zh=f"正确，{n} 对") for n in SIZES}
    | {f"format-{n}": dict(en=f"format, {n} pairs", zh=f"格式，{n} 对") for n in SIZES}
    | {f"kind-{n}": dict(en=f"of the asked kind, {n} pairs", zh=f"种类也对，{n} 对") for n in SIZES}
    | {
        "few places": dict(
            en=f"right, {VARIETY} pairs of all types about {FEW_PLACES} places",
            zh=f"正确，{VARIETY} 对，各类齐全，{FEW_PLACES} 个地方",
        ),
        "many places": dict(
            en=f"right, {VARIETY} pairs of all types about all taught places",
            zh=f"正确，{VARIETY} 对，各类齐全，全部教过的地方",
        ),
    },
    metric=dict(en="answers about held-out places", zh="关于未教过的地方的回答"),
    better=f"format-{FEW}",
    worse=f"right-{FEW}",
    checks=(
        Check(
            dict(en="format: 2,048 pairs above 32", zh="格式：2,048 对高出 32 对"),
            lambda f: f["format-2048"] - f["format-32"],
            at_most=0.25,
        ),
        Check(
            dict(en="right answers: 2,048 pairs above 32", zh="答对：2,048 对高出 32 对"),
            lambda f: f["right-2048"] - f["right-32"],
            at_least=0.4,
        ),
        Check(
            dict(en="right answers: 2,048 pairs above 512", zh="答对：2,048 对高出 512 对"),
            lambda f: f["right-2048"] - f["right-512"],
            at_most=0.1,
        ),
        Check(
            dict(
                en="variety: many places above few, equally many pairs of each type",
                zh="多样性：很多地方高出几个地方，每类对数相同",
            ),
            lambda f: f["many places"] - f["few places"],
            at_least=0.05,
        ),
    ),
    budget=dict(
        en="Seven tunings per seed, equal steps.",
        zh="每个种子微调七次，步数相同。",
    ),
    notes=dict(
        en="A right answer has the right form, so the difference cannot be negative; the question is how large it is. Title and thresholds follow what was seen before on seeds 201 to 203 with the whole demo's base: with 32, 128, 512 and 2,048 pairs the form was right in 82, 93, 98 and 100 %, the fact in 44, 76, 93 and 98 %. Which question asks for what (of the asked kind) is learned nearly as late as the facts. An earlier test of variety set 128 pairs of all types of question against 512 of two, which is coverage of types; now both sets have equally many pairs of each type and language and differ in the number of places. All sizes rehearse stage 1, so that sets of few pairs do not suffer from forgetting. Equal steps; 40 steps gave 8 and 32 pairs about the scores of 140. Variety, seed 101 (quick): 78 and 48 %. 2,048 stands for all that a seed has, 1,920 to 2,008 pairs.",
        zh="正确的回答格式也正确，所以差不可能为负；要问的是差有多大。标题和阈值依据此前在种子 201 到 203 上用完整演示的基础模型看到的结果：32、128、512、2,048 对时，格式正确的占 82、93、98、100 %，事实正确的占 44、76、93、98 %。哪个问题问的是什么（种类也对），学得几乎和事实一样晚。较早的多样性检验是 128 对各类问题与 512 对两类问题相比，那只是类型的覆盖；现在两组每类、每种语言的对数相同，只是地方的多少不同。各种大小都复习第 1 阶段，使对数少的不因遗忘而吃亏。步数相同；8 对和 32 对用 40 步与 140 步得分差不多。多样性，种子 101（快速版）：78 % 和 48 %。2,048 指一个种子的全部，1,920 到 2,008 对。",
    ),
    rehearsed={"": STAGE_1},
    measure=measure,
    picture=picture,
)
