"""Cleaning raw text: what is tidied, what must stay, and which documents count as the same."""

import random
import unicodedata

import numpy as np
import pytest

from minillm.material import cleaning
from minillm.material.cleaning import clean, deduplicate, jaccard, minhash, ngrams
from minillm.material.text_files import TextFiles

# ------------------------------------------------------------------------------------------- clean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),  # line ends of Windows and old Macs
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("a \n \t \n \n  b", "a\n\nb"),  # lines of white space are empty lines
        ("one  two\t\tthree \t four", "one two three four"),
        ("a\u00a0b\u3000\u3000c", "a b c"),  # no-break and ideographic spaces
        ("  \n padded \n\n", "padded"),
        ("nul\x00 bell\x07 escape\x1b[0m delete\x7f c1\x9b", "nul bell escape[0m delete c1"),
        ("\ufeffbyte\u200border\u2060mark", "byteordermark"),
        ("cafe\u0301", "caf\u00e9"),  # composed (NFC)
        ("ﬁ ① Ａ 。", "ﬁ ① Ａ 。"),  # but not NFKC: full-width and ligatures stay
        ("台湾最高的山，是玉山。", "台湾最高的山，是玉山。"),
        ("👩‍👩‍👧 👍🏽 🏳️‍🌈 🇹🇼", "👩‍👩‍👧 👍🏽 🏳️‍🌈 🇹🇼"),  # joiners, skin tones, variation selectors and flags stay
        ("नमस्ते क्‍ष", "नमस्ते क्‍ष"),
        ("", ""),
        (" \r\n\t\u3000\u200b\x00", ""),
    ],
)
def test_clean_tidies_white_space_and_drops_what_cannot_be_seen(text, expected):
    assert clean(text) == expected


AWKWARD = [*"ab山é \t\n\r,", "\r\n", "\x00", "\x1f", "\x85", "\u00a0", "\u3000", "\u200b", "\u200d", "\ufeff", "\u2003",
           "\u2028", "\u0301", "\u0327", "\u1100", "\u1161", "👩", "\ufe0f"]  # fmt: skip


def test_what_is_clean_stays_as_it_is():
    rng = random.Random(0)
    for _ in range(2000):
        once = clean("".join(rng.choices(AWKWARD, k=rng.randint(1, 12))))
        assert clean(once) == once
        assert unicodedata.is_normalized("NFC", once)
        assert once == once.strip() and "\n\n\n" not in once and "  " not in once and "\r" not in once


@pytest.mark.parametrize("between", ["\x00", "\u200b", "\ufeff"])
def test_removing_what_cannot_be_seen_joins_what_it_kept_apart(between):
    assert clean(f"e{between}\u0301") == "\u00e9"


# ------------------------------------------------------------------------------ n-grams and similarity


def test_ngrams_are_all_runs_of_characters_with_case_and_space_folded():
    assert ngrams("abcabc", 3) == {"abc", "bca", "cab"}
    assert ngrams("A  b\nC", 3) == {"a b", " b ", "b c"}
    assert ngrams("台湾的山", 2) == {"台湾", "湾的", "的山"}
    assert ngrams("山") == {"山"}  # shorter than n: the whole text
    assert ngrams("") == {""}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("abc", "abc", 1.0), ("abc", "xyz", 0.0), ("abc", "bcd", 0.5), ("abcd", "ab", 0.5), ("a", "", 0.0), ("", "", 1.0),
     ("台湾玉山", "台湾", 0.5)],
)  # fmt: skip
def test_jaccard_is_intersection_over_union(a, b, expected):
    assert jaccard(set(a), set(b)) == jaccard(set(b), set(a)) == expected


@pytest.mark.parametrize("size", [20, 200, 2000])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 0.9, 1.0])
def test_the_share_of_equal_minima_estimates_the_jaccard_similarity(share, size):
    errors = []
    for seed in range(5):
        rng = random.Random(seed)
        names = [f"{seed}-{rng.random()}" for _ in range(2 * size)]
        common = round(share * size)
        a, b = set(names[:size]), set(names[size - common : 2 * size - common])
        errors.append((minhash(a) == minhash(b)).mean() - jaccard(a, b))
    assert max(map(abs, errors)) < 0.2
    assert abs(sum(errors) / 5) < 0.1  # and it errs to neither side


def test_the_hash_functions_differ_in_which_element_is_smallest():
    elements = [f"word {i}" for i in range(50)]
    alone = np.stack([minhash({e}) for e in elements])  # (50, 64)
    assert len(set(alone.argmin(axis=0))) > 20
    assert np.array_equal(minhash(set(elements)), alone.min(axis=0))


def test_minhash_depends_on_the_set_alone():
    assert np.array_equal(minhash({"a", "山", ""}), minhash({"", "山", "a"}))
    assert minhash({"a"}).shape == (64,)


# ---------------------------------------------------------------------------------------- deduplicate

ENGLISH = "The capital of France is Paris, and the river that flows through it is called the Seine. " * 3
CHINESE = "台湾最高的山是玉山，法国的首都是巴黎，日本最高的山是富士山，流经巴黎的河是塞纳河。这些都是地理知识。"
OTHER = "Bread is made of flour, water, salt and yeast; it rises for some hours before it is baked."


@pytest.mark.parametrize("document", [ENGLISH, CHINESE, "x", "山", "👩‍👩‍👧"])
def test_exact_copies_are_removed_and_the_first_stays(document):
    assert deduplicate([document, OTHER, document, document]) == ([document, OTHER], 2)


def test_copies_that_differ_in_white_space_or_case_only_are_removed():
    assert deduplicate(["a  b\n", "a b", " a b"]) == (["a  b\n"], 2)
    assert deduplicate([ENGLISH, ENGLISH.upper()]) == ([ENGLISH], 1)


@pytest.mark.parametrize("document", [ENGLISH, CHINESE])
def test_near_copies_are_removed(document):
    near = [document + "!", document.replace("Paris", "paris"), document.replace("山是", "山為", 1), document[1:]]
    assert all(jaccard(ngrams(document), ngrams(n)) >= 0.8 for n in near)
    assert deduplicate([document, *near]) == ([document], 4)


def words(rng: random.Random, n: int) -> list[str]:
    return ["".join(rng.choices("abcdefghijklmnop", k=7)) for _ in range(n)]


def test_a_document_of_which_a_twentieth_was_changed_is_always_found():
    missed = 0
    for seed in range(40):
        rng = random.Random(seed)
        first = words(rng, 60)
        second = list(first)
        for i in rng.sample(range(60), 3):
            second[i] = words(rng, 1)[0]
        assert jaccard(ngrams(" ".join(first)), ngrams(" ".join(second))) > 0.8
        missed += deduplicate([" ".join(first), " ".join(second)])[1] == 0
    assert missed == 0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (ENGLISH, OTHER),
        (CHINESE, ENGLISH),
        ("The capital of France is Paris.", "The capital of Japan is Tokyo."),
        ("法国的首都是巴黎。", "日本的首都是东京。"),
        ("1", "2"),
        ("山", "山山"),
    ],
)
def test_documents_that_differ_are_kept_in_order(a, b):
    assert deduplicate([a, b]) == ([a, b], 0)
    assert deduplicate([b, a]) == ([b, a], 0)


def test_the_threshold_decides_what_is_near():
    a, b = "abcdefghijklmnopqrst", "abcdefghijklmnopqrst" + "uvwx"  # 16 n-grams, all among the 20 of the other
    assert deduplicate([a, b], threshold=0.8) == ([a], 1)
    assert deduplicate([a, b], threshold=0.81) == ([a, b], 0)


def test_the_kept_documents_are_those_that_no_earlier_kept_one_resembles():
    rng = random.Random(1)
    documents = []
    for _ in range(30):
        text = " ".join(words(rng, 40))
        documents += [text, OTHER, text + " z"]
    kept, removed = deduplicate(documents)
    assert kept == [documents[0], OTHER, *documents[3::3]]
    assert removed == len(documents) - len(kept)


def test_nothing_in_nothing_out():
    assert deduplicate([]) == ([], 0)
    assert deduplicate(["", " ", "\n"]) == ([""], 2)


def test_documents_may_come_from_files(tmp_path):
    for name, text in (("a.txt", ENGLISH), ("b.txt", OTHER), ("c.txt", ENGLISH + "!")):
        (tmp_path / name).write_text(text)
    assert deduplicate(TextFiles([tmp_path])) == ([ENGLISH, OTHER], 1)


def alike(n: int, seed: int) -> list[str]:
    """Short lines that are alike without being near duplicates."""
    rng = random.Random(seed)
    places = ["Norway", "Peru", "Japan", "Ghana", "France", "Chile", "Kenya", "Laos"]
    return [f"The capital of {rng.choice(places)} is the city of {words(rng, 1)[0]}, line {i}" for i in range(n)]


def test_the_work_grows_with_the_documents_even_where_all_are_alike(monkeypatch):
    compared = []
    exact = cleaning.jaccard
    monkeypatch.setattr(cleaning, "jaccard", lambda a, b: compared.append(1) or exact(a, b))
    for n in (150, 1500):
        compared.clear()
        deduplicate(alike(n, n))
        assert len(compared) <= 30 * n
    buckets = cleaning.Buckets()
    most = []
    for i, line in enumerate(alike(1500, 0)):
        signature = minhash(ngrams(line))
        most.append(len(buckets.neighbours(signature)))
        buckets.add(signature, i)
    assert max(most[750:]) < 1.5 * max(most[:750])


def test_copies_are_found_among_very_many_documents_that_are_alike():
    lines = alike(2000, 1)
    rng = random.Random(2)
    copies = [rng.choice(lines) for _ in range(100)]
    kept, removed = deduplicate(lines + [c + "." for c in copies] + [c.upper() for c in copies])
    assert removed >= 195 and kept[:500] == lines[:500]
