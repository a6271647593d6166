"""Issuance: the two-transaction cycle of the house (intent before signature, journal with the deed).

policy -> prepare and lint -> A: intent + journal -> sign once, no transaction open -> compare -> sign the first OCSP
answer -> B: certificate + journal + that answer. A crash or timeout between A and B leaves an intent that may have been
signed: the sweep abandons it and revokes its serial, which is never signed again.
"""

import hashlib
import secrets
from collections.abc import Callable

from ca.authority import compromised, standing, tags
from ca.authority.answers import file_first, first_answers
from ca.authority.desk import Desk
from ca.errors import (
    CAError,
    Conflict,
    HSMError,
    IssuanceMismatch,
    LintFailed,
    PolicyDenied,
    PossiblySigned,
    StoreUnavailable,
)
from ca.issuer import Prepared
from ca.profiles import Profile
from ca.records import Certificate, Event, Intent, Issuer, IssueRequest, make_serial, serial_hex

Within = Callable[[Intent], None]
After = Callable[[Certificate], None]


def nothing(_: object) -> None:
    """What A and B do besides, when the asker has nothing to add."""


def issue(desk: Desk, request: IssueRequest, within: Within = nothing, after: After = nothing) -> Certificate:
    """Issues one certificate, stored, journalled and answered by OCSP when this returns.

    `within` runs inside transaction A, before the intent: it checks the asker's own rows under lock and may
    raise. `after` runs inside transaction B. Raises `BadPublicKey` for a compromised key, `PolicyDenied` and
    `LintFailed` (nothing written but the refusal's journal entry), `HSMUnavailable`, `ClockWrong`, `RevokeOnly` or
    `HSMBusy` (nothing signed), `PossiblySigned` (the serial is lost), `Abandoned` (the sweep was faster). Calling it
    twice issues twice: idempotency is the asker's row.
    """
    desk.wall.demand()
    standing.demand_abreast(desk)
    profile = desk.profile(request.profile)
    try:
        issuer, prepared, intent = _intend(desk, request, profile, within)
    except _Retired:
        issuer, prepared, intent = _intend(desk, request, profile, within)
    der = _sign(desk, intent, prepared, issuer)
    certificate = _certificate(desk, intent, der)
    answers = [] if profile.no_revocation else first_answers(desk, issuer, certificate.serial)
    with desk.store.transaction():
        _finish(desk, certificate, intent)
        file_first(desk, certificate, answers)
        if request.tags:
            tags.retag(desk, [certificate], tags.Change(request.tags), request.actor)
        after(certificate)
    return certificate


class _Retired(Conflict):
    """The issuer issues no more since it was chosen: its successor is asked at once."""


def _retired(issuer_id: str) -> _Retired:
    return _Retired(f"{issuer_id} no longer issues.", next_step="Ask again: its successor takes over.")


def _intend(desk: Desk, request: IssueRequest, profile: Profile, within: Within) -> tuple[Issuer, Prepared, Intent]:
    """Who signs, and what, written down: transaction A. Raises `_Retired` with nothing written."""
    issuer = desk.active_issuer(request.issuer)
    prepared = _prepare(desk, request, profile, issuer)
    intent = _intent(desk, request, prepared, issuer)
    _begin(desk, request, intent, profile, within)
    return issuer, prepared, intent


def _prepare(desk: Desk, request: IssueRequest, profile: Profile, issuer: Issuer) -> Prepared:
    now = desk.clock()
    serial = make_serial(_open_shard(desk, issuer), secrets.token_bytes(16))
    try:
        desk.policy.permit(request, profile, issuer, now)
        return desk.issuing_ca(issuer).prepare(profile, request, serial, now)
    except (PolicyDenied, LintFailed) as refusal:
        journal_refusal(desk, request, refusal)
        raise


def _open_shard(desk: Desk, issuer: Issuer) -> int:
    """Any of those that are open; a generation that has retired meanwhile has none."""
    shards = desk.store.open_shards(issuer.id)
    if not shards:
        raise _retired(issuer.id)
    return secrets.choice(shards)


def journal_refusal(desk: Desk, request: IssueRequest, refusal: CAError) -> None:
    """The words of a refusal hold names, so they stand beside the names, where they can be erased (JOURNAL.md §2)."""
    with desk.store.transaction():
        desk.journal.append(
            Event(
                "issuance.refused",
                request.actor,
                f"profile:{request.profile}",
                result="denied",
                reason=refusal.code,
                request_id=request.request_id,
                personal={"names": " ".join(map(str, request.names)), "why": refusal.detail},
            )
        )


def _intent(desk: Desk, request: IssueRequest, prepared: Prepared, issuer: Issuer) -> Intent:
    return Intent(
        id=secrets.token_hex(16),
        issuer=issuer.id,
        serial=prepared.serial,
        tbs=prepared.tbs,
        profile=request.profile,
        not_before=prepared.not_before,
        not_after=prepared.not_after,
        actor=request.actor,
        names=request.names,
        common_name=request.common_name,
        owner=request.owner,
        order=request.order,
        account=request.account,
        token=request.token,
        replaces=request.replaces,
        request_id=request.request_id,
        created_at=desk.clock(),
    )


def _begin(desk: Desk, request: IssueRequest, intent: Intent, profile: Profile, within: Within) -> None:
    with desk.store.transaction():
        standing.demand_confirmed(desk)
        if desk.store.issuer(intent.issuer).state != "active":
            raise _retired(intent.issuer)
        compromised.demand_sound(desk, request.public_key)
        within(intent)
        desk.store.begin(intent, answered=not profile.no_revocation)
        desk.journal.append(_event("issuance.intended", intent))


def _sign(desk: Desk, intent: Intent, prepared: Prepared, issuer: Issuer) -> bytes:
    """Signs once. Where it is sure that nothing was signed, the intent is withdrawn; else the sweep takes it."""
    try:
        return desk.issuing_ca(issuer).sign(prepared)
    except PossiblySigned:
        raise
    except IssuanceMismatch as mismatch:
        raise PossiblySigned(mismatch.detail, next_step="The serial will be revoked; ask again.") from mismatch
    except HSMError as failure:
        _withdraw(desk, intent, failure)
        raise


def _withdraw(desk: Desk, intent: Intent, failure: HSMError) -> None:
    try:
        with desk.store.transaction():
            desk.store.withdraw(intent.id)
            desk.journal.append(_event("issuance.withdrawn", intent, result="failed", reason=failure.code))
    except StoreUnavailable:
        return  # the intent stays open and the sweep revokes its serial: safe, only less tidy


def _certificate(desk: Desk, intent: Intent, der: bytes) -> Certificate:
    return Certificate(
        issuer=intent.issuer,
        serial=intent.serial,
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        profile=intent.profile,
        names=intent.names,
        not_before=intent.not_before,
        not_after=intent.not_after,
        issued_at=desk.clock(),
        common_name=intent.common_name,
        owner=intent.owner,
        order=intent.order,
        account=intent.account,
        token=intent.token,
        replaces=intent.replaces,
    )


def _finish(desk: Desk, certificate: Certificate, intent: Intent) -> None:
    desk.store.finish(intent.id, certificate)
    desk.journal.append(_event("certificate.issued", intent, detail={"sha256": certificate.sha256}, names=True))


def _event(
    action: str,
    intent: Intent,
    *,
    result: str = "ok",
    reason: str = "",
    detail: dict[str, object] | None = None,
    names: bool = False,
) -> Event:
    return Event(
        action,
        intent.actor,
        f"certificate:{intent.issuer}:{serial_hex(intent.serial)}",
        result=result,
        reason=reason,
        key=intent.issuer,
        request_id=intent.request_id,
        detail={
            "intent": intent.id,
            "profile": intent.profile,
            "not_after": intent.not_after,
            "tbs_sha256": hashlib.sha256(intent.tbs).hexdigest(),
            **({"order": intent.order} if intent.order else {}),
            **(detail or {}),
        },
        personal={"names": " ".join(map(str, intent.names))} if names else {},
    )
