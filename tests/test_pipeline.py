"""A student's own functions in the framework's place: chosen by their grade, really called, put back afterwards."""

import functools
import importlib
import json
import pkgutil
import shutil
import sys
from pathlib import Path

import pytest
import torch

import minillm
from minillm import chat
from minillm.__main__ import main
from minillm.chat import Message, Preference, turn
from minillm.generate import generate
from minillm.homework import pipeline
from minillm.homework.lessons import all_lessons
from minillm.sampling import Sampling
from minillm.stage1_pretrain import PretrainConfig, pretrain
from minillm.stage2_sft import SFTConfig, sft
from minillm.stage3_preference import PreferenceConfig, prefer
from minillm.tokenizer import Tokenizer

GRADERS = Path(__file__).parent / "graders"
TEXTS = ["The capital of France is Paris. 台湾最高的山是玉山。"] * 8


def hand_in(folder: Path, name: str) -> Path:
    for lesson in all_lessons():
        (folder / lesson.folder).mkdir(parents=True)
        shutil.copy(GRADERS / lesson.folder / name, folder / lesson.folder / "homework.py")
    return folder


@pytest.fixture(scope="module")
def choice(tmp_path_factory) -> pipeline.Choice:
    return pipeline.choose(hand_in(tmp_path_factory.mktemp("student") / "lessons", "solution.py"))


def all_stages() -> tuple[list[float], list[int]]:
    """The losses of a tiny run through the three stages, and what the model generates."""
    shape = dict(n_ctx=48, n_layer=2, n_head=2, n_embd=16, vocab_size=270)
    base = pretrain(PretrainConfig(steps=3, batch_size=2, warmup=1, precision="fp32", device="cpu", **shape), TEXTS)
    tuned = sft(SFTConfig(steps=3, batch_size=2, warmup=1, lora=2, validation=0.0, precision="fp32", device="cpu"), base,
                [turn("山?", "玉山"), turn("1?", "one")])  # fmt: skip
    pairs = [Preference((Message("user", "a"),), "yes", "no"), Preference((Message("user", "b"),), "是", "否")]
    preferred = prefer(PreferenceConfig(steps=3, batch_size=2, warmup=1, precision="fp32", device="cpu"), tuned, pairs)
    text = generate(preferred.gpt, [[1, 2, 3], [4]], Sampling(max_new_tokens=5, temperature=0.7, top_p=0.9), None, 0)
    return [m["loss"] for run in (base, tuned, preferred) for m in run.metrics], text


@pytest.mark.slow
def test_a_whole_homework_is_used_called_and_trains_like_the_framework(choice):
    assert choice.left == {} and set(choice.used) == {part.exercise for part in pipeline.PARTS}
    calls = dict.fromkeys(choice.used, 0)

    def counted(name, function):
        @functools.wraps(function)
        def call(*arguments, **named):
            calls[name] += 1
            return function(*arguments, **named)

        return call

    losses, text = all_stages()
    with pipeline.installed({name: counted(name, f) for name, f in choice.used.items()}):
        own_losses, own_text = all_stages()
    assert all(calls.values()), calls
    assert own_losses == pytest.approx(losses, rel=1e-4) and own_text == text


def test_the_framework_is_put_back_even_after_an_error():
    before = chat.join_turns
    with pytest.raises(ZeroDivisionError), pipeline.installed({"encode_dialogue": lambda *a: 1 / 0}):
        assert chat.join_turns is not before
        chat.encode_dialogue([Message("user", "x")], Tokenizer.train(TEXTS, 256))
    assert chat.join_turns is before


def test_right_functions_that_no_gradient_flows_through_are_left_out():
    part = next(p for p in pipeline.PARTS if p.exercise == "dpo_loss")
    assert not pipeline.can_train(part, lambda a, b, c, d, beta: torch.zeros(2))
    assert not pipeline.can_train(part, lambda a, b, c, d, beta: a.detach().numpy())
    assert pipeline.can_train(part, lambda a, b, c, d, beta: a - b)


def test_stubs_are_to_do_and_wrong_ones_are_not_used(tmp_path):
    parts = [p for p in pipeline.PARTS if p.lesson == 3]
    folder = tmp_path / "03_attention"
    folder.mkdir()
    source = (GRADERS / "03_attention/solution.py").read_text(encoding="utf-8")
    stub = "\ndef causal_mask(t, s):\n    raise NotImplementedError\n"
    (folder / "homework.py").write_text(source.replace("/ math.sqrt", "* math.sqrt") + stub, encoding="utf-8")
    assert pipeline.choose(tmp_path, parts) == pipeline.Choice({}, {"causal_mask": "to do", "attention": "wrong"})


def test_every_importer_of_a_replaced_function_is_reached():
    """Whatever modules there are and however they import it: none keeps the framework's own function."""
    for module in pkgutil.walk_packages(minillm.__path__, "minillm."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as missing:  # what only `serve` needs, where it is not installed
                assert missing.name in ("starlette", "uvicorn"), module.name
    for part in pipeline.PARTS:
        found = pipeline.owners(part.place)
        originals = {id(getattr(owner, name)) for owner, name in found}
        assert len(originals) == 1, part.place
        original = getattr(*found[0])
        with pipeline.installed({part.exercise: lambda *a: None}):
            held = [
                name
                for name, module in sys.modules.items()
                if name.startswith("minillm") and not name.startswith("minillm.homework")
                for value in vars(module).values()
                if value is original
            ]
            assert held == [], (part.place, held)


@pytest.mark.slow
def test_the_demo_says_what_was_used(tmp_path, monkeypatch, capsys):
    from minillm.commands import stages

    monkeypatch.setattr(pipeline, "choose", lambda folder: pipeline.Choice({}, {"attention": "to do"}))
    monkeypatch.setattr(stages.demonstration, "demo", lambda config, out, world: {"seed": config.seed})
    assert main(["demo", "--out", str(tmp_path / "out"), "--with-homework", str(tmp_path)]) == 0
    assert "the framework's attention is used; yours: to do" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/report.json").read_text())["homework"]["left"] == {"attention": "to do"}
    assert main(["demo", "--with-homework", str(tmp_path / "none")]) == 2
