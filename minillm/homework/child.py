"""Runs a student's file in a process of its own. This file alone is copied there: it knows the standard
library, numpy and torch, nothing of minillm and no right answer.

One server process imports numpy and torch once; for each submission it forks a child, which loads the
file, calls its functions on the inputs it is given, and sends back what they return. The parent decides
what is right: a child that lies can only return wrong numbers.

Values travel as JSON, arrays as base64 with type and shape. No pickle: loading one runs code.
"""

import array as arrays
import base64
import builtins
import codecs
import collections.abc
import contextlib
import decimal
import io
import json
import numbers
import os
import select
import signal
import struct
import sys
import tempfile
import time
import tokenize
import traceback
import types

import numpy as np
import torch

MOST_BYTES = 64 << 20  # of one answer
PRINTED = 2000  # characters kept of what the student's code prints


# ------------------------------------------------------------------------- callables an exercise may be given


class Linear:
    """A layer to pass to an exercise: x -> x W + b, for numpy arrays and tensors alike."""

    def __init__(self, weight, bias=0.0):
        self.weight, self.bias = weight, bias

    def __call__(self, x):
        return x @ self.weight + self.bias


class ToyModel:
    """A language model to pass to an exercise: ids (B, T) -> logits (B, T, V).

    The logits at a position depend on all tokens up to it, on their order, and on no later one:
    a running state is halved, and the token's row of `table` (V, V) is added to it.
    """

    def __init__(self, table):
        self.table = table

    def __call__(self, ids):
        rows = self.table[ids]  # (B, T) -> (B, T, V)
        state, states = 0.0, []
        for t in range(rows.shape[1]):
            state = 0.5 * state + rows[:, t]
            states.append(state)
        stack = torch.stack if isinstance(rows, torch.Tensor) else np.stack
        return stack(states, 1)


# What a list may be written as instead.
LISTED = (range, collections.deque, arrays.array, collections.abc.MappingView, collections.abc.Iterator)
CALLABLES = {"Linear": (Linear, ("weight", "bias")), "ToyModel": (ToyModel, ("table",))}


# --------------------------------------------------------------------------------------- values as JSON


def encode(value):
    """A value as what JSON can write. Raises TypeError for what an exercise does not return."""
    for name, (kind, attributes) in CALLABLES.items():
        if type(value) is kind:
            return {"call": name, "with": [encode(getattr(value, a)) for a in attributes]}
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, torch.Tensor):
        tensor = torch.Tensor.resolve_conj(torch.Tensor.cpu(torch.Tensor.detach(value)))
        numpy = torch.Tensor.numpy(torch.Tensor.float(tensor) if tensor.dtype == torch.bfloat16 else tensor)
        if torch.Tensor.numel(value) > 1 and np.ndim(numpy) != value.dim():
            raise TypeError("a tensor that does not say what it holds")
        return {"tensor": encode_array(numpy)}
    if isinstance(value, np.ndarray):
        return {"array": encode_array(np.asarray(value))}
    if isinstance(value, np.longdouble):
        return encode(float(value))
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return {"int": str(int(value))}
    if isinstance(value, float):
        return {"float": float.hex(float(value))}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, numbers.Rational | decimal.Decimal):
        return encode(float(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {"dict": [[encode(k), encode(v)] for k, v in dict.items(value)]}
    if isinstance(value, tuple):
        return {"tuple": [encode(v) for v in tuple.__iter__(value)]}
    if isinstance(value, list):
        return {"list": [encode(v) for v in list.__iter__(value)]}
    if isinstance(value, set | frozenset):
        return {"set": [encode(v) for v in value]}
    if isinstance(value, LISTED):
        return encode(list(value))
    raise TypeError(f"{type(value).__name__} is nothing that can be compared: return arrays, numbers, text or lists")


def encode_array(array):
    if array.dtype.kind not in "biuf":
        raise TypeError(f"an array of {array.dtype}: return numbers or truth values")
    if array.nbytes > MOST_BYTES // 4:
        raise ValueError(f"{array.size} numbers are no answer to this exercise")
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


def decode(value):
    """What `encode` wrote. Raises ValueError, TypeError or KeyError for anything else."""
    if value is None or isinstance(value, bool | str):
        return value
    (kind, inner), *more = value.items()
    if kind == "call":
        return CALLABLES[inner][0](*(decode(v) for v in value["with"]))
    if more:
        raise ValueError("more than one kind")
    if kind in ("tensor", "array"):
        array = np.frombuffer(base64.b64decode(inner["data"]), np.dtype(inner["dtype"])).reshape(inner["shape"]).copy()
        return torch.from_numpy(array) if kind == "tensor" else array
    simple = {"int": int, "float": float.fromhex, "bytes": base64.b64decode}
    if kind in simple:
        return simple[kind](inner)
    if kind == "dict":
        return {hashable(decode(k)): decode(v) for k, v in inner}
    return {"tuple": tuple, "list": list, "set": lambda items: {hashable(v) for v in items}}[kind](map(decode, inner))


def hashable(value):
    """Lists as tuples, so that a value can be a key."""
    return tuple(map(hashable, value)) if isinstance(value, list | tuple) else value


# ---------------------------------------------------------------------------- the child: one submission


def guard(folder):
    """Forbid what no exercise needs: other files, other programs, the network, minillm.

    An audit hook can not be removed again. It stops mistakes and plain cheating, not a determined
    attack on the interpreter itself.
    """
    allowed = tuple({os.path.realpath(p) for p in (folder, sys.prefix, sys.base_prefix, os.path.dirname(np.__file__))})
    allowed += (os.path.dirname(os.path.dirname(os.path.realpath(torch.__file__))),)
    forbidden = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "socket.", "ctypes.",
                 "os.kill", "shutil.", "pty.", "os.remove", "os.rename", "os.rmdir", "os.mkdir",
                 "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "sys.setprofile", "sys.settrace",
                 "webbrowser.", "urllib.", "fcntl.", "syslog.")  # fmt: skip
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
            raise ImportError("homework is written on numpy and torch alone: minillm can not be imported")
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


def read_source(path):
    """The text of a Python file: as its first lines or its byte-order mark declare, else UTF-8, else GBK.

    Python itself reads the declared encodings and UTF-8. Raises UnicodeDecodeError if none of them fits.
    """
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode(tokenize.detect_encoding(io.BytesIO(data).readline)[0])
    except (SyntaxError, UnicodeDecodeError):
        return data.decode("gb18030")


def changed(arguments, sent):
    """Which arguments are not what they were when they were sent."""
    return [i for i, (value, before) in enumerate(zip(arguments, sent)) if not is_encoded(value, before)]


def is_encoded(value, before):
    try:
        return encode(value) == before
    except Exception:
        return False


def answer(request):
    """Load the file and call its functions; {name: [result of each call]} and what was printed."""
    path = os.path.join(request["folder"], "homework.py")
    calls = [(name, [decode(a) for a in arguments]) for name, arguments in request["calls"]]
    limit(request["seconds"], request["bytes"])
    os.chdir(request["folder"])
    tempfile.tempdir = request["folder"]  # torch.optim asks for one, though it writes nothing there
    sys.path[:] = [p for p in sys.path if p and "minillm" not in p.split(os.sep)]
    module = types.ModuleType("homework")
    module.__file__ = path
    sys.modules["homework"] = module
    results, printed = [], io.StringIO()
    write = os.write  # the student's code may replace what it likes, later
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        guard(request["folder"])
        try:
            exec(builtins.compile(read_source(path), path, "exec"), module.__dict__)
        except BaseException as error:
            return write, {"loaded": fault(error, path), "results": [], "printed": printed.getvalue()[:PRINTED]}
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
    return write, {"loaded": None, "results": results, "printed": printed.getvalue()[:PRINTED]}


# --------------------------------------------------------------------- the server: one child a submission


def send(write, descriptor, message):
    data = json.dumps(message).encode()
    data = struct.pack(">Q", len(data)) + data
    while data:
        data = data[write(descriptor, data) :]


def run_child(request, descriptor):
    """In the forked child: answer and leave, whatever the student's code has done to the interpreter."""
    leave = os._exit
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3, descriptor)  # above all the server's own way to the parent
    os.closerange(descriptor + 1, 4096)
    try:
        dumps, pack = json.dumps, struct.pack
        write, message = answer(request)
        json.dumps, struct.pack = dumps, pack
        send(write, descriptor, message)
    finally:
        leave(0)


def serve_one(request):
    """Fork a child for a request and wait for its answer, no longer than allowed."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        os.setpgid(0, 0)
        run_child(request, write_end)
    os.close(write_end)
    deadline, data = time.monotonic() + 4 * request["seconds"], b""  # the processor's clock is the strict one
    timed_out = False
    while True:
        ready, _, _ = select.select([read_end], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            timed_out = True
            break
        part = os.read(read_end, 1 << 20)
        data += part
        if not part or len(data) > MOST_BYTES + 8:
            break
        if len(data) >= 8 and len(data) >= 8 + struct.unpack(">Q", data[:8])[0]:
            break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.close(read_end)
    status = os.waitpid(child, 0)[1]
    if timed_out or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return {"died": "time"}
    if len(data) < 8 or len(data) < 8 + struct.unpack(">Q", data[:8])[0]:
        return {"died": "crash"}
    return json.loads(data[8 : 8 + struct.unpack(">Q", data[:8])[0]])


def main():
    """Requests in, answers out, a JSON line each; where there is no fork, the parent sends only one."""
    torch.set_num_threads(1)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        request = json.loads(line)
        if hasattr(os, "fork"):
            try:
                reply = serve_one(request)
            except (OSError, ValueError) as error:
                reply = {"died": "crash", "why": str(error)}
        else:
            reply = answer(request)[1]
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
