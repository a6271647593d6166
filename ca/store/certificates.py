"""Looking certificates up by their identity. Lists and searches are `ca.store.search`."""

from ca.errors import Conflict
from ca.records import Certificate, serial_hex
from ca.store.office import Office
from ca.store.tables import CERTIFICATE


class Certificates(Office):
    """The certificates that were issued; nothing of one changes here but its owner."""

    def certificate(self, issuer: str, serial: int) -> Certificate:
        """The certificate of an issuer and serial. Raises `NotFound`."""
        return self._certificate("WHERE issuer = ? AND serial = ?", issuer, serial_hex(serial))

    def by_serial(self, serial: int) -> Certificate:
        """The certificate of a serial, whichever issuer's: 128 random bits are unique. Raises `NotFound`."""
        return self._certificate("WHERE serial = ? ORDER BY id DESC LIMIT 1", serial_hex(serial))

    def by_sha256(self, sha256: str) -> Certificate:
        """The certificate whose DER has this SHA-256 (hex). Raises `NotFound`."""
        return self._certificate("WHERE sha256 = ?", sha256.lower())

    def by_public_key(self, spki_sha256: str, limit: int = 1000) -> tuple[Certificate, ...]:
        """Every certificate for a public key, by the SHA-256 (hex) of its SPKI; the newest first."""
        return self.select(CERTIFICATE, "WHERE spki_sha256 = ? ORDER BY id DESC LIMIT ?", spki_sha256.lower(), limit)

    def named(self, name: str, limit: int) -> tuple[Certificate, ...]:
        """Certificates that hold this very name, the newest first."""
        return self.select(CERTIFICATE, _NAMED, name, limit)

    def by_order(self, order: str) -> Certificate:
        """The certificate of an ACME order. Raises `NotFound`."""
        return self._certificate("""WHERE "order" = ? AND "order" <> '' ORDER BY issued_at DESC LIMIT 1""", order)

    def expiring(self, before: int, after: int = 0, limit: int = 1000) -> tuple[Certificate, ...]:
        """Unrevoked certificates whose notAfter lies in [after, before), the soonest first."""
        tail = "WHERE not_after < ? AND not_after >= ? AND revoked_at = 0 ORDER BY not_after, id LIMIT ?"
        return self.select(CERTIFICATE, tail, before, after, limit)

    def set_owner(self, certificate: Certificate, owner: str) -> None:
        """Exchanges the owner that this certificate was read with. Raises `Conflict` when it has another by now."""
        sql = "UPDATE certificate SET owner = ? WHERE issuer = ? AND serial = ? AND owner = ?"
        serial = serial_hex(certificate.serial)
        if not self.change(sql, owner, certificate.issuer, serial, certificate.owner):
            raise Conflict(f"{serial} has changed hands meanwhile: nothing was changed.", next_step="Look again.")

    def _certificate(self, tail: str, *values: object) -> Certificate:
        return self.first("There is no such certificate.", CERTIFICATE, tail, *values)


_NAMED = (
    "WHERE id IN (SELECT certificate FROM certificate_name WHERE value = ? ORDER BY certificate DESC LIMIT ?) "
    "ORDER BY id DESC"
)
