# %% [markdown] tags=["en"]
# # 11 Specialists and the generalist; forgetting and review
#
# [The lecture][lecture] names two routes of fine-tuning. Route one: **many specialists**, a translator, a
# proofreader, each tuned on one task (as with BERT). Route two: **one generalist**, tuned on many tasks that are told
# apart by instructions (FLAN, T0). And between them a question: what happens to the first task when a second is
# learned after it?
#
# After this lesson you can
# - show why a specialist needs no instruction and a generalist does;
# - measure specialists and a generalist on three tasks;
# - measure forgetting, and what a few reviewed pairs save;
# - keep a fair sample of a stream of examples for review.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 11 专才与通才；遗忘与复习
#
# [课上][lecture]讲了 fine-tuning 的两条路线。路线一：打造**一堆专才**，翻译专家、校对（课上叫“编修”）专家，每个只用
# 一个任务的数据微调（如 BERT）。路线二：打造**一个通才**，用多种任务微调，靠指令（instruction）区分任
# 务（FLAN、T0）。两者之间还有一个问题：先学会一个任务，再学第二个，第一个会怎样？
#
# 学完这一课，你能够
# - 说明专才为什么不需要指令，而通才需要；
# - 在三个任务上测量专才和通才；
# - 测量遗忘（forgetting），以及复习几个问答对能保住多少；
# - 从一串例子里留下公平的样本用来复习。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% tags=["fold"]
import copy
import random

import numpy as np
import torch
from torch.nn import functional as F

from minillm.base_cache import world_base
from minillm.chat import turn
from minillm.classroom.lesson_tools import draw_matrix, label, say, show_claim, show_figure, show_table
from minillm.gpt import GPT
from minillm.measure.evaluate import answers
from minillm.plumbing import plots
from minillm.stage2_sft import SFTConfig, sft
from minillm.world.exam import strip
from minillm.world.pairs import NO_MISTAKE, PROOFREAD, TRANSLATE
from minillm.world.tables import ATTRIBUTES, LANGUAGES, RELATIONS, load_world, split_places

# %%
world, base = load_world(), world_base()
taught, held_out = split_places(world, seed=0)


def tune(run, dialogues, steps=50):
    """A copy of a model, tuned on dialogues."""
    return sft(SFTConfig(steps=steps, validation=0), run, dialogues)


# %% [markdown] tags=["en"]
# ## The same input, two answers
#
# The lecture's specialists: the translator turns `Good morning` into 早安, the proofreader says of `who care`: 要加 s. Their
# input is the sentence and nothing else. For `How are you?` the translator should say 你好吗, the proofreader 没有文法错误.
#
# **Before you run it:** we tune one model on a handful of such bare pairs for each task, and one model on *both* sets
# mixed. What does the third answer to `How are you?`
# %% [markdown] tags=["zh"]
# ## 同样的输入，两种回答
#
# 课上的专才：翻译专家把 `Good morning` 变成 早安，校对专家对 `who care` 说 要加 s。它们的输入只有句子，没有别的。对
# `How are you?`，翻译专家应该说 你好吗，校对专家应该说 没有文法错误。
#
# **运行之前先猜：** 用这样没有指令的问答对，每个任务各微调一个模型，再把两组*混在一起*微调第三个。第三个对 `How are you?` 会
# 怎么回答？
# %%
words = [turn(row["en"], row["zh"]) for row in world.glossary]
checks = [turn(row[side], hint) for row in world.proofreading
          for side, hint in (("wrong", row["hint_zh"]), ("right", NO_MISTAKE["zh"]))]  # fmt: skip
checks.append(turn("How are you?", NO_MISTAKE["zh"]))
inputs = ["Good morning", "who care", "How are you?"]
rows = []
for name, data in ((say("translator", "翻译专家"), words), (say("proofreader", "校对专家"), checks),
                   (say("both mixed", "混在一起"), words + checks)):  # fmt: skip
    rows.append([name, *(text for text, _ in answers(tune(base.run, data, steps=30), inputs))])
show_table(["", *inputs], rows)
# %% [markdown] tags=["en"]
# Each specialist treats every input as its own task: to the translator `who care` is a word to translate, to the
# proofreader `Good morning` is a sentence to check. The mixed model has been told both 你好吗 and 没有文法错误 about
# `How are you?` and can give only one. It has learned to guess the task from the input, which is all it has.
# So the generalist must be *told* what to do.
# %% [markdown] tags=["zh"]
# 每个专才把任何输入都当作自己的任务：对翻译专家，`who care` 是要翻译的词；对校对专家，`Good morning` 是要检查的句子。混在一起的模型
# 对 `How are you?` 学过 你好吗，也学过 没有文法错误，却只能给出一个。它学会了从输入猜任务，因为它只有输入。所以必须*告诉*通才
# 要做什么。
# %% [markdown] tags=["en"]
# ## Telling the generalist what to do
#
# An **instruction template** has a place for the input: 翻译以下句子：{en}. FLAN wrote ten templates for each of 62 data sets,
# so that the model learns the task and not one wording. Each pair takes one of them, here by its number:
# %% [markdown] tags=["zh"]
# ## 告诉通才要做什么
#
# **指令模板**（instruction template）里留有输入的位置：翻译以下句子：{en}。FLAN 给 62 个数据集各写了十个模板，让模型学的是任务，
# 而不是某一种说法。每个问答对用其中一个，这里按编号取：
# %%
row = {"en": "Good morning", "zh": "早安"}
filled = [[i, template, template.format(**row), row[into]] for i, (template, into) in enumerate(TRANSLATE)]
show_table(["i", say("template", "模板"), say("filled", "填好的指令"), say("answer", "回答")], filled)
# %% [markdown] tags=["en"]
# Two traps: a field that is missing must not leave `{en}` in the text (the model would learn the braces), and a value
# that has braces itself must not be filled again. The homework asks for both.
#
# ## Measurement: three specialists and a generalist
#
# Three tasks, each with instructions and 480 pairs at most. The tests hold things no tuning pair has: translation of
# names of held-out places, proofreading of other sentences, questions about held-out places.
#
# **Before you run it:** what does the translator get on questions about places? The generalist sees all three sets in
# the same 50 steps, or in three times as many: does it lose against the specialists?
# %% [markdown] tags=["zh"]
# 两个陷阱：缺少的字段不能在文本里留下 `{en}`（模型会学到花括号）；值里自己带的花括号不能再被填一次。作业里这两点都要做到。
#
# ## 测量：三个专才和一个通才
#
# 三个任务都带指令，每个最多 480 个问答对。测试用的都不在任何问答对里：留出的地方的名字（翻译），另外的句子（校对），关于留出地方
# 的问题（问答）。
#
# **运行之前先猜：** 翻译专家做地方的问答题能得多少分？通才用同样的 50 步看全部三组数据，或者用三倍的步数：它会输给专才吗？
# %% tags=["fold"]
rng = random.Random(0)


def names(places):
    """Names in both languages: of the places, their capitals, mountains and rivers."""
    found = [place.names for place in places]
    for place in places:
        found += [{lang: place.value(a, lang) for lang in LANGUAGES} for a in ATTRIBUTES[:4]
                  if a != "height" and place.value(a, "en")]  # fmt: skip
    return found


def translation(rows, wordings):
    return [turn(t.format(**row), row[into]) for row in rows for t, into in rng.sample(TRANSLATE, wordings)]


def proofreading(rows):
    return [turn(t.format(s=row[side]), row[f"hint_{lang}"] if side == "wrong" else NO_MISTAKE[lang])
            for row in rows for lang in LANGUAGES for t in PROOFREAD[lang] for side in ("wrong", "right")]  # fmt: skip


def answering(places, wordings):
    return [turn(question, world.fact(place, relation, lang))
            for place in places for lang in LANGUAGES for relation in RELATIONS if world.fact(place, relation, lang)
            for question in world.write("question", place, relation, lang)[:wordings]]  # fmt: skip


tasks = {
    "translate": say("translation", "翻译"),
    "proofread": say("proofreading", "校对"),
    "answer": say("answering", "问答"),
}
# %%
train = {
    "translate": translation(names(taught), 4),
    "proofread": proofreading([row for i, row in enumerate(world.proofreading) if i % 4]),
    "answer": answering(taught, 2),
}
test = {
    "translate": translation(names(held_out), 2),
    "proofread": proofreading([row for i, row in enumerate(world.proofreading) if i % 4 == 0]),
    "answer": answering(held_out, 1),
}
train = {task: rng.sample(pairs, min(480, len(pairs))) for task, pairs in train.items()}
test = {task: rng.sample(pairs, 120) for task, pairs in test.items()}
# %% tags=["fold"]
show_table(["", say("pairs", "问答对"), say("for example", "例如"), ""],
           [[tasks[t], len(pairs), *(m.content for m in pairs[0])] for t, pairs in train.items()])  # fmt: skip


# %%
def score(run):
    """The share of right answers in each task."""
    shares = []
    for pairs in test.values():
        given = answers(run, [question.content for question, _ in pairs])
        right = [strip(text) == strip(answer.content) for (text, _), (_, answer) in zip(given, pairs, strict=True)]
        shares.append(sum(right) / len(right))
    return shares


specialists = {task: tune(base.run, pairs) for task, pairs in train.items()}
everything = [pair for pairs in train.values() for pair in pairs]
scores = {say("specialist: ", "专才：") + tasks[task]: score(run) for task, run in specialists.items()}
scores[say("generalist, 50 steps", "通才，50 步")] = score(tune(base.run, everything))
generalist = tune(base.run, everything, steps=150)
scores[say("generalist, 150 steps", "通才，150 步")] = score(generalist)
show_table(["", *tasks.values()], [[name, *shares] for name, shares in scores.items()])
# %% [markdown] tags=["en"]
# On its own task a specialist gets 40 to 70 % (translation, proofreading) or nearly 90 % (answering), off it nearly 0: it does
# not even try (the translator answers questions with names of something else). The generalist does all three. In the same 50
# steps each task got a third of the practice; three times the steps help proofreading most. In answering it stays some 5 to 15
# points behind the specialist, in the other two it may be ahead. A score of 120 questions has an error of up to 9 points, so no
# single one of these differences proves much. (Figures here and below were seen with three base models.)
#
# That three specialists need three models, and somebody who picks the right one, is shown in no table.
# %% [markdown] tags=["zh"]
# 专才在自己的任务上 40 到 70 %（翻译、校对）或接近 90 %（问答），换了任务几乎是 0 分：它连试都不试（翻译专家用别的东西的名字来回答
# 问题）。通才三个都会。同样 50 步里，每个任务只得到三分之一的练习；步数增加到三倍，校对进步最大。问答落后专才 5 到 15 个百分点，另外两个
# 也可能领先。120 道题的误差可达 9 个百分点，所以单独哪一个差别都说明不了多少。（这里和下面的数字取自三个基础模型。）
#
# 三个专才需要三个模型，还要有人挑对模型，这一点不在表里。
# %%
three = [pairs[0] for pairs in test.values()]  # the first test question of each task
questions = [question.content for question, _ in three]
columns = [questions, [answer.content for _, answer in three]]
for run in (specialists["translate"], specialists["answer"], generalist):
    columns.append([text for text, _ in answers(run, questions)])
show_table([say("asked", "问"), say("expected", "正确回答"), say("translator", "翻译专家"), say("answerer", "问答专家"), say("generalist", "通才")],
           list(zip(*columns, strict=True)))  # fmt: skip
# %% [markdown] tags=["en"]
# ## A specialist that says no word
#
# BERT's specialists do not write: they are *classifiers*. The output layer (a score for each token) is taken off and a **head**
# put in its place: one score for each class, from the hidden state of the last token. Here only the head is learned, 6 × 128
# numbers; the base stays frozen. It is to say in which of six continents a place lies, and learns from the taught places alone.
#
# **Before you run it:** how many of the held-out places does it get right on the base, and how many on random weights?
# %% [markdown] tags=["zh"]
# ## 不写字的专才
#
# BERT 的专才不写字，而是*分类器*（classifier）：去掉输出层（每个词元一个分数），换上一个**分类头**（head），从最后一个词元的隐藏状态
# 给每个类别一个分数。这里只学分类头，6 × 128 个数，基础模型冻结不动。它要说出一个地方在六个洲中的哪一个，只从教过的地方学。
#
# **运行之前先猜：** 没教过的地方，在基础模型上它能对多少？在随机权重上呢？
# %%
ASKED = {"en": "In which continent is {}?", "zh": "{}在哪个洲？"}
items = [(ASKED[lang].format(p.names[lang]), p.value("continent", "en"), p in taught)
         for p in world.places if p.value("continent", "en") for lang in LANGUAGES]  # fmt: skip
classes = sorted({continent for _, continent, _ in items})
wanted = torch.tensor([classes.index(continent) for _, continent, _ in items])
learn = torch.tensor([known for *_, known in items])


def classified(gpt: GPT) -> list[float]:
    """Shares of questions that a head gets right: places taught, places held out."""
    body = copy.deepcopy(gpt)
    body.lm_head = torch.nn.Identity()  # the hidden states themselves: (B, T, C) -> (B, T, C)
    ids = [torch.tensor([[base.run.tokenizer.doc, *base.run.tokenizer.encode(text)]]) for text, *_ in items]
    with torch.no_grad():
        states = torch.cat([body(one)[:, -1] for one in ids])  # (1, C) each -> (N, C)
    head = torch.zeros(len(classes), states.shape[1], requires_grad=True)  # (K, C)
    optimizer = torch.optim.AdamW([head], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(states[learn] @ head.T, wanted[learn]).backward()
        optimizer.step()
    right = ((states @ head.T).argmax(-1) == wanted).double()  # (N, K) -> (N)
    return [right[learn].mean().item(), right[~learn].mean().item()]


most = wanted[~learn].bincount().max().item() / int((~learn).sum())
rows = [[say("the base", "基础模型"), *classified(base.run.gpt)],
        [say("random weights", "随机权重"), *classified(GPT(base.run.gpt.config, seed=1))],
        [say("always the same continent", "总说同一个洲"), "", most]]  # fmt: skip
show_table([say("head on", "分类头装在"), say("places taught", "教过的地方"), say("held out", "没教过的")], rows)
# %% [markdown] tags=["en"]
# Both heads learn the taught places nearly by heart: even random weights give every name a state of its own. But only on the base
# does this carry over, to about 60 % of the held-out places; on random weights it is no more than always saying the same
# continent gets. What stage 1 read about a place is in the hidden state, and a head of a few hundred numbers reads it out. (60
# questions: an error of 12 points; tuning the base as well, as BERT does, can do better.) Such a specialist needs no `[END]` and
# never leaves its list of answers. It can give no other answer either.
# %% [markdown] tags=["zh"]
# 两个分类头都几乎背下了教过的地方：即使是随机权重，每个名字也有自己的状态。但只有在基础模型上能推广，没教过的地方约对 60 %；在随机
# 权重上，不比总说同一个洲更好。第一阶段读到的关于一个地方的内容就在隐藏状态里，几百个数的分类头就能读出来。（60 个问题：误差 12 个
# 百分点；像 BERT 那样连基础模型一起微调，还可以更好。）这样的专才不需要 `[END]`，也从不超出它的答案清单；别的答案，它也给不出。
# %% [markdown] tags=["en"]
# ## Forgetting and review
#
# Now the tasks come one after the other, as they do in practice: the model that answers questions is tuned on
# proofreading next. Nothing tells it to forget; nothing asks it to remember either. Two remedies are to be kept apart:
# *review* mixes in old pairs, as here; *rehearsal*, as in lesson 7 and the demo, is more of stage 1's raw text next to
# the pairs. This lesson's tunings do not rehearse.
#
# **Before you run it:** how much of answering is left after 50 steps of proofreading? And if 16 old pairs are mixed in
# again and again, one after every four new ones? If 64 are?
# %% [markdown] tags=["zh"]
# ## 遗忘与复习
#
# 现在任务一个接一个来，实际中常常如此：会问答的模型，接着用校对微调。没有谁让它忘记，但也没有谁要它记住。两种办法要分清：这里是把
# 旧的*问答对*混进来复习；第 7 课和演示里复习的是第一阶段的*原始文本*，在对话之外多学一点第一阶段。这一课的微调都不复习原始文本。
#
# **运行之前先猜：** 做了 50 步校对之后，问答还剩多少？如果每四个新问答对之后插入一个旧的，反复用 16 个旧的呢？64 个呢？
# %%
first, second = "answer", "proofread"
before = say("before", "之前")
reviews = {before: score(specialists[first])}
for kept in (0, 16, 64):
    reviewed = [train[first][i % kept] for i in range(len(train[second]) // 4)] if kept else []
    name = say(f"then {tasks[second]}, {kept} old pairs reviewed", f"再学{tasks[second]}，复习 {kept} 个旧的")
    run = tune(specialists[first], train[second] + reviewed)
    reviews[name] = score(run)
    if not kept:
        forgetful = run
show_table(["", *tasks.values()], [[name, *shares] for name, shares in reviews.items()])
# %%
three = test[first][:3]
given = answers(forgetful, [question.content for question, _ in three])
show_table([say("asked", "问"), say("expected", "正确回答"), say("without review", "没有复习")],
           [[q.content, a.content, text] for (q, a), (text, _) in zip(three, given, strict=True)])  # fmt: skip
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(4.4, 3.2))
shown = np.array(list(scores.values()))
draw_matrix(axes[0, 0], 100 * shown, bar=label("right answers, %", "正确率，%"))
axes[0, 0].set(xlabel=label("asked", "问的任务"), ylabel=label("tuned as", "微调成"))
axes[0, 0].set_aspect("auto")
who = [label("translator", "翻译专家"), label("proofreader", "校对专家"), label("answerer", "问答专家")]
who += [label("generalist, 50", "通才，50 步"), label("generalist, 150", "通才，150 步")]
axes[0, 0].set_yticks(range(5), who)
what = [label("translating", "翻译"), label("proofreading", "校对"), label("answering", "问答")]
axes[0, 0].set_xticks(range(3), what, fontsize=8)
for (i, j), value in np.ndenumerate(shown):
    axes[0, 0].text(
        j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=8, color="white" if value > 0.5 else "black"
    )
values = np.array(list(reviews.values()))
for task, colour in ((2, "sft"), (1, "tuned")):
    name = label("proofreading (new)", "校对（新）") if task == 1 else label("answering (old)", "问答（旧）")
    axes[0, 1].plot(range(4), 100 * values[:, task], "o-", color=plots.COLOURS[colour], label=name)
when = [label("before", "之前"), label("no review", "不复习"), label("16 pairs", "16 个"), label("64 pairs", "64 个")]
axes[0, 1].set_xticks(range(4), when)
axes[0, 1].set(xlabel=label("old pairs reviewed", "复习的旧问答对"), ylim=(-3, 103),
               ylabel=label("right answers, %", "正确率，%"))  # fmt: skip
axes[0, 1].legend(fontsize=8)
axes[0, 1].grid(alpha=0.3)
show_figure(figure)
# %% [markdown] tags=["en"]
# 50 steps of proofreading take answering from nearly 90 % to 2, 11 or 19 % (three base models); what it says now is a hint about
# grammar, half a name, another thing's name. With 16 old pairs among the new ones 22 to 52 % is left, with 64 it is 40 to 63 %.
# The new task loses a little by it (a fifth of every batch is old). So review helps, and the *number of different* old pairs
# counts; 16 of them are not enough here.
#
# Is what is lost gone? Hardly: the facts of the held-out places are in no review pair, and yet 64 of these bring back half of
# them or more. What was forgotten is mostly how to answer, not what.
# %% [markdown] tags=["zh"]
# 50 步校对让问答从接近 90 % 掉到 2、11 或 19 %（三个基础模型）；现在它说的是语法提示、半个名字，或别的东西的名字。新问答对里混入 16 个
# 旧的，剩 22 到 52 %；混入 64 个，剩 40 到 63 %。新任务因此略有损失（每批有五分之一是旧的）。所以复习有用，而且起作用的是*不同的*旧
# 问答对有多少；这里 16 个还不够。
#
# 丢掉的真的没有了吗？不太可能：留出地方的事实不在任何复习的问答对里，64 个问答对却能找回一半或更多。忘掉的主要是怎样回答，而不是知识本身。
# %% [markdown] tags=["en"]
# ## What to keep for review
#
# Examples come in a stream, and only some can be kept, say 2 of them. The latest two would all be of the last task, the
# first two of the first. **Reservoir sampling** keeps a fair sample without knowing how long the stream will be: item
# number n draws a place j from 0 to n - 1 at random; if j is inside the buffer, it takes that place, else it is passed
# over.
#
# | item | n | draw | j = floor(draw · n) | buffer |
# |---|---|---|---|---|
# | a, b | 1, 2 | | | [a, b] |
# | c | 3 | 0.5 | 1 | [a, c] |
# | d | 4 | 0.9 | 3: passed over | [a, c] |
# | e | 5 | 0.1 | 0 | [e, c] |
#
# **Before you run it:** at the end, which item is more likely to be in the buffer, a (which came first but had to
# survive three draws) or e?
# %% [markdown] tags=["zh"]
# ## 留下什么来复习
#
# 例子一个接一个来，只能留下一部分，比如 2 个。留最近的两个，就都是最后一个任务的；留最早的两个，就都是第一个任务的。**蓄水池抽样**
# （reservoir sampling）不用知道总共有多少，也能留下公平的样本：第 n 个例子从 0 到 n - 1 随机抽一个位置 j；j 在缓冲区内，就顶替
# 那个位置，否则跳过。
#
# | 例子 | n | 随机数 | j = floor(随机数 · n) | 缓冲区 |
# |---|---|---|---|---|
# | a、b | 1、2 | | | [a, b] |
# | c | 3 | 0.5 | 1 | [a, c] |
# | d | 4 | 0.9 | 3：跳过 | [a, c] |
# | e | 5 | 0.1 | 0 | [e, c] |
#
# **运行之前先猜：** 最后，a（最早来，但要躲过三次抽签）和 e，哪个更可能在缓冲区里？
# %%
rows = []
for number, item in enumerate("abcde", 1):
    enters = min(1.0, 2 / number)
    survives = [1 - 1 / later for later in range(max(number, 2) + 1, 6)]  # each later item hits its place with 1 / n
    rows.append([item, enters, " × ".join(f"{p:.3f}" for p in survives), enters * float(np.prod(survives))])
show_table(
    [
        say("item", "例子"),
        say("enters", "进入"),
        say("survives the later ones", "躲过后来的"),
        say("is in the buffer", "在缓冲区里"),
    ],
    rows,
)
# %% [markdown] tags=["en"]
# Each 2/5: entering is rarer the later an item comes, and there are fewer draws to survive.
#
# <!-- go on -->
#
# Sun, Ho and Lee (LAMOL) keep nothing at all: before a new task the model itself *writes* examples of the old ones, and
# these are reviewed. That is the lecture's “how does a language model review what it has learned”.
# %% [markdown] tags=["zh"]
# 都是 2/5：来得越晚越难进入，但要躲过的抽签也越少。
#
# <!-- go on -->
#
# Sun、Ho、Lee 的 LAMOL 什么都不留：学新任务之前，模型自己*写出*旧任务的例子来复习。这就是课上说的“语言模型如何复习
# 学习过的知识”。
# %% [markdown] tags=["en"]
# ## The lecture's claims, measured
#
# The full experiments, on several seeds, with thresholds fixed beforehand; shown are the published results (the
# first card says how to read it). Measure them yourself:
# `python -m minillm claims specialists generalist composition review --quick`.
#
# **Specialists.** The same three tasks, each with 16, 64 and 256 pairs, from the base and from random weights in equal
# steps. The sentences to be proofread in the exam, and the words their mistakes are about, occur in no pair. One more
# proofreader is a classifier, as BERT is used: its output layer has one score for each answer, and no words.
#
# **Before you run it:** in which task do random weights come closest to the base, and why there?
# %% [markdown] tags=["zh"]
# ## 课程里的论断，一一测量
#
# 完整的实验：好几个种子，阈值事先写定；显示的是已发布的结果（怎样读，第一张卡片上有说明）。自己
# 测：`python -m minillm claims specialists generalist composition review --quick`。
#
# **专才。** 同样的三个任务，各用 16、64、256 个问答对，从基础模型和从随机权重开始，步数相同。考校对的句子，以及错误所在的
# 词，在问答对里都没有出现过。另有一个校对是分类器，像使用 BERT 那样：输出层对每种回答给一个分数，不写字。
#
# **运行之前先猜：** 哪个任务里，随机权重最接近基础模型？为什么是它？
# %%
show_claim("specialists", explained=True)
# %% [markdown] tags=["en"]
# **The generalist.** FLAN and T0 claim more than that one model can hold many tasks: tuned on many *kinds* of tasks, it
# gets better at a kind it was never tuned on. Here a kind is what is asked about a passage: 1, 2 or 5 attributes are
# taught, with 500 pairs in all, and the sixth is asked. Of attributes there are only six, so made-up ones (“the bakomi of
# Japan”) continue the curve up to 256 kinds. One model is taught with a number in place of each question: FLAN's own test of
# whether the instruction matters. One more learns six tasks at once, mails and summaries among them.
#
# **Before you run it:** draw the score in the kind that was never taught over the number of kinds. Is it a line or a step?
# %% [markdown] tags=["zh"]
# **通才。** FLAN 和 T0 说的不止是一个模型装得下许多任务：用许多*种*任务微调之后，它在从没教过的一种上也会变好。这里一种指
# 就文章问什么：教 1、2 或 5 种属性，总共 500 个问答对，考第六种。属性只有六种，所以用编造的属性（“日本的 bakomi”）把曲线延
# 长到 256 种。有一个模型学的时候，问题换成编号：FLAN 自己就这样检验指令有没有用。另有一个模型同时学六个任务，其中有邮件和摘要。
#
# **运行之前先猜：** 画出没教过的那一种的成绩随种数的变化。是一条斜线，还是一级台阶？
# %%
show_claim("generalist")
# %% [markdown] tags=["en"]
# **Composition.** In the lecture the generalist learns to summarise and to translate, each apart, and then does both in
# one request (摘要并翻译).
#
# **Before you run it:** what share of the joint requests will be right? What share if the same model is asked for the
# summary first and then to translate what it wrote? What will the wrong answers be: only summarised, only translated,
# neither?
# %% [markdown] tags=["zh"]
# **组合。** 课上说，通才分别学会摘要和翻译，就能在一个请求里两样一起做（摘要并翻译）。
#
# **运行之前先猜：** 两样一起的请求能对多少？同一个模型先要它写摘要、再要它翻译自己写的摘要，又能对多少？错的会是什么样：只
# 做了摘要，只做了翻译，还是都没做？
# %%
show_claim("composition")
# %% [markdown] tags=["en"]
# **Review.** Answering, then translating, then proofreading, one after the other: without review; with old pairs, a fifth
# as many as new ones; with at most as many questions that the model writes itself (LAMOL); and all tasks at once for comparison.
# No text of stage 1 is rehearsed: that would be review of another kind. All three tasks are examined.
#
# **Before you run it:** order these by what is left of answering. Are the model's own questions worth as much as real
# ones?
# %% [markdown] tags=["zh"]
# **复习。** 问答、翻译、校对一个接一个地学：不复习；用旧的问答对复习，数量是新的五分之一；用模型自己写的、至多同样多的题复习
# （LAMOL）；另外所有任务一起学，作为比较。第一阶段的文本都不复习，那是另一种复习。三个任务都考。
#
# **运行之前先猜：** 按问答还剩多少来排序。模型自己出的题，抵得上真题吗？
# %%
show_claim("review")
# %% [markdown] tags=["en"]
# **Reading them.** Each verdict follows from one difference, its interval and the thresholds fixed beforehand; the
# other bars are there to explain it. Random weights cannot answer or translate what they have never read: bars near 0
# show missing knowledge there. Only proofreading compares the learning itself. In FLAN's own paper tuning on many tasks made models of eight billion parameters and
# fewer *worse* at unseen ones. The kinds here are much more alike than FLAN's, which helps a small model; how far it gets
# all the same shows next to the bar where the kind itself was taught, and next to a third, which any value of the passage
# would get.
#
# <!-- go on -->
#
# To discuss: which of the four claims would you expect to turn out otherwise in a model a thousand times as large?
# Which figure on the cards speaks for that, which against it?
# %% [markdown] tags=["zh"]
# **怎样读。** 每个结论由一个差、它的区间和事先写定的阈值得出；其余的柱子用来解释它。随机权重答不出也译不出没读过的东西：
# 那里接近 0 的柱子说明缺的是知识，只有校对比的是学习本身。FLAN 自己的论文里，八十亿参数和更
# 小的模型用许多任务微调之后，没见过的任务反而*变差*。而这里的各种任务彼此相似得多，对小模型有利；即便如此能走多远，跟
# “教的就是这一种”那根柱子比一比，再跟三分之一（任取文中一个值就能得到）比一比，就知道。
#
# <!-- go on -->
#
# 讨论：模型大一千倍，这四个论断里哪一个的结果会不同？卡片上哪个数字支持你的猜测，哪个与它相反？
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | specialists: one task each, simple data | about 40 to 90 % on their own task, nearly 0 on the others |
# | a generalist does many tasks | yes, with instructions; with three times the steps it is near the specialists |
# | learning a new task makes a model forget, review helps | from nearly 90 % to a fifth or less; with 16 reviewed pairs a quarter to a half is right, with 64 about half or more; what the model's own questions bring back: card `review` |
# | the generalist composes what it learned apart (摘要并翻译) | no task of ours asks for it; see the card `composition` |
#
# One seed of tuning; expect several points of difference with another.
#
# ## To discuss in class
#
# 1. A hospital wants a model that codes diagnoses, and nothing else. Specialist or generalist? (A good answer weighs
#    accuracy, cost of several models, what happens with inputs off the task, and that a specialist answers those in its
#    own form without a warning.)
# 2. With 16 reviewed pairs at most half was right here. Name two ways to keep more without more old pairs, and a control for each. (A
#    good answer: lower learning rate or fewer steps, LoRA with the base frozen, text of stage 1 in every batch, examples
#    the model writes itself; and compares at equal score on the *new* task.)
#
# ## Homework
#
# `fill_template`, `mix_review`, `reservoir_update`. Write them in the cells below, or in
# `lessons/11_specialists_generalist/homework.py`, which is what you hand in. `check("mix_review")` says at once which
# idea goes wrong, `hint("mix_review")` helps in three steps, `reset("mix_review")` begins anew, `progress()` shows
# how far you are. In a terminal `python -m minillm homework 11` grades the file, `python -m minillm homework 11
# --watch` does so whenever you save it.
#
# ## References
#
# - J. Wei et al. 2021, *Finetuned Language Models Are Zero-Shot Learners* (FLAN), arXiv 2109.01652.
# - J. Devlin et al. 2018, *BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding*, arXiv 1810.04805.
# - V. Sanh et al. 2021, *Multitask Prompted Training Enables Zero-Shot Task Generalization* (T0), arXiv 2110.08207.
# - H. W. Chung et al. 2022, *Scaling Instruction-Finetuned Language Models*, arXiv 2210.11416.
# - F.-K. Sun, C.-H. Ho, H.-Y. Lee 2019, *LAMOL: LAnguage MOdeling for Lifelong Language Learning*, arXiv 1909.03329.
# - J. S. Vitter 1985, *Random Sampling with a Reservoir*, ACM Transactions on Mathematical Software 11.
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 专才：各做一个任务，数据单一 | 自己的任务约 40 到 90 %，别的几乎是 0 |
# | 一个通才做多种任务 | 可以，要有指令；用三倍的步数，接近专才 |
# | 学新任务会遗忘，复习有用 | 从接近 90 % 掉到五分之一以下；复习 16 个问答对时答对四分之一到一半，64 个时约一半或更多；模型自己出题能找回多少，见卡片 `review` |
# | 通才能把分开学的组合起来（摘要并翻译） | 我们的三个任务没有检验；见卡片 `composition` |
#
# 微调只用了一个种子；换一个会差几个百分点。
#
# ## 课堂讨论
#
# 1. 一家医院要一个给诊断编码的模型，别的都不做。专才还是通才？（好的回答会权衡准确率、多个模型的成本、遇到任务以外的输入会怎样，
#    并指出专才会不加提醒地用自己的形式回答那些输入。）
# 2. 这里复习 16 个问答对，最多只剩一半答对。不增加旧问答对，说出两种保住更多的办法，各配一个对照。（好的回答：降低学习率或减少步数；
#    冻结基础模型用 LoRA；每批加入第一阶段的文本；用模型自己写的例子；并且在*新*任务得分相同时比较。）
#
# ## 作业
#
# `fill_template`、`mix_review`、`reservoir_update`。写在下面的单元格里，或者写在
# `lessons/11_specialists_generalist/homework.py` 里，最后交的是这个文件。`check("mix_review")` 马上告诉你是哪个想法错
# 了，`hint("mix_review")` 分三步提示，`reset("mix_review")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 11` 批改这个文件，`python -m minillm homework 11 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - J. Wei 等 2021，*Finetuned Language Models Are Zero-Shot Learners*（FLAN），arXiv 2109.01652。
# - J. Devlin 等 2018，*BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding*，arXiv 1810.04805。
# - V. Sanh 等 2021，*Multitask Prompted Training Enables Zero-Shot Task Generalization*（T0），arXiv 2110.08207。
# - H. W. Chung 等 2022，*Scaling Instruction-Finetuned Language Models*，arXiv 2210.11416。
# - F.-K. Sun、C.-H. Ho、H.-Y. Lee 2019，*LAMOL: LAnguage MOdeling for Lifelong Language Learning*，arXiv 1909.03329。
# - J. S. Vitter 1985，*Random Sampling with a Reservoir*，ACM Transactions on Mathematical Software 11。
