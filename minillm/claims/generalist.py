"""One model for many tasks: do more families of tasks help with one that was never taught?
(FLAN 2109.01652, T0 2110.08207, 1.8K tasks 2210.11416)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from minillm.chat import Message, turn
from minillm.claims.experiment import STAGE_1, Check, Claim, Observation
from minillm.claims.figures import curves
from minillm.claims.lab import Lab
from minillm.claims.marks import right, show, tally
from minillm.claims.passages import known, mailing, passage, reader, reading, summarising, worlds
from minillm.claims.tasks import Task, answering, proofreading, second_turns, translating
from minillm.world.pairs import request_pairs
from minillm.world.tables import LANGUAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTS = (1, 2, 4, 8)
PAIRS = 200  # of each family
ABOUT = {
    "en": ("Which place is this about? {text}", "{text} Name the place.", "Name the place in this text: {text}"),
    "zh": ("这段文字说的是哪里？{text}", "{text}请说出地名。", "说出文字里的地名：{text}"),
}


def requesting(lab: Lab) -> Task:
    """Requests to be refused or met. Not asked about here: the exam does."""
    return Task(lab.mixed(request_pairs(lab.world, lab.seed)), [])


def referring(lab: Lab) -> Task:
    """Second turns that only make sense after the first."""
    taught = second_turns(lab, lab.taught)
    return Task(lab.mixed([*first, *turn(i.text, i.accepted[0])] for first, i, _ in taught), [])


def naming(lab: Lab) -> Task:
    """Which place a passage is about."""
    rng, items = lab.random(), []
    for place in worlds(lab)[0]:
        for language in LANGUAGES:
            text = passage(lab, place, known(place, rng, 2), language, rng)
            items.append((rng.choice(ABOUT[language]).format(text=text), place.names[language]))
    return Task(lab.mixed(turn(*item) for item in items), [])


FAMILIES = (answering, translating, proofreading, requesting, mailing, referring, naming, summarising)
"""Taught in this order; `reading` never is."""
SIZES = {"usual": dict(en="usual size", zh="通常大小"), "small": dict(en="half as wide", zh="一半宽")}
MARKS = {
    "family": dict(en="the family never taught", zh="没教过的任务"),
    "wording": dict(en="a taught family in new wordings", zh="教过的任务，新的问法"),
}


def mixture(lab: Lab, count: int) -> list[list[Message]]:
    """PAIRS pairs of each of the first `count` families; what is taught of one stays as it is."""
    return lab.mixed(pair for family in FAMILIES[:count] for pair in family(lab).pairs[:PAIRS])


def measure(lab: Lab) -> Observation:
    exams = {"family": reading(lab).items, "wording": lab.items(kind="unseen")}
    bases = {"usual": reader(lab), "small": reader(lab, n_embd=64)}
    marks, examples = {}, []
    for count in lab.pick(COUNTS, (COUNTS[0], COUNTS[-1])):
        pairs = mixture(lab, count)
        for size, base in bases.items():
            run = lab.tune(pairs, base)
            for mark, items in exams.items():
                answers = lab.ask(run, items)
                marks[f"{mark}-{size}-{count}"] = tally(items, right(items, answers))
                examples += show(f"{mark}-{size}-{count}", items, answers, 3)
    return Observation(marks, 0.0, {}, examples)


def gain(f: Mapping[str, float], mark: str, size: str) -> float:
    """What all families add to the score with one."""
    return f[f"{mark}-{size}-{COUNTS[-1]}"] - f[f"{mark}-{size}-{COUNTS[0]}"]


def picture(axes: "Axes", claim: Claim, result: dict, language: str) -> None:
    comma = {"en": ", ", "zh": "，"}
    lines = {
        f"{mark}-{size}": (
            {one: text[one] + comma[one] + name[one] for one in LANGUAGES},
            {n: f"{mark}-{size}-{n}" for n in COUNTS},
        )
        for mark, text in MARKS.items()
        for size, name in SIZES.items()
    }
    curves(axes, claim, result, language, lines, dict(en="families of tasks taught", zh="教过几类任务")[language])


CLAIM = Claim(
    slug="generalist",
    hypothesis=dict(
        en="The more families of tasks a model is taught, the better it does one that it was never taught.",
        zh="教过的任务种类越多，没教过的任务也做得越好。",
    ),
    source="FLAN (2109.01652), T0 (2110.08207), 1.8K tasks (2210.11416)",
    conditions={
        f"{mark}-{size}-{n}": dict(
            en=f"{text['en']}; {n} taught, {SIZES[size]['en']}", zh=f"{text['zh']}；教过 {n} 类，{SIZES[size]['zh']}"
        )
        for mark, text in MARKS.items()
        for size in SIZES
        for n in COUNTS
    },
    metric=dict(en="right answers", zh="正确的回答"),
    better=f"family-usual-{COUNTS[-1]}",
    worse=f"family-usual-{COUNTS[0]}",
    checks=(
        Check(
            dict(en="8 families above 1, the family never taught", zh="没教过的任务：8 类高出 1 类"),
            lambda f: gain(f, "family", "usual"),
            at_least=0.05,
        ),
        Check(
            dict(en="8 families above 1, new wordings", zh="新的问法：8 类高出 1 类"),
            lambda f: gain(f, "wording", "usual"),
            at_least=0.0,
        ),
        Check(
            dict(
                en="this gain (the family never taught), above that of a model half as wide",
                zh="没教过的任务的这一提高，高出一半宽的模型",
            ),
            lambda f: gain(f, "family", "usual") - gain(f, "family", "small"),
            at_least=0.0,
        ),
    ),
    budget=dict(
        en="Two base models that have learned to read and eight tunings per seed.",
        zh="每个种子两个学过阅读的基础模型，微调八次。",
    ),
    notes=dict(
        en="The family never taught is reading: a question about a passage. Its base has read text that says everything twice, so it can copy (tuned on reading it answers 90 to 100 %). On seed 101 (quick) 1, 2, 4, 8 families of 200 pairs each gave 26, 31, 23, 15 % of the unseen family, and with 1,600 pairs in all, however many families, 29, 36, 26, 12 %: a second family helps, more of them make the model take the passage for one of the tasks it knows (it begins a mail, or names the place). FLAN's authors saw the same below eight billion parameters. Requests, second turns and naming the place are taught, not examined.",
        zh="没教过的任务是阅读：就一段文章提问。它的基础模型读过把每件事说两遍的文本，所以会从文章里抄（用阅读题微调后答对 90 % 到 100 %）。在种子 101 上（快速版），1、2、4、8 类任务各 200 对，没教过的任务得 26、31、23、15 %；总共 1,600 对、不论几类时，得 29、36、26、12 %：第二类有帮助，更多的类让模型把文章当成它会的某个任务（开始写邮件，或说出地名）。FLAN 的作者在 80 亿参数以下看到的也是这样。请求、第二轮提问和说出地名只教不考。",
    ),
    rehearsed={"": STAGE_1},
    measure=measure,
    picture=picture,
)
