"""Chains: a leaf with the intermediates that lead to a root, the root itself left out (RFC 8555 §7.4.2).

A cross-signed CA has several certificates for one name and key, each a generation of its own in the records: each is
one more way up, and each way is one more chain.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.authority.desk import Desk
from ca.authority.integrity import verify_certificate
from ca.profiles import certificate_period
from ca.records import Certificate, Issuer


def pem(der: bytes) -> bytes:
    """One certificate as PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


Way = tuple[Issuer, ...]
"""From the issuer of a certificate upwards, without the root."""

MOST_WAYS = 8
_DEEPEST = 8


def ways(desk: Desk, issuer_id: str) -> tuple[Way, ...]:
    """The ways from an issuer to a root: first the one that its records name, then those over cross-signed
    certificates that are still valid, the oldest first; at most MOST_WAYS.
    """
    known = desk.store.issuers()
    return tuple(islice(_up(known, desk.clock(), issuer_id, ()), MOST_WAYS))


def _up(known: Sequence[Issuer], now: int, issuer_id: str, below: Way) -> Iterator[Way]:
    own = next(one for one in known if one.id == issuer_id)
    for step in (own, *_twins(known, own, now)):
        if not step.parent:
            yield below
        elif step not in below and len(below) < _DEEPEST:
            yield from _up(known, now, step.parent, (*below, step))


def _twins(known: Sequence[Issuer], own: Issuer, now: int) -> Iterator[Issuer]:
    """Other certificates of the same name and key: whatever `own` certified, they certify too."""
    identity = _identity(own.certificate)
    for one in known:
        if one.id != own.id and one.state != "revoked" and _identity(one.certificate) == identity:
            yield from [one] if certificate_period(one.certificate).not_after > now else []


@lru_cache(maxsize=64)
def _identity(der: bytes) -> tuple[bytes, bytes]:
    """Subject and public key of a CA certificate, in DER."""
    certificate = x509.load_der_x509_certificate(der)
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.subject.public_bytes(), key


def chain_pem(desk: Desk, certificate: Certificate) -> bytes:
    """PEM of the certificate's first chain, leaf first, each certifying the one before it, without the root.

    Raises `StoreUnavailable` for a certificate whose bytes were changed since they were stored.
    """
    return chains_pem(desk, certificate)[0]


def chains_pem(desk: Desk, certificate: Certificate) -> tuple[bytes, ...]:
    """Every chain of the certificate, as `chain_pem` answers the first of them. Raises `StoreUnavailable`."""
    verify_certificate(certificate)
    leaf = pem(certificate.der)
    return tuple(b"".join((leaf, *(pem(one.certificate) for one in way))) for way in ways(desk, certificate.issuer))
