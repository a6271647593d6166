"""Each row of the lint table finds what it is for, and nothing in a good certificate (B-04)."""

import ipaddress
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.clock import at
from ca.errors import LintFailed
from ca.issuer import distribution_points, information_access
from ca.keys.sealed import recording
from ca.lint import CHECKS, lint
from ca.profiles import NO_REV_AVAIL

CN = NameOID.COMMON_NAME
ABSENT = object()


class Draft:
    """A good certificate, taken apart so that single parts can be spoiled."""

    def __init__(self, hierarchy: Any, **request: Any) -> None:
        self.hierarchy = hierarchy
        self.profile = hierarchy.profiles[request.pop("profile", "server")]
        names = request.pop("names", ("a.test", "10.0.0.1"))
        asked = hierarchy.request(*names, profile=self.profile.name, **request)
        self.prepared = hierarchy.ca.prepare(self.profile, asked, hierarchy.serial(), hierarchy.now)
        builder = self.prepared.builder
        self.fields = {
            "issuer_name": builder._issuer_name,
            "subject_name": builder._subject_name,
            "public_key": builder._public_key,
            "serial_number": builder._serial_number,
            "not_valid_before": builder._not_valid_before,
            "not_valid_after": builder._not_valid_after,
        }
        self.extensions = {one.oid: one for one in builder._extensions}

    def tbs(self) -> bytes:
        builder = x509.CertificateBuilder(**self.fields, extensions=list(self.extensions.values()))
        recorder = recording(self.hierarchy.issuing_key.public_key())
        builder.sign(recorder, SHA256())
        return recorder.tbs

    def put(self, value: x509.ExtensionType, critical: bool = False) -> None:
        self.extensions[value.oid] = x509.Extension(value.oid, critical, value)

    def drop(self, kind: Any) -> None:
        del self.extensions[kind.oid]

    def findings(self, tbs: bytes | None = None) -> str:
        """The findings, empty when there are none."""
        try:
            lint(self.tbs() if tbs is None else tbs, self.profile, self.hierarchy.issuing.certificate)
        except LintFailed as failed:
            return failed.detail
        return ""


def san(*names: x509.GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(names)


def subject(*values: str, oid: x509.ObjectIdentifier = CN) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for value in values])


def usage(**yes: bool) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: yes.get(name, False) for name in names.split()})


def access(ocsp: str = "http://x.test/ocsp", issuer: str = "http://x.test/ca") -> x509.AuthorityInformationAccess:
    pairs = [(AuthorityInformationAccessOID.OCSP, ocsp), (AuthorityInformationAccessOID.CA_ISSUERS, issuer)]
    return information_access([(method, url) for method, url in pairs if url])


DNS, IP, URI = x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier
AKI = x509.AuthorityKeyIdentifier

SPOILED: list[tuple[str, Callable[[Draft], object]]] = [
    ("X-02", lambda d: d.fields.update(serial_number=12345)),
    ("X-05", lambda d: d.fields.update(not_valid_after=d.fields["not_valid_after"].replace(year=2048))),
    ("X-05", lambda d: d.fields.update(not_valid_before=at(d.hierarchy.now - 7200).replace(tzinfo=None))),
    ("B-05", lambda d: setattr(d, "profile", replace(d.profile, max_validity=60))),
    ("X-06", lambda d: d.fields.update(issuer_name=subject("Somebody else"))),
    ("X-06", lambda d: d.fields.update(issuer_name=x509.Name(list(d.fields["issuer_name"]) + list(subject("b"))))),
    ("B-01", lambda d: d.fields.update(public_key=rsa.generate_private_key(65537, 1024).public_key())),
    ("B-01", lambda d: d.fields.update(public_key=ec.generate_private_key(ec.SECP521R1()).public_key())),
    ("B-01", lambda d: setattr(d, "profile", replace(d.profile, key_types=frozenset({"ed25519"})))),
    ("X-07", lambda d: d.drop(x509.SubjectAlternativeName)),
    ("X-07", lambda d: d.put(san(DNS("a.test")), critical=False)),
    ("X-07", lambda d: d.fields.update(subject_name=subject("a.test"))),
    ("X-08", lambda d: d.drop(AKI)),
    ("X-08", lambda d: d.drop(x509.SubjectKeyIdentifier)),
    ("X-08", lambda d: d.put(AKI(b"x" * 20, None, None))),
    ("X-08", lambda d: d.put(x509.SubjectKeyIdentifier(b"x" * 32))),
    ("X-09", lambda d: d.put(x509.BasicConstraints(True, None), critical=True)),
    ("X-09", lambda d: d.put(x509.BasicConstraints(True, 0), critical=True)),
    ("X-10", lambda d: d.drop(x509.KeyUsage)),
    ("X-10", lambda d: d.put(usage(digital_signature=True, key_cert_sign=True), critical=True)),
    ("X-10", lambda d: d.put(usage(digital_signature=True, crl_sign=True), critical=True)),
    ("X-10", lambda d: d.put(usage(digital_signature=True, key_encipherment=True), critical=True)),
    ("X-11", lambda d: d.drop(x509.ExtendedKeyUsage)),
    ("X-11", lambda d: d.put(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]))),
    ("X-11", lambda d: d.put(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]))),
    ("X-11", lambda d: d.put(x509.ExtendedKeyUsage([*d.profile.usages, ExtendedKeyUsageOID.CLIENT_AUTH]))),
    ("X-12", lambda d: d.put(san(DNS("a.example")), critical=True)),
    ("X-12", lambda d: d.put(san(DNS("a.test"), IP(ipaddress.ip_address("8.8.8.8"))), critical=True)),
    ("X-13", lambda d: d.put(san(DNS("A.test")), critical=True)),
    ("X-13", lambda d: d.put(san(DNS("a.test"), DNS("a.test")), critical=True)),
    ("X-13", lambda d: d.put(san(DNS("a_b.test")), critical=True)),
    ("X-13", lambda d: d.put(san(DNS("a.test\x00.b.test")), critical=True)),
    ("X-13", lambda d: d.put(san(DNS("a.test."), DNS("b.test")), critical=True)),
    ("X-13", lambda d: d.put(san(DNS("a.test"), x509.RFC822Name("a@b.test")), critical=True)),
    ("X-13", lambda d: d.put(san(URI("spiffe://example.test/a")), critical=True)),
    ("X-13", lambda d: d.fields.update(subject_name=subject("b.test"))),
    ("X-13", lambda d: d.fields.update(subject_name=subject("a.test", "a.test"))),
    ("X-13", lambda d: d.fields.update(subject_name=subject("a.test", oid=NameOID.ORGANIZATION_NAME))),
    ("X-14", lambda d: d.drop(x509.AuthorityInformationAccess)),
    ("X-14", lambda d: d.drop(x509.CRLDistributionPoints)),
    ("X-14", lambda d: d.put(access(ocsp=""))),
    ("X-14", lambda d: d.put(access(issuer=""))),
    ("X-14", lambda d: d.put(access(ocsp="https://x.test/ocsp"))),
    ("X-14", lambda d: d.put(access(issuer="ldap://x.test/ca"))),
    ("X-14", lambda d: d.put(distribution_points("https://x.test/crl"))),
    ("X-14", lambda d: d.put(x509.UnrecognizedExtension(NO_REV_AVAIL, b"\x05\x00"))),
    ("X-15", lambda d: d.put(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""), critical=True)),
    ("X-15", lambda d: d.put(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""))),
    ("X-15", lambda d: d.put(x509.OCSPNoCheck())),
    ("X-15", lambda d: d.put(usage(digital_signature=True), critical=False)),
    ("X-15", lambda d: d.put(x509.ExtendedKeyUsage(d.profile.usages), critical=True)),
]


@pytest.mark.parametrize("case", range(len(SPOILED)), ids=lambda i: f"{SPOILED[i][0]}-{i}")
def test_each_rule_finds_what_it_is_for(case: int, hierarchy: Any) -> None:
    rule, spoil = SPOILED[case]
    draft = Draft(hierarchy)
    assert draft.findings() == ""
    spoil(draft)
    assert f"{rule}:" in draft.findings()


def test_x14_a_short_lived_certificate_with_pointers_is_found(hierarchy: Any) -> None:
    for value in (access(), distribution_points("http://x.test/crl")):
        draft = Draft(hierarchy, profile="short-lived")
        assert draft.findings() == ""
        draft.put(value)
        assert "X-14:" in draft.findings()
    draft = Draft(hierarchy, profile="short-lived")
    del draft.extensions[NO_REV_AVAIL]
    assert "X-14:" in draft.findings()


def test_x10_rsa_servers_encipher_and_rsa_clients_do_not(hierarchy: Any, spki: Any) -> None:
    for profile, names, right in (("server", ("a.test",), True), ("client", ("a.test",), False)):
        draft = Draft(hierarchy, profile=profile, names=names, public_key=spki("rsa-2048"))
        assert draft.findings() == ""
        draft.put(usage(digital_signature=True, key_encipherment=not right), critical=True)
        assert "X-10:" in draft.findings()


def test_x03_the_wrong_signature_algorithm_is_found(hierarchy: Any) -> None:
    draft = Draft(hierarchy)
    builder = x509.CertificateBuilder(**draft.fields, extensions=list(draft.extensions.values()))
    made = builder.sign(ec.generate_private_key(ec.SECP384R1()), SHA384())
    assert "X-03:" in draft.findings(made.tbs_certificate_bytes)


def test_x04_the_wrong_kind_of_time_is_found(hierarchy: Any) -> None:
    """2026 written as GeneralizedTime; the length octets around it are corrected."""
    draft = Draft(hierarchy)
    tbs = draft.tbs()
    place = tbs.index(b"\x17\x0d")
    text = tbs[place + 2 : place + 15]
    longer = tbs[: place - 1] + bytes([tbs[place - 1] + 2]) + b"\x18\x0f20" + text + tbs[place + 15 :]
    size = int.from_bytes(tbs[2:4], "big") + 2
    assert "X-04:" in draft.findings(longer[:2] + size.to_bytes(2, "big") + longer[4:])


def test_x01_another_version_is_found(hierarchy: Any) -> None:
    draft = Draft(hierarchy)
    tbs = draft.tbs().replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01", 1)
    assert draft.findings(tbs) != ""


def test_x02_a_negative_serial_is_found(hierarchy: Any) -> None:
    draft = Draft(hierarchy)
    tbs = draft.tbs()
    place = tbs.index(b"\x02\x13\x01")
    assert draft.findings(tbs[: place + 2] + b"\x81" + tbs[place + 3 :]) != ""


def test_x15_a_duplicate_extension_is_found(hierarchy: Any) -> None:
    draft = Draft(hierarchy)
    first = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.37"), b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"
    )
    draft.extensions["again"] = x509.Extension(first.oid, False, first)  # type: ignore[index]
    assert "X-15" in draft.findings()


def test_all_findings_are_named_at_once(hierarchy: Any) -> None:
    draft = Draft(hierarchy)
    draft.drop(AKI)
    draft.drop(x509.KeyUsage)
    assert all(f"{rule}:" in draft.findings() for rule in ("X-08", "X-10"))


def test_every_rule_has_a_case() -> None:
    shown = {rule for rule, _ in SPOILED} | {"X-01", "X-03", "X-04"}
    assert {check.id for check in CHECKS} == shown


@given(st.binary(max_size=300))
def test_any_bytes_are_linted_or_refused(data: bytes) -> None:
    from ca.lint.draft import read

    with pytest.raises(LintFailed):
        read(data, None, b"")  # type: ignore[arg-type]


@settings(max_examples=400, deadline=None)
@given(place=st.integers(0, 2000), patch=st.binary(min_size=1, max_size=4))
def test_mutated_bytes_raise_nothing_but_lint_failed(place: int, patch: bytes, hierarchy: Any) -> None:
    """And a change of what is bound to profile or issuer is found: only serial, times, key and key id may pass."""
    draft = Draft(hierarchy)
    tbs = draft.tbs()
    start = place % (len(tbs) - len(patch))
    draft.findings(tbs[:start] + patch + tbs[start + len(patch) :])


def test_lint_is_fast_enough_to_stand_in_the_way(hierarchy: Any) -> None:
    """About 0.1 ms: the best of several rounds, so that a busy machine does not matter."""
    draft = Draft(hierarchy)
    tbs = draft.tbs()

    def round_of_fifty() -> float:
        start = time.perf_counter()
        for _ in range(50):
            lint(tbs, draft.profile, hierarchy.issuing.certificate)
        return (time.perf_counter() - start) / 50

    assert min(round_of_fifty() for _ in range(5)) < 0.0005
