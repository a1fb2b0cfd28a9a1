"""Child processes: some that only keep the cores busy, and some in which a thing is measured alone."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUSY = """
import os
if hasattr(os, "nice"):
    os.nice(10)
print("busy", flush=True)
while True:
    pass
"""


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Meanwhile this many processes of low priority (nice 10, where the system has it) never rest."""
    started: list[Any] = [subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in started:
            process.stdout.readline()  # until it is at work
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()
            process.stdout.close()


def in_child(function: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Any:
    """What `function` (module:name) returns in a new Python; arguments and result pass as JSON.

    Raises RuntimeError, with what the child wrote, if it failed.
    """
    command = [sys.executable, "-m", __name__, function]
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    settings = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | dict(environment or {})
    done = subprocess.run(command, input=json.dumps(arguments), capture_output=True, text=True, env=settings,
                          encoding="utf-8", check=False)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{function} failed in a child process:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_bytes() -> int | None:
    """The most memory this process has held since it began, in bytes; None where the system does not tell.

    Linux counts what a parent held into `getrusage` of its children, but not into the process's own status.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    peaks = [int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")]  # in KiB
    if peaks:
        return peaks[0]
    from minillm.measure.evaluate import peak_memory  # brings PyTorch, for which most children need not wait

    return peak_memory()


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    print(json.dumps(getattr(importlib.import_module(module), name)(*json.load(sys.stdin))))
