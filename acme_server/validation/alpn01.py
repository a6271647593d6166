"""tls-alpn-01 (RFC 8737; RFC 8738 for addresses): a self-signed certificate carries the key authorization's digest."""

import hashlib
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from acme_server.validation.causes import Cause
from acme_server.validation.proof import Kind, Proof, Verdict, is_host
from acme_server.validation.wire import Answer, HandshakeQuestion
from ca.records import NameKind

ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTET_STRING_OF_32 = b"\x04\x20"
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def question(proof: Proof, seconds: float) -> HandshakeQuestion:
    """The handshake that can prove control over this name."""
    return HandshakeQuestion(proof.name.kind, proof.name.value, seconds)


def weigh(answer: Answer, proof: Proof) -> Verdict:
    """Whether the certificate is exactly that of RFC 8737 §3, for this name and this key authorization."""
    why = next(_faults(answer.certificate, proof), "")
    return Verdict.on(answer, Cause.WRONG_CERTIFICATE, why=why) if why else Verdict.on(answer, Cause.MET)


def _faults(der: bytes, proof: Proof) -> Iterator[str]:
    """What is wrong with the certificate, the most telling first."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = certificate.extensions
    except _UNREADABLE:
        yield "cannot be read"
        return
    yield from _identifier_faults(extensions, proof)
    yield from _name_faults(extensions, proof)
    try:
        certificate.verify_directly_issued_by(certificate)
    except (TypeError, InvalidSignature, *_UNREADABLE):
        yield "is not self-signed"


def _identifier_faults(extensions: x509.Extensions, proof: Proof) -> Iterator[str]:
    try:
        found = extensions.get_extension_for_oid(ACME_IDENTIFIER)
    except x509.ExtensionNotFound:
        yield "has no acmeIdentifier: it is not the one that an ACME client makes for the challenge"
        return
    if not found.critical:
        yield "has an acmeIdentifier that is not critical"
    value = found.value.value if isinstance(found.value, x509.UnrecognizedExtension) else b""
    if value != _OCTET_STRING_OF_32 + hashlib.sha256(proof.key_authorization.encode()).digest():
        yield "holds the digest of another key authorization"


def _name_faults(extensions: x509.Extensions, proof: Proof) -> Iterator[str]:
    try:
        found = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        found = []
    if len(found) != 1:
        yield f"has {len(found)} subject alternative names, not just one"
    elif not _SAME[proof.name.kind](found[0], proof.name.value):
        yield f"is not for {proof.name.value}"


_SAME: dict[NameKind, Callable[[x509.GeneralName, str], bool]] = {
    NameKind.DNS: lambda one, value: isinstance(one, x509.DNSName) and one.value.lower() == value,
    NameKind.IP: lambda one, value: isinstance(one, x509.IPAddress) and one.value == ip_address(value),
}

KIND = Kind("tls-alpn-01", is_host, question, weigh)
