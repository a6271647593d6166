"""Reading the journal: for export, for a look at the end, and for the history of one thing."""

from collections.abc import Iterable, Iterator
from typing import Any

from ca.journal import entry
from ca.store import EventRow, Store

BATCH = 512


def export(store: Store) -> Iterator[dict[str, Any]]:
    """Every entry, each with its `index` and leaf `hash`, in the order of the chain.

    Entries that are not chained yet come last, with `index` None and an empty `hash`.
    """
    start = 0
    while batch := store.chained(start, BATCH):
        for chained in batch:
            if chained.row is not None:
                yield _shown(chained.row, chained.leaf.index, chained.leaf.hash.hex())
        start = batch[-1].leaf.index + 1
    after = 0
    while rows := store.unchained(after, BATCH):
        yield from map(_shown, rows)
        after = rows[-1].id


def tail(store: Store, limit: int = 20) -> tuple[dict[str, Any], ...]:
    """The newest entries, the oldest of them first; chained or not."""
    return tuple(map(_shown, reversed(store.recent(limit))))


def history(store: Store, target: str, limit: int = 1000) -> tuple[dict[str, Any], ...]:
    """The entries about one thing (`certificate:issuing-g1:01ab…`), the oldest first."""
    return tuple(map(_shown, store.history(target, limit)))


def shown(rows: Iterable[EventRow]) -> tuple[dict[str, Any], ...]:
    """The entries of rows that were found otherwise, in their order."""
    return tuple(map(_shown, rows))


def _shown(row: EventRow, index: int | None = None, leaf: str = "") -> dict[str, Any]:
    return {"index": index, "hash": leaf, "id": row.id, **entry.read(row.body)}
