"""Varied phrasings teach more than one rigid template for each type of question (the lecture, IV).

The lecture sets real dialogues (InstructGPT's users) against templates (FLAN's). Here both sides are written by the
same hand: what is tested is variety alone, on the same facts, each of them equally often.
"""

from functools import partial

from minillm.chat import Message, turn
from minillm.claims.experiment import NOTHING, Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import Marks, right, show, tally
from minillm.world.exam import Question
from minillm.world.tables import LANGUAGES, RELATIONS, Place

Templates = dict[tuple[str, str], int]
"""(language, relation) -> the number of the one wording that rigid pairs ask in."""


def drawn_templates(lab: Lab) -> Templates:
    """A template for each type of question, drawn by the seed: none is chosen for being easy or hard."""
    rng = lab.random()
    return {
        (language, relation): rng.randrange(len(lab.world.phrases[language, relation, "question"]))
        for language in LANGUAGES
        for relation in RELATIONS
    }


def wording(lab: Lab, place: Place, language: str, relation: str, templates: Templates) -> str:
    """The fact asked in its type's one template."""
    questions = lab.world.write("question", place, relation, language)
    return questions[templates[language, relation] % len(questions)]


def pair_sets(lab: Lab, templates: Templates) -> dict[str, list[list[Message]]]:
    """Every taught fact once: in its type's one template, or in a wording drawn for each fact."""
    rng, rigid, varied = lab.random(), list[list[Message]](), list[list[Message]]()
    for place, language, relation, (answer, *_) in lab.world.facts(lab.taught):
        rigid.append(turn(wording(lab, place, language, relation, templates), answer))
        varied.append(turn(rng.choice(lab.world.write("question", place, relation, language)), answer))
    return {"rigid": lab.mixed(rigid), "varied": lab.mixed(varied)}


def measure(lab: Lab) -> Observation:
    templates = drawn_templates(lab)
    in_template = lab.some(
        [
            Question(p.names["en"], wording(lab, p, language, relation, templates), accepted, language, relation)
            for p, language, relation, accepted in lab.world.facts(lab.held_out)
        ]
    )
    asked = {"new": lab.items(kind="unseen"), "template": in_template}
    marks: dict[str, Marks] = {}
    figures, examples = {}, []
    for name, pairs in pair_sets(lab, templates).items():
        run = lab.tune_plain(pairs)
        figures[f"pairs, {name}"] = len(pairs)
        for kind, items in asked.items():
            answers = lab.ask(run, items)
            marks[f"{name}-{kind}"] = tally(items, right(items, answers))
            examples += show(f"{name}-{kind}", items, answers, 3)
    return Observation(marks, lab.constant_answer, figures, examples)


CLAIM = Claim(
    slug="varied-over-rigid",
    hypothesis=dict(
        en="Varied phrasings teach more than one rigid template per type: questions in new words are answered better.",
        zh="多样的问法胜过每类一个死板的模板：换成没见过的问法，回答得更好。",
    ),
    source="the lecture, IV; InstructGPT (2203.02155), FLAN (2109.01652)",
    conditions={
        "rigid-new": dict(en="one template, asked in new wordings", zh="一个模板，用新的问法来问"),
        "varied-new": dict(en="varied, asked in new wordings", zh="多样的问法，用新的问法来问"),
        "rigid-template": dict(en="one template, asked in that template", zh="一个模板，用这个模板来问"),
        "varied-template": dict(en="varied, asked in that template", zh="多样的问法，用这个模板来问"),
    },
    metric=dict(en="right answers about held-out places", zh="关于未教过的地方的正确回答"),
    better="varied-new",
    worse="rigid-new",
    checks=(
        Check(
            dict(en="in new wordings: varied above one template", zh="用新的问法：多样高出一个模板"),
            lambda f: f["varied-new"] - f["rigid-new"],
            at_least=0.05,
        ),
        Check(
            dict(en="in the template: one template above varied", zh="用这个模板：一个模板高出多样"),
            lambda f: f["rigid-template"] - f["varied-template"],
            at_most=0.1,
        ),
    ),
    budget=dict(
        en="Two tunings per seed, on the same facts, equal numbers of pairs and steps.",
        zh="每个种子微调两次，事实相同，对数与步数相同。",
    ),
    notes=dict(
        en="In an earlier form the varied set was drawn from all wordings of all facts, so it told some facts more often than others, and the template was always the first of its type. Now each fact is told once in both sets, and the template of each type is drawn by the seed. Stage 1 has read the new wordings as questions without answers; all wordings are ours, so nothing is said about real users. Seed 101 (quick): 94 and 81 % in new wordings, 97 and 97 % in the template.",
        zh="较早的做法是从所有事实的所有问法里抽取多样的一组，有的事实出现得更多，而且模板总是同类里的第一个。现在两组里每个事实都只出现一次，每类的模板由种子抽定。第 1 阶段读过新的问法，但没有答案；所有问法都是我们写的，所以对真实用户什么也没有说明。种子 101（快速版）：用新的问法是 94 % 和 81 %，用那个模板都是 97 %。",
    ),
    rehearsed={"": NOTHING},
    measure=measure,
    picture=partial(bars, names=("rigid-new", "varied-new", "rigid-template", "varied-template")),
)
