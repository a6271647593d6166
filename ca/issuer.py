"""One issuing CA: prepare a certificate, then sign exactly that.

    prepared = ca.prepare(profile, request, serial, now)    # the TBS is built and linted; nothing is signed
    der = ca.sign(prepared)                                 # those bytes, once; compared before they leave

The certificate is built from profile and request alone: a CSR has given the public key and nothing else.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ca.clock import at
from ca.errors import IssuanceMismatch, SealBroken
from ca.keycheck import check_key, key_bits
from ca.keys.algorithms import PrivateKey, PublicKey, algorithm_of, signature_hash
from ca.keys.sealed import recording, seal
from ca.lint import lint
from ca.lint.checks import key_usage
from ca.names import general_name
from ca.profiles import NO_REV_AVAIL, Profile, certificate_period
from ca.records import Issuer, IssueRequest, Name, SignKind, serial_shard

SigningKey = Callable[[SignKind], PrivateKey]
Extensions = tuple[x509.Extension[x509.ExtensionType], ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A certificate that is built and linted, and not signed yet. `tbs` is what will be signed, to the octet, once."""

    tbs: bytes
    serial: int
    not_before: int
    not_after: int
    public_key: bytes
    names: tuple[Name, ...]
    builder: x509.CertificateBuilder
    unsigned: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)


class IssuingCA:
    """One generation of an issuing CA. `signing_key` answers a private key for TBS of one kind. Thread-safe."""

    def __init__(self, issuer: Issuer, signing_key: SigningKey, status_url: str) -> None:
        self.issuer = issuer
        self._signing_key = signing_key
        self._urls = Urls(status_url)
        self._certificate = x509.load_der_x509_certificate(issuer.certificate)
        self._public_key: PublicKey = self._certificate.public_key()  # type: ignore[assignment]  # lint checks it
        self._authority_key_identifier = authority_key_identifier(self._certificate)
        self._fixed = lru_cache(maxsize=256)(self._fixed_extensions)

    def prepare(self, profile: Profile, request: IssueRequest, serial: int, now: int) -> Prepared:
        """The certificate that this request gets under this profile, linted.

        Raises `PolicyDenied` for a life that cannot be had and `LintFailed` for bytes that must not be signed.
        """
        period = profile.period(request, now, certificate_period(self.issuer.certificate))
        builder = x509.CertificateBuilder(
            self._certificate.subject,
            _subject(request.common_name),
            load_der_public_key(request.public_key),  # type: ignore[arg-type]  # check_key lets no other kind in
            serial,
            at(period.not_before),
            at(period.not_after),
            list(self._extensions(profile, request, serial)),
        )
        recorder = recording(self._public_key)
        builder.sign(recorder, signature_hash(self._public_key))  # type: ignore[arg-type]
        lint(recorder.tbs, profile, self.issuer.certificate)
        return Prepared(
            recorder.tbs, serial, period.not_before, period.not_after, request.public_key, request.names, builder
        )

    def sign(self, prepared: Prepared) -> bytes:
        """DER of the certificate, signed once and compared with what was prepared.

        Raises the HSM family, `SealBroken` for a preparation that was signed or tried before (from whichever
        thread), and `IssuanceMismatch` when what came back is not it: then a signature exists, and the serial
        is lost.
        """
        if not prepared.unsigned.acquire(blocking=False):
            raise SealBroken("A prepared certificate is signed once.", next_step="Prepare anew, with a new serial.")
        key = seal(self._signing_key(SignKind.CERTIFICATE), prepared.tbs)
        certificate = prepared.builder.sign(key, signature_hash(self._public_key))  # type: ignore[arg-type]
        self._compare(certificate, prepared)
        return certificate.public_bytes(Encoding.DER)

    def _compare(self, certificate: x509.Certificate, prepared: Prepared) -> None:
        """LESSONS: another CA once answered with its own certificate, for nobody had looked."""
        if not algorithm_of(self._public_key).verifies(self._public_key, certificate.signature, prepared.tbs):
            raise _mismatch("the signature is not the issuer's")
        if certificate.tbs_certificate_bytes != prepared.tbs:
            raise _mismatch("other bytes than those of the intent were signed")
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if spki != prepared.public_key:
            raise _mismatch("the public key is not the asker's")
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if list(names) != [general_name(name) for name in prepared.names]:
            raise _mismatch("the names are not those that were asked for")

    # --- extensions ---------------------------------------------------------------------------

    def _extensions(self, profile: Profile, request: IssueRequest, serial: int) -> Extensions:
        names = x509.SubjectAlternativeName([general_name(name) for name in request.names])
        enciphers = profile.for_servers and check_key(request.public_key).startswith("rsa-")
        return (
            *self._fixed(profile, enciphers, serial_shard(serial)),
            _extension(names, critical=not request.common_name),
            _extension(subject_key_identifier(request.public_key)),
        )

    def _fixed_extensions(self, profile: Profile, enciphers: bool, shard: int) -> Extensions:
        """What is the same for every certificate of a profile and shard."""
        pointers = self._no_pointers() if profile.no_revocation else self._pointers(shard)
        return (
            _extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
            _extension(key_usage(enciphers), critical=True),
            _extension(x509.ExtendedKeyUsage(profile.usages)),
            _extension(self._authority_key_identifier),
            *pointers,
        )

    def _pointers(self, shard: int) -> Extensions:
        access = [
            (AuthorityInformationAccessOID.OCSP, self._urls.ocsp()),
            (AuthorityInformationAccessOID.CA_ISSUERS, self._urls.certificate(self.issuer.id)),
        ]
        return (
            _extension(information_access(access)),
            _extension(distribution_points(self._urls.crl(self.issuer.id, shard))),
        )

    def _no_pointers(self) -> Extensions:
        """RFC 9608: noRevAvail, and neither OCSP nor CRL."""
        access = [(AuthorityInformationAccessOID.CA_ISSUERS, self._urls.certificate(self.issuer.id))]
        no_rev_avail = x509.UnrecognizedExtension(NO_REV_AVAIL, b"\x05\x00")
        return (_extension(information_access(access)), _extension(no_rev_avail))


def _mismatch(what: str) -> IssuanceMismatch:
    return IssuanceMismatch(f"The signed certificate was withheld: {what}.", next_step="Its serial will be revoked.")


def _extension(value: x509.ExtensionType, critical: bool = False) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def _subject(common_name: str) -> x509.Name:
    if not common_name:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


# --- what leaves, CAs and CRLs have in common ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Urls:
    """Where relying parties find things, below `server.status_url`."""

    status_url: str

    def _under(self, path: str) -> str:
        return f"{self.status_url.rstrip('/')}/{path}"

    def ocsp(self) -> str:
        """The OCSP responder."""
        return self._under("ocsp")

    def certificate(self, issuer: str) -> str:
        """The issuer's certificate in DER."""
        return self._under(f"ca/{issuer}.cer")

    def crl(self, issuer: str, shard: int) -> str:
        """One CRL shard of an issuer; it stands in certificates and in the CRL itself (L-04)."""
        return self._under(f"crl/{issuer}/{shard:04x}.crl")


def subject_key_identifier(spki: bytes) -> x509.SubjectKeyIdentifier:
    """RFC 7093 §2 method 1: the leftmost 160 bits of SHA-256 over the key's bits."""
    return x509.SubjectKeyIdentifier(hashlib.sha256(key_bits(spki)).digest()[:20])


def authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The keyid of whoever signs: the subject key identifier in its certificate (X-08)."""
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def information_access(pairs: Iterable[tuple[x509.ObjectIdentifier, str]]) -> x509.AuthorityInformationAccess:
    """authorityInfoAccess with URLs."""
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in pairs]
    )


def distribution_points(url: str) -> x509.CRLDistributionPoints:
    """cRLDistributionPoints with one full name."""
    return x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)])
