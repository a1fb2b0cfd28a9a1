"""What a student reads of everyday slips in Python: no return, a name that is not there, a shape that does not fit."""

import re
from typing import Any

from minillm.homework.compare import kind, plain
from minillm.homework.sandbox import Outcome
from minillm.plumbing.languages import Text

# ---------------------------------------------------------------------------- the function came to no answer

NOT_LOADED: Text = {
    "en": "Your file stopped with an error while it was loaded, before any function was called. Nothing in it can be "
          "graded until this is fixed.",
    "zh": "你的文件在载入时就出错中断了，还没有调用任何函数。先改好这里，文件里的练习才能评分。",
}  # fmt: skip
NO_SYNTAX: Text = {
    "en": "Python cannot read your file: the line below, or the one before it, is not valid Python (a bracket, a colon "
          "or the indentation?). Nothing in the file can be graded until this is fixed.",
    "zh": "Python 读不懂你的文件：下面这一行或它的上一行有语法错误（括号、冒号或缩进？）。先改好这里，文件里的练习才能评分。",
}  # fmt: skip
FAULTS: dict[str, Text] = {
    "error": {"en": "Your function stopped with an error.", "zh": "你的函数出错中断了。"},
    "todo": {"en": "Your function still raises NotImplementedError for some inputs.",
             "zh": "对某些输入，你的函数仍然抛出 NotImplementedError。"},
    "memory": {"en": "Your function asked for more memory than an exercise may use.", "zh": "你的函数用的内存超过了练习的上限。"},
    "time": {"en": "Your function did not come to an end in time: is there an endless loop?",
             "zh": "你的函数没有在规定时间内结束：是不是有死循环？"},
    "crash": {"en": "The process that ran your file ended without an answer (os._exit, a crash, too much output?).",
              "zh": "运行你的文件的进程没有给出答案就结束了（os._exit、崩溃，或者输出太多？）。"},
}  # fmt: skip

# (pattern in the error, name of the slip, sentence); {0} … are the groups of the pattern. The first that fits counts.
ERRORS: tuple[tuple[str, str, Text], ...] = (
    (r"AttributeError: the file has no function (\w+)", "no-such-function",
     {"en": "Your file has no function `{0}`. Keep the name and the arguments as they were handed out.",
      "zh": "你的文件里没有函数 `{0}`。函数名和参数要和发下来的文件一致。"}),
    (r"TypeError: \w+\(\) (?:takes .* positional argument|missing \d+ required positional)", "other-arguments",
     {"en": "A function is called with another number of arguments than it takes. Keep the arguments as they were "
            "handed out, and compare your own calls with their `def`.",
      "zh": "调用函数时给的参数个数和它的定义不一致。题目函数的参数要和发下来的文件一致；自己写的调用也要和 `def` 对上。"}),
    (r"NameError: name '(\w+)' is not defined", "name-not-defined",
     {"en": "`{0}` is not defined: a typing error, an `import` that is missing, or a variable of another function?",
      "zh": "`{0}` 没有定义：是写错了、少了 `import`，还是用了别的函数里的变量？"}),
    (r"UnboundLocalError: .*variable '(\w+)'", "used-before-it-is-set",
     {"en": "`{0}` is used before it has a value: on this input no line that sets it has run.",
      "zh": "`{0}` 还没有值就被用了：对这个输入，给它赋值的那一行没有执行。"}),
    (r"(?:TypeError|AttributeError): .*NoneType", "none-in-between",
     {"en": "You go on with None. It is an argument that may be None, or what a function without `return` gives, or a "
            "method that changes its object in place (`list.append`, `list.sort`).",
      "zh": "你在拿 None 继续算。它可能是允许为 None 的参数，也可能来自没有 `return` 的函数，或者原地修改的方法"
            "（`list.append`、`list.sort` 返回的是 None）。"}),
    (r"IndexError: (?:.*index out of range|index \S+ is out of)", "past-the-end",
     {"en": "You read a place that is not there: places are counted from 0, the last one is the length less one. On this "
            "input something may also be empty.",
      "zh": "你读了不存在的位置：位置从 0 数起，最后一个是长度减一。对这个输入，也可能有什么是空的。"}),
    (r"TypeError: unhashable type: '(\w+)'", "key-that-can-change",
     {"en": "A {0} can change, so it cannot be a key of a dictionary or an element of a set: make it a tuple first, `tuple(…)`.",
      "zh": "{0} 的内容可以改变，不能作字典的键，也不能放进集合：先用 `tuple(…)` 变成元组。"}),
    (r"KeyError: (.*)", "no-such-key",
     {"en": "A dictionary has no key {0}: test with `in` first, or use `.get(key, default)`.",
      "zh": "字典里没有键 {0}：先用 `in` 判断，或者用 `.get(键, 默认值)`。"}),
    (r"ZeroDivisionError: ", "division-by-zero",
     {"en": "You divide by 0 on this input: what is the answer when there is nothing to divide by?",
      "zh": "对这个输入你除以了 0：没有东西可除时，答案应该是什么？"}),
    (r"ValueError: (?:max|min)\(\) .*empty", "largest-of-nothing",
     {"en": "You take the largest or smallest of nothing: on this input the list is empty. `default=` says what then.",
      "zh": "你对空的列表取了最大或最小值：对这个输入它是空的。`default=` 可以规定这时的结果。"}),
    (r"RecursionError: ", "endless-recursion",
     {"en": "Your function calls itself without end: which call should be the last?",
      "zh": "你的函数无止境地调用自己：哪一次调用应该是最后一次？"}),
    (r"(?:RuntimeError: Boolean value of Tensor|ValueError: The truth value of an array)", "truth-of-many",
     {"en": "You ask whether a whole array is true (`if`, `and`, `or`, `not`, `in`). Combine truth values with `&`, `|` and `~`, "
            "or ask `.any()` or `.all()`.",
      "zh": "你在问一整个数组是真是假（`if`、`and`、`or`、`not`、`in`）。真假数组要用 `&`、`|`、`~` 组合，或者用 `.any()`、`.all()`。"}),
    (r"TypeError: (.+) is nothing that can be compared", "no-answer-type",
     {"en": "Your function returns a value of type {0}. Return arrays, numbers, text or lists.",
      "zh": "你的函数返回了 {0} 类型的值。请返回数组、数、文本或列表。"}),
    (r"RuntimeError: view size is not compatible", "view-of-swapped-axes",
     {"en": "`view` only relabels numbers in their order in memory, and after `transpose` or `permute` that order no longer "
            "fits: use `reshape`.",
      "zh": "`view` 只能按内存顺序重新划分；`transpose`、`permute` 之后顺序已经对不上了：请用 `reshape`。"}),
    (r"RuntimeError: The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)"
     r"|ValueError: operands could not be broadcast together with shapes (.*)", "sizes-do-not-match",
     {"en": "Two tensors whose sizes do not fit are combined number by number. Print both shapes. After a mean, sum or "
            "maximum over an axis this axis is often gone: `keepdim=True` (in numpy `keepdims=True`) keeps it.",
      "zh": "两个大小对不上的张量在逐个元素运算。把两个形状打印出来看看。沿某个轴求平均、求和或取最大值之后，这个轴往往就没有了："
            "`keepdim=True`（numpy 里是 `keepdims=True`）可以把它留住。"}),
    (r"RuntimeError: (?:mat1 and mat2 shapes|Expected size for first two dimensions|size mismatch"
     r")|ValueError: matmul", "product-does-not-fit",
     {"en": "The two factors of a matrix product do not fit: the last axis of the left one must be as long as the last but "
            "one of the right one. Print both shapes; is a transpose missing, or one too many?",
      "zh": "矩阵乘法的两个因子对不上：左边的最后一个轴要和右边的倒数第二个轴一样长。把两个形状打印出来：是少了转置，还是多了一个？"}),
)  # fmt: skip


def of_error(outcome: Outcome) -> tuple[str | None, Text]:
    """(name of the slip or None, sentence) for a function or file that came to no answer."""
    if not outcome.loaded:
        is_syntax = outcome.error.startswith(("SyntaxError", "IndentationError", "TabError", "UnicodeDecodeError"))
        return ("no-syntax", NO_SYNTAX) if is_syntax else ("not-loaded", NOT_LOADED)
    for pattern, name, text in ERRORS:
        if found := re.match(pattern, outcome.error):
            return name, {language: sentence.format(*found.groups()) for language, sentence in text.items()}
    return None, FAULTS.get(outcome.status, FAULTS["error"])


# --------------------------------------------------------------------------------- the answer is nearly right


def returned_nothing(always: bool) -> tuple[str, Text]:
    if always:
        return "no-return", {
            "en": "Your function returns nothing (None). Is `return` missing?",
            "zh": "你的函数什么也没有返回（None）。是不是少了 `return`？",
        }
    return "no-return-here", {
        "en": "On this input your function returns None: a branch without `return`, or the result of a method that changes "
              "its object in place and returns None (`list.append`, `list.sort`).",
        "zh": "对这个输入，你的函数返回了 None：有一个分支没有 `return`，或者返回了原地修改的方法的结果（`list.append`、`list.sort` "
              "返回的是 None）。",
    }  # fmt: skip


def overwritten(names: list[str]) -> tuple[str, Text]:
    """For a function that changes arguments it should only read."""
    quoted = ", ".join(f"`{name}`" for name in names)
    return "argument-overwritten", {
        "en": f"Your function changes its argument {quoted}: whoever called it goes on with other values. Work on a copy, or "
              "build a new object (`x = x + 1` instead of `x += 1`, `clone()`, `list(…)`).",
        "zh": f"你的函数改动了参数 {quoted}：调用它的人之后用到的值就变了。请在副本上操作，或者新建一个对象"
              "（用 `x = x + 1` 而不是 `x += 1`，或 `clone()`、`list(…)`）。",
    }  # fmt: skip


TYPES = {"bool": {"en": "truth values (bool)", "zh": "真假值（bool）"},
         "int": {"en": "whole numbers (int)", "zh": "整数（int）"},
         "float": {"en": "numbers with a fraction (float)", "zh": "小数（float）"}}  # fmt: skip


def of_nearly_right(how: str, got: Any, expected: Any) -> tuple[str, Text]:
    """The sentence for what `near_miss` found: right numbers of the wrong type, in another shape, axis or order."""
    if how == "order":
        return "other-order", {"en": "The values are right, but they are returned in another order.",
                               "zh": "返回的各个值都对，但顺序不对。"}  # fmt: skip
    if how == "part":
        return "one-of-several", {"en": "What you return is right, but it is only one of the values to return.",
                                  "zh": "你返回的值是对的，但要返回的不止这一个。"}  # fmt: skip
    got, expected = first_difference(how, got, expected)
    if how == "type":
        one, other = type_of(got, expected), type_of(expected, got)
        return "wrong-type", {"en": f"The numbers are right, but of the wrong type: {one['en']} instead of {other['en']}.",
                              "zh": f"数值都对，类型不对：你返回的是{one['zh']}，应该是{other['zh']}。"}  # fmt: skip
    shape, wanted = shape_of(got), shape_of(expected)
    if how == "shape":
        return "wrong-shape", {"en": f"The numbers are right, but of the wrong shape: {shape} instead of {wanted}.",
                               "zh": f"数值都对，形状不对：你返回的是 {shape}，应该是 {wanted}。"}  # fmt: skip
    return "axes-swapped", {"en": f"The numbers are right, but their axes are in another order: shape {shape}, expected {wanted}.",
                            "zh": f"数值都对，但轴的顺序不对：你返回的形状是 {shape}，应该是 {wanted}。"}  # fmt: skip


def first_difference(how: str, got: Any, expected: Any) -> tuple[Any, Any]:
    """The first part of a tuple that differs in type or shape; both values themselves if they are no tuples."""
    if isinstance(expected, tuple) and isinstance(got, tuple | list) and len(got) == len(expected):
        differs = {
            "type": lambda g, e: type_of(g, e) != type_of(e, g),
            "shape": lambda g, e: shape_of(g) != shape_of(e),
        }
        for g, e in zip(got, expected, strict=True):
            if differs.get(how, lambda g, e: True)(g, e):
                return g, e
    return got, expected


def type_of(value: Any, other: Any) -> Text:
    """The kind of numbers; where the other value has the same kind, the exact type."""
    name = kind(value)
    if name is None or name == kind(other):
        name = str(getattr(plain(value), "dtype", type(value).__name__))
    return TYPES.get(name, {"en": name, "zh": f" {name} "})


def shape_of(value: Any) -> str:
    shape = getattr(plain(value), "shape", None)
    if shape is None and isinstance(value, list | tuple):
        return f"[{len(value)}]"
    return str(tuple(shape or ()))


def either(one: Text, other: Text) -> Text:
    """Two ideas that give the same results on these inputs."""
    return {
        "en": f"{one['en']} Or (both give the same here): {other['en']}",
        "zh": f"{one['zh']} 或者（两者在这里结果相同）：{other['zh']}",
    }
