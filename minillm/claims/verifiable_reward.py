"""A reward that anybody can verify: practice takes a task further than a few examples of it did.

Two-step questions: "Oslo is the capital of a place. What is its currency?" The answer first names the place, then the
value. A few pairs show how; then the model practises on such questions about other facts of the taught places, with
questions of one step among them, and is told only whether the last word is right. The exam asks about places that no
pair and no practice is about: stage 1 has read both steps.

The reward knows the right value of each practised question. So the control that is fair is SFT that is given these
values as answers, in as many steps; another is SFT on a whole answer to each, with its first step written out.

Sources: Lambert et al. 2024 (2411.15124, reinforcement learning with verifiable rewards), Shao et al. 2024 (2402.03300),
Singh et al. 2023 (2312.06585, ReST-EM: imitate the answers that were right).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from minillm.chat import Message, turn
from minillm.claims.experiment import Check, Claim, Observation, mean
from minillm.claims.figures import bars
from minillm.claims.lab import REHEARSE_ROWS, REHEARSED, Lab
from minillm.claims.marks import Answers, show, tally
from minillm.run_folder import Run
from minillm.stage3_preference.grpo import GRPOConfig, grpo
from minillm.world.exam import Question
from minillm.world.tables import ATTRIBUTES, LANGUAGES, Place

PAIRS, FACTS, STEPS = 24, 192, 80
FIRST = {
    "en": {"capital": "{} is the capital of a place.", "mountain": "{} is the highest mountain of a place.",
           "river": "The {} is the longest river of a place."},
    "zh": {"capital": "{}是一个地方的首都。", "mountain": "{}是一个地方最高的山。", "river": "{}是一个地方最长的河。"},
}  # fmt: skip
SECOND = {
    "en": {"capital": "What is its capital?", "mountain": "What is its highest mountain?",
           "height": "How high is its highest mountain?", "river": "What is its longest river?",
           "currency": "What is its currency?", "continent": "In which continent is it?"},
    "zh": {"capital": "它的首都是哪里？", "mountain": "它最高的山是哪座？", "height": "它最高的山有多高？",
           "river": "它最长的河是哪条？", "currency": "它用什么货币？", "continent": "它在哪个洲？"},
}  # fmt: skip
COLON = {"en": ": ", "zh": "："}
JOIN = {"en": " ", "zh": ""}


def two_steps(lab: Lab, places: Sequence[Place]) -> list[Question]:
    """Every question in two steps about the places, with both steps as its answer, in random order. What belongs to
    more than one place, as a mountain on a border does, does not say which is meant."""
    items = []
    for language in LANGUAGES:
        for given, first in FIRST[language].items():
            owners = Counter(place.value(given, language) for place in lab.world.places)
            for place in places:
                clue = place.value(given, language)
                if clue is None or owners[clue] > 1:
                    continue
                for asked, second in SECOND[language].items():
                    value = place.value(asked, language)
                    if value is not None and asked != given and not (given == "mountain" and asked == "height"):
                        text = first.format(clue) + JOIN[language] + second
                        both = place.names[language] + COLON[language] + value
                        items.append(Question(place.names["en"], text, (value, both), language, asked))
    return lab.mixed(items)


def result(item: Question, answer: str) -> str:
    """What comes last in an answer in steps."""
    return answer.split(COLON[item.language].strip())[-1].strip()


def verified(item: Question, answer: str) -> float:
    """1 if the result is right, whatever was said on the way."""
    return float(item.is_right(result(item, answer)))


def marked(items: Sequence[Question], answers: Answers) -> dict[str, list[float]]:
    """Marks of answers that ended."""
    return tally(items, [verified(i, text) * ended for i, (text, ended) in zip(items, answers, strict=True)])


def practise(lab: Lab, start: Run, items: Sequence[Question], method: Literal["grpo", "rft"]) -> Run:
    """Reinforcement by the verified result."""
    known = {item.text: item for item in items}

    def right_result(question: str, answer: str) -> float:
        return verified(known[question], answer)

    small: dict[str, Any] = dict(batch_size=2, group=2, max_new_tokens=4) if lab.size == "smoke" else {}
    config = GRPOConfig(
        steps=lab.steps(lab.pick(STEPS, 50)), method=method, rehearse_rows=REHEARSE_ROWS, seed=lab.seed, **small
    )
    text = lab.base.documents[:REHEARSED]
    return grpo(config, start, [item.messages for item in items], text, bar=lab.bar, reward=right_result)


def guessed(items: Sequence[Question]) -> float:
    """Share of right answers of one who says the most frequent value of each attribute."""
    frequent: dict[tuple[str, str], Counter[str]] = {}
    for item in items:
        frequent.setdefault((item.language, item.relation), Counter())[item.accepted[0]] += 1
    return sum(max(counts.values()) for counts in frequent.values()) / len(items)


def measure(lab: Lab) -> Observation:
    two, items = two_steps(lab, lab.taught), lab.some(two_steps(lab, lab.held_out)[:400])
    one, single = lab.mixed(lab.items(lab.taught, relations=ATTRIBUTES)), lab.items(relations=ATTRIBUTES)
    one = one[: len(two) // 2]
    practised = lab.mixed([*two, *one])
    shown = [turn(item.text, item.accepted[1]) for item in two]  # both steps
    values, facts = ([turn(item.text, item.accepted[0]) for item in part] for part in (two, one))
    longer = lab.steps(lab.config.sft_steps + lab.pick(STEPS, 50))

    def tune(*pairs: list[Message], steps: int | None = None) -> Run:
        return lab.tune(lab.mixed(pairs), steps=steps)

    few = tune(*shown[:PAIRS], *facts[:FACTS])
    ways: dict[str, Callable[[], Run]] = {
        "few": lambda: few,
        "longer": lambda: tune(*shown[:PAIRS], *facts[:FACTS], steps=longer),
        "values": lambda: tune(*shown[:PAIRS], *values[PAIRS:], *facts, steps=longer),
        "rft": lambda: practise(lab, few, practised, "rft"),
        "grpo": lambda: practise(lab, few, practised, "grpo"),
        "all": lambda: tune(*shown, *facts, steps=longer),
    }
    marks, figures, examples = {}, {}, []
    for way, make in ways.items():
        run = make()
        answers = lab.ask(run, items)
        marks[way] = marked(items, answers)
        named = [i.accepted[1].split(COLON[i.language])[0] in text for i, (text, _) in zip(items, answers, strict=True)]
        figures[f"names the place, {way}"] = sum(named) / len(named)
        figures[f"in one step, {way}"] = mean(lab.score(run, single))
        figures[f"practised, {way}"] = mean(marked(two[:200], lab.ask(run, two[:200])))
        examples += show(way, items, answers, 3)
    return Observation(marks, guessed(items), figures, examples)


CLAIM = Claim(
    slug="verifiable-reward",
    hypothesis=dict(
        en="Told only whether its results are right, a model gets better at a task that a few examples have half taught, also where neither example nor practice has been, and better than by SFT on the right results.",
        zh="几个例子把一项任务教会了一半，之后只告诉模型结果对不对，它就能做得更好，没有例子、没有练过的地方也一样；而且比拿正确结果来 SFT 更好。",
    ),
    source="Lambert et al. 2024 (2411.15124); Shao et al. 2024 (2402.03300); Singh et al. 2023 (2312.06585)",
    conditions={
        "few": dict(en=f"SFT, {PAIRS} examples of both steps", zh=f"SFT，{PAIRS} 个两步的例子"),
        "longer": dict(en="the same, as long as with practice", zh="同上，加上练习的步数"),
        "values": dict(en="SFT, right results as well", zh="SFT，再加正确结果"),
        "rft": dict(en="then practice: imitates its right answers", zh="再练习：模仿自己答对的"),
        "grpo": dict(en="then practice: GRPO", zh="再练习：GRPO"),
        "all": dict(en="SFT, both steps of all questions", zh="SFT，所有问题都给两步"),
    },
    metric=dict(en="right results about held-out places", zh="未教过的地方，结果正确"),
    better="grpo",
    worse="few",
    checks=(
        Check(dict(en="the examples teach a part: right", zh="例子只教会一部分：答对"), lambda f: f["few"], at_most=0.7),
        Check(dict(en="practice minus the examples", zh="练习减去几个例子"),
              lambda f: f["grpo"] - f["few"], at_least=0.15),
        Check(dict(en="practice minus the same examples in as many steps", zh="练习减去同样的例子、同样的步数"),
              lambda f: f["grpo"] - f["longer"], at_least=0.05),
        Check(dict(en="practice minus SFT on the right results", zh="练习减去用正确结果 SFT"),
              lambda f: f["grpo"] - f["values"], at_least=0.05),
        Check(dict(en="questions of one step: practice minus the examples", zh="一步的问题：练习减去几个例子"),
              lambda f: f["in one step, grpo"] - f["in one step, few"], at_least=-0.03),
    ),
    budget=dict(
        en=f"Four tunings and twice {STEPS} steps of practice (24 questions, 8 answers each) per seed.",
        zh=f"每个种子四次微调、两次 {STEPS} 步练习（每步 24 个问题，各 8 个回答）。",
    ),
    notes=dict(
        en="The number of examples was chosen on seed 101 so that they teach about a half: with 24, 48 and 96 of them 51, 68 and 76 % were right. The first full run there, with questions of two steps alone and 120 steps of practice, gave 49 % with the examples, 53 as long, 38 by SFT on the right results, 69 by imitating its own right answers, 83 by GRPO and 87 with both steps of all questions; but questions of one step fell from 92 to 86 %. With questions of one step among those practised 82 % (80 steps: 80 %) were right in two steps, 97 % in one: so 80 steps of both are measured, and SFT on results has those of both, too (that way, 54 % with the examples, 54 as long, 37 by SFT on right results). Four thresholds were written before any run, the one about right results after the first. SFT on right results answers at once, without the first step: all that it practised is right then, in other places no more than before. Whoever writes out both steps gets further, with some 680 of them in place of 24. Practice costs more than SFT: each step writes 192 answers. Of a result that is right the steps may be wrong: “names the place” says how often the answer names the right one. The clues belong to one place each; every attribute asked for is in stage 1 about every place. Not tried: PPO, a reward for the first step as well, tasks of more steps, pairs that show wrong ways.",
        zh="例子的个数在种子 101 上选定，使它们大约教会一半：24、48、96 个例子，答对 51 %、68 %、76 %。在那里的第一次完整运行只练两步的问题，120 步：几个例子 49 %，同样步数 53 %，用正确结果 SFT 38 %，模仿自己答对的 69 %，GRPO 83 %，所有问题都给两步 87 %；但一步的问题从 92 % 降到 86 %。练习里掺上一步的问题，两步的答对 82 %（80 步时 80 %），一步的 97 %：所以测的是 80 步、两种都练，用正确结果 SFT 也给了两种的结果（这样测，几个例子 54 %，同样步数 54 %，用正确结果 SFT 37 %）。四个阈值写在任何运行之前，关于正确结果的那一个写在第一次运行之后。用正确结果 SFT，学会的是跳过第一步直接回答：练过的全对，别的地方并不比原来好。把两步都写出来，能走得更远，但要写 680 个左右，而不是 24 个。练习比 SFT 贵：每步要写 192 个回答。结果对，步骤不一定对：“names the place”一项是回答里说对地方的比例。每条线索只属于一个地方；所问的每种属性，第一阶段都讲过。没有试过：PPO、第一步也给奖励、更多步的任务、示范错误走法的问答对。",
    ),
    rehearsed={"": dict(en="text that its base read, 4 rows per step, also in practice; more than half of it names a held-out place",
                        zh="它的基础模型读过的文本，每步 4 行，练习时也是；其中一半以上提到未教过的地方")},
    measure=measure,
    picture=partial(bars, names=("few", "longer", "values", "rft", "grpo", "all")),
)  # fmt: skip
