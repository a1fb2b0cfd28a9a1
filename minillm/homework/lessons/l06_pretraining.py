"""Exercises of lesson 6: near duplicates and batches; the optimizer is in `l06_optimizer.py`."""

import numpy as np

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.homework.lessons.l06_optimizer import ADAMW, CLIP, RATE
from minillm.material import cleaning

CLEANING = {"en": "Cleaning and de-duplication", "zh": "清洗与去重"}
BATCHES = {"en": "Batches: every token is a label", "zh": "批次：每个词元都是标签"}


# --------------------------------------------------------------------------------------------- similarity


def similarity(a: str, b: str, n: int) -> float:
    return cleaning.jaccard(cleaning.ngrams(a, n), cleaning.ngrams(b, n))


def folded(text: str) -> str:
    return " ".join(text.lower().split())


def cut(text: str, n: int, step: int = 1, fewer: int = 0) -> list[str]:
    """The n-grams of a text in order, or something like them."""
    return [text[i : i + n] for i in range(0, max(1, len(text) - n + 1 - fewer), step)]


def compare_sets(a: set, b: set) -> float:
    return len(a & b) / len(a | b)


def compare_lists(a: list, b: list) -> float:
    shared = sum(g in b for g in a)
    return shared / (len(a) + len(b) - shared)


def grams_of_both(a: str, b: str, n: int) -> tuple[set[str], set[str]]:
    return cleaning.ngrams(a, n), cleaning.ngrams(b, n)


def by_sizes(score):
    """A similarity computed from (size of the intersection, size of a, size of b)."""

    def wrong(a: str, b: str, n: int) -> float:
        x, y = grams_of_both(a, b, n)
        return score(len(x & y), len(x), len(y))

    return wrong


def word_grams(text: str, n: int) -> set:
    words = folded(text).split()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def without_short(a: str, b: str, n: int) -> tuple[set, set]:
    first, second = ({t[i : i + n] for i in range(len(t) - n + 1)} for t in (folded(a), folded(b)))
    return first, second


def never_alike(a: str, b: str, n: int) -> float:
    first, second = without_short(a, b, n)
    return len(first & second) / len(first | second) if first | second else 0.0


def letters(rng: np.random.Generator, first: int, length: int, order=None) -> str:
    return "".join(chr(97 + int(c)) for c in order[first : first + length])


def like_texts(rng: np.random.Generator):
    """Windows of one shuffled alphabet: two texts that share a middle part, whose n-grams are all different."""
    yield "abcd", "bcd", 2
    order = rng.permutation(26)
    yield letters(rng, 0, 9, order), letters(rng, 3, 7, order), 2
    yield letters(rng, 0, 12, order), letters(rng, 4, 16, order), 3
    yield "台湾最高的山", "台湾最高的山是玉山", 2


def repeated_texts(rng: np.random.Generator):
    yield "abab", "ababab", 2
    yield "aabaab", "abcabc", 2
    a, b = ("".join(rng.choice(list("的山"), int(rng.integers(8, 15)))) for _ in range(2))
    yield a + "的山的山", b, 2


SIMILARITY = Exercise(
    "similarity", CLEANING, similarity,
    (
        Check("n-grams", 2, {"en": "Overlapping character n-grams of both texts: those in both, over those in either.",
                             "zh": "两段文本中互相重叠的字符 n 元组：两边都有的个数，除以至少一边有的个数。"},
              like_texts),
        Check("repetition", 1, {"en": "An n-gram that occurs several times counts once: a set.",
                                "zh": "出现多次的 n 元组只算一次：这是集合。"},
              repeated_texts),
        Check("case-and-space", 1, {"en": "Lower the letters and fold the white space before cutting.",
                                    "zh": "先把字母变成小写，把空白折叠成一个空格，再切分。"},
              lambda rng: [("Ab cd", "ab cd", 2), ("ab  cd\n", " ab cd", 3), ("The  CAT\tsat", "the cat\n\nSat ", 4),
                           ("Oslo 是挪威的首都", "\r\noslo\t是挪威的首都", 3), ("ÉTÉ \r\n МИР", "été мир", 2),
                           ("a b", "ab", 2), ("\t It's\n", "it's", 2), ("Oslo!", "Oslo", 3), ("a.b", "ab", 2), ("Straße", "STRASSE", 2)]),
        Check("short-texts", 1, {"en": "A text shorter than n is its own only n-gram; two empty texts are alike (1).",
                                 "zh": "比 n 短的文本本身就是它唯一的 n 元组；两段空文本是相同的（1）。"},
              lambda rng: [("", "", 2), ("玉山", "玉山", 5), ("ab", "abc", 5), ("", "abc", 2), (" \n", "", 3),
                           ("ABC ", "abc", 3), ("ab", "AB\n", 4), ("玉山的", "高山的", 3)]),
    ),
    (
        Misconception("lists-instead-of-sets",
                      {"en": "You count an n-gram as often as it occurs. Jaccard compares sets: each n-gram counts once, "
                             "or a text that repeats itself looks unlike its own copy.",
                       "zh": "同一个 n 元组出现几次你就数了几次。Jaccard 比较的是集合：每个 n 元组只算一次，否则一段有重复内容的文本"
                             "会显得和它自己的副本不像。"},
                      lambda a, b, n: compare_lists(cut(folded(a), n), cut(folded(b), n))),
        Misconception("smaller-instead-of-union",
                      {"en": "You divide by the smaller set. That is containment: a short text inside a long one would "
                             "count as its duplicate. Divide by the union.",
                       "zh": "你除以了较小的集合，那是“包含度”：一段短文本只要出现在长文本里就会被当成重复。应该除以并集。"},
                      by_sizes(lambda both, a, b: both / min(a, b))),
        Misconception("sum-instead-of-union",
                      {"en": "You divide by |A| + |B|, which counts the shared n-grams twice: equal texts get 1/2. "
                             "The union has |A| + |B| - |A ∩ B| of them.",
                       "zh": "你除以了 |A| + |B|，共有的 n 元组被数了两次：相同的文本只得 1/2。并集的大小是 |A| + |B| - |A ∩ B|。"},
                      by_sizes(lambda both, a, b: both / (a + b))),
        Misconception("dice-instead-of-jaccard",
                      {"en": "2 |A ∩ B| / (|A| + |B|) is the Dice coefficient, which is larger. Jaccard is |A ∩ B| / |A ∪ B|.",
                       "zh": "2 |A ∩ B| / (|A| + |B|) 是 Dice 系数，数值偏大。Jaccard 是 |A ∩ B| / |A ∪ B|。"},
                      by_sizes(lambda both, a, b: 2 * both / (a + b))),
        Misconception("n-grams-do-not-overlap",
                      {"en": "You cut the text into blocks of n. The n-grams begin at every character, or one inserted "
                             "letter would shift all blocks and nothing would match.",
                       "zh": "你把文本切成了一块一块的 n 个字符。n 元组要从每个字符开始，否则多插入一个字母，后面所有的块都对不上了。"},
                      lambda a, b, n: compare_sets(set(cut(folded(a), n, n)), set(cut(folded(b), n, n)))),
        Misconception("last-n-gram-missing",
                      {"en": "The last n-gram is missing: a text of L characters has L - n + 1 of them, and "
                             "`range(L - n)` stops one too early.",
                       "zh": "少了最后一个 n 元组：L 个字符的文本有 L - n + 1 个，`range(L - n)` 早停了一个。"},
                      lambda a, b, n: compare_sets(set(cut(folded(a), n, fewer=1)), set(cut(folded(b), n, fewer=1)))),
        Misconception("words-instead-of-characters",
                      {"en": "You take n neighbouring words; here they are characters. Chinese writes no spaces between words.",
                       "zh": "你取的是相邻的 n 个单词；这里要的是字符。中文的词之间没有空格。"},
                      lambda a, b, n: compare_sets(word_grams(a, n), word_grams(b, n))),
        Misconception("case-kept",
                      {"en": "Capital and small letters count as different. Lower the texts first.",
                       "zh": "大写和小写字母被当成了不同的字符。先把文本变成小写。"},
                      lambda a, b, n: compare_sets(set(cut(" ".join(a.split()), n)), set(cut(" ".join(b.split()), n)))),
        Misconception("white-space-kept",
                      {"en": "White space is not folded: two spaces or a line end make the same sentence look different. "
                             "`\" \".join(text.split())` folds it.",
                       "zh": "空白没有折叠：多一个空格或换行，同一句话就显得不同了。可以用 `\" \".join(text.split())`。"},
                      lambda a, b, n: compare_sets(set(cut(a.lower(), n)), set(cut(b.lower(), n)))),
        Misconception("short-text-divides-by-zero",
                      {"en": "A text shorter than n has no n-gram in your code, and two such texts divide 0 by 0. Its only "
                             "n-gram should be the text itself.",
                       "zh": "在你的代码里，比 n 短的文本没有 n 元组，两段这样的文本就成了 0 除以 0。它唯一的 n 元组应该是它自己。"},
                      lambda a, b, n: compare_sets(*without_short(a, b, n))),
        Misconception("short-texts-never-alike",
                      {"en": "Short texts get 0 even when they are equal. A text shorter than n should have one n-gram, itself.",
                       "zh": "短文本即使完全相同也得 0。比 n 短的文本应该有一个 n 元组，就是它自己。"},
                      never_alike),
        Misconception("distance-instead-of-similarity",
                      {"en": "You return 1 - similarity, a distance: equal texts get 0. They should get 1.",
                       "zh": "你返回的是 1 - 相似度，也就是距离：相同的文本得 0。它们应该得 1。"},
                      lambda a, b, n: 1 - similarity(a, b, n)),
    ),
)  # fmt: skip


# ----------------------------------------------------------------------------------------- near duplicates


def near_duplicates(documents: list[str], threshold: float) -> list[int]:
    return keep(documents, threshold)


def keep(documents, threshold, strict=False, against="kept", exact=False) -> list[int]:
    """The indices that stay, with one thing done another way."""
    kept: list[int] = []
    for i, document in enumerate(documents):
        earlier = {"kept": kept, "all": range(i), "last": range(max(0, i - 1), i),
                   "others": [k for k in range(len(documents)) if k != i],
                   "later": range(i + 1, len(documents)), "itself": range(i + 1)}[against]  # fmt: skip
        scores = [float(document == documents[k]) if exact else similarity(document, documents[k], 5) for k in earlier]
        if not any(s > threshold or (s == threshold and not strict) for s in scores):
            kept.append(i)
    return kept


def windows(rng: np.random.Generator, length: int, places: list[int]) -> list[str]:
    """Texts cut from one long text of different characters at these places: a shift by d leaves length - 4 - d
    of the 5-grams equal, so their similarity is (length - 4 - d) / (length - 4 + d)."""
    text = "".join(chr(0x4E00 + int(c)) for c in rng.permutation(2000)[: max(places) + length])
    return [text[p : p + length] for p in places]


NEAR = Exercise(
    "near_duplicates", CLEANING, near_duplicates,
    (
        Check("copies", 1, {"en": "Of equal documents the first stays.", "zh": "相同的文档中，第一篇留下。"},
              lambda rng: [(windows(rng, 10, [0]), 0.8), (windows(rng, 10, [0, 0]), 0.8),
                           (windows(rng, 14, [0, 30, 0, 30, 60]), 0.8), ([], 0.8)]),
        Check("near", 1, {"en": "Documents that differ by a few characters are duplicates too.",
                          "zh": "只差几个字符的文档也算重复。"},
              lambda rng: [(windows(rng, 14, [0, 1]), 0.8), (windows(rng, 14, [0, 3]), 0.8),
                           (windows(rng, 24, [60, 0, 61, 30, 2]), 0.8),
                           (["Mount Yushan", "Fuji", " mount\tYUSHAN\n", "fuji", "Fuji!"], 0.9), (["", "a", " ", "A"], 0.9),
                           (windows(rng, 14, [0, 2]), 0.68), (windows(rng, 14, [0, 2]), 0.65), (["abcd efgh", "abcdefgh"], 0.8),
                           (["abcdefg", "gfedcba"], 0.8), (["abcde", "xbcde"], 0.3)]),
        Check("at-the-threshold", 1, {"en": "A similarity equal to the threshold is enough to be removed.",
                                      "zh": "相似度正好等于阈值，也要去掉。"},
              lambda rng: [(windows(rng, 10, [0, 2]), 0.5), (windows(rng, 16, [40, 0, 4]), 0.5)]),
        Check("chain", 2, {"en": "A removed document removes nothing: compare only with those that stayed.",
                           "zh": "已经去掉的文档不再去掉别的文档：只和留下来的比较。"},
              lambda rng: [(windows(rng, 14, [0, 1, 2]), 0.8), (windows(rng, 14, [0, 1, 40, 2, 3, 41, 42]), 0.8)]),
    ),
    (
        Misconception("threshold-excluded",
                      {"en": "You remove only above the threshold; `threshold` or more means ≥.",
                       "zh": "你只在大于阈值时才去掉；“达到阈值”是 ≥。"},
                      lambda d, t: keep(d, t, strict=True)),
        Misconception("only-exact-copies",
                      {"en": "Only equal documents are removed. A page with another date or one more comma is the same page: "
                             "use the similarity.",
                       "zh": "你只去掉了完全相同的文档。换个日期、多个逗号，还是同一个网页：要用相似度。"},
                      lambda d, t: keep(d, t, exact=True)),
        Misconception("later-one-kept",
                      {"en": "You keep the last of several duplicates. The first one should stay.",
                       "zh": "几篇重复的文档中你留下了最后一篇。应该留下第一篇。"},
                      lambda d, t: keep(d, t, against="later")),
        Misconception("all-copies-removed",
                      {"en": "You remove every document that has a duplicate, so none of them stays. One, the first, should.",
                       "zh": "凡是有重复的文档你都去掉了，一篇也没留下。应该留下第一篇。"},
                      lambda d, t: keep(d, t, against="others")),
        Misconception("compared-with-itself",
                      {"en": "You compare a document with itself: the similarity is 1, and everything goes. Compare only with "
                             "documents before it.",
                       "zh": "你把文档和它自己也比了：相似度是 1，于是全被去掉了。只和它前面的文档比较。"},
                      lambda d, t: keep(d, t, against="itself")),
        Misconception("only-the-neighbour",
                      {"en": "You compare with the document just before only. Copies on the web are far apart: compare "
                             "with all that stayed.",
                       "zh": "你只和紧挨着的前一篇比较。网上的副本相隔很远：要和所有留下来的比较。"},
                      lambda d, t: keep(d, t, against="last")),
        Misconception("compared-with-removed",
                      {"en": "You also compare with documents that were removed. In a chain of small changes the last is "
                             "unlike the first, and nothing that stayed represents it.",
                       "zh": "你和已经去掉的文档也比了。一连串小改动之后，最后一篇已经不像第一篇，留下来的文档里没有能代表它的。"},
                      lambda d, t: keep(d, t, against="all")),
    ),
)  # fmt: skip


# ----------------------------------------------------------------------------------------------- text batch


def text_batch(tokens: np.ndarray, starts: list[int], width: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.stack([tokens[s : s + width + 1] for s in starts])  # (B, T + 1)
    return rows[:, :-1], rows[:, 1:]


def rows(tokens, starts, width):
    return np.stack([tokens[s : s + width] for s in starts])


def shift_both(shift_inputs: int, shift_targets: int):
    def wrong(tokens, starts, width):
        return (rows(tokens, [s + shift_inputs for s in starts], width),
                rows(tokens, [s + shift_targets for s in starts], width))  # fmt: skip

    return wrong


def only_rows(which):
    return lambda tokens, starts, width: text_batch(tokens, [s for s in starts if which(s, width, len(tokens))], width)


def long_text(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.permutation(n)  # all different, so that a token of the wrong place shows


BATCH = Exercise(
    "text_batch", BATCHES, text_batch,
    (
        Check("one-row", 1, {"en": "The target of each input is the token that follows it in the text.",
                             "zh": "每个输入的目标是文本中紧跟着它的词元。"},
              lambda rng: [(long_text(rng, 8), [0], 1), (long_text(rng, 12), [0], 5)]),
        Check("several-rows", 1, {"en": "Row b begins at the token starts[b]; rows may overlap and come in any order.",
                                  "zh": "第 b 行从词元 starts[b] 开始；各行可以重叠，顺序任意。"},
              lambda rng: [(long_text(rng, 20), [0, 3], 4), (long_text(rng, 50), [17, 2, 31, 4], 7),
                           (long_text(rng, 30), [5, 5, 6, 0], 3), (long_text(rng, 10), [7, 0, 7], 1),
                           (70_000 + long_text(rng, 20), [3, 12], 4)]),
        Check("last-row", 1, {"en": "A row may begin at N - 1 - width: its last target is the last token of the text.",
                              "zh": "一行可以从 N - 1 - width 开始：它的最后一个目标就是文本的最后一个词元。"},
              lambda rng: [(long_text(rng, 8), [2, 4], 3), (long_text(rng, 31), [25, 3, 11], 5)]),
    ),
    (
        Misconception("targets-not-shifted",
                      {"en": "The targets equal the inputs: the model would learn to repeat the token it reads. They should "
                             "be one token further on.",
                       "zh": "目标和输入一样：模型学会的是把读到的词元再说一遍。目标应该往后移一个词元。"},
                      shift_both(0, 0)),
        Misconception("shifted-twice",
                      {"en": "The targets are two tokens on. They are shifted once, here; if the loss shifted them again, "
                             "each position would learn the token after next.",
                       "zh": "目标往后移了两个词元。只在这里移一次；如果再移一次，每个位置学的就是下下个词元。"},
                      shift_both(0, 2)),
        Misconception("predicts-the-past",
                      {"en": "Inputs and targets are swapped: each position should predict the token that follows, yours "
                             "the one before.",
                       "zh": "输入和目标反了：每个位置应该预测后面的词元，你预测的是前面的。"},
                      shift_both(1, 0)),
        Misconception("rolled-within-the-row",
                      {"en": "The last target of a row is its own first token (`roll`). It should be the next token of the text: "
                             "cut width + 1 tokens, then take all but the last and all but the first.",
                       "zh": "一行的最后一个目标成了这一行的第一个词元（`roll`）。它应该是文本的下一个词元：切出 width + 1 个词元，"
                             "去掉最后一个是输入，去掉第一个是目标。"},
                      lambda t, s, w: (rows(t, s, w), np.roll(rows(t, s, w), -1, 1))),
        Misconception("rows-one-too-short",
                      {"en": "Your rows have width - 1 tokens: you cut width tokens and lost one to the shift. Cut width + 1.",
                       "zh": "你的行只有 width - 1 个词元：切了 width 个，移位又丢了一个。要切 width + 1 个。"},
                      lambda t, s, w: text_batch(t, s, w - 1)),
        Misconception("starts-counted-in-rows",
                      {"en": "You take starts[b] as the number of a row and multiply it by width; it is already a place in "
                             "the text, counted in tokens.",
                       "zh": "你把 starts[b] 当成了行号，又乘了 width；它已经是文本中的位置，以词元计。"},
                      lambda t, s, w: text_batch(t, [x * w for x in s], w)),
        Misconception("starts-ignored",
                      {"en": "The rows follow one another from the beginning of the text; row b should begin at starts[b].",
                       "zh": "你的各行从文本开头一行接一行；第 b 行应该从 starts[b] 开始。"},
                      lambda t, s, w: text_batch(t, [b * w for b in range(len(s))], w)),
        Misconception("last-row-dropped",
                      {"en": "You leave out the row that ends the text. It fits: a row needs width + 1 tokens, so it may begin "
                             "at N - 1 - width.",
                       "zh": "你丢掉了正好到文本末尾的那一行。它放得下：一行需要 width + 1 个词元，所以可以从 N - 1 - width 开始。"},
                      only_rows(lambda s, w, n: s + w + 1 < n)),
        Misconception("last-row-moved",
                      {"en": "You move the last row one token forward, as if it did not fit. It needs width + 1 tokens and "
                             "has just as many.",
                       "zh": "你把最后一行往前挪了一个词元，好像它放不下。它需要 width + 1 个词元，正好有这么多。"},
                      lambda t, s, w: text_batch(t, [min(x, len(t) - w - 2) for x in s], w)),
    ),
)  # fmt: skip


LESSON = Lesson(6, "06_pretraining", {"en": "Stage 1: pretraining", "zh": "第一阶段：预训练"},
                (SIMILARITY, NEAR, BATCH, RATE, CLIP, ADAMW))  # fmt: skip
