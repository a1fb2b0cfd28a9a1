# %% [markdown] tags=["en"]
# # 12 Data from a stronger model: Self-Instruct, Alpaca, the false promise
#
# [The lecture][lecture]: those who have the open weights of LLaMA still need dialogues; and these “can be had by leading GPT to write
# them” (逆向工程). So Alpaca and Vicuna came about. Here our tuned model is the teacher, and a fresh base the student.
#
# After this lesson you can
# - write the pipeline: new instructions from a few seeds, filters, answers by a teacher, tuning a student;
# - say what the filters can find and what they cannot;
# - measure style and facts apart, and say what imitation brings to a strong and to a weak student.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 12 来自更强模型的数据：Self-Instruct、Alpaca、虚假的承诺
#
# [课上][lecture]说：有了 LLaMA 的开源权重，还缺对话数据；这些数据“可以引导 GPT 逆向工程产生”。于是有
# 了 Alpaca 和 Vicuna。这一课里，我们微调好的模型当老师，全新的基础模型当学生。
#
# 学完这一课，你能够
# - 写出整个流程：从几条种子指令产生新指令，过滤，由老师回答，再微调学生；
# - 说出过滤能发现什么，发现不了什么；
# - 把风格和事实分开测量，并说出模仿给强的学生和弱的学生各带来什么。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% tags=["fold"]
import random
import re

import numpy as np

from minillm.base_cache import cached_base, world_base
from minillm.chat import turn
from minillm.classroom.lesson_tools import label, say, show_claim, show_figure, show_table, show_tokens
from minillm.generate import continuations
from minillm.gpt import count_parameters
from minillm.material.cleaning import deduplicate, jaccard, ngrams
from minillm.measure.evaluate import answers, exact_match, sit
from minillm.plumbing import plots
from minillm.sampling import Sampling
from minillm.stage1_pretrain import PretrainConfig
from minillm.stage2_sft import SFTConfig, sft
from minillm.world.exam import Exam, make_exam, strip
from minillm.world.tables import LANGUAGES, RELATIONS, load_world, split_places

# %%
world, base = load_world(), world_base()
tokenizer = base.run.tokenizer
taught, held_out = split_places(world, seed=0)


def tune(run, dialogues, steps=60):
    """A copy of a model, tuned on dialogues."""
    return sft(SFTConfig(steps=steps, validation=0), run, dialogues)


# %% [markdown] tags=["en"]
# ## The teacher
#
# Our teacher is the base, tuned on 1,000 pairs by people. It answers in full sentences: that is its **style**, easy to
# see and to count. (It is not always right.)
# %% [markdown] tags=["zh"]
# ## 老师
#
# 老师是用 1000 个人写的问答对微调过的基础模型。它用完整的句子回答：这就是它的**风格**，容易看出，也容易计数。（它
# 并不总是对的。）
# %%
human = [turn(question, world.accepted(place, relation, lang)[1])  # the first accepted form after the bare value: a sentence
         for place in taught for lang in LANGUAGES for relation in RELATIONS if world.accepted(place, relation, lang)
         for question in world.write("question", place, relation, lang)]  # fmt: skip
random.Random(0).shuffle(human)
teacher = tune(base.run, human[:1000], steps=80)
asked = ["台湾最高的山是哪座？", "What is the capital of Hungary?", "你知道德国的首都吗？"]
show_table([say("question", "问"), say("the teacher's answer", "老师的回答")],
           [[q, text] for q, (text, _) in zip(asked, answers(teacher, asked), strict=True)])  # fmt: skip
# %% [markdown] tags=["en"]
# ## New instructions from a few seeds
#
# **Self-Instruct** (Wang et al. 2022) begins with 175 instructions by people and lets the model itself write more: a
# few known ones are in the prompt, and it goes on. Our seeds are 24 questions; three of them at a time come before
# the base, which goes on with temperature 1. (The base can do that: it has read lists of questions.)
#
# **Before you run it:** what will be wrong with some of the new questions?
# %% [markdown] tags=["zh"]
# ## 从几条种子产生新指令
#
# **Self-Instruct**（Wang 等 2022）从人写的 175 条指令开始，让模型自己写更多：提示里放几条已有的，它接着写。我们的种子是 24 个
# 问题；每次取三个放在基础模型面前，用温度 1 让它接着写。（基础模型做得到：它读过成串的问题。）
#
# **运行之前先猜：** 新写出来的问题里，会有哪些毛病？
# %%
rng = random.Random(0)
seeds = human[:24]
prompts = [" ".join(pair[0].content for pair in rng.sample(seeds, 3)) + " " for _ in range(400)]
written = continuations(base.run.gpt, tokenizer, [[tokenizer.doc, *tokenizer.encode(p)] for p in prompts],
                        Sampling(max_new_tokens=40, temperature=1.0, seed=1))  # fmt: skip
candidates = [q.strip() for text, _ in written for q in re.findall("[^.?？。]+[.?？。]", text)]
print(say(f"{len(candidates)} candidates, for example:", f"{len(candidates)} 个候选，例如："))
for question in candidates[:16]:
    print("  ", question)
# %% [markdown] tags=["en"]
# Good questions, among them about places that no seed mentions; statements; broken ones; and many that are nearly the
# same.
#
# ## How alike are two instructions?
#
# Self-Instruct keeps a new instruction only if its **ROUGE-L** to every one in the pool is below 0.7. Units are words, in
# Chinese characters; the **longest common subsequence** (units in the same order, gaps allowed) has length l; with m and n
# units the measure is 2 l / (m + n).
#
# **Before you run it:** by hand, for the pairs “tell me the capital / tell me the river” and 台湾最高的山 / 日本最高的山. Are
# these pairs copies?
# %% [markdown] tags=["zh"]
# 有好问题，有些问到种子里没有的地方；有陈述句；有残缺的；还有许多几乎一样。
#
# ## 两条指令有多像？
#
# Self-Instruct 只留下与池子里每一条的 **ROUGE-L** 都低于 0.7 的新指令。单元是词，中文是字；**最长公共子序列（longest common
# subsequence）**（顺序相同，可以有间隔）的长度是 l；两边各有 m 和 n 个单元，度量就是 2 l / (m + n)。
#
# **运行之前先猜：** 手算 “tell me the capital / tell me the river” 和 台湾最高的山 / 日本最高的山。这两对算重复吗？
# %%
show_tokens(
    ["tell", "me", "the", "capital", "|", *"台湾最高的山"],
    ["#c9e7cb"] * 3 + ["#eceff1", "#ffffff"] + ["#eceff1"] * 2 + ["#c9e7cb"] * 4,
)
# %%
show_tokens(
    ["tell", "me", "the", "river", "|", *"日本最高的山"],
    ["#c9e7cb"] * 3 + ["#eceff1", "#ffffff"] + ["#eceff1"] * 2 + ["#c9e7cb"] * 4,
)
# %% [markdown] tags=["en"]
# 2 · 3 / (4 + 4) = 0.75 and 2 · 4 / (6 + 6) = 0.67. The first pair asks for different things and would be dropped at 0.7;
# the second passes by a hair. The threshold was chosen for instructions like “write a poem about …”, not for our short
# questions. What a filter drops has to be looked at.
#
# The framework has another measure, for the cleaning of stage 1: the share of common character n-grams (`ngrams`,
# `jaccard`; `deduplicate` compares only likely pairs, so that it is fast). We use that one here; ROUGE-L is homework.
#
# ## Self-Instruct's filter
#
# A candidate is compared with the pool *and* with the candidates kept before it.
#
# **Before you run it:** how many candidates are left at a threshold of 0.5, 0.7, 0.9 and 1.0 (only equal ones go)?
# %% [markdown] tags=["zh"]
# 2 · 3 / (4 + 4) = 0.75，2 · 4 / (6 + 6) = 0.67。第一对问的是不同的东西，按 0.7 却会丢掉；第二对勉强通过。这个阈值是为“写一首
# 关于……的诗”这样的指令选的，不是为我们这种短问题。过滤掉了什么，一定要看一看。
#
# 框架里有另一种度量，用于第一阶段的清洗：共有的字符 n-gram 的比例（`ngrams`、`jaccard`；`deduplicate` 只比较可能相似的，所以快）。
# 这里用它；ROUGE-L 留作作业。
#
# ## Self-Instruct 的过滤
#
# 每个候选既要和池子比，*也*要和前面留下的候选比。
#
# **运行之前先猜：** 阈值取 0.5、0.7、0.9、1.0（只去掉完全相同的）时，各剩下多少候选？
# %%
pool = [pair[0].content for pair in seeds]
kept = {t: deduplicate(pool + candidates, t)[0][len(pool) :] for t in (0.5, 0.7, 0.9, 1.0)}
show_table(
    [say("threshold", "阈值"), say("candidates left", "剩下的候选")], [[str(t), len(k)] for t, k in kept.items()]
)
# %%
dropped = next(q for q in kept[1.0] if q not in kept[0.5])
nearest = max((q for q in pool + kept[0.5]), key=lambda q: jaccard(ngrams(q), ngrams(dropped)))
print(say("dropped at 0.5:", "阈值 0.5 时丢掉："), dropped, "≈", nearest)
# %% [markdown] tags=["en"]
# Equal ones alone are about a tenth of all. A lower threshold drops what is merely alike in wording, as the printed pair
# shows. Our questions differ in one name, and that name is the point, so we only drop equal ones (threshold 1.0).
# %% [markdown] tags=["zh"]
# 光是完全相同的就约占十分之一。阈值再低，丢掉的就只是说法相似的，如打印出来的那一对。我们的问题往往只差一个名字，而要紧的正是这个
# 名字，所以这里只去掉完全相同的（阈值 1.0）。
# %% [markdown] tags=["en"]
# ## Records that cannot be used
#
# Now the teacher answers. Some records are no use: no answer, no `[END]`, an answer that repeats the question. The
# homework writes such rules; here only the first two are applied. And because our exam asks about the held-out places,
# everything that names one of them is left out too, or it would no longer be an exam.
#
# **Before you run it:** the records that pass are well formed. What share of the answers is *true*?
# %% [markdown] tags=["zh"]
# ## 不能用的记录
#
# 现在由老师回答。有些记录没有用：没有回答，没有 `[END]`，回答只是重复问题。这些规则在作业里写；这里只用前两条。另外，考试问的是
# 留出的地方，所以凡是提到这些地方的都要去掉，否则就不成其为考试了。
#
# **运行之前先猜：** 通过的记录形式都没问题。其中*真实*的回答占多少？
# %%
fields = [(place, a, lang) for place in held_out for a in ("capital", "mountain", "river") for lang in LANGUAGES]
secret = {name for place in held_out for name in place.names.values()} | {p.value(a, lang) for p, a, lang in fields}
secret.discard(None)


def names_a_secret(text):
    return any(name in text for name in secret)


questions = [q for q in kept[1.0] if not names_a_secret(q)]
given = answers(teacher, questions)
records = [
    turn(q, text)
    for q, (text, ended) in zip(questions, given, strict=True)
    if text and ended and not names_a_secret(text)
]
# %% tags=["fold"]
truth: dict[str, set[str]] = {}
for place in world.places:
    for lang in LANGUAGES:
        for relation in RELATIONS:
            for question in world.write("question", place, relation, lang) + world.write(
                "unseen", place, relation, lang
            ):
                truth.setdefault(question, set()).update(map(strip, world.accepted(place, relation, lang)))
known = [(q.content, a.content) for q, a in records if q.content in truth]
true = [strip(answer) in truth[question] for question, answer in known]
print(say("records", "记录"), len(records))
print(say("of these the answer is known to us", "其中我们知道答案的"), len(known))
print(say("of these the teacher is right", "其中老师答对的"), f"{sum(true) / len(true):.0%}")
wrong = [pair for pair, right in zip(known, true, strict=True) if not right][:4]
unknown = [(q.content, a.content) for q, a in records if q.content not in truth][:4]
show_table(["", say("question", "问"), say("answer", "回答")],
           [[say("wrong", "错"), *pair] for pair in wrong] + [[say("odd question", "怪问题"), *pair] for pair in unknown])  # fmt: skip
# %% [markdown] tags=["en"]
# Of the questions with a known answer nearly all were answered rightly: the teacher was tuned on these places. (On the held-out
# places of the exam it gets 80 to 85 %.) To an odd question it answers as smoothly as to a good one: its style says nothing about
# its truth, and no rule about the form of a record can see this. Wang et al. judged 200 of Self-Instruct's own records by hand and
# found 54 % without any fault.
# %% [markdown] tags=["zh"]
# 有已知答案的问题几乎都答对了：老师学过这些地方。（考试里留出的地方，它 80 到 85 %。）对奇怪的问题，它答得和好问题一样流畅：风格说明
# 不了真假，关于记录形式的规则也看不出来。Wang 等人手工检查了 Self-Instruct 自己的 200 条记录，54 % 完全没有毛病。
# %% [markdown] tags=["en"]
# ## Measurement 1: a student with a good base (Alpaca)
#
# A fresh copy of the same base is tuned on the 24 human pairs, or on the generated records, or on as many human pairs.
# Two marks on the exam about held-out places: **style** (a full sentence in the language of the question, whatever it
# says) and **facts** (right answers).
#
# **Before you run it:** where do the generated records lie between 24 human pairs and as many human ones?
# %% [markdown] tags=["zh"]
# ## 测量一：基础好的学生（Alpaca）
#
# 用同一个基础模型的新副本，分别用 24 个人写的问答对、生成的记录、同样数量的人写的问答对来微调。在关于留出地方的考试里打两个分：
# **风格**（用问题的语言说一个完整的句子，不论说什么）和**事实**（回答正确）。
#
# **运行之前先猜：** 生成的记录，会在 24 个人写的和同样多人写的之间的什么位置？
# %% tags=["fold"]
exam = Exam(tuple(q for q in make_exam(world, seed=0).questions if q.phrasing == "seen"), ())
sentences = {
    lang: re.compile("|".join(re.sub(r"\\{[pvm]\\}", ".+", re.escape(template))
                              for relation in RELATIONS for template in world.phrases[lang, relation, "answer"]), re.I)
    for lang in LANGUAGES
}  # fmt: skip


def measure(run):
    """(style, facts): shares of the exam."""
    paper = sit(run, exam)
    pairs = zip(exam.questions, paper.questions, strict=True)
    style = np.mean([ended and sentences[q.language].fullmatch(text) is not None for q, (text, ended) in pairs])
    return float(style), exact_match(paper)["all"]


n = len(records)
head = [say("tuned on", "微调数据"), say("style", "风格"), say("facts", "事实")]
# %%
scores = {
    "teacher": (say("the teacher (1,000 human pairs)", "老师（1000 个人写的）"), *measure(teacher)),
    "few": (say("24 human pairs", "24 个人写的"), *measure(tune(base.run, human[:24]))),
    "strong": (say(f"{n} records by the teacher", f"老师的 {n} 条记录"), *measure(tune(base.run, records))),
    "human": (say(f"{n} human pairs", f"{n} 个人写的"), *measure(tune(base.run, human[:n]))),
}
show_table(head, list(scores.values()))
# %% [markdown] tags=["en"]
# 24 human pairs teach the style at once and few facts, 12 to 23 % (three base models). The teacher's records bring 45 to 58 %:
# half or more of the way from there to as many human pairs (65 to 75 %), and well below the teacher with its 1,000. Nobody wrote one of
# them. So Alpaca's recipe works here, and not for free: some records are answers to things that are not really questions.
#
# Why does it work, when none of the exam's places is in the records? For the reason of lesson 9: the student's *base* has the facts.
# %% [markdown] tags=["zh"]
# 24 个人写的问答对立刻教会了风格，事实却很少，12 到 23 %（三个基础模型）。老师的记录是 45 到 58 %：从那里到同样数量人写的（65 到
# 75 %），走了一半或更多；比用了 1000 个的老师差得多。这些记录没有一条是人写的。所以 Alpaca 的做法在这里有效，但不是没有代价：有些记录
# 是在回答不成问题的问题。
#
# 记录里没有一个考试里的地方，为什么有效？原因和第 9 课一样：学生的*基础模型*里有这些事实。
# %% [markdown] tags=["en"]
# ## Measurement 2: a student with a weak base (the false promise)
#
# Gudibande et al. (2023) tuned smaller models on ChatGPT's answers. People liked them nearly as well as ChatGPT; on
# tests of facts they had gained next to nothing. Our weak base is smaller and read little: 2 blocks of width 64, 300 steps. (It
# is trained now, once, if it is not yet there.) As a control it is tuned on as many short answers from the table.
#
# **Before you run it:** what are style and facts of the weak student after the same records?
# %% [markdown] tags=["zh"]
# ## 测量二：基础弱的学生（虚假的承诺）
#
# Gudibande 等（2023）用 ChatGPT 的回答微调较小的模型。人们觉得它们几乎和 ChatGPT 一样好；在考事实的测验上却几乎没有进步。我们的弱基础
# 模型更小，读得也少：2 个 block，宽 64，300 步。（如果还没有，现在训练一次。）作为对照，用同样多的、表里的短回答微调它。
#
# **运行之前先猜：** 用同样的记录微调之后，弱学生的风格和事实各是多少？
# %%
config = PretrainConfig(steps=300, n_layer=2, n_head=2, n_embd=64)
weak = cached_base(config, base.documents[:8000], tokenizer).run
print(
    f"{count_parameters(weak.gpt):,}", say("parameters against", "个参数，对比"), f"{count_parameters(base.run.gpt):,}"
)
short = [turn(question, world.fact(place, relation, lang)) for place in taught for lang in LANGUAGES for relation in RELATIONS
         if world.fact(place, relation, lang) for question in world.write("question", place, relation, lang)[:1]]  # fmt: skip
imitator = tune(weak, records)
# %% tags=["fold"]
scores |= {
    "weak control": (
        say("weak student, short answers", "弱学生，短回答"),
        *measure(tune(weak, random.Random(0).sample(short, n))),
    ),
    "weak 64": (
        say("weak student, 64 records by the teacher", "弱学生，老师的 64 条记录"),
        *measure(tune(weak, records[:64])),
    ),
    "weak": (say(f"weak student, {n} records by the teacher", f"弱学生，老师的 {n} 条记录"), *measure(imitator)),
}
shown = ("weak control", "weak 64", "weak", "strong", "teacher")
show_table(head, [scores[name] for name in shown])
# %%
some = [q for q in exam.questions if q.relation in ("mountain", "capital")][:12:2]
texts = [q.text for q in some]
show_table([say("question", "问"), say("weak student", "弱学生"), say("teacher", "老师")],
           [[q, a, b] for q, (a, _), (b, _) in zip(texts, answers(imitator, texts), answers(teacher, texts), strict=True)])  # fmt: skip
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(7.6, 3.6))
for column, shift, colour, name in ((1, -0.2, "base", label("style", "风格")), (2, 0.2, "sft", label("facts", "事实"))):
    bars = axes[0, 0].bar(
        np.arange(5) + shift, [100 * scores[s][column] for s in shown], 0.38, color=plots.COLOURS[colour], label=name
    )
    axes[0, 0].bar_label(bars, fmt="%.0f", fontsize=8)
who = [label("weak,\nshort answers", "弱，\n短回答"), label("weak,\n64 records", "弱，\n64 条记录")]
who += [label("weak,\nall records", "弱，\n全部记录"), label("good base,\nall records", "好的基础，\n全部记录")]
axes[0, 0].set_xticks(range(5), [*who, label("teacher", "老师")])
axes[0, 0].set(
    xlabel=label("who answers", "谁来回答"), ylabel=label("share of the exam, %", "占考试的比例，%"), ylim=(0, 122)
)
axes[0, 0].legend(ncols=2, loc="upper left", fontsize=8)
show_figure(figure)
# %% [markdown] tags=["en"]
# With all records the weak student speaks like the teacher (96 % style or more; with 64 records half or more). Facts: at most
# 1 %. The short answers brought about 5 %, no more than the best constant answer; now it speaks of some other place with the same
# assurance, whatever is asked. More records made the sentences better and nothing else. The same records gave 45 to 58 % to the
# student whose base had read more.
#
# **The false promise**: those who judge by reading a few answers see a model on a par with the teacher. Imitation copies what an answer
# looks like; what it says must come from the base, or be in the records. To close the gap in facts, fix the base, not the imitation.
#
# One seed of tuning each. The differences here are ten times the error of about 4 points.
# %% [markdown] tags=["zh"]
# 用全部记录，弱学生说话就像老师了（风格 96 % 以上；用 64 条记录时至少一半）。事实：最多 1 %。短回答约 5 %，不超过最好的固定答案；现在
# 不管问什么，它都用同样肯定的口气讲另一个地方。记录更多，只是句子更像样，别的没有变化。同样的记录，基础模型读得多的学生得到 45 到
# 58 %。
#
# **虚假的承诺**（false promise）：只读几个回答来判断的人，会觉得它和老师不相上下。模仿学到的是回答的样子；内容要么来自基础模型，要么
# 就在记录里。想缩小事实上的差距，要改进基础模型，而不是多模仿。
#
# 微调各只有一个种子；这里的差别是误差（约 4 个百分点）的十倍。
# %% [markdown] tags=["en"]
# ## The lecture's claims, measured
#
# The full experiments, on several seeds, with thresholds fixed beforehand; shown are the published results (the
# first card says how to read it). Measure them yourself:
# `python -m minillm claims varied-over-rigid stronger-teacher false-promise --quick`.
#
# **Real dialogues or templates.** InstructGPT's data came from users, FLAN's from templates. Varied wordings are here
# for the users: as many pairs about the same places, once with one template for each type of question, once with many
# wordings. The exam asks in wordings that neither has seen.
#
# **Before you run it:** what share does each answer?
# %% [markdown] tags=["zh"]
# ## 课程里的论断，一一测量
#
# 完整的实验：好几个种子，阈值事先写定；显示的是已发布的结果（怎样读，第一张卡片上有说明）。自己
# 测：`python -m minillm claims varied-over-rigid stronger-teacher false-promise --quick`。
#
# **真实对话与模板。** InstructGPT 的数据来自用户，FLAN 的来自模板。这里用多样的问法代替用户：关于同样的地方，问答对一样
# 多，一组每类问题只有一个模板，一组有多种问法。考试用的问法两组都没见过。
#
# **运行之前先猜：** 各能答对多少？
# %%
show_claim("varied-over-rigid", explained=True)
# %% [markdown] tags=["en"]
# **A stronger teacher.** The student's base read a third as long as the teacher's. To 48 human pairs are added answers
# to new questions, equally many in each case: the student's own, all or only those that most wordings of a question agree
# on; the teacher's; people's. A strong student, with the teacher's base, adds its own too: that is what Self-Instruct
# did. The exam is about places of which no pair speaks.
#
# **Before you run it:** do its own answers help the weak student? And the strong one?
# %% [markdown] tags=["zh"]
# **更强的老师。** 学生的基础模型只读了老师三分之一那么久。在 48 个人写的问答对之外，加上对新问题的回答，各种情形一样多：
# 学生自己的，全部留下，或只留多数问法一致的；老师的；人的。还有一个强学生，用老师的基础模型，也加上自己的回答：这正是
# Self-Instruct 的做法。考试问的是任何问答对都没提到的地方。
#
# **运行之前先猜：** 自己的回答对弱学生有没有帮助？对强学生呢？
# %%
show_claim("stronger-teacher")
# %% [markdown] tags=["en"]
# **The false promise.** That student imitates a teacher that answers in sentences, on half of the facts about one half of
# the held-out places. The exam asks in wordings that nothing imitated has: about these facts, the other facts of these
# places, the other places. Another student has as many sentences from people, about taught places.
#
# **Before you run it:** four figures for the imitator, each as a share of the teacher's: style, and the three kinds of
# facts.
# %% [markdown] tags=["zh"]
# **虚假的承诺。** 同样的学生模仿一个用完整句子回答的老师，题目只涉及一半没教过的地方的一半事实。考试用没有模仿过的问法，问
# 这些事实、这些地方的其他事实，以及别的地方。另一个学生用同样多的、人写的关于教过的地方的句子。
#
# **运行之前先猜：** 模仿者的四个数，各占老师的多少：风格，以及三种事实。
# %%
show_claim("false-promise")
# %% [markdown] tags=["en"]
# **Reading them.** The difference and its interval show that something changed. “Nothing changed elsewhere” cannot be
# shown in this way: an interval around 0 may only mean a small exam. So a threshold, fixed beforehand, says how much
# counts as nothing. Facts that were not imitated, of places that were, gain a little too: some of them are imitated facts
# asked in reverse. *Not reproduced at this size* may come from the student: one that knows next to nothing cannot
# show what a better one would gain.
#
# <!-- go on -->
#
# To discuss: of the groups of bars of the false promise, which would the maker of the imitation print in an
# advertisement, which a critic? Write both sentences so that each is true.
# %% [markdown] tags=["zh"]
# **怎样读。** 差和区间能说明有东西变了。“别的地方什么都没变”却不能这样说明：区间含 0，也可能只是考题太少。所以用事先写
# 定的阈值规定多少以内算没变。模仿过的地方，没有模仿的事实也提高了一些：其中有些就是模仿过的事实反过来问。*在这个规模上没有重现*，原因可能在学生：几乎什么都不知道的学生，显不出更好的学生能得到什
# 么。
#
# <!-- go on -->
#
# 讨论：“虚假的承诺”的几组柱子里，做模仿模型的公司会把哪一组写进广告？批评者呢？两句话都写出来，并且都要是真的。
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | dialogues can be had from a stronger model (逆向工程) | a few hundred records from 24 seeds: half or more of what as many human pairs bring |
# | LLaMA's open weights set the world free: Alpaca, Vicuna | the *base* is what a student cannot get by imitation |
# | (2305.15717, in its reading list) | weak student: style 96 % or more, facts at most 1 % |
#
# A slip in the notes: the link given there for LLaMA-1 is that of Self-Instruct (2212.10560); LLaMA-1 is 2302.13971.
#
# Our teacher grew from the same base as the student, so its records fit it well; a teacher of another kind, with other knowledge,
# may teach its student to assert what the student does not know. And a model's terms of use may forbid training on its answers,
# as ChatGPT's did when Alpaca was made.
#
# ## To discuss in class
#
# 1. A company shows that people prefer its small imitation model in 48 of 100 comparisons with the large one. Which three
#    questions do you ask before you believe that they are equally good? (A good answer: which prompts, were they like the
#    imitation data; could the judges check facts; how wide is the interval of 48 %; a test of facts apart.)
# 2. The filter drops copies, so the pool grows more varied, and odd questions are the most varied of all. How would you keep
#    variety without nonsense, and how would you measure that it worked? (A good answer samples and reads; asks the teacher
#    several times and keeps what agrees; measures on a fixed exam at equal numbers of records.)
#
# ## Homework
#
# `similarity`, `keep_new`, `record_fault`. Write them in the cells below, or in
# `lessons/12_stronger_model/homework.py`, which is what you hand in. `check("similarity")` says at once which idea
# goes wrong, `hint("similarity")` helps in three steps, `reset("similarity")` begins anew, `progress()` shows how far
# you are. In a terminal `python -m minillm homework 12` grades the file, `python -m minillm homework 12 --watch` does
# so whenever you save it.
#
# ## References
#
# - Y. Wang et al. 2022, *Self-Instruct: Aligning Language Models with Self-Generated Instructions*, arXiv 2212.10560.
# - R. Taori et al. 2023, *Alpaca: A Strong, Replicable Instruction-Following Model*,
#   https://crfm.stanford.edu/2023/03/13/alpaca.html.
# - A. Gudibande et al. 2023, *The False Promise of Imitating Proprietary LLMs*, arXiv 2305.15717.
# - H. Touvron et al. 2023, *LLaMA: Open and Efficient Foundation Language Models*, arXiv 2302.13971.
# - C.-Y. Lin 2004, *ROUGE: A Package for Automatic Evaluation of Summaries*, Text Summarization Branches Out (ACL).
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 可以引导更强的模型产生对话数据（逆向工程） | 24 条种子得到几百条记录：达到同样多人写问答对效果的一半以上 |
# | LLaMA 开源，世界被解放：Alpaca、Vicuna | *基础模型*正是学生靠模仿得不到的 |
# | （拓展资料里的 2305.15717） | 弱学生：风格 96 % 以上，事实最多 1 % |
#
# 笔记里有一处笔误：那里 LLaMA-1 的链接其实是 Self-Instruct（2212.10560）；LLaMA-1 是 2302.13971。
#
# 我们的老师和学生来自同一个基础模型，所以它的记录很适合学生；如果老师的知识和学生不同，学生可能学会断言自己不知道的事。另外，有的
# 模型的使用条款禁止用它的回答来训练，Alpaca 发布时 ChatGPT 的条款就是这样。
#
# ## 课堂讨论
#
# 1. 一家公司说，在 100 次和大模型的比较中，人们有 48 次更喜欢它的小模仿模型。在相信两者一样好之前，你会问哪三个问题？（好的回答：
#    用了什么提示，是否和模仿数据相似；评判的人能不能核对事实；48 % 的区间有多宽；另做事实测验。）
# 2. 过滤去掉重复的，池子就越来越多样，而最“多样”的是奇怪的问题。怎样保住多样性又不要废话？怎样测量是否有效？（好的回答：抽样来读；
#    让老师回答几次，只留一致的；在记录数相同时用固定的考试测量。）
#
# ## 作业
#
# `similarity`、`keep_new`、`record_fault`。写在下面的单元格里，或者写在 `lessons/12_stronger_model/homework.py` 里，最
# 后交的是这个文件。`check("similarity")` 马上告诉你是哪个想法错了，`hint("similarity")` 分三步提示，
# `reset("similarity")` 恢复原样，`progress()` 显示你的进度。在终端里，`python -m minillm homework 12` 批改这个文件，
# `python -m minillm homework 12 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - Y. Wang 等 2022，*Self-Instruct: Aligning Language Models with Self-Generated Instructions*，arXiv 2212.10560。
# - R. Taori 等 2023，*Alpaca: A Strong, Replicable Instruction-Following Model*，
#   https://crfm.stanford.edu/2023/03/13/alpaca.html。
# - A. Gudibande 等 2023，*The False Promise of Imitating Proprietary LLMs*，arXiv 2305.15717。
# - H. Touvron 等 2023，*LLaMA: Open and Efficient Foundation Language Models*，arXiv 2302.13971。
# - C.-Y. Lin 2004，*ROUGE: A Package for Automatic Evaluation of Summaries*，Text Summarization Branches Out（ACL）。
