"""Claims about tasks, languages and teachers: what is held out is held out, and conditions differ in one thing."""

import re
import string
from collections import Counter

import pytest
import torch

from minillm.base_cache import Base
from minillm.chat import turn
from minillm.claims import (
    across_languages,
    false_promise,
    generalist,
    many_turns,
    review,
    small_and_long,
    specialists,
    stronger_teacher,
)
from minillm.claims.lab import Lab
from minillm.claims.passages import worlds
from minillm.claims.tasks import (
    OTHER_FACT,
    OTHER_PLACE,
    TAUGHT_FORMS,
    mistake,
    proofreading,
    second_turns,
    sentence_halves,
)
from minillm.gpt import GPT
from minillm.gpt_config import GPTConfig
from minillm.run_folder import Run
from minillm.tokenizer import Tokenizer
from minillm.world.exam import Question
from minillm.world.tables import ATTRIBUTES, LANGUAGES

SEEDS = (7, 8, 9)


@pytest.fixture
def recorded(monkeypatch):
    """Tunings as (pairs, steps, settings); none is run, and every model answers all questions rightly."""
    tuned = []

    def tune(lab, dialogues, base=None, steps=None, **settings):
        tuned.append(([tuple(m.content for m in d) for d in dialogues], steps, settings))
        return len(tuned)

    monkeypatch.setattr(Lab, "tune", tune)
    monkeypatch.setattr(Lab, "base", "base")
    monkeypatch.setattr(Lab, "weak", "weak")
    monkeypatch.setattr(Lab, "ask", lambda lab, run, items: [((i.accepted or ("yes",))[0], True) for i in items])
    return tuned


# ------------------------------------------------------------------------------------------------ tasks


@pytest.mark.parametrize("seed", SEEDS)
def test_sentences_to_proofread_are_held_out_with_the_word_that_is_wrong(seed):
    lab = Lab(seed)
    taught, held_out = sentence_halves(lab)
    assert sorted(r["wrong"] for r in [*taught, *held_out]) == sorted(r["wrong"] for r in lab.world.proofreading)
    assert not {mistake(r) for r in taught} & {mistake(r) for r in held_out}
    kinds = Counter(r["hint_en"] for r in lab.world.proofreading)
    asked = Counter(r["hint_en"] for r in held_out)
    assert all(n / 4 <= asked[kind] <= 0.8 * n for kind, n in kinds.items())
    task = proofreading(lab)
    sentences = [row[form] for row in held_out for form in ("wrong", "right")]
    assert not [
        q.content
        for q, _ in task.pairs
        if any(q.content.endswith(s) or q.content.startswith(f"{s} ") for s in sentences)
    ]
    assert {i.entity for i in task.items} == {r["wrong"] for r in held_out}


@pytest.mark.parametrize(
    ("wrong", "right", "word"),
    [
        ("she like tea", "she likes tea", "like"),
        ("he has a old car", "he has an old car", "old"),
        ("two birds is here", "two birds are here", "birds"),
        ("we meet last week", "we met last week", "meet"),
    ],
)
def test_the_word_a_mistake_is_about(wrong, right, word):
    assert mistake({"wrong": wrong, "right": right}) == word


@pytest.mark.parametrize("seed", SEEDS)
def test_second_turns_in_new_wordings_share_no_wording_with_the_taught_ones(seed):
    lab = Lab(seed)
    relations, asked = many_turns.exams(lab)
    taught = second_turns(lab, lab.taught, relations)
    assert {item.relation for _, item, _ in taught} == set(relations)
    assert {i.relation for i in asked["relation"]} == set(ATTRIBUTES) - set(relations)

    def wording(text: str, language: str) -> str:
        forms = [f for texts in (OTHER_PLACE, OTHER_FACT) for f in texts[language]]
        fits = [f for f in forms if re.fullmatch(re.escape(f).replace(r"\{\}", ".+"), text)]
        return max(fits, key=len)

    known = {wording(item.text, item.language) for _, item, _ in taught}
    new = {wording(i.text, i.language) for name in ("wording", "relation") for i in asked[name]}
    assert len(known) == 4 * TAUGHT_FORMS and not known & new
    assert all(len(texts[one]) > TAUGHT_FORMS for texts in (OTHER_PLACE, OTHER_FACT) for one in LANGUAGES)
    for first, item, full in taught[:50]:
        assert item.history == tuple(first) and full != item.text


def test_ways_to_teach_second_turns_ask_for_the_same_facts(recorded, monkeypatch):
    monkeypatch.setattr(Lab, "constant_answer", 0.1)
    many_turns.measure(Lab(7))
    answers = [Counter(a for texts in pairs for a in texts[1::2]) for pairs, _, _ in recorded]
    assert len(answers) == 3 and answers[0] == answers[1] == answers[2]
    # a dialogue of two turns has two answers: as many in a step
    assert [settings["batch_size"] * len(pairs[0]) for pairs, _, settings in recorded] == [64, 64, 64]
    assert all(settings["rehearse"] == () for _, _, settings in recorded)


# ----------------------------------------------------------------------------------- teachers and imitation


def test_students_of_all_teachers_have_equal_pairs_and_steps(recorded):
    observation = stronger_teacher.measure(Lab(7))
    first, added = recorded[:2], recorded[3:]  # the third is the teacher
    assert {len(pairs) for pairs, _, _ in first} == {stronger_teacher.HUMAN}
    assert {len(pairs) for pairs, _, _ in added} == {stronger_teacher.HUMAN + observation.figures["pairs added"]}
    assert {steps for _, steps, _ in recorded} == {stronger_teacher.STEPS}
    assert {settings["rehearse"] for _, _, settings in recorded} == {()}
    assert observation.marks.keys() == stronger_teacher.CLAIM.conditions.keys()


@pytest.mark.parametrize("seed", SEEDS)
def test_imitated_facts_are_asked_for_in_words_that_were_not_imitated(seed):
    lab = Lab(seed)
    facts, asked = false_promise.exams(lab)
    imitated = {d[0].content for place, relation in facts for d in lab.facts([place], relations=(relation,))}
    assert not imitated & {i.text for items in asked.values() for i in items}
    chosen = {(place.names["en"], relation) for place, relation in facts}
    about = {name: {(i.entity, i.relation) for i in items} for name, items in asked.items()}
    assert about["imitated"] == chosen and not about["near"] & chosen and not about["other"] & chosen
    places = {name: {entity for entity, _ in pairs} for name, pairs in about.items()}
    assert places["near"] & places["imitated"] and not places["other"] & (places["near"] | places["imitated"])
    assert min(map(len, asked.values())) > 50


def test_students_of_people_and_of_the_teacher_have_equal_pairs(recorded, monkeypatch):
    monkeypatch.setattr(Lab, "held_out", property(lambda lab: lab.world.places[40:]))
    observation = false_promise.measure(Lab(7))
    sizes = {len(pairs) for pairs, _, _ in recorded[1:]}  # the first is the teacher
    assert sizes == {observation.figures["pairs"]} and len(recorded) == 4


@pytest.mark.parametrize(("student", "closed"), [(0.3, 0.0), (0.9, 1.0), (0.6, 0.5), (0.24, -0.1)])
def test_the_share_of_a_gap(student, closed):
    f = {"other-people": 0.3, "other-student": student, "other-teacher": 0.9}
    assert false_promise.gap_closed(f) == pytest.approx(closed)
    assert false_promise.gap_closed(f | {"other-teacher": 0.3}) == 0  # no gap, nothing to close


def test_tasks_learned_in_a_row_are_equally_large(monkeypatch):
    learned = []

    def tune(lab, examples, base=None, **settings):
        learned.append((len(examples), settings["steps"], settings["rehearse"]))
        return Run(None, None)

    run = Run(None, Tokenizer.train(["who are you"], 256))
    monkeypatch.setattr(Lab, "tune_encoded", tune)
    monkeypatch.setattr(Lab, "base", Base(run, []))
    monkeypatch.setattr(Lab, "ask", lambda lab, run, items: [("yes", True) for _ in items])
    monkeypatch.setattr(review, "own_questions", lambda lab, run, n: lab.pairs[:n])
    observation = review.measure(Lab(7))
    new, more = review.PAIRS, int(review.PAIRS * (1 + review.SHARE))
    assert [n for n, _, _ in learned] == [new, new, new, more, more, more, more, 3 * new]
    assert learned[-1][1] == 3 * review.STEPS and {r for _, _, r in learned} == {()}
    assert observation.marks.keys() == review.CLAIM.conditions.keys()
    assert all(n == 1 for name, m in observation.marks.items() if name.startswith("all-") for _, n in m.values())


# ------------------------------------------------------------------------------------------- generalists


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_a_kind_of_question_is_about_one_of_three_statements(kind):
    lab = Lab(7)
    for item in generalist.questions(lab, worlds(lab)[1], kind):
        assert item.accepted[0] in item.text and item.relation == kind
    text = [q.text for q in generalist.questions(lab, worlds(lab)[1], kind, named=False)]
    assert all(q.endswith(f"{ATTRIBUTES.index(kind) + 1}") for q in text)


def test_kinds_share_the_pairs_and_none_is_about_what_is_asked():
    lab = Lab(7)
    unseen, *others = ATTRIBUTES
    asked = {i.text for i in generalist.questions(lab, worlds(lab)[1], unseen)}
    of_one, of_five = (generalist.pairs_of(lab, others[:k], generalist.PAIRS) for k in (1, 5))
    assert len(of_one) == len(of_five) == generalist.PAIRS
    assert not asked & {q.content for q, _ in [*of_one, *of_five]}
    few = {q.content for q, _ in generalist.pairs_of(lab, others[:2], 2 * generalist.PAIRS // 5)}
    assert few <= {q.content for q, _ in of_five}  # equal exposure: the same pairs of these kinds


def test_made_up_kinds_answer_what_follows_the_noun_that_is_asked():
    lab = Lab(7)
    nouns = generalist.words(lab.random(), 40)
    assert len(set(nouns)) == 40
    items = generalist.micro_questions(lab, lab.taught, nouns[:4], nouns[4:], 1)
    assert len(items) == generalist.PAIRS and {i.entity for i in items} == set(nouns[:4])
    for item in items:
        told = dict(re.findall(r"The (\w+) of .+? is (.+?)\.(?= |$)", item.text.split(" What is")[0]))
        assert len(told) == 3 and told[item.entity] == item.accepted[0]
        assert set(told) - {item.entity} <= set(nouns[4:]) and item.text.count(item.accepted[0]) >= 1


def test_seeds_rotate_the_kind_that_is_never_taught():
    first = {(seed * generalist.ROTATIONS + k) % 6 for seed in (301, 302, 303) for k in range(generalist.ROTATIONS)}
    assert first == set(range(6))


# ------------------------------------------------------------------------------------- specialists, languages


def tiny() -> Run:
    tokenizer = Tokenizer.train(["is this right", "no mistake"], 256)
    return Run(GPT(GPTConfig(n_vocab=tokenizer.n_vocab, n_ctx=64, n_layer=1, n_head=2, n_embd=16), seed=1), tokenizer)


def test_a_classifier_learns_the_class_of_the_last_token(monkeypatch):
    run, lab = tiny(), Lab(7)
    monkeypatch.setattr(specialists, "STEPS", 60)
    pairs = [turn(f"{w} {k}", answer) for w, answer in (("yes", "right"), ("no", "wrong")) for k in range(9)]
    classes = specialists.answers_of(pairs)
    assert classes == ["right", "wrong"]
    labels = specialists.labelled(pairs, classes, run)
    assert [d.ids[-1] for d in labels] == [0] * 9 + [1] * 9 and all(sum(d.mask) == 1 and d.mask[-1] for d in labels)
    tuned = specialists.classifier(lab, pairs, run)
    assert (
        tuned.gpt(torch.tensor([[1, 2]])).shape == (1, 2, 2)
        and run.gpt.lm_head.weight.shape[0] == run.tokenizer.n_vocab
    )
    items = [Question("", q.content, (a.content,)) for q, a in pairs]
    given = specialists.classify(tuned, items, classes)
    assert [i.is_right(text) for i, (text, _) in zip(items, given, strict=True)] == [True] * 18


def test_the_copy_of_english_shares_no_letter_with_it():
    text = "New Taiwan dollar, 3952 metres: Yushan?"
    other = across_languages.copied(text)
    assert not set(other) & set(string.ascii_letters) and len(other) == len(text)
    back = {across_languages.copied(c): c for c in string.ascii_letters}
    assert len(back) == 52 and "".join(back.get(c, c) for c in other) == text
    assert re.sub(r"[^\W\d_]", "", other) == re.sub(r"[^\W\d_]", "", text)  # digits and punctuation stay
    assert across_languages.digits("高3,952米") == "3952"


def test_both_other_languages_are_asked_and_taught_alike(monkeypatch):
    monkeypatch.setattr(across_languages, "reader", lambda lab: None)
    monkeypatch.setattr(across_languages, "copy_reader", lambda lab: None)
    lab = Lab(7)
    found = across_languages.languages(lab)
    sizes = {(len(one.pairs), len(one.items)) for one in found.values()}
    assert len(sizes) == 1
    for one in found.values():
        for item in one.items:
            assert item.accepted[0] in one.choices[item.text] and len(one.choices[item.text]) > 1
            assert all(value in item.text for value in one.choices[item.text])
    english = across_languages.reading(lab, ("en",)).pairs[:100]
    shuffled = across_languages.any_value(lab, english)
    assert [q for q, _ in shuffled] == [q for q, _ in english]
    assert all(a.content in q.content for q, a in shuffled)
    same = sum(a.content == b.content for (_, a), (_, b) in zip(shuffled, english, strict=True))
    assert 15 <= same <= 60  # about a third, by chance


def test_both_sizes_are_trained_at_each_compute():
    names = set(small_and_long.CLAIM.conditions)
    assert names == {f"{size}-{b}" for size in small_and_long.SIZES for b in small_and_long.BUDGETS}
