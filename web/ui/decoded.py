"""Certificates in words: subject, key, extensions. Everything comes back as text; nothing here is markup."""

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ca.profiles import certificate_period
from ca.records import Issuer

MOST = 200
"""Lines of one extension that are shown."""


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension: its name and OID, and a line for each thing that it says."""

    name: str
    oid: str
    critical: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuthorityFacts:
    """One CA of a chain, for the diagram."""

    id: str
    subject: str
    kind: str
    not_after: int


def authority(issuer: Issuer) -> AuthorityFacts:
    """What the diagram says of a CA."""
    parsed = x509.load_der_x509_certificate(issuer.certificate)
    period = certificate_period(issuer.certificate)
    return AuthorityFacts(issuer.id, parsed.subject.rfc4514_string(), issuer.kind, period.not_after)


def facts(der: bytes) -> dict[str, str]:
    """Subject, issuer, key, signature and fingerprint."""
    parsed = x509.load_der_x509_certificate(der)
    return {
        "Subject": parsed.subject.rfc4514_string() or "(empty: the names stand in subjectAltName)",
        "Issuer": parsed.issuer.rfc4514_string(),
        "Key": _key(parsed),
        "Signature": parsed.signature_algorithm_oid._name,
        "SHA-256": parsed.fingerprint(SHA256()).hex(":").upper(),
    }


def _key(parsed: x509.Certificate) -> str:
    try:
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA, {key.key_size} bits"
    return f"EC {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__.strip("_")


def extensions(der: bytes) -> tuple[Extension, ...]:
    """Every extension in its order; one that cannot be read is shown as octets."""
    try:
        found = x509.load_der_x509_certificate(der).extensions
    except ValueError as error:
        return (Extension("unreadable", "", False, (str(error),)),)
    return tuple(_extension(one) for one in found)


def _extension(one: x509.Extension[x509.ExtensionType]) -> Extension:
    lines = tuple(_lines(one.value))
    more = (f"… and {len(lines) - MOST} more",) if len(lines) > MOST else ()
    name = one.oid._name if one.oid._name != "Unknown OID" else _NAMES.get(one.oid.dotted_string, "unknown")
    return Extension(name, one.oid.dotted_string, one.critical, lines[:MOST] + more)


_NAMES = {"2.5.29.56": "noRevAvail"}


def _lines(value: x509.ExtensionType) -> Iterator[str]:
    match value:
        case x509.SubjectAlternativeName() | x509.IssuerAlternativeName():
            yield from (_name(one) for one in value)
        case x509.KeyUsage():
            yield ", ".join(_usages(value))
        case x509.ExtendedKeyUsage():
            yield ", ".join(one._name for one in value)
        case x509.BasicConstraints():
            yield f"CA: {'yes' if value.ca else 'no'}"
        case x509.AuthorityInformationAccess():
            yield from (f"{one.access_method._name}: {_name(one.access_location)}" for one in value)
        case x509.CRLDistributionPoints():
            yield from (_name(name) for point in value for name in point.full_name or ())
        case x509.SubjectKeyIdentifier():
            yield value.digest.hex(":")
        case x509.AuthorityKeyIdentifier():
            yield (value.key_identifier or b"").hex(":")
        case x509.CertificatePolicies():
            yield from (one.policy_identifier.dotted_string for one in value)
        case _:
            yield value.public_bytes().hex(":")


def _name(one: x509.GeneralName) -> str:
    kinds = {x509.DNSName: "DNS", x509.IPAddress: "IP", x509.UniformResourceIdentifier: "URI", x509.RFC822Name: "mail"}
    return f"{kinds.get(type(one), type(one).__name__)}: {getattr(one, 'value', '')}"


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign"),
)


def _usages(value: x509.KeyUsage) -> Iterator[str]:
    yield from (name.replace("_", " ") for name in _USAGES if getattr(value, name))


def bundle(chain: bytes) -> bytes:
    """The chain as a PKCS #7 bundle of certificates, in DER."""
    return pkcs7.serialize_certificates(x509.load_pem_x509_certificates(chain), Encoding.DER)
