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
    "few": dict(en=f"{SIZES['few']} pairs, better one longer in 50 %", zh=f"{SIZES['few']} 对，较好的较长占 50 %"),
    "some": dict(en=f"{SIZES['some']} pairs, better one longer in 50 %", zh=f"{SIZES['some']} 对，较好的较长占 50 %"),
    "even": dict(en="all pairs, better one longer in 50 %", zh="全部，较好的较长占 50 %"),
    "longer": dict(en="all pairs, better one longer in 90 %", zh="全部，较好的较长占 90 %"),
    "shorter": dict(en="all pairs, better one longer in 10 %", zh="全部，较好的较长占 10 %"),
}
SIDES = {
    "right-longer": dict(en="the better answer is the longer one", zh="较好的回答较长"),
    "wrong-longer": dict(en="the worse answer is the longer one", zh="较差的回答较长"),
}

CLAIM = Claim(
    slug="reward-model",
    hypothesis=dict(
        en="A reward model judges unseen pairs better the more pairs it learned from; and where their better answers are mostly the longer ones, it prefers a longer worse answer.",
        zh="学过的数据对越多，奖励模型判断没见过的数据对就越准；如果学过的数据对里较好的回答大多较长，它就宁可选更长的较差回答。",
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
        Check(dict(en="longer in 50 %: right where the worse answer is the longer one", zh="50 % 较长：较差的回答较长时，判对"),
              lambda f: f["even-wrong-longer"], at_least=0.75),
        Check(dict(en="longer in 90 %: right where the worse answer is the longer one", zh="90 % 较长：较差的回答较长时，判对"),
              lambda f: f["longer-wrong-longer"], at_most=0.4),
        Check(dict(en="longer in 10 %, the mirror: right where the better answer is the longer one", zh="10 % 较长（镜像）：较好的回答较长时，判对"),
              lambda f: f["shorter-right-longer"], at_most=0.4),
        Check(dict(en="pairs like its own do not show it: longer in 90 % above longer in 50 %", zh="用和自己学的一样的数据对来考，看不出来：90 % 较长的高出 50 % 较长的"),
              lambda f: f["its own pairs, longer"] - f["its own pairs, even"], at_least=0.0),
    ),
    budget=dict(
        en=f"One assistant and five reward models ({STEPS} steps each) per seed; a tenth of the conversations is kept back, and each of its pairs judged twice.",
        zh=f"每个种子一个助手、五个奖励模型（各 {STEPS} 步）；留出十分之一的对话，其中每一对考两次。",
    ),
    notes=dict(
        en="“All” are about 3,300 pairs; each model takes 150 steps of 16, so 200 pairs are seen twelve times and not all of 3,300. A rule that takes the longer answer is right in all pairs of one side and in none of the other. Developed on seed 101; 102 was looked at when nothing was changed any more. A first form had pairs about places alone, a bare value against a full sentence, one right and one wrong: there 150 steps taught no truth (lengths even: 47 and 52 % right, from the base and from the assistant; with 90 % the longer one in every pair), so that nothing could have been compared; it was given up. From the base instead of the assistant the pairs used now were judged rightly in 75 and 56 % (the worse, the better answer longer) where lengths were even, from the assistant in 87 and 78 %, which is why they begin with the assistant. Thresholds were fixed then, before other numbers of pairs and the mirror had been run; the courtesies were made shorter after that. As it stands seeds 101 and 102 gave 75, 79, 89 % and 66, 77, 81 % with 200, 800 and all pairs; where the worse answer is the longer one 96 and 76 % with lengths even, and 27 and 28 % with 90 %. The mirror, 45 and 31 %, misses its threshold of 40 % on 101; it was left as it is. On pairs like its own the model of 90 % is ahead of the one of 50 % (92 against 89 %, 89 against 81 %). What is learned is style and requests: whether a sentence is true was told in 44 to 53 % of pairs by every one of the models. The conversations that judge are unseen, their answers often not: with 200, 800 and all pairs 40, 56 and 73 % of them (43, 61 and 80 % on 102) have the same two answers as a learned pair, under another wording, courtesies aside; so more pairs are partly more of these. Not tried: other numbers of steps, stopping early, larger models, a term that takes length out of the reward, other shares than 10, 50 and 90 %.",
        zh="“全部”大约是 3,300 对；每个模型都学 150 步、每步 16 对，所以 200 对会看到十二遍，3,300 对则看不全。只挑较长回答的规则，一边全对，另一边全错。用种子 101 开发；看种子 102 时，什么都不再改动。最初的形式只用关于地方的数据对，一个光是值、一个是完整句子，一个对、一个错：150 步学不到真假（长度均衡时，从基础模型和从助手开始分别判对 47 % 和 52 %；90 % 较长时，每一对都选较长的），没有什么可比的，所以放弃了。现在用的数据对，长度均衡时，从基础模型开始判对 75 % 和 56 %（较差的、较好的回答较长），从助手开始是 87 % 和 78 %，所以从助手开始。阈值在那时定下，其他数量的数据对和镜像都还没有跑；之后又把客套话改短了。现在的形式在种子 101 和 102 上，200 对、800 对、全部分别是 75、79、89 % 和 66、77、81 %；较差的回答较长时，长度均衡的是 96 % 和 76 %，90 % 较长的是 27 % 和 28 %。镜像是 45 % 和 31 %，在 101 上没有守住不超过 40 % 的阈值，阈值没有改动。用和自己学的一样的数据对来考，90 % 的模型比 50 % 的还高（92 % 对 89 %，89 % 对 81 %）。学到的是风格和对请求的处理：一句话是真是假，每个模型都只判对 44 % 到 53 %。用来考的对话没见过，回答却常常见过：学 200 对、800 对、全部时，其中 40、56、73 %（种子 102 是 43、61、80 %）的两个回答与学过的某一对相同（客套话除外），只是问法不同；所以“更多”有一部分就是这样的更多。没有试过：别的步数、提前停止、更大的模型、从奖励里扣掉长度的项、10 %、50 %、90 % 以外的比例。",
    ),
    rehearsed={"": dict(en="the assistant: text that its base read, 4 rows per step; the reward models: nothing",
                        zh="助手：它的基础模型读过的文本，每步 4 行；奖励模型：不复习")},
    measure=measure,
    picture=partial(groups, kinds=SETS, series=SIDES),
)  # fmt: skip
