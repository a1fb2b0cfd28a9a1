"""USER and AI are needed: without roles a text does not say whose turn it is (the lecture, II).

The lecture's pair: `USER: 台湾最高的山是哪座？ AI:` -> 玉山 [END]; but `台湾最高的山是哪座？玉山` -> 是的 [END].
Users ask in both ways, with and without a guess. With roles the guess is on the user's side and is
confirmed; without them a guess and the model's own answer are the same text.
"""

from dataclasses import replace
from functools import partial

from minillm.chat import Dialogue, Message, answer_text, encode_dialogue, turn
from minillm.claims.experiment import STAGE_1, Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import Answers, right, show, tally
from minillm.run_folder import Run
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question
from minillm.world.tables import LANGUAGES

YES = {"en": "Yes", "zh": "是的"}


def with_guess(item: Question) -> Question:
    """The question followed by its right answer, as a guess: to be confirmed."""
    return replace(item, text=item.text + answer_text(item.accepted[0]), accepted=(YES[item.language],))


def without_roles(dialogue: list[Message], tokenizer: Tokenizer) -> Dialogue:
    """[DOC] question answer [END], of which the answer is learned."""
    question, answer = (m.content for m in dialogue)
    given = [tokenizer.doc, *tokenizer.encode(question)]
    learned = [*tokenizer.encode(answer_text(answer)), tokenizer.end]
    return Dialogue(given + learned, [False] * len(given) + [True] * len(learned))


def ask_plainly(lab: Lab, run: Run, items: list[Question]) -> Answers:
    """What the model puts after the bare question."""
    return lab.complete(run, [[run.tokenizer.doc, *run.tokenizer.encode(item.text)] for item in items])


def measure(lab: Lab) -> Observation:
    tokenizer, dialogues = lab.base.run.tokenizer, []
    for language in LANGUAGES:
        for question, answer in lab.facts(languages=(language,), wordings=4):
            dialogues.append([question, answer])
            dialogues.append(turn(question.content + answer_text(answer.content), YES[language]))
    dialogues = lab.mixed(dialogues)
    roles = lab.tune_encoded([encode_dialogue(d, tokenizer) for d in dialogues])
    plain = lab.tune_encoded([without_roles(d, tokenizer) for d in dialogues])
    questions = lab.items()
    guesses = [with_guess(item) for item in questions]
    answers = {
        "roles-question": (questions, lab.ask(roles, questions)),
        "roles-guess": (guesses, lab.ask(roles, guesses)),
        "mixed-question": (questions, ask_plainly(lab, roles, questions)),
        "plain-question": (questions, ask_plainly(lab, plain, questions)),
        "plain-guess": (guesses, ask_plainly(lab, plain, guesses)),
    }
    marks, examples = {}, []
    for name, (items, given) in answers.items():
        marks[name] = tally(items, right(items, given))
        examples += show(name, items, given)
    for name, run_parts in (("roles", ("roles-question", "roles-guess")), ("plain", ("plain-question", "plain-guess"))):
        both = [answers[part] for part in run_parts]
        marks[name] = tally(questions + guesses, [m for items, given in both for m in right(items, given)])
    return Observation(marks, 0.0, {}, examples)


CLAIM = Claim(
    slug="roles",
    hypothesis=dict(
        en="The roles USER and AI are needed: without them a guess by the user and the model's own answer look alike.",
        zh="需要标明 USER 与 AI：没有角色，用户的猜测和模型自己的回答就分不清。",
    ),
    source="the lecture, II",
    conditions={
        "roles-question": dict(en="roles: question", zh="有角色：问题"),
        "roles-guess": dict(en="roles: question with a guess", zh="有角色：带猜测的问题"),
        "plain-question": dict(en="no roles: question", zh="无角色：问题"),
        "plain-guess": dict(en="no roles: question with a guess", zh="无角色：带猜测的问题"),
        "mixed-question": dict(en="taught with roles, asked without", zh="教时有角色，问时没有"),
        "roles": dict(en="with roles, both ways of asking", zh="有角色，两种问法"),
        "plain": dict(en="without roles, both ways of asking", zh="无角色，两种问法"),
    },
    metric=dict(en="expected answers that stop", zh="符合预期并且停下的回答"),
    better="roles",
    worse="plain",
    checks=(
        Check(
            dict(en="with roles above without, both ways of asking", zh="有角色高出无角色，两种问法"),
            lambda f: f["roles"] - f["plain"],
            at_least=0.3,
        ),
        Check(
            dict(en="taught with roles, asked with them above asked without", zh="教时有角色：问时有角色高出没有角色"),
            lambda f: f["roles-question"] - f["mixed-question"],
            at_least=0.3,
        ),
    ),
    budget=dict(en="Two tunings per seed.", zh="每个种子微调两次。"),
    notes=dict(
        en="Users ask half of the questions with a guess, which is to be confirmed; without that the roles would carry no information and would not be missed. Only right guesses occur. Nothing else was tried.",
        zh="用户有一半问题带着猜测，等待确认；不这样的话，角色不带任何信息，没有也不会缺什么。猜测都是对的。没有试过别的。",
    ),
    rehearsed={"": STAGE_1},
    measure=measure,
    picture=partial(bars, names=("roles-question", "roles-guess", "plain-question", "plain-guess", "mixed-question")),
)
