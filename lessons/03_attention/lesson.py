# %% [markdown] tags=["en"]
# # 3 Attention
#
# A language model is a function of the unfinished sentence: *next token = f(the text so far)*. [The lecture][lecture]
# treats f as a black box. Its most important part is **attention**: the step in which a position reads other positions,
# which the network of lesson 2b could not do.
#
# After this lesson you can
# - compute attention for three tokens by hand, and say what query, key and value are for;
# - explain the factor 1/√D, the causal mask, and why there are several heads;
# - read the attention maps of a trained model, and test whether what a map shows matters.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 3 注意力
#
# 语言模型是“未完成的句子”的函数：*下一个词元 = f(前面的文字)*。[课上][lecture]把 f 当作黑盒。其中最重要的一步是
# **注意力**（attention）：一个位置在这一步里读取其他位置，这是第 2b 课的网络做不到的。
#
# 学完这一课，你能够
# - 手算三个词元的注意力，并说出查询（query）、键（key）、值（value）各有什么用；
# - 解释系数 1/√D、因果掩码（causal mask），以及为什么要有多个头（head）；
# - 看懂训练好的模型的注意力图，并检验图上看到的东西是否真的有作用。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import torch

from minillm.classroom.lesson_tools import draw_matrix, label, say, show_figure, show_table
from minillm.gpt import attention, causal_mask
from minillm.plumbing import plots

# %% [markdown] tags=["en"]
# ## Query, key, value
#
# Some letters are used from here on. A **batch** has B rows of T tokens. At each position the model keeps a vector of C
# numbers, the **hidden state**; each of the C numbers is a **channel** (lesson 2b).
#
# Three matrices, which training sets, turn each hidden state into three vectors of D channels: W_q gives the **query**, what
# this position looks for; W_k the **key**, what it has to offer; W_v the **value**, what it hands over. The whole of
# attention in one picture:
#
# ```
# x (B, T, C) ─┬─ W_q ─→ Q (B, T, D) ─┐
#              ├─ W_k ─→ K (B, T, D) ─┴─→ Q Kᵀ / √D ─ softmax ─→ (B, T, T) ─┐
#              └─ W_v ─→ V (B, T, D) ───────────────────────────────────────┴─→ (B, T, D)
# ```
#
# Each query meets each key: the **score** of the pair is their dot product *query · key*, divided by √D (below we see why).
# Softmax turns the scores of one query into **attention weights** that add up to 1, for all queries together (B, T, T). The
# result is the mixture of the values with these weights.
#
# An example with three tokens and two channels: S = 3 keys and values, and one query, (2, 0), of the last token. `attention`
# wants two more axes in front, for rows and heads; `[None, None]` adds them with length 1.
#
# **Before you run it:** which of the three positions gets the largest weight, and what will the second channel of
# the result be, roughly?
# %% [markdown] tags=["zh"]
# ## 查询、键、值
#
# 从这里起会用到几个字母。一个**批次**（batch）有 B 行，每行 T 个词元。模型在每个位置上有一个由 C 个数组成的向量，叫
# **隐藏状态**（hidden state）；C 个数中的每一个叫一个**通道（channel）**（第 2b 课）。
#
# 由训练确定的三个矩阵，把每个隐藏状态变成三个有 D 个通道的向量：W_q 得到**查询**，即这个位置在找什么；W_k 得到**键**，即它能提供
# 什么；W_v 得到**值**，即它交出去的内容。整个注意力就是下面这张图：
#
# ```
# x (B, T, C) ─┬─ W_q ─→ Q (B, T, D) ─┐
#              ├─ W_k ─→ K (B, T, D) ─┴─→ Q Kᵀ / √D ─ softmax ─→ (B, T, T) ─┐
#              └─ W_v ─→ V (B, T, D) ───────────────────────────────────────┴─→ (B, T, D)
# ```
#
# 每个查询都和每个键相配：一对的**分数**是点积 *查询 · 键*，再除以 √D（后面会看到为什么）。softmax 把一个查询的所有分数变成
# 加起来等于 1 的**注意力权重**，所有查询合起来是 (B, T, T)；结果就是按这些权重混合的值。
#
# 举个例子：三个词元，两个通道。键和值各有 S = 3 个，查询只有最后一个词元的 (2, 0)。`attention` 前面还要两个轴，是行和头；
# `[None, None]` 加上这两个长度为 1 的轴。
#
# **运行之前先猜：** 三个位置中哪一个的注意力权重最大？结果的第二个通道大约是多少？
# %%
keys = torch.tensor([[2.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
values = torch.tensor([[0.0, 10.0], [10.0, 0.0], [5.0, 5.0]])
query = torch.tensor([[2.0, 0.0]])

scores = query @ keys.T / 2**0.5  # (1, D) @ (D, S) -> (1, S)
mixture, weights = attention(query[None, None], keys[None, None], values[None, None], mask=None)
print(say("result:", "结果："), [round(x, 3) for x in mixture[0, 0, 0].tolist()])
# %% tags=["fold"]
columns = (range(3), keys.int().tolist(), scores[0].tolist(), weights[0, 0, 0].tolist(), values.int().tolist())
show_table(
    say(["position", "key", "score", "weight", "value"], ["位置", "键", "分数", "注意力权重", "值"]),
    [list(row) for row in zip(*columns, strict=True)],
)
# %% [markdown] tags=["en"]
# The first key points the same way as the query: score 4/√2 = 2.83 against 0 and -1.41, a weight of about 0.93. The
# result lies close to the first value, so its second channel is near 10. Attention is a soft look-up: nothing is
# chosen outright, and that is why it can be trained by gradients.
# %% [markdown] tags=["zh"]
# 第一个键和查询方向相同：分数是 4/√2 = 2.83，另外两个是 0 和 -1.41，所以它的注意力权重约为 0.93。结果靠近第一个值，第二个通道
# 接近 10。注意力是一种“软”的查表：并没有真正选定某一个，所以才能用梯度来训练。
# %% [markdown] tags=["en"]
# ## Scaled dot products
#
# The formula is softmax(q kᵀ / √D) v with D the number of channels of a query (Vaswani et al. 2017, equation 1).
#
# **Before you run it:** queries and keys have random channels of mean 0 and standard deviation 1. How does the standard
# deviation of q · k grow when D goes from 4 to 256: not at all, like √D, or like D? And what does softmax make of large scores?
# %% [markdown] tags=["zh"]
# ## 缩放点积
#
# 公式是 softmax(q kᵀ / √D) v，D 是查询的通道数（Vaswani 等 2017，公式 1）。
#
# **运行之前先猜：** 查询和键的每个通道都是均值 0、标准差 1 的随机数。D 从 4 变到 256 时，q · k 的标准差怎样增长：不变、
# 按 √D，还是按 D？分数很大时 softmax 会变成什么样？
# %%
generator = torch.Generator().manual_seed(3)
sizes = [4, 16, 64, 256]
rows = []
for d in sizes:
    q = torch.randn(500, 1, d, generator=generator)
    k = torch.randn(500, 16, d, generator=generator)
    raw = (q * k).sum(-1)  # (500, 16): 500 queries with 16 keys each
    largest = [(raw / scale).softmax(-1).amax(-1).mean().item() for scale in (1.0, d**0.5, d)]
    rows.append([d, raw.std().item(), *largest])
show_table(say(["D", "standard deviation of q·k", "largest weight: not scaled", "÷ √D", "÷ D"],
               ["D", "q·k 的标准差", "最大注意力权重：不缩放", "÷ √D", "÷ D"]), rows)  # fmt: skip
# %% [markdown] tags=["en"]
# The standard deviation is √D. Without scaling, a query over 16 keys gives nearly everything to one of them once D is large,
# before anything has been learned; and where a weight is 0 or 1, softmax passes on almost no gradient. Divided by √D,
# the weights look alike for every D. Divided by D they all approach 1/16: nothing stands out.
# %% [markdown] tags=["zh"]
# 标准差就是 √D。不缩放时，只要 D 大，16 个键中的一个就几乎拿走全部注意力权重，而这时模型还什么都没学；注意力权重是 0 或 1 的地方，
# softmax 几乎不传梯度。除以 √D 之后，无论 D 是多少，注意力权重的样子都差不多。除以 D 则都趋近 1/16：谁也不突出。
# %% [markdown] tags=["en"]
# ## The causal mask
#
# In training, all positions of a row predict their next token at once. Position i must not see position i + 1:
# that token is the answer. The **causal mask** hides the future by setting its scores to −∞ before the
# softmax.
#
# While the model writes, the keys and values of earlier tokens are kept (a cache, lesson 5): then only the newest T of the
# S positions have queries. `causal_mask(2, 5)` is such a case.
#
# **Before you run it:** draw the mask for T = S = 4, and for T = 2, S = 5. How many cells are dark in each? (Dark: may
# look.)
# %% [markdown] tags=["zh"]
# ## 因果掩码
#
# 训练时，一行中的所有位置同时预测自己的下一个词元。位置 i 不许看到位置 i + 1：那个词元就是答案。**因果掩码**在 softmax
# 之前把未来的分数设成 −∞，于是未来被遮住。
#
# 模型写字时，前面词元的键和值会留着（缓存 cache，第 5 课）：这时 S 个位置中只有最新的 T 个有查询。`causal_mask(2, 5)` 就是这种
# 情形。
#
# **运行之前先猜：** 画出 T = S = 4 和 T = 2、S = 5 的掩码。深色格子（可以看的地方）各有几个？
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(3.2, 2.8))
for one, (t, s) in zip(axes[0], [(4, 4), (2, 5)], strict=True):
    draw_matrix(one, causal_mask(t, s), [str(s - t + i) for i in range(t)], [str(i) for i in range(s)])
    one.set(title=f"causal_mask({t}, {s})", xlabel=label("position looked at", "被看的位置"),
            ylabel=label("position that looks", "在看的位置"))  # fmt: skip
show_figure(figure)
# %% [markdown] tags=["en"]
# 10 and 9. In the second mask query 0 is at position 3: it sees positions 0 to 3. A mask that starts every query
# at position 0 is right in training and wrong with a cache, which is why this mistake is often found late.
#
# <!-- go on -->
#
# Does hiding work? Change the last token's key and value, and see what the earlier positions get.
# %% [markdown] tags=["zh"]
# 10 个和 9 个。第二个掩码里，第 0 个查询在位置 3：它能看位置 0 到 3。如果让每个查询都从位置 0 算起，训练时是对的，
# 用缓存时就错了，所以这个错误常常很久才被发现。
#
# <!-- go on -->
#
# 遮住真的有效吗？改变最后一个词元的键和值，看看前面的位置得到什么。
# %%
q, k, v = (torch.randn(1, 1, 4, 8, generator=generator) for _ in range(3))
before, _ = attention(q, k, v, causal_mask(4, 4))
k[..., -1, :] += 5
v[..., -1, :] += 5
after, _ = attention(q, k, v, causal_mask(4, 4))
change = (after - before).abs().amax(-1)[0, 0]
print(say("change at each position:", "每个位置的变化："), [f"{c:.3f}" for c in change.tolist()])
# %% [markdown] tags=["en"]
# Exactly 0 at every earlier position. The project's tests demand this of the whole model, for every option.
#
# ## Several heads
#
# One softmax gives one set of attention weights. To look for the place *and* for the word before at the same time, the C
# channels are cut into H **heads** of D = C/H channels, and each head attends on its own. (B, T, C) becomes
# (B, H, T, D); afterwards the heads are put next to each other again.
#
# **Before you run it:** a position's channels are numbered 0 to 7 and there are 2 heads. Which channels belong to
# head 1? `view` gives the same numbers, in the order of memory, another shape. What goes wrong with `x.view(B, H, T, D)`?
# %% [markdown] tags=["zh"]
# 前面的每个位置都恰好是 0。项目的测试对整个模型、对每一种选项都有这个要求。
#
# ## 多头
#
# 一次 softmax 只能给出一组注意力权重。要同时去找地名*和*前一个词，就把 C 个通道切成 H 个**头**，每个头 D = C/H 个通道，各自做
# 注意力。(B, T, C) 变成 (B, H, T, D)；之后再把各个头并排放回去。
#
# **运行之前先猜：** 一个位置的通道编号是 0 到 7，有 2 个头。哪些通道属于头 1？`view` 按内存里的顺序给同样的数另一个形状。直接写
# `x.view(B, H, T, D)` 会出什么错？
# %%
# (1, 3, 8): tens = position, ones = channel
x = torch.tensor([[[10 * t + c for c in range(8)] for t in range(3)]])
wrong = x.view(1, 2, 3, 4)
rows = [[h, t, wrong[0, h, t].tolist()] for h in range(2) for t in range(3)]
show_table(say(["head", "position", "numbers that view puts there"], ["头", "位置", "view 放进去的数"]), rows)
# %% [markdown] tags=["en"]
# Head 1 should hold channels 4 to 7 of every position: 4–7, 14–17, 24–27. `view` alone follows memory: position 1 of
# head 0 gets the *other* half of position 0. Nothing crashes and the loss still falls, only less. Shapes that fit do not
# prove that the numbers are where they should be.
#
# ## What a trained model looks at
#
# Now a small GPT that has read the texts of this project's world (the **base model**; lesson 4 builds it, lesson 6 trains it).
# It is a stack of 3 **blocks**, each with an attention of 2 heads: block 1 reads what block 0 has written. If no lesson has
# needed the model yet, it is trained now, once, in one to two minutes. `gpt(ids, trace=[])` collects the attention weights of
# every block.
#
# **Before you run it:** the text stops at “Capital of Norway:”. Which tokens should the last position look at?
# %% [markdown] tags=["zh"]
# 头 1 应该拿到每个位置的通道 4 到 7：4–7、14–17、24–27。直接 `view` 是按内存顺序来的：头 0 的第 1 行拿到的是
# 位置 0 的*另一半*。程序不会报错，损失也照样下降，只是降得少。形状对得上，不代表数字放对了地方。
#
# ## 训练好的模型在看什么
#
# 现在看一个读过这个项目的世界文本的小 GPT（叫**基础模型**；第 4 课搭建它，第 6 课训练它）。它由 3 个 **block** 叠成，每个
# block 里有一个 2 个头的注意力：block 1 读 block 0 写下的结果。如果前面的课还没有用到这个模型，现在训练一次，要一到两分钟。
# `gpt(ids, trace=[])` 会收集每个 block 的注意力权重。
#
# **运行之前先猜：** 文本停在 “Capital of Norway:”。最后一个位置应该看哪些词元？
# %%
from minillm.base_cache import world_base

base = world_base()
gpt, tokenizer = base.run.gpt, base.run.tokenizer
sentence = "Capital of Norway:"
ids = [tokenizer.doc, *tokenizer.encode(sentence)]
names = ["[DOC]", *tokenizer.tokens(ids[1:])]
trace: list[torch.Tensor] = []
with torch.no_grad():
    logits = gpt(torch.tensor([ids]), trace=trace)
best = logits[0, -1].softmax(-1).topk(3)
candidates = tokenizer.tokens(best.indices.tolist())
print(dict(zip(candidates, [round(p, 3) for p in best.values.tolist()], strict=True)))
# %% tags=["fold"]
figure, axes = plots.new_figure(gpt.config.n_head, gpt.config.n_layer, size=(2.8, 2.5))
for layer, heads in enumerate(trace):  # (1, H, T, T)
    for h in range(heads.shape[1]):
        title = label(f"block {layer}, head {h}", f"block {layer}，头 {h}")
        draw_matrix(axes[layer, h], heads[0, h], names, names if layer == gpt.config.n_layer - 1 else (), title)
        if h:
            axes[layer, h].set_yticks([])
        else:
            axes[layer, h].set_ylabel(label("token that looks", "在看的词元"))
        if layer < gpt.config.n_layer - 1:
            axes[layer, h].set_xticks([])
        else:
            axes[layer, h].set_xlabel(label("token looked at", "被看的词元"))
figure.colorbar(axes[0, 0].images[0], ax=axes, label=label("attention weight", "注意力权重"), shrink=0.5)
show_figure(figure)
# %% [markdown] tags=["en"]
# Each row is a position that looks; the weights of a row add up to 1. Heads differ: some look at the token just
# before, some at `[DOC]` (a place to look when there is nothing to find), some at the name. In the last row look for
# the heads that find “Norway”.
# For sentences of your own, once `make demo` has run: `python -m minillm serve --run runs/demo/base` in a terminal, then
# <http://127.0.0.1:8000/#attention>.
#
# <!-- go on -->
#
# Attention maps invite storytelling. The test is to take away what a head looks at.
#
# ## A measurement: does the model need to see the place?
#
# For places of the world we stop after “Capital of …:” and ask for the probability of the right capital's first
# token: (a) as it is; (b) with the place's tokens hidden from the last position, “:”; (c) with “Capital” hidden from
# the last position only; (d) with “Capital” hidden from all later positions.
#
# **Before you run it:** order the four by the probability you expect.
# %% [markdown] tags=["zh"]
# 每一行是一个在看的位置；一行的注意力权重加起来是 1。各个头不一样：有的看紧挨着的前一个词元，有的看 `[DOC]`（没什么可找时看的
# 地方），有的看名字。在最后一行里找找哪些头看到了 “Norway”。
# 换成自己的句子：先 `make demo`，再在终端里运行 `python -m minillm serve --run runs/demo/base`，打开
# <http://127.0.0.1:8000/#attention>。
#
# <!-- go on -->
#
# 图容易让人编故事。检验的办法是：把头所看的东西拿走。
#
# ## 测量：模型需要看到地名吗？
#
# 对这个世界里的地方，文本停在 “Capital of …:”，看正确首都的第一个词元的概率：(a) 原样；(b) 对最后一个位置 “:”
# 遮住地名的词元；(c) 只对最后一个位置遮住 “Capital”；(d) 对它后面的所有位置遮住 “Capital”。
#
# **运行之前先猜：** 按你预期的概率把四种情形排个序。
# %%
from minillm.world.tables import load_world

conditions = {
    "a": say("(a) as it is", "(a) 原样"),
    "b": say("(b) place hidden from the last position", "(b) 对最后一个位置遮住地名"),
    "c": say("(c) “Capital” hidden from the last position", "(c) 对最后一个位置遮住 “Capital”"),
    "d": say("(d) “Capital” hidden from all later positions", "(d) 对后面所有位置遮住 “Capital”"),
}


def probability(place: str, capital: str, condition: str) -> float:
    name = tokenizer.encode(f" {place}")
    ids = [tokenizer.doc, *tokenizer.encode("Capital of"), *name, *tokenizer.encode(":")]
    mask = causal_mask(len(ids), len(ids)).clone()
    if condition == "b":
        mask[-1, 4 : 4 + len(name)] = False  # the place's tokens
    if condition == "c":
        mask[-1, 1:3] = False  # “C”, “apital”
    if condition == "d":
        mask[3:, 1:3] = False
    with torch.no_grad():
        predicted = gpt(torch.tensor([ids]), mask)[0, -1].softmax(-1)  # (V,)
    return predicted[tokenizer.encode(f" {capital}")[0]].item()


# %% tags=["fold"]
capitals = [(p.names["en"], p.value("capital", "en")) for p in load_world().places if p.value("capital", "en")]
rows = []
for condition, what in conditions.items():
    found = [probability(place, capital, condition) for place, capital in capitals]
    rows.append([what, sum(found) / len(found), sum(p > 0.5 for p in found) / len(found)])
show_table(say([f"{len(capitals)} places", "mean probability", "share above 0.5"],
               [f"{len(capitals)} 个地方", "平均概率", "超过 0.5 的比例"]), rows)  # fmt: skip
# %% [markdown] tags=["en"]
# As it is, the right capital gets about 0.9. Without the place nearly nothing is left: a guess among capitals.
# Without “Capital” it is below 0.1: the model no longer knows what is asked of the place. And (c) is as low as (d):
# hiding the word from the last position alone does all the harm. “of” and the place could still read “Capital”, but
# the last position does not get it from them: here it reads both the word and the place directly. If (c) had kept much of
# (a), the information would have come by a detour through another position, and a map of one block would tell only part of
# the story.
# %% [markdown] tags=["zh"]
# 原样时，正确首都的概率约为 0.9。看不到地名就几乎什么都不剩：只能在各个首都里猜。看不到 “Capital” 时不到 0.1：模型不知道
# 问的是这个地方的什么。而且 (c) 和 (d) 一样低：只对最后一个位置遮住这个词，损害就已经全部出现。“of” 和地名仍然能读到
# “Capital”，但最后一个位置并没有从它们那里得到它：在这里，它一步就亲自读到了这个词和地名。如果 (c) 保留了 (a) 的大部分，那么信息是
# 绕道别的位置来的；这时单看一个 block 的图，只能看到一部分。
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | the next token is a function of the unfinished sentence | attention is where it reads that sentence: without the place, the answer is gone |
# | stage 1 stores knowledge in the parameters | attention brings “Norway” to the last position; that its capital is Oslo is stored in the parameters |
#
# ## To discuss in class
#
# 1. A colleague shows a map in which a head looks at “Norway” and says: “this head knows capitals.” Which
#    experiment would convince you, which would refute it? (A good answer separates *reading the name* from *knowing
#    the fact*, hides or swaps one head's output, and asks for a control.)
# 2. Attention computes T² scores per head. Which of the model's other costs grow with T, and from which T on does attention
#    dominate for our sizes (C = 128, 3 blocks)? (A good answer compares T·T·C with T·C² and finds T near the order of
#    C to several C.)
#
# ## Homework
#
# `split_heads`, `join_heads`, `causal_mask`, `attention`. Write them in the cells below, or in
# `lessons/03_attention/homework.py`, which is what you hand in. `check("attention")` says at once which idea goes
# wrong, `hint("attention")` helps in three steps, `reset("attention")` begins anew, `progress()` shows how far you
# are. In a terminal `python -m minillm homework 3` grades the file, `python -m minillm homework 3 --watch` does so
# whenever you save it.
#
# ## References
#
# - A. Vaswani et al. 2017, *Attention Is All You Need*, arXiv 1706.03762.
# - D. Bahdanau, K. Cho, Y. Bengio 2014, *Neural Machine Translation by Jointly Learning to Align and Translate*,
#   arXiv 1409.0473.
# - S. Jain, B. Wallace 2019, *Attention is not Explanation*, arXiv 1902.10186.
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 下一个词元是未完成句子的函数 | 注意力就是它读句子的地方：看不到地名，答案就没了 |
# | 第一阶段把知识存进参数 | 注意力把 “Norway” 带到最后一个位置；首都是 Oslo 这件事存在参数里 |
#
# ## 课堂讨论
#
# 1. 有人给你看一张图，某个头看着 “Norway”，他说：“这个头知道首都。”什么实验能说服你，什么实验能推翻它？（好的回答会
#    区分*读到名字*和*知道事实*，会遮住或交换一个头的输出，并要求对照。）
# 2. 每个头的注意力要算 T² 个分数。模型的其他开销中哪些随 T 增长？对我们的大小（C = 128，3 个 block），T 到多少时注意力
#    占主要部分？（好的回答会比较 T·T·C 和 T·C²，得出 T 大约是 C 到几倍 C。）
#
# ## 作业
#
# `split_heads`、`join_heads`、`causal_mask`、`attention`。写在下面的单元格里，或者写在
# `lessons/03_attention/homework.py` 里，最后交的是这个文件。`check("attention")` 马上告诉你是哪个想法错了，
# `hint("attention")` 分三步提示，`reset("attention")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 3` 批改这个文件，`python -m minillm homework 3 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - A. Vaswani 等 2017，*Attention Is All You Need*，arXiv 1706.03762。
# - D. Bahdanau, K. Cho, Y. Bengio 2014，*Neural Machine Translation by Jointly Learning to Align and Translate*，
#   arXiv 1409.0473。
# - S. Jain, B. Wallace 2019，*Attention is not Explanation*，arXiv 1902.10186。
