"""OCSP answers, signed ahead by a delegated responder (RFC 6960 §4.2, RFC 5019)."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca.clock import at
from ca.keys.algorithms import PrivateKey, signature_hash
from ca.ocsp.paths import ALGORITHMS, cert_id
from ca.records import Reason


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a serial: good, unless `revoked_at` (epoch seconds) and `reason` say otherwise."""

    serial: int
    revoked_at: int = 0
    reason: Reason = Reason.UNSPECIFIED


def answer(  # noqa: PLR0913  # the fields of one flat structure
    issuer: x509.Certificate,
    responder: x509.Certificate,
    private_key: PrivateKey,
    status: Status,
    algorithm: str,
    this_update: int,
    next_update: int,
) -> bytes:
    """DER of a signed OCSPResponse about one serial, its CertID by `algorithm` (of ALGORITHMS).

    nextUpdate ends with the responder at the latest (O-05), time and reason of a revocation are those that the
    CRL renders (O-14), the responder's certificate is included. producedAt is the wall clock of this machine:
    the library takes no other. Raises the HSM family.
    """
    who = cert_id(issuer, status.serial, algorithm)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            who.name_hash,
            who.key_hash,
            who.serial,
            ALGORITHMS[algorithm],
            ocsp.OCSPCertStatus.REVOKED if status.revoked_at else ocsp.OCSPCertStatus.GOOD,
            at(this_update),
            min(at(next_update), responder.not_valid_after_utc),
            at(status.revoked_at) if status.revoked_at else None,
            _reason(status),
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
        .certificates([responder])
    )
    response = builder.sign(private_key, signature_hash(private_key.public_key()))
    return response.public_bytes(Encoding.DER)


def _reason(status: Status) -> x509.ReasonFlags | None:
    """The reason code, absent for `unspecified` as in the CRL (L-06)."""
    if not status.revoked_at or status.reason is Reason.UNSPECIFIED:
        return None
    return x509.ReasonFlags(status.reason.value)
