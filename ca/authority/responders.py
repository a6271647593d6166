"""Delegated OCSP responders: made in the signer, renewed at half of their life (O-05)."""

from ca.authority.desk import Desk
from ca.authority.report import Report
from ca.errors import HSMError, NotFound
from ca.journal.keys import key_moved
from ca.records import SYSTEM, Event, Issuer, KeyPurpose, Responder


def renew_responders(desk: Desk) -> Report:
    """Renews the responder of each issuing CA whose responder is missing or past half of its life.

    Also of one that issues no more: until its end, what it issued wants answers. The signer makes at most one a
    day; asked again it answers with the one it made, which is then recorded if a crash kept that from happening,
    and is no news otherwise. An error of one issuer's key is raised when the others have had their turn.
    """
    due = [i for i in desk.store.issuers() if i.kind == "issuing" and not desk.has_ended(i.id) and _is_due(desk, i)]
    done = 0
    trouble: HSMError | None = None
    for issuer in due:
        try:
            done += _renew(desk, issuer)
        except HSMError as error:
            trouble = error
    _note_destroyed(desk)
    if trouble is not None:
        raise trouble
    return Report("renew_responders", done)


def renew(desk: Desk, issuer: Issuer) -> Responder:
    """The next responder of an issuing CA, out of turn; the one of today when there is one. Raises the HSM family."""
    _renew(desk, issuer)
    return desk.store.responder(issuer.id)


def _renew(desk: Desk, issuer: Issuer) -> bool:
    responder = desk.signer.renew_responder(issuer.key_id)
    if responder.key_id in {key.id for key in iter(desk.store.keys())}:
        return False
    record_responder(desk, responder)
    return True


def _note_destroyed(desk: Desk) -> None:
    """The signer destroys responder keys whose certificate has ended: the records and the journal follow (KC-09)."""
    held = {key.id: key.state for key in iter(desk.signer.keys())}
    for key in iter(desk.store.keys()):
        state = held.get(key.id, "destroyed")
        if key.purpose is not KeyPurpose.RESPONDER or key.state == state:
            continue
        with desk.store.transaction():
            desk.store.set_key_state(key.id, state)
            desk.journal.append(key_moved(key.id, key.state, state, SYSTEM))


def record_responder(desk: Desk, responder: Responder) -> None:
    """Writes a new responder and its key to the records, with its journal entry."""
    key = desk.signer.key(responder.key_id)
    with desk.store.transaction():
        desk.store.add_key(key)
        desk.store.add_responder(responder)
        desk.journal.append(
            Event(
                "responder.renewed",
                SYSTEM,
                f"responder:{responder.key_id}",
                key=responder.issuer,
                detail={"not_after": responder.not_after, "attributes": dict(key.attributes)},
            )
        )


def _is_due(desk: Desk, issuer: Issuer) -> bool:
    try:
        current = desk.store.responder(issuer.id)
    except NotFound:
        return True
    return desk.clock() >= (current.not_before + current.not_after) // 2
