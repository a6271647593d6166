"""Certificates on hold: revoked until they are released, or for good (RFC 5280 §5.3.1, certificateHold).

A hold is no revocation fact: those are final. So the one table can be changed back and the other cannot.
"""

from ca.errors import AlreadyRevoked, Conflict
from ca.records import Revocation, serial_hex, serial_shard
from ca.store.office import Office
from ca.store.tables import HELD, REVOCATION

_SERIAL = "WHERE issuer = ? AND serial = ?"


class Holds(Office):
    """Serials on hold, and those that were."""

    def hold(self, fact: Revocation) -> None:
        """Puts a serial on hold; its OCSP answers and its CRL shard become stale.

        Raises `AlreadyRevoked` for one that is revoked or on hold; then nothing changed.
        """
        with self.transaction():
            generation = self.mark_shard(fact.issuer, fact.serial)
            self._refuse_revoked(fact.issuer, fact.serial)
            values = (*HELD.encode(fact), serial_shard(fact.serial), 0, generation)
            if not self.change(_HOLD, *values, b""):
                raise AlreadyRevoked("This certificate is on hold already.", next_step="Release it, or revoke it.")
            self.mark_serial(fact)
            self.change(_HELD_CERTIFICATE, fact.revoked_at, fact.reason.value, fact.issuer, serial_hex(fact.serial))

    def release_hold(self, issuer: str, serial: int, now: int) -> None:
        """Ends a hold: from now on the certificate is good. Raises `Conflict` for one that is not on hold."""
        with self.transaction():
            generation = self.mark_shard(issuer, serial)
            self._refuse_revoked(issuer, serial)
            if not self.change(_RELEASE, now, generation, issuer, serial_hex(serial)):
                raise Conflict("This certificate is not on hold.", next_step="Only certificateHold can be taken back.")
            self.change(_FRESHEN_OCSP, issuer, serial_hex(serial))
            self.change(_HELD_CERTIFICATE, 0, "", issuer, serial_hex(serial))

    def mark_shard(self, issuer: str, serial: int) -> int:
        """Marks the CRL of a serial as stale and answers the shard's new generation; locks it to the transaction's end.

        Always the first thing to be done to a serial: whoever publishes the shard holds the same lock.
        """
        return int(self.rows(_MARK_SHARD, issuer, serial_shard(serial))[0][0])

    def mark_serial(self, fact: Revocation) -> None:
        """Marks the OCSP answers of a serial as stale; one that never had any will have them from now on (INC-05)."""
        self.change(_MARK_OCSP, fact.issuer, serial_hex(fact.serial), fact.not_after)

    def held_since(self, issuer: str, serial: int) -> int:
        """Since when a serial is on hold, 0 when it is not."""
        found = self.rows(_HELD_SINCE, issuer, serial_hex(serial))
        return int(found[0][0]) if found else 0

    def released_at(self, issuer: str, serial: int) -> int:
        """When the last hold of a serial was released, 0 when there was none or it stands."""
        found = self.rows(_RELEASED_AT, issuer, serial_hex(serial))
        return int(found[0][0]) if found else 0

    def _refuse_revoked(self, issuer: str, serial: int) -> None:
        if self.select(REVOCATION, _SERIAL, issuer, serial_hex(serial)):
            raise AlreadyRevoked("This certificate is revoked for good.", next_step="Nothing to do: that is final.")


_HOLD = HELD.insert(
    ("shard", "released_at", "generation", "entry"),
    "ON CONFLICT (issuer, serial) DO UPDATE SET revoked_at = excluded.revoked_at, actor = excluded.actor, "
    "comment = excluded.comment, generation = excluded.generation, entry = excluded.entry, released_at = 0 "
    "WHERE held.released_at > 0",
)
_RELEASE = "UPDATE held SET released_at = ?, generation = ? WHERE issuer = ? AND serial = ? AND released_at = 0"
_HELD_SINCE = "SELECT revoked_at FROM held WHERE issuer = ? AND serial = ? AND released_at = 0"
_RELEASED_AT = "SELECT released_at FROM held WHERE issuer = ? AND serial = ?"
_HELD_CERTIFICATE = "UPDATE certificate SET revoked_at = ?, reason = ? WHERE issuer = ? AND serial = ?"
_FRESHEN_OCSP = "UPDATE ocsp SET generation = generation + 1, refresh_at = 0 WHERE issuer = ? AND serial = ?"
_MARK_OCSP = (
    "INSERT INTO ocsp (issuer, serial, generation, published_generation, refresh_at, next_update, not_after, held) "
    "VALUES (?, ?, 1, 0, 0, 0, ?, 0) "
    "ON CONFLICT (issuer, serial) DO UPDATE SET generation = ocsp.generation + 1, refresh_at = 0"
)
_MARK_SHARD = (
    "INSERT INTO shard (issuer, shard, generation, published_generation, number, this_update, next_update, open) "
    "VALUES (?, ?, 1, 0, 0, 0, 0, 0) "
    "ON CONFLICT (issuer, shard) DO UPDATE SET generation = shard.generation + 1, ended_at = 0 RETURNING generation"
)
