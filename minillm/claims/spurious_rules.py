"""Few labels teach a spurious rule, "sees 最, answers 玉山", unless stage 1 came first (the lecture, II)."""

from functools import partial

from minillm.chat import Message
from minillm.claims.experiment import NOTHING, STAGE_1, Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import right, show, tally
from minillm.world.exam import Question
from minillm.world.pairs import identity_pairs, request_pairs

STEPS = 60


def few_pairs(lab: Lab) -> tuple[list[list[Message]], set[str]]:
    """Some thirty pairs, of which those with 最 ask for the highest mountains of nine places, and the
    answers of these."""
    places = [p for p in lab.taught if p.value("mountain", "zh")][:9]
    mountains = lab.facts(places, languages=("zh",), relations=("mountain",), wordings=2)
    rest = [d for d in (*identity_pairs(), *request_pairs(lab.world, lab.seed)[:16]) if not d[0].content.isascii()]
    return lab.mixed([*mountains, *rest]), {answer.content for _, answer in mountains}


def probes(lab: Lab) -> list[Question]:
    """Questions about held-out places with 最 in the taught place, for mountains, heights and rivers."""
    items = []
    for place, language, relation, accepted in lab.world.facts(lab.held_out, ("zh",), ("mountain", "height", "river")):
        texts = lab.world.write("question", place, relation, language)[:2]
        items += [Question(place.names["en"], text, accepted, language, relation) for text in texts]
    return lab.some(items)


def measure(lab: Lab) -> Observation:
    pairs, taught = few_pairs(lab)
    items = probes(lab)
    marks, examples = {}, []
    runs = {"scratch": lab.from_scratch(pairs, STEPS), "base": lab.tune(pairs, steps=STEPS)}
    for name, run in runs.items():
        answers = lab.ask(run, items)
        spurious = [
            float(text in taught and text not in i.accepted) for i, (text, _) in zip(items, answers, strict=True)
        ]
        marks[name] = tally(items, spurious)
        marks[f"{name}-right"] = tally(items, right(items, answers))
        examples += show(name, items, answers, 6)
    return Observation(marks, 0.0, {"pairs": len(pairs)}, examples)


CLAIM = Claim(
    slug="spurious-rules",
    hypothesis=dict(
        en='Few labels alone teach a spurious rule ("sees highest, answers a taught mountain"); after stage 1 less so.',
        zh="只靠少量标注会学到虚假的规则（看到「最」就答「玉山」）；先有第 1 阶段则少得多。",
    ),
    source="the lecture, II",
    conditions={
        "scratch": dict(en="from random weights", zh="从随机参数"),
        "base": dict(en="from the base", zh="从基础模型"),
        "scratch-right": dict(en="right answers, from random weights", zh="正确回答，从随机参数"),
        "base-right": dict(en="right answers, from the base", zh="正确回答，从基础模型"),
    },
    metric=dict(en="other questions answered by a taught mountain", zh="别的带「最」的问题被答成教过的山"),
    better="scratch",
    worse="base",
    checks=(
        Check(
            dict(
                en="spurious answers from random weights above those from the base",
                zh="虚假回答：从随机参数高出从基础模型",
            ),
            lambda f: f["scratch"] - f["base"],
            at_least=0.3,
        ),
    ),
    budget=dict(en="Two tunings of 60 steps per seed.", zh="每个种子微调两次，每次 60 步。"),
    notes=dict(
        en='Tried on seed 101: with only one place\'s mountain among the pairs the model from random weights always gave its commonest answer (who it is) and the one from the base took the rule (70 to 92 %), the claim reversed; with capitals of the same nine places 14 % against 5 %; probes that share openings with other pairs ("请说…") are drawn to those. Hence nine places, two wordings, and probes in which the cue stands in the same place.',
        zh="在种子 101 上试过：只教一个地方的山时，从随机参数的模型总是给出最常见的回答（它是谁），从基础模型的反而学到了规则（70 至 92 %），与论断相反；加上这九个地方的首都，则是 14 % 对 5 %；与其他问答对开头相同的问题（「请说……」）会被那些带走。所以用九个地方、两种问法，线索在问题中的位置相同。",
    ),
    rehearsed={"scratch": NOTHING, "scratch-right": NOTHING, "": STAGE_1},
    measure=measure,
    picture=partial(bars, names=("scratch", "base")),
    seeds=8,
)
