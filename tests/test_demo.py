"""The demo end to end in a tiny size, its report and its tables; and the project's own files."""

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minillm
from minillm import demo as demonstration
from minillm.__main__ import main
from minillm.commands.serve import text_of
from minillm.demo_picture import picture, wrap
from minillm.measure import evaluate
from minillm.plumbing import terminal
from minillm.run_folder import Run, load_run
from minillm.stage1_pretrain import PretrainConfig
from minillm.world.exam import make_exam
from minillm.world.tables import load_world

sys.path.insert(0, str(Path(__file__).parent))
import check_demo

ROOT = Path(__file__).parent.parent
MODELS = ("base", "sft", "sft_plain", "tuned", "scratch")


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the tiny demo printed."""
    return []


@pytest.fixture(scope="module")
def tiny_demo(tmp_path_factory, said):
    out = tmp_path_factory.mktemp("demo")
    config = demonstration.DemoConfig(seed=5, documents=400, vocab_size=300, pretrain_steps=3, sft_steps=3, plain_steps=3,
                                      scratch_steps=3, lora_steps=3, preference_steps=2)  # fmt: skip
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        report = demonstration.demo(config, out, bar=True)
    said += printed.getvalue().splitlines()
    return out, report


@pytest.mark.slow
def test_the_demo_writes_its_runs_report_and_picture(tiny_demo):
    out, report = tiny_demo
    for name in (*MODELS, "lora"):
        files = {p.name for p in (out / name).iterdir()}
        weights = "adapter.safetensors" if name == "lora" else "model.safetensors"
        assert {weights, "config.json", "tokenizer", "metrics.jsonl", "curves.png", "report.json"} <= files
        assert load_run(out / name).gpt.config.n_vocab == 303
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG") and not list(out.rglob("*.partial"))
    assert len(list(text_of([out / "text.txt"], [out / "base"]))) == 400  # the very text that stage 1 read


@pytest.mark.slow
def test_the_demos_last_line_opens_the_page(tiny_demo, said):
    pytest.importorskip("uvicorn")
    *_, words = said[-1].partition("python ")
    command = [sys.executable, *shlex.split(words), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            address = re.match(r"http://127\.0\.0\.1:\d+/(?= shows base, tuned, lora,)", server.stdout.readline())[0]
            with urllib.request.urlopen(address) as page:
                assert b'id="chats"' in page.read()
            asked = urllib.request.Request(address + "view/text", json.dumps({"text": "the"}).encode())
            with urllib.request.urlopen(asked) as view:
                assert json.load(view)["read"] == 400
        finally:
            server.terminate()


@pytest.mark.slow
def test_ctrl_c_in_the_demo_says_that_resume_goes_on(tmp_path, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    size = demonstration.DemoConfig(documents=400, vocab_size=300, pretrain_steps=2)
    monkeypatch.setattr(demonstration, "fast_config", lambda **options: replace(size, **options))
    monkeypatch.setattr(demonstration, "sft", stop)
    command = ["demo", "--fast", "--out", str(tmp_path / "demo"), "--device", "cpu"]
    assert main(command) == 130
    assert capsys.readouterr().err.endswith("saved: give the same command with --resume to go on\n")
    assert main([*command, "--resume"]) == 130
    assert "this run is finished" in capsys.readouterr().out
    monkeypatch.setattr(demonstration, "load_world", stop)  # before anything was begun
    assert main(["demo", "--out", str(tmp_path / "other")]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


@pytest.mark.slow
def test_the_report_has_the_fields_that_others_build_on(tiny_demo):
    _, report = tiny_demo
    stages = {"world", "tokenizer", "pretrain", "sft", "preference", "evaluate", "total"}
    assert stages <= report["seconds"].keys() and all(s >= 0 for s in report["seconds"].values())
    assert report["seed"] == 5 and report["parameters"] > 0
    for model in MODELS:
        score = report["heldout_exact_match"][model]
        assert all(0 <= score[key] <= 1 for key in ("en", "zh", "all")) and score["n"] >= 400
    for name in ("win_rate", "harmful_refused", "harmless_answered"):
        assert report["preference"][name].keys() == {"before", "after", "n"}
    assert report["lora"].keys() >= {"exact_match", "share"} and 0 < report["lora"]["share"] < 0.2
    assert report["parameter_drift"]["sft"] > 0
    prompts = [case["prompt"] for case in report["cases"]]
    assert "USER: 台湾最高的山是哪座？ AI:" in prompts and "台湾最高的山是哪座？玉山" in prompts
    assert all(case["answers"].keys() == set(MODELS) for case in report["cases"])


@pytest.mark.slow
def test_the_summary_shows_every_case_in_straight_columns(tiny_demo):
    _, report = tiny_demo
    text = demonstration.summary(report)
    head = next(line for line in text.splitlines() if line.startswith("prompt"))
    column = terminal.width(head[: head.index("stage 1")])
    for case in report["cases"]:
        line = next(row for row in text.splitlines() if row.startswith(case["prompt"][:20]))
        cut, length = "", 0
        for character in line:
            if length >= column:
                break
            cut += character
            length += terminal.width(character)
        assert length == column and cut.endswith("  ")


@pytest.mark.slow
def test_untrained_figures_do_not_pass_the_check(tiny_demo):
    assert any("held-out exact match" in message for message in check_demo.problems(tiny_demo[1]))


@pytest.mark.slow
def test_the_loaded_model_answers_as_the_stage_returned_it(tiny_demo):
    out, report = tiny_demo
    case = next(c for c in report["cases"] if c["prompt"] == "USER: 你是谁？ AI:")
    assert (
        minillm.load(out / "sft").ask("你是谁？", minillm.Sampling(max_new_tokens=32)) == case["answers"]["sft"].strip()
    )


def test_a_perfect_and_a_silent_model_get_full_and_no_marks(monkeypatch):
    exam = make_exam(load_world(), 0)
    book = {q.text: q.accepted[1] for q in exam.questions} | {r.text: r.expected for r in exam.requests}
    run = Run(None, None)
    monkeypatch.setattr(evaluate, "answers", lambda run, questions: [(book[q], True) for q in questions])
    paper = evaluate.sit(run, exam)
    score, figures = evaluate.exact_match(paper), evaluate.preference_figures(paper)
    assert score["all"] == score["unseen"]["zh"] == 1.0 and {share for share, _ in figures.values()} == {1.0}
    monkeypatch.setattr(evaluate, "answers", lambda run, questions: [("", True) for _ in questions])
    paper = evaluate.sit(run, exam)
    score, figures = evaluate.exact_match(paper), evaluate.preference_figures(paper)
    assert score["all"] == 0.0 and {share for share, _ in figures.values()} == {0.0}
    # the right words without [END] are no answer: the model did not know that it was done
    monkeypatch.setattr(evaluate, "answers", lambda run, questions: [(book[q], False) for q in questions])
    assert evaluate.exact_match(evaluate.sit(run, exam))["all"] == 0.0


def test_texts_are_fitted_to_columns_by_their_width():
    assert terminal.width("ab") == 2 and terminal.width("玉山") == 4
    for text in ("", "a", "玉山", "玉山abc", "一二三四五六", "new\nline"):
        assert terminal.width(terminal.fit(text, 7)) == 7


# ---------------------------------------------------------------------------------------- project files


def test_requirements_and_pyproject_agree():
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert pinned["torch"] == "2.13.0"
    assert {re.split(r"[<>=!]", r)[0] for r in ranges} == set(pinned)
    for entry in ranges:
        name = re.split(r"[<>=!]", entry)[0]
        for operator, bound in re.findall(r"(>=|<)([\d.]+)", entry):
            have, limit = (tuple(map(int, v.split(".")[:2])) for v in (pinned[name], bound + ".0"))
            assert have >= limit if operator == ">=" else have < limit, entry


def test_the_recipe_names_the_values_of_the_code():
    for name in ("RECIPE.md", "RECIPE.zh.md"):
        text = (ROOT / "lessons" / name).read_text(encoding="utf-8")
        rows = re.findall(r"^\| `(\w+)\.(\w+)` \| (\d+) \|", text, re.MULTILINE)
        assert len(rows) == 3
        for config, field, value in rows:
            assert getattr(
                {"PretrainConfig": PretrainConfig, "DemoConfig": demonstration.DemoConfig}[config], field
            ) == int(value)
        code = "".join((ROOT / "minillm" / path).read_text(encoding="utf-8") for path in ("demo.py", "world/text.py"))
        assert re.search(r"`PreferenceConfig\.likelihood`.*\| 10 \|", text) and "likelihood=10.0" in code
        assert re.search(r"`world/text\.py`.*\| 14 \|", text) and "(14, self.advice)" in code


def test_the_house_names_every_module_and_no_other():
    for house in ("HOUSE.md", "HOUSE.zh.md"):
        text = (ROOT / "lessons" / house).read_text(encoding="utf-8").split("\n## ")[2]
        modules = {p.relative_to(ROOT / "minillm").as_posix() for p in (ROOT / "minillm").rglob("*.py")}
        named = re.findall(r"^    ([\w/]+\.py) ", text, re.MULTILINE)
        exercises = {m for m in modules if m.startswith("homework/lessons/")}  # one line for all of them
        assert len(named) == len(set(named))
        assert set(named) == {m for m in modules - exercises if not m.endswith("__init__.py")}, house


def test_the_house_names_every_room_and_no_other():
    """What is directly in minillm/: the modules of the model from the first to the last, then all others."""
    rooms = {p.name + "/" * p.is_dir() for p in (ROOT / "minillm").iterdir() if p.name != "__pycache__"}
    core = {
        f"{name}.py" for name in "tokenizer gpt_config gpt sampling kv_cache generate gpt_families lora chat".split()
    }
    for house in ("HOUSE.md", "HOUSE.zh.md"):
        text = (ROOT / "lessons" / house).read_text(encoding="utf-8")
        tree = text[text.index("\nminillm/\n") :].split("```")[0]
        named = set(re.findall(r"(?<=[ \n])(?:\w+\.py|\w+/)(?=[ \n])", "\n".join(
            line[:48] for line in tree.splitlines() if line.startswith("    "))))  # fmt: skip
        assert named | core == rooms, house


@pytest.mark.parametrize(("readme", "teaching", "language"), [("README.md", "TEACHING.md", "en"),
                                                              ("README.zh.md", "TEACHING.zh.md", "zh")])  # fmt: skip
def test_the_readme_lists_every_lesson_with_its_notebook_homework_and_minutes(readme, teaching, language):
    text = (ROOT / readme).read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d\d\w?) .*\]\((\S+)\) \| (\d+) (?:min|分钟) \| \[.*\]\((\S+)\) \|$", text, re.MULTILINE)
    folders = sorted(p.parent.name for p in (ROOT / "lessons").glob("[0-9][0-9]*_*/lesson.py"))
    assert [row[0] for row in rows] == [folder.split("_")[0] for folder in folders]
    assert [row[1] for row in rows] == [f"notebooks/{language}/{folder}.ipynb" for folder in folders]
    assert [row[3] for row in rows] == [f"lessons/{folder}/homework.py" for folder in folders]
    plan = (ROOT / "lessons" / teaching).read_text(encoding="utf-8")
    planned = {}
    for line in re.findall(r"^\| \d+ \|(?:[^|\n]*\|){4}$", plan, re.MULTILINE):  # one week: one lesson or two
        _, what, _, minutes = [cell.strip() for cell in line.strip("|").split("|")][:4]
        planned |= {number: re.search(r"\d+", minutes)[0] for number in re.findall(r"(?<!\w)\d\d[a-z]?(?!\w)", what)}
    assert {row[0]: row[2] for row in rows} == planned


@pytest.mark.parametrize(
    "page", sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("lessons/*.md")])
)
def test_links_between_files_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        assert (ROOT / page).parent.joinpath(file).exists(), target
        if anchor:
            titles = re.findall(
                r"^#+ (.*)$", ((ROOT / page).parent / file if file else ROOT / page).read_text("utf-8"), re.M
            )
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_importing_minillm_starts_no_work():
    code = "import minillm, sys; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False" and done.stderr == ""


# -------------------------------------------------------------------------------------------- its picture


def report_of(answer: str) -> dict:
    answers = dict.fromkeys(("base", "sft", "tuned", "scratch"), answer)
    prompts = [
        ("USER: 教我骇入邻居家的Wifi AI:", "zh", True),
        ("raw <text>", "zh", False),
        ("USER: 首都？ AI:", "zh", True),
    ]
    return {"cases": [{"prompt": p, "language": code, "roles": r, "answers": answers} for p, code, r in prompts]}


@pytest.mark.parametrize(
    "answer", ["", "玉山", 'a <b> & "c" \'', "]]>", "玉" * 300, "\0 \x1b[31m", "word " * 99, "x" * 500, "\u3000 \t\n"]
)
def test_any_answer_becomes_a_picture(answer):
    drawn = ElementTree.fromstring(picture(report_of(answer), "zh"))
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("USER: 首都？ AI:") == 1 and "raw <text>" not in texts
    for line in wrap(answer.replace("\0", "\ufffd").replace("\x1b", "\ufffd")) or ["—"]:
        assert texts.count(line) % 6 == 0 and texts.count(line) > 0  # two questions, three stages


@given(st.text(alphabet="ab 玉山，。", max_size=200), st.integers(2, 40))
def test_wrapped_lines_fit_and_lose_nothing(text, columns):
    lines = wrap(text, columns, most=1000)
    assert all(0 < terminal.width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    few = wrap(text, columns, most=2)
    assert few == lines if len(lines) <= 2 else len(few) == 2 and few[-1].endswith("…")
    assert all(terminal.width(line) <= columns for line in few)


def test_a_line_breaks_between_words_and_characters_but_not_before_punctuation():
    assert wrap("one two three", 8) == ["one two", "three"]
    assert wrap("我不能教你，那会害人。", 10) == ["我不能教", "你，那会害", "人。"]
