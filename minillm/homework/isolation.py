"""A boundary that the Linux kernel keeps around a process: Landlock for files, seccomp for everything else.

Both are promises that a process makes about itself: they need no rights, hold in containers and for root,
and cannot be taken back. Landlock opens only the files that are listed, and only for reading; seccomp lets
through only the system calls of computing (no new process, no network, no signal to others, no time stamps).
A guard written in Python cannot do this: C code and a second interpreter do not ask it.

Five system calls by ctypes are all it takes. On PyPI, `landlock` is a pre-release without seccomp, `pyseccomp`
needs a C library that is not there by default, and `sandlock` is a compiled program of 13 MB.

Sources: landlock(7), seccomp(2), capabilities(7), linux/{landlock,filter,seccomp}.h.
"""

import ctypes
import glob
import os
import platform
import site
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same numbers on every processor
READ_FILE, READ_DIR = 1 << 2, 1 << 3
SET_PARENT_DEATH_SIGNAL, SET_SECCOMP, SET_SUBREAPER, SET_NO_NEW_PRIVILEGES = 1, 22, 36, 38  # for prctl
NOBODY = 65534


def library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def system(function: Callable[..., int], *arguments: object) -> int:
    """Call a C function that reports a fault as a negative number. Raises OSError."""
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# ------------------------------------------------------------------------------------ what this system has


def landlock_version() -> int:
    """Version of Landlock's interface, 0 where there is none."""
    return max(0, library().syscall(LANDLOCK_CREATE, None, 0, 1)) if sys.platform == "linux" else 0


def has_seccomp() -> bool:
    """Whether filters can be set, for a processor whose system calls are in the table below."""
    if sys.platform != "linux" or machine() not in ARCHITECTURE:
        return False
    try:
        system(library().prctl, SET_SECCOMP, 2, None, 0, 0)  # no filter: refused for its address alone
    except OSError as error:
        return error.strerror == os.strerror(14)
    return False


def layers() -> dict[str, str]:
    """What keeps files and system calls apart here: `files`: landlock, user (root becomes nobody) or "";
    `calls`: seccomp or ""."""
    files = "landlock" if landlock_version() else "user" if can_be_nobody() else ""
    return {"files": files, "calls": "seccomp" if has_seccomp() else ""}


def can_be_nobody() -> bool:
    """Whether this is root of a Linux system whose Python and libraries everybody may read."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    needed = [os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    folders = {folder for path in needed for folder in (path, *map(str, Path(path).parents))}
    return all(os.stat(folder).st_mode & 0o005 == 0o005 for folder in folders) and works(become_nobody)


def works(action: Callable[[], None]) -> bool:
    """Whether a process can do this, tried in one of its own."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


# --------------------------------------------------------------------------------------------------- files


def readable_paths(libraries: Iterable[str], hidden: Iterable[str]) -> list[str]:
    """What a student's file may read: Python, the libraries (folders that packages are in), no `hidden` path.

    Where something hidden is below a folder, the folder's other entries are listed in its place.
    """
    schemes = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    packages = {*schemes[2:], *libraries, *site.getsitepackages()}
    shared = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", os.path.join(sys.base_prefix, "lib"),
              os.path.join(sys.base_prefix, "DLLs"), "/etc/ld.so.cache",
              "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"]  # fmt: skip
    secret = {os.path.realpath(path) for path in hidden}
    for folder in (*packages, "/usr/lib/python3/dist-packages"):
        secret |= {os.path.realpath(p) for p in glob.glob(os.path.join(glob.escape(folder), "*minillm*"))}
    left, found = [os.path.realpath(path) for path in (*schemes, *packages, *shared)], set()
    while left:
        path = left.pop()
        if path in secret or os.path.islink(path) or not os.path.exists(path):
            continue  # what a link leads to is listed by its own name, if at all
        if any(s.startswith(path.rstrip(os.sep) + os.sep) for s in secret):
            left += [os.path.join(path, name) for name in os.listdir(path)]
        else:
            found.add(path)
    return sorted(found)


def allow_reading(paths: Iterable[str]) -> None:
    """Landlock: from now on this process can open these files and folders for reading, and no other at all."""
    version, libc = landlock_version(), library()
    rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1  # all that this version can forbid
    network, signals = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    rules = struct.pack("=QQQ", rights, network, signals)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = system(libc.syscall, LANDLOCK_CREATE, rules, len(rules), 0)
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # it has gone, or may not be read anyway
            continue
        allowed = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
        system(libc.syscall, LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, descriptor), 0)
        os.close(descriptor)
    system(libc.syscall, LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def drop_capabilities(keep: int) -> None:
    """Give up what makes root mighty, but for the capabilities in the bits of `keep`."""
    header = struct.pack("=Ii", 0x20080522, 0)
    now = ctypes.create_string_buffer(24)
    system(library().capget, header, now)
    kept = struct.unpack("=6I", now.raw)[1] & keep
    system(library().capset, header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


# -------------------------------------------------------------------------------------------- system calls

ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# System calls of computing, reading and telling the time, by number: x86-64, then 64-bit ARM (None: it has none).
CALLS = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "close": (3, 57), "stat": (4, None), "fstat": (5, 80),
    "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66),
    "access": (21, None), "select": (23, None), "sched_yield": (24, 124), "mremap": (25, 216), "mincore": (27, 232),
    "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None), "nanosleep": (35, 101), "getitimer": (36, 102),
    "alarm": (37, None), "setitimer": (38, 103), "getpid": (39, 172), "exit": (60, 93), "uname": (63, 160),
    "getdents": (78, None), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50), "readlink": (89, None),
    "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179),
    "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177),
    "getppid": (110, 173), "sigaltstack": (131, 132), "statfs": (137, 43), "fstatfs": (138, 44),
    "arch_prctl": (158, None), "gettid": (186, 178), "time": (201, None), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "restart_syscall": (219, 128), "fadvise64": (221, 223), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "openat": (257, 56), "newfstatat": (262, 79),
    "readlinkat": (267, 78), "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73),
    "set_robust_list": (273, 99), "dup3": (292, 24), "preadv": (295, 69), "getcpu": (309, 168),
    "getrandom": (318, 278), "membarrier": (324, 283), "statx": (332, 291), "rseq": (334, 293),
    "faccessat2": (439, 439), "futex_waitv": (449, 449),
}  # fmt: skip
CLONE, CLONE3, FCNTL, TGKILL, PRLIMIT = (56, 220), (435, 435), (72, 25), (234, 131), (302, 261)
NEW_THREAD = 0x10000  # the flag of clone that makes a thread and no process
ALLOW, NOT_PERMITTED, NOT_KNOWN, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
LOAD, IF_EQUAL, IF_BITS, RETURN = 0x20, 0x15, 0x45, 0x06  # instructions of classic BPF
ARGUMENTS = 16  # where they begin, 8 bytes each


def machine() -> str:
    return platform.machine() if sys.maxsize > 2**32 else ""


def only_if(number: int, conditions: Sequence[tuple[int, Iterable[int]]]) -> list[tuple[int, int, int, int]]:
    """Allow a system call if the 4 bytes at each given place are one of the given values."""
    checks: list[tuple[int, int, int, int]] = []
    for place, values in conditions:
        one_of = list(values)
        checks.append((LOAD, 0, 0, place))
        checks += [(IF_EQUAL, len(one_of) - i, 0, value) for i, value in enumerate(one_of)]
        checks.append((RETURN, 0, 0, NOT_PERMITTED))
    return [(IF_EQUAL, 0, len(checks) + 1, number), *checks, (RETURN, 0, 0, ALLOW)]


def call_filter() -> list[tuple[int, int, int, int]]:
    """The filter as (instruction, steps ahead if true, steps ahead if false, value)."""
    column = list(ARCHITECTURE).index(machine())
    steps = [(LOAD, 0, 0, 4), (IF_EQUAL, 1, 0, ARCHITECTURE[machine()]), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    for numbers in CALLS.values():
        if (number := numbers[column]) is not None:
            steps += [(IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    steps += [(IF_EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, NOT_KNOWN)]  # the C library then takes clone
    steps += [(IF_EQUAL, 0, 4, CLONE[column]), (LOAD, 0, 0, ARGUMENTS), (IF_BITS, 0, 1, NEW_THREAD),
              (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, NOT_PERMITTED)]  # fmt: skip
    steps += only_if(FCNTL[column], [(ARGUMENTS + 8, (0, 1, 2, 3, 1030))])  # duplicate, and read or set flags
    steps += only_if(TGKILL[column], [(ARGUMENTS, (os.getpid(),))])  # signals to itself
    new_limits = ARGUMENTS + 16  # an address: both halves must be 0, so that limits are read and never set
    steps += only_if(PRLIMIT[column], [(ARGUMENTS, (0,)), (new_limits, (0,)), (new_limits + 4, (0,))])
    return [*steps, (RETURN, 0, 0, NOT_PERMITTED)]


def allow_calls() -> None:
    """seccomp: from now on every system call but those of `call_filter` fails with "not permitted"."""
    steps = call_filter()
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    system(library().prctl, SET_SECCOMP, 2, program, 0, 0)


# ---------------------------------------------------------------------------------------------- all at once


def enclose(readable: Iterable[str], offered: dict[str, str]) -> None:
    """Set up the boundary around this process, for good: what `layers` said the system offers.

    Raises OSError if the system refuses: then the student's code must not run.
    """
    if not any(offered.values()):
        return
    if offered["files"] == "user":
        become_nobody()
    system(library().prctl, SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if offered["files"] == "landlock":
        allow_reading(readable)
        drop_capabilities(keep=0b110)  # reading what belongs to others: Landlock says what
    if offered["calls"]:
        allow_calls()


def end_with_parent(signal_number: int) -> None:
    """Linux: send this process the signal when its parent ends."""
    if sys.platform == "linux":
        library().prctl(SET_PARENT_DEATH_SIGNAL, signal_number, 0, 0, 0)


def adopt_orphans() -> None:
    """Linux: a process below this one that loses its parent becomes this one's child, not init's."""
    if sys.platform == "linux":
        library().prctl(SET_SUBREAPER, 1, 0, 0, 0)
