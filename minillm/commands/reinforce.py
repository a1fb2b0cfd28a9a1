"""The commands of reinforcement learning: `reward`, `rl`."""

from dataclasses import dataclass, replace
from pathlib import Path

from minillm import run_folder
from minillm.chat import Message
from minillm.commands.common import no_effect, only
from minillm.commands.stages import announce_idle, show_report
from minillm.material import records
from minillm.material.text_files import TextFiles
from minillm.plumbing import distributed
from minillm.plumbing.devices import pick_device
from minillm.stage3_preference.grpo import GRPOConfig, grpo
from minillm.stage3_preference.ppo import OWN, PPOConfig, ppo
from minillm.stage3_preference.reward_model import RewardConfig, reward_model
from minillm.stage3_preference.rewards import taught_questions
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
    rehearse: tuple[Path, ...] = ()
    """Raw text to learn with the pairs (with --rehearse-rows)."""
    encoding: str | None = None
    """Encoding of files that are not UTF-8, such as gb18030."""
    strict: bool = False
    """Refuse files with records that cannot be used, instead of leaving these out."""

    def run(self) -> None:
        announce_idle(self)
        base = run_folder.load_run(self.base)
        found = records.read_preferences(self.preferences, self.strict, self.encoding)
        rehearsal = TextFiles(self.rehearse, encoding=self.encoding, strict=self.strict) if self.rehearse else ()
        with distributed.processes(pick_device(self.device)) as device:
            config = replace(only(RewardConfig, self), device=str(device))
            show_report(reward_model(config, base, found, rehearsal, self.out, bar=True), self.out)


@dataclass(frozen=True, kw_only=True)
class Rl(PPOConfig):
    """Stage 3 by reinforcement: tune an assistant on its own answers, by a reward."""

    base: Path
    """Run folder of the assistant to start from."""
    prompts: str
    """A file of dialogues, of which the last question is asked, or `world`: all that the built-in world teaches."""
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
        if self.method != "grpo":
            no_effect(self, f"with --method {self.method}", "divide_by_std")
        if self.method == "ppo":
            no_effect(self, "with --method ppo", "mean")
        else:
            no_effect(self, f"with --method {self.method}", *OWN)
        base = run_folder.load_run(self.base)
        rehearsal = TextFiles(self.rehearse, encoding=self.encoding, strict=self.strict) if self.rehearse else ()
        learn, settings = (ppo, PPOConfig) if self.method == "ppo" else (grpo, GRPOConfig)
        config = replace(only(settings, self), device=str(pick_device(self.device)))
        show_report(learn(config, base, self.conversations(), rehearsal, self.out, bar=True), self.out)

    def conversations(self) -> list[list[Message]]:
        """What is asked."""
        if self.prompts == "world":
            return [[Message("user", text)] for text in taught_questions(load_world(), self.seed)]
        return records.read_dialogues([self.prompts], self.strict, self.encoding)
