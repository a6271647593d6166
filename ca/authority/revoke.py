"""Revocation: the fact first, then OCSP and CRL in the same call (B-02, INC-04)."""

import time
from collections.abc import Set

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ca import crl
from ca.authority import compromised
from ca.authority.answers import publish_answers
from ca.authority.crls import try_list
from ca.authority.desk import Desk
from ca.authority.report import Revoked
from ca.errors import BadRequest, BadRevocationReason, HSMError, NotFound, StoreUnavailable, Unavailable
from ca.records import (
    REASON_CODES,
    Event,
    Reason,
    Revocation,
    RevokeRequest,
    serial_hex,
    serial_shard,
)

LEAF_REASONS = frozenset(Reason) - {Reason.CA_COMPROMISE, Reason.AA_COMPROMISE, Reason.CERTIFICATE_HOLD}
"""What a leaf may be revoked for by whoever holds it, for good."""

REASONS = LEAF_REASONS | {Reason.CERTIFICATE_HOLD}
"""What an operator may say besides: a hold can be released."""


def parse_reason(value: str | int, allowed: Set[Reason] = LEAF_REASONS) -> Reason:
    """A CRLReason by name or number (RFC 5280 §5.3.1). Raises `BadRevocationReason` naming those that may be used."""
    for reason in allowed:
        if value in (reason.value, REASON_CODES[reason]):
            return reason
    shown = ", ".join(f"{REASON_CODES[r]} {r}" for r in sorted(allowed, key=REASON_CODES.__getitem__))
    raise BadRevocationReason(f"{value!r} is no reason to revoke a leaf.", next_step=f"Use one of: {shown}.")


def revoke_serial(desk: Desk, issuer_id: str, serial: int, request: RevokeRequest, end: int = 0) -> Revoked:
    """Revokes a serial; when this returns the fact is durable, and published unless the HSM is away.

    `end` is the notAfter of a certificate that the records do not know; without it an unknown serial raises
    `NotFound`. With certificateHold it can be taken back by `release`. Raises `AlreadyRevoked` (an upgrade to
    keyCompromise, and the end of a hold, excepted), `BadRevocationReason` and `BadRequest`. With the HSM down the
    revocation stands, its marks stay, and the scheduler finishes through the same code.
    """
    fact = _fact(desk, issuer_id, serial, request, end)
    started = time.monotonic()
    with desk.store.transaction():
        fact = record(desk, fact, request.request_id)
    return _published(desk, fact, started)


def release(desk: Desk, issuer_id: str, serial: int, request: RevokeRequest) -> Revoked:
    """Takes a hold back: the certificate is good again, in OCSP and CRL. Raises `Conflict` for one not on hold."""
    started = time.monotonic()
    with desk.store.transaction():
        held = Revocation(issuer_id, serial, desk.clock(), request.reason, request.actor, 0, request.comment)
        desk.store.release_hold(issuer_id, serial, desk.clock())
        desk.journal.append(_event("certificate.released", held, request.request_id))
    return _published(desk, held, started)


def record(desk: Desk, fact: Revocation, request_id: str = "") -> Revocation:
    """Inside a transaction: the fact with its journal entry and marks; answers it as it stands.

    Raises `AlreadyRevoked`; then nothing was journalled.
    """
    if fact.reason is Reason.CERTIFICATE_HOLD:
        desk.store.hold(fact)
    else:
        desk.store.revoke(fact)
    desk.store.start_stopwatch(fact, desk.clock())
    fact = desk.store.revocation(fact.issuer, fact.serial)  # an upgrade keeps the time of the first one
    held = fact.reason is Reason.CERTIFICATE_HOLD
    desk.journal.append(_event("certificate.held" if held else "certificate.revoked", fact, request_id))
    compromised.note_revocation(desk, fact)
    return fact


def check(desk: Desk, request: RevokeRequest) -> None:
    """Raises `BadRevocationReason` or `BadRequest` for what no certificate is revoked with."""
    if request.reason not in REASONS:
        raise BadRevocationReason(
            f"A leaf is not revoked for {request.reason}.", next_step="Use keyCompromise or superseded."
        )
    if request.invalidity_date > desk.clock():
        raise BadRequest("The invalidity date lies ahead.", next_step="Name the time since which the key was misused.")


def issuer_of(desk: Desk, certificate: bytes) -> tuple[str, int, int]:
    """Issuer, serial and notAfter of a certificate (DER or PEM) that one of our issuing CAs has signed, whether or not
    the records know it. Raises `BadRequest`."""
    try:
        pem = b"-----BEGIN" in certificate
        one = x509.load_pem_x509_certificate(certificate) if pem else x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise BadRequest(f"That is no certificate: {error}.", next_step="Name a PEM or DER file.") from None
    for issuer in desk.store.issuers():
        try:
            one.verify_directly_issued_by(x509.load_der_x509_certificate(issuer.certificate))
        except (ValueError, TypeError, InvalidSignature):
            continue
        if issuer.kind == "issuing":
            return issuer.id, one.serial_number, int(one.not_valid_after_utc.timestamp())
    raise BadRequest("No issuing CA of these records has signed it.", next_step="Ask the CA that issued it.")


def _fact(desk: Desk, issuer_id: str, serial: int, request: RevokeRequest, end: int) -> Revocation:
    check(desk, request)
    issuer = desk.store.issuer(issuer_id)
    if issuer.kind != "issuing":
        raise BadRequest(f"{issuer_id} issues no leaves.", next_step="A CA is revoked at a ceremony of its root.")
    try:
        end = desk.store.not_after(issuer_id, serial)
    except NotFound:
        if not end:
            raise
        end = min(end, crl.not_after(issuer))
    reason, actor = request.reason, request.actor
    return Revocation(issuer_id, serial, desk.clock(), reason, actor, end, request.comment, request.invalidity_date)


def _published(desk: Desk, fact: Revocation, started: float) -> Revoked:
    return Revoked(fact, time.monotonic() - started if _publish(desk, fact) else None, started)


def _publish(desk: Desk, fact: Revocation) -> bool:
    try:
        publish_answers(desk, fact.issuer, [fact.serial])
    except NotFound:
        pass  # a short-lived certificate that was released has no answers
    except (HSMError, StoreUnavailable):
        return False
    shard = serial_shard(fact.serial)
    try:
        return try_list(desk, fact.issuer, shard) and desk.publisher.is_out(crl.shard_path(fact.issuer, shard))
    except Unavailable:
        return False


def _event(action: str, fact: Revocation, request_id: str) -> Event:
    return Event(
        action,
        fact.actor,
        f"certificate:{fact.issuer}:{serial_hex(fact.serial)}",
        reason=fact.reason,
        request_id=request_id,
        detail={
            "revoked_at": fact.revoked_at,
            "comment": fact.comment,
            **({"invalidity_date": fact.invalidity_date} if fact.invalidity_date else {}),
        },
    )
