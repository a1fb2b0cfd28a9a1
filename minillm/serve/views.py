"""What the page's views show, as JSON. The computations are in `measure/inside.py`; a view tells where, line and all."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from math import isqrt
from typing import Any

from minillm import lora
from minillm.assistant import Assistant
from minillm.chat import Dialogue, Message, encode_dialogue
from minillm.measure import inside
from minillm.plumbing.course import shipped
from minillm.run_folder import Run
from minillm.sampling import probabilities
from minillm.serve.answers import token_text
from minillm.serve.requests import Refused, flag, ids_of, pick_model

MOST_TOKENS, MOST_WEIGHTS, MOST_PASSAGES, AROUND = 512, 2 * 10**6, 20, 200
OFF = " (off)"
"""What the name of a model ends with whose adapters are switched off."""


def with_twins(models: Mapping[str, Assistant]) -> dict[str, Assistant]:
    """The models, and next to each that has LoRA adapters itself without them, in no memory of its own."""
    shown: dict[str, Assistant] = {}
    for name, model in models.items():
        shown[name] = model
        if lora.adapters(model.gpt) and name + OFF not in models:
            shown[name + OFF] = Assistant(Run(inside.without_adapters(model.gpt), model.tokenizer))
    return shown


def look(view: str, body: Mapping[str, Any], models: Mapping[str, Assistant], documents: Iterable[str]) -> Any:
    """What a view shows of the model and the text that are asked for. Raises Refused."""
    if not isinstance(text := body.get("text"), str) or not text.strip():
        raise Refused(400, "text must be a text that is not empty", "text")
    if view == "text":
        return passages(documents, text.strip())
    show = known(view, VIEWS)[1]
    _, model = pick_model(body, models)
    dialogue = read(text, flag(body, "turns"), model)
    if (n := len(dialogue.ids)) > (most := min(MOST_TOKENS, model.gpt.config.n_ctx)):
        raise Refused(400, f"the text has {n} tokens: at most {most} can be shown", "text", "context_length_exceeded")
    shown = {"ids": dialogue.ids, "tokens": names(dialogue.ids, model), "learned": dialogue.mask}
    return shown | show(model, dialogue.ids)


def known(view: str, table: Mapping[str, Any]) -> Any:
    """What a table says of a view. Raises Refused."""
    if view not in table:
        raise Refused(404, f"there is no such view: {', '.join(table)}", code="unknown_view")
    return table[view]


def read(text: str, turns: bool, model: Assistant) -> Dialogue:
    """A text of which all is learned, as in stage 1; or one turn a line, of which the answers are. Raises Refused."""
    if not turns:
        ids = ids_of(text, model)
        return Dialogue(ids, [i > 0 for i in range(len(ids))])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    messages = [Message(("user", "assistant")[i % 2], line) for i, line in enumerate(lines)]
    return encode_dialogue(messages, model.tokenizer)


def names(ids: Iterable[int], model: Assistant) -> list[str]:
    return [token_text(i, model.tokenizer) for i in ids]


def loss(model: Assistant, ids: list[int]) -> dict[str, Any]:
    losses, expected = inside.losses(model.gpt, ids)
    return {"losses": losses, "expected": names(expected, model)}


def attention(model: Assistant, ids: list[int]) -> dict[str, Any]:
    heads = model.gpt.config.n_layer * model.gpt.config.n_head
    if len(ids) > (most := isqrt(MOST_WEIGHTS // heads)):
        raise Refused(400, f"the text has {len(ids)} tokens: with {heads} heads, at most {most} can be shown", "text")
    return {"permille": (1000 * inside.attention_weights(model.gpt, ids)).round().int().tolist()}


def cache(model: Assistant, ids: list[int]) -> dict[str, Any]:
    filled = inside.cache_filling(model.gpt, ids, 32, model.tokenizer.end)
    return {"tokens": names(filled.ids, model), "prompt": filled.prompt, "token_bytes": filled.token_bytes,
            "keys": filled.keys.tolist(), "values": filled.values.tolist()}  # fmt: skip


def lens(model: Assistant, ids: list[int]) -> dict[str, Any]:
    chances, found = inside.logit_lens(model.gpt, ids)
    guesses = [[names(best, model) for best in depth] for depth in found.tolist()]
    return {"guesses": guesses, "probabilities": chances.tolist()}


def passages(documents: Iterable[str], place: str) -> dict[str, Any]:
    """How many documents of stage 1 name a place, of how many, and the first of them, each around the name."""
    read = found = 0
    shown: list[str] = []
    for text in documents:
        read += 1
        if (at := text.find(place)) >= 0:
            found += 1
            shown += [text[max(0, at - AROUND) : at + len(place) + AROUND]] * (found <= MOST_PASSAGES)
    return {"read": read, "found": found, "passages": shown}


Look = Callable[[Assistant, list[int]], dict[str, Any]]
VIEWS: dict[str, tuple[Callable, Look]] = {  # view -> the code that computes it, and what it shows of a text
    "loss": (inside.losses, loss), "attention": (inside.attention_weights, attention),
    "cache": (inside.cache_filling, cache), "lens": (inside.logit_lens, lens),
    "mask": (encode_dialogue, lambda *_: {}),  # ids and mask are all it shows
    "lora": (lora.LoRALinear, lambda model, _: {"shares": inside.adapter_shares(model.gpt)}),
}  # fmt: skip
CODE = {name: code for name, (code, _) in VIEWS.items()} | {"chat": probabilities, "text": passages}


def source(view: str) -> str:
    """The code that computes a view, after a line that says where it stands. Raises Refused."""
    lines, first = inspect.getsourcelines(code := known(view, CODE))
    return f"# {code.__module__.replace('.', '/')}.py, line {first}\n\n{''.join(lines)}"


def lesson(name: str, language: str) -> str:
    """The text and code of a lesson's notebook. Raises Refused."""
    there = {path.stem: path for path in shipped().glob("notebooks/[ez][nh]/*.ipynb") if path.parent.name == language}
    if name not in there:
        raise Refused(404, f"there is no such lesson: {', '.join(sorted(there))}", code="unknown_lesson")
    cells = json.loads(there[name].read_text("utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    fenced = [f"```python\n{t}\n```" if c["cell_type"] == "code" else t for c, t in zip(cells, texts, strict=True)]
    return "\n\n".join(fenced)
