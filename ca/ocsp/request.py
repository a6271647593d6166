"""OCSP requests, parsed strictly and fast (RFC 6960 §4.1): whatever comes in is a query or a `CAError`."""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat import asn1

from ca.errors import BadRequest, NotFound
from ca.ocsp.paths import CertID

MAX_REQUEST = 64 * 1024
MAX_CERT_IDS = 100
MAX_NONCE = 128
MAX_SERIAL = 20
"""Octets of a serial number (RFC 5280 §4.1.2.2)."""

_NONCE = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.2")
_KNOWN_EXTENSIONS = (
    _NONCE,
    x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.4"),  # acceptable responses: all clients take a basic one
    x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.7"),  # service locator
    x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.8"),  # preferred signature algorithms: a wish
)
_ALGORITHMS = {
    x509.ObjectIdentifier("1.3.14.3.2.26"): ("sha1", 20),
    x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1"): ("sha256", 32),
}


# `[n] EXPLICIT Any` is octet for octet `[n] IMPLICIT SEQUENCE OF Any` with one element; the latter can be declared.
_Any = list[asn1.TLV] | None


@asn1.sequence
class _Algorithm:
    oid: x509.ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _CertID:
    algorithm: _Algorithm
    name_hash: bytes
    key_hash: bytes
    serial: int


@asn1.sequence
class _Extension:
    oid: x509.ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]
    value: bytes


@asn1.sequence
class _Request:
    cert_id: _CertID
    extensions: Annotated[list[_Extension] | None, asn1.Explicit(0)]


@asn1.sequence
class _TBSRequest:
    version: Annotated[int, asn1.Explicit(0), asn1.Default(0)]
    requestor: Annotated[_Any, asn1.Implicit(1)]
    requests: list[_Request]
    extensions: Annotated[list[_Extension] | None, asn1.Explicit(2)]


@asn1.sequence
class _OCSPRequest:
    tbs: _TBSRequest
    signature: Annotated[_Any, asn1.Implicit(0)]


@dataclass(frozen=True, slots=True)
class OCSPQuery:
    """What is asked. `nonce` is empty when there was none; a CertID that stands twice is one."""

    cert_ids: tuple[CertID, ...]
    nonce: bytes = b""


def parse_request(der: bytes) -> OCSPQuery:
    """The query of a DER OCSPRequest of at most 64 KiB. A signature on it is not looked at: all may ask.

    Raises `BadRequest` (answer `malformedRequest`): junk, an unknown hash with a wrong length, a nonce of 0 or
    over 128 octets (RFC 9654 §2.1), an unknown critical extension. `NotFound` (answer `unauthorized`) for a
    hash that no answer is published under. No other exception comes out of any bytes.
    """
    if len(der) > MAX_REQUEST:
        raise _malformed("it is too large")
    try:
        request = asn1.decode_der(_OCSPRequest, der)
    except ValueError:
        raise _malformed("it is no DER OCSPRequest") from None
    tbs = request.tbs
    if tbs.version != 0 or not 1 <= len(tbs.requests) <= MAX_CERT_IDS:
        raise _malformed(f"it is not of version 1, or asks about none or over {MAX_CERT_IDS} certificates")
    nonce = _nonce(tbs.extensions or [])
    for one in tbs.requests:
        _refuse_unknown(one.extensions or [])
    return OCSPQuery(tuple(dict.fromkeys(_cert_id(one.cert_id) for one in tbs.requests)), nonce)


def from_path(text: str) -> bytes:
    """The DER in the last part of a GET's path: base64, with or without percent escapes (RFC 6960 A.1).

    Raises `BadRequest` (answer `malformedRequest`).
    """
    if len(text) > MAX_REQUEST:
        raise _malformed("it is too large")
    encoded = unquote_to_bytes(text)
    try:
        return base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        raise _malformed("the path is no base64") from None


def _malformed(why: str) -> BadRequest:
    return BadRequest(f"The OCSP request cannot be answered: {why}.")


def _cert_id(raw: _CertID) -> CertID:
    algorithm, size = _ALGORITHMS.get(raw.algorithm.oid, ("", 0))
    if not algorithm:
        raise NotFound("The OCSP request names its issuer by a hash that nothing is published under.")
    if len(raw.name_hash) != size or len(raw.key_hash) != size:
        raise _malformed("a hash is not as long as its algorithm says")
    if not 0 < raw.serial < 1 << 8 * MAX_SERIAL:
        raise NotFound("The OCSP request asks about a serial that no certificate can have.")
    return CertID(algorithm, raw.name_hash, raw.key_hash, raw.serial)


def _nonce(extensions: list[_Extension]) -> bytes:
    _refuse_unknown(extensions)
    for extension in extensions:
        if extension.oid == _NONCE:
            return _nonce_value(extension.value)
    return b""


def _nonce_value(value: bytes) -> bytes:
    """1 to 128 octets in an OCTET STRING, itself in the extension's OCTET STRING."""
    try:
        nonce = asn1.decode_der(bytes, value)
    except ValueError:
        raise _malformed("its nonce is no OCTET STRING") from None
    if not 1 <= len(nonce) <= MAX_NONCE:
        raise _malformed(f"its nonce has other than 1 to {MAX_NONCE} octets")
    return nonce


def _refuse_unknown(extensions: list[_Extension]) -> None:
    oids = [extension.oid for extension in extensions]
    if len(set(oids)) != len(oids):
        raise _malformed("an extension stands twice")
    for extension in extensions:
        if extension.critical and extension.oid not in _KNOWN_EXTENSIONS:
            raise _malformed(f"the critical extension {extension.oid.dotted_string} is not known")
