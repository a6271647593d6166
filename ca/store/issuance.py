"""Intents: the decision to sign, written first; and its one end: issued, abandoned or withdrawn.

Each end is a conditional UPDATE of the open intent, so of two that race exactly one wins.
"""

import hashlib
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.errors import Abandoned
from ca.records import Certificate, Intent, NameKind, serial_hex
from ca.store.office import Office
from ca.store.tables import CERTIFICATE, INTENT

DEPTH = 10
"""Labels of the longest domain that names are filed below."""


class Issuance(Office):
    """The two-transaction cycle: `begin`, sign, `finish`."""

    def begin(self, intent: Intent, *, answered: bool = True) -> None:
        """Writes the open intent and, if its certificate will have OCSP answers, their mark, held back until it ends.

        Raises `Conflict` for a serial that this issuer has used (INC-06).
        """
        with self.transaction():
            self.insert(INTENT, intent)
            if answered:
                self.change(
                    "INSERT INTO ocsp VALUES (?, ?, 1, 0, 0, 0, ?, 1)",
                    intent.issuer,
                    serial_hex(intent.serial),
                    intent.not_after,
                )

    def finish(self, intent_id: str, certificate: Certificate) -> None:
        """Stores the certificate of an open intent. Raises `Abandoned` when it is open no more, or is another's."""
        with self.transaction():
            if not self._end(intent_id, "issued", certificate.issuer, certificate.serial):
                raise Abandoned(
                    f"The issuance {intent_id} was ended before its certificate came.",
                    next_step="Ask again: its serial is revoked, and nothing was handed out.",
                )
            self._file(certificate)
            self._release(certificate.issuer, certificate.serial)

    def abandon(self, intent_id: str) -> bool:
        """Gives up an open intent that may have been signed; False when it had ended already.

        The caller revokes its serial in the same transaction (INC-05).
        """
        with self.transaction():
            intent = self.intent(intent_id)
            if not self._end(intent_id, "abandoned", intent.issuer, intent.serial):
                return False
            self._release(intent.issuer, intent.serial)
            return True

    def withdraw(self, intent_id: str) -> None:
        """Takes back an open intent for which it is certain that nothing was signed. Raises `Abandoned`."""
        with self.transaction():
            intent = self.intent(intent_id)
            if not self._end(intent_id, "withdrawn", intent.issuer, intent.serial):
                raise Abandoned(f"The issuance {intent_id} has ended already.", next_step="Ask again.")
            serial = serial_hex(intent.serial)
            self.change("DELETE FROM ocsp WHERE issuer = ? AND serial = ? AND held = 1", intent.issuer, serial)

    def intent(self, intent_id: str) -> Intent:
        """One intent in whatever state. Raises `NotFound`."""
        return self.first(f"There is no issuance {intent_id!r}.", INTENT, "WHERE id = ?", intent_id)

    def open_intents(self, before: int, limit: int = 1000) -> tuple[Intent, ...]:
        """Open intents that were written before that time, the oldest first."""
        return self.select(
            INTENT, "WHERE state = 'open' AND created_at < ? ORDER BY created_at, id LIMIT ?", before, limit
        )

    def orphans(self, limit: int = 1000) -> tuple[Intent, ...]:
        """Abandoned intents: serials that may have been signed and are revoked; the newest first."""
        return self.select(INTENT, "WHERE state = 'abandoned' ORDER BY created_at DESC, id LIMIT ?", limit)

    def _end(self, intent_id: str, state: str, issuer: str, serial: int) -> bool:
        sql = "UPDATE intent SET state = ? WHERE id = ? AND state = 'open' AND issuer = ? AND serial = ?"
        return self.change(sql, state, intent_id, issuer, serial_hex(serial)) == 1

    def _release(self, issuer: str, serial: int) -> None:
        """From now on the serial's OCSP answers may be published: an open intent is never good (O-03)."""
        self.change("UPDATE ocsp SET held = 0 WHERE issuer = ? AND serial = ?", issuer, serial_hex(serial))

    def _file(self, certificate: Certificate) -> None:
        sql = CERTIFICATE.insert(("spki_sha256", "sort_name"), "RETURNING id")
        values = (*CERTIFICATE.encode(certificate), _spki_sha256(certificate.der), _sort_name(certificate))
        row_id = self.rows(sql, *values)[0][0]
        for name in sorted(_searchable(certificate)):
            self.change("INSERT INTO certificate_name (certificate, value) VALUES (?, ?)", row_id, name)
        for domain in sorted(_domains(certificate)):
            self.change("INSERT INTO certificate_parent (certificate, parent) VALUES (?, ?)", row_id, domain)


def _searchable(certificate: Certificate) -> set[str]:
    """Every name by which it can be found; its CN counts too."""
    return {name.value.lower() for name in certificate.names} | {certificate.common_name.lower()} - {""}


def _domains(certificate: Certificate) -> set[str]:
    """Every domain that one of its names lies below."""
    others = {name.value.lower() for name in certificate.names if name.kind is not NameKind.DNS}
    return {domain for name in _searchable(certificate) - others for domain in parents(name)}


def parents(name: str) -> Iterator[str]:
    """The domains that a DNS name lies below, without those of over DEPTH labels."""
    labels = name.split(".")
    for start in range(max(1, len(labels) - DEPTH), len(labels)):
        yield ".".join(labels[start:])


def _sort_name(certificate: Certificate) -> str:
    """What a list sorts by: the CN, else the first name; a wildcard beside its apex."""
    first = certificate.common_name or (certificate.names[0].value if certificate.names else "")
    return first.lower().removeprefix("*.")


def _spki_sha256(der: bytes) -> str:
    public_key = x509.load_der_x509_certificate(der).public_key()
    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
