# %% [markdown] tags=["en"]
# # 4 The GPT: block, positions, residuals
#
# [The lecture][lecture] writes: *next token = f(unfinished sentence)*, where f has parameters a = 0.5, b = 2.7, c =
# -0.5, … and stage 1 finds their values. In this lesson f is opened. Attention (lesson 3) is one part of it; here
# come the others and the way they are joined. At the end the whole f is written in fewer than forty lines of numpy
# and gives the framework's numbers.
#
# After this lesson you can
# - follow a token through a GPT: embedding, blocks, residual stream, logits;
# - compute LayerNorm and RMSNorm by hand, and say how they differ;
# - explain how rotary positions work, and measure that only distance counts;
# - count the parameters of a GPT by part, and say what GPT-2 and LLaMA chose differently.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 4 GPT 的结构：block、位置、残差
#
# [课上][lecture]写道：*下一个词元 = f(未完成的句子)*，f 有参数 a = 0.5、b = 2.7、c = -0.5……第一阶段就是在找它们的值。
# 这一课把 f 打开。注意力（第 3 课）是其中一部分；这里讲其余的部分，以及它们怎样连在一起。最后，
# 整个 f 用不到四十行 numpy 写出来，得到和框架相同的数。
#
# 学完这一课，你能够
# - 跟着一个词元走完 GPT：嵌入（embedding）、block、残差流（residual stream）、logits；
# - 手算 LayerNorm 和 RMSNorm，并说出它们的区别；
# - 解释旋转位置（rotary positions，RoPE）的原理，并用测量说明只有距离起作用；
# - 按部件数出一个 GPT 的参数，并说出 GPT-2 和 LLaMA 的选择有什么不同。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import math

import numpy as np
import torch

from minillm.base_cache import world_base
from minillm.classroom.lesson_tools import draw_matrix, label, say, show_figure, show_table
from minillm.gpt import GPT, Norm, count_parameters, rms_norm, rotary_angles, rotate, token_losses
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config
from minillm.plumbing import plots

base = world_base()  # trained once, then read from a folder
gpt, tokenizer = base.run.gpt, base.run.tokenizer

# %% [markdown] tags=["en"]
# ## The residual stream
#
# A token id is looked up in a table: its **embedding**, C = 128 numbers (channels). From there a vector of 128
# channels runs through the model at each position, the **residual stream**. No layer replaces it. A layer reads a
# normalised copy and **adds** what it has to say: attention brings something from other positions, the **MLP** works
# on one position alone. One attention and one MLP make a **block**; the base has three. From the last state the head
# makes the logits.
#
# We record what each layer adds at the last position of “Capital of Norway:”.
#
# **Before you run it:** is the last state *exactly* the embedding plus the six additions? And which is longer (as a
# vector): the embedding, or what the last MLP adds?
# %% [markdown] tags=["zh"]
# ## 残差流
#
# 词元编号先去查一张表，得到它的**嵌入**，C = 128 个数（通道）。从这里开始，
# 每个位置都有一个 128 个通道的向量穿过整个模型，这就是**残差流**。没有哪一层会替换它。每一层读一份归一化的副本，
# 再把自己要说的**加上去**：注意力从别的位置带来内容，**MLP** 只加工自己这个位置。
# 一个注意力加一个 MLP 是一个 **block**；这个基础模型有三个。最后的状态经过输出层变成 logits。
#
# 我们记下每一层在 “Capital of Norway:” 的最后一个位置上加了什么。
#
# **运行之前先猜：** 最后的状态是否*恰好*等于嵌入加上这六次相加？嵌入和最后一个 MLP 加上去的向量，哪个更长？
# %%
ids = [tokenizer.doc, *tokenizer.encode("Capital of Norway:")]
added: list[tuple[str, torch.Tensor]] = []
final: list[torch.Tensor] = []


def record(name):
    return lambda module, arguments, output: added.append((name, output[0, -1]))


hooks = [gpt.norm.register_forward_pre_hook(lambda module, arguments: final.append(arguments[0][0, -1]))]
for i, block in enumerate(gpt.blocks):
    hooks.append(block.attn.register_forward_hook(record(say(f"attention {i}", f"注意力 {i}"))))
    hooks.append(block.mlp.register_forward_hook(record(f"MLP {i}")))
with torch.no_grad():
    logits = gpt(torch.tensor([ids]))
    stream = gpt.tok_emb.weight[ids[-1]].clone()
for hook in hooks:
    hook.remove()
rows = [[say("embedding", "嵌入"), stream.norm().item(), stream.norm().item()]]
for name, vector in added:
    stream = stream + vector
    rows.append([name, vector.norm().item(), stream.norm().item()])
print(
    say("largest difference from the model's last state:", "与模型最后状态的最大差："),
    f"{(stream - final[0]).abs().max():.1e}",
)
show_table([say("part", "部件"), say("length of what it adds", "加上去的向量的长度"),
            say("length of the stream after it", "之后残差流的长度")], rows)  # fmt: skip
# %% [markdown] tags=["en"]
# The sum is exact up to rounding. The embedding is short (about 2), as is what the first attention adds; what the last
# block adds is several times as long, and the stream grows with every block. Since everything is added, later layers
# can still read what earlier ones wrote, and while training the gradient has a straight way back to the embedding.
# This was the idea of residual networks (He et al. 2015).
#
# <!-- go on -->
#
# The code of a block is two lines: `x = x + attn(norm1(x))`, then the same with norm2 and the MLP. Because each norm
# is *before* its layer and never on the stream, this is called **pre-norm**.
# %% [markdown] tags=["zh"]
# 除了舍入误差，和是精确的。嵌入很短（约 2），第一个注意力加上去的也很短；最后一个 block 加上去的有它们的几倍长，
# 残差流每过一个 block 就长一些。因为全是加法，后面的层仍能读到前面的层写下的东西；训练时，
# 梯度也有一条直路回到嵌入。这是残差网络的想法（He 等 2015）。
#
# <!-- go on -->
#
# 一个 block 的代码只有两行：`x = x + attn(norm1(x))`，然后用 norm2 和 MLP 再来一次。归一化放在每一层*之前*，
# 从不放在残差流上，所以叫 **pre-norm**。
# %% [markdown] tags=["en"]
# ## Two norms
#
# The stream grows, but a layer should always read numbers of the same size. **LayerNorm** subtracts the mean of the
# channels and divides by their standard deviation. **RMSNorm** only divides, by the root of the mean square. Each is
# followed by a learned gain per channel (LayerNorm often by a bias as well), both at their start, 1 and 0, here.
#
# Take a stream of two channels, (1, 7): mean 4, deviation 3, root mean square √((1 + 49) / 2) = 5.
#
# **Before you run it:** compute both norms of (1, 7). What becomes of (10, 70), and of (101, 107)?
# %% [markdown] tags=["zh"]
# ## 两种归一化
#
# 残差流越来越长，但每一层读到的数应该总是差不多大。**LayerNorm** 减去各通道的均值，再除以标准差。
# **RMSNorm** 只做除法，除以均方的平方根。之后各乘一个学到的增益，每个通道一个（LayerNorm 常常再加一个偏置）；
# 这里它们都是初值 1 和 0。
#
# 取一个两通道的残差流 (1, 7)：均值 4，标准差 3，均方根 √((1 + 49) / 2) = 5。
#
# **运行之前先猜：** 手算 (1, 7) 的两种归一化。(10, 70) 和 (101, 107) 呢？
# %%
layer_norm = Norm(GPTConfig(n_vocab=2, n_head=1, n_embd=2, norm="layer", bias=True))
rows = []
for pair in ((1.0, 7.0), (10.0, 70.0), (101.0, 107.0)):
    x = torch.tensor([pair])
    both = (layer_norm(x)[0].tolist(), rms_norm(x)[0].tolist())
    rows.append([pair, *("(" + ", ".join(f"{number:.3f}" for number in numbers) + ")" for numbers in both)])
show_table(["x", "LayerNorm", "RMSNorm"], rows)
# %% [markdown] tags=["en"]
# (-1, 1) and (0.2, 1.4). Ten times as large gives the same in both: size is forgotten, direction stays. Adding 100 to
# all channels changes nothing for LayerNorm and much for RMSNorm, which keeps the mean as one more direction. RMSNorm
# is a little cheaper and does as well in practice (Zhang and Sennrich 2019). With two channels LayerNorm leaves only
# the sign; with 128 it takes away 2 of 128 degrees of freedom.
#
# <!-- go on -->
#
# Both add a small **eps** under the root: a vector of zeros would otherwise be 0 / 0.
# %% [markdown] tags=["zh"]
# (-1, 1) 和 (0.2, 1.4)。放大十倍，两者的结果都不变：忘掉大小，留下方向。所有通道加 100，LayerNorm 不变，
# RMSNorm 变化很大，因为它把均值当作又一个方向保留下来。RMSNorm 稍微便宜一点，
# 实际效果一样好（Zhang 与 Sennrich 2019）。只有两个通道时，LayerNorm 只剩下正负号；有 128 个通道时，
# 它拿走的只是 128 个自由度中的 2 个。
#
# <!-- go on -->
#
# 两者都在根号里加一个很小的 **eps**：否则全零的向量会变成 0 / 0。
# %% [markdown] tags=["en"]
# ## Rotary positions
#
# Attention without positions sees a set, not a sequence: “dog bites man” and “man bites dog” have the same keys and
# values. **Rotary positions** (Su et al. 2021) turn queries and keys before they are compared. The channels of a head
# are taken in pairs, i with i + D/2, and at position p pair i is turned by the angle p · base^(-2i/D), base 10,000.
#
# With D = 2 there is one pair, and it turns by 1 radian a position. Query and key are both (1, 0), so the dot product
# of query at m and key at n is the cosine of the angle between them.
#
# **Before you run it:** which rows of the table are equal?
# %% [markdown] tags=["zh"]
# ## 旋转位置
#
# 没有位置的注意力看到的是集合，不是序列：“狗咬人”和“人咬狗”的键和值完全一样。
# **旋转位置**（Su 等 2021）在比较之前把查询和键转一个角度。一个头的通道两两配对，第 i 个配第 i + D/2 个；在位置 p，
# 第 i 对转 p · base^(-2i/D)，base 为 10000。
#
# D = 2 时只有一对，每走一个位置转 1 弧度。查询和键都是 (1, 0)，
# 所以位置 m 的查询与位置 n 的键的点积就是它们夹角的余弦。
#
# **运行之前先猜：** 表里哪几行的结果相等？
# %%
angles = rotary_angles(128, 2, 10_000.0)


def turned(vector, position, angles):
    x = torch.tensor(vector)[None, None, None]  # (1, 1, 1, D)
    return rotate(x, angles[position].cos(), angles[position].sin())[0, 0, 0]


rows = []
for m, n in ((0, 0), (5, 5), (2, 0), (7, 5), (102, 100), (5, 7)):
    score = turned([1.0, 0.0], m, angles) @ turned([1.0, 0.0], n, angles)
    rows.append([m, n, m - n, score.item()])
show_table([say("query at m", "查询的位置 m"), say("key at n", "键的位置 n"), "m - n", "q · k"], rows)
# %% [markdown] tags=["en"]
# Equal distances give equal scores: turning both by the same angle leaves the angle between them. (5, 7) equals (7, 5)
# only because here query and key are the same vector; in general the sign of the distance counts.
#
# <!-- go on -->
#
# One pair would be ambiguous: the cosine comes back after 2π ≈ 6.3 positions. So each pair has its own frequency, like
# the hands of a clock. The base has D = 64 channels a head, hence 32 pairs.
#
# **Before you run it:** in the left picture, how many positions does the slowest pair need for a whole turn: about
# 100, or far more than the 128 of the context? In the right one, q = k = (1, 1, …): how does the score change with
# distance?
# %% [markdown] tags=["zh"]
# 距离相等，分数就相等：两个都转同样的角度，夹角不变。(5, 7) 和 (7, 5) 相等只是因为这里查询和键是同一个向量；
# 一般来说，距离的正负是有区别的。
#
# <!-- go on -->
#
# 只有一对是不够的：余弦每过 2π ≈ 6.3 个位置就重复。所以每一对有自己的频率，好比时钟的几根指针。
# 基础模型每个头有 D = 64 个通道，也就是 32 对。
#
# **运行之前先猜：** 左图中，最慢的一对转一整圈要多少个位置：大约 100，还是远远超过上下文的 128？
# 右图中 q = k = (1, 1, …)，分数怎样随距离变化？
# %%
config = gpt.config
angles = rotary_angles(config.n_ctx, config.head_dim, config.rope_base)  # (128, 32)
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(4.6, 3.2))
draw_matrix(axes[0, 0], angles.cos().T, symmetric=True, bar=label("cosine of the angle", "角度的余弦"))
axes[0, 0].set(xlabel=label("position", "位置"), ylabel=label("pair i", "第 i 对"))
ones = [1.0] * config.head_dim
scores = [(turned(ones, m, angles) @ turned(ones, 0, angles)).item() for m in range(config.n_ctx)]
axes[0, 1].plot(scores)
axes[0, 1].set(xlabel=label("distance m - n", "距离 m - n"), ylabel="q · k", title="q = k = (1, …, 1)")
axes[0, 1].grid(alpha=0.3)
print(
    say("positions for a whole turn:", "转一整圈需要的位置数："), [round(2 * math.pi / a) for a in angles[1].tolist()]
)
show_figure(figure)
# %% [markdown] tags=["en"]
# From 6 positions to about 47,000: the fast pairs tell neighbours apart, the slow ones stay nearly as they are and can
# carry content without regard to place. The score of equal vectors falls with distance, with waves.
#
# <!-- go on -->
#
# Does “distance only” hold for the whole trained model? `gpt(ids, positions=…)` lets us choose where tokens are. We
# measure the loss on 40 documents with true positions, with all of them moved by 20, and with all tokens at position
# 0.
#
# **Before you run it:** what will the two changes do to the loss? (True positions: about 0.6 nats per token.)
# %% [markdown] tags=["zh"]
# 从 6 个位置到约 47000 个：快的几对用来区分相邻的词元，慢的几对几乎不动，可以不管位置只带内容。
# 相同向量的分数随距离下降，带有波动。
#
# <!-- go on -->
#
# “只看距离”对整个训练好的模型成立吗？`gpt(ids, positions=…)` 可以指定词元在哪个位置。我们在 40 篇文档上测损失：
# 真实位置；全部后移 20；所有词元都在位置 0。
#
# **运行之前先猜：** 这两种改动会让损失怎样变化？（真实位置：约 0.6 奈特/词元。）
# %%
texts = [torch.tensor([[tokenizer.doc, *tokenizer.encode(text)][:100]]) for text in base.documents[:40]]


@torch.no_grad()
def mean_loss(model, positions=lambda t: torch.arange(t)) -> float:
    losses = [token_losses(model(x, positions=positions(x.shape[1])[None])[:, :-1], x[:, 1:])[0] for x in texts]
    return torch.cat(losses).mean().item()


rows = [[say("true positions 0, 1, 2, …", "真实位置 0, 1, 2, …"), f"{mean_loss(gpt):.5f}"],
        [say("moved: 20, 21, 22, …", "后移：20, 21, 22, …"), f"{mean_loss(gpt, lambda t: torch.arange(t) + 20):.5f}"],
        [say("all at position 0", "全在位置 0"), f"{mean_loss(gpt, lambda t: 0 * torch.arange(t)):.5f}"]]  # fmt: skip
show_table([say("positions", "位置"), say("loss, nats per token", "损失，奈特/词元")], rows)
# %% [markdown] tags=["en"]
# Moving changes nothing but rounding. Without positions the loss is more than three times as high (about 2): the causal
# mask still tells what came before, but not in which order.
#
# <!-- go on -->
#
# GPT-2 has **learned positions** instead: an embedding for each position is added to the token's. Then position 20 has
# a different vector from position 0, and moving does matter.
# %% [markdown] tags=["zh"]
# 整体移动只带来舍入误差。没有位置时损失是三倍多（约 2）：因果掩码还能说明哪些在前面，但说不出先后次序。
#
# <!-- go on -->
#
# GPT-2 用的是**学到的位置**（learned positions）：给每个位置一个嵌入，加到词元的嵌入上；
# 那样位置 20 和位置 0 是不同的向量，移动就有影响。
# %% [markdown] tags=["en"]
# ## The MLP, and where the parameters are
#
# The **MLP** expands 128 channels to 512, applies a nonlinearity (here squared ReLU: negative numbers become 0, the others are squared)
# and narrows back to 128. Without it two matrices would be only one. It never looks at another position.
#
# **Before you run it:** V = 2,051 tokens, C = 128, three blocks; attention has four C × C matrices, the MLP two of
# C × 4C. Which part has the most parameters: embedding, attention or MLP? (The head uses the embedding's table again.)
# %% [markdown] tags=["zh"]
# ## MLP，以及参数都在哪里
#
# **MLP** 把 128 个通道扩到 512，经过非线性激活（这里用平方 ReLU：负数变成 0，其余取平方），再收回 128。没有它，
# 两个矩阵就只相当于一个。它从不看别的位置。
#
# **运行之前先猜：** V = 2051 个词元，C = 128，三个 block；注意力有四个 C × C 矩阵，MLP 有两个 C × 4C。
# 哪部分参数最多：嵌入、注意力还是 MLP？（输出层重复使用嵌入的表。）
# %%
PARTS = {"emb": say("embeddings (and head, where tied)", "嵌入（共享时包括输出层）"), "attn": say("attention", "注意力"),
         "mlp": "MLP", "norm": say("norms", "归一化"), "lm_head": say("head of its own", "单独的输出层")}  # fmt: skip


def parameters_by_part(model: GPT) -> dict[str, int]:
    counts = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():  # a tied table comes once
        counts[next(part for part in PARTS if part in name)] += parameter.numel()
    return counts


counts = parameters_by_part(gpt)
total = count_parameters(gpt)
show_table(
    [say("part", "部件"), say("parameters", "参数"), say("share", "比例")],
    [[PARTS[part], f"{n:,}", f"{n / total:.1%}"] for part, n in counts.items() if n] + [["Σ", f"{total:,}", "100%"]],
)
# %% [markdown] tags=["en"]
# 2,051 · 128 = 262,528; 3 · 4 · 128² = 196,608; 3 · 2 · 128 · 512 = 393,216; 7 gains of 128. In a block, the MLP
# has twice as many as attention (8 C² against 4 C²). The embedding's share falls as a model grows.
#
# ## End of the first sitting
#
# Remember: every layer reads a normalised copy of the stream and adds to it; rotary positions turn queries and keys so
# that only their distance counts; most parameters are in the MLPs. Next time: the same model in numpy, and what each
# layer adds.
#
# ## The forward pass, once in numpy
#
# Everything the model does, with its trained weights and without torch. Rotation is written with complex numbers
# here: a pair (a, b) is a + ib, and turning it by θ is multiplying by e^{iθ}. `QK-norm`, a choice of this framework,
# applies RMSNorm to queries and keys too. `stages` keeps the stream after each addition; `skip` leaves additions out
# (for later).
#
# **Before you run it:** read it from top to bottom and name the shape after each line. How close will its logits be to
# the framework's: equal bits, about 1e-5, or about 1e-2? (They are numbers up to about 20, in float32.)
# %% [markdown] tags=["zh"]
# 2051 · 128 = 262528；3 · 4 · 128² = 196608；3 · 2 · 128 · 512 = 393216；7 个增益，每个 128。
# 一个 block 里 MLP 的参数总是注意力的两倍（8 C² 对 4 C²）。模型越大，嵌入占的比例越小。
#
# ## 第一次课到这里
#
# 记住：每一层读取残差流归一化后的副本，再把结果加回去；旋转位置转动查询和键，使得只有距离起作用；大部分参数在 MLP 里。下一次：
# 用 numpy 写同一个模型，看每一层加了什么。
#
# ## 用 numpy 写一遍前向计算
#
# 模型所做的一切，用训练好的权重，不用 torch。这里的旋转用复数写：一对 (a, b) 就是 a + ib，转 θ 就是乘以 e^{iθ}。
# `QK-norm` 是这个框架的选择：查询和键也做一次 RMSNorm。`stages` 保存每次相加之后的残差流；
# `skip` 用来去掉某些相加（后面要用）。
#
# **运行之前先猜：** 从上往下读，说出每一行之后的形状。它的 logits 和框架的会有多接近：每一位都相同，约 1e-5，
# 还是约 1e-2？（它们是 float32，大小不超过 20 左右。）
# %%
weights = {name: parameter.detach().numpy() for name, parameter in gpt.named_parameters()}
H, D = config.n_head, config.head_dim


def unit(x):
    return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + config.norm_eps)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def turn(x):  # (H, T, D)
    frequency = config.rope_base ** (-np.arange(D // 2) / (D // 2))
    pairs = (x[..., : D // 2] + 1j * x[..., D // 2 :]) * np.exp(1j * np.outer(np.arange(x.shape[1]), frequency))
    return np.concatenate((pairs.real, pairs.imag), -1)


def head(x):  # the stream (…, C) -> logits (…, V)
    return (unit(x) * weights["norm.weight"]) @ weights["tok_emb.weight"].T


def forward(ids, skip=()):
    future = np.triu(np.ones((len(ids), len(ids)), bool), 1)
    x = weights["tok_emb.weight"][ids]  # (T,) -> (T, C)
    stages = [x]
    for i in range(config.n_layer):
        w = {part: weights[f"blocks.{i}.{part}.weight"] for part in
             ("norm1", "attn.query", "attn.key", "attn.value", "attn.out", "norm2", "mlp.up", "mlp.down")}  # fmt: skip
        h = unit(x) * w["norm1"]
        q, k, v = (
            (h @ w[f"attn.{n}"].T).reshape(-1, H, D).swapaxes(0, 1) for n in ("query", "key", "value")
        )  # (H, T, D)
        scores = turn(unit(q)) @ turn(unit(k)).swapaxes(1, 2) / D**0.5  # (H, T, T)
        mixture = softmax(np.where(future, -np.inf, scores)) @ v  # (H, T, D)
        write = mixture.swapaxes(0, 1).reshape(len(ids), H * D) @ w["attn.out"].T  # (T, C)
        x = x if f"attn {i}" in skip else x + write
        stages.append(x)
        h = unit(x) * w["norm2"]
        write = np.maximum(h @ w["mlp.up"].T, 0) ** 2 @ w["mlp.down"].T  # (T, C) -> (T, 4C) -> (T, C)
        x = x if f"mlp {i}" in skip else x + write
        stages.append(x)
    return head(x), stages


ours, stages = forward(ids)
difference = np.abs(ours - logits[0].numpy()).max()
assert difference < 1e-3
print(say("shape", "形状"), ours.shape, say("largest difference", "最大差"), f"{difference:.1e}")
# %% [markdown] tags=["en"]
# About 1e-5: the same numbers, added in another order. This *is* the language model; the rest of the framework trains
# it, feeds it and is fast.
#
# ## What each layer adds: the logit lens
#
# The stream has the same 128 channels everywhere, so the head can be applied after *any* addition: what would the
# model say if it stopped here? This is the **logit lens** (nostalgebraist 2020).
#
# **Before you run it:** the text is “Capital of Norway:”. What is the best next token when only the embedding of
# “:” has been read, and after which part does “Oslo” appear?
# %% [markdown] tags=["zh"]
# 约 1e-5：同样的数，只是相加的次序不同。这*就是*语言模型；框架其余的部分负责训练它、给它数据、让它更快。
#
# ## 每一层加了什么：logit lens
#
# 残差流处处都是同样的 128 个通道，所以输出层可以用在*任何一次*相加之后：如果到此为止，模型会说什么？
# 这叫 **logit lens**（logit 透镜，nostalgebraist 2020）。
#
# **运行之前先猜：** 文字是 “Capital of Norway:”。只读了 “:” 的嵌入时，最可能的下一个词元是什么？
# “Oslo” 在哪一部分之后出现？
# %%
NAMES = [say("embedding", "嵌入")]
for i in range(config.n_layer):
    NAMES += [say(f"+ attention {i}", f"+ 注意力 {i}"), f"+ MLP {i}"]


def name(i: int) -> str:
    return tokenizer.tokens([i])[0].replace(" ", "␣")


def readings(text: str) -> list[str]:
    shown = []
    for stage in forward([tokenizer.doc, *tokenizer.encode(text)])[1]:
        shares = softmax(head(stage[-1]))
        shown.append(" · ".join(f"{name(i)} {shares[i]:.2f}" for i in np.argsort(-shares)[:3]))
    return shown


sentences = ("Capital of Norway:", "台湾最高的山：")
show_table([say("after", "之后"), *sentences], list(zip(NAMES, *map(readings, sentences), strict=True)))
# %% [markdown] tags=["en"]
# At the start the token itself is the best guess: head and embedding share one table, and a vector is most like
# itself. Each part moves the guess. The answers come late, and not both at once: in our run 玉 leads from block 1 on,
# and the first piece of “Oslo” (“␣O”) only after the last MLP.
#
# <!-- go on -->
#
# Is this so for all places? **The measurement:** for each place with a capital in the world, in both languages, the
# probability of the right capital's first token after each part, and the probability at the end when this one
# addition is left out.
#
# **Before you run it:** leaving out one of six additions: does the model break down, or hardly notice?
# %% [markdown] tags=["zh"]
# 一开始最可能的是词元自己：输出层和嵌入用同一张表，而向量和自己最像。每一部分都在移动这个猜测。
# 答案来得晚，而且不是同时来的：我们这次运行里，“玉”从 block 1 起领先，“Oslo” 的第一段 “␣O”
# 到最后的 MLP 之后才领先。
#
# <!-- go on -->
#
# 所有地方都这样吗？**测量：** 对这个世界里每个有首都的地方，用两种语言，测正确首都的第一个词元在每一部分之后的概率，
# 以及去掉这一次相加时最后的概率。
#
# **运行之前先猜：** 六次相加去掉一次：模型会垮掉，还是几乎没感觉？
# %%
from minillm.world.tables import load_world

PATTERNS = {"en": ("Capital of {}:", " {}"), "zh": ("{}的首都：", "{}")}
after: dict[str, list] = {"en": [], "zh": []}
without: dict[str, list] = {"en": [], "zh": []}
for place in load_world().places:
    for language, (pattern, answer) in PATTERNS.items():
        capital = place.value("capital", language)
        if capital is None:
            continue
        right = tokenizer.encode(answer.format(capital))[0]
        text = [tokenizer.doc, *tokenizer.encode(pattern.format(place.names[language]))]
        after[language].append([softmax(head(x[-1]))[right] for x in forward(text)[1]])
        parts = [f"{kind} {i}" for i in range(config.n_layer) for kind in ("attn", "mlp")]
        without[language].append([softmax(forward(text, (part,))[0][-1])[right] for part in parts])
rows = []
for i, name in enumerate(NAMES):
    left_out = [f"{np.mean(without[x], 0)[i - 1]:.2f}" if i else "" for x in PATTERNS]
    rows.append([name, *(f"{np.mean(after[x], 0)[i]:.2f}" for x in PATTERNS), *left_out])
show_table([say(f"{len(after['en'])} places", f"{len(after['en'])} 个地方"),
            say("English: after it", "英文：之后"), say("Chinese: after it", "中文：之后"),
            say("English: without it", "英文：去掉它"), say("Chinese: without it", "中文：去掉它")], rows)  # fmt: skip
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(6.0, 3.2))
for language, name in (("en", label("English", "英文")), ("zh", label("Chinese", "中文"))):
    mean = np.mean(after[language], 0)
    error = np.std(after[language], 0) / len(after[language]) ** 0.5
    axes[0, 0].errorbar(range(len(NAMES)), mean, error, marker="o", capsize=3, label=name)
names = [label("embedding", "嵌入")]
for i in range(config.n_layer):
    names += [label(f"attn {i}", f"注意力 {i}"), f"MLP {i}"]
axes[0, 0].set_xticks(range(len(names)), names, fontsize=8)
axes[0, 0].set(ylabel=label("probability of the right token", "正确词元的概率"), ylim=(0, 1))
axes[0, 0].grid(alpha=0.3)
axes[0, 0].legend()
show_figure(figure)
# %% [markdown] tags=["en"]
# (The bars are one standard error over the places.) In block 0 the right token is hardly to be seen, after block 1 it has
# 0.1 to 0.3. The last attention lifts it to about 0.4 in Chinese and 0.7 in English, the last MLP to about 0.9. Another base gives other numbers;
# look whether most of the rise comes at the end there too.
#
# Leaving out MLP 0 ruins it, leaving out MLP 1 costs little. Look for rows in which the two languages differ: in our
# run, without attention 0 English lost nearly all of its probability and Chinese kept about half; without attention 2
# Chinese lost more than English. One language would have told half of the story. And two things have to be told apart: the
# logit lens says *when the answer can be read off*, leaving out says *what is needed*. MLP 0 writes nothing readable
# and cannot be spared: what it writes is read by later layers, not by the head.
# %% [markdown] tags=["zh"]
# （竖线是对各个地方的一个标准误。）block 0 里几乎看不到正确的词元，block 1 之后是 0.1 到 0.3。最后的注意力把它提到
# 约 0.4（中文）和 0.7（英文），最后的 MLP 提到约 0.9。换一个基础模型，数字会不同；看看那里是不是也主要在最后上升。
#
# 去掉 MLP 0 就全毁了，去掉 MLP 1 损失很小。找一找两种语言不一样的那几行：我们这次运行里，
# 去掉注意力 0，英文的概率几乎全没了，中文还保留大约一半；去掉注意力 2，中文损失得比英文多。只看一种语言，就只看到一半。
# 还要分清两件事：logit lens 说的是*什么时候能读出答案*，去掉一部分说的是*哪部分必不可少*。
# MLP 0 写的东西读不出答案，却不能少：它是写给后面的层读的，不是写给输出层的。
# %% [markdown] tags=["en"]
# ## Causality
#
# Every position predicts its next token at once, so none may see a later one (lesson 3). Does this hold for the whole
# model? We replace one token at a time and look at which positions' logits change.
#
# **Before you run it:** draw the picture. Is the diagonal (the changed position's own logits) dark?
# %% [markdown] tags=["zh"]
# ## 因果性
#
# 所有位置同时预测自己的下一个词元，所以谁也不能看到后面的词元（第 3 课）。整个模型都遵守吗？我们每次换掉一个词元，
# 看哪些位置的 logits 变了。
#
# **运行之前先猜：** 画出这张图。对角线（被换的位置自己的 logits）是深色吗？
# %%
other = tokenizer.encode(" Chile")[0]
changes = np.zeros((len(ids), len(ids)))
with torch.no_grad():
    for t in range(len(ids)):
        edited = [other if i == t else token for i, token in enumerate(ids)]
        changes[t] = (gpt(torch.tensor([edited])) - logits).abs().amax(-1)[0]
words = ["[DOC]", *tokenizer.tokens(ids[1:])]
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(4.4, 3.8))
draw_matrix(axes[0, 0], changes, words, words, bar=label("largest change of a logit", "logit 的最大变化"))
axes[0, 0].set(ylabel=label("token replaced", "被换掉的词元"), xlabel=label("logits at", "哪个位置的 logits"))
print(say("largest change before the replaced token:", "被换词元之前的最大变化："), f"{np.tril(changes, -1).max():.1e}")
show_figure(figure)
# %% [markdown] tags=["en"]
# Rows are the replaced tokens: left of the diagonal all is exactly 0. That is what makes training cheap (one pass
# gives a prediction at each position) and the cache of lesson 5 right (what earlier positions computed stays valid).
#
# ## The first loss
#
# A GPT with random weights knows nothing. The weights are drawn small (deviation 0.02), so all logits are near 0 and
# all 2,051 tokens about equally probable.
#
# **Before you run it:** what is its loss in nats per token? And what would a first loss of 12 tell you?
# %% [markdown] tags=["zh"]
# 行是被换掉的词元：对角线左边全部恰好是 0。训练因此便宜（一遍就在每个位置得到一个预测），
# 第 5 课的缓存也因此正确（前面位置算过的东西一直有效）。
#
# ## 最初的损失
#
# 权重随机的 GPT 什么都不知道。权重取得很小（标准差 0.02），所以所有 logits 都接近 0，2051 个词元的概率差不多相等。
#
# **运行之前先猜：** 它的损失是多少奈特/词元？如果最初的损失是 12，说明什么？
# %%
losses = [mean_loss(GPT(config, seed)) for seed in range(5)]
print(
    say("five seeds:", "五个种子："),
    [round(loss, 3) for loss in losses],
    f"ln {config.n_vocab} =",
    round(math.log(config.n_vocab), 3),
)
print(say("the trained base:", "训练好的基础模型："), round(mean_loss(gpt), 3))
# %% [markdown] tags=["en"]
# ln(2,051) = 7.626, and the seeds lie 0.01 to 0.04 above it (random logits are a little worse than equal ones). A first
# loss far above ln(n_vocab) says that the start is confidently wrong: weights too large, or labels that do not fit.
# It is the cheapest test of a training run there is.
#
# ## GPT-2 and LLaMA: two settings
#
# Both are the lines you have read, with other choices. `torch.device("meta")` makes tensors with a shape and no
# memory, so that even the 7-billion model can be counted.
#
# **Before you run it:** GPT-2 small has 12 blocks of C = 768 and V = 50,257. Estimate its parameters: 12 C² a block,
# plus the embedding.
# %% [markdown] tags=["zh"]
# ln(2051) = 7.626，各个种子高出 0.01 到 0.04（随机的 logits 比全相等的稍差）。如果最初的损失远高于 ln(n_vocab)，
# 说明模型一开始就自信地错了：权重太大，或者标签对不上。这是训练中最便宜的一项检查。
#
# ## GPT-2 和 LLaMA：两组设置
#
# 它们就是你读过的这些代码，只是选择不同。`torch.device("meta")` 造出只有形状、不占内存的张量，
# 所以连 70 亿参数的模型也能数。
#
# **运行之前先猜：** GPT-2 small 有 12 个 block，C = 768，V = 50257。估计它的参数：每个 block 12 C²，再加上嵌入。
# %%
models = {}
for name, one in (("minillm", config), ("GPT-2", gpt2_config()), ("LLaMA 7B", llama_config())):
    with torch.device("meta"):
        models[name] = GPT(one)
choices = {
    "position": say("positions", "位置"),
    "norm": say("norm", "归一化"),
    "activation": say("nonlinearity of the MLP", "MLP 的非线性"),
    "bias": say("biases", "偏置"),
    "tied": say("head shares the table", "输出层共享嵌入"),
    "qk_norm": "QK-norm",
    "n_layer": say("blocks", "block 数"),
    "n_embd": say("channels C", "通道 C"),
    "n_vocab": say("vocabulary V", "词表 V"),
}
rows = [[name, *(str(getattr(m.config, field)) for m in models.values())] for field, name in choices.items()]
parts = {name: parameters_by_part(model) for name, model in models.items()}
rows += [[PARTS[part], *(f"{parts[name][part]:,}" for name in models)] for part in PARTS]
rows.append(["Σ", *(f"{count_parameters(model):,}" for model in models.values())])
show_table([say("choice", "选择"), *models], rows)
# %% [markdown] tags=["en"]
# 12 · 12 · 768² ≈ 85 million, plus 38.6 million for the token table: 124 million with positions and norms (the paper
# says 117 million; OpenAI corrected this later). In LLaMA 7B the two tables are only 4 % of 6.7 billion. Its SwiGLU
# has three matrices of C × 8/3 C in place of two of C × 4C.
#
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | next token = f(unfinished sentence), f with parameters a, b, c, … | f in fewer than forty lines of numpy, with 853,248 parameters |
# | pretraining finds the parameters that hold the knowledge (使用预训练模型参数) | the same f with random weights: a loss of 7.6 instead of 0.6 |
# | an adapter (LoRA) adds a little to parameters that stay as they are | every layer itself only adds to the stream; lesson 8 adds to its matrices |
#
# ## To discuss in class
#
# 1. Post-norm, `norm(x + layer(x))`, is what the first Transformer used. Write down the derivative of the output with
#    respect to x for both forms through 24 blocks. Which factor does pre-norm keep? (A good answer finds the term 1,
#    the straight way back; sees that post-norm puts a norm's derivative in each step; and mentions that post-norm
#    needs a careful warm-up.)
# 2. In the logit lens the answer mostly appears in the last block. Does this prove that the first blocks do not know
#    it? (A good answer separates *stored in a form the head can read* from *stored*; proposes to train a small
#    read-out for each block; and uses the column “without it” as evidence.)
#
# ## Homework
#
# `layer_norm`, `rms_norm`, `rotary_angles`, `rotate`, `block`. Write them in the cells below, or in
# `lessons/04_gpt/homework.py`, which is what you hand in. `check("rotate")` says at once which idea goes wrong,
# `hint("rotate")` helps in three steps, `reset("rotate")` begins anew, `progress()` shows how far you are. In a
# terminal `python -m minillm homework 4` grades the file, `python -m minillm homework 4 --watch` does so whenever you
# save it.
#
# ## References
#
# - K. He et al. 2015, *Deep Residual Learning for Image Recognition*, arXiv 1512.03385.
# - J. L. Ba, J. R. Kiros, G. E. Hinton 2016, *Layer Normalization*, arXiv 1607.06450.
# - B. Zhang, R. Sennrich 2019, *Root Mean Square Layer Normalization*, arXiv 1910.07467.
# - R. Xiong et al. 2020, *On Layer Normalization in the Transformer Architecture*, arXiv 2002.04745 (pre- and
#   post-norm).
# - J. Su et al. 2021, *RoFormer: Enhanced Transformer with Rotary Position Embedding*, arXiv 2104.09864.
# - A. Radford et al. 2019, *Language Models are Unsupervised Multitask Learners* (GPT-2).
# - H. Touvron et al. 2023, *LLaMA: Open and Efficient Foundation Language Models*, arXiv 2302.13971.
# - nostalgebraist 2020, *interpreting GPT: the logit lens*, LessWrong.
# %% [markdown] tags=["zh"]
# 12 · 12 · 768² ≈ 8500 万，加上词元表的 3860 万：连同位置和归一化是 1.24 亿（论文里写的是 1.17 亿，
# OpenAI 后来作了更正）。LLaMA 7B 的两张表只占 67 亿的 4 %。它的 SwiGLU 用三个 C × 8/3 C 的矩阵，
# 代替两个 C × 4C 的矩阵。
#
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 下一个词元 = f(未完成的句子)，f 有参数 a、b、c…… | 不到四十行 numpy 写出 f，853248 个参数 |
# | 使用预训练模型参数：预训练找到装着知识的参数 | 同一个 f，权重随机时损失是 7.6，而不是 0.6 |
# | Adapter（LoRA）在不动的参数上加一点东西 | 每一层本来就只是往残差流上加；第 8 课往它的矩阵上加 |
#
# ## 课堂讨论
#
# 1. 最初的 Transformer 用 post-norm，即 `norm(x + layer(x))`。对两种形式，写出经过 24 个 block 之后输出对 x 的导数。
#    pre-norm 保住了哪一项？（好的回答会找到那个 1，也就是直路；会看到 post-norm 每一步都乘上归一化的导数；
#    会提到 post-norm 需要小心的预热。）
# 2. logit lens 里答案大多到最后一个 block 才出现。这能证明前面的 block 不知道答案吗？
#    （好的回答会区分*以输出层能读的形式存着*和*存着*；会提议给每个 block 训练一个小的读出层；
#    会用“去掉它”那两列作证据。）
#
# ## 作业
#
# `layer_norm`、`rms_norm`、`rotary_angles`、`rotate`、`block`。写在下面的单元格里，或者写在
# `lessons/04_gpt/homework.py` 里，最后交的是这个文件。`check("rotate")` 马上告诉你是哪个想法错了，`hint("rotate")` 分三
# 步提示，`reset("rotate")` 恢复原样，`progress()` 显示你的进度。在终端里，`python -m minillm homework 4` 批改这个文件，
# `python -m minillm homework 4 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - K. He 等 2015，*Deep Residual Learning for Image Recognition*，arXiv 1512.03385。
# - J. L. Ba, J. R. Kiros, G. E. Hinton 2016，*Layer Normalization*，arXiv 1607.06450。
# - B. Zhang, R. Sennrich 2019，*Root Mean Square Layer Normalization*，arXiv 1910.07467。
# - R. Xiong 等 2020，*On Layer Normalization in the Transformer Architecture*，
#   arXiv 2002.04745（pre-norm 与 post-norm）。
# - J. Su 等 2021，*RoFormer: Enhanced Transformer with Rotary Position Embedding*，arXiv 2104.09864。
# - A. Radford 等 2019，*Language Models are Unsupervised Multitask Learners*（GPT-2）。
# - H. Touvron 等 2023，*LLaMA: Open and Efficient Foundation Language Models*，arXiv 2302.13971。
# - nostalgebraist 2020，*interpreting GPT: the logit lens*，LessWrong。
