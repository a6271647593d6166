"""The rows of the journal. What they mean and whether they are whole is `ca.journal`'s affair.

Event rows are only ever inserted. A queue row says that an event has no place in the chain yet; a leaf row
gives it one. (A sequence number would not do: on PostgreSQL numbers are committed out of order.)
"""

from collections.abc import Sequence

from ca.errors import LeaseLost
from ca.store.office import Office
from ca.store.tables import EVENT, HEAD, LEAF, PERSONAL
from ca.store.values import Backlog, Chained, EventRow, Head, Leaf, Personal


class Events(Office):
    """Entries, the queue to the chain, the chain, its signed heads, and the erasable side table."""

    # --- writing ------------------------------------------------------------------------------

    def add_event(self, row: EventRow, personal: Sequence[Personal] = ()) -> int:
        """Writes an entry, queues it and answers its id (the ids in the values given are ignored)."""
        event = int(self.rows(_ADD, row.time, row.action, row.actor, row.target, row.body)[0][0])
        self.change("INSERT INTO journal_queue (event) VALUES (?)", event)
        for one in personal:
            self.change(_ADD_PERSONAL, event, one.name, one.clear, one.salt)
        return event

    def erase_personal(self, event: int) -> int:
        """Erases the clear text of an entry's personal data; its commitments stay, and the journal stays whole."""
        return self.change("DELETE FROM event_personal WHERE event = ?", event)

    # --- the sequencer's side -----------------------------------------------------------------

    def lock_journal(self, fence: int) -> None:
        """Inside a transaction: this sequencer is the only one until it ends. Raises `LeaseLost` for an old fence.

        Fence 0 means that the caller runs without a lease: it waits for its turn like everyone else.
        """
        if not self.change(_LOCK, fence, fence, fence, fence):
            raise LeaseLost("Another node sequences the journal now.", next_step="Nothing to do: this one stops.")

    def queued(self, limit: int) -> tuple[EventRow, ...]:
        """Entries without a place in the chain, in the order of their ids."""
        return self.select(EVENT, _QUEUED, limit)

    def chain(self, leaves: Sequence[Leaf]) -> None:
        """Gives entries their place and takes them off the queue."""
        for leaf in leaves:
            self.insert(LEAF, leaf)
            self.change("DELETE FROM journal_queue WHERE event = ?", leaf.event)

    def last_leaf(self) -> Leaf:
        """The right end of the chain. Raises `NotFound` when nothing is chained yet."""
        return self.first("The journal is empty.", LEAF, 'ORDER BY "index" DESC LIMIT 1')

    def add_head(self, head: Head) -> None:
        """Stores a signed head; one of that size stays as it is."""
        self.change(HEAD.insert((), "ON CONFLICT DO NOTHING"), *HEAD.encode(head))

    def last_head(self) -> Head:
        """The newest signed head. Raises `NotFound` before the first."""
        return self.first("The journal has no signed head yet.", HEAD, "ORDER BY size DESC LIMIT 1")

    # --- the reader's side --------------------------------------------------------------------

    def heads(self, above: int, limit: int) -> tuple[Head, ...]:
        """Signed heads of more than that size, in order."""
        return self.select(HEAD, "WHERE size > ? ORDER BY size LIMIT ?", above, limit)

    def chained(self, start: int, limit: int) -> tuple[Chained, ...]:
        """Leaves from that index on, each with its entry, or without one if that is gone."""
        rows = self.rows(_CHAINED, start, limit)
        size = len(LEAF.columns)
        return tuple(
            Chained(LEAF.decode(row[:size]), None if row[size] is None else EVENT.decode(row[size:])) for row in rows
        )

    def leaf_of(self, event: int) -> Leaf:
        """The place of an entry. Raises `NotFound` when there is no such entry, or it is not chained yet."""
        return self.first(f"Event {event} has no place in the chain.", LEAF, "WHERE event = ?", event)

    def leaves(self, start: int, below: int) -> tuple[Leaf, ...]:
        """The places from one index on and below another, in order."""
        return self.select(LEAF, 'WHERE "index" >= ? AND "index" < ? ORDER BY "index"', start, below)

    def chain_below(self, index: int) -> bytes:
        """The chain hash before the entry at that index; nothing before the first."""
        found = self.select(LEAF, 'WHERE "index" < ? ORDER BY "index" DESC LIMIT 1', index)
        return found[0].chain if found else b""

    def personal(self, first: int, last: int) -> tuple[Personal, ...]:
        """The clear text that still exists for the entries at the indexes first..last of the chain."""
        return self.select(PERSONAL, _PERSONAL, first, last)

    def unchained(self, after: int, limit: int) -> tuple[EventRow, ...]:
        """Entries that have no leaf, queued or not, with ids above `after`."""
        return self.select(EVENT, _UNCHAINED, after, limit)

    def backlog(self) -> Backlog:
        """How many entries wait for the sequencer, and since when."""
        count, oldest = self.rows("SELECT count(*), min(e.time) FROM journal_queue q JOIN event e ON e.id = q.event")[0]
        return Backlog(count, oldest or 0)

    def lost_entry(self) -> int:
        """The id of the first entry that is neither chained nor queued, 0 if there is none. Reads every entry."""
        return int(self.rows(_LOST)[0][0] or 0)

    def history(self, target: str, limit: int = 1000) -> tuple[EventRow, ...]:
        """The entries about one thing, the oldest first."""
        return self.select(EVENT, "WHERE target = ? ORDER BY id LIMIT ?", target, limit)

    def newest(self, target: str) -> tuple[EventRow, ...]:
        """The last entry about one thing; nothing before the first."""
        return self.select(EVENT, "WHERE target = ? ORDER BY id DESC LIMIT 1", target)

    def recent(self, limit: int) -> tuple[EventRow, ...]:
        """The newest entries, the newest first."""
        return self.select(EVENT, "ORDER BY id DESC LIMIT ?", limit)


_ADD = "INSERT INTO event (time, action, actor, target, body) VALUES (?, ?, ?, ?, ?) RETURNING id"
_ADD_PERSONAL = "INSERT INTO event_personal (event, name, clear, salt) VALUES (?, ?, ?, ?)"
_LOCK = (
    "UPDATE journal_state SET fence = CASE WHEN fence < CAST(? AS BIGINT) THEN CAST(? AS BIGINT) ELSE fence END "
    "WHERE CAST(? AS BIGINT) = 0 OR fence <= CAST(? AS BIGINT)"
)
_QUEUED = "WHERE id IN (SELECT event FROM journal_queue ORDER BY event LIMIT ?) ORDER BY id"
_CHAINED = (
    'SELECT l."index", l.event, l.hash, l.chain, e.id, e.time, e.action, e.actor, e.target, e.body '
    'FROM journal_leaf l LEFT JOIN event e ON e.id = l.event WHERE l."index" >= ? ORDER BY l."index" LIMIT ?'
)
_PERSONAL = 'WHERE event IN (SELECT event FROM journal_leaf WHERE "index" >= ? AND "index" <= ?)'
_UNCHAINED = "WHERE id > ? AND NOT EXISTS (SELECT 1 FROM journal_leaf l WHERE l.event = event.id) ORDER BY id LIMIT ?"
_LOST = (
    "SELECT min(id) FROM event WHERE NOT EXISTS (SELECT 1 FROM journal_leaf l WHERE l.event = event.id) "
    "AND NOT EXISTS (SELECT 1 FROM journal_queue q WHERE q.event = event.id)"
)
