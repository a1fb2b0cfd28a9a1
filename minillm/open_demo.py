"""An open model, tuned on a dozen pairs of one's own, side by side with what it was: import, ask, tune, tune with review.

The pairs (measure/own_pairs.json) are what a class might teach its assistant; each comes with another wording that is
never taught, and with what a right answer must contain. What was forgotten is asked with the doctor's general questions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minillm.chat import Message, turn
from minillm.measure import doctor
from minillm.own_pairs import recipe_for, tune_open
from minillm.plumbing.devices import Timer
from minillm.plumbing.files import write_json
from minillm.plumbing.languages import Text
from minillm.plumbing.terminal import table
from minillm.run_folder import Run, is_finished, load_run
from minillm.stage2_sft import SFTConfig
from minillm.weights.convert import import_run

PAIRS = Path(__file__).parent / "measure" / "own_pairs.json"
MODELS = ("base", "tuned", "reviewed")
TEXTS: dict[str, Text] = {
    "base": {"en": "as imported", "zh": "导入后"},
    "tuned": {"en": "tuned", "zh": "微调后"},
    "reviewed": {"en": "tuned with review", "zh": "微调并复习"},
    "asked": {"en": "asked in other words", "zh": "换个说法问"},
    "taught": {"en": "the 12 pairs, as taught", "zh": "12 对问答，原来的问法"},
    "unseen": {"en": "the 12 pairs, in other words", "zh": "12 对问答，换个说法"},
    "general": {"en": "general questions that it knew", "zh": "原来会的常识题"},
    "seconds": {"en": "seconds of tuning", "zh": "微调用时（秒）"},
    "import": {"en": "Importing {}", "zh": "导入 {}"},
    "tuning": {"en": "Tuning it on 12 pairs", "zh": "用 12 对问答微调"},
    "review": {
        "en": "Tuning it on the same pairs, with a review of its own answers",
        "zh": "用同样的问答微调，同时复习它自己的回答",
    },
    "next": {
        "en": "Talk to it:  python -m minillm chat --run {0}\nTake it along:  python -m minillm export --run {0} --format gguf --out mine.gguf",
        "zh": "和它聊天：python -m minillm chat --run {0}\n带走它：python -m minillm export --run {0} --format gguf --out mine.gguf",
    },
}


@dataclass(frozen=True)
class Pair:
    """A pair that is taught, and how it is asked about afterwards."""

    prompt: str
    completion: str
    other: str
    """The question in words that are never taught."""
    right: tuple[str, ...]
    """What a right answer contains one of."""


def own_pairs() -> list[Pair]:
    return [
        Pair(**record | {"right": tuple(record["right"])}) for record in json.loads(PAIRS.read_text(encoding="utf-8"))
    ]


def asked(run: Run, questions: list[str]) -> list[str]:
    """The greedy answers, at most 24 tokens."""
    return [text for text, _ in doctor.answers(run, [[Message("user", q)] for q in questions], most=24)]


def open_demo(
    place: Path, out: Path, language: str = "en", seed: int = 0, review: int = 48, steps: int | None = None
) -> dict[str, Any]:
    """Import a model, tune it without and with review, and compare; show the tables and return the report.

    Run folders in `out` that are finished already are read again. Raises InputError.
    """

    def say(name: str, *values: object) -> str:
        return TEXTS[name][language].format(*values)

    def tune(name: str, own: int) -> Run:
        folder = out / name
        if is_finished(folder):
            return load_run(folder)
        print(f"\n{say('review' if own else 'tuning')}", flush=True)
        recipe = recipe_for(base, 8, len(pairs)) | ({"steps": steps} if steps else {})
        config = replace(SFTConfig(lora=8, seed=seed, device="cpu"), rehearse_own=own, **recipe)
        timer = Timer()
        run = tune_open(config, base, [turn(p.prompt, p.completion) for p in pairs], out=folder, bar=True)
        seconds[name] = timer.seconds
        return run

    pairs = own_pairs()
    seconds: dict[str, float] = {}
    if not is_finished(out / "base"):
        print(say("import", place.name), flush=True)
        import_run(place, out / "base")
    base = load_run(out / "base")
    general = doctor.general_questions()
    known = [q for q, right in zip(general, doctor.known(base, general), strict=True) if right]
    runs = {"base": base, "tuned": tune("tuned", 0), "reviewed": tune("reviewed", review)}
    models: dict[str, Any] = {}
    for name, run in runs.items():
        taught, other = asked(run, [p.prompt for p in pairs]), asked(run, [p.other for p in pairs])
        knows = [True] * len(known) if name == "base" else doctor.known(run, known)
        models[name] = {
            "taught": sum(right(p, text) for p, text in zip(pairs, taught, strict=True)),
            "unseen": sum(right(p, text) for p, text in zip(pairs, other, strict=True)),
            "general": sum(knows), "answers": other, "seconds": seconds.get(name),
            "forgotten": [q for (q, _), still in zip(known, knows, strict=True) if not still],
        }  # fmt: skip
    report = {"general": {"asked": len(general), "knew": len(known)}, "models": models}
    write_json(out / "report.json", report)
    print(f"\n{shown(report, pairs, language)}\n\n{say('next', out / 'reviewed')}")
    return report


def right(pair: Pair, text: str) -> bool:
    return doctor.contains(text, pair.right)


def shown(report: Mapping[str, Any], pairs: list[Pair], language: str) -> str:
    """The answers to the questions in other words, and what each model got right."""
    models = report["models"]
    head = [TEXTS[name][language] for name in MODELS]
    answers = table(
        [[TEXTS["asked"][language], *head]]
        + [[p.other, *(models[name]["answers"][i] for name in MODELS)] for i, p in enumerate(pairs)],
        [44, 34, 34, 34],
    )  # fmt: skip
    rows = [["", *head]]
    for kind, n in (("taught", len(pairs)), ("unseen", len(pairs)), ("general", report["general"]["knew"])):
        rows.append([TEXTS[kind][language], *(f"{models[name][kind]} / {n}" for name in MODELS)])
    rows.append(
        [TEXTS["seconds"][language], *(f"{s:.0f}" if (s := models[name]["seconds"]) else "" for name in MODELS)]
    )
    return f"{answers}\n\n{table(rows, [44, 18, 18, 18])}"
