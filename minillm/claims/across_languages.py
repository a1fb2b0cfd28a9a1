"""What is taught in one language helps in another (Hsu et al. 2019, 1909.09587): with the text given, as in
the source, and from memory, where the facts come from stage 1.

The other language is Chinese, or a copy of English in other letters that no text connects with English: it has
the same sentences, but shares only digits, punctuation and roles (Dufter and Schütze 2020, 2005.00396, whose copy
has every token shifted).
"""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from minillm.base_cache import Base
from minillm.chat import Dialogue, Message, encode_dialogue, turn
from minillm.claims.experiment import NOTHING, UNTUNED, Check, Claim, Observation
from minillm.claims.figures import groups
from minillm.claims.lab import Lab
from minillm.claims.marks import Marks, right, show, tally
from minillm.claims.passages import DOCUMENTS, PassageWriter, read_base, reader, reading, worlds
from minillm.packing import padded_batch
from minillm.run_folder import Run
from minillm.stage3_preference import sequence_log_probs
from minillm.world.exam import Question

FEW, MANY, PASSAGES, STEPS = 16, 512, 512, 120
LETTERS = str.maketrans(string.ascii_letters, "".join(map(chr, [*range(0x561, 0x57B), *range(0x531, 0x54B)])))


def copied(text: str) -> str:
    """English in other letters: Armenian ones, each for one Latin letter; digits and punctuation stay."""
    return text.translate(LETTERS)


def copy_reader(lab: Lab) -> Base:
    """A base that has read English and its copy, half of the documents each, as long as `reader`."""
    rng = lab.random()
    documents = PassageWriter(lab.world, lab.seed, ("en",)).documents(DOCUMENTS if lab.size != "smoke" else 300)
    return read_base(lab, [copied(text) if rng.random() < 0.5 else text for text in documents])


@dataclass(frozen=True)
class Language:
    """The language that is asked in but not taught, and the base that has read it next to English."""

    base: Base
    pairs: list[list[Message]]
    items: list[Question]
    choices: dict[str, list[str]]
    """For each question the values in its passage, one of which is the answer."""


def spans(lab: Lab, language: str = "zh") -> dict[str, list[str]]:
    """For each passage question the values that are in the passage, of which one is the answer."""
    values = {p.names["en"]: [v for (_, one), v in p.values.items() if one == language] for p in worlds(lab)[1]}
    items = reading(lab, (language,)).items
    return {i.text: sorted({v for v in values[i.entity] if v in i.text}) for i in items}


def languages(lab: Lab) -> dict[str, Language]:
    """Chinese and the copy of English, with equal numbers of pairs."""
    chinese, english, choices = reading(lab, ("zh",)), reading(lab, ("en",)), spans(lab, "en")
    pairs = [turn(copied(q.content), copied(a.content)) for q, a in english.pairs]
    items = [replace(i, text=copied(i.text), accepted=tuple(map(copied, i.accepted))) for i in english.items]
    values = {copied(text): list(map(copied, some)) for text, some in choices.items()}
    return {
        "zh": Language(reader(lab), chinese.pairs[:PASSAGES], chinese.items, spans(lab)),
        "copy": Language(copy_reader(lab), pairs[:PASSAGES], items, values),
    }


@torch.no_grad()
def likeliest(run: Run, item: Question, answers: Sequence[str]) -> str:
    """The answer with the highest log-probability, its [END] included; a question too long for the context
    loses its beginning."""
    last = run.gpt.config.n_ctx + 1
    dialogues = [encode_dialogue(turn(item.text, answer), run.tokenizer) for answer in answers]
    batch = padded_batch([Dialogue(d.ids[-last:], d.mask[-last:]) for d in dialogues], run.tokenizer.pad)
    log_probs = sequence_log_probs(run.gpt(batch.ids, batch.mask, batch.positions), batch)  # (B, T, V) -> (B)
    return answers[int(log_probs.argmax())]


def any_value(lab: Lab, pairs: list[list[Message]]) -> list[list[Message]]:
    """The same questions with any value of their passage as the answer: what can be learned of them is the form, to
    answer with something that is in the text, but not which."""
    rng = lab.random()
    values = sorted({v for p in worlds(lab)[0] for (_, one), v in p.values.items() if one == "en"}, key=len)
    mixed = []
    for question, answer in pairs:
        inside = [v for v in values if v in question.content]
        mixed.append(turn(question.content, rng.choice(inside) if inside else answer.content))
    return mixed


def from_passages(lab: Lab, name: str, language: Language) -> tuple[dict[str, Marks], dict[str, float], list]:
    """Questions about passages in the other language: marks, figures, examples. The source's model marks a span of
    the passage; so of the values in the passage the one that the model finds likeliest is taken."""
    english = reading(lab, ("en",)).pairs[:PASSAGES]

    def tuned(pairs: list[list[Message]]) -> Run:
        return lab.tune(pairs, language.base, STEPS, batch_size=16, rehearse=())

    runs: dict[str, Callable[[], Run]] = {
        "before": lambda: language.base.run,
        "any": lambda: tuned(any_value(lab, english)),
        "english": lambda: tuned(english),
        "own": lambda: tuned(language.pairs),
    }
    marks: dict[str, Marks] = {}
    figures: dict[str, float] = {}
    examples = []
    for way, make in runs.items():
        run = make()
        chosen = [likeliest(run, i, language.choices[i.text]) for i in language.items]
        condition = f"{name}-{way}"
        marks[condition] = tally(
            language.items, [float(i.is_right(t)) for i, t in zip(language.items, chosen, strict=True)]
        )
        answers = lab.ask(run, language.items)
        figures[f"{condition}, written freely"] = sum(right(language.items, answers)) / len(answers)
        numbers = [(i, t) for i, (t, _) in zip(language.items, answers, strict=True) if i.relation == "height"]
        figures[f"{condition}, digits of heights"] = sum(digits(i.accepted[0]) == digits(t) for i, t in numbers) / max(
            1, len(numbers)
        )
        examples += show(condition, language.items, answers)
    return marks, figures, examples


def digits(text: str) -> str:
    """The digits of an answer, which both languages write alike."""
    return "".join(filter(str.isdecimal, text))


def from_memory(lab: Lab) -> tuple[dict[str, Marks], list]:
    """Chinese questions about held-out places: marks, examples."""
    items = lab.items(languages=("zh",))
    english, chinese = lab.facts(languages=("en",))[:MANY], lab.facts(languages=("zh",))
    sets = {
        "few": chinese[:FEW],
        "memory-english": english,
        "few-english": lab.mixed([*english, *chinese[:FEW] * 4]),
        "memory-own": chinese[:MANY],
    }
    marks: dict[str, Marks] = {}
    examples = []
    for name, pairs in sets.items():
        answers = lab.ask(lab.tune(pairs, steps=STEPS, rehearse=()), items)
        marks[name] = tally(items, right(items, answers))
        examples += show(name, items, answers)
    return marks, examples


def measure(lab: Lab) -> Observation:
    marks, examples = from_memory(lab)
    figures: dict[str, float] = {}
    for name, language in languages(lab).items():
        given, more, shown = from_passages(lab, name, language)
        marks, figures, examples = given | marks, figures | more, examples + shown
    return Observation(marks, 0.0, figures, examples)


WAYS = {
    "before": dict(en="not tuned", zh="未微调"),
    "any": dict(en="English, any value as answer", zh="英文，任取一个值作回答"),
    "english": dict(en="English (zero-shot)", zh="英文（零样本）"),
    "own": dict(en="itself taught", zh="教的就是它"),
}
OTHERS = {
    "zh": dict(en="Chinese passages", zh="中文文章"),
    "copy": dict(en="English in other letters", zh="换了字母的英文"),
}


def beyond_form(f: Mapping[str, float], other: str, share: float = 0.0) -> float:
    """What English teaches beyond the form of an answer, less a share of what the language's own pairs teach beyond it."""
    return (f[f"{other}-english"] - f[f"{other}-any"]) - share * (f[f"{other}-own"] - f[f"{other}-any"])


CLAIM = Claim(
    slug="across-languages",
    hypothesis=dict(
        en="To read a passage and answer about it, taught in English, carries over to a copy of English in other letters; to Chinese, which the base has read, hardly.",
        zh="用英文教会读文章、答问题，换了字母的英文也就会了；基础模型读过的中文，几乎没有跟着会。",
    ),
    source="1909.09587",
    conditions={
        f"{other}-{way}": {one: f"{text[one]}: {WAYS[way][one]}" for one in ("en", "zh")}
        for other, text in OTHERS.items()
        for way in WAYS
    }
    | {
        "few": dict(en=f"from memory, in Chinese: {FEW} Chinese pairs", zh=f"凭记忆，用中文：{FEW} 对中文"),
        "memory-english": dict(
            en=f"from memory, in Chinese: {MANY} English pairs (zero-shot)",
            zh=f"凭记忆，用中文：{MANY} 对英文（零样本）",
        ),
        "few-english": dict(
            en=f"from memory, in Chinese: {FEW} Chinese + {MANY} English pairs",
            zh=f"凭记忆，用中文：{FEW} 对中文 + {MANY} 对英文",
        ),
        "memory-own": dict(en=f"from memory, in Chinese: {MANY} Chinese pairs", zh=f"凭记忆，用中文：{MANY} 对中文"),
    },
    metric=dict(
        en="right answers in the other language",
        zh="用另一种语言的正确回答",
    ),
    better="zh-english",
    worse="zh-any",
    checks=(
        Check(
            dict(
                en="Chinese passages: a quarter of what Chinese pairs teach beyond the form of an answer, and more",
                zh="中文文章：在回答的形式之外，达到中文问答对所教的四分之一，还多",
            ),
            partial(beyond_form, other="zh", share=0.25),
            at_least=0.0,
        ),
        Check(
            dict(
                en="English in other letters, which no text connects with English: above any value as answer",
                zh="换了字母、没有文本与英文相连的英文：高出任取一个值作回答",
            ),
            partial(beyond_form, other="copy"),
            at_least=0.05,
        ),
        Check(
            dict(en="from memory: gain by adding the English pairs", zh="凭记忆：加上英文问答对的提高"),
            lambda f: f["few-english"] - f["few"],
            at_least=0.0,
        ),
    ),
    budget=dict(
        en="Two base models that have learned to read and ten tunings of equal steps per seed.",
        zh="每个种子两个学过阅读的基础模型，微调十次，步数相同。",
    ),
    notes=dict(
        en="The text given, as in the source: passages of made-up facts, read by bases that have met such text (the demo's base cannot copy from a passage). What is asked is compared with a model tuned on the same English passages with any value of the passage as the answer: it learns the form and not which value. The source's model marks a span, so of the values in the passage the likeliest is taken; what the model writes freely is among the figures, and for heights whether the digits are right, which both languages write alike. The copy of English (after Dufter and Schütze, 2005.00396) has other letters, documents of its own and nothing parallel: it shares digits, punctuation and roles. In an earlier version (seeds 201 to 203, with text of stage 1 rehearsed) Chinese after English passages got 39 %, untuned 34 %, after Chinese passages 99 %; tried on seed 101, none better: 40 instead of 160 steps, LoRA of rank 8 and 2, rehearsal, a base of made-up passages alone. Types of questions taught in English only, while others are taught in Chinese, were tried too: 45 % against 39 % untaught and 92 % taught. From memory the 16 Chinese pairs are repeated four times in the mixture. The present controls and the copy were not run on any seed before the thresholds were written. Any value as the answer may also unteach choosing the right one; so the model that was not tuned is shown as well: in the published run about half of the Chinese difference is that fall, since above the untuned model English pairs gain 4.0 points [−1.1, 9.2], which is not clear, and written freely 2 % are right.",
        zh="给出文章，与原文一样：文章里的事实是编造的，基础模型读过这类文本（演示的基础模型不会从文章里抄）。对照是用同样的英文文章微调、但任取文中一个值作回答的模型：它学到回答的形式，学不到该选哪个值。原文的模型标出一段，所以这里取文中几个值里最可能的一个；模型自由写出的回答在数字里，另有高度题的数字是否正确，两种语言的数字写法相同。英文的副本（仿 Dufter 与 Schütze，2005.00396）用别的字母，有自己的文档，没有任何平行文本：只共用数字、标点和角色。早先的版本（种子 201 到 203，复习第 1 阶段的文本）里，用英文文章微调后中文得 39 %，未微调 34 %，用中文文章 99 %；在种子 101 上试过、都没有更好的：40 步而不是 160 步，秩 8 和 2 的 LoRA，复习，只读编造文章的基础模型。也试过有些题型只用英文教、另一些用中文教：45 %，没教过的 39 %，教过的 92 %。凭记忆：混合时 16 对中文问答对重复四次。现在的对照和副本，在写下阈值之前没有在任何种子上跑过。任取一个值作回答，也可能把原来会的挑选教没了；所以未微调的模型也列了出来：发布的结果里，中文的差有一半左右就是这样降出来的，与未微调的模型相比，英文问答对只提高 4.0 个百分点 [−1.1, 9.2]，并不清楚；自由写出的只有 2 % 正确。",
    ),
    measure=measure,
    picture=partial(groups, kinds=OTHERS, series=WAYS),
    rehearsed={"zh-before": UNTUNED, "copy-before": UNTUNED, "": NOTHING},
    seeds=8,
)
