"""The command line from end to end: small files in, run folders out, and one line when something is wrong."""

import ast
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

import minillm
from minillm import checkpoint, run_folder
from minillm.__main__ import COMMANDS, check_given_once, main
from minillm.commands.models import announce_seed
from minillm.lora import adapters
from minillm.measure.loss import text_loss
from minillm.run_folder import load_run
from tests.support import commands

SHAPE = "--n-embd 16 --n-layer 1 --n-head 2 --n-ctx 64 --vocab-size 280".split()
TRAIN = "--steps 4 --batch-size 2 --warmup 1 --precision fp32 --device cpu --seed 3".split()
EVERY_RUN = {"config.json", "metrics.jsonl", "curves.png", "report.json", "tokenizer/ranks.tiktoken",
             "tokenizer/tokenizer.json"}  # fmt: skip
FULL, ADAPTER = EVERY_RUN | {"model.safetensors"}, EVERY_RUN | {"adapter.safetensors", "adapter.json"}


def run(*arguments) -> int:
    """The exit code of a command, as the shell would see it; of an option that is there twice the last counts."""
    options: dict[str, list[str]] = {}
    for word in map(str, arguments):
        if word.startswith("--") or not options:
            options.pop(word, None)
            options[word] = []
        else:
            options[list(options)[-1]].append(word)
    try:
        return main([word for option, values in options.items() for word in (option, *values)])
    except SystemExit as end:
        return end.code or 0


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with one file of each kind."""
    home = tmp_path_factory.mktemp("home")
    text = "The capital of France is Paris.\n\n台湾最高的山是玉山。 👩‍👩‍👧\n\n" * 9
    (home / "text.txt").write_text(text, encoding="utf-8")
    pairs = [{"prompt": f"What is {i}?", "completion": f"It is 玉{i}"} for i in range(9)]
    (home / "pairs.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs))
    preferences = [{"prompt": f"What is {i}?", "chosen": f"It is {i}", "rejected": f"{i}"} for i in range(4)]
    (home / "preferences.json").write_text(json.dumps(preferences))
    return home


@pytest.fixture(scope="module")
def runs(home) -> Path:
    """The folder of all runs, made by the commands a user would give."""
    out, sft = home / "runs", ["sft", "--base", home / "runs" / "base", "--pairs", home / "pairs.jsonl", *TRAIN]
    prefer = ["prefer", "--preferences", home / "preferences.json", *TRAIN]
    for command in (
        ["pretrain", "--text", home / "text.txt", "--documents", "blank-line", "--out", out / "base", *SHAPE, *TRAIN],
        [*sft, "--out", out / "sft"],
        [*sft, "--out", out / "lora", "--lora", 2, "--lora-dropout", 0.1],
        [*sft, "--out", out / "merged", "--lora", 2, "--merge", "--rehearse", home / "text.txt", "--rehearse-rows", 1],
        [*prefer, "--base", out / "sft", "--out", out / "tuned"],
        [*prefer, "--base", out / "merged", "--out", out / "tuned-lora", "--lora", 2],
        [*prefer, "--base", out / "lora", "--out", out / "from-lora"],
    ):
        assert run(*command) == 0, command
    return out


# ---------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert run(command, "--help") == 0
    shown = capsys.readouterr().out
    assert f"python -m minillm {command}" in shown
    if command in ("pretrain", "sft", "prefer", "reward", "rl"):
        for option in ("--out", "--seed", "--device", "--steps", "--resume", "--checkpoint-every"):
            assert option in shown


def test_help_names_all_commands(capsys):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_says_of_each_command_what_its_docstring_begins_with(name, capsys):
    assert COMMANDS[name].help == COMMANDS[name].load().__doc__.splitlines()[0]
    assert run("-h") == 0
    assert re.search(rf"^  {name} +{re.escape(COMMANDS[name].help)}$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("words", [(), ("fly",), ("--steps", 3), ("",), ("Sft",)])
def test_without_a_command_that_is_known_the_overview_is_shown_with_what_is_wrong(words, capsys):
    assert run(*words) == 2
    shown = capsys.readouterr().err
    assert all(command.help in shown for command in COMMANDS.values())
    assert re.fullmatch(r"error: .*: choose one of demo, pretrain, .*", shown.splitlines()[-1])


HEAVY = ("torch", "numpy", "matplotlib", "tiktoken")
QUICK = {
    "import": "import minillm; minillm.InputError; dir(minillm)",
    "import of a module": "import minillm; minillm.commands.COMMANDS",
    "help": "main(['--help'])",
    "no command": "main([])",
    "unknown command": "main(['fly'])",
    "homework --help": "try: main(['homework', '--help'])\nexcept SystemExit: pass",
    "homework in a missing folder": "main(['homework', '--folder', 'nowhere'])",
    "homework with a bad seed": "main(['homework', '--seed', '-1'])",
    "notebooks --help": "try: main(['notebooks', '--help'])\nexcept SystemExit: pass",
}


@pytest.mark.parametrize("what", QUICK)
def test_what_needs_no_model_loads_no_pytorch(what):
    code = "import sys\n" + ("" if what.startswith("import") else "from minillm.__main__ import main\n") + QUICK[what]
    code += f"\nprint([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(minillm.__file__).parents[1], check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_package_gives_every_name_it_promises():
    tree = ast.parse(Path(minillm.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]  # for editors and type checkers
    declared = {(node.module, alias.name) for node in block.body for alias in node.names}
    assert declared == {(f"minillm.{module}", name) for module, names in minillm.MODULES.items() for name in names}
    assert sorted(name for _, name in declared) == sorted(minillm.__all__)
    for module, name in declared:
        assert getattr(minillm, name) is getattr(importlib.import_module(module), name)
    assert set(minillm.__all__) <= set(dir(minillm))
    assert not hasattr(minillm, "lode")
    with pytest.raises(ImportError, match="lode"):
        exec("from minillm import lode")


# ----------------------------------------------------------------------------------- the three stages


@pytest.mark.parametrize(
    ("name", "expected"),
    [("base", FULL), ("sft", FULL), ("lora", ADAPTER), ("merged", FULL), ("tuned", FULL), ("tuned-lora", ADAPTER),
     ("from-lora", FULL)],
)  # fmt: skip
def test_each_stage_writes_the_run_folder_and_nothing_else(runs, name, expected):
    assert files(runs / name) == expected
    assert len((runs / name / "metrics.jsonl").read_text().splitlines()) == 4
    config = json.loads((runs / name / "config.json").read_text())
    assert config["training"]["seed"] == 3 and config["training"]["steps"] == 4
    assert config["model"]["n_embd"] == 16
    assert bool(adapters(load_run(runs / name).gpt)) == (expected == ADAPTER)


def test_the_report_is_shown_and_written(home, tmp_path, capsys):
    assert run("pretrain", "--text", home / "text.txt", "--out", tmp_path / "run", *SHAPE, *TRAIN) == 0
    shown = capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert all(f"{name}: " in shown for name in report)
    assert f"written to {tmp_path / 'run'}" in shown


def test_options_reach_the_stage(home, runs, tmp_path):
    out = tmp_path / "run"
    command = ["pretrain", "--text", home / "text.txt", "--out", out, "--tokenizer", runs / "base" / "tokenizer"]
    command += ["--arch", "llama", "--clean", "--deduplicate", "--documents", "line", "--validation", 0.4]
    assert run(*command, *SHAPE, *TRAIN) == 0
    report, config = (json.loads((out / f"{name}.json").read_text()) for name in ("report", "config"))
    assert report["documents"] == 2 and report["duplicates_removed"] == 16
    assert config["model"]["activation"] == "swiglu" and config["training"]["clean"] is True
    assert (out / "tokenizer" / "ranks.tiktoken").read_bytes() == (
        runs / "base" / "tokenizer" / "ranks.tiktoken"
    ).read_bytes()


def test_the_same_command_gives_the_same_bytes(home, runs, tmp_path):
    command = ["sft", "--base", runs / "base", "--pairs", home / "pairs.jsonl", "--out", tmp_path / "again", *TRAIN]
    assert run(*command) == 0
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (runs / "sft" / name).read_bytes()


def test_text_may_come_from_standard_input(home, tmp_path, monkeypatch):
    raw = (home / "text.txt").read_bytes()
    outputs = []
    for name, source in (("piped", "-"), ("file", home / "text.txt")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
        assert run("pretrain", "--text", source, "--out", tmp_path / name, *SHAPE, *TRAIN) == 0
        outputs.append((tmp_path / name / "model.safetensors").read_bytes())
    assert outputs[0] == outputs[1]


# ------------------------------------------------------------------------------------- using a model


@pytest.mark.parametrize("name", ["base", "lora", "tuned"])
def test_complete_prints_the_prompt_and_what_follows_it(runs, name, capsys):
    command = ["complete", "--run", runs / name, "--prompt", "台湾 is", "--device", "cpu", "--max-new-tokens"]
    assert run(*command, 5) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("台湾 is") and shown.endswith("\n")
    assert shown == minillm.load(runs / name).complete("台湾 is", 5) + "\n"
    assert run(*command, 0) == 0
    assert capsys.readouterr().out == "台湾 is\n"


def test_complete_samples_by_its_seed(runs, capsys):
    command = ["complete", "--run", runs / "base", "--prompt", "a", "--temperature", 1.5, "--top-k", 99, "--top-p", 0.9]
    texts = []
    for seed in (1, 1, 2):
        assert run(*command, "--seed", seed) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]


def test_chat_answers_each_line_of_its_input_and_ends_with_it(runs, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("What is 1?\n台湾?\n/new\nWhat is 1?"))
    assert run("chat", "--run", runs / "sft", "--max-new-tokens", 3) == 0
    lines = capsys.readouterr().out.split("AI: ")
    assert len(lines) == 1 + 3 and lines[0] == ""
    assert lines[1] == lines[3]  # /new forgets what was said
    assert lines[1].strip() == minillm.load(runs / "sft").ask("What is 1?", minillm.Sampling(max_new_tokens=3))


def test_an_empty_line_ends_a_chat_and_what_follows_is_not_read(runs, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("hi\n\nunread\n"))
    assert run("chat", "--run", runs / "sft", "--max-new-tokens", 1, "--system", "Be brief.") == 0
    assert capsys.readouterr().out.count("AI: ") == 1


def test_a_chat_may_outgrow_the_context(runs, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("What is 1?\n" * 6 + "long " * 40 + "\n"))
    assert run("chat", "--run", runs / "sft", "--max-new-tokens", 8) == 0
    assert capsys.readouterr().out.count("AI: ") == 7


def test_evaluate_measures_the_loss_on_a_text(home, runs, capsys):
    assert run("evaluate", "--run", runs / "base", "--text", home / "text.txt", "--device", "cpu") == 0
    shown = capsys.readouterr().out
    nats, bits = map(float, re.fullmatch(r"loss: (\S+) nats per token, (\S+) bits per byte\n", shown).groups())
    model = load_run(runs / "base")
    stream = minillm.material.corpus.token_stream([(home / "text.txt").read_text(encoding="utf-8")], model.tokenizer)
    expected = text_loss(model.gpt, stream, model.tokenizer, "fp32")
    assert (nats, bits) == pytest.approx((expected["nats_per_token"], expected["bits_per_byte"]), abs=1e-4)


def test_evaluate_measures_the_loss_on_answers(home, runs, capsys):
    assert run("evaluate", "--run", runs / "lora", "--pairs", home / "pairs.jsonl", home / "pairs.jsonl") == 0
    assert re.fullmatch(
        r"loss on answers: \d.\d{4} nats per token \(18 dialogues, 0 cut, 0 dropped\)\n", capsys.readouterr().out
    )


def test_tokenizer_is_trained_shown_saved_and_used(home, tmp_path, capsys):
    command = ["tokenizer", "--text", home / "text.txt", "--vocab-size", 270, "--out", tmp_path / "t"]
    assert run(*command, "--show-merges", 3, "--encode", "is 山 [END]") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["1", "2", "3"] and all("times" in line for line in lines[:3])
    assert lines[3].startswith("273 tokens")
    pieces = re.findall(r"'([^']*)'=(\d+)", lines[4])
    assert "".join(text for text, _ in pieces).startswith("is ")
    tokenizer = minillm.Tokenizer.load(tmp_path / "t")
    assert [int(i) for _, i in pieces] == tokenizer.encode("is 山 [END]")
    assert run("tokenizer", "--tokenizer", tmp_path / "t", "--encode", "is 山 [END]") == 0
    assert capsys.readouterr().out.splitlines() == [lines[4]]


@pytest.mark.parametrize("name", ["base", "sft", "lora", "merged", "tuned", "tuned-lora"])
def test_a_run_can_be_loaded_and_asked(runs, name):
    model = minillm.load(runs / name)
    answer = model.ask("What is 1?")
    assert isinstance(answer, str) and "[END]" not in answer
    assert isinstance(model.complete("The", max_new_tokens=2), str)
    assert model.gpt.config.n_vocab == model.tokenizer.n_vocab


# ----------------------------------------------------------------------------- what can be wrong: exit 2

NO_TEXT = "pretrain --out {new} --text"
MISTAKES = {
    "missing text": f"{NO_TEXT} {{none}}.txt",
    "missing folder": f"{NO_TEXT} {{none}}/",
    "folder without text": f"{NO_TEXT} {{empty}}",
    "pattern without a match": f"{NO_TEXT} {{none}}*.txt",
    "binary text": f"{NO_TEXT} {{home}}/runs/base/model.safetensors",
    "empty text": f"{NO_TEXT} {{home}}/empty.txt",
    "missing tokenizer": f"{NO_TEXT} {{home}}/text.txt --tokenizer {{none}}",
    "unknown device": f"{NO_TEXT} {{home}}/text.txt --device quantum",
    "a file where the run should be": "sft --out {home}/text.txt --base {home}/runs/base --pairs {home}/pairs.jsonl",
    "missing base": "sft --out {new} --base {none} --pairs {home}/pairs.jsonl",
    "a base that is no run": "sft --out {new} --base {home} --pairs {home}/pairs.jsonl",
    "missing pairs": "sft --out {new} --base {home}/runs/base --pairs {none}.jsonl",
    "pairs that are no JSON": "sft --out {new} --base {home}/runs/base --pairs {home}/text.txt",
    "half a line of JSON": "sft --out {new} --base {home}/runs/base --pairs {home}/half.jsonl --strict",
    "preferences as pairs": "sft --out {new} --base {home}/runs/base --pairs {home}/preferences.json",
    "rehearsal without text": "sft --out {new} --base {home}/runs/base --pairs {home}/pairs.jsonl --rehearse-rows 2",
    "an adapter on an adapter": "sft --out {new} --base {home}/runs/lora --pairs {home}/pairs.jsonl --lora 2",
    "pairs as preferences": "prefer --out {new} --base {home}/runs/sft --preferences {home}/pairs.jsonl",
    "preferences for a missing base": "prefer --out {new} --base {none} --preferences {home}/preferences.json",
    "complete without a run": "complete --run {none} --prompt x",
    "chat without a run": "chat --run {none}",
    "evaluate without a run": "evaluate --run {none}",
    "evaluate on missing text": "evaluate --run {home}/runs/base --text {none}.txt",
    "evaluate on missing pairs": "evaluate --run {home}/runs/base --pairs {none}.json",
    "a tokenizer from nothing": "tokenizer --encode x",
    "a tokenizer from missing text": "tokenizer --text {none}.txt",
    "a tokenizer from a file": "tokenizer --tokenizer {home}/text.txt --encode x",
    "a world that is missing": "world --out {new} --world {none}",
}


@pytest.fixture
def mistakes(home, runs, tmp_path) -> dict[str, str]:
    (home / "empty.txt").write_text("\n")
    (home / "half.jsonl").write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a", "comp\n')
    (tmp_path / "empty").mkdir()
    return {"home": str(home)} | {name: str(tmp_path / name) for name in ("new", "none", "empty")}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_on_standard_error_and_exit_code_2(mistake, mistakes, tmp_path, capsys):
    code = run(*(word.format(**mistakes) for word in MISTAKES[mistake].split()))
    shown = capsys.readouterr().err
    assert code == 2
    assert re.fullmatch(r"error: [^\n]+\n", shown), shown
    assert not (tmp_path / "new").exists()  # nothing was begun


@pytest.mark.parametrize(
    ("text", "line"), [(b'{"prompt": "a", "completion": "b"}\n\n{"prompt": 3}\n', 3), (b'[{"prompt": "a",\n"x\xff"', 2)]
)
def test_a_bad_record_is_shown_with_file_and_line(runs, tmp_path, capsys, text, line):
    path = tmp_path / "bad.json"
    path.write_bytes(text)
    assert run("sft", "--base", runs / "base", "--pairs", path, "--strict", "--out", tmp_path / "new") == 2
    assert capsys.readouterr().err.startswith(f"error: {path}:{line}: ")


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("pretrain --text x --out y --steps 0", "steps"),
        ("pretrain --text x --out y --lr -1", "lr"),
        ("pretrain --text x --out y --vocab-size 255", "vocab_size"),
        ("pretrain --text x --out y --n-head 3", "n_head"),
        ("pretrain --text x --out y --validation 1", "validation"),
        ("sft --base x --pairs y --out z --validation 1", "validation"),
        ("pretrain --text x --out y --steps many", "steps"),
        ("pretrain --text x --out y --arch bert", "arch"),
        ("pretrain --text x --out y --wat 3", "wat"),
        ("pretrain --out y", "text"),
        ("prefer --base x --preferences y --out z --beta 0", "beta"),
        ("complete --run x --prompt y --temperature -1", "temperature"),
        ("complete --run x --prompt y --top-p 2", "top_p"),
        ("chat --run x --max-new-tokens -1", "max_new_tokens"),
        ("fly", "fly"),
        ("", ""),
    ],
)
def test_wrong_usage_is_exit_code_2_and_names_the_option(command, named, capsys):
    assert run(*command.split()) == 2
    shown = capsys.readouterr().err
    assert named in shown.replace("-", "_") and "Traceback" not in shown


def test_a_loss_that_is_no_number_is_exit_code_1(home, tmp_path, capsys):
    command = ["pretrain", "--text", home / "text.txt", "--out", tmp_path / "run", *SHAPE, *TRAIN, "--steps", 9]
    assert run(*command, "--lr", 1e30, "--muon-lr", 1e30, "--warmup", 0) == 1
    assert re.search(r"^error: step \d: .*$", capsys.readouterr().err, re.MULTILINE)
    assert not run_folder.is_finished(tmp_path / "run")


# ------------------------------------------------------------------------- what is wrong with the program

NO_RUN = "--steps 2 --batch-size 2 --device cpu --out {new}"
PLANTED = {  # command: a function of the framework that it needs
    "demo --fast --out {new}": "minillm.demo.load_world",
    f"pretrain --text {{home}}/text.txt {' '.join(SHAPE)} {NO_RUN}": "minillm.gpt.attention",
    f"sft --base {{home}}/runs/base --pairs {{home}}/pairs.jsonl {NO_RUN}": "minillm.chat.join_turns",
    f"prefer --base {{home}}/runs/sft --preferences {{home}}/preferences.json {NO_RUN}": "minillm.gpt.GPT.forward",
    f"reward --base {{home}}/runs/sft --preferences {{home}}/preferences.json {NO_RUN}": "minillm.gpt.GPT.forward",
    f"rl --base {{home}}/runs/sft --prompts {{home}}/pairs.jsonl --reward length {NO_RUN}": "minillm.gpt.GPT.forward",
    "best-of-n --run {home}/runs/sft --prompts {home}/pairs.jsonl --reward length": "minillm.gpt.GPT.forward",
    "chat --run {home}/runs/sft": "minillm.generate.read",
    "complete --run {home}/runs/base --prompt x": "minillm.generate.read",
    "evaluate --run {home}/runs/base --text {home}/text.txt": "minillm.gpt.attention",
    "world --out {new}": "minillm.world.pairs.preferences",
    "tokenizer --text {home}/text.txt": "minillm.tokenizer.Tokenizer.encode",
    "import --from {home}/text.txt --out {new}": "minillm.weights.convert.read_model",
    "export --run {home}/runs/base --format hf --out {new}": "minillm.weights.export.write_config",
    "doctor --base {home}/runs/base --pairs {home}/pairs.jsonl": "minillm.measure.doctor.lengths",
    "open-demo --from {home} --out {new}": "minillm.commands.weights.open_demo",
    "bench train --quick": "minillm.gpt.attention",
    "claims": "minillm.claims.pages.listing",
    "serve --run {home}/runs/sft": "minillm.commands.serve.model_names",
    "homework 3 causal_mask": "minillm.homework.gradebook.grade",
    "init {new}": "minillm.homework.kit.shipped_files",
    "notebooks --out {new}": "minillm.classroom.notebooks.write_notebooks",
}


def broken(error: Exception):
    """A function that raises an error."""

    def function(*_, **__):
        raise error

    return function


@pytest.mark.parametrize("error", [ValueError("planted"), RuntimeError("planted"), TypeError("planted")])
@pytest.mark.parametrize("command", PLANTED)
def test_a_bug_of_the_program_is_no_fault_of_its_user(command, error, mistakes, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("hi\n"))
    monkeypatch.setattr(PLANTED[command], broken(error))
    with pytest.raises(type(error), match="planted") as caught:
        run(*(word.format(**mistakes) for word in command.split()))
    assert caught.value is error
    assert {word.split()[0] for word in PLANTED} == set(COMMANDS)


def test_as_a_program_a_bug_ends_with_its_traceback(home, tmp_path):
    code = f"""
import sys
import minillm.tokenizer
from minillm.__main__ import main
minillm.tokenizer.Tokenizer.encode = lambda *_: list(zip([1], [], strict=True))
sys.exit(main(["tokenizer", "--text", {str(home / "text.txt")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          cwd=Path(minillm.__file__).parents[1])  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "zip() argument 2 is shorter" in done.stderr


# ------------------------------------------------------------------ options that are read, announced, expanded


@pytest.mark.parametrize("out", ["--out=~/t", "--out=~/deep/t"])
def test_a_tilde_is_the_home_folder(home, tmp_path, monkeypatch, capsys, out):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home, tmp_path / "me", ignore=shutil.ignore_patterns("runs"))
    assert run("tokenizer", "--text=~/text.txt", "--vocab-size", 260, out) == 0
    folder = out.removeprefix("--out=~/")
    assert (tmp_path / "me" / folder / "ranks.tiktoken").is_file()
    assert not (tmp_path / "~").exists()
    assert run("tokenizer", f"--tokenizer=~/{folder}", "--encode=~") == 0  # a text stays as it is
    assert capsys.readouterr().out.splitlines()[-1] == "'~'=126"


def test_the_home_folder_of_nobody_is_a_name_like_any_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-of-this-name").write_text("some text")
    assert run("tokenizer", "--text=~nobody-of-this-name", "--vocab-size", 256) == 0


IDLE = {
    "complete --run {base} --prompt a --top-k 3 --top-p 0.5 --seed 7": [
        "temperature is 0: --top-k",
        "--top-p",
        "--seed",
    ],
    "complete --run {base} --prompt a --top-k 3 --top-p 0.5 --seed 7 --temperature 1": [],
    "complete --run {base} --prompt a --repetition-penalty 2": [],
    "chat --run {sft} --seed 7": ["temperature is 0: --seed"],
    "evaluate --run {base} --text {text} --seed 3": ["there is no exam: --seed"],
    "sft --base {base} --pairs {pairs} --out {out} --merge --lora-alpha 2": ["without --lora: --lora-alpha", "--merge"],
    "sft --base {base} --pairs {pairs} --out {out} --rehearse {text}": ["without --rehearse-rows: --rehearse"],
    "sft --base {base} --pairs {pairs} --out {out} --lora 2 --merge --rehearse {text} --rehearse-rows 1": [],
}


@pytest.mark.parametrize("command", IDLE)
def test_an_option_without_effect_is_announced(home, runs, tmp_path, monkeypatch, capsys, command):
    monkeypatch.setattr("sys.stdin", io.StringIO("hi\n"))
    places = {"base": runs / "base", "sft": runs / "sft", "text": home / "text.txt", "pairs": home / "pairs.jsonl"}
    training = TRAIN if command.startswith("sft") else []
    assert run(*command.format(**places, out=tmp_path / "out").split(), *training) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.endswith("has no effect")]
    assert len(lines) == len(IDLE[command])
    assert all(says in line for says, line in zip(IDLE[command], lines, strict=True))


@pytest.mark.parametrize("report, told", [('{"seed": 5}', True), ('{"seed": 3}', False), ("{}", False), (None, False)])
def test_an_exam_of_another_seed_is_announced(tmp_path, capsys, report, told):
    if report is not None:
        (tmp_path / "report.json").write_text(report)
    announce_seed(tmp_path, 3)
    assert ("give --seed 5" in capsys.readouterr().err) == told


@pytest.mark.parametrize("words", [1, 20, 21, 63, 64, 65, 200])
def test_a_prompt_longer_than_the_context_is_announced_with_what_is_left_out(runs, capsys, words):
    model = minillm.load(runs / "base")
    prompt, n_ctx = "Q" * words, model.gpt.config.n_ctx
    tokens = len(model.tokenizer.encode(prompt))
    assert run("complete", "--run", runs / "base", "--prompt", prompt, "--max-new-tokens", 1) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(prompt)
    if tokens < n_ctx:  # [DOC] is in the context too
        assert shown.err == ""
        return
    pattern = r"the prompt has (\d+) tokens; the model reads the last (\d+), the first (\d+) are left out\n"
    found, read, left = map(int, re.fullmatch(pattern, shown.err).groups())
    assert found == tokens and read + left == tokens and n_ctx // 2 <= read <= n_ctx


def test_a_conversation_longer_than_the_context_is_announced(runs, monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("Short?\n" + "What is 1?\n" * 6 + "/new\n" + "Q" * 99 + "\n/new\nShort?\n")
    )
    assert run("chat", "--run", runs / "sft", "--max-new-tokens", 2) == 0
    shown = capsys.readouterr()
    assert shown.out.count("AI: ") == 9
    lines = shown.err.splitlines()
    assert re.fullmatch(r"the conversation has \d+ tokens; its oldest turns, \d+ tokens, are left out", lines[0])
    assert lines[-1].startswith("the prompt has ") and sum("prompt" in line for line in lines) == 1


def test_a_chat_in_another_encoding_is_refused(runs, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("你好\n".encode("gbk"))))
    assert run("chat", "--run", runs / "sft") == 2
    assert re.fullmatch(r"error: standard input: not UTF-8 text: [^\n]+\n", capsys.readouterr().err)


# -------------------------------------------------------------------------- stopping and going on


def interrupt_after_checkpoint(monkeypatch, step: int) -> None:
    save = checkpoint.save

    def save_then_stop(out, at, *rest):
        save(out, at, *rest)
        if at == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_then_stop)


def test_ctrl_c_is_exit_code_130_and_resume_goes_on_to_the_same_bytes(home, runs, tmp_path, monkeypatch, capsys):
    command = ["sft", "--base", runs / "base", "--pairs", home / "pairs.jsonl", "--lora", 2, "--lora-dropout", 0.1]
    command += ["--out", tmp_path / "run", *TRAIN]
    with monkeypatch.context() as patch:
        interrupt_after_checkpoint(patch, 2)
        assert run(*command, "--checkpoint-every", 2) == 130
    output = capsys.readouterr()
    assert "--resume" in output.err and "Traceback" not in output.err
    assert run(*command, "--checkpoint-every", 2, "--resume") == 0
    assert "resumed at step 2" in capsys.readouterr().out
    assert files(tmp_path / "run") == ADAPTER
    for name in ("adapter.safetensors", "metrics.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (runs / "lora" / name).read_bytes()


def again(home: Path, runs: Path, name: str) -> list:
    """The command that a run of `runs` was made with."""
    sft = ["sft", "--base", runs / "base", "--pairs", home / "pairs.jsonl", *TRAIN]
    commands = {
        "base": ["pretrain", "--text", home / "text.txt", "--documents", "blank-line", *SHAPE, *TRAIN],
        "lora": [*sft, "--lora", 2, "--lora-dropout", 0.1],
        "tuned": ["prefer", "--preferences", home / "preferences.json", *TRAIN, "--base", runs / "sft"],
    }
    return [*commands[name], "--out", runs / name]


@pytest.mark.parametrize("name", ["base", "lora", "tuned"])
def test_resuming_a_finished_run_changes_nothing(home, runs, name, capsys):
    before = contents(runs / name)
    assert run(*again(home, runs, name), "--resume", "--checkpoint-every", 3) == 0
    assert "finished; nothing to do" in capsys.readouterr().out
    assert contents(runs / name) == before


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [("base", "--steps 9", "finished after 4 steps: to train it for longer, give it as --base"),
     ("base", "--seed 7", "seed was 3 and is now 7"), ("base", "--text {home}/other.txt", "text differs"),
     ("base", "--text {home}/other.txt --steps 9 --seed 7", "seed was 3 and is now 7"), ("lora", "--lora 3", "lora was 2 and is now 3"),
     ("lora", "--pairs {home}/preferences.json.pairs.jsonl", "dialogues differs"), ("tuned", "--base {runs}/merged", "base differs")],
)  # fmt: skip
def test_resuming_a_finished_run_with_something_else_is_refused_and_names_it(home, runs, name, change, says, capsys):
    (home / "other.txt").write_text("Quite another text about rivers and lakes.\n\nAnd more of it.")
    (home / "preferences.json.pairs.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    before = contents(runs / name)
    assert run(*again(home, runs, name), *change.format(home=home, runs=runs).split(), "--resume") == 2
    output = capsys.readouterr()
    assert re.fullmatch(rf"error: [^\n]*{says}[^\n]*\n", output.err), output
    assert contents(runs / name) == before


def test_a_run_is_never_overwritten_unasked(home, runs, tmp_path, capsys):
    """Neither a finished one nor the checkpoints of one that was stopped, and no flag means both."""
    before = contents(runs / "base")
    assert run(*again(home, runs, "base"), "--steps", 2) == 2
    assert "holds a finished run" in capsys.readouterr().err and contents(runs / "base") == before
    shutil.copytree(runs / "base", tmp_path / "run")
    command = [*again(home, runs, "base")[:-1], tmp_path / "run"]
    assert run(*command, "--overwrite", "--resume") == 2
    assert run(*command, "--overwrite", "--steps", 2) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["training"]["steps"] == 2
    (tmp_path / "run" / "report.json").unlink()
    assert run(*command) == 2 and "without its report" in capsys.readouterr().err


def test_a_base_is_trained_further_on_another_text(home, runs, tmp_path, capsys):
    (home / "rivers.txt").write_text("Quite another text about rivers and lakes.\n\nAnd more of it.")
    command = [
        "pretrain",
        "--text",
        home / "rivers.txt",
        "--base",
        runs / "base",
        "--out",
        tmp_path / "further",
        *TRAIN,
    ]
    assert run(*command, "--tokenizer", runs / "base" / "tokenizer") == 2
    assert run(*command, "--n-layer", 2) == 2
    error = capsys.readouterr().err
    assert "n_layer is 2, but the base has 1" in error and not (tmp_path / "further").exists()
    assert run(*command[:-2], *TRAIN, "--out", runs / "base") == 2
    assert "the base run itself" in capsys.readouterr().err
    assert run(*command) == 0
    about = [json.loads((folder / "config.json").read_text()) for folder in (runs / "base", tmp_path / "further")]
    assert about[0]["model"] == about[1]["model"] and about[0]["sha256"]["tokenizer"] == about[1]["sha256"]["tokenizer"]
    losses = [
        json.loads((folder / "report.json").read_text())["train_loss"]
        for folder in (runs / "base", tmp_path / "further")
    ]
    assert losses[1] != losses[0]


def test_what_a_kill_left_in_a_finished_run_is_removed_and_nothing_of_the_users(home, runs, tmp_path):
    shutil.copytree(runs / "base", tmp_path / "run")
    ours = (
        "checkpoints/step-000004/run.json",
        "checkpoints/.step-000002.partial/x",
        "tokens/tokens.bin",
        "tokens/tokens.json",
    )
    theirs = ("checkpoints/step-7/weights", "tokens/my_tokens.txt", "notes.txt")
    for path in ours + theirs:
        (tmp_path / "run" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / path).write_text("{}")
    assert run(*again(home, runs, "base")[:-1], tmp_path / "run", "--resume") == 0
    left = {p.relative_to(tmp_path / "run").as_posix() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    before = {p.relative_to(runs / "base").as_posix() for p in (runs / "base").rglob("*") if p.is_file()}
    assert left == before | set(theirs)


CHANGES = {
    "a setting of pretraining": ("pretrain", "--n-embd 8", "n_embd was 16 and is now 8"),
    "the text": ("pretrain", "--text {home}/pairs.jsonl.txt", "text differs"),
    "how the text is cut": ("pretrain", "--documents line", "text differs"),
    "the tokenizer": ("pretrain", "--tokenizer {runs}/../other/tokenizer", "tokenizer differs"),
    "the seed": ("sft", "--seed 4", "seed was 3 and is now 4"),
    "what is done with long dialogues": ("sft", "--long drop", "long was 'cut' and is now 'drop'"),
    "the rank": ("sft", "--lora 3", "lora was 2 and is now 3"),
    "the base": ("sft", "--base {runs}/merged", "base differs"),
    "the pairs": ("sft", "--pairs {runs}/../more.jsonl", "dialogues differs"),
    "the rehearsal": ("sft", "--rehearse {home}/pairs.jsonl.txt", "rehearsal differs"),
    "beta": ("prefer", "--beta 0.5", "beta was 1.0 and is now 0.5"),
    "the steps": ("prefer", "--steps 5", "steps was 4 and is now 5"),
    "the preferences": ("prefer", "--preferences {runs}/../more.json", "pairs differs"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_resuming_with_something_else_is_refused_and_names_it(home, runs, tmp_path, monkeypatch, capsys, what):
    (home / "more.jsonl").write_text((home / "pairs.jsonl").read_text() * 2)
    (home / "more.json").write_text(json.dumps([{"prompt": "a", "chosen": "b", "rejected": "c"}]))
    (home / "pairs.jsonl.txt").write_text("another text to rehearse")
    minillm.Tokenizer.train(["aaaa bbbb"], 258).save(home / "other" / "tokenizer")
    stage, change, says = CHANGES[what]
    command = {
        "pretrain": ["pretrain", "--text", home / "text.txt", *SHAPE],
        "sft": ["sft", "--base", runs / "base", "--pairs", home / "pairs.jsonl", "--lora", 2,
                "--rehearse", home / "text.txt", "--rehearse-rows", 1],
        "prefer": ["prefer", "--base", runs / "sft", "--preferences", home / "preferences.json"],
    }[stage] + ["--out", tmp_path / "run", *TRAIN, "--checkpoint-every", 2]  # fmt: skip
    with monkeypatch.context() as patch:
        interrupt_after_checkpoint(patch, 2)
        assert run(*command) == 130
    assert "step 2 is saved: give the same command with --resume" in capsys.readouterr().err
    saved = contents(tmp_path / "run" / "checkpoints")
    assert run(*command, *change.format(home=home, runs=runs).split(), "--resume") == 2
    error = capsys.readouterr().err
    assert re.fullmatch(rf"error: \S+run.json: {says}: [^\n]+\n", error), error
    assert contents(tmp_path / "run" / "checkpoints") == saved
    assert run(*command, "--resume") == 0
    assert "resumed at step 2" in capsys.readouterr().out


def test_ctrl_c_where_nothing_is_learned_promises_nothing(runs, monkeypatch, capsys):
    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", press)
    assert run("chat", "--run", runs / "sft") == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


@pytest.mark.parametrize("size", [2**50, 2**62])
def test_a_model_too_large_for_the_memory_is_one_line(home, tmp_path, capsys, monkeypatch, size):
    monkeypatch.setattr("minillm.stage1_pretrain.GPT", lambda *_: torch.empty(size))  # PyTorch's own words
    command = ["pretrain", "--text", home / "text.txt", "--out", tmp_path / "run", *SHAPE, *TRAIN]
    assert run(*command) == 1
    assert re.fullmatch(r"(.*\n)*error: out of memory: [^\n]+\n", capsys.readouterr().err)


def test_a_model_no_laptop_could_hold_is_refused_before_anything_is_built(home, tmp_path, capsys):
    command = ["pretrain", "--text", home / "text.txt", "--out", tmp_path / "run", *SHAPE, *TRAIN]
    for option, value in (("--n-embd", 2**40), ("--n-layer", 10**9), ("--n-ctx", 2**62)):
        assert run(*command, option, value) == 2
        assert not (tmp_path / "run").exists()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["sft --base {runs}/base --pairs {home}/pairs.jsonl --batch-size", "world --documents",
     "sft --base {runs}/base --pairs {home}/pairs.jsonl --rehearse {home}/text.txt --rehearse-rows",
     "pretrain --text {home}/text.txt --accumulate"],
)  # fmt: skip
@pytest.mark.parametrize("number", [2**62, 10**21, 2**20 * 10])
def test_sizes_that_would_never_end_are_refused(home, runs, tmp_path, capsys, command, number):
    assert run(*command.format(home=home, runs=runs).split(), number, "--out", tmp_path / "run") == 2
    assert re.search(r"it must be|must\s+be", capsys.readouterr().err) and not (tmp_path / "run").exists()


def test_resuming_without_a_checkpoint_says_so_and_starts_over(home, runs, tmp_path, capsys):
    command = ["pretrain", "--text", home / "text.txt", "--documents", "blank-line", "--out", tmp_path / "run", *SHAPE]
    assert run(*command, *TRAIN, "--resume") == 0
    assert "no checkpoint" in capsys.readouterr().out
    name = "model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (runs / "base" / name).read_bytes()


# ---------------------------------------------------------------------------------- as a program


def program(*arguments, stdin: str = "", **environment) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `python -m minillm …` in another folder."""
    package = Path(minillm.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "minillm", *map(str, arguments)],
        input=stdin.encode(), capture_output=True,
        env=os.environ | {"PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_as_a_program_it_chats_in_chinese_even_where_the_locale_is_plain_ascii(runs):
    code, out, err = program("chat", "--run", runs / "sft", "--max-new-tokens", 3, stdin="台湾最高的山是哪座？\n",
                             LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")  # fmt: skip
    assert (code, err) == (0, "")
    expected = minillm.load(runs / "sft").ask("台湾最高的山是哪座？", minillm.Sampling(max_new_tokens=3))
    assert out.startswith("AI: ") and out.removeprefix("AI: ").strip() == expected


def test_as_a_program_it_takes_chinese_from_its_options_even_where_the_locale_is_plain_ascii(runs, tmp_path):
    plain = dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    command = ["complete", "--run", runs / "base", "--prompt", "台湾 is", "--max-new-tokens", 2]
    code, out, err = program(*command, **plain)
    assert (code, err) == (0, "")
    assert out == minillm.load(runs / "base").complete("台湾 is", 2) + "\n"
    code, _, err = program("complete", "--run", tmp_path / "沒有", "--prompt", "x", **plain)
    assert code == 2 and "沒有" in err and err.count("\n") == 1


def test_as_a_program_it_chats_in_chinese_through_streams_called_ascii(runs):
    code, out, err = program("chat", "--run", runs / "sft", "--max-new-tokens", 3, stdin="台湾？\n",
                             LC_ALL="C", PYTHONIOENCODING="ascii")  # fmt: skip
    assert (code, err) == (0, "")
    expected = minillm.load(runs / "sft").ask("台湾？", minillm.Sampling(max_new_tokens=3))
    assert out.removeprefix("AI: ").strip() == expected


REDIRECTIONS = ("2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full 2>&1")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_training_finishes_whatever_its_output_is_connected_to(home, runs, tmp_path, redirection):
    out = tmp_path / "run"
    words = ["sft", "--base", runs / "base", "--pairs", home / "pairs.jsonl", "--out", out, *TRAIN]
    script = f'exec "$0" -m minillm "$@" {redirection}'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, *map(str, words)],
        capture_output=True, cwd=Path(minillm.__file__).parents[1], env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0
    assert files(out) == FULL
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (out / name).read_bytes() == (runs / "sft" / name).read_bytes()


def piped(words: list) -> int:
    """The exit code of a command that runs into a pipe whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    with open(os.devnull, "rb") as nothing, open(write, "wb") as pipe:
        child = commands.start([str(word) for word in words], nothing, pipe, pipe)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("stage", ["pretrain", "sft", "prefer"])
def test_training_goes_on_when_nobody_reads_its_output_any_more(home, runs, tmp_path, stage):
    command = {
        "pretrain": ["--text", home / "text.txt", "--documents", "blank-line", *SHAPE],
        "sft": ["--base", runs / "base", "--pairs", home / "pairs.jsonl"],
        "prefer": ["--base", runs / "sft", "--preferences", home / "preferences.json"],
    }[stage]
    out = tmp_path / "run"
    assert piped([stage, *command, "--out", out, *TRAIN, "--resume"]) == 0
    assert files(out) == FULL
    name = {"pretrain": "base", "sft": "sft", "prefer": "tuned"}[stage]
    assert (out / "model.safetensors").read_bytes() == (runs / name / "model.safetensors").read_bytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_what_is_for_printing_ends_when_nobody_reads_on(runs):
    assert piped(["complete", "--run", runs / "base", "--prompt", "x", "--max-new-tokens", 10**9]) == 0
    assert piped(["tokenizer", "--tokenizer", runs / "base" / "tokenizer", "--encode", "x"]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_what_is_for_printing_fails_where_it_cannot_be_written(runs):
    with open(os.devnull, "rb") as nothing, open("/dev/full", "wb") as full, tempfile.TemporaryFile() as err:
        words = ["tokenizer", "--tokenizer", str(runs / "base" / "tokenizer"), "--encode", "x"]
        child = commands.start(words, nothing, full, err)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        err.seek(0)
        assert re.fullmatch(rb"error: No space left on device: free some space[^\n]*\n", err.read())


def test_as_a_program_it_reports_a_mistake_in_one_line_without_a_traceback(tmp_path):
    code, _, err = program("complete", "--run", tmp_path / "沒有", "--prompt", "x")
    assert code == 2
    assert err.startswith("error: ") and err.count("\n") == 1 and "沒有" in err


@pytest.mark.parametrize("words, option", [
    ("pretrain --text a.txt --out o --text b.txt", "--text"),
    ("reward --base b --preferences a --out o --judge=a --judge b", "--judge"),
    ("sft --base b --pairs a --out o --lora-targets query --lora_targets key", "--lora-targets"),
])  # fmt: skip
def test_an_option_of_several_values_that_is_given_twice_is_refused(words, option, capsys):
    assert main(words.split()) == 2
    assert f"{option} is given 2 times" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_asked_what_is_given_twice(name):
    check_given_once(COMMANDS[name].load(), ["--seed", "1", "--seed", "2", "--run", "a", "--run", "b"])
