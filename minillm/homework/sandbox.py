"""The parent's side of the child process: send a student's file and inputs, get back what it returned."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minillm.homework import child


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
        shutil.copy(child.__file__, self.home / "run.py")
        self.server: subprocess.Popen | None = None
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _stop(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server.stdin.close()
            self.server.stdout.close()
            self.server = None

    def _ask(self, request: dict) -> dict:
        if self.server is None:
            kept = ("PATH", "HOME", "SYSTEMROOT", "TEMP", "TMP", "LANG", "LD_LIBRARY_PATH")
            environment = {name: os.environ[name] for name in kept if name in os.environ}
            self.server = subprocess.Popen(
                [sys.executable, "-I", str(self.home / "run.py")], cwd=self.home, text=True, encoding="utf-8",
                env=environment | {"OMP_NUM_THREADS": "1"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            self.server.stdin.write(json.dumps(request) + "\n")
            self.server.stdin.flush()
            line = self.server.stdout.readline()
            return json.loads(line) if line else {"died": "crash"}
        except (OSError, ValueError):
            return {"died": "crash"}
        finally:
            if not hasattr(os, "fork") or self.server.poll() is not None:
                self._stop()

    def call(self, file: Path, name: str, arguments: Sequence[tuple]) -> tuple[list[Outcome], str]:
        """Call the function `name` of a student's file with each tuple of arguments, in one child process.

        Returns an outcome for each call, and what the student's code printed. Raises nothing that the
        file causes: a fault is an outcome.
        """
        folder = Path(tempfile.mkdtemp(dir=self.home))
        try:
            shutil.copy(file, folder / "homework.py")
            calls = [(name, [child.encode(a) for a in one]) for one in arguments]
            reply = self._ask({"folder": str(folder), "calls": calls, "seconds": self.limits.seconds,
                               "bytes": self.limits.bytes})  # fmt: skip
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            if "died" in reply:
                return [Outcome(reply["died"])] * len(arguments), ""
            if reply["loaded"] is not None:
                fault = reply["loaded"]
                failed = Outcome(fault["status"], None, fault["error"], fault["line"], loaded=False)
                return [failed] * len(arguments), reply["printed"]
            outcomes = [outcome(result) for result in reply["results"]]
            if len(outcomes) != len(arguments):
                raise ValueError("too few answers")
            return outcomes, reply["printed"]
        except (AttributeError, KeyError, TypeError, ValueError):  # the child wrote nonsense into its pipe
            return [Outcome("crash")] * len(arguments), ""


def outcome(result: dict) -> Outcome:
    """What the child says of one call."""
    if result["status"] != "done":
        return Outcome(result["status"], None, str(result["error"]), result["line"])
    return Outcome("done", child.decode(result["value"]), changed=tuple(int(i) for i in result["changed"]))
