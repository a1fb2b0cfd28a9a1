"""The code of a lesson as the notebook of one language shows it."""

import ast
import shutil
import subprocess
from collections.abc import Sequence
from typing import TypeGuard

from minillm.plumbing.files import InputError

LANGUAGES = ("en", "zh")
WIDTH = 88
CHOOSERS = ("say", "label")
BETWEEN = "# %% the next cell\n"


def code_of(cells: Sequence[str], language: str) -> list[str]:
    """The cells of a lesson with the texts of one language, without imports that this leaves unused, in lines of
    WIDTH characters. Raises InputError if ruff is not installed or cannot read a cell."""
    return laid_out(without_choosers([in_language(cell, language) for cell in cells]))


def in_language(code: str, language: str) -> str:
    """The code with each `say(en, zh)` and `label(en, zh)` replaced by the argument of the language."""
    while calls := [node for node in ast.walk(ast.parse(code)) if is_choice(node)]:
        call = calls[0]  # breadth first: no other choice is around it
        chosen = ast.get_source_segment(code, call.args[LANGUAGES.index(language)])
        assert chosen is not None
        lines = code.encode().splitlines(keepends=True)
        before = b"".join(lines[: call.lineno - 1]) + lines[call.lineno - 1][: call.col_offset]
        assert call.end_lineno is not None and call.end_col_offset is not None
        after = lines[call.end_lineno - 1][call.end_col_offset :] + b"".join(lines[call.end_lineno :])
        code = before.decode() + chosen + after.decode()
    return code


def is_choice(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether it is `say(en, zh)` or `label(en, zh)` with both texts in their places."""
    return (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CHOOSERS
            and len(node.args) == 2 and not any(isinstance(a, ast.Starred) for a in node.args))  # fmt: skip


def without_choosers(cells: Sequence[str]) -> list[str]:
    """The cells without the imports of `say` and `label`, where no cell uses them any more."""
    used = {n.id for cell in cells for n in ast.walk(ast.parse(cell)) if isinstance(n, ast.Name)}
    unused = set(CHOOSERS) - used
    return [without_names(cell, unused) for cell in cells]


def without_names(cell: str, names: set[str]) -> str:
    """The cell with some names taken out of its `from … import …`."""
    lines = cell.splitlines()
    for node in reversed([n for n in ast.parse(cell).body if isinstance(n, ast.ImportFrom)]):
        kept = [alias for alias in node.names if alias.name not in names]
        if len(kept) < len(node.names):
            node.names = kept
            lines[node.lineno - 1 : node.end_lineno] = [ast.unparse(node)] if kept else []
    return "\n".join(lines)


def laid_out(cells: Sequence[str]) -> list[str]:
    """The cells as ruff lays them out, in one call."""
    ruff = shutil.which("ruff") or beside_python("ruff")
    if ruff is None:
        raise InputError("ruff is not installed: it lays out the code of the notebooks: make lab")
    joined = BETWEEN.join(cell.replace("  # fmt: skip", "").rstrip() + "\n" for cell in cells)
    command = [ruff, "format", "--isolated", f"--line-length={WIDTH}", "--stdin-filename=lesson.py", "-"]
    done = subprocess.run(command, input=joined.encode(), capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"ruff cannot read the lesson: {done.stderr.decode().strip()}")
    return [cell.strip("\n") for cell in done.stdout.decode().split(BETWEEN)]


def beside_python(name: str) -> str | None:
    """A program in the folder of this Python, as in a virtual environment that is not activated."""
    import sys
    from pathlib import Path

    return shutil.which(name, path=str(Path(sys.executable).parent))
