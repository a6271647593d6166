"""Revocation: the fact first, then OCSP and CRL in the same call (B-02, INC-04)."""

import time

from ca import crl
from ca.authority.answers import publish_answers
from ca.authority.crls import try_list
from ca.authority.desk import Desk
from ca.authority.report import Revoked
from ca.errors import BadRevocationReason, HSMError, NotFound, StoreUnavailable, Unavailable
from ca.records import REASON_CODES, Actor, Certificate, Event, Reason, Revocation, serial_hex, serial_shard

LEAF_REASONS = frozenset(Reason) - {Reason.CA_COMPROMISE, Reason.AA_COMPROMISE, Reason.CERTIFICATE_HOLD}
"""What a leaf may be revoked for. Holds come with their release, in a later version."""


def parse_reason(value: str | int) -> Reason:
    """A CRLReason by name or number (RFC 5280 §5.3.1). Raises `BadRevocationReason` naming those that may be used."""
    for reason in LEAF_REASONS:
        if value in (reason.value, REASON_CODES[reason]):
            return reason
    allowed = ", ".join(f"{REASON_CODES[r]} {r}" for r in sorted(LEAF_REASONS, key=REASON_CODES.__getitem__))
    raise BadRevocationReason(f"{value!r} is no reason to revoke a leaf.", next_step=f"Use one of: {allowed}.")


def revoke(
    desk: Desk, certificate: Certificate, reason: Reason, actor: Actor, comment: str = "", request_id: str = ""
) -> Revoked:
    """Revokes a certificate; when this returns the fact is durable, and published unless the HSM is away.

    Raises `AlreadyRevoked` (an upgrade to keyCompromise excepted) and `BadRevocationReason`. With the HSM down
    the revocation stands, its marks stay, and the scheduler finishes through the same code.
    """
    if reason not in LEAF_REASONS:
        raise BadRevocationReason(f"A leaf is not revoked for {reason}.", next_step="Use keyCompromise or superseded.")
    fact = Revocation(
        certificate.issuer, certificate.serial, desk.clock(), reason, actor, certificate.not_after, comment
    )
    started = time.monotonic()
    with desk.store.transaction():
        desk.store.revoke(fact)
        fact = desk.store.revocation(fact.issuer, fact.serial)  # an upgrade keeps the time of the first one
        desk.journal.append(_event(fact, request_id))
    return Revoked(fact, time.monotonic() - started if _publish(desk, fact) else None)


def _publish(desk: Desk, fact: Revocation) -> bool:
    try:
        publish_answers(desk, fact.issuer, [fact.serial])
    except NotFound:
        pass  # a short-lived certificate with noRevAvail has no answers; its CRL entry does no harm
    except (HSMError, StoreUnavailable):
        return False
    shard = serial_shard(fact.serial)
    try:
        return try_list(desk, fact.issuer, shard) and desk.publisher.is_out(crl.shard_path(fact.issuer, shard))
    except Unavailable:
        return False


def _event(fact: Revocation, request_id: str) -> Event:
    return Event(
        "certificate.revoked",
        fact.actor,
        f"certificate:{fact.issuer}:{serial_hex(fact.serial)}",
        reason=fact.reason,
        request_id=request_id,
        detail={"revoked_at": fact.revoked_at, "comment": fact.comment},
    )
