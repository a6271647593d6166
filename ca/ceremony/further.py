"""A later ceremony of a root that exists: it signs its next CRLs, and revokes an issuing CA.

    renew_lists(room, plan, root_key, minutes)                                      # further CRLs and spares
    renew_lists(room, plan, root_key, minutes, End("issuing-g1", Reason.CA_COMPROMISE))

What a root has revoked stands in its published CRL and nowhere else: the next one tells it again, signed as it was. All
is signed, and the transcript handed out, before one transaction records it; after a failure the same call may be made.
"""

from collections.abc import Iterator

from cryptography import x509

from ca import crl
from ca.ceremony.hold import Minutes, note_key, recorded_root
from ca.ceremony.lists import sign_lists
from ca.ceremony.plans import End, RootPlan
from ca.ceremony.records import record_lists, spare_path
from ca.ceremony.room import Room
from ca.ceremony.root_key import RootKey, confirm_root_key
from ca.ceremony.transcript import Scribe
from ca.crl import Window
from ca.errors import Conflict, NotFound
from ca.profiles import certificate_period
from ca.records import Actor, Issuer, Reason, Revocation, serial_hex


def renew_lists(
    room: Room, plan: RootPlan, root_key: RootKey, minutes: Minutes, end: End | None = None
) -> tuple[Window, ...]:
    """Signs the root's CRLs from now on, and publishes the first of them; answers their times.

    Spares that were signed before are passed over by their number. Raises `Conflict` for a CA that cannot be revoked
    now, `KeyMismatch` for another root's token, and the HSM family.
    """
    scribe = Scribe(room.clock)
    note_key(scribe, "root key opened", root_key.record, token=root_key.token)
    confirm_root_key(root_key, plan, scribe)
    root = recorded_root(room, plan, root_key, scribe)
    number = next_number(room, root.id)  # before the list is read: another ceremony after that makes it stale
    published = room.publisher.get(crl.shard_path(root.id, 0)).body
    revoked = list(_told(root, published, minutes.actor))
    if end is not None:
        revoked.append(_ended(room, root, end, minutes.actor, scribe))
    made = sign_lists(root, plan, root_key, scribe, room.clock(), number=number, revoked=revoked)
    crl.gate(published, made[0][1], lambda _serial, _before: False)
    transcript = scribe.finish(f"Ceremony for the CRLs of {root.id}", minutes.witnesses, minutes.attestation)
    minutes.archive(transcript)
    record_lists(room, root, made, transcript, minutes.actor, end)
    return tuple(window for window, _ in made)


def next_number(room: Room, root_id: str) -> int:
    """Above the published CRL, and above every spare."""
    number = room.publisher.get(crl.shard_path(root_id, 0)).version + 1
    while _is_spare(room, root_id, number):
        number += 1
    return number


def _is_spare(room: Room, root_id: str, number: int) -> bool:
    try:
        return bool(room.publisher.get(spare_path(root_id, number)))
    except NotFound:
        return False


def demand_revocable(issuer: Issuer, root_id: str) -> None:
    """Returns for a CA of that root that issues nothing, or a cross certificate of it. Raises `Conflict`."""
    if issuer.kind == "root" or issuer.parent != root_id:
        raise Conflict(f"{issuer.id} is no issuing CA under {root_id}.", next_step="See 'certwright ca list'.")
    if issuer.state == "revoked":
        raise Conflict(f"{issuer.id} is revoked already.", next_step="Leave out --revoke to sign further CRLs.")
    if issuer.state == "active":
        raise Conflict(
            f"{issuer.id} issues: without it nothing would.", next_step="Run 'certwright ca rotate' first, then this."
        )


def _ended(room: Room, root: Issuer, end: End, actor: Actor, scribe: Scribe) -> Revocation:
    issuer = room.store.issuer(end.issuer)
    demand_revocable(issuer, root.id)
    serial = x509.load_der_x509_certificate(issuer.certificate).serial_number
    scribe.note(f"{issuer.id} revoked", serial=serial_hex(serial), reason=end.reason.value)
    ends = certificate_period(issuer.certificate).not_after
    return Revocation(root.id, serial, room.clock(), end.reason, actor, ends)


def _told(root: Issuer, published: bytes, actor: Actor) -> Iterator[Revocation]:
    """What the published CRL tells, to be told again."""
    ends = certificate_period(root.certificate).not_after
    for one in x509.load_der_x509_crl(published):
        said = {type(extension.value): extension.value for extension in one.extensions}
        reason = said.get(x509.CRLReason)
        why = Reason(reason.reason.value) if isinstance(reason, x509.CRLReason) else Reason.UNSPECIFIED
        yield Revocation(root.id, one.serial_number, int(one.revocation_date_utc.timestamp()), why, actor, ends)
