"""A dialogue has to mark whose turn it is (the lecture, II).

The lecture's pair: `USER: 台湾最高的山是哪座？ AI:` -> 玉山 [END]; but `台湾最高的山是哪座？玉山` -> 是的 [END].
Users ask in both ways, with and without a guess. Unmarked, a guess and the model's own answer are the same text,
so the labels contradict each other by construction: after question and value half of the dialogues end and half go
on with Yes. Two controls say what is missing then: the same unmarked dialogues with a newline before the answer, and
unmarked dialogues in which nobody guesses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from minillm.chat import Dialogue, Message, answer_text, encode_dialogue, turn
from minillm.claims.experiment import NOTHING, Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import PLAIN_LR, PLAIN_STEPS, Lab
from minillm.claims.marks import Answers, right, show, tally
from minillm.run_folder import Run
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question
from minillm.world.tables import LANGUAGES

YES = {"en": "Yes", "zh": "是的"}


def with_guess(item: Question) -> Question:
    """The question followed by its right answer, as a guess: to be confirmed."""
    return replace(item, text=item.text + answer_text(item.accepted[0]), accepted=(YES[item.language],))


@dataclass(frozen=True)
class Unmarked:
    """Dialogues without roles: [DOC] question, perhaps a separator, answer [END]."""

    separator: str = ""

    def prompt(self, question: str, tokenizer: Tokenizer) -> list[int]:
        """The ids that the answer follows; the separator is encoded by itself."""
        return [tokenizer.doc, *tokenizer.encode(question), *tokenizer.encode(self.separator)]

    def encode(self, dialogue: Sequence[Message], tokenizer: Tokenizer) -> Dialogue:
        """A question and its answer, of which the answer is learned."""
        question, answer = (m.content for m in dialogue)
        given = self.prompt(question, tokenizer)
        learned = [*tokenizer.encode(answer_text(answer)), tokenizer.end]
        return Dialogue(given + learned, [False] * len(given) + [True] * len(learned))

    def ask(self, lab: Lab, run: Run, items: Sequence[Question]) -> Answers:
        """What the model puts after each question."""
        return lab.complete(run, [self.prompt(item.text, run.tokenizer) for item in items])


def measure(lab: Lab) -> Observation:
    base, asked, guessed = lab.base.run, list[list[Message]](), list[list[Message]]()
    for language in LANGUAGES:
        for question, answer in lab.facts(languages=(language,), wordings=4):
            asked.append([question, answer])
            guessed.append(turn(question.content + answer_text(answer.content), YES[language]))
    both, bare, newline = lab.mixed([*asked, *guessed]), Unmarked(), Unmarked("\n")

    def tuned(encoded: list[Dialogue]) -> Run:
        return lab.tune_encoded(encoded, base, rehearse=(), steps=lab.pick(PLAIN_STEPS, 160), lr=PLAIN_LR)

    roles = tuned([encode_dialogue(d, base.tokenizer) for d in both])
    separated = tuned([newline.encode(d, base.tokenizer) for d in both])
    unmarked = tuned([bare.encode(d, base.tokenizer) for d in both])
    unguessed = tuned([bare.encode(d, base.tokenizer) for d in lab.mixed(asked)])
    questions = lab.items()
    guesses = [with_guess(item) for item in questions]
    answers = {
        "roles-question": (questions, lab.ask(roles, questions)),
        "roles-guess": (guesses, lab.ask(roles, guesses)),
        "newline-question": (questions, newline.ask(lab, separated, questions)),
        "newline-guess": (guesses, newline.ask(lab, separated, guesses)),
        "plain-question": (questions, bare.ask(lab, unmarked, questions)),
        "plain-guess": (guesses, bare.ask(lab, unmarked, guesses)),
        "unguessed-question": (questions, bare.ask(lab, unguessed, questions)),
        "dropped-question": (questions, bare.ask(lab, roles, questions)),
    }
    marks, examples = {}, []
    for name, (items, given) in answers.items():
        marks[name] = tally(items, right(items, given))
        examples += show(name, items, given, 3)
    for name in ("roles", "newline", "plain"):
        parts = [answers[f"{name}-question"], answers[f"{name}-guess"]]
        marks[name] = tally(questions + guesses, [m for items, given in parts for m in right(items, given)])
    return Observation(marks, 0.0, {}, examples)


CLAIM = Claim(
    slug="roles",
    hypothesis=dict(
        en="A dialogue has to mark whose turn it is: unmarked, a user's guess and the model's answer are the same text. USER and AI do it, and so does a newline.",
        zh="对话要标明轮到谁说：不标，用户的猜测和模型的回答就是同样的文字。USER 与 AI 可以标明，一个换行也可以。",
    ),
    source="the lecture, II",
    conditions={
        "roles-question": dict(en="roles: question", zh="有角色：问题"),
        "roles-guess": dict(en="roles: question with a guess", zh="有角色：带猜测的问题"),
        "newline-question": dict(en="newline: question", zh="换行：问题"),
        "newline-guess": dict(en="newline: question with a guess", zh="换行：带猜测的问题"),
        "plain-question": dict(en="unmarked: question", zh="不标：问题"),
        "plain-guess": dict(en="unmarked: question with a guess", zh="不标：带猜测的问题"),
        "unguessed-question": dict(en="unmarked, nobody ever guesses: question", zh="不标，从没有人猜：问题"),
        "dropped-question": dict(en="taught with roles, asked without", zh="教时有角色，问时没有"),
        "roles": dict(en="with roles, both ways of asking", zh="有角色，两种问法"),
        "newline": dict(en="with a newline, both ways of asking", zh="有换行，两种问法"),
        "plain": dict(en="unmarked, both ways of asking", zh="不标，两种问法"),
    },
    metric=dict(en="expected answers that stop", zh="符合预期并且停下的回答"),
    better="newline",
    worse="plain",
    checks=(
        Check(
            dict(en="with roles above unmarked, both ways of asking", zh="有角色高出不标，两种问法"),
            lambda f: f["roles"] - f["plain"],
            at_least=0.3,
        ),
        Check(
            dict(en="with a newline above unmarked, both ways of asking", zh="有换行高出不标，两种问法"),
            lambda f: f["newline"] - f["plain"],
            at_least=0.3,
        ),
        Check(
            dict(
                en="with roles above a newline, both ways of asking: the names add little",
                zh="有角色高出换行，两种问法：名称的作用很小",
            ),
            lambda f: f["roles"] - f["newline"],
            at_most=0.05,
        ),
        Check(
            dict(
                en="where nobody guesses: questions with roles above unmarked ones",
                zh="从没有人猜时：有角色的问题高出不标的问题",
            ),
            lambda f: f["roles-question"] - f["unguessed-question"],
            at_most=0.05,
        ),
    ),
    budget=dict(en="Four tunings per seed.", zh="每个种子微调四次。"),
    notes=dict(
        en="That unmarked dialogues lose about half is so by construction: after question and value half of their labels end and half go on with Yes. What is measured is that nothing else is missing: with a newline, or where nobody guesses, the names USER and AI are not needed. Only right guesses occur. Users guess in half of the dialogues. Nothing is rehearsed: stage 1 has questions without roles too, and rehearsing them would teach unmarked questions to go on. Seed 101 (quick): 95 % with roles and with a newline, 47 % unmarked; questions alone 90 and 91 %.",
        zh="不标的对话丢掉约一半，这由构造决定：在问题和值之后，标注有一半结束，一半接着是「是的」。测量的是除此之外什么也不缺：有换行，或者从没有人猜，就用不着 USER 和 AI 这两个名称。猜测都是对的。一半的对话里用户带着猜测。不复习：第 1 阶段也有不带角色的问题，复习它们会教模型在不标的问题后面继续写下去。种子 101（快速版）：有角色和有换行都是 95 %，不标是 47 %；只看问题是 90 % 和 91 %。",
    ),
    rehearsed={"": NOTHING},
    measure=measure,
    picture=partial(
        bars,
        names=(
            "roles-question", "roles-guess", "newline-question", "newline-guess", "plain-question", "plain-guess",
            "unguessed-question",
        ),
    ),
)  # fmt: skip
