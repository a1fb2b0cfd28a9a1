"""Exercises of lesson 9: choosing a data set, exact match, its interval."""

import numpy as np

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

CHOOSING = {"en": "Choosing a small data set", "zh": "挑选一个小数据集"}
MARKING = {"en": "Exact match", "zh": "精确匹配"}
INTERVAL = {"en": "How sure is the score?", "zh": "分数有多可靠？"}


# -------------------------------------------------------------------------------------- choose_pairs


def same_question(record: dict) -> str:
    return " ".join(record["question"].lower().split())


def is_usable(record: dict) -> bool:
    return bool(record["good"] and record["question"].strip() and record["answer"].strip())


def distinct(records: list[dict], usable=is_usable, key=same_question, last=False, clean_first=True) -> list[int]:
    """Positions of usable records, the first (or last) of each question."""
    found: dict = {}
    for i, record in enumerate(records):
        if clean_first and not usable(record):
            continue
        if last:
            found[key(record)] = i
        else:
            found.setdefault(key(record), i)
    return [i for i in sorted(found.values()) if usable(records[i])]


def take_turns(records: list[dict], left: list[int], budget: int, in_turn=list, whole_rounds=False) -> list[int]:
    queues: dict[str, list[int]] = {}
    for i in left:
        queues.setdefault(records[i]["type"], []).append(i)
    taken: list[int] = []
    while any(queues.values()) and len(taken) < budget:
        for kind in in_turn(queues):
            if queues[kind] and (whole_rounds or len(taken) < budget):
                taken.append(queues[kind].pop(0))
    return taken


def choose_pairs(records: list[dict], budget: int) -> list[int]:
    return take_turns(records, distinct(records), budget)


def equal_parts(records: list[dict], budget: int) -> list[int]:
    """The same number of each type, whatever is left over."""
    left = distinct(records)
    kinds = list(dict.fromkeys(records[i]["type"] for i in left))
    part = budget // len(kinds) if kinds else 0
    firsts = {kind: [i for i in left if records[i]["type"] == kind][:part] for kind in kinds}
    return [firsts[kind][r] for r in range(part) for kind in kinds if r < len(firsts[kind])]


def record(question: str, answer: str = "yes", kind: str = "a", good: bool = True) -> dict:
    return {"question": question, "answer": answer, "type": kind, "good": good}


def some(rng: np.random.Generator, kinds: str, prefix: str = "question") -> list[dict]:
    """Good records with different questions, one for each letter of `kinds`."""
    return [record(f"{prefix} {rng.integers(100)} {i}", f"answer {i}", kind) for i, kind in enumerate(kinds)]


def shuffled(rng: np.random.Generator, records: list[dict]) -> list[dict]:
    return [records[i] for i in rng.permutation(len(records))]


def with_bad_ones(rng: np.random.Generator) -> list[dict]:
    bad = [record("a bad one", good=False), record("no answer", ""), record("white space", " \n"), record("  ", "yes")]
    return shuffled(rng, some(rng, "aaa") + bad)


def with_copies(rng: np.random.Generator) -> list[dict]:
    return [*some(rng, "a"), record("Who  are you?", "AI"), record("台湾最高的山是哪座？", "玉山"),
            record(" who are YOU?\n", "an AI"), *some(rng, "a", "other"), record("台湾最高的山是哪座？", "玉山"), record("台湾最高的山 是哪座？", "玉山")]  # fmt: skip


def nearly_the_same() -> list[dict]:
    """Questions of which some are the same by the rule and others only look like it."""
    questions = ("You are?", "You are.", "You are", "a b", "ab", "a  b", "\tA\n\nB ", "Été\u3000?", "été ?", "ete ?", "Мир", "мир",
                 "It's", "Its", "Straße", "STRASSE", "Ａ?", "a?")  # fmt: skip
    return [record(question) for question in questions]


CHOOSE = Exercise(
    "choose_pairs", CHOOSING, choose_pairs,
    (
        Check("clean", 1, {"en": "Good records of different questions and one type: the first ones, up to the budget.",
                           "zh": "全是好记录、问题各不相同、只有一种类型：从头取，到预算为止。"},
              lambda rng: [([], 2), (some(rng, "aa"), 1), (some(rng, "aaa"), 5)]),
        Check("bad-records", 1, {"en": "Records that are not good, or without question or answer, are left out.",
                                 "zh": "不好的记录、没有问题或没有回答的记录都要去掉。"},
              lambda rng: [([record("one", good=False), record("two")], 2), ([record("one", " "), record("two")], 2),
                           ([record("one"), record("\t", "two")], 2), (with_bad_ones(rng), 7),
                           ([record("one", "\u3000\r\n"), record("two")], 2)]),
        Check("duplicates", 2, {"en": "The same question twice counts once, whatever its case and white space.",
                                "zh": "同一个问题只算一次，不管大小写和空白。"},
              lambda rng: [([record("Who?", "I"), record("Who?", "I")], 2), ([record("Who?", "I"), record("Who?", "he")], 2),
                           ([record("Who?", "I"), record(" who? ", "I")], 2), (with_copies(rng), 7),
                           (nearly_the_same(), 20)]),
        Check("bad-copy-first", 1, {"en": "A bad record must not push out a good one with the same question.",
                                    "zh": "坏记录不能把问题相同的好记录挤掉。"},
              lambda rng: [([record("Who?", "no idea", good=False), record("Who?", "I")], 2),
                           ([record("Who?", ""), *some(rng, "aa"), record("who?", "I"), record("Who?", "he")], 9)]),
        Check("types", 2, {"en": "One record of each type in turn, the types in the order of their first record.",
                           "zh": "各类型轮流各取一条，类型按第一次出现的顺序。"},
              lambda rng: [(some(rng, "bba"), 2), (some(rng, "ccabab"), 3), (some(rng, "bbbbaaacc"), 6),
                           ([record("x", kind="b", good=False), *some(rng, "abab")], 4),
                           ([record("Who?", "I", "b"), record("who?", "he"), record("I?"), record("You?", kind="b")], 2),
                           ([*some(rng, "a"), record("y", kind="c"), record("Y", kind="b"), *some(rng, "cb", "other")], 9),
                           (some(rng, "AAaBb"), 4), ([record("x", kind=""), *some(rng, "a"), record("y", kind="")], 2)]),
        Check("uneven", 1, {"en": "A budget that is no multiple of the types, and types that run out.",
                            "zh": "预算不是类型数的倍数，以及有的类型先用完。"},
              lambda rng: [(some(rng, "a"), 0), (some(rng, "bab"), 3), (some(rng, "bbbaa"), 3), (some(rng, "cbbbbac"), 6)]),
    ),
    (
        Misconception("first-come-first-served",
                      {"en": "You take the first clean records up to the budget. Then the most frequent type fills the "
                             "set; take turns over the types, so that each is taught.",
                       "zh": "你从头取干净的记录，取满预算为止。这样最多的那一类会占满数据集；要在各类型之间轮流取，让每一类都教到。"},
                      lambda r, b: distinct(r)[:b]),
        Misconception("bad-records-kept",
                      {"en": "Records marked as not good stay in your set. Noise in the answers is what costs most: leave "
                             "out every record whose `good` is False.",
                       "zh": "标为不好的记录还在你的数据集里。回答里的噪声代价最大：`good` 为 False 的记录都要去掉。"},
                      lambda r, b: take_turns(r, distinct(r, lambda x: x["question"].strip() and x["answer"].strip()), b)),
        Misconception("duplicates-kept",
                      {"en": "The same question is taken twice: the second copy uses up the budget and teaches nothing new.",
                       "zh": "同一个问题取了两次：第二份占了预算，却没有教新东西。"},
                      lambda r, b: take_turns(r, [i for i, x in enumerate(r) if is_usable(x)], b)),
        Misconception("copies-compared-byte-by-byte",
                      {"en": "`Who?` and ` who? ` are different questions to you. Compare them in lower case and with white "
                             "space folded: `\" \".join(q.lower().split())`.",
                       "zh": "在你的代码里 `Who?` 和 ` who? ` 是两个问题。先转成小写并合并空白再比较：`\" \".join(q.lower().split())`。"},
                      lambda r, b: take_turns(r, distinct(r, key=lambda x: x["question"]), b)),
        Misconception("copies-need-the-same-answer",
                      {"en": "You call two records copies only if question and answer agree. The same question with two "
                             "answers is worse than a copy: keep the first only.",
                       "zh": "问题和回答都相同你才算重复。同一个问题有两种回答比重复更糟：只留第一条。"},
                      lambda r, b: take_turns(r, distinct(r, key=lambda x: (same_question(x), x["answer"])), b)),
        Misconception("last-copy-wins",
                      {"en": "You keep the last record of a question (as a dict that is overwritten does); the rule says the first.",
                       "zh": "同一个问题你留下了最后一条（反复写同一个字典键就会这样）；规则要求留第一条。"},
                      lambda r, b: take_turns(r, distinct(r, last=True), b)),
        Misconception("duplicates-before-cleaning",
                      {"en": "You look for copies before the bad records are gone, so a bad record pushes out the good one "
                             "that asks the same. Clean first.",
                       "zh": "你在去掉坏记录之前就去重，于是坏记录把问题相同的好记录挤掉了。先清洗，再去重。"},
                      lambda r, b: take_turns(r, distinct(r, clean_first=False), b)),
        Misconception("types-by-alphabet",
                      {"en": "The types take turns in alphabetical order; they should in the order of their first record.",
                       "zh": "你按字母顺序轮流取类型；应该按各类型第一次出现的顺序。"},
                      lambda r, b: take_turns(r, distinct(r), b, sorted)),
        Misconception("equal-parts",
                      {"en": "You give each type `budget // types` places. What does not divide, and the places of a type "
                             "that runs out, are lost; go round until the budget is used.",
                       "zh": "你给每个类型 `budget // 类型数` 个名额。除不尽的余数和用完的类型的名额都浪费了；要一轮一轮取，直到预算用完。"},
                      equal_parts),
        Misconception("whole-rounds",
                      {"en": "You test the budget only after a whole round, and take more than it allows.",
                       "zh": "你在整轮结束后才检查预算，取得超过了预算。"},
                      lambda r, b: take_turns(r, distinct(r), b, whole_rounds=True)),
        Misconception("sorted-at-the-end",
                      {"en": "The right records, but sorted by position. Return them in the order of taking: then a smaller "
                             "budget is a beginning of a larger one.",
                       "zh": "记录选对了，但按位置排了序。要按取的顺序返回：这样小预算的结果就是大预算结果的开头。"},
                      lambda r, b: sorted(choose_pairs(r, b))),
    ),
)  # fmt: skip


# --------------------------------------------------------------------------------------- exact_match

MARKS = ".。!！?？ "


def trim(text: str) -> str:
    return text.strip().rstrip(MARKS)


def mark(
    answers, accepted, own=trim, theirs=trim, equal=lambda a, b: a == b, ended=True, forms=slice(None)
) -> list[bool]:
    """Exact match with one thing done another way."""
    return [
        any(equal(own(text), theirs(form)) for form in right[forms]) and (stopped or not ended)
        for (text, stopped), right in zip(answers, accepted, strict=True)
    ]


def exact_match(answers: list[tuple[str, bool]], accepted: list[list[str]]) -> list[bool]:
    return mark(answers, accepted)


def asked(*rows: tuple) -> tuple:
    """(answer, ended, forms…) rows as arguments."""
    return [(text, ended) for text, ended, *_ in rows], [list(forms) for _, _, *forms in rows]


def places(rng: np.random.Generator) -> list[tuple]:
    rows = [("Budapest", True, "Budapest"), ("Vienna", True, "Budapest"), ("玉山", True, "玉山"), ("玉", True, "玉山"),
            ("", True, "Oslo")]  # fmt: skip
    return [rows[i] for i in rng.permutation(len(rows))]


FULL = ("Budapest", "The capital of Hungary is Budapest", "Budapest is the capital of Hungary")
EXACT = Exercise(
    "exact_match", MARKING, exact_match,
    (
        Check("bare", 1, {"en": "One accepted form: right if the whole answer equals it.",
                          "zh": "只有一个可接受的形式：整个回答与它相同才算对。"},
              lambda rng: [([], []), asked(("Paris", True, "Paris")), asked(("Paris or London", True, "Paris")),
                           asked(("paris", True, "Paris")), asked(*places(rng))]),
        Check("ended", 1, {"en": "An answer that never came to its [END] is not right.", "zh": "没有以 [END] 结束的回答不算对。"},
              lambda rng: [asked(("Paris", False, "Paris")), asked(("玉山", False, "玉山"), ("玉山", True, "玉山"), ("玉", True, "玉山"))]),
        Check("forms", 1, {"en": "Any of the accepted forms will do.", "zh": "可接受的形式中任何一个都算对。"},
              lambda rng: [asked((FULL[1], True, *FULL)), asked(*((f, True, *FULL) for f in FULL), ("Vienna", True, *FULL)),
                           asked(("Paris", True, "Oslo"), ("Oslo", True, "Paris", "Oslo"), ("Rome", True, "Paris", "Oslo"))]),
        Check("punctuation", 2, {"en": "White space at both ends and punctuation at the end count on neither side.",
                                 "zh": "两端的空白和末尾的标点，在两边都不计。"},
              lambda rng: [asked((" Paris", True, "Paris")), asked(("玉山。", True, "玉山")),
                           asked(("台湾最高的山是玉山", True, "台湾最高的山是玉山。")),
                           asked(("Paris !", True, "Paris")), asked(("St. John's.", True, "St. John's"), ("St John's", True, "St. John's")),
                           asked(("Paris.\n", True, "Paris"), ("Paris\n", True, "Paris"), ("\t玉山？！ ", True, "玉山"), ("\u3000玉山\r\n", True, "玉山")),
                           asked(("?Paris", True, "Paris"), ("Paris)", True, "Paris"), ("Paris,", True, "Paris"), ("「玉山」", True, "玉山")),
                           asked(("Été . !", True, "Été?"), ("été", True, "Été"), ("...", True, "Paris")),
                           asked(("Ａ", True, "A"), ("?", True, "!")), asked(("Straße", True, "Strasse"))]),
    ),
    (
        Misconception("contains-is-enough",
                      {"en": "You accept an answer that only contains the right form; `Paris or London` would pass. The whole "
                             "answer has to be equal.",
                       "zh": "回答里只要含有正确形式你就算对，`Paris or London` 也会通过。要整个回答相同。"},
                      lambda a, b: mark(a, b, equal=lambda x, y: y in x)),
        Misconception("begins-like-it",
                      {"en": "You accept an answer that is only a part of the right form: `玉` would pass for `玉山`.",
                       "zh": "回答只是正确形式的一部分你也算对：`玉` 会被当成 `玉山`。"},
                      lambda a, b: mark(a, b, equal=lambda x, y: x in y)),
        Misconception("case-ignored",
                      {"en": "You fold upper and lower case. The exam counts it: a model that writes `paris` has not "
                             "learned the word.",
                       "zh": "你忽略了大小写。考试是区分的：写出 `paris` 的模型没有学会这个词。"},
                      lambda a, b: mark(a, b, equal=lambda x, y: x.lower() == y.lower())),
        Misconception("end-ignored",
                      {"en": "You do not look whether the answer ended. A model that goes on until it is cut off has not "
                             "learned to answer.",
                       "zh": "你没有看回答是否结束。一直说到被截断的模型没有学会回答。"},
                      lambda a, b: mark(a, b, ended=False)),
        Misconception("first-form-only",
                      {"en": "You compare with the first form only; a full sentence is right too.",
                       "zh": "你只和第一个形式比较；完整的句子也是对的。"},
                      lambda a, b: mark(a, b, forms=slice(1))),
        Misconception("last-form-only",
                      {"en": "You compare with the last form only: a later comparison overwrites an earlier hit.",
                       "zh": "你只和最后一个形式比较：后面的比较覆盖了前面的命中。"},
                      lambda a, b: mark(a, b, forms=slice(-1, None))),
        Misconception("only-the-answer-trimmed",
                      {"en": "You trim the answer but not the accepted forms, so a full sentence without its full stop fails.",
                       "zh": "你只修剪了回答，没有修剪可接受的形式，所以没写句号的完整句子会判错。"},
                      lambda a, b: mark(a, b, theirs=lambda x: x)),
        Misconception("one-mark-only",
                      {"en": "You remove one character at the end; `Paris !` ends with a mark and a space before it. Remove "
                             "all of them: `rstrip` with all marks.",
                       "zh": "你只去掉末尾的一个字符；`Paris !` 的叹号前还有空格。要全部去掉：把所有标点交给 `rstrip`。"},
                      lambda a, b: mark(a, b, *(lambda x: x.strip()[:-1] if x.strip()[-1:] in MARKS[:-1] else x.strip(),) * 2)),
        Misconception("punctuation-kept",
                      {"en": "You remove white space only; `玉山。` is as right as `玉山`.",
                       "zh": "你只去掉了空白；`玉山。` 和 `玉山` 一样对。"},
                      lambda a, b: mark(a, b, str.strip, str.strip)),
        Misconception("punctuation-inside-removed",
                      {"en": "You also remove punctuation inside the answer: `St John's` is not `St. John's`. Only the end is "
                             "trimmed.",
                       "zh": "你把回答中间的标点也去掉了：`St John's` 不是 `St. John's`。只修剪末尾。"},
                      lambda a, b: mark(a, b, *(lambda x: "".join(c for c in x if c not in MARKS[:-1]).strip(),) * 2)),
    ),
)  # fmt: skip


# --------------------------------------------------------------------------------- bootstrap_interval


def interval(correct, draws, low=0.025, high=0.975, axis=1) -> tuple[float, float, float]:
    shares = correct[draws].mean(axis)
    return float(correct.mean()), float(np.quantile(shares, low)), float(np.quantile(shares, high))


def bootstrap_interval(correct: np.ndarray, draws: np.ndarray) -> tuple[float, float, float]:
    return interval(correct, draws)


def normal_interval(correct, draws, of_the_mean=False) -> tuple[float, float, float]:
    shares = correct[draws].mean(1)
    width = 1.96 * shares.std() / (len(shares) ** 0.5 if of_the_mean else 1)
    return float(correct.mean()), float(correct.mean() - width), float(correct.mean() + width)


def exam(rng: np.random.Generator, n: int, r: int, right: int) -> tuple:
    """Marks with a fixed number of right ones, and resamples."""
    correct = np.zeros(n, bool)
    correct[rng.choice(n, right, replace=False)] = True
    return correct, rng.integers(n, size=(r, n))


BOOTSTRAP = Exercise(
    "bootstrap_interval", INTERVAL, bootstrap_interval,
    (
        Check("one-resample", 1, {"en": "With a single resample both ends are its share of right answers.",
                                  "zh": "只有一个重采样时，两端都是它的正确率。"},
              lambda rng: [(np.array([True, False]), np.array([[1, 0]])),
                           (np.array([True, False, False, True]), np.array([[0, 0, 2, 1]]))]),
        Check("quantiles", 2, {"en": "The 2.5 % and the 97.5 % quantile of the resamples' shares.",
                               "zh": "各重采样正确率的 2.5 % 和 97.5 % 分位数。"},
              lambda rng: [(np.array([True, False]), np.array([[0, 0], [0, 1], [0, 0]])),
                           (np.array([True, False, True, False]), np.array([[0, 0, 0, 2], [0, 0, 2, 1], [0, 1, 2, 3], [0, 1, 1, 3], [1, 1, 1, 3]])),
                           exam(rng, 20, 41, 15), exam(rng, 12, 30, 4), exam(rng, 9, 99, 3)]),
        Check("all-right", 1, {"en": "When all answers are right (or none is), the interval has no width.",
                               "zh": "全对（或全错）时区间没有宽度。"},
              lambda rng: [(np.array([True]), np.zeros((3, 1), int)), (np.ones(4, bool), rng.integers(4, size=(5, 4))),
                           (np.zeros(3, bool), rng.integers(3, size=(4, 3)))]),
    ),
    (
        Misconception("mean-over-the-wrong-axis",
                      {"en": "You average over the resamples instead of over the questions of each resample: the share of a "
                             "resample is the mean of its row.",
                       "zh": "你沿着重采样的方向求了平均；每个重采样的正确率是它那一行的平均。"},
                      lambda c, d: interval(c, d, axis=0)),
        Misconception("ninety-percent",
                      {"en": "You cut off 5 % at each end: that is a 90 % interval. For 95 % cut off 2.5 % at each end.",
                       "zh": "你在两端各去掉了 5 %：那是 90 % 区间。95 % 区间两端各去掉 2.5 %。"},
                      lambda c, d: interval(c, d, 0.05, 0.95)),
        Misconception("smallest-and-largest",
                      {"en": "You return the smallest and the largest share. They grow apart with the number of resamples; "
                             "take quantiles.",
                       "zh": "你返回了最小和最大的正确率。重采样越多它们离得越远；要取分位数。"},
                      lambda c, d: interval(c, d, 0.0, 1.0)),
        Misconception("normal-approximation",
                      {"en": "You take 1.96 standard deviations around the share. Near 0 or 1 that can leave the range; the "
                             "percentile method takes the quantiles themselves.",
                       "zh": "你取了正确率上下 1.96 个标准差。接近 0 或 1 时会超出范围；百分位法直接取分位数。"},
                      normal_interval),
        Misconception("error-of-the-mean",
                      {"en": "You divide the spread by √R: more resamples would make the exam more certain. The spread of the "
                             "resamples is already the uncertainty.",
                       "zh": "你把标准差除以了 √R：好像重采样越多考试就越可靠。重采样之间的离散程度本身就是不确定性。"},
                      lambda c, d: normal_interval(c, d, True)),
        Misconception("mean-of-resamples",
                      {"en": "Your first number is the mean of the resamples' shares; return the share of the exam itself.",
                       "zh": "你的第一个数是各重采样正确率的平均；应该返回考试本身的正确率。"},
                      lambda c, d: (float(c[d].mean()), *interval(c, d)[1:])),
        Misconception("in-percent",
                      {"en": "You return percent; shares between 0 and 1 are asked for.", "zh": "你返回了百分数；要求的是 0 到 1 之间的比例。"},
                      lambda c, d: tuple(100 * x for x in interval(c, d))),
    ),
)  # fmt: skip

LESSON = Lesson(9, "09_less_is_more", {"en": "Less is more", "zh": "少即是多"}, (CHOOSE, EXACT, BOOTSTRAP))
