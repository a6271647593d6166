"""Certificates as tls-alpn-01 wants them, and all that are nearly so (RFC 8737 §3)."""

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

OID = "1.3.6.1.5.5.7.1.31"
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Draft:
    """An honest one for `names` and a key authorization; each further field is one way to be wrong."""

    key_authorization: str
    names: Sequence[str]
    critical: bool = True
    oid: str = OID
    tail: bytes = b""
    extended: bool = True
    signer: ec.EllipticCurvePrivateKey = KEY
    issuer: str = "challenge"

    def der(self) -> bytes:
        """The certificate."""
        subject, issuer = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in ("challenge", self.issuer)
        )
        builder = x509.CertificateBuilder(issuer, subject, KEY.public_key(), 7, START, START.replace(year=2036))
        if self.names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in self.names]), False)
        if self.extended:
            value = b"\x04\x20" + hashlib.sha256(self.key_authorization.encode()).digest() + self.tail
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(self.oid), value)
            builder = builder.add_extension(extension, self.critical)
        return builder.sign(self.signer, hashes.SHA256()).public_bytes(Encoding.DER)

    def write(self, path: Path) -> Path:
        """Key and certificate in one PEM file."""
        pem = x509.load_der_x509_certificate(self.der()).public_bytes(Encoding.PEM)
        path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem)
        return path


def _general(name: str) -> x509.GeneralName:
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
