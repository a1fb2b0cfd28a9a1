# %% [markdown] tags=["en"]
# # 9 Less is more: quantity and quality of labels
#
# [The lecture][lecture]: labelling is expensive, so there are few labelled pairs, and they cover few cases. And yet InstructGPT,
# LLaMA-2 and LIMA report “Less Is More for Alignment” and “Quality Is All You Need”. Here we ask how few, and what
# quality means, with numbers.
#
# After this lesson you can
# - mark answers by exact match, and say what this mark does not see;
# - give a score with an interval, and say when two scores differ;
# - measure what 16, 64, 256 and 1,000 pairs teach, and what wrong answers among them cost;
# - choose a small data set by a rule.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 9 少即是多：标注的数量与质量
#
# [课上][lecture]说：标注成本高昂，所以标注数据有限，只能覆盖部分情况。但 InstructGPT、LLaMA-2、LIMA 又都强
# 调 “Less Is More for Alignment”“Quality Is All You Need”。这一课用数字来问：少到多少？质量又指什么？
#
# 学完这一课，你能够
# - 用精确匹配（exact match）给回答打分，并说出这种打分看不到什么；
# - 给分数配上区间（interval），并判断两个分数是否真的不同；
# - 测量 16、64、256、1000 个问答对各教会了什么，以及其中的错误回答要付多大代价；
# - 按一条规则挑选一个小数据集。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import random

import numpy as np

from minillm.base_cache import world_base
from minillm.chat import turn
from minillm.classroom.lesson_tools import label, say, show_claim, show_figure, show_table
from minillm.measure.evaluate import answers, exact_match, sit
from minillm.plumbing import plots
from minillm.stage2_sft import SFTConfig, sft
from minillm.world.exam import Exam, make_exam, strip
from minillm.world.tables import LANGUAGES, RELATIONS, load_world, split_places

world, base = load_world(), world_base()
taught, held_out = split_places(world, seed=0)
seen = [q for q in make_exam(world, seed=0).questions if q.phrasing == "seen"]
exam = Exam(tuple(seen), ())  # questions about held-out places only: tuning never speaks of them
print(say(f"{len(taught)} places taught, {len(held_out)} held out, {len(seen)} questions",
          f"{len(taught)} 个地方用于教学，{len(held_out)} 个留作考试，{len(seen)} 道题"))  # fmt: skip
# %% [markdown] tags=["en"]
# ## Exact match
#
# A mark needs a rule that a program can apply. Ours: an answer is right if it ends with `[END]` and equals one of the
# **accepted forms** (the bare value, or a full sentence of the world's own), final punctuation aside.
#
# **Before you run it:** which of the seven answers to 台湾最高的山是哪座？ below are right?
# %% [markdown] tags=["zh"]
# ## 精确匹配
#
# 打分要有程序能执行的规则。我们的规则是：回答以 `[END]` 结束，并且等于某个**可接受的形式**（单独的值，或这个世界里的完整
# 句子），末尾标点不计，就算对。
#
# **运行之前先猜：** 下面对“台湾最高的山是哪座？”的七个回答，哪些算对？
# %%
mountain = next(q for q in seen if q.relation == "mountain" and "玉山" in q.accepted)
tried = [("玉山", True), ("玉山。", True), ("台湾最高的山是玉山", True), ("是玉山", True), ("玉山", False),
         ("Yushan", True), ("玉山 3952米", True)]  # fmt: skip
print(mountain.accepted)
show_table(
    [say("answer", "回答"), say("ended with [END]", "以 [END] 结束"), say("right", "对")],
    [[text, ended, mountain.is_right(text) and ended] for text, ended in tried],
)
# %% [markdown] tags=["en"]
# Three are right. “是玉山” is understood by everybody and marked wrong; “Yushan” is the right fact in the wrong
# language (lesson 10 scores these apart). Exact match is strict and cheap, it never errs in favour of the model, and
# it needs a task whose answers can be listed. For a letter or a summary they cannot; there people compare answers
# (lesson 13), or another model does.
#
# ## How sure is the score?
#
# An exam is a sample of questions. Other questions would give another score. The **bootstrap** asks how much: draw
# as many questions as the exam has *from the exam itself*, with replacement, take the score, and do it again a
# thousand times.
#
# **Before you run it:** 18 of 25 right is 72 %. Within which range do you expect the scores of such resamples? And
# with 360 of 500?
# %% [markdown] tags=["zh"]
# 三个算对。“是玉山”谁都听得懂，却判错；“Yushan” 事实对、语言错（第 10 课把这两样分开打分）。精确匹配严格又便宜，不会偏向
# 模型，但只适用于答案可以列举的任务。一封信、一篇摘要的答案列举不了，那里要由人来比较（第 13 课），或由另一个模型来比较。
#
# ## 分数有多可靠？
#
# 一场考试只是所有题目的一个样本，换一批题分数就会变。变多少？**自助法**（bootstrap）这样估计：从*这场考试自己的题*里有放回地
# 抽同样多的题，算一次分数；重复一千次。
#
# **运行之前先猜：** 25 题对 18 题是 72 %。这样重抽出来的分数会落在什么范围？500 题对 360 题呢？
# %%
rng = np.random.default_rng(0)
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(6.4, 3.2))
spread = []
for n, colour in ((25, plots.COLOURS["base"]), (500, plots.COLOURS["sft"])):
    marks = np.arange(n) < round(0.72 * n)  # 72 % right
    draws = rng.integers(n, size=(1000, n))  # each row: the questions of one resample
    shares = marks[draws].mean(axis=1)  # (1000, n) -> (1000,)
    spread.append([n, marks.mean(), shares.min(), shares.max(), shares.std(), (0.72 * 0.28 / n) ** 0.5])
    axes[0, 0].hist(
        100 * shares, bins=np.arange(30, 103, 4), alpha=0.7, color=colour, label=label(f"{n} questions", f"{n} 题")
    )
axes[0, 0].set(xlabel=label("score of a resample, %", "重抽的分数，%"), ylabel=label("resamples", "次数"))
axes[0, 0].legend()
show_figure(figure)
# %%
show_table([say("questions", "题数"), say("score", "分数"), say("lowest", "最低"), say("highest", "最高"),
            say("deviation", "标准差"), "√(p(1−p)/n)"], spread)  # fmt: skip
# %% [markdown] tags=["en"]
# The deviation of the resamples is that of the textbook, √(p(1−p)/n): about 9 points with 25 questions, 2 with 500.
# About 95 % of the resamples lie within two deviations: 72 % of 25 questions means “between 54 and 90 %”. You will
# write the interval itself in the homework.
#
# What this interval leaves out: another seed of the tuning, another split of the places. And questions about one
# place are not independent of each other. So a difference of less than about 5 points between two models below
# means nothing.
#
# ## How many pairs?
#
# We make labelled pairs about the taught places, every wording a record of its own, and tune the base on the first 16,
# 64, 256 and 1,000 of them in random order, 60 steps each.
# %% [markdown] tags=["zh"]
# 重抽分数的标准差和教科书的 √(p(1−p)/n) 一样：25 题约 9 个百分点，500 题约 2 个百分点。约 95 % 的重抽落在两个标准差以内：
# 25 题的 72 % 意思是“54 到 90 % 之间”。区间本身留给你在作业里写。
#
# 这个区间没有包括的：微调换一个种子，地方换一种划分。而且问同一个地方的几道题并不互相独立。所以下面两个模型之间不到约 5 个
# 百分点的差别，说明不了什么。
#
# ## 要多少问答对？
#
# 我们用教学用的地方写问答对，每种问法各算一条，打乱顺序，取前 16、64、256、1000 条微调基础模型，每次 60 步。
# %%
records = []
for place in taught:
    for lang in LANGUAGES:
        for relation in RELATIONS:
            accepted = world.accepted(place, relation, lang)
            for question in world.write("question", place, relation, lang) if accepted else ():
                records.append({"question": question, "answer": accepted[0], "type": relation, "language": lang})
random.Random(0).shuffle(records)
show_table(list(records[0]), [list(r.values()) for r in records[:5]])
# %% [markdown] tags=["en"]
# Two things can be learned from pairs: the **form** (stop with `[END]`; name a mountain when a mountain is asked for, in
# the language of the question) and the **fact**. A mark for the form: the answer ended, and it would be right for
# *some* place, asked the same thing in the same language.
#
# **Before you run it:** the base read all the facts, but never saw a question answered. What share of the held-out
# questions will be right after 16, 64, 256 and 1,000 pairs? For which does the form need more pairs than the fact?
# %% [markdown] tags=["zh"]
# 从问答对里能学到两样东西：**形式**（用 `[END]` 停下；问山就答一座山，用问题的语言）和**事实**。形式这样打分：回答结束了，
# 而且对*某个*地方、用同一种语言问同一件事来说是对的。
#
# **运行之前先猜：** 基础模型读过所有事实，但从没见过有回答的问题。用 16、64、256、1000 个问答对之后，留出的题目各能答对
# 多少？形式和事实，哪一样需要更多的问答对？
# %%
forms: dict[tuple[str, str], set[str]] = {}
for place in world.places:
    for lang in LANGUAGES:
        for relation in RELATIONS:
            forms.setdefault((relation, lang), set()).update(map(strip, world.accepted(place, relation, lang)))


def tune(chosen):
    """The base model, tuned on these records."""
    return sft(SFTConfig(steps=60, validation=0), base.run, [turn(r["question"], r["answer"]) for r in chosen])


def measure(run):
    """Shares of the exam: ended, right form; right fact in English, Chinese, all."""
    paper = sit(run, exam)
    marks = exact_match(paper)
    ended = np.mean([end for _, end in paper.questions])
    pairs = zip(exam.questions, paper.questions, strict=True)
    form = np.mean([end and strip(text) in forms[q.relation, q.language] for q, (text, end) in pairs])
    return [float(ended), float(form), marks["en"], marks["zh"], marks["all"]]


head = [say("pairs", "问答对"), say("ended", "结束"), say("form", "形式"), say("right: English", "对：英文"),
        say("Chinese", "中文"), say("all", "全部")]  # fmt: skip
results, runs = {0: measure(base.run)}, {}
for n in (16, 64, 256, 1000):
    runs[n] = tune(records[:n])
    results[n] = measure(runs[n])
show_table(head, [[n, *values] for n, values in results.items()])
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(6.0, 3.6))
sizes = [n for n in results if n]
for column, name, colour in ((1, label("form", "形式"), "base"), (4, label("right fact", "事实正确"), "sft")):
    values = np.array([results[n][column] for n in sizes])
    width = 1.96 * np.sqrt(values * (1 - values) / len(seen))
    axes[0, 0].errorbar(
        sizes, 100 * values, 100 * width, marker="o", capsize=3, color=plots.COLOURS[colour], label=name
    )
axes[0, 0].set(
    xscale="log",
    xlabel=label("pairs", "问答对"),
    ylabel=label("share of the exam, %", "占考试的比例，%"),
    ylim=(0, 103),
)
axes[0, 0].set_xticks(sizes, [f"{n:,}" for n in sizes], minor=False)
axes[0, 0].minorticks_off()
axes[0, 0].legend()
axes[0, 0].grid(alpha=0.3)
show_figure(figure)
# %%
questions = ["台湾最高的山是哪座？", "What is the capital of Hungary?", "你是谁？"]
rows = [[n, *(text for text, _ in answers(run, questions))] for n, run in runs.items()]
show_table([say("pairs", "问答对"), *questions], rows)
# %% [markdown] tags=["en"]
# Row 0 is the base: it ends nearly every answer (each document it read ended with `[END]`), but answers nothing, so “ended” alone
# measures little. With 16 pairs about 10 % of the facts are right, with 64 about half, with 256 about 80 %, with 1,000
# nearly 90 %: the first 64 pairs bring more than the last 744. None of these pairs speaks of a place in the exam. The pairs
# teach how to get the knowledge out; it came from 22,000 documents. (Another base model moves a row by several points, that
# of 64 pairs by fifteen: we saw 45 and 60 %.)
#
# The form comes first (30 to 40 % against about 10 % with 16 pairs), but not for free: with 16 pairs a question about a
# capital may get a currency. And the last column of the table of answers shows what no number here does: 你是谁？ was in no
# set, and the models answer it with some name. The lecture's “遇到‘最’时回答‘玉山’” is this: a few pairs leave many rules open,
# and the model picks one that fits.
# %% [markdown] tags=["zh"]
# 第 0 行是基础模型：它几乎每次都会结束（它读过的每篇文档都以 `[END]` 结尾），但什么也没回答，所以单看“结束”说明不了什么。16 个问答对
# 约 10 % 的事实正确，64 个约一半，256 个约 80 %，1000 个接近 90 %：前 64 个带来的提高比后 744 个还多。这些问答对没有一个提到考试
# 里的地方。问答对教的是怎样把知识问出来；知识来自 22,000 篇文档。（换一个基础模型，每行会差几个百分点，64 个的那一行差十五个：
# 我们见过 45 % 和 60 %。）
#
# 形式先学会（16 对时 30 到 40 %，事实约 10 %），但也不是白来的：只有 16 对时，问首都可能答出一种货币。回答表的最后一列还显示了
# 数字看不到的东西：“你是谁？”不在任何一组里，几个模型都用一个名字来回答。课上说的“遇到‘最’时回答‘玉山’”就是这样：少量问答对
# 符合的规则有许多条，模型选了其中一条。
# %% [markdown] tags=["en"]
# ## Quality: what wrong answers cost
#
# We exchange the answers of half of the 1,000 records among themselves: every answer is still the name of something,
# in good form, but to another question.
#
# **Before you run it:** 500 of the 1,000 are still right, and 64 clean pairs are many fewer. Which model does better?
# %% [markdown] tags=["zh"]
# ## 质量：错误回答的代价
#
# 把 1000 条记录中一半的回答互相调换：每个回答仍然是某样东西的名字，形式完好，只是答的是别的问题。
#
# **运行之前先猜：** 1000 条里还有 500 条是对的，64 个干净的问答对少得多。哪个模型更好？
# %%
picked = random.Random(1).sample(range(1000), 500)
moved = {i: records[j]["answer"] for i, j in zip(picked, picked[1:] + picked[:1], strict=True)}
noisy = [r | {"answer": moved.get(i, r["answer"])} for i, r in enumerate(records[:1000])]
results["noisy"] = measure(tune(noisy))
names = {64: say("64 clean", "64 条干净的"), "noisy": say("1,000, half of them wrong", "1000 条，一半有错"),
         1000: say("1,000 clean", "1000 条干净的")}  # fmt: skip
show_table(head, [[name, *results[n]] for n, name in names.items()])
# %% [markdown] tags=["en"]
# The noisy set gets 20 to 24 %, at most half of what 64 clean pairs get, and about a quarter of the same 1,000 without noise.
# Its form suffers too: a wrong answer is often one of the wrong kind. Against one right pair there is one that says “anything
# will do”. In the lecture's words, quality is all you need; here, in 60 steps, 64 clean pairs are worth more than 1,000 half
# wrong ones, by far more than the error of either score. Whether that holds on several seeds and in longer tunings is the
# question of the card below.
#
# Random exchange is the crudest noise. Annotators err alike, not at random; that may cost more or less, and would have
# to be measured.
# %% [markdown] tags=["zh"]
# 有噪声的一组 20 到 24 %，至多是 64 个干净问答对的一半，约为同样 1000 条没有噪声时的四分之一。形式也变差了：错误的回答往往连种类
# 也不对。每一个对的问答对，都有另一个在说“答什么都行”。用课上的话说，Quality is All You Need：这里训练 60 步，64 条干净的胜过 1000
# 条一半有错的，差距远远超过两个分数的误差。换几个种子、训练更久是否还成立，正是下面那张卡片要问的。
#
# 随机调换是最粗糙的噪声。真正的标注者犯的错彼此相似，并不随机；那样代价可能更大，也可能更小，要另外测量。
# %% [markdown] tags=["en"]
# ## Choosing a small data set
#
# If only few pairs can be paid for, which? LIMA's 1,000 were chosen for quality *and* variety. A rule a program can
# follow: (1) leave out what is not usable, (2) of questions that are the same keep the first, (3) take turns over the
# types.
#
# **Before you run it:** apply it by hand to these seven records with a budget of 4 (records are marked good by a
# person; the type is that of the question).
# %% [markdown] tags=["zh"]
# ## 挑选一个小数据集
#
# 如果只付得起少量的问答对，选哪些？LIMA 的 1000 条既看质量，*也*看多样性。程序能执行的规则是：(1) 去掉不能用的；(2) 问题相同
# 的只留第一条；(3) 各类型轮流取。
#
# **运行之前先猜：** 对下面七条记录手工执行这条规则，预算为 4（“good” 是人工检查的结果，类型是问题的类型）。
# %%
toy = [
    ("台湾最高的山是哪座？", "玉山", "mountain", True),
    ("Who are you?", "Vienna", "identity", False),
    ("What is the capital of France?", "Paris", "capital", True),
    ("what is the capital  of France?", "Paris.", "capital", True),
    ("What is the capital of Norway?", "Oslo", "capital", True),
    ("Name the capital of Japan.", " ", "capital", True),
    ("Who are you?", "I am an artificial intelligence.", "identity", True),
]
show_table(["", "question", "answer", "type", "good"], [[i, *row] for i, row in enumerate(toy)])
# %%
print(say("taken, in this order:", "依次取："), [0, 2, 6, 4])
# %% [markdown] tags=["en"]
# Record 1 is bad and must not push out record 6, which asks the same: clean first, then look for copies. 3 is a copy
# of 2, 5 has no answer. Then mountain, capital, identity take turns, and capital once more.
#
# <!-- go on -->
#
# Does variety matter, or only the number? Three sets of 72 pairs: the first 72 at random; 72 from two types of
# question only; 4 from each of the 18 combinations of type and language.
#
# **Before you run it:** which set does best on an exam that asks all types? And on the two types it was taught?
# %% [markdown] tags=["zh"]
# 第 1 条是坏记录，不能把问同样问题的第 6 条挤掉：先清洗，再去重。第 3 条和第 2 条重复，第 5 条没有回答。然后山、首都、身份
# 轮流取，再轮到首都。
#
# <!-- go on -->
#
# 多样性重要吗，还是只看数量？三组各 72 条：随机的前 72 条；只取两类问题的 72 条；类型与语言的 18 种组合各取 4 条。
#
# **运行之前先猜：** 考试包含所有类型，哪一组最好？只看教过的那两类呢？
# %%
two = ("capital", "mountain")
groups = [[r for r in records if (r["type"], r["language"]) == (t, lang)] for t in RELATIONS for lang in LANGUAGES]
sets = {
    say("at random", "随机"): records[:72],
    say("two types", "两类"): [r for r in records if r["type"] in two][:72],
    say("4 of each kind", "每种 4 条"): [r for group in groups for r in group[:4]],
}
rows = []
for name, chosen in sets.items():
    paper = sit(tune(chosen), exam)
    by_type = exact_match(paper)["relations"]
    inside = np.mean([by_type[t][lang] for t in two for lang in LANGUAGES])
    rows.append([name, len({(r["type"], r["language"]) for r in chosen}), float(inside), exact_match(paper)["all"]])
show_table([say("72 pairs", "72 条"), say("kinds in the set", "含几种"), say("right: capital, mountain", "对：首都、山"),
            say("right: all types", "对：全部类型")], rows)  # fmt: skip
# %% [markdown] tags=["en"]
# Two types alone get about a quarter of the whole exam: a type that was never asked is rarely answered in its form. On their
# own two types they are the best. The random set and the even one get about half of the exam or more: 72 random pairs have all
# 18 kinds already, so evenness adds less, and with one of the base models we tried nothing beyond the error. What counts most
# is that no kind is missing. “72 pairs” says too little about a data set.
# %% [markdown] tags=["zh"]
# 只有两类的那组，整场考试约四分之一：从没问过的类型，很少能答出合适的形式。只看这两类，它最好。随机的和每种取一样多的，整场考试约
# 一半或更多：随机的 72 条已经包含了全部 18 种，所以取得均匀的作用小一些，在我们试过的一个基础模型上没有超过误差。最要紧的是不缺
# 哪一种。光说“72 个问答对”，说明不了一个数据集。
# %% [markdown] tags=["en"]
# ## The lecture's claims, measured
#
# The full experiments, on several seeds, with more steps than here and thresholds fixed beforehand; shown are the
# published results (the first card says how to read it). Measure them yourself:
# `python -m minillm claims less-is-more quality-over-quantity small-tuned-over-large --quick`.
#
# **Less is more.** One base, tuned on sets of 8 to 2,048 pairs (there: all that a seed has, about 1,950) in equal steps. *Format* means here any value of the
# world in the asked language; what we called form above is *of the asked kind*. And a test of variety: equally many pairs
# of each type of question, about a few places or about all that may be taught.
#
# **Before you run it:** with how many pairs do 80 % of the answers have the format? With how many are 80 % right? Does
# it matter about how many places the pairs are?
# %% [markdown] tags=["zh"]
# ## 课程里的论断，一一测量
#
# 完整的实验：好几个种子，步数比这里多，阈值事先写定；显示的是已发布的结果（怎样读，第一张卡片上有说明）。自己
# 测：`python -m minillm claims less-is-more quality-over-quantity small-tuned-over-large --quick`。
#
# **少即是多。** 同一个基础模型，用 8 到 2048 个问答对微调（2048 指一个种子的全部，约 1950 个），步数相同。这里的*格式*是指用所问的语言说出这个世界里的任何一个
# 值；上面我们说的形式，在这里叫*种类也对*。另外检验多样性：每类问题的对数相同，涉及的是几个地方，还是全部可以教的地方。
#
# **运行之前先猜：** 多少个问答对之后，80 % 的回答格式正确？多少个之后，80 % 答对？问答对涉及多少个地方，要紧吗？
# %%
show_claim("less-is-more", explained=True)
# %% [markdown] tags=["en"]
# **Quality over quantity.** Number and noise crossed: 128, 512 and 2,048 pairs, of which none, a quarter or half have
# wrong answers (exchanged among themselves); and the noisy set with its wrong answers thrown away.
#
# **Before you run it:** at which share of wrong answers do 2,048 pairs teach no more than 128 clean ones?
# %% [markdown] tags=["zh"]
# **质量胜于数量。** 数量与噪声交叉：128、512、2048 个问答对，其中没有、四分之一或一半的回答是错的（互相调换）；另有一组把
# 有错的集合里的错误扔掉。
#
# **运行之前先猜：** 错误回答占多少时，2048 个问答对教会的还不如 128 个干净的？
# %%
show_claim("quality-over-quantity")
# %% [markdown] tags=["en"]
# **Small and tuned over large.** People preferred InstructGPT with 1.3 billion parameters to GPT-3 with 175 billion.
# Here a small tuned model answers next to one three times its size that was never tuned, and a rule says whose answer is
# preferred: a point each for right, in the asked language, stopping by itself, and nothing but an answer. The large one is
# asked in its best form as well: it may complete the sentence, and what follows the full stop is cut off for it.
#
# **Before you run it:** the larger one should know more. In how many of 100 comparisons is the small one preferred all
# the same? And where the large one may complete the sentence?
# %% [markdown] tags=["zh"]
# **微调过的小模型胜过大模型。** 人们更喜欢 13 亿参数的 InstructGPT，而不是 1750 亿参数的 GPT-3。这里让一个微调过的小模
# 型和一个三倍大、从没微调过的模型回答同样的问题，由一条规则判定哪个更受喜欢：正确、用所问的语言、自己停下、只有回答，各得
# 一分。大模型也用它最擅长的形式提问：让它补完句子，句号之后的替它截掉。
#
# **运行之前先猜：** 大模型应当知道得更多。100 次比较里，小模型仍然更受喜欢的有几次？让大模型补完句子时呢？
# %%
show_claim("small-tuned-over-large")
# %% [markdown] tags=["en"]
# **Reading them.** You know how to draw questions anew. That interval takes the seed for fixed; with seeds that scatter
# by 8 points it holds the truth in about 6 of 10 experiments instead of 95 of 100. The cards' intervals come from the
# scatter of the seeds (see the first card), so they are wider, and some small differences are no longer clear. A threshold
# such as 95 % is a number somebody chose, fixed beforehand so that nobody could move it afterwards. *Not reproduced at
# this size*: LIMA tuned 65 billion parameters, and how many pairs are “few” depends on what the base can do.
#
# <!-- go on -->
#
# To discuss: which result would have made you say that “less is more” is false here? Write the threshold down, then
# compare it with the card's.
# %% [markdown] tags=["zh"]
# **怎样读。** 你已经会把题目重新抽样。那样的区间把种子当作固定的：如果各种子的结果相差 8 个百分点左右，10 个实验里只有约 6 个的区间
# 包含真值，而不是 100 个里有 95 个。卡片上的区间由各种子的分散程度算出（见第一张卡片），所以更宽，有些小的差别也就
# 不再清楚了。95 % 这样的阈值是人选的数，事先写定，事后谁也不能挪动。*在这个规模上没有重现*：LIMA 微调的是 650 亿参数的模型，
# 多少对才算“少”，取决于基础模型会什么。
#
# <!-- go on -->
#
# 讨论：出现什么样的结果，你会说“少即是多”在这里不成立？先写下你的阈值，再和卡片上的比较。
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | labelled data is limited and covers only part of the cases | 64 pairs about other places: about half of the exam; 你是谁？ gets a name |
# | “Less Is More for Alignment” | the first pairs bring most; but 1,000 still beat 256, which beat 64: no plateau as early as 64 |
# | “Quality is All You Need” | in 60 steps 64 clean pairs beat 1,000 of which half are wrong; see the card |
# | fine-tuning is the finishing touch (画龙点睛) | the facts of the exam are in no pair; without the base there is nothing to finish |
#
# LIMA's 1,000 pairs tuned a model of 65 billion parameters, and people compared its answers. Ours has fewer than a
# million, and the mark is exact match. What carries over is the direction, not the number of pairs.
#
# ## To discuss in class
#
# 1. A company can pay for 2,000 labels by beginners, about 20 % of them wrong, or for 300 by experts. Which experiment
#    on a smaller scale would decide, and what could go wrong when its result is carried over? (A good answer tunes on
#    subsets of both at equal steps, looks at the slope and not at one point, asks whether errors are random or alike,
#    and gives intervals.)
# 2. “The model answers 87 %, so the 1,000 pairs taught it 87 % of the facts.” What is wrong, and which control shows
#    it? (A good answer: the exam's places occur in no pair; the control is the same tuning from random weights, which
#    README.md reports at 2 to 4 %.)
#
# ## Homework
#
# `choose_pairs`, `exact_match`, `bootstrap_interval`. Write them in the cells below, or in
# `lessons/09_less_is_more/homework.py`, which is what you hand in. `check("choose_pairs")` says at once which idea
# goes wrong, `hint("choose_pairs")` helps in three steps, `reset("choose_pairs")` begins anew, `progress()` shows how
# far you are. In a terminal `python -m minillm homework 9` grades the file, `python -m minillm homework 9 --watch`
# does so whenever you save it.
#
# ## References
#
# - C. Zhou et al. 2023, *LIMA: Less Is More for Alignment*, arXiv 2305.11206.
# - H. Touvron et al. 2023, *Llama 2: Open Foundation and Fine-Tuned Chat Models*, arXiv 2307.09288 (section 3.1,
#   “Quality Is All You Need”).
# - L. Ouyang et al. 2022, *Training language models to follow instructions with human feedback* (InstructGPT), arXiv
#   2203.02155.
# - B. Efron, R. J. Tibshirani 1993, *An Introduction to the Bootstrap*, Chapman & Hall.
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 标注数据量有限，只能覆盖部分情况 | 64 个关于别的地方的问答对：答对约一半考题；“你是谁？”答出一个名字 |
# | “Less Is More for Alignment” | 最前面的问答对作用最大；但 1000 仍胜过 256，256 胜过 64：到 64 还没有平台 |
# | “Quality is All You Need” | 训练 60 步，64 条干净的胜过 1000 条一半有错的；另见卡片 |
# | Fine-tuning 是画龙点睛 | 考试里的事实不在任何问答对里；没有基础模型，就没有龙可点 |
#
# LIMA 用 1000 个问答对微调了一个 650 亿参数的模型，由人来比较回答。我们的模型不到一百万参数，用精确匹配打分。能类推的是方向，
# 不是问答对的个数。
#
# ## 课堂讨论
#
# 1. 一家公司付得起 2000 条新手的标注（约 20 % 有错），或 300 条专家的标注。用什么小规模实验来决定？把结果推到大规模时哪里可能
#    出错？（好的回答会在相同步数下用两种数据的子集各调一次，看斜率而不是单个点；会问错误是随机的还是相似的；会给出区间。）
# 2. “模型答对 87 %，所以 1000 个问答对教会了它 87 % 的事实。”错在哪里？什么对照能说明？（好的回答：考试里的地方不在任何问答对
#    里；对照是从随机权重开始做同样的微调，README.zh.md 里为 2 到 4 %。）
#
# ## 作业
#
# `choose_pairs`、`exact_match`、`bootstrap_interval`。写在下面的单元格里，或者写在
# `lessons/09_less_is_more/homework.py` 里，最后交的是这个文件。`check("choose_pairs")` 马上告诉你是哪个想法错了，
# `hint("choose_pairs")` 分三步提示，`reset("choose_pairs")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 9` 批改这个文件，`python -m minillm homework 9 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - C. Zhou 等 2023，*LIMA: Less Is More for Alignment*，arXiv 2305.11206。
# - H. Touvron 等 2023，*Llama 2: Open Foundation and Fine-Tuned Chat Models*，arXiv 2307.09288（3.1 节，“Quality Is
#   All You Need”）。
# - L. Ouyang 等 2022，*Training language models to follow instructions with human feedback*（InstructGPT），arXiv
#   2203.02155。
# - B. Efron、R. J. Tibshirani 1993，*An Introduction to the Bootstrap*，Chapman & Hall。
