"""Everyday slips each have a sentence of their own, in both languages; what is nearly right is told so."""

from pathlib import Path

import numpy as np
import pytest
import torch

from minillm.homework import gradebook, messages
from minillm.homework.compare import near_miss, same_and_typed
from minillm.homework.grade import grade
from minillm.homework.sandbox import Sandbox

HERE = Path(__file__).parent

ATTENTION = "import torch, math\ndef attention(q, k, v, mask):\n"
MASKED = "    scores = scores if mask is None else scores.masked_fill(~mask, float('-inf'))\n"
SLIPS = [
    (3, "attention", ATTENTION + "    w = (q @ k.mT).softmax(-1)\n", "no-return"),
    (3, "attention", ATTENTION + "    scores = q @ k.T / math.sqrt(q.shape[-1])\n    return scores @ v, scores\n", "all-axes-turned"),
    (3, "attention", ATTENTION + "    scores = q @ k / math.sqrt(q.shape[-1])\n    return scores @ v, scores\n", "keys-not-transposed"),
    (3, "attention", ATTENTION + "    scores = q @ k.mT / math.sqrt(q.shape[-1])\n" + MASKED + "    e = scores.exp()\n    w = e / e.sum(-1)\n"
     "    return w @ v, w\n", "keepdim-missing"),
    (3, "attention", ATTENTION + "    scores = q @ k.mT / math.sqrt(q.shape[-1])\n" + MASKED + "    w = scores.softmax(-1)\n    return w, w @ v\n",
     "other-order"),
    (3, "attention", ATTENTION + "    return scores, v\n", "name-not-defined"),
    (3, "attention", "def attention(q, k, v)\n    return q\n", "no-syntax"),
    (3, "attention", "def attention(q, k, v):\n    return q\n", "other-arguments"),
    (3, "attention", "1 / 0\n", "not-loaded"),
    (3, "attention", "def Attention(q, k, v, mask):\n    return q\n", "no-such-function"),
    (3, "attention", ATTENTION + "    return lambda: 0\n", "no-answer-type"),
    (0, "neuron_gradient", (HERE / "00_gradients/solution.py").read_text(encoding="utf-8").replace("return dz * x, dz", "return dz * x"),
     "one-of-several"),
    (1, "count_ngrams", "def count_ngrams(tokens, n):\n    return {tokens[: n - 1]: {}}\n", "key-that-can-change"),
    (15, "gae", (HERE / "15_reinforcement/solution.py").read_text(encoding="utf-8").replace(
        "values = torch.where(inside, values, 0.0)", "values, rewards = values * inside, rewards * inside"), "filling-times-zero"),
    (3, "attention", ATTENTION + "    if mask:\n        return q, k\n    return q @ k.mT, q @ k.mT\n", None),
    (3, "attention", ATTENTION + "    s = q @ k.mT / math.sqrt(q.shape[-1])\n    s = s.masked_fill(~mask, -math.inf)\n    w = s.softmax(-1)\n"
     "    return w @ v, w\n", "none-in-between"),
    (3, "causal_mask", "import torch\ndef causal_mask(t, s):\n    return torch.ones(t, s).tril(s - t)\n", "wrong-type"),
    (3, "causal_mask", "import torch\ndef causal_mask(t, s):\n    return torch.ones(s, t).tril(t - s).bool()\n", None),
    (3, "join_heads", "def join_heads(x):\n    b, h, t, d = x.shape\n    return x.transpose(1, 2).view(b, t, h * d)\n", "view-of-swapped-axes"),
    (3, "join_heads", "def join_heads(x):\n    b, h, t, d = x.shape\n    return x.transpose(1, 2)\n", "wrong-shape"),
    (3, "split_heads", "def split_heads(x, n):\n    b, t, c = x.shape\n    return x.view(b, t, n, c // n).permute(2, 0, 1, 3)\n", "axes-swapped"),
    (4, "layer_norm", "def layer_norm(x, weight, bias, eps):\n    m, v = x.mean(-1), x.var(-1, unbiased=False)\n"
     "    return (x - m) / (v + eps).sqrt() * weight + bias\n", "keepdim-missing"),
    (7, "masked_loss", "import torch\nfrom torch.nn import functional as F\ndef masked_loss(x, t, w):\n"
     "    return (F.cross_entropy(x, t, reduction='none') * w).sum() / w.sum().clamp(min=1)\n", "cross-entropy-on-b-t-v"),
    (5, "generate", "import torch\ndef generate(model, prompt, n, stop):\n    new = []\n    for _ in range(n):\n"
     "        prompt.append(int(model(torch.tensor([prompt]))[0, -1].argmax()))\n        new.append(prompt[-1])\n"
     "        if new[-1] == stop:\n            break\n    return new\n", "argument-overwritten"),
    (5, "generate", "import torch\ndef generate(model, prompt, n, stop):\n    ids = list(prompt)\n    for _ in range(n):\n"
     "        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))\n        if stop and ids[-1] == stop:\n            break\n"
     "    return ids[len(prompt):]\n", "zero-taken-for-none"),
    (11, "reservoir_update", "def reservoir_update(buffer, item, seen, capacity, draw):\n    if seen < capacity:\n"
     "        return buffer.append(item)\n    j = int(draw * (seen + 1))\n    if j < capacity:\n        buffer[j] = item\n    return buffer\n",
     "no-return-here"),
    (7, "padded_batch", (HERE / "07_sft/solution.py").read_text(encoding="utf-8").replace(
        "torch.full((len(dialogues), width), pad)", "torch.full((len(dialogues), width), float(pad))"), "wrong-type"),
    (14, "quantise_rows", (HERE / "14_into_every_home/solution.py").read_text(encoding="utf-8").replace(
        "q.to(torch.int8)", "q.to(torch.int32)"), "wrong-type"),
    (8, "lora_merge", "def lora_merge(weight, A, B, alpha):\n    weight += alpha / A.shape[0] * (B @ A)\n    return weight\n",
     "argument-overwritten"),
    (1, "smooth", "def smooth(counts, shorter):\n    k = len(counts)\n    for t in counts:\n        shorter[t] += counts[t]\n    return shorter\n",
     "argument-overwritten"),
]  # fmt: skip
IDEAS = [  # names that issue from the same idea in other words
    (1, "perplexity", "import numpy as np\ndef perplexity(p):\n    return np.prod(p) ** (-1 / len(p))\n", "product-underflows"),
    (1, "cross_entropy", "from torch.nn import functional as F\ndef cross_entropy(x, t):\n    return F.cross_entropy(x, t)\n", "softmax-over-axis-1"),
    (1, "next_token_probabilities", "def next_token_probabilities(tables, context):\n    for k in range(min(len(tables) - 1, len(context)), -1, -1):\n"
     "        end = tuple(context[-k:])\n        if end in tables[k]:\n            n = sum(tables[k][end].values())\n"
     "            return {t: c / n for t, c in tables[k][end].items()}\n    return {}\n", "minus-zero-slice"),
    (5, "generate", (HERE / "05_sampling/solution.py").read_text(encoding="utf-8").replace("    return new\n", "    return ids\n"), "prompt-returned"),
    (13, "sequence_log_probs", "import torch\ndef sequence_log_probs(x, y, w):\n    p = x.softmax(-1).gather(-1, y[..., None])[..., 0]\n"
     "    return ((p + 1e-9).log() * w).sum(-1)\n", "log-of-softmax"),
]  # fmt: skip


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


def graded(sandbox, folder, number, name, source):
    lesson, exercise = gradebook.choose(number, name)[0]
    file = folder / "homework.py"
    file.write_text(source, encoding="utf-8")
    return grade(sandbox, file, lesson, exercise, [0, 3])


@pytest.mark.parametrize(
    ("number", "name", "source", "slip"), SLIPS, ids=[f"{s[1]}-{s[3]}-{i}" for i, s in enumerate(SLIPS)]
)
def test_a_slip_has_its_sentence(sandbox, tmp_path, number, name, source, slip):
    failure = graded(sandbox, tmp_path, number, name, source).failure
    assert (failure.slip, failure.misconception) == (slip, None), failure
    assert any("\u4e00" <= c <= "\u9fff" for c in failure.message["zh"])


@pytest.mark.parametrize(("number", "name", "source", "idea"), IDEAS, ids=[f"{s[1]}-{s[3]}" for s in IDEAS])
def test_an_idea_has_its_name_however_it_is_written(sandbox, tmp_path, number, name, source, idea):
    assert graded(sandbox, tmp_path, number, name, source).failure.misconception == idea


def test_what_may_be_overwritten_costs_nothing(sandbox, tmp_path):
    source = "def block(x, norm1, attn, norm2, mlp):\n    x += attn(norm1(x))\n    x += mlp(norm2(x))\n    return x\n"
    assert graded(sandbox, tmp_path, 4, "block", source).status == "right"


def test_ideas_that_come_to_the_same_are_both_named(sandbox, tmp_path):
    swapped = "from torch.nn import functional as F\ndef dpo_loss(c, r, rc, rr, b):\n    return -F.logsigmoid(b * ((c - rr) - (r - rc)))\n"
    failure = graded(sandbox, tmp_path, 13, "dpo_loss", swapped).failure
    assert (
        failure.misconception == "reference-added"
        and "swapped" in failure.message["en"]
        and "用反" in failure.message["zh"]
    )


def test_a_file_that_does_not_load_is_told_once(sandbox, tmp_path):
    (tmp_path / "03_attention").mkdir()
    (tmp_path / "03_attention" / "homework.py").write_text(
        "def attention(q, k, v, mask)\n    return q\n", encoding="utf-8"
    )
    results = list(gradebook.grade_folder(sandbox, tmp_path, gradebook.choose(3, None), [0]))
    for language, told in (("en", "Python cannot read your file"), ("zh", "Python 读不懂你的文件")):
        text = messages.overview(results, language, details=True)
        assert text.count(told) == 1 and text.count("SyntaxError") == 1
        assert text.count(messages.WORDS[language]["above"]) == len(results) - 1
    assert "（第 1 行）" in messages.overview(results, "zh", details=True)


@pytest.mark.parametrize(
    ("got", "expected", "how"),
    [
        (torch.ones(2, 3), np.ones((2, 3), bool), "type"), ([1.0, 2.0], (torch.tensor([1.0, 2.0])), "type"),
        (np.arange(6).reshape(3, 2), np.arange(6).reshape(2, 3), "shape"), (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3), "axes"),
        (np.zeros((2, 3)), np.ones((2, 3)), None), ((2.0, 1.0), (1.0, 2.0), "order"), ((False, True), (True, False), None),
        (None, 1.0, None), ("1", 1, None), ([[1], [2, 3]], np.ones(3), None), ([], np.ones(2), None), ({}, {1: 2}, None),
        ((torch.ones(1, 2), 3), (torch.ones(2), 3), "shape"), ((torch.ones(1, 2), 3), (torch.ones(2), 4), None),
    ],
)  # fmt: skip
def test_how_an_answer_is_nearly_right(got, expected, how):
    assert near_miss(got, expected) == how


def test_promised_types_are_compared():
    equal = same_and_typed("int", None, "int8")
    right = (np.arange(3), 1.5, np.int8([1]))
    assert equal(right, right) and equal(([0, 1, 2], 1.5, torch.tensor([1], dtype=torch.int8)), right)
    for other in (
        (np.arange(3.0), 1.5, right[2]),
        (right[0], 1.5, np.int16([1])),
        (right[0], 1.4, right[2]),
        (right[0], 1.5),
    ):
        assert not equal(other, right)
