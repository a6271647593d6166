"""Turns at the token: the urgent first, and nobody starved.

Each lane has a weight, and the free places go to the waiting lane that has had least for its weight (stride
scheduling): a flood in one lane slows that lane, while the others keep their share and their short queues.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event, Lock

from ca.errors import HSMBusy
from ca.records import SignKind


class Lane(StrEnum):
    """The queues, most urgent first."""

    URGENT = "urgent"
    ISSUANCE = "issuance"
    OCSP = "ocsp"


LANES: Mapping[SignKind, Lane] = {
    SignKind.CRL: Lane.URGENT,
    SignKind.CHECKPOINT: Lane.URGENT,
    SignKind.CERTIFICATE: Lane.ISSUANCE,
    SignKind.CSR: Lane.ISSUANCE,
    SignKind.OCSP: Lane.OCSP,
}

_WEIGHTS: Mapping[Lane, int] = {Lane.URGENT: 16, Lane.ISSUANCE: 4, Lane.OCSP: 1}


@dataclass(slots=True, eq=False)
class _Turn:
    """One request on its way: waiting until `event` is set, then running."""

    event: Event = field(default_factory=Event)


class Lanes:
    """`places` requests run at a time; at most `depth` wait in each lane. Thread-safe."""

    def __init__(self, places: int, depth: int) -> None:
        self._free = places
        self._depth = depth
        self._waiting: dict[Lane, deque[_Turn]] = {lane: deque() for lane in Lane}
        self._used = dict.fromkeys(Lane, 0.0)
        self._level = 0.0
        self._running: set[_Turn] = set()
        self._lock = Lock()

    @contextmanager
    def turn(self, lane: Lane, seconds: float) -> Iterator[None]:
        """Holds a place for the body. Raises `HSMBusy` when the lane is full or no turn came in `seconds`."""
        turn = self._join(lane)
        try:
            if not turn.event.wait(max(0.0, seconds)) and not self._came_at_last(lane, turn):
                raise _busy(f"No turn came within {seconds:.0f} s")
            yield
        finally:
            self._leave(turn)

    def waiting(self) -> dict[str, int]:
        """How many wait in each lane."""
        with self._lock:
            return {lane.value: len(queue) for lane, queue in self._waiting.items()}

    def _join(self, lane: Lane) -> _Turn:
        turn = _Turn()
        with self._lock:
            queue = self._waiting[lane]
            if len(queue) >= self._depth:
                raise _busy(f"{len(queue)} requests wait in the lane '{lane}'")
            if not queue:
                # A lane that was idle has saved nothing up: it starts from where the others are.
                self._used[lane] = max(self._used[lane], self._level)
            queue.append(turn)
            self._hand_out()
        return turn

    def _came_at_last(self, lane: Lane, turn: _Turn) -> bool:
        """Whether the turn came just after the wait ended; otherwise the place in the queue is given up."""
        with self._lock:
            if turn in self._running:
                return True
            self._waiting[lane].remove(turn)
            return False

    def _leave(self, turn: _Turn) -> None:
        with self._lock:
            if turn in self._running:
                self._running.remove(turn)
                self._free += 1
                self._hand_out()

    def _hand_out(self) -> None:
        while self._free and (ready := [lane for lane in Lane if self._waiting[lane]]):
            lane = min(ready, key=lambda one: self._used[one])
            self._level = self._used[lane]
            self._used[lane] += 1 / _WEIGHTS[lane]
            turn = self._waiting[lane].popleft()
            self._running.add(turn)
            self._free -= 1
            turn.event.set()


def _busy(why: str) -> HSMBusy:
    return HSMBusy(f"The signer is busy: {why}.", next_step="Nothing was signed; ask again in a moment.")
