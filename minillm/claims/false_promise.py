"""Imitating a larger model copies its style, not its knowledge (Gudibande et al. 2023, 2305.15717)."""

import re
from collections.abc import Mapping
from functools import partial

from minillm.chat import Message, turn
from minillm.claims.experiment import STAGE_1, Check, Claim, Observation
from minillm.claims.figures import groups
from minillm.claims.lab import Lab
from minillm.claims.marks import right, show, tally
from minillm.world.exam import Question
from minillm.world.tables import LANGUAGES, sentence


def in_sentences(lab: Lab) -> list[list[Message]]:
    """The teacher's style: every question about a taught place answered in a full sentence."""
    return lab.mixed(turn(i.text, i.accepted[min(1, len(i.accepted) - 1)]) for i in lab.items(lab.taught))


def style(lab: Lab) -> dict[str, re.Pattern]:
    """By language: any full sentence of the teacher's kind, whatever place and fact it names."""
    forms: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    for (language, _, kind), texts in lab.world.phrases.items():
        if kind == "answer":
            forms[language] += [re.sub(r"\\\{[pvm]\\\}", ".+", re.escape(sentence(text))) for text in texts]
    return {language: re.compile("|".join(texts)) for language, texts in forms.items()}


def measure(lab: Lab) -> Observation:
    half = len(lab.held_out) // 2
    imitated, other = lab.held_out[:half], lab.held_out[half:]
    teacher = lab.tune(in_sentences(lab))
    asked = [Question("", d[0].content, ()) for d in lab.facts(imitated)]
    answers = [text for text, ended in lab.ask(teacher, asked)]
    imitation = [turn(i.text, text) for i, text in zip(asked, answers, strict=True) if text]
    runs = {
        "before": lab.tune(lab.facts()[: len(imitation)], lab.weak),
        "student": lab.tune(imitation, lab.weak),
        "teacher": teacher,
    }
    marks, examples, styles = {}, [], style(lab)
    for name, run in runs.items():
        for where, places in (("imitated", imitated), ("other", other)):
            items = lab.items(places)
            given = lab.ask(run, items)
            marks[f"facts-{where}-{name}"] = tally(items, right(items, given))
            examples += show(f"{name}, {where}", items, given, 2)
            if where == "other":
                styled = [
                    float(ended and bool(styles[i.language].fullmatch(text)))
                    for i, (text, ended) in zip(items, given, strict=True)
                ]
                marks[f"style-{name}"] = tally(items, styled)
    return Observation(marks, 0.0, {"pairs": len(imitation)}, examples)


RUNS = {
    "before": dict(en="student, own tuning", zh="学生，不模仿"),
    "student": dict(en="student, imitating", zh="学生，模仿老师"),
    "teacher": dict(en="teacher", zh="老师"),
}
MARKS = {
    "style": dict(en="style", zh="风格"),
    "facts-other": dict(en="facts, other places", zh="事实，别的地方"),
    "facts-imitated": dict(en="facts, imitated places", zh="事实，模仿过的地方"),
}


def gap_closed(f: Mapping[str, float]) -> float:
    """Share of the distance in facts to the teacher that imitation closes, on other places."""
    before, student, teacher = (f[f"facts-other-{name}"] for name in RUNS)
    return (student - before) / (teacher - before) if teacher > before else float("nan")


CLAIM = Claim(
    slug="false-promise",
    hypothesis=dict(
        en="Imitating a stronger model copies its style, but its knowledge only where it was imitated.",
        zh="模仿更强的模型能学到它的风格，知识却只在模仿过的地方学到。",
    ),
    source="The False Promise of Imitating Proprietary LLMs (2305.15717)",
    conditions={
        f"{mark}-{run}": {one: f"{text[one]}: {RUNS[run][one]}" for one in ("en", "zh")}
        for mark, text in MARKS.items()
        for run in RUNS
    },
    metric=dict(en="answers about held-out places", zh="关于未教过的地方的回答"),
    better="facts-imitated-student",
    worse="facts-imitated-before",
    checks=(
        Check(
            dict(en="style, as a share of the teacher's", zh="风格，占老师的比例"),
            lambda f: f["style-student"] / f["style-teacher"] if f["style-teacher"] else float("nan"),
            at_least=0.9,
        ),
        Check(
            dict(en="share of the gap in facts that imitation closes, other places", zh="模仿填补的事实差距，别的地方"),
            gap_closed,
            at_most=0.1,
        ),
    ),
    budget=dict(
        en="One more base model (a third of the steps) and three tunings per seed.",
        zh="每个种子多训练一个基础模型（三分之一的步数），微调三次。",
    ),
    notes=dict(
        en="The student that does not imitate has as many pairs, about other places, in the short style. Style first meant a sentence about the asked place; that mixed facts in (29 % against the teacher's 88 %, seed 101): asked for the capital of Greece the student says \"The capital of Portugal is Lisbon.\" Now it means any sentence of the teacher's kind.",
        zh='不模仿的学生用同样多的问答对，问的是别的地方，回答简短。风格起初指关于所问地方的句子，那样掺进了事实（29 %，老师 88 %，种子 101）：问希腊的首都，学生说 "The capital of Portugal is Lisbon."。现在指老师那一类的任何句子。',
    ),
    rehearsed={"": STAGE_1},
    measure=measure,
    picture=partial(groups, kinds=MARKS, series=RUNS),
)
