"""The watch over the keys: reconciliation as a job, and the alarm that comes of it.

The scheduler asks the signer for its ledger, which it cannot read or write as files, and holds it against the
records (`ca.authority.reconcile`). A theft is found when it was, and not when somebody looks.
"""

import hashlib

import msgspec

from ca.authority.desk import Desk
from ca.authority.reconcile import Reconciliation, reconcile
from ca.authority.report import Report
from ca.errors import LedgerDiffers, NotFound
from ca.records import SYSTEM, Event

JOB = "reconcile_ledger"
SHOWN = 10
"""Differences that an event and an error name; the rest is counted."""


def reconcile_ledger(desk: Desk) -> Reconciliation:
    """Holds the ledger, as the signer shows it, against the records. Raises what the signer and the store raise."""
    return reconcile(desk, desk.signer.ledger)


def tell(desk: Desk, found: Reconciliation) -> Report:
    """The outcome of a reconciliation as a job's. Raises `LedgerDiffers` for differences.

    Those are journalled once (`ledger.differed`), and again only when they are others than at the last run.
    """
    if found.agrees:
        words = f"{found.matched} certificates, {len(found.orphans)} orphans"
        return Report(JOB, sum(found.signed.values()), detail=words)
    error = _alarm(found)
    if not _is_told(desk, error):
        shown = [msgspec.to_builtins(one) for one in found.differences[:SHOWN]]
        detail = {"differences": len(found.differences), "shown": shown}
        with desk.store.transaction():
            desk.journal.append(Event("ledger.differed", SYSTEM, "ledger:signer", result="failed", detail=detail))
    raise error


def _alarm(found: Reconciliation) -> LedgerDiffers:
    which = hashlib.sha256(msgspec.json.encode(found.differences)).hexdigest()[:12]
    first = found.differences[0]
    return LedgerDiffers(
        f"{len(found.differences)} differences between ledger and records ({which}); "
        f"the first: {first.kind} {first.mark} of {first.key}: {first.why}.",
        next_step="Run 'certwright audit reconcile', and see docs/operations.md, 'A signature that nobody explains'.",
    )


def _is_told(desk: Desk, error: LedgerDiffers) -> bool:
    try:
        last = desk.store.last_run(JOB)
    except NotFound:
        return False
    return not last.ok and error.detail in last.detail
