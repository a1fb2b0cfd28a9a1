"""A function of homework.py as it was handed out: its `def`, its docstring, and `raise NotImplementedError`."""

import ast
from pathlib import Path

from minillm.homework.child import read_source
from minillm.plumbing import course
from minillm.plumbing.files import InputError, write_text

BODY = "    raise NotImplementedError\n"


def functions(source: str) -> dict[str, ast.FunctionDef]:
    """The functions at the top of a module, by name; of several with one name the last. Raises SyntaxError."""
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def text_of(source: str, function: ast.FunctionDef) -> str:
    """The lines of a function, its decorators included."""
    first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    return "".join(source.splitlines(keepends=True)[first - 1 : function.end_lineno]).rstrip("\n") + "\n"


def stub_of(source: str, function: ast.FunctionDef) -> str:
    """The function with its body taken out."""
    documented = ast.get_docstring(function) is not None
    last = function.body[0].end_lineno if documented else function.body[0].lineno - 1
    first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    return "".join(source.splitlines(keepends=True)[first - 1 : last]).rstrip("\n") + "\n" + BODY


def reset(file: Path, name: str) -> Path | None:
    """Put a function back as it was handed out. Returns the file in which all that was there is kept, `file` itself if
    nothing had been written; None if there is no such function. Raises InputError if the file cannot be read as Python."""
    try:
        source = read_source(file.read_bytes()).replace("\r\n", "\n")
        mine = functions(source).get(name)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file: `python -m minillm init DIR` lays out new ones") from None
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"{file}:{getattr(error, 'lineno', None) or 1}: not valid Python: fix this line first"
        ) from None
    if mine is None:
        return None
    original = course.shipped() / "lessons" / file.parent.name / file.name
    if original.is_file() and original.resolve() != file.resolve():
        handed_out = original.read_text(encoding="utf-8")
        stub = text_of(handed_out, functions(handed_out)[name])
    else:  # in a checkout the file is the only one: its own `def` and docstring
        stub = stub_of(source, mine)
    if text_of(source, mine).rstrip("\n") == stub.rstrip("\n"):
        return file
    kept = free_name(file)
    write_text(kept, source)
    write_text(file, source.replace(text_of(source, mine).rstrip("\n"), stub.rstrip("\n"), 1))
    return kept


def free_name(file: Path) -> Path:
    """`homework.before-reset-1.py`, or the first number that is free."""
    number = 1
    while (kept := file.with_name(f"{file.stem}.before-reset-{number}.py")).exists():
        number += 1
    return kept
