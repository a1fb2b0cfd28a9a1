"""Tokenizers of open models as their files say them -> our `OpenTokenizer`, and back.

All of them are byte-level BPE as GPT-2's: a vocabulary in which every byte is spelled as a printable letter, a list
of merges, a pattern that cuts a text into pieces, and control tokens.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from minillm.open_tokenizer import OpenTokenizer, Scheme
from minillm.plumbing.files import InputError
from minillm.plumbing.terminal import note
from minillm.templates import TEMPLATES, recognised
from minillm.tokenizer import Tokenizer

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PATTERNS = {  # by the name that llama.cpp gives them
    "gpt-2": GPT2,
    # each digit alone, then as GPT-2: what comes before a digit ends there
    "smollm": r"'(?:[sdmt]|ll|ve|re)|\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+",
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}
ALONE = {True: PATTERNS["smollm"], False: PATTERNS["smollm"].replace(r"|\p{N}|", r"|\p{N}+|")}
"""Digits cut out first, each by itself or together; then as GPT-2."""

PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]  # bytes that are spelled as themselves
LETTERS = {b: chr(b) for b in PRINTABLE}
LETTERS |= {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in LETTERS)}
BYTES = {letter: b for b, letter in LETTERS.items()}


def spelled(token: bytes) -> str:
    """The bytes of a token as printable letters."""
    return "".join(LETTERS[b] for b in token)


def unspelled(token: str) -> bytes | None:
    """The bytes behind a spelling; None if it is none."""
    try:
        return bytes(map(BYTES.__getitem__, token))
    except KeyError:
        return None


@dataclass
class Parts:
    """A tokenizer as files say it."""

    place: str
    """The file, for messages."""
    vocabulary: Mapping[str, int]
    """Spelling -> id."""
    merges: Sequence[tuple[str, str]]
    pattern: str
    added: dict[str, int] = field(default_factory=dict)
    """Control tokens, and others that are no product of merges."""
    visible: tuple[str, ...] = ()
    """Those of them that are shown as text."""
    form: Literal["", "NFC", "NFD", "NFKC", "NFKD"] = ""
    whole: bool = False
    """Whether a piece that is a token is taken as one, whatever the merges say."""
    bos: str | None = None
    eos: str | None = None
    pad: str | None = None
    opens: bool = False
    chat: str | None = None
    """The Jinja program that writes dialogues."""


def make_tokenizer(parts: Parts, n_vocab: int, template: str | None = None) -> OpenTokenizer:
    """The tokenizer. Raises InputError that names the file and what does not fit together in it."""
    known, special = template or recognised(parts.chat), parts.added
    if known is None and parts.chat and " AI:" not in parts.chat:  # that is ours
        note(
            f"its chat template is none of {', '.join(TEMPLATES)}: dialogues are written as minillm; --template chooses another"
        )
    template = known or "minillm"
    if unknown := sorted(control_tokens(template) - special.keys()):
        note(f"the template {template} has {unknown[0]}, which is no token of this model: it is written in letters")
    if (largest := max([*parts.vocabulary.values(), *special.values()], default=-1)) >= n_vocab:
        raise InputError(f"{parts.place}: id {largest} is none of the model's {n_vocab}: take the files of one model")
    merged, unmerged = in_order(parts)
    roles = dict(doc=document_token(parts), end=end_token(parts, template))
    roles["pad"] = parts.pad if parts.pad in special else roles["end"]
    system = default_system(parts.chat) if template == "chatml" else None
    try:
        scheme = Scheme(
            parts.pattern, special, n_vocab, **roles, visible=parts.visible, opens=parts.opens, form=parts.form,
            template=template, system=system,
        )  # fmt: skip
        return OpenTokenizer(merged, scheme, unmerged)
    except InputError as error:
        raise InputError(f"{parts.place}: {error}: fetch the file again") from None


def control_tokens(template: str) -> set[str]:
    """The control tokens that a template writes."""
    return set(re.findall(r"<\|\w+\|>", f"{TEMPLATES[template]}"))


def in_order(parts: Parts) -> tuple[list[tuple[bytes, int]], list[tuple[bytes, int]]]:
    """Bytes and id of all tokens: those that merges make, in their order after the single bytes; and the others."""
    of_bytes: dict[bytes, int] = {}
    bytes_of: dict[str, bytes] = {}
    for token, i in parts.vocabulary.items():
        if token in parts.added:
            continue
        if (raw := unspelled(token)) is None or not raw:
            raise InputError(
                f"{parts.place}: token {token!r} is not spelled in bytes as GPT-2's are: take another model"
            )
        of_bytes[raw], bytes_of[token] = i, raw
    made = [raw for raw in of_bytes if len(raw) == 1]
    for number, (left, right) in enumerate(parts.merges, 1):
        product = bytes_of.get(left + right)
        if product is None:
            raise InputError(f"{parts.place}: merge {number}, {left!r} {right!r}, makes no token: fetch the file again")
        made.append(product)
    order = list(dict.fromkeys(made))
    rest = list(of_bytes.keys() - set(order))
    rest.sort(key=of_bytes.__getitem__)
    if parts.whole:
        order, rest = order + rest, []
    return [(raw, of_bytes[raw]) for raw in order], [(raw, of_bytes[raw]) for raw in rest]


def document_token(parts: Parts) -> str:
    """The token that begins a text: where the model has none, the one that separates texts."""
    names = [parts.bos] if parts.opens else ["<|endoftext|>", parts.bos, parts.eos]
    return first_of([*names, parts.eos], parts)


def end_token(parts: Parts, template: str) -> str:
    """The token that ends an answer."""
    own = {"chatml": "<|im_end|>", "llama3": "<|eot_id|>"}.get(template)
    return first_of([own, parts.eos, "<|endoftext|>", "</s>"], parts)


def first_of(names: Iterable[str | None], parts: Parts) -> str:
    found = next((name for name in names if name in parts.added), None)
    if found is None:
        raise InputError(f"{parts.place}: no token ends a text (eos_token): take another model")
    return found


def default_system(program: str | None) -> str | None:
    """The system message that a ChatML program writes where there is none."""
    begin, end = "<|im_start|>system\n", "<|im_end|>"
    text = (program or "").replace("\\n", "\n")
    found = (part.partition(end)[0] for part in text.split(begin)[1:])
    return next((one for one in found if one and not {"'", '"', "{"} & set(one)), None)


# ------------------------------------------------------------------------------------------------ and back


def split_merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """The two parts that each token of several bytes was merged from, as ids that came before it allow."""
    ranks = tokenizer.ranks
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            pairs = [ranks.get(a + b, rank) for a, b in pairwise(parts)]
            lowest = min(pairs)
            if lowest >= rank:
                break
            i = pairs.index(lowest)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges.append((spelled(parts[0]), spelled(parts[1])))
    return merges


def spelled_vocabulary(tokenizer: Tokenizer) -> dict[str, int]:
    """Spelling -> id of all tokens but the special ones."""
    if isinstance(tokenizer, OpenTokenizer):
        return {spelled(token): i for token, i in (*tokenizer.merged, *tokenizer.unmerged)}
    return {spelled(token): i for token, i in tokenizer.ranks.items()}
