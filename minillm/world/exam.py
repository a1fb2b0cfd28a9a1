"""The exam: questions about held-out places and requests that no tuning data contains."""

import random
import re
from collections import Counter
from dataclasses import dataclass

from minillm.world.pairs import REFUSAL, TEACH, request_answer
from minillm.world.tables import LANGUAGES, RELATIONS, World, split_places, split_requests


@dataclass(frozen=True)
class Question:
    """One question of the exam."""

    text: str
    language: str
    relation: str
    phrasing: str
    """`seen`: SFT asked other places in these words; `unseen`: it never used them."""
    accepted: tuple[str, ...]
    """The right answers: the bare value, then full sentences."""
    style: re.Pattern
    """What a full sentence about this question looks like, whatever the fact in it."""

    def is_right(self, answer: str) -> bool:
        """Equal to an accepted answer, final punctuation aside."""
        return strip(answer) in map(strip, self.accepted)

    def is_full_sentence(self, answer: str) -> bool:
        """In the style that stage 3 prefers."""
        return self.style.fullmatch(answer.strip()) is not None


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


def make_exam(world: World, seed: int) -> Exam:
    """For every held-out fact and language one seen and one unseen phrasing; every held-out request."""
    rng = random.Random(seed)
    _, places = split_places(world, seed)
    questions = []
    for place in places:
        for language in LANGUAGES:
            for relation in RELATIONS:
                accepted = world.accepted(place, relation, language)
                if not accepted:
                    continue
                pattern = "|".join(re.escape(full).replace(re.escape(accepted[0]), ".+") for full in accepted[1:])
                for phrasing, kind in (("seen", "question"), ("unseen", "unseen")):
                    text = rng.choice(world.write(kind, place, relation, language))
                    questions.append(Question(text, language, relation, phrasing, tuple(accepted), re.compile(pattern)))
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
    taught, places = split_places(world, seed)
    result = {}
    for relation in RELATIONS:
        values = [v for p in places if (v := world.fact(p, relation, "en")) is not None]
        if not values:
            continue
        known = Counter(v for p in taught if (v := world.fact(p, relation, "en")) is not None)
        constant = known.most_common(1)[0][0] if known else None
        everything = {v for p in world.places if (v := world.fact(p, relation, "en")) is not None}
        result[relation] = {
            "chance": 1 / len(everything),
            "majority": values.count(constant) / len(values),
            "n": len(values),
        }
    return result
