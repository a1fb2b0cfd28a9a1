"""Whether bf16 is faster than float32 on this processor: timed once, then read from a file.

A processor may name bf16 among its abilities and yet be slower at it, so what counts is a step of training. The
answer must not change from run to run, since the two formats give different numbers: bf16 is taken only where it is
clearly faster, and what was found is kept in the user's cache folder.
"""

import json
import os
import platform
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from minillm.plumbing.files import InputError, read_json, write_json

CLEARLY = 1.05  # times as fast: below that the choice costs a twentieth at most
TOKENS, WIDTH, WORDS, ROUNDS = 512, 128, 2048, 5


def cache_file() -> Path:
    """Where the answer is kept: `minillm/precision.json` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minillm" / "precision.json"


@lru_cache(maxsize=1)
def bf16_is_faster() -> bool:
    """The answer for this machine: from the file if it was found there before, else timed, which takes half a second."""
    able = sorted(name for name, has in torch.cpu.get_capabilities().items() if has is True)
    about = json.loads(json.dumps([platform.node(), platform.processor(), torch.__version__, able]))
    with suppress(InputError):  # none yet, or not one that can be read
        kept = read_json(cache_file(), dict)
        if kept.get("machine") == about and isinstance(kept.get("bf16"), bool):
            return kept["bf16"]
    seconds = {name: min(times) for name, times in timed().items()}
    faster = seconds["fp32"] > CLEARLY * seconds["bf16"]
    with suppress(InputError, OSError):  # a folder that cannot be written to is no reason to stop
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        write_json(cache_file(), {"machine": about, "bf16": faster, "seconds": seconds})
    return faster


def timed() -> dict[str, list[float]]:
    """Seconds of steps in either format, in turns, on one thread, as a micro-batch is computed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.ReLU(), nn.Linear(4 * WIDTH, WIDTH), nn.LayerNorm(WIDTH)
        )
        head, x = nn.Linear(WIDTH, WORDS, bias=False), torch.ones(TOKENS, WIDTH)
        times: dict[str, list[float]] = {"fp32": [], "bf16": []}
        for _ in range(ROUNDS + 1):
            for name, own in times.items():
                begin = perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
                    loss = head(network(network(x))).float().logsumexp(-1).mean()  # (N, C) -> (N, V) -> (N) -> ()
                torch.autograd.grad(loss, [*network.parameters(), *head.parameters()])
                own.append(perf_counter() - begin)
    finally:
        torch.set_num_threads(threads)
    return {name: own[1:] for name, own in times.items()}  # the first warmed up
