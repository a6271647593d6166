"""Publication targets: feeding them, and how they stand."""

import threading
from dataclasses import dataclass

import structlog

from ca.authority.desk import Desk
from ca.errors import NotFound, StoreUnavailable
from ca.store import TargetState
from ca.targets import Target, feed, open_targets

MOMENT = 60
"""Seconds for which a target may lack something and nobody need look."""

PATIENCE = 2.0
"""Seconds that one round waits. A target that takes longer goes on by itself, and is left alone until it has ended."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A target and how it stands; `missing` counts the publication rows that it lacks."""

    target: Target
    state: TargetState
    missing: int


def feed_targets(desk: Desk, *, local: bool) -> tuple[TargetState, ...]:
    """One round: each target of this node, or of the lease's holder, on a thread of its own.

    Answers how those stand that were done in time; the others say it themselves in their rows.
    """
    done: list[TargetState] = []
    threads = [
        threading.Thread(target=_feed, args=(desk, one, done), name=f"target {one.name}", daemon=True)
        for one in open_targets(desk.config, desk.clock)
        if one.local == local
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return tuple(done)


def _feed(desk: Desk, target: Target, done: list[TargetState]) -> None:
    turn = desk.alone(f"target {target.cursor}")
    if turn.acquire(blocking=False):
        try:
            done.append(feed(desk.store, desk.publisher.folder, target, desk.clock()))
        except StoreUnavailable as error:
            structlog.get_logger().warning("target.unrecorded", target=target.name, reason=str(error))
        finally:
            turn.release()


def standing(desk: Desk) -> tuple[Standing, ...]:
    """Every target of the configuration as this node knows it; of a folder, each node that writes it."""
    known = {state.name: state for state in desk.store.target_states()}
    last = desk.store.last_seq()
    found = []
    for one in open_targets(desk.config, desk.clock):
        nodes = {name for name in known if one.local and name.startswith(f"{one.name}@")}
        for name in sorted({one.cursor, *nodes}):
            state = known.get(name, TargetState(name))
            found.append(Standing(one, state, max(0, last - state.seq)))
    return tuple(found)


def resend(desk: Desk, name: str) -> None:
    """Has everything sent to a target again. Raises `NotFound`."""
    found = [one.state.name for one in standing(desk) if one.target.name == name]
    if not found:
        raise NotFound(f"There is no target {name!r}.", next_step="See 'certwright status targets'.")
    for cursor in found:
        desk.store.rewind_target(cursor)
