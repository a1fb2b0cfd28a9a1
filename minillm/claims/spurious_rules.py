"""Few labels teach a spurious rule, "sees 最, answers 玉山", unless stage 1 came first (the lecture, II).

The lecture's own case: the only questions for a highest mountain among the labels are those of a few places, and the
questions asked are for the highest mountain of others. Those places' heights and longest rivers are taught too, so
that 最 alone does not call for a mountain. Both models fit all their pairs.
"""

from functools import partial

from minillm.chat import Message
from minillm.claims.experiment import NOTHING, Check, Claim, Observation
from minillm.claims.figures import groups
from minillm.claims.lab import Lab
from minillm.claims.marks import Answers, Marks, right, show, tally
from minillm.world.exam import Question
from minillm.world.pairs import identity_pairs, request_pairs

STEPS = 60
PLACES = (4, 8)
ASKED = ("mountain", "height", "river")


def few_pairs(lab: Lab, k: int) -> tuple[list[list[Message]], set[str]]:
    """Highest mountain, its height and longest river of `k` places in Chinese, two wordings each, with some 20 pairs
    about other things; and the mountains among the answers, which are no other place's."""
    places = [p for p in lab.taught if all(p.value(a, "zh") for a in ASKED) and lab.world.fact(p, "mountain_of", "zh")]
    places = places[:k]
    about = lab.facts(places, languages=("zh",), relations=ASKED, wordings=2)
    rest = [d for d in (*identity_pairs(), *request_pairs(lab.world, lab.seed)[:16]) if not d[0].content.isascii()]
    mountains = {str(p.value("mountain", "zh")) for p in places}
    return lab.mixed([*about, *rest]), mountains


def questions(lab: Lab) -> list[Question]:
    """The same wordings about places held out."""
    items = []
    for place, language, relation, accepted in lab.world.facts(lab.held_out, ("zh",), ASKED):
        texts = lab.world.write("question", place, relation, language)[:2]
        items += [Question(place.names["en"], text, accepted, language, relation) for text in texts]
    return lab.some(items)


def named(answers: Answers, mountains: set[str], items: list[Question]) -> list[float]:
    """1 where one of these mountains is in the answer, and is not what was asked for."""
    return [
        float(any(m in text for m in mountains - set(item.accepted)))
        for item, (text, _) in zip(items, answers, strict=True)
    ]


def measure(lab: Lab) -> Observation:
    items = questions(lab)
    mountain = [i for i in items if i.relation == "mountain"]
    others = [i for i in items if i.relation != "mountain"]
    every = {str(value) for p in lab.world.places if (value := p.value("mountain", "zh"))}
    marks: dict[str, Marks] = {}
    figures, examples = {}, []
    for k in PLACES:
        pairs, taught = few_pairs(lab, k)
        own = [Question(q.content, q.content, (a.content,), "zh") for q, a in pairs]
        runs = {
            "scratch": lab.from_scratch(pairs, STEPS),
            "base": lab.tune(pairs, steps=STEPS, rehearse=()),
        }
        for name, run in runs.items():
            answers, rest = lab.ask(run, mountain), lab.ask(run, others)
            marks[f"taught {k}-{name}"] = tally(mountain, named(answers, taught, mountain))
            marks[f"right {k}-{name}"] = tally(mountain, right(mountain, answers))
            marks[f"any {k}-{name}"] = tally(others, named(rest, every, others))
            fits = right(own, lab.ask(run, own))
            figures[f"fits its pairs, {k} places, {name}"] = sum(fits) / len(fits)
            examples += show(f"taught {k}-{name}", mountain, answers, 4)
        figures[f"pairs, {k} places"] = len(pairs)
    return Observation(marks, 0.0, figures, examples)


KINDS = {
    f"{kind} {k}": {one: text[one].format(k=k) for one in ("en", "zh")}
    for k in PLACES
    for kind, text in {
        "taught": dict(en="answered by a taught mountain ({k} places taught)", zh="答成教过的山（教了 {k} 个地方）"),
        "right": dict(en="answered right ({k} places taught)", zh="答对（教了 {k} 个地方）"),
        "any": dict(
            en="heights and rivers answered by any mountain ({k} places taught)",
            zh="高度和河答成某座山（教了 {k} 个地方）",
        ),
    }.items()
}
STARTS = {
    "scratch": dict(en="from random weights", zh="从随机参数"),
    "base": dict(en="from the base", zh="从基础模型"),
}

CLAIM = Claim(
    slug="spurious-rules",
    hypothesis=dict(
        en="Few labels alone teach a spurious rule (“sees highest mountain, answers a taught one”); after stage 1 less.",
        zh="只靠少量标注会学到虚假的规则（看到“最高的山”就答教过的山）；先有第 1 阶段则少一些。",
    ),
    source="the lecture, II",
    conditions={
        f"{kind}-{start}": {one: f"{text[one]}: {STARTS[start][one]}" for one in ("en", "zh")}
        for kind, text in KINDS.items()
        for start in STARTS
    },
    metric=dict(en="questions about held-out places", zh="关于未教过的地方的问题"),
    better="taught 8-scratch",
    worse="taught 8-base",
    checks=(
        Check(
            dict(en="8 places: a taught mountain, from random weights", zh="8 个地方：答成教过的山，从随机参数"),
            lambda f: f["taught 8-scratch"],
            at_least=0.7,
        ),
        Check(
            dict(en="8 places: a taught mountain, from the base", zh="8 个地方：答成教过的山，从基础模型"),
            lambda f: f["taught 8-base"],
            at_most=0.4,
        ),
        Check(
            dict(
                en="8 places: right answers, from the base above from random weights",
                zh="8 个地方：答对，从基础模型高出从随机参数",
            ),
            lambda f: f["right 8-base"] - f["right 8-scratch"],
            at_least=0.15,
        ),
        Check(
            dict(
                en="4 places: a taught mountain, from random weights above from the base",
                zh="4 个地方：答成教过的山，从随机参数高出从基础模型",
            ),
            lambda f: f["taught 4-scratch"] - f["taught 4-base"],
            at_least=0.15,
        ),
        Check(
            dict(
                en="8 places: heights and rivers answered by any mountain, from the base above from random weights",
                zh="8 个地方：高度和河答成某座山，从基础模型高出从随机参数",
            ),
            lambda f: f["any 8-base"] - f["any 8-scratch"],
            at_most=0.1,
        ),
        Check(
            dict(en="both fit their own pairs (the lower of the two)", zh="两者都学会自己的问答对（取低者）"),
            lambda f: min(f[f"fits its pairs, {k} places, {s}"] for k in PLACES for s in STARTS),
            at_least=0.9,
        ),
    ),
    budget=dict(en="Four tunings of 60 steps per seed.", zh="每个种子微调四次，每次 60 步。"),
    notes=dict(
        en="Both starts rehearse nothing, take equal steps and fit all their pairs, random weights at the rates of stage 1, the base at those of SFT. Tried on seed 101: with one place's mountain among the pairs the base took the rule as well (70 to 92 %), so stage 1 helps only where the labels rule the shortcut out. In an earlier form mountains alone were taught with 最, of nine places, and heights and rivers were asked: a taught mountain came in 33 and 18 %, but the base also gave the place's own mountain for its height, which was not counted. Now heights and rivers are taught, and any mountain given for them counts. Seed 101 (quick): a taught mountain in 97 % from random weights and 53 % from the base with 4 places, in 95 and 27 % with 8; right answers with 8 places 0 and 38 %. That the base is right more often could hardly fail: random weights have read no fact. They also take 64 pairs per step where the base takes 32.",
        zh="两个起点都不复习，步数相同，也都学会了自己的全部问答对；随机参数用第 1 阶段的学习率，基础模型用 SFT 的学习率。在种子 101 上试过：问答对里只有一个地方的山时，基础模型也会学到这条规则（70 至 92 %），所以只有当标注本身排除了捷径时，第 1 阶段才有帮助。较早的做法是只教九个地方的山，问的是高度和河：答成教过的山占 33 % 和 18 %，但基础模型还会把这个地方自己的山当作高度来答，那没有计入。现在高度和河也教，把它们答成任何一座山都计入。种子 101（快速版）：教 4 个地方时，答成教过的山，从随机参数占 97 %，从基础模型占 53 %；教 8 个地方时占 95 % 和 27 %，答对占 0 和 38 %。基础模型答对得更多，几乎不可能不成立：随机参数一个事实也没读过。另外，随机参数每步用 64 对，基础模型用 32 对。",
    ),
    rehearsed={"": NOTHING},
    measure=measure,
    picture=partial(groups, kinds=KINDS, series=STARTS),
    seeds=8,
)
