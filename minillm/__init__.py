"""minillm: read, build and measure a large language model from scratch.

    import minillm
    minillm.load("runs/demo/sft").ask("台湾最高的山是哪座？")   # '玉山'

The modules, in the order to read them: tokenizer, gpt_config, gpt, kv_cache, generate, lora, chat, batching, optim,
training, session, finetune, stage1_pretrain, stage2_sft, stage3_preference, measure.

A name is imported when it is first used: PyTorch takes seconds to load, and not everything needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors and type checkers
    from minillm.assistant import Assistant, load
    from minillm.chat import Message, Preference
    from minillm.gpt import GPT
    from minillm.gpt_config import GPTConfig
    from minillm.lora import LoRAConfig
    from minillm.plumbing.files import InputError
    from minillm.sampling import Sampling
    from minillm.stage1_pretrain import PretrainConfig, pretrain
    from minillm.stage2_sft import SFTConfig, sft
    from minillm.stage3_preference import PreferenceConfig, prefer
    from minillm.tokenizer import Tokenizer

MODULES = {
    "assistant": ("Assistant", "load"),
    "chat": ("Message", "Preference"),
    "gpt": ("GPT",),
    "gpt_config": ("GPTConfig",),
    "lora": ("LoRAConfig",),
    "plumbing.files": ("InputError",),
    "sampling": ("Sampling",),
    "stage1_pretrain": ("PretrainConfig", "pretrain"),
    "stage2_sft": ("SFTConfig", "sft"),
    "stage3_preference": ("PreferenceConfig", "prefer"),
    "tokenizer": ("Tokenizer",),
}
__all__ = [
    "GPT",
    "Assistant",
    "GPTConfig",
    "InputError",
    "LoRAConfig",
    "Message",
    "Preference",
    "PreferenceConfig",
    "PretrainConfig",
    "SFTConfig",
    "Sampling",
    "Tokenizer",
    "load",
    "prefer",
    "pretrain",
    "sft",
]


def __getattr__(name: str) -> object:
    """Import what is asked for: `minillm.NAME` (PEP 562). Raises AttributeError if there is no such thing."""
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(f"minillm.{module}"), name)
    try:
        return import_module(f"minillm.{name}")  # a module, such as minillm.tokenizer
    except ModuleNotFoundError as error:
        if error.name != f"minillm.{name}":
            raise
        raise AttributeError(f"module 'minillm' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
