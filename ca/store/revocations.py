"""Revocation facts, by issuer and serial alone: they need no certificate row and outlive everything (INC-12)."""

from ca.errors import AlreadyRevoked, NotFound
from ca.records import Reason, Revocation, serial_hex, serial_shard
from ca.store.office import Office
from ca.store.tables import REVOCATION


class Revocations(Office):
    """One fact a serial; OCSP and CRL are two renderings of it (INC-04). No clean-up ever touches them (INC-10)."""

    def revoke(self, fact: Revocation) -> None:
        """Writes the fact and marks the serial's OCSP answers and its CRL shard stale, in one transaction.

        A later keyCompromise replaces another reason and keeps the first time; any other second revocation
        raises `AlreadyRevoked`, and then nothing changed.
        """
        with self.transaction():
            if not self._write(fact) and not self._upgrade(fact):
                raise AlreadyRevoked(
                    "This certificate is revoked already.", next_step="Only keyCompromise may replace a reason."
                )
            serial = serial_hex(fact.serial)
            self.change(_MARK_CERTIFICATE, fact.revoked_at, fact.reason.value, fact.issuer, serial)
            self.change(_MARK_OCSP, fact.issuer, serial)
            self.change(_MARK_SHARD, fact.issuer, serial_shard(fact.serial))

    def revocation(self, issuer: str, serial: int) -> Revocation:
        """The fact of a serial. Raises `NotFound` when it is not revoked."""
        tail = "WHERE issuer = ? AND serial = ?"
        return self.first("It is not revoked.", REVOCATION, tail, issuer, serial_hex(serial))

    def revoked(self, issuer: str, shard: int, not_after_from: int) -> tuple[Revocation, ...]:
        """What a CRL shard holds: each fact whose notAfter is not before that time, by serial (L-07)."""
        tail = "WHERE issuer = ? AND shard = ? AND not_after >= ? ORDER BY serial"
        return self.select(REVOCATION, tail, issuer, shard, not_after_from)

    def not_after(self, issuer: str, serial: int) -> int:
        """When a serial ends, as its revocation, certificate or intent says. Raises `NotFound`."""
        key = (issuer, serial_hex(serial))
        found = self.rows(_NOT_AFTER, *key, *key, *key)
        if not found:
            raise NotFound("There is no such serial.")
        return int(found[0][0])

    def _write(self, fact: Revocation) -> bool:
        sql = REVOCATION.insert(("shard",), "ON CONFLICT DO NOTHING")
        return self.change(sql, *REVOCATION.encode(fact), serial_shard(fact.serial)) == 1

    def _upgrade(self, fact: Revocation) -> bool:
        if fact.reason != Reason.KEY_COMPROMISE:
            return False
        values = REVOCATION.encode(fact)
        by_name = dict(zip(REVOCATION.columns, values, strict=True))
        changed = [by_name[name] for name in ("reason", "actor", "comment", "invalidity_date", "issuer", "serial")]
        return self.change(_UPGRADE, *changed) == 1


_UPGRADE = (
    "UPDATE revocation SET reason = ?, actor = ?, comment = ?, invalidity_date = ? "
    "WHERE issuer = ? AND serial = ? AND reason <> 'keyCompromise'"
)
_MARK_CERTIFICATE = (
    "UPDATE certificate SET revoked_at = CASE WHEN revoked_at = 0 THEN ? ELSE revoked_at END, reason = ? "
    "WHERE issuer = ? AND serial = ?"
)
_MARK_OCSP = "UPDATE ocsp SET generation = generation + 1, refresh_at = 0 WHERE issuer = ? AND serial = ?"
_MARK_SHARD = (
    "INSERT INTO shard VALUES (?, ?, 1, 0, 0, 0, 0, 0) "
    "ON CONFLICT (issuer, shard) DO UPDATE SET generation = shard.generation + 1"
)
_NOT_AFTER = (
    "SELECT not_after FROM revocation WHERE issuer = ? AND serial = ? "
    "UNION ALL SELECT not_after FROM certificate WHERE issuer = ? AND serial = ? "
    "UNION ALL SELECT not_after FROM intent WHERE issuer = ? AND serial = ?"
)
