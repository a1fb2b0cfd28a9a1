"""Our templates as programs in Jinja, the language in which other tools keep how dialogues are written."""

import re

from minillm.templates import TEMPLATES
from minillm.tokenizer import Tokenizer

HAN = "一-鿿"


def quoted(text: str) -> str:
    """A text as a Jinja literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def expression(form: str, **values: str) -> str:
    """A template's text as an expression: {name} becomes the expression of that name."""
    parts = [part for part in re.split(r"(\{\w+\})", form) if part]
    return " + ".join(values[p[1:-1]] if p[0] == "{" and p[1:-1] in values else quoted(p) for p in parts) or "''"


def program_of(tokenizer: Tokenizer) -> str:
    """The program that writes dialogues as `chat` does with this tokenizer."""
    template = TEMPLATES[tokenizer.template]
    names = {i: name for name, i in tokenizer.special_tokens().items()}
    doc = quoted("".join(names[i] for i in tokenizer.opening))
    text = "message['content']" + (" | trim" if template.strip else "")
    system = expression(template.system, text="system")
    default = quoted(tokenizer.system or template.default or "")
    answer = expression(template.answer, text=f"({text})", space="space")
    question = expression(template.user, text=f"({text})", system="before", doc=doc)
    lines = [
        f"{{%- set state = namespace(system={default}, first=true) -%}}",
        "{%- for message in messages -%}",
        "{%- if message['role'] == 'system' -%}",
        f"{{%- set state.system = {text} -%}}",
        "{%- elif message['role'] == 'user' -%}",
        "{%- set system = state.system -%}",
        f"{{%- set before = ({system}) if system else '' -%}}",
        f"{{%- if state.first -%}}{{{{- {expression(template.opening, doc=doc)} -}}}}"
        f"{{%- else -%}}{{{{- {expression(template.between, doc=doc)} -}}}}{{%- endif -%}}",
        "{%- set state.first = false -%}{%- set state.system = '' -%}",
        f"{{{{- {question} -}}}}",
        "{%- else -%}",
        f"{{%- set content = {text} -%}}",
        "{%- set space = '' if content and content[0] >= '\u3000' else ' ' -%}",
        f"{{{{- {answer} + {quoted(names[tokenizer.end])} -}}}}",
        "{%- endif -%}",
        "{%- endfor -%}",
    ]
    return "".join(lines)
