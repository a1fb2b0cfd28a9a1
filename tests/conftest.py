"""What several test files need: a tokenizer trained on a few mixed lines and very small models."""

from collections.abc import Callable

import pytest
import torch

from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.tokenizer import Tokenizer

torch.set_num_threads(1)  # for tensors this small a second thread only costs, a hundredfold on a busy machine

TEXTS = [
    "USER: What is the capital of France? AI: Paris. The capital of Japan is Tokyo.",
    "USER: 台湾最高的山是哪座？ AI:玉山。日本最高的山是富士山，高 3776 公尺。",
    "SYSTEM: Be brief. Good morning 早安, how are you? 你好吗 🙂🙃 naïve café — 100 %",
]


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Trained until no pair is left, so that every word and character above is one token."""
    return Tokenizer.train(TEXTS, 2000)


@pytest.fixture(scope="session")
def make_gpt() -> Callable[..., GPT]:
    """A tiny GPT with rough weights: large, gains not 1, biases not 0, so that every part shows in the logits."""

    def make(config: GPTConfig | None = None, seed: int = 0, **shape) -> GPT:
        gpt = GPT(config or GPTConfig(**dict(n_vocab=23, n_ctx=12, n_layer=2, n_head=2, n_embd=16) | shape))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in gpt.parameters():
                noise = torch.empty_like(p).normal_(0, 0.4, generator=generator)
                p.copy_(noise if p.dim() > 1 else p + noise)
        return gpt.eval()

    return make
