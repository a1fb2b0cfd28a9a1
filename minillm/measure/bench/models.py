"""Parts of the benchmark about models: training steps, quiet and under load, their memory, and generating."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from minillm.generate import generate
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config
from minillm.measure.bench.children import busy_processes, in_child, peak_bytes
from minillm.measure.bench.machine import Ceilings, Work, package, usable_cores
from minillm.measure.bench.plain_gpt import PlainGPT, plain_optimizer
from minillm.measure.bench.plan import Plan, Shape
from minillm.measure.bench.rows import OURS, Row, compare, paired_ratio, take_turns
from minillm.measure.bench.steps import (
    OURS_FP32,
    OURS_OWN,
    PLAIN,
    TOLERANCE,
    Unequal,
    auto_format,
    check_equal,
    contenders,
    multiplied_weights,
    random_batch,
    rough_gpt,
    seconds_of_ours,
    seconds_of_plain,
    shares,
    step_config,
)
from minillm.plumbing.devices import Timer
from minillm.sampling import Sampling
from minillm.weights import names

NOTES = {OURS_OWN: "other options than GPT-2's: not the same outputs"}
TRANSFORMERS = "transformers, fp32"


def train_part(plan: Plan, ceilings: Ceilings) -> Iterator[Row]:
    """A training step of each shape."""
    for shape in plan.trained:
        own_recipe = shape == plan.trained[-1]
        values = take_turns(contenders(shape, plan.least_seconds, own_recipe), plan.repeat)
        reached = shares(shape, {who: median(own) for who, own in values.items()}, ceilings)
        yield from compare("train", str(shape), "s", values, reached, NOTES | {OURS: f"in {auto_format()}"})


def load_part(plan: Plan, ceilings: Ceilings) -> Iterator[Row]:
    """The last shape's step alone, next to one busy process, and next to one per core."""
    shape, counts = plan.trained[-1], sorted({0, 1, usable_cores()})
    steps = contenders(shape, plan.least_seconds, own_recipe=True)
    del steps[OURS_FP32]

    def next_to(count: int, who: str) -> float:
        with busy_processes(count):
            return steps[who]()

    turns = {(count, who): partial(next_to, count, who) for count in counts for who in steps}
    values = take_turns(turns, plan.repeat)
    for (count, who), own in values.items():
        ratio, to = (None, "") if count == 0 else (paired_ratio(own, values[0, who]), "quiet")
        where = "quiet" if count == 0 else f"next to {count} busy"
        yield Row("load", f"{shape.n_layer} x {shape.n_embd}, {shape.rows} x {shape.n_ctx} tokens, {where}", who, "s",
                  tuple(own), ratio, to, shares(shape, {who: median(own)}, ceilings)[who])  # fmt: skip


# -------------------------------------------------------------------------------------------------- memory


def memory_part(plan: Plan, ceilings: Ceilings) -> Iterator[Row]:
    """The most memory that two training steps take, each contender in a process of its own."""
    if peak_bytes() is None:
        yield Row("memory", "", OURS, note="this system does not tell the peak of a process")
        return
    for shape in plan.remembered:
        turns = {
            who: partial(in_child, f"{__name__}:peak_of_steps", who, astuple(shape)) for who in (OURS, OURS_FP32, PLAIN)
        }
        values = take_turns(turns, plan.repeat, warm_up=False)  # each child begins anew
        yield from compare("memory", str(shape), "B", values, notes={OURS: "beyond what a tiny step takes"})


def peak_of_steps(who: str, sizes: Sequence[int]) -> int:
    """By how many bytes two steps of a contender raise the peak of this process, its libraries loaded before."""
    two_steps(who, Shape(n_layer=1, n_head=1, n_embd=16, n_ctx=16, rows=2, n_vocab=16))
    before = peak_bytes()
    two_steps(who, Shape(*sizes))
    after = peak_bytes()
    assert before is not None and after is not None
    return after - before


def two_steps(who: str, shape: Shape) -> None:
    """Make a model and update it twice."""
    batch, config = random_batch(shape), gpt2_config(**shape.sizes)
    if who == PLAIN:
        plain = PlainGPT(config)
        seconds_of_plain(plain, batch, plain_optimizer(plain), steps=1)
    else:
        seconds_of_ours(GPT(config), batch, step_config("fp32" if who == OURS_FP32 else "auto"), steps=1)


# ------------------------------------------------------------------------------------------------ generate


def generate_part(plan: Plan, ceilings: Ceilings) -> Iterator[Row]:
    """Greedy text of a given length with a KV cache, for one prompt and for several of the same length.

    In the shapes of GPT-2 and SmolLM2 both write the same text. Of the demo's own shape `transformers` has no model: its
    LLaMA of that size is the nearest (SwiGLU for squared ReLU, no QK-norm), with weights of its own."""
    sizes = plan.generating.sizes
    for name, config, batches, new_tokens in (
        ("GPT-2's shape", gpt2_config(**sizes), plan.batches, plan.new_tokens),
        ("the demo's shape, LLaMA's for the peer", GPTConfig(**sizes), plan.batches, plan.new_tokens),
        ("SmolLM2's shape", plan.large, (1,), plan.large_tokens),
    ):
        ours = rough_gpt(config)
        theirs = transformers_like(ours)
        for batch in batches:
            case = f"{name}, {new_tokens} tokens for {batch} prompt{'s' if batch > 1 else ''}"
            prompts = random_batch(replace(plan.generating, rows=batch, n_ctx=8)).ids  # (B, 8)
            turns = {OURS: partial(seconds_to_generate, ours, prompts, new_tokens)}
            if theirs is not None:
                if not config.qk_norm:
                    check_same_text(ours, theirs, prompts, new_tokens)
                turns[TRANSFORMERS] = partial(their_seconds, theirs, prompts, new_tokens)
            values = take_turns(turns, plan.repeat)
            work = generating_work(config, batch, new_tokens)
            reached = {OURS: ceilings.share(work, median(values[OURS]))}
            yield from compare("generate", case, "s", values, reached)
            if theirs is None:
                yield Row("generate", case, TRANSFORMERS, note="not installed")


def generating_work(config: GPTConfig, batch: int, new_tokens: int) -> Work:
    """Products of all new tokens, 2 FLOP per weight; the weights are read once for each, whatever the batch."""
    weights = multiplied_weights(config)
    return Work(2.0 * weights * batch * new_tokens, "fp32", 4 * weights, new_tokens)


def our_text(model: GPT, prompts: Tensor, new_tokens: int) -> Tensor:
    """Greedy continuations: (B, T) -> (B, N)."""
    return torch.tensor(generate(model, prompts.tolist(), Sampling(max_new_tokens=new_tokens), stop=None, pad=0))


def seconds_to_generate(model: GPT, prompts: Tensor, new_tokens: int) -> float:
    timer = Timer()
    our_text(model, prompts, new_tokens)
    return timer.seconds


@torch.no_grad()
def their_text(model: Any, prompts: Tensor, new_tokens: int) -> Tensor:
    """Greedy continuations by `transformers`, with its cache: (B, T) -> (B, N)."""
    text = model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=new_tokens, do_sample=False,
                          use_cache=True, pad_token_id=0)  # (B, T) -> (B, T + N)  # fmt: skip
    return text[:, prompts.shape[1] :]


def their_seconds(model: nn.Module, prompts: Tensor, new_tokens: int) -> float:
    timer = Timer()
    their_text(model, prompts, new_tokens)
    return timer.seconds


def transformers_like(ours: GPT) -> nn.Module | None:
    """The GPT-2 or LLaMA of `transformers` with the same weights, or a LLaMA of the same size; None if not installed."""
    if (transformers := package("transformers")) is None:
        return None
    c, no_ends = ours.config, dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
    if c.norm == "rms":
        llama = transformers.LlamaConfig(vocab_size=c.n_vocab, max_position_embeddings=c.n_ctx, hidden_size=c.n_embd,
                                         intermediate_size=c.hidden, num_hidden_layers=c.n_layer,
                                         num_attention_heads=c.n_head, num_key_value_heads=c.kv_heads,
                                         rms_norm_eps=c.norm_eps, rope_theta=c.rope_base,
                                         tie_word_embeddings=c.tied, **no_ends)  # fmt: skip
        model = transformers.LlamaForCausalLM(llama)
        if not c.qk_norm:
            model.load_state_dict(names.to_theirs(ours.state_dict(), "llama"))
        return model.eval()
    config = transformers.GPT2Config(vocab_size=c.n_vocab, n_positions=c.n_ctx, n_embd=c.n_embd, n_layer=c.n_layer,
                                     n_head=c.n_head, layer_norm_epsilon=c.norm_eps, **no_ends)  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    model.load_state_dict(names.to_theirs(ours.state_dict(), "gpt2"))
    return model.eval()


@torch.no_grad()
def check_same_text(ours: GPT, theirs: nn.Module, prompts: Tensor, new_tokens: int) -> None:
    """Raise Unequal unless the logits agree along the whole text, and the texts up to where two tokens tie."""
    own, other = our_text(ours, prompts, new_tokens), their_text(theirs, prompts, new_tokens)  # (B, N)
    if own.shape != other.shape:
        raise Unequal(f"text: {tuple(other.shape)} tokens instead of {tuple(own.shape)}")
    ids = torch.cat((prompts, own), 1)  # (B, T), (B, N) -> (B, T + N)
    logits = ours(ids)  # (B, T + N) -> (B, T + N, V)
    check_equal("logits", {"logits": logits}, {"logits": theirs(ids).logits})
    for b, n in enumerate((own != other).int().argmax(1).tolist()):  # 0 also where all are the same
        scores = logits[b, prompts.shape[1] - 1 + n]  # (V)
        if scores[own[b, n]] - scores[other[b, n]] > TOLERANCE * logits.abs().max():
            raise Unequal(f"text {b}: token {n} is {other[b, n]} instead of {own[b, n]}, and they do not tie")
