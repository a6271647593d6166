"""A dossier: all that is known of one certificate, for the person who has to decide about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from ca import journal
from ca.authority.chain import ways
from ca.authority.desk import Desk
from ca.errors import CAError, NotFound
from ca.lint import CHECKS
from ca.lint.draft import read
from ca.records import Certificate, Issuer, Revocation, serial_hex


@dataclass(frozen=True, slots=True)
class Linted:
    """One rule of the lint, held against the certificate as it is."""

    id: str
    promise: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Dossier:
    """`chain` is the issuer first, the root last; `history` are the journal's entries, the oldest first; `followed_by`
    are newer certificates of the same first name, `lint` is empty where the profile is no more, and says why."""

    certificate: Certificate
    chain: tuple[Issuer, ...]
    history: tuple[Mapping[str, Any], ...]
    followed_by: tuple[Certificate, ...]
    lint: tuple[Linted, ...]
    lint_trouble: str
    revocation: Revocation | None
    tags: tuple[str, ...]


def dossier(desk: Desk, serial: int) -> Dossier:
    """Everything about the certificate of that serial. Raises `NotFound`."""
    one = desk.store.by_serial(serial)
    lint, trouble = _linted(desk, one)
    target = f"certificate:{one.issuer}:{serial_hex(one.serial)}"
    return Dossier(
        certificate=one,
        chain=_chain(desk, one),
        history=journal.history(desk.store, target, 200) + _of_order(desk, one),
        followed_by=_followers(desk, one),
        lint=lint,
        lint_trouble=trouble,
        revocation=_revocation(desk, one),
        tags=desk.store.tags([one]).get(one.serial, ()),
    )


def _chain(desk: Desk, one: Certificate) -> tuple[Issuer, ...]:
    """The first way up, with the root at its end."""
    way = ways(desk, one.issuer)[0]
    return (*way, desk.store.issuer(way[-1].parent))


def _of_order(desk: Desk, one: Certificate) -> tuple[Mapping[str, Any], ...]:
    return journal.history(desk.store, f"order:{one.order}", 50) if one.order else ()


def _followers(desk: Desk, one: Certificate) -> tuple[Certificate, ...]:
    """Certificates that were issued later for its first name, the newest first, a few at most."""
    if not one.names:
        return ()
    return tuple(other for other in desk.store.named(one.names[0].value, 6) if other.issued_at > one.issued_at)


def _linted(desk: Desk, one: Certificate) -> tuple[tuple[Linted, ...], str]:
    try:
        tbs = x509.load_der_x509_certificate(one.der).tbs_certificate_bytes
        draft = read(tbs, desk.profile(one.profile), desk.store.issuer(one.issuer).certificate)
        return tuple(Linted(check.id, check.promise, check.holds(draft)) for check in CHECKS), ""
    except (CAError, ValueError) as error:
        return (), str(error)


def _revocation(desk: Desk, one: Certificate) -> Revocation | None:
    try:
        return desk.store.revocation(one.issuer, one.serial)
    except NotFound:
        return None
