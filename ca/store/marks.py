"""What is due to be published: CRL shards and OCSP answers, each with a generation.

A revocation raises the generation; publishing clears the mark only for the generation that was read before
signing, so nothing that happens while a signature is made is lost.
"""

from ca.errors import NotFound
from ca.records import serial_hex
from ca.store.office import Office
from ca.store.tables import OCSP, SHARD
from ca.store.values import OcspMark, ShardState

NEVER = 1 << 62
"""`refresh_at` of an answer that needs no successor, because its certificate has expired by then."""


class Marks(Office):
    """The state of publication of each CRL shard and of each serial's OCSP answers."""

    # --- CRL shards ---------------------------------------------------------------------------

    def shard(self, issuer: str, shard: int) -> ShardState:
        """The state of one shard. Raises `NotFound`."""
        tail = "WHERE issuer = ? AND shard = ?"
        return self.first(f"{issuer} has no CRL shard {shard:04x}.", SHARD, tail, issuer, shard)

    def stale_shards(self, now: int) -> tuple[ShardState, ...]:
        """The shards of issuing CAs that are dirty, or past half of their life; dirty ones first.

        A root's are left out: only a ceremony has its key.
        """
        return self.select(SHARD, _STALE, now)

    def number_crl(self, issuer: str, shard: int, now: int) -> ShardState:
        """Takes the next CRL number, which no other run will get: max(last + 1, now in milliseconds) (L-02).

        In a transaction the shard stays locked, so what is read there belongs to this number. Raises `NotFound`.
        """
        with self.transaction():
            rows = self.rows(_NUMBER, now * 1000, now * 1000, issuer, shard)
        if not rows:
            raise NotFound(f"{issuer} has no CRL shard {shard:04x}.")
        return SHARD.decode(rows[0])

    def shard_published(
        self, issuer: str, shard: int, generation: int, number: int, this_update: int, next_update: int
    ) -> None:
        """Clears the mark of that generation and records the times; neither ever goes back (INC-02)."""
        made = (generation, this_update, next_update, number, number)
        self.change(_SHARD_PUBLISHED, *made, issuer, shard, generation, this_update)

    # --- OCSP answers -------------------------------------------------------------------------

    def ocsp_mark(self, issuer: str, serial: int) -> OcspMark:
        """The mark of a serial whose intent has ended. Raises `NotFound` for others and for those never answered."""
        tail = "WHERE issuer = ? AND serial = ? AND held = 0"
        return self.first("This serial has no OCSP answers.", OCSP, tail, issuer, serial_hex(serial))

    def ocsp_due(self, now: int, limit: int, issuer: str = "") -> tuple[OcspMark, ...]:
        """Serials whose answers are due: new and revoked ones first. Never one whose intent is open (O-03).

        `issuer` restricts to one, so that another's trouble does not use up the limit.
        """
        own = "AND issuer = ? " if issuer else ""
        tail = f"WHERE held = 0 AND refresh_at <= ? {own}ORDER BY refresh_at LIMIT ?"
        return self.select(OCSP, tail, now, *([issuer] if issuer else []), limit)

    def ocsp_published(self, issuer: str, serial: int, generation: int, next_update: int, refresh_at: int) -> None:
        """Clears the mark if its generation is unchanged; an answer that outlives its certificate is the last one."""
        times = (next_update, refresh_at, NEVER, refresh_at)
        self.change(_OCSP_PUBLISHED, generation, *times, issuer, serial_hex(serial), generation)


_STALE = (
    "WHERE (generation > published_generation OR this_update + next_update <= 2 * CAST(? AS BIGINT)) "
    "AND issuer IN (SELECT id FROM issuer WHERE kind = 'issuing') "
    "ORDER BY CASE WHEN generation > published_generation THEN 0 ELSE 1 END, next_update, issuer, shard"
)
_NUMBER = " ".join(
    (
        "UPDATE shard SET number = CASE WHEN number + 1 > ? THEN number + 1 ELSE ? END",
        "WHERE issuer = ? AND shard = ? RETURNING",
        SHARD.listed,
    )
)
_SHARD_PUBLISHED = (
    "UPDATE shard SET published_generation = ?, this_update = ?, next_update = ?, "
    "number = CASE WHEN number < ? THEN ? ELSE number END "
    "WHERE issuer = ? AND shard = ? AND published_generation <= ? AND this_update <= ?"
)
_OCSP_PUBLISHED = (
    "UPDATE ocsp SET published_generation = ?, next_update = ?, "
    "refresh_at = CASE WHEN ? > not_after THEN ? ELSE ? END "
    "WHERE issuer = ? AND serial = ? AND generation = ?"
)
