# %% [markdown] tags=["en"]
# # 5 Sampling: temperature, top-k, top-p, KV cache
#
# A language model does not write. It gives a probability to every token that could come next; the text comes from a
# loop around it that chooses one, appends it and asks again: [the lecture][lecture]'s game of continuing a text
# (文字接龙). How to choose is not part of the model, and yet the same model can be precise, lively or mad.
#
# After this lesson you can
# - step through the loop and read the candidates of every step;
# - compute what temperature, top-k and top-p do to a distribution, and in which order;
# - say when to take the most probable token and when to draw, and measure what drawing costs in right answers;
# - explain the KV cache, and measure what it saves.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 5 采样：温度、top-k、top-p、KV 缓存
#
# 语言模型本身并不生成文本。它给每个可能的下一个词元一个概率；文字是由外面的一个循环产生的：选一个，接上去，再问一次，
# 这就是[课上][lecture]说的“文字接龙”。怎么选不是模型的一部分，但同一个模型可以因此变得准确、活泼或者胡言乱语。
#
# 学完这一课，你能够
# - 一步一步走完这个循环，看懂每一步的候选词元；
# - 算出温度（temperature）、top-k、top-p 怎样改变一个分布，以及它们的先后次序；
# - 说出什么时候取概率最大的词元，什么时候抽样，并测出抽样要损失多少正确答案；
# - 解释 KV 缓存（KV cache），并测出它省了多少。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import random
import statistics
import time
from collections import Counter

import torch

from minillm.base_cache import world_base
from minillm.chat import encode_prompt
from minillm.classroom.lesson_tools import label, say, show_figure, show_table
from minillm.generate import continuations, generate, sample_steps
from minillm.gpt import KVCache
from minillm.plumbing import plots
from minillm.sampling import Sampling, keep_top_k, keep_top_p, probabilities

base = world_base()  # trained once, then read from a folder
gpt, tokenizer = base.run.gpt, base.run.tokenizer


def prompt_of(text: str) -> list[int]:
    return [tokenizer.doc, *tokenizer.encode(text)]


def shown(token: str) -> str:
    return token.replace(" ", "␣").replace("\n", "⏎")


# %% [markdown] tags=["en"]
# ## The loop
#
# `sample_steps` yields one step for every new token. A step holds the model's logits (one score per token of the
# vocabulary, at the last position), the distribution the token is drawn from, and the chosen token. The default
# is **greedy**: temperature 0, always the most probable token. The loop ends with `[END]` or after `max_new_tokens`.
#
# **Before you run it:** the base model (stage 1 only) continues “The highest mountain of Taiwan”. In which step will
# it be least sure? Will it be surer at the beginning of a number or name, or inside it?
# %% [markdown] tags=["zh"]
# ## 循环
#
# `sample_steps` 每生成一个词元就给出一步。一步里有模型的 logits（词表里每个词元一个分数，取最后一个位置）、
# 用来抽样的分布，以及选中的词元。默认是**贪心**（greedy）：温度为 0，总是取概率最大的词元。生成 `[END]`，
# 或者到了 `max_new_tokens`，循环结束。
#
# **运行之前先猜：** 基础模型（只经过第一阶段）接着写 “The highest mountain of Taiwan”。哪一步它最没有把握？
# 在一个数或名字的开头更有把握，还是在它的中间？
# %%
greedy = Sampling(max_new_tokens=10)
rows = []
for i, step in enumerate(
    sample_steps(gpt, [prompt_of("The highest mountain of Taiwan")], greedy, tokenizer.end, tokenizer.pad)
):
    best = step.candidates(tokenizer, 4)  # (text, the model's probability, probability after temperature and filters)
    rows.append([i, *(f"{shown(text)} {p:.2f}" for text, p, _ in best)])
show_table(
    [say("step", "步"), say("chosen", "选中"), say("second", "第二"), say("third", "第三"), say("fourth", "第四")], rows
)
# %% [markdown] tags=["en"]
# The model is unsure where the sentence can go several ways, above all at step 0, and nearly certain inside a number
# or a name. Only the column “chosen” is appended; the rest of the table is forgotten. One choice at step 0 decides
# what follows.
#
# <!-- go on -->
#
# Three traps of the loop: the next token is at the **last** position of the logits; what is chosen must be
# appended before the model is asked again; and an `[END]` that is in the prompt (an earlier turn) is no reason to
# stop.
# %% [markdown] tags=["zh"]
# 句子可以有几种走法的地方，首先是第 0 步，模型没有把握；在一个数或名字的中间，它几乎确定。只有“选中”这一列被接上去，
# 表里其余的都被忘掉。第 0 步的一次选择决定了后面的一切。
#
# <!-- go on -->
#
# 循环有三个容易错的地方：下一个词元在 logits 的**最后**一个位置；选中的词元要先接上去，再问模型；
# 提示里已有的 `[END]`（前面的轮次）不是停下的理由。
# %% [markdown] tags=["en"]
# ## Temperature
#
# The probabilities are softmax(logits / **temperature**). Take three tokens with logits 2, 1, 0.
#
# **Before you run it:** at temperature 1 the ratio of neighbours is e ≈ 2.72. What is it at 0.5 and at 2? What should
# happen at 0, where one cannot divide? And which temperature gives (1/3, 1/3, 1/3)?
# %% [markdown] tags=["zh"]
# ## 温度
#
# 概率是 softmax(logits / **温度**)。取三个词元，logits 为 2、1、0。
#
# **运行之前先猜：** 温度为 1 时，相邻两个的比是 e ≈ 2.72。温度为 0.5 和 2 时呢？温度为 0 不能做除法，应该怎么办？
# 什么温度会得到 (1/3, 1/3, 1/3)？
# %%
logits = torch.tensor([[2.0, 1.0, 0.0]])
rows = []
for temperature in (0.0, 0.5, 1.0, 2.0, 100.0):
    p = probabilities(logits, Sampling(temperature=temperature))[0].tolist()
    ratio = f"{p[0] / p[1]:.2f}" if p[1] else "–"
    rows.append([temperature, *p, ratio])
show_table([say("temperature", "温度"), "logit 2", "logit 1", "logit 0", say("ratio of neighbours", "相邻的比")], rows)
# %% [markdown] tags=["en"]
# e² = 7.39 at 0.5 and e^½ = 1.65 at 2. At 0 the framework takes the most probable token (of equal ones the first). The
# order of the tokens never changes; only how much the first is preferred does.
#
# <!-- go on -->
#
# Now a real distribution, the token that follows “挪威” (Norway) at the beginning of a document: there are many ways to
# go on. In the picture the tokens are ranked by probability.
#
# **Before you run it:** how probable is the first token at temperature 2, and how much probability lies outside
# the best 20 of the 2,051 tokens?
# %% [markdown] tags=["zh"]
# 温度 0.5 时是 e² = 7.39，温度 2 时是 e^½ = 1.65。温度 0 时框架取概率最大的词元（并列时取第一个）。
# 词元的名次从不改变，改变的只是对第一名偏爱多少。
#
# <!-- go on -->
#
# 现在看一个真实的分布：文档开头“挪威”后面的词元，有很多种接法。图中词元按概率排名。
#
# **运行之前先猜：** 温度为 2 时，第一名的概率是多少？2051 个词元里，前 20 名以外的概率一共有多少？
# %%
norway = next(sample_steps(gpt, [prompt_of("挪威")], greedy, None, tokenizer.pad)).logits  # (1, V)
order = norway[0].argsort(descending=True)
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(4.8, 3.3))
tails = []
for temperature, colour in ((0.5, "#1f77b4"), (1.0, "#2ca02c"), (2.0, "#d62728")):
    p = probabilities(norway, Sampling(temperature=temperature))[0][order]
    name = label(f"temperature {temperature}", f"温度 {temperature}")
    axes[0, 0].plot(range(1, 13), p[:12], marker="o", color=colour, label=name)
    axes[0, 1].plot(range(1, len(p) + 1), p.cumsum(0), color=colour, label=name)
    tails.append([temperature, p[0].item(), 1 - p[:20].sum().item()])
axes[0, 0].set(xlabel=label("rank", "名次"), ylabel=label("probability", "概率"))
axes[0, 1].set(xlabel=label("rank (logarithmic)", "名次（对数）"), xscale="log",
               ylabel=label("sum of the best so far", "前几名的概率之和"))  # fmt: skip
axes[0, 1].axhline(0.9, color="#888888", linestyle=":", linewidth=1)
for one in axes[0]:
    one.grid(alpha=0.3)
    one.legend(fontsize=8)
best = " ".join(f"{shown(text)} {p:.2f}" for text, p, _ in next(
    sample_steps(gpt, [prompt_of("挪威")], greedy, None, tokenizer.pad)).candidates(tokenizer, 8))  # fmt: skip
print(say("at temperature 1:", "温度为 1 时："), best)
show_figure(figure)
# %%
show_table(
    [say("temperature", "温度"), say("the first token", "第一名"), say("outside the best 20", "前 20 名以外")], tails
)
# %% [markdown] tags=["en"]
# At temperature 2 a large part of the probability lies in the **tail**: some two thousand tokens, each of which is
# nearly impossible, together often drawn. One such token, and the rest of the text continues from nonsense. Sampling
# at temperature 1 has the same disease in a mild form: in a text of 50 tokens, a tail of 2 % is hit once on average.
#
# <!-- go on -->
#
# So two filters cut the tail. Both work on logits and set what they drop to minus infinity, which softmax turns to 0.
# %% [markdown] tags=["zh"]
# 温度为 2 时，很大一部分概率在**尾部**：约两千个词元，单个几乎不可能，合起来却常被抽到。抽到一个，
# 后面的文字就从胡话接下去。温度为 1 时也有同样的毛病，只是轻一些：尾部若有 2 %，50 个词元的文字平均会碰到一次。
#
# <!-- go on -->
#
# 所以有两种过滤来切掉尾部。两者都作用在 logits 上，把丢掉的设成负无穷，softmax 之后就是 0。
# %% [markdown] tags=["en"]
# ## Top-k
#
# **Top-k** keeps the k tokens with the largest logits (Fan et al. 2018).
#
# ## Top-p
#
# **Top-p** (nucleus sampling, Holtzman et al. 2019) keeps the fewest most probable tokens whose probabilities add up
# to p; the token that crosses p stays, and so at least one does.
#
# Four tokens have the probabilities 0.45, 0.3, 0.15, 0.1.
#
# **Before you run it:** which stay with k = 2? Which with p = 0.5, with p = 0.75 + a little, with p = 0.3? What are
# their probabilities afterwards?
# %% [markdown] tags=["zh"]
# ## Top-k
#
# **Top-k** 保留 logits 最大的 k 个词元（Fan 等 2018）。
#
# ## Top-p
#
# **Top-p**（核采样，nucleus sampling，Holtzman 等 2019）从概率最大的开始，保留加起来达到 p 的最少几个词元；
# 越过 p 的那个留下，所以至少留下一个。
#
# 四个词元的概率是 0.45、0.3、0.15、0.1。
#
# **运行之前先猜：** k = 2 时留下哪些？p = 0.5、p 比 0.75 大一点、p = 0.3 时呢？之后它们的概率是多少？
# %%
logits = torch.tensor([[0.45, 0.3, 0.15, 0.1]]).log()
settings = {"k = 2": keep_top_k(logits, 2), **{f"p = {p}": keep_top_p(logits, p) for p in (0.3, 0.5, 0.76)}}
show_table([say("filter", "过滤"), "0.45", "0.3", "0.15", "0.1"],
           [[name, *kept.softmax(-1)[0].tolist()] for name, kept in settings.items()])  # fmt: skip
# %% [markdown] tags=["en"]
# With p = 0.5 two stay, since 0.45 alone does not reach it; they become 0.6 and 0.4. The order of operations matters
# for top-p: the temperature comes **first**, so that p is a share of the distribution that is really drawn from.
#
# <!-- go on -->
#
# Which filter is better? Look at places where the model is sure and where it is not.
#
# **Before you run it:** guess for each text how many tokens top-p with p = 0.9 keeps, and how much probability top-k
# with k = 10 cuts off.
# %% [markdown] tags=["zh"]
# p = 0.5 时留下两个，因为单独的 0.45 还没到；它们变成 0.6 和 0.4。对 top-p 来说次序很重要：**先**除以温度，
# 这样 p 说的才是真正用来抽样的那个分布的概率。
#
# <!-- go on -->
#
# 哪一种过滤更好？看看模型有把握和没把握的地方。
#
# **运行之前先猜：** 对每段文字，猜猜 p = 0.9 的 top-p 留下几个词元，k = 10 的 top-k 切掉多少概率。
# %%
rows = []
for text in (
    "",
    "The capital of",
    "挪威",
    "台湾最高的山",
    "The highest mountain of Taiwan",
    "The capital of Norway is",
):
    step = next(sample_steps(gpt, [prompt_of(text)], greedy, None, tokenizer.pad))
    p = step.logits.softmax(-1)
    kept = keep_top_p(step.logits, 0.9).isfinite().sum().item()
    cut = 1 - p.topk(10).values.sum().item()
    rows.append(
        [f"[DOC] {text}".strip(), f"{shown(step.candidates(tokenizer, 1)[0][0])} {p.max():.2f}", kept, f"{cut:.0%}"]
    )
show_table([say("text", "文字"), say("best token", "第一名"), say("kept by p = 0.9", "p = 0.9 留下几个"),
            say("cut off by k = 10", "k = 10 切掉")], rows)  # fmt: skip
# %% [markdown] tags=["en"]
# Where any place could follow, ten tokens are too few: top-k throws away most of the good ones. Where only one or two
# make sense, ten are too many. Top-p follows the distribution. In practice both are used together, with a temperature
# of 0.7 to 1.
#
# ## Greedy and sampled texts
#
# **Before you run it:** each text is continued three times with different draws. Which settings give the same text
# three times? Which of the texts contain facts, and are they true?
# %% [markdown] tags=["zh"]
# 后面可以接任何地名的地方，十个太少：top-k 丢掉了大部分好的词元。只有一两个说得通的地方，十个又太多。
# Top-p 跟着分布走。实际使用时两者常常一起用，温度取 0.7 到 1。
#
# ## 贪心的文字和抽样的文字
#
# **运行之前先猜：** 每段文字续写三次，抽样各不相同。哪些设置三次都一样？哪些文字里有事实，是真的吗？
# %%
choices = {
    say("greedy", "贪心"): Sampling(24),
    say("temperature 1, p = 0.9", "温度 1，p = 0.9"): Sampling(24, temperature=1.0, top_p=0.9),
    say("temperature 1", "温度 1"): Sampling(24, temperature=1.0),
    say("temperature 2", "温度 2"): Sampling(24, temperature=2.0),
}
rows = []
for text in ("The capital of", "挪威"):
    for name, sampling in choices.items():
        for new in generate(gpt, [prompt_of(text)] * 3, sampling, tokenizer.end, tokenizer.pad):
            rows.append([name, text + tokenizer.decode(new)])
show_table(
    [say("choice", "选法"), say("text", "文字")], rows, [("#eef4fb", "#ffffff")[i // 3 % 2] for i in range(len(rows))]
)
# %% [markdown] tags=["en"]
# Greedy is always the same, and a base model's greedy text is not its best: each place has a few per cent, so that
# the most probable start can be one nobody had in mind (in our run a change of language after “The capital of”). At
# temperature 1 the texts look like the training texts; some facts are wrong, since a wrong capital has a few per cent
# and is drawn now and then. At temperature 2 words fall apart.
# %% [markdown] tags=["zh"]
# 贪心每次都一样，而且基础模型的贪心文字并不是最好的：每个地名只有百分之几的概率，
# 最可能的开头反而可能是谁也没想到的（我们这次是 “The capital of” 之后换了语言）。温度为 1 时，文字很像训练文本；
# 有些事实是错的，因为错误的首都也有百分之几的概率，时不时会被抽到。温度为 2 时，词都散了架。
# %% [markdown] tags=["en"]
# ## The KV cache
#
# To choose token 101 the model needs attention over 100 positions. Their keys and values do not change when a token is
# appended (causality, lesson 4), so they are kept: the **KV cache**. Each step then computes one position instead of
# all.
#
# **Before you run it:** a prompt of 2 tokens, 120 new ones. How many positions are computed in all with the cache,
# how many without? Will the time differ by the same factor?
# %% [markdown] tags=["zh"]
# ## KV 缓存
#
# 要选第 101 个词元，模型要对 100 个位置做注意力。接上新词元时，前面的键和值不会变（因果性，第 4 课），
# 所以把它们存起来：这就是 **KV 缓存**。这样每一步只算一个位置，而不是全部。
#
# **运行之前先猜：** 提示有 2 个词元，再生成 120 个。有缓存时一共要算多少个位置，没有呢？时间也差这么多倍吗？
# %%
sentence = prompt_of("The capital of Norway is")
cache = KVCache(gpt.config, batch=1)
with torch.no_grad():
    whole = gpt(torch.tensor([sentence]))
    for token in sentence:
        position = cache.length
        piece = gpt(torch.tensor([[token]]), cache=cache)  # one position: (1, 1) -> (1, 1, V)
        text = shown(tokenizer.decode([token], special=True))
        print(say(f"read {text!r} at position {position}", f"在位置 {position} 读入 {text!r}"))
print(say("keys (layer, row, head, position, channel):", "键（层、行、头、位置、通道）："), tuple(cache.keys.shape))
print(
    say("largest difference of the last logits:", "最后的 logits 的最大差："),
    f"{(piece[0, -1] - whole[0, -1]).abs().max():.1e}",
)
# %%
rows = []
for n in (10, 30, 60, 120):
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(5):
        for cached in (True, False):
            begin = time.perf_counter()
            generate(gpt, [prompt_of("The")], Sampling(n), None, tokenizer.pad, cached)
            seconds[cached].append(time.perf_counter() - begin)
    ratios = sorted(slow / fast for fast, slow in zip(seconds[True], seconds[False], strict=True))
    positions = [2 + n - 1, sum(range(2, 2 + n))]
    rows.append([n, *positions, f"{1000 * statistics.median(seconds[True]) / n:.1f}",
                 f"{1000 * statistics.median(seconds[False]) / n:.1f}",
                 f"{statistics.median(ratios):.1f} ({ratios[0]:.1f}–{ratios[-1]:.1f})"])  # fmt: skip
show_table([say("new tokens", "新词元"), say("positions, cache", "位置数，有缓存"), say("positions, none", "位置数，无缓存"),
            say("ms per token, cache", "毫秒/词元，有缓存"), say("ms per token, none", "毫秒/词元，无缓存"),
            say("ratio: median of 5 (range)", "比值：5 次的中位数（范围）")], rows)  # fmt: skip
# %% [markdown] tags=["en"]
# The logits are the same up to rounding. Positions fall by a factor of 60 at 120 tokens, the time only by about 10 (it
# depends on the machine and on what else it does): in so small a model a step costs mostly the overhead of its dozens of
# small operations, not arithmetic. And a good part of the 10 is not the cache's own: with one new position per row, our
# loop leaves PyTorch for NumPy, where a small operation costs less; with PyTorch in both columns it would be 2 to 4. In a
# large model the factor approaches that of the positions.
#
# <!-- go on -->
#
# The price is memory: 2 · layers · C numbers per position, here 2 · 3 · 128 · 4 bytes = 3 KiB. For LLaMA 7B in 16
# bits it is 2 · 32 · 4096 · 2 bytes = 512 KiB per position, 1 GiB for its context of 2,048. That is why newer models
# share key and value heads among groups of query heads (`n_kv_head`).
#
# Two traps: the new token's position is `length`, not 0; and its keys go behind those that are there.
#
# Watch it fill, step by step: `python -m minillm serve --run runs/demo/base`, then <http://127.0.0.1:8000/#cache>.
# %% [markdown] tags=["zh"]
# 除了舍入误差，logits 相同。120 个词元时位置数减少到 1/60，时间只减少到大约 1/10（取决于机器和它同时在做什么）：
# 模型这么小，一步的时间主要是几十个小操作的固定开销，不是算术。而且这 10 倍里有相当一部分不是缓存的功劳：每行只有一个
# 新位置时，我们的循环不用 PyTorch 而用 NumPy，小操作的开销更低；如果两列都用 PyTorch，就只有 2 到 4 倍。模型大的时候，
# 这个倍数会接近位置数的倍数。
#
# <!-- go on -->
#
# 代价是内存：每个位置 2 · 层数 · C 个数，这里是 2 · 3 · 128 · 4 字节 = 3 KiB。
# LLaMA 7B 用 16 位时是 2 · 32 · 4096 · 2 字节 = 每个位置 512 KiB，2048 的上下文要 1 GiB。
# 所以较新的模型让一组查询头共用键和值的头（`n_kv_head`）。
#
# 两个容易错的地方：新词元的位置是 `length`，不是 0；它的键要放在已有的后面。
#
# 想看它一步步填满：先运行 `python -m minillm serve --run runs/demo/base`，再打开 <http://127.0.0.1:8000/#cache>。
# %% [markdown] tags=["en"]
# ## A measurement: what does drawing cost?
#
# A base model has many good continuations; a question of fact has one. We tune the base on the teacher's dialogues
# (stage 2, lesson 7; half of the places, 100 steps together with some text of stage 1, 5 to 40 seconds) and ask for the
# lecture's mountain.
#
# **Before you run it:** 50 answers at temperature 1 to 台湾最高的山是哪座？ How many are right? Is it enough to know the
# probability of the first token?
# %% [markdown] tags=["zh"]
# ## 测量：抽样的代价
#
# 基础模型有很多种好的接法；问事实的问题只有一个答案。我们用老师的对话微调基础模型（第二阶段，第 7 课；一半的地方，
# 100 步，同时复习一点第一阶段的文本，5 到 40 秒），然后问课上的那座山。
#
# **运行之前先猜：** 温度为 1 时，对“台湾最高的山是哪座？”回答 50 次，有几次是对的？只知道第一个词元的概率够不够？
# %%
from minillm.stage2_sft import SFTConfig, sft
from minillm.world.exam import make_exam
from minillm.world.pairs import sft_dialogues
from minillm.world.tables import load_world

world = load_world()
settings = SFTConfig(steps=100, validation=0.0, rehearse_rows=2)
assistant = sft(settings, base.run, sft_dialogues(world, seed=0), base.documents).gpt
question = "台湾最高的山是哪座？"
rows = []
for i, step in enumerate(
    sample_steps(assistant, [encode_prompt(question, tokenizer)], greedy, tokenizer.end, tokenizer.pad)
):
    rows.append([i, *(f"{shown(text)} {p:.3f}" for text, p, _ in step.candidates(tokenizer, 4))])
show_table(
    [say("step", "步"), say("chosen", "选中"), say("second", "第二"), say("third", "第三"), say("fourth", "第四")], rows
)
# %%
rows = []
for temperature in (0.0, 1.0):
    sampling = Sampling(24, temperature)
    found = continuations(assistant, tokenizer, [encode_prompt(question, tokenizer)] * 50, sampling)
    counts = Counter(text for text, _ in found).most_common(6)
    rows.append([temperature, " · ".join(f"{text} × {n}" for text, n in counts)])
show_table([say("temperature", "温度"), say("50 answers, the most frequent", "50 个回答中最常见的")], rows)
# %% [markdown] tags=["en"]
# Greedy is 50 times the same: 玉, 山, `[END]`, just as on the lecture's slide, or the sentence 台湾最高的山是玉山。 Both
# styles were taught, 玉 and 台 are about equally probable as first tokens, and which is ahead by a little differs from
# machine to machine. At temperature 1 it is drawn: both forms come, and some answers are about something else (亚洲 is
# Taiwan's continent, not its mountain). So the first token's probability is not the whole story: right answers share it.
# But once a wrong first token is drawn, the loop has no way back.
#
# <!-- go on -->
#
# Now for 128 of the exam's questions about **held-out** places (never spoken of in stage 2), in wordings that SFT
# used. Each setting is one draw for each question.
#
# **Before you run it:** order the settings by right answers. Can top-p make temperature 1.5 as good as temperature 1?
# %% [markdown] tags=["zh"]
# 贪心时 50 次都相同：或者是 玉、山、`[END]`，和幻灯片上一样，或者是整句“台湾最高的山是玉山。”。两种形式都教过，第一个词元是“玉”还是
# “台”，概率差不多，哪个略高一点，各台机器不一样。温度为 1 时是抽出来的：两种形式都会出现，还有些答非所问（“亚洲”是台湾所在的
# 洲，不是山）。所以第一个词元的概率还不是全部：正确的回答要分这份概率。但一旦抽到错的第一个词元，循环就没有回头路。
#
# <!-- go on -->
#
# 现在从考卷里取 128 道关于**留出**地方的问题（第二阶段从没讲过这些地方），用 SFT 用过的问法。
# 每个设置对每个问题抽一次。
#
# **运行之前先猜：** 按正确答案的多少给这些设置排个序。top-p 能让温度 1.5 和温度 1 一样好吗？
# %%
seen = [q for q in make_exam(world, seed=0).questions if q.phrasing == "seen"]
questions = random.Random(0).sample(seen, 128)
prompts = [encode_prompt(q.text, tokenizer) for q in questions]


def right_answers(sampling: Sampling) -> float:
    answers = continuations(assistant, tokenizer, prompts, sampling)
    return sum(q.is_right(text) and ended for q, (text, ended) in zip(questions, answers, strict=True)) / len(questions)


temperatures = (0.0, 0.5, 1.0, 1.5, 2.0)
filters = {label("no filter", "不过滤"): {}, "top-k, k = 5": {"top_k": 5}, "top-p, p = 0.9": {"top_p": 0.9},
           "top-p, p = 0.5": {"top_p": 0.5}}  # fmt: skip
best = right_answers(Sampling(20))  # temperature 0: no filter changes the most probable token
shares = {
    name: [best] + [right_answers(Sampling(20, t, **more)) for t in temperatures[1:]] for name, more in filters.items()
}
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(5.6, 3.4))
for name, values in shares.items():
    errors = [(p * (1 - p) / len(questions)) ** 0.5 for p in values]
    axes[0, 0].errorbar(temperatures, values, errors, marker="o", capsize=3, label=name)
axes[0, 0].set(xlabel=label("temperature", "温度"), ylabel=label("right answers", "正确率"), ylim=(0, 1.02))
axes[0, 0].grid(alpha=0.3)
axes[0, 0].legend(fontsize=8)
show_figure(figure)
# %%
show_table([f"n = {len(questions)}", *(say(f"temperature {t}", f"温度 {t}") for t in temperatures)],
           [[name, *(f"{p:.0%}" for p in values)] for name, values in shares.items()])  # fmt: skip
# %% [markdown] tags=["en"]
# The bars are one standard error, about 4 points at 50 %. Greedy is right in eight to nine of ten. The higher the
# temperature, the fewer facts: at 1 without a filter a little over half is right, at 2 nearly nothing. A fact has one
# answer, and what is drawn instead of the most probable token is mostly wrong.
#
# The filters give back a part. p = 0.5 makes temperature 1 nearly as right as greedy: where one token has more than
# half, it alone stays. It brings temperature 1.5 at least as far as temperature 1 without a filter. p = 0.9 helps
# a little at temperature 1 and hardly at 2: the temperature comes first and flattens the distribution, so that it
# takes hundreds of tokens to reach 0.9. k = 5 keeps five, however hot it is. So for questions of fact: temperature 0,
# or low; for stories, where many continuations are good: about 1 with a filter.
#
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | a model plays the game of continuing a text (文字接龙) | the model gives probabilities; a loop of a few lines plays |
# | `USER: 台湾最高的山是哪座？ AI:` → `玉山[END]` | greedy: 玉 → 山 → `[END]`, or the sentence that ends with it, always the same; at temperature 1 other answers as well |
# | the answer ends with `[END]` | the loop stops because the model says so: the base at the end of a document, the tuned model after its answer |
#
# ## To discuss in class
#
# 1. A chat service gives different answers to the same question on two days. Name the causes one by one and an
#    experiment for each. (A good answer has temperature and seed, but also another system message, an updated model,
#    and rounding that depends on the batch; and says which of these greedy decoding removes.)
# 2. Draw 20 answers at temperature 1 and take the most frequent one (self-consistency, Wang et al. 2022). When does
#    this beat greedy, and when can it not? (A good answer sees that greedy takes the most probable *token* at each
#    step, the vote the most probable *answer*, summed over its wordings; that both fail where the model believes
#    something wrong; and that it costs 20 times as much.)
#
# ## Homework
#
# `keep_top_k`, `keep_top_p`, `probabilities`, `generate`, `extend_cache`. Write them in the cells below, or in
# `lessons/05_sampling/homework.py`, which is what you hand in. `check("keep_top_p")` says at once which idea goes
# wrong, `hint("keep_top_p")` helps in three steps, `reset("keep_top_p")` begins anew, `progress()` shows how far you
# are. In a terminal `python -m minillm homework 5` grades the file, `python -m minillm homework 5 --watch` does so
# whenever you save it.
#
# ## References
#
# - A. Fan, M. Lewis, Y. Dauphin 2018, *Hierarchical Neural Story Generation*, arXiv 1805.04833 (top-k).
# - A. Holtzman et al. 2019, *The Curious Case of Neural Text Degeneration*, arXiv 1904.09751 (top-p).
# - N. S. Keskar et al. 2019, *CTRL: A Conditional Transformer Language Model for Controllable Generation*, arXiv
#   1909.05858 (repetition penalty).
# - J. Ainslie et al. 2023, *GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints*,
#   arXiv 2305.13245 (a smaller cache).
# - X. Wang et al. 2022, *Self-Consistency Improves Chain of Thought Reasoning in Language Models*, arXiv 2203.11171.
# %% [markdown] tags=["zh"]
# 竖线是一个标准误，正确率 50 % 时约 4 个百分点。贪心十个里对八到九个。温度越高，对的事实越少：温度为 1 而不过滤时，
# 对的只有一半多一点，为 2 时几乎全错。事实只有一个答案，抽到的若不是概率最大的词元，多半就错了。
#
# 过滤能挽回一部分。p = 0.5 让温度 1 几乎和贪心一样准：只要有一个词元过半，就只留下它。
# 温度 1.5 也能回到温度 1 不过滤的水平，甚至更高。p = 0.9 在温度 1 时有一点帮助，在温度 2 时几乎没用：
# 先除以温度，分布被压平了，要几百个词元才能加到 0.9。k = 5 不管多热都只留五个。所以问事实时：温度 0，或者很低；
# 写故事时有很多种好的接法：温度 1 左右，加上过滤。
#
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 模型在做文字接龙 | 模型只给概率；接龙的是外面几行的循环 |
# | `USER: 台湾最高的山是哪座？ AI:` → `玉山[END]` | 贪心：玉 → 山 → `[END]`，或者以它结尾的整句，每次都相同；温度为 1 时还有别的回答 |
# | 回答以 `[END]` 结束 | 循环停下是因为模型说了停：基础模型在一篇文档写完时说，微调后的模型在答完时说 |
#
# ## 课堂讨论
#
# 1. 一个聊天服务在两天里对同一个问题给出不同的回答。逐条说出可能的原因，并为每条设计一个实验。
#    （好的回答会说到温度和种子，也会说到系统消息变了、模型更新了、舍入误差与批次有关；并指出贪心能排除其中哪些。）
# 2. 在温度 1 下抽 20 个回答，取出现最多的一个（自洽性，self-consistency，Wang 等 2022）。什么时候它比贪心好，
#    什么时候不可能更好？（好的回答会看到：贪心每一步取概率最大的*词元*，投票取概率最大的*回答*，把不同说法加在一起；
#    模型本来就信错了的地方，两者都错；而且代价是 20 倍。）
#
# ## 作业
#
# `keep_top_k`、`keep_top_p`、`probabilities`、`generate`、`extend_cache`。写在下面的单元格里，或者写在
# `lessons/05_sampling/homework.py` 里，最后交的是这个文件。`check("keep_top_p")` 马上告诉你是哪个想法错了，
# `hint("keep_top_p")` 分三步提示，`reset("keep_top_p")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 5` 批改这个文件，`python -m minillm homework 5 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - A. Fan, M. Lewis, Y. Dauphin 2018，*Hierarchical Neural Story Generation*，arXiv 1805.04833（top-k）。
# - A. Holtzman 等 2019，*The Curious Case of Neural Text Degeneration*，arXiv 1904.09751（top-p）。
# - N. S. Keskar 等 2019，*CTRL: A Conditional Transformer Language Model for Controllable Generation*，
#   arXiv 1909.05858（重复惩罚）。
# - J. Ainslie 等 2023，*GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints*，
#   arXiv 2305.13245（更小的缓存）。
# - X. Wang 等 2022，*Self-Consistency Improves Chain of Thought Reasoning in Language Models*，arXiv 2203.11171。
