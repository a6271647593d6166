"""The sequencer: gives each committed entry its place in the chain, and has the head signed (JOURNAL.md §3, §4).

Chaining is one short transaction a batch; the signature is made with none open. A crash between the two
leaves a chain that is ahead of its head: the next run signs it.
"""

from collections.abc import Callable
from dataclasses import replace

from ca.clock import Clock
from ca.errors import JournalBroken, NotFound
from ca.journal.chain import EMPTY, leaf_hash, link
from ca.journal.journal import Journal
from ca.keys.checkpoint import Checkpoint
from ca.records import Event
from ca.store import Head, Leaf, Store

BATCH = 256
"""Entries chained in one transaction."""

BATCHES = 64
"""Batches in one run at most: what is left waits a second."""

ORIGIN = "certwright/audit"
"""Names the journal in its checkpoints, unless the caller has a better name (`<host>/audit`)."""

Sign = Callable[[bytes], bytes]


def sequence(store: Store, sign: Sign, clock: Clock, fence: int, key_id: str, origin: str = ORIGIN) -> int:
    """Chains what was committed since the last run and stores a signed head; answers how many entries were chained.

    `sign` signs the canonical checkpoint with the key `key_id`. Raises `LeaseLost` when a newer fencing token
    was seen (0: runs without a lease), `JournalBroken` when the chain does not reach its signed head, and what
    `sign` raises; the chain then stays ahead of its head.
    """
    done = 0
    for _ in range(BATCHES):
        chained = _chain_batch(store, fence)
        done += chained
        if chained < BATCH:
            break
    head = _unsigned(store, origin)
    if head is not None:
        signature = sign(Checkpoint(head.origin, head.size, head.hash).text())
        _store_head(store, replace(head, signature=signature, key_id=key_id, time=clock(), fence=fence))
    return done


def leap(store: Store, journal: Journal, event: Event, index: int) -> None:
    """Writes an event and gives it its place at once, above entries that were lost in a restore.

    The chain goes on from the last entry that is there: the event tells of the gap, and `verify` holds it to that.
    """
    with store.transaction():
        store.lock_journal(0)
        _, chain = _end(store)
        row = journal.append(event)
        leaf = leaf_hash(row.body)
        store.chain([Leaf(index, row.id, leaf, link(chain, leaf))])


def _chain_batch(store: Store, fence: int) -> int:
    with store.transaction():
        store.lock_journal(fence)
        size, chain = _end(store)
        leaves: list[Leaf] = []
        for row in store.queued(BATCH):
            leaf = leaf_hash(row.body)
            chain = link(chain, leaf)
            leaves.append(Leaf(size + len(leaves), row.id, leaf, chain))
        store.chain(leaves)
        return len(leaves)


def _end(store: Store) -> tuple[int, bytes]:
    """Size and hash of the chain; it must reach its newest signed head, or nothing more is built on it.

    The head is read first: whoever signs a longer one between the two reads has chained its entries before.
    """
    covered, signed = _covered(store)
    try:
        leaf = store.last_leaf()
        size, chain = leaf.index + 1, leaf.chain
    except NotFound:
        size, chain = 0, EMPTY
    if size < covered or (size == covered and chain != signed):
        raise JournalBroken(
            f"The journal ends after {size} entries, but its signed head covers {covered}, or another chain.",
            next_step="Keep this database as evidence and run 'certwright audit verify'.",
        )
    return size, chain


def _unsigned(store: Store, origin: str) -> Head | None:
    """The head that awaits its signature, None when the newest one covers the whole chain."""
    size, chain = _end(store)
    covered, _ = _covered(store)
    return Head(size, origin, chain, b"", "", 0, 0) if size > covered else None


def _covered(store: Store) -> tuple[int, bytes]:
    """Size and hash of the newest signed head; those of the empty chain before the first."""
    try:
        head = store.last_head()
    except NotFound:
        return 0, EMPTY
    return head.size, head.hash


def _store_head(store: Store, head: Head) -> None:
    with store.transaction():
        store.lock_journal(head.fence)
        store.add_head(head)
