"""What records come in: lists, lines, tables, packed, below a name; and files that hold none, named for what they are."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import random
import sqlite3
import sys
import tarfile
import types
import zipfile

import pytest

from minillm.chat import turn
from minillm.material.records import read_dialogues, read_preferences
from minillm.material.text_files import TextFiles
from minillm.plumbing.files import InputError
from minillm.plumbing.tensors import write_tensors
from tests.support.work import steps_of

TWO = [{"prompt": "山?", "completion": "玉山"}, {"prompt": "b", "completion": 'c, "d"\ne'}]
EXPECTED = [turn("山?", "玉山"), turn("b", 'c, "d"\ne')]
LINES = "".join(json.dumps(r) + "\n" for r in TWO).encode()
CSV = 'prompt,completion\n山?,玉山\nb,"c, ""d""\ne"\n'


def read(tmp_path, name: str, content: bytes | str, **options):
    path, told = tmp_path / name, []
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = read_dialogues([path], announce=told.append, **options)
    return found, [line.replace(str(path), name) for line in told]


CONTAINERS = {
    "list.jsonl": json.dumps(TWO),
    "lines.json": LINES,
    "lines.txt": LINES,
    "commas.json": ",\n".join(map(json.dumps, TWO)),
    "lists on lines.jsonl": "\n".join(json.dumps([r]) for r in TWO),
    "a.ndjson": LINES,
    "a.jsonl.gz": gzip.compress(LINES),
    "a.json.gz": gzip.compress(json.dumps(TWO, indent=1).encode()),
    "packed without a suffix": gzip.compress(LINES),
    "a.jsonl.bz2": bz2.compress(LINES),
    "a.jsonl.xz": lzma.compress(LINES),
    "data.json": json.dumps({"data": TWO}),
    "train.json": json.dumps({"train": TWO, "test": []}),
    "below.json": json.dumps({"data": {"train": TWO}}, indent=2),
    "rows.json": json.dumps({"features": [], "rows": [{"row_idx": i, "row": r} for i, r in enumerate(TWO)]}),
    "other name.json": json.dumps({"version": "1", "pairs": TWO}),
    "by id.json": json.dumps({"q1": TWO[0], "q2": TWO[1]}),
    "put together.jsonl": "\ufeff".join(["", *(json.dumps(r) + "\n" for r in TWO)]),
    "pandas.json": json.dumps({k: {str(i): r[k] for i, r in enumerate(TWO)} for k in TWO[0]}),
    "split.json": json.dumps({"columns": list(TWO[0]), "index": [0, 1], "data": [list(r.values()) for r in TWO]}),
    "columns.json": json.dumps({k: [r[k] for r in TWO] for k in TWO[0]}),
    "a.csv": CSV,
    "windows.csv": "\ufeff" + CSV.replace("\n", "\r\n").replace("\r\ne", "\ne"),
    "semicolons.csv": CSV.replace("prompt,", "prompt;").replace("山?,", "山?;").replace("b,", "b;"),
    "Names.CSV": CSV.replace("prompt,completion", '"Prompt", Completion'),
    "a.tsv": CSV.replace("prompt,", "prompt\t").replace("山?,", "山?\t").replace("b,", "b\t"),
    "excel.tsv": CSV.replace("prompt,", "prompt\t").replace("山?,", "山?\t").replace("b,", "b\t").encode("utf-16"),
    "table.json": CSV,
    "a.csv.gz": gzip.compress(CSV.encode()),
    "utf-16.jsonl": "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in TWO).encode("utf-16"),
    "utf-32.jsonl": "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in TWO).encode("utf-32"),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same_records_and_nothing_is_said(tmp_path, name):
    assert read(tmp_path, name, CONTAINERS[name], strict=True) == (EXPECTED, [])


def test_records_of_a_part_that_is_not_read_are_named(tmp_path):
    found, told = read(tmp_path, "d.json", json.dumps({"train": TWO, "test": TWO[:1]}))
    assert found == EXPECTED
    assert told == ["d.json: records are read from 'train' only, not the 1 in 'test'"]


def test_a_bad_record_below_a_name_is_named_by_its_number(tmp_path):
    found, told = read(tmp_path, "d.json", json.dumps({"data": [*TWO, {"prompt": "a"}]}))
    assert found == EXPECTED and told[0].startswith("d.json:1: record 3: field 'completion' is missing")


def test_a_folder_is_searched_for_every_container(tmp_path):
    for name in ("a.json", "b.jsonl", "c.csv", "d.tsv", "e.jsonl.gz", "f.ndjson"):
        prompt = json.dumps({"prompt": name, "completion": "x"}).encode()
        table = f"prompt{',' if name == 'c.csv' else chr(9)}completion\n{name}{',' if name == 'c.csv' else chr(9)}x\n"
        raw = gzip.compress(prompt) if name.endswith("gz") else table.encode() if name[-2:] == "sv" else prompt
        (tmp_path / name).write_bytes(raw)
    assert [d[0].content for d in read_dialogues([tmp_path])] == sorted(p.name for p in tmp_path.iterdir())


def test_cells_may_hold_messages_as_json(tmp_path):
    cell = json.dumps([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]).replace('"', '""')
    assert read(tmp_path, "d.csv", f'messages\n"{cell}"\n')[0] == [turn("q", "a")]


@pytest.mark.parametrize(
    ("rows", "line", "what"),
    [
        ("x\n", 3, "1 columns, but 2 names"),
        ("x,y,z\n", 3, "3 columns, but 2 names"),
        (",y\n", 3, "'prompt' is empty"),
        ("x,\n", 3, "'completion' is empty"),
        ('"x"y,z\n', 3, "not a row"),
        ('"x,y\nz,w\n', 3, "never closed"),
        ('\n\n"a\nb",\n', 5, "'completion' is empty"),
    ],
)
def test_a_bad_row_of_a_table_is_left_out_and_named_with_its_line(tmp_path, rows, line, what):
    found, told = read(tmp_path, "d.csv", "prompt,completion\nq,a\n" + rows)
    assert found == [turn("q", "a")]
    assert told[0].startswith(f"d.csv:{line}: ") and what in told[0]


def test_a_table_without_known_columns_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"d\.csv:1: columns 'peru\?', 'lima' are unknown: name them"):
        read(tmp_path, "d.csv", "Peru?,Lima\nGhana?,Accra\n")


# ------------------------------------------------------------------------------------------------ parquet


class FakeParquet:
    """Takes the place of pyarrow.parquet.ParquetFile where pyarrow is not installed."""

    def __init__(self, file):
        self.raw = file.read()
        if not self.raw.endswith(b"PAR1"):
            raise ValueError("Parquet magic bytes not found\nin footer")

    def iter_batches(self, batch_size):
        return [types.SimpleNamespace(to_pylist=lambda: TWO), types.SimpleNamespace(to_pylist=lambda: TWO[:1])]


def test_a_markdown_table_is_read_without_its_rulers_and_spaces(tmp_path):
    found, told = read(tmp_path, "a.md", "| prompt | completion |\n|:---|---:|\n| q | a b |\n|  |  |\n")
    assert found == [turn("q", "a b")] and told == []
    assert read(tmp_path, "b.csv", "prompt,completion\n-,:-\n")[0] == [turn("-", ":-")]


def test_parquet_is_read_by_pyarrow(tmp_path, monkeypatch):
    module = types.ModuleType("pyarrow.parquet")
    module.ParquetFile = FakeParquet
    monkeypatch.setitem(sys.modules, "pyarrow", types.ModuleType("pyarrow"))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", module)
    assert read(tmp_path, "d.parquet", b"PAR1....PAR1") == (EXPECTED + EXPECTED[:1], [])
    with pytest.raises(InputError, match="not a whole Parquet file"):
        read(tmp_path, "d.parquet", b"PAR1....")


def test_parquet_without_pyarrow_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match="pip install pyarrow"):
        read(tmp_path, "d.parquet", b"PAR1....PAR1")


def test_parquet_if_pyarrow_is_installed(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    messages = [[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]]
    parquet.write_table(pyarrow.table({"messages": messages}), tmp_path / "m.parquet")
    parquet.write_table(pyarrow.table({"text": ["one", "two"]}), tmp_path / "t.parquet")
    assert read_dialogues([tmp_path / "m.parquet"]) == [turn("q", "a")]
    assert list(TextFiles([tmp_path / "t.parquet"])) == ["one", "two"]
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "m.parquet").read_bytes()[:-9])
    with pytest.raises(InputError, match="not a whole Parquet file"):
        read_dialogues([tmp_path / "cut.parquet"])


# --------------------------------------------------------------------------------- files that hold no records


def zipped(*names: str) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return raw.getvalue()


def tar() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jsonl"))
    return raw.getvalue()


@pytest.fixture(scope="module")
def other_files(tmp_path_factory) -> dict[str, tuple[bytes, str]]:
    folder = tmp_path_factory.mktemp("other")
    with sqlite3.connect(folder / "d.sqlite") as database:
        database.execute("create table t (a)")
    import torch

    write_tensors(folder / "m.safetensors", {"w": torch.zeros(2)})
    return {
        "zip": (zipped("a.jsonl"), "a ZIP archive: unpack"), "docx": (zipped("word/document.xml"), "Word"),
        "xlsx": (zipped("xl/workbook.xml"), "Excel workbook .*CSV"), "pptx": (zipped("ppt/a.xml"), "PowerPoint"),
        "epub": (zipped("OEBPS/content.opf"), "e-book"), "pt": (zipped("archive/data.pkl"), "PyTorch"),
        "npz": (zipped("a.npy"), "NumPy"), "broken zip": (zipped("a")[:30], "ZIP"), "pdf": (b"%PDF-1.7\n%\xe2", "PDF"),
        "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Office"), "rtf": (b"{\\rtf1 x}", "RTF"),
        "sqlite": ((folder / "d.sqlite").read_bytes(), "SQLite"), "pickle": (pickle.dumps({"a": 1}), "pickle"),
        "safetensors": ((folder / "m.safetensors").read_bytes(), "safetensors"), "gguf": (b"GGUF\3\0\0\0", "GGUF"),
        "npy": (b"\x93NUMPY\1\0", "NumPy"), "tar": (tar(), "tar archive"), "tar.gz": (gzip.compress(tar()), "tar archive"),
        "7z": (b"7z\xbc\xaf\x27\x1c\0", "7z"), "rar": (b"Rar!\x1a\7", "RAR"), "zst": (b"\x28\xb5\x2f\xfd\0", "Zstandard"),
        "arrow": (b"ARROW1\0\0", "Arrow"), "png": (b"\x89PNG\r\n", "picture"), "exe": (b"\x7fELF\2", "program"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
        "cut gz": (gzip.compress(random.Random(0).randbytes(5000))[:-1000], "damaged or cut off"),
        "bad gz": (b"\x1f\x8b" + b"\0" * 30, "damaged or cut off"),
    }  # fmt: skip


KINDS = ("zip,docx,xlsx,pptx,epub,pt,npz,broken zip,pdf,xls,rtf,sqlite,pickle,safetensors,gguf,npy,tar,tar.gz,7z,rar,zst,"
         "arrow,png,exe,lfs,cut gz,bad gz").split(",")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["d.json", "d.txt"])
def test_a_file_that_is_no_text_is_named_for_what_it_is(tmp_path, other_files, kind, name):
    raw, what = other_files[kind]
    (tmp_path / name).write_bytes(raw)
    for reader in (read_dialogues, read_preferences, lambda paths: list(TextFiles(paths))):
        with pytest.raises(InputError, match=what) as error:
            reader([tmp_path / name])
        assert str(error.value).startswith(str(tmp_path / name)) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["<!DOCTYPE html><html>", "\n <?xml version='1.0'?>"])
def test_a_web_page_is_no_records(tmp_path, text):
    with pytest.raises(InputError, match="HTML or XML"):
        read(tmp_path, "d.json", text)


# ------------------------------------------------------------------------------------------- damaged JSON


def test_a_cut_line_is_left_out_and_the_lines_around_it_are_read(tmp_path):
    good = json.dumps(TWO[0])
    for bad in (
        '{"prompt": "a", "compl',
        "word",
        '{"a": [',
        '{"prompt": ' + "[" * 2000,
        '{"n": ' + "1" * 5000 + "}",
        "}",
    ):
        for lines in ([good, bad, good], [bad, good], [good, bad], [good, bad, bad, good]):
            found, told = read(tmp_path, "d.jsonl", "\n".join(lines))
            assert found == EXPECTED[:1] * lines.count(good)
            n = lines.count(bad) if bad[0] in "{[" else 1  # lines without a bracket go with the first of them
            assert told[-1].startswith(f"{n} of {n + len(found)} records left out")
            assert told[0].startswith(f"d.jsonl:{lines.index(bad) + 1}: ")


def test_records_of_several_lines_may_follow_those_of_one(tmp_path):
    text = "\n".join(
        [json.dumps(TWO[0]), json.dumps(TWO[1], indent=2), json.dumps(TWO[0]), json.dumps(TWO[1], indent=1)]
    )
    assert read(tmp_path, "d.jsonl", text, strict=True)[0] == EXPECTED * 2


@pytest.mark.parametrize("depth", [*range(930, 1010, 3), 100_000])
def test_nesting_of_any_depth_is_one_line(tmp_path, depth):
    nested = "[" * depth + "]" * depth
    for record in (f'{{"prompt": {nested}, "completion": "b"}}', f'{{"prompt": "a", "completion": "b", "x": {nested}}}',
                   '{"a": ' * depth + "1" + "}" * depth):  # fmt: skip
        found, told = read(tmp_path, "d.jsonl", json.dumps(TWO[0]) + "\n" + record)
        assert EXPECTED[0] in found and 1 <= len(told) <= 2


KINDS_OF_WORK = {
    "lines": lambda n: '{"prompt": "a", "completion": "b"}\n' * n,
    "list": lambda n: json.dumps([TWO[0]] * n, indent=1),
    "sequence": lambda n: (json.dumps(TWO[0], indent=1) + "\n") * n,
    "wrapped": lambda n: json.dumps({"data": [TWO[0]] * n}),
    "words": lambda n: "word\n" * n,
    "open brackets": lambda n: json.dumps(TWO[0]) + "\n" + '{"a": [\n' * n,
    "indented open brackets": lambda n: ' {"a": [\n' * n,
    "open, then whole": lambda n: '{"a": [\n' + ' {"b": 1},\n' * n,
    "table": lambda n: "prompt,completion\n" + "a,b\n" * n,
    "open quote": lambda n: 'prompt,completion\na,b\n"' + "a,b\n" * n,
    "many turns": lambda n: json.dumps({"messages": [{"role": r, "content": "x"} for _ in range(n)
                                                             for r in ("user", "assistant")]}),
    "many fields": lambda n: json.dumps(TWO[0] | {f"f{i}": 1 for i in range(n)}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS_OF_WORK)
def test_the_work_of_reading_grows_with_the_file(tmp_path, kind):
    def attempt(n: int) -> None:
        try:
            read(tmp_path, "d.json", KINDS_OF_WORK[kind](n))
        except InputError:
            pass

    small, large = (steps_of(lambda n=n: attempt(n)) for n in (60, 600))
    assert large <= 15 * small
