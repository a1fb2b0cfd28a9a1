"""Lessons to notebooks: one source in percent format, a notebook in each language.

A cell of prose is tagged `en` or `zh`; a cell of code is shared. The notebook of a language holds its
prose and all code, without outputs; the same source always gives the same bytes.
"""

import re
from pathlib import Path

from minillm.plumbing.files import InputError, write_text

LANGUAGES = ("en", "zh")
CHINESE = r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"  # characters and punctuation
BREAK = re.compile(f"(?<={CHINESE})\n *(?={CHINESE})")


def make_notebook(source: Path, language: str) -> str:
    """The notebook of a lesson in one language, as JSON. Raises InputError for a cell of prose without a language."""
    import jupytext
    import nbformat
    from nbstripout import strip_output

    notebook = jupytext.read(source, fmt="py:percent")
    kept = []
    for number, cell in enumerate(notebook.cells, 1):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown" and not set(tags) & set(LANGUAGES):
            raise InputError(f"{source}: cell {number} is prose without a language: tag it en or zh")
        if not set(tags) & set(LANGUAGES) or language in tags:
            if "zh" in tags and "```" not in cell.source:
                cell.source = BREAK.sub("", cell.source)  # a line end between two characters would show as a space
            cell.metadata = nbformat.NotebookNode()
            cell.id = f"cell-{number:03d}"
            kept.append(cell)
    notebook.cells = kept
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    strip_output(notebook, keep_output=False, keep_count=False, keep_id=True)
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def lesson_sources(lessons: Path) -> list[Path]:
    """All `NN_name/lesson.py`, in order. Raises InputError if there is none."""
    found = sorted(lessons.glob("[0-9][0-9]_*/lesson.py"))
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
