"""A Hugging Face folder's tokenizer -> the parts of ours, and back: tokenizer.json, or vocab.json with merges.txt."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minillm.open_tokenizer import OpenTokenizer
from minillm.plumbing.files import InputError, read_json, read_text, write_json, write_text
from minillm.tokenizer import Tokenizer
from minillm.weights.vocabulary import ALONE, GPT2, Parts, spelled_vocabulary, split_merges


def read_parts(folder: Path) -> Parts:
    """The tokenizer in a folder. Raises InputError that names the file."""
    path, names = folder / "tokenizer.json", special_names(folder)
    if path.is_file():
        return parts_of_json(path, read_json(path, dict), names)
    if (folder / "vocab.json").is_file():
        vocabulary = checked_vocabulary(folder / "vocab.json", read_json(folder / "vocab.json", dict))
        lines = [
            line for line in read_text(folder / "merges.txt").splitlines() if line and not line.startswith("#version")
        ]
        named = {str(name) for name in names.values() if name} & vocabulary.keys()
        added = {t: i for t, i in vocabulary.items() if t in named or (t.startswith("<|") and t.endswith("|>"))}
        return with_names(Parts(
            str(folder / "vocab.json"), vocabulary, checked_merges(folder / "merges.txt", lines), GPT2, added,
        ), names)  # fmt: skip
    if (folder / "tokenizer.model").is_file():
        raise InputError(f"{folder / 'tokenizer.model'}: SentencePiece is not read: fetch the model's tokenizer.json, too; "
                         "if it has none, take a model with byte-level BPE (LLaMA 3, Qwen, SmolLM)")  # fmt: skip
    raise InputError(f"{path}: no such file: name a folder that holds tokenizer.json, or vocab.json and merges.txt")


def special_names(folder: Path) -> dict[str, Any]:
    """What the small files of a folder say of bos, eos, pad and the chat template."""
    names: dict[str, Any] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / file).is_file():
            names |= read_json(folder / file, dict)
    if (folder / "chat_template.jinja").is_file():
        names["chat_template"] = read_text(folder / "chat_template.jinja")
    return {key: value.get("content") if isinstance(value, dict) else value for key, value in names.items()}


def with_names(parts: Parts, names: Mapping[str, Any]) -> Parts:
    for role in ("bos_token", "eos_token", "pad_token"):
        if not isinstance(names.get(role), str | None):
            raise InputError(f"{parts.place}: {role} is {short(names[role])}, no token: fetch the small files again")
    if names.get("eos_token") and names["eos_token"] not in parts.added:
        raise InputError(
            f"{parts.place}: has no token {short(names['eos_token'])}, the eos_token: fetch the files again"
        )
    parts.bos, parts.eos, parts.pad = (names.get(f"{role}_token") for role in ("bos", "eos", "pad"))
    parts.opens = parts.opens or names.get("add_bos_token") is True
    chat = names.get("chat_template")
    parts.chat = chat if isinstance(chat, str) else None
    if parts.opens and parts.bos not in parts.added:
        parts.opens = False
    return parts


def parts_of_json(path: Path, about: Mapping[str, Any], names: Mapping[str, Any]) -> Parts:
    model = about.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        kind = model.get("type") if isinstance(model, dict) else model
        raise InputError(f"{path}: model is {kind!r}: only byte-level BPE is read: take another model")
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "fuse_unk"):
        if model.get(option):
            raise InputError(f"{path}: {option} is {model[option]!r}: only byte-level BPE is read: take another model")
    added = {}
    visible = []
    for one in about.get("added_tokens") or []:
        if not isinstance(one, dict) or not isinstance(one.get("content"), str) or type(one.get("id")) is not int:
            raise InputError(f"{path}: added_tokens holds {str(one)[:40]!r}: fetch the file again")
        added[one["content"]] = one["id"]
        if not one.get("special"):
            visible.append(one["content"])
    parts = Parts(
        str(path), checked_vocabulary(path, model.get("vocab")), checked_merges(path, model.get("merges")),
        split_pattern(path, about.get("pre_tokenizer")), added, tuple(visible), normal_form(path, about.get("normalizer")),
        bool(model.get("ignore_merges")),
    )  # fmt: skip
    processor = about.get("post_processor") or {}
    steps = [*(processor.get("processors") or []), processor]
    single: list = next((step["single"] for step in steps if step.get("single")), [{}])
    parts.opens = "SpecialToken" in single[0]
    return with_names(parts, names)


def checked_vocabulary(path: Path, found: object) -> dict[str, int]:
    if not isinstance(found, dict) or not found or not all(type(i) is int and i >= 0 for i in found.values()):
        raise InputError(f"{path}: the vocabulary does not give each token an id: fetch the file again")
    return found


def checked_merges(path: Path, found: object) -> list[tuple[str, str]]:
    """Merges as `"a b"` or `["a", "b"]`."""
    if not isinstance(found, list):
        raise InputError(f"{path}: there are no merges: fetch the file again")
    merges = []
    for number, one in enumerate(found, 1):
        pair = one.split(" ") if isinstance(one, str) else one
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise InputError(f"{path}: merge {number} is {str(one)[:40]!r}, not two tokens: fetch the file again")
        merges.append((pair[0], pair[1]))
    return merges


def normal_form(path: Path, normalizer: Any) -> Any:
    """The Unicode normal form that a text is brought into."""
    steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    if [step.get("type") for step in steps] in ([], *([form] for form in ("NFC", "NFD", "NFKC", "NFKD"))):
        return steps[0]["type"] if steps else ""
    kinds = ", ".join(str(step.get("type")) for step in steps)
    raise InputError(f"{path}: normalizer is {kinds}: only Unicode normal forms are read: take another model")


def split_pattern(path: Path, found: Any) -> str:
    """The one pattern that cuts a text as the steps of a pre_tokenizer do."""
    steps = [] if found is None else found.get("pretokenizers", [found])
    *before, last = steps or [{}]
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space"):
        raise InputError(f"{path}: pre_tokenizer ends with {short(last)}: only ByteLevel is read: take another model")
    regex_too = last.get("use_regex", True)
    kinds = [step.get("type") for step in before]
    if not kinds and regex_too:
        return GPT2
    if kinds == ["Digits"] and regex_too:
        return ALONE[bool(before[0].get("individual_digits"))]
    pattern = before[0].get("pattern", {}).get("Regex") if kinds == ["Split"] else None
    if pattern and not regex_too and before[0].get("behavior") == "Isolated" and not before[0].get("invert"):
        return pattern
    raise InputError(
        f"{path}: pre_tokenizer is {', '.join(map(short, steps))}: such a row is not read: take another model"
    )


def short(value: object) -> str:
    return str(value) if len(str(value)) <= 60 else f"{str(value)[:59]}…"


# ------------------------------------------------------------------------------------------------- writing


def write_tokenizer(folder: Path, tokenizer: Tokenizer, chat: str) -> None:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja that `transformers` opens; `chat` is the program."""
    own = isinstance(tokenizer, OpenTokenizer)
    added = [
        {"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": i in tokenizer.hidden}
        for name, i in sorted(tokenizer.special_tokens().items(), key=lambda item: item[1])
    ]  # fmt: skip
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": tokenizer.pattern}, "behavior": "Isolated", "invert": False}
    form = tokenizer.scheme.form if isinstance(tokenizer, OpenTokenizer) else ""
    names = {i: name for name, i in tokenizer.special_tokens().items()}
    # special tokens, too: those that are not in it `tokenizers` numbers after the others, whatever their ids say
    vocabulary = spelled_vocabulary(tokenizer) | tokenizer.special_tokens()
    opening = {"SpecialToken": {"id": names[tokenizer.doc], "type_id": 0}}
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    single = [opening, sequence] if tokenizer.opening else [sequence]
    template = {
        "type": "TemplateProcessing", "single": single, "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {names[tokenizer.doc]: {"id": names[tokenizer.doc], "ids": [tokenizer.doc],
                                                  "tokens": [names[tokenizer.doc]]}} if tokenizer.opening else {},
    }  # fmt: skip
    merges = [list(pair) for pair in split_merges(tokenizer)]
    about = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": form} if form else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": template,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": not own,
                  "vocab": vocabulary, "merges": merges},
    }  # fmt: skip
    write_text(folder / "tokenizer.json", json.dumps(about, ensure_ascii=False, indent=1) + "\n")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False,
              "eos_token": names[tokenizer.end], "pad_token": names[tokenizer.pad], "chat_template": chat}  # fmt: skip
    write_json(
        folder / "tokenizer_config.json", config | ({"bos_token": names[tokenizer.doc]} if tokenizer.opening else {})
    )
