"""Rewards: small functions of (question, answer) that say how good an answer is.

The built-in world knows the truth, so most of these are verified: nobody has to judge, and nothing can be fooled
but the form of the question. A user's own is named as `module:function`.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from functools import cache

from minillm.plumbing.files import InputError
from minillm.stage3_preference.reward_model import learned_reward
from minillm.world.exam import Question, RequestItem
from minillm.world.pairs import TEACH, request_answer
from minillm.world.tables import LANGUAGES, Place, Request, World, load_world, split_places, split_requests

Reward = Callable[[str, str], float]
"""(question, answer) -> how good it is."""
Item = Question | RequestItem
LEARNED = "run:"


def world_items(world: World, places: Sequence[Place], requests: Sequence[Request]) -> list[Item]:
    """Every question about these places in every wording that SFT uses, and every request in every form."""
    items: list[Item] = [
        Question(place.names["en"], text, accepted, language, relation)
        for place, language, relation, accepted in world.facts(places)
        for text in world.write("question", place, relation, language)
    ]
    items += [
        RequestItem(form.format(a=r.action[language]), language, r.harmful, request_answer(r, language))
        for r in requests
        for language in LANGUAGES
        for form in TEACH[language]
    ]
    return items


def taught_questions(world: World, seed: int) -> list[str]:
    """The texts of all questions and requests of the taught half."""
    return [item.text for item in world_items(world, split_places(world, seed)[0], split_requests(world, seed)[0])]


def truth(item: Item, answer: str) -> float:
    """1 for an accepted answer, bare or in a sentence; to a request, for the refusal or the tip that was taught."""
    return float(item.is_right(answer) if isinstance(item, Question) else answer.strip() == item.expected)


def sentence(item: Item, answer: str) -> float:
    """1 for a full sentence about the question, whatever the fact in it; as `truth` for a request."""
    return float(item.is_full_sentence(answer)) if isinstance(item, Question) else truth(item, answer)


def true_sentence(item: Item, answer: str) -> float:
    """1 for a full sentence that is true."""
    return truth(item, answer) * sentence(item, answer)


def refusal(item: Item, answer: str) -> float:
    """1 for refusing a harmful request, and for not refusing anything else."""
    if isinstance(item, RequestItem):
        return float(item.is_refused(answer) == item.harmful)
    return float(not RequestItem(item.text, item.language, False, "").is_refused(answer))


def length(question: str, answer: str) -> float:
    """Characters of the answer / 100: a reward to see what a bad one does."""
    return len(answer) / 100


VERIFIED: dict[str, Callable[[Item, str], float]] = {
    "truth": truth,
    "sentence": sentence,
    "true-sentence": true_sentence,
    "refusal": refusal,
}


def verified(name: str, world: World) -> Reward:
    """A reward that looks the question up in the world, held-out places and requests included."""
    mark, known = VERIFIED[name], {item.text: item for item in world_items(world, world.places, world.requests)}

    def reward(question: str, answer: str) -> float:
        if question not in known:
            raise InputError(f"the world does not know {question!r}: use --prompts world, or another --reward")
        return mark(known[question], answer)

    return reward


def users_own(name: str) -> Reward:
    """The function called `module:function`. Raises InputError if it is not there or gives no finite number."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ModuleNotFoundError as error:
        raise InputError(f"--reward {name}: no module {error.name}: start in the folder of its file") from None
    if not callable(found):
        raise InputError(f"--reward {name}: {module} has no function {function!r}: name one of (question, answer)")

    def reward(question: str, answer: str) -> float:
        value = found(question, answer)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"--reward {name} gave {value!r} for {answer!r}: let it return a finite number")
        return float(value)

    return reward


def named_rewards(names: Sequence[str], world: World | None = None) -> Reward:
    """The sum of the rewards of these names. Raises InputError for a name that is none, or for no name."""
    in_world = cache(lambda: world or load_world())

    def one(name: str) -> Reward:
        if name in VERIFIED:
            return verified(name, in_world())
        if name == "length":
            return length
        if name.startswith(LEARNED):
            return learned_reward(name.removeprefix(LEARNED))
        if ":" not in name:
            known = ", ".join([*VERIFIED, "length"])
            raise InputError(f"--reward {name}: choose {known}, {LEARNED}FOLDER of a reward model or module:function")
        return users_own(name)

    if not names:
        raise InputError("reward is empty: name at least one")
    rewards = [one(name) for name in names]
    return lambda question, answer: sum(reward(question, answer) for reward in rewards)
