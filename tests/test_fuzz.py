"""Whatever the bytes: a reader works or raises InputError in one line.

Samples; `MINILLM_WHOLE=1` asks for 2,000 examples a reader, `MINILLM_FUZZ=25000 pytest tests/test_fuzz.py -k any` is
the long campaign over the readers.
"""

import bz2
import csv
import gzip
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.material.records import read_dialogues, read_preferences, read_questions
from minillm.material.text_files import TextFiles
from minillm.plumbing.files import InputError
from minillm.run_folder import Run, load_run, save_run
from minillm.tokenizer import Tokenizer
from minillm.world.tables import BUILT_IN, load_world
from tests.support.sample import sample

EXAMPLES = sample(400, 2000)  # for each of five readers
RANDOM = int(os.environ.get("MINILLM_FUZZ", sample(1500, 3000)))  # for records and for text, from the generators below
FUZZ = settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
                suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip

TEXT = st.text(max_size=12) | st.sampled_from(["user", "assistant", "system", "gpt", "human", "a", "", " ", "山"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
TURNS = st.lists(
    st.dictionaries(st.sampled_from(["role", "content", "from", "value"]), TEXT | VALUES) | VALUES, max_size=3
)
FIELDS = ["instruction", "input", "output", "prompt", "completion", "messages", "conversations", "chosen", "rejected"]
RECORDS = st.dictionaries(st.sampled_from(FIELDS), TEXT | TURNS | VALUES, max_size=4)
FILES = st.binary(max_size=60) | st.lists(RECORDS | VALUES, max_size=3).flatmap(
    lambda records: st.sampled_from(
        [
            json.dumps(records).encode(),
            "\n".join(map(json.dumps, records)).encode(),
            json.dumps(records, indent=1).encode(),
        ]
    )
)


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """The file cut off, with a part replaced, or with something put in."""
    places = st.tuples(
        st.integers(0, len(whole)), st.integers(0, 40), st.binary(max_size=8) | st.text(max_size=8).map(str.encode)
    )
    return places.map(lambda p: whole[: p[0]] + p[2] + whole[p[0] + p[1] :]) | st.integers(0, len(whole)).map(
        lambda n: whole[:n]
    )


def survives(read: Callable, *arguments, lines: bool = False) -> bool:
    """Whether the reader works; if not, it says in one line what is wrong (`lines`: in one line per record)."""
    try:
        read(*arguments)
        return True
    except InputError as error:
        assert all(len(line) > 10 for line in (str(error).split("\n") if lines else [str(error)]))
        assert (lines or "\n" not in str(error)) and str(error).encode()
        return False


@FUZZ
@given(content=FILES, read=st.sampled_from([read_dialogues, read_preferences, read_questions]))
def test_records(tmp_path, content, read):
    (tmp_path / "data.json").write_bytes(content)
    survives(read, [tmp_path / "data.json"])


@FUZZ
@given(content=st.binary(max_size=80) | st.text(max_size=80).map(lambda t: t.encode("utf-8", "surrogatepass")),
       how=st.sampled_from(["file", "line", "blank-line"]))  # fmt: skip
def test_text(tmp_path, content, how):
    (tmp_path / "text.txt").write_bytes(content)
    survives(lambda: list(TextFiles([tmp_path / "text.txt"], how)))


# ------------------------------------------------------------------- shapes, containers and encodings at random

TEXTS = [
    "a",
    "山?",
    "",
    " ",
    "玉山",
    "\n\nHuman: a\n\nAssistant: b",
    "a</s>",
    "\ud83d",
    "x" * 60,
    "[{",
    "0",
    "\x00",
    "a,b",
    '"',
]
ROLES = ["user", "assistant", "system", "human", "gpt", "tool", "function_call", "observation", "robot", "", None, 3]
NAMES = ["instruction", "input", "output", "prompt", "completion", "messages", "conversations", "chosen", "rejected", "system",
         "history", "weight", "label", "question", "answer", "context", "response", "target", "text", "content", "conversation",
         "tools", "data", "train", "row", "rows", "columns", "score", "preferred_output", "", "0"]  # fmt: skip
ENCODINGS = [
    "utf-8",
    "utf-8",
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-32",
    "utf-16-le",
    "gb18030",
    "big5",
    "latin-1",
    "shift_jis",
]


def any_value(rng: random.Random, depth: int = 0):
    """A value of any kind, most likely one that a record may hold."""
    kind = rng.choices("tmnldpr", [8, 5, 3, 2, 2, 1, 2])[0] if depth < 3 else "t"
    if kind == "t":
        return rng.choice(TEXTS)
    if kind == "n":
        return rng.choice([None, True, False, 0, 1, 0.5, -3, 10**30, float("nan")])
    if kind == "m":
        return [any_turn(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    if kind == "l":
        return [any_value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    if kind == "p":
        return [[rng.choice(TEXTS) for _ in range(rng.choice([1, 2, 2, 3]))] for _ in range(rng.randint(0, 3))]
    if kind == "d":
        return {str(i): any_value(rng, depth + 1) for i in range(rng.randint(0, 2))}
    return any_record(rng, depth + 1)


def any_turn(rng: random.Random, depth: int):
    if rng.random() < 0.05:
        return any_value(rng, depth)
    turn = {rng.choice(["role", "from"]): rng.choice(ROLES), rng.choice(["content", "value"]): rng.choice(TEXTS)}
    if rng.random() < 0.2:
        turn[rng.choice(["weight", "content", "value", "tool_calls", "function_call", "human", "x"])] = any_value(
            rng, depth
        )
    return turn


def any_record(rng: random.Random, depth: int = 0):
    return {rng.choice(NAMES): any_value(rng, depth + 1) for _ in range(rng.randint(0, 4))}


def good_record(rng: random.Random):
    return rng.choice([{"prompt": "a", "completion": "b"}, {"prompt": "a", "chosen": "b", "rejected": "c"}, {"text": "a"},
                       {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}])  # fmt: skip


def in_a_container(rng: random.Random, records: list) -> str:
    """Text that holds records: a list, lines, a table, or below a name."""
    indent = rng.choice([None, None, 1])
    match rng.randrange(6):
        case 0:
            return json.dumps(records, indent=indent)
        case 1:
            return json.dumps(
                {rng.choice(NAMES): records, rng.choice(NAMES): rng.choice([[], records, 3])}, indent=indent
            )
        case 2:
            table = io.StringIO()
            rows = csv.writer(table, delimiter=rng.choice(",;\t"))
            header = [rng.choice(NAMES) for _ in range(3)]
            rows.writerow(header)
            rows.writerows([json.dumps(r.get(k)) if isinstance(r, dict) else r for k in header] for r in records)
            return table.getvalue()
    return rng.choice(["\n", "\n", ",\n", "\r\n", ""]).join(json.dumps(r, indent=indent) for r in records)


def any_file(rng: random.Random, text: str) -> bytes:
    """A text in some encoding, perhaps packed, perhaps damaged."""
    raw = text.encode(rng.choice(ENCODINGS), "replace")
    for chance, damage in ((0.15, True), (0.2, False), (0.1, True)):
        if rng.random() < chance and damage and raw:
            at, n = rng.randrange(len(raw)), rng.randint(0, 6)
            part = rng.choice(
                [b"", b"\0", b'"', b"[", b"}", b"\n", b"\xff", rng.randbytes(3), b"1" * 5000, b"[" * 2000]
            )
            raw = raw[:at] + part + rng.choice([raw[at + n :], b""])
        elif rng.random() < chance:
            raw = rng.choice([gzip.compress, bz2.compress, lambda r: b"PK\3\4" + r, lambda r: b"PAR1" + r + b"PAR1"])(
                raw
            )
    return raw


@pytest.mark.parametrize("part", range(3))
def test_any_records_in_any_container_and_encoding(tmp_path, part):
    rng, worked = random.Random(part), 0
    for _ in range(RANDOM // 3):
        records = [good_record(rng) if rng.random() < 0.5 else any_record(rng) if rng.random() < 0.9 else any_value(rng)
                   for _ in range(rng.randint(0, 4))]  # fmt: skip
        path = tmp_path / f"d{rng.choice(['.json', '.jsonl', '.csv', '.tsv', '.txt', '.parquet', ''])}"
        path.write_bytes(any_file(rng, in_a_container(rng, records)))
        options = {"encoding": rng.choice([None, None, "gb18030", "utf-16", "latin-1"]), "announce": one_line}
        read = rng.choice(
            [read_dialogues, read_preferences, read_questions, lambda paths, **more: list(TextFiles(paths, **more))]
        )
        worked += survives(read_with(read, path, options))
        survives(read_with(read, path, options | {"strict": True}), lines=True)
    assert worked > RANDOM // 3 * 0.08  # the generator also makes what can be read


@pytest.mark.parametrize("part", range(3))
def test_any_text_in_any_encoding(tmp_path, part):
    rng = random.Random(part)
    parts = [
        *TEXTS,
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "\x1b[0m",
        "<|endoftext|>",
        "{",
        '{"text": "a"}',
        "\u3000",
        "é",
        "\ufeff",
        "a b c",
    ]
    for _ in range(RANDOM // 3):
        path = tmp_path / f"d{rng.choice(['.txt', '.md', '.gz', '.jsonl'])}"
        path.write_bytes(any_file(rng, "".join(rng.choices(parts, k=rng.randint(0, 12)))))
        options = {"documents": rng.choice(["file", "line", "blank-line"]), "separator": rng.choice([None, "<|endoftext|>", "a"]),
                   "encoding": rng.choice([None, None, "gb18030", "utf-16"]), "nul": rng.random() < 0.5}  # fmt: skip

        def read(path: Path = path, options: dict = options) -> None:
            files = TextFiles([path], announce=one_line, **options)
            assert list(files) == list(files)

        survives(read)


def read_with(read: Callable, path: Path, options: dict) -> Callable:
    return lambda: read([path], **options)


def one_line(text: str) -> None:
    assert "\n" not in text and text.encode()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    tokenizer = Tokenizer.train(["the theme 玉山玉山"], 262)
    gpt = GPT(GPTConfig(tokenizer.n_vocab, n_ctx=8, n_layer=1, n_head=1, n_embd=2))
    save_run(folder, Run(gpt, tokenizer, metrics=[{"step": 1, "loss": 1.0}]), {"steps": 1})
    return folder


@FUZZ
@given(data=st.data(), name=st.sampled_from(["ranks.tiktoken", "tokenizer.json"]))
def test_tokenizer_files(run, data, name):
    path = run / "tokenizer" / name
    whole = path.read_bytes()
    try:
        path.write_bytes(data.draw(damaged(whole) | st.binary(max_size=40)))
        survives(Tokenizer.load, path.parent)
    finally:
        path.write_bytes(whole)


@FUZZ
@given(data=st.data(), name=st.sampled_from(["model.safetensors", "config.json", "tokenizer/tokenizer.json"]))
def test_run_folders(run, data, name):
    path = run / name
    whole = path.read_bytes()
    try:
        path.write_bytes(
            data.draw(damaged(whole) | st.binary(max_size=40) | VALUES.map(lambda v: json.dumps(v).encode()))
        )
        survives(load_run, run)
    finally:
        path.write_bytes(whole)


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """A small world: reading it is quick."""
    folder = tmp_path_factory.mktemp("world")
    for path in BUILT_IN.glob("*.csv"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / path.name).write_text("".join(lines if path.stem == "phrases" else lines[:12]), encoding="utf-8")
    return folder


@FUZZ
@given(data=st.data(), name=st.sampled_from(["places", "requests", "glossary", "proofreading", "phrases"]))
def test_tables_of_the_world(tables, data, name):
    path = tables / f"{name}.csv"
    whole = path.read_bytes()
    try:
        path.write_bytes(data.draw(damaged(whole) | st.binary(max_size=40)))
        survives(load_world, tables)
    finally:
        path.write_bytes(whole)
