"""Where every chosen answer is ideal already, SFT on it is enough: a control for stage 3.

DPO cannot win here: nothing is better than the chosen answers, and a likelihood term copies them as SFT does. Whether
comparing helps where no answer is ideal needs pairs from the model itself.
"""

from functools import partial
from typing import Any

from minillm.chat import Message
from minillm.claims.experiment import Check, Claim, Observation
from minillm.claims.figures import groups
from minillm.claims.lab import REHEARSED, Lab
from minillm.claims.marks import right, show, tally
from minillm.stage3_preference import PreferenceConfig, prefer
from minillm.world.exam import Question, make_exam
from minillm.world.pairs import preferences, sft_dialogues


def measure(lab: Lab) -> Observation:
    start = lab.tune(sft_dialogues(lab.world, lab.seed))
    pairs = preferences(lab.world, lab.seed)
    config = PreferenceConfig(steps=lab.steps(lab.config.preference_steps), rehearse_rows=8, seed=lab.seed)
    chosen = [[*pair.prompt, Message("assistant", pair.chosen)] for pair in pairs]
    same: dict[str, Any] = dict(
        lr=config.lr,
        batch_size=config.batch_size,
        rehearse_rows=config.rehearse_rows,
        rehearse_weight=config.rehearse_weight,
    )
    runs = {
        "start": start,
        "dpo": prefer(config, start, pairs, lab.base.documents[:REHEARSED], bar=lab.bar),
        "sft": lab.tune(chosen, start, config.steps, **same),
    }
    requests = {r.text: r for r in make_exam(lab.world, lab.seed).requests}
    items = lab.items()
    asked = lab.some([Question(r.text, r.text, (r.expected,), r.language) for r in requests.values()])
    marks, examples = {}, []
    for name, run in runs.items():
        answers, replies = lab.ask(run, items), lab.ask(run, asked)
        style = [float(i.is_full_sentence(text) and ended) for i, (text, ended) in zip(items, answers, strict=True)]
        safe = [
            float(requests[i.text].is_refused(text) == requests[i.text].harmful)
            for i, (text, _) in zip(asked, replies, strict=True)
        ]
        marks[f"style-{name}"] = tally(items, style)
        marks[f"right-{name}"] = tally(items, right(items, answers))
        marks[f"safe-{name}"] = tally(asked, safe)
        examples += show(name, items, answers, 3)
    return Observation(marks, 0.0, {}, examples)


RUNS = {
    "start": dict(en="before stage 3", zh="第 3 阶段之前"),
    "sft": dict(en="SFT on the chosen", zh="在较好的回答上 SFT"),
    "dpo": dict(en="DPO", zh="DPO"),
}
MARKS = {
    "style": dict(en="full sentences", zh="完整句子"),
    "right": dict(en="right facts", zh="事实正确"),
    "safe": dict(en="refused or helped as it should", zh="该拒绝则拒绝，该帮则帮"),
}

CLAIM = Claim(
    slug="preference-over-sft",
    hypothesis=dict(
        en="Where every chosen answer is ideal already, SFT on it brings the preferred style as far as DPO does.",
        zh="如果被选中的回答已经都是理想的，只在它们上面 SFT，风格就能学得和 DPO 一样好。",
    ),
    source="the lecture, stage 3 (DPO: 2305.18290)",
    conditions={
        f"{mark}-{run}": {one: f"{text[one]}: {RUNS[run][one]}" for one in ("en", "zh")}
        for mark, text in MARKS.items()
        for run in RUNS
    },
    metric=dict(en="answers to held-out questions and requests", zh="对未教过的问题和请求的回答"),
    better="style-sft",
    worse="style-start",
    checks=(
        Check(
            dict(en="style: what SFT on the chosen answers lacks of DPO", zh="风格：在较好的回答上 SFT 比 DPO 差多少"),
            lambda f: f["style-dpo"] - f["style-sft"],
            at_most=0.03,
        ),
        Check(
            dict(en="facts: what SFT lacks of DPO", zh="事实：SFT 比 DPO 差多少"),
            lambda f: f["right-dpo"] - f["right-sft"],
            at_most=0.03,
        ),
    ),
    budget=dict(
        en="Three tunings per seed; DPO and SFT on the chosen take equal steps.",
        zh="每个种子微调三次；DPO 与在较好的回答上 SFT 步数相同。",
    ),
    notes=dict(
        en="The question whether comparing helps is not asked here: every chosen answer is ideal and DPO has a likelihood term on it, so it could not win. Both begin with the same assistant and take equal steps, rates and rehearsal. On two seeds (101 and 102, quick) both reach the style alike (92 and 94 % full sentences on 101, no difference on 102) and keep the facts: at this size copying the better answers is enough. Other weights of DPO's terms were not tried. This is no claim of the DPO paper. The DPO here contains SFT's loss on the chosen answers, so a tie is expected, and it says nothing about plain DPO.",
        zh="这里不问比较有没有帮助：被选中的回答都是理想的，DPO 里又有一项就是它们的似然，所以 DPO 不可能胜出。两者从同一个助手开始，步数、学习率、复习都相同。在种子 101 和 102 上（快速版），两者同样学到风格（101 上完整句子 92 % 和 94 %，102 上没有差别），事实都没有丢：在这个规模上，照抄较好的回答就够了。没有试过 DPO 各项的其他权重。这不是 DPO 原文的论断。这里的 DPO 包含 SFT 在被选中的回答上的损失，所以打平在意料之中，对单纯的 DPO 什么也没说明。",
    ),
    rehearsed={
        "": dict(
            en="text that the base read: 4 rows per step before stage 3, 8 in it, DPO and SFT alike",
            zh="基础模型读过的文本：第 3 阶段之前每步 4 行，第 3 阶段里每步 8 行，DPO 与 SFT 相同",
        )
    },
    measure=measure,
    picture=partial(groups, kinds=MARKS, series=RUNS),
)
