"""The certificates of CAs: a self-signed root, and issuing CAs under it (RFC 5280 §4.2, X-08 to X-12)."""

import ipaddress
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ca.ceremony.plans import BACKDATE, IssuingPlan, RootPlan
from ca.clock import at
from ca.errors import BadCSR, IssuanceMismatch
from ca.issuer import Urls, authority_key_identifier, distribution_points, information_access, subject_key_identifier
from ca.keycheck import check_key
from ca.keys.algorithms import PrivateKey, PublicKey, algorithm_of, load_spki, signature_hash, spki_of
from ca.keys.sealed import recording, seal
from ca.names import DNSPattern, NetworkPattern, Pattern, URIPattern
from ca.profiles import Period, certificate_period
from ca.records import make_serial

Extension = x509.Extension[x509.ExtensionType]
_EVERY_NETWORK = (ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0"))
NOBODY = "nobody.invalid"
"""A name that RFC 2606 keeps empty: permitting it alone excludes all others, for every verifier."""


def root_certificate(plan: RootPlan, key: PrivateKey, now: int) -> bytes:
    """DER of a self-signed root. Raises the HSM family."""
    spki = spki_of(key.public_key())
    subject = _subject(plan.common_name, plan.organization)
    extensions = [
        extension(x509.BasicConstraints(ca=True, path_length=None), critical=True),
        extension(_ca_key_usage(), critical=True),
        extension(subject_key_identifier(spki)),
    ]
    return certify(key, subject, subject, spki, Period(now - BACKDATE, now - BACKDATE + plan.life - 1), extensions)


def certification_request(plan: RootPlan | IssuingPlan, key: PrivateKey) -> bytes:
    """DER of the CSR by which a CA's key proves that it is there. Raises the HSM family."""
    builder = x509.CertificateSigningRequestBuilder(_subject(plan.common_name, plan.organization))
    request = builder.sign(key, signature_hash(key.public_key()))  # type: ignore[arg-type]
    return request.public_bytes(Encoding.DER)


@dataclass(frozen=True, slots=True)
class Parent:
    """Who certifies an issuing CA: its id, its certificate in DER, and its private key (of a token at hand)."""

    id: str
    certificate: bytes
    key: PrivateKey


def issuing_certificate(plan: IssuingPlan, csr: bytes, parent: Parent, urls: Urls, now: int) -> bytes:
    """DER of an issuing CA's certificate.

    The request gives the public key only. The life ends with the parent's at the latest (X-05). Raises
    `BadCSR`, `BadPublicKey` and the HSM family.
    """
    issuer = x509.load_der_x509_certificate(parent.certificate)
    spki = proven_key(csr)
    extensions = [
        extension(x509.BasicConstraints(ca=True, path_length=0), critical=True),
        extension(_ca_key_usage(), critical=True),
        extension(subject_key_identifier(spki)),
        extension(authority_key_identifier(issuer)),
        extension(information_access([(AuthorityInformationAccessOID.CA_ISSUERS, urls.certificate(parent.id))])),
        extension(distribution_points(urls.crl(parent.id, 0))),
    ]
    if not plan.unconstrained:
        extensions.append(extension(name_constraints(plan.patterns), critical=True))
    subject = _subject(plan.common_name, plan.organization)
    return certify(parent.key, issuer.subject, subject, spki, _within(parent, plan.life, now), extensions)


def _within(parent: Parent, life: int, now: int) -> Period:
    limits = certificate_period(parent.certificate)
    start = max(now - BACKDATE, limits.not_before)
    return Period(start, min(start + life - 1, limits.not_after))


def proven_key(csr: bytes) -> bytes:
    """The SPKI of a request that its own key has signed. Raises `BadCSR` and `BadPublicKey`."""
    try:
        request = x509.load_der_x509_csr(csr)
        spki = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        proven = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise BadCSR("The request of the CA cannot be read.") from None
    if not proven:
        raise BadCSR("The request of the CA is not signed by its own key.")
    check_key(spki)
    return spki


def certify(
    key: PrivateKey, issuer: x509.Name, subject: x509.Name, spki: bytes, period: Period, extensions: list[Extension]
) -> bytes:
    """DER of a CA's certificate: records the TBS, signs exactly that, and looks at what came back (KC-08).

    Raises `IssuanceMismatch` and the HSM family.
    """
    public_key: PublicKey = key.public_key()
    builder = x509.CertificateBuilder(
        issuer,
        subject,
        load_spki(spki),
        make_serial(0, secrets.token_bytes(16)),
        at(period.not_before),
        at(period.not_after),
        extensions,
    )
    recorder = recording(public_key)
    builder.sign(recorder, signature_hash(public_key))  # type: ignore[arg-type]
    certificate = builder.sign(seal(key, recorder.tbs), signature_hash(public_key))  # type: ignore[arg-type]
    if not algorithm_of(public_key).verifies(public_key, certificate.signature, recorder.tbs):
        raise IssuanceMismatch("The certificate of the CA was withheld: its signature is not by the key at hand.")
    return certificate.public_bytes(Encoding.DER)


def extension(value: x509.ExtensionType, critical: bool = False) -> Extension:
    """One extension, as certificates hold it."""
    return x509.Extension(value.oid, critical, value)


def _subject(common_name: str, organization: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _ca_key_usage() -> x509.KeyUsage:
    """keyCertSign and cRLSign; no digitalSignature, since a CA's own key never signs OCSP here (X-10)."""
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


# --- name constraints ---------------------------------------------------------------------------


def name_constraints(patterns: Iterable[Pattern]) -> x509.NameConstraints:
    """What may be certified, with every kind of name that is not permitted excluded (X-12, RFC 5280 §4.2.1.10).

    Networks are excluded whole by version. For DNS an empty constraint excludes all; for URIs and e-mail
    verifiers differ about it, so these are permitted for one name alone that can have no holder.
    """
    patterns = list(patterns)
    permitted = list(_permitted(patterns))
    excluded = list(_excluded(patterns))
    return x509.NameConstraints(permitted, excluded or None)


def _permitted(patterns: Sequence[Pattern]) -> Iterator[x509.GeneralName]:
    hosts = [p.host for p in patterns if isinstance(p, DNSPattern) and not p.stars]
    domains = [p.domain for p in patterns if isinstance(p, URIPattern)]
    yield from map(x509.DNSName, dict.fromkeys(hosts))
    yield from (x509.IPAddress(p.network) for p in patterns if isinstance(p, NetworkPattern))
    yield from map(x509.UniformResourceIdentifier, dict.fromkeys(domains or [NOBODY]))
    yield x509.RFC822Name(NOBODY)


def _excluded(patterns: Sequence[Pattern]) -> Iterator[x509.GeneralName]:
    if not any(isinstance(p, DNSPattern) for p in patterns):
        yield x509.DNSName("")
    versions = {p.network.version for p in patterns if isinstance(p, NetworkPattern)}
    yield from (x509.IPAddress(network) for network in _EVERY_NETWORK if network.version not in versions)
