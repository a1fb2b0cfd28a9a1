"""A model that knows what it does not know: a reward for truth, in which "I do not know" is worth more than an error.

The base has read no fact about half of the places, and so what a tuned model says of these can only be made up. Of the
places read half are taught, a quarter is practised on and a quarter is asked; of those unread, half are practised on
and half are asked. So no pair and no practice speaks of a place that decides. The controls: the same pairs and no more;
the facts that were not read, taught as if they had been (Gekhman); pairs that say where not to know (Zhang).

Sources: Schulman 2023 (a talk: reinforcement learning from human feedback, progress and challenges), Gekhman et al. 2024
(2405.05904), Zhang et al. 2023 (2311.09677, R-Tuning).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from minillm.chat import Message, turn
from minillm.claims.experiment import Check, Claim, Observation
from minillm.claims.figures import groups
from minillm.claims.lab import REHEARSE_ROWS, REHEARSED, Lab
from minillm.claims.marks import show, tally
from minillm.run_folder import Run
from minillm.stage3_preference.grpo import GRPOConfig, grpo
from minillm.world.exam import Question
from minillm.world.tables import ATTRIBUTES, Place

UNSURE = {"en": "I do not know.", "zh": "我不知道。"}
ALOUD = 0.1  # share of the first pairs, drawn by lot, that answer so: practice can only strengthen what happens
RIGHT, NOT_SAID, WRONG = 1.0, 0.0, -1.0
STEPS, LR, BETA = 120, 6e-4, 0.01


def verdict(item: Question, answer: str, ended: bool = True) -> float:
    """RIGHT for an accepted answer, NOT_SAID for "I do not know", WRONG for another one and for one that was cut."""
    if not ended:
        return WRONG
    if answer.strip() in UNSURE.values():
        return NOT_SAID
    return RIGHT if item.is_right(answer) else WRONG


def questions(lab: Lab, places: Sequence[Place]) -> list[Question]:
    """Every fact of the places in every wording of SFT, in random order."""
    return lab.mixed(
        Question(place.names["en"], text, accepted, language, relation)
        for place, language, relation, accepted in lab.world.facts(places, relations=ATTRIBUTES)
        for text in lab.world.write("question", place, relation, language)
    )


def true_pairs(items: Sequence[Question]) -> list[list[Message]]:
    """Each question with its bare answer."""
    return [turn(item.text, item.accepted[0]) for item in items]


def unsure_pairs(items: Sequence[Question]) -> list[list[Message]]:
    """Each question with "I do not know"."""
    return [turn(item.text, UNSURE[item.language]) for item in items]


def practise(lab: Lab, start: Run, items: Sequence[Question], text: Sequence[str]) -> Run:
    """GRPO with the truth as reward."""
    known = {item.text: item for item in items}

    def truth_or_silence(question: str, answer: str) -> float:
        return verdict(known[question], answer)

    small: dict[str, Any] = dict(batch_size=2, group=2, max_new_tokens=4) if lab.size == "smoke" else {}
    config = GRPOConfig(
        steps=lab.steps(lab.pick(STEPS, 80)), lr=LR, beta=BETA, cut_reward=WRONG, rehearse_rows=REHEARSE_ROWS,
        seed=lab.seed, **small,
    )  # fmt: skip
    return grpo(config, start, [item.messages for item in items], text, bar=lab.bar, reward=truth_or_silence)


def measure(lab: Lab) -> Observation:
    base = lab.base_without_facts(lab.held_out)
    read, unread = lab.mixed(lab.taught), lab.mixed(lab.held_out)
    taught, practised, unheard = (questions(lab, part) for part in (read[::2], read[1::4], unread[::2]))
    unheard = unheard[: len(practised)]  # as many questions that it can answer as others, or silence pays too often
    asked = {
        "known": lab.items(read[3::4], relations=ATTRIBUTES),
        "unknown": lab.items(unread[1::2], relations=ATTRIBUTES),
    }
    text = base.documents[:REHEARSED]
    tune = partial(lab.tune, base=base)
    silent = int(ALOUD * len(taught))
    start = tune(lab.mixed(unsure_pairs(taught[:silent]) + true_pairs(taught[silent:])))
    ways: dict[str, Callable[[], Run]] = {
        "sft": lambda: tune(lab.mixed(true_pairs(taught + practised))),
        "new": lambda: tune(lab.mixed(true_pairs(taught + practised + unheard))),
        "lot": lambda: start,
        "told": lambda: tune(lab.mixed(true_pairs(taught + practised) + unsure_pairs(unheard))),
        "truth": lambda: practise(lab, start, lab.mixed(practised + unheard), text),
    }
    marks, figures, examples = {}, {}, []
    for way, make in ways.items():
        run = make()
        for kind, items in asked.items():
            answers = lab.ask(run, items)
            found = [verdict(item, *answer) for item, answer in zip(items, answers, strict=True)]
            # of what it has read the right answers count, of what it has not those that are not wrong
            least = RIGHT if kind == "known" else NOT_SAID
            marks[f"{kind}-{way}"] = tally(items, [float(v >= least) for v in found])
            for name, value in (("right", RIGHT), ("does not know", NOT_SAID), ("wrong", WRONG)):
                figures[f"{name}, {kind}-{way}"] = found.count(value) / len(found)
            examples += show(f"{kind}-{way}", items, answers, 2)
    return Observation(marks, 0.0, figures, examples)


KINDS = {
    "unknown": dict(en="places never read: not wrong", zh="没读过的地方：没有答错"),
    "known": dict(en="places read, never practised: right", zh="读过、没练过的地方：答对"),
}
WAYS = {
    "sft": dict(en="SFT", zh="SFT"),
    "new": dict(en="SFT, unread facts too", zh="SFT，也教没读过的事实"),
    "lot": dict(en="“I do not know” by lot", zh="随机说“我不知道”"),
    "told": dict(en="pairs say where not to know", zh="问答对指明哪些不知道"),
    "truth": dict(en="by lot, then truth as reward", zh="先随机说，再以真相为奖励"),
}


def picture(axes: Any, claim: Claim, result: dict, language: str) -> None:
    """Both kinds of places, with names of the ways that fit into a legend."""
    short = {
        "told": dict(en="pairs say where", zh="问答对指明哪些"),
        "truth": dict(en="by lot, then truth", zh="先随机，再以真相为奖励"),
    }
    groups(axes, claim, result, language, KINDS, WAYS | short)


CLAIM = Claim(
    slug="knows-what-it-knows",
    hypothesis=dict(
        en="A reward for truth that prefers “I do not know” to an error teaches a model to say so, mostly about places of which it has read no fact.",
        zh="以真相为奖励，并让“我不知道”好过答错，模型就学会这么说，而且主要是对没读过事实的地方。",
    ),
    source="Schulman 2023 (talk); Gekhman et al. 2024 (2405.05904); R-Tuning (2311.09677)",
    conditions={
        f"{kind}-{way}": {one: f"{text[one]}{': ' if one == 'en' else '：'}{WAYS[way][one]}" for one in ("en", "zh")}
        for kind, text in KINDS.items()
        for way in WAYS
    },
    metric=dict(
        en="not wrong (places read: right)", zh="没有答错（读过的地方：答对）"
    ),
    better="unknown-truth",
    worse="unknown-lot",
    checks=(
        Check(dict(en="SFT makes things up: wrong about places never read", zh="SFT 会编造：没读过的地方答错"),
              lambda f: f["wrong, unknown-sft"], at_least=0.8),
        Check(dict(en="with truth as reward: wrong about places never read", zh="以真相为奖励：没读过的地方答错"),
              lambda f: f["wrong, unknown-truth"], at_most=0.15),
        Check(dict(en="right about places read: after practice minus before", zh="读过的地方答对：练习之后减去之前"),
              lambda f: f["known-truth"] - f["known-lot"], at_least=-0.03),
        Check(dict(en="it knows which: “I do not know” of places never read, minus of places read", zh="分得清：没读过的地方说“我不知道”，减去读过的地方"),
              lambda f: f["does not know, unknown-truth"] - f["does not know, known-truth"], at_least=0.5),
        Check(dict(en="not wrong and right, in the mean: truth as reward above pairs that say where not to know", zh="没答错与答对的平均：以真相为奖励，高出“问答对指明哪些不知道”"),
              lambda f: (f["unknown-truth"] + f["known-truth"] - f["unknown-told"] - f["known-told"]) / 2, at_least=0.0),
        Check(dict(en="taught facts that it has not read, it is right less often about what it has", zh="教了没读过的事实，读过的反而答对得少"),
              lambda f: f["known-sft"] - f["known-new"], at_least=0.0),
    ),
    budget=dict(
        en="One base that has read no fact about half of the places, four tunings and 120 steps of GRPO (24 questions, 8 answers each) per seed.",
        zh="每个种子一个没读过半数地方事实的基础模型、四次微调和 120 步 GRPO（每步 24 个问题，各 8 个回答）。",
    ),
    notes=dict(
        en="All settings were chosen on seed 101, and no reported seed was run before. There, with three answers in ten by lot in place of one, a third of the places read in each part and all questions about the others (120 steps at half of this rate, β 0.03), practice left 3.6 % wrong about places never read, and 65 % right about places read, hardly more than the 64 % before it; pairs that say where not to know had 9.5 and 91 %, SFT 94.6 and 96 %. One answer in ten by lot, and 200 steps: 11.9 and 76 %; 120 steps at this rate and β 0.01: 9.5 and 75 %, against 81 % before. With more places taught at first, and as many questions about places read as about others in practice, 10.7 and 85 %, against 84 % before: this was kept, and the controls were not run again. The thresholds were written before the first of these runs; but the third compared with SFT then, whose pairs are about more places, and compares with the model before practice now. With right +1, “I do not know” 0 and wrong −1 an answer pays from a chance of one half on. The base has met the names of all places and questions about them, not what answers these. Of a place all facts were read or none, and names of places without facts are rarer (48 to 196 documents against 435 to 732), so the name alone may tell; which single facts it has read is not asked here. Of places never read 2 to 5 % of the answers were right by guessing. As published, the truth as reward costs 20 points [10, 30] of right answers about places read, against SFT. Pairs that say where not to know need somebody who knows what the base has read; the reward does not. Not tried: other penalties, PPO, a start without “I do not know”, more than one base.",
        zh="所有设置都在种子 101 上选定，报告的种子此前一个也没有跑过。在 101 上，随机换掉的是三成而不是一成，读过的地方每部分各三分之一，另一半地方的问题全用上（120 步，学习率是现在的一半，β 0.03）：练习之后，没读过的地方答错 3.6 %，读过的答对 65 %，比之前的 64 % 几乎没有提高；指明哪些不知道的问答对是 9.5 % 和 91 %，SFT 是 94.6 % 和 96 %。换掉一成、200 步：11.9 % 和 76 %；120 步、现在的学习率、β 0.01：9.5 % 和 75 %，练习之前是 81 %。起初多教一些地方，练习时读过的和没读过的问题一样多：10.7 % 和 85 %，练习之前是 84 %；采用的就是这一种，各个对照没有重跑。阈值在第一次运行之前写定；不过第三个当时是与 SFT 相比（它的问答对涉及更多地方），现在是与练习之前的模型相比。答对 +1、“我不知道” 0、答错 −1，把握过半，回答才划算。基础模型见过所有地方的名字，也见过关于它们的问题，没见过的是答案。一个地方的事实要么全读过，要么全没读过，没读过事实的地方名字也更少见（48 到 196 篇文档，读过的 435 到 732 篇），所以可能只凭名字就能分辨；这里没有考它能不能分清读过哪一条事实。没读过的地方有 2 % 到 5 % 是蒙对的。发布的结果里，以真相为奖励，读过的地方答对的比 SFT 少 20 个百分点 [10, 30]。问答对要指明哪些不知道，就得有人知道基础模型读过什么；奖励不需要。没有试过：别的扣分、PPO、起初不说“我不知道”、不止一个基础模型。",
    ),
    rehearsed={"": dict(en="text that the base read, 4 rows per step; it states facts about the places read, also those asked, and none about the others",
                        zh="基础模型读过的文本，每步 4 行；其中有读过的地方的事实，也包括考的，没有其他地方的")},
    measure=measure,
    picture=picture,
)  # fmt: skip
