"""The notebooks are what the lessons say: the same bytes, the same code in both languages, no outputs."""

import ast
import json
import re
import subprocess
import symtable
import sys
from functools import lru_cache
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="jupytext is not installed: make lab")
pytest.importorskip("nbstripout", reason="nbstripout is not installed: make lab")

from minillm.__main__ import main
from minillm.classroom import sheets
from minillm.classroom.cell_code import LANGUAGES, in_language
from minillm.classroom.cell_prose import folded
from minillm.classroom.notebooks import lesson_sources, make_notebook
from minillm.classroom.sheets import first_cell
from minillm.homework.lessons import all_lessons
from minillm.plumbing.files import InputError
from minillm.plumbing.terminal import width

ROOT = Path(__file__).parents[1]
SOURCES = lesson_sources(ROOT / "lessons")
NAMES = [source.parent.name for source in SOURCES]


@lru_cache
def made(source: Path, language: str) -> str:
    return make_notebook(source, language)


def cells(source: Path, language: str, kind: str) -> list[str]:
    notebook = json.loads(made(source, language))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_committed_notebook_is_the_generated_one(source, language):
    path = ROOT / "notebooks" / language / f"{source.parent.name}.ipynb"
    assert path.read_text(encoding="utf-8") == made(source, language), "run: make notebooks"


def test_no_other_notebooks_are_there():
    found = {p.relative_to(ROOT / "notebooks").as_posix() for p in (ROOT / "notebooks").rglob("*.ipynb")
             if ".ipynb_checkpoints" not in p.parts}  # fmt: skip
    assert found == {f"{language}/{name}.ipynb" for language in LANGUAGES for name in NAMES}


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_both_languages_have_the_same_cells_in_the_same_order(source):
    kinds = [[c["cell_type"] for c in json.loads(made(source, language))["cells"]] for language in LANGUAGES]
    assert kinds[0] == kinds[1]
    english, chinese = (cells(source, language, "markdown") for language in LANGUAGES)
    assert len(english) == len(chinese)
    for one, other in zip(english, chinese, strict=True):
        assert any("\u4e00" <= c <= "\u9fff" for c in other), other[:60]
        headings = [[line.split(" ")[0] for line in text.splitlines() if line.startswith("#")] for text in (one, other)]
        assert headings[0] == headings[1], one[:60]
        assert [text.count("<details>") for text in (one, other)] == [text.count("</details>") for text in (other, one)]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_code_is_of_one_language_in_short_lines(source, language):
    for cell in cells(source, language, "code"):
        assert "fmt: skip" not in cell and not re.search(r"(?<![\w.])(say|label)\(", cell), cell
        assert max(map(len, cell.splitlines())) <= 88, cell


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_an_answer_is_folded_until_the_reader_has_guessed(source):
    for language, question in zip(LANGUAGES, ("**Before you run it", "**运行之前先猜"), strict=True):
        kinds = json.loads(made(source, language))["cells"]
        texts = [("".join(c["source"]), c["cell_type"]) for c in kinds]
        asked = False
        for text, kind in texts:
            if kind == "markdown":
                assert not asked or text.startswith(("<details>", "##")), text[:60]
                assert not any(question in fold for fold in re.findall("<details>.*?</details>", text, re.S)), text[:60]
                asked = question in text


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_function_of_the_homework_has_a_cell_that_checks_it(source, language):
    code = cells(source, language, "code")
    lesson = next(lesson for lesson in all_lessons() if lesson.folder == source.parent.name)
    for exercise in lesson.exercises:
        (cell,) = [c for c in code if c.startswith(f"def {exercise.name}(")]
        assert f'check("{exercise.name}"' in cell and "raise NotImplementedError" in cell
    (first,) = [c for c in code if "import check, hint, progress, reset" in c]
    assert first.startswith("# 第" if language == "zh" else "# Homework of lesson")
    above = set().union(*(reads_and_binds(cell)[2] for cell in code[: code.index(first)]))
    for name in sorted(above & {exercise.name for exercise in lesson.exercises}):
        assert name in first, f"nothing says that the homework's {name} takes the place of the lesson's"
    assert code[-1] == "progress()" and "import check, hint, progress, reset" in "".join(code)


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_each_docstring_of_the_homework_is_in_both_languages(source):
    tree = ast.parse(source.with_name("homework.py").read_text(encoding="utf-8"))
    for node in (tree, *(n for n in tree.body if isinstance(n, ast.FunctionDef))):
        text = ast.get_docstring(node)
        english, chinese = (sheets.in_language(f'"""{text}"""', language) for language in LANGUAGES)
        assert len(re.findall("[\u4e00-\u9fff]", chinese)) > 2 and english != chinese, text
        assert promised(english) == promised(chinese), promised(english) ^ promised(chinese)


def promised(docstring: str) -> set[str]:
    """What both languages write alike: code in backquotes, and shapes with several axes."""
    text = re.sub(r"\s+", " ", docstring)
    return set(re.findall(r"`[^`]+`|\((?:\w|\.\.\.|…)+,[\w, …/]*\)", text))


def test_a_choice_of_language_inside_others_is_made_too():
    code = 'rows = [say("é a", "甲"), [label(f"{n} b", f"{n} 乙")], say(say("c", "丙"), "丁")]  # say\nlabel(*pair)'
    assert in_language(code, "zh") == 'rows = ["甲", [f"{n} 乙"], "丁"]  # say\nlabel(*pair)'
    assert in_language(code, "en").startswith('rows = ["é a", [f"{n} b"], "c"]')


def test_a_fold_ends_at_a_heading_a_question_or_where_it_is_told():
    assert folded("yes\n\nno\n\n## New\n\ntext", "en").endswith("yes\n\nno\n\n</details>\n\n## New\n\ntext")
    assert folded("yes\n\n<!-- go on -->\n\ntext", "zh").endswith("yes\n\n</details>\n\ntext")
    assert folded("## New", "en") == "## New" and folded("**Before you run it:** x", "en") == "**Before you run it:** x"


def test_a_copied_notebook_finds_the_project_or_says_what_is_missing(tmp_path):
    cell = first_cell("zh", ROOT)
    for folder, found in ((ROOT / "notebooks" / "zh", True), (tmp_path, False)):
        command = [sys.executable, "-I", "-S", "-c", f"{cell}\nimport minillm\nprint(os.environ['MINILLM_LANG'])"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, env={"PYTHONUTF8": "1"})
        assert (done.returncode == 0) is found, done.stderr
        assert ("zh" in done.stdout.decode()) if found else ("MINILLM_SOURCE" in done.stderr.decode())
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://example.org/x"', encoding="utf-8")
    assert '"git+https://example.org/x"' in first_cell("en", tmp_path) and '"MINILLM_SOURCE", ""' in cell


def test_a_docstring_shows_one_language_in_lines_that_fit():
    both = (
        'def f(x):\n    """'
        + "word " * 30
        + "\n\n    - one\n    - two\n\n    中文"
        + "，字字" * 30
        + '。\n    """\n    return 1\n'
    )
    english, chinese = (sheets.in_language(both, language) for language in LANGUAGES)
    assert "字" not in english and "word" not in chinese and "    - one\n    - two\n" in english
    assert all(width(line) <= 88 and not line.strip().startswith("，") for line in (english + chinese).splitlines())
    assert english.count("word") == 30 and chinese.count("字") == 60


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_the_first_card_says_how_to_read_it_and_no_other(source):
    cards = re.findall(r"show_claim\((.*?)\)", source.read_text(encoding="utf-8"))
    assert ["explained=True" in card for card in cards] == [i == 0 for i in range(len(cards))]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_notebooks_hold_no_outputs(source):
    for cell in json.loads(made(source, "en"))["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"] == [] and cell["execution_count"] is None)


def test_the_command_writes_the_same_bytes_again(tmp_path):
    assert main(["notebooks", "--out", str(tmp_path)]) == 0
    written = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*.ipynb")}
    expected = {Path(language, f"{source.parent.name}.ipynb"): made(source, language).encode()
                for source in SOURCES for language in LANGUAGES}  # fmt: skip
    assert written == expected


def test_prose_without_a_language_and_a_folder_without_lessons_are_named(tmp_path, capsys):
    lesson = tmp_path / "01_x" / "lesson.py"
    lesson.parent.mkdir()
    lesson.write_text("# %%\nx = 1\n# %% [markdown]\n# hello\n", encoding="utf-8")
    with pytest.raises(InputError, match="cell 2 is prose without a language"):
        make_notebook(lesson, "en")
    assert main(["notebooks", "--lessons", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "holds no NN_name/lesson.py" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_chinese_lines_are_joined_without_a_space_and_nothing_else_is(tmp_path):
    source = tmp_path / "lesson.py"
    prose = ["第一行，", "第二行 and", "third 行", "", "- 一项", "  续行", "- two", "", "| 甲 |", "| 乙 |"]
    source.write_text(
        '# %% [markdown] tags=["zh"]\n' + "".join(f"# {line}".rstrip() + "\n" for line in prose), encoding="utf-8"
    )
    joined = "第一行，第二行 and\nthird 行\n\n- 一项续行\n- two\n\n| 甲 |\n| 乙 |"
    assert cells(source, "zh", "markdown") == [joined] and cells(source, "en", "markdown") == []


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_bold_words_are_closed_where_markdown_sees_it(source):
    # between a bracket and a Chinese character `**` does not end bold type: write **词**（term）字
    assert not re.findall(r"[）)]\*\*[\u4e00-\u9fff]", "".join(cells(source, "zh", "markdown")))


def globals_of(table: symtable.SymbolTable) -> set[str]:
    """The names that a statement reads from the notebook, those of its functions too."""
    top = table.get_type() == "module"
    own = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
    return own.union(*map(globals_of, table.get_children()))


def reads_and_binds(cell: str) -> tuple[set[str], set[str], set[str]]:
    """The names that a cell takes from cells above it, those to which it gives a value, and all that it makes known,
    imports too, which mean the same in every cell."""
    reads, binds, known = set(), set(), set()
    for statement in ast.parse(cell).body:
        table = symtable.symtable(ast.unparse(statement), "cell", "exec")
        bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
        itself = set() if isinstance(statement, ast.Assign | ast.AugAssign) else bound  # a loop has its variable first
        reads |= globals_of(table) - known - itself
        known |= bound
        binds |= set() if isinstance(statement, ast.Import | ast.ImportFrom) else bound
    return reads, binds, known


def test_what_a_cell_reads_and_binds():
    assert reads_and_binds("x = x + y") == ({"x", "y"}, {"x"}, {"x"})
    assert reads_and_binds("for i in z:\n    i += 1\nf = lambda a: a + b + i") == ({"z", "b"}, {"i", "f"}, {"i", "f"})
    assert reads_and_binds("from m import g\ndef h():\n    return g(q)") == ({"q"}, {"h"}, {"g", "h"})


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_a_cell_may_be_run_again_after_those_below_it(source):
    """Whoever changes a cell and runs it again finds its names as the cells above left them: no cell below gives one of
    them another value, such as a dict to what was a function. The homework's own functions are meant to."""
    homework = ast.parse(source.with_name("homework.py").read_text(encoding="utf-8")).body
    own = {node.name for node in homework if isinstance(node, ast.FunctionDef)}
    found = [reads_and_binds(cell) for cell in cells(source, "en", "code")]
    for i, (reads, _, _) in enumerate(found):
        above = set().union(*(known for _, _, known in found[:i]))
        later = set().union(*(binds for _, binds, _ in found[i + 1 :]))
        lost = reads & above & later - own
        assert not lost, f"code cell {i + 1} reads {', '.join(sorted(lost))}, which a later cell rebinds"
