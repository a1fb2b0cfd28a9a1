"""Claims: the interval and the verdict against known cases, resuming, publishing, and every experiment in a tiny size."""

import base64
import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from minillm import claims
from minillm.__main__ import main
from minillm.claims import runner
from minillm.claims.experiment import Check, Claim, Observation, conclude, mean, paired_bootstrap, verdict
from minillm.claims.figures import bars
from minillm.claims.lab import Lab
from minillm.claims.marks import right, tally
from minillm.classroom.lesson_tools import show_claim
from minillm.plumbing import plots
from minillm.plumbing.files import InputError
from minillm.world.exam import Question

# ------------------------------------------------------------------------------- interval and verdict


def marks(values, n=1) -> dict:
    return {f"e{i}": [v * n, n] for i, v in enumerate(values)}


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(0.3, 1.0, 400)
    low, high = paired_bootstrap([(marks(values), marks(np.zeros(400)))])
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02) and high == pytest.approx(
        values.mean() + half, abs=0.02
    )


def test_entities_are_drawn_whole_and_in_pairs():
    # a constant difference between very unlike entities has no spread, though each condition has much
    worse = np.random.default_rng(2).normal(0, 5, 50)
    assert paired_bootstrap([(marks(worse + 0.25), marks(worse))]) == pytest.approx((0.25, 0.25))
    # many marks about few entities say no more than the entities do
    few, many = (paired_bootstrap([(marks([0, 1] * 5, n), marks([0] * 10, n))]) for n in (1, 100))
    assert few == many
    # an entity that one condition lacks is left out
    assert paired_bootstrap([({"a": [1, 1], "b": [0, 1]}, {"a": [0, 1], "c": [9, 1]})]) == (1.0, 1.0)
    assert np.isnan(paired_bootstrap([({"a": [1, 1]}, {"b": [1, 1]})])).all()


def test_the_bootstrap_is_seeded_and_more_seeds_make_it_narrower():
    values = np.random.default_rng(3).normal(0.3, 1.0, 60)
    one = [(marks(values), marks(np.zeros(60)))]
    assert paired_bootstrap(one) == paired_bootstrap(one) != paired_bootstrap(one, seed=1)
    width = [np.diff(paired_bootstrap(one * k))[0] for k in (1, 4)]
    assert width[1] == pytest.approx(width[0] / 2, rel=0.15)


@pytest.mark.parametrize(
    ("holds", "differences", "interval", "expected"),
    [
        ([True], [0.1, 0.2], (0.05, 0.3), "reproduced"),
        ([], [0.1], (0.05, 0.3), "reproduced"),
        ([True, False], [0.1, 0.2], (0.05, 0.3), "partly"),
        ([False], [0.1], (0.05, 0.3), "partly"),
        ([True], [0.3, -0.01], (0.05, 0.3), "not_reproduced"),  # one seed with another sign
        ([True], [0.1, 0.2], (-0.01, 0.3), "not_reproduced"),  # the interval holds 0
        ([True], [-0.1], (-0.3, -0.05), "not_reproduced"),  # the other way round
        ([True], [0.0], (0.0, 0.0), "not_reproduced"),
        ([True], [0.1], (float("nan"), float("nan")), "not_reproduced"),
        ([True], [], (0.1, 0.2), "not_reproduced"),
    ],
)
def test_the_verdict_follows_from_thresholds_signs_and_interval(holds, differences, interval, expected):
    assert verdict(holds, differences, interval) == expected


def test_checks_keep_their_thresholds():
    low, high = (Check({}, lambda f: f["a"], **bound) for bound in ({"at_least": 0.9}, {"at_most": 0.1}))
    assert low.holds(0.9) and not low.holds(0.899) and low.threshold() == "≥ 90 %"
    assert high.holds(0.1) and not high.holds(0.101) and high.threshold() == "≤ 10 %"
    assert not low.holds(float("nan")) and not high.holds(float("nan"))
    assert Check({}, lambda f: 0, at_least=4, percent=False).threshold() == "≥ 4"


# -------------------------------------------------------------------------------- results and resuming


def made_up(calls: list[int], gain: float = 0.5, slug: str = "made-up") -> Claim:
    """A claim that is measured without a model."""

    def measure(lab: Lab) -> Observation:
        calls.append(lab.seed)
        new = {"a": [gain * 4, 4], "b": [gain * 4, 4]}
        return Observation({"new": new, "old": {"a": [0, 4], "b": [0, 4]}}, 0.1, {"k": lab.seed}, [{"prompt": "最"}])

    both = dict(en="a thing", zh="某事")
    check = Check(both, lambda f: f["new"] - f["chance"], at_least=0.2)
    return Claim(slug, both, "nobody", {"new": both, "old": both}, both, "new", "old", (check,), both, both,
                 measure, partial(bars, names=("new", "old")))  # fmt: skip


@pytest.fixture
def bare_lab(monkeypatch):
    """A laboratory whose base model is never asked for."""
    monkeypatch.setattr(Lab, "base", None)


def test_conclude_computes_every_field():
    observations = {s: made_up([]).measure(Lab(s)) for s in (1, 2)}
    result = conclude(made_up([]), observations)
    assert result["conditions"]["new"] == {"mean": 0.5, "values": [0.5, 0.5], "n": 16}
    assert result["difference"] == 0.5 and result["interval"] == [0.5, 0.5] and result["chance"] == 0.1
    assert result["figures"] == {"k": [1, 2]} and result["seeds"] == [1, 2] and result["verdict"] == "reproduced"
    assert result["checks"] == [{"text": "a thing", "value": 0.4, "threshold": "≥ 20 %", "holds": True}]


def test_a_run_in_parts_measures_each_seed_once(bare_lab, tmp_path):
    calls: list[int] = []
    claim, quiet = made_up(calls), lambda _: None
    run = partial(runner.run_claims, [claim], out=tmp_path, say=quiet)
    run([201])
    run([201])
    assert calls == [201]
    (tmp_path / "claims.json").unlink()  # as if it had been stopped before the result was written
    result = run([201, 202])["made-up"]
    assert calls == [201, 202] and result["seeds"] == [201, 202]
    assert result == runner.read_results(tmp_path / "claims.json")["made-up"]
    run([201, 202], size="quick")
    assert calls == [201, 202, 201, 202]  # other settings are measured anew
    fields = {
        "slug",
        "source",
        "conditions",
        "difference",
        "interval",
        "chance",
        "verdict",
        "seeds",
        "seconds",
        "command",
    }
    assert fields <= result.keys() and result["command"] == "python -m minillm claims made-up --seeds 2"
    assert (tmp_path / "made-up.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("slug", claims.CLAIMS)
def test_a_note_or_a_picture_does_not_make_an_observation_old(slug):
    code = runner.experiment(claims.CLAIMS[slug])
    own, shared = "def measure(", ("class Lab", "def tally(")
    assert own in code and all(part in code for part in shared)
    assert "def picture(" not in code and "CLAIM = " not in code


def test_results_of_other_claims_stay(bare_lab, tmp_path):
    for slug in ("one", "two"):
        runner.run_claims([made_up([], slug=slug)], [201], tmp_path, say=lambda _: None)
    assert list(runner.read_results(tmp_path / "claims.json")) == ["one", "two"]


def test_two_runs_in_one_folder_keep_both_results(bare_lab, tmp_path):
    """While one claim is measured, another run measures and keeps a second one."""

    def measure(lab: Lab) -> Observation:
        runner.run_claims([made_up([], slug="other")], [201], tmp_path, say=lambda _: None)
        return made_up([]).measure(lab)

    both = runner.run_claims([replace(made_up([], slug="one"), measure=measure)], [201], tmp_path, say=lambda _: None)
    assert list(runner.read_results(tmp_path / "claims.json")) == ["other", "one"] and list(both) == ["one"]


def test_two_runs_of_the_same_claim_measure_it_once(bare_lab, tmp_path):
    calls: list[int] = []

    def slowly(lab: Lab) -> Observation:
        time.sleep(0.3)
        return made_up(calls).measure(lab)

    claim = replace(made_up([]), measure=slowly)
    run = partial(runner.run_claims, [claim], [201], tmp_path, say=lambda _: None)
    with ThreadPoolExecutor() as pool:
        one, other = (future.result() for future in [pool.submit(run), pool.submit(run)])
    assert calls == [201] and one == other
    assert not list(tmp_path.rglob("*.lock"))


def test_published_pages_are_written_from_the_results(bare_lab, tmp_path):
    known = {slug: made_up([], gain, slug) for slug, gain in (("holds", 0.5), ("weak", 0.25), ("fails", 0.0))}
    results = runner.run_claims(list(known.values()), [201, 202, 203], tmp_path / "out", say=lambda _: None)
    runner.publish(known, results, tmp_path)
    assert json.loads((tmp_path / "claims.json").read_text(encoding="utf-8")) == json.loads(json.dumps(results))
    for language, name in (("en", "CLAIMS.md"), ("zh", "CLAIMS.zh.md")):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text == runner.page(known, runner.read_results(tmp_path / "claims.json"), language)
        assert "50.0" in text and "+25.0" in text and "## fails" in text
    english = (tmp_path / "CLAIMS.md").read_text(encoding="utf-8")
    assert all(f"**{state}**: " in english for state in ("reproduced", "partly", "not reproduced at this size"))


def test_the_committed_pages_agree_with_the_committed_figures():
    results = runner.read_results(runner.LESSONS / "claims.json")
    assert list(results) == list(claims.CLAIMS)
    assert all(r["size"] == "full" and r["seeds"] == [201, 202, 203] for r in results.values())
    for language, name in (("en", "CLAIMS.md"), ("zh", "CLAIMS.zh.md")):
        assert (runner.LESSONS / name).read_text(encoding="utf-8") == runner.page(claims.CLAIMS, results, language)


def test_the_committed_verdicts_follow_from_the_committed_figures():
    for slug, result in runner.read_results(runner.LESSONS / "claims.json").items():
        claim, conditions = claims.CLAIMS[slug], result["conditions"]
        numbers = {name: c["mean"] for name, c in conditions.items()} | {"chance": result["chance"]}
        numbers |= {name: float(np.mean(values)) for name, values in result["figures"].items()}
        holds = [check.holds(check.value(numbers)) for check in claim.checks]
        assert holds == [c["holds"] for c in result["checks"]], slug
        pairs = zip(conditions[claim.better]["values"], conditions[claim.worse]["values"], strict=True)
        assert result["verdict"] == verdict(holds, [b - w for b, w in pairs], result["interval"]), slug


def test_the_readmes_count_the_published_verdicts():
    found = Counter(r["verdict"] for r in runner.read_results(runner.LESSONS / "claims.json").values())
    yes, partly, no = (found[v] for v in ("reproduced", "partly", "not_reproduced"))
    english, chinese = ((runner.LESSONS.parent / f).read_text(encoding="utf-8") for f in ("README.md", "README.zh.md"))
    assert f"(lessons/CLAIMS.md): {yes} reproduced, {partly} partly, {no} not reproduced at this size" in english
    assert f"(lessons/CLAIMS.zh.md)：重现 {yes} 个，部分重现 {partly} 个，在这个规模上没有重现 {no} 个" in chinese


# ------------------------------------------------------------------------------------- in the lessons


@pytest.fixture
def published(bare_lab, monkeypatch, tmp_path) -> Path:
    """A folder of lessons in which the result of one claim without a model, `made-up`, is published."""
    claim = made_up([], gain=0.25)
    claim = replace(claim, hypothesis=dict(en="a < b & c", zh="甲 < 乙"))
    (tmp_path / "claims.json").write_text(json.dumps({"made-up": runner.run_claim(claim, [201, 202, 203])}))
    monkeypatch.setattr(runner, "LESSONS", tmp_path)
    monkeypatch.setitem(claims.CLAIMS, "made-up", claim)
    return tmp_path


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("a &lt; b &amp; c", "partly", "+25.0", "[+25.0, +25.0]", "15.0 %", "≥ 20 %", "missed", "nobody")),
        (
            "zh",
            ("甲 &lt; 乙", "部分重现", "+25.0", "[+25.0, +25.0]", "15.0 %", "≥ 20 %", "未达到", "种子 201, 202, 203"),
        ),
    ],
)
def test_a_lesson_shows_the_published_result(language, words, published, monkeypatch):
    pytest.importorskip("IPython", reason="IPython is not installed: make lab")
    monkeypatch.setenv("MINILLM_LANG", language)
    shown = show_claim("made-up").data
    assert all(word in shown for word in (*words, "python -m minillm claims made-up --seeds 3"))
    picture = re.search("src='data:image/png;base64,([^']+)'", shown)
    assert picture and base64.b64decode(picture[1]).startswith(b"\x89PNG")
    assert shown.count("<div") == shown.count("</div>") and shown.count("<tr>") == shown.count("</tr>")


def test_a_result_that_is_not_published_is_one_line(published):
    with pytest.raises(InputError, match=r"no result of roles: run `python -m minillm claims all --seeds 3 --publish`"):
        claims.published("roles")
    (published / "claims.json").unlink()
    with pytest.raises(InputError, match="no result of made-up"):
        claims.published("made-up")
    with pytest.raises(InputError, match="no claim is called 'x'"):
        claims.published("x")


SHOWN = {
    slug
    for source in (Path(__file__).parents[1] / "lessons").glob("*/lesson.py")
    for slug in re.findall(r'^show_claim\("([\w-]+)"\)$', source.read_text(encoding="utf-8"), re.MULTILINE)
}


def test_every_claim_is_shown_in_a_lesson():
    assert claims.CLAIMS.keys() - SHOWN == set()


def test_every_claim_a_lesson_shows_is_there():
    assert SHOWN - claims.CLAIMS.keys() == set()


# ------------------------------------------------------------------------------------------ the command


def test_the_list_names_every_claim_with_its_verdict(capsys, tmp_path):
    (tmp_path / "claims.json").write_text(json.dumps({"roles": {"verdict": "partly"}}))
    assert main(["claims", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(f"{slug}  [" in shown and claim.source in shown for slug, claim in claims.CLAIMS.items())
    assert "roles  [partly]" in shown and "adapters  [not measured]" in shown
    assert main(["claims", "--lang", "zh", "--out", str(tmp_path)]) == 0
    assert "roles  [部分重现]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["no-such"], ["roles", "--seeds", "0"], ["roles", "--publish"], ["all", "--seeds", "3", "--quick", "--publish"]]
)  # fmt: skip
def test_a_bad_call_is_one_line_and_exit_code_2(arguments, capsys, tmp_path):
    assert main(["claims", *arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


def test_a_damaged_claims_json_is_one_line(tmp_path):
    (tmp_path / "claims.json").write_text("{")
    with pytest.raises(InputError, match=r"claims.json:1: not JSON"):
        runner.read_results(tmp_path / "claims.json")


# -------------------------------------------------------------------------------------- the claims


@pytest.mark.parametrize("slug", claims.CLAIMS)
def test_every_claim_is_written_down_in_both_languages(slug):
    claim = claims.CLAIMS[slug]
    texts = [
        claim.hypothesis,
        claim.metric,
        claim.budget,
        claim.notes,
        *claim.conditions.values(),
        *(c.text for c in claim.checks),
    ]
    assert all(text["en"] and text["zh"] for text in texts)
    assert {claim.better, claim.worse} <= claim.conditions.keys() and claim.checks
    # a machine without a font for Chinese draws the English labels
    assert all(
        not any("一" <= c <= "鿿" for c in text["en"]) for text in (claim.hypothesis, *claim.conditions.values())
    )


def test_marks_are_of_right_answers_that_stop():
    items = [
        Question("Japan", "?", ("Tokyo", "The capital of Japan is Tokyo.")),
        Question("Japan", "?", ("yen",)),
        Question("Chad", "?", ("N",)),
    ]
    given = right(items, [("The capital of Japan is Tokyo", True), ("yen", False), ("N.", True)])
    assert given == [1.0, 0.0, 1.0]
    assert tally(items, given) == {"Japan": [1.0, 2], "Chad": [1.0, 1]} and mean(tally(items, given)) == 2 / 3
    assert items[0].is_full_sentence("The capital of Japan is Oslo.") and not items[0].is_full_sentence("Tokyo")


def test_no_pair_speaks_of_a_held_out_place():
    lab = Lab(7, "quick")
    names = {name for place in lab.held_out for name in place.names.values()}
    values = {place.names["en"] for place in lab.taught}
    assert {item.entity for item in lab.items(lab.taught)} <= values
    for pairs in (lab.facts(), lab.pairs):
        assert not [d for d in pairs if any(name in d[0].content for name in names - {"Niger", "Guinea", "Oman"})]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A folder for tiny base models, and laboratories that all claims share."""
    return tmp_path_factory.mktemp("bases"), {}


@pytest.mark.slow
@pytest.mark.parametrize("slug", claims.CLAIMS)
def test_every_claim_runs(slug, smoke, tmp_path):
    folder, labs = smoke
    claim = claims.CLAIMS[slug]
    result = runner.run_claim(claim, [5], "smoke", tmp_path, False, folder, labs)
    assert result["conditions"].keys() <= claim.conditions.keys() and result["seeds"] == [5]
    assert len(result["checks"]) == len(claim.checks) and json.dumps(result)
    assert all(0 <= v for c in result["conditions"].values() for v in c["values"])
    for language in ("en", "zh"):
        assert claim.hypothesis[language] in claims.describe(result, language)
        claims.draw(result, tmp_path / "picture.png", language)  # a missing glyph would be a warning, and fail
    _, axes = plots.new_figure(1)
    claims.draw(result, axes[0, 0])
    assert axes[0, 0].get_title(loc="left")
    again = runner.run_claim(
        claim, [5], "smoke", tmp_path, False, folder, {5: replace(labs[5], folder=Path("/nowhere"))}
    )
    assert again == result  # read, not measured again
