"""What a notebook does, in a size of a second: a cached base model, and a demo with a short exam."""

import sys
from dataclasses import replace
from pathlib import Path

from minillm import demo as demonstration
from minillm.base_cache import cached_base
from minillm.plumbing.files import InputError
from minillm.stage1_pretrain import PretrainConfig
from minillm.world.exam import make_exam

TINY = PretrainConfig(
    steps=6, batch_size=2, n_ctx=16, n_layer=1, n_head=2, n_embd=8, vocab_size=260, warmup=1, checkpoint_every=2,
    device="cpu",
)  # fmt: skip
TEXTS = ["The capital of France is Paris.", "台湾最高的山是玉山。"] * 6


def a_base(folder: Path) -> None:
    """A base model of the cache."""
    cached_base(TINY, TEXTS, folder=folder, bar=False)


def a_demo(out: Path, **options) -> None:
    """A demo of two steps per stage with a dozen questions; exit code 2 where the command would have it."""

    def few_questions(world, seed):
        exam = make_exam(world, seed)
        return replace(exam, questions=exam.questions[::400], requests=exam.requests[::20])

    demonstration.make_exam = few_questions  # in a process of its own
    demonstration.CASES = demonstration.CASES[:1]
    demonstration.evaluate.own_pairs = lambda *_: 0.0
    size = demonstration.DemoConfig(documents=40, vocab_size=260, pretrain_steps=2, sft_steps=2, scratch_steps=2,
                                    lora_steps=2, preference_steps=2, device="cpu")  # fmt: skip
    try:
        demonstration.demo(replace(size, **options), out, bar=False)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
