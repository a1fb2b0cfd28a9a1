"""Exercises of lesson 14: into every home."""

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from minillm.homework.compare import same_and_typed
from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.weights.names import apart, interleaved

NAMES = {"en": "The same lines, other names", "zh": "同样的代码，别的名字"}
TURNS = {"en": "Several turns", "zh": "多轮对话"}
OWN = {"en": "A model from elsewhere, tuned on your own pairs", "zh": "外来的模型，用你自己的问答微调"}
MEMORY = {"en": "What seven billion parameters cost", "zh": "七十亿参数要多少内存"}


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


# -------------------------------------------------------------------------------------- rename_weights

State = dict[str, Tensor]
Rules = Sequence[tuple[str, str | None, bool]]


def rename_weights(state: State, rules: Rules) -> tuple[State, list[str]]:
    return renamed(state, rules)


def renamed(
    state: State,
    rules: Rules,
    first_only: bool = False,
    from_original: bool = False,
    swap=lambda w: w.T if w.dim() == 2 else w,
    swaps=any,
    unknown_kept: bool = False,
    unknown_silent: bool = False,
    unchanged_unknown: bool = False,
    dropped_unknown: bool = False,
) -> tuple[State, list[str]]:
    """Renaming, with one thing done another way."""
    result, unknown = {}, []
    for name, weight in state.items():
        new_name, applied, dropped = name, [], False
        for old, new, transposed in rules:
            if old not in (name if from_original else new_name):
                continue
            if new is None:
                dropped = True
                break
            new_name = (name if from_original else new_name).replace(old, new)
            applied.append(transposed)
            if first_only:
                break
        if dropped:
            unknown += [name] * dropped_unknown
            continue
        if not applied or (unchanged_unknown and new_name == name):
            if not unknown_silent:
                unknown.append(name)
            if not unknown_kept:
                continue
        result[new_name] = swap(weight) if swaps(applied) else weight
    return result, unknown


def swapped(rng, extra: Rules = ()):
    """GPT-2's matrices are the other way round; its biases do not, and its embeddings are as ours."""
    c = int(rng.integers(2, 4))
    state = {"wte.weight": normal(rng, 3, c), "h.0.mlp.c_fc.weight": normal(rng, c, c), "h.0.mlp.c_fc.bias": normal(rng, c),
             "h.1.mlp.c_fc.weight": normal(rng, c, 2 * c)}  # fmt: skip
    return state, [("wte", "tok_emb", False), ("h.", "blocks.", False), ("mlp.c_fc", "mlp.up", True), *extra]


def in_order(rng):
    state = {f"transformer.h.{i}.{part}.weight": normal(rng, 2)
             for i in (0, 1) for part in ("attn.c_proj", "mlp.c_proj", "ln_1")}  # fmt: skip
    rules = [("transformer.h", "blocks", False), ("attn.c_proj", "attn.out", False), ("c_proj", "down", False),
             ("ln_1", "norm1", False)]  # fmt: skip
    return state, rules


def llama_names(rng):
    names = ("model.embed_tokens", "model.layers.0.input_layernorm", "model.layers.0.self_attn.q_proj",
             "model.layers.11.post_attention_layernorm", "model.layers.11.mlp.gate_proj", "model.norm", "lm_head")  # fmt: skip
    rules = [("model.", "", False), ("embed_tokens", "tok_emb", False), ("layers", "blocks", False),
             ("self_attn.q_proj", "attn.query", False), ("input_layernorm", "norm1", False),
             ("post_attention_layernorm", "norm2", False), ("gate_proj", "gate", False), ("lm_head", "head", False)]  # fmt: skip
    return {f"{n}.weight": normal(rng, 2, 3) for n in names}, rules


def strangers(rng):
    state = {"zeta.weight": normal(rng, 2, 2), "h.0.attn.bias": normal(rng, 3, 3), "h.0.attn.out.weight": normal(rng, 2, 2),
             "alpha.scale": normal(rng, 2), "h.0.attn.out.bias": normal(rng, 2)}  # fmt: skip
    return state, [("h.", "blocks.", False), ("attn.bias", None, False), ("attn.", "attention.", False)]


def left_out(rng):
    """Names that become one to leave out by an earlier rule, and one that no longer is."""
    state = {"a.bias": normal(rng, 2), "skip.scale": normal(rng, 2), "b.bias": normal(rng, 2)}
    return state, [("a.", "x.", False), ("skip", "keep", False), ("x.bias", None, False), ("skip", None, False)]


RENAME = Exercise(
    "rename_weights", NAMES, rename_weights,
    (
        Check("one-rule", 1, {"en": "`old` is replaced by `new` in the name; the weight stays as it is.",
                              "zh": "把名字里的 `old` 换成 `new`；权重本身不变。"},
              lambda rng: [({"wte.weight": normal(rng, 2, 2)}, [("wte", "tok_emb", False)]),
                           ({"h.3.ln.weight": normal(rng, 2), "h.3.ln.bias": normal(rng, 2)}, [("ln", "norm", False)])]),
        Check("in-order", 2, {"en": "All rules are tried in their order, each on the name that the earlier ones left.",
                              "zh": "所有规则按顺序尝试，每条都作用在前面规则改过的名字上。"},
              lambda rng: [({"h.0.ln_1.weight": normal(rng, 2)}, [("h.", "blocks.", False), ("ln_1", "norm1", False)]),
                           in_order(rng), llama_names(rng),
                           ({"h.0.h.1": normal(rng, 2), "H.h": normal(rng, 2, 3)}, [("h", "block", False), ("block.0", "", False)])]),
        Check("transposed", 2, {"en": "A matrix has its axes swapped once if a rule that applied says so; a vector stays.",
                                "zh": "只要用到的规则里有一条要求转置，矩阵就交换一次两个轴；向量不变。"},
              lambda rng: [({"fc.weight": normal(rng, 2, 2)}, [("fc", "up", True)]), swapped(rng),
                           swapped(rng, [(".up", ".UP", True)]), swapped(rng, [(".up", ".UP", False)]),
                           ({"conv": normal(rng, 2, 3, 4), "fc": normal(rng, 2, 3)}, [("c", "C", False), ("C", "k", True)])]),
        Check("unknown-or-left-out", 2, {"en": "A weight no rule applied to is listed as unknown; one whose new name is None is in neither "
                                               "result.",
                                         "zh": "没有规则适用的权重要列为未知；新名字是 None 的权重两个结果里都没有。"},
              lambda rng: [({"zeta.weight": normal(rng, 2), "alpha.weight": normal(rng, 2)}, [("h.", "blocks.", False)]),
                           strangers(rng), left_out(rng), ({"lm_head.weight": normal(rng, 2, 2)}, [("lm_head", "lm_head", False)]),
                           ({"lm_head.weight": normal(rng, 2, 2)}, [("lm_head", "lm_head", False), ("wte", "tok_emb", False)])]),
    ),
    (
        Misconception("only-the-first-rule",
                      {"en": "You stop after the first rule that applies. A name may need several: one for its layer, one for its part.",
                       "zh": "你在第一条适用的规则后就停了。一个名字可能要用好几条：一条改层名，一条改部件名。"},
                      lambda s, r: renamed(s, r, first_only=True)),
        Misconception("always-from-the-old-name",
                      {"en": "Every rule starts from the old name again, so that only the last change survives. Go on with the "
                             "name that the earlier rules left.",
                       "zh": "每条规则都又从旧名字开始，结果只留下最后一次修改。要接着前面规则改过的名字继续改。"},
                      lambda s, r: renamed(s, r, from_original=True)),
        Misconception("transposed-for-each-rule",
                      {"en": "The matrix is transposed once for every rule that says so: twice is not at all. Note it, and swap the axes "
                             "once at the end.",
                       "zh": "每条要求转置的规则都让矩阵转了一次：转两次等于没转。先记下来，最后只交换一次。"},
                      lambda s, r: renamed(s, r, swaps=lambda applied: sum(applied) % 2 == 1)),
        Misconception("never-transposed",
                      {"en": "Nothing is transposed. A square matrix loads without complaint the wrong way round, and the model talks "
                             "nonsense.",
                       "zh": "你没有转置。方阵方向反了也能顺利载入，模型却会胡言乱语。"},
                      lambda s, r: renamed(s, r, swap=lambda w: w)),
        Misconception("always-transposed",
                      {"en": "Every matrix is transposed, also where no rule says so: the embedding, for one, is as ours.",
                       "zh": "所有矩阵都被转置了，规则没要求的也转了：例如词嵌入本来就和我们的一样。"},
                      lambda s, r: renamed(s, r, swaps=lambda applied: True)),
        Misconception("reshaped-instead-of-transposed",
                      {"en": "The matrix is reshaped to the other shape, which keeps the numbers in memory order. Swapping the axes, .T, "
                             "moves the number at (i, j) to (j, i).",
                       "zh": "你用 reshape 改了形状，数字仍按内存顺序排列。交换两个轴（.T）会把 (i, j) 处的数移到 (j, i)。"},
                      lambda s, r: renamed(s, r, swap=lambda w: w.reshape(w.shape[::-1]) if w.dim() == 2 else w)),
        Misconception("unknown-kept",
                      {"en": "Unknown weights are also kept under their old names. They belong in the list only, or a loader would find "
                             "names it does not know.",
                       "zh": "未知的权重又按旧名字留了下来。它们只应列在清单里，否则载入时会碰到不认识的名字。"},
                      lambda s, r: renamed(s, r, unknown_kept=True)),
        Misconception("unknown-passed-over",
                      {"en": "Unknown weights disappear without a word. A weight that is missing is the commonest fault of a conversion: "
                             "list the names.",
                       "zh": "未知的权重悄悄消失了。转换时最常见的毛病就是漏掉权重：要把名字列出来。"},
                      lambda s, r: renamed(s, r, unknown_silent=True)),
        Misconception("unchanged-is-unknown",
                      {"en": "You take a name that did not change for unknown. A rule may map a name to itself: what counts is whether a "
                             "rule applied.",
                       "zh": "你把没有变化的名字当成了未知。规则可以把名字映射到自己：要看有没有规则适用。"},
                      lambda s, r: renamed(s, r, unchanged_unknown=True)),
        Misconception("left-out-is-unknown",
                      {"en": "A weight whose rule says None is known and left out on purpose (GPT-2's files hold masks among the weights): "
                             "it does not belong in the list.",
                       "zh": "规则写着 None 的权重是已知的、有意略去的（GPT-2 的文件把掩码也存在权重里）：不该列为未知。"},
                      lambda s, r: renamed(s, r, dropped_unknown=True)),
    ),
)  # fmt: skip


# --------------------------------------------------------------------------------------- chat_template

SPACELESS = re.compile(r"[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef]")  # the docstring's; the framework knows kana too
Messages = list[tuple[str, str]]
Segments = list[tuple[str, bool]]


def chat_template(messages: Messages) -> Segments:
    return segments(messages)


def segments(
    messages: Messages,
    space=lambda text: "" if SPACELESS.match(text) else " ",
    doc_each_turn: bool = False,
    end_learned: bool = True,
    end_each_answer: bool = True,
    learned_before_last: bool = True,
    system_apart: bool = False,
    clean=str.strip,
    after: str = "",
) -> Segments:
    """The template, with one thing done another way."""
    result, before = [("[DOC]", False)], ""
    for i, (role, content) in enumerate(messages):
        last = i == len(messages) - 1
        if role == "system":
            before = f"SYSTEM: {clean(content)} "
            if system_apart:
                result.append((f"SYSTEM: {clean(content)}", False))
                before = ""
        elif role == "user":
            begun = len(result) > 1 + system_apart
            if begun and doc_each_turn:
                result.append(("[DOC]", False))
            result.append((f"{before}USER: {clean(content)} AI:{after}", False))
            before = ""
        else:
            text = clean(content)
            result.append((space(text) + text, learned_before_last or last))
            if end_each_answer or last:
                result.append(("[END]", end_learned and (learned_before_last or last)))
    return result


QUESTIONS = (
    "台湾最高的山是哪座？",
    "What is the capital of France?",
    "你是谁？",
    "And of Japan?",
    "翻译以下句子：Good morning",
)
ENGLISH = (
    "Paris",
    "I am an AI.",
    "Éire",
    "“玉山” is its name",
    "Yushan (玉山)",
    "👋 Hello",
    "3952 metres",
    "Ω",
    "'Tis so",
    "…",
    "かな",
    "㐀",
    "мир",
    "·",
)
CHINESE = (
    "玉山",
    "我是人工智慧。",
    "早安 means good morning",
    "《茶馆》",
    "（不知道）",
    "，对吧",
    "「是」",
    "\u9fd5",
    "〇",
    "Ａ",
    "～",
)


def pick(rng, texts):
    return texts[int(rng.integers(len(texts)))]


def conversation(rng, turns: int, answered: bool = True) -> Messages:
    messages: Messages = []
    for i in range(turns):
        messages.append(("user", pick(rng, QUESTIONS)))
        if i < turns - 1 or answered:
            messages.append(("assistant", pick(rng, (ENGLISH, CHINESE)[i % 2])))
    return messages


def asked(answer: str) -> tuple[Messages]:
    return ([("user", "?"), ("assistant", answer)],)


TEMPLATE = Exercise(
    "chat_template", TURNS, chat_template,
    (
        Check("a-question", 1, {"en": "A question that waits for its answer: [DOC], then `USER: … AI:` without a space behind it.",
                                "zh": "等待回答的问题：先 [DOC]，再 `USER: … AI:`，后面没有空格。"},
              lambda rng: [([("user", "?")],), ([("user", pick(rng, QUESTIONS))],)]),
        Check("an-answer", 2, {"en": "An answer is learned, and so is its [END]. Its first character decides about the space.",
                               "zh": "回答要学，它的 [END] 也要学。有没有空格看回答的第一个字符。"},
              lambda rng: [asked("Paris"), asked("玉山"), *map(asked, ENGLISH[2:]), *map(asked, CHINESE[2:])]),
        Check("several-turns", 2, {"en": "[DOC] once; each answer ends with [END]; the next turn follows it directly; every answer is learned.",
                                   "zh": "[DOC] 只有一个；每个回答以 [END] 结尾；下一轮紧跟其后；每个回答都要学。"},
              lambda rng: [(conversation(rng, 2),), (conversation(rng, 2, answered=False),), (conversation(rng, 4),)]),
        Check("system-message", 1, {"en": "A system message occurs once, in the same segment as the first question.",
                                    "zh": "系统消息只出现一次，和第一个问题在同一段里。"},
              lambda rng: [([("system", "Be brief."), ("user", "?")],), ([("system", "请用中文回答。"), *conversation(rng, 3)],)]),
        Check("white-space", 1, {"en": "White space around a content goes, within it stays.", "zh": "内容两头的空白去掉，中间的保留。"},
              lambda rng: [([("user", " ?\n")],),
                           ([("system", " Be brief. \n"), ("user", "Translate:\n\n Good morning "), ("assistant", "\n早安 ")],),
                           ([("user", "?"), ("assistant", "  Paris\n"), ("user", "\t你是谁？")],),
                           ([("user", "\u3000?"), ("assistant", "\r\n\u3000玉山\t")],)]),
    ),
    (
        Misconception("space-after-ai",
                      {"en": "There is a space behind `AI:` in the prompt. It belongs to the English answer (` Paris` is a token of its "
                             "own); a prompt that ends with a space is one the model has never seen.",
                       "zh": "提示的 `AI:` 后面多了空格。空格属于英文回答（` Paris` 是一个词元）；以空格结尾的提示，模型从没见过。"},
                      lambda m: segments(m, after=" ")),
        Misconception("punctuation-forgotten",
                      {"en": "Chinese punctuation gets a space. 《, （ and ， count as Chinese: U+3000 to U+303F and U+FF00 to U+FFEF.",
                       "zh": "中文标点前加了空格。《、（、，也算中文：U+3000 到 U+303F，U+FF00 到 U+FFEF。"},
                      lambda m: segments(m, space=lambda t: "" if "\u4e00" <= t[0] <= "\u9fff" else " ")),
        Misconception("always-a-space",
                      {"en": "Every answer gets a space. Chinese is written without one: it goes if the answer's first character is "
                             "Chinese, punctuation included.",
                       "zh": "所有回答前都加了空格。中文不用空格：回答的第一个字符是中文（包括中文标点）时就不加。"},
                      lambda m: segments(m, space=lambda t: " ")),
        Misconception("never-a-space",
                      {"en": "No answer gets a space. An answer that does not begin with a Chinese character has one before it: ` Paris`.",
                       "zh": "所有回答前都没有空格。不以中文字符开头的回答前面要有一个：` Paris`。"},
                      lambda m: segments(m, space=lambda t: "")),
        Misconception("end-not-learned",
                      {"en": "[END] is not learned. Then the model never learns to stop and talks on after its answer.",
                       "zh": "[END] 没有学。这样模型学不会停，回答完还会一直说下去。"},
                      lambda m: segments(m, end_learned=False)),
        Misconception("doc-at-every-turn",
                      {"en": "Every turn begins with [DOC]. It starts a dialogue, once; in the middle it tells the model that what came "
                             "before is another document.",
                       "zh": "每一轮都以 [DOC] 开头。它只在对话开始时出现一次；放在中间等于告诉模型前面是另一篇文档。"},
                      lambda m: segments(m, doc_each_turn=True)),
        Misconception("end-only-at-the-end",
                      {"en": "Only the last answer has its [END]. Each answer has one, or the model learns to go on with the user's words.",
                       "zh": "只有最后一个回答有 [END]。每个回答都要有，否则模型会学着替用户接着说。"},
                      lambda m: segments(m, end_each_answer=False)),
        Misconception("only-the-last-answer-learned",
                      {"en": "Only the last answer is learned. All answers of a dialogue are the teacher's: each is learned.",
                       "zh": "只学了最后一个回答。对话里的每个回答都是老师示范的：都要学。"},
                      lambda m: segments(m, learned_before_last=False)),
        Misconception("system-in-a-segment-of-its-own",
                      {"en": "The system message is in a segment of its own. It is encoded in one piece with the first question; cut "
                             "apart, the ids may differ.",
                       "zh": "系统消息单独成了一段。它和第一个问题一起编码；切开以后得到的 id 可能不同。"},
                      lambda m: segments(m, system_apart=True)),
        Misconception("white-space-kept",
                      {"en": "White space around the contents is kept. A user's stray space or new line would make a prompt the model "
                             "has not been trained on.",
                       "zh": "内容两头的空白没有去掉。用户多打的空格或换行会变成模型没训练过的提示。"},
                      lambda m: segments(m, clean=str)),
    ),
)  # fmt: skip


# --------------------------------------------------------------------------------------- quantise_rows


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    return quantised(weight)


def quantised(
    weight: Tensor, levels: float = 127.0, largest=lambda w: w.abs().amax(1, keepdim=True), whole=torch.round, zero=True
) -> tuple[Tensor, Tensor]:
    """Quantising, with one thing done another way."""
    scale = largest(weight) / levels
    if zero:
        scale = torch.where(scale == 0, 1.0, scale)
    return whole(weight / scale).to(torch.int8), scale.expand(len(weight), 1)[:, 0]


def rows_of(rng, n: int, m: int, sign: int = 1) -> Tensor:
    """Rows whose largest value is ±127 scales and whose others keep away from halves: no rounding is in doubt.

    The parts beyond a whole number are at least 0.1 and some just above 0.5; row i has a scale of its own.
    """
    whole = rng.integers(-100, 100, (n, m))
    part = np.where(rng.random((n, m)) < 0.5, rng.uniform(0.1, 0.47, (n, m)), rng.uniform(0.53, 0.9, (n, m)))
    values = whole + part
    values[:, 0], values[:, 1], values[:, 2] = 90.53 * sign, -80.8 * sign, 127 * sign
    scales = np.array([2.0 ** -(3 + i) for i in range(n)])[:, None]
    return torch.from_numpy((values * scales).astype(np.float32))


def with_zeros(rng) -> Tensor:
    weight = rows_of(rng, 3, 4)
    weight[1] = 0.0
    return weight


QUANTISE = Exercise(
    "quantise_rows", MEMORY, quantise_rows,
    (
        Check("one-row", 1, {"en": "The row's largest value becomes 127, the others are rounded to the nearest whole number.",
                             "zh": "这一行最大的值变成 127，其余四舍五入到最近的整数。"},
              lambda rng: [(rows_of(rng, 1, 3),), (rows_of(rng, 1, 6),)]),
        Check("negative-maximum", 1, {"en": "Largest means largest in absolute value: here it is negative and becomes -127.",
                                      "zh": "“最大”指绝对值最大：这里它是负数，应变成 -127。"},
              lambda rng: [(rows_of(rng, 1, 3, -1),), (rows_of(rng, 1, 5, -1),)]),
        Check("several-rows", 2, {"en": "Every row has its own scale, so that a row of small numbers keeps its digits.",
                                  "zh": "每一行有自己的缩放系数，这样数值小的行也能保住精度。"},
              lambda rng: [(rows_of(rng, 2, 3),), (rows_of(rng, 4, 6),), (rows_of(rng, 3, 3, -1),)]),
        Check("row-of-zeros", 1, {"en": "A row of zeros has scale 1 and stays 0: no division by zero.",
                                  "zh": "全零的行缩放系数是 1，结果仍是 0：不要除以零。"},
              lambda rng: [(torch.zeros(1, 3),), (with_zeros(rng),), (torch.zeros(2, 1),)]),
    ),
    (
        Misconception("divided-by-128",
                      {"en": "You divide by 128. An int8 goes up to 127, so the largest value would have no number: divide by 127.",
                       "zh": "你除以了 128。int8 最大是 127，最大的值就没有对应的数了：应除以 127。"},
                      lambda w: quantised(w, levels=128.0, whole=lambda x: torch.round(x).clamp(-128, 127))),
        Misconception("cut-off-instead-of-rounded",
                      {"en": "Converting to int8 cuts the fraction off, towards 0. Round to the nearest whole number first.",
                       "zh": "直接转成 int8 会把小数部分截掉（向 0 取整）。要先四舍五入到最近的整数。"},
                      lambda w: quantised(w, whole=torch.trunc)),
        Misconception("rounded-down",
                      {"en": "You round down (floor). Round to the nearest whole number: the error is half as large and has no bias.",
                       "zh": "你向下取整了（floor）。应取最近的整数：误差小一半，而且没有偏向。"},
                      lambda w: quantised(w, whole=torch.floor)),
        Misconception("scale-upside-down",
                      {"en": "You return 127 / max. The scale is what q is multiplied by to get the weight back: max / 127.",
                       "zh": "你返回的是 127 / max。scale 是把 q 乘回权重用的：max / 127。"},
                      lambda w: (quantised(w)[0], 1 / quantised(w)[1])),
        Misconception("maximum-without-the-sign",
                      {"en": "You take the largest value, not the largest absolute value: a row whose extreme is negative leaves the "
                             "range of int8 and wraps round.",
                       "zh": "你取的是最大值，不是绝对值最大的值：极值为负的行会超出 int8 的范围而绕回去。"},
                      lambda w: quantised(w, largest=lambda w: w.amax(1, keepdim=True))),
        Misconception("one-scale-for-all",
                      {"en": "One scale serves the whole matrix: a row of small numbers is left with only a few of the 255 steps. Give each "
                             "row its own.",
                       "zh": "整个矩阵共用了一个缩放系数：数值小的行在 255 级里只剩下几级。每一行要有自己的。"},
                      lambda w: quantised(w, largest=lambda w: w.abs().max())),
        Misconception("scale-of-the-column",
                      {"en": "The scales are taken down the columns. A row (an output of the layer) has one: the maximum over axis 1.",
                       "zh": "你沿着列取了缩放系数。应该每一行（这一层的一个输出）一个：沿轴 1 取最大值。"},
                      lambda w: (torch.round(w / (w.abs().amax(0) / 127)).to(torch.int8), w.abs().amax(0) / 127)),
        Misconception("division-by-zero",
                      {"en": "A row of zeros gets the scale 0 (or nearly), and 0 / 0 is NaN. By definition its scale is 1.",
                       "zh": "全零的行缩放系数成了 0（或接近 0），而 0 / 0 是 NaN。按规定它的缩放系数是 1。"},
                      lambda w: quantised(w, zero=False)),
    ),
    same_and_typed("int8", None),
)  # fmt: skip

# --------------------------------------------------------------------------------------- rotary_halves


def rotary_halves(weight: Tensor, n_head: int) -> Tensor:
    return apart(weight, n_head)


def matrices(rng, *shapes: tuple[int, int, int]):
    """Arguments for each (heads, rows of a head, columns); no two rows or columns are alike."""
    return [(normal(rng, heads * size, columns), heads) for heads, size, columns in shapes]


ROTARY = Exercise(
    "rotary_halves", NAMES, rotary_halves,
    (
        Check("one-head", 2, {"en": "One head: the rows 0, 2, 4, … come first, then 1, 3, 5, …; columns stay.",
                              "zh": "一个头：先是第 0、2、4……行，再是第 1、3、5……行；列不动。"},
              lambda rng: matrices(rng, (1, 4, 4), (1, 6, 2), (1, 8, 8))),
        Check("several-heads", 2, {"en": "Each head is reordered by itself; the heads stay in their order.",
                                   "zh": "每个头各自重排；头与头的顺序不变。"},
              lambda rng: matrices(rng, (2, 4, 3), (3, 6, 5), (4, 8, 6))),
    ),
    (
        Misconception("order-unchanged",
                      {"en": "The rows are as they were. The file loads without complaint, and every rotary pair is torn apart: the "
                             "model talks nonsense.",
                       "zh": "行的顺序没有变。文件照样能载入，但每个旋转位置的通道对都被拆散了：模型会胡言乱语。"},
                      lambda w, n: w),
        Misconception("from-ours-into-theirs",
                      {"en": "This is the way back, from our order into llama.cpp's. Here the rows come as a0, b0, a1, b1, … and should "
                             "become all a, then all b.",
                       "zh": "这是反方向：从我们的顺序变成 llama.cpp 的。给你的行是 a0、b0、a1、b1……，要变成先全部 a，再全部 b。"},
                      interleaved),
        Misconception("across-all-heads",
                      {"en": "The rows are reordered over the whole matrix, so that heads are mixed. A rotary pair is inside one head: split "
                             "into heads first.",
                       "zh": "你在整个矩阵上重排，把不同的头混在了一起。通道对在一个头的内部：要先按头分开。"},
                      lambda w, n: apart(w, 1)),
        Misconception("second-channels-first",
                      {"en": "The odd rows come first. Of each pair the first channel belongs into the first half.",
                       "zh": "你把奇数行放在了前面。每一对里的第一个通道应在前一半。"},
                      lambda w, n: w.unflatten(0, (n, -1, 2)).flip(2).transpose(1, 2).flatten(0, 2)),
        Misconception("columns-reordered",
                      {"en": "You reordered the columns, the layer's inputs. The channels of query and key are its outputs: the rows.",
                       "zh": "你重排的是列，也就是这一层的输入。query 和 key 的通道是输出：应重排行。"},
                      lambda w, n: torch.cat([w[:, 0::2], w[:, 1::2]], dim=1)),
        Misconception("heads-and-rows-mixed-up",
                      {"en": "The rows are cut as if the first rows of all heads came together. A head's rows follow one another: reshape to "
                             "(n_head, D, in).",
                       "zh": "你的切法像是把各个头的第一行放在一起。一个头的行是连续的：应变形为 (n_head, D, in)。"},
                      lambda w, n: torch.cat([h[i::2] for h in (w[k::n] for k in range(n)) for i in (0, 1)])),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------- unpack_q4


def unpack_q4(packed: Tensor, scale: Tensor, minimum: Tensor) -> Tensor:
    return unpacked(packed, scale, minimum)


def unpacked(
    packed: Tensor,
    scale: Tensor,
    minimum: Tensor,
    join=lambda low, high: torch.cat([low, high], 1),
    high_of=lambda b: b // 16,
    value=lambda q, d, m: q * d + m,
) -> Tensor:
    """Spreading out, with one thing done another way."""
    q = join(packed % 16, high_of(packed))  # (N, 16) -> (N, 32)
    return value(q, scale[:, None], minimum[:, None])


def blocks(rng, n: int):
    """Blocks in which no two halves of a byte are alike, with scales and minima that are told apart."""
    low, shift = rng.integers(0, 16, (n, 16)), rng.integers(1, 16, (n, 16))
    packed = torch.from_numpy(low + 16 * ((low + shift) % 16))
    scale = torch.from_numpy((0.01 * (1 + rng.permutation(n)) + 0.001 * rng.random(n)).astype(np.float32))
    return packed, scale, torch.from_numpy((-0.5 - rng.random(n)).astype(np.float32))


UNPACK = Exercise(
    "unpack_q4", MEMORY, unpack_q4,
    (
        Check("one-block", 2, {"en": "One block: 16 bytes become 32 numbers, the low halves first, each q · scale + minimum.",
                               "zh": "一组：16 个字节变成 32 个数，先低四位后高四位，每个数是 q · scale + minimum。"},
              lambda rng: [blocks(rng, 1), blocks(rng, 1)]),
        Check("several-blocks", 2, {"en": "Every block has its own scale and minimum.", "zh": "每组有自己的 scale 和 minimum。"},
              lambda rng: [blocks(rng, 2), blocks(rng, 5)]),
    ),
    (
        Misconception("neighbours-share-a-byte",
                      {"en": "You put the two halves of a byte next to each other. They are 16 places apart: the low halves are the "
                             "numbers 0 to 15, the high halves 16 to 31.",
                       "zh": "你把一个字节的两半放成了相邻的数。它们相隔 16 位：低四位是第 0 到 15 个数，高四位是第 16 到 31 个。"},
                      lambda p, s, m: unpacked(p, s, m, join=lambda low, high: torch.stack([low, high], 2).flatten(1))),
        Misconception("high-bits-first",
                      {"en": "The high halves come first. The low four bits are the first 16 numbers.",
                       "zh": "你把高四位放在了前面。前 16 个数应取低四位。"},
                      lambda p, s, m: unpacked(p, s, m, join=lambda low, high: torch.cat([high, low], 1))),
        Misconception("high-bits-not-shifted",
                      {"en": "The high bits are masked but not shifted: 0x30 is the number 3, not 48. Divide by 16, or shift right by 4.",
                       "zh": "高四位取出来了但没有右移：0x30 表示 3，不是 48。要除以 16，或右移 4 位。"},
                      lambda p, s, m: unpacked(p, s, m, high_of=lambda b: b - b % 16)),
        Misconception("minimum-forgotten",
                      {"en": "The minimum is missing: all numbers come out at or above zero, while about half of a layer's weights are "
                             "negative.",
                       "zh": "漏了 minimum：所有数都不小于零，而一层的权重大约一半是负的。"},
                      lambda p, s, m: unpacked(p, s, m, value=lambda q, d, m: q * d)),
        Misconception("minimum-scaled",
                      {"en": "The minimum is multiplied by the scale. It is a weight already: add it after scaling q.",
                       "zh": "你把 minimum 也乘了 scale。它本身已经是权重的值：先缩放 q 再加上它。"},
                      lambda p, s, m: unpacked(p, s, m, value=lambda q, d, m: (q + m) * d)),
        Misconception("eight-subtracted",
                      {"en": "You subtract 8 from q. That is the format Q4_0, which has no minimum; in Q4_1 q begins at 0.",
                       "zh": "你从 q 里减了 8。那是没有 minimum 的 Q4_0 格式；Q4_1 的 q 从 0 开始。"},
                      lambda p, s, m: unpacked(p, s, m, value=lambda q, d, m: (q - 8) * d + m),
                      (lambda p, s, m: unpacked(p, s, m, value=lambda q, d, m: (q - 8) * d),)),
        Misconception("one-scale-for-all-blocks",
                      {"en": "All blocks get the scale and minimum of the first. Each has its own: that is why four bits are enough.",
                       "zh": "所有组都用了第一组的 scale 和 minimum。每组有自己的：四位够用正是因为这样。"},
                      lambda p, s, m: unpacked(p, s, m, value=lambda q, d, m: q * d[:1] + m[:1])),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------- share_kept

Marks = list[bool]


def share_kept(before: Marks, after: Marks) -> float:
    knew = [b for a, b in zip(before, after, strict=True) if a]
    return sum(knew) / len(knew) if knew else 1.0


def marks(rng, *counts: int) -> tuple[Marks, Marks]:
    """Numbers of questions that are right both times, only before, only after, never; shuffled."""
    kinds = [(True, True), (True, False), (False, True), (False, False)]
    pairs = [pair for pair, n in zip(kinds, counts) for _ in range(n)]
    shuffled = [pairs[i] for i in rng.permutation(len(pairs))]
    return [a for a, _ in shuffled], [b for _, b in shuffled]


def both(before: Marks, after: Marks) -> int:
    return sum(a and b for a, b in zip(before, after, strict=True))


KEPT = Exercise(
    "share_kept", OWN, share_kept,
    (
        Check("some-lost", 2, {"en": "Only questions that were right before count; of these, the share that is right after.",
                               "zh": "只算以前答对的问题；其中现在仍答对的比例。"},
              lambda rng: [marks(rng, 2, 1, 0, 1), marks(rng, 7, 3, 0, 4)]),
        Check("newly-right", 1, {"en": "A question that was wrong before and is right now is learned, not kept.",
                                 "zh": "以前答错、现在答对的问题是新学会的，不算保住的。"},
              lambda rng: [marks(rng, 2, 2, 1, 0), marks(rng, 5, 4, 3, 2)]),
        Check("nothing-known", 1, {"en": "Nothing known before, nothing lost: 1.0, and no division by zero.",
                                   "zh": "以前什么都不会，就什么也没丢：1.0，也不会除以零。"},
              lambda rng: [marks(rng, 0, 0, 2, 1), ([], []), marks(rng, 0, 0, 0, 3)], edge=True),
    ),
    (
        Misconception("of-all-questions",
                      {"en": "You divide by all questions. Those that the model never knew make it look forgetful: divide by those that it "
                             "knew before.",
                       "zh": "你除以了全部问题。模型本来就不会的题会让它显得健忘：应除以以前答对的题数。"},
                      lambda a, b: both(a, b) / len(a) if a else 1.0),
        Misconception("newly-right-counted",
                      {"en": "Everything that is right after is counted, also what was wrong before: learning hides forgetting.",
                       "zh": "你把现在答对的全算进去了，包括以前答错的：新学会的掩盖了忘掉的。"},
                      lambda a, b: sum(b) / sum(a) if any(a) else 1.0),
        Misconception("lost-instead-of-kept",
                      {"en": "This is the share that was lost; asked is the share that was kept.",
                       "zh": "这是丢掉的比例；要的是保住的比例。"},
                      lambda a, b: 1 - share_kept(a, b)),
        Misconception("of-what-is-right-after",
                      {"en": "You divide by what is right after tuning. Forgetting is measured against what was known before.",
                       "zh": "你除以了微调之后答对的题数。遗忘要以*以前*会的为准。"},
                      lambda a, b: both(a, b) / max(1, sum(b)) if any(a) else 1.0),
        Misconception("nothing-known-is-nothing-kept",
                      {"en": "A model that knew nothing gets 0, as if it had forgotten everything. Nothing was lost: 1.0.",
                       "zh": "以前什么都不会的模型得了 0，好像全忘了。其实什么也没丢：应是 1.0。"},
                      lambda a, b: share_kept(a, b) if any(a) else 0.0),
    ),
)  # fmt: skip

LESSON = Lesson(
    14,
    "14_into_every_home",
    {"en": "Into every home", "zh": "走入千万家"},
    (RENAME, TEMPLATE, QUANTISE, ROTARY, UNPACK, KEPT),
)
