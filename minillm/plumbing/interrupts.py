"""Ctrl-C and the system's requests to end (SIGTERM, SIGHUP), kept away from what must not be cut in two."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """The process was asked to end by a signal; `number` says which."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """While entered, SIGINT, SIGTERM and SIGHUP raise `Interrupted`, but only outside of `held()`.

    A signal that the program ignores stays ignored. Outside of the main thread signals are left alone.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        """The signal that arrived and was not raised yet."""
        self.holding = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                handler = signal.getsignal(number)
                if handler not in (signal.SIG_IGN, None):
                    self._before[number] = handler
                    signal.signal(number, self._arrived)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _arrived(self, number: int, _frame: object) -> None:
        self.pending = number
        if not self.holding:
            self.check()

    def check(self) -> None:
        """Raise `Interrupted` if a signal has arrived."""
        if self.pending is not None:
            number, self.pending = self.pending, None
            raise Interrupted(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What belongs together is done together: a signal that arrives in the block is raised after it."""
        self.holding += 1
        try:
            yield
        finally:
            self.holding -= 1
        if not self.holding:
            self.check()
