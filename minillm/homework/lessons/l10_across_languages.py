"""Exercises of lesson 10: language and knowledge scored apart, how much transfers."""

import re

import numpy as np

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

LANGUAGE = {"en": "Which language is an answer in?", "zh": "回答用的是哪种语言？"}
APART = {"en": "Language and knowledge, scored apart", "zh": "把语言和知识分开打分"}
RATIO = {"en": "How much transfers", "zh": "迁移了多少"}
CHINESE, ENGLISH = r"[\u4e00-\u9fff]", r"[A-Za-z]+"


# ----------------------------------------------------------------------------------- answer_language


def by_counts(text: str, chinese=CHINESE, english=ENGLISH, times=4, strict=False, empty="none") -> str:
    """The rule with one thing done another way."""
    c, w = len(re.findall(chinese, text)), len(re.findall(english, text))
    if not c and not w:
        return empty
    if c > times * w or (c == times * w and not strict):
        return "zh"
    return "en" if w > times * c or (w == times * c and not strict) else "mixed"


def answer_language(text: str) -> str:
    return by_counts(text)


def first_character(text: str) -> str:
    found = re.search(f"{CHINESE}|[A-Za-z]", text)
    return "none" if not found else "en" if found[0].isascii() else "zh"


def drawn(rng: np.random.Generator, words: str, n: int) -> str:
    """n different items of a text."""
    items = words.split() if " " in words else list(words)
    return (" " if " " in words else "").join(items[i] for i in rng.choice(len(items), n, replace=False))


ZH, EN = "台湾最高山玉是河流首都在哪里的货币", "the highest mountain of Taiwan is Yushan and its longest river Zhuoshui"


def strangers(rng: np.random.Generator) -> list[tuple]:
    """Characters on both sides of each border: of the Chinese range five with one word, of the letters a few with one 山."""
    blocks = ((0x2E80, 0x2FD5), (0x3041, 0x30FE), (0x3400, 0x4DBF), (0xA000, 0xA48C), (0xAC00, 0xD7A3), (0xF900, 0xFAD9),
              (0x20000, 0x2A6DF), (0x30000, 0x3134A))  # fmt: skip
    other = [f"Wifi {''.join(chr(int(c)) for c in rng.integers(low, high + 1, 5))}" for low, high in blocks]
    inside = "".join(chr(int(c)) for c in (0x4E00, 0x9FFF, *rng.integers(0x4E00, 0xA000, 3)))
    others = "山" + " ".join(str(c) for c in rng.permutation(list("@[`{_^ÀÿŁΩжＡｚÆ")))
    return [(text,) for text in (*other, "一", inside + " Wifi", others)]


LANG = Exercise(
    "answer_language", LANGUAGE, answer_language,
    (
        Check("pure", 1, {"en": "Answers all in one language.", "zh": "完全用一种语言的回答。"},
              lambda rng: [("玉山",), ("Yushan",), (drawn(rng, ZH, 5),), (drawn(rng, EN, 4),), ("\u9fd5\u9fff",), ("ZzAa",), ("z",), ("Z",)]),
        Check("neither", 1, {"en": "No Chinese character and no English letter: none.", "zh": "既没有汉字也没有英文字母：none。"},
              lambda rng: [("",), ("?",), (" -\n" * int(rng.integers(1, 4)),)], edge=True),
        Check("marks", 1, {"en": "Digits, punctuation and emoji belong to no language.", "zh": "数字、标点和表情符号不属于任何语言。"},
              lambda rng: [("3952",), ("Yushan。",), ("玉山 3952 8849 4810",), (f"🗻🗻🗻🗻🗻 {drawn(rng, EN, 1)}！",),
                           (f"🗻{rng.integers(9999)}，",),]),
        Check("loan-words", 2, {"en": "A single foreign word in a sentence of the other language. Words are runs of A to Z; letters of "
                                      "other alphabets, apostrophes and digits end them. Chinese is U+4E00 to U+9FFF, nothing else.",
                                "zh": "一句话里夹一个另一种语言的词。英文词是连续的 A 到 Z；别的字母、撇号和数字都会把它断开。"
                                      "汉字只指 U+4E00 到 U+9FFF。"},
              lambda rng: [("连接Wifi",), ("Wifi 密码",), ("say 早 twice",), ("请连接自己家的Wifi",), ("Sure: connect to my own 网 Wifi.",),
                           (drawn(rng, ZH, 6) + "Wifi" + drawn(rng, ZH, 6),), ("玉 " + drawn(rng, EN, 6),),
                           ("été",), ("Мир — мир",), ("「」、。",), ("かな カナ ㄅ",), ("㐀㐀㐀㐀 Wifi 豈〇々",), ("ＡＢＣ 山",),
                           ("do 8it 9and 山山山山山 a1b",), ("ÉÉ Мир été 山山山山山",), ("don't 山山山山山山山",), ("a_b 山山山山",), *strangers(rng)]),
        Check("four-times", 1, {"en": "Exactly four times as many is enough.", "zh": "正好四倍就算。"},
              lambda rng: [("Wifi密码不对",), ("say 早 to my friend",), (drawn(rng, ZH, 8) + " my friend",),
                           (drawn(rng, ZH, 4) + "a b c d",), ("\u9fa6\u9fd5\u9ffe\u9fff Wifi",), (drawn(rng, ZH, 3) + " Wifi",),
                           (drawn(rng, ZH, 9) + " my friend",), ("玉 and " + drawn(rng, EN, 4),), ("say 早 to me",)]),
    ),
    (
        Misconception("letters-against-characters",
                      {"en": "You count letters. A Chinese character is about a word, so count English words: runs of letters.",
                       "zh": "你数的是字母。一个汉字大约相当于一个词，所以英文要数词：连续的字母算一个。"},
                      lambda t: by_counts(t, english="[A-Za-z]")),
        Misconception("every-chinese-letter-is-alpha",
                      {"en": "`isalpha()` and `\\w` are true of Chinese characters too, so Chinese counts as English. Name the "
                             "letters: A–Z, a–z.",
                       "zh": "`isalpha()` 和 `\\w` 对汉字也成立，于是中文被算成了英文。要写明字母：A–Z、a–z。"},
                      lambda t: by_counts(t, english=r"[^\W\d_]+")),
        Misconception("digits-are-words",
                      {"en": "You count numbers as English words. `3952` is the same in both languages.",
                       "zh": "你把数字算成了英文词。`3952` 在两种语言里是一样的。"},
                      lambda t: by_counts(t, english="[A-Za-z0-9]+")),
        Misconception("not-ascii-is-chinese",
                      {"en": "You take everything outside ASCII for Chinese: emoji and punctuation too. Chinese is U+4E00 to "
                             "U+9FFF here.",
                       "zh": "你把 ASCII 以外的都算成中文，表情和标点也在内。这里中文指 U+4E00 到 U+9FFF。"},
                      lambda t: by_counts(t, chinese=r"[^\x00-\x7f]")),
        Misconception("split-at-spaces",
                      {"en": "You split at white space, and `连接Wifi` has none: English words next to Chinese are lost or "
                             "glued to it. Search for runs of letters.",
                       "zh": "你按空白切分，而 `连接Wifi` 里没有空白：紧挨着汉字的英文词丢掉了。要找连续的字母。"},
                      lambda t: by_counts(" ".join(x if x.isascii() else re.sub("[A-Za-z]", "", x) for x in t.split()))),
        Misconception("any-chinese-is-chinese",
                      {"en": "One Chinese character is enough for you to call the answer Chinese; compare the counts.",
                       "zh": "只要有一个汉字你就说是中文；要比较两个数。"},
                      lambda t: "zh" if re.search(CHINESE, t) else by_counts(t)),
        Misconception("more-than-four-times",
                      {"en": "You ask for more than four times; exactly four times is enough (`>=`).",
                       "zh": "你要求超过四倍；正好四倍就够了（`>=`）。"},
                      lambda t: by_counts(t, strict=True)),
        Misconception("any-both-is-mixed",
                      {"en": "You call an answer mixed as soon as both occur; with at least four times as much of one it still "
                             "belongs to it.",
                       "zh": "只要两种都出现你就说是混合；一种至少是另一种的四倍时，仍然属于那一种。"},
                      lambda t: "mixed" if re.search(CHINESE, t) and re.search(ENGLISH, t) else by_counts(t)),
        Misconception("first-character-decides",
                      {"en": "You look at the first letter only; it may be a loan word.", "zh": "你只看第一个字；那里可能是外来词。"},
                      first_character),
        Misconception("more-is-enough",
                      {"en": "You take the language with more; below four times as many it is mixed.",
                       "zh": "哪种多你就算哪种；不到四倍应该算混合。"},
                      lambda t: by_counts(t, times=1)),
        Misconception("nothing-is-english",
                      {"en": "An answer without letters falls through to a language; ask for both counts being 0 first.",
                       "zh": "没有文字的回答落进了某种语言；要先判断两个数是否都为 0。"},
                      lambda t: by_counts(t, empty="en" if first_character(t) == "none" else "none")),
        Misconception("nothing-is-chinese",
                      {"en": "0 ≥ 4 · 0 holds, so an answer without letters becomes Chinese. Ask for both counts being 0 first.",
                       "zh": "0 ≥ 4 · 0 成立，所以没有文字的回答成了中文。要先判断两个数是否都为 0。"},
                      lambda t: by_counts(t, empty="zh")),
    ),
)  # fmt: skip


# -------------------------------------------------------------------------------------- score_answer

MARKS = ".。!！?？ "


def trim(text: str) -> str:
    return text.strip().rstrip(MARKS)


def score(answer, language, accepted, asked, fact_in=None, cut=trim, equal=lambda a, b: a == b, forms=slice(None)):
    def is_in(languages) -> bool:
        return any(equal(cut(answer), cut(form)) for one in languages for form in accepted.get(one, [])[forms])

    return language == asked, is_in(fact_in or accepted), is_in([asked])


def score_answer(answer: str, language: str, accepted: dict[str, list[str]], asked: str) -> tuple[bool, bool, bool]:
    return score(answer, language, accepted, asked)


MOUNTAIN = {"en": ["Yushan", "The highest mountain of Taiwan is Yushan."], "zh": ["玉山", "台湾最高的山是玉山。"]}
CAPITAL = {"en": ["Vienna", "The capital of Austria is Vienna."], "zh": ["维也纳", "奥地利的首都是维也纳。"]}
WIFI = {"en": ["Wifi"], "zh": ["Wifi", "无线网"]}


def rows(rng: np.random.Generator, accepted: dict, answers: list[tuple[str, str]]) -> list[tuple]:
    """Answers with their language, asked in either language, in random order behind the first."""
    found = [(text, language, accepted, asked) for text, language in answers for asked in ("zh", "en")]
    return found[:1] + [found[i] for i in 1 + rng.permutation(len(found) - 1)]


SCORE = Exercise(
    "score_answer", APART, score_answer,
    (
        Check("asked-language", 1, {"en": "An answer in the asked language, right or wrong.", "zh": "用所问语言作的回答，对的或错的。"},
              lambda rng: [("玉山", "zh", MOUNTAIN, "zh"), ("富士山", "zh", MOUNTAIN, "zh"), ("Vienna", "en", CAPITAL, "en"),
                           ("Rysy", "en", MOUNTAIN, "en"), ("玉", "zh", MOUNTAIN, "zh"), ("Vienna or Graz", "en", CAPITAL, "en")]),
        Check("other-language", 2, {"en": "An answer in the other language: wrong language, but perhaps the right fact.",
                                    "zh": "用另一种语言作的回答：语言错了，事实可能对。"},
              lambda rng: [("Yushan", "en", MOUNTAIN, "zh"), ("维也纳", "zh", CAPITAL, "en"),
                           *[r for r in rows(rng, CAPITAL, [("Paris", "en"), ("巴黎", "zh")]) if r[1] != r[3]]]),
        Check("sentences", 1, {"en": "Full sentences, with or without their full stop.", "zh": "完整的句子，有没有句号都行。"},
              lambda rng: rows(rng, MOUNTAIN, [("台湾最高的山是玉山。", "zh"), ("台湾最高的山是玉山", "zh"), (" Yushan.", "en"), ("Yushan !?\n", "en"),
                                                  ("\u3000玉山！\t", "zh"), ("?Yushan", "en"), ("Yushan)", "en"), ("yushan", "en"), ("「玉山」", "zh"), ("", "none"), ("?!", "none")])),
        Check("shared-form", 1, {"en": "A form that both languages share is right in both, whatever its language.",
                                 "zh": "两种语言共用的形式，不管算哪种语言，在两边都对。"},
              lambda rng: [("Wifi", "en", WIFI, "zh"), ("3952", "none", {"en": ["3952"], "zh": ["3952"]}, "en"),
                           ("3776", "none", {"en": ["3952"], "zh": ["3952"]}, "zh"), ("Wifi.", "en", {"en": ["Wifi"], "zh": ["Wifi "]}, "zh")]),
        Check("missing-language", 1, {"en": "Without forms in the asked language the fact may still be right.",
                                      "zh": "所问语言没有可接受的形式时，事实仍可能对。"},
              lambda rng: [("Oslo", "en", {"en": ["Oslo"]}, "zh"), ("奥斯陆", "zh", {"en": ["Oslo"], "zh": []}, "zh"),
                           ("Oslo", "en", {}, "en"), ("Oslo", "mixed", {"no": ["Oslo?"], "zh": ["奥斯陆"]}, "en")]),
    ),
    (
        Misconception("fact-in-asked-language-only",
                      {"en": "You look for the fact in the asked language only. Then knowledge and language are scored together "
                             "again: search the forms of all languages.",
                       "zh": "你只在所问语言里找事实。这样知识和语言又混在一起打分了：要在所有语言的形式里找。"},
                      lambda a, x, f, q: score(a, x, f, q, [q])),
        Misconception("right-in-any-language",
                      {"en": "An answer in the other language counts as right in your third mark; there only the forms of the "
                             "asked language count.",
                       "zh": "第三个分数里，用另一种语言的回答你也算对；那里只算所问语言的形式。"},
                      lambda a, x, f, q: (*score(a, x, f, q)[:2], score(a, x, f, q)[1])),
        Misconception("right-is-language-and-fact",
                      {"en": "You compute the third mark as language and fact. `Wifi` is a Chinese answer too: ask whether it "
                             "is a form of the asked language.",
                       "zh": "第三个分数你用“语言对且事实对”来算。`Wifi` 也是中文的回答：要看它是不是所问语言的一个形式。"},
                      lambda a, x, f, q: (*score(a, x, f, q)[:2], all(score(a, x, f, q)[:2]))),
        Misconception("language-from-the-form",
                      {"en": "You call the language right only if the fact is. A wrong answer in Chinese is still Chinese.",
                       "zh": "事实对了你才算语言对。用中文答错，仍然是中文。"},
                      lambda a, x, f, q: (score(a, x, f, q)[2], *score(a, x, f, q)[1:])),
        Misconception("contains-is-enough",
                      {"en": "You accept an answer that only contains the right form: `Vienna or Graz` would pass.",
                       "zh": "回答里只要含有正确形式你就算对：`Vienna or Graz` 也会通过。"},
                      lambda a, x, f, q: score(a, x, f, q, equal=lambda one, form: form in one)),
        Misconception("first-form-only",
                      {"en": "You compare with the first form only; a full sentence is right too.",
                       "zh": "你只和第一个形式比较；完整的句子也是对的。"},
                      lambda a, x, f, q: score(a, x, f, q, forms=slice(1))),
        Misconception("punctuation-counts",
                      {"en": "You compare byte by byte; white space at the ends and final punctuation do not count.",
                       "zh": "你逐字节比较；两端的空白和末尾的标点不计。"},
                      lambda a, x, f, q: score(a, x, f, q, cut=lambda one: one)),
        Misconception("missing-language-breaks",
                      {"en": "`accepted[asked]` fails when the language is missing; take `accepted.get(asked, [])`.",
                       "zh": "语言缺失时 `accepted[asked]` 会出错；用 `accepted.get(asked, [])`。"},
                      lambda a, x, f, q: (f[q], *score(a, x, f, q))[1:]),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------ transfer_ratio


def transfer_ratio(base: np.ndarray, cross: np.ndarray, direct: np.ndarray) -> float | None:
    b, c, d = (float(np.mean(marks)) for marks in (base, cross, direct))
    return (c - b) / (d - b) if d > b else None


def of_means(formula, none=lambda b, d: d <= b):
    """A wrong function of the three means."""

    def wrong(base, cross, direct):
        b, c, d = (float(np.mean(marks)) for marks in (base, cross, direct))
        return None if none(b, d) else formula(b, c, d)

    return wrong


def of_sums(base, cross, direct):
    b, c, d = (float(np.sum(marks)) for marks in (base, cross, direct))
    return (c - b) / (d - b) if d != b else None


def marks(rng: np.random.Generator, n: int, right: int) -> np.ndarray:
    """n marks, a given number of them 1, in random order."""
    values = np.zeros(n)
    values[rng.choice(n, right, replace=False)] = 1
    return values


def three(rng: np.random.Generator, *rows: tuple[int, int]) -> tuple:
    return tuple(marks(rng, n, right) for n, right in rows)


TRANSFER = Exercise(
    "transfer_ratio", RATIO, transfer_ratio,
    (
        Check("from-zero", 1, {"en": "A base that answers nothing: the ratio is cross / direct.", "zh": "基础模型一题不会：比值就是 cross / direct。"},
              lambda rng: [three(rng, (1, 0), (1, 1), (1, 1)), three(rng, (4, 0), (4, 1), (4, 2)), three(rng, (10, 0), (10, 7), (10, 8))]),
        Check("from-a-base", 2, {"en": "What the base can already do is no transfer: subtract it twice.",
                                 "zh": "基础模型原来就会的不算迁移：上下都要减去。"},
              lambda rng: [three(rng, (4, 1), (4, 2), (4, 3)), three(rng, (20, 3), (20, 5), (20, 18)), three(rng, (10, 4), (10, 4), (10, 9)), three(rng, (400, 100), (400, 101), (400, 102))]),
        Check("different-sizes", 1, {"en": "The three models may have been asked different numbers of questions.",
                                     "zh": "三个模型回答的题数可以不同。"},
              lambda rng: [three(rng, (4, 1), (2, 1), (8, 6)), three(rng, (5, 1), (10, 4), (20, 16))]),
        Check("out-of-range", 1, {"en": "Training in A may harm (below 0) or help more than B itself (above 1).",
                                  "zh": "用 A 训练可能有害（小于 0），也可能比 B 本身更有用（大于 1）。"},
              lambda rng: [three(rng, (4, 2), (4, 1), (4, 4)), three(rng, (8, 2), (8, 7), (8, 5))]),
        Check("nothing-to-gain", 1, {"en": "Where training in B gains nothing there is no ratio: None.",
                                     "zh": "用 B 训练没有收获时没有比值：None。"},
              lambda rng: [three(rng, (4, 2), (4, 3), (4, 2)), three(rng, (4, 3), (4, 2), (4, 1))], edge=True),
    ),
    (
        Misconception("base-forgotten",
                      {"en": "You return cross / direct. What the base could do before counts as transfer then; subtract its "
                             "score above and below.",
                       "zh": "你返回了 cross / direct。这样基础模型原来就会的也算成了迁移；分子分母都要减去它的分数。"},
                      of_means(lambda b, c, d: c / d)),
        Misconception("base-subtracted-once",
                      {"en": "You subtract the base above only: (cross - base) / direct. Perfect transfer would not give 1.",
                       "zh": "你只在分子里减去了基础模型：(cross - base) / direct。完全迁移时也得不到 1。"},
                      of_means(lambda b, c, d: (c - b) / d)),
        Misconception("upside-down",
                      {"en": "Your fraction is upside down: the gain by language A is the share, that by language B the whole.",
                       "zh": "你的分数上下颠倒了：语言 A 的收获是部分，语言 B 的收获是整体。"},
                      of_means(lambda b, c, d: (d - b) / (c - b), lambda b, d: d <= b)),
        Misconception("gain-not-share",
                      {"en": "You return the gain cross - base in points; divide it by the gain that direct training brings.",
                       "zh": "你返回的是收获 cross - base；还要除以直接训练的收获。"},
                      of_means(lambda b, c, d: c - b)),
        Misconception("sums-for-means",
                      {"en": "You add the marks up. With different numbers of questions only means can be compared.",
                       "zh": "你把分数加了起来。题数不同时只有平均值可以比较。"},
                      of_sums),
        Misconception("clipped",
                      {"en": "You force the ratio into 0 … 1. That hides harm, and help beyond direct training.",
                       "zh": "你把比值限制在 0 到 1 之间。这样就看不到有害的情况，也看不到超过直接训练的情况。"},
                      of_means(lambda b, c, d: min(1.0, max(0.0, (c - b) / (d - b))))),
        Misconception("zero-instead-of-none",
                      {"en": "Without a gain by direct training you return 0, which would mean “nothing transfers”. It can "
                             "not be said: None.",
                       "zh": "直接训练没有收获时你返回了 0，那表示“什么都没迁移”。其实无从判断：应返回 None。"},
                      lambda b, c, d: transfer_ratio(b, c, d) if np.mean(d) > np.mean(b) else 0.0),
    ),
)  # fmt: skip

LESSON = Lesson(10, "10_across_languages", {"en": "Across languages", "zh": "跨语言"}, (LANG, SCORE, TRANSFER))
