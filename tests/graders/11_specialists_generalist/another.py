"""str.format, slices and iterators, in place."""

import itertools
import math
import string


def fill_template(templates, index, fields):
    while index >= len(templates):
        index -= len(templates)
    names = [name for _, name, _, _ in string.Formatter().parse(templates[index]) if name]
    if any(name not in fields or fields[name].isspace() or not fields[name] for name in names):
        return None
    return templates[index].format(**fields)


def mix_review(new, old, every):
    turns = itertools.cycle(old)
    result = []
    for start in range(0, len(new), every):
        group = new[start : start + every]
        result += group
        if old and len(group) == every:
            result.append(next(turns))
    return result


def reservoir_update(buffer, item, seen, capacity, draw):
    place = seen if seen < capacity else math.floor(draw * (seen + 1))
    if place < capacity:
        buffer[place : place + 1] = [item]
    return buffer
