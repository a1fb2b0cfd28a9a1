"""Where no answer is ideal: does comparing answers get further than imitating the best of them?

Asked to tell about a place, the assistant was shown one or two facts. An answer is the better, the more true facts it
tells and the fewer other sentences: that grades every answer, and nobody wrote down the best one. Five ways learn from
the model's own answers, with the same prompts, as many answers, updates and the same rate. Two take answers drawn once,
from the assistant as it was: SFT on the best of each eight, and DPO on the best against the worst. Three draw anew for
each update: rejection-sampling fine-tuning (RFT) on the best of each eight, GRPO and PPO on all. No prompt is about a
place that decides.

A way that changes more may gain more and lose more of the exam. So all are also compared at equal exam score, along the
line of weights from the assistant to the tuned model.

Sources: Tajwar et al. 2024 (2404.14367: on-policy data, and a gradient against bad answers), Rafailov et al. 2023
(2305.18290), Touvron et al. 2023 (2307.09288, RFT), Wortsman et al. 2022 (2109.01903: weights between two models).
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from minillm.chat import Message, Preference, turn
from minillm.claims.experiment import Check, Claim, Observation, mean
from minillm.claims.figures import COLOURS
from minillm.claims.lab import REHEARSE_ROWS, REHEARSED, Lab
from minillm.claims.marks import right, show, tally
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.stage3_preference import PreferenceConfig, prefer
from minillm.stage3_preference.grpo import GRPOConfig, grpo
from minillm.stage3_preference.ppo import PPOConfig, ppo
from minillm.stage3_preference.rollouts import answer_log_probs, encode_prompts, sample
from minillm.world.exam import Question
from minillm.world.pairs import sft_dialogues
from minillm.world.tables import ATTRIBUTES, LANGUAGES, Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TELL = {
    "en": ("Tell me about {p}.", "What do you know about {p}?", "Describe {p}."),
    "zh": ("介绍一下{p}。", "你知道{p}的哪些事？", "说说{p}。"),
}
SHOWN = (1, 2)  # facts in an answer that SFT is shown, by lot
UPDATES, PROMPTS, GROUP, LONGEST = 60, 12, 8, 48  # prompts of an update; answers to each; tokens of an answer
LR, DPO_BETA = 3e-4, 0.1
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the way from the assistant's weights to the tuned ones
GIVEN_UP = 0.05  # of the exam score, where the ways are compared at equal exam score


@dataclass(frozen=True)
class Story:
    """A prompt to tell about a place, with all that is true of it."""

    question: Question
    sentences: Mapping[str, str]
    """Every wording of every fact in the prompt's language -> which fact."""

    def told(self, answer: str) -> tuple[int, int]:
        """How many facts the answer tells, and how many of its sentences are anything else: false, of another place,
        said before, or no sentence."""
        found, others, rest = set[str](), 0, answer.strip()
        while rest:
            known = next((s for s in self.sentences if rest.startswith(s)), "")
            fact = self.sentences.get(known, "")
            if known and fact not in found:
                found.add(fact)
            else:
                others += 1
            ends = [i + 1 for mark in ".。" if (i := rest.find(mark)) >= 0]
            rest = rest[len(known) or min(ends, default=len(rest)) :].strip()
        return len(found), others

    def grade(self, answer: str) -> float:
        """Facts told, less all other sentences."""
        true, others = self.told(answer)
        return float(true - others)


def stories(lab: Lab, places: Sequence[Place]) -> list[Story]:
    """Every prompt about these places."""
    found = []
    for place in places:
        for language in LANGUAGES:
            sentences = {s: a for a in ATTRIBUTES for s in lab.world.write("statement", place, a, language)}
            for text in TELL[language]:
                asked = Question(place.names["en"], text.format(p=place.names[language]), (), language)
                found.append(Story(asked, sentences))
    return found


def first_answers(lab: Lab, told: Sequence[Story]) -> list[list[Message]]:
    """What SFT is shown: one or two facts, drawn by lot, in a wording drawn by lot."""
    rng, pairs = lab.random(), []
    for story in told:
        facts = sorted(set(story.sentences.values()))
        some = rng.sample(facts, min(rng.choice(SHOWN), len(facts)))
        wordings = [[s for s, fact in story.sentences.items() if fact == one] for one in some]
        space = " " if story.question.language == "en" else ""
        pairs.append(turn(story.question.text, space.join(map(rng.choice, wordings))))
    return pairs


def own_pairs(
    lab: Lab, run: Run, practised: Sequence[Story], groups: int, group: int, longest: int
) -> list[Preference]:
    """The best and the worst of each `group` answers of the assistant; none where all are as good. As in practice, an
    answer that was cut counts as 0."""
    grades = {story.question.text: story.grade for story in practised}
    pairs = []
    for begin in range(0, groups, len(practised)):
        asked = [story.question for story in practised[: groups - begin]]
        prompts = encode_prompts([q.messages for q in asked], run.tokenizer, run.gpt.config.n_ctx - longest)
        sampling = Sampling(longest, 1.0, seed=1000 * lab.seed + begin)
        drawn = sample(run.gpt, run.tokenizer, prompts, lambda q, a: grades[q](a), sampling, group)
        for i, prompt in enumerate(prompts):
            rows = slice(i * group, (i + 1) * group)
            rewards, answers = drawn.rewards[rows], drawn.answers[rows]
            if rewards.max() > rewards.min():
                best, worst = answers[int(rewards.argmax())], answers[int(rewards.argmin())]
                pairs.append(Preference((Message("user", prompt.question),), best, worst))
    return pairs


def between(start: Run, end: Run, share: float) -> Run:
    """The model whose weights are that share of the way from one to the other."""
    model = copy.deepcopy(end.gpt)
    with torch.no_grad():
        for p, first in zip(model.parameters(), start.gpt.parameters(), strict=True):
            p.copy_(torch.lerp(first, p, share))
    return Run(model, end.tokenizer)


def at_equal_exam(points: Sequence[tuple[float, float]], least: float) -> float:
    """The most that is told where the exam score is at least `least`. Points are (told, exam score) along the way from
    the assistant; between two of them a straight line, and what follows the first fall below is left out."""
    best = points[0][0]
    for (told, score), (told_next, score_next) in pairwise(points):
        if score_next < least:
            share = (score - least) / (score - score_next)
            return max(best, told + share * (told_next - told))
        best = max(best, told_next)
    return best


def divergence(run: Run, start: Run, asked: Sequence[Story], longest: int, seed: int) -> float:
    """KL(tuned ‖ assistant) of whole answers, in nats: the mean log-ratio of four answers to each prompt."""
    conversations = [story.question.messages for story in asked]
    prompts = encode_prompts(conversations, run.tokenizer, run.gpt.config.n_ctx - longest)
    own = sample(run.gpt, run.tokenizer, prompts, lambda q, a: 0.0, Sampling(longest, 1.0, seed=seed), 4)
    with torch.no_grad():
        reference = answer_log_probs(start.gpt, own.batch, 1.0)  # (R, T)
    return (own.log_probs - reference).sum(-1).mean().item()  # (R, T) -> (R)


def measure(lab: Lab) -> Observation:
    practised, asked = lab.mixed(stories(lab, lab.taught)), stories(lab, lab.held_out)
    asked = {"full": asked, "quick": asked[::3], "smoke": asked[:12]}[lab.size]
    start = lab.tune(lab.mixed([*sft_dialogues(lab.world, lab.seed), *first_answers(lab, practised)]))
    text, conversations = lab.base.documents[:REHEARSED], [story.question.messages for story in practised]
    small = lab.size == "smoke"
    steps: dict[str, Any] = dict(steps=lab.steps(lab.pick(UPDATES, 40)), batch_size=2 if small else PROMPTS, lr=LR)
    tuned: dict[str, Any] = steps | dict(rehearse_rows=REHEARSE_ROWS, rehearse_weight=1.0, seed=lab.seed)
    drawn: dict[str, Any] = dict(group=2 if small else GROUP, max_new_tokens=4 if small else LONGEST)
    grades = {story.question.text: story.grade for story in practised}

    def reward(question: str, answer: str) -> float:
        return grades[question](answer)

    pairs = own_pairs(lab, start, practised, steps["steps"] * steps["batch_size"], *drawn.values())
    pairs = pairs or [Preference((Message("user", "?"),), "a", "b")]  # a smoke run's answers may all be as good
    chosen = [[*pair.prompt, Message("assistant", pair.chosen)] for pair in pairs]
    compared = PreferenceConfig(**tuned, beta=DPO_BETA, likelihood=0.0)
    practise: dict[str, Any] = dict(rehearsal=text, bar=lab.bar, reward=reward)
    ways: dict[str, Callable[[], Run]] = {
        "start": lambda: start,
        "sft": lambda: lab.tune(chosen, start, **steps),
        "dpo": lambda: prefer(compared, start, pairs, text, bar=lab.bar),
        "rft": lambda: grpo(GRPOConfig(**tuned, **drawn, method="rft"), start, conversations, **practise),
        "grpo": lambda: grpo(GRPOConfig(**tuned, **drawn), start, conversations, **practise),
        "ppo": lambda: ppo(PPOConfig(**tuned, **drawn), start, conversations, **practise),
    }
    marks, figures, examples = {}, {"pairs": float(len(pairs))}, []
    questions, facts = [story.question for story in asked], lab.items()
    for way, make in ways.items():
        run, points = make(), []
        for share in SHARES if way != "start" else (1.0,):
            model = run if share == 1 else between(start, run, share)
            answers = lab.ask(model, questions, Sampling(LONGEST))
            told = [story.told(a) if ended else (0, 0) for story, (a, ended) in zip(asked, answers, strict=True)]
            of = [len(set(story.sentences.values())) for story in asked]
            net = tally(questions, [(true - others) / n for (true, others), n in zip(told, of, strict=True)])
            exam = tally(facts, right(facts, lab.ask(model, facts)))
            points.append((mean(net), mean(exam)))
            figures[f"told {share:g}, {way}"], figures[f"exam {share:g}, {way}"] = points[-1]
        marks[f"told-{way}"], marks[f"exam-{way}"] = net, exam
        figures[f"true, {way}"], figures[f"others, {way}"] = (sum(t) / len(told) for t in zip(*told, strict=True))
        figures[f"KL, {way}"] = divergence(run, start, asked, drawn["max_new_tokens"], lab.seed)
        first = figures["told 1, start"], figures["exam 1, start"]
        figures[f"equal, {way}"] = at_equal_exam([first, *points], first[1] - GIVEN_UP)
        examples += show(f"told-{way}", questions, answers, 3)
    return Observation(marks, 0.0, figures, examples)


def picture(axes: "Axes", claim: Claim, result: dict, language: str) -> None:
    """What is told against the exam score, from the assistant (a star) along the way to each tuned model."""
    figures = {name: fmean(values) for name, values in result["figures"].items()}
    first = figures["exam 1, start"], figures["told 1, start"]
    for way, colour in zip(list(WAYS)[1:], COLOURS, strict=False):
        points = [first, *((figures[f"exam {share:g}, {way}"], figures[f"told {share:g}, {way}"]) for share in SHARES)]
        exam, told = ([100 * value for value in part] for part in zip(*points, strict=True))
        imitates = way in ("sft", "rft")
        axes.plot(exam, told, "--o" if imitates else "-o", color=colour, markersize=4, label=WAYS[way][language])
    axes.plot(100 * first[0], 100 * first[1], "*", color="black", markersize=11, label=WAYS["start"][language])
    axes.axvline(100 * (first[0] - GIVEN_UP), color="#777777", linewidth=0.8, linestyle=":")
    axes.set(xlabel=f"{MARKS['exam'][language]}, %", ylabel=f"{MARKS['told'][language]}, %")
    axes.legend(fontsize=8, loc="best")


WAYS = {
    "start": dict(en="the assistant", zh="原来的助手"),
    "sft": dict(en="SFT on the best", zh="在最好的上 SFT"),
    "dpo": dict(en="DPO, best against worst", zh="DPO，最好对最差"),
    "rft": dict(en="RFT, drawn anew", zh="RFT，重新采样"),
    "grpo": dict(en="GRPO, drawn anew", zh="GRPO，重新采样"),
    "ppo": dict(en="PPO, drawn anew", zh="PPO，重新采样"),
}
MARKS = {
    "told": dict(en="facts told less other sentences", zh="说对的事实减去其他句子"),
    "exam": dict(en="right facts in the exam", zh="考试中答对的事实"),
}

CLAIM = Claim(
    slug="on-policy",
    hypothesis=dict(
        en="Where no answer is ideal, comparing answers that the model draws anew (GRPO) gets further than imitating the best of them (RFT), also at equal exam score.",
        zh="如果没有一个回答是理想的，比较模型重新采样的回答（GRPO），就比模仿其中最好的（RFT）走得更远，考试分数相等时也是如此。",
    ),
    source="Tajwar et al. 2024 (2404.14367); the lecture, stage 3",
    conditions={
        f"{mark}-{way}": {one: f"{text[one]}{': ' if one == 'en' else '：'}{WAYS[way][one]}" for one in ("en", "zh")}
        for mark, text in MARKS.items()
        for way in WAYS
    },
    metric=dict(en="of a place's facts those told less other sentences; facts right in the exam",
                zh="一个地方的事实里说对的比例，减去其他句子；考试中答对的事实"),
    better="told-grpo",
    worse="told-rft",
    checks=(
        Check(dict(en="answers drawn anew: GRPO above RFT", zh="重新采样的回答：GRPO 高出 RFT"),
              lambda f: f["told-grpo"] - f["told-rft"], at_least=0.02),
        Check(dict(en="answers drawn anew: PPO above RFT", zh="重新采样的回答：PPO 高出 RFT"),
              lambda f: f["told-ppo"] - f["told-rft"], at_least=0.0),
        Check(dict(en="answers drawn once: DPO above SFT on the best", zh="只采样一次的回答：DPO 高出在最好的上 SFT"),
              lambda f: f["told-dpo"] - f["told-sft"], at_least=0.02),
        Check(dict(en="at equal exam score: GRPO above RFT", zh="考试分数相等时：GRPO 高出 RFT"),
              lambda f: f["equal, grpo"] - f["equal, rft"], at_least=0.0),
        Check(dict(en="at equal exam score: DPO above SFT on the best", zh="考试分数相等时：DPO 高出在最好的上 SFT"),
              lambda f: f["equal, dpo"] - f["equal, sft"], at_least=0.0),
        Check(dict(en="drawing anew keeps more of the exam: GRPO above DPO", zh="重新采样保住更多的考试分数：GRPO 高出 DPO"),
              lambda f: f["exam-grpo"] - f["exam-dpo"], at_least=0.1),
    ),
    budget=dict(
        en=f"Six models per seed: an assistant, and five tunings of it, each with {UPDATES} updates at the same rate and {UPDATES * PROMPTS * GROUP:,} answers ({PROMPTS} prompts an update, {GROUP} to each, {LONGEST} tokens at most); SFT and DPO share theirs. Each tuned model is also asked at three points of the way to it.",
        zh=f"每个种子六个模型：一个助手，以及从它出发的五次微调，每次都用同样的学习率更新 {UPDATES} 次，用 {UPDATES * PROMPTS * GROUP:,} 个回答（每次更新 {PROMPTS} 个提示，各 {GROUP} 个回答，最长 {LONGEST} 个词元）；SFT 和 DPO 用同一批回答。每个微调后的模型，还在通往它的路上取三个点来考。",
    ),
    notes=dict(
        en="What was asked beforehand was wider: that every comparison gets further than imitating, DPO than SFT and PPO than RFT as well. As published, of these only GRPO is clearly above RFT. SFT on the best of answers drawn once is the strongest imitator: GRPO is 2.1 points above it [−2.0, 6.2], at equal exam score 2.2 [−0.9, 5.4], so that is not shown; above the assistant GRPO is by 5.1 [−0.1, 10.4]. DPO on pairs drawn once loses 38 points of the exam. All was developed on seed 101, and the thresholds were written before its last run, after earlier ones. That run gave, of what is told less other sentences: the assistant 14.2 %, SFT 15.7 %, DPO 17.9 %, RFT 13.4 %, GRPO 19.3 %, PPO 15.8 %; in the exam 91.4, 88.0, 71.2, 83.9, 81.0 and 77.3 %. So the gains are small, and every way but SFT gives up more than 5 points of the exam: hence the line of weights. With 5 points given up it was 15.7 % for SFT, 17.3 % for DPO, 15.5 % for RFT, 17.1 % for GRPO and 16.4 % for PPO. The last threshold is missed by 0.2 points (GRPO 9.8 above DPO in the exam): it was written when DPO still had its own rate of 5e-4 and was 31 points below; it was left as it was. DPO and GRPO tell more (1.4 and 1.3 facts in an answer, before it 0.9), PPO as much with fewer other sentences (0.1, before it 0.2); RFT tells 1.2 facts and 0.5 other sentences. One rate for all is not the best for each: SFT at its own rate of 1e-3 fell to 60 % in the exam, at 1e-4 to 90.4 %, and told no more; DPO at 5e-4 to 50 %, telling 1.5 facts. Tried there and left out: DPO with β 0.3 (more errors), reviewing 240 of the assistant's own dialogues (the exam kept better, less told), twice the rate for GRPO together with it (no better), ordinary questions with truth as reward among the prompts (GRPO 89.8 % in the exam, hardly more told). DPO is plain here, without the likelihood of the chosen answers that the demo's has. Greedy answers decide; practice draws at temperature 1. Not tried: more updates, larger groups, pairs drawn anew for DPO.",
        zh="事先问的更宽：是不是各种比较都胜过模仿，DPO 胜过 SFT、PPO 胜过 RFT 也算在内。发布的结果里，只有 GRPO 明显高出 RFT。模仿当中最强的，是在只采样一次的最好回答上 SFT：GRPO 比它高 2.1 个百分点 [−2.0, 6.2]，考试分数相等时高 2.2 [−0.9, 5.4]，所以这一点没有得到证明；GRPO 比原来的助手高 5.1 [−0.1, 10.4]。DPO 用只采样一次的数据对，考试丢了 38 个百分点。全部在种子 101 上开发；阈值是看过它较早的几次运行之后、最后一次运行之前写下的。最后一次，说对的减去其他句子：助手 14.2 %，SFT 15.7 %，DPO 17.9 %，RFT 13.4 %，GRPO 19.3 %，PPO 15.8 %；考试分别是 91.4、88.0、71.2、83.9、81.0、77.3 %。可见好处不大，而且除了 SFT，各种方法放弃的考试分数都超过 5 个百分点：所以要看权重连线。放弃 5 个百分点时，SFT 15.7 %，DPO 17.3 %，RFT 15.5 %，GRPO 17.1 %，PPO 16.4 %。最后一个阈值差 0.2 个百分点（考试中 GRPO 高出 DPO 9.8）：写它的时候，DPO 还用自己的学习率 5e-4，低 31 个百分点；阈值没有改动。DPO 和 GRPO 说得更多（每个回答 1.4 和 1.3 个事实，之前 0.9 个），PPO 说得一样多，但其他句子少了（0.1，之前 0.2）；RFT 说 1.2 个事实和 0.5 个其他句子。所有方法用同一个学习率，对每一种未必最好：SFT 用自己的学习率 1e-3，考试降到 60 %，用 1e-4 是 90.4 %，说得都不更多；DPO 用 5e-4 降到 50 %，说 1.5 个事实。在那里试过而没有采用的：DPO 用 β = 0.3（错误更多），复习助手自己写的 240 段对话（考试保住得更多，说得更少），在此之上 GRPO 用两倍的学习率（没有更好），提示里掺进以真相为奖励的普通问题（GRPO 考试 89.8 %，说的几乎没有变多）。这里的 DPO 是单纯的，没有演示里那一项被选中回答的似然。评判用贪心回答，练习在温度 1 下采样。没有试过：更多的更新，更大的组，为 DPO 重新采样数据对。",
    ),
    rehearsed={"": dict(en="text that the base read, 4 rows per step, in all ways alike",
                        zh="基础模型读过的文本，每步 4 行，各种方法都一样")},
    measure=measure,
    picture=picture,
)  # fmt: skip
