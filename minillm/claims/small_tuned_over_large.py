"""A small tuned model is preferred to a larger untuned one (Ouyang et al. 2022, InstructGPT, 2203.02155).

What the judge sees is taken apart, since they are different things: knowledge (is it right) and manners (is it in
the asked language, does it stop, is it nothing but an answer). And the larger model is asked in every form there is:
as a dialogue, after other dialogues (few-shot), and in the form it learned in stage 1, as a sentence to complete,
what comes after the sentence cut off for it.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from minillm.chat import Message, encode_dialogue, turn
from minillm.claims.experiment import STAGE_1, Check, Claim, Observation
from minillm.claims.figures import groups
from minillm.claims.lab import Lab
from minillm.claims.marks import Answers, Marks, show, tally
from minillm.gpt import count_parameters
from minillm.material.corpus import token_stream
from minillm.measure.evaluate import ANSWER
from minillm.measure.loss import text_loss
from minillm.run_folder import Run
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question, answer_forms, strip
from minillm.world.pairs import sft_dialogues

SMALL = dict(n_embd=64, n_head=1)  # half the base's width, heads as wide as its own: a third of the parameters
SHOTS = 8  # dialogues to choose from for a few-shot prompt: more than fit
HAN = re.compile("[一-鿿]")
SENTENCE = re.compile(r"(?<!\d)[.。!！?？](?!\d)|\n")
"""Where a sentence ends."""

Forms = Mapping[tuple[str, str], set[str]]
"""(language, relation) -> all answers an assistant may give to such a question, whatever is true."""
CRITERIA = ("right", "language", "stops", "form")


def judge(forms: Forms, items: Sequence[Question], answers: Answers) -> dict[str, list[float]]:
    """By criterion 1 or 0 for each answer: right; in the asked language; stops by itself; nothing but what an
    assistant says to such a question."""
    judged: dict[str, list[float]] = {name: [] for name in CRITERIA}
    for item, (text, ended) in zip(items, answers, strict=True):
        language = "zh" if HAN.search(text) else "en"
        judged["right"].append(float(item.is_right(text)))
        judged["language"].append(float(bool(text.strip()) and language == item.language))
        judged["stops"].append(float(ended))
        judged["form"].append(float(strip(text) in forms[item.language, item.relation]))
    return judged


def points(judged: Mapping[str, Sequence[float]]) -> list[float]:
    """The judge's sum over all criteria for each answer."""
    return [sum(marks) for marks in zip(*judged.values(), strict=True)]


def wins(mine: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """1 where mine has more points, ½ where both have as many."""
    return [(a > b) + (a == b) / 2 for a, b in zip(mine, theirs, strict=True)]


def few_shot(item: Question, shots: Sequence[Sequence[Message]], tokenizer: Tokenizer, n_ctx: int) -> Question:
    """The question after as many of these dialogues as fit into the context with it and its answer."""
    for shot in shots:
        longer = replace(item, history=(*item.history, *shot))
        if len(encode_dialogue(longer.messages, tokenizer).ids) + ANSWER.max_new_tokens > n_ctx:
            break
        item = longer
    return item


def with_examples(lab: Lab, items: Sequence[Question], run: Run) -> list[Question]:
    """Each question after dialogues of its own kind and language, about taught places."""
    rng, alike = lab.random(), defaultdict[tuple[str, str], list[list[Message]]](list)
    for i in lab.items(lab.taught):
        alike[i.language, i.relation].append(turn(i.text, i.accepted[0]))
    prompts = []
    for item in items:
        known = alike[item.language, item.relation]
        shots = rng.sample(known, min(SHOTS, len(known)))
        prompts.append(few_shot(item, shots, run.tokenizer, run.gpt.config.n_ctx))
    return prompts


def first_sentence(answers: Answers) -> Answers:
    """Each answer up to its first full stop, at which it then counts as stopped: what a user would do for it."""
    cut = []
    for text, ended in answers:
        end = SENTENCE.search(text.rstrip())
        cut.append((text[: end.start()], True) if end else (text, ended))
    return cut


def taxes(lab: Lab, runs: Mapping[str, Run]) -> dict[str, float]:
    """The loss of each as a language model, and how far tuning raises it: the alignment tax."""
    loss = {}
    for name, run in runs.items():
        text = token_stream(lab.fresh, run.tokenizer)
        loss[name] = text_loss(run.gpt, text, run.tokenizer)["nats_per_token"]
    rises = {
        "tax": loss["tuned"] - loss["small"],
        "tax without rehearsal": loss["without rehearsal"] - loss["small"],
    }
    return {f"nats a token, {name}": value for name, value in loss.items()} | rises


def measure(lab: Lab) -> Observation:
    large = lab.base.run
    start = lab.pretrain(lab.base.documents, large.tokenizer, **SMALL)
    dialogues = sft_dialogues(lab.world, lab.seed)
    small, careless = lab.tune(dialogues, start), lab.tune(dialogues, start, rehearse=())
    items, completed, _ = lab.finish(large, lab.items())  # facts that a sentence can end with
    given = {
        "small": lab.ask(small, items),
        "dialogue": lab.ask(large, items),
        "shots": lab.ask(large, with_examples(lab, items, large)),
        "completing": first_sentence(completed),
    }
    forms = answer_forms(lab.world)
    judged = {name: judge(forms, items, answers) for name, answers in given.items()}
    marks: dict[str, Marks] = {"even": tally(items, [0.5] * len(items))}
    examples = []
    for name, answers in given.items():
        if name != "small":
            marks[f"wins-{name}"] = tally(items, wins(points(judged["small"]), points(judged[name])))
        for criterion in CRITERIA:
            marks[f"{criterion}-{name}"] = tally(items, judged[name][criterion])
        examples += show(name, items, answers)
    _, _, known = lab.finish(start.run, items)
    marks["right-before"] = tally(items, known)
    figures = taxes(lab, {"large": large, "small": start.run, "tuned": small, "without rehearsal": careless})
    figures["parameters of large / small"] = count_parameters(large.gpt) / count_parameters(small.gpt)
    return Observation(marks, lab.constant_answer, figures, examples)


WAYS = {
    "small": dict(en="small, tuned", zh="小模型，微调过"),
    "dialogue": dict(en="large, untuned: a dialogue", zh="大模型，没有微调：对话"),
    "shots": dict(en="large: after examples", zh="大模型：前面有示例"),
    "completing": dict(en="large: completing a sentence", zh="大模型：补完句子"),
}
KINDS = {
    "right": dict(en="right", zh="正确"),
    "language": dict(en="asked language", zh="所问的语言"),
    "stops": dict(en="stops", zh="会停"),
    "form": dict(en="only an answer", zh="只有回答"),
}

CLAIM = Claim(
    slug="small-tuned-over-large",
    hypothesis=dict(
        en="Asked a question, a small tuned model is preferred, by a judge to whom manners count as much as truth, to an untuned one three times its size; but where the large one may complete a sentence, it is the one preferred.",
        zh="裁判把举止看得和正确一样重：向它提问时，微调过的小模型比三倍大但没有微调的模型更受喜欢；但让大模型补完句子时，更受喜欢的是大模型。",
    ),
    source="InstructGPT (2203.02155)",
    conditions={
        "wins-dialogue": dict(en="small preferred to large, asked in a dialogue", zh="对话提问：更喜欢小模型"),
        "wins-shots": dict(en="small preferred to large, asked after examples", zh="前面有示例：更喜欢小模型"),
        "wins-completing": dict(
            en="small preferred to large completing a sentence, cut for it",
            zh="大模型补完句子并替它截断：更喜欢小模型",
        ),
        "even": dict(en="neither preferred", zh="不分高下"),
    }
    | {
        f"{criterion}-{way}": {one: f"{KINDS[criterion][one]}: {WAYS[way][one]}" for one in ("en", "zh")}
        for criterion in CRITERIA
        for way in WAYS
    }
    | {
        "right-before": dict(en="right: small, before tuning, completing a sentence", zh="正确：小模型微调之前补完句子")
    },
    metric=dict(en="questions about held-out places", zh="关于未教过的地方的问题"),
    better="wins-dialogue",
    worse="even",
    checks=(
        Check(
            dict(en="wins over the large one asked in a dialogue", zh="胜过用对话提问的大模型"),
            lambda f: f["wins-dialogue"],
            at_least=0.6,
        ),
        Check(
            dict(en="wins over the large one asked after examples", zh="胜过前面有示例的大模型"),
            lambda f: f["wins-shots"],
            at_least=0.6,
        ),
        Check(
            dict(en="wins over the large one completing a sentence", zh="胜过补完句子的大模型"),
            lambda f: f["wins-completing"],
            at_most=0.5,
        ),
        Check(
            dict(
                en="right answers: the large one completing sentences above the small tuned one",
                zh="正确：大模型补完句子高出微调过的小模型",
            ),
            lambda f: f["right-completing"] - f["right-small"],
            at_least=0.1,
        ),
        Check(
            dict(
                en="alignment tax with rehearsal minus half of that without, nats per token",
                zh="有复习的对齐税减去没有复习的一半，奈特/词元",
            ),
            lambda f: f["tax"] - 0.5 * f["tax without rehearsal"],
            at_most=0.0,
            percent=False,
        ),
    ),
    budget=dict(
        en="One more base model, a third as large, with the same text and steps, and two tunings of it per seed.",
        zh="每个种子多训练一个三分之一大小的基础模型，文本和步数相同，再把它微调两次。",
    ),
    notes=dict(
        en="The judge gives a point for each of four: right, in the asked language, stops by itself, nothing but an answer of the asked kind. Half of them are manners that an untuned model does not have in a dialogue, so they are shown apart. Only questions are asked whose sentence can end with the value, and completing it the large model is given that sentence's beginning and is cut at the full stop. Before, only dialogues and examples were counted, and the difference shown was the win rate minus its complement: wins of 90 and 91 %, right answers 48 % and none, while the large model completed 95 % of the sentences (seeds 201 to 203). Five other forms of a dialogue (without roles, a line each, Q and A, full sentences) gave no right answer either (seed 101). The small model is tuned on all dialogues of the demo, with rehearsal. Seed 101 (quick): wins of 84 % over dialogues, 83 % over examples, 32 % over completed sentences; right answers 47 % of the small one, 86 % of the large one completing, and as many of the small one before it was tuned: what tuning adds is the manners.",
        zh="裁判对四项各给一分：正确、语言与提问一致、自己停下、除了所问那一类的回答之外没有别的。其中一半是没有微调的模型在对话里不会有的举止，所以分开列出。只问句子能以所问的值结尾的事实；补完时把这个句子的开头给大模型，并替它在句号处截断。此前只计对话和示例，显示的差是胜率减去它的补数：胜率 90 % 和 91 %，正确率 48 % 对 0，而大模型能补完 95 % 的句子（种子 201 到 203）。对话的另外五种写法（不标角色、每行一句、Q 与 A、完整句子）也一题都没有答对（种子 101）。小模型用演示的全部对话微调，有复习。种子 101（快速版）：对话 84 %，示例 83 %，补完句子 32 % 的胜率；小模型答对 47 %，大模型补完句子答对 86 %，小模型微调之前补完句子也一样多：微调带来的是举止。",
    ),
    rehearsed={
        "": dict(
            en=f"the small model: {STAGE_1['en']} (the tax without rehearsal: nothing); the large one is not tuned",
            zh=f"小模型：{STAGE_1['zh']}（没有复习的对齐税：不复习）；大模型未微调",
        )
    },
    measure=measure,
    picture=partial(groups, kinds=KINDS, series=WAYS),
)
