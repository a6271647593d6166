"""How long each revocation took until it was seen from outside."""

from ca.records import ALL_SHARDS, Revocation, Stopwatch, serial_hex, serial_shard
from ca.store.office import Office
from ca.store.tables import STOPWATCH


class Stopwatches(Office):
    """One row a revoked serial; it runs until OCSP and CRL were both seen."""

    def start_stopwatch(self, fact: Revocation, now: int) -> None:
        """Inside the transaction of the revocation, before anything is published: starts it, or starts it again.

        What is published now is noted: the last good answer, and the last list without it, are valid until then.
        """
        serial, shard = serial_hex(fact.serial), serial_shard(fact.serial)
        published = (fact.issuer, serial, fact.issuer, shard, ALL_SHARDS)
        good_until = int(self.rows(_PUBLISHED_UNTIL, *published)[0][0])
        self.change(_START, fact.issuer, serial, now, good_until)

    def stop_stopwatch(self, seen: Stopwatch) -> None:
        """Keeps what was seen, unless the stopwatch was started again since."""
        key = (seen.issuer, serial_hex(seen.serial), seen.asked_at)
        self.change(_SEEN, seen.ocsp_ms, seen.crl_ms, *key)

    def stopwatch(self, issuer: str, serial: int) -> Stopwatch:
        """That of a serial. Raises `NotFound`."""
        return self.first(
            "It has no stopwatch.", STOPWATCH, "WHERE issuer = ? AND serial = ?", issuer, serial_hex(serial)
        )

    def stopwatches(self, limit: int = 100) -> tuple[Stopwatch, ...]:
        """Those of the newest revocations."""
        return self.select(STOPWATCH, "ORDER BY asked_at DESC, issuer, serial LIMIT ?", limit)

    def running_stopwatches(self, since: int, limit: int = 1000) -> tuple[Stopwatch, ...]:
        """Those that run and were started at that time or later, the oldest first."""
        return self.select(STOPWATCH, f"WHERE {_RUNNING} AND asked_at >= ? ORDER BY asked_at LIMIT ?", since, limit)

    def slow_revocations(self, before: int, since: int) -> int:
        """How many that were asked for before one time, and not before the other, were not seen yet."""
        sql = f"SELECT count(*) FROM stopwatch WHERE {_RUNNING} AND asked_at < ? AND asked_at >= ?"
        return int(self.rows(sql, before, since)[0][0])


_RUNNING = "(crl_ms < 0 OR ocsp_ms < 0)"
_PUBLISHED_UNTIL = (
    "SELECT COALESCE(MAX(next_update), 0) FROM (SELECT next_update FROM ocsp WHERE issuer = ? AND serial = ? "
    "UNION ALL SELECT next_update FROM shard WHERE issuer = ? AND shard IN (?, ?)) AS published"
)
_START = (
    "INSERT INTO stopwatch (issuer, serial, asked_at, good_until, ocsp_ms, crl_ms) VALUES (?, ?, ?, ?, -1, -1) "
    "ON CONFLICT (issuer, serial) DO UPDATE SET asked_at = excluded.asked_at, good_until = excluded.good_until, "
    "ocsp_ms = -1, crl_ms = -1"
)
_SEEN = (
    "UPDATE stopwatch SET ocsp_ms = CASE WHEN ocsp_ms < 0 THEN CAST(? AS BIGINT) ELSE ocsp_ms END, "
    "crl_ms = CASE WHEN crl_ms < 0 THEN CAST(? AS BIGINT) ELSE crl_ms END "
    "WHERE issuer = ? AND serial = ? AND asked_at = ?"
)
