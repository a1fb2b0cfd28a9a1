"""A folder that one process at a time writes into.

The lock is the operating system's: it ends with the process that holds it, however that ends, so a killed
run leaves nothing to clean up. The file that carries it says which process holds it.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from minillm.plumbing.files import InputError

NAME = ".lock"

try:
    import fcntl

    def take(file: BinaryIO) -> None:
        """Lock an open file. Raises OSError if another process has."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

except ImportError:  # Windows
    import msvcrt

    def take(file: BinaryIO) -> None:
        """Lock an open file, far behind what is written in it. Raises OSError if another process has."""
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)


@contextmanager
def locked(folder: Path, name: str = NAME, wait: bool = False) -> Iterator[None]:
    """Hold a folder, or what `name` says in it; the folder must be there. With `wait`, as soon as another
    process has let it go.

    Raises InputError if another process holds it, or if nothing can be written into it.
    """
    file = open_lock(folder, name, wait)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file
            (folder / name).unlink()  # before it is let go, so that nobody's new lock is removed
        file.close()


def open_lock(folder: Path, name: str, wait: bool) -> BinaryIO:
    """The locked file of a folder."""
    path = folder / name
    while True:
        try:
            file = path.open("a+b")
        except OSError as error:
            raise InputError(f"{folder}: cannot be written to ({error.strerror}): choose another --out") from None
        try:
            take(file)
        except OSError:
            file.seek(0)
            holder = file.read(40).decode(errors="replace").strip() or "unknown"
            file.close()
            if not wait:
                raise InputError(
                    f"{folder}: is being written by another process ({holder}): wait for it, or choose another --out"
                ) from None
            time.sleep(0.2)
            continue
        if path.is_file() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            file.truncate(0)
            file.seek(0)
            file.write(f"{os.getpid()}\n".encode())
            file.flush()
            return file
        file.close()  # the process that held it has just removed it: lock the new one
