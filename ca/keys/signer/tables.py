"""The ledger's index: which serials are used, and how high each CRL and journal has come.

A node-local SQLite file beside the ledger. It is a reading of the ledger and of nothing else: it may lag
behind after a power cut (then the rest is read again) and may be deleted (then all is), but it is never ahead,
since an entry is on disk before it is counted here. An index that is ahead shows that the ledger was cut.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from ca.keys.ledger import CERTIFICATES, CLOCK, Entry, Place, broken
from ca.records import SignKind

_RISING = (SignKind.CRL, SignKind.CHECKPOINT, CLOCK)

_USED = "CREATE TABLE IF NOT EXISTS used (key TEXT, serial TEXT, PRIMARY KEY (key, serial)) WITHOUT ROWID"
_HIGHESTS = (
    "CREATE TABLE IF NOT EXISTS highest (key TEXT, kind TEXT, mark TEXT, number INTEGER, this_update INTEGER, "
    "sha256 BLOB, PRIMARY KEY (key, kind, mark)) WITHOUT ROWID"
)
_PLACES = (
    "CREATE TABLE IF NOT EXISTS place (id INTEGER PRIMARY KEY CHECK (id = 1), segment INTEGER, offset INTEGER, "
    "counter INTEGER, time INTEGER, chain BLOB)"
)
_USE = "INSERT INTO used VALUES (?, ?) ON CONFLICT DO NOTHING"
_IS_USED = "SELECT 1 FROM used WHERE key = ? AND serial = ?"
_RAISE = (
    "INSERT INTO highest VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = excluded.number, "
    "this_update = max(this_update, excluded.this_update), sha256 = excluded.sha256 "
    "WHERE excluded.number >= number"
)
_HIGHEST = "SELECT number, this_update, sha256 FROM highest WHERE key = ? AND kind = ? AND mark = ?"
_LONGEST = "SELECT max(number) FROM highest WHERE kind = ?"
_PUT_PLACE = "INSERT OR REPLACE INTO place VALUES (1, ?, ?, ?, ?, ?)"
_PLACE = "SELECT segment, offset, counter, time, chain FROM place"


@dataclass(frozen=True, slots=True)
class Highest:
    """The highest that was signed for one scope; all zero before the first."""

    number: int = 0
    this_update: int = 0
    sha256: bytes = b""


class Index:
    """The index at `path`. Thread-safe. Raises `LedgerBroken` when the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        with self._translated():
            # SQLite gives the files beside it the mode of this one.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            # No fsync at a commit: what a power cut takes is read from the ledger again.
            self._database.execute("PRAGMA synchronous = NORMAL")
            for statement in (_USED, _HIGHESTS, _PLACES):
                self._database.execute(statement)

    def place(self) -> Place | None:
        """Up to where the ledger is counted here; None before the first entry."""
        rows = self._rows(_PLACE)
        return Place(*rows[0]) if rows else None

    def is_used(self, key: str, serial: str) -> bool:
        """Whether this key has signed a certificate with this serial."""
        return bool(self._rows(_IS_USED, key, serial))

    def highest(self, key: str, kind: str, mark: str) -> Highest:
        """How high CRL numbers and sizes of checkpoints have come in one scope."""
        rows = self._rows(_HIGHEST, key, kind, mark)
        return Highest(*rows[0]) if rows else Highest()

    def longest_journal(self) -> int:
        """The highest size of all checkpoints."""
        return int(self._rows(_LONGEST, SignKind.CHECKPOINT.value)[0][0] or 0)

    def count(self, entries: Iterable[Entry], place: Place) -> None:
        """Counts entries that are on disk, all or none of them."""
        entries = list(entries)
        with self._lock, self._translated(), self._database:
            self._database.execute("BEGIN")
            self._database.executemany(_USE, [(e.key, e.mark) for e in entries if e.kind in CERTIFICATES])
            self._database.executemany(_RAISE, [_rising(e) for e in entries if e.kind in _RISING])
            self._database.execute(_PUT_PLACE, (place.segment, place.offset, place.counter, place.time, place.chain))

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._database.close()

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._translated():
            return self._database.execute(sql, values).fetchall()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise broken(f"The ledger's index {self._path} cannot be used: {error}.") from error


def _rising(entry: Entry) -> tuple[object, ...]:
    return entry.key, entry.kind, entry.mark, entry.number, entry.this_update, entry.sha256
