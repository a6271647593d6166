"""A journal with its clock and an Ed25519 key in memory (the HSM's own test is the signer's)."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from ca.journal import Journal, Report, sequence, verify
from ca.records import Actor, Event
from ca.store import Store

ALICE = Actor("operator", "alice", "passkey")


@dataclass
class Desk:
    """The journal's collaborators in one place."""

    store: Store
    journal: Journal
    clock: Callable[[], int]
    key: ed25519.Ed25519PrivateKey

    def record(self, count: int = 1, **fields: object) -> None:
        """Journals so many events, each in a transaction of its own."""
        for number in range(count):
            with self.store.transaction():
                event = Event("token.revoked", ALICE, f"token:t{number}", **fields)  # type: ignore[arg-type]
                self.journal.append(event)

    def sequence(self, fence: int = 0) -> int:
        return sequence(self.store, self.key.sign, self.clock, fence, "journal-g1")

    def verify(self) -> Report:
        return verify(self.store, {"journal-g1": self.key.public_key()})

    def tamper(self, sql: str, *values: object) -> None:
        """What someone with the database's own rights can do, foreign keys or not."""
        on_sqlite = self.store._dialect.placeholder == "?"
        off, on = (
            ("PRAGMA foreign_keys = 0", "PRAGMA foreign_keys = 1")
            if on_sqlite
            else ("SET session_replication_role = replica", "SET session_replication_role = origin")
        )
        with self.store.reading():
            self.store.database.execute_sql(off)
            assert self.store.change(sql, *values) > 0
            self.store.database.execute_sql(on)


@pytest.fixture
def desk(store: Store, clock: Callable[[], int]) -> Desk:
    """A journal on each kind of database."""
    return Desk(store, Journal(store, clock), clock, ed25519.Ed25519PrivateKey.generate())
