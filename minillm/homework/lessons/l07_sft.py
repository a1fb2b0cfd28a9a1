"""Exercises of lesson 7: supervised fine-tuning."""

from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from minillm import chat, gpt, packing
from minillm.homework.compare import same_and_typed
from minillm.homework.exercise import Check, Exercise, Lesson, Misconception
from minillm.homework.lessons.l01_losses import EPSILONS, heights

DIALOGUE = {"en": "A dialogue as ids and mask", "zh": "对话变成编号和掩码"}
BATCH = {"en": "From mask to weights", "zh": "从掩码到权重"}
LOSS = {"en": "The masked loss", "zh": "带掩码的损失"}

Turns = list[tuple[list[int], list[int] | None]]


# ---------------------------------------------------------------------------------------- encode_dialogue


def encode_dialogue(turns: Turns, doc: int, end: int) -> tuple[list[int], list[bool]]:
    return encode(turns, doc, end)


def encode(turns, doc, end, *, prompt=False, doc_learned=False, end_learned=True, last_of_prompt=False, only_last=False,
           first_doc=True, every_doc=False, every_end=True, end_when_waiting=False, empty_end=True):  # fmt: skip
    """Ids and mask with one thing done another way."""
    ids, mask = ([doc], [doc_learned]) if first_doc else ([], [])
    for number, (question, answer) in enumerate(turns, 1):
        if every_doc and number > 1:
            ids, mask = [*ids, doc], [*mask, False]
        ids = ids + question
        mask = mask + [prompt] * len(question)
        if last_of_prompt and question:
            mask[-1] = True
        learned = number == len(turns) or not only_last
        if answer is not None:
            ids, mask = ids + answer, mask + [learned] * len(answer)
        if (answer is not None or end_when_waiting) and (every_end or number == len(turns)) and (answer or empty_end):
            ids, mask = [*ids, end], [*mask, end_learned and learned]
    return ids, mask


def mask_of_the_label(turns, doc, end):
    ids, mask = encode(turns, doc, end)
    return ids, [*mask[1:], False]


def ids_of(rng: np.random.Generator, n: int) -> list[int]:
    return rng.integers(0, 900, n).tolist()


def turns_of(rng: np.random.Generator, *lengths: tuple[int, int | None]) -> Turns:
    return [(ids_of(rng, q), None if a is None else ids_of(rng, a)) for q, a in lengths]


SPECIAL = (900, 901)  # [DOC], [END]

ENCODE = Exercise(
    "encode_dialogue", DIALOGUE, encode_dialogue,
    (
        Check("one-turn", 2, {"en": "[DOC], question, answer, [END]; learned are the answer and its [END].",
                              "zh": "[DOC]、问题、回答、[END]；要学的是回答和它的 [END]。"},
              lambda rng: [(turns_of(rng, (2, 1)), *SPECIAL), (turns_of(rng, (5, 3)), *SPECIAL),
                           ([([5, 0, 7], [0, 3])], 1, 2), ([([3, 2], [4, 4])], 0, 1)]),
        Check("several-turns", 2, {"en": "Each answer ends with [END] and is learned; [DOC] is only at the very beginning.",
                                   "zh": "每个回答都以 [END] 结束，都要学；[DOC] 只在最开头。"},
              lambda rng: [(turns_of(rng, (2, 1), (3, 2)), *SPECIAL), (turns_of(rng, (4, 3), (2, 1), (5, 4)), *SPECIAL)]),
        Check("no-answer-yet", 1, {"en": "An answer of None adds nothing: the ids are a prompt that waits.",
                                   "zh": "回答为 None 时什么也不加：编号就是等待回答的提示。"},
              lambda rng: [(turns_of(rng, (2, None)), *SPECIAL), (turns_of(rng, (3, 2), (4, None)), *SPECIAL)]),
        Check("empty-answer", 1, {"en": "An empty answer is an answer: its [END] is there and learned.",
                                  "zh": "空的回答也是回答：它的 [END] 在，而且要学。"},
              lambda rng: [(turns_of(rng, (2, 0)), *SPECIAL), (turns_of(rng, (2, 0), (3, 1), (2, 0)), *SPECIAL)]),
    ),
    (
        Misconception("end-not-learned",
                      {"en": "[END] is not learned, so the model never learns to stop: after the answer it goes on with "
                             "whatever the text of stage 1 suggests. The mask is True for [END] too.",
                       "zh": "[END] 没有学，模型就永远学不会停：答完之后会接着说第一阶段文本里常见的东西。[END] 的掩码也是 True。"},
                      lambda *a: encode(*a, end_learned=False)),
        Misconception("question-learned",
                      {"en": "The question is learned too. It is given, not produced: the model would spend its few examples on "
                             "learning to ask.",
                       "zh": "问题也被学了。问题是给定的，不用模型产生：本来就少的例子会花在学习怎么提问上。"},
                      lambda *a: encode(*a, prompt=True)),
        Misconception("everything-learned",
                      {"en": "Everything is learned, as in stage 1. In SFT the mask is True for the answers and their [END] only.",
                       "zh": "所有词元都学了，和第一阶段一样。SFT 的掩码只在回答和它的 [END] 处为 True。"},
                      lambda *a: encode(*a, prompt=True, doc_learned=True)),
        Misconception("last-token-of-the-question-learned",
                      {"en": "The last token of `AI:` is learned too. It still belongs to the question: your answer begins one "
                             "token early.",
                       "zh": "`AI:` 的最后一个词元也被学了。它还属于问题：你的回答早开始了一个词元。"},
                      lambda *a: encode(*a, last_of_prompt=True)),
        Misconception("mask-of-the-label",
                      {"en": "Your mask says whether the *next* id is learned: it is shifted by one. It belongs to the ids "
                             "themselves; it is shifted later, together with the labels.",
                       "zh": "你的掩码说的是*下一个*编号学不学：错开了一位。它对应编号本身；移位在后面和标签一起做。"},
                      mask_of_the_label),
        Misconception("only-the-last-answer-learned",
                      {"en": "Only the last answer is learned. Every answer of a dialogue is an example: learn them all.",
                       "zh": "只学了最后一个回答。对话里的每个回答都是例子：都要学。"},
                      lambda *a: encode(*a, only_last=True)),
        Misconception("end-only-after-the-last-answer",
                      {"en": "[END] follows only the last answer. It ends every answer, or the model would learn to write the "
                             "user's next question itself.",
                       "zh": "只有最后一个回答后面有 [END]。每个回答都要以它结束，否则模型会学着替用户提下一个问题。"},
                      lambda *a: encode(*a, every_end=False)),
        Misconception("doc-before-every-turn",
                      {"en": "[DOC] comes before every turn. It begins a dialogue once; later turns follow [END] directly, so that "
                             "they can look back.",
                       "zh": "每一轮前面都有 [DOC]。它只在对话开头出现一次；后面的轮次直接接在 [END] 之后，才能回看前文。"},
                      lambda *a: encode(*a, every_doc=True)),
        Misconception("doc-missing",
                      {"en": "[DOC] is missing. Every text of stage 1 began with it; without it the dialogue begins in a way the "
                             "model has never seen.",
                       "zh": "缺少 [DOC]。第一阶段的每篇文本都以它开头；没有它，对话的开头是模型从没见过的。"},
                      lambda *a: encode(*a, first_doc=False)),
        Misconception("end-while-waiting",
                      {"en": "A dialogue that waits for its answer gets [END] already: asked this way, the model would be past the "
                             "end of an answer it never gave. None adds nothing.",
                       "zh": "还在等回答的对话已经加上了 [END]：这样去问，模型面对的是一个它没给过却已结束的回答。None 什么也不加。"},
                      lambda *a: encode(*a, end_when_waiting=True)),
        Misconception("empty-taken-for-none",
                      {"en": "`if answer:` takes an empty answer for a missing one. Ask `answer is not None`: an empty answer has "
                             "its [END].",
                       "zh": "`if answer:` 把空的回答当成了没有回答。要写 `answer is not None`：空的回答也有 [END]。"},
                      lambda *a: encode(*a, empty_end=False)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------- padded_batch


def padded_batch(dialogues: list[tuple[list[int], list[bool]]], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    batch = packing.padded_batch([chat.Dialogue(ids, mask) for ids, mask in dialogues], pad)
    return batch.ids, batch.targets, batch.weights


def lay_out(dialogues, pad, *, take=lambda mask: mask[1:], shift=1, beyond=0.0, left=False, keep_last=False, width=None,
            searched=False):  # fmt: skip
    """A batch with one thing done another way."""
    rows = []
    for ids, mask in dialogues:
        inputs, targets, weights = ids[:-1], (ids[1:], ids[:-1])[shift == 0], [float(m) for m in take(mask)]
        if keep_last:
            inputs, targets, weights = [*ids], [*ids[1:], pad], [*weights, 0.0]
        rows.append((inputs, targets, weights))
    width = (width or max)(len(inputs) for inputs, _, _ in rows)

    def fill(row, value):
        row = row[:width]
        rest = [value] * (width - len(row))
        return rest + row if left else row + rest

    columns = [[fill(row[k], value) for row in rows] for k, value in enumerate((pad, pad, beyond))]
    a, b, w = map(torch.tensor, columns)
    return a, b, w * (b != pad) if searched else w


def dialogue_of(rng: np.random.Generator, question: int, answer: int, end: int) -> tuple[list[int], list[bool]]:
    """[DOC], question, answer, [END] with its mask; all ids different, so that a shift shows."""
    ids = [900, *rng.permutation(900)[: question + answer].tolist(), end]
    return ids, [False] * (1 + question) + [True] * (answer + 1)


def dialogues_of(rng: np.random.Generator, *sizes: tuple[int, int], end: int = 901):
    return [dialogue_of(rng, q, a, end) for q, a in sizes]


def several_turns(rng: np.random.Generator, *sizes: tuple[int, int]) -> tuple[list[int], list[bool]]:
    """A dialogue of several turns: what is learned and what is not take turns."""
    return encode_dialogue(turns_of(rng, *sizes), *SPECIAL)


def cut_after_padding(dialogues, pad):
    """Pads whole dialogues and cuts the last column off: shorter rows keep their last id as input."""
    _, targets, weights = lay_out(dialogues, pad)
    width = targets.shape[1]
    return torch.tensor([([*ids, *[pad] * width])[:width] for ids, _ in dialogues]), targets, weights


PADDED = Exercise(
    "padded_batch", BATCH, padded_batch,
    (
        Check("one-dialogue", 2, {"en": "Targets are the ids one further on; weights are the mask of the targets.",
                                  "zh": "目标是往后移一位的编号；权重是目标的掩码。"},
              lambda rng: [(dialogues_of(rng, (2, 1)), 902), (dialogues_of(rng, (4, 3)), 902),
                           ([several_turns(rng, (2, 1), (3, 2))], 902)]),
        Check("different-lengths", 2, {"en": "Shorter rows are filled at the right with pad and the weight 0.",
                                       "zh": "较短的行在右边用 pad 和权重 0 填满。"},
              lambda rng: [(dialogues_of(rng, (1, 1), (2, 2)), 902), (dialogues_of(rng, (3, 2), (6, 3), (1, 1)), 902),
                           ([several_turns(rng, (2, 1), (3, 2)), ([900, 7, 0, 8], [False] * 4), *dialogues_of(rng, (1, 0))], 0),
                           ([([40_000, 5, 70_000], [False, True, True]), ([40_000, 300], [False, True])], 70_001)]),
        Check("pad-equals-end", 1, {"en": "With pad equal to [END] the last [END] must still be learned: take the mask, do not "
                                          "search for pad.",
                                    "zh": "pad 等于 [END] 时，最后的 [END] 仍然要学：用掩码，不要去找 pad。"},
              lambda rng: [(dialogues_of(rng, (2, 1)), 901), (dialogues_of(rng, (1, 2), (3, 2)), 901)]),
    ),
    (
        Misconception("mask-of-the-input",
                      {"en": "Your weights are the mask of the tokens that go in. A weight belongs to the target: the first answer "
                             "token would not be learned, and what follows [END] would. Shift the mask with the targets.",
                       "zh": "你的权重是输入词元的掩码。权重属于目标：这样第一个回答词元不会学，[END] 之后的却会学。掩码要和目标一起移位。"},
                      lambda d, p: lay_out(d, p, take=lambda m: m[:-1])),
        Misconception("mask-shifted-twice",
                      {"en": "The mask is shifted twice: learning begins with the last token of `AI:` and [END] is lost.",
                       "zh": "掩码移了两次：从 `AI:` 的最后一个词元就开始学，[END] 反而丢了。"},
                      lambda d, p: lay_out(d, p, take=lambda m: [*m[2:], False])),
        Misconception("targets-not-shifted",
                      {"en": "The targets equal the inputs: the model would learn to repeat what it reads.",
                       "zh": "目标和输入一样：模型学会的是重复读到的词元。"},
                      lambda d, p: lay_out(d, p, shift=0)),
        Misconception("mask-ignored",
                      {"en": "All tokens of the dialogue have the weight 1: the question is learned too.",
                       "zh": "对话的所有词元权重都是 1：问题也学了。"},
                      lambda d, p: lay_out(d, p, take=lambda m: [1.0] * (len(m) - 1))),
        Misconception("last-id-kept-as-input",
                      {"en": "The last id is among the inputs, with pad as its target. Nothing follows it: leave it out, the "
                             "width is the number of ids less one.",
                       "zh": "最后一个编号也放进了输入，目标是 pad。它后面没有东西：去掉它，宽度是编号个数减一。"},
                      lambda d, p: lay_out(d, p, keep_last=True)),
        Misconception("last-id-kept-as-input",
                      {"en": "You pad first and then cut off the last column, so a shorter dialogue keeps its last id among the "
                             "inputs. Nothing follows it: cut each dialogue, then pad.",
                       "zh": "你先填充再去掉最后一列，于是较短的对话把最后一个编号留在了输入里。它后面没有东西：先把每段对话各自去掉最后一个，再填充。"},
                      cut_after_padding),
        Misconception("padding-counted",
                      {"en": "Padding has the weight 1: the model learns to produce pad, and short dialogues count as much as "
                             "long ones.",
                       "zh": "填充的权重是 1：模型会去学产生 pad，而且短对话和长对话算得一样多。"},
                      lambda d, p: lay_out(d, p, beyond=1.0)),
        Misconception("padded-on-the-left",
                      {"en": "You fill at the left. That is for generating; in training the rows begin at position 0 and are "
                             "filled at the right.",
                       "zh": "你填在了左边。那是生成时的做法；训练时各行从位置 0 开始，填在右边。"},
                      lambda d, p: lay_out(d, p, left=True)),
        Misconception("cut-to-the-shortest",
                      {"en": "You cut all rows to the shortest: the answers of the longer ones are lost. Fill the shorter ones "
                             "instead.",
                       "zh": "你把所有行都截成最短的：较长对话的回答丢了。应该把较短的填满。"},
                      lambda d, p: lay_out(d, p, width=min)),
        Misconception("padding-found-by-searching",
                      {"en": "You set the weight to 0 wherever the target equals pad. Where pad and [END] are one id, as in many "
                             "published set-ups, [END] is never learned and the model never stops. Use the mask alone.",
                       "zh": "凡是目标等于 pad 的地方你都把权重设成了 0。如果 pad 和 [END] 是同一个编号（很多公开的配置如此），[END] 就永远"
                             "学不到，模型停不下来。只用掩码。"},
                      lambda d, p: lay_out(d, p, searched=True)),
    ),
    same_and_typed("int", "int", "float"),
)  # fmt: skip


# -------------------------------------------------------------------------------------------- masked_loss


def masked_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return (gpt.token_losses(logits, targets) * weights).sum() / weights.sum().clamp(min=1)


def losses(logits, targets, axis=-1):
    return -logits.log_softmax(axis).gather(-1, targets[..., None])[..., 0]


def of_target(p, targets):
    return p.gather(-1, targets[..., None])[..., 0]


def naive_probabilities(logits):
    return logits.exp() / logits.exp().sum(-1, keepdim=True)


def weighted(values, w):
    return (values * w).sum() / w.sum().clamp(min=1)


def floored(x, t, w, eps):
    return weighted(-(of_target(x.softmax(-1), t) + eps).log(), w)


def clamped(x, t, w, eps):
    return weighted(-of_target(x.softmax(-1), t).clamp(min=eps).log(), w)


def highest_of_all(x, t, w):
    z = x - x.max()
    return weighted(z.exp().sum(-1).log() - of_target(z, t), w)


def at_heights(rng, learned: list[list[int]], n_vocab: int):
    """Positions whose logits are several hundred apart from those of others."""
    logits, targets = heights(rng, len(learned), len(learned[0]), n_vocab)
    return logits, targets, torch.tensor(learned, dtype=torch.float32)


def row_means(x, t, w):
    return ((losses(x, t) * w).sum(1) / w.sum(1)).mean()


def batch_of(rng: np.random.Generator, learned: list[list[int]], n_vocab: int, size: float = 1.5, worst=False):
    """Random logits and targets, (B, T, V) and (B, T), and these weights; with `worst` each target is the least
    likely token, and all logits are far above 0."""
    weights = torch.tensor(learned, dtype=torch.float32)
    logits = (
        torch.from_numpy((size * rng.standard_normal((*weights.shape, n_vocab))).astype(np.float32)) + 6 * size * worst
    )
    targets = logits.argmin(-1) if worst else torch.from_numpy(rng.integers(0, n_vocab, weights.shape))
    return logits, targets, weights


MASKED = Exercise(
    "masked_loss", LOSS, masked_loss,
    (
        Check("all-learned", 1, {"en": "With all weights 1: the mean of - log p(target) over all tokens.",
                                 "zh": "权重全为 1 时：所有词元的 - log p(目标) 的平均。"},
              lambda rng: [batch_of(rng, [[1, 1]], 3), batch_of(rng, [[1, 1, 1, 1], [1, 1, 1, 1]], 5)]),
        Check("some-learned", 2, {"en": "Only tokens with weight 1 count, and the sum is divided by their number in the batch.",
                                  "zh": "只算权重为 1 的词元，总和除以整个批次中它们的个数。"},
              lambda rng: [batch_of(rng, [[0, 1], [1, 1]], 3),
                           batch_of(rng, [[0, 0, 1, 1, 1], [0, 1, 0, 0, 0], [0, 0, 0, 1, 1]], 6),
                           batch_of(rng, [[0, 0, 0], [0, 1, 0]], 4)]),
        Check("large-logits", 1, {"en": "Logits of several hundred must give a finite loss: use log_softmax.",
                                  "zh": "几百大小的 logits 也要给出有限的损失：用 log_softmax。"},
              lambda rng: [batch_of(rng, [[1, 1]], 6, 400.0, worst=True),
                           batch_of(rng, [[0, 1, 1], [1, 0, 1]], 8, 400.0, worst=True),
                           at_heights(rng, [[0, 1, 1], [1, 0, 1]], 5)]),
        Check("nothing-learned", 1, {"en": "If no token of the batch is learned the loss is 0, not NaN.",
                                     "zh": "批次里没有要学的词元时，损失是 0，不是 NaN。"},
              lambda rng: [batch_of(rng, [[0, 0]], 3), batch_of(rng, [[0, 0, 0], [0, 0, 0]], 4)], edge=True),
    ),
    (
        Misconception("zero-over-zero",
                      {"en": "With nothing to learn you divide 0 by 0, and one NaN spoils all parameters. Return 0.0 then.",
                       "zh": "没有要学的词元时你用 0 除以 0，一个 NaN 就会毁掉所有参数。这时返回 0.0。"},
                      lambda x, t, w: (losses(x, t) * w).sum() / w.sum()),
        Misconception("sum-instead-of-mean",
                      {"en": "You return the sum. A batch with longer answers would take larger steps; divide by the number of "
                             "learned tokens.",
                       "zh": "你返回的是总和。回答长的批次步子就会更大；要除以要学的词元个数。"},
                      lambda x, t, w: (losses(x, t) * w).sum()),
        Misconception("divided-by-rows",
                      {"en": "You divide by the number of rows; the loss of a token should not depend on how many dialogues share "
                             "the batch. Divide by the learned tokens.",
                       "zh": "你除以了行数；一个词元的损失不该取决于批次里有几条对话。要除以要学的词元个数。"},
                      lambda x, t, w: (losses(x, t) * w).sum() / len(x)),
        Misconception("probability-instead-of-logarithm",
                      {"en": "You average 1 - p. The loss is - log p: being sure of something wrong must cost much, not at most 1.",
                       "zh": "你平均的是 1 - p。损失是 - log p：对错误的词元很确信，代价应该很大，而不是最多为 1。"},
                      lambda x, t, w: weighted(1 - of_target(x.softmax(-1), t), w)),
        Misconception("sign-forgotten",
                      {"en": "The sign is missing: log p is negative, and minimising it makes the right tokens unlikely.",
                       "zh": "少了负号：log p 是负数，把它变小会让正确的词元更不可能。"},
                      lambda x, t, w: -weighted(losses(x, t), w)),
        Misconception("softmax-over-positions",
                      {"en": "The softmax runs over the positions; it belongs to the vocabulary, the last axis.",
                       "zh": "softmax 沿着位置做了；应该沿着词表，最后一个轴。"},
                      lambda x, t, w: weighted(losses(x, t, axis=1), w)),
        Misconception("mask-ignored",
                      {"en": "The weights have no effect: questions and padding are learned too.",
                       "zh": "权重没有起作用：问题和填充也学了。"},
                      lambda x, t, w: losses(x, t).mean()),
        Misconception("divided-by-all-tokens",
                      {"en": "You divide by all tokens, B · T: the more padding and question a batch has, the smaller its loss. "
                             "Divide by the learned ones.",
                       "zh": "你除以了全部词元 B · T：批次里填充和问题越多，损失就越小。要除以要学的词元个数。"},
                      lambda x, t, w: (losses(x, t) * w).mean()),
        Misconception("mean-of-row-means",
                      {"en": "You average each row and then the rows: a token of a short answer counts more than one of a long "
                             "answer. One sum over one number for the whole batch.",
                       "zh": "你先对每行平均，再对各行平均：短回答的词元就比长回答的算得重。整个批次用一个总和除以一个个数。"},
                      row_means),
        Misconception("weights-on-the-logits",
                      {"en": "You multiply the logits by the weights: where the weight is 0 the prediction becomes uniform and "
                             "costs log V. Multiply the losses.",
                       "zh": "你把权重乘在了 logits 上：权重为 0 的地方预测变成均匀分布，损失是 log V。应该乘在损失上。"},
                      lambda x, t, w: losses(x * w[..., None], t).sum() / w.sum()),
        Misconception("log-after-softmax",
                      {"en": "The softmax gives exactly 0 for an unlikely token, and its logarithm is minus infinity. log_softmax "
                             "computes both in one.",
                       "zh": "对不可能的词元，softmax 恰好是 0，取对数就成了负无穷。log_softmax 把两步合成一步来算。"},
                      lambda x, t, w: weighted(-of_target(x.softmax(-1), t).log(), w),
                      tuple(partial(how, eps=eps) for how in (floored, clamped) for eps in EPSILONS)),
        Misconception("softmax-by-hand",
                      {"en": "exp of some hundred overflows: inf / inf is NaN. log_softmax subtracts the largest logit first.",
                       "zh": "几百的 exp 会溢出：inf / inf 是 NaN。log_softmax 会先减去最大的 logit。"},
                      lambda x, t, w: weighted(-of_target(naive_probabilities(x), t).log(), w)),
        Misconception("softmax-by-hand",
                      {"en": "You subtract the largest logit of the whole batch. A position far below it underflows to 0, and its "
                             "logarithm is minus infinity: subtract each position's own maximum, or use log_softmax.",
                       "zh": "你减去的是整个批次的最大 logit。比它低很多的位置会下溢成 0，取对数就成了负无穷：每个位置要减去自己的最大值，"
                             "或者用 log_softmax。"},
                      highest_of_all),
    ),
    slips=(
        Misconception("cross-entropy-on-b-t-v",
                      {"en": "F.cross_entropy takes axis 1 for the vocabulary, and with (B, T, V) that is the positions. Flatten to "
                             "(B · T, V) and (B · T), or move the axis: logits.transpose(1, 2).",
                       "zh": "F.cross_entropy 把轴 1 当成词表，而形状是 (B, T, V) 时轴 1 是位置。先展平成 (B · T, V) 和 (B · T)，"
                             "或者把轴移过去：logits.transpose(1, 2)。"},
                      lambda x, t, w: weighted(F.cross_entropy(x, t, reduction="none"), w)),
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------- piece_losses


def piece_losses(logits: Tensor, targets: Tensor, weights: Tensor, pieces: int) -> list[Tensor]:
    return plain_sums(logits, targets, weights, lambda rows: weights.sum(), n=pieces)


def cut(n: int, pieces: int) -> list[list[int]]:
    size = -(-n // pieces)
    return [list(range(i, min(n, i + size))) for i in range(0, n, size)]


def plain_sums(x, t, w, divide, groups=None, n=1):
    """For each group of rows, or each of n pieces, the sum of its losses over divide(rows)."""
    return [(losses(x[r], t[r]) * w[r]).sum() / divide(r) for r in groups or cut(len(x), n)]


def too_small(x, t, w, n):
    size = max(1, len(x) // n)
    return plain_sums(
        x, t, w, lambda r: w.sum(), [list(range(i, min(len(x), i + size))) for i in range(0, len(x), size)]
    )


def rest_dropped(x, t, w, n):
    size = max(1, len(x) // n)
    groups = [list(range(i * size, min(len(x), (i + 1) * size))) for i in range(n) if i * size < len(x)]
    return plain_sums(x, t, w, lambda r: w.sum(), groups)


def own_means(x, t, w, n):
    return plain_sums(x, t, w, lambda r: w[r].sum(), n=n)


def pieces_input(rng, learned: list[list[int]], pieces: int):
    return (*batch_of(rng, learned, 5), pieces)


EVEN = [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 0, 1]]

PIECES = Exercise(
    "piece_losses", LOSS, piece_losses,
    (
        Check("equal-pieces", 2, {"en": "Each piece: the sum of its losses over the learned tokens of the whole batch.",
                                  "zh": "每一份：它的损失之和，除以整个批次要学的词元个数。"},
              lambda rng: [pieces_input(rng, [[0, 1], [1, 1]], 2), pieces_input(rng, EVEN, 2), pieces_input(rng, EVEN, 1),
                           (*at_heights(rng, EVEN, 5), 2), (*batch_of(rng, EVEN, 5, 1000.0), 2)]),
        Check("unequal-pieces", 1, {"en": "Pieces have ceil(B / pieces) rows, the last perhaps fewer; no row is lost.",
                                    "zh": "每份 ceil(B / pieces) 行，最后一份可以更少；一行也不丢。"},
              lambda rng: [pieces_input(rng, [[0, 1], [1, 1], [1, 0]], 2), pieces_input(rng, [*EVEN, [1, 1, 0, 0]], 2),
                           pieces_input(rng, [*EVEN, [1, 1, 0, 0]], 4), pieces_input(rng, EVEN, 7)]),
        Check("piece-without-learned", 1, {"en": "A piece in which nothing is learned gives 0.0 and keeps its place.",
                                           "zh": "没有要学的词元的那一份给出 0.0，仍然占一个位置。"},
              lambda rng: [pieces_input(rng, [[0, 0], [1, 1]], 2),
                           pieces_input(rng, [[0, 1, 1], [0, 0, 1], [0, 0, 0], [0, 0, 0], [1, 0, 1]], 3)]),
    ),
    (
        Misconception("own-mean-of-each-piece",
                      {"en": "Each piece is divided by its own learned tokens: the pieces add up to about `pieces` times the loss, and a "
                             "token of a short piece counts more. Divide by the tokens of the whole batch.",
                       "zh": "每一份除以了它自己要学的词元个数：加起来约是损失的 `pieces` 倍，而且短的那份里的词元算得更重。要除以整个批次的个数。"},
                      own_means),
        Misconception("mean-of-means",
                      {"en": "You average the pieces' means. When the pieces have different numbers of learned tokens, that is not the "
                             "mean over tokens; several training libraries had this bug until 2024. Divide each sum by the tokens of "
                             "the whole batch.",
                       "zh": "你对各份的平均值再平均。各份要学的词元个数不同时，这不是按词元的平均；好几个训练库直到 2024 年都有这个错误。"
                             "每一份的总和都要除以整个批次的个数。"},
                      lambda x, t, w, n: [m / len(cut(len(x), n)) for m in own_means(x, t, w, n)]),
        Misconception("not-divided",
                      {"en": "The pieces are sums; divide each by the number of learned tokens of the whole batch.",
                       "zh": "你的各份是总和；每一份都要除以整个批次要学的词元个数。"},
                      lambda x, t, w, n: plain_sums(x, t, w, lambda r: 1, n=n)),
        Misconception("divided-by-all-tokens",
                      {"en": "You divide by all tokens of the batch, B · T; only the learned ones count.",
                       "zh": "你除以了批次的全部词元 B · T；只有要学的才算。"},
                      lambda x, t, w, n: plain_sums(x, t, w, lambda r: w.numel(), n=n)),
        Misconception("mask-ignored",
                      {"en": "The weights have no effect: questions and padding are learned too.",
                       "zh": "权重没有起作用：问题和填充也学了。"},
                      lambda x, t, w, n: plain_sums(x, t, torch.ones_like(w), lambda r: w.numel(), n=n)),
        Misconception("rows-dealt-in-turn",
                      {"en": "The rows are dealt out in turn (i, i + pieces, …). The sum is right, but a piece should be a block of "
                             "neighbouring rows.",
                       "zh": "你把各行轮流分给各份（i、i + pieces……）。总和没错，但每一份应该是相邻的一段行。"},
                      lambda x, t, w, n: plain_sums(x, t, w, lambda r: w.sum(),
                                                    [list(range(i, len(x), n)) for i in range(min(n, len(x)))])),
        Misconception("rest-dropped",
                      {"en": "B is no multiple of pieces, and the rows that are left over are lost. Round the size of a piece up: "
                             "-(-B // pieces).",
                       "zh": "B 不是 pieces 的倍数，剩下的行丢了。每份的行数要向上取整：-(-B // pieces)。"},
                      rest_dropped),
        Misconception("more-pieces-than-asked",
                      {"en": "You round the size of a piece down, so there are more pieces than asked for. Round up: -(-B // pieces).",
                       "zh": "每份的行数你向下取整了，份数就超过了要求。要向上取整：-(-B // pieces)。"},
                      too_small),
        Misconception("empty-piece-left-out",
                      {"en": "You leave out a piece in which nothing is learned. It keeps its place, with 0.0: the list must have "
                             "one number a piece.",
                       "zh": "没有要学的词元的那一份你直接跳过了。它要占一个位置，值为 0.0：列表里每一份都有一个数。"},
                      lambda x, t, w, n: plain_sums(x, t, w, lambda r: w.sum(), [r for r in cut(len(x), n) if w[r].any()])),
        Misconception("zero-over-zero",
                      {"en": "You take a piece's own mean and weight it by its share of tokens: right, but 0 / 0 where nothing is "
                             "learned. Divide the sum by the batch's tokens at once.",
                       "zh": "你先求每份自己的平均，再按词元所占的比例加权：思路对，但没有要学的词元时是 0 / 0。直接用总和除以整个批次的个数。"},
                      lambda x, t, w, n: [m * w[r].sum() / w.sum() for m, r in zip(own_means(x, t, w, n), cut(len(x), n),
                                                                                  strict=True)]),
    ),
    slips=(
        Misconception("cross-entropy-on-b-t-v",
                      {"en": "F.cross_entropy takes axis 1 for the vocabulary, and with (B, T, V) that is the positions. Move the axis "
                             "first: logits.transpose(1, 2).",
                       "zh": "F.cross_entropy 把轴 1 当成词表，而形状是 (B, T, V) 时轴 1 是位置。先把轴移过去：logits.transpose(1, 2)。"},
                      lambda x, t, w, n: [(F.cross_entropy(x[r], t[r], reduction="none") * w[r]).sum() / w.sum()
                                          for r in cut(len(x), n)]),
    ),
)  # fmt: skip

LESSON = Lesson(7, "07_sft", {"en": "Stage 2: supervised fine-tuning", "zh": "第二阶段：监督微调（SFT）"},
                (ENCODE, PADDED, MASKED, PIECES))  # fmt: skip
