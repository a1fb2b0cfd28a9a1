"""Homework of lesson 14: into every home. Write the six functions with numpy or torch.
Unless its docstring says otherwise, a function leaves its arguments as they were.

Grade it with `python -m minillm homework 14`. Lesson: notebooks/en/14_into_every_home.ipynb.
"""

from torch import Tensor


def rename_weights(
    state: dict[str, Tensor], rules: list[tuple[str, str | None, bool]]
) -> tuple[dict[str, Tensor], list[str]]:
    """Give the weights of another framework our names: (weights by new name, unknown old names).

    A rule is (old, new, transposed). For each weight go through the rules in their order. A rule applies
    when `old` occurs anywhere in the name as the earlier rules left it; then every `old` in it is
    replaced by `new`. If `new` is None the weight is left out: it is in neither result, and no
    further rule is looked at. If at least one of the rules that applied says transposed and the weight
    has two axes, its axes are swapped, once. A weight to which no rule applied is unknown: it is left
    out too, and its name is listed. Both results keep the order of `state`. No two weights will get the
    same name.
    """
    raise NotImplementedError


def chat_template(messages: list[tuple[str, str]]) -> list[tuple[str, bool]]:
    """A dialogue as the segments that are encoded one by one, and for each whether SFT learns it.

    messages: (role, content), in order: perhaps `system`, then `user`, `assistant`, `user`, …; it may end
    with the user's turn. Contents are used without white space around them, and none is empty then. Segments:
      - ("[DOC]", False), once, at the beginning;
      - for a user's turn ("USER: {content} AI:", False). A system message has no segment of its own: it
        is in the first user's segment, ("SYSTEM: {system} USER: {content} AI:", False);
      - for an answer (" {content}", True) with a space before it, or (content, True) without one if its
        first character is Chinese (U+4E00 to U+9FFF) or Chinese punctuation (U+3000 to U+303F, U+FF00 to
        U+FFEF); then ("[END]", True).
    """
    raise NotImplementedError


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix as whole numbers from -127 to 127 and one scale a row, so that weight ≈ q · scale.

    weight: (out, in), floats. The scale of a row is its largest absolute value divided by 127, and q is
    weight / scale, rounded to the nearest whole number. A row of zeros has scale 1 and q 0. Returns q,
    (out, in), of dtype int8, and the scales, (out).
    """
    raise NotImplementedError


def rotary_halves(weight: Tensor, n_head: int) -> Tensor:
    """The rows of a query or key matrix, from llama.cpp's order into ours.

    weight: (n_head · D, in), D even: n_head heads of D rows each, one after the other. In a llama.cpp file the two rows
    of a rotary pair are neighbours: the rows of each head are a0, b0, a1, b1, a2, b2, … We keep all a first, then
    all b: a0, a1, a2, …, b0, b1, b2, … The heads stay in their order. Returns a matrix of the same shape.
    """
    raise NotImplementedError


def unpack_q4(packed: Tensor, scale: Tensor, minimum: Tensor) -> Tensor:
    """The numbers of blocks that a GGUF file keeps in 4 bits each (Q4_1): (blocks, 32).

    packed: (blocks, 16) whole numbers from 0 to 255. Each holds two numbers q from 0 to 15: the four low bits of
    packed[i, j] are number j of block i, its four high bits are number j + 16. A number is worth
    q · scale[i] + minimum[i]. scale and minimum: (blocks), floats.
    """
    raise NotImplementedError


def share_kept(before: list[bool], after: list[bool]) -> float:
    """What tuning left of what a model knew: of the questions that it answered right before, the share it still does.

    before, after: for each question in the same order whether the answer was right. Questions that were wrong before
    say nothing about forgetting and do not count. If none was right before, nothing was lost: 1.0.
    """
    raise NotImplementedError
