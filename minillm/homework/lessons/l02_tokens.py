"""Exercises of lesson 2: training BPE; encoding is in `l02_encoding.py`."""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from minillm import bpe
from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.homework.lessons.l02_encoding import CHARACTERS, ENCODE

MERGES = {"en": "One merge at a time", "zh": "一次合并一对"}
TRAINING = {"en": "Training is counting", "zh": "训练就是数数"}
WHOLE = r"(?s).+"  # a split pattern that cuts nothing: each text is one word


# ------------------------------------------------------------------------------------------------- merge


def numbers(rng: np.random.Generator, count: int) -> list[int]:
    """Different ids."""
    return [int(x) for x in rng.permutation(250)[:count]]


def merge_from_the_right(ids, pair, new):
    return bpe.merge(ids[::-1], pair[::-1], new)[::-1]


def merge_first(ids, pair, new):
    for i in range(len(ids) - 1):
        if tuple(ids[i : i + 2]) == pair:
            return [*ids[:i], new, *ids[i + 2 :]]
    return list(ids)


def merge_keeping_the_second(ids, pair, new):
    return [new if tuple(ids[i : i + 2]) == pair else ids[i] for i in range(len(ids))]


def merge_either_order(ids, pair, new):
    result, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) in (pair, pair[::-1]):
            result.append(new)
            i += 2
        else:
            result.append(ids[i])
            i += 1
    return result


def merge_up_to_the_last(ids, pair, new):
    """The loop ends before the last position."""
    result, i = [], 0
    while i < len(ids) - 1:
        merged = tuple(ids[i : i + 2]) == pair
        result.append(new if merged else ids[i])
        i += 2 if merged else 1
    return result


def pairs_to_merge(rng):
    a, b, c, d = numbers(rng, 4)
    yield [a, b], (a, b), 256
    yield [c, a, b, a], (a, b), 256
    yield [a, b, c, b, a, a, b, d], (a, b), 257
    yield [b, d, a, b, c, d, b, a, c, a, b], (a, b), 300
    yield [0, 300, 0, 0, 300, 1000, 300], (0, 300), 1001  # ids of merged tokens, and 0
    yield [300, 0, 300, 0, 5], (300, 0), 301
    yield [a, b, b, c, b], (a, b), a  # a new id that is in the pair or in the text already
    yield [c, a, b, d], (a, b), c


def repeated_to_merge(rng):
    a, b = numbers(rng, 2)
    yield [a, a, a], (a, a), 256
    yield [b, a, a, a, a, a, b, a, a, a], (a, a), 257
    yield [0, 0, 0, 256, 0, 0], (0, 0), 257


def short_to_merge(rng):
    a, b, c = numbers(rng, 3)
    yield [], (a, b), 256
    yield [a], (a, b), 256
    yield [c], (a, b), 256


MERGE = Exercise(
    "merge", MERGES, bpe.merge,
    (
        Check("pair", 2, {"en": "Every occurrence becomes one new id; all other ids stay, in their order.",
                          "zh": "每次出现都变成一个新的 id；其余的 id 保持不变，顺序也不变。"}, pairs_to_merge),
        Check("repeated-id", 1, {"en": "In a a a the left two are the pair: [new, a].", "zh": "在 a a a 里，左边两个是一对：[new, a]。"},
              repeated_to_merge),
        Check("short-list", 1, {"en": "No id, or one alone: nothing to merge, nothing to lose.",
                                "zh": "没有 id，或者只有一个：没有可以合并的，也不能丢。"}, short_to_merge, edge=True),
    ),
    (
        Misconception("second-id-kept",
                      {"en": "You put the new id in and keep the second half of the pair behind it. The new id means "
                             "both: move on by two.",
                       "zh": "你放进了新的 id，却把这一对的后一半留在了后面。新的 id 代表两个：要前进两步。"},
                      merge_keeping_the_second),
        Misconception("only-the-first",
                      {"en": "You replace only the first occurrence. A merge replaces all of them.",
                       "zh": "你只替换了第一次出现。一次合并要替换所有的出现。"},
                      merge_first),
        Misconception("either-order",
                      {"en": "You also merge (b, a). The order matters: “ab” and “ba” are different texts, and decoding "
                             "would confuse them.",
                       "zh": "你把 (b, a) 也合并了。顺序是有意义的：“ab”和“ba”是不同的文本，否则解码时就分不清了。"},
                      merge_either_order),
        Misconception("short-list-lost",
                      {"en": "You return [] for a list of one id. There is nothing to merge, but the id must stay.",
                       "zh": "只有一个 id 时你返回了 []。没有可以合并的，但这个 id 要留下。"},
                      lambda ids, pair, new: bpe.merge(ids, pair, new) if len(ids) > 1 else []),
        Misconception("last-id-lost",
                      {"en": "Your loop ends before the last id and loses it when it is not part of a pair: copy what is "
                             "left over.",
                       "zh": "你的循环在最后一个 id 之前就结束了，它不属于任何一对时就丢了：要把剩下的抄过去。"},
                      merge_up_to_the_last),
        Misconception("from-the-right",
                      {"en": "You merge from the right. In a a a this gives [a, new]; from the left it is [new, a], and "
                             "encoder and training must agree.",
                       "zh": "你从右边开始合并。在 a a a 里会得到 [a, new]；从左边开始是 [new, a]，编码和训练必须一致。"},
                      merge_from_the_right),
    ),
)  # fmt: skip


# --------------------------------------------------------------------------------------- most frequent pair


def all_pairs(words: Iterable[list[int]]) -> list[tuple[int, int]]:
    return [pair for word in words for pair in zip(word, word[1:])]


def first_of_the_most(pairs: list) -> tuple | None:
    counts = Counter(pairs)  # in order of first occurrence, and max takes the first
    return max(counts, key=counts.__getitem__) if counts else None


def most_frequent_pair(words: list[list[int]]) -> tuple[int, int] | None:
    """The first of the most frequent pairs."""
    return first_of_the_most(all_pairs(words))


def without_overlap(words):
    found = []
    for word in words:
        i = 0
        while i < len(word) - 1:
            found.append((word[i], word[i + 1]))
            i += 2 if word[i] == word[i + 1] else 1
    return first_of_the_most(found)


def last_of_the_most(words):
    counts = Counter(all_pairs(words))
    return max(reversed(counts), key=counts.__getitem__) if counts else None


def by_count_and(sign: int) -> Callable:
    """Ties go to the largest (1) or smallest (-1) pair."""

    def pick(words):
        counts = Counter(all_pairs(words))
        return max(counts, key=lambda p: (counts[p], sign * p[0], sign * p[1])) if counts else None

    return pick


def one_word(rng):
    low, high, c, d = (*sorted(numbers(rng, 2)), 251, 252)
    yield ([[c, low, d, low, d]],)
    yield ([[high, low, c, high, low]],)  # the first number of the pair is the larger one
    yield ([[c, d, low, low, low, low, d, c, d]],)  # low low three times, without overlap twice, as c d
    yield ([[d, high, high, high, low, c, low, c, d, low, c]],)  # low c three times
    yield ([[300, 0, 1000, 300, 0, 1000, 0, 1000, 5]],)  # ids of merged tokens, and 0


def many_words(rng):
    a, b, c, d, e = numbers(rng, 5)
    yield ([[a, b], [c, a], [b, c], [b, d], [b, e], [c, a]],)  # c a twice; b b or a b only across borders
    yield ([[a, b], [a, b], [a, b], [c, d, c, d]],)  # a b by repeated words
    yield ([[d, e], [c, a], [c, a], [c, e], [c, e, d], [c, a, d]],)
    yield ([[300, 5], [0, 300], [5, 0, 300], [5, 300], [300], [], [0, 300]],)
    yield ([[d, a, c], [d, b], [d, e, c], [d, b, a], [d], [d, b], [d, a, c], [d, b]],)


def tied(rng):
    low, high = sorted(numbers(rng, 2))
    a, b = 251, 252
    yield ([[low, high, low, high, a], [high, high, low, low], [a, b]],)  # low high twice and high low twice
    yield ([[high, low, a, high, low], [low, high], [b, high, high, b], [low, high]],)
    yield ([[b, a], [low, high], [a, low], [a, low], [low, high], [b, a]],)  # all twice; neither largest nor smallest
    yield ([[high, b, low, low, a, a]],)
    yield (
        [[a, high, low], [low, high], [b, high, low], [low, high]],
    )  # the earlier word counts, not the earlier place


def no_pair(rng):
    a, b = numbers(rng, 2)
    yield ([],)
    yield ([[a]],)
    yield ([[a], [], [b], [a]],)


PAIR = Exercise(
    "most_frequent_pair", MERGES, most_frequent_pair,
    (
        Check("one-word", 1, {"en": "Count each pair of neighbours, (1, 1) in [1, 1, 1] twice.",
                              "zh": "数每一对相邻的 id，[1, 1, 1] 里 (1, 1) 算两次。"}, one_word),
        Check("several-words", 2, {"en": "Pairs lie inside a word, and a repeated word counts each time.",
                                   "zh": "一对必须在同一个词里；重复出现的词每次都要算。"}, many_words),
        Check("ties", 1, {"en": "Equally frequent: the pair that occurs first.", "zh": "次数相同：取最先出现的那一对。"}, tied),
        Check("no-pair", 1, {"en": "No word has two ids: None.", "zh": "没有一个词有两个 id：返回 None。"}, no_pair, edge=True),
    ),
    (
        Misconception("error-without-pairs",
                      {"en": "max of nothing raises an error. Training ends when no pair is left: return None then.",
                       "zh": "对空的序列取 max 会报错。没有任何一对时训练就该结束：这时返回 None。"},
                      lambda words: max(Counter(all_pairs(words)).items(), key=lambda x: x[1])[0]),
        Misconception("without-overlap",
                      {"en": "You skip the overlapping occurrences when counting. Count every position: [1, 1, 1] holds "
                             "(1, 1) twice. (Only merging goes without overlap.)",
                       "zh": "你在数的时候跳过了重叠的出现。每个位置都要数：[1, 1, 1] 里有两个 (1, 1)。（只有合并时才不重叠。）"},
                      without_overlap),
        Misconception("most-frequent-ids",
                      {"en": "You take the two ids that are frequent on their own. They need not be neighbours: count the "
                             "pairs.",
                       "zh": "你取的是各自最常见的两个 id。它们不一定相邻：要数相邻的对。"},
                      lambda words: tuple(i for i, _ in Counter(i for w in words for i in w).most_common(2))
                      if all_pairs(words) else None),
        Misconception("order-ignored",
                      {"en": "You count (a, b) and (b, a) as the same pair. The order matters: they are different texts.",
                       "zh": "你把 (a, b) 和 (b, a) 当成同一对。顺序是有意义的：它们是不同的文本。"},
                      lambda words: first_of_the_most([tuple(sorted(p)) for p in all_pairs(words)])),
        Misconception("across-words",
                      {"en": "You count pairs across the border of two words. Merges stay inside a word: go through the "
                             "words one by one instead of joining them.",
                       "zh": "你数了跨越两个词边界的对。合并只在词的内部：一个词一个词地数，不要连起来。"},
                      lambda words: first_of_the_most(all_pairs([[i for word in words for i in word]]))),
        Misconception("each-word-once",
                      {"en": "A word that occurs several times counts only once. Frequent words are what BPE should "
                             "learn: count each occurrence.",
                       "zh": "重复出现的词只算了一次。BPE 要学的正是常见的词：每次出现都要算。"},
                      lambda words: first_of_the_most(all_pairs([list(w) for w in dict.fromkeys(map(tuple, words))]))),
        Misconception("ties-to-the-last",
                      {"en": "Of equally frequent pairs you take the one seen last, perhaps by >= instead of >. The first "
                             "one wins.",
                       "zh": "次数相同时你取了最后出现的，可能把 > 写成了 >=。应该取最先出现的。"},
                      last_of_the_most),
        Misconception("ties-to-the-larger",
                      {"en": "Of equally frequent pairs you take the one with the larger ids, perhaps because "
                             "max((count, pair)) compares the pairs too. The one that occurs first wins.",
                       "zh": "次数相同时你取了 id 较大的，可能因为 max((count, pair)) 把 pair 也拿来比了。应该取最先出现的。"},
                      by_count_and(1)),
        Misconception("ties-to-the-smaller",
                      {"en": "Of equally frequent pairs you take the one with the smaller ids, perhaps by sorting. The one "
                             "that occurs first wins.",
                       "zh": "次数相同时你取了 id 较小的，可能是因为排了序。应该取最先出现的。"},
                      by_count_and(-1)),
    ),
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- train BPE


def train_bpe(words: list[str], vocab_size: int) -> list[tuple[int, int]]:
    """The framework's merges, with each word as one piece."""
    return [step.pair for step in bpe.train_bpe(words, vocab_size, WHOLE)]


def learn(words, vocab_size, first_new=256, join=False, letters=False, least=1, once=False):
    """The textbook algorithm with one thing done another way."""
    pieces = [[ord(c) for c in w] if letters else list(w.encode()) for w in (["".join(words)] if join else words)]
    pieces = [list(p) for p in dict.fromkeys(map(tuple, pieces))] if once else pieces
    merges: list[tuple[int, int]] = []
    while 256 + len(merges) < vocab_size:
        pair = most_frequent_pair(pieces)
        if pair is None or all_pairs(pieces).count(pair) < least:
            break
        pieces = [bpe.merge(piece, pair, first_new + len(merges)) for piece in pieces]
        merges.append(pair)
    return merges


def counted_once(words, vocab_size):
    """The most frequent pairs of bytes, never counted anew."""
    counts = Counter(all_pairs(list(w.encode()) for w in words))
    return [pair for pair, _ in counts.most_common(vocab_size - 256)]


def without_a_stop(words, vocab_size):
    merges = train_bpe(words, vocab_size)
    if len(merges) < vocab_size - 256:
        raise ValueError("max() arg is an empty sequence")
    return merges


def one_merge(rng):
    a, b, c, d = (str(x) for x in rng.permutation(list("wxyz"))[:4])
    yield [a + b], 256
    yield [d + b, a + b, c + a, b + c, c + a], 257  # c a; a b comes twice only across borders
    yield [d + a + b, a + b + c, a + b], 257


def several_merges(rng):
    a, b, c, d = (str(x) for x in rng.permutation(list("wxyz"))[:4])
    # ab 7, then abc 4, d by itself in pairs 3
    words = [a + b + c, a + b + c, d + d + d + d, a + b + c, a + b + d, a + b + c, a + b, a + b]
    yield words, 258
    yield words, 259
    word = a + b + c + d
    yield [word, word, word[1:], word, word[2:] + a], 259
    yield [b + a, b + a, b + a, a + c + b, a + c + b], 259  # b at the end and a at the beginning are no pair
    yield ["It's", " It's", "it's", " It", "\tit's\n"], 260
    yield [f" {a}{b}", f" {a}{c}", f" {a}", a + b, f"{c} \n", f"{d} \n"], 258  # white space is text


def chinese_words(rng):
    mountains = [("玉", "山"), ("富", "士"), ("玉", "士")]
    one, other = mountains[int(rng.integers(3))]
    yield [one, one, other], 258
    yield [one, other, one + "高", one, other], 260
    yield ["「𠮷」", "𠮷", "「玉", "玉」", "Été", " été", "Мир", " мир", "Été"], 268


def until_no_pair(rng):
    a, b, c = (str(x) for x in rng.permutation(list("wxyz"))[:3])
    yield [], 300
    yield [a], 257
    yield [a + b, a + b, c], 260
    yield [a + b + c], 300


TRAIN = Exercise(
    "train_bpe", TRAINING, train_bpe,
    (
        Check("one-merge", 1, {"en": "vocab_size 257 means one merge, the most frequent pair of bytes; 256 means none.",
                               "zh": "vocab_size 为 257 表示合并一次，取最常见的一对字节；256 表示不合并。"}, one_merge),
        Check("several-merges", 2, {"en": "After each merge count anew: the new ids 256, 257, … are part of later pairs.",
                                    "zh": "每次合并之后重新数：新的 id 256、257…… 会成为后面的对的一部分。"}, several_merges),
        Check("chinese", 1, {"en": "BPE begins with bytes: 玉 is three ids.", "zh": "BPE 从字节开始：“玉”是三个 id。"}, chinese_words),
        Check("runs-out", 1, {"en": "No pair left: stop, with fewer tokens. Pairs that occur once are merged as well.",
                              "zh": "没有可合并的对了：停下，词元就少一些。只出现一次的对也要合并。"}, until_no_pair),
    ),
    (
        Misconception("error-when-no-pair-is-left",
                      {"en": "You go on looking for a pair when every word is a single token. Stop there.",
                       "zh": "每个词都已经是一个词元了，你还在找下一对。到这里就该停下。"},
                      without_a_stop),
        Misconception("only-pairs-seen-twice",
                      {"en": "You stop when no pair occurs twice. Here the training goes on until no pair is left.",
                       "zh": "没有哪一对出现两次时你就停了。这里要一直训练到没有任何一对为止。"},
                      lambda words, size: learn(words, size, least=2)),
        Misconception("vocab-size-is-merges",
                      {"en": "You make vocab_size merges. The 256 bytes are tokens too: vocab_size - 256 merges.",
                       "zh": "你做了 vocab_size 次合并。256 个字节也是词元：应该合并 vocab_size - 256 次。"},
                      lambda words, size: learn(words, size + 256)),
        Misconception("one-merge-too-many",
                      {"en": "You make one merge too many: with vocab_size 256 there is none.",
                       "zh": "你多合并了一次：vocab_size 为 256 时一次也不合并。"},
                      lambda words, size: learn(words, size + 1)),
        Misconception("across-words",
                      {"en": "You join the words before counting, and merge across their borders. A token must not hold "
                             "the end of one word and the beginning of the next.",
                       "zh": "你先把词连起来再数，合并跨过了词的边界。一个词元不能包含一个词的结尾和下一个词的开头。"},
                      lambda words, size: learn(words, size, join=True)),
        Misconception("each-word-once",
                      {"en": "A word that occurs several times counts only once. Frequent words are what BPE should "
                             "learn: count each occurrence.",
                       "zh": "重复出现的词只算了一次。BPE 要学的正是常见的词：每次出现都要算。"},
                      lambda words, size: learn(words, size, once=True)),
        Misconception("characters-not-bytes",
                      {"en": "You begin with characters (ord). Byte-level BPE begins with the bytes of UTF-8, "
                             "word.encode(\"utf-8\"): ids below 256, so that no text is unknown.",
                       "zh": "你从字符（ord）开始。字节级 BPE 从 UTF-8 的字节 word.encode(\"utf-8\") 开始：id 小于 256，"
                             "这样没有编不出的文本。"},
                      lambda words, size: learn(words, size, letters=True)),
        Misconception("counted-only-once",
                      {"en": "You count the pairs once and take the most frequent ones. Each merge changes the text: count "
                             "anew after it, with the new id.",
                       "zh": "你只数了一次，就取了最常见的几对。每次合并都会改变文本：合并之后要带着新的 id 重新数。"},
                      counted_once),
        Misconception("ids-from-257",
                      {"en": "Your first new id is 257. The bytes are 0 to 255, so the next free id is 256.",
                       "zh": "你的第一个新 id 是 257。字节是 0 到 255，下一个空着的 id 是 256。"},
                      lambda words, size: learn(words, size, first_new=257)),
    ),
)  # fmt: skip


LESSON = Lesson(2, "02_tokens", {"en": "Tokens", "zh": "词元"}, (MERGE, PAIR, TRAIN, ENCODE, CHARACTERS))
