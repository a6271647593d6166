"""Chains: a leaf with the intermediates that lead to a root, the root itself left out (RFC 8555 §7.4.2)."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.authority.desk import Desk
from ca.authority.integrity import verify_certificate
from ca.records import Certificate, Issuer


def pem(der: bytes) -> bytes:
    """One certificate as PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def issuers_above(desk: Desk, issuer_id: str) -> list[Issuer]:
    """The issuer and its ancestors, nearest first, up to and including the root."""
    found: list[Issuer] = []
    while issuer_id and len(found) < 8:
        found.append(desk.store.issuer(issuer_id))
        issuer_id = found[-1].parent
    return found


def chain_pem(desk: Desk, certificate: Certificate) -> bytes:
    """PEM of the certificate, leaf first, each certifying the one before it, without the root.

    Raises `StoreUnavailable` for a certificate whose bytes were changed since they were stored.
    """
    verify_certificate(certificate)
    above = [i.certificate for i in issuers_above(desk, certificate.issuer) if i.kind != "root"]
    return b"".join(map(pem, (certificate.der, *above)))
