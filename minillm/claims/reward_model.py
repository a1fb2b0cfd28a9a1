"""A reward model gets better with more pairs; and where the better answer is mostly the longer one, it learns length.

One answer of each pair gets courtesies, which say nothing and make it the longer one. All sets hold the same pairs with
the same courtesies and differ only in whose answer gets them: the better one in a half, nine tenths or a tenth of the
pairs. The judges are pairs of conversations in none of the sets, with courtesies in other words: so a model that likes
these likes length, not a phrase.

Sources: Stiennon et al. 2020 (2009.01325, figure 6: more comparisons, better accuracy), Singhal et al. 2023
(2310.03716: what a reward model learns from pairs is largely length).
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from minillm.chat import Preference
from minillm.claims.experiment import Check, Claim, Observation, mean
from minillm.claims.figures import groups
from minillm.claims.lab import Lab
from minillm.claims.marks import Marks
from minillm.stage3_preference.pairs import encode_preferences
from minillm.stage3_preference.reward_model import (
    RewardConfig,
    calibration_error,
    kept_back,
    pair_margins,
    reward_model,
)
from minillm.world.pairs import REFUSAL, preferences, sft_dialogues

STEPS = 150  # as `reward` takes, whatever the number of pairs
SIZES = {"few": 200, "some": 800}
LONGER = {"even": 0.5, "longer": 0.9, "shorter": 0.1}
"""Of each set of all pairs the share whose better answer is the longer one."""
COURTESIES = {
    "en": ("I hope that this helps.", "Thank you for the question.", "Please ask me again."),
    "zh": ("希望这对你有用。", "谢谢你的问题。", "请再来问我。"),
}
OTHERS = {
    "en": ("That is all I know.", "You are always welcome.", "Have a very good day."),
    "zh": ("我知道的就这些。", "随时欢迎你来。", "祝你今天愉快。"),
}
"""Courtesies of the pairs that judge; no learned one is among them."""


def in_chinese(text: str) -> bool:
    return any("一" <= character <= "鿿" for character in text)


def longer_by(text: str, other: str, courtesies: Sequence[str]) -> str:
    """The text and after it courtesies, at least one and as many as make it longer than the other."""
    stop, space = ("。", "") if in_chinese(courtesies[0]) else (".", " ")
    text += "" if text.endswith((".", "。")) else stop
    for courtesy in courtesies:
        text += space + courtesy
        if len(text) > len(other):
            break
    return text


def lengthened(
    pairs: Sequence[Preference], longer: float, words: Mapping[str, Sequence[str]], seed: int
) -> list[Preference]:
    """The pairs with courtesies on the better answer of a share of them, and on the worse one of the others. With one
    seed a pair gets the same courtesies whatever the share, and on the better answer for every share above some."""
    rng, found = random.Random(seed), []
    for pair in pairs:
        some = rng.sample(words["zh" if in_chinese(pair.prompt[-1].content) else "en"], 3)
        if rng.random() < longer:
            found.append(replace(pair, chosen=longer_by(pair.chosen, pair.rejected, some)))
        else:
            found.append(replace(pair, rejected=longer_by(pair.rejected, pair.chosen, some)))
    return found


def kind(pair: Preference) -> str:
    """What the better answer of a pair of the world has: a full sentence, or the truth in one; a refusal or a tip,
    whichever is asked for; or it answers this question and not another."""
    if pair.rejected in pair.chosen:
        return "style"
    if {pair.chosen, pair.rejected} & set(REFUSAL.values()):
        return "request"
    return "truth" if pair.chosen.endswith((".", "。")) and pair.rejected.endswith((".", "。")) else "other"


def by_kind(kinds: Sequence[str], right: Sequence[float]) -> dict[str, list[float]]:
    """Kind -> (sum of marks, number)."""
    numbers = Counter(kinds)
    return {
        name: [sum(mark for one, mark in zip(kinds, right, strict=True) if one == name), count]
        for name, count in numbers.items()
    }


def added(*parts: Marks) -> dict[str, list[float]]:
    """Marks of the same kinds from several sets of pairs."""
    return {name: [sum(part[name][i] for part in parts) for i in (0, 1)] for name in parts[0]}


def measure(lab: Lab) -> Observation:
    start = lab.tune(sft_dialogues(lab.world, lab.seed))
    held, learned = kept_back(preferences(lab.world, lab.seed), 0.1, lab.seed)
    kinds = [kind(pair) for pair in held]
    judges = {
        side: encode_preferences(lengthened(held, share, OTHERS, lab.seed), start.tokenizer, start.gpt.config.n_ctx)
        for side, share in (("right-longer", 1.0), ("wrong-longer", 0.0))
    }
    sets = {name: lengthened(learned, share, COURTESIES, lab.seed) for name, share in LONGER.items()}
    marks: dict[str, dict[str, list[float]]] = {}
    figures = {"pairs": float(len(learned))}
    for name, pairs in ({few: sets["even"][:n] for few, n in SIZES.items()} | sets).items():
        config = RewardConfig(steps=lab.steps(STEPS), validation=0.0, seed=lab.seed)
        run = reward_model(config, start, pairs, bar=lab.bar)
        for side, judge in judges.items():
            margins = pair_margins(run.gpt, judge, run.tokenizer.pad)  # (N)
            marks[f"{name}-{side}"] = by_kind(kinds, (margins > 0).double().tolist())
            figures[f"calibration error, {name}-{side}"] = calibration_error(margins)
        marks[name] = added(*(marks[f"{name}-{side}"] for side in judges))
        figures |= {f"{one}, {name}": total / count for one, (total, count) in marks[name].items()}
    for name, share in LONGER.items():  # of pairs like those that it learned from
        right, wrong = (mean(marks[f"{name}-{side}"]) for side in ("right-longer", "wrong-longer"))
        figures[f"its own pairs, {name}"] = share * right + (1 - share) * wrong
    return Observation(marks, 0.0, figures)


SETS = {
    "few": dict(en=f"{SIZES['few']} pairs, longer in half", zh=f"{SIZES['few']} 对，一半较长"),
    "some": dict(en=f"{SIZES['some']} pairs, longer in half", zh=f"{SIZES['some']} 对，一半较长"),
    "even": dict(en="all pairs, longer in half", zh="全部，一半较长"),
    "longer": dict(en="all pairs, longer in 90 %", zh="全部，90 % 较长"),
    "shorter": dict(en="all pairs, longer in 10 %", zh="全部，10 % 较长"),
}
SIDES = {
    "right-longer": dict(en="the better answer is the longer one", zh="较好的回答较长"),
    "wrong-longer": dict(en="the worse answer is the longer one", zh="较差的回答较长"),
}

CLAIM = Claim(
    slug="reward-model",
    hypothesis=dict(
        en="A reward model judges unseen pairs better the more pairs it learned from; and where their better answers are mostly the longer ones, it prefers a longer worse answer.",
        zh="学过的数据对越多，奖励模型判断没见过的数据对就越准；如果其中较好的回答大多也较长，它就宁可选更长的坏回答。",
    ),
    source="Stiennon et al. 2020 (2009.01325); Singhal et al. 2023 (2310.03716)",
    conditions=dict(SETS)
    | {
        f"{name}-{side}": dict(en=f"{text['en']}; judging: {of['en']}", zh=f"{text['zh']}；考：{of['zh']}")
        for name, text in SETS.items()
        for side, of in SIDES.items()
    },
    metric=dict(en="pairs judged rightly", zh="判对的数据对"),
    better="even",
    worse="few",
    checks=(
        Check(dict(en=f"more pairs help: all above {SIZES['few']}", zh=f"数据对多有好处：全部高出 {SIZES['few']} 对"),
              lambda f: f["even"] - f["few"], at_least=0.05),
        Check(dict(en=f"they still help: all above {SIZES['some']}", zh=f"再多还有好处：全部高出 {SIZES['some']} 对"),
              lambda f: f["even"] - f["some"], at_least=0.0),
        Check(dict(en="longer in half: right where the worse answer is the longer one", zh="一半较长：较差的回答较长时，判对"),
              lambda f: f["even-wrong-longer"], at_least=0.75),
        Check(dict(en="longer in 90 %: right where the worse answer is the longer one", zh="90 % 较长：较差的回答较长时，判对"),
              lambda f: f["longer-wrong-longer"], at_most=0.4),
        Check(dict(en="longer in 10 %, the mirror: right where the better answer is the longer one", zh="10 % 较长（镜像）：较好的回答较长时，判对"),
              lambda f: f["shorter-right-longer"], at_most=0.4),
        Check(dict(en="pairs like its own do not show it: longer in 90 % above longer in half", zh="用和自己学的一样的数据对来考，看不出来：90 % 较长的高出一半较长的"),
              lambda f: f["its own pairs, longer"] - f["its own pairs, even"], at_least=0.0),
    ),
    budget=dict(
        en=f"One assistant and five reward models ({STEPS} steps each) per seed; a tenth of the conversations is kept back, and each of its pairs judged twice.",
        zh=f"每个种子一个助手、五个奖励模型（各 {STEPS} 步）；留出十分之一的对话，其中每一对考两次。",
    ),
    notes=dict(en="NOTES", zh="NOTES"),
    rehearsed={"": dict(en="the assistant: text that its base read, 4 rows per step; the reward models: nothing",
                        zh="助手：它的基础模型读过的文本，每步 4 行；奖励模型：不复习")},
    measure=measure,
    picture=partial(groups, kinds=SETS, series=SIDES),
)  # fmt: skip
