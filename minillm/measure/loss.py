"""The loss of a model on raw text and on answers."""

import math
from collections.abc import Sequence

import torch

from minillm.batching import TextRows
from minillm.chat import Dialogue
from minillm.gpt import GPT, token_losses
from minillm.material.corpus import Tokens
from minillm.packing import packed_batch
from minillm.plumbing.devices import autocast
from minillm.tokenizer import Tokenizer


@torch.no_grad()
def text_loss(model: GPT, tokens: Tokens, tokenizer: Tokenizer, precision: str = "auto") -> dict[str, float]:
    """Mean loss on a token stream, of a long one on its first 1,000 rows: nats per token, and bits per byte.

    Bits per byte can be compared across tokenizers; nats per token cannot: longer tokens are harder.
    """
    model.eval()
    total, count, n_bytes = 0.0, 0, 0
    for batch in TextRows(tokens, model.config.n_ctx).in_order(batch_size=32, most=1000):
        batch = batch.to(model.device)
        with autocast(model.device, precision):
            logits = model(batch.ids)  # (B, T) -> (B, T, V)
        total += token_losses(logits, batch.targets).sum().item()
        count += batch.targets.numel()
        targets = batch.targets.flatten().tolist()
        n_bytes += len(tokenizer.bytes_of(i for i in targets if i not in tokenizer.hidden))
    return {"nats_per_token": total / count, "bits_per_byte": total / math.log(2) / max(1, n_bytes)}


@torch.no_grad()
def answer_loss(model: GPT, dialogues: Sequence[Dialogue], pad: int, precision: str = "auto") -> float:
    """Mean loss on the answers' tokens, in nats."""
    model.eval()
    total = count = 0.0
    for i in range(0, len(dialogues), 64):
        batch = packed_batch(dialogues[i : i + 64], model.config.n_ctx, pad).to(model.device)
        with autocast(model.device, precision):
            logits = model(batch.ids, batch.mask, batch.positions)  # (B, T) -> (B, T, V)
        total += (token_losses(logits, batch.targets) * batch.weights).sum().item()
        count += batch.weights.sum().item()
    return total / count
