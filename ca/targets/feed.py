"""Feeding one target: what its cursor has not seen is sent in order, and what goes wrong is kept for who looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from ca.errors import Unavailable
from ca.folder import Folder
from ca.records import Publication
from ca.store import Store, TargetState
from ca.targets.items import Item, items

_BATCH = 32
_FIRST_PAUSE, _LONGEST_PAUSE = 5, 600
"""Seconds until a target that failed is tried again: doubled with each failure in a row."""


class Destination(Protocol):
    """A place that takes items."""

    def holds(self, since: int) -> bool:
        """Whether what was sent until then is still there, as far as can be known without asking for all of it.

        Raises `Unavailable`.
        """

    def wanted(self) -> Sequence[str] | None:
        """The publication paths of all that it takes now, where that is little and known; None for everything.

        Raises `Unavailable`.
        """

    def send(self, items: Sequence[Item]) -> None:
        """Puts them there, in any order, over what lies there. Raises `Unavailable`; then some may be there."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target of the configuration. `cursor` names its row, `only` the parts that it gets (empty: all).

    A `local` target is fed by each node for itself, another one by the node that has the scheduler's lease.
    """

    name: str
    kind: str
    cursor: str
    local: bool
    only: frozenset[str]
    destination: Destination

    def takes(self, item: Item) -> bool:
        """Whether that is for it."""
        return not self.only or item.part in self.only


def feed(store: Store, own: Folder, target: Target, now: int) -> TargetState:
    """Sends what the target lacks, unless it failed a while ago; answers how it stands then.

    Rows are sent in order, so that what lies there at last is the newest. Whoever finds that another feeder moved the
    cursor meanwhile may have put something older over something newer, and has it sent again. Raises
    `StoreUnavailable` alone: a target's own trouble is kept with it.
    """
    state = store.target(target.cursor)
    if now < state.due_at <= now + _LONGEST_PAUSE:
        return state
    if store.last_seq() > state.seq:
        store.begin_target(target.cursor, now)
    try:
        _feed(store, own, target, _begin(store, own, target, state, now), now)
    except Unavailable as error:
        _failed(store, target, state, str(error), now)
    return store.target(target.cursor)


def _begin(store: Store, own: Folder, target: Target, state: TargetState, now: int) -> int:
    """Where to go on: at the beginning for a target that has lost what it had, or that is ahead of the records."""
    lost = state.seq > 0 and not target.destination.holds(state.reached_at)
    if lost or state.seq > store.last_seq():
        store.rewind_target(target.cursor)
    elif state.seq:
        return state.seq
    return _leap(store, own, target, now)


def _leap(store: Store, own: Folder, target: Target, now: int) -> int:
    """From the beginning: a target that takes few publications gets those, and not a million rows are read for them."""
    last, wanted = store.last_seq(), target.destination.wanted()
    if wanted is None:
        return 0
    rows = [store.get(path) for path in wanted if store.is_published(path)]
    _send(own, target, rows)
    return last if store.move_target(target.cursor, 0, last, now) else 0


def _feed(store: Store, own: Folder, target: Target, seq: int, now: int) -> None:
    """Sends batch after batch; at the end, also when there was nothing to send, it has no trouble any more."""
    while rows := store.after(seq, _BATCH):
        _send(own, target, rows)
        if not store.move_target(target.cursor, seq, rows[-1].seq, now):
            store.rewind_target(target.cursor, seq)
            return
        seq = rows[-1].seq
    if store.target(target.cursor).failures:
        store.move_target(target.cursor, seq, seq, now)


def _send(own: Folder, target: Target, rows: Sequence[Publication]) -> None:
    target.destination.send([item for row in rows for item in items(_newest(own, row)) if target.takes(item)])


def _newest(own: Folder, row: Publication) -> Publication:
    """What this node serves, where records that were restored know only something older."""
    served = own.get(row.path)
    return served if served is not None and served.version > row.version else row


def _failed(store: Store, target: Target, state: TargetState, trouble: str, now: int) -> None:
    if trouble != state.trouble:
        structlog.get_logger().warning("target.failed", target=target.name, reason=trouble)
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE << min(state.failures, 10))
    store.target_failed(target.cursor, trouble, now + pause)
