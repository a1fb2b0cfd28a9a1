"""Real, varied phrasings teach more than rigid templates (the lecture, IV: InstructGPT's data, FLAN's data)."""

from functools import partial

from minillm.claims.experiment import STAGE_1, Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import Marks, right, show, tally


def measure(lab: Lab) -> Observation:
    rigid, every = lab.facts(wordings=1), lab.facts()
    sets = {"template": rigid, "varied": every[: len(rigid)]}
    new, known = lab.items(kind="unseen"), lab.items()
    marks: dict[str, Marks] = {}
    examples = []
    for name, pairs in sets.items():
        run = lab.tune(pairs)
        answers = lab.ask(run, new)
        marks[name] = tally(new, right(new, answers))
        marks[f"{name}-known"] = lab.score(run, known)
        examples += show(name, new, answers)
    return Observation(marks, lab.constant_answer, {"pairs": len(rigid)}, examples)


CLAIM = Claim(
    slug="real-over-template",
    hypothesis=dict(
        en="Varied phrasings teach more than one rigid template: questions in new words are answered better.",
        zh="多样的问法胜过死板的模板：换成没见过的问法，回答得更好。",
    ),
    source="the lecture, IV; InstructGPT (2203.02155), FLAN (2109.01652)",
    conditions={
        "template": dict(en="one template a question type", zh="每类问题一个模板"),
        "varied": dict(en="varied phrasings, as many pairs", zh="多样的问法，对数相同"),
        "template-known": dict(en="one template, asked in phrasings SFT may use", zh="一个模板，用 SFT 可用的问法来问"),
        "varied-known": dict(en="varied, asked in phrasings SFT used", zh="多样的问法，用 SFT 用过的问法来问"),
    },
    metric=dict(en="right answers in phrasings neither saw", zh="用两者都没见过的问法，正确的回答"),
    better="varied",
    worse="template",
    checks=(
        Check(
            dict(en="varied above one template, in new phrasings", zh="多样高出一个模板，用新的问法"),
            lambda f: f["varied"] - f["template"],
            at_least=0.0,
        ),
    ),
    budget=dict(en="Two tunings per seed, equal numbers of pairs and steps.", zh="每个种子微调两次，对数与步数相同。"),
    notes=dict(
        en="Both sets ask for the same facts as often, with as many pairs and steps; stage 1 has read the test's wordings as questions without answers. Nothing else was tried.",
        zh="两组问同样的事实，对数与步数相同；第 1 阶段读过测试用的问法，但没有答案。没有试过别的。",
    ),
    rehearsed={"": STAGE_1},
    measure=measure,
    picture=partial(bars, names=("template", "varied")),
)
