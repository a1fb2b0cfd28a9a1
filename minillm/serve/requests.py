"""What a client asks for, in OpenAI's form, checked; and the same as rows of token ids.

The form: platform.openai.com/docs/api-reference, chat and completions. Additions are `top_k` and, for a chat,
`prefix_ids`, with which the answer begins. What would change the answer but is not built here is refused, and so is what
is not known here: a misspelled `max_tokens` would otherwise be ignored.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minillm.assistant import Assistant
from minillm.chat import Message, encode_dialogue
from minillm.plumbing.checks import shown
from minillm.sampling import Sampling

MOST_CHOICES, MOST_STOPS, MOST_TOP, MOST_PROMPTS = 16, 4, 20, 16
NOT_BUILT: dict[str, tuple[object, ...]] = {  # and what means that it is not used
    "tools": ([],), "functions": ([],), "response_format": ({"type": "text"},), "logit_bias": ({},), "audio": (),
    "presence_penalty": (0,), "frequency_penalty": (0,), "suffix": ("",), "echo": (False,), "best_of": (1,),
    "modalities": (["text"],), "tool_choice": ("none", "auto"), "function_call": ("none", "auto"),
}  # fmt: skip
READ = {
    "model", "n", "max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "stream", "stream_options", "logprobs",
}  # fmt: skip
OF_CHAT, OF_TEXT = {"messages", "max_completion_tokens", "top_logprobs", "prefix_ids"}, {"prompt"}
NO_EFFECT = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls",
}  # fmt: skip
"""They say who asks and what is kept of it; the answer is the same."""
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class Refused(Exception):
    """A request that gets an error for an answer."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code


@dataclass(frozen=True)
class Job:
    """A request as the loop needs it."""

    model: str
    prompts: list[list[int]]
    """Token ids of each text to go on from."""
    samplings: list[Sampling]
    """One per choice: the same with seeds in a row."""
    stops: tuple[str, ...]
    top: int | None
    """How many candidates to tell of each token; None: no logprobs."""
    chat: bool
    stream: bool
    usage: bool
    """Whether a stream ends with the usage."""


def read_body(raw: bytes) -> dict[str, Any]:
    """A request's JSON object. Raises Refused."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body is not a JSON object")
    return body


def read_job(body: Mapping[str, Any], models: Mapping[str, Assistant], chat: bool) -> Job:
    """Check a request for one of the models. Raises Refused."""
    name, model = pick_model(body, models)
    for key, unused in NOT_BUILT.items():
        if body.get(key) is not None and body[key] not in unused:
            raise Refused(400, f"{key} is not supported here: leave it out", key, "unsupported_parameter")
    used = READ | (OF_CHAT if chat else OF_TEXT)
    for key in body.keys() - used - NO_EFFECT - NOT_BUILT.keys():
        if body[key] is not None:
            raise Refused(400, f"{shown(key)} is unknown: use {', '.join(sorted(used))}", key, "unknown_parameter")
    prompts = [chat_ids(body, model)] if chat else prompt_ids(body.get("prompt"), model)
    n_ctx = model.gpt.config.n_ctx
    room = n_ctx - max(map(len, prompts))
    if room < 1:
        raise Refused(
            400, f"the context has {n_ctx} tokens, the prompt {n_ctx - room}: shorten it so that an answer has room",
            "messages" if chat else "prompt", "context_length_exceeded",
        )  # fmt: skip
    choices, extra = samplings(body, room, chat), body.get("stream_options")
    if not isinstance(extra, dict | None):
        raise Refused(400, f"stream_options is {shown(extra)}: it must be an object", "stream_options")
    if len(prompts) * len(choices) > MOST_CHOICES:
        raise Refused(400, f"{len(prompts)} prompts x n {len(choices)}: at most {MOST_CHOICES} answers at once", "n")
    return Job(
        name, prompts, choices, stops(body.get("stop")), top(body, chat), chat,
        flag(body, "stream"), flag(extra or {}, "include_usage"),
    )  # fmt: skip


def pick_model(body: Mapping[str, Any], models: Mapping[str, Assistant]) -> tuple[str, Assistant]:
    """The model that a request names. Raises Refused."""
    name = body.get("model")
    if not isinstance(name, str) or name not in models:
        raise Refused(404, f"no model {shown(name)}: one of {', '.join(models)}", "model", "model_not_found")
    return name, models[name]


def samplings(body: Mapping[str, Any], room: int, chat: bool) -> list[Sampling]:
    """How each choice is drawn; at most `room` tokens of each."""
    key = "max_completion_tokens" if chat and body.get("max_completion_tokens") is not None else "max_tokens"
    most, n = whole(body, key, room if chat else 16, 1, 10**9), whole(body, "n", 1, 1, MOST_CHOICES)
    seed, top_k = whole(body, "seed", secrets.randbelow(2**31), -(2**63)), whole(body, "top_k", 0, 0, 10**9)
    top_p, temperature = number(body, "top_p", 1, 0, 1), number(body, "temperature", 1, 0, 2)
    return [
        Sampling(min(most, room), temperature if temperature >= 1e-4 else 0.0, top_k or None,
                 max(top_p, 1e-6) if top_p < 1 else None, seed=(seed + i) % 2**63)
        for i in range(n)
    ]  # fmt: skip


def number(body: Mapping[str, Any], key: str, default: float, low: float, high: float) -> float:
    """A number of the body, the default where it is unset or null. Raises Refused."""
    value = default if body.get(key) is None else body[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Refused(400, f"{key} is {shown(value)}: it must be a number from {low} to {high}", key)
    return value


def whole(body: Mapping[str, Any], key: str, default: int, low: int, high: int = 2**63 - 1) -> int:
    """The same for a whole number. Raises Refused."""
    if body.get(key) is not None and type(body[key]) is not int:
        raise Refused(400, f"{key} is {shown(body[key])}: it must be a whole number from {low} to {high}", key)
    return int(number(body, key, default, low, high))


def flag(body: Mapping[str, Any], key: str) -> bool:
    """A true or false of the body, false where it is unset or null. Raises Refused."""
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise Refused(400, f"{key} is {shown(value)}: it must be true or false", key)
    return bool(value)


def top(body: Mapping[str, Any], chat: bool) -> int | None:
    """How many candidates of each token are asked for."""
    if not chat:
        return None if body.get("logprobs") is None else whole(body, "logprobs", 0, 0, MOST_TOP)
    count = whole(body, "top_logprobs", 0, 0, MOST_TOP)
    if count and not flag(body, "logprobs"):
        raise Refused(400, "top_logprobs needs logprobs: true", "top_logprobs")
    return count if flag(body, "logprobs") else None


def stops(value: object) -> tuple[str, ...]:
    """The texts that end an answer. Raises Refused."""
    given = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(given, list) or len(given) > MOST_STOPS or not all(isinstance(s, str) and s for s in given):
        raise Refused(400, f"stop must be a text or a list of up to {MOST_STOPS} texts, none empty", "stop")
    return tuple(given)


def chat_ids(body: Mapping[str, Any], model: Assistant) -> list[int]:
    """Ids of a conversation that waits for its answer, then those the answer begins with. Raises Refused."""
    value = body.get("messages")
    if not isinstance(value, list) or not value:
        raise Refused(400, "messages must be a list of at least one message", "messages")
    messages = [message(one, i) for i, one in enumerate(value)]
    if messages[-1].role != "user":
        raise Refused(400, f"the last message is by {messages[-1].role!r}: it must be the user's", "messages")
    try:
        ids = encode_dialogue(messages, model.tokenizer).ids
    except ValueError as error:
        raise Refused(400, str(error), "messages") from None
    begun = [] if body.get("prefix_ids") is None else body["prefix_ids"]
    if not isinstance(begun, list):
        raise Refused(400, "prefix_ids must be a list of token ids", "prefix_ids")
    return ids + (ids_of(begun, model) if begun else [])


def message(value: object, i: int) -> Message:
    """One message; its content is a text or a list of text parts. Raises Refused."""
    where = f"messages[{i}]"
    if not isinstance(value, dict) or not isinstance(value.get("role"), str) or value["role"] not in ROLES:
        raise Refused(400, f"{where} needs a role: one of {', '.join(ROLES)}", f"{where}.role")
    content = value.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise Refused(400, f"{where}.content must be a text or a list of text parts", f"{where}.content")
    return Message(ROLES[value["role"]], "".join(map(str, texts)))


def prompt_ids(value: object, model: Assistant) -> list[list[int]]:
    """Ids of the texts to continue: a text, a list of texts, ids, or a list of lists of ids. Raises Refused."""
    one = isinstance(value, str) or (isinstance(value, list) and bool(value) and not isinstance(value[0], str | list))
    given = [value] if one else value
    if not isinstance(given, list) or not 0 < len(given) <= MOST_PROMPTS:
        raise Refused(400, f"prompt must be a text, token ids, or a list of up to {MOST_PROMPTS} of them", "prompt")
    return [ids_of(text, model) for text in given]


def ids_of(text: object, model: Assistant) -> list[int]:
    """Ids of one text, after what opens a text; ids are taken as they are. Raises Refused."""
    tokenizer = model.tokenizer
    if isinstance(text, str):
        return [*tokenizer.opening, *tokenizer.encode(text)] or [tokenizer.doc]
    n = model.gpt.config.n_vocab
    if not isinstance(text, list) or not text or not all(type(i) is int and 0 <= i < n for i in text):
        raise Refused(400, f"a prompt of ids needs at least one, each from 0 to {n - 1}", "prompt")
    return text
