"""The certificates of CAs: X-08 to X-12, judged by openssl, pkilint and the library."""

import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.ceremony.certificates import (
    Parent,
    certification_request,
    issuing_certificate,
    name_constraints,
    root_certificate,
)
from ca.ceremony.plans import IssuingPlan, RootPlan, demo_issuing, demo_root
from ca.clock import at
from ca.errors import BadCSR, BadPublicKey
from ca.issuer import Urls
from ca.lint.constraints import permits
from ca.names import subtrees

NOW = 1_800_000_000
URLS = Urls("http://pki.test")


def load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def extension(certificate: x509.Certificate, kind: type) -> Any:
    return certificate.extensions.get_extension_for_class(kind)


@pytest.fixture
def signed(private_key: Any) -> Any:
    """Root and issuing CA of two plans, with fresh keys of the plans' algorithms."""

    def make(root: RootPlan, plan: IssuingPlan, now: int = NOW) -> tuple[bytes, bytes]:
        root_key, key = private_key(root.algorithm), private_key(plan.algorithm)
        der = root_certificate(root, root_key, now)
        parent = Parent(root.id, der, root_key)
        return der, issuing_certificate(plan, certification_request(plan, key), parent, URLS, now)

    return make


@pytest.mark.parametrize("root_algorithm", ["ec-p384", "ec-p256", "rsa-3072", "ed25519"])
def test_x09_x10_x08_a_root(root_algorithm: str, signed: Any, pkilint: Any) -> None:
    plan = replace(RootPlan(), algorithm=root_algorithm, organization="Example")
    root = load(signed(plan, demo_issuing(("test",)))[0])
    root.verify_directly_issued_by(root)
    constraints, usage = extension(root, x509.BasicConstraints), extension(root, x509.KeyUsage)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(True, None)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, True, False)
    assert len(extension(root, x509.SubjectKeyIdentifier).value.digest) == 20
    with pytest.raises(x509.ExtensionNotFound):
        extension(root, x509.ExtendedKeyUsage)
    assert root.subject.rfc4514_string() == "CN=Certwright Root G1,O=Example"
    assert pkilint("certificate", root.public_bytes(Encoding.DER)) == []


def test_x09_x12_x14_an_issuing_ca(signed: Any, pkilint: Any) -> None:
    root, issuing = map(load, signed(RootPlan(), IssuingPlan(permitted=("corp.test", "10.0.0.0/8"))))
    issuing.verify_directly_issued_by(root)
    assert extension(issuing, x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    own = extension(root, x509.SubjectKeyIdentifier).value.digest
    assert extension(issuing, x509.AuthorityKeyIdentifier).value.key_identifier == own
    [access] = extension(issuing, x509.AuthorityInformationAccess).value
    assert access.access_location.value == "http://pki.test/ca/root-g1.cer", "and no OCSP URL"
    [point] = extension(issuing, x509.CRLDistributionPoints).value
    assert point.full_name[0].value == "http://pki.test/crl/root-g1/0000.crl"
    assert extension(issuing, x509.NameConstraints).critical
    assert pkilint("certificate", issuing.public_bytes(Encoding.DER)) == []


def test_x05_x16_lives_lie_within_each_other_and_are_backdated(signed: Any) -> None:
    root, issuing = map(load, signed(demo_root(), demo_issuing(("test",))))
    assert root.not_valid_before_utc == at(NOW - 3600)
    assert root.not_valid_after_utc == at(NOW - 3600 + 30 * 86400 - 1)
    assert issuing.not_valid_before_utc == root.not_valid_before_utc
    assert issuing.not_valid_after_utc == root.not_valid_after_utc


def test_a_demo_says_that_nobody_must_trust_it(signed: Any) -> None:
    for certificate in map(load, signed(demo_root(), demo_issuing(("test",)))):
        [name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert str(name.value).startswith("DEMO – DO NOT TRUST")


def test_the_request_must_be_signed_by_its_own_good_key(signed: Any, private_key: Any) -> None:
    key = private_key("ec-p384")
    parent = Parent("root-g1", root_certificate(demo_root(), key, NOW), key)
    plan = demo_issuing(("test",))
    good = certification_request(plan, private_key("ec-p256"))
    for bad in (b"", good[:-1], good[:-3] + bytes([good[-3] ^ 1]) + good[-2:]):
        with pytest.raises(BadCSR):
            issuing_certificate(plan, bad, parent, URLS, NOW)
    with pytest.raises(BadPublicKey):
        issuing_certificate(plan, certification_request(plan, _weak()), parent, URLS, NOW)


def _weak() -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(65537, 1024)


# --- name constraints (X-12) --------------------------------------------------------------------

DNS, IP, URI, MAIL = x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier, x509.RFC822Name


def address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(text))


CASES = [
    # permitted, name, may
    (("test",), DNS("test"), True),
    (("test",), DNS("a.b.test"), True),
    (("test",), DNS("xtest"), False),
    (("test",), DNS("a.example"), False),
    (("test",), address("10.0.0.1"), False),
    (("test",), address("2001:db8::1"), False),
    (("test",), URI("spiffe://td/a"), False),
    (("test",), MAIL("a@b.test"), False),
    (("10.0.0.0/8",), address("10.0.0.1"), True),
    (("10.0.0.0/8",), address("11.0.0.1"), False),
    (("10.0.0.0/8",), address("::1"), False),
    (("10.0.0.0/8",), DNS("a.test"), False),
    (("2001:db8::/32", "10.0.0.0/8"), address("2001:db8::1"), True),
    (("2001:db8::/32",), address("10.0.0.1"), False),
    (("spiffe://td.test",), URI("spiffe://td.test/a"), True),
    (("spiffe://td.test",), URI("spiffe://other.test/a"), False),
    (("spiffe://td.test",), DNS("td.test"), False),
]


@pytest.mark.parametrize(("permitted", "name", "may"), CASES)
def test_x12_our_reading_of_the_constraints(permitted: tuple[str, ...], name: x509.GeneralName, may: bool) -> None:
    constraints = name_constraints(subtrees(permitted))
    if not isinstance(name, MAIL):  # never issued: no rule of ours reads it
        assert permits(constraints, name) is may


@pytest.mark.parametrize(("permitted", "name", "may"), CASES)
def test_x12_openssl_reads_them_the_same_way(
    permitted: tuple[str, ...], name: x509.GeneralName, may: bool, openssl: Any, tmp_path: Path, private_key: Any
) -> None:
    root_key, key = private_key("ec-p384"), private_key("ec-p256")
    root = root_certificate(demo_root(), root_key, NOW)
    plan = demo_issuing(permitted)
    issuing = issuing_certificate(plan, certification_request(plan, key), Parent("root-g1", root, root_key), URLS, NOW)
    leaf = _leaf_with(name, load(issuing), key)
    for file, certificate in (("root", load(root)), ("issuing", load(issuing)), ("leaf", leaf)):
        (tmp_path / f"{file}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    said = openssl("verify", "-attime", str(NOW + 60), "-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem")
    assert (said.stdout == "leaf.pem: OK\n") is may, said.stderr
    assert may or "subtree violation" in said.stderr


def _leaf_with(name: x509.GeneralName, issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer.subject)
        .subject_name(x509.Name([]))
        .serial_number(7)
        .public_key(key.public_key())
        .not_valid_before(at(NOW))
        .not_valid_after(at(NOW + 3600))
        .add_extension(x509.SubjectAlternativeName([name]), True)
        .sign(key, SHA256())
    )


def test_x12_dns_constraints_have_no_leading_dot_and_stand_once() -> None:
    constraints = name_constraints(subtrees(["test", "a.internal", "test"]))
    hosts = [one.value for one in constraints.permitted_subtrees or [] if isinstance(one, DNS)]
    assert hosts == ["test", "a.internal"]


def test_x12_unconstrained_is_explicit(signed: Any) -> None:
    issuing = load(signed(RootPlan(), IssuingPlan(unconstrained=True))[1])
    with pytest.raises(x509.ExtensionNotFound):
        extension(issuing, x509.NameConstraints)
