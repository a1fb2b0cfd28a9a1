"""The commands of reinforcement learning: `reward`, `best-of-n`, `rl`."""

import importlib
import json
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from minillm import run_folder
from minillm.batching import shuffled
from minillm.chat import Message
from minillm.checkpoint import Metrics
from minillm.commands.common import check_rank, no_effect, only
from minillm.commands.stages import announce_idle, show_report
from minillm.material import records
from minillm.material.text_files import TextFiles
from minillm.plumbing import distributed
from minillm.plumbing.checks import a_seed, above_0, at_least_1
from minillm.plumbing.devices import pick_device
from minillm.plumbing.files import InputError, read_json, write_text
from minillm.plumbing.terminal import first_process, note
from minillm.sampling import Sampling
from minillm.stage3_preference.best_of_n import divergence, expected_best
from minillm.stage3_preference.grpo import GRPOConfig, grpo
from minillm.stage3_preference.pairs import encode_preferences
from minillm.stage3_preference.ppo import OWN, PPOConfig, ppo
from minillm.stage3_preference.reward_model import RewardConfig, pair_accuracy, reward_model
from minillm.stage3_preference.rewards import named_rewards, taught_questions, users_own
from minillm.stage3_preference.rollouts import Rollouts, encode_prompts, sample
from minillm.world.tables import load_world


@dataclass(frozen=True, kw_only=True)
class Reward(RewardConfig):
    """Train a reward model on pairs of a better and a worse answer, for `rl --reward run:FOLDER`."""

    base: Path
    """Run folder of the model to start from."""
    preferences: tuple[Path, ...]
    """Files of prompt, chosen, rejected, as texts or as messages, in JSON, JSON lines or CSV."""
    out: Path
    """Run folder to write."""
    judge: tuple[Path, ...] = ()
    """Files of such pairs that are only judged, at the end: on what can it be relied?"""
    rehearse: tuple[Path, ...] = ()
    """Raw text to learn with the pairs (with --rehearse-rows)."""
    encoding: str | None = None
    """Encoding of files that are not UTF-8, such as gb18030."""
    strict: bool = False
    """Refuse files with records that cannot be used, instead of leaving these out."""

    def run(self) -> None:
        announce_idle(self)
        base = run_folder.load_run(self.base)
        check_rank(self.lora, base)
        found = records.read_preferences(self.preferences, self.strict, self.encoding)
        n_ctx, pad = base.gpt.config.n_ctx, base.tokenizer.pad
        judged = {
            path: encode_preferences(
                records.read_preferences((path,), self.strict, self.encoding), base.tokenizer, n_ctx
            )
            for path in self.judge
        }
        rehearsal = TextFiles(self.rehearse, encoding=self.encoding, strict=self.strict) if self.rehearse else ()
        with distributed.processes(pick_device(self.device)) as device:
            config = replace(only(RewardConfig, self), device=str(device))
            run = reward_model(config, base, found, rehearsal, self.out, bar=True)
            show_report(run, self.out)
            for path, pairs in judged.items() if distributed.rank() == 0 else ():
                right = pair_accuracy(run.gpt, pairs, pad, config.precision)
                print(f"{path}: {right:.1%} of {len(pairs)} pairs judged rightly")


@dataclass(frozen=True, kw_only=True)
class Rl(PPOConfig):
    """Stage 3 by reinforcement: tune an assistant on its own answers, by a reward."""

    base: Path
    """Run folder of the assistant to start from."""
    prompts: str
    """A file of prompts or dialogues, whose last question is asked, or `world`: all that the built-in world teaches."""
    out: Path
    """Run folder to write."""
    rehearse: tuple[Path, ...] = ()
    """Raw text to learn with the answers (with --rehearse-rows)."""
    encoding: str | None = None
    """Encoding of files that are not UTF-8, such as gb18030."""
    strict: bool = False
    """Refuse files with records that cannot be used, instead of leaving these out."""

    def run(self) -> None:
        announce_idle(self)
        if self.kl == "none":
            no_effect(self, "with --kl none", "beta")
        if self.epochs * self.minibatches == 1:
            no_effect(self, "with one update for each sample nothing is clipped", "clip_low", "clip_high")
        if self.method != "grpo":
            no_effect(self, f"with --method {self.method}", "divide_by_std")
        if self.method == "ppo":
            no_effect(self, "with --method ppo", "mean")
        else:
            no_effect(self, f"with --method {self.method}", *OWN)
        no_effect(self, "each process holds the whole model", "shard")
        check_own(self.reward)
        base = run_folder.load_run(self.base)
        check_rank(self.lora, base)
        rehearsal = TextFiles(self.rehearse, encoding=self.encoding, strict=self.strict) if self.rehearse else ()
        learn, settings = (ppo, PPOConfig) if self.method == "ppo" else (grpo, GRPOConfig)
        asked = conversations(self.prompts, self.base, self.seed, self.strict, self.encoding)
        with distributed.processes(pick_device(self.device)) as device:
            config = replace(only(settings, self), device=str(device))
            with distributed.alike(device), own_faults_named():
                run = learn(config, base, asked, rehearsal, self.out, bar=True, on_step=check_step)
            show_report(run, self.out)


@dataclass(frozen=True, kw_only=True)
class BestOfN:
    """Let a model write n answers to each prompt and keep the best by a reward; nothing is trained."""

    run_folder: Annotated[Path, tyro.conf.arg(name="run")]
    """Run folder of the model."""
    prompts: str
    """A file of prompts or dialogues, whose last question is asked, or `world`: all that the built-in world teaches."""
    reward: tuple[str, ...] = ("true-sentence",)
    """What the best is chosen by, as for `rl`."""
    truth: tuple[str, ...] = ()
    """A second reward to watch while the first one grows, such as the true one next to a learned one."""
    n: int = 16
    """Answers to each prompt."""
    most: int | None = 200
    """Prompts, drawn at random where there are more; all of them if None."""
    temperature: float = 1.0
    """Of the sampling."""
    max_new_tokens: int = 32
    """An answer that is longer is cut, and its reward is 0."""
    out: Path | None = None
    """A file for the best answers, as pairs that `sft` reads."""
    seed: int = 0
    """Seed of the sampling."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    encoding: str | None = None
    """Encoding of a file that is not UTF-8, such as gb18030."""
    strict: bool = False
    """Refuse a file with records that cannot be used, instead of leaving these out."""

    def __post_init__(self) -> None:
        at_least_1(self, "n", "most", "max_new_tokens")
        above_0(self, "temperature")
        a_seed(self, "seed")

    def run(self) -> None:
        if self.out is not None and self.out.exists():
            raise InputError(f"{self.out}: is there already; choose another --out")
        check_own(self.reward + self.truth)
        with distributed.processes(pick_device(self.device)) as device, distributed.alike(device), own_faults_named():
            self.choose(device)

    def choose(self, device: torch.device) -> None:
        """Sample, show what the best of n are worth, and write them."""
        model = run_folder.load_run(self.run_folder, device)
        asked = conversations(self.prompts, self.run_folder, self.seed, self.strict, self.encoding)
        prompts = encode_prompts(asked, model.tokenizer, model.gpt.config.n_ctx - self.max_new_tokens)
        some = [prompts[i] for i in shuffled(len(prompts), min(self.most or len(prompts), len(prompts)), 0, self.seed)]
        sampling = Sampling(self.max_new_tokens, self.temperature, seed=self.seed)
        questions = [prompt.question for prompt in some]
        reward, true = named_rewards(self.reward), named_rewards(self.truth) if self.truth else None
        if first_process():  # it may take minutes, if n is large
            print(f"{len(some):,} of {len(prompts):,} prompts, {self.n} answers each", flush=True)
        rollouts = sample(model.gpt, model.tokenizer, some, reward, sampling, self.n)
        table = self.table(rollouts, questions, true)
        if first_process():
            print(table)
            if self.out is not None:
                self.write(rollouts, questions, self.out)

    def write(self, rollouts: Rollouts, questions: Sequence[str], out: Path) -> None:
        """The best answer to each question as a pair; none where the best was cut: it would be learned as whole."""
        best = rollouts.rewards.view(-1, self.n).argmax(-1).tolist()  # (R) -> (N, n) -> (N)
        rows = [(question, i * self.n + k) for i, (question, k) in enumerate(zip(questions, best, strict=True))]
        pairs = [{"prompt": q, "completion": rollouts.answers[row]} for q, row in rows
                 if rollouts.ended[row] and rollouts.answers[row]]  # fmt: skip
        write_text(out, "".join(f"{json.dumps(pair, ensure_ascii=False)}\n" for pair in pairs))
        print(f"the best answers that came to their end, {len(pairs):,}: {out}")

    def table(self, rollouts: Rollouts, questions: Sequence[str], true: Callable[[str, str], float] | None) -> str:
        """The mean reward of the best of 1, 2, 4 … n, and what it costs in divergence."""
        rewards = rollouts.rewards.view(-1, self.n)  # (R) -> (N, n)
        columns = [(" + ".join(self.reward), rewards)]
        if true is not None:
            rows = (questions[i // self.n] for i in range(len(rollouts.answers)))
            marks = [true(q, a) if e else 0.0 for q, a, e in zip(rows, rollouts.answers, rollouts.ended, strict=True)]
            columns.append((" + ".join(self.truth), torch.tensor(marks).view(-1, self.n)))  # (R) -> (N, n)
        lines = ["     n  KL at most, nats  " + "  ".join(name for name, _ in columns)]
        for n in sorted({2**i for i in range(self.n.bit_length())} | {self.n}):
            means = ((name, expected_best(rewards, column, n).mean().item()) for name, column in columns)
            shown = "  ".join(f"{mean:{len(name)}.3f}" for name, mean in means)
            lines.append(f"{n:6}  {divergence(n):16.2f}  {shown}")
        return "\n".join(lines)


def check_step(step: int, metrics: Metrics) -> None:
    """Raise InputError unless all processes had the same figures: each asks for the rewards itself."""
    distributed.check_equal({f"what was learned in step {step}": metrics})


def check_own(names: Sequence[str]) -> None:
    """Raise InputError for a reward of one's own that is not named as module:function."""
    for name in names:
        module = name.partition(":")[0]
        if ":" in name and (module.endswith(".py") or not all(part.isidentifier() for part in module.split("."))):
            raise InputError(f"--reward {name}: name the module as import does: mine:good for good of mine.py, in the "
                             "folder where you start")  # fmt: skip


@contextmanager
def own_faults_named() -> Iterator[None]:
    """What goes wrong inside in a user's reward function, or where its file is imported, is told in one line with its
    place. Raises InputError; other errors pass."""
    try:
        yield
    except (InputError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        if (place := own_place(error)) is None:
            raise
        said = error.msg if isinstance(error, SyntaxError) else error
        what = f"{type(error).__name__}: {said}".split("\n")[0][:200]
        raise InputError(f"{place}: {what}: --reward calls it as function(question, answer); fix it") from None


def own_place(error: BaseException) -> str | None:
    """The file and line of a user's module where an error came from; None if none was at work."""
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    of_reward = [i for i, (code, _) in enumerate(frames) if code.co_qualname.startswith(users_own.__name__)]
    if not of_reward:
        return None
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    inner = [(code.co_filename, line) for code, line in frames[of_reward[-1] + 1 :]]
    own = [(file, line) for file, line in inner if "<frozen" not in file and file != importlib.__file__]
    if not own:  # it could not be called
        return "--reward"
    return next(f"{file}:{line}" for file, line in reversed(own) if file == own[0][0])


def conversations(
    prompts: str, folder: Path, seed: int, strict: bool = False, encoding: str | None = None
) -> list[list[Message]]:
    """What is asked: the questions of a file, or the half of the world that the run in `folder` was taught. Which half
    follows from the seed of its own training; from `seed`, where its report names none."""
    if prompts == "world":
        report = folder / "report.json"
        taught = read_json(report, dict).get("seed", seed) if report.is_file() else seed
        note(f"world: what is taught with seed {taught}; evaluate --seed {taught} asks about the rest")
        return [[Message("user", text)] for text in taught_questions(load_world(), taught)]
    found = records.read_questions([prompts], strict, encoding)
    if more := sum(len(messages) > 1 for messages in found):
        note(
            f"{more:,} of {len(found):,} prompts have a system message or earlier turns: the last question alone is asked"
        )
    return found
