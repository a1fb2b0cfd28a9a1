"""Tuned on a stronger model's answers a student gets better than on its own answers
(Self-Instruct, 2212.10560; Alpaca, 2023)."""

from collections import Counter
from functools import partial

from minillm.chat import Message, turn
from minillm.claims.experiment import STAGE_1, Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import show
from minillm.run_folder import Run
from minillm.world.exam import Question
from minillm.world.tables import Place

HUMAN = 48  # pairs that people wrote


def question_groups(lab: Lab, places: list[Place]) -> list[list[Question]]:
    """For every fact its question in all wordings that SFT may use."""
    return [
        [
            Question(place.names["en"], text, accepted, language, relation)
            for text in lab.world.write("question", place, relation, language)
        ]
        for place, language, relation, accepted in lab.world.facts(places)
    ]


def answered_by(
    lab: Lab, teacher: Run, groups: list[list[Question]], filtered: bool
) -> tuple[list[list[Message]], float]:
    """The questions with a model's answers, and the share of right ones. `filtered` keeps an answer that
    ends and that most wordings of the question get: a filter that does not know the truth."""
    items = [item for group in groups for item in group]
    answers = dict(zip((i.text for i in items), lab.ask(teacher, items), strict=True))
    pairs, right = [], []
    for group in groups:
        common, count = Counter(answers[i.text][0] for i in group).most_common(1)[0]
        for item in group:
            text, ended = answers[item.text]
            if text and (not filtered or (ended and text == common and 2 * count > len(group))):
                pairs.append(turn(item.text, text))
                right.append(item.is_right(text))
    return lab.mixed(pairs), sum(right) / max(1, len(right))


def measure(lab: Lab) -> Observation:
    half = len(lab.held_out) // 2
    groups, items = question_groups(lab, lab.held_out[:half]), lab.items(lab.held_out[half:])
    human = lab.pairs[:HUMAN]
    student, teacher = lab.tune(human, lab.weak), lab.assistant
    marks = {"human": lab.score(student, items), "teacher itself": lab.score(teacher, items)}
    figures: dict[str, float] = {}
    examples = []
    for name, source in (("own", student), ("teacher", teacher)):
        for suffix, filtered in (("", True), ("-unfiltered", False)):
            pairs, share = answered_by(lab, source, groups, filtered)
            run = lab.tune([*human, *pairs], lab.weak)
            marks[name + suffix] = lab.score(run, items)
            figures |= {f"pairs, {name}{suffix}": len(pairs), f"right among {name}{suffix}": share}
            examples += show(name + suffix, items, lab.ask(run, items), 2)
    return Observation(marks, 0.0, figures, examples)


CLAIM = Claim(
    slug="stronger-teacher",
    hypothesis=dict(
        en="A small model learns more from a stronger model's answers than from its own.",
        zh="小模型向更强的模型的回答学，比向自己的回答学，学得更多。",
    ),
    source="Self-Instruct (2212.10560), Alpaca",
    conditions={
        "human": dict(en=f"{HUMAN} human pairs", zh=f"{HUMAN} 对人写的"),
        "own-unfiltered": dict(en="+ own answers", zh="+ 自己的回答"),
        "own": dict(en="+ own answers, filtered", zh="+ 自己的回答，过滤后"),
        "teacher-unfiltered": dict(en="+ teacher's answers", zh="+ 老师的回答"),
        "teacher": dict(en="+ teacher's answers, filtered", zh="+ 老师的回答，过滤后"),
        "teacher itself": dict(en="the teacher", zh="老师自己"),
    },
    metric=dict(en="right answers about places no pair is about", zh="关于问答对未提到的地方的正确回答"),
    better="teacher",
    worse="own",
    checks=(
        Check(
            dict(en="student of the teacher above student of itself", zh="老师的学生高出自学的学生"),
            lambda f: f["teacher"] - f["own"],
            at_least=0.0,
        ),
    ),
    budget=dict(
        en="One more base model (a third of the steps) and six tunings per seed.",
        zh="每个种子多训练一个基础模型（三分之一的步数），微调六次。",
    ),
    notes=dict(
        en="The teacher answers about one half of the held-out places, the exam is about the other half. The filter asks every question in all wordings and keeps what most wordings get; it knows no truth. Nothing was tuned. A third of stage 1 makes a weak student (12 % with the human pairs, seed 101), and the filter then changes next to nothing.",
        zh="老师回答一半未教过的地方，考试问另一半。过滤的方法是用所有问法各问一遍，只留多数问法给出的回答；它并不知道真相。没有调过设置。只有三分之一第 1 阶段的学生很弱（用人写的问答对时 12 %，种子 101），这时过滤几乎不起作用。",
    ),
    rehearsed={"": STAGE_1},
    measure=measure,
    picture=partial(bars, names=("human", "own-unfiltered", "own", "teacher-unfiltered", "teacher", "teacher itself")),
)
