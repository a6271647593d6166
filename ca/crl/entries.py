"""Entries of a CRL as DER (RFC 5280 §5.1.2.6, §5.3): written once for each revocation, and copied from then on.

The library needs ten times as long for an entry, and a list of a million is put together each day.
"""

from collections.abc import Iterator

from ca.clock import at
from ca.errors import BadRequest
from ca.keys import der
from ca.records import REASON_CODES, Reason, Revocation

_REMOVE_FROM_CRL = 8
_REASON = bytes.fromhex("0603551d15")
_INVALIDITY_DATE = bytes.fromhex("0603551d18")
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


def entry(fact: Revocation) -> bytes:
    """The entry of a fact. "Unspecified" is said by leaving the reason out (L-06)."""
    extensions = b""
    if fact.reason is not Reason.UNSPECIFIED:
        extensions += _reason(REASON_CODES[fact.reason])
    if fact.invalidity_date:
        date = at(fact.invalidity_date).strftime("%Y%m%d%H%M%SZ").encode()
        extensions += _extension(_INVALIDITY_DATE, der.tlv(_GENERALIZED_TIME, date))
    return _entry(fact.serial, fact.revoked_at, extensions)


def removal(serial: int, released_at: int) -> bytes:
    """The entry that takes a serial off the base: for delta CRLs alone (L-06, RFC 5280 §5.3.1 removeFromCRL)."""
    return _entry(serial, released_at, _reason(_REMOVE_FROM_CRL))


def _entry(serial: int, when: int, extensions: bytes) -> bytes:
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    parts = der.tlv(der.INTEGER, number) + _time(when)
    return der.tlv(der.SEQUENCE, parts + (der.tlv(der.SEQUENCE, extensions) if extensions else b""))


def _time(when: int) -> bytes:
    """UTCTime to 2049, GeneralizedTime from 2050 (X-04)."""
    moment = at(when)
    if moment.year < 2050:
        return der.tlv(_UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return der.tlv(_GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def _reason(code: int) -> bytes:
    return _extension(_REASON, bytes((der.ENUMERATED, 1, code)))


def _extension(oid: bytes, value: bytes) -> bytes:
    return der.tlv(der.SEQUENCE, oid + der.tlv(der.OCTET_STRING, value))


# --- and back -----------------------------------------------------------------------------------


def split(revoked: bytes) -> Iterator[bytes]:
    """The entries of a list's revokedCertificates. Raises `BadRequest` for what is no DER."""
    start, end = 0, len(revoked)
    while start < end:
        short = start + 1 < end and revoked[start + 1] < 0x80
        after = start + 2 + revoked[start + 1] if short else der.end_of(revoked, start)
        if after > end:
            raise BadRequest("The list of revoked certificates is no DER.")
        yield revoked[start:after]
        start = after


def serial_of(raw: bytes) -> int:
    """The serial of an entry. Raises `BadRequest`."""
    return int.from_bytes(der.content(next(iter(der.children(raw)))), "big")
