"""Being told to end. A handler of Python's runs between any two steps of the main thread, so one that takes a lock may
wait for the very code that it interrupted: `threading.Event.set` does, when a second signal comes within the first.

Several do come: a process whose supervisor dies gets its SIGTERM again for each thread of the supervisor that had
become its parent (prctl(2), PR_SET_PDEATHSIG).
"""

import math
import signal
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

LOOK = 1.0
"""Seconds after which a wait looks again: Python handles a signal that comes just before the kernel's wait after it."""


class Told:
    """An event as `threading.Event` is one, whose `set` may stand in a signal handler and interrupt anything."""

    def __init__(self) -> None:
        self._told = False
        self._news: SimpleQueue[None] = SimpleQueue()  # its put is reentrant

    def set(self) -> None:
        """From now on it is told; whoever waits goes on."""
        self._told = True
        self._news.put(None)

    def clear(self) -> None:
        """From now on it is not told."""
        self._told = False

    def is_set(self) -> bool:
        """Whether it is told."""
        return self._told

    def wait(self, timeout: float | None = None) -> bool:
        """Returns when it is told, or after so many seconds; answers whether it is."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._told:
            left = min(LOOK, end - time.monotonic())
            if left <= 0:
                return False
            with suppress(Empty):
                self._news.get(timeout=left)
        self._news.put(None)  # somebody else may wait too
        return True


def told_to_end() -> Told:
    """Told by the first SIGTERM or SIGINT from now on. For the main thread."""
    told = Told()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    return told
