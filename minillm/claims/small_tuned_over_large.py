"""A small tuned model is preferred to a larger untuned one (Ouyang et al. 2022, InstructGPT, 2203.02155)."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import mean

from minillm.chat import Message, encode_dialogue, turn
from minillm.claims.experiment import STAGE_1, UNTUNED, Check, Claim, Observation
from minillm.claims.figures import groups
from minillm.claims.lab import Lab
from minillm.claims.marks import Answers, right, show, tally
from minillm.gpt import count_parameters
from minillm.material.corpus import token_stream
from minillm.measure.evaluate import ANSWER
from minillm.measure.loss import text_loss
from minillm.run_folder import Run
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question, answer_forms, strip
from minillm.world.pairs import TEACH, request_answer, sft_dialogues
from minillm.world.tables import LANGUAGES, Request, World, split_requests

SMALL = dict(n_embd=64, n_head=1)  # half the base's width, heads as wide as its own: a third of the parameters
SHOTS = 8  # dialogues to choose from for a few-shot prompt: more than fit
HAN = re.compile("[一-鿿]")

Forms = dict[tuple[str, str], set[str]]
"""(language, relation) -> all answers an assistant may give to such a question, whatever is true."""


def polite_answers(world: World) -> Forms:
    """A value of the asked kind of any place, bare or in a sentence; for a request the refusal or any tip."""
    requests = {(one, "request"): {strip(request_answer(r, one)) for r in world.requests} for one in LANGUAGES}
    return answer_forms(world) | requests


def points(forms: Forms, items: Sequence[Question], answers: Answers) -> list[int]:
    """The judge: a point each for an answer that is right, in the asked language, stops by itself, and is
    nothing but what an assistant says to such a question."""
    judged = []
    for item, (text, ended) in zip(items, answers, strict=True):
        language = "zh" if HAN.search(text) else "en"
        polite = strip(text) in forms[item.language, item.relation]
        judged.append(item.is_right(text) + (bool(text.strip()) and language == item.language) + ended + polite)
    return judged


def wins(mine: Sequence[int], theirs: Sequence[int]) -> list[float]:
    """1 where mine has more points, ½ where both have as many."""
    return [(a > b) + (a == b) / 2 for a, b in zip(mine, theirs, strict=True)]


def request_items(lab: Lab, requests: Sequence[Request]) -> list[Question]:
    """Each request in both languages, with the refusal or the tip as its right answer."""
    rng = lab.random()
    return [
        Question(
            r.action["en"], rng.choice(TEACH[one]).format(a=r.action[one]), (request_answer(r, one),), one, "request"
        )
        for r in requests
        for one in LANGUAGES
    ]


def few_shot(item: Question, shots: Sequence[Sequence[Message]], tokenizer: Tokenizer, n_ctx: int) -> Question:
    """The question after as many of these dialogues as fit into the context with it and its answer."""
    for shot in shots:
        longer = replace(item, history=(*item.history, *shot))
        if len(encode_dialogue(longer.messages, tokenizer).ids) + ANSWER.max_new_tokens > n_ctx:
            break
        item = longer
    return item


def with_examples(lab: Lab, items: Sequence[Question], run: Run) -> list[Question]:
    """Each question after dialogues of its own kind and language, about taught places or requests: the most
    helpful prompt there is."""
    taught = [*lab.items(lab.taught), *request_items(lab, split_requests(lab.world, lab.seed)[0])]
    rng, alike = lab.random(), defaultdict[tuple[str, str], list[list[Message]]](list)
    for i in taught:
        alike[i.language, i.relation].append(turn(i.text, i.accepted[0]))
    prompts = []
    for item in items:
        known = alike[item.language, item.relation]
        shots = rng.sample(known, min(SHOTS, len(known)))
        prompts.append(few_shot(item, shots, run.tokenizer, run.gpt.config.n_ctx))
    return prompts


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
    items = [*lab.items(), *lab.some(request_items(lab, split_requests(lab.world, lab.seed)[1]), 80)]
    shots = with_examples(lab, items, large)
    given = {"small": lab.ask(small, items), "plain": lab.ask(large, items), "shots": lab.ask(large, shots)}
    forms = polite_answers(lab.world)
    judged = {name: points(forms, items, answers) for name, answers in given.items()}
    way = max(("plain", "shots"), key=lambda name: sum(judged[name]))  # the larger asked in the way that suits it
    won = wins(judged["small"], judged[way])
    marks = {"preferred-small": tally(items, won), "preferred-large": tally(items, [1 - w for w in won])}
    for model, name, run in (("small", "small", start.run), ("large", way, large)):
        marks[f"right-{model}"] = tally(items, right(items, given[name]))
        facts, _, known = lab.finish(run, lab.items())
        marks[f"knows-{model}"] = tally(facts, known)

    figures = taxes(lab, {"large": large, "small": start.run, "tuned": small, "without rehearsal": careless})
    for name, answers in given.items():
        begins = [text.startswith(i.accepted) for i, (text, _) in zip(items, answers, strict=True)]
        figures[f"points of 4, {name}"] = mean(judged[name])
        figures[f"right, {name}"] = mean(right(items, answers))
        figures[f"begins right, {name}"] = sum(begins) / len(items)
        figures[f"wins of small over {name}"] = mean(wins(judged["small"], judged[name]))
    figures["parameters of large / small"] = count_parameters(large.gpt) / count_parameters(small.gpt)
    figures["few-shot is the better way"] = float(way == "shots")
    examples = [e for name, answers in given.items() for e in show(name, items, answers)]
    return Observation(marks, 0.0, figures, examples)


def tax_left(f: Mapping[str, float]) -> float:
    """Share of the rise of the language-model loss that is left with rehearsal."""
    return f["tax"] / f["tax without rehearsal"] if f["tax without rehearsal"] > 0 else float("nan")


KINDS = {
    "preferred": dict(en="preferred by the judge", zh="裁判更喜欢"),
    "right": dict(en="right answers", zh="回答正确"),
    "knows": dict(en="completes sentences before tuning", zh="微调之前补完句子"),
}
MODELS = {
    "small": dict(en="small, tuned", zh="小模型，微调过"),
    "large": dict(en="large, untuned", zh="大模型，没有微调"),
}

CLAIM = Claim(
    slug="small-tuned-over-large",
    hypothesis=dict(
        en="A small tuned model is preferred to an untuned one three times its size, even with examples in the prompt.",
        zh="微调过的小模型，比三倍大但没有微调的模型更受喜欢，哪怕后者的提示里带有示例。",
    ),
    source="InstructGPT (2203.02155)",
    conditions={
        f"{kind}-{model}": {one: f"{text[one]}: {MODELS[model][one]}" for one in ("en", "zh")}
        for kind, text in KINDS.items()
        for model in MODELS
    },
    metric=dict(en="held-out questions and requests", zh="未教过的问题和请求"),
    better="preferred-small",
    worse="preferred-large",
    checks=(
        Check(
            dict(en="wins of the small one, ties count half", zh="小模型的胜率，平局算一半"),
            lambda f: f["preferred-small"],
            at_least=0.6,
        ),
        Check(
            dict(en="the large one completes more sentences than the small one", zh="补完句子：大模型多于小模型"),
            lambda f: f["knows-large"] - f["knows-small"],
            at_least=0.0,
        ),
        Check(
            dict(en="share of the alignment tax that is left with rehearsal", zh="复习之后剩下的对齐税所占比例"),
            tax_left,
            at_most=0.5,
        ),
    ),
    budget=dict(
        en="One more base model, a third as large, with the same text and steps, and two tunings of it per seed.",
        zh="每个种子多训练一个三分之一大小的基础模型，文本和步数相同，再把它微调两次。",
    ),
    notes=dict(
        en="The judge compares points: right, in the asked language, stops by itself, nothing but an answer of the asked kind. The few-shot prompt is the most helpful one: as many dialogues of the same kind of question and language as fit; the claim is judged against whichever of the two ways gets more points. The large model has the knowledge (it completes 89 and 98 % of the sentences, seeds 101 and 102; the small one 84 and 79 %) and gives no right answer in either way: in stage 1 a question is followed by another question, and at this size a model does not learn from examples in its prompt. Five other forms of the prompt (without roles, a line each, Q and A, full sentences) gave none either (seed 101). Judged by right answers alone the small one leads by 50 and 43 points. Alignment tax: its loss on new documents rises from 0.79 to 0.90 nats a token, without rehearsal to 2.17 (seed 101).",
        zh="裁判比较得分：正确、语言与提问一致、自己停下、除了所问那一类的回答之外没有别的，各一分。少样本提示尽量帮忙：同类问题、同种语言的对话，放得下多少就放多少；两种问法中取大模型得分较高的一种来比。大模型有知识（种子 101 和 102 上能补完 89 % 和 98 % 的句子，小模型 84 % 和 79 %），但两种问法都没有答对一题：第 1 阶段里问题后面跟的是另一个问题，而这么小的模型还不会从提示里的示例学习。提示的另外五种写法（不标角色、每行一句、Q 与 A、完整句子）也一题都没有答对（种子 101）。只看正确率，小模型领先 50 和 43 个百分点。对齐税：它在新文档上的损失从 0.79 升到 0.90 奈特/词元，不复习则升到 2.17（种子 101）。",
    ),
    rehearsed={
        "preferred-large": UNTUNED,
        "right-large": UNTUNED,
        "knows-large": UNTUNED,
        "knows-small": UNTUNED,
        "": STAGE_1,
    },
    measure=measure,
    picture=partial(groups, kinds=KINDS, series=MODELS),
)
