"""What an observation depends on: the code that measures it and the settings of the demo.

Two observations of one seed with the same recipe are the same, so that one need not be made again; and a
published result whose recipe is not today's was measured with other code, which its page says.
"""

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from threading import Lock

from minillm.claims.experiment import Claim
from minillm.demo import DemoConfig, fast_config
from minillm.stage1_pretrain import PretrainConfig
from minillm.stage2_sft import SFTConfig

PACKAGE = Path(__file__).parents[1]
ENGINE = (
    "tokenizer", "gpt_config", "gpt", "lora", "chat", "generate", "batching", "packing", "optim", "training",
    "finetune", "stage1_pretrain", "stage2_sft", "stage3_preference", "assistant", "base_cache", "world",
    "measure/evaluate", "measure/loss", "measure/drift",
    "claims/lab", "claims/marks", "claims/tasks", "claims/passages", "claims/adapter_kinds",
)  # fmt: skip
"""What all experiments run through: modules, and folders with all that is in them."""
SHOWN = ("CLAIM", "picture")
"""What a claim's module says of how an observation is shown and judged."""
PARSING = Lock()  # Python 3.11 raises SystemError where two threads parse at a time


def measuring(source: str, aside: Sequence[str] = ()) -> str:
    """The lines of a module that can change a number: no docstrings, comments or blank lines, and without the
    definitions named `aside`. Lines, not a syntax tree written out anew, whose text depends on Python's version."""
    dropped: set[int] = set()
    with PARSING:
        tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            dropped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for node in tree.body:
        name = getattr(node.targets[0], "id", None) if isinstance(node, ast.Assign) else getattr(node, "name", None)
        if name in aside:
            dropped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return "\n".join(line for i, line in lines if i not in dropped and line.strip() and line.strip()[0] != "#")


@cache
def engine() -> str:
    """The hash of what all experiments run through, tables of facts included."""
    digest = hashlib.sha256()
    for name in ENGINE:
        path = PACKAGE / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            if file.suffix in (".py", ".csv"):
                text = file.read_text(encoding="utf-8")
                digest.update((measuring(text) if file.suffix == ".py" else text).encode())
    return digest.hexdigest()


def experiment(claim: Claim) -> str:
    """What of the claim's own module measures: all but its picture, its texts and its thresholds."""
    return measuring(inspect.getsource(sys.modules[claim.measure.__module__]), SHOWN)


def recipe(claim: Claim) -> str:
    """The hash of the code and the settings that measure a claim."""
    settings = [asdict(config) for config in (fast_config(), DemoConfig(), PretrainConfig(), SFTConfig())]
    about = json.dumps([engine(), experiment(claim), settings], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()[:16]
