# %% [markdown] tags=["en"]
# # 1 Next-token prediction by counting
#
# [The lecture][lecture] calls what a language model does 文字接龙, a word chain: from an unfinished sentence, say what
# comes next, append it, and ask again. Stage 1 is learning this from text alone: “第一阶段：自我学习，累积实力”
# (teach yourself, gather strength). A **token** is the unit of this game: here a word or a character. The simplest way to
# learn it needs no neural network: count.
#
# After this lesson you can
# - build a model that predicts the next token by counting **n-grams**, and let it write;
# - measure how good it is on text it has not seen, in nats per token, as **perplexity** and in **bits per byte**;
# - say why longer contexts help only up to a point, and why such a model cannot answer a question.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 1 用计数做文字接龙
#
# [课上][lecture]说，语言模型做的事就是**文字接龙**（next-token prediction）：给它一个未完成的句子，它说出接下来的词
# 元（token），接到句子后面，再问一次。第一阶段就是只从文本里学这件事：“第一阶段：自我学习，累积实力。”最简单的学法
# 不需要神经网络：数数。
#
# 学完这一课，你能够
# - 用 **n 元组（n-gram）** 的计数做一个预测下一个词元的模型，并让它写文章；
# - 在没见过的文本上衡量它的好坏：每词元奈特数（nat）、**困惑度（perplexity）**、**每字节比特数**（bits per byte）；
# - 说出为什么上文变长只在一定范围内有用，为什么这样的模型回答不了问题。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import math
import random

import torch

from minillm.classroom.lesson_tools import label, say, show_figure, show_table, show_tokens
from minillm.homework.lessons.l01_losses import cross_entropy
from minillm.homework.lessons.l01_ngrams import count_ngrams, next_token_probabilities, smooth
from minillm.plumbing import plots
from minillm.world.tables import load_world
from minillm.world.text import Writer

# %% [markdown] tags=["en"]
# Four of the imported functions are your homework. Here they are called, not explained line by line; write your own
# before you read the project's.
#
# ## Counting
#
# An **n-gram** is a run of n neighbouring tokens. Its first n - 1 tokens are the **context**, its last one is the
# **next token**. With n = 2 the model looks at one token, with n = 1 at none. Our tokens are words here; from the real
# text on they are single characters (lesson 2 makes better ones).
#
# **Before you run it:** count by hand. What follows “is”, how often? What follows “Yushan is”?
# %% [markdown] tags=["zh"]
# 导入的函数里有四个是你的作业。这里只调用它们，不逐行讲解；请先写出自己的，再去看项目里的实现。
#
# ## 数一数
#
# **n 元组**是 n 个相邻的词元。前 n - 1 个是**上文**（context），最后一个是**下一个词元**。n = 2 时模型看前面一个词元，
# n = 1 时什么都不看。这一课里一个字符就是一个词元（第 2 课会做出更好的词元）。
#
# **运行之前先猜：** 先用手数。“山”后面是什么，各几次？“玉山”后面呢？
# %%
tiny = say("Yushan is high . Fuji is high . Yushan is near .".split(), list("玉山高。富士山高。玉山近。"))
tables = [count_ngrams(tiny, n) for n in (1, 2, 3)]  # tables[k]: contexts of k tokens
rows = [[k + 1, " ".join(context), str(counts)] for k in (1, 2) for context, counts in tables[k].items()]
show_table(["n", say("context", "上文"), say("what followed, how often", "后面出现过什么，几次")], rows)
# %% [markdown] tags=["en"]
# “is” was followed by “high” twice and “near” once: the model says 2/3 and 1/3. “Yushan is” was followed by each
# once: 1/2 and 1/2. The longer context is more precise and has been seen less often. This trade-off is the subject of this
# lesson.
#
# ## Contexts never seen: back-off
#
# **Before you run it:** the text says nothing about Zugspitze. What should a model with n = 3 say after
# “Zugspitze is”?
# %% [markdown] tags=["zh"]
# “山”后面有两次“高”、一次“近”：模型给出 2/3 和 1/3。“玉山”后面各一次：1/2 和 1/2。上文越长越精确，见过的次数也越少。
# 这一课讲的就是这个取舍。
#
# ## 没见过的上文：回退
#
# **运行之前先猜：** 文本里没有提到泰山。n = 3 的模型看到“泰山”之后该说什么？
# %%
for context in say((["Yushan", "is"], ["Zugspitze", "is"], ["Zugspitze"]), (["玉", "山"], ["泰", "山"], ["泰"])):
    shown = {token: round(p, 2) for token, p in next_token_probabilities(tables, context).items()}
    print(" ".join(context), "→", shown)
# %% [markdown] tags=["en"]
# “Zugspitze is” was never seen, but “is” was: 2/3 and 1/3. “Zugspitze” alone was not seen either; what remains are the
# frequencies of all tokens.
#
# <!-- go on -->
#
# This is **back-off**: take the longest end of the context that was seen.
#
# Now for real amounts of text. `Writer` writes documents from the tables of this project's small world (64 places, their
# capitals, mountains, rivers, …). Its random choices follow from a number, the **seed**: the same seed, the same documents.
# We take facts, and in every fifth document questions without answers. Documents are separated by a line break.
#
# **Before you run it:** English has about 65 characters here, Chinese about 340. In which language will more of the
# contexts of three characters in a *new* text be ones that the model has already seen?
# %% [markdown] tags=["zh"]
# “泰山”没见过，“山”见过：2/3 和 1/3。单独的“泰”也没见过，那就只剩下所有词元各自的频率。
#
# <!-- go on -->
#
# 这叫**回退**（back-off）：取上文结尾里见过的最长的一段。
#
# 现在来真的。`Writer` 根据这个项目的小世界（64 个地方，以及它们的首都、山、河……）写文档。它的随机选择由一个数决定，叫
# **种子（seed）**：种子相同，文档就相同。我们取陈述事实的文档，每五篇里有一篇全是没有答案的问题。文档之间用换行隔开。
#
# **运行之前先猜：** 这里英文大约有 65 种字符，中文大约有 340 种。在一段*新*文本里，三个字符的上文有多大比例是模型见过的？
# 哪种语言的比例高？
# %%
world = load_world()


def tokens_of(language: str, count: int, seed: int) -> list[str]:
    """The characters of `count` documents."""
    writer = Writer(world, seed)
    documents = [writer.questions(language) if i % 5 == 4 else writer.three_facts(language) for i in range(count)]
    return [character for document in documents for character in ["\n", *document]] + ["\n"]


LANGUAGES = {"en": say("English", "英文"), "zh": say("Chinese", "中文")}
train = {one: tokens_of(one, 200, seed=1) for one in LANGUAGES}
held_out = {one: tokens_of(one, 50, seed=1001) for one in LANGUAGES}
counted = {one: [count_ngrams(train[one], n) for n in range(1, 9)] for one in LANGUAGES}
print("".join(train["en"][:150]), "".join(train["zh"][:90]), sep="\n")
# %% tags=["fold"]
rows = []
for one, name in LANGUAGES.items():
    new = held_out[one]
    for k in range(5):
        seen = sum(tuple(new[i : i + k]) in counted[one][k] for i in range(len(new) - k)) / (len(new) - k)
        rows.append([name, len(train[one]), k + 1, len(counted[one][k]), seen])
head = [say("language", "语言"), say("characters read", "读过的字符"), "n", say("different contexts", "不同的上文"),
        say("new text's contexts seen", "新文本的上文见过的比例")]  # fmt: skip
show_table(head, rows)


# %% [markdown] tags=["en"]
# English has few letters: its short contexts are nearly all seen, and say little. In Chinese two characters (n = 3)
# already make about 1,700 different contexts, each seen seldom, and of the contexts of three characters in the new text
# about a quarter are new; in English 1 or 2 %. A Chinese character carries about as much as a short English word.
#
# <!-- go on -->
#
# The model writes as in the game: look up the probabilities, draw one token, append it to the text, and so on.
#
# **Before you run it:** from which n on will there be whole words, and from which n on grammatical sentences? Will they be
# true?
# %% [markdown] tags=["zh"]
# 英文字母少，短的上文几乎都见过，但说明不了什么。中文两个字（n = 3）就有大约 1700 种不同的上文，每种都很少见；新文本里三个
# 字的上文大约有四分之一没见过，英文只有 1% 到 2%。一个汉字的信息量大约相当于一个短的英文单词。
#
# <!-- go on -->
#
# 模型用接龙来写：问出概率，抽一个词元，接到后面，再问。
#
# **运行之前先猜：** n 是多少时会出现完整的词？n 是多少时句子通顺？写出来的是真的吗？
# %%
def write(tables: list[dict], start: str, most: int, seed: int) -> str:
    """Continue `start` until a line break, by at most `most` characters."""
    draw, text = random.Random(seed), list(start)
    while len(text) - len(start) < most:
        found = next_token_probabilities(tables, text)
        text += draw.choices(list(found), found.values())
        if text[-1] == "\n" and len(text) > 1:
            break
    return "".join(text).strip()


length = {"en": 90, "zh": 40}
rows = [[n, *(write(counted[one][:n], "\n", length[one], seed=n) for one in LANGUAGES)] for n in (1, 2, 3, 4, 6)]
show_table(["n", *LANGUAGES.values()], rows)
# %% [markdown] tags=["en"]
# From n = 1 (letters in the right proportion) to n = 6 (phrases copied from the text) it looks better and better.
# It does not become true: a short context like “的山是” (“mountain is”) fits many places, and the text jumps from one place
# to another in mid-sentence.
#
# ## The loss
#
# To compare models we need a number. Give the model a text it has not seen, look up the probability p it gave to each
# token that really came, and take **−log p**: 0 if it was certain and right, large if it was surprised. The mean is
# the **cross-entropy**, or simply the **loss**. With the natural logarithm its unit is the **nat**. The set of tokens to
# choose from is the **vocabulary**, their number is V.
#
# A neural network gives no probabilities but scores of any size, the **logits**; softmax, exp(logit) divided by the
# sum of all exp(logit), makes probabilities of them.
#
# **Before you run it:** four tokens have the logits 2, 1, 0, -1. By how many nats do the losses of neighbouring rows
# differ? What is the loss of a model that knows nothing, with 340 tokens to choose from?
# %% [markdown] tags=["zh"]
# 从 n = 1（字符的比例对了）到 n = 6（照抄的短语），看起来越来越像样。但真假并没有跟上：像“的山是”这样的短上文适用于许多
# 地方，接龙时一句话说到一半就从一个地方跳到了另一个地方。
#
# ## 损失
#
# 要比较模型，需要一个数。给模型一段没见过的文本，查出它给每个真正出现的词元的概率 p，取 **-log p**：有把握而且对了是 0，
# 越意外越大。平均值叫**交叉熵**（cross-entropy），也就是**损失（loss）**。用自然对数时，单位是**奈特（nat）**。可以选的全部
# 词元叫**词表（vocabulary）**，个数记作 V。
#
# 神经网络给出的不是概率，而是任意大小的分数，叫 **logits**；softmax（exp(logit) 除以所有 exp(logit) 之和）把它们变成概率。
#
# **运行之前先猜：** 四个词元的 logits 是 2、1、0、-1。相邻两行的损失差多少奈特？一个什么都不知道的模型，在 340 个词元里选，
# 损失是多少？
# %%
logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])  # (1, V): one position, four tokens
shares = logits.softmax(-1)[0]
losses = [cross_entropy(logits, torch.tensor([token])).item() for token in range(4)]
print(say("knows nothing, 340 tokens:", "什么都不知道，340 个词元："), f"log 340 = {math.log(340):.2f} nats")
show_table(
    [say("token that came", "出现的词元"), "logit", "p", say("loss = -log p, nats", "损失 = -log p，奈特")],
    [[token, logits[0, token].item(), shares[token].item(), losses[token]] for token in range(4)],
)
# %% [markdown] tags=["en"]
# One unit of logit is one nat of loss: log p = logit - log Σ exp(logits), and the second term is the same for all
# tokens. Equal logits give log V. A loss above log V is worse than guessing.
#
# ## No probability may be zero: smoothing
#
# **Before you run it:** with back-off alone, what share of the new text's characters does the model with n = 4 call
# impossible? What is the mean loss if that happens just once?
# %% [markdown] tags=["zh"]
# logit 差 1，损失就差 1 奈特：log p = logit - log Σ exp(logits)，第二项对所有词元都一样。logits 全相等时损失是 log V。
# 损失比 log V 还大，就还不如瞎猜。
#
# ## 概率不能是零：平滑
#
# **运行之前先猜：** 只用回退时，n = 4 的模型认为新文本里有多大比例的字符“不可能”出现？只要发生一次，平均损失是多少？
# %%
rows = []
for one, name in LANGUAGES.items():
    new = held_out[one]
    for n in (2, 4, 6):
        found = []  # the probability of each token that came
        for i in range(n, len(new)):
            predicted = next_token_probabilities(counted[one][:n], new[i - n + 1 : i])
            found.append(predicted.get(new[i], 0))
        loss = "∞" if 0 in found else sum(-math.log(p) for p in found) / len(found)
        rows.append([name, n, found.count(0) / len(found), loss])
head = say(["language", "n", "called impossible", "mean loss"], ["语言", "n", "被认为不可能的比例", "平均损失"])
show_table(head, rows)
# %% [markdown] tags=["en"]
# A single character of probability 0 makes the loss infinite, whatever the rest.
#
# <!-- go on -->
#
# So no token may get 0. **Witten-Bell smoothing** mixes the counts with what the shorter context says:
#
# p(token) = (count + K · p_shorter(token)) / (N + K)
#
# where N is the number of times the context was seen and K how many *different* tokens followed it. K is a guess at
# how likely something new is: after a context that has had many different successors, another new one is no surprise.
#
# **Before you run it:** after “is” we counted high 2, near 1, so N = 3 and K = 2. Let the shorter context say 1/6 for
# each of the six tokens. Work out p(high), p(near) and p(Fuji).
# %% [markdown] tags=["zh"]
# 只要有一个字符的概率是 0，其余再好，损失也是无穷大。
#
# <!-- go on -->
#
# 所以任何词元的概率都不能是 0。**Witten-Bell 平滑（smoothing）** 把计数和较短上文的意见混合起来：
#
# p(词元) = (计数 + K · p_较短(词元)) / (N + K)
#
# N 是这个上文见过的次数，K 是它后面出现过多少种*不同的*词元。K 用来估计“来个新的”有多大可能：后面跟过许多种词元的上文，再来
# 一种新的也不奇怪。
#
# **运行之前先猜：** “山”后面数到高 2 次、近 1 次，所以 N = 3，K = 2。设较短的上文对七个词元都说 1/7。算出 p(高)、p(近) 和
# p(富)。
# %%
counts = tables[1][say(("is",), ("山",))]
uniform = {token: 1 / len(set(tiny)) for token in dict.fromkeys(tiny)}
mixed = smooth(counts, uniform)
show_tokens(list(mixed), below=[f"{p:.3f}" for p in mixed.values()])


# %% [markdown] tags=["en"]
# (2 + 2/6)/5 = 0.467, (1 + 2/6)/5 = 0.267, (2/6)/5 = 0.067: they add up to 1, and none is 0. Applied again and again,
# from “all characters are equally likely” over n = 1, 2, … up to the longest context, it gives a model for every n.
# The function below does this for the one token that came.
#
# **Before you run it:** draw two curves over n = 1 … 8: the loss on the text that was counted, and the loss on new
# text. Where is the lowest point of each? In which language does the second curve start rising again sooner?
# %% [markdown] tags=["zh"]
# (2 + 2/7)/5 = 0.457，(1 + 2/7)/5 = 0.257，(2/7)/5 = 0.057：加起来是 1，没有一个是 0。从“所有字符一样可能”开始，经过
# n = 1、2……一层层混合到最长的上文，每个 n 都得到一个模型。下面的函数只对真正出现的那个词元做这件事。
#
# **运行之前先猜：** 画出 n = 1 到 8 的两条曲线：在数过的文本上的损失，和在新文本上的损失。各自的最低点在哪里？哪种语言的第二条
# 曲线更早回升？
# %%
def mean_losses(tables: list[dict], text: list[str], kinds: int) -> list[float]:
    """Loss in nats per token, for contexts of up to 0, 1, … tokens."""
    longest, totals = len(tables) - 1, [0.0] * len(tables)
    for i in range(longest, len(text)):
        p = 1 / kinds
        for k, table in enumerate(tables):
            followed = table.get(tuple(text[i - k : i]), {})
            if followed:
                p = (followed.get(text[i], 0) + len(followed) * p) / (sum(followed.values()) + len(followed))
            totals[k] -= math.log(p)
    return [total / (len(text) - longest) for total in totals]


kinds = {one: len({*train[one], *held_out[one]}) for one in LANGUAGES}
curves = {one: (mean_losses(counted[one], train[one][:8000], kinds[one]),
                mean_losses(counted[one], held_out[one], kinds[one])) for one in LANGUAGES}  # fmt: skip
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(4.2, 3.2))
names = (label("text that was counted", "数过的文本"), label("new text", "新文本"))
for axis, one in zip(axes[0], LANGUAGES, strict=True):
    for values, colour, name in zip(curves[one], ("#8c8c8c", "#d62728"), names, strict=True):
        axis.plot(range(1, 9), values, "o-", color=colour, label=name)
    axis.set(title=LANGUAGES[one], xlabel="n", ylim=(0, 5.2),
             ylabel=label("loss, nats per character", "损失，每字符奈特数"))  # fmt: skip
    axis.grid(alpha=0.3)
    axis.legend()
show_figure(figure)
# %% [markdown] tags=["en"]
# The grey curve only falls: with a context long enough each place in the counted text is unique, and the model knows
# it by heart. The red one is lowest near n = 5 or 6 in English and n = 3 or 4 in Chinese and then rises a little: the
# longer contexts of new text were mostly never seen, or seen once by accident, and the model relies on them too much.
#
# <!-- go on -->
#
# This gap is **overfitting**, and only text that was **held out** from counting shows it.
#
# ## Loss, perplexity, bits per byte
#
# **Perplexity** is exp(loss): a loss of log 6 is the loss of choosing among 6 equally likely tokens. **Bits per byte**
# is the loss of the whole text in bits (1 nat = 1.44 bits), divided by the text's bytes in UTF-8, in which an English
# letter takes one byte and a Chinese character three.
#
# **Before you run it:** per character Chinese is much harder to predict. And per byte?
# %% [markdown] tags=["zh"]
# 灰线一路下降：上文足够长时，数过的文本里每个位置都是独一无二的，模型把它背了下来。红线在英文 n = 5 或 6、中文 n = 3 或 4
# 附近最低，然后略微回升：新文本里的长上文大多没见过，或者只碰巧见过一次，却被过分相信。
#
# <!-- go on -->
#
# 两条线的差距就是**过拟合**（overfitting），只有数的时候**留出来（held out）** 没有看的文本才能显出它来。
#
# ## 损失、困惑度、每字节比特数
#
# **困惑度**是 exp(损失)：损失为 log 6，就像在 6 个同样可能的词元里选。**每字节比特数**是整段文本的损失换成比特
# （1 奈特 = 1.44 比特），再除以文本在 UTF-8 里的字节数；一个英文字母占一个字节，一个汉字占三个。
#
# **运行之前先猜：** 按字符算，中文难预测得多。按字节算呢？
# %%
rows = []
for one, name in LANGUAGES.items():
    loss = min(curves[one][1])
    best = curves[one][1].index(loss) + 1
    text = "".join(held_out[one])
    size = len(text.encode("utf-8")) / len(text)  # bytes per character
    rows.append([name, best, loss, math.exp(loss), size, loss / math.log(2) / size])
head = say(["language", "best n", "nats / character", "perplexity", "bytes / character", "bits / byte"],
           ["语言", "最好的 n", "每字符奈特数", "困惑度", "每字符字节数", "每字节比特数"])  # fmt: skip
show_table(head, rows)
# %% [markdown] tags=["en"]
# Per character Chinese costs nearly three times as much; per byte, the two are alike. Nats per token and perplexity
# can only be compared between models with the *same* tokens. Bits per byte can always be compared, which is why
# `python -m minillm evaluate --text` prints it with the loss.
#
# ## A measurement: more text, longer contexts
#
# Count 50, 200 and 800 documents, each with three seeds, and note the best n and its loss on new text. Expect the
# loss to differ by up to 0.1 between seeds, and by up to 0.25 for 50 Chinese documents.
#
# **Before you run it:** will the best n grow with the amount of text? By how much does four times the text lower the
# loss?
# %% [markdown] tags=["zh"]
# 按字符算，中文的损失是英文的将近三倍；按字节算，两者差不多。每词元奈特数和困惑度只能在词元*相同*的模型之间比较。每字节比特数
# 总可以比，所以 `python -m minillm evaluate --text` 在损失旁边也打印它。
#
# ## 测量：更多文本，更长上文
#
# 分别数 50、200、800 篇文档，各用三个种子，记下最好的 n 和它在新文本上的损失。不同种子之间损失最多相差约 0.1，50 篇中文
# 文档时最多约 0.25。
#
# **运行之前先猜：** 最好的 n 会随文本增多而变大吗？文本变成四倍，损失降低多少？
# %%
rows = []
for one, name in LANGUAGES.items():
    for count in (50, 200, 800):
        best, lowest = [], []
        for seed in (11, 12, 13):
            text, new = tokens_of(one, count, seed), tokens_of(one, 30, seed + 1000)
            found = mean_losses([count_ngrams(text, n) for n in range(1, 8)], new, kinds[one])
            lowest.append(min(found))
            best.append(found.index(min(found)) + 1)
        shown = ", ".join(f"{x:.2f}" for x in lowest)
        rows.append([name, count, str(best), shown, sum(lowest) / 3])
# %% tags=["fold"]
head = say(["language", "documents", "best n, three seeds", "loss, nats per character", "mean"],
           ["语言", "文档", "最好的 n，三个种子", "损失，每字符奈特数", "平均"])  # fmt: skip
show_table(head, rows)
# %% [markdown] tags=["en"]
# More text always helps: four times as much takes about 0.3 and then 0.15 nats off the English loss, about 0.7 and then
# 0.4 off the Chinese one. With more text longer contexts pay. But the price grows: each further token of context
# multiplies the number of contexts to be seen. The way out is to let similar contexts help each other instead of treating
# each one separately. That is what a neural network does, from lesson 2b on.
#
# ## Why it cannot answer
#
# Count 3,000 Chinese documents with contexts of up to nine characters (n = 10), and ask the lecture's question two
# ways: as a sentence to finish, “台湾最高的山是” (the highest mountain of Taiwan is), and as a question,
# “台湾最高的山是哪座？” (which is the highest mountain of Taiwan?). The answer, 玉山 (Yushan), is in the text.
#
# **Before you run it:** “台湾” (Taiwan) is five characters before the end of the first. From which n on can the
# model know which place is meant? And what will it put after the question, given that no document answers one?
# %% [markdown] tags=["zh"]
# 文本越多越好：文本变成四倍，英文的损失先降约 0.3、再降约 0.15 奈特，中文先降约 0.7、再降约 0.4。文本多了，长上文才划算。
# 但代价也在涨：上文每长一个词元，要见到的上文就成倍增加。出路是不再把每个上文当成互不相干的东西，而是让相似的上文互相帮助。
# 神经网络做的就是这件事，从第 2b 课开始。
#
# ## 为什么它回答不了
#
# 数 3,000 篇中文文档，上文最多九个字（n = 10），用两种方式问课上的问题：一个待完成的句子“台湾最高的山是”，和一个问句
# “台湾最高的山是哪座？”。答案“玉山”就在文本里。
#
# **运行之前先猜：** 在第一种里，“台湾”离结尾隔着五个字。n 至少是多少，模型才知道说的是哪里？没有一篇文档回答过问题，那么问句
# 后面它会接什么？
# %%
large = [count_ngrams(tokens_of("zh", 3000, seed=0), n) for n in range(1, 11)]
starts = ("台湾最高的山是", "台湾最高的山是哪座？")
show_table(
    ["n", *starts],
    [[n, *(write(large[:n], start, 16, seed=n)[len(start) :] for start in starts)] for n in (2, 4, 6, 8, 10)],
)


# %% [markdown] tags=["en"]
# Now for all 64 places: finish the sentence, or answer the question, each time with the most likely character, and
# compare with the mountain's name. The table shows what share is right.
# %% [markdown] tags=["zh"]
# 现在对全部 64 个地方都试一遍：接完句子，或回答问题，每次取最可能的字，和山名比较。表里是正确的比例。
# %%
def finds_the_mountain(tables: list[dict], start: str, mountain: str) -> bool:
    text = list(start)
    for _ in mountain:
        found = next_token_probabilities(tables, text)
        text.append(max(found, key=found.get))
    return "".join(text) == start + mountain


mountains = [(p.names["zh"], p.value("mountain", "zh")) for p in world.places if p.value("mountain", "zh")]
finished = []
for n in (2, 4, 6, 8, 10):
    right = [sum(finds_the_mountain(large[:n], place + end, mountain) for place, mountain in mountains) / len(mountains)
             for end in ("最高的山是", "最高的山是哪座？")]  # fmt: skip
    finished.append([n, *right])
show_table(say(["n", "sentence: …最高的山是", "question: …最高的山是哪座？"],
               ["n", "句子接对：……最高的山是", "问题答对：……最高的山是哪座？"]), finished)  # fmt: skip
# %% [markdown] tags=["en"]
# With a short context the place is out of sight: after “高的山是” every mountain fits. From n = 7 on (the six characters
# “湾最高的山是”) the place is in sight, and with n = 10 about six of ten sentences are finished correctly: the fact was
# read, in just these characters. Of the others, most were asked more often than stated, so that “哪” (which) is the
# more likely next character; some are in the text in other words only (“玉山比台湾其他的山都高”), and to a table of
# contexts that is another string. The question is never answered, at any n: what followed questions in the text was
# the next question.
#
# So counting stores strings, not facts. What is missing: (1) to look far back without needing the exact string
# (attention, lesson 3); (2) to treat similar contexts alike (vectors, lesson 4); (3) to have seen that after a
# question comes its answer (stage 2, lesson 7).
#
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | a language model plays 文字接龙 | a table of counts plays it too, and writes fluent phrases |
# | stage 1: “通过海量网络数据进行预训练，积累语言知识” (gathers knowledge of language from masses of text) | more text lowers the loss on new text, in both languages |
# | “台湾最高的山是哪座？玉山” is not what a model of stage 1 says by itself | the question is continued with another question |
#
# ## To discuss in class
#
# 1. Someone reports a perplexity of 4 for one model and of 20 for another on the same text, and concludes that the
#    first is better. What must you ask? (A good answer: the same tokens? 4 per character may be worse than 20 per
#    word; ask for bits per byte. Also: was the text held out from both?)
# 2. A search engine that stores the whole web is an n-gram model with very long contexts. Which questions could it
#    answer, and what would still be missing? (A good answer separates a question that is there word for word from
#    one in new words, and from one whose answer needs two facts.)
#
# ## Homework
#
# `count_ngrams`, `next_token_probabilities`, `smooth`, `cross_entropy`, `perplexity`, `bits_per_byte`. Write them in
# the cells below, or in `lessons/01_ngrams/homework.py`, which is what you hand in. `check("smooth")` says at once
# which idea goes wrong, `hint("smooth")` helps in three steps, `reset("smooth")` begins anew, `progress()` shows how
# far you are. In a terminal `python -m minillm homework 1` grades the file, `python -m minillm homework 1 --watch`
# does so whenever you save it.
#
# ## References
#
# - C. E. Shannon 1948, *A Mathematical Theory of Communication*, Bell System Technical Journal 27 (n-grams that write).
# - I. H. Witten, T. C. Bell 1991, *The Zero-Frequency Problem: Estimating the Probabilities of Novel Events in Adaptive
#   Text Compression*, IEEE Transactions on Information Theory 37(4).
# - S. F. Chen, J. Goodman 1996, *An Empirical Study of Smoothing Techniques for Language Modeling*, arXiv
#   cmp-lg/9606011.
# - T. Brants, A. C. Popat, P. Xu, F. J. Och, J. Dean 2007, *Large Language Models in Machine Translation*, EMNLP-CoNLL
#   (back-off without smoothing on two trillion words).
# %% [markdown] tags=["zh"]
# 上文短时，地名已经看不见了：“高的山是”后面哪座山都合适。从 n = 7 起（上文是“湾最高的山是”六个字）看得到地名，n = 10 时
# 十句里大约有六句接对：这个事实正好以这几个字读到过。其余的多半是因为这几个字后面问的次数比说的多，于是“哪”更可能；
# 另一些在文本里只有别的说法（“玉山比台湾其他的山都高”），而对一张上文表来说，那是另一个字符串。问句则不管 n 是多少都答不对：
# 文本里问句后面跟的是下一个问句。
#
# 所以计数存下的是字符串，不是事实。还缺三样：(1) 能看到很远的前文，又不要求字字相同（注意力，第 3 课）；(2) 把相似的上文同样
# 对待（向量，第 4 课）；(3) 见过问题后面跟着答案（第二阶段，第 7 课）。
#
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 语言模型做的是文字接龙 | 一张计数表也会接龙，还能写出通顺的短语 |
# | 第一阶段：“模型通过海量网络数据进行预训练，积累语言知识” | 文本越多，新文本上的损失越低，两种语言都是 |
# | 第一阶段的模型不会自己说出“台湾最高的山是哪座？玉山” | 它在问题后面接了另一个问题 |
#
# ## 课堂讨论
#
# 1. 有人报告：在同一段文本上，一个模型的困惑度是 4，另一个是 20，于是说前一个更好。你要问什么？（好的回答：词元相同吗？每字符 4
#    可能比每词 20 还差；应该要每字节比特数。还有：两个模型都没见过这段文本吗？）
# 2. 存下整个互联网的搜索引擎就像上文极长的 n 元组模型。哪些问题它能回答，还缺什么？（好的回答会区分：原话就在那里的问题，换了
#    说法的问题，以及要把两个事实合起来才能回答的问题。）
#
# ## 作业
#
# `count_ngrams`、`next_token_probabilities`、`smooth`、`cross_entropy`、`perplexity`、`bits_per_byte`。写在下面的单元格
# 里，或者写在 `lessons/01_ngrams/homework.py` 里，最后交的是这个文件。`check("smooth")` 马上告诉你是哪个想法错了，
# `hint("smooth")` 分三步提示，`reset("smooth")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 1` 批改这个文件，`python -m minillm homework 1 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - C. E. Shannon 1948，*A Mathematical Theory of Communication*，Bell System Technical Journal 27（会写文章的 n 元组）。
# - I. H. Witten, T. C. Bell 1991，*The Zero-Frequency Problem: Estimating the Probabilities of Novel Events in Adaptive
#   Text Compression*，IEEE Transactions on Information Theory 37(4)。
# - S. F. Chen, J. Goodman 1996，*An Empirical Study of Smoothing Techniques for Language Modeling*，arXiv
#   cmp-lg/9606011。
# - T. Brants, A. C. Popat, P. Xu, F. J. Och, J. Dean 2007，*Large Language Models in Machine Translation*，EMNLP-CoNLL
#   （在两万亿词上不用平滑的回退）。
