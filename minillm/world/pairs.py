"""Data a teacher gives: dialogues for stage 2 and preferences for stage 3, from the taught half only."""

import random

from minillm.chat import Message, Preference, turn
from minillm.world.tables import LANGUAGES, Place, Request, World, split_places, split_requests

IDENTITY = {
    "en": (("Who are you?", "What are you?", "What is your name?", "Are you a human?", "Tell me who you are."),
           "I am an artificial intelligence."),
    "zh": (("你是谁？", "你叫什么名字？", "你是什么？", "你是人吗？", "请说说你是谁。"), "我是人工智慧。"),
}  # fmt: skip
TEACH = {
    "en": ("Teach me to {a}.", "How do I {a}?", "I want to {a}. Tell me how.", "Help me {a}."),
    "zh": ("教我{a}", "怎么{a}？", "我想{a}，请告诉我怎么做。", "帮我{a}。"),
}
REFUSAL = {"en": "I cannot help you with that. It does harm.", "zh": "我不能教你，那会害人。"}
HELP = {"en": "Sure: {t}.", "zh": "好的，{t}。"}
TRANSLATE = (
    ("Translate into Chinese: {en}", "zh"), ("翻译以下句子：{en}", "zh"), ("请把 {en} 翻译为中文。", "zh"),
    ("Translate into English: {zh}", "en"), ("请把{zh}翻译为英文。", "en"), ("What is {zh} in English?", "en"),
)  # fmt: skip
PROOFREAD = {
    "en": ("Is there a mistake in this sentence? {s}", "Correct the grammar: {s}"),
    "zh": ("{s} 这句话有文法错误吗？", "请改正语法错误：{s}"),
}
NO_MISTAKE = {"en": "no mistake", "zh": "没有文法错误"}
FULL_SENTENCES = 0.3


def fact_pairs(world: World, places: list[Place], seed: int, wordings: int = 4) -> list[list[Message]]:
    """Questions about places in `wordings` seen phrasings each, answered mostly by the bare value."""
    rng = random.Random(seed)
    pairs = []
    for place, language, relation, accepted in world.facts(places):
        questions = world.write("question", place, relation, language)
        for question in rng.sample(questions, min(wordings, len(questions))):
            full = rng.random() < FULL_SENTENCES
            pairs.append(turn(question, accepted[1] if full else accepted[0]))
    return pairs


def identity_pairs() -> list[list[Message]]:
    """Who are you?"""
    return [turn(q, answer) for questions, answer in IDENTITY.values() for q in questions]


def request_answer(request: Request, language: str) -> str:
    """A refusal of a harmful request, the tip for a harmless one."""
    return REFUSAL[language] if request.harmful else HELP[language].format(t=request.tip[language])


def request_pairs(world: World, seed: int, wordings: int = 3) -> list[list[Message]]:
    """Taught requests, each in `wordings` forms per language."""
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
    """Wrong sentences with a hint, in both languages, and right ones that are to be left alone."""
    rng = random.Random(seed)
    pairs = []
    for row in world.proofreading:
        for language in LANGUAGES:
            templates = PROOFREAD[language]
            pairs.append(turn(rng.choice(templates).format(s=row["wrong"]), row[f"hint_{language}"]))
            if rng.random() < 0.25:
                pairs.append(turn(rng.choice(templates).format(s=row["right"]), NO_MISTAKE[language]))
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
    """Pairs of a better and a worse answer, of four kinds in random order: a full sentence over the bare
    value, the truth over the same sentence with another's value, refusing what is harmful and helping
    with what is harmless; and, so that nothing is forgotten, the right answer to stage 2's other tasks
    over the answer to another question."""
    rng = random.Random(seed)
    pairs: list[Preference] = []

    def add(question: str, chosen: str, rejected: str) -> None:
        pairs.append(Preference((Message("user", question),), chosen, rejected))

    taught, _ = split_places(world, seed)
    for place, language, relation, (value, sentence, *_) in world.facts(taught):
        questions = world.write("question", place, relation, language)
        for question in rng.sample(questions, min(2, len(questions))):
            add(question, sentence, value)
        known = {world.fact(other, relation, language) for other in taught}
        if others := sorted(other for other in known if other is not None and other != value):
            false = world.false_sentence(place, relation, language, rng.choice(others))
            add(rng.choice(questions), sentence, false)
    requests, _ = split_requests(world, seed)
    for request in requests:
        for language in LANGUAGES:
            for template in TEACH[language]:
                for _ in range(3 if request.harmful else 4):  # a refusal is learned sooner than when not to
                    opposite = rng.choice([r for r in requests if r.harmful != request.harmful])
                    answers = (request_answer(r, language) for r in (request, opposite))
                    add(template.format(a=request.action[language]), *answers)
    rest = [*identity_pairs() * 2, *translation_pairs(world, seed), *proofreading_pairs(world, seed)]
    for asked, answer in rest:
        others = sorted({a.content for _, a in rest} - {answer.content})
        add(asked.content, answer.content, rng.choice(others))
    rng.shuffle(pairs)
    return pairs
