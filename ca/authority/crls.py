"""CRLs: each dirty or ageing shard is signed again and published (RFC 5280 §5).

The number is taken in the same write transaction that reads the revoked serials, so a higher number always
means newer facts; the publication gate then compares with what is published (INC-01, INC-02).
"""

import hashlib

from cryptography import x509

from ca import crl
from ca.authority.desk import Desk
from ca.authority.report import Report
from ca.errors import CAError, HSMError, KeyMismatch, NotFound, SigningRefused, StalePublication, StoreUnavailable
from ca.records import SYSTEM, Event, Publication, SignKind
from ca.store import ShardState

BACKDATE = 60
"""Seconds that thisUpdate lies before the clock (X-16: at most 300), but never before a revocation that it tells."""


def publish_crls(desk: Desk, fence: int = 0) -> Report:
    """Publishes each shard that is dirty or past half of its life. One refused shard does not hold the others."""
    due = [state for state in desk.store.stale_shards(desk.clock()) if not desk.has_ended(state.issuer)]
    outcomes = [try_shard(desk, state.issuer, state.shard, fence) for state in due]
    return Report("publish_crls", sum(outcomes), len(outcomes) - sum(outcomes))


def try_shard(desk: Desk, issuer_id: str, shard: int, fence: int = 0) -> bool:
    """Publishes one shard and answers whether that was possible; a refusal is journalled, which is the alarm.

    A refusal of the gate, or of the signer for this one key. Raises the rest of the HSM family and
    `StoreUnavailable`: then the marks stay and a later run finishes.
    """
    try:
        publish_shard(desk, issuer_id, shard, fence)
        return True
    except (KeyMismatch, SigningRefused) as error:
        _journal_refusal(desk, f"crl:{issuer_id}:{shard:04x}", error)
        return False
    except (HSMError, StoreUnavailable):
        raise
    except CAError as error:
        _journal_refusal(desk, f"crl:{issuer_id}:{shard:04x}", error)
        return False


def publish_shard(desk: Desk, issuer_id: str, shard: int, fence: int = 0) -> None:
    """Signs and publishes one shard now. Raises the HSM family (marks stay) or what the gate refuses.

    Of two that run at a time the older may find that the signer has signed the newer: then it leaves the shard to it.
    """
    issuer = desk.store.issuer(issuer_id)
    with desk.store.transaction():
        now = desk.clock()  # behind the lock: with the number, the time rises too
        state = desk.store.number_crl(issuer_id, shard, now)
        revoked = desk.store.revoked(issuer_id, shard, not_after_from=state.this_update)
    this_update = max(now - BACKDATE, state.this_update, *(fact.revoked_at for fact in revoked))
    next_update = min(this_update + desk.config.ca.crl_life, crl.not_after(issuer))
    url = crl.shard_url(desk.config.server.status_url, issuer_id, shard)
    key = desk.signing_key(issuer.key_id, SignKind.CRL)
    path = crl.shard_path(issuer_id, shard)
    try:
        der = crl.build(issuer, key, revoked, state.number, this_update, next_update, url)
        _gate(desk, path, der)
        _put(desk, state, Publication(path, der, state.number, crl.CONTENT_TYPE, this_update, next_update, fence))
    except StalePublication:
        return  # a newer one was signed or went out meanwhile; the mark stays until it is published


def _gate(desk: Desk, path: str, der: bytes) -> None:
    try:
        previous = desk.publisher.get(path)
    except NotFound:
        return
    crl.gate(previous.body, der, lambda serial: desk.store.not_after(crl.issuer_of(path), serial))


def _put(desk: Desk, state: ShardState, body: Publication) -> None:
    with desk.store.transaction():
        desk.publisher.put(body)
        desk.store.shard_published(
            state.issuer, state.shard, state.generation, state.number, body.this_update, body.fresh_until
        )
        desk.journal.append(
            Event(
                "crl.published",
                SYSTEM,
                f"crl:{state.issuer}:{state.shard:04x}",
                key=state.issuer,
                detail={
                    "number": state.number,
                    "next_update": body.fresh_until,
                    "octets": len(body.body),
                    "tbs_sha256": _tbs_sha256(body.body),
                },
            )
        )


def _tbs_sha256(der: bytes) -> str:
    """What the signer's ledger knows this CRL by."""
    return hashlib.sha256(x509.load_der_x509_crl(der).tbs_certlist_bytes).hexdigest()


def _journal_refusal(desk: Desk, target: str, error: CAError) -> None:
    with desk.store.transaction():
        desk.journal.append_once(Event("publication.refused", SYSTEM, target, result="failed", reason=str(error)))
