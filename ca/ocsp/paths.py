"""Where the published answer for a CertID lies. The path follows from the request alone: no records are needed.

The status plane imports this module: it must not come to need keys or store.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.keycheck import key_bits
from ca.records import serial_hex

ALGORITHMS: Mapping[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303  # no signature: what all stapling servers name issuers by
    "sha256": hashes.SHA256(),
}
"""The hashes that askers identify issuers by (O-02). SHA-1 is no signature here: what all stapling servers send."""

KEPT = 7 * 86400
"""Seconds that an answer is kept after its nextUpdate: until then its askers hear tryLater, then unauthorized."""


@dataclass(frozen=True, slots=True)
class CertID:
    """Which certificate is asked about (RFC 6960 §4.1.1). `algorithm` is one of ALGORITHMS."""

    algorithm: str
    name_hash: bytes
    key_hash: bytes
    serial: int


def answer_path(cert_id: CertID) -> str:
    """The publication path of the answer for that CertID."""
    return f"ocsp/{cert_id.name_hash.hex()}{cert_id.key_hash.hex()}/{serial_hex(cert_id.serial)}"


def read_path(path: str) -> CertID:
    """The CertID whose answer is published at a path of `answer_path`. Raises `ValueError` for any other path."""
    _, hashes_, serial = path.split("/")
    half = len(hashes_) // 2
    name_hash, key_hash = bytes.fromhex(hashes_[:half]), bytes.fromhex(hashes_[half:])
    algorithm = next((name for name, one in ALGORITHMS.items() if one.digest_size == len(name_hash)), None)
    if algorithm is None:
        raise ValueError(f"{path} is no path of an answer")
    return CertID(algorithm, name_hash, key_hash, int(serial, 16))


def cert_id(issuer: x509.Certificate, serial: int, algorithm: str) -> CertID:
    """The CertID of a serial under its issuer."""
    name_hash, key_hash = _hashes(issuer, algorithm)
    return CertID(algorithm, name_hash, key_hash, serial)


@lru_cache(maxsize=256)
def _hashes(issuer: x509.Certificate, algorithm: str) -> tuple[bytes, bytes]:
    """Of the issuer's name and of its key's bits, without tag, length and unused bits."""
    spki = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return (
        hashlib.new(algorithm, issuer.subject.public_bytes(), usedforsecurity=False).digest(),
        hashlib.new(algorithm, key_bits(spki), usedforsecurity=False).digest(),
    )
