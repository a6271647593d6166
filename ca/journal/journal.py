"""`Journal`: writing an event together with the deed that it tells of."""

import secrets
from dataclasses import replace

from ca.clock import Clock
from ca.errors import CAError
from ca.journal import entry
from ca.records import Event
from ca.store import EventRow, Store


class Journal:
    """The writers' side: no event, no change, since both stand in one transaction. Nobody waits for the chain."""

    def __init__(self, store: Store, clock: Clock, entropy: entry.Entropy = secrets.token_bytes) -> None:
        self._store, self._clock, self._entropy = store, clock, entropy

    def append(self, event: Event) -> EventRow:
        """Writes an event into the open transaction, and answers it; the sequencer chains it after the commit.

        Raises `CAError` when no transaction is open, when the action is not in `EVENTS`, or when the entry
        is over 65,535 octets.
        """
        if not self._store.in_transaction():
            raise CAError(f"The event {event.action} needs the transaction of the deed that it tells of.")
        row, personal = entry.write(event, self._clock(), self._entropy)
        return replace(row, id=self._store.add_event(row, personal))

    def append_once(self, event: Event) -> None:
        """Writes an event unless the newest one about its target says the same: a trouble that lasts is one entry."""
        if not self._is_news(event):
            return
        self.append(event)

    def _is_news(self, event: Event) -> bool:
        newest = self._store.newest(event.target)
        if not newest:
            return True
        said = entry.read(newest[0].body)
        return (said.get("action"), said.get("reason")) != (event.action, event.reason)
