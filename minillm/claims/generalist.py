"""One model for many tasks: does it do a kind of question better that it was never taught, the more kinds it was?
(FLAN 2109.01652, T0 2110.08207, 1.8K tasks 2210.11416; Raventós et al. 2023, 2306.15063: diversity has a threshold)."""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from minillm.chat import Message, turn
from minillm.claims.experiment import NOTHING, Check, Claim, Observation
from minillm.claims.figures import curves
from minillm.claims.lab import Lab
from minillm.claims.marks import Marks, right, tally
from minillm.claims.passages import mailing, passage, reader, reading, summarising, worlds
from minillm.claims.tasks import answering, proofreading, translating
from minillm.world.exam import Question
from minillm.world.tables import ATTRIBUTES, LANGUAGES, Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAIRS, STEPS, BATCH = 500, 120, 16  # in all, however many kinds they are of
KINDS = (1, 2, 5)
MICRO = (4, 32, 256)
ROTATIONS = 2  # kinds that take their turn as the one never taught; three seeds' turns are all six
JOIN = {"en": " ", "zh": ""}
TASKS = {
    "answering": answering,
    "translating": translating,
    "proofreading": proofreading,
    "reading": reading,
    "summary": summarising,
    "mail": mailing,
}


def questions(lab: Lab, places: Sequence[Place], kind: str, named: bool = True) -> list[Question]:
    """Passages of three statements, one about the attribute `kind`, and the question about it; with `named` off
    only the number of the kind, as in FLAN's ablation of the instructions."""
    rng, items = lab.random(), []
    for place in places:
        for language in LANGUAGES:
            others = [a for a in ATTRIBUTES if a != kind and place.value(a, language)]
            if place.value(kind, language) is None or len(others) < 2:
                continue
            attributes = rng.sample([kind, *rng.sample(others, 2)], 3)
            text = passage(lab, place, attributes, language, rng)
            asked = rng.choice(lab.world.write("question", place, kind, language))
            asked = asked if named else f"{ATTRIBUTES.index(kind) + 1}"
            accepted = tuple(lab.world.accepted(place, kind, language))
            items.append(Question(place.names["en"], text + JOIN[language] + asked, accepted, language, kind))
    return items


def pairs_of(lab: Lab, kinds: Sequence[str], number: int, named: bool = True) -> list[list[Message]]:
    """`number` pairs in all, as many of each kind, about made-up places that the exam does not ask about."""
    taught, share = worlds(lab)[0], number // len(kinds)
    items = [i for kind in kinds for i in lab.mixed(questions(lab, taught, kind, named))[:share]]
    return lab.mixed(turn(i.text, i.accepted[0]) for i in items)


def held_out_kinds(lab: Lab) -> dict[str, Marks]:
    """Marks in a kind that was never taught, by what was; the kinds take turns."""
    base, turns = reader(lab), []
    for k in range(ROTATIONS):
        first = (lab.seed * ROTATIONS + k) % len(ATTRIBUTES)
        turns.append([*ATTRIBUTES[first:], *ATTRIBUTES[:first]])
    marks: dict[str, Marks] = {}
    for unseen, *others in turns:
        items = lab.some(questions(lab, worlds(lab)[1], unseen))
        ways = {f"kinds-{k}": (pairs_of(lab, others[:k], PAIRS), STEPS) for k in KINDS}
        ways["exposure"] = (pairs_of(lab, others[:2], 2 * PAIRS // len(others)), 2 * STEPS // len(others))
        ways["numbers"] = (pairs_of(lab, others, PAIRS, named=False), STEPS)
        ways["taught"] = (pairs_of(lab, [unseen], PAIRS), STEPS)
        for name, (pairs, steps) in ways.items():
            run = lab.tune(pairs, base, steps, batch_size=BATCH, rehearse=())
            found = tally(items, right(items, lab.ask(run, items)))
            marks[name] = {**marks.get(name, {}), **{f"{entity}, {unseen}": m for entity, m in found.items()}}
    return marks


def words(rng: random.Random, count: int) -> list[str]:
    """Made-up nouns of three syllables, all different."""
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(3))] = None
    return list(found)


def micro_questions(lab: Lab, places: Sequence[Place], nouns: Sequence[str], others: Sequence[str], seed: int) -> list:
    """`The bakomi of Japan is Oslo.` in a passage of three, and the question about it: a made-up noun is a kind of
    question of its own, and `others` are only said, never asked about."""
    rng, items = random.Random(seed), []
    values = sorted({p.value(a, "en") or "" for p in places for a in ("capital", "mountain", "currency")} - {""})
    for k in range(PAIRS):
        place, noun = rng.choice(places).names["en"], nouns[k % len(nouns)]
        told = dict(zip([noun, *rng.sample(others, 2)], rng.sample(values, 3), strict=True))
        sentences = [f"The {n} of {place} is {v}." for n, v in told.items()]
        rng.shuffle(sentences)
        text = f"{' '.join(sentences)} What is the {noun} of {place}?"
        items.append(Question(noun, text, (told[noun],), "en"))
    return items


def micro_kinds(lab: Lab) -> dict[str, Marks]:
    """Marks in made-up kinds that were never taught, by the number of made-up kinds that were."""
    base, nouns = reader(lab), words(lab.random(), MICRO[-1] + 128)
    taught, unseen, others = nouns[:-128], nouns[-128:-64], nouns[-64:]
    items = lab.some(micro_questions(lab, lab.held_out, unseen, others, lab.seed + 1)[:200])
    marks: dict[str, Marks] = {}
    for count in lab.pick(MICRO, MICRO[::2]):
        dialogues = [
            turn(i.text, i.accepted[0]) for i in micro_questions(lab, lab.taught, taught[:count], others, lab.seed)
        ]
        run = lab.tune(lab.mixed(dialogues), base, STEPS, batch_size=BATCH, rehearse=())
        marks[f"micro-{count}"] = tally(items, right(items, lab.ask(run, items)))
    return marks


def all_tasks(lab: Lab) -> dict[str, Marks]:
    """Marks of one model for six tasks, each asked about what was not taught."""
    tasks = {name: make(lab) for name, make in TASKS.items()}
    pairs = lab.mixed(pair for task in tasks.values() for pair in task.pairs[:PAIRS])
    run = lab.tune(pairs, reader(lab), 2 * STEPS, rehearse=())
    return {f"task-{name}": lab.score(run, task.items[:200]) for name, task in tasks.items()}


def measure(lab: Lab) -> Observation:
    return Observation(held_out_kinds(lab) | micro_kinds(lab) | all_tasks(lab))


def picture(axes: "Axes", claim: Claim, result: dict, language: str) -> None:
    lines = {
        "kinds": (
            dict(en="attributes of places: the sixth, never taught", zh="地方的属性：没教过的第六种"),
            {n: f"kinds-{n}" for n in KINDS},
        ),
        "micro": (
            dict(en="made-up attributes: others, never taught", zh="编造的属性：没教过的另一些"),
            {n: f"micro-{n}" for n in MICRO},
        ),
    }
    label = dict(en=f"kinds of questions taught, {PAIRS} pairs in all", zh=f"教过几种问题，总共 {PAIRS} 对")
    curves(axes, claim, result, language, lines, label[language])


def named(template: Mapping[str, str], numbers: Sequence[int], condition: str) -> dict[str, dict[str, str]]:
    """A condition for each number, with its name in words."""
    return {condition.format(n): {one: text.format(n) for one, text in template.items()} for n in numbers}


KIND = dict(en="a sixth kind of question, never taught: {} taught", zh="没教过的第六种问题：教过 {} 种")
TASK_NAMES = {
    "answering": dict(en="answering", zh="问答"),
    "translating": dict(en="translating", zh="翻译"),
    "proofreading": dict(en="proofreading", zh="编修"),
    "reading": dict(en="reading", zh="阅读"),
    "summary": dict(en="summary", zh="摘要"),
    "mail": dict(en="mail", zh="邮件"),
}

CLAIM = Claim(
    slug="generalist",
    hypothesis=dict(
        en="Taught five kinds of questions about a passage in place of two, with as many pairs in all, a model answers a sixth that was never taught a little better.",
        zh="问答对总数相同时，就文章提的问题教过五种而不是两种，没教过的第六种也答得好一点。",
    ),
    source="FLAN (2109.01652), T0 (2110.08207), 1.8K tasks (2210.11416)",
    conditions={
        **named(KIND, KINDS, "kinds-{}"),
        "exposure": dict(
            en="the same: 2 taught, as many pairs of each as where 5 are",
            zh="同上：教过 2 种，每种的问答对与教 5 种时一样多",
        ),
        "numbers": dict(en="the same: 5 taught, numbers in place of questions", zh="同上：教过 5 种，问题换成编号"),
        "taught": dict(en="the same: itself taught", zh="同上：教的就是这一种"),
        **named(
            dict(en="made-up kinds, never taught: {} others taught", zh="编造的、没教过的种类：教过另外 {} 种"),
            MICRO,
            "micro-{}",
        ),
        **{
            f"task-{name}": dict(en=f"one model for six tasks: {text['en']}", zh=f"一个模型做六个任务：{text['zh']}")
            for name, text in TASK_NAMES.items()
        },
    },
    metric=dict(en="right answers about places no pair is about", zh="关于问答对未提到的地方的正确回答"),
    better=f"kinds-{KINDS[-1]}",
    worse="kinds-2",
    checks=(
        Check(
            dict(
                en="5 kinds above 2, as many pairs of each kind in both",
                zh="5 种高出 2 种，每种的问答对一样多",
            ),
            lambda f: f["kinds-5"] - f["exposure"],
            at_least=0.05,
        ),
        Check(
            dict(
                en="questions above numbers in their place (FLAN's ablation of the instructions)",
                zh="用问题高出用编号（FLAN 去掉指令的对照）",
            ),
            lambda f: f["kinds-5"] - f["numbers"],
            at_least=0.05,
        ),
        Check(
            dict(en="one model for six tasks: the worst of them", zh="一个模型做六个任务：其中最差的"),
            lambda f: min(f[f"task-{name}"] for name in TASKS),
            at_least=0.5,
        ),
    ),
    budget=dict(
        en="A base model that has learned to read and sixteen tunings per seed; two kinds of six take their turn as the one never taught.",
        zh="每个种子一个学过阅读的基础模型，微调十六次；六种问题里有两种轮流作为没教过的。",
    ),
    notes=dict(
        en="A kind of question is an attribute of a place, asked about a passage of three statements of made-up facts; two of six take their turn as the one never taught, so that three seeds use all six. All tunings have 500 pairs and 120 steps, but where each kind is to occur as often (2 kinds with two fifths of both). Of 1 kind nothing can be expected: with it alone the question need not be read (seed 101: 0 of 62 questions about currencies right, all answered with the continent, which was taught; 29 % after 5 kinds); so the claim compares 5 with 2. Of attributes there are only six; made-up nouns (The bakomi of Japan is Oslo. What is the bakomi of Japan?) make as many kinds as one likes, after Raventós et al. (2306.15063); they have no threshold, since on seed 101 4 and 256 of them gave 20 and 30 %, where any value of the passage gives a third: in these steps matching words that were never read is not learned. One more model is tuned on six tasks at once, mails and summaries among them, and examined in each. An earlier version held out reading as a whole and added unlike families (mails, refusals) in equal steps: 1, 2, 4, 8 families gave 41, 40, 38, 29 % (seeds 201 to 203): they make the model take the passage for another task, and leave less of the nearest. FLAN's authors saw a loss below eight billion parameters too. Of the gain published, from 3 to 12 %: any value of the passage would give a third; by kind it goes from 0 (heights) to 30 % (capitals); with the number of kinds it changes which these are; seeds 301 and 304, and 302 and 305, hold out the same two; and of made-up kinds 256 gave less than 32.",
        zh="一种问题指地方的一种属性，就三句编造的事实组成的文章来问；六种里有两种轮流作为没教过的，三个种子就用遍六种。每次微调都是 500 对、120 步，只有要让每种出现得一样多时例外（2 种，两者都是五分之二）。只教 1 种时没有什么可指望：不读问题也行（种子 101：62 道货币题全错，回答的都是教过的大洲；教 5 种后 29 %），所以论断比较的是 5 种和 2 种。属性只有六种；编造的名词（The bakomi of Japan is Oslo. What is the bakomi of Japan?）则要多少种有多少种，仿 Raventós 等（2306.15063）；它们没有阈值，因为在种子 101 上教 4 种和 256 种得 20 % 和 30 %，而任取文中一个值就有三分之一：这么多步里，学不会对上从没读过的词。另有一个模型同时学六个任务，其中有邮件和摘要，每个都考。早先的版本把阅读整个留下不教，再用同样的步数加进不相干的任务（邮件、拒绝）：1、2、4、8 类得 41、40、38、29 %（种子 201 到 203）：它们让模型把文章当成别的任务，最接近的一类也学得更少。FLAN 的作者在 80 亿参数以下也看到变差。发布的提高是从 3 % 到 12 %，要知道：任取文中一个值就有三分之一；各种问题从 0（高度）到 30 %（首都）不等；种类的个数变了，是哪几种也变了；种子 301 和 304、302 和 305 留出的是同样两种；编造的种类，256 种还不如 32 种。",
    ),
    measure=measure,
    picture=picture,
    rehearsed={"": NOTHING},
)
