"""Run folders and checkpoints: what is written is read back to the bit, and damage is named."""

import copy
import dataclasses
import hashlib
import json
import math
import os
import pickle
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from minillm import checkpoint, lora, run_folder
from minillm.chat import Message, Preference
from minillm.checkpoint import write_metrics
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config
from minillm.plumbing.files import InputError
from minillm.run_folder import Run, load_run, save_run
from minillm.stage1_pretrain import PretrainConfig, pretrain
from minillm.stage2_sft import SFTConfig, sft
from minillm.stage3_preference import PreferenceConfig, prefer
from minillm.tokenizer import Tokenizer

BYTES = Tokenizer.from_ranks({bytes([b]): b for b in range(256)})
SHAPE = dict(n_ctx=40, n_layer=1, n_head=2, n_embd=8)
SHAPES = {
    "tied": GPTConfig(259, **SHAPE),
    "untied": GPTConfig(259, tied=False, **SHAPE),
    "gpt2": gpt2_config(259, **SHAPE),
    "llama": llama_config(259, **SHAPE | {"n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_hidden": 11}),
}
IDS = torch.tensor([[256, 72, 228, 184, 173, 257], [0, 258, 255, 1, 2, 3]])
METRICS = [{"step": s, "loss": 1 / s} for s in (1, 2, 3)]


def random_model(config: GPTConfig, seed: int = 0) -> GPT:
    """A model none of whose parameters is left at a value it would have anyway."""
    model = GPT(config, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.3, generator=generator)
    return model.eval()


def saved(folder: Path, name: str = "tied", seed: int = 0, metrics: Sequence[dict] = ()) -> Run:
    run = Run(random_model(SHAPES[name], seed), BYTES, metrics=list(metrics), report={"stage": "pretrain", "loss": 0.1})
    save_run(folder, run, {"steps": 3})
    return run


def adapted(base: Run, folder: Path, seed: int = 0) -> Run:
    """The base with LoRA adapters that make a difference, saved next to it."""
    model = copy.deepcopy(base.gpt)
    lora.inject(model, lora.LoRAConfig(rank=2, alpha=3.0, dropout=0.25, targets=("query", "down")))
    with torch.no_grad():
        for adapter in lora.adapters(model).values():
            adapter.B.normal_(generator=torch.Generator().manual_seed(seed))
    run = Run(model.eval(), BYTES, report={"stage": "sft"})
    save_run(folder, run, {}, base.folder)
    return run


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def contents(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files(folder)}


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# ----------------------------------------------------------------------------------------- run folders


@pytest.mark.parametrize("name", SHAPES)
def test_a_run_comes_back_with_the_same_logits_to_the_bit(tmp_path, name):
    run = saved(tmp_path / "run", name)
    back = load_run(tmp_path / "run")
    assert torch.equal(back.gpt(IDS), run.gpt(IDS))
    assert back.gpt.config == run.gpt.config
    assert not back.gpt.training
    assert back.tokenizer.encode("台湾 👩‍👩‍👧 [END]") == BYTES.encode("台湾 👩‍👩‍👧 [END]")
    assert back.folder == tmp_path / "run"


def test_a_run_folder_holds_what_it_should_and_no_pickle(tmp_path):
    saved(tmp_path, metrics=METRICS)
    assert files(tmp_path) == {"model.safetensors", "config.json", "tokenizer/ranks.tiktoken",
                               "tokenizer/tokenizer.json", "metrics.jsonl", "curves.png", "report.json"}  # fmt: skip
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == METRICS
    assert json.loads((tmp_path / "report.json").read_text()) == {"stage": "pretrain", "loss": 0.1}
    config = json.loads((tmp_path / "config.json").read_text())
    weights = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    about = {"model": dataclasses.asdict(SHAPES["tied"]), "training": {"steps": 3}, "data": {}}
    hashes = {"model.safetensors": weights, "tokenizer": BYTES.sha256(), "config": run_folder.config_hash(about)}
    assert config == about | {"sha256": hashes}


@pytest.mark.parametrize(("name", "expected"), [("tied", False), ("gpt2", False), ("untied", True), ("llama", True)])
def test_the_output_layer_is_in_the_file_only_where_it_is_not_the_embedding(tmp_path, name, expected):
    run = saved(tmp_path, name)
    names = load_file(tmp_path / "model.safetensors").keys()
    assert ("lm_head.weight" in names) == expected
    assert names == dict(run.gpt.named_parameters()).keys()


def test_a_tied_model_is_still_tied_when_read_back(tmp_path):
    saved(tmp_path)
    model = load_run(tmp_path).gpt
    assert model.lm_head.weight is model.tok_emb.weight


@pytest.mark.parametrize("name", SHAPES)
def test_a_lora_run_stores_the_adapter_only_and_comes_back_to_the_bit(tmp_path, name):
    base = saved(tmp_path / "base", name)
    run = adapted(base, tmp_path / "deep" / "er")
    written = files(tmp_path / "deep" / "er")
    assert "adapter.safetensors" in written and "adapter.json" in written and "model.safetensors" not in written
    tensors = load_file(tmp_path / "deep" / "er" / "adapter.safetensors")
    assert tensors.keys() == {f"{n}.{ab}" for n in lora.adapters(run.gpt) for ab in "AB"}
    back = load_run(tmp_path / "deep" / "er")
    assert torch.equal(back.gpt(IDS), run.gpt(IDS))
    assert not torch.equal(back.gpt(IDS), base.gpt(IDS))
    assert lora.adapters(back.gpt).keys() == lora.adapters(run.gpt).keys()


def test_a_lora_run_names_its_base_by_a_relative_path_and_a_hash(tmp_path):
    adapted(saved(tmp_path / "base"), tmp_path / "deep" / "er")
    about = json.loads((tmp_path / "deep" / "er" / "adapter.json").read_text())
    assert about["base"] == "../../base"
    assert about["base_sha256"] == hashlib.sha256((tmp_path / "base" / "model.safetensors").read_bytes()).hexdigest()
    assert about["lora"] == {"rank": 2, "alpha": 3.0, "dropout": 0.25, "targets": ["query", "down"]}


def test_base_and_adapter_may_move_together(tmp_path):
    run = adapted(saved(tmp_path / "here" / "base"), tmp_path / "here" / "tuned")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert torch.equal(load_run(tmp_path / "there" / "tuned").gpt(IDS), run.gpt(IDS))


def test_an_adapter_without_a_base_folder_is_not_saved(tmp_path):
    base = saved(tmp_path / "base")
    base.folder = None
    with pytest.raises(InputError, match="--merge"):
        adapted(base, tmp_path / "tuned")
    assert not run_folder.is_finished(tmp_path / "tuned")


def test_a_full_model_replaces_an_adapter_saved_in_the_same_folder(tmp_path):
    adapted(saved(tmp_path / "base"), tmp_path / "out")
    run = saved(tmp_path / "out", seed=5)
    assert torch.equal(load_run(tmp_path / "out").gpt(IDS), run.gpt(IDS))


def test_an_adapter_replaces_a_full_model_saved_in_the_same_folder(tmp_path):
    saved(tmp_path / "out", seed=5)
    run = adapted(saved(tmp_path / "base"), tmp_path / "out")
    assert torch.equal(load_run(tmp_path / "out").gpt(IDS), run.gpt(IDS))
    assert "model.safetensors" not in files(tmp_path / "out")


def test_no_partial_file_is_left_not_even_when_writing_fails(tmp_path, monkeypatch):
    saved(tmp_path / "run")
    before = contents(tmp_path)

    def full_disk(file: int) -> None:
        os.truncate(file, 9)
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)  # whatever is written is forced to the disk before it counts
    with pytest.raises(OSError):
        saved(tmp_path / "run", seed=1)
    assert contents(tmp_path) == before  # the old file is still whole


# --------------------------------------------------------------------------------------------- damage


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(500))


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"tok_emb.weight": [1.0] * 64}))


def torch_saved(path: Path) -> None:
    torch.save({"tok_emb.weight": torch.ones(4)}, path)


def swapped(path: Path) -> None:
    save_file(run_folder.model_state(random_model(SHAPES["gpt2"])), path)


def one_tensor_less(path: Path) -> None:
    tensors = load_file(path)
    tensors.pop(min(tensors))
    save_file(tensors, path)


def one_tensor_more(path: Path) -> None:
    save_file(load_file(path) | {"extra.weight": torch.ones(2)}, path)


def another_shape(path: Path) -> None:
    tensors = load_file(path)
    tensors[min(tensors)] = torch.ones(3, 3)
    save_file(tensors, path)


DAMAGES = [Path.unlink, truncated, emptied, noise, pickled, torch_saved, swapped, one_tensor_less, one_tensor_more,
           another_shape]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_an_input_error_that_names_the_file(tmp_path, damage):
    saved(tmp_path)
    damage(tmp_path / "model.safetensors")
    with pytest.raises(InputError) as error:
        load_run(tmp_path)
    assert str(tmp_path / "model.safetensors") in one_line(error)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_adapter_is_an_input_error_that_names_the_file(tmp_path, damage):
    adapted(saved(tmp_path / "base"), tmp_path / "tuned")
    damage(tmp_path / "tuned" / "adapter.safetensors")
    with pytest.raises(InputError) as error:
        load_run(tmp_path / "tuned")
    assert str(tmp_path / "tuned" / "adapter.safetensors") in one_line(error)


@pytest.mark.parametrize(
    "change",
    [{"n_vocab": 300}, {"n_ctx": "40"}, {"n_embd": 12}, {"n_embd": 7}, {"n_layer": 2}, {"n_layer": 0}, {"n_head": 3},
     {"n_head": 1.5}, {"tied": False}, {"bias": True}, {"n_layer": None}, {"width": 8}, {"activation": "swiglu"},
     {"activation": "sine"}, {"position": "sideways"}, {"norm": "none"}],
)  # fmt: skip
def test_a_config_that_does_not_fit_the_weights_is_an_input_error_that_names_a_file(tmp_path, change):
    saved(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["model"] |= change
    path.write_text(json.dumps(config))
    with pytest.raises(InputError) as error:
        load_run(tmp_path)
    assert str(tmp_path) in one_line(error)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"model": []}', '{"model": 3}', '{"model": {}}', "\ufeff"])
def test_a_config_that_is_none_is_an_input_error_that_names_the_file(tmp_path, text):
    saved(tmp_path)
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_run(tmp_path)
    assert str(tmp_path / "config.json") in one_line(error)


@pytest.mark.parametrize("name", ["config.json", "tokenizer/ranks.tiktoken", "tokenizer/tokenizer.json"])
def test_a_missing_file_is_named(tmp_path, name):
    saved(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError) as error:
        load_run(tmp_path)
    assert str(tmp_path / name) in one_line(error)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.write_text("a file"), lambda p: p.mkdir()])
def test_what_is_no_run_folder_is_an_input_error_that_names_it(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(InputError) as error:
        load_run(tmp_path / "run")
    assert str(tmp_path / "run") in one_line(error)


def test_a_folder_without_a_run_says_what_is_there(base, tmp_path):
    with pytest.raises(InputError, match="no finished run: name the folder"):
        load_run(tmp_path)
    save_run(tmp_path / "sft", base, {})
    with pytest.raises(InputError, match="name one of those in it: sft"):
        load_run(tmp_path)
    (tmp_path / "checkpoints" / "step-000007").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-000007" / "run.json").write_text("{}")
    with pytest.raises(InputError, match="its training is at step 7; wait until it has ended"):
        load_run(tmp_path)


def test_another_tokenizer_is_noticed(tmp_path):
    saved(tmp_path)
    Tokenizer.train(["aaaa aaaa"], 258).save(tmp_path / "tokenizer")
    with pytest.raises(InputError, match="tokenizer") as error:
        load_run(tmp_path)
    assert str(tmp_path) in one_line(error)


def test_a_run_that_was_broken_off_while_it_was_saved_over_another_is_noticed(tmp_path, monkeypatch):
    saved(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Tokenizer, "save", lambda *_: stop_at(0)(0, {}))
        saved(tmp_path, seed=1)
    assert torch.equal(load_run(tmp_path).gpt(IDS), random_model(SHAPES["tied"], 1)(IDS))  # the tokenizer is the same
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(run_folder, "write_json", lambda *_: stop_at(0)(0, {}))
        saved(tmp_path, seed=2)
    with pytest.raises(InputError, match=r"model.safetensors: not what config.json was written with"):
        load_run(tmp_path)


@pytest.mark.parametrize("hashes", [None, {}, [], {"tokenizer": "x"}, {"config": 3}, "x"])
def test_a_run_without_its_hashes_is_refused(tmp_path, hashes):
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"sha256": hashes}))
    with pytest.raises(InputError, match="lacks the hashes") as error:
        load_run(tmp_path)
    assert "config.json" in one_line(error)


DEFINES = [("model", "n_head", 1), ("model", "qk_norm", False), ("model", "norm_eps", 1.0), ("model", "rope_base", 3.0),
           ("model", "activation", "gelu"), ("model", "norm", "layer"), ("training", "steps", 4)]  # fmt: skip


@pytest.mark.parametrize(("part", "name", "value"), DEFINES)
def test_what_defines_a_run_cannot_be_changed_without_being_noticed(tmp_path, part, name, value):
    """With each of these the weights still fit, and another model answers."""
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config[part][name] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config\.json: was changed"):
        load_run(tmp_path)


def test_neither_can_an_adapter_its_config_or_the_config_of_its_base(tmp_path):
    base = saved(tmp_path / "base")
    for damage, says in (
        ("alpha", "adapter.json: not what"),
        ("lost", "adapter.json: no such file"),
        ("base", "was changed"),
    ):
        shutil.rmtree(tmp_path / "tuned", ignore_errors=True)
        adapted(base, tmp_path / "tuned")
        path = tmp_path / ("base/config.json" if damage == "base" else "tuned/adapter.json")
        before = path.read_text()
        if damage == "lost":  # and the model of another run is put in its place
            path.unlink()
            shutil.copy(tmp_path / "base/model.safetensors", tmp_path / "tuned")
        else:
            about = json.loads(before)
            about["lora" if damage == "alpha" else "model"]["alpha" if damage == "alpha" else "rope_base"] = 160.0
            path.write_text(json.dumps(about))
        with pytest.raises(InputError, match=says):
            load_run(tmp_path / "tuned")
        path.write_text(before)


def test_an_adapter_finds_its_base_through_links(tmp_path):
    """Both folders are reached by links, at places from which the plain relative path leads elsewhere."""
    adapted(saved(tmp_path / "disk" / "deep" / "base"), tmp_path / "disk" / "tuned")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "link").symlink_to(tmp_path / "disk" / "tuned", target_is_directory=True)
    assert torch.equal(load_run(tmp_path / "a" / "b" / "link").gpt(IDS), load_run(tmp_path / "disk" / "tuned").gpt(IDS))
    (tmp_path / "base").symlink_to(tmp_path / "disk" / "deep" / "base", target_is_directory=True)
    adapted(load_run(tmp_path / "base"), tmp_path / "a" / "second")
    assert load_run(tmp_path / "a" / "second").folder == tmp_path / "a" / "second"


def resealed(folder: Path, name: str, change: dict) -> None:
    """Change what config.json or adapter.json says of the model, and all hashes with it."""
    config = json.loads((folder / "config.json").read_text())
    hashes = config.pop("sha256")
    if name == "adapter.json":
        about = json.loads((folder / name).read_text())
        about["lora"] |= change
        (folder / name).write_text(json.dumps(about))
        hashes[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    else:
        config["model"] |= change
    hashes["config"] = run_folder.config_hash(config)
    (folder / "config.json").write_text(json.dumps(config | {"sha256": hashes}))


@pytest.mark.parametrize(
    "change", [{"n_layer": 1000, "n_embd": 1024}, {"n_vocab": 10**9}, {"n_hidden": 10**9}, {"n_embd": 5000}]
)
def test_a_config_of_billions_of_weights_next_to_a_small_file_is_refused_before_they_are_built(
    tmp_path, monkeypatch, change
):
    saved(tmp_path)
    resealed(tmp_path, "config.json", change)

    def build(config: GPTConfig, seed: int | None) -> GPT:
        gpt = GPT(config, seed)
        assert all(p.is_meta for p in gpt.parameters())
        return gpt

    monkeypatch.setattr(run_folder, "GPT", build)
    with pytest.raises(InputError, match=r"model\.safetensors: .*(the config says|config and weights differ)"):
        load_run(tmp_path)


def test_so_is_an_adapter_of_a_rank_of_billions(tmp_path):
    adapted(saved(tmp_path / "base"), tmp_path / "tuned")
    resealed(tmp_path / "tuned", "adapter.json", {"rank": 10**12})
    with pytest.raises(InputError, match=r"adapter\.safetensors: .*the config says \(1000000000000, 8\)"):
        load_run(tmp_path / "tuned")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
def test_a_folder_whose_name_is_not_utf8_is_written_and_read(tmp_path):
    """GBK bytes, from a zip made on Chinese Windows."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xc4\xe3"))
    base = saved(folder / "base", metrics=METRICS)
    tuned = adapted(base, folder / "tuned")
    assert torch.equal(load_run(folder / "base").gpt(IDS), base.gpt(IDS))
    assert torch.equal(load_run(folder / "tuned").gpt(IDS), tuned.gpt(IDS))
    elsewhere = adapted(base, tmp_path / "tuned")  # the path to its base is not UTF-8
    assert torch.equal(load_run(tmp_path / "tuned").gpt(IDS), elsewhere.gpt(IDS))


def test_without_a_temporary_folder_nothing_is_begun(base, tmp_path, monkeypatch):
    def refuse():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", refuse)
    with pytest.raises(InputError, match="set TMPDIR"):
        run_pretrain(base, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_picture_that_cannot_be_drawn_stops_nothing(base, tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise PermissionError(13, "matplotlib finds no folder to write to")

    monkeypatch.setattr("minillm.plumbing.plots.new_figure", refuse)
    run_pretrain(base, tmp_path / "run")
    assert "curves.png: not drawn" in capsys.readouterr().err
    assert run_folder.is_finished(tmp_path / "run") and not (tmp_path / "run" / "curves.png").exists()


def test_weights_that_are_not_finite_are_refused(tmp_path):
    run = saved(tmp_path)
    with torch.no_grad():
        run.gpt.norm.weight[3] = math.nan
    save_run(tmp_path, run, {"steps": 3})
    with pytest.raises(InputError, match=r"model\.safetensors: .*not finite"):
        load_run(tmp_path)


def test_a_base_that_changed_since_is_noticed(tmp_path):
    adapted(saved(tmp_path / "base"), tmp_path / "tuned")
    saved(tmp_path / "base", seed=1)
    with pytest.raises(InputError, match="changed") as error:
        load_run(tmp_path / "tuned")
    assert "base" in one_line(error)


def test_a_base_that_is_gone_is_noticed(tmp_path):
    adapted(saved(tmp_path / "base"), tmp_path / "tuned")
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(InputError, match="base") as error:
        load_run(tmp_path / "tuned")
    assert str(tmp_path / "tuned") in one_line(error)


@pytest.mark.parametrize(
    "change",
    [{"base": None}, {"base": 3}, {"lora": None}, {"lora": {}}, {"lora": {"rank": 0, "targets": ["query"]}},
     {"lora": {"rank": 2, "targets": ["elbow"]}}, {"lora": {"rank": "2", "targets": ["query"]}},
     {"lora": {"rank": 3, "targets": ["query", "down"]}}, {"base_sha256": None}],
)  # fmt: skip
def test_a_description_of_an_adapter_that_does_not_fit_is_an_input_error(tmp_path, change):
    adapted(saved(tmp_path / "base"), tmp_path / "tuned")
    path = tmp_path / "tuned" / "adapter.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError) as error:
        load_run(tmp_path / "tuned")
    assert str(tmp_path / "tuned") in one_line(error)


# -------------------------------------------------------------------- stopped and resumed, bit for bit


class Stop(Exception):
    """The power cut."""


TRAIN = dict(steps=6, batch_size=2, warmup=2, precision="fp32", checkpoint_every=2, seed=3)
DOCUMENTS = ["The capital of France is Paris.", "台湾最高的山是玉山。", "Paris is a city. 👩‍👩‍👧"] * 3
ANSWERS = [("1+1?", "two", "2"), ("山?", "玉山", "no"), ("a", "b c", "d")]
DIALOGUES = [[Message("user", q), Message("assistant", a)] for q, a, _ in ANSWERS * 3]
PAIRS = [Preference((Message("user", q),), a, b) for q, a, b in ANSWERS]


def run_pretrain(base, out, on_step=None, **options):
    shape = dict(n_ctx=24, n_layer=1, n_head=2, n_embd=8, vocab_size=256)
    config = PretrainConfig(**TRAIN | shape | {"lr": 0.01, "muon_lr": 0.01, "accumulate": 2} | options)
    return pretrain(config, DOCUMENTS, out=out, on_step=on_step)


def run_sft(base, out, on_step=None, **options):
    config = SFTConfig(**TRAIN | {"lr": 0.01, "rehearse_rows": 1} | options)
    return sft(config, base, DIALOGUES, DOCUMENTS, out, on_step=on_step)


def run_lora(base, out, on_step=None, **options):
    options = {"lora": 2, "lora_dropout": 0.3, "lr": 0.05, "muon_lr": 0.02, "rehearse_rows": 0} | options
    return run_sft(base, out, on_step, **options)


def run_merge(base, out, on_step=None, **options):
    return run_lora(base, out, on_step, merge=True, **options)


def run_prefer(base, out, on_step=None, **options):
    config = PreferenceConfig(**TRAIN | {"lr": 0.01, "rehearse_rows": 1, "accumulate": 2} | options)
    return prefer(config, base, PAIRS, DOCUMENTS, out, on_step=on_step)


STAGES = [run_pretrain, run_sft, run_lora, run_merge, run_prefer]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Run:
    return saved(tmp_path_factory.mktemp("runs") / "base")


def stop_at(k: int):
    def on_step(step, metrics):
        if step == k:
            raise Stop

    return on_step


def assert_same_run(a: Path, b: Path) -> None:
    assert files(a) == files(b)
    for name in files(a) & {"model.safetensors", "adapter.safetensors", "metrics.jsonl"}:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one_byte_for_byte(stage, base, tmp_path, capsys):
    stage(base, tmp_path / "whole")
    with pytest.raises(Stop):
        stage(base, tmp_path / "parts", stop_at(5))
    assert [p.name for p in (tmp_path / "parts" / "checkpoints").iterdir()] == ["step-000004"]  # older ones pruned
    assert not run_folder.is_finished(tmp_path / "parts")
    torch.manual_seed(99)  # another process begins with another random state
    capsys.readouterr()
    stage(base, tmp_path / "parts", resume=True)
    assert "resumed at step 4" in capsys.readouterr().out
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_run_may_be_stopped_more_than_once(base, tmp_path):
    run_lora(base, tmp_path / "whole")
    for k in (3, 5):
        with pytest.raises(Stop):
            run_lora(base, tmp_path / "parts", stop_at(k), resume=True)
    run_lora(base, tmp_path / "parts", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("stage", [run_pretrain, run_lora])
def test_checkpoints_do_not_change_what_is_learned(stage, base, tmp_path):
    stage(base, tmp_path / "with")
    stage(base, tmp_path / "without", checkpoint_every=0)
    assert_same_run(tmp_path / "with", tmp_path / "without")


def test_a_finished_run_keeps_no_checkpoints_and_no_partial_files(base, tmp_path):
    for stage in (run_pretrain, run_lora, run_prefer):
        stage(base, tmp_path, overwrite=True)
        left = [p.name for p in tmp_path.rglob("*")]
        assert "checkpoints" not in left
        assert not [name for name in left if "partial" in name]


def stop_while_saving(step: int):
    """A `write_metrics` during which the power is cut: the last file of a checkpoint is never written."""

    def write(folder, history):
        if len(history) == step:
            raise Stop
        write_metrics(folder, history)

    return write


def test_a_half_written_checkpoint_is_ignored_and_later_removed(base, tmp_path, monkeypatch):
    run_sft(base, tmp_path / "whole")
    half = tmp_path / "parts" / "checkpoints" / ".step-000004.partial"
    for step, newest in ((2, None), (4, tmp_path / "parts" / "checkpoints" / "step-000002")):
        with monkeypatch.context() as patch, pytest.raises(Stop):
            patch.setattr(checkpoint, "write_metrics", stop_while_saving(step))
            run_sft(base, tmp_path / "parts", resume=True)
        assert checkpoint.newest(tmp_path / "parts") == newest
    assert "model.safetensors" in files(half)
    with pytest.raises(Stop):
        run_sft(base, tmp_path / "parts", stop_at(5), resume=True)
    assert [p.name for p in half.parent.iterdir()] == ["step-000004"]
    run_sft(base, tmp_path / "parts", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_resuming_without_a_checkpoint_starts_over_and_says_so(base, tmp_path, capsys):
    run_sft(base, tmp_path / "plain")
    run_sft(base, tmp_path / "resumed", resume=True)
    assert "no checkpoint" in capsys.readouterr().out
    assert_same_run(tmp_path / "plain", tmp_path / "resumed")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer-0.safetensors", "optimizer-1.safetensors", "random.safetensors",
             "metrics.jsonl"]
)  # fmt: skip
@pytest.mark.parametrize("damage", [truncated, Path.unlink, swapped, one_tensor_more])
def test_a_damaged_checkpoint_is_an_input_error_that_names_the_file(base, tmp_path, name, damage):
    with pytest.raises(Stop):
        run_lora(base, tmp_path, stop_at(3))
    path = checkpoint.newest(tmp_path) / name
    if name.endswith("jsonl") and damage is one_tensor_more:
        pytest.skip("no tensors in it")
    damage(path)
    with pytest.raises(InputError) as error:
        run_lora(base, tmp_path, resume=True)
    assert str(path) in one_line(error)


def test_the_checkpoint_of_another_model_is_refused(base, tmp_path):
    with pytest.raises(Stop):
        run_lora(base, tmp_path, stop_at(3))
    with pytest.raises(InputError, match="lora was 2 and is now 3"):
        run_lora(base, tmp_path, resume=True, lora=3)


def test_a_checkpoint_under_the_name_of_another_step_is_refused(base, tmp_path):
    with pytest.raises(Stop):
        run_lora(base, tmp_path, stop_at(3))
    folder = checkpoint.newest(tmp_path)
    folder.rename(folder.with_name("step-000005"))
    with pytest.raises(InputError, match=f"step-000005: is a checkpoint of step {checkpoint.step_of(folder)}"):
        run_lora(base, tmp_path, resume=True)


def test_a_run_started_anew_over_a_finished_one_counts_as_unfinished_until_it_ends(base, tmp_path):
    run_sft(base, tmp_path)
    with pytest.raises(Stop):
        run_sft(base, tmp_path, stop_at(3), overwrite=True)
    assert not run_folder.is_finished(tmp_path)
    with pytest.raises(InputError):  # nor is half of each taken for a run
        load_run(tmp_path)


def test_a_run_started_anew_does_not_go_on_from_the_checkpoint_of_an_older_one(base, tmp_path, capsys):
    with pytest.raises(Stop):
        run_sft(base, tmp_path, stop_at(5), seed=8)
    with pytest.raises(Stop):
        run_sft(
            base, tmp_path, stop_at(1), overwrite=True
        )  # started over with other settings, stopped before a checkpoint
    capsys.readouterr()
    run_sft(base, tmp_path, resume=True)
    assert "no checkpoint" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------ nothing is lost


@pytest.mark.parametrize("stage", [run_sft, run_lora, run_merge, run_prefer])
def test_a_run_that_would_replace_its_own_base_is_refused(tmp_path, stage):
    base = saved(tmp_path / "base")
    before = contents(tmp_path)
    for out in (tmp_path / "base", tmp_path / "x" / ".." / "base"):
        with pytest.raises(InputError, match="the base run itself"):
            stage(base, out)
    assert contents(tmp_path) == before


def test_what_a_user_keeps_next_to_the_checkpoints_stays(base, tmp_path):
    kept = [
        tmp_path / "checkpoints" / "step-by-step.txt",
        tmp_path / "checkpoints" / "mine" / "x",
        tmp_path / "tokens" / "x",
    ]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    run_pretrain(base, tmp_path)
    assert all(path.read_text() == "mine" for path in kept)
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(("step-0", "tokens.", ".step", ".tokens"))]


def test_the_newest_checkpoint_is_the_one_with_the_most_steps(tmp_path):
    for name in ("step-999900", "step-1000000", "step-000100", ".step-2000000.partial", "step-x", "other"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / "run.json").write_text("{}")
    (tmp_path / "checkpoints" / "step-2000000").mkdir()  # another program's
    assert checkpoint.newest(tmp_path).name == "step-1000000"


def test_a_checkpoint_is_removed_as_a_whole(base, tmp_path, monkeypatch):
    """The power is cut while older checkpoints are removed: none that counts has lost a file."""
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(checkpoint.shutil, "rmtree", lambda path, **_: path.exists() and stop_at(0)(0, {}))
        run_sft(base, tmp_path)
    assert checkpoint.newest(tmp_path).name == "step-000004"
    with monkeypatch.context() as patch, pytest.raises(Stop):  # and when the run starts over
        patch.setattr(checkpoint.shutil, "rmtree", lambda path, **_: path.exists() and stop_at(0)(0, {}))
        run_sft(base, tmp_path, overwrite=True)
    whole = {
        "hashes.json",
        "model.safetensors",
        "optimizer-0.safetensors",
        "random.safetensors",
        "run.json",
        "metrics.jsonl",
    }
    assert all(files(folder) == whole for folder in checkpoint.checkpoints(tmp_path))
    run_sft(base, tmp_path, overwrite=True)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_stopped_after_its_last_step_is_resumed_there(stage, base, tmp_path, monkeypatch, capsys):
    stage(base, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(run_folder.plots, "training_curves", lambda *_: stop_at(0)(0, {}))
        stage(base, tmp_path / "parts")
    capsys.readouterr()
    stage(base, tmp_path / "parts", resume=True)
    assert "resumed at step 6" in capsys.readouterr().out
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
