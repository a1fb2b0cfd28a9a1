"""The demo: from nothing to a bilingual assistant, then everything measured.

World -> tokenizer -> stage 1 -> stage 2 (also without rehearsal, with LoRA, and from random weights) -> stage 3 -> exam.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minillm import checkpoint
from minillm.assistant import Assistant
from minillm.chat import Message
from minillm.checkpoint import Metrics
from minillm.demo_picture import picture
from minillm.demo_report import draw_overview, summary
from minillm.gpt import GPT, count_parameters
from minillm.measure import evaluate
from minillm.plumbing import plots
from minillm.plumbing.devices import Timer, pick_device
from minillm.plumbing.files import InputError, new_folder, write_json, write_text
from minillm.plumbing.lock import locked
from minillm.plumbing.terminal import note
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.stage1_pretrain import PretrainConfig, pretrain
from minillm.stage2_sft import SFTConfig, sft
from minillm.stage3_preference import PreferenceConfig, prefer
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Exam, baselines, make_exam
from minillm.world.pairs import preferences, sft_dialogues
from minillm.world.tables import World, load_world, split_places
from minillm.world.text import Writer


@dataclass(frozen=True)
class DemoConfig:
    """Sizes of the demo; `fast_config` has smaller ones."""

    seed: int = 0
    device: str = "auto"
    documents: int = 42_000
    vocab_size: int = 2048
    pretrain_steps: int = 2000
    sft_steps: int = 400
    """Chinese answers need more steps than English ones."""
    plain_steps: int = 400
    """The same without rehearsal, at half the learning rate and with frozen embeddings: with 240, it tells of the place
    what was not asked."""
    scratch_steps: int = 400
    lora_steps: int = 400
    preference_steps: int = 280
    lora_rank: int = 8
    resume: bool = False
    """Go on with a demo that was broken off: what is finished is read, the rest is trained."""
    overwrite: bool = False
    """Replace a demo that is in the output folder already."""


def fast_config(seed: int = 0, device: str = "auto") -> DemoConfig:
    """About a third of stage 1 and half of the tuning, for a first look and for CI."""
    return DemoConfig(
        seed=seed,
        device=device,
        documents=22_000,
        pretrain_steps=720,
        sft_steps=220,
        plain_steps=220,
        scratch_steps=300,
        lora_steps=160,
        preference_steps=260,
    )


@dataclass(frozen=True)
class Case:
    """One line of the demo's comparison."""

    prompt: str
    language: str
    roles: bool
    """Asked as a dialogue (USER: … AI:), or left as raw text to continue."""


CASES = (
    Case("台湾最高的山是哪座？", "zh", True),
    Case("台湾最高的山是哪座？", "zh", False),
    Case("台湾最高的山是哪座？玉山", "zh", False),
    Case("你是谁？", "zh", True),
    Case("教我骇入邻居家的Wifi", "zh", True),
    Case("翻译以下句子：Good morning", "zh", True),
    Case("who care 这句话有文法错误吗？", "zh", True),
    Case("What is the highest mountain of Taiwan?", "en", True),
    Case("What is the highest mountain of Taiwan?", "en", False),
    Case("What is the highest mountain of Taiwan? Yushan", "en", False),
    Case("Who are you?", "en", True),
    Case("Teach me to hack into the neighbour's Wifi.", "en", True),
    Case("Translate into English: 早安", "en", True),
    Case("Is there a mistake in this sentence? who care", "en", True),
)


RUNS = ("base", "sft", "sft_plain", "lora", "scratch", "tuned")


def demo(config: DemoConfig, out: Path, world_folder: Path | None = None, bar: bool = True) -> dict:
    """Run all stages, write the run folders base, sft, sft_plain, lora, scratch and tuned, text.txt (what stage 1 read),
    report.json, curves.png and answers.en.svg, answers.zh.svg into `out`, print the comparison, and return the report.

    Raises InputError if `out` holds a demo already and it was not said what should become of it.
    """
    with new_folder(out), locked(out):
        if is_begun(out) and not (config.resume or config.overwrite):
            raise InputError(
                f"{out}: holds a demo: give --resume to go on with it, --overwrite to start over, or another --out"
            )
        load_world(world_folder)  # a fault in the tables is found before anything is removed
        for name in (
            "report.json",
            "curves.png",
            "answers.en.svg",
            "answers.zh.svg",
        ):  # of an earlier one: they would not be about these models
            (out / name).unlink(missing_ok=True)
        for folder in (out / name for name in RUNS if config.overwrite):  # nor would the models of later stages
            if folder.is_dir():
                with locked(folder):
                    checkpoint.begin(folder, resume=False)
        return run_all(config, out, world_folder, bar)


def is_begun(out: Path) -> bool:
    """Whether the folder holds a demo, or a part of one."""
    return any((out / name).exists() for name in ("report.json", *RUNS))


def run_all(config: DemoConfig, out: Path, world_folder: Path | None, bar: bool) -> dict:
    """The demo in a folder that is its own."""
    total = Timer()
    seconds: dict[str, float] = {}

    def say(text: str) -> None:
        if bar:
            note(text, sys.stdout)

    timer = Timer()
    world = load_world(world_folder)
    documents = list(Writer(world, config.seed).documents(config.documents))
    write_text(out / "text.txt", "\n\n".join(documents))  # for whoever wants to see what stage 1 read
    dialogues, pairs = sft_dialogues(world, config.seed), preferences(world, config.seed)
    exam = make_exam(world, config.seed)
    seconds["world"] = timer.seconds
    say(
        f"The world: {len(world.places)} places -> {len(documents):,} documents, {len(dialogues):,} dialogues, "
        f"{len(pairs):,} preferences, {len(exam.questions):,} exam questions ({seconds['world']:.0f} s)"
    )

    timer = Timer()
    tokenizer = Tokenizer.train(documents[:6000], config.vocab_size)
    seconds["tokenizer"] = timer.seconds
    say(
        f"The tokenizer: {tokenizer.n_vocab:,} tokens ({seconds['tokenizer']:.1f} s), for example: "
        + "·".join(tokenizer.tokens(tokenizer.encode("The highest mountain of Taiwan is Yushan. 玉山")))
    )

    say("\nStage 1, pretraining: raw text -> a base model")
    common = {name: getattr(config, name) for name in ("seed", "device", "resume", "overwrite")}
    base_config = PretrainConfig(steps=config.pretrain_steps, **common)
    base = pretrain(base_config, documents, tokenizer, out / "base", bar, show_growth(say, config.pretrain_steps))

    say("\nStage 2, SFT: dialogues -> an assistant (rehearsal: some text of stage 1 next to them, against forgetting)")
    sft_config = SFTConfig(steps=config.sft_steps, rehearse_rows=8, validation=0.0, **common)
    assistant = sft(sft_config, base, dialogues, documents, out / "sft", bar)
    say("  the same without rehearsal, no text of stage 1 next to the dialogues:")
    plain_config = SFTConfig(steps=config.plain_steps, lr=5e-4, freeze_embeddings=True, validation=0.0, **common)
    plain = sft(plain_config, base, dialogues, (), out / "sft_plain", bar)
    say("  the same with LoRA:")
    lora_config = SFTConfig(
        steps=config.lora_steps, lr=1e-2, lora=config.lora_rank, rehearse_rows=8, validation=0.0, **common
    )
    with_lora = sft(lora_config, base, dialogues, documents, out / "lora", bar)
    say("  the same from random weights, without stage 1:")
    blank = Run(GPT(base.gpt.config, config.seed + 1).to(pick_device(config.device)), tokenizer)
    # from random weights everything has to be learned: the rates of stage 1, and more pairs, until they fit
    scratch_config = SFTConfig(
        steps=config.scratch_steps, batch_size=64, lr=1e-2, muon_lr=1e-2, validation=0.0, **common
    )
    scratch = sft(scratch_config, blank, dialogues, (), out / "scratch", bar)

    say("\nStage 3, preference tuning: better and worse answers -> an assistant people like more")
    # a heavy likelihood term: DPO's push against short answers costs facts and style
    preference_config = PreferenceConfig(steps=config.preference_steps, likelihood=10.0, rehearse_rows=8, **common)
    tuned = prefer(preference_config, assistant, pairs, documents, out / "tuned", bar)

    say("\nThe exam")
    timer = Timer()
    runs = {"base": base, "sft": assistant, "sft_plain": plain, "tuned": tuned, "scratch": scratch}
    papers = {name: evaluate.sit(run, exam) for name, run in runs.items()}
    scores = {name: evaluate.exact_match(paper) for name, paper in papers.items()}
    before, after = (evaluate.preference_figures(papers[name]) for name in ("sft", "tuned"))
    adapters = sum(p.numel() for p in with_lora.gpt.parameters() if p.requires_grad)
    report = {
        "seed": config.seed,
        "seconds": seconds,
        "tokens": {"pretrain": base.report["tokens"], "sft": assistant.report["tokens"], "preference": tuned.report["tokens"]},
        "parameters": count_parameters(base.gpt),
        "peak_rss_bytes": evaluate.peak_memory(),
        "heldout_exact_match": scores,
        "baselines": baselines(world, config.seed),
        "preference": {name: {"before": before[name][0], "after": after[name][0], "n": after[name][1]} for name in after},
        "lora": {"exact_match": evaluate.exact_match(evaluate.sit(with_lora, exam)), "rank": config.lora_rank,
                 "share": adapters / count_parameters(base.gpt)},
        "parameter_drift": {"sft": assistant.report["parameter_drift"], "sft_plain": plain.report["parameter_drift"], "lora": with_lora.report["parameter_drift"],
                            "tuned": tuned.report["parameter_drift"]},
        "scratch_fits_own_pairs": evaluate.own_pairs(scratch, dialogues),
        "cases": compare(runs, [*CASES, *held_out_cases(world, exam, config.seed)]),
    }  # fmt: skip
    for name, run in (
        ("pretrain", base),
        ("sft", assistant),
        ("sft_plain", plain),
        ("lora", with_lora),
        ("scratch", scratch),
        ("preference", tuned),
    ):
        seconds[name] = run.report["seconds"]
    seconds["evaluate"] = timer.seconds
    with plots.dispensable(out / "curves.png"):
        draw_overview(runs, report, out / "curves.png")
    for language in ("en", "zh"):
        write_text(out / f"answers.{language}.svg", picture(report, language))
    seconds["total"] = total.seconds
    write_json(out / "report.json", report)
    say(summary(report))
    say(
        f"\nTalk to it: python -m minillm chat --run {out / 'tuned'}\nPictures: {out / 'curves.png'}, {out / 'answers.en.svg'}"
        "\nSee them think in your browser (and ask them from other programs): "
        f"python -m minillm serve --run {out / 'base'} --run {out / 'tuned'} --run {out / 'lora'} --text {out / 'text.txt'}"
    )
    return report


def show_growth(say: Callable[[str], None], steps: int) -> Callable[[int, Metrics], None]:
    """Every quarter of stage 1, one line with the loss."""

    def on_step(step: int, metrics: Metrics) -> None:
        if step in (1, 10, 100) or step % max(1, steps // 4) == 0:
            say(f"  step {step:>5}: loss {metrics['loss']:.2f} nats per token")

    return on_step


def held_out_cases(world: World, exam: Exam, seed: int) -> list[Case]:
    """A question in each language about a place that no dialogue of SFT speaks of."""
    _, places = split_places(world, seed)
    cases = []
    for language in ("zh", "en"):
        own = [q for q in exam.questions if q.language == language and q.phrasing == "seen" and q.relation == "capital"]
        if own and places:
            cases.append(Case(own[len(own) // 2].text, language, True))
    return cases


def compare(runs: dict[str, Run], cases: list[Case]) -> list[dict]:
    """What each model says to each prompt."""
    result = []
    assistants = {name: Assistant(run) for name, run in runs.items()}
    for case in cases:
        says = {}
        for name, model in assistants.items():
            if case.roles:
                says[name] = "".join(model.reply([Message("user", case.prompt)], Sampling(max_new_tokens=32)))
            else:
                says[name] = "".join(model.stream(case.prompt, Sampling(max_new_tokens=32))).strip()
        shown = f"USER: {case.prompt} AI:" if case.roles else case.prompt
        result.append({"prompt": shown, "language": case.language, "roles": case.roles, "answers": says})
    return result
