"""Stage 3, preference tuning: answers people like more.

`pairs` makes token ids of a better and a worse answer; `dpo` tunes on them without a reward model. `rewards` says how
good an answer is, `rollouts` lets the model write some, `grpo` tunes it on those.
"""

from minillm.stage3_preference.dpo import PreferenceConfig, dpo_loss, prefer
from minillm.stage3_preference.pairs import encode_preferences, sequence_log_probs

__all__ = ["PreferenceConfig", "dpo_loss", "encode_preferences", "prefer", "sequence_log_probs"]
