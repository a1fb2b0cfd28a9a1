"""Exercises of lesson 11: instruction templates, review, a buffer for it."""

import re

import numpy as np

from minillm.homework.exercise import Check, Exercise, Lesson, Misconception

TEMPLATES = {"en": "Telling the generalist what to do", "zh": "告诉通才要做什么"}
REVIEW = {"en": "Forgetting and review", "zh": "遗忘与复习"}
BUFFER = {"en": "What to keep for review", "zh": "留下什么来复习"}
PLACE = re.compile(r"\{(\w+)\}")


# ------------------------------------------------------------------------------------- fill_template


def fill(templates, index, fields, number=lambda i, n: i % n, blank=True, missing=None, value=lambda v: v, count=0):
    """fill_template with one thing done another way."""
    template = templates[number(index, len(templates))]
    for name in PLACE.findall(template):
        if not fields.get(name, "").strip() if blank else name not in fields:
            return missing(template, fields) if missing else None
    return PLACE.sub(lambda found: value(fields[found[1]]), template, count=count)


def fill_template(templates: list[str], index: int, fields: dict[str, str]) -> str | None:
    return fill(templates, index, fields)


def one_after_the_other(templates, index, fields) -> str | None:
    """Fills the values too: a replace for each field in turn."""
    text = templates[index % len(templates)]
    if any(not fields.get(name, "").strip() for name in PLACE.findall(text)):
        return None
    for name, value in fields.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def all_fields_needed(templates, index, fields) -> str | None:
    names = {name for template in templates for name in PLACE.findall(template)}
    return fill(templates, index, fields) if all(fields.get(name, "").strip() for name in names) else None


def leave_open(template: str, fields: dict) -> str:
    return PLACE.sub(lambda found: fields.get(found[1], found[0]), template)


def leave_empty(template: str, fields: dict) -> str:
    return PLACE.sub(lambda found: fields.get(found[1], ""), template)


TRANSLATE = ["翻译以下句子：{sentence}", "Translate into {language}: {sentence}", "请把 {sentence} 翻译为{language}。"]
PROOFREAD = ["{sentence} 这句话有文法错误吗？", "Correct the grammar: {sentence}"]
COMPARE = ["{sentence} / {other}: which is right?", "Is {sentence} better than {other}? {sentence} or {other}?"]
SENTENCES = ("Good morning", "早安", "who care", "How are you?")


def drawn(rng: np.random.Generator) -> str:
    return SENTENCES[rng.integers(len(SENTENCES))]


FILL = Exercise(
    "fill_template", TEMPLATES, fill_template,
    (
        Check("one-place", 1, {"en": "A template with one place, chosen by its number.", "zh": "一个位置的模板，按编号选。"},
              lambda rng: [(["翻译以下句子：{sentence}"], 0, {"sentence": "Good morning"}),
                           (PROOFREAD, 1, {"sentence": "who care"}), (PROOFREAD, 0, {"sentence": drawn(rng)})]),
        Check("around", 1, {"en": "Numbers past the last template begin again.", "zh": "编号超过最后一个模板时从头再来。"},
              lambda rng: [(PROOFREAD, 2, {"sentence": "who care"}), (PROOFREAD, 5, {"sentence": drawn(rng)}),
                           (TRANSLATE, 3 * int(rng.integers(2, 9)) + 1, {"sentence": drawn(rng), "language": "中文"})]),
        Check("several-places", 1, {"en": "Several places, the same place twice, a field that is not used.",
                                    "zh": "多个位置、同一位置出现两次、没用到的字段。"},
              lambda rng: [(COMPARE, 0, {"other": "b", "sentence": "a"}), (COMPARE, 1, {"sentence": "a", "other": "b"}),
                           (TRANSLATE, 0, {"sentence": drawn(rng), "language": "中文", "note": " "}),
                           (["{text_1} {Text} {句子}", "x"], 0, {"text_1": "a", "Text": drawn(rng), "句子": "早安"}),
                           ([" {text}\n\n\t{other}  x\r\n"], 0, {"text": "a\nb", "other": drawn(rng)})]),
        Check("missing", 2, {"en": "None if a place of the chosen template has no value.", "zh": "所选模板的某个位置没有值时返回 None。"},
              lambda rng: [(["{sentence}"], 0, {}), (["{sentence}"], 0, {"sentence": ""}), (["{sentence}"], 0, {"sentence": " \n"}),
                           (TRANSLATE, 1, {"sentence": drawn(rng)}), (TRANSLATE, 0, {"sentence": drawn(rng)}), (["no place", "{sentence}"], 2, {}),
                           (["{sentence}"], 0, {"sentence": "\u3000\r\n"}), (COMPARE, 0, {"sentence": drawn(rng), "Other": "b", "other": ""})]),
        Check("braces-in-values", 1, {"en": "A value may hold braces, and white space at its ends: it is text, copied unchanged.",
                                      "zh": "值里可以有花括号，两端可以有空白：它只是文本，原样写入。"},
              lambda rng: [(COMPARE, 0, {"sentence": "{other}", "other": "b"}), (COMPARE, 0, {"sentence": " a ", "other": "{x}"}),
                           (COMPARE, 1, {"other": "{sentence}", "sentence": drawn(rng)}),
                           (COMPARE, 0, {"sentence": r"\1 \g<0> \n", "other": "{}%s $"}), (["{sentence}"], 0, {"sentence": "0"})]),
    ),
    (
        Misconception("always-the-first",
                      {"en": "You always take the first template. A model that sees one wording learns that wording, not the "
                             "task; use `index`.",
                       "zh": "你总是取第一个模板。只见过一种说法的模型学会的是那种说法，不是任务；要用 `index`。"},
                      lambda t, i, f: fill(t, i, f, lambda i, n: 0)),
        Misconception("no-beginning-again",
                      {"en": "A number past the last template is an error to you; it begins again: `index % len(templates)`.",
                       "zh": "编号超过最后一个模板时你的代码出错了；应该从头再来：`index % len(templates)`。"},
                      lambda t, i, f: fill(t, i, f, lambda i, n: i)),
        Misconception("stays-at-the-last",
                      {"en": "Past the end you stay at the last template; begin again with the first: `index % len(templates)`.",
                       "zh": "超过末尾时你停在了最后一个模板；应该从第一个再开始：`index % len(templates)`。"},
                      lambda t, i, f: fill(t, i, f, lambda i, n: min(i, n - 1))),
        Misconception("first-place-only",
                      {"en": "Only the first place is filled; go on until none is left.", "zh": "只填了第一个位置；要把所有位置都填上。"},
                      lambda t, i, f: fill(t, i, f, count=1)),
        Misconception("blank-is-a-value",
                      {"en": "A field that is empty or only white space counts as given. It would teach the model to answer "
                             "nothing; test the value after `strip()`.",
                       "zh": "空的或只有空白的字段你也算有值。那会教模型回答空的输入；要对 `strip()` 之后的值判断。"},
                      lambda t, i, f: fill(t, i, f, blank=False)),
        Misconception("place-left-open",
                      {"en": "A missing field leaves `{sentence}` in the instruction, and the model learns the braces. Return None.",
                       "zh": "缺字段时指令里留下了 `{sentence}`，模型会学到花括号。应返回 None。"},
                      lambda t, i, f: fill(t, i, f, missing=leave_open, blank=False)),
        Misconception("place-left-empty",
                      {"en": "A missing field is filled with nothing: an instruction without its sentence. Return None.",
                       "zh": "缺字段时你填了空：一条没有句子的指令。应返回 None。"},
                      lambda t, i, f: fill(t, i, f, missing=leave_empty)),
        Misconception("needs-every-field",
                      {"en": "You ask for the places of all templates; only those of the chosen one are needed.",
                       "zh": "你要求所有模板的位置都有值；只需要所选模板的。"},
                      all_fields_needed),
        Misconception("values-filled-again",
                      {"en": "You replace field by field, so `{other}` inside a value is filled too. A user's text could then "
                             "reach other fields; fill all places in one pass.",
                       "zh": "你一个字段一个字段地替换，于是值里的 `{other}` 也被填了。这样用户的文本能取到别的字段；要一遍填完所有位置。"},
                      one_after_the_other),
        Misconception("values-trimmed",
                      {"en": "You trim the values. They go in unchanged: a space may matter to the task.",
                       "zh": "你修剪了值。值要原样写入：空格对任务可能有意义。"},
                      lambda t, i, f: fill(t, i, f, value=str.strip)),
    ),
)  # fmt: skip


# ---------------------------------------------------------------------------------------- mix_review


def mix(new, old, every, before=False, incomplete=False, once=False, always_first=False, replace=False):
    result, taken = [], 0
    for i, item in enumerate(new, 1):
        due = (bool(old) and (i - 1 if before else i) % every == 0) or (bool(old) and incomplete and i == len(new))
        due = due and not (once and taken >= len(old))
        review = [old[0 if always_first else taken % len(old)]] if due else []
        result += [*review, item] if before else ([] if replace and due else [item]) + review
        taken += due
    return result


def mix_review(new: list, old: list, every: int) -> list:
    return mix(new, old, every)


def all_at_the_end(new, old, every) -> list:
    return new + [old[i % len(old)] for i in range(len(new) // every)] if old else new


def numbered(rng: np.random.Generator, new: int, old: int) -> tuple[list, list]:
    a, b = rng.integers(100, size=2)
    return [f"new {a + i}" for i in range(new)], [f"old {b + i}" for i in range(old)]


MIX = Exercise(
    "mix_review", REVIEW, mix_review,
    (
        Check("full-groups", 1, {"en": "One old example after every full group of new ones.", "zh": "每满一组新例子之后一个旧例子。"},
              lambda rng: [(["a", "b"], ["x"], 2), (["a", "b", "c", "d"], ["x", "y"], 2), (*numbered(rng, 6, 4), 3),
                           ([0, None, ""], [0, False, 7], 1), (["a", "a", "b", "a", "b", "a"], ["x", "x", "y"], 2)]),
        Check("last-group", 1, {"en": "No old example after a last group that is not full.", "zh": "最后一组不满时后面没有旧例子。"},
              lambda rng: [(["a"], ["x"], 2), (["a", "b", "c"], ["x", "y"], 2), (*numbered(rng, 11, 8), 4)]),
        Check("begin-again", 2, {"en": "When the old ones are used up they begin again.", "zh": "旧例子用完后从头再来。"},
              lambda rng: [(["a", "b"], ["x"], 1), (["a", "b", "c", "d"], ["x"], 2), (*numbered(rng, 9, 2), 1)]),
        Check("nothing-old", 1, {"en": "Nothing to review, or nothing new.", "zh": "没有可复习的，或没有新的。"},
              lambda rng: [(["a", "b"], [], 1), ([], ["x"], 1), ([], [], 2), (numbered(rng, 5, 0)[0], [], 2)], edge=True),
    ),
    (
        Misconception("review-comes-first",
                      {"en": "Your old example comes before its group: `i % every == 0` with i from 0 is true at once. It "
                             "belongs after `every` new ones.",
                       "zh": "你的旧例子排在了一组的前面：i 从 0 开始时 `i % every == 0` 立刻成立。它应该在 `every` 个新例子之后。"},
                      lambda n, o, e: mix(n, o, e, before=True)),
        Misconception("after-a-part-group",
                      {"en": "A last group that is not full is followed by an old example too; only full groups are.",
                       "zh": "最后一组不满时你也加了旧例子；只有满的组后面才有。"},
                      lambda n, o, e: mix(n, o, e, incomplete=True)),
        Misconception("review-ends",
                      {"en": "When the old ones are used up you stop reviewing, and forgetting begins there. Begin again with "
                             "the first.",
                       "zh": "旧例子用完后你就不再复习，遗忘就从那里开始。要从第一个重新开始。"},
                      lambda n, o, e: mix(n, o, e, once=True)),
        Misconception("always-the-same",
                      {"en": "You review the same old example each time; take them in turn.", "zh": "你每次都复习同一个旧例子；要轮流取。"},
                      lambda n, o, e: mix(n, o, e, always_first=True)),
        Misconception("old-replaces-new",
                      {"en": "Old examples take the place of new ones, which are never learned. They are added between them.",
                       "zh": "旧例子顶替了新例子，那些新例子就学不到了。旧例子是插在中间的。"},
                      lambda n, o, e: mix(n, o, e, replace=True)),
        Misconception("all-at-the-end",
                      {"en": "All review is at the end: the old task is forgotten first and learned again. Spread it.",
                       "zh": "复习全在最后：旧任务先忘光再重学。要分散开。"},
                      all_at_the_end),
        Misconception("not-without-review",
                      {"en": "With an empty `old` your function fails (a remainder by 0, or the first of nothing). Return the "
                             "new ones alone.",
                       "zh": "`old` 为空时你的函数出错（对 0 取余，或取空列表的第一个）。应只返回新例子。"},
                      lambda n, o, e: [x for i, item in enumerate(n, 1)
                                       for x in ([item, o[(i // e - 1) % len(o)]] if i % e == 0 else [item])]),
    ),
)  # fmt: skip


# ---------------------------------------------------------------------------------- reservoir_update


def update(buffer, item, seen, capacity, draw, position=lambda s, c, d: int(d * (s + 1)), full=lambda s, b, c: s >= c):
    buffer = list(buffer)
    if not full(seen, buffer, capacity):
        return [*buffer, item]
    j = position(seen, capacity, draw)
    if 0 <= j < capacity:
        buffer[j] = item
    return buffer


def reservoir_update(buffer: list, item, seen: int, capacity: int, draw: float) -> list:
    return update(buffer, item, seen, capacity, draw)


def inserted(buffer, item, seen, capacity, draw) -> list:
    """Pushes the others aside instead of replacing one."""
    if seen < capacity:
        return [*buffer, item]
    j = int(draw * (seen + 1))
    return [*buffer[:j], item, *buffer[j:]][:capacity] if j < capacity else list(buffer)


def case(rng: np.random.Generator, seen: int, capacity: int, j: int | None = None) -> tuple:
    """A stream of numbers; the draw lies in the middle of what gives j."""
    buffer = sorted(rng.choice(100, min(seen, capacity), replace=False).tolist())
    draw = float(rng.random()) if j is None else (j + 0.5) / (seen + 1)
    return buffer, int(rng.integers(100, 200)), seen, capacity, draw


RESERVOIR = Exercise(
    "reservoir_update", BUFFER, reservoir_update,
    (
        Check("filling", 1, {"en": "While there is room every item is kept, whatever the draw.", "zh": "还有空位时每个都留下，不管随机数是多少。"},
              lambda rng: [([], "a", 0, 1, 0.9), (["a"], "b", 1, 3, 0.0), case(rng, 0, 4), case(rng, 3, 4), ([0], 0, 1, 2, 0.6)]),
        Check("replacing", 2, {"en": "When full, the item takes the place j = floor(draw · (seen + 1)) if that is inside.",
                               "zh": "满了之后，若 j = floor(draw · (seen + 1)) 在缓冲区内，就顶替第 j 个。"},
              lambda rng: [(["a", "b"], "c", 2, 2, 0.5), case(rng, 9, 4, 2), case(rng, 19, 5, 3), case(rng, 7, 4, 0),
                           (["a", "b", "c"], 0, 3, 3, 0.0), case(rng, 30, 9, 7), case(rng, 40, 12, 9)]),
        Check("passed-over", 2, {"en": "Otherwise it is passed over: the later an item comes, the rarer it is kept.",
                                 "zh": "否则跳过：来得越晚，留下的机会越小。"},
              lambda rng: [(["a"], "b", 1, 1, 0.75), case(rng, 9, 4, 6), case(rng, 99, 4, 60), case(rng, 9, 4, 4), case(rng, 5, 4, 5), case(rng, 4, 4, 3),
                           case(rng, 6, 5, 4), (["a", "b", "c"], "d", 3, 3, 0.74)]),
        Check("no-room", 1, {"en": "With a capacity of 0 nothing is ever kept.", "zh": "容量为 0 时什么都不留。"},
              lambda rng: [([], "a", 0, 0, 0.0), case(rng, 5, 0)], edge=True),
    ),
    (
        Misconception("counts-only-those-before",
                      {"en": "You draw among `seen` items. The new one counts too: seen + 1, or late items are kept too often.",
                       "zh": "你在 `seen` 个里抽。新来的也要算上：seen + 1，否则后来的留下得太多。"},
                      lambda b, x, s, c, d: update(b, x, s, c, d, lambda s, c, d: int(d * s))),
        Misconception("always-replaces",
                      {"en": "You draw a place inside the buffer, so every new item is kept and old ones die out. Draw among all "
                             "items seen; often that is outside.",
                       "zh": "你在缓冲区里抽位置，所以每个新来的都留下，旧的很快消失。要在见过的全部里抽，常常落在缓冲区外。"},
                      lambda b, x, s, c, d: update(b, x, s, c, d, lambda s, c, d: int(d * c))),
        Misconception("keeps-the-latest",
                      {"en": "You drop the oldest and append: a sliding window, which holds only the last task. A reservoir "
                             "holds a fair sample of all.",
                       "zh": "你丢掉最旧的再追加：这是滑动窗口，只留最后的任务。蓄水池留的是全部的公平样本。"},
                      lambda b, x, s, c, d: [*b, x][-c:] if c else []),
        Misconception("keeps-the-first",
                      {"en": "Once full your buffer never changes: only the first items are ever reviewed.",
                       "zh": "满了之后你的缓冲区不再变化：只能复习最早的那些。"},
                      lambda b, x, s, c, d: [*b, x] if s < c else list(b)),
        Misconception("inserts",
                      {"en": "You insert the item and cut the end off; it should replace buffer[j], the others stay where they are.",
                       "zh": "你插入后截掉了末尾；应该顶替 buffer[j]，其他的不动。"},
                      inserted),
        Misconception("rounds",
                      {"en": "You round; floor is asked for (`int` of a positive number). Rounding makes place 0 half as likely.",
                       "zh": "你用了四舍五入；应该向下取整（正数用 `int`）。四舍五入会让位置 0 的机会减半。"},
                      lambda b, x, s, c, d: update(b, x, s, c, d, lambda s, c, d: round(d * (s + 1) + 1e-9))),
        Misconception("appends-beyond-capacity",
                      {"en": "The buffer grows beyond its capacity: an item is appended although there is no room. Append only while "
                             "`seen < capacity` (also for a capacity of 0).",
                       "zh": "缓冲区超过了容量：没有空位了还在追加。只有 `seen < capacity` 时才追加（容量为 0 时也一样）。"},
                      lambda b, x, s, c, d: update(b, x, s, c, d, full=lambda s, b, c: s > c),
                      (lambda b, x, s, c, d: update(b, x, s, c, d, full=lambda s, b, c: s >= max(c, 1)),)),
    ),
    may_change=("buffer",),
)  # fmt: skip

LESSON = Lesson(
    11,
    "11_specialists_generalist",
    {"en": "Specialists and the generalist", "zh": "专才与通才"},
    (FILL, MIX, RESERVOIR),
)
