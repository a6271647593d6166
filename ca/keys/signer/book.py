"""How a signature comes into the ledger, by its kind: each for itself, or counted in batches."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from ca.clock import Clock
from ca.errors import LedgerBroken
from ca.keys.ledger import CERTIFICATES, Entry, Page, Place, page
from ca.keys.signer.ledger import Claim, Ledger
from ca.keys.signer.rules import Seen
from ca.keys.signer.tables import Highest
from ca.keys.signer.tally import Tally
from ca.records import SignKind

LARGEST_CRL = 64 << 10
"""Octets of a CRL's TBS up to which it stands in the ledger whole (ADR 7)."""

PAGE = 256 << 10
"""Octets of the ledger that one answer shows: some ten milliseconds of the signer's time."""

_TAKING = (*CERTIFICATES, SignKind.CRL, SignKind.CHECKPOINT)


@dataclass(frozen=True)
class Deed:
    """One signature to be: `kind` is that of the entry, `peer` the uid of who asked."""

    key: str
    kind: str
    peer: int
    tbs: bytes
    seen: Seen

    @cached_property
    def sha256(self) -> bytes:
        """Of the TBS."""
        return hashlib.sha256(self.tbs).digest()


class Book:
    """The ledger as the desk writes it. Thread-safe."""

    def __init__(self, ledger: Ledger, tally: Tally, clock: Clock) -> None:
        self._ledger = ledger
        self._tally = tally
        self._clock = clock

    @contextmanager
    def entered(self, deed: Deed, seconds: float) -> Iterator[None]:
        """Enters the deed when the body has made the signature, which must not leave before this has ended.

        Before the body: raises `LedgerBroken` when nothing can be entered, and what `Ledger.claim` raises.
        A body that raises enters nothing. After it: raises what `Ledger.record` raises.
        """
        self._ledger.check()
        if deed.kind == SignKind.OCSP:
            yield
            self._tally.count(deed.key, deed.peer, deed.sha256)
        elif deed.kind in _TAKING:
            with self._ledger.claim(_claim(deed, self._clock()), seconds):
                yield
                self._ledger.record(self._entry(deed))
        else:
            yield
            self._ledger.record(self._entry(deed))

    def highest(self, key: str, kind: str, mark: str) -> Highest:
        """The highest number and time that the key has signed of that kind, in that scope."""
        return self._ledger.highest(key, kind, mark)

    def journal(self) -> int:
        """Entries of the longest journal that was signed; 0 while that cannot be told."""
        return 0 if self._ledger.fault() else self._ledger.longest_journal()

    def page(self, after: Place | None) -> Page:
        """What comes after a place of the ledger, bounded by PAGE. Raises `LedgerBroken`."""
        return page(self._ledger.folder, after, PAGE)

    def fault(self) -> LedgerBroken | None:
        """Why nothing can be entered; None when all is well."""
        return self._ledger.fault()

    def _entry(self, deed: Deed) -> Entry:
        seen = deed.seen
        whole = deed.kind in CERTIFICATES or (deed.kind == SignKind.CRL and len(deed.tbs) <= LARGEST_CRL)
        kept = deed.tbs if whole else b""
        now = self._clock()
        return Entry(
            0, now, deed.key, deed.kind, deed.peer, deed.sha256, kept, seen.mark, seen.number, seen.this_update
        )


def _claim(deed: Deed, now: int) -> Claim:
    seen = deed.seen
    return Claim(deed.key, deed.kind, seen.mark, seen.number, seen.this_update, deed.sha256, now)
