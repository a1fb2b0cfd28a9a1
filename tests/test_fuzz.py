"""Whatever the bytes: a reader works or raises InputError in one line."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.material.records import read_dialogues, read_preferences
from minillm.material.text_files import TextFiles
from minillm.plumbing.files import InputError
from minillm.run_folder import Run, load_run, save_run
from minillm.tokenizer import Tokenizer
from minillm.world.tables import BUILT_IN, load_world

EXAMPLES = 2000  # for each reader: 10,000 together
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


def survives(read, *arguments) -> None:
    """The reader works, or says in one line what is wrong."""
    try:
        read(*arguments)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) > 10


@FUZZ
@given(content=FILES, read=st.sampled_from([read_dialogues, read_preferences]))
def test_records(tmp_path, content, read):
    (tmp_path / "data.json").write_bytes(content)
    survives(read, [tmp_path / "data.json"])


@FUZZ
@given(content=st.binary(max_size=80) | st.text(max_size=80).map(lambda t: t.encode("utf-8", "surrogatepass")),
       how=st.sampled_from(["file", "line", "blank-line"]))  # fmt: skip
def test_text(tmp_path, content, how):
    (tmp_path / "text.txt").write_bytes(content)
    survives(lambda: list(TextFiles([tmp_path / "text.txt"], how)))


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
