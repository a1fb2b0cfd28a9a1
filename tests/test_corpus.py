"""A text that is read in pieces gives the same tokens as one that is read whole."""

import random
import re

import numpy as np
import pytest

from minillm.material.corpus import TokenFile, id_type, survey, token_file, token_stream
from minillm.material.text_files import TextFiles, cut_documents
from minillm.tokenizer import Tokenizer

WORDS = ["the", " ", "  ", "\n", "\n\n", " \n \n", "\t", "玉山", "3952", "👩‍👩‍👧", "é", "!?", "\u3000", "a", "b"]
SEPARATORS = {"file": None, "line": re.compile("\n"), "blank-line": re.compile(r"\n\s*\n")}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the the  the\n\n\nthe !?!? 玉山玉山 3952 \n \n  ab"] * 3, 300)


def random_text(seed: int) -> str:
    return "".join(random.Random(seed).choices(WORDS, k=random.Random(seed).choice([1, 5, 60, 200])))


def in_chunks(text: str, seed: int) -> list[str]:
    rng, chunks = random.Random(seed), []
    while text:
        n = rng.choice([1, 2, 7, 30])
        chunks.append(text[:n])
        text = text[n:]
    return chunks


@pytest.mark.parametrize("how", SEPARATORS)
@pytest.mark.parametrize("seed", range(60))
def test_chunks_of_any_size_give_the_documents_of_the_whole_text(how, seed):
    text, separator = random_text(seed), SEPARATORS[how]
    whole = [part for part in (separator.split(text) if separator else [text]) if part.strip()]
    documents = [""]
    for piece, ends in cut_documents(in_chunks(text, seed), separator):
        documents[-1] += piece
        if ends:
            documents.append("")
    assert documents.pop() == ""  # every document came to its end
    assert documents == whole


@pytest.mark.parametrize("seed", range(60))
def test_pieces_of_a_long_document_have_the_tokens_of_the_whole(tokenizer, seed):
    text = "玉 " + random_text(seed) + "the"
    parts = list(cut_documents(in_chunks(text, seed), None, most=12))
    assert "".join(part for part, _ in parts) == text
    if all(part[-1:].strip() and after[:1] in " \n" for (part, _), (after, _) in zip(parts, parts[1:])):
        assert [i for part, _ in parts for i in tokenizer.encode(part)] == tokenizer.encode(text)
    if len(text) > 100:
        assert len(parts) > 1


@pytest.mark.parametrize("how", SEPARATORS)
def test_files_and_strings_give_the_same_stream_and_survey(tokenizer, tmp_path, how):
    for i in range(5):
        (tmp_path / f"{i}.txt").write_text("begin " + random_text(i + 100), encoding="utf-8", newline="")
    files = TextFiles([tmp_path], how)
    documents = list(files)
    assert documents == list(files)  # they can be gone through again
    assert survey(files) == survey(documents)
    assert token_stream(files, tokenizer).tolist() == token_stream(documents, tokenizer).tolist()


def test_a_survey_knows_where_documents_end():
    assert survey(["ab", "c"]) != survey(["a", "bc"])
    assert survey(["ab", "c"]).sha256 != survey(["abc"]).sha256


@pytest.mark.parametrize(("n_vocab", "dtype"), [(259, np.uint16), (65_536, np.uint16), (65_537, np.uint32)])
def test_ids_take_two_bytes_where_they_fit(n_vocab, dtype):
    assert id_type(n_vocab) == dtype


def test_a_token_file_equals_the_stream_in_memory_in_every_part(tokenizer, tmp_path):
    documents = [random_text(i) for i in range(20)]
    stream = token_stream(documents, tokenizer)
    file = token_file(documents, tokenizer, survey(documents).sha256, tmp_path / "tokens")
    assert isinstance(file, TokenFile) and len(file) == len(stream)
    rng = random.Random(0)
    for _ in range(50):
        a, b = (rng.randrange(-len(stream), len(stream) + 9) for _ in range(2))
        assert np.asarray(file[a:b]).tolist() == stream[a:b].tolist()
        assert np.asarray(file[5:][:7], np.int64).tolist() == stream[5:][:7].tolist()


def test_a_token_file_is_used_again_only_for_the_same_text_and_when_whole(tokenizer, tmp_path):
    documents, other = ["one two"], ["three four five"]
    path = tmp_path / "tokens.bin"
    token_file(documents, tokenizer, survey(documents).sha256, tmp_path)
    before = path.stat().st_mtime_ns
    token_file(documents, tokenizer, survey(documents).sha256, tmp_path)
    assert path.stat().st_mtime_ns == before
    path.write_bytes(path.read_bytes()[:-2])  # cut off
    for text in (documents, other):
        file = token_file(text, tokenizer, survey(text).sha256, tmp_path)
        assert np.asarray(file).tolist() == token_stream(text, tokenizer).tolist()


@pytest.mark.parametrize("name", ["tokens.bin", "tokens.json"])
def test_a_damaged_token_file_is_written_anew(tokenizer, tmp_path, name):
    documents = [random_text(i) for i in range(5)]
    token_file(documents, tokenizer, survey(documents).sha256, tmp_path)
    whole = (tmp_path / name).read_bytes()
    rng = random.Random(0)
    for _ in range(20):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        (tmp_path / name).write_bytes(damaged)
        file = token_file(documents, tokenizer, survey(documents).sha256, tmp_path)
        assert np.asarray(file).tolist() == token_stream(documents, tokenizer).tolist()
