"""Legal inputs of every exercise, drawn wide: what the docstring allows, awkward on purpose.

The graders know nothing of them: they tell a mutant that is wrong from one that only looks different.
"""

import numpy as np
import torch

from minillm.homework.child import Linear, ToyModel
from minillm.homework.lessons import l05_loop

CHARACTERS = list("abzABZ019 \t\n.,!?'_-éÉßМи玉山台湾「」，。！？𠮷㐀\u9fa6\u9fff〇\u3000👍")
PLAIN = list("abAB \t\n\r.'é玉山МИ0")  # white space: only spaces, tabs and line ends


def text(rng, most=12, characters=CHARACTERS) -> str:
    return "".join(rng.choice(characters, int(rng.integers(most + 1))))


def pick(rng, *values):
    return values[int(rng.integers(len(values)))]


def ids(rng, most=9, high=3, low=0) -> list[int]:
    scale = pick(rng, 1, 1, 257)
    return [int(i) * scale for i in rng.integers(low, high, int(rng.integers(most + 1)))]


def number(rng, low, high) -> int:
    return int(rng.integers(low, high))


def normal(rng, *shape, size=1.0):
    return torch.from_numpy(np.asarray(size * rng.standard_normal(shape), dtype=np.float32))


def sizes(rng, n, most=4) -> list[int]:
    return [number(rng, 1, most + 1) for _ in range(n)]


def distribution(rng, tokens) -> dict:
    p = rng.random(len(tokens)) + 0.05
    return {t: float(x / p.sum()) for t, x in zip(tokens, p)}


def tables(rng):
    from minillm.homework.lessons.l01_ngrams import all_tables

    tokens = [number(rng, 0, 3) for _ in range(number(rng, 1, 20))]
    return all_tables(tokens, number(rng, 1, 5)), ids(rng, 6, 4)


def counted(rng):
    tokens = [0, "a", "B", "玉", ""][: number(rng, 1, 6)]
    seen = [t for t in tokens if rng.random() < 0.5]
    return {t: number(rng, 1, 5) for t in seen}, distribution(rng, tokens)


def logits_and_targets(rng):
    shape = sizes(rng, pick(rng, 1, 2))
    v = number(rng, 1, 6)
    logits = normal(rng, *shape, v, size=pick(rng, 1.0, 5.0, 400.0)) + normal(rng, *shape, 1, size=pick(rng, 0, 3, 900))
    return logits, torch.from_numpy(rng.integers(0, v, shape))


def weighted(rng, some=False):
    shape = sizes(rng, 2)
    v = number(rng, 1, 6)
    logits = normal(rng, *shape, v, size=pick(rng, 1.0, 400.0)) + normal(rng, *shape, 1, size=pick(rng, 0, 900))
    weights = torch.from_numpy((rng.random(shape) < pick(rng, 0.2, 0.6, 1.0)).astype(np.float32))
    if some:
        weights[-1, -1] = 1.0
    return logits, torch.from_numpy(rng.integers(0, v, shape)), weights


def ranks(rng):
    word = text(rng, 8).encode()
    tokens = list(
        {word[i:j] for i in range(len(word)) for j in range(i + 2, min(len(word), i + 6) + 1) if rng.random() < 0.4}
    )
    rng.shuffle(tokens)
    order = rng.permutation(256) if rng.random() < 0.5 else range(256)
    return word, {t: i for i, t in enumerate([*(bytes([b]) for b in order), *tokens])}


def cut_off(rng):
    data = text(rng, 4).encode() + pick(rng, "é", "玉", "👍", "a").encode()
    for held in range(number(rng, 0, 4)):
        data = data[:-1] if data and data[-1] >= 0x80 and held < 3 and len(data) > 1 and is_start(data[:-1]) else data
    return (data,)


def is_start(data: bytes) -> bool:
    """Whether more bytes could make it whole: some character is cut off in the middle or nothing is."""
    return any(_decodes(data[: len(data) - k]) for k in range(4))


def _decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def attention(rng):
    b, h, t, d = sizes(rng, 4, 3)
    s = t + number(rng, 0, 3)
    size = pick(rng, 1.0, 100.0)
    q, k, v = normal(rng, b, h, t, d, size=size), normal(rng, b, h, s, d, size=size), normal(rng, b, h, s, d)
    mask = torch.from_numpy(rng.random((b, 1, t, s)) < 0.6)
    mask[..., 0] = True
    return q, k, v, pick(rng, None, mask, mask[0, 0], torch.ones(t, s, dtype=torch.bool).tril(s - t))


def half(rng):
    x = normal(rng, *sizes(rng, number(rng, 1, 4)), size=pick(rng, 0.01, 1.0, 300.0))
    x = x.half() if rng.random() < 0.4 else x
    return (x,) if rng.random() < 0.3 else (x, pick(rng, 1e-5, 0.01))


def rotated(rng):
    b, h, t, d = sizes(rng, 4, 3)
    angles = normal(rng, b, 1, t, d, size=3.0)
    return normal(rng, b, h, t, 2 * d), angles.cos(), angles.sin()


def layers(rng):
    b, t, c = sizes(rng, 3)
    parts = [Linear(normal(rng, c, c), normal(rng, c)) for _ in range(4)]
    return (normal(rng, b, t, c), *parts)


def top_k(rng):
    b, v = sizes(rng, 2, 6)
    logits = (
        torch.from_numpy(rng.integers(-4, 5, (b, v)).astype(np.float32))
        if rng.random() < 0.5
        else normal(rng, b, v, size=9)
    )
    return logits, number(rng, 1, 9)


def is_allowed(logits, p) -> bool:
    """No tie at the border and no sum near p, except that of all tokens."""
    total = logits.double().softmax(-1).sort(descending=True)[0].cumsum(-1)
    return bool(((total[:, :-1] - p).abs() > 0.005).all()) and bool((logits.sort()[0].diff() > 0.01).all())


def top_p(rng, temperature=False):
    while True:
        b, v = sizes(rng, 2, 6)
        logits, p = normal(rng, b, v, size=2.0), pick(rng, 1.0 if temperature else 0.0, 1.0, float(rng.random()), 0.9)
        heat = pick(rng, 0.5, 1.0, 2.0) if temperature else 1.0
        if is_allowed(logits / heat, p) and ((1 - p) > 0.005 or p == 1):
            logits = logits + normal(rng, b, 1, size=pick(rng, 0, 300))
            return (logits, heat, p) if temperature else (logits, p)


def tempered(rng):
    if rng.random() < 0.4:
        logits = torch.from_numpy(rng.integers(-2, 3, sizes(rng, 2, 5)).astype(np.float32))
        return logits, 0.0, pick(rng, None, 0.5)
    return (
        top_p(rng, True)
        if rng.random() < 0.6
        else (normal(rng, *sizes(rng, 2, 5), size=pick(rng, 1, 400)), pick(rng, 0.3, 1.7), None)
    )


def decoded(rng):
    while True:
        v, n = number(rng, 2, 6), number(rng, 0, 7)
        model = ToyModel(normal(rng, v, v, size=3.0))
        prompt = [number(rng, 0, v) for _ in range(number(rng, 1, 6))]
        if l05_loop.decisive(model, prompt, n + 1):
            return model, prompt, n, pick(rng, None, number(rng, 0, v))


def cached(rng):
    b, h, t, d = sizes(rng, 4, 3)
    length = number(rng, 0, 4)
    return l05_loop.cache(rng, b, h, length + t + number(rng, 0, 3), d, length, t)


def scheduled(rng):
    warmup = number(rng, 1, 6)
    steps = warmup + number(rng, 2, 9)
    return number(rng, 0, steps), steps, warmup, pick(rng, 0.0, 1.0, float(rng.random()))


def gradients(rng):
    parts = [normal(rng, *sizes(rng, number(rng, 0, 3)), size=pick(rng, 0.0, 1.0)) for _ in range(number(rng, 1, 4))]
    return parts, pick(rng, 0.5, 1.0, 4.0)


def adamw(rng):
    shape, step = sizes(rng, number(rng, 1, 3)), number(rng, 1, 9)
    square = torch.zeros(shape) if step == 1 else normal(rng, *shape).square()
    mean = torch.zeros(shape) if step == 1 else normal(rng, *shape)
    gradient = normal(rng, *shape, size=pick(rng, 0.0, 1.0, 1.0))
    return (
        normal(rng, *shape),
        gradient,
        mean,
        square,
        step,
        0.1,
        (0.8, 0.95),
        pick(rng, 1e-8, 0.1),
        pick(rng, 0.0, 0.3),
    )


def turns(rng):
    found = [(ids(rng, 4, 9) or [5], ids(rng, 3, 9)) for _ in range(number(rng, 1, 4))]
    if rng.random() < 0.3:
        found[-1] = (found[-1][0], None)
    return (found, *pick(rng, (900, 901), (0, 1)))


def dialogues(rng):
    rows = []
    for _ in range(number(rng, 1, 4)):
        n = number(rng, 2, 7)
        rows.append(([number(rng, 0, 9) for _ in range(n)], [False, *(bool(x) for x in rng.random(n - 1) < 0.5)]))
    return rows, pick(rng, 0, 5, 902)


def shapes(rng):
    names = ["blocks.0.a", "blocks.1.b", "blocks_x", "my.blocks.0", "tok_emb", "norm", "blocks.0.bias"]
    found = {n: tuple(sizes(rng, pick(rng, 1, 2, 2), 6)) for n in names if rng.random() < 0.5}
    return found, number(rng, 1, 5)


def records(rng):
    found = [{"question": pick(rng, "Who?", " who? ", "Who", "a b", "ab", "A\tb", "É", "é", "", " \n", text(rng, 3)),
              "answer": pick(rng, "x", "y", "", " \t", "0"), "type": pick(rng, "a", "b", "c", ""),
              "good": bool(rng.random() < 0.8)} for _ in range(number(rng, 0, 9))]  # fmt: skip
    return found, number(rng, 0, 7)


def trimmed(rng) -> str:
    return pick(rng, "", " ", "\n", "\u3000") + pick(rng, "Paris", "paris", "玉山", "St. J", "玉", "") + pick(
        rng, "", ".", "。", " !", "？", "\n", ".\n", ")", ",", "! ?")  # fmt: skip


def exam(rng):
    n = number(rng, 0, 5)
    forms = [[trimmed(rng) for _ in range(number(rng, 1, 4))] for _ in range(n)]
    return [(pick(rng, *f, trimmed(rng)), bool(rng.random() < 0.8)) for f in forms], forms


def resamples(rng):
    n, r = number(rng, 1, 9), number(rng, 1, 60)
    return rng.random(n) < 0.5, rng.integers(n, size=(r, n))


def scored(rng):
    accepted = {
        one: [trimmed(rng) for _ in range(number(rng, 0, 3))] for one in ("en", "zh", "no") if rng.random() < 0.7
    }
    every = [f for forms in accepted.values() for f in forms]
    return pick(rng, trimmed(rng), *every), pick(rng, "en", "zh", "mixed", "none"), accepted, pick(rng, "en", "zh")


def three_marks(rng):
    return tuple((rng.random(number(rng, 1, 6)) < pick(rng, 0.2, 0.5, 0.9)).astype(float) for _ in range(3))


def templated(rng):
    places = [" {a}", "{b_2}", " x ", "{句子}", "{a}", "{C}"]
    templates = ["".join(pick(rng, *places) for _ in range(number(rng, 0, 4))) for _ in range(number(rng, 1, 4))]
    values = ("v", "早安", " w ", "{a}", "{b_2}", r"\1", "", " \n", "0", "{")
    fields = {name: pick(rng, *values) for name in ("a", "b_2", "句子", "C", "z") if rng.random() < 0.9}
    return templates, number(rng, 0, 8), fields


def mixed(rng):
    return (
        [pick(rng, 0, None, "a", i) for i in range(number(rng, 0, 9))],
        [pick(rng, 0, "o", i) for i in range(number(rng, 0, 4))],
        number(rng, 1, 5),
    )


def reservoir(rng):
    capacity, seen = number(rng, 0, 5), number(rng, 0, 9)
    buffer = [number(rng, 0, 3) for _ in range(min(seen, capacity))]
    return (
        buffer,
        pick(rng, 0, 9, "x"),
        seen,
        capacity,
        pick(rng, 0.0, float(rng.random()), (number(rng, 0, seen + 1) + 0.5) / (seen + 1)),
    )


def units_text(rng) -> str:
    return "".join(
        pick(rng, "a", "B", "ab ", "Ab", "7", " ", "玉", "山", "\u9fd5", "〇", "é", "-", "_", "'")
        for _ in range(number(rng, 0, 8))
    )


def similarities(rng):
    c, p = number(rng, 0, 6), number(rng, 0, 4)
    among = np.triu(rng.integers(0, 10, (c, c)) / 10, 1)
    among = among + among.T + np.eye(c)
    return rng.integers(0, pick(rng, 6, 10), (c, p)) / 10, among, pick(rng, 0.5, 0.7)


def record(rng):
    values = ("x", "Who?", " who?\n", "An image", "graphs", "图片", "my_graph's", "a" * 200, "b" * 201, " " * 250 + "c", "", "\t", None, 3, ["a"],
              "GRAPH", "picturé", "picture7")  # fmt: skip
    found = {
        k: pick(rng, *values) if rng.random() < 0.7 else "Who?"
        for k in ("instruction", "input", "output")
        if rng.random() < 0.9
    }
    return (found,)


def pairs(rng, n):
    size = pick(rng, 1.0, 10.0, 1000.0)
    count = number(rng, 1, 5)
    return tuple(normal(rng, count, size=size) for _ in range(n))


def state(rng):
    names = ["h.0.fc.w", "h.h.1", "wte", "zeta", "fc", "h.1.bias"]
    found = {
        str(n): normal(rng, *sizes(rng, number(rng, 1, 4), 3)) for n in rng.permutation(names)[: number(rng, 0, 7)]
    }
    rules = [(pick(rng, "h", "h.", "fc", "wte", "w", "block"), pick(rng, "block", "up", "", "fc", None), bool(rng.random() < 0.4))
             for _ in range(number(rng, 0, 4))]  # fmt: skip
    done = [name.replace(".", "") for name in found]
    return (found, rules) if len(set(done)) == len(done) and no_clash(found, rules) else state(rng)


def no_clash(state, rules) -> bool:
    from minillm.homework.lessons.l14_into_every_home import renamed

    new, unknown = renamed(state, rules)
    left_out = renamed(state, rules, dropped_unknown=True)[1]
    return len(new) + len(left_out) == len(state) and len(unknown) <= len(left_out)


def messages(rng):
    def content():
        return pick(rng, "", " ", "\n", "\u3000") + pick(rng, "Paris", "玉山", "「是」", "…", "É", "かな", "㐀", "\u9fd5", "Ａ", "2 AI: x", "'a") + pick(
            rng, "", " ", "\t\r\n")  # fmt: skip

    found = [("system", content())] if rng.random() < 0.4 else []
    for _ in range(number(rng, 1, 4)):
        found += [("user", content()), ("assistant", content())]
    return (found[:-1] if rng.random() < 0.3 else found,)


def lora(rng, with_x):
    inner, out, rank = sizes(rng, 3)
    rest = normal(rng, out, inner), normal(rng, rank, inner), normal(rng, out, rank), pick(rng, 0.5, 1.0, 8.0)
    return (normal(rng, *sizes(rng, number(rng, 0, 3)), inner), *rest) if with_x else rest


def layer_normed(rng):
    c = number(rng, 1, 6)
    x = normal(rng, *sizes(rng, number(rng, 1, 3)), c, size=pick(rng, 0.05, 1.0, 9.0))
    x[..., :1, :] = 2.0 if rng.random() < 0.2 else x[..., :1, :]
    return x, normal(rng, c), normal(rng, c), pick(rng, 1e-5, 0.01)


def split(rng):
    b, t, h, d = sizes(rng, 4)
    return normal(rng, b, t, h * d), h


def causal(rng):
    t = number(rng, 1, 7)
    return t, t + number(rng, 0, 6)


def batch(rng):
    width, n = number(rng, 1, 5), number(rng, 8, 20)
    return rng.integers(0, 900, n), [number(rng, 0, n - width) for _ in range(number(rng, 1, 5))], width


def a_line(rng):
    n = number(rng, 1, 9)
    return normal(rng, n).clamp(-2, 2), normal(rng, n)


def scores(rng):
    n, v = sizes(rng, 2, 6)
    return normal(rng, n, v, size=pick(rng, 1.0, 5.0, 400.0)), torch.from_numpy(rng.integers(0, v, n))


def a_table(rng):
    v, n = sizes(rng, 2, 6)
    some = [torch.from_numpy(rng.integers(0, v, n)) for _ in range(2)]
    return normal(rng, v, v), *some, float(rng.uniform(0.1, 3.0))


def rows_of_a_table(rng):
    v = number(rng, 1, 6)
    return torch.from_numpy(rng.integers(0, v, sizes(rng, 2))), normal(rng, v, v)


def a_neuron(rng):
    n = number(rng, 1, 9)
    return normal(rng, n), normal(rng, n), *(float(x) for x in rng.standard_normal(2))


def sampled_rows(rng):
    b, t = number(rng, 1, 5), number(rng, 1, 8)
    end = pick(rng, 0, 2, 257)
    ids = torch.from_numpy(rng.choice([end, end + 1, 5, 300], (b, t), p=[0.3, 0.3, 0.2, 0.2]))
    return ids, torch.from_numpy(rng.integers(0, t + 1, b)), end


def rewards_of_groups(rng):
    n, g = number(rng, 1, 5), number(rng, 1, 6)
    if rng.random() < 0.4:
        return torch.from_numpy(rng.integers(-3, 4, (n, g))), bool(rng.random() < 0.7)
    rewards = normal(rng, n, g, size=pick(rng, 0.001, 1.0, 30.0))
    if rng.random() < 0.3:
        rewards[number(rng, 0, n)] = float(pick(rng, -1.0, 0.0, 0.5))
    return rewards, bool(rng.random() < 0.7)


def episodes(rng):
    b, t = number(rng, 1, 5), number(rng, 1, 7)
    lengths = torch.from_numpy(rng.integers(0, t + 1, b))
    return (
        normal(rng, b, t, size=3),
        normal(rng, b, t, size=3),
        lengths,
        pick(rng, 0.0, 0.5, 0.99, 1.0),
        pick(rng, 0.0, 0.6, 1.0),
    )


def policy(rng, with_advantages):
    b, t = number(rng, 1, 5), number(rng, 1, 7)
    weights = torch.from_numpy((rng.random((b, t)) < pick(rng, 0.0, 0.5, 1.0)).astype(np.float32))
    one, other = (-normal(rng, b, t, size=pick(rng, 0.1, 1.0)).abs() for _ in range(2))
    if rng.random() < 0.4:
        one, other = (torch.where(weights > 0, x, torch.tensor(-torch.inf)) for x in (one, other))
    return (
        (one, other, normal(rng, b, size=2), weights, pick(rng, 0.1, 0.2, 0.5))
        if with_advantages
        else (one, other, weights)
    )


def answers_rewarded(rng):
    questions, n = number(rng, 1, 5), number(rng, 1, 6)
    rewards = (
        normal(rng, questions * n)
        if rng.random() < 0.5
        else torch.from_numpy(rng.integers(-2, 2, questions * n)).float()
    )
    if rng.random() < 0.4:
        rewards[torch.from_numpy(rng.random(questions * n) < 0.4)] = -torch.inf
    return rewards, n


def rotary(rng):
    heads, half = number(rng, 1, 4), number(rng, 1, 4)
    return normal(rng, 2 * heads * half, number(rng, 1, 5)), heads


def packed(rng, n):
    return torch.from_numpy(rng.integers(0, 256, (n, 16))), normal(rng, n), normal(rng, n)


def marked(rng):
    n = number(rng, 0, 9)
    return tuple([bool(b) for b in rng.integers(0, 2, n)] for _ in range(2))


INPUTS = {
    (0, "line_loss"): lambda rng: (*(float(x) for x in rng.standard_normal(2)), *a_line(rng)),
    (0, "neuron_gradient"): a_neuron,
    (0, "fit_line"): lambda rng: (*a_line(rng), float(rng.uniform(0.01, 0.15)), number(rng, 0, 30)),
    ("2b", "bigram_logits"): rows_of_a_table,
    ("2b", "logits_gradient"): scores,
    ("2b", "train_step"): a_table,
    (1, "count_ngrams"): lambda rng: (ids(rng, 12), number(rng, 1, 5)),
    (1, "next_token_probabilities"): tables,
    (1, "smooth"): counted,
    (1, "cross_entropy"): logits_and_targets,
    (1, "perplexity"): lambda rng: (
        rng.choice([1.0, 0.5, 1e-5, 0.0, 0.9], number(rng, 1, pick(rng, 4, 900)), p=[0.3, 0.3, 0.2, 0.01, 0.19]),
    ),
    (1, "bits_per_byte"): lambda rng: (list(3 * rng.random(number(rng, 1, 6))), text(rng) + "a"),
    (2, "merge"): lambda rng: (ids(rng, 9), pick(rng, (0, 1), (1, 1), (257, 0), (0, 0), (257, 257)), 600),
    (2, "most_frequent_pair"): lambda rng: ([ids(rng, 5) for _ in range(number(rng, 0, 6))],),
    (2, "train_bpe"): lambda rng: (
        [text(rng, 5) for _ in range(number(rng, 0, 6))] * number(rng, 1, 3),
        number(rng, 256, 270),
    ),
    (2, "encode"): ranks,
    (2, "whole_characters"): cut_off,
    (3, "split_heads"): split,
    (3, "join_heads"): lambda rng: (normal(rng, *sizes(rng, 4)),),
    (3, "causal_mask"): causal,
    (3, "attention"): attention,
    (4, "layer_norm"): layer_normed,
    (4, "rms_norm"): half,
    (4, "rotary_angles"): lambda rng: (number(rng, 1, 9), 2 * number(rng, 1, 9), pick(rng, 100.0, 10000.0, 500000.0)),
    (4, "rotate"): rotated,
    (4, "block"): layers,
    (5, "keep_top_k"): top_k,
    (5, "keep_top_p"): top_p,
    (5, "probabilities"): tempered,
    (5, "generate"): decoded,
    (5, "extend_cache"): cached,
    (6, "similarity"): lambda rng: (text(rng, 9, PLAIN), text(rng, 9, PLAIN), number(rng, 1, 5)),
    (6, "near_duplicates"): lambda rng: (
        [text(rng, 9, list("aAb \n玉")) for _ in range(number(rng, 0, 6))],
        pick(rng, 0.2, 0.5, 1.0),
    ),
    (6, "text_batch"): batch,
    (6, "learning_rate_scale"): scheduled,
    (6, "clip_gradients"): gradients,
    (6, "adamw_step"): adamw,
    (7, "encode_dialogue"): turns,
    (7, "padded_batch"): dialogues,
    (7, "masked_loss"): weighted,
    (7, "piece_losses"): lambda rng: (*weighted(rng, True), number(rng, 1, 6)),
    (8, "lora_forward"): lambda rng: lora(rng, True),
    (8, "lora_merge"): lambda rng: lora(rng, False),
    (8, "count_lora_parameters"): shapes,
    (9, "choose_pairs"): records,
    (9, "exact_match"): exam,
    (9, "bootstrap_interval"): resamples,
    (10, "answer_language"): lambda rng: (text(rng, 14),),
    (10, "score_answer"): scored,
    (10, "transfer_ratio"): three_marks,
    (11, "fill_template"): templated,
    (11, "mix_review"): mixed,
    (11, "reservoir_update"): reservoir,
    (12, "similarity"): lambda rng: (units_text(rng), units_text(rng)),
    (12, "keep_new"): similarities,
    (12, "record_fault"): record,
    (13, "sequence_log_probs"): weighted,
    (13, "bradley_terry_loss"): lambda rng: pairs(rng, 2),
    (13, "dpo_loss"): lambda rng: (*pairs(rng, 4), pick(rng, 0.1, 1.0, 3.0)),
    (14, "rename_weights"): state,
    (14, "chat_template"): messages,
    (14, "quantise_rows"): lambda rng: (normal(rng, *sizes(rng, 2, 5), size=pick(rng, 0.0, 0.01, 1.0, 50.0)),),
    (15, "answer_weights"): sampled_rows,
    (15, "group_advantages"): rewards_of_groups,
    (15, "gae"): episodes,
    (15, "clipped_loss"): lambda rng: policy(rng, True),
    (15, "kl_k3"): lambda rng: policy(rng, False),
    (15, "best_of_n"): answers_rewarded,
    (14, "rotary_halves"): rotary,
    (14, "unpack_q4"): lambda rng: packed(rng, number(rng, 1, 4)),
    (14, "share_kept"): marked,
}
