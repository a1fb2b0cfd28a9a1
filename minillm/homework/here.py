"""A student's function called in this process: for learning in a notebook, where a wait of seconds is too long.

There is no boundary around it: the function is one that this process has run anyway, or its author's own file. Marks are
given by `sandbox` alone.
"""

import builtins
import contextlib
import inspect
import io
import linecache
import signal
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from minillm.homework.child import PRINTED, changed, decode, encode, fault, read_source
from minillm.homework.plain import plain
from minillm.homework.sandbox import Outcome
from minillm.homework.sources import SourceError, read_student_file

SECONDS = 4.0  # for all calls of one check, as long as the sandbox allows


class OutOfTimeError(BaseException):
    """The calls took too long; not an Exception, so that `except Exception` in a loop does not catch it."""


class Here:
    """What `grade` calls a function with: `call` as in `Sandbox`, of a function or of a file."""

    def call(self, file: Callable | Path, name: str, arguments: Sequence[tuple]) -> tuple[list[Outcome], str]:
        """Call the function with each tuple of arguments, copied. Returns an outcome for each, and what was printed."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                function, path = loaded(file, name)
            except (Exception, SystemExit) as error:
                outcomes = [failed(error, str(file), is_loaded=isinstance(error, AttributeError))] * len(arguments)
            else:
                outcomes = call_each(function, path, arguments)
        return outcomes, plain(printed.getvalue()[:PRINTED], keep="\n\t")


def loaded(file: Callable | Path, name: str) -> tuple[Callable, str]:
    """(the function, the name of the source that its errors point into)."""
    if not isinstance(file, Path):
        return file, inspect.unwrap(file).__code__.co_filename
    path, source = str(file), read_source(read_student_file(file))
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    module = types.ModuleType("homework")
    module.__file__ = path
    exec(builtins.compile(source, path, "exec"), module.__dict__)
    function = module.__dict__.get(name)
    if not callable(function):
        raise AttributeError(f"the file has no function {name}")
    return function, path


def call_each(function: Callable, path: str, arguments: Sequence[tuple]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    try:
        with time_limit(SECONDS):
            for one in arguments:
                outcomes.append(call_once(function, path, one))
    except OutOfTimeError:
        outcomes += [Outcome("time")] * (len(arguments) - len(outcomes))
    return outcomes


def call_once(function: Callable, path: str, arguments: tuple) -> Outcome:
    sent = [encode(a) for a in arguments]
    given = [decode(a) for a in sent]
    try:
        value: Any = decode(encode(function(*given)))
    except (Exception, SystemExit) as error:
        return failed(error, path)
    return Outcome("done", value, changed=tuple(changed(given, sent)))


def failed(error: BaseException, path: str, is_loaded: bool = True) -> Outcome:
    if isinstance(error, SourceError):
        return Outcome("error", None, str(error), loaded=False)
    said = fault(error, path)
    return Outcome(said["status"], None, plain(said["error"]), said["line"], loaded=is_loaded)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError inside the block after so long, where the system has an alarm; elsewhere Ctrl-C must do."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
