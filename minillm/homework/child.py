"""Runs a student's file in a process of its own. Only this file and those it imports are copied there: it
knows the standard library, numpy and torch, and no right answer.

One server process imports numpy and torch once and never sees a student's file. For each request it forks
a handler, which reads the request, forks the child that runs the student's file behind the boundary of
`isolation`, and passes on what the child sends. The grader decides what is right: a child that lies can
only return wrong numbers. When a request is done, the server ends every process that is left below it.
"""

import builtins
import codecs
import contextlib
import io
import json
import linecache
import os
import select
import signal
import struct
import sys
import time
import tokenize
import traceback
import types

import torch

from minillm.homework import isolation
from minillm.homework.cells import module_of
from minillm.homework.frames import read_message, send
from minillm.homework.values import Linear, ToyModel, decode, encode  # noqa: F401

PRINTED = 2000  # characters kept of what the student's code prints
ANSWER, DIED = b"A", b"D"  # of a message: what the student's process sent, or how it ended

# ---------------------------------------------------------------------------- the child: one submission


def guard(readable):
    """Forbid what no exercise needs: other files, other programs, the network, minillm.

    An audit hook says in words what was tried, and is all there is where the system has no boundary. It
    stops mistakes and plain cheating, not a determined attack on the interpreter.
    """
    allowed = tuple(p for path in readable for p in (path + os.sep, path))
    forbidden = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "socket.", "ctypes.",
                 "os.kill", "os.putenv", "shutil.", "pty.", "os.remove", "os.rename", "os.rmdir", "os.mkdir",
                 "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "os.utime", "sys.setprofile",
                 "sys.settrace", "webbrowser.", "urllib.", "fcntl.", "syslog.", "resource.", "signal.")  # fmt: skip
    begun = False

    def hook(event, arguments):
        if not begun:
            return
        if event in ("open", "os.listdir", "os.scandir") and arguments and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
            if writes or not path.startswith(allowed) or f"{os.sep}minillm{os.sep}" in path:
                raise PermissionError(f"homework may not open {path}")
        elif event == "import" and arguments[0].partition(".")[0] == "minillm":
            raise ImportError("homework is written on numpy and torch alone: minillm cannot be imported")
        elif event.startswith(forbidden):
            raise PermissionError(f"homework may not use {event}")

    sys.addaudithook(hook)
    begun = True


def limit(seconds, extra_bytes):
    """Bound processor time, memory (on top of what the interpreter has) and files written."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is the only limit
        return
    with open("/proc/self/statm") if os.path.exists("/proc/self/statm") else io.StringIO("0") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    if now:
        resource.setrlimit(resource.RLIMIT_AS, (now + extra_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def fault(error, path):
    """What an exception says, with the last line of the student's file it came through."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines = [error.lineno]
    kind = "todo" if isinstance(error, NotImplementedError) else "error"
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        kind = "memory"
    text = str(error).splitlines()[0][:300] if str(error) else ""
    return {
        "status": kind,
        "error": f"{type(error).__name__}: {text}".rstrip(": "),
        "line": lines[-1] if lines else None,
    }


def read_source(data):
    """The text of a Python file: as its first lines or its byte-order mark declare, else UTF-8, else GBK.

    Python itself reads the declared encodings and UTF-8. Raises UnicodeDecodeError if none of them fits.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode(tokenize.detect_encoding(io.BytesIO(data).readline)[0])
    except (SyntaxError, LookupError, UnicodeDecodeError):
        return data.decode("gb18030")


def compiled(request, path, printed):
    """The student's file, or what is needed of the cells of a notebook, ready to run."""
    if "cells" not in request:
        source = read_source(decode(request["source"]))
        linecache.cache[path] = (
            len(source),
            None,
            source.splitlines(keepends=True),
            path,
        )  # for inspect: no file is there
        return builtins.compile(source, path, "exec")
    wanted = request["calls"][0][0] if request["calls"] else ""
    module, faults = module_of(request["cells"], wanted)
    if faults and not any(getattr(statement, "name", "") == wanted for statement in module.body):
        raise SyntaxError(faults[0])  # the function is most likely in the cell that cannot be read
    for fault_of_cell in faults:
        print(fault_of_cell, file=printed)
    return builtins.compile(module, path, "exec")


def changed(arguments, sent):
    """Which arguments are not what they were when they were sent."""
    return [i for i, (value, before) in enumerate(zip(arguments, sent)) if not is_encoded(value, before)]


def is_encoded(value, before):
    try:
        return encode(value) == before
    except Exception:
        return False


def load_before_the_boundary(request):
    """What torch.optim and torch.utils.checkpoint load at their first call: behind the boundary they could not.

    Only where the file speaks of them: it takes a second.
    """
    text = "".join(request["cells"]) if "cells" in request else decode(request["source"]).decode("latin-1")
    if "optim" in text or "checkpoint" in text:
        import torch._dynamo  # noqa: F401


def answer(request, offered):
    """Load the file and call its functions: {loaded: a fault or None, results: one a call, printed}."""
    path = os.path.join(request["folder"], "homework.py")
    calls = [(name, [decode(a) for a in arguments]) for name, arguments in request["calls"]]
    load_before_the_boundary(request)
    limit(request["seconds"], request["bytes"])
    os.chdir(request["folder"])
    module = types.ModuleType("homework")
    module.__file__ = path
    sys.modules["homework"] = module
    results, printed = [], io.StringIO()
    readable = [os.path.realpath(request["folder"]), *request["readable"]]
    isolation.enclose(readable, offered)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        guard(readable)
        try:
            exec(compiled(request, path, printed), module.__dict__)
        except BaseException as error:
            return {"loaded": fault(error, path), "results": [], "printed": printed.getvalue()[:PRINTED]}
        for (name, arguments), (_, sent) in zip(calls, request["calls"]):
            begin = time.perf_counter()
            try:
                function = module.__dict__.get(name)
                if not callable(function):
                    raise AttributeError(f"the file has no function {name}")
                result = {"status": "done", "value": encode(function(*arguments)), "changed": changed(arguments, sent)}
            except BaseException as error:
                result = fault(error, path)
            results.append(result | {"seconds": time.perf_counter() - begin})
    return {"loaded": None, "results": results, "printed": printed.getvalue()[:PRINTED]}


def run_child(request, offered, descriptor):
    """Answer into the pipe and leave, whatever the student's code does. No descriptor leads anywhere else."""
    leave, write = os._exit, os.write  # the student's code may replace what it likes, later
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        os.closerange(3, descriptor)  # above all the server's own way to the grader
        os.closerange(descriptor + 1, 65536)
        dumps, pack = json.dumps, struct.pack
        message = answer(request, offered)
        json.dumps, struct.pack = dumps, pack
        send(write, descriptor, ANSWER + dumps(message).encode())
    finally:
        leave(0)


# --------------------------------------------------------------------------------- the server and its handlers


def run_request(request, offered):
    """Fork a child for a request and wait for its message, no longer than allowed."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        isolation.end_with_parent(signal.SIGKILL)
        os.close(read_end)
        os.setpgid(0, 0)
        run_child(request, offered, write_end)
    os.close(write_end)
    data, in_time = read_message(read_end, time.monotonic() + 4 * request["seconds"])  # the processor's is stricter
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if not in_time or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return DIED + b"time"
    return data if data is not None and data.startswith(ANSWER) else DIED + b"crash"


def handle(out, offered):
    """Read a request, answer it. Returns False at the end of all requests."""
    data, _ = read_message(0)
    if data is None:
        return False
    request = json.loads(data)
    try:
        if hasattr(os, "fork"):
            message = run_request(request, offered)
        else:
            message = ANSWER + json.dumps(answer(request, offered)).encode()
    except (OSError, ValueError, RecursionError):
        message = DIED + b"crash"
    send(os.write, out, message)
    return True


def end_all_below():
    """Kill and reap every process below this one; orphans come to it."""
    while True:
        with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
            for child in file.read().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def serve(out, offered):
    """One handler a request, one after the other, until there are no more."""
    isolation.adopt_orphans()
    while True:
        select.select([0], [], [])  # the request itself is read by the handler: nothing of it stays here
        handler = os.fork()
        if handler == 0:
            isolation.end_with_parent(signal.SIGKILL)
            os._exit(0 if handle(out, offered) else 3)
        status = os.waitpid(handler, 0)[1]
        end_all_below()
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 3:
            return


def main():
    """Say what keeps a student's file apart here, then requests in, messages out; where there is no fork, one."""
    torch.set_num_threads(1)
    torch.ones(8).half().float()  # torch asks the system what the processor can do: behind the boundary it could not
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's affair
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    offered = isolation.layers()
    settings = json.loads(sys.argv[1])
    readable = isolation.readable_paths(settings["libraries"], settings["hidden"])
    send(os.write, out, json.dumps(offered | {"readable": readable}).encode())
    if hasattr(os, "fork"):
        serve(out, offered)
    else:
        handle(out, offered)


if __name__ == "__main__":
    main()
