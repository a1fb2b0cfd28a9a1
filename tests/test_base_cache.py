"""Base models are trained once, and never mistaken for one another."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from minillm import checkpoint
from minillm.base_cache import cached_base
from minillm.stage1_pretrain import PretrainConfig
from minillm.tokenizer import Tokenizer

CONFIG = PretrainConfig(
    steps=2, batch_size=2, n_ctx=16, n_layer=1, n_head=2, n_embd=8, vocab_size=260, warmup=1, device="cpu"
)
TEXTS = ["The capital of France is Paris.", "台湾最高的山是玉山。"] * 6


def weights(base) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in base.run.gpt.parameters()])


def test_it_is_trained_once_and_read_afterwards(tmp_path, capsys):
    first = cached_base(CONFIG, TEXTS, folder=tmp_path, bar=True)
    assert "Training a base model once" in capsys.readouterr().out
    again = cached_base(CONFIG, TEXTS, folder=tmp_path, bar=True)
    assert capsys.readouterr().out == ""
    assert torch.equal(weights(first), weights(again)) and again.documents == TEXTS
    assert again.run.folder == first.run.folder and [p.name for p in tmp_path.iterdir()] == [first.run.folder.name]


@pytest.mark.parametrize("change", [{"seed": 1}, {"steps": 3}, {"n_head": 1}])
def test_other_settings_are_another_base(tmp_path, change):
    one = cached_base(CONFIG, TEXTS, folder=tmp_path, bar=False)
    other = cached_base(replace(CONFIG, **change), TEXTS, folder=tmp_path, bar=False)
    assert one.run.folder != other.run.folder


def test_another_text_or_tokenizer_is_another_base_but_not_how_often_it_is_saved(tmp_path):
    one = cached_base(CONFIG, TEXTS, folder=tmp_path, bar=False).run.folder
    assert cached_base(CONFIG, TEXTS[:-1], folder=tmp_path, bar=False).run.folder != one
    assert cached_base(CONFIG, TEXTS, Tokenizer.train(TEXTS, 258), tmp_path, bar=False).run.folder != one
    assert cached_base(replace(CONFIG, checkpoint_every=1), TEXTS, folder=tmp_path, bar=False).run.folder == one


def test_a_training_that_was_broken_off_is_done_again(tmp_path):
    folder = cached_base(CONFIG, TEXTS, folder=tmp_path, bar=False).run.folder
    (folder / "report.json").unlink()
    again = cached_base(CONFIG, TEXTS, folder=tmp_path, bar=False)
    assert again.run.folder == folder and (folder / "report.json").is_file()


def test_one_that_was_killed_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    config = replace(CONFIG, steps=6, checkpoint_every=2)
    whole = cached_base(config, TEXTS, folder=tmp_path / "whole", bar=False)
    save = checkpoint.save

    def save_then_die(out, step, *rest):
        save(out, step, *rest)
        if step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "save", save_then_die)
        cached_base(config, TEXTS, folder=tmp_path / "parts", bar=False)
    capsys.readouterr()
    again = cached_base(config, TEXTS, folder=tmp_path / "parts", bar=False)
    assert "resumed at step 4" in capsys.readouterr().out
    assert torch.equal(weights(again), weights(whole))
    assert [p.name for p in (tmp_path / "parts").iterdir()] == [again.run.folder.name]  # no debris


def test_one_that_was_killed_when_all_was_written_leaves_no_debris(tmp_path):
    """The report is written last; checkpoints and tokens are removed after it."""
    folder = cached_base(CONFIG, TEXTS, folder=tmp_path, bar=False).run.folder
    before = {p.relative_to(folder) for p in folder.rglob("*")}
    for name in (
        ".lock",
        "tokens/tokens.bin",
        "checkpoints/step-000002/run.json",
        "checkpoints/.step-000001.partial/x",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    cached_base(CONFIG, TEXTS, folder=tmp_path, bar=False)
    assert {p.relative_to(folder) for p in folder.rglob("*")} == before


def test_a_damaged_one_is_trained_again_and_says_so(tmp_path, capsys):
    first = cached_base(CONFIG, TEXTS, folder=tmp_path, bar=False)
    path = first.run.folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 64
    path.write_bytes(raw)
    again = cached_base(CONFIG, TEXTS, folder=tmp_path, bar=False)
    assert "model.safetensors: not what" in capsys.readouterr().out
    assert torch.equal(weights(again), weights(first))


def test_two_at_once_train_it_once(tmp_path):
    """Two notebooks opened together: the second waits for the first and reads what it trained."""
    code = (
        "import sys; from pathlib import Path; from tests.test_base_cache import *; "
        "cached_base(CONFIG, TEXTS, folder=Path(sys.argv[1]), bar=True)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sum("Training a base model once" in text for text in said) == 1
    assert len(list(tmp_path.iterdir())) == 1
