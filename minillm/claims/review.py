"""Tasks learned one after another are forgotten unless reviewed; a model can write its own review
(Sun et al. 2019, LAMOL, 1909.03329)."""

from collections.abc import Sequence
from functools import partial

from minillm.chat import Dialogue, Message, encode_dialogue, turn
from minillm.claims.experiment import NOTHING, STAGE_1, Check, Claim, Observation
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import Marks, right, show, tally
from minillm.claims.tasks import TASKS
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.world.exam import Question

SHARE = 0.3  # of review with each new task; LAMOL takes 0.2
STEPS = 100


def encode(dialogues: list[list[Message]], run: Run) -> list[Dialogue]:
    """The dialogues; in every fourth the question is learned as well, so that the model can ask itself."""
    encoded = [encode_dialogue(d, run.tokenizer) for d in dialogues]
    return [Dialogue(d.ids, [False] + [True] * (len(d.ids) - 1)) if i % 4 == 0 else d for i, d in enumerate(encoded)]


def own_questions(lab: Lab, run: Run, number: int) -> list[list[Message]]:
    """Dialogues the model writes itself: questions sampled after `USER:`, its greedy answers to them."""
    start = [run.tokenizer.doc, *run.tokenizer.encode("USER:")]
    sampling = Sampling(max_new_tokens=48, temperature=1.0, top_k=20, seed=lab.seed)
    written = lab.complete(run, [start] * (2 * number), sampling)
    questions = list(dict.fromkeys(text.split(" AI:")[0].strip() for text, _ in written if " AI:" in text))[:number]
    answers = lab.ask(run, [Question("", q, ()) for q in questions if q])
    return [turn(q, text) for q, (text, ended) in zip(filter(None, questions), answers, strict=True) if ended and text]


def measure(lab: Lab) -> Observation:
    first, *later = (make(lab) for make in TASKS.values())
    steps = lab.config.sft_steps

    def learn(pairs: list[list[Message]], run: Run | None, steps: int, rehearse: Sequence[str] | None = None) -> Run:
        return lab.tune_encoded(encode(lab.mixed(pairs), lab.base.run), run, steps=steps, rehearse=rehearse)

    start = learn(first.pairs, None, steps)
    runs, examples = {"before": start}, []
    for way in ("bare", "none", "real", "own"):
        run, past = start, list(first.pairs)
        for task in later:
            number = int(SHARE * len(task.pairs)) + 1
            review = lab.mixed(past)[:number] if way == "real" else []
            if way == "own":
                review = own_questions(lab, run, number)
                examples += [{"condition": "own", "prompt": q.content, "answer": a.content} for q, a in review[:6]]
            run = learn([*task.pairs, *review], run, STEPS, () if way == "bare" else None)
            past += task.pairs
        runs[way] = run
    runs["joint"] = learn([d for task in (first, *later) for d in task.pairs], None, steps + 2 * STEPS)
    marks: dict[str, Marks] = {}
    for name, run in runs.items():
        answers = lab.ask(run, first.items)
        marks[name] = tally(first.items, right(first.items, answers))
        examples += show(name, first.items, answers, 2)
        if name != "before":
            marks[f"{name}-last"] = lab.score(run, later[-1].items)
    return Observation(marks, lab.constant_answer, {}, examples)


WAYS = {
    "before": dict(en="before the other tasks", zh="学其他任务之前"),
    "bare": dict(en="no review, no text of stage 1", zh="不复习，也没有第 1 阶段的文本"),
    "none": dict(en="no review", zh="不复习"),
    "own": dict(en="own questions", zh="自己出题复习"),
    "real": dict(en="real pairs", zh="用真题复习"),
    "joint": dict(en="all tasks at once", zh="所有任务一起学"),
}

CLAIM = Claim(
    slug="review",
    hypothesis=dict(
        en="A model that learns tasks one after another forgets the first; reviewing with its own questions helps.",
        zh="一个接一个学任务的模型会忘掉前面的；用自己出的题复习就能记住。",
    ),
    source="LAMOL (1909.03329)",
    conditions=WAYS
    | {
        f"{way}-last": {one: f"{text[one]}{', last task' if one == 'en' else '，最后的任务'}" for one in ("en", "zh")}
        for way, text in WAYS.items()
        if way != "before"
    },
    metric=dict(en="right answers in the first task", zh="第一个任务的正确回答"),
    better="own",
    worse="none",
    checks=(
        Check(
            dict(en="forgotten without review", zh="不复习时忘掉的"), lambda f: f["before"] - f["none"], at_least=0.2
        ),
        Check(
            dict(en="share of this that own questions bring back", zh="自己出题复习挽回的比例"),
            lambda f: (f["own"] - f["none"]) / max(1e-9, f["before"] - f["none"]),
            at_least=0.5,
        ),
    ),
    budget=dict(
        en="Ten tunings per seed: three tasks in a row in four ways, and all at once.",
        zh="每个种子微调十次：三个任务依次学，四种方式；再加一起学。",
    ),
    notes=dict(
        en='At first every question was learned as well and no text of stage 1 was rehearsed: the first task then reached only 58 %, joint training 33 %, and own questions brought back 19 % of what was forgotten (seed 101). Now the question is learned in every fourth dialogue, together with text of stage 1 (without: "no text"). The model answers its own questions greedily. With a fifth as many pairs of review as the new task, as in the source, own questions brought back 47 % on seed 102 (quick), with 0.3 63 %; without text of stage 1 25 and 21 %.',
        zh="起初每个问题都一起学，也不复习第 1 阶段的文本：第一个任务只有 58 %，一起学 33 %，自己出题只挽回遗忘的 19 %（种子 101）。现在每四个对话学一个问题，并复习第 1 阶段的文本（不复习的见「没有文本」）。模型用贪心方式回答自己的题。复习的数量是新任务的五分之一（与原文相同）时，在种子 102 上挽回 47 %（快速版），十分之三时 63 %；不同时学第 1 阶段的文本时为 25 % 和 21 %。",
    ),
    rehearsed={"bare": NOTHING, "bare-last": NOTHING, "": STAGE_1},
    measure=measure,
    picture=partial(bars, names=tuple(WAYS)),
    seeds=8,
)
