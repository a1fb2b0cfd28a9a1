"""What every notebook has around the lesson: a first cell that finds the project, and a cell for each function of the
homework."""

import ast
import re
import tomllib
from pathlib import Path

from minillm.classroom.cell_code import WIDTH, laid_out
from minillm.homework.gradebook import choose
from minillm.homework.stubs import functions, text_of
from minillm.plumbing.terminal import width

FIRST = """# {purpose}
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

os.environ["MINILLM_LANG"] = "{language}"
above = (Path.cwd(), *Path.cwd().parents)
found = [str(f) for f in above if (f / "minillm/gpt.py").is_file()]
if found:
    sys.path.insert(0, found[0])
    os.environ["PYTHONPATH"] = found[0]  # with PATH below, for !python -m minillm
    here = os.path.dirname(sys.executable)
    os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", "")])
elif importlib.util.find_spec("minillm") is None:
    files = [*Path().glob("minillm*.whl"), *Path().glob("minillm*.zip")]  # uploaded
    source = os.environ.get("MINILLM_SOURCE", "{source}") or "".join(map(str, files[:1]))
    if not source:
        raise SystemExit(
            "{missing[0]}"
            "{missing[1]}"
        )
    pip = [sys.executable, "-m", "pip", "install", "-q", source]
    subprocess.run(pip, check=True)"""
PURPOSE = {
    "en": "Finds minillm in a folder above, or installed; else installs it.",
    "zh": "在上层文件夹或已安装的包里找到 minillm；都没有就安装。",
}
MISSING = {
    "en": ("minillm is not here. Upload its .whl or .zip next to this notebook, ",
           "or set MINILLM_SOURCE to its address; then run this cell again."),
    "zh": ("这里没有 minillm。请把它的 .whl 或 .zip 上传到这个 notebook 旁边，",
           "或者把 MINILLM_SOURCE 设为它的地址，再运行这一格。"),
}  # fmt: skip
SAME_NAMES = {
    "en": "# Yours take the place of the lesson's own\n# {names}:\n"
          "# before you run a cell above again, run the one that imports or defines it.",
    "zh": "# 你写的会取代本课里同名的\n# {names}：\n# 想重新运行上面的单元格，先重新运行导入或定义它的那一格。",
}  # fmt: skip
DESK = "from minillm.classroom.desk import check, hint, progress, reset"
CHINESE = re.compile(r"\s*[\u4e00-\u9fff]")
CHINESE_END = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]$")
ITEM = re.compile(r"\s*(?:- |\d\. )")
CLOSING, OPENING = "，。；：！？、）”…", "（“"


def first_cell(language: str, project: Path) -> str:
    """The cell that a copied notebook needs. Where `[project.urls] Repository` in pyproject.toml names an address,
    the project is installed from there."""
    try:
        with open(project / "pyproject.toml", "rb") as file:
            address = tomllib.load(file)["project"]["urls"]["Repository"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        address = ""
    source = f"git+{address}" if address else ""
    return FIRST.format(language=language, source=source, missing=MISSING[language], purpose=PURPOSE[language])


def homework_cells(homework: Path, language: str) -> list[str]:
    """For each function of a homework.py a cell: its `def` and docstring, and `check("name")`; then `progress()`."""
    source = homework.read_text(encoding="utf-8")
    tree = ast.parse(source)
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [e.name for lesson, e in choose(None, None) if lesson.folder == homework.parent.name]
    same = sorted(set(names) & names_of(homework.with_name("lesson.py")))
    said = [SAME_NAMES[language].format(names=("、" if language == "zh" else ", ").join(same))] if same else []
    cells = ["\n".join([rule_of(tree, language), *said, *imports, "", DESK])]
    for name, function in functions(source).items():
        if name in names:
            check = f'check("{name}")' if is_unique(name) else f'check("{name}", lesson={number_of(homework)!r})'
            cells.append(f"{in_language(text_of(source, function), language)}\n\n{check}")
    return laid_out([*cells, "progress()"])


def names_of(lesson: Path) -> set[str]:
    """What a lesson imports, defines or assigns."""
    names = set()
    for node in ast.parse(lesson.read_text(encoding="utf-8")).body if lesson.is_file() else ():
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        else:
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names


def rule_of(tree: ast.Module, language: str) -> str:
    """What holds for all functions of a homework.py, as comments: the first paragraph of its docstring."""
    paragraphs = in_language(f'"""{ast.get_docstring(tree)}"""', language).strip('"').split("\n\n")
    return "\n".join(f"# {line.strip()}" for line in paragraphs[0].splitlines())


def is_unique(name: str) -> bool:
    return sum(e.name == name for _, e in choose(None, None)) == 1


def number_of(homework: Path) -> int | str:
    return next(lesson.number for lesson, _ in choose(None, None) if lesson.folder == homework.parent.name)


def in_language(function: str, language: str) -> str:
    """A function whose docstring says the same in English, then in Chinese, with one of the two left."""
    parts = function.split('"""')
    if len(parts) != 3:
        return function
    paragraphs = parts[1].rstrip().split("\n\n")
    begin = next((i for i, p in enumerate(paragraphs) if CHINESE.match(p)), None)
    kept = paragraphs if not begin else paragraphs[begin:] if language == "zh" else paragraphs[:begin]
    quotes = "x" * 3  # the first line has them before it
    text = "\n\n".join([wrapped(quotes + kept[0].lstrip()), *map(wrapped, kept[1:])]).strip()[len(quotes) :]
    parts[1] = text + ("\n    " if "\n" in text or width(text) > WIDTH - 10 else "")
    return '"""'.join(parts)


def wrapped(paragraph: str) -> str:
    """A paragraph of a docstring in lines of WIDTH columns; an item of a list keeps its indentation."""
    items: list[str] = []
    for line in paragraph.splitlines():
        if items and not ITEM.match(line):
            items[-1] += ("" if CHINESE_END.search(items[-1]) and CHINESE.match(line) else " ") + line.strip()
        else:
            items.append(line.rstrip())
    return "\n".join(fill(item) for item in items)


def pieces(text: str) -> list[str]:
    """The text cut where a line may end: after a space, and next to a Chinese character."""
    found = [text[:1]]
    for one, other in zip(text, text[1:], strict=False):
        is_chinese = width(one) == 2 or width(other) == 2
        if one == " " or (is_chinese and other != " " and other not in CLOSING and one not in OPENING):
            found.append(other)
        else:
            found[-1] += other
    return found


def fill(text: str) -> str:
    """The text broken at spaces, and between Chinese characters where no closing mark follows."""
    indent = " " * max(4, len(text) - len(text.lstrip()))
    lines, line = [], indent
    for piece in pieces(text.strip()):
        if width(line + piece.rstrip()) > WIDTH and line.strip():
            lines.append(line.rstrip())
            line = indent + "   " if ITEM.match(text) else indent
        line += piece
    return "\n".join([*lines, line.rstrip()])
