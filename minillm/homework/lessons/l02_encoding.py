"""Exercises of lesson 2, second part: encoding with trained merges, and half a character."""

from collections.abc import Callable, Iterable

import numpy as np

from minillm.homework.exercise import Check, Exercise, Misconception

ENCODING = {"en": "Encoding new text", "zh": "给新文本编码"}
STREAM = {"en": "Half a character", "zh": "半个汉字"}


# ------------------------------------------------------------------------------------------------- encode


def parts_of(piece: bytes, ranks: dict[bytes, int], choose: Callable | None = None, most: int = 10**6) -> list[bytes]:
    """Join neighbours, the candidate (rank, place) that `choose` takes, at most `most` times."""
    parts = [piece[i : i + 1] for i in range(len(piece))]
    for _ in range(most):
        joined = [a + b for a, b in zip(parts, parts[1:])]
        candidates = [(ranks[token], i) for i, token in enumerate(joined) if token in ranks]
        if not candidates:
            break
        place = (choose or min)(candidates)[1]
        parts[place : place + 2] = [joined[place]]
    return parts


def encode(piece: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Ids of a piece, the lowest rank joined first."""
    return [ranks[part] for part in parts_of(piece, ranks)]


def longest_first(piece, ranks):
    ids, i = [], 0
    while i < len(piece):
        end = next(e for e in range(len(piece), i, -1) if piece[i:e] in ranks)
        ids.append(ranks[piece[i:end]])
        i = end
    return ids


def in_text_order(piece, ranks):
    """Joins to the left whatever fits, in one walk through the text."""
    parts: list[bytes] = []
    for i in range(len(piece)):
        one = piece[i : i + 1]
        if parts and parts[-1] + one in ranks:
            parts[-1] += one
        else:
            parts.append(one)
    return [ranks[part] for part in parts]


def byte_values(piece, ranks):
    """Ids of single bytes are their values."""
    return [part[0] if len(part) == 1 else ranks[part] for part in parts_of(piece, ranks)]


def make_ranks(tokens: list[bytes], order: Iterable[int] = range(256)) -> dict[bytes, int]:
    """All bytes in the given order, then the tokens."""
    return {token: i for i, token in enumerate([*(bytes([b]) for b in order), *tokens])}


def four_bytes(rng: np.random.Generator) -> tuple[bytes, ...]:
    return tuple(str(x).encode() for x in rng.permutation(list("wxyz")))


def one_token(rng):
    a, b, c, d = four_bytes(rng)
    yield b"", make_ranks([a + b])
    yield a + b, make_ranks([a + b])
    yield c + a + b + d + a + b, make_ranks([d + c, a + b])
    yield a + b + c + d, make_ranks([c + d, a + b])
    yield a + b + c + d, make_ranks([a + b, c + d, a + b + c + d])
    yield b" It's\n", make_ranks([b" I", b"t'", b"t's", b" It's", b"'s"])


def order_matters(rng):
    a, b, c, d = four_bytes(rng)
    yield a + b + c, make_ranks([b + c, a + b])  # a bc
    yield a + b + c, make_ranks([a + b, b + c])  # ab c
    yield a + b + c + d, make_ranks([b + c, b + c + d, a + b + c + d, a + b])  # abcd, by way of bc and bcd
    yield a + b + c + d, make_ranks([b + c, a + b, a + b + c + d, c + d])  # a bc d, abcd is never formed
    yield a + b + c + d + a, make_ranks([c + d, a + b, b + c, a + b + c])  # ab cd a


def repeats(rng):
    a, b, _, _ = four_bytes(rng)
    yield a * 3, make_ranks([a * 2])
    yield b + a * 5, make_ranks([a * 2, b + a])
    yield a * 7, make_ranks([a * 2, a * 4])


def chinese_and_other_ids(rng):
    """Bytes whose ids are not their values, as in GPT-2's table."""
    order = [int(x) for x in rng.permutation(256)]
    mountain = "玉山".encode()
    yield mountain[:3], make_ranks([mountain[:2]], order)
    yield mountain, make_ranks([mountain[:2], mountain[3:5], mountain[3:6]], order)
    yield "é👍".encode(), make_ranks(["é".encode(), "👍".encode()[:2]], order)
    yield bytes([order[0], 0, order[0], 255]), make_ranks([bytes([order[0], 0])], order)
    ranks = make_ranks([mountain[:2], mountain[:3], mountain[3:5]], order)
    yield mountain, {token: 7 * i + 1000 for token, i in ranks.items()}  # other tokens in between
    yield mountain, {token: (i + 3) % 259 for token, i in ranks.items()}  # the bytes behind the merged tokens


ENCODE = Exercise(
    "encode", ENCODING, encode,
    (
        Check("joins", 2, {"en": "Single bytes, neighbours joined while their bytes together are a token.",
                           "zh": "从单个字节开始；相邻的两个连起来是一个词元，就合并。"}, one_token),
        Check("order-of-the-merges", 2, {"en": "The token with the lowest id was learned first and is joined first.",
                                         "zh": "id 最小的词元最先学到，也要最先合并。"}, order_matters),
        Check("repeated-bytes", 1, {"en": "The same token at several places: the leftmost first.",
                                    "zh": "同一个词元出现在几个地方：先合并最左边的。"}, repeats),
        Check("other-byte-ids", 1, {"en": "The id of a byte is ranks[its bytes], which need not be its value.",
                                    "zh": "字节的 id 是 ranks[该字节]，不一定等于它的数值。"}, chinese_and_other_ids),
    ),
    (
        Misconception("byte-values-as-ids",
                      {"en": "You use the value of a byte as its id. The ids are those of `ranks`, also for single bytes "
                             "(GPT-2's table has them in another order).",
                       "zh": "你把字节的数值当成了 id。单个字节的 id 也要查 `ranks`（GPT-2 的表里顺序就不同）。"},
                      byte_values),
        Misconception("no-merges",
                      {"en": "You return the ids of the single bytes: no neighbours are joined.",
                       "zh": "你返回的是单个字节的 id：没有合并任何相邻的。"},
                      lambda piece, ranks: [ranks[part] for part in parts_of(piece, ranks, most=0)]),
        Misconception("only-one-merge",
                      {"en": "You join one pair and stop. Go on until no neighbours together are a token.",
                       "zh": "你合并一次就停了。要一直合并到没有相邻的两个能组成词元为止。"},
                      lambda piece, ranks: [ranks[part] for part in parts_of(piece, ranks, most=1)]),
        Misconception("rightmost-first",
                      {"en": "Where the same token fits at several places you join the rightmost: compare with <, not <=.",
                       "zh": "同一个词元适合几个地方时，你合并了最右边的：比较要用 <，不是 <=。"},
                      lambda piece, ranks: [ranks[p] for p in parts_of(
                          piece, ranks, lambda found: min(found, key=lambda x: (x[0], -x[1])))]),
        Misconception("longest-token-first",
                      {"en": "You take the longest token that fits at each place. BPE repeats the merges in the order in "
                             "which they were learned, which may cut otherwise; the model was trained on that cut.",
                       "zh": "你在每个位置取了最长的词元。BPE 按学到的顺序重复合并，切法可能不同；模型是按那种切法训练的。"},
                      longest_first),
        Misconception("left-to-right",
                      {"en": "You join from left to right whatever fits. The lowest id comes first, wherever it is.",
                       "zh": "你从左到右见到能合并的就合并。应该先合并 id 最小的，不管它在哪里。"},
                      in_text_order),
        Misconception("leftmost-first",
                      {"en": "You join the leftmost pair that is a token. The lowest id comes first, wherever it is.",
                       "zh": "你先合并最左边能组成词元的一对。应该先合并 id 最小的，不管它在哪里。"},
                      lambda piece, ranks: [ranks[p] for p in parts_of(
                          piece, ranks, lambda found: min(found, key=lambda x: x[1]))]),
        Misconception("highest-id-first",
                      {"en": "You join the token with the highest id first, the one learned last. It is the other way "
                             "round: later tokens are made of earlier ones.",
                       "zh": "你先合并 id 最大的，也就是最后学到的词元。应该反过来：后学到的词元由先学到的组成。"},
                      lambda piece, ranks: [ranks[p] for p in parts_of(piece, ranks, max)]),
    ),
)  # fmt: skip


# ---------------------------------------------------------------------------------------- whole characters


def whole_characters(data: bytes) -> tuple[str, bytes]:
    """The whole characters at the beginning, and what is left."""
    text = data.decode("utf-8", errors="ignore")  # only the last character may be unfinished
    return text, data[len(text.encode("utf-8")) :]


def whole_or_nothing(data):
    try:
        return data.decode(), b""
    except UnicodeDecodeError:
        return "", data


def holding_at_most(most: int, data: bytes):
    for held in range(most + 1):
        end = len(data) - held
        try:
            return data[:end].decode(), data[end:]
        except UnicodeDecodeError:
            pass


def in_ascii_and_whole(rng):
    yield (b"",)
    yield (b"Good",)
    yield ("早安".encode(),)
    yield ("玉山 é👍 Wifi"[: int(rng.integers(3, 9))].encode(),)
    yield (" Мир\t「𠮷」\n ".encode(),)
    yield ("\ufeff\x00é".encode(),)
    yield ("玉\ufffd\ufffd".encode(),)  # the replacement character itself, in a text


def cut_chinese(rng):
    text = "台湾最高的山是玉山"
    start = int(rng.integers(len(text) - 3))
    for length, held in ((1, 2), (2, 2), (2, 1), (3, 2), (3, 1)):
        data = text[start : start + length].encode()
        yield (data[: len(data) - (3 - held)],)
    yield ("玉é".encode()[:-1],)  # and of an accent, or a Cyrillic letter, one of two
    yield ("мир\n д".encode()[:-1],)
    yield ("é".encode()[:-1],)


def cut_emoji(rng):
    emoji = "👍🎉🌏🗻"[int(rng.integers(4))]
    for before in ("", "ok "):
        for length in (3, 2, 1):
            yield ((before + emoji).encode()[: len(before) + length],)


CHARACTERS = Exercise(
    "whole_characters", STREAM, whole_characters,
    (
        Check("nothing-to-hold", 1, {"en": "All characters are whole: all text, and b\"\" to hold back.",
                                     "zh": "所有字符都完整：返回全部文本，没有要留的：b\"\"。"}, in_ascii_and_whole, edge=True),
        Check("chinese", 2, {"en": "A Chinese character of which one or two of the three bytes are there is held back.",
                             "zh": "一个汉字的三个字节只来了一两个，就先留着。"}, cut_chinese),
        Check("emoji", 1, {"en": "An emoji has four bytes: up to three are held back.",
                           "zh": "一个表情符号有四个字节：最多要留三个。"}, cut_emoji),
    ),
    (
        Misconception("three-bytes-each",
                      {"en": "You hold back two bytes at most, as for Chinese characters. An emoji has four bytes: up to "
                             "three may wait.",
                       "zh": "你最多只留两个字节，这对汉字够了。表情符号有四个字节：最多要等三个。"},
                      lambda data: holding_at_most(2, data)),
        Misconception("one-byte-held-back",
                      {"en": "You hold back one byte at most. Of a Chinese character one or two bytes may be there.",
                       "zh": "你最多只留一个字节。一个汉字可能来了一个字节，也可能来了两个。"},
                      lambda data: holding_at_most(1, data)),
        Misconception("decode-fails",
                      {"en": "decode() raises an error at half a character. Decode only the whole ones and keep the rest.",
                       "zh": "decode() 碰到半个字符会报错。只解码完整的字符，其余的留着。"},
                      lambda data: (data.decode(), b"")),
        Misconception("bytes-thrown-away",
                      {"en": "You drop the unfinished bytes (errors=\"ignore\"). The rest of the character comes with the "
                             "next token and needs them: hand them back.",
                       "zh": "你把没完成的字节丢掉了（errors=\"ignore\"）。这个字符的其余字节会随下一个词元到来：要把它们交回去。"},
                      lambda data: (data.decode(errors="ignore"), b"")),
        Misconception("replacement-mark",
                      {"en": "You show a replacement mark � for half a character (errors=\"replace\"). Hold its bytes back "
                             "until it is whole.",
                       "zh": "你把半个字符显示成了替换符 �（errors=\"replace\"）。要把它的字节留着，等它完整。"},
                      lambda data: (data.decode(errors="replace"), b"")),
        Misconception("all-held-back",
                      {"en": "You hold everything back as soon as the end is unfinished. The characters before it are "
                             "whole: show them.",
                       "zh": "结尾一不完整，你就把全部都留着了。前面的字符是完整的：应该显示出来。"},
                      whole_or_nothing),
        Misconception("a-character-a-byte",
                      {"en": "You turn each byte into a character of its own (latin-1). In UTF-8 several bytes make one.",
                       "zh": "你把每个字节都变成了一个字符（latin-1）。在 UTF-8 里几个字节组成一个字符。"},
                      lambda data: (data.decode("latin-1"), b"")),
    ),
)  # fmt: skip
