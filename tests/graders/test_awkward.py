"""Wrong solutions that are right on everyday inputs: each is caught on every seed, by the awkward input named behind it."""

import pytest

from minillm.homework.grade import grade
from minillm.homework.here import Here
from minillm.homework.lessons import all_lessons

WRONG = [
    (0, "neuron_gradient", "def neuron_gradient(x, w, b, target):\n    z = (w * x).sum() + b\n    y = (torch.exp(2 * z) - 1) / (torch.exp(2 * z) + 1)\n"
     "    slope = 2 * (y - target) * (1 - y**2)\n    return slope * x, slope.item()\n", "a neuron far from 0"),
    (0, "neuron_gradient", "def neuron_gradient(x, w, b, target):\n    y = torch.tanh((w * x).sum() + b)\n"
     "    g = 2 * (y - target) * (1 - y**2) * x\n    return g, (g[0] / x[0]).item()\n", "an input of 0"),
    (1, "cross_entropy", "def cross_entropy(x, y):\n    return torch.nn.functional.cross_entropy(x.flatten(0, -2), y.flatten(), ignore_index=0)\n", "0 as target"),
    (1, "perplexity", "def perplexity(p):\n    return math.inf if np.isclose(p, 0).any() else math.exp(-np.log(p).mean())\n", "nearly 0"),
    (1, "bits_per_byte", "import unicodedata\ndef bits_per_byte(nats, text):\n"
     "    return sum(nats) / math.log(2) / len(unicodedata.normalize('NFC', text).encode())\n", "accents by themselves"),
    (2, "merge", "def merge(ids, pair, new):\n    ids, i = list(ids), 0\n    while i < len(ids) - 1:\n        if tuple(ids[i:i + 2]) == pair:\n"
     "            ids[i:i + 2] = [new]\n        else:\n            i += 1\n    return ids\n", "a new id that is in the pair"),
    (2, "whole_characters", "def whole_characters(data):\n    text = data.decode('utf-8', 'replace').rstrip('\\ufffd')\n"
     "    return text, data[len(text.encode()):]\n", "the replacement character"),
    (5, "keep_top_k", "def keep_top_k(x, k):\n    return x.masked_fill(x < x.topk(min(k, x.shape[1])).values[:, -1:] - 1e-3, -math.inf)\n", "near the k-th"),
    (5, "generate", "def generate(model, prompt, n, stop):\n    ids = list(prompt)\n    while ids[-1] != stop and len(ids) < len(prompt) + n:\n"
     "        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))\n    return ids[len(prompt):]\n", "a prompt that ends with stop"),
    (8, "lora_merge", "def lora_merge(weight, A, B, alpha):\n    return weight + alpha / min(A.shape) * B @ A\n", "a rank above the inputs"),
    (10, "answer_language", "import re\ndef answer_language(text):\n    c, w = len(re.findall('[\\u4e00-\\u9fff\\U00020000-\\U0002a6df]', text)), "
     "len(re.findall('[A-Za-z]+', text))\n    return 'none' if not c + w else 'zh' if c >= 4 * w else 'en' if w >= 4 * c else 'mixed'\n", "rare characters"),
    (11, "mix_review", "def mix_review(new, old, every):\n    out = []\n    for x in new:\n        out.append(x)\n"
     "        if old and (i := new.index(x) + 1) % every == 0:\n            out.append(old[(i // every - 1) % len(old)])\n    return out\n", "equal examples"),
]  # fmt: skip


def graded(tmp_path, number, name, code, seed):
    lesson = next(lesson for lesson in all_lessons() if lesson.number == number)
    exercise = next(e for e in lesson.exercises if e.name == name)
    (tmp_path / "homework.py").write_text("import math\nimport numpy as np\nimport torch\n" + code, encoding="utf-8")
    return grade(Here(), tmp_path / "homework.py", lesson, exercise, [seed])


@pytest.mark.parametrize(("number", "name", "code"), [w[:3] for w in WRONG], ids=[f"{w[1]}, {w[3]}" for w in WRONG])
def test_an_awkward_input_catches_what_everyday_ones_do_not(tmp_path, number, name, code):
    for seed in range(5):
        result = graded(tmp_path, number, name, code, seed)
        assert result.status == "wrong" and 0 < result.points < result.exercise.points, result.failure


def test_none_in_the_wrong_place_is_not_called_a_missing_return(tmp_path):
    code = "def transfer_ratio(base, cross, direct):\n    b, c, d = base.mean(), cross.mean(), direct.mean()\n"
    result = graded(
        tmp_path, 10, "transfer_ratio", code + "    return (c - b) / (d - b) if d > b and c != b else None\n", 0
    )
    assert result.status == "wrong" and result.failure.slip is None
