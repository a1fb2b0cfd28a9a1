"""Lessons to notebooks: one source in percent format, a notebook in each language.

A cell of prose is tagged `en` or `zh`; a cell of code is shared, and closed in the notebook if it is tagged `fold`:
it draws, or prepares. The notebook of a language holds its prose and all code, without outputs; the same source always
gives the same bytes. What follows a question to guess at is folded until the reader opens it.
"""

from pathlib import Path
from typing import Any

from minillm.classroom.cell_code import LANGUAGES, code_of
from minillm.classroom.cell_prose import around_homework, asks, folded, joined_lines
from minillm.classroom.sheets import first_cell, homework_cells
from minillm.plumbing.files import InputError, write_text

FOLDED = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"], "cellView": "form"}  # Jupyter, pages, Colab


def make_notebook(source: Path, language: str) -> str:
    """The notebook of a lesson in one language, as JSON. Raises InputError for a cell of prose without a language."""
    import jupytext
    import nbformat
    from nbstripout import strip_output

    cells = of_language(jupytext.read(source, fmt="py:percent").cells, source, language)
    texts = iter(code_of([cell.source for cell in cells if cell.cell_type == "code"], language))
    made = [code(nbformat, first_cell(language, source.parents[2]), folded=True)]
    asked = after_code = False
    for cell in cells:
        if cell.cell_type == "code":
            made.append(code(nbformat, next(texts), "fold" in cell.metadata.get("tags", [])))
        else:
            made += prose(nbformat, cell.source, language, asked and after_code, source)
            asked = asks(cell.source)
        after_code = cell.cell_type == "code"
    for number, cell in enumerate(made, 1):
        cell.id = f"cell-{number:03d}"
    notebook = nbformat.v4.new_notebook(cells=made, metadata={
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"}})  # fmt: skip
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    strip_output(notebook, keep_output=False, keep_count=False, keep_id=True)
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def of_language(cells: list[Any], source: Path, language: str) -> list[Any]:
    """The cells that the notebook of a language has."""
    kept = []
    for number, cell in enumerate(cells, 1):
        own = set(cell.metadata.get("tags", [])) & set(LANGUAGES)
        if cell.cell_type == "markdown" and not own:
            raise InputError(f"{source}: cell {number} is prose without a language: tag it en or zh")
        if not own or language in own:
            kept.append(cell)
    return kept


def code(nbformat: Any, text: str, folded: bool = False) -> Any:
    return nbformat.v4.new_code_cell(text, metadata=FOLDED if folded else {})


def prose(nbformat: Any, text: str, language: str, is_answer: bool, source: Path) -> list[Any]:
    """A cell of prose, its answer folded; where it speaks of the homework, the cells to write it in come after that."""
    text = folded(text, language) if is_answer else text
    text = joined_lines(text) if language == "zh" else text
    markdown = nbformat.v4.new_markdown_cell
    halves, homework = around_homework(text), source.with_name("homework.py")
    if halves is None or not homework.is_file():
        return [markdown(text)]
    cells = [code(nbformat, cell) for cell in homework_cells(homework, language)]
    return [markdown(halves[0]), *cells, *([markdown(halves[1])] if halves[1] else [])]


def lesson_sources(lessons: Path) -> list[Path]:
    """All `NN_name/lesson.py`, in order. Raises InputError if there is none."""
    found = sorted(lessons.glob("[0-9][0-9]*_*/lesson.py"))
    if not found:
        raise InputError(f"{lessons}: holds no NN_name/lesson.py: name the folder of the lessons")
    return found


def write_notebooks(lessons: Path, out: Path) -> list[Path]:
    """Write `out`/en/NN_name.ipynb and `out`/zh/NN_name.ipynb for every lesson; return their paths."""
    written = []
    for source in lesson_sources(lessons):
        for language in LANGUAGES:
            path = out / language / f"{source.parent.name}.ipynb"
            write_text(path, make_notebook(source, language))
            written.append(path)
    return written
