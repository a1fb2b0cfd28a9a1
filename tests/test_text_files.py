"""Raw text as users have it: in other encodings, packed, as JSON lines, among files that are no text."""

import bz2
import gzip
import io
import json
import os
import re
import sys

import pytest

from minillm.material import cleaning, corpus
from minillm.material.encodings import likely_encoding
from minillm.material.sources import shown
from minillm.material.text_files import TextFiles
from minillm.plumbing.files import InputError, read_json, write_json
from minillm.plumbing.tensors import read_tensors, write_tensors
from minillm.tokenizer import Tokenizer
from tests.support.work import steps_of

CHINESE = "台湾最高的山是哪座？我们都知道，这个国家的人是从大陆来的。"
TRADITIONAL = "台灣最高的山是哪座？我們都知道，這個國家的人是從大陸來的。"
JAPANESE = "これは日本語のテキストです。この山はとても高いです。"
KOREAN = "이것은 한국어 텍스트입니다. 산이 있습니다. 우리는 그것을 보았다."
RUSSIAN = "Это русский текст о горах и реках, который мы читаем."
FRENCH = "Où est la forêt ? Près de Genève, déjà à l'été : ça y est, le garçon l'a trouvée."
GERMAN = "Schöne Grüße aus München, wo die Straßen größer sind."


def read(tmp_path, content: bytes | str, name: str = "a.txt", **options) -> tuple[list[str], list[str]]:
    path, told = tmp_path / name, []
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(TextFiles([path], announce=told.append, **options)), [t.replace(str(path), name) for t in told]


def complaint(tmp_path, content: bytes | str, name: str = "a.txt", **options) -> str:
    with pytest.raises(InputError) as error:
        read(tmp_path, content, name, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# --------------------------------------------------------------------------------------------- encodings

ENCODINGS = [
    (CHINESE, "gb18030"), (TRADITIONAL, "big5"), (JAPANESE, "shift_jis"), (JAPANESE, "euc_jp"), (KOREAN, "euc_kr"),
    (RUSSIAN, "cp1251"), (RUSSIAN, "koi8_r"), (FRENCH, "cp1252"), (GERMAN, "cp1252"), (CHINESE, "utf-16-le"),
    (CHINESE, "utf-16-be"), ("Plain English text.", "utf-16-le"), ("Plain English text.", "utf-16-be"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), ENCODINGS)
@pytest.mark.parametrize("before", ["", 'A "quote": a\n' * 3])
def test_another_encoding_is_named_and_read_when_it_is_given(tmp_path, text, kind, before):
    raw = (before + text).encode(kind)
    assert f"--encoding {kind}" in complaint(tmp_path, raw, "a.txt")
    assert read(tmp_path, raw, "b.txt", encoding=kind)[0] == [before + text]


@pytest.mark.parametrize("kind", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("encoding", [None, "gb18030"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, kind, encoding):
    assert read(tmp_path, f"{CHINESE}\r\nb".encode(kind), encoding=encoding) == ([f"{CHINESE}\nb"], [])


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (CHINESE.encode() * 9 + b"\xff", "byte 0xff"),
        (CHINESE.encode()[:-1], "cut off"),
        (b"\xff\xfea\0b", "UTF-16 .*cut off"),
        (bytes(range(128, 200)), "byte 0x80"),
    ],
)
def test_damaged_text_is_not_taken_for_another_encoding(tmp_path, raw, says):
    line = complaint(tmp_path, raw)
    assert "looks like" not in line
    assert re.search(says, line), line


@pytest.mark.parametrize("name", ["klingon", "base64", "rot13", "a\0b", "hex"])
def test_what_is_no_encoding_is_refused(tmp_path, name):
    assert "unknown" in complaint(tmp_path, "text", encoding=name)


def test_text_without_a_known_look_has_no_likely_encoding():
    assert likely_encoding(b"\xb7" * 50) is None
    assert likely_encoding(b"") is None


def test_nul_characters_are_refused_unless_the_text_is_cleaned(tmp_path):
    assert "binary" in complaint(tmp_path, b"a\0b")
    documents, told = read(tmp_path, b"a\0b\x1b", nul=True)
    assert documents == ["a\0b\x1b"] and told == []
    assert cleaning.clean(documents[0]) == "ab"


def test_control_characters_and_signs_of_a_wrong_encoding_are_counted(tmp_path):
    _, told = read(tmp_path, "a\x1b[31m \x08 caf\ufffd \x0c\t\x85")
    assert told == ["a.txt: control characters are learned as they are; --clean drops them (2 times)",
                    "a.txt: the replacement mark \ufffd shows that the text was once decoded wrongly (1 time)"]  # fmt: skip


# -------------------------------------------------------------------------------------------- JSON lines


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "one"}\n{"text": "\\u4e8c\\ntwo"}\n'),
        ("a.txt", '{"text": "one"}\n{"text": "\\u4e8c\\ntwo"}\n'),
        ("a.json", '[\n {"text": "one"},\n {"text": "二\\ntwo"}\n]'),
        ("a.txt", '[{"text": "one"},{"text": "二\\ntwo"}]'),
        ("a.json", '["one", "二\\ntwo"]'),
        ("a.json", '{"data": [{"text": "one"}, {"text": "二\\ntwo"}]}'),
        ("a.jsonl", '{"content": "one", "url": "x"}\n{"content": "二\\ntwo", "url": "y"}\n'),
        ("a.csv", 'id,text\n1,one\n2,"二\ntwo"\n'),
        ("a.tsv", 'text\tid\none\t1\n"二\ntwo"\t2\n'),
        ("a.jsonl.gz", gzip.compress('{"text": "one"}\n{"text": "二\\ntwo"}\n'.encode(), mtime=0)),
        ("a.ndjson", '{"text": "one"}\n{"text": "二\\ntwo"}\n'.encode("utf-16")),
    ],
)
def test_a_document_per_record_wherever_records_are(tmp_path, name, content):
    assert read(tmp_path, content, name, strict=True) == (["one", "二\ntwo"], [])
    assert read(tmp_path, content, name, documents="line")[0] == ["one", "二", "two"]


def test_records_without_text_are_left_out_counted_and_named(tmp_path):
    lines = [
        '{"text": "one", "score": 3}',
        '{"text": ""}',
        '{"nope": 1}',
        '{"text": null}',
        '{"text": 3}',
        "3",
        "{",
        "",
    ]
    documents, told = read(tmp_path, "\n".join(lines), "a.jsonl")
    assert documents == ["one"]
    assert [t.split(":")[1] for t in told[:5]] == ["2", "3", "4", "5", "6"]
    assert told[5:] == ["6 of 7 documents left out (1 used); --strict refuses them",
                        "a.jsonl: field 'score' is not used (1 time)"]  # fmt: skip
    with pytest.raises(InputError) as error:
        read(tmp_path, "\n".join(lines), "a.jsonl", strict=True)
    assert len(str(error.value).split("\n")) == 6


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt"])
@pytest.mark.parametrize(
    "record", [{"instruction": "a", "output": "b"}, {"messages": [{"role": "user", "content": "a"}]}]
)
def test_dialogues_are_no_raw_text_and_the_command_for_them_is_named(tmp_path, name, record):
    for content in (json.dumps(record) + "\n", json.dumps([record, record])):
        assert "sft --pairs" in complaint(tmp_path, content, name)


@pytest.mark.parametrize("text", ['{"a": 1}\nis what JSON looks like.', "[Scene 1]\nEnter a king.", "{ a poem }", "[1] a\n",
                                  '"quoted"\n', "a,b\n1,2\n", "{\n"])  # fmt: skip
def test_text_that_only_begins_like_json_or_a_table_is_text(tmp_path, text):
    assert read(tmp_path, text) == ([text], [])


def test_a_long_record_is_cut_into_pieces(tmp_path):
    text = "word " * 700_000
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}) + '\n{"text": "b"}\n')
    pieces = list(TextFiles([tmp_path / "a.jsonl"]).pieces())
    assert [ends for _, ends in pieces] == [False] * (len(pieces) - 2) + [True, True] and len(pieces) > 3
    assert "".join(t for t, _ in pieces[:-1]) == text


# ---------------------------------------------------------------------------------------------- documents


@pytest.mark.parametrize("mark", ["<|endoftext|>", "</s>", "<eos>", "<|im_end|>"])
def test_an_end_mark_in_the_text_is_counted_and_a_separator_splits_there(tmp_path, mark):
    text = f"one{mark}two\n{mark}\n{mark}three"
    documents, told = read(tmp_path, text)
    assert documents == [text]
    assert told == [f"a.txt: {mark} is learned as letters; --separator '{mark}' splits documents there (3 times)"]
    assert read(tmp_path, text, separator=mark) == (["one", "two\n", "three"], [])


@pytest.mark.parametrize(
    ("separator", "how", "expected"),
    [
        ("\\n---\\n", "file", ["one\ntwo", "three\n"]),
        ("\n---\n", "line", ["one", "two", "three"]),
        ("one", "file", ["\ntwo\n---\nthree\n"]),
        (".*", "file", ["one\ntwo\n---\nthree\n"]),
    ],
)
def test_a_separator_is_plain_text_with_line_ends(tmp_path, separator, how, expected):
    assert read(tmp_path, "one\ntwo\n---\nthree\n", separator=separator, documents=how)[0] == expected


def test_an_empty_separator_is_refused(tmp_path):
    assert "separator" in complaint(tmp_path, "a", separator="")


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_separator_may_be_cut_by_the_end_of_a_chunk(monkeypatch, tmp_path, cut):
    monkeypatch.setattr("minillm.material.sources.CHUNK", cut)
    assert read(tmp_path, "one <|end of|> two<|end of|><|end of|>three", separator="<|end of|>")[0] == [
        "one ", " two", "three",
    ]  # fmt: skip


def test_an_empty_file_among_others_is_left_out_counted_and_named(tmp_path):
    for name, text in (("a.md", "one"), ("b.md", ""), ("c.txt", " \n"), ("d.txt", "two")):
        (tmp_path / name).write_text(text)
    told: list[str] = []
    files = TextFiles([tmp_path], announce=told.append)
    assert list(files) == ["one", "two"]
    assert told == [f"{tmp_path / name}: the file is empty: put some text into it" for name in ("b.md", "c.txt")] + [
        "2 of 4 documents left out (2 used); --strict refuses them"]  # fmt: skip
    assert list(files) == ["one", "two"] and len(told) == 3  # told once
    with pytest.raises(InputError, match=r"b\.md.*empty.*\n.*c\.txt.*empty"):
        list(TextFiles([tmp_path], strict=True))


def test_nothing_is_told_by_other_processes_than_the_first(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert read(tmp_path, "a</s>") == (["a</s>"], [])


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints/a-checkpoint.txt", ".a.txt", "__MACOSX/a.txt", "x/._a.txt",
                                    ".git/x.md", "~$a.txt"])  # fmt: skip
def test_hidden_files_are_not_read_as_documents_and_it_is_said(tmp_path, hidden):
    for name in (hidden, "a.txt", "picture.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    told: list[str] = []
    assert list(TextFiles([tmp_path / "in"], announce=told.append)) == ["a.txt"]
    assert told == [f"{tmp_path / 'in'}: 1 hidden file in the folder not read",
                    f"{tmp_path / 'in'}: 1 other file in the folder not read"]  # fmt: skip
    assert list(TextFiles([tmp_path / "in" / hidden])) == [hidden]  # named, it is meant


def test_a_folder_of_records_only_is_read_as_such(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"text": "two"}\n'))
    assert list(TextFiles([tmp_path])) == ["one", "two"]
    (tmp_path / "c.txt.bz2").write_bytes(bz2.compress(b"three"))
    assert list(TextFiles([tmp_path])) == ["three"]


@pytest.mark.parametrize("stdin", [None, io.TextIOWrapper(io.BytesIO(b""))])
def test_a_closed_standard_input_is_one_line(monkeypatch, stdin):
    if stdin is not None:
        stdin.close()
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(InputError, match="standard input: it is closed"):
        TextFiles(["-"])


def test_standard_input_may_be_packed_and_hold_records(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b'{"text": "one"}\n'))))
    files = TextFiles(["-"])
    assert list(files) == list(files) == ["one"]


# -------------------------------------------------------------------------------- names that are not UTF-8


@pytest.fixture
def gbk_name(tmp_path):
    name = os.fsencode(tmp_path) + "/张三.txt".encode("gbk")
    try:
        with open(name, "w") as file:
            file.write("one</s>")
    except OSError:
        pytest.skip("this file system has no such names")
    return tmp_path / os.fsdecode("张三.txt".encode("gbk"))


def test_a_name_that_is_not_utf_8_is_read_hashed_and_shown(gbk_name):
    told: list[str] = []
    files = TextFiles([gbk_name.parent], announce=told.append)
    assert corpus.survey(files).documents == 1 and files.paths == [gbk_name]
    assert told and all(line.encode() for line in told) and "\\xd5\\xc5" in told[0]
    assert shown(gbk_name).encode().endswith(b"\\xd5\\xc5\\xc8\\xfd.txt")
    gbk_name.write_text("")
    with pytest.raises(InputError) as error:
        list(files)
    assert str(error.value).encode()


def test_a_name_that_is_not_utf_8_is_kept_by_json_and_holds_tensors(gbk_name):
    import torch

    write_json(gbk_name.with_suffix(".json"), {"base": str(gbk_name)})
    assert read_json(gbk_name.with_suffix(".json"), dict) == {"base": str(gbk_name)}
    write_tensors(gbk_name.with_suffix(".safetensors"), {"w": torch.arange(3)})
    assert read_tensors(gbk_name.with_suffix(".safetensors"))["w"].tolist() == [0, 1, 2]


# ---------------------------------------------------------------------------------------------------- work

TEXTS = {
    "lines": ("a b\n", {"documents": "line"}),
    "paragraphs": ("x\n \n \n", {"documents": "blank-line"}),
    "separators": ("aab", {"separator": "ab"}),
    "records": ('{"text": "one two"}\n', {}),
    "spaces": (" " * 40, {}),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_the_work_of_reading_grows_with_the_text(tmp_path, kind):
    unit, options = TEXTS[kind]
    small, large = (steps_of(lambda n=n: read(tmp_path, "x" + unit * n if unit[0] != "{" else unit * n, **options))
                    for n in (60, 600))  # fmt: skip
    assert large <= 15 * small


def test_the_tokenizer_trained_on_files_is_that_of_their_texts(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("the theme of the thesis " * 9)
    trained = corpus.train_tokenizer(TextFiles([tmp_path]), 300, 216)
    assert trained.sha256() == Tokenizer.train(["the theme of the thesis " * 9], 300).sha256()
    assert "no more pairs" in capsys.readouterr().out
