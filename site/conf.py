"""Settings of Sphinx for one language, SITE_LANGUAGE; build.py calls it once for each."""

import os
import re

from sphinx.application import Sphinx
from sphinx.search import SearchLanguage

LANGUAGE = os.environ.get("SITE_LANGUAGE", "en")

project = "minillm"
language = {"en": "en", "zh": "zh_CN"}[LANGUAGE]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"] if LANGUAGE == "en" else ["myst_nb"]
html_theme = "furo"
html_title = "minillm"
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_sidebars = {"**": ["sidebar/brand.html", "sidebar/languages.html", "sidebar/search.html", "sidebar/scroll-start.html",
                        "sidebar/navigation.html", "sidebar/scroll-end.html"]}  # fmt: skip
html_context = {"page_language": LANGUAGE}
html_show_copyright = html_show_sphinx = html_copy_source = html_show_sourcelink = False
html_search_language = "zh" if LANGUAGE == "zh" else "en"

nb_execution_mode = "off"  # build.py has executed them
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = {"en": ("Show the code", "Hide the code"), "zh": ("展开代码", "收起代码")}[
    LANGUAGE
]
myst_heading_anchors = 4
myst_enable_extensions: list[str] = []
# a docstring is written for its reader, not for reStructuredText
suppress_warnings = ["myst.header", "misc.highlighting_failure", "docutils", "ref.python"]

autodoc_inherit_docstrings = False  # those of PyTorch are not ours
autodoc_typehints = "signature"
autodoc_mock_imports = ["gguf", "starlette", "uvicorn"]  # extras, which need not be installed to read about them
add_module_names = False
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 100
CODE_OR_SPECIAL = re.compile(r"`([^`]+)`|[*|]|(?<=\w)_(?=\W|$)")


class Chinese(SearchLanguage):
    """Search in Chinese without a dictionary: a text is cut into every two neighbouring characters, and so is what
    is asked for; words of letters and digits stay whole."""

    lang = "zh"
    language_name = "Chinese"
    js_splitter_code = """
function splitQuery(query) {
  const found = [];
  for (const word of query.toLowerCase().match(/[\\u4e00-\\u9fff]+|[\\p{L}\\p{N}_]+/gu) || []) {
    if (!/[\\u4e00-\\u9fff]/.test(word) || word.length === 1) found.push(word);
    else for (let i = 0; i + 1 < word.length; i++) found.push(word.slice(i, i + 2));
  }
  return found;
}
"""

    def split(self, text: str) -> list[str]:
        found = []
        for word in re.findall(r"[\u4e00-\u9fff]+|[^\W\u4e00-\u9fff]+", text.lower()):
            if re.match(r"[\u4e00-\u9fff]", word):
                found += [*word, *(word[i : i + 2] for i in range(len(word) - 1))]
            else:
                found.append(word)
        return found

    def word_filter(self, word: str) -> bool:
        return bool(word)


def as_rst(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """A docstring as reStructuredText: indented paragraphs are kept as they are, `code` stays code, and what has a
    meaning in reStructuredText alone loses it."""

    def plain(match: re.Match) -> str:
        return f"\\ ``{' '.join(match[1].split())}``\\ " if match[1] else "\\" + match[0]

    paragraphs = "\n".join(lines).split("\n\n")
    kept = [f"::\n\n{p}" if p.startswith("    ") else CODE_OR_SPECIAL.sub(plain, p) for p in paragraphs]
    lines[:] = "\n\n".join(kept).split("\n")


def setup(app: Sphinx) -> None:
    app.add_search_language(Chinese)
    if "sphinx.ext.autodoc" in extensions:
        app.connect("autodoc-process-docstring", as_rst)
