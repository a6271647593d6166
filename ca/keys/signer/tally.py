"""OCSP answers in the ledger: too many for an entry each, so they are counted, and a batch is one entry.

An answer does not wait for the disk. A crash loses the count of at most `MOST` answers of each key and peer,
and of no more than `SECONDS`; an answer itself proves nothing that the records do not say.
"""

import hashlib
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Protocol

import structlog

from ca.clock import Clock
from ca.errors import CAError
from ca.keys.ledger import Entry
from ca.records import SignKind

log = structlog.get_logger()

SECONDS = 1.0
MOST = 1000


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class Recorder(Protocol):
    """What the tally needs of the ledger."""

    def record(self, *drafts: Entry) -> None:
        """Returns when the entries are on disk."""


@dataclass(slots=True)
class _Batch:
    since: int
    count: int = 0
    digest: _Digest = field(default_factory=hashlib.sha256)


class Tally:
    """Counts the answers of each key and peer. Thread-safe."""

    def __init__(self, ledger: Recorder, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._batches: dict[tuple[str, int], _Batch] = {}
        self._lock = Lock()
        self._stopping = Event()
        self._thread = Thread(target=self._tick, name="tally", daemon=True)

    def start(self) -> None:
        """Begins to write what was counted, each `SECONDS`."""
        self._thread.start()

    def stop(self) -> None:
        """Writes what is left."""
        self._stopping.set()
        self._thread.join()
        self.flush()

    def count(self, key: str, peer: int, sha256: bytes) -> None:
        """Counts one answer by the digest of its TBS. The one who fills a batch writes it."""
        with self._lock:
            batch = self._batches.setdefault((key, peer), _Batch(self._clock()))
            batch.count += 1
            batch.digest.update(sha256)
            full = batch.count >= MOST
        if full:
            self.flush()

    def flush(self) -> None:
        """Writes all that was counted so far. A ledger that cannot be written raises its own alarm."""
        with self._lock:
            batches, self._batches = self._batches, {}
        entries = [self._entry(key, peer, batch) for (key, peer), batch in batches.items()]
        if not entries:
            return
        try:
            self._ledger.record(*entries)
        except CAError as error:
            log.warning("tally.lost", answers=sum(one.count for one in batches.values()), detail=error.detail)

    def _entry(self, key: str, peer: int, batch: _Batch) -> Entry:
        digest = batch.digest.digest()
        kind = SignKind.OCSP.value
        return Entry(0, self._clock(), key, kind, peer, digest, number=batch.count, this_update=batch.since)

    def _tick(self) -> None:
        while not self._stopping.wait(SECONDS):
            self.flush()
