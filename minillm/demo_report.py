"""What the demo shows: its report as tables for a terminal and as a picture of curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minillm.plumbing import plots
from minillm.plumbing.terminal import percent, table
from minillm.run_folder import Run

MODELS = {
    "base": "stage 1: base",
    "sft": "stage 2: SFT",
    "sft_plain": "SFT, no rehearsal",
    "tuned": "stage 3: tuned",
    "scratch": "SFT without stage 1",
}
"""The models that the demo compares, as its tables call them."""


def summary(report: Mapping[str, Any]) -> str:
    """The report as tables for a terminal."""
    scores = report["heldout_exact_match"]
    parts = [""]
    parts.append(table(
        [["prompt", *MODELS.values()]]
        + [[c["prompt"], *(c["answers"][m] for m in MODELS)] for c in report["cases"]],
        [46, *(27 for _ in MODELS)],
    ))  # fmt: skip
    parts.append("\nRight answers about places that no dialogue of SFT speaks of (exact match)")
    rows = [["", *MODELS.values(), "LoRA", "constant answer"]]
    everyone = [scores[m] for m in MODELS] + [report["lora"]["exact_match"]]
    for language, name in (("en", "English"), ("zh", "Chinese"), ("all", "all")):
        rows.append([name, *(percent(s[language]) for s in everyone), ""])
    rows.append(["wordings SFT never used", *(percent(s["unseen"]["all"]) for s in everyone), ""])
    for relation in scores["sft"]["relations"]:
        shares = [(s["relations"][relation]["en"] + s["relations"][relation]["zh"]) / 2 for s in everyone]
        rows.append([f"  {relation}", *map(percent, shares), percent(report["baselines"][relation]["majority"])])
    parts.append(table(rows, [24, 15, 15, 18, 15, 20, 10, 16]))
    parts.append("\nStage 3, before -> after")
    names = {
        "win_rate": "answers in full sentences",
        "harmful_refused": "harmful requests refused",
        "harmless_answered": "harmless requests answered",
        "harmless_right": "  of these with the right tip",
    }
    for key, name in names.items():
        p = report["preference"][key]
        parts.append(f"  {name:<32} {percent(p['before']):>8} -> {percent(p['after']):>8}  (n = {p['n']})")
    drift, lora = report["parameter_drift"], report["lora"]
    parts.append(
        f"\nParameters: {report['parameters']:,}. SFT moved them by {percent(drift['sft'])} of their length, "
        f"stage 3 by {percent(drift['tuned'])}; LoRA of rank {lora['rank']} has {percent(lora['share'])} as many."
    )
    parts.append("\nSeconds: " + ", ".join(f"{name} {value:.0f}" for name, value in report["seconds"].items()))
    speeds = [f"{name} {report['tokens'][name] / report['seconds'][name]:,.0f}" for name in report["tokens"]]
    parts.append("Tokens per second: " + ", ".join(speeds))
    return "\n".join(parts)


def draw_overview(runs: Mapping[str, Run], report: Mapping[str, Any], path: Path) -> None:
    """Four pictures in one: the losses of the stages, stage 3's answers, and the exam."""
    figure, axes = plots.new_figure(2, 2)
    plots.draw_curve(axes[0, 0], runs["base"].metrics, "loss", plots.COLOURS["base"], "raw text")
    axes[0, 0].set(title="Stage 1: loss on raw text", xlabel="step", ylabel="nats per token")
    for name, label in (
        ("sft", "from the base model"),
        ("sft_plain", "no rehearsal"),
        ("scratch", "from random weights"),
    ):
        plots.draw_curve(axes[0, 1], runs[name].metrics, "answer_loss", plots.COLOURS[name], label)
    axes[0, 1].set(title="Stage 2: loss on answers (taught pairs)", xlabel="step", ylabel="nats per token")
    for name, colour in (("chosen_log_prob", plots.COLOURS["tuned"]), ("rejected_log_prob", plots.COLOURS["scratch"])):
        plots.draw_curve(axes[1, 0], runs["tuned"].metrics, name, colour, name.split("_")[0])
    axes[1, 0].set(title="Stage 3: log p of chosen and rejected", xlabel="step", ylabel="nats, whole answer")
    scores = report["heldout_exact_match"]
    for i, language in enumerate(("en", "zh")):
        positions = [k + (i - 0.5) * 0.38 for k in range(len(MODELS))]
        bars = axes[1, 1].bar(
            positions,
            [100 * scores[m][language] for m in MODELS],
            0.36,
            label={"en": "English", "zh": "Chinese"}[language],
            color=("#4c78a8", "#f58518")[i],
        )
        axes[1, 1].bar_label(bars, fmt="%.0f", fontsize=7)
    axes[1, 1].set(title="Exam: places in no dialogue of SFT", ylabel="right answers, %", ylim=(0, 112))
    axes[1, 1].set_xticks(
        range(len(MODELS)), ["base", "SFT", "SFT, no\nrehearsal", "tuned", "SFT without\nstage 1"], fontsize=8
    )
    for one in axes.flat:
        one.grid(alpha=0.3)
        one.legend(fontsize=8)
    plots.save_figure(figure, path)
