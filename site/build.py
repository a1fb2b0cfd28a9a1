"""The project as web pages, in both languages: `make site`.

Lessons are executed, once for each state of the code, and kept in WORK/notebooks. Pages of prose and lessons are
copied into WORK/source with their links turned from files to pages, then Sphinx makes WORK/html of them. Why Sphinx: it
reads docstrings and Markdown, searches without a server, and is kept by many hands; furo brings light and dark, MyST-NB
the notebooks. Nothing is loaded from elsewhere when a page is read.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from minillm.classroom.cell_prose import joined_lines

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = {"en": "English", "zh": "中文"}
WORDS = {
    "en": {"lessons": "Lessons", "homework": "Homework", "pages": "Measured, and why", "code": "The code",
           "api": "Every module", "file": "What to write in lesson {}"},
    "zh": {"lessons": "课程", "homework": "作业", "pages": "测量与依据", "code": "代码", "api": "所有模块",
           "file": "第 {} 课要写什么"},
}  # fmt: skip
FIRST = ("claims", "recipe", "speed", "teaching", "graders", "house")
"""The order of the pages of prose; others follow."""
HIDDEN = "homework/lessons/"
"""Modules without a page: the right answers."""

# ------------------------------------------------------------------------------------------- the lessons


def state(notebook: Path) -> str:
    """A hash of a notebook and of all that its outputs depend on in the project."""
    digest = hashlib.sha256(notebook.read_bytes())
    data = ROOT / "lessons" / "claims.json"
    for path in sorted([*(ROOT / "minillm").rglob("*.py"), *(ROOT / "minillm").rglob("*.csv"), data]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def execute(language: str, kept: Path, chosen: str, run: bool = True, jobs: int = 1) -> None:
    """Run the notebooks of a language that are not kept yet as they are now, `jobs` at a time; raises the error of a
    cell.

    Without `run`, keep them as they are, without outputs, where none with outputs is kept."""
    from nbclient import NotebookClient

    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

    def keep(notebook: Path) -> None:
        done = kept / language / notebook.name  # a lesson asks its folder for the language
        now, start = state(notebook), time.monotonic()
        if done.exists() and (not run or nbformat.read(done, 4).metadata.get("state") == now):
            return
        done.parent.mkdir(parents=True, exist_ok=True)
        content = nbformat.read(notebook, 4)
        if run:
            NotebookClient(content, timeout=600, resources={"metadata": {"path": str(done.parent)}}).execute()
            content.metadata["state"] = now
        nbformat.write(content, done)
        how = "executed" if run else "taken as it is"
        print(f"{language}/{notebook.name}: {how}, {time.monotonic() - start:.0f} s", flush=True)

    with ThreadPoolExecutor(jobs) as pool:  # each notebook has a process of its own, its kernel
        for _ in pool.map(keep, sorted((ROOT / "notebooks" / language).glob(f"{chosen}*.ipynb"))):
            pass


# ----------------------------------------------------------------------------------------------- pages


def page_of(path: str, language: str, modules: Sequence[str]) -> str | None:
    """The page that shows a file of the project, as its source from the root of a language; `/en/…` in the other
    language's pages; None for a file without one."""
    name = PurePosixPath(path)
    if path in ("README.md", "README.zh.md"):
        return "index.md"
    if name.suffix == ".md" and name.parent == PurePosixPath("lessons"):
        return f"{name.name.split('.')[0].lower()}.md"
    if name.suffix == ".ipynb":
        return f"lessons/{name.name}"
    if name.name == "homework.py":
        return f"homework/{name.parent.name}.md"
    if path in modules:
        return f"api/{dotted(path)}.md" if language == "en" else f"/en/api/{dotted(path)}.html"
    return None


def dotted(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def relink(text: str, source: str, page: str, language: str, modules: Sequence[str], copy: Callable[[str], str]) -> str:
    """The text of a Markdown file of the project as that of a page: its links to files lead to their pages.

    A picture is copied by `copy`, which gives its name from the root of the site. A link to a file that has no page
    becomes its words.
    """
    up = "../" * page.count("/")

    def link(match: re.Match) -> str:
        mark, words, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        file, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(source), file)).replace(os.sep, "/")
        if mark:
            return f"![{words}]({up}{copy(path)})"
        there = page_of(path, language, modules)
        if there is None:
            return words
        if there.startswith("/"):  # in the other language's pages
            return f'<a href="../{up}{there[1:]}">{words}</a>'
        return f"[{words}]({up}{there}{'#' + anchor if anchor else ''})"

    linked = re.sub(r"(!?)\[([^\]\n]*(?:\n[^\]\n]+)?)\]\(([^)\s]+)\)", link, text)
    prose = re.split(r"(^```.*?^```$)", linked, flags=re.MULTILINE | re.DOTALL)
    return "".join(joined_lines(part) if i % 2 == 0 else part for i, part in enumerate(prose))


def tree(title: str, pages: Sequence[str]) -> str:
    caption = [f":caption: {title}"] if title else []
    return "\n".join(["```{toctree}", ":hidden:", *caption, "", *pages, "```", ""])


def modules_in_order() -> dict[str, str]:
    """Path from the root -> what it is, in the order in which HOUSE.md names them."""
    house = (ROOT / "lessons" / "HOUSE.md").read_text(encoding="utf-8").split("\n## ")[-1]
    found = re.findall(r"^    ([\w/]+\.py) +(.*)$", house, re.MULTILINE)
    return {f"minillm/{path}": what for path, what in found if not path.startswith(HIDDEN) and "__main__" not in path}


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def prose_of(language: str) -> dict[str, Path]:
    """Page -> the Markdown file it shows: in the language, or in English where there is no other."""
    prose = {"index": ROOT / ("README.md" if language == "en" else "README.zh.md")}
    for path in sorted((ROOT / "lessons").glob("*.md")):
        name = path.name.split(".")[0].lower()
        if name not in prose or (".zh" in path.name) == (language == "zh"):
            prose[name] = path
    return prose


def write_source(language: str, source: Path, kept: Path) -> None:
    """All that Sphinx reads for one language."""
    shutil.rmtree(source, ignore_errors=True)
    modules = modules_in_order()

    def linked(text: str, at: str, page: str) -> str:
        return relink(text, at, page, language, list(modules), copy)

    def copy(path: str) -> str:
        write(source / "pictures" / Path(path).name, (ROOT / path).read_bytes())
        return f"pictures/{Path(path).name}"

    lessons = sorted(path.stem for path in (kept / language).glob("*.ipynb"))
    for page, path in prose_of(language).items():
        text = linked(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix(), page)
        write(source / f"{page}.md", text + "\n" + trees(language, lessons) if page == "index" else text)
    for name in lessons:
        notebook = nbformat.read(kept / language / f"{name}.ipynb", 4)
        if notebook.cells[0].cell_type == "code":  # it finds the project: nothing to read
            del notebook.cells[0]
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = linked(cell.source, f"notebooks/{language}/{name}.ipynb", f"lessons/{name}")
        write(source / "lessons" / f"{name}.ipynb", nbformat.writes(notebook))
        code = (ROOT / "lessons" / name / "homework.py").read_text(encoding="utf-8")
        title = WORDS[language]["file"].format(name.split("_")[0].lstrip("0") or "0")
        write(
            source / "homework" / f"{name}.md", f"# {title}\n\n`lessons/{name}/homework.py`\n\n````python\n{code}````\n"
        )
    write_reference(language, source, modules)


def trees(language: str, lessons: Sequence[str]) -> str:
    """The contents at the side of every page."""
    words = WORDS[language]
    prose = sorted(
        prose_of(language).keys() - {"index"}, key=lambda n: (FIRST.index(n) if n in FIRST else len(FIRST), n)
    )
    parts = [tree(words["lessons"], [f"lessons/{name}" for name in lessons]),
             tree(words["homework"], [f"homework/{name}" for name in lessons]),
             tree(words["pages"], prose), tree(words["code"], ["api"])]  # fmt: skip
    return "".join(parts)


def write_reference(language: str, source: Path, modules: Mapping[str, str]) -> None:
    """A page for each module, which autodoc fills; they are in English, as the docstrings are."""
    title = WORDS[language]["api"]
    if language != "en":
        there = '<a href="../en/api.html">由代码中的说明生成，用英文写成</a>'
        write(source / "api.md", f"# {title}\n\n{there}。\n")
        return
    rows = [f"- [{path.removeprefix('minillm/')}](api/{dotted(path)}.md): {what}" for path, what in modules.items()]
    pages = [f"api/{dotted(path)}" for path in modules]
    write(source / "api.md", f"# {title}\n\n" + "\n".join(rows) + "\n\n" + tree("", pages))
    for path in modules:
        name = dotted(path)
        body = f".. automodule:: {name}\n   :members:\n   :undoc-members:\n   :member-order: bysource\n"
        write(source / f"api/{name}.md", f"# {name.removeprefix('minillm.')}\n\n```{{eval-rst}}\n{body}```\n")


def front(path: Path) -> None:
    """The first page: it leads to the reader's language."""
    links = "".join(f'<p><a href="{code}/index.html" lang="{code}">{name}</a></p>' for code, name in LANGUAGES.items())
    script = 'location.replace((navigator.language.startsWith("zh") ? "zh" : "en") + "/index.html")'
    write(path, f'<!doctype html><meta charset="utf-8"><title>minillm</title>{links}<script>{script}</script>\n')


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the web pages: lessons executed, in both languages.")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "site", help="folder for what is made")
    parser.add_argument("--execute", nargs="*", choices=LANGUAGES, default=LANGUAGES, metavar="LANGUAGE",
                        help="languages whose lessons are executed; those of the others have no outputs")  # fmt: skip
    parser.add_argument("--lessons", default="", help="only those whose name begins like this, as 03")
    parser.add_argument("--jobs", type=int, default=1, help="lessons that are executed at the same time")
    options = parser.parse_args()
    kept = options.work / "notebooks"
    for language in LANGUAGES:
        execute(language, kept, options.lessons, run=language in options.execute, jobs=options.jobs)
    for language in LANGUAGES:
        source, out = options.work / "source" / language, options.work / "html" / language
        write_source(language, source, kept)
        command = [
            sys.executable,
            "-m",
            "sphinx",
            "-q",
            "-W",
            "--keep-going",
            "-d",
            str(options.work / "doctrees" / language),
            "-c",
            str(Path(__file__).parent),
            str(source),
            str(out),
        ]
        subprocess.run(command, check=True, env=os.environ | {"SITE_LANGUAGE": language, "PYTHONPATH": str(ROOT)})
    front(options.work / "html" / "index.html")
    print(f"written to {options.work / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
