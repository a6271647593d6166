"""A bare TBSCertificate, read twice: octet by octet by a declaration of our own, and by the library."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.errors import BadPublicKey, LintFailed
from ca.keycheck import check_key
from ca.profiles import Profile

E = TypeVar("E", bound=x509.ExtensionType)


@asn1.sequence
class RawValidity:
    """Both times with the ASN.1 type that they were written in."""

    not_before: asn1.UTCTime | asn1.GeneralizedTime
    not_after: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class RawTBS:
    """TBSCertificate (RFC 5280 §4.1) without unique identifiers: those do not parse, and are never signed."""

    version: Annotated[int, asn1.Explicit(0), asn1.Default(0)]
    serial: int
    signature: asn1.TLV
    issuer: asn1.TLV
    validity: RawValidity
    subject: asn1.TLV
    spki: asn1.TLV
    extensions: Annotated[list[asn1.TLV], asn1.Explicit(3)]


@dataclass(frozen=True, slots=True)
class IssuerFacts:
    """What is compared with the issuer, read from its certificate once."""

    certificate: x509.Certificate
    subject: bytes
    spki: bytes
    key_identifier: bytes
    constraints: x509.NameConstraints | None


@dataclass(frozen=True, slots=True)
class Draft:
    """One certificate to be: its raw fields, its parsed form with a worthless signature, and what it is held to.

    Everything is parsed when it is made, so that no check meets junk. `key_type` is empty for a key that may
    not be certified.
    """

    raw: RawTBS
    certificate: x509.Certificate
    extensions: x509.Extensions
    subject: tuple[x509.NameAttribute[Any], ...]
    key_type: str
    profile: Profile
    issuer: IssuerFacts

    def extension(self, kind: type[E]) -> x509.Extension[E] | None:
        """The extension of that kind, or None: absence is a finding that each check judges for itself."""
        return next((one for one in self.extensions if isinstance(one.value, kind)), None)

    @property
    def names(self) -> list[x509.GeneralName]:
        """The subject alternative names, none if there is no such extension."""
        found = self.extension(x509.SubjectAlternativeName)
        return list(found.value) if found else []

    @property
    def period(self) -> tuple[datetime, datetime]:
        """notBefore and notAfter."""
        return self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc


def read(tbs: bytes, profile: Profile, issuer_certificate: bytes) -> Draft:
    """The draft of a DER TBSCertificate. Raises `LintFailed` for bytes that are none."""
    try:
        raw = asn1.decode_der(RawTBS, tbs)
        certificate = x509.load_der_x509_certificate(_dressed(tbs, raw.signature))
        return Draft(
            raw,
            certificate,
            certificate.extensions,
            tuple(certificate.subject),
            _key_type(sequence(raw.spki)),
            profile,
            issuer_facts(issuer_certificate),
        )
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.UnsupportedGeneralNameType) as error:
        raise LintFailed(f"The bytes to be signed are no TBSCertificate: {error}.") from None
    except x509.DuplicateExtension as error:
        raise LintFailed(f"X-15: an extension stands twice: {error}.") from None


def _key_type(spki: bytes) -> str:
    try:
        return check_key(spki)
    except BadPublicKey:
        return ""


def _dressed(tbs: bytes, signature_algorithm: asn1.TLV) -> bytes:
    """A Certificate around the TBS, with an empty signature."""
    return _sequence(tbs + sequence(signature_algorithm) + b"\x03\x01\x00")


def sequence(element: asn1.TLV) -> bytes:
    """The octets of a SEQUENCE that was read, with tag and length."""
    return _sequence(bytes(element.data))


def _sequence(content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((0x30, size)) + content
    octets = (size.bit_length() + 7) // 8
    return bytes((0x30, 0x80 | octets)) + size.to_bytes(octets, "big") + content


@lru_cache(maxsize=64)
def issuer_facts(der: bytes) -> IssuerFacts:
    """The facts of an issuer's certificate."""
    certificate = x509.load_der_x509_certificate(der)
    extensions = certificate.extensions
    constraints = [one.value for one in extensions if isinstance(one.value, x509.NameConstraints)]
    return IssuerFacts(
        certificate,
        certificate.subject.public_bytes(),
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest,
        constraints[0] if constraints else None,
    )
