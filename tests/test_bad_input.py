"""The real command meets bad input: exit code 2, one line that names the fault, no traceback, nothing half-written."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minillm.__main__ import main

SHAPE = "--n-embd 8 --n-layer 1 --n-head 2 --n-ctx 32 --vocab-size 260".split()
TRAIN = "--steps 2 --batch-size 2 --device cpu".split()
GOOD = '{"prompt": "a", "completion": "b"}\n'
PREFERENCE = '{"prompt": "a", "chosen": "b", "rejected": "c"}\n'

# name: (bytes of a file, what the line says, "file" or "file:line" in it)
TEXTS = {
    "empty": (b"", "empty", ""),
    "blank": (b" \n\n\t", "empty", ""),
    "byte-order mark only": (b"\xef\xbb\xbf", "empty", ""),
    "binary": (b"a\nb\x00", "binary", ":2"),
    "invalid UTF-8": (b"a\r\nb\r\n\xff\xfe", "UTF-8", ":3"),
    "half a character": ("好".encode()[:2], "UTF-8", ":1"),
}
PAIRS = {
    "empty": ("", "empty", ""),
    "half a line": (GOOD + '{"prompt": "a", "comp', "not JSON", ":2"),
    "a list cut off": ('[{"prompt": "a", "completion": "b"},\n', "no end", ":2"),
    "after the list": ("[" + GOOD + "] x", "follows", ":2"),
    "plain text": ("hello", "not JSON", ":1"),
    "a number": ("\n3", "no record", ":2"),
    "a list of lists": ("[[1]]", "no record", ":1"),
    "an empty list": ("[]", "no records", ""),
    "unknown fields": ('{"q": "a", "a": "b"}', "unknown", ":1"),
    "no fields": (GOOD + "{}", "unknown", ":2"),
    "a missing field": ('{"prompt": "a"}', "missing", ":1"),
    "a number for text": ('{"prompt": 3, "completion": "b"}', "not text", ":1"),
    "null for text": ('{"prompt": "a", "completion": null}', "not text", ":1"),
    "a list for text": ('{"prompt": ["a"], "completion": "b"}', "not text", ":1"),
    "an empty answer": ('{"prompt": "a", "completion": " "}', "empty", ":1"),
    "an empty question": ('{"instruction": "", "output": "b"}', "empty", ":1"),
    "an unknown role": ('{"messages": [{"role": "boss", "content": "a"}]}', "role", ":1"),
    "two users": (
        '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
        "expected",
        ":1",
    ),
    "the answer first": ('{"messages": [{"role": "assistant", "content": "a"}]}', "expected", ":1"),
    "no answer": ('{"messages": [{"role": "user", "content": "a"}]}', "no answer", ":1"),
    "no turns": ('{"messages": []}', "list", ":1"),
    "turns that are text": ('{"conversations": "a"}', "list", ":1"),
    "a turn without a role": ('{"conversations": [{"value": "a"}]}', "missing", ":1"),
    "deep nesting": ('{"prompt": ' + "[" * 9999, "nested|not JSON", ":1"),
    "all too long": (json.dumps({"prompt": "word " * 99, "completion": "b"}), "fits", None),
    "preferences": (PREFERENCE, "missing", ":1"),
}
PREFERENCES = {
    "empty": ("\n", "empty", ""),
    "pairs": (GOOD, "missing", ":1"),
    "equal answers": (PREFERENCE + '{"prompt": "a", "chosen": "b", "rejected": " b"}', "equal", ":2"),
    "an empty answer": ('{"prompt": "a", "chosen": "", "rejected": "b"}', "empty", ":1"),
    "a number": ('{"prompt": "a", "chosen": 1, "rejected": "b"}', "not text", ":1"),
    "half a line": ('{"prompt": "a"', "not JSON", ":1"),
    "all too long": (json.dumps({"prompt": "word " * 99, "chosen": "b", "rejected": "c"}), "fits", None),
}
# what is done to a run folder, and what the line says
RUNS = {
    "no model": (lambda run: (run / "model.safetensors").unlink(), "model.safetensors"),
    "no config": (lambda run: (run / "config.json").unlink(), "config.json"),
    "no tokenizer": (lambda run: shutil.rmtree(run / "tokenizer"), "ranks.tiktoken"),
    "a truncated model": (lambda run: cut(run / "model.safetensors"), "model.safetensors"),
    "an empty model": (lambda run: (run / "model.safetensors").write_bytes(b""), "model.safetensors"),
    "a pickle": (lambda run: (run / "model.safetensors").write_bytes(pickle.dumps({"a": 1})), "model.safetensors"),
    "a config that is text": (lambda run: (run / "config.json").write_text("hello"), "config.json"),
    "a config that is a list": (lambda run: (run / "config.json").write_text("[]"), "config.json"),
    "a config without a model": (lambda run: (run / "config.json").write_text("{}"), "config.json"),
    "another width": (lambda run: change(run / "config.json", "n_embd", 16), "model.safetensors"),
    "another depth": (lambda run: change(run / "config.json", "n_layer", 2), "model.safetensors"),
    "an odd head": (lambda run: change(run / "config.json", "n_head", 3), "config.json"),
    "a truncated tokenizer": (lambda run: cut(run / "tokenizer" / "ranks.tiktoken"), "tokenizer"),
    "a bad split pattern": (
        lambda run: (run / "tokenizer" / "tokenizer.json").write_text('{"pattern": "("}'),
        "pattern",
    ),
    "another tokenizer": (lambda run: fewer(run / "tokenizer" / "ranks.tiktoken"), "tokenizer"),
}
COMMANDS = {
    "missing text": ("pretrain --text {none}.txt --out {out}", "none.txt"),
    "folder without text": ("pretrain --text {empty} --out {out}", "empty"),
    "pattern without a match": ("pretrain --text {none}*.txt --out {out}", "none"),
    "out is a file": ("pretrain --text {home}/text.txt --out {home}/file", "--out"),
    "out beneath a file": ("pretrain --text {home}/text.txt --out {home}/file/run", "--out"),
    "unknown device": ("pretrain --text {home}/text.txt --out {out} --device quantum", "device"),
    "missing base": ("sft --base {none} --pairs {home}/pairs.jsonl --out {out}", "none"),
    "missing run": ("complete --run {none} --prompt x", "none"),
    "missing world": ("world --world {none} --out {out}", "none"),
    "rehearsal without text": ("sft --base {run} --pairs {home}/pairs.jsonl --out {out} --rehearse-rows 1", "rehearse"),
}
USAGE = ("fly", "pretrain --out y", "pretrain --text x --out y --wat 3", "pretrain --text x --out y --steps many",
         "pretrain --text x --out y --steps 0", "complete --run x --prompt y --top-p 2")  # fmt: skip


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def change(path: Path, name: str, value: int) -> None:
    config = json.loads(path.read_text())
    config["model"][name] = value
    path.write_text(json.dumps(config))


def fewer(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "text.txt").write_text("The capital of France is Paris. 玉山\n" * 20, encoding="utf-8")
    (home / "pairs.jsonl").write_text(GOOD * 4)
    (home / "file").write_text("in the way")
    (home / "empty").mkdir()
    command = ["pretrain", "--text", home / "text.txt", "--out", home / "run", *SHAPE, *TRAIN]
    assert main([str(word) for word in command]) == 0
    return home


def fails(*command) -> str:
    """The one line with which the real command refuses."""
    result = subprocess.run([sys.executable, "-m", "minillm", *map(str, command)],
                            capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert re.fullmatch(r"error: [^\n]+\n", result.stderr), result.stderr
    return result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [(k, n) for k, t in (("text", TEXTS), ("pairs", PAIRS), ("preferences", PREFERENCES)) for n in t],
)
def test_a_bad_file_is_named_with_its_line(home, tmp_path, kind, name):
    content, says, place = {"text": TEXTS, "pairs": PAIRS, "preferences": PREFERENCES}[kind][name]
    path = tmp_path / ("bad.txt" if kind == "text" else "bad.json")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    stage = {
        "text": ["pretrain"],
        "pairs": ["sft", "--base", home / "run"],
        "preferences": ["prefer", "--base", home / "run"],
    }
    line = fails(*stage[kind], f"--{kind}", path, "--out", tmp_path / "out", *TRAIN)
    assert re.search(says, line), line
    assert place is None or line.startswith(f"error: {path}{place}: "), line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_damaged_run_folder_is_named(home, tmp_path, name):
    damage, says = RUNS[name]
    run = tmp_path / "run"
    shutil.copytree(home / "run", run)
    damage(run)
    line = fails("complete", "--run", run, "--prompt", "x")
    assert str(run) in line and says in line, line


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_not_there_or_in_the_way_is_named(home, tmp_path, name):
    command, says = COMMANDS[name]
    places = {
        "home": home,
        "run": home / "run",
        "out": tmp_path / "out",
        "none": tmp_path / "none",
        "empty": home / "empty",
    }
    assert says in fails(*command.format(**places).split())
    assert not (tmp_path / "out").exists()
    assert (home / "file").read_text() == "in the way"


@pytest.mark.slow
@pytest.mark.parametrize("command", USAGE)
def test_wrong_usage_is_exit_code_2_without_a_traceback(command):
    result = subprocess.run(
        [sys.executable, "-m", "minillm", *command.split()], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2 and result.stderr and "Traceback" not in result.stderr
