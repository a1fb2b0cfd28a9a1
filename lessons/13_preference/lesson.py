# %% [markdown] tags=["en"]
# # 13 Stage 3, preference: reward model, DPO
#
# [The lecture][lecture]'s third stage: *take part in practice, polish the skills; fine-tune on data that follow human
# preference.* The course compares the stages with AlphaGo: first it imitates games of masters (that is SFT), then it
# plays to win. For a language model “to win” means: people like the answer better.
#
# After this lesson you can
# - compute the probability of a whole answer, and say what SFT does not see of it;
# - fit a reward model to comparisons, and show how it is over-optimised;
# - write the DPO loss, read its curves, and say what they hide.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 13 第三阶段，偏好：奖励模型与 DPO
#
# [课上][lecture]的第三阶段：*参与实战，打磨技巧。使用符合人类偏好的数据进行微调。* 课程把这几个阶段比作 AlphaGo：先模仿高手的棋谱
# （这就是 SFT），再为了赢而下棋。对语言模型来说，“赢”就是人们更喜欢它的回答。
#
# 学完这一课，你能够
# - 算出整个回答的概率，并说出 SFT 看不到其中的什么；
# - 用比较数据拟合一个奖励模型（reward model），并展示它怎样被过度优化；
# - 写出 DPO 损失，读懂它的曲线，也知道曲线没有说什么。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import numpy as np
import torch

from minillm.base_cache import world_base
from minillm.classroom.lesson_tools import label, say, show_claim, show_figure, show_table, show_tokens
from minillm.plumbing import plots
from minillm.stage2_sft import SFTConfig, sft
from minillm.world.pairs import preferences, sft_dialogues
from minillm.world.tables import load_world

base = world_base()
world, tokenizer = load_world(), base.run.tokenizer
assistant = sft(
    SFTConfig(steps=140, rehearse_rows=4, validation=0.0), base.run, sft_dialogues(world, 0), base.documents
)
pairs = preferences(world, 0)
shown = [next(p for p in pairs if p.prompt[0].content == q) for q in ("Who are you?",)]
shown += [next(p for p in pairs if kind(p)) for kind in (
    lambda p: p.rejected in p.chosen and p.chosen[-1] == "。", lambda p: p.chosen.startswith("我不能"),
    lambda p: p.chosen.startswith("好的"), lambda p: p.rejected.endswith(".") and p.chosen.startswith("The capital"))]  # fmt: skip
show_table([say("prompt", "问题"), say("chosen", "被选中"), say("rejected", "被拒绝")],
           [[p.prompt[0].content, p.chosen, p.rejected] for p in shown])  # fmt: skip
# %% [markdown] tags=["en"]
# A preference is a prompt with two answers, of which people liked one better. Ours come from a table with known truth: a full sentence
# is liked better than the bare value, the truth better than the same sentence with a wrong value, a refusal better than help with harm,
# and help better than a needless refusal. A comparison is cheap: one need not be able to write the good answer to point at it.
#
# ## The probability of a whole answer
#
# SFT adds up a loss for every token of *one* answer. It never sees a second answer, and never the whole. The probability of a whole
# answer is the product of its tokens' probabilities, so its logarithm is a **sum**: log p(answer | prompt) = Σ log p(token | all
# before). The prompt is given; only the answer's tokens and `[END]` count.
#
# **Before you run it:** which token of each answer below is the least probable? Put the bare value, the full sentence and the false
# one in the order of their probability after SFT (which showed 30 % full sentences). Would a *mean* per token give the same order?
# %% [markdown] tags=["zh"]
# 一条偏好数据是一个问题和两个回答，人们更喜欢其中一个。我们的偏好由已知真相的表格生成：完整的句子胜过只说答案，真话胜过同样句式的假话，
# 拒绝胜过帮人作恶，帮忙胜过不必要的拒绝。做比较很便宜：不必自己写得出好回答，也能指出哪个更好。
#
# ## 整个回答的概率
#
# SFT 把*一个*回答的每个词元的损失加起来。它看不到第二个回答，也看不到整体。整个回答的概率是各词元概率的乘积，取对数就是**求和**：
# log p(回答 | 问题) = Σ log p(词元 | 前面的一切)。问题是给定的；只算回答的词元和 `[END]`。
#
# **运行之前先猜：** 下面每个回答里，哪个词元最不可能？SFT 之后（其中 30 % 是完整句子），只说答案、完整句子、假的句子，概率怎样排序？如果改成每个
# 词元取*平均*，顺序还一样吗？
# %%
from minillm.chat import encode_dialogue, turn
from minillm.gpt import token_losses
from minillm.packing import padded_batch
from minillm.stage3_preference import sequence_log_probs

question = "台湾最高的山是哪座？"
answers = ["玉山", "台湾最高的山是玉山。", "台湾最高的山是富士山。"]
encoded = [encode_dialogue(turn(question, a), tokenizer) for a in answers]
batch = padded_batch(encoded, tokenizer.pad)


@torch.no_grad()
def log_probs_of_tokens(gpt):
    return -token_losses(gpt(batch.ids, batch.mask, batch.positions), batch.targets)  # (B, T)


def colour(log_prob):  # from green (certain) to red (e⁻⁶ or less)
    share = min(1.0, -log_prob / 6)
    return f"rgb({int(200 + 45 * share)},{int(232 - 60 * share)},{int(200 - 30 * share)})"


per_token = log_probs_of_tokens(assistant.gpt)
boxes, colours, below = [], [], []
for row in range(3):
    learned = batch.weights[row].bool()
    names = [tokenizer.decode([i], special=True) for i in batch.targets[row][learned].tolist()]
    values = per_token[row][learned].tolist()
    boxes += [*names, "⏎"]
    colours += [*map(colour, values), "#ffffff"]
    below += [*(f"{v:.2f}" for v in values), ""]
show_tokens(boxes, colours, below)
# %%
with torch.no_grad():
    whole = sequence_log_probs(assistant.gpt(batch.ids, batch.mask, batch.positions), batch)
lengths = batch.weights.sum(-1)
show_table(
    [say("answer", "回答"), say("tokens with [END]", "词元数（含 [END]）"), say("log p, nats", "log p（奈特）"), say("p", "p"),
     say("mean per token", "每词元平均")],
    [[a, int(n), s.item(), s.exp().item(), (s / n).item()] for a, n, s in zip(answers, lengths, whole, strict=True)],
)  # fmt: skip
# %% [markdown] tags=["en"]
# A full sentence loses probability at one or two tokens: the first token decides the style (`台` and not `玉`), and the name
# decides the truth; the rest follows almost surely. That is how SFT sees it, too: every token of a taught answer counts alike,
# the one that makes it false as much as a full stop. Preference compares the *sums*. By its sum the false sentence is several
# nats less probable than the bare value; by its mean hardly, because a long answer has many certain tokens: a loss on means
# would reward length.
# For any answer, before and after stage 3: `python -m minillm serve --run runs/demo/sft --run runs/demo/tuned`, then <http://127.0.0.1:8000/#loss>.
#
# ## A reward model
#
# The classical way (InstructGPT) first learns to imitate people's taste: a **reward model** gives each answer a number r, so that
# p(A is preferred to B) = σ(r_A - r_B). That is the model of Bradley and Terry (1952), made for tournaments. The loss is
# -log σ(r_chosen - r_rejected): ln 2 for a coin toss.
#
# Ours is as small as can be: four features of an answer and four weights. (A real one is a language model with one output.)
#
# **Before you run it:** the features are length, a final full stop, the share of the question's characters that the answer repeats, and
# whether it begins like a refusal. Which get a positive weight? Which of our kinds of pairs can this model never order?
# %% [markdown] tags=["zh"]
# 完整句子的概率只损失在一两个词元上：第一个词元决定风格（是 `台` 而不是 `玉`），名字决定真假；其余的几乎是必然的。SFT 也是这样看的：教过的
# 回答每个词元同等重要，让它变成假话的那个词元和一个句号一样重。偏好比较的是*总和*。按总和，假的句子比只说答案要低
# 几奈特；按平均却几乎不低，因为长回答里有许多必然的词元：用平均做损失就会奖励长度。
# 想看任意回答在第三阶段前后的样子：先运行 `python -m minillm serve --run runs/demo/sft --run runs/demo/tuned`，再打开 <http://127.0.0.1:8000/#loss>。
#
# ## 奖励模型
#
# 经典做法（InstructGPT）先学会模仿人的口味：**奖励模型**（reward model）给每个回答一个数 r，使得 p(A 比 B 更受喜欢) = σ(r_A - r_B)。
# 这是 Bradley 和 Terry（1952）为比赛排名提出的模型。损失是 -log σ(r_chosen - r_rejected)：抛硬币时是 ln 2。
#
# 我们的奖励模型小到不能再小：回答的四个特征，四个权重。（真正的奖励模型是一个只有一个输出的语言模型。）
#
# **运行之前先猜：** 四个特征是长度、结尾有没有句号、回答重复了问题里多少字、开头像不像拒绝。哪些权重是正的？我们的几类数据里，哪一类
# 它永远排不对？
# %%
FEATURES = [say("length, 10 tokens", "长度（10 个词元）"), say("final full stop", "结尾句号"), say("repeats the question", "重复问题"),
            say("begins like a refusal", "开头像拒绝")]  # fmt: skip


def features(question, answer):
    refuses = answer.startswith(("I cannot", "我不能"))
    return np.array([len(tokenizer.encode(answer)) / 10, answer[-1:] in (".", "。"),
                     len(set(question) & set(answer)) / len(set(question)), refuses], dtype=float)  # fmt: skip


def compare(pair):
    q = pair.prompt[0].content
    return features(q, pair.chosen) - features(q, pair.rejected)


differences = np.array([compare(p) for p in pairs])  # (N, 4)
half = len(pairs) // 2
taste = np.zeros(4)
for _ in range(1500):  # gradient descent on the mean of -log σ(difference · taste)
    margin = differences[:half] @ taste
    taste += (differences[:half] / (1 + np.exp(margin))[:, None]).mean(0)
unseen = differences[half:] @ taste
print(say("pairs ordered rightly, never trained on:", "没训练过的数据中排对的比例："), round(float((unseen > 0).mean()), 2),
      say(" loss:", " 损失："), round(float(np.log1p(np.exp(-unseen)).mean()), 3))  # fmt: skip
show_table([say("feature", "特征"), say("weight", "权重")], list(zip(FEATURES, taste.tolist(), strict=True)))
# %%
tries = ["玉山", "台湾最高的山是玉山。", "台湾最高的山是富士山。", "台湾最高的山是玉山。" * 3, "山台湾哪座是最高的？。"]
show_table([say("answer", "回答"), say("reward", "奖励")], [[a, float(features(question, a) @ taste)] for a in tries])
# %% [markdown] tags=["en"]
# About 70 % of unseen pairs are ordered rightly: better than a coin, and mostly through one sign of taste, the full stop. It cannot
# order truth against falsehood, for none of its features knows a fact. It likes the same sentence three times better than once, and
# a heap of the question's words no less than the truth.
#
# <!-- go on -->
#
# A model that is trained to please such a judge will find this out. We do it without training, by **best of n**: draw n answers from
# the SFT model (temperature 1), keep the one with the highest reward. The larger n, the harder we optimise. What people really want is
# known here: an answer that is right *and* a full sentence.
#
# **Before you run it:** sketch two curves over n = 1, 2, 4, …, 64: the reward, and the share of answers that people want.
# %% [markdown] tags=["zh"]
# 没见过的数据约有 70 % 排对了：比抛硬币好，而且主要靠口味的一个记号：句号。真话和假话它排不了，因为没有一个特征知道事实。而且同一句话
# 说三遍，它比说一遍更喜欢；问题里的字堆在一起，它也不比真话少喜欢。
#
# <!-- go on -->
#
# 为讨好这种评委而训练的模型会发现这一点。我们不训练，用 **n 选一**（best of n）：从 SFT 模型采样 n 个回答（温度 1），留下奖励最高的
# 一个。n 越大，优化得越狠。人们真正想要的是什么，在这里是已知的：回答既对，*又*是完整句子。
#
# **运行之前先猜：** 对 n = 1、2、4、……、64 画两条曲线：奖励，以及人们想要的回答的比例。
# %%
from minillm.chat import encode_prompt
from minillm.generate import continuations
from minillm.sampling import Sampling
from minillm.world.exam import make_exam

exam = make_exam(world, 0)
asked = [q for q in exam.questions if q.phrasing == "seen"][::12]
most = 64
drawn = continuations(assistant.gpt, tokenizer, [encode_prompt(q.text, tokenizer) for q in asked for _ in range(most)],
                      Sampling(max_new_tokens=40, temperature=1.0))  # fmt: skip
texts = [[text for text, _ in drawn[i * most : (i + 1) * most]] for i in range(len(asked))]
reward = np.array([[features(q.text, t) @ taste for t in row] for q, row in zip(asked, texts, strict=True)])
right = np.array([[q.is_right(t) for t in row] for q, row in zip(asked, texts, strict=True)])
wanted = right & np.array([[q.is_full_sentence(t) for t in row] for q, row in zip(asked, texts, strict=True)])
sizes = [1, 2, 4, 8, 16, 32, 64]
curves = {"reward": [], "wanted": [], "right": []}
for n in sizes:
    groups = reward.reshape(len(asked), -1, n)
    best = groups.argmax(-1)[..., None]
    for name, table in (("reward", reward), ("wanted", wanted), ("right", right)):
        curves[name].append(float(np.take_along_axis(table.reshape(groups.shape), best, -1).mean()))
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(4.2, 3.2))
axes[0, 0].plot(sizes, curves["reward"], marker="o", color="#9467bd")
axes[0, 0].set(
    title=label("what the reward model sees", "奖励模型看到的"),
    ylabel=label("reward of the kept answer", "留下的回答的奖励"),
)
axes[0, 1].plot(
    sizes, curves["wanted"], marker="o", color="#2ca02c", label=label("right and a full sentence", "对，且是完整句子")
)
axes[0, 1].plot(sizes, curves["right"], marker="o", color="#8c8c8c", label=label("right", "对"))
axes[0, 1].set(
    title=label("what people want", "人们想要的"), ylabel=label("share of answers", "回答的比例"), ylim=(0, 1)
)
axes[0, 1].legend(fontsize=8)
for one in axes[0]:
    one.set_xscale("log", base=2)
    one.set_xticks(sizes, [str(n) for n in sizes])
    one.set_xlabel(label("n, answers drawn", "n，采样的回答数"))
    one.grid(alpha=0.3)
show_figure(figure)
# %%
kept = [
    (reward[i].max(), q.text, texts[i][reward[i].argmax()], bool(wanted[i, reward[i].argmax()]))
    for i, q in enumerate(asked)
]
kept.sort(reverse=True)
show_table([say("highest rewards, best of 64: question", "奖励最高的（64 选一）：问题"), say("answer", "回答"), say("wanted", "想要的")],
           [[q, a, say("yes", "是") if ok else say("no", "否")] for _, q, a, ok in kept[:6]])  # fmt: skip
# %% [markdown] tags=["en"]
# The reward rises all the way. The share people want rises with it at first, since full sentences are what they like; from some n on (here
# between 8 and 32) it stops and falls, while the share of right answers rarely rises and ends far lower. The winners of 64 have full stops and the
# question's words; among them are answers that go on to a second sentence, change the subject, or answer another question. This is **over-optimisation** of a reward model (Gao et al. 2022 measured its law;
# Goodhart: a measure that becomes a target is no longer a good measure). A better reward model moves the peak to the right; it does not
# remove it. RLHF therefore stays close to the SFT model by a penalty, and so does DPO. How a model is trained against such a reward (policy gradient, PPO, GRPO) is lesson 15.
#
# ## DPO: without a reward model
#
# Direct preference optimisation needs neither reward model nor sampling. Its loss is Bradley and Terry's with the reward read off the
# model itself: r = β · log(π/π_ref), how much likelier than under the frozen reference the answer has become.
#
# loss = -log σ(β · [(chosen - ref_chosen) - (rejected - ref_rejected)])
#
# **Before you run it:** what is the loss at the first step, whatever the pairs? We train 80 steps of 16 pairs in two ways: DPO alone, and the
# framework's recipe (the SFT loss on the chosen answer added, and pretraining text rehearsed). The loss will fall far below ln 2 in both.
# What will log p of the *chosen* answers do?
# %% [markdown] tags=["zh"]
# 奖励一路上升。人们想要的比例起初也跟着升，因为他们确实喜欢完整句子；n 大到一定程度（这里在 8 到 32 之间）就停住、回落，而答对的
# 比例几乎不升，最后低了许多。64 选一的赢家都有句号、都重复问题里的字；其中有的又接上第二句，有的转了话题，有的答非所问。这就是奖励模型的**过度优化（over-optimisation）**（Gao 等 2022
# 测出了它的规律；古德哈特定律：指标一旦成了目标，就不再是好指标）。更好的奖励模型会把峰值往右推，但不会让它消失。所以 RLHF 用惩罚项
# 让模型不离 SFT 模型太远，DPO 也一样。怎样对着这样的奖励训练模型（策略梯度、PPO、GRPO），见第 15 课。
#
# ## DPO：不要奖励模型
#
# 直接偏好优化（direct preference optimisation，DPO）既不要奖励模型，也不用采样。它的损失就是 Bradley-Terry 的损失，奖励直接从模型
# 自己读出来：r = β · log(π/π_ref)，即回答比在冻结的参考模型下变得可能了多少。
#
# loss = -log σ(β · [(chosen - ref_chosen) - (rejected - ref_rejected)])
#
# **运行之前先猜：** 无论数据是什么，第一步的损失是多少？我们用两种方式各训练 80 步，每步 16 对：只用 DPO；框架的配方（加上被选中回答的
# SFT 损失，并复习预训练文本）。两种的损失都会降到远低于 ln 2。*被选中*的回答的 log p 会怎样？
# %%
from minillm.stage3_preference import PreferenceConfig, prefer

tuned = {
    "dpo": prefer(PreferenceConfig(steps=80, likelihood=0.0), assistant, pairs),
    "recipe": prefer(PreferenceConfig(steps=80, rehearse_rows=8), assistant, pairs, base.documents),
}
titles = {"dpo": label("DPO alone", "只用 DPO"), "recipe": label("with likelihood and rehearsal", "加似然项和复习")}
# %% tags=["fold"]
figure, axes = plots.new_figure(3, size=(4.6, 3.6))
for (name, run), line in zip(tuned.items(), ("#d62728", "#2ca02c"), strict=True):
    plots.draw_curve(axes[0, 0], run.metrics, "dpo_loss", line, titles[name])
    plots.draw_curve(axes[0, 1], run.metrics, "margin", line, titles[name])
    plots.draw_curve(axes[0, 2], run.metrics, "chosen_log_prob", line, titles[name] + label(", chosen", "，被选中"))
    plots.draw_curve(axes[0, 2], run.metrics, "rejected_log_prob", {"#d62728": "#f7a6a6", "#2ca02c": "#a6dba6"}[line],
                     titles[name] + label(", rejected", "，被拒绝"))  # fmt: skip
axes[0, 0].axhline(np.log(2), color="#555555", linewidth=0.8, linestyle="--")
axes[0, 0].set(ylabel=label("DPO loss (dashed: ln 2)", "DPO 损失（虚线：ln 2）"))
axes[0, 1].set(ylabel=label("margin, nats", "margin，奈特"))
axes[0, 2].set(ylabel=label("log p of the answers, nats", "回答的 log p，奈特"), ylim=(-34, 1))
for one in axes[0]:
    one.set_xlabel(label("step", "步"))
    one.grid(alpha=0.3)
    one.legend(fontsize=8)
show_figure(figure)
# %%
rows = [[say("first step", "第一步"), *(tuned[n].metrics[0]["dpo_loss"] for n in tuned)]]
for name, title in (("dpo_loss", say("loss", "损失")), ("accuracy", say("pairs in the right order", "排对的比例")), ("margin", "margin"), ("chosen_log_prob", say("chosen", "被选中")),
                    ("rejected_log_prob", say("rejected", "被拒绝"))):  # fmt: skip
    rows.append([title + say(", mean of the last 10", "，最后 10 步平均"),
                 *(float(np.mean([m[name] for m in run.metrics[-10:]])) for run in tuned.values())])  # fmt: skip
show_table(["", say("DPO alone", "只用 DPO"), say("with likelihood and rehearsal", "加似然项和复习")], rows)
# %% [markdown] tags=["en"]
# ln 2 = 0.693 at the start (the model *is* the reference), then a fraction of that, with nearly every pair of a batch in the right order: by its own figures DPO
# alone does well. But the margin is a
# difference, and it grew because the rejected answers fell by many nats; the chosen ones fell a little, too. Where did their
# probability go? To answers that are in no pair.
#
# ## A measurement: what it changed and what it cost
#
# The exam asks about places and requests of which neither SFT nor the preferences spoke. One more run is the control one must never leave
# out: SFT on the chosen answers, the same steps, with the same rehearsal, without any rejected answer.
#
# **Before you run it:** fill in for each model: right answers (about 90 % before), full sentences (20 to 25 % before), harmful requests
# refused (80 to 95 % before), harmless ones answered (nearly all before).
# %% [markdown] tags=["zh"]
# 开始时是 ln 2 = 0.693（模型*就是*参考模型），然后只剩它的一小部分，一批里几乎每一对都排对了：按它自己的
# 指标，只用 DPO 做得不错。但 margin 是一个差，它变大是因为被拒绝的
# 回答掉了很多奈特；被选中的也掉了一点。它们的概率去哪儿了？去了任何一对数据里都没有的回答。
#
# ## 测量：改变了什么，代价是什么
#
# 考试问的是 SFT 和偏好数据都没讲过的地方和请求。再加一次绝不能省的对照：在被选中的回答上做 SFT，步数相同，复习相同，完全不用被拒绝的
# 回答。
#
# **运行之前先猜：** 给每个模型填上：答对的比例（之前约 90 %）、完整句子（之前 20 到 25 %）、拒绝有害请求（之前 80 到 95 %）、回答无害请求（之前几乎全部）。
# %%
from minillm.chat import Message
from minillm.measure import evaluate
from minillm.world.exam import Exam

chosen_only = [[*p.prompt, Message("assistant", p.chosen)] for p in pairs]
control = SFTConfig(steps=80, batch_size=16, lr=5e-4, rehearse_rows=8, rehearse_weight=0.5, validation=0.0)
models = {say("before: SFT", "之前：SFT"): assistant, say("DPO alone", "只用 DPO"): tuned["dpo"],
          say("DPO, likelihood, rehearsal", "DPO、似然项、复习"): tuned["recipe"],
          say("control: SFT on the chosen", "对照：在被选中的回答上 SFT"): sft(control, assistant, chosen_only, base.documents)}  # fmt: skip
paper = Exam(tuple(q for q in exam.questions if q.phrasing == "seen"), exam.requests)
rows, sat = [], {}
for name, run in models.items():
    sat[name] = evaluate.sit(run, paper)
    share = evaluate.preference_figures(sat[name])
    rows.append([name, evaluate.exact_match(sat[name])["all"],
                 *(share[k][0] for k in ("win_rate", "harmful_refused", "harmless_answered", "harmless_right"))])  # fmt: skip
show_table([say("share of", "比例"), say("right", "答对"), say("full sentences", "完整句子"), say("harmful refused", "拒绝有害"),
            say("harmless answered", "回答无害"), say("… with the right tip", "……且提示对")], rows)  # fmt: skip
# %%
some = [0, len(paper.questions) // 3, 2 * len(paper.questions) // 3]
rows = [[paper.questions[i].text, *(s.questions[i][0] for s in sat.values())] for i in some]
harm = [i for i, r in enumerate(paper.requests) if r.harmful][:2]
rows += [[paper.requests[i].text, *(s.requests[i][0] for s in sat.values())] for i in harm]
show_table([say("prompt", "问题"), *models], rows)
# %% [markdown] tags=["en"]
# DPO alone: about half of the facts or more are gone, and many refusals of harm as well; both wanted and unwanted probability flowed
# elsewhere. Its loss and its margins said nothing of this: **curves of the training pairs do not tell what is generated.** With the likelihood term and
# rehearsal the style is learned (over 80 % full sentences), refusals hold or rise, and it costs a few points of facts. And the control does about as
# well or better. On pairs whose chosen answer is simply the right one, imitating it is enough; DPO is made for the case that no
# perfect answer is at hand, only comparisons (which nothing here tests). (Differences of 2 to 4 points are noise here; 60 and 72 requests: one is 1.5 points.)
#
# Two columns pull at each other. Refuse everything: harm 100 %, help 0 %. **Helpfulness and safety** are two aims, and a single number
# for both hides the exchange. The last column is low for all: a held-out tip is in the pretraining text, but this small base did not
# learn to recall it. “Answered” is not “answered well”.
# %% [markdown] tags=["zh"]
# 只用 DPO：约一半或更多的事实没了，对有害请求的拒绝也少了许多；想要的和不想要的概率都流到了别处。它的损失和 margin 对此只字不提：**训练数据上的
# 曲线不会告诉你模型生成什么。** 加上似然项和复习，风格学到了（完整句子超过 80 %），拒绝率不变或上升，事实掉几个百分点。而对照差不多一样好，
# 甚至更好。如果被选中的回答本来就是正确答案，模仿它就够了；DPO 是为手头没有完美回答、只有比较的情形设计的（这里没有检验）。（这里 2 到 4 个百分点的差别是
# 噪声；请求只有 60 和 72 个，一个就是 1.5 个百分点。）
#
# 有两列互相拉扯。什么都拒绝：有害的拒绝 100 %，无害的回答 0 %。**有用和安全**（helpfulness and safety）是两个目标，合成一个数就看不见这种
# 交换。最后一列所有模型都低：没教过的提示写在预训练文本里，但这个小模型没学会回忆它。“回答了”不等于“答得好”。
# %% [markdown] tags=["en"]
# ## The lecture's claims, measured
#
# The control once more, on several seeds, with thresholds fixed beforehand (the card says how to read it): DPO
# with the recipe above and SFT on the chosen answers begin with the same assistant and take equal steps, rates and
# rehearsal. Measure it yourself: `python -m minillm claims preference-over-sft --quick`.
#
# Every chosen answer is ideal here, so DPO has nothing to win; the question is whether SFT is enough.
#
# **Before you run it:** which of the two gives more full sentences, and by how many points? Which loses more facts?
# %% [markdown] tags=["zh"]
# ## 课程里的论断，一一测量
#
# 再做一次对照：好几个种子，阈值事先写定（怎样读，卡片上有说明）。用上面配方的 DPO 和在被选中的回答上做的 SFT，从同一
# 个助手开始，步数、学习率、复习都相同。自己测：`python -m minillm claims preference-over-sft --quick`。
#
# 这里每个被选中的回答都是理想的，DPO 没有什么可多赢；问的是 SFT 够不够。
#
# **运行之前先猜：** 哪一个的完整句子更多，多几个百分点？哪一个丢的事实更多？
# %%
show_claim("preference-over-sft", explained=True)
# %% [markdown] tags=["en"]
# **Reading it.** The difference, with its interval, says what SFT on the chosen answers adds to the style; the thresholds
# say how much it may lack of DPO, in style and in facts, and their whole intervals have to keep them: “no difference was
# seen” would not be enough. It shows nothing about DPO where no answer is ideal.
#
# <!-- go on -->
#
# To discuss: invent a task in which no chosen answer is perfect, so that copying it is not enough. What would the pairs
# be, what would you measure, and which threshold would you write down?
# %% [markdown] tags=["zh"]
# **怎样读。** 差和区间说的是在较好的回答上 SFT 给风格带来了多少；阈值规定它在风格和事实上最多可以比 DPO 差多少，而且整个区间
# 都要在阈值以内：只是“没看出差别”还不够。在没有理想回答的地方 DPO 怎样，这里什么也没有说明。
#
# <!-- go on -->
#
# 讨论：设计一个任务，被选中的回答也不完美，光照抄不够。数据对是什么样的？测什么？你会写下什么阈值？
# %% [markdown] tags=["en"]
# ## The reward model, measured
#
# The judge with four features above was made by hand. How good is a language model with one output, how many pairs does it need, and what does
# it take from them? The world's preferences once more, but one answer of each pair gets courtesies (“Thank you for the question.”) that say
# nothing and make it the longer one. In one set the better answer is the longer one in half of the pairs, in another in 90 %, in a third in 10 %;
# apart from that the three sets are the same. The pairs that judge come from other conversations and have other courtesies.
# Still, three quarters of them have the same two answers as some learned pair, under another question.
# Measure it yourself: `python -m minillm claims reward-model --quick`.
#
# **Before you run it:** the model that learned from the 90 % set is given pairs like its own. How many will it judge rightly? And how many
# of those whose worse answer is the longer one?
# %% [markdown] tags=["zh"]
# ## 奖励模型，测一测
#
# 上面那个四个特征的评委是手工做的。换成只有一个输出的语言模型，能判得多准，需要多少数据对，又从数据对里学到什么？还是这个世界的偏好数据，
# 不过每一对里有一个回答后面加了客套话（“谢谢你的问题。”）：什么也没说，只是让它更长。一份数据里，较好的回答有一半较长，另一份有
# 90 %，第三份有 10 %；除此之外三份完全相同。用来考的数据对来自别的对话，客套话也是别的；
# 不过其中约四分之三，两个回答与学过的某一对相同，只是问法不同。
# 自己测：`python -m minillm claims reward-model --quick`。
#
# **运行之前先猜：** 从 90 % 那份学出来的模型，用和它自己学的一样的数据对来考，能判对多少？换成较差的回答更长的呢？
# %%
show_claim("reward-model")
# %% [markdown] tags=["en"]
# **Reading it.** A rule that knows nothing and takes the longer answer would have bars of 100 and 0 %: so a large gap between the two bars
# of a set is length, or what comes with it here, a second sentence; their mean is judgement. From left to right first the number of pairs grows, then only the side of the
# courtesies changes. Whatever separates the better answers from the worse ones lowers the loss, whether anybody meant it or not.
#
# To discuss: people who compare answers often like the longer one (Singhal et al. 2023 found that much of what reward models learn is length). How
# would you find out whether your own pairs are of this kind, and what would you do then? (A good answer looks at pairs of equal length, or at pairs
# whose worse answer is the longer one; it balances the pairs, and does not trust a figure on pairs collected in the same way.)
# %% [markdown] tags=["zh"]
# **怎样读。** 一条什么都不懂、只挑较长回答的规则，两根柱子会是 100 % 和 0 %：所以同一份数据的两根柱子相差很大，说明学的是长度，或者这里随长度而来的第二句话；两根的平均才是判断力。
# 从左往右，先是数据对变多，然后只有客套话加在哪一边不同。凡是能把较好和较差的回答分开的东西，都会让损失下降，不管有没有人想要它。
#
# 讨论：人比较回答时往往更喜欢长的那个（Singhal 等 2023 发现，奖励模型学到的很大一部分是长度）。怎样查出你自己的数据对是不是这样？
# 是的话怎么办？（好的回答会去看长度相等的数据对，或者较差的回答更长的数据对；会让两边平衡；也不会相信用同样方式收集的数据对测出的数字。）
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture and the course | here |
# |---|---|
# | stage 3: fine-tune on data that follow human preference | 80 steps: full sentences from 20 to 25 % to over 80 % |
# | SFT learns the process, preference judges the whole | the pair's loss uses only sums over answers; one token decides the truth |
# | a reward model imitates taste and can be over-optimised | best of n: reward up, wanted answers up and then down |
# | DPO skips the reward model | and without a hold on what is known it lost half of the facts or more |
# | AlphaGo: imitate first, then play to win | Go has a rule for who won; “people like it” is only estimated, so winning can be faked |
#
# AI feedback can replace human feedback (Bai et al. 2022): then the judge is a model as well, and the section on the reward model applies.
#
# ## To discuss in class
#
# 1. Your team reports “DPO accuracy 100 %, loss 0.001”. Which three figures do you ask for before it is released? (A good answer: the quality
#    of generated answers on held-out prompts, the log-probability of the chosen answers, the control; harmful and harmless apart.)
# 2. Who should be asked which answer is better, and may a majority decide what is refused? (A good answer distinguishes facts, taste and
#    harm, notices that annotators' fatigue and a liking for length enter the reward, and that a refusal also has victims.)
#
# ## Homework
#
# `sequence_log_probs`, `bradley_terry_loss`, `dpo_loss`. Write them in the cells below, or in
# `lessons/13_preference/homework.py`, which is what you hand in. `check("dpo_loss")` says at once which idea goes
# wrong, `hint("dpo_loss")` helps in three steps, `reset("dpo_loss")` begins anew, `progress()` shows how far you are.
# In a terminal `python -m minillm homework 13` grades the file, `python -m minillm homework 13 --watch` does so
# whenever you save it.
#
# ## References
#
# - L. Ouyang et al. 2022, *Training language models to follow instructions with human feedback* (InstructGPT), arXiv 2203.02155.
# - R. Rafailov et al. 2023, *Direct Preference Optimization: Your Language Model is Secretly a Reward Model*, arXiv 2305.18290.
# - R. Y. Pang et al. 2024, *Iterative Reasoning Preference Optimization*, arXiv 2404.19733 (the likelihood term).
# - K. Ethayarajh et al. 2024, *KTO: Model Alignment as Prospect Theoretic Optimization*, arXiv 2402.01306.
# - L. Gao, J. Schulman, J. Hilton 2022, *Scaling Laws for Reward Model Overoptimization*, arXiv 2210.10760.
# - P. Singhal et al. 2023, *A Long Way to Go: Investigating Length Correlations in RLHF*, arXiv 2310.03716.
# - Y. Bai et al. 2022, *Constitutional AI: Harmlessness from AI Feedback*, arXiv 2212.08073.
# - R. A. Bradley, M. E. Terry 1952, *Rank Analysis of Incomplete Block Designs: I. The Method of Paired Comparisons*, Biometrika 39.
# - D. Silver et al. 2016, *Mastering the game of Go with deep neural networks and tree search*, Nature 529.
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 第三阶段：使用符合人类偏好的数据进行微调 | 80 步：完整句子从 20 到 25 % 升到 80 % 以上 |
# | SFT 学过程，偏好看整体 | 一对数据的损失只用到整个回答的总和；真假只由一个词元决定 |
# | 奖励模型模仿人的口味，会被过度优化 | n 选一：奖励一直升，想要的回答先升后降 |
# | DPO 省掉了奖励模型 | 如果不设法保住已有的知识，丢掉了一半或更多的事实 |
# | AlphaGo：先模仿，再为赢而下 | 围棋有规则判输赢；“人喜欢”只能估计，所以可以“假赢” |
#
# AI 的反馈可以代替人的反馈（Bai 等 2022）：那样评委也是一个模型，奖励模型那一节说的同样适用。
#
# ## 课堂讨论
#
# 1. 团队报告说“DPO 准确率 100 %，损失 0.001”。发布之前你要看哪三个数？（好的回答：在没见过的问题上生成的回答质量、被选中回答的对数概率、
#    对照；有害和无害分开看。）
# 2. 该让谁来评哪个回答更好？拒绝什么，可以由多数人决定吗？（好的回答会区分事实、口味和危害，会注意到标注者的疲劳和对长回答的偏爱都会进入
#    奖励，也会想到拒绝同样会伤害人。）
#
# ## 作业
#
# `sequence_log_probs`、`bradley_terry_loss`、`dpo_loss`。写在下面的单元格里，或者写在
# `lessons/13_preference/homework.py` 里，最后交的是这个文件。`check("dpo_loss")` 马上告诉你是哪个想法错了，
# `hint("dpo_loss")` 分三步提示，`reset("dpo_loss")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 13` 批改这个文件，`python -m minillm homework 13 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - L. Ouyang 等 2022，*Training language models to follow instructions with human feedback*（InstructGPT），arXiv 2203.02155。
# - R. Rafailov 等 2023，*Direct Preference Optimization: Your Language Model is Secretly a Reward Model*，arXiv 2305.18290。
# - R. Y. Pang 等 2024，*Iterative Reasoning Preference Optimization*，arXiv 2404.19733（似然项）。
# - K. Ethayarajh 等 2024，*KTO: Model Alignment as Prospect Theoretic Optimization*，arXiv 2402.01306。
# - L. Gao, J. Schulman, J. Hilton 2022，*Scaling Laws for Reward Model Overoptimization*，arXiv 2210.10760。
# - P. Singhal 等 2023，*A Long Way to Go: Investigating Length Correlations in RLHF*，arXiv 2310.03716。
# - Y. Bai 等 2022，*Constitutional AI: Harmlessness from AI Feedback*，arXiv 2212.08073。
# - R. A. Bradley, M. E. Terry 1952，*Rank Analysis of Incomplete Block Designs: I. The Method of Paired Comparisons*，Biometrika 39。
# - D. Silver 等 2016，*Mastering the game of Go with deep neural networks and tree search*，Nature 529。
