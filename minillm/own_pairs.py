"""A few pairs of one's own, learned by an open model without forgetting the rest.

It is SFT (`stage2_sft`), and four things that so few pairs need:

1) Every step also learns dialogues that the model answered itself before the start (review). Their questions are fixed
   ones of every day (everyday.csv): what comes to an open model by itself is seldom a question. Only answers that end
   soon are kept: learned from the beginnings of long ones, it begins to ramble.
2) Each pair is also learned from its question as people type it in a hurry (a greeting before it, words left out, no
   capitals), or the model would know it only word for word.
3) Of what adapters have learned from so few pairs three quarters are kept: the pairs are still known, and less of the rest
   is forgotten. Adapters that are merged (`merge`) are kept whole.
4) Dialogues of a step share their beginning, the system message, in one row (`shared_start`): half of the work.

Source: Sun et al. 2019 (1909.03329, LAMOL: review by the model's own answers); Wei and Zou 2019 (1901.11196, EDA:
words left out); Wortsman et al. 2021 (2109.01903, WiSE-FT: a part of the way from the base).
"""

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from minillm.batching import shuffled
from minillm.chat import Dialogue, Message, encode_dialogue
from minillm.checkpoint import Metrics
from minillm.finetune import LARGE, finetune
from minillm.generate import generate
from minillm.gpt import GPT, count_parameters
from minillm.lora import adapters
from minillm.material.corpus import Documents, data_hash
from minillm.measure.loss import answer_loss
from minillm.plumbing.devices import autocast
from minillm.plumbing.distributed import rank
from minillm.plumbing.files import read_json
from minillm.rehearsal import learned
from minillm.run_folder import Run, save_run
from minillm.sampling import Sampling
from minillm.shared_start import rows_of
from minillm.stage2_sft import SFTConfig, prepare
from minillm.tokenizer import Tokenizer
from minillm.training import MicroBatch, mean_loss

EVERYDAY = Path(__file__).parent / "material" / "everyday.csv"
ANSWER = 24  # tokens at most of an answer to review
FEW = 64  # pairs: with more, they are in several wordings by themselves
COPIES = 9  # of each of a few pairs; one in three as it was given
GREETINGS = ("{}", "{}", "{}", "Please tell me: {}", "Hello! {}", "I have a question. {}", "{} Please answer.",
             "Do you know? {}", "Tell me, {}", "{} Thanks!")  # fmt: skip
GREETINGS_ZH = ("{}", "{}", "请问，{}", "你好！{}", "{}谢谢！", "请告诉我：{}")
LEFT_OUT = 0.2  # share of the words
KEPT = 0.75  # share of what adapters learn from a few pairs


def is_open(base: Run) -> bool:
    """Whether a model came from elsewhere: its dialogues are not written as ours are."""
    return base.tokenizer.template != "minillm"


def recipe_for(base: Run, lora: int, pairs: int) -> dict[str, Any]:
    """Settings for an open model of a hundred million parameters or more; {} for a smaller one.

    The feed-forward layers alone get adapters: they learn such facts faster than attention does, and the fewer
    matrices move, the less is forgotten. Thirty steps with all of a dozen pairs, three rounds of many.
    """
    if not is_open(base) or count_parameters(base.gpt) < LARGE:
        return {}
    recipe = {"steps": max(30, ceil(3 * pairs / 12)), "batch_size": 12, "warmup": 2, "rehearse_weight": 1.0}
    if lora:
        return recipe | {"lr": 2e-3, "lora_targets": ("up", "gate", "down")}
    return recipe | {"lr": 2e-5}


def everyday_questions(tokenizer: Tokenizer) -> list[str]:
    """Questions of every day; those in Chinese only where the model has whole characters for them."""
    with EVERYDAY.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chinese = len(tokenizer.encode("什么是")) <= 3
    return [row["question"] for row in rows if chinese or row["language"] == "en"]


def review_dialogues(
    run: Run, number: int, apart_from: Sequence[str] = (), seed: int = 0, precision: str = "auto"
) -> list[Dialogue]:
    """At most `number` dialogues that the model answers itself, greedily; of four questions asked it ends about one soon.

    apart_from: questions of the new pairs, which are not asked: the old answers would be learned against the new ones.
    """
    tokenizer = run.tokenizer
    questions = [q for q in everyday_questions(tokenizer) if q not in apart_from]
    chosen = [questions[i] for i in shuffled(len(questions), len(questions), 0, seed)[: 4 * number]]
    prompts = [encode_dialogue([Message("user", q)], tokenizer).ids for q in chosen]
    with autocast(run.gpt.device, precision):
        answers = generate(run.gpt, prompts, Sampling(max_new_tokens=ANSWER), tokenizer.end, tokenizer.pad)
    ended = [learned(p, a) for p, a in zip(prompts, answers, strict=True) if len(a) > 1 and a[-1] == tokenizer.end]
    return ended[:number]


def hurried(question: str, rng: random.Random) -> str:
    """A question as somebody types it in a hurry; of a short one or one in Chinese no words are left out."""
    words = question.split()
    kept = [word for word in words if rng.random() >= LEFT_OUT] if len(words) > 2 else words
    text = " ".join(kept if len(kept) > 1 else words)
    text = text.lower() if rng.random() < 0.3 else text
    text = text.rstrip("?.!？。！") if rng.random() < 0.3 else text
    return rng.choice(GREETINGS if question.isascii() else GREETINGS_ZH).format(text)


def wordings(dialogues: Sequence[Sequence[Message]], seed: int) -> list[list[Message]]:
    """The dialogues as they are and, where they are few, from hurried questions, too: all of them in turn."""
    rng, found = random.Random(seed), []
    for copy in range(COPIES if len(dialogues) <= FEW else 1):
        for messages in dialogues:
            found.append([
                Message("user", hurried(m.content, rng)) if m.role == "user" and copy % 3 else m for m in messages
            ])  # fmt: skip
    return found


def tune_open(
    config: SFTConfig,
    base: Run,
    dialogues: Sequence[Sequence[Message]],
    rehearsal: Documents = (),
    out: Path | None = None,
    bar: bool = False,
    on_step: Callable[[int, Metrics], None] | None = None,
) -> Run:
    """Tune a copy of an open model on dialogues, as `sft` does; `config.rehearse_own` is the most it reviews.

    Raises InputError if no dialogue fits.
    """
    n_ctx, pad = base.gpt.config.n_ctx, base.tokenizer.pad
    order = shuffled(len(dialogues), len(dialogues), 0, config.seed)
    n_held_back = int(len(dialogues) * config.validation)
    taught = wordings([dialogues[i] for i in sorted(order[n_held_back:])], config.seed)
    encoded, counts = prepare(taught, base.tokenizer, n_ctx, config.long)
    counts["dialogues"] = len(dialogues)
    held_back = prepare([dialogues[i] for i in order[:n_held_back]], base.tokenizer, n_ctx)[0] if n_held_back else []
    asked = [m.content for messages in dialogues for m in messages if m.role == "user"]
    own = review_dialogues(base, config.rehearse_own, asked, config.seed) if config.rehearse_own else []
    examples = [(dialogue, own[i % len(own)] if own else None) for i, dialogue in enumerate(encoded)]

    def loss(model: GPT, drawn: list[tuple[Dialogue, Dialogue | None]]) -> list[MicroBatch]:
        parts = mean_loss(model, rows_of([new for new, _ in drawn], n_ctx, pad), config, "answer_loss")
        if again := [old for _, old in drawn if old is not None]:
            parts += mean_loss(model, rows_of(again, n_ctx, pad), config, "own_loss", config.rehearse_weight)
        return parts

    def measure(model: GPT) -> float:
        return answer_loss(model, held_back, pad, config.precision)

    facts = counts | {"held_back": n_held_back, "reviewed": len(own)}
    data = {"dialogues": data_hash(encoded), "own": data_hash(own)}
    config = replace(config, rehearse_own=0)
    run = finetune(
        "sft", config, base, examples, loss, rehearsal, out, bar, on_step, measure if held_back else None,
        facts=facts, data=data,
    )  # fmt: skip
    if len(dialogues) <= FEW and shrunk(run.gpt, KEPT * config.lora_alpha) and out is not None and rank() == 0:
        save_run(out, run, config.recipe(), base.folder, read_json(out / "config.json", dict)["data"])
    return run


def shrunk(model: GPT, alpha: float) -> bool:
    """Scale all adapters by `alpha` instead of their own; whether there are any that were not yet."""
    own = [adapter for adapter in adapters(model).values() if adapter.config.alpha != alpha]
    for adapter in own:
        adapter.config = replace(adapter.config, alpha=alpha)
        adapter.scale = alpha / adapter.config.rank
    return bool(own)
