"""Exercises of lesson 5, second part: the sampling loop and its cache."""

from functools import partial

import numpy as np
import torch

from minillm.homework.child import ToyModel
from minillm.homework.exercise import Check, Exercise, Misconception

LOOP = {"en": "The loop", "zh": "循环"}
CACHE = {"en": "The KV cache", "zh": "KV 缓存"}


# ----------------------------------------------------------------------------------------------- the loop


def generate_but(model, prompt, max_new_tokens, stop, place=-1, first=None, more=0, follow=True, feed=None, ends=None):
    """Greedy decoding with one thing done another way."""
    ids, new = list(prompt), []
    for _ in range(max_new_tokens + more):
        read = ids if feed is None else feed(prompt, ids)
        new.append(int(model(torch.tensor([read]))[0, place].argmax()))
        if follow:
            ids.append(new[-1])
        if stop is not None and (new[-1] == stop if ends is None else ends(ids, stop)):
            break
    return new


def generate(model, prompt, max_new_tokens, stop):
    return generate_but(model, prompt, max_new_tokens, stop)


def stop_dropped(model, prompt, max_new_tokens, stop):
    return [i for i in generate(model, prompt, max_new_tokens, stop) if i != stop]


def stop_unread(model, prompt, max_new_tokens, stop):
    return generate(model, prompt, max_new_tokens, None)


def cut_at_stop(model, prompt, max_new_tokens, stop):
    """Stops at once when the prompt holds a stop."""
    return generate_but(model, prompt, max_new_tokens, stop, ends=lambda ids, s: s in ids)


def at_least_one(model, prompt, max_new_tokens, stop):
    return generate(model, prompt, max(1, max_new_tokens), stop)


def one_more(model, prompt, max_new_tokens, stop):
    return generate_but(model, prompt, max_new_tokens, stop, more=1)


def one_less(model, prompt, max_new_tokens, stop):
    return generate(model, prompt, max_new_tokens - 1, stop)


def with_prompt(model, prompt, max_new_tokens, stop):
    return [*prompt, *generate(model, prompt, max_new_tokens, stop)]


first_place = partial(generate_but, place=0)
not_appended = partial(generate_but, follow=False)
last_alone = partial(generate_but, feed=lambda prompt, ids: ids[-1:])
ONE_STEP = (first_place, last_alone)
SEVERAL = (first_place, last_alone, not_appended)


def decisive(model, prompt, n):
    """Whether the largest logit wins clearly at each of n steps."""
    ids = [*prompt, *generate(model, prompt, n, None)]
    best = model(torch.tensor([ids]))[0, len(prompt) - 1 :].topk(2).values  # (n + 1, 2)
    return bool((best[:, 0] - best[:, 1] > 0.05).all())


def toy(rng, v, t, n, differs=(), wanted=lambda model, prompt, new: True):
    """(model, prompt of t ids, new ids) whose n greedy steps are clear and tell the ways of `differs` apart."""
    while True:
        model = ToyModel(torch.from_numpy(rng.standard_normal((v, v)).astype(np.float32)))
        prompt = [int(i) for i in rng.integers(0, v, t)]
        new = generate(model, prompt, n, None)
        outputs = {tuple(new), *(tuple(way(model, prompt, n, None)) for way in differs)}
        shows = len(outputs) == 1 + len(differs)
        if decisive(model, prompt, n + 1) and shows and wanted(model, prompt, new):
            return model, prompt, new


def one_step(rng, v, t):
    model, prompt, _ = toy(rng, v, t, 1, ONE_STEP)
    return model, prompt, 1, None


def steps(rng, v, t, n):
    model, prompt, _ = toy(rng, v, t, n, SEVERAL, lambda model, prompt, new: len(set(new)) > 1)
    return model, prompt, n, None


def stopping(rng, v, t, n, in_prompt=False, at_the_end=False):
    """The stop is a token that comes up first in the midst of n steps, and is in the prompt, perhaps its last, or not."""

    def wanted(model, prompt, new):
        stop = new[n // 2]
        return (new.index(stop) == n // 2 and (stop in prompt) == in_prompt
                and (prompt[-1] == stop or not at_the_end))  # fmt: skip

    model, prompt, new = toy(rng, v, t, n, (), wanted)
    return model, prompt, n, new[n // 2]


def stopping_at_zero(rng, v, t, n):
    """The stop is the id 0."""

    def wanted(model, prompt, new):
        return 0 in new[1 : n - 1] and new[0] != 0 and 0 not in prompt

    model, prompt, _ = toy(rng, v, t, n, (), wanted)
    return model, prompt, n, 0


def long_prompt(rng, v, t):
    """The first token of a long prompt decides: what reads only the last few goes wrong."""
    while True:
        table = 0.001 * torch.from_numpy(rng.standard_normal((v, v)).astype(np.float32))
        table[0] = 2.0**t * torch.from_numpy(rng.standard_normal(v).astype(np.float32))
        model, prompt = ToyModel(table), [0, *(int(i) for i in rng.integers(1, v, t - 1))]
        if decisive(model, prompt, 3) and generate(model, prompt, 2, None) != generate(model, prompt[1:], 2, None):
            return model, prompt, 2, None


def no_room(rng, v, t):
    model, prompt, _ = toy(rng, v, t, 1)
    return model, prompt, 0, None


GENERATE = Exercise(
    "generate", LOOP, generate,
    (
        Check("one-token", 1, {"en": "One new token: the largest logit at the last position of the prompt.",
                               "zh": "一个新词元：取提示最后一个位置上最大的 logit。"},
              lambda rng: [one_step(rng, 4, 2), one_step(rng, 8, 5), one_step(rng, 12, 3), one_step(rng, 20, 4)]),
        Check("several-tokens", 2, {"en": "Each new token is appended, and the model reads the whole text so far.",
                                    "zh": "每个新词元都接到后面，模型读到目前为止的整段文字。"},
              lambda rng: [steps(rng, 5, 2, 3), steps(rng, 12, 4, 7), long_prompt(rng, 6, 12), long_prompt(rng, 6, 70)]),
        Check("stop", 2, {"en": "The loop ends with the stop token, which is the last id returned.",
                          "zh": "生成停止词元后循环结束，它是返回的最后一个编号。"},
              lambda rng: [stopping(rng, 6, 1, 3), stopping(rng, 12, 3, 8), stopping_at_zero(rng, 6, 2, 5)]),
        Check("stop-in-the-prompt", 1, {"en": "A conversation of several turns holds [END] already: only a new one counts.",
                                        "zh": "多轮对话的提示里已经有 [END]：只有新生成的才算。"},
              lambda rng: [stopping(rng, 6, 2, 3, in_prompt=True), stopping(rng, 12, 6, 8, in_prompt=True),
                           stopping(rng, 6, 3, 4, in_prompt=True, at_the_end=True)]),
        Check("no-token", 1, {"en": "max_new_tokens = 0 gives an empty list.", "zh": "max_new_tokens = 0 时返回空列表。"},
              lambda rng: [no_room(rng, 4, 1), no_room(rng, 6, 3)], edge=True),
    ),
    (
        Misconception("logits-of-the-first-position",
                      {"en": "You read the logits of the first position, which are about the second token of the prompt. The "
                             "next token is predicted at the last position: [:, -1].",
                       "zh": "你读的是第一个位置的 logits，那是在预测提示的第二个词元。下一个词元由最后一个位置预测：[:, -1]。"},
                      first_place),
        Misconception("last-token-alone",
                      {"en": "The model is given the last token alone and forgets what came before. Without a cache it must "
                             "read the whole text at each step.",
                       "zh": "你只把最后一个词元给了模型，它忘了前面的内容。没有缓存时，每一步都要读整段文字。"},
                      last_alone),
        Misconception("prompt-returned",
                      {"en": "You return the prompt too: only the new ids are asked for.", "zh": "你把提示也返回了：只要新的编号。"},
                      with_prompt),
        Misconception("at-least-one-token",
                      {"en": "The first token is made before the number is looked at: max_new_tokens = 0 must give an empty "
                             "list.",
                       "zh": "你先生成了一个词元才看数量：max_new_tokens = 0 必须返回空列表。"},
                      at_least_one),
        Misconception("one-token-too-many",
                      {"en": "The loop runs once too often: at most max_new_tokens ids.", "zh": "循环多跑了一次：最多 max_new_tokens 个编号。"},
                      one_more),
        Misconception("one-token-too-few",
                      {"en": "The loop runs once too seldom: max_new_tokens ids if no stop comes.",
                       "zh": "循环少跑了一次：没有遇到停止词元时应有 max_new_tokens 个编号。"},
                      one_less),
        Misconception("new-token-not-appended",
                      {"en": "The model reads the same prompt at every step, so it says the same token again and again. "
                             "Append each new id to what it reads, and take the logits of the last position.",
                       "zh": "模型每一步读的都是同一个提示，于是总说同一个词元。要把每个新编号接到它读的文字后面，并取最后一个位置的 logits。"},
                      not_appended),
        Misconception("does-not-stop",
                      {"en": "The loop goes on after the stop token. An answer ends there; what follows is nobody's.",
                       "zh": "生成停止词元之后循环还在继续。回答到那里就结束了，后面的都不算。"},
                      stop_unread),
        Misconception("stop-dropped",
                      {"en": "The stop token is left out of the result. It is returned as the last id: the caller sees by it "
                             "whether the model stopped by itself.",
                       "zh": "结果里少了停止词元。它要作为最后一个编号返回：调用者靠它知道模型是不是自己停的。"},
                      stop_dropped),
        Misconception("stop-in-the-prompt-counts",
                      {"en": "You look for the stop token in prompt and answer together. An earlier turn's [END] must not end "
                             "the new answer: look at the new token alone.",
                       "zh": "你在提示和回答里一起找停止词元。前面几轮的 [END] 不能结束新的回答：只看新词元。"},
                      cut_at_stop),
    ),
    slips=(
        Misconception("zero-taken-for-none",
                      {"en": "`if stop` takes the id 0 for no stop at all. Compare with the new token: `token == stop`.",
                       "zh": "`if stop` 把编号 0 当成了“没有停止词元”。直接和新词元比较：`token == stop`。"},
                      lambda model, prompt, n, stop: generate(model, prompt, n, stop or None)),
    ),
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- the cache


def extend_cache(keys, values, length, k, v):
    return torch.cat((keys[:, :, :length], k), 2), torch.cat((values[:, :, :length], v), 2)


def written(keys, values, length, k, v, at=None, end=None):
    """The cache with the new written at `at`, up to `end`."""
    at = length if at is None else at
    keys, values = keys.clone(), values.clone()
    keys[:, :, at : at + k.shape[2]], values[:, :, at : at + k.shape[2]] = k, v
    return keys[:, :, :end], values[:, :, :end]


def cache(rng, b, h, n, d, length, t):
    """Arguments: a cache of n places with `length` filled, and t new ones."""
    draw = lambda *shape: torch.from_numpy(rng.standard_normal(shape).astype(np.float32))  # noqa: E731
    return draw(b, h, n, d), draw(b, h, n, d), length, draw(b, h, t, d), draw(b, h, t, d)


EXTEND_CACHE = Exercise(
    "extend_cache", CACHE, extend_cache,
    (
        Check("empty-cache", 1, {"en": "With length = 0 the result is the new key and value alone.",
                                 "zh": "length = 0 时结果就是新的键和值。"},
              lambda rng: [cache(rng, 1, 1, 4, 1, 0, 1), cache(rng, 2, 2, 6, 3, 0, 1)], edge=True),
        Check("one-new-token", 2, {"en": "The new token goes behind the `length` that are there.",
                                   "zh": "新词元放在已有的 length 个之后。"},
              lambda rng: [cache(rng, 1, 1, 5, 1, 2, 1), cache(rng, 2, 3, 8, 4, int(rng.integers(3, 6)), 1)]),
        Check("several-new-tokens", 1, {"en": "The prompt, or a second question, brings several tokens at once, up to the last place.",
                                        "zh": "提示，或者第二个问题，一次带来好几个词元，可能一直填满到最后一个位置。"},
              lambda rng: [cache(rng, 1, 1, 5, 1, 3, 2), cache(rng, 2, 2, 7, 2, 0, 4), cache(rng, 2, 2, 7, 2, 3, 4),
                           cache(rng, 3, 2, 9, 3, 2, 3)]),
    ),
    (
        Misconception("new-alone",
                      {"en": "You return the new keys and values alone: the earlier positions are forgotten, and the query can "
                             "only look at itself.",
                       "zh": "你只返回了新的键和值：前面的位置都忘了，查询只能看到自己。"},
                      lambda keys, values, n, k, v: (k, v)),
        Misconception("whole-buffer",
                      {"en": "You return all N places. Those beyond length + T hold rubbish that attention would read: cut "
                             "there.",
                       "zh": "你返回了全部 N 个位置。length + T 之后是垃圾，注意力会读到它们：要在那里截断。"},
                      written, (lambda keys, values, n, k, v: (torch.cat((keys, k), 2), torch.cat((values, v), 2)),)),
        Misconception("keys-for-values",
                      {"en": "The keys are stored as values too. Keys decide where to look, values what is found there: two "
                             "caches.",
                       "zh": "你把键也存成了值。键决定看哪里，值是看到的内容：要两个缓存。"},
                      lambda keys, values, n, k, v: (extend_cache(keys, values, n, k, v)[0],) * 2),
        Misconception("overwritten-from-zero",
                      {"en": "The new ones are written to the places from 0 on, over the beginning of the text. They "
                             "belong at length … length + T - 1.",
                       "zh": "新的写到了从 0 开始的位置，盖掉了文字的开头。它们应该放在 length … length + T - 1。"},
                      lambda keys, values, n, k, v: written(keys, values, n, k, v, 0, n + k.shape[2])),
        Misconception("last-one-overwritten",
                      {"en": "The new ones begin at length - 1 and overwrite the last token. Places are counted from 0: the "
                             "first free one is `length`.",
                       "zh": "新的从 length - 1 开始写，盖掉了最后一个词元。位置从 0 数起：第一个空位就是 length。"},
                      lambda keys, values, n, k, v: extend_cache(keys, values, n - 1, k, v)),
        Misconception("one-place-skipped",
                      {"en": "A place is left out between the old and the new: the first free one is `length`, not "
                             "length + 1.",
                       "zh": "旧的和新的之间空了一个位置：第一个空位是 length，不是 length + 1。"},
                      lambda keys, values, n, k, v: extend_cache(keys, values, n + 1, k, v)),
        Misconception("new-before-old",
                      {"en": "The new ones are in front of the old. The causal mask reads the order: old first, new at the end.",
                       "zh": "新的放在了旧的前面。因果掩码是按顺序读的：旧的在前，新的在后。"},
                      lambda keys, values, n, k, v: (torch.cat((k, keys[:, :, :n]), 2), torch.cat((v, values[:, :, :n]), 2))),
        Misconception("last-of-the-new-alone",
                      {"en": "Of several new tokens only the last is stored. All T of them will be looked at later.",
                       "zh": "一次来了几个新词元，你只存了最后一个。这 T 个以后都会被看到。"},
                      lambda keys, values, n, k, v: extend_cache(keys, values, n, k[:, :, -1:], v[:, :, -1:])),
    ),
    may_change=("keys", "values"),
)  # fmt: skip
