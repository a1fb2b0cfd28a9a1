"""Open models without the libraries they come from: folders and files made here, whole and damaged in many ways."""

import json
import pickle
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from minillm import lora
from minillm.__main__ import main
from minillm.chat import Message, encode_dialogue
from minillm.gpt import GPT
from minillm.gpt_families import gpt2_config, llama_config
from minillm.open_tokenizer import load_tokenizer
from minillm.run_folder import Run, load_run, state_hash
from minillm.tokenizer import Tokenizer
from minillm.weights import convert
from minillm.weights.export import export_run
from minillm.weights.gguf_file import GGUF, write_gguf
from minillm.weights.jinja import program_of
from minillm.weights.names import apart, interleaved
from minillm.weights.vocabulary import PATTERNS, Parts, make_tokenizer, spelled
from tests.support.sample import sample

N_VOCAB = 270
BYTES = Tokenizer.from_ranks({bytes([b]): b for b in range(256)})
SPECIAL = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
CHAT = "{{'<|im_start|>system\\nYou are kind<|im_end|>\\n<|im_start|>' + '<|im_end|>'}}"


def parts(**changes) -> Parts:
    """Bytes without the last ten, and three merges, of which the middle one has the highest id."""
    bytes_ = [bytes([b]) for b in range(246)]
    merged = {b"th": 250, b"the": 252, b"he": 251}
    vocabulary = {spelled(b): 3 + i for i, b in enumerate(bytes_)} | {spelled(m): i for m, i in merged.items()}
    merges = [("t", "h"), ("th", "e"), ("h", "e")]
    given = dict(place="here", vocabulary=vocabulary | SPECIAL, merges=merges, pattern=PATTERNS["gpt-2"], added=SPECIAL,
                 eos="<|im_end|>", chat=CHAT)  # fmt: skip
    return Parts(**given | changes)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """One model as hf, model.gguf and run."""
    root = tmp_path_factory.mktemp("open")
    config = llama_config(N_VOCAB, n_ctx=64, n_layer=2, n_head=4, n_kv_head=2, n_embd=32, n_hidden=48, n_head_dim=8)
    run = Run(GPT(config, seed=3), make_tokenizer(parts(), N_VOCAB))
    export_run(run, "hf", root / "hf")
    export_run(run, "gguf", root / "model.gguf")
    assert main(["import", "--from", str(root / "hf"), "--out", str(root / "run")]) == 0
    return root


# ----------------------------------------------------------------------------------------------- tokenizer


def test_ids_follow_the_vocabulary_and_merges_their_order():
    tokenizer = make_tokenizer(parts(), N_VOCAB)
    assert tokenizer.encode("the he hthe") == [252, 3 + 32, 251, 3 + 32, 3 + ord("h"), 252]
    assert (tokenizer.doc, tokenizer.end, tokenizer.n_vocab, tokenizer.template) == (0, 2, N_VOCAB, "chatml")


def test_bytes_without_a_token_are_left_out_and_their_neighbours_meet():
    lean = parts(vocabulary={t: i for t, i in parts().vocabulary.items() if t != "x"})
    assert make_tokenizer(lean, N_VOCAB).encode("txhe x") == [252, 3 + 32]


def test_a_tokenizer_is_read_back_as_it_was(tmp_path):
    tokenizer = make_tokenizer(parts(form="NFC", visible=("<|im_start|>",)), N_VOCAB)
    tokenizer.save(tmp_path)
    back = load_tokenizer(tmp_path)
    assert back.sha256() == tokenizer.sha256() and back.scheme == tokenizer.scheme
    assert back.encode("the é e\u0301") == tokenizer.encode("the é é")
    assert back.decode([1, 252, 2]) == "<|im_start|>the"


def test_the_default_system_message_is_that_of_the_model():
    tokenizer = make_tokenizer(parts(), N_VOCAB)
    text = tokenizer.decode(encode_dialogue([Message("user", "hi")], tokenizer).ids, special=True)
    assert text == "<|im_start|>system\nYou are kind<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_rows_in_rotary_pairs_and_back():
    rows = torch.arange(12.0)[:, None]  # 2 heads of 6 channels
    assert interleaved(rows, 2)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    assert torch.equal(apart(interleaved(rows, 2), 2), rows)


# ------------------------------------------------------------------------------------------------- imports


def test_a_run_from_either_file_is_asked_in_its_own_template(folders, tmp_path, capsys):
    assert main(["import", "--from", str(folders / "model.gguf"), "--out", str(tmp_path / "run")]) == 0
    one, other = load_run(folders / "run"), load_run(tmp_path / "run")
    assert all(torch.equal(p, q) for p, q in zip(one.gpt.parameters(), other.gpt.parameters(), strict=True))
    assert one.tokenizer.encode("the é") == other.tokenizer.encode("the é")
    assert main(["complete", "--run", str(tmp_path / "run"), "--prompt", "the", "--max-new-tokens", "3"]) == 0


@pytest.mark.parametrize(
    ("chat", "template", "told"),
    [("{{ bos_token }}", None, "none of minillm"), (program_of(BYTES), None, ""), (CHAT, "llama3", "has <|end_header_id|>"), (CHAT, "llama2", ""),
     (CHAT, None, ""), (None, None, "")],
)  # fmt: skip
def test_a_template_that_the_model_was_not_taught_is_announced(capsys, chat, template, told):
    make_tokenizer(parts(chat=chat), N_VOCAB, template)
    said = capsys.readouterr().err
    assert told in said and bool(told) == bool(said)


def test_a_shorter_context(folders, tmp_path):
    assert convert.read_model(folders / "hf", n_ctx=16).gpt.config.n_ctx == 16


def test_an_imported_run_is_tuned_and_its_adapter_found_again(folders, tmp_path):
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps([{"prompt": "the he", "completion": "he the"}] * 4))
    out = tmp_path / "tuned"
    words = ["sft", "--base", str(folders / "run"), "--pairs", str(pairs), "--out", str(out), "--lora", "2", "--steps", "3",
             "--batch-size", "2"]  # fmt: skip
    assert main(words) == 0
    tuned = load_run(out)
    assert tuned.tokenizer.template == "chatml"
    assert main(["export", "--run", str(out), "--format", "peft", "--out", str(tmp_path / "peft")]) == 0
    words = [
        "import",
        "--from",
        str(tmp_path / "peft"),
        "--base",
        str(folders / "run"),
        "--out",
        str(tmp_path / "back"),
    ]
    assert [main(words), main(words), main([*words, "--overwrite"])] == [0, 2, 0]
    back = load_run(tmp_path / "back")
    assert lora.adapters(back.gpt) and state_hash(back.gpt) == state_hash(tuned.gpt)


def test_an_adapter_is_refused_without_its_base_and_on_no_run(folders, tmp_path, capsys):
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").write_text("{}")
    words = ["import", "--from", str(tmp_path / "peft")]
    assert "--base" in refused(words, capsys, tmp_path)
    assert "full model" in refused([*words, "--base", str(folders / "hf" / "none")], capsys, tmp_path)
    assert "plain LoRA" in refused([*words, "--base", str(folders / "run")], capsys, tmp_path)


@pytest.mark.parametrize("format", ["hf", "gguf"])
def test_an_export_is_not_overwritten_unasked(folders, tmp_path, format):
    out = tmp_path / "x"
    words = ["export", "--run", str(folders / "run"), "--format", format, "--out", str(out)]
    assert [main(words), main(words), main([*words, "--overwrite"])] == [0, 2, 0]


def test_a_gguf_file_is_no_folder(folders, tmp_path, capsys):
    words = ["export", "--run", str(folders / "run"), "--format", "gguf", "--out", str(tmp_path), "--overwrite"]
    assert main(words) == 2 and "name a file" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["hf", "gguf", "peft"])
def test_a_run_is_never_exported_over(folders, tmp_path, capsys, format):
    shutil.copytree(folders / "run", tmp_path / "other")
    for out in (tmp_path / "other", folders / "run"):
        words = ["export", "--run", str(folders / "run"), "--format", format, "--out", str(out), "--overwrite"]
        assert main(words) == 2 and "is a run of this program" in capsys.readouterr().err
        load_run(out)


def test_an_import_writes_over_nothing_unasked_and_never_over_its_source(folders, tmp_path, capsys):
    for name in ("hf", "other"):
        shutil.copytree(folders / "hf", tmp_path / name)
    words = ["import", "--from", str(tmp_path / "hf"), "--out"]
    assert main([*words, str(tmp_path / "hf"), "--overwrite"]) == 2 and "is what is imported" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "other")]) == 2 and "model of another program" in capsys.readouterr().err
    assert (tmp_path / "hf" / "config.json").read_bytes() == (tmp_path / "other" / "config.json").read_bytes()


# ---------------------------------------------------------------------------------------------- bad folders


def config(**changes):
    def change(folder: Path) -> None:
        path = folder / "config.json"
        about = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in about.items() if v != "gone"}))

    return change


def tensors(change):
    def apply(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors")

    return apply


def tokens(change):
    def apply(folder: Path) -> None:
        path = folder / "tokenizer.json"
        about = json.loads(path.read_text())
        change(about)
        path.write_text(json.dumps(about))

    return apply


def index(where: dict):
    def apply(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model-1.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))

    return apply


def wrote(name: str, raw: bytes):
    return lambda folder: (folder / name).write_bytes(raw)


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def small(name: str, **changes):
    def apply(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return apply


def twice_in_gpt2(folder: Path) -> None:
    """A folder of GPT-2 whose embedding is there with the prefix "transformer." and without."""
    run = Run(GPT(gpt2_config(N_VOCAB, n_ctx=16, n_layer=1, n_head=2, n_embd=8)), make_tokenizer(parts(), N_VOCAB))
    export_run(run, "hf", folder)
    tensors(lambda s: s.update({"wte.weight": s["transformer.wte.weight"] + 1}))(folder)


def own_run(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model": {"n_vocab": 3}, "sha256": {}}))


NORM = "model.norm.weight"
BAD_FOLDERS = {
    "no config": (lambda f: (f / "config.json").unlink(), "config.json"),
    "config is no JSON": (wrote("config.json", b"{"), "config.json"),
    "config is a list": (wrote("config.json", b"[]"), "config.json"),
    "unknown architecture": (config(model_type="mamba"), "model_type"),
    "no architecture": (config(model_type="gone"), "model_type"),
    "another activation": (config(hidden_act="gelu"), "hidden_act"),
    "biases": (config(attention_bias=True), "attention_bias"),
    "window": (config(model_type="mistral", sliding_window=32), "sliding_window"),
    "layer types": (config(layer_types=["full_attention", "sliding_attention"]), "layer_types"),
    "quantised": (config(quantization_config={"bits": 4}), "quantization_config"),
    "yarn": (config(rope_scaling={"rope_type": "yarn", "factor": 4}), "rope_type"),
    "half a stretch": (config(rope_scaling={"rope_type": "llama3", "factor": 4}), "rope_scaling"),
    "rope_scaling is a number": (config(rope_scaling=3), "rope_scaling"),
    "half of the channels turn": (config(partial_rotary_factor=0.5), "partial_rotary_factor"),
    "no width": (config(hidden_size="gone"), "hidden_size"),
    "a width of zero": (config(hidden_size=0), "hidden_size"),
    "a width in words": (config(hidden_size="32"), "hidden_size"),
    "billions of weights": (config(hidden_size=10**6), "the config says"),
    "heads that do not divide": (config(num_key_value_heads=3), "n_kv_head"),
    "another width": (config(hidden_size=64), "the config says"),
    "another depth": (config(num_hidden_layers=3), "missing"),
    "fewer blocks": (config(num_hidden_layers=1), "too much"),
    "an unknown tensor": (tensors(lambda s: s.update({"model.extra.weight": torch.ones(2)})), "model.extra.weight"),
    "a tensor too few": (tensors(lambda s: s.pop(NORM)), "norm.weight"),
    "a wrong shape": (tensors(lambda s: s.update({NORM: torch.ones(31)})), "norm.weight"),
    "a number that is none": (tensors(lambda s: s[NORM].fill_(float("nan"))), NORM),
    "truncated": (truncated, "model.safetensors"),
    "empty": (wrote("model.safetensors", b""), "model.safetensors"),
    "a lying header": (wrote("model.safetensors", struct.pack("<Q", 2**62) + b"{}"), "model.safetensors"),
    "a pickle of that name": (wrote("model.safetensors", pickle.dumps({"a": 1})), "model.safetensors"),
    "a pickle alone": (only_pickle, "pickle"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors"),
    "weights that Git left out": (wrote("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "a tokenizer that Git left out": (wrote("tokenizer.json", b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "a shard is missing": (index({NORM: "model-2.safetensors"}), "model-2.safetensors"),
    "an index that leads out": (index({NORM: "../model-1.safetensors"}), "../model-1.safetensors"),
    "an absolute index": (index({NORM: "/etc/passwd"}), "/etc/passwd"),
    "an index to a pickle": (index({NORM: "model.bin"}), "model.bin"),
    "an index that says more": (index({NORM: "model-1.safetensors", "more": "model-1.safetensors"}), "more"),
    "an index of numbers": (index({NORM: 1}), "weight_map"),
    "an empty index": (index({}), "weight_map"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json"),
    "WordPiece": (tokens(lambda t: t["model"].update(type="WordPiece")), "WordPiece"),
    "byte fallback": (tokens(lambda t: t["model"].update(byte_fallback=True)), "byte_fallback"),
    "merges of one": (tokens(lambda t: t["model"].update(merges=["a"])), "merge 1"),
    "a merge to nowhere": (tokens(lambda t: t["model"].update(merges=[["a", "b"]])), "merge 1"),
    "no merges": (tokens(lambda t: t["model"].pop("merges")), "merges"),
    "ids that are words": (tokens(lambda t: t["model"]["vocab"].update(a="b")), "vocabulary"),
    "more ids than rows": (tokens(lambda t: t["model"]["vocab"].update(the=10**6)), "1000000"),
    "two tokens of an id": (tokens(lambda t: t["model"]["vocab"].update(a=5)), "same id"),
    "spelled otherwise": (tokens(lambda t: t["model"]["vocab"].update({"▁a": 260})), "▁a"),
    "an odd normalizer": (tokens(lambda t: t.update(normalizer={"type": "Lowercase"})), "normalizer"),
    "an odd split": (tokens(lambda t: t.update(pre_tokenizer={"type": "Metaspace"})), "pre_tokenizer"),
    "a bad pattern": (tokens(lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": "("})), "pattern"),
    "an end that is no token": (small("tokenizer_config.json", eos_token="<end>"), "eos_token"),
    "a pad that is a list": (small("tokenizer_config.json", pad_token=["a"]), "pad_token"),
    "a normalizer in a word": (tokens(lambda t: t.update(normalizer="NFC")), "tokenizer.json"),
    "whole numbers": (tensors(lambda s: s.update({NORM: torch.ones(32, dtype=torch.int8)})), "int8"),
    "a head unlike its embedding": (config(tie_word_embeddings=True), "lm_head"),
    "a tensor under two names": (twice_in_gpt2, "once more"),
    "a run of this program": (own_run, "a run of this program"),
    "SentencePiece": (lambda f: (f / "tokenizer.json").rename(f / "tokenizer.model"), "fetch the model's tokenizer.json"),
}  # fmt: skip


def refused(words: list[str], capsys, tmp_path: Path) -> str:
    """The one line that a command ends with."""
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ") and line.count("\n") == 1 and len(line) < 700
    assert not (tmp_path / "out").exists()
    return line


@pytest.mark.parametrize("kind", BAD_FOLDERS)
def test_a_bad_folder_is_refused_in_one_line(folders, tmp_path, capsys, kind):
    change, named = BAD_FOLDERS[kind]
    shutil.copytree(folders / "hf", tmp_path / "hf")
    change(tmp_path / "hf")
    assert named in refused(["import", "--from", str(tmp_path / "hf")], capsys, tmp_path)


def test_a_tied_head_that_is_there_once_more_is_the_embedding(folders, tmp_path):
    shutil.copytree(folders / "hf", tmp_path / "hf")
    config(tie_word_embeddings=True)(tmp_path / "hf")
    tensors(lambda s: s.update({"lm_head.weight": s["model.embed_tokens.weight"].clone()}))(tmp_path / "hf")
    assert convert.read_model(tmp_path / "hf").gpt.config.tied


ODD = (None, True, False, 0, -1, 3, 10**6, 10**30, 1.5, 1e308, float("nan"), "64", "", "x", "true", [], [1], ["a"], [[]],
       [None], [{}], {}, {"a": 1}, {"type": "BPE"}, {"content": [1]}, {"Regex": "("}, {"rope_type": 5})  # fmt: skip
FURTHER = ("sliding_window", "layer_types", "rope_scaling", "rope_parameters", "text_config", "no_rope_layers",
           "quantization_config", "partial_rotary_factor", "model_type", "attention_bias")  # fmt: skip


def places(value: object, at: tuple = ()) -> list[tuple]:
    """The ways to all values inside a JSON value, of long lists to the first ones."""
    inner = list(value.items())[:40] if isinstance(value, dict) else []
    inner = list(enumerate(value[:4])) if isinstance(value, list) else inner
    return [at, *(way for key, one in inner for way in places(one, (*at, key)))]


def changed(value: object, way: tuple, new: object) -> object:
    """A copy with another value at the end of a way."""
    if not way:
        return new
    parts = value.copy()  # type: ignore[attr-defined]
    parts[way[0]] = changed(parts[way[0]], way[1:], new)
    return parts


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "adapter_config.json"])
def test_whatever_a_files_values_are_it_is_read_or_refused_in_one_line(folders, tmp_path, capsys, name):
    """Random values at random places: a fault of the file is never one of the program."""
    rng, hf = random.Random(name), tmp_path / "hf"
    words = ["import", "--from", str(hf), "--out", str(tmp_path / "out"), "--overwrite"]
    if name == "adapter_config.json":
        base = load_run(folders / "run")
        lora.inject(base.gpt, lora.LoRAConfig(2))
        export_run(base, "peft", hf)
        words += ["--base", str(folders / "run")]
    else:
        shutil.copytree(folders / "hf", hf)
    whole = json.loads((hf / name).read_text())
    outcomes = set()
    for _ in range(sample(40, 1000)):
        about = whole
        for _ in range(rng.choice([1, 1, 2])):
            new = rng.choice(ODD)
            if name == "config.json" and isinstance(about, dict) and rng.random() < 0.4:
                about = about | {rng.choice(FURTHER): new}
            else:
                about = changed(about, rng.choice(places(about)), new)
        (hf / name).write_text(json.dumps(about))
        outcomes.add(code := main(words))
        line = capsys.readouterr().err
        assert code == 0 or (code == 2 and line.startswith("error: ") and line.count("\n") == 1), (about, line)
    assert outcomes == {0, 2}


# -------------------------------------------------------------------------------------------------- bad GGUF


def gguf_with(change):
    """A file written anew with changed fields and tensors."""

    def apply(path: Path) -> None:
        file = GGUF(path)
        fields, state = dict(file.fields), {name: file.tensor(name) for name in file.entries}
        change(fields, state)
        write_gguf(path, fields, state)

    return apply


def patched(old: bytes, new: bytes):
    def apply(path: Path) -> None:
        raw = path.read_bytes()
        assert old in raw
        path.write_bytes(raw.replace(old, new, 1))

    return apply


def cut(n: int):
    return lambda path: path.write_bytes(path.read_bytes()[:n])


ENTRY = struct.pack("<I2QIQ", 2, 32, N_VOCAB, 0, 0)  # of the first tensor, the embedding
BAD_FILES = {
    "cut in the header": (cut(1000), "GGUF"),
    "cut in the numbers": (cut(-64), "is said to end"),
    "only the name": (cut(4), "GGUF"),
    "empty": (lambda p: p.write_bytes(b""), "GGUF"),
    "a pickle": (lambda p: p.write_bytes(pickle.dumps({"a": 1})), "GGUF"),
    "an unknown version": (patched(b"GGUF\3", b"GGUF\7"), "version 7"),
    "more tensors than bytes": (patched(b"GGUF\3\0\0\0", b"GGUF\3\0\0\0" + b"\xff" * 7), "says to hold"),
    "an offset past the end": (patched(ENTRY, ENTRY[:-8] + struct.pack("<Q", 2**40)), "is said to end"),
    "an odd offset": (patched(ENTRY, ENTRY[:-8] + struct.pack("<Q", 7)), "is said to end"),
    "a shape of billions": (patched(ENTRY, struct.pack("<I2QIQ", 2, 2**40, 2**20, 0, 0)), "numbers"),
    "nine axes": (patched(ENTRY, b"\x09" + ENTRY[1:]), "axes"),
    "an unknown type": (patched(ENTRY, struct.pack("<I2QIQ", 2, 32, N_VOCAB, 77, 0)), "type 77"),
    "an unknown architecture": (gguf_with(lambda f, s: f.update({"general.architecture": "rwkv"})), "rwkv"),
    "no context": (gguf_with(lambda f, s: f.pop("llama.context_length")), "context_length"),
    "no width": (gguf_with(lambda f, s: f.pop("llama.embedding_length")), "embedding_length"),
    "a stretch": (gguf_with(lambda f, s: f.update({"llama.rope.scaling.type": "yarn"})), "yarn"),
    "an unknown stretch": (gguf_with(lambda f, s: s.update({"rope_freqs.weight": torch.arange(4.0) + 3})), "rope_freqs"),
    "a tensor too few": (gguf_with(lambda f, s: s.pop("output_norm.weight")), "norm.weight"),
    "an unknown tensor": (gguf_with(lambda f, s: s.update({"blk.0.ssm.weight": torch.ones(32)})), "blk.0.ssm"),
    "no embedding": (gguf_with(lambda f, s: s.pop("token_embd.weight")), "token_embd"),
    "another head count": (gguf_with(lambda f, s: f.update({"llama.attention.head_count": 8})), "config"),
    "SentencePiece": (gguf_with(lambda f, s: f.update({"tokenizer.ggml.model": "llama"})), "tokenizer.ggml.model"),
    "an unknown split": (gguf_with(lambda f, s: f.update({"tokenizer.ggml.pre": "falcon"})), "falcon"),
    "no split": (gguf_with(lambda f, s: f.pop("tokenizer.ggml.pre")), "tokenizer.ggml.pre"),
    "a list for an architecture": (gguf_with(lambda f, s: f.update({"general.architecture": ["llama"]})), "gguf"),
    "tokens that are numbers": (gguf_with(lambda f, s: f.update({"tokenizer.ggml.tokens": [1, 2]})), "gguf"),
    "merges that are numbers": (gguf_with(lambda f, s: f.update({"tokenizer.ggml.merges": [1, 2]})), "gguf"),
    "half of the channels turn": (gguf_with(lambda f, s: f.update({"llama.rope.dimension_count": 4})), "dimension_count"),
    "an end that is no token": (gguf_with(lambda f, s: f.update({"tokenizer.ggml.eos_token_id": 9})), "eos_token_id"),
    "one part of three": (gguf_with(lambda f, s: f.update({"split.count": 3})), "one of 3 parts"),
    "no tokens": (gguf_with(lambda f, s: f.pop("tokenizer.ggml.tokens")), "tokens"),
    "merges of one": (gguf_with(lambda f, s: f.update({"tokenizer.ggml.merges": ["a"]})), "merge"),
    "a number that is none": (gguf_with(lambda f, s: s["output_norm.weight"].fill_(float("inf"))), "output_norm"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(folders, tmp_path, capsys, kind):
    change, named = BAD_FILES[kind]
    shutil.copy(folders / "model.gguf", tmp_path / "model.gguf")
    change(tmp_path / "model.gguf")
    assert named in refused(["import", "--from", str(tmp_path / "model.gguf")], capsys, tmp_path)


@pytest.mark.parametrize(
    ("words", "named"),
    [(["import", "--from", "nowhere"], "nowhere"), (["import", "--from", "README.md"], "README.md"),
     (["import", "--from", "{hf}", "--template", "mine"], "mine"),
     (["import", "--from", "{hf}", "--n-ctx", "65"], "n_ctx 65 is more than the model's own 64"), (["import", "--from", "{hf}", "--n-ctx", "0"], "n_ctx"),
     (["import", "--from", "{hf}/model.safetensors"], "folder"),
     (["import", "--from", "{hf}", "--base", "{run}"], "leave --base out"),
     (["export", "--run", "{run}", "--format", "peft"], "--lora"), (["export", "--run", "{hf}", "--format", "hf"], "with import --from")],
)  # fmt: skip
def test_other_faults_of_a_user(folders, tmp_path, capsys, words, named):
    words = [word.format(hf=folders / "hf", run=folders / "run") for word in words]
    assert named in refused(words, capsys, tmp_path)


def test_reading_a_run_does_not_import_pytorchs_compiler(folders):
    """It would take seconds: once it came with counting positions on the device "meta"."""
    code = f"import sys, minillm; minillm.load({str(folders / 'run')!r}); print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"
