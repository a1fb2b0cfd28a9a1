"""What an observation depends on: the code that measures it, the tables of facts, and the demo's settings.

Two observations of one seed with the same recipe are the same, so that one need not be made again; and a
published result whose recipe is not today's was measured with other code, which its page says.
"""

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from threading import Lock

from minillm.claims.experiment import Claim
from minillm.demo import DemoConfig, fast_config
from minillm.stage1_pretrain import PretrainConfig
from minillm.stage2_sft import SFTConfig

PACKAGE = Path(__file__).parents[1]
ASIDE = tuple(f"minillm.{name}" for name in (
    "plumbing", "run_folder", "checkpoint", "session", "demo", "material", "bpe", "generate", "kv_cache",
    "claims.experiment", "claims.intervals", "claims.figures", "claims.pages",
))  # fmt: skip
"""What experiments import that changes no number: it reads, keeps, or shows; or it is fast at what a plain version
defines, with which tests compare it: merges (`bpe`), `sampling.generate_plain` (`generate`, `kv_cache`). Of demo.py
they take settings alone."""
DEMO = ("documents", "vocab_size", "pretrain_steps", "sft_steps", "scratch_steps")
"""The settings that experiments take from demo.py, and those about stage 3 `preference_steps`."""
CORPUS = "minillm.material.corpus"  # but this makes rows of text
SHOWN = ("CLAIM", "picture")
"""What a claim's module says of how an observation is shown and judged."""
PARSING = Lock()  # Python 3.11 raises SystemError where two threads parse at a time


def parse(source: str) -> ast.Module:
    with PARSING:
        return ast.parse(source)


def measuring(source: str) -> str:
    """The lines of a module that can change a number: no docstrings, comments or blank lines, and none of what is
    only SHOWN. Lines, not a syntax tree written out anew, whose text depends on Python's version."""
    dropped: set[int] = set()
    tree = parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            dropped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for node in tree.body:
        name = getattr(node.targets[0], "id", None) if isinstance(node, ast.Assign) else getattr(node, "name", None)
        if name in SHOWN:
            dropped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return "\n".join(line for i, line in lines if i not in dropped and line.strip() and line.strip()[0] != "#")


def imported(source: str) -> Iterator[Path]:
    """The modules of this package that a module imports, those ASIDE left out."""
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name.startswith("minillm.") and (name == CORPUS or not name.startswith(ASIDE)):
                stem = PACKAGE.parent.joinpath(*name.split("."))
                yield from (path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file())


@cache
def code(path: Path) -> tuple[str, tuple[Path, ...]]:
    """Of a module what measures, and what it imports."""
    source = path.read_text(encoding="utf-8")
    return measuring(source), tuple(imported(source))


def experiment(claim: Claim) -> dict[str, str]:
    """What of each module that the claim's experiment runs through measures, and the tables of facts, by path."""
    own = inspect.getsource(sys.modules[claim.measure.__module__])
    found, left = (
        {"": measuring(own)},
        [*imported(own), *(PACKAGE / "claims" / f"{name}.py" for name in ("lab", "marks"))],
    )
    while left:
        path = left.pop()
        name = path.relative_to(PACKAGE).as_posix()
        if name not in found:
            found[name], more = code(path)
            left += more
    tables = sorted((PACKAGE / "world" / "tables").glob("*.csv"))
    return found | {path.name: path.read_text(encoding="utf-8") for path in tables}


def recipe(claim: Claim) -> str:
    """The hash of the code and the settings that measure a claim."""
    modules = experiment(claim)
    taken = (*DEMO, "preference_steps") if "stage3_preference/dpo.py" in modules else DEMO
    demos = [{name: getattr(demo, name) for name in taken} for demo in (fast_config(), DemoConfig())]
    about = json.dumps([modules, demos, asdict(PretrainConfig()), asdict(SFTConfig())], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()[:16]
