"""Searching the journal's rows: by who, what, about what and when, a page at a time.

Actor and target have indexes; without either, the newest entries are walked, a bounded stretch for each page.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ca.store.office import Office
from ca.store.tables import EVENT
from ca.store.values import EventRow

STRETCH = 5_000
"""Entries that are walked for one page where no index leads."""

_LAST = "\U0010ffff"
_NO_ID = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Empty fields do not restrict. `target` may end in `*`; `since` and `until` are epoch seconds, `before` an id."""

    actor: str = ""
    action: str = ""
    target: str = ""
    since: int = 0
    until: int = 0
    before: int = 0


class EventSearch(Office):
    """Pages of journal entries, the newest first."""

    def find_events(self, query: EventQuery, limit: int) -> tuple[tuple[EventRow, ...], int]:
        """A page, and the `before` of the next one, 0 on the last. A page may be short and still have a next one."""
        conditions = list(_conditions(query))
        before = query.before or _NO_ID
        with self.reading():
            floor = 0 if query.actor or query.target else self._floor(before)
            conditions += [("id < ?", before), ("id >= ?", floor)]
            where = " AND ".join(one for one, _ in conditions)
            tail = f"WHERE {where} ORDER BY id DESC LIMIT ?"
            rows = self.select(EVENT, tail, *(value for _, value in conditions), limit + 1)
        if len(rows) > limit:
            return rows[:limit], rows[limit - 1].id
        return rows, floor if floor > 1 else 0

    def _floor(self, before: int) -> int:
        """The id at which the stretch below `before` ends."""
        newest = self.rows("SELECT max(id) FROM event")[0][0] or 0
        return max(0, min(before, int(newest) + 1) - STRETCH)


def _conditions(query: EventQuery) -> Iterator[tuple[str, object]]:
    if query.actor:
        yield "actor = ?", query.actor
    if query.action:
        yield "action = ?", query.action
    if query.target.endswith("*"):
        yield "target >= ?", query.target[:-1]
        yield "target < ?", query.target[:-1] + _LAST
    elif query.target:
        yield "target = ?", query.target
    if query.since:
        yield "time >= ?", query.since
    if query.until:
        yield "time < ?", query.until
