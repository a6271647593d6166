"""Is the authority well? One table of checks, each small, each with the next step when it is not."""

from collections.abc import Callable

from ca.authority import standing
from ca.authority.desk import Desk
from ca.authority.report import Check
from ca.errors import CAError


def health(desk: Desk) -> tuple[Check, ...]:
    """Runs every check; never raises. Readiness is that all of them are ok."""
    return tuple(_run(name, check, desk) for name, check in CHECKS.items())


def _run(name: str, check: Callable[[Desk], None], desk: Desk) -> Check:
    try:
        check(desk)
    except CAError as error:
        return Check(name, False, error.detail, error.next_step)
    return Check(name, True)


def _store(desk: Desk) -> None:
    """It can be read, and written: on a full disk, or while another holds it, reads go on."""
    desk.store.issuers()
    desk.store.pulse.demand()


def _clock(desk: Desk) -> None:
    desk.wall.demand()


def _records(desk: Desk) -> None:
    standing.demand_confirmed(desk)


def _issuer(desk: Desk) -> None:
    desk.active_issuer()


def _signer(desk: Desk) -> None:
    state = desk.signer.health()
    if not state.ok:
        raise CAError(state.detail, next_step="See docs/keys.md, or run 'certwright doctor'.")


def _responder(desk: Desk) -> None:
    desk.responder(desk.active_issuer().id)


def _publication(desk: Desk) -> None:
    desk.publisher.folder.demand_room()


def _crl(desk: Desk) -> None:
    now = desk.clock()
    for state in (one for issuer in desk.serving() for one in desk.store.shards(issuer.id)):
        if state.next_update <= now and not state.ended_at:
            raise CAError(
                f"The CRL of {state.issuer}, shard {state.shard:04x}, is not published or has expired.",
                next_step="Start the scheduler, or run 'certwright crl publish'.",
            )


CHECKS: dict[str, Callable[[Desk], None]] = {
    "database": _store,
    "clock": _clock,
    "records": _records,
    "issuer": _issuer,
    "signer": _signer,
    "responder": _responder,
    "publication": _publication,
    "crl": _crl,
}
