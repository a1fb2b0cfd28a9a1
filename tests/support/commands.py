"""The real command in a child process, and the kinds of training as commands on tiny data."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from unittest import mock

import torch

from minillm.__main__ import main
from minillm.material.records import write_records
from minillm.plumbing.files import write_text
from minillm.plumbing.terminal import Progress

SHAPE = "--n-ctx 32 --n-layer 1 --n-head 2 --n-embd 16 --vocab-size 256 --batch-size 2"
TRAIN = "--steps 60 --checkpoint-every 5 --warmup 5 --device cpu"
RL = "rl --base {home}/base --prompts {home}/pairs.jsonl --reward length --batch-size 3 --max-new-tokens 4"
SHORT = "--steps 6 --checkpoint-every 2 --warmup 2 --device cpu"
STAGES = {
    "pretrain": f"pretrain --text {{home}}/text.txt {SHAPE} {TRAIN}",
    "sft": f"sft --base {{home}}/base --pairs {{home}}/pairs.jsonl --batch-size 3 {TRAIN}",
    "lora": f"sft --base {{home}}/base --pairs {{home}}/pairs.jsonl --batch-size 3 --lora 2 --lora-dropout 0.3 {TRAIN}",
    "prefer": f"prefer --base {{home}}/base --preferences {{home}}/preferences.jsonl --batch-size 3 {TRAIN}",
    "reward": f"reward --base {{home}}/base --preferences {{home}}/preferences.jsonl --batch-size 3 {TRAIN}",
    "grpo": f"{RL} --group 3 --epochs 2 --minibatches 2 {TRAIN}",
    "grpo-lora": f"{RL} --group 3 --epochs 2 --lora 2 {TRAIN}",
    "rft": f"{RL} --method rft --group 3 --rehearse {{home}}/text.txt --rehearse-rows 1 {TRAIN}",
    "ppo": f"{RL} --method ppo --group 1 --epochs 2 --minibatches 2 --kl k1 {TRAIN}",
}


Work = str | list[str] | Callable[[], object]
"""A command of the command line, or a function that does what a notebook would."""


def short(stage: str, home: Path) -> str:
    """A stage's command, of a few steps only."""
    return STAGES[stage].replace(TRAIN, SHORT).format(home=home)


@dataclass
class Result:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def start(
    work: Work,
    stdin: BinaryIO,
    out: BinaryIO,
    err: BinaryIO,
    file_limit: int | None = None,
    before: Callable[[], None] | None = None,
) -> int:
    """Run a command in a forked child, so that importing PyTorch is paid once; return its process id.

    `before` is called in the child before the command is.
    """
    if child := os.fork():
        return child
    try:
        for number, file in enumerate((stdin, out, err)):
            os.dup2(file.fileno(), number)
        sys.stdin, sys.stdout, sys.stderr = (open(n, mode) for n, mode in ((0, "r"), (1, "w"), (2, "w")))
        if file_limit is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        torch.set_num_threads(1)
        Progress.set_lock(threading.RLock())  # the parent's may be held by its thread for bars, or by a killed child
        if before is not None:
            before()
        try:
            code = call(work)
        except SystemExit as end:
            code = end.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(99)


def call(work: Work) -> int:
    """Do it; the exit code."""
    if callable(work):
        work()
        return 0
    return main(words_of(work))


def words_of(command: str | list[str]) -> list[str]:
    """A command as the shell would cut it."""
    return command.split() if isinstance(command, str) else [str(word) for word in command]


def run(
    command: Work,
    stdin: bytes = b"",
    file_limit: int | None = None,
    ctrl_c_when: Callable[[], bool] | None = None,
    before: Callable[[], None] | None = None,
) -> Result:
    """Run a command to its end.

    `file_limit`: no file may grow beyond this many bytes, as on a full disk. `ctrl_c_when`: press Ctrl-C as
    soon as this is true. `before`: called in the child before the command is.
    """
    if not hasattr(os, "fork"):  # Windows
        done = subprocess.run(
            [sys.executable, "-m", "minillm", *words_of(command)], input=stdin, capture_output=True, check=False
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        source.write(stdin)
        source.seek(0)
        child = start(command, source, out, err, file_limit, before)
        ended = 0
        while ctrl_c_when is not None and not ended:
            if ctrl_c_when():
                os.kill(child, signal.SIGINT)
                break
            time.sleep(0.002)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            status = os.waitpid(child, 0)[1]
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Result(os.waitstatus_to_exitcode(status), *texts)


@contextmanager
def no_pictures() -> Iterator[None]:
    """A text in the place of each picture, here and in the children: drawing takes longer than all the rest."""
    with ExitStack() as stack:
        for place in ("minillm.run_folder.plots.training_curves", "minillm.demo.draw_overview"):
            stack.enter_context(mock.patch(place, lambda *arguments: write_text(arguments[-1], "a picture")))
        yield


def prepare(home: Path) -> None:
    """The files and the base run that the commands of STAGES take."""
    (home / "text.txt").write_text("The capital of France is Paris. 台湾最高的山是玉山。\n" * 30, encoding="utf-8")
    pairs = [("1+1?", "two", "2"), ("山?", "玉山", "no"), ("a", "b c", "d")] * 5
    write_records(home / "pairs.jsonl", [{"prompt": q, "completion": a} for q, a, _ in pairs])
    write_records(home / "preferences.jsonl", [{"prompt": q, "chosen": a, "rejected": b} for q, a, b in pairs])
    # in this process: what is imported here need not be imported in every forked child
    torch.set_num_threads(1)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        code = main(f"pretrain --text {home}/text.txt --out {home}/base {SHAPE} --steps 3 --device cpu".split())
    assert code == 0
