"""Certificates: download (RFC 8555 §7.4.2) and revocation (§7.6)."""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acme_server import payloads
from acme_server.desk import Answer, Asked, Desk, demand_owner
from acme_server.errors import Unauthorized
from acme_server.strict import decode
from ca.authority.revoke import parse_reason
from ca.errors import NotFound
from ca.records import Actor, Certificate, serial_hex

CHAIN = "application/pem-certificate-chain"


def download(desk: Desk, asked: Asked, serial: str) -> Answer:
    """The chain in PEM, leaf first, each certifying the one before it, without the root (A-27)."""
    payloads.demand_empty(asked.payload)
    certificate = _by_serial(desk, serial)
    demand_owner(asked, certificate.account)
    return Answer(desk.authority.chain(certificate), media_type=CHAIN)


def _by_serial(desk: Desk, serial: str) -> Certificate:
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

    Raises `BadRevocationReason`, `AlreadyRevoked`, `Unauthorized`, or `NotFound` for a foreign certificate.
    """
    wanted = payloads.read(asked.payload, payloads.Revoke)
    certificate = _known(desk, decode(wanted.certificate, "The certificate"))
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
