import re


def fill_template(templates, index, fields):
    template = templates[index % len(templates)]
    for name in re.findall(r"\{(\w+)\}", template):
        if not fields.get(name, "").strip():
            return None
    return re.sub(r"\{(\w+)\}", lambda m: fields[m.group(1)], template)


def mix_review(new, old, every):
    if not old:
        return list(new)
    result = []
    taken = 0
    for i, item in enumerate(new):
        result.append(item)
        if (i + 1) % every == 0:
            result.append(old[taken % len(old)])
            taken += 1
    return result


def reservoir_update(buffer, item, seen, capacity, draw):
    buffer = list(buffer)
    if seen < capacity:
        buffer.append(item)
        return buffer
    j = int(draw * (seen + 1))
    if j < capacity:
        buffer[j] = item
    return buffer
