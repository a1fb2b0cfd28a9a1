"""How a dialogue is written: ours, and the templates of the open models that can be imported.

A model answers well only in the form it was taught. These are the forms, as text with the names of control tokens;
`chat` makes ids of them. What a user types is never looked through for such names.

Sources: ours: the lecture; chatml: OpenAI 2023, Qwen, SmolLM; llama2: Touvron et al. 2023 (2307.09288, appendix);
llama3: Llama Team 2024 (2407.21783); alpaca: Taori et al. 2023; vicuna: FastChat, version 1.1 of the model.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """The parts of a dialogue. {text} is a message's text, {system} the system part, {doc} the token that begins a
    text where the model has one; the token that ends an answer is the tokenizer's `end`."""

    user: str
    """A question, up to where its answer begins."""
    system: str
    """A system message: the {system} of the first question."""
    answer: str = "{text}"
    """An answer; {space} is a space, unless a Chinese character follows."""
    between: str = ""
    """What separates an answer's end from the next question."""
    opening: str = "{doc}"
    """Before everything."""
    strip: bool = True
    """Whether white space around a message is left out."""
    default: str | None = None
    """The system message of a dialogue that has none; the tokenizer may say another."""


TEMPLATES = {
    "minillm": Template("{system}USER: {text} AI:", "SYSTEM: {text} ", "{space}{text}"),
    "chatml": Template(
        "{system}<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>system\n{text}<|im_end|>\n",
        between="\n",
        strip=False,
    ),
    "llama2": Template("[INST] {system}{text} [/INST]", "<<SYS>>\n{text}\n<</SYS>>\n\n", " {text} ", between="{doc}"),
    "llama3": Template(
        "{system}<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|start_header_id|>system<|end_header_id|>\n\n{text}<|eot_id|>",
    ),
    "alpaca": Template(
        "{system}### Instruction:\n{text}\n\n### Response:",
        "{text}\n\n",
        between="\n\n",
        default="Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.",
    ),
    "vicuna": Template(
        "{system}USER: {text} ASSISTANT:",
        "{text} ",
        " {text}",
        default="A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions.",
    ),
}

MARKS = {"<|im_start|>": "chatml", "<|start_header_id|>": "llama3", "[INST]": "llama2", "### Instruction": "alpaca",
         "ASSISTANT": "vicuna"}  # fmt: skip
"""What a family's own template, a program in the language Jinja, is recognised by."""


def recognised(program: str | None) -> str | None:
    """The name of the template that a Jinja program writes; None for one that is not here."""
    return next((name for mark, name in MARKS.items() if program and mark in program), None)
