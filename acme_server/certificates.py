"""Certificates: download (RFC 8555 §7.4.2) and revocation (§7.6)."""

import hashlib
from collections.abc import Callable, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from acme_server import payloads
from acme_server.desk import Answer, Asked, Desk, demand_owner
from acme_server.errors import NotAcceptable, RevocationNotSupported, Unauthorized
from acme_server.strict import decode
from ca.authority.revoke import parse_reason
from ca.errors import NotFound
from ca.records import Actor, Certificate, serial_hex

Write = Callable[[bytes], bytes]

FORMATS: Mapping[str, Write] = {
    "application/pem-certificate-chain": lambda chain: chain,
    "application/pkix-cert": lambda chain: x509.load_pem_x509_certificate(chain).public_bytes(Encoding.DER),
    "application/pkcs7-mime": lambda chain: pkcs7.serialize_certificates(
        x509.load_pem_x509_certificates(chain), Encoding.DER
    ),
}
"""What a chain in PEM may be asked for as, the usual one first (RFC 8555 §7.4.2)."""


def download(desk: Desk, asked: Asked, serial: str, number: str = "0") -> Answer:
    """The chain, leaf first, each certifying the one before it, without the root (A-27), as the client accepts it.

    Where there are several, each leads to the others. Raises `NotFound` or `NotAcceptable`.
    """
    payloads.demand_empty(asked.payload)
    certificate = by_serial(desk, serial)
    demand_owner(asked, certificate.account)
    return written(desk, asked, certificate, number, desk.urls.certificate(serial))


def written(desk: Desk, asked: Asked, certificate: Certificate, number: str, url: str) -> Answer:
    """One of its chains; they are at `url` and, from the second on, below it. Raises `NotFound` or `NotAcceptable`."""
    media_type = _media_type(asked.accept)
    found = {str(n): chain for n, chain in enumerate(desk.authority.chains(certificate))}
    if number not in found:
        raise NotFound("There is no such chain.", next_step=f"Begin at {url}.")
    others = tuple(url if n == "0" else f"{url}/{n}" for n in found if n != number)
    return Answer(FORMATS[media_type](found[number]), media_type=media_type, alternates=others)


def _media_type(accept: str) -> str:
    """The best of our formats for an Accept header; none means any. Raises `NotAcceptable`."""
    if not accept:
        return next(iter(FORMATS))
    best = parse_accept_header(accept, MIMEAccept).best_match(FORMATS)
    if best is None:
        raise NotAcceptable(
            f"A certificate cannot be had as {accept[:200]!r}.", next_step=f"Accept one of {', '.join(FORMATS)}."
        )
    return best


def by_serial(desk: Desk, serial: str) -> Certificate:
    """The certificate of a serial in hex, as URLs have it. Raises `NotFound`."""
    try:
        number = int(serial, 16)
    except ValueError:
        number = 0
    if serial_hex(number) != serial:
        raise NotFound("There is no such certificate.")
    return desk.store.by_serial(number)


def revoke(desk: Desk, asked: Asked) -> Answer:
    """Revokes a certificate for whoever may ask for it: the account that got it, an account that holds
    authorizations for all of its names, or the certificate's own key (A-30).

    Raises `RevocationNotSupported` (RFC 8739 §3.1.2), `BadRevocationReason`, `AlreadyRevoked`, `Unauthorized`, or
    `NotFound` for a foreign certificate.
    """
    wanted = payloads.read(asked.payload, payloads.Revoke)
    certificate = _known(desk, decode(wanted.certificate, "The certificate"))
    if certificate.order and desk.courses.renews(certificate.order):
        raise RevocationNotSupported(
            "It renews itself: it is cancelled, not revoked.", next_step="Post the status canceled to its order."
        )
    reason = parse_reason(wanted.reason or 0)
    actor = _actor(desk, asked, certificate)
    desk.authority.revoke(certificate, reason, actor, request_id=asked.request_id)
    return Answer()


def _known(desk: Desk, der: bytes) -> Certificate:
    """The certificate with exactly these octets. Raises `NotFound`."""
    try:
        return desk.store.by_sha256(hashlib.sha256(der).hexdigest())
    except NotFound:
        raise NotFound("This CA did not issue that certificate.", next_step="Ask the CA that issued it.") from None


def _actor(desk: Desk, asked: Asked, certificate: Certificate) -> Actor:
    """Who asks, with the right to. Raises `Unauthorized`."""
    if asked.account is not None:
        if certificate.account == asked.account.id or _holds_all(desk, asked.account.id, certificate):
            return asked.account.actor
    elif asked.key is not None and asked.key.spki == _spki(certificate):
        return Actor("certificate", serial_hex(certificate.serial), "certificate-key")
    raise Unauthorized(
        "Whoever asks may not revoke this certificate.",
        next_step="Ask by the account that ordered it, by one that is authorized for all its names, or by its key.",
    )


def _holds_all(desk: Desk, account_id: str, certificate: Certificate) -> bool:
    """Each single name has to be held (INC-07); a certificate without names is nobody's."""
    now = desk.now()
    return bool(certificate.names) and all(desk.proofs.holds(account_id, name, now) for name in certificate.names)


def _spki(certificate: Certificate) -> bytes:
    key = x509.load_der_x509_certificate(certificate.der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
