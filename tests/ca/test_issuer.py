"""What leaves the issuing CA: X-01 to X-16, judged by other people's tools."""

import datetime
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.clock import at
from ca.errors import HSMUnavailable, IssuanceMismatch, LintFailed, PolicyDenied, PossiblySigned, SealBroken
from ca.issuer import IssuingCA
from ca.keys.handles import private_key_over
from ca.profiles import NO_REV_AVAIL
from ca.records import serial_shard

PROFILES = ["server", "client", "mtls", "short-lived", "own"]
NAMES = {
    "client": ["client.test", "spiffe://example.test/app"],
    "mtls": ["a.test", "10.0.0.1", "spiffe://example.test/app"],
}


def pem(*ders: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)


def load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def extension(certificate: x509.Certificate, kind: type) -> Any:
    return certificate.extensions.get_extension_for_class(kind)


@pytest.fixture
def issued(hierarchy: Any) -> Callable[..., x509.Certificate]:
    def issue(*names: str, profile: str = "server", shard: int = 0, **more: object) -> x509.Certificate:
        return load(hierarchy.issue(hierarchy.request(*(names or ("a.test",)), profile=profile, **more), shard))

    return issue


# --- judged by others ---------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "rsa-2048", "ed25519"])
def test_b04_pkilint_finds_nothing(profile: str, kind: str, hierarchy: Any, spki: Any, pkilint: Any) -> None:
    request = hierarchy.request(*NAMES.get(profile, ["a.test", "10.0.0.1"]), profile=profile, public_key=spki(kind))
    assert pkilint("certificate", hierarchy.issue(request)) == []


def test_pkilint_finds_what_is_wrong(hierarchy: Any, pkilint: Any) -> None:
    """So that the tests above can fail."""
    key = hierarchy.issuing_key
    certificate = (
        x509.CertificateBuilder()
        .issuer_name(hierarchy.issuing_certificate.subject)
        .subject_name(x509.Name([]))
        .serial_number(1)
        .public_key(key.public_key())
        .not_valid_before(at(hierarchy.now))
        .not_valid_after(at(hierarchy.now + 60))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.test")]), False)
        .sign(key, hierarchy.issuing_certificate.signature_hash_algorithm)
    )
    assert pkilint("certificate", certificate.public_bytes(Encoding.DER)) != []


@pytest.mark.parametrize("profile", ["server", "mtls", "short-lived", "own"])
def test_the_servers_chain_verifies_in_cryptography(profile: str, hierarchy: Any) -> None:
    leaf = load(hierarchy.issue(hierarchy.request("a.test", "10.0.0.1", profile=profile)))
    store = verification.Store([load(hierarchy.root.certificate)])
    for subject in (x509.DNSName("a.test"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))):
        verifier = verification.PolicyBuilder().store(store).time(at(hierarchy.now)).build_server_verifier(subject)
        chain = verifier.verify(leaf, [hierarchy.issuing_certificate])
        assert len(chain) == 3


def test_the_clients_chain_verifies_in_cryptography(hierarchy: Any) -> None:
    leaf = load(hierarchy.issue(hierarchy.request("client.test", profile="client")))
    store = verification.Store([load(hierarchy.root.certificate)])
    verifier = verification.PolicyBuilder().store(store).time(at(hierarchy.now)).build_client_verifier()
    assert verifier.verify(leaf, [hierarchy.issuing_certificate]).subjects == [x509.DNSName("client.test")]


@pytest.mark.parametrize("profile", PROFILES)
def test_openssl_verifies_strictly(profile: str, hierarchy: Any, openssl: Any, tmp_path: Path) -> None:
    leaf = hierarchy.issue(hierarchy.request(*NAMES.get(profile, ["a.test"]), profile=profile))
    (tmp_path / "leaf.pem").write_bytes(pem(leaf))
    (tmp_path / "root.pem").write_bytes(pem(hierarchy.root.certificate))
    (tmp_path / "issuing.pem").write_bytes(pem(hierarchy.issuing.certificate))
    purpose = "sslclient" if profile == "client" else "sslserver"
    said = openssl(
        "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"
    )
    assert said.stdout == "leaf.pem: OK\n", said.stderr


# --- field by field -----------------------------------------------------------------------------


def test_x01_x02_version_and_serial(hierarchy: Any) -> None:
    request = hierarchy.request("a.test")
    serial = hierarchy.serial(shard=3)
    prepared = hierarchy.ca.prepare(hierarchy.profiles["server"], request, serial, hierarchy.now)
    leaf = load(hierarchy.ca.sign(prepared))
    assert leaf.version is x509.Version.v3
    assert leaf.serial_number == serial
    assert serial_shard(leaf.serial_number) == 3


def test_x05_a_leaf_ends_with_its_issuer_at_the_latest(hierarchy: Any, issued: Any) -> None:
    leaf = issued()  # 90 days asked of a CA of 30
    assert leaf.not_valid_after_utc == hierarchy.issuing_certificate.not_valid_after_utc
    assert issued(profile="short-lived").not_valid_after_utc < leaf.not_valid_after_utc
    with pytest.raises(PolicyDenied):
        issued(validity=60 * 86400)


def test_x06_the_issuer_is_octet_for_octet_the_subject(hierarchy: Any, issued: Any) -> None:
    assert issued().issuer.public_bytes() == hierarchy.issuing_certificate.subject.public_bytes()


def test_x07_an_empty_subject_makes_the_names_critical(issued: Any) -> None:
    bare, named = issued("a.test"), issued("a.test", "b.test", common_name="b.test")
    assert list(bare.subject) == []
    assert extension(bare, x509.SubjectAlternativeName).critical
    assert [a.value for a in named.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["b.test"]
    assert not extension(named, x509.SubjectAlternativeName).critical


def test_x08_key_identifiers(hierarchy: Any, issued: Any) -> None:
    leaf = issued()
    parent = extension(hierarchy.issuing_certificate, x509.SubjectKeyIdentifier).value.digest
    assert extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier == parent
    assert len(extension(leaf, x509.SubjectKeyIdentifier).value.digest) == 20


def test_x09_x10_x11_usages(issued: Any, spki: Any) -> None:
    elliptic, rsa = issued(), issued(public_key=spki("rsa-2048"))
    client = issued("a.test", profile="client", public_key=spki("rsa-2048"))
    for leaf in (elliptic, rsa, client):
        assert extension(leaf, x509.BasicConstraints).value.ca is False
        usage = extension(leaf, x509.KeyUsage)
        assert usage.critical
        assert usage.value.digital_signature
        assert usage.value.key_encipherment is (leaf is rsa)
        assert not usage.value.key_cert_sign
    assert list(extension(issued(profile="mtls"), x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    ]
    assert list(extension(client, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_x14_pointers_are_http_and_name_the_shard(issued: Any) -> None:
    leaf = issued(shard=2)
    access = extension(leaf, x509.AuthorityInformationAccess).value
    assert {one.access_location.value for one in access} == {
        "http://pki.test:8080/ocsp",
        "http://pki.test:8080/ca/issuing-g1.cer",
    }
    [point] = extension(leaf, x509.CRLDistributionPoints).value
    assert [name.value for name in point.full_name] == ["http://pki.test:8080/crl/issuing-g1/0002.crl"]


def test_x14_a_short_lived_certificate_says_that_it_is_never_revoked(issued: Any) -> None:
    """RFC 9608: noRevAvail as NULL, and neither OCSP nor CRL."""
    leaf = issued(profile="short-lived")
    found = {one.oid: one.value for one in leaf.extensions}
    assert found[NO_REV_AVAIL].value == b"\x05\x00"
    assert x509.CRLDistributionPoints.oid not in found
    assert [one.access_method._name for one in found[x509.AuthorityInformationAccess.oid]] == ["caIssuers"]


def test_inc08_n_seconds_end_one_second_earlier(hierarchy: Any, issued: Any) -> None:
    leaf = issued(profile="short-lived")
    asked = hierarchy.profiles["short-lived"].validity
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == datetime.timedelta(seconds=asked - 1)


def test_x16_backdating_is_fixed_and_bounded(hierarchy: Any, issued: Any) -> None:
    assert issued().not_valid_before_utc == at(hierarchy.now - 300)
    assert issued(validity=600).not_valid_before_utc == at(hierarchy.now - 60), "a tenth of the life at most"
    assert issued().not_valid_before_utc >= hierarchy.issuing_certificate.not_valid_before_utc


@pytest.mark.parametrize("kind", ["ec-p384", "rsa-2048", "ed25519"])
def test_x03_other_issuer_keys_sign_in_their_own_way(kind: str, hierarchy: Any, private_key: Any, pkilint: Any) -> None:
    from ca.ceremony.certificates import Parent, certification_request, issuing_certificate
    from ca.ceremony.plans import demo_issuing
    from ca.issuer import Urls
    from ca.records import Issuer

    key, plan, urls = private_key(kind), demo_issuing(("test",)), Urls("http://pki.test:8080")
    parent = Parent("root-g1", hierarchy.root.certificate, hierarchy.root_key)
    der = issuing_certificate(plan, certification_request(plan, key), parent, urls, hierarchy.now)
    ca = IssuingCA(Issuer("issuing-g2", "issuing", "issuing", "issuing-g2", der), lambda _: key, "http://pki.test:8080")
    profile = hierarchy.profiles["server"]
    leaf = ca.sign(ca.prepare(profile, hierarchy.request("a.test"), hierarchy.serial(), hierarchy.now))
    load(leaf).verify_directly_issued_by(load(der))
    assert pkilint("certificate", leaf) == []


# --- what goes wrong ----------------------------------------------------------------------------


def prepared(hierarchy: Any, **more: object) -> Any:
    request = hierarchy.request("a.test", **more)
    return hierarchy.ca.prepare(hierarchy.profiles["server"], request, hierarchy.serial(), hierarchy.now)


def test_inc06_what_is_signed_is_what_was_linted(hierarchy: Any) -> None:
    draft = prepared(hierarchy)
    assert load(hierarchy.ca.sign(draft)).tbs_certificate_bytes == draft.tbs


def test_a_preparation_is_signed_once_even_after_a_failure(hierarchy: Any) -> None:
    draft = prepared(hierarchy)
    hierarchy.ca.sign(draft)
    with pytest.raises(SealBroken):
        hierarchy.ca.sign(draft)

    def fail(tbs: bytes) -> bytes:
        raise PossiblySigned("who knows")

    second = prepared(hierarchy)
    broken = private_key_over(hierarchy.issuing_key.public_key(), fail)
    with pytest.raises(PossiblySigned):
        IssuingCA(hierarchy.issuing, lambda _: broken, "http://pki.test:8080").sign(second)
    with pytest.raises(SealBroken):
        hierarchy.ca.sign(second)


def test_a_signature_by_another_key_is_withheld(hierarchy: Any, private_key: Any) -> None:
    other = private_key("ec-p256")
    pretended = private_key_over(
        hierarchy.issuing_key.public_key(), lambda tbs: other.sign(tbs, _ecdsa(hierarchy.issuing_certificate))
    )
    ca = IssuingCA(hierarchy.issuing, lambda _: pretended, "http://pki.test:8080")
    with pytest.raises(IssuanceMismatch, match="signature"):
        ca.sign(prepared(hierarchy))


def _ecdsa(certificate: x509.Certificate) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(certificate.signature_hash_algorithm)


def test_an_answer_for_another_key_or_names_is_withheld(hierarchy: Any, spki: Any) -> None:
    from dataclasses import replace

    draft = prepared(hierarchy)
    with pytest.raises(IssuanceMismatch, match="public key"):
        hierarchy.ca.sign(replace(draft, public_key=spki("ec-p256")))
    with pytest.raises(IssuanceMismatch, match="names"):
        hierarchy.ca.sign(replace(draft, names=hierarchy.request("b.test").names))


@pytest.mark.parametrize("error", [HSMUnavailable("gone"), PossiblySigned("who knows")])
def test_errors_of_the_hsm_come_through_untouched(error: Exception, hierarchy: Any) -> None:
    def fail(tbs: bytes) -> bytes:
        raise error

    broken = private_key_over(hierarchy.issuing_key.public_key(), fail)
    ca = IssuingCA(hierarchy.issuing, lambda _: broken, "http://pki.test:8080")
    with pytest.raises(type(error)) as seen:
        ca.sign(prepared(hierarchy))
    assert seen.value is error


def test_x12_the_issuers_own_constraints_stop_what_policy_let_through(hierarchy: Any) -> None:
    with pytest.raises(LintFailed, match="X-12"):
        hierarchy.ca.prepare(
            hierarchy.profiles["server"], hierarchy.request("a.example"), hierarchy.serial(), hierarchy.now
        )
