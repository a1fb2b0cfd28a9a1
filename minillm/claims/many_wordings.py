"""Knowledge can be asked for only if stage 1 met it in many wordings (Allen-Zhu and Li 2023, 2309.14316)."""

from dataclasses import replace
from functools import partial

from minillm.claims.experiment import STAGE_1, Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import right, show, tally
from minillm.world.tables import ATTRIBUTES, REVERSE, World
from minillm.world.text import JOIN, Writer, statements


def one_wording(world: World) -> World:
    """The world with one statement left for each fact and language."""
    phrases = {key: texts[:1] if key[2] == "statement" else texts for key, texts in world.phrases.items()}
    return replace(world, phrases=phrases)


class FixedWriter(Writer):
    """Tells facts only of one place at a time, always in the same order; what is not about facts stays."""

    def __init__(self, world: World, seed: int):
        super().__init__(one_wording(world), seed)
        facts = (self.about_a_place, self.three_facts, self.mixed_names, self.parallel, self.story)
        weight = sum(weight for weight, kind in self.kinds if kind in facts)
        self.kinds = [(weight, self.about_a_place), *(k for k in self.kinds if k[1] not in facts)]

    def about_a_place(self, language: str) -> str:
        place = self.random.choice(self.world.places)
        wordings = [statements(self.world, place, attribute, language) for attribute in ATTRIBUTES]
        return JOIN[language].join(w[0] for w in wordings if w)


def measure(lab: Lab) -> Observation:
    documents = list(FixedWriter(lab.world, lab.seed).documents(lab.config.documents))
    fixed = lab.pretrain(documents, lab.base.run.tokenizer)
    items = lab.items()
    marks, examples = {}, []
    for name, run in (("many", lab.assistant), ("one", lab.tune(lab.pairs, fixed))):
        answers = lab.ask(run, items)
        marks[name] = tally(items, right(items, answers))
        forward = [(i, m) for i, m in zip(items, right(items, answers), strict=True) if i.relation not in REVERSE]
        marks[f"{name}-forward"] = tally(*zip(*forward, strict=True))
        examples += show(name, items, answers)
    return Observation(marks, lab.constant_answer, {}, examples)


CLAIM = Claim(
    slug="many-wordings",
    hypothesis=dict(
        en="Facts read in one wording and order are memorised but can hardly be asked for; many wordings open them.",
        zh="只以一种说法、一种顺序读到的事实，背下来了却问不出来；说法多样才问得出来。",
    ),
    source="Physics of Language Models 3.1 (2309.14316)",
    conditions={
        "one": dict(en="one wording, fixed order", zh="一种说法，固定顺序"),
        "many": dict(en="many wordings", zh="多种说法"),
        "one-forward": dict(en="one wording; no reverse questions", zh="一种说法；不问反向的问题"),
        "many-forward": dict(en="many wordings; no reverse questions", zh="多种说法；不问反向的问题"),
    },
    metric=dict(en="right answers about held-out places", zh="关于未教过的地方的正确回答"),
    better="many",
    worse="one",
    checks=(
        Check(
            dict(en="many wordings, as a multiple of one", zh="多种说法是一种说法的几倍"),
            lambda f: f["many"] / f["one"] if f["one"] else float("inf"),
            at_least=1.5,
            percent=False,
        ),
    ),
    budget=dict(en="One more base model and two tunings per seed.", zh="每个种子多训练一个基础模型，微调两次。"),
    notes=dict(
        en="At first the one wording also occurred in documents of three facts, of both languages side by side, and of "
        "mixed names, so that the order was not fixed: 62.5 % against 91.1 % (1.46 times, seed 101). Now all facts are "
        "told place by place. The number of documents and the steps are equal.",
        zh="起初，唯一的说法也出现在三个事实、两种语言并列、名字混用的文档里，顺序并不固定：62.5 % 对 91.1 %（1.46 倍，种子 101）。"
        "现在所有事实都逐个地方来讲。文档数和步数相同。",
    ),
    rehearsed={"": STAGE_1},
    measure=measure,
    picture=partial(bars, names=("one", "many", "one-forward", "many-forward")),
)
