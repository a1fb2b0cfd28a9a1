"""What is taught in one language helps in another (Hsu et al. 2019, 1909.09587): with the text given, as in
the source, and from memory, where the facts come from stage 1.

The other language is Chinese, or a copy of English in other letters that no text connects with English: it has
the same sentences, but shares only digits, punctuation and roles (Dufter and Schütze 2020, 2005.00396, whose copy
has every token shifted).
"""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from minillm.base_cache import Base
from minillm.chat import Dialogue, Message, encode_dialogue, turn
from minillm.claims.experiment import NOTHING, UNTUNED, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import Marks, right, show, tally
from minillm.claims.passages import DOCUMENTS, PassageWriter, read_base, reader, reading, worlds
from minillm.packing import padded_batch
from minillm.run_folder import Run
from minillm.stage3_preference import sequence_log_probs
from minillm.world.exam import Question

if TYPE_CHECKING:
    pass

FEW, MANY, PASSAGES, STEPS = 16, 512, 512, 120
WAYS = ("before", "any", "english", "own")
OTHERS = ("zh", "copy")
MEMORY = ("few", "memory-english", "few-english", "memory-own")
LETTERS = str.maketrans(string.ascii_letters, "".join(map(chr, [*range(0x561, 0x57B), *range(0x531, 0x54B)])))


def copied(text: str) -> str:
    """English in other letters: `Tokyo` -> `Գոկտո`-like; digits and punctuation stay."""
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


CLAIM = Claim(
    slug="across-languages",
    hypothesis=dict(
        en="What is taught in English helps to answer in Chinese, if the base has read both languages.",
        zh="只要基础模型读过两种语言，用英文教的也有助于用中文回答。",
    ),
    source="1909.09587",
    conditions={f"{name}-{way}": dict(en=way, zh=way) for name in OTHERS for way in WAYS}
    | {
        "few": dict(en=f"{FEW} Chinese", zh=f"{FEW} 对中文"),
        "memory-english": dict(en=f"{MANY} English (zero-shot)", zh=f"{MANY} 对英文（零样本）"),
        "few-english": dict(en=f"{FEW} Chinese + {MANY} English", zh=f"{FEW} 对中文 + {MANY} 对英文"),
        "memory-own": dict(en=f"{MANY} Chinese", zh=f"{MANY} 对中文"),
    },
    metric=dict(en="right answers to Chinese questions", zh="中文问题的正确回答"),
    better="zh-english",
    worse="zh-any",
    checks=(),
    budget=dict(
        en="Two base models that have learned to read and seven tunings per seed.",
        zh="每个种子两个学过阅读的基础模型，微调七次。",
    ),
    notes=dict(en="NOTES", zh="NOTES"),
    measure=measure,
    picture=bars,
    rehearsed={"zh-before": UNTUNED, "copy-before": UNTUNED, "": NOTHING},
)
