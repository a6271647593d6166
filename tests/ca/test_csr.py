"""Certification requests: what they may say, and that no bytes raise anything else than a CAError."""

import ipaddress
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ca import csr
from ca.errors import BadCSR, BadPublicKey, CAError
from ca.names import parse_any

KEY = ec.generate_private_key(ec.SECP256R1())


def request(
    names: Iterable[x509.GeneralName] = (x509.DNSName("a.test"),),
    cn: Iterable[str] = (),
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    key=KEY,  # type: ignore[no-untyped-def]
    digest: hashes.HashAlgorithm | None = hashes.SHA256(),
) -> x509.CertificateSigningRequest:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in cn])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, digest)


def der(*args: object, **kwargs: object) -> bytes:
    return request(*args, **kwargs).public_bytes(Encoding.DER)  # type: ignore[arg-type]


def test_a_request_gives_key_names_and_common_name() -> None:
    names = [
        x509.DNSName("B.test"),
        x509.DNSName("b.test"),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        x509.UniformResourceIdentifier("spiffe://td/a"),
    ]
    parsed = csr.parse(der(names, cn=["C.test"]))
    assert parsed.names == tuple(map(parse_any, ["b.test", "2001:db8::1", "spiffe://td/a", "c.test"]))
    assert parsed.common_name == "c.test"
    assert parsed.key_type == "ec-p256"
    assert parsed.spki == KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("label", ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"])
def test_pem_and_der_say_the_same(label: str) -> None:
    one = request(cn=["a.test"])
    pem = one.public_bytes(Encoding.PEM).replace(b"CERTIFICATE REQUEST", label.encode())
    assert csr.parse(b"\n" + pem + b"\r\n ") == csr.parse(one.public_bytes(Encoding.DER))


def test_x13_the_common_name_counts_as_a_name() -> None:
    assert csr.parse(der([], cn=["a.test"])).names == (parse_any("a.test"),)
    with pytest.raises(BadCSR, match="common name"):
        csr.parse(der(cn=["Some Person"]))
    with pytest.raises(BadCSR, match="more than one common name"):
        csr.parse(der(cn=["a.test", "b.test"]))


def test_x13_a_common_name_over_its_bound_is_refused() -> None:
    long = "a" * 60 + ".test"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, long, _validate=False)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(KEY, hashes.SHA256())
    with pytest.raises(BadCSR, match="at most 64"):
        csr.parse(made.public_bytes(Encoding.DER))


def test_a_request_without_names_is_refused() -> None:
    with pytest.raises(BadCSR, match="names nothing"):
        csr.parse(der([]))


@pytest.mark.parametrize(
    "name",
    [
        x509.RFC822Name("a@b.test"),
        x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a"),
        x509.UniformResourceIdentifier("https://a.test/"),
        x509.DNSName("a_b.test"),
        x509.DNSName("a\x00.test"),
        x509.DNSName("a.test."),
        x509.IPAddress(ipaddress.ip_address("::ffff:1.2.3.4")),
    ],
)
def test_names_that_nobody_validates_are_refused(name: x509.GeneralName) -> None:
    with pytest.raises(BadCSR):
        csr.parse(der([x509.DNSName("a.test"), name]))


CERT_SIGN = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
CRL_SIGN = x509.KeyUsage(True, False, False, False, False, False, True, False, False)


@pytest.mark.parametrize(
    "extension", [x509.BasicConstraints(True, None), x509.BasicConstraints(True, 0), CERT_SIGN, CRL_SIGN]
)
@pytest.mark.parametrize("critical", [True, False])
def test_a_request_for_a_ca_is_refused(extension: x509.ExtensionType, critical: bool) -> None:
    with pytest.raises(BadCSR):
        csr.parse(der(extensions=[(extension, critical)]))


def test_what_only_the_profile_decides_is_ignored() -> None:
    extensions = [
        (x509.BasicConstraints(False, None), True),
        (x509.KeyUsage(True, False, True, False, False, False, False, False, False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"x"), False),
    ]
    assert csr.parse(der(extensions=extensions)).names == (parse_any("a.test"),)


def test_an_unknown_critical_extension_is_refused() -> None:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"x")
    with pytest.raises(BadCSR, match=r"1\.2\.3\.4"):
        csr.parse(der(extensions=[(extension, True)]))


def test_an_empty_eku_crashes_nobody() -> None:
    """LESSONS: step-ca CVE-2026-40097."""
    empty = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.37"), b"\x30\x00")
    with suppress(BadCSR):
        csr.parse(der(extensions=[(empty, False)]))


def test_a_weak_key_is_a_bad_public_key() -> None:
    with pytest.raises(BadPublicKey):
        csr.parse(der(key=rsa.generate_private_key(65537, 1024)))


def test_a_signature_by_another_key_is_refused() -> None:
    other = der(key=ec.generate_private_key(ec.SECP256R1()))
    mine = der()
    at = mine.index(b"\x03\x42\x00\x04") + 4
    forged = mine[:at] + other[at : at + 64] + mine[at + 64 :]
    with pytest.raises(BadCSR, match="not by its own key"):
        csr.parse(forged)


def test_sha1_signatures_are_refused(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key", "-sha1", "-subj",
         "/CN=a.test", "-outform", "DER"], capture_output=True, timeout=30,
    )  # fmt: skip
    with pytest.raises(BadCSR, match="SHA-1"):
        csr.parse(made.stdout)


@pytest.mark.parametrize("kind", ["rsa-2048", "ec-p384", "ed25519"])
def test_requests_of_openssl_are_taken(kind: str, tmp_path: Path) -> None:
    key = {"rsa-2048": "rsa:2048", "ec-p384": "ec", "ed25519": "ed25519"}[kind]
    option = ["-pkeyopt", "ec_paramgen_curve:P-384"] if kind == "ec-p384" else []
    made = subprocess.run(
        [
            "openssl",
            "req",
            "-new",
            "-newkey",
            key,
            *option,
            "-nodes",
            "-keyout",
            tmp_path / "key",
            "-subj",
            "/O=x/CN=a.test",
            "-addext",
            "subjectAltName=DNS:b.test,IP:10.0.0.1",
        ],
        capture_output=True,
        timeout=30,
        check=True,
    )
    parsed = csr.parse(made.stdout)
    assert (parsed.key_type, parsed.names) == (kind, tuple(map(parse_any, ["b.test", "10.0.0.1", "a.test"])))


def test_size_and_company_are_bounded() -> None:
    pem = request().public_bytes(Encoding.PEM)
    for data in (
        b"0" * (csr.MAX_CSR + 1),
        pem + pem,
        b"hello\n" + pem,
        pem + b"hello",
        b"",
        b"-----BEGIN",
        der() + b"\x00",
    ):
        with pytest.raises(BadCSR):
            csr.parse(data)
    with pytest.raises(BadCSR, match="more than"):
        csr.parse(der([x509.DNSName(f"a{i}.test") for i in range(csr.MAX_NAMES + 1)]))


def test_another_kind_of_pem_is_refused() -> None:
    pem = request().public_bytes(Encoding.PEM).replace(b"CERTIFICATE REQUEST", b"CERTIFICATE")
    with pytest.raises(BadCSR):
        csr.parse(pem)


# --- any bytes ----------------------------------------------------------------------------------

SAMPLES = [
    der(cn=["a.test"]),
    der(
        [x509.DNSName("a.test"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))],
        extensions=[
            (x509.KeyUsage(True, False, True, False, False, False, False, False, False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.TLSFeature([x509.TLSFeatureType.status_request]), False),
        ],
    ),
    der(key=rsa.generate_private_key(65537, 2048)),
]


def only_ca_errors(parse: Callable[[bytes], object], data: bytes) -> None:
    with suppress(CAError):
        parse(data)


@given(st.binary(max_size=300))
def test_any_bytes_raise_nothing_but_ca_errors(data: bytes) -> None:
    only_ca_errors(csr.parse, data)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=6)), min_size=1, max_size=4)
)
def test_mutated_requests_raise_nothing_but_ca_errors(sample: bytes, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(sample)
    for at, patch in changes:
        start = at % len(data)
        data[start : start + len(patch)] = patch
    only_ca_errors(csr.parse, bytes(data))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 4000), st.sampled_from(range(256)))
def test_a_request_with_one_other_octet_never_parses_to_another_meaning(sample: bytes, at: int, octet: int) -> None:
    """The signature covers all that is read: a change is refused, or it changed nothing."""
    at %= len(sample)
    changed = sample[:at] + bytes([octet]) + sample[at + 1 :]
    try:
        parsed = csr.parse(changed)
    except CAError:
        return
    assert (parsed.names, parsed.spki) == (csr.parse(sample).names, csr.parse(sample).spki)
