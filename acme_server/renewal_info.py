"""Renewal information (RFC 9773): clients ask when to renew, without an account and without a signature."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from cryptography import x509

from acme_server import payloads, windows
from acme_server.desk import Answer, Asked, Desk
from acme_server.errors import Malformed
from acme_server.strict import decode, encode
from acme_server.windows import Window
from ca.clock import rfc3339
from ca.errors import BadRequest, NotFound
from ca.records import Actor, Certificate, Event, Query, serial_hex

AT_ONCE = 5000
"""Windows that are written in one transaction: no other writer waits for longer."""

_ADVICE = "Write base64url(AKI keyIdentifier).base64url(serial), RFC 9773 §4.1."


# --- identifiers --------------------------------------------------------------------------------


def certificate_id(key_id: bytes, serial: int) -> str:
    """The identifier of a certificate: who issued it, and its serial (RFC 9773 §4.1)."""
    return f"{encode(key_id)}.{encode(_octets(serial))}"


def parse(text: str) -> tuple[bytes, int]:
    """The AKI key identifier and the serial of an identifier. Raises `Malformed` for any but its one form."""
    key_id, dot, octets = text.partition(".")
    if not dot or len(text) > 200:
        raise Malformed("This is no identifier of a certificate.", next_step=_ADVICE)
    issuer, serial = decode(key_id, "The AKI"), decode(octets, "The serial")
    number = int.from_bytes(serial, signed=True)
    if not issuer or number <= 0 or _octets(number) != serial:
        raise Malformed("The serial is no positive DER INTEGER.", next_step=_ADVICE)
    return issuer, number


def find(desk: Desk, text: str) -> Certificate:
    """The certificate of an identifier. Raises `Malformed`, or `NotFound` for one that is not from here."""
    key_id, serial = parse(text)
    refused = NotFound("This CA did not issue that certificate.", next_step="Ask the CA that issued it.")
    try:
        certificate = desk.store.by_serial(serial)
    except NotFound:
        raise refused from None
    if _key_id(desk.store.issuer(certificate.issuer).certificate) != key_id:
        raise refused
    return certificate


def _octets(serial: int) -> bytes:
    """The content of a DER INTEGER: a leading zero where the number would look negative."""
    return serial.to_bytes(serial.bit_length() // 8 + 1)


@lru_cache(maxsize=64)
def _key_id(issuer: bytes) -> bytes:
    certificate = x509.load_der_x509_certificate(issuer)
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


# --- what clients ask ---------------------------------------------------------------------------


def show(desk: Desk, asked: Asked, certificate_id: str) -> Answer:
    """When to renew a certificate (§4.2): see `_window`. What is out of the ordinary is explained."""
    payloads.demand_empty(asked.payload)
    certificate = find(desk, certificate_id)
    called = desk.renewals.called(serial_hex(certificate.serial))
    window = _window(certificate, called)
    members = {"suggestedWindow": {"start": rfc3339(window.start), "end": rfc3339(window.end)}}
    if called or certificate.revoked_at:
        members["explanationURL"] = desk.urls.resource("renewal-explained")  # type: ignore[assignment]
    return Answer(
        members,
        retry_after=windows.look_again(certificate, desk.config.acme.renewal_poll),
        headers={"Access-Control-Allow-Origin": "*"},
    )


def _window(certificate: Certificate, called: Window | None) -> Window:
    """Its own time, or as it was called. Over for a revoked one, unless it was called to renew later than that: in a
    mass revocation all were, so that they do not come at once."""
    if not certificate.revoked_at:
        return called or windows.usual(certificate)
    return called if called and called.start > certificate.revoked_at else windows.past(certificate.revoked_at)


# --- incidents ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """Certificates that were called to be renewed: how many, at which rate, from when until when."""

    count: int
    per_second: float
    begin: int
    end: int


def call(desk: Desk, serials: tuple[int, ...], actor: Actor, per_second: float = 0.0) -> Call:
    """Has every one of these certificates renewed as soon as this CA can issue so many, in this order.

    `per_second` is the rate to count on; 0 for the highest that was measured in the last 30 days, at least one.
    Called before a mass revocation it lets clients renew first; `end` says when the last window closes. Calling a
    certificate again gives it a new window. Raises `BadRequest` for a negative rate.
    """
    planned = plan(desk, len(serials), per_second)
    found = windows.spread(planned.count, planned.per_second, planned.begin)
    called = zip(map(serial_hex, serials), found, strict=True)
    with desk.store.transaction():
        detail = {"count": planned.count, "per_second": planned.per_second, "end": planned.end}
        desk.journal(Event("renewal.called", actor, "renewals", detail=detail))
        desk.renewals.call(islice(called, AT_ONCE))
    while some := tuple(islice(called, AT_ONCE)):
        desk.renewals.call(some)
    return planned


def with_clients(desk: Desk, query: Query) -> Iterator[int]:
    """The serials of valid certificates of ACME accounts among those that a query finds."""
    query = replace(query, status="valid", limit=1000)
    while True:
        page = desk.store.find(query, desk.now())
        yield from (one.serial for one in page.items if one.account)
        if not page.next:
            return
        query = replace(query, after=page.next)


def plan(desk: Desk, count: int, per_second: float = 0.0) -> Call:
    """What a call of so many certificates would be. Raises `BadRequest` for a negative rate."""
    if per_second < 0:
        raise BadRequest("The rate is negative.", next_step="Give certificates a second, or 0 for the measured rate.")
    begin = desk.now()
    rate = per_second or max(1.0, desk.renewals.busiest_minute(begin - 30 * 86400) / 60)
    last = int(max(0, count - 1) / rate) + windows.INCIDENT_WIDTH
    return Call(count, rate, begin, begin + last)


__all__ = ["Call", "Window", "call", "certificate_id", "find", "parse", "plan", "show", "with_clients"]
