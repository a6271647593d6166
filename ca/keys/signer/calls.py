"""The calls into the PKCS#11 module that are under way, and whether one of them will not come back.

A thread inside a module cannot be taken back. So each call gets its time, and one that overruns it is the end of
the process (`ca.keys.signer.process`): its asker has been told by then that a signature may exist, and nothing
that the module still does can reach anybody.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

SIGNING = 10.0
OPENING = 20.0
GENERATING = 180.0
"""Seconds: one signature (where the signer's own deadline says nothing else), all of opening, making a key."""

_NOTABLE = 0.25
"""The share of its time after which a call is worth telling of."""


@dataclass(frozen=True, eq=False, slots=True)
class _Call:
    """One call: when it began, by a monotonic clock, and the seconds it may take."""

    began: float
    seconds: float


class Calls:
    """What is under way. Thread-safe. `ticks` is a monotonic clock in seconds."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._under_way: set[_Call] = set()
        self._lock = Lock()

    @contextmanager
    def under_way(self, seconds: float) -> Iterator[None]:
        """The body is a call that may take so many seconds."""
        call = _Call(self._ticks(), seconds)
        with self._lock:
            self._under_way.add(call)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(call)

    def longest(self) -> float:
        """For how many seconds the oldest call has been running."""
        return max((self._ticks() - one.began for one in self._all()), default=0.0)

    def overdue(self) -> float:
        """For how many seconds a call has been running that has overrun its time; 0 when there is none."""
        return max((took for one in self._all() if (took := self._ticks() - one.began) > one.seconds), default=0.0)

    def slow(self) -> float:
        """The same for a call that has used a notable share of its time."""
        shares = ((self._ticks() - one.began, one.seconds) for one in self._all())
        return max((took for took, seconds in shares if took > seconds * _NOTABLE), default=0.0)

    def _all(self) -> tuple[_Call, ...]:
        with self._lock:
            return tuple(self._under_way)
