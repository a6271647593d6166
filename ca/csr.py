"""Certification requests (PKCS #10, RFC 2986): bytes become a `CSR` here, or are refused with a reason.

A request proves possession of a key and says which names are meant, and nothing more: the certificate is
built from profile and order. So what a profile would have to decide is ignored (key usage, EKU, other
subject attributes), and what no asker may ask for is refused (CA:TRUE, names of foreign types).
"""

import hashlib
import warnings
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from ca.errors import BadCSR, BadName
from ca.keycheck import check_key
from ca.names import parse_any, parse_dns, parse_ip, parse_uri
from ca.records import Name

MAX_CSR = 64 * 1024
MAX_NAMES = 1000
MAX_COMMON_NAME = 64  # ub-common-name, RFC 5280 appendix A

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
# The library warns of a long common name, which is refused below: a stranger must not write into our log.
warnings.filterwarnings("ignore", message="Attribute's length", category=UserWarning)

_WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_KNOWN_EXTENSIONS = (
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.TLS_FEATURE,
)


@dataclass(frozen=True, slots=True)
class CSR:
    """What a request says. `names` holds each name once, the common name included; `spki` is DER."""

    spki: bytes
    names: tuple[Name, ...]
    common_name: str
    key_type: str
    sha256: str


def parse(data: bytes) -> CSR:
    """The request in PEM or DER (at most 64 KiB, nothing around it).

    Raises `BadCSR` for what cannot be read, is badly signed or asks for what no request may, and
    `BadPublicKey` for a key that is not good enough. No other exception comes out of any bytes.
    """
    request = _load(data)
    spki, key_type = _key(request)
    _check_signature(request)
    extensions = _extensions(request)
    _refuse_ca(extensions)
    common_name = _common_name(request)
    names = _names(extensions, common_name)
    der = request.public_bytes(Encoding.DER)
    return CSR(spki, names, common_name, key_type, hashlib.sha256(der).hexdigest())


def _load(data: bytes) -> x509.CertificateSigningRequest:
    if len(data) > MAX_CSR:
        raise BadCSR(f"The CSR is larger than {MAX_CSR // 1024} KiB.")
    text = data.strip()
    try:
        if not text.startswith(b"-----BEGIN"):
            return x509.load_der_x509_csr(data)
        if text.count(b"-----BEGIN") == 1 and text.endswith(b"-----"):
            return x509.load_pem_x509_csr(text)
    except _UNREADABLE as error:
        raise BadCSR(f"The CSR cannot be read: {_first_line(error)}.", next_step=_ADVICE) from None
    raise BadCSR("There is something besides one CSR.", next_step="Send the one PEM block alone.")


_ADVICE = "Check it with 'openssl req -verify -noout -in FILE'."


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200].rstrip(".")


def _key(request: x509.CertificateSigningRequest) -> tuple[bytes, str]:
    try:
        spki = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except _UNREADABLE as error:
        raise BadCSR(f"The key of the CSR cannot be read: {_first_line(error)}.") from None
    # The key as it stands in the request: a compressed point or PSS parameters are refused by check_key.
    if spki not in request.tbs_certrequest_bytes:
        raise BadCSR("The key of the CSR is not in its usual encoding.", next_step="Make it with a named curve.")
    return spki, check_key(spki)


def _check_signature(request: x509.CertificateSigningRequest) -> None:
    try:
        weak = isinstance(request.signature_hash_algorithm, _WEAK_HASHES)
        valid = request.is_signature_valid
    except _UNREADABLE as error:
        raise BadCSR(f"The CSR is signed in a way that is not accepted: {_first_line(error)}.") from None
    if weak:
        raise BadCSR("The CSR is signed with MD5 or SHA-1.", next_step="Sign it with SHA-256 (openssl req -sha256).")
    if not valid:
        raise BadCSR("The signature of the CSR is not by its own key.", next_step=_ADVICE)


def _extensions(request: x509.CertificateSigningRequest) -> x509.Extensions:
    try:
        extensions = request.extensions
    except x509.UnsupportedGeneralNameType:
        raise BadCSR("The CSR asks for a name of a foreign type.", next_step=_NAME_ADVICE) from None
    except _UNREADABLE as error:
        raise BadCSR(f"The extensions of the CSR cannot be read: {_first_line(error)}.") from None
    for extension in extensions:
        if extension.critical and extension.oid not in _KNOWN_EXTENSIONS:
            raise BadCSR(f"The CSR has a critical extension that is not known: {extension.oid.dotted_string}.")
    return extensions


def _refuse_ca(extensions: x509.Extensions) -> None:
    for extension in extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                raise BadCSR("The CSR asks for a CA certificate.", next_step="Leave out CA:TRUE.")
            case x509.KeyUsage(key_cert_sign=True) | x509.KeyUsage(crl_sign=True):
                raise BadCSR(
                    "The CSR asks to sign certificates or CRLs.", next_step="Leave out keyCertSign and cRLSign."
                )


_NAME_ADVICE = "Use DNS names, IP addresses and SPIFFE IDs."


def _names(extensions: x509.Extensions, common_name: str) -> tuple[Name, ...]:
    found = [_name(one) for one in _alternative_names(extensions)]
    if common_name:
        found.append(_common_name_as_name(common_name))
    names = tuple(dict.fromkeys(found))
    if not names:
        raise BadCSR("The CSR names nothing.", next_step="Put the names into subjectAltName.")
    if len(names) > MAX_NAMES:
        raise BadCSR(f"The CSR has more than {MAX_NAMES} names.")
    return names


def _alternative_names(extensions: x509.Extensions) -> list[x509.GeneralName]:
    return [
        name
        for extension in extensions
        if isinstance(extension.value, x509.SubjectAlternativeName)
        for name in extension.value
    ]


def _name(name: x509.GeneralName) -> Name:
    try:
        match name:
            case x509.DNSName():
                return parse_dns(name.value)
            case x509.IPAddress():
                return parse_ip(str(name.value))
            case x509.UniformResourceIdentifier():
                return parse_uri(name.value)
    except BadName as error:
        raise BadCSR(error.detail, next_step=_NAME_ADVICE) from None
    raise BadCSR(f"The CSR asks for a name of a foreign type ({type(name).__name__}).", next_step=_NAME_ADVICE)


def _common_name(request: x509.CertificateSigningRequest) -> str:
    try:
        found = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except _UNREADABLE as error:
        raise BadCSR(f"The subject of the CSR cannot be read: {_first_line(error)}.") from None
    if len(found) > 1:
        raise BadCSR("The CSR has more than one common name.", next_step="Put further names into subjectAltName.")
    value = found[0].value if found else ""
    if not isinstance(value, str) or len(value) > MAX_COMMON_NAME:
        raise BadCSR(
            f"The common name of the CSR is no text of at most {MAX_COMMON_NAME} characters.",
            next_step="Put the name into subjectAltName alone.",
        )
    return _common_name_as_name(value).value if value else ""


def _common_name_as_name(text: str) -> Name:
    """The common name counts as a name (X-13): whoever reads the CN must find nothing that was not validated."""
    try:
        return parse_any(text)
    except BadName as error:
        raise BadCSR(f"The common name is no name: {error.detail}", next_step=_NAME_ADVICE) from None
