"""The tokenizer: trained as in the textbook, lossless, and closed to control tokens from text."""

import base64
import random
import sys
from collections import Counter

import pytest
import regex
import tiktoken

from minillm import bpe
from minillm.bpe import PATTERN, bpe_steps, train_bpe
from minillm.plumbing.files import InputError
from minillm.tokenizer import SPECIAL_TOKENS, Tokenizer, may_have_long_space
from tests.support.work import steps_of

# Few distinct characters make many ties; Chinese and emoji make characters that share their first bytes.
ALPHABETS = ["a", "ab", "ab ", "abc 1", "aab.\n", "山玉 a", "台湾日本最高的山", "🙂🙃", "é🙂山a ", "ab 中\t!12"]
AWKWARD = [
    "", " ", "\n\n  \t", "a", "USER: What?  AI:", "台湾最高的山是哪座？", "3952 公尺", "🙂🙃👩‍👩‍👧🇹🇼",
    "naïve\u0301 \u200b\ufeff", "\x00\x1c\x85\u2028", "かな カナ 한국어", "\U0010ffff", "...!!! ???", "don't  stop\r\n",
]  # fmt: skip


def random_text(rng: random.Random, alphabet: str, longest: int = 40) -> str:
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, longest)))


def pieces(text: str) -> list[str]:
    return regex.findall(PATTERN, text)


def replaced(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    out: list[int] = []
    for i in ids:
        if out and (out[-1], i) == pair:
            out[-1] = new
        else:
            out.append(i)
    return out


def textbook_bpe(texts: list[str], vocab_size: int) -> list[tuple]:
    """(pair, id, bytes, count) of each merge, all pairs counted anew every time."""
    words = [list(piece.encode()) for text in texts for piece in pieces(text)]
    known, merges = [bytes([b]) for b in range(256)], []
    for new in range(256, vocab_size):
        counts = Counter(pair for word in words for pair in zip(word, word[1:]))
        if not counts:
            break
        pair = max(counts, key=counts.__getitem__)  # the first in the text among the most frequent
        known.append(known[pair[0]] + known[pair[1]])
        merges.append((pair, new, known[new], counts[pair]))
        words = [replaced(word, pair, new) for word in words]
    return merges


# ------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("many", [1, 3, bpe.MANY])
@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_training_gives_the_merges_and_counts_of_the_textbook_algorithm(alphabet, many, monkeypatch):
    rng = random.Random(alphabet)
    monkeypatch.setattr(bpe, "MANY", many)  # places from which NumPy takes over
    for _ in range(50):
        texts = [random_text(rng, alphabet) for _ in range(rng.randint(0, 3))]
        vocab_size = 256 + rng.randint(0, 40)
        merges = [(m.pair, m.id, m.bytes, m.count) for m in train_bpe(texts, vocab_size)]
        assert merges == textbook_bpe(texts, vocab_size), (texts, vocab_size)


def test_the_textbook_example_by_hand():
    assert [(m.bytes, m.count) for m in train_bpe(["aaabdaaabac"], 259)] == [(b"aa", 4), (b"aaa", 2), (b"aaab", 2)]


def test_among_equally_frequent_pairs_the_first_in_the_text_is_merged():
    assert train_bpe(["zy ab", "ab zy"], 257)[0].bytes == b"zy"
    assert train_bpe(["ab", "zy zy ab"], 257)[0].bytes == b"ab"


def test_no_two_merges_spell_the_same_bytes():
    """Between the same two borders the same bytes always merge in the same way, so ranks by bytes lose nothing."""
    rng = random.Random(0)
    for _ in range(200):
        merges = train_bpe([random_text(rng, rng.choice(ALPHABETS), 120)], 400)
        assert len({m.bytes for m in merges}) == len(merges)


def test_training_can_be_stepped_through():
    texts = ["the theme of the thesis 台湾台湾"]
    steps = bpe_steps(texts, 280)
    assert [next(steps) for _ in range(5)] == train_bpe(texts, 280)[:5] == train_bpe(texts, 261)


@pytest.mark.parametrize(("texts", "n_merges"), [([], 0), ([""], 0), (["a b c"], 2), (["ab"], 1), (["1234567"], 0)])
def test_training_stops_early_when_no_pair_is_left(texts, n_merges):
    assert len(train_bpe(texts, 1000)) == n_merges
    assert Tokenizer.train(texts, 1000).n_vocab == 256 + n_merges + 3


def test_a_vocabulary_of_256_is_bytes():
    tokenizer = Tokenizer.train(["the the the"], 256)
    assert tokenizer.encode("the 玉") == list("the 玉".encode())


@pytest.mark.parametrize("vocab_size", [255, 0, -1])
def test_a_vocabulary_smaller_than_the_bytes_is_refused(vocab_size):
    with pytest.raises(ValueError, match="256"):
        train_bpe(["abc"], vocab_size)


# ------------------------------------------------------------------------------------------- encoding


def test_text_is_cut_into_words_characters_digits_punctuation_and_space():
    assert pieces("The 台湾 has 3952 m...  ok") == [
        "The", " ", "台", "湾", " has", " ", "3", "9", "5", "2", " m", "...", " ", " ok",
    ]  # fmt: skip
    assert pieces("高3776公尺。AI:玉山") == [*"高3776公尺。", "AI", ":", "玉", "山"]


@pytest.mark.parametrize("text", ["台湾", "2024", "山山山", "日本12"])
def test_chinese_characters_and_digits_never_merge_with_their_neighbours(text):
    tokenizer = Tokenizer.train([text * 50], 2000)
    assert tokenizer.tokens(tokenizer.encode(text)) == list(text)


def test_all_256_bytes_are_tokens_that_stand_for_themselves(tokenizer):
    assert all(tokenizer.encoding.decode_single_token_bytes(b) == bytes([b]) for b in range(256))


def test_every_text_survives_encoding_and_decoding(tokenizer):
    rng = random.Random(0)
    anything = ["".join(chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)])) for _ in range(9))
                for _ in range(300)]  # fmt: skip
    mixed = [random_text(rng, "".join(ALPHABETS)) for _ in range(100)]
    for text in AWKWARD + anything + mixed:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_any_bytes_survive_as_ids_and_are_shown_leniently_as_text(tokenizer):
    rng = random.Random(1)
    for _ in range(100):
        raw = rng.randbytes(rng.randint(0, 12))
        assert tokenizer.encoding.decode_bytes(list(raw)) == raw
        assert tokenizer.decode(list(raw)) == raw.decode("utf-8", errors="replace")
        lenient = raw.decode("utf-8", errors="replace")
        assert tokenizer.decode(tokenizer.encode(lenient)) == lenient


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_encoding_applies_the_merges_piece_by_piece_in_the_order_they_were_learned(alphabet):
    rng = random.Random(alphabet)
    for _ in range(20):
        texts = [random_text(rng, alphabet, 80)]
        merges, tokenizer = train_bpe(texts, 300), Tokenizer.train(texts, 300)
        text, by_hand = random_text(rng, alphabet), []
        for piece in pieces(text):
            ids = list(piece.encode())
            for m in merges:
                ids = replaced(ids, m.pair, m.id)
            by_hand += ids
        assert tokenizer.encode(text) == by_hand


# ------------------------------------------------------------------------------------- special tokens


@pytest.mark.parametrize("name", SPECIAL_TOKENS)
@pytest.mark.parametrize("around", ["{}", "a{}b", "{}{}", " {} ", "USER: {} AI: 玉山{}", "[{}]"])
def test_typing_a_control_token_gives_its_letters(tokenizer, name, around):
    text = around.replace("{}", name)
    for coder in (tokenizer, Tokenizer.train([text * 20], 400)):
        ids = coder.encode(text)
        assert not {coder.doc, coder.end, coder.pad} & set(ids)
        assert coder.decode(ids) == text


def test_special_tokens_are_the_three_ids_after_all_others(tokenizer):
    n = len(tokenizer.ranks)
    assert (tokenizer.doc, tokenizer.end, tokenizer.pad, tokenizer.n_vocab) == (n, n + 1, n + 2, n + 3)


def test_special_tokens_are_left_out_of_text_unless_asked_for(tokenizer):
    ids = [tokenizer.doc, *tokenizer.encode("玉山"), tokenizer.end, tokenizer.pad]
    assert tokenizer.decode(ids) == "玉山"
    assert tokenizer.decode(ids, special=True) == "[DOC]玉山[END][PAD]"


def test_tokens_shows_each_id_and_the_bytes_of_half_characters(tokenizer):
    assert tokenizer.tokens([*"玉".encode(), ord("a"), *tokenizer.encode(" capital"), tokenizer.end]) == [
        "<e7>", "<8e>", "<89>", "a", " capital", "[END]",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ streaming


def test_a_character_of_several_tokens_is_shown_when_it_is_whole():
    stream = Tokenizer.train([], 256).stream()
    shown = [stream.push(byte) for byte in "a玉🙂".encode()]
    assert shown == ["a", "", "", "玉", "", "", "", "🙂"]
    assert stream.finish() == ""


@pytest.mark.parametrize("vocab_size", [256, 270, 2000])
def test_streamed_text_has_no_half_characters_and_joins_to_the_text(vocab_size):
    tokenizer = Tokenizer.train(AWKWARD, vocab_size)
    for text in AWKWARD:
        stream = tokenizer.stream()
        shown = [stream.push(i) for i in tokenizer.encode(text)]
        assert "".join(shown) == text
        assert all("\ufffd" not in part for part in shown)
        assert stream.finish() == ""


def test_streaming_random_ids_joins_to_the_whole_decoding(tokenizer):
    rng = random.Random(2)
    for _ in range(300):
        choices = rng.choice([range(tokenizer.n_vocab), range(128, 256), [0xE7, 0x8E, 0x89, 65, tokenizer.end]])
        ids = [rng.choice(choices) for _ in range(rng.randint(0, 15))]
        stream = tokenizer.stream()
        assert "".join(map(stream.push, ids)) + stream.finish() == tokenizer.decode(ids)


# ------------------------------------------------------------------------------------- save and load


def test_a_saved_tokenizer_gives_the_same_ids(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "new" / "folder")
    loaded = Tokenizer.load(tmp_path / "new" / "folder")
    assert (loaded.doc, loaded.end, loaded.pad) == (tokenizer.doc, tokenizer.end, tokenizer.pad)
    for text in AWKWARD:
        assert loaded.encode(text) == tokenizer.encode(text)


def test_the_split_pattern_is_saved_too(tokenizer, tmp_path):
    letters = Tokenizer.from_ranks(tokenizer.ranks, pattern=r"[\s\S]")  # every character a piece: no word is a token
    letters.save(tmp_path)
    assert Tokenizer.load(tmp_path).encode(" capital") == list(b" capital") != tokenizer.encode(" capital")


def test_the_file_of_ranks_is_in_the_format_of_tiktoken(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    lines = (tmp_path / "ranks.tiktoken").read_text().splitlines()
    assert {base64.b64decode(token): int(rank) for token, rank in map(str.split, lines)} == tokenizer.ranks


@pytest.mark.parametrize("line", ["", "YQ==", "YQ== x", "YQ== 1 2", "?!?! 7", "YQ= 7", "玉 7"])
@pytest.mark.parametrize("number", [1, 100, 256])
def test_a_bad_line_is_named_by_file_and_line(tmp_path, line, number):
    Tokenizer.train([], 256).save(tmp_path)
    path = tmp_path / "ranks.tiktoken"
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"ranks\.tiktoken:{number}: "):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("bad", [{b"a": 98}, {b"a": None}, {b"ab": 257}, {b"ab": -1}])
def test_ranks_with_gaps_doubles_or_missing_bytes_are_refused(tmp_path, bad):
    tokenizer = Tokenizer.train([], 256)
    tokenizer.ranks = {t: r for t, r in (tokenizer.ranks | bad).items() if r is not None}
    tokenizer.save(tmp_path)
    with pytest.raises(InputError, match=r"ranks\.tiktoken: "):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("{", r"tokenizer\.json:1: "),
        ('{\n"pattern":\n}', r"tokenizer\.json:3: "),
        ("[]", r"tokenizer\.json: "),
        ("{}", r"tokenizer\.json: "),
        ('{"pattern": "("}', r"tokenizer\.json: "),
        ('{"pattern": 7}', r"tokenizer\.json: "),
        (None, r"tokenizer\.json: "),
    ],
)
def test_a_bad_description_is_named(tmp_path, about, message):
    Tokenizer.train([], 256).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.unlink()
    if about is not None:
        path.write_text(about)
    with pytest.raises(InputError, match=message):
        Tokenizer.load(tmp_path)


def test_a_folder_without_ranks_is_named(tmp_path):
    with pytest.raises(InputError, match=r"ranks\.tiktoken: no such file"):
        Tokenizer.load(tmp_path)


# ----------------------------------------------------------------------------------------------- GPT-2


def test_gpt2_offline_is_an_input_error(monkeypatch):
    def unreachable(name):
        raise ConnectionError("no network")

    monkeypatch.setattr(tiktoken, "get_encoding", unreachable)
    with pytest.raises(InputError, match="gpt2"):
        Tokenizer.gpt2()


def test_gpt2_takes_ranks_and_pattern_from_tiktoken(monkeypatch):
    ranks = {bytes([255 - b]): b for b in range(256)} | {b"1 2": 256}  # GPT-2's bytes are in another order too
    known = tiktoken.Encoding("gpt2", pat_str=r"\S \S|.", mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 257})
    monkeypatch.setattr(tiktoken, "get_encoding", {"gpt2": known}.__getitem__)
    tokenizer = Tokenizer.gpt2()
    assert tokenizer.encode("1 2a") == known.encode("1 2a") == [256, 255 - ord("a")]
    assert (tokenizer.doc, tokenizer.end, tokenizer.pad) == (257, 258, 259)


def test_gpt2_if_it_is_cached(monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("tests do not use the network")

    monkeypatch.setattr("requests.get", offline)
    try:
        tokenizer = Tokenizer.gpt2()
    except InputError:
        pytest.skip("tiktoken has no copy of GPT-2's ranks in its cache")
    assert tokenizer.encode("Hello world") == [15496, 995]
    assert tokenizer.doc == 50_256


# ------------------------------------------------------------------------------------- awkward lengths


@pytest.mark.parametrize("kind", ["letters", "dna", "one letter", "spaces", "words", "pairs"])
def test_training_on_words_of_any_length_takes_time_in_proportion(kind):
    rng = random.Random(kind)

    def text(n: int) -> str:
        alphabets = {"letters": "abcdefghijklmnopqrstuvwxyz", "dna": "ACGT", "one letter": "a", "spaces": " ",
                     "words": "abc ", "pairs": "ab"}  # fmt: skip
        return "".join(rng.choices(alphabets[kind], k=n))

    small, large = (steps_of(lambda t=text(n): train_bpe([t], 400)) for n in (600, 6000))
    assert large <= 15 * small


def test_long_words_are_merged_as_in_the_textbook():
    rng = random.Random(5)
    for alphabet in ("ab", "ACGT", "aab", "éa", "abcdefghijklmnopqrstuvwxyz"):
        texts = ["".join(rng.choices(alphabet, k=400)), "".join(rng.choices(alphabet, k=90))]
        merges = [(m.pair, m.id, m.bytes, m.count) for m in train_bpe(texts, 360)]
        assert merges == textbook_bpe(texts, 360)


@pytest.mark.parametrize("run", [" ", "\n", "\t", "\u3000", " \n", "\n \t"])
@pytest.mark.parametrize("after", ["", "word", "山", "!", "\x1c", " x"])
def test_a_million_white_space_characters_in_a_row_are_encoded(run, after):
    tokenizer = Tokenizer.train(["a   b      c\n\n\n\n \n\t\t\t  d"] * 9, 280)
    text = "word" + run * (1_200_000 // len(run)) + after
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("pattern", [PATTERN, r"[\s\S]", r" ?\w+| ?[^\s\w]+|\s+(?!\S)|\s+"])
def test_a_run_encoded_by_itself_has_the_tokens_it_always_had(monkeypatch, pattern):
    monkeypatch.setattr("minillm.tokenizer.SPACES", 3)
    monkeypatch.setattr("minillm.tokenizer.LONG_SPACE", regex.compile(r"(?<!\s)\s{3,}"))
    rng = random.Random(pattern)
    trained = Tokenizer.train(["a   b      c\n\n\n\n \n\t\t\t  d \u3000\u3000山"] * 9, 290)
    tokenizer = Tokenizer.from_ranks(trained.ranks, pattern)
    parts = [" ", "  ", "    ", "\n", "\t", "\u3000", "\x1c", "x", "山", "!", "3", "\x85", "\u2028"]
    for _ in range(3000):
        text = "".join(rng.choices(parts, k=rng.randint(0, 14)))
        assert tokenizer.encode(text) == tokenizer.encoding.encode_ordinary(text), repr(text)


def test_a_batch_is_encoded_as_its_texts_are():
    tokenizer = Tokenizer.train(AWKWARD, 300)
    texts = [*AWKWARD, "[END]", "half a character: \ud83d", " " * 12_000, "a" + "\n" * 30_000 + "b" * 30_000]
    assert [ids.tolist() for ids in tokenizer.encode_batch(texts)] == [tokenizer.encode(text) for text in texts]


def test_no_long_run_of_white_space_is_overlooked(monkeypatch):
    monkeypatch.setattr("minillm.tokenizer.SPACES", 6)
    white = [chr(c) for c in range(sys.maxunicode + 1) if regex.match(r"\s", chr(c))]
    rng = random.Random(0)
    for _ in range(2000):
        parts = ["".join(rng.choices(kind, k=rng.randint(0, 9))) for kind in ("ab", white) * 3]
        text = "".join(parts)
        assert may_have_long_space(text) or not regex.search(r"\s{6}", text), repr(text)
    assert not may_have_long_space("ab cd  ef gh")
