"""Homework of lesson 11: specialists and the generalist. Write the three functions with plain Python.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 11`. Lesson: notebooks/en/11_specialists_generalist.ipynb.
"""


def fill_template(templates: list[str], index: int, fields: dict[str, str]) -> str | None:
    """Write an instruction: a task's template number `index` with its places filled.

    templates: at least one; index is 0 or more and begins again after the last template (with three
    templates 3 means the first). A place is a name in braces, `{sentence}` or `{句子_2}`; it may occur several
    times, and a template has no other braces.
    Each is replaced by the field's value, unchanged; braces inside a value are plain text and are not
    filled. Fields without a place are not used. None if the chosen template has a place whose field is
    missing, empty or only white space.
    """
    raise NotImplementedError


def mix_review(new: list, old: list, every: int) -> list:
    """The order of learning when old examples are reviewed among new ones.

    All of `new` in its order; after each group of `every` (1 or more) new examples comes one old
    example. The old ones are taken in order and begin again when all have been taken. No old example
    follows a last group that is not full. With an empty `old` the new ones alone.
    """
    raise NotImplementedError


def reservoir_update(buffer: list, item, seen: int, capacity: int, draw: float) -> list:
    """Keep a fair sample of a stream in a buffer of limited size (reservoir sampling, algorithm R).

    buffer: what is kept so far, at most `capacity` items; seen: how many items came before `item`;
    draw: a random number, 0 <= draw < 1. While fewer than `capacity` items have been seen, append the
    item. After that let j = floor(draw * (seen + 1)): if j < capacity the item takes the place of
    buffer[j], else it is passed over.

    Returns the new buffer; whether the given list changes does not matter.
    """
    raise NotImplementedError
