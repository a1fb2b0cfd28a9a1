"""Files of users: every form is read to the same dialogue, and every fault is named with its line."""

import io
import json
import re
from pathlib import Path

import pytest

from minillm.chat import Message, Preference, turn
from minillm.material.records import (
    dialogue_record,
    preference_record,
    read_dialogues,
    read_preferences,
    write_records,
)
from minillm.material.text_files import TextFiles
from minillm.plumbing.files import InputError

GOOD = '{"prompt": "山?", "completion": "玉山"}'
GOOD_PREFERENCE = '{"prompt": "a", "chosen": "b", "rejected": "c"}'


@pytest.fixture
def write(tmp_path):
    """Write a file of text or bytes; return its path."""

    def write_file(content, name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def read_documents(paths, how="file") -> list[str]:
    return list(TextFiles(paths, how))


def complaint(read, *arguments) -> str:
    """The one line that says what is wrong."""
    with pytest.raises(InputError) as error:
        read(*arguments)
    message = str(error.value)
    assert "\n" not in message
    return message


# ------------------------------------------------------------------------------------- forms of dialogues

RECORDS = {
    "alpaca": {"instruction": "台湾最高的山?", "input": "", "output": "玉山 ⛰️"},
    "alpaca without input": {"instruction": "台湾最高的山?", "output": "玉山 ⛰️"},
    "alpaca with blank input": {"instruction": "台湾最高的山?", "input": " \n", "output": "玉山 ⛰️"},
    "pair": {"prompt": "台湾最高的山?", "completion": "玉山 ⛰️"},
    "messages": {"messages": [{"role": "user", "content": "台湾最高的山?"},
                              {"role": "assistant", "content": "玉山 ⛰️"}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "台湾最高的山?"}, {"from": "gpt", "value": "玉山 ⛰️"}]},
    "with more fields": {"id": 7, "prompt": "台湾最高的山?", "completion": "玉山 ⛰️", "source": None},
}  # fmt: skip


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("name", RECORDS)
def test_each_form_is_read_to_the_same_messages(write, name, ascii_only):
    path = write(json.dumps(RECORDS[name], ensure_ascii=ascii_only))
    assert read_dialogues([path]) == [turn("台湾最高的山?", "玉山 ⛰️")]


def test_the_input_of_alpaca_follows_the_instruction_on_a_new_line(write):
    path = write(json.dumps({"instruction": "Translate:", "input": "Good morning", "output": "早安"}))
    assert read_dialogues([path]) == [turn("Translate:\nGood morning", "早安")]


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "a"},
                      {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
                      {"role": "assistant", "content": "d"}]},
        {"conversations": [{"from": "system", "value": "S"}, {"from": "human", "value": "a"},
                           {"from": "gpt", "value": "b"}, {"from": "user", "value": "c"},
                           {"from": "assistant", "value": "d"}]},
    ],
)  # fmt: skip
def test_a_longer_dialogue_keeps_its_system_message_and_all_turns(write, record):
    assert read_dialogues([write(json.dumps(record))]) == [[Message("system", "S"), *turn("a", "b"), *turn("c", "d")]]


TWO = [RECORDS["pair"], RECORDS["sharegpt"]]
LAYOUTS = {
    "lines": "\n".join(map(json.dumps, TWO)),
    "lines with a last line end": "".join(json.dumps(r) + "\n" for r in TWO),
    "lines with empty ones between": "\n\n" + "\n \n".join(map(json.dumps, TWO)) + "\n\n\n",
    "a list": json.dumps(TWO),
    "a list, indented": json.dumps(TWO, indent=2),
    "records, indented": "\n".join(json.dumps(r, indent=2) for r in TWO),
    "a list on lines": "[\n" + ",\n".join(map(json.dumps, TWO)) + "\n]\n",
    "one record": json.dumps(TWO[0]),
}


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_lists_and_lines_are_read_alike_with_any_line_end_and_byte_order_mark(write, layout, line_end, prefix):
    path = write(prefix + LAYOUTS[layout].replace("\n", line_end))
    assert read_dialogues([path]) == [turn("台湾最高的山?", "玉山 ⛰️")] * (1 if layout == "one record" else 2)


def test_forms_may_be_mixed_and_files_follow_one_another(write):
    first = write("\n".join(map(json.dumps, RECORDS.values())), "b.jsonl")
    second = write(GOOD, "a.json")
    assert read_dialogues([first, second]) == [turn("台湾最高的山?", "玉山 ⛰️")] * len(RECORDS) + [turn("山?", "玉山")]


def test_line_ends_inside_a_text_stay_and_windows_line_ends_in_it_too(write):
    path = write(json.dumps({"prompt": "a\nb\r\nc", "completion": "d\te\u2028f"}))
    assert read_dialogues([path]) == [turn("a\nb\r\nc", "d\te\u2028f")]


# ----------------------------------------------------------------------------------------- preferences


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "山?", "chosen": "玉山", "rejected": "no"},
        {"instruction": "山?", "chosen": "玉山", "rejected": "no"},
        {"instruction": "山?", "input": "", "chosen": "玉山", "rejected": "no", "output": 3},
    ],
)
def test_preferences_are_read_from_prompts_and_from_alpacas_fields(write, record):
    assert read_preferences([write(json.dumps([record]))]) == [Preference((Message("user", "山?"),), "玉山", "no")]


def test_the_input_of_alpaca_belongs_to_the_prompt_of_a_preference(write):
    path = write(json.dumps({"instruction": "Translate:", "input": "早安", "chosen": "Good morning", "rejected": "?"}))
    (pair,) = read_preferences([path])
    assert pair.prompt == (Message("user", "Translate:\n早安"),)


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "equal"),
        ({"prompt": "a", "chosen": " b\n", "rejected": "b"}, "equal"),
        ({"prompt": "a", "chosen": "b"}, "'rejected' is missing"),
        ({"prompt": "a", "rejected": "b"}, "'chosen' is missing"),
        ({"chosen": "a", "rejected": "b"}, "'prompt' is missing"),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, "'rejected' is empty"),
        ({"prompt": "a", "chosen": None, "rejected": "b"}, "'chosen' is null, not text"),
        ({"prompt": ["a"], "chosen": "c", "rejected": "b"}, "'prompt' is .*, not text"),
        ({"prompt": "a", "completion": "b"}, "'chosen' is missing"),
    ],
)
def test_a_bad_preference_is_named_with_its_line(write, record, what):
    path = write(f"{GOOD_PREFERENCE}\n\n{json.dumps(record)}\n{GOOD_PREFERENCE}\n")
    assert re.fullmatch(re.escape(f"{path}:3: ") + f".*{what}.*", complaint(read_preferences, [path], True))


# ---------------------------------------------------------------------------------------- bad dialogues

BAD = [
    ({"prompt": "a"}, "'completion' is missing"),
    ({"completion": "a"}, "'completion' are unknown"),
    ({"question": "a", "reply": "b"}, "'answer' is missing"),
    ({"q": "a", "a": "b"}, "'q', 'a' are unknown"),
    ({}, "unknown"),
    ({"prompt": 3, "completion": "b"}, "'prompt' is 3, not text"),
    ({"prompt": "a", "completion": None}, "'completion' is null, not text"),
    ({"prompt": "a", "completion": {"text": "b"}}, "'completion' is .*, not text"),
    ({"prompt": "a", "completion": True}, "'completion' is true, not text"),
    ({"prompt": "", "completion": "b"}, "'prompt' is empty"),
    ({"prompt": "a", "completion": " \n\t\u3000"}, "'completion' is empty"),
    ({"instruction": "a", "input": 7, "output": "b"}, "'input' is 7, not text"),
    ({"instruction": "a"}, "'output' is missing"),
    ({"messages": []}, "'messages' must be a list"),
    ({"messages": "hi"}, "'messages' must be a list"),
    ({"messages": ["hi"]}, "'messages' must be a list"),
    ({"conversations": {"from": "human"}}, "'conversations' must be a list"),
    ({"messages": [{"role": "user"}]}, "'content' is missing"),
    ({"messages": [{"content": "a"}]}, "'role' is missing"),
    ({"messages": [{"role": "robot", "content": "a"}]}, "'robot' is unknown"),
    ({"messages": [{"role": "User", "content": "a"}]}, "'User' is unknown"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "turn 2"),
    ({"messages": [{"role": "assistant", "content": "a"}]}, "turn 1"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}, "turn 2"),
    ({"messages": [{"role": "system", "content": "a"}]}, "no turn by the user"),
    ({"messages": [{"role": "user", "content": "a"}]}, "no answer"),
    ({"conversations": [{"from": "human", "value": 1}]}, "'value' is 1, not text"),
    ({"conversations": [{"role": "user", "content": "a"}]}, "no answer"),
    ({"conversations": [{"value": "a"}]}, "'role' is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "what"), BAD)
def test_a_bad_record_is_named_with_its_line_in_json_lines(write, record, what):
    path = write(f"{GOOD}\n\n\n{GOOD}\n{json.dumps(record, ensure_ascii=False)}\n{GOOD}\n")
    assert re.fullmatch(re.escape(f"{path}:5: ") + f".*{what}.*", complaint(read_dialogues, [path], True))


@pytest.mark.parametrize(("record", "what"), BAD[:6])
def test_a_bad_record_is_named_with_its_line_in_an_indented_list(write, record, what):
    text = json.dumps([json.loads(GOOD), record], indent=1).replace("\n", "\r\n")
    path = write(text)
    line = 6  # [, {, prompt, completion, }, -> the sixth
    assert re.fullmatch(re.escape(f"{path}:{line}: ") + f".*{what}.*", complaint(read_dialogues, [path], True))


@pytest.mark.parametrize("value", ["null", "3", '"text"', "[]", "true", "NaN"])
@pytest.mark.parametrize("layout", ["{good}\n{bad}", "[{good},\n{bad}]"])
def test_what_is_no_record_is_named_with_its_line(write, value, layout):
    path = write(layout.format(good=GOOD, bad=value))
    assert complaint(read_dialogues, [path], True).startswith(f"{path}:2: ")


@pytest.mark.parametrize("after", ["", "\n", f"\n{GOOD}\n"])
@pytest.mark.parametrize(
    "half", ['{"prompt": "a", "compl', '{"prompt": "a",', '{"prompt": "a"', '{"prompt":', "{", "word", "}", "{'a': 1}"]
)
def test_half_a_json_line_is_named_with_its_own_line(write, half, after):
    path = write(f"{GOOD}\n{half}{after}")
    assert complaint(read_dialogues, [path], True).startswith(f"{path}:2: not JSON")


@pytest.mark.parametrize("text", ["[", f"[{GOOD}", f"[{GOOD},", f"[\n{GOOD},\n", f'[{GOOD},\n{{"prompt": "a", "com'])
def test_a_list_that_was_cut_off_is_an_error_at_its_last_line(write, text):
    path = write(text)
    assert complaint(read_dialogues, [path]).startswith(f"{path}:{text.count(chr(10)) + 1}: ")


@pytest.mark.parametrize("rest", ["garbage", f"\n[{GOOD}]", f"\n{GOOD}", "]", "{"])
def test_nothing_after_the_end_of_a_list_is_lost_in_silence(write, rest):
    path = write(f"[{GOOD}]{rest}")
    try:
        assert len(read_dialogues([path])) == 2
    except InputError as error:
        assert str(error).startswith(f"{path}:{1 + rest.count(chr(10))}: ")


def test_deep_nesting_and_giant_numbers_are_errors_that_name_the_file(write):
    for text in (GOOD + '\n{"prompt": ' + "[" * 100_000, GOOD + '\n{"prompt": ' + "1" * 5000 + "}"):
        path = write(text)
        assert complaint(read_dialogues, [path], True).startswith(f"{path}:2: ")


@pytest.mark.parametrize("read", [read_dialogues, read_preferences])
@pytest.mark.parametrize("text", ["", " \n\r\n\t", "\ufeff", "[]", "[ \n ]"])
def test_a_file_without_records_is_an_error_that_names_it(write, read, text):
    path = write(text)
    assert complaint(read, [path]).startswith(str(path))


# -------------------------------------------------------------------------------------- bytes of all kinds


@pytest.mark.parametrize("read", [read_documents, read_dialogues, read_preferences])
@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"\xff\xfe{", 1),  # UTF-16
        (b'{"prompt": "a",\n"completion": "b\xe5\xb1"}', 2),  # half a character
        ("好\n\n好".encode() + "好".encode("gb18030"), 3),
        (b"a\r\nb\r\nc\x80", 3),
        (b"a\nb\x00\n", 2),
        (b"\x00", 1),
    ],
)
def test_what_is_no_utf_8_text_is_named_with_its_line(write, read, raw, line):
    path = write(raw)
    assert complaint(read, [path]).startswith(f"{path}:{line}: ")


@pytest.mark.parametrize("read", [read_documents, read_dialogues, read_preferences])
def test_a_missing_file_is_named(tmp_path, read):
    assert complaint(read, [tmp_path / "none.txt"]).startswith(str(tmp_path / "none.txt"))


# ------------------------------------------------------------------------------------------- raw text


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("file", ["one\ntwo 山\n\nthree\n"]),
        ("blank-line", ["one\ntwo 山", "three\n"]),
        ("line", ["one", "two 山", "three"]),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("prefix", ["", "\ufeff"])
def test_a_document_is_a_file_a_paragraph_or_a_line(write, how, expected, line_end, prefix):
    path = write(prefix + "one\ntwo 山\n\nthree\n".replace("\n", line_end), "a.txt")
    assert read_documents([path], how) == expected
    assert read_documents([path, path], how) == expected * 2


@pytest.mark.parametrize("gap", ["\n\n", "\n\n\n", "\n\n\n\n\n", "\n \n", "\n\t\n\n"])
def test_any_number_of_blank_lines_separates_paragraphs(write, gap):
    path = write(f"{gap}one\nmore{gap}two{gap}", "a.txt")
    assert [p.strip() for p in read_documents([path], "blank-line")] == ["one\nmore", "two"]


@pytest.mark.parametrize("text", ["", "\n", " \t\r\n\u3000", "\ufeff"])
@pytest.mark.parametrize("how", ["file", "blank-line", "line"])
def test_an_empty_text_is_an_error_that_names_the_file(write, text, how):
    path = write(text, "a.txt")
    message = complaint(read_documents, [path], how)
    assert message.startswith(str(path)) and "empty" in message


def test_a_folder_is_searched_for_text_in_the_order_of_names(write, tmp_path):
    for name in ("b.txt", "a.md", "deep/er/c.TXT", "no.py", "x.json", "zz"):
        write(name, name)
    assert read_documents([tmp_path]) == ["a.md", "b.txt", "deep/er/c.TXT"]
    assert complaint(read_dialogues, [tmp_path / "deep"]).startswith(str(tmp_path / "deep"))


def test_a_folder_without_text_is_an_error_that_names_it(write, tmp_path):
    write("x", "only/this.json")
    message = complaint(read_documents, [tmp_path / "only"])
    assert message.startswith(str(tmp_path / "only")) and ".txt" in message


def test_a_folder_is_searched_for_records(write, tmp_path):
    for name in ("b.jsonl", "a.json"):
        write(json.dumps({"prompt": name, "completion": "x"}), name)
    write("no", "c.txt")
    assert [d[0].content for d in read_dialogues([tmp_path])] == ["a.json", "b.jsonl"]


def test_a_pattern_finds_files_and_one_that_finds_none_is_an_error(write, tmp_path):
    for name in ("b1.txt", "b2.txt", "c.txt", "sub/b3.txt"):
        write(name, name)
    assert read_documents([tmp_path / "b*.txt"]) == ["b1.txt", "b2.txt"]
    assert read_documents([str(tmp_path / "**" / "b*.txt")]) == ["b1.txt", "b2.txt", "sub/b3.txt"]
    assert "z*.txt" in complaint(read_documents, [tmp_path / "z*.txt"])


def test_a_name_that_looks_like_a_pattern_is_a_file_if_there_is_one(write):
    path = write("text", "a[1].txt")
    write("other", "a1.txt")
    assert read_documents([path]) == ["text"]


@pytest.mark.parametrize("raw", ["one\r\n山\n".encode(), b"\xef\xbb\xbfone\n\xe5\xb1\xb1\n"])
def test_a_dash_is_standard_input(monkeypatch, raw):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert read_documents(["-"]) == ["one\n山\n"]


@pytest.mark.parametrize("raw", [b"\xff", b"", b" \n"])
def test_standard_input_without_text_is_an_error(monkeypatch, raw):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    complaint(read_documents, ["-"])


# ------------------------------------------------------------------------------------------- writing


def test_what_is_written_is_read_back(tmp_path):
    longer = [Message("system", "S\n"), *turn('a "b" \\', "山\n👩‍👩‍👧\u2028"), *turn("c", "d")]
    dialogues = [longer, turn("[END]", "x")]
    pairs = [Preference((Message("user", "q\t山"),), "a\nb", "c")]
    write_records(tmp_path / "d.jsonl", [dialogue_record(d) for d in dialogues])
    write_records(tmp_path / "p.jsonl", [preference_record(p) for p in pairs])
    assert read_dialogues([tmp_path / "d.jsonl"]) == dialogues
    assert read_preferences([tmp_path / "p.jsonl"]) == pairs
    assert (tmp_path / "d.jsonl").read_bytes().count(b"\n") == 2  # one line a record
    assert "山" in (tmp_path / "p.jsonl").read_text(encoding="utf-8")  # readable as it is
