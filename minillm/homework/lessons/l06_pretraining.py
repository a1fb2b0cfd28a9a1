"""Exercises of lesson 6: pretraining."""

import math

import numpy as np
import torch
from torch import Tensor

from minillm import cleaning, optim
from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

CLEANING = {"en": "Cleaning and de-duplication", "zh": "清洗与去重"}
BATCHES = {"en": "Batches: every token is a label", "zh": "批次：每个词元都是标签"}
SCHEDULE = {"en": "The learning-rate schedule", "zh": "学习率日程"}
STEP = {"en": "One training step by hand", "zh": "手算一步训练"}


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
    return tuple({t[i : i + n] for i in range(len(t) - n + 1)} for t in (folded(a), folded(b)))


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
                           ("Oslo 是挪威的首都", "oslo\u3000是挪威的首都", 3)]),
        Check("short-texts", 1, {"en": "A text shorter than n is its own only n-gram; two empty texts are alike (1).",
                                 "zh": "比 n 短的文本本身就是它唯一的 n 元组；两段空文本是相同的（1）。"},
              lambda rng: [("", "", 2), ("玉山", "玉山", 5), ("ab", "abc", 5), ("", "abc", 2)]),
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
                      lambda a, b, n: (lambda x, y: len(x & y) / len(x | y) if x | y else 0.0)(*without_short(a, b, n))),
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
                           (windows(rng, 24, [60, 0, 61, 30, 2]), 0.8)]),
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
                      {"en": "You compare with the document just before only. Copies on the web stand far apart: compare "
                             "with all that stayed.",
                       "zh": "你只和紧挨着的前一篇比较。网上的副本相隔很远：要和所有留下来的比较。"},
                      lambda d, t: keep(d, t, against="last")),
        Misconception("compared-with-removed",
                      {"en": "You also compare with documents that were removed. In a chain of small changes the last is "
                             "unlike the first, and nothing that stayed stands for it.",
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
        Check("several-rows", 1, {"en": "Row b begins at the token starts[b]; rows may overlap and stand in any order.",
                                  "zh": "第 b 行从词元 starts[b] 开始；各行可以重叠，顺序任意。"},
              lambda rng: [(long_text(rng, 20), [0, 3], 4), (long_text(rng, 50), [17, 2, 31, 4], 7)]),
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


# ------------------------------------------------------------------------------------- learning-rate schedule


def scale(step, steps, warmup, final, left=None):
    """The schedule with another fall."""
    if step < warmup:
        return (step + 1) / warmup
    if left is None:
        left = (steps - 1 - step) / (steps - 1 - warmup)
    return final + (1 - final) * left


def some_steps(rng: np.random.Generator, final: bool):
    """Steps of the falling part: the first of it, some in the middle, the last."""
    yield 2, 5, 2, 0.25 if final else 0.0
    yield 3, 5, 2, 0.25 if final else 0.0
    for _ in range(2):
        warmup = int(rng.integers(2, 12))
        steps = warmup + int(rng.integers(6, 60))
        end = float(rng.uniform(0.05, 0.6)) if final else 0.0
        middle = int(rng.integers(warmup + 1, steps - 1))
        yield from ((s, steps, warmup, end) for s in (warmup, middle, steps - 2, steps - 1))


RATE = Exercise(
    "learning_rate_scale", SCHEDULE, optim.learning_rate_scale,
    (
        Check("warm-up", 1, {"en": "In the warm-up: 1 / warmup, 2 / warmup, … and 1 at step warmup - 1.",
                             "zh": "预热阶段：1 / warmup，2 / warmup……到第 warmup - 1 步为 1。"},
              lambda rng: [(0, 6, 2, 0.0), (1, 6, 2, 0.0), (0, 20, 1, 0.1),
                           *((s, 40, 7, 0.0) for s in (0, int(rng.integers(1, 6)), 6))]),
        Check("fall", 2, {"en": "From 1 at step warmup the factor falls in a line to 0 at step steps - 1.",
                          "zh": "从第 warmup 步的 1 沿直线下降，到第 steps - 1 步为 0。"},
              lambda rng: some_steps(rng, False)),
        Check("final-share", 1, {"en": "With `final` the line ends there instead of at 0, and still begins at 1.",
                                 "zh": "有 `final` 时，直线的终点是它而不是 0，起点仍然是 1。"},
              lambda rng: some_steps(rng, True)),
    ),
    (
        Misconception("fall-counted-from-step-0",
                      {"en": "Your fall is counted from step 0, so the rate jumps down where the warm-up ends. It should begin at 1 "
                             "at step warmup: divide by steps - 1 - warmup.",
                       "zh": "你的下降从第 0 步算起，所以预热一结束学习率就突然掉下去。它应该在第 warmup 步从 1 开始：除以 "
                             "steps - 1 - warmup。"},
                      lambda s, n, w, f: scale(s, n, w, f, (n - 1 - s) / (n - 1))),
        Misconception("first-step-is-zero",
                      {"en": "Your warm-up begins at 0, so the first step changes nothing. Steps count from 0: use "
                             "(step + 1) / warmup.",
                       "zh": "你的预热从 0 开始，第一步什么也不改变。步数从 0 数起：用 (step + 1) / warmup。"},
                      lambda s, n, w, f: s / w if s < w else scale(s, n, w, f)),
        Misconception("no-warm-up",
                      {"en": "There is no warm-up: the rate is full at once, when AdamW's averages still rest on a handful of "
                             "gradients. It should rise in the first `warmup` steps.",
                       "zh": "没有预热：一开始学习率就是满的，而这时 AdamW 的平均值只来自寥寥几个梯度。前 `warmup` 步应该逐渐升高。"},
                      lambda s, n, w, f: 1.0 if s < w else scale(s, n, w, f)),
        Misconception("warm-up-to-final",
                      {"en": "You multiply the warm-up by the fall, so it never reaches 1. The two are parts, one after the other.",
                       "zh": "你把预热和下降乘在了一起，所以永远到不了 1。它们是先后两段。"},
                      lambda s, n, w, f: min(1.0, (s + 1) / w) * (f + (1 - f) * (n - 1 - s) / (n - 1))),
        Misconception("end-one-step-late",
                      {"en": "The last step is steps - 1, not steps: your line has not arrived when training ends. Divide "
                             "what is left, steps - 1 - step, by steps - 1 - warmup.",
                       "zh": "最后一步是 steps - 1，不是 steps：训练结束时你的直线还没到终点。用剩下的 steps - 1 - step 除以 "
                             "steps - 1 - warmup。"},
                      lambda s, n, w, f: scale(s, n, w, f, (n - s) / (n - w))),
        Misconception("cosine-instead-of-line",
                      {"en": "You let the rate fall along a cosine, as GPT-3 did; here it falls in a straight line.",
                       "zh": "你让学习率沿余弦下降（GPT-3 的做法）；这里是直线下降。"},
                      lambda s, n, w, f: scale(s, n, w, f, 0.5 + 0.5 * math.cos(math.pi * (s - w) / (n - 1 - w)))),
        Misconception("final-added",
                      {"en": "You add `final` to a line from 1 to 0, so the fall begins above 1. Only the share 1 - final falls: "
                             "final + (1 - final) · left.",
                       "zh": "你在从 1 到 0 的直线上加了 `final`，下降的起点就超过了 1。下降的只有 1 - final 这一部分："
                             "final + (1 - final) · left。"},
                      lambda s, n, w, f: (s + 1) / w if s < w else f + scale(s, n, w, 0.0)),
        Misconception("final-as-a-floor",
                      {"en": "You cut the line off at `final` (max). The line itself should end there, at the last step.",
                       "zh": "你用 max 把直线截在 `final`。应该是直线本身在最后一步到达它。"},
                      lambda s, n, w, f: max(f, scale(s, n, w, 0.0))),
        Misconception("final-ignored",
                      {"en": "`final` has no effect: the rate falls to 0.", "zh": "`final` 没有起作用：学习率降到了 0。"},
                      lambda s, n, w, f: scale(s, n, w, 0.0)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ clipping


def clip_gradients(gradients: list[Tensor], most: float) -> tuple[list[Tensor], float]:
    length = math.sqrt(sum(g.square().sum().item() for g in gradients))
    factor = most / length if length > most else 1.0
    return [g * factor for g in gradients], length


def clip_by(measure, always=False):
    """Clipping with another idea of the gradient's length."""

    def wrong(gradients, most):
        length = measure(gradients)
        factor = most / length if always or length > most else 1.0
        return [g * factor for g in gradients], length

    return wrong


def norm(gradients) -> float:
    return math.sqrt(sum(g.square().sum().item() for g in gradients))


def count(gradients) -> int:
    return sum(g.numel() for g in gradients)


def each_alone(gradients, most):
    return [clip_gradients([g], most)[0][0] for g in gradients], norm(gradients)


def gradients_of(rng: np.random.Generator, length: float, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Random gradients whose common length is `length`, each of them a good part of it."""
    parts = [rng.standard_normal(shape) for shape in shapes]
    parts = [p / np.sqrt((p**2).sum()) * rng.uniform(0.8, 1.2) for p in parts]
    whole = np.sqrt(sum((p**2).sum() for p in parts))
    return [torch.from_numpy((p * length / whole).astype(np.float32)) for p in parts]


CLIP = Exercise(
    "clip_gradients", STEP, clip_gradients,
    (
        Check("long", 1, {"en": "A gradient longer than `most` keeps its direction and gets the length `most`.",
                          "zh": "比 `most` 长的梯度保持方向，长度变成 `most`。"},
              lambda rng: [([torch.tensor([3.0, 4.0])], 1.0), (gradients_of(rng, 20.0, (4, 3)), 2.0)]),
        Check("short", 1, {"en": "A gradient no longer than `most` stays as it is.", "zh": "不超过 `most` 的梯度保持原样。"},
              lambda rng: [([torch.tensor([0.3, 0.4])], 1.0), (gradients_of(rng, 0.7, (3, 2)), 2.0)]),
        Check("zero", 1, {"en": "A gradient of zeros has length 0 and stays: nothing may be divided by its length.",
                          "zh": "全零的梯度长度为 0，保持原样：不能除以它的长度。"},
              lambda rng: [([torch.zeros(2)], 1.0), ([torch.zeros(2, 3), torch.zeros(1)], 0.5)]),
        Check("several", 2, {"en": "All tensors together are one vector: one length, one factor.",
                             "zh": "所有张量合起来是一个向量：一个长度，一个系数。"},
              lambda rng: [([torch.tensor([3.0]), torch.tensor([[4.0]])], 1.0),
                           (gradients_of(rng, 6.0, (2, 3), (4,)), 5.0), (gradients_of(rng, 10.0, (3,), (2, 2), (1, 5)), 2.0)]),
    ),
    (
        Misconception("zero-divided",
                      {"en": "`most / length` divides by zero when no gradient flows. Compute the factor only where the length is "
                             "above `most`.",
                       "zh": "梯度全为零时 `most / length` 除以了零。只在长度超过 `most` 时才计算系数。"},
                      lambda g, most: (lambda factor: ([x * factor for x in g], norm(g)))(min(1.0, most / norm(g)))),
        Misconception("always-rescaled",
                      {"en": "Every gradient gets the length `most`, short ones too: near a minimum, where gradients are small, "
                             "the steps would never become small. Rescale only what is longer.",
                       "zh": "每个梯度都被缩放到 `most`，短的也是：接近最小值时梯度很小，你的步子却永远小不下来。只缩短更长的梯度。"},
                      clip_by(norm, always=True)),
        Misconception("each-tensor-alone",
                      {"en": "You clip each tensor by its own length, which changes the direction of the whole gradient. One "
                             "length and one factor belong to all.",
                       "zh": "你按每个张量自己的长度分别裁剪，整个梯度的方向就变了。所有张量共用一个长度、一个系数。"},
                      each_alone),
        Misconception("each-number-alone",
                      {"en": "You clamp each number to ±most, which turns the gradient into another direction. Multiply all by "
                             "one factor.",
                       "zh": "你把每个数分别截到 ±most，梯度的方向就变了。应该全部乘同一个系数。"},
                      lambda g, most: ([x.clamp(-most, most) for x in g], norm(g))),
        Misconception("root-forgotten",
                      {"en": "The length is the root of the sum of squares; you left out the root.",
                       "zh": "长度是平方和的平方根；你漏了开方。"},
                      clip_by(lambda g: sum(x.square().sum().item() for x in g))),
        Misconception("mean-instead-of-sum",
                      {"en": "You take the root of the mean of squares: a large model would be clipped far too late. The length "
                             "is the root of the sum.",
                       "zh": "你取的是平方的平均再开方：参数多的模型会裁剪得太晚。长度是平方和的平方根。"},
                      clip_by(lambda g: norm(g) / math.sqrt(count(g)))),
        Misconception("lengths-added",
                      {"en": "You add up the lengths of the tensors. Squares add up, lengths do not: 3 and 4 at right angles "
                             "make 5.",
                       "zh": "你把各个张量的长度直接相加。可以相加的是平方，不是长度：互相垂直的 3 和 4 合成 5。"},
                      clip_by(lambda g: sum(x.norm().item() for x in g))),
        Misconception("length-afterwards",
                      {"en": "You return the length after clipping. The one before is wanted: it is what tells you of a bad batch.",
                       "zh": "你返回的是裁剪之后的长度。要的是裁剪之前的：它才能告诉你这一批数据有问题。"},
                      lambda g, most: (clip_gradients(g, most)[0], min(norm(g), most))),
    ),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------- AdamW


def adamw_step(parameter, gradient, mean, square, step, lr, betas, eps, weight_decay):
    return adamw(parameter, gradient, mean, square, step, lr, betas, eps, weight_decay)


def adamw(p, g, m, v, t, lr, betas, eps, decay, *, power=None, correct=True, swap=False, flip=False, l2=False,
          decay_rate=None, inside=False, root=True, keep_corrected=False, sign=1.0):  # fmt: skip
    """AdamW with one thing done another way."""
    one, two = reversed(betas) if swap else betas
    if l2:
        g = g + decay * p
    m, v = (one * m + (1 - one) * g, two * v + (1 - two) * g * g) if not flip else (
        (1 - one) * m + one * g, (1 - two) * v + two * g * g)  # fmt: skip
    t = t if power is None else power(t)
    corrected = (m / (1 - one**t), v / (1 - two**t)) if correct else (m, v)
    below = (corrected[1] + eps).sqrt() if inside else (corrected[1].sqrt() if root else corrected[1]) + eps
    kept = 1.0 if l2 else 1 - (lr * decay if decay_rate is None else decay_rate(decay))
    return (kept * p - sign * lr * corrected[0] / below, *(corrected if keep_corrected else (m, v)))


def bounded(rng: np.random.Generator, *shape: int) -> Tensor:
    """Numbers that are neither small nor large, of either sign."""
    values = rng.uniform(0.4, 2.0, shape) * rng.choice([-1.0, 1.0], shape)
    return torch.from_numpy(values.astype(np.float32))


def adamw_input(rng, shape, step, eps=1e-8, decay=0.0):
    """Parameter, gradient, averages (zero at the first step) and settings."""
    first = step == 1
    mean = torch.zeros(shape) if first else 0.5 * bounded(rng, *shape)
    square = torch.zeros(shape) if first else bounded(rng, *shape).abs()
    lr, betas = float(rng.uniform(0.05, 0.3)), (float(rng.uniform(0.7, 0.9)), float(rng.uniform(0.94, 0.99)))
    return bounded(rng, *shape), bounded(rng, *shape), mean, square, step, lr, betas, eps, decay


ADAMW = Exercise(
    "adamw_step", STEP, adamw_step,
    (
        Check("first-step", 2, {"en": "At the first update m̂ = g and v̂ = g²: each parameter moves by lr against its gradient.",
                                "zh": "第一次更新时 m̂ = g，v̂ = g²：每个参数逆着梯度移动 lr。"},
              lambda rng: [(torch.tensor([1.0]), torch.tensor([2.0]), torch.zeros(1), torch.zeros(1), 1, 0.1, (0.9, 0.95),
                            1e-8, 0.0), adamw_input(rng, (2, 3), 1)]),
        Check("later-step", 1, {"en": "At update t the averages are divided by 1 - β₁ᵗ and 1 - β₂ᵗ.",
                                "zh": "第 t 次更新时，平均值要除以 1 - β₁ᵗ 和 1 - β₂ᵗ。"},
              lambda rng: [adamw_input(rng, (1,), 2), adamw_input(rng, (3, 2), int(rng.integers(3, 9)))]),
        Check("weight-decay", 2, {"en": "Besides the step, the parameter loses lr · weight_decay of itself; the averages do not "
                                        "know of it.",
                                  "zh": "除了这一步之外，参数还要减去它自己的 lr · weight_decay 倍；平均值与此无关。"},
              lambda rng: [adamw_input(rng, (1,), 1, decay=0.2),
                           adamw_input(rng, (2, 2), int(rng.integers(2, 6)), decay=float(rng.uniform(0.1, 0.5)))]),
        Check("eps", 1, {"en": "eps is added to the root of v̂, after the correction.",
                         "zh": "eps 加在 √v̂ 上，在修正之后。"},
              lambda rng: [adamw_input(rng, (1,), 1, eps=0.5), adamw_input(rng, (2, 3), int(rng.integers(2, 6)), eps=0.3)]),
    ),
    (
        Misconception("no-bias-correction",
                      {"en": "m and v are not corrected for having begun at 0: at first both are far too small, and not equally. "
                             "Divide by 1 - β₁ᵗ and 1 - β₂ᵗ.",
                       "zh": "m 和 v 没有修正“从 0 开始”的偏差：开始时两者都太小，而且小的程度不同。要除以 1 - β₁ᵗ 和 1 - β₂ᵗ。"},
                      lambda *a: adamw(*a, correct=False)),
        Misconception("correction-without-power",
                      {"en": "You divide by 1 - β at every step; it should be 1 - βᵗ, which goes to 1 as the averages fill up.",
                       "zh": "每一步你都除以 1 - β；应该是 1 - βᵗ，随着平均值积累，它趋近于 1。"},
                      lambda *a: adamw(*a, power=lambda t: 1)),
        Misconception("step-counted-from-zero",
                      {"en": "You count the steps from 0, so the first correction divides by 1 - β⁰ = 0. `step` is 1 at the first "
                             "update: use it as it is.",
                       "zh": "你从 0 数步数，第一次修正就除以了 1 - β⁰ = 0。第一次更新时 `step` 就是 1：直接用它。"},
                      lambda *a: adamw(*a, power=lambda t: t - 1)),
        Misconception("step-counted-twice",
                      {"en": "You use step + 1, but `step` is 1 already at the first update: your correction is one step ahead.",
                       "zh": "你用了 step + 1，而第一次更新时 `step` 已经是 1：你的修正提前了一步。"},
                      lambda *a: adamw(*a, power=lambda t: t + 1)),
        Misconception("betas-swapped",
                      {"en": "β₁ belongs to the mean of the gradient, β₂ (the longer memory) to the mean of its square; yours are "
                             "swapped.",
                       "zh": "β₁ 属于梯度的平均，β₂（记得更久）属于梯度平方的平均；你把两个用反了。"},
                      lambda *a: adamw(*a, swap=True)),
        Misconception("weights-of-the-average-swapped",
                      {"en": "The old average should keep the share β and the new gradient get 1 - β; yours is the other way "
                             "round and hardly remembers anything.",
                       "zh": "旧的平均值应占 β，新的梯度占 1 - β；你的正好相反，几乎什么都记不住。"},
                      lambda *a: adamw(*a, flip=True)),
        Misconception("root-forgotten",
                      {"en": "You divide by v̂ instead of √v̂: a gradient twice as large would move its parameter half as far.",
                       "zh": "你除以了 v̂，应该除以 √v̂：否则梯度大一倍，参数反而只移动一半。"},
                      lambda *a: adamw(*a, root=False)),
        Misconception("corrected-averages-kept",
                      {"en": "You return m̂ and v̂. The averages go on uncorrected; corrected again at the next step, they would be "
                             "too large.",
                       "zh": "你返回的是 m̂ 和 v̂。平均值要不加修正地留到下一步；否则下一步又修正一次，就太大了。"},
                      lambda *a: adamw(*a, keep_corrected=True)),
        Misconception("uphill",
                      {"en": "The parameter moves with the gradient, uphill: the loss grows. Subtract the step.",
                       "zh": "参数顺着梯度走，是上坡：损失会变大。这一步要减去。"},
                      lambda *a: adamw(*a, sign=-1.0)),
        Misconception("l2-in-the-gradient",
                      {"en": "You add weight_decay · parameter to the gradient (L2, as in old Adam). Then it is divided by √v̂ like "
                             "the rest, and large gradients decay less. AdamW takes it off the parameter directly: decoupled.",
                       "zh": "你把 weight_decay · 参数 加进了梯度（L2，老 Adam 的做法）。这样它也会除以 √v̂，梯度大的参数反而衰减得少。"
                             "AdamW 直接从参数上减：解耦（decoupled）。"},
                      lambda *a: adamw(*a, l2=True)),
        Misconception("decay-not-scaled-by-lr",
                      {"en": "The decay takes off weight_decay of the parameter at each step; it should be lr · weight_decay, and so "
                             "follow the schedule.",
                       "zh": "每一步衰减去掉了参数的 weight_decay 倍；应该是 lr · weight_decay 倍，这样才会随日程变化。"},
                      lambda *a: adamw(*a, decay_rate=lambda d: d)),
        Misconception("eps-inside-the-root",
                      {"en": "eps stands inside the root: √(v̂ + eps). It should be added to the root: √v̂ + eps.",
                       "zh": "eps 放在了根号里：√(v̂ + eps)。应该加在根号外：√v̂ + eps。"},
                      lambda *a: adamw(*a, inside=True)),
    ),
)  # fmt: skip

LESSON = Lesson(6, "06_pretraining", {"en": "Stage 1: pretraining", "zh": "第一阶段：预训练"},
                (SIMILARITY, NEAR, BATCH, RATE, CLIP, ADAMW))  # fmt: skip
