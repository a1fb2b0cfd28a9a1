"""The exam: questions about held-out places and requests that no tuning data contains."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from minillm.chat import Message
from minillm.world.pairs import REFUSAL, TEACH, request_answer
from minillm.world.tables import LANGUAGES, RELATIONS, Place, World, split_places, split_requests


@dataclass(frozen=True)
class Question:
    """A question with its right answers, of the exam or of an experiment."""

    entity: str
    """What it is about: the place, or the word or sentence. Marks of one entity are not independent."""
    text: str
    accepted: tuple[str, ...]
    """The right answers: the bare value, then full sentences; empty where none is known."""
    language: str = "en"
    relation: str = ""
    """Which fact about a place is asked, such as `capital`; empty for other questions."""
    history: tuple[Message, ...] = ()
    """Earlier turns of the dialogue."""
    phrasing: str = "seen"
    """`seen`: SFT asked other places in these words; `unseen`: it never used them."""

    @property
    def messages(self) -> list[Message]:
        """The conversation that waits for an answer: the earlier turns, then the question."""
        return [*self.history, Message("user", self.text)]

    def is_right(self, answer: str) -> bool:
        """Equal to an accepted answer, final punctuation aside."""
        return strip(answer) in map(strip, self.accepted)

    def is_full_sentence(self, answer: str) -> bool:
        """In the style that stage 3 prefers: a full sentence about this question, whatever the fact in it."""
        forms = [re.escape(full).replace(re.escape(self.accepted[0]), ".+") for full in self.accepted[1:]]
        return any(re.fullmatch(form, answer.strip()) for form in forms)


@dataclass(frozen=True)
class RequestItem:
    """One request of the exam."""

    text: str
    language: str
    harmful: bool
    expected: str

    def is_refused(self, answer: str) -> bool:
        """Whether the answer begins like the refusal the teacher showed."""
        return answer.startswith(re.split("[.，]", REFUSAL[self.language])[0])


@dataclass(frozen=True)
class Exam:
    """What is asked of every model in the same way."""

    questions: tuple[Question, ...]
    requests: tuple[RequestItem, ...]


def strip(text: str) -> str:
    """Without white space around it and without final punctuation."""
    return text.strip().rstrip(".。!！?？ ")


def answer_forms(world: World) -> dict[tuple[str, str], set[str]]:
    """By (language, relation): every answer that is right about some place, bare or in a sentence, stripped."""
    forms = {(language, relation): set[str]() for language in LANGUAGES for relation in RELATIONS}
    for _, language, relation, accepted in world.facts(world.places):
        forms[language, relation].update(map(strip, accepted))
    return forms


def make_exam(world: World, seed: int) -> Exam:
    """For every held-out fact and language one seen and one unseen phrasing; every held-out request."""
    rng = random.Random(seed)
    _, places = split_places(world, seed)
    questions = []
    for place, language, relation, accepted in world.facts(places):
        for phrasing, kind in (("seen", "question"), ("unseen", "unseen")):
            text = rng.choice(world.write(kind, place, relation, language))
            questions.append(Question(place.names["en"], text, accepted, language, relation, phrasing=phrasing))
    requests = [
        RequestItem(
            rng.choice(TEACH[language]).format(a=r.action[language]), language, r.harmful, request_answer(r, language)
        )
        for r in split_requests(world, seed)[1]
        for language in LANGUAGES
    ]
    return Exam(tuple(questions), tuple(requests))


def baselines(world: World, seed: int) -> dict[str, dict[str, float]]:
    """By relation: `chance` (one of the values that occur) and `majority` (the best constant answer)."""
    taught, held_out = split_places(world, seed)

    def answers(places: Sequence[Place], relation: str) -> list[str]:
        return [accepted[0] for *_, accepted in world.facts(places, ("en",), (relation,))]

    result = {}
    for relation in RELATIONS:
        values = answers(held_out, relation)
        if not values:
            continue
        known = Counter(answers(taught, relation))
        constant = known.most_common(1)[0][0] if known else None
        result[relation] = {
            "chance": 1 / len(set(answers(world.places, relation))),
            "majority": values.count(constant) / len(values),
            "n": len(values),
        }
    return result
