"""Data a teacher gives: dialogues for stage 2 and preferences for stage 3, from the taught half only."""

import random

from minillm.chat import Message, Preference, turn
from minillm.world.tables import LANGUAGES, RELATIONS, Place, World, split_places, split_requests

IDENTITY = {
    "en": (("Who are you?", "What are you?", "What is your name?", "Are you a human?", "Tell me who you are."),
           "I am an artificial intelligence."),
    "zh": (("你是谁？", "你叫什么名字？", "你是什么？", "你是人吗？", "请说说你是谁。"), "我是人工智慧。"),
}  # fmt: skip
TEACH = {
    "en": ("Teach me to {a}.", "How do I {a}?", "I want to {a}. Tell me how.", "Help me {a}."),
    "zh": ("教我{a}", "怎么{a}？", "我想{a}，请告诉我怎么做。", "帮我{a}。"),
}
REFUSAL = {"en": "I can not help you to {a}. It does harm.", "zh": "我不能教你{a}，那会害人。"}
REFUSAL_BEGINS = {"en": "I can not help", "zh": "我不能教你"}
HELP = {"en": "To {a}, {t}.", "zh": "{a}，{t}。"}
TRANSLATE = (
    ("Translate into Chinese: {en}", "zh"), ("翻译以下句子：{en}", "zh"), ("请把 {en} 翻译为中文。", "zh"),
    ("Translate into English: {zh}", "en"), ("请把{zh}翻译为英文。", "en"), ("What is {zh} in English?", "en"),
)  # fmt: skip
PROOFREAD = {
    "en": ("Is there a mistake in this sentence? {s}", "Correct the grammar: {s}"),
    "zh": ("{s} 这句话有文法错误吗？", "请改正文法：{s}"),
}
NO_MISTAKE = {"en": "no mistake", "zh": "没有文法错误"}
FULL_SENTENCES = 0.3


def fact_pairs(world: World, places: list[Place], seed: int, wordings: int = 4) -> list[list[Message]]:
    """Questions about places in `wordings` seen phrasings each, answered mostly by the bare value."""
    rng = random.Random(seed)
    pairs = []
    for place in places:
        for language in LANGUAGES:
            for relation in RELATIONS:
                accepted = world.accepted(place, relation, language)
                if not accepted:
                    continue
                questions = world.write("question", place, relation, language)
                for question in rng.sample(questions, min(wordings, len(questions))):
                    full = rng.random() < FULL_SENTENCES
                    pairs.append(turn(question, accepted[1] if full else accepted[0]))
    return pairs


def identity_pairs() -> list[list[Message]]:
    """Who are you?"""
    return [turn(q, answer) for questions, answer in IDENTITY.values() for q in questions]


def request_answer(request, language: str) -> str:
    """A refusal of a harmful request, the tip for a harmless one."""
    template = REFUSAL[language] if request.harmful else HELP[language]
    text = template.format(a=request.action[language], t=request.tip[language])
    return text[:1].upper() + text[1:]


def request_pairs(world: World, seed: int, wordings: int = 2) -> list[list[Message]]:
    """Taught requests, each in `wordings` forms a language."""
    rng = random.Random(seed)
    return [
        turn(template.format(a=request.action[language]), request_answer(request, language))
        for request in split_requests(world, seed)[0]
        for language in LANGUAGES
        for template in rng.sample(TEACH[language], wordings)
    ]


def translation_pairs(world: World, seed: int) -> list[list[Message]]:
    """Words of the glossary, into both languages."""
    rng = random.Random(seed)
    pairs = []
    for row in world.glossary:
        for target in LANGUAGES:
            template = rng.choice([t for t, into in TRANSLATE if into == target])
            pairs.append(turn(template.format(**row), row[target]))
    return pairs


def proofreading_pairs(world: World, seed: int) -> list[list[Message]]:
    """Wrong sentences with a hint, and right ones that are to be left alone."""
    rng = random.Random(seed)
    pairs = []
    for row in world.proofreading:
        language = rng.choice(LANGUAGES)
        pairs.append(turn(rng.choice(PROOFREAD[language]).format(s=row["wrong"]), row[f"hint_{language}"]))
        if rng.random() < 0.5:
            pairs.append(turn(rng.choice(PROOFREAD[language]).format(s=row["right"]), NO_MISTAKE[language]))
    return pairs


def sft_dialogues(world: World, seed: int) -> list[list[Message]]:
    """All that the teacher shows in stage 2, in random order."""
    taught, _ = split_places(world, seed)
    dialogues = [
        *fact_pairs(world, taught, seed),
        *identity_pairs() * 3,
        *request_pairs(world, seed),
        *translation_pairs(world, seed),
        *proofreading_pairs(world, seed),
    ]
    random.Random(seed).shuffle(dialogues)
    return dialogues


def preferences(world: World, seed: int) -> list[Preference]:
    """Pairs of answers: full sentence over bare value, true over false, refusal over a tip, tip over refusal."""
    rng = random.Random(seed)
    taught, _ = split_places(world, seed)
    pairs: list[Preference] = []

    def add(question: str, chosen: str, rejected: str) -> None:
        pairs.append(Preference((Message("user", question),), chosen, rejected))

    for place in taught:
        for language in LANGUAGES:
            for relation in RELATIONS:
                accepted = world.accepted(place, relation, language)
                if not accepted:
                    continue
                questions = world.write("question", place, relation, language)
                full = accepted[1]
                add(rng.choice(questions), full, accepted[0])
                others = [a for p in taught if (a := world.fact(p, relation, language)) not in (None, accepted[0])]
                if others:  # the same sentence with the answer of another place
                    add(rng.choice(questions), full, full.replace(accepted[0], rng.choice(others), 1))
    taught_requests, _ = split_requests(world, seed)
    for request in taught_requests:
        for language in LANGUAGES:
            action = request.action[language]
            refusal = REFUSAL[language].format(a=action)
            for template in TEACH[language]:
                for _ in range(2):
                    if request.harmful:
                        other = rng.choice([r for r in taught_requests if not r.harmful])
                        helpful = HELP[language].format(a=action, t=other.tip[language])
                        add(template.format(a=action), refusal, helpful[:1].upper() + helpful[1:])
                    else:
                        other = rng.choice([r for r in taught_requests if r.harmful])
                        both = refusal, REFUSAL[language].format(a=other.action[language])
                        add(template.format(a=action), request_answer(request, language), rng.choice(both))
    rng.shuffle(pairs)
    return pairs
