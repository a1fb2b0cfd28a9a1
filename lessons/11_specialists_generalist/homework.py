"""Homework of lesson 11: specialists and the generalist. Write the three functions with plain Python.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 11`. Lesson: notebooks/en/11_specialists_generalist.ipynb.

第 11 课作业：专才与通才。用 Python 写出下面三个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 11`。课文：notebooks/zh/11_specialists_generalist.ipynb。
"""


def fill_template(templates: list[str], index: int, fields: dict[str, str]) -> str | None:
    """Write an instruction: a task's template number `index` with its places filled.

    templates: at least one; index is 0 or more and begins again after the last template (with three
    templates 3 means the first). A place is a name in braces, `{sentence}` or `{句子_2}`; it may occur several
    times, and a template has no other braces.
    Each is replaced by the field's value, unchanged; braces inside a value are plain text and are not
    filled. Fields without a place are not used. None if the chosen template has a place whose field is
    missing, empty or only white space.

    写出一条指令：取一个任务的第 `index` 个模板，填上其中的空位。

    templates：至少一个；index 是 0 或更大的数，超过最后一个模板就从头再来（有三个模板时，3 就是第一个）。空位是花括号
    里的名字，如 `{sentence}` 或 `{句子_2}`；同一个可以出现几次，模板里没有别的花括号。每个空位换成对应字段的值，一字
    不改；值里的花括号只是普通文字，不再填。没有对应空位的字段不用。如果选中的模板有一个空位，它的字段缺失、为空或只有
    空白，就返回 None。
    """
    raise NotImplementedError


def mix_review(new: list, old: list, every: int) -> list:
    """The order of learning when old examples are reviewed among new ones.

    All of `new` in its order; after each group of `every` (1 or more) new examples comes one old
    example. The old ones are taken in order and begin again when all have been taken. No old example
    follows a last group that is not full. With an empty `old` the new ones alone.

    在新例子中间复习旧例子时，学习的顺序。

    `new` 里的全部例子，顺序不变；每 `every` 个（1 个或更多）新例子为一组，每组之后来一个旧例子。旧例子按顺序取，取完
    一遍再从头开始。最后一组如果不满，后面就没有旧例子。`old` 为空时只有新例子。
    """
    raise NotImplementedError


def reservoir_update(buffer: list, item, seen: int, capacity: int, draw: float) -> list:
    """Keep a fair sample of a stream in a buffer of limited size (reservoir sampling, algorithm R).

    buffer: what is kept so far, at most `capacity` items; seen: how many items came before `item`;
    draw: a random number, 0 <= draw < 1. While fewer than `capacity` items have been seen, append the
    item. After that let j = floor(draw * (seen + 1)): if j < capacity the item takes the place of
    buffer[j], else it is passed over.

    Returns the new buffer; whether the given list changes does not matter.

    用大小有限的缓冲区为一个数据流保存公平的样本（蓄水池抽样，算法 R）。

    buffer：到目前为止保存的，最多 `capacity` 个；seen：`item` 之前来过多少个；draw：一个随机数，0 <= draw < 1。来过的
    还不足 `capacity` 个时，把 item 接在末尾。此后令 j = floor(draw * (seen + 1))：j < capacity 时，item 取代
    buffer[j]，否则略过它。

    返回新的缓冲区；给定的列表变不变都可以。
    """
    raise NotImplementedError
