"""Orphans: intents that a crash or timeout left open. They are abandoned and revoked, never signed again (INC-05)."""

from ca.authority import standing
from ca.authority.desk import Desk
from ca.authority.report import Report
from ca.records import SYSTEM, Event, Intent, Reason, Revocation, serial_hex


def sweep_intents(desk: Desk) -> Report:
    """Abandons each intent that is open for longer than `ca.intent_timeout` and revokes its serial.

    The conditional UPDATE lets either this or transaction B win, never both. Publication follows by the marks.
    Records that were set back know of no end that an intent has had since: they are not swept until confirmed.
    """
    if standing.restored(desk):
        return Report("sweep_intents")
    done = sum(
        _abandon(desk, intent) for intent in desk.store.open_intents(desk.clock() - desk.config.ca.intent_timeout)
    )
    return Report("sweep_intents", done)


def _abandon(desk: Desk, intent: Intent) -> bool:
    with desk.store.transaction():
        if not desk.store.abandon(intent.id):
            return False
        fact = Revocation(
            intent.issuer,
            intent.serial,
            desk.clock(),
            Reason.UNSPECIFIED,
            SYSTEM,
            intent.not_after,
            "abandoned: it may have been signed, but its asker never got it",
        )
        desk.store.revoke(fact)
        desk.journal.append(
            Event(
                "issuance.abandoned",
                SYSTEM,
                f"certificate:{intent.issuer}:{serial_hex(intent.serial)}",
                key=intent.issuer,
                request_id=intent.request_id,
                detail={"intent": intent.id, "order": intent.order, "asker": str(intent.actor)},
            )
        )
    return True
