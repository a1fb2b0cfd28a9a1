"""Stage 3, preference tuning: answers people like more.

`pairs` makes token ids of a better and a worse answer; `dpo` tunes on them without a reward model. `rewards` says how
good an answer is, `reward_model` learns to say it, `rollouts` lets the model write answers, `best_of_n` keeps the best,
`grpo` tunes on them.
"""

from minillm.stage3_preference.dpo import PreferenceConfig, dpo_loss, prefer
from minillm.stage3_preference.pairs import encode_preferences, sequence_log_probs

__all__ = ["PreferenceConfig", "dpo_loss", "encode_preferences", "prefer", "sequence_log_probs"]
