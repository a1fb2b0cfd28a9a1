"""Pairs about truth alone, for a reward model: `pairs.preferences` has too few of them to learn it from."""

import random
from collections.abc import Sequence

from minillm.chat import Message, Preference
from minillm.world.tables import Place, World


def truths(world: World, places: Sequence[Place], seed: int, each: int) -> list[Preference]:
    """Of each fact of these places its true sentence over up to `each` with the value of another of them: in random
    order, all values different, each after a question in one of the seen wordings."""
    rng, pairs = random.Random(seed), []
    for place, language, relation, (value, sentence, *_) in world.facts(places):
        known = {world.fact(other, relation, language) for other in places} - {value}
        others = sorted(other for other in known if other is not None)
        questions = world.write("question", place, relation, language)
        for other in rng.sample(others, min(each, len(others))):
            false = world.false_sentence(place, relation, language, other)
            pairs.append(Preference((Message("user", rng.choice(questions)),), sentence, false))
    rng.shuffle(pairs)
    return pairs
