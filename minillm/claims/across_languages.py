"""What is taught in one language helps in another (Hsu et al. 2019, 1909.09587), from memory.

The source answers questions about a given passage; here the facts come from stage 1, which read both
languages. Part (a) of the source, a passage given, is not measured here.
"""

from functools import partial

from minillm.claims.experiment import Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab, right, show, tally

FEW, MANY = 16, 512


def measure(lab: Lab) -> Observation:
    items = lab.items(languages=("zh",))
    english, chinese = lab.facts(languages=("en",))[:MANY], lab.facts(languages=("zh",))
    sets = {
        "english": english,
        "few": chinese[:FEW],
        "few-english": lab.mixed([*english, *chinese[:FEW] * 4]),
        "chinese": chinese[:MANY],
    }
    marks, examples = {}, []
    for name, pairs in sets.items():
        answers = lab.ask(lab.tune(pairs), items)
        marks[name] = tally(items, right(items, answers))
        examples += show(name, items, answers)
    return Observation(marks, 0.0, {}, examples)


CLAIM = Claim(
    slug="across-languages",
    hypothesis=dict(
        en=f"English pairs help to answer in Chinese: added to {FEW} Chinese pairs they raise the score.",
        zh=f"英文的问答对有助于用中文回答：加到 {FEW} 个中文问答对上，得分提高。",
    ),
    source="1909.09587, asked from memory",
    conditions={
        "english": dict(en=f"{MANY} English (zero-shot)", zh=f"{MANY} 对英文（零样本）"),
        "few": dict(en=f"{FEW} Chinese", zh=f"{FEW} 对中文"),
        "few-english": dict(en=f"{FEW} Chinese + {MANY} English", zh=f"{FEW} 对中文 + {MANY} 对英文"),
        "chinese": dict(en=f"{MANY} Chinese", zh=f"{MANY} 对中文"),
    },
    metric=dict(en="right answers in Chinese about held-out places", zh="用中文问未教过的地方，正确的回答"),
    better="few-english",
    worse="few",
    checks=(
        Check(
            dict(en="gain by adding the English pairs", zh="加上英文问答对的提高"),
            lambda f: f["few-english"] - f["few"],
            at_least=0.0,
        ),
    ),
    budget=dict(en="Four tunings a seed.", zh="每个种子微调四次。"),
    notes=dict(
        en="Zero-shot, English pairs alone give next to no right answer in Chinese (0.4 % on seed 101). Part (a) of the source, a passage given, is not measured: prototypes answered such questions in English. The Chinese pairs are repeated four times in the mixture.",
        zh="零样本：只有英文问答对时，用中文几乎答不对（种子 101 上 0.4 %）。原文的 (a)，即给出文章再提问，没有测量：原型用英文回答了这类问题。混合时中文问答对重复四次。",
    ),
    measure=measure,
    picture=partial(bars, names=("english", "few", "few-english", "chinese")),
)
