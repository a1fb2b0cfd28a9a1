// What the page says, in both languages; the names of views are `view_` and the name, what they explain `hint_`.
export const WORDS = {
  en: {
    other: "中文", temperature: "temperature", seed: "seed", most: "tokens at most", send: "Send", show: "Show",
    fresh: "New conversation", turns: "as a dialogue: a line is a turn", token: "token", own: "model",
    drawn: "filtered", close: "Close", lesson: "Lesson % explains it", code: "the code that computes it",
    key: "The server's API key", enter: "Enter", nokey: "Nothing is shown without the key.",
    cut: "The oldest turns no longer fit and are left out.",
    ask: "Ask in English or Chinese; Enter sends", write: "A text; Enter shows it", comma: ", ",
    view_chat: "Chat", view_loss: "Loss", view_mask: "Ids and mask", view_attention: "Attention",
    view_cache: "KV cache", view_lens: "Logit lens", view_lora: "LoRA on and off", view_text: "What stage 1 read",
    hint_chat: "Up to four models answer side by side. Choose a token of an answer to see what else could have been " +
      "there: the model's own probability, and that after temperature, top-k and top-p. Pick another and it goes on. " +
      "If a base goes on with a question instead of answering it, look the question up in “What stage 1 read”.",
    hint_loss: "How surprised the model is by each token, given those before it: −ln p, in nats. The stronger its " +
      "colour, the more. Choose a token to read its figures.",
    hint_mask: "What the model really gets: ids. Coloured is what is learned: of a dialogue the answers and their " +
      "[END], of raw text everything.",
    hint_attention: "Where each head looks. Choose a head's map (row: the token that looks, column: the one looked " +
      "at), then a token: the stronger the colour of another one, the more this token looks at it.",
    hint_cache: "Keys and values of a token never change once they are computed, so they are kept: the prompt is " +
      "read at once, then each step reads one token. The stronger the colour, the longer the vector.",
    hint_lens: "What the model would say if it ended after the embedding, or after a block. Down: the text; across: " +
      "deeper. The stronger the colour, the surer. Choose a cell for more candidates.",
    hint_lora: "The same weights with what the adapter adds and without it. Switch and watch the answer.",
    hint_text: "Which documents of stage 1 name a place: all that the base can know of it. Look up the words of a " +
      "question, too: what comes after them there is how the base goes on.",
    mean: "Mean loss of what is learned: % nats (perplexity %)",
    mean_all: "Mean loss of all tokens (no answer to learn here): % nats (perplexity %)",
    nats: "“%”: % nats, p = %; expected most: “%”", is_id: "“%”: id %, ", learned: "learned",
    given: "given, not learned", head: "block %, head %", looks: "“%” looks at: %", step: "step", play: "Play",
    read: "Tokens read in this step: %, kept: %. The cache: % x % bytes = % kB. Without it, % would be read.",
    block: "block %", embedding: "embedding", after: "After “%”, at this depth: %", on: "LoRA is on",
    off: "LoRA is off", first: "The first token of the answer:", shares: "How long ΔW is, next to W:", end: "(end)",
    nolora: "No model here has an adapter: serve a run that was tuned with --lora, such as runs/demo/lora.",
    found: "% of % documents name it.", notext: "No text is served: add --text, such as --text runs/demo/text.txt.",
  },
  zh: {
    other: "English", temperature: "温度", seed: "随机种子", most: "最多词元数", send: "发送", show: "显示", fresh: "新对话",
    turns: "当作对话：一行是一轮", token: "词元", own: "模型", drawn: "筛选后", close: "关闭", lesson: "讲解见第 % 课",
    code: "算出它的代码", key: "服务器的 API 密钥", enter: "确定", nokey: "没有密钥就什么也看不到。",
    cut: "最早的几轮装不下，已经略去。", ask: "用中文或英文提问，按回车键发送", write: "一段文字，按回车键显示", comma: "，",
    view_chat: "对话", view_loss: "损失", view_mask: "编号与掩码", view_attention: "注意力", view_cache: "KV 缓存",
    view_lens: "逐层透视", view_lora: "开关 LoRA", view_text: "第一阶段读过什么",
    hint_chat: "最多四个模型并排回答。点击回答中的一个词元，就能看到这个位置上还可能是什么：模型自己给出的概率，以及经过温度、" +
      "top-k、top-p 之后的概率。换一个词元，模型就从那里接着写。基础模型不回答，反而把问句接着写下去？到“第一阶段读过什么”里查查这个问句。",
    hint_loss: "读到每个词元时，模型根据前文有多意外：−ln p，单位是奈特（nat）。颜色越浓越意外。点击一个词元看数字。",
    hint_mask: "模型真正得到的是编号。有颜色的是要学的：对话里学回答和它后面的 [END]，原始文本则全部都学。",
    hint_attention: "每个头在看哪里。先选一个头的图（行是在看的词元，列是被看的词元），再选一个词元：别的词元颜色越浓，它看得越多。",
    hint_cache: "一个词元的键和值算出来之后就不再变，所以留着：提示一次读完，此后每一步只读一个词元。颜色越浓，向量越长。",
    hint_lens: "假如模型在嵌入之后、或在某个 block 之后就结束，它会说什么（logit lens）。往下是文字，往右是更深的层。颜色越浓" +
      "越有把握。点击一格看更多候选。",
    hint_lora: "同一组权重，加上适配器的那一份，或者不加。拨动开关，看回答怎样变。",
    hint_text: "第一阶段有哪些文档提到一个地方：基础模型对它的了解全在这里。也可以查一个问句：文档里问句后面写的是什么，" +
      "基础模型就会接着写什么。",
    mean: "所学部分的平均损失：% 奈特（困惑度 %）",
    mean_all: "全部词元的平均损失（这里没有要学的回答）：% 奈特（困惑度 %）", nats: "“%”：% 奈特，p = %；模型最看好“%”",
    is_id: "“%”：编号 %，", learned: "要学", given: "已给出，不学", head: "block %，头 %", looks: "“%”看的是：%",
    step: "步", play: "播放", read: "这一步读 % 个词元，留着 % 个。缓存：% 个词元 × % 字节 = % kB。没有缓存要读 % 个。",
    block: "block %", embedding: "嵌入", after: "在“%”之后，到这一层：%", on: "LoRA 已开", off: "LoRA 已关",
    first: "回答的第一个词元：", shares: "ΔW 的长度与 W 相比：", end: "（结束）",
    nolora: "这里没有带适配器的模型：请加载用 --lora 微调的，例如 runs/demo/lora。", found: "% 篇文档提到它，共 % 篇。",
    notext: "没有加载文本：请加上 --text，例如 --text runs/demo/text.txt。",
  },
};
