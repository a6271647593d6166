"""What relying parties make of a certificate: OpenSSL's verifier, its OCSP client, and pkilint.

Nothing here knows how the product works: each URL is taken from the certificate itself.
"""

import base64
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import AuthorityInformationAccessOID
from pkilint import loader, pkix
from pkilint.pkix import certificate, crl, extension, name, ocsp
from pkilint.validation import ValidationFindingSeverity

from tests.interop.world import environment, need, run

PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
_CRL_FETCHED_BY_OPENSSL = ("-crl_check", "-crl_download")


@dataclass(frozen=True)
class Chain:
    """What a client was given: the leaf first, then what certifies it, no root."""

    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def read(cls, *files: Path) -> "Chain":
        return cls.parse(b"".join(file.read_bytes() for file in files))

    @classmethod
    def parse(cls, pem: bytes) -> "Chain":
        return cls(tuple(x509.load_pem_x509_certificates(pem)))

    @property
    def leaf(self) -> x509.Certificate:
        return self.certificates[0]

    @property
    def issuer(self) -> x509.Certificate:
        return self.certificates[1]

    @property
    def serial(self) -> int:
        return self.leaf.serial_number

    @property
    def names(self) -> set[str]:
        found = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(found.get_values_for_type(x509.DNSName))


class RelyingParty:
    """A program that trusts one root and asks whatever the certificate tells it to ask."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.openssl = need("openssl")
        self.env = environment(folder)

    def accepts(self, chain: Chain, *names: str, key: Path | None = None) -> None:
        """Holds if the chain is strictly valid, unrevoked by CRL and OCSP, made for these names and this key."""
        assert chain.names == set(names)
        assert key is None or self._public(key) == _spki(chain.leaf), "the certificate is for another key"
        self._verify(chain, *self._every_crl(chain))
        self._verify(chain, *_CRL_FETCHED_BY_OPENSSL)
        assert self._status_by_post(chain) == self._status_by_get(chain) == "good"
        self.lints(chain)

    def refuses(self, chain: Chain, reason: str = "") -> None:
        """Holds if OCSP (both methods) and the CRL call the leaf revoked, and OpenSSL therefore refuses it."""
        assert self._status_by_post(chain, reason) == self._status_by_get(chain, reason) == "revoked"
        assert "certificate revoked" in self._verify(chain, *_CRL_FETCHED_BY_OPENSSL, ok=(2,))
        self.lints(chain)

    def lints(self, chain: Chain) -> None:
        """Holds if pkilint finds nothing from WARNING up in certificates, OCSP answer and CRL."""
        for one in chain.certificates:
            _clean(_CERTIFICATE, loader.RFC5280CertificateDocumentLoader(), one.public_bytes(DER))
            _clean(_LIST, loader.RFC5280CertificateListDocumentLoader(), _crl(one).public_bytes(DER))
        _clean(_OCSP, loader.RFC6960OCSPResponseDocumentLoader(), self._get_answer(chain))

    # -- openssl ---------------------------------------------------------------------------------------------------
    def _verify(self, chain: Chain, *revocation: str | Path, ok: tuple[int, ...] = (0,)) -> str:
        """`openssl verify`, strict, for a TLS server of the chain's first name."""
        leaf, issuers = self._files(chain)
        strict = ("-x509_strict", "-purpose", "sslserver", "-verify_hostname", min(chain.names))
        trust = ("-CAfile", self.root, "-no-CApath", "-no-CAstore", "-untrusted", issuers)
        return run(self.openssl, "verify", *strict, *revocation, *trust, leaf, env=self.env, ok=ok)

    def _every_crl(self, chain: Chain) -> tuple[str | Path, ...]:
        """Arguments that make OpenSSL look for each certificate on the CRL of its issuer."""
        lists = self.folder / "crls.pem"
        lists.write_bytes(b"".join(_crl(one).public_bytes(PEM) for one in chain.certificates))
        return ("-crl_check_all", "-CRLfile", lists)

    def _status_by_post(self, chain: Chain, reason: str = "") -> str:
        url = _access(chain.leaf, AuthorityInformationAccessOID.OCSP)
        return self._ocsp(chain, "-url", url, reason=reason)

    def _status_by_get(self, chain: Chain, reason: str = "") -> str:
        return self.reads(chain, self._get_answer(chain), reason)

    def reads(self, chain: Chain, answer: bytes, reason: str = "") -> str:
        """The status of the leaf in an answer without nonce, wherever it comes from."""
        file = self.folder / "answer.der"
        file.write_bytes(answer)
        return self._ocsp(chain, "-no_nonce", "-respin", str(file), reason=reason)

    def asks(self, chain: Chain, *how: str) -> bytes:
        """OpenSSL's OCSP request for the leaf; without nonce unless told otherwise."""
        leaf, issuers = self._files(chain)
        request = self.folder / "request.der"
        asked = (*(how or ("-no_nonce",)), "-issuer", issuers, "-cert", leaf, "-reqout", request)
        run(self.openssl, "ocsp", *asked, env=self.env)
        return request.read_bytes()

    def _get_answer(self, chain: Chain) -> bytes:
        """The OCSP answer by GET, as nginx asks for it: base64 with escapes in the path."""
        path = urllib.parse.quote(base64.b64encode(self.asks(chain)).decode(), safe="")
        url = _access(chain.leaf, AuthorityInformationAccessOID.OCSP)
        return fetch(f"{url}/{path}", "application/ocsp-response")

    def _ocsp(self, chain: Chain, *how: str, reason: str = "") -> str:
        """The status that `openssl ocsp` reads, its signature and responder certificate verified up to the root."""
        leaf, issuers = self._files(chain)
        trusted = self.folder / "trusted.pem"
        trusted.write_bytes(self.root.read_bytes() + issuers.read_bytes())
        who = ("-issuer", issuers, "-cert", leaf, "-CAfile", trusted, "-no-CApath", "-no-CAstore")
        said = run(self.openssl, "ocsp", *who, *how, env=self.env)
        assert "Response verify OK" in said, said
        assert reason in said, said
        return said.split("leaf.pem: ")[1].split()[0]

    def _public(self, key: Path) -> bytes:
        """The public half of a client's key file; by OpenSSL, which reads GnuTLS's keys too."""
        public = self.folder / "public.der"
        run(self.openssl, "pkey", "-in", key, "-pubout", "-outform", "DER", "-out", public, env=self.env)
        return public.read_bytes()

    def _files(self, chain: Chain) -> tuple[Path, Path]:
        leaf, issuers = self.folder / "leaf.pem", self.folder / "issuers.pem"
        leaf.write_bytes(chain.leaf.public_bytes(PEM))
        issuers.write_bytes(b"".join(one.public_bytes(PEM) for one in chain.certificates[1:]))
        return leaf, issuers


def fetch(url: str, content_type: str) -> bytes:
    """One plain GET on loopback, without proxies; the body, if it has the type that the standard names."""
    assert urllib.parse.urlsplit(url).hostname in {"localhost", "127.0.0.1"}, url
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        assert answer.headers["Content-Type"] == content_type
        return bytes(answer.read())


def _crl(certificate: x509.Certificate) -> x509.CertificateRevocationList:
    """The CRL that a certificate names."""
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return x509.load_der_x509_crl(fetch(points[0].full_name[0].value, "application/pkix-crl"))


def _access(leaf: x509.Certificate, method: x509.ObjectIdentifier) -> str:
    found = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    return next(str(one.access_location.value) for one in found if one.access_method == method)


def _spki(leaf: x509.Certificate) -> bytes:
    return leaf.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)


# -- pkilint, assembled as its own command lines do --------------------------------------------------------------------
_DECODERS = [
    pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
    pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
]
_CERTIFICATE = certificate.create_pkix_certificate_validator_container(
    certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
    [
        certificate.create_issuer_validator_container([]),
        certificate.create_validity_validator_container(),
        certificate.create_subject_validator_container([]),
        certificate.create_extensions_validator_container([]),
        certificate.create_spki_validator_container([]),
    ],
)
_LIST = crl.create_pkix_crl_validator_container(
    _DECODERS,
    [
        crl.create_issuer_validator_container([]),
        crl.create_validity_validator_container([]),
        crl.create_extensions_validator_container([]),
    ],
)
_OCSP = ocsp.create_pkix_ocsp_response_validator_container([ocsp.create_response_decoder(), *_DECODERS], [])


def _clean(validator: object, load: loader.DocumentLoader, der: bytes) -> None:
    found = [
        f"{result.node.path}: {one}"
        for result in validator.validate(load.load_der_document(der).root)
        for one in result.finding_descriptions
        if one.finding.severity <= ValidationFindingSeverity.WARNING
    ]
    # pkilint takes a subtree of one label (localhost, internal) for no domain; RFC 5280 4.2.1.10 does not. Nor does it
    # know wildcards, which RFC 5280 4.2.1.6 leaves to applications.
    known = ("nameConstraints", '"*.')
    assert [one for one in found if "invalid_domain_name" not in one or not any(word in one for word in known)] == []
