"""Review by the model's own answers: it writes questions and answers before it learns new ones.

What it knew is in them, so that learning them again with the new pairs keeps it; no text of its training is needed.

Source: Sun et al. 2019 (1909.03329, LAMOL); the questions of an instruct model are had by beginning a user's turn,
as in Xu et al. 2024 (2406.08464, Magpie).
"""

from collections.abc import Sequence

from minillm.chat import Dialogue, Message, Part, encode_dialogue, encode_parts, fill
from minillm.generate import generate
from minillm.plumbing.devices import autocast
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.templates import TEMPLATES

BEGINNINGS = ("", "What is the", "Who", "Where is", "Which", "When did", "How many", "Name", "", "什么是", "谁", "哪")
"""How questions begin; those in Chinese only where the model has whole characters for them."""
QUESTION, ANSWER = 24, 40  # tokens at most


def begun_question(run: Run, words: str) -> list[int]:
    """Ids of a dialogue up to the first words of a user's text."""
    template, tokenizer = TEMPLATES[run.tokenizer.template], run.tokenizer
    before = template.user.split("{text}")[0]
    system = tokenizer.system or template.default
    system_parts = fill(template.system, {"text": [system]}, tokenizer) if system else list[Part]()
    values = {"doc": list[Part](tokenizer.opening), "system": system_parts}
    parts = fill(template.opening + before, values, tokenizer)
    if not words and isinstance(parts[-1], str):
        parts[-1] = parts[-1].rstrip(" ")  # the space belongs to the word that follows
    return encode_parts([*parts, words], tokenizer)


def own_dialogues(run: Run, number: int, seed: int = 0, precision: str = "auto") -> list[Dialogue]:
    """At most `number` dialogues that the model writes itself: sampled questions, greedy answers.

    An answer that it did not end in time is learned without an end. Fewer come back where it repeats itself.
    """
    tokenizer = run.tokenizer
    whole = [w for w in BEGINNINGS if w.isascii() or len(tokenizer.encode(w)) <= len(w)]
    words = [whole[i % len(whole)] for i in range(number + number // 4)]
    with autocast(run.gpt.device, precision):
        sampling = Sampling(max_new_tokens=QUESTION, temperature=1.0, top_k=50, seed=seed)
        begun = [begun_question(run, w) for w in words]
        written = generate(run.gpt, begun, sampling, tokenizer.end, tokenizer.pad)
        questions = [question_of(run, w + tokenizer.decode(ids)) for w, ids in zip(words, written, strict=True)]
        asked = list(dict.fromkeys(q for q in questions if q))[:number]
        prompts = [encode_dialogue([Message("user", q)], tokenizer).ids for q in asked]
        answers = (
            generate(run.gpt, prompts, Sampling(max_new_tokens=ANSWER), tokenizer.end, tokenizer.pad) if asked else []
        )
    return [learned(p, a) for p, a in zip(prompts, answers, strict=True) if len(a) > 1]


def question_of(run: Run, text: str) -> str:
    """The question in what a model wrote: up to its end mark, or to what follows a question in the template."""
    after = TEMPLATES[run.tokenizer.template].user.split("{text}")[1].strip()
    text = text.split(after)[0] if after else text
    end = max(text.find(mark) for mark in "?？")
    return (text[: end + 1] if end >= 0 else text).strip()


def learned(prompt: Sequence[int], answer: Sequence[int]) -> Dialogue:
    """A dialogue of ids, of which the answer is learned."""
    return Dialogue([*prompt, *answer], [False] * len(prompt) + [True] * len(answer))
