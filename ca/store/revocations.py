"""Revocation facts, by issuer and serial alone: they need no certificate row and outlive everything (INC-12)."""

from dataclasses import replace

from ca.errors import AlreadyRevoked, NotFound
from ca.records import Reason, Revocation, serial_hex, serial_shard
from ca.store.holds import Holds
from ca.store.lists import list_of
from ca.store.tables import HELD, REVOCATION


class Revocations(Holds):
    """One fact a serial; OCSP and CRL are two renderings of it (INC-04). No clean-up ever touches them (INC-10)."""

    def revoke(self, fact: Revocation) -> None:
        """Writes the fact and marks the serial's OCSP answers and its CRL shard stale, in one transaction.

        A later keyCompromise replaces another reason and keeps the first time, as does a revocation the time of the
        hold before it; any other second revocation raises `AlreadyRevoked`, and then nothing changed.
        """
        with self.transaction():
            generation = self.mark_shard(fact.issuer, fact.serial)
            fact = replace(fact, revoked_at=self.held_since(fact.issuer, fact.serial) or fact.revoked_at)
            if not self._write(fact, generation) and not self._upgrade(fact, generation):
                raise AlreadyRevoked(
                    "This certificate is revoked already.", next_step="Only keyCompromise may replace a reason."
                )
            self.change(_MARK_CERTIFICATE, fact.revoked_at, fact.reason.value, fact.issuer, serial_hex(fact.serial))
            self.mark_serial(fact)

    def revocation(self, issuer: str, serial: int) -> Revocation:
        """The fact of a serial, or that it is on hold. Raises `NotFound` when it is neither."""
        key = (issuer, serial_hex(serial))
        final = self.select(REVOCATION, "WHERE issuer = ? AND serial = ?", *key)
        if final:
            return final[0]
        return self.first("It is not revoked.", HELD, "WHERE issuer = ? AND serial = ? AND released_at = 0", *key)

    def revoked(self, issuer: str, shard: int, not_after_from: int) -> tuple[Revocation, ...]:
        """The final revocations of a shard (or of all): each fact whose notAfter is not before that time, by serial."""
        where, values = list_of(issuer, shard)
        tail = f"WHERE {where} AND not_after >= ? ORDER BY serial"
        return self.select(REVOCATION, tail, *values, not_after_from)

    def not_after(self, issuer: str, serial: int) -> int:
        """When a serial ends, as its revocation, certificate or intent says. Raises `NotFound`."""
        key = (issuer, serial_hex(serial))
        found = self.rows(_NOT_AFTER, *key, *key, *key, *key)
        if not found:
            raise NotFound("There is no such serial.")
        return int(found[0][0])

    def _write(self, fact: Revocation, generation: int) -> bool:
        sql = REVOCATION.insert(("shard", "generation", "entry"), "ON CONFLICT DO NOTHING")
        return self.change(sql, *REVOCATION.encode(fact), serial_shard(fact.serial), generation, b"") == 1

    def _upgrade(self, fact: Revocation, generation: int) -> bool:
        if fact.reason != Reason.KEY_COMPROMISE:
            return False
        values = REVOCATION.encode(fact)
        by_name = dict(zip(REVOCATION.columns, values, strict=True))
        changed = [by_name[name] for name in ("reason", "actor", "comment", "invalidity_date")]
        return self.change(_UPGRADE, *changed, generation, b"", by_name["issuer"], by_name["serial"]) == 1


_UPGRADE = (
    "UPDATE revocation SET reason = ?, actor = ?, comment = ?, invalidity_date = ?, generation = ?, entry = ? "
    "WHERE issuer = ? AND serial = ? AND reason <> 'keyCompromise'"
)
_MARK_CERTIFICATE = (
    "UPDATE certificate SET revoked_at = CASE WHEN revoked_at = 0 THEN ? ELSE revoked_at END, reason = ? "
    "WHERE issuer = ? AND serial = ?"
)
_NOT_AFTER = (
    "SELECT not_after FROM revocation WHERE issuer = ? AND serial = ? "
    "UNION ALL SELECT not_after FROM held WHERE issuer = ? AND serial = ? "
    "UNION ALL SELECT not_after FROM certificate WHERE issuer = ? AND serial = ? "
    "UNION ALL SELECT not_after FROM intent WHERE issuer = ? AND serial = ?"
)
