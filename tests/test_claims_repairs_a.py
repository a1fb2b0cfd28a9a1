"""The material of the claims on knowledge, format and few labels: what differs between conditions, and what does not."""

import re
from collections import Counter, defaultdict

import pytest
import torch

from minillm.chat import encode_dialogue, turn
from minillm.claims import (
    adapters,
    less_is_more,
    many_wordings,
    quality_over_quantity,
    roles,
    small_steps,
    spurious_rules,
    varied_over_rigid,
)
from minillm.claims.experiment import mean
from minillm.claims.lab import Lab
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.tokenizer import Tokenizer
from minillm.world.tables import LANGUAGES, RELATIONS, REVERSE, load_world
from minillm.world.text import Writer

SEEDS = (3, 4)
STATED = ("about_a_place", "three_facts", "mixed_names", "parallel")


def documents(writer: Writer, count: int) -> list[tuple[str, str]]:
    """(kind, text) of the next documents."""
    written = []
    for _ in range(count):
        state = writer.random.getstate()
        weights, kinds = zip(*writer.kinds, strict=True)
        kind = writer.random.choices(kinds, weights)[0].__name__
        writer.random.setstate(state)
        written.append((kind, writer.document()))
    return written


@pytest.mark.parametrize("seed", SEEDS)
def test_the_one_wording_corpus_differs_in_wording_alone(seed):
    world = load_world()
    one = many_wordings.one_wording(world, seed)
    usual, fixed = (documents(Writer(w, seed), 600) for w in (world, one))
    assert [kind for kind, _ in usual] == [kind for kind, _ in fixed]
    rest = [(a, b) for (kind, a), (_, b) in zip(usual, fixed, strict=True) if kind not in STATED]
    assert len(rest) > 150 and all(a == b for a, b in rest)
    about = [(a, b) for (kind, a), (_, b) in zip(usual, fixed, strict=True) if kind == "about_a_place"]
    names = [n.lower() for p in world.places for n in p.names.values()]
    for a, b in about:  # the same place, whose facts come in the same order
        assert {n for n in names if n in a.lower()} & {n for n in names if n in b.lower()}
    assert sum(a != b for a, b in about) > 0.9 * len(about)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_fact_has_one_wording_and_all_wordings_are_used(seed):
    world = load_world()
    one = many_wordings.one_wording(world, seed)
    used = defaultdict[tuple[str, str], set[str]](set)
    for place in world.places:
        for language in LANGUAGES:
            for attribute in ("capital", "mountain", "river", "currency", "continent"):
                usual = world.write("statement", place, attribute, language)
                fixed = one.write("statement", place, attribute, language)
                assert len(fixed) == len(usual) and len(set(fixed)) == min(1, len(usual)) and set(fixed) <= set(usual)
                if usual:  # names of the other language do not change which wording it is
                    other = one.write("statement", place, attribute, language, "en" if language == "zh" else "zh")
                    template = usual.index(fixed[0])
                    assert other[0] == world.write("statement", place, attribute, language, "en" if language == "zh" else "zh")[template]  # fmt: skip
                    used[language, attribute].add(str(template))
                assert one.write("question", place, attribute, language) == world.write("question", place, attribute, language)  # fmt: skip
    for (language, attribute), found in used.items():
        assert len(found) > 0.6 * len(world.phrases[language, attribute, "statement"])


def test_a_question_goes_the_way_of_its_wording_or_against_it():
    lab = Lab(5, "quick")
    world = many_wordings.one_wording(lab.world, 5)
    seen = Counter[bool]()
    for item in lab.items(lab.world.places):
        attribute = REVERSE.get(item.relation, item.relation)
        place = next(p for p in world.places if p.names["en"] == item.entity)
        text = world.write("statement", place, attribute, item.language)[0]
        value = str(place.value(attribute, item.language))
        starts = text.lower().startswith(value.lower())
        if starts and place.names[item.language].lower() not in value.lower():
            assert many_wordings.same_way(world, item) == (item.relation in REVERSE)
        seen[many_wordings.same_way(world, item)] += 1
    assert min(seen.values()) > 0.2 * seen.total()


def test_a_base_completes_the_sentence_that_its_corpus_states():
    lab = Lab(5, "quick")
    world = many_wordings.one_wording(lab.world, 5)
    corpus = "\n".join(Writer(world, 5).documents(3000))
    facts = many_wordings.as_read(world, lab.items(lab.world.places))
    assert len(facts) > 50 and not any(fact.relation in REVERSE for fact in facts)
    assert all(fact.accepted[0] in fact.accepted[1] for fact in facts)
    assert sum(fact.accepted[1] in corpus for fact in facts) > 0.9 * len(facts)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(list(Writer(load_world(), 1).documents(80)), 400)


@pytest.mark.parametrize(("question", "value"), [("What is it?", "Tokyo"), ("是什么？", "东京")])
def test_unmarked_a_guess_and_an_answer_are_the_same_text(question, value, tokenizer):
    asked, guessed = turn(question, value), turn(question + (" " if value.isascii() else "") + value, "Yes")
    for separator, clash in (("", True), ("\n", False)):
        form = roles.Unmarked(separator)
        answered, confirmed = (form.encode(d, tokenizer) for d in (asked, guessed))
        for dialogue, encoded in ((asked, answered), (guessed, confirmed)):
            prompt = form.prompt(dialogue[0].content, tokenizer)
            assert encoded.ids[: len(prompt)] == prompt and encoded.mask == [False] * len(prompt) + [True] * (
                len(encoded.ids) - len(prompt)
            )
        text = tokenizer.decode(answered.ids[1:-1])
        assert (tokenizer.decode(confirmed.ids[1:]).startswith(text)) == clash
    marked = [tokenizer.decode(encode_dialogue(d, tokenizer).ids[1:-1]) for d in (asked, guessed)]
    assert not marked[1].startswith(marked[0])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("k", spurious_rules.PLACES)
def test_few_labels_ask_for_mountains_heights_and_rivers_of_k_taught_places(k, seed):
    lab = Lab(seed)
    pairs, mountains = spurious_rules.few_pairs(lab, k)
    held_out = {p.names["zh"] for p in lab.held_out}
    assert not [q.content for q, _ in pairs if any(re.search(f"(^|[^一-鿿]){n}", q.content) for n in held_out)]
    assert len(mountains) == k and sum(a.content in mountains for _, a in pairs) == 2 * k
    assert sum("最" in q.content for q, _ in pairs) == 6 * k < len(pairs)
    assert mountains.isdisjoint(str(p.value("mountain", "zh")) for p in lab.held_out)
    items = spurious_rules.questions(lab)
    assert {i.relation for i in items} == set(spurious_rules.ASKED) and {i.language for i in items} == {"zh"}
    assert {i.entity for i in items} <= {p.names["en"] for p in lab.held_out}
    asked = [i for i in items if i.relation == "mountain"][:3]
    some = sorted(mountains)[0]
    given = [(f"是{some}", True), (asked[1].accepted[0], True), ("我是人工智慧。", False)]
    assert spurious_rules.named(given, mountains | {asked[1].accepted[0]}, asked) == [1, 0, 0]


def test_distances_and_the_line_between_two_models():
    config = GPTConfig(n_vocab=300, n_layer=1, n_head=2, n_embd=16, n_ctx=16)
    one, other = GPT(config, 1), GPT(config, 2)
    assert all(total == 0 for total, _ in small_steps.moved(one, one, other).values())
    whole = small_steps.moved(one, other, one)
    for share in (0.25, 1.0, 1.5):
        part = small_steps.moved(one, small_steps.between(one, other, share), one)
        assert all(part[name][0] == pytest.approx(share * whole[name][0], rel=1e-4) for name in whole)
    assert torch.equal(
        one.state_dict()["blocks.0.mlp.up.weight"], GPT(config, 1).state_dict()["blocks.0.mlp.up.weight"]
    )
    assert small_steps.average({"a": [0.5, 1], "b": [1.5, 1]}) == 1.0


@pytest.mark.parametrize(
    ("fits", "expected"),
    [({1e-4: 0.2, 1e-3: 0.95, 1e-2: 0.99}, 1e-3), ({1e-2: 0.93, 1e-4: 0.91}, 1e-4), ({1e-4: 0.1, 1e-3: 0.6, 1e-2: 0.5}, 1e-3)],
)  # fmt: skip
def test_the_least_rate_that_learns(fits, expected):
    assert small_steps.least(fits) == expected


def test_a_margin_is_added_to_the_mean():
    marks = {"a": [3.0, 4], "b": [0.0, 7], "c": [5, 5]}
    assert mean(adapters.raised(marks, 0.03)) == pytest.approx(mean(marks) + 0.03)
    assert all(rates == tuple(sorted(rates)) and len(rates) >= 3 for rates in adapters.RATES.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_few_and_many_places_have_equally_many_pairs_of_each_type(seed):
    lab = Lab(seed)
    counts, places = [], []
    for some in (lab.taught[:4], lab.taught):
        pairs = less_is_more.evenly(lab, some, wordings=4)
        answers = {(one, r): {a.content for _, a in lab.facts(some, (one,), (r,))} for one in LANGUAGES for r in RELATIONS}  # fmt: skip
        questions = {(one, r): {q.content for q, _ in lab.facts(some, (one,), (r,))} for one in LANGUAGES for r in RELATIONS}  # fmt: skip
        types = [key for q, _ in pairs for key, known in questions.items() if q.content in known]
        assert all(any(a.content in known for known in answers.values()) for _, a in pairs)
        counts.append(Counter(types))
        places.append({p.names[one] for p in some for one in LANGUAGES for q, _ in pairs if p.names[one] in q.content})
    each = less_is_more.VARIETY // 18
    assert all(count == each for count in counts[1].values()) and len(counts[1]) == 18
    assert counts[0] == counts[1] and len(places[0]) < len(places[1])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("percent", [0, 25, 50, 100])
def test_spoilt_pairs_are_wrong_and_the_others_untouched(percent, seed):
    lab = Lab(seed)
    pairs = lab.pairs[:400]
    noisy, clean = quality_over_quantity.spoil(lab, pairs, percent)
    changed = [i for i, (a, b) in enumerate(zip(pairs, noisy, strict=True)) if a != b]
    assert len(changed) == 4 * percent and len(clean) == 400 - len(changed)
    assert clean == [pair for i, pair in enumerate(pairs) if i not in changed]
    assert [q for q, _ in noisy] == [q for q, _ in pairs]
    assert Counter(a.content for _, a in noisy) == Counter(a.content for _, a in pairs)
    for i in changed:
        assert not quality_over_quantity.same(pairs[i][1].content, noisy[i][1].content)


@pytest.mark.parametrize("seed", SEEDS)
def test_rigid_and_varied_pairs_tell_the_same_facts_equally_often(seed):
    lab = Lab(seed)
    templates = varied_over_rigid.drawn_templates(lab)
    sets = varied_over_rigid.pair_sets(lab, templates)
    facts = Counter(accepted[0] for *_, accepted in lab.world.facts(lab.taught))
    assert all(Counter(a.content for _, a in pairs) == facts for pairs in sets.values())
    worded: dict[str, Counter] = {}
    for name, pairs in sets.items():
        asked = {q.content for q, _ in pairs}
        worded[name] = Counter(
            (language, relation, number)
            for place in lab.taught
            for language in LANGUAGES
            for relation in RELATIONS
            if lab.world.fact(place, relation, language)
            for number, text in enumerate(lab.world.write("question", place, relation, language))
            if text in asked
        )
    assert len(worded["rigid"]) == 18 and len(worded["varied"]) > 60
    assert worded["rigid"].total() == worded["varied"].total() == facts.total()
