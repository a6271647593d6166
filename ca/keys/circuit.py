"""Who may wait for the signer, and when asking it is worth while: one that hangs holds few threads, for a short time.

    with circuit.passage():         # HSMBusy: enough wait already; HSMUnavailable: it did not answer lately
        answer = ask()
        circuit.answered()          # or circuit.silent(), when the time was over

Nobody who is turned away here has asked: nothing was signed for him.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from ca.errors import HSMBusy, HSMUnavailable

PLACES = 8
"""How many of a process may wait at a time, where its owner has no better number."""

SILENCES = 2
"""So many questions in a row without an answer in time open the circuit."""

REST = 1.0
"""Seconds between two probes of an open circuit."""

MOMENT = 0.5
"""Seconds that a newcomer waits for a place: a signer that is well answers within milliseconds."""

SLOW = 1.0
"""Seconds after which whoever waits shows that the signer is not well: newcomers wait no moment then."""


class Circuit:
    """At most `places` callers wait for an answer at a time. Thread-safe.

    After `SILENCES` questions without an answer it opens: everybody is turned away at once, and every `REST`
    seconds one caller calls `probe` first, which answers whether the signer is well again and never raises.
    `ticks` is a monotonic clock in seconds.
    """

    def __init__(
        self, probe: Callable[[], bool], places: int = PLACES, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._probe = probe
        self._ticks = ticks
        self._places = BoundedSemaphore(places)
        self._entered: dict[object, float] = {}
        self._silences = 0
        self._closed_until = 0.0
        self._probing = False
        self._lock = Lock()

    @contextmanager
    def passage(self) -> Iterator[None]:
        """A place to wait in, for the body. Raises `HSMUnavailable` and `HSMBusy`, before the body alone."""
        self._must_be_closed()
        if not self._places.acquire(timeout=self._patience()):
            raise HSMBusy("Enough requests wait for the signer already.", next_step="Ask again in a moment.")
        ticket = object()
        self._entered[ticket] = self._ticks()
        try:
            yield
        finally:
            del self._entered[ticket]
            self._places.release()

    def answered(self) -> None:
        """The signer is well: it has answered, whatever it said."""
        self._silences = 0

    def silent(self) -> None:
        """A question was put, and the time for its answer is over."""
        with self._lock:
            self._silences += 1
            self._closed_until = self._ticks() + REST

    def _patience(self) -> float:
        oldest = min(list(self._entered.values()), default=self._ticks())
        return 0.0 if self._ticks() - oldest > SLOW else MOMENT

    def _must_be_closed(self) -> None:
        with self._lock:
            if self._silences < SILENCES:
                return
            if self._probing or self._ticks() < self._closed_until:
                raise _open()
            self._probing = True
        try:
            if not self._probe():
                raise _open()
            self.answered()
        finally:
            self._closed_until, self._probing = self._ticks() + REST, False


def _open() -> HSMUnavailable:
    return HSMUnavailable(
        "The signer does not answer in time, and is not asked until it does.",
        next_step="See docs/runbooks/hsm.md, 'The signer does not answer'.",
    )
