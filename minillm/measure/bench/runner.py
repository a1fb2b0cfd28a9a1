"""The benchmark as a whole: the machine first, then the parts, then one table and one JSON file."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from minillm.measure.bench.growth import draw_growth, growth_part
from minillm.measure.bench.learning import loss_part
from minillm.measure.bench.machine import Ceilings, describe, measure_ceilings
from minillm.measure.bench.models import generate_part, load_part, memory_part, train_part
from minillm.measure.bench.plan import Plan
from minillm.measure.bench.rows import Row
from minillm.measure.bench.texts import tokenizer_part
from minillm.plumbing.files import InputError, make_folder, write_json
from minillm.plumbing.terminal import note

PARTS: dict[str, Callable[[Plan, Ceilings], Iterator[Row]]] = {
    "train": train_part,
    "load": load_part,
    "loss": loss_part,
    "generate": generate_part,
    "tokenizer": tokenizer_part,
    "memory": memory_part,
    "growth": growth_part,
}
BUSY = 0.5  # processes that wait for a core, averaged over a minute


def run_bench(parts: Sequence[str], plan: Plan, json: Path | None = None) -> list[Row]:
    """Measure these parts of PARTS; return the table's rows, those of the machine first.

    With `json`, a file is written there after each part, so that what was measured outlives an interruption, and
    a picture with the same name and the suffix .png where something grew. Raises InputError for a file that
    cannot be read or written.
    """
    if json is not None:
        make_folder(json.parent)
        if json.is_dir():
            raise InputError(f"{json}: is a folder: name a file for --json")
    about = describe()
    if (about["load_before"] or 0) > BUSY:
        note(
            f"other processes keep {about['load_before']:.1f} cores busy: these figures are not those of a quiet machine"
        )
    note("the machine's ceilings …")
    ceilings, rows = measure_ceilings(plan.repeat, plan.product, plan.touched, plan.least_seconds)
    for part in parts:
        note(f"{part} …")
        rows += PARTS[part](plan, ceilings)
        if json is not None:
            write_json(json, {"machine": about, "repeat": plan.repeat, "rows": [row.to_json() for row in rows]})
    if json is not None and any(row.points for row in rows):
        draw_growth(rows, json.with_suffix(".png"))
    return rows
