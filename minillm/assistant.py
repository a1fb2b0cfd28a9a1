"""A trained model to talk to: `minillm.load("runs/demo/sft").ask("台湾最高的山是哪座？")`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from minillm.chat import Message, fit_prompt
from minillm.generate import Sampling, stream
from minillm.gpt import GPT
from minillm.plumbing.devices import pick_device
from minillm.run_folder import Run, load_run
from minillm.tokenizer import Tokenizer


class Assistant:
    """A model with its tokenizer, asked in the dialogue format or left to continue a text."""

    def __init__(self, run: Run):
        self.gpt: GPT = run.gpt.eval()
        self.tokenizer: Tokenizer = run.tokenizer

    def reply(self, messages: Sequence[Message], sampling: Sampling = Sampling()) -> Iterator[str]:
        """The answer to a conversation that ends with the user's turn, piece by piece.

        If the conversation has outgrown the context, its oldest turns are left out.
        """
        reserve = min(sampling.max_new_tokens, self.gpt.config.n_ctx // 2)
        prompt = fit_prompt(messages, self.tokenizer, self.gpt.config.n_ctx, reserve)
        first = True
        for piece in stream(self.gpt, self.tokenizer, prompt, sampling):
            piece = piece.lstrip() if first else piece  # the space before an English answer
            first = first and not piece
            if piece:
                yield piece

    def ask(self, question: str, sampling: Sampling = Sampling()) -> str:
        """The answer to one question; greedy unless told otherwise, without [END]."""
        return "".join(self.reply([Message("user", question)], sampling)).strip()

    def complete(self, text: str, max_new_tokens: int = 64, sampling: Sampling = Sampling()) -> str:
        """The text and what the model continues it with, until it ends the document."""
        return text + "".join(self.stream(text, replace(sampling, max_new_tokens=max_new_tokens)))

    def stream(self, text: str, sampling: Sampling) -> Iterator[str]:
        """The continuation of a text, piece by piece."""
        prompt = [self.tokenizer.doc, *self.tokenizer.encode(text)]
        return stream(self.gpt, self.tokenizer, prompt, sampling)


def load(folder: str | Path, device: str = "cpu") -> Assistant:
    """Read a run folder. Raises InputError (a ValueError) that says what is wrong with it."""
    return Assistant(load_run(folder, pick_device(device)))
