"""Preference pairs: two answers to one conversation as token ids, and the log-probability of an answer."""

from collections.abc import Sequence

from torch import Tensor

from minillm.batching import Batch
from minillm.chat import Dialogue, Message, Preference, encode_dialogue
from minillm.gpt import token_losses
from minillm.plumbing.files import InputError
from minillm.tokenizer import Tokenizer


def encode_preferences(
    pairs: Sequence[Preference], tokenizer: Tokenizer, n_ctx: int
) -> list[tuple[Dialogue, Dialogue]]:
    """(chosen, rejected) of each pair whose dialogues both fit. Raises InputError if none does."""
    encoded = []
    for pair in pairs:
        both = [
            encode_dialogue([*pair.prompt, Message("assistant", a)], tokenizer) for a in (pair.chosen, pair.rejected)
        ]
        # only the last answer is compared: earlier turns are part of the prompt, the same on both sides
        start = len(encode_dialogue(pair.prompt, tokenizer).ids)
        both = [Dialogue(d.ids, [i >= start for i in range(len(d.ids))]) for d in both]
        if max(len(d.ids) for d in both) <= n_ctx:
            encoded.append((both[0], both[1]))
    if not encoded:
        raise InputError(f"none of {len(pairs)} preference pairs fits into the context of {n_ctx} tokens: shorten them")
    return encoded


def sequence_log_probs(logits: Tensor, batch: Batch) -> Tensor:
    """log p(answer | prompt) of each row: the sum over the answer's tokens; (B, T, V) -> (B)."""
    return -(token_losses(logits, batch.targets) * batch.weights).sum(dim=-1)  # (B, T) -> (B)
