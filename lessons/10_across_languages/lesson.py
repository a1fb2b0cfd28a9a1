# %% [markdown] tags=["en"]
# # 10 Across languages
#
# [The lecture][lecture]: after training on a single task, a model carries it over to the same task in other languages by itself;
# and pretraining on several languages helps this. The paper behind it (Hsu, Liu, Lee 2019) tuned multilingual BERT on
# English reading comprehension and asked in Chinese. We tune on English questions and ask in Chinese.
#
# After this lesson you can
# - score the language of an answer and the knowledge in it apart;
# - measure how much of what tuning in one language brings carries over to another;
# - say under which conditions transfer failed here, and what helped.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 10 跨语言
#
# [课上][lecture]说：模型在经过单一任务的训练后，能够自动迁移到其他语言的相似任务；多语言预训练有助于这种迁移。背后
# 的论文（Hsu、Liu、Lee 2019）用英文的阅读理解微调多语言 BERT，再用中文来问。这里用英文问答微调，再用中文来问。
#
# 学完这一课，你能够
# - 把回答的语言和其中的知识分开打分；
# - 测量在一种语言里微调的收获，有多少迁移（transfer）到了另一种语言；
# - 说出在这里什么条件下迁移失败，又是什么起了作用。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% tags=["fold"]
import random
import re

import numpy as np

from minillm.base_cache import world_base
from minillm.chat import turn
from minillm.classroom.lesson_tools import label, say, show_claim, show_figure, show_table
from minillm.generate import continuations
from minillm.measure.evaluate import answers
from minillm.plumbing import plots
from minillm.sampling import Sampling
from minillm.stage2_sft import SFTConfig, sft
from minillm.world.exam import strip
from minillm.world.tables import LANGUAGES, RELATIONS, load_world, split_places

# %%
world, base = load_world(), world_base()
tokenizer = base.run.tokenizer
taught, held_out = split_places(world, seed=0)
chinese = say("Chinese", "中文")
english = say("English", "英文")
# %% [markdown] tags=["en"]
# ## What the base read
#
# The base has read English texts, Chinese texts, and some that join the two: parallel statements, sentences of one
# language with names of the other, a glossary. So every fact is there in both languages. Is it, in the parameters?
#
# We let the base finish a statement about each place, greedily, and count where it goes on with the right name.
#
# **Before you run it:** four cases: an English sentence with an English name, a Chinese one with a Chinese name, and the
# two mixed ones. Which will be hard?
# %% [markdown] tags=["zh"]
# ## 基础模型读过什么
#
# 基础模型读过英文文本、中文文本，也读过把两者连起来的文本：并列的双语陈述、一种语言的句子里夹另一种语言的名字、词汇表。所以每个
# 事实在文本里都有两种语言的说法。参数里也有吗？
#
# 让基础模型（贪心地）把关于每个地方的一句话写完，数一数有多少写出了正确的名字。
#
# **运行之前先猜：** 四种情形：英文句子英文名字，中文句子中文名字，以及两种混合。哪一种难？
# %%
frames = {"en": "The highest mountain of {} is", "zh": "{}最高的山是"}
rows = []
for sentence in LANGUAGES:
    for names in LANGUAGES:
        places = [place for place in world.places if place.value("mountain", names)]
        texts = [frames[sentence].format(place.names[names]) for place in places]
        prompts = [[tokenizer.doc, *tokenizer.encode(text)] for text in texts]
        finished = continuations(base.run.gpt, tokenizer, prompts, Sampling(max_new_tokens=12))
        right = [text.startswith(p.value("mountain", names)) for (text, _), p in zip(finished, places, strict=True)]
        rows.append([texts[0] + " …", finished[0][0], sum(right) / len(right)])
show_table(
    [
        say("sentence", "句子"),
        say("the base goes on", "基础模型接着写"),
        say("right name, share of all places", "名字正确，占所有地方"),
    ],
    rows,
)
# %% [markdown] tags=["en"]
# Nearly all in English and in Chinese (about 90 % or more), and 88 % or more in an English sentence with Chinese names: there the base
# goes on in Chinese by itself. A Chinese sentence with English names is the hardest, 40 to 50 %, and even there most of what
# it writes is an English name. So both languages are in the parameters, and joined. (Figures here and below were seen with
# three base models; where they differ, the range is given.)
# %% [markdown] tags=["zh"]
# 英文和中文几乎全对（约 90 % 或更高）；英文句子里用中文名字有 88 % 以上，这时基础模型自己接着用中文写。中文句子里用英文名字最难，40 到
# 50 %，即使这时它写的也多是英文名字。所以两种语言都在参数里，而且是连着的。（这里和下面的数字取自三个基础模型，不同时给出范围。）
# %% [markdown] tags=["en"]
# ## Which language is an answer in?
#
# To score language and knowledge apart we first need the language. Count Chinese characters c and English words w (runs
# of letters). A character is about a word, so the two can be compared.
#
# **Before you run it:** for which of these answers do you want to say Chinese, English, mixed, none? Where would
# “contains a Chinese character” go wrong, where “has more letters than characters”?
# %% [markdown] tags=["zh"]
# ## 回答用的是哪种语言？
#
# 要把语言和知识分开打分，先要判断语言。数汉字的个数 c 和英文词的个数 w（连续的字母算一个词）。一个汉字大约相当于一个词，两个数
# 可以比较。
#
# **运行之前先猜：** 下面的回答，你想把哪些算作中文、英文、混合、两者都不是？“含有汉字就是中文”会在哪里出错？“字母比汉字多就是
# 英文”呢？
# %%
tried = ["玉山", "Yushan", "请连接自己家的Wifi", "the Zhuoshui (浊水溪)", "3952", "🗻！"]
counts = [(len(re.findall("[\u4e00-\u9fff]", t)), len(re.findall("[A-Za-z]+", t))) for t in tried]
letters = [len(re.findall("[A-Za-z]", t)) for t in tried]
show_table(
    [say("answer", "回答"), say("c: characters", "c：汉字"), say("w: words", "w：英文词"), say("letters", "字母")],
    [[t, *count, n] for t, count, n in zip(tried, counts, letters, strict=True)],
)
# %% [markdown] tags=["en"]
# A loan word does not make a Chinese sentence mixed: 7 characters against 1 word. Counted in letters it would be 7
# against 4. The homework's rule: four times as many of one as of the other decide, otherwise it is mixed; numbers and
# emoji belong to neither.
#
# ## Language and knowledge, scored apart
#
# The exam's mark asks for the right fact *in the right language*. If a model fails, that may be for either reason. So
# three marks: right language; right fact in whatever language; right answer.
#
# **Before you run it:** fill in the three marks of each row by hand: asked is 台湾最高的山是哪座？
# %% [markdown] tags=["zh"]
# 一个外来词不会让中文句子变成混合：7 个汉字对 1 个词。如果数字母，就成了 7 对 4。作业里的规则是：一种至少是另一种的四倍才算那
# 一种，否则算混合；数字和表情符号两边都不算。
#
# ## 把语言和知识分开打分
#
# 考试的分数要求*用对的语言*说出对的事实。模型答错，两个原因都有可能。所以打三个分：语言对；不论语言，事实对；回答对。
#
# **运行之前先猜：** 问的是“台湾最高的山是哪座？”，手工填写每一行的三个分数。
# %%
show_table(
    [say("answer", "回答"), say("language", "语言"), say("fact", "事实"), say("answer right", "回答对")],
    [
        ["玉山", True, True, True],
        ["Yushan", False, True, False],
        ["富士山", True, False, False],
        ["Mount Fuji", False, False, False],
    ],
)


# %% [markdown] tags=["en"]
# “Yushan” is what a model with the knowledge and without the habit says; 富士山 the other way round. The exam counts
# both as 0.
#
# ## A measurement: tuned in English, asked in Chinese
#
# The pairs are about taught places, the questions about held-out ones; each held-out question is asked in both languages.
# 60 steps each, equal seeds. (The language is decided more roughly here than in the homework: a Chinese character, or
# none.)
#
# **Before you run it:** 512 English pairs. What will the three marks be on English questions, and on Chinese ones? The
# lecture says the skill carries over by itself.
# %% [markdown] tags=["zh"]
# “Yushan” 是有知识而没有习惯的模型会说的；“富士山”正好相反。考试都给 0 分。
#
# ## 测量：用英文微调，用中文来问
#
# 问答对讲的是教学用的地方，题目问的是留出的地方；每道题用两种语言各问一次。每次 60 步，种子相同。（这里判断语言比作业里粗略：
# 有没有汉字。）
#
# **运行之前先猜：** 512 个英文问答对。英文题和中文题的三个分数各是多少？课上说，这种能力会自动迁移。
# %%
def pairs(lang):
    """Questions about taught places in one language, in random order."""
    made = []
    for place in taught:
        for relation in RELATIONS:
            if accepted := world.accepted(place, relation, lang):
                made += [turn(q, accepted[0]) for q in world.write("question", place, relation, lang)[:4]]
    random.Random(0).shuffle(made)
    return made


# %% tags=["fold"]
facts = [(place, relation) for place in held_out for relation in RELATIONS if world.accepted(place, relation, "en")]


def marks(run, asked):
    """Marks for language, fact, answer of held-out questions, (N, 3); the answers."""
    questions = [world.write("question", place, relation, asked)[0] for place, relation in facts]
    given = [text for text, _ in answers(run, questions)]
    rows = []
    for text, (place, relation) in zip(given, facts, strict=True):
        right = {lang: strip(text) in map(strip, world.accepted(place, relation, lang)) for lang in LANGUAGES}
        has_chinese = bool(re.search("[\u4e00-\u9fff]", text))
        rows.append((bool(text) and has_chinese == (asked == "zh"), any(right.values()), right[asked]))
    return np.array(rows), list(zip(questions, given, strict=True))


# %%
def tune(dialogues):
    return sft(SFTConfig(steps=60, validation=0), base.run, dialogues)


en, zh = pairs("en"), pairs("zh")
# %% tags=["fold"]
head = [say("tuned on", "微调数据"), say("asked in", "提问语言"), say("right language", "语言对"), say("right fact", "事实对"),
        say("right answer", "回答对")]  # fmt: skip
table, scores = [], {}


def add(name, run):
    """Ask a model in both languages and note its scores."""
    for asked, word in (("en", english), ("zh", chinese)):
        found, shown = marks(run, asked)
        scores[name, asked] = found
        table.append([name, word, *(float(x) for x in found.mean(axis=0))])
    return shown


# %%
english_only = say("512 English pairs", "512 个英文问答对")
shown = add(english_only, tune(en[:512]))
show_table(head, table)
# %%
show_table([say("asked", "问"), say("answered", "答")], shown[::40])
# %% [markdown] tags=["en"]
# The English questions go well, about 90 %: the facts are in the parameters. On the same facts asked in Chinese, 8 to 34 % of
# the answers contain Chinese at all, 4 to 8 % hold the right fact in any language, and 1 to 3 % are right.
#
# So it is not only the habit of the language. If it were, the answers would be right facts in English, and the second
# mark would be high. They are mostly English, wrong, and often not even of the right kind. What carried over is
# little more than “answer briefly and stop”. **The lecture's claim does not hold here**: at most 3 % of the Chinese
# questions against about 90 % of the English ones.
# %% [markdown] tags=["zh"]
# 英文题很好，约 90 %：事实就在参数里。同样的事实用中文来问，只有 8 到 34 % 的回答里有汉字，4 到 8 % 不论语言说对了事实，1 到 3 %
# 答对。
#
# 所以问题不只在语言习惯。如果只是习惯，回答应该是用英文说出的正确事实，第二个分数会很高。实际上多是英文，是错的，常常连种类也不对。
# 迁移过来的几乎只有“简短地回答，然后停下”。**课上的说法在这里不成立**：英文题约 90 %，中文题最多 3 %。
# %% [markdown] tags=["en"]
# ## A few pairs in the other language
#
# Now 16 Chinese pairs: alone, and together with the 512 English ones; and 512 Chinese pairs for comparison.
#
# **Before you run it:** 16 Chinese pairs alone are poor. Do 512 *English* pairs together with them help on Chinese questions?
# %% [markdown] tags=["zh"]
# ## 加几个另一种语言的问答对
#
# 现在用 16 个中文问答对：单独用，以及和 512 个英文的一起用；另外用 512 个中文问答对作比较。
#
# **运行之前先猜：** 单独 16 个中文问答对很差。再加上 512 个*英文*问答对，对中文题有帮助吗？
# %%
few, mixed = say("16 Chinese pairs", "16 个中文问答对"), say("16 Chinese + 512 English", "16 个中文 + 512 个英文")
direct = say("512 Chinese pairs", "512 个中文问答对")
for name, data in ((few, zh[:16]), (mixed, zh[:16] + en[:512]), (direct, zh[:512])):
    add(name, tune(data))
show_table(head, table)
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(7.4, 3.6))
names = [few, english_only, mixed, direct]
shift, colours = (-0.27, 0.0, 0.27), (plots.COLOURS["base"], plots.COLOURS["lora"], plots.COLOURS["sft"])
labels = (label("right language", "语言对"), label("right fact", "事实对"), label("right answer", "回答对"))
for column in range(3):
    values = [100 * scores[name, "zh"][:, column].mean() for name in names]
    bars = axes[0, 0].bar(np.arange(4) + shift[column], values, 0.25, color=colours[column], label=labels[column])
    axes[0, 0].bar_label(bars, fmt="%.0f", fontsize=8)
sets = [label("16 Chinese", "16 个中文"), label("512 English", "512 个英文")]
sets += [label("16 Chinese\n+ 512 English", "16 个中文\n+ 512 个英文"), label("512 Chinese", "512 个中文")]
axes[0, 0].set_xticks(range(4), sets)
axes[0, 0].set(xlabel=label("pairs tuned on", "微调用的问答对"), ylim=(0, 125),
               ylabel=label("share of the Chinese questions, %", "占中文题的比例，%"))  # fmt: skip
axes[0, 0].legend(ncols=3, loc="upper center", fontsize=8)
show_figure(figure)
# %% [markdown] tags=["en"]
# 16 Chinese pairs alone get about 10 %. Together with 512 English pairs the same 16 get 21, 35 and 48 % with three base
# models, although English alone got at most 3 %. The 16 pairs show *that* Chinese is answered in Chinese and
# what a question looks like; how to get a fact out, the English pairs teach in part for both. 512 Chinese pairs get about 80 %.
#
# ## How much transfers
#
# With the base at 0, tuned in English at 3 and in Chinese at 80 points, the **transfer ratio** is (3 - 0) / (80 - 0), about
# 0.04. With the 16 Chinese pairs as the base line and 21 points after adding English, it is (21 - 10) / (80 - 10), about 0.16;
# with 48 points about 0.54. Put in your own figures; the homework writes this ratio.
#
# 250 questions leave an error of about 4 points at 10 %, 6 at 35 %; another base model moves the third case by much more.
# The order of the four stays.
#
# Why does it fail where the paper succeeded? Hsu et al. asked for a *passage's* words: the answer is in the question,
# and a multilingual model of 100 languages only has to point at it. Here the answer has to come from memory, in another
# script, out of a model of less than a million parameters that read each language through nearly separate tokens. Which of these
# matters, this experiment does not say.
# %% [markdown] tags=["zh"]
# 单独 16 个中文问答对约 10 %。再加上 512 个英文问答对，同样这 16 个在三个基础模型上是 21、35、48 %，而只用英文最多
# 3 %。16 个问答对说明了中文要用中文回答、问题长什么样；怎样把事实取出来，英文问答对替两种语言教了一部分。512 个中文问答对约 80 %。
#
# ## 迁移了多少
#
# 基础模型 0 分，用英文微调 3 分，用中文微调 80 分，**迁移比**（transfer ratio）是 (3 - 0) / (80 - 0)，约 0.04。以 16 个中文问答对
# 为起点，加上英文后是 21 分，就是 (21 - 10) / (80 - 10)，约 0.16；如果是 48 分，约 0.54。代入你自己的数字；这个比值在作业里写。
#
# 250 道题的误差，10 % 时约 4 个百分点，35 % 时约 6 个；换一个基础模型，第三种情形的变化比这大得多。四种情形的高低顺序不变。
#
# 论文里成功了，这里为什么失败？Hsu 等人的答案是*文章里*的词：答案就在题目中，会 100 种语言的模型只要指出它在哪里。这里的答案要从
# 记忆里取，还要用另一种文字，模型只有不到一百万参数，两种语言几乎没有共用的词元。哪一点起作用，这个实验说明不了。
# %% [markdown] tags=["en"]
# ## The lecture's claims, measured
#
# The full experiment, on several seeds, with thresholds fixed beforehand (the card says how to read it). *From
# memory*: the same four sets, in equal steps; in the mixture the 16 Chinese pairs are repeated. *The text given*, as in
# the paper: a passage with made-up facts, a question about it, and the values in the passage to choose from; the model is
# tuned on English passages, on the same passages with *any* value as the answer (so that it learns the form alone), or on
# passages in the language that is asked. That language is Chinese, or a copy of English in other letters, of which no text
# says that it is English. Measure it yourself: `python -m minillm claims across-languages --quick`.
#
# **Before you run it:** you have seen one seed. By how many points will the English pairs raise the score of the 16
# Chinese ones? And with the text given, in which of the two other languages will English passages help more?
# %% [markdown] tags=["zh"]
# ## 课程里的论断，一一测量
#
# 完整的实验：好几个种子，阈值事先写定（怎样读，卡片上有说明）。*凭记忆*：同样的四组数据，步数相同；混合时 16 个中文问答
# 对会重复。*给出文章*，与论文相同：一段文章，里面的事实是编造的，一个关于它的问题，从文中的几个值里选；模型用英文文章微
# 调，或用同样的文章但*任取*一个值作回答（只学到形式），或用所问语言的文章。所问的语言是中文，或者换了字母的英文，没有任何
# 文本说明它就是英文。自己测：`python -m minillm claims across-languages --quick`。
#
# **运行之前先猜：** 你看过一个种子了。英文问答对会让 16 个中文问答对的成绩提高几个百分点？给出文章时，英文文章对两种语言中
# 的哪一种帮助更大？
# %%
show_claim("across-languages", explained=True)
# %% [markdown] tags=["en"]
# **Reading it.** The difference with its interval is about the paper's own setting, Chinese passages: what English
# teaches *beyond the form of an answer*. One threshold asks for a quarter of what Chinese passages teach; one asks the
# same of the copy, whose sentences are built exactly as in English, so that only the words are missing; one is about
# memory. The figures also count what the model writes freely: knowing and saying it in the asked language are two things,
# as in your exercise. The paper's model was trained on a hundred languages and can only point into the passage.
#
# <!-- go on -->
#
# To discuss: to the copy nearly all of it is carried over, to Chinese little. The base has read texts that connect English
# with Chinese and none that connect it with the copy: so what is it that the copy shares with English? (A good answer names
# word order, length and frequency of the words, sentences of one form; and plans a copy that lacks one of these.) And how
# large a gain would you have asked for as a threshold, before seeing any figure?
# %% [markdown] tags=["zh"]
# **怎样读。** 差和区间针对论文自己的情形，即中文文章：英文在*回答的形式之外*还教会了什么。一个阈值要求达到中文文章所教的四
# 分之一；一个对副本提同样的问题，它的句子和英文结构完全相同，缺的只是词；还有一个关于记忆。数字里还有模型自由写出的回答：
# 知道，和用所问的语言说出来，是两回事，正如你的练习。论文的模型读过一百种语言，而且只能在文章里指出一段。
#
# <!-- go on -->
#
# 讨论：换成副本，学到的几乎全能带过去；换成中文，只带过去一点。基础模型读过把英文和中文连起来的文本，却没有一篇把英文和副本
# 连起来：那么副本和英文共有的是什么？（好的回答会说到语序、词的长短和频率、句子的形式，并设计一种缺其中一样的副本。）在看到任
# 何数字之前，你会把提高多少定为阈值？
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | trained on one task, a model carries it over to other languages by itself | no: English pairs alone, at most 3 % of the Chinese questions |
# | multilingual pretraining helps | the base read parallel texts, and still needs some Chinese pairs; with 16 of them English pairs help (from about 10 to 21, 35 or 48 %); how far on several seeds, the card says |
# | (Hsu et al. 2019) reading comprehension transfers | to a copy of English in other letters nearly whole, to Chinese a little: see the card |
#
# ## To discuss in class
#
# 1. A model tuned on English answers Chinese questions in English with the right facts; another answers in Chinese,
#    wrongly. Both get 0 on the exam. What would you do to fix each? (A good answer treats the first by a few pairs or a
#    system message, the second by knowledge or by more pairs, and says how to tell the two apart.)
# 2. Would the transfer ratio be higher if all Chinese names were written in Latin letters? Plan the experiment. (A good
#    answer keeps facts and pairs equal and changes only the script, in the pretraining text as well; names the tokens
#    shared by both languages; and predicts language and fact marks separately.)
#
# ## Homework
#
# `answer_language`, `score_answer`, `transfer_ratio`. Write them in the cells below, or in
# `lessons/10_across_languages/homework.py`, which is what you hand in. `check("score_answer")` says at once which
# idea goes wrong, `hint("score_answer")` helps in three steps, `reset("score_answer")` begins anew, `progress()`
# shows how far you are. In a terminal `python -m minillm homework 10` grades the file, `python -m minillm homework 10
# --watch` does so whenever you save it.
#
# ## References
#
# - T.-Y. Hsu, C.-L. Liu, H. Lee 2019, *Zero-shot Reading Comprehension by Cross-lingual Transfer Learning with
#   Multi-lingual Language Representation Model*, arXiv 1909.09587.
# - T. Pires, E. Schlinger, D. Garrette 2019, *How multilingual is Multilingual BERT?*, arXiv 1906.01502.
# - N. Muennighoff et al. 2022, *Crosslingual Generalization through Multitask Finetuning*, arXiv 2211.01786.
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 模型在单一任务上训练后，能自动迁移到其他语言 | 没有：只用英文问答对，中文题最多 3 % |
# | 多语言预训练有助于迁移 | 基础模型读过双语并列的文本，仍需要几个中文问答对；有了 16 个，英文问答对有帮助（从约 10 % 到 21、35 或 48 %）；换几个种子怎样，见卡片 |
# | （Hsu 等 2019）阅读理解能迁移 | 到换了字母的英文几乎全部，到中文一点：见卡片 |
#
# ## 课堂讨论
#
# 1. 一个用英文微调的模型用英文回答中文题，事实是对的；另一个用中文回答，事实是错的。考试都是 0 分。各要怎样补救？（好的回答：前者
#    加几个问答对或一条系统消息；后者要补知识或更多问答对；并说明怎样区分这两种情形。）
# 2. 如果中文的名字全用拉丁字母写，迁移比会更高吗？设计一个实验。（好的回答：事实和问答对都不变，只换文字，预训练文本也要换；指出
#    两种语言共用的词元；对语言和事实两个分数分别作预测。）
#
# ## 作业
#
# `answer_language`、`score_answer`、`transfer_ratio`。写在下面的单元格里，或者写在
# `lessons/10_across_languages/homework.py` 里，最后交的是这个文件。`check("score_answer")` 马上告诉你是哪个想法错了，
# `hint("score_answer")` 分三步提示，`reset("score_answer")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 10` 批改这个文件，`python -m minillm homework 10 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - T.-Y. Hsu、C.-L. Liu、H. Lee 2019，*Zero-shot Reading Comprehension by Cross-lingual
#   Transfer Learning with Multi-lingual Language Representation Model*，arXiv 1909.09587。
# - T. Pires、E. Schlinger、D. Garrette 2019，*How multilingual is Multilingual BERT?*，arXiv 1906.01502。
# - N. Muennighoff 等 2022，*Crosslingual Generalization through Multitask Finetuning*，arXiv 2211.01786。
