"""A whole small hierarchy with keys in memory, for the rooms that build and judge DER."""

import os
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.ceremony.certificates import Parent, certification_request, issuing_certificate, root_certificate
from ca.ceremony.plans import demo_issuing, demo_root
from ca.clock import system_clock
from ca.config import Config
from ca.issuer import IssuingCA, Urls
from ca.keys.signer import responder as responders
from ca.names import parse_any
from ca.policy import Policy
from ca.profiles import Profile, compile_all
from ca.records import SYSTEM, Issuer, IssueRequest, make_serial

STATUS_URL = "http://pki.test:8080"
PERMITTED = ("localhost", "test", "internal", "127.0.0.0/8", "::1/128", "10.0.0.0/8", "spiffe://example.test")


@dataclass(frozen=True)
class Hierarchy:
    """Root, issuing CA and responder as records, with their keys; `now` is the moment of the ceremony."""

    now: int
    root: Issuer
    root_key: ec.EllipticCurvePrivateKey
    issuing: Issuer
    issuing_key: ec.EllipticCurvePrivateKey
    responder: x509.Certificate
    responder_key: ec.EllipticCurvePrivateKey
    profiles: dict[str, Profile]
    policy: Policy

    @property
    def ca(self) -> IssuingCA:
        """The issuing CA, ready to issue."""
        return IssuingCA(self.issuing, lambda kind: self.issuing_key, STATUS_URL)

    @property
    def issuing_certificate(self) -> x509.Certificate:
        """The issuing CA's certificate, parsed."""
        return x509.load_der_x509_certificate(self.issuing.certificate)

    def serial(self, shard: int = 0) -> int:
        """A fresh serial."""
        return make_serial(shard, os.urandom(16))

    def request(self, *names: str, profile: str = "server", **more: object) -> IssueRequest:
        """A request of the system for these names, with a fresh key unless one is given."""
        fields = {"public_key": fresh_spki(), "names": tuple(map(parse_any, names)), "actor": SYSTEM, **more}
        return IssueRequest(profile=profile, **fields)  # type: ignore[arg-type]

    def issue(self, request: IssueRequest, shard: int = 0) -> bytes:
        """The whole way without records: policy, prepare and lint, sign, compare."""
        profile = self.profiles[request.profile]
        self.policy.permit(request, profile, self.issuing, self.now)
        return self.ca.sign(self.ca.prepare(profile, request, self.serial(shard), self.now))


def fresh_spki(kind: str = "ec-p256") -> bytes:
    """DER SPKI of a new key."""
    return spki_of(new_key(kind))


def new_key(kind: str):  # type: ignore[no-untyped-def]
    """A new private key in memory."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa-"):
        return rsa.generate_private_key(65537, int(kind[4:]))
    return ec.generate_private_key({"ec-p256": ec.SECP256R1(), "ec-p384": ec.SECP384R1()}[kind])


def spki_of(key) -> bytes:  # type: ignore[no-untyped-def]
    """DER SPKI of a private key."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="session")
def hierarchy() -> Hierarchy:
    now = system_clock()
    root_key, issuing_key, responder_key = new_key("ec-p384"), new_key("ec-p256"), new_key("ec-p256")
    root_der = root_certificate(demo_root(), root_key, now)
    root = Issuer("root-g1", "root", "root", "root-g1", root_der)
    plan = demo_issuing(PERMITTED)
    der = issuing_certificate(
        plan, certification_request(plan, issuing_key), Parent("root-g1", root_der, root_key), Urls(STATUS_URL), now
    )
    issuing = Issuer("issuing-g1", "issuing", "issuing", "issuing-g1", der, "root-g1", shards=4)
    certificate = x509.load_der_x509_certificate(der)
    responder = responders.build(
        certificate,
        issuing_key,
        responder_key.public_key(),
        responders.plan_life(certificate, now, 20),
        responders.serial(secrets.token_bytes(16)),
    )
    config = Config(mode="demo", ca={"permitted_names": list(PERMITTED)})  # type: ignore[arg-type]
    profiles = compile_all(config)
    policy = Policy(config, profiles)
    return Hierarchy(now, root, root_key, issuing, issuing_key, responder, responder_key, profiles, policy)


@pytest.fixture
def openssl(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs openssl in the test's own folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=20)

    return run


@pytest.fixture
def spki() -> Callable[[str], bytes]:
    """Makes fresh public keys by kind."""
    return fresh_spki


@pytest.fixture
def private_key() -> Callable:  # type: ignore[type-arg]
    """Makes fresh private keys by kind."""
    return new_key


@pytest.fixture(scope="session")
def pkilint() -> Callable[[str, bytes], list[str]]:
    """What pkilint (an independent linter) finds in DER: `pkilint("certificate" | "crl" | "ocsp", der)`."""
    from pkilint import loader, pkix
    from pkilint.pkix import certificate, crl, extension, name, ocsp
    from pkilint.validation import ValidationFindingSeverity

    decoders = [
        pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
        pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
    ]
    kinds = {
        "certificate": (
            loader.load_certificate,
            certificate.create_pkix_certificate_validator_container(
                certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
                [
                    certificate.create_issuer_validator_container([]),
                    certificate.create_validity_validator_container(),
                    certificate.create_subject_validator_container([]),
                    certificate.create_extensions_validator_container([]),
                    certificate.create_spki_validator_container([]),
                ],
            ),
        ),
        "crl": (
            loader.load_crl,
            crl.create_pkix_crl_validator_container(
                decoders,
                [
                    crl.create_issuer_validator_container([]),
                    crl.create_validity_validator_container([]),
                    crl.create_extensions_validator_container([]),
                ],
            ),
        ),
        "ocsp": (
            loader.load_ocsp_response,
            ocsp.create_pkix_ocsp_response_validator_container([ocsp.create_response_decoder(), *decoders], []),
        ),
    }

    def findings(kind: str, der: bytes) -> list[str]:
        load, validator = kinds[kind]
        found = [
            f"{one.finding.severity.name} {one.finding.code} {one.message or ''}".strip()
            for result in validator.validate(load(der, kind).root)
            for one in result.finding_descriptions
            if one.finding.severity <= ValidationFindingSeverity.NOTICE
        ]
        # pkilint takes URLs of the web alone for URIs.
        return [text for text in found if not ("invalid_uri_syntax" in text and '"spiffe://' in text)]

    return findings
