"""The notebooks are what the lessons say: the same bytes, the same code in both languages, no outputs."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="jupytext is not installed: make lab")
pytest.importorskip("nbstripout", reason="nbstripout is not installed: make lab")

from minillm.__main__ import main
from minillm.classroom.notebooks import LANGUAGES, lesson_sources, make_notebook, write_notebooks
from minillm.plumbing.files import InputError

ROOT = Path(__file__).parents[1]
SOURCES = lesson_sources(ROOT / "lessons")
NAMES = [source.parent.name for source in SOURCES]


def cells(source: Path, language: str, kind: str) -> list[str]:
    notebook = json.loads(make_notebook(source, language))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_committed_notebook_is_the_generated_one(source, language):
    path = ROOT / "notebooks" / language / f"{source.parent.name}.ipynb"
    assert path.read_text(encoding="utf-8") == make_notebook(source, language), "run: make notebooks"


def test_no_other_notebooks_are_there():
    found = {p.relative_to(ROOT / "notebooks").as_posix() for p in (ROOT / "notebooks").rglob("*.ipynb")
             if ".ipynb_checkpoints" not in p.parts}  # fmt: skip
    assert found == {f"{language}/{name}.ipynb" for language in LANGUAGES for name in NAMES}


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_both_languages_share_the_code_and_have_each_cell_of_prose(source):
    english, chinese = (cells(source, language, "code") for language in LANGUAGES)
    assert english == chinese and english
    english, chinese = (cells(source, language, "markdown") for language in LANGUAGES)
    assert len(english) == len(chinese)
    for one, other in zip(english, chinese, strict=True):
        assert any("\u4e00" <= c <= "\u9fff" for c in other), other[:60]
        headings = [[line.split(" ")[0] for line in text.splitlines() if line.startswith("#")] for text in (one, other)]
        assert headings[0] == headings[1], one[:60]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_notebooks_hold_no_outputs(source):
    for cell in json.loads(make_notebook(source, "en"))["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"] == [] and cell["execution_count"] is None)


def test_the_command_writes_the_same_bytes_again(tmp_path):
    assert main(["notebooks", "--out", str(tmp_path)]) == 0
    first = {p: p.read_bytes() for p in tmp_path.rglob("*.ipynb")}
    write_notebooks(ROOT / "lessons", tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.ipynb")} == first and len(first) == 2 * len(SOURCES)


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
