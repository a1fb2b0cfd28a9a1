"""Exercises of lesson 1: counting n-grams, back-off, smoothing; the losses are in `l01_losses.py`."""

from collections.abc import Callable

import numpy as np

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.homework.lessons.l01_losses import BITS, CROSS_ENTROPY, PERPLEXITY

COUNTING = {"en": "Counting", "zh": "数一数"}
BACK_OFF = {"en": "Contexts never seen: back-off", "zh": "没见过的上文：回退"}
SMOOTH = {"en": "No probability may be zero: smoothing", "zh": "概率不能是零：平滑"}


# ------------------------------------------------------------------------------------------ count n-grams


def count_ngrams(tokens: list, n: int) -> dict[tuple, dict]:
    """{context of n - 1 tokens: {next token: how often}}"""
    return count_runs(tokens, range(len(tokens) - n + 1), n)


def count_runs(tokens, starts, n: int, key: Callable = tuple) -> dict:
    counts: dict = {}
    for i in starts:
        row = counts.setdefault(key(tokens[i : i + n - 1]), {})
        row[tokens[i + n - 1]] = row.get(tokens[i + n - 1], 0) + 1
    return counts


def count_padded(tokens, n):
    """With the shorter contexts at the beginning."""
    counts: dict = {}
    for i, token in enumerate(tokens):
        row = counts.setdefault(tuple(tokens[max(0, i - n + 1) : i]), {})
        row[token] = row.get(token, 0) + 1
    return counts


def letters(rng: np.random.Generator, length: int, alphabet: str = "玉山高的") -> list[str]:
    return [alphabet[i] for i in rng.integers(len(alphabet), size=length)]


def repetitive(rng: np.random.Generator, blocks: int) -> list[str]:
    """A text of four letters a b a c a b d again and again: pairs repeat, and no two neighbours are equal."""
    a, b, c, d = rng.permutation(list("玉山高的"))
    return [str(x) for x in (a, b, a, c, a, b, d) * blocks]


COUNT = Exercise(
    "count_ngrams", COUNTING, count_ngrams,
    (
        Check("bigrams", 1, {"en": "With n = 2 the context is a tuple of one token: {(\"a\",): {\"b\": 2, \"c\": 1}}.",
                             "zh": "n = 2 时上文是只含一个词元的元组：{(\"a\",): {\"b\": 2, \"c\": 1}}。"},
              lambda rng: [(list("abac"), 2), (repetitive(rng, 2), 2), ([7, 7, 3, *map(int, rng.integers(9, size=9))], 2),
                           ([0, 1, 0, 2, 0, 1], 2), (list("AaaAbB"), 2), (list(" a\n a\t\u3000b "), 2)]),
        Check("other-n", 2, {"en": "The context has n - 1 tokens in the order of the text; with n = 1 it is ().",
                             "zh": "上文有 n - 1 个词元，按原文的顺序；n = 1 时是 ()。"},
              lambda rng: [(list("abac"), 1), (list("abac"), 3), (repetitive(rng, 2), 3), (repetitive(rng, 3), 4), ([0, 1, 0, 0, 1, 2, 0, 1, 0], 3), ([0, 0, 3], 1),
                           (repetitive(rng, 3), int(rng.integers(6, 10)))]),
        Check("short-text", 1, {"en": "A text of n tokens has one n-gram; a shorter one has none: {}.",
                                "zh": "长度恰好是 n 的文本有一个 n 元组；更短的没有：{}。"},
              lambda rng: [([], 1), ([], 2), (["a"], 2), (["a"], 1), (["a", "b"], 2), (letters(rng, 3), 3),
                           (letters(rng, 3), 4)]),
    ),
    (
        Misconception("as-long-as-n-is-too-short",
                      {"en": "You return {} for a text of exactly n tokens. It has one n-gram; only fewer than n have none.",
                       "zh": "文本恰好有 n 个词元时你返回了 {}。它有一个 n 元组；少于 n 个时才没有。"},
                      lambda tokens, n: count_ngrams(tokens, n) if len(tokens) > n else {}),
        Misconception("last-ngram-lost",
                      {"en": "You stop one n-gram too early: a text of L tokens has L - n + 1 runs of n tokens, so the "
                             "starts are range(len(tokens) - n + 1).",
                       "zh": "你少数了最后一个 n 元组：长度为 L 的文本有 L - n + 1 个长度为 n 的片段，起点是 "
                             "range(len(tokens) - n + 1)。"},
                      lambda tokens, n: count_runs(tokens, range(len(tokens) - n), n)),
        Misconception("context-of-n-tokens",
                      {"en": "Your context has n tokens, which makes it an (n + 1)-gram. The n of an n-gram counts the "
                             "next token too: the context has n - 1.",
                       "zh": "你的上文有 n 个词元，这其实是 (n + 1) 元组。n 元组的 n 把下一个词元也算在内：上文只有 n - 1 个。"},
                      lambda tokens, n: count_ngrams(tokens, n + 1)),
        Misconception("only-the-neighbour",
                      {"en": "Whatever n is, your context is the one token before. It should be all n - 1 tokens before.",
                       "zh": "不管 n 是多少，你的上文都只有前面一个词元。应该是前面的全部 n - 1 个。"},
                      lambda tokens, n: count_ngrams(tokens, 2)),
        Misconception("seen-or-not",
                      {"en": "You note only that a token followed, not how often: add 1 each time instead of setting 1.",
                       "zh": "你只记了“出现过”，没有记出现了几次：每次要加 1，而不是设成 1。"},
                      lambda tokens, n: {c: dict.fromkeys(row, 1) for c, row in count_ngrams(tokens, n).items()}),
        Misconception("cut-into-blocks",
                      {"en": "You cut the text into blocks of n that do not overlap. Every position starts an n-gram: "
                             "move on by one token, not by n.",
                       "zh": "你把文本切成了互不重叠的 n 个一段。每个位置都是一个 n 元组的开头：每次只前进一个词元，不是 n 个。"},
                      lambda tokens, n: count_runs(tokens, range(0, len(tokens) - n + 1, n), n)),
        Misconception("shorter-contexts-at-the-start",
                      {"en": "You also count the first tokens, with contexts shorter than n - 1. They belong into the "
                             "tables of smaller n; start where the context is whole.",
                       "zh": "你把开头几个词元也算进去了，它们的上文不足 n - 1 个。那些属于更小的 n 的表；从上文完整的地方开始数。"},
                      count_padded),
        Misconception("context-backwards",
                      {"en": "Your context lists the nearest token first. Keep the order of the text, so that the end of "
                             "a text can be looked up as it is.",
                       "zh": "你的上文把最近的词元放在了最前面。要保持原文的顺序，这样文本的结尾可以原样拿去查表。"},
                      lambda tokens, n: count_runs(tokens, range(len(tokens) - n + 1), n, lambda c: tuple(c[::-1]))),
        Misconception("context-joined-to-a-string",
                      {"en": "Your context is one joined string. Then (\"1\", \"23\") and (\"12\", \"3\") become the same "
                             "context; use tuple(…).",
                       "zh": "你把上文拼成了一个字符串。这样 (\"1\", \"23\") 和 (\"12\", \"3\") 会变成同一个上文；请用 tuple(…)。"},
                      lambda tokens, n: count_runs(tokens, range(len(tokens) - n + 1), n,
                                                   lambda c: "".join(map(str, c)))),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ back-off


def shares(counts: dict) -> dict:
    total = sum(counts.values())
    return {token: count / total for token, count in counts.items()}


def seen_lengths(tables: list[dict], context: list) -> list[int]:
    """The k whose last k tokens of the context are in tables[k], longest first."""
    longest = min(len(tables) - 1, len(context))
    return [k for k in range(longest, -1, -1) if tuple(context[len(context) - k :]) in tables[k]]


def following(tables: list[dict], context: list, k: int) -> dict:
    return tables[k][tuple(context[len(context) - k :])]


def next_token_probabilities(tables: list[dict], context: list) -> dict:
    """The counts after the longest seen end of the context, as shares."""
    return shares(following(tables, context, seen_lengths(tables, context)[0]))


def from_the_front(tables, context):
    for k in range(min(len(tables) - 1, len(context)), -1, -1):
        if tuple(context[:k]) in tables[k]:
            return shares(tables[k][tuple(context[:k])])


def with_minus_k(tables, context):
    """context[-k:] is the whole context when k = 0."""
    for k in range(min(len(tables) - 1, len(context)), -1, -1):
        if tuple(context[-k:]) in tables[k]:
            return shares(tables[k][tuple(context[-k:])])
    return {}


def with_minus_k_to_none(tables, context):
    """The same from the longest table on, where nothing is returned when nothing was found."""
    for k in range(len(tables) - 1, -1, -1):
        if tuple(context[-k:]) in tables[k]:
            return shares(tables[k][tuple(context[-k:])])
    return None


def only_the_longest(tables, context):
    k = min(len(tables) - 1, len(context))
    return shares(tables[k].get(tuple(context[len(context) - k :]), {}))


def straight_to_no_context(tables, context):
    return only_the_longest(tables, context) or shares(tables[0][()])


def whole_context(tables, context):
    """Starts with tables[len(context)], which may not exist."""
    for k in range(len(context), -1, -1):
        if tuple(context[len(context) - k :]) in tables[k]:
            return shares(following(tables, context, k))


def all_tables(tokens: list, n: int) -> list[dict]:
    return [count_ngrams(tokens, k) for k in range(1, n + 1)]


def five(rng: np.random.Generator) -> list[str]:
    return [str(c) for c in rng.permutation(list("玉山富士高"))]


def mountain(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """A text in which the next token depends on one, two and three tokens before, and its five tokens."""
    a, b, c, d, e = names = five(rng)
    return [a, b, c, a, d, e, b, c, d, a, b, c, a, b, e, b, c, e, d, d, c, a, a], names


def seen(rng):
    for n in (2, 3, 4):
        text, (a, b, c, _, _) = mountain(rng)
        yield all_tables(text, n), [a, b, c][-(n - 1) :]
    yield all_tables([0, 1, 2, 0, 1, 0, 0, 1, 0, 2, 1], 3), [0, 1]  # ids, of which 0 is one


def half_seen(rng):
    """The longest context was not seen, a shorter one of at least one token was."""
    text, (a, b, c, d, e) = mountain(rng)
    yield all_tables(text, 3), [e, a]  # a alone
    yield all_tables(text, 4), [d, b, c]  # b c
    yield all_tables(text, 4), [a, "?", b]  # b
    yield all_tables(text, 4), [e, e, d]  # d
    yield all_tables([0, 1, 2, 0, 1, 0, 0, 1, 0, 2, 1], 4), [2, 2, 0]  # 0


def not_seen(rng):
    text, (a, b, _, _, _) = mountain(rng)
    yield all_tables(text, 2), ["?"]
    yield all_tables(text, 3), [a, "?"]
    yield all_tables(text, 3), []
    yield all_tables(text, 4), [a, b, "?"]


def long_context(rng):
    text, (a, b, c, d, e) = mountain(rng)
    yield all_tables(text, 2), [b, c, a]
    yield all_tables(text, 3), [e, a, d, b, c]
    yield all_tables(text, 1), [e, a]


NEXT = Exercise(
    "next_token_probabilities", BACK_OFF, next_token_probabilities,
    (
        Check("seen-context", 2, {"en": "The whole context was seen: its counts divided by their sum.",
                                  "zh": "整个上文都见过：它的计数除以计数之和。"}, seen),
        Check("back-off", 2, {"en": "The longest context was not seen: drop its first token and look again, one by one.",
                              "zh": "最长的上文没见过：去掉它的第一个词元再查，一个一个地去掉。"}, half_seen),
        Check("nothing-seen", 1, {"en": "Even the last token is new, or there is none: the context () remains.",
                                  "zh": "连最后一个词元都没见过，或者没有上文：还剩下空的上文 ()。"}, not_seen),
        Check("long-context", 1, {"en": "The text so far is longer than any context in the tables: only its end counts.",
                                  "zh": "前面的文本比表里任何上文都长：只看它的结尾。"}, long_context),
    ),
    (
        Misconception("counts-not-shares",
                      {"en": "You return counts. Probabilities add up to 1: divide each count by the sum of this "
                             "context's counts.",
                       "zh": "你返回的是计数。概率加起来等于 1：每个计数要除以这个上文的计数之和。"},
                      lambda tables, context: following(tables, context, seen_lengths(tables, context)[0])),
        Misconception("divided-by-the-whole-text",
                      {"en": "You divide by the number of tokens of the whole text. That is how often context and token "
                             "occur together; here the context is given: divide by the counts of this context.",
                       "zh": "你除以了整个文本的词元数，那是上文和词元一起出现的频率；这里上文是已知的：应该除以这个上文的计数之和。"},
                      lambda tables, context: {t: c / sum(tables[0][()].values()) for t, c in following(
                          tables, context, seen_lengths(tables, context)[0]).items()}),
        Misconception("only-the-likeliest",
                      {"en": "You return the most frequent token alone. Which token to take is decided later, by "
                             "sampling; here every token that followed keeps its share.",
                       "zh": "你只返回了最常见的词元。选哪个词元是后面采样时的事；这里每个出现过的词元都要保留自己的概率。"},
                      lambda tables, context: {max(p, key=p.__getitem__): 1.0} if (p := next_token_probabilities(
                          tables, context)) else {}),
        Misconception("straight-to-no-context",
                      {"en": "When the longest context is new you forget it all and take the frequencies of the whole "
                             "text. Drop one token at a time: a shorter end may have been seen.",
                       "zh": "最长的上文没见过时，你把它全部丢掉，直接用了整个文本的频率。要一次去掉一个词元：较短的结尾可能见过。"},
                      straight_to_no_context),
        Misconception("shortest-first",
                      {"en": "Only the context () is ever found, so the context has no effect. Either you begin with the shortest "
                             "(begin with the longest), or you look for k tokens in tables[k - 1]: those of k tokens are in "
                             "tables[k].",
                       "zh": "你总是只查到空的上文 ()，上文就不起作用了。要么是从最短的找起（应该从最长的找起），要么是拿 k 个词元去查 "
                             "tables[k - 1]：k 个词元的上文在 tables[k] 里。"},
                      lambda tables, context: shares(tables[0][()])),
        Misconception("longest-table-unused",
                      {"en": "The last table is never asked: tables[k] has contexts of k tokens, so k begins at "
                             "len(tables) - 1.",
                       "zh": "最后一张表从来没有用到：tables[k] 的上文有 k 个词元，所以 k 从 len(tables) - 1 开始。"},
                      lambda tables, context: next_token_probabilities(tables[:-1] or tables, context)),
        Misconception("front-of-the-context",
                      {"en": "You shorten the context at its end and keep its first tokens. What comes next depends most "
                             "on the last tokens: drop the first ones.",
                       "zh": "你从结尾缩短上文，留下了最前面的词元。下一个词元主要取决于最后几个词元：应该去掉前面的。"},
                      from_the_front),
        Misconception("minus-zero-slice",
                      {"en": "`context[-k:]` is the whole context when k = 0, because -0 is 0. Write "
                             "`context[len(context) - k:]`.",
                       "zh": "k = 0 时 `context[-k:]` 是整个上文，因为 -0 就是 0。请写 `context[len(context) - k:]`。"},
                      with_minus_k, (with_minus_k_to_none,)),
        Misconception("no-back-off",
                      {"en": "You look only for the longest context and give up when it was not seen. Then try the "
                             "context without its first token, and so on.",
                       "zh": "你只查最长的上文，没见过就放弃了。应该去掉第一个词元再查，依次下去。"},
                      only_the_longest),
        Misconception("longer-than-the-tables",
                      {"en": "You begin with a context as long as the whole text, but there are only len(tables) tables: "
                             "begin with k = min(len(tables) - 1, len(context)).",
                       "zh": "你从整个文本那么长的上文找起，可是只有 len(tables) 张表：从 k = min(len(tables) - 1, len(context)) 开始。"},
                      whole_context),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- smoothing


def smooth(counts: dict, shorter: dict) -> dict:
    """Witten-Bell: (count + K p) / (N + K)."""
    if not counts:
        return dict(shorter)
    return blend(counts, shorter, len(counts))


def blend(counts: dict, shorter: dict, weight: float) -> dict:
    total = sum(counts.values())
    return {token: (counts.get(token, 0) + weight * p) / (total + weight) for token, p in shorter.items()}


def distribution(rng: np.random.Generator, tokens: list) -> dict:
    parts = rng.permutation(np.arange(1, len(tokens) + 1))
    return {token: float(part / parts.sum()) for token, part in zip(tokens, parts, strict=True)}


def all_followed(rng):
    """Every token of the vocabulary followed, more than once on average, none as often as another."""
    for size in (2, 4):
        tokens = five(rng)[:size]
        times = rng.permutation(np.arange(2, size + 2))
        yield dict(zip(tokens, map(int, times), strict=True)), distribution(rng, tokens)


def some_followed(rng):
    for size in (1, 2, 3):
        tokens = five(rng)
        times = rng.permutation(np.arange(2, size + 2))
        yield dict(zip(tokens[:size], map(int, times), strict=True)), distribution(rng, tokens)
    a, b, *_ = with_0 = [0, *five(rng)]
    yield {a: 1, b: 3}, distribution(rng, with_0)  # once is often enough to count as a kind
    yield {b: 1}, distribution(rng, with_0)
    yield {a: 2}, {a: 0.75, b: 0.25, "?": 0.0}  # a share of 0 is a share


def none_followed(rng):
    for size in (2, 5):
        yield {}, distribution(rng, five(rng)[:size])


SMOOTHING = Exercise(
    "smooth", SMOOTH, smooth,
    (
        Check("all-followed", 1, {"en": "(count + K · shorter) / (N + K), N the sum of the counts, K the number of kinds.",
                                  "zh": "(count + K · shorter) / (N + K)，N 是计数之和，K 是不同词元的个数。"}, all_followed),
        Check("some-followed", 2, {"en": "Tokens that never followed this context still get a share, from the shorter one.",
                                   "zh": "从没跟在这个上文后面的词元也要有一份，由较短的上文给出。"}, some_followed),
        Check("context-never-seen", 1, {"en": "No counts: the shorter context decides alone.",
                                        "zh": "没有计数：完全由较短的上文决定。"}, none_followed, edge=True),
    ),
    (
        Misconception("nothing-divided-by-nothing",
                      {"en": "A context never seen has N = 0 and K = 0, and you divide by 0. Then the answer is `shorter` "
                             "itself.",
                       "zh": "没见过的上文 N = 0、K = 0，你除以了 0。这时答案就是 `shorter` 本身。"},
                      lambda counts, shorter: blend(counts, shorter, len(counts))),
        Misconception("half-and-half",
                      {"en": "You use K = N, so that counts and shorter context weigh the same however much was counted. "
                             "K is how many different tokens followed: len(counts).",
                       "zh": "你用了 K = N，于是不管数了多少，计数和较短的上文总是各占一半。K 是后面出现过几种不同的词元：len(counts)。"},
                      lambda counts, shorter: blend(counts, shorter, sum(counts.values()))),
        Misconception("one-for-k",
                      {"en": "You give the shorter context a fixed weight of 1. Its weight is K: a context after which "
                             "many different tokens came is likely to bring yet another.",
                       "zh": "你给较短的上文固定的权重 1。它的权重应该是 K：后面出现过很多种词元的上文，很可能再带来一种新的。"},
                      lambda counts, shorter: blend(counts, shorter, 1)),
        Misconception("vocabulary-for-k",
                      {"en": "You use the size of the vocabulary for K. K is how many different tokens followed this "
                             "context: len(counts).",
                       "zh": "你把词表大小当成了 K。K 是跟在这个上文后面的不同词元的个数：len(counts)。"},
                      lambda counts, shorter: blend(counts, shorter, len(shorter))),
        Misconception("not-adding-up-to-one",
                      {"en": "You divide by N alone. Counts N and the weight K of the shorter context are shared out "
                             "together: divide by N + K, or the sum is above 1.",
                       "zh": "你只除以了 N。计数 N 和较短上文的权重 K 是一起分的：要除以 N + K，否则总和大于 1。"},
                      lambda counts, shorter: {t: (counts.get(t, 0) + len(counts) * p) / sum(counts.values())
                                               for t, p in shorter.items()}),
        Misconception("one-or-the-other",
                      {"en": "Tokens that followed get their counts alone, only the others get the shorter context's "
                             "share: the sum is below 1. Add both for every token.",
                       "zh": "出现过的词元只得到计数，只有其余的词元得到较短上文的那一份：总和小于 1。每个词元都要把两部分加起来。"},
                      lambda counts, shorter: {
                          t: (counts.get(t) or len(counts) * p) / (sum(counts.values()) + len(counts))
                          for t, p in shorter.items()} if counts else dict(shorter)),
        Misconception("unseen-tokens-left-out",
                      {"en": "You return only the tokens that followed. The others are possible too, and a token without "
                             "a probability makes the loss infinite: go through `shorter`.",
                       "zh": "你只返回了出现过的词元。其余的也可能出现，没有概率的词元会让损失变成无穷大：请遍历 `shorter`。"},
                      lambda counts, shorter: {t: p for t, p in smooth(counts, shorter).items() if t in counts}),
    ),
)  # fmt: skip


LESSON = Lesson(
    1, "01_ngrams", {"en": "Next-token prediction by counting", "zh": "用计数做文字接龙"},
    (COUNT, NEXT, SMOOTHING, CROSS_ENTROPY, PERPLEXITY, BITS),
)  # fmt: skip
