"""What a CRL is put together from: the entries of a shard, or of all shards, as DER that was written once.

An entry belongs to its row: what changes the row empties it, and whoever makes the next list writes it again.
"""

from collections.abc import Iterable

from ca.records import ALL_SHARDS, Reason, Revocation, serial_hex
from ca.store.office import Office
from ca.store.tables import HELD, REVOCATION


class Lists(Office):
    """Entries of revocations and holds, for one list: of a shard or (`ALL_SHARDS`) of all."""

    def unwritten(self, issuer: str, shard: int) -> tuple[Revocation, ...]:
        """The facts whose entries are to be written."""
        where, values = list_of(issuer, shard)
        revoked = self.select(REVOCATION, f"WHERE {where} AND length(entry) = 0", *values)
        return revoked + self.select(HELD, f"WHERE {where} AND length(entry) = 0 AND released_at = 0", *values)

    def write_entries(self, written: Iterable[tuple[Revocation, bytes]]) -> None:
        """Keeps entries, unless the facts have changed since they were read."""
        with self.transaction():
            for fact, entry in written:
                sql = _WRITE_HELD if fact.reason is Reason.CERTIFICATE_HOLD else _WRITE
                self.change(sql, entry, fact.issuer, serial_hex(fact.serial), fact.reason.value, fact.revoked_at)

    def entries(self, issuer: str, shard: int, not_after_from: int) -> tuple[list[bytes], int]:
        """Each entry whose notAfter is not before that time, by serial (L-07); and when the newest was revoked."""
        where, values = list_of(issuer, shard)
        return self._entries(f"{where} AND not_after >= ?", *values, not_after_from)

    def entries_since(self, issuer: str, shard: int, generation: int, not_after_from: int) -> list[bytes]:
        """The entries that were made or changed after a generation of their shard: what a delta tells."""
        since = f"{_SHARD} AND not_after >= ? AND generation > ?"
        return self._entries(since, issuer, shard, not_after_from, generation)[0]

    def released_since(self, issuer: str, shard: int, generation: int, not_after_from: int) -> list[tuple[int, int]]:
        """Serial and time of each hold that was released after a generation, and still is."""
        rows = self.rows(_RELEASED, issuer, shard, not_after_from, generation)
        return [(int(serial, 16), released_at) for serial, released_at in rows]

    def ever_held(self, issuer: str, shard: int) -> set[int]:
        """The serials that are or were on hold."""
        where, values = list_of(issuer, shard)
        return {int(row[0], 16) for row in self.rows(f"SELECT serial FROM held WHERE {where}", *values)}

    def last_not_after(self, issuer: str, shard: int) -> int:
        """The end of the last certificate, intended certificate or entry of a shard; 0 when it never had any."""
        prefix = f"01{shard:04x}"
        between = (issuer, prefix, prefix + "g")
        return int(self.rows(_LAST, *between, *between, issuer, shard, issuer, shard)[0][0])

    def _entries(self, where: str, *values: object) -> tuple[list[bytes], int]:
        """Those of final revocations, and among them in order those of holds, which are few.

        One look at each row: the rows of a shard lie apart, and to find them is most of what a shard costs.
        """
        rows = self.rows(f"SELECT serial, entry, revoked_at FROM revocation WHERE {where} ORDER BY serial", *values)
        held = self.rows(f"SELECT serial, entry, revoked_at FROM held WHERE {where} AND {_ON_HOLD}", *values)
        rows = sorted([*rows, *held]) if held else rows
        return [bytes(entry) for _, entry, _ in rows], max((at for _, _, at in rows), default=0)


def list_of(issuer: str, shard: int) -> tuple[str, tuple[object, ...]]:
    """The condition that picks the rows of one list, and its values."""
    return ("issuer = ?", (issuer,)) if shard == ALL_SHARDS else (_SHARD, (issuer, shard))


_SHARD = "issuer = ? AND shard = ?"
_ON_HOLD = (
    "released_at = 0 AND NOT EXISTS "
    "(SELECT 1 FROM revocation r WHERE r.issuer = held.issuer AND r.serial = held.serial)"
)
_WRITE = "UPDATE revocation SET entry = ? WHERE issuer = ? AND serial = ? AND reason = ? AND revoked_at = ?"
_WRITE_HELD = "UPDATE held SET entry = ? WHERE issuer = ? AND serial = ? AND reason = ? AND revoked_at = ?"
_RELEASED = (
    f"SELECT serial, released_at FROM held WHERE {_SHARD} AND not_after >= ? AND generation > ? AND released_at > 0 "
    "AND NOT EXISTS (SELECT 1 FROM revocation r WHERE r.issuer = held.issuer AND r.serial = held.serial) "
    "ORDER BY serial"
)
_LAST = (
    "SELECT COALESCE(MAX(not_after), 0) FROM ("
    "SELECT MAX(not_after) AS not_after FROM certificate WHERE issuer = ? AND serial >= ? AND serial < ? "
    "UNION ALL SELECT MAX(not_after) FROM intent WHERE issuer = ? AND serial >= ? AND serial < ? "
    "UNION ALL SELECT MAX(not_after) FROM revocation WHERE issuer = ? AND shard = ? "
    "UNION ALL SELECT MAX(not_after) FROM held WHERE issuer = ? AND shard = ?) AS ends"
)
