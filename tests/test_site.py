"""The web pages: links from files to pages, what has a page, search in Chinese."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("nbformat", reason="nbformat is not installed: make lab")
pytest.importorskip("jupytext", reason="jupytext is not installed: make lab")

ROOT = Path(__file__).parents[1]


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / "site" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load("build")
MODULES = list(build.modules_in_order())


def relinked(text: str, source: str = "README.md", page: str = "index", language: str = "en") -> str:
    return build.relink(text, source, page, language, MODULES, lambda path: f"pictures/{Path(path).name}")


@pytest.mark.parametrize(
    ("text", "source", "page", "language", "expected"),
    [
        ("[a](lessons/CLAIMS.md#x)", "README.md", "index", "en", "[a](claims.md#x)"),
        ("[a](CLAIMS.zh.md)", "lessons/TEACHING.zh.md", "teaching", "zh", "[a](claims.md)"),
        ("[a](../README.md)", "lessons/HOUSE.md", "house", "en", "[a](index.md)"),
        (
            "[a](../../lessons/RECIPE.md)",
            "notebooks/en/03_attention.ipynb",
            "lessons/03_attention",
            "en",
            "[a](../recipe.md)",
        ),
        ("[a](notebooks/zh/02_tokens.ipynb)", "README.zh.md", "index", "zh", "[a](lessons/02_tokens.ipynb)"),
        ("[a](lessons/02_tokens/homework.py)", "README.md", "index", "en", "[a](homework/02_tokens.md)"),
        ("[a](minillm/gpt.py)", "README.md", "index", "en", "[a](api/minillm.gpt.md)"),
        ("[`a`](minillm/gpt.py)", "README.zh.md", "index", "zh", '<a href="../en/api/minillm.gpt.html">`a`</a>'),
        ("[a](minillm/gpt.py)", "x", "lessons/03_x", "zh", '<a href="../../en/api/minillm.gpt.html">a</a>'),
        ("[a](LICENSE) [b](minillm/homework/lessons/l03_attention.py)", "README.md", "index", "en", "a b"),
        ("![p](lessons/answers.en.svg)", "README.md", "index", "en", "![p](pictures/answers.en.svg)"),
        (
            "[a\nb](https://x.org/y) [c](#below) f[i](j",
            "README.md",
            "index",
            "en",
            "[a\nb](https://x.org/y) [c](#below) f[i](j",
        ),
    ],
)
def test_a_link_to_a_file_leads_to_its_page(text, source, page, language, expected):
    assert relinked(text, source, page, language) == expected


def test_chinese_lines_are_joined_but_not_in_code():
    assert relinked("一行，\n二行\n```\n三\n四\n```\n五") == "一行，二行\n```\n三\n四\n```\n五"


def test_every_module_has_a_page_but_those_with_the_right_answers():
    files = {p.relative_to(ROOT).as_posix() for p in (ROOT / "minillm").rglob("*.py")}
    hidden = {f for f in files if "homework/lessons/" in f or f.endswith(("__init__.py", "__main__.py"))}
    assert set(MODULES) == files - hidden and all(build.modules_in_order().values())


def test_the_source_of_a_language_holds_every_page_that_is_linked(tmp_path):
    for language in build.LANGUAGES:
        for notebook in (ROOT / "notebooks" / language).glob("*.ipynb"):
            build.write(tmp_path / "kept" / language / notebook.name, notebook.read_text(encoding="utf-8"))
        source = tmp_path / language
        build.write_source(language, source, tmp_path / "kept")
        pages = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()}
        assert {"index.md", "claims.md", "graders.md", "teaching.md", "api.md", "lessons/03_attention.ipynb"} <= pages
        for page in (p for p in pages if p.endswith(("md", "ipynb")) and not p.startswith("homework/")):
            text = (source / page).read_text(encoding="utf-8")
            if page.endswith("ipynb"):
                text = "\n\n".join(
                    "".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"
                )
            text = re.sub(r"^```(?!{).*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
            for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text):
                if "://" not in target:
                    assert (source / page).parent.joinpath(target).exists(), (page, target)
            listed = re.findall(r"^((?:lessons|homework|api)/\S+|\w+)$", "\n".join(re.findall(
                r"^```{toctree}.*?^```", text, flags=re.DOTALL | re.MULTILINE)), re.MULTILINE)  # fmt: skip
            assert all((source / f"{e}.md").exists() or (source / f"{e}.ipynb").exists() for e in listed), page


def test_a_notebook_is_executed_again_when_it_or_the_code_has_changed(tmp_path, monkeypatch):
    for name, text in (("minillm/a.py", "1"), ("lessons/claims.json", "{}"), ("n.ipynb", "{}")):
        build.write(tmp_path / name, text)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    states = {build.state(tmp_path / "n.ipynb")}
    for name in ("minillm/a.py", "lessons/claims.json", "n.ipynb"):
        build.write(tmp_path / name, "2")
        states.add(build.state(tmp_path / "n.ipynb"))
    assert len(states) == 4 and build.state(tmp_path / "n.ipynb") in states


def test_chinese_is_searched_by_neighbouring_characters():
    pytest.importorskip("sphinx", reason="Sphinx is not installed: make site")
    language = load("conf").Chinese({})
    assert language.split("注意力 KV_cache 2x") == ["注", "意", "力", "注意", "意力", "kv_cache", "2x"]
    assert language.word_filter("山") and "splitQuery" in language.js_splitter_code
