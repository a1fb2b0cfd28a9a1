"""TrainConfig: the hyperparameters and options of a run that all stages share."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from minillm.plumbing.checks import a_seed, above_0, at_least_0, at_least_1, check_types, must_be
from minillm.plumbing.files import InputError

MAY_CHANGE = ("resume", "overwrite", "checkpoint_every", "device", "shard")  # nothing in the result depends on them
MOST_ROWS = 2**20  # in a batch: with more it would be drawn for minutes before it is found not to fit into memory


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What the loop needs to know. Raises InputError for numbers out of range."""

    steps: int
    """Number of updates."""
    batch_size: int
    """Rows of text, dialogues or preference pairs per step."""
    lr: float
    """Learning rate of AdamW."""
    muon_lr: float | None = None
    """Learning rate of Muon for the matrices inside the blocks; AdamW does everything if unset."""
    warmup: int = 10
    """Steps in which the learning rate rises to its full value."""
    final_lr: float = 0.0
    """Share of the learning rate that is left at the last step."""
    weight_decay: float = 0.0
    """Decay of AdamW's matrices."""
    clip: float = 1.0
    """The gradient is shortened to this length where it is longer."""
    accumulate: int = 2
    """Micro-batches that a batch is computed in, whose gradients add up: one for each core, or more to save memory."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the matrix products; auto takes bf16 where the processor is faster at it."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """cpu, cuda or mps; auto takes the best there is."""
    shard: bool = False
    """Under torchrun: cut the parameters over the processes instead of a copy in each, for a model too large for one."""
    checkpoint_every: int = 100
    """Write a checkpoint every N steps; 0 for none."""
    resume: bool = False
    """Go on from the newest checkpoint in the output folder."""
    overwrite: bool = False
    """Replace a run that is in the output folder already."""

    def __post_init__(self) -> None:
        check_types(self)
        at_least_1(self, "steps", "batch_size", "accumulate")
        must_be(f"at most {MOST_ROWS:,}", lambda v: v <= MOST_ROWS, self, "batch_size", "accumulate")
        at_least_0(self, "warmup", "checkpoint_every", "weight_decay")
        must_be("from 0 to 1", lambda v: 0 <= v <= 1, self, "final_lr")
        above_0(self, "lr", "clip", "muon_lr")
        a_seed(self, "seed")
        if self.resume and self.overwrite:
            raise InputError("resume goes on with a run and overwrite replaces it: give one of them")

    def recipe(self) -> dict[str, Any]:
        """The settings that the result depends on, as they read back from JSON: a resumed run has the same."""
        lasting = {name: value for name, value in asdict(self).items() if name not in MAY_CHANGE}
        return json.loads(json.dumps(lasting))
