"""OCSP requests: O-02, O-07, O-10, O-11."""

import base64
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.errors import BadRequest, CAError, NotFound
from ca.ocsp import CertID, answer_path, cert_id, from_path, parse_request

SHA1 = ("sha1", hashes.SHA1(), 20)
SHA256 = ("sha256", hashes.SHA256(), 32)


def request(*extensions: tuple[x509.ExtensionType, bool], serial: int = 77, kind: Any = SHA1) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(b"n" * kind[2], b"k" * kind[2], serial, kind[1])
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.build().public_bytes(Encoding.DER)


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = (size.bit_length() + 7) // 8
    head = bytes([size]) if size < 128 else bytes([0x80 | octets]) + size.to_bytes(octets, "big")
    return bytes([tag]) + head + content


def inner(der: bytes) -> bytes:
    """The content of a DER element."""
    return der[2:] if der[1] < 128 else der[2 + (der[1] & 127) :]


def one_request(der: bytes) -> bytes:
    """The single Request element of an OCSPRequest without extensions."""
    return inner(inner(inner(der)))


def several(*ders: bytes) -> bytes:
    return tlv(0x30, tlv(0x30, tlv(0x30, b"".join(map(one_request, ders)))))


@pytest.mark.parametrize("kind", [SHA1, SHA256])
def test_o02_the_cert_id_is_read_in_the_askers_hash(kind: Any) -> None:
    query = parse_request(request(kind=kind))
    assert query.cert_ids[0] == CertID(kind[0], b"n" * kind[2], b"k" * kind[2], 77)
    assert query.nonce == b""


@pytest.mark.parametrize("kind", [SHA1, SHA256])
def test_the_path_of_an_answer_follows_from_the_request_alone(kind: Any, hierarchy: Any) -> None:
    leaf = x509.load_der_x509_certificate(hierarchy.issue(hierarchy.request("a.test")))
    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, hierarchy.issuing_certificate, kind[1]).build()
    from_request = answer_path(parse_request(asked.public_bytes(Encoding.DER)).cert_ids[0])
    assert from_request == answer_path(cert_id(hierarchy.issuing_certificate, leaf.serial_number, kind[0]))
    assert from_request.endswith(f"/{leaf.serial_number:038x}")


@pytest.mark.parametrize("size", [1, 16, 32, 127, 128])
def test_o07_a_nonce_of_1_to_128_octets_is_read(size: int) -> None:
    nonce = bytes(range(size))
    assert parse_request(request((x509.OCSPNonce(nonce), False))).nonce == nonce


@pytest.mark.parametrize("size", [0, 129, 300])
def test_o07_another_nonce_is_malformed(size: int) -> None:
    with pytest.raises(BadRequest, match="nonce"):
        parse_request(request((x509.OCSPNonce(b"n" * size), False)))


@pytest.mark.parametrize("value", [b"", b"\x04", b"n" * 16, b"\x05\x00", b"\x04\x10short", b"\x04\x01ab", b"\x30\x01a"])
def test_o07_a_nonce_that_is_no_octet_string_is_malformed(value: bytes) -> None:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.2"), value)
    with pytest.raises(BadRequest, match="nonce"):
        parse_request(request((extension, False)))


def test_o10_a_request_may_be_about_several_certificates() -> None:
    query = parse_request(several(request(serial=1), request(serial=2)))
    assert [one.serial for one in query.cert_ids] == [1, 2]
    assert parse_request(several(request(), request())).cert_ids[0].serial == 77, "the same twice is one"


def test_o10_the_number_of_certificates_is_bounded() -> None:
    parse_request(several(*(request(serial=n + 1) for n in range(100))))
    with pytest.raises(BadRequest):
        parse_request(several(*(request(serial=n + 1) for n in range(101))))
    with pytest.raises(BadRequest):
        parse_request(several())


def test_requestor_name_and_signature_are_no_obstacle() -> None:
    requests = inner(inner(request()))
    name = tlv(0xA1, tlv(0x82, b"asker.test"))
    signature = tlv(0xA0, tlv(0x30, tlv(0x30, bytes.fromhex("06082a8648ce3d040302")) + tlv(0x03, b"\x00sig")))
    assert parse_request(tlv(0x30, tlv(0x30, name + requests) + signature)).cert_ids[0].serial == 77


def test_an_unknown_critical_extension_is_malformed() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")
    assert parse_request(request((unknown, False))).cert_ids[0].serial == 77
    with pytest.raises(BadRequest, match=r"1\.2\.3"):
        parse_request(request((unknown, True)))


def test_another_version_is_malformed() -> None:
    requests = inner(inner(request()))
    with pytest.raises(BadRequest):
        parse_request(tlv(0x30, tlv(0x30, tlv(0xA0, b"\x02\x01\x01") + requests)))


def test_a_hash_that_nothing_is_published_under_is_unauthorized() -> None:
    for algorithm in (hashes.SHA384(), hashes.SHA512()):
        with pytest.raises(NotFound):
            parse_request(request(kind=("x", algorithm, algorithm.digest_size)))


def test_a_hash_of_another_length_than_its_algorithms_is_malformed() -> None:
    name_hash, short = tlv(0x04, b"n" * 20), tlv(0x04, b"n" * 19)
    identifier = tlv(0x30, bytes.fromhex("06052b0e03021a0500"))
    for one in (name_hash, short):
        cert_id = tlv(0x30, identifier + one + tlv(0x04, b"k" * 20) + b"\x02\x01\x4d")
        der = tlv(0x30, tlv(0x30, tlv(0x30, tlv(0x30, cert_id))))
        if one is name_hash:
            assert der == request()
            continue
        with pytest.raises(BadRequest, match="hash"):
            parse_request(der)


def test_a_serial_that_cannot_be_is_unauthorized() -> None:
    der = request(serial=1)
    for octet in (b"\x00", b"\xff"):
        with pytest.raises(NotFound):
            parse_request(der[:-1] + octet)
    assert parse_request(request(serial=(1 << 159) - 1)).cert_ids[0].serial == (1 << 159) - 1
    identifier = tlv(0x30, bytes.fromhex("06052b0e03021a0500"))
    hashed = identifier + tlv(0x04, b"n" * 20) + tlv(0x04, b"k" * 20)
    for octets in (21, 100, 3000):  # over O-03's "always": a file name of any length would be an error of the disk
        cert_id = tlv(0x30, hashed + tlv(0x02, b"\x01" * octets))
        with pytest.raises(NotFound):
            parse_request(tlv(0x30, tlv(0x30, tlv(0x30, tlv(0x30, cert_id)))))


# --- GET ----------------------------------------------------------------------------------------


def test_o08_a_get_path_is_base64_with_or_without_escapes() -> None:
    for serial in range(1, 60):
        der = request(serial=serial)
        text = base64.b64encode(der).decode()
        for path in (text, quote(text, safe=""), quote(text), text.rstrip("=")):
            assert from_path(path) == der


@pytest.mark.parametrize("path", ["%", "a", "/////", "%2", "é", "a b c d", "AAAA!", "A" * 100_000, "%FF%FE"])
def test_o11_a_get_path_that_is_no_base64_is_malformed(path: str) -> None:
    with pytest.raises(BadRequest):
        parse_request(from_path(path))


# --- any bytes ----------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_o11_any_bytes_raise_nothing_but_ca_errors(data: bytes) -> None:
    with pytest.raises(CAError):
        parse_request(data)


@given(st.text(max_size=200))
def test_o11_any_path_raises_nothing_but_ca_errors(text: str) -> None:
    with suppress(CAError):
        parse_request(from_path(text))


SAMPLES = [
    request(),
    request((x509.OCSPNonce(b"n" * 32), False), kind=SHA256),
    several(request(serial=1), request(serial=2)),
]


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 500), st.binary(min_size=1, max_size=5))
def test_o11_mutated_requests_raise_nothing_but_ca_errors(sample: bytes, place: int, patch: bytes) -> None:
    data = bytearray(sample)
    start = place % len(data)
    data[start : start + len(patch)] = patch
    with suppress(CAError):
        parse_request(bytes(data))


def test_o11_a_huge_request_is_malformed() -> None:
    with pytest.raises(BadRequest, match="large"):
        parse_request(b"\x30" * 70_000)
