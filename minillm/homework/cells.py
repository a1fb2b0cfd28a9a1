"""A notebook as a module: of its code cells, what the exercise's functions need, and nothing that only runs.

Runs in the child process: what a student wrote is parsed there alone.
"""

import ast
from collections.abc import Sequence

Statement = tuple[ast.stmt, set[str], set[str]]
"""A statement, the names it binds, and the names it reads."""


def module_of(cells: Sequence[str], wanted: str) -> tuple[ast.Module, list[str]]:
    """(module, faults): the statements of all cells that the function `wanted` needs, in their order.

    A cell that cannot be parsed is left out and named. Line numbers are those inside the cell.
    """
    statements, faults = [], []
    for number, cell in enumerate(cells, 1):
        try:
            statements += [describe(s) for s in ast.parse(without_magic(cell)).body]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            faults.append(f"cell {number}: {type(error).__name__}: {error}")
    kept = [s for s, _, _ in needed(statements, wanted)]
    return ast.Module(kept, []), faults


def without_magic(cell: str) -> str:
    """A cell without the lines that only Jupyter understands: %magic, !program, help?"""
    if cell.lstrip().startswith("%%"):
        return ""
    lines = cell.split("\n")
    return "\n".join("" if line.lstrip().startswith(("%", "!", "?")) else line for line in lines)


def describe(statement: ast.stmt) -> Statement:
    bound: set[str] = set()
    read: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        read -= bound  # its own variables; what it binds for others is its name
        bound = {statement.name}
    return statement, bound, read


def needed(statements: Sequence[Statement], wanted: str) -> list[Statement]:
    """The statements that bind `wanted`, and those that bind what the kept ones read, and so on.

    Of several definitions of a function all are kept: the last one counts, as in the notebook.
    """
    names, kept = {wanted}, [binds_all(s) for s, _, _ in statements]
    grown = True
    while grown:
        grown = False
        for i, (statement, bound, read) in enumerate(statements):
            if not kept[i] and bound & names and not only_runs(statement):
                kept[i], grown = True, True
                names |= read
    return [s for s, use in zip(statements, kept, strict=True) if use]


def binds_all(statement: ast.stmt) -> bool:
    """`from numpy import *`: nobody can tell what it binds."""
    return isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*"


def only_runs(statement: ast.stmt) -> bool:
    """Loops and calls that try things out: their names are by-products."""
    return isinstance(statement, ast.For | ast.While | ast.Expr)
