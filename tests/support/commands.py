"""The real command in a child process, and the kinds of training as commands on tiny data."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from minillm.__main__ import main
from minillm.material.records import write_records

SHAPE = "--n-ctx 32 --n-layer 1 --n-head 2 --n-embd 16 --vocab-size 256 --batch-size 2"
TRAIN = "--steps 60 --checkpoint-every 5 --warmup 5 --device cpu"
STAGES = {
    "pretrain": f"pretrain --text {{home}}/text.txt {SHAPE} {TRAIN}",
    "sft": f"sft --base {{home}}/base --pairs {{home}}/pairs.jsonl --batch-size 3 {TRAIN}",
    "lora": f"sft --base {{home}}/base --pairs {{home}}/pairs.jsonl --batch-size 3 --lora 2 --lora-dropout 0.3 {TRAIN}",
    "prefer": f"prefer --base {{home}}/base --preferences {{home}}/preferences.jsonl --batch-size 3 {TRAIN}",
}


@dataclass
class Result:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def start(words: list[str], stdin: BinaryIO, out: BinaryIO, err: BinaryIO, file_limit: int | None = None) -> int:
    """Run a command in a forked child, so that importing PyTorch is paid once; return its process id."""
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
        torch.set_num_threads(1)
        try:
            code = main(words)
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


def run(
    command: str | list[str],
    stdin: bytes = b"",
    file_limit: int | None = None,
    ctrl_c_when: Callable[[], bool] | None = None,
) -> Result:
    """Run a command to its end.

    `file_limit`: no file may grow beyond this many bytes, as on a full disk. `ctrl_c_when`: press Ctrl-C as
    soon as this is true.
    """
    words = command.split() if isinstance(command, str) else [str(word) for word in command]
    if not hasattr(os, "fork"):  # Windows
        done = subprocess.run([sys.executable, "-m", "minillm", *words], input=stdin, capture_output=True, check=False)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        source.write(stdin)
        source.seek(0)
        child = start(words, source, out, err, file_limit)
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
            texts.append(file.read().decode())
    return Result(os.waitstatus_to_exitcode(status), *texts)


def prepare(home: Path) -> None:
    """The files and the base run that the commands of STAGES take."""
    (home / "text.txt").write_text("The capital of France is Paris. 台湾最高的山是玉山。\n" * 30, encoding="utf-8")
    pairs = [("1+1?", "two", "2"), ("山?", "玉山", "no"), ("a", "b c", "d")] * 5
    write_records(home / "pairs.jsonl", [{"prompt": q, "completion": a} for q, a, _ in pairs])
    write_records(home / "preferences.jsonl", [{"prompt": q, "chosen": a, "rejected": b} for q, a, b in pairs])
    result = run(f"pretrain --text {home}/text.txt --out {home}/base {SHAPE} --steps 3 --device cpu")
    assert result.code == 0, result.err
