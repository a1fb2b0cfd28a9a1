"""Homework of lesson 7: supervised fine-tuning. Write the four functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 7`. Lesson: notebooks/en/07_sft.ipynb.

第 7 课作业：监督微调。用 numpy 或 torch 写出下面四个函数。
除非函数的说明另有规定，传入的参数要保持原样。

批改：`python -m minillm homework 7`。课文：notebooks/zh/07_sft.ipynb。
"""

from torch import Tensor


def encode_dialogue(
    turns: list[tuple[list[int], list[int] | None]], doc: int, end: int
) -> tuple[list[int], list[bool]]:
    """Ids and mask of a dialogue whose parts have been encoded already.

    turns: for each turn the ids of `USER: … AI:` and the ids of the answer; the answer of the last turn may be
    None: the dialogue waits for it. doc, end: the ids of [DOC] and [END].

    Returns the ids, [DOC] and then for each turn the question's ids, the answer's ids and [END]
    (for an answer of None neither), and the mask: for each id True if the model learns to produce it, that
    is, for the ids of every answer and its [END]. An answer may be empty; its [END] is there all the same.

    一段对话的 id 和掩码，对话的各部分已经编码好。

    turns：每一轮是 `USER: … AI:` 的 id 和回答的 id；最后一轮的回答可以是 None：对话正等着它。doc、end：[DOC] 和 [END]
    的 id。

    返回 id：先是 [DOC]，然后每一轮依次是问题的 id、回答的 id 和 [END]（回答是 None 时，后两样都没有）；以及掩码：模型
    要学着产生的 id 是 True，也就是每个回答的 id 和它的 [END]，其余是 False。回答可以是空的，它的 [END] 照样有。
    """
    raise NotImplementedError


def padded_batch(dialogues: list[tuple[list[int], list[bool]]], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Several dialogues as one batch, one a row, in the given order.

    dialogues: ids and mask as encode_dialogue gives them, each of two ids or more. The width T is that of
    the longest: its number of ids less one. Returns ids (B, T), whole numbers: what goes in, each dialogue without
    its last id; targets (B, T), whole numbers: the id that follows each; weights (B, T), floats: 1.0 where the target
    is learned, by the mask of the target, 0.0 elsewhere. Shorter rows are filled at the right: with pad in ids and
    targets, with 0.0 in weights. (pad may be equal to any other id, even to that of [END].)

    把几段对话放进一批，每行一段，顺序不变。

    dialogues：encode_dialogue 给出的 id 和掩码，每段至少两个 id。宽度 T 由最长的一段决定：它的 id 个数减一。返回 ids
    (B, T)，整数：输入，即每段对话去掉最后一个 id；targets (B, T)，整数：每个输入后面的 id；weights (B, T)，浮点数：目
    标要学的地方是 1.0（看目标的掩码），其余是 0.0。较短的行在右边填满：ids 和 targets 填 pad，weights 填 0.0。（pad
    可以与任何别的 id 相等，甚至等于 [END] 的 id。）
    """
    raise NotImplementedError


def masked_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean loss over the learned tokens of the whole batch.

    logits: (B, T, V); targets: (B, T), whole numbers; weights: (B, T), 1.0 where the target is learned, else 0.0.
    The loss of a token is - log softmax(logits)[target]. Returns one number: the sum over all learned tokens of the
    batch over their number; 0.0 if none is learned.

    整批里所有要学的词元的平均损失。

    logits：(B, T, V)；targets：(B, T)，整数；weights：(B, T)，目标要学的地方是 1.0，其余是 0.0。一个词元的损失是 -
    log softmax(logits)[目标]。返回一个数：整批所有要学的词元的损失之和，除以它们的个数；没有要学的词元时是 0.0。
    """
    raise NotImplementedError


def piece_losses(logits: Tensor, targets: Tensor, weights: Tensor, pieces: int) -> list[Tensor]:
    """The loss of a batch in pieces whose sum is masked_loss of the whole: gradient accumulation.

    Arguments as in masked_loss; B and pieces are at least 1. Cut the B rows in their order into pieces of
    ceil(B / pieces) rows; the last may have fewer (and there may be fewer pieces than asked for). Returns one number
    for each piece, in order. At least one token of the batch is learned, but not necessarily one of each piece:
    such a piece gives 0.0.

    把一批分成几份，返回各份的损失，加起来等于整批的 masked_loss：梯度累积。

    参数同 masked_loss；B 和 pieces 至少为 1。把 B 行按顺序切开，每份 ceil(B / pieces) 行；最后一份可以少一些（份数也
    可能比要求的少）。按顺序为每份返回一个数。整批至少有一个要学的词元，但不一定每份都有：没有的那份给 0.0。
    """
    raise NotImplementedError
