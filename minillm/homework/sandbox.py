"""The grader's side of the child process: send a student's file and inputs, get back what it returned.

What comes back was written by the student's process. It is taken apart with care here, and nowhere else:
an `Outcome` holds a status of ours, values that exercises can return, and text that can be printed.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minillm.homework.frames import read_message, send
from minillm.homework.plain import plain
from minillm.homework.sources import SourceError, read_cells, read_student_file
from minillm.plumbing.languages import Text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHILD_FILES = ("child.py", "cells.py", "frames.py", "isolation.py", "values.py")  # all that the child process knows
START = """import runpy, sys
sys.path[:0] = sys.argv.pop(1).split("|")
runpy.run_module("minillm.homework.child", run_name="__main__", alter_sys=True)"""
STATUSES = ("done", "todo", "error", "memory")
NO_BOUNDARY: dict[str, Text] = {
    "files": {"en": "this system cannot keep a student's file from other files: grade what you trust, or on Linux",
              "zh": "这个系统无法阻止学生的文件读写其他文件：请只批改你信任的作业，或者改在 Linux 上批改"},
    "calls": {"en": "this system cannot keep a student's file from other programs: grade what you trust, or on Linux",
              "zh": "这个系统无法阻止学生的文件启动别的程序：请只批改你信任的作业，或者改在 Linux 上批改"},
}  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What one exercise may use."""

    seconds: int = 4
    """Processor time."""
    bytes: int = 2 << 30
    """Memory beyond what Python with numpy and torch has."""


@dataclass(frozen=True)
class Outcome:
    """What came of one call."""

    status: str
    """done, todo, error, memory, time or crash."""
    value: Any = None
    error: str = ""
    line: int | None = None
    """Line of the student's file in which the error arose."""
    changed: tuple[int, ...] = ()
    """Positions of the arguments that the function overwrote."""
    loaded: bool = True
    """False if the file itself could not be loaded: no function was called."""


class Sandbox:
    """Runs students' files, each in a fresh folder and a process of its own: `with Sandbox() as sandbox: …`"""

    def __init__(self, limits: Limits = Limits()):
        self.limits = limits

    def __enter__(self) -> "Sandbox":
        self.home = Path(tempfile.mkdtemp())
        package = self.home / "minillm" / "homework"
        package.mkdir(parents=True)
        for folder in (package, package.parent):
            (folder / "__init__.py").touch()
        for name in CHILD_FILES:
            shutil.copyfile(HERE / name, package / name)
        self.offered: dict | None = None
        self.server: Any = None  # the process, whose pipes are there, or None
        self._start()  # it imports torch while the grader does the same
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _start(self) -> None:
        found = [find_spec(name) for name in ("numpy", "torch")]
        libraries = sorted({str(Path(spec.origin).parents[1]) for spec in found if spec and spec.origin})
        hidden = [ROOT if (ROOT / "pyproject.toml").exists() else ROOT / "minillm", self.home]
        settings = json.dumps({"libraries": libraries, "hidden": [str(path) for path in hidden]})
        kept = ("PATH", "HOME", "SYSTEMROOT", "TEMP", "TMP", "LANG", "LD_LIBRARY_PATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.server = subprocess.Popen(
            [sys.executable, "-I", "-c", START, "|".join([str(self.home), *libraries]), settings], cwd=self.home,
            env=environment | {"OMP_NUM_THREADS": "1"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
        self.offered = None

    def _stop(self) -> None:
        """End the server: without requests it ends all that is below it; else it is killed."""
        if self.server is None:
            return
        if self.offered is None:  # nothing has run yet: no need to wait until it is ready
            self.server.kill()
        with contextlib.suppress(OSError):
            self.server.stdin.close()
        try:
            self.server.wait(2)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.server.stdout.close()
        self.server = None

    def boundary(self) -> dict[str, str]:
        """What keeps students' files apart here, as `isolation.layers` says it."""
        if self.offered is None:
            hello = self._read(60)
            self.offered = json.loads(hello) if hello else {"files": "", "calls": "", "readable": []}
        return {name: self.offered[name] for name in ("files", "calls")}

    def warning(self, language: str) -> str:
        """What this system cannot guard against, in one line; empty where the boundary is whole."""
        missing = [name for name, layer in self.boundary().items() if not layer]
        return NO_BOUNDARY[missing[0]][language] if missing else ""

    def _read(self, seconds: float) -> bytes:
        """One message of the server; empty if it ends or takes too long, which ends it."""
        clock = threading.Timer(seconds, self.server.kill)
        clock.start()
        try:
            return read_message(self.server.stdout.fileno())[0] or b""
        except OSError:
            return b""
        finally:
            clock.cancel()

    def _ask(self, request: dict) -> bytes:
        if self.server is None or self.server.poll() is not None:
            self._stop()
            self._start()
        self.boundary()
        assert self.offered is not None
        try:
            message = json.dumps(request | {"readable": self.offered["readable"]}).encode()
            send(os.write, self.server.stdin.fileno(), message)
            return self._read(4 * self.limits.seconds + 30)
        except OSError:
            return b""
        finally:
            if not hasattr(os, "fork") or self.server.poll() is not None:
                self._stop()

    def call(self, file: Path, name: str, arguments: Sequence[tuple]) -> tuple[list[Outcome], str]:
        """Call the function `name` of a student's file with each tuple of arguments, in one child process.

        A notebook (.ipynb) counts as the module of what the function needs of its cells. Returns an outcome
        for each call, and what the student's code printed. Raises nothing that the file causes: a fault is
        an outcome.
        """
        from minillm.homework.values import encode

        folder = Path(tempfile.mkdtemp(dir=self.home))
        try:
            source = student_source(file)
            calls = [(name, [encode(a) for a in one]) for one in arguments]
            reply = self._ask({"folder": str(folder), "calls": calls, "seconds": self.limits.seconds,
                               "bytes": self.limits.bytes} | source)  # fmt: skip
        except SourceError as error:
            return [Outcome("error", None, str(error), loaded=False)] * len(arguments), ""
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return read_reply(reply, len(arguments))


def student_source(file: Path) -> dict:
    """What the child needs to load a student's file. Raises SourceError."""
    from minillm.homework.values import encode

    data = read_student_file(file)
    return {"cells": read_cells(data)} if file.suffix.lower() == ".ipynb" else {"source": encode(data)}


# -------------------------------------------------------------------------- the child's message, not trusted


def read_reply(reply: bytes, count: int) -> tuple[list[Outcome], str]:
    """(an outcome for each of `count` calls, what was printed), whatever the message holds."""
    from minillm.homework.values import check_answer

    if reply[:1] != b"A":
        return [Outcome("time" if reply == b"Dtime" else "crash")] * count, ""
    try:
        message = json.loads(reply[1:])
        check_answer(message)
        printed = plain(text(message["printed"], 2000), keep="\n\t")
        if message["loaded"] is not None:
            return [failed(message["loaded"], loaded=False)] * count, printed
        results = message["results"]
        if not isinstance(results, list) or len(results) != count:
            raise ValueError("not one answer a call")
        return [outcome(result) for result in results], printed
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError, MemoryError):
        return [Outcome("crash")] * count, ""


def text(value: object, most: int) -> str:
    if not isinstance(value, str):
        raise TypeError("no text where text belongs")
    return value[:most]


def failed(result: dict, loaded: bool = True) -> Outcome:
    """A call that ended with an error."""
    status, line = text(result["status"], 20), result["line"]
    if status not in STATUSES or status == "done":
        raise ValueError("no such status")
    if line is not None and (type(line) is not int or not 0 <= line < 10**7):
        raise TypeError("no number of a line")
    return Outcome(status, None, plain(text(result["error"], 500)), line, loaded=loaded)


def outcome(result: dict) -> Outcome:
    """What the child says of one call."""
    from minillm.homework.values import decode

    if result["status"] != "done":
        return failed(result)
    positions = result["changed"]
    if not isinstance(positions, list) or len(positions) > 50 or any(type(i) is not int or i < 0 for i in positions):
        raise TypeError("no positions of arguments")
    return Outcome("done", decode(result["value"]), changed=tuple(positions))
