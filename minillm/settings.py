"""What a training run can be told: the settings of the loop, and those that both tuning stages share."""

from dataclasses import dataclass
from typing import Literal

from minillm.lora import TARGETS, LoRAConfig, Target
from minillm.plumbing.checks import a_seed, above_0, at_least_0, at_least_1, check_types, must_be


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What the loop needs to know. Raises InputError for numbers out of range."""

    steps: int
    """Number of updates."""
    batch_size: int
    """Rows of text, dialogues or preference pairs a step."""
    lr: float
    """Learning rate of AdamW."""
    muon_lr: float | None = None
    """Learning rate of Muon for the matrices inside the blocks; AdamW does everything if unset."""
    warmup: int = 10
    """Steps in which the learning rate rises from 0."""
    final_lr: float = 0.0
    """Share of the learning rate that is left at the last step."""
    weight_decay: float = 0.0
    """Decay of AdamW's matrices."""
    clip: float = 1.0
    """The gradient is shortened to this length where it is longer."""
    accumulate: int = 1
    """Micro-batches a batch is computed in, to save memory; the result is the same."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the matrix products; auto takes bf16 where the processor is faster at it."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """cpu, cuda or mps; auto takes the best there is."""
    shard: bool = False
    """Under torchrun: cut the parameters over the processes instead of a copy in each, for a model too large for one."""
    checkpoint_every: int = 100
    """Write a checkpoint every so many steps; 0 for none."""
    resume: bool = False
    """Go on from the newest checkpoint in the output folder."""

    def __post_init__(self) -> None:
        check_types(self)
        at_least_1(self, "steps", "batch_size", "accumulate")
        at_least_0(self, "warmup", "checkpoint_every", "weight_decay")
        must_be("from 0 to 1", lambda v: 0 <= v <= 1, self, "final_lr")
        above_0(self, "lr", "clip", "muon_lr")
        a_seed(self, "seed")


@dataclass(frozen=True, kw_only=True)
class TuneConfig(TrainConfig):
    """What stages 2 and 3 share: rehearsal against forgetting, and LoRA."""

    rehearse_rows: int = 0
    """Rows of pretraining text learned beside each batch, against forgetting."""
    rehearse_weight: float = 1.0
    """Weight of the loss on those rows."""
    lora: int = 0
    """Rank of LoRA adapters; 0 tunes all parameters."""
    lora_alpha: float = 16.0
    """Scale of the adapters: ΔW is multiplied by alpha / rank."""
    lora_dropout: float = 0.0
    """Share of the adapters' inputs set to zero while training."""
    lora_targets: tuple[Target, ...] = TARGETS
    """Names of the linear layers that get an adapter."""
    merge: bool = False
    """Add the adapters to the weights at the end and save a full model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_0(self, "rehearse_rows", "rehearse_weight", "lora")
        _ = self.adapters  # checks the rest

    @property
    def adapters(self) -> LoRAConfig:
        """What LoRA is told; of rank 1 where no adapters are asked for."""
        return LoRAConfig(self.lora or 1, self.lora_alpha, self.lora_dropout, self.lora_targets)
