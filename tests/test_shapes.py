"""Records of every shape that users have: what their fields mean, and that none is dropped in silence."""

import json

import pytest

from minillm.chat import Message, Preference, encode_dialogue, turn
from minillm.material.records import dialogue_record, preference_record, read_dialogues, read_preferences, write_records
from minillm.plumbing.files import InputError

Q, A, BAD = "台湾最高的山?", "玉山 ⛰️", "no"


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def bot(text: str | None, **more) -> dict:
    return {"role": "assistant", "content": text, **more}


def system(text: str) -> dict:
    return {"role": "system", "content": text}


def human(text: str) -> dict:
    return {"from": "human", "value": text}


def gpt(text: str) -> dict:
    return {"from": "gpt", "value": text}


@pytest.fixture
def read(tmp_path):
    """Read records; return what was read and the lines that were told."""

    def read_records(reader, *records, strict=False):
        path, told = tmp_path / "d.jsonl", []
        path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
        found = reader([path], strict, announce=told.append)
        return found, [line.replace(f"{path}", "d.jsonl") for line in told]

    return read_records


# --------------------------------------------------------------------------------------------- dialogues

ONE_TURN = {
    "conversations with role and content": {"conversations": [user(Q), bot(A)]},
    "messages with from and value": {"messages": [human(Q), gpt(A)]},
    "text parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": Q}]},
                                {"role": "assistant", "content": [{"type": "text", "text": A}]}]},
    "strings as parts": {"messages": [{"role": "user", "content": [Q]}, bot(A)]},
    "lists in prompt and completion": {"prompt": [user(Q)], "completion": [bot(A)]},
    "a list in the prompt only": {"prompt": [user(Q)], "completion": A},
    "a bare list": [user(Q), bot(A)],
    "a bare list of from and value": [human(Q), gpt(A)],
    "Dolly": {"instruction": Q, "context": "", "response": A, "category": "open_qa"},
    "Firefly": {"kind": "QA", "input": Q, "target": A},
    "input and output": {"input": Q, "output": A},
    "question and answer": {"question": Q, "answer": A},
    "query and response": {"query": Q, "response": A},
    "prompt and response": {"prompt": Q, "response": A},
    "instruction and answer": {"instruction": Q, "answer": A},
    "null fields": {"messages": None, "prompt": Q, "completion": A, "system": None, "history": None, "label": None},
    "Alpaca with null input": {"instruction": Q, "input": None, "output": A},
    "blank system and no history": {"instruction": Q, "output": A, "system": " ", "history": []},
    "human and assistant in one": {"conversation_id": 3, "conversation": [{"human": Q, "assistant": A}]},
    "KTO, good": {"prompt": Q, "completion": A, "label": True},
    "KTO as messages": {"prompt": [user(Q)], "completion": [bot(A)], "label": True},
    "UltraChat": {"prompt": Q, "prompt_id": "x", "messages": [user(Q), bot(A)]},
    "roles of other programs": [{"role": "human", "content": Q}, {"role": "model", "content": A}],
    "a transcript as prompt": {"prompt": f"\n\nHuman: {Q}\n\nAssistant:", "completion": A},
    "weight 1": {"messages": [user(Q), bot(A, weight=1)]},
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_TURN)
def test_every_shape_is_read_to_the_same_dialogue_and_nothing_is_said(read, name):
    assert read(read_dialogues, ONE_TURN[name], strict=True) == ([turn(Q, A)], [])


@pytest.mark.parametrize(
    ("record", "messages"),
    [
        ({"instruction": "q", "input": "i", "output": "a", "system": "s", "history": [["q0", "a0"], ["q1", "a1"]]},
         [Message("system", "s"), *turn("q0", "a0"), *turn("q1", "a1"), *turn("q\ni", "a")]),
        ({"instruction": "q", "output": "a", "history": [user("q0"), bot("a0")]}, turn("q0", "a0") + turn("q", "a")),
        ({"system_prompt": "s", "question": "q", "response": "a"}, [Message("system", "s"), *turn("q", "a")]),
        ({"system": "s", "conversations": [human("q"), gpt("a")]}, [Message("system", "s"), *turn("q", "a")]),
        ({"system": "s", "messages": [system("t"), user("q"), bot("a")]}, [Message("system", "s\nt"), *turn("q", "a")]),
        ({"system": "s", "messages": [system("s"), user("q"), bot("a")]}, [Message("system", "s"), *turn("q", "a")]),
        ({"messages": [{"role": "developer", "content": "s"}, user("q"), bot("a")]},
         [Message("system", "s"), *turn("q", "a")]),
        ({"instruction": "q", "context": "c", "response": "a"}, turn("q\nc", "a")),
        ({"prompt": "\n\nHuman: q\n\nAssistant: m\n\nHuman: r\n\nAssistant:", "completion": "a"},
         turn("q", "m") + turn("r", "a")),
    ],
)  # fmt: skip
def test_system_messages_history_and_context_are_used(read, record, messages):
    assert read(read_dialogues, record, strict=True) == ([messages], [])


def test_tools_speak_as_text_and_it_is_said(read):
    sharegpt = {"conversations": [human("q"), {"from": "function_call", "value": "{}"},
                                  {"from": "observation", "value": "r"}, gpt("a")]}  # fmt: skip
    calls = [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
    openai = {"messages": [user("q"), bot(None, tool_calls=calls), {"role": "tool", "tool_call_id": "1", "content": "r"},
                           {"role": "tool", "content": "s"}, bot("a")]}  # fmt: skip
    (first, second), told = read(read_dialogues, sharegpt, openai)
    assert first == turn("q", "{}") + turn("r", "a")
    assert second == turn("q", json.dumps(calls)) + turn("r\ns", "a")
    assert told == ["d.jsonl: turns of tools are read as text (2 times)"]


@pytest.mark.parametrize("mark", [{"weight": 0}, {"weight": 0.0}, {"train": False}, {"loss": False}, {"trainable": 0}])
def test_an_answer_of_weight_0_is_context_and_not_learned(read, tokenizer, mark):
    record = {"messages": [user("q"), bot("Paris", **mark), user("r"), bot("Lima", weight=1)]}
    ((*messages,),), told = read(read_dialogues, record)
    assert told == [] and [m.learn for m in messages] == [True, False, True, True]
    plain = encode_dialogue(turn("q", "Paris") + turn("r", "Lima"), tokenizer)
    dialogue = encode_dialogue(messages, tokenizer)
    assert dialogue.ids == plain.ids
    learned = [i for i, m in zip(dialogue.ids, dialogue.mask, strict=True) if m]
    assert tokenizer.decode(learned, special=True) == " Lima[END]"
    assert sum(plain.mask) - sum(dialogue.mask) == len(tokenizer.encode(" Paris")) + 1


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({"prompt": "q", "completion": "b", "label": False}, "'label' is false"),
        ({"prompt": "q", "completion": "b", "label": "false"}, "'label' is \"false\""),
        ({"prompt": [user("q")], "completion": [bot("b")], "label": False}, "'label' is false"),
        ({"prompt": "q", "completion": "b", "weight": 0}, "'weight' is 0"),
        ({"messages": [user("q"), bot("b", weight=0)]}, "all answers have weight 0"),
    ],
)
def test_what_is_marked_as_bad_is_not_learned_and_it_is_said(read, record, what):
    found, told = read(read_dialogues, {"prompt": "q", "completion": "a"}, record, record, strict=True)
    assert found == [turn("q", "a")]
    assert len(told) == 1 and told[0].startswith(f"d.jsonl: {what}") and told[0].endswith("left out (2 times)")
    with pytest.raises(InputError, match=what):
        read(read_dialogues, record)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"rating": 5}, "field 'rating' is not used"),
        ({"tools": [{"name": "f"}]}, "field 'tools' is not used"),
        ({"images": ["a.png"]}, "field 'images' is not used"),
        ({"label": "sports"}, "field 'label' is not used"),
        ({"chosen": "x"}, "field 'chosen' is not used"),
        ({"weight": 0.5}, "field 'weight' is not used"),
    ],
)
def test_a_field_without_a_use_is_named_once_with_a_count(read, more, word):
    record = {"prompt": "q", "completion": "a", "id": 3, "source": "web"}
    found, told = read(read_dialogues, record, record | more, record | more, record | dict.fromkeys(more))
    assert len(found) == 4 and told == [f"d.jsonl: {word} (2 times)"]


def test_a_field_of_a_message_without_a_use_is_named(read):
    _, told = read(read_dialogues, {"messages": [user("q"), bot("a", reasoning_content="hm", id=3)]})
    assert told == ["d.jsonl: field 'reasoning_content' is not used (of a message) (1 time)"]


def test_end_marks_of_other_programs_in_an_answer_are_named(read):
    _, told = read(read_dialogues, {"prompt": "q", "completion": "a</s>"})
    assert len(told) == 1 and "'</s>' is learned as letters" in told[0]


@pytest.mark.parametrize(
    ("prompt", "completion", "says"),
    [("q", "a[END]", "'[END]' is learned as letters"), ("USER: q AI:", "a", "'USER: … AI:' is learned as letters"),
     (" USER: q AI: a USER: r AI:", "b", "'USER: … AI:'")],
)  # fmt: skip
def test_what_the_template_writes_is_named_where_it_was_typed(read, prompt, completion, says):
    _, told = read(read_dialogues, {"prompt": prompt, "completion": completion})
    assert len(told) == 1 and says in told[0]
    _, told = read(read_dialogues, {"prompt": "USER: is a word", "completion": "AI: too"})
    assert told == []


WRONG = {
    "two users": ({"messages": [user("a"), user("b"), bot("c")]}, "turn 2"),
    "no turns": ({"conversations": []}, "must be a list"),
    "the answer first": ({"conversations": [gpt("a"), human("b"), gpt("c")]}, "turn 1"),
    "a null answer": ({"messages": [user("a"), bot(None)]}, "'content' is null"),
    "a picture": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, bot("a")]}, "'image_url'"),
    "a number in parts": ({"messages": [{"role": "user", "content": [3]}, bot("a")]}, "'3'"),
    "a bad history": ({"instruction": "q", "output": "a", "history": [["q"]]}, "'history' must be"),
    "a history of text": ({"instruction": "q", "output": "a", "history": "q"}, "'history' is"),
    "a blank history": ({"instruction": "q", "output": "a", "history": [["q", ""]]}, "'history' must be"),
    "a system that is a list": ({"prompt": "q", "completion": "a", "system": ["s"]}, "'system' is a list"),
    "raw text": ({"text": "a"}, "pretrain"),
    "a preference": ({"prompt": "q", "chosen": "a", "rejected": "b"}, "prefer"),
    "a preference of lists": ({"chosen": [user("q"), bot("a")], "rejected": [user("q"), bot("b")]}, "prefer"),
    "too long": ({"prompt": "q", "completion": "x" * 4_000_001}, "4,000,002 characters"),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_bad_record_among_others_is_left_out_counted_and_named(read, name):
    record, what = WRONG[name]
    good = {"prompt": "q", "completion": "a"}
    found, told = read(read_dialogues, good, record, good)
    assert found == [turn("q", "a")] * 2
    assert len(told) == 2 and told[0].startswith("d.jsonl:2: ") and what in told[0]
    assert told[1] == "1 of 3 records left out (2 used); --strict refuses them"
    for records in ([good, record], [record]):
        with pytest.raises(InputError, match=f":{len(records)}: .*") as error:
            read(read_dialogues, *records, strict=True)
        assert what in str(error.value)
    with pytest.raises(InputError, match=":1: ") as error:  # nothing is left
        read(read_dialogues, record)
    assert what in str(error.value) and "\n" not in str(error.value)


def test_the_first_few_bad_records_are_named_and_the_rest_counted_but_strict_names_all(read):
    bad, good = {"prompt": "q", "completion": ""}, {"prompt": "q", "completion": "a"}
    _, told = read(read_dialogues, *[bad] * 30, good)
    assert len(told) == 6 and told[-1].startswith("30 of 31 records left out")
    with pytest.raises(InputError) as error:
        read(read_dialogues, *[bad] * 30, good, strict=True)
    assert [line.split(":")[1] for line in str(error.value).split("\n")] == [str(n + 1) for n in range(30)]
    with pytest.raises(InputError, match=r"none of 30 records can be used"):
        read(read_dialogues, *[bad] * 30)


# ------------------------------------------------------------------------------------------- preferences

WHOLE = {"chosen": [user(Q), bot(A)], "rejected": [user(Q), bot(BAD)]}
PREFERENCES = {
    "texts": {"prompt": Q, "chosen": A, "rejected": BAD},
    "lists with a prompt": {"prompt": [user(Q)], "chosen": [bot(A)], "rejected": [bot(BAD)]},
    "lists without a prompt": WHOLE,
    "UltraFeedback": {"prompt": Q, "prompt_id": "1", **WHOLE},
    "UltraFeedback with messages": {"prompt": Q, "messages": WHOLE["chosen"], **WHOLE},
    "a list, a text": {"prompt": [user(Q)], "chosen": A, "rejected": [bot(BAD)]},
    "one message each": {"prompt": Q, "chosen": bot(A), "rejected": bot(BAD)},
    "ShareGPT": {"conversations": [human(Q)], "chosen": gpt(A), "rejected": gpt(BAD)},
    "ShareGPT, texts": {"conversations": [human(Q)], "chosen": A, "rejected": BAD},
    "messages": {"messages": [user(Q)], "chosen": A, "rejected": BAD},
    "HH": {"chosen": f"\n\nHuman: {Q}\n\nAssistant: {A}", "rejected": f"\n\nHuman: {Q}\n\nAssistant: {BAD}"},
    "HH with a prompt": {"prompt": f"\n\nHuman: {Q}\n\nAssistant:", "chosen": A, "rejected": BAD},
    "OpenAI": {"input": {"messages": [user(Q)]}, "preferred_output": [bot(A)], "non_preferred_output": [bot(BAD)]},
    "question": {"question": Q, "chosen": A, "rejected": BAD},
}


@pytest.mark.parametrize("name", PREFERENCES)
def test_every_shape_is_read_to_the_same_preference(read, name):
    expected = Preference((Message("user", Q),), A, BAD)
    assert read(read_preferences, PREFERENCES[name], strict=True) == ([expected], [])


@pytest.mark.parametrize(
    "record",
    [
        {"chosen": [system("s"), user("q"), bot("m"), user("r"), bot("a")],
         "rejected": [system("s"), user("q"), bot("m"), user("r"), bot("b")]},
        {"prompt": [system("s"), user("q"), bot("m"), user("r")], "chosen": [bot("a")], "rejected": "b"},
        {"system": "s", "chosen": "\n\nHuman: q\n\nAssistant: m\n\nHuman: r\n\nAssistant: a",
         "rejected": "\n\nHuman: q\n\nAssistant: m\n\nHuman: r\n\nAssistant: b"},
        {"system": "s", "history": [["q", "m"]], "instruction": "r", "input": "", "chosen": "a", "rejected": "b"},
        {"system": "s", "conversations": [human("q"), gpt("m"), human("r")], "chosen": gpt("a"), "rejected": gpt("b")},
    ],
)  # fmt: skip
def test_a_longer_conversation_is_the_prompt(read, record):
    prompt = (Message("system", "s"), *turn("q", "m"), Message("user", "r"))
    assert read(read_preferences, record, strict=True) == ([Preference(prompt, "a", "b")], [])


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({"chosen": [user("q"), bot("a")], "rejected": [user("q"), bot("a")]}, "equal"),
        ({"chosen": [user("q"), bot("a")], "rejected": [user("z"), bot("b")]}, "'prompt' is missing"),
        ({"chosen": [user("q"), bot("a"), user("r"), bot("c")], "rejected": [user("q"), bot("b"), user("r"), bot("d")]},
         "one answer each"),
        ({"prompt": "q", "completion": "a", "label": True}, "KTO"),
        ({"prompt": "q", "response_0": "a", "response_1": "b"}, "'chosen' is missing"),
        ({"prompt": [user("q"), bot("a")], "chosen": "a", "rejected": "b"}, "turn 3"),
        ({"prompt": "q", "chosen": ["a"], "rejected": ["b"]}, "'chosen' must be a list of"),
        ([user("q"), bot("a")], "no record"),
    ],
)  # fmt: skip
def test_a_bad_preference_is_left_out_and_named(read, record, what):
    found, told = read(read_preferences, {"prompt": "q", "chosen": "a", "rejected": "b"}, record)
    assert len(found) == 1 and len(told) == 2 and told[0].startswith("d.jsonl:2: ") and what in told[0]


def test_scores_are_named_as_not_used(read):
    _, told = read(read_preferences, {"prompt": Q, **WHOLE, "score_chosen": 8, "score_rejected": 2})
    assert told == ["d.jsonl: field 'score_chosen' is not used (1 time)",
                    "d.jsonl: field 'score_rejected' is not used (1 time)"]  # fmt: skip


def test_long_prompts_and_weights_are_written_so_that_they_are_read_back(tmp_path):
    dialogue = [Message("user", "q"), Message("assistant", "m", learn=False), *turn("r", "a")]
    pair = Preference((Message("system", "s"), *turn("q", "m"), Message("user", "r")), "a", "b")
    write_records(tmp_path / "d.jsonl", [dialogue_record(dialogue)])
    write_records(tmp_path / "p.jsonl", [preference_record(pair)])
    assert read_dialogues([tmp_path / "d.jsonl"], strict=True) == [dialogue]
    assert read_preferences([tmp_path / "p.jsonl"], strict=True) == [pair]


def test_halves_of_characters_become_marks_that_can_be_encoded(read):
    ((question, answer),), _ = read(read_dialogues, {"prompt": "\ud83d q", "completion": "a \ud83d\ude00"})
    assert (question.content, answer.content) == ("\ufffd q", "a 😀")
