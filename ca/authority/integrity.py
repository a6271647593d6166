"""Are the records what was once made? Keys are held against the signer's pins, certificates against their issuers.

Whoever can write to the database can change a row; the signer's own file and the signatures he cannot.
"""

import hashlib
from collections.abc import Iterator, Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.authority.desk import Desk
from ca.authority.report import Report
from ca.errors import StoreUnavailable
from ca.records import Certificate, Issuer, Key, KeyPurpose, Query, serial_hex

PAGE = 1000


def verify_records(desk: Desk) -> Report:
    """Looks at every key, issuer, responder and certificate; answers how many there were.

    Raises `StoreUnavailable` naming the first record that was changed, and the HSM family without a signer.
    """
    keys = {key.id: key for key in iter(desk.store.keys())}
    _check_keys(keys, {key.id: key for key in iter(desk.signer.keys())})
    issuers = {one.id: one for one in desk.store.issuers()}
    for one in issuers.values():
        _check_issuer(one, issuers, keys)
        _check_responder(desk, one, keys)
    certificates = sum(1 for one in _certificates(desk) if verify_certificate(one))
    return Report("verify_records", len(keys) + len(issuers) + certificates)


def verify_certificate(certificate: Certificate) -> bool:
    """True for a record whose bytes are those that were stored; raises `StoreUnavailable` for any other."""
    if hashlib.sha256(certificate.der).hexdigest() != certificate.sha256:
        raise _changed(f"certificate {serial_hex(certificate.serial)}", "its bytes are not those of its SHA-256")
    return True


def _check_keys(recorded: Mapping[str, Key], pinned: Mapping[str, Key]) -> None:
    """The root's key is in no signer: it is held against the root's certificate alone."""
    for key in recorded.values():
        if key.purpose is not KeyPurpose.ROOT and (key.id not in pinned or _facts(key) != _facts(pinned[key.id])):
            raise _changed(f"key {key.id}", "it is not the one that the signer pinned at the ceremony")


def _facts(key: Key) -> tuple[object, ...]:
    return key.purpose, key.algorithm, key.spki, key.software, dict(key.attributes)


def _check_issuer(one: Issuer, issuers: Mapping[str, Issuer], keys: Mapping[str, Key]) -> None:
    """A foreign CA that was cross-signed has no key in the records: its root's signature alone vouches for it."""
    above = issuers.get(one.parent, one)
    if one.kind == "cross" and not one.key_id:
        _check_by(f"issuer {one.id}", one.certificate, above)
    else:
        _check_signed(f"issuer {one.id}", one.certificate, above, keys.get(one.key_id))


def _check_responder(desk: Desk, issuer: Issuer, keys: Mapping[str, Key]) -> None:
    if issuer.kind == "issuing":
        responder = desk.store.responder(issuer.id)
        _check_signed(f"responder {responder.key_id}", responder.certificate, issuer, keys.get(responder.key_id))


def _check_signed(what: str, der: bytes, issuer: Issuer, key: Key | None) -> None:
    spki = _check_by(what, der, issuer)
    if key is None or spki != key.spki:
        raise _changed(what, "its certificate is for another key than the recorded one")


def _check_by(what: str, der: bytes, issuer: Issuer) -> bytes:
    """The public key of a certificate of that issuer."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(issuer.certificate))
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, InvalidSignature):
        raise _changed(what, f"its certificate is not one of {issuer.id}") from None


def _certificates(desk: Desk) -> Iterator[Certificate]:
    after = ""
    while True:
        page = desk.store.find(Query(after=after, limit=PAGE), desk.clock())
        yield from page.items
        after = page.next
        if not after:
            return


def _changed(what: str, why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"The database is damaged: the record of {what} was changed, {why}.",
        next_step="Keep this database as evidence, and compare it with a backup and 'certwright audit export'.",
    )
