"""Publication rows: one a path, the newest only, in a sequence that feeders follow."""

from ca.errors import StalePublication
from ca.records import Publication
from ca.store.office import Office
from ca.store.tables import PUBLICATION


class Publications(Office):
    """The durable side of what the status plane serves."""

    def put(self, publication: Publication) -> int:
        """Stores it as the newest of its path and answers its place in the sequence.

        The sequence is dense enough to follow: a row with a lower one never appears later, since the counter
        stays locked until the transaction ends. Raises `StalePublication` unless its version is above the
        stored one and its fencing token, if it has one, not below it; then nothing changed (INC-02).
        """
        with self.transaction():
            sql = "UPDATE counter SET value = value + 1 WHERE name = 'publication' RETURNING value"
            seq = int(self.rows(sql)[0][0])
            values = PUBLICATION.encode(publication)
            if not self.change(_PUT, *values[:-1], seq):
                raise StalePublication(
                    f"{publication.path} is published already in this version or a newer one.",
                    next_step="Nothing to do: the newer one stands.",
                )
            return seq

    def get(self, path: str) -> Publication:
        """What is published at a path. Raises `NotFound`."""
        return self.first(f"Nothing is published at {path}.", PUBLICATION, "WHERE path = ?", path)

    def is_published(self, path: str) -> bool:
        """Whether anything is published at a path."""
        return bool(self.rows("SELECT 1 FROM publication WHERE path = ?", path))

    def drop_answers(self, before: int, limit: int = 1000) -> int:
        """Deletes OCSP answers that ended before that time, at most `limit`; says how many."""
        sql = (
            "DELETE FROM publication WHERE path IN (SELECT path FROM publication "
            "WHERE fresh_until > 0 AND fresh_until < ? AND path >= 'ocsp/' AND path < 'ocsp0' LIMIT ?)"
        )
        return self.change(sql, before, limit)

    def last_seq(self) -> int:
        """The last place in the sequence that was given out."""
        return int(self.rows("SELECT value FROM counter WHERE name = 'publication'")[0][0])

    def after(self, seq: int, limit: int = 1000) -> tuple[Publication, ...]:
        """The publications that came after that place in the sequence, in order."""
        return self.select(PUBLICATION, "WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)


_PUT = PUBLICATION.insert(
    (),
    "ON CONFLICT (path) DO UPDATE SET body = excluded.body, version = excluded.version, "
    "content_type = excluded.content_type, this_update = excluded.this_update, fresh_until = excluded.fresh_until, "
    "fence = CASE WHEN excluded.fence > publication.fence THEN excluded.fence ELSE publication.fence END, "
    "seq = excluded.seq "
    "WHERE publication.version < excluded.version AND (excluded.fence = 0 OR excluded.fence >= publication.fence)",
)
