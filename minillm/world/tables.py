"""The world's tables: read from CSV files a teacher can edit, checked cell by cell.

A world is a folder of five files; any that is missing is taken from the built-in world:

    places.csv        facts about places, in English and Chinese; an empty cell means "not asked"
    phrases.csv       how facts are stated, asked and answered, by language and relation
    requests.csv      things people ask to be taught, harmful or harmless, with a tip for the harmless
    glossary.csv      words and phrases with their translation
    proofreading.csv  short sentences with a mistake, the right form and a hint

What lies on a border is treated in one way. A mountain counts for each place that its summit is in or on the border
of. A river counts where it runs through a place, not only along its border, and its cell is filled only if it is the
longest both as a whole and by what is inside the place: every wording of the fact is then true.
"""

import csv
import io
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from minillm.plumbing.files import InputError, read_text

LANGUAGES = ("en", "zh")
ATTRIBUTES = ("capital", "mountain", "height", "river", "currency", "continent")
REVERSE = {"capital_of": "capital", "mountain_of": "mountain", "river_of": "river"}
RELATIONS = (*ATTRIBUTES, *REVERSE)
KINDS = ("statement", "question", "unseen", "answer")
BUILT_IN = Path(__file__).parent / "tables"
METRES = {"en": "{} metres", "zh": "{}米"}

COLUMNS = {
    "places.csv": ["place_en", "place_zh", "capital_en", "capital_zh", "mountain_en", "mountain_zh", "height_m",
                   "river_en", "river_zh", "currency_en", "currency_zh", "continent_en", "continent_zh", "note"],
    "phrases.csv": ["language", "relation", "kind", "text"],
    "requests.csv": ["topic", "kind", "action_en", "action_zh", "tip_en", "tip_zh"],
    "glossary.csv": ["en", "zh"],
    "proofreading.csv": ["wrong", "right", "hint_en", "hint_zh"],
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """One row of places.csv."""

    names: dict[str, str]
    """Name by language."""
    values: dict[tuple[str, str], str]
    """(attribute, language) -> value; a fact that is not known is not in it."""

    def value(self, attribute: str, language: str) -> str | None:
        return self.values.get((attribute, language))


@dataclass(frozen=True)
class Request:
    """One row of requests.csv."""

    topic: str
    harmful: bool
    action: dict[str, str]
    tip: dict[str, str]

    @property
    def verb(self) -> str:
        return self.action["en"].split()[0]


@dataclass(frozen=True)
class World:
    """All tables. Facts are asked through `fact`, `phrases` and `places`."""

    places: tuple[Place, ...]
    phrases: dict[tuple[str, str, str], tuple[str, ...]]
    """(language, relation, kind) -> templates with {p} for the place, {v} the value, {m} the mountain."""
    requests: tuple[Request, ...]
    glossary: tuple[dict[str, str], ...]
    proofreading: tuple[dict[str, str], ...]

    def fact(self, place: Place, relation: str, language: str) -> str | None:
        """The right answer: the value, or the place's name for a reverse relation; None if not asked.

        A reverse question is asked only if the value belongs to one place of the table.
        """
        if relation not in REVERSE:
            return place.value(relation, language)
        value = place.value(REVERSE[relation], language)
        if value is None or sum(p.value(REVERSE[relation], language) == value for p in self.places) > 1:
            return None
        return place.names[language]

    def write(self, kind: str, place: Place, relation: str, language: str, names: str | None = None) -> list[str]:
        """All statements, questions or answers of one fact; `names` takes the names of another language."""
        names = names or language
        attribute = REVERSE.get(relation, relation)
        if place.value(attribute, names) is None:
            return []
        words = {"p": place.names[names], "v": place.value(attribute, names), "m": place.value("mountain", names)}
        if (language, names) == ("zh", "en"):  # an English article has no place in a Chinese sentence
            words["p"] = place.names[names].removeprefix("the ")
        templates = self.phrases.get((language, relation, kind), ())
        return [sentence(t.format(**words)) for t in templates if words["m"] or "{m}" not in t]

    def false_sentence(self, place: Place, relation: str, language: str, answer: str) -> str:
        """The first full sentence that answers, with another answer in the place of the right one."""
        value = place.value(REVERSE.get(relation, relation), language)
        words = {"p": place.names[language], "v": value, "m": place.value("mountain", language)}
        words["p" if relation in REVERSE else "v"] = answer
        return sentence(self.phrases[language, relation, "answer"][0].format(**words))

    def accepted(self, place: Place, relation: str, language: str) -> list[str]:
        """The right answers: the bare value, then full sentences."""
        value = self.fact(place, relation, language)
        return [] if value is None else [value, *self.write("answer", place, relation, language)]

    def facts(
        self, places: Sequence[Place], languages: Sequence[str] = LANGUAGES, relations: Sequence[str] = RELATIONS
    ) -> Iterator[tuple[Place, str, str, tuple[str, ...]]]:
        """All that can be asked about some places: (place, language, relation, right answers)."""
        for place, language, relation in product(places, languages, relations):
            if accepted := self.accepted(place, relation, language):
                yield place, language, relation, tuple(accepted)


def sentence(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def split_half(items: Sequence, seed: int) -> tuple[list, list]:
    """Two random halves, each in the given order."""
    chosen = set(random.Random(seed).sample(range(len(items)), (len(items) + 1) // 2))
    return [x for i, x in enumerate(items) if i in chosen], [x for i, x in enumerate(items) if i not in chosen]


def split_places(world: World, seed: int) -> tuple[list[Place], list[Place]]:
    """(taught, held out): SFT and preference data never speak of a held-out place."""
    return split_half(world.places, seed)


def split_requests(world: World, seed: int) -> tuple[list[Request], list[Request]]:
    """(taught, held out): half of the harmful and half of the harmless requests.

    Of many random halves it takes the one that leaves the fewest verbs (first words) and things without
    a taught request of each kind: a held-out request then joins a known verb and a known thing anew, and
    neither the thing nor the wording tells whether it is harmful.
    """
    rng = random.Random(seed)
    taught: list[Request] = []
    for harmful in (True, False):
        requests = [r for r in world.requests if r.harmful == harmful]
        halves = [rng.sample(requests, len(requests) // 2) for _ in range(500)]
        taught += max(halves, key=lambda half: len({word for r in half for word in (r.verb, r.topic)}))
    return [r for r in world.requests if r in taught], [r for r in world.requests if r not in taught]


# ------------------------------------------------------------------------------------ reading and checking


def read_table(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV file. Raises InputError for missing columns or cells."""
    text = read_text(path)
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        header = next(reader, [])
        if missing := [c for c in columns if c not in header]:
            raise InputError(f"{path}:1: no column {', '.join(missing)}: the first line must be {','.join(columns)}")
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"{path}:{reader.line_num}: {len(cells)} cells instead of {len(header)}: "
                    "quote a cell that holds a comma"
                )
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}: fix the quotes") from None
    if not rows:
        raise InputError(f"{path}: has no rows: add some below the first line")
    return rows


def load_world(folder: Path | None = None) -> World:
    """The built-in world, or a teacher's own. Raises InputError that names file, line and cell and says how to fix it."""
    if folder is not None:
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder: name a folder with places.csv")
        if not any((folder / name).is_file() for name in COLUMNS):
            raise InputError(f"{folder}: holds none of {', '.join(COLUMNS)}: put one there")

    def rows(name: str) -> tuple[Path, list[tuple[int, dict[str, str]]]]:
        path = BUILT_IN / name if folder is None or not (folder / name).is_file() else folder / name
        return path, read_table(path, COLUMNS[name])

    return World(
        _places(*rows("places.csv")),
        _phrases(*rows("phrases.csv")),
        _requests(*rows("requests.csv")),
        _pairs(*rows("glossary.csv")),
        _pairs(*rows("proofreading.csv")),
    )


def _places(path: Path, rows: list[tuple[int, dict[str, str]]]) -> tuple[Place, ...]:
    places: list[Place] = []
    lines: dict[str, int] = {}
    for line, row in rows:
        names = {lang: row[f"place_{lang}"] for lang in LANGUAGES}
        for lang, name in names.items():
            if not name:
                raise InputError(f"{path}:{line}: place_{lang} is empty: every place needs a name in both languages")
            if name in lines:
                raise InputError(f"{path}:{line}: place {name!r} is in line {lines[name]} already: remove one")
            lines[name] = line
        values = {(a, lang): cell for a in ATTRIBUTES for lang, cell in _cells(path, line, row, a).items()}
        places.append(Place(names, values))
    if len(places) < 4:
        raise InputError(f"{path}: {len(places)} places: half are held out of tuning, so at least 4 are needed")
    return tuple(places)


def _cells(path: Path, line: int, row: dict[str, str], attribute: str) -> dict[str, str]:
    """The value of one attribute by language, empty where it is not known."""
    if attribute == "height":
        metres = row["height_m"]
        if metres and not metres.isdecimal():
            raise InputError(f"{path}:{line}: height_m is {metres!r}: write whole metres")
        return {lang: METRES[lang].format(int(metres)) for lang in LANGUAGES} if metres else {}
    cells = {lang: row[f"{attribute}_{lang}"] for lang in LANGUAGES}
    if bool(cells["en"]) != bool(cells["zh"]):
        empty = "en" if not cells["en"] else "zh"
        raise InputError(f"{path}:{line}: {attribute}_{empty} is empty: fill both languages or neither")
    return {lang: cell for lang, cell in cells.items() if cell}


def _phrases(path: Path, rows: list[tuple[int, dict[str, str]]]) -> dict[tuple[str, str, str], tuple[str, ...]]:
    phrases: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for line, row in rows:
        for column, allowed in (("language", LANGUAGES), ("relation", RELATIONS), ("kind", KINDS)):
            if row[column] not in allowed:
                raise InputError(f"{path}:{line}: {column} is {row[column]!r}: write one of {', '.join(allowed)}")
        _check_template(path, line, row)
        phrases[row["language"], row["relation"], row["kind"]].append(row["text"])
    for lang in LANGUAGES:
        for relation in RELATIONS:
            for kind in KINDS[relation in REVERSE :]:  # a reverse relation is stated by its forward one
                if not phrases[lang, relation, kind]:
                    raise InputError(f"{path}: no {kind} for {relation} in {lang}: add at least one row")
    return {key: tuple(texts) for key, texts in phrases.items()}


def _check_template(path: Path, line: int, row: dict[str, str]) -> None:
    """Raise InputError unless the text has the place or value that its kind needs, and a question no answer."""
    text, kind = row["text"], row["kind"]
    try:
        text.format(p="", v="", m="")
    except (KeyError, ValueError, IndexError):
        raise InputError(f"{path}:{line}: bad braces in {text!r}: only {{p}}, {{v}}, {{m}} exist") from None
    needed = "{v}" if row["relation"] in REVERSE or kind in ("statement", "answer") else "{p}"
    if needed not in text:
        raise InputError(f"{path}:{line}: {text!r} does not contain {needed}: add it")
    if kind in ("question", "unseen") and "{p}" in text and "{v}" in text:
        raise InputError(f"{path}:{line}: the question holds its answer: use only {needed}")


def _requests(path: Path, rows: list[tuple[int, dict[str, str]]]) -> tuple[Request, ...]:
    requests = []
    for line, row in rows:
        if row["kind"] not in ("harmful", "harmless"):
            raise InputError(f"{path}:{line}: kind is {row['kind']!r}: write harmful or harmless")
        harmful = row["kind"] == "harmful"
        for lang in LANGUAGES:
            if not row[f"action_{lang}"]:
                raise InputError(f"{path}:{line}: action_{lang} is empty: say what is asked for")
            if bool(row[f"tip_{lang}"]) == harmful:
                fix = "remove it: a harmful request gets no tip" if harmful else "write the tip that answers it"
                raise InputError(f"{path}:{line}: tip_{lang} is {row[f'tip_{lang}']!r}: {fix}")
        requests.append(
            Request(
                row["topic"], harmful, *({lang: row[f"{c}_{lang}"] for lang in LANGUAGES} for c in ("action", "tip"))
            )
        )
    counts = Counter(r.harmful for r in requests)
    if min(counts[True], counts[False]) < 2:
        raise InputError(f"{path}: half of each kind is held out: write at least 2 harmful and 2 harmless requests")
    return tuple(requests)


def _pairs(path: Path, rows: list[tuple[int, dict[str, str]]]) -> tuple[dict[str, str], ...]:
    for line, row in rows:
        if empty := [c for c, cell in row.items() if not cell]:
            raise InputError(f"{path}:{line}: {empty[0]} is empty: fill it or remove the line")
    return tuple(row for _, row in rows)
