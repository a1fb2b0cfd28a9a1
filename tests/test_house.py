"""The rules of the house: who may import whom, read from the code without running it."""

import ast
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "minillm"
CORE = ("bpe", "tokenizer", "open_tokenizer", "templates", "gpt_config", "gpt", "sampling", "kv_cache", "generate",
        "gpt_families", "lora", "chat")  # fmt: skip
EXTRAS = ("commands", "claims", "homework", "classroom", "base_cache", "demo", "demo_picture")
"""What can be deleted without touching the rest."""

Graph = Mapping[str, set[str]]
"""Module -> what it imports, as full dotted names: modules of the package, and the first part of all others."""


def import_graph(sources: Mapping[str, str]) -> Graph:
    """Imports of modules given as dotted name -> code, wherever they are: also inside functions, and those
    that only a type checker follows. `from package import name` is an import of the module `package.name`
    where there is one, else of the package; the packages around a module do not count as imported by it."""
    graph: dict[str, set[str]] = {}
    for name, code in sources.items():
        found = graph.setdefault(name, set())
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{name}: a relative import: write the whole name"
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
        graph[name] = {known(one, sources) for one in found} - {name}
    return graph


def known(imported: str, sources: Iterable[str]) -> str:
    """The longest beginning of a dotted name that is a module of the package, else its first part."""
    parts = imported.split(".")
    names = [".".join(parts[:i]) for i in range(len(parts), 0, -1)]
    return next((name for name in names if name in sources), parts[0])


def reached(graph: Graph, start: str) -> set[str]:
    """All that a module imports, directly or through others."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen


def circles(graph: Graph) -> set[str]:
    """Modules that import themselves through others."""
    return {name for name in graph if name in reached(graph, name)}


def in_room(name: str, rooms: Iterable[str]) -> bool:
    """Whether a module is one of these, or inside one of these packages."""
    return any(name == f"minillm.{room}" or name.startswith(f"minillm.{room}.") for room in rooms)


def breaches(graph: Graph, importers: Iterable[str], allowed: Iterable[str]) -> list[str]:
    """Imports by `importers` of modules of the package that are not `allowed`: `a -> b` for each."""
    importers, allowed = tuple(importers), tuple(allowed)
    return [
        f"{name} -> {other}"
        for name, imports in sorted(graph.items())
        for other in sorted(imports)
        if in_room(name, importers) and other.split(".")[0] == "minillm" and not in_room(other, allowed)
    ]


def modules() -> dict[str, str]:
    """Dotted name -> code of every module of the package."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return names


@pytest.fixture(scope="module")
def graph() -> Graph:
    return import_graph(modules())


# ---------------------------------------------------------------------------------------------- the house


def rooms_at_the_top() -> list[str]:
    """Modules and packages right inside minillm/."""
    rooms = sorted(p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file())
    return [room for room in rooms if room != "__init__"]


STAGES = [room for room in rooms_at_the_top() if room.startswith("stage")]


def test_no_module_imports_itself_through_others(graph):
    assert circles(graph) == set()


def test_every_name_the_rules_speak_of_is_there():
    assert {*CORE, *EXTRAS, "plumbing", "material", "measure", "world"} <= {*rooms_at_the_top()}
    assert STAGES == ["stage1_pretrain", "stage2_sft", "stage3_preference"]


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_the_core_and_plumbing(graph, module):
    assert breaches(graph, [module], [*CORE, "plumbing"]) == []


def test_plumbing_imports_plumbing(graph):
    assert breaches(graph, ["plumbing"], ["plumbing"]) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_other_stage(graph, stage):
    assert breaches(graph, [stage], {*rooms_at_the_top()} - {*STAGES} | {stage}) == []


def test_the_world_knows_nothing_of_models(graph):
    assert breaches(graph, ["world"], ["world", "plumbing", "chat"]) == []  # of chat the types of a dialogue
    for module in (name for name in graph if in_room(name, ["world"])):
        assert not reached(graph, module) & {"torch", "minillm.gpt", "minillm.generate", "minillm.run_folder"}, module


def test_what_is_extra_can_be_deleted(graph):
    rest = {*rooms_at_the_top()} - {*EXTRAS, "__main__"}
    assert breaches(graph, rest, rest) == []
    assert not any(in_room(imported, EXTRAS) for imported in graph["minillm"])


def test_only_the_command_line_imports_the_commands(graph):
    rest = {*rooms_at_the_top()} - {"commands", "__main__"}
    assert breaches(graph, rest, rest) == []


def test_the_training_loop_can_be_read_aloud():
    nodes = ast.parse((PACKAGE / "training.py").read_text(encoding="utf-8")).body
    (loop,) = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "train"]
    assert loop.end_lineno - loop.lineno + 1 <= 40


def test_lint_checks_style_complexity_layout_and_types():
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (PACKAGE.parent / "Makefile").read_text(), re.MULTILINE)[1]
    assert [line.split("/")[1] for line in recipe.splitlines()] == ["ruff check .", "ruff format --check .", "mypy"]
    tool = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert "C901" in tool["ruff"]["lint"]["select"] and tool["ruff"]["lint"]["mccabe"]["max-complexity"] <= 10
    places = tool["ruff"]["lint"]["per-file-ignores"]
    assert all("lessons/" in place or "graders/" in place for place, codes in places.items() if "C901" in codes)
    assert tool["mypy"]["files"] == ["minillm"] and tool["mypy"]["disallow_untyped_defs"]
    untyped = [o["module"] for o in tool["mypy"]["overrides"] if not o.get("disallow_untyped_defs", True)]
    assert untyped == [["minillm.homework.lessons.*", "minillm.homework.child", "minillm.homework.values"]] and not any(
        "ignore_errors" in o for o in tool["mypy"]["overrides"]
    )


# --------------------------------------------------------------------------------------- the measure itself


def test_imports_are_found_wherever_they_are():
    sources = {
        "minillm": "from minillm.a import f",
        "minillm.a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from minillm.room.b import B\nimport os.path",
        "minillm.room": "",
        "minillm.room.b": "def f():\n    from minillm import a, name\n    import minillm.room.c as c",
        "minillm.room.c": "class C:\n    from minillm.room import b, other",
    }
    assert import_graph(sources) == {
        "minillm": {"minillm.a"},
        "minillm.a": {"typing", "minillm.room.b", "os"},
        "minillm.room": set(),
        "minillm.room.b": {"minillm.a", "minillm", "minillm.room.c"},
        "minillm.room.c": {"minillm.room.b", "minillm.room"},
    }


def test_a_circle_is_found_through_any_number_of_modules():
    def chain(last: str) -> Graph:
        return {"a": {"b"}, "b": {"c"}, "c": {last}, "d": {"a"}, "e": set()}

    assert circles(chain("e")) == set()
    assert circles(chain("a")) == {"a", "b", "c"}


def test_a_breach_is_named():
    graph = {
        "minillm.gpt": {"torch", "minillm.training", "minillm.plumbing.files"},
        "minillm.gpt_config": {"minillm.x"},
    }
    assert breaches(graph, ["gpt"], ["gpt", "plumbing"]) == ["minillm.gpt -> minillm.training"]
    assert breaches(graph, ["gpt_config"], ["gpt"]) == ["minillm.gpt_config -> minillm.x"]


def test_a_relative_import_is_refused():
    with pytest.raises(AssertionError, match="relative"):
        import_graph({"minillm.a": "from .b import c"})
