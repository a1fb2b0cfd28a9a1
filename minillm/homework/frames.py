"""Messages through a pipe: their length, then their bytes. Nothing here trusts the other side."""

import os
import select
import struct
import time
from collections.abc import Callable

MOST_BYTES = 16 << 20  # of one message


def read_exactly(descriptor: int, size: int, deadline: float | None = None) -> tuple[bytes, bool]:
    """This many bytes, fewer if the other side ends or the deadline passes. Returns (bytes, whether in time)."""
    data = bytearray()
    while len(data) < size:
        if deadline is not None and not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return bytes(data), False
        part = os.read(descriptor, min(size - len(data), 1 << 20))
        if not part:
            break
        data += part
    return bytes(data), True


def read_message(descriptor: int, deadline: float | None = None) -> tuple[bytes | None, bool]:
    """(what `send` sent or None, whether in time)."""
    head, in_time = read_exactly(descriptor, 8, deadline)
    size = struct.unpack(">Q", head)[0] if len(head) == 8 else 0
    if not 0 < size <= MOST_BYTES:
        return None, in_time
    data, in_time = read_exactly(descriptor, size, deadline)
    return (data if len(data) == size else None), in_time


def send(write: Callable[[int, bytes], int], descriptor: int, data: bytes) -> None:
    data = struct.pack(">Q", len(data)) + data
    while data:
        data = data[write(descriptor, data) :]
