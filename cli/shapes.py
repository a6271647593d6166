"""How records look in JSON: what scripts and tests may rely on (CONTRACT.md). Pure functions."""

import hashlib
from typing import TYPE_CHECKING, Any

from ca.clock import rfc3339
from ca.records import ApiToken, Certificate, Intent, Issuer, Key, MassRevocation, Stopwatch, serial_hex

if TYPE_CHECKING:
    from ca.authority import Revoked


def time_or_none(epoch: int) -> str | None:
    """RFC 3339 UTC; nothing where a time is not set."""
    return rfc3339(epoch) if epoch else None


def certificate(one: Certificate, now: int) -> dict[str, Any]:
    """One object of `cert list --json`."""
    return {
        "serial": serial_hex(one.serial),
        "sha256": one.sha256,
        "status": one.status(now),
        "profile": one.profile,
        "names": [name.value for name in one.names],
        "common_name": one.common_name,
        "issuer": one.issuer,
        "owner": one.owner,
        "replaces": one.replaces or None,
        "not_before": rfc3339(one.not_before),
        "not_after": rfc3339(one.not_after),
        "issued_at": rfc3339(one.issued_at),
        "revoked_at": time_or_none(one.revoked_at),
        "reason": one.reason or None,
    }


def revoked(done: "Revoked", seen: Stopwatch) -> dict[str, Any]:
    """A revocation with its stopwatch: seconds until it was seen from outside, null as long as it was not."""
    fact = done.revocation
    return {
        "serial": serial_hex(fact.serial),
        "issuer": fact.issuer,
        "revoked_at": rfc3339(fact.revoked_at),
        "reason": str(fact.reason),
        "published_in": done.published_in,
        "ocsp_seen_in": seconds_or_none(seen.ocsp_ms),
        "crl_seen_in": seconds_or_none(seen.crl_ms),
        "good_until": time_or_none(seen.good_until),
    }


def seconds_or_none(milliseconds: int) -> float | None:
    """Seconds; nothing while a stopwatch runs."""
    return milliseconds / 1000 if milliseconds >= 0 else None


def mass(one: MassRevocation) -> dict[str, Any]:
    """A mass revocation; `query` as it can be given again."""
    from ca.authority.masses import query_text

    return {
        "id": one.id,
        "state": one.state,
        "query": query_text(one.query),
        "reason": str(one.request.reason),
        "by": str(one.request.actor),
        "comment": one.request.comment,
        "total": one.total,
        "revoked": one.revoked,
        "skipped": one.skipped,
        "created_at": rfc3339(one.created_at),
        "updated_at": rfc3339(one.updated_at),
    }


def orphan(one: Intent) -> dict[str, Any]:
    """An intent that may have been signed and was never stored."""
    return {
        "serial": serial_hex(one.serial),
        "issuer": one.issuer,
        "state": one.state,
        "profile": one.profile,
        "names": [name.value for name in one.names],
        "asker": str(one.actor),
        "created_at": rfc3339(one.created_at),
        "not_after": rfc3339(one.not_after),
    }


def issuer(one: Issuer, key: Key | None, open_shards: int) -> dict[str, Any]:
    """One generation of a CA; `token` says plainly when the key is protected by software alone.

    The `key` of a foreign CA that was cross-signed is none of ours.
    """
    from ca.profiles import certificate_period

    return {
        "id": one.id,
        "name": one.name,
        "kind": one.kind,
        "parent": one.parent or None,
        "state": one.state,
        "algorithm": key.algorithm if key else _algorithm(one),
        "token": token_kind(key) if key else "another CA's",
        "shards": open_shards,
        "not_after": rfc3339(certificate_period(one.certificate).not_after),
    }


def _algorithm(one: Issuer) -> str:
    from cryptography import x509

    from ca.ceremony.subjects import spki_of
    from ca.keycheck import check_key

    return check_key(spki_of(x509.load_der_x509_certificate(one.certificate)))


def ca_certificate(der: bytes) -> dict[str, Any]:
    """What people compare of a CA's certificate; its name constraints in words."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    parsed = x509.load_der_x509_certificate(der)
    constraints = next((e.value for e in parsed.extensions if isinstance(e.value, x509.NameConstraints)), None)
    return {
        "subject": parsed.subject.rfc4514_string(),
        "serial": serial_hex(parsed.serial_number),
        "sha256": parsed.fingerprint(SHA256()).hex(":").upper(),
        "not_before": rfc3339(int(parsed.not_valid_before_utc.timestamp())),
        "permitted": [str(name.value) for name in (constraints and constraints.permitted_subtrees) or ()],
        "pem": parsed.public_bytes(Encoding.PEM).decode(),
    }


def key(one: Key) -> dict[str, Any]:
    """A key as the records know it; attributes are as read back from the token."""
    return {
        "id": one.id,
        "purpose": str(one.purpose),
        "algorithm": one.algorithm,
        "state": one.state,
        "token": token_kind(one),
        "owner": one.owner,
        "created_at": rfc3339(one.created_at),
        "spki_sha256": hashlib.sha256(one.spki).hexdigest(),
        "attributes": dict(one.attributes),
    }


def token_kind(one: Key) -> str:
    """`software token` or `hardware token`; never silent about it."""
    return "software token" if one.software else "hardware token"


def api_token(one: ApiToken, now: int) -> dict[str, Any]:
    """A bearer token without its secret."""
    ended = one.revoked_at or one.expires_at <= now
    return {
        "id": one.id,
        "name": one.name,
        "status": "revoked" if one.revoked_at else "expired" if ended else "active",
        "profiles": list(one.profiles),
        "patterns": list(one.patterns),
        "allow_wildcard": one.allow_wildcard,
        "owner": one.owner,
        "created_by": one.created_by,
        "created_at": rfc3339(one.created_at),
        "expires_at": rfc3339(one.expires_at),
        "revoked_at": time_or_none(one.revoked_at),
    }
