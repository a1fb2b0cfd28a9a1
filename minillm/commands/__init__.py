"""The commands of `python -m minillm`, each a dataclass whose fields are its options.

This table is all that is loaded before a command is known, so that `--help` answers at once.
"""

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Command:
    """Where a command is and what it does."""

    module: str
    """Its module in minillm.commands."""
    name: str
    """Its class in that module."""
    help: str
    """The first line of the class's docstring."""
    prints: bool = False
    """Whether what it prints is what it is for: it ends when nobody reads on. Others do their work all the same."""

    def load(self) -> type:
        """The class; its `run()` does the work."""
        return getattr(import_module(f"{__name__}.{self.module}"), self.name)


COMMANDS = {
    "demo": Command("stages", "Demo", "Watch a GPT be born, taught and tuned in minutes, then read what it learned."),
    "pretrain": Command("stages", "Pretrain", "Stage 1: train a base model on raw text."),
    "sft": Command("stages", "Sft", "Stage 2: teach a base model to answer, with dialogues."),
    "prefer": Command("stages", "Prefer", "Stage 3: tune an assistant on pairs of a better and a worse answer."),
    "reward": Command(
        "reinforce",
        "Reward",
        "Train a reward model on pairs of a better and a worse answer, for `rl --reward run:FOLDER`.",
    ),
    "best-of-n": Command(
        "reinforce",
        "BestOfN",
        "Let a model write n answers to each prompt and keep the best by a reward; nothing is trained.",
        prints=True,
    ),
    "rl": Command("reinforce", "Rl", "Stage 3 by reinforcement: tune an assistant on its own answers, by a reward."),
    "chat": Command("models", "Chat", "Talk to an assistant; an empty line or Ctrl-D ends it.", prints=True),
    "complete": Command("models", "Complete", "Let a model continue a text.", prints=True),
    "serve": Command(
        "serve", "Serve", "A page to see your models choose each token, and an API in OpenAI's form, on this machine."
    ),
    "evaluate": Command(
        "models", "Evaluate", "Measure a model: on the world's exam, on a text, or on dialogues.", prints=True
    ),
    "world": Command("material", "World", "Write what the world generates: raw text, dialogues, preferences, exam."),
    "tokenizer": Command("material", "TokenizerCommand", "Train a tokenizer, or see how one cuts a text.", prints=True),
    "open-demo": Command(
        "weights", "OpenDemo", "Watch an open model learn a dozen pairs, without and with review, and what it forgets."
    ),
    "import": Command(
        "weights",
        "Import",
        "Take an open model in: a Hugging Face folder, a GGUF file, or smollm2; or a PEFT adapter of one (--base).",
    ),
    "export": Command(
        "weights",
        "Export",
        "Write a run for other programs: transformers (hf), llama.cpp and Ollama (gguf), PEFT (peft).",
    ),
    "doctor": Command(
        "doctor",
        "Doctor",
        "Look at pairs before tuning a base on them, and at what tuning did (--run); convert them (--to).",
        prints=True,
    ),
    "bench": Command(
        "bench",
        "Bench",
        "Measure speed and memory next to plain PyTorch and, where installed, transformers and tokenizers.",
        prints=True,
    ),
    "claims": Command(
        "claims", "Claims", "Measure claims of the lecture on the built-in world; without a name, list them."
    ),
    "init": Command("classroom", "Init", "Lay out lessons, notebooks and homework in a folder to work in."),
    "homework": Command(
        "classroom",
        "Homework",
        "Grade homework: all of it, one lesson (homework 3) or one exercise (homework 3 attention).",
    ),
    "notebooks": Command("classroom", "Notebooks", "Write the notebooks of both languages from the lessons."),
}
