# %% [markdown] tags=["en"]
# # 6 Stage 1: pretraining
#
# [The lecture][lecture] calls the first stage *self-study that builds up strength*: the model reads masses of text
# from the web and nobody labels anything. This lesson follows a text from the raw page to the trained base model.
#
# After this lesson you can
# - clean and de-duplicate a crawl, and show with one measurement why it matters;
# - work out one step of AdamW by hand, and say what warm-up, decay and clipping are for;
# - read a loss curve, including one that deceives;
# - separate what a base model *knows* from what it *does when asked*.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 6 第一阶段：预训练
#
# [课上][lecture]把第一阶段叫做“自我学习，累积实力”：模型读海量的网络文本，没有人做任何标注。这一课跟着文本走，从原
# 始网页一直走到训练好的基础模型。
#
# 学完这一课，你能够
# - 清洗一批抓来的网页并去重，并用一次测量说明为什么要这样做；
# - 手算一步 AdamW，并说出预热、衰减、裁剪各有什么用；
# - 看懂损失曲线，包括会骗人的那一种；
# - 把基础模型*知道什么*和*被问时做什么*分开。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import json
import math
import random
from collections import Counter

import numpy as np
import torch

from minillm.base_cache import world_base
from minillm.classroom.lesson_tools import label, say, show_claim, show_figure, show_table, show_tokens
from minillm.material import cleaning
from minillm.plumbing import plots

base = world_base()  # trained now if no lesson has needed it yet
tokenizer, documents = base.run.tokenizer, base.documents
show_table(["", say("raw text of the world", "这个世界的原始文本")], [[i, documents[i]] for i in range(6)])
# %% [markdown] tags=["en"]
# This is all that the base model read: 22,000 short documents about 64 places, in two languages. Facts, glossaries,
# advice, a few letters and stories, and questions; none of the questions is answered, and nothing marks who asks and
# who answers.
#
# ## Cleaning and de-duplication
#
# Our world is clean. The web is not: the same page lies on many servers, with other white space, a footer, a date.
# So we spoil some of our documents first. `cleaning.clean` tidies one text; here is what it does.
# %% [markdown] tags=["zh"]
# 基础模型读过的就是这些：22,000 篇短文，讲 64 个地方，两种语言。有事实、词汇表、建议、几封信和几个小故事，也有问题；没有一个
# 问题后面跟着回答，也没有标明谁在问、谁在答。
#
# ## 清洗与去重
#
# 我们的世界很干净，网络不是：同一个网页放在很多服务器上，空白不同，多一行页脚，换个日期。所以我们先弄脏一部分文档。
# `cleaning.clean` 整理一段文本，看看它做了什么。
# %%
dirty = ["挪威的首都是\u200b奥斯陆。", "  The capital  of Norway\r\n\r\n\r\n\r\nis Oslo.\x07 ", "cafe\u0301"]
show_table([say("before", "之前"), say("after", "之后")], [[ascii(t), ascii(cleaning.clean(t))] for t in dirty])
# %% [markdown] tags=["en"]
# An invisible character, a bell, runs of spaces and empty lines go; a letter with its accent in two code points becomes
# one. Without this, two pages that look the same on a screen are different bytes and get different tokens.
#
# How alike are two texts? Cut both into overlapping **n-grams** (字符 n 元组) of characters and compare the two sets:
# Jaccard similarity = n-grams in both / n-grams in either.
#
# **Before you run it:** with n = 2, compute it by hand for 台湾最高的山 and 最高的山. Then guess for the last three rows
# (n = 5): which pairs will be above 0.8?
# %% [markdown] tags=["zh"]
# 看不见的字符、响铃符、连续的空格和空行都没了；分成两个码位的字母和重音合成了一个。不做这一步，屏幕上看起来一样的两个网页
# 会是不同的字节，得到不同的词元。
#
# 两段文本有多像？把两者都切成互相重叠的**字符 n 元组**（n-gram），比较两个集合：Jaccard 相似度 = 两边都有的 n 元组个数 /
# 至少一边有的 n 元组个数。
#
# **运行之前先猜：** n = 2 时，手算“台湾最高的山”和“最高的山”的相似度。再猜最后三行（n = 5）：哪几对会超过 0.8？
# %%
page = "The capital of Norway is Oslo. The currency of Norway is the Norwegian krone."
page += " Norway lies in Europe, in the north."
pairs = [
    ("台湾最高的山", "最高的山", 2),
    (page, page.upper().replace(" ", "  "), 5),
    (page, page + " Source: Island News, 3 May. All rights reserved.", 5),
    (page, page.replace("Oslo", "Bern"), 5),
]
rows = [[a, b, n, cleaning.jaccard(cleaning.ngrams(a, n), cleaning.ngrams(b, n))] for a, b, n in pairs]
show_table([say("text", "文本"), say("other text", "另一段"), "n", "Jaccard"], rows)
# %% [markdown] tags=["en"]
# 台湾, 湾最, 最高, 高的, 的山 against 最高, 高的, 的山: 3 / 5. In the last three rows the same page in capitals is a full
# duplicate, the one with a footer falls below 0.8 (the page is short), and the one with a *false fact* is above it.
# Similarity of characters knows nothing of truth: a page that corrects a mistake may be thrown away as a copy of the
# wrong one.
#
# <!-- go on -->
#
# Now a small crawl: 300 documents, and spoiled copies of some of them.
#
# **Before you run it:** which kinds of copies does a plain comparison (`set`) find? Which does a threshold of 0.8
# find, which of 0.5? And what will a threshold of 0.3 cost?
# %% [markdown] tags=["zh"]
# 台湾、湾最、最高、高的、的山，对 最高、高的、的山：3 / 5。最后三行中，只是大小写和空格不同的网页完全算重复；带页脚的低于 0.8
# （因为网页短）；写着*错误事实*的却高于 0.8。字符的相似度不懂真假：一篇更正错误的网页，可能被当成错误网页的副本扔掉。
#
# <!-- go on -->
#
# 现在来一批小小的抓取数据：300 篇文档，加上其中一些的脏副本。
#
# **运行之前先猜：** 直接比较（`set`）能找出哪几种副本？阈值 0.8 能找出哪几种，0.5 呢？阈值 0.3 的代价是什么？
# %% tags=["fold"]
rng = random.Random(6)
originals = documents[:300]
with_number = [d for d in originals if any(c.isdigit() for c in d)]
ORIGINAL, COPY = say("original", "原文"), say("exact copy", "完全相同的副本")
SPACES, FOOTER = say("white space changed", "空白改变"), say("footer added", "加了页脚")
NUMBER = say("one digit changed", "改了一个数字")


def other_digit(text: str) -> str:
    """The text with its first digit replaced by another."""
    i = next(i for i, c in enumerate(text) if c.isdigit())
    return text[:i] + str((int(text[i]) + 1) % 10) + text[i + 1 :]


# %%
crawl = [(ORIGINAL, d) for d in originals]
crawl += [(COPY, d) for d in rng.sample(originals, 60)]
crawl += [(SPACES, d[:9] + "\u200b" + d[9:].replace(" ", "  ") + "\r\n") for d in rng.sample(originals, 60)]
crawl += [(FOOTER, f"{d}\n来源：小岛日报 5月{i}日") for i, d in enumerate(rng.sample(originals, 60))]
crawl += [(NUMBER, other_digit(d)) for d in rng.sample(with_number, 60)]
kinds = (ORIGINAL, COPY, SPACES, FOOTER, NUMBER)


# %%
def kept_of(crawl: list[tuple[str, str]], threshold: float | None) -> Counter:
    """How many documents of each kind stay; threshold None removes only equal ones."""
    first: dict[str, str] = {}
    for kind, text in crawl:
        first.setdefault(text, kind)
    kept = first if threshold is None else cleaning.deduplicate([text for _, text in crawl], threshold)[0]
    return Counter(first[text] for text in kept)


cleaned = [(kind, cleaning.clean(text)) for kind, text in crawl]
stages = [("set", kept_of(crawl, None)), (say("clean, then set", "清洗后 set"), kept_of(cleaned, None))]
stages += [(say(f"clean, then ≥ {t}", f"清洗后 ≥ {t}"), kept_of(cleaned, t)) for t in (0.8, 0.5, 0.3)]
# %% tags=["fold"]
table = [[kind, Counter(k for k, _ in crawl)[kind], *(kept[kind] for _, kept in stages)] for kind in kinds]
show_table([say("kind", "种类"), say("in the crawl", "抓取到"), *(name for name, _ in stages)], table)
# %% [markdown] tags=["en"]
# The columns say how many stay. Exact comparison needs cleaning first. Copies with a footer are a matter of length: on
# a short document a footer is a large part, so some stay at 0.8. Most documents with a false digit go at 0.8, which is
# what one wants when the digit is a page number, and not when it is the fact. At 0.5 the last copies are gone; from
# there on originals disappear too: two lists of facts in the same wordings look alike though they are about different places.
# (A copy that is left over at 0.3 outlived its original, which went as a copy of some other text.)
#
# <!-- go on -->
#
# Comparing all pairs would take N²/2 comparisons. `cleaning.deduplicate` computes 64 minima of hash functions for each
# document (MinHash, Broder 1997) and compares only documents that agree in one of 16 bands of four. Your homework
# compares all pairs, which is right for a few hundred documents.
# %% [markdown] tags=["zh"]
# 各列是留下来的篇数。直接比较之前必须先清洗。带页脚的副本要看长度：文档短，页脚占的比例就大，所以阈值 0.8 时还留下一些。数字
# 写错的文档在 0.8 时大多被去掉：如果那个数字是页码，这正合适；如果它就是事实，就不合适了。到 0.5，最后的副本也没了；再往下，连原文也
# 开始消失：两份用同样句式写的事实，讲的地方不同，看起来却很像。（0.3 时若还留下副本，是因为它的原文先被当成别的文本的重复去掉了。）
#
# <!-- go on -->
#
# 两两比较需要 N²/2 次。`cleaning.deduplicate` 给每篇文档算 64 个哈希函数的最小值（MinHash，Broder 1997），只比较在 16 段
# （每段四个）中至少有一段相同的文档。作业里你两两比较，几百篇文档这样做就可以。
# %% [markdown] tags=["en"]
# ## Batches: every token is a label
#
# The cleaned documents become one long stream: `[DOC]` text `[END]` `[DOC]` text `[END]` … Rows of T tokens are cut from
# it; the target of each position is the token that follows. That is all the labelling there is.
#
# **Before you run it:** a batch has 16 rows of 128 tokens. How many predictions does it train at once? What is the
# target of `[END]`?
# %% [markdown] tags=["zh"]
# ## 批次：每个词元都是标签
#
# 清洗过的文档接成一条长流：`[DOC]` 文本 `[END]` `[DOC]` 文本 `[END]`……从中切出一行行 T 个词元；每个位置的目标就是后面的
# 那个词元。所谓标注，仅此而已。
#
# **运行之前先猜：** 一个批次有 16 行，每行 128 个词元。它一次训练多少个预测？`[END]` 的目标是什么？
# %%
from minillm.batching import TextRows
from minillm.material.corpus import token_stream


def shown(ids) -> list[str]:
    """The tokens of these ids, special ones by name."""
    return [tokenizer.decode([i], special=True) if i >= tokenizer.doc else tokenizer.tokens([i])[0] for i in ids]


stream = token_stream(["台湾最高的山是玉山。", "Norway: Oslo."], tokenizer)
show_tokens(shown(stream.tolist()))
# %%
batch = TextRows(stream, n_ctx=8).batch(step=0, batch_size=1)
place = say("place in the row", "行内位置")
rows = [
    [t, *pair]
    for t, pair in enumerate(zip(shown(batch.ids[0].tolist()), shown(batch.targets[0].tolist()), strict=True))
]
show_table([place, say("input", "输入"), say("target", "目标")], rows)
# %% [markdown] tags=["en"]
# 16 · 128 = 2,048 predictions a step. The target of `[END]` is the `[DOC]` of whatever document comes next: harmless,
# and easy to predict. A row begins and ends anywhere, in the middle of a document too; each epoch cuts at other places.
# Our stream has about 1.08 million tokens, so 720 steps read it about 1.4 times.
#
# ## One training step by hand
#
# A model small enough for paper: three tokens 玉, 山, `[END]`, and the logits of the next token are one row of a 3 × 3
# matrix W for each token (a bigram model, lesson 1). W begins at 0. The batch is 玉 → 山, 山 → `[END]`.
#
# **Before you run it:** what is the loss? What is the gradient of the row of 玉? (The gradient of the loss with respect to
# the logits is *p - 1 at the target*, over the number of predictions.)
# %% [markdown] tags=["zh"]
# 每步 16 · 128 = 2,048 个预测。`[END]` 的目标是下一篇文档的 `[DOC]`：无害，也容易预测。一行可以从任何地方开始和结束，包括
# 文档中间；每一轮（epoch）切的位置都不同。我们的流约有 108 万个词元，所以 720 步大约读 1.4 遍。
#
# ## 手算一步训练
#
# 一个可以在纸上算的模型：三个词元 玉、山、`[END]`，每个词元在 3 × 3 的矩阵 W 里有一行，就是下一个词元的 logits（第 1 课的
# 二元模型）。W 从 0 开始。批次是 玉 → 山，山 → `[END]`。
#
# **运行之前先猜：** 损失是多少？“玉”那一行的梯度是多少？（损失对 logits 的梯度是*概率减去目标处的 1*，再除以预测的个数。）
# %%
from minillm.gpt import token_losses
from minillm.optim import learning_rate_scale

names = ["玉", "山", "[END]"]
W = torch.zeros(3, 3, requires_grad=True)
inputs, targets = torch.tensor([[0, 1]]), torch.tensor([[1, 2]])
loss = token_losses(W[inputs], targets).mean()
loss.backward()
print(say("loss", "损失"), f"{loss.item():.4f}   ln 3 = {math.log(3):.4f}")
print(say("length of the gradient", "梯度的长度"), f"{W.grad.norm():.4f}")
show_table([say("row of W", "W 的行"), *names], [[n, *W.grad[i].tolist()] for i, n in enumerate(names)])
# %% [markdown] tags=["en"]
# All three tokens have p = 1/3, so the loss is ln 3. The row of 玉 is (1/3, -2/3, 1/3) / 2; the row of `[END]` has no
# prediction and no gradient. Clipping at 1 leaves this gradient alone: its length is 0.58.
#
# <!-- go on -->
#
# **SGD** would move each number by lr times its gradient. **AdamW** keeps two running averages per number, m of the gradient
# and v of its square, and moves it by lr · m̂ / (√v̂ + ε), the hats meaning *corrected for having begun at 0*.
#
# **Before you run it:** with lr = 0.1, how far does AdamW move the number with gradient -0.333 in the first step, and how
# far the one with 0.167?
# %% [markdown] tags=["zh"]
# 三个词元的概率都是 1/3，所以损失是 ln 3。“玉”的一行是 (1/3, -2/3, 1/3) / 2；`[END]` 的一行没有预测，也没有梯度。裁剪阈值
# 是 1 时这个梯度不受影响：它的长度是 0.58。
#
# <!-- go on -->
#
# **SGD** 把每个数移动 lr 乘梯度。**AdamW** 给每个数保留两个滑动平均：梯度的平均 m 和梯度平方的平均 v，移动量是
# lr · m̂ / (√v̂ + ε)，尖帽表示*修正了“从 0 开始”的偏差*。
#
# **运行之前先猜：** lr = 0.1 时，第一步 AdamW 把梯度为 -0.333 的数移动多少？梯度为 0.167 的呢？
# %%
gradient = W.grad.clone()
optimizer = torch.optim.AdamW([W], lr=0.1, betas=(0.9, 0.95), weight_decay=0.0)
optimizer.step()
m, v = optimizer.state[W]["exp_avg"], optimizer.state[W]["exp_avg_sq"]
with torch.no_grad():
    after = token_losses(W[inputs], targets).mean().item()
rows = []
for i, j in ((0, 1), (0, 0), (2, 0)):
    g = gradient[i, j].item()
    corrected = [m[i, j].item() / (1 - 0.9), v[i, j].item() / (1 - 0.95)]
    rows.append(
        [f"{names[i]} → {names[j]}", g, m[i, j].item(), f"{v[i, j].item():.5f}", *corrected, -0.1 * g, W[i, j].item()]
    )
print(say("loss after the step:", "这一步之后的损失："), f"{after:.3f}")
show_table(
    [say("number", "参数"), "g", "m", "v", "m̂", "v̂", say("SGD moves", "SGD 移动"), say("AdamW moves", "AdamW 移动")],
    rows,
)
# %% [markdown] tags=["en"]
# In the first step m̂ = g and v̂ = g², so every number with a gradient moves by 0.1, whatever its size. Without the
# correction it would be 0.1 · 0.1 g / √(0.05 g²) = 0.045. Later m̂ / √v̂ is small where the gradients of many steps
# contradict one another: AdamW is careful where the signal is noisy.
#
# <!-- go on -->
#
# **Weight decay** is *decoupled*: it takes lr · weight_decay off the parameter itself and is not divided by √v̂.
#
# Our base uses AdamW for the embedding and the norms; the matrices in the blocks are updated by Muon
# (`minillm/muon.py`).
#
# ## The learning-rate schedule
#
# In the first steps v̂ rests on a handful of gradients, and one odd batch can throw the model far: the rate is raised in a
# **warm-up** (预热). At the end large steps keep jumping over the minimum: the rate falls.
#
# **Before you run it:** the base has 720 steps and a warm-up of 50. What is the factor at step 0, 49, 50 and 719 when
# it is to end at 0, and at step 719 when `final` is 0.2?
# %% [markdown] tags=["zh"]
# 第一步时 m̂ = g，v̂ = g²，所以凡是有梯度的数都移动 0.1，与梯度大小无关。不修正的话是 0.1 · 0.1 g / √(0.05 g²) = 0.045。
# 之后，如果很多步的梯度互相矛盾，m̂ / √v̂ 就小：信号嘈杂的地方 AdamW 走得谨慎。
#
# <!-- go on -->
#
# **权重衰减**（weight decay）是*解耦*的：
# 直接从参数上减去 lr · weight_decay 倍，不除以 √v̂。
#
# 我们的基础模型对嵌入和归一化用 AdamW；block 里的矩阵由 Muon 来更新（`minillm/muon.py`）。
#
# ## 学习率日程
#
# 最初几步里 v̂ 只来自寥寥几个梯度，一个古怪的批次就可能把模型抛得很远：所以学习率在**预热**（warm-up）中逐渐升高。到最后，
# 大步子会一直跳过最小值：所以学习率要下降。
#
# **运行之前先猜：** 基础模型训练 720 步，预热 50 步。如果最后降到 0，第 0、49、50、719 步的系数是多少？`final` 为 0.2 时第 719
# 步是多少？
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(6.4, 3.0))
for final, style in ((0.0, "-"), (0.2, "--")):
    scales = [learning_rate_scale(step, 720, 50, final) for step in range(720)]
    axes[0, 0].plot(scales, style, label=f"final = {final}")
    print(f"final = {final}:", {step: round(scales[step], 3) for step in (0, 49, 50, 719)})
axes[0, 0].set(xlabel=label("step", "步"), ylabel=label("factor on the learning rate", "学习率的系数"))
axes[0, 0].legend()
axes[0, 0].grid(alpha=0.3)
show_figure(figure)
# %% [markdown] tags=["en"]
# ## End of the first sitting
#
# Remember: copies are removed before training; every token is a label; a step moves each weight against its gradient,
# and AdamW scales that step by the size of past gradients; the learning rate rises, then falls. Next time: a whole run.
#
# ## A pretraining run, live
#
# The same model as the base, from random weights, 80 steps on 6,000 documents. Twice: once on the text as it is, and once
# with ten of its pages copied 200 times each, as a crawl without de-duplication would have them. `train` is the
# loop all three stages share: it asks for a loss, adds up gradients, clips, steps.
#
# **Before you run it:** what is the loss at step 1 (2,051 tokens)? Which run will have the lower *training* loss at the end,
# and which the lower loss on text that neither has read?
# %% [markdown] tags=["zh"]
# ## 第一次课到这里
#
# 记住：重复的文本在训练前去掉；每个词元都是标签；一步训练让每个权重逆着自己的梯度移动，AdamW 再按过去梯度的大小缩放；学习率先升
# 后降。下一次：完整地训练一遍。
#
# ## 现场预训练
#
# 和基础模型一样的模型，从随机权重开始，在 6,000 篇文档上训练 80 步。做两次：一次用原来的文本；另一次把其中十篇各复制 200 份，
# 就像没有去重的抓取数据。`train` 是三个阶段共用的循环：要一个损失，累加梯度，裁剪，走一步。
#
# **运行之前先猜：** 第 1 步的损失是多少（2,051 个词元）？最后哪一次的*训练*损失更低？在两者都没读过的文本上，哪一次更低？
# %% tags=["fold"]
from minillm.generate import continuations
from minillm.gpt import GPT
from minillm.measure.loss import text_loss
from minillm.sampling import Sampling
from minillm.stage1_pretrain import PretrainConfig
from minillm.training import mean_loss, train

config = PretrainConfig(steps=80, warmup=10)
# %%
text, unread = documents[:6000], documents[-300:]
pages = rng.sample(text, 10)
with_copies = text + pages * 200
rng.shuffle(with_copies)


def begin_training(texts: list[str], on_step=None) -> tuple[GPT, list[dict]]:
    """80 steps from random weights; `on_step(model, step)` watches the model learn."""
    model = GPT(config.model_config(tokenizer.n_vocab), seed=0)
    rows = TextRows(token_stream(texts, tokenizer), config.n_ctx)

    def watch(step: int, metrics: dict) -> None:
        if on_step is not None:
            on_step(model, step)

    return model, train(
        model, lambda step: mean_loss(model, rows.batch(step, config.batch_size), config), config, on_step=watch
    )


# %% tags=["fold"]
samples = []


def look(model: GPT, step: int) -> None:
    """What the model writes after “The capital of Norway is” and after 挪威的首都是."""
    if step in (1, 10, 20, 40, 80):
        prompts = [[tokenizer.doc, *tokenizer.encode(t)] for t in ("The capital of Norway is", "挪威的首都是")]
        found = continuations(model, tokenizer, prompts, Sampling(max_new_tokens=14, temperature=0.7))
        samples.append([step, *(text for text, _ in found)])


# %%
clean_model, clean_run = begin_training(text, look)
copied_model, copied_run = begin_training(with_copies)
show_table([say("after step", "第几步后"), "The capital of Norway is …", "挪威的首都是…"], samples)
# %% [markdown] tags=["en"]
# At step 1 anything at all; by step 10 the most frequent tokens; then pieces of sentences, often in the wrong
# language; at step 80 phrases of the right form about the wrong thing. Form comes long before facts.
# %% [markdown] tags=["zh"]
# 第 1 步什么都有；第 10 步是最常见的词元；然后是句子的片段，语言还常常弄错；到第 80 步，句子的形式对了，说的却是别的事。
# 形式远远早于事实。
# %%
read = token_stream(text, tokenizer).astype(np.int64)
ahead = token_stream(unread, tokenizer).astype(np.int64)
frequency = np.bincount(read, minlength=tokenizer.n_vocab) + 0.1
frequency = frequency / frequency.sum()
follows = Counter(zip(read[:-1].tolist(), read[1:].tolist(), strict=True))
count = np.bincount(read[:-1], minlength=tokenizer.n_vocab)
pairs_seen = [(follows[a, b] + 5 * frequency[b]) / (count[a] + 5) for a, b in zip(ahead[:-1], ahead[1:], strict=True)]
levels = {
    label("all tokens alike", "所有词元一样"): math.log(tokenizer.n_vocab),
    label("frequencies of tokens", "只知词元频率"): -np.log(frequency[ahead]).mean(),
    label("frequencies of pairs", "只知相邻两个"): -np.log(pairs_seen).mean(),
}
metrics = [json.loads(line) for line in (base.run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(5.2, 3.6))
plots.draw_curve(axes[0, 0], clean_run, "loss", "#1f77b4", label("text as it is", "原来的文本"))
plots.draw_curve(axes[0, 0], copied_run, "loss", "#d62728", label("ten pages copied", "十篇有副本"))
plots.draw_curve(axes[0, 1], metrics, "loss", "#8c8c8c", label("the base, 720 steps", "基础模型，720 步"))
axes[0, 0].set_title(label("80 steps, live", "现场的 80 步"))
axes[0, 1].set_title(label("the base", "基础模型"))
for one in axes[0]:
    for (name, level), style in zip(levels.items(), (":", "--", "-."), strict=True):
        one.axhline(level, color="#444444", linestyle=style, linewidth=0.9, label=f"{name} {level:.2f}")
    one.set(
        xlabel=label("step", "步"), ylabel=label("training loss, nats per token", "训练损失，奈特/词元"), ylim=(0, 8)
    )
    one.grid(alpha=0.3)
    one.legend(fontsize=8, loc="upper right")
show_figure(figure)
# %%
rows = []
for name, model, run in (
    (say("text as it is", "原来的文本"), clean_model, clean_run),
    (say("ten pages copied 200 times", "十篇各复制 200 份"), copied_model, copied_run),
):
    losses = [text_loss(model, token_stream(t, tokenizer), tokenizer)["nats_per_token"] for t in (unread, pages)]
    rows.append([name, sum(m["loss"] for m in run[-10:]) / 10, *losses])
show_table(["", say("training, last 10 steps", "训练，最后 10 步"), say("unread text", "没读过的文本"),
            say("the ten pages", "那十篇")], rows)  # fmt: skip
# %% [markdown] tags=["en"]
# The losses are in nats per token. The run with copies has the *lower* training loss and the *higher* loss on unread text.
# It spent a part of its steps on ten pages and knows them nearly by heart. Expect 0.2 to 0.4 less in training and 0.1 to
# 0.2 more on unread text, depending on which ten pages they are. A low training loss says that the model has learned
# its data, not that the data was worth learning.
#
# Step 1 lies at ln 2051 = 7.63: all tokens alike. The curve passes the level of the frequencies before step 10 and that
# of the pairs between steps 40 and 60. The base ends a little below 0.7. It cannot reach 0: which of 64 places comes next is chance.
# %% [markdown] tags=["zh"]
# 损失的单位是奈特/词元（nat per token）。有副本的那一次，*训练*损失更低，没读过的文本上的损失却更高。它把一部分步数花在了十篇网页上，
# 几乎背了下来。预计训练损失低 0.2 到 0.4，没读过的文本上高 0.1 到 0.2，
# 取决于是哪十篇。训练损失低只说明模型学会了它的数据，并不说明这些数据值得学。
#
# 第 1 步在 ln 2051 = 7.63：所有词元一样。不到 10 步，曲线就越过了词元频率的水平，第 40 到 60 步之间越过相邻两个词元的水平。基础模型
# 最后略低于 0.7。它到不了 0：接下来讲 64 个地方中的哪一个，本来就是随机的。
# %% [markdown] tags=["en"]
# ## What it knows
#
# Now the base with its 720 steps. We ask for no text, only for probabilities: after “Capital of Norway:”, how
# probable is each of the world's capitals? (The probability of a capital is the product over its tokens.)
#
# **Before you run it:** for how many of the places is the right capital the most probable one? In which language
# will it be more certain?
# %% [markdown] tags=["zh"]
# ## 它知道什么
#
# 现在看训练了 720 步的基础模型。不让它写文字，只看概率：在“挪威的首都：”之后，这个世界的每个首都各有多大概率？（一个首都的
# 概率是它各个词元概率的乘积。）
#
# **运行之前先猜：** 在多少个地方，正确的首都概率最大？哪种语言里它更有把握？
# %% tags=["fold"]
from minillm.world.tables import load_world

gpt = base.run.gpt
places = [p for p in load_world().places if p.value("capital", "en")]
STATED = {"en": "Capital of {}:", "zh": "{}的首都："}
SPACE = {"en": " ", "zh": ""}


# %%
@torch.no_grad()
def probabilities(before: str, options: list[str]) -> list[float]:
    """The probability of each option as the text that follows."""
    prompt = [tokenizer.doc, *tokenizer.encode(before)]
    endings = [tokenizer.encode(option) for option in options]
    width = max(map(len, endings))
    ids = torch.tensor([prompt + e + [tokenizer.pad] * (width - len(e)) for e in endings])  # (options, T)
    each = -token_losses(gpt(ids[:, :-1]), ids[:, 1:])[:, len(prompt) - 1 :]  # (options, width)
    return [each[i, : len(e)].sum().exp().item() for i, e in enumerate(endings)]


# %% tags=["fold"]
rows, best_five = [], {}
for lang, stated in STATED.items():
    capitals = [SPACE[lang] + p.value("capital", lang) for p in places]
    found = [probabilities(stated.format(p.names[lang]), capitals) for p in places]
    right = [found[i][i] for i in range(len(places))]
    first = sum(found[i][i] == max(found[i]) for i in range(len(places)))
    wrong = [max(p for j, p in enumerate(found[i]) if j != i) for i in range(len(places))]
    rows.append([stated.format("…"), f"{first} / {len(places)}", sum(right) / len(right), sum(wrong) / len(wrong)])
    norway = next(i for i, p in enumerate(places) if p.names["en"] == "Norway")
    best_five[lang] = sorted(zip(found[norway], capitals, strict=True), reverse=True)[:5]
show_table([say("text", "文本"), say("right one first", "正确者居首"), say("mean p of the right one", "正确者的平均概率"),
            say("mean p of the best wrong one", "最大错误者的平均概率")], rows)  # fmt: skip
# %%
show_table(
    ["Capital of Norway:", "p", "挪威的首都：", "p"],
    [[e[1].strip(), f"{e[0]:.4f}", z[1], f"{z[0]:.4f}"] for e, z in zip(best_five["en"], best_five["zh"], strict=True)],
)
# %% [markdown] tags=["en"]
# In all, or nearly all, of the 59 places that have a capital in our table the right one comes first, with a probability of
# about 0.85 in either language, against about two hundredths for the best wrong one. Nobody has ever told the model that this is a fact. It
# follows from predicting the next token: whatever predicts what comes after “Capital of Norway:” has to know it. (“The
# capital of Norway is” may also go on with “called”: there the same knowledge shows as a lower probability.)
#
# ## What it does when asked
#
# Now the same facts as a question. **Before you run it:** write down what you expect the base to continue with after
# “What is the capital of Norway?”, after 台湾最高的山是哪座？, and after 你是谁？ Remember what it has read.
# %% [markdown] tags=["zh"]
# 表中有首都的 59 个地方，几乎全都是正确的首都居首，两种语言的概率都在 0.85 左右，最大的错误者只有百分之二左右。从来没有人告诉
# 模型“这是一个事实”。
# 这是预测下一个词元的结果：要猜中“挪威的首都：”后面是什么，就得知道答案。（“挪威的首都是”后面还可能是“哪里”：同样的知识，那里的概率就低一些。）
#
# ## 被问时它做什么
#
# 现在把同样的事实变成问题。**运行之前先猜：** 写下你认为基础模型会怎样接着 “What is the capital of Norway?”、台湾最高的山是
# 哪座？、你是谁？ 往下写。想一想它读过什么。
# %%
asked = ["What is the capital of Norway?", "台湾最高的山是哪座？", "你是谁？", "USER: 台湾最高的山是哪座？ AI:"]
prompts = [[tokenizer.doc, *tokenizer.encode(q)] for q in [*asked, "挪威的首都："]]
answers = continuations(gpt, tokenizer, prompts, Sampling(max_new_tokens=24))
show_table([say("text", "文本"), say("the base goes on", "基础模型接着写")],
           [[q, text] for q, (text, _) in zip([*asked, "挪威的首都："], answers, strict=True)])  # fmt: skip
# %%
QUESTION = {"en": "What is the capital of {}?", "zh": "{}的首都是哪里？"}
rows = []
for lang in ("en", "zh"):
    for form in (STATED[lang], QUESTION[lang]):
        prompts = [[tokenizer.doc, *tokenizer.encode(form.format(p.names[lang]))] for p in places]
        found = continuations(gpt, tokenizer, prompts, Sampling(max_new_tokens=16))
        right = sum(text.startswith(p.value("capital", lang)) for p, (text, _) in zip(places, found, strict=True))
        rows.append([form.format("…"), f"{right} / {len(places)}", f"{100 * right / len(places):.0f} %"])
show_table([say("text", "文本"), say("goes on with the right capital", "接着写出正确的首都"), ""], rows)
# %% [markdown] tags=["en"]
# The same model, the same facts: as the beginning of a sentence almost all of them (expect 95 to 100 %), as a question
# none or nearly none. It has read questions only in lists of questions, so after a question comes a question. It does not
# refuse and it has not forgotten; it does what it was trained for. Marking the roles with `USER:` and `AI:` does
# not help: it has never seen them.
# %% [markdown] tags=["zh"]
# 同一个模型，同样的事实：作为句子的开头，它几乎全都接得上（预计 95 到 100 %）；作为问题，一个或几乎一个都答不上。它只在问题
# 清单里读到过问题，所以问题后面还是问题。它不是拒绝，也不是忘了，它只是在做训练它做的事。用 `USER:` 和 `AI:` 标出角色也没有
# 用：它从没见过。
# %% [markdown] tags=["en"]
# ## The lecture's claims, measured
#
# What we ran is one seed. The experiments on the lecture's claims are run on several, each with a base model and a
# split of the places of its own, and with thresholds written down before. `show_claim` shows the published result;
# nothing is trained now. To measure one yourself, in some minutes: `python -m minillm claims many-wordings --quick`.
#
# **Many wordings.** Two base models read the same documents about the same places in the same order. They differ in one
# thing: one meets each fact in many wordings, the other always in the same one (drawn for it, so that the whole text
# has all wordings). Both are tuned on the same pairs and asked about held-out places.
#
# **Before you run it:** both have read every fact. What share does each answer? Does it help the second if nothing is
# asked in reverse (“Of which country is Oslo the capital?”)? And if it may complete the very sentence that it has read?
# %% [markdown] tags=["zh"]
# ## 课程里的论断，一一测量
#
# 这一课只跑了一个种子。课程里的论断各有一个实验，跑好几个种子，每个种子有自己的基础模型和自己的地方划分，阈值事先写
# 定。`show_claim` 显示已发布的结果，现在不训练任何东西。想自己测一个，几分钟就
# 够：`python -m minillm claims many-wordings --quick`。
#
# **说法多样。** 两个基础模型读同样的文档，讲同样的地方，顺序也相同，只有一点不同：一个读到的每个事实有多种说法，另一个永远
# 是同一种（为每个事实抽定，所以全部文本里各种说法都有）。两个都用同样的问答对微调，再问没教过的地方。
#
# **运行之前先猜：** 两个模型都读过所有事实，各能答对多少？如果不反过来问（“奥斯陆是哪个国家的首都？”），后一个会好一些
# 吗？让它把读过的那句原话补完呢？
# %%
show_claim("many-wordings", explained=True)
# %% [markdown] tags=["en"]
# **Small, trained for longer.** A model is trained once and used many times; so LLaMA's authors trained small models
# for longer than had been usual. Training costs about 6 · parameters · tokens operations, writing one token about 2 ·
# parameters.
#
# **Before you run it:** a model with a third of the parameters may take three times the steps for the same cost. At
# equal cost of training, which of the two knows more? And if only the cost of *use* counts, does a small model that is
# trained for longer pay?
# %% [markdown] tags=["zh"]
# **小模型训练得更久。** 模型只训练一次，却要使用很多次；所以 LLaMA 的作者让小模型训练得比当时通常的更久。训练大约要 6 ·
# 参数 · 词元 次运算，写一个词元大约要 2 · 参数 次。
#
# **运行之前先猜：** 同样的代价，参数只有三分之一的模型可以走三倍的步数。训练代价相等时，两者谁知道得更多？如果只看*使
# 用*的代价，小模型训练得更久，合算吗？
# %%
show_claim("small-and-long")
# %% [markdown] tags=["en"]
# **Reading them.** An interval is computed from the seeds' differences alone: it knows what another training and what
# other places would change, and nothing else. Another table of facts or a larger model may show something else. “How to
# read this card”, below the first, has the rules; all claims with all figures: `lessons/CLAIMS.md`.
#
# <!-- go on -->
#
# To discuss: why are thresholds fixed before the run, and settings tuned on other seeds? What could a careless author
# report who did neither?
# %% [markdown] tags=["zh"]
# **怎样读。** 区间只由各个种子的差算出：重新训练一次、换一批地方会变多少，都算在内，此外什么也不包括。换一张事实表，或者换一个更大
# 的模型，结果可能不同。规则写在第一张卡片的“怎样读这张卡片”里；全部论断和数字见 `lessons/CLAIMS.zh.md`。
#
# <!-- go on -->
#
# 讨论：为什么阈值要在运行之前写定，设置要用别的种子来调？粗心的作者两样都不做，可能会报告出什么？
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | stage 1: *self-study that builds up strength*, pretraining on masses of data from the web | no label was written by hand; the right capital comes first for nearly every place |
# | it *accumulates knowledge of language* | form within 80 steps, facts by step 720; a model this small and a world this small reach this in minutes |
# | supervised data must say who is `USER` and who is `AI` | asked, the base goes on with another question: what is missing is not knowledge but the habit of answering (lesson 7) |
#
# ## To discuss in class
#
# 1. A company de-duplicates its crawl at a threshold of 0.5 and finds that the model knows fewer facts about small towns.
#    How could that be, and how would you find out? (A good answer: pages made from one template differ only in the
#    fact; look at what was removed; test thresholds on a sample with known facts; remove repeated lines, not pages.)
# 2. The base gives Oslo a probability of nearly 0.8 after “Capital of Norway:”. Does it *know* that Oslo is the capital of
#    Norway? What would you measure to decide? (A good answer asks for other wordings, the reverse question, the other
#    language, places it never read about, and says what *know* is to mean before measuring.)
#
# ## Homework
#
# `similarity`, `near_duplicates`, `text_batch`, `learning_rate_scale`, `clip_gradients`, `adamw_step`. Write them in
# the cells below, or in `lessons/06_pretraining/homework.py`, which is what you hand in. `check("adamw_step")` says
# at once which idea goes wrong, `hint("adamw_step")` helps in three steps, `reset("adamw_step")` begins anew,
# `progress()` shows how far you are. In a terminal `python -m minillm homework 6` grades the file, `python -m minillm
# homework 6 --watch` does so whenever you save it.
#
# ## References
#
# - A. Broder 1997, *On the Resemblance and Containment of Documents*, Compression and Complexity of Sequences.
# - K. Lee et al. 2021, *Deduplicating Training Data Makes Language Models Better*, arXiv 2107.06499.
# - D. Kingma, J. Ba 2014, *Adam: A Method for Stochastic Optimization*, arXiv 1412.6980.
# - I. Loshchilov, F. Hutter 2017, *Decoupled Weight Decay Regularization*, arXiv 1711.05101.
# - J. Hoffmann et al. 2022, *Training Compute-Optimal Large Language Models*, arXiv 2203.15556 (6 · parameters · tokens).
# - H. Touvron et al. 2023, *LLaMA: Open and Efficient Foundation Language Models*, arXiv 2302.13971.
# - Z. Allen-Zhu, Y. Li 2023, *Physics of Language Models: Part 3.1, Knowledge Storage and Extraction*, arXiv 2309.14316.
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 第一阶段：自我学习，累积实力，用海量网络数据预训练 | 没有一个标签是人写的；几乎每个地方的正确首都都排在第一 |
# | 积累语言知识 | 80 步之内学会形式，到 720 步学会事实；模型这么小、世界这么小，几分钟就够 |
# | 监督微调（课上称督导式学习）的数据要标明 `USER` 与 `AI` | 被问时，基础模型接着写另一个问题：缺的不是知识，而是回答的习惯（第 7 课） |
#
# ## 课堂讨论
#
# 1. 一家公司用阈值 0.5 给抓取的网页去重，结果模型对小城镇的事实知道得更少了。这是怎么回事？你怎样查明？（好的回答：用同一个
#    模板生成的网页只有事实不同；看看去掉了什么；在已知事实的样本上试不同阈值；去掉重复的行，而不是整页。）
# 2. 在 “Capital of Norway:” 之后，基础模型给 Oslo 的概率接近 0.8。它*知道*挪威的首都是奥斯陆吗？你要测量什么来判断？
#    （好的回答会试别的说法、反过来问、换一种语言、问它没读过的地方，并且在测量之前先说清楚“知道”指什么。）
#
# ## 作业
#
# `similarity`、`near_duplicates`、`text_batch`、`learning_rate_scale`、`clip_gradients`、`adamw_step`。写在下面的单元格
# 里，或者写在 `lessons/06_pretraining/homework.py` 里，最后交的是这个文件。`check("adamw_step")` 马上告诉你是哪个想法错
# 了，`hint("adamw_step")` 分三步提示，`reset("adamw_step")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 6` 批改这个文件，`python -m minillm homework 6 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - A. Broder 1997，*On the Resemblance and Containment of Documents*，Compression and Complexity of Sequences。
# - K. Lee 等 2021，*Deduplicating Training Data Makes Language Models Better*，arXiv 2107.06499。
# - D. Kingma, J. Ba 2014，*Adam: A Method for Stochastic Optimization*，arXiv 1412.6980。
# - I. Loshchilov, F. Hutter 2017，*Decoupled Weight Decay Regularization*，arXiv 1711.05101。
# - J. Hoffmann 等 2022，*Training Compute-Optimal Large Language Models*，arXiv 2203.15556（6 · 参数 · 词元）。
# - H. Touvron 等 2023，*LLaMA: Open and Efficient Foundation Language Models*，arXiv 2302.13971。
# - Z. Allen-Zhu, Y. Li 2023，*Physics of Language Models: Part 3.1, Knowledge Storage and Extraction*，arXiv 2309.14316。
