"""Exercises of lesson 12: the filters of Self-Instruct."""

import re
from difflib import SequenceMatcher

import numpy as np

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

ALIKE = {"en": "How alike are two instructions?", "zh": "两条指令有多像？"}
FILTER = {"en": "Self-Instruct's filter", "zh": "Self-Instruct 的过滤"}
VALID = {"en": "Records that cannot be used", "zh": "不能用的记录"}


# ---------------------------------------------------------------------------------------- similarity


def units(text: str) -> list[str]:
    return re.findall(r"[\u4e00-\u9fff]|[a-z0-9]+", text.lower())


def common(a: list, b: list) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        new = [0]
        for j, y in enumerate(b):
            new.append(row[j] + 1 if x == y else max(row[j + 1], new[j]))
        row = new
    return row[-1]


def unbroken(a: list, b: list) -> int:
    """Length of the longest common piece without gaps."""
    return SequenceMatcher(None, a, b, autojunk=False).find_longest_match().size


def in_common(a: list, b: list) -> int:
    """Units in common, whatever their order."""
    return sum(min(a.count(x), b.count(x)) for x in set(a))


def rouge(a, b, cut=units, shared=common, total=lambda m, n: (m + n) / 2, nothing=0.0) -> float:
    """similarity with one thing done another way."""
    one, other = cut(a), cut(b)
    return shared(one, other) / total(len(one), len(other)) if one and other else nothing


def similarity(a: str, b: str) -> float:
    return rouge(a, b)


WORDS = "what is the capital highest mountain longest river currency of Taiwan Japan France name tell me".split()
CHARACTERS = "台湾日本法国最高的山长河流首都货币是哪座里"


def words(rng: np.random.Generator, n: int, source=WORDS) -> list[str]:
    return [source[i] for i in rng.choice(len(source), n, replace=False)]


def in_order(rng: np.random.Generator, n: int) -> str:
    """n of the words, in their order."""
    return " ".join(WORDS[i] for i in sorted(rng.choice(len(WORDS), n, replace=False)))


def one_changed(rng: np.random.Generator) -> tuple[str, str]:
    """Five words, and the same with another one in the middle."""
    one = words(rng, 5)
    return " ".join(one), " ".join([*one[:2], "Norway", *one[3:]])


def related(rng: np.random.Generator, source, join: str) -> tuple[str, str]:
    """Two texts that share units in order, with gaps, and some in another order."""
    one = words(rng, 8, source)
    return join.join(one), join.join([one[6], one[0], one[2], one[3], one[7], one[1]])


def run_or_scattered(rng: np.random.Generator) -> tuple[str, str]:
    """The longest run in common is not part of the longest common subsequence: it comes first in one text, last in the other."""
    one = words(rng, 7)
    run, scattered = one[:3], one[3:]
    return " ".join(run + scattered), " ".join([*(f"{word} {i}" for i, word in enumerate(scattered)), *run])


LIKE = Exercise(
    "similarity", ALIKE, similarity,
    (
        Check("same-length", 1, {"en": "English texts with the same number of words.", "zh": "词数相同的英文文本。"},
              lambda rng: [("name", "name"), ("tell me", "name me"), ("a b c", "a x c"), ("one two", "three four"),
                           one_changed(rng)]),
        Check("other-lengths", 1, {"en": "With m and n units: 2 l / (m + n).", "zh": "单元数为 m 和 n：2 l / (m + n)。"},
              lambda rng: [("tell me", "tell me more"), ("a b c d", "b"), (in_order(rng, 3), " ".join(WORDS))]),
        Check("order-and-gaps", 2, {"en": "The units in common have to be in the same order; gaps are allowed.",
                                    "zh": "共有的单元顺序要相同，中间可以有间隔。"},
              lambda rng: [("a b", "b a"), ("a b c d e", "a x c y e"), related(rng, WORDS, " "),
                           ("a", "a a"), ("a a", "a"), ("a a b", "a b b b"), ("b b a a", "b a"), run_or_scattered(rng)]),
        Check("case-and-marks", 1, {"en": "Upper and lower case are the same; punctuation only separates.",
                                    "zh": "大小写不分；标点只起分隔作用。"},
              lambda rng: [("Name it.", "name it"), ("who, care?", "who care"), ("Top 3: Wifi", "top 3 wifi!"),
                           ("don't go", "don t GO"), ("Name it!", "name, me")]),
        Check("chinese", 2, {"en": "Every Chinese character is a unit, without spaces between them.", "zh": "每个汉字是一个单元，中间不用空格。"},
              lambda rng: [("早安", "早"), ("台湾最高的山是哪座？", "日本最高的山是哪座？"), ("翻译：Good morning", "翻译 Good Bye"),
                           related(rng, CHARACTERS, ""), ("\u9fa6\u9fd5山", "\u9fd5山"), ("〇㐀山", "山"), ("「山wifi」3", "山 wifi 3"),
                           ("a_b c1d", "a b c1d"), ("c1d", "c 1 d"), ("été à Zoé", "t zo"), ("Мир 7", "7 а"), ("top\u0663", "top"), ("x²", "x")]),
        Check("nothing", 1, {"en": "A text without units is like nothing: 0.", "zh": "没有单元的文本和什么都不像：0。"},
              lambda rng: [("", ""), ("name", ""), ("…", "早安"), ("?", "!"), (" \n", "Мир")], edge=True),
    ),
    (
        Misconception("recall-only",
                      {"en": "You divide by the units of one text only: then a short text that is part of a long one is "
                             "“equal” to it. F1 is 2 l / (m + n).",
                       "zh": "你只除以了一个文本的单元数：这样短文本只要是长文本的一部分就“相同”了。F1 是 2 l / (m + n)。"},
                      lambda a, b: rouge(a, b, total=lambda m, n: n)),
        Misconception("precision-only",
                      {"en": "You divide by the units of the first text only. F1 is 2 l / (m + n).",
                       "zh": "你只除以了第一个文本的单元数。F1 是 2 l / (m + n)。"},
                      lambda a, b: rouge(a, b, total=lambda m, n: m)),
        Misconception("divided-by-the-longer",
                      {"en": "You divide by the longer text; the harmonic mean of precision and recall is 2 l / (m + n).",
                       "zh": "你除以了较长的文本；精确率和召回率的调和平均是 2 l / (m + n)。"},
                      lambda a, b: rouge(a, b, total=max)),
        Misconception("order-ignored",
                      {"en": "You count common units whatever their order (that is ROUGE-1). `a b` and `b a` share a "
                             "subsequence of one.",
                       "zh": "你数的是共有的单元，不管顺序（那是 ROUGE-1）。`a b` 和 `b a` 的公共子序列只有一个单元。"},
                      lambda a, b: rouge(a, b, shared=in_common)),
        Misconception("without-gaps",
                      {"en": "You look for a common piece without gaps (a substring); a subsequence may have gaps.",
                       "zh": "你找的是没有间隔的公共片段（子串）；子序列允许有间隔。"},
                      lambda a, b: rouge(a, b, shared=unbroken)),
        Misconception("case-counts",
                      {"en": "`Name` and `name` are different to you; turn both to lower case.",
                       "zh": "你把 `Name` 和 `name` 看成不同；先都转成小写。"},
                      lambda a, b: rouge(a, b, lambda t: re.findall(r"[\u4e00-\u9fff]|[A-Za-z0-9]+", t))),
        Misconception("split-at-spaces",
                      {"en": "You split at white space: marks stick to words, and a Chinese sentence is a single unit. Take each "
                             "Chinese character and each run of letters and digits.",
                       "zh": "你按空白切分：标点粘在词上，一句中文成了一个单元。要取每个汉字，以及每段连续的字母和数字。"},
                      lambda a, b: rouge(a, b, lambda t: t.lower().split())),
        Misconception("chinese-in-runs",
                      {"en": "A run of Chinese characters is one unit to you (`\\w+`): two sentences that differ in one character "
                             "share nothing. Every character is a unit.",
                       "zh": "你把一串汉字当成一个单元（`\\w+`）：只差一个字的两句话就没有共同点了。每个汉字是一个单元。"},
                      lambda a, b: rouge(a, b, lambda t: re.findall(r"\w+", t.lower()))),
        Misconception("letters-are-units",
                      {"en": "You compare letter by letter in English too; there the units are words.",
                       "zh": "英文你也逐字母比较；英文的单元是词。"},
                      lambda a, b: rouge(a, b, lambda t: [c for c in t.lower() if c.isalnum()])),
        Misconception("nothing-equals-nothing",
                      {"en": "Two texts without units are equal to you; 0 is asked for, so that they fill no pool.",
                       "zh": "两个没有单元的文本你算相同；应该返回 0。"},
                      lambda a, b: 1.0 if not units(a) and not units(b) else rouge(a, b)),
        Misconception("divided-by-nothing",
                      {"en": "Without units you divide by 0. Return 0.0 first.", "zh": "没有单元时你除以了 0。要先返回 0.0。"},
                      lambda a, b: 2 * common(units(a), units(b)) / (len(units(a)) + len(units(b)))),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------ keep_new


def keep(to_pool, among, threshold, earlier=lambda kept, c: kept, best=max, at=False, pool=True):
    """keep_new with one thing done another way."""
    kept: list[int] = []
    for c in range(len(among)):
        values = [*(to_pool[c] if pool else ()), *(among[c][k] for k in earlier(kept, c))]
        if not values or best(values) < threshold or (at and best(values) == threshold):
            kept.append(c)
    return kept


def keep_new(to_pool: np.ndarray, among: np.ndarray, threshold: float) -> list[int]:
    return keep(to_pool, among, threshold)


def table(*rows: str) -> np.ndarray:
    """Similarities in tenths: "28 1" is [0.2, 0.8, …]."""
    return np.array([[int(d, 36) / 10 for d in row.replace(" ", "")] for row in rows])


def no_pool(c: int) -> np.ndarray:
    return np.zeros((c, 0))


def chance(rng: np.random.Generator, c: int, p: int) -> tuple:
    """Similarities in odd twentieths, never at a threshold of tenths."""
    half = rng.integers(8, size=(c, c))
    among: np.ndarray = np.triu(half, 1)
    among = (2 * (among + among.T) + 1) / 20
    np.fill_diagonal(among, 1.0)
    return (2 * rng.integers(7, size=(c, p)) + 1) / 20, among, 0.7


KEEP = Exercise(
    "keep_new", FILTER, keep_new,
    (
        Check("pool", 1, {"en": "Candidates unlike each other: only the pool decides.", "zh": "候选之间互不相像：只由池子决定。"},
              lambda rng: [(table("5"), table("A"), 0.7), (table("18", "22"), table("A1", "1A"), 0.7), (table("9", "2"), table("A1", "1A"), 0.7),
                           (table("661", "119", "800"), table("A00", "0A0", "00A"), 0.7)]),
        Check("each-other", 2, {"en": "A candidate like one kept before it is not kept.", "zh": "和前面留下的候选相像的不留。"},
              lambda rng: [(table("1", "1"), table("A9", "9A"), 0.7), (table("1", "1", "1"), table("A90", "9A0", "00A"), 0.7),
                           (table("0", "0", "0"), table("A08", "0A0", "80A"), 0.7), (table("0", "0"), table("A8", "8A"), 0.7),
                           (table("0", "0", "0"), table("A09", "0A6", "96A"), 0.7),
                           (table("00", "05", "00", "70"), table("A608", "6A05", "00A0", "850A"), 0.7)]),
        Check("rejected-do-not-count", 1, {"en": "A candidate that was not kept keeps nobody out.", "zh": "没留下的候选不会挡住别人。"},
              lambda rng: [(table("9", "0"), table("A9", "9A"), 0.7), (table("0", "0", "0"), table("A90", "9A9", "09A"), 0.7),
                           (table("9", "0", "0"), table("A09", "0A0", "90A"), 0.7), (*chance(rng, 12, 3),)]),
        Check("at-the-threshold", 1, {"en": "A similarity equal to the threshold is not below it.", "zh": "等于阈值不算低于阈值。"},
              lambda rng: [(table("7"), table("A"), 0.7), (table("0", "0"), table("A5", "5A"), 0.5)]),
        Check("empty-pool", 1, {"en": "An empty pool, or no candidates.", "zh": "池子为空，或没有候选。"},
              lambda rng: [(no_pool(1), table("A"), 0.7), (no_pool(2), table("A9", "9A"), 0.7), (no_pool(0), no_pool(0), 0.7)]),
    ),
    (
        Misconception("only-the-last-kept",
                      {"en": "You compare with the last kept candidate only; copies need not be neighbours.",
                       "zh": "你只和最后留下的一个比较；重复的不一定相邻。"},
                      lambda p, a, t: keep(p, a, t, lambda kept, c: kept[-1:])),
        Misconception("pool-only",
                      {"en": "You compare with the pool only, so a whole batch of copies is kept. Compare with the candidates "
                             "kept before as well.",
                       "zh": "你只和池子比较，于是一整批重复的都留下了。还要和前面留下的候选比较。"},
                      lambda p, a, t: keep(p, a, t, lambda kept, c: [])),
        Misconception("mean-similarity",
                      {"en": "You average the similarities. One copy in a large pool would pass; the largest counts.",
                       "zh": "你取了平均相似度。池子大时一份重复也会通过；要看最大的。"},
                      lambda p, a, t: keep(p, a, t, best=np.mean)),
        Misconception("candidates-only",
                      {"en": "You compare the candidates with each other only; what the pool has already is not new.",
                       "zh": "你只在候选之间比较；池子里已有的就不是新的。"},
                      lambda p, a, t: keep(p, a, t, pool=False)),
        Misconception("both-copies-dropped",
                      {"en": "You compare with all other candidates, so of two copies both go. The first one is new when it "
                             "comes: compare with earlier ones only.",
                       "zh": "你和所有其他候选比较，两份重复的就都去掉了。第一份来的时候是新的：只和更早的比较。"},
                      lambda p, a, t: keep(p, a, t, lambda kept, c: [k for k in range(len(a)) if k != c])),
        Misconception("compared-with-itself",
                      {"en": "You compare a candidate with itself; that similarity is 1, and nothing is left.",
                       "zh": "你拿候选和自己比较；相似度是 1，什么都留不下。"},
                      lambda p, a, t: keep(p, a, t, lambda kept, c: [*kept, c])),
        Misconception("rejected-count-too",
                      {"en": "You compare with all earlier candidates, rejected ones too. What was thrown away cannot make "
                             "another one a copy.",
                       "zh": "你和前面所有的候选比较，连没留下的也算。扔掉的东西不会让别的变成重复。"},
                      lambda p, a, t: keep(p, a, t, lambda kept, c: range(c))),
        Misconception("threshold-kept",
                      {"en": "You keep a similarity equal to the threshold; it must be below.", "zh": "等于阈值的你也留下了；要低于才行。"},
                      lambda p, a, t: keep(p, a, t, at=True)),
        Misconception("empty-pool-breaks",
                      {"en": "The largest of nothing is an error: with an empty pool every first candidate is new. Use `all(...)` "
                             "or `max(..., default=0)`.",
                       "zh": "空集没有最大值，会出错：池子为空时第一个候选总是新的。用 `all(...)` 或 `max(..., default=0)`。"},
                      lambda p, a, t: keep(p, a, t) if len(p) and np.max(p, axis=1) is not None else []),
    ),
)  # fmt: skip


# -------------------------------------------------------------------------------------- record_fault

ORDER = ("missing", "empty", "long", "copied", "impossible")
WHOLE_WORD = r"(?<![a-z])(image|picture|graph)(?![a-z])|图片"


def fault(record: dict, order=ORDER, blank=str.strip, most=200, fold=str.lower, sources=("instruction", "input"),
          words=WHOLE_WORD, cut=str.strip, needs=("instruction", "output"), fields=("instruction",), case=str.lower,
          optional=("input",)) -> str:  # fmt: skip
    """record_fault with one thing done another way."""
    if any(not isinstance(record.get(f), str) for f in needs) or any(
        not isinstance(record.get(f, ""), str) for f in optional
    ):
        return "missing"
    output = record["output"]
    found = {
        "empty": not (blank(record["instruction"]) and blank(output)),
        "long": len(cut(output)) > most,
        "copied": any(fold(output).strip() == fold(record.get(s, "")).strip() for s in sources if s in record),
        "impossible": any(re.search(words, case(record.get(f, ""))) for f in fields),
    }
    return next((name for name in order if found.get(name)), "")


def record_fault(record: dict) -> str:
    return fault(record)


def rec(instruction="翻译以下句子", output="早安", **more) -> dict:
    return {"instruction": instruction, "output": output, **more}


def fine(rng: np.random.Generator) -> list[tuple]:
    found = [rec(input="Good morning"), rec("Who are you?", "I am an artificial intelligence."), rec("台湾最高的山是哪座？", "玉山"),
             rec("who care 这句话有文法错误吗？", "要加 s", input="")]  # fmt: skip
    return [(found[i],) for i in rng.permutation(len(found))]


FAULT = Exercise(
    "record_fault", VALID, record_fault,
    (
        Check("usable", 1, {"en": "Usable records, with and without input.", "zh": "可用的记录，有输入或没有输入。"}, fine, edge=True),
        Check("missing", 1, {"en": "Fields that are not there, or not text.", "zh": "缺少的字段，或不是文本的字段。"},
              lambda rng: [({},), ({"instruction": "Who are you?"},), ({"output": "玉山"},), (rec(output=3952),),
                           (rec(instruction=None),), (rec(input=["a"]),), (rec(input=None),), (rec(output=["玉山"]),), (rec(output=True),), (rec(input=""),)]),
        Check("empty", 1, {"en": "Nothing, or only white space.", "zh": "什么都没有，或只有空白。"},
              lambda rng: [(rec(output=""),), (rec(""),), (rec(output=" \n" * int(rng.integers(1, 5))),), (rec("\t", "\n"),),
                           (rec(input=" "),), (rec("\u3000", "玉山"),), (rec("Who?", "0"),)]),
        Check("long", 1, {"en": "More than 200 characters, white space at the ends not counted.", "zh": "超过 200 个字符，两端空白不算。"},
              lambda rng: [(rec(output="山" * 201),), (rec(output="a" * 200),), (rec(output="很长 " * int(rng.integers(80, 200))),),
                           (rec(output="a" * 199 + " " * 20),), (rec(output="\n" * 9 + "a" * 200 + "\t"),), (rec(output="a b" * 67),),
                           (rec(output="a" * 199 + " b"),), (rec(output=str(rng.choice(list("山é👍"))) * int(rng.integers(101, 200))),)]),
        Check("copied", 2, {"en": "The output repeats the instruction or the input.", "zh": "输出重复了指令或输入。"},
              lambda rng: [(rec("Who are you?", "Who are you?"),), (rec(output="早安", input="早安"),), (rec("Who are you?", " who are YOU?\n"),),
                           (rec(output=" good morning", input="Good morning "),), (rec("Who are you?", "Who are you? An AI."),), (rec("Été", "\tÉTÉ\n"),), (rec("a  b", "a b"),),
                           (rec("It's", "Its", input="IT'S "),), (rec("Who?", "who? ", input="x"),), (rec(" Who?", "Who?"),), (rec("Who?\n", "Who?"),),
                           (rec(output="早安", input="\t早安"),), (rec(output="早", input="早安"),), (rec("Straße", "STRASSE"),), (rec("Who are you?", "you"),)]),
        Check("impossible", 2, {"en": "Pictures: whole words in any case, and 图片 anywhere.", "zh": "图片：整词，不分大小写；“图片”在任何位置。"},
              lambda rng: [(rec("Describe the image."),), (rec("画一张图片"),), (rec("PICTURE of Yushan, please"),),
                           (rec("Shorten this paragraph", "short"),), (rec("Imagine a graphic novel", "once"),),
                           (rec("这张image里有什么？"),), (rec("What hangs on the wall?", "a picture"),), (rec("images and pictures", "x"),), (rec("my_image2"),),
                           (rec("The graph's axes"),), (rec("Describe it", "x", input="an image"),), (rec("Graph"),), (rec("图 片", "x"),)]),
        Check("first-fault", 1, {"en": "Several faults: the first in the list counts.", "zh": "有几个毛病时，取列表中的第一个。"},
              lambda rng: [(rec("Draw a picture", "Draw a picture"),), (rec("a picture", ""),), (rec("a" * 201, "a" * 201),), (rec("", "a" * 201),), (rec("x", " " * 300),),
                           (rec("a picture", "b" * 300),)]),
    ),
    (
        Misconception("input-needed",
                      {"en": "You reject records without `input`; most instructions need none (`Who are you?`).",
                       "zh": "没有 `input` 的记录你都不要；大多数指令不需要输入（如 `你是谁？`）。"},
                      lambda r: fault(r, needs=("instruction", "output", "input"))),
        Misconception("any-type-will-do",
                      {"en": "You only ask whether the fields are there; a number or a list is no text to train on.",
                       "zh": "你只看字段在不在；数字或列表不是可以训练的文本。"},
                      lambda r: "missing" if "instruction" not in r or "output" not in r else
                      fault({k: v if isinstance(v, str) else str(v) for k, v in r.items()})),
        Misconception("missing-breaks",
                      {"en": "A record without a field stops your function with an error. Generated data always has such records: "
                             "use `record.get(...)`.",
                       "zh": "缺字段的记录让你的函数出错中断。生成的数据里总有这种记录：用 `record.get(...)`。"},
                      lambda r: (r["instruction"].strip(), r["output"].strip(), fault(r))[2]),
        Misconception("white-space-is-text",
                      {"en": "White space alone counts as text in your code; test after `strip()`.",
                       "zh": "只有空白你也算有文本；要在 `strip()` 之后判断。"},
                      lambda r: fault(r, blank=bool)),
        Misconception("at-least-200",
                      {"en": "An output of exactly 200 characters is allowed: more than 200 is long.",
                       "zh": "正好 200 个字符是允许的：超过 200 才算长。"},
                      lambda r: fault(r, most=199)),
        Misconception("white-space-counted",
                      {"en": "You count the white space at the ends; it is no part of the answer.",
                       "zh": "你把两端的空白也数进去了；它不属于回答。"},
                      lambda r: fault(r, cut=str)),
        Misconception("copies-byte-by-byte",
                      {"en": "You compare byte by byte; a copy in another case or with a space is a copy too.",
                       "zh": "你逐字节比较；大小写不同或多一个空格的照抄也是照抄。"},
                      lambda r: fault(r) if fault(r) != "copied" or r["output"] in (r["instruction"], r.get("input")) else
                      fault(r, order=("impossible",))),
        Misconception("input-not-compared",
                      {"en": "You compare the output with the instruction only; a translator that repeats its input has done "
                             "nothing either.",
                       "zh": "你只和指令比较；把输入原样重复的翻译同样什么都没做。"},
                      lambda r: fault(r, sources=("instruction",))),
        Misconception("part-of-a-word",
                      {"en": "You search for `graph` anywhere: `paragraph` is rejected too. Match whole words.",
                       "zh": "你在任何位置找 `graph`：`paragraph` 也被拒绝了。要匹配整词。"},
                      lambda r: fault(r, words="image|picture|graph|图片")),
        Misconception("words-by-spaces",
                      {"en": "You split at spaces or use `\\b`: next to Chinese characters or a full stop the word is missed. A whole "
                             "word has no letter A–Z next to it.",
                       "zh": "你按空格切分或用了 `\\b`：紧挨汉字的词就漏掉了。整词是指两边没有英文字母。"},
                      lambda r: fault(r, words=r"\b(image|picture|graph)\b|图片")),
        Misconception("output-searched-too",
                      {"en": "You search the output for pictures too; only the instruction asks for something.",
                       "zh": "你在输出里也找图片；只有指令才是要求。"},
                      lambda r: fault(r, fields=("instruction", "output"))),
        Misconception("order-of-faults",
                      {"en": "You test in another order. The first fault in the list counts, so that the counts of a run can be "
                             "compared.",
                       "zh": "你检查的顺序不同。要取列表中第一个毛病，这样各次运行的统计才能比较。"},
                      lambda r: fault(r, order=("empty", "long", "impossible", "copied"))),
    ),
)  # fmt: skip

LESSON = Lesson(
    12, "12_stronger_model", {"en": "Data from a stronger model", "zh": "来自更强模型的数据"}, (LIKE, KEEP, FAULT)
)
