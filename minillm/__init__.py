"""minillm: read, build and measure a large language model from scratch.

    import minillm
    minillm.load("runs/demo/sft").ask("台湾最高的山是哪座？")   # '玉山'

The modules, in the order to read them: tokenizer, gpt, generate, lora, chat, batching, optim,
training, checkpoint, stage1_pretrain, stage2_sft, stage3_preference, evaluate.
"""

from minillm.assistant import Assistant, load
from minillm.chat import Message, Preference
from minillm.generate import Sampling
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.lora import LoRAConfig
from minillm.plumbing.files import InputError
from minillm.stage1_pretrain import PretrainConfig, pretrain
from minillm.stage2_sft import SFTConfig, sft
from minillm.stage3_preference import PreferenceConfig, prefer
from minillm.tokenizer import Tokenizer

__all__ = [
    "GPT", "Assistant", "GPTConfig", "InputError", "LoRAConfig", "Message", "Preference", "PreferenceConfig",
    "PretrainConfig", "SFTConfig", "Sampling", "Tokenizer", "load", "prefer", "pretrain", "sft",
]  # fmt: skip
