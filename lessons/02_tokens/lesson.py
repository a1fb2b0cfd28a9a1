# %% [markdown] tags=["en"]
# # 2 Tokens
#
# The model of lesson 1 went from character to character. A large language model goes from **token** to token: pieces of text
# from a fixed list, the vocabulary, each with a number, its id. Which pieces there are is decided once, before any training, and it
# decides how long a text is for the model, what it costs, and which mistakes are easy to make.
#
# After this lesson you can
# - turn text into UTF-8 bytes, carry out **byte-pair encoding (BPE)** by hand, and encode new text with its merges;
# - measure when the same content costs more tokens in Chinese than in English, and say why;
# - say why `[END]` typed by a user is harmless, and how a streamed answer never shows half a character.
# %% [markdown] tags=["zh"]
# # 2 词元
#
# 第 1 课的文字接龙一次接一个字符。语言模型一次接一个**词元**（token）：固定清单（词表，vocabulary）里的一小段文本，每个有一个
# 编号 id。有哪些词元，在任何训练之前就定好了；它决定了一段文本对模型来说有多长、要花多少钱，以及容易犯什么错。
#
# 学完这一课，你能够
# - 把文本变成 UTF-8 字节，用手做**字节对编码**（byte-pair encoding，BPE），并用学到的合并给新文本编码；
# - 测量同样的内容什么时候中文比英文花更多词元，并说出为什么；
# - 说出为什么用户打出的 `[END]` 没有危险，流式输出怎样做到从不显示半个字。
# %%
import random
from itertools import product

import regex

from minillm.bpe import PATTERN, bpe_steps, merge
from minillm.classroom.lesson_tools import label, say, show_figure, show_table, show_tokens
from minillm.plumbing import plots
from minillm.tokenizer import Tokenizer
from minillm.world.tables import ATTRIBUTES, load_world
from minillm.world.text import Writer, statements

# %% [markdown] tags=["en"]
# ## Bytes
#
# A computer stores text as bytes, numbers from 0 to 255. The common encoding is **UTF-8**: one byte for an English letter,
# more for other characters. If the 256 bytes are tokens, every text in every script can be written: no character is
# unknown. The table shows bytes in hexadecimal, two digits from 0 to f each.
#
# **Before you run it:** how many bytes are “A”, “é”, “山” and the rare character “𠮷”? Do “山” and “岳” begin with the same byte?
# %% [markdown] tags=["zh"]
# ## 字节
#
# 计算机把文本存成字节，也就是 0 到 255 的数。通用的编码是 **UTF-8**：一个英文字母一个字节，其他字符更多。如果把 256 个字节都
# 当作词元，任何文字的任何文本都写得出来：没有“未知字符”。表里的字节用十六进制写，每个两位，每位从 0 到 f。
#
# **运行之前先猜：** “A”“é”“山”和生僻字“𠮷”各有几个字节？“山”和“岳”的第一个字节相同吗？
# %%
characters = "Aé山岳玉𠮷"
show_table([say("character", "字符"), say("bytes", "字节"), say("how many", "个数")],
           [[c, c.encode("utf-8").hex(" "), len(c.encode("utf-8"))] for c in characters])  # fmt: skip
# %% [markdown] tags=["en"]
# 1, 2, 3 and 4 (emoji take four as well). 山 and 岳 share the first byte, 玉 has another one. A first byte tells how
# many follow; the following ones all lie between 80 and bf.
#
# ## One merge at a time
#
# A text in bytes is long, and each byte says little. **Byte-pair encoding (BPE)** shortens it. Count all pairs of neighbouring tokens, take the most frequent one, make it a new token with the next free id, and
# replace it everywhere. Repeat. That is the whole algorithm (Gage 1994; for language Sennrich et al. 2016).
# `bpe_steps` yields one merge after the other, `merge` carries one out.
#
# **Before you run it:** the text is “low lower lowest”. Which pairs are most frequent? If several are equally frequent, the one
# that occurs first wins: what are the first three merges? (The output shows a space as ␣.)
# %% [markdown] tags=["zh"]
# 1、2、3、4 个（表情符号也是四个）。“山”和“岳”的第一个字节相同，“玉”的不同。第一个字节说明后面还有几个；后面的字节都在
# 80 到 bf 之间。
#
# ## 一次合并一对
#
# 按字节写，文本很长，每个字节又说明不了什么。**字节对编码（BPE）** 把它缩短。数出所有相邻的词元对，取最常见的一对，合成新词元，分配下一个未用的 id，替换全文。重复。整个算法就是这样
# （Gage 1994；用于语言是 Sennrich 等 2016）。`bpe_steps` 一次给出一个合并，`merge` 执行一次合并。
#
# **运行之前先猜：** 文本是“low lower lowest”。哪些对最常见？次数相同时先出现的优先：前三次合并是什么？（输出里用 ␣ 表示空格。）
# %%
text = "low lower lowest"
ids, pieces = list(text.encode("utf-8")), {byte: bytes([byte]) for byte in range(256)}
rows = [["", "", "", " ".join(text.replace(" ", "␣")), len(ids)]]
for step in bpe_steps([text], vocab_size=261):
    pieces[step.id] = step.bytes
    ids = merge(ids, step.pair, step.id)
    shown = "  ".join(pieces[i].decode().replace(" ", "␣") for i in ids)
    rows.append([step.id, step.bytes.decode(), step.count, shown, len(ids)])
head = say(["new id", "new token", "pair occurred", "the text now", "tokens"],
           ["新 id", "新词元", "出现次数", "文本现在", "词元数"])  # fmt: skip
show_table(head, rows)
# %% [markdown] tags=["en"]
# “lo” and “ow” occur three times each; “lo” comes first. Then “low” three times, then “␣low” twice: the space belongs
# to the word behind it. Each merge makes the text shorter and the vocabulary longer by one.
#
# **Before you run it:** how many merges does “玉山” need until each character is one token? How many would make both
# of them one?
# %% [markdown] tags=["zh"]
# “lo”和“ow”各出现三次，“lo”在前。接着“low”三次，然后“␣low”两次：空格属于它后面的词。每次合并让文本变短，词表多一个。
#
# **运行之前先猜：** “玉山”要合并几次，才能一个字一个词元？再合并几次，两个字成为一个词元？
# %%
rows = []
for step in bpe_steps(["玉山 玉山"], vocab_size=300):
    rows.append([step.id, step.bytes.hex(" "), step.bytes.decode(errors="replace"), step.count])
show_table(say(["new id", "its bytes", "as text", "pair occurred"], ["新 id", "字节", "作为文本", "出现次数"]), rows)
# %% [markdown] tags=["en"]
# Two merges per character; on the way there are tokens that are not text by themselves, shown as �. Then training stops,
# although “玉山” occurs twice: no pair is left. The next section says why.
#
# ## Pieces
#
# Before BPE the text is cut into **pieces** by a regular expression, `PATTERN`, and no merge crosses a border between
# pieces. From left to right: a word with the space before it; *one* Chinese character; *one* digit; punctuation; white
# space.
#
# **Before you run it:** cut “Yushan 玉山 is 3952 metres high.” into pieces. How many are there?
# %% [markdown] tags=["zh"]
# 每个字合并两次；途中有些词元单独不成文本，显示为 �。然后训练就停了，尽管“玉山”出现了两次：没有可合并的对了。原因见下一节。
#
# ## 切成片段
#
# 做 BPE 之前，先用正则表达式 `PATTERN` 把文本切成**片段**，合并不会跨过片段的边界。从左到右：一个词连同它前面的空格；*一个*
# 汉字；*一个*数字；标点；空白。
#
# **运行之前先猜：** 把“Yushan 玉山 is 3952 metres high.”切成片段，有几个？
# %%
found = regex.findall(PATTERN, "Yushan 玉山 is 3952 metres high.")
print(len(found), say("pieces", "个片段"))
show_tokens(found)
# %% [markdown] tags=["en"]
# 13: the space before 玉 and the one before 3952 are pieces of their own. Digits one by one mean that every number is spelled in
# the same way, so that the model need not learn “3952” as a name of its own. A Chinese character by itself means that
# a name is always written with the same tokens, whatever is next to it; below we measure what that costs.
#
# ## Training is counting
#
# Now the text of this project's small world, in both languages (`Writer`, as in lesson 1).
#
# **Before you run it:** which English letters and which Chinese character will be merged first? What will the last
# tokens of a vocabulary of 2,048 be?
# %% [markdown] tags=["zh"]
# 13 个：“玉”前面和 3952 前面的空格各自成为一个片段。数字一位一位地切，所以每个数都用同样的办法拼出来，模型不必把“3952”当作一个
# 名字来记。汉字一个一个地切，所以一个名字不管旁边是什么，总是用同样的词元写出；这样做的代价下面会测量。
#
# ## 训练就是数数
#
# 现在用这个项目的小世界的文本，两种语言都有（`Writer`，同第 1 课）。
#
# **运行之前先猜：** 最先合并的是哪些英文字母、哪个汉字？词表大小为 2,048 时，最后的词元会是什么样的？
# %%
world = load_world()


def documents(language: str, count: int, seed: int) -> list[str]:
    writer = Writer(world, seed)
    return [writer.questions(language) if i % 5 == 4 else writer.three_facts(language) for i in range(count)]


texts = {one: documents(one, 1500, seed=1) for one in ("en", "zh")}
steps = list(bpe_steps(texts["en"] + texts["zh"], vocab_size=2048))
rows = [[s.id, s.bytes.decode(errors="replace"), s.bytes.hex(" "), s.count]
        for s in (*steps[:12], *steps[300:304], *steps[-4:])]  # fmt: skip
show_table(["id", say("token", "词元"), say("bytes", "字节"), say("pair occurred", "出现次数")], rows)
# %% [markdown] tags=["en"]
# “he” (of “the”) comes first, then 的 (“of”), the full stop 。, “of”, “the”, “is”. The counts fall from thousands to a handful:
# the first merges save a lot, the last ones nearly nothing. Of about 1,800 merges here some 340 are whole Chinese
# characters, and about 150 are parts of characters.
#
# ## Encoding new text
#
# The merges, in their order, are the **tokenizer**. To encode a piece, begin with its bytes and join, again and again, the
# neighbours whose token has the **lowest id**, the one learned earliest. This repeats what training did. It does *not* look
# for the longest token that fits.
#
# **Before you run it:** “ Indonesia” is a token here. How will “ Indonesian”, a word that never occurs in the text, be cut?
# %% [markdown] tags=["zh"]
# 最先是“the”里的“he”，然后是“的”、句号“。”、“of”、“the”、“is”。次数从几千降到几次：前面的合并省得多，最后的几乎不省。
# 这里大约 1800 次合并中，约 340 个是完整的汉字，约 150 个是汉字的一部分。
#
# ## 给新文本编码
#
# 按顺序排好的合并就是**分词器**（tokenizer）。给一个片段编码，先写成字节，然后反复合并**id 最小**（最早学到）的那一对相邻词元。
# 这就是重演训练的过程。它*不是*取最长的词元。
#
# **运行之前先猜：** “ Indonesia”在这里是一个词元。文本里从没出现过的“ Indonesian”会怎样切？
# %%
both = Tokenizer.train(texts["en"] + texts["zh"], vocab_size=2048)
rows = []
for word in (" Indonesia", " Indonesian", " unhappiness", "台湾最高的山是哪座？"):
    ids = both.encode(word)
    shown = " | ".join(token.replace(" ", "␣") for token in both.tokens(ids))
    rows.append([word, shown, " ".join(map(str, ids))])
show_table([say("text", "文本"), say("tokens", "词元"), "id"], rows)
# %% [markdown] tags=["en"]
# “ Indonesian” becomes “ In”, “dones”, “ian”: “ian”, as in “Romanian”, was learned before “ Indonesia” and takes the
# letters away. For the model the two words have no token in common. Unknown words such as “unhappiness” fall apart into short
# tokens, but can always be encoded. The ids, not the letters, are all the model sees: that “ In” contains an I it has to learn.
#
# ## Why Chinese costs more tokens
#
# The model reads and writes a token at a time. Twice as many tokens mean twice the time, half as much text in the context
# (as far as the model can look back), and with a paid service twice the price. Compare four tokenizers: bytes alone; trained on English only; trained on both
# languages; trained on both with a pattern that keeps neighbouring Chinese characters in one piece (`\p{Han}+`).
#
# **Before you run it:** how many tokens per character will Chinese take with each of the four? And English?
# %% [markdown] tags=["zh"]
# “ Indonesian”变成“ In”“dones”“ian”：“ian”（如“Romanian”）比“ Indonesia”学得早，先把字母占走了。在模型看来，这两个词没有
# 共同的词元。没见过的词，比如“unhappiness”，会碎成很短的片段，但总能编出来。模型看到的只有 id，不是字母：“ In”里有
# 一个 I，这要靠它自己学到。
#
# ## 为什么中文花更多词元
#
# 模型一次读写一个词元。词元多一倍，时间就多一倍，上下文（模型能往回看的范围）里能放的文本少一半；用收费的服务，价钱也多一倍。比较四个分词器：只有字节；
# 只用英文训练；用两种语言训练；用两种语言训练，但模式把相邻的汉字留在同一个片段里（`\p{Han}+`）。
#
# **运行之前先猜：** 四个分词器下，中文每个字符各要几个词元？英文呢？
# %%
phrases = PATTERN.replace(r"\p{Han}|", r"\p{Han}+|")  # Chinese characters in a row are one piece
ranks = {bytes([b]): b for b in range(256)}
ranks |= {step.bytes: step.id for step in bpe_steps(texts["en"] + texts["zh"], 2048, phrases)}
tokenizers = {
    say("bytes", "字节"): Tokenizer.train([], vocab_size=256),
    say("English only", "只用英文"): Tokenizer.train(texts["en"], vocab_size=2048),
    say("both", "两种语言"): both,
    say("both, Chinese phrases in one piece", "两种语言，汉字连成片"): Tokenizer.from_ranks(ranks, phrases),
}
new = {one: "\n".join(documents(one, 100, seed=2)) for one in texts}
costs = {name: [len(t.encode(new[one])) / len(new[one]) for one in new] for name, t in tokenizers.items()}
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(6.4, 3.2))
ticks = [label("bytes", "字节"), label("English only", "只用英文"), label("both", "两种语言")]
ticks.append(label("both, phrases", "两种语言，连成片"))
for i, (name, colour) in enumerate([(label("English", "英文"), "#1f77b4"), (label("Chinese", "中文"), "#d62728")]):
    places = [bar + 0.4 * i - 0.2 for bar in range(4)]
    bars = axes[0, 0].bar(places, [cost[i] for cost in costs.values()], 0.38, color=colour, label=name)
    axes[0, 0].bar_label(bars, fmt="%.2f", fontsize=8)
axes[0, 0].set_xticks(range(4), ticks)
axes[0, 0].set(xlabel=label("tokenizer trained on", "分词器的训练文本"),
               ylabel=label("tokens per character", "每字符词元数"), ylim=(0, 3.3))  # fmt: skip
axes[0, 0].legend()
show_figure(figure)
# %% [markdown] tags=["en"]
# Bytes: nearly 3 for Chinese, 1 for English. Trained on English only, English falls to about 0.2 and Chinese stays
# where it was, since no Chinese pair was ever counted. Trained on both, a Chinese character is one token, the least that our
# pattern allows. Without that border Chinese falls to about 0.5.
#
# Tokens per *character* is not yet the price of the same *content*: a Chinese text has fewer characters.
#
# ## A measurement: the same facts in both languages
#
# All facts of the world, each in English and in Chinese, in a wording drawn at random. Expect the ratio to differ by
# about 0.05 between seeds, and by about 0.15 with the English-only tokenizer.
#
# **Before you run it:** in bytes, which of the two languages is longer? With which tokenizer will they cost about the same?
# %% [markdown] tags=["zh"]
# 字节：中文将近 3，英文 1。只用英文训练，英文降到约 0.2，中文原地不动：训练时没有数到过任何中文的对。用两种语言训练，一个汉字是
# 一个词元，这是我们的模式所允许的最少。去掉这条边界，中文降到约 0.5。
#
# 每*字符*的词元数还不是同样*内容*的价钱：中文文本的字符数更少。
#
# ## 测量：用两种语言写同样的事实
#
# 这个世界的全部事实，每个用英文和中文各写一遍，措辞随机抽取。不同种子之间，比值大约相差 0.05，
# 只用英文训练的分词器约 0.15。
#
# **运行之前先猜：** 按字节算，哪种语言更长？用哪个分词器时两种语言花的词元差不多？
# %%
rows = []
for name, one in tokenizers.items():
    ratios = []
    for seed in (1, 2, 3):
        draw, tokens = random.Random(seed), {"en": 0, "zh": 0}
        for place, attribute, language in product(world.places, ATTRIBUTES, tokens):
            if wordings := statements(world, place, attribute, language):
                tokens[language] += len(one.encode(draw.choice(wordings)))
        ratios.append(tokens["zh"] / tokens["en"])
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    rows.append([name, tokens["en"], tokens["zh"], shown])
head = say(["tokenizer", "English tokens", "Chinese tokens", "Chinese / English, three seeds"],
           ["分词器", "英文词元数", "中文词元数", "中文 / 英文，三个种子"])  # fmt: skip
show_table(head, rows)
# %% [markdown] tags=["en"]
# In bytes Chinese is even a little shorter. With the English tokenizer the same facts cost four times as much in
# Chinese; with the one trained on both about a third more; with the phrase pattern only about six tenths of English. So the
# price is not a property of the language: it follows from what the tokenizer was trained on and where it may merge.
# (Our world is small: a real vocabulary must share its places among thousands of characters and many languages, and
# rare characters fall back to two or three tokens.)
#
# <!-- go on -->
#
# Why not take the cheapest? Look at its tokens for “Which is the highest mountain of Taiwan? What is the currency of
# Indonesia?”.
# %% [markdown] tags=["zh"]
# 按字节算，中文反而略短。用英文分词器，同样的事实中文要花四倍的词元；用两种语言训练的，大约多三分之一；用连成片的模式，只有英文的
# 大约六成。所以价钱不是语言本身的性质：它取决于分词器用什么训练，以及允许在哪里合并。（我们的世界很小：真实的词表要让几千个
# 汉字和许多语言分享位置，少见的字会退回到两三个词元。）
#
# <!-- go on -->
#
# 为什么不选最便宜的？看看它的词元。
# %%
question = "台湾最高的山是哪座？印度尼西亚的货币是什么？"
cheapest = list(tokenizers.values())[-1]
for one in (both, cheapest):
    ids = one.encode(question)
    print(len(ids), " | ".join(one.tokens(ids)))
# %% [markdown] tags=["en"]
# “最高的山是哪座” is one token: a sentence learned by heart, of no use for “最高的塔是哪座”, and unrelated, as far as the
# model can see, to the token “最高”. Long tokens make a text short, but leave fewer examples of each to learn from.
# The vocabularies of real models lie in between: their patterns let several Chinese characters merge, over much more varied text.
#
# ## Special tokens exist only as ids
#
# A document begins with `[DOC]` and ends with `[END]`; an answer ends with it too (lesson 7). These **special tokens** are ids
# of their own, after those of the merges: `[END]` is 2049 here.
#
# **Before you run it:** a user types “AI: [END]”. Does the text contain the id of `[END]`?
# %% [markdown] tags=["zh"]
# “最高的山是哪座”是一个词元：一句背下来的话，对“最高的塔是哪座”毫无用处，而且在模型看来，它和词元“最高”没有关系。长词元让文本
# 变短，但每个词元可供学习的例子就少了。实际使用的词表介于两者之间：模式允许几个汉字合并，而训练文本要丰富得多。
#
# ## 特殊词元只作为 id 存在
#
# 文档以 `[DOC]` 开头，以 `[END]` 结束；回答也以 `[END]` 结束（第 7 课）。这些**特殊词元**有自己的 id，排在所有合并之后：
# `[END]` 在这里是 2049。
#
# **运行之前先猜：** 用户打出“AI: [END]”。这段文本里有 `[END]` 的 id 吗？
# %%
ids = both.encode("AI: [END]")
print(both.end, both.end in ids)
print(repr(both.decode([both.end])), repr(both.decode([both.end], special=True)))
show_tokens(both.tokens(ids), below=ids)
# %% [markdown] tags=["en"]
# No: the letters are encoded as letters. Only the program that builds the dialogue puts the id there. If text could
# become control tokens, every user could end the model's turn or speak in another role.
#
# ## Half a character
#
# Answers appear token by token. A token may hold part of a character.
#
# **Before you run it:** the English-only tokenizer sends “玉山𠮷 ok” token by token. What would a screen show if it decoded
# each token by itself? When can 玉 be shown?
# %% [markdown] tags=["zh"]
# 没有：字母就按字母编码。只有组装对话的程序才会放进这个 id。如果文本能变成控制词元，任何用户都可以结束模型的发言，或者冒充别的
# 角色说话。
#
# ## 半个汉字
#
# 回答是一个词元一个词元出现的。一个词元可能只含一个字的一部分。
#
# **运行之前先猜：** 只用英文训练的分词器把“玉山𠮷 ok”一个一个词元地送出。如果屏幕对每个词元单独解码，会显示什么？“玉”什么时候
# 可以显示？
# %%
english = list(tokenizers.values())[1]
stream, rows = english.stream(), []
for i in english.encode("玉山𠮷 ok"):
    raw = english.encoding.decode_single_token_bytes(i)
    rows.append([i, raw.hex(" "), raw.decode(errors="replace"), stream.push(i)])
head = ["id", say("bytes", "字节"), say("decoded alone", "单独解码"), say("stream shows", "流式显示")]
show_table(head, rows)
# %% [markdown] tags=["en"]
# Decoded alone, each byte of 玉 is a �. The stream decoder holds bytes back until the character is complete, at the third
# token; 𠮷 needs four. If the stream ends in the middle, `finish()` gives a single � for the character that was never completed.
#
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | `台湾最高的山是哪座？` → 玉, then 山, then `[END]`: one step each | a Chinese character is one token because the tokenizer was trained on Chinese; with the English one the answer takes six steps and `[END]` |
# | “多语言预训练” (pretraining on several languages) helps transfer between languages | it begins with the tokenizer: a language that it has not read is paid for byte by byte |
# | `[END]` ends an answer | it is an id, and no text becomes it |
#
# ## To discuss in class
#
# 1. A service charges by the token and its tokenizer is mostly English. Who pays more, and what could the provider
#    change without training the model anew? (A good answer: users of other scripts, in price, speed and context; the
#    vocabulary is tied to the embeddings (the model's vectors of the tokens, lesson 2b), so only new models or added tokens with further training help; prices per
#    character would be possible.)
# 2. “How many r's are in strawberry?” is hard for large models. What does that have to do with this lesson, and would a
#    model that reads bytes be better at it? (A good answer: ids hide the letters; bytes show them, at several times the length;
#    spelling out is a workaround.)
#
# ## Homework
#
# `merge`, `most_frequent_pair`, `train_bpe`, `encode`, `whole_characters`. Write them in the cells below, or in
# `lessons/02_tokens/homework.py`, which is what you hand in. `check("merge")` says at once which idea goes wrong,
# `hint("merge")` helps in three steps, `reset("merge")` begins anew, `progress()` shows how far you are. In a
# terminal `python -m minillm homework 2` grades the file, `python -m minillm homework 2 --watch` does so whenever you
# save it.
#
# ## References
#
# - P. Gage 1994, *A New Algorithm for Data Compression*, The C Users Journal 12(2).
# - R. Sennrich, B. Haddow, A. Birch 2016, *Neural Machine Translation of Rare Words with Subword Units*, arXiv
#   1508.07909.
# - A. Radford et al. 2019, *Language Models are Unsupervised Multitask Learners* (GPT-2: BPE on bytes).
# - A. Petrov, E. La Malfa, P. Torr, A. Bibi 2023, *Language Model Tokenizers Introduce Unfairness Between Languages*,
#   arXiv 2305.15425.
# %% [markdown] tags=["zh"]
# 单独解码，“玉”的每个字节都是 �。流式解码器把字节留着，到第三个词元字完整了才显示；“𠮷”要等四个。如果流在中间断了，
# `finish()` 给出一个 �，代表没能完整的那个字符。
#
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | `台湾最高的山是哪座？` → 玉，然后山，然后 `[END]`：各一步 | 一个汉字是一个词元，因为分词器读过中文；用英文的分词器，回答要六步再加 `[END]` |
# | 多语言预训练有助于跨语言迁移 | 这从分词器就开始了：没读过的语言，要按字节计费 |
# | `[END]` 结束回答 | 它是一个 id，没有文本会变成它 |
#
# ## 课堂讨论
#
# 1. 一项服务按词元收费，它的分词器以英文为主。谁付得更多？不重新训练模型，服务方能改什么？（好的回答：使用其他文字的用户，在价钱、
#    速度、上下文长度上都吃亏；词表和嵌入（模型给词元的向量，第 2b 课）绑在一起，只有新模型、或者加词元再继续训练才能改善；也可以改成按字符收费。）
# 2. “strawberry 里有几个 r？”对大模型很难。这和这一课有什么关系？以字节为词元的模型会更擅长吗？（好的回答：id 把字母藏起来了；
#    字节看得见字母，但长度是几倍；先拼写出来是一种绕开的办法。）
#
# ## 作业
#
# `merge`、`most_frequent_pair`、`train_bpe`、`encode`、`whole_characters`。写在下面的单元格里，或者写在
# `lessons/02_tokens/homework.py` 里，最后交的是这个文件。`check("merge")` 马上告诉你是哪个想法错了，`hint("merge")` 分
# 三步提示，`reset("merge")` 恢复原样，`progress()` 显示你的进度。在终端里，`python -m minillm homework 2` 批改这个文
# 件，`python -m minillm homework 2 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - P. Gage 1994，*A New Algorithm for Data Compression*，The C Users Journal 12(2)。
# - R. Sennrich, B. Haddow, A. Birch 2016，*Neural Machine Translation of Rare Words with Subword Units*，arXiv
#   1508.07909。
# - A. Radford 等 2019，*Language Models are Unsupervised Multitask Learners*（GPT-2：字节上的 BPE）。
# - A. Petrov, E. La Malfa, P. Torr, A. Bibi 2023，*Language Model Tokenizers Introduce Unfairness Between Languages*，
#   arXiv 2305.15425。
