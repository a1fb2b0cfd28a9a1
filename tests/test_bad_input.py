"""The real command meets bad input: exit code 2, one line that names the fault, no traceback, nothing half-written."""

import json
import pickle
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from minillm.checkpoint import newest, step_of
from minillm.run_folder import config_hash, load_run
from minillm.world.tables import BUILT_IN
from tests.support.commands import STAGES, prepare, run

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
    "another width": (lambda run: change(run / "config.json", "n_embd", 16), "was changed"),
    "another depth": (lambda run: change(run / "config.json", "n_layer", 2), "was changed"),
    "an odd head": (lambda run: change(run / "config.json", "n_head", 3), "was changed"),
    "another width and its hash": (lambda run: seal(change(run / "config.json", "n_embd", 16)), "model.safetensors"),
    "another depth and its hash": (lambda run: seal(change(run / "config.json", "n_layer", 2)), "model.safetensors"),
    "an odd head and its hash": (lambda run: seal(change(run / "config.json", "n_head", 3)), "n_head"),
    "a truncated tokenizer": (lambda run: cut(run / "tokenizer" / "ranks.tiktoken"), "tokenizer"),
    "a bad split pattern": (
        lambda run: (run / "tokenizer" / "tokenizer.json").write_text('{"pattern": "("}'),
        "pattern",
    ),
    "a tokenizer of another size": (lambda run: fewer(run / "tokenizer" / "ranks.tiktoken"), "tokenizer"),
    "a tokenizer of the same size": (lambda run: copy(run, "tokenizer/ranks.tiktoken", "other"), "tokenizer"),
    "a model of another shape": (lambda run: copy(run, "model.safetensors", "deep"), "model.safetensors"),
    "a model of the same shape": (lambda run: copy(run, "model.safetensors", "other"), "model.safetensors"),
    "tensors of another kind": (lambda run: save_file({}, run / "model.safetensors"), "model.safetensors"),
}
ADAPTERS = {
    "no adapter": (lambda run: (run / "adapter.safetensors").unlink(), "adapter.safetensors"),
    "a truncated adapter": (lambda run: cut(run / "adapter.safetensors"), "adapter.safetensors"),
    "a pickle": (lambda run: (run / "adapter.safetensors").write_bytes(pickle.dumps([1])), "adapter.safetensors"),
    "a model in its place": (lambda run: copy(run, "model.safetensors", "run", "adapter.safetensors"), "adapter"),
    "a changed adapter": (lambda run: negate(run / "adapter.safetensors"), "adapter.safetensors"),
    "no description": (lambda run: (run / "adapter.json").write_text("{}"), "adapter.json"),
    "no base": (lambda run: shutil.rmtree(run.parent / "run"), "base"),
    "another base": (lambda run: copy(run.parent / "run", "model.safetensors", "other"), "base"),
}
# what takes a run, and what is wrong with it
USERS = {
    "complete": "complete --run {bad} --prompt x",
    "chat": "chat --run {bad}",
    "evaluate": "evaluate --run {bad}",
    "sft": "sft --base {bad} --pairs {home}/pairs.jsonl --out {out}",
    "prefer": "prefer --base {bad} --preferences {home}/preferences.jsonl --out {out}",
    "tokenizer": "tokenizer --tokenizer {bad}/tokenizer --encode x",
}
SFT = "sft --base {run} --pairs {home}/pairs.jsonl --out"
PREFER = "prefer --base {run} --preferences {home}/preferences.jsonl --out"
PRETRAIN = "pretrain --text {home}/text.txt --out"
COMMANDS = {
    "missing text": ("pretrain --text {none}.txt --out {out}", "none.txt"),
    "folder without text": ("pretrain --text {empty} --out {out}", "empty"),
    "pattern without a match": ("pretrain --text {none}*.txt --out {out}", "none"),
    "pattern that matches a folder only": ("pretrain --text {home}/emp*y --out {out}", "emp"),
    "missing pairs": ("sft --base {run} --pairs {none}.json --out {out}", "none.json"),
    "folder without pairs": ("sft --base {run} --pairs {empty} --out {out}", "empty"),
    "folder without preferences": ("prefer --base {run} --preferences {empty} --out {out}", "empty"),
    "missing base": ("sft --base {none} --pairs {home}/pairs.jsonl --out {out}", "none"),
    "missing run": ("complete --run {none} --prompt x", "none"),
    "missing world": ("world --world {none} --out {out}", "none"),
    "world without tables": ("world --world {badworld} --out {out}", "places.csv:2"),
    "demo of a bad world": ("demo --world {badworld} --out {out}", "places.csv:2"),
    "exam of a bad world": ("evaluate --run {run} --world {badworld}", "places.csv:2"),
    "missing tokenizer": (PRETRAIN + " {out} --tokenizer {none}", "none"),
    "a run as tokenizer": (PRETRAIN + " {out} --tokenizer {run}", "ranks.tiktoken"),
    "tokenizer of missing text": ("tokenizer --text {none}", "none"),
    "evaluate on missing text": ("evaluate --run {run} --text {none}", "none"),
    "evaluate on a folder without text": ("evaluate --run {run} --text {empty}", "empty"),
    "evaluate on text as pairs": ("evaluate --run {run} --pairs {home}/text.txt", "text.txt:1"),
    "evaluate on preferences as pairs": ("evaluate --run {run} --pairs {home}/preferences.jsonl", "jsonl:1"),
    "rehearsal without text": (SFT + " {out} --rehearse-rows 1", "rehearse"),
    "missing rehearsal": (PREFER + " {out} --rehearse-rows 1 --rehearse {none}", "none"),
    "an adapter on an adapter": ("sft --base {lora} --pairs {home}/pairs.jsonl --out {out} --lora 2", "--merge"),
    **{f"{name}: out is a file": (f"{command} {{home}}/file", "file") for name, command in (
        ("pretrain", PRETRAIN), ("sft", SFT), ("lora", SFT.replace("--out", "--lora 2 --out")), ("prefer", PREFER),
        ("world", "world --out"), ("tokenizer", "tokenizer --text {home}/text.txt --out"))},
    **{f"{name}: out beneath a file": (f"{command} {{home}}/file/run", "file") for name, command in (
        ("pretrain", PRETRAIN), ("sft", SFT), ("prefer", PREFER), ("world", "world --out"),
        ("tokenizer", "tokenizer --text {home}/text.txt --out"))},
    "sft: out is the base": (SFT + " {run}", "base"),
    "lora: out is the base": (SFT + " {run}/../run --lora 2", "base"),
    "prefer: out is the base": (PREFER + " {run}", "base"),
    **{f"{name}: unknown device": (f"{command} --device {device}", device) for name, command, device in (
        ("pretrain", PRETRAIN + " {out}", "quantum"), ("sft", SFT + " {out}", "cuda:4096"),
        ("prefer", PREFER + " {out}", "gpu"), ("complete", "complete --run {run} --prompt x", "quantum"),
        ("evaluate", "evaluate --run {run}", "tpu"), ("demo", "demo --out {out}", "quantum"))},
    "no documents": ("world --out {out} --documents -1", "documents"),
    "a small vocabulary": ("tokenizer --text {home}/text.txt --vocab-size 5", "vocab_size"),
}  # fmt: skip
# name: (command that reads `-`, bytes, what the line says)
PIPED = {
    "no text": (f"{PRETRAIN.replace('{home}/text.txt', '-')} {{out}}", b"", "standard input: .*empty"),
    "binary text": (f"{PRETRAIN.replace('{home}/text.txt', '-')} {{out}}", b"a\n\0", "standard input:2: .*binary"),
    "no pairs": (f"{SFT.replace('{home}/pairs.jsonl', '-')} {{out}}", b"\n", "standard input: .*empty"),
    "half a pair": (f"{SFT.replace('{home}/pairs.jsonl', '-')} {{out}}", b'{"prompt"', "standard input:1: not JSON"),
    "pairs to prefer": (
        f"{PREFER.replace('{home}/preferences.jsonl', '-')} {{out}}",
        GOOD.encode(),
        "input:1: .*chosen",
    ),
    "evaluate": ("evaluate --run {run} --text -", b"\xff", "standard input:1: not UTF-8"),
    "tokenizer": ("tokenizer --text -", b" ", "standard input: .*empty"),
}
# command: the options that are refused, each by its name
USAGE = {
    "fly": ("",),
    "pretrain --out y": ("",),
    "pretrain --text x --out y": (
        "--wat 3", "--steps many", "--steps 0", "--steps -3", "--batch-size 0", "--lr 0", "--lr nan", "--muon-lr inf",
        "--warmup -1", "--clip 0", "--weight-decay -1", "--final-lr nan", "--accumulate 0", "--seed -1",
        "--seed 99999999999999999999", "--checkpoint-every -1", "--vocab-size 255", "--validation 1",
        "--validation nan", "--n-ctx 0", "--n-layer -1", "--n-head 3", "--n-embd 0", "--arch bert",
        "--precision fp8", "--documents word"),
    "sft --base x --pairs y --out z": (
        "--validation 1", "--validation -0.1", "--lora -1", "--lora-alpha nan", "--lora-alpha 0", "--lora-dropout 1",
        "--rehearse-rows -1", "--rehearse-weight -1", "--rehearse-weight nan", "--long never", "--steps 0"),
    "prefer --base x --preferences y --out z": (
        "--beta 0", "--beta nan", "--beta inf", "--likelihood -1", "--likelihood nan", "--lora -1", "--lora-alpha inf",
        "--lora-dropout -1", "--rehearse-rows -1", "--rehearse-weight -1", "--batch-size -2"),
    "complete --run x --prompt y": (
        "--top-p 2", "--top-p 0", "--top-k 0", "--temperature -1", "--temperature nan", "--repetition-penalty 0",
        "--max-new-tokens -1", "--seed -1"),
    # numbers of any size
    "pretrain --text y --out z": tuple(f"--{name} {value}" for name, values in (
        ("lr", ("1e-46", "1e39", "1e999", "-0.0", "1" * 31)), ("muon-lr", ("1e-46", "1e39")), ("final-lr", ("1e300", "1.5")),
        ("clip", ("1e-46", "1e38")), ("weight-decay", ("1e39",)), ("validation", ("1e39", "-1e-46")),
        *((name, ("1" * 30, "9" * 5000, "1e3", "2.0", "True", str(2**63))) for name in (
            "steps", "batch-size", "n-ctx", "n-layer", "n-embd", "seed", "checkpoint-every", "vocab-size", "warmup")),
        ) for value in values),
    "complete --run y --prompt x": (
        "--temperature 1e-46", "--temperature 1e39", "--repetition-penalty 1e-40", "--repetition-penalty 1e39",
        "--top-p 1e39", "--top-k " + "1" * 30, "--max-new-tokens " + "1" * 30, "--seed " + "1" * 30),
    "world --out y": ("--seed -1", "--seed " + "1" * 30),
    "evaluate --run y": ("--seed -1",),
    "claims": ("--first-seed -1", "--seeds 0", "--seeds " + "1" * 30),
    "homework": ("--seed -1", "--folder nowhere-at-all"),
}  # fmt: skip


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def change(path: Path, name: str, value: int) -> Path:
    config = json.loads(path.read_text())
    config["model"][name] = value
    path.write_text(json.dumps(config))
    return path


def seal(path: Path) -> None:
    """Give a changed config.json its right hash, so that the file passes for what was written."""
    config = json.loads(path.read_text())
    hashes = config.pop("sha256")
    path.write_text(json.dumps(config | {"sha256": hashes | {"config": config_hash(config)}}))


def fewer(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def copy(run: Path, name: str, other: str, to: str | None = None) -> None:
    """Put a file of another run in a file's place."""
    shutil.copy(run.parent / other / name, run / (to or name))


def negate(path: Path) -> None:
    save_file({name: -tensor for name, tensor in load_file(path).items()}, path)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    text = "The capital of France is Paris. 玉山\n" * 20
    (home / "text.txt").write_text(text, encoding="utf-8")
    (home / "other.txt").write_text("What another text, 富士山 what an other! " * 20, encoding="utf-8")
    (home / "pairs.jsonl").write_text(GOOD * 4)
    (home / "preferences.jsonl").write_text(PREFERENCE * 4)
    (home / "file").write_text("in the way")
    (home / "empty").mkdir()
    (home / "badworld").mkdir()
    places = (BUILT_IN / "places.csv").read_text(encoding="utf-8").replace("Taiwan,", "Taiwan,one,two,", 1)
    (home / "badworld" / "places.csv").write_text(places, encoding="utf-8")
    pretrain = ["pretrain", *SHAPE, *TRAIN]
    for command in (
        [*pretrain, "--text", home / "text.txt", "--out", home / "run"],
        [*pretrain, "--text", home / "text.txt", "--out", home / "deep", "--n-layer", 2],
        [*pretrain, "--text", home / "other.txt", "--out", home / "other"],
        ["sft", "--base", home / "run", "--pairs", home / "pairs.jsonl", "--out", home / "lora", "--lora", 2, *TRAIN],
    ):
        assert run(command).code == 0
    return home


@pytest.fixture
def places(home, tmp_path) -> dict[str, Path]:
    return {
        "home": home,
        "run": home / "run",
        "lora": home / "lora",
        "empty": home / "empty",
        "badworld": home / "badworld",
        "out": tmp_path / "out",
        "none": tmp_path / "none",
    }


def fails(command: str | list, stdin: bytes = b"") -> str:
    """The one line with which the real command refuses."""
    result = run(command, stdin)
    assert result.code == 2, result.err
    assert re.fullmatch(r"error: [^\n]+: [^\n]+\n", result.err), result.err
    return result.err


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
    line = fails([*stage[kind], f"--{kind}", path, "--strict", "--out", tmp_path / "out", *TRAIN])
    assert re.search(says, line), line
    assert place is None or line.startswith(f"error: {path}{place}: "), line
    assert not (tmp_path / "out").exists()


def damaged(home: Path, tmp_path: Path, name: str, damage: Callable[[Path], object]) -> Path:
    """A copy of a run, with those next to it, that is damaged."""
    shutil.copytree(home, tmp_path / "home")
    damage(tmp_path / "home" / name)
    return tmp_path / "home" / name


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, t in (("run", RUNS), ("lora", ADAPTERS)) for n in t])
def test_a_damaged_run_folder_is_named(home, tmp_path, kind, name):
    damage, says = {"run": RUNS, "lora": ADAPTERS}[kind][name]
    run = damaged(home, tmp_path, kind, damage)
    line = fails(["complete", "--run", run, "--prompt", "x"])
    assert str(run) in line and says in line, line


@pytest.mark.parametrize("user", USERS)
def test_every_command_that_takes_a_run_names_what_is_wrong_with_it(places, tmp_path, user):
    bad = damaged(places["home"], tmp_path, "run", lambda run: cut(run / "tokenizer" / "ranks.tiktoken"))
    line = fails(USERS[user].format(**places, bad=bad))
    assert str(bad / "tokenizer" / "ranks.tiktoken") in line, line
    assert not places["out"].exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_not_there_or_in_the_way_is_named(home, places, name):
    command, says = COMMANDS[name]
    before = (home / "run" / "model.safetensors").read_bytes()
    assert says in fails(command.format(**places))
    assert not places["out"].exists()
    assert (home / "file").read_text() == "in the way"
    assert (home / "run" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", PIPED)
def test_what_is_wrong_in_standard_input_is_named(places, name):
    command, content, says = PIPED[name]
    assert re.search(says, fails(command.format(**places), content))
    assert not places["out"].exists()


@pytest.mark.parametrize(("command", "option"), [(c, o) for c, options in USAGE.items() for o in options])
def test_wrong_usage_is_exit_code_2_and_names_the_option(command, option):
    result = run(f"{command} {option}")
    assert result.code == 2 and "Traceback" not in result.err
    assert len(result.err) < 20_000  # a number of 5,000 digits is not shown
    assert option.split()[0:1] == [] or option.split()[0].strip("-").replace("-", "_") in result.err.replace("-", "_")


# ------------------------------------------------------------------------------------ a disk that is full


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("stages")
    prepare(home)
    return home


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_exit_code_1_in_one_line_and_the_earlier_checkpoint_still_loads(prepared, tmp_path, stage):
    out = tmp_path / "out"
    command = STAGES[stage].format(home=prepared).replace("--steps 60", "--steps 300") + f" --out {out} --resume"
    stopped = run(command, ctrl_c_when=lambda: newest(out) is not None)
    assert stopped.code == 130 and "Traceback" not in stopped.err, stopped.err
    before = newest(out)
    assert f"step {step_of(before)} is saved: give the same command with --resume" in stopped.err
    full = run(command, file_limit=5000)  # the progress bar fits, a checkpoint does not
    assert full.code == 1 and "Traceback" not in full.err, full.err
    line = full.err.splitlines()[-1]
    assert re.fullmatch(rf"error: {out}/\S+: File too large: free some space.*", line), line
    assert not list(tmp_path.rglob("*partial*"))  # nothing half-written
    assert newest(out) == before
    again = run(command)
    assert again.code == 0, again.err
    assert f"resumed at step {step_of(before)}" in again.out
    load_run(out)


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
@pytest.mark.parametrize("command", ["world --out", "tokenizer --text {home}/text.txt --out"])
def test_other_commands_on_a_full_disk_write_no_half_file(prepared, tmp_path, command):
    full = run(f"{command.format(home=prepared)} {tmp_path / 'out'}", file_limit=500)
    assert full.code == 1 and re.fullmatch(r"error: \S+: File too large: free some space.*\n", full.err), full.err
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


# ------------------------------------------------------------------------------- odd, but good all the same


@pytest.fixture(scope="module")
def plain(prepared) -> dict[str, Path]:
    """A run of each stage."""
    runs = {}
    for stage, command in STAGES.items():
        runs[stage] = prepared / f"plain-{stage}"
        result = run(f"{command.format(home=prepared)} --steps 3 --out {runs[stage]}")
        assert result.code == 0, result.err
    return runs


@pytest.mark.parametrize("how", ["byte-order mark", "CRLF", "both", "standard input", "folder", "pattern"])
@pytest.mark.parametrize("stage", STAGES)
def test_the_same_data_in_another_dress_gives_the_same_model(prepared, plain, tmp_path, stage, how):
    command = STAGES[stage].format(home=prepared)
    path = next(word for word in command.split() if word.startswith(str(prepared)) and "base" not in word)
    raw = Path(path).read_bytes()
    if how in ("CRLF", "both"):
        raw = raw.replace(b"\n", b"\r\n")
    if how in ("byte-order mark", "both"):
        raw = b"\xef\xbb\xbf" + raw
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / Path(path).name).write_bytes(raw)
    source = {"standard input": "-", "folder": tmp_path / "data", "pattern": tmp_path / "d*" / "*"}
    dressed = command.replace(path, str(source.get(how, tmp_path / "data" / Path(path).name)))
    result = run(f"{dressed} --steps 3 --out {tmp_path / 'out'}", raw if how == "standard input" else b"")
    assert result.code == 0, result.err
    for model in plain[stage].glob("*.safetensors"):
        assert (tmp_path / "out" / model.name).read_bytes() == model.read_bytes()
