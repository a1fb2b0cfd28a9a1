"""The world: facts, texts, pairs, preferences, exam, and what may not leak between them."""

import csv
import random
import re
from collections import Counter, defaultdict

import pytest

from minillm.chat import Message
from minillm.plumbing.files import InputError
from minillm.world import exam, pairs, tables
from minillm.world.tables import ATTRIBUTES, BUILT_IN, COLUMNS, LANGUAGES, RELATIONS, load_world, split_places
from minillm.world.text import Writer
from minillm.world.truths import truths

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def world():
    return load_world()


def tuning_texts(world, seed):
    """(question, answer) of everything that stage 2 and stage 3 show."""
    for dialogue in pairs.sft_dialogues(world, seed):
        yield dialogue[0].content, dialogue[1].content
    for pair in pairs.preferences(world, seed):
        yield pair.prompt[0].content, pair.chosen
        yield pair.prompt[0].content, pair.rejected


# ------------------------------------------------------------------------------------------- the facts


def test_there_are_at_least_sixty_places_with_most_facts(world):
    filled = Counter(a for place in world.places for a in ATTRIBUTES if place.value(a, "en"))
    assert len(world.places) >= 60
    assert filled["mountain"] >= 60 and filled["height"] >= 55 and filled["river"] >= 40
    assert filled["currency"] >= 60 and filled["continent"] >= 60


def test_the_lectures_example_is_in_the_world(world):
    taiwan = next(p for p in world.places if p.names["zh"] == "台湾")
    assert taiwan.value("mountain", "zh") == "玉山" and taiwan.value("mountain", "en") == "Yushan"
    assert taiwan.value("height", "zh") == "3952米" and taiwan.value("height", "en") == "3952 metres"


def test_every_fact_is_there_in_both_languages(world):
    for place in world.places:
        for attribute in ATTRIBUTES:
            assert (place.value(attribute, "en") is None) == (place.value(attribute, "zh") is None)


def test_a_name_means_the_same_in_both_languages(world):
    """No English value has two Chinese forms or the other way round: the translation is one to one."""
    for attribute in ATTRIBUTES:
        both = {(p.value(attribute, "en"), p.value(attribute, "zh")) for p in world.places}
        assert len({en for en, _ in both}) == len({zh for _, zh in both}) == len(both)


def test_a_reverse_question_is_asked_only_where_its_answer_is_unique(world):
    everest = [p for p in world.places if p.value("mountain", "en") == "Mount Everest"]
    assert len(everest) == 2
    assert all(world.fact(p, "mountain_of", "en") is None for p in everest)
    assert sum(world.fact(p, "mountain_of", "en") is not None for p in world.places) >= 50


@pytest.mark.parametrize("seed", SEEDS)
def test_the_facts_are_those_with_a_right_answer_place_by_place(world, seed):
    rng = random.Random(seed)
    places = rng.sample(world.places, 9)
    languages, relations = rng.sample(LANGUAGES, rng.randint(1, 2)), rng.sample(RELATIONS, 5)
    expected = [(p, lang, r) for p in places for lang in languages for r in relations if world.fact(p, r, lang)]
    assert [fact[:3] for fact in world.facts(places, languages, relations)] == expected
    assert all(list(right) == world.accepted(p, r, one) for p, one, r, right in world.facts(places))
    assert len(list(world.facts(places))) == sum(world.fact(p, r, one) is not None
                                                 for p in places for r in RELATIONS for one in LANGUAGES)  # fmt: skip


def test_what_lies_on_a_border_is_treated_in_one_way():
    """An empty river or mountain has its reason in the note, a filled one no doubt about it."""
    with (BUILT_IN / "places.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for what in ("river", "mountain", "capital", "currency", "continent"):
            assert (f"{what} empty" in row["note"]) == (row[f"{what}_en"] == ""), (row["place_en"], what)
        if row["river_en"]:
            assert not re.search(r"the river runs along|\(total\)", row["note"]), row["place_en"]
    rivers = {row["place_en"]: row["river_en"] for row in rows}
    assert rivers["Austria"] == "Danube" and rivers["Laos"] == "Mekong"  # they run through
    assert not any(rivers[place] for place in ("Jordan", "Mexico", "Zimbabwe", "Switzerland", "Romania", "Bulgaria"))


# ----------------------------------------------------------------------------------------- natural sentences

UNNATURAL = (
    r"is a crime|犯法",
    r"is governed|makes people think|人们会想到",
    r"The top of (?!\S.* is the highest point)|is highest on|rises to \S+ metres at most|The mountain Mount",
    r"^Who (stands|follows)|Whoever",
    r"(?i:continent of [^.?]* called)|洲叫什么|它的洲",
    r"clean (a|someone's|the neighbour's) (dog|car|bag|garden)\b",
    r"can not",
    r"(山|河)里没有比|那里没有更|几米高|^城市.{1,9}也是.*的首都|就手",
    r"骇入(?!邻居家的Wifi)|文法(?!错误)|(?<!人工)智慧|透过|网路|软体|程式|资讯|影片|品质|滑鼠|列印|伺服",
    r"一张画|考试题",
    r"\bthe the\b|\bthe [A-Z][A-Za-z ]*[\u4e00-\u9fff]",
    r"  |[{}]|\bNone\b",
)
"""What a native editor strikes out: false, unnatural, another region's word, or broken; the lecture's own words
(骇入邻居家的Wifi, 文法错误, 人工智慧) stay as they are."""


def unnatural(text):
    """(pattern, sentence) of all that is to be struck out."""
    sentences = re.split(r"(?<=[.?!]) |(?<=[。？！])", text)
    return [(pattern, one) for one in sentences for pattern in UNNATURAL if re.search(pattern, one)]


def drawn(world, kind, language, count=2000):
    """Texts of one kind in one language, at least `count` sentences where there are as many."""
    seeds = range(99)
    if kind == "documents":
        writer = Writer(world, 3)
        makers = [make for _, make in writer.kinds]
        return [make(language) for _ in range(count // len(makers)) for make in makers]
    if kind == "exam":
        questions = [q for seed in seeds[:4] for q in exam.make_exam(world, seed).questions if q.language == language]
        return [text for q in questions for text in (q.text, *q.accepted[1:])][:count]
    if kind == "pairs":
        texts = [m.content for seed in seeds[:2] for d in pairs.sft_dialogues(world, seed) for m in d]
    else:
        some = pairs.preferences(world, 3)
        texts = [text for p in some for text in (p.prompt[0].content, p.chosen, p.rejected)]
    of_language = [t for t in texts if bool(re.search("[\u4e00-\u9fff]", t)) == (language == "zh")]
    return random.Random(3).sample(of_language, min(count, len(of_language)))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["documents", "pairs", "preferences", "exam"])
def test_two_thousand_sentences_hold_nothing_an_editor_strikes_out(world, kind, language):
    texts = drawn(world, kind, language)
    assert len(texts) >= 1900
    found = [hit for text in texts for hit in unnatural(text)]
    assert not found, found[:5]


@pytest.mark.parametrize("text", [
    "To cheat at school is a crime.", "Kuala Lumpur is the city from which Malaysia is governed.",
    "The top of Finland is the top of Halti.", "Who stands on Yushan stands on the highest place of Taiwan.",
    "What is the continent of Chad called?", "How do I clean a dog?", "在考试中作弊是犯法的。", "在台湾，山里没有比玉山更高的。",
    "在日本，河里没有比信浓川更长的。", "它的洲呢？", "怎么骇入手机？", "请改正文法：who care", "the United Kingdom的首都是London。",
])  # fmt: skip
def test_the_editor_strikes_out_what_is_false_or_unnatural(text):
    assert unnatural(text)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_false_sentence_is_a_right_one_about_something_else(world, seed):
    """Every worse answer that is a sentence about a fact joins a name and a value of the table in known words."""
    for language in LANGUAGES:
        for relation in RELATIONS:
            frames = world.phrases[language, relation, "answer"]
            attribute = tables.REVERSE.get(relation, relation)
            possible = {
                tables.sentence(frame.format(p=p.names[language], v=value))
                for frame in frames
                for p in world.places
                for value in {q.value(attribute, language) for q in world.places} - {None}
            }
            asked = {q for p in world.places for q in world.write("question", p, relation, language)}
            for pair in pairs.preferences(world, seed):
                if pair.prompt[0].content in asked and re.search("[.。]$", pair.rejected):
                    assert pair.rejected in possible and pair.rejected != pair.chosen


# ----------------------------------------------------------------------------------- exam and its leaks


@pytest.mark.parametrize("seed", SEEDS)
def test_half_of_the_places_and_requests_are_held_out(world, seed):
    taught, held_out = tables.split_places(world, seed)
    assert len(taught) == len(held_out) == len(world.places) // 2
    assert not {p.names["en"] for p in taught} & {p.names["en"] for p in held_out}
    for kind in (True, False):
        halves = [[r for r in half if r.harmful == kind] for half in tables.split_requests(world, seed)]
        assert abs(len(halves[0]) - len(halves[1])) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exam_is_large_enough(world, seed):
    test = exam.make_exam(world, seed)
    for language in LANGUAGES:
        for phrasing in ("seen", "unseen"):
            asked = [q for q in test.questions if (q.language, q.phrasing) == (language, phrasing)]
            assert len(asked) >= 200
            assert {q.relation for q in asked} == set(RELATIONS)
    assert sum(r.harmful for r in test.requests) >= 40
    assert sum(not r.harmful for r in test.requests) >= 50


@pytest.mark.parametrize("seed", SEEDS)
def test_no_tuning_data_asks_about_a_held_out_place(world, seed):
    """Stronger than needed: no question or answer about facts even names a held-out place or what only it has."""
    taught, held_out = tables.split_places(world, seed)
    asked = {q.text for q in exam.make_exam(world, seed).questions}
    known = {p.value(a, lang) for p in taught for a in ATTRIBUTES for lang in LANGUAGES}
    secret = {p.names[lang] for p in held_out for lang in LANGUAGES}
    secret |= {v for p in held_out for a in ("capital", "mountain", "river") for lang in LANGUAGES
               if (v := p.value(a, lang)) and v not in known}  # fmt: skip
    words = re.compile("|".join(rf"\b{re.escape(s)}\b" if s.isascii() else re.escape(s) for s in sorted(secret)))
    taught_names = {n for p in taught for n in (*p.names.values(), *p.values.values())}
    for question, answer in tuning_texts(world, seed):
        assert question not in asked
        for text in (question, answer):
            for name in sorted(taught_names, key=len, reverse=True):
                text = text.replace(name, "_")  # 都柏林 (taught) contains 柏林 (perhaps held out)
            assert not words.search(text), (question, answer)


@pytest.mark.parametrize("seed", SEEDS)
def test_unseen_wordings_never_occur_in_tuning_data(world, seed):
    frames = {language: [re.compile("^" + re.escape(tables.sentence(t)).replace(r"\{p\}", ".+").replace(r"\{v\}", ".+")
                                    + "$", re.IGNORECASE)
                         for (lang, _, kind), texts in world.phrases.items() if lang == language and kind == "unseen"
                         for t in texts] for language in LANGUAGES}  # fmt: skip
    questions = {q for q, _ in tuning_texts(world, seed)}
    for language in LANGUAGES:
        assert not [q for q in questions for frame in frames[language] if frame.match(q)]


@pytest.mark.parametrize("seed", SEEDS)
def test_held_out_requests_never_occur_in_tuning_data(world, seed):
    _, held_out = tables.split_requests(world, seed)
    asked = " ".join(q for q, _ in tuning_texts(world, seed))
    for request in held_out:
        for language in LANGUAGES:
            for template in pairs.TEACH[language]:
                assert template.format(a=request.action[language]) not in asked


@pytest.mark.parametrize("seed", SEEDS)
def test_pretraining_holds_the_facts_but_no_answered_question_and_no_roles(world, seed):
    """What of the exam occurs in stage 1: every fact as a statement, every question alone; never both together."""
    text = "\n".join(Writer(world, seed).documents(20_000))
    assert "USER" not in text and "AI:" not in text and "[END]" not in text
    test = exam.make_exam(world, seed)
    stated = questions = 0
    for question in test.questions:
        questions += question.text in text
        stated += any(full in text for full in question.accepted[1:])
        for answer in question.accepted:
            assert f"{question.text} {answer}" not in text and f"{question.text}{answer}" not in text
    assert stated / len(test.questions) > 0.95
    assert questions / len(test.questions) > 0.5


def test_baselines_are_far_below_what_a_model_reaches(world):
    for relation, figures in exam.baselines(world, 0).items():
        assert 0 < figures["chance"] <= 1 and figures["majority"] < (0.6 if relation == "continent" else 0.4)


# ------------------------------------------------------------------------------------------- right answers


def question_about(world, relation, language):
    return next(q for q in exam.make_exam(world, 0).questions if (q.relation, q.language) == (relation, language))


def test_a_right_answer_is_the_value_or_a_full_sentence(world):
    question = question_about(world, "mountain", "zh")
    value, sentence = question.accepted[:2]
    assert value in sentence and sentence.endswith("。")
    assert question.is_right(value) and question.is_right(sentence) and question.is_right(value + "。")
    assert question.is_right(f" {sentence.rstrip('。')} ")
    for wrong in ("", "。", value + value, value[:-1], "珠穆朗玛峰", sentence.replace(value, "某山")):
        assert not question.is_right(wrong)


def test_the_style_is_a_full_sentence_whatever_the_fact(world):
    question = question_about(world, "capital", "en")
    value, sentence = question.accepted[:2]
    assert question.is_full_sentence(sentence) and question.is_full_sentence(sentence.replace(value, "Atlantis"))
    assert not question.is_full_sentence(value) and not question.is_full_sentence("Nonsense.")


def test_the_forms_of_answers_hold_every_right_one_and_no_other_kind(world):
    forms = exam.answer_forms(world)
    assert forms.keys() == {(one, relation) for one in LANGUAGES for relation in RELATIONS}
    for _, language, relation, right in world.facts(world.places):
        assert {exam.strip(answer) for answer in right} <= forms[language, relation]
    assert "Tokyo" in forms["en", "capital"] and "Tokyo" not in forms["en", "mountain"] | forms["zh", "capital"]


def test_a_question_without_a_known_answer_is_never_right():
    asked = exam.Question("", "Why?", ())
    assert not any(asked.is_right(text) or asked.is_full_sentence(text) for text in ("", " ", ".", "Why?"))
    bare = exam.Question("Japan", "?", ("Tokyo",))
    assert bare.is_right("Tokyo.") and not bare.is_full_sentence("") and not bare.is_full_sentence("Tokyo")


def test_the_conversation_of_a_question_ends_with_it():
    earlier = (Message("user", "What is the capital of Japan?"), Message("assistant", "Tokyo"))
    assert exam.Question("Chad", "And of Chad?", (), history=earlier).messages == [
        *earlier, Message("user", "And of Chad?")
    ]  # fmt: skip


def test_harmful_requests_get_refusals_and_harmless_ones_their_tip(world):
    for request in exam.make_exam(world, 0).requests:
        assert request.is_refused(request.expected) == request.harmful
        assert not request.is_refused("") and not request.is_refused("玉山")


# ------------------------------------------------------------------------------------------------- seeds


def test_the_same_seed_writes_the_same_and_another_seed_does_not(world):
    for make in (
        lambda seed: list(Writer(world, seed).documents(50)),
        lambda seed: pairs.sft_dialogues(world, seed),
        lambda seed: pairs.preferences(world, seed),
        lambda seed: truths(world, split_places(world, 1)[0], seed, 3),
        lambda seed: [q.text for q in exam.make_exam(world, seed).questions],
    ):
        assert make(3) == make(3)
        assert make(3) != make(4)


def test_chosen_and_rejected_answers_differ(world):
    for pair in pairs.preferences(world, 1):
        assert pair.chosen and pair.rejected and pair.chosen != pair.rejected


@pytest.mark.parametrize("seed, each", [(1, 1), (2, 4), (3, 10**6)])
def test_pairs_about_truth_are_true_and_false_sentences_about_one_place(world, seed, each):
    here, _ = split_places(world, seed)
    facts = list(world.facts(here))
    found = truths(world, here, seed, each)
    assert len({(pair.chosen, pair.rejected) for pair in found}) == len(found)
    values, false, asked, count = defaultdict(set), defaultdict(set), defaultdict(set), Counter()
    for _, language, relation, (value, *_) in facts:
        values[language, relation].add(value)
    for place, language, relation, (value, sentence, *_) in facts:  # one sentence may answer two questions
        others = values[language, relation] - {value}
        false[sentence] |= {world.false_sentence(place, relation, language, other) for other in others}
        asked[sentence] |= set(world.write("question", place, relation, language))
        count[sentence] += min(each, len(others))
    assert Counter(pair.chosen for pair in found) == count
    assert all(p.rejected in false[p.chosen] and p.prompt[0].content in asked[p.chosen] for p in found)
    assert not any(pair.rejected in count for pair in found)


def test_the_teacher_shows_who_it_is_and_what_it_refuses(world):
    dialogues = pairs.sft_dialogues(world, 0)
    assert [Message("user", "你是谁？"), Message("assistant", "我是人工智慧。")] in dialogues
    answers = [d[1].content for d in dialogues]
    assert any(a.startswith("我不能教你") for a in answers) and "早安" in answers and "要加 s" in answers


# -------------------------------------------------------------------------------------- a teacher's tables


def own_world(folder, **files):
    """A copy of the built-in tables, some files changed line by line."""
    for name in COLUMNS:
        lines = (BUILT_IN / name).read_text(encoding="utf-8").splitlines()
        change = files.get(name.removesuffix(".csv"))
        (folder / name).write_text("\n".join(change(lines) if change else lines) + "\n", encoding="utf-8")
    return folder


def edit(line, old, new):
    def change(lines):
        assert old in lines[line - 1]
        return [*lines[: line - 1], lines[line - 1].replace(old, new), *lines[line:]]

    return change


def test_a_teachers_own_table_is_used(tmp_path):
    header = ",".join(COLUMNS["places.csv"])
    rows = [
        f"Land{i},国{i},Town{i},城{i},Hill{i},山{i},{100 + i},Brook{i},河{i},coin{i},币{i},Asia,亚洲," for i in range(6)
    ]
    (tmp_path / "places.csv").write_text("\n".join([header, *rows]), encoding="utf-8-sig")
    world = load_world(tmp_path)
    assert len(world.places) == 6 and world.places[3].value("height", "zh") == "103米"
    assert exam.make_exam(world, 0).questions and list(Writer(world, 0).documents(30))


@pytest.mark.parametrize(
    "table, change, message",
    [
        ("places", edit(2, "Taiwan", ""), r"places.csv:2: place_en is empty"),
        ("places", edit(2, "3952", "3952 m"), r"places.csv:2: height_m is '3952 m': write whole metres"),
        ("places", edit(2, "玉山", ""), r"places.csv:2: mountain_zh is empty: fill both languages or neither"),
        ("places", lambda x: [*x, x[1]], r"places.csv:66: place 'Taiwan' is in line 2 already"),
        ("places", lambda x: x[:3], r"at least 4 are needed"),
        ("places", lambda x: x[:1], r"has no rows"),
        ("places", edit(2, "Taiwan,", "Taiwan,one,two,"), r"places.csv:2: 1\d cells instead of 14"),
        ("places", edit(1, "height_m", "height"), r"places.csv:1: no column height_m"),
        ("phrases", edit(2, "en,", "fr,"), r"phrases.csv:2: language is 'fr': write one of en, zh"),
        ("phrases", edit(2, "capital,", "king,"), r"phrases.csv:2: relation is 'king'"),
        ("phrases", edit(2, "{v}", "{x}"), r"phrases.csv:2: bad braces"),
        ("phrases", edit(2, "{v}", "it"), r"phrases.csv:2: .* does not contain {v}: add it"),
        ("requests", edit(2, "harmful", "bad"), r"requests.csv:2: kind is 'bad': write harmful or harmless"),
        ("requests", edit(4, "type in the right password", ""), r"requests.csv:4: tip_en is '': write the tip"),
        ("glossary", edit(2, "早安", ""), r"glossary.csv:2: zh is empty"),
    ],
)
def test_a_bad_cell_is_named_with_how_to_fix_it(tmp_path, table, change, message):
    with pytest.raises(InputError, match=message):
        load_world(own_world(tmp_path, **{table: change}))


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds none of"):
        load_world(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        load_world(tmp_path / "nowhere")


def test_the_tables_are_tidy():
    for name, columns in COLUMNS.items():
        with (BUILT_IN / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == columns
        for row in rows[1:]:
            assert len(row) == len(columns) and all(cell == cell.strip() for cell in row)
