"""The state of publication of each CRL: a row for each shard of an issuer, and one for the list over all shards.

A revocation raises the generation; publishing clears the mark only for the generation that was read before
signing, so nothing that happens while a signature is made is lost.
"""

from ca.errors import Conflict, NotFound
from ca.records import ALL_SHARDS
from ca.store.office import Office
from ca.store.tables import SHARD
from ca.store.values import ShardState


class Shards(Office):
    """What is due to be published, and where new certificates go."""

    def shard(self, issuer: str, shard: int) -> ShardState:
        """The state of one list. Raises `NotFound`."""
        tail = "WHERE issuer = ? AND shard = ?"
        return self.first(f"{issuer} has no CRL shard {shard:04x}.", SHARD, tail, issuer, shard)

    def shards(self, issuer: str) -> tuple[ShardState, ...]:
        """Every shard that an issuer ever had, without the list over all of them."""
        return self.select(SHARD, "WHERE issuer = ? AND shard >= 0 ORDER BY shard", issuer)

    def open_shards(self, issuer: str) -> tuple[int, ...]:
        """The ids of the shards that new certificates may go to."""
        return tuple(row[0] for row in self.rows("SELECT shard FROM shard WHERE issuer = ? AND open = 1", issuer))

    def add_shards(self, issuer: str, count: int) -> tuple[int, ...]:
        """Makes shards with ids that were never used, still closed to issuance; answers the ids.

        Raises `Conflict` when there are not so many left.
        """
        with self.transaction():
            last = int(self.rows(_LAST_SHARD, issuer, LAST_OWN_SHARD)[0][0])
            if last + count > LAST_OWN_SHARD:
                raise Conflict(f"{issuer} has used its shard ids up.", next_step="Make its next generation.")
            made = tuple(range(last + 1, last + 1 + count))
            for shard in made:
                self.change(_ADD_SHARD, issuer, shard)
        return made

    def open_instead(self, issuer: str, shards: tuple[int, ...]) -> None:
        """Opens these shards to issuance and closes every other one."""
        with self.transaction():
            self.change("UPDATE shard SET open = 0 WHERE issuer = ? AND open = 1", issuer)
            for shard in shards:
                self.change("UPDATE shard SET open = 1, ended_at = 0 WHERE issuer = ? AND shard = ?", issuer, shard)

    def end_shard(self, issuer: str, shard: int, generation: int, now: int) -> None:
        """From now on a closed shard needs no further CRL, unless something changed since that generation."""
        self.change(_END_SHARD, now, issuer, shard, generation)

    def stale_shards(self, now: int, *, full_made: int = -1, delta_made: int = -1) -> tuple[ShardState, ...]:
        """The lists of issuing CAs that are dirty, or past half of their life; dirty ones first.

        The list over all shards is due when it was made at `full_made` or before (-1: there is none), all others also
        when they, and hence their deltas, were made at `delta_made` or before. A root's are left out: only a ceremony
        has its key.
        """
        return self.select(SHARD, _STALE, delta_made, now, full_made, full_made, now)

    def number_crl(self, issuer: str, shard: int, now: int, above: int = 0) -> ShardState:
        """Takes the next CRL number, which no other run will get: max(last + 1, above + 1, now in milliseconds) (L-02).

        In a transaction the shard stays locked, so what is read there belongs to this number. Raises `NotFound`.
        """
        lowest = max(now * 1000, above + 1)
        with self.transaction():
            rows = self.rows(_NUMBER, lowest, lowest, issuer, shard)
        if not rows:
            raise NotFound(f"{issuer} has no CRL shard {shard:04x}.")
        return SHARD.decode(rows[0])

    def shard_published(
        self, issuer: str, shard: int, generation: int, number: int, this_update: int, next_update: int
    ) -> None:
        """Clears the mark of that generation and records the times; neither ever goes back (INC-02)."""
        made = (generation, this_update, next_update, number, number)
        self.change(_SHARD_PUBLISHED, *made, issuer, shard, generation, this_update)

    def rebase_shard(self, numbered: ShardState, this_update: int) -> None:
        """From now on deltas add to the complete CRL that was published under this number."""
        self.change(_REBASE, numbered.number, numbered.generation, this_update, numbered.issuer, numbered.shard)


LAST_OWN_SHARD = 0xFFFE
"""The last id that a serial of ours may hold: the one after it is for foreign serials."""

_LAST_SHARD = "SELECT COALESCE(MAX(shard), -1) FROM shard WHERE issuer = ? AND shard <= ?"
_ADD_SHARD = (
    "INSERT INTO shard (issuer, shard, generation, published_generation, number, this_update, next_update, open) "
    "VALUES (?, ?, 1, 0, 0, 0, 0, 0)"
)
_END_SHARD = "UPDATE shard SET ended_at = ? WHERE issuer = ? AND shard = ? AND open = 0 AND generation = ?"
_AGED = "this_update + next_update <= 2 * CAST(? AS BIGINT)"
_STALE = (
    f"WHERE ended_at = 0 AND ((shard <> {ALL_SHARDS} AND "
    f"(generation > published_generation OR this_update <= CAST(? AS BIGINT) OR {_AGED})) "
    f"OR (shard = {ALL_SHARDS} AND CAST(? AS BIGINT) >= 0 AND (this_update <= CAST(? AS BIGINT) OR {_AGED}))) "
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
_REBASE = "UPDATE shard SET base_number = ?, base_generation = ?, base_at = ? WHERE issuer = ? AND shard = ?"
