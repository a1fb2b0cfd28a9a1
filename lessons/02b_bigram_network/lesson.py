# %% [markdown] tags=["en"]
# # 2b A bigram network
#
# Lesson 1 counted which token follows which. Here a network *learns* the same from the gradient of its loss. It is the
# smallest language model that is trained as the large ones are, and every part of it comes back in lessons 3 to 6.
#
# After this lesson you can
# - say what the parameters, the **logits** and a **batch** of shape (B, T) of a language model are;
# - derive the gradient of the cross-entropy: the probabilities, minus 1 at the target;
# - train the network, and show that it arrives at the counts;
# - say what an **embedding**, a **channel** and a **hidden state** are.
# %% [markdown] tags=["zh"]
# # 2b 二元网络
#
# 第 1 课数出了哪个词元后面跟哪个。这里让一个网络根据损失的梯度把同样的东西*学*出来。它是用大模型的方式训练出来的最小的语言
# 模型，它的每个部分在第 3 到第 6 课都会再出现。
#
# 学完这一课，你能够
# - 说出语言模型的参数、**logits** 和形状为 (B, T) 的**批次**（batch）是什么；
# - 推出交叉熵的梯度：概率，在目标处减 1；
# - 训练这个网络，并说明它学到的就是计数；
# - 说出**嵌入（embedding）**、**通道（channel）**、**隐藏状态**（hidden state）是什么。
# %%
import torch
import torch.nn.functional as F

from minillm.classroom.lesson_tools import draw_matrix, label, say, show_figure, show_table
from minillm.plumbing import plots

# %% [markdown] tags=["en"]
# ## A table of logits
#
# The model has one parameter for every pair of tokens: a table (V, V), where V is the number of tokens. Row i holds the
# **logits** of what follows token i, scores of any size; softmax turns them into probabilities (lesson 1).
#
# Texts are read in a **batch**: B rows of T tokens each, ids of shape (B, T). Every position has an input and a
# **target**, the token that follows. So the text itself holds all the answers. `F.cross_entropy` is lesson 1's loss.
#
# **Before you run it:** all logits are 0 at the beginning. What is the loss, with V tokens to choose from?
# %% [markdown] tags=["zh"]
# ## 一张 logits 表
#
# 模型为每一对词元准备一个参数：一张 (V, V) 的表，V 是词元的种数。第 i 行是词元 i 之后各个词元的 **logits**，大小不限的分数；
# softmax 把它们变成概率（第 1 课）。
#
# 文本按**批次**读入：B 行，每行 T 个词元，id 的形状是 (B, T)。每个位置都有一个输入和一个**目标**（target），即下一个词元。
# 所以所有问题的答案就在文本里。`F.cross_entropy` 就是第 1 课的损失。
#
# **运行之前先猜：** 开始时所有 logits 都是 0。在 V 个词元里选，损失是多少？
# %%
text = say("Yushan is high. Fuji is high. Yushan is near. ", "玉山高。富士山高。玉山近。")
characters = sorted(set(text))
ids = torch.tensor([characters.index(c) for c in text])  # (N + 1,)
inputs, targets = ids[:-1], ids[1:]  # (N,) each: a batch of one row
V = len(characters)

table = torch.zeros(V, V)
logits = table[inputs]  # (N, V): at each position the row of its token
print("V =", V, " log V =", round(torch.tensor(V).log().item(), 3))
print(say("loss:", "损失："), round(F.cross_entropy(logits, targets).item(), 3))
# %% [markdown] tags=["en"]
# log V: equal logits are a guess among V. A model that has read nothing begins near log V; if the first loss of a run is
# far above that, something is wrong with the initial weights.
#
# ## The gradient of the loss
#
# At one position the loss is -log softmax(logits)[target]. With p = softmax(logits), its derivative with respect to logit j is
#
# p[j] - 1 if j is the target, else p[j].
#
# (Why: the loss is log Σ exp(logits) - logits[target]; the derivative of the first part is p[j], that of the second is -1
# at the target.) A step against the gradient raises the target's logit and lowers each of the others in proportion to its
# probability. Once p is right on average, the pushes cancel out, and learning stops by itself.
#
# **Before you run it:** in each row of the gradient, what do the V numbers add up to?
# %% [markdown] tags=["zh"]
# 是 log V：logits 全相等，就是在 V 个里瞎猜。什么都没读过的模型从 log V 附近开始；如果第一个损失比它大很多，说明初始权重有
# 问题。
#
# ## 损失的梯度
#
# 在一个位置上，损失是 -log softmax(logits)[target]。记 p = softmax(logits)，它对第 j 个 logit 的导数是
#
# j 是目标时 p[j] - 1，否则 p[j]。
#
# （原因：损失是 log Σ exp(logits) - logits[target]；前一项的导数是 p[j]，后一项在目标处是 -1。）
# 逆着梯度走一步，目标的 logit 上升，其他的都下降，模型给它的概率越大就降得越多。等到 p 平均起来对了，各处的推力互相抵消，学习
# 自己就停了。
#
# **运行之前先猜：** 梯度的每一行里，V 个数加起来是多少？
# %%
leaf = torch.zeros(len(inputs), V, requires_grad=True)
F.cross_entropy(leaf, targets).backward()

by_hand = leaf.detach().softmax(-1)  # (N, V)
by_hand[torch.arange(len(targets)), targets] -= 1
by_hand /= len(targets)
difference = (by_hand - leaf.grad).abs().max().item()
print(say("difference from autograd:", "与自动求导的差："), f"{difference:.0e}")
print(say("sum of a row:", "一行之和："), f"{by_hand[0].sum().abs().item():.0e}")
# %% [markdown] tags=["en"]
# 0: what the target gains, the others lose. The gradient by hand equals that of autograd, up to rounding.
#
# ## Training
#
# The loop of lesson 0: logits, loss, gradient, step. A token that occurs in several places collects the gradients of all of
# them. `torch.autograd.grad` returns the gradient that `backward()` would leave in `.grad`; the step itself is not to be
# recorded, hence `torch.no_grad()`.
#
# **Before you run it:** what does the model say after “h” in the end? Compare with the counts as in lesson 1. Can
# the loss reach 0?
# %% [markdown] tags=["zh"]
# 是 0：目标得到多少，其余的就失去多少。手算和自动求导一致，只差舍入。
#
# ## 训练
#
# 就是第 0 课的循环：logits、损失、梯度、走一步。一个词元出现在几处，就收集各处的梯度。`torch.autograd.grad` 返回的就是
# `backward()` 会放进 `.grad` 的梯度；走的那一步不该被记录，所以用 `torch.no_grad()`。
#
# **运行之前先猜：** 最后模型在“山”之后会说什么？像第 1 课那样数一数，比一比。损失能到 0 吗？
# %%
table = torch.zeros(V, V, requires_grad=True)
losses = []
for _ in range(300):
    loss = F.cross_entropy(table[inputs], targets)
    (gradient,) = torch.autograd.grad(loss, table)  # (V, V)
    with torch.no_grad():
        table -= 10.0 * gradient
    losses.append(loss.item())
# %%
counts = torch.zeros(V, V)
for one, following in zip(inputs, targets, strict=True):
    counts[one, following] += 1
frequencies = counts / counts.sum(-1, keepdim=True).clamp(min=1)  # (V, V)
best = F.nll_loss((frequencies[inputs] + 1e-9).log(), targets).item()
print(say("loss at steps 1, 10, 300:", "第 1、10、300 步的损失："), [round(losses[i], 3) for i in (0, 9, 299)])
print(say("loss of the counts:", "计数的损失："), round(best, 3))
row = characters.index(say("h", "山"))
learned = table[row].softmax(-1)
show_table(
    [say("after “h”", "“山”之后"), say("counted", "数出来的"), say("learned", "学到的")],
    [[characters[j], frequencies[row, j].item(), learned[j].item()] for j in range(V) if counts[row, j]],
)
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(4.0, 3.6))
for axis, values, title in (
    (axes[0, 0], frequencies, label("counted", "数出来的")),
    (axes[0, 1], table.detach().softmax(-1), label("learned", "学到的")),
):
    draw_matrix(axis, values, characters, characters, title)
    axis.set(ylabel=label("token", "词元"), xlabel=label("next token", "下一个词元"))
figure.colorbar(axes[0, 1].images[0], ax=axes[0, 1], label=label("probability", "概率"), shrink=0.8)
show_figure(figure)


# %% [markdown] tags=["en"]
# The network arrives at the frequencies: the same model, found in another way. The loss cannot reach 0, since the same
# token is followed by different ones; the loss of the counts is the lowest possible. (The row of a token that nothing
# follows stays as it was: no gradient ever reaches it.)
#
# <!-- go on -->
#
# Why a network, then? A table for contexts of two tokens has V³ entries, of three V⁴, and nearly all are never seen. A
# network can *share*: what it learns of one context it uses in similar ones.
#
# ## Embeddings
#
# The first kind of sharing: give each token a vector of C numbers, its **embedding**. A second matrix turns it into
# logits: (V, C) @ (C, V). The C numbers are called **channels**, the vector at a position is its **hidden state**. With C
# smaller than V, tokens must share: those that are followed by the same tokens get similar vectors.
#
# **Before you run it:** with C = 2 the model has 2·V·C parameters. How much worse than the full table will it be?
# %% [markdown] tags=["zh"]
# 网络走到了频率那里：同一个模型，换一条路找到的。损失到不了 0，因为同一个词元后面会跟不同的词元；最低值就是计数的损失。（后面
# 什么都没跟过的词元，它那一行不会变：从来没有梯度到过那里。）
#
# <!-- go on -->
#
# 那为什么要用网络？上文是两个词元时，表有 V³ 项，三个时 V⁴ 项，几乎全都没见过。网络可以*共享*：在一种上文里学到的，用到相似的
# 上文里。
#
# ## 嵌入
#
# 第一种共享：给每个词元一个由 C 个数组成的向量，叫它的**嵌入**。另一个矩阵再把它变成 logits：(V, C) @ (C, V)。这 C 个数叫
# **通道**，一个位置上的向量叫它的**隐藏状态**。C 比 V 小，词元就必须共享：后面跟同样词元的，向量也相似。
#
# **运行之前先猜：** C = 2 时模型有 2·V·C 个参数。它比整张表差多少？
# %%
def train(C, steps=2000):
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(V, C, generator=generator, requires_grad=True)
    head = torch.zeros(C, V, requires_grad=True)
    for _ in range(steps):
        hidden = embedding[inputs]  # (N, C)
        loss = F.cross_entropy(hidden @ head, targets)
        gradients = torch.autograd.grad(loss, (embedding, head))
        with torch.no_grad():
            for parameter, gradient in zip((embedding, head), gradients, strict=True):
                parameter -= 2.0 * gradient
    return loss.item()


rows = [[C, 2 * V * C, train(C)] for C in (1, 2, 4)]
rows.append([say("full table", "整张表"), V * V, losses[-1]])
show_table(["C", say("parameters", "参数"), say("loss", "损失")], rows)
# %% [markdown] tags=["en"]
# With two channels the loss is 1.03, with the full table 0.76; four channels do as well as the table, with 112 parameters
# instead of 196. Our GPT has V = 2050 and C = 128: 262,000 numbers instead of four million.
#
# <!-- go on -->
#
# What is still missing: this model sees *one* token. Lesson 3 lets a position read the others.
#
# ## To discuss in class
#
# 1. When do counting and the gradient lead to different models? (A good answer: with few steps, with few channels, with
#    a penalty on large weights; then the network gives some probability to pairs whose count is 0.)
# 2. Could one write down the best table without training? And the best embedding of two channels? (A good answer: yes, the
#    logarithms of the frequencies; no, there is no formula, one has to descend.)
#
# ## Homework
#
# `bigram_logits`, `logits_gradient`, `train_step`. Write them in the cells below, or in
# `lessons/02b_bigram_network/homework.py`, which is what you hand in. `check("train_step")` says at once which idea goes
# wrong, `hint("train_step")` helps in three steps, `reset("train_step")` begins anew, `progress()` shows how far you are.
# In a terminal `python -m minillm homework 2b` grades the file, `python -m minillm homework 2b --watch` does so whenever
# you save it.
#
# ## References
#
# - Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin 2003, *A Neural Probabilistic Language Model*, JMLR 3.
# - A. Karpathy 2022, *makemore*: a bigram model by counting and by gradient.
# %% [markdown] tags=["zh"]
# 两个通道就和整张表一样好，参数是 28 个而不是 49 个；一个通道不够。我们的 GPT 是 V = 2050、C = 128：用 26 万个数代替四百万个。
#
# <!-- go on -->
#
# 还缺什么：这个模型只看*一个*词元。第 3 课让一个位置读取其他位置。
#
# ## 课堂讨论
#
# 1. 在什么情况下，计数和梯度会得到不同的模型？（好的回答：步数少、通道少、对大权重有惩罚时；这时网络会给计数为 0 的对
#    也留一点概率。）
# 2. 不训练，能直接写出最好的表吗？两个通道的嵌入呢？（好的回答：能，取频率的对数；不能，没有公式，只能一步步下降。）
#
# ## 作业
#
# `bigram_logits`、`logits_gradient`、`train_step`。写在下面的单元格里，或者写在 `lessons/02b_bigram_network/homework.py`
# 里，最后交的是这个文件。`check("train_step")` 马上告诉你是哪个想法错了，`hint("train_step")` 分三步提示，
# `reset("train_step")` 恢复原样，`progress()` 显示你的进度。在终端里，`python -m minillm homework 2b` 批改这个文件，
# `python -m minillm homework 2b --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin 2003，*A Neural Probabilistic Language Model*，JMLR 3。
# - A. Karpathy 2022，*makemore*：用计数和用梯度得到二元模型。
