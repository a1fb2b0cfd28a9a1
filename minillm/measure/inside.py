"""What a model computes on the way to its answer: the loss of each token, attention, the cache, the layers' guesses.

Nothing here changes the model, so that others may use it at the same time. `serve` draws these figures.

Shapes: T tokens, S tokens in the cache, L blocks, H heads, C channels, V tokens of the vocabulary.

Source of the logit lens: nostalgebraist 2020, "interpreting GPT: the logit lens" (LessWrong).
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from minillm import lora
from minillm.generate import read
from minillm.gpt import GPT, token_losses
from minillm.kv_cache import KVCache


def as_row(gpt: GPT, ids: list[int]) -> Tensor:
    """Ids as a batch of one: (1, T)."""
    return torch.tensor([ids], device=gpt.device)


@torch.inference_mode()
def losses(gpt: GPT, ids: list[int]) -> tuple[list[float], list[int]]:
    """For each token after the first: its loss in nats, and the id that the model expected most; T - 1 of each."""
    row = as_row(gpt, ids)
    logits = gpt(row)[:, :-1].float()  # (1, T) -> (1, T - 1, V)
    return token_losses(logits, row[:, 1:])[0].tolist(), logits[0].argmax(-1).tolist()


@torch.inference_mode()
def attention_weights(gpt: GPT, ids: list[int]) -> Tensor:
    """The attention weights of each block and head: (L, H, T, S), each row adds up to 1."""
    trace: list[Tensor] = []
    gpt(as_row(gpt, ids), trace=trace)
    return torch.cat(trace)  # L x (1, H, T, S) -> (L, H, T, S)


@torch.inference_mode()
def logit_lens(gpt: GPT, ids: list[int], k: int = 5) -> tuple[Tensor, Tensor]:
    """What the model would say if it ended early: the k most probable next tokens after the embedding and each block.

    The hidden state at that depth goes through the last norm and the output layer. Returns probabilities and ids,
    (L + 1, T, k) each; the last of the L + 1 is the model's own answer.
    """
    states: list[Tensor] = []
    own = sharing(gpt)  # hooks on the model itself would hear what others compute with it
    own.blocks[0].register_forward_pre_hook(lambda _, given: states.append(given[0]))
    for block in own.blocks:
        block.register_forward_hook(lambda _, given, x: states.append(x))
    own(as_row(gpt, ids))
    found = [own.lm_head(own.norm(x))[0].float().softmax(-1).topk(k) for x in states]  # (1, T, C) -> (T, V) -> (T, k)
    return torch.stack([best.values for best in found]), torch.stack([best.indices for best in found])


@dataclass(frozen=True)
class Filling:
    """A text while it is written greedily, and what its KV cache held in the end."""

    ids: list[int]
    """The prompt, then what was written; the last one is not in the cache: nothing has been asked after it."""
    prompt: int
    """How many ids were read at once, before the first was written."""
    keys: Tensor
    """(L, S) length of each position's keys, all heads together: they never change once they are in."""
    values: Tensor
    """(L, S) the same of the values."""
    token_bytes: int
    """Bytes that one position takes."""


@torch.inference_mode()
def cache_filling(gpt: GPT, ids: list[int], most: int, stop: int | None) -> Filling:
    """Write up to `most` tokens after ids, or fewer at `stop` or the context's end, and keep what the cache holds."""
    room = min(len(ids) + most, gpt.config.n_ctx)
    cache, written, new = KVCache(gpt.config, 1, room, gpt.device, gpt.dtype), list(ids), ids
    while cache.length + len(new) <= room and len(written) < len(ids) + most and written[-1] != stop:
        new = [int(read(gpt, as_row(gpt, new), None, cache).argmax())]  # (1, T) -> (1, V)
        written += new
    keys, values = (t[:, 0, :, : cache.length].float().transpose(1, 2).flatten(2).norm(dim=-1)
                    for t in (cache.keys, cache.values))  # (L, 1, Hkv, room, D) -> (L, S, Hkv D) -> (L, S)  # fmt: skip
    token_bytes = 2 * cache.keys[:, 0, :, 0].numel() * cache.keys.element_size()
    return Filling(written, len(ids), keys, values, token_bytes)


# ------------------------------------------------------------------------------------------------- adapters


def sharing(gpt: GPT) -> GPT:
    """A second model of the same tensors: hooks, and adapters taken out, are its own."""
    tensors = [*gpt.parameters(), *gpt.buffers()]
    return copy.deepcopy(gpt, {id(tensor): tensor for tensor in tensors})


def without_adapters(gpt: GPT) -> GPT:
    """The model as it was before LoRA; its weights are the same tensors, nothing is in memory twice."""
    bare = sharing(gpt)
    for name, adapter in lora.adapters(bare).items():
        parent, _, child = name.rpartition(".")
        setattr(bare.get_submodule(parent), child, adapter.base)
    return bare


@torch.inference_mode()
def adapter_shares(gpt: GPT) -> dict[str, float]:
    """How long each ΔW is, as a share of its W: ‖ΔW‖ / ‖W‖ by the name of the layer."""
    return {
        name: (layer.delta().norm() / layer.base.weight.norm()).item() for name, layer in lora.adapters(gpt).items()
    }
