import re


def units(text):
    return re.findall(r"[\u4e00-\u9fff]|[a-z0-9]+", text.lower())


def similarity(a, b):
    x, y = units(a), units(b)
    if not x or not y:
        return 0.0
    table = [[0] * (len(y) + 1) for _ in range(len(x) + 1)]
    for i in range(1, len(x) + 1):
        for j in range(1, len(y) + 1):
            if x[i - 1] == y[j - 1]:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    length = table[-1][-1]
    return 2 * length / (len(x) + len(y))


def keep_new(to_pool, among, threshold):
    kept = []
    for c in range(len(among)):
        values = list(to_pool[c]) + [among[c][k] for k in kept]
        if all(value < threshold for value in values):
            kept.append(c)
    return kept


def record_fault(record):
    for field in ("instruction", "output"):
        if not isinstance(record.get(field), str):
            return "missing"
    if "input" in record and not isinstance(record["input"], str):
        return "missing"
    instruction, output = record["instruction"].strip().lower(), record["output"].strip().lower()
    if not instruction or not output:
        return "empty"
    if len(output) > 200:
        return "long"
    sources = [instruction]
    if "input" in record:
        sources.append(record["input"].strip().lower())
    if output in sources:
        return "copied"
    if re.search(r"(?<![a-z])(image|picture|graph)(?![a-z])", instruction) or "图片" in instruction:
        return "impossible"
    return ""
