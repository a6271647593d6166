"""Whether the records can be believed: a database behind the signer's ledger forgets what was signed and revoked.

The signer says how long a journal it has signed; a chain that is shorter was set back. Then the service revokes and
publishes, and issues nothing, until what is missing was recovered (`ca.authority.recovery`) and an operator has
confirmed it.
"""

import msgspec
import structlog

from ca.authority.desk import Desk
from ca.errors import NotFound, RevokeOnly
from ca.records import SYSTEM, Event
from ca.store import Store

log = structlog.get_logger()

SETTING = "restore"
NEXT = "Run 'certwright restore --recover', look at what it says, then 'certwright restore --confirm'."


class Restored(msgspec.Struct, frozen=True):
    """Since when, and why, the service only revokes. `recovered` when what the ledger knows is known again."""

    since: int
    why: str
    recovered: bool = False


def restored(desk: Desk) -> Restored | None:
    """What is to be confirmed; None in the ordinary case."""
    try:
        value = desk.store.setting(SETTING)
    except NotFound:
        return None
    return msgspec.json.decode(value, type=Restored) if value else None


def keep(store: Store, state: Restored | None) -> None:
    """Writes it down."""
    store.set_setting(SETTING, msgspec.json.encode(state).decode() if state else "")


def suspend(store: Store, state: Restored) -> None:
    """From now on only revocations are taken; every sign-in has ended."""
    keep(store, state)
    store.end_all_sign_ins(state.since)


def demand_confirmed(desk: Desk) -> None:
    """Returns when credentials may be believed and certificates issued. Raises `RevokeOnly`."""
    state = restored(desk)
    if state:
        raise RevokeOnly(f"Only revocations are taken: {state.why}", next_step=NEXT)


def demand_abreast(desk: Desk) -> None:
    """Returns when the journal reaches what the signer has signed. Raises `RevokeOnly`, and the HSM family.

    One that was found behind is marked and told of, once. A process asks until it has had one good answer.
    """
    if desk.abreast:
        return
    signed, chained = desk.signer.health().journal, length(desk)
    if chained < signed:
        _mark(desk, f"the journal has {chained} entries, and the signer has signed {signed}.")
        demand_confirmed(desk)
    desk.abreast.append(True)


def length(desk: Desk) -> int:
    """Entries that the chain reaches."""
    try:
        return desk.store.last_leaf().index + 1
    except NotFound:
        return 0


def _mark(desk: Desk, why: str) -> None:
    if restored(desk):
        return
    why = f"the database was set back: {why}"
    log.critical("restore.noticed", detail=why)
    with desk.store.transaction():
        suspend(desk.store, Restored(desk.clock(), why))
        desk.journal.append(Event("restore.noticed", SYSTEM, "database", result="failed", reason=why))
