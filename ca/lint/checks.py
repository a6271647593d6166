"""The rules as rows: id, promise, and a predicate over one draft. Each is as small as its sentence."""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

from ca.errors import BadName
from ca.keycheck import check_key
from ca.lint.constraints import permits
from ca.lint.draft import Draft, sequence
from ca.names import parse_dns, parse_ip, parse_uri
from ca.profiles import NO_REV_AVAIL
from ca.records import Name

MAX_COMMON_NAME = 64

_SIGNATURES = {
    "ec-p256": bytes.fromhex("06082a8648ce3d040302"),
    "ec-p384": bytes.fromhex("06082a8648ce3d040303"),
    "rsa": bytes.fromhex("06092a864886f70d01010b0500"),
    "ed25519": bytes.fromhex("06032b6570"),
}
"""The content of the AlgorithmIdentifier by the issuer's key: RSA with NULL, the others without parameters."""

_EXTENSIONS = {
    ExtensionOID.BASIC_CONSTRAINTS: True,
    ExtensionOID.KEY_USAGE: True,
    ExtensionOID.EXTENDED_KEY_USAGE: False,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: False,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS: False,
    ExtensionOID.CRL_DISTRIBUTION_POINTS: False,
    NO_REV_AVAIL: False,
}
"""Every extension that a leaf may carry, and whether it is critical; subjectAltName has a rule of its own."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: `promise` is a sentence that is true of every certificate that passes."""

    id: str
    promise: str
    holds: Callable[[Draft], bool]


# --- the fields ---------------------------------------------------------------------------------


def _serial(draft: Draft) -> bool:
    return draft.raw.serial > 0 and 64 <= draft.raw.serial.bit_length() <= 159


def _signature_algorithm(draft: Draft) -> bool:
    kind = check_key(draft.issuer.spki)
    wanted = _SIGNATURES["rsa" if kind.startswith("rsa-") else kind]
    return bytes(draft.raw.signature.data) == wanted


def _time_types(draft: Draft) -> bool:
    times = (draft.raw.validity.not_before, draft.raw.validity.not_after)
    return all(isinstance(t, asn1.UTCTime) == (t.as_datetime().year < 2050) for t in times)


def _inside_issuer(draft: Draft) -> bool:
    start, end = draft.period
    issuer = draft.issuer.certificate
    return issuer.not_valid_before_utc <= start < end <= issuer.not_valid_after_utc


def _lifetime(draft: Draft) -> bool:
    start, end = draft.period
    return (end - start).total_seconds() + 1 <= draft.profile.max_validity


def _issuer_name(draft: Draft) -> bool:
    return sequence(draft.raw.issuer) == draft.issuer.subject


def _subject_key(draft: Draft) -> bool:
    return draft.key_type in draft.profile.key_types


# --- the extensions -----------------------------------------------------------------------------


def _empty_subject(draft: Draft) -> bool:
    found = draft.extension(x509.SubjectAlternativeName)
    return found is not None and found.critical == (not draft.subject)


def _key_identifiers(draft: Draft) -> bool:
    authority = draft.extension(x509.AuthorityKeyIdentifier)
    own = draft.extension(x509.SubjectKeyIdentifier)
    return (
        authority is not None
        and authority.value.key_identifier == draft.issuer.key_identifier
        and own is not None
        and len(own.value.digest) == 20
    )


def _not_a_ca(draft: Draft) -> bool:
    found = draft.extension(x509.BasicConstraints)
    return found is None or not found.value.ca


def _key_usage(draft: Draft) -> bool:
    found = draft.extension(x509.KeyUsage)
    if found is None:
        return False
    enciphers = draft.key_type.startswith("rsa-") and draft.profile.for_servers
    return found.value == key_usage(enciphers)


def key_usage(enciphers: bool) -> x509.KeyUsage:
    """digitalSignature, and keyEncipherment for RSA keys of TLS servers (X-10)."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _extended_key_usage(draft: Draft) -> bool:
    found = draft.extension(x509.ExtendedKeyUsage)
    return found is not None and tuple(found.value) == draft.profile.usages


def _constrained(draft: Draft) -> bool:
    constraints = draft.issuer.constraints
    return constraints is None or all(permits(constraints, name) for name in draft.names)


def _normal_names(draft: Draft) -> bool:
    try:
        names = [_normal(name) for name in draft.names]
    except BadName:
        return False
    return bool(names) and len(set(names)) == len(names) and {n.kind for n in names} <= draft.profile.name_kinds


def _normal(name: x509.GeneralName) -> Name:
    """The name, if it stands there in its normal form already."""
    parsed = {
        x509.DNSName: parse_dns,
        x509.IPAddress: parse_ip,
        x509.UniformResourceIdentifier: parse_uri,
    }.get(type(name), _foreign)(str(name.value))
    if parsed.value != str(name.value):
        raise BadName(f"{name.value} is not in its normal form.")
    return parsed


def _foreign(text: str) -> Name:
    raise BadName(f"{text} is of a foreign type.")


def _common_name(draft: Draft) -> bool:
    if not draft.subject:
        return True
    [first, *more] = draft.subject
    values = [str(name.value) for name in draft.names]
    return (
        not more and first.oid == NameOID.COMMON_NAME and first.value in values and len(first.value) <= MAX_COMMON_NAME
    )


def _revocation_pointers(draft: Draft) -> bool:
    silent = any(one.oid == NO_REV_AVAIL for one in draft.extensions)
    ocsp = _access(draft, AuthorityInformationAccessOID.OCSP)
    points = draft.extension(x509.CRLDistributionPoints)
    if draft.profile.no_revocation:
        return silent and not ocsp and points is None
    return not silent and _are_http(ocsp) and points is not None and _are_http(_full_names(points.value))


def _issuer_pointer(draft: Draft) -> bool:
    return _are_http(_access(draft, AuthorityInformationAccessOID.CA_ISSUERS))


def _access(draft: Draft, method: x509.ObjectIdentifier) -> list[str]:
    found = draft.extension(x509.AuthorityInformationAccess)
    return [str(one.access_location.value) for one in found.value if one.access_method == method] if found else []


def _full_names(points: x509.CRLDistributionPoints) -> list[str]:
    return [str(name.value) for point in points for name in point.full_name or ()]


def _are_http(urls: list[str]) -> bool:
    return bool(urls) and all(url.startswith("http://") for url in urls)


def _known_extensions(draft: Draft) -> bool:
    return all(
        one.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME or _EXTENSIONS.get(one.oid) == one.critical
        for one in draft.extensions
    )


CHECKS = (
    Check("X-01", "it is of version 3", lambda draft: draft.raw.version == 2),
    Check("X-02", "the serial is positive, of 64 to 159 bits", _serial),
    Check("X-03", "the signature algorithm is that of the issuer's key", _signature_algorithm),
    Check("X-04", "times are UTCTime to 2049 and GeneralizedTime from 2050", _time_types),
    Check("X-05", "it lives within the issuer's life", _inside_issuer),
    Check("B-05", "it lives at most as long as the profile says", _lifetime),
    Check("X-06", "the issuer's name is octet for octet the issuer's subject", _issuer_name),
    Check("B-01", "the key is sound, and of a kind that the profile takes", _subject_key),
    Check("X-07", "subjectAltName is there, critical exactly when the subject is empty", _empty_subject),
    Check("X-08", "the authority key identifier is the issuer's; the subject's has 20 octets", _key_identifiers),
    Check("X-09", "basicConstraints is absent or FALSE", _not_a_ca),
    Check("X-10", "keyUsage is digitalSignature, and keyEncipherment for RSA servers", _key_usage),
    Check("X-11", "the extended key usages are exactly the profile's", _extended_key_usage),
    Check("X-12", "every name lies within the issuer's name constraints", _constrained),
    Check("X-13", "names are in normal form, once each, and of the profile's kinds", _normal_names),
    Check("X-13", "the subject is empty or one common name that is also an alternative name", _common_name),
    Check("X-14", "caIssuers is an http URL", _issuer_pointer),
    Check("X-14", "OCSP and CRL are http URLs, or noRevAvail stands in their place", _revocation_pointers),
    Check("X-15", "every extension is known and as critical as it has to be", _known_extensions),
)
