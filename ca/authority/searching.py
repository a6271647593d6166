"""Looking through the journal: by who, what, about what and when; a page at a time, in bounded steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ca import journal
from ca.authority.desk import Desk
from ca.errors import BadRequest
from ca.store import EventQuery

PAGE = 50


@dataclass(frozen=True, slots=True)
class EventPage:
    """Entries, the newest first. `next` is the `before` of the next page, 0 on the last; a page may be short, even
    empty, and still have one."""

    items: tuple[Mapping[str, Any], ...]
    next: int


def find_events(desk: Desk, query: EventQuery, limit: int = PAGE) -> EventPage:
    """One page of the journal. Raises `BadRequest` for a place that is none."""
    if query.before < 0 or query.since < 0 or query.until < 0:
        raise BadRequest("That is no place in the journal.", next_step="Begin again without it.")
    rows, following = desk.store.find_events(query, limit)
    return EventPage(journal.shown(rows), following)
