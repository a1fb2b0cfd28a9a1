def merge(ids, pair, new):
    out = []
    i = 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == tuple(pair):
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def most_frequent_pair(words):
    counts = {}
    for word in words:
        for pair in zip(word, word[1:]):
            counts[pair] = counts.get(pair, 0) + 1
    if not counts:
        return None
    return max(counts, key=counts.get)


def train_bpe(words, vocab_size):
    pieces = [list(word.encode("utf-8")) for word in words]
    merges = []
    while 256 + len(merges) < vocab_size:
        pair = most_frequent_pair(pieces)
        if pair is None:
            break
        pieces = [merge(piece, pair, 256 + len(merges)) for piece in pieces]
        merges.append(pair)
    return merges


def encode(piece, ranks):
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        best = None
        for i in range(len(parts) - 1):
            rank = ranks.get(parts[i] + parts[i + 1])
            if rank is not None and (best is None or rank < best[0]):
                best = (rank, i)
        if best is None:
            break
        i = best[1]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return [ranks[part] for part in parts]


def whole_characters(data):
    for held in range(4):
        cut = len(data) - held
        try:
            return data[:cut].decode("utf-8"), data[cut:]
        except UnicodeDecodeError:
            pass
