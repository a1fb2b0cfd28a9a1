"""The boundary around students' code, and the message that comes out of it."""

import json
import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.homework import isolation
from minillm.homework import sandbox as module
from minillm.homework.sandbox import Limits, Outcome, Sandbox, read_reply
from minillm.homework.values import encode

ROOT = Path(__file__).parents[1]
LINUX = pytest.mark.skipif(not all(isolation.layers().values()), reason="this system has no boundary")
LIFT = """
import gc, types
for f in gc.get_objects():  # the guard in Python has to go first: what is left is the kernel's
    if type(f) is types.FunctionType and f.__qualname__ == "guard.<locals>.hook":
        f.__closure__[f.__code__.co_freevars.index("begun")].cell_contents = False
"""
ATTEMPTS = {
    "read": "os.open(SECRET, os.O_RDONLY)",
    "read in C": "torch.from_file(SECRET, size=4, dtype=torch.uint8)",
    "read by numpy": "np.memmap(SECRET, mode='r')",
    "read by a link in /proc": "open('/proc/self/root' + SECRET)",
    "read by a folder's descriptor": "os.open('secret.txt', os.O_RDONLY, dir_fd=os.open(FOLDER, os.O_PATH))",
    "read by the C library": "checked(libc.open(SECRET.encode(), 0))",
    "list": "os.listdir(FOLDER)",
    "list the processes": "os.listdir('/proc')",
    "memory of the parent": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "own memory": "open('/proc/self/mem', 'rb')",
    "shared memory": "multiprocessing.shared_memory.SharedMemory(create=True, size=10)",
    "write": "os.open(FOLDER + '/new', os.O_CREAT | os.O_WRONLY)",
    "write here": "os.open('new', os.O_CREAT | os.O_WRONLY)",
    "truncate": "os.truncate(SECRET, 0)",
    "make a node": "os.mknod(FOLDER + '/node', 0o644)",
    "make a folder": "os.mkdir(FOLDER + '/d')",
    "link": "os.symlink('/', FOLDER + '/link')",
    "hard link": "os.link(SECRET, FOLDER + '/link')",
    "rename": "os.rename(SECRET, FOLDER + '/gone')",
    "remove": "os.unlink(SECRET)",
    "change rights": "os.chmod(SECRET, 0o777)",
    "change the owner": "os.chown(SECRET, 1, 1)",
    "change the time": "os.utime(SECRET, (0, 0))",
    "extended attributes": "os.setxattr(SECRET, 'user.a', b'b')",
    "fork": "os.fork()",
    "vfork and exec": "os.posix_spawn('/bin/true', ['true'], {})",
    "exec": "os.execv('/bin/true', ['true'])",
    "fork_exec": "subprocess.run(['/bin/true'], check=True)",
    "a clone that is no thread": "checked(libc.syscall(56 if X86 else 220, 17, 0, 0, 0, 0))",
    "clone3": "checked(libc.syscall(435, 0, 0))",
    "session": "os.setsid()",
    "process group": "os.setpgid(0, 0)",
    "kill the parent": "os.kill(os.getppid(), 0)",
    "kill by pidfd": "os.pidfd_open(os.getppid())",
    "signal as owner of a pipe": "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "limits of the parent": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "limits of its own": "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
    "processors of the parent": "os.sched_setaffinity(os.getppid(), {0})",
    "priority of the parent": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "trace the parent": "checked(libc.ptrace(16, os.getppid(), 0, 0))",
    "read the parent's memory": "checked(libc.process_vm_readv(os.getppid(), 0, 0, 0, 0, 0))",
    "compare descriptors": "checked(libc.syscall(312 if X86 else 272, os.getpid(), os.getppid(), 0, 0, 0))",
    "a socket": "socket.socket()",
    "a local socket": "socket.socketpair()",
    "a file in memory": "os.memfd_create('x')",
    "io_uring": "checked(libc.syscall(425, 1, 0))",
    "handles of files": "checked(libc.syscall(303 if X86 else 264, -100, SECRET.encode(), 0, 0, 0))",
    "namespaces": "checked(libc.unshare(0x10000000))",
    "another user": "os.setuid(1)",
    "mount": "checked(libc.mount(b'none', FOLDER.encode(), b'tmpfs', 0, 0))",
    "another root": "os.chroot(FOLDER)",
    "inotify": "checked(libc.inotify_init())",
    "bpf": "checked(libc.syscall(321 if X86 else 280, 0, 0, 0))",
    "keys": "checked(libc.syscall(250 if X86 else 219, 0, -3, 1))",
    "set a clock": "time.clock_settime(time.CLOCK_REALTIME, time.time())",
    "name of the machine": "socket.sethostname('x')",
    "another filter": "checked(libc.prctl(22, 1, 0, 0, 0))",
}
SOURCE = (
    LIFT
    + """
import ctypes, fcntl, multiprocessing.shared_memory, os, platform, resource, socket, subprocess, time
import numpy as np
import torch
libc, X86 = ctypes.CDLL(None, use_errno=True), platform.machine() == "x86_64"
FOLDER = {folder!r}
SECRET = FOLDER + "/secret.txt"
def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result
def attempt(code):
    try:
        return repr(eval(code))
    except (OSError, RuntimeError, ValueError) as error:
        refused = getattr(error, "errno", 0) in (1, 13, 38) or "ermission denied" in str(error) or "not allowed to raise" in str(error)
        return "" if refused else repr(error)
"""
)


def submission(folder: Path, source: str) -> Path:
    path = folder / "homework.py"
    path.write_text(source, encoding="utf-8")
    return path


def attempts(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    """What each attempt came to; empty if it was refused."""
    (folder / "secret.txt").write_text("secret")
    file = submission(folder, SOURCE.replace("{folder!r}", repr(str(folder))))
    found = {}
    for name, code in ATTEMPTS.items():
        (outcome,), _ = sandbox.call(file, "attempt", [(code,)])
        found[name] = outcome.value if outcome.status == "done" else outcome.status + outcome.error
    return found


@LINUX
def test_the_kernel_refuses_what_no_exercise_needs(tmp_path):
    with Sandbox() as sandbox:
        assert sandbox.boundary()["calls"] == "seccomp" and not sandbox.warning("en")
        found = attempts(sandbox, tmp_path)
    assert {name: came for name, came in found.items() if came} == {}
    assert (tmp_path / "secret.txt").read_text() == "secret"
    assert {p.name for p in tmp_path.iterdir()} == {"secret.txt", "homework.py"}


class Without(Sandbox):
    """A sandbox on a system that lacks something."""

    def __init__(self, *missing: str):
        super().__init__(Limits(seconds=2))
        self.missing = missing

    def _start(self):
        with (self.home / "minillm/homework/isolation.py").open("a") as file:
            for name in self.missing:
                file.write(f"\n\ndef {name}():\n    return 0\n")
        super()._start()


@LINUX
def test_where_the_kernel_has_less_the_guard_remains_and_the_teacher_is_told(tmp_path):
    solution = ROOT / "tests/graders/03_attention/solution.py"
    with Without("landlock_version", "has_seccomp", "can_be_nobody") as sandbox:
        assert sandbox.boundary() == {"files": "", "calls": ""}
        assert "grade what you trust" in sandbox.warning("en") and "Linux" in sandbox.warning("zh")
        file = submission(tmp_path, f"def f():\n    return open({str(solution)!r}).read()\n")
        (outcome,), _ = sandbox.call(file, "f", [()])
        assert (outcome.status, outcome.value) == ("error", None) and "may not open" in outcome.error
        assert sandbox.call(solution, "causal_mask", [(2, 2)])[0][0].status == "done"


@LINUX
def test_without_seccomp_no_process_outlives_its_call(tmp_path):
    mark = tmp_path / "mark"
    source = (
        LIFT
        + f"""
import os, time
def f():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1.5)
                os.utime({str(mark)!r}, (0, 0))
                os._exit(0)
            time.sleep(30)
    return "left"
"""
    )
    mark.touch()
    before = mark.stat().st_mtime
    with Without("has_seccomp") as sandbox:
        assert sandbox.boundary() == {"files": "landlock", "calls": ""} and sandbox.warning("en")
        assert sandbox.call(submission(tmp_path, source), "f", [()])[0][0].value == "left"
    time.sleep(2.5)
    assert mark.stat().st_mtime == before


@LINUX
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become nobody")
def test_without_landlock_root_becomes_nobody(tmp_path, monkeypatch):
    with Without("landlock_version") as sandbox:
        if sandbox.boundary()["files"] != "user":
            pytest.skip("not everybody may read this Python")
        file = submission(tmp_path, "import os\ndef f():\n    return [os.getuid(), os.getgid(), len(os.getgroups())]\n")
        assert sandbox.call(file, "f", [()])[0][0].value == [65534, 65534, 0]


SEARCH = (
    LIFT
    + """
import ctypes, gc
def f(first, second):
    libc, seen, found = ctypes.CDLL(None), ctypes.create_string_buffer(1), set()
    first, second = first.encode(), second.encode()
    regions = {id(thing) >> 18 for thing in gc.get_objects()}
    for page in (region << 18 | offset for region in regions for offset in range(0, 1 << 18, 4096)):
        if libc.mincore(ctypes.c_void_p(page), ctypes.c_size_t(4096), seen) == 0:  # there is such a page
            held = ctypes.string_at(page, 4096)
            at = held.find(first)
            while at >= 0:
                found.add("alone")
                if held[at + len(first) : at + len(first + second)] == second:
                    found.add("together")
                at = held.find(first, at + 1)
    return sorted(found)
"""
)


@LINUX
def test_no_answer_of_one_student_is_in_the_memory_of_the_next(tmp_path):
    tell, search = tmp_path / "tell.py", tmp_path / "search.py"
    tell.write_text("def f(first, second):\n    return first + second\n")
    search.write_text(SEARCH)
    with Sandbox() as sandbox:
        assert sandbox.call(tell, "f", [("shibb", "oleth")])[0][0].value == "shibboleth"
        assert sandbox.call(search, "f", [("shibb", "oleth")])[0][0].value == ["alone"]  # its own argument
        search.write_text(SEARCH + "WORD = 'shibb' 'oleth'")
        assert sandbox.call(search, "f", [("shibb", "oleth")])[0][0].value == ["alone", "together"]  # it would be found


def test_a_child_that_stops_or_floods_is_ended(tmp_path):
    source = (
        LIFT
        + """
import os, signal
def stop():
    os.kill(os.getpid(), signal.SIGSTOP)
def flood():
    for d in range(3, 100):
        try:
            while True: os.write(d, bytes(1 << 20))
        except OSError: pass
def fine():
    return 1
"""
    )
    with Sandbox(Limits(seconds=1)) as sandbox:
        for name in ("stop", "flood", "fine"):
            begin = time.monotonic()
            (outcome,), _ = sandbox.call(submission(tmp_path, source), name, [()])
            assert time.monotonic() - begin < 40
            assert (outcome.status == "done") == (name == "fine"), outcome


def test_a_server_that_was_killed_costs_one_submission(tmp_path):
    file = submission(tmp_path, "def f():\n    return 1\n")
    with Sandbox() as sandbox:
        assert sandbox.call(file, "f", [()])[0] == [Outcome("done", 1)]
        sandbox.server.kill()
        sandbox.server.wait()
        assert sandbox.call(file, "f", [()])[0] == [Outcome("done", 1)]


# ----------------------------------------------------------------------------------- the message, not trusted


def reply(**changes) -> bytes:
    results = [{"status": "done", "value": encode(5), "changed": [], "seconds": 0.1}]
    return b"A" + json.dumps({"loaded": None, "results": results, "printed": ""} | changes).encode()


def test_an_honest_message():
    outcomes, printed = read_reply(reply(printed="a\n\x1b[2J\ud800"), 1)
    assert outcomes == [Outcome("done", 5)] and printed == "a\n\\x1b[2J\\ud800"


CRASH = [Outcome("crash")]
FORGED = {
    "no message": b"", "another kind": b"X{}", "no JSON": b"A{", "a list": b"A[]", "deep": b"A" + b"[" * 10**6,
    "deep and whole": b"A" + b"[" * 10**5 + b"]" * 10**5, "digits": reply(printed=5).replace(b"5", b"9" * 10**5),
    "printed a number": reply(printed=5), "loaded a number": reply(loaded=5), "loaded a status": reply(loaded={"status": []}),
    "no results": reply(results=None), "too many": reply(results=[{}] * 2), "status a list": reply(results=[{"status": []}]),
    "status unknown": reply(results=[{"status": "right", "error": "", "line": None}]),
    "died a list": b'A{"died": []}',
    "line true": reply(results=[{"status": "error", "error": "", "line": True}]),
    "line huge": reply(results=[{"status": "error", "error": "", "line": 10**30}]),
    "error a list": reply(results=[{"status": "error", "error": [], "line": 1}]),
    "changed negative": reply(results=[{"status": "done", "value": None, "changed": [-1]}]),
    "changed text": reply(results=[{"status": "done", "value": None, "changed": "0"}]),
}  # fmt: skip
VALUES = [
    {"float": "0x1p+99999"}, {"float": 5}, {"int": "9" * 5000}, {"int": 5}, {"bytes": "é"}, {"bytes": 7}, {"list": "abc"},
    {"list": 5}, {"dict": [1]}, {"dict": [[1, 2, 3]]}, {"dict": [[{"dict": []}, 1]]}, {"set": [{"dict": []}]}, {"x": []}, {}, 5, [],
    {"list": [], "tuple": []}, {"call": "Linear", "with": []}, {"call": []}, {"list": [{"call": "ToyModel", "with": [None]}]},
    {"array": 5}, {"array": {"dtype": "O", "shape": [1], "data": "AAAAAAAAAAA="}},
    {"array": {"dtype": "<f4", "shape": [2], "data": "AAAAAA=="}}, {"array": {"dtype": "<f4", "shape": [-1], "data": ""}},
    {"array": {"dtype": "<f4", "shape": [0, 10**18], "data": ""}}, {"array": {"dtype": "<f4", "shape": [True], "data": "AAAAAA=="}},
    {"array": {"dtype": "<f4", "shape": "1", "data": "AAAAAA=="}}, {"array": {"dtype": "<f4", "shape": [1] * 40, "data": "AAAAAA=="}},
    {"array": {"dtype": "f4,f4", "shape": [1], "data": "AAAAAAAAAAA="}}, {"tensor": {"dtype": ">f4", "shape": [1], "data": "AAAAAA=="}},
    {"set": [{"int": str(i)} for i in range(10**5)]}, {"list": [None] * 10**6},
]  # fmt: skip
FORGED |= {f"value {str(v)[:40]}": reply(results=[{"status": "done", "value": v, "changed": []}]) for v in VALUES}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_message_is_a_crash_and_nothing_worse(name):
    outcomes, printed = read_reply(FORGED[name], 1)
    assert outcomes == CRASH and printed == ""


def test_an_error_is_short_and_plain():
    error = "E\n  ✓ attention 6/6\x1b[2J\ufffe" * 100
    (outcome,), _ = read_reply(reply(results=[{"status": "error", "error": error, "line": 3}]), 1)
    assert outcome.error.startswith(r"E\n  ✓ attention 6/6\x1b[2J\ufffe") and len(outcome.error) < 1200
    assert outcome.error.isprintable() and outcome.line == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["int", "float", "list", "dict", "set", "array", "tensor", "tuple", "bytes", "dtype",
                                       "shape", "data", "status", "value", "changed", "error", "line", "loaded", "printed",
                                       "results"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(JSON, st.booleans())
def test_no_message_raises(value, as_value):
    message = (
        reply(results=[{"status": "done", "value": value, "changed": []}])
        if as_value
        else b"A" + json.dumps(value).encode()
    )
    outcomes, printed = read_reply(message, 1)
    assert len(outcomes) == 1 and outcomes[0].status in ("done", "crash", "error", "todo", "memory")
    assert isinstance(printed, str) and math.isfinite(len(printed)) and module.plain(printed, keep="\n\t") == printed


def test_the_filter_knows_both_processors(monkeypatch):
    lengths = {}
    for name in isolation.ARCHITECTURE:
        monkeypatch.setattr(isolation, "machine", lambda name=name: name)
        steps = isolation.call_filter()
        lengths[name] = len(steps)
        for at, (code, if_true, if_false, _) in enumerate(steps):
            jumps = code in (isolation.IF_EQUAL, isolation.IF_BITS)
            assert not jumps or (max(at + 1 + if_true, at + 1 + if_false) < len(steps) and max(if_true, if_false) < 256)
        assert steps[-1] == (isolation.RETURN, 0, 0, isolation.NOT_PERMITTED)
    assert np.ptp(list(lengths.values())) > 0 and max(lengths.values()) < 4096


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_the_project_is_in_no_folder_that_may_be_read(tmp_path):
    project = tmp_path / "lib/site-packages/minillm"
    for path in (project, tmp_path / "lib/site-packages/torch", tmp_path / "lib/site-packages/minillm-0.1.dist-info"):
        path.mkdir(parents=True)
    (tmp_path / "checkout/minillm").mkdir(parents=True)
    (tmp_path / "lib/site-packages/linked").symlink_to(tmp_path / "checkout")
    readable = isolation.readable_paths([str(tmp_path / "lib/site-packages")], [str(project)])
    assert not any(Path(path).name == "linked" for path in readable)
    assert str(tmp_path / "lib/site-packages/torch") in readable
    assert not any("minillm" in Path(path).name for path in readable)
    assert not any(str(project).startswith(path + os.sep) for path in readable)
    assert str(ROOT / "minillm") not in readable and sys.prefix not in readable
