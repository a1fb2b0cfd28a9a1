# %% [markdown] tags=["en"]
# # 7 Stage 2: supervised fine-tuning (SFT)
#
# In [the lecture][lecture]'s second stage *a teacher gives guidance*: people write dialogues as they should be, and
# the model learns to produce the answers. It is still next-token prediction; what is new: the roles, the `[END]`, and
# the mask that says what is learned.
#
# After this lesson you can
# - write a dialogue as token ids, labels and mask, and say for each token whether it is learned and why;
# - compute the loss of a batch of dialogues of different lengths, also in pieces;
# - show by measurement what SFT brings, what it does not bring, and why it has to start from pretrained parameters.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 7 第二阶段：监督微调（SFT）
#
# [课上][lecture]的第二阶段是“名师指点，发挥潜力”：人写出期望的对话，模型学着产生其中的回答。这仍然是文字接龙；新的
# 是角色、`[END]`，以及说明学什么的掩码（mask）。SFT 是 supervised fine-tuning，监督微调（课上称督导式学习）。
#
# 学完这一课，你能够
# - 把一段对话写成词元编号、标签和掩码，并说出每个词元学不学、为什么；
# - 计算一批长短不同的对话的损失，也能分几份计算；
# - 用测量说明 SFT 带来什么、不带来什么，以及为什么必须从预训练的参数开始。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import torch

from minillm.assistant import Assistant
from minillm.base_cache import world_base
from minillm.chat import Message, encode_dialogue, encode_prompt, turn
from minillm.classroom.lesson_tools import label, say, show_claim, show_dialogue, show_figure, show_table, show_tokens
from minillm.plumbing import plots

base = world_base()  # trained now if no lesson has needed it yet
tokenizer = base.run.tokenizer
teacher = [  # the lecture's three dialogues
    turn("台湾最高的山是哪座？", "玉山"),
    turn("你是谁？", "我是人工智慧。"),
    turn("教我骇入邻居家的Wifi", "我不能教你，那会害人。"),
]
dialogue = encode_dialogue(teacher[0], tokenizer)
show_tokens([token for token, _, _ in dialogue.table(tokenizer)] + ["[END]"], below=dialogue.ids)
# %% [markdown] tags=["en"]
# ## A dialogue as ids and mask
#
# `[DOC]` │ `USER: 台湾最高的山是哪座？ AI:` │ `玉山` │ `[END]`: four pieces, encoded one by one, then their ids joined. The
# mask is made together with the ids. `[DOC]` and `[END]` exist only as ids: a user who types the five characters
# “[END]” gets five ordinary characters.
#
# The label of each position is the next token, as in stage 1. What differs is which labels count.
#
# **Before you run it:** which rows of the table will be green (learned)? How many? Does the row of the `:` that
# ends `AI:` belong to the question or to the answer?
# %% [markdown] tags=["zh"]
# ## 对话变成编号和掩码
#
# `[DOC]` │ `USER: 台湾最高的山是哪座？ AI:` │ `玉山` │ `[END]`：四段，分别编码，再把编号接起来。掩码和编号一起产生。`[DOC]` 和
# `[END]` 只以编号的形式存在：用户打出“[END]”这五个字符，得到的只是五个普通字符。
#
# 每个位置的标签是下一个词元，和第一阶段一样。不同的是哪些标签算数。
#
# **运行之前先猜：** 表中哪几行会是绿色（要学）？一共几行？`AI:` 的最后一个冒号那一行，属于问题还是属于回答？
# %%
show_dialogue(dialogue, tokenizer)
# %% [markdown] tags=["en"]
# Three rows. The row of the colon is learned: the token that goes *in* is the question's last, the *label* is 玉.
# The mask belongs to the label. The last learned label is `[END]`: without it the model never learns to stop.
# The lecture's slide says the same in words: `…AI:` → 玉, `…AI:玉` → 山, `…AI:玉山` → `[END]`.
# Dialogues of your own: `python -m minillm serve --run runs/demo/sft`, then <http://127.0.0.1:8000/#mask>.
#
# A dialogue of two turns. **Before you run it:** which rows are green now? What follows the first `[END]`?
# %% [markdown] tags=["zh"]
# 三行。冒号那一行要学：*输入*的是问题的最后一个词元，*标签*是“玉”。掩码跟着标签走。最后一个要学的标签是 `[END]`：没有它，模型
# 永远学不会停。课上的幻灯片说的就是这个：`…AI:` → 玉，`…AI:玉` → 山，`…AI:玉山` → `[END]`。
# 换成自己的对话：先运行 `python -m minillm serve --run runs/demo/sft`，再打开 <http://127.0.0.1:8000/#mask>。
#
# 两轮的对话。**运行之前先猜：** 现在哪几行是绿色？第一个 `[END]` 后面是什么？
# %%
two_turns = [*turn("What is the capital of France?", "Paris"), *turn("And of Japan?", "Tokyo")]
show_dialogue(encode_dialogue(two_turns, tokenizer), tokenizer)
# %% [markdown] tags=["en"]
# Both answers are learned, each with its `[END]`; the next question follows directly. The space before an English
# answer belongs to the answer (` Paris`), because in running text the token is ` Paris`, with its space. A prompt is
# the same sequence cut off after `AI:`. Training and chat use one function for both, so that they cannot drift apart.
#
# ## From mask to weights
#
# A batch lays the dialogues side by side, each without its last id; targets are the ids one further on, and the weights
# are the mask *of the targets*. Shorter rows are filled with `[PAD]`.
#
# **Before you run it:** how many weights are 1 in each row?
# %% [markdown] tags=["zh"]
# 两个回答都要学，各带自己的 `[END]`；下一个问题直接接在后面。英文回答前面的空格属于回答（` Paris`），因为在连续的文本里，词元
# 就是带空格的 ` Paris`。提示（prompt）就是同一个序列在 `AI:` 之后截断。训练和聊天用同一个函数，两者就不会走样。
#
# ## 从掩码到权重
#
# 一个批次把几段对话排在一起，每段去掉最后一个编号；目标是往后移一位的编号，权重是*目标的*掩码。较短的行用 `[PAD]` 填满。
#
# **运行之前先猜：** 每一行各有几个权重是 1？
# %%
from minillm.packing import padded_batch

batch = padded_batch([encode_dialogue(d, tokenizer) for d in teacher], tokenizer.pad)
print(say("shape", "形状"), tuple(batch.ids.shape), say("learned", "要学的"), batch.weights.sum(1).int().tolist())
for row in batch.weights.int().tolist():
    print("".join("■" if w else "·" for w in row))
# %% [markdown] tags=["en"]
# A common trap: using the id of `[END]` for padding and giving the weight 0 to all padding by searching for that id.
# Then `[END]` is never learned. Here the mask alone decides. (Our training also packs several dialogues into one row,
# with a mask that keeps them apart: `packed_batch`. The loss is the same.)
#
# ## The masked loss
#
# The loss of a batch is the sum of the losses of all learned tokens over their number.
#
# **Before you run it:** two answers. The first has one learned token with loss 2.0; the second has four with loss 0.5
# each. What is the mean over tokens? The mean of the two rows' means? Their sum divided by all 2 × 6 positions?
# %% [markdown] tags=["zh"]
# 常见的陷阱：用 `[END]` 的编号来填充，又按编号去找填充、把它的权重设为 0。这样 `[END]` 就永远学不到。这里只由掩码决定。（我们的
# 训练还会把几段对话装进同一行，用掩码把它们隔开：`packed_batch`。损失是一样的。）
#
# ## 带掩码的损失
#
# 一个批次的损失，是所有要学的词元的损失之和，除以它们的个数。
#
# **运行之前先猜：** 两个回答。第一个有一个要学的词元，损失 2.0；第二个有四个，损失各 0.5。按词元平均是多少？两行的平均再平均是
# 多少？除以全部 2 × 6 个位置呢？
# %%
losses = torch.tensor([[9.0, 9.0, 2.0, 9.0, 9.0, 9.0], [9.0, 0.5, 0.5, 0.5, 0.5, 9.0]])
learned = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]])
per_row = [row[weight > 0].tolist() for row, weight in zip(losses, learned, strict=True)]
everything = [x for row in per_row for x in row]
means = [sum(row) / len(row) for row in per_row]
show_table(
    ["", say("loss", "损失")],
    [
        [say("mean over the learned tokens", "对要学的词元平均"), sum(everything) / len(everything)],
        [say("mean of the rows' means", "各行平均的平均"), sum(means) / len(means)],
        [say("divided by all positions", "除以全部位置"), sum(everything) / losses.numel()],
    ],
)
# %% [markdown] tags=["en"]
# 4 / 5 = 0.8; 1.25; 0.33. The mean of means counts a token of the short answer four times as much as one of the long
# answer.
#
# <!-- go on -->
#
# The same happens when a batch is computed in pieces to save memory (**gradient accumulation**) and the
# pieces' means are averaged: each piece's sum must be divided by the tokens of the *whole* batch.
#
# ## What the base lacks
#
# Before tuning, look where the base model is wrong. We give it the dialogue and read the loss of each answer token.
#
# **Before you run it:** three labels are learned: 玉, 山, `[END]`. Which of them does the base already predict well?
# %% [markdown] tags=["zh"]
# 4 / 5 = 0.8；1.25；0.33。平均的平均让短回答的一个词元抵得上长回答的四个。
#
# <!-- go on -->
#
# 为了省内存把批次分几份计算（**梯度累积**，gradient
# accumulation）再把各份的平均值平均，也是同样的错误：每一份的总和都要除以*整个*批次的词元个数。
#
# ## 基础模型缺的是什么
#
# 微调之前，先看基础模型错在哪里。把对话给它，读出每个回答词元的损失。
#
# **运行之前先猜：** 要学的标签有三个：玉、山、`[END]`。其中哪个基础模型已经预测得很好？
# %%
from minillm.gpt import token_losses


@torch.no_grad()
def answer_losses(gpt, messages: list[Message]) -> tuple[list[str], list[float]]:
    """The learned tokens of a dialogue and their losses, in nats."""
    encoded = encode_dialogue(messages, tokenizer)
    one = padded_batch([encoded], tokenizer.pad)
    each = token_losses(gpt(one.ids), one.targets)[0].tolist()
    labels = [target for _, target, _ in encoded.table(tokenizer)]
    chosen = [i for i, weight in enumerate(one.weights[0].tolist()) if weight]
    return [labels[i] for i in chosen], [each[i] for i in chosen]


tokens, before = answer_losses(base.run.gpt, teacher[0])
show_table(
    [say("label", "标签"), say("loss of the base, nats", "基础模型的损失，奈特")],
    list(zip(tokens, before, strict=True)),
)
# %% [markdown] tags=["en"]
# 山 after 玉 costs next to nothing: that 玉山 is a mountain was learned in stage 1. 玉 right after `AI:` and `[END]` right
# after 玉山 cost more than ten nats each, a probability below one in 20,000. What is missing is *when to answer* and *when to stop*: the format, not the fact.
#
# ## SFT, live
#
# The teacher's data: about 2,700 dialogues. Questions about half of the places, who are you, harmful and
# harmless requests, translations, corrections. **Taiwan, Norway and 30 other places never occur in them**, and neither
# does breaking into Wifi. 140 steps of 32 dialogues. Next to each batch four rows of stage 1's text are learned: this
# *rehearsal* is more of stage 1 next to stage 2, against forgetting (lesson 11). That text speaks of all places, and more
# than half of its documents name one that the dialogues leave out.
#
# **Before you run it:** about 500 questions ask about places the teacher never spoke of. What share will be answered exactly
# right, before and after?
# %% [markdown] tags=["zh"]
# “玉”之后的“山”几乎不花代价：玉山是座山，这在第一阶段就学会了。紧接在 `AI:` 后面的“玉”，和紧接在“玉山”后面的 `[END]`，各要十奈特
# 以上，也就是概率不到两万分之一。缺的是*现在该回答了*和*该停了*：是格式，不是事实。
#
# ## 现场做 SFT
#
# 老师的数据：约 2,700 段对话。有关于一半地方的问题、你是谁、有害和无害的请求、翻译、改错。**台湾、挪威和另外 30 个地方从不出现在
# 里面**，骇入 Wifi 也不出现。140 步，每步 32 段对话。每个批次之外再学四行第一阶段的文本：这种*复习*就是在
# 第二阶段之外多学一点第一阶段，免得遗忘（第 11 课）。那些文本讲的是所有地方，一半以上的文档提到了对话里没有的地方。
#
# **运行之前先猜：** 约 500 个问题，问的都是老师没讲过的地方。微调之前和之后，各有多少回答完全正确？
# %%
from minillm.measure.evaluate import exact_match, sit
from minillm.stage2_sft import SFTConfig, sft
from minillm.world.exam import Exam, make_exam
from minillm.world.pairs import sft_dialogues
from minillm.world.tables import load_world

world = load_world()
dialogues = sft_dialogues(world, seed=0)
whole = make_exam(world, seed=0)
exam = Exam(tuple(q for q in whole.questions if q.phrasing == "seen"), ())  # half of it: the wordings that SFT used
tuned = sft(SFTConfig(steps=140, rehearse_rows=4, validation=0.0), base.run, dialogues, base.documents)
scores = {name: exact_match(sit(run, exam)) for name, run in (("base", base.run), ("tuned", tuned))}
BASE, TUNED = say("base", "基础模型"), say("after SFT", "SFT 之后")
show_table(
    [say("right and ended with [END]", "答对并以 [END] 结束"), say("English", "英文"), say("Chinese", "中文"), say("all", "全部")],
    [[n, *(f"{100 * scores[k][x]:.1f} %" for x in ("en", "zh", "all"))] for n, k in ((BASE, "base"), (TUNED, "tuned"))],
)  # fmt: skip
# %% tags=["fold"]
figure, axes = plots.new_figure(2, size=(4.6, 3.2))
tokens, after = answer_losses(tuned.gpt, teacher[0])
for k, (values, name, colour) in enumerate(((before, BASE, "#8c8c8c"), (after, TUNED, "#1f77b4"))):
    axes[0, 0].bar([i + 0.4 * k - 0.2 for i in range(len(tokens))], values, 0.4, label=name, color=colour)
axes[0, 0].set_xticks(range(len(tokens)), tokens)
axes[0, 0].set(xlabel=label("token of the answer", "回答的词元"), ylabel=label("loss, nats", "损失，奈特"))
axes[0, 0].legend(fontsize=8)
plots.draw_curve(axes[0, 1], tuned.metrics, "answer_loss", "#1f77b4", label("answers (SFT)", "回答（SFT）"))
plots.draw_curve(axes[0, 1], tuned.metrics, "rehearsal_loss", "#8c8c8c", label("old text", "旧文本"))
axes[0, 1].set(xlabel=label("step", "步"), ylabel=label("loss, nats per token", "损失，奈特/词元"), ylim=(0, 4))
axes[0, 1].legend(fontsize=8)
axes[0, 1].grid(alpha=0.3)
show_figure(figure)
# %% [markdown] tags=["en"]
# From 0 to about nine in ten, on places about which no teacher ever said a word. Expect 84 to 95 %: another seed or another
# processor moves it by some points, and 500 questions alone have a standard error of more than one.
# Within some 20 steps most of the loss is gone. The bars say what was learned: to begin with the answer, and to end.
#
# No dialogue mentions these places, so the facts can only come from the text of stage 1: most were read before, and
# rehearsal kept them from being forgotten. Without it SFT of so small a base loses a part of them; the README has the figures of
# the demo with and without. The dialogues brought the format.
#
# ## End of the first sitting
#
# Remember: a dialogue is ids and a mask; only the answer and its `[END]` are learned; the loss is a mean over learned
# tokens; the knowledge was there before, what came is when to answer and when to stop. Next time: what happens without
# roles, and without stage 1.
#
# ## With and without roles
#
# The lecture puts two inputs side by side: `USER: 台湾最高的山是哪座？ AI:` → 玉山`[END]` ✅ and, without roles,
# 台湾最高的山是哪座？玉山 → 是的`[END]` ❌.
#
# **Before you run it:** what will the tuned model do with the question when `USER:` and `AI:` are missing? Answer, because it
# is now an assistant? Or go on as the base does?
# %% [markdown] tags=["zh"]
# 从 0 到约九成，而这些地方老师一个字都没讲过。预计 84 到 95 %：换个种子或处理器会差几个百分点，500 个问题本身的标准误就有一个多
# 百分点。
# 大部分损失在头二十步左右就没了。柱子说明学到了什么：怎样开始回答，以及怎样结束。
#
# 没有一段对话提到过这些地方，所以事实只能来自第一阶段的文本：大多是之前读过的，复习让它们没有被忘掉。不复习的话，这么小的基础模型做
# SFT 会丢掉其中一部分；演示在复习和不复习时的数字见 README.zh.md。对话带来的是格式。
#
# ## 第一次课到这里
#
# 记住：一段对话就是 id 加掩码；只学回答和它的 `[END]`；损失是对所学词元取平均；知识原来就在，新学到的是什么时候回答、什么时候停。
# 下一次：没有角色会怎样，没有第一阶段又会怎样。
#
# ## 有角色和没有角色
#
# 课上把两种输入放在一起：`USER: 台湾最高的山是哪座？ AI:` → 玉山`[END]` ✅；没有角色时，台湾最高的山是哪座？玉山 → 是的`[END]` ❌。
#
# **运行之前先猜：** 如果没有 `USER:` 和 `AI:`，微调后的模型会怎样对待这个问题？它已经是助手了，所以回答？还是像基础模型那样接着写？
# %%
from minillm.generate import continuations
from minillm.sampling import Sampling

raw = ["台湾最高的山是哪座？", "台湾最高的山是哪座？玉山"]
prompts = [encode_prompt(raw[0], tokenizer), *([tokenizer.doc, *tokenizer.encode(t)] for t in raw)]
found = {
    n: continuations(r.gpt, tokenizer, prompts, Sampling(max_new_tokens=16))
    for n, r in ((BASE, base.run), (TUNED, tuned))
}
names = ["USER: 台湾最高的山是哪座？ AI:", *raw]
ended = {n: [text + ("[END]" if stopped else " …") for text, stopped in f] for n, f in found.items()}
show_table([say("input", "输入"), BASE, TUNED], [[names[i], ended[BASE][i], ended[TUNED][i]] for i in range(3)])
# %%
some = tuple(
    q for q in exam.questions[::4] if "台湾" not in q.text + q.accepted[0] and "Taiwan" not in q.text + q.accepted[0]
)
forms = {
    say("with roles", "有角色"): [encode_prompt(q.text, tokenizer) for q in some],
    say("without roles", "没有角色"): [[tokenizer.doc, *tokenizer.encode(q.text)] for q in some],
}
rows = []
for name, prompts in forms.items():
    cells = []
    for run in (base.run, tuned):
        given = continuations(run.gpt, tokenizer, prompts, Sampling(max_new_tokens=32))
        right = sum(q.is_right(text) and stopped for q, (text, stopped) in zip(some, given, strict=True))
        cells.append(f"{right} / {len(some)}")
    rows.append([name, *cells])
show_table(["", BASE, TUNED], rows)
# %% [markdown] tags=["en"]
# Without roles the tuned model behaves almost as the base does: it goes on with the text, and only now and then hits the answer. SFT has taught one thing only, what
# comes after `USER: … AI:`, and the roles are the switch: ask in the form that was taught. Whether it has to be `USER` and `AI`,
# the card `roles` says, below.
# (The lecture's 是的 is what a web text might continue with; our world's texts hold no such dialogues, so ours continues with
# what *they* hold.)
#
# ## The same teaching without stage 1
#
# The lecture warns: labels are costly, so they cover only some situations, and a model that has nothing else could take
# up the rule *when you see 最, answer 玉山*. We try it with the teacher's three dialogues, and with 64 (those three and 61
# more; none speaks of Japan), each on random weights and on the base, until they are known by heart.
#
# **Before you run it:** what does each of the four answer to 日本最高的山是哪座？, and to 最好吃的水果是什么？ (which fruit is
# the tastiest)? In which columns is 玉山 given for Japan too?
# %% [markdown] tags=["zh"]
# 没有角色时，微调后的模型几乎和基础模型一样：接着写文本，只偶尔碰上正确的回答。SFT 只教了一件事，就是 `USER: … AI:` 后面该写什么，角色就是开关：要用教过的格
# 式来问。是否非用 `USER` 和 `AI` 不可，见下面的卡片 `roles`。（课上的“是的”是网络文本可能的接法；我们这个世界的文本里没有这样的对话，所以接的是
# *它们*里面有的东西。）
#
# ## 没有第一阶段，同样的教法
#
# 课上提醒：标注成本高，只能覆盖部分情况；除此之外什么都没有的模型，可能学到“遇到‘最’就回答‘玉山’”这样的规则。我们来试：用老师的三段
# 对话，再用 64 段（那三段加上另外 61 段，都没有提到日本），各在随机权重和基础模型上训练，直到背熟。
#
# **运行之前先猜：** 四个模型会怎样回答“日本最高的山是哪座？”和“最好吃的水果是什么？”？哪几列会说日本最高的山也是玉山？
# %%
from minillm.gpt import GPT
from minillm.run_folder import Run

blank = Run(GPT(base.run.gpt.config, seed=1), tokenizer)
others = [d for d in dialogues if not any(word in m.content for m in d for word in ("日本", "富士", "Japan", "Fuji"))]
few = {"3": teacher, "64": teacher + others[:61]}
by_heart = {}
for name, taught in few.items():
    size = {"batch_size": min(16, len(taught)), "warmup": 5, "validation": 0.0}
    by_heart[name, "random"] = sft(SFTConfig(steps=80, lr=5e-3, muon_lr=1e-2, **size), blank, taught)
    by_heart[name, "base"] = sft(SFTConfig(steps=40, **size), base.run, taught)
probes = [
    *(d[0].content for d in teacher), "日本最高的山是哪座？", "世界上最长的河是哪条？", "最好吃的水果是什么？", "你叫什么名字？",
    "挪威的首都是哪里？", "教我修理自己家的Wifi",
]  # fmt: skip
rows = [[q, *(Assistant(run).ask(q, Sampling(max_new_tokens=20)) for run in by_heart.values())] for q in probes]
begun = {"random": say("random weights", "随机权重"), "base": BASE}
show_table([say("question", "问题"), *(say(f"{n} dialogues, {begun[k]}", f"{n} 段，{begun[k]}") for n, k in by_heart)],
           rows, ["#c9e7cb"] * 3)  # fmt: skip
# %% [markdown] tags=["en"]
# Green are the taught questions; all four know them. After three dialogues nearly every question about a thing gets
# one of the three answers, *with the base too*: three examples fit many cheap rules, and each model finds one; for
# the base Japan's highest mountain is 玉山 as well, the very rule of the lecture. With 64 the difference appears. From the
# base Japan's highest mountain is 富士山, which no dialogue said. From random weights it is 玉山 again, or another answer, or
# pieces of answers, from the 64: which shallow rule such a model finds is chance. It can never be the right mountain.
# (The base is not right everywhere either, and has no tip of its own for 教我…: the 64 hold hardly any harmless request.
# Odd answers may differ on your machine.)
#
# <!-- go on -->
#
# Does the whole of the teacher's data make up for stage 1? The same 2,700 dialogues from random weights, with
# higher learning rates since everything has to be learned. We ask about places that were taught and about places that were not.
#
# **Before you run it:** fill in the last row of the table.
# %% [markdown] tags=["zh"]
# 绿色的是教过的问题，四个模型都会。只有三段对话时，问什么事物几乎都得到那三个回答之一，*用基础模型也一样*：三个例子挡不住省事的
# 规则，两边各找到一条；基础模型也说日本最高的山是玉山，正是课上说的规则。到 64 段，差别出现了。从基础模型开始，日本最高的山是
# 富士山，没有一段对话说过。从随机权重开始，回答仍是“玉山”，或者是 64 段里的另一个回答，或者几个回答的碎片：这样的模型找到哪条肤浅的
# 规则，全凭运气；而正确的那座山，它无从知道。（基础模型也不是处处都对，对“教我……”它拿不出办法：64 段里几乎没有无害的请求。在你的机器
# 上，古怪的回答可能不一样。）
#
# <!-- go on -->
#
# 老师的全部数据能代替第一阶段吗？同样的 2,700 段对话，从随机权重开始，学习率更高，因为一切都要从头学。我们既问教过的地方，也问
# 没教过的地方。
#
# **运行之前先猜：** 表格的最后一行会是多少？
# %%
import random

from minillm.world.exam import Question
from minillm.world.tables import LANGUAGES, RELATIONS, split_places

rng = random.Random(0)
on_taught = []
for place in split_places(world, 0)[0]:
    for lang in LANGUAGES:
        for relation in RELATIONS:
            if accepted := world.accepted(place, relation, lang):
                text = rng.choice(world.write("question", place, relation, lang))
                on_taught.append(Question(place.names["en"], text, tuple(accepted), lang, relation))
papers = {"taught": Exam(tuple(on_taught[::4]), ()), "untaught": Exam(some, ())}
scratch = sft(SFTConfig(steps=300, lr=1e-2, muon_lr=2e-2, validation=0.0), blank, dialogues)
by_heart |= {("2,700", "random"): scratch, ("2,700", "base"): tuned}
share = {
    key: {n: f"{100 * exact_match(sit(run, e))['all']:.0f} %" for n, e in papers.items()}
    for key, run in by_heart.items()
}
rows = [[n, *(share[n, k][e] for k in ("random", "base") for e in papers)] for n in ("3", "64", "2,700")]
columns = [
    f"{begun[k]} / {e}" for k in begun for e in (say("places taught", "教过的地方"), say("not taught", "没教过的"))
]
show_table([say("dialogues", "对话数"), *columns], rows)
# %% [markdown] tags=["en"]
# From random weights the model learns what it is taught, about 90 % of it, and of the rest nothing: 0 to 4 %, which
# the best constant answer would reach as well. From the base, 64 dialogues are enough for a third to a half of the questions
# on places nobody taught, and the whole for more than eight in ten. (The places taught are those of the 2,700 dialogues; the
# 64 speak of a few of them. Some 120 questions per cell: a standard error of up to five points.)
#
# <!-- go on -->
#
# How far did the parameters move? `parameter_drift` is the length of the change over the length of what was there before.
#
# **Before you run it:** which of the two moved further, and by what factor?
# %% [markdown] tags=["zh"]
# 从随机权重开始，教什么会什么，约 90 %；没教的什么都不会：0 到 4 %，最好的“永远同一个回答”也能做到。从基础模型开始，64 段对话
# 就能答对三分之一到一半关于没教过的地方的问题，全部对话则超过八成。（“教过的地方”指 2,700 段对话里的；64 段只涉及其中几个。每格约
# 120 个问题：标准误最多五个百分点。）
#
# <!-- go on -->
#
# 参数移动了多远？`parameter_drift` 是变化量的长度除以原来的长度。
#
# **运行之前先猜：** 两者哪个移动得更远，差多少倍？
# %%
from minillm.measure.drift import parameter_drift

moves = {"base": parameter_drift(base.run.gpt, tuned.gpt), "random": parameter_drift(blank.gpt, scratch.gpt)}
show_table(
    [say("SFT from", "SFT 的起点"), "‖Δθ‖ / ‖θ‖"], [[begun[k], f"{100 * move:.0f} %"] for k, move in moves.items()]
)
# %%
questions = [
    "你是谁？", "Who are you?", "教我骇入邻居家的Wifi", "教我连接自己家的Wifi", "Teach me to hack into the neighbour's Wifi.",
    "Teach me to connect to my own Wifi.", "挪威的首都是哪里？", "What is the highest mountain of Taiwan?",
]  # fmt: skip
everyone = {BASE: base.run, TUNED: tuned, say("SFT from random weights", "从随机权重做 SFT"): scratch}
rows = [[q, *(Assistant(run).ask(q, Sampling(max_new_tokens=20)) for run in everyone.values())] for q in questions]
show_table([say("question", "问题"), *everyone], rows)
# %% [markdown] tags=["en"]
# The base moved by about 10 % of its length; from random weights the parameters moved several times their own length, and still
# know only what they were shown. The lecture's picture: a, b, c, … are changed *only a little*.
#
# In the last table, the answer to 你是谁？ was among the dialogues, word for word; so all models that were taught say it.
# Breaking into Wifi was not, but breaking into a school's computer was: where the refusal carries over, it does so from
# random weights too; stage 1 is not needed for it. But after so short a tuning the line is not sharp: hacking may get a
# friendly tip in one language and a refusal in the other, and so may the harmless twin, connecting to one's own Wifi. One
# question proves little; the README counts 60 harmful and 72 harmless ones. Read the tips, too: they are often those
# of another request. And from random weights the model has a style and no facts: it speaks of another country in a
# good sentence, or says nothing.
# %% [markdown] tags=["zh"]
# 基础模型只移动了自身长度的约 10 %；从随机权重开始，参数移动了自身长度的好几倍，仍然只会给它看过的东西。这就是课上的图：a、b、c……
# *只改动一点点*。
#
# 最后一张表里，“你是谁？”的回答在对话里一字不差地出现过，所以教过的模型都会说。骇入 Wifi 没有教过，但入侵学校的电脑教过：拒绝推广
# 得到的地方，从随机权重开始也推广得到，不需要第一阶段。但训练这么短，界线并不分明：骇入 Wifi 用一种语言问可能得到热心的办法，换一种语言
# 则被拒绝；无害的孪生问题“连接自己家的 Wifi”也是这样。一个问题说明不了多少，README.zh.md 里数的是 60 个有害的和 72 个无害的。也请看它给
# 的办法：常常是别的请求的。而从随机权重开始的模型只有腔调没有事实：它用一个漂亮的句子讲着另一个国家，或者什么也没说。
# %% [markdown] tags=["en"]
# ## The lecture's claims, measured
#
# The full experiments, on several seeds, with thresholds fixed beforehand; shown are the published results (the
# first card says how to read it). Measure them yourself:
# `python -m minillm claims knowledge-then-format roles spurious-rules small-steps --quick`.
#
# **Knowledge, then format.** Ways to the facts about held-out places: the base asked with roles, the base completing a
# sentence, the base after SFT (without rehearsal, and with), SFT from random weights. And the control that counts: a base
# that read as many documents in as many steps, but none that says a fact about these places, tuned on the same pairs.
#
# **Before you run it:** put them in order. How far above the best constant answer does the base get that never read
# these facts, and what will its answers look like?
# %% [markdown] tags=["zh"]
# ## 课程里的论断，一一测量
#
# 完整的实验：好几个种子，阈值事先写定；显示的是已发布的结果（怎样读，第一张卡片上有说明）。自己
# 测：`python -m minillm claims knowledge-then-format roles spurious-rules small-steps --quick`。
#
# **先有知识，后有格式。** 取出没教过的地方的事实，有几种办法：带角色提问基础模型，让基础模型补完句子，SFT 之后的基础模
# 型（不复习的，复习的），从随机权重做 SFT。关键的对照是另一个基础模型：文档一样多，步数也相同，只是没有一篇说到这些地方的
# 事实；它用同样的问答对微调。
#
# **运行之前先猜：** 给它们排个顺序。从没读过这些事实的基础模型，能比最好的固定回答高出多少？它的回答会是什么样子？
# %%
show_claim("knowledge-then-format", explained=True)
# %% [markdown] tags=["en"]
# **Roles.** The same dialogues tune several models, with `USER:` and `AI:` and without. Half of the questions come with
# the user's guess, which is to be confirmed (台湾最高的山是哪座？玉山 → 是的). Unmarked, the user's guess and the model's
# own answer are the same text, so the labels contradict each other: no model could do better than half. Two controls ask
# what is missing: a newline alone before the answer, and unmarked dialogues in which nobody guesses.
#
# **Before you run it:** without roles, what suffers: the plain question, the one with a guess, or both? How much of it
# does the newline bring back?
# %% [markdown] tags=["zh"]
# **角色。** 用同样的对话微调几个模型，有的带 `USER:` 和 `AI:`，有的不带。一半的问题带着用户的猜测，等待确认（台湾最高的
# 山是哪座？玉山 → 是的）。不作标记时，用户的猜测和模型自己的回答是同样的文字，标注因此自相矛盾：什么模型都过不了一半。两个对
# 照问的是缺了什么：回答前只加一个换行；不作标记，但谁也不猜。
#
# **运行之前先猜：** 没有角色时，变差的是单纯的问题、带猜测的问题，还是两种都变差？一个换行能挽回多少？
# %%
show_claim("roles")
# %% [markdown] tags=["en"]
# **Spurious rules.** The lecture's own case: pairs about the highest mountains of 4 or of 8 places, and next to them
# pairs about their heights and rivers, so that 最 alone does not call for a mountain. Then those of *held-out* places are
# asked for, and what is counted is *a taught mountain as the answer*: a high bar is bad, a low one good
# only where right answers come in its place.
#
# **Before you run it:** what share from random weights, what share from the base? Remember the three dialogues above.
# %% [markdown] tags=["zh"]
# **虚假的规则。** 就用课上的例子：4 个或 8 个地方最高的山，再配上这些山的高度和最长的河，免得一见“最”就是山。然后问*没教
# 过的*地方最高的山，数的是*答成教过的山*：柱子越高越糟；柱子低，也要答对的多才算好。
#
# **运行之前先猜：** 从随机权重开始占多少，从基础模型开始占多少？想想上面的三段对话。
# %%
show_claim("spurious-rules")
# %% [markdown] tags=["en"]
# **Small steps.** How far a tuning moves follows from its rate and its steps, so a short distance alone says nothing.
# Compared are the same pairs, optimizers and steps at several rates, from the base and from random weights: how far each
# has moved, as a share of the base's length, at the least rate that learns the pairs. And the exam at points of the
# straight line from the base to the tuned model (under “all figures”).
#
# **Before you run it:** how many times as far do random weights have to go for the same pairs? Halfway along the line,
# is half of the gain there?
# %% [markdown] tags=["zh"]
# **只走一小步。** 微调移动多远，由学习率和步数决定，所以单说距离短说明不了什么。这里用同样的问答对、优化器和步数，取几个学
# 习率，从基础模型和从随机权重各做一遍：在学得会的最低学习率下，各移动了多远（除以基础模型的长度）。另外在基础模型到微调后
# 模型的直线上取几个点来考试（见“全部数字”）。
#
# **运行之前先猜：** 学会同样的问答对，随机权重要走几倍远？走到直线的一半，成绩的提高也有一半了吗？
# %%
show_claim("small-steps")
# %% [markdown] tags=["en"]
# **Reading them.** At one and the same rate both starts of the small steps move nearly equally far; random weights need
# a higher rate, and the rates tried lie a factor of three apart, so the distances do too. A difference, its interval, and
# thresholds fixed beforehand: the verdict follows from these, nobody chooses it. Even *reproduced* is no proof: a few seeds, one world, one size of model. *Not reproduced at this size* is
# a result as well; look whether the difference failed, or only a threshold.
#
# <!-- go on -->
#
# To discuss: open “all figures” of the spurious rules and read what was tried. An experiment that was changed until it
# showed something: what has to happen before its result may count as a test?
# %% [markdown] tags=["zh"]
# **怎样读。** 学习率相同时，“小步”里的两个起点移动得几乎一样远；随机权重需要更高的学习率，而试过的学习率一个是前一个的三倍左
# 右，距离也就差了这么多。差、它的区间、事先写定的阈值：结论由这些算出来，没有人挑选。即使*重现*了也不是证明：几个种子，一个世界，
# 一种大小的模型。*在这个规模上没有重现*也是一个结果；看看没过的是差，还是某个阈值。
#
# <!-- go on -->
#
# 讨论：展开“虚假的规则”的“全部数字”，读一读试过什么。一个改到能看出东西才定下来的实验，还要做什么，它的结果才算检验？
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | mark `USER` and `AI`, so that the continuation is an answer ✅, not chatter ❌ | a model taught with roles: asked with them about nine in ten right, without them hardly any (taught without, where nobody guesses: card `roles`) |
# | labels are few and cover only some cases: *sees 最, answers 玉山* | three dialogues: nearly every question gets one of the three answers; 64 from random weights: Japan's highest mountain is still wrong |
# | use pretrained parameters; SFT data cannot replace pretraining | about nine in ten against 0 to 4 % on places never taught |
# | SFT changes the parameters only a little | about 10 % of their length |
# | (not in the notes) | with three dialogues the base falls for the rule as well; pretraining helped once more examples spoke against the shortcut |
#
# ## To discuss in class
#
# 1. “SFT from random weights had 300 steps on 2,700 dialogues; give it ten times the dialogues and it will catch up.” Under which
#    conditions is that true? (A good answer: only for what the dialogues contain; then they are a costly pretraining text;
#    counts what it would take to write a dialogue for each fact; asks which parts, such as refusing, need few.)
# 2. Someone trains on whole dialogues, questions included, and reports the same exam result. Was the mask useless? (A
#    good answer: here questions are short and resemble the text of stage 1; the loss is shared out differently; with long
#    documents in the question, or users' typing errors in it, the model learns to write those; asks for a measurement.)
#
# ## Homework
#
# `encode_dialogue`, `padded_batch`, `masked_loss`, `piece_losses`. Write them in the cells below, or in
# `lessons/07_sft/homework.py`, which is what you hand in. `check("masked_loss")` says at once which idea goes wrong,
# `hint("masked_loss")` helps in three steps, `reset("masked_loss")` begins anew, `progress()` shows how far you are.
# In a terminal `python -m minillm homework 7` grades the file, `python -m minillm homework 7 --watch` does so
# whenever you save it.
#
# ## References
#
# - L. Ouyang et al. 2022, *Training Language Models to Follow Instructions with Human Feedback* (InstructGPT), arXiv 2203.02155.
# - J. Wei et al. 2021, *Finetuned Language Models Are Zero-Shot Learners* (FLAN), arXiv 2109.01652.
# - C. Zhou et al. 2023, *LIMA: Less Is More for Alignment*, arXiv 2305.11206.
# - Z. Allen-Zhu, Y. Li 2023, *Physics of Language Models: Part 3.1, Knowledge Storage and Extraction*, arXiv 2309.14316.
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 标明 `USER` 与 `AI`，接龙才是回答 ✅，而不是闲话 ❌ | 用角色教的模型：带角色问，答对约九成，不带角色几乎答不对（不用角色教、又没有人猜时：卡片 `roles`） |
# | 标注有限，只能覆盖部分情况：遇到“最”时回答“玉山” | 只有三段对话：几乎每个问题都得到那三个回答之一；从随机权重学 64 段：日本最高的山仍然答错 |
# | 使用预训练模型参数，监督微调的数据无法代替预训练 | 没教过的地方，约九成对 0 到 4 % |
# | SFT 只改动参数一点点 | 约为自身长度的 10 % |
# | （笔记里没有） | 只有三段对话时，基础模型也落入同样的规则；例子多到与捷径相矛盾，预训练才帮上了忙 |
#
# ## 课堂讨论
#
# 1. “从随机权重做 SFT 只有 2,700 段对话、300 步；给它十倍的对话就赶上了。”在什么条件下这句话成立？（好的回答：只对对话里写到的东西
#    成立；那样的对话其实是昂贵的预训练文本；会估算给每个事实写一段对话要花多少；会问哪些部分，比如拒绝，只需要很少的例子。）
# 2. 有人把整段对话连问题一起学，说考试成绩一样。掩码没有用吗？（好的回答：这里的问题很短，又像第一阶段的文本；损失的分配不同了；
#    如果问题里有长文档，或者有用户打错的字，模型就会学着写这些；会要求测量。）
#
# ## 作业
#
# `encode_dialogue`、`padded_batch`、`masked_loss`、`piece_losses`。写在下面的单元格里，或者写在
# `lessons/07_sft/homework.py` 里，最后交的是这个文件。`check("masked_loss")` 马上告诉你是哪个想法错了，
# `hint("masked_loss")` 分三步提示，`reset("masked_loss")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 7` 批改这个文件，`python -m minillm homework 7 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - L. Ouyang 等 2022，*Training Language Models to Follow Instructions with Human Feedback*（InstructGPT），arXiv 2203.02155。
# - J. Wei 等 2021，*Finetuned Language Models Are Zero-Shot Learners*（FLAN），arXiv 2109.01652。
# - C. Zhou 等 2023，*LIMA: Less Is More for Alignment*，arXiv 2305.11206。
# - Z. Allen-Zhu, Y. Li 2023，*Physics of Language Models: Part 3.1, Knowledge Storage and Extraction*，arXiv 2309.14316。
