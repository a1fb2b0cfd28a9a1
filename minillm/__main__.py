"""The command line: `python -m minillm COMMAND --help`. It only parses and calls."""

import errno
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from minillm.commands import COMMANDS
from minillm.plumbing import course
from minillm.plumbing.files import InputError

if TYPE_CHECKING:
    from tyro.constructors import ConstructorRegistry

PROGRAM = "python -m minillm"
FOR_LESSONS = ("IPython", "jupytext", "nbformat", "nbstripout")  # what lessons/requirements.txt brings
NO_MEMORY = "out of memory|can't allocate memory|Storage size calculation overflowed"  # what PyTorch says


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 training broke off, the machine is full or homework is
    missing, 2 bad input, 130 Ctrl-C (143 SIGTERM, 129 SIGHUP). A fault of the program itself is raised."""
    try:
        return run(sys.argv[1:] if arguments is None else list(arguments))
    except ImportError as error:
        known = missing_package(error.name)
        if known is None:
            raise
        print(known, file=sys.stderr)
        return 2


def run(words: Sequence[str]) -> int:
    """The same; what is not installed is still an ImportError."""
    from minillm.plumbing.terminal import standard_streams  # only now: it brings a package of others

    prints = any(name in COMMANDS and COMMANDS[name].prints for name in words[:1])
    with standard_streams(lasting=not prints):
        command = None
        try:
            if words[:1] in (["-h"], ["--help"]):
                print(overview())
                return 0
            command = parse(words)
            code = command.run()
            sys.stdout.flush()  # here a full disk can still be reported
            return code or 0
        except (InputError, RuntimeError, MemoryError, OSError, KeyboardInterrupt) as error:
            known = explain(error, command)
            if known is None:
                raise
            print(known[1], end="", file=sys.stderr)
            return known[0]


def overview() -> str:
    """All commands, a line each."""
    lines = "\n".join(f"  {name:<12}{command.help}" for name, command in COMMANDS.items())
    return f"""usage: {PROGRAM} COMMAND [--help] …

minillm: read, build and measure a large language model from scratch.

{lines}

The options of a command: {PROGRAM} COMMAND --help"""


def parse(words: Sequence[str]) -> Any:
    """The command that is asked for, with its options. Raises InputError if there is none of this name; for wrong
    options tyro says what is wrong and raises SystemExit."""
    if not words or words[0] not in COMMANDS:
        print(overview(), file=sys.stderr)
        what = f"{words[0]!r} is no command" if words else "no command is given"
        raise InputError(f"{what}: choose one of {', '.join(COMMANDS)}")
    import tyro  # only now: the overview needs no parser

    command, program = COMMANDS[words[0]].load(), f"{PROGRAM} {words[0]}"
    check_given_once(command, words[1:])
    with value_rules():
        return tyro.cli(command, args=words[1:], prog=program, config=(tyro.conf.FlagCreatePairsOff,))


def check_given_once(command: type, words: Sequence[str]) -> None:
    """Raise InputError for an option of several values that is given twice: the parser would drop the first ones."""
    kinds = get_type_hints(command, include_extras=True)
    given = Counter(word.partition("=")[0].replace("_", "-") for word in words)
    for name, kind in kinds.items():
        option, parts = "--" + name.replace("_", "-"), get_args(kind) if get_origin(kind) is UnionType else (kind,)
        if any(get_origin(part) is tuple for part in parts) and given[option] > 1:
            raise InputError(f"{option} is given {given[option]} times, and only the last would count: name all after "
                             f"one {option}")  # fmt: skip


def value_rules() -> "ConstructorRegistry":
    """How tyro reads paths and texts."""
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    rules = ConstructorRegistry()
    readers: dict[object, Callable[[str], object]] = {Path: as_path, str: as_text}

    @rules.primitive_rule
    def rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        if (kind := info.type) not in readers:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="PATH" if kind is Path else "STR",
            instance_from_str=lambda given: readers[kind](given[0]),
            is_instance=lambda value: isinstance(value, kind),
            str_from_instance=lambda value: [str(value)],
        )

    return rules


def as_path(given: str) -> Path:
    """A path option: `~` is the home folder, also in --out=~/x, which a shell leaves as it is."""
    return Path(os.path.expanduser(given))


def as_text(given: str) -> str:
    """A text option: UTF-8 in every locale."""
    return os.fsencode(given).decode("utf-8")


def explain(error: BaseException, command: object) -> tuple[int, str] | None:
    """Exit code and line for what is not the program's own fault, else None."""
    if isinstance(error, InputError):
        return 2, f"error: {error}\n"
    if isinstance(error, KeyboardInterrupt):
        return 128 + getattr(error, "number", signal.SIGINT), f"\ninterrupted{how_to_go_on(command)}\n"
    if isinstance(error, BrokenPipeError):  # nobody reads on
        return 0, ""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        fix = "free some space (the last checkpoint, if any, stays)" if full else "check the path and its permissions"
        place = f"{os.fspath(error.filename)}: " if error.filename else ""
        return 1 if full else 2, f"error: {place}{error.strerror or error}: {fix}\n"
    if isinstance(error, MemoryError) or re.search(NO_MEMORY, str(error)):
        return 1, "error: out of memory: take a smaller model or batch, or --accumulate 2 or more\n"
    from minillm.session import TrainingError  # loaded already where it was raised

    return (1, f"error: {error}\n") if isinstance(error, TrainingError) else None


def missing_package(name: str | None) -> str | None:
    """The line for a package of others that is not installed; None if the fault is in an import of ours."""
    package = (name or "minillm").split(".")[0]
    if package == "minillm" or find_spec(package) is not None:
        return None
    file = course.shipped() / ("lessons/requirements.txt" if package in FOR_LESSONS else "requirements.txt")
    return f"error: the package {package} is not installed here: {sys.executable} -m pip install -r {file}"


def how_to_go_on(command: Any) -> str:
    """What a training that was interrupted says of its newest checkpoint, or of the runs it is made of."""
    if not hasattr(command, "resume"):
        return ""
    from minillm import checkpoint

    return command.how_to_go_on() if hasattr(command, "how_to_go_on") else checkpoint.how_to_go_on(command.out)


if __name__ == "__main__":
    sys.exit(main())
