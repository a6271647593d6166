"""Adoption: what published CRLs tell and the records have forgotten comes back into the records (INC-01, INC-12).

After a restore from an old backup the gate publishes nothing that says less than what is out. This is the way on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509

from ca.authority.desk import Desk
from ca.crl import not_after
from ca.errors import BadRequest, NotFound
from ca.keys.algorithms import algorithm_of
from ca.ocsp import ALGORITHMS, answer_path, cert_id
from ca.records import Actor, Event, Issuer, Reason, Revocation, serial_hex


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was read and what of it was new."""

    lists: int
    entries: int
    adopted: tuple[Revocation, ...]


def adopt(desk: Desk, bodies: Iterable[bytes], actor: Actor, *, dry_run: bool = False) -> Adopted:
    """Takes every entry over that a CRL of ours tells and the records lack; each is journalled. Twice is no error.

    Raises `BadRequest` for bytes that are no CRL of an issuing CA of these records; then none of them was taken.
    """
    return take_over(desk, [_read(desk, body) for body in bodies], actor, dry_run=dry_run)


def take_over(
    desk: Desk, crls: Sequence[tuple[Issuer, x509.CertificateRevocationList]], actor: Actor, *, dry_run: bool = False
) -> Adopted:
    """The same of CRLs whose issuer is known: its signature was looked at, or they stand in the signer's ledger."""
    adopted: list[Revocation] = []
    entries = 0
    with desk.store.transaction():
        for issuer, one in crls:
            for fact in _facts(desk, issuer, one, actor):
                entries += 1
                if _is_known(desk, fact) or fact.serial in {known.serial for known in adopted}:
                    continue
                adopted.append(fact)
                if not dry_run:
                    _take(desk, issuer, fact)
    return Adopted(len(crls), entries, tuple(adopted))


def published_crls(desk: Desk) -> Iterator[bytes]:
    """Every complete CRL of an issuing CA that lies in this node's folder."""
    folder = desk.publisher.folder
    for issuer in desk.store.issuers():
        if issuer.kind == "issuing":
            for path in folder.names(f"crl/{issuer.id}"):
                publication = folder.get(path)
                if publication is not None:
                    yield publication.body


def _read(desk: Desk, body: bytes) -> tuple[Issuer, x509.CertificateRevocationList]:
    try:
        one = x509.load_pem_x509_crl(body) if b"-----BEGIN" in body[:64] else x509.load_der_x509_crl(body)
    except ValueError as error:
        raise BadRequest(f"This is no CRL: {error}.", next_step="Name CRLs in DER or PEM.") from None
    for issuer in desk.store.issuers():
        key = x509.load_der_x509_certificate(issuer.certificate).public_key()
        signed = algorithm_of(key).verifies(key, one.signature, one.tbs_certlist_bytes)  # type: ignore[arg-type]
        if issuer.kind == "issuing" and signed:
            return issuer, one
    raise BadRequest("No issuing CA of these records has signed this CRL.", next_step="See 'certwright ca list'.")


def _facts(desk: Desk, issuer: Issuer, one: x509.CertificateRevocationList, actor: Actor) -> Iterator[Revocation]:
    number = one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    for entry in one:
        said = {type(extension.value): extension.value for extension in entry.extensions}
        reason, date = said.get(x509.CRLReason), said.get(x509.InvalidityDate)
        yield Revocation(
            issuer.id,
            entry.serial_number,
            int(entry.revocation_date_utc.timestamp()),
            Reason(reason.reason.value) if reason else Reason.UNSPECIFIED,
            actor,
            _end(desk, issuer, entry.serial_number),
            f"adopted from CRL {number}",
            int(date.invalidity_date_utc.timestamp()) if date else 0,
        )


def _end(desk: Desk, issuer: Issuer, serial: int) -> int:
    """The end of the certificate, or of its issuer where the records do not know it: it stays on the list longer."""
    try:
        return desk.store.not_after(issuer.id, serial)
    except NotFound:
        return not_after(issuer)


def _is_known(desk: Desk, fact: Revocation) -> bool:
    """Whether the records say as much: the serial is revoked or was released, and not for less than keyCompromise."""
    try:
        known = desk.store.revocation(fact.issuer, fact.serial)
    except NotFound:
        return bool(desk.store.released_at(fact.issuer, fact.serial))
    return fact.reason is not Reason.KEY_COMPROMISE or known.reason is Reason.KEY_COMPROMISE


def _take(desk: Desk, issuer: Issuer, fact: Revocation) -> None:
    if fact.reason is Reason.CERTIFICATE_HOLD:
        desk.store.hold(fact)
    else:
        desk.store.revoke(fact)
    desk.store.raise_ocsp(fact.issuer, fact.serial, _published_generation(desk, issuer, fact.serial))
    target = f"certificate:{fact.issuer}:{serial_hex(fact.serial)}"
    detail = {"revoked_at": fact.revoked_at, "comment": fact.comment}
    desk.journal.append(Event("revocation.adopted", fact.actor, target, reason=fact.reason, detail=detail))


def _published_generation(desk: Desk, issuer: Issuer, serial: int) -> int:
    """The generation of the newest OCSP answer that is out: the next one must be above it (ADR 3)."""
    certificate = x509.load_der_x509_certificate(issuer.certificate)
    paths = (answer_path(cert_id(certificate, serial, algorithm)) for algorithm in ALGORITHMS)
    found = (desk.publisher.folder.get(path) for path in paths)
    return max((one.version >> 40 for one in found if one is not None), default=0)
