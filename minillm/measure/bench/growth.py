"""The part of the benchmark about growth: how time rises with one size while the others stay.

The exponent p of time ∝ size^p is the slope in a picture with two logarithmic axes: 1 means twice the size takes
twice the time, 2 means four times.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from minillm.gpt_config import GPTConfig
from minillm.material.corpus import survey
from minillm.measure.bench.machine import Ceilings
from minillm.measure.bench.models import seconds_to_generate
from minillm.measure.bench.plan import Plan, Shape
from minillm.measure.bench.rows import OURS, Row, exponent, take_turns
from minillm.measure.bench.steps import PLAIN, contenders, random_batch, rough_gpt
from minillm.measure.bench.texts import seconds_to_file, seconds_to_train, texts_of
from minillm.plumbing.plots import new_figure, save_figure
from minillm.tokenizer import Tokenizer

FIELDS = {"context": "n_ctx", "batch": "rows", "width": "n_embd", "vocabulary": "n_vocab"}
Turns = Mapping[tuple[str, float], Callable[[], float]]
"""Measures by (who, size)."""


def growth_part(plan: Plan, ceilings: Ceilings) -> Iterator[Row]:
    """A step against its sizes, generating against the length, training a tokenizer and encoding against the text."""
    for axis, shapes in plan.axes.items():
        yield from growth_rows(f"step against {axis}", steps_of(shapes, FIELDS[axis], plan), plan)
    yield from growth_rows("generating against new tokens", generations(plan), plan)
    yield from growth_rows("tokenizer against bytes", trainings(plan), plan)
    yield from growth_rows("encoding against bytes", encodings(plan), plan)


def steps_of(shapes: Sequence[Shape], field: str, plan: Plan) -> Turns:
    """Ours and the plain step, for each shape."""
    turns: dict[tuple[str, float], Callable[[], float]] = {}
    for shape in shapes:
        steps = contenders(shape, plan.least_seconds / 5)
        turns |= {(who, getattr(shape, field)): steps[who] for who in (OURS, PLAIN)}
    return turns


def generations(plan: Plan) -> Turns:
    """Texts of each length after one token, in a model whose context holds the longest."""
    sizes = plan.generating.sizes | {"n_ctx": max(plan.generated) + 1}
    model, prompt = rough_gpt(GPTConfig(**sizes)), random_batch(plan.generating).ids[:1, :1]  # (1, 1)
    return {(OURS, n): partial(seconds_to_generate, model, prompt, n) for n in plan.generated}


def trainings(plan: Plan) -> Turns:
    """Tokenizers on shares of the text."""
    return {(OURS, size): partial(seconds_to_train, part, plan.vocab_size) for size, part in parts_of(plan)}


def encodings(plan: Plan) -> Turns:
    """Token files of shares of the text."""
    parts = list(parts_of(plan))
    tokenizer = Tokenizer.train(parts[-1][1], plan.vocab_size)
    return {(OURS, size): partial(seconds_to_file, part, tokenizer, survey(part).sha256) for size, part in parts}


def parts_of(plan: Plan) -> Iterator[tuple[int, list[str]]]:
    """Shares of the text, with their bytes."""
    _, texts = texts_of(plan)
    for share in plan.shares:
        part = first_part(texts, share)
        yield sum(len(text.encode()) for text in part), part


def first_part(texts: Sequence[str], share: float) -> list[str]:
    """The beginning of the texts, up to this share of their characters, at least one."""
    left, part = max(1, round(share * sum(map(len, texts)))), []
    for text in texts:
        part.append(text[:left])
        left -= len(part[-1])
    return [text for text in part if text]


def growth_rows(case: str, turns: Turns, plan: Plan) -> Iterator[Row]:
    """The exponent that each contender shows in each round, with the medians it was fitted to."""
    values = take_turns(turns, plan.repeat)
    for who in dict.fromkeys(who for who, _ in values):
        own = {size: seconds for (name, size), seconds in values.items() if name == who}
        if len(own) < 2:
            yield Row("growth", case, who, note="too little to see a growth")
            continue
        slopes = tuple(exponent(list(own), in_round) for in_round in zip(*own.values(), strict=True))
        points = tuple((float(size), median(seconds)) for size, seconds in own.items())
        yield Row("growth", f"{case}, {min(own):,} to {max(own):,}", who, "exponent", slopes, points=points)


def draw_growth(rows: Sequence[Row], path: Path) -> None:
    """One picture for each thing that grows: median seconds against size, both axes logarithmic."""
    grown = [row for row in rows if row.points]
    cases = list(dict.fromkeys(row.case for row in grown))
    columns = min(3, len(cases))
    figure, axes = new_figure(columns, -(-len(cases) // columns))
    for one in axes.flat[len(cases) :]:
        one.set_visible(False)
    for one, case in zip(axes.flat, cases):
        for row in (row for row in grown if row.case == case):
            sizes, seconds = zip(*row.points, strict=True)
            one.loglog(sizes, seconds, marker="o", label=f"{row.who}: size^{median(row.values):.2f}")
        one.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=8)
        one.tick_params(axis="x", which="minor", labelbottom=False)
        one.set(title=case, ylabel="seconds")
        one.grid(alpha=0.3, which="both")
        one.legend(fontsize=8)
    save_figure(figure, path)
