"""Claims: the verdict against known cases, resuming, publishing, and every experiment in a tiny size."""

import base64
import json
import multiprocessing
import os
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
from minillm.claims import pages, runner
from minillm.claims.card import GUIDE, card
from minillm.claims.experiment import NOTHING, Check, Claim, Observation, chosen, conclude, mean, verdict
from minillm.claims.figures import bars, rehearsals, with_interval
from minillm.claims.intervals import p_value, t_interval
from minillm.claims.lab import Lab
from minillm.claims.marks import pack, right, tally, unpack
from minillm.claims.recipe import experiment, measuring, recipe
from minillm.classroom.lesson_tools import show_claim
from minillm.demo import fast_config
from minillm.plumbing import plots
from minillm.plumbing.files import InputError
from minillm.world.exam import Question

# --------------------------------------------------------------------------------- checks and verdict


@pytest.mark.parametrize(
    ("holds", "differences", "interval", "expected"),
    [
        ([True], [0.1, 0.2], (0.05, 0.3), "reproduced"),
        ([], [0.1, 0.2], (0.05, 0.3), "reproduced"),
        ([True, False], [0.1, 0.2], (0.05, 0.3), "partly"),
        ([False], [0.1, 0.2], (0.05, 0.3), "partly"),
        ([True], [0.3, -0.01], (0.05, 0.3), "reproduced"),  # a seed of another sign is part of the interval
        ([True], [0.1, 0.2], (-0.01, 0.3), "not_reproduced"),  # the interval holds 0
        ([True], [-0.1, -0.2], (-0.3, -0.05), "not_reproduced"),  # the other way round
        ([True], [0.0, 0.0], (0.0, 0.0), "not_reproduced"),
        ([True], [0.1, 0.2], (float("nan"), float("nan")), "not_reproduced"),
        ([True], [0.1], (float("nan"), float("nan")), "one_seed"),
        ([True], [], (0.1, 0.2), "not_reproduced"),
    ],
)
def test_the_verdict_follows_from_thresholds_and_interval(holds, differences, interval, expected):
    assert verdict(holds, differences, interval) == expected


def test_a_check_holds_only_if_its_whole_interval_does():
    low, high = (Check({}, lambda f: f["a"], **bound) for bound in ({"at_least": 0.9}, {"at_most": 0.1}))
    assert low.holds((0.9, 0.99)) and not low.holds((0.899, 0.99)) and low.threshold() == "≥ 90 %"
    assert high.holds((0.0, 0.1)) and not high.holds((0.0, 0.101)) and high.threshold() == "≤ 10 %"
    assert not low.holds((np.nan, np.nan)) and not high.holds((np.nan, np.nan))
    assert Check({}, lambda f: 0, at_least=4, percent=False).threshold() == "≥ 4"


def test_a_check_is_computed_for_each_seed():
    check = Check(dict(en="lead"), lambda f: f["a"] - f["b"], at_most=0.03)
    seeds = [{"a": 0.9, "b": 0.88}, {"a": 0.9, "b": 0.9}, {"a": 0.91, "b": 0.9}]
    found = check.judge(seeds)
    assert found["values"] == pytest.approx([0.02, 0, 0.01]) and found["value"] == pytest.approx(0.01)
    assert found["interval"] == pytest.approx(t_interval([0.02, 0, 0.01])) and found["interval"][1] > 0.03
    assert not found["holds"]  # the mean is well within 3 points, what it is known to be is not
    assert check.judge(seeds[:1])["holds"] and check.judge(seeds[:1])["interval"] == [None, None]
    assert not check.judge([{"a": float("nan"), "b": 0}] * 3)["holds"]
    assert Check({"en": ""}, lambda f: f["a"], at_least=0.1).judge([{"a": 0.1}] * 7)["holds"]  # rounding is no miss


def test_the_best_of_a_choice_is_that_of_the_mean():
    scores = [
        {"rate": {"low": 0.9, "high": 0.2}, "rank": {"1": 0, "8": 1}},
        {"rate": {"low": 0.2, "high": 0.8}, "rank": {"1": 0, "8": 1}},
    ]
    assert chosen(scores) == {"rate": "low", "rank": "8"}


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
                 {"": NOTHING}, measure, partial(bars, names=("new", "old")), seeds=2)  # fmt: skip


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
    assert result["chances"] == [0.1, 0.1] and result["p"] == 0
    assert result["checks"] == [{"text": "a thing", "value": 0.4, "values": [0.4, 0.4], "interval": [0.4, 0.4],
                                 "threshold": "≥ 20 %", "holds": True}]  # fmt: skip
    assert unpack(result["marks"]) == {s: observations[s].marks for s in (1, 2)}


def test_marks_come_back_as_they_were():
    marks = {
        "a": {"x y": [0.1 + 0.2, 3], "z": [2.0, 2]},
        "b": {"x y": [1e7, 3], "z": [-0.5, 2]},
        "c": {"z": [1, 1]},
        "d": {},
    }
    packed = pack(marks, 5)
    assert unpack(json.loads(json.dumps(packed))) == {5: marks}
    assert len(packed) == 3  # a and b have the same entities and numbers


def test_a_choice_is_made_on_other_seeds_and_kept(bare_lab, tmp_path):
    tried: list[int] = []
    measured: list[tuple[int, str]] = []

    def choose(lab: Lab) -> dict:
        tried.append(lab.seed)
        return {"rate": {"low": 0.1, "high": lab.seed / 1000}}

    def measure(lab: Lab, picked) -> Observation:
        measured.append((lab.seed, picked["rate"]))
        return made_up([]).measure(lab)

    claim = replace(made_up([]), choose=choose, measure=measure)
    results = [runner.run_claim(claim, [301, 302], out=tmp_path) for _ in range(2)]
    assert tried == [101, 102] and measured == [(301, "high"), (302, "high")] and results[0] == results[1]
    assert results[0]["chosen"] == {"rate": "high"} and results[0]["chosen_on"] == [101, 102]
    assert "rate: high (seeds 101, 102; low 10.0, high 10.2)" in claims.figures.describe(claim, results[0])


def test_a_run_in_parts_measures_each_seed_once(bare_lab, tmp_path):
    calls: list[int] = []
    claim, quiet = made_up(calls), lambda _: None
    run = partial(runner.run_claims, [claim], out=tmp_path, say=quiet)
    run([301])
    run([301])
    assert calls == [301]
    (tmp_path / "claims.json").unlink()  # as if it had been stopped before the result was written
    result = run([301, 302])["made-up"]
    assert calls == [301, 302] and result["seeds"] == [301, 302]
    assert result == pages.read_results(tmp_path / "claims.json")["made-up"]
    run([301, 302], size="quick")
    assert calls == [301, 302, 301, 302]  # other settings are measured anew
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


def test_what_measures_is_told_from_what_shows():
    source = '''"""Docs."""
import os  # a trailing comment stays

# a comment
@wraps
def measure():
    """Docs,
    more."""

    return """kept"""

def picture(): pass
CLAIM = Claim(
    1,
)
'''
    kept = 'import os  # a trailing comment stays\n@wraps\ndef measure():\n    return """kept"""'
    assert measuring(source) == kept


@pytest.mark.parametrize("slug", claims.CLAIMS)
def test_a_recipe_has_all_that_measures_and_nothing_that_shows(slug):
    parts = experiment(claims.CLAIMS[slug])
    assert "def measure(" in parts[""] and "def picture(" not in parts[""] and "CLAIM = " not in parts[""]
    assert {"gpt.py", "muon.py", "sampling.py", "training.py", "stage2_sft.py", "tokenizer.py", "world/pairs.py",
            "places.csv", "claims/lab.py", "claims/marks.py", "material/corpus.py"} <= parts.keys()  # fmt: skip
    aside = {
        "claims/figures.py",
        "claims/pages.py",
        "demo.py",
        "plumbing/plots.py",
        "bpe.py",
        "generate.py",
        "kv_cache.py",
    }
    assert not aside & parts.keys()
    assert ("stage3_preference/dpo.py" in parts) == (slug in ("preference-over-sft", "across-languages", "on-policy"))


def test_other_code_or_other_facts_are_another_recipe(monkeypatch):
    claim, parts = claims.CLAIMS["roles"], experiment(claims.CLAIMS["roles"])
    today = recipe(claim)
    for name in ("gpt.py", "places.csv"):
        other = parts | {name: parts[name].replace("0", "1", 1)}
        monkeypatch.setattr("minillm.claims.recipe.experiment", lambda claim, other=other: other)
        assert recipe(claim) != today


def test_a_setting_of_the_demo_that_a_claim_takes_is_part_of_its_recipe(monkeypatch):
    def recipes(**changed):
        monkeypatch.setattr("minillm.claims.recipe.fast_config", lambda: replace(fast_config(), **changed))
        return [recipe(claims.CLAIMS[slug]) for slug in ("roles", "preference-over-sft")]

    today, steps, pairs, plain = recipes(), recipes(sft_steps=7), recipes(preference_steps=7), recipes(plain_steps=7)
    assert steps[0] != today[0] and steps[1] != today[1]
    assert pairs[0] == today[0] and pairs[1] != today[1]
    assert plain == today


def test_results_of_other_claims_stay(bare_lab, tmp_path):
    for slug in ("one", "two"):
        runner.run_claims([made_up([], slug=slug)], [301], tmp_path, say=lambda _: None)
    assert list(pages.read_results(tmp_path / "claims.json")) == ["one", "two"]


def test_two_runs_in_one_folder_keep_both_results(bare_lab, tmp_path):
    """While one claim is measured, another run measures and keeps a second one."""

    def measure(lab: Lab) -> Observation:
        runner.run_claims([made_up([], slug="other")], [301], tmp_path, say=lambda _: None)
        return made_up([]).measure(lab)

    both = runner.run_claims([replace(made_up([], slug="one"), measure=measure)], [301], tmp_path, say=lambda _: None)
    assert list(pages.read_results(tmp_path / "claims.json")) == ["other", "one"] and list(both) == ["one"]


def test_two_runs_of_the_same_claim_measure_it_once(bare_lab, tmp_path):
    calls: list[int] = []

    def slowly(lab: Lab) -> Observation:
        time.sleep(0.3)
        return made_up(calls).measure(lab)

    claim = replace(made_up([]), measure=slowly)
    run = partial(runner.run_claims, [claim], [301], tmp_path, say=lambda _: None)
    with ThreadPoolExecutor() as pool:
        one, other = (future.result() for future in [pool.submit(run), pool.submit(run)])
    assert calls == [301] and one == other
    assert not list(tmp_path.rglob("*.lock"))


# -------------------------------------------------------------------------------- several processes


def found(slug: str) -> Claim:
    """Claims that other processes find by name: `fine-*` can be measured, `broken-*` fails on seed 302."""

    def measure(lab: Lab) -> Observation:
        if slug.startswith("broken") and lab.seed == 302:
            raise ValueError(f"no {slug} here")
        (lab.folder / f"{slug}-{lab.seed}-{os.getpid()}").touch()
        return made_up([]).measure(lab)

    return replace(made_up([], slug=slug), measure=measure)


@pytest.mark.slow
def test_a_part_that_fails_loses_no_other(bare_lab, tmp_path):
    bases = tmp_path / "bases"
    bases.mkdir()
    claims_of = [found(slug) for slug in ("fine-a", "broken", "fine-b")]
    said: list[str] = []
    seen: list[str] = []
    run = partial(runner.run_claims, claims_of, range(301, 305), tmp_path / "out", "smoke", folder=bases, jobs=2,
                  find=found_without_a_base, say=said.append, on_result=lambda claim, _: seen.append(claim.slug))  # fmt: skip
    with pytest.raises(runner.PartsFailed, match=r"(?s)1 of 12 parts failed.*broken, seed 302: Traceback.*no broken"):
        run()
    assert sorted(pages.read_results(tmp_path / "out" / "claims.json")) == ["fine-a", "fine-b"] == sorted(seen)
    made = [path.name.rsplit("-", 1) for path in bases.iterdir()]
    assert Counter(part for part, _ in made) == Counter(
        f"{c.slug}-{seed}" for c in claims_of for seed in range(301, 305) if (c.slug, seed) != ("broken", 302)
    )
    assert os.getpid() not in {int(pid) for _, pid in made}
    assert (
        "12 parts" in said[0] and "about" in said[0] and any("failed: ValueError: no broken" in line for line in said)
    )
    with pytest.raises(ValueError, match="no broken here"):  # the one that is left is tried again, alone
        run()
    assert len(list(bases.iterdir())) == len(made)


def killing(slug: str) -> Claim:
    """A claim that kills a process which measures it for others."""

    def measure(lab: Lab) -> Observation:
        if lab.seed == 301 and multiprocessing.parent_process() is not None:
            os._exit(9)
        return made_up([]).measure(lab)

    return replace(found_without_a_base(slug), measure=measure)


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_its_part_to_the_first(bare_lab, tmp_path):
    results = runner.run_claims([killing("a"), killing("b")], [301, 302], tmp_path, "smoke", jobs=2, find=killing,
                                say=lambda _: None)  # fmt: skip
    assert {slug: result["seeds"] for slug, result in results.items()} == {"a": [301, 302], "b": [301, 302]}


def test_a_claim_that_fails_in_this_process_loses_no_other(bare_lab, tmp_path):
    def measure(lab: Lab) -> Observation:
        raise ValueError("broken")

    both = [replace(made_up([], slug="one"), measure=measure), made_up([], slug="two")]
    with pytest.raises(runner.PartsFailed, match="2 of 4 parts failed"):
        runner.run_claims(both, [301, 302], tmp_path, say=lambda _: None)
    assert list(pages.read_results(tmp_path / "claims.json")) == ["two"]


def found_without_a_base(slug: str) -> Claim:
    Lab.base = None
    return found(slug)


def test_published_pages_are_written_from_the_results(bare_lab, tmp_path):
    known = {slug: made_up([], gain, slug) for slug, gain in (("holds", 0.5), ("weak", 0.25), ("fails", 0.0))}
    results = runner.run_claims(list(known.values()), [301, 302], tmp_path / "out", say=lambda _: None)
    pages.publish(known, results, tmp_path)
    kept = pages.read_results(tmp_path / "claims.json")
    assert {slug: r.pop("texts") for slug, r in kept.items()} == {slug: pages.texts(c) for slug, c in known.items()}
    assert kept == json.loads(json.dumps(results))
    for language, name in (("en", "CLAIMS.md"), ("zh", "CLAIMS.zh.md")):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text == pages.page(known, pages.read_results(tmp_path / "claims.json"), language)
        assert "50.0" in text and "+25.0" in text and "## fails" in text and "†" not in text
    english = (tmp_path / "CLAIMS.md").read_text(encoding="utf-8")
    assert all(f"**{state}**: " in english for state in ("reproduced", "partly", "not reproduced at this size"))


def test_publishing_one_claim_keeps_the_others_and_their_texts(bare_lab, tmp_path):
    """A claim that has changed since it was measured is shown with the words and checks that it had then."""
    old, other = made_up([], slug="old"), made_up([], slug="other")
    pages.publish({"old": old}, runner.run_claims([old], [301, 302], tmp_path / "out", say=lambda _: None), tmp_path)
    both = dict(en="a new thing", zh="另一件事")
    check = Check(both, lambda f: f["third"], at_most=0.3)
    now = {"other": other, "old": replace(old, hypothesis=both, conditions={"third": both}, checks=(check, check),
                                          better="third", worse="third", picture=None)}  # fmt: skip
    result = runner.run_claims([other], [301, 302], tmp_path / "out", say=lambda _: None)
    pages.publish(now, result, tmp_path)
    kept = pages.read_results(tmp_path / "claims.json")
    assert list(kept) == ["other", "old"]
    for language, name, said in (
        ("en", "CLAIMS.md", "earlier code, on seeds 301, 302"),
        ("zh", "CLAIMS.zh.md", "较早的代码测得，种子 301, 302"),
    ):
        text = (tmp_path / name).read_text(encoding="utf-8")
        first, second = text.split("## other")[1].split("## old")
        assert said in second and said not in first and both[language] not in text and text.count("†") == 2
    shown = card(now["old"], kept["old"])
    assert "Measured with earlier code, on seeds 301, 302" in shown and "a new thing" not in shown
    assert "earlier code" not in card(other, kept["other"])


@pytest.mark.parametrize(("seeds", "size"), [([301], "full"), ([201, 202], "full"), ([301, 302], "quick")])
def test_only_a_full_run_on_the_seeds_of_the_claim_is_published(seeds, size, bare_lab, tmp_path):
    result = {"made-up": runner.run_claim(made_up([]), seeds, size)}
    with pytest.raises(InputError, match=r"made-up: only a full run on seeds 301 to 302 is published"):
        pages.publish({"made-up": made_up([])}, result, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_committed_pages_agree_with_the_committed_figures():
    """They also say of each result whether today's code measured it: `claims --publish` writes them anew."""
    results = pages.read_results(pages.LESSONS / "claims.json")
    assert list(results) == [slug for slug in claims.CLAIMS if slug in results]
    assert all(r["size"] == "full" for r in results.values())
    for language, name in (("en", "CLAIMS.md"), ("zh", "CLAIMS.zh.md")):
        assert (pages.LESSONS / name).read_text(encoding="utf-8") == pages.page(claims.CLAIMS, results, language)


COMMITTED = pages.read_results(pages.LESSONS / "claims.json")


@pytest.mark.parametrize("slug", COMMITTED)
def test_every_committed_interval_and_verdict_follows_from_the_committed_figures(slug):
    result = COMMITTED[slug]
    conditions, said = result["conditions"], result["texts"]
    values = [conditions[name]["values"] for name in (said["better"], said["worse"])]
    differences = [better - worse for better, worse in zip(*values, strict=True)]
    assert result["interval"] == pytest.approx(t_interval(differences))
    assert result["p"] == pytest.approx(p_value(differences)) and result["difference"] == pytest.approx(
        np.mean(differences)
    )
    for check in result["checks"]:
        if None not in check["values"]:
            assert check["interval"] == pytest.approx(t_interval(check["values"]))
        sign, bound, *percent = check["threshold"].split()
        bound, ends = float(bound) / (100 if percent else 1), check["interval"]
        kept = None not in ends and (ends[0] >= bound - 1e-9 if sign == "≥" else ends[1] <= bound + 1e-9)
        assert check["holds"] == kept
    assert result["verdict"] == verdict([c["holds"] for c in result["checks"]], differences, result["interval"])


TODAY = [slug for slug, result in COMMITTED.items() if pages.is_current(claims.CLAIMS[slug], result)]


@pytest.mark.parametrize("slug", TODAY)
def test_every_figure_of_today_follows_from_the_committed_marks(slug):
    """From the marks of each seed and place alone: means, differences, checks, intervals and verdict."""
    assert_follows_from_its_marks(claims.CLAIMS[slug], COMMITTED[slug])


def test_what_does_not_follow_from_the_marks_is_seen(bare_lab, tmp_path):
    claim = made_up([])
    result = json.loads(json.dumps(runner.run_claim(claim, [301, 302])))
    assert_follows_from_its_marks(claim, result)
    result["marks"][0]["sums"]["new"] = "2 1"  # instead of 2 2
    with pytest.raises(AssertionError):
        assert_follows_from_its_marks(claim, result)


def assert_follows_from_its_marks(claim: Claim, result: dict) -> None:
    marks = unpack(result["marks"])
    observations = {
        seed: Observation(marks[seed], result["chances"][i], {name: v[i] for name, v in result["figures"].items()})
        for i, seed in enumerate(result["seeds"])
    }
    again = conclude(claim, observations)
    for name in ("conditions", "difference", "interval", "p", "verdict", "checks", "chance"):
        assert flat(again[name]) == pytest.approx(flat(result[name])), name


def flat(value) -> list:
    """All that a value of JSON holds, in order."""
    if isinstance(value, dict):
        return [x for key in sorted(value) for x in flat(value[key])]
    return [x for part in value for x in flat(part)] if isinstance(value, list) else [value]


def test_the_readmes_count_the_published_verdicts():
    found = Counter(r["verdict"] for r in pages.read_results(pages.LESSONS / "claims.json").values())
    yes, partly, no = (found[v] for v in ("reproduced", "partly", "not_reproduced"))
    english, chinese = ((pages.LESSONS.parent / f).read_text(encoding="utf-8") for f in ("README.md", "README.zh.md"))
    assert f"(lessons/CLAIMS.md): {yes} reproduced, {partly} partly, {no} not reproduced at this size" in english
    assert f"(lessons/CLAIMS.zh.md)：重现 {yes} 个，部分重现 {partly} 个，在这个规模上没有重现 {no} 个" in chinese


# ------------------------------------------------------------------------------------- in the lessons


@pytest.fixture
def published(bare_lab, monkeypatch, tmp_path) -> Path:
    """A folder of lessons in which the result of one claim without a model, `made-up`, is published."""
    claim = made_up([], gain=0.25)
    claim = replace(claim, hypothesis=dict(en="a < b & c", zh="甲 < 乙"))
    (tmp_path / "claims.json").write_text(json.dumps({"made-up": runner.run_claim(claim, [301, 302, 303])}))
    monkeypatch.setattr(pages, "LESSONS", tmp_path)
    monkeypatch.setitem(claims.CLAIMS, "made-up", claim)
    return tmp_path


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("a &lt; b &amp; c", "partly", "+25.0", "[+25.0, +25.0]", "15.0 %", "≥ 20 %", "missed", "nobody")),
        (
            "zh",
            ("甲 &lt; 乙", "部分重现", "+25.0", "[+25.0, +25.0]", "15.0 %", "≥ 20 %", "未达到", "种子 301, 302, 303"),
        ),
    ],
)
def test_a_lesson_shows_the_published_result(language, words, published, monkeypatch):
    pytest.importorskip("IPython", reason="IPython is not installed: make lab")
    monkeypatch.setenv("MINILLM_LANG", language)
    shown = show_claim("made-up").data
    assert all(word in shown for word in (*words, "python -m minillm claims made-up --seeds 3"))
    summary = GUIDE[language][0]
    assert summary not in shown and show_claim("made-up", explained=True).data.count(summary) == 1
    picture = re.search("src='data:image/png;base64,([^']+)'", shown)
    assert picture and base64.b64decode(picture[1]).startswith(b"\x89PNG")
    assert shown.count("<div") == shown.count("</div>") and shown.count("<tr>") == shown.count("</tr>")


@pytest.mark.parametrize(("language", "word"), [("en", "not measured"), ("zh", "未测量")])
def test_a_claim_without_a_result_is_named(language, word, bare_lab, tmp_path):
    known = {slug: made_up([], slug=slug) for slug in ("one", "two")}
    shown = card(known["one"], None, language)
    assert word in shown and "python -m minillm claims one" in shown and shown.count("<div") == shown.count("</div>")
    results = {"one": runner.run_claim(known["one"], [301, 302])}
    line = next(line for line in pages.page(known, results, language).splitlines() if line.startswith("| two"))
    assert word in line and line.count("|") == len(pages.COLUMNS[language]) + 1


def test_a_result_that_is_not_published_is_one_line(published):
    with pytest.raises(InputError, match=r"no result of roles: run `python -m minillm claims roles --publish`"):
        claims.published("roles")
    (published / "claims.json").unlink()
    with pytest.raises(InputError, match="no result of made-up"):
        claims.published("made-up")
    with pytest.raises(InputError, match="no claim is called 'x'"):
        claims.published("x")


SHOWN = {
    slug
    for source in (Path(__file__).parents[1] / "lessons").glob("*/lesson.py")
    for slug in re.findall(
        r'^show_claim\("([\w-]+)"(?:, explained=True)?\)$', source.read_text(encoding="utf-8"), re.MULTILINE
    )
}


def test_every_claim_is_shown_in_a_lesson():
    assert claims.CLAIMS.keys() - SHOWN == set()


def test_every_claim_a_lesson_shows_is_there():
    assert SHOWN - claims.CLAIMS.keys() == set()


# ------------------------------------------------------------------------------------------ the command


def test_a_quick_run_takes_the_published_choice(published, bare_lab, monkeypatch):
    claim = claims.CLAIMS["made-up"]
    tried: list[int] = []

    def choose(lab: Lab) -> dict:
        tried.append(lab.seed)
        return {"rate": {"low": 0.1, "high": 0.2}}

    def measure(lab: Lab, picked) -> Observation:
        return Observation({name: {"a": [len(picked["rate"]), 4]} for name in ("new", "old")})

    claim = replace(claim, choose=choose, measure=measure)
    assert runner.run_claim(claim, [301], "quick")["chosen"] == {"rate": "high"} and tried == [101, 102]
    result = runner.run_claim(claim, [301, 302])
    assert tried == [101, 102] * 2
    result["chosen"] = {"rate": "low"}
    (published / "claims.json").write_text(json.dumps({"made-up": result}))
    tried.clear()
    quick = runner.run_claim(claim, [301], "quick")
    assert quick["chosen"] == {"rate": "low"} and quick["conditions"]["new"]["mean"] == 3 / 4 and not tried
    (published / "claims.json").write_text(json.dumps({"made-up": result | {"recipe": "another"}}))
    assert runner.run_claim(claim, [301], "quick")["chosen"] == {"rate": "high"} and tried == [101, 102]


def test_the_list_names_every_claim_with_its_verdict(capsys, tmp_path):
    known = {"roles": {"verdict": "partly", "recipe": recipe(claims.CLAIMS["roles"]),
                       "checks": [{"text": c.text["en"], "threshold": c.threshold()} for c in claims.CLAIMS["roles"].checks]},
             "review": {"verdict": "reproduced", "recipe": "another", "checks": []}}  # fmt: skip
    (tmp_path / "claims.json").write_text(json.dumps(known))
    assert main(["claims", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(f"{slug}  [" in shown and claim.source in shown for slug, claim in claims.CLAIMS.items())
    assert "roles  [partly]" in shown and "adapters  [not measured]" in shown
    assert "review  [reproduced, measured with earlier code]" in shown
    assert main(["claims", "--lang", "zh", "--out", str(tmp_path)]) == 0
    assert "roles  [部分重现]" in capsys.readouterr().out
    then = pages.texts(claims.CLAIMS["review"]) | {"hypothesis": dict(en="What it said then.", zh="当时的说法。")}
    (tmp_path / "claims.json").write_text(json.dumps({"review": known["review"] | {"texts": then}}))
    assert main(["claims", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "[reproduced, measured with earlier code]\n    What it said then." in shown
    assert claims.CLAIMS["review"].hypothesis["en"] not in shown


@pytest.mark.parametrize(
    "arguments", [["no-such"], ["roles", "--seeds", "0"], ["roles", "--seeds", "5", "--publish"], ["all", "--quick", "--publish"]]
)  # fmt: skip
def test_a_bad_call_is_one_line_and_exit_code_2(arguments, capsys, tmp_path):
    assert main(["claims", *arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


def test_a_damaged_claims_json_is_one_line(tmp_path):
    (tmp_path / "claims.json").write_text("{")
    with pytest.raises(InputError, match=r"claims.json:1: not JSON"):
        pages.read_results(tmp_path / "claims.json")


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
        *claim.rehearsed.values(),
    ]
    assert all(text["en"] and text["zh"] for text in texts)
    assert {claim.better, claim.worse} <= claim.conditions.keys() and claim.checks and claim.seeds >= 5
    assert "" in claim.rehearsed and claim.rehearsed.keys() - {""} <= claim.conditions.keys()
    assert all(rehearsals(claim, language) for language in ("en", "zh"))
    # a machine without a font for Chinese draws the English labels
    assert all(
        not any("一" <= c <= "鿿" for c in text["en"]) for text in (claim.hypothesis, *claim.conditions.values())
    )


@pytest.mark.parametrize(
    ("high", "holds", "shown"),
    [(0.0503, False, "2.04 % [−0.96, 5.03]"), (0.0497, True, "2.0 % [−1.0, 5.0]"), (0.06, False, "2.0 % [−1.0, 6.0]")],
)
def test_rounding_does_not_hide_a_miss(high, holds, shown):
    check = Check(dict(en="lost", zh="失去"), lambda f: 0.0, at_most=0.05)
    found = {"value": 0.0204, "values": [0.0, 0.0408], "interval": [-0.0096, high], "holds": holds}
    assert with_interval(check, found) == shown


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
