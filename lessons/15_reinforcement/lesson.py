# %% [markdown] tags=["en"]
# # 15 Practice: reinforcement learning
#
# [The lecture][lecture]'s third stage in its own words: *take part in practice, polish the skills* (参与实战，打磨技巧). In stage 2 a teacher wrote
# the answers. Now the model writes them itself, is told only how good each was, and learns from that: **reinforcement learning**.
# In lesson 13 preferences were learned from given pairs; here nothing is given but a reward.
#
# After this lesson you can
# - derive the policy gradient for one decision, check it by finite differences, and say what a baseline is for;
# - run GRPO on a small GPT, and read its curves: reward, KL, what it cost elsewhere;
# - say what the clipped ratio of PPO and the KL to the reference hold back, and show what happens without them.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 15 实战：强化学习
#
# [课上][lecture]的第三阶段：*参与实战，打磨技巧*。第二阶段里，回答是老师写的。现在模型自己写回答，别人只告诉它每个回答有多好，它就从中学习：
# 这就是**强化学习（reinforcement learning）**。第 13 课从现成的成对数据里学偏好；这里除了奖励什么也不给。
#
# 学完这一课，你能够
# - 为一次选择推导策略梯度，用有限差分检验，并说出基线有什么用；
# - 在小 GPT 上运行 GRPO，读懂它的曲线：奖励、KL，以及在别处付出的代价；
# - 说出 PPO 的截断比值和到参考模型的 KL 各拉住了什么，并演示没有它们会怎样。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import numpy as np
import torch

from minillm.classroom.lesson_tools import draw_matrix, label, say, show_claim, show_figure, show_table, show_tokens
from minillm.plumbing import plots

pays = np.array([1.0, 0.2])  # A, B


def policy(theta):
    """π(A) and π(B)."""
    p = 1 / (1 + np.exp(-theta))
    return np.array([p, 1 - p])


def expected(theta):
    return policy(theta) @ pays


def draw(theta, n, rng):
    """n actions: 0 for A, 1 for B."""
    return (rng.random(n) >= policy(theta)[0]).astype(int)


def score(theta, actions):
    """∇ log π(action): 1 - p for A, -p for B."""
    return (actions == 0) - policy(theta)[0]


# %% [markdown] tags=["en"]
# ## One decision: a bandit
#
# The smallest model there is: it says A or B, and nothing else. One parameter θ, π(A) = σ(θ): a coin whose bias can be learned. A pays 1.0,
# B pays 0.2; the model does not know this, it only gets the payment for what it said. (A machine with arms that pay differently is called a
# *bandit*.) We want the θ with the highest expected payment J(θ) = Σ π(a) r(a).
#
# No derivative goes through the payment: it is a number from outside. But it goes through the probabilities:
#
# ∇J = Σ r(a) ∇π(a) = Σ π(a) · r(a) · ∇ log π(a), because ∇ log π = ∇π / π.
#
# The right side is a mean over what the model itself says. So say something, look at the reward, and move along
# **r · ∇ log π(a)**: the *policy gradient*, REINFORCE (Williams 1992). For our coin ∇ log π is 1 - p for A and -p for B.
#
# **Before you run it:** B was said and paid 0.2. In which direction does this step move θ? Is that the right one? And the mean of
# 10,000 such steps?
# %% [markdown] tags=["zh"]
# ## 一次选择：老虎机
#
# 最小的模型：它只会说 A 或者 B。一个参数 θ，π(A) = σ(θ)：一枚可以学习偏向的硬币。A 得 1.0，B 得 0.2；模型并不知道，它只拿到自己所说
# 的那个的报酬。（几个摇臂报酬不同的机器叫*老虎机*，bandit。）我们要找期望报酬 J(θ) = Σ π(a) r(a) 最大的 θ。
#
# 导数穿不过报酬：那是外面给的一个数。但它穿得过概率：
#
# ∇J = Σ r(a) ∇π(a) = Σ π(a) · r(a) · ∇ log π(a)，因为 ∇ log π = ∇π / π。
#
# 右边是对模型自己所说的取平均。所以：说一个，看奖励，沿 **r · ∇ log π(a)** 走一步。这就是*策略梯度*（policy gradient），
# REINFORCE（Williams 1992）。对我们的硬币，∇ log π 在 A 处是 1 - p，在 B 处是 -p。
#
# **运行之前先猜：** 说了 B，得到 0.2。这一步把 θ 推向哪边？方向对吗？一万个这样的步子平均起来呢？
# %%
theta, h = 0.3, 1e-5
p = policy(theta)[0]
actions = draw(theta, 10_000, np.random.default_rng(0))
steps = pays[actions] * score(theta, actions)
show_table(
    [say("gradient of J", "J 的梯度"), say("value", "值")],
    [
        [say("by finite differences", "有限差分"), (expected(theta + h) - expected(theta - h)) / (2 * h)],
        ["Σ π · r · ∇ log π", float(sum(policy(theta) * pays * score(theta, np.arange(2))))],
        [say("one step: A, paid 1.0", "一步：A，得 1.0"), float(pays[0] * (1 - p))],
        [say("one step: B, paid 0.2", "一步：B，得 0.2"), float(pays[1] * -p)],
        [say("mean of 10,000 steps", "一万步的平均"), float(steps.mean())],
        [say("… standard error", "……标准误"), float(steps.std() / 100)],
    ],
)
# %% [markdown] tags=["en"]
# After B the step goes down, towards *more* B: it was paid, so it is praised. The single step is wrong; only the mean is right, because A
# is praised five times as hard. The formula, the finite difference and the mean of samples agree within the error.
#
# ## A baseline
#
# Praise for everything cannot be clever. Suppose both payments are 10 higher, 11.0 and 10.2: which answer is better is the same as before, and so is the gradient. Subtract a number b from
# the reward, the **baseline**: the mean of (r - b) · ∇ log π is the same for every b, for Σ π · b · ∇ log π = b · ∇ Σ π = b · ∇ 1 = 0.
# What is left, r - b, is called the **advantage**.
#
# **Before you run it:** for which b is the noise of a single step smallest: 0, the mean payment, or the payment of the best? Then 20 coins
# learn for 200 steps, one sample a step, with b = 0 and with b = the running mean of the payments. How many of 20 end at A?
# %% [markdown] tags=["zh"]
# 说了 B 之后，这一步往下走，也就是*更多*的 B：它得了报酬，就受到表扬。单独一步是错的；只有平均是对的，因为 A 受的表扬是五倍。公式、
# 有限差分和样本平均在误差内一致。
#
# ## 基线
#
# 什么都表扬，算不上聪明。假设两个报酬都多 10，即 11.0 和 10.2：哪个更好没有变，梯度也没有变。从奖励里减去一个数 b，叫**基线
# （baseline）**：(r - b) · ∇ log π 的平均对任何 b 都一样，因为 Σ π · b · ∇ log π = b · ∇ Σ π = b · ∇ 1 = 0。剩下的 r - b 叫**优势
# （advantage）**。
#
# **运行之前先猜：** b 取多少，单独一步的噪声最小：0、平均报酬，还是最好的报酬？然后让 20 枚硬币各学 200 步，每步一个样本，b = 0 或者
# b = 报酬的移动平均。20 枚里有几枚最后选 A？
# %%
more = pays + 10


def learn(with_baseline, seed, rate=0.1, n=200):
    """π(A) after each step, one sample a step."""
    rng, theta, mean, curve = np.random.default_rng(seed), 0.0, 10.6, []
    for _ in range(n):
        action = int(draw(theta, 1, rng)[0])
        theta += rate * (more[action] - mean * with_baseline) * score(theta, action)
        mean += 0.1 * (more[action] - mean)
        curve.append(policy(theta)[0])
    return curve


baselines = np.linspace(6, 15, 19)
weights = policy(theta)[:, None]  # (2) -> (2, 1)
each = (more[:, None] - baselines) * score(theta, np.arange(2))[:, None]  # (2, 19)
mean_step = (weights * each).sum(0)
noise = np.sqrt((weights * each**2).sum(0) - mean_step**2)
runs = {b: np.array([learn(b, seed) for seed in range(20)]) for b in (0, 1)}
# %% tags=["fold"]
figure, axes = plots.new_figure(3, size=(4.0, 3.2))
axes[0, 0].plot(baselines, noise, color="#d62728", label=label("deviation of one step", "一步的标准差"))
axes[0, 0].plot(baselines, mean_step, color="#2ca02c", label=label("mean step", "步子的平均"))
axes[0, 0].axvline(policy(theta) @ more, color="#555555", linewidth=0.8, linestyle="--")
axes[0, 0].set(title=label("dashed: the mean payment", "虚线：平均报酬"), xlabel=label("baseline b", "基线 b"),
               ylabel=label("gradient of θ", "θ 的梯度"))  # fmt: skip
axes[0, 0].legend(fontsize=8)
named = {0: label("without a baseline", "没有基线"), 1: label("with a baseline", "有基线")}
for b, colour in ((0, "#d62728"), (1, "#2ca02c")):
    axes[0, 1 + b].plot(runs[b].T, color=colour, alpha=0.5, linewidth=0.9)
    axes[0, 1 + b].set(title=named[b], xlabel=label("step", "步"), ylabel="π(A)", ylim=(-0.03, 1.03))
for one in axes[0]:
    one.grid(alpha=0.3)
show_figure(figure)
# %%
ends = {b: runs[b][:, -1] for b in runs}
show_table(["", say("end at A (π > 0.8)", "最后选 A（π > 0.8）"), say("end at B (π < 0.2)", "最后选 B（π < 0.2）")],
           [[named[b], f"{(e > 0.8).sum()} / 20", f"{(e < 0.2).sum()} / 20"] for b, e in ends.items()])  # fmt: skip
# %% [markdown] tags=["en"]
# The mean step does not depend on b; its deviation does, and is smallest near the mean payment. Without a baseline about half of the
# coins learn the *worse* answer: whatever is said first is praised with 11 or 10.2, said more often, praised again. With a
# baseline all of them find A. Nothing in the task has changed but the number that is subtracted.
#
# ## A language of two tokens
#
# A language model makes many decisions in a row, and the reward comes when all is written. The probability of a text is a product, its
# logarithm a sum, and so is the gradient: **every token of an answer is pushed with the same advantage**, A · Σ ∇ log π(token).
#
# Our language has two tokens, a and b, and [END]; the model is a bigram table of logits, 3 × 3: from the beginning, after a, after b. At most three tokens.
# There are only 15 texts, so the exact gradient can be had. The reward is 3 for `a b [END]`, and 2 for everything else.
#
# **Before you run it:** all logits are 0. In which three cells of the table is the exact gradient positive? What will 64 sampled texts
# make of it? (One text in 27 is the wanted one.)
# %% [markdown] tags=["zh"]
# 步子的平均和 b 无关；标准差有关，在平均报酬附近最小。没有基线时，大约一半的硬币学到了*较差*的答案：先说了哪个，就得到 11 或 10.2 的
# 表扬，于是说得更多，再受表扬。有了基线，全都找到了 A。任务没有变，变的只是减去的那个数。
#
# ## 只有两个词元的语言
#
# 语言模型要接连做许多选择，写完了才有奖励。一段文本的概率是乘积，对数就是求和，梯度也是求和：**答案里每个词元都用同一个优势来推**，
# A · Σ ∇ log π(词元)。
#
# 我们的语言有两个词元 a、b，加上 [END]；模型是一张 3 × 3 的 bigram logits 表：在开头、在 a 之后、在 b 之后。最多三个词元。一共只有
# 15 种文本，所以可以算出精确的梯度。写出 `a b [END]` 奖励 3，其他都是 2。
#
# **运行之前先猜：** 所有 logits 都是 0。表里哪三格的精确梯度是正的？64 段采样的文本会给出什么样的估计？（27 段里平均有一段是想要的。）
# %%
NAMES, END, LONGEST = ("a", "b", "[END]"), 2, 3


def all_texts():
    """Everything that can be written: up to [END], or LONGEST tokens."""
    found, going_on = [], [()]
    for _ in range(LONGEST):
        grown = [(*text, token) for text in going_on for token in range(3)]
        found += [text for text in grown if text[-1] == END]
        going_on = [text for text in grown if text[-1] != END]
    return found + going_on


def text_log_prob(table, text):
    """Σ log π(token | the token before); the row of [END] is the beginning."""
    logs = table.log_softmax(-1)
    return sum(logs[before, token] for before, token in zip((END, *text[:-1]), text, strict=True))


texts = all_texts()
is_wanted = torch.tensor([text == (0, 1, END) for text in texts])  # (15)
rewards = torch.where(is_wanted, 3.0, 2.0)


def text_log_probs(table):
    return torch.stack([text_log_prob(table, text) for text in texts])  # (15)


def exact_gradient(table):
    table = table.clone().requires_grad_()
    (text_log_probs(table).exp() * rewards).sum().backward()
    return table.grad


def sampled_gradient(table, n, baseline, generator):
    """The mean of A · Σ ∇ log π over n sampled texts."""
    table = table.clone().requires_grad_()
    logs = text_log_probs(table)
    drawn = torch.multinomial(logs.detach().exp(), n, replacement=True, generator=generator)
    advantages = rewards[drawn] - (rewards[drawn].mean() if baseline else 0.0)
    (advantages * logs[drawn]).mean().backward()
    return table.grad


table = torch.zeros(3, 3, dtype=torch.float64)
exact = exact_gradient(table)
nudged = table.clone()
nudged[1, END] += 1e-5
expectations = [(text_log_probs(t).exp() * rewards).sum().item() for t in (nudged, table)]
print(say("after b, [END]: finite difference", "b 之后 [END]：有限差分"), round((expectations[0] - expectations[1]) / 1e-5, 5),
      say("gradient", "梯度"), round(exact[1, END].item(), 5))  # fmt: skip
generator = torch.Generator().manual_seed(2)
estimates = {b: sampled_gradient(table, 64, b, generator) for b in (False, True)}
# %% tags=["fold"]
figure, axes = plots.new_figure(4, size=(3.3, 3.2))
rows = ["a", "b", label("beginning", "开头")]
for one, matrix, title in zip(axes[0], (exact, *estimates.values()),
                              (label("exact", "精确"), label("64 texts", "64 段文本"), label("64 texts, baseline", "64 段，有基线")), strict=False):  # fmt: skip
    draw_matrix(one, matrix.numpy(), rows, NAMES, title, symmetric=True)
    one.set(xlabel=label("next token", "下一个词元"), ylabel=label("token before", "前一个词元"))
for baseline, colour in ((False, "#d62728"), (True, "#2ca02c")):
    for seed in range(5):
        generator, learned, curve = torch.Generator().manual_seed(seed), table.clone(), []
        for _ in range(80):
            learned += 3.0 * sampled_gradient(learned, 16, baseline, generator)
            curve.append(text_log_probs(learned)[is_wanted].exp().item())
        name = (label("with a baseline", "有基线") if baseline else label("without", "没有")) if seed == 0 else None
        axes[0, 3].plot(curve, color=colour, alpha=0.7, linewidth=1, label=name)
axes[0, 3].set(xlabel=label("step of 16 texts", "步，每步 16 段"), ylabel="p(a b [END])", ylim=(0, 1),
               title=label("learning", "学习"))  # fmt: skip
axes[0, 3].grid(alpha=0.3)
axes[0, 3].legend(fontsize=7)
show_figure(figure)
# %% [markdown] tags=["en"]
# Sixty-four texts without a baseline give a picture that is hardly the exact one; with a baseline it is clear, and all five models learn the
# text, while without one some learned to write something else. Positive are a in the beginning, b after a, [END] after b: the three decisions of the wanted text, all with the same share of its reward, though
# nobody said which of them made it good. That is what SFT on `a b [END]` would do as well; the difference is where the text comes
# from: from the model itself, and only because it had written it by chance. **What the model never writes, it cannot
# learn this way.** So stage 3 comes after stage 2.
#
# ## Rollouts
#
# Now a real, small GPT: the base of the other lessons after a short SFT (80 steps). An answer that the model writes to
# learn from it is called a **rollout**. `sample` writes a group of them to each question, at temperature 1, with the
# log-probability of every token as it was drawn, and a weight that is 1 for the model's own tokens only.
#
# The reward is *verified*: 1 if the answer is a full sentence and true, else 0. A program looks it up in the world's table; no human
# and no reward model is asked. After SFT fewer than one answer in ten gets it.
#
# **Before you run it:** eight answers to one question: how many of them differ? From which questions will nothing be learned at all?
# %% [markdown] tags=["zh"]
# 没有基线时，64 段文本给出的图和精确的很不像；有了基线就清楚了，五个模型都学会了，没有基线的有些学成了别的。为正的是：开头的 a、a 之后的 b、b 之后的 [END]，也就是想要的那段文本的三个选择，各分到同样多的奖励，虽然没有人说过好在哪一个。用
# `a b [END]` 做 SFT 也会这样推；区别在于文本从哪里来：从模型自己来，而且只是因为它碰巧写出来了。**模型从来不写的东西，用这个办法学
# 不到。** 所以第三阶段在第二阶段之后。
#
# ## 采样回答（rollout）
#
# 现在换成真正的小 GPT：其他几课用的基础模型，再做短短的 SFT（80 步）。模型为了从中学习而写的回答叫 **rollout**。`sample` 给每个问题
# 写一组，温度为 1，记下每个词元被采样时的对数概率，还有一个权重：只有模型自己写的词元才是 1。
#
# 奖励是*可验证的*：答案是完整句子而且是真的，得 1，否则得 0。由程序到世界的表格里去查，不问人，也不问奖励模型。SFT 之后，十个回答里得奖
# 的还不到一个。
#
# **运行之前先猜：** 同一个问题的八个回答，有几种不同？从哪些问题里什么也学不到？
# %%
from minillm.base_cache import world_base
from minillm.chat import Message
from minillm.sampling import Sampling
from minillm.stage2_sft import SFTConfig, sft
from minillm.stage3_preference.rewards import named_rewards
from minillm.stage3_preference.rollouts import encode_prompts, sample
from minillm.world.pairs import sft_dialogues
from minillm.world.tables import load_world, split_places

base, world = world_base(), load_world()
tokenizer = base.run.tokenizer
assistant = sft(SFTConfig(steps=80, rehearse_rows=4, validation=0.0), base.run, sft_dialogues(world, 0), base.documents)
taught, _ = split_places(world, 0)
conversations = [[Message("user", text)] for place, language, relation, _ in world.facts(taught)
                 for text in world.write("question", place, relation, language)]  # fmt: skip
reward = named_rewards(["true-sentence"], world)
sampling = Sampling(max_new_tokens=24, temperature=1.0, seed=3)
prompts = encode_prompts(conversations, tokenizer, room=64)
some = prompts[5 :: len(prompts) // 24][:24]
rollouts = sample(assistant.gpt, tokenizer, some, reward, sampling, group=8)
groups = rollouts.rewards.view(24, 8)  # (192) -> (N, G)
mixed = [i for i, group in enumerate(groups) if 0 < group.sum() < 8]
print(len(conversations), say("questions; of 24 groups there are", "个问题；24 组里，"),
      len(mixed), say("with both rewards,", "组两种奖励都有，"), int((groups.sum(-1) == 0).sum()),
      say("with 0 only,", "组全是 0，"), int((groups.sum(-1) == 8).sum()), say("with 1 only", "组全是 1"))  # fmt: skip
i = mixed[0]
show_table([some[i].question, say("reward", "奖励")],
           [[rollouts.answers[8 * i + k], int(groups[i, k])] for k in range(8)])  # fmt: skip
# %%
row = 8 * i + int(groups[i].argmax())
ids = rollouts.batch.targets[row].tolist()
names = [tokenizer.decode([token], special=True) for token in ids]
weight = rollouts.batch.weights[row].tolist()
shown = [k for k, token in enumerate(ids) if token != tokenizer.pad]
show_tokens([names[k] for k in shown], ["#c9e7cb" if weight[k] else "#eceff1" for k in shown],
            [f"{rollouts.log_probs[row, k]:.2f}" if weight[k] else "" for k in shown])  # fmt: skip
# %% [markdown] tags=["en"]
# The answers to a question differ in style, and some in the fact. Where all eight are right, or all wrong, every
# answer is as good as the others: from those groups, about half of them, nothing can be learned. Green is what the model wrote, its [END] too; the
# question is not its doing and gets no gradient.
#
# ## Better than the others: GRPO
#
# Which baseline should a language model have? The mean payment is a different one for each question. PPO trains a second network, the **critic**,
# to guess it. **GRPO** (group-relative policy optimisation, 2402.03300; it became famous with DeepSeek-R1) takes the mean over the group: the other answers to *the same question*.
# A = (r - mean) / (standard deviation + 1e-4).
#
# **Before you run it:** what are the advantages if one of eight is right? If seven are? Which single answer is pushed hardest?
# %% [markdown] tags=["zh"]
# 同一个问题的回答，有的风格不同，有的事实不同。八个全对或者全错时，每个回答都和别的一样好：这样的组约占一半，从中什么也学不到。绿色是
# 模型写的，[END] 也在内；问题不是它写的，没有梯度。
#
# ## 比同组的好：GRPO
#
# 语言模型该用什么基线？每个问题的平均报酬都不同。PPO 训练第二个网络，**价值网络（critic）**，去猜它。**GRPO**（group-relative policy
# optimisation，2402.03300；因 DeepSeek-R1 而出名）用组内平均：*同一个问题*的其他回答。A = (r - 平均) / (标准差 + 1e-4)。
#
# **运行之前先猜：** 八个里对一个时，优势各是多少？对七个呢？哪一个回答被推得最用力？
# %%
from minillm.stage3_preference.grpo import group_advantages

right = (0, 1, 4, 7, 8)
eights = torch.tensor([[1.0] * k + [0.0] * (8 - k) for k in right])  # (5, 8)
divided, plain = (group_advantages(eights, by_std) for by_std in (True, False))
show_table([say("right of 8", "8 个里对的"), say("advantage of a right one", "对的优势"), say("of a wrong one", "错的优势"),
            say("not divided: right", "不除：对"), say("wrong", "错")],
           [[f"{k}", *(f"{t[n, j]:+.2f}" if used else "" for t in (divided, plain) for j, used in ((0, k > 0), (7, k < 8)))]
            for n, k in enumerate(right)])  # fmt: skip
# %% [markdown] tags=["en"]
# One right answer among eight gets +2.47, the seven wrong ones -0.35 each; with seven right it is the other way round. Rare successes are
# pushed hard; equal rewards give 0. (Dividing makes nearly decided questions count more; Dr. GRPO leaves it out.)
#
# Now it learns: 30 steps; in each 10 questions about the taught places are drawn, 8 answers each; next to them four rows of stage 1's text are
# rehearsed. The exam then asks about places that neither SFT nor the reward spoke of.
#
# **Before you run it:** full sentences are about 20 % now. How many after 30 steps? And the facts, which are part of the reward: up or down on
# the places that were not trained?
# %% [markdown] tags=["zh"]
# 八个里对一个，它得 +2.47，七个错的各得 -0.35；对七个时反过来。难得的成功推得最用力；奖励全相等就是 0。（除以标准差，会让快有定论的问题
# 分量更重；Dr. GRPO 不除。）
#
# 现在让它学：30 步，每步抽 10 个关于教过的地方的问题，各写 8 个回答；另外再复习四行第一阶段的文本。之后的考试问的是 SFT 和奖励都没讲过的地方。
#
# **运行之前先猜：** 现在完整句子约占 20 %，30 步之后是多少？事实也在奖励之内：在没训练过的地方，它会升还是会降？
# %%
from minillm.measure import evaluate
from minillm.stage3_preference.grpo import GRPOConfig, grpo
from minillm.world.exam import Exam, make_exam

questions = tuple(q for q in make_exam(world, 0).questions if q.phrasing == "seen")[::2]


def exam_of(run):
    """The answers, and the shares of right ones and of full sentences."""
    paper = evaluate.sit(run, Exam(questions, ()))
    full = np.mean([q.is_full_sentence(text) and ended
                    for q, (text, ended) in zip(questions, paper.questions, strict=True)])  # fmt: skip
    return [text for text, _ in paper.questions], evaluate.exact_match(paper)["all"], float(full)


config = GRPOConfig(steps=30, batch_size=10, lr=8e-5, beta=0.05, max_new_tokens=24, rehearse_rows=4)
practised = grpo(config, assistant, conversations, base.documents)
marks = {say("after SFT", "SFT 之后"): exam_of(assistant), say("after GRPO", "GRPO 之后"): exam_of(practised)}
show_table([say("257 questions, share of", "257 个问题，比例"), say("right", "答对"), say("full sentences", "完整句子")],
           [[name, right, full] for name, (_, right, full) in marks.items()])  # fmt: skip
# %% tags=["fold"]
figure, axes = plots.new_figure(3, size=(4.0, 3.0))
for one, (name, title, unit) in zip(axes[0], (
    ("reward", label("reward: true and a full sentence", "奖励：真，且是完整句子"), label("mean", "平均")),
    ("kl", label("distance to the reference", "到参考模型的距离"), label("KL, nats per token", "KL，奈特/词元")),
    ("length", label("length of the answers", "回答的长度"), label("tokens", "词元"))), strict=True):  # fmt: skip
    values = [m[name] for m in practised.metrics]
    one.plot(values, color="#1f77b4", alpha=0.3, linewidth=0.9)
    one.plot(plots.smooth(values, 5), color="#1f77b4", linewidth=1.8)
    one.set(title=title, ylabel=unit, xlabel=label("step (bold: mean of 5)", "步（粗线：5 步平均）"))
    one.set_ylim(bottom=0)
    one.grid(alpha=0.3)
show_figure(figure)
# %%
en, zh = (next(k for k, q in enumerate(questions) if q.language == lang) for lang in ("en", "zh"))
show_table([say("question", "问题"), *marks],
           [[questions[k].text, *(texts[k] for texts, _, _ in marks.values())] for k in (en, en + 9, zh, zh + 9, zh + 21)])  # fmt: skip
# %% [markdown] tags=["en"]
# Nobody wrote a full sentence for these 30 steps to copy: the model wrote them, was rewarded, and wrote more of them. The reward rises, jumping about: 10 other
# questions a step. In 30 steps about half of the answers have become sentences. It also
# costs: of the facts about places that were not asked some ten points are lost (17 in a run without rehearsal), because
# every step that makes one answer likelier makes others less likely. More questions a step, a lower rate and more steps keep them better.
#
# ## Several updates with one sample: PPO
#
# Writing answers is the expensive part. Can one batch of them serve for several updates? After the first update the model is no
# longer the one that sampled. The **ratio** ρ = π(token) / π_sampled(token) corrects for that: the mean of ρ · A is the right one.
# But it is only right for small moves. **PPO** (1707.06347) therefore takes the smaller one of ρ · A and clip(ρ, 1 - ε, 1 + ε) · A.
#
# **Before you run it:** for A = +1, from which ρ on is the gradient 0? And for A = -1? Then our coin again: one batch of 8, by
# bad luck with five B that were paid better than the mean, is used for 60 updates. Where does π(B) go, with and without clipping?
# %% [markdown] tags=["zh"]
# 这 30 步里没有谁写好完整句子让它抄：模型自己写出来，得了奖励，就写得更多。奖励在上升，也在跳动：每步是另外 10 个问题。30 步之后，约一半的回答成了句子。
# 代价也有：没问到的地方，事实丢了十个百分点左右（不复习的一次丢了 17），因为每一步让一个回答更可能，就让别的更不可能。每步多问几个问题、
# 学习率低一些、步数多一些，保住的就更多。
#
# ## 一次采样，多次更新：PPO
#
# 写回答最费时间。一批回答能不能用来更新好几次？第一次更新之后，模型就不再是采样时的那个了。**比值** ρ = π(词元) / π_sampled(词元) 可以
# 修正：ρ · A 的平均是对的。但只有移动很小时才靠得住。所以 **PPO**（1707.06347）取 ρ · A 和 clip(ρ, 1 - ε, 1 + ε) · A 中较小的一个。
#
# **运行之前先猜：** A = +1 时，ρ 从多少起梯度为 0？A = -1 呢？再回到硬币：一批 8 个，运气不好，其中五个 B 的报酬高于平均；用它更新
# 60 次。有截断和没有截断，π(B) 各会走到哪里？
# %%
from minillm.stage3_preference.grpo import clipped

ratios = torch.linspace(0.4, 1.8, 141)
objective = {a: -clipped(ratios.log(), torch.zeros(141), torch.full((141,), a)) for a in (1.0, -1.0)}
batch_b = torch.tensor([1.0] * 5 + [0.0] * 3)  # 1 for B
lucky = batch_b - batch_b.mean()  # advantages of this one batch
curves = {}
for name in ("clipped", "free"):
    odds, curve = torch.zeros((), requires_grad=True), []  # log-odds of B
    sampled = torch.full((8,), 0.5).log()
    for _ in range(60):
        prob = torch.where(batch_b > 0, odds.sigmoid(), 1 - odds.sigmoid())
        ratio_loss = -(prob.log() - sampled).exp() * lucky
        loss = (clipped(prob.log(), sampled, lucky) if name == "clipped" else ratio_loss).mean()
        (slope,) = torch.autograd.grad(loss, odds)
        odds = (odds - 0.6 * slope).detach().requires_grad_()
        curve.append(odds.sigmoid().item())
    curves[name] = curve
# %% tags=["fold"]
figure, axes = plots.new_figure(3, size=(4.0, 3.1))
for one, (a, line), colour in zip(axes[0], objective.items(), ("#2ca02c", "#d62728"), strict=False):
    one.plot(ratios, a * ratios, color="#8c8c8c", linestyle="--", linewidth=1, label="ρ · A")
    one.plot(ratios, line, color=colour, linewidth=2, label=label("clipped", "截断"))
    one.axvspan(0.8, 1.2, color="#eeeeee")
    one.set(title=f"A = {a:+.0f}", xlabel="ρ = π / π_sampled", ylabel=label("objective", "目标"))
    one.legend(fontsize=8)
for name, colour, title in (
    ("free", "#d62728", label("not clipped", "不截断")),
    ("clipped", "#2ca02c", label("clipped", "截断")),
):
    axes[0, 2].plot(curves[name], color=colour, label=title)
axes[0, 2].axhline(0.6, color="#555555", linewidth=0.8, linestyle="--")
axes[0, 2].set(title=label("one batch, 60 updates (dashed: ρ = 1.2)", "一批样本，更新 60 次（虚线：ρ = 1.2）"),
               xlabel=label("update", "更新"), ylabel="π(B)", ylim=(0.4, 1))  # fmt: skip
axes[0, 2].legend(fontsize=8)
for one in axes[0]:
    one.grid(alpha=0.3)
show_figure(figure)
# %% [markdown] tags=["en"]
# For A = +1 the line is flat beyond 1.2: a good token has been made likelier enough, no more reward for it. For A = -1 it is flat below 0.8. On the
# other sides it is not: whoever went the wrong way is brought back. Eight samples are no proof, and without clipping the
# coin believes them more with every update; with clipping it stops soon after ρ = 1.2 and waits for a new sample.
#
# <!-- go on -->
#
# In our `grpo` each sample is used once by default, so that ρ = 1 and nothing is clipped; `rl --epochs 2` uses it again. PPO's critic estimates for each token what is still to come; from its errors the
# advantages are added up backwards (**GAE**, 1506.02438). You write both in the homework.
#
# ## How far from the reference: k1 and k3
#
# The other leash is the **KL** to the reference, the model before practice: KL = Σ π log(π / π_ref), over all tokens that could have come.
# In practice one has only the token that was drawn, and u = log π_ref - log π of it. Schulman's estimates: k1 = -u; k3 = eᵘ - 1 - u.
#
# We ask for the first token of an answer after 30 steps of GRPO, and draw it 2,000 times.
#
# **Before you run it:** both have the right mean. Which can be negative for a single token? Which scatters less?
# %% [markdown] tags=["zh"]
# A = +1 时，线在 1.2 之后是平的：好的词元已经够可能了，再多没有奖励。A = -1 时在 0.8 之下是平的。另外两边不平：走反了的会被拉回来。八个
# 样本说明不了什么，没有截断时，硬币每更新一次就更相信它们；有截断时，过了 ρ = 1.2 就停下，等新的样本。
#
# <!-- go on -->
#
# 我们的 `grpo` 默认每批样本只用一次，所以 ρ = 1，不会截断；`rl --epochs 2` 会再用一次。PPO 的价值网络给每个词元估计后面还能得到多少；从它的误差往回累加得到优势
# （**GAE**，1506.02438）。两者都在作业里写。
#
# ## 离参考模型有多远：k1 和 k3
#
# 另一根缰绳是到参考模型（练习之前的模型）的 **KL**：KL = Σ π log(π / π_ref)，对所有可能出现的词元求和。实际上只有采样到的那个词元，以及
# 它的 u = log π_ref - log π。Schulman 的估计：k1 = -u；k3 = eᵘ - 1 - u。
#
# 取 30 步 GRPO 之后回答的第一个词元，采样 2,000 次。
#
# **运行之前先猜：** 两者的平均都是对的。哪个在单个词元上会是负的？哪个波动小？
# %%
from minillm.stage3_preference.grpo import kl_estimate

ids = torch.tensor([some[mixed[0]].ids])
with torch.no_grad():
    new, old = (run.gpt(ids)[0, -1].float().log_softmax(-1) for run in (practised, assistant))  # (V)
first = torch.multinomial(new.exp(), 2000, replacement=True, generator=torch.Generator().manual_seed(0))
k1, k3 = (kl_estimate(new[first], old[first], kind) for kind in ("k1", "k3"))
show_table(["", say("mean", "平均"), say("deviation", "标准差"), say("share below 0", "小于 0 的比例")],
           [[say("exact sum over the vocabulary", "对词表精确求和"), (new.exp() * (new - old)).sum().item(), "", ""],
            *([n, k.mean().item(), k.std().item(), (k < -1e-6).float().mean().item()] for n, k in (("k1", k1), ("k3", k3)))])  # fmt: skip
# %% tags=["fold"]
u = torch.linspace(-2.5, 2.5, 101)
figure, axes = plots.new_figure(2, size=(4.4, 3.1))
for name, colour in (("k1", "#8c8c8c"), ("k3", "#9467bd")):
    axes[0, 0].plot(u, kl_estimate(-u, torch.zeros(101), name), color=colour, label=name)
axes[0, 0].axhline(0, color="#555555", linewidth=0.8)
axes[0, 0].set(
    xlabel="u = log π_ref - log π", ylabel=label("estimate", "估计"), title=label("k3 is never negative", "k3 从不为负")
)
edges = np.linspace(min(k1.min().item(), 0), max(k1.max().item(), k3.max().item()) + 0.05, 30)
axes[0, 1].hist([k1.numpy(), k3.numpy()], edges, color=["#8c8c8c", "#9467bd"], label=["k1", "k3"])
axes[0, 1].set(xlabel=label("estimate, nats", "估计，奈特"), ylabel=label("tokens of 2,000", "2,000 个词元里"),
               title=label("drawn tokens", "采样的词元"))  # fmt: skip
for one in axes[0]:
    one.legend(fontsize=8)
    one.grid(alpha=0.3)
show_figure(figure)
# %% [markdown] tags=["en"]
# k1 is below 0 where the drawn token has become *less* likely than it was; a penalty below 0 for a distance is odd, though right in the mean. k3 adds something
# whose mean is 0 (eᵘ - 1) and is never below 0; as long as the two models are near, it scatters less. GRPO adds β · k3 to the loss of each token; InstructGPT
# takes β · k1 of the whole answer off the reward.
#
# ## A reward that can be fooled
#
# Now without leash and with a bad reward: `length`, characters of the answer. That is no invention: people who compare answers
# like longer ones, and reward models learn this from them (lesson 13's did). The same start, a rate that is three times as high, no KL, 12 steps. And once
# more with β = 1.
#
# **Before you run it:** how does a model that can say the capital of Sweden make an answer longer? What becomes of its facts?
# %% [markdown] tags=["zh"]
# 采样到的词元变得比原来*更不可能*时，k1 小于 0；对距离的惩罚小于 0，有点怪，尽管平均是对的。k3 加上了平均为 0 的一项（eᵘ - 1），从不小于
# 0；两个模型离得近时，它波动更小。GRPO 给每个词元的损失加上 β · k3；InstructGPT 从奖励里减去整个回答的 β · k1。
#
# ## 能骗过的奖励
#
# 现在去掉缰绳，再用一个糟糕的奖励：`length`，回答的字符数。这不是凭空编的：比较答案的人喜欢长的，奖励模型从他们那里学会了这一点（第 13
# 课的也是）。同样的起点，学习率三倍，没有 KL，12 步。再用 β = 1 做一次。
#
# **运行之前先猜：** 会说瑞典首都的模型，怎样把回答变长？它的事实会怎样？
# %%
hacking = {"reward": ("length",), "steps": 12, "batch_size": 8, "group": 6, "lr": 3e-4, "max_new_tokens": 32}
free = grpo(GRPOConfig(**hacking, kl="none"), assistant, conversations)
held = grpo(GRPOConfig(**hacking, beta=1.0), assistant, conversations)
hacked = {say("before", "之前"): assistant, say("length, no KL", "长度，没有 KL"): free,
          say("length, β = 1", "长度，β = 1"): held}  # fmt: skip
longer = {name: exam_of(run) for name, run in hacked.items()}
characters = [float(np.mean([len(text) for text in texts])) for texts, _, _ in longer.values()]
show_table([say("257 questions", "257 个问题"), say("characters", "字符数"), say("right", "答对")],
           [[name, f"{n:.0f}", right] for (name, (_, right, _)), n in zip(longer.items(), characters, strict=True)])  # fmt: skip
# %%
show_table([say("question", "问题"), *longer],
           [[questions[k].text, *(texts[k][:90] for texts, _, _ in longer.values())] for k in (en, en + 9, zh, zh + 9, zh + 21)])  # fmt: skip
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(4.4, 3.0))
for run, colour, name in ((free, "#d62728", label("no KL", "没有 KL")), (held, "#2ca02c", "β = 1")):
    axes[0, 0].plot([m["length"] for m in run.metrics], color=colour, label=name)
    axes[0, 1].plot([m["kl"] for m in run.metrics], color=colour, label=name)
axes[0, 0].set(title=label("length", "长度"), ylabel=label("tokens", "词元"), ylim=(0, 32))
axes[0, 1].set(
    title=label("distance to the reference", "到参考模型的距离"), ylabel=label("KL, nats per token", "KL，奈特/词元")
)
for one in axes[0]:
    one.set_xlabel(label("step", "步"))
    one.grid(alpha=0.3)
    one.legend(fontsize=8)
show_figure(figure)
# %% [markdown] tags=["en"]
# The reward was reached: the answers are about three times as long. First they turned into full sentences, then the sentences were filled with
# whatever makes them longer: another country, a second number, a longer word. Fewer than a third of the facts are still right, and nobody told the
# model to drop them; they were in the way of more characters. **A reward is not what you want, it is what you measure**, and practice finds every gap
# between the two. With β = 1 the answers get longer too, but most of them stop at a sentence that the SFT model might have written, and about two thirds
# are right: the KL does not know what is good, but it knows where the model comes from.
#
# ## Best of n, without any training
#
# The plainest way to more reward trains nothing: write n answers, keep the best (lesson 13 did it with a bad judge). How far does
# *that* go from the model? For answers that all differ, KL = ln n - (n - 1) / n, and at most that in general: 1.2 nats for 8.
# So best of n and GRPO can be put into one picture: reward against KL of the whole answer.
#
# **Before you run it:** of these answers about 7 % are rewarded. What would best of 8 reach if that were the chance for each question, and
# what if some questions are easy and some hopeless? Is GRPO's point above or below the curve?
# %% [markdown] tags=["zh"]
# 奖励拿到了：回答长了约两倍。先是变成完整句子，然后凡是能让句子更长的都塞进去：另一个国家、第二个数字、更长的词。事实还对的不到
# 三分之一；没有谁叫模型丢掉它们，它们只是挡了字符的路。**奖励不是你想要的，而是你测量的**，练习会找到两者之间的每一个缺口。β = 1 时回答
# 也变长，但大多停在 SFT 模型也可能写出的句子上，约三分之二还是对的：KL 不知道什么是好，但它知道模型从哪里来。
#
# ## n 选一，完全不训练
#
# 要更多的奖励，最朴素的办法什么也不训练：写 n 个回答，留最好的（第 13 课用过，评委很糟）。*这样*离模型有多远？如果回答都不相同，
# KL = ln n - (n - 1) / n，一般情况下不超过它：n = 8 时是 1.2 奈特。于是 n 选一和 GRPO 可以画在一张图上：奖励对整个回答的 KL。
#
# **运行之前先猜：** 这些回答里约有 7 % 得奖。如果每个问题都是这个概率，8 选一能到多少？如果有的问题容易、有的没希望呢？GRPO 的点在曲线上方还是下方？
# %%
from minillm.stage3_preference.best_of_n import divergence
from minillm.stage3_preference.rollouts import answer_log_probs

sizes = (1, 2, 4, 8)
kept = [groups.view(24, -1, n).amax(-1).mean().item() for n in sizes]  # (N, 8/n, n) -> (N, 8/n)
own = sample(practised.gpt, tokenizer, some, reward, sampling, group=8)
with torch.no_grad():
    reference = answer_log_probs(assistant.gpt, own.batch, 1.0)
distance = (own.log_probs - reference).sum(-1).mean().item()  # k1 of whole answers, (R, T) -> (R)
figure, axes = plots.new_figure(1, size=(5.2, 3.4))
axes[0, 0].plot(
    [divergence(n) for n in sizes],
    kept,
    marker="o",
    color="#1f77b4",
    label=label("best of n (largest KL)", "n 选一（KL 的上限）"),
)
for n, share in zip(sizes, kept, strict=True):
    axes[0, 0].annotate(f"n = {n}", (divergence(n), share), xytext=(4, -12), textcoords="offset points", fontsize=8)
axes[0, 0].plot([distance], [own.rewards.mean().item()], marker="*", markersize=13, linestyle="", color="#2ca02c",
                label=label("GRPO, 30 steps, one answer", "GRPO，30 步，一个回答"))  # fmt: skip
axes[0, 0].set(xlabel=label("KL to the SFT model, nats per answer", "到 SFT 模型的 KL，奈特/回答"),
               ylabel=label("true and a full sentence", "真，且是完整句子"), ylim=(0, 1))  # fmt: skip
axes[0, 0].grid(alpha=0.3)
axes[0, 0].legend(fontsize=8, loc="lower right")
show_figure(figure)
# %% [markdown] tags=["en"]
# With 7 % for each question best of 8 would reach 1 - 0.93⁸ = 44 %; where chances differ it is less, which 24 questions are too few to show. GRPO's star lies near
# the curve: one answer of it is worth about the best of four or five before. Best of n leaves the model as it is and costs n times the computing for every answer,
# for ever; GRPO pays once, in training. Fine-tuning on the kept answers turns the first into the second (rejection-sampling fine-tuning).
#
# ## The whole way, and where the commands are
#
# | who | how | here |
# |---|---|---|
# | InstructGPT (2022) | SFT → a reward model from comparisons by people → PPO against it, KL in the reward | `python -m minillm sft …`, `reward …`, then `rl --method ppo --reward run:runs/reward` |
# | LLaMA-2 (2023) | reward models; first *rejection sampling*: best of n, SFT on the kept, again; PPO at the end | `rl --method rft` |
# | DeepSeek-R1 (2025) | GRPO with rewards that a program verifies | `rl --method grpo --reward true-sentence` |
#
# ```
# python -m minillm demo --out runs/demo
# python -m minillm world --out runs/world
# python -m minillm reward --base runs/demo/sft --preferences runs/world/preferences.jsonl --out runs/reward
# python -m minillm rl --method ppo --base runs/demo/sft --prompts world --reward run:runs/reward --out runs/judged
# python -m minillm best-of-n --run runs/demo/sft --prompts world --reward run:runs/reward --truth true-sentence --n 128
# python -m minillm rl --base runs/demo/sft --prompts world --reward true-sentence --out runs/verified
# ```
#
# Minutes each, not for class. The code: `rewards`, `rollouts`, `best_of_n`, `grpo` and `ppo` in `minillm/stage3_preference`, each a sitting at most.
#
# ## A learned reward, used too much: the claim, measured
#
# `length` was a bad reward on purpose. A reward model is an honest attempt: of pairs it has not seen it gets about nine of ten right. How hard can one
# lean on it? Best of n is a dial for that: the larger n, the harder the search for what the judge likes. The world is the gold standard: it
# knows which full sentences are true. On several seeds, with thresholds fixed beforehand (the card says how to read it), the best of n = 1 … 128 answers
# is chosen by the learned reward, by the truth itself, and by a reward model of four times as many pairs.
# Measure it yourself: `python -m minillm claims over-optimisation --quick`.
#
# **Before you run it:** the learned reward of the chosen answer can only rise with n. Draw what the share of true sentences does. What would four times
# as many pairs change?
# %% [markdown] tags=["zh"]
# 如果每个问题都是 7 %，8 选一会到 1 - 0.93⁸ = 44 %；概率各不相同时更低，不过 24 个问题太少，看不出来。GRPO 的星在曲线附近：它的一个回答，大约抵得上之前四五个里最好的
# 一个。n 选一不改动模型，但每个回答都要 n 倍的计算，永远如此；GRPO 只在训练时付一次。在留下的回答上微调，就把前者变成后者（拒绝采样
# 微调，rejection-sampling fine-tuning）。
#
# ## 整条路，以及命令在哪里
#
# | 谁 | 怎么做 | 这里 |
# |---|---|---|
# | InstructGPT（2022） | SFT → 用人的比较训练奖励模型 → 对着它做 PPO，KL 算在奖励里 | `python -m minillm sft …`、`reward …`，再 `rl --method ppo --reward run:runs/reward` |
# | LLaMA-2（2023） | 奖励模型；先做*拒绝采样*：n 选一，在留下的上做 SFT，反复几次；最后 PPO | `rl --method rft` |
# | DeepSeek-R1（2025） | GRPO，奖励由程序验证 | `rl --method grpo --reward true-sentence` |
#
# ```
# python -m minillm demo --out runs/demo
# python -m minillm world --out runs/world
# python -m minillm reward --base runs/demo/sft --preferences runs/world/preferences.jsonl --out runs/reward
# python -m minillm rl --method ppo --base runs/demo/sft --prompts world --reward run:runs/reward --out runs/judged
# python -m minillm best-of-n --run runs/demo/sft --prompts world --reward run:runs/reward --truth true-sentence --n 128
# python -m minillm rl --base runs/demo/sft --prompts world --reward true-sentence --out runs/verified
# ```
#
# 每条几分钟，不在课上跑。代码在 `minillm/stage3_preference`：`rewards`、`rollouts`、`best_of_n`、`grpo`、`ppo`，每个一次就能读完。
#
# ## 学来的奖励，用过了头：这个论断，测一测
#
# `length` 是故意挑的坏奖励。奖励模型则是认真的尝试：没见过的数据对，十个里它大约判对九个。能倚重它到什么程度？n 选一正好是一个旋钮：n 越大，
# 就越用力地去找评委喜欢的回答。世界是金标准：它知道哪些完整句子是真的。好几个种子，阈值事先写定（怎样读，卡片上有说明）：从 n = 1 … 128 个
# 回答里挑最好的，分别按学来的奖励、按真相本身、按用四倍数据对学来的奖励来挑。
# 自己测：`python -m minillm claims over-optimisation --quick`。
#
# **运行之前先猜：** 挑出来的回答，学来的奖励只会随 n 上升。真句子的比例会怎样变？画出来。数据对多到四倍，会有什么不同？
# %%
show_claim("over-optimisation", explained=True)
# %% [markdown] tags=["en"]
# **Reading it.** No answer was changed and nothing was trained between n = 1 and 128: searching alone does this, since whoever takes the best by a
# measure also takes its errors (Goodhart's law). True sentences do not run out: the line chosen by truth goes on rising over the same answers.
#
# Where the errors come from can be read in the pairs about places. They put a true sentence above the bare value, and above the same sentence with a false
# value; a smooth sentence that *answers another question* is in none. While this was developed (seed 101), one prompt was “Tell me the continent of Australia.”,
# and the best of 128 answers: “The currency of Australia is the Australian dollar.” Gao et al. 2022 measured such curves on models a thousand times as
# large: up, a turn, down; with larger reward models and more data the turn comes later. Four times as many pairs *of the same kind*
# have the same gap: look whether they help here.
#
# <!-- go on -->
#
# To discuss: which pairs would you add? And after these, what would the search find next? (A good answer expects each gap that is closed to
# move the turn, and none to remove it; so one stops early, stays close with KL, or collects new pairs from what the search found.)
# %% [markdown] tags=["zh"]
# **怎样读。** 从 n = 1 到 128，没有改动任何回答，也没有训练任何东西：单是搜索就会这样，因为按一个指标取最好的，也就把它的错误一起取了来
# （古德哈特定律）。真句子并没有用完：从同样的回答里按真相来挑，那条线一直上升。
#
# 错误从哪里来，看看关于地方的数据对就知道。它们说：真的完整句子好过光秃秃的值，也好过换成假值的同一句话；而一句通顺却*答非所问*的话，哪一对里
# 都没有。开发时（种子 102）有一问是“请说出马来西亚最长的河。”，128 个回答里奖励最高的是“马拉维最长的河是希雷河。”：通顺，也是真的，只是
# 说的是另一个地方。Gao 等 2022 在大上千倍的模型上测到这样的曲线：先升，掉头，再降；奖励模型越大、数据越多，掉头越晚。
# 而四倍的*同类*数据对有着同样的缺口：看看在这里有没有用。
#
# <!-- go on -->
#
# 讨论：你会补上什么样的数据对？补上之后，搜索接下来会找到什么？（好的回答会料到：每补上一个缺口，掉头的地方会往后移，但不会消失；所以要早停，
# 用 KL 留在近处，或者拿搜索找到的回答去收集新的数据对。）
# %% [markdown] tags=["en"]
# ## What n answers are worth
#
# The same dial once more, up to 32 only, with a judge that has met what it will judge: its pairs are the model's own answers, a true full
# sentence against an answer that is none. What does each doubling of n buy, and how much of it would the truth itself have bought? Three rules
# that learn nothing, two of which know the preferred style, choose among the same answers: a blind one; the first answer with a full stop; a vote among those with a full stop. The
# questions are about places in no pair. Measure it yourself: `python -m minillm claims best-of-n --quick`.
#
# **Before you run it:** n answers cost n times as much as one. At which n would you stop? And does the learned judge beat the vote?
# %% [markdown] tags=["zh"]
# ## n 个回答值多少
#
# 还是这个旋钮，只转到 32，评委也见过它要评的东西：数据对就是模型自己的回答，真实的完整句子对不是的。n 每翻一倍能换来什么？换成真相本身来挑，又能换来
# 多少？另有三条什么也不学的规则（其中两条知道所偏好的风格）在同样的回答里挑：盲选；第一个有句号的；在有句号的里面投票。问题问的是没有数据对讲过的地方。
# 自己测：`python -m minillm claims best-of-n --quick`。
#
# **运行之前先猜：** n 个回答的代价是一个的 n 倍。你会停在哪个 n？学来的评委比投票强吗？
# %%
show_claim("best-of-n")
# %% [markdown] tags=["en"]
# **Reading it.** Below the picture stands what it costs, n answers for each that is used, and how far from the model it goes at most, in nats. The
# line by the truth is the ceiling: what the model never says no judge can choose. Between it and the learned line is what a better judge could add. Where
# the learned line lies above a rule that learns nothing, the pairs were good for that much; where it lies below, the rule would have done.
# %% [markdown] tags=["zh"]
# **怎样读。** 图的下方写着代价，也就是每用一个回答要采样 n 个，还有离模型最多有多远（奈特）。按真相选的那条线是上限：模型从来不说的，什么评委也
# 挑不出来。它和学来的奖励那条线之间，是更好的评委还能添上的。学来的那条线高出什么也不学的规则多少，数据对就有多少用处；低于规则的地方，用规则就够了。
# %% [markdown] tags=["en"]
# ## A reward that anybody can verify
#
# Whether a sentence is kind, somebody has to judge. Whether the last number of a calculation is right can be looked up, and the way there need not be
# shown to anybody: reinforcement learning with verifiable rewards (Lambert et al. 2024; this is how DeepSeek-R1 learned its long solutions). Our smallest task
# with a way: “Oslo is the capital of a place. What is its currency?” takes two steps. Stage 1 has read both facts, and never met such a question:
# `Norway: Norwegian krone`. Two dozen pairs show how. Then the model practises on further questions of the kind and is told only whether what comes last is right.
#
# The reward knows the right value of each practised question, and so a fair opponent knows it, too: SFT that is given these values as answers.
# Whoever writes out both steps for all of these questions has the most expensive data. The exam is about places that neither pairs nor practice spoke of.
# Measure it yourself: `python -m minillm claims verifiable-reward --quick`.
#
# **Before you run it:** order the six bars. Which of the two learns more from the same right values: who copies them, or who practises until they come out?
# %% [markdown] tags=["zh"]
# ## 谁都能核对的奖励
#
# 一句话客不客气，要有人来评；算式最后的数对不对，一查就知道，中间的步骤不用给谁看。这就是可验证奖励的强化学习（Lambert 等 2024；DeepSeek-R1 的长篇解答就是这样学来的）。
# 我们最小的、有步骤的任务：“奥斯陆是一个地方的首都。它用什么货币？”要走两步。两个事实第一阶段都读过，这样的问题却从没见过：`挪威：挪威克朗`。
# 二十来个问答对示范怎么做；然后模型拿更多同类问题来练，只告诉它最后的结果对不对。
#
# 奖励知道每道练习题的正确值，公平的对手也该知道：同样的正确值，直接当作回答来 SFT。给每道题都写出两步，数据最贵。考试问的，是问答对和练习都没提过的地方。
# 自己测：`python -m minillm claims verifiable-reward --quick`。
#
# **运行之前先猜：** 给六根柱子排个序。同样的正确值，是照抄学到的多，还是练到自己答出来学到的多？
# %%
show_claim("verifiable-reward")
# %% [markdown] tags=["en"]
# **Reading it.** Who copies right values learns to answer at once: all that was practised is right then, and other places are no better than before, for nothing
# in `krone` says that Norway was on the way. Practice rewards whatever ends right; the way with both steps does so more often than a guess, and so the
# *way* is what grows. It carries over to places that were never practised. Imitating the own right answers (RFT) goes the same way, more slowly: it
# learns nothing from the wrong ones. Both steps written out for every question are better still, where somebody writes them.
#
# To discuss: the answer “Chad: Norwegian krone” earns 1. When would a model come to write steps that have nothing to do with its result?
# %% [markdown] tags=["zh"]
# **怎样读。** 照抄正确值，学会的是直接回答：练过的全对，别的地方却不比原来好，因为从“克朗”里看不出中间要经过挪威。练习奖励的是结果正确的回答；走完两步比瞎猜更常答对，
# 于是长进的是*走法*，它能用到没练过的地方去。模仿自己答对的回答（RFT）走的是同一条路，只是慢一些：它不从答错的里面学东西。给每个问题都写出两步，效果还要好，只要有人肯写。
#
# 讨论：“乍得：挪威克朗”这个回答得 1 分。什么情况下，模型会写出与结果毫不相干的步骤？
# %% [markdown] tags=["en"]
# ## Comparing against imitating
#
# In lesson 13 SFT on the chosen answers did as well as DPO: they were ideal. What if none is? “Tell me about Chad.” Our assistant was shown one or two
# facts about each place. Now an answer counts the more, the more true facts it tells and the fewer other sentences (false ones, repetitions). That grades
# every answer, and nobody wrote down the best one: there are up to six facts.
#
# Two answers to “what do I learn from eight answers?”: imitate the best (SFT, RFT), or compare (DPO: best against worst; GRPO, PPO: all).
# And two to “which eight?”: drawn once, from the assistant as it was (SFT, DPO), or anew for each update (RFT, GRPO, PPO: *on-policy*). The same
# prompts, as many answers, updates and the same rate for all; the places that decide are in no prompt. Each way forgets some of the other questions, and who changes
# more forgets more; so the ways are also compared at equal exam score.
# Measure it yourself: `python -m minillm claims on-policy --quick`.
#
# **Before you run it:** the assistant tells about one fact. Which ways will tell more, and what would have to happen for it?
# %% [markdown] tags=["zh"]
# ## 比较与模仿
#
# 第 13 课里，在较好的回答上做 SFT 不比 DPO 差：那些回答已经是理想的。如果没有一个是理想的呢？“介绍一下乍得。”关于每个地方，老师只给助手看过一两个
# 事实。现在，说对的事实越多、其他句子（假的、重复的）越少，回答就越好。这样每个回答都有分数，而最好的回答谁也没有写过：事实最多有六个。
#
# “从八个回答里学什么？”有两种答案：模仿最好的（SFT、RFT），或者比较（DPO：最好对最差；GRPO、PPO：全部）。“哪八个？”也有两种：
# 只采样一次，从原来的助手采（SFT、DPO），或者每次更新都重新采样（RFT、GRPO、PPO，即*在策略*，on-policy）。所有方法的提示、回答数、更新次数和学习率都相同；
# 考的地方不在任何提示里。每种方法都会忘掉一些其他问题，变得多的忘得也多，所以还要在考试分数相等的地方相比。
# 自己测：`python -m minillm claims on-policy --quick`。
#
# **运行之前先猜：** 助手一般只说一个事实。哪些方法会让它说得更多？要发生什么才行？
# %%
show_claim("on-policy")
# %% [markdown] tags=["en"]
# **Reading it.** Each line leads from the assistant (star) to a tuned model; up is more told, left is more forgotten. At the dotted line the same share of
# the exam is given up. Solid lines compare, dashed ones imitate. An imitator only ever hears what was good; which sentence spoiled the other seven it is not told.
# A comparison also takes probability away: from false sentences, or, drawn once and used for long, from everything that looked like the worst.
# Look at DPO's line for the latter. And compare GRPO with the simplest imitator, SFT on the best: is it above on every seed? (The notes on the card say.)
#
# To discuss: GRPO and PPO raise the same score in different ways. Which of them tells *more*, and which mostly makes fewer mistakes? Look at the examples.
# %% [markdown] tags=["zh"]
# **怎样读。** 每条线从原来的助手（星号）通往一个微调后的模型；往上是说得更多，往左是忘得更多。在虚点竖线处，大家放弃的考试分数一样多。实线是比较，虚线是模仿。
# 模仿的一方只听到什么是好的；另外七个坏在哪一句，没有人告诉它。比较还会拿走概率：从假的句子那里拿走，或者，只采样一次又用得太久时，从一切像最差回答的东西那里拿走。
# 后一种情况，看 DPO 那条线。再拿 GRPO 与最简单的模仿（在最好的回答上 SFT）比一比：每个种子上都更高吗？（卡片上的说明有答案。）
#
# 讨论：GRPO 和 PPO 用不同的办法提高同一个分数。哪个说得*更多*，哪个主要是少犯错？看看例子。
# %% [markdown] tags=["en"]
# ## Knowing what one does not know
#
# SFT shows an answer to every question, also to one whose answer stage 1 has never read. What can be learned there is to make something up in the
# right form (Schulman 2023, Gekhman et al. 2024). Pairs can show “I do not know” as well, but whoever writes them has to know what the model has
# read. A reward need not: right +1, “I do not know” 0, wrong -1.
#
# The claim, measured: its base has read no fact about half of the places. In a first SFT one answer in ten, drawn by lot, is “I do not know”: what never
# happens cannot be rewarded. Then GRPO asks about other places, some of them read, and the exam about places that no pair and no practice spoke of
# (rehearsed text tells of those read). Next to it: SFT on true answers alone; the same with facts that were never read; and pairs that say where
# not to know.
# Measure it yourself: `python -m minillm claims knows-what-it-knows --quick`.
#
# **Before you run it:** an answer is right with probability p. From which p on does answering pay more than “I do not know”? And if an error cost 3?
# %% [markdown] tags=["zh"]
# ## 知道自己不知道什么
#
# SFT 给每个问题都配上回答，第一阶段从没读过答案的问题也不例外。在那里能学到的，只是照着格式编一个（Schulman 2023，Gekhman 等
# 2024）。问答对也可以教“我不知道”，但写的人得知道模型读过什么。奖励不需要：答对 +1，“我不知道” 0，答错 -1。
#
# 这个论断，测一测：基础模型没读过半数地方的任何事实。先做一次 SFT，随机抽出一成回答换成“我不知道”：从不出现的东西，没法奖励。然后
# GRPO 问另外一些地方，有的读过，有的没读过；考试问的，是问答对和练习都没提过的地方（复习的文本会讲到其中读过的）。对照有三个：只用真实回答的 SFT；同样的 SFT，再加上没读过的事
# 实；指明哪些不知道的问答对。
# 自己测：`python -m minillm claims knows-what-it-knows --quick`。
#
# **运行之前先猜：** 一个回答对的概率是 p。p 从多大起，回答比“我不知道”划算？如果答错扣 3 呢？
# %%
show_claim("knows-what-it-knows")
# %% [markdown] tags=["en"]
# Answering earns p - (1 - p) on average: it pays from p = 1/2 on; if an error costs 3, from 3/4 on. The penalty is a dial between a model that talks too
# much and one that is silent about what it knows. Compare with the pairs on the card: who knows what was read does better with them. Of a place the base
# has read all or nothing here, and it meets the names of unread places less often: it may tell by the name alone.
#
# To discuss: a user rates answers and gives “I do not know” a thumbs down. What does the model learn?
# %% [markdown] tags=["zh"]
# 回答平均得 p - (1 - p)：p 到 1/2 起划算；答错扣 3，就要到 3/4。扣多少是一个旋钮：一头是话太多的模型，一头是知道也不说的模型。跟卡片上的问答
# 对比一比：谁知道模型读过什么，用问答对教得更好。这里一个地方要么全读过，要么全没读过，没读过的名字也更少见：模型可能只凭名字来分辨。
#
# 讨论：用户给回答打分，看到“我不知道”就给差评，模型会学到什么？
# %% [markdown] tags=["en"]
# ## AlphaGo: imitate first, then play to win
#
# The course compares the stages with AlphaGo (Silver et al. 2016). Its first network imitated games of strong players, predicting the next move: SFT,
# right in 57 % of positions. Then it played against earlier versions of itself, and each move of a won game was made more likely, of a lost one less: REINFORCE, as
# above, with a reward of +1 or -1 at the end. Against the network that only imitated it won more than 80 % of games.
#
# | | AlphaGo | a language model |
# |---|---|---|
# | imitation first | games of masters | SFT |
# | a move | a stone | a token |
# | the reward comes | at the end of the game | at the end of the answer |
# | who says who won | the rules: cannot be fooled | a program, where there is one truth; else people, or a model of their taste, which can be fooled |
# | baseline | a value network | a critic (PPO), the group (GRPO) |
# | more practice | plays ever better | needs a leash: KL to the reference |
# %% [markdown] tags=["zh"]
# ## AlphaGo：先模仿，再为赢而下
#
# 课程把这几个阶段比作 AlphaGo（Silver 等 2016）。它的第一个网络模仿高手的棋谱，预测下一手：这就是 SFT，57 % 的局面猜对。然后它和自己的
# 旧版本对弈，赢的棋每一手都变得更可能，输的更不可能：就是上面的 REINFORCE，结束时奖励 +1 或 -1。对只会模仿的那个网络，它赢了 80 % 以上。
#
# | | AlphaGo | 语言模型 |
# |---|---|---|
# | 先模仿 | 高手的棋谱 | SFT |
# | 一手 | 一颗棋子 | 一个词元 |
# | 奖励什么时候来 | 一局结束 | 回答结束 |
# | 谁说了算 | 规则：骗不过 | 有唯一真相时由程序；否则由人，或者人的口味的模型，骗得过 |
# | 基线 | 价值网络 | 价值网络（PPO），同组（GRPO） |
# | 练得更多 | 越下越强 | 需要缰绳：到参考模型的 KL |
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture and the course | here |
# |---|---|
# | stage 3: take part in practice, polish the skills | 30 steps on its own answers: full sentences from about 20 % to about half |
# | a teacher's answers are costly | no answer was written for it; a reward for each was enough |
# | practice polishes what is there | what the model never writes gets no reward, and the facts did not grow |
# | the reward can be over-optimised | 12 steps of “longer is better”: most facts gone |
# | first imitate, then play to win | the policy gradient of a coin is the one of AlphaGo and of this GPT |
#
# ## To discuss in class
#
# 1. A company rewards its assistant with thumbs up. Which behaviour pays, other than being right? Which three figures would you watch? (A good
#    answer names flattery, length and confidence; and looks at KL, at a verified test, and at answers read by people who did not give the thumbs.)
# 2. Mathematics has answers a program can check; a poem has none. What is lost if only the first is practised? (A good answer
#    sees that what can be checked gets better, that a rule may be met by guessing or by cheating the checker, and that the rest may be forgotten.)
#
# ## Homework
#
# `answer_weights`, `group_advantages`, `gae`, `clipped_loss`, `kl_k3`, `best_of_n`. Write them in the cells below, or in
# `lessons/15_reinforcement/homework.py`, which is what you hand in. `check("clipped_loss")` says at once which idea goes
# wrong, `hint("clipped_loss")` helps in three steps, `reset("clipped_loss")` begins anew, `progress()` shows how far you are.
# In a terminal `python -m minillm homework 15` grades the file, `python -m minillm homework 15 --watch` does so
# whenever you save it.
#
# ## References
#
# - R. J. Williams 1992, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning*, Machine Learning 8 (REINFORCE).
# - D. Silver et al. 2016, *Mastering the game of Go with deep neural networks and tree search*, Nature 529.
# - J. Schulman et al. 2017, *Proximal Policy Optimization Algorithms*, arXiv 1707.06347; 2015, *High-Dimensional Continuous Control Using
#   Generalized Advantage Estimation*, arXiv 1506.02438; 2020, *Approximating KL Divergence* (k1, k3), joschu.net.
# - L. Ouyang et al. 2022, *Training language models to follow instructions with human feedback* (InstructGPT), arXiv 2203.02155.
# - H. Touvron et al. 2023, *Llama 2: Open Foundation and Fine-Tuned Chat Models*, arXiv 2307.09288 (rejection sampling: section 3.2.3).
# - Z. Shao et al. 2024, *DeepSeekMath* (GRPO), arXiv 2402.03300; DeepSeek-AI 2025, *DeepSeek-R1*, arXiv 2501.12948.
# - N. Lambert et al. 2024, *Tulu 3* (verifiable rewards), arXiv 2411.15124; A. Singh et al. 2023, *Beyond Human Data* (ReST-EM), arXiv 2312.06585.
# - Z. Liu et al. 2025, *Understanding R1-Zero-Like Training: A Critical Perspective* (Dr. GRPO), arXiv 2503.20783.
# - L. Gao, J. Schulman, J. Hilton 2022, *Scaling Laws for Reward Model Overoptimization*, arXiv 2210.10760 (best of n and its KL).
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 第三阶段：参与实战，打磨技巧 | 在自己的回答上练 30 步：完整句子从约 20 % 升到约一半 |
# | 老师写答案很贵 | 没有人为它写一个答案；给每个回答一个奖励就够了 |
# | 实战打磨的是已有的 | 模型从不写的得不到奖励，事实也没有变多 |
# | 奖励会被过度优化 | “越长越好”练 12 步：事实大半没了 |
# | 先模仿，再为赢而下 | 一枚硬币的策略梯度，就是 AlphaGo 的，也是这个 GPT 的 |
#
# ## 课堂讨论
#
# 1. 一家公司用点赞来奖励助手。除了答对，还有什么行为划算？你会盯住哪三个数？（好的回答会提到奉承、冗长和自信满满；会看 KL、看可验证的
#    测试、看由没点过赞的人读过的回答。）
# 2. 数学题的答案程序可以检查，诗不行。只练前者会失去什么？（好的回答会看到：能检查的会变好；规则可以靠猜、靠骗过检查程序来满足；其余的
#    可能会忘掉。）
#
# ## 作业
#
# `answer_weights`、`group_advantages`、`gae`、`clipped_loss`、`kl_k3`、`best_of_n`。写在下面的单元格里，或者写在
# `lessons/15_reinforcement/homework.py` 里，最后交的是这个文件。`check("clipped_loss")` 马上告诉你是哪个想法错了，
# `hint("clipped_loss")` 分三步提示，`reset("clipped_loss")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 15` 批改这个文件，`python -m minillm homework 15 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - R. J. Williams 1992，*Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning*，Machine Learning 8（REINFORCE）。
# - D. Silver 等 2016，*Mastering the game of Go with deep neural networks and tree search*，Nature 529。
# - J. Schulman 等 2017，*Proximal Policy Optimization Algorithms*，arXiv 1707.06347；2015，*High-Dimensional Continuous Control Using
#   Generalized Advantage Estimation*，arXiv 1506.02438；2020，*Approximating KL Divergence*（k1、k3），joschu.net。
# - L. Ouyang 等 2022，*Training language models to follow instructions with human feedback*（InstructGPT），arXiv 2203.02155。
# - H. Touvron 等 2023，*Llama 2: Open Foundation and Fine-Tuned Chat Models*，arXiv 2307.09288（拒绝采样：3.2.3 节）。
# - Z. Shao 等 2024，*DeepSeekMath*（GRPO），arXiv 2402.03300；DeepSeek-AI 2025，*DeepSeek-R1*，arXiv 2501.12948。
# - N. Lambert 等 2024，*Tulu 3*（可验证的奖励），arXiv 2411.15124；A. Singh 等 2023，*Beyond Human Data*（ReST-EM），arXiv 2312.06585。
# - Z. Liu 等 2025，*Understanding R1-Zero-Like Training: A Critical Perspective*（Dr. GRPO），arXiv 2503.20783。
# - L. Gao, J. Schulman, J. Hilton 2022，*Scaling Laws for Reward Model Overoptimization*，arXiv 2210.10760（n 选一和它的 KL）。
