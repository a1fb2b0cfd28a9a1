"""A trained model to talk to: `minillm.load("runs/demo/sft").ask("台湾最高的山是哪座？")`.

Whoever asks a model in the dialogue format asks here: a chat, the exam, an experiment. A conversation
becomes the ids of a prompt that fits the context, and what the model writes after it an answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from minillm.chat import Message, clean_answer, clean_stream, fit_prompt
from minillm.generate import continuations, stream
from minillm.gpt import GPT
from minillm.plumbing.devices import pick_device
from minillm.run_folder import Run, load_run
from minillm.sampling import Sampling
from minillm.tokenizer import Tokenizer


class Assistant:
    """A model with its tokenizer, asked in the dialogue format or left to continue a text."""

    def __init__(self, run: Run):
        self.gpt: GPT = run.gpt.eval()
        self.tokenizer: Tokenizer = run.tokenizer

    def prompt(self, messages: Sequence[Message], max_new_tokens: int) -> list[int]:
        """Ids of a conversation that ends with the user's turn, `[DOC] USER: … AI:`.

        If the conversation has outgrown the context, its oldest turns are left out: an answer of
        `max_new_tokens` has room, at most half of the context.
        """
        n_ctx = self.gpt.config.n_ctx
        return fit_prompt(messages, self.tokenizer, n_ctx, min(max_new_tokens, n_ctx // 2))

    def answers(
        self, conversations: Iterable[Sequence[Message]], sampling: Sampling = Sampling()
    ) -> list[tuple[str, bool]]:
        """The answer to each conversation, and whether it ended with [END]; greedy unless told otherwise."""
        prompts = [self.prompt(messages, sampling.max_new_tokens) for messages in conversations]
        written = continuations(self.gpt, self.tokenizer, prompts, sampling)
        return [(clean_answer(text), ended) for text, ended in written]

    def reply(self, messages: Sequence[Message], sampling: Sampling = Sampling()) -> Iterator[str]:
        """The answer to one conversation, piece by piece as it is written."""
        prompt = self.prompt(messages, sampling.max_new_tokens)
        return clean_stream(stream(self.gpt, self.tokenizer, prompt, sampling))

    def ask(self, question: str, sampling: Sampling = Sampling()) -> str:
        """The answer to one question, without [END]; greedy unless told otherwise."""
        return self.answers([[Message("user", question)]], sampling)[0][0]

    def complete(self, text: str, max_new_tokens: int = 64, sampling: Sampling = Sampling()) -> str:
        """The text and what the model continues it with, until it ends the document."""
        return text + "".join(self.stream(text, replace(sampling, max_new_tokens=max_new_tokens)))

    def stream(self, text: str, sampling: Sampling) -> Iterator[str]:
        """The continuation of a text, piece by piece."""
        prompt = [*self.tokenizer.opening, *self.tokenizer.encode(text)] or [self.tokenizer.doc]
        return stream(self.gpt, self.tokenizer, prompt, sampling)


def load(folder: str | Path, device: str = "cpu") -> Assistant:
    """Read a run folder. Raises InputError (a ValueError) that says what is wrong with it."""
    return Assistant(load_run(folder, pick_device(device)))
