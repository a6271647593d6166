"""What a root may cross-sign, and how wide: rules over certificates, which sign nothing.

proof = demand_proven(certificate, request, recorded)     # its key is in the hands of whom it names
extensions = narrowed(certificate, signer, plan)          # never wider than the subject's own, or the signer's
"""

import ipaddress
from collections.abc import Iterator
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.ceremony.certificates import NOBODY, name_constraints, proven_key
from ca.ceremony.plans import BACKDATE, CrossPlan
from ca.errors import BadRequest, Conflict, PolicyDenied
from ca.issuer import subject_key_identifier
from ca.keycheck import check_key
from ca.profiles import Period, certificate_period

E = TypeVar("E", bound=x509.ExtensionType)

_NARROWED = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier, x509.RFC822Name)
"""The kinds of name that our own name constraints speak of, each permitted or excluded."""

_CARRIED = (x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints, x509.ExtendedKeyUsage)
"""Extensions that limit a CA and that the cross certificate repeats. Another critical one would be lost."""


def spki_of(certificate: x509.Certificate) -> bytes:
    """The public key of a CA, one that may be certified. Raises `BadPublicKey` and `BadRequest`."""
    try:
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise BadRequest("The public key in that certificate cannot be read.") from None
    check_key(spki)
    return spki


def demand_authority(certificate: x509.Certificate) -> None:
    """Returns for the certificate of a CA that a copy can be no wider than. Raises `BadRequest` and `PolicyDenied`."""
    try:
        found = {type(one.value): one for one in certificate.extensions}
        subject = certificate.subject
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise BadRequest(f"That certificate cannot be read: {error}.") from None
    basic, usage = found.get(x509.BasicConstraints), found.get(x509.KeyUsage)
    signs = usage is None or (isinstance(usage.value, x509.KeyUsage) and usage.value.key_cert_sign)
    if basic is None or not isinstance(basic.value, x509.BasicConstraints) or not basic.value.ca or not signs:
        raise BadRequest("That is no CA's certificate.", next_step="Name the certificate of a root or an issuing CA.")
    lost = sorted(one.oid.dotted_string for kind, one in found.items() if one.critical and kind not in _CARRIED)
    if lost:
        raise PolicyDenied(f"That certificate is limited by critical extensions that would be lost: {', '.join(lost)}.")
    if subject.public_bytes() not in certificate.tbs_certificate_bytes or not list(subject):
        raise PolicyDenied("The subject of that certificate cannot be repeated to the octet, so no chain would fit.")


def demand_proven(certificate: x509.Certificate, request: bytes, recorded: bool) -> str:
    """How it is known that the subject has its key, in words for the transcript. Raises `PolicyDenied`, `BadCSR`.

    A request is one of today. A self-signed certificate says that the key was there when it was made. A CA of the
    records has shown its key at its own ceremony. A certificate that another CA has signed says nothing.
    """
    if request:
        if proven_key(request) != spki_of(certificate):
            raise PolicyDenied("The request is for another key than the certificate.", next_step="Name its own CSR.")
        return "a request that is signed by the key"
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        if recorded:
            return "the records of this installation: the key was shown at its own ceremony"
        raise PolicyDenied(
            "Nothing shows that somebody has the key of that certificate: it is not self-signed.",
            next_step="Ask its CA for a CSR with the same key, and name it by --csr.",
        ) from None
    return "the certificate is signed by its own key"


def crossing_period(certificate: x509.Certificate, signer: bytes, life: int, now: int) -> Period:
    """Inside the lives of both, and no longer than `life` seconds. Raises `Conflict` when nothing is left."""
    own = Period(int(certificate.not_valid_before_utc.timestamp()), int(certificate.not_valid_after_utc.timestamp()))
    limits = certificate_period(signer)
    start = max(now - BACKDATE, limits.not_before, own.not_before)
    end = min(start + life - 1, limits.not_after, own.not_after)
    if end <= now:
        raise Conflict("There is no life left to certify: one of the two CAs has ended.")
    return Period(start, end)


Limits = tuple[x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints | None, x509.ExtendedKeyUsage | None]


def narrowed(certificate: x509.Certificate, signer: x509.Certificate, plan: CrossPlan) -> Limits:
    """What limits the cross certificate: the subject's own limits, made narrower as planned. Raises `PolicyDenied`."""
    usage = _value(certificate, x509.KeyUsage)
    return (
        x509.BasicConstraints(ca=True, path_length=_path_length(certificate, signer, plan.path_length)),
        _usage(crl_sign=usage is None or usage.crl_sign),
        _names(certificate, signer, plan),
        _value(certificate, x509.ExtendedKeyUsage),
    )


def key_identifier(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """The subject's own, whoever computed it: what it has signed names it so."""
    return _value(certificate, x509.SubjectKeyIdentifier) or subject_key_identifier(spki_of(certificate))


def _value(certificate: x509.Certificate, kind: type[E]) -> E | None:
    return next((one.value for one in certificate.extensions if isinstance(one.value, kind)), None)


def _path_length(certificate: x509.Certificate, signer: x509.Certificate, asked: int | None) -> int | None:
    own, above = (_value(one, x509.BasicConstraints) for one in (certificate, signer))
    limits = [own.path_length] if own and own.path_length is not None else []
    if above and above.path_length is not None:
        limits.append(above.path_length - 1)
    if limits and min(limits) < 0:
        raise PolicyDenied("The root's own path length lets it certify no further CA.")
    if asked is not None and limits and asked > min(limits):
        raise PolicyDenied(f"A path length of {asked} is wider than the {min(limits)} that the two CAs have.")
    return min([*limits, *([] if asked is None else [asked])], default=None)


def _usage(*, crl_sign: bool) -> x509.KeyUsage:
    off = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), False)
    rest = dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(**off, **rest, key_cert_sign=True, crl_sign=crl_sign)


# --- name constraints ---------------------------------------------------------------------------


def _names(certificate: x509.Certificate, signer: x509.Certificate, plan: CrossPlan) -> x509.NameConstraints | None:
    own = _value(certificate, x509.NameConstraints)
    if not plan.patterns:
        if own is None and not plan.unconstrained:
            raise PolicyDenied(
                "Name constraints are required for a CA that has none of its own.",
                next_step="Say which names by --permit, set ca.permitted_names, or say --unconstrained.",
            )
        return own
    asked = name_constraints(plan.patterns)
    for limits in filter(None, (own, _value(signer, x509.NameConstraints))):
        _demand_narrower(asked, limits)
    kept = [one for one in (own and own.permitted_subtrees) or () if not isinstance(one, _NARROWED)]
    excluded = [*(asked.excluded_subtrees or ()), *((own and own.excluded_subtrees) or ())]
    return x509.NameConstraints([*(asked.permitted_subtrees or ()), *kept], list(dict.fromkeys(excluded)) or None)


def _demand_narrower(asked: x509.NameConstraints, limits: x509.NameConstraints) -> None:
    for one in asked.permitted_subtrees or ():
        same = [limit for limit in limits.permitted_subtrees or () if type(limit) is type(one)]
        if one.value != NOBODY and same and not any(_inside(one, limit) for limit in same):
            raise PolicyDenied(
                f"{one.value} is outside the name constraints of the CA.",
                next_step=f"Permit what is inside {', '.join(_words(same))}, or leave out --permit to keep its own.",
            )


def _words(names: list[x509.GeneralName]) -> Iterator[str]:
    return (str(one.value) for one in names)


def _inside(inner: x509.GeneralName, outer: x509.GeneralName) -> bool:
    """Whether one subtree lies in another of its kind; equal where the kind has no rule here."""
    match inner, outer:
        case x509.DNSName(), x509.DNSName():
            host, above = inner.value.lower(), outer.value.lower().lstrip(".")
            return not above or host.endswith("." + above) or (host == above and not outer.value.startswith("."))
        case x509.IPAddress(), x509.IPAddress():
            return _in_network(inner.value, outer.value)
        case x509.UniformResourceIdentifier(), x509.UniformResourceIdentifier() if outer.value.startswith("."):
            return inner.value.endswith(outer.value)
        case _:
            return inner == outer


def _in_network(inner: object, outer: object) -> bool:
    match inner, outer:
        case ipaddress.IPv4Network(), ipaddress.IPv4Network():
            return inner.subnet_of(outer)
        case ipaddress.IPv6Network(), ipaddress.IPv6Network():
            return inner.subnet_of(outer)
        case _:
            return False
