"""What is finished goes, after `acme.retention`: orders, authorizations, challenges, and the marks beside them.

Certificates, revocations, intents, accounts and the journal are never touched (INC-10, INC-12): what was issued, to
whom, and why, is theirs to tell.
"""

from collections.abc import Callable

from acme_server.desk import Desk
from acme_server.limits.tables import Pauses, Times
from ca.authority import Report

BATCH = 500
"""Rows that one transaction deletes at most: writers are not kept waiting."""

_MOST = 200
"""Batches of one run; the next run goes on."""

Deletion = Callable[[int], int]


def purge(desk: Desk) -> Report:
    """Deletes what has been finished for `acme.retention`. Safe on every node, and at any moment to be broken off."""
    now = desk.now()
    before = now - desk.config.acme.retention
    deletions: tuple[Deletion, ...] = (
        lambda most: desk.orders.purge(before, most),
        lambda most: desk.proofs.purge(before, most),
        lambda most: desk.renewals.purge(before, most),
        lambda most: Times(desk.store).forget(now * 1_000_000, most),
        lambda most: Pauses(desk.store).forget(before, most),
    )
    return Report("purge_acme", done=sum(map(_all, deletions)))


def _all(delete: Deletion) -> int:
    """Batch after batch, until one is not full."""
    done = 0
    for _ in range(_MOST):
        count = delete(BATCH)
        done += count
        if count < BATCH:
            break
    return done
